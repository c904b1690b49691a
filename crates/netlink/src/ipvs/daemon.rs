//! What the kernel's IPVS has beside services: counters, time-outs, connection synchronisation.

use std::net::IpAddr;

/// What was counted for a service or a destination. Where the kernel is older than 4.1 the
/// numbers are of 32 bits and wrap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Counters {
    /// Connections scheduled.
    pub connections: u64,
    /// Packets from clients.
    pub packets_in: u64,
    /// Packets to clients, as far as they come this way (NAT).
    pub packets_out: u64,
    /// Bytes from clients.
    pub bytes_in: u64,
    /// Bytes to clients, as far as they come this way.
    pub bytes_out: u64,
    /// Connections a second, estimated over the last seconds; so are the next four.
    pub connection_rate: u64,
    /// Packets from clients a second.
    pub packet_rate_in: u64,
    /// Packets to clients a second.
    pub packet_rate_out: u64,
    /// Bytes from clients a second.
    pub byte_rate_in: u64,
    /// Bytes to clients a second.
    pub byte_rate_out: u64,
}

/// How long connections are remembered (`lvs_timeouts`), seconds. In a request 0 keeps what is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Timeouts {
    /// Idle TCP connections.
    pub tcp: u32,
    /// TCP connections after a FIN.
    pub tcp_fin: u32,
    /// UDP.
    pub udp: u32,
}

/// Which half of connection synchronisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SyncRole {
    /// Sends connections.
    Master,
    /// Receives connections.
    Backup,
}

/// A daemon in the kernel that sends connections to other nodes, or receives them. There can be
/// one of each role.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SyncDaemon {
    /// Which of the two.
    pub role: SyncRole,
    /// Interface of the multicast, up to 15 bytes.
    pub interface: String,
    /// Identifier of the group of nodes, 0 to 255; a receiver with 0 takes all.
    pub sync_id: u8,
    /// Largest message in bytes; none: what the interface's MTU allows.
    pub max_len: Option<u16>,
    /// Multicast group; none: 224.0.0.81.
    pub group: Option<IpAddr>,
    /// UDP port; none: 8848.
    pub port: Option<u16>,
    /// Time to live (hop limit) of the multicast; none: 1.
    pub ttl: Option<u8>,
}

impl SyncDaemon {
    /// A daemon with the kernel's defaults.
    #[must_use]
    pub fn new(role: SyncRole, interface: impl Into<String>, sync_id: u8) -> Self {
        Self {
            role,
            interface: interface.into(),
            sync_id,
            max_len: None,
            group: None,
            port: None,
            ttl: None,
        }
    }
}

/// The kernel's IPVS itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Info {
    /// Version: major, minor, patch.
    pub version: (u8, u8, u8),
    /// Size of the hash table of connections.
    pub connection_table: u32,
}
