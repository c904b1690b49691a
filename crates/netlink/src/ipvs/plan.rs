//! From what is in the kernel to what should be there: minimal, idempotent, and without touching
//! services that are not ours.
//!
//! Within a service the order keeps it served: servers are added, then raised, then lowered to
//! weight 0, then removed. Services that nobody wants any more go last.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use nix::errno::Errno;

use super::{Destination, Entry, Request, ServiceKey, Table};
use crate::KernelError;

/// What to do with destinations that are found, but not wanted, when a service that somebody else
/// created becomes ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strays {
    /// They stay as they are as long as we hold the service.
    #[default]
    Keep,
    /// They are removed.
    Remove,
}

/// The services that are ours: we created or adopted them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Held {
    /// With the strays that stay.
    services: BTreeMap<ServiceKey, BTreeSet<SocketAddr>>,
}

impl Held {
    /// Nothing is ours.
    #[must_use]
    pub const fn new() -> Self {
        Self { services: BTreeMap::new() }
    }

    /// Declares a service ours (known from before a restart).
    pub fn hold(&mut self, key: ServiceKey) {
        self.services.entry(key).or_default();
    }

    /// Declares that a destination of a service of ours stays although it is not wanted (known
    /// from before a restart).
    pub fn tolerate(&mut self, key: ServiceKey, stray: SocketAddr) {
        self.services.entry(key).or_default().insert(stray);
    }

    /// Whether a service is ours.
    #[must_use]
    pub fn contains(&self, key: &ServiceKey) -> bool {
        self.services.contains_key(key)
    }

    /// The services that are ours, with the strays that stay.
    pub fn services(&self) -> impl ExactSizeIterator<Item = (&ServiceKey, &BTreeSet<SocketAddr>)> {
        self.services.iter()
    }

    /// Lets a service go without touching it.
    pub fn release(&mut self, key: &ServiceKey) {
        self.services.remove(key);
    }

    /// Takes in what became of a plan: updates what is ours, and the mirror of the kernel.
    /// `results` are those of the plan's requests, in order.
    pub fn settle(
        &mut self,
        plan: Plan,
        results: &[Result<(), KernelError>],
        observed: &mut Table,
    ) -> Settled {
        let mut settled = Settled::default();
        // Where all went well the mirror has what is wanted, without a look at each destination.
        let all = results.len() >= plan.requests.len() && results.iter().all(Result::is_ok);
        let mixed: BTreeSet<ServiceKey> = plan
            .claims
            .iter()
            .filter(|(_, strays)| !strays.is_empty())
            .map(|(key, _)| *key)
            .collect();
        for (key, strays) in plan.claims {
            self.services.insert(key, strays);
        }
        if all {
            for (key, goal) in plan.goals {
                observed.put(key, goal);
            }
        }
        for key in &plan.gone {
            self.services.remove(key);
        }
        // Services that could not be created; what was to be added to them fails as a matter of
        // course.
        let mut stillborn = BTreeSet::new();
        let lost = std::iter::repeat(&Err(KernelError::Overrun));
        for (request, result) in plan.requests.into_iter().zip(results.iter().chain(lost)) {
            match result {
                Ok(()) => {
                    let copied = all && request.service().is_some_and(|key| !mixed.contains(key));
                    if !copied || matches!(request, Request::DelService(_)) {
                        observed.absorb(&request);
                    }
                    self.done(&request);
                }
                Err(error) => match verdict(&request, error) {
                    Verdict::Done => {
                        observed.absorb(&request);
                        self.done(&request);
                    }
                    Verdict::Stale => settled.uncertain = true,
                    Verdict::Failed => {
                        match &request {
                            Request::NewService(key, _) => {
                                stillborn.insert(*key);
                            }
                            Request::NewDestination(key, ..)
                                if stillborn.contains(key)
                                    && error.errno() == Some(Errno::ESRCH) =>
                            {
                                continue;
                            }
                            _ => {}
                        }
                        settled.failures.push((request, error.clone()));
                    }
                },
            }
        }
        settled
    }

    fn done(&mut self, request: &Request) {
        match request {
            // A new one has no strays.
            Request::NewService(key, _) => {
                self.services.insert(*key, BTreeSet::new());
            }
            Request::DelService(key) => self.release(key),
            _ => {}
        }
    }
}

/// What an error means for a request that was planned.
enum Verdict {
    /// What was asked is so already.
    Done,
    /// The kernel is not what it was taken for, or the answer was lost: read it and plan again.
    Stale,
    Failed,
}

fn verdict(request: &Request, error: &KernelError) -> Verdict {
    if matches!(error, KernelError::Overrun | KernelError::TimedOut) {
        return Verdict::Stale;
    }
    match (request, error.errno()) {
        (Request::DelService(_), Some(Errno::ESRCH))
        | (Request::DelDestination(..), Some(Errno::ENOENT | Errno::ESRCH)) => Verdict::Done,
        // ENOENT about a service is a scheduler (or persistence engine) that is not there.
        (Request::NewService(..) | Request::NewDestination(..), Some(Errno::EEXIST))
        | (Request::SetService(..), Some(Errno::ESRCH))
        | (Request::SetDestination(..), Some(Errno::ENOENT | Errno::ESRCH)) => Verdict::Stale,
        _ => Verdict::Failed,
    }
}

