//! The balancer role: joins health checks, quorum, kernel IPVS and notifications.
//!
//! ```text
//!  supervisor ──channel──┐                                  ┌── IPVS table (netlink)
//!  results of checks ────┤     ┌─────────────────────┐      ├── checks: start, stop (checkers)
//!  answers of the DNS ───┼───► │ Balancer: one thread │ ───► ├── scripts, FIFOs, mail (notify)
//!  addresses (netlink) ──┤     │   core::Core         │      └── state store (memfd), records, clients
//!  clients' questions ───┘     └─────────────────────┘
//! ```
//!
//! | what happens | where |
//! |---|---|
//! | what a virtual server is, and becomes | [`core`] |
//! | the main loop | `role`, `balancer` |
//! | what comes in | `hearing` |
//! | what the core says is done | `acting` |
//! | reload, orders, the end | `changing` |
//! | our part of the kernel's table | `kernel` |
//! | what the supervisor passes on | `reading` |
//! | DNS names, addresses of this host, scripts | `names`, `addresses`, `scripts` |
//! | what people are told | `report` |
//! | what a next life needs | `store` |
#![forbid(unsafe_code)]

mod acting;
mod addresses;
mod balancer;
mod changing;
pub mod core;
mod hearing;
mod kernel;
pub mod launch;
mod names;
mod reading;
mod report;
mod role;
mod scripts;
mod store;
mod tuning;

pub use kernel::{BoxedIpvs, Opener, Unavailable};
pub use launch::{Launch, LogOptions, Options};
pub use names::Source;
pub use role::{Ended, Ground, Role, StartError};
