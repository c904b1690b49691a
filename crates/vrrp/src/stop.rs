//! Planned ends: stop, handover and removal. Make before break: a MASTER resigns, but keeps the
//! addresses until its successor has spoken, or must have.

use std::net::IpAddr;

use crate::config::RouterId;
use crate::engine::Engine;
use crate::event::{Cause, EventKind, State, YieldReason};
use crate::io::{NotifyKind, Output};
use crate::router::Yielding;
use crate::timers::Timer;

impl Engine {
    /// [`Input::Stop`](crate::Input::Stop)
    pub(crate) fn stop(&mut self) {
        self.stopping = true;
        for id in self.order.clone() {
            match self.routers[id].state {
                State::Master => self.start_yielding(id, YieldReason::Stop),
                _ => self.end(id, Cause::Stopped),
            }
        }
        self.finish_stop();
    }

    /// [`Input::Release`](crate::Input::Release)
    pub(crate) fn release(&mut self) {
        self.stopping = true;
        for id in self.order.clone() {
            let router = &self.routers[id];
            if router.state == State::Master && router.yielding.is_none() {
                self.resign(id);
            }
            self.end(id, Cause::Released);
        }
        self.finish_stop();
    }

    /// [`Input::Handover`](crate::Input::Handover): the whole unit.
    pub(crate) fn hand_over(&mut self, lead: RouterId) {
        for id in self.unit_led_by(lead) {
            let router = &mut self.routers[id];
            match router.state {
                State::Master if router.yielding.is_none() => {
                    self.start_yielding(id, YieldReason::Handover);
                }
                State::Master => {}
                _ if router.handed_over => {}
                State::Backup | State::Init | State::Fault => {
                    router.handed_over = true;
                    self.event(id, EventKind::HandedOver);
                }
            }
        }
    }

    /// [`Input::Reclaim`](crate::Input::Reclaim): the whole unit.
    pub(crate) fn reclaim(&mut self, lead: RouterId) {
        for id in self.unit_led_by(lead) {
            let router = &mut self.routers[id];
            if router.yielding.is_some_and(|yielding| yielding.why == YieldReason::Handover) {
                self.event(id, EventKind::Reclaimed);
                self.master_again(id);
                continue;
            }
            if !std::mem::take(&mut router.handed_over) {
                continue;
            }
            let preempts = router.state == State::Backup
                && router.preempts()
                && router.master.is_some_and(|(_, priority)| priority < router.effective);
            if preempts {
                // The operator asked: neither the timer nor preempt_delay is waited for.
                router.pending = Some(Cause::Reclaimed);
                router.preempt_at = Some(self.now.mono);
                self.arm(id, Timer::MasterDown, Some(self.now.mono));
            }
            self.event(id, EventKind::Reclaimed);
        }
    }

    /// Resigns and waits. The state stays MASTER, but nothing is advertised or answered.
    fn start_yielding(&mut self, id: RouterId, why: YieldReason) {
        let now = self.now.mono;
        let router = &mut self.routers[id];
        if let Some(yielding) = &mut router.yielding {
            // A stop during a handover.
            yielding.why = why;
            return;
        }
        router.yielding = Some(Yielding { why, since: now });
        let longest = router.yield_time();
        self.resign(id);
        self.disarm_all(id);
        self.arm(id, Timer::Yield, Some(now + longest));
        self.event(id, EventKind::Yielding { why, longest });
    }

    /// The successor's first advert while we wait for it.
    pub(crate) fn successor_heard(&mut self, id: RouterId, from: IpAddr) {
        let heard = self.routers[id].peers.find(from).cloned();
        self.yielded(id, Some(from));
        let router = &mut self.routers[id];
        if router.state == State::Backup
            && let Some(peer) = heard
        {
            router.master = peer.priority.map(|priority| (from, priority));
            router.master_interval = peer.interval.unwrap_or(router.master_interval);
            let wait = router.down_time();
            self.arm(id, Timer::MasterDown, Some(self.now.mono + wait));
        }
    }

    /// The longest wait for a successor is over.
    pub(crate) fn yield_over(&mut self, id: RouterId) {
        let Some(yielding) = self.routers[id].yielding else { return };
        let partners_gone =
            self.unit(id).iter().any(|&member| self.routers[member].state != State::Master);
        if yielding.why == YieldReason::Handover && !partners_gone {
            // Nobody is there to take the addresses: better ours than nobody's.
            let waited = self.now.mono.since(yielding.since);
            for member in self.unit_led_by(id) {
                self.event(member, EventKind::HandoverFailed { waited });
                self.master_again(member);
            }
        } else {
            self.yielded(id, None);
        }
    }

    /// A resigned router is MASTER as before.
    fn master_again(&mut self, id: RouterId) {
        self.routers[id].yielding = None;
        self.disarm_all(id);
        self.advertise(id);
        self.announce_takeover(id);
    }

    fn yielded(&mut self, id: RouterId, successor: Option<IpAddr>) {
        let Some(yielding) = self.routers[id].yielding else { return };
        let after = self.now.mono.since(yielding.since);
        self.event(id, EventKind::Yielded { successor, after });
        match yielding.why {
            YieldReason::Stop => {
                self.end(id, Cause::Stopped);
                self.finish_stop();
            }
            YieldReason::Handover => {
                self.routers[id].handed_over = true;
                self.become_backup(id, Cause::Handover { successor });
                self.event(id, EventKind::HandedOver);
                let unit = self.unit(id);
                if unit.iter().all(|&member| self.routers[member].state != State::Master) {
                    self.settle_group(id, State::Backup);
                }
            }
        }
    }

    /// The end of one router: whatever it held is withdrawn; it takes part in nothing any more.
    pub(crate) fn end(&mut self, id: RouterId, cause: Cause) {
        let router = &mut self.routers[id];
        if router.stopped {
            return;
        }
        router.stopped = true;
        let held = router.holds();
        if held {
            self.leave_master(id);
        }
        self.disarm_all(id);
        if self.routers[id].state != State::Init {
            self.transition(id, State::Init, cause);
        }
        if held {
            self.out(Output::Withdraw { router: id });
        }
        if self.started {
            self.notify(id, NotifyKind::Stop);
        }
        let Some(group) = self.routers[id].group else { return };
        let members = &self.groups[group].members;
        if self.started && members.iter().all(|&member| self.routers[member].stopped) {
            self.groups[group].state = State::Init;
            self.notify_group(group, NotifyKind::Stop);
        }
    }

    fn finish_stop(&mut self) {
        let done = self.order.iter().all(|&id| self.routers[id].stopped);
        if done && self.stopping && !self.stopped {
            self.stopped = true;
            self.out(Output::Stopped);
        }
    }
}
