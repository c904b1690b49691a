//! Nodes, their clocks, and the segments between them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use fastrand::Rng;
use vrrp::{
    Announced, Config, Datagram, Engine, Event, EventKind, Input, InterfaceId, Notify, Output,
    RouterId, SavedRouter, State, Time, Transmit,
};

use super::capture::Capture;

/// The Unix time at which every simulation begins.
const EPOCH: Duration = Duration::from_secs(1_700_000_000);

/// What a segment does to packets.
#[derive(Clone, Debug)]
pub struct Faults {
    /// Of a thousand packets, this many are lost.
    pub loss: u32,
    /// Of a thousand packets, this many come twice.
    pub duplicates: u32,
    /// Least and greatest delay.
    pub delay: (Duration, Duration),
    /// Packets do not overtake each other, as in a switch.
    pub ordered: bool,
    /// Nodes with different numbers do not hear each other.
    pub cell: Vec<u8>,
    /// Nodes that are not heard (but hear).
    pub mute: Vec<bool>,
}

impl Faults {
    /// A segment that works.
    pub fn none(nodes: usize) -> Self {
        let delay = (Duration::from_micros(50), Duration::from_micros(150));
        let (cell, mute) = (vec![0; nodes], vec![false; nodes]);
        Self { loss: 0, duplicates: 0, delay, ordered: true, cell, mute }
    }
}

/// A packet on its way.
#[derive(Debug)]
struct Flight {
    at: Time,
    seq: u64,
    to: usize,
    segment: usize,
    packet: Transmit,
}

impl PartialEq for Flight {
    fn eq(&self, other: &Self) -> bool {
        self.seq == other.seq
    }
}
impl Eq for Flight {}
impl PartialOrd for Flight {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Flight {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.seq).cmp(&(other.at, other.seq))
    }
}

/// A machine.
pub struct Node {
    pub engine: Option<Engine>,
    pub config: Config,
    /// Names of routers whose addresses are in its kernel.
    pub held: BTreeMap<String, bool>,
    pub stopped: bool,
    pub saved: Vec<SavedRouter>,
    pub events: Vec<(Time, Event)>,
    pub notified: Vec<(Time, Notify)>,
    pub announced: Vec<(Time, Announced, u32)>,
    pub sent: u64,
    /// Parts per million that its clock runs fast.
    drift: i64,
    /// What its monotonic clock said at the start.
    origin: u64,
    /// What its wall clock is wrong by.
    wall: i64,
    paused_until: Option<Time>,
    inbox: VecDeque<(usize, Transmit)>,
}

impl Node {
    fn local(&self, now: Time) -> Time {
        let scaled = i128::from(now.0) * i128::from(1_000_000 + self.drift) / 1_000_000;
        Time(self.origin + scaled as u64)
    }

    fn global(&self, local: Time) -> Time {
        let since = i128::from(local.0.saturating_sub(self.origin));
        let rate = i128::from(1_000_000 + self.drift);
        Time(((since * 1_000_000 + rate - 1) / rate) as u64)
    }

    fn now(&self, now: Time) -> vrrp::Now {
        let unix = EPOCH.as_nanos() as i64 + now.0 as i64 + self.wall;
        vrrp::Now::new(self.local(now), Duration::from_nanos(unix as u64))
    }
}

/// The whole.
pub struct Lan {
    pub now: Time,
    pub nodes: Vec<Node>,
    pub faults: Vec<Faults>,
    pub rng: Rng,
    /// What went wrong, if something did.
    pub broken: Option<String>,
    /// Packets sent.
    pub packets: u64,
    /// Everything that happened, if it is wanted.
    pub log: Option<Vec<String>>,
    pub capture: Option<Capture>,
    /// While set: at every moment somebody must hold this router's addresses.
    pub no_gap: Vec<String>,
    flights: BinaryHeap<Reverse<Flight>>,
    seq: u64,
    /// When the last packet from one node arrives at another.
    last_arrival: BTreeMap<(usize, usize, usize), Time>,
    /// A resume may repeat Hold or Withdraw.
    resuming: bool,
}

