//! The commands that ask running roles: `status`, `explain`, `handover` here, `events` and
//! `server` in files of their own.
//!
//! Each role has its socket, and a configuration without virtual routers or without virtual
//! servers has no such role: what both can answer is asked of those that are there.

mod events;
mod server;

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use status::api::{Reply, Request};
use status::balancing::{RealServer, VirtualServer};
use status::{Balancing, Snapshot, Timestamp};

pub(crate) use self::events::events;
pub(crate) use self::server::{Order, duration, list, order, retry, weight};
use crate::supervisor::kind::Kind;

/// The failover role's socket of a daemon with default paths.
pub(crate) const FAILOVER_SOCKET: &str = "/run/standfast/failover.sock";
/// The balancer role's.
pub(crate) const BALANCER_SOCKET: &str = "/run/standfast/balancer.sock";
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// Why a role could not be asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Nobody listens.
    #[error(
        "{}: {error}\nIs the daemon running{}, and may you read its socket (root may)? \
         A daemon with a pid file of its own has its socket beside it: {} PATH",
        path.display(),
        work(*.kind),
        option(*.kind)
    )]
    Connect {
        /// Which role.
        kind: Kind,
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
    /// Nothing is called so.
    #[error("there is no {wanted} {name}; there are: {}", list_of(.known))]
    Unknown {
        /// What was looked for.
        wanted: &'static str,
        /// The name.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// What was waited for will not happen.
    #[error("{0}")]
    InVain(String),
}

fn option(kind: Kind) -> &'static str {
    match kind {
        Kind::Failover => "--socket",
        Kind::Balancer => "--balancer-socket",
    }
}

fn work(kind: Kind) -> &'static str {
    match kind {
        Kind::Failover => "",
        Kind::Balancer => " and are there virtual servers in its configuration",
    }
}

/// Names that a refusal lists at most.
const LISTED: usize = 20;

fn list_of(names: &[String]) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    let more = names.len().saturating_sub(LISTED);
    let listed = names.iter().take(LISTED).map(String::as_str).collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{listed} and {more} more") } else { listed }
}

/// The sockets to ask. Somebody who names one of them means that daemon, and it alone is asked: the
/// other default socket may be another daemon's.
#[derive(Clone, Debug)]
pub(crate) struct Sockets {
    failover: Option<PathBuf>,
    balancer: Option<PathBuf>,
}

impl Sockets {
    /// From the command line and the environment.
    pub(crate) fn new(failover: Option<PathBuf>, balancer: Option<PathBuf>) -> Self {
        if failover.is_none() && balancer.is_none() {
            return Self {
                failover: Some(FAILOVER_SOCKET.into()),
                balancer: Some(BALANCER_SOCKET.into()),
            };
        }
        Self { failover, balancer }
    }

    fn of(&self, kind: Kind) -> Option<&Path> {
        match kind {
            Kind::Failover => self.failover.as_deref(),
            Kind::Balancer => self.balancer.as_deref(),
        }
    }

    /// Connects to those roles that listen.
    ///
    /// # Errors
    /// None does, or one may not be asked.
    fn connect(&self) -> Result<Roles, Error> {
        let mut roles = Roles::default();
        let mut absent = None;
        for kind in Kind::ALL {
            let Some(path) = self.of(kind) else { continue };
            match Client::connect(kind, path) {
                Ok(client) => *roles.of_mut(kind) = Some(client),
                Err(Error::Connect { error, .. }) if nobody(&error) => {
                    if error.kind() == io::ErrorKind::ConnectionRefused {
                        roles.silent.push(kind);
                    }
                    absent.get_or_insert(Error::Connect { kind, path: path.to_owned(), error });
                }
                Err(error) => return Err(error),
            }
        }
        match absent {
            Some(error) if roles.failover.is_none() && roles.balancer.is_none() => Err(error),
            _ => Ok(roles),
        }
    }

    /// Connects to one role.
    fn connect_to(&self, kind: Kind) -> Result<Client, Error> {
        let default = match kind {
            Kind::Failover => FAILOVER_SOCKET,
            Kind::Balancer => BALANCER_SOCKET,
        };
        Client::connect(kind, self.of(kind).unwrap_or(Path::new(default)))
    }
}

/// Nobody is there, as opposed to somebody whom we may not ask.
fn nobody(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

/// The roles that answer.
#[derive(Default)]
struct Roles {
    failover: Option<Client>,
    balancer: Option<Client>,
    /// Those that were there, and have left their sockets behind.
    silent: Vec<Kind>,
}

impl Roles {
    fn of_mut(&mut self, kind: Kind) -> &mut Option<Client> {
        match kind {
            Kind::Failover => &mut self.failover,
            Kind::Balancer => &mut self.balancer,
        }
    }

    fn snapshots(&mut self) -> Result<(Option<Snapshot>, Option<Balancing>), Error> {
        let failover = self.failover.as_mut().map(Client::snapshot).transpose()?;
        let balancer = self.balancer.as_mut().map(Client::balancing).transpose()?;
        Ok((failover, balancer))
    }
}

/// A conversation with a role.
pub(crate) struct Client {
    stream: UnixStream,
    reader: BufReader<UnixStream>,
}

impl Client {
    fn connect(kind: Kind, path: &Path) -> Result<Self, Error> {
        let failed = |error| Error::Connect { kind, path: path.to_owned(), error };
        let stream = UnixStream::connect(path).map_err(failed)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let reader = BufReader::new(stream.try_clone()?);
        Ok(Self { stream, reader })
    }

    /// Asks one question.
    fn ask(&mut self, request: &Request) -> Result<Reply, Error> {
        self.say(request)?;
        self.reply()
    }

    fn say(&mut self, request: &Request) -> Result<(), Error> {
        let mut line = serde_json::to_string(request)?;
        line.push('\n');
        Ok(self.stream.write_all(line.as_bytes())?)
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
            other => Err(unexpected(&other)),
        }
    }

    fn balancing(&mut self) -> Result<Balancing, Error> {
        match self.ask(&Request::Status)? {
            Reply::Balancing(balancing) => Ok(*balancing),
            other => Err(unexpected(&other)),
        }
    }

    /// Gives an order; returns what the role says to it.
    fn order(&mut self, request: &Request) -> Result<String, Error> {
        match self.ask(request)? {
            Reply::Done(text) => Ok(text + "\n"),
            other => Err(unexpected(&other)),
        }
    }
}

