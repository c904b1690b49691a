//! Services and their destinations, without counters: what is, or what is wanted.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use super::{Destination, DestinationState, Request, Service, ServiceKey, ServiceState};

/// Services and their destinations.
///
/// A table of what is wanted and one of what was set are mostly the same, so tables can share their
/// entries ([`Table::share`], [`Table::put`]); one that is changed is copied before.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Table {
    services: BTreeMap<ServiceKey, Arc<Entry>>,
}

/// A service of a [`Table`] with its destinations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Settings.
    pub service: Service,
    /// By address: ten of them are found faster in a row than in a tree, and take less room.
    destinations: Vec<(SocketAddr, Destination)>,
}

impl Entry {
    /// A service without destinations.
    #[must_use]
    pub const fn new(service: Service) -> Self {
        Self { service, destinations: Vec::new() }
    }

    /// Likewise, with room for so many destinations.
    #[must_use]
    pub fn with_capacity(service: Service, destinations: usize) -> Self {
        Self { service, destinations: Vec::with_capacity(destinations) }
    }

    /// Adds a destination, or replaces its settings.
    pub fn insert(&mut self, address: SocketAddr, destination: Destination) {
        let address = plain(address);
        match self.place(&address) {
            Ok(place) => self.destinations[place].1 = destination,
            Err(place) => self.destinations.insert(place, (address, destination)),
        }
    }

    /// Takes a destination out.
    pub fn remove(&mut self, address: &SocketAddr) -> Option<Destination> {
        let place = self.place(&plain(*address)).ok()?;
        Some(self.destinations.remove(place).1)
    }

    /// A destination.
    #[must_use]
    pub fn get(&self, address: &SocketAddr) -> Option<&Destination> {
        let place = self.place(&plain(*address)).ok()?;
        Some(&self.destinations[place].1)
    }

    /// The destinations, by address.
    pub fn destinations(&self) -> impl ExactSizeIterator<Item = (&SocketAddr, &Destination)> {
        self.destinations.iter().map(|(address, destination)| (address, destination))
    }

    fn place(&self, address: &SocketAddr) -> Result<usize, usize> {
        // Whoever has them sorted appends.
        if self.destinations.last().is_none_or(|(last, _)| last < address) {
            return Err(self.destinations.len());
        }
        self.destinations.binary_search_by(|(candidate, _)| candidate.cmp(address))
    }
}

impl Table {
    /// A table without services.
    #[must_use]
    pub const fn new() -> Self {
        Self { services: BTreeMap::new() }
    }

    /// Adds a service, or replaces its settings; destinations stay.
    pub fn insert(&mut self, key: ServiceKey, service: Service) -> &mut Entry {
        use std::collections::btree_map::Entry as Place;
        match self.services.entry(key.plain()) {
            Place::Occupied(place) => {
                let entry = Arc::make_mut(place.into_mut());
                entry.service = service;
                entry
            }
            Place::Vacant(place) => Arc::make_mut(place.insert(Arc::new(Entry::new(service)))),
        }
    }

    /// Adds a service with its destinations, or puts it in the place of the one there.
    pub fn put(&mut self, key: ServiceKey, entry: Arc<Entry>) {
        self.services.insert(key.plain(), entry);
    }

    /// A service, to be [`put`](Self::put) into another table too.
    #[must_use]
    pub fn share(&self, key: &ServiceKey) -> Option<&Arc<Entry>> {
        self.services.get(&key.plain())
    }

    /// Takes a service out, with its destinations.
    pub fn remove(&mut self, key: &ServiceKey) -> Option<Arc<Entry>> {
        self.services.remove(&key.plain())
    }

    /// A service.
    #[must_use]
    pub fn get(&self, key: &ServiceKey) -> Option<&Entry> {
        self.share(key).map(|entry| &**entry)
    }

    /// A service, to change it.
    pub fn get_mut(&mut self, key: &ServiceKey) -> Option<&mut Entry> {
        self.services.get_mut(&key.plain()).map(Arc::make_mut)
    }

    /// A destination.
    #[must_use]
    pub fn destination(&self, key: &ServiceKey, address: &SocketAddr) -> Option<&Destination> {
        self.get(key)?.get(address)
    }

    /// The services, by key.
    pub fn services(&self) -> impl ExactSizeIterator<Item = (&ServiceKey, &Entry)> {
        self.services.iter().map(|(key, entry)| (key, &**entry))
    }

    /// Likewise, to be shared.
    pub(super) fn shared(&self) -> impl Iterator<Item = (&ServiceKey, &Arc<Entry>)> {
        self.services.iter()
    }

    /// How many services.
    #[must_use]
    pub fn len(&self) -> usize {
        self.services.len()
    }

    /// Whether there are no services.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.services.is_empty()
    }

    /// What the table is after the kernel has done this.
    pub fn absorb(&mut self, request: &Request) {
        match request {
            Request::NewService(key, service) | Request::SetService(key, service) => {
                self.insert(*key, service.clone());
            }
            Request::DelService(key) => {
                self.remove(key);
            }
            Request::NewDestination(key, address, destination)
            | Request::SetDestination(key, address, destination) => {
                if let Some(entry) = self.get_mut(key) {
                    entry.insert(*address, *destination);
                }
            }
            Request::DelDestination(key, address) => {
                if let Some(entry) = self.get_mut(key) {
                    entry.remove(address);
                }
            }
            Request::Flush => self.services.clear(),
            Request::SetTimeouts(_)
            | Request::StartDaemon(_)
            | Request::StopDaemon(_)
            | Request::Zero(_) => {}
        }
    }
}

impl FromIterator<(ServiceState, Vec<DestinationState>)> for Table {
    fn from_iter<I>(states: I) -> Self
    where
        I: IntoIterator<Item = (ServiceState, Vec<DestinationState>)>,
    {
        let mut table = Self::new();
        for (state, destinations) in states {
            let entry = table.insert(state.key, state.service);
            for state in destinations {
                entry.insert(state.address, state.destination);
            }
        }
        table
    }
}

impl ServiceKey {
    /// Likewise without what the kernel does not know: scope and flow label.
    fn plain(self) -> Self {
        match self {
            Self::Address { protocol, address } => Self::address(protocol, address),
            mark @ Self::FwMark { .. } => mark,
        }
    }
}

/// An address without what the kernel does not know: scope and flow label.
fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip(), address.port())
}
