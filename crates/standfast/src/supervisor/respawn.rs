//! When a role that died is started again, and when that has to end.

use std::collections::VecDeque;
use std::time::Duration;

/// Deaths within [`WINDOW`] that are too many.
const MANY: usize = 5;
/// How long a death is remembered.
const WINDOW: Duration = Duration::from_secs(60);

/// What to do about a death.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Start it again, as what it was, after this time. The first time at once: adverts must go on
    /// before another node misses them.
    Again(Duration),
    /// It dies again and again. Take its addresses away, so that another node takes over.
    GiveUp,
}

/// The deaths of one role.
#[derive(Debug, Default)]
pub(crate) struct Respawn {
    deaths: VecDeque<Duration>,
    total: u32,
}

impl Respawn {
    /// Takes note of a death at `now`, on any steady clock.
    pub(crate) fn died(&mut self, now: Duration) -> Verdict {
        self.total = self.total.saturating_add(1);
        while self.deaths.front().is_some_and(|&then| now.saturating_sub(then) > WINDOW) {
            self.deaths.pop_front();
        }
        self.deaths.push_back(now);
        match self.deaths.len() {
            n if n >= MANY => Verdict::GiveUp,
            1 => Verdict::Again(Duration::ZERO),
            // Nothing is gained by dying faster: 100, 200, 400 ms.
            n => Verdict::Again(Duration::from_millis(25 << n.min(5))),
        }
    }

    /// Deaths since the start.
    pub(crate) fn total(&self) -> u32 {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_death_is_mended_at_once_and_the_fifth_in_a_minute_ends_it() {
        let mut respawn = Respawn::default();
        let at = |ms| Duration::from_millis(ms);
        assert_eq!(respawn.died(at(0)), Verdict::Again(Duration::ZERO));
        assert_eq!(respawn.died(at(10)), Verdict::Again(at(100)));
        assert_eq!(respawn.died(at(20)), Verdict::Again(at(200)));
        assert_eq!(respawn.died(at(30)), Verdict::Again(at(400)));
        assert_eq!(respawn.died(at(40)), Verdict::GiveUp);
        assert_eq!(respawn.total(), 5);
    }

    #[test]
    fn a_death_now_and_then_is_not_many() {
        let mut respawn = Respawn::default();
        for hour in 0..100 {
            let now = Duration::from_secs(3600 * hour);
            assert_eq!(respawn.died(now), Verdict::Again(Duration::ZERO));
        }
    }
}
