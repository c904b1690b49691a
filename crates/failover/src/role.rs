//! The failover role: one thread that owns the sockets, netlink and the timers, and never waits
//! for anything else.
//!
//! Each turn of [`Role::turn`] takes in what has happened (packets first, so that a node that slept
//! hears its rivals before its own timers), lets the engine do what is due, and carries out what
//! the engine says in four strokes: adverts, kernel changes, announcements, the rest.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use config::model::Model;
use netlink::{Monitor, MonitorOptions, Netlink, NetlinkOptions};
use notify::Worker;
use notify::security::RealSystem;
use status::control::FromRole;
use status::{Record, Severity};
use sys::arp::FrameSocket;
use sys::channel::Channel;
use sys::clock::{Clock, unix_now};
use sys::event_loop::{EventLoop, Interest, Ready, Token};
use sys::signals::{Signal, Signals};
use vrrp::{
    Engine, Event, Input, Notify, Now, Output, RouterId, Time, TrackKind, TrackerState, Transmit,
};

use crate::api::Api;
use crate::firewall::Firewall;
use crate::ids::Ids;
use crate::interfaces::Interfaces;
use crate::kernel::{KernelState, Owner};
use crate::launch::Launch;
use crate::pacing::Pacer;
use crate::plan::{self, Machine, Plan};
use crate::records::{self, Records};
use crate::report::TrackerFact;
use crate::scripts::{Resolver, Scripts};
use crate::sockets::{self, FIRST_TOKEN, Place, Sockets, Wanted};
use crate::store::Store;
use crate::tuning::Tuning;
use crate::vmac::Devices;

/// Tokens of the role's own descriptors.
pub(crate) const CHANNEL: Token = Token(1);
pub(crate) const MONITOR: Token = Token(2);
pub(crate) const SIGNALS: Token = Token(3);

/// How long the worker may take at the end to run the last scripts and empty the FIFOs.
const LAST_WORDS: Duration = Duration::from_secs(4);

/// How long addresses linger after a successor's first advert. It announces itself before it has
/// the addresses: whoever lets go at once leaves a gap in which nobody answers.
const LINGER: Duration = Duration::from_millis(50);
/// The same for each address beyond the first: a successor sets them one after the other.
const LINGER_EACH: Duration = Duration::from_millis(2);
/// The longest that anything lingers.
const LINGER_MOST: Duration = Duration::from_secs(1);

/// Why the role cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration that the supervisor passed cannot be used.
    #[error("the configuration cannot be used: {0}")]
    Configuration(String),
    /// The kernel refuses something essential.
    #[error("{what}: {error}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What came of it.
        error: io::Error,
    },
    /// The event loop itself fails.
    #[error("event loop: {0}")]
    Loop(#[source] io::Error),
    /// Netlink does not work.
    #[error("netlink: {0}")]
    Netlink(#[from] netlink::KernelError),
}

fn system(what: &'static str) -> impl FnOnce(io::Error) -> StartError {
    move |error| StartError::System { what, error }
}

/// How the role ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// As it was told.
    Stopped,
}

/// The role.
pub struct Role {
    pub(crate) launch: Launch,
    pub(crate) model: Model,
    pub(crate) plan: Plan,
    pub(crate) ids: Ids,
    pub(crate) engine: Engine,
    pub(crate) kernel: KernelState,
    pub(crate) monitor: Monitor,
    pub(crate) sockets: Sockets,
    pub(crate) wanted: HashMap<Place, Wanted>,
    pub(crate) frames: FrameSocket,
    pub(crate) pacer: Pacer,
    pub(crate) interfaces: Interfaces,
    pub(crate) devices: Devices,
    pub(crate) firewall: Firewall,
    pub(crate) worker: Option<Worker>,
    pub(crate) api: Option<Api>,
    pub(crate) records: Records,
    pub(crate) trackers: HashMap<(TrackKind, String), TrackerFact>,
    pub(crate) store: Store,
    pub(crate) channel: Channel,
    pub(crate) events: EventLoop,
    pub(crate) signals: Signals,
    /// The engine's number of each router of the plan, in the plan's order.
    pub(crate) routers: Vec<RouterId>,
    pub(crate) config_time: status::Timestamp,
    pub(crate) started_at: status::Timestamp,
    pub(crate) reload_refused: Option<String>,
    /// When VRRP begins (`vrrp_startup_delay`); `None` once it has.
    begin_at: Option<Time>,
    /// The supervisor is gone or said stop; what remains is to finish.
    pub(crate) stopping: bool,
    stopped: bool,
    /// Addresses that a reload added to a router, for their first announcement.
    pub(crate) fresh: HashMap<RouterId, Vec<netlink::Address>>,
    /// Scripts of instances and groups that a reload is removing.
    pub(crate) leaving: HashMap<String, Scripts>,
    /// Routers whose addresses go a moment after they were given to a successor.
    lingering: Vec<(Time, RouterId)>,
    tuning: Tuning,
}

