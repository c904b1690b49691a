//! The whole state of the engine at one moment: all that status pages and dump files print.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::{Family, RouterId, Version};
use crate::engine::Engine;
use crate::event::{Cause, FaultReason, State, Term};
use crate::peers::Peer;
use crate::router::Router;
use crate::stats::Statistics;
use crate::time::{Now, Time};
use crate::timers::Timer;

/// Everything.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// When it was made.
    pub time: Now,
    /// Routers, in the order of the configuration.
    pub routers: Vec<RouterSnapshot>,
    /// Sync groups, in the order of the configuration.
    pub groups: Vec<GroupSnapshot>,
}

/// A virtual router.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RouterSnapshot {
    /// Its number.
    pub id: RouterId,
    /// Its name.
    pub name: String,
    /// Name of the interface.
    pub interface: Option<String>,
    /// IP version.
    pub family: Family,
    /// Protocol version.
    pub version: Version,
    /// Virtual router id.
    pub vrid: u8,
    /// Name of its sync group.
    pub group: Option<String>,
    /// What it is.
    pub state: State,
    /// What it would be if its sync group let it.
    pub wanted: State,
    /// Whether the addresses must be there: MASTER, or resigned and waiting for the successor.
    pub holds: bool,
    /// Resigned and waiting for the successor; the longest instant it waits until.
    pub yielding_until: Option<Time>,
    /// Handed over: keeps back until the master vanishes or it is told to reclaim.
    pub handed_over: bool,
    /// Configured priority.
    pub base_priority: u8,
    /// Priority in force.
    pub effective_priority: u8,
    /// The sum before it is held within 1..=254.
    pub total_priority: i64,
    /// The terms of the sum, also those that add nothing now.
    pub terms: Vec<Term>,
    /// Why it is in FAULT.
    pub faults: Vec<FaultReason>,
    /// What keeps it in INIT: names of things without a first result.
    pub waiting_for: Vec<String>,
    /// Source address of its adverts.
    pub source: Option<IpAddr>,
    /// Own interval.
    pub advert_interval: Duration,
    /// The master's interval, learned (v3) or our own.
    pub master_interval: Duration,
    /// Skew time at the priority in force.
    pub skew: Duration,
    /// Master-down time at the priority in force.
    pub master_down: Duration,
    /// When the master counts as down.
    pub master_down_at: Option<Time>,
    /// When the next advert is due.
    pub next_advert_at: Option<Time>,
    /// From when on a lower-priority master is preempted.
    pub preempt_at: Option<Time>,
    /// The last master heard, while not MASTER itself.
    pub master: Option<PeerSnapshot>,
    /// Routers heard, oldest first, and configured unicast peers.
    pub peers: Vec<PeerSnapshot>,
    /// The last transition; `None` before the first.
    pub last_transition: Option<TransitionRecord>,
    /// Counters.
    pub statistics: Statistics,
}

/// Another router.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PeerSnapshot {
    /// Its address.
    pub address: IpAddr,
    /// Priority of its last advert (0: resigned).
    pub priority: Option<u8>,
    /// Interval of its last advert.
    pub interval: Option<Duration>,
    /// When its last advert was accepted or discarded for its priority.
    pub last_heard: Option<Time>,
    /// Whether the configuration names it as unicast peer.
    pub configured: bool,
}

/// A transition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TransitionRecord {
    /// When.
    pub time: Now,
    /// Before.
    pub from: State,
    /// After.
    pub to: State,
    /// Why.
    pub cause: Cause,
}

/// A sync group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupSnapshot {
    /// Its name.
    pub name: String,
    /// Its state as last notified.
    pub state: State,
    /// Its members.
    pub members: Vec<RouterId>,
}

impl Engine {
    /// Everything.
    pub fn snapshot(&self, now: Now) -> Snapshot {
        Snapshot {
            time: now,
            routers: self.order.iter().map(|&id| self.view(&self.routers[id])).collect(),
            groups: self
                .groups
                .iter()
                .map(|group| GroupSnapshot {
                    name: group.config.name.clone(),
                    state: group.state,
                    members: group.members.clone(),
                })
                .collect(),
        }
    }

    /// Everything about one router. `None` if there is no such router.
    pub fn router(&self, router: RouterId) -> Option<RouterSnapshot> {
        Some(self.view(self.routers.get(router)?))
    }

    fn view(&self, router: &Router) -> RouterSnapshot {
        let config = &router.config;
        let master = router.master.map(|(address, priority)| {
            let heard = router.peers.find(address);
            PeerSnapshot {
                address,
                priority: Some(priority),
                interval: Some(router.master_interval),
                last_heard: heard.and_then(|peer| peer.last_heard),
                configured: heard.is_some_and(|peer| peer.configured),
            }
        });
        RouterSnapshot {
            id: router.id,
            name: config.name.clone(),
            interface: config.interface.as_ref().map(|interface| interface.name.clone()),
            family: config.family,
            version: config.version,
            vrid: config.vrid.get(),
            group: router.group.map(|group| self.groups[group].config.name.clone()),
            state: router.state,
            wanted: if router.wants_master { State::Master } else { router.state },
            holds: router.holds(),
            yielding_until: router.yielding.and(router.timers.at(Timer::Yield)),
            handed_over: router.handed_over,
            base_priority: config.priority.get(),
            effective_priority: router.effective,
            total_priority: router.total,
            terms: router.terms.clone(),
            faults: router.faults.clone(),
            waiting_for: if router.state == State::Init {
                router.waiting_for.clone()
            } else {
                Vec::new()
            },
            source: router.source,
            advert_interval: config.advert_interval,
            master_interval: router.master_interval,
            skew: router.skew(),
            master_down: router.down_time(),
            master_down_at: router.timers.at(Timer::MasterDown),
            next_advert_at: router.timers.at(Timer::Advert),
            preempt_at: router.preempt_at,
            master,
            peers: router.peers.iter().map(Peer::snapshot).collect(),
            last_transition: router.last_transition.clone(),
            statistics: router.stats,
        }
    }
}

impl Peer {
    pub(crate) fn snapshot(&self) -> PeerSnapshot {
        PeerSnapshot {
            address: self.address,
            priority: self.priority,
            interval: self.interval,
            last_heard: self.last_heard,
            configured: self.configured,
        }
    }
}
