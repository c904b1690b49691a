//! The failover role: one thread that owns the sockets, netlink and the timers, and never waits
//! for anything else.
//!
//! Each turn of [`Role::turn`] takes in what has happened (packets first, so that a node that slept
//! hears its rivals before its own timers), lets the engine do what is due, and carries out what
//! the engine says in four strokes: adverts, kernel changes, announcements, the rest.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::time::Duration;

use config::model::Model;
use netlink::{Monitor, MonitorOptions, Netlink, NetlinkOptions};
use notify::Worker;
use notify::mail::Mailer;
use notify::security::RealSystem;
use status::Records;
use sys::arp::FrameSocket;
use sys::channel::Channel;
use sys::clock::{Clock, unix_now};
use sys::event_loop::{EventLoop, Interest, Ready, Token};
use sys::signals::{Signal, Signals};
use vrrp::{Engine, Input, Now, Output, RouterId, Time, TrackKind};

use crate::extra::ExtraAnnouncements;
use crate::firewall::Firewall;
use crate::ids::Ids;
use crate::interfaces::Interfaces;
use crate::kernel::KernelState;
use crate::launch::Launch;
use crate::mail::Alerts;
use crate::pacing::Pacer;
use crate::plan::{self, Plan};
use crate::records;
use crate::report::TrackerFact;
use crate::scripts::Scripts;
use crate::sockets::{FIRST_TOKEN, Place, Sockets, Wanted};
use crate::store::Store;
use crate::sync_daemon::SyncDaemons;
use crate::tuning::Tuning;
use crate::vmac::Devices;
use notify::api::Api;
use notify::resolve::Resolver;

/// Tokens of the role's own descriptors.
pub(crate) const CHANNEL: Token = Token(1);
pub(crate) const MONITOR: Token = Token(2);
pub(crate) const SIGNALS: Token = Token(3);

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
    pub(crate) mailer: Option<Mailer>,
    pub(crate) alerts: Alerts,
    pub(crate) api: Option<Api>,
    pub(crate) records: Records,
    pub(crate) trackers: HashMap<(TrackKind, String), TrackerFact>,
    pub(crate) store: Store,
    pub(crate) channel: Channel,
    pub(crate) events: EventLoop,
    pub(crate) signals: Signals,
    /// The engine's number of each router of the plan, in the plan's order.
    pub(crate) routers: Vec<RouterId>,
    /// And the other way round: the place in the plan.
    pub(crate) places: HashMap<RouterId, usize>,
    pub(crate) config_time: status::Timestamp,
    pub(crate) started_at: status::Timestamp,
    pub(crate) reload_refused: Option<String>,
    /// What the engine of a resumed role has said and what is not done yet; its adverts are sent.
    pub(crate) begun: Vec<Output>,
    /// When VRRP begins (`vrrp_startup_delay`); `None` once it has.
    pub(crate) begin_at: Option<Time>,
    /// When a planned stop can wait for a successor no longer.
    pub(crate) stop_by: Option<Time>,
    /// When the supervisor's patience with a planned stop ends.
    pub(crate) killed_at: Option<Time>,
    /// The supervisor is gone or said stop; what remains is to finish.
    pub(crate) stopping: bool,
    pub(crate) stopped: bool,
    /// Addresses that a reload added to a router, for their first announcement.
    pub(crate) fresh: HashMap<RouterId, Vec<netlink::Address>>,
    /// Scripts of instances and groups that a reload is removing.
    pub(crate) leaving: HashMap<String, Scripts>,
    /// Routers whose adverts cannot be sent, and why: told once.
    pub(crate) unsent: HashMap<RouterId, String>,
    /// Adverts sent since authenticated routers were kept.
    pub(crate) unkept_adverts: u32,
    /// Announcements on interfaces that say nothing by themselves (`garp_extra_if`).
    pub(crate) extra: ExtraAnnouncements,
    /// Routers whose addresses go a moment after they were given to a successor.
    pub(crate) lingering: Vec<(Time, RouterId)>,
    pub(crate) tuning: Tuning,
    /// `lvs_sync_daemon`
    pub(crate) sync_daemons: SyncDaemons,
}

impl Role {
    /// Puts everything together; nothing is sent yet.
    ///
    /// # Errors
    /// When the configuration or the kernel does not allow the role to work at all.
    pub fn new(
        launch: Launch,
        configuration: File,
        channel: Channel,
        store: File,
    ) -> Result<Self, StartError> {
        let model = crate::load::model(&configuration).map_err(StartError::Configuration)?;
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
        devices.inherit(store.kept().sysctls.clone());
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
            mailer: None,
            alerts: Alerts::default(),
            api: None,
            records: Records::default(),
            trackers: HashMap::new(),
            store,
            channel,
            events,
            signals,
            places: places_of(&routers),
            routers,
            config_time: stamp,
            started_at: stamp,
            reload_refused: None,
            begun: Vec::new(),
            begin_at: None,
            stop_by: None,
            killed_at: None,
            stopping: false,
            stopped: false,
            fresh: HashMap::new(),
            leaving: HashMap::new(),
            unsent: HashMap::new(),
            unkept_adverts: 0,
            extra: ExtraAnnouncements::default(),
            lingering: Vec::new(),
            tuning: Tuning::default(),
            sync_daemons: SyncDaemons::default(),
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
            self.hear_mailer();
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
            self.stop_by.filter(|_| !self.stopped),
            self.lingering.iter().map(|(at, _)| *at).min(),
            self.extra.poll_timeout(),
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
        self.stop_in_time(now);
        if self.kernel.poll_timeout().is_some_and(|at| at <= now.mono) {
            self.kernel.handle_timeout(now.mono);
        }
        if self.engine.poll_timeout().is_some_and(|at| at <= now.mono) {
            self.engine.handle_timeout(now);
        }
        for router in self.extra.due(now.mono) {
            self.announce_extra(router);
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
}

pub(crate) fn now(events: &EventLoop) -> Now {
    Now::new(Time(events.now()), unix_now())
}

pub(crate) fn places_of(routers: &[RouterId]) -> HashMap<RouterId, usize> {
    routers.iter().enumerate().map(|(place, &router)| (router, place)).collect()
}
