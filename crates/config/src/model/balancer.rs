//! `virtual_server_group`, `virtual_server`, `real_server`, `SSL`.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::checker::Checker;
use super::command::Command;
use super::setting::{Name, Secret, Setting};
use super::vrrp::Family;
use crate::source::Span;

/// `SSL`: the client side of TLS checks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ssl {
    /// `password` of the key.
    pub password: Option<Secret>,
    /// `ca`: file of certificate authorities.
    pub ca: Option<PathBuf>,
    /// `certificate`: file of our own.
    pub certificate: Option<PathBuf>,
    /// `key`: file of its key.
    pub key: Option<PathBuf>,
    /// `verify`, beyond Keepalived: whether certificates of servers are verified where a check does
    /// not say; default: if there is a `ca`.
    pub verify: Option<bool>,
}

/// `virtual_server_group`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VirtualServerGroup {
    /// Its name.
    pub name: Name,
    /// Its lines.
    pub entries: Vec<GroupEntry>,
}

/// A line of a `virtual_server_group`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum GroupEntry {
    /// `IP [PORT]`, or a range of addresses that differ in their last part.
    Addresses {
        /// The first.
        first: IpAddr,
        /// The last; the same for a single address.
        last: IpAddr,
        /// The port; 0 is every port.
        port: u16,
    },
    /// `fwmark N [inet|inet6]`.
    FwMark {
        /// The mark, not 0.
        mark: u32,
        /// Its family, if written.
        family: Option<Family>,
    },
}

/// What a `virtual_server` serves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Service {
    /// `IP [PORT]`; port 0 is every port (persistent services only).
    Address(SocketAddr),
    /// `fwmark N`
    FwMark(u32),
    /// `group NAME`: a group that exists.
    Group(Name),
}

/// `virtual_server`, with every default resolved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VirtualServer {
    /// What it serves.
    pub service: Service,
    /// Its family: by address, group, `ip_family` or real servers.
    pub family: Family,
    /// `delay_loop`; default 60 s.
    pub delay_loop: Setting<Duration>,
    /// `lb_algo`; default wlc.
    pub scheduler: Setting<Scheduler>,
    /// Scheduler flags.
    pub scheduler_flags: SchedulerFlags,
    /// `lb_kind`; default NAT. Default of the real servers.
    pub forwarding: Setting<Forwarding>,
    /// `ops`: one-packet scheduling.
    pub one_packet: bool,
    /// `persistence_engine`.
    pub persistence_engine: Option<String>,
    /// `persistence_timeout`, 1 s..=31 days.
    pub persistence_timeout: Option<Duration>,
    /// `persistence_granularity`: prefix length.
    pub persistence_granularity: Option<u8>,
    /// `protocol`; default UDP. Without meaning for firewall marks.
    pub protocol: Setting<Protocol>,
    /// `ha_suspend`: check only while the address is on this host.
    pub ha_suspend: bool,
    /// `smtp_alert`.
    pub smtp_alert: Setting<bool>,
    /// `virtualhost`.
    pub virtualhost: Option<Box<str>>,
    /// `snmp_name`.
    pub snmp_name: Option<Box<str>>,
    /// `alpha`: real servers start down.
    pub alpha: bool,
    /// `omega`: notifiers run at shutdown.
    pub omega: bool,
    /// `quorum`, at least 1; default 1. Reduced to the total weight where it is above.
    pub quorum: Setting<u32>,
    /// `hysteresis`, below `quorum`.
    pub hysteresis: Setting<u32>,
    /// `quorum_up`.
    pub quorum_up: Option<Box<Command>>,
    /// `quorum_down`.
    pub quorum_down: Option<Box<Command>>,
    /// `sorry_server`.
    pub sorry_server: Option<Box<SorryServer>>,
    /// `real_server`s, addresses unique.
    pub real_servers: Vec<RealServer>,
    /// The words after `virtual_server`.
    pub span: VsSpan,
}

/// A place that does not count in comparisons.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct VsSpan(pub Span);

impl PartialEq for VsSpan {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// `sorry_server`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SorryServer {
    /// Where.
    pub address: SocketAddr,
    /// `sorry_server_inhibit`: while it does not answer it stays in the table, with weight 0.
    pub inhibit: bool,
    /// `sorry_server_lvs_method`; default: the virtual server's.
    pub forwarding: Setting<Forwarding>,
}

