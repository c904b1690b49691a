//! Responses, however they are portioned, and what is made of them.

use std::time::Duration;

use config::model::checker::{Regex, Url};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::{Instant, sleep};

use super::Exchange;
use super::expect::{Answer, HttpFailure, Judge};
use super::response::{End, MAX_HEAD, Malformed, Piece, Progress, Response};
use crate::outcome::Cause;
use crate::regex::Expression;
use crate::tls::Clients;

/// What a response came to.
#[derive(Clone, Debug, Default, PartialEq)]
struct Read {
    status: Option<u16>,
    head: Vec<u8>,
    body: Vec<u8>,
    framing: Vec<u8>,
    /// Whether it was complete before the connection was closed.
    early: bool,
    end: Option<Result<End, Malformed>>,
}

fn read(portions: &[&[u8]]) -> Read {
    let (mut response, mut read) = (Response::new(), Read::default());
    let mut end = None;
    for portion in portions {
        let taken = response.take(portion, &mut |piece| match piece {
            Piece::Head(head) => read.head.extend_from_slice(head),
            Piece::Body(part) => read.body.extend_from_slice(part),
            Piece::Framing(part) => read.framing.extend_from_slice(part),
        });
        match taken {
            Ok(Progress::More) => {}
            Ok(Progress::Complete) => {
                read.early = true;
                break;
            }
            Err(error) => {
                end = Some(Err(error));
                break;
            }
        }
    }
    read.status = response.status();
    assert_eq!(response.body(), u64::try_from(read.body.len()).expect("small"));
    read.end = Some(end.unwrap_or_else(|| response.end()));
    read
}

fn whole(text: &[u8]) -> Read {
    read(&[text])
}

