//! The running role: one thread that waits for whatever comes first, lets the core decide, and
//! carries out what it says.
//!
//! Each turn takes in what has happened (all that has piled up, so that a thousand failed checks
//! become one batch for the kernel), then does what the core wants in its order, then keeps the
//! state for the next life.

use std::collections::HashMap;
use std::fs::File;
use std::future::pending;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use checkers::{CheckId, Checkers, Environment};
use config::model::Global;
use netlink::MonitorOptions;
use notify::Worker;
use notify::api::Api;
use notify::mail::{MailConfig, Mailer};
use status::{Records, Timestamp};
use sys::channel::Channel;
use sys::readiness::Readiness;
use sys::signals::Signals;
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::addresses::Addresses;
use crate::core::{CheckOrder, Core, Now};
use crate::kernel::{BoxedIpvs, Kernel, Opener, Survey, Unavailable};
use crate::launch::Launch;
use crate::names::{Names, Resolution};
use crate::role::{Role, now};
use crate::scripts::Scripts;
use crate::store::Store;

/// How often the kernel's table is compared with what we set there.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(10);
/// When a look goes on that has still something to read.
pub(crate) const LOOK_ON: Duration = Duration::from_millis(100);
/// How often IPVS is looked for while the kernel has none.
pub(crate) const RETRY_EVERY: Duration = Duration::from_secs(30);
/// How often connections of servers that are being drained are counted.
const COUNT_EVERY: Duration = Duration::from_secs(1);

/// The time that scripts of checks get to end in when the role ends.
const LAST_CHECKS: Duration = Duration::from_millis(300);

/// The answer of a thread that has tried to open IPVS.
pub(crate) type Opened = Result<BoxedIpvs, Unavailable>;

/// The running role.
pub(crate) struct Balancer {
    pub(crate) launch: Launch,
    pub(crate) global: Global,
    /// The configuration that runs, as it was passed on.
    pub(crate) configuration: File,
    pub(crate) core: Core,
    pub(crate) scripts: Scripts,
    pub(crate) kernel: Kernel,
    pub(crate) opener: Opener,
    pub(crate) store: Store,
    pub(crate) resumed: bool,
    pub(crate) channel: Channel,
    pub(crate) signals: Signals,

    pub(crate) checkers: Checkers,
    /// The checks that run, for whoever asks what they are.
    pub(crate) checks: HashMap<CheckId, Running>,
    pub(crate) results: UnboundedReceiver<checkers::Event>,
    pub(crate) names: Names,
    pub(crate) resolutions: UnboundedReceiver<Resolution>,
    pub(crate) openings: UnboundedReceiver<Opened>,
    pub(crate) opened: UnboundedSender<Opened>,
    pub(crate) addresses: Option<Addresses>,
    pub(crate) worker: Option<Worker>,
    /// There are FIFOs to write to.
    pub(crate) fifos: bool,
    pub(crate) mailer: Option<Mailer>,
    pub(crate) api: Option<Api>,
    /// Rung by the threads of the three above.
    pub(crate) bell: Arc<Notify>,

    pub(crate) records: Records,
    pub(crate) notices: Vec<String>,
    pub(crate) started_at: Timestamp,
    pub(crate) config_time: Timestamp,
    pub(crate) reload_refused: Option<String>,

    /// A thread is trying to open IPVS.
    pub(crate) opening: bool,
    /// Somebody asked for that attempt, or it is the first: its failure is told.
    pub(crate) asked: bool,
    /// IPVS was there once in this life.
    pub(crate) was_open: bool,
    pub(crate) problem: Option<Unavailable>,
    pub(crate) available_since: Timestamp,
    /// Clients that wait for the outcome of an attempt to open IPVS.
    pub(crate) waiting: Vec<std::sync::mpsc::SyncSender<status::api::Reply>>,
    /// What the kernel counts is being read, for these clients.
    pub(crate) survey: Option<(Survey, Vec<std::sync::mpsc::SyncSender<status::api::Reply>>)>,
    /// The first attempt to open IPVS has ended, and the work has begun.
    pub(crate) begun: bool,
    pub(crate) look_at: Option<Duration>,
    pub(crate) retry_at: Option<Duration>,
    pub(crate) count_at: Option<Duration>,
    /// When memory that a large answer has needed goes back to the kernel.
    pub(crate) trim_at: Option<Duration>,
    /// When the supervisor's patience with a stop ends.
    pub(crate) killed_at: Option<Duration>,
    /// The supervisor has closed the channel.
    pub(crate) orphaned: bool,
    pub(crate) stopping: bool,
    pub(crate) stopped: bool,
}

