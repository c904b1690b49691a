//! Kernel addresses, routes, rules, links and IPVS over netlink: batches, dumps, monitors.
//!
//! ```text
//!   desired state ──► desired::plan ──► [Request] ──► Netlink::apply ──► one sendmsg per chunk
//!                          ▲                                                     │
//!   Monitor::next ──► Observed (mirror of the kernel) ◄── dumps (Kernel trait) ──┘
//! ```
//!
//! Every operation is synchronous and bounded in time, so that one real-time thread can use it:
//! the kernel executes a batch inside the `sendmsg` call, and its answers wait in the socket when
//! the call returns. There is no background thread and no runtime.
//!
//! [`Kernel`] is the seam: [`Netlink`] is the real one, [`FakeKernel`] an in-memory one that keeps
//! the kernel's rules about duplicates and missing entries.

// The one exception is `socket`.
#![deny(unsafe_code)]

mod address;
mod codec;
mod command;
pub mod desired;
mod error;
mod fake;
pub mod ipvs;
mod kernel;
mod link;
mod message;
mod monitor;
pub mod names;
pub mod nftables;
mod prefix;
mod request;
mod route;
mod rule;
mod socket;

pub use address::{ADDRESS_PROTO, Address, AddressFlags, FOREVER};
pub use command::{Netlink, NetlinkOptions};
pub use error::KernelError;
pub use fake::FakeKernel;
pub use kernel::{AddressFilter, Kernel, RouteFilter};
pub use link::{IpvlanFlags, IpvlanMode, Link, LinkFlags, LinkKind, MacvlanMode};
pub use monitor::{Groups, Monitor, MonitorEvent, MonitorOptions};
pub use prefix::{Family, Prefix};
pub use request::{AddMode, AddrGenMode, Request};
pub use route::{
    Encap, Metric, Metrics, NextHop, ROUTE_PROTO, Realms, Route, RouteKind, RouterPreference,
};
pub use rule::{PortRange, Rule, RuleAction};
