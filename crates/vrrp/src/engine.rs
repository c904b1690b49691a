//! The engine: inputs in, outputs out, for all virtual routers of a process.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::ops::{Index, IndexMut};

use crate::acceptance::{Advert, Packet, examine};
use crate::config::{
    Config, Family, InterfaceId, RouterConfig, RouterId, TrackerId, TrackerState, Transport,
};
use crate::event::{Event, EventKind, Rejection, State};
use crate::groups::Group;
use crate::io::{Datagram, Input, Notify, NotifyKind, Output, Subject};
use crate::peers::{Peers, Trouble};
use crate::priority::Trackers;
use crate::router::Router;
use crate::time::{Now, Time};
use crate::timers::{Queue, Timer};

/// All virtual routers and sync groups of a process.
#[derive(Debug)]
pub struct Engine {
    pub(crate) routers: Routers,
    /// Routers in the order of the configuration.
    pub(crate) order: Vec<RouterId>,
    pub(crate) groups: Vec<Group>,
    pub(crate) trackers: Trackers,
    /// Which routers depend on a thing, themselves or by their group.
    pub(crate) watchers: HashMap<TrackerId, Vec<RouterId>>,
    /// Which routers an advert may be for.
    pub(crate) places: HashMap<Place, Vec<RouterId>>,
    queue: Queue,
    outputs: VecDeque<Output>,
    pub(crate) pool: Vec<Vec<u8>>,
    /// Senders of adverts for nobody, so as to tell of each once.
    strangers: Peers,
    pub(crate) log_unknown_vrids: bool,
    pub(crate) now: Now,
    pub(crate) started: bool,
    pub(crate) stopping: bool,
    pub(crate) stopped: bool,
}

/// Where a router listens: interface (`None` for any), IP version, virtual router id.
pub(crate) type Place = (Option<InterfaceId>, Family, u8);

impl Engine {
    /// An engine in which every router is in INIT until [`Input::Start`].
    pub fn new(config: Config, now: Now) -> Self {
        let mut engine = Self {
            routers: Routers::default(),
            order: Vec::new(),
            groups: Vec::new(),
            trackers: Trackers::new(),
            watchers: HashMap::new(),
            places: HashMap::new(),
            queue: Queue::default(),
            outputs: VecDeque::new(),
            pool: Vec::new(),
            strangers: Peers::new(&Transport::multicast(Family::V4)),
            log_unknown_vrids: config.log_unknown_vrids,
            now,
            started: false,
            stopping: false,
            stopped: false,
        };
        engine.configure(config);
        engine.check_invariants();
        engine
    }

    /// Takes in what happened.
    pub fn handle(&mut self, input: Input<'_>, now: Now) {
        self.set_now(now);
        match input {
            Input::Start => self.start(),
            Input::Packet { interface, datagram } => self.packet(interface, datagram),
            Input::Tracker { id, state } => self.tracker(id, state),
            Input::SourceAddress { router, address } => self.source_address(router, address),
            Input::Reload(config) => self.reload(*config),
            Input::Stop if !self.stopping => self.stop(),
            Input::Release if !self.stopped => self.release(),
            Input::Handover { router } if self.operable(router) => self.hand_over(router),
            Input::Reclaim { router } if self.operable(router) => self.reclaim(router),
            Input::Stop | Input::Release | Input::Handover { .. } | Input::Reclaim { .. } => {}
        }
        self.check_invariants();
    }

    /// Does what is due. Call it when [`Engine::poll_timeout`] has come; earlier does nothing.
    pub fn handle_timeout(&mut self, now: Now) {
        self.set_now(now);
        while let Some((at, id)) = self.queue.first()
            && at <= self.now.mono
        {
            // Every timer is set anew for later than now, so this ends.
            let Some((timer, due)) = self.take_due(id) else { break };
            match timer {
                Timer::Advert => self.advert_due(id, due),
                Timer::MasterDown => self.master_down(id),
                Timer::Yield => self.yield_over(id),
                Timer::GarpSecond | Timer::GarpLowerPrio | Timer::GarpRefresh => {
                    self.announce_due(id, timer);
                }
            }
        }
        self.check_invariants();
    }

    /// When to call [`Engine::handle_timeout`] next, by the monotonic clock.
    pub fn poll_timeout(&self) -> Option<Time> {
        self.queue.first().map(|(at, _)| at)
    }

