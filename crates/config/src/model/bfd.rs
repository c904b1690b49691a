//! `bfd_instance`.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::setting::{Name, Setting};
use super::track::Weight;

/// A BFD session (RFC 5880, version 1, asynchronous mode).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BfdInstance {
    /// Its name, under 32 bytes.
    pub name: Name,
    /// `neighbor_ip`.
    pub neighbor: IpAddr,
    /// `source_ip`.
    pub source: Option<IpAddr>,
    /// `min_rx`, at least 1 ms; default 10 ms.
    pub min_rx: Setting<Duration>,
    /// `min_tx`, at least 1 ms; default 10 ms.
    pub min_tx: Setting<Duration>,
    /// `idle_tx`, at least 1 s; default 1 s.
    pub idle_tx: Setting<Duration>,
    /// `multiplier`, 1..=255; default 5.
    pub multiplier: Setting<u8>,
    /// `passive`.
    pub passive: bool,
    /// `ttl` (`hoplimit`), 1..=255; default 255 for IPv4, 64 for IPv6.
    pub ttl: Setting<u8>,
    /// `max_hops`, -1..=255; default 0.
    pub max_hops: Setting<i16>,
    /// `multihop`: port 4784 instead of 3784.
    pub multihop: bool,
    /// `weight`, -253..=253; default 0.
    pub weight: Setting<Weight>,
    /// Deliver events to VRRP.
    pub to_vrrp: bool,
    /// Deliver events to the checkers.
    pub to_checkers: bool,
}
