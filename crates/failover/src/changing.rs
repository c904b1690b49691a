//! Reload as a difference, announcements, notifications, and what is kept for the next life.

use std::collections::{HashMap, HashSet};
use std::fs::File;

use notify::event::{Happening, Notification, State, Subject};
use notify::resolve::Resolver;
use notify::security::RealSystem;
use status::control::FromRole;
use vrrp::{Announced, Event, EventKind, Input, Notify, NotifyKind, RouterId, Transmit};

use crate::announce::{self, Forwarding};
use crate::kernel::Owner;
use crate::pacing::Lane;
use crate::plan;
use crate::role::Role;

/// Adverts, of all routers together, after which authenticated routers are kept. The engine asks
/// for no more than 65,000 of one router.
const KEEP_EVERY: u32 = 4096;

impl Role {
    // ---- reload -----------------------------------------------------------------------------

    pub(crate) fn reload(&mut self, generation: u64, file: Option<File>) {
        log::info!("Reloading");
        match self.take_over(generation, file) {
            Ok(()) => {
                log::info!("Reload complete");
                self.say_reloaded(generation);
            }
            // The supervisor has checked the text: this is a fault of ours or of the machine.
            Err(reason) => {
                log::error!("reload failed, the running configuration stays: {reason}");
                self.say(&FromRole::ReloadFailed { generation, reason });
            }
        }
    }

    fn take_over(&mut self, generation: u64, file: Option<File>) -> Result<(), String> {
        let file = file.ok_or("no configuration came with the order")?;
        let model = crate::load::model(&file)?;
        let mut notices = Vec::new();
        self.devices.create(&model, &mut self.kernel, &mut notices);
        self.kernel.clear_virtual();
        for instance in &model.vrrp {
            self.kernel.note_virtual(instance.all_addresses().map(config::model::Address::ip));
        }
        let resolver = Resolver::new(&model, &RealSystem);
        let mut plan = plan::plan(&model, &mut self.ids, &self.kernel, &resolver);
        plan.notices.extend(notices);
        for notice in plan.notices.iter().filter(|n| !self.plan.notices.contains(n)) {
            log::warn!("{notice}");
        }
        let engine_config = std::mem::take(&mut plan.engine);
        let worker_config = plan.worker.clone();
        self.model = model;
        let old = std::mem::replace(&mut self.plan, plan);
        let old_routers = std::mem::take(&mut self.routers);
        self.interfaces.watch(
            self.plan.interfaces.iter().map(|(name, _)| name.clone()),
            self.plan.delays.clone(),
        );
        // The scripts of removed instances run once more: keep them until their last word.
        self.leaving = old
            .routers
            .iter()
            .map(|router| (router.name.clone(), router.scripts.clone()))
            .chain(old.groups.iter().map(|group| (group.name.clone(), group.scripts.clone())))
            .collect();
        let now = self.now();
        self.engine.handle(Input::Reload(Box::new(engine_config)), now);
        self.routers = self.engine.routers().collect();
        self.places = crate::role::places_of(&self.routers);
        let before: HashMap<RouterId, Vec<netlink::Address>> = old_routers
            .iter()
            .map(|&id| (id, self.kernel.held_addresses(Owner::Router(id)).cloned().collect()))
            .collect();
        self.define_holdings();
        self.fresh = self
            .routers
            .iter()
            .filter_map(|&id| {
                let known = before.get(&id)?;
                let fresh: Vec<_> = self
                    .kernel
                    .held_addresses(Owner::Router(id))
                    .filter(|a| !known.iter().any(|k| (k.ifindex, k.ip) == (a.ifindex, a.ip)))
                    .cloned()
                    .collect();
                (!fresh.is_empty()).then_some((id, fresh))
            })
            .collect();
        self.set_up_mail();
        self.sync_daemons.configure(&self.model);
        self.follow_sync_daemon();
        self.launch.generation = generation;
        self.config_time = crate::records::timestamp(now);
        self.reload_refused = None;
        self.firewall.sync(&self.model, &self.kernel);
        if let Some(worker) = &self.worker {
            worker.reload(worker_config);
        }
        self.promote_secondaries();
        self.open_sockets();
        self.feed_interfaces();
        self.carry_out();
        self.review_extra();
        if self.model.global.fifo_write_states_on_reload {
            self.repeat_states();
        }
        self.devices.retire(&self.model, &mut self.kernel);
        self.keep();
        self.leaving.clear();
        self.forget_removed_alerts();
        self.fresh.clear();
        let known: HashSet<&str> = (self.plan.routers.iter().map(|r| r.name.as_str()))
            .chain(self.plan.groups.iter().map(|g| g.name.as_str()))
            .collect();
        self.records.retain(|subject| known.contains(subject));
        self.unsent.retain(|router, _| self.places.contains_key(router));
        Ok(())
    }

