//! What somebody else has changed in services that are ours.

use std::fmt;
use std::net::SocketAddr;

use super::{Destination, Granularity, Held, Persistence, Service, ServiceKey, Table};

/// One difference between what we last set and what is in the kernel. Displayed as one line of a
/// log, without a full stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Drift {
    /// A service of ours is gone.
    ServiceRemoved(ServiceKey),
    /// Settings of a service of ours are others.
    ServiceChanged {
        /// The service.
        key: ServiceKey,
        /// What we had set.
        set: Service,
        /// What it is now.
        found: Service,
    },
    /// A destination is gone.
    DestinationRemoved {
        /// The service.
        key: ServiceKey,
        /// The destination.
        address: SocketAddr,
    },
    /// Settings of a destination are others.
    DestinationChanged {
        /// The service.
        key: ServiceKey,
        /// The destination.
        address: SocketAddr,
        /// What we had set.
        set: Destination,
        /// What it is now.
        found: Destination,
    },
    /// A destination was added.
    DestinationAdded {
        /// The service.
        key: ServiceKey,
        /// The destination.
        address: SocketAddr,
        /// Its settings.
        found: Destination,
    },
}

impl Drift {
    /// The service that it concerns.
    #[must_use]
    pub const fn service(&self) -> &ServiceKey {
        match self {
            Self::ServiceRemoved(key)
            | Self::ServiceChanged { key, .. }
            | Self::DestinationRemoved { key, .. }
            | Self::DestinationChanged { key, .. }
            | Self::DestinationAdded { key, .. } => key,
        }
    }
}

/// Compares the services that are ours: `set` is the mirror that [`Held::settle`] keeps, `found`
/// what was read now.
#[must_use]
pub fn drift(set: &Table, found: &Table, held: &Held) -> Vec<Drift> {
    let mut all = Vec::new();
    for (key, _) in held.services() {
        let Some(ours) = set.get(key) else { continue };
        let Some(now) = found.get(key) else {
            all.push(Drift::ServiceRemoved(*key));
            continue;
        };
        if ours.service != now.service {
            let (set, found) = (ours.service.clone(), now.service.clone());
            all.push(Drift::ServiceChanged { key: *key, set, found });
        }
        for (address, set) in ours.destinations() {
            match now.get(address) {
                None => all.push(Drift::DestinationRemoved { key: *key, address: *address }),
                Some(found) if found != set => all.push(Drift::DestinationChanged {
                    key: *key,
                    address: *address,
                    set: *set,
                    found: *found,
                }),
                Some(_) => {}
            }
        }
        for (address, found) in now.destinations() {
            if ours.get(address).is_none() {
                all.push(Drift::DestinationAdded { key: *key, address: *address, found: *found });
            }
        }
    }
    all
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ServiceRemoved(key) => write!(f, "{key}: somebody removed the service"),
            Self::ServiceChanged { key, set, found } => {
                write!(f, "{key}: somebody changed {}", Changes(service_changes(set, found)))
            }
            Self::DestinationRemoved { key, address } => {
                write!(f, "{key}: somebody removed {address}")
            }
            Self::DestinationChanged { key, address, set, found } => {
                let changes = Changes(destination_changes(set, found));
                write!(f, "{key}: somebody changed {changes} of {address}")
            }
            Self::DestinationAdded { key, address, found } => {
                let Destination { forwarding, weight, .. } = found;
                write!(f, "{key}: somebody added {address} ({forwarding}, weight {weight})")
            }
        }
    }
}

/// What changed, from what, to what.
struct Changes(Vec<(&'static str, String, String)>);

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (what, from, to)) in self.0.iter().enumerate() {
            let comma = if n == 0 { "" } else { ", " };
            write!(f, "{comma}{what} from {from} to {to}")?;
        }
        Ok(())
    }
}

fn service_changes(set: &Service, found: &Service) -> Vec<(&'static str, String, String)> {
    let yes_no = |yes: bool| if yes { "on" } else { "off" }.to_owned();
    let mut changes = Vec::new();
    let mut compare = |what, from: String, to: String| {
        if from != to {
            changes.push((what, from, to));
        }
    };
    compare("the scheduler", set.scheduler.clone(), found.scheduler.clone());
    let bits = |service: &Service| format!("{:#x}", service.flags.bits());
    compare("the scheduler's flags", bits(set), bits(found));
    compare("one-packet scheduling", yes_no(set.one_packet), yes_no(found.one_packet));
    compare("persistence", persistence(set.persistence), persistence(found.persistence));
    let engine = |service: &Service| service.engine.clone().unwrap_or_else(|| "none".to_owned());
    compare("the persistence engine", engine(set), engine(found));
    changes
}

fn persistence(persistence: Option<Persistence>) -> String {
    match persistence {
        None => "none".to_owned(),
        Some(Persistence { timeout, granularity }) => match granularity {
            Granularity::Host => format!("{timeout} s"),
            Granularity::Mask(mask) => format!("{timeout} s by {mask}"),
            Granularity::Bits(bits) => format!("{timeout} s by /{bits}"),
        },
    }
}

fn destination_changes(
    set: &Destination,
    found: &Destination,
) -> Vec<(&'static str, String, String)> {
    let mut changes = Vec::new();
    if set.forwarding != found.forwarding {
        changes.push(("method", set.forwarding.to_string(), found.forwarding.to_string()));
    }
    for (what, from, to) in [
        ("weight", set.weight, found.weight),
        ("upper threshold", set.upper, found.upper),
        ("lower threshold", set.lower, found.lower),
    ] {
        if from != to {
            changes.push((what, from.to_string(), to.to_string()));
        }
    }
    changes
}
