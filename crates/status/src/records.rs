//! The records of one life of a role: numbered, and the latest of each subject kept in memory.

use std::collections::{HashMap, VecDeque};

use crate::Record;

/// Records kept for each subject, and for everything else together.
const KEPT: usize = 64;

/// The records of this life of the role.
#[derive(Debug, Default)]
pub struct Records {
    seq: u64,
    by_subject: HashMap<String, VecDeque<Record>>,
}

impl Records {
    /// Numbers and keeps a record.
    pub fn add(&mut self, mut record: Record) -> Record {
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
    pub fn of(&self, subject: &str) -> Vec<Record> {
        self.by_subject.get(subject).map(|kept| kept.iter().cloned().collect()).unwrap_or_default()
    }

    /// Everything that is kept, oldest first.
    pub fn all(&self) -> Vec<Record> {
        let mut all: Vec<_> = self.by_subject.values().flatten().cloned().collect();
        all.sort_by_key(|record| record.seq);
        all
    }

    /// Forgets subjects that a reload removed.
    pub fn retain(&mut self, known: impl Fn(&str) -> bool) {
        self.by_subject.retain(|subject, _| subject.is_empty() || known(subject));
    }

    /// Moves what is kept to a new name after a reload renamed its subject.
    pub fn rename(&mut self, old: &str, new: &str) {
        if let Some(mut kept) = self.by_subject.remove(old) {
            for record in &mut kept {
                record.subject = Some(new.to_owned());
            }
            self.by_subject.insert(new.to_owned(), kept);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Severity, Timestamp};

    fn record(subject: &str, text: &str) -> Record {
        Record {
            seq: 0,
            time: Timestamp::default(),
            severity: Severity::Info,
            subject: Some(subject.to_owned()),
            kind: "test".into(),
            from: None,
            to: None,
            message: text.into(),
            cause: None,
            hint: None,
        }
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
