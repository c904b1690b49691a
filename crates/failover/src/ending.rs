//! How the role ends: as planned, or by giving everything up.

use std::time::Duration;

use status::control::FromRole;
use vrrp::{Input, Now, Time};

use crate::kernel::Owner;
use crate::role::Role;

/// What is kept of the supervisor's patience for taking addresses away, the last scripts and the
/// FIFOs.
const CLEANING_UP: Duration = Duration::from_secs(2);
/// The least time that the last scripts and FIFO lines get.
const LAST_WORDS_LEAST: Duration = Duration::from_millis(200);
/// How long before the supervisor's patience ends the worker has to be done.
const MARGIN: Duration = Duration::from_millis(300);

impl Role {
    /// Begins a planned stop: masters hand over.
    pub(crate) fn stop(&mut self) {
        if self.stopping {
            return;
        }
        self.stopping = true;
        if self.begin_at.take().is_some() {
            self.stopped = true;
            return;
        }
        let now = self.now();
        let patience = self.patience();
        self.killed_at = Some(now.mono + patience);
        self.stop_by = Some(now.mono + patience.saturating_sub(CLEANING_UP));
        self.engine.handle(Input::Stop, now);
    }

    /// The supervisor's patience (`child_wait_time`) is nearly over and no successor was heard: a
    /// VRRPv3 interval may be as long as 40 s. Let go rather than be killed.
    pub(crate) fn stop_in_time(&mut self, now: Now) {
        if self.stop_by.is_some_and(|at| at <= now.mono) && !self.stopped {
            self.stop_by = None;
            self.engine.handle(Input::Release, now);
        }
    }

    fn patience(&self) -> Duration {
        self.model.global.child_wait_time.value
    }

    /// How long the worker may take to run the last scripts and empty the FIFOs.
    fn time_for_last_words(&self) -> Duration {
        let now = self.now().mono;
        let left = self.killed_at.map_or(self.patience(), |at: Time| at.since(now));
        left.saturating_sub(MARGIN).max(LAST_WORDS_LEAST)
    }

    pub(crate) fn finish(&mut self) {
        if !self.launch.options.keep_addresses {
            self.kernel.withdraw(Owner::Static);
        }
        // Bounded: each batch takes at least one request off the queue.
        while self.kernel.has_work() {
            self.flush_kernel();
        }
        self.firewall.remove();
        self.devices.remove(&mut self.kernel);
        self.sync_daemons.stop();
        drop(self.api.take());
        let left = self.time_for_last_words();
        self.stop_mail(left);
        if let Some(worker) = self.worker.take() {
            worker.stop(left);
            worker.join();
        }
        self.end_mail();
    }

    /// The role died too often: take our things out of the kernel, so that a peer's are the only
    /// ones.
    pub(crate) fn release_everything(&mut self) {
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
        self.sync_daemons.configure(&self.model);
        self.sync_daemons.stop();
    }

    pub(crate) fn say(&mut self, what: &FromRole) {
        let Ok(bytes) = serde_json::to_vec(what) else { return };
        if let Err(error) = self.channel.send(&bytes, &[]) {
            log::debug!("the supervisor does not listen: {error}");
        }
    }
}