/// A check that runs.
pub(crate) struct Running {
    /// The order that started it.
    pub(crate) order: CheckOrder,
    /// Where or what it looks at.
    pub(crate) target: String,
}

impl Balancer {
    /// Starts what the role consists of.
    ///
    /// # Errors
    /// Out of descriptors.
    pub(crate) fn new(role: Role) -> io::Result<Self> {
        let (events, results) = unbounded_channel();
        let (answers, resolutions) = unbounded_channel();
        let (opened, openings) = unbounded_channel();
        let seed = role.global.random_seed.map(u64::from);
        let stamp = stamp(now());
        let mut balancer = Self {
            checkers: Checkers::new(events, Environment { seed }),
            checks: HashMap::new(),
            results,
            names: Names::new(role.source, answers),
            resolutions,
            openings,
            opened,
            addresses: None,
            worker: None,
            fifos: false,
            mailer: None,
            api: None,
            bell: Arc::new(Notify::new()),
            records: Records::default(),
            notices: role.notices,
            started_at: stamp,
            config_time: stamp,
            reload_refused: None,
            opening: false,
            asked: true,
            was_open: false,
            problem: None,
            available_since: stamp,
            waiting: Vec::new(),
            survey: None,
            begun: false,
            look_at: None,
            retry_at: None,
            count_at: None,
            trim_at: None,
            killed_at: None,
            orphaned: false,
            stopping: false,
            stopped: false,
            launch: role.launch,
            global: role.global,
            configuration: role.configuration,
            core: role.core,
            scripts: role.scripts,
            kernel: role.kernel,
            opener: role.opener,
            store: role.store,
            resumed: role.resumed,
            channel: role.channel,
            signals: role.signals,
        };
        if balancer.launch.release {
            return Ok(balancer);
        }
        let mut worker_config = role.worker;
        balancer.fifos = !worker_config.fifos.is_empty();
        for fifo in &mut worker_config.fifos {
            fifo.ours = balancer.store.kept().fifos.iter().any(|p| fifo.path.to_str() == Some(p));
        }
        match Worker::start(worker_config, balancer.ring()) {
            Ok(worker) => balancer.worker = Some(worker),
            Err(error) => log::error!("scripts and FIFOs cannot be served: {error}"),
        }
        balancer.start_mailer();
        if let Some(path) = balancer.launch.options.socket.clone() {
            let bell = Arc::clone(&balancer.bell);
            match Api::listen(&path, Arc::new(move || bell.notify_one())) {
                Ok(api) => balancer.api = Some(api),
                Err(error) => {
                    log::warn!("status and orders are not available: {}: {error}", path.display());
                }
            }
        }
        for notice in &balancer.notices {
            log::warn!("{notice}");
        }
        balancer.fit();
        // After the other threads have started: they are ordinary ones.
        crate::tuning::apply(&balancer.global);
        balancer.watch_addresses();
        Ok(balancer)
    }

    /// Rings the bell from another thread.
    fn ring(&self) -> Box<dyn Fn() + Send> {
        let bell = Arc::clone(&self.bell);
        Box::new(move || bell.notify_one())
    }

    /// Starts, changes or ends mail as the configuration says.
    pub(crate) fn start_mailer(&mut self) {
        match (MailConfig::of(&self.global), &self.mailer) {
            (Some(config), Some(mailer)) => mailer.reload(config),
            (Some(config), None) => match Mailer::start(config, self.ring()) {
                Ok(mailer) => self.mailer = Some(mailer),
                Err(error) => log::error!("mail cannot be sent: {error}"),
            },
            // What waits has nowhere to go.
            (None, _) => self.mailer = None,
        }
    }

    /// `ha_suspend` needs to know the addresses of this host; nothing else does.
    pub(crate) fn watch_addresses(&mut self) {
        let wanted = self.core.plans().any(|plan| plan.suspend_without.is_some());
        if !wanted {
            self.addresses = None;
        }
        if !wanted || self.addresses.is_some() {
            return;
        }
        let buffer = &self.global.buffers.lvs_monitor;
        let options = MonitorOptions {
            receive_buffer: buffer.size.map(|size| size as usize),
            force: buffer.size.is_none() || buffer.force,
            ..MonitorOptions::default()
        };
        match Addresses::watch(options) {
            Ok((addresses, news)) => {
                self.addresses = Some(addresses);
                self.address_news(news);
            }
            Err(error) => {
                log::error!("ha_suspend: addresses of this host are not known: {error}");
            }
        }
    }

