//! An IPVS in memory, with the kernel's rules about what exists, what is missing and what cannot
//! be. For tests of this crate and of those above it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};

use nix::errno::Errno;

use super::message;
use super::{
    Counters, Destination, DestinationState, Entry, Forwarding, IpvsKernel, Request, Service,
    ServiceKey, ServiceState, SyncDaemon, SyncRole, Table, Timeouts, Tunnel,
};
use crate::{Family, KernelError};

/// How often a [`FakeIpvs`] was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FakeCounts {
    /// Calls of [`IpvsKernel::apply`].
    pub batches: usize,
    /// Requests in them.
    pub requests: usize,
    /// Requests that were refused.
    pub refused: usize,
    /// Questions: services, destinations of one service, time-outs, daemons.
    pub questions: usize,
}

/// An IPVS in memory.
#[derive(Debug, Clone)]
pub struct FakeIpvs {
    table: Table,
    /// Active, inactive, persistent connections.
    connections: BTreeMap<(ServiceKey, SocketAddr), (u32, u32, u32)>,
    counters: BTreeMap<(ServiceKey, Option<SocketAddr>), Counters>,
    timeouts: Timeouts,
    daemons: BTreeMap<SyncRole, SyncDaemon>,
    schedulers: BTreeSet<String>,
    interfaces: Option<BTreeSet<String>>,
    refusals: VecDeque<KernelError>,
    unanswered: Option<KernelError>,
    counts: FakeCounts,
}

impl Default for FakeIpvs {
    fn default() -> Self {
        const SCHEDULERS: [&str; 14] = [
            "rr", "wrr", "lc", "wlc", "lblc", "lblcr", "sh", "mh", "dh", "fo", "ovf", "sed", "nq",
            "twos",
        ];
        Self {
            table: Table::new(),
            connections: BTreeMap::new(),
            counters: BTreeMap::new(),
            timeouts: Timeouts { tcp: 900, tcp_fin: 120, udp: 300 },
            daemons: BTreeMap::new(),
            schedulers: SCHEDULERS.into_iter().map(str::to_owned).collect(),
            interfaces: None,
            refusals: VecDeque::new(),
            unanswered: None,
            counts: FakeCounts::default(),
        }
    }
}

impl FakeIpvs {
    /// An IPVS without services.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An IPVS in which somebody has put these services.
    #[must_use]
    pub fn with_table(table: Table) -> Self {
        Self { table, ..Self::default() }
    }

    /// Refuses the next request with this error, without doing it; several calls queue up.
    pub fn refuse_next(&mut self, error: KernelError) {
        self.refusals.push_back(error);
    }

    /// From now on (or with none: no longer) every call fails with this error.
    pub fn fail(&mut self, error: Option<KernelError>) {
        self.unanswered = error;
    }

    /// Forgets a scheduler, as if its module were not there.
    pub fn without_scheduler(&mut self, name: &str) {
        self.schedulers.remove(name);
    }