    /// `fifo_write_vrrp_states_on_reload`: the states go to the FIFOs once more, not to scripts.
    fn repeat_states(&mut self) {
        let Some(worker) = &self.worker else { return };
        let snapshot = self.engine.snapshot(self.now());
        let state = |state| match state {
            vrrp::State::Master => Some(State::Master),
            vrrp::State::Backup => Some(State::Backup),
            vrrp::State::Fault => Some(State::Fault),
            vrrp::State::Init => None,
        };
        let groups = snapshot.groups.iter().map(|g| (Subject::Group(g.name.clone()), g.state, 0));
        let routers = snapshot
            .routers
            .iter()
            .map(|r| (Subject::Instance(r.name.clone()), r.state, r.effective_priority));
        for (subject, now, priority) in groups.chain(routers) {
            if let Some(state) = state(now) {
                worker.notify(Notification {
                    subject,
                    happening: Happening::Entered(state),
                    priority,
                    scripts: Vec::new(),
                    fifo: true,
                });
            }
        }
    }

    // ---- announcements ----------------------------------------------------------------------

    pub(crate) fn announce(
        &mut self,
        router: RouterId,
        what: Announced,
        repeat: u32,
        forwarding: &mut Forwarding,
    ) {
        let owner = Owner::Router(router);
        let addresses: Vec<(u32, std::net::IpAddr)> = match what {
            Announced::All => {
                self.kernel.held_addresses(owner).map(|a| (a.ifindex, a.ip)).collect()
            }
            Announced::New => self
                .fresh
                .get(&router)
                .map(|list| list.iter().map(|a| (a.ifindex, a.ip)).collect())
                .unwrap_or_default(),
            Announced::Source => self.source_of(router).into_iter().collect(),
        };
        self.announce_addresses(&addresses, repeat, forwarding);
    }

    pub(crate) fn announce_addresses(
        &mut self,
        addresses: &[(u32, std::net::IpAddr)],
        repeat: u32,
        forwarding: &mut Forwarding,
    ) {
        let mut frames = Vec::with_capacity(addresses.len());
        for &(ifindex, ip) in addresses {
            let Some(link) = self.kernel.link_at(ifindex) else { continue };
            let routes_ipv6 = ip.is_ipv6() && forwarding.of(link);
            if let Some((kind, frame)) = announce::frame(link, ip, routes_ipv6) {
                let lane = self.plan.lanes.get(&link.name).copied();
                let (lane, gaps) = lane.unwrap_or((Lane::Interface(ifindex), self.plan.gaps));
                frames.push((lane, gaps, kind, frame));
            }
        }
        // Round by round, so that every address is announced once before any is twice.
        for _ in 0..repeat {
            for (lane, gaps, kind, frame) in &frames {
                self.pacer.push(*lane, *gaps, *kind, frame.clone());
            }
        }
    }

    fn source_of(&self, router: RouterId) -> Option<(u32, std::net::IpAddr)> {
        let config = self.engine.config(router)?;
        let name = &config.interface.as_ref()?.name;
        // A configured source may be another machine's address: then it is not ours to announce.
        let source = config.source.filter(|&ip| self.kernel.has_address(ip))?;
        Some((self.kernel.index_of(name)?, source))
    }

