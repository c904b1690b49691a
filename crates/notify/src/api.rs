//! The role's unix socket: reads requests on threads of its own and passes them to the role's
//! thread, which answers from its state. Slow or silent clients cost a small thread, never time.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use status::Record;
use status::api::{MAX_REQUEST, Reply, Request};

/// Clients served at the same time; more are told to come back.
const MAX_CLIENTS: usize = 32;
/// Records waiting for one client of the event stream before it counts as too slow.
const STREAM_QUEUE: usize = 1024;
/// How long a client may take to read an answer or finish a line that it has begun.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(10);
/// How often it is looked whether a client of the event stream is still there.
const LISTENING: Duration = Duration::from_secs(1);
/// Client threads only parse and print JSON.
const STACK: usize = 256 * 1024;

/// One request on its way to the role's thread.
#[derive(Debug)]
pub struct Call {
    /// What is asked.
    pub request: Request,
    /// Where the answer goes. For [`Request::Events`] the sender is kept and gets every record.
    pub answer: SyncSender<Reply>,
}

/// The listening socket. Dropping it removes the socket file.
#[derive(Debug)]
pub struct Api {
    path: PathBuf,
    calls: Receiver<Call>,
    streams: Vec<SyncSender<Reply>>,
}

impl Api {
    /// Listens on `path` (mode 0600, a stale socket is replaced). `wake` tells the role's thread
    /// that a call waits.
    ///
    /// # Errors
    /// When another process listens there, or the socket cannot be made.
    pub fn listen(path: &Path, wake: Arc<dyn Fn() + Send + Sync>) -> io::Result<Self> {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        match fs::symlink_metadata(path) {
            Ok(found) if found.file_type().is_socket() => {
                if UnixStream::connect(path).is_ok() {
                    return Err(io::Error::new(
                        io::ErrorKind::AddrInUse,
                        "another process listens there",
                    ));
                }
                fs::remove_file(path)?;
            }
            Ok(_) => {
                return Err(io::Error::new(
                    io::ErrorKind::AlreadyExists,
                    "something that is not a socket is in the way",
                ));
            }
            Err(_) => {}
        }
        let listener = UnixListener::bind(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        let (to_role, calls) = channel();
        thread::Builder::new()
            .name("api".into())
            .stack_size(STACK)
            .spawn(move || accept_loop(&listener, &to_role, &wake))?;
        Ok(Self { path: path.to_owned(), calls, streams: Vec::new() })
    }

    /// The next request, if one waits.
    pub fn next_call(&self) -> Option<Call> {
        self.calls.try_recv().ok()
    }

    /// Sends every record from now on to this client.
    pub fn subscribe(&mut self, client: SyncSender<Reply>) {
        self.streams.push(client);
    }

    /// Tells the clients of the event stream; who does not keep up is cut off.
    pub fn publish(&mut self, record: &Record) {
        self.streams.retain(|client| client.try_send(Reply::Event(record.clone())).is_ok());
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        // Nothing to be done about a failure at this point; a later start replaces a stale socket.
        let _ = fs::remove_file(&self.path);
    }
}

type Wake = Arc<dyn Fn() + Send + Sync>;

fn accept_loop(listener: &UnixListener, to_role: &Sender<Call>, wake: &Wake) {
    let clients = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        let Ok(mut stream) = stream else {
            // Out of descriptors, most likely: let some clients finish.
            thread::sleep(Duration::from_millis(100));
            continue;
        };
        if clients.load(Ordering::Relaxed) >= MAX_CLIENTS {
            let _ = write_reply(&mut stream, &Reply::Error("too many clients, try again".into()));
            continue;
        }
        clients.fetch_add(1, Ordering::Relaxed);
        let (to_role, wake, count) = (to_role.clone(), wake.clone(), clients.clone());
        let spawned =
            thread::Builder::new().name("api-client".into()).stack_size(STACK).spawn(move || {
                // A client that hangs up in the middle is no event.
                let _ = serve(stream, &to_role, &wake);
                count.fetch_sub(1, Ordering::Relaxed);
            });
        if spawned.is_err() {
            clients.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

fn serve(mut stream: UnixStream, to_role: &Sender<Call>, wake: &Wake) -> io::Result<()> {
    stream.set_write_timeout(Some(CLIENT_TIMEOUT))?;
    stream.set_read_timeout(Some(CLIENT_TIMEOUT))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let mut line = Vec::new();
        reader.by_ref().take(MAX_REQUEST as u64).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Ok(());
        }
        if line.last() != Some(&b'\n') && line.len() >= MAX_REQUEST {
            return write_reply(&mut stream, &Reply::Error("the request is too long".into()));
        }
        let request = match serde_json::from_slice::<Request>(&line) {
            Ok(request) => request,
            Err(error) => {
                write_reply(&mut stream, &Reply::Error(format!("not a request: {error}")))?;
                continue;
            }
        };
        let is_stream = request == Request::Events;
        let (answer, replies) = sync_channel(if is_stream { STREAM_QUEUE } else { 1 });
        if to_role.send(Call { request, answer }).is_err() {
            return Ok(());
        }
        wake();
        if is_stream {
            return pass_on(&mut stream, &replies);
        }
        match replies.recv_timeout(CLIENT_TIMEOUT) {
            Ok(reply) => write_reply(&mut stream, &reply)?,
            Err(_) => {
                return write_reply(&mut stream, &Reply::Error("the role did not answer".into()));
            }
        }
    }
}

/// Writes events until the client hangs up or the role ends. Events may be days apart: a client that
/// has gone must not keep its place until the next one.
fn pass_on(stream: &mut UnixStream, events: &Receiver<Reply>) -> io::Result<()> {
    loop {
        match events.recv_timeout(LISTENING) {
            Ok(event) => write_reply(stream, &event)?,
            Err(RecvTimeoutError::Timeout) if has_hung_up(stream)? => return Ok(()),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}

/// Whether the other end is closed. One that only writes no more still listens.
fn has_hung_up(stream: &UnixStream) -> io::Result<bool> {
    let mut now = [PollFd::new(stream.as_fd(), PollFlags::empty())];
    poll(&mut now, PollTimeout::ZERO)?;
    let gone = PollFlags::POLLHUP | PollFlags::POLLERR;
    Ok(now[0].revents().is_some_and(|events| events.intersects(gone)))
}

fn write_reply(stream: &mut UnixStream, reply: &Reply) -> io::Result<()> {
    let mut text = serde_json::to_string(reply).map_err(io::Error::other)?;
    text.push('\n');
    stream.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::SyncSender as Answer;

    fn lines(stream: &UnixStream) -> BufReader<UnixStream> {
        BufReader::new(stream.try_clone().unwrap())
    }

    fn read(reader: &mut BufReader<UnixStream>) -> Reply {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    fn record() -> Record {
        Record {
            seq: 1,
            time: status::Timestamp::default(),
            severity: status::Severity::Info,
            subject: None,
            kind: "test".into(),
            from: None,
            to: None,
            message: "hello".into(),
            cause: None,
            hint: None,
        }
    }

    fn next(api: &Api) -> (Request, Answer<Reply>) {
        let call = api.calls.recv_timeout(Duration::from_secs(5)).unwrap();
        (call.request, call.answer)
    }

    #[test]
    fn a_request_reaches_the_role_and_its_answer_the_client() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sub/failover.sock");
        let api = Api::listen(&path, Arc::new(|| {})).unwrap();
        let mut client = UnixStream::connect(&path).unwrap();
        let mut reader = lines(&client);
        client.write_all(b"nonsense\n{\"request\":\"handover\",\"instance\":\"A\"}\n").unwrap();
        assert!(matches!(read(&mut reader), Reply::Error(text) if text.contains("not a request")));
        let (request, answer) = next(&api);
        assert_eq!(request, Request::Handover { instance: "A".into() });
        answer.send(Reply::Done("handed over".into())).unwrap();
        assert_eq!(read(&mut reader), Reply::Done("handed over".into()));
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(api);
        assert!(!path.exists());
    }

    #[test]
    fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("failover.sock");
        drop(UnixListener::bind(&path).unwrap());
        let api = Api::listen(&path, Arc::new(|| {})).unwrap();
        assert!(Api::listen(&path, Arc::new(|| {})).is_err());
        drop(api);
        fs::write(&path, "a file").unwrap();
        assert!(Api::listen(&path, Arc::new(|| {})).is_err());
    }

    #[test]
    fn the_event_stream_goes_on_and_a_slow_client_is_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("failover.sock");
        let mut api = Api::listen(&path, Arc::new(|| {})).unwrap();
        let (full, _kept) = sync_channel(1);
        full.send(Reply::Done(String::new())).unwrap();
        api.subscribe(full);
        let mut client = UnixStream::connect(&path).unwrap();
        client.write_all(b"{\"request\":\"events\"}\n").unwrap();
        let (request, answer) = next(&api);
        assert_eq!(request, Request::Events);
        api.subscribe(answer);
        api.publish(&record());
        assert_eq!(api.streams.len(), 1);
        assert_eq!(read(&mut lines(&client)), Reply::Event(record()));
    }

    #[test]
    fn clients_of_the_stream_that_have_gone_leave_their_places() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("failover.sock");
        let mut api = Api::listen(&path, Arc::new(|| {})).unwrap();
        let mut subscribe = || {
            let mut client = UnixStream::connect(&path).unwrap();
            client.write_all(b"{\"request\":\"events\"}\n").unwrap();
            let (_, answer) = next(&api);
            api.subscribe(answer);
            client
        };
        let listener = subscribe();
        // It has nothing more to ask, and goes on listening.
        listener.shutdown(std::net::Shutdown::Write).unwrap();
        drop((1..MAX_CLIENTS).map(|_| subscribe()).collect::<Vec<_>>());
        let begun = std::time::Instant::now();
        loop {
            let mut client = UnixStream::connect(&path).unwrap();
            // Refused clients find the connection closed, perhaps before they have written.
            let _ = client.write_all(b"nonsense\n");
            let mut line = String::new();
            let _ = lines(&client).read_line(&mut line);
            if line.contains("not a request") {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "the places stay taken: {line}");
            thread::sleep(Duration::from_millis(20));
        }
        api.publish(&record());
        assert_eq!(read(&mut lines(&listener)), Reply::Event(record()));
    }
}
