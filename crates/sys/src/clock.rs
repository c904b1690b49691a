//! The kernel's clocks as nanosecond counts.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};

/// A clock that never goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Clock {
    /// CLOCK_MONOTONIC: stands still while the machine is suspended.
    Monotonic,
    /// CLOCK_BOOTTIME: goes on while the machine is suspended.
    Boottime,
}

impl Clock {
    /// Nanoseconds since boot.
    pub fn now(self) -> u64 {
        let id = match self {
            Self::Monotonic => ClockId::CLOCK_MONOTONIC,
            Self::Boottime => ClockId::CLOCK_BOOTTIME,
        };
        // Both clocks exist on every kernel that can run us (2.6.39).
        clock_gettime(id).map_or(0, |time| {
            let (seconds, nanos) = (time.tv_sec().unsigned_abs(), time.tv_nsec().unsigned_abs());
            seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
        })
    }
}

/// Time since the Unix epoch by the wall clock, which may jump; zero before 1970.
pub fn unix_now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Time since the machine booted, suspended time included.
pub fn since_boot() -> Duration {
    Duration::from_nanos(Clock::Boottime.now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_advance_and_boottime_is_not_behind() {
        let first = Clock::Monotonic.now();
        let boot = Clock::Boottime.now();
        assert!(first > 0 && boot >= first);
        assert!(Clock::Monotonic.now() >= first);
        assert!(since_boot().as_nanos() >= u128::from(boot));
        assert!(unix_now() > Duration::from_secs(1_700_000_000));
    }
}
