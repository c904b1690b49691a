//! What can be asked of the kernel's IPVS.

use std::net::SocketAddr;

use super::{Destination, Service, ServiceKey, SyncDaemon, SyncRole, Timeouts};

/// A change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Adds a service; `EEXIST` when it is there.
    NewService(ServiceKey, Service),
    /// Changes a service in place, with connections and counters kept; `ESRCH` when there is none.
    SetService(ServiceKey, Service),
    /// Removes a service with its destinations; `ESRCH` when there is none.
    DelService(ServiceKey),
    /// Adds a destination; `EEXIST` when it is there, `ESRCH` without the service.
    NewDestination(ServiceKey, SocketAddr, Destination),
    /// Changes a destination in place; `ENOENT` when there is none, `ESRCH` without the service.
    SetDestination(ServiceKey, SocketAddr, Destination),
    /// Removes a destination; `ENOENT` when there is none, `ESRCH` without the service.
    DelDestination(ServiceKey, SocketAddr),
    /// Sets time-outs.
    SetTimeouts(Timeouts),
    /// Starts a synchronisation daemon; `EEXIST` when one of this role runs, `ENODEV` without the
    /// interface.
    StartDaemon(SyncDaemon),
    /// Stops the synchronisation daemon of a role; `ESRCH` when none runs.
    StopDaemon(SyncRole),
    /// Sets the counters of a service, or all of them, to zero.
    Zero(Option<ServiceKey>),
    /// Removes all services, whoever added them (`lvs_flush`).
    Flush,
}

impl Request {
    /// The service that it concerns.
    #[must_use]
    pub fn service(&self) -> Option<&ServiceKey> {
        match self {
            Self::NewService(key, _)
            | Self::SetService(key, _)
            | Self::DelService(key)
            | Self::NewDestination(key, ..)
            | Self::SetDestination(key, ..)
            | Self::DelDestination(key, _)
            | Self::Zero(Some(key)) => Some(key),
            Self::SetTimeouts(_)
            | Self::StartDaemon(_)
            | Self::StopDaemon(_)
            | Self::Zero(None)
            | Self::Flush => None,
        }
    }
}