    /// The main loop.
    ///
    /// # Errors
    /// The runtime cannot wait for a descriptor.
    pub(crate) async fn run(&mut self) -> io::Result<()> {
        if self.launch.release {
            self.release();
            return Ok(());
        }
        let orders = Readiness::new(&self.channel)?;
        let signals = Readiness::new(&self.signals)?;
        let mut addresses = None;
        self.open_ipvs(true);
        while !self.stopped {
            self.carry_out();
            if self.stopped {
                break;
            }
            match &self.addresses {
                None => addresses = None,
                Some(watched) if addresses.is_none() => {
                    addresses = Some(Readiness::new(watched.monitor())?);
                }
                Some(_) => {}
            }
            let address_news = async {
                match &addresses {
                    Some(readiness) => readiness.readable().await,
                    None => pending().await,
                }
            };
            let bell = Arc::clone(&self.bell);
            let deadline = self.poll_timeout();
            tokio::select! {
                ready = orders.readable(), if !self.orphaned => {
                    ready?;
                    self.hear_supervisor();
                }
                ready = signals.readable() => {
                    ready?;
                    self.hear_signals();
                }
                ready = address_news => {
                    ready?;
                    let news = self.addresses.as_mut().map(Addresses::news).unwrap_or_default();
                    self.address_news(news);
                }
                Some(opened) = self.openings.recv() => self.ipvs_opened(opened),
                Some(result) = self.results.recv() => self.hear_checks(result),
                Some(answer) = self.resolutions.recv() => self.hear_names(answer),
                () = bell.notified() => self.hear_threads(),
                () = until(deadline) => {}
            }
            self.timers();
        }
        // A script that does not end by then is killed.
        let _ = tokio::time::timeout(LAST_CHECKS, self.checkers.end()).await;
        self.finish();
        Ok(())
    }

    fn poll_timeout(&self) -> Option<Duration> {
        if self.survey.is_some() {
            return Some(Duration::ZERO);
        }
        let own = [self.look_at, self.retry_at, self.count_at, self.trim_at];
        let times = own.into_iter().chain([self.core.poll_timeout()]);
        times.flatten().min()
    }

    fn timers(&mut self) {
        let now = now();
        if self.core.poll_timeout().is_some_and(|at| at <= now.mono) {
            self.core.handle_timeout(now);
        }
        if self.retry_at.is_some_and(|at| at <= now.mono) {
            self.retry_at = None;
            self.open_ipvs(false);
        }
        if self.look_at.is_some_and(|at| at <= now.mono) {
            self.look();
        }
        if self.trim_at.is_some_and(|at| at <= now.mono) {
            self.trim_at = None;
            sys::memory::give_back();
        }
        self.survey_on();
        if self.count_at.is_some_and(|at| at <= now.mono) {
            self.count_at = None;
            self.count_connections();
        }
    }

    /// Connections are counted again in a second.
    pub(crate) fn count_again(&mut self) {
        self.count_at = Some(now().mono + COUNT_EVERY);
    }

    /// Tries to open IPVS on a thread of its own; the answer comes by the channel.
    pub(crate) fn open_ipvs(&mut self, load: bool) {
        self.asked |= load;
        if self.opening {
            return;
        }
        self.retry_at = None;
        let (opener, answer) = (Arc::clone(&self.opener), self.opened.clone());
        let thread = std::thread::Builder::new().name("ipvs".into()).spawn(move || {
            // Nobody listens any more after a stop.
            let _ = answer.send(opener(load));
        });
        match thread {
            Ok(_) => self.opening = true,
            Err(error) => self.ipvs_opened(Err(Unavailable {
                problem: format!("no thread to open IPVS: {error}"),
                remedy: "free memory or processes".to_owned(),
            })),
        }
    }

    /// IPVS is looked for again, without being asked, after this time.
    pub(crate) fn retry_in(&mut self, wait: Duration) {
        self.retry_at = Some(now().mono + wait);
    }
}

/// Waits until a time of the monotonic clock; for ever without one.
async fn until(deadline: Option<Duration>) {
    match deadline {
        Some(at) => tokio::time::sleep(at.saturating_sub(sys::clock::since_boot())).await,
        None => pending().await,
    }
}

/// The wall clock.
pub(crate) fn stamp(now: Now) -> Timestamp {
    Timestamp::from_micros(u64::try_from(now.unix.as_micros()).unwrap_or(u64::MAX))
}
