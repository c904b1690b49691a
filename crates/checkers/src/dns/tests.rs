//! Questions as they are on the wire, and name servers that do as they please.

use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::thread;

use hickory_proto::op::Message;
use hickory_proto::rr::rdata::{A, MX, TXT};
use hickory_proto::rr::{Name, RData, Record};

use super::*;

// Captured from Keepalived 2.2.7, but for the last: it sends one byte too many after a name with a
// dot at its end.
#[test]
fn questions_are_byte_for_byte_keepalived_s() {
    let query = |id, record, name| Query::new(id, record, name).expect("a name").bytes().to_vec();
    let soa = [0x5f, 0x19, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 6, 0, 1];
    assert_eq!(query(0x5f19, RecordType::Soa, "."), soa);
    let www = b"\x1d\xb1\x01\0\0\x01\0\0\0\0\0\0\x03www\x07example\x03com\0\0\x01\0\x01";
    assert_eq!(query(0x1db1, RecordType::A, "www.example.com"), www);
    let rrsig = b"\x2a\x3b\x01\0\0\x01\0\0\0\0\0\0\x07example\x03com\0\0\x2e\0\x01";
    assert_eq!(query(0x2a3b, RecordType::Rrsig, "example.com."), rrsig);
    assert_eq!(Query::new(1, RecordType::A, &"x".repeat(64)), None);
    assert_eq!(Query::new(1, RecordType::A, "a..b"), None);
}

#[test]
fn heads() {
    let query = Query::new(0x0102, RecordType::A, ".").expect("a name");
    let read = |bytes: &[u8]| head(bytes, &query);
    let answer = [1, 2, 0x81, 0x80, 0, 1, 0, 7, 0, 0, 0, 0];
    assert_eq!(read(&answer), Ok(Head { code: 0, truncated: false, answers: 7 }));
    assert_eq!(read(&answer[..11]), Err(Stray::Short(11)));
    assert_eq!(read(&[9, 2, 0x81, 0x80, 0, 1, 0, 7, 0, 0, 0, 0]), Err(Stray::OtherId));
    assert_eq!(read(query.bytes()), Err(Stray::Question));
    let refused = read(&[1, 2, 0x83, 0x85, 0, 1, 0, 0, 0, 0, 0, 0]);
    assert_eq!(refused, Ok(Head { code: 5, truncated: true, answers: 0 }));
}

#[test]
fn expected_records_may_be_written_in_several_ways() {
    let came = ["198.51.100.7", "2001:db8::7", "10 mail.example.net.", "v=spf1 -all", "a b"];
    let came = came.map(str::to_owned);
    for text in
        ["198.51.100.7", "2001:DB8:0::7", "10  Mail.Example.NET", "\"v=spf1 -all\"", "\"a\" \"b\""]
    {
        assert!(message::missing(&[text.to_owned()], &came).is_empty(), "{text}");
    }
    let missing = ["198.51.100.8".to_owned(), "20 mail.example.net".to_owned()];
    assert_eq!(message::missing(&missing, &came), missing);
}

type Reply = fn(Message) -> Vec<Vec<u8>>;

/// A name server that answers one question by UDP with these datagrams, and then one by TCP.
fn serve(udp: Reply, tcp: Option<Reply>) -> (Target, thread::JoinHandle<()>) {
    // The same port for both, as name servers have it.
    let (socket, listener) = std::iter::repeat_with(|| {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a socket");
        let to = listener.local_addr().expect("an address");
        (UdpSocket::bind(to), listener)
    })
    .take(100)
    .find_map(|(socket, listener)| Some((socket.ok()?, listener)))
    .expect("a port that is free for both");
    let target = Target::new(socket.local_addr().expect("an address"));
    let server = thread::spawn(move || {
        let mut buffer = [0; 2048];
        let (count, from) = socket.recv_from(&mut buffer).expect("a question");
        let question = Message::from_vec(&buffer[..count]).expect("a message");
        for datagram in udp(question) {
            socket.send_to(&datagram, from).expect("answered");
        }
        let Some(tcp) = tcp else { return };
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut length = [0; 2];
        stream.read_exact(&mut length).expect("a length");
        let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut bytes).expect("a question");
        let question = Message::from_vec(&bytes).expect("a message");
        for bytes in tcp(question) {
            let length = u16::try_from(bytes.len()).expect("short");
            stream.write_all(&length.to_be_bytes()).expect("answered");
            stream.write_all(&bytes).expect("answered");
        }
    });
    (target, server)
}

fn answer(question: Message, change: impl FnOnce(&mut Message)) -> Vec<u8> {
    let mut answer = question.into_response();
    change(&mut answer);
    answer.to_vec().expect("a message")
}

