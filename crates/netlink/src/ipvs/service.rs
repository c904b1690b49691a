//! Virtual services as the kernel has them.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;

use super::Counters;
use crate::Family;

/// Transport protocol of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP, protocol number 6.
    Tcp,
    /// UDP, protocol number 17.
    Udp,
    /// SCTP, protocol number 132.
    Sctp,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Tcp, Self::Udp, Self::Sctp];

    /// The number in the IP header.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
        }
    }

    /// The protocol with a number of the IP header.
    #[must_use]
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| u16::from(protocol.number()) == number)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
        })
    }
}

/// What identifies a service. Displayed as `ipvsadm -Ln` does (`TCP 198.51.100.1:80`, `FWM 5`,
/// `FWM 5 IPv6`), and parsed from the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ServiceKey {
    /// Packets to an address and port.
    Address {
        /// Transport protocol.
        protocol: Protocol,
        /// Address and port; port 0 is every port that has no service of its own (persistent
        /// services only). Scope and flow label of an IPv6 address must be 0.
        address: SocketAddr,
    },
    /// Packets with a firewall mark.
    FwMark {
        /// Of which family.
        family: Family,
        /// The mark, not 0.
        mark: u32,
    },
}

impl ServiceKey {
    /// A service on an address and port.
    #[must_use]
    pub fn address(protocol: Protocol, address: SocketAddr) -> Self {
        Self::Address { protocol, address: SocketAddr::new(address.ip(), address.port()) }
    }

    /// A service for a firewall mark.
    #[must_use]
    pub const fn mark(family: Family, mark: u32) -> Self {
        Self::FwMark { family, mark }
    }

    /// Family of the packets.
    #[must_use]
    pub fn family(&self) -> Family {
        match self {
            Self::Address { address, .. } => Family::of(address.ip()),
            Self::FwMark { family, .. } => *family,
        }
    }
}

impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { protocol, address } => write!(f, "{protocol} {address}"),
            Self::FwMark { family: Family::V4, mark } => write!(f, "FWM {mark}"),
            Self::FwMark { family: Family::V6, mark } => write!(f, "FWM {mark} IPv6"),
        }
    }
}

/// A text that is not a [`ServiceKey`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a virtual service: wanted like `TCP 198.51.100.1:80` or `FWM 5`")]
pub struct NotAService;

impl FromStr for ServiceKey {
    type Err = NotAService;

    fn from_str(text: &str) -> Result<Self, NotAService> {
        let mut words = text.split_ascii_whitespace();
        let (Some(kind), Some(what), more, None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(NotAService);
        };
        if kind == "FWM" {
            let family = match more {
                None => Family::V4,
                Some("IPv6") => Family::V6,
                Some(_) => return Err(NotAService),
            };
            let mark = what.parse().map_err(|_| NotAService)?;
            return if mark == 0 { Err(NotAService) } else { Ok(Self::mark(family, mark)) };
        }
        let protocol = Protocol::ALL.into_iter().find(|protocol| protocol.to_string() == kind);
        match (protocol, what.parse(), more) {
            (Some(protocol), Ok(address), None) => Ok(Self::address(protocol, address)),
            _ => Err(NotAService),
        }
    }
}

/// Settings of a service; what identifies it is its [`ServiceKey`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Service {
    /// Name of the scheduler, as the kernel's module calls it (`rr`, `wlc`, …), up to 15 bytes.
    /// Any name is taken; the kernel refuses one that it does not know with `ENOENT`. Empty: the
    /// service has none (then no connection is scheduled).
    pub scheduler: String,
    /// `flag-1`, `flag-2`, `flag-3` of the scheduler.
    pub flags: SchedulerFlags,
    /// Each packet is scheduled on its own (UDP).
    pub one_packet: bool,
    /// Clients stay with their server.
    pub persistence: Option<Persistence>,
    /// Persistence engine (`sip`), up to 15 bytes.
    pub engine: Option<String>,
}

impl Service {
    /// A service with a scheduler and nothing else.
    #[must_use]
    pub fn new(scheduler: impl Into<String>) -> Self {
        Self {
            scheduler: scheduler.into(),
            flags: SchedulerFlags::empty(),
            one_packet: false,
            persistence: None,
            engine: None,
        }
    }
}

bitflags::bitflags! {
    /// Flags whose meaning is the scheduler's.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct SchedulerFlags: u32 {
        /// `flag-1`; for sh and mh: fall back to another server when one is unavailable.
        const FLAG_1 = 0x08;
        /// `flag-2`; for sh and mh: the source port counts.
        const FLAG_2 = 0x10;
        /// `flag-3`.
        const FLAG_3 = 0x20;
    }
}

/// How clients stay with their server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Persistence {
    /// Seconds after the last connection.
    pub timeout: u32,
    /// Which clients count as one.
    pub granularity: Granularity,
}

/// The part of a client's address that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Granularity {
    /// All of it.
    Host,
    /// The bits of a mask, of an IPv4 client. 255.255.255.255 is [`Granularity::Host`].
    Mask(Ipv4Addr),
    /// The first bits, 1 to 127, of an IPv6 client. 128 is [`Granularity::Host`].
    Bits(u8),
}

impl Granularity {
    /// The first `len` bits of a client's address; too many are all.
    #[must_use]
    pub fn prefix(family: Family, len: u8) -> Self {
        match family {
            Family::V4 if len < 32 => Self::Mask(Ipv4Addr::from_bits(
                u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0),
            )),
            Family::V6 if len < 128 => Self::Bits(len),
            _ => Self::Host,
        }
    }
}

/// A service and what the kernel has counted for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceState {
    /// What identifies it.
    pub key: ServiceKey,
    /// Its settings.
    pub service: Service,
    /// Traffic of all its servers.
    pub counters: Counters,
}
