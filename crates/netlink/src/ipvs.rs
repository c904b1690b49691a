//! Kernel IPVS over generic netlink: services, destinations, time-outs, synchronisation daemons.
//!
//! ```text
//!   desired Table ─┐
//!   Held (ours) ───┼─► plan ─► [Request] ─► IpvsKernel::apply ─► Held::settle
//!   observed Table ┘                        (many a sendmsg)     (updates Held and the mirror)
//!        ▲
//!        └── IpvsKernel::table: read once; then only to look for what others changed (drift)
//! ```
//!
//! [`IpvsKernel`] is the seam: [`Ipvs`] is the real one, [`FakeIpvs`] one in memory. As everywhere
//! in this crate calls are synchronous and bounded in time; only [`Ipvs::open`] may take seconds,
//! because it may have to load a kernel module.

mod daemon;
mod destination;
mod drift;
mod fake;
mod kernel;
mod message;
mod module;
mod plan;
mod request;
mod service;
mod table;

use std::collections::BTreeSet;

pub use daemon::{Counters, Info, SyncDaemon, SyncRole, Timeouts, plan_daemons};
pub use destination::{Destination, DestinationState, Forwarding, Tunnel, TunnelChecksum};
pub use drift::{Drift, drift};
pub use fake::{FakeCounts, FakeIpvs};
pub use kernel::{Ipvs, IpvsOptions, OpenError};
pub use message::{Reply, decode, encode};
pub use module::{ModuleError, load_module};
pub use plan::{Held, Plan, Settled, Strays, plan, plan_for};
pub use request::Request;
pub use service::{
    Granularity, NotAService, Persistence, Protocol, SchedulerFlags, Service, ServiceKey,
    ServiceState,
};
pub use table::{Entry, Table};

use crate::KernelError;

/// A kernel's IPVS, of one network namespace.
pub trait IpvsKernel {
    /// Carries out requests in order, as many at a time as fit. One that is refused does not stop
    /// those behind it. One result for each.
    fn apply(&mut self, requests: &[Request]) -> Vec<Result<(), KernelError>>;

    /// All services, whoever added them.
    ///
    /// # Errors
    /// What the kernel says, or that it does not answer.
    fn services(&mut self) -> Result<Vec<ServiceState>, KernelError>;

    /// The destinations of a service; none if there is no such service.
    ///
    /// # Errors
    /// What the kernel says, or that it does not answer.
    fn destinations(&mut self, key: &ServiceKey) -> Result<Vec<DestinationState>, KernelError>;

    /// Time-outs of connections.
    ///
    /// # Errors
    /// What the kernel says, or that it does not answer.
    fn timeouts(&mut self) -> Result<Timeouts, KernelError>;

    /// The synchronisation daemons that run.
    ///
    /// # Errors
    /// What the kernel says, or that it does not answer.
    fn daemons(&mut self) -> Result<Vec<SyncDaemon>, KernelError>;

    /// Everything, with counters.
    ///
    /// # Errors
    /// What the kernel says, or that it does not answer.
    fn state(&mut self) -> Result<Vec<(ServiceState, Vec<DestinationState>)>, KernelError> {
        let mut all = Vec::new();
        for service in self.services()? {
            let destinations = self.destinations(&service.key)?;
            all.push((service, destinations));
        }
        Ok(all)
    }

    /// Everything, without counters.
    ///
    /// # Errors
    /// What the kernel says, or that it does not answer.
    fn table(&mut self) -> Result<Table, KernelError> {
        Ok(self.state()?.into_iter().collect())
    }

    /// Those of some services that exist, without counters. For who shares the kernel with large
    /// tables of others.
    ///
    /// # Errors
    /// What the kernel says, or that it does not answer.
    fn table_of(&mut self, keys: &BTreeSet<ServiceKey>) -> Result<Table, KernelError> {
        let mut all = Vec::new();
        for service in self.services()? {
            if keys.contains(&service.key) {
                let destinations = self.destinations(&service.key)?;
                all.push((service, destinations));
            }
        }
        Ok(all.into_iter().collect())
    }
}
