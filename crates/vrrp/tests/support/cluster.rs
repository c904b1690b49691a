//! Random clusters, random misfortunes, and what must be true all the same.
//!
//! A seed makes a cluster (versions, transports, authentication, priorities, groups, clocks), a
//! list of misfortunes, and a calm afterwards. What is checked:
//!
//! - always: Hold and Withdraw alternate, the kernel has what the engine says, no flood of packets;
//! - in the calm: one master for each virtual router, and the right one; nothing changes any more;
//! - after the calm: a planned stop or a handover leaves no gap, a death is made up for in time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use fastrand::Rng;
use vrrp::State::{Backup, Master};
use vrrp::{
    AntiReplay, Auth, Config, Family, GroupConfig, HmacConfig, HmacKey, HmacMode, Input,
    RouterConfig, Secret, State, TrackerId, TrackerState, Version,
};

use super::capture::Capture;
use super::lan::{Faults, Lan, secs};
use super::{address, router_at, script, unicast};

/// How a seed ended.
pub struct Outcome {
    pub failure: Option<String>,
    pub packets: u64,
    pub log: Vec<String>,
    pub capture: Option<Vec<u8>>,
}

/// Runs one seed. With `record`, log and capture are kept.
pub fn run(seed: u64, record: bool) -> Outcome {
    let mut story = Story::new(seed, record);
    let result = catch_unwind(AssertUnwindSafe(|| story.tell()));
    let failure = match result {
        Ok(Ok(())) => None,
        Ok(Err(failure)) => Some(failure),
        Err(panic) => Some(format!(
            "panic: {}",
            panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
                .unwrap_or_default()
        )),
    };
    Outcome {
        failure,
        packets: story.lan.packets,
        log: story.lan.log.take().unwrap_or_default(),
        capture: story.lan.capture.take().map(Capture::finish),
    }
}

/// A cluster and what happens to it.
struct Story {
    rng: Rng,
    lan: Lan,
    names: Vec<String>,
    family: Family,
    version: Version,
    interval: Duration,
    grouped: bool,
    preempt: bool,
    owner: bool,
    /// Nodes that were told to run.
    up: Vec<bool>,
}

impl Story {
    fn new(seed: u64, record: bool) -> Self {
        let mut rng = Rng::with_seed(seed);
        let nodes = *[2, 2, 2, 3, 3, 4].get(rng.usize(0..6)).unwrap_or(&2);
        let count = rng.usize(1..=3);
        let segments = if rng.bool() { 1 } else { 2 };
        let family = if rng.u8(0..4) == 0 { Family::V6 } else { Family::V4 };
        let version = if family == Family::V6 || rng.bool() { Version::V3 } else { Version::V2 };
        let interval = match version {
            Version::V2 => Duration::from_secs(rng.u64(1..=2)),
            Version::V3 => {
                Duration::from_millis(*[10, 50, 100, 500, 1000].get(rng.usize(0..5)).unwrap_or(&10))
            }
        };
        let grouped = count > 1 && rng.u8(0..2) == 0;
        let owner = rng.u8(0..6) == 0;
        let preempt = owner || rng.u8(0..3) > 0;
        let is_unicast = rng.u8(0..3) == 0;
        let auth = random_auth(&mut rng, version, family);
        let tracked = rng.u8(0..3);
        let equal = rng.u8(0..4) == 0;
        let delay = if preempt && rng.u8(0..4) == 0 { interval * 4 } else { Duration::ZERO };
        let lower_no_advert = rng.u8(0..4) == 0;
        let higher_advert = rng.u8(0..4) == 0;
        let down_adverts = if rng.u8(0..4) == 0 { rng.u8(2..=5) } else { 3 };
        let names: Vec<String> = (0..count).map(|n| format!("V{n}")).collect();
        let configs = (0..nodes)
            .map(|node| {
                let base = if equal { 100 } else { 250 - 40 * node as u8 };
                let priority = if owner && node == 0 { 255 } else { base };
                let routers = (0..count)
                    .map(|n| {
                        let segment = n % segments;
                        let vrid = 51 + n as u8;
                        let mut config =
                            router_at(&names[n], node, segment, vrid, version, family, priority);
                        config.advert_interval = interval;
                        config.preempt = preempt;
                        config.preempt_delay = delay;
                        config.auth = auth.clone();
                        config.lower_prio_no_advert = lower_no_advert;
                        config.higher_prio_send_advert = higher_advert;
                        config.down_timer_adverts = down_adverts;
                        config.owner_ignore_adverts = owner && node == 0 && equal;
                        if is_unicast {
                            unicast(&mut config, node, segment, nodes);
                        }
                        if tracked > 0 && n == 0 {
                            let weight = (tracked == 1).then_some(-60);
                            config.tracks = vec![script(1, weight)];
                        }
                        config
                    })
                    .collect();
                let groups = if grouped {
                    vec![GroupConfig {
                        name: "G".into(),
                        members: names.clone(),
                        ..GroupConfig::default()
                    }]
                } else {
                    Vec::new()
                };
                Config { routers, groups, ..Config::default() }
            })
            .collect();
        let mut lan = Lan::new(configs, segments, rng.u64(..));
        for node in 0..nodes {
            let origin = Duration::from_secs(rng.u64(0..1_000_000));
            lan.set_clock(node, rng.i64(-2000..=2000), origin, rng.i64(-1000..=1000));
        }
        if record {
            lan.log = Some(vec![format!(
                "{nodes} nodes, {count} routers on {segments} segments, {family} {version:?} every \
                 {interval:?}, unicast {is_unicast}, grouped {grouped}, preempt {preempt}, owner \
                 {owner}, equal {equal}, tracked {tracked}, delay {delay:?}, auth {auth:?}"
            )]);
            lan.capture = Some(Capture::new());
        }
        let up = vec![false; nodes];
        Self { rng, lan, names, family, version, interval, grouped, preempt, owner, up }
    }