    pub(crate) fn send_due_frames(&mut self) {
        let now = self.now().mono;
        if self.pacer.poll_timeout().is_none_or(|at| at > now) {
            return;
        }
        let mut due = Vec::new();
        self.pacer.take_due(now, &mut due);
        let frames: Vec<_> =
            due.iter().map(|f| sys::arp::Frame { ifindex: f.ifindex, bytes: &f.bytes }).collect();
        for failure in self.frames.send(&frames).iter().take(3) {
            log::debug!("announcement not sent: {}", failure.error);
        }
    }

    // ---- notifications ----------------------------------------------------------------------

    pub(crate) fn notify(&mut self, notify: &Notify) {
        self.mail(notify);
        let Some(worker) = &self.worker else { return };
        let scripts = match notify.subject {
            vrrp::Subject::Instance => {
                self.plan.routers.iter().find(|r| r.name == notify.name).map(|r| &r.scripts)
            }
            vrrp::Subject::Group => {
                self.plan.groups.iter().find(|g| g.name == notify.name).map(|g| &g.scripts)
            }
        };
        let scripts = scripts.or_else(|| self.leaving.get(&notify.name));
        let happening = match notify.kind {
            NotifyKind::Master => Happening::Entered(State::Master),
            NotifyKind::Backup => Happening::Entered(State::Backup),
            NotifyKind::Fault => Happening::Entered(State::Fault),
            NotifyKind::Stop => Happening::Entered(State::Stop),
            NotifyKind::Deleted => Happening::Entered(State::Deleted),
            NotifyKind::MasterPriority(_) => Happening::PriorityChanged(State::Master),
            NotifyKind::BackupPriority(_) => Happening::PriorityChanged(State::Backup),
            NotifyKind::MasterRxLowerPri => Happening::LowerPriorityHeard,
        };
        worker.notify(Notification {
            subject: match notify.subject {
                vrrp::Subject::Instance => Subject::Instance(notify.name.clone()),
                vrrp::Subject::Group => Subject::Group(notify.name.clone()),
            },
            happening,
            priority: notify.priority,
            scripts: scripts.map(|s| plan::scripts_for(s, notify.kind)).unwrap_or_default(),
            fifo: true,
        });
    }

    // ---- the next life ----------------------------------------------------------------------

    /// Keeps every router, after a start or a reload.
    pub(crate) fn keep(&mut self) {
        for place in 0..self.routers.len() {
            self.keep_one(place, self.routers[place]);
        }
        let (count, generation) = (self.routers.len() as u32, self.launch.generation);
        let interfaces = self.devices.names();
        let sysctls = self.devices.changed().to_vec();
        let kept = self.store.update(|kept| {
            kept.routers = count;
            kept.generation = generation;
            kept.interfaces = interfaces;
            kept.sysctls = sysctls;
        });
        if let Err(error) = kept {
            log::warn!("state store: {error}");
        }
    }

    /// Keeps the routers whose state changed, and those whose sequence numbers must not go back.
    pub(crate) fn keep_changed(&mut self, events: &[Event], transmits: &[Transmit]) {
        let mut changed: Vec<RouterId> = events
            .iter()
            .filter(|event| {
                !matches!(event.kind, EventKind::Rejected { .. } | EventKind::UnknownVrid { .. })
            })
            .filter_map(|event| event.router)
            .collect();
        // Stamps and sequence numbers jump ahead at a resume: few of them need to be kept.
        self.unkept_adverts = self.unkept_adverts.saturating_add(transmits.len() as u32);
        if self.unkept_adverts >= KEEP_EVERY {
            self.unkept_adverts = 0;
            changed.extend(self.routers.iter().copied().filter(|&id| {
                self.engine.config(id).is_some_and(|config| {
                    matches!(config.auth, vrrp::Auth::Ah(_) | vrrp::Auth::Hmac(_))
                })
            }));
        }
        changed.sort_unstable();
        changed.dedup();
        if changed.is_empty() {
            return;
        }
        for router in changed {
            if let Some(&place) = self.places.get(&router) {
                self.keep_one(place, router);
            }
        }
    }

    fn keep_one(&mut self, place: usize, router: RouterId) {
        if let Some(saved) = self.engine.save(router)
            && let Err(error) = self.store.put_router(place, &saved)
        {
            log::warn!("state store: {error}");
        }
    }
}
