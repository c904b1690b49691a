//! When a role that died is started again, and when that has to end.

use std::collections::VecDeque;
use std::time::Duration;

/// Deaths within [`WINDOW`] that are too many.
const MANY: usize = 5;
/// How long a death is remembered. A life as long as this one is a good one.
const WINDOW: Duration = Duration::from_secs(60);
/// The longest pause between two lives.
const LONGEST: Duration = Duration::from_secs(60);

/// What to do about a death.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Start it again, as what it was, after this time. The first time at once: adverts must go on
    /// before another node misses them, and checks before a server fails unseen.
    Again(Duration),
    /// It dies again and again. Take its addresses away, so that another node takes over.
    GiveUp,
}

/// The lives of one role.
#[derive(Debug)]
pub(crate) struct Respawn {
    /// Whether there is an end to trying.
    gives_up: bool,
    /// When the last life began.
    began: Duration,
    deaths: VecDeque<Duration>,
    /// Deaths after short lives, one after the other.
    streak: u32,
    total: u32,
}

impl Respawn {
    /// No life yet. A role that `gives_up` is not started again after five deaths in a minute;
    /// another one is, for ever, after pauses that grow to a minute.
    pub(crate) fn new(gives_up: bool) -> Self {
        Self { gives_up, began: Duration::ZERO, deaths: VecDeque::new(), streak: 0, total: 0 }
    }

    /// Takes note of a start at `now`, on any steady clock.
    pub(crate) fn begins(&mut self, now: Duration) {
        self.began = now;
    }

    /// Takes note of a death at `now`.
    pub(crate) fn died(&mut self, now: Duration) -> Verdict {
        self.total = self.total.saturating_add(1);
        if now.saturating_sub(self.began) >= WINDOW {
            self.streak = 0;
        }
        self.streak = self.streak.saturating_add(1);
        if !self.gives_up {
            return Verdict::Again(match self.streak {
                1 => Duration::ZERO,
                n => Duration::from_secs(1 << (n - 2).min(6)).min(LONGEST),
            });
        }
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

    /// Takes note of a death whose cause will not go away soon.
    pub(crate) fn died_hopelessly(&mut self, now: Duration) -> Verdict {
        match self.died(now) {
            Verdict::Again(_) => Verdict::Again(LONGEST),
            Verdict::GiveUp => Verdict::GiveUp,
        }
    }

    /// Something has changed for the better: pauses are short again.
    pub(crate) fn forgive(&mut self) {
        self.streak = 0;
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
        let mut respawn = Respawn::new(true);
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
        for gives_up in [true, false] {
            let mut respawn = Respawn::new(gives_up);
            for hour in 0..100 {
                let now = Duration::from_secs(3600 * hour);
                assert_eq!(respawn.died(now), Verdict::Again(Duration::ZERO));
                respawn.begins(now);
            }
        }
    }

    #[test]
    fn one_that_does_not_give_up_tries_for_ever_after_growing_pauses() {
        let mut respawn = Respawn::new(false);
        let mut now = Duration::from_secs(1000);
        let mut pauses = Vec::new();
        for _ in 0..100 {
            respawn.begins(now);
            now += Duration::from_millis(10);
            let Verdict::Again(pause) = respawn.died(now) else { panic!("it gave up") };
            pauses.push(pause.as_secs());
            now += pause;
        }
        assert_eq!(pauses[..10], [0, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert!(pauses[10..].iter().all(|pause| *pause == 60));
        // A good life, or a new configuration, and it begins anew.
        respawn.begins(now);
        assert_eq!(respawn.died(now + WINDOW), Verdict::Again(Duration::ZERO));
        respawn.begins(now + WINDOW);
        assert_eq!(respawn.died(now + WINDOW), Verdict::Again(Duration::from_secs(1)));
        respawn.forgive();
        assert_eq!(respawn.died(now + WINDOW), Verdict::Again(Duration::ZERO));
        assert_eq!(respawn.died_hopelessly(now + WINDOW), Verdict::Again(LONGEST));
        assert_eq!(respawn.total(), 104);
    }
}