impl Machine for KernelState {
    fn mtu(&self, interface: &str) -> Option<u32> {
        self.link(interface).map(|link| link.mtu)
    }

    fn source(&self, interface: &str, family: vrrp::Family) -> Option<std::net::IpAddr> {
        use netlink::AddressFlags;
        self.addresses_of(interface)
            .iter()
            .filter(|a| !self.is_virtual(a.ip))
            .filter(|a| !a.flags.contains(AddressFlags::DADFAILED))
            .map(|a| a.ip)
            .find(|ip| match (family, ip) {
                (vrrp::Family::V4, std::net::IpAddr::V4(_)) => true,
                (vrrp::Family::V6, std::net::IpAddr::V6(ip)) => ip.is_unicast_link_local(),
                _ => false,
            })
    }

    fn has_address(&self, address: std::net::IpAddr) -> bool {
        self.has_address(address)
    }
}

impl Role {
    /// Puts everything together; nothing is sent yet.
    ///
    /// # Errors
    /// When the configuration or the kernel does not allow the role to work at all.
    pub fn new(launch: Launch, channel: Channel, store: std::fs::File) -> Result<Self, StartError> {
        let model = crate::load::model(&launch.bundle).map_err(StartError::Configuration)?;
        crate::tuning::drop_capabilities();
        let (store, saved) = Store::open(store);
        // Exporters and scripts send signals to this process too.
        let signals = Signals::block(&Signal::ALL).map_err(system("signals"))?;
        let events = EventLoop::new(Clock::Boottime).map_err(system("event loop"))?;
        events.register(&channel, CHANNEL, Interest::Readable).map_err(system("channel"))?;
        events.register(&signals, SIGNALS, Interest::Readable).map_err(system("signals"))?;
        // The monitor first: what changes between the dump and the first look is not lost.
        let buffers = &model.global.buffers;
        let monitor = Monitor::with(&MonitorOptions {
            receive_buffer: buffers.vrrp_monitor.size.map(|n| n as usize),
            force: buffers.vrrp_monitor.size.is_none() || buffers.vrrp_monitor.force,
            ..MonitorOptions::default()
        })?;
        events.register(&monitor, MONITOR, Interest::Readable).map_err(system("monitor"))?;
        let netlink = Netlink::with(&NetlinkOptions {
            receive_buffer: buffers.vrrp_command.size.map(|n| n as usize),
            force: buffers.vrrp_command.size.is_none() || buffers.vrrp_command.force,
            ..NetlinkOptions::default()
        })?;
        let mut kernel = KernelState::new(Box::new(netlink))?;
        let frames = FrameSocket::open().map_err(system("packet socket"))?;
        let mut devices = Devices::default();
        let mut early = Vec::new();
        if !launch.release {
            devices.create(&model, &mut kernel, &mut early);
        }
        let mut ids = Ids::default();
        for instance in &model.vrrp {
            // So that VIPs are known as such when sources are chosen; numbers follow below.
            kernel.note_virtual(instance.all_addresses().map(config::model::Address::ip));
        }
        let resolver = Resolver::new(&model, &RealSystem);
        let mut plan = plan::plan(&model, &mut ids, &kernel, &resolver);
        plan.notices.extend(early);
        let now = now(&events);
        let engine_config = std::mem::take(&mut plan.engine);
        let resumed = saved.as_ref().is_some_and(|(kept, _)| kept.routers > 0);
        let engine = match &saved {
            Some((_, routers)) if resumed => Engine::resume(engine_config, routers, now),
            _ => Engine::new(engine_config, now),
        };
        let routers: Vec<_> = engine.routers().collect();
        let mut interfaces = Interfaces::default();
        interfaces.watch(plan.interfaces.iter().map(|(n, _)| n.clone()), plan.delays.clone());
        let stamp = records::timestamp(now);
        let mut role = Self {
            ids,
            engine,
            kernel,
            monitor,
            sockets: Sockets::new(),
            wanted: HashMap::new(),
            frames,
            pacer: Pacer::default(),
            interfaces,
            devices,
            firewall: Firewall::default(),
            worker: None,
            api: None,
            records: Records::default(),
            trackers: HashMap::new(),
            store,
            channel,
            events,
            signals,
            routers,
            config_time: stamp,
            started_at: stamp,
            reload_refused: None,
            begin_at: None,
            stopping: false,
            stopped: false,
            fresh: HashMap::new(),
            leaving: HashMap::new(),
            lingering: Vec::new(),
            tuning: Tuning::default(),
            plan,
            model,
            launch,
        };
        role.define_holdings();
        Ok(role)
    }

