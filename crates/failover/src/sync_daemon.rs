//! `lvs_sync_daemon` that is tied to an instance: the kernel sends IPVS connections to other nodes
//! while the instance is MASTER, and receives them otherwise.
//!
//! ```text
//!   Role (timing thread) ──wanted──► thread "sync-daemon" ──► IPVS (may load a module, may wait)
//! ```
//!
//! A daemon that is not tied to an instance is the balancer's, which runs both.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use config::model::Model;
use netlink::ipvs::{Ipvs, IpvsKernel, OpenError, Request, SyncDaemon, SyncRole, plan_daemons};

use crate::role::Role;

/// When a daemon that runs is looked at again: somebody else may have stopped it.
const LOOK: Duration = Duration::from_secs(30);
/// When a kernel that refused is asked again.
const RETRY: Duration = Duration::from_secs(5);
/// When a kernel without IPVS is looked at again: each look starts a program that loads modules.
const RETRY_MISSING: Duration = Duration::from_secs(60);
/// How long the end of the role waits for the daemons to be stopped.
const LAST_STOP: Duration = Duration::from_secs(1);
/// Stack of the thread, bytes.
const STACK: usize = 256 * 1024;

/// Follows the instance that the daemons are tied to.
#[derive(Debug, Default)]
pub(crate) struct SyncDaemons {
    settings: Option<Settings>,
    thread: Option<Thread>,
    /// What the thread was told last; none in the beginning, when it has nothing to do.
    told: Option<SyncDaemon>,
}

#[derive(Debug, Clone, PartialEq)]
struct Settings {
    /// The instance.
    instance: String,
    /// The daemon of the node that is MASTER.
    master: SyncDaemon,
}

#[derive(Debug)]
struct Thread {
    /// What should run.
    orders: Sender<Option<SyncDaemon>>,
    /// Hangs up when the thread has ended.
    ended: Receiver<()>,
}

impl SyncDaemons {
    /// Takes in a configuration, at the start or at a reload.
    pub(crate) fn configure(&mut self, model: &Model) {
        self.settings = settings(model);
        match &self.settings {
            Some(_) if self.thread.is_none() => self.thread = start_thread(),
            Some(_) => {}
            None if belongs_to_the_balancer(model) => self.let_go(),
            None => self.tell(None),
        }
    }

    /// The instance, if there is anything to follow.
    fn instance(&self) -> Option<&str> {
        self.settings.as_ref().map(|settings| settings.instance.as_str())
    }

    /// The instance has the addresses (it is MASTER), or not.
    fn follow(&mut self, holds: bool) {
        let Some(settings) = &self.settings else { return };
        let role = if holds { SyncRole::Master } else { SyncRole::Backup };
        self.tell(Some(SyncDaemon { role, ..settings.master.clone() }));
    }

    /// Tells the thread what should run, and does not wait for it.
    fn tell(&mut self, wanted: Option<SyncDaemon>) {
        let Some(thread) = &self.thread else { return };
        if self.told != wanted {
            // Nobody listens if the thread has died: then there is nothing to be done.
            let _ = thread.orders.send(wanted.clone());
            self.told = wanted;
        }
    }

    /// Stops the daemons, and waits a moment for it.
    pub(crate) fn stop(&mut self) {
        if let Some(Thread { orders, ended }) = self.thread.take() {
            // Without settings ours are stopped already: what runs now is somebody else's.
            if self.settings.is_some() {
                let _ = orders.send(None);
            }
            drop(orders);
            if ended.recv_timeout(LAST_STOP) == Err(RecvTimeoutError::Timeout) {
                log::warn!("lvs_sync_daemon: the kernel has not stopped it yet");
            }
        }
        self.told = None;
    }

    /// Leaves the daemons to somebody else.
    fn let_go(&mut self) {
        self.thread = None;
        self.told = None;
    }
}

impl Role {
    /// Looks at the instance that the synchronisation daemons are tied to.
    pub(crate) fn follow_sync_daemon(&mut self) {
        // At the end all of them are stopped: none is started for the last moment.
        if self.stopping {
            return;
        }
        let Some(name) = self.sync_daemons.instance() else { return };
        let holds = self.engine.find(name).is_some_and(|router| self.engine.holds(router));
        self.sync_daemons.follow(holds);
    }
}

