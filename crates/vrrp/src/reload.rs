//! Configuration: the first one, and the difference to a new one (§2.15 of the reference).
//!
//! Routers are matched by VRID, family, interface and unicast source, not by name. A matched router
//! keeps its state, statistics and what it learned. What its addresses, routes and rules are is the
//! caller's knowledge: after [`Output::Reconcile`] it compares its own lists.

use std::collections::HashMap;

use crate::config::{Config, GroupConfig, RouterConfig, RouterId, Transport};
use crate::engine::Engine;
use crate::event::{Cause, EventKind, State};
use crate::groups::Group;
use crate::io::{Announced, NotifyKind, Output};
use crate::save::RouterKey;
use crate::timers::Timer;

impl Engine {
    /// The first configuration.
    pub(crate) fn configure(&mut self, config: Config) {
        for router in config.routers {
            let id = self.routers.add(router, self.now.mono);
            self.order.push(id);
        }
        self.arrange(config.groups);
        self.reassess_all();
    }

    /// [`Input::Reload`](crate::Input::Reload)
    pub(crate) fn reload(&mut self, config: Config) {
        if self.stopping {
            return;
        }
        self.log_unknown_vrids = config.log_unknown_vrids;
        let mut old = std::mem::take(&mut self.order);
        let mut plan = Vec::new();
        for router in config.routers {
            let matched = self.best_match(&old, &router);
            old.retain(|&id| Some(id) != matched);
            plan.push((matched, router));
        }
        // First the goodbyes, so that a VRID can move to another router.
        for id in old {
            self.remove(id);
        }
        let mut order = Vec::new();
        for (matched, router) in plan {
            order.push(match matched {
                Some(id) => {
                    self.change(id, router);
                    id
                }
                None => {
                    let id = self.routers.add(router, self.now.mono);
                    self.event(id, EventKind::Added);
                    id
                }
            });
        }
        self.order = order;
        let joined = self.arrange(config.groups);
        self.reassess_all();
        self.align_joined(&joined);
        for id in self.order.clone() {
            let router = &self.routers[id];
            if router.state == State::Master {
                let yielding = router.yielding.is_some();
                self.out(Output::Reconcile { router: id });
                let repeat = self.routers[id].config.garp.repeat;
                self.announce(id, Announced::New, repeat);
                if !yielding {
                    self.advertise(id);
                }
            }
        }
    }

    /// The running router that a configured one is.
    fn best_match(&self, old: &[RouterId], new: &RouterConfig) -> Option<RouterId> {
        let key = RouterKey::of(new);
        old.iter()
            .copied()
            .filter_map(|id| {
                let router = &self.routers[id];
                let own = router.key();
                let place = |key: &RouterKey| (key.vrid, key.family, key.interface.clone());
                let same_source = own.unicast_source == key.unicast_source;
                let same_name = router.config.name == new.name;
                let same = place(&own) == place(&key) && (same_source || same_name);
                same.then_some((u8::from(same_source) * 2 + u8::from(same_name), id))
            })
            .max_by_key(|&(score, id)| (score, std::cmp::Reverse(id)))
            .map(|(_, id)| id)
    }

    /// Takes over the new configuration of a running router.
    fn change(&mut self, id: RouterId, new: RouterConfig) {
        let router = &mut self.routers[id];
        let before = router.config.clone();
        router.reconfigure(new);
        let after = &router.config;
        if before == *after {
            return;
        }
        let timing = |config: &RouterConfig| (config.advert_interval, config.down_timer_adverts);
        if router.state == State::Backup && timing(&before) != timing(after) {
            let wait = router.down_time();
            self.arm(id, Timer::MasterDown, Some(self.now.mono + wait));
        }
        let renamed = before.name != self.routers[id].config.name;
        self.event(id, EventKind::Changed { old_name: renamed.then_some(before.name) });
    }

    /// The end of a router that is no longer configured: priority 0, withdrawal, notification.
    fn remove(&mut self, id: RouterId) {
        let router = &self.routers[id];
        let held = router.holds();
        if held && router.yielding.is_none() {
            self.resign(id);
        }
        if held {
            self.leave_master(id);
        }
        self.disarm_all(id);
        if self.routers[id].state != State::Init {
            self.transition(id, State::Init, Cause::Removed);
        }
        if held {
            self.out(Output::Withdraw { router: id });
        }
        if self.started {
            let deleted = self.routers[id].config.notify_deleted;
            self.notify(id, if deleted { NotifyKind::Deleted } else { NotifyKind::Fault });
        }
        self.event(id, EventKind::Removed);
        self.out(Output::Removed { router: id });
        self.routers.remove(id);
    }