    /// Only these interfaces exist (for synchronisation daemons); otherwise all do.
    pub fn with_interfaces<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) {
        self.interfaces = Some(names.into_iter().map(str::to_owned).collect());
    }

    /// How often it was asked.
    #[must_use]
    pub const fn counts(&self) -> FakeCounts {
        self.counts
    }

    /// What is in it, without counting as a question.
    #[must_use]
    pub const fn contents(&self) -> &Table {
        &self.table
    }

    /// Gives a destination connections: active, inactive, persistent.
    pub fn set_connections(
        &mut self,
        key: ServiceKey,
        address: SocketAddr,
        active: u32,
        inactive: u32,
        persistent: u32,
    ) {
        self.connections.insert((key, address), (active, inactive, persistent));
    }

    /// Gives a service, or one of its destinations, counters.
    pub fn set_counters(
        &mut self,
        key: ServiceKey,
        address: Option<SocketAddr>,
        counters: Counters,
    ) {
        self.counters.insert((key, address), counters);
    }

    fn execute(&mut self, request: &Request) -> Result<(), Errno> {
        match request {
            Request::NewService(key, service) => {
                if self.table.get(key).is_some() {
                    return Err(Errno::EEXIST);
                }
                self.check_service(key, service)?;
            }
            Request::SetService(key, service) => {
                self.entry(key)?;
                self.check_service(key, service)?;
            }
            Request::DelService(key) => {
                self.entry(key)?;
                self.connections.retain(|(service, _), _| service != key);
                self.counters.retain(|(service, _), _| service != key);
            }
            Request::NewDestination(key, address, destination) => {
                let entry = self.entry(key)?;
                self.check_destination(key, *address, destination)?;
                if entry.get(address).is_some() {
                    return Err(Errno::EEXIST);
                }
                if !is_unicast(*address) {
                    return Err(Errno::EINVAL);
                }
            }
            Request::SetDestination(key, address, destination) => {
                let entry = self.entry(key)?;
                self.check_destination(key, *address, destination)?;
                entry.get(address).ok_or(Errno::ENOENT)?;
            }
            Request::DelDestination(key, address) => {
                self.entry(key)?.get(address).ok_or(Errno::ENOENT)?;
                // While connections are open the kernel keeps the destination out of sight, with
                // its counters, and takes it up again when it is added again.
                if self.connections.get(&(*key, *address)).is_none_or(|open| *open == (0, 0, 0)) {
                    self.counters.remove(&(*key, Some(*address)));
                }
            }
            Request::SetTimeouts(wanted) => {
                for (have, wanted) in [
                    (&mut self.timeouts.tcp, wanted.tcp),
                    (&mut self.timeouts.tcp_fin, wanted.tcp_fin),
                    (&mut self.timeouts.udp, wanted.udp),
                ] {
                    if wanted != 0 {
                        *have = wanted;
                    }
                }
            }
            Request::StartDaemon(daemon) => self.start(daemon)?,
            Request::StopDaemon(role) => {
                self.daemons.remove(role).ok_or(Errno::ESRCH)?;
            }
            Request::Zero(None) => self.counters.clear(),
            Request::Zero(Some(key)) => {
                self.entry(key)?;
                self.counters.retain(|(service, _), _| service != key);
            }
            Request::Flush => {
                self.connections.clear();
                self.counters.clear();
            }
        }
        self.table.absorb(request);
        Ok(())
    }

    fn entry(&self, key: &ServiceKey) -> Result<&Entry, Errno> {
        self.table.get(key).ok_or(Errno::ESRCH)
    }

    fn check_service(&self, key: &ServiceKey, service: &Service) -> Result<(), Errno> {
        use super::Granularity::Bits;
        let known = service.scheduler.is_empty() || self.schedulers.contains(&service.scheduler);
        let engine = service.engine.as_deref().is_none_or(|name| name == "sip");
        if !known || !engine {
            return Err(Errno::ENOENT);
        }
        let granularity = service.persistence.map(|it| it.granularity);
        if key.family() == Family::V6 && matches!(granularity, Some(Bits(0 | 129..))) {
            return Err(Errno::EINVAL);
        }
        Ok(())
    }

    fn check_destination(
        &self,
        key: &ServiceKey,
        address: SocketAddr,
        destination: &Destination,
    ) -> Result<(), Errno> {
        let tunnel = match destination.forwarding {
            Forwarding::Tunnel(tunnel) => Some(tunnel),
            _ => None,
        };
        if Family::of(address.ip()) != key.family() {
            // Synchronisation cannot carry connections between families.
            if tunnel.is_none() || !self.daemons.is_empty() {
                return Err(Errno::EINVAL);
            }
        }
        if i32::try_from(destination.weight).is_err() || destination.lower > destination.upper {
            return Err(Errno::ERANGE);
        }
        if matches!(tunnel, Some(Tunnel::Gue { port: 0, .. })) {
            return Err(Errno::EINVAL);
        }
        Ok(())
    }

    fn start(&mut self, daemon: &SyncDaemon) -> Result<(), Errno> {
        let mixed = self.table.services().any(|(key, entry)| {
            let mut all = entry.destinations();
            all.any(|(address, _)| Family::of(address.ip()) != key.family())
        });
        if mixed {
            return Err(Errno::EINVAL);
        }
        if self.daemons.contains_key(&daemon.role) {
            return Err(Errno::EEXIST);
        }
        if self.interfaces.as_ref().is_some_and(|all| !all.contains(&daemon.interface)) {
            return Err(Errno::ENODEV);
        }
        let mut daemon = daemon.clone();
        // What the kernel fills in.
        daemon.max_len.get_or_insert(1472);
        daemon.group.get_or_insert([224, 0, 0, 81].into());
        daemon.port.get_or_insert(8848);
        daemon.ttl.get_or_insert(1);
        self.daemons.insert(daemon.role, daemon);
        Ok(())
    }

    fn question(&mut self) -> Result<(), KernelError> {
        self.counts.questions += 1;
        self.unanswered.clone().map_or(Ok(()), Err)
    }
}

/// What the kernel takes for the address of one machine that packets can be sent to.
fn is_unicast(address: SocketAddr) -> bool {
    match address.ip() {
        IpAddr::V4(ip) => !ip.is_multicast() && !ip.is_broadcast() && !ip.is_unspecified(),
        IpAddr::V6(ip) => !ip.is_multicast() && !ip.is_unspecified() && !ip.is_unicast_link_local(),
    }
}

impl IpvsKernel for FakeIpvs {
    fn apply(&mut self, requests: &[Request]) -> Vec<Result<(), KernelError>> {
        self.counts.batches += 1;
        self.counts.requests += requests.len();
        let mut results = Vec::with_capacity(requests.len());
        for request in requests {
            let result = match self.unanswered.clone().or_else(|| self.refusals.pop_front()) {
                Some(error) => Err(error),
                None => message::check(request).and_then(|()| {
                    let refused = |errno| KernelError::Refused { errno, message: None };
                    self.execute(request).map_err(refused)
                }),
            };
            self.counts.refused += usize::from(result.is_err());
            results.push(result);
        }
        results
    }

    fn services(&mut self) -> Result<Vec<ServiceState>, KernelError> {
        self.question()?;
        let state = |(key, entry): (&ServiceKey, &Entry)| ServiceState {
            key: *key,
            service: entry.service.clone(),
            counters: self.counters.get(&(*key, None)).copied().unwrap_or_default(),
        };
        Ok(self.table.services().map(state).collect())
    }

    fn destinations(&mut self, key: &ServiceKey) -> Result<Vec<DestinationState>, KernelError> {
        self.question()?;
        let Some(entry) = self.table.get(key) else { return Ok(Vec::new()) };
        let state = |(address, destination): (&SocketAddr, &Destination)| {
            let at = (*key, *address);
            let (active, inactive, persistent) =
                self.connections.get(&at).copied().unwrap_or_default();
            let counters = self.counters.get(&(*key, Some(*address))).copied().unwrap_or_default();
            let (service, address, destination) = (*key, *address, *destination);
            DestinationState {
                service,
                address,
                destination,
                active,
                inactive,
                persistent,
                counters,
            }
        };
        Ok(entry.destinations().map(state).collect())
    }

    fn timeouts(&mut self) -> Result<Timeouts, KernelError> {
        self.question()?;
        Ok(self.timeouts)
    }

    fn daemons(&mut self) -> Result<Vec<SyncDaemon>, KernelError> {
        self.question()?;
        Ok(self.daemons.values().cloned().collect())
    }
}
