//! The priority sum, and faults of things tracked (§2.9 of the reference).

use std::collections::HashMap;

use crate::config::{GroupConfig, RouterConfig, Track, TrackerId, TrackerState};
use crate::event::{FaultReason, Term};

/// A product or weight at which a failure means FAULT instead of a smaller priority.
const FAULT_AT: i64 = 254;

/// States of everything tracked.
pub(crate) type Trackers = HashMap<TrackerId, TrackerState>;

/// What the tracked things of a router amount to.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Assessment {
    pub(crate) terms: Vec<Term>,
    /// Base and terms, before it is held within 1..=254.
    pub(crate) total: i64,
    /// The priority in force.
    pub(crate) effective: u8,
    pub(crate) faults: Vec<FaultReason>,
    pub(crate) waiting_for: Vec<String>,
}

/// Adds up what a router and its group track. `acting_254`: an owner that gives way.
pub(crate) fn assess(
    config: &RouterConfig,
    group: Option<&GroupConfig>,
    trackers: &Trackers,
    acting_254: bool,
) -> Assessment {
    let mut out = Assessment { total: i64::from(config.priority.get()), ..Assessment::default() };
    let owner = config.priority.get() == 255;
    // In a group, weights of members count only with `sync_group_tracking_weight`.
    let own_weights = group.is_none_or(|group| group.tracking_weight);
    for track in &config.tracks {
        if own_weights || weight(track).is_none() {
            out.add(track, None, trackers);
        }
    }
    if let Some(group) = group {
        for track in &group.tracks {
            out.add(track, Some(&group.name), trackers);
        }
    }
    if owner {
        // An owner never changes (RFC 9568 §5.2.4).
        for term in &mut out.terms {
            term.adds = 0;
        }
        out.total = 255;
        out.effective = if acting_254 { 254 } else { 255 };
    } else {
        out.effective = out.total.clamp(1, 254) as u8;
    }
    out
}

/// The weight, if it is one: 0 is none.
fn weight(track: &Track) -> Option<i64> {
    track.weight.filter(|&weight| weight != 0).map(i64::from)
}

impl Assessment {
    fn add(&mut self, track: &Track, group: Option<&str>, trackers: &Trackers) {
        let state = trackers.get(&track.id).copied().unwrap_or_default();
        let (adds, fault) = effect(track, state);
        self.total = self.total.saturating_add(adds);
        self.terms.push(Term {
            kind: track.kind,
            name: track.name.clone(),
            state,
            weight: weight(track).and(track.weight),
            reverse: track.reverse,
            adds,
        });
        if fault {
            self.faults.push(FaultReason::Tracker {
                kind: track.kind,
                name: track.name.clone(),
                state,
                group: group.map(str::to_owned),
            });
        }
        if state == TrackerState::Unknown && track.holds_init && weight(track).is_none() {
            self.waiting_for.push(format!("{} {}", track.kind, track.name));
        }
    }
}

/// What a tracked thing adds, and whether it means FAULT.
fn effect(track: &Track, state: TrackerState) -> (i64, bool) {
    let Some(weight) = weight(track) else {
        let failed = match state {
            TrackerState::Unknown => return (0, false),
            TrackerState::Up => false,
            TrackerState::Down => true,
            TrackerState::Value(value) => value != 0,
        };
        return (0, failed != track.reverse);
    };
    match state {
        TrackerState::Unknown => (0, false),
        TrackerState::Value(value) => {
            let product = value.saturating_mul(weight);
            let product = if track.reverse { product.saturating_neg() } else { product };
            if product <= -FAULT_AT { (0, true) } else { (product.min(FAULT_AT), false) }
        }
        TrackerState::Up | TrackerState::Down => {
            let up = state == TrackerState::Up;
            if up == track.reverse && weight.abs() >= FAULT_AT {
                return (0, true);
            }
            // Positive counts while up, negative while down; reverse turns what it adds, not when.
            let adds = if up == (weight > 0) { weight } else { 0 };
            (if track.reverse { -adds } else { adds }, false)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::TrackKind;

    fn track(weight: Option<i32>, reverse: bool) -> Track {
        Track {
            id: TrackerId(1),
            kind: TrackKind::Script,
            name: "chk".into(),
            weight,
            reverse,
            holds_init: true,
        }
    }

    #[test]
    fn weights() {
        use TrackerState::{Down, Unknown, Up, Value};
        let cases = [
            (Some(10), false, Up, (10, false)),
            (Some(10), false, Down, (0, false)),
            (Some(-10), false, Up, (0, false)),
            (Some(-10), false, Down, (-10, false)),
            (Some(10), true, Up, (-10, false)),
            (Some(10), true, Down, (0, false)),
            (Some(-10), true, Up, (0, false)),
            (Some(-10), true, Down, (10, false)),
            (Some(-10), true, Unknown, (0, false)),
            (None, false, Up, (0, false)),
            (None, false, Down, (0, true)),
            (Some(0), false, Down, (0, true)),
            (None, true, Up, (0, true)),
            (None, false, Unknown, (0, false)),
            (None, true, Unknown, (0, false)),
            (None, false, Value(0), (0, false)),
            (None, false, Value(3), (0, true)),
            (Some(2), false, Value(-7), (-14, false)),
            (Some(2), true, Value(7), (-14, false)),
            (Some(1), false, Value(-253), (-253, false)),
            (Some(1), false, Value(-254), (0, true)),
            (Some(1), false, Value(i64::MIN), (0, true)),
            (Some(1), true, Value(i64::MIN), (254, false)),
            (Some(-254), false, Down, (0, true)),
            (Some(-254), false, Up, (0, false)),
            (Some(-254), true, Up, (0, true)),
            (Some(254), true, Down, (0, false)),
        ];
        for (weight, reverse, state, expected) in cases {
            assert_eq!(
                effect(&track(weight, reverse), state),
                expected,
                "weight {weight:?} reverse {reverse} {state:?}"
            );
        }
    }
}
