//! The whole state of the balancer role at one moment, as clients see it: virtual servers, their
//! real servers, checks and what the operator has ordered.
//!
//! Names are Keepalived's: a virtual server is `[198.51.100.1]:tcp:80`, `FWM 3` or
//! `[GROUP]:tcp:80`, a real server `[10.0.0.2]:tcp:80`. [`VirtualServer::answers_to`] and
//! [`RealServer::answers_to`] know what people write instead.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::snapshot::Node;
use crate::{Record, Timestamp};

mod names;

pub use names::{ALL, Wanted};

/// The state of the balancer role.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Balancing {
    /// [`crate::SCHEMA`] of the role that made it.
    pub schema: u32,
    /// When it was made.
    pub time: Timestamp,
    /// About the process.
    pub node: Node,
    /// IPVS in this kernel.
    pub ipvs: Ipvs,
    /// Virtual servers, in the order of the configuration.
    pub virtual_servers: Vec<VirtualServer>,
    /// What the role could not honour or noticed, in sentences.
    pub notices: Vec<String>,
}

/// IPVS as the role sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ipvs {
    /// Whether the kernel has it and lets us use it.
    pub available: bool,
    /// When that became so.
    pub since: Timestamp,
    /// Why it is not available; `None` when it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// Seconds until it is tried again without being asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_in: Option<f64>,
    /// How many changes of somebody else to our part of the table were put right.
    #[serde(default)]
    pub repaired: u64,
    /// Requests that the kernel refuses, in sentences; of more than 16 the rest is counted in a
    /// last one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<String>,
    /// The synchronisation daemons that this role runs (`lvs_sync_daemon` without an instance).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sync_daemons: Vec<String>,
}

/// Whether something serves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Health {
    /// Nothing is known yet; it is treated as `alpha` says.
    #[default]
    Unknown,
    /// It serves.
    Up,
    /// It does not.
    Down,
}

impl Health {
    /// The word that logs and FIFOs use.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::Up => "UP",
            Self::Down => "DOWN",
        }
    }
}

impl std::fmt::Display for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.word())
    }
}

/// A `virtual_server` block.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct VirtualServer {
    /// Its name in logs and FIFO lines: `[198.51.100.1]:tcp:80`, `FWM 3`, `[GROUP]:tcp:80`.
    pub name: String,
    /// `tcp`, `udp`, `sctp`; empty for a firewall mark.
    #[serde(default)]
    pub protocol: String,
    /// The kernel's services that it stands for: one, or several for a group.
    pub services: Vec<Service>,
    /// Whether it has its quorum.
    pub state: Health,
    /// When it became what it is.
    pub since: Timestamp,
    /// Why, in one sentence; empty at the start.
    #[serde(default)]
    pub cause: String,
    /// Weight of the real servers that serve.
    pub weight: u64,
    /// The weight that it needs (`quorum`).
    pub quorum: u32,
    /// `hysteresis`.
    #[serde(default)]
    pub hysteresis: u32,
    /// The server that answers when the quorum is lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sorry_server: Option<SorryServer>,
    /// Whether its checks wait because its address is not on this host (`ha_suspend`).
    #[serde(default)]
    pub suspended: bool,
    /// Settings that the dump files print.
    pub settings: Settings,
    /// Its real servers, in the order of the configuration; those found by one DNS name together.
    pub real_servers: Vec<RealServer>,
    /// The last notable events about it and its real servers, oldest first.
    #[serde(default)]
    pub history: Vec<Record>,
}

/// A service of the kernel's table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// As `ipvsadm` prints it: `TCP 198.51.100.1:80`, `FWM 3`.
    pub text: String,
    /// Whether it is in the kernel because of us.
    pub set: bool,
    /// Its counters; zero while it is not in the kernel.
    #[serde(default)]
    pub counters: Counters,
}

/// Counters of a service or a destination, from the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Connections scheduled.
    pub connections: u64,
    /// Packets from clients.
    pub packets_in: u64,
    /// Packets to clients (NAT only).
    pub packets_out: u64,
    /// Bytes from clients.
    pub bytes_in: u64,
    /// Bytes to clients (NAT only).
    pub bytes_out: u64,
}

