//! The virtual router: state machine, election, timers, sync groups, priorities. No I/O.
//!
//! ```text
//!   packets, tracker states, addresses ─┐                       ┌─► Transmit, Hold, Withdraw, Announce
//!   reload, stop, handover ─────────────┼─► Engine (all routers)─┼─► Notify (scripts, FIFOs)
//!   what time it is ────────────────────┘        │              └─► Event (what happened, and why)
//!                                                └─► poll_timeout: when to come back
//! ```
//!
//! The engine has no clock, no socket, no thread and no randomness. Its caller
//!
//! 1. feeds [`Input`]s with [`Engine::handle`], waiting packets first,
//! 2. calls [`Engine::handle_timeout`] once [`Engine::poll_timeout`] has come,
//! 3. does what [`Engine::poll_output`] says, in order, until it says no more.
//!
//! The same code runs in the daemon and in the cluster simulation of `tests/`.
//! `LIFECYCLE.md` beside this crate tells the life of a router, anchored to function names.
#![forbid(unsafe_code)]

mod acceptance;
mod advert;
mod auth;
mod config;
mod election;
mod engine;
mod event;
mod garp;
mod groups;
mod io;
mod machine;
mod peers;
mod priority;
mod reload;
mod router;
mod save;
mod snapshot;
mod stats;
mod stop;
mod text;
mod time;
mod timers;

pub use config::{
    AntiReplay, Auth, Config, Family, Garp, GroupConfig, HmacConfig, HmacKey, HmacMode, Interface,
    InterfaceId, OldUnicastChecksum, RouterConfig, RouterId, Secret, Track, TrackKind, TrackerId,
    TrackerState, Transport, UnicastPeer, Version,
};
pub use engine::Engine;
pub use event::{
    Cause, ChecksumKind, Difference, Event, EventKind, FaultReason, Rejection, Severity, State,
    Term, YieldReason,
};
pub use io::{Announced, Datagram, Input, Notify, NotifyKind, Output, Subject, Transmit};
pub use save::{RouterKey, SavedRouter};
pub use snapshot::{GroupSnapshot, PeerSnapshot, RouterSnapshot, Snapshot, TransitionRecord};
pub use stats::Statistics;
pub use time::{Now, Time};
