//! Who is master: what an accepted advert means to a BACKUP and to a MASTER.
//! RFC 9568 §6.4.2 and §6.4.3 (RFC 3768 likewise), with Keepalived's rules (§2.5, §2.6 of the
//! reference).

use std::net::IpAddr;
use std::time::Duration;

use crate::acceptance::Advert;
use crate::config::RouterId;
use crate::engine::Engine;
use crate::event::{Cause, Difference, EventKind, State};
use crate::io::NotifyKind;
use crate::router::Rival;
use crate::timers::Timer;

/// A second master that stays is told of again after this long.
const RIVAL_AGAIN: Duration = Duration::from_secs(60);
/// Answers to adverts keep this distance: nobody can make us flood the link.
const ANSWER_GAP: Duration = Duration::from_millis(1);

impl Engine {
    /// An advert that passed all checks.
    pub(crate) fn accepted(&mut self, id: RouterId, advert: &Advert) {
        let now = self.now.mono;
        let router = &mut self.routers[id];
        if router.state == State::Master
            && router.yielding.is_none()
            && router.config.owner_ignore_adverts
            && router.config.priority.get() == 255
        {
            return;
        }
        let first = router.peers.heard(advert.from, advert.priority, advert.interval, now);
        router.heard_anybody = true;
        if advert.priority == 0 {
            router.stats.pri_zero_rcvd += 1;
        }
        if first {
            let (address, priority) = (advert.from, advert.priority);
            self.chat(id, EventKind::PeerSeen { address, priority });
        }
        match self.routers[id].state {
            State::Backup => self.heard_as_backup(id, advert),
            State::Master if self.routers[id].yielding.is_some() => {
                if advert.priority > 0 {
                    self.successor_heard(id, advert.from);
                }
            }
            State::Master => self.heard_as_master(id, advert),
            State::Init | State::Fault => {}
        }
    }

    /// RFC 9568 §6.4.2 (Backup).
    fn heard_as_backup(&mut self, id: RouterId, advert: &Advert) {
        let now = self.now.mono;
        let from = advert.from;
        if advert.priority == 0 {
            let router = &mut self.routers[id];
            let skew = router.skew();
            router.pending = Some(Cause::MasterResigned { from });
            self.chat(id, EventKind::MasterResigned { from, skew });
            self.arm(id, Timer::MasterDown, Some(now + skew));
            return;
        }
        let router = &self.routers[id];
        let lower = advert.priority < router.effective;
        if lower && router.preempts() && !self.preempt_delayed(id, from) {
            self.discard_lower(id, advert);
            return;
        }
        if !lower && self.routers[id].preempt_at.take().is_some() {
            self.chat(id, EventKind::PreemptDelayStopped);
        }
        let router = &mut self.routers[id];
        router.wants_master = false;
        router.told_held_back = false;
        router.pending = None;
        router.discarding = None;
        router.silent_since = now;
        let before = router.master.replace((from, advert.priority));
        // RFC 9568 §6.4.2: v3 adopts the interval of the master; v2 has one interval for all.
        let old = std::mem::replace(&mut router.master_interval, advert.interval);
        let wait = router.down_time();
        self.arm(id, Timer::MasterDown, Some(now + wait));
        if old != advert.interval {
            self.chat(id, EventKind::IntervalLearned { from: old, to: advert.interval });
        }
        let before = before.map(|(address, _)| address);
        if before != Some(from) {
            let priority = advert.priority;
            self.chat(id, EventKind::MasterChanged { from: before, to: from, priority });
        }
    }

    /// Whether `preempt_delay` still protects a lower-priority master. Its first advert starts the
    /// delay.
    fn preempt_delayed(&mut self, id: RouterId, from: IpAddr) -> bool {
        let now = self.now.mono;
        let router = &mut self.routers[id];
        let delay = router.config.preempt_delay;
        if delay.is_zero() {
            return false;
        }
        if let Some(at) = router.preempt_at {
            return now < at;
        }
        router.preempt_at = Some(now + delay);
        self.chat(id, EventKind::PreemptDelayStarted { from, delay });
        true
    }

    /// A master that we are about to preempt: the timer runs on.
    fn discard_lower(&mut self, id: RouterId, advert: &Advert) {
        let (from, theirs) = (advert.from, advert.priority);
        let router = &mut self.routers[id];
        let ours = router.effective;
        router.pending = Some(Cause::Preempted { from, theirs, ours });
        let told = router.discarding.replace(from) == Some(from);
        if !told {
            self.chat(id, EventKind::DiscardingLower { from, theirs, ours });
        }
    }

