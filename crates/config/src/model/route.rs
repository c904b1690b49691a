//! Routes to be held: the lines of `virtual_routes` and `static_routes`.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::address::Network;
use super::setting::Name;
use super::vrrp::Family;
use crate::source::Span;

/// A route. Numbers are the kernel's; names have been looked up.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Route {
    /// What it does with packets.
    pub kind: RouteType,
    /// Its family.
    pub family: Family,
    /// Where to; `default` is 0.0.0.0/0 or ::/0.
    pub destination: Network,
    /// `src`: preferred source address.
    pub source: Option<IpAddr>,
    /// `from`: packets from here only (IPv6 source routing).
    pub from: Option<Network>,
    /// `via`: the gateway; its family may differ.
    pub via: Option<IpAddr>,
    /// `dev`.
    pub interface: Option<Name>,
    /// `onlink`.
    pub onlink: bool,
    /// `encap`.
    pub encap: Option<Encap>,
    /// `nexthop`: several ways; then `via`, `dev`, `onlink` and `encap` above are empty.
    pub nexthops: Vec<Nexthop>,
    /// `table`; `None`: main, or that of `vrf`.
    pub table: Option<u32>,
    /// `vrf`: the routes of this l3mdev.
    pub vrf: Option<Name>,
    /// `tos`.
    pub tos: Option<u8>,
    /// `protocol`; `None`: our own number (18, keepalived).
    pub protocol: Option<u8>,
    /// `scope`; `None`: by type and gateway.
    pub scope: Option<u8>,
    /// `metric`.
    pub metric: Option<u32>,
    /// `realms`.
    pub realms: Option<u32>,
    /// `expires`.
    pub expires: Option<Duration>,
    /// `pref` (IPv6 router preference).
    pub preference: Option<RouterPreference>,
    /// `ttl-propagate`.
    pub ttl_propagate: Option<bool>,
    /// Metrics.
    pub metrics: RouteMetrics,
    /// How it is put beside routes that are there.
    pub mode: AddMode,
    /// `no_track`: its deletion is no concern.
    pub no_track: bool,
    /// `track_group` (static routes only).
    pub track_group: Option<Name>,
    /// The whole line.
    pub span: Span,
}

impl Route {
    /// Interfaces that it names.
    pub fn interfaces(&self) -> impl Iterator<Item = &str> {
        self.interface
            .as_deref()
            .into_iter()
            .chain(self.nexthops.iter().filter_map(|n| n.interface.as_deref()))
    }

    /// Whether something beyond the common options is used: type, destination, `via`, `dev`,
    /// `src`, `table`, `metric`, `scope`, `onlink`, `protocol`, `tos`, `mtu`, `nexthop` are common.
    pub fn is_exotic(&self) -> bool {
        let Self { encap, expires, preference, ttl_propagate, from, nexthops, .. } = self;
        encap.is_some()
            || expires.is_some()
            || preference.is_some()
            || ttl_propagate.is_some()
            || from.is_some()
            || nexthops.iter().any(|n| n.encap.is_some())
            || RouteMetrics { mtu: None, ..self.metrics.clone() } != RouteMetrics::default()
    }

    fn essence(&self) -> impl PartialEq + '_ {
        (
            (self.kind, self.family, self.destination, self.source, self.from, self.via),
            (&self.interface, self.onlink, &self.encap, &self.nexthops, self.table, &self.vrf),
            (self.tos, self.protocol, self.scope, self.metric, self.realms, self.expires),
            (self.preference, self.ttl_propagate, &self.metrics, self.mode, self.no_track),
            &self.track_group,
        )
    }
}

/// The place does not count.
impl PartialEq for Route {
    fn eq(&self, other: &Self) -> bool {
        self.essence() == other.essence()
    }
}

/// `nexthop via … dev … weight N onlink encap … realms`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Nexthop {
    /// The gateway.
    pub via: Option<IpAddr>,
    /// The interface.
    pub interface: Option<Name>,
    /// Its share, 1..=256; default 1.
    pub weight: u16,
    /// `onlink`.
    pub onlink: bool,
    /// `encap`.
    pub encap: Option<Encap>,
    /// `realms`.
    pub realms: Option<u32>,
}

