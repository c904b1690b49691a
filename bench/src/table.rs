//! The table of results, at most 80 columns wide.

use std::time::Duration;

/// A row of the table.
pub(crate) struct Row {
    title: &'static str,
    unit: Unit,
    goal: Goal,
}

/// What the numbers of a row are.
#[derive(Clone, Copy)]
pub(crate) enum Unit {
    /// Seconds.
    Time,
    /// Bytes.
    Bytes,
    /// A plain number.
    Count,
}

/// What Standfast shall reach.
#[derive(Clone, Copy)]
pub(crate) enum Goal {
    /// At most this, in the row's unit.
    Below(f64),
    /// At most this share of Keepalived's number.
    Ratio(f64),
    /// At least this share of Keepalived's number.
    AtLeast(f64),
}

impl Row {
    pub(crate) const fn new(title: &'static str, unit: Unit, goal: Goal) -> Self {
        Self { title, unit, goal }
    }
}

pub(crate) fn head() {
    println!("{:<33} {:>10} {:>10} {:>6} {:>8} ", "", "keepalived", "standfast", "ratio", "target");
}

pub(crate) fn line(row: &Row, theirs: Option<f64>, ours: Option<f64>) {
    let show = |value: Option<f64>| value.map_or("-".into(), |it| text(it, row.unit));
    let share = match (theirs, ours) {
        (Some(theirs), Some(ours)) if theirs > 0.0 => Some(ours / theirs),
        _ => None,
    };
    let (target, reached) = match row.goal {
        Goal::Below(limit) => (format!("<={}", text(limit, row.unit)), ours.map(|it| it <= limit)),
        Goal::AtLeast(limit) => (format!(">={limit:.2}x"), share.map(|it| it >= limit)),
        Goal::Ratio(limit) => (format!("<={limit:.2}x"), share.map(|it| it <= limit)),
    };
    let verdict = match reached {
        Some(true) => "yes",
        Some(false) => "NO",
        None => "",
    };
    println!(
        "{:<33} {:>10} {:>10} {:>6} {:>8} {:>3}",
        row.title,
        show(theirs),
        show(ours),
        share.map_or("-".into(), |it| format!("{it:.3}")),
        target,
        verdict,
    );
}

fn text(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Time if value >= 1.0 => format!("{value:.2}s"),
        Unit::Time if value >= 0.1 => format!("{:.0}ms", value * 1e3),
        Unit::Time if value == (value * 1e3).round() / 1e3 => format!("{:.0}ms", value * 1e3),
        Unit::Time => format!("{:.2}ms", value * 1e3),
        Unit::Bytes if value < 1e5 => format!("{value:.0}B"),
        Unit::Bytes => format!("{:.1}MB", value / 1e6),
        Unit::Count => format!("{value:.0}"),
    }
}

/// The median; 0 of nothing.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// The largest; 0 of nothing.
pub(crate) fn worst(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

/// Seconds as a number.
pub(crate) fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}
