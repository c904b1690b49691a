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

use std::collections::{BTreeSet, HashMap, HashSet};

pub use matching::{AddressKey, RouteKey};
use matching::{
    Correction, correction, normal, obstructs, removal_hits, route_matches, rule_matches,
};
pub use observed::{Observed, Scope};

use crate::{AddMode, Address, Family, Kernel, KernelError, Request, Route, Rule};

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
    /// For [`Kernel::apply`](crate::Kernel::apply): new addresses, removals, new routes and rules.
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
        let mut planner = Planner::new(self, wants, observed);
        for (owner, desired) in wants {
            for wanted in &desired.addresses {
                planner.want_address(*owner, wanted);
            }
        }
        for (owner, desired) in wants {
            for wanted in &desired.routes {
                planner.want_route(*owner, wanted);
            }
        }
        for (owner, desired) in wants {
            for wanted in &desired.rules {
                planner.want_rule(*owner, wanted);
            }
        }
        planner.release(wants);
        // Removals come before new routes: with the last IPv4 address of an interface the kernel
        // takes away all IPv4 routes through it.
        planner.plan.extend(planner.later);
        planner.plan
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

struct Planner<'a> {
    ledger: &'a Ledger,
    observed: &'a Observed,
    plan: Plan,
    /// Requests for routes and rules.
    later: Plan,
    /// What any of the owners wants, and who: it is not released.
    wanted: HashMap<Key, Wants>,
    /// What is removed or replaced to make room for something else.
    early: HashSet<Key>,
}

/// Who wants an entry.
#[derive(Debug, Default)]
struct Wants {
    owners: BTreeSet<Owner>,
    /// The requests for it are in the plan.
    planned: bool,
}

impl<'a> Planner<'a> {
    fn new(ledger: &'a Ledger, wants: &[(Owner, &Desired)], observed: &'a Observed) -> Self {
        let mut planner = Self {
            ledger,
            observed,
            plan: Plan::default(),
            later: Plan::default(),
            wanted: HashMap::new(),
            early: HashSet::new(),
        };
        for (owner, desired) in wants {
            let addresses = desired.addresses.iter();
            let keys = addresses
                .map(|wanted| Key::Address(AddressKey::of(&wanted.address)))
                .chain(desired.routes.iter().map(|wanted| Key::of_route(&wanted.route)))
                .chain(desired.rules.iter().map(|wanted| Key::of_rule(&wanted.rule)));
            for key in keys {
                planner.wanted.entry(key).or_default().owners.insert(*owner);
            }
        }
        planner
    }

    /// Whether this is the first time that the entry is considered. Two owners may want the same:
    /// it is asked for once and held by both.
    fn first(&mut self, key: &Key) -> bool {
        let wants = self.wanted.entry(key.clone()).or_default();
        !std::mem::replace(&mut wants.planned, true)
    }

    fn want_address(&mut self, owner: Owner, wanted: &WantedAddress) {
        let address = &wanted.address;
        let place = AddressKey::of(address);
        let key = Key::Address(place);
        let held = self.ledger.is_held(&key);
        let entry = Entry::Address(address.clone());
        let have = self.observed.address(&place);
        let ours = held || have.is_none_or(Address::is_ours);
        if !ours && wanted.foreign == Foreign::Share {
            return;
        }
        if !self.first(&key) {
            self.plan.claims.push((owner, entry));
            return;
        }
        let add = Request::AddAddress { address: address.clone(), mode: AddMode::Replace };
        let Some(have) = have else {
            self.plan.push(add, Effect::Hold(owner, entry));
            return;
        };
        match correction(have, address) {
            Correction::None if ours => self.plan.claims.push((owner, entry)),
            // Replacing with the same sets our mark.
            Correction::None | Correction::Update => {
                self.plan.push(add, Effect::Hold(owner, entry));
            }
            Correction::Recreate => {
                self.plan.push(Request::DelAddress(have.clone()), Effect::Pass);
                self.plan.push(add, Effect::Hold(owner, entry));
            }
        }
    }

