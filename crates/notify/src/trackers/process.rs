//! `vrrp_track_process`: which processes count, and when a gain or loss is told. No I/O.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::event::{TrackerDetail, TrackerId, TrackerKind, TrackerReport, TrackerState};
use crate::settings::{ParamMatch, ProcessTrackerConfig};

/// `comm` holds so many bytes of a name.
const COMM_BYTES: usize = 15;

/// What is known of a process.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Seen {
    /// The kernel's name of it, at most 15 bytes.
    pub(crate) comm: String,
    /// Its arguments, the zeroth among them; empty for kernel threads and zombies.
    pub(crate) argv: Vec<String>,
}

impl ProcessTrackerConfig {
    /// Whether the process is one of those to be counted.
    pub(crate) fn matches(&self, seen: &Seen) -> bool {
        let command = seen.argv.first().map(String::as_str).unwrap_or_default();
        let name_matches = if self.full_command {
            command == self.process
        } else {
            let basename = command.rsplit('/').next().unwrap_or(command);
            // A long name is cut in `comm`; it counts only if the uncut one is not to be had.
            basename == self.process
                || seen.comm == self.process
                || (seen.argv.is_empty()
                    && self.process.len() > COMM_BYTES
                    && self.process.as_bytes().starts_with(seen.comm.as_bytes())
                    && seen.comm.len() == COMM_BYTES)
        };
        name_matches && self.args_match(seen.argv.get(1..).unwrap_or_default())
    }

    fn args_match(&self, args: &[String]) -> bool {
        match self.param_match {
            ParamMatch::Any => true,
            ParamMatch::Exact => args == self.args,
            ParamMatch::Initial => args.starts_with(&self.args),
            ParamMatch::Partial => match self.args.split_last() {
                None => true,
                Some((last, initial)) => {
                    args.starts_with(initial)
                        && args.get(initial.len()).is_some_and(|arg| arg.starts_with(last))
                }
            },
        }
    }

    fn within_quorum(&self, count: u32) -> bool {
        // `quorum_max 0` says that none may run, whatever the default quorum says.
        let enough = self.quorum_max == Some(0) || count >= self.quorum;
        enough && self.quorum_max.is_none_or(|most| count <= most)
    }
}

#[derive(Debug)]
pub(crate) struct ProcessTracker {
    config: ProcessTrackerConfig,
    matching: BTreeSet<u32>,
    up: Option<bool>,
    /// The count when it last agreed with `up`.
    steady_count: u32,
    reported: bool,
    /// A change that is told at that time unless it is undone before.
    pending: Option<Instant>,
}

impl ProcessTracker {
    /// A tracker that has counted nothing yet; it replaces another one after a reload.
    pub(crate) fn new(config: ProcessTrackerConfig, replaces: Option<&Self>) -> Self {
        Self {
            config,
            matching: BTreeSet::new(),
            up: None,
            steady_count: 0,
            reported: replaces.is_some_and(|earlier| earlier.reported),
            pending: None,
        }
    }

    pub(crate) fn config(&self) -> &ProcessTrackerConfig {
        &self.config
    }

