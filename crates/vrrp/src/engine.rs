//! The engine: inputs in, outputs out, for all virtual routers of a process.

use std::collections::VecDeque;

use crate::config::{Config, RouterConfig, RouterId};
use crate::event::State;
use crate::io::{Input, Output};
use crate::save::SavedRouter;
use crate::snapshot::{RouterSnapshot, Snapshot};
use crate::time::{Now, Time};

/// All virtual routers and sync groups of a process.
#[derive(Debug)]
pub struct Engine {
    config: Config,
    now: Now,
    outputs: VecDeque<Output>,
}

impl Engine {
    /// An engine in which every router is in INIT until [`Input::Start`].
    pub fn new(config: Config, now: Now) -> Self {
        Self { config, now, outputs: VecDeque::new() }
    }

    /// An engine that goes on where another one ended without a stop: each router that `saved`
    /// names has its state again at once. A MASTER holds and advertises, a BACKUP waits a full
    /// master-down time. Routers that `saved` does not name start as after [`Input::Start`].
    /// Feed tracker states as they become known; until then the saved ones count.
    pub fn resume(config: Config, saved: &[SavedRouter], now: Now) -> Self {
        let _ = saved;
        Self::new(config, now)
    }

    /// Takes in what happened.
    pub fn handle(&mut self, input: Input<'_>, now: Now) {
        let _ = input;
        self.now = now;
    }

    /// Does what is due. Call it when [`Engine::poll_timeout`] has come; earlier does nothing.
    pub fn handle_timeout(&mut self, now: Now) {
        self.now = now;
    }

    /// When to call [`Engine::handle_timeout`] next, by the monotonic clock.
    pub fn poll_timeout(&self) -> Option<Time> {
        None
    }

    /// The next thing to do outside.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Gives the buffer of a sent [`Transmit`](crate::Transmit) back, so that the next advert need
    /// not allocate one. Optional.
    pub fn recycle(&mut self, buffer: Vec<u8>) {
        drop(buffer);
    }

    /// Routers, in the order of the configuration.
    pub fn routers(&self) -> impl Iterator<Item = RouterId> + '_ {
        (0..).zip(&self.config.routers).map(|(n, _)| RouterId(n))
    }

    /// The router of that name.
    pub fn find(&self, name: &str) -> Option<RouterId> {
        self.routers().find(|&id| self.config(id).is_some_and(|config| config.name == name))
    }

    /// Configuration in force of a router.
    pub fn config(&self, router: RouterId) -> Option<&RouterConfig> {
        self.config.routers.get(router.0 as usize)
    }

    /// State of a router.
    pub fn state(&self, router: RouterId) -> Option<State> {
        self.config(router).map(|_| State::Init)
    }

    /// Whether the addresses of a router must be there.
    pub fn holds(&self, router: RouterId) -> bool {
        self.state(router) == Some(State::Master)
    }

    /// Everything about one router.
    pub fn router(&self, router: RouterId, now: Now) -> Option<RouterSnapshot> {
        let _ = (router, now);
        None
    }

    /// Everything.
    pub fn snapshot(&self, now: Now) -> Snapshot {
        Snapshot { time: now, routers: Vec::new(), groups: Vec::new() }
    }

    /// What [`Engine::resume`] needs of one router.
    pub fn save(&self, router: RouterId) -> Option<SavedRouter> {
        let _ = router;
        None
    }

    /// Sets all counters to zero (Keepalived's SIGUSR2 variant).
    pub fn clear_statistics(&mut self) {}
}