#[test]
fn a_body_with_a_length_ends_there() {
    let read = whole(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, and more");
    assert_eq!(read.status, Some(200));
    assert_eq!(read.body, b"hello");
    assert!(read.early);
    assert_eq!(read.end, Some(Ok(End::Complete)));
    assert_eq!(read.head, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
}

#[test]
fn a_body_without_a_length_ends_with_the_connection() {
    let read = whole(b"HTTP/1.0 200 OK\r\n\r\nhello");
    assert_eq!(
        (&*read.body, read.early, read.end),
        (&b"hello"[..], false, Some(Ok(End::Complete)))
    );
}

#[test]
fn chunks_are_put_together() {
    let read = whole(
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, Chunked\r\nContent-Length: 3\r\n\r\n\
          5;x=y\r\nhello\r\n00a\r\n, world 12\r\n0\r\nTrailer: x\r\n\r\nmore",
    );
    assert_eq!(read.body, b"hello, world 12");
    assert!(read.early);
    assert_eq!(read.framing, b"5;x=y\r\n\r\n00a\r\n\r\n0\r\nTrailer: x\r\n\r\n");
}

#[test]
fn line_ends_without_cr_are_forgiven() {
    let read = whole(b"HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n5\nhello\n0\n\n");
    assert_eq!((&*read.body, read.early), (&b"hello"[..], true));
}

#[test]
fn some_answers_have_no_body() {
    for status in [204, 304] {
        let text = format!("HTTP/1.1 {status} X\r\nContent-Length: 5\r\n\r\n");
        let read = whole(text.as_bytes());
        assert_eq!((read.status, read.early), (Some(status), true));
    }
    assert!(whole(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").early);
}

#[test]
fn informational_answers_are_passed_over() {
    let read = whole(
        b"HTTP/1.1 100 Continue\r\nX: 1\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n\
          HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nno",
    );
    assert_eq!((read.status, &*read.body, read.early), (Some(404), &b"no"[..], true));
    assert_eq!(read.head, b"HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\n");
}

#[test]
fn status_lines() {
    for (line, status) in [
        ("HTTP/1.1 200 OK", Some(200)),
        ("HTTP/1.0 299", Some(299)),
        ("HTTP/1.1 503 ", Some(503)),
        ("HTTP/2 200", Some(200)),
        ("HTTP/1.1 2000 OK", None),
        ("HTTP/1.1 20 OK", None),
        ("HTTP/1.1 099 OK", None),
        ("HTTP/1.1 -20 OK", None),
        ("HTTP/1.1", None),
        ("HTTP/ 200 OK", None),
        ("HTTP/1.x 200 OK", None),
        ("HTTP/1.1\t200 OK", None),
        ("ICY 200 OK", None),
        ("", None),
    ] {
        let read = whole(format!("{line}\r\n\r\n").as_bytes());
        match status {
            Some(_) => assert_eq!(read.status, status, "{line}"),
            None => assert!(
                matches!(read.end, Some(Err(Malformed::NotHttp(_)))),
                "{line}: {:?}",
                read.end
            ),
        }
    }
}

#[test]
fn a_cut_answer_says_how_much_came() {
    let cut = |text: &[u8]| whole(text).end.expect("an end");
    assert_eq!(cut(b""), Err(Malformed::Nothing));
    assert_eq!(cut(b"HTT"), Err(Malformed::CutHead(3)));
    assert_eq!(cut(b"HTTP/1.1 200 OK\r\nX: 1\r\n"), Err(Malformed::CutHead(23)));
    assert_eq!(
        cut(b"HTTP/1.1 200 OK\r\nContent-Length: 512\r\n\r\nhellohello"),
        Ok(End::Cut { came: 10, of: Some(512) })
    );
    assert_eq!(
        cut(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"),
        Ok(End::Cut { came: 5, of: None })
    );
    assert_eq!(
        cut(b"junk").map_err(|error| error.to_string()),
        Err("not HTTP: \"junk\"".to_owned())
    );
}

#[test]
fn bad_framing_is_told() {
    let bad = |text: &str| {
        let read = whole(format!("HTTP/1.1 200 OK\r\n{text}").as_bytes());
        read.end.expect("an end").expect_err("a fault").to_string()
    };
    assert_eq!(bad("Content-Length: -1\r\n\r\n"), "a bad Content-Length: \"-1\"");
    assert_eq!(bad("Content-Length: 5, 6\r\n\r\n"), "a bad Content-Length: \"6\"");
    assert_eq!(bad("Content-Length: 99999999999999999999\r\n\r\n").len(), 44);
    let chunk = |text: &str| bad(&format!("Transfer-Encoding: chunked\r\n\r\n{text}"));
    assert_eq!(chunk("-5\r\n"), "a badly framed chunk: \"-5\\r\"");
    assert_eq!(chunk("\r\n"), "a badly framed chunk: \"\\r\"");
    assert_eq!(chunk("2\r\nhello"), "a badly framed chunk: \"l\"");
    assert_eq!(chunk("10000000000000000\r\n"), "a badly framed chunk: \"10000000000000000\\r\"");
    assert_eq!(
        whole(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\ncontent-length: 5\r\n\r\nhello").body,
        b"hello"
    );
}

#[test]
fn headers_and_framing_are_bounded() {
    let mut long = b"HTTP/1.1 200 OK\r\n".to_vec();
    long.resize(MAX_HEAD + 1, b'x');
    assert_eq!(whole(&long).end, Some(Err(Malformed::HeadTooLong)));
    let endless = b"HTTP/1.1 100 Continue\r\n\r\n".repeat(MAX_HEAD / 25 + 1);
    assert_eq!(whole(&endless).end, Some(Err(Malformed::HeadTooLong)));
    let chunked = |rest: Vec<u8>| {
        let mut text = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        text.extend(rest);
        whole(&text).end
    };
    assert!(matches!(chunked(vec![b'0'; 5000]), Some(Err(Malformed::BadChunk(_)))));
    let mut trailer = b"0\r\n".to_vec();
    trailer.extend(b"X: 1\r\n".repeat(4000));
    assert!(matches!(chunked(trailer), Some(Err(Malformed::BadChunk(_)))));
}

fn url() -> Url {
    Url {
        path: "/".to_owned(),
        digest: None,
        status: Vec::new(),
        virtualhost: None,
        regex: None,
        tls_compliant: None,
    }
}

fn regex(pattern: &str) -> Option<Box<Regex>> {
    Some(Box::new(Regex {
        pattern: pattern.to_owned(),
        negate: false,
        options: Vec::new(),
        min_offset: 0,
        max_offset: None,
        stack: None,
    }))
}

fn judge(url: &Url, text: &[u8]) -> Result<Answer, HttpFailure> {
    let (mut response, mut judge) = (Response::new(), Judge::new(url));
    let progress = response.take(text, &mut |piece| judge.take(&piece))?;
    let status = response.status().unwrap_or_default();
    judge.status(status)?;
    let end = match progress {
        Progress::Complete => End::Complete,
        Progress::More => response.end()?,
    };
    if let (Some(search), Some(regex)) = (judge.body(end)?, &url.regex) {
        let expression = Expression::new(regex).expect("an expression");
        let found = expression.find_in_answer(&search.answer, search.head);
        judge.found(found.map_err(Into::into), end)?;
    }
    Ok(Answer { status, bytes: judge.bytes() })
}

fn says(url: &Url, text: &[u8]) -> String {
    match judge(url, text) {
        Ok(answer) => answer.to_string(),
        Err(failure) => failure.to_string(),
    }
}

#[test]
fn status_is_2xx_or_what_is_written() {
    let answer =
        |status: u16| format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n").into_bytes();
    assert_eq!(says(&url(), &answer(200)), "HTTP 200, 0 bytes");
    assert_eq!(says(&url(), &answer(299)), "HTTP 299, 0 bytes");
    assert_eq!(says(&url(), &answer(503)), "HTTP 503, wanted 200-299");
    let written = Url { status: vec![(404, 404), (500, 502)], ..url() };
    assert_eq!(says(&written, &answer(501)), "HTTP 501, 0 bytes");
    assert_eq!(says(&written, &answer(200)), "HTTP 200, wanted 404 or 500-502");
}

const HELLO: [u8; 16] = [
    0x5d, 0x41, 0x40, 0x2a, 0xbc, 0x4b, 0x2a, 0x76, 0xb9, 0x71, 0x9d, 0x91, 0x10, 0x17, 0xc5, 0x92,
];

#[test]
fn digest_of_the_body() {
    let hello = Url { digest: Some(HELLO), ..url() };
    assert_eq!(says(&hello, b"HTTP/1.0 200 OK\r\n\r\nhello"), "HTTP 200, 5 bytes");
    assert_eq!(
        says(&hello, b"HTTP/1.0 200 OK\r\n\r\nHello"),
        "digest 8b1a9953c4611296a827abf8c47804d7, wanted 5d41402abc4b2a76b9719d911017c592"
    );
    assert_eq!(
        says(&hello, b"HTTP/1.0 200 OK\r\nContent-Length: 5120\r\n\r\nhell"),
        "connection closed after 4 of 5,120 bytes"
    );
    assert_eq!(
        says(&hello, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhell\r\n1\r\no\r\n0\r\n\r\n"),
        "HTTP 200, 5 bytes"
    );
}

// Keepalived's digest of a chunked body is that of its framing, too: somebody may have it in a file.
#[test]
fn digest_of_the_framing_will_do() {
    let framed = 0x79e9_489e_3bd3_f0cb_0158_2153_41de_046d_u128.to_be_bytes();
    let url = Url { digest: Some(framed), ..url() };
    let text = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    assert_eq!(says(&url, text), "HTTP 200, 5 bytes");
}

#[test]
fn text_in_the_answer() {
    let body = b"HTTP/1.0 200 OK\r\nX-Mood: good\r\n\r\nstatus: fine\n";
    let looking = |pattern: &str| Url { regex: regex(pattern), ..url() };
    assert_eq!(says(&looking("^status: (fine|well)$"), body), "HTTP 200, 13 bytes");
    assert_eq!(says(&looking("bad"), body), "no match for /bad/ in 13 bytes");
    // Keepalived finds what is in the headers, if they come together with the body.
    assert_eq!(says(&looking("X-Mood: good"), body), "HTTP 200, 13 bytes");
    let mut avoiding = looking("fine");
    avoiding.regex.as_mut().expect("there is one").negate = true;
    assert_eq!(says(&avoiding, body), "a match for /fine/, wanted none, in 13 bytes");
    assert_eq!(says(&avoiding, b"HTTP/1.0 200 OK\r\n\r\nbad"), "HTTP 200, 3 bytes");
    // Half an answer proves nothing.
    let half = b"HTTP/1.0 200 OK\r\nContent-Length: 20\r\n\r\nstatus:";
    assert_eq!(says(&avoiding, half), "connection closed after 7 of 20 bytes");
    assert_eq!(says(&looking("fine"), half), "connection closed after 7 of 20 bytes");
    assert_eq!(says(&looking("status"), half), "HTTP 200, 7 bytes");
    // As Keepalived: without anything that is wanted of the body, it may be cut off.
    assert_eq!(says(&url(), half), "HTTP 200, 7 bytes");
}

#[test]
fn what_is_searched_is_bounded() {
    let mut text = b"HTTP/1.0 200 OK\r\n\r\n".to_vec();
    text.extend(vec![b'x'; 3 * 1024 * 1024]);
    text.extend(b"end");
    let url = Url { regex: regex("end"), ..url() };
    assert_eq!(says(&url, &text), "no match for /end/ in the first 1,048,576 of 3,145,731 bytes");
}

/// Asks, with 3 s for each step, a server that does this, in a time that passes only when everybody
/// waits. Gives the result and how many seconds it took.
fn conversation<F: Future<Output = ()> + 'static>(
    serve: impl FnOnce(DuplexStream) -> F,
) -> (Result<Answer, Cause>, u64) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let (ours, theirs) = tokio::io::duplex(1024);
    let serve = serve(theirs);
    tokio::task::LocalSet::new().block_on(&runtime, async {
        tokio::task::spawn_local(serve);
        let began = Instant::now();
        let exchange = Exchange {
            request: b"GET / HTTP/1.0\r\n\r\n".to_vec(),
            url: &url(),
            clients: &Clients::default(),
            step: Duration::from_secs(3),
            until: began + Duration::from_secs(30),
            orderly: false,
        };
        (exchange.carry_out(ours).await, began.elapsed().as_secs())
    })
}

#[test]
fn a_server_may_pause_but_not_for_long() {
    let (result, seconds) = conversation(|mut stream| async move {
        for part in ["HTTP/1.0 200 OK\r\n", "Content-Length: 5\r\n\r\n", "hel", "lo"] {
            sleep(Duration::from_secs(2)).await;
            stream.write_all(part.as_bytes()).await.expect("sent");
        }
    });
    assert_eq!((result, seconds), (Ok(Answer { status: 200, bytes: 5 }), 8));

    let (result, seconds) = conversation(|mut stream| async move {
        stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhel").await.expect("sent");
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    let text = result.expect_err("it stalls").to_string();
    assert_eq!((&*text, seconds), ("nothing more within 3 s after 41 bytes", 3));

    let (result, seconds) = conversation(|mut stream| async move {
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    let silence = Cause::NoAnswer { within: Duration::from_secs(3) };
    assert_eq!((result, seconds), (Err(silence), 3));
}

#[test]
fn a_trickle_ends() {
    let (result, seconds) = conversation(|mut stream| async move {
        stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n").await.expect("sent");
        while stream.write_all(b"x").await.is_ok() {
            sleep(Duration::from_secs(1)).await;
        }
    });
    let text = result.expect_err("it does not end").to_string();
    let wanted = "not complete within 30 s, 49 bytes so far";
    assert_eq!((&*text, seconds), (wanted, 30));
}

#[test]
fn an_unwanted_status_is_told_at_once() {
    let (result, seconds) = conversation(|mut stream| async move {
        stream.write_all(b"HTTP/1.0 503 Busy\r\n\r\n").await.expect("sent");
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    let text = result.expect_err("it is busy").to_string();
    assert_eq!((&*text, seconds), ("HTTP 503, wanted 200-299", 0));
}

/// Responses that are nearly right.
fn response() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("HTTP/1.1 200 OK\r\n".to_owned()),
        Just("HTTP/1.1 100 Continue\r\n\r\n".to_owned()),
        Just("HTTP/1.0 404\n".to_owned()),
        Just("\r\n".to_owned()),
        Just("\n".to_owned()),
        Just("Content-Length: 7\r\n".to_owned()),
        Just("Transfer-Encoding: chunked\r\n".to_owned()),
        Just("0\r\n".to_owned()),
        "[0-9a-f]{1,3}(;x)?\r\n",
        "[a-zA-Z-]{1,9}: [ -~]{0,9}\r\n",
        "[ -~]{0,20}",
        "\\PC{0,3}",
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #[test]
    fn portions_do_not_matter(text in response(), cuts in proptest::collection::vec(0usize..200, 0..6)) {
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
        cuts.extend([0, text.len()]);
        cuts.sort_unstable();
        let portions: Vec<&[u8]> = cuts.windows(2).map(|two| &text[two[0]..two[1]]).collect();
        prop_assert_eq!(read(&portions), whole(&text));
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        prop_assert_eq!(read(&bytes), whole(&text));
    }

    #[test]
    fn chunked_bodies_come_back(parts in proptest::collection::vec("[ -~\r\n]{1,40}", 0..8)) {
        let mut text = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for part in &parts {
            text.extend(format!("{:X}\r\n{part}\r\n", part.len()).into_bytes());
        }
        text.extend(b"0\r\n\r\n");
        let read = whole(&text);
        prop_assert_eq!(read.body, parts.concat().into_bytes());
        prop_assert!(read.early);
    }
}
