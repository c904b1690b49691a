//! The failover role: joins the VRRP engine, trackers, the kernel and notifications.
//!
//! ```text
//!  supervisor ──channel──┐                                ┌── VRRP sockets (sys)
//!  netlink monitor ──────┤     ┌──────────────────┐       ├── addresses, routes, rules (netlink)
//!  VRRP packets ─────────┼───► │ Role: one thread │ ◄───► ├── gratuitous ARP, ND (sys)
//!  worker's reports ─────┤     │   vrrp::Engine   │       ├── worker thread: scripts, FIFOs (notify)
//!  clients' questions ───┘     └──────────────────┘       └── state store (memfd), journal, clients
//! ```
//!
//! | what happens | where |
//! |---|---|
//! | the model becomes settings of each part | `plan`, `scripts`, `kernel_form` |
//! | the main loop, how it begins and ends | `role`, `starting`, `ending` |
//! | what comes in | `hearing` |
//! | what the engine says is done | `acting` |
//! | reload, announcements, notifications | `changing` |
//! | what should be in the kernel, and is | `kernel`, `vmac`, `firewall` |
//! | connections that the kernel's IPVS shares with other nodes | `sync_daemon` |
//! | frames to the neighbours | `announce`, `pacing`, `extra` |
//! | what people are told | `records`, `report`, `dumps`, `mail` |
//! | what a next life needs | `store` |
#![forbid(unsafe_code)]

mod acting;
mod announce;
mod changing;
mod dumps;
mod ending;
mod extra;
mod firewall;
mod hearing;
mod ids;
mod interfaces;
mod kernel;
mod kernel_form;
pub mod launch;
mod load;
mod mail;
mod pacing;
mod plan;
mod records;
mod report;
mod role;
mod scripts;
mod sockets;
mod starting;
mod store;
mod sync_daemon;
mod tuning;
mod vmac;

pub use launch::{Launch, LogOptions, Options};
pub use role::{Ended, Role, StartError};