    /// Runs until the end.
    ///
    /// # Errors
    /// Only if the event loop itself fails.
    pub fn run(mut self) -> io::Result<Ended> {
        if self.launch.release {
            self.release_everything();
            return Ok(Ended::Stopped);
        }
        self.begin();
        let mut ready = Vec::new();
        while !(self.stopped && self.lingering.is_empty()) {
            self.turn(&mut ready)?;
        }
        self.finish();
        Ok(Ended::Stopped)
    }

    pub(crate) fn now(&self) -> Now {
        now(&self.events)
    }

    // ---- beginning --------------------------------------------------------------------------

    fn begin(&mut self) {
        let waker = self.events.waker();
        let worker_waker = waker.clone();
        let mut worker_config = self.plan.worker.clone();
        for fifo in &mut worker_config.fifos {
            fifo.ours = self.store.kept().fifos.iter().any(|p| fifo.path.to_str() == Some(p));
        }
        match Worker::start(worker_config, Box::new(move || worker_waker.wake())) {
            Ok(worker) => self.worker = Some(worker),
            Err(error) => log::error!("scripts and trackers cannot run: {error}"),
        }
        if let Some(path) = self.launch.options.socket.clone() {
            match Api::listen(&path, Arc::new(move || waker.wake())) {
                Ok(api) => self.api = Some(api),
                Err(error) => {
                    log::warn!("status and explain are not available: {}: {error}", path.display())
                }
            }
        }
        for notice in &self.plan.notices {
            log::warn!("{notice}");
        }
        // After the other threads have started: they are ordinary ones.
        self.tuning.apply(&self.model.global);
        self.promote_secondaries();
        self.tell_missing_interfaces();
        self.firewall.define(&self.model, &self.plan, &self.kernel);
        self.kernel.hold(Owner::Static);
        for (place, &router) in self.routers.iter().enumerate() {
            let owner = Owner::Router(router);
            if self.engine.holds(router) {
                self.kernel.hold(owner);
            } else if self.plan.routers[place].model.priority.value.get() != 255 {
                // An earlier life that ended badly may have left its addresses; a backup that has
                // them answers for the master. An owner takes them anyway in an instant.
                self.kernel.sweep(owner);
            }
        }
        self.flush_kernel();
        self.open_sockets();
        self.feed_interfaces();
        let mono = self.now().mono;
        let delay = self.startup_delay();
        if delay.is_zero() {
            self.start_engine();
        } else {
            log::info!("Delaying startup for {:.6} seconds", delay.as_secs_f64());
            self.begin_at = Some(mono + delay);
        }
        self.keep();
        log::info!("Startup complete");
        self.say(&FromRole::Ready);
    }

