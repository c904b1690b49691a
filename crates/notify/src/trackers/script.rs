//! `vrrp_script`: when to run it, what its results mean, and all of them together.

use std::time::{Duration, Instant};

use crate::engine::{Outbox, Purpose};
use crate::event::{
    Outcome, Report, TrackerDetail, TrackerId, TrackerKind, TrackerReport, TrackerState,
};
use crate::jobs::{JobId, Jobs, Terms};
use crate::process::Bond;
use crate::settings::ScriptTrackerConfig;

/// From so many scripts on, their second runs are spread over the interval so that they do not all
/// start in the same instant for ever.
const SPREAD_FROM: usize = 8;

/// So many scripts are started before the worker looks at other things.
const AT_ONCE: usize = 32;

/// From SIGTERM to SIGKILL for a run that took too long.
const KILL_AFTER: Duration = Duration::from_secs(2);

/// One script, its results and its next start.
#[derive(Debug)]
pub(crate) struct ScriptTracker {
    config: ScriptTrackerConfig,
    up: Option<bool>,
    /// The last result and how often it came in a row.
    last: Option<bool>,
    in_a_row: u32,
    /// The next result decides, whatever `rise` and `fall` say.
    one_is_enough: bool,
    reported: bool,
    /// Why it is up or down.
    decided: Option<TrackerDetail>,
    next_start: Instant,
    /// Where in the interval the second run goes, 0 < share ≤ 1.
    share: f64,
    running: bool,
}

impl ScriptTracker {
    /// A tracker that starts now; it is number `index` of `count`.
    pub(crate) fn new(
        config: ScriptTrackerConfig,
        now: Instant,
        index: usize,
        count: usize,
    ) -> Self {
        // The second run comes between half an interval and a whole one after the first: nobody
        // waits longer for a result than configured.
        let share = if count < SPREAD_FROM {
            1.0
        } else {
            0.5 + 0.5 * (index % count + 1) as f64 / count as f64
        };
        let one_is_enough = !config.init_fail;
        Self {
            config,
            up: None,
            last: None,
            in_a_row: 0,
            one_is_enough,
            reported: false,
            decided: None,
            next_start: now,
            share,
            running: false,
        }
    }

    /// What an earlier definition of the script had found goes on being true until this one finds
    /// otherwise. It is told again.
    pub(crate) fn carry_over(&mut self, earlier: &Self) -> Option<TrackerReport> {
        let detail = earlier.decided.clone()?;
        self.up = earlier.up;
        self.reported = true;
        self.one_is_enough = false;
        Some(self.report(detail))
    }

    /// What is to be told before the first run: `init_fail` is down from the start.
    pub(crate) fn initial_report(&mut self) -> Option<TrackerReport> {
        if !self.config.init_fail || self.up.is_some() {
            return None;
        }
        self.up = Some(false);
        Some(self.report(TrackerDetail::InitFail))
    }

    /// When it wants to run; `None` while it runs.
    pub(crate) fn next_start(&self) -> Option<Instant> {
        (!self.running).then_some(self.next_start)
    }

    /// It was started (or that was tried) now.
    pub(crate) fn started(&mut self, now: Instant) {
        self.running = true;
        let interval = self.config.interval.max(Duration::from_millis(1));
        // Start to start; a start that came late by more than an interval does not cause a burst.
        let wanted = self.next_start + interval.mul_f64(self.share);
        self.share = 1.0;
        self.next_start = if wanted <= now { now + interval } else { wanted };
    }

    /// The process is gone: the next run may start. If a run took longer than the interval, the
    /// next one comes at the next multiple of it.
    pub(crate) fn ended(&mut self, now: Instant) {
        self.running = false;
        let interval = self.config.interval.max(Duration::from_millis(1));
        if self.next_start < now {
            let behind = (now - self.next_start).as_secs_f64() / interval.as_secs_f64();
            self.next_start += interval.mul_f64(behind.ceil());
        }
    }

    /// A result is known: at the end of the run, or when it took too long.
    pub(crate) fn result(&mut self, outcome: Outcome, took: Duration) -> Option<TrackerReport> {
        let success = outcome.is_success();
        self.in_a_row =
            if self.last == Some(success) { self.in_a_row.saturating_add(1) } else { 1 };
        self.last = Some(success);
        let needed = if success { self.config.rise } else { self.config.fall };
        let decided = self.one_is_enough || self.in_a_row >= needed;
        if !decided || self.up == Some(success) {
            return None;
        }
        self.one_is_enough = false;
        self.up = Some(success);
        Some(self.report(TrackerDetail::ScriptRun { outcome, took, in_a_row: self.in_a_row }))
    }

