//! Destinations (real servers) of services as the kernel has them.

use std::fmt;
use std::net::SocketAddr;

use super::{Counters, ServiceKey};

/// Settings of a destination; its address and port identify it within its service. Displayed as
/// part of a log line: `Masq, weight 1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Destination {
    /// How packets get there.
    pub forwarding: Forwarding,
    /// Share of the connections, 0 to 2³¹−1 (the kernel refuses more). 0: no new connections, those that are open
    /// go on.
    pub weight: u32,
    /// With so many connections the destination counts as overloaded; 0 is never.
    pub upper: u32,
    /// With fewer it is no longer; 0 is three quarters of `upper`. The kernel refuses one above
    /// `upper` with `ERANGE`.
    pub lower: u32,
}

impl Destination {
    /// A destination without thresholds.
    #[must_use]
    pub const fn new(forwarding: Forwarding, weight: u32) -> Self {
        Self { forwarding, weight, upper: 0, lower: 0 }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { forwarding, weight, upper, lower } = self;
        write!(f, "{forwarding}, weight {weight}")?;
        if *upper > 0 || *lower > 0 {
            write!(f, ", thresholds {lower}..{upper}")?;
        }
        Ok(())
    }
}

/// How packets get to a destination. Displayed as `ipvsadm -Ln` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Forwarding {
    /// Network address translation.
    Nat,
    /// Direct routing: only the link-layer address changes.
    Dr,
    /// Inside another packet. The only method for a destination of the other family.
    Tunnel(Tunnel),
    /// A number that other programs may have set (1 is the local node).
    Other(u8),
}

impl fmt::Display for Forwarding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nat => f.write_str("Masq"),
            Self::Dr => f.write_str("Route"),
            Self::Tunnel(tunnel) => write!(f, "Tunnel {tunnel}"),
            Self::Other(1) => f.write_str("Local"),
            Self::Other(number) => write!(f, "method {number}"),
        }
    }
}

/// Kind of tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tunnel {
    /// IP in IP (RFC 2003, RFC 2473).
    Ipip,
    /// Generic UDP encapsulation.
    Gue {
        /// UDP port, not 0.
        port: u16,
        /// Checksum of the outer header.
        checksum: TunnelChecksum,
    },
    /// GRE (RFC 2784).
    Gre {
        /// Checksum of the outer header.
        checksum: TunnelChecksum,
    },
    /// A number that other programs may have set.
    Other(u8),
}

impl fmt::Display for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ipip => f.write_str("ipip"),
            Self::Gue { port, checksum } => write!(f, "gue port {port}{checksum}"),
            Self::Gre { checksum } => write!(f, "gre{checksum}"),
            Self::Other(number) => write!(f, "type {number}"),
        }
    }
}

/// Checksum in a tunnel's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TunnelChecksum {
    /// `nocsum`
    #[default]
    None,
    /// `csum`
    Full,
    /// `remcsum`: remote checksum offload. GUE only.
    Remote,
    /// Bits that other programs may have set.
    Other(u16),
}

impl fmt::Display for TunnelChecksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::Full => f.write_str(" csum"),
            Self::Remote => f.write_str(" remcsum"),
            Self::Other(bits) => write!(f, " flags {bits:#x}"),
        }
    }
}

/// A destination and what the kernel has counted for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DestinationState {
    /// The service that it belongs to.
    pub service: ServiceKey,
    /// Address and port.
    pub address: SocketAddr,
    /// Its settings.
    pub destination: Destination,
    /// Connections that are established.
    pub active: u32,
    /// Connections in another state (closing, or UDP).
    pub inactive: u32,
    /// Clients that are bound to it by persistence.
    pub persistent: u32,
    /// Traffic.
    pub counters: Counters,
}
