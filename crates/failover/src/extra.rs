//! `garp_extra_if`: announcements from time to time on interfaces that say nothing by themselves,
//! so that switches do not forget where a virtual MAC is.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use vrrp::{RouterId, Time};

use crate::announce::Forwarding;
use crate::kernel::Owner;
use crate::role::Role;

/// When each router that holds its addresses has its turn.
#[derive(Debug, Default)]
pub(crate) struct ExtraAnnouncements {
    queue: BTreeSet<(Time, RouterId)>,
    of: HashMap<RouterId, (Time, Duration)>,
}

impl ExtraAnnouncements {
    /// From now on, each `period`, unless it is so already.
    fn begin(&mut self, router: RouterId, period: Duration, now: Time) {
        if self.of.get(&router).is_some_and(|(_, known)| *known == period) {
            return;
        }
        self.end(router);
        self.of.insert(router, (now + period, period));
        self.queue.insert((now + period, router));
    }

    /// No more.
    pub(crate) fn end(&mut self, router: RouterId) {
        if let Some((at, _)) = self.of.remove(&router) {
            self.queue.remove(&(at, router));
        }
    }

    /// When the next one is due.
    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        self.queue.first().map(|(at, _)| *at)
    }

    /// Those that are due.
    pub(crate) fn due(&mut self, now: Time) -> Vec<RouterId> {
        let mut out = Vec::new();
        while let Some(&(at, router)) = self.queue.first()
            && at <= now
        {
            self.queue.pop_first();
            out.push(router);
            if let Some((next, period)) = self.of.get_mut(&router) {
                *next = now + *period;
                self.queue.insert((*next, router));
            }
        }
        out
    }
}

impl Role {
    /// A router holds its addresses: its extra announcements begin, if it has any.
    pub(crate) fn begin_extra(&mut self, router: RouterId) {
        let plan = self.places.get(&router).and_then(|&place| self.plan.routers.get(place));
        let extra = plan.and_then(|plan| plan.model.garp.extra.value);
        match extra.filter(|extra| !extra.period.is_zero()) {
            Some(extra) => {
                let now = self.now().mono;
                self.extra.begin(router, extra.period, now);
            }
            None => self.extra.end(router),
        }
    }

    /// After a reload: periods may have changed.
    pub(crate) fn review_extra(&mut self) {
        for router in self.routers.clone() {
            if self.engine.holds(router) {
                self.begin_extra(router);
            }
        }
    }

    pub(crate) fn announce_extra(&mut self, router: RouterId) {
        let plan = self.places.get(&router).and_then(|&place| self.plan.routers.get(place));
        let Some(plan) = plan else { return };
        let all = plan.model.garp.extra.value.is_some_and(|extra| extra.all);
        // Where the adverts leave, they keep the tables warm themselves.
        let busy = plan.transmit.as_deref().or(plan.model.interface.as_deref());
        let busy = busy.and_then(|name| self.kernel.index_of(name));
        let quiet: Vec<_> = self
            .kernel
            .held_addresses(Owner::Router(router))
            .filter(|address| Some(address.ifindex) != busy)
            .filter(|address| {
                use netlink::LinkKind;
                let link = self.kernel.link_at(address.ifindex);
                all || link.is_some_and(|l| matches!(l.kind, Some(LinkKind::Macvlan { .. })))
            })
            .map(|address| (address.ifindex, address.ip))
            .collect();
        self.announce_addresses(&quiet, 1, &mut Forwarding::default());
        self.send_due_frames();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: RouterId = RouterId(1);

    fn at(seconds: u64) -> Time {
        Time::from_millis(1000 * seconds)
    }

    #[test]
    fn they_come_each_period_until_the_end() {
        let mut extra = ExtraAnnouncements::default();
        extra.begin(A, Duration::from_secs(60), at(0));
        extra.begin(A, Duration::from_secs(60), at(30));
        assert_eq!(extra.poll_timeout(), Some(at(60)));
        assert_eq!(extra.due(at(59)), []);
        assert_eq!(extra.due(at(60)), [A]);
        assert_eq!(extra.poll_timeout(), Some(at(120)));
        extra.begin(A, Duration::from_secs(10), at(70));
        assert_eq!(extra.poll_timeout(), Some(at(80)));
        extra.end(A);
        assert_eq!(extra.poll_timeout(), None);
    }
}
