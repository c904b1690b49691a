//! The commands that ask a running role: `status`, `explain`, `handover`, `events`.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use status::api::{Reply, Request};
use status::{Record, Snapshot, Timestamp};

/// The socket of a daemon with default paths.
pub(crate) const DEFAULT_SOCKET: &str = "/run/standfast/failover.sock";

/// Why a role could not be asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Nobody listens.
    #[error(
        "{}: {error}\nIs the daemon running, and may you read its socket (root may)? \
         A daemon with a pid file of its own has its socket beside it: --socket PATH",
        path.display()
    )]
    Connect {
        /// Where.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The conversation broke off.
    #[error("the role's answer: {0}")]
    Io(#[from] io::Error),
    /// The answer could not be read.
    #[error("the role's answer cannot be read (is it another version?): {0}")]
    Json(#[from] serde_json::Error),
    /// The role says no.
    #[error("{0}")]
    Refused(String),
    /// There is no such instance.
    #[error("there is no vrrp_instance {0}; there are: {1}")]
    NoInstance(String, String),
}

/// A conversation with a role.
pub(crate) struct Client {
    stream: UnixStream,
    reader: BufReader<UnixStream>,
}

impl Client {
    /// Connects.
    pub(crate) fn connect(path: &Path) -> Result<Self, Error> {
        let failed = |error| Error::Connect { path: path.to_owned(), error };
        let stream = UnixStream::connect(path).map_err(failed)?;
        stream.set_read_timeout(Some(Duration::from_secs(15)))?;
        let reader = BufReader::new(stream.try_clone()?);
        Ok(Self { stream, reader })
    }

    /// Asks one question.
    pub(crate) fn ask(&mut self, request: &Request) -> Result<Reply, Error> {
        let mut line = serde_json::to_string(request)?;
        line.push('\n');
        self.stream.write_all(line.as_bytes())?;
        self.reply()
    }

    fn reply(&mut self) -> Result<Reply, Error> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        match serde_json::from_str(&line)? {
            Reply::Error(reason) => Err(Error::Refused(reason)),
            reply => Ok(reply),
        }
    }

    fn snapshot(&mut self) -> Result<Snapshot, Error> {
        match self.ask(&Request::Status)? {
            Reply::Snapshot(snapshot) => Ok(*snapshot),
            other => Err(Error::Refused(format!("unexpected answer: {other:?}"))),
        }
    }
}

/// `standfast status`.
pub(crate) fn status(socket: &Path, json: bool) -> Result<String, Error> {
    let snapshot = Client::connect(socket)?.snapshot()?;
    if json {
        return Ok(serde_json::to_string_pretty(&snapshot)? + "\n");
    }
    Ok(status::text::status(&snapshot, &local_time))
}

/// `standfast explain INSTANCE`.
pub(crate) fn explain(socket: &Path, instance: &str, json: bool) -> Result<String, Error> {
    let snapshot = Client::connect(socket)?.snapshot()?;
    let Some(found) = snapshot.instances.iter().find(|i| i.name == instance) else {
        let names: Vec<_> = snapshot.instances.iter().map(|i| i.name.as_str()).collect();
        return Err(Error::NoInstance(instance.to_owned(), names.join(", ")));
    };
    if json {
        return Ok(serde_json::to_string_pretty(found)? + "\n");
    }
    Ok(status::text::explain(&snapshot, instance, &local_time).unwrap_or_default())
}

/// `standfast handover INSTANCE [--undo]`.
pub(crate) fn handover(socket: &Path, instance: &str, undo: bool) -> Result<String, Error> {
    let instance = instance.to_owned();
    let request = if undo { Request::Reclaim { instance } } else { Request::Handover { instance } };
    match Client::connect(socket)?.ask(&request)? {
        Reply::Done(text) => Ok(text + "\n"),
        other => Err(Error::Refused(format!("unexpected answer: {other:?}"))),
    }
}

/// `standfast events`: prints what is kept, and with `follow` what happens, until interrupted.
pub(crate) fn events(
    socket: &Path,
    instance: Option<&str>,
    follow: bool,
    json: bool,
    out: &mut dyn io::Write,
) -> Result<(), Error> {
    let mut client = Client::connect(socket)?;
    let wanted = |record: &Record| instance.is_none_or(|i| record.subject.as_deref() == Some(i));
    let subject = instance.map(str::to_owned);
    if let Reply::Records(records) = client.ask(&Request::History { subject })? {
        for record in records.iter().filter(|r| wanted(r)) {
            print_record(record, json, out)?;
        }
    }
    if !follow {
        return Ok(());
    }
    client.stream.set_read_timeout(None)?;
    let mut reply = client.ask(&Request::Events)?;
    loop {
        if let Reply::Event(record) = &reply
            && wanted(record)
        {
            print_record(record, json, out)?;
        }
        reply = client.reply()?;
    }
}

fn print_record(record: &Record, json: bool, out: &mut dyn io::Write) -> Result<(), Error> {
    if json {
        writeln!(out, "{}", serde_json::to_string(record)?)?;
    } else {
        writeln!(out, "{}  {}", local_time(record.time), record.message)?;
        for (label, text) in [("because", &record.cause), ("hint", &record.hint)] {
            if let Some(text) = text {
                writeln!(out, "    {label}: {text}")?;
            }
        }
    }
    Ok(out.flush()?)
}

fn local_time(time: Timestamp) -> String {
    sys::logging::local_time(time.secs())
}
