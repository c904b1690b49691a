//! Real servers that go by a DNS name: each address that the name stands for is a server of its
//! own. Also how a virtual server gets its list of servers.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;

use notify::mail::text::ServerCause;

use super::engine::Core;
use super::event::{EventKind, Notice, UpCause, WeightCause};
use super::io::{Answer, Lookup, Output};
use super::key::RsHost;
use super::plan::RsPlan;
use super::save::SavedService;
use super::server::{Ordered, Rs};

/// What is known of a name.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Known {
    /// The last good answer, sorted.
    pub(super) answers: Vec<Answer>,
    /// Whether there was an answer or a failure yet.
    pub(super) tried: bool,
    /// Whether the last look-up failed.
    pub(super) failing: bool,
    /// Whether the outside was asked for it.
    pub(super) asked: bool,
}

impl Core {
    /// Whether nothing is known yet of the name of a block.
    pub(super) fn is_awaited(&self, plan: &RsPlan) -> bool {
        plan.lookup
            .as_deref()
            .is_some_and(|lookup| self.lookups.get(lookup).is_none_or(|known| !known.tried))
    }

    /// Asks for the names of a virtual server.
    pub(super) fn start_lookups(&mut self, v: usize) {
        let plan = self.virtual_servers[v].plan.clone();
        if !plan.named {
            return;
        }
        for lookup in plan.servers.iter().filter_map(|server| server.lookup.as_deref()) {
            let known = self.lookups.entry(lookup.clone()).or_default();
            if !known.asked {
                known.asked = true;
                self.pending.push_back(Output::StartLookup(lookup.clone()));
            }
        }
    }

    /// Asks no more for names that nobody uses.
    pub(super) fn stop_lookups(&mut self) {
        let named = self.virtual_servers.iter().filter(|vs| vs.plan.named);
        let plans = named.flat_map(|vs| &vs.plan.servers);
        let used: HashSet<&Lookup> = plans.filter_map(|server| server.lookup.as_deref()).collect();
        let unused = self.lookups.keys().filter(|lookup| !used.contains(*lookup));
        for lookup in unused.cloned().collect::<Vec<_>>() {
            self.lookups.remove(&lookup);
            self.pending.push_back(Output::StopLookup(lookup));
        }
    }

    pub(super) fn resolved(&mut self, lookup: &Lookup, mut answers: Vec<Answer>) {
        answers.retain(|answer| if answer.ip.is_ipv4() { lookup.ipv4 } else { lookup.ipv6 });
        if answers.is_empty() {
            return self.lookup_failed(lookup, "it has no address of the right family".to_owned());
        }
        answers.sort_unstable();
        answers.dedup();
        let Some(known) = self.lookups.get_mut(lookup) else { return };
        let found = std::mem::take(&mut known.failing);
        let first = !std::mem::replace(&mut known.tried, true);
        let changed = known.answers != answers;
        known.answers = answers;
        for v in self.users(lookup) {
            if found {
                let kind = EventKind::NameFound { lookup: lookup.clone() };
                self.event(v, None, kind, None);
            }
            if changed || first {
                self.populate(v, true, None);
                self.judge(v, first || !self.virtual_servers[v].begun);
            }
        }
    }

    pub(super) fn lookup_failed(&mut self, lookup: &Lookup, reason: String) {
        let Some(known) = self.lookups.get_mut(lookup) else { return };
        let failing = std::mem::replace(&mut known.failing, true);
        let first = !std::mem::replace(&mut known.tried, true);
        let kept = known.answers.len();
        for v in self.users(lookup) {
            if !failing {
                let (lookup, reason) = (lookup.clone(), reason.clone());
                self.event(v, None, EventKind::NameFailed { lookup, reason, kept }, None);
            }
            self.judge(v, first || !self.virtual_servers[v].begun);
        }
    }

    /// The virtual servers that use a name.
    fn users(&self, lookup: &Lookup) -> Vec<usize> {
        let uses = |v: &usize| {
            let plan = &self.virtual_servers[*v].plan;
            plan.named && plan.servers.iter().any(|server| server.lookup.as_deref() == Some(lookup))
        };
        (0..self.virtual_servers.len()).filter(uses).collect()
    }

    /// The servers that a virtual server is to have: block, address, weight by SRV. No address
    /// twice: addresses in the file come before names, earlier names before later ones.
    fn wanted(&self, v: usize) -> Vec<(u32, SocketAddr, Option<u32>)> {
        let plan = &self.virtual_servers[v].plan;
        let blocks = || (0_u32..).zip(&plan.servers);
        let fixed = blocks().filter_map(|(p, server)| match server.key.host {
            RsHost::Address(ip) => Some((p, SocketAddr::new(ip, server.key.port), None)),
            RsHost::Name(_) => None,
        });
        let mut wanted: Vec<_> = Vec::with_capacity(plan.servers.len());
        wanted.extend(fixed);
        if !plan.named {
            return wanted;
        }
        let mut claimed: HashSet<SocketAddr> = HashSet::new();
        wanted.retain(|(_, address, _)| claimed.insert(*address));
        for (p, server) in blocks() {
            let known = server.lookup.as_deref().and_then(|lookup| self.lookups.get(lookup));
            for answer in known.into_iter().flat_map(|known| &known.answers) {
                let port = if server.key.port == 0 { answer.port } else { None };
                let address = SocketAddr::new(answer.ip, port.unwrap_or(server.key.port));
                if claimed.insert(address) {
                    wanted.push((p, address, answer.weight.map(u32::from)));
                }
            }
        }
        wanted.sort_by_key(|(p, ..)| *p);
        wanted
    }

