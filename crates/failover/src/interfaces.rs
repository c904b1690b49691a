//! Which interfaces count as up: their state as the kernel tells it, held back by
//! `interface_up_down_delays`. Pure: events and time come from outside.

use std::collections::HashMap;
use std::time::Duration;

use vrrp::Time;

#[derive(Debug)]
struct Watched {
    /// What the rest of the role was told; `None` before the first word.
    told: Option<bool>,
    /// What the kernel says.
    now: bool,
    /// When a change that lasts becomes true.
    due: Option<Time>,
}

/// The interfaces that matter.
#[derive(Debug, Default)]
pub(crate) struct Interfaces {
    watched: HashMap<String, Watched>,
    delays: HashMap<String, (Duration, Duration)>,
}

impl Interfaces {
    /// Watches these from now on, with these delays (down, up).
    pub(crate) fn watch(
        &mut self,
        names: impl Iterator<Item = String>,
        delays: HashMap<String, (Duration, Duration)>,
    ) {
        let mut old = std::mem::take(&mut self.watched);
        self.watched = names
            .map(|name| {
                let state =
                    old.remove(&name).unwrap_or(Watched { told: None, now: false, due: None });
                (name, state)
            })
            .collect();
        self.delays = delays;
    }

    /// Takes note of the kernel's word. Returns the state if it counts at once and is news.
    pub(crate) fn set(&mut self, name: &str, up: bool, now: Time) -> Option<bool> {
        let watched = self.watched.get_mut(name)?;
        watched.now = up;
        let Some(told) = watched.told else {
            // The first word is the starting point, not a change.
            watched.told = Some(up);
            return Some(up);
        };
        if told == up {
            watched.due = None;
            return None;
        }
        let (down_delay, up_delay) = self.delays.get(name).copied().unwrap_or_default();
        let delay = if up { up_delay } else { down_delay };
        if delay.is_zero() {
            watched.told = Some(up);
            watched.due = None;
            return Some(up);
        }
        watched.due.get_or_insert(now + delay);
        None
    }

    /// Whether an interface counts as up.
    pub(crate) fn is_up(&self, name: &str) -> bool {
        self.watched.get(name).and_then(|w| w.told).unwrap_or(false)
    }

    /// When a change that was held back becomes true.
    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        self.watched.values().filter_map(|w| w.due).min()
    }

    /// The changes that have become true.
    pub(crate) fn due(&mut self, now: Time) -> Vec<(String, bool)> {
        let mut out = Vec::new();
        for (name, watched) in &mut self.watched {
            if watched.due.is_some_and(|due| due <= now) {
                watched.due = None;
                watched.told = Some(watched.now);
                out.push((name.clone(), watched.now));
            }
        }
        out.sort_unstable();
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interfaces(down: u64, up: u64) -> Interfaces {
        let mut out = Interfaces::default();
        let delays = (Duration::from_secs(down), Duration::from_secs(up));
        out.watch(["eth0".to_owned()].into_iter(), HashMap::from([("eth0".to_owned(), delays)]));
        out
    }

    fn at(seconds: u64) -> Time {
        Time::from_millis(1000 * seconds)
    }

    #[test]
    fn without_delays_a_change_counts_at_once() {
        let mut eth = interfaces(0, 0);
        assert_eq!(eth.set("eth0", true, at(0)), Some(true));
        assert_eq!(eth.set("eth0", true, at(1)), None);
        assert_eq!(eth.set("eth0", false, at(2)), Some(false));
        assert_eq!(eth.set("eth1", false, at(2)), None);
        assert!(!eth.is_up("eth0"));
    }

    #[test]
    fn a_short_flap_is_never_seen() {
        let mut eth = interfaces(3, 0);
        eth.set("eth0", true, at(0));
        assert_eq!(eth.set("eth0", false, at(10)), None);
        assert_eq!(eth.poll_timeout(), Some(at(13)));
        assert_eq!(eth.set("eth0", true, at(12)), None);
        assert_eq!(eth.poll_timeout(), None);
        assert!(eth.due(at(20)).is_empty());
        assert!(eth.is_up("eth0"));
    }

    #[test]
    fn a_change_that_lasts_counts_after_the_delay() {
        let mut eth = interfaces(3, 5);
        eth.set("eth0", true, at(0));
        eth.set("eth0", false, at(10));
        assert_eq!(eth.due(at(13)), [("eth0".to_owned(), false)]);
        eth.set("eth0", true, at(20));
        assert!(eth.due(at(24)).is_empty());
        assert_eq!(eth.due(at(25)), [("eth0".to_owned(), true)]);
    }
}