    /// Builds groups and tables anew. Gives the routers that joined another group than before.
    fn arrange(&mut self, groups: Vec<GroupConfig>) -> Vec<RouterId> {
        let mut before: HashMap<RouterId, String> = HashMap::new();
        let mut states: HashMap<String, State> = HashMap::new();
        for group in std::mem::take(&mut self.groups) {
            for &member in &group.members {
                before.insert(member, group.config.name.clone());
            }
            states.insert(group.config.name, group.state);
        }
        let by_name: HashMap<String, RouterId> =
            self.order.iter().map(|&id| (self.routers[id].config.name.clone(), id)).collect();
        for router in self.routers.iter_mut() {
            router.group = None;
        }
        let mut joined = Vec::new();
        for config in groups {
            let index = self.groups.len();
            let mut members = Vec::new();
            for name in &config.members {
                let Some(&id) = by_name.get(name) else { continue };
                let router = &mut self.routers[id];
                if router.group.is_some() {
                    continue;
                }
                router.group = Some(index);
                members.push(id);
                if before.get(&id) != Some(&config.name) {
                    joined.push(id);
                }
            }
            let state = states.get(&config.name).copied().unwrap_or_default();
            self.groups.push(Group { config, members, state });
        }
        self.fill_tables();
        joined
    }

    /// Who watches what, who listens where, and who is in another's place.
    fn fill_tables(&mut self) {
        self.watchers.clear();
        self.places.clear();
        for &id in &self.order {
            let router = &self.routers[id];
            let group = router.group.map(|group| &self.groups[group].config.tracks);
            for track in router.config.tracks.iter().chain(group.into_iter().flatten()) {
                let watchers = self.watchers.entry(track.id).or_default();
                // All members of a group are assessed together: one is enough to find them.
                let known = |&other: &RouterId| {
                    other == id
                        || (router.group.is_some() && self.routers[other].group == router.group)
                };
                if !watchers.iter().any(known) {
                    watchers.push(id);
                }
            }
            let interface = router.config.interface.as_ref().map(|interface| interface.id);
            let place = (interface, router.config.family, router.config.vrid.get());
            self.places.entry(place).or_default().push(id);
        }
        let watchers = &self.watchers;
        if self.started {
            self.trackers.retain(|id, _| watchers.contains_key(id));
        }
        let mut duplicates = Vec::new();
        for ids in self.places.values() {
            for (n, &id) in ids.iter().enumerate() {
                let earlier = ids[..n].iter().find(|&&other| self.collide(other, id));
                duplicates
                    .push((id, earlier.map(|&other| self.routers[other].config.name.clone())));
            }
        }
        for (id, other) in duplicates {
            self.routers[id].duplicate_of = other;
        }
    }

    /// Whether adverts for one of these would also be for the other.
    fn collide(&self, a: RouterId, b: RouterId) -> bool {
        let (a, b) = (&self.routers[a], &self.routers[b]);
        match (&a.config.transport, &b.config.transport) {
            (Transport::Multicast { group: a }, Transport::Multicast { group: b }) => a == b,
            (Transport::Unicast { peers: theirs }, Transport::Unicast { peers }) => {
                a.source == b.source
                    && peers.iter().any(|peer| theirs.iter().any(|p| p.address == peer.address))
            }
            _ => false,
        }
    }

    /// A router that ran before and joined a group in another state: the group elects anew.
    fn align_joined(&mut self, joined: &[RouterId]) {
        for &id in joined {
            if !self.started || self.routers[id].group.is_none() {
                continue;
            }
            let state = self.routers[id].state;
            let unit = self.unit(id);
            let mixed = unit.iter().any(|&other| {
                let other = self.routers[other].state;
                (state == State::Backup && other == State::Master)
                    || (state == State::Master && other == State::Backup)
            });
            // A router that is new has just begun to listen: it follows its group by itself.
            let ran = |id: RouterId| self.routers[id].started_at < self.now.mono;
            if mixed && unit.iter().all(|&member| ran(member)) {
                let lead = unit
                    .iter()
                    .copied()
                    .find(|&member| self.routers[member].state == State::Backup)
                    .unwrap_or(id);
                self.step_down(lead, self.group_cause(lead));
            } else if !mixed {
                self.adopt_group_state(id);
            }
        }
    }

    /// Notes the common state of a group that a reload made, without notifying.
    fn adopt_group_state(&mut self, id: RouterId) {
        let state = self.routers[id].state;
        if let Some(group) = self.routers[id].group
            && self.unit(id).iter().all(|&member| self.routers[member].state == state)
        {
            self.groups[group].state = state;
        }
    }
}
