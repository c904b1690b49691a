//! When a check looks, and when its results make it up or down. No I/O, no clock, no randomness.
//!
//! ```text
//!  start ─ 0..warmup ─► look ─ fine ─ delay_loop ─► look ─ fails ─ delay_before_retry ─► look … retry times,
//!                                                                      then down: delay_loop ─► look
//!  while down:          look ─ fails ─ delay_before_retry ─► look ─ fine: up ─ delay_loop ─► look
//! ```
//!
//! Waits are from the end of one look to the start of the next; for scripts from start to start.

use std::time::Duration;

use tokio::time::Instant;

use crate::outcome::State;
use crate::spec::Start;

/// When and how often a check looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `delay_loop`: from the end of a look to the next.
    pub delay_loop: Duration,
    /// `retry`: failures in a row that are forgiven.
    pub retry: u32,
    /// `delay_before_retry`: from a failure to the next look.
    pub delay_before_retry: Duration,
    /// `warmup`: the first look is somewhere within this.
    pub warmup: Duration,
    /// `alpha`: down until it has succeeded.
    pub alpha: bool,
    /// Places to look at, one each turn (the urls of `HTTP_GET`); at least 1. All must be fine to
    /// come up.
    pub steps: u32,
    /// While down, failures are followed by retries as while up (TCP_CHECK and its kind do so);
    /// otherwise by the delay loop.
    pub retry_when_down: bool,
    /// Waits are counted from the start of a look (MISC_CHECK) instead of from its end.
    pub from_start: bool,
    /// `fast_recovery`: while it is not up, no wait between the steps.
    pub fast_recovery: bool,
}

/// From the end of a look that took longer than its delay to the next, at most.
const BREATH: Duration = Duration::from_secs(1);

const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// What a result means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is up now, or its first result says so.
    Up,
    /// It is down now, after so many retries.
    Down {
        /// Failures that were forgiven before this one.
        retries: u32,
    },
    /// A failure that is forgiven.
    Attempt {
        /// Failures in a row, from 1.
        number: u32,
    },
    /// Nothing that was not known.
    Same,
}

/// The timing of one check.
#[derive(Clone, Debug)]
pub struct Schedule {
    settings: Settings,
    state: State,
    phase: Phase,
    /// The step that is looked at next.
    step: u32,
    /// Looks in a row that were fine.
    passed: u32,
    /// Failures in a row, up to the point where they have counted.
    failures: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Waiting(Instant),
    /// Since when.
    Looking(Instant),
    Suspended,
}

impl Schedule {
    /// A check that begins now. `spread`, 0 to 1 and random, is the share of the warm-up after which
    /// it looks first.
    pub fn new(settings: Settings, start: Start, spread: f64, now: Instant) -> Self {
        let state = match start {
            Start::Fresh => State::Unknown,
            Start::Resumed { up: true } => State::Up,
            Start::Resumed { up: false } => State::Down,
        };
        let mut schedule =
            Self { settings, state, phase: Phase::Suspended, step: 0, passed: 0, failures: 0 };
        schedule.warm_up(spread, now);
        schedule
    }

    /// Up, down, or no result yet.
    pub fn state(&self) -> State {
        self.state
    }

    /// When to look; `None` while it looks and while it is suspended.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.phase {
            Phase::Waiting(at) => Some(at),
            Phase::Looking(_) | Phase::Suspended => None,
        }
    }

    /// If it is time to look: at which step. The result goes to [`Self::handle_result`].
    pub fn handle_timeout(&mut self, now: Instant) -> Option<u32> {
        match self.phase {
            Phase::Waiting(at) if at <= now => {
                self.phase = Phase::Looking(now);
                Some(self.step)
            }
            _ => None,
        }
    }

    /// A look has ended. Without effect while suspended.
    pub fn handle_result(&mut self, fine: bool, now: Instant) -> Verdict {
        let Phase::Looking(began) = self.phase else { return Verdict::Same };
        let (verdict, delay) = if fine { self.success() } else { self.failure() };
        let spent = if self.settings.from_start {
            now.saturating_duration_since(began)
        } else {
            Duration::ZERO
        };
        // What takes longer than its delay goes on after a breath.
        let rest = delay.checked_sub(spent).unwrap_or(delay.min(BREATH));
        self.wait(rest, now);
        verdict
    }

    /// What others told about a check that does not look itself: there are no retries.
    pub fn handle_told(&mut self, fine: bool) -> Verdict {
        let state = if fine { State::Up } else { State::Down };
        match (std::mem::replace(&mut self.state, state) == state, fine) {
            (true, _) => Verdict::Same,
            (false, true) => Verdict::Up,
            (false, false) => Verdict::Down { retries: 0 },
        }
    }

    /// It could not look, for a reason of ours: it will look again, nothing else changes.
    pub fn hindered(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Looking(_)) {
            self.wait(self.settings.delay_loop, now);
        }
    }

    /// Stops looking. A look that is going on does not count.
    pub fn suspend(&mut self) {
        self.phase = Phase::Suspended;
    }

    /// Looks again; `spread` as in [`Self::new`].
    pub fn resume(&mut self, spread: f64, now: Instant) {
        if self.phase == Phase::Suspended {
            self.warm_up(spread, now);
        }
    }

    /// Whether it is suspended.
    pub fn is_suspended(&self) -> bool {
        self.phase == Phase::Suspended
    }

    fn success(&mut self) -> (Verdict, Duration) {
        let Settings { steps, delay_loop, fast_recovery, .. } = self.settings;
        self.failures = 0;
        self.step = (self.step + 1) % steps.max(1);
        if self.state == State::Up {
            return (Verdict::Same, delay_loop);
        }
        self.passed += 1;
        if self.passed >= steps {
            self.state = State::Up;
            return (Verdict::Up, delay_loop);
        }
        (Verdict::Same, if fast_recovery { Duration::ZERO } else { delay_loop })
    }

    fn failure(&mut self) -> (Verdict, Duration) {
        let Settings { retry, delay_loop, delay_before_retry, retry_when_down, .. } = self.settings;
        self.passed = 0;
        let before = self.state;
        let forgiven = match before {
            // Nothing is known to its credit yet.
            State::Unknown => false,
            State::Up => self.failures < retry,
            State::Down => retry_when_down && self.failures < retry,
        };
        if forgiven {
            self.failures += 1;
            let number = self.failures;
            let verdict =
                if before == State::Up { Verdict::Attempt { number } } else { Verdict::Same };
            return (verdict, delay_before_retry);
        }
        let retries = std::mem::take(&mut self.failures);
        self.state = State::Down;
        let verdict = if before == State::Down { Verdict::Same } else { Verdict::Down { retries } };
        (verdict, delay_loop)
    }

    fn warm_up(&mut self, spread: f64, now: Instant) {
        let share = if spread.is_finite() { spread.clamp(0.0, 1.0) } else { 0.0 };
        self.wait(self.settings.warmup.min(YEAR).mul_f64(share), now);
    }

    fn wait(&mut self, delay: Duration, now: Instant) {
        self.phase = Phase::Waiting(after(now, delay));
    }
}

/// Later, by 1 ms at least, so that no setting makes a check busy, and by a year at most, so that
/// every time can be expressed.
fn after(now: Instant, delay: Duration) -> Instant {
    const LEAST: Duration = Duration::from_millis(1);
    now + delay.clamp(LEAST, YEAR)
}