    fn want_route(&mut self, owner: Owner, wanted: &WantedRoute) {
        let route = &wanted.route;
        let at = self.observed.routes_at(&RouteKey::of(route));
        let have = at.iter().find(|have| route_matches(have, route));
        let entry = Entry::Route(route.clone());
        let key = entry.key();
        let held = self.ledger.is_held(&key);
        if let Some(have) = have.filter(|have| !held && have.protocol != route.protocol) {
            if wanted.foreign == Foreign::Adopt {
                // Held as it is, so that the removal names the right protocol.
                let adopted = Entry::Route(Route { protocol: have.protocol, ..route.clone() });
                self.wanted.entry(adopted.key()).or_default().owners.insert(owner);
                self.later.claims.push((owner, adopted));
            }
            return;
        }
        if have.is_some() || !self.first(&key) {
            self.later.claims.push((owner, entry));
            return;
        }
        if let Some(old) = self.replaceable(owner, route) {
            // A change of our own route: one step, without a moment in between.
            let request = Request::ReplaceRoute(route.clone());
            self.early.insert(Key::of_route(&old));
            self.later.push(request, Effect::Swap(owner, Entry::Route(old), entry));
            return;
        }
        self.clear_way(owner, RouteKey::of(route));
        for other in at.iter().filter(|have| obstructs(have, route)) {
            let others = Entry::Route(Route { hops: route.hops.clone(), ..other.clone() });
            if self.early.contains(&others.key()) {
                continue;
            }
            if other.protocol != route.protocol && wanted.foreign == Foreign::Share {
                return;
            }
            self.later.push(others.removal(), Effect::Pass);
        }
        let request = match (wanted.placement, route.family()) {
            (Placement::Exclusive, _) => Request::AddRoute(route.clone()),
            (Placement::Prepend, Family::V4) => Request::PrependRoute(route.clone()),
            // IPv6 knows no order among routes of one key.
            (Placement::Append, _) | (Placement::Prepend, Family::V6) => {
                Request::AppendRoute(route.clone())
            }
        };
        self.later.push(request, Effect::Hold(owner, entry));
    }

    /// Removes what the owner holds at a place, and nobody wants any more, before something else is
    /// put there: the kernel's idea of "the same route" is too coarse to do it afterwards.
    fn clear_way(&mut self, owner: Owner, place: RouteKey) {
        for old in self.ledger.routes_held_at(owner, place) {
            let entry = Entry::Route(old.clone());
            let key = entry.key();
            let alone = self.ledger.held.get(&key).is_some_and(|held| held.by.len() == 1);
            let going = !self.wanted.contains_key(&key) && alone && entry.is_in(self.observed);
            if going && self.early.insert(key) {
                self.later.push(entry.removal(), Effect::Release(owner, entry));
            }
        }
    }

    /// The route of the same key that the owner alone holds, and nobody wants any more, if it is
    /// the only one there.
    fn replaceable(&self, owner: Owner, route: &Route) -> Option<Route> {
        let place = RouteKey::of(route);
        let [have] = self.observed.routes_at(&place) else { return None };
        let mut mine = self.ledger.routes_held_at(owner, place).into_iter();
        let (old, None) = (mine.next()?, mine.next()) else { return None };
        let key = Key::of_route(old);
        let unwanted = !self.wanted.contains_key(&key);
        let alone = self.ledger.held.get(&key).is_some_and(|held| held.by.len() == 1);
        // Not one multipath route that others have a part in.
        let whole = have.hops.len() <= old.hops.len().max(1);
        // Replacing an IPv6 route of another kind can leave both.
        let same_kind = old.kind == route.kind;
        let fits = unwanted && alone && whole && same_kind && route_matches(have, old);
        fits.then(|| old.clone())
    }

    fn want_rule(&mut self, owner: Owner, wanted: &WantedRule) {
        let form = normal(&wanted.rule);
        let have = self.observed.rules().iter().find(|have| rule_matches(&normal(have), &form));
        let key = Key::Rule(Box::new(form));
        let held = self.ledger.is_held(&key);
        let Some(have) = have else {
            let entry = Entry::Rule(wanted.rule.clone());
            if self.first(&key) {
                self.later.push(Request::AddRule(wanted.rule.clone()), Effect::Hold(owner, entry));
            } else {
                self.later.claims.push((owner, entry));
            }
            return;
        };
        let ours = held || have.protocol == wanted.rule.protocol;
        if ours || wanted.foreign == Foreign::Adopt {
            // Held as it is, so that the removal names the right protocol.
            let entry = Entry::Rule(Rule { protocol: have.protocol, ..wanted.rule.clone() });
            self.later.claims.push((owner, entry));
        }
    }