    /// RFC 9568 §6.4.3 (Active; Master in RFC 3768).
    fn heard_as_master(&mut self, id: RouterId, advert: &Advert) {
        let (from, theirs) = (advert.from, advert.priority);
        if theirs == 0 {
            self.chat(id, EventKind::OtherResigned { from });
            if self.may_answer(id) {
                self.advertise(id);
            }
            return;
        }
        let router = &self.routers[id];
        let ours = router.effective;
        let higher_address = router.source.is_some_and(|source| from > source);
        if ours == 255 && theirs == 255 {
            self.heard_second_owner(id, advert, higher_address);
        } else if theirs > ours {
            self.chat(id, EventKind::HigherPriority { from, theirs, ours });
            self.yield_to(id, advert, Cause::HigherPriority { from, theirs, ours });
        } else if theirs == ours && higher_address {
            self.chat(id, EventKind::HigherPriority { from, theirs, ours });
            self.yield_to(id, advert, Cause::HigherAddress { from, priority: theirs });
        } else {
            self.heard_lower(id, advert);
        }
    }

    /// Back to BACKUP because of this advert.
    fn yield_to(&mut self, id: RouterId, advert: &Advert, cause: Cause) {
        if self.routers[id].config.higher_prio_send_advert {
            self.advertise(id);
        }
        let router = &mut self.routers[id];
        router.master = Some((advert.from, advert.priority));
        router.master_interval = advert.interval;
        self.step_down(id, cause);
    }

    /// An advert that must yield to us: answer, and repair what its sender announced.
    fn heard_lower(&mut self, id: RouterId, advert: &Advert) {
        let now = self.now.mono;
        let (from, theirs) = (advert.from, advert.priority);
        let router = &mut self.routers[id];
        let ours = router.effective;
        let answered = !router.config.lower_prio_no_advert;
        // More often than its interval nobody needs to hear of it, nor the network be repaired.
        let often = router.config.advert_interval / 2;
        let fresh = router.rival.is_none_or(|rival| now.since(rival.last) >= often);
        if fresh {
            self.chat(id, EventKind::LowerPriority { from, theirs, ours, answered });
        }
        if answered && self.may_answer(id) {
            self.advertise(id);
        }
        if !fresh {
            return;
        }
        self.note_rival(id, advert);
        self.announce_after_lower(id);
        self.notify(id, NotifyKind::MasterRxLowerPri);
    }

    /// Whether an advert may be answered with one: not if we have just sent one.
    fn may_answer(&self, id: RouterId) -> bool {
        let last = self.routers[id].last_advert;
        last.is_none_or(|last| self.now.mono.since(last) >= ANSWER_GAP)
    }

    /// Tells of a second master once its second advert shows that it does not yield (the first may
    /// have crossed ours), and then again while it stays.
    fn note_rival(&mut self, id: RouterId, advert: &Advert) {
        let now = self.now.mono;
        let address = advert.from;
        let router = &mut self.routers[id];
        let gone = router.down_time();
        let new = Rival { first: now, last: now, told: None };
        let rival = router.rival.filter(|rival| now.since(rival.last) <= gone).unwrap_or(new);
        let tell =
            rival.first < now && rival.told.is_none_or(|told| now.since(told) >= RIVAL_AGAIN);
        let (first, told) = (rival.first, if tell { Some(now) } else { rival.told });
        router.rival = Some(Rival { first, last: now, told });
        if !tell {
            return;
        }
        let ours = router.config.advert_interval;
        let mut differs = Vec::new();
        if advert.interval != ours {
            differs.push(Difference::Interval { theirs: advert.interval, ours });
        }
        if let Some(list) = &advert.list_differs {
            let (missing, extra) = (list.missing.clone(), list.extra.clone());
            differs.push(Difference::Addresses { missing, extra });
        }
        if differs.is_empty() {
            differs.push(Difference::Nothing);
        }
        let (priority, lasting) = (advert.priority, now.since(first));
        self.event(id, EventKind::SecondMaster { address, priority, differs, lasting });
    }

    /// Two owners: the lower address backs off. The higher one sends two more adverts; if it still
    /// hears the other after 1.2 intervals, it treats itself as 254 until the other is gone.
    fn heard_second_owner(&mut self, id: RouterId, advert: &Advert, higher_address: bool) {
        let now = self.now.mono;
        let address = advert.from;
        if higher_address {
            self.event(id, EventKind::TwoOwners { address, we_give_way: true });
            self.yield_to(id, advert, Cause::TwoOwners { from: address });
            return;
        }
        let router = &mut self.routers[id];
        let patience = router.config.advert_interval * 12 / 10;
        match router.rival_owner {
            None => {
                router.rival_owner = Some(now + patience);
                self.event(id, EventKind::TwoOwners { address, we_give_way: false });
                self.advertise(id);
                self.advertise(id);
            }
            Some(at) if now < at => {}
            Some(at) if now.since(at) > patience * 4 => {
                // That was long ago: a new quarrel.
                router.rival_owner = None;
                self.heard_second_owner(id, advert, higher_address);
            }
            Some(_) => {
                router.rival_owner = None;
                router.acting_254 = true;
                router.effective = 254;
                self.event(id, EventKind::TwoOwners { address, we_give_way: true });
                self.yield_to(id, advert, Cause::TwoOwners { from: address });
            }
        }
    }
}