fn settings(model: &Model) -> Option<Settings> {
    let wanted = model.global.vrrp.lvs_sync_daemon.as_ref()?;
    let name = wanted.instance.as_ref()?;
    let instance = model.vrrp.iter().find(|instance| instance.name.text == name.text)?;
    let id = wanted.id.unwrap_or(instance.vrid.value.get());
    let master = SyncDaemon {
        max_len: wanted.max_len,
        group: wanted.group,
        port: wanted.port,
        ttl: wanted.ttl,
        ..SyncDaemon::new(SyncRole::Master, wanted.interface.text.clone(), id)
    };
    Some(Settings { instance: name.text.clone(), master })
}

/// Whether the balancer runs the daemons according to this configuration.
fn belongs_to_the_balancer(model: &Model) -> bool {
    model.global.vrrp.lvs_sync_daemon.as_ref().is_some_and(|it| it.instance.is_none())
}

fn start_thread() -> Option<Thread> {
    let (orders, inbox) = mpsc::channel();
    let (end, ended) = mpsc::channel();
    let body = move || {
        // Dropped at the end, whatever the end is.
        let _end: Sender<()> = end;
        Keeper::new(Ipvs::open).run(&inbox);
    };
    let thread = std::thread::Builder::new().name("sync-daemon".into()).stack_size(STACK);
    match thread.spawn(body) {
        Ok(_) => Some(Thread { orders, ended }),
        Err(error) => {
            log::error!("lvs_sync_daemon does not run: {error}");
            None
        }
    }
}

/// Keeps the kernel's daemons as wanted.
struct Keeper<K, O> {
    open: O,
    kernel: Option<K>,
    /// The last complaint, so that the same one is told once.
    complaint: Option<String>,
}

impl<K: IpvsKernel, O: FnMut() -> Result<K, OpenError>> Keeper<K, O> {
    fn new(open: O) -> Self {
        Self { open, kernel: None, complaint: None }
    }

    /// Carries out orders until nobody can give any more.
    fn run(&mut self, inbox: &Receiver<Option<SyncDaemon>>) {
        let Ok(mut wanted) = inbox.recv() else { return };
        loop {
            // Only the latest counts.
            while let Ok(newer) = inbox.try_recv() {
                wanted = newer;
            }
            let next = match self.establish(wanted.as_ref()) {
                None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(pause) => inbox.recv_timeout(pause),
            };
            match next {
                Ok(newer) => wanted = newer,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Makes it so; says when to look again, if at all.
    fn establish(&mut self, wanted: Option<&SyncDaemon>) -> Option<Duration> {
        let mut kernel = match self.kernel.take() {
            Some(kernel) => kernel,
            None => match (self.open)() {
                Ok(kernel) => kernel,
                // What is not there need not be stopped.
                Err(error) if error.is_missing() && wanted.is_none() => return None,
                Err(error) => {
                    self.complain(format!("{error}\n  hint: {}", error.remedy()));
                    return Some(if error.is_missing() { RETRY_MISSING } else { RETRY });
                }
            },
        };
        match adjust(&mut kernel, wanted) {
            Ok(done) => {
                self.kernel = Some(kernel);
                self.complaint = None;
                for request in done {
                    log::info!("lvs_sync_daemon: {request}");
                }
                wanted.map(|_| LOOK)
            }
            // With a new socket next time: the family may be another by then.
            Err(complaint) => {
                self.complain(complaint);
                Some(RETRY)
            }
        }
    }

    fn complain(&mut self, text: String) {
        if self.complaint.as_ref() != Some(&text) {
            for (n, line) in text.lines().enumerate() {
                log::warn!("{}{line}", if n == 0 { "lvs_sync_daemon does not run: " } else { "" });
            }
            self.complaint = Some(text);
        }
    }
}

/// Stops and starts what is needed; returns what was done, or says what failed.
fn adjust(
    kernel: &mut impl IpvsKernel,
    wanted: Option<&SyncDaemon>,
) -> Result<Vec<Request>, String> {
    let running = kernel.daemons().map_err(|error| error.to_string())?;
    let wanted = wanted.map(std::slice::from_ref).unwrap_or_default();
    let requests = plan_daemons(&running, wanted);
    let results = kernel.apply(&requests);
    for (request, result) in requests.iter().zip(results) {
        if let Err(error) = result
            && !(error.already_gone() && matches!(request, Request::StopDaemon(_)))
        {
            let hint = request.hint(&error).map(|hint| format!("\n  hint: {hint}"));
            return Err(format!("{request}: {error}{}", hint.unwrap_or_default()));
        }
    }
    Ok(requests)
}

#[cfg(test)]
mod tests;