    /// Gives a virtual server the servers that it is to have. Those that stay are not touched.
    /// `running`: it ran before, so that people are told of what comes and goes. `saved`: servers
    /// of an earlier process.
    pub(super) fn populate(&mut self, v: usize, running: bool, saved: Option<&SavedService>) {
        let wanted = self.wanted(v);
        if running || !self.virtual_servers[v].servers.is_empty() {
            self.depopulate(v, running, &wanted);
        }
        let old = std::mem::take(&mut self.virtual_servers[v].servers);
        let mut old: HashMap<_, _> =
            old.into_iter().map(|server| ((server.plan, server.address), server)).collect();
        let mut heavier = Vec::new();
        let mut fresh = Vec::new();
        let mut servers: Vec<Rs> = Vec::with_capacity(wanted.len());
        for (p, address, weight) in wanted {
            let known = if old.is_empty() { None } else { old.remove(&(p, address)) };
            let server = match known {
                Some(mut server) => {
                    let plan = &self.virtual_servers[v].plan.servers[server.block()];
                    let before = server.weight(plan);
                    if std::mem::replace(&mut server.answer_weight, weight) != weight {
                        heavier.push((servers.len(), before));
                    }
                    server
                }
                None => match self.restored(v, p, address, weight, saved) {
                    Some(server) => server,
                    None => {
                        let mut server = self.new_server(v, p, address, weight);
                        let parked = self.virtual_servers[v].parked.remove(&address);
                        let ordered = saved.and_then(|saved| saved.order_for(address));
                        server.order = ordered.or(parked).map(Box::new);
                        fresh.push(servers.len());
                        server
                    }
                },
            };
            servers.push(server);
        }
        self.virtual_servers[v].servers = servers;
        for (s, before) in heavier {
            self.weight_event(v, s, before, WeightCause::Name);
        }
        for s in fresh {
            self.greet(v, s, running);
        }
        self.touch(v);
    }

    /// Takes the servers out that are not wanted any more; tells how names changed.
    fn depopulate(&mut self, v: usize, running: bool, wanted: &[(u32, SocketAddr, Option<u32>)]) {
        let keep: HashSet<_> = wanted.iter().map(|(p, address, _)| (*p, *address)).collect();
        let mut changes: BTreeMap<u32, (Vec<SocketAddr>, Vec<SocketAddr>)> = BTreeMap::new();
        let servers = &self.virtual_servers[v].servers;
        let gone = |(s, rs): (usize, &Rs)| (!keep.contains(&(rs.plan, rs.address))).then_some(s);
        let gone: Vec<_> = servers.iter().enumerate().filter_map(gone).collect();
        for &s in &gone {
            changes.entry(servers[s].plan).or_default().1.push(servers[s].address);
        }
        let had: HashSet<_> = servers.iter().map(|rs| (rs.plan, rs.address)).collect();
        for (p, address, _) in wanted {
            if !had.contains(&(*p, *address)) {
                changes.entry(*p).or_default().0.push(*address);
            }
        }
        if running {
            self.tell_names(v, &changes);
        }
        for (before, s) in gone.iter().enumerate() {
            self.remove_server(v, s - before, true);
        }
    }

    /// A server is new: `rs_init_notifies` tells of one that starts as up.
    fn greet(&mut self, v: usize, s: usize, running: bool) {
        let server = &self.virtual_servers[v].servers[s];
        let by_name = self.virtual_servers[v].plan_of(server).lookup.is_some();
        if running && !by_name {
            self.event(v, Some(s), EventKind::ServerAdded, None);
        }
        let server = &mut self.virtual_servers[v].servers[s];
        // What was drained before its name forgot it has no connections left.
        if let Some(order) = server.order.as_deref_mut()
            && matches!(order.order, Ordered::Draining { .. })
        {
            order.order = Ordered::Drained;
        }
        if server.alive && self.init_notifies {
            self.server_up(v, s, UpCause::Start);
        }
    }

    fn tell_names(
        &mut self,
        v: usize,
        changes: &BTreeMap<u32, (Vec<SocketAddr>, Vec<SocketAddr>)>,
    ) {
        for (p, (added, removed)) in changes {
            let plan = &self.virtual_servers[v].plan.servers[*p as usize];
            let RsHost::Name(name) = &plan.key.host else { continue };
            let kind = EventKind::NameChanged {
                name: name.to_string(),
                added: added.clone(),
                removed: removed.clone(),
            };
            self.event(v, None, kind, None);
        }
    }

    /// Takes a server out: who was told that it is up is told that it is down.
    pub(super) fn remove_server(&mut self, v: usize, s: usize, by_name: bool) {
        let vs = &self.virtual_servers[v];
        let server = &vs.servers[s];
        let plan = vs.plan_of(server);
        let (alive, inhibited) = (server.alive, !server.alive && plan.settings.inhibit);
        let name = match &plan.key.host {
            RsHost::Name(name) if by_name => Some(name.to_string()),
            _ => None,
        };
        let forgotten = name.as_ref().map(|name| format!("{name} does not stand for it any more"));
        let cause = forgotten.as_deref().map_or(ServerCause::Removed, ServerCause::Other);
        let notice = alive.then(|| Notice {
            mail: self.server_mail(v, s, false, cause),
            ..self.server_notice(v, s, false)
        });
        self.event(v, Some(s), EventKind::ServerRemoved { name, served: alive, inhibited }, notice);
        let server = self.virtual_servers[v].servers.remove(s);
        for check in server.checks {
            self.stop_check(check.id);
        }
        if let Some(order) = server.order {
            if let Some(deadline) = order.deadline() {
                self.deadlines.remove(&(deadline, v, server.address));
            }
            if by_name {
                self.virtual_servers[v].parked.insert(server.address, *order);
            }
        }
        self.touch(v);
    }
}
