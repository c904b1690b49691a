//! What survives the end of the process: enough for [`Core::new`] to go on with the same servers up
//! and down, the same orders and the same table, and without telling anybody.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::engine::Core;
use super::io::{Adjustment, Answer, Lookup, Now};
use super::key::{RsHost, RsKey, VsKey};
use super::names::Known;
use super::server::{Override, Rs, Vs};

/// A virtual server as [`Core::save`] keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedService {
    /// Which virtual server.
    pub key: VsKey,
    up: bool,
    begun: bool,
    since: Now,
    cause: String,
    servers: Vec<SavedServer>,
    /// What an operator ordered for addresses that a name does not stand for now.
    parked: Vec<(SocketAddr, Override)>,
    names: Vec<(Lookup, Vec<Answer>)>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SavedServer {
    block: RsKey,
    /// `None`: what the block says.
    address: Option<SocketAddr>,
    told_down: bool,
    /// `None`: as long as the virtual server.
    since: Option<Now>,
    cause: String,
    order: Option<Override>,
    checks: Vec<SavedCheck>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SavedCheck {
    /// The keyword, to be safe from another order in another file.
    kind: String,
    up: bool,
    has_run: bool,
    adjust: Option<Adjustment>,
    since: Now,
    detail: String,
}

impl SavedService {
    /// Those of the same key in their order.
    pub(super) fn by_key(saved: &[Self]) -> HashMap<&VsKey, VecDeque<&Self>> {
        let mut by_key: HashMap<&VsKey, VecDeque<&Self>> = HashMap::new();
        for service in saved {
            by_key.entry(&service.key).or_default().push_back(service);
        }
        by_key
    }

    /// What was ordered for a server, also if its checks are others now.
    pub(super) fn order_for(&self, address: SocketAddr) -> Option<Override> {
        self.servers.iter().find(|server| server.is_at(address))?.order
    }
}

impl SavedServer {
    fn is_at(&self, address: SocketAddr) -> bool {
        self.address.or_else(|| written(&self.block)) == Some(address)
    }
}

/// The address in a block.
fn written(block: &RsKey) -> Option<SocketAddr> {
    match block.host {
        RsHost::Address(ip) => Some(SocketAddr::new(ip, block.port)),
        RsHost::Name(_) => None,
    }
}

impl Core {
    /// Every virtual server, as a successor needs it.
    #[must_use]
    pub fn save(&self) -> Vec<SavedService> {
        self.virtual_servers.iter().map(|vs| self.saved(vs)).collect()
    }

    /// The virtual servers of which [`Core::save`] would say something else than at the last call:
    /// their places in the list, and what it would say. After a reload these are all, and what was
    /// kept at places that are not there any more is void: see [`Core::count`].
    pub fn take_unsaved(
        &mut self,
    ) -> impl ExactSizeIterator<Item = (usize, SavedService)> + use<'_> {
        let mut unsaved = std::mem::take(&mut self.unsaved);
        // Those that a reload took away.
        unsaved.split_off(&self.virtual_servers.len());
        let core = &*self;
        unsaved.into_iter().map(move |v| (v, core.saved(&core.virtual_servers[v])))
    }

    /// How many virtual servers there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.virtual_servers.len()
    }

    fn saved(&self, vs: &Vs) -> SavedService {
        let lookups = vs.plan.servers.iter().filter_map(|server| server.lookup.as_deref());
        let known = |lookup: &Lookup| {
            let known = self.lookups.get(lookup).filter(|known| known.tried)?;
            Some((lookup.clone(), known.answers.clone()))
        };
        SavedService {
            key: vs.plan.key.clone(),
            up: vs.up,
            begun: vs.begun,
            since: vs.since,
            cause: vs.cause.clone(),
            servers: vs.servers.iter().map(|server| saved_server(vs, server)).collect(),
            parked: vs.parked.iter().map(|(address, order)| (*address, *order)).collect(),
            names: lookups.filter_map(known).collect(),
        }
    }

    /// Gives a virtual server what was saved, except for its servers: `populate` asks
    /// [`Core::restored`] for each.
    pub(super) fn restore(&mut self, v: usize, saved: &SavedService) {
        for (lookup, answers) in &saved.names {
            let known = self.lookups.entry(lookup.clone()).or_default();
            *known = Known { answers: answers.clone(), tried: true, ..known.clone() };
        }
        let vs = &mut self.virtual_servers[v];
        vs.up = saved.up;
        vs.begun = saved.begun;
        vs.since = saved.since;
        vs.cause.clone_from(&saved.cause);
        vs.parked = saved.parked.iter().copied().collect();
        if vs.is_sorry() {
            vs.shown_sorry = vs.plan.sorry.as_ref().map(|s| (s.name.clone(), s.inhibit));
        }
    }

    /// A server that an earlier process had, if it is in `saved`: what it was.
    pub(super) fn restored(
        &mut self,
        v: usize,
        p: u32,
        address: SocketAddr,
        weight: Option<u32>,
        saved: Option<&SavedService>,
    ) -> Option<Rs> {
        let saved = saved?;
        let vs = &self.virtual_servers[v];
        let all = Arc::clone(&vs.plan);
        let plan = &all.servers[p as usize];
        let earlier = saved.servers.iter().find(|rs| rs.is_at(address) && rs.block == plan.key)?;
        let same = plan.checks.len() == earlier.checks.len()
            && plan.checks.iter().zip(&earlier.checks).all(|(a, b)| a.keyword == b.kind);
        if !same {
            return None;
        }
        let mut checks = Vec::with_capacity(plan.checks.len());
        for (plan, earlier) in plan.checks.iter().zip(&earlier.checks) {
            let resumed = earlier.has_run.then_some(earlier.up);
            let mut check = self.start_check(v, address, Arc::clone(plan), resumed);
            check.up = earlier.up;
            check.adjust = earlier.adjust;
            check.since = earlier.since;
            check.detail.clone_from(&earlier.detail);
            checks.push(check);
        }
        let mut server = Rs {
            plan: p,
            address,
            answer_weight: weight,
            alive: false,
            told_down: earlier.told_down,
            since: earlier.since.unwrap_or(saved.since),
            cause: Some(earlier.cause.as_str()).filter(|cause| !cause.is_empty()).map(Box::from),
            checks: checks.into_boxed_slice(),
            order: earlier.order.map(Box::new),
        };
        server.alive = server.checks_pass();
        Some(server)
    }
}

fn saved_server(vs: &Vs, server: &Rs) -> SavedServer {
    let block = vs.plan_of(server).key.clone();
    SavedServer {
        address: Some(server.address).filter(|address| written(&block) != Some(*address)),
        block,
        told_down: server.told_down,
        since: Some(server.since).filter(|since| *since != vs.since),
        cause: server.cause(),
        order: server.order.as_deref().copied(),
        checks: server
            .checks
            .iter()
            .map(|check| SavedCheck {
                kind: check.plan.keyword.to_owned(),
                up: check.up,
                has_run: check.has_run,
                adjust: check.adjust,
                since: check.since,
                detail: check.detail.clone(),
            })
            .collect(),
    }
}
