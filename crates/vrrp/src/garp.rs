//! When addresses are announced (§2.8 of the reference). How far apart the frames of one round are
//! is the caller's business.

use std::time::Duration;

use crate::config::RouterId;
use crate::engine::Engine;
use crate::event::State;
use crate::io::{Announced, Output};
use crate::timers::Timer;

impl Engine {
    /// The first set, on becoming MASTER; sets the timers of the others.
    pub(crate) fn announce_takeover(&mut self, id: RouterId) {
        let garp = self.routers[id].config.garp;
        let now = self.now.mono;
        self.announce(id, Announced::All, garp.repeat);
        if garp.delay > Duration::ZERO {
            self.arm(id, Timer::GarpSecond, Some(now + garp.delay));
        }
        if garp.refresh > Duration::ZERO {
            // The first refresh comes after the second set (2.4).
            self.arm(id, Timer::GarpRefresh, Some(now + garp.delay + garp.refresh));
        }
    }

    /// A timer of announcements ran out.
    pub(crate) fn announce_due(&mut self, id: RouterId, timer: Timer) {
        if self.routers[id].state != State::Master {
            return;
        }
        let garp = self.routers[id].config.garp;
        let repeat = match timer {
            Timer::GarpSecond => garp.repeat,
            Timer::GarpLowerPrio => garp.lower_prio_repeat,
            _ => garp.refresh_repeat,
        };
        self.announce(id, Announced::All, repeat);
        if timer == Timer::GarpRefresh && garp.refresh > Duration::ZERO {
            self.arm(id, Timer::GarpRefresh, Some(self.now.mono + garp.refresh));
        }
    }

    /// After a lower-priority advert, whose sender has announced the same addresses: the whole
    /// group announces again, now and after a while.
    pub(crate) fn announce_after_lower(&mut self, lead: RouterId) {
        for id in self.unit_led_by(lead) {
            let garp = self.routers[id].config.garp;
            if self.routers[id].state != State::Master || garp.lower_prio_repeat == 0 {
                continue;
            }
            self.announce(id, Announced::All, garp.lower_prio_repeat);
            if garp.lower_prio_delay > Duration::ZERO {
                let at = self.now.mono + garp.lower_prio_delay;
                self.arm(id, Timer::GarpLowerPrio, Some(at));
            }
        }
    }

    /// Asks for announcements.
    pub(crate) fn announce(&mut self, id: RouterId, what: Announced, repeat: u32) {
        if repeat > 0 {
            self.out(Output::Announce { router: id, what, repeat });
        }
    }
}
