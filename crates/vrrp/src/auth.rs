//! Keys ready for use, and the clockwork of `auth_hmac` (§2.3 of the reference).

use std::time::Duration;

use wire::hmac_ext::Stamp;
use wire::{ah, hmac_ext};

use crate::config::{AntiReplay, Auth, HmacConfig, HmacMode};
use crate::event::Rejection;
use crate::time::Now;

/// The keys of one router.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    ah: Option<ah::Key>,
    hmac: Vec<(u8, hmac_ext::Key)>,
    signing: Option<u8>,
}

impl Keys {
    pub(crate) fn new(auth: &Auth) -> Self {
        match auth {
            Auth::None | Auth::Pass(_) => Self::default(),
            Auth::Ah(secret) => Self { ah: Some(ah::Key::new(secret.eight())), ..Self::default() },
            Auth::Hmac(config) => Self {
                ah: None,
                hmac: config
                    .keys
                    .iter()
                    .map(|key| (key.id.get(), hmac_ext::Key::new(key.secret.bytes())))
                    .collect(),
                signing: match config.mode {
                    HmacMode::Enforce | HmacMode::Permissive => Some(config.active_key.get()),
                    HmacMode::ReceiveOnly => None,
                },
            },
        }
    }

    pub(crate) fn ah(&self) -> Option<&ah::Key> {
        self.ah.as_ref()
    }

    pub(crate) fn hmac(&self, id: u8) -> Option<&hmac_ext::Key> {
        self.hmac.iter().find(|key| key.0 == id).map(|key| &key.1)
    }

    /// The key to sign with, if adverts are to be signed.
    pub(crate) fn signing(&self) -> Option<(u8, &hmac_ext::Key)> {
        let id = self.signing?;
        Some((id, self.hmac(id)?))
    }
}

/// A stamp as a number that grows.
pub(crate) fn stamp_number(stamp: Stamp) -> u64 {
    u64::from(stamp.seconds) << 32 | u64::from(stamp.fraction) << 16 | u64::from(stamp.counter)
}

pub(crate) fn stamp_of(number: u64) -> Stamp {
    Stamp {
        seconds: (number >> 32) as u32,
        fraction: (number >> 16) as u16, // the low half of what is left
        counter: number as u16,
    }
}

/// The stamp for the next advert: the time, but always above the last one. If the clock was set
/// back by more than the window, receivers want the new time rather than the growth.
pub(crate) fn next_stamp(config: &HmacConfig, last: u64, now: Now) -> Stamp {
    let stamp = Stamp::new(now.unix, 0);
    let number = stamp_number(stamp);
    if number > last {
        return stamp;
    }
    let ahead = Duration::from_secs((last - number) >> 32);
    let grow = match config.anti_replay {
        AntiReplay::Monotonic => true,
        AntiReplay::Time => ahead < config.time_window,
    };
    if grow { stamp_of(last.saturating_add(1)) } else { stamp }
}

/// Checks the age of a stamp. Gives the distance of the sender's clock from ours.
pub(crate) fn hmac_fresh(
    config: &HmacConfig,
    stamp: Stamp,
    now: Now,
) -> Result<Duration, Rejection> {
    let off = stamp.since_epoch().abs_diff(now.unix);
    let window = config.time_window;
    match config.anti_replay {
        AntiReplay::Time if off > window => Err(Rejection::HmacStale { off, window }),
        AntiReplay::Time => Ok(off),
        AntiReplay::Monotonic => Ok(Duration::ZERO),
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU8;

    use super::*;
    use crate::time::Time;

    fn config(anti_replay: AntiReplay) -> HmacConfig {
        HmacConfig {
            keys: Vec::new(),
            active_key: NonZeroU8::MIN,
            time_window: Duration::from_secs(5),
            anti_replay,
            mode: HmacMode::Enforce,
        }
    }

    fn at(secs: u64) -> Now {
        Now::new(Time::ZERO, Duration::from_secs(secs))
    }

    #[test]
    fn stamps_grow_even_if_the_clock_does_not() {
        let config = config(AntiReplay::Time);
        let mut last = 0;
        for _ in 0..100_000 {
            let next = stamp_number(next_stamp(&config, last, at(1000)));
            assert!(next > last);
            last = next;
        }
        assert!(stamp_number(next_stamp(&config, last, at(996))) > last, "a small step back");
        let back = next_stamp(&config, last, at(900));
        assert_eq!(back.seconds, 900, "a big step back: the time counts");
    }

    #[test]
    fn monotonic_never_goes_back() {
        let config = config(AntiReplay::Monotonic);
        let last = stamp_number(Stamp::new(Duration::from_secs(1000), 7));
        assert!(stamp_number(next_stamp(&config, last, at(10))) > last);
        assert!(hmac_fresh(&config, Stamp::new(Duration::from_secs(10), 0), at(1000)).is_ok());
    }

    #[test]
    fn the_window_has_two_sides() {
        let config = config(AntiReplay::Time);
        let stamp = |secs| Stamp::new(Duration::from_secs(secs), 0);
        assert_eq!(hmac_fresh(&config, stamp(995), at(1000)), Ok(Duration::from_secs(5)));
        assert_eq!(hmac_fresh(&config, stamp(1005), at(1000)), Ok(Duration::from_secs(5)));
        assert!(hmac_fresh(&config, stamp(994), at(1000)).is_err());
        assert!(hmac_fresh(&config, stamp(1006), at(1000)).is_err());
    }
}
