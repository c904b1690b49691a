//! What a check is: made from the checked model and the real server that it looks at.

use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;

use config::model::balancer::Ssl;
use config::model::checker::{Checker, CheckerKind, Connection, FileWeight};
use notify::settings::ScriptCommand;

use crate::bfd::Bfd;
use crate::dns::Dns;
use crate::file::File;
use crate::http::Http;
use crate::misc::Misc;
use crate::schedule::Settings;
use crate::smtp::Smtp;
use crate::target::Target;
use crate::udp::Udp;

/// Names a running check. The caller chooses it; it is never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CheckId(pub u64);

/// An order to run a check.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckSpec {
    /// Its name from now on.
    pub id: CheckId,
    /// Everything that it does. A reload leaves a check alone whose `Check` is equal.
    pub check: Rc<Check>,
    /// How it begins.
    pub start: Start,
}

/// How a check begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// It is new. With `alpha` it counts as down, otherwise as up; in both cases its first result
    /// is told, and without `alpha` a first failure counts at once, without retries.
    #[default]
    Fresh,
    /// It goes on where an earlier process left it: only changes are told.
    Resumed {
        /// Whether it was up.
        up: bool,
    },
}

/// A check of one real server, with every default resolved. Comparable, so that a reload can see
/// what did not change.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// What it does.
    pub kind: Kind,
    /// When.
    pub schedule: Settings,
    /// `log_all_failures`: failed attempts are worth a log line.
    pub log_all_failures: bool,
}

/// What a check does.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// `TCP_CHECK`
    Tcp(Target),
    /// `UDP_CHECK`
    Udp(Box<Udp>),
    /// `PING_CHECK`
    Ping(Target),
    /// `HTTP_GET` and `SSL_GET`
    Http(Box<Http>),
    /// `SMTP_CHECK`
    Smtp(Box<Smtp>),
    /// `DNS_CHECK`
    Dns(Box<Dns>),
    /// `MISC_CHECK`
    Misc(Box<Misc>),
    /// `FILE_CHECK`
    File(File),
    /// `BFD_CHECK`
    Bfd(Bfd),
}

impl Kind {
    /// The keyword that asked for it.
    pub fn keyword(&self) -> &'static str {
        match self {
            Self::Tcp(_) => "TCP_CHECK",
            Self::Udp(_) => "UDP_CHECK",
            Self::Ping(_) => "PING_CHECK",
            Self::Http(http) if http.settings.tls => "SSL_GET",
            Self::Http(_) => "HTTP_GET",
            Self::Smtp(_) => "SMTP_CHECK",
            Self::Dns(_) => "DNS_CHECK",
            Self::Misc(_) => "MISC_CHECK",
            Self::File(_) => "FILE_CHECK",
            Self::Bfd(_) => "BFD_CHECK",
        }
    }

    /// Whether it may say something about the weight.
    pub(crate) fn weighs(&self) -> bool {
        match self {
            Self::Misc(misc) => misc.dynamic,
            Self::File(_) => true,
            _ => false,
        }
    }

    /// Whether it waits for what others tell instead of looking itself.
    pub(crate) fn is_told(&self) -> bool {
        matches!(self, Self::File(_) | Self::Bfd(_))
    }
}

/// What a check needs to know about its place in the configuration.
#[derive(Clone, Debug)]
pub struct Surroundings<'a> {
    /// The real server.
    pub real: SocketAddr,
    /// `virtualhost` of the real or else of the virtual server.
    pub virtualhost: Option<&'a str>,
    /// `MISC_CHECK`: its command, resolved.
    pub script: Option<ScriptCommand>,
    /// `FILE_CHECK` without `weight`: that of the `track_file`.
    pub file_weight: Option<FileWeight>,
    /// The global `SSL` block.
    pub ssl: &'a Ssl,
}

impl Check {
    /// The check that the configuration asks for; `None` for a `MISC_CHECK` without a script that
    /// could be run.
    pub fn new(checker: &Checker, around: Surroundings<'_>) -> Option<Self> {
        let target = || match &checker.connection {
            Some(connection) => Target::resolve(connection, around.real),
            None => Target::new(around.real),
        };
        let schedule = &checker.schedule;
        let mut settings = Settings {
            delay_loop: schedule.delay_loop,
            retry: schedule.retry,
            delay_before_retry: schedule.delay_before_retry,
            warmup: schedule.warmup,
            alpha: checker.alpha,
            steps: 1,
            retry_when_down: matches!(checker.kind, CheckerKind::Tcp | CheckerKind::Smtp { .. }),
            from_start: matches!(checker.kind, CheckerKind::Misc(_)),
            fast_recovery: false,
        };
        let kind = match &checker.kind {
            CheckerKind::Tcp => Kind::Tcp(target()),
            CheckerKind::Ping => Kind::Ping(target()),
            CheckerKind::Udp { payload, reply } => Kind::Udp(Box::new(Udp {
                payload: payload.as_deref().map(<[u8]>::to_vec),
                reply: reply.as_deref().cloned(),
                target: target(),
            })),
            CheckerKind::Http(http) => {
                settings.steps = u32::try_from(http.urls.len()).unwrap_or(u32::MAX);
                settings.fast_recovery = http.fast_recovery;
                let mut http = (**http).clone();
                http.virtualhost = http.virtualhost.or(around.virtualhost.map(str::to_owned));
                Kind::Http(Box::new(Http {
                    settings: http,
                    target: target(),
                    ssl: around.ssl.clone(),
                }))
            }
            CheckerKind::Smtp { helo, hosts } => Kind::Smtp(Box::new(Smtp {
                helo: helo.to_string(),
                targets: smtp_targets(checker.connection.as_ref(), hosts, around.real),
            })),
            CheckerKind::Dns { record, name, expected } => Kind::Dns(Box::new(Dns {
                record: *record,
                name: name.to_string(),
                expected: expected.to_vec(),
                target: target(),
            })),
            CheckerKind::Misc(misc) => Kind::Misc(Box::new(Misc {
                command: around.script?,
                timeout: misc.timeout.value,
                dynamic: misc.dynamic,
            })),
            CheckerKind::File { file, weight } => Kind::File(File {
                file: file.text.as_str().into(),
                weight: weight
                    .or(around.file_weight)
                    .unwrap_or(FileWeight { value: 1, reverse: None }),
            }),
            CheckerKind::Bfd { session } => {
                Kind::Bfd(Bfd { session: session.text.as_str().into() })
            }
        };
        Some(Self { kind, schedule: settings, log_all_failures: checker.log_all_failures })
    }
}

/// `host` blocks, and the check's own place where it says something about it or there are none.
fn smtp_targets(own: Option<&Connection>, hosts: &[Connection], real: SocketAddr) -> Vec<Target> {
    let speaks = |c: &&Connection| {
        c.ip.is_some()
            || c.port.is_some()
            || c.bind_address.is_some()
            || c.bind_port.is_some()
            || c.bind_interface.is_some()
            || c.fwmark.is_some()
    };
    let own_target = || own.map_or_else(|| Target::new(real), |own| Target::resolve(own, real));
    let mut targets: Vec<Target> = hosts.iter().map(|host| Target::resolve(host, real)).collect();
    if targets.is_empty() || own.as_ref().is_some_and(speaks) {
        targets.insert(0, own_target());
    }
    targets
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.keyword())
    }
}