/// `sorry_server`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SorryServer {
    /// Where: `[10.0.0.9]:tcp:80`.
    pub name: String,
    /// Whether it answers now.
    pub active: bool,
    /// `sorry_server_inhibit`.
    #[serde(default)]
    pub inhibit: bool,
    /// Connections that the kernel counts.
    #[serde(default)]
    pub connections: Connections,
}

/// Connections of a destination, counted by the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connections {
    /// Established ones.
    pub active: u64,
    /// Others that are remembered (closing, UDP).
    pub inactive: u64,
    /// Persistence templates.
    pub persistent: u64,
}

/// What an operator has ordered for a real server.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "order")]
pub enum Order {
    /// This weight instead of the configured one.
    Weight {
        /// The weight.
        weight: u32,
    },
    /// No new connections; out once the open ones have ended, or at the deadline.
    Drain {
        /// Seconds from now until it is taken out in any case; `None`: it waits.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deadline_in: Option<f64>,
        /// Whether the connections have ended, or the deadline has passed.
        #[serde(default)]
        finished: bool,
    },
    /// Out at once.
    Disable,
}

/// The weight of a real server and where it comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weight {
    /// In the configuration (or the SRV record).
    pub configured: u32,
    /// What checks add to it (`misc_dynamic`, `FILE_CHECK`).
    #[serde(default)]
    pub checks: i64,
    /// What it weighs now: 0 while it is down, drained or disabled.
    pub effective: u32,
}

/// A real server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RealServer {
    /// Its name in logs and FIFO lines: `[10.0.0.2]:tcp:80`. For a DNS name without an answer:
    /// `web.example.com:80`.
    pub name: String,
    /// Where it is; `None` while a DNS name has no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<SocketAddr>,
    /// The DNS name that it was found by, with the configured port if there is one:
    /// `web.example.com:80`, `_http._tcp.example.com`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found_by: Option<String>,
    /// Whether it serves as far as its checks know.
    pub state: Health,
    /// When it became what it is.
    pub since: Timestamp,
    /// Why: the failure of the check that took it down, in one sentence; empty at the start.
    #[serde(default)]
    pub cause: String,
    /// Its weight.
    pub weight: Weight,
    /// What an operator has ordered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Order>,
    /// When it was ordered, or when a drain ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordered: Option<Timestamp>,
    /// `NAT`, `DR`, `TUN`.
    pub forwarding: String,
    /// Whether it is in the kernel because of us; its weight there may be 0.
    pub set: bool,
    /// Connections that the kernel counts.
    #[serde(default)]
    pub connections: Connections,
    /// The kernel's counters.
    #[serde(default)]
    pub counters: Counters,
    /// `inhibit_on_failure`.
    #[serde(default)]
    pub inhibit: bool,
    /// `uthreshold`, 0 for none.
    #[serde(default)]
    pub upper_threshold: u32,
    /// `lthreshold`, 0 for none.
    #[serde(default)]
    pub lower_threshold: u32,
    /// `notify_up`, `notify_down`: keyword and command line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scripts: Vec<(String, String)>,
    /// `alpha`.
    #[serde(default)]
    pub alpha: bool,
    /// `smtp_alert`.
    #[serde(default)]
    pub smtp_alert: bool,
    /// `virtualhost`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub virtualhost: Option<String>,
    /// `delay_loop` in seconds.
    #[serde(default)]
    pub delay_loop: f64,
    /// Its checks.
    pub checks: Vec<Check>,
}

/// A health check.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// The keyword: `TCP_CHECK`, `HTTP_GET`, …
    pub kind: String,
    /// What it asks: an address and port, a script, a file.
    pub target: String,
    /// What it says.
    pub state: Health,
    /// When it began to say so.
    pub since: Timestamp,
    /// The last result in one sentence; empty before the first.
    #[serde(default)]
    pub last: String,
    /// When that was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_time: Option<Timestamp>,
    /// Seconds until it runs again; `None` while it runs, waits for an event, or is suspended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_in: Option<f64>,
    /// Failures in a row that were forgiven so far.
    #[serde(default)]
    pub failures: u32,
    /// Whether it waits because of `ha_suspend`.
    #[serde(default)]
    pub suspended: bool,
    /// What it adds to the weight.
    #[serde(default)]
    pub adds: i64,
    /// Settings as the dump file prints them: label and value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<(String, String)>,
}