/// `real_server`, with every default resolved.
///
/// There are tens of thousands of them. What is rare is boxed, and where a value came from is told
/// of the weight alone, which asks for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RealServer {
    /// Its address, or its name.
    pub host: Host,
    /// Its port: the service's unless forwarding is NAT. 0: every port, or by an SRV record.
    pub port: u16,
    /// `weight`, 0..=2³¹−1; default: the virtual server's, 1.
    pub weight: Setting<u32>,
    /// `lvs_method`.
    pub forwarding: Forwarding,
    /// `uthreshold`: connections above which it gets no more; 0: none.
    pub upper_threshold: u32,
    /// `lthreshold`: connections below which it gets some again; 0: none.
    pub lower_threshold: u32,
    /// `inhibit_on_failure`.
    pub inhibit_on_failure: bool,
    /// `notify_up`.
    pub notify_up: Option<Box<Command>>,
    /// `notify_down`.
    pub notify_down: Option<Box<Command>>,
    /// `alpha`.
    pub alpha: bool,
    /// `smtp_alert`: on unless anything says otherwise.
    pub smtp_alert: bool,
    /// `virtualhost`.
    pub virtualhost: Option<Box<str>>,
    /// `snmp_name`.
    pub snmp_name: Option<Box<str>>,
    /// Its checkers.
    pub checkers: Box<[Checker]>,
    /// The words after `real_server`.
    pub span: VsSpan,
}

impl RealServer {
    /// Where it is, unless it goes by a name.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        match self.host {
            Host::Address(ip) => Some(SocketAddr::new(ip, self.port)),
            Host::Name(_) => None,
        }
    }
}

/// What a `real_server` goes by.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Host {
    /// An address.
    Address(IpAddr),
    /// A DNS name, beyond Keepalived: each address that it has is a server. A name that begins with
    /// an underscore is asked for its SRV records.
    Name(Box<str>),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(ip) => ip.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

/// Transport of a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Protocol {
    Tcp,
    #[default]
    Udp,
    Sctp,
}

/// IPVS schedulers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Scheduler {
    Rr,
    Wrr,
    Lc,
    #[default]
    Wlc,
    Lblc,
    Sh,
    Mh,
    Dh,
    Fo,
    Ovf,
    Lblcr,
    Sed,
    Nq,
    Twos,
}

impl Scheduler {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Rr,
        Self::Wrr,
        Self::Lc,
        Self::Wlc,
        Self::Lblc,
        Self::Sh,
        Self::Mh,
        Self::Dh,
        Self::Fo,
        Self::Ovf,
        Self::Lblcr,
        Self::Sed,
        Self::Nq,
        Self::Twos,
    ];

    /// The kernel's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rr => "rr",
            Self::Wrr => "wrr",
            Self::Lc => "lc",
            Self::Wlc => "wlc",
            Self::Lblc => "lblc",
            Self::Sh => "sh",
            Self::Mh => "mh",
            Self::Dh => "dh",
            Self::Fo => "fo",
            Self::Ovf => "ovf",
            Self::Lblcr => "lblcr",
            Self::Sed => "sed",
            Self::Nq => "nq",
            Self::Twos => "twos",
        }
    }
}

/// `flag-1`, `flag-2`, `flag-3` and their names per scheduler.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SchedulerFlags {
    /// `flag-1`, `sh-fallback`, `mh-fallback`.
    pub flag1: bool,
    /// `flag-2`, `sh-port`, `mh-port`.
    pub flag2: bool,
    /// `flag-3`.
    pub flag3: bool,
}

/// `lb_kind`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Forwarding {
    /// `NAT`
    #[default]
    Nat,
    /// `DR`
    Dr,
    /// `TUN`
    Tunnel(Tunnel),
}

/// Kind of tunnel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Tunnel {
    /// `type ipip`
    #[default]
    Ipip,
    /// `type gue port N`
    Gue {
        /// UDP port.
        port: u16,
        /// `nocsum`, `csum`, `remcsum`.
        checksum: TunnelChecksum,
    },
    /// `type gre`
    Gre {
        /// `nocsum` or `csum`.
        checksum: TunnelChecksum,
    },
}

/// Checksum of a tunnel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum TunnelChecksum {
    #[default]
    None,
    Full,
    Remote,
}
