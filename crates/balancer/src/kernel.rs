//! Our part of the kernel's IPVS table: opening IPVS, bringing the table to what the core wants,
//! and putting right what somebody else changed.
//!
//! IPVS tells nobody of changes. So the table is read now and then, a bounded share of it at a
//! time, and compared with what was last set there.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind::NotFound};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use netlink::KernelError;
use netlink::ipvs::{
    DestinationState, Drift, Held, Ipvs, IpvsKernel, IpvsOptions, Request, Service, ServiceKey,
    ServiceState, Strays, SyncDaemon, SyncRole, Table, Timeouts, drift, plan_daemons, plan_for,
};

/// Services whose destinations one look reads: so many at least, or a share of all, so that a large
/// table is through within a minute.
const LEAST_SHARE: usize = 256;
const SHARES: usize = 5;
/// How long a look reads at a time: the processor is for the checks.
const LOOKING: Duration = Duration::from_millis(20);
/// Services that are planned for and brought at a time. Their requests are a few datagrams; those of
/// ten thousand services would be megabytes of memory.
const PART: usize = 128;
/// How often a table that changes under our hands is read anew before the next look takes over.
const ATTEMPTS: usize = 3;
/// Findings and refusals that are told one by one; the rest is counted.
const REPORTED: usize = 16;

/// A kernel's IPVS that may be opened on another thread.
pub type BoxedIpvs = Box<dyn IpvsKernel + Send>;

/// Why there is no IPVS to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unavailable {
    /// Why, in one sentence.
    pub problem: String,
    /// What to do about it.
    pub remedy: String,
}

/// Opens IPVS; `true`: also load the module if that is needed. May take seconds, and is called on
/// a thread of its own.
pub type Opener = Arc<dyn Fn(bool) -> Result<BoxedIpvs, Unavailable> + Send + Sync>;

/// Opens the real kernel's, in the network namespace `namespace` (`net_namespace_ipvs`; empty: the
/// one that process 1 is in) or in the calling thread's own.
pub(crate) fn real(options: IpvsOptions, namespace: Option<String>) -> Opener {
    Arc::new(move |load| {
        if let Some(name) = &namespace {
            let place = if name.is_empty() { "/proc/1/ns/net" } else { name.as_str() };
            // The thread ends after this: nobody else is taken along.
            sys::netns::enter(place).map_err(|error| Unavailable {
                problem: format!("net_namespace_ipvs {name}: {error}"),
                remedy: format!("create it: ip netns add {name}"),
            })?;
        }
        let load_module = options.load_module.filter(|_| load);
        match Ipvs::with(&IpvsOptions { load_module, ..options.clone() }) {
            Ok(ipvs) => Ok(Box::new(ipvs) as BoxedIpvs),
            Err(error) => {
                Err(Unavailable { problem: error.to_string(), remedy: error.remedy().to_owned() })
            }
        }
    })
}

/// What came of a change.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Requests that the kernel refused, in sentences: the first of them.
    pub(crate) refused: Vec<String>,
    /// How many more were refused.
    pub(crate) refused_more: usize,
    /// Services of somebody else that are ours from now on.
    pub(crate) adopted: Vec<ServiceKey>,
    /// Servers in them that stay although they are not ours.
    pub(crate) strays: Vec<(ServiceKey, SocketAddr)>,
    /// What somebody else had changed and was put right, in sentences.
    pub(crate) repaired: Vec<String>,
    /// The way to the kernel is lost: it has to be opened again.
    pub(crate) lost: Option<KernelError>,
}

impl Outcome {
    fn absorb(&mut self, other: Self) {
        for text in other.refused {
            self.refuse(text);
        }
        self.refused_more += other.refused_more;
        self.adopted.extend(other.adopted);
        self.strays.extend(other.strays);
        self.repaired.extend(other.repaired);
        self.lost = self.lost.take().or(other.lost);
    }

    fn refuse(&mut self, text: String) {
        if self.refused.len() < REPORTED {
            self.refused.push(text);
        } else {
            self.refused_more += 1;
        }
    }

    /// What was refused, in sentences.
    pub(crate) fn take_refused(&mut self) -> impl Iterator<Item = String> + use<> {
        let more = more_requests(std::mem::take(&mut self.refused_more));
        std::mem::take(&mut self.refused).into_iter().chain(more)
    }
}

/// A service with its destinations, as the kernel counts them.
pub(crate) type Counted = (ServiceState, Vec<DestinationState>);