    fn start_engine(&mut self) {
        self.begin_at = None;
        let now = self.now();
        self.engine.handle(Input::Start, now);
        self.carry_out();
    }

    /// `vrrp_startup_delay` and `vrrp_delay_after_boot`, whichever is longer; a role that resumes
    /// after a crash does not wait.
    fn startup_delay(&self) -> Duration {
        if self.launch.restarts > 0 {
            return Duration::ZERO;
        }
        let vrrp = &self.model.global.vrrp;
        let boot = vrrp.delay_after_boot.value.saturating_sub(sys::clock::since_boot());
        vrrp.startup_delay.value.max(boot)
    }

    /// `promote_secondaries`: without it the kernel drops all secondary addresses of a subnet
    /// together with the primary one.
    pub(crate) fn promote_secondaries(&mut self) {
        for router in self.plan.routers.iter().filter(|r| r.model.promote_secondaries) {
            if let Some(name) = router.model.interface.as_deref() {
                self.devices.promote_secondaries(name);
            }
        }
    }

    fn tell_missing_interfaces(&mut self) {
        for (name, instances) in &self.plan.interfaces {
            if self.kernel.index_of(name).is_none() {
                log::warn!(
                    "interface {name} does not exist{}; it is taken up when it appears",
                    if instances.is_empty() {
                        String::new()
                    } else {
                        format!(": {} cannot work", instances.join(", "))
                    }
                );
            }
        }
    }

    pub(crate) fn define_holdings(&mut self) {
        self.kernel.define(Owner::Static, self.plan.statics.clone());
        for (plan, &router) in self.plan.routers.iter().zip(&self.routers) {
            self.kernel.define(Owner::Router(router), plan.holding.clone());
        }
    }

    pub(crate) fn open_sockets(&mut self) {
        let vrrp = &self.model.global.vrrp;
        let routers = self.routers.iter().filter_map(|&id| self.engine.config(id));
        let by_name: HashMap<&str, &config::model::Instance> =
            self.plan.routers.iter().map(|p| (p.name.as_str(), &p.model)).collect();
        self.wanted = sockets::wanted(routers, |router| {
            let own = by_name.get(router.name.as_str()).and_then(|m| m.rx_buffer);
            use config::model::global::RxBufsPolicy;
            let multiplier = vrrp.rx_bufs_multiplier.value;
            let by_policy = vrrp.rx_bufs_policy.map(|policy| match policy {
                RxBufsPolicy::Mtu => router.mtu.saturating_mul(multiplier),
                RxBufsPolicy::Advert => {
                    // Headers and authentication included; the kernel's own overhead is on top.
                    (router.addresses.len() as u32 * 16 + 128).saturating_mul(multiplier)
                }
                RxBufsPolicy::Bytes(bytes) => bytes,
            });
            own.or(by_policy).map(|bytes| bytes as usize)
        });
        let kernel = &self.kernel;
        for text in self.sockets.sync(&self.wanted, &|name| kernel.index_of(name), &self.events) {
            log::error!("{text}");
        }
    }

    /// Tells the engine about every interface and source address.
    pub(crate) fn feed_interfaces(&mut self) {
        let names: Vec<_> = self.plan.interfaces.iter().map(|(name, _)| name.clone()).collect();
        for name in names {
            self.interface_news(&name);
        }
        self.feed_sources();
    }

    /// Looks at an interface anew.
    pub(crate) fn interface_news(&mut self, name: &str) {
        let now = self.now();
        let up = self.kernel.link(name).is_some_and(netlink::Link::is_running);
        if let Some(up) = self.interfaces.set(name, up, now.mono) {
            self.interface_is(name, up);
        }
    }

