//! From what should be in the kernel to the requests that make it so: minimal, idempotent, and
//! without touching what is not ours.
//!
//! ```text
//!   Desired (per owner) ─┐
//!   Ledger (who holds) ──┼─► Ledger::plan ─► Plan ─► Kernel::apply ─► Ledger::settle
//!   Observed (mirror) ───┘                                            (updates ledger and mirror)
//! ```
//!
//! [`reconcile`] does these steps in one call. An owner is whatever the caller likes: a VRRP instance, the static entries. Two owners may hold
//! the same entry; it goes when the last one lets go. The same code serves takeover, release,
//! reload, recovery after a crash, and somebody deleting our entries behind our back.

mod matching;
mod observed;
mod planner;

use std::collections::{BTreeSet, HashMap, HashSet};

pub use matching::{AddressKey, RouteKey};
use matching::{normal, route_matches, rule_matches};
pub use observed::{Observed, Scope};

use crate::{Address, Kernel, KernelError, Request, Route, Rule};

/// Who holds entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Owner(pub u32);

/// What one owner wants. An empty one releases everything that the owner holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Desired {
    /// Addresses to be there.
    pub addresses: Vec<WantedAddress>,
    /// Routes to be there.
    pub routes: Vec<WantedRoute>,
    /// Rules to be there.
    pub rules: Vec<WantedRule>,
    /// Entries to be gone, whoever added them (a BACKUP's virtual addresses, left by an earlier
    /// daemon); not if an owner holds or wants them.
    pub absent: Absent,
}

/// Entries to be gone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Absent {
    /// Addresses.
    pub addresses: Vec<Address>,
    /// Routes.
    pub routes: Vec<Route>,
    /// Rules.
    pub rules: Vec<Rule>,
}

/// An address to be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedAddress {
    /// The address.
    pub address: Address,
    /// What to do when somebody else has added it before.
    pub foreign: Foreign,
}

/// A route to be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedRoute {
    /// The route.
    pub route: Route,
    /// Where it goes among others of the same key.
    pub placement: Placement,
    /// What to do when somebody else has added it before.
    pub foreign: Foreign,
}

/// A rule to be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedRule {
    /// The rule.
    pub rule: Rule,
    /// What to do when somebody else has added it before.
    pub foreign: Foreign,
}

/// What to do with a wanted entry that somebody else has added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Foreign {
    /// It becomes ours: marked, corrected, and removed at release.
    #[default]
    Adopt,
    /// It satisfies us as it is, and stays when we release.
    Share,
}

/// Where a route goes among others of the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Placement {
    /// Before them (`prepend`, the default).
    #[default]
    Prepend,
    /// After them (`append`).
    Append,
    /// Only if there are none (`add`); otherwise the kernel's refusal is reported.
    Exclusive,
}

/// The requests that lead from what is to what is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// For [`Kernel::apply`]: new addresses, removals, new routes and rules.
    pub requests: Vec<Request>,
    /// One per request.
    effects: Vec<Effect>,
    /// What is satisfied already.
    claims: Vec<(Owner, Entry)>,
    /// What an owner lets go without a request, because it is gone or held by another one.
    drops: Vec<(Owner, Entry)>,
}

impl Plan {
    /// Whether nothing has to be asked of the kernel.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    fn push(&mut self, request: Request, effect: Effect) {
        self.requests.push(request);
        self.effects.push(effect);
    }

    fn extend(&mut self, more: Self) {
        self.requests.extend(more.requests);
        self.effects.extend(more.effects);
        self.claims.extend(more.claims);
        self.drops.extend(more.drops);
    }
}

/// What became of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settled {
    /// How many requests were made.
    pub requests: usize,
    /// Requests that failed, with their owners (none for entries that nobody held).
    pub failures: Vec<(Option<Owner>, Request, KernelError)>,
    /// Whether the kernel's state is uncertain: read [`Observed`] again and plan anew.
    pub uncertain: bool,
}

