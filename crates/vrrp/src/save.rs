//! What survives the end of a process: enough for [`Engine::resume`](crate::Engine::resume) to go
//! on as the same router.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::{Config, Family, RouterId, TrackKind, TrackerState, Version};
use crate::engine::Engine;
use crate::event::{EventKind, FaultReason, State};
use crate::io::Output;
use crate::peers::Peer;
use crate::snapshot::{PeerSnapshot, TransitionRecord};
use crate::stats::Statistics;
use crate::time::Now;
use crate::timers::Timer;

/// What identifies a virtual router over reloads and restarts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RouterKey {
    /// Virtual router id.
    pub vrid: u8,
    /// IP version.
    pub family: Family,
    /// Name of the interface, if it has one.
    pub interface: Option<String>,
    /// Source address of a unicast router; `None` with multicast.
    pub unicast_source: Option<IpAddr>,
}

/// A router as [`Engine::save`](crate::Engine::save) keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedRouter {
    /// Which router.
    pub key: RouterKey,
    /// Its state.
    pub state: State,
    /// Whether it had resigned and was waiting for a successor.
    pub yielding: bool,
    /// Whether it was handed over.
    pub handed_over: bool,
    /// Source address of its adverts.
    pub source: Option<IpAddr>,
    /// The last master heard: address and priority.
    pub master: Option<(IpAddr, u8)>,
    /// The master's interval.
    pub master_interval: Duration,
    /// Last AH sequence number sent or accepted.
    pub ah_sequence: u32,
    /// Last IPv4 identification sent.
    pub ip_id: u16,
    /// Last `auth_hmac` stamp sent.
    pub hmac_sent: u64,
    /// Last `auth_hmac` stamp accepted from each sender.
    pub hmac_seen: Vec<(IpAddr, u64)>,
    /// Unicast peers that use the old checksum.
    pub old_checksum_peers: Vec<IpAddr>,
    /// Routers heard, so that they are not told of as new.
    pub peers: Vec<PeerSnapshot>,
    /// States of what it (and its group) tracks, used until there are new ones.
    pub trackers: Vec<(TrackKind, String, TrackerState)>,
    /// The last transition.
    pub last_transition: Option<TransitionRecord>,
    /// Counters.
    pub statistics: Statistics,
}

/// How far AH sequence numbers jump at a resume: more than were sent since the state was saved.
const AH_JUMP: u32 = 1 << 16;

impl Engine {
    /// An engine that goes on where another one ended without a stop: each router that `saved`
    /// names has its state again at once. A MASTER holds and advertises (nobody is notified: it
    /// never ceased), a BACKUP waits a full master-down time. [`Output::Withdraw`] comes for every
    /// router that does not hold, so that leftovers can be removed. Routers that `saved` does not
    /// name start as after [`Input::Start`](crate::Input::Start), which is not needed any more.
    /// Feed tracker states as they become known; until then the saved ones count.
    ///
    /// Resume only from what was saved recently (seconds ago): after a longer silence another
    /// router has taken over, and a fresh start is what it expects. With AH, save at least every
    /// 65,000 adverts.
    pub fn resume(config: Config, saved: &[SavedRouter], now: Now) -> Self {
        let mut engine = Self::new(config, now);
        for id in engine.order.clone() {
            let key = engine.routers[id].key();
            if let Some(saved) = saved.iter().find(|saved| saved.key == key) {
                engine.restore(id, saved);
            }
        }
        engine.reassess_all();
        engine.started = true;
        for id in engine.order.clone() {
            let state = engine.routers[id].state;
            if state != State::Init {
                engine.event(id, EventKind::Resumed { state });
            }
            match state {
                State::Master => {
                    engine.advertise(id);
                    engine.out(Output::Hold { router: id });
                    let refresh = engine.routers[id].config.garp.refresh;
                    let at = (!refresh.is_zero()).then(|| now.mono + refresh);
                    engine.arm(id, Timer::GarpRefresh, at);
                }
                State::Backup => {
                    let wait = engine.routers[id].down_time();
                    engine.arm(id, Timer::MasterDown, Some(now.mono + wait));
                    engine.out(Output::Withdraw { router: id });
                }
                State::Init | State::Fault => engine.out(Output::Withdraw { router: id }),
            }
        }
        for group in &mut engine.groups {
            let mut states = group.members.iter().map(|&id| engine.routers[id].state);
            if let Some(first) = states.next()
                && states.all(|state| state == first)
            {
                group.state = first;
            }
        }
        // Faults and priorities as they are now; what was INIT starts.
        engine.reassess_all();
        engine.check_invariants();
        engine
    }

