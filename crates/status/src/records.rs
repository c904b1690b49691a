//! The records of one life of a role: numbered, and the latest of each subject kept in memory.

use std::collections::{HashMap, VecDeque};

use crate::Record;

/// Records kept for each subject, and for everything else together.
const KEPT: usize = 64;

/// The records of this life of the role.
#[derive(Debug)]
pub struct Records {
    seq: u64,
    most: usize,
    by_subject: HashMap<String, VecDeque<Record>>,
}

impl Default for Records {
    fn default() -> Self {
        Self { seq: 0, most: KEPT, by_subject: HashMap::new() }
    }
}

impl Records {
    /// Keeps at most so many records for each subject from now on, instead of 64.
    pub fn keep(&mut self, most: usize) {
        self.most = most;
    }

    /// Numbers and keeps a record.
    pub fn add(&mut self, record: Record) -> Record {
        let subject = record.subject.clone().unwrap_or_default();
        self.add_under(&subject, record)
    }

    /// Numbers a record and keeps it with those of another subject than its own: that of a real
    /// server with its virtual server's.
    pub fn add_under(&mut self, subject: &str, mut record: Record) -> Record {
        self.seq += 1;
        record.seq = self.seq;
        let kept = self.by_subject.entry(subject.to_owned()).or_default();
        while kept.len() >= self.most.max(1) {
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
    fn records_of_a_part_are_with_those_of_the_whole() {
        let mut records = Records::default();
        records.keep(2);
        for text in ["1", "2", "3"] {
            records.add_under("whole", record("part", text));
        }
        let of_whole = records.of("whole");
        assert_eq!(of_whole.iter().map(|r| r.seq).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(of_whole[0].subject.as_deref(), Some("part"));
        assert!(records.of("part").is_empty());
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
