//! What can be asked of the kernel's IPVS.

use std::fmt;
use std::net::SocketAddr;

use nix::errno::Errno;

use super::{Destination, Forwarding, Service, ServiceKey, SyncDaemon, SyncRole, Timeouts, Tunnel};
use crate::{Family, KernelError};

/// A change. Displayed as part of a log line: `TCP 198.51.100.1:80: add server 198.51.100.11:80`.
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

impl Request {
    /// What is probably behind a refusal that its error number does not tell, and what to do about
    /// it; a sentence without full stop.
    #[must_use]
    pub fn hint(&self, error: &KernelError) -> Option<String> {
        match (self, error.errno()?) {
            (_, Errno::EPERM) => Some("CAP_NET_ADMIN is needed".into()),
            (Self::NewService(_, service) | Self::SetService(_, service), Errno::ENOENT) => {
                let Service { scheduler, engine, .. } = service;
                let engine = engine.as_ref().map(|name| format!(" or ip_vs_pe_{name}"));
                let engine = engine.unwrap_or_default();
                Some(format!("the kernel has no module ip_vs_{scheduler}{engine}"))
            }
            (
                Self::NewDestination(key, address, destination)
                | Self::SetDestination(key, address, destination),
                Errno::EINVAL,
            ) => Some(why_invalid(key, address, destination).into()),
            (
                Self::NewDestination(.., destination) | Self::SetDestination(.., destination),
                Errno::ERANGE,
            ) => {
                let Destination { weight, upper, lower, .. } = destination;
                Some(if lower > upper {
                    format!("the lower threshold {lower} is above the upper one, {upper}")
                } else {
                    format!("the weight {weight} is above 2147483647")
                })
            }
            (Self::StartDaemon(_), Errno::EINVAL) => Some(MIXED.into()),
            (Self::StartDaemon(daemon), Errno::ENODEV) => {
                Some(format!("there is no interface {}", daemon.interface))
            }
            _ => None,
        }
    }
}

const MIXED: &str = "the kernel synchronises no connections while a service has servers of the \
                     other address family, and takes no such servers while it does";

fn why_invalid(key: &ServiceKey, address: &SocketAddr, destination: &Destination) -> &'static str {
    match destination.forwarding {
        Forwarding::Tunnel(Tunnel::Gue { port: 0, .. }) => "a gue tunnel needs a port",
        Forwarding::Tunnel(_) if Family::of(address.ip()) != key.family() => MIXED,
        _ if Family::of(address.ip()) != key.family() => {
            "a server of the other address family is reached by a tunnel only"
        }
        _ => "the address is not one that packets can be sent to",
    }
}

impl fmt::Display for SyncRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Master => "master",
            Self::Backup => "backup",
        })
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NewService(key, service) => {
                write!(f, "{key}: add service, scheduler {}", service.scheduler)
            }
            Self::SetService(key, service) => {
                write!(f, "{key}: change service, scheduler {}", service.scheduler)
            }
            Self::DelService(key) => write!(f, "{key}: remove service"),
            Self::NewDestination(key, address, settings) => {
                write!(f, "{key}: add server {address}, {settings}")
            }
            Self::SetDestination(key, address, settings) => {
                write!(f, "{key}: change server {address} to {settings}")
            }
            Self::DelDestination(key, address) => write!(f, "{key}: remove server {address}"),
            Self::SetTimeouts(Timeouts { tcp, tcp_fin, udp }) => {
                write!(f, "set time-outs tcp {tcp} s, tcpfin {tcp_fin} s, udp {udp} s")
            }
            Self::StartDaemon(SyncDaemon { role, interface, sync_id, .. }) => {
                write!(f, "start {role} sync daemon on {interface}, id {sync_id}")
            }
            Self::StopDaemon(role) => write!(f, "stop {role} sync daemon"),
            Self::Zero(Some(key)) => write!(f, "{key}: set counters to zero"),
            Self::Zero(None) => f.write_str("set all counters to zero"),
            Self::Flush => f.write_str("remove all services"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(errno: Errno) -> KernelError {
        KernelError::Refused { errno, message: None }
    }

    #[test]
    fn requests_read_like_log_lines() {
        let web: ServiceKey = "TCP 198.51.100.1:80".parse().unwrap();
        let server = "198.51.100.11:80".parse().unwrap();
        let limited = Destination { upper: 9, lower: 5, ..Destination::new(Forwarding::Dr, 3) };
        let daemon = SyncDaemon::new(SyncRole::Backup, "eth0", 51);
        for (request, text) in [
            (
                Request::NewService(web, Service::new("wlc")),
                "TCP 198.51.100.1:80: add service, scheduler wlc",
            ),
            (
                Request::NewDestination(web, server, Destination::new(Forwarding::Nat, 1)),
                "TCP 198.51.100.1:80: add server 198.51.100.11:80, Masq, weight 1",
            ),
            (
                Request::SetDestination(web, server, limited),
                "TCP 198.51.100.1:80: change server 198.51.100.11:80 to Route, weight 3, \
                 thresholds 5..9",
            ),
            (Request::StartDaemon(daemon), "start backup sync daemon on eth0, id 51"),
            (Request::DelService(web), "TCP 198.51.100.1:80: remove service"),
        ] {
            assert_eq!(request.to_string(), text);
        }
    }

    #[test]
    fn refusals_are_explained() {
        let web: ServiceKey = "TCP 198.51.100.1:80".parse().unwrap();
        let (four, six) = ("198.51.100.11:80", "[2001:db8::11]:80");
        let nat = Destination::new(Forwarding::Nat, 1);
        let add = |address: &str, destination| {
            Request::NewDestination(web, address.parse().unwrap(), destination)
        };
        let checksum = super::super::TunnelChecksum::None;
        let gue = Forwarding::Tunnel(Tunnel::Gue { port: 0, checksum });
        let ipip = Destination::new(Forwarding::Tunnel(Tunnel::Ipip), 1);
        let daemon = SyncDaemon::new(SyncRole::Backup, "eth0", 51);
        for (request, errno, part) in [
            (Request::NewService(web, Service::new("mh")), Errno::ENOENT, "ip_vs_mh"),
            (add(four, Destination { lower: 5, ..nat }), Errno::ERANGE, "threshold 5 is above"),
            (add(four, Destination { weight: 1 << 31, ..nat }), Errno::ERANGE, "weight"),
            (add(four, Destination::new(gue, 1)), Errno::EINVAL, "needs a port"),
            (add(six, nat), Errno::EINVAL, "by a tunnel only"),
            (add(six, ipip), Errno::EINVAL, "synchronises no connections"),
            (add("224.0.0.1:80", nat), Errno::EINVAL, "packets can be sent to"),
            (Request::StartDaemon(daemon.clone()), Errno::ENODEV, "no interface eth0"),
            (Request::StartDaemon(daemon), Errno::EINVAL, "synchronises no connections"),
            (Request::Flush, Errno::EPERM, "CAP_NET_ADMIN"),
        ] {
            let hint = request.hint(&refused(errno)).unwrap();
            assert!(hint.contains(part), "{hint}");
        }
        assert_eq!(Request::Flush.hint(&refused(Errno::ENOMEM)), None);
        assert_eq!(Request::Flush.hint(&KernelError::TimedOut), None);
    }
}
