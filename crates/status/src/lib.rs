//! The vocabulary shared by every role and every client of Standfast: what a role tells about
//! itself, in which words, and over which messages.
//!
//! ```text
//!   role ──► Snapshot, Record ──► api (unix socket, one JSON value a line) ──► clients
//!   supervisor ◄──► control messages ◄──► role
//! ```
//!
//! Nothing in here does I/O, and nothing depends on how a role works inside: a snapshot of today
//! can be read by a client of tomorrow. Fields are added, never renamed or reused; a client
//! ignores fields that it does not know.
#![forbid(unsafe_code)]

pub mod api;
pub mod balancing;
pub mod control;
pub mod dump;
pub mod record;
mod records;
pub mod snapshot;
pub mod text;
mod time;

pub use balancing::Balancing;
pub use record::{Record, Severity};
pub use records::Records;
pub use snapshot::Snapshot;
pub use time::Timestamp;

/// Version of the messages and snapshots. It grows only when an old client could misread a new
/// role.
pub const SCHEMA: u32 = 1;