fn with_records(question: Message) -> Vec<u8> {
    answer(question, |answer| {
        let name = Name::from_ascii("www.example.com.").expect("a name");
        for data in [
            RData::A(A::new(198, 51, 100, 7)),
            RData::MX(MX::new(10, Name::from_ascii("mail.example.net.").expect("a name"))),
            RData::TXT(TXT::new(vec!["v=spf1 -all".to_owned()])),
        ] {
            answer.add_answer(Record::from_rdata(name.clone(), 60, data));
        }
    })
}

/// What the check says, without the place and the time.
fn meeting(udp: Reply, tcp: Option<Reply>, expected: &[&str], millis: u64) -> String {
    let (mut target, server) = serve(udp, tcp);
    target.timeout = Duration::from_millis(millis);
    let check = Dns {
        record: RecordType::A,
        name: "www.example.com".to_owned(),
        expected: expected.iter().map(|text| (*text).to_owned()).collect(),
        target,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let text = match runtime.expect("a runtime").block_on(run(&check)) {
        Ok(success) => success.detail.to_string(),
        Err(failure) => failure.cause.to_string(),
    };
    server.join().expect("the server");
    text
}

const LONG: u64 = 60_000;

#[test]
fn an_answer_without_an_error_will_do() {
    let empty: Reply = |question| vec![answer(question, |_| {})];
    assert_eq!(meeting(empty, None, &[], LONG), "DNS NOERROR, answers: 0");
    assert_eq!(meeting(|q| vec![with_records(q)], None, &[], LONG), "DNS NOERROR, answers: 3");
    // Even if the records cannot be read: Keepalived does not look at them.
    let cut: Reply = |question| vec![with_records(question)[..12].to_vec()];
    assert_eq!(meeting(cut, None, &[], LONG), "DNS NOERROR, answers: 3");
    assert_eq!(
        meeting(cut, None, &["198.51.100.7"], LONG),
        "the records of the DNS answer cannot be read"
    );
}

#[test]
fn errors_have_names() {
    let servfail: Reply = |question| {
        vec![answer(question, |answer| {
            answer.metadata.response_code = hickory_proto::op::ResponseCode::ServFail;
        })]
    };
    assert_eq!(meeting(servfail, None, &[], LONG), "DNS SERVFAIL, wanted NOERROR");
}

#[test]
fn records_may_be_expected() {
    let full: Reply = |question| vec![with_records(question)];
    let all = ["198.51.100.7", "10 mail.example.net", "\"v=spf1 -all\""];
    assert_eq!(meeting(full, None, &all, LONG), "DNS NOERROR, answers: 3");
    assert_eq!(
        meeting(full, None, &["198.51.100.7", "198.51.100.8"], LONG),
        "the DNS answer lacks 198.51.100.8; \
         it has 198.51.100.7, 10 mail.example.net., v=spf1 -all"
    );
    let empty: Reply = |question| vec![answer(question, |_| {})];
    assert_eq!(meeting(empty, None, &["a"], LONG), "the DNS answer lacks a; it is empty");
}

#[test]
fn what_does_not_fit_the_question_is_passed_over() {
    let late: Reply = |question| {
        let mut other = with_records(question.clone());
        other[0] ^= 1;
        let own = question.to_vec().expect("a message");
        vec![other, own, vec![1, 2, 3], with_records(question)]
    };
    assert_eq!(meeting(late, None, &[], LONG), "DNS NOERROR, answers: 3");
    let strange: Reply = |question| {
        let mut other = with_records(question);
        other[0] ^= 1;
        vec![vec![1, 2, 3], other]
    };
    assert_eq!(
        meeting(strange, None, &[], 2000),
        "no answer within 2 s, only 2 that did not fit, the last with another id"
    );
    assert_eq!(meeting(|_| Vec::new(), None, &[], 100), "no answer within 0.1 s");
}

#[test]
fn what_does_not_fit_a_packet_is_asked_for_over_tcp() {
    let truncated: Reply =
        |question| vec![answer(question, |answer| answer.metadata.truncation = true)];
    let full: Reply = |question| vec![with_records(question)];
    assert_eq!(
        meeting(truncated, Some(full), &["198.51.100.7"], LONG),
        "DNS NOERROR, answers: 3 over TCP"
    );
    assert_eq!(
        meeting(truncated, Some(|_| Vec::new()), &[], LONG),
        "connection closed before the DNS answer over TCP"
    );
    assert_eq!(
        meeting(truncated, Some(|_| vec![vec![0; 3]]), &[], LONG),
        "a DNS answer over TCP of 3 bytes"
    );
}

#[test]
fn a_closed_port_is_told_at_once() {
    let socket = UdpSocket::bind(("127.0.0.1", 0)).expect("a socket");
    let target = Target::new(socket.local_addr().expect("an address"));
    drop(socket);
    let check = Dns { record: RecordType::Soa, name: ".".to_owned(), expected: Vec::new(), target };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let failure = runtime.expect("a runtime").block_on(run(&check)).expect_err("nobody is there");
    assert_eq!(failure.cause, Cause::Refused);
}
