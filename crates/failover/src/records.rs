//! From engine events to records: numbered, kept for `explain`, and logged.

use std::collections::{HashMap, VecDeque};

use status::{Record, Severity, Timestamp};
use vrrp::{Event, EventKind, Now};

/// Records kept for each instance, and for everything else together.
const KEPT: usize = 64;

/// The records of this life of the role.
#[derive(Debug, Default)]
pub(crate) struct Records {
    seq: u64,
    by_subject: HashMap<String, VecDeque<Record>>,
}

impl Records {
    /// Numbers and keeps a record.
    pub(crate) fn add(&mut self, mut record: Record) -> Record {
        self.seq += 1;
        record.seq = self.seq;
        let subject = record.subject.clone().unwrap_or_default();
        let kept = self.by_subject.entry(subject).or_default();
        if kept.len() >= KEPT {
            kept.pop_front();
        }
        kept.push_back(record.clone());
        record
    }

    /// What is kept about one subject, oldest first.
    pub(crate) fn of(&self, subject: &str) -> Vec<Record> {
        self.by_subject.get(subject).map(|kept| kept.iter().cloned().collect()).unwrap_or_default()
    }

    /// Everything that is kept, oldest first.
    pub(crate) fn all(&self) -> Vec<Record> {
        let mut all: Vec<_> = self.by_subject.values().flatten().cloned().collect();
        all.sort_by_key(|record| record.seq);
        all
    }

    /// Forgets subjects that a reload removed.
    pub(crate) fn retain(&mut self, known: impl Fn(&str) -> bool) {
        self.by_subject.retain(|subject, _| subject.is_empty() || known(subject));
    }

    /// Moves what is kept to a new name after a reload renamed an instance.
    pub(crate) fn rename(&mut self, old: &str, new: &str) {
        if let Some(mut kept) = self.by_subject.remove(old) {
            for record in &mut kept {
                record.subject = Some(new.to_owned());
            }
            self.by_subject.insert(new.to_owned(), kept);
        }
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    fn record(subject: &str, text: &str) -> Record {
        note(Now::default(), Severity::Info, Some(subject), "test", text.into(), None)
    }

    #[test]
    fn the_oldest_go_first_and_numbers_go_on() {
        let mut records = Records::default();
        for n in 0..KEPT + 3 {
            records.add(record("A", &n.to_string()));
        }
        records.add(record("B", "b"));
        let of_a = records.of("A");
        assert_eq!(of_a.len(), KEPT);
        assert_eq!(of_a[0].message, "3");
        assert_eq!(records.all().last().map(|r| r.seq), Some(KEPT as u64 + 4));
    }

    #[test]
    fn removed_subjects_are_forgotten_and_the_node_is_not() {
        let mut records = Records::default();
        for subject in ["A", "B", ""] {
            records.add(record(subject, "x"));
        }
        records.retain(|name| name == "B");
        assert!(records.of("A").is_empty());
        assert_eq!((records.of("B").len(), records.of("").len()), (1, 1));
    }

    #[test]
    fn a_renamed_instance_keeps_its_past() {
        let mut records = Records::default();
        records.add(record("A", "x"));
        records.rename("A", "B");
        assert!(records.of("A").is_empty());
        assert_eq!(records.of("B")[0].subject.as_deref(), Some("B"));
    }
}