impl Lan {
    /// Nodes that are not running yet.
    pub fn new(configs: Vec<Config>, segments: usize, seed: u64) -> Self {
        let count = configs.len();
        let nodes = configs
            .into_iter()
            .map(|config| Node {
                engine: None,
                config,
                held: BTreeMap::new(),
                stopped: false,
                saved: Vec::new(),
                events: Vec::new(),
                notified: Vec::new(),
                announced: Vec::new(),
                sent: 0,
                drift: 0,
                origin: 0,
                wall: 0,
                paused_until: None,
                inbox: VecDeque::new(),
            })
            .collect();
        Self {
            now: Time::ZERO,
            nodes,
            faults: vec![Faults::none(count); segments],
            rng: Rng::with_seed(seed),
            broken: None,
            packets: 0,
            log: None,
            capture: None,
            no_gap: Vec::new(),
            flights: BinaryHeap::new(),
            seq: 0,
            last_arrival: BTreeMap::new(),
            resuming: false,
        }
    }

    /// Sets a node's clock: parts per million it runs fast, where it starts, wall clock error.
    pub fn set_clock(&mut self, node: usize, drift: i64, origin: Duration, wall_millis: i64) {
        let node = &mut self.nodes[node];
        node.drift = drift;
        node.origin = origin.as_nanos() as u64;
        node.wall = wall_millis * 1_000_000;
    }

    /// Boots a node: no address is in its kernel.
    pub fn boot(&mut self, node: usize) {
        self.note(node, "boots");
        self.nodes[node].held.clear();
        self.start(node);
    }

    /// Starts the daemon of a node.
    pub fn start(&mut self, node: usize) {
        let now = self.now;
        let machine = &mut self.nodes[node];
        machine.stopped = false;
        machine.paused_until = None;
        machine.inbox.clear();
        machine.engine = Some(Engine::new(machine.config.clone(), machine.now(now)));
        self.input(node, Input::Start);
    }

    /// The machine is gone, with its addresses.
    pub fn kill(&mut self, node: usize) {
        self.note(node, "dies");
        let machine = &mut self.nodes[node];
        machine.engine = None;
        machine.held.clear();
        machine.inbox.clear();
        machine.paused_until = None;
    }

    /// The daemon crashes and goes on in its state after a while too short for anything else.
    pub fn crash_and_resume(&mut self, node: usize) {
        self.note(node, "crashes and resumes");
        let now = self.now;
        let machine = &mut self.nodes[node];
        let Some(engine) = machine.engine.take() else { return };
        let saved: Vec<SavedRouter> = engine.routers().filter_map(|id| engine.save(id)).collect();
        let json = serde_json::to_string(&saved).expect("saved state has a JSON form");
        machine.saved = serde_json::from_str(&json).expect("and it can be read back");
        let config = machine.config.clone();
        machine.engine = Some(Engine::resume(config, &machine.saved, machine.now(now)));
        self.resuming = true;
        self.drain(node);
        self.resuming = false;
        let engine = self.nodes[node].engine.as_ref();
        for saved in &self.nodes[node].saved {
            let of = |id: &RouterId| {
                engine.and_then(|engine| engine.save(*id)).is_some_and(|now| now.key == saved.key)
            };
            let id = engine.and_then(|engine| engine.routers().find(of));
            let state = id.and_then(|id| engine?.state(id));
            let expected = if saved.yielding { State::Backup } else { saved.state };
            if matches!(expected, State::Backup | State::Master) && state != Some(expected) {
                self.broken = Some(format!("node {node} was {expected}, resumes as {state:?}"));
            }
        }
    }

    /// The machine does nothing for a while; packets wait.
    pub fn pause(&mut self, node: usize, duration: Duration) {
        self.note(node, &format!("is paused for {duration:?}"));
        self.nodes[node].paused_until = Some(self.now + duration);
    }

    /// Feeds an input.
    pub fn input(&mut self, node: usize, input: Input<'_>) {
        if !matches!(input, Input::Packet { .. } | Input::Tracker { .. }) {
            self.note(node, &format!("{input:?}").chars().take(60).collect::<String>());
        }
        let now = self.now;
        let machine = &mut self.nodes[node];
        let at = machine.now(now);
        if let Input::Reload(config) = &input {
            machine.config = (**config).clone();
        }
        let Some(engine) = &mut machine.engine else { return };
        engine.handle(input, at);
        self.drain(node);
    }

    /// Number of a router of a node.
    pub fn id(&self, node: usize, name: &str) -> RouterId {
        let engine = self.nodes[node].engine.as_ref().expect("the node runs");
        engine.find(name).expect("the router is configured")
    }