/// What a route does with packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum RouteType {
    #[default]
    Unicast,
    Local,
    Broadcast,
    Anycast,
    Multicast,
    Blackhole,
    Unreachable,
    Prohibit,
    Throw,
    Nat,
}

impl RouteType {
    /// The kernel's number (RTN_…).
    pub const fn number(self) -> u8 {
        match self {
            Self::Unicast => 1,
            Self::Local => 2,
            Self::Broadcast => 3,
            Self::Anycast => 4,
            Self::Multicast => 5,
            Self::Blackhole => 6,
            Self::Unreachable => 7,
            Self::Prohibit => 8,
            Self::Throw => 9,
            Self::Nat => 10,
        }
    }

    /// The word of the language.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unicast => "unicast",
            Self::Local => "local",
            Self::Broadcast => "broadcast",
            Self::Anycast => "anycast",
            Self::Multicast => "multicast",
            Self::Blackhole => "blackhole",
            Self::Unreachable => "unreachable",
            Self::Prohibit => "prohibit",
            Self::Throw => "throw",
            Self::Nat => "nat",
        }
    }
}

/// How a route is put beside those that are there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AddMode {
    /// `add`: fails if the same route exists.
    Add,
    /// `prepend`: before others.
    #[default]
    Prepend,
    /// `append`: after others.
    Append,
}

/// `pref`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum RouterPreference {
    Low,
    Medium,
    High,
}

/// A metric that may be locked against path discovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Lockable {
    /// The value.
    pub value: u32,
    /// `lock`.
    pub lock: bool,
}

/// RTAX_… metrics.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RouteMetrics {
    /// `mtu`, bytes.
    pub mtu: Option<Lockable>,
    /// `hoplimit`.
    pub hop_limit: Option<u32>,
    /// `advmss`, bytes.
    pub adv_mss: Option<Lockable>,
    /// `rtt`, in the kernel's unit of 1/8 ms.
    pub rtt: Option<Lockable>,
    /// `rttvar`, in the kernel's unit of 1/4 ms.
    pub rtt_var: Option<Lockable>,
    /// `reordering`.
    pub reordering: Option<Lockable>,
    /// `window`, bytes.
    pub window: Option<u32>,
    /// `cwnd`.
    pub cwnd: Option<Lockable>,
    /// `ssthresh`.
    pub ssthresh: Option<Lockable>,
    /// `rto_min`, milliseconds.
    pub rto_min: Option<Lockable>,
    /// `initcwnd`.
    pub init_cwnd: Option<u32>,
    /// `initrwnd`.
    pub init_rwnd: Option<u32>,
    /// `features ecn`.
    pub ecn: bool,
    /// `quickack`.
    pub quick_ack: Option<bool>,
    /// `fastopen_no_cookie`.
    pub fastopen_no_cookie: Option<bool>,
    /// `congctl`: congestion control algorithm, and whether it is locked.
    pub congestion_control: Option<(String, bool)>,
}

/// `encap`: a lightweight tunnel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Encap {
    /// `ip` or `ip6`.
    Ip {
        /// Which of the two.
        family: Family,
        /// `id`.
        id: Option<u64>,
        /// `dst`.
        destination: Option<IpAddr>,
        /// `src`.
        source: Option<IpAddr>,
        /// `tos` or `tc`.
        tos: Option<u8>,
        /// `ttl` or `hoplimit`.
        ttl: Option<u8>,
        /// `flags`.
        flags: Option<u16>,
    },
    /// `mpls`: labels, outermost first, and ttl.
    Mpls {
        /// 20-bit labels, at least one.
        labels: Vec<u32>,
        /// `ttl`.
        ttl: Option<u8>,
    },
    /// `ila`: the locator.
    Ila {
        /// 64-bit locator.
        locator: u64,
    },
}
