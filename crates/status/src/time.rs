//! Wall-clock instants as they appear in snapshots and records.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An instant of the wall clock: microseconds since the Unix epoch.
///
/// In JSON it is a number of seconds with a fraction, exact to the microsecond.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// Microseconds since 1970-01-01 00:00:00 UTC.
    pub micros: u64,
}

impl Timestamp {
    /// The instant that many microseconds after the epoch.
    pub const fn from_micros(micros: u64) -> Self {
        Self { micros }
    }

    /// Whole seconds since the epoch.
    pub const fn secs(self) -> u64 {
        self.micros / 1_000_000
    }

    /// The microseconds within the second, 0..=999999.
    pub const fn subsec_micros(self) -> u32 {
        (self.micros % 1_000_000) as u32
    }

    /// Seconds from `self` until `later`; 0 when `later` is earlier.
    pub fn until(self, later: Self) -> f64 {
        later.micros.saturating_sub(self.micros) as f64 / 1e6
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Exact: 2^53 µs is the year 2255.
        serializer.serialize_f64(self.micros as f64 / 1e6)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let secs = f64::deserialize(deserializer)?;
        if secs.is_finite() && secs >= 0.0 {
            Ok(Self { micros: (secs * 1e6).round() as u64 })
        } else {
            Err(serde::de::Error::custom("a time stamp is a number of seconds, not negative"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_keeps_every_microsecond() {
        for micros in [0, 1, 999_999, 1_795_263_474_242_479, 1_795_263_474_000_001] {
            let stamp = Timestamp::from_micros(micros);
            let json = serde_json::to_string(&stamp).unwrap();
            assert_eq!(serde_json::from_str::<Timestamp>(&json).unwrap(), stamp, "{json}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(serde_json::from_str::<Timestamp>("-1").is_err());
        assert!(serde_json::from_str::<Timestamp>("\"x\"").is_err());
    }
}