/// Counters of services: a large table takes longer to read than checks can wait.
#[derive(Default)]
pub(crate) struct Survey {
    left: Vec<ServiceState>,
    /// What has been counted.
    pub(crate) counted: Vec<Counted>,
}

/// Our part of the table.
#[derive(Default)]
pub(crate) struct Kernel {
    ipvs: Option<BoxedIpvs>,
    /// What we last set, or found and let be.
    mirror: Table,
    held: Held,
    /// Whether `held` has changed since it was last kept.
    unkept: bool,
    /// Services whose destinations this look has still to read, the next one last.
    looking: Vec<ServiceKey>,
    /// From where the next look goes on.
    next: Option<ServiceKey>,
    /// What the kernel refused when it was asked last, by service.
    refusals: BTreeMap<ServiceKey, Vec<String>>,
    repaired: u64,
}

impl Kernel {
    /// Nothing is known of the kernel yet; `held` was ours before the role was restarted.
    pub(crate) fn new(held: Held) -> Self {
        Self { held, ..Self::default() }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.ipvs.is_some()
    }

    /// Whether anything in the kernel is ours.
    pub(crate) fn holds_something(&self) -> bool {
        self.held.services().len() > 0
    }

    /// Takes IPVS in. Nothing is read or changed yet.
    pub(crate) fn open(&mut self, ipvs: BoxedIpvs) {
        self.ipvs = Some(ipvs);
        self.refusals.clear();
        self.mirror = Table::new();
        self.looking.clear();
        self.next = None;
    }

    /// `lvs_flush`: removes all services, whoever added them.
    pub(crate) fn flush(&mut self) -> Outcome {
        self.ask(Request::Flush)
    }

    /// `lvs_timeouts`.
    pub(crate) fn set_timeouts(&mut self, timeouts: Timeouts) -> Outcome {
        self.ask(Request::SetTimeouts(timeouts))
    }

    /// Starts the daemons that do not run as wanted, and stops the others: the kernel has one of
    /// each role only.
    pub(crate) fn set_daemons(&mut self, wanted: &[SyncDaemon]) -> Outcome {
        let Some(ipvs) = &mut self.ipvs else { return Outcome::default() };
        let requests = match ipvs.daemons() {
            Ok(running) => plan_daemons(&running, wanted),
            Err(error) => return refusal(format!("synchronisation daemons: {error}")),
        };
        let mut outcome = Outcome::default();
        for request in requests {
            outcome.absorb(self.ask(request));
        }
        outcome
    }

    /// Reads our part of the table and brings all of it to what is wanted: at the start, after the
    /// way to the kernel was lost, and when an answer was.
    pub(crate) fn bring_all(&mut self, desired: &Table) -> Outcome {
        let mut outcome = Outcome::default();
        for _ in 0..ATTEMPTS {
            let Some(ipvs) = &mut self.ipvs else { return outcome };
            let mut keys: BTreeSet<ServiceKey> = desired.services().map(|(key, _)| *key).collect();
            keys.extend(self.held.services().map(|(key, _)| *key));
            self.mirror = match ipvs.table_of(&keys) {
                Ok(table) => table,
                Err(error) => {
                    outcome.lost = Some(error);
                    return outcome;
                }
            };
            // Services that nobody wants any more go last.
            let (wanted, unwanted): (Vec<ServiceKey>, Vec<ServiceKey>) =
                keys.into_iter().partition(|key| desired.get(key).is_some());
            let mut uncertain = false;
            for part in wanted.chunks(PART).chain(unwanted.chunks(PART)) {
                let plan = plan_for(part, &self.mirror, &self.held, desired, Strays::Keep);
                let (done, again) = self.carry_out(plan, part);
                outcome.absorb(done);
                uncertain |= again;
            }
            if !uncertain {
                break;
            }
        }
        outcome
    }

    /// Brings some services to what is wanted.
    pub(crate) fn bring(&mut self, keys: &BTreeSet<ServiceKey>, desired: &Table) -> Outcome {
        if self.ipvs.is_none() {
            return Outcome::default();
        }
        let mut outcome = Outcome::default();
        // A service that is new to us may be somebody's already: it has to be read first.
        let new: BTreeSet<_> = keys
            .iter()
            .filter(|key| desired.get(key).is_some() && !self.held.contains(key))
            .copied()
            .collect();
        if !new.is_empty() {
            outcome.absorb(self.read(&new));
        }
        let list: Vec<ServiceKey> = keys.iter().copied().collect();
        let plan = plan_for(keys, &self.mirror, &self.held, desired, Strays::Keep);
        let (done, mut uncertain) = self.carry_out(plan, &list);
        outcome.absorb(done);
        for _ in 0..ATTEMPTS {
            if !uncertain || outcome.lost.is_some() {
                break;
            }
            outcome.absorb(self.read(keys));
            let plan = plan_for(keys, &self.mirror, &self.held, desired, Strays::Keep);
            let (done, again) = self.carry_out(plan, &list);
            outcome.absorb(done);
            uncertain = again;
        }
        outcome
    }