    pub(crate) fn interface_is(&mut self, name: &str, up: bool) {
        let state = if up { TrackerState::Up } else { TrackerState::Down };
        let detail = match (up, self.kernel.link(name)) {
            (true, _) => String::new(),
            (false, None) => "it does not exist".to_owned(),
            (false, Some(link)) if !link.flags.contains(netlink::LinkFlags::UP) => {
                "it is switched off".to_owned()
            }
            (false, Some(_)) => "it has no carrier".to_owned(),
        };
        self.tracker_is(TrackKind::Interface, name, state, detail);
    }

    pub(crate) fn tracker_is(
        &mut self,
        kind: TrackKind,
        name: &str,
        state: TrackerState,
        detail: String,
    ) {
        let now = self.now();
        let fact = TrackerFact { state, detail, since: records::timestamp(now) };
        let key = (kind, name.to_owned());
        let since = self.trackers.get(&key).filter(|old| old.state == state).map(|old| old.since);
        self.trackers.insert(key, TrackerFact { since: since.unwrap_or(fact.since), ..fact });
        let id = self.ids.tracker(kind, name);
        self.engine.handle(Input::Tracker { id, state }, now);
    }

    /// Tells the engine the source addresses that its routers have now.
    pub(crate) fn feed_sources(&mut self) {
        let now = self.now();
        for (plan, &router) in self.plan.routers.iter().zip(&self.routers) {
            let family = plan::family(plan.model.family);
            let address = plan::source(&plan.model, family, &self.kernel);
            self.engine.handle(Input::SourceAddress { router, address }, now);
        }
    }

    // ---- a turn -----------------------------------------------------------------------------

    fn turn(&mut self, ready: &mut Vec<Ready>) -> io::Result<()> {
        let deadline = self.poll_timeout().map(Time::nanos);
        let woken = self.events.wait(deadline, ready)?;
        for event in ready.iter() {
            match event.token {
                CHANNEL => self.hear_supervisor(),
                MONITOR => self.hear_kernel(),
                SIGNALS => self.hear_signals(),
                Token(token) if token >= FIRST_TOKEN => self.hear_packets(token),
                _ => {}
            }
        }
        if woken.deadline {
            self.tuning.late_by(Duration::from_nanos(self.events.take_lateness().worst));
        }
        if woken.waker {
            self.hear_worker();
            self.hear_clients();
        }
        let now = self.now();
        self.timers(now);
        self.carry_out();
        Ok(())
    }

