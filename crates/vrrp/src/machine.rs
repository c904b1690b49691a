//! The state machine: every change of a router's state is in this file (RFC 9568 §6.4).

use std::time::Duration;

use crate::config::{RouterId, Transport};
use crate::engine::Engine;
use crate::event::{Cause, EventKind, FaultReason, State};
use crate::io::{Announced, NotifyKind, Output};
use crate::priority::assess;
use crate::snapshot::TransitionRecord;
use crate::time::Time;
use crate::timers::Timer;

/// An owner waits this long before it takes over at start: long enough to be an instant of its own.
const OWNER_START: Duration = Duration::from_micros(1);

impl Engine {
    /// [`Engine::reassess`] for every router, each group once.
    pub(crate) fn reassess_all(&mut self) {
        for id in self.order.clone() {
            let group = self.routers[id].group.map(|group| &self.groups[group]);
            if group.is_none_or(|group| group.members.first() == Some(&id)) {
                self.reassess(id);
            }
        }
    }

    /// Works out anew what the tracked things of a router and its group mean, and acts on it.
    pub(crate) fn reassess(&mut self, id: RouterId) {
        let unit = self.unit(id);
        let mut culprit = None;
        let mut waiting = false;
        for &member in &unit {
            let faulty = self.assess_priority(member);
            if faulty && culprit.is_none() {
                culprit = Some(member);
            }
            waiting |= !self.routers[member].waiting_for.is_empty();
        }
        if !self.started || self.stopping {
            return;
        }
        if let Some(culprit) = culprit {
            self.unit_to_fault(culprit);
        } else if waiting {
            for &member in &unit {
                self.routers[member].faults.clear();
                self.routers[member].waited = true;
                if self.routers[member].state == State::Fault {
                    self.transition(member, State::Init, Cause::FaultCleared);
                }
            }
        } else {
            self.unit_to_first_backup(&unit);
        }
    }

    /// Computes priority, faults of its own and reasons to wait. True if it has faults of its own.
    fn assess_priority(&mut self, id: RouterId) -> bool {
        let started = self.started;
        let router = &self.routers[id];
        let group = router.group.map(|group| &self.groups[group].config);
        let mut now = assess(&router.config, group, &self.trackers, router.acting_254);
        if let Some(text) = &router.config.broken {
            now.faults.push(FaultReason::Configuration { text: text.clone() });
        }
        if let Some(other) = &router.duplicate_of {
            now.faults.push(FaultReason::DuplicateVrid { other: other.clone() });
        }
        if router.source.is_none() {
            now.faults.push(FaultReason::NoSourceAddress);
        }
        if matches!(&router.config.transport, Transport::Unicast { peers } if peers.is_empty()) {
            now.faults.push(FaultReason::NoPeers);
        }
        let router = &mut self.routers[id];
        let before = router.effective;
        router.effective = now.effective;
        router.total = now.total;
        router.terms = now.terms;
        router.waiting_for = now.waiting_for;
        let faulty = !now.faults.is_empty();
        // Faults of a group's other members come in unit_to_fault.
        router.faults = now.faults;
        if started && !router.stopped && before != router.effective {
            let (to, total, terms) = (router.effective, router.total, router.terms.clone());
            self.event(id, EventKind::PriorityChanged { from: before, to, total, terms });
            let router = &self.routers[id];
            if router.config.notify_priority_changes {
                let kind = match router.state {
                    State::Master => NotifyKind::MasterPriority(to),
                    _ => NotifyKind::BackupPriority(to),
                };
                self.notify(id, kind);
            }
        }
        faulty
    }

    /// Any member in FAULT: all in FAULT.
    fn unit_to_fault(&mut self, culprit: RouterId) {
        let unit = self.unit_led_by(culprit);
        let group = self.routers[culprit].group.map(|group| self.groups[group].config.name.clone());
        let culprit_name = self.routers[culprit].config.name.clone();
        let mut told = false;
        for &member in &unit {
            let router = &mut self.routers[member];
            if router.faults.is_empty()
                && let Some(group) = &group
            {
                router.faults = vec![FaultReason::GroupMember {
                    group: group.clone(),
                    member: culprit_name.clone(),
                }];
            }
            if router.state == State::Fault || router.stopped {
                continue;
            }
            if member != culprit && !told {
                self.tell_group(culprit, State::Fault);
                told = true;
            }
            self.become_fault(member);
        }
        self.settle_group(culprit, State::Fault);
    }

    /// No faults and nothing to wait for: members in INIT or FAULT take part.
    fn unit_to_first_backup(&mut self, unit: &[RouterId]) {
        let idle = |state| matches!(state, State::Init | State::Fault);
        let new: Vec<RouterId> = unit
            .iter()
            .copied()
            .filter(|&id| idle(self.routers[id].state) && !self.routers[id].stopped)
            .collect();
        for &member in unit {
            self.routers[member].faults.clear();
        }
        let Some(&lead) = new.first() else { return };
        // A router that joins a running group does not change the group.
        let whole = new.len() == unit.len();
        let initial = self.routers[lead].state == State::Init;
        // Owners are MASTER in the next instant, and so is a group of owners.
        let told = whole && !new.iter().all(|&id| self.routers[id].starts_as_master());
        if told && initial {
            self.settle_group(lead, State::Backup);
        }
        for &member in &new {
            if member != lead && whole && !initial && Some(&member) == new.get(1) {
                self.tell_group(lead, State::Backup);
            }
            self.enter_backup(member);
        }
        if told {
            self.settle_group(lead, State::Backup);
        }
    }