    fn tell(&mut self) -> Result<(), String> {
        for node in 0..self.up.len() {
            self.boot(node);
            if self.rng.bool() {
                let wait = self.some_time(2);
                self.lan.run(wait);
            }
        }
        for _ in 0..self.rng.usize(4..=16) {
            self.misfortune();
            let wait = self.some_time(8);
            let packets = self.lan.packets;
            let start = self.lan.now;
            self.lan.run(wait);
            self.look()?;
            self.check_quantity(packets, secs(self.lan.now) - secs(start))?;
        }
        self.calm()?;
        self.afterwards()
    }

    /// Up to `intervals` intervals.
    fn some_time(&mut self, intervals: u32) -> Duration {
        self.interval * intervals * self.rng.u32(1..=1000) / 1000
    }

    fn boot(&mut self, node: usize) {
        self.up[node] = true;
        self.lan.boot(node);
        self.track(node, TrackerState::Up);
    }

    fn track(&mut self, node: usize, state: TrackerState) {
        self.lan.input(node, Input::Tracker { id: TrackerId(1), state });
    }

    /// The longest time that a BACKUP waits for a master.
    fn down_time(&self) -> Duration {
        let adverts = self.lan.nodes[0].config.routers[0].down_timer_adverts;
        let skew = match self.version {
            Version::V2 => Duration::from_secs(1),
            Version::V3 => self.interval,
        };
        self.interval * u32::from(adverts) + skew
    }

    fn misfortune(&mut self) {
        let node = self.rng.usize(0..self.up.len());
        let nodes = self.up.len();
        let segment = self.rng.usize(0..self.lan.faults.len());
        let name = self.names[self.rng.usize(0..self.names.len())].clone();
        match self.rng.u8(0..18) {
            0 => self.lan.faults[segment].loss = self.rng.u32(0..=400),
            1 => self.lan.faults[segment].duplicates = self.rng.u32(0..=300),
            2 => {
                self.lan.faults[segment].ordered = false;
                let most = self.interval.as_micros() as u64;
                self.lan.faults[segment].delay.1 =
                    Duration::from_micros(self.rng.u64(200..=most.max(201)));
            }
            3 => self.lan.faults[segment].cell = (0..nodes).map(|_| self.rng.u8(0..2)).collect(),
            4 => self.lan.faults[segment].mute[node] = self.rng.bool(),
            5 => self.lan.faults[segment] = Faults::none(nodes),
            6 => {
                let time = self.some_time(12);
                self.lan.pause(node, time);
            }
            7 if self.up[node] => {
                self.up[node] = false;
                self.lan.kill(node);
            }
            8 if self.up[node] && !self.lan.nodes[node].stopped => self.lan.crash_and_resume(node),
            9 | 10 if !self.up[node] => self.boot(node),
            11 if self.up[node] => self.lan.input(node, Input::Stop),
            12 if self.lan.nodes[node].stopped => self.boot(node),
            13 => self.track(node, TrackerState::Down),
            14 => self.track(node, TrackerState::Up),
            15 if self.up[node] && !self.lan.nodes[node].stopped => {
                let router = self.lan.id(node, &name);
                let input = if self.rng.bool() {
                    Input::Handover { router }
                } else {
                    Input::Reclaim { router }
                };
                self.lan.input(node, input);
            }
            16 if self.up[node] => self.reload(node),
            17 if self.up[node] && !self.lan.nodes[node].stopped => {
                let router = self.lan.id(node, &name);
                let back = self.rng.bool();
                let segment = (self.names.iter().position(|n| *n == name).unwrap_or(0))
                    % self.lan.faults.len();
                let ours = Some(address(node, segment, self.family));
                let address = ours.filter(|_| back);
                self.lan.input(node, Input::SourceAddress { router, address });
            }
            _ => {}
        }
    }

