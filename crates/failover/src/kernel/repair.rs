//! What others remove is put back: at once, and if the same hand removes it again and again, once
//! a second.

use std::time::Duration;

use vrrp::Time;

use super::form::{Form, Key, same_route, same_rule};
use super::{Job, KernelState, Owner, Told};

/// Repairs of one thing at once.
const AT_ONCE: u32 = 10;
/// Each time that this passes, one more repair may be made at once.
const REFILL: Duration = Duration::from_secs(10);
/// Pause before a repair when there were too many, so that a quarrel with another program does not
/// eat the machine.
const PAUSE: Duration = Duration::from_secs(1);
/// Of repairs that were slowed, one in so many is told.
const TELL_EVERY: u32 = 60;
/// How long news of a removal of our own may be under way.
const NEWS_TAKE: Duration = Duration::from_secs(5);

/// How many repairs may be made at once: a bucket that fills again with time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    left: u32,
    filled: Time,
}

impl Default for Budget {
    fn default() -> Self {
        Self { left: AT_ONCE, filled: Time::ZERO }
    }
}

impl Budget {
    /// Takes one; `false` if there is none.
    fn take(&mut self, now: Time) -> bool {
        let fills = now.since(self.filled).as_secs() / REFILL.as_secs();
        if fills > 0 {
            self.left = u32::try_from(fills).unwrap_or(AT_ONCE).saturating_add(self.left);
            self.left = self.left.min(AT_ONCE);
            self.filled = now;
        }
        self.left.checked_sub(1).map(|left| self.left = left).is_some()
    }
}

impl KernelState {
    /// An address is gone; one that we hold is put back.
    pub(crate) fn address_removed(&mut self, address: &netlink::Address, now: Time) {
        // When ours was put there anew meanwhile, the news is old and the address is not gone.
        let key = Key::of_address(address);
        if self.was_expected(key, now) {
            return;
        }
        self.addresses.remove(address.ifindex, address.ip, address.prefix_len);
        for owner in self.removed(key, now, |_| true) {
            self.put_back_what_leans_on(owner, address.ip);
        }
    }

    /// A route is gone; one that we hold is put back.
    pub(crate) fn route_removed(&mut self, route: &netlink::Route, now: Time) {
        let key = Key::of_route(route);
        if !self.was_expected(key, now) {
            self.removed(
                key,
                now,
                |form| matches!(form, Form::Route(ours, _) if same_route(ours, route)),
            );
        }
    }

    /// A rule is gone; one that we hold is put back.
    pub(crate) fn rule_removed(&mut self, rule: &netlink::Rule, now: Time) {
        let key = Key::of_rule(rule);
        if !self.was_expected(key, now) {
            self.removed(
                key,
                now,
                |form| matches!(form, Form::Rule(ours) if same_rule(ours, rule)),
            );
        }
    }

    /// Notes that news of a removal will come that is our own doing.
    pub(super) fn expect_removal(&mut self, key: Key, now: Time) {
        let (count, at) = self.own_removals.entry(key).or_insert((0, now));
        *count += 1;
        *at = now;
    }

    fn was_expected(&mut self, key: Key, now: Time) -> bool {
        let Some((count, at)) = self.own_removals.get_mut(&key) else { return false };
        let fresh = now.since(*at) < NEWS_TAKE;
        *count -= 1;
        if !fresh || *count == 0 {
            self.own_removals.remove(&key);
        }
        fresh
    }

    /// Puts back what somebody removed. Returns the owners of what is put back at once.
    fn removed(&mut self, key: Key, now: Time, matches: impl Fn(&Form) -> bool) -> Vec<Owner> {
        let mut repaired = Vec::new();
        for &(owner, index) in self.held.get(&key).into_iter().flatten() {
            let piece = self.slots.get_mut(&owner).and_then(|slot| slot.pieces.get_mut(index));
            let Some(piece) = piece.filter(|piece| piece.set) else { continue };
            let Some(form) = piece.form.as_ref().filter(|form| matches(form)) else { continue };
            piece.set = false;
            // An interface that is gone or down is another story, told elsewhere.
            let works = form.interface().is_none_or(|i| {
                self.links.get(&i).is_some_and(|l| l.flags.contains(netlink::LinkFlags::UP))
            });
            if !piece.tracked || !works {
                continue;
            }
            piece.repaired += 1;
            let slowed = !piece.budget.take(now);
            if slowed {
                self.repairs.insert((now + PAUSE, owner, index));
            } else {
                self.queue.push_back(Job { request: form.add(), adds: Some((owner, index)) });
                repaired.push(owner);
            }
            if !slowed || piece.repaired % TELL_EVERY == 0 || piece.repaired == AT_ONCE + 1 {
                self.told.push(Told::Removed {
                    owner,
                    text: piece.text.clone(),
                    times: piece.repaired,
                    slowed,
                });
            }
        }
        repaired
    }

    /// The kernel drops routes along with their source address, without a word.
    fn put_back_what_leans_on(&mut self, owner: Owner, address: std::net::IpAddr) {
        let Some(slot) = self.slots.get(&owner) else { return };
        for (index, piece) in slot.pieces.iter().enumerate() {
            if let Some(form) = piece.form.as_ref().filter(|form| form.leans_on(address)) {
                self.queue.push_back(Job { request: form.add(), adds: Some((owner, index)) });
            }
        }
    }

    /// When a repair that was put off is due.
    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        self.repairs.first().map(|(at, ..)| *at)
    }

    /// Does the repairs that are due.
    pub(crate) fn handle_timeout(&mut self, now: Time) {
        while let Some(&(at, owner, index)) = self.repairs.first()
            && at <= now
        {
            self.repairs.pop_first();
            let Some(slot) = self.slots.get(&owner).filter(|slot| slot.held) else { continue };
            let Some(piece) = slot.pieces.get(index).filter(|piece| !piece.set) else { continue };
            let Some(form) = &piece.form else { continue };
            self.queue.push_back(Job { request: form.add(), adds: Some((owner, index)) });
            if let Form::Address(address) = form {
                let ip = address.ip;
                self.put_back_what_leans_on(owner, ip);
            }
        }
    }
}