    fn report(&mut self, detail: TrackerDetail) -> TrackerReport {
        let first = !std::mem::replace(&mut self.reported, true);
        self.decided = Some(detail.clone());
        TrackerReport {
            id: TrackerId { kind: TrackerKind::Script, name: self.config.name.clone() },
            state: if self.up == Some(true) { TrackerState::Up } else { TrackerState::Down },
            first,
            detail,
        }
    }
}

/// All script trackers and their running processes.
#[derive(Debug, Default)]
pub(crate) struct ScriptTrackers {
    slots: Vec<Slot>,
    next_serial: u64,
}

#[derive(Debug)]
struct Slot {
    /// Tells a run's owner from a tracker of the same name that replaced it.
    serial: u64,
    tracker: ScriptTracker,
    job: Option<JobId>,
    /// This run's result is known already: it took too long.
    judged: bool,
}

impl ScriptTrackers {
    /// Applies new definitions: equal ones go on, changed ones start again with the state so far.
    pub(crate) fn configure(
        &mut self,
        configs: &[ScriptTrackerConfig],
        jobs: &mut Jobs<Purpose>,
        outbox: &mut Outbox,
        now: Instant,
    ) {
        let mut old = std::mem::take(&mut self.slots);
        for (index, config) in configs.iter().enumerate() {
            let known = old.iter().position(|slot| slot.tracker.config.name == config.name);
            let known = known.map(|known| old.swap_remove(known));
            let slot = match known {
                Some(slot) if slot.tracker.config == *config => slot,
                known => {
                    let mut tracker = ScriptTracker::new(config.clone(), now, index, configs.len());
                    let carried = known.as_ref().and_then(|old| tracker.carry_over(&old.tracker));
                    if let Some(report) = carried.or_else(|| tracker.initial_report()) {
                        outbox.put(Report::Tracker(report));
                    }
                    old.extend(known);
                    self.next_serial += 1;
                    Slot { serial: self.next_serial, tracker, job: None, judged: false }
                }
            };
            self.slots.push(slot);
        }
        for job in old.into_iter().filter_map(|slot| slot.job) {
            jobs.terminate(job, now);
        }
    }

    /// Starts what is due; of very many a part, so that notifications in between do not wait.
    pub(crate) fn start_due(
        &mut self,
        jobs: &mut Jobs<Purpose>,
        outbox: &mut Outbox,
        now: Instant,
    ) {
        let due = |slot: &&mut Slot| slot.tracker.next_start().is_some_and(|at| at <= now);
        for slot in self.slots.iter_mut().filter(due).take(AT_ONCE) {
            let config = &slot.tracker.config;
            let purpose = Purpose::Tracker(slot.serial);
            let limit = Some(config.timeout);
            let terms = Terms { limit, kill_after: KILL_AFTER, bond: Bond::Tied };
            let started = jobs.start(&config.command, terms, purpose, now);
            slot.tracker.started(now);
            slot.judged = false;
            match started {
                Ok(job) => slot.job = Some(job),
                Err((_, reason)) => {
                    slot.tracker.ended(now);
                    let outcome = Outcome::NotStarted(reason);
                    if let Some(report) = slot.tracker.result(outcome, Duration::ZERO) {
                        outbox.put(Report::Tracker(report));
                    }
                }
            }
        }
    }

    /// A run's result, although it may not have ended yet.
    pub(crate) fn result(
        &mut self,
        serial: u64,
        outcome: Outcome,
        took: Duration,
        outbox: &mut Outbox,
    ) {
        let slot = self.slots.iter_mut().find(|slot| slot.serial == serial);
        if let Some(slot) = slot
            && !std::mem::replace(&mut slot.judged, true)
            && let Some(report) = slot.tracker.result(outcome, took)
        {
            outbox.put(Report::Tracker(report));
        }
    }

    /// A run has ended.
    pub(crate) fn ended(
        &mut self,
        serial: u64,
        outcome: Outcome,
        took: Duration,
        outbox: &mut Outbox,
        now: Instant,
    ) {
        self.result(serial, outcome, took, outbox);
        if let Some(slot) = self.slots.iter_mut().find(|slot| slot.serial == serial) {
            slot.job = None;
            slot.tracker.ended(now);
        }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.slots.iter().filter_map(|slot| slot.tracker.next_start()).min()
    }