    /// Another priority, another address, or a router less, or the same again.
    fn reload(&mut self, node: usize) {
        let mut config = self.lan.nodes[node].config.clone();
        match self.rng.u8(0..4) {
            0 if !self.owner => {
                let priority = std::num::NonZeroU8::new(self.rng.u8(1..=254)).expect("not zero");
                for router in &mut config.routers {
                    router.priority = priority;
                }
            }
            1 => {
                let family = self.family;
                let last = config.routers.last_mut().expect("at least one");
                last.addresses.push(super::vip(200, family));
            }
            2 if config.routers.len() > 1 && !self.grouped => {
                let gone = config.routers.pop().expect("at least two");
                let whole = self.lan.nodes[node].config.clone();
                self.lan.input(node, Input::Reload(Box::new(config)));
                if self.lan.log.is_some() {
                    self.lan.note(node, &format!("lost {}", gone.name));
                }
                let wait = self.some_time(3);
                self.lan.run(wait);
                config = whole;
            }
            _ => {}
        }
        self.lan.input(node, Input::Reload(Box::new(config)));
    }

    fn look(&mut self) -> Result<(), String> {
        self.lan.check_held();
        self.lan.broken.clone().map_or(Ok(()), Err)
    }

    /// Nobody floods: in any time at most a few packets for each interval, node, peer and router.
    fn check_quantity(&self, before: u64, time: f64) -> Result<(), String> {
        let nodes = self.up.len() as f64;
        let routers = self.names.len() as f64;
        let intervals = time / self.interval.as_secs_f64() + 2.0;
        let most = intervals * nodes * nodes * routers * 8.0 + 100.0;
        let sent = (self.lan.packets - before) as f64;
        if sent > most {
            return Err(format!("{sent} packets within {time} s, at most {most} make sense"));
        }
        Ok(())
    }

    /// Everything works again; the cluster must come to rest.
    fn calm(&mut self) -> Result<(), String> {
        let nodes = self.up.len();
        for faults in &mut self.lan.faults {
            *faults = Faults::none(nodes);
        }
        for node in 0..nodes {
            self.lan.note(node, "calm");
            if !self.up[node] || self.lan.nodes[node].stopped {
                self.boot(node);
            }
            // Stops that are still under way.
            let longest = self.down_time() * 2;
            if self.lan.nodes[node].engine.is_some() && !self.running(node) {
                self.lan.run_until(longest, |lan| lan.nodes[node].stopped);
                self.boot(node);
            }
            self.track(node, TrackerState::Up);
            for (n, name) in self.names.clone().iter().enumerate() {
                let segment = n % self.lan.faults.len();
                let address = Some(address(node, segment, self.family));
                let router = self.lan.id(node, name);
                self.lan.input(node, Input::SourceAddress { router, address });
            }
        }
        // Pauses end, timers run out, groups agree, preempt_delay passes.
        let rest = self.interval * 12 + self.down_time() * 8;
        self.lan.run(rest);
        self.look()?;
        self.check_masters()?;
        let events: usize = self.lan.nodes.iter().map(transitions).sum();
        let packets = self.lan.packets;
        let time = self.interval * 6;
        self.lan.run(time);
        self.look()?;
        self.check_masters()?;
        if events != self.lan.nodes.iter().map(transitions).sum::<usize>() {
            return Err("no rest: states still change in the calm".into());
        }
        let adverts = 7 * self.names.len() * (nodes - 1).max(1) + self.names.len();
        if (self.lan.packets - packets) as usize > adverts {
            return Err(format!(
                "more packets than one master sends: {} > {adverts}",
                self.lan.packets - packets
            ));
        }
        Ok(())
    }

    /// Whether a node's engine is neither stopping nor stopped.
    fn running(&self, node: usize) -> bool {
        let Some(engine) = &self.lan.nodes[node].engine else { return false };
        engine.routers().all(|id| engine.state(id) != Some(State::Init))
            && !engine
                .snapshot(vrrp::Now::default())
                .routers
                .iter()
                .any(|r| r.yielding_until.is_some())
    }