    /// INIT or FAULT → BACKUP (RFC 9568 §6.4.1). `state MASTER` does not matter; an owner's first
    /// timer is next to nothing.
    fn enter_backup(&mut self, id: RouterId) {
        let now = self.now.mono;
        let router = &mut self.routers[id];
        let from_fault = router.state == State::Fault;
        router.master = None;
        router.master_interval = router.config.advert_interval;
        router.silent_since = now;
        router.preempt_at = None;
        router.discarding = None;
        let owner = router.starts_as_master();
        router.pending = owner.then_some(Cause::Owner);
        let wait = if owner { OWNER_START } else { router.down_time() };
        let late = std::mem::take(&mut router.waited) || from_fault;
        let announce_source = late && router.config.transport.is_unicast();
        let cause = if from_fault { Cause::FaultCleared } else { Cause::Started };
        self.transition(id, State::Backup, cause);
        self.arm(id, Timer::MasterDown, Some(now + wait));
        if announce_source {
            // Peers must learn where our source address is now (Keepalived #1283).
            self.out(Output::Announce { router: id, what: Announced::Source, repeat: 1 });
        }
        // An owner goes from INIT to MASTER (RFC 9568 §6.4.1): nobody is told of the instant between.
        if !owner {
            self.notify(id, NotifyKind::Backup);
        }
    }

    /// The master-down timer ran out (RFC 9568 §6.4.2).
    pub(crate) fn master_down(&mut self, id: RouterId) {
        let now = self.now.mono;
        let router = &mut self.routers[id];
        if router.state != State::Backup {
            return;
        }
        router.wants_master = true;
        let silent = now.since(router.silent_since);
        let cause =
            router.pending.clone().unwrap_or(Cause::MasterDown { last: router.master, silent });
        let again = now + router.down_time();
        let blockers = self.held_back_by(id);
        if blockers.is_empty() {
            self.event(id, EventKind::AdvertTimeout { cause: cause.clone(), held_back_by: vec![] });
            self.unit_to_master(id, cause);
            return;
        }
        self.arm(id, Timer::MasterDown, Some(again));
        if self.routers[id].told_held_back {
            return;
        }
        self.routers[id].told_held_back = true;
        let name = |&blocker: &RouterId| self.routers[blocker].config.name.clone();
        let held_back_by = blockers.iter().map(name).collect();
        self.event(id, EventKind::AdvertTimeout { cause, held_back_by });
    }

    /// All members that are not MASTER yet become it.
    pub(crate) fn unit_to_master(&mut self, lead: RouterId, cause: Cause) {
        let unit = self.unit_led_by(lead);
        let mut told = false;
        for &member in &unit {
            if self.routers[member].state != State::Backup {
                continue;
            }
            if member != lead && !told {
                self.tell_group(lead, State::Master);
                told = true;
            }
            let cause = if member == lead { cause.clone() } else { self.group_cause(lead) };
            self.become_master(member, cause);
        }
        self.settle_group(lead, State::Master);
    }

    /// BACKUP → MASTER: advert, addresses, announcements, notification, in this order (§2.8).
    fn become_master(&mut self, id: RouterId, cause: Cause) {
        let now = self.now.mono;
        let router = &mut self.routers[id];
        let alone = !router.heard_anybody
            && !router.told_nobody
            && matches!(cause, Cause::MasterDown { .. });
        let listened = now.since(router.started_at);
        router.stats.become_master += 1;
        router.told_nobody |= alone;
        router.handed_over = false;
        router.acting_254 = false;
        router.master = None;
        router.master_interval = router.config.advert_interval;
        router.pending = None;
        router.preempt_at = None;
        router.discarding = None;
        router.rival = None;
        router.rival_owner = None;
        if router.ah_sequence >= wire::ah::LAST_SEQUENCE {
            // All receivers know this end of the numbers, and accept that they begin anew.
            router.ah_sequence = 0;
        }
        if router.config.priority.get() == 255 {
            router.effective = 255;
        }
        self.arm(id, Timer::MasterDown, None);
        self.transition(id, State::Master, cause);
        self.advertise(id);
        self.out(Output::Hold { router: id });
        self.announce_takeover(id);
        self.notify(id, NotifyKind::Master);
        if alone {
            self.tell_nobody_heard(id, listened);
        }
    }

    /// Sends an advert and sets the timer for the next one.
    pub(crate) fn advertise(&mut self, id: RouterId) {
        let priority = self.routers[id].effective;
        self.send_advert(id, priority);
        let interval = self.routers[id].config.advert_interval;
        self.arm(id, Timer::Advert, Some(self.now.mono + interval));
    }