    /// Ends all of them; what runs is terminated.
    pub(crate) fn stop(&mut self, jobs: &mut Jobs<Purpose>, now: Instant) {
        for job in self.slots.drain(..).filter_map(|slot| slot.job) {
            jobs.terminate(job, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::ScriptCommand;

    const SECOND: Duration = Duration::from_secs(1);

    fn config(rise: u32, fall: u32, init_fail: bool) -> ScriptTrackerConfig {
        let mut config = ScriptTrackerConfig::new("s", ScriptCommand::new("/bin/true"));
        (config.rise, config.fall, config.init_fail) = (rise, fall, init_fail);
        config
    }

    fn feed(tracker: &mut ScriptTracker, results: &str) -> String {
        let told = results.chars().map(|result| {
            let outcome = Outcome::Exited(i32::from(result == '-'));
            match tracker.result(outcome, SECOND) {
                None => '.',
                Some(report) if report.state == TrackerState::Up => 'U',
                Some(_) => 'D',
            }
        });
        told.collect()
    }

    #[test]
    fn rise_and_fall_count_consecutive_results_and_the_first_one_decides() {
        let now = Instant::now();
        let mut tracker = ScriptTracker::new(config(3, 2, false), now, 0, 1);
        assert_eq!(feed(&mut tracker, "+-+--++-+++-+++"), "U...D.....U....");
        let mut tracker = ScriptTracker::new(config(3, 2, false), now, 0, 1);
        assert_eq!(feed(&mut tracker, "-+++"), "D..U");
    }

    #[test]
    fn init_fail_starts_down_and_needs_rise_successes() {
        let mut tracker = ScriptTracker::new(config(2, 1, true), Instant::now(), 0, 1);
        let report = tracker.initial_report().unwrap();
        assert_eq!((report.state, report.first), (TrackerState::Down, true));
        assert_eq!(tracker.initial_report(), None);
        assert_eq!(feed(&mut tracker, "-++-"), "..UD");
    }

    #[test]
    fn a_carried_over_state_is_told_only_when_it_changes() {
        let mut tracker = ScriptTracker::new(config(1, 2, true), Instant::now(), 0, 1);
        let mut earlier = ScriptTracker::new(config(1, 1, false), Instant::now(), 0, 1);
        assert_eq!(tracker.carry_over(&earlier), None, "it had found nothing yet");
        feed(&mut earlier, "+");
        let report = tracker.carry_over(&earlier).unwrap();
        assert_eq!((report.state, report.first), (TrackerState::Up, false));
        assert_eq!(tracker.initial_report(), None);
        assert_eq!(feed(&mut tracker, "+--+"), "..DU");
    }

    #[test]
    fn runs_start_at_multiples_of_the_interval() {
        let t0 = Instant::now();
        let mut tracker = ScriptTracker::new(config(1, 1, false), t0, 0, 1);
        assert_eq!(tracker.next_start(), Some(t0));
        tracker.started(t0);
        assert_eq!(tracker.next_start(), None);
        tracker.ended(t0 + SECOND / 2);
        assert_eq!(tracker.next_start(), Some(t0 + SECOND));
        tracker.started(t0 + SECOND);
        tracker.ended(t0 + SECOND * 7 / 2);
        assert_eq!(tracker.next_start(), Some(t0 + SECOND * 4), "missed runs are not made up for");
        tracker.started(t0 + SECOND * 9);
        tracker.ended(t0 + SECOND * 9);
        assert_eq!(tracker.next_start(), Some(t0 + SECOND * 10), "nor after a long pause");
    }

    #[test]
    fn many_scripts_are_spread_and_none_waits_longer_than_its_interval() {
        let t0 = Instant::now();
        let mut second: Vec<Duration> = (0..100)
            .map(|n| {
                let mut tracker = ScriptTracker::new(config(1, 1, false), t0, n, 100);
                tracker.started(t0);
                tracker.ended(t0);
                tracker.next_start().unwrap() - t0
            })
            .collect();
        second.dedup();
        assert_eq!(second.len(), 100);
        assert!(second.iter().all(|at| *at > SECOND / 2 && *at <= SECOND));
    }
}