    /// Looks at all of our services, and at the destinations of a share of them, for what others
    /// changed, and puts it right. While [`Kernel::is_looking`], the share is not through.
    pub(crate) fn look(&mut self, desired: &Table) -> Outcome {
        let mut outcome = Outcome::default();
        if self.looking.is_empty() {
            self.looking = self.share();
            outcome = self.compare(&BTreeSet::new(), desired);
            // Without drift too: what could not be done before (a scheduler that was missing) is
            // tried again.
            let failed: BTreeSet<_> = desired
                .services()
                .map(|(key, _)| *key)
                .filter(|key| !self.held.contains(key))
                .collect();
            if !failed.is_empty() {
                outcome.absorb(self.bring(&failed, desired));
            }
        }
        if outcome.lost.is_none() {
            outcome.absorb(self.look_on(desired));
        }
        if outcome.lost.is_some() {
            self.looking.clear();
        }
        outcome
    }

    /// Whether a look is under way.
    pub(crate) fn is_looking(&self) -> bool {
        !self.looking.is_empty()
    }

    /// The next look begins anew.
    pub(crate) fn look_anew(&mut self) {
        self.looking.clear();
    }

    /// Reads destinations for a while. Only services with others than ours are looked into.
    fn look_on(&mut self, desired: &Table) -> Outcome {
        let Some(ipvs) = &mut self.ipvs else { return Outcome::default() };
        let begun = Instant::now();
        let mut suspects = BTreeSet::new();
        while let Some(key) = self.looking.pop() {
            let Some(ours) = self.mirror.share(&key) else { continue };
            match ipvs.destinations(&key) {
                Ok(states) => {
                    let same = states.len() == ours.destinations().len()
                        && states.iter().all(|it| ours.get(&it.address) == Some(&it.destination));
                    // What is there but not as wanted could not be done before.
                    let open = || {
                        let keys = std::slice::from_ref(&key);
                        let plan = plan_for(keys, &self.mirror, &self.held, desired, Strays::Keep);
                        !plan.is_empty()
                    };
                    let wanted = desired.share(&key);
                    if !same || !wanted.is_some_and(|it| Arc::ptr_eq(it, ours)) && open() {
                        suspects.insert(key);
                    }
                }
                Err(error) => return Outcome { lost: Some(error), ..Outcome::default() },
            }
            if begun.elapsed() > LOOKING {
                break;
            }
        }
        if suspects.is_empty() { Outcome::default() } else { self.compare(&suspects, desired) }
    }

    /// Compares all of our services with the kernel's, and the destinations of some, and puts right
    /// what others changed.
    fn compare(&mut self, keys: &BTreeSet<ServiceKey>, desired: &Table) -> Outcome {
        let mut outcome = Outcome::default();
        let Some(ipvs) = &mut self.ipvs else { return outcome };
        let services = match ipvs.services() {
            Ok(services) => services,
            Err(error) => return Outcome { lost: Some(error), ..outcome },
        };
        let mut found: BTreeMap<ServiceKey, Service> = BTreeMap::new();
        for state in services.into_iter().filter(|state| self.held.contains(&state.key)) {
            found.insert(state.key, state.service);
        }
        // What is compared: both sides of these services, and of those that are gone or changed as
        // such.
        let (mut set, mut there) = (Table::new(), Table::new());
        let mut looked = BTreeSet::new();
        for key in keys {
            looked.insert(*key);
            let Some(service) = found.get(key) else { continue };
            let entry = there.insert(*key, service.clone());
            match ipvs.destinations(key) {
                Ok(states) => {
                    for state in states {
                        entry.insert(state.address, state.destination);
                    }
                }
                Err(error) => return Outcome { lost: Some(error), ..outcome },
            }
        }
        for (key, _) in self.held.services() {
            let Some(ours) = self.mirror.share(key) else { continue };
            let changed = found.get(key) != Some(&ours.service);
            if !changed && !looked.contains(key) {
                continue;
            }
            set.put(*key, Arc::clone(ours));
            if let (false, Some(service)) = (looked.contains(key), found.get(key)) {
                // Its destinations have their turn later.
                there.put(*key, Arc::clone(ours));
                there.insert(*key, service.clone());
            }
            looked.insert(*key);
        }
        let drifts = drift(&set, &there, &self.held);
        for key in drifts.iter().map(Drift::service) {
            self.mirror.remove(key);
            if let Some(entry) = there.share(key) {
                self.mirror.put(*key, Arc::clone(entry));
            }
        }
        let looked: Vec<ServiceKey> = looked.into_iter().collect();
        let plan = plan_for(&looked, &self.mirror, &self.held, desired, Strays::Keep);
        outcome.absorb(self.carry_out(plan, &looked).0);
        if !drifts.is_empty() {
            self.repaired += drifts.len() as u64;
            outcome.repaired = told(&drifts);
        }
        outcome
    }

