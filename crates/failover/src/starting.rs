//! How the role begins, and what it tells the engine about the machine: interfaces and source
//! addresses.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use notify::Worker;
use status::control::FromRole;
use vrrp::{Input, Output, TrackKind, TrackerState};

use crate::kernel::{KernelState, Owner};
use crate::plan::{self, Machine};
use crate::records;
use crate::report::TrackerFact;
use crate::role::Role;
use crate::sockets;
use notify::api::Api;

impl Machine for KernelState {
    fn mtu(&self, interface: &str) -> Option<u32> {
        self.link(interface).map(|link| link.mtu)
    }

    fn source(&self, interface: &str, family: vrrp::Family) -> Option<IpAddr> {
        use netlink::AddressFlags;
        self.addresses_of(interface)
            .filter(|a| !self.is_virtual(a.ip) && !a.flags.contains(AddressFlags::DADFAILED))
            .map(|a| a.ip)
            .find(|ip| match (family, ip) {
                (vrrp::Family::V4, IpAddr::V4(_)) => true,
                (vrrp::Family::V6, IpAddr::V6(ip)) => ip.is_unicast_link_local(),
                _ => false,
            })
    }

    fn has_address(&self, address: IpAddr) -> bool {
        self.has_address(address)
    }
}

impl Role {
    pub(crate) fn begin(&mut self) {
        self.advertise_first();
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
        self.set_up_mail();
        if let Some(path) = self.launch.options.socket.clone() {
            match Api::listen(&path, Arc::new(move || waker.wake())) {
                Ok(api) => self.api = Some(api),
                Err(error) => {
                    log::warn!("status and explain are not available: {}: {error}", path.display());
                }
            }
        }
        self.sync_daemons.configure(&self.model);
        self.follow_sync_daemon();
        for notice in &self.plan.notices {
            log::warn!("{notice}");
        }
        // After the other threads have started: they are ordinary ones.
        self.tuning.apply(&self.model.global);
        self.promote_secondaries();
        self.tell_missing_interfaces();
        self.firewall.sync(&self.model, &self.kernel);
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
        if self.launch.options.dump_config && self.launch.restarts == 0 {
            self.log_data();
        }
        log::info!("Startup complete");
        self.say(&FromRole::Ready);
    }

    /// A master that comes back after a crash is missed already: its adverts go before everything
    /// else.
    fn advertise_first(&mut self) {
        let mut transmits = Vec::new();
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Transmit(transmit) => transmits.push(transmit),
                other => self.begun.push(other),
            }
        }
        if !transmits.is_empty() {
            self.transmit(&transmits);
        }
    }

    pub(crate) fn start_engine(&mut self) {
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
        let by_name: HashMap<&str, &plan::RouterPlan> =
            self.plan.routers.iter().map(|p| (p.name.as_str(), p)).collect();
        let device =
            |router: &vrrp::RouterConfig| by_name.get(router.name.as_str())?.transmit.clone();
        self.wanted = sockets::wanted(routers, device, |router| {
            let own = by_name.get(router.name.as_str()).and_then(|p| p.model.rx_buffer);
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
        // A device of ours is not told to be running at once, and has the carrier of the interface
        // below, which is watched too.
        let works = |link: &netlink::Link| {
            link.is_running()
                || (link.flags.contains(netlink::LinkFlags::UP) && self.devices.made(&link.name))
        };
        let up = self.kernel.link(name).is_some_and(works);
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
}