/// Settings of a virtual server as the dump files print them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// `delay_loop` in seconds.
    pub delay_loop: f64,
    /// `lvs_sched`.
    pub scheduler: String,
    /// Scheduler flags: `flag-1` (`sh-fallback`, `mh-fallback`), `flag-2` (`sh-port`, `mh-port`),
    /// `flag-3`.
    #[serde(default)]
    pub flags: Vec<String>,
    /// `lvs_method`: `NAT`, `DR`, `TUN`.
    pub forwarding: String,
    /// `ops`.
    #[serde(default)]
    pub one_packet: bool,
    /// `persistence_timeout` in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistence_timeout: Option<u64>,
    /// `persistence_granularity`: prefix length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistence_granularity: Option<u8>,
    /// `persistence_engine`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistence_engine: Option<String>,
    /// `virtualhost`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub virtualhost: Option<String>,
    /// `alpha`.
    #[serde(default)]
    pub alpha: bool,
    /// `omega`.
    #[serde(default)]
    pub omega: bool,
    /// `ha_suspend`.
    #[serde(default)]
    pub ha_suspend: bool,
    /// `smtp_alert`.
    #[serde(default)]
    pub smtp_alert: bool,
    /// `quorum_up`, `quorum_down`: keyword and command line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scripts: Vec<(String, String)>,
    /// The group's name, for `virtual_server group`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The mark, for `virtual_server fwmark`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<u32>,
    /// The address, for `virtual_server IP PORT`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<SocketAddr>,
    /// 4 or 6.
    #[serde(default)]
    pub ip_version: u8,
}

impl Balancing {
    /// The virtual servers that `text` means; [`ALL`] means every one.
    ///
    /// # Errors
    /// None is called so: a sentence that lists what there is, the likeliest first.
    pub fn virtual_servers_called(&self, text: &str) -> Result<Vec<&VirtualServer>, String> {
        names::select(
            "virtual server",
            text,
            &self.virtual_servers,
            VirtualServer::answers_to,
            |v| &v.name,
        )
    }
}

impl VirtualServer {
    /// Its real servers that `text` means; [`ALL`] means every one. A DNS name means all that were
    /// found by it.
    ///
    /// # Errors
    /// None is called so: a sentence that lists what there is, the likeliest first.
    pub fn real_servers_called(&self, text: &str) -> Result<Vec<&RealServer>, String> {
        names::select("real server", text, &self.real_servers, RealServer::answers_to, |r| &r.name)
    }

    /// Whether somebody who writes `text` means this one: its name, `198.51.100.1:80`,
    /// `tcp:198.51.100.1:80`, `[2001:db8::1]:80`, `198.51.100.1` (any port), `fwmark 3`, `FWM 3`, a
    /// group's name, or one of a group's addresses.
    pub fn answers_to(&self, text: &str) -> bool {
        let wanted = Wanted::of(text);
        let settings = &self.settings;
        self.name == text.trim()
            || settings.group.as_deref() == Some(text.trim())
            || (wanted.mark.is_some() && settings.mark == wanted.mark)
            || settings.address.is_some_and(|address| wanted.means(address, &self.protocol))
            || self.services.iter().any(|service| service.answers_to(&wanted, &self.protocol))
    }
}

impl Service {
    fn answers_to(&self, wanted: &Wanted, protocol: &str) -> bool {
        match self.text.split_once(' ') {
            Some(("FWM", mark)) => wanted.mark.is_some() && mark.parse().ok() == wanted.mark,
            Some((_, address)) => {
                address.parse().is_ok_and(|address| wanted.means(address, protocol))
            }
            None => false,
        }
    }
}

impl RealServer {
    /// Whether somebody who writes `text` means this one: its name, `10.0.0.2:80`, `10.0.0.2` (any
    /// port), or the DNS name that it was found by, with or without the port.
    pub fn answers_to(&self, text: &str) -> bool {
        let text = text.trim();
        let found_by = self.found_by.as_deref();
        self.name == text
            || found_by == Some(text)
            || found_by.and_then(|name| name.rsplit_once(':')).is_some_and(|(host, _)| host == text)
            || self.address.is_some_and(|address| Wanted::of(text).means(address, ""))
    }
}