    /// The services whose destinations are read in this turn, the first one last.
    fn share(&mut self) -> Vec<ServiceKey> {
        let all: Vec<ServiceKey> = self.held.services().map(|(key, _)| *key).collect();
        let many = all.len().div_ceil(SHARES).max(LEAST_SHARE).min(all.len());
        let start = match self.next {
            Some(next) => all.partition_point(|key| *key < next),
            None => 0,
        };
        self.next = all.get((start + many) % all.len().max(1)).copied();
        let mut share: Vec<_> = all.iter().cycle().skip(start).take(many).copied().collect();
        share.reverse();
        share
    }

    /// Connections of a destination: active, inactive.
    pub(crate) fn connections(
        &mut self,
        key: &ServiceKey,
    ) -> Result<Vec<DestinationState>, KernelError> {
        match &mut self.ipvs {
            Some(ipvs) => ipvs.destinations(key),
            None => Ok(Vec::new()),
        }
    }

    /// Begins to count some services; those that are not in the kernel are left out.
    pub(crate) fn survey(&mut self, keys: &BTreeSet<ServiceKey>) -> Survey {
        let services = self.ipvs.as_mut().and_then(|ipvs| ipvs.services().ok());
        let ours = services.into_iter().flatten().filter(|state| keys.contains(&state.key));
        Survey { left: ours.collect(), counted: Vec::new() }
    }

    /// Goes on counting, for a while or to the end. Whether it is done.
    pub(crate) fn count_on(&mut self, survey: &mut Survey, wait: Option<Duration>) -> bool {
        let begun = Instant::now();
        while let (Some(ipvs), Some(state)) = (&mut self.ipvs, survey.left.pop()) {
            let destinations = ipvs.destinations(&state.key).unwrap_or_default();
            survey.counted.push((state, destinations));
            if wait.is_some_and(|wait| begun.elapsed() > wait) {
                break;
            }
        }
        survey.left.is_empty() || self.ipvs.is_none()
    }

    /// What we last set.
    pub(crate) fn mirror(&self) -> &Table {
        &self.mirror
    }

    /// What is ours, if it has changed since the last call.
    pub(crate) fn held_if_changed(&mut self) -> Option<&Held> {
        std::mem::take(&mut self.unkept).then_some(&self.held)
    }

    /// How many changes of others were put right.
    pub(crate) fn repaired(&self) -> u64 {
        self.repaired
    }

    /// What the kernel refuses: some of it, and how much more there is.
    pub(crate) fn refusals(&self) -> Vec<String> {
        let mut all = self.refusals.values().flatten();
        let mut told: Vec<String> = all.by_ref().take(REPORTED).cloned().collect();
        told.extend(more_requests(all.count()));
        told
    }

    /// The way to the kernel is lost.
    pub(crate) fn close(&mut self) {
        self.ipvs = None;
    }

    /// Reads some services into the mirror.
    fn read(&mut self, keys: &BTreeSet<ServiceKey>) -> Outcome {
        let Some(ipvs) = &mut self.ipvs else { return Outcome::default() };
        let found = match ipvs.table_of(keys) {
            Ok(found) => found,
            Err(error) => return Outcome { lost: Some(error), ..Outcome::default() },
        };
        for key in keys {
            self.mirror.remove(key);
        }
        for key in keys {
            if let Some(entry) = found.share(key) {
                self.mirror.put(*key, Arc::clone(entry));
            }
        }
        Outcome::default()
    }