    fn release(&mut self, wants: &[(Owner, &Desired)]) {
        let mut removals = Vec::new();
        let named: BTreeSet<Owner> = wants.iter().map(|(owner, _)| *owner).collect();
        let mut going: HashSet<&Key> = HashSet::new();
        for owner in &named {
            for key in self.ledger.owners.get(owner).into_iter().flatten() {
                let Some(held) = self.ledger.held.get(key) else { continue };
                let wanted = self.wanted.get(key);
                if wanted.is_some_and(|wanted| wanted.owners.contains(owner))
                    || self.early.contains(key)
                {
                    continue;
                }
                let stays = wanted.is_some() || held.by.iter().any(|by| !named.contains(by));
                if stays || !held.entry.is_in(self.observed) || !going.insert(key) {
                    self.plan.drops.push((*owner, held.entry.clone()));
                } else {
                    let effect = Effect::Release(*owner, held.entry.clone());
                    removals.push((held.entry.clone(), effect));
                }
            }
        }
        let mut taken = HashSet::new();
        for (_, desired) in wants {
            for entry in self.present_of(&desired.absent) {
                let key = entry.key();
                let spared = self.wanted.contains_key(&key) || self.ledger.is_held(&key);
                if !spared && taken.insert(key) {
                    removals.push((entry, Effect::Pass));
                }
            }
        }
        // Rules go first and addresses last: routes need the addresses, rules the routes.
        let (rules, mut others): (Vec<_>, Vec<_>) =
            removals.into_iter().partition(|(entry, _)| matches!(entry, Entry::Rule(_)));
        self.remove_rules(rules);
        others.sort_by_key(|(entry, _)| matches!(entry, Entry::Address(_)));
        for (entry, effect) in others {
            self.plan.push(entry.removal(), effect);
        }
    }

    /// Removes rules in the kernel's order. Where the kernel would take another rule for the one
    /// that is named, that one is removed first and put back.
    fn remove_rules(&mut self, removals: Vec<(Entry, Effect)>) {
        if removals.is_empty() {
            return;
        }
        let forms: Vec<Rule> = self.observed.rules().iter().map(normal).collect();
        let position = |entry: &Entry| match entry {
            Entry::Rule(rule) => {
                let form = normal(rule);
                forms.iter().position(|have| rule_matches(have, &form))
            }
            _ => None,
        };
        let mut placed: Vec<_> = removals
            .into_iter()
            .map(|(entry, effect)| (position(&entry).unwrap_or(usize::MAX), entry, effect))
            .collect();
        placed.sort_by_key(|(place, _, _)| *place);
        let going: HashSet<usize> = placed.iter().map(|(place, _, _)| *place).collect();
        let mut put_back: Vec<usize> = Vec::new();
        for (place, entry, effect) in placed {
            if let Some(named) = forms.get(place) {
                for (victim, _) in
                    forms.iter().enumerate().take(place).filter(|(victim, have)| {
                        !going.contains(victim) && removal_hits(have, named)
                    })
                {
                    if !put_back.contains(&victim) {
                        put_back.push(victim);
                        let rule = self.observed.rules()[victim].clone();
                        self.plan.push(Request::DelRule(rule), Effect::Pass);
                    }
                }
            }
            self.plan.push(entry.removal(), effect);
        }
        for victim in put_back {
            let rule = self.observed.rules()[victim].clone();
            self.plan.push(Request::AddRule(rule), Effect::Pass);
        }
    }

    /// What of these is in the kernel, as it is there.
    fn present_of(&self, absent: &Absent) -> Vec<Entry> {
        let mut found = Vec::new();
        for address in &absent.addresses {
            let have = self.observed.address(&AddressKey::of(address));
            found.extend(have.cloned().map(Entry::Address));
        }
        for route in &absent.routes {
            let at = self.observed.routes_at(&RouteKey::of(route));
            let have = at.iter().find(|have| route_matches(have, route));
            found.extend(
                have.map(|have| Entry::Route(Route { protocol: have.protocol, ..route.clone() })),
            );
        }
        for rule in &absent.rules {
            let form = normal(rule);
            let have = self.observed.rules().iter().find(|have| rule_matches(&normal(have), &form));
            found.extend(have.cloned().map(Entry::Rule));
        }
        found
    }
}
