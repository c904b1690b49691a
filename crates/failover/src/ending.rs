//! How the role ends: as planned, or by giving everything up.

use std::time::Duration;

use status::control::FromRole;
use vrrp::Input;

use crate::kernel::Owner;
use crate::role::Role;

/// How long the worker may take at the end to run the last scripts and empty the FIFOs.
const LAST_WORDS: Duration = Duration::from_secs(4);

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
        self.engine.handle(Input::Stop, now);
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
        drop(self.api.take());
        if let Some(worker) = self.worker.take() {
            worker.stop(LAST_WORDS);
            worker.join();
        }
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
    }

    pub(crate) fn say(&mut self, what: &FromRole) {
        let Ok(bytes) = serde_json::to_vec(what) else { return };
        if let Err(error) = self.channel.send(&bytes, &[]) {
            log::debug!("the supervisor does not listen: {error}");
        }
    }
}
