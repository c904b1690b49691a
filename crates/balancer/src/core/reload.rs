//! Reload: the difference between the plan that runs and a new one. What did not change is not
//! touched.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::engine::Core;
use super::event::{DownCause, EventKind, UpCause, WeightCause};
use super::key::{RsKey, VsKey};
use super::plan::{Plan, VsPlan};
use super::server::{Ordered, Vs};

impl Core {
    /// Goes on with a new plan. Virtual servers are matched by group, mark or protocol and address,
    /// real servers by address or name and port, checks by all that they are.
    pub(super) fn reload(&mut self, plan: Plan) {
        self.init_notifies = plan.init_notifies;
        self.no_checker_mail = plan.no_checker_mail;
        let mut waiting: HashMap<&VsKey, VecDeque<usize>> = HashMap::new();
        for (n, vs) in plan.virtual_servers.iter().enumerate() {
            waiting.entry(&vs.key).or_default().push_back(n);
        }
        // Which old one a new one goes on with.
        let mut successor: HashMap<usize, usize> = HashMap::new();
        for v in 0..self.virtual_servers.len() {
            let key = self.virtual_servers[v].plan.key.clone();
            match waiting.get_mut(&key).and_then(VecDeque::pop_front) {
                Some(n) => {
                    successor.insert(n, v);
                }
                None => self.remove_virtual_server(v),
            }
        }
        let mut old: Vec<Option<Vs>> =
            std::mem::take(&mut self.virtual_servers).into_iter().map(Some).collect();
        let before = old.len();
        // What is known by place is void if a place changes.
        let mut moved = plan.virtual_servers.len() < before;
        let mut owned_anew = false;
        let mut changed = Vec::new();
        self.dirty.clear();
        for (n, new) in plan.virtual_servers.into_iter().enumerate() {
            let v = successor.get(&n).copied();
            moved |= n < before && v != Some(n);
            match v.and_then(|v| old[v].take()) {
                Some(vs) if Arc::ptr_eq(&vs.plan, &new) || vs.plan == new => {
                    self.virtual_servers.push(vs);
                    self.tell_conflicts(n);
                }
                Some(vs) => {
                    let keys = |plan: &VsPlan| plan.services.iter().map(|(key, _)| *key).collect();
                    let (had, has): (Vec<_>, Vec<_>) = (keys(&vs.plan), keys(&new));
                    owned_anew |= had != has;
                    self.orphans.extend(vs.plan.services.iter().map(|(key, _)| *key));
                    self.virtual_servers.push(vs);
                    self.change_virtual_server(n, new);
                    changed.push(n);
                }
                None => {
                    owned_anew = true;
                    self.add_service(new, None, true);
                    changed.push(n);
                }
            }
        }
        for gone in old.into_iter().flatten() {
            self.orphans.extend(gone.plan.services.iter().map(|(key, _)| *key));
        }
        self.stop_lookups();
        if moved {
            self.unsaved.extend(0..self.virtual_servers.len());
        }
        if moved || owned_anew {
            self.index();
        }
        for v in changed {
            self.unsaved.insert(v);
            self.judge(v, true);
        }
    }

    /// A virtual server is not in the new plan: its servers go, and then it.
    fn remove_virtual_server(&mut self, v: usize) {
        self.event(v, None, EventKind::VirtualServerRemoved, None);
        while !self.virtual_servers[v].servers.is_empty() {
            self.tell_dropped(v, 0);
            self.remove_server(v, 0, false);
        }
        if self.virtual_servers[v].up {
            self.virtual_server_down(v, false);
        }
    }

    /// A virtual server has another plan.
    fn change_virtual_server(&mut self, v: usize, new: Arc<VsPlan>) {
        let old = self.virtual_servers[v].plan.clone();
        let places: HashMap<&RsKey, u32> =
            new.servers.iter().zip(0..).map(|(server, p)| (&server.key, p)).collect();
        let mut s = 0;
        while let Some(server) = self.virtual_servers[v].servers.get(s) {
            if places.contains_key(&old.servers[server.block()].key) {
                s += 1;
            } else {
                self.tell_dropped(v, s);
                self.remove_server(v, s, false);
            }
        }
        // From here on the new plan counts. What its servers are told, is told by its words.
        let before: Vec<(u32, u32)> = {
            let vs = &self.virtual_servers[v];
            let weights = |server| (vs.plan_of(server), server);
            vs.servers
                .iter()
                .map(weights)
                .map(|(plan, server)| (server.weight(plan), server.configured(plan)))
                .collect()
        };
        let vs = &mut self.virtual_servers[v];
        for server in &mut vs.servers {
            if let Some(p) = places.get(&old.servers[server.block()].key) {
                server.plan = *p;
            }
        }
        vs.plan = new.clone();
        self.suspend_or_resume(v);
        for (s, (weight, configured)) in before.into_iter().enumerate() {
            self.change_checks(v, s);
            self.weight_event(v, s, weight, WeightCause::Reload);
            self.tell_conflict(v, s, configured);
        }
        self.start_lookups(v);
        self.populate(v, true, None);
    }

    /// Gives a server the checks of its new plan. Equal ones go on; others start over: as up where
    /// the server is up or they are not `alpha`, otherwise as down.
    fn change_checks(&mut self, v: usize, s: usize) {
        let vs = &mut self.virtual_servers[v];
        let wanted = vs.plan_of(&vs.servers[s]).checks.clone();
        let server = &mut vs.servers[s];
        let (alive, address) = (server.alive, server.address);
        let mut old = std::mem::take(&mut server.checks).into_vec();
        let mut checks = Vec::with_capacity(wanted.len());
        for plan in wanted {
            let same = old.iter().position(|check| check.plan.runs_as(&plan));
            checks.push(match same {
                Some(c) => {
                    let mut check = old.remove(c);
                    check.plan = plan;
                    check
                }
                None => {
                    let mut check = self.start_check(v, address, plan, None);
                    check.up |= alive;
                    check
                }
            });
        }
        for check in old {
            self.stop_check(check.id);
        }
        let server = &mut self.virtual_servers[v].servers[s];
        server.checks = checks.into_boxed_slice();
        match (alive, server.checks_pass()) {
            (false, true) => self.server_up(v, s, UpCause::Reload),
            (true, false) => self.server_down(v, s, DownCause::Reload),
            _ => {}
        }
    }

    /// The same plan again: only what operators ordered against it is told again.
    fn tell_conflicts(&mut self, v: usize) {
        for s in 0..self.virtual_servers[v].servers.len() {
            let vs = &self.virtual_servers[v];
            if vs.servers[s].order.is_some() {
                let configured = vs.servers[s].configured(vs.plan_of(&vs.servers[s]));
                self.tell_conflict(v, s, configured);
            }
        }
    }

    /// The operator's order and the file disagree: the order stays in force.
    fn tell_conflict(&mut self, v: usize, s: usize, before: u32) {
        let vs = &self.virtual_servers[v];
        let server = &vs.servers[s];
        let now = server.configured(vs.plan_of(server));
        let order = server.order.as_ref().filter(|order| order.order != Ordered::Weight(now));
        let Some(order) = order else { return };
        let order = order.words();
        self.event(v, Some(s), EventKind::OverrideConflict { order, before, now }, None);
    }

    /// The server goes, and what an operator ordered for it.
    fn tell_dropped(&mut self, v: usize, s: usize) {
        if let Some(order) = &self.virtual_servers[v].servers[s].order {
            let order = order.words();
            self.event(v, Some(s), EventKind::OverrideDropped { order }, None);
        }
    }
}