    /// Carries a plan out that was made for these services. Whether the mirror may be wrong now.
    fn carry_out(&mut self, plan: netlink::ipvs::Plan, keys: &[ServiceKey]) -> (Outcome, bool) {
        let mut outcome = Outcome {
            adopted: plan.adopted.clone(),
            strays: plan.strays.iter().map(|(key, address, _)| (*key, *address)).collect(),
            ..Outcome::default()
        };
        let Some(ipvs) = &mut self.ipvs else { return (outcome, false) };
        let results = if plan.is_empty() { Vec::new() } else { ipvs.apply(&plan.requests) };
        let reshaped =
            |request: &Request| matches!(request, Request::NewService(..) | Request::DelService(_));
        self.unkept |= !plan.adopted.is_empty() || plan.requests.iter().any(reshaped);
        let many = self.held.services().len();
        let settled = self.held.settle(plan, &results, &mut self.mirror);
        self.unkept |= many != self.held.services().len();
        let before: BTreeMap<_, _> =
            keys.iter().filter_map(|key| self.refusals.remove_entry(key)).collect();
        for (request, error) in &settled.failures {
            let Some(key) = request.service() else { continue };
            let text = format!("{}: {}", described(request), why(request, error));
            // What was told when it was tried first is not told again.
            if !before.get(key).is_some_and(|told| told.contains(&text)) {
                outcome.refuse(text.clone());
            }
            self.refusals.entry(*key).or_default().push(text);
        }
        (outcome, settled.uncertain)
    }

    fn ask(&mut self, request: Request) -> Outcome {
        let Some(ipvs) = &mut self.ipvs else { return Outcome::default() };
        let what = described(&request);
        match ipvs.apply(&[request]).pop() {
            Some(Err(error)) => refusal(format!("{what}: {error}")),
            _ => Outcome::default(),
        }
    }
}

fn refusal(text: String) -> Outcome {
    Outcome { refused: vec![text], ..Outcome::default() }
}

/// As `ipvsadm` calls it.
pub(crate) fn role_word(role: SyncRole) -> &'static str {
    match role {
        SyncRole::Master => "master",
        SyncRole::Backup => "backup",
    }
}

/// What is said of the refusals beyond [`REPORTED`].
fn more_requests(count: usize) -> Option<String> {
    match count {
        0 => None,
        1 => Some("1 more request was refused".to_owned()),
        _ => Some(format!("{count} more requests were refused")),
    }
}

fn told(drifts: &[Drift]) -> Vec<String> {
    let mut texts: Vec<String> = drifts.iter().take(REPORTED).map(ToString::to_string).collect();
    let more = drifts.len().saturating_sub(REPORTED);
    if more > 0 {
        texts.push(format!("{more} more changes by somebody"));
    }
    texts
}

/// What an error means for a request, where the kernel's word for it misleads.
fn why(request: &Request, error: &KernelError) -> String {
    match request {
        Request::NewService(_, service) | Request::SetService(_, service)
            if error.errno().is_some_and(|errno| io::Error::from(errno).kind() == NotFound) =>
        {
            let scheduler = &service.scheduler;
            match &service.engine {
                None => {
                    format!("the kernel has no scheduler {scheduler} (modprobe ip_vs_{scheduler})")
                }
                Some(engine) => format!(
                    "the kernel has no scheduler {scheduler} or no persistence engine {engine} \
                     (modprobe -a ip_vs_{scheduler} ip_vs_pe_{engine})"
                ),
            }
        }
        _ => error.to_string(),
    }
}

/// A request in words, as far as it is about services.
fn described(request: &Request) -> String {
    match request {
        Request::NewService(key, service) => {
            format!("the service {key} ({}) cannot be added", service.scheduler)
        }
        Request::SetService(key, service) => {
            format!("the service {key} ({}) cannot be changed", service.scheduler)
        }
        Request::DelService(key) => format!("the service {key} cannot be removed"),
        Request::NewDestination(key, address, to) => {
            format!("{address} ({}) cannot be added to {key}", to.forwarding)
        }
        Request::SetDestination(key, address, to) => {
            format!("{address} ({}) of {key} cannot be changed", to.forwarding)
        }
        Request::DelDestination(key, address) => {
            format!("{address} cannot be removed from {key}")
        }
        Request::SetTimeouts(_) => "time-outs cannot be set".to_owned(),
        Request::StartDaemon(daemon) => {
            let (role, interface) = (role_word(daemon.role), &daemon.interface);
            format!("the {role} daemon on {interface} cannot be started")
        }
        Request::StopDaemon(role) => format!("the {} daemon cannot be stopped", role_word(*role)),
        Request::Zero(_) => "counters cannot be set to zero".to_owned(),
        Request::Flush => "the table cannot be emptied".to_owned(),
    }
}

#[cfg(test)]
mod tests;
