//! Routes: the type, and its message.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::{Family, Prefix};

/// The protocol number that marks routes and rules as ours unless the configuration says
/// otherwise: the one assigned to Keepalived (`ip route show proto keepalived`).
pub const ROUTE_PROTO: u8 = 18;

/// A route.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Route {
    /// What happens to packets that match.
    pub kind: RouteKind,
    /// Where to; its family is the route's.
    pub destination: Prefix,
    /// Where from (`from`); IPv6 only.
    pub source: Option<Prefix>,
    /// Type of service; IPv4 only (IPv6 ignores it).
    pub tos: u8,
    /// Routing table: 254 main, 255 local, 253 default; 0 is taken as main.
    pub table: u32,
    /// Who added the route: 18 is Keepalived's and ours, 3 boot, 4 static.
    pub protocol: u8,
    /// Scope, as in rt_scopes; IPv4 only. [`Route::default_scope`] gives what `ip route` chooses.
    pub scope: u8,
    /// Priority, lower is better; none is 0 for IPv4 and 1024 for IPv6.
    pub metric: Option<u32>,
    /// Preferred source address (`src`).
    pub prefsrc: Option<IpAddr>,
    /// Next hops: none for routes like blackhole, one, or several for multipath.
    pub hops: Vec<NextHop>,
    /// Metrics of the path (`mtu`, `advmss`, …).
    pub metrics: Metrics,
    /// Seconds until the kernel removes it; IPv6 only.
    pub expires: Option<u32>,
    /// Router preference; IPv6 only.
    pub pref: Option<RouterPreference>,
    /// Whether TTL is carried across MPLS.
    pub ttl_propagate: Option<bool>,
}

impl Route {
    /// A unicast route in the main table with our protocol and the scope that fits.
    #[must_use]
    pub fn new(destination: Prefix, hops: Vec<NextHop>) -> Self {
        let mut route = Self {
            kind: RouteKind::Unicast,
            destination: destination.masked(),
            source: None,
            tos: 0,
            table: 254,
            protocol: ROUTE_PROTO,
            scope: 0,
            metric: None,
            prefsrc: None,
            hops,
            metrics: Metrics::default(),
            expires: None,
            pref: None,
            ttl_propagate: None,
        };
        route.scope = route.default_scope();
        route
    }

    /// The family of the route.
    #[must_use]
    pub fn family(&self) -> Family {
        self.destination.family()
    }

    /// The scope that `ip route` chooses when none is given: host for local and NAT, link for
    /// broadcast, multicast, anycast and unicast without a gateway, otherwise global. Always
    /// global for IPv6.
    #[must_use]
    pub fn default_scope(&self) -> u8 {
        const LINK: u8 = 253;
        const HOST: u8 = 254;
        if self.family() == Family::V6 {
            return 0;
        }
        match self.kind {
            RouteKind::Local | RouteKind::Nat => HOST,
            RouteKind::Broadcast | RouteKind::Multicast | RouteKind::Anycast => LINK,
            RouteKind::Unicast => match self.hops.as_slice() {
                [hop] if hop.gateway.is_none() && hop.encap.is_none() => LINK,
                _ => 0,
            },
            _ => 0,
        }
    }
}

/// What happens to packets that match a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RouteKind {
    /// Sent on to the next hop.
    Unicast,
    /// For this host.
    Local,
    /// Sent as broadcast.
    Broadcast,
    /// Received as unicast, for this host.
    Anycast,
    /// Multicast.
    Multicast,
    /// Dropped silently.
    Blackhole,
    /// Dropped with "host unreachable".
    Unreachable,
    /// Dropped with "administratively prohibited".
    Prohibit,
    /// Looked up in the next table.
    Throw,
    /// Network address translation; modern kernels refuse it.
    Nat,
    /// A kind that this crate does not know, with its number.
    Other(u8),
}

/// One way out of a route.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct NextHop {
    /// Index of the outgoing interface.
    pub ifindex: Option<u32>,
    /// Address of the gateway; may be IPv6 for an IPv4 route.
    pub gateway: Option<IpAddr>,
    /// The gateway is taken as directly connected even if no prefix says so.
    pub onlink: bool,
    /// Share of the traffic among several, 1..=256; 0 is taken as 1.
    pub weight: u16,
    /// Realms; IPv4 only.
    pub realms: Option<Realms>,
    /// Lightweight tunnel.
    pub encap: Option<Encap>,
}

