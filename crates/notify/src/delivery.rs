//! Who runs next: order within a subject, parallelism between subjects, a bound on the whole.

use std::collections::{BTreeMap, VecDeque};

use crate::event::Subject;

/// Items waiting per subject. One item of a subject is out at a time; the next one follows when
/// [`Delivery::finished`] was called.
#[derive(Debug)]
pub(crate) struct Delivery<T> {
    lanes: BTreeMap<Subject, Lane<T>>,
    /// Subjects that may send their next item, longest wait first.
    ready: VecDeque<Subject>,
    waiting: usize,
    running: usize,
}

#[derive(Debug)]
struct Lane<T> {
    items: VecDeque<T>,
    running: bool,
}

impl<T> Delivery<T> {
    pub(crate) fn new() -> Self {
        Self { lanes: BTreeMap::new(), ready: VecDeque::new(), waiting: 0, running: 0 }
    }

    /// Appends an item. If then more than `most` wait, the oldest of the longest lane is given
    /// back: it is the subject whose scripts are stuck that pays.
    pub(crate) fn push(&mut self, subject: &Subject, item: T, most: usize) -> Option<(Subject, T)> {
        let lane = self
            .lanes
            .entry(subject.clone())
            .or_insert_with(|| Lane { items: VecDeque::new(), running: false });
        lane.items.push_back(item);
        if !lane.running && lane.items.len() == 1 {
            self.ready.push_back(subject.clone());
        }
        self.waiting += 1;
        if self.waiting <= most {
            return None;
        }
        let longest = self.lanes.iter().max_by_key(|(_, lane)| lane.items.len())?.0.clone();
        let item = self.lanes.get_mut(&longest)?.items.pop_front()?;
        self.waiting -= 1;
        self.tidy(&longest);
        Some((longest, item))
    }

    /// The next item that may run, if fewer than `parallel` do.
    pub(crate) fn next(&mut self, parallel: usize) -> Option<(Subject, T)> {
        if self.running >= parallel.max(1) {
            return None;
        }
        let subject = self.ready.pop_front()?;
        let lane = self.lanes.get_mut(&subject)?;
        let item = lane.items.pop_front()?;
        lane.running = true;
        self.waiting -= 1;
        self.running += 1;
        Some((subject, item))
    }

    /// The subject's running item has ended.
    pub(crate) fn finished(&mut self, subject: &Subject) {
        let Some(lane) = self.lanes.get_mut(subject) else { return };
        if lane.running {
            lane.running = false;
            self.running -= 1;
            if !lane.items.is_empty() {
                self.ready.push_back(subject.clone());
            }
        }
        self.tidy(subject);
    }

    /// Nothing waits and nothing runs.
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting == 0 && self.running == 0
    }

    /// Takes everything that still waits.
    pub(crate) fn take_waiting(&mut self) -> Vec<(Subject, T)> {
        self.ready.clear();
        self.waiting = 0;
        let mut taken = Vec::new();
        for (subject, lane) in &mut self.lanes {
            taken.extend(lane.items.drain(..).map(|item| (subject.clone(), item)));
        }
        self.lanes.retain(|_, lane| lane.running);
        taken
    }

    /// Forgets a subject that has nothing left.
    fn tidy(&mut self, subject: &Subject) {
        if self.lanes.get(subject).is_some_and(|lane| lane.items.is_empty()) {
            self.ready.retain(|ready| ready != subject);
            if self.lanes.get(subject).is_some_and(|lane| !lane.running) {
                self.lanes.remove(subject);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(name: &str) -> Subject {
        Subject::Instance(name.into())
    }

    #[test]
    fn one_subject_is_served_in_order_one_at_a_time() {
        let mut delivery = Delivery::new();
        let a = subject("a");
        for n in 0..3 {
            assert_eq!(delivery.push(&a, n, 10), None);
        }
        for n in 0..3 {
            assert_eq!(delivery.next(8), Some((a.clone(), n)));
            assert_eq!(delivery.next(8), None);
            delivery.finished(&a);
        }
        assert!(delivery.is_idle());
        assert!(delivery.lanes.is_empty());
    }

    #[test]
    fn subjects_run_side_by_side_up_to_the_bound_and_take_turns() {
        let mut delivery = Delivery::new();
        let (a, b, c) = (subject("a"), subject("b"), subject("c"));
        for n in 0..2 {
            for s in [&a, &b, &c] {
                delivery.push(s, n, 10);
            }
        }
        assert_eq!(delivery.next(2), Some((a.clone(), 0)));
        assert_eq!(delivery.next(2), Some((b.clone(), 0)));
        assert_eq!(delivery.next(2), None);
        delivery.finished(&a);
        assert_eq!(delivery.next(2), Some((c, 0)), "a has to queue up again");
        delivery.finished(&b);
        assert_eq!(delivery.next(2), Some((a, 1)));
    }

    #[test]
    fn beyond_the_bound_the_longest_lane_loses_its_oldest() {
        let mut delivery = Delivery::new();
        let (a, b) = (subject("a"), subject("b"));
        delivery.push(&a, 0, 3);
        delivery.push(&b, 10, 3);
        delivery.push(&b, 11, 3);
        assert_eq!(delivery.push(&a, 1, 3).unwrap().1 % 10, 0);
        assert_eq!(delivery.push(&b, 12, 3).unwrap().0, b);
        assert_eq!(delivery.take_waiting().len(), 3);
        assert!(delivery.is_idle());
    }

    #[test]
    fn dropping_the_only_waiting_item_leaves_no_ghost() {
        let mut delivery = Delivery::new();
        let a = subject("a");
        assert_eq!(delivery.push(&a, 0, 0), Some((a.clone(), 0)));
        assert_eq!(delivery.next(1), None);
        assert_eq!(delivery.push(&a, 1, 1), None);
        assert_eq!(delivery.next(1), Some((a, 1)));
    }
}