    fn check_masters(&self) -> Result<(), String> {
        for name in &self.names {
            let masters = self.lan.holders(name);
            let [master] = masters[..] else {
                return Err(format!("{name} has the masters {masters:?}"));
            };
            let view = |node: usize| {
                let engine = self.lan.nodes[node].engine.as_ref().expect("all run in the calm");
                engine.router(self.lan.id(node, name)).expect("configured")
            };
            let ours = view(master);
            for node in 0..self.up.len() {
                let other = view(node);
                let expected = if node == master { Master } else { Backup };
                if other.state != expected {
                    return Err(format!("{name} of node {node} is {}", other.state));
                }
                let preempts = (self.preempt || other.base_priority == 255) && !other.handed_over;
                // In a group all members must be able to preempt.
                let free = !self.grouped
                    || self.names.iter().all(|name| {
                        let engine = self.lan.nodes[node].engine.as_ref().expect("runs");
                        !engine.router(self.lan.id(node, name)).expect("configured").handed_over
                    });
                let dominates = self.names.iter().all(|name| {
                    let of = |node: usize| {
                        let engine = self.lan.nodes[node].engine.as_ref().expect("runs");
                        engine
                            .router(self.lan.id(node, name))
                            .expect("configured")
                            .effective_priority
                    };
                    of(node) > of(master)
                });
                let higher = if self.grouped {
                    dominates
                } else {
                    other.effective_priority > ours.effective_priority
                };
                if node != master && preempts && free && higher {
                    return Err(format!(
                        "{name}: node {node} ({}) should be master, not node {master} ({})",
                        other.effective_priority, ours.effective_priority
                    ));
                }
            }
        }
        if self.grouped {
            let first = self.lan.holders(&self.names[0]);
            if self.names.iter().any(|name| self.lan.holders(name) != first) {
                return Err("the group is torn apart".into());
            }
        }
        Ok(())
    }

    /// A planned stop, a handover, or a death, on a LAN that works.
    fn afterwards(&mut self) -> Result<(), String> {
        let master = self.lan.holders(&self.names[0])[0];
        let routers: Vec<String> = if self.grouped {
            self.names.clone()
        } else {
            self.names.iter().filter(|name| self.lan.holders(name) == [master]).cloned().collect()
        };
        match self.rng.u8(0..3) {
            0 => {
                self.lan.no_gap.clone_from(&routers);
                self.lan.input(master, Input::Stop);
                let longest = self.down_time();
                if !self.lan.run_until(longest, |lan| lan.nodes[master].stopped) {
                    return Err(format!("node {master} does not stop"));
                }
                let time = self.down_time() * 2;
                self.lan.run(time);
                self.lan.no_gap.clear();
                for name in &routers {
                    if self.lan.holders(name).len() != 1 {
                        return Err(format!(
                            "after a stop {:?} hold {name}",
                            self.lan.holders(name)
                        ));
                    }
                }
            }
            1 => {
                self.lan.no_gap.clone_from(&routers);
                let router = self.lan.id(master, &self.names[0]);
                self.lan.input(master, Input::Handover { router });
                let time = self.down_time();
                self.lan.run(time);
                let first = self.names[0].clone();
                if self.lan.holders(&first).contains(&master) {
                    return Err(format!("node {master} did not hand over"));
                }
                self.lan.input(master, Input::Reclaim { router });
                let time = self.down_time() * 3 + self.interval * 6;
                self.lan.run(time);
                self.lan.no_gap.clear();
                self.look()?;
                self.check_masters()?;
                let engine = self.lan.nodes[master].engine.as_ref().expect("it runs");
                if engine.router(router).expect("configured").handed_over {
                    return Err(format!("node {master} keeps back though it was reclaimed"));
                }
            }
            _ => {
                self.lan.kill(master);
                // All members of a group must notice it, each at its own time.
                let longest = self.down_time()
                    + self.interval
                    + self.interval / 20
                    + Duration::from_millis(1);
                let names = routers.clone();
                let found = self.lan.run_until(longest, |lan| {
                    names.iter().all(|name| !lan.holders(name).is_empty())
                });
                if !found {
                    return Err(format!("nobody took over from node {master} within {longest:?}"));
                }
            }
        }
        self.look()
    }
}

fn transitions(node: &super::lan::Node) -> usize {
    node.events
        .iter()
        .filter(|(_, event)| matches!(event.kind, vrrp::EventKind::Transition { .. }))
        .count()
}

fn random_auth(rng: &mut Rng, version: Version, family: Family) -> Auth {
    match rng.u8(0..6) {
        0 if version == Version::V2 => Auth::Pass(Secret::new(*b"secret")),
        1 | 2 if version == Version::V2 && family == Family::V4 => {
            Auth::Ah(Secret::new(*b"secret12"))
        }
        3 | 4 => {
            let id = std::num::NonZeroU8::MIN;
            let secret = Secret::new(*b"0123456789abcdef0123456789abcdef");
            Auth::Hmac(HmacConfig {
                keys: vec![HmacKey { id, secret }],
                active_key: id,
                time_window: Duration::from_secs(5),
                anti_replay: if rng.bool() { AntiReplay::Time } else { AntiReplay::Monotonic },
                mode: if rng.bool() { HmacMode::Enforce } else { HmacMode::Permissive },
            })
        }
        _ => Auth::None,
    }
}

/// What the router configuration of a seed looks like; for people who replay.
pub fn describe(config: &RouterConfig) -> String {
    format!("{config:#?}")
}