impl NextHop {
    /// Out of an interface, without a gateway.
    #[must_use]
    pub fn dev(ifindex: u32) -> Self {
        Self { ifindex: Some(ifindex), weight: 1, ..Self::default() }
    }

    /// By a gateway; the kernel finds the interface.
    #[must_use]
    pub fn via(gateway: IpAddr) -> Self {
        Self { gateway: Some(gateway), weight: 1, ..Self::default() }
    }

    /// By a gateway out of an interface.
    #[must_use]
    pub fn via_dev(gateway: IpAddr, ifindex: u32) -> Self {
        Self { gateway: Some(gateway), ifindex: Some(ifindex), weight: 1, ..Self::default() }
    }
}

/// Source and destination realm of a route or rule; 0 is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Realms {
    /// Realm of the source.
    pub source: u16,
    /// Realm of the destination.
    pub destination: u16,
}

/// Lightweight tunnel of a next hop.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Encap {
    /// MPLS label stack, outermost first.
    Mpls {
        /// Labels, each below 2^20.
        labels: Vec<u32>,
        /// Time to live; none is inherited.
        ttl: Option<u8>,
    },
    /// IPv4 tunnel metadata.
    Ip {
        /// Tunnel id.
        id: Option<u64>,
        /// Outer destination.
        dst: Option<IpAddr>,
        /// Outer source.
        src: Option<IpAddr>,
        /// Outer time to live.
        ttl: Option<u8>,
        /// Outer type of service.
        tos: Option<u8>,
        /// Tunnel flags.
        flags: Option<u16>,
    },
    /// IPv6 tunnel metadata.
    Ip6 {
        /// Tunnel id.
        id: Option<u64>,
        /// Outer destination.
        dst: Option<IpAddr>,
        /// Outer source.
        src: Option<IpAddr>,
        /// Outer hop limit.
        hop_limit: Option<u8>,
        /// Outer traffic class.
        traffic_class: Option<u8>,
        /// Tunnel flags.
        flags: Option<u16>,
    },
    /// Identifier-locator addressing; the request is refused with `Unsupported`.
    Ila {
        /// The locator.
        locator: u64,
    },
    /// Another tunnel that the kernel reported, by its `LWTUNNEL_ENCAP_*` number.
    Other(u16),
}

/// Router preference of RFC 4191.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RouterPreference {
    /// Low.
    Low,
    /// Medium, the default.
    Medium,
    /// High.
    High,
}

/// Properties of the path that a route leads to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Metrics {
    /// Values by metric, in the kernel's units.
    pub values: BTreeMap<Metric, u32>,
    /// Metrics that may not be updated by what the network says (`lock`).
    pub locked: BTreeSet<Metric>,
    /// TCP congestion control algorithm, at most 15 bytes.
    pub congestion_control: Option<String>,
}

/// A metric of a path; the discriminant is the kernel's number (`RTAX_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u16)]
pub enum Metric {
    /// Path MTU, bytes.
    Mtu = 2,
    /// Largest window to advertise, bytes.
    Window = 3,
    /// Round-trip time, 1/8 ms.
    Rtt = 4,
    /// Its variance, 1/4 ms.
    RttVar = 5,
    /// Slow-start threshold, segments.
    SsThresh = 6,
    /// Clamp for the congestion window, segments.
    Cwnd = 7,
    /// Maximum segment size to advertise, bytes.
    AdvMss = 8,
    /// Reordering, packets.
    Reordering = 9,
    /// Time to live, 1..=255.
    HopLimit = 10,
    /// Initial congestion window, segments.
    InitCwnd = 11,
    /// Features, bit 0 is ECN.
    Features = 12,
    /// Smallest retransmission timeout, milliseconds.
    RtoMin = 13,
    /// Initial receive window, segments.
    InitRwnd = 14,
    /// Quick acknowledgements, 0 or 1.
    QuickAck = 15,
    /// TCP congestion control; only for `locked`, the name is
    /// [`Metrics::congestion_control`].
    CongestionControl = 16,
    /// TCP Fast Open without a cookie, 0 or 1.
    FastOpenNoCookie = 17,
}
