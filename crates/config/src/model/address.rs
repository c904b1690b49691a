//! Addresses to be held: the lines of `virtual_ipaddress`, `virtual_ipaddress_excluded` and
//! `static_ipaddress`.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::setting::Name;
use super::vrrp::Family;
use crate::source::Span;

/// An address with a prefix length, or a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Network {
    /// The address.
    pub address: IpAddr,
    /// Prefix length, 0..=32 or 0..=128.
    pub prefix: u8,
}

impl Network {
    /// One host: /32 or /128.
    pub const fn host(address: IpAddr) -> Self {
        Self { address, prefix: if address.is_ipv4() { 32 } else { 128 } }
    }

    /// The family.
    pub const fn family(&self) -> Family {
        Family::of(&self.address)
    }

    /// Whether an address lies within it.
    pub fn contains(&self, address: &IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(net), IpAddr::V4(a)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix.min(32))).unwrap_or(0);
                u32::from(net) & mask == u32::from(*a) & mask
            }
            (IpAddr::V6(net), IpAddr::V6(a)) => {
                let mask =
                    u128::MAX.checked_shl(128 - u32::from(self.prefix.min(128))).unwrap_or(0);
                u128::from(net) & mask == u128::from(*a) & mask
            }
            _ => false,
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// An address to be held on an interface.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Address {
    /// The address and its prefix length (default: host).
    pub network: Network,
    /// Whether the prefix length was written.
    pub prefix_written: bool,
    /// The interface: `dev`, else the instance's own, else (static addresses) `default_interface`.
    /// `None` only if an instance without an interface holds it.
    pub interface: Option<String>,
    /// Where `dev` was written.
    pub dev: Option<Name>,
    /// `brd`.
    pub broadcast: Option<Broadcast>,
    /// `scope`: 0 global, 200 site, 253 link, 254 host; `None` is the kernel's choice by address.
    pub scope: Option<u8>,
    /// `label`.
    pub label: Option<String>,
    /// `peer`.
    pub peer: Option<Network>,
    /// `home`: a mobile home address (IPv6).
    pub home: bool,
    /// `-nodad`: duplicate address detection is wanted (a VIP goes without it by default).
    pub dad: bool,
    /// `mngtmpaddr`.
    pub manage_temporary: bool,
    /// `noprefixroute`.
    pub no_prefix_route: bool,
    /// `autojoin`.
    pub autojoin: bool,
    /// `no_track`: its deletion or its interface going down is no concern.
    pub no_track: bool,
    /// `preferred_lft`; `None`: forever, except that an IPv6 /128 gets zero, so that it is never
    /// chosen as a source address ([`Self::preferred_lifetime`]).
    pub preferred: Option<Lifetime>,
    /// `use_vmac`: on a VMAC of its interface.
    pub use_vmac: bool,
    /// `track_group` (static addresses only).
    pub track_group: Option<Name>,
    /// The whole line.
    pub span: Span,
}

impl Address {
    /// A plain address.
    pub const fn new(network: Network, prefix_written: bool, span: Span) -> Self {
        Self {
            network,
            prefix_written,
            interface: None,
            dev: None,
            broadcast: None,
            scope: None,
            label: None,
            peer: None,
            home: false,
            dad: false,
            manage_temporary: false,
            no_prefix_route: false,
            autojoin: false,
            no_track: false,
            preferred: None,
            use_vmac: false,
            track_group: None,
            span,
        }
    }

    /// The address itself.
    pub const fn ip(&self) -> IpAddr {
        self.network.address
    }

    /// The family.
    pub const fn family(&self) -> Family {
        self.network.family()
    }

    /// The preferred lifetime that the kernel is told.
    pub fn preferred_lifetime(&self) -> Lifetime {
        self.preferred.unwrap_or(match self.network {
            Network { address: IpAddr::V6(_), prefix: 128 } => Lifetime::Seconds(0),
            _ => Lifetime::Forever,
        })
    }
}

/// The place and the way of writing do not count.
impl PartialEq for Address {
    fn eq(&self, o: &Self) -> bool {
        self.network == o.network
            && self.interface == o.interface
            && self.broadcast == o.broadcast
            && self.scope == o.scope
            && self.label == o.label
            && self.peer == o.peer
            && self.preferred_lifetime() == o.preferred_lifetime()
            && self.track_group == o.track_group
            && self.flags() == o.flags()
    }
}

impl Address {
    const fn flags(&self) -> [bool; 7] {
        [
            self.home,
            self.dad,
            self.manage_temporary,
            self.no_prefix_route,
            self.autojoin,
            self.no_track,
            self.use_vmac,
        ]
    }
}

/// `brd`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Broadcast {
    /// This address.
    Address(std::net::Ipv4Addr),
    /// `+`: all host bits set.
    AllOnes,
    /// `-`: all host bits clear.
    AllZeros,
}

/// A lifetime of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Lifetime {
    /// No end.
    Forever,
    /// This long; zero makes it deprecated at once.
    Seconds(u32),
}

impl Lifetime {
    /// As a duration; `None` is forever.
    pub const fn duration(self) -> Option<Duration> {
        match self {
            Self::Forever => None,
            Self::Seconds(s) => Some(Duration::from_secs(s as u64)),
        }
    }
}
