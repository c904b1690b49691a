//! The differ itself: pure, from ledger, mirror and wishes to requests.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::matching::{
    Correction, correction, normal, obstructs, removal_hits, route_matches, rule_matches,
};
use super::{
    Absent, AddressKey, Desired, Effect, Entry, Foreign, Key, Ledger, Observed, Owner, Placement,
    Plan, RouteKey, WantedAddress, WantedRoute, WantedRule,
};
use crate::{AddMode, Address, Family, Request, Route, Rule};

/// What has to be asked of the kernel so that each owner has what it wants, and nothing else.
pub(super) fn plan(ledger: &Ledger, wants: &[(Owner, &Desired)], observed: &Observed) -> Plan {
    let mut planner = Planner::new(ledger, wants, observed);
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
    // Removals come before new routes: with the last IPv4 address of an interface the kernel takes
    // away all IPv4 routes through it.
    planner.plan.extend(planner.later);
    planner.plan
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
