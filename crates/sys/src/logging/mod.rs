//! Where log lines go: console, syslog, the journal, a file. Implements the `log` crate's `Log`.
//!
//! Whoever logs never waits, the timing thread least of all: a line that a sink cannot take at once
//! is dropped and counted, and the count is told as soon as a line gets through. There is no lock
//! between threads that log, so that a slow one cannot keep up a real-time one.
//!
//! | level | shown | syslog priority |
//! |---|---|---|
//! | error, warn, info | always | 3, 4, 6 |
//! | debug | with `-D` (detail 1) | 6 |
//! | trace | with `-D -D` (detail 2) | 7 |
//!
//! Libraries of others are heard with `-D -D` only: a TLS library has two lines for every connection,
//! and a warning whenever a server likes.

mod line;
mod time;

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::RwLock;
use std::sync::atomic::{AtomicU64, Ordering};

use log::{Level, LevelFilter, Log, Metadata, Record};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::write;

use crate::clock::unix_now;
use crate::fsafe;

pub use time::{local_time, local_time_micros};

const SYSLOG_SOCKET: &str = "/dev/log";
const JOURNAL_SOCKET: &str = "/run/systemd/journal/socket";
/// Permission bits of a log file that we create.
const FILE_MODE: u32 = 0o640;
/// What the names of the project's crates begin with.
const OURS: &str = "standfast";
/// LOG_DAEMON.
const DEFAULT_FACILITY: u8 = 3;

/// Where log lines shall go, and how they call themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The name in syslog and the journal, such as `Keepalived_vrrp`.
    pub ident: String,
    /// How much: 0 the normal, 1 details, 2 and more even more.
    pub detail: u8,
    /// To standard error, in Keepalived's form `Sat Nov 21 12:01:20 2026: text`. Where standard
    /// error is the journal (started by systemd), to the journal with priorities instead.
    pub console: bool,
    /// To the journal if there is one, else to /dev/log.
    pub syslog: bool,
    /// Syslog facility, 0 to 23; 3 is daemon, 16 to 23 are local0 to local7.
    pub facility: u8,
    /// To a file, in the form of the console.
    pub file: Option<PathBuf>,
    /// Let the file's data reach the disk with each line (`--flush-log-file`). Slow.
    pub flush: bool,
}

impl Settings {
    /// Standard error only, no details.
    pub fn console(ident: impl Into<String>) -> Self {
        Self {
            ident: ident.into(),
            detail: 0,
            console: true,
            syslog: false,
            facility: DEFAULT_FACILITY,
            file: None,
            flush: false,
        }
    }

    /// Syslog or journal only, facility daemon, no details.
    pub fn syslog(ident: impl Into<String>) -> Self {
        Self { console: false, syslog: true, ..Self::console(ident) }
    }
}

/// The process's logger.
#[derive(Debug)]
pub struct Logger {
    ident: String,
    facility: u8,
    console: bool,
    datagrams: Option<Datagrams>,
    path: Option<PathBuf>,
    /// Locked for writing only while the file is opened anew.
    file: RwLock<Option<File>>,
    flush: bool,
    /// Lines that no sink took since the last that one did.
    lost: AtomicU64,
    lost_ever: AtomicU64,
}

/// A socket that is not connected: the receiver may come, go and come again.
#[derive(Debug)]
struct Datagrams {
    socket: UnixDatagram,
    to: Protocol,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Journal,
    Syslog,
}

/// Makes this the logger of the process and returns it. A second call returns an error.
///
/// # Errors
/// The log file cannot be opened (nothing is installed then), or there is a logger already
/// (`AlreadyExists`).
pub fn install(settings: Settings) -> io::Result<&'static Logger> {
    let detail = settings.detail;
    let logger: &'static Logger = Box::leak(Box::new(Logger::open(settings, &Paths::default())?));
    log::set_logger(logger).map_err(|_| io::Error::from(io::ErrorKind::AlreadyExists))?;
    set_detail(detail);
    Ok(logger)
}

/// Changes how much is logged: 0 the normal, 1 details, 2 and more even more.
pub fn set_detail(detail: u8) {
    log::set_max_level(match detail {
        0 => LevelFilter::Info,
        1 => LevelFilter::Debug,
        _ => LevelFilter::Trace,
    });
}

/// The receivers' sockets; tests have their own.
#[derive(Debug)]
struct Paths {
    journal: PathBuf,
    syslog: PathBuf,
}

impl Default for Paths {
    fn default() -> Self {
        Self { journal: JOURNAL_SOCKET.into(), syslog: SYSLOG_SOCKET.into() }
    }
}

