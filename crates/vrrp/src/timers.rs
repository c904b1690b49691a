//! Timers: a closed enum, a table of instants for each router, and a queue over all routers.

use std::collections::BTreeSet;

use crate::config::RouterId;
use crate::time::Time;

/// The timers of a virtual router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    /// MASTER: the next advert (Adver_Timer, RFC 9568 §6.2).
    Advert,
    /// BACKUP: the master counts as down (Active_Down_Timer; Master_Down_Timer in RFC 3768 §6.2).
    MasterDown,
    /// MASTER: the second set of announcements.
    GarpSecond,
    /// MASTER: the next periodic announcement.
    GarpRefresh,
    /// MASTER: the second set after a lower-priority advert.
    GarpLowerPrio,
    /// Resigned: the longest wait for a successor is over.
    Yield,
}

impl Timer {
    /// All of them. Of timers that are due together, the earlier one in this list goes first.
    pub(crate) const ALL: [Self; 6] = [
        Self::Yield,
        Self::Advert,
        Self::MasterDown,
        Self::GarpSecond,
        Self::GarpLowerPrio,
        Self::GarpRefresh,
    ];
}

/// When each timer of a router is due.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timers([Option<Time>; Timer::ALL.len()]);

impl Timers {
    /// When that timer is due.
    pub(crate) fn at(&self, timer: Timer) -> Option<Time> {
        self.0[timer as usize]
    }

    /// Sets or clears a timer.
    pub(crate) fn set(&mut self, timer: Timer, at: Option<Time>) {
        self.0[timer as usize] = at;
    }

    /// Clears all.
    pub(crate) fn clear(&mut self) {
        self.0 = Default::default();
    }

    /// When the first one is due.
    pub(crate) fn next(&self) -> Option<Time> {
        self.0.iter().flatten().min().copied()
    }

    /// Takes out the earliest timer that is due, with its deadline.
    pub(crate) fn take_due(&mut self, now: Time) -> Option<(Timer, Time)> {
        let (timer, at) = Timer::ALL
            .iter()
            .filter_map(|&timer| Some((timer, self.at(timer)?)))
            .min_by_key(|&(_, at)| at)
            .filter(|&(_, at)| at <= now)?;
        self.set(timer, None);
        Some((timer, at))
    }
}

/// Routers by the time of their next timer.
#[derive(Debug, Default)]
pub(crate) struct Queue(BTreeSet<(Time, RouterId)>);

impl Queue {
    /// The first entry.
    pub(crate) fn first(&self) -> Option<(Time, RouterId)> {
        self.0.first().copied()
    }

    /// Moves a router from its old place to its new one.
    pub(crate) fn update(&mut self, router: RouterId, old: Option<Time>, new: Option<Time>) {
        if old == new {
            return;
        }
        if let Some(at) = old {
            self.0.remove(&(at, router));
        }
        if let Some(at) = new {
            self.0.insert((at, router));
        }
    }

    /// How many routers wait for something.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether this entry is there.
    pub(crate) fn contains(&self, at: Time, router: RouterId) -> bool {
        self.0.contains(&(at, router))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_timers_come_in_order_of_time() {
        let mut timers = Timers::default();
        timers.set(Timer::Advert, Some(Time(20)));
        timers.set(Timer::GarpSecond, Some(Time(10)));
        timers.set(Timer::MasterDown, Some(Time(31)));
        assert_eq!(timers.next(), Some(Time(10)));
        assert_eq!(timers.take_due(Time(30)), Some((Timer::GarpSecond, Time(10))));
        assert_eq!(timers.take_due(Time(30)), Some((Timer::Advert, Time(20))));
        assert_eq!(timers.take_due(Time(30)), None);
        assert_eq!(timers.next(), Some(Time(31)));
    }

    #[test]
    fn the_queue_holds_each_router_once() {
        let mut queue = Queue::default();
        queue.update(RouterId(1), None, Some(Time(5)));
        queue.update(RouterId(2), None, Some(Time(4)));
        queue.update(RouterId(1), Some(Time(5)), Some(Time(3)));
        assert_eq!((queue.len(), queue.first()), (2, Some((Time(3), RouterId(1)))));
        queue.update(RouterId(1), Some(Time(3)), None);
        assert_eq!((queue.len(), queue.first()), (1, Some((Time(4), RouterId(2)))));
    }
}