fn unexpected(reply: &Reply) -> Error {
    Error::Refused(format!("unexpected answer: {reply:?}"))
}

/// `standfast status --json`: the failover role's state as ever, the balancer's inside of it.
#[derive(Serialize)]
struct Both<'a> {
    #[serde(flatten)]
    failover: Option<&'a Snapshot>,
    #[serde(skip_serializing_if = "Option::is_none")]
    balancing: Option<&'a Balancing>,
}

/// `standfast status`.
pub(crate) fn status(sockets: &Sockets, json: bool) -> Result<String, Error> {
    let mut roles = sockets.connect()?;
    let (failover, balancing) = roles.snapshots()?;
    if json {
        let both = Both { failover: failover.as_ref(), balancing: balancing.as_ref() };
        return Ok(serde_json::to_string_pretty(&both)? + "\n");
    }
    let mut out = String::new();
    match (&failover, &balancing) {
        (Some(snapshot), _) => out.push_str(&status::text::status(snapshot, &local_time)),
        (None, Some(balancing)) => {
            let node = &balancing.node;
            out.push_str(&format!(
                "{}: {} (configuration {} of {})\n",
                node.router_id,
                node.config_file,
                node.config_generation,
                local_time(node.config_time)
            ));
        }
        (None, None) => {}
    }
    if let Some(balancing) = &balancing {
        if failover.is_some() {
            out.push('\n');
        }
        out.push_str(&status::text::balancing::status(balancing));
    }
    for kind in roles.silent {
        out.push_str(&format!("! the {} role does not answer\n", kind.word()));
    }
    Ok(out)
}

/// What `standfast explain --json` prints about virtual and real servers.
#[derive(Serialize)]
struct Servers<'a> {
    virtual_servers: Vec<&'a VirtualServer>,
    real_servers: Vec<RealOf<'a>>,
}

/// A real server and whose it is.
#[derive(Serialize)]
struct RealOf<'a> {
    virtual_server: &'a str,
    #[serde(flatten)]
    real_server: &'a RealServer,
}

impl<'a> Servers<'a> {
    fn called(name: &str, all: &'a Balancing) -> Option<Self> {
        let virtual_servers: Vec<_> =
            all.virtual_servers.iter().filter(|v| v.answers_to(name)).collect();
        let real_servers: Vec<_> = all
            .virtual_servers
            .iter()
            .flat_map(|v| v.real_servers.iter().map(move |r| (v, r)))
            .filter(|(_, r)| r.answers_to(name))
            .map(|(v, r)| RealOf { virtual_server: &v.name, real_server: r })
            .collect();
        let any = !virtual_servers.is_empty() || !real_servers.is_empty();
        any.then_some(Self { virtual_servers, real_servers })
    }
}

/// `standfast explain NAME`: a virtual router, a virtual server or real servers.
pub(crate) fn explain(sockets: &Sockets, name: &str, json: bool) -> Result<String, Error> {
    let (failover, balancing) = sockets.connect()?.snapshots()?;
    let instances = failover.iter().flat_map(|snapshot| &snapshot.instances);
    if let Some(found) = instances.clone().find(|i| i.name == name)
        && let Some(snapshot) = &failover
    {
        return Ok(if json {
            serde_json::to_string_pretty(found)? + "\n"
        } else {
            status::text::explain(snapshot, name, &local_time).unwrap_or_default()
        });
    }
    let servers = balancing.as_ref().and_then(|all| Some((all, Servers::called(name, all)?)));
    if let Some((all, servers)) = servers {
        return Ok(if json {
            serde_json::to_string_pretty(&servers)? + "\n"
        } else {
            status::text::balancing::explain(all, name, &local_time).unwrap_or_default()
        });
    }
    let known = instances.map(|i| i.name.clone());
    let known = known.chain(balancing.iter().flat_map(server_names)).collect();
    let wanted = match (&failover, &balancing) {
        (_, None) => "vrrp_instance",
        (None, Some(_)) => "virtual or real server",
        (Some(_), Some(_)) => "vrrp_instance, virtual or real server",
    };
    Err(Error::Unknown { wanted, name: name.to_owned(), known })
}

/// The names of virtual servers, for a refusal.
fn server_names(all: &Balancing) -> impl Iterator<Item = String> {
    all.virtual_servers.iter().map(|v| v.name.clone())
}

/// `standfast handover INSTANCE [--undo]`.
pub(crate) fn handover(sockets: &Sockets, instance: &str, undo: bool) -> Result<String, Error> {
    let instance = instance.to_owned();
    let request = if undo { Request::Reclaim { instance } } else { Request::Handover { instance } };
    sockets.connect_to(Kind::Failover)?.order(&request)
}

fn local_time(time: Timestamp) -> String {
    sys::logging::local_time(time.secs())
}