/// What became of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settled {
    /// Requests that the kernel refused. Destinations of a service that could not be created are
    /// not listed beside it.
    pub failures: Vec<(Request, KernelError)>,
    /// Answers were lost, or somebody changed the same things meanwhile: the mirror may be wrong;
    /// read the kernel and plan again.
    pub uncertain: bool,
}

/// The requests that lead from what is to what is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// For [`IpvsKernel::apply`](super::IpvsKernel::apply), in this order.
    pub requests: Vec<Request>,
    /// Services that somebody else created, and that become ours.
    pub adopted: Vec<ServiceKey>,
    /// Destinations of adopted services that are not wanted: kept or removed as asked.
    pub strays: Vec<(ServiceKey, SocketAddr, Destination)>,
    /// Services that are ours and in the kernel, with the strays that stay.
    claims: Vec<(ServiceKey, BTreeSet<SocketAddr>)>,
    /// Services that were ours, and are gone without our doing.
    gone: Vec<ServiceKey>,
    /// What services are when every request was carried out; without those in which strays stay.
    goals: Vec<(ServiceKey, Arc<Entry>)>,
}

impl Plan {
    /// Whether nothing has to be asked of the kernel.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }
}

/// Plans for all services.
#[must_use]
pub fn plan(observed: &Table, held: &Held, desired: &Table, strays: Strays) -> Plan {
    let mut plan = Plan::default();
    for (key, wanted) in desired.shared() {
        plan.want(key, wanted, observed.get(key), held.services.get(key), strays);
    }
    for key in held.services.keys().filter(|key| desired.get(key).is_none()) {
        plan.let_go(key, observed);
    }
    plan
}

/// Plans for some services only: others are neither read nor changed. For the change of one server
/// in a large table.
#[must_use]
pub fn plan_for<'a>(
    keys: impl IntoIterator<Item = &'a ServiceKey>,
    observed: &Table,
    held: &Held,
    desired: &Table,
    strays: Strays,
) -> Plan {
    let mut plan = Plan::default();
    let keys: BTreeSet<_> = keys.into_iter().collect();
    for key in &keys {
        if let Some(wanted) = desired.share(key) {
            plan.want(key, wanted, observed.get(key), held.services.get(key), strays);
        }
    }
    for key in keys {
        if desired.get(key).is_none() && held.contains(key) {
            plan.let_go(key, observed);
        }
    }
    plan
}

impl Plan {
    fn want(
        &mut self,
        key: &ServiceKey,
        wanted: &Arc<Entry>,
        found: Option<&Entry>,
        held: Option<&BTreeSet<SocketAddr>>,
        strays: Strays,
    ) {
        let Some(found) = found else {
            self.requests.push(Request::NewService(*key, wanted.service.clone()));
            self.add(key, wanted.destinations());
            self.goals.push((*key, Arc::clone(wanted)));
            return;
        };
        if found.service != wanted.service {
            self.requests.push(Request::SetService(*key, wanted.service.clone()));
        }
        self.add(key, wanted.destinations().filter(|(address, _)| found.get(address).is_none()));
        let changed = || {
            wanted.destinations().filter(|(address, destination)| {
                found.get(address).is_some_and(|found| found != *destination)
            })
        };
        for zero in [false, true] {
            let now = changed().filter(|(_, destination)| (destination.weight == 0) == zero);
            let set = now.map(|(address, it)| Request::SetDestination(*key, *address, *it));
            self.requests.extend(set);
        }
        let mut stay = BTreeSet::new();
        for (address, destination) in found.destinations() {
            if wanted.get(address).is_some() {
                continue;
            }
            let keep = match held {
                Some(tolerated) => tolerated.contains(address),
                None => {
                    self.strays.push((*key, *address, *destination));
                    strays == Strays::Keep
                }
            };
            if keep {
                stay.insert(*address);
            } else {
                self.requests.push(Request::DelDestination(*key, *address));
            }
        }
        if held.is_none() {
            self.adopted.push(*key);
        }
        if stay.is_empty() {
            self.goals.push((*key, Arc::clone(wanted)));
        }
        self.claims.push((*key, stay));
    }

    fn let_go(&mut self, key: &ServiceKey, observed: &Table) {
        if observed.get(key).is_some() {
            self.requests.push(Request::DelService(*key));
        } else {
            self.gone.push(*key);
        }
    }

    fn add<'a>(
        &mut self,
        key: &ServiceKey,
        destinations: impl Iterator<Item = (&'a SocketAddr, &'a Destination)>,
    ) {
        let new = destinations.map(|(address, it)| Request::NewDestination(*key, *address, *it));
        self.requests.extend(new);
    }
}
