//! From engine events to records, which are kept for `explain` and logged.

use status::{Record, Severity, Timestamp};
use vrrp::{Event, EventKind, Now};

/// The wall clock of the engine's clock pair.
pub(crate) fn timestamp(now: Now) -> Timestamp {
    Timestamp::from_micros(u64::try_from(now.unix.as_micros()).unwrap_or(u64::MAX))
}

/// The record of an engine event.
pub(crate) fn of_event(event: &Event) -> Record {
    let (from, to) = match &event.kind {
        EventKind::Transition { from, to, .. } => (Some(*from), Some(*to)),
        EventKind::GroupTransition { to, .. } => (None, Some(*to)),
        _ => (None, None),
    };
    Record {
        seq: 0,
        time: timestamp(event.time),
        severity: match event.severity() {
            vrrp::Severity::Info => Severity::Info,
            vrrp::Severity::Warning => Severity::Warning,
            vrrp::Severity::Error => Severity::Error,
        },
        subject: (!event.name.is_empty()).then(|| event.name.clone()),
        kind: event.word().to_owned(),
        from: from.map(|state| state.word().to_owned()),
        to: to.map(|state| state.word().to_owned()),
        message: event.to_string(),
        cause: event.cause(),
        hint: event.hint(),
    }
}

/// A record about something that the role, not the engine, noticed.
pub(crate) fn note(
    now: Now,
    severity: Severity,
    subject: Option<&str>,
    kind: &str,
    message: String,
    hint: Option<String>,
) -> Record {
    Record {
        seq: 0,
        time: timestamp(now),
        severity,
        subject: subject.map(str::to_owned),
        kind: kind.to_owned(),
        from: None,
        to: None,
        message,
        cause: None,
        hint,
    }
}

/// Whether a line belongs into the log without `-D`: what an operator must see.
pub(crate) fn is_notable(event: &Event) -> bool {
    !matches!(
        event.kind,
        EventKind::AdvertTimeout { .. }
            | EventKind::OtherResigned { .. }
            | EventKind::IntervalLearned { .. }
            | EventKind::PeerSeen { .. }
            | EventKind::MasterChanged { .. }
            | EventKind::PreemptDelayStopped
            | EventKind::Changed { .. }
            | EventKind::Added
    )
}