    fn restore(&mut self, id: RouterId, saved: &SavedRouter) {
        let group = self.routers[id].group.map(|group| self.groups[group].config.tracks.as_slice());
        for track in self.routers[id].config.tracks.iter().chain(group.into_iter().flatten()) {
            let same = |(kind, name, _): &&(TrackKind, String, TrackerState)| {
                *kind == track.kind && *name == track.name
            };
            if let Some((_, _, state)) = saved.trackers.iter().find(same) {
                self.trackers.entry(track.id).or_insert(*state);
            }
        }
        let now = self.now.mono;
        let router = &mut self.routers[id];
        // Who was yielding has a successor by now.
        router.state = if saved.yielding { State::Backup } else { saved.state };
        router.handed_over = saved.handed_over || saved.yielding;
        router.source = router.source.or(saved.source);
        router.master = saved.master.filter(|_| router.state == State::Backup);
        if router.config.version == Version::V3 && router.master.is_some() {
            router.master_interval = saved.master_interval.max(Duration::from_millis(10));
        }
        router.silent_since = now;
        router.heard_anybody = saved.peers.iter().any(|peer| peer.last_heard.is_some());
        router.ah_sequence = saved.ah_sequence.saturating_add(AH_JUMP);
        if router.ah_sequence >= wire::ah::LAST_SEQUENCE {
            router.ah_sequence = saved.ah_sequence;
        }
        router.ip_id = saved.ip_id;
        router.hmac_sent = saved.hmac_sent;
        for &(address, mark) in &saved.hmac_seen {
            router.peers.set_mark(address, mark);
        }
        for peer in &saved.peers {
            let (Some(priority), Some(interval)) = (peer.priority, peer.interval) else { continue };
            let heard = peer.last_heard.unwrap_or(now).min(now);
            router.peers.heard(peer.address, priority, interval, heard);
        }
        for &address in &saved.old_checksum_peers {
            if let Some(peer) = router.peers.find_mut(address) {
                peer.old_checksum = true;
            }
        }
        router.last_transition.clone_from(&saved.last_transition);
        router.stats = saved.statistics;
        if router.state == State::Fault {
            // The reasons come with the next assessment, or it ends.
            router.faults = vec![FaultReason::Configuration { text: "as before".into() }];
        }
    }

    /// What [`Engine::resume`] needs of one router. `None` if there is no such router.
    pub fn save(&self, router: RouterId) -> Option<SavedRouter> {
        let router = self.routers.get(router)?;
        let terms = router.terms.iter();
        Some(SavedRouter {
            key: router.key(),
            state: router.state,
            yielding: router.yielding.is_some(),
            handed_over: router.handed_over,
            source: router.source,
            master: router.master,
            master_interval: router.master_interval,
            ah_sequence: router.ah_sequence,
            ip_id: router.ip_id,
            hmac_sent: router.hmac_sent,
            hmac_seen: router.peers.marks().to_vec(),
            old_checksum_peers: router
                .peers
                .iter()
                .filter(|peer| peer.old_checksum)
                .map(|peer| peer.address)
                .collect(),
            peers: router.peers.iter().map(Peer::snapshot).collect(),
            trackers: terms.map(|term| (term.kind, term.name.clone(), term.state)).collect(),
            last_transition: router.last_transition.clone(),
            statistics: router.stats,
        })
    }
}
