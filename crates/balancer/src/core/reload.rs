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
        for vs in &old {
            let services = vs.iter().flat_map(|vs| &vs.plan.services);
            self.orphans.extend(services.map(|(key, _)| *key));
        }
        self.dirty.clear();
        self.unsaved.clear();
        for (n, new) in plan.virtual_servers.into_iter().enumerate() {
            let new = Arc::new(new);
            match successor.get(&n).and_then(|v| old[*v].take()) {
                Some(vs) => {
                    self.virtual_servers.push(vs);
                    self.change_virtual_server(n, new);
                }
                None => self.add_service(new, None, true),
            }
            self.unsaved.insert(n);
        }
        self.stop_lookups();
        self.index();
        for v in 0..self.virtual_servers.len() {
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

    /// A virtual server has another plan (or an equal one).
    fn change_virtual_server(&mut self, v: usize, new: Arc<VsPlan>) {
        let old = self.virtual_servers[v].plan.clone();
        let places: HashMap<&RsKey, usize> =
            new.servers.iter().enumerate().map(|(p, server)| (&server.key, p)).collect();
        let mut s = 0;
        while let Some(server) = self.virtual_servers[v].servers.get(s) {
            if places.contains_key(&old.servers[server.plan].key) {
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
            if let Some(p) = places.get(&old.servers[server.plan].key) {
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
        let wanted = vs.plan.servers[vs.servers[s].plan].checks.clone();
        let server = &mut vs.servers[s];
        let (alive, address) = (server.alive, server.address);
        let mut old = std::mem::take(&mut server.checks);
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
        server.checks = checks;
        match (alive, server.checks_pass()) {
            (false, true) => self.server_up(v, s, UpCause::Reload),
            (true, false) => self.server_down(v, s, DownCause::Reload),
            _ => {}
        }
    }

    /// The operator's order and the file disagree: the order stays in force.
    fn tell_conflict(&mut self, v: usize, s: usize, before: u32) {
        let vs = &self.virtual_servers[v];
        let server = &vs.servers[s];
        let now = server.configured(vs.plan_of(server));
        let Some(order) = server.order.filter(|order| order.order != Ordered::Weight(now)) else {
            return;
        };
        let order = order.words();
        self.event(v, Some(s), EventKind::OverrideConflict { order, before, now }, None);
    }

    /// The server goes, and what an operator ordered for it.
    fn tell_dropped(&mut self, v: usize, s: usize) {
        if let Some(order) = self.virtual_servers[v].servers[s].order {
            let order = order.words();
            self.event(v, Some(s), EventKind::OverrideDropped { order }, None);
        }
    }
}
