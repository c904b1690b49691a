//! What identifies virtual and real servers over reloads and restarts, and what logs and FIFO
//! lines call them.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use config::model::balancer::{Host, Protocol};
use netlink::Family;
use serde::{Deserialize, Serialize};

/// What identifies a virtual server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VsKey {
    /// `virtual_server IP PORT`
    Address {
        /// Transport.
        protocol: Transport,
        /// Address and port.
        address: SocketAddr,
    },
    /// `virtual_server fwmark N`
    FwMark {
        /// Whether the packets are IPv6.
        ipv6: bool,
        /// The mark.
        mark: u32,
    },
    /// `virtual_server group NAME`
    Group {
        /// Transport.
        protocol: Transport,
        /// Name of the group.
        name: String,
    },
}

/// Transport of a service, as logs write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Transport {
    Tcp,
    Udp,
    Sctp,
}

impl Transport {
    /// The word in logs and FIFO lines.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }

    pub(super) const fn kernel(self) -> netlink::ipvs::Protocol {
        match self {
            Self::Tcp => netlink::ipvs::Protocol::Tcp,
            Self::Udp => netlink::ipvs::Protocol::Udp,
            Self::Sctp => netlink::ipvs::Protocol::Sctp,
        }
    }
}

impl From<Protocol> for Transport {
    fn from(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Tcp => Self::Tcp,
            Protocol::Udp => Self::Udp,
            Protocol::Sctp => Self::Sctp,
        }
    }
}

/// `[198.51.100.1]:tcp:80`, `FWM 3`, as logs and FIFO lines have it; a group as `[GROUP]:tcp`. What
/// logs call a group is in [`VsPlan::name`](super::VsPlan::name).
impl fmt::Display for VsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { protocol, address } => {
                write!(f, "[{}]:{}:{}", address.ip(), protocol.word(), address.port())
            }
            Self::FwMark { mark, .. } => write!(f, "FWM {mark}"),
            Self::Group { protocol, name } => write!(f, "[{name}]:{}", protocol.word()),
        }
    }
}

/// What identifies a `real_server` block within its virtual server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RsKey {
    /// Its address or name.
    pub host: RsHost,
    /// Its port; 0: every port, or by SRV record.
    pub port: u16,
}

/// Address or DNS name of a `real_server` block.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RsHost {
    /// An address.
    Address(IpAddr),
    /// A DNS name.
    Name(Box<str>),
}

impl From<Host> for RsHost {
    fn from(host: Host) -> Self {
        match host {
            Host::Address(ip) => Self::Address(ip),
            Host::Name(name) => Self::Name(name),
        }
    }
}

/// `10.0.0.2:80`, `[2001:db8::2]:80`, `web.example.com:80`, `_http._tcp.example.com`.
impl fmt::Display for RsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            RsHost::Address(ip) => SocketAddr::new(*ip, self.port).fmt(f),
            // SRV records bring the port.
            RsHost::Name(name) if self.port == 0 => f.write_str(name),
            RsHost::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

pub(super) fn family(ip: IpAddr) -> Family {
    match ip {
        IpAddr::V4(_) => Family::V4,
        IpAddr::V6(_) => Family::V6,
    }
}
