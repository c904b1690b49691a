//! All process trackers: the kernel's events keep them up to date; where it gives none, and from
//! time to time to be sure, all processes are looked at.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use sys::proc_events::{ProcEvents, ProcessEvent};

use super::process::ProcessTracker;
use super::scan;
use crate::engine::Outbox;
use crate::event::Report;
use crate::settings::WorkerConfig;

/// How often all processes are looked at where the kernel gives no events.
const LOOK: Duration = Duration::from_secs(1);

/// How often that is done although the kernel gives events.
const BE_SURE: Duration = Duration::from_secs(60);

/// So many events are read before other things get their turn.
const AT_ONCE: usize = 256;

#[derive(Debug, Default)]
pub(super) struct Processes {
    trackers: Vec<ProcessTracker>,
    events: Option<ProcEvents>,
    next_scan: Option<Instant>,
}

impl Processes {
    pub(super) fn configure(&mut self, config: &WorkerConfig, outbox: &mut Outbox, now: Instant) {
        let mut old = std::mem::take(&mut self.trackers);
        let buffer = config.process_events_buffer;
        for config in &config.processes {
            let known = old.iter().position(|tracker| tracker.config().name == config.name);
            let known = known.map(|known| old.swap_remove(known));
            self.trackers.push(match known {
                Some(tracker) if tracker.config() == config => tracker,
                // What counts under the new definition is known at once: nothing to carry over but
                // that somebody has been told something before.
                known => ProcessTracker::new(config.clone(), known.as_ref()),
            });
        }
        if self.trackers.is_empty() {
            *self = Self::default();
            return;
        }
        if self.events.is_none() {
            // Listen first, then look: nothing in between is missed.
            self.listen(buffer);
        }
        self.scan(now, outbox);
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, outbox: &mut Outbox) {
        if self.next_scan.is_some_and(|at| at <= now) {
            self.scan(now, outbox);
        } else {
            self.settle(now, outbox);
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.trackers.iter().filter_map(ProcessTracker::deadline).chain(self.next_scan).min()
    }

    /// Events are there.
    pub(super) fn serve(&mut self, outbox: &mut Outbox, now: Instant) {
        // A machine where processes come and go without pause must not keep us here.
        for _ in 0..AT_ONCE {
            let Some(events) = &mut self.events else { return };
            match events.next_event() {
                Ok(Some(ProcessEvent::Lost)) => {
                    self.scan(now, outbox);
                    return;
                }
                Ok(Some(event)) => self.apply(event),
                Ok(None) => break,
                Err(error) => {
                    log::warn!("track_process: no more events from the kernel: {error}");
                    self.events = None;
                    self.scan(now, outbox);
                    return;
                }
            }
        }
        self.settle(now, outbox);
    }

    /// Readable when [`Processes::serve`] has something to do.
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.events.as_ref().map(AsFd::as_fd)
    }

    fn listen(&mut self, buffer: Option<usize>) {
        match ProcEvents::open(buffer) {
            Ok(events) => self.events = Some(events),
            Err(error) => log::info!(
                "track_process: the kernel tells nothing of processes here ({error}); they are \
                 looked at every {} s",
                LOOK.as_secs()
            ),
        }
    }

    /// All processes, as they are now.
    fn scan(&mut self, now: Instant, outbox: &mut Outbox) {
        self.next_scan = Some(now + if self.events.is_some() { BE_SURE } else { LOOK });
        let all = scan::all();
        for tracker in &mut self.trackers {
            tracker.replace(all.iter().map(|(pid, seen)| (*pid, seen)));
        }
        self.settle(now, outbox);
    }

    /// One event. `/proc` is asked for the present, not the past: applying an old event late or
    /// twice does no harm.
    fn apply(&mut self, event: ProcessEvent) {
        let pid = match event {
            // A copy of something that nobody counts is counted by nobody.
            ProcessEvent::Forked { parent, .. }
                if !self.trackers.iter().any(|tracker| tracker.counts(parent)) =>
            {
                return;
            }
            ProcessEvent::Forked { child: pid, .. }
            | ProcessEvent::Executed { pid }
            | ProcessEvent::Renamed { pid } => pid,
            ProcessEvent::Ended { pid } => {
                self.trackers.iter_mut().for_each(|tracker| tracker.update(pid, None));
                return;
            }
            ProcessEvent::Lost => return,
        };
        let seen = scan::one(pid);
        self.trackers.iter_mut().for_each(|tracker| tracker.update(pid, seen.as_ref()));
    }

    fn settle(&mut self, now: Instant, outbox: &mut Outbox) {
        let events = self.events.is_some();
        for tracker in &mut self.trackers {
            if let Some(report) = tracker.settle(now, events) {
                outbox.put(Report::Tracker(report));
            }
        }
    }
}
