//! Replies however they are portioned, and mail servers that do as they please.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn replies(portions: &[&[u8]]) -> (Vec<Reply>, Option<Malformed>) {
    let (mut reader, mut read) = (ReplyReader::new(), Vec::new());
    for portion in portions {
        reader.take(portion);
        loop {
            match reader.reply() {
                Ok(Some(reply)) => read.push(reply),
                Ok(None) => break,
                Err(malformed) => return (read, Some(malformed)),
            }
        }
    }
    (read, None)
}

fn reply(code: u16, text: &str) -> Reply {
    Reply { code, text: text.into() }
}

#[test]
fn one_line_several_lines_and_several_replies() {
    let text = b"220 hi there\r\n250-a\r\n250-b\r\n250 c\r\n221\n354\r\n";
    let read = [reply(220, "hi there"), reply(250, "a"), reply(221, ""), reply(354, "")];
    assert_eq!(replies(&[text]), (read.to_vec(), None));
}

#[test]
fn what_is_no_reply() {
    for text in
        ["hello\r\n", "22\r\n", "2200 x\r\n", "220x\r\n", "199 x\r\n", "\r\n", "220-a\r\n250 b\r\n"]
    {
        let (read, malformed) = replies(&[text.as_bytes()]);
        assert_eq!(read, [], "{text}");
        assert!(matches!(malformed, Some(Malformed::Line(_))), "{text}: {malformed:?}");
    }
    assert_eq!(replies(&[&[b'2'; 5000]]).1, Some(Malformed::TooLong));
    assert_eq!(replies(&[&b"220-x\r\n".repeat(300)]).1, Some(Malformed::TooLong));
}

proptest! {
    #[test]
    fn portions_do_not_matter(
        lines in proptest::collection::vec("([2-5][0-9]{2}[ -]?)?[ -~]{0,9}\r?\n", 0..8),
        cuts in proptest::collection::vec(0usize..100, 0..5),
    ) {
        let text = lines.concat().into_bytes();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
        cuts.extend([0, text.len()]);
        cuts.sort_unstable();
        let portions: Vec<&[u8]> = cuts.windows(2).map(|two| &text[two[0]..two[1]]).collect();
        prop_assert_eq!(replies(&portions), replies(&[&text]));
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        prop_assert_eq!(replies(&bytes), replies(&[&text]));
    }
}

/// A server that says these things, each after a line of the client's, then waits for the end.
/// Gives what the client said.
fn serve(says: &'static [&'static str]) -> (Target, thread::JoinHandle<String>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a socket");
    let target = Target::new(listener.local_addr().expect("an address"));
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut heard = String::new();
        let mut byte = [0];
        for (at, text) in says.iter().enumerate() {
            let mut line = at == 0;
            while !line {
                if stream.read(&mut byte).expect("a line") == 0 {
                    return heard;
                }
                heard.push(char::from(byte[0]));
                line = byte[0] == b'\n';
            }
            stream.write_all(text.as_bytes()).expect("said");
        }
        stream.shutdown(std::net::Shutdown::Write).expect("an end");
        stream.read_to_string(&mut heard).expect("the rest");
        heard
    });
    (target, server)
}

fn check(targets: Vec<Target>) -> Result<Success, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let check = Smtp { helo: "check.example".to_owned(), targets };
    runtime.expect("a runtime").block_on(run(&check))
}

/// What the check says, without the port and the time, and what the server heard.
fn meeting(says: &'static [&'static str]) -> (String, String) {
    let (target, server) = serve(says);
    let text = match check(vec![target]) {
        Ok(success) => success.detail.to_string(),
        Err(failure) => failure.cause.to_string(),
    };
    (text, server.join().expect("the server"))
}

#[test]
fn a_mail_server_that_is_well() {
    let both = "HELO check.example\r\nQUIT\r\n".to_owned();
    assert_eq!(
        meeting(&["220-hi\r\n220 there\r\n", "250-a\r\n250 b\r\n", "221 bye\r\n"]),
        ("SMTP 250 \"a\"".to_owned(), both.clone())
    );
    // As for Keepalived, QUIT may be answered by anything, or nothing.
    assert_eq!(meeting(&["220 hi\n", "250 ok\n", "500 no\n"]).0, "SMTP 250 \"ok\"");
    assert_eq!(meeting(&["220 hi\r\n", "250 ok\r\n"]), ("SMTP 250 \"ok\"".to_owned(), both));
}

#[test]
fn a_mail_server_that_is_not() {
    let helo = "HELO check.example\r\n".to_owned();
    assert_eq!(
        meeting(&["554 no\r\n"]),
        ("SMTP 554 \"no\" as greeting, wanted 220".to_owned(), String::new())
    );
    assert_eq!(
        meeting(&["220 hi\r\n", "502 what?\r\n"]),
        ("SMTP 502 \"what?\" to HELO, wanted 250".to_owned(), helo.clone())
    );
    assert_eq!(
        meeting(&["HTTP/1.0 400 Bad\r\n"]).0,
        "not SMTP: \"HTTP/1.0 400 Bad\" as greeting, wanted 220"
    );
    assert_eq!(meeting(&[""]).0, "connection closed instead of 220 as greeting");
    assert_eq!(meeting(&["220 hi\r\n", "250-half"]).0, "connection closed instead of 250 to HELO");
}

#[test]
fn silence_is_not_waited_for_longer_than_allowed() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a socket");
    let mut target = Target::new(listener.local_addr().expect("an address"));
    target.timeout = Duration::from_millis(100);
    let failure = check(vec![target]).expect_err("silence");
    assert_eq!(failure.cause, Cause::NoAnswer { within: Duration::from_millis(100) });
}

#[test]
fn all_hosts_must_be_well() {
    let (well, one) = serve(&["220 hi\r\n", "250 ok\r\n", "221 bye\r\n"]);
    let (ill, two) = serve(&["421 busy\r\n"]);
    let place = ill.to;
    let failure = check(vec![well, ill]).expect_err("one is ill");
    assert_eq!(failure.from, Some(place));
    assert_eq!(failure.cause.to_string(), "SMTP 421 \"busy\" as greeting, wanted 220");
    one.join().and(two.join()).expect("the servers");
}