/// Plans, applies and settles until nothing is left to do: one round nearly always, another when
/// the kernel has taken routes along with an address, never more than three. Ends early when a
/// request fails or the kernel's state becomes uncertain.
pub fn reconcile(
    kernel: &mut impl Kernel,
    ledger: &mut Ledger,
    observed: &mut Observed,
    wants: &[(Owner, &Desired)],
) -> Settled {
    const ROUNDS: usize = 3;
    let mut total = Settled::default();
    for _ in 0..ROUNDS {
        let plan = ledger.plan(wants, observed);
        let quiet = plan.is_empty();
        let results = if quiet { Vec::new() } else { kernel.apply(&plan.requests) };
        let settled = ledger.settle(plan, &results, observed);
        total.requests += settled.requests;
        total.failures.extend(settled.failures);
        total.uncertain |= settled.uncertain;
        if quiet || total.uncertain || !total.failures.is_empty() {
            break;
        }
    }
    total
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Effect {
    /// Success makes the owner a holder of the entry.
    Hold(Owner, Entry),
    /// Success makes the owner a holder of the second entry instead of the first.
    Swap(Owner, Entry, Entry),
    /// Success or "already gone" ends the owner's hold on the entry.
    Release(Owner, Entry),
    /// A step on the way, or the removal of something nobody held.
    Pass,
}

/// Anything that can be held, with what is needed to remove it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Entry {
    Address(Address),
    Route(Route),
    Rule(Rule),
}

/// What identifies an entry of ours.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Address(AddressKey),
    /// The key alone does not tell two routes apart.
    Route(RouteKey, Box<Route>),
    Rule(Box<Rule>),
}

impl Key {
    fn of_route(route: &Route) -> Self {
        Self::Route(RouteKey::of(route), Box::new(route.clone()))
    }

    fn of_rule(rule: &Rule) -> Self {
        Self::Rule(Box::new(normal(rule)))
    }
}

impl Entry {
    fn key(&self) -> Key {
        match self {
            Self::Address(address) => Key::Address(AddressKey::of(address)),
            Self::Route(route) => Key::of_route(route),
            Self::Rule(rule) => Key::of_rule(rule),
        }
    }

    fn removal(&self) -> Request {
        match self {
            Self::Address(address) => Request::DelAddress(address.clone()),
            Self::Route(route) => Request::DelRoute(route.clone()),
            Self::Rule(rule) => Request::DelRule(rule.clone()),
        }
    }

    fn is_in(&self, observed: &Observed) -> bool {
        match self {
            Self::Address(address) => observed.address(&AddressKey::of(address)).is_some(),
            Self::Route(route) => {
                let at = observed.routes_at(&RouteKey::of(route));
                at.iter().any(|have| route_matches(have, route))
            }
            Self::Rule(rule) => {
                let form = normal(rule);
                observed.rules().iter().any(|have| rule_matches(&normal(have), &form))
            }
        }
    }
}

/// Who holds which of our entries.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    held: HashMap<Key, Held>,
    owners: HashMap<Owner, HashSet<Key>>,
}

#[derive(Debug, Clone)]
struct Held {
    entry: Entry,
    by: BTreeSet<Owner>,
}

impl Ledger {
    /// A ledger in which nothing is held.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes that an owner holds an address, from a saved state.
    pub fn hold_address(&mut self, owner: Owner, address: Address) {
        self.hold(owner, Entry::Address(address));
    }

    /// Notes that an owner holds a route, from a saved state.
    pub fn hold_route(&mut self, owner: Owner, route: Route) {
        self.hold(owner, Entry::Route(route));
    }

    /// Notes that an owner holds a rule, from a saved state.
    pub fn hold_rule(&mut self, owner: Owner, rule: Rule) {
        self.hold(owner, Entry::Rule(rule));
    }

    /// The owners of an address: who has to be told when it was removed by somebody else.
    pub fn owners_of_address(&self, address: &Address) -> impl Iterator<Item = Owner> {
        let held = self.held.get(&Key::Address(AddressKey::of(address)));
        held.into_iter().flat_map(|held| held.by.iter().copied())
    }

    /// The owners of a route, likewise.
    pub fn owners_of_route(&self, route: &Route) -> impl Iterator<Item = Owner> {
        let key = RouteKey::of(route);
        let held = self.held.values().filter(move |held| match &held.entry {
            Entry::Route(ours) => RouteKey::of(ours) == key && route_matches(route, ours),
            _ => false,
        });
        held.flat_map(|held| held.by.iter().copied())
    }

