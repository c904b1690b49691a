//! Scripts, FIFOs, trackers and mail: everything slow that a role must not wait for.
//!
//! ```text
//!  role (failover: timing thread)                   worker (its own thread)
//!  ────────────────────────                         ─────────────────────────────────────────
//!   Worker::notify ─┐  queue + eventfd   ┌─► scripts    in order per instance, group, server
//!   Worker::reload ─┼──────────────────► │   fifo       lines that are never lost, readers
//!   Worker::stop  ──┘                    └─► trackers   vrrp_script, track_file, track_process
//!   Worker::try_report ◄── queue + wake ──── Report
//!
//!   mail::Mailer, in the same way                    a queue of its own, on a thread of its own
//! ```
//!
//! [`mail`] sends alerts; a FIFO may be shared with other roles, which the worker settles by itself.
//! [`process`] is a script as a child, for checks that are scripts too. [`security`] decides which
//! program a script line means and whether it is safe to run it, and [`resolve`] asks it for the
//! lines of a configuration; [`api`] is a role's socket for clients; [`oneshot`] runs the startup
//! and shutdown scripts of the supervisor.
#![forbid(unsafe_code)]

pub mod api;
mod delivery;
mod engine;
pub mod event;
mod fifo;
mod jobs;
pub mod mail;
pub mod oneshot;
mod pipes;
pub mod process;
pub mod resolve;
pub mod security;
pub mod settings;
mod sharing;
mod trackers;
pub mod words;
mod worker;

pub use worker::Worker;
