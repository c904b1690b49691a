//! Against servers that do as they please.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

use crate::get;

/// Serves one connection with what `talk` does after the request was read.
fn serve(talk: impl FnOnce(TcpStream) + Send + 'static) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a socket");
    let to = listener.local_addr().expect("an address");
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let (mut request, mut byte) = (Vec::new(), [0]);
        while !request.ends_with(b"\r\n\r\n") {
            assert_eq!(stream.read(&mut byte).expect("a request"), 1, "the request is cut off");
            request.push(byte[0]);
        }
        talk(stream);
    });
    (to, server)
}

/// Waits until the other side closes.
fn linger(mut stream: TcpStream) {
    let _ = stream.read(&mut [0]);
}

#[test]
fn an_answer_that_is_complete_ends_on_an_open_connection() {
    let (to, server) = serve(|mut stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").expect("sent");
        linger(stream);
    });
    assert_eq!(get(to, "/").regex("^hello$").says(), "HTTP 200, 5 bytes");
    server.join().expect("the server");
}

#[test]
fn portions_of_an_answer_are_put_together() {
    let (to, server) = serve(|mut stream| {
        stream.set_nodelay(true).expect("no delay");
        for part in ["HTTP/1.", "1 200 OK\r\nContent-Le", "ngth: 10\r\n\r\nhel", "lowor", "ld"] {
            stream.write_all(part.as_bytes()).expect("sent");
            thread::sleep(std::time::Duration::from_millis(5));
        }
        linger(stream);
    });
    assert_eq!(get(to, "/").regex("^helloworld$").says(), "HTTP 200, 10 bytes");
    server.join().expect("the server");
}

#[test]
fn silence() {
    let (to, server) = serve(linger);
    assert_eq!(get(to, "/").within(200).says(), "no answer within 0.2 s");
    server.join().expect("the server");
}

#[test]
fn an_answer_without_a_length_ends_with_the_connection() {
    let (to, server) = serve(|mut stream| {
        stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nhello").expect("sent");
        stream.shutdown(Shutdown::Write).expect("an end");
        linger(stream);
    });
    assert_eq!(get(to, "/").says(), "HTTP 200, 5 bytes");
    server.join().expect("the server");
}

#[test]
fn a_reset_is_told() {
    let (to, server) = serve(|mut stream| {
        stream.write_all(b"HTTP/1.0 200 OK\r\nX: ").expect("sent");
        // Without delay and with nothing left to send, closing is a reset.
        socket2::SockRef::from(&stream)
            .set_linger(Some(std::time::Duration::ZERO))
            .expect("an option");
    });
    let says = get(to, "/").says();
    assert_eq!(says, "connection reset");
    server.join().expect("the server");
}

#[test]
fn another_protocol_is_quoted() {
    let (to, server) = serve(|mut stream| {
        stream.write_all(b"220 mail.example ESMTP\r\n").expect("sent");
        linger(stream);
    });
    assert_eq!(get(to, "/").says(), "not HTTP: \"220 mail.example ESMTP\\r\\n\"");
    server.join().expect("the server");
}

#[test]
fn an_unwanted_status_is_not_read_further() {
    let (to, server) = serve(|mut stream| {
        stream.write_all(b"HTTP/1.0 503 Busy\r\n\r\n").expect("sent");
        linger(stream);
    });
    assert_eq!(get(to, "/").says(), "HTTP 503, wanted 200-299");
    server.join().expect("the server");
}

#[test]
fn an_expression_that_cannot_be_used_is_our_own_fault() {
    let (to, server) = serve(|mut stream| {
        stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n").expect("sent");
        linger(stream);
    });
    let failure = get(to, "/").regex("(?R)").run().expect_err("it cannot be tried");
    assert!(failure.cause.is_ours());
    assert_eq!(failure.cause.to_string(), "/(?R)/ could not be tried: recursion is not supported");
    server.join().expect("the server");
}
