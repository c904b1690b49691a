//! Real servers: listeners of this process in a machine's namespace, which behave as told and may
//! be told otherwise at any time.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use standfast_lab::Namespace;

/// What a TCP server does with a connection.
#[derive(Clone, Debug)]
pub(crate) enum Manner {
    /// Says this at once and closes.
    Says(Vec<u8>),
    /// Says this at once and waits until the client closes.
    Greets(&'static str),
    /// Reads a request up to its empty line, answers, closes.
    Answers(Vec<u8>),
    /// The answer of each path in turn: the first whose path the request names.
    AnswersPaths(Vec<(&'static str, Vec<u8>)>),
    /// The same over TLS.
    AnswersSecurely(Vec<u8>),
    /// A dialogue: a greeting, and an answer to each line.
    Talks(Vec<&'static str>),
    /// Sends back what comes, until the client closes.
    Echoes,
    /// Keeps the connection and says nothing.
    Silent,
    /// Closes at once.
    Closes,
    /// Resets at once.
    Resets,
}

/// An HTTP answer with this status and body.
pub(crate) fn http(status: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// A TCP server; its port is closed when it is dropped.
pub(crate) struct Tcp {
    listener: TcpListener,
    manner: Arc<Mutex<Manner>>,
    count: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl Tcp {
    pub(crate) fn serve(machine: &Namespace, address: &str, manner: Manner) -> Self {
        let address: SocketAddr = address.parse().expect("an address");
        let listener = machine.run(move || TcpListener::bind(address)).expect("listen");
        let manner = Arc::new(Mutex::new(manner));
        let count = Arc::new(AtomicUsize::new(0));
        let incoming = listener.try_clone().expect("a descriptor");
        let (shared, counter) = (Arc::clone(&manner), Arc::clone(&count));
        let thread = thread::spawn(move || {
            while let Ok((stream, _)) = incoming.accept() {
                counter.fetch_add(1, Ordering::Relaxed);
                let manner = shared.lock().unwrap_or_else(PoisonError::into_inner).clone();
                thread::spawn(move || behave(stream, &manner));
            }
        });
        Self { listener, manner, count, thread: Some(thread) }
    }

    /// From the next connection on.
    pub(crate) fn becomes(&self, manner: Manner) {
        *self.manner.lock().unwrap_or_else(PoisonError::into_inner) = manner;
    }

    /// How many connections there were so far.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

impl Drop for Tcp {
    fn drop(&mut self) {
        // Wakes the thread; accept() then fails.
        let _ =
            nix::sys::socket::shutdown(self.listener.as_raw_fd(), nix::sys::socket::Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Nothing lasts longer than this.
const PATIENCE: Duration = Duration::from_secs(60);

fn behave(mut stream: TcpStream, manner: &Manner) {
    let _ = stream.set_read_timeout(Some(PATIENCE));
    // Whatever the client does to us: the connection just ends.
    let _ = match manner {
        Manner::Says(words) => stream.write_all(words),
        Manner::Greets(name) => stream
            .write_all(name.as_bytes())
            .and_then(|()| stream.read_to_end(&mut Vec::new()))
            .map(drop),
        Manner::Answers(answer) => {
            head(&mut stream).and_then(|_| stream.write_all(answer)).map(|()| finish(&mut stream))
        }
        Manner::AnswersPaths(answers) => head(&mut stream).and_then(|request| {
            let answer = answers.iter().find(|(path, _)| request.contains(&format!(" {path} ")));
            stream
                .write_all(answer.map_or(&b"HTTP/1.0 404 Not Found\r\n\r\n"[..], |(_, it)| it))?;
            finish(&mut stream);
            Ok(())
        }),
        Manner::AnswersSecurely(answer) => securely(&mut stream, answer),
        Manner::Talks(lines) => talk(&mut stream, lines),
        Manner::Echoes => echo(&mut stream),
        Manner::Silent => stream.read_to_end(&mut Vec::new()).map(drop),
        Manner::Closes => Ok(()),
        Manner::Resets => socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)),
    };
}

/// What is still to come is read, so that closing does not reset the connection.
fn finish(stream: &mut TcpStream) {
    let _ = stream.shutdown(Shutdown::Write);
    let _ = stream.read_to_end(&mut Vec::new());
}

fn head(stream: &mut impl Read) -> std::io::Result<String> {
    let (mut text, mut chunk) = (Vec::new(), [0_u8; 2048]);
    while !text.windows(4).any(|four| four == b"\r\n\r\n") {
        let length = stream.read(&mut chunk)?;
        if length == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        text.extend(&chunk[..length]);
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn talk(stream: &mut TcpStream, lines: &[&str]) -> std::io::Result<()> {
    for (index, line) in lines.iter().enumerate() {
        if index > 0 {
            let mut byte = [0_u8; 1];
            while stream.read(&mut byte)? == 1 && byte[0] != b'\n' {}
        }
        stream.write_all(line.as_bytes())?;
        stream.write_all(b"\r\n")?;
    }
    finish(stream);
    Ok(())
}

fn echo(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut chunk = [0_u8; 2048];
    loop {
        let length = stream.read(&mut chunk)?;
        if length == 0 {
            return Ok(());
        }
        stream.write_all(&chunk[..length])?;
    }
}

fn securely(stream: &mut TcpStream, answer: &[u8]) -> std::io::Result<()> {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let certificate =
        CertificateDer::from_pem_slice(include_bytes!("tls/cert.pem")).expect("our certificate");
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("tls/key.pem")).expect("our key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("TLS 1.2 and 1.3")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("our certificate and its key");
    let mut session = rustls::ServerConnection::new(Arc::new(config)).expect("a session");
    let mut secure = rustls::Stream::new(&mut session, stream);
    head(&mut secure)?;
    secure.write_all(answer)?;
    secure.conn.send_close_notify();
    secure.flush()?;
    finish(stream);
    Ok(())
}

/// What a UDP server makes of a datagram; `None`: no answer.
pub(crate) type Reply = fn(&[u8]) -> Option<Vec<u8>>;

/// A UDP server; its port is closed when it is dropped.
pub(crate) struct Udp {
    reply: Arc<Mutex<Reply>>,
    stop: Arc<AtomicBool>,
    count: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl Udp {
    pub(crate) fn serve(machine: &Namespace, address: &str, reply: Reply) -> Self {
        let address: SocketAddr = address.parse().expect("an address");
        let socket = machine.run(move || UdpSocket::bind(address)).expect("bind");
        socket.set_read_timeout(Some(Duration::from_millis(100))).expect("a time-out");
        let reply = Arc::new(Mutex::new(reply));
        let stop = Arc::new(AtomicBool::new(false));
        let count = Arc::new(AtomicUsize::new(0));
        let (shared, stopped, counter) =
            (Arc::clone(&reply), Arc::clone(&stop), Arc::clone(&count));
        let thread = thread::spawn(move || {
            let mut chunk = [0_u8; 4096];
            while !stopped.load(Ordering::Relaxed) {
                let Ok((length, client)) = socket.recv_from(&mut chunk) else { continue };
                counter.fetch_add(1, Ordering::Relaxed);
                let reply = *shared.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(answer) = reply(&chunk[..length]) {
                    let _ = socket.send_to(&answer, client);
                }
            }
        });
        Self { reply, stop, count, thread: Some(thread) }
    }

    /// From the next datagram on.
    pub(crate) fn becomes(&self, reply: Reply) {
        *self.reply.lock().unwrap_or_else(PoisonError::into_inner) = reply;
    }

    /// How many datagrams there were so far.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

impl Drop for Udp {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
