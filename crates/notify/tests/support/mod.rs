//! What the tests of the worker share: a worker whose reports can be awaited.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use standfast_notify::Worker;
use standfast_notify::event::{
    Happening, Notification, NotifyScript, Report, State, Subject, TrackerReport, TrackerState,
};
use standfast_notify::settings::{ScriptCommand, WorkerConfig};

/// Longer than anything here takes, even on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Harness {
    pub(crate) worker: Worker,
    woken: Receiver<()>,
}

impl Harness {
    pub(crate) fn start(config: WorkerConfig) -> Self {
        let (wake, woken) = channel();
        let worker = Worker::start(config, Box::new(move || _ = wake.send(()))).unwrap();
        Self { worker, woken }
    }

    /// The next report.
    pub(crate) fn report(&self) -> Report {
        self.report_within(PATIENCE).expect("no report came")
    }

    pub(crate) fn report_within(&self, patience: Duration) -> Option<Report> {
        let until = Instant::now() + patience;
        loop {
            if let Some(report) = self.worker.try_report() {
                return Some(report);
            }
            let left = until.saturating_duration_since(Instant::now());
            self.woken.recv_timeout(left).ok()?;
        }
    }

    /// The next report that the function picks; others are passed over.
    pub(crate) fn pick<T>(&self, mut picks: impl FnMut(&Report) -> Option<T>) -> T {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let report = self.report_within(left).expect("the awaited report did not come");
            if let Some(picked) = picks(&report) {
                return picked;
            }
        }
    }

    /// The next report of a tracker.
    pub(crate) fn tracker(&self) -> TrackerReport {
        self.pick(|report| match report {
            Report::Tracker(report) => Some(report.clone()),
            _ => None,
        })
    }

    /// Passes over reports until the tracker says this.
    pub(crate) fn until_tracker(&self, name: &str, state: TrackerState) -> TrackerReport {
        self.pick(|report| match report {
            Report::Tracker(report) if report.id.name == name && report.state == state => {
                Some(report.clone())
            }
            _ => None,
        })
    }

    /// Stops the worker and gives the last report back.
    pub(crate) fn stop(self, deadline: Duration) -> Report {
        assert!(!self.worker.has_ended());
        self.worker.stop(deadline);
        let last = self.pick(|report| match report {
            Report::Stopped { .. } => Some(report.clone()),
            _ => None,
        });
        self.worker.join();
        last
    }
}

/// A stop that left nothing behind.
pub(crate) const CLEAN: Report = Report::Stopped { unfinished_scripts: 0, unread_lines: 0 };

pub(crate) fn instance(name: &str) -> Subject {
    Subject::Instance(name.to_owned())
}

/// A shell command; `args` are `$1` and so on.
pub(crate) fn shell<S: Into<String>>(
    script: &str,
    args: impl IntoIterator<Item = S>,
) -> ScriptCommand {
    ScriptCommand::new("/bin/sh").with_args(["-c", script, "sh"]).with_args(args)
}

pub(crate) fn entered(subject: &Subject, state: State, scripts: Vec<NotifyScript>) -> Notification {
    Notification {
        subject: subject.clone(),
        happening: Happening::Entered(state),
        priority: 100,
        scripts,
        fifo: true,
    }
}

pub(crate) fn script(command: ScriptCommand) -> NotifyScript {
    NotifyScript { command, with_arguments: false }
}

/// Looks again and again until the condition holds.
pub(crate) fn await_true(what: &str, mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < until, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

pub(crate) fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// Whether a process exists and is no zombie.
pub(crate) fn is_alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        stat.rsplit(')').next().is_some_and(|rest| !rest.trim_start().starts_with('Z'))
    })
}