impl Logger {
    fn open(settings: Settings, paths: &Paths) -> io::Result<Self> {
        let file = settings.file.as_deref().map(open_file).transpose()?;
        time::prepare();
        let journal = paths.journal.exists();
        let console_is_journal = settings.console && journal && stderr_is_the_journal();
        let datagrams = if settings.syslog || console_is_journal {
            let to = if journal { Protocol::Journal } else { Protocol::Syslog };
            Some(Datagrams::open(to)?)
        } else {
            None
        };
        Ok(Self {
            ident: settings.ident,
            facility: settings.facility.min(23),
            console: settings.console && !console_is_journal,
            datagrams,
            path: settings.file,
            file: RwLock::new(file),
            flush: settings.flush,
            lost: AtomicU64::new(0),
            lost_ever: AtomicU64::new(0),
        })
    }

    /// Opens the log file anew, after somebody has moved it away.
    ///
    /// # Errors
    /// It cannot be opened; the old one stays in use.
    pub fn reopen(&self) -> io::Result<()> {
        if let Some(path) = &self.path {
            let file = open_file(path)?;
            if let Ok(mut slot) = self.file.write() {
                *slot = Some(file);
            }
        }
        Ok(())
    }

    /// How many lines were dropped since the start.
    pub fn lost(&self) -> u64 {
        self.lost_ever.load(Ordering::Relaxed)
    }

    /// Gives one line to all sinks; whether one that exists took it, or none exists.
    fn deliver(
        &self,
        level: Level,
        text: &str,
        fields: &[(String, String)],
        paths: &Paths,
    ) -> bool {
        let priority = priority(level);
        let mut delivered = true;
        if self.console || self.path.is_some() {
            let stamped = line::plain(&time::local_time(unix_now().as_secs()), text);
            if self.console {
                // Not through Rust's `Stderr`, which has a lock.
                delivered &= write_now(io::stderr(), stamped.as_bytes());
            }
            if let Ok(file) = self.file.read()
                && let Some(file) = file.as_ref()
            {
                delivered &= write_now(file, stamped.as_bytes());
                if self.flush {
                    delivered &= file.sync_data().is_ok();
                }
            }
        }
        match &self.datagrams {
            Some(Datagrams { socket, to: Protocol::Journal }) => {
                let message = line::journal(&self.ident, self.facility, priority, text, fields);
                delivered &= socket.send_to(&message, &paths.journal).is_ok();
            }
            Some(Datagrams { socket, to: Protocol::Syslog }) => {
                let stamp = time::syslog_time(unix_now().as_secs());
                let pid = std::process::id();
                for text in text.lines() {
                    let message =
                        line::syslog(self.facility, priority, &stamp, &self.ident, pid, text);
                    delivered &= socket.send_to(message.as_bytes(), &paths.syslog).is_ok();
                }
            }
            None => {}
        }
        delivered
    }

    fn log_to(&self, record: &Record<'_>, paths: &Paths) {
        let text = line::printable(&record.args().to_string());
        let fields = match &self.datagrams {
            Some(Datagrams { to: Protocol::Journal, .. }) => line::fields(record),
            _ => Vec::new(),
        };
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let note = format!("{lost} log line(s) lost: the log did not take them in time");
            if !self.deliver(Level::Warn, &note, &[], paths) {
                self.lost.fetch_add(lost, Ordering::Relaxed);
            }
        }
        if !self.deliver(record.level(), &text, &fields, paths) {
            self.lost.fetch_add(1, Ordering::Relaxed);
            self.lost_ever.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let most = log::max_level();
        let ours = metadata.target().starts_with(OURS);
        metadata.level() <= most && (ours || most == LevelFilter::Trace)
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            self.log_to(record, &Paths::default());
        }
    }

    fn flush(&self) {}
}

impl Datagrams {
    fn open(to: Protocol) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, to })
    }
}

fn open_file(path: &Path) -> io::Result<File> {
    fsafe::append(path, FILE_MODE)
}

/// Writes if that does not block now. A pipe that is ready has room for `PIPE_BUF` bytes.
fn write_now(sink: impl AsFd, bytes: &[u8]) -> bool {
    let sink = sink.as_fd();
    bytes.chunks(libc::PIPE_BUF).all(|chunk| {
        let mut fds = [PollFd::new(sink, PollFlags::POLLOUT)];
        let ready = matches!(poll(&mut fds, PollTimeout::ZERO), Ok(1..))
            && fds[0].revents().is_some_and(|events| events.contains(PollFlags::POLLOUT));
        ready && write(sink, chunk).is_ok_and(|written| written == chunk.len())
    })
}

fn priority(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        // Details were asked for: they shall not be filtered away as debugging.
        Level::Info | Level::Debug => 6,
        Level::Trace => 7,
    }
}

/// systemd tells the device and inode of the stream that it has connected to the journal.
fn stderr_is_the_journal() -> bool {
    std::env::var("JOURNAL_STREAM").is_ok_and(|stream| {
        nix::sys::stat::fstat(io::stderr())
            .is_ok_and(|file| stream == format!("{}:{}", file.st_dev, file.st_ino))
    })
}

#[cfg(test)]
mod tests;