    fn poll_timeout(&self) -> Option<Time> {
        if self.kernel.has_work() {
            return Some(Time::ZERO);
        }
        [
            self.engine.poll_timeout(),
            self.pacer.poll_timeout(),
            self.interfaces.poll_timeout(),
            self.kernel.poll_timeout(),
            self.begin_at,
            self.lingering.iter().map(|(at, _)| *at).min(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn timers(&mut self, now: Now) {
        if self.begin_at.is_some_and(|at| at <= now.mono) {
            self.start_engine();
        }
        for (name, up) in self.interfaces.due(now.mono) {
            self.interface_is(&name, up);
        }
        self.let_go(|at| at <= now.mono);
        if self.kernel.poll_timeout().is_some_and(|at| at <= now.mono) {
            self.kernel.handle_timeout(now.mono);
        }
        if self.engine.poll_timeout().is_some_and(|at| at <= now.mono) {
            self.engine.handle_timeout(now);
        }
    }

    fn hear_packets(&mut self, token: u64) {
        // Bounded: a flood on one socket must not keep the timers waiting for ever.
        for _ in 0..8 {
            let now = self.now();
            let (engine, ids, kernel) = (&mut self.engine, &mut self.ids, &self.kernel);
            let more = self.sockets.receive(token, |place, ifindex, datagram| {
                let interface = match &place.interface {
                    Some(name) => ids.interface(name),
                    None => match kernel.link_at(ifindex) {
                        Some(link) => ids.interface(&link.name),
                        None => return,
                    },
                };
                engine.handle(Input::Packet { interface, datagram }, now);
            });
            self.carry_out();
            if !more {
                break;
            }
        }
    }

    // ---- carrying out -----------------------------------------------------------------------

    /// Does everything that the engine has asked for.
    pub(crate) fn carry_out(&mut self) {
        let mut transmits: Vec<Transmit> = Vec::new();
        let mut announcements = Vec::new();
        let mut notifications: Vec<Notify> = Vec::new();
        let mut events: Vec<Event> = Vec::new();
        let mut removed = Vec::new();
        let mut withdrawn = Vec::new();
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Transmit(transmit) => transmits.push(transmit),
                Output::Hold { router } => {
                    self.lingering.retain(|(_, lingering)| *lingering != router);
                    withdrawn.retain(|withdrawn| *withdrawn != router);
                    self.kernel.hold(Owner::Router(router));
                }
                Output::Withdraw { router } => withdrawn.push(router),
                Output::Reconcile { .. } => {}
                Output::Announce { router, what, repeat } => {
                    announcements.push((router, what, repeat));
                }
                Output::Notify(notify) => notifications.push(notify),
                Output::Event(event) => events.push(event),
                Output::Removed { router } => removed.push(router),
                Output::Stopped => self.stopped = true,
            }
        }
        if !transmits.is_empty() {
            self.transmit(&transmits);
        }
        for router in withdrawn {
            self.withdraw(router, &events);
        }
        self.flush_kernel();
        for (router, what, repeat) in announcements {
            self.announce(router, what, repeat);
        }
        self.send_due_frames();
        self.keep_changed(&events, &transmits);
        for event in &events {
            self.tell(event);
        }
        for notification in notifications {
            self.notify(&notification);
        }
        for router in removed {
            self.kernel.forget(Owner::Router(router));
        }
    }

    fn withdraw(&mut self, router: RouterId, events: &[Event]) {
        if self.launch.options.keep_addresses && self.stopping {
            return;
        }
        self.retract_announcements(router);
        if events.iter().any(|event| event.router == Some(router) && has_successor(event)) {
            let count = self.kernel.held_addresses(Owner::Router(router)).count() as u32;
            let linger = (LINGER + LINGER_EACH * count).min(LINGER_MOST);
            self.lingering.push((self.now().mono + linger, router));
        } else {
            self.kernel.withdraw(Owner::Router(router));
        }
    }

    /// Lets go of addresses whose time has come.
    fn let_go(&mut self, due: impl Fn(Time) -> bool) {
        let (now, later) = self.lingering.drain(..).partition::<Vec<_>, _>(|(at, _)| due(*at));
        self.lingering = later;
        for (_, router) in now {
            self.kernel.withdraw(Owner::Router(router));
        }
    }

    fn retract_announcements(&mut self, router: RouterId) {
        if self.pacer.poll_timeout().is_none() {
            return;
        }
        // Frames that still wait would announce what is no longer here.
        let gone: Vec<_> = self
            .kernel
            .held_addresses(Owner::Router(router))
            .filter_map(|address| {
                let link = self.kernel.link_at(address.ifindex)?;
                crate::announce::frame(link, address.ip, false).map(|(_, frame)| frame)
            })
            .collect();
        self.pacer.retract(|frame| gone.contains(frame));
    }

    fn transmit(&mut self, transmits: &[Transmit]) {
        let (kernel, ids, plan) = (&self.kernel, &self.ids, &self.plan);
        let devices: HashMap<RouterId, &str> = self
            .routers
            .iter()
            .zip(&plan.routers)
            .filter_map(|(&id, p)| p.transmit.as_deref().map(|device| (id, device)))
            .collect();
        let failures = self.sockets.send(transmits, |transmit| {
            let own = devices.get(&transmit.router).copied();
            let name = own.or_else(|| transmit.interface.and_then(|id| ids.interface_name(id)));
            name.and_then(|name| kernel.index_of(name))
        });
        for (index, error) in failures.iter().take(3) {
            let name = self.engine.config(transmits[*index].router).map_or("", |c| c.name.as_str());
            log::debug!("({name}) advert to {} not sent: {error}", transmits[*index].dst);
        }
    }

    /// Sends one batch of kernel changes; the next turn goes on if there is more.
    pub(crate) fn flush_kernel(&mut self) {
        self.firewall.sync(&self.kernel, &self.routers);
        self.kernel.flush();
        self.tell_kernel_troubles();
    }

    /// Tells the world about an engine event.
    fn tell(&mut self, event: &Event) {
        let record = records::of_event(event);
        if let vrrp::EventKind::Changed { old_name: Some(old) } = &event.kind {
            self.records.rename(old, &event.name);
        }
        if records::is_notable(event) || self.launch.options.detail > 0 {
            log_record(&record);
        }
        self.add_record(record);
    }

    /// Keeps a record and passes it to clients, without a log line.
    pub(crate) fn add_record(&mut self, record: Record) {
        let record = self.records.add(record);
        if let Some(api) = &mut self.api {
            api.publish(&record);
        }
    }

    /// Keeps, publishes and logs something that the role noticed itself.
    pub(crate) fn note(
        &mut self,
        severity: Severity,
        subject: Option<&str>,
        kind: &str,
        message: String,
        hint: Option<String>,
    ) {
        let record = records::note(self.now(), severity, subject, kind, message, hint);
        log_record(&record);
        self.add_record(record);
    }

    // ---- the end ----------------------------------------------------------------------------

    /// Begins a planned stop: masters hand over.
    pub(crate) fn stop(&mut self) {
        if self.stopping {
            return;
        }
        self.stopping = true;
        log::info!("Stopping");
        if self.begin_at.take().is_some() {
            self.stopped = true;
            return;
        }
        let now = self.now();
        self.engine.handle(Input::Stop, now);
    }

    fn finish(&mut self) {
        if !self.launch.options.keep_addresses {
            self.kernel.withdraw(Owner::Static);
        }
        // Bounded: each batch takes at least one request off the queue.
        while self.kernel.has_work() {
            self.flush_kernel();
        }
        self.firewall.remove();
        self.devices.remove(&mut self.kernel);
        drop(self.api.take());
        if let Some(worker) = self.worker.take() {
            worker.stop(LAST_WORDS);
            worker.join();
        }
    }

    /// The role died too often: take our things out of the kernel, so that a peer's are the only
    /// ones.
    fn release_everything(&mut self) {
        log::error!("Releasing all addresses");
        let now = self.now();
        self.engine.handle(Input::Start, now);
        self.feed_interfaces();
        self.engine.handle(Input::Release, now);
        self.carry_out();
        self.let_go(|_| true);
        for &router in &self.routers {
            self.kernel.sweep(Owner::Router(router));
        }
        self.kernel.sweep(Owner::Static);
        while self.kernel.has_work() {
            self.flush_kernel();
        }
        self.firewall.remove();
        for name in self.store.kept().interfaces.clone() {
            self.devices.adopt(&name);
        }
        self.devices.remove(&mut self.kernel);
    }

    pub(crate) fn say(&mut self, what: &FromRole) {
        let Ok(bytes) = serde_json::to_vec(what) else { return };
        if let Err(error) = self.channel.send(&bytes, &[]) {
            log::debug!("the supervisor does not listen: {error}");
        }
    }
}

/// Whether an event says that somebody else has the addresses now (or has them in a moment).
fn has_successor(event: &Event) -> bool {
    use vrrp::{Cause, EventKind, State};
    match &event.kind {
        EventKind::Yielded { successor, .. } => successor.is_some(),
        EventKind::Transition { to: State::Backup, cause, .. } => {
            matches!(
                cause,
                Cause::HigherPriority { .. } | Cause::HigherAddress { .. } | Cause::Group { .. }
            )
        }
        _ => false,
    }
}

fn now(events: &EventLoop) -> Now {
    Now::new(Time(events.now()), unix_now())
}

/// The log line of a record.
fn log_record(record: &Record) {
    let level = match record.severity {
        Severity::Info => log::Level::Info,
        Severity::Warning => log::Level::Warn,
        Severity::Error => log::Level::Error,
    };
    log::log!(level, "{}", record.message);
    if let Some(hint) = &record.hint {
        log::log!(level, "  hint: {hint}");
    }
}
