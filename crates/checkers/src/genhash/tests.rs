//! Command lines, and output as Keepalived's genhash prints it.

use std::io::Read;
use std::net::TcpListener;
use std::thread;

use super::*;

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

fn order(line: &str) -> Order {
    Order::parse(&words(line)).expect("no complaint").expect("no help")
}

/// Answers one connection with these bytes and returns the port.
fn serve(answer: &'static [u8]) -> (u16, thread::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a socket");
    let port = listener.local_addr().expect("an address").port();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut request = Vec::new();
        let mut buffer = [0; 1024];
        while !request.ends_with(b"\r\n\r\n") {
            let count = stream.read(&mut buffer).expect("a request");
            assert!(count > 0, "the request is cut off");
            request.extend_from_slice(&buffer[..count]);
        }
        stream.write_all(answer).expect("sent");
        request
    });
    (port, server)
}

fn run(line: &str) -> (u8, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let status = genhash(&words(line), &mut out, &mut err);
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (status, text(out), text(err))
}

#[test]
fn long_short_bundled_and_cut_options_are_the_same() {
    let short = order("-s 198.51.100.1 -p 443 -u /x -S -I -v -V www.example -P 1.1 -t 3 -m 7");
    for line in [
        "--server 198.51.100.1 --port 443 --url /x --use-ssl --use-sni --verbose \
         --use-virtualhost www.example --protocol 1.1 --timeout 3 --fwmark 7",
        "-SIvs198.51.100.1 -p443 -u/x -Vwww.example -P1.1 -t3 -m7",
        "--serv=198.51.100.1 --por=443 --url=/x --use-ss --use-sn --verb --use-v=www.example \
         --pro 1.1 --ti 3 --fw 7",
    ] {
        assert_eq!(order(line), short, "{line}");
    }
    assert_eq!(short.target.mark, Some(7));
    assert_eq!(short.target.timeout, Duration::from_secs(3));
    assert_eq!(order("-s ::1 -p 80 -u /").protocol, HttpProtocol::V10);
}

#[test]
fn complaints() {
    for (line, complaint) in [
        ("", ""),
        ("-s 198.51.100.1 -u /x", ""),
        ("-s 198.51.100.1 -p 80", ""),
        ("-s localhost -p 80 -u /x", "server should be an IP, not localhost\n"),
        ("-s 198.51.100.1 -p 0 -u /x", "invalid port number '0'\n"),
        ("-s 198.51.100.1 -p 99999 -u /x", "invalid port number '99999'\n"),
        ("-s 198.51.100.1 -p 80 -u /x -t 1.5", "invalid timeout '1.5'\n"),
        ("-s 198.51.100.1 -p 80 -u /x -m x", "invalid fwmark 'x'\n"),
        ("-s 198.51.100.1 -p 80 -u /x -P 2", "invalid HTTP protocol version '2'\n"),
        ("-s 198.51.100.1 -p 80 -u /x extra", "Unexpected argument(s): extra\n"),
        ("-Z", "invalid option -- 'Z'\n"),
        ("--bogus", "unrecognized option '--bogus'\n"),
        ("--use", "option '--use' is ambiguous\n"),
        ("--verbose=1", "option '--verbose' takes no argument\n"),
        ("-s", "option '-s' requires an argument\n"),
    ] {
        let (status, out, err) = run(line);
        assert_eq!((status, &*out), (1, ""), "{line}");
        assert_eq!(err, format!("{complaint}{USAGE}"), "{line}");
    }
    assert_eq!(run("-h"), (0, USAGE.to_owned(), String::new()));
}

#[test]
fn the_digest_alone() {
    let (port, server) = serve(b"HTTP/1.0 404 No\r\nServer: x\r\n\r\nnothing");
    let (status, out, err) = run(&format!("-s 127.0.0.1 -p {port} -u /x -P 1.0c -V v.example"));
    assert_eq!((status, &*out, &*err), (0, "3e47b75000b0924b6c9ba5759a7cf15d\n", ""));
    assert_eq!(
        server.join().expect("the server"),
        b"GET /x HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nConnection: close\r\n\
          Host: v.example\r\n\r\n"
    );
}

// As Keepalived 2.2.7's genhash printed it, but for the time.
#[test]
fn everything() {
    let (port, server) = serve(
        b"HTTP/1.0 200 OK\r\nServer: x\r\nContent-Length: 40\r\n\r\n\
          <html>\n\x01\x02 hello world, this is a page\n",
    );
    let (status, out, err) = run(&format!("-s 127.0.0.1 -p {port} -u /x -v"));
    server.join().expect("the server");
    assert_eq!((status, &*err), (0, ""));
    let (before, time) = out.split_once("Global response time for [/x] = ").expect("the time");
    assert!(time.trim_end().strip_suffix(" usecs").is_some_and(|n| n.parse::<u64>().is_ok()));
    let wanted = "\
-----------------------[    HTTP Header Buffer    ]-----------------------
0000  48 54 54 50 2f 31 2e 30 - 20 32 30 30 20 4f 4b 0d   HTTP/1.0 200 OK.
0016  0a 53 65 72 76 65 72 3a - 20 78 0d 0a 43 6f 6e 74   .Server: x..Cont
0032  65 6e 74 2d 4c 65 6e 67 - 74 68 3a 20 34 30 0d 0a   ent-Length: 40..
0048  0d 0a                   -                           ..              
-----------------------[ HTTP Header Ascii Buffer ]-----------------------
HTTP/1.0 200 OK\r
Server: x\r
Content-Length: 40\r
\r

-----------------------[        HTML Buffer        ]-----------------------
0000  3c 68 74 6d 6c 3e 0a 01 - 02 20 68 65 6c 6c 6f 20   <html>... hello 
0016  77 6f 72 6c 64 2c 20 74 - 68 69 73 20 69 73 20 61   world, this is a
0032  20 70 61 67 65 0a       -                            page.          

-----------------------[    HTML hash resulting    ]-----------------------
0000  93 94 75 c2 21 77 b8 d1 - f5 3a 5c 6f c6 ab a6 b9   ..u.!w...:\\o....
-----------------------[ HTML hash final resulting ]-----------------------
939475c22177b8d1f53a5c6fc6aba6b9

";
    assert_eq!(before, wanted);
}

#[test]
fn chunks_are_hashed_without_their_framing() {
    let (port, server) = serve(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
    );
    let (status, out, _) = run(&format!("-s 127.0.0.1 -p {port} -u / -P 1.1"));
    server.join().expect("the server");
    assert_eq!((status, &*out), (0, "5d41402abc4b2a76b9719d911017c592\n"));
}

#[test]
fn failures_say_what_came() {
    let (port, server) = serve(b"SSH-2.0-OpenSSH_9.2\r\n");
    let (status, out, err) = run(&format!("-s 127.0.0.1 -p {port} -u /x"));
    server.join().expect("the server");
    assert_eq!((status, &*out), (1, ""));
    assert!(err.starts_with("not HTTP: \"SSH-2.0-OpenSSH_9.2\\r\\n\", from 127.0.0.1:"), "{err}");

    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a socket");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    let (status, _, err) = run(&format!("-s 127.0.0.1 -p {port} -u /x"));
    assert_eq!(status, 1);
    assert!(err.starts_with(&format!("connection refused by 127.0.0.1:{port} after ")), "{err}");
}
