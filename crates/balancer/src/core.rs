//! The state machine of virtual servers: quorum, weights, sorry server, operators' orders. No I/O.
//!
//! ```text
//!   check results, DNS answers, orders, ─┐                     ┌─► StartCheck, StopCheck, StartLookup …
//!   connection counts, addresses,        ├─► Core (all virtual ├─► Event (what happened, why, whom to tell)
//!   reload, stop ────────────────────────┘   servers)          └─► Kernel: `desired()` changed for `take_changes()`
//!   what time it is ─────────────────────────────┘ └─► poll_timeout: when to come back
//! ```
//!
//! The core has no clock, no socket, no thread and no randomness. Its caller
//!
//! 1. feeds [`Input`]s with [`Core::handle`] and orders with [`Core::order`],
//! 2. calls [`Core::handle_timeout`] once [`Core::poll_timeout`] has come,
//! 3. does what [`Core::poll_output`] says, in order, until it says no more.
//!
//! [`Core::desired`] is the part of the kernel's table that is ours. It is kept up to date service
//! by service: the result of one check touches one virtual server, and [`Core::take_changes`] names
//! the few services that the kernel must be asked to change.
//!
//! `LIFECYCLE.md` beside this crate tells the life of virtual and real servers, anchored to
//! function names.

mod desired;
mod engine;
mod event;
mod io;
mod key;
mod names;
mod orders;
mod plan;
mod quorum;
mod reload;
mod save;
mod server;
mod snapshot;
mod stop;
mod text;

pub use checkers::CheckId;
pub use engine::{Core, Draining};
pub use event::{
    DownCause, Event, EventKind, Notice, Quorum, Server, Severity, UpCause, WeightCause,
};
pub use io::{
    Adjustment, Answer, CheckOrder, CheckResult, Input, Lookup, Now, Order, Output, Refused,
};
pub use key::{RsHost, RsKey, Transport, VsKey};
pub use plan::{
    CheckPlan, MOST_SERVICES, MOST_WEIGHT, Plan, Planner, RsPlan, RsSettings, ScriptId, SorryPlan,
    VsPlan,
};
pub use save::SavedService;
pub use snapshot::Details;