    /// State of a router of a node; INIT if the node does not run.
    pub fn state(&self, node: usize, name: &str) -> State {
        let Some(engine) = &self.nodes[node].engine else { return State::Init };
        engine.find(name).and_then(|id| engine.state(id)).unwrap_or_default()
    }

    /// Nodes that have this router's addresses.
    pub fn holders(&self, name: &str) -> Vec<usize> {
        (0..self.nodes.len())
            .filter(|&node| self.nodes[node].held.get(name) == Some(&true))
            .collect()
    }

    /// Runs for a while.
    pub fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.step(end) {}
        self.now = end;
    }

    /// Runs until something is true. False if it was not within that time.
    pub fn run_until(&mut self, limit: Duration, mut done: impl FnMut(&Self) -> bool) -> bool {
        let end = self.now + limit;
        while !done(self) {
            if !self.step(end) {
                self.now = end;
                return done(self);
            }
        }
        true
    }

    /// Does the next thing, if it is due before `end`.
    fn step(&mut self, end: Time) -> bool {
        if self.broken.is_some() {
            return false;
        }
        let flight = self.flights.peek().map(|flight| flight.0.at);
        let timer = (0..self.nodes.len()).filter_map(|n| Some((self.due(n)?, n))).min();
        match (flight, timer) {
            // Packets first: this is what the engine asks of its caller.
            (Some(at), timer) if at <= end && timer.is_none_or(|(due, _)| at <= due) => {
                let Some(Reverse(flight)) = self.flights.pop() else { return false };
                self.now = self.now.max(at);
                self.arrive(flight);
            }
            (_, Some((due, node))) if due <= end => {
                self.now = self.now.max(due);
                self.wake(node);
            }
            _ => return false,
        }
        self.check_gap();
        true
    }

    /// When a node has something to do.
    fn due(&self, node: usize) -> Option<Time> {
        let machine = &self.nodes[node];
        let timer = machine.engine.as_ref()?.poll_timeout().map(|at| machine.global(at));
        match machine.paused_until {
            Some(until) if machine.inbox.is_empty() => timer.map(|at| at.max(until)),
            Some(until) => Some(until),
            None => timer,
        }
    }

    fn wake(&mut self, node: usize) {
        if self.nodes[node].paused_until.is_some_and(|until| until <= self.now) {
            self.nodes[node].paused_until = None;
            while let Some((segment, packet)) = self.nodes[node].inbox.pop_front() {
                self.deliver(node, segment, &packet);
            }
        }
        let now = self.now;
        let machine = &mut self.nodes[node];
        let at = machine.now(now);
        if let Some(engine) = &mut machine.engine {
            engine.handle_timeout(at);
        }
        self.drain(node);
    }

    fn arrive(&mut self, flight: Flight) {
        let Flight { to, segment, packet, .. } = flight;
        match self.nodes[to].paused_until {
            Some(until) if until > self.now => {
                // A socket buffer has an end.
                if self.nodes[to].inbox.len() < 64 {
                    self.nodes[to].inbox.push_back((segment, packet));
                }
            }
            _ => self.deliver(to, segment, &packet),
        }
    }

    fn deliver(&mut self, to: usize, segment: usize, packet: &Transmit) {
        let datagram = match (packet.src, packet.dst) {
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                Datagram::V6 { src, dst, hop_limit: packet.ttl, payload: &packet.bytes }
            }
            _ => Datagram::V4 { bytes: &packet.bytes },
        };
        let interface = InterfaceId(segment as u32 + 1);
        self.input(to, Input::Packet { interface, datagram });
    }

    /// Does what a node's engine asks for.
    fn drain(&mut self, node: usize) {
        let now = self.now;
        loop {
            let machine = &mut self.nodes[node];
            let Some(engine) = &mut machine.engine else { return };
            let Some(output) = engine.poll_output() else { return };
            match output {
                Output::Transmit(packet) => {
                    machine.sent += 1;
                    self.transmit(node, packet);
                }
                Output::Hold { router } => self.hold(node, router, true),
                Output::Withdraw { router } => self.hold(node, router, false),
                Output::Reconcile { router } => {
                    if !engine.holds(router) {
                        self.broken = Some(format!("node {node} reconciles what it does not hold"));
                    }
                }
                Output::Announce { what, repeat, .. } => {
                    machine.announced.push((now, what, repeat));
                }
                Output::Notify(notify) => machine.notified.push((now, notify)),
                Output::Event(event) => {
                    if let Some(log) = &mut self.log {
                        let cause =
                            event.cause().map_or(String::new(), |cause| format!(" [{cause}]"));
                        log.push(format!("{:>12.6} node {node} {event}{cause}", secs(now)));
                    }
                    if let EventKind::Changed { old_name: Some(old) } = &event.kind
                        && let Some(held) = machine.held.remove(old)
                    {
                        machine.held.insert(event.name.clone(), held);
                    }
                    machine.events.push((now, event));
                }
                Output::Removed { .. } => {}
                Output::Stopped => machine.stopped = true,
            }
        }
    }

    fn hold(&mut self, node: usize, router: RouterId, hold: bool) {
        let machine = &mut self.nodes[node];
        let config = machine.engine.as_ref().and_then(|engine| engine.config(router));
        // A removed router withdraws before it is gone from the configuration, but outputs are
        // read afterwards.
        let Some(name) = config.map(|config| config.name.clone()) else {
            let removed: Vec<String> = machine
                .held
                .keys()
                .filter(|name| !machine.config.routers.iter().any(|router| router.name == **name))
                .cloned()
                .collect();
            for name in removed {
                machine.held.remove(&name);
            }
            return;
        };
        let before = machine.held.insert(name.clone(), hold).unwrap_or(false);
        if before == hold && !self.resuming {
            self.broken = Some(format!("node {node} {name}: Hold and Withdraw do not alternate"));
        }
        if let Some(log) = &mut self.log {
            let what = if hold { "holds" } else { "withdraws" };
            log.push(format!("{:>12.6} node {node} {what} {name}", secs(self.now)));
        }
    }

    fn transmit(&mut self, from: usize, packet: Transmit) {
        self.packets += 1;
        let segment = packet.interface.map_or(0, |interface| interface.0 as usize - 1);
        if let Some(capture) = &mut self.capture {
            capture.packet(self.now, from, &packet);
        }
        for to in 0..self.nodes.len() {
            if to == from || !self.reaches(segment, from, to, packet.dst) {
                continue;
            }
            let faults = &self.faults[segment];
            let copies = 1 + u32::from(self.rng.u32(0..1000) < faults.duplicates);
            for _ in 0..copies {
                if self.rng.u32(0..1000) < self.faults[segment].loss {
                    continue;
                }
                let (min, max) = self.faults[segment].delay;
                let delay = self.rng.u64(min.as_nanos() as u64..=max.as_nanos() as u64);
                self.seq += 1;
                let mut at = self.now + Duration::from_nanos(delay);
                let last = self.last_arrival.entry((segment, from, to)).or_default();
                if self.faults[segment].ordered {
                    at = at.max(*last);
                }
                *last = at;
                let packet = packet.clone();
                self.flights.push(Reverse(Flight { at, seq: self.seq, to, segment, packet }));
            }
        }
    }

    fn reaches(&self, segment: usize, from: usize, to: usize, dst: IpAddr) -> bool {
        let faults = &self.faults[segment];
        let addressed =
            dst.is_multicast() || dst == super::address(to, segment, vrrp::Family::of(&dst));
        addressed && faults.cell[from] == faults.cell[to] && !faults.mute[from]
    }

    fn check_gap(&mut self) {
        for n in 0..self.no_gap.len() {
            if self.holders(&self.no_gap[n]).is_empty() {
                self.broken =
                    Some(format!("nobody holds {} at {:.6}", self.no_gap[n], secs(self.now)));
            }
        }
    }

    /// What an engine says and what the kernel has must agree.
    pub fn check_held(&mut self) {
        for (n, machine) in self.nodes.iter().enumerate() {
            let Some(engine) = &machine.engine else { continue };
            for id in engine.routers() {
                let name = &engine.config(id).expect("listed").name;
                let held = machine.held.get(name).copied().unwrap_or(false);
                if held != engine.holds(id) {
                    self.broken =
                        Some(format!("node {n} {name}: addresses left behind or missing"));
                }
            }
            for name in machine.held.iter().filter(|held| *held.1).map(|held| held.0) {
                if engine.find(name).is_none() {
                    self.broken = Some(format!("node {n} {name}: addresses left behind"));
                }
            }
        }
    }

    pub fn note(&mut self, node: usize, what: &str) {
        if let Some(log) = &mut self.log {
            log.push(format!("{:>12.6} node {node} --- {what}", secs(self.now)));
        }
    }
}

/// Seconds.
pub fn secs(time: Time) -> f64 {
    time.0 as f64 / 1e9
}