    /// The whole truth: these processes exist.
    pub(crate) fn replace<'a>(&mut self, all: impl Iterator<Item = (u32, &'a Seen)>) {
        self.matching =
            all.filter(|(_, seen)| self.config.matches(seen)).map(|(pid, _)| pid).collect();
    }

    /// One process is now this; `None`: it is gone.
    pub(crate) fn update(&mut self, pid: u32, seen: Option<&Seen>) {
        if seen.is_some_and(|seen| self.config.matches(seen)) {
            self.matching.insert(pid);
        } else {
            self.matching.remove(&pid);
        }
    }

    /// Whether a process is counted.
    pub(crate) fn counts(&self, pid: u32) -> bool {
        self.matching.contains(&pid)
    }

    /// How many are counted.
    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.matching.len()).unwrap_or(u32::MAX)
    }

    /// When [`ProcessTracker::settle`] wants to be called again.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.pending
    }

    /// Compares the count with the quorum; reports a change that has lasted its delay. The first
    /// finding is told at once.
    pub(crate) fn settle(&mut self, now: Instant, events: bool) -> Option<TrackerReport> {
        let count = self.count();
        let up = self.config.within_quorum(count);
        if self.up == Some(up) {
            self.pending = None;
            self.steady_count = count;
            return None;
        }
        if self.up.is_some() {
            // What brought the change about: processes that came, or processes that went?
            let delay = if count > self.steady_count {
                self.config.fork_delay
            } else {
                self.config.terminate_delay
            };
            if now < *self.pending.get_or_insert(now + delay) {
                return None;
            }
        }
        self.pending = None;
        self.up = Some(up);
        self.steady_count = count;
        let first = !std::mem::replace(&mut self.reported, true);
        Some(TrackerReport {
            id: TrackerId { kind: TrackerKind::Process, name: self.config.name.clone() },
            state: if up { TrackerState::Up } else { TrackerState::Down },
            first,
            detail: TrackerDetail::Processes { count, events },
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn seen(comm: &str, argv: &[&str]) -> Seen {
        Seen { comm: comm.into(), argv: argv.iter().map(|arg| (*arg).to_owned()).collect() }
    }

    fn config(process: &str) -> ProcessTrackerConfig {
        ProcessTrackerConfig::new("p", process)
    }

    #[test]
    fn names_match_by_basename_by_comm_or_by_whole_path() {
        let mut haproxy = config("haproxy");
        assert!(haproxy.matches(&seen("haproxy", &["/usr/sbin/haproxy", "-f"])));
        assert!(haproxy.matches(&seen("haproxy", &["/usr/bin/python3", "/opt/haproxy"])));
        assert!(haproxy.matches(&seen("haproxy", &[])));
        assert!(!haproxy.matches(&seen("haproxy2", &["/usr/sbin/haproxy2"])));
        haproxy.full_command = true;
        assert!(!haproxy.matches(&seen("haproxy", &["/usr/sbin/haproxy"])));
        haproxy.process = "/usr/sbin/haproxy".into();
        assert!(haproxy.matches(&seen("x", &["/usr/sbin/haproxy"])));
    }

    #[test]
    fn names_longer_than_the_kernel_keeps_are_compared_in_full_where_possible() {
        let long = config("a-very-long-daemon");
        assert!(long.matches(&seen("a-very-long-dae", &["/bin/a-very-long-daemon"])));
        assert!(!long.matches(&seen("a-very-long-dae", &["/bin/a-very-long-daemonize"])));
        assert!(long.matches(&seen("a-very-long-dae", &[])));
        assert!(!long.matches(&seen("a-very", &[])));
    }

    #[test]
    fn arguments_match_exactly_initially_or_partially() {
        let mut c = config("x");
        c.args = vec!["-a".into(), "--co".into()];
        let args = |args: &[&str]| seen("x", &[&["x"], args].concat());
        let both = args(&["-a", "--co"]);
        let longer = args(&["-a", "--co", "z"]);
        let prefix = args(&["-a", "--config", "z"]);
        let table = [
            (ParamMatch::Any, [true, true, true]),
            (ParamMatch::Exact, [true, false, false]),
            (ParamMatch::Initial, [true, true, false]),
            (ParamMatch::Partial, [true, true, true]),
        ];
        for (param_match, expected) in table {
            c.param_match = param_match;
            assert_eq!(
                [&both, &longer, &prefix].map(|s| c.matches(s)),
                expected,
                "{param_match:?}"
            );
            let other = args(&["-b", "--co"]);
            assert_eq!(c.matches(&other), param_match == ParamMatch::Any);
        }
    }

    /// A tracker that counts the given number of processes.
    fn with_count(tracker: &mut ProcessTracker, count: u32) {
        let all: Vec<(u32, Seen)> = (1..=count).map(|pid| (pid, seen("x", &["x"]))).collect();
        tracker.replace(all.iter().map(|(pid, seen)| (*pid, seen)));
        assert_eq!(tracker.count(), count);
    }

    #[test]
    fn the_quorum_has_two_ends() {
        let now = Instant::now();
        let mut c = config("x");
        (c.quorum, c.quorum_max) = (2, Some(3));
        let mut tracker = ProcessTracker::new(c.clone(), None);
        let mut states = Vec::new();
        for count in [0, 1, 2, 3, 4, 3] {
            with_count(&mut tracker, count);
            states.push(tracker.settle(now, true).map(|report| report.state));
        }
        use TrackerState::{Down, Up};
        assert_eq!(states, [Some(Down), None, Some(Up), None, Some(Down), Some(Up)]);

        (c.quorum, c.quorum_max) = (1, Some(0));
        let mut tracker = ProcessTracker::new(c, None);
        assert_eq!(tracker.settle(now, true).unwrap().state, Up);
        with_count(&mut tracker, 1);
        assert_eq!(tracker.settle(now, true).unwrap().state, Down);
    }

    #[test]
    fn changes_that_do_not_last_are_not_told() {
        let t0 = Instant::now();
        let at = |ms| t0 + Duration::from_millis(ms);
        let mut c = config("x");
        c.terminate_delay = Duration::from_millis(500);
        c.fork_delay = Duration::from_millis(100);
        let mut tracker = ProcessTracker::new(c, None);
        with_count(&mut tracker, 1);
        assert!(tracker.settle(at(0), true).unwrap().first, "the first finding is told at once");
        with_count(&mut tracker, 0);
        assert_eq!(tracker.settle(at(0), true), None);
        assert_eq!(tracker.deadline(), Some(at(500)));
        assert_eq!(tracker.settle(at(499), true), None);
        with_count(&mut tracker, 1);
        assert_eq!(tracker.settle(at(499), true), None);
        assert_eq!(tracker.deadline(), None, "it came back in time");
        with_count(&mut tracker, 0);
        tracker.settle(at(1000), true);
        assert_eq!(tracker.settle(at(1500), true).unwrap().state, TrackerState::Down);
        with_count(&mut tracker, 1);
        assert_eq!(tracker.settle(at(2000), true), None);
        assert_eq!(tracker.settle(at(2100), true).unwrap().state, TrackerState::Up);
    }

    #[test]
    fn single_events_keep_the_count() {
        let mut tracker = ProcessTracker::new(config("x"), None);
        tracker.update(7, Some(&seen("x", &["x"])));
        tracker.update(7, Some(&seen("x", &["x"])));
        assert!(tracker.counts(7));
        assert_eq!(tracker.count(), 1);
        tracker.update(7, Some(&seen("y", &["y"])));
        assert_eq!(tracker.count(), 0, "it executed something else");
        tracker.update(7, Some(&seen("x", &["x"])));
        tracker.update(7, None);
        assert_eq!(tracker.count(), 0);
    }
}