    /// The owners of a rule, likewise.
    pub fn owners_of_rule(&self, rule: &Rule) -> impl Iterator<Item = Owner> {
        let form = normal(rule);
        let held = self.held.iter().filter(move |(key, _)| match key {
            Key::Rule(ours) => rule_matches(&form, ours),
            _ => false,
        });
        held.flat_map(|(_, held)| held.by.iter().copied())
    }

    /// How many entries an owner holds.
    #[must_use]
    pub fn count(&self, owner: Owner) -> usize {
        self.owners.get(&owner).map_or(0, HashSet::len)
    }

    /// What has to be asked of the kernel so that each of these owners has what it wants, and
    /// nothing else. Owners that are not named keep what they hold.
    ///
    /// Name owners together when one may take what another lets go.
    #[must_use]
    pub fn plan(&self, wants: &[(Owner, &Desired)], observed: &Observed) -> Plan {
        planner::plan(self, wants, observed)
    }

    /// Takes in what the kernel answered to a plan, and notes it in the mirror. Removing what is
    /// gone already is no failure, nor is adding a route or rule that exists already.
    pub fn settle(
        &mut self,
        plan: Plan,
        results: &[Result<(), KernelError>],
        observed: &mut Observed,
    ) -> Settled {
        let mut settled = Settled { requests: plan.requests.len(), ..Settled::default() };
        for (owner, entry) in plan.drops {
            self.let_go(owner, &entry);
        }
        for (owner, entry) in plan.claims {
            self.hold(owner, entry);
        }
        let missing = std::iter::repeat(&Err(KernelError::TimedOut));
        for ((request, effect), result) in
            plan.requests.into_iter().zip(plan.effects).zip(results.iter().chain(missing))
        {
            let done = match result {
                Ok(()) => true,
                Err(error) if request.is_removal() => error.already_gone(),
                Err(error) => {
                    let same = match &request {
                        // Without "exclusive" this is said only of the very same route.
                        Request::PrependRoute(_) | Request::AppendRoute(_) => true,
                        // The kernel takes "not X" and "X" for the same rule.
                        Request::AddRule(rule) => !observed.has_opposite(rule),
                        _ => false,
                    };
                    same && error.already_exists()
                }
            };
            let unknown = matches!(
                result,
                Err(KernelError::Overrun | KernelError::TimedOut | KernelError::Socket(_))
            );
            settled.uncertain |= unknown;
            if done {
                observed.assume(&request);
            }
            let owner = match effect {
                // What may have been added has to be removed one day.
                Effect::Hold(owner, entry) => {
                    if done || unknown {
                        self.hold(owner, entry);
                    }
                    Some(owner)
                }
                Effect::Swap(owner, old, new) => {
                    if done {
                        self.let_go(owner, &old);
                    }
                    if done || unknown {
                        self.hold(owner, new);
                    }
                    Some(owner)
                }
                Effect::Release(owner, entry) => {
                    if done {
                        self.let_go(owner, &entry);
                    }
                    Some(owner)
                }
                Effect::Pass => None,
            };
            if let (false, Err(error)) = (done, result) {
                settled.failures.push((owner, request, error.clone()));
            }
        }
        settled
    }

    fn hold(&mut self, owner: Owner, entry: Entry) {
        let key = entry.key();
        self.owners.entry(owner).or_default().insert(key.clone());
        let held = self
            .held
            .entry(key)
            .or_insert_with(|| Held { entry: entry.clone(), by: BTreeSet::new() });
        held.entry = entry;
        held.by.insert(owner);
    }

    fn let_go(&mut self, owner: Owner, entry: &Entry) {
        let key = entry.key();
        if let Some(keys) = self.owners.get_mut(&owner) {
            keys.remove(&key);
            if keys.is_empty() {
                self.owners.remove(&owner);
            }
        }
        if let Some(held) = self.held.get_mut(&key) {
            held.by.remove(&owner);
            if held.by.is_empty() {
                self.held.remove(&key);
            }
        }
    }

    /// What an owner holds at a place of a routing table.
    fn routes_held_at(&self, owner: Owner, key: RouteKey) -> Vec<&Route> {
        let keys = self.owners.get(&owner).into_iter().flatten();
        keys.filter_map(|held| match held {
            Key::Route(at, route) if *at == key => Some(route.as_ref()),
            _ => None,
        })
        .collect()
    }

    fn is_held(&self, key: &Key) -> bool {
        self.held.contains_key(key)
    }
}
