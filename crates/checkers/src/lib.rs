//! Health checks of real servers: one module per check, and the schedule that says when each runs.
//!
//! ```text
//!   start, stop, suspend, resume ─┐              ┌─► Event: up, down, another weight, a failed attempt
//!   values of tracked files ──────┼─► Checkers ──┤
//!   states of BFD sessions ───────┘      │       └─► status: last result, next run
//!                                        │
//!              schedule (when; no I/O) ──┴── tcp http smtp dns udp ping misc (what; one run each)
//!                                                         │
//!                                              connect (sockets, bound and marked)
//! ```
//!
//! [`Checkers`] lives in a tokio `LocalRuntime` (or `LocalSet`) of its caller and runs every check there: nothing blocks
//! and nothing needs a lock. A check is an `async fn` that looks once and returns [`Success`] or
//! [`Failure`]; what a failure means (a retry, or the server leaves) is [`schedule`]'s business, what
//! that means for the virtual server is the balancer's.
#![forbid(unsafe_code)]

pub mod bfd;
mod checkers;
mod connect;
pub mod dns;
pub mod file;
pub mod genhash;
pub mod http;
pub mod misc;
mod outcome;
mod patience;
mod ping;
pub mod regex;
pub mod schedule;
pub mod smtp;
mod spec;
mod target;
mod tcp;
pub mod tls;
pub mod udp;

pub use checkers::{Checkers, Environment};
pub use connect::{connect_tcp, connect_udp};
pub use outcome::{
    Cause, Change, CheckStatus, Detail, Errno, Event, Failure, Socket, State, Success, Weight,
};
pub use spec::{Check, CheckId, CheckSpec, Kind, Start, Surroundings};
pub use target::Target;