    /// The next thing to do outside.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Routers, in the order of the configuration.
    pub fn routers(&self) -> impl Iterator<Item = RouterId> + '_ {
        self.order.iter().copied()
    }

    /// The router of that name.
    pub fn find(&self, name: &str) -> Option<RouterId> {
        self.routers().find(|&id| self.routers[id].config.name == name)
    }

    /// Configuration in force of a router: what was configured, with the rules applied that follow
    /// from other settings (intervals rounded, `vrrp_strict` and so on).
    pub fn config(&self, router: RouterId) -> Option<&RouterConfig> {
        Some(&self.routers.get(router)?.config)
    }

    /// State of a router.
    pub fn state(&self, router: RouterId) -> Option<State> {
        Some(self.routers.get(router)?.state)
    }

    /// Whether the addresses of a router must be there.
    pub fn holds(&self, router: RouterId) -> bool {
        self.routers.get(router).is_some_and(Router::holds)
    }

    /// Whether everything has ended ([`Output::Stopped`]).
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Sets all counters to zero (Keepalived's `SIGSTATS_CLEAR`).
    pub fn clear_statistics(&mut self) {
        for router in self.routers.iter_mut() {
            router.stats = Default::default();
        }
    }

    fn set_now(&mut self, now: Now) {
        // A monotonic clock that goes back is the caller's mistake; time then stands still.
        self.now = Now { mono: now.mono.max(self.now.mono), unix: now.unix };
    }

    fn operable(&self, router: RouterId) -> bool {
        self.started && !self.stopping && self.routers.get(router).is_some()
    }

    fn start(&mut self) {
        if self.started || self.stopping {
            return;
        }
        // Priorities as they are now are the first ones, not changes.
        self.reassess_all();
        self.started = true;
        let mono = self.now.mono;
        for router in self.routers.iter_mut() {
            router.started_at = mono;
        }
        self.reassess_all();
    }

    fn tracker(&mut self, id: TrackerId, state: TrackerState) {
        if self.trackers.insert(id, state) == Some(state) || self.stopping {
            return;
        }
        for router in self.watchers.get(&id).cloned().unwrap_or_default() {
            self.reassess(router);
        }
    }

    fn source_address(&mut self, id: RouterId, address: Option<IpAddr>) {
        let Some(router) = self.routers.get_mut(id) else { return };
        let address = address.filter(|address| Family::of(address) == router.config.family);
        if router.source == address {
            return;
        }
        if address.is_none() && router.holds() && router.yielding.is_none() && !self.stopping {
            // While the old address may still work, resign with it.
            self.resign(id);
        }
        self.routers[id].source = address;
        if !self.stopping {
            self.reassess(id);
        }
    }

    fn packet(&mut self, interface: InterfaceId, datagram: Datagram<'_>) {
        let Some(packet) = Packet::find(datagram) else { return };
        if !self.started || self.stopped {
            return;
        }
        let Some(id) = self.addressee(interface, &packet) else {
            self.tell_unknown_vrid(&packet);
            return;
        };
        let router = &mut self.routers[id];
        if !matches!(router.state, State::Backup | State::Master) {
            return;
        }
        if router.source == Some(packet.from) {
            self.own_address_heard(id, &packet);
            return;
        }
        // If we slept for too long, the advert is for the BACKUP that we must be.
        self.stepped_down_late(id);
        self.routers[id].stats.advert_rcvd += 1;
        match examine(&self.routers[id], &packet, self.now) {
            Ok(advert) => {
                self.learn(id, &advert);
                self.accepted(id, &advert);
            }
            Err(reason) => self.reject(id, packet.from, reason),
        }
    }

    /// The router that an advert is for. Of several unicast ones, the one whose address it was sent
    /// to, and of these the one that has the sender as peer.
    fn addressee(&self, interface: InterfaceId, packet: &Packet<'_>) -> Option<RouterId> {
        let (family, vrid) = (packet.family(), packet.vrrp.vrid());
        let here = self.places.get(&(Some(interface), family, vrid));
        let anywhere = self.places.get(&(None, family, vrid));
        let fit = |&id: &RouterId| {
            let router = &self.routers[id];
            match &router.config.transport {
                Transport::Multicast { group } => 2 * u8::from(*group == packet.to),
                Transport::Unicast { peers } => {
                    let ours = router.source == Some(packet.to);
                    let theirs = peers.iter().any(|peer| peer.address == packet.from);
                    2 * u8::from(ours) + u8::from(theirs)
                }
            }
        };
        let candidates = here.into_iter().chain(anywhere).flatten().copied();
        candidates.max_by_key(|id| (fit(id), std::cmp::Reverse(*id)))
    }

    /// Notes what an accepted advert teaches besides its content.
    fn learn(&mut self, id: RouterId, advert: &Advert) {
        let (now, from) = (self.now.mono, advert.from);
        let router = &mut self.routers[id];
        if let Some(sequence) = advert.ah_sequence {
            router.ah_sequence = sequence;
            router.ah_from = Some(from);
        }
        if let Some((mark, off)) = advert.hmac {
            router.peers.set_mark(from, mark);
            if let crate::config::Auth::Hmac(config) = &router.config.auth
                && off > config.time_window / 2
            {
                let window = config.time_window;
                if router.peers.tell(from, Trouble::Clock, now) {
                    self.event(id, EventKind::ClockSkew { from, skew: off, window });
                }
            }
        }
        let router = &mut self.routers[id];
        if let Some(old) = advert.old_checksum
            && let Some(peer) = router.peers.find_mut(from)
            && std::mem::replace(&mut peer.old_checksum, old) != old
            && old
        {
            self.event(id, EventKind::OldChecksum { from });
        }
        let router = &mut self.routers[id];
        if let Some(list) = &advert.list_differs {
            router.stats.addr_list_err += 1;
            if router.peers.tell(from, Trouble::AddressList, now) {
                let (missing, extra) = (list.missing.clone(), list.extra.clone());
                self.event(id, EventKind::AddressListDiffers { from, missing, extra });
            }
        }
        let router = &mut self.routers[id];
        let (theirs, ours) = (advert.interval, router.config.advert_interval);
        if theirs != ours && advert.priority > 0 {
            router.stats.advert_interval_err += 1;
            if router.peers.tell(from, Trouble::Interval, now) {
                self.event(id, EventKind::IntervalDiffers { from, theirs, ours });
            }
        }
    }

    fn reject(&mut self, id: RouterId, from: IpAddr, reason: Rejection) {
        let router = &mut self.routers[id];
        router.stats.count(&reason);
        if router.peers.tell(from, Trouble::from(&reason), self.now.mono) {
            self.event(id, EventKind::Rejected { from, reason });
        }
    }

    /// Our own advert came back, or another machine has our address.
    fn own_address_heard(&mut self, id: RouterId, packet: &Packet<'_>) {
        let (address, now) = (packet.from, self.now.mono);
        let router = &mut self.routers[id];
        if router.state == State::Master
            && packet.vrrp.priority() == router.effective
            && router.peers.tell(address, Trouble::Loop, now)
        {
            self.event(id, EventKind::PossibleLoop { address });
        }
    }

    fn tell_unknown_vrid(&mut self, packet: &Packet<'_>) {
        let (from, vrid) = (packet.from, packet.vrrp.vrid());
        if self.log_unknown_vrids && self.strangers.tell(from, Trouble::Interval, self.now.mono) {
            let kind = EventKind::UnknownVrid { from, vrid };
            let event = Event { time: self.now, router: None, name: String::new(), kind };
            self.out(Output::Event(event));
        }
    }

    fn take_due(&mut self, id: RouterId) -> Option<(Timer, Time)> {
        let now = self.now.mono;
        let timers = &mut self.routers[id].timers;
        let before = timers.next();
        let due = timers.take_due(now);
        let after = timers.next();
        self.queue.update(id, before, after);
        due
    }

    /// Sets or clears a timer.
    pub(crate) fn arm(&mut self, id: RouterId, timer: Timer, at: Option<Time>) {
        let timers = &mut self.routers[id].timers;
        let before = timers.next();
        timers.set(timer, at);
        let after = timers.next();
        self.queue.update(id, before, after);
    }

    /// Clears all timers of a router.
    pub(crate) fn disarm_all(&mut self, id: RouterId) {
        let timers = &mut self.routers[id].timers;
        let before = timers.next();
        timers.clear();
        self.queue.update(id, before, None);
    }

    pub(crate) fn out(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    /// Tells people about a router.
    pub(crate) fn event(&mut self, id: RouterId, kind: EventKind) {
        let name = self.routers[id].config.name.clone();
        self.out(Output::Event(Event { time: self.now, router: Some(id), name, kind }));
    }

    /// Tells people about an ordinary advert, if there were not too many of late.
    pub(crate) fn chat(&mut self, id: RouterId, kind: EventKind) {
        if self.routers[id].peers.may_chat(self.now.mono) {
            self.event(id, kind);
        }
    }

    /// Tells people about a group.
    pub(crate) fn group_event(&mut self, group: usize, kind: EventKind) {
        let name = self.groups[group].config.name.clone();
        self.out(Output::Event(Event { time: self.now, router: None, name, kind }));
    }

    /// Tells scripts about a router.
    pub(crate) fn notify(&mut self, id: RouterId, kind: NotifyKind) {
        let router = &self.routers[id];
        let (name, priority) = (router.config.name.clone(), router.effective);
        let subject = Subject::Instance;
        self.out(Output::Notify(Notify { subject, router: Some(id), name, kind, priority }));
    }

    /// Tells scripts about a group.
    pub(crate) fn notify_group(&mut self, group: usize, kind: NotifyKind) {
        let name = self.groups[group].config.name.clone();
        let subject = Subject::Group;
        self.out(Output::Notify(Notify { subject, router: None, name, kind, priority: 0 }));
    }

    /// What must always be true. Looked at in debug builds only.
    pub(crate) fn check_invariants(&self) {
        // With very many routers this would take longer than the work itself.
        if !cfg!(debug_assertions) || self.order.len() > 64 {
            return;
        }
        let mut waiting = 0;
        for &id in &self.order {
            let router = &self.routers[id];
            let name = &router.config.name;
            let next = router.timers.next();
            waiting += usize::from(next.is_some());
            debug_assert!(
                next.is_none_or(|at| self.queue.contains(at, id)),
                "{name}: a timer that nobody waits for"
            );
            let timer = |timer| router.timers.at(timer).is_some();
            let (advert, down) = (timer(Timer::Advert), timer(Timer::MasterDown));
            match router.state {
                State::Init | State::Fault => {
                    debug_assert!(next.is_none(), "{name}: idle, yet waits");
                }
                State::Backup => {
                    debug_assert!(down && !advert, "{name}: BACKUP waits for a master");
                }
                State::Master if router.yielding.is_some() => {
                    debug_assert!(
                        timer(Timer::Yield) && !advert && !down,
                        "{name}: yielding is short"
                    );
                }
                State::Master => debug_assert!(advert && !down, "{name}: MASTER advertises"),
            }
            debug_assert!(router.yielding.is_none() || router.state == State::Master);
            debug_assert!(!router.wants_master || router.state == State::Backup);
            debug_assert!(!router.stopped || router.state == State::Init);
            debug_assert!(
                (router.state == State::Fault) != router.faults.is_empty()
                    || !self.started
                    || self.stopping
            );
            let Some(group) = router.group else { continue };
            debug_assert!(self.groups[group].members.contains(&id));
        }
        debug_assert_eq!(waiting, self.queue.len(), "timers without a router");
    }
}

/// Routers by number. Numbers within the engine (`order`, `places`, groups, queue) always name a
/// router that is there; those of callers are looked up with `get`.
#[derive(Debug, Default)]
pub(crate) struct Routers(Vec<Option<Box<Router>>>);

impl Routers {
    pub(crate) fn get(&self, id: RouterId) -> Option<&Router> {
        self.0.get(id.0 as usize)?.as_deref()
    }

    pub(crate) fn get_mut(&mut self, id: RouterId) -> Option<&mut Router> {
        self.0.get_mut(id.0 as usize)?.as_deref_mut()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Router> {
        self.0.iter_mut().flatten().map(Box::as_mut)
    }

    pub(crate) fn add(&mut self, config: RouterConfig, now: Time) -> RouterId {
        let id = RouterId(self.0.len() as u32); // fewer than 2^32 are ever configured
        self.0.push(Some(Box::new(Router::new(id, config, now))));
        id
    }

    pub(crate) fn remove(&mut self, id: RouterId) {
        if let Some(slot) = self.0.get_mut(id.0 as usize) {
            *slot = None;
        }
    }
}

impl Index<RouterId> for Routers {
    type Output = Router;

    fn index(&self, id: RouterId) -> &Router {
        self.get(id).unwrap_or_else(|| unreachable!("{id:?} was removed"))
    }
}

impl IndexMut<RouterId> for Routers {
    fn index_mut(&mut self, id: RouterId) -> &mut Router {
        self.get_mut(id).unwrap_or_else(|| unreachable!("{id:?} was removed"))
    }
}
