//! A balancer that stands still (its machine is paused, or it is busy) for longer than a time-out
//! takes no server for dead: what has come meanwhile counts, and who stood still with it may answer
//! afterwards.

mod plain_get;

use std::future::Future;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use config::model::balancer::Ssl;
use config::model::checker::{HttpProtocol, RecordType};
use standfast_checkers::dns::{self, Dns};
use standfast_checkers::http::{self, Http};
use standfast_checkers::smtp::{self, Smtp};
use standfast_checkers::tls::Clients;
use standfast_checkers::{Failure, Success, Target};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// `connect_timeout`; long enough for an answer on a machine that does much else.
const LIMIT: Duration = Duration::from_secs(2);

/// When a server may answer.
#[derive(Clone, Copy, Debug)]
enum Answer {
    /// While the balancer stands still: the answer lies in the socket's buffer.
    Meanwhile,
    /// Only when the balancer goes on.
    Afterwards,
}

/// The server's side of the gate: it was asked, and waits until it may answer.
struct Gate(UnboundedSender<()>, mpsc::Receiver<()>);

impl Gate {
    fn pass(&self) {
        self.0.send(()).expect("the balancer hears");
        self.1.recv().expect("it may answer");
    }
}

struct Keeper(UnboundedReceiver<()>, mpsc::Sender<()>);

fn gate() -> (Gate, Keeper) {
    let ((ask, asked), (open, opened)) = (unbounded_channel(), mpsc::channel());
    (Gate(ask, opened), Keeper(asked, open))
}

/// Looks in a process that stands still once the server was asked. What the check says.
fn look(
    mut keeper: Keeper,
    answer: Answer,
    server: JoinHandle<()>,
    look: impl Future<Output = Result<Success, Failure>>,
) -> String {
    let stand_still = async {
        keeper.0.recv().await.expect("the server is asked");
        if let Answer::Meanwhile = answer {
            keeper.1.send(()).expect("the server waits");
        }
        thread::sleep(2 * LIMIT);
        if let Answer::Afterwards = answer {
            // The look is over, and looked after, before the server is told.
            tokio::time::sleep(Duration::from_millis(1)).await;
            keeper.1.send(()).expect("the server waits");
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let both = async { tokio::join!(look, stand_still).0 };
    let says = match runtime.expect("a runtime").block_on(both) {
        Ok(success) => success.detail.to_string(),
        Err(failure) => failure.cause.to_string(),
    };
    server.join().expect("the server");
    says
}

fn both(meeting: fn(Answer) -> String, wanted: &str) {
    // At the same time: each takes a while.
    let first = thread::spawn(move || meeting(Answer::Meanwhile));
    assert_eq!(meeting(Answer::Afterwards), wanted);
    assert_eq!(first.join().expect("it ends"), wanted);
}

fn listen() -> (TcpListener, Target) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a socket");
    let mut target = Target::new(listener.local_addr().expect("an address"));
    target.timeout = LIMIT;
    (listener, target)
}

fn hear(mut stream: &TcpStream, end: &[u8]) {
    let (mut heard, mut byte) = (Vec::new(), [0]);
    while !heard.ends_with(end) {
        stream.read_exact(&mut byte).expect("more");
        heard.push(byte[0]);
    }
}

#[test]
fn web_servers() {
    fn meeting(answer: Answer) -> String {
        let ((gate, keeper), (listener, target)) = (gate(), listen());
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            hear(&stream, b"\r\n\r\n");
            gate.pass();
            stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nhello").expect("answered");
        });
        let settings = plain_get::http("/", HttpProtocol::V10);
        let check = Http { settings, target, ssl: Ssl::default() };
        look(keeper, answer, server, http::run(&check, 0, &Clients::default()))
    }
    both(meeting, "HTTP 200, 5 bytes");
}

#[test]
fn mail_servers() {
    fn meeting(answer: Answer) -> String {
        let ((gate, keeper), (listener, target)) = (gate(), listen());
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            gate.pass();
            // In portions: the time that was lost is there for all of them.
            stream.write_all(b"220-hello,\r\n").expect("said");
            stream.write_all(b"220 who is there?\r\n").expect("said");
            hear(&stream, b"\r\n");
            stream.write_all(b"250 ok\r\n").expect("said");
        });
        let check = Smtp { helo: "check.example".to_owned(), targets: vec![target] };
        look(keeper, answer, server, smtp::run(&check))
    }
    both(meeting, "SMTP 250 \"ok\"");
}

/// A question, as an answer without an error.
fn answered(question: &[u8]) -> Vec<u8> {
    let mut answer = question.to_vec();
    answer[2] |= 0x80;
    answer
}

fn ask(target: Target) -> Dns {
    let name = "www.example.com".to_owned();
    Dns { record: RecordType::A, name, expected: Vec::new(), target }
}

#[test]
fn name_servers() {
    fn meeting(answer: Answer) -> String {
        let (gate, keeper) = gate();
        let socket = UdpSocket::bind(("127.0.0.1", 0)).expect("a socket");
        let mut target = Target::new(socket.local_addr().expect("an address"));
        target.timeout = LIMIT;
        let server = thread::spawn(move || {
            let mut buffer = [0; 512];
            let (count, from) = socket.recv_from(&mut buffer).expect("a question");
            gate.pass();
            socket.send_to(&answered(&buffer[..count]), from).expect("answered");
        });
        look(keeper, answer, server, dns::run(&ask(target)))
    }
    both(meeting, "DNS NOERROR, answers: 0");
}

#[test]
fn name_servers_over_tcp() {
    fn meeting(answer: Answer) -> String {
        let (gate, keeper) = gate();
        // The same port for both, as name servers have it.
        let (socket, listener, mut target) = std::iter::repeat_with(listen)
            .take(100)
            .find_map(|(listener, target)| {
                Some((UdpSocket::bind(target.to).ok()?, listener, target))
            })
            .expect("a port that is free for both");
        target.timeout = LIMIT;
        let server = thread::spawn(move || {
            let mut buffer = [0; 512];
            let (count, from) = socket.recv_from(&mut buffer).expect("a question");
            let mut truncated = answered(&buffer[..count]);
            truncated[2] |= 0x02;
            socket.send_to(&truncated, from).expect("answered");
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut length = [0; 2];
            stream.read_exact(&mut length).expect("a length");
            let question = buffer.get_mut(..usize::from(u16::from_be_bytes(length)));
            let question = question.expect("a short question");
            stream.read_exact(question).expect("a question");
            gate.pass();
            stream.write_all(&length).expect("answered");
            stream.write_all(&answered(question)).expect("answered");
        });
        look(keeper, answer, server, dns::run(&ask(target)))
    }
    both(meeting, "DNS NOERROR, answers: 0 over TCP");
}
