//! What survives the end of a process: enough for [`Engine::resume`](crate::Engine::resume) to go
//! on as the same router.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::{Family, TrackKind, TrackerState};
use crate::event::State;
use crate::snapshot::TransitionRecord;
use crate::stats::Statistics;

/// What identifies a virtual router over reloads and restarts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RouterKey {
    /// Virtual router id.
    pub vrid: u8,
    /// IP version.
    pub family: Family,
    /// Name of the interface, if it has one.
    pub interface: Option<String>,
    /// Source address of a unicast router; `None` with multicast.
    pub unicast_source: Option<IpAddr>,
}

/// A router as [`Engine::save`](crate::Engine::save) keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedRouter {
    /// Which router.
    pub key: RouterKey,
    /// Its state.
    pub state: State,
    /// Whether it had resigned and was waiting for a successor.
    pub yielding: bool,
    /// Whether it was handed over.
    pub handed_over: bool,
    /// Source address of its adverts.
    pub source: Option<IpAddr>,
    /// The last master heard: address and priority.
    pub master: Option<(IpAddr, u8)>,
    /// The master's interval.
    pub master_interval: Duration,
    /// Last AH sequence number sent or accepted.
    pub ah_sequence: u32,
    /// Last IPv4 identification sent.
    pub ip_id: u16,
    /// Last `auth_hmac` stamp sent.
    pub hmac_sent: u64,
    /// Last `auth_hmac` stamp accepted from each sender.
    pub hmac_seen: Vec<(IpAddr, u64)>,
    /// Unicast peers that use the old checksum.
    pub old_checksum_peers: Vec<IpAddr>,
    /// States of what it (and its group) tracks, used until there are new ones.
    pub trackers: Vec<(TrackKind, String, TrackerState)>,
    /// The last transition.
    pub last_transition: Option<TransitionRecord>,
    /// Counters.
    pub statistics: Statistics,
}
