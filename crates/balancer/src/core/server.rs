//! Virtual servers, real servers and checks as the core keeps them, and what follows from their
//! state alone: weights and quorum.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use checkers::CheckId;
use netlink::ipvs::Destination;
use serde::{Deserialize, Serialize};

use super::io::{Adjustment, Now};
use super::plan::{CheckPlan, MOST_WEIGHT, RsPlan, VsPlan, server_name};

/// A virtual server.
#[derive(Debug)]
pub(super) struct Vs {
    pub(super) plan: Arc<VsPlan>,
    /// Whether it has its quorum.
    pub(super) up: bool,
    /// Whether its quorum was ever judged: a virtual server waits until every DNS name had an
    /// answer or a failure.
    pub(super) begun: bool,
    /// The sorry server that people were told answers, and whether it stays with weight 0 later.
    pub(super) shown_sorry: Option<(Arc<str>, bool)>,
    /// Whether its checks wait (`ha_suspend`).
    pub(super) suspended: bool,
    /// When it became what it is.
    pub(super) since: Now,
    /// Why.
    pub(super) cause: String,
    /// Its servers, in the order of the file; those found by one name together.
    pub(super) servers: Vec<Rs>,
    /// Orders for addresses that a name does not stand for at the moment.
    pub(super) parked: BTreeMap<SocketAddr, Override>,
}

/// A real server: one address. There are tens of thousands: what few of them have is in a box.
#[derive(Debug)]
pub(super) struct Rs {
    /// Its block: place in [`VsPlan::servers`].
    pub(super) plan: u32,
    pub(super) address: SocketAddr,
    /// The weight of its SRV record.
    pub(super) answer_weight: Option<u32>,
    /// Whether it serves: every check is up.
    pub(super) alive: bool,
    /// Whether the outside was told that it is down.
    pub(super) told_down: bool,
    pub(super) since: Now,
    pub(super) cause: Option<Box<str>>,
    pub(super) checks: Box<[Ck]>,
    pub(super) order: Option<Box<Override>>,
}

/// A check of a real server.
#[derive(Debug)]
pub(super) struct Ck {
    pub(super) id: CheckId,
    pub(super) plan: Arc<CheckPlan>,
    /// What it says; before its first result what `alpha` says.
    pub(super) up: bool,
    /// Whether it had a result.
    pub(super) has_run: bool,
    pub(super) adjust: Option<Adjustment>,
    pub(super) since: Now,
    pub(super) detail: String,
}

/// What an operator ordered for a real server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Override {
    pub(super) order: Ordered,
    /// When.
    pub(super) since: Now,
}

/// The order and how far it is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Ordered {
    Weight(u32),
    Draining {
        /// On the monotonic clock.
        deadline: Option<Duration>,
        /// Connections at the last count.
        open: Option<u64>,
        /// Since when none is established, on the monotonic clock.
        #[serde(default)]
        quiet: Option<Duration>,
    },
    Drained,
    Disabled,
}

impl Vs {
    /// A virtual server without servers yet.
    pub(super) fn new(plan: Arc<VsPlan>, now: Now) -> Self {
        Self {
            plan,
            up: false,
            begun: false,
            shown_sorry: None,
            suspended: false,
            since: now,
            cause: String::new(),
            servers: Vec::new(),
            parked: BTreeMap::new(),
        }
    }

    /// The block of a real server.
    pub(super) fn plan_of(&self, server: &Rs) -> &RsPlan {
        &self.plan.servers[server.block()]
    }

    /// Its name in logs: `[10.0.0.2]:tcp:80`.
    pub(super) fn name_of(&self, server: &Rs) -> String {
        server_name(server.address, self.plan.protocol)
    }

    /// What the servers that serve weigh together.
    pub(super) fn weight(&self) -> u64 {
        let serving = self.servers.iter().filter(|server| server.alive);
        serving.map(|server| u64::from(server.weight(self.plan_of(server)))).sum()
    }

    /// Whether the sorry server answers.
    pub(super) fn is_sorry(&self) -> bool {
        self.begun && !self.up && self.plan.sorry.is_some()
    }

    /// What the kernel is to have for a server; `None`: nothing.
    pub(super) fn destination(&self, server: &Rs) -> Option<Destination> {
        let plan = self.plan_of(server);
        let settings = &plan.settings;
        let out = settings.inhibit.then_some(0);
        let weight = match server.ordered() {
            Some(Ordered::Drained | Ordered::Disabled) => out,
            // What is open goes on, even while the sorry server takes what is new.
            Some(Ordered::Draining { .. }) if server.alive => Some(0),
            _ if !server.alive || self.is_sorry() => out,
            _ => Some(server.weight(plan)),
        };
        Some(Destination {
            forwarding: settings.forwarding,
            weight: weight?,
            upper: settings.upper,
            lower: settings.lower,
        })
    }
}

impl Rs {
    /// The place of its block in [`VsPlan::servers`].
    pub(super) fn block(&self) -> usize {
        self.plan as usize
    }

    /// What an operator ordered.
    pub(super) fn ordered(&self) -> Option<Ordered> {
        self.order.as_ref().map(|order| order.order)
    }

    /// Why it is what it is.
    pub(super) fn cause(&self) -> String {
        self.cause.as_deref().unwrap_or_default().to_owned()
    }

    /// The weight in the file, or in the SRV record where the file says none. Never 0 by SRV: there
    /// it means the least, not nothing.
    pub(super) fn configured(&self, plan: &RsPlan) -> u32 {
        match self.answer_weight {
            Some(weight) if plan.weight_open => weight.max(1),
            _ => plan.weight,
        }
    }

    /// What its checks add to the configured weight.
    pub(super) fn added(&self, plan: &RsPlan) -> i64 {
        let base = i64::from(self.configured(plan));
        let adds = self.checks.iter().filter_map(|check| match check.adjust? {
            Adjustment::Set(weight) => Some(i64::from(weight) - base),
            Adjustment::Add(more) => Some(more),
        });
        adds.fold(0, i64::saturating_add)
    }

    /// What it weighs while it serves. A server that is drained or disabled weighs nothing, also
    /// for the quorum: new clients find nobody there.
    pub(super) fn weight(&self, plan: &RsPlan) -> u32 {
        match self.ordered() {
            Some(Ordered::Weight(weight)) => weight,
            Some(Ordered::Draining { .. } | Ordered::Drained | Ordered::Disabled) => 0,
            None => {
                let sum = i64::from(self.configured(plan)).saturating_add(self.added(plan));
                u32::try_from(sum.clamp(0, i64::from(MOST_WEIGHT))).unwrap_or(0)
            }
        }
    }

    /// Whether every check is up.
    pub(super) fn checks_pass(&self) -> bool {
        self.checks.iter().all(|check| check.up)
    }
}

impl Override {
    /// In words, as findings have it.
    pub(super) fn words(&self) -> String {
        match self.order {
            Ordered::Weight(weight) => format!("weight {weight}"),
            Ordered::Draining { .. } => "drain".to_owned(),
            Ordered::Drained => "drained".to_owned(),
            Ordered::Disabled => "disabled".to_owned(),
        }
    }

    /// When a drain ends in any case.
    pub(super) fn deadline(&self) -> Option<Duration> {
        match self.order {
            Ordered::Draining { deadline, .. } => deadline,
            _ => None,
        }
    }
}