    /// The advert timer ran out (RFC 9568 §6.4.3).
    pub(crate) fn advert_due(&mut self, id: RouterId, due: Time) {
        if self.routers[id].state != State::Master || self.stepped_down_late(id) {
            return;
        }
        if self.routers[id].ah_sequence >= wire::ah::LAST_SEQUENCE {
            // Nobody would believe our next advert: be silent, so that another router takes over.
            self.event(id, EventKind::SequenceExhausted);
            self.step_down(id, Cause::SequenceExhausted);
            return;
        }
        self.advertise(id);
        // Back to the beat by and by: a late advert must not be followed by one in a hurry.
        let interval = self.routers[id].config.advert_interval;
        let next = (due + interval).max(self.now.mono + interval * 3 / 4);
        self.arm(id, Timer::Advert, Some(next));
    }

    /// Late-master protection: with `nopreempt`, a MASTER that was silent for so long that others
    /// must have taken over yields to them (§2.6). True if it did.
    pub(crate) fn stepped_down_late(&mut self, id: RouterId) -> bool {
        let router = &self.routers[id];
        let Some(last) = router.last_advert else { return false };
        let silent = self.now.mono.since(last);
        let limit = router.late_limit();
        if router.state != State::Master
            || router.yielding.is_some()
            || router.config.preempt
            || silent <= limit
        {
            return false;
        }
        self.event(id, EventKind::LateMaster { silent, limit });
        self.step_down(id, Cause::LateMaster { silent });
        true
    }

    /// MASTER → BACKUP of the whole unit.
    pub(crate) fn step_down(&mut self, lead: RouterId, cause: Cause) {
        let unit = self.unit_led_by(lead);
        let mut told = false;
        for &member in &unit {
            if self.routers[member].state != State::Master {
                self.routers[member].wants_master = false;
                continue;
            }
            if member != lead && !told {
                self.tell_group(lead, State::Backup);
                told = true;
            }
            let cause = if member == lead { cause.clone() } else { self.group_cause(lead) };
            self.become_backup(member, cause);
        }
        self.settle_group(lead, State::Backup);
    }

    /// MASTER → BACKUP. Sends nothing.
    pub(crate) fn become_backup(&mut self, id: RouterId, cause: Cause) {
        let now = self.now.mono;
        self.leave_master(id);
        let router = &mut self.routers[id];
        router.silent_since = now;
        router.pending = None;
        router.preempt_at = None;
        router.discarding = None;
        let wait = router.down_time();
        self.transition(id, State::Backup, cause);
        self.arm(id, Timer::MasterDown, Some(now + wait));
        self.out(Output::Withdraw { router: id });
        self.notify(id, NotifyKind::Backup);
    }

    /// Anything → FAULT. A MASTER resigns and withdraws at once.
    fn become_fault(&mut self, id: RouterId) {
        let router = &self.routers[id];
        let held = router.holds();
        if held && router.yielding.is_none() {
            self.resign(id);
        }
        if held {
            self.leave_master(id);
        }
        self.disarm_all(id);
        let router = &mut self.routers[id];
        router.master = None;
        router.pending = None;
        router.preempt_at = None;
        router.discarding = None;
        let reasons = router.faults.clone();
        self.transition(id, State::Fault, Cause::Fault { reasons });
        if held {
            self.out(Output::Withdraw { router: id });
        }
        self.notify(id, NotifyKind::Fault);
    }

    /// Sends priority 0: others may take over after their skew.
    pub(crate) fn resign(&mut self, id: RouterId) {
        self.send_advert(id, 0);
    }

    /// What ends with being MASTER. The caller says which state follows.
    pub(crate) fn leave_master(&mut self, id: RouterId) {
        self.disarm_all(id);
        let router = &mut self.routers[id];
        router.stats.release_master += 1;
        router.yielding = None;
        router.rival = None;
        router.rival_owner = None;
    }

    /// Sets the state and tells of it.
    pub(crate) fn transition(&mut self, id: RouterId, to: State, cause: Cause) {
        let time = self.now;
        let router = &mut self.routers[id];
        let from = std::mem::replace(&mut router.state, to);
        router.wants_master = false;
        router.told_held_back = false;
        router.last_transition = Some(TransitionRecord { time, from, to, cause: cause.clone() });
        self.event(id, EventKind::Transition { from, to, cause });
    }

    /// The cause of a member that follows `lead`.
    pub(crate) fn group_cause(&self, lead: RouterId) -> Cause {
        let member = self.routers[lead].config.name.clone();
        let group = self.routers[lead].group.map(|group| self.groups[group].config.name.clone());
        Cause::Group { group: group.unwrap_or_default(), member }
    }

    fn tell_nobody_heard(&mut self, id: RouterId, listened: Duration) {
        let router = &self.routers[id];
        let peers = match &router.config.transport {
            Transport::Unicast { peers } => peers.iter().map(|peer| peer.address).collect(),
            Transport::Multicast { .. } => Vec::new(),
        };
        let interface = router.interface_name().to_owned();
        self.event(id, EventKind::NobodyHeard { listened, peers, interface });
    }
}
