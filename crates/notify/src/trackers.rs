//! Tracked objects: scripts run at intervals, files that hold a number, processes that are counted.

mod file;
mod process;
mod scan;
pub(crate) mod script;
mod watch;

use std::os::fd::BorrowedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::engine::Outbox;
use crate::event::Report;
use crate::settings::{FileTrackerConfig, ProcessTrackerConfig};
use file::{FileTracker, Found, Reading};
use process::ProcessTracker;
use watch::FileWatch;

/// How often we look where the kernel does not tell.
const LOOK: Duration = Duration::from_secs(1);

/// A file that was emptied is given so long to be written before it counts as 0.
const SETTLE: Duration = Duration::from_millis(50);

/// File and process trackers. (Script trackers are [`script::ScriptTrackers`].)
#[derive(Debug, Default)]
pub(crate) struct Trackers {
    files: Files,
    processes: Processes,
}

impl Trackers {
    /// Applies new definitions: equal ones go on, changed ones start again with the state so far.
    pub(crate) fn configure(
        &mut self,
        files: &[FileTrackerConfig],
        processes: &[ProcessTrackerConfig],
        outbox: &mut Outbox,
        now: Instant,
    ) {
        self.files.configure(files, outbox, now);
        self.processes.configure(processes, outbox, now);
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant, outbox: &mut Outbox) {
        self.files.handle_timeout(now, outbox);
        self.processes.handle_timeout(now, outbox);
    }

    /// A descriptor is readable.
    pub(crate) fn serve(&mut self, outbox: &mut Outbox, now: Instant) {
        self.files.serve(outbox, now);
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        [self.files.deadline(), self.processes.deadline()].into_iter().flatten().min()
    }

    pub(crate) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.files.watch.as_ref().map(FileWatch::as_fd).into_iter()
    }
}

#[derive(Debug, Default)]
struct Files {
    slots: Vec<FileSlot>,
    /// `None` without trackers, or if the system gives none: then all files are looked at.
    watch: Option<FileWatch>,
    next_look: Option<Instant>,
}

#[derive(Debug)]
struct FileSlot {
    tracker: FileTracker,
    /// The kernel does not tell of changes there.
    silent: bool,
    /// It was found empty; look again then.
    doubtful: Option<Instant>,
}

impl Files {
    fn configure(&mut self, configs: &[FileTrackerConfig], outbox: &mut Outbox, now: Instant) {
        let mut old = std::mem::take(&mut self.slots);
        let mut fresh = vec![false; configs.len()];
        for (config, fresh) in configs.iter().zip(&mut fresh) {
            let known = old.iter().position(|slot| slot.tracker.config().name == config.name);
            let known = known.map(|known| old.swap_remove(known));
            self.slots.push(match known {
                Some(slot) if slot.tracker.config() == config => slot,
                known => {
                    *fresh = true;
                    let mut tracker = FileTracker::new(config.clone());
                    tracker.carry_over(known.and_then(|known| known.tracker.value()));
                    if let Err(error) = tracker.write_initial() {
                        let path = config.path.display();
                        log::warn!("track_file {}: cannot write {path}: {error}", config.name);
                    }
                    FileSlot { tracker, silent: watch::is_silent(&config.path), doubtful: None }
                }
            });
        }
        // Watch first, then read: no change in between is missed.
        if self.slots.is_empty() {
            self.watch = None;
        } else if self.watch.is_none() {
            self.watch = FileWatch::new()
                .inspect_err(|error| {
                    log::warn!(
                        "track_file: inotify is not to be had ({error}), files are looked at every \
                         second instead; raise fs.inotify.max_user_instances"
                    );
                })
                .ok();
        }
        if let Some(watch) = &mut self.watch {
            watch.watch(self.slots.iter().map(|slot| slot.tracker.config().path.as_path()));
        }
        for (slot, _) in self.slots.iter_mut().zip(fresh).filter(|(_, fresh)| *fresh) {
            slot.read(Reading::Confirmed, outbox, now);
        }
        let look = self.slots.iter().any(|slot| slot.silent || self.watch.is_none());
        self.next_look = look.then(|| now + LOOK);
    }

    fn handle_timeout(&mut self, now: Instant, outbox: &mut Outbox) {
        for slot in &mut self.slots {
            if slot.doubtful.is_some_and(|at| at <= now) {
                slot.read(Reading::Confirmed, outbox, now);
            }
        }
        if self.next_look.is_none_or(|at| at > now) {
            return;
        }
        self.next_look = Some(now + LOOK);
        let blind = self.watch.is_none();
        for slot in self.slots.iter_mut().filter(|slot| slot.silent || blind) {
            slot.read(Reading::Fresh, outbox, now);
        }
    }

    fn serve(&mut self, outbox: &mut Outbox, now: Instant) {
        let changed = self.watch.as_mut().map(FileWatch::changed).unwrap_or_default();
        for slot in &mut self.slots {
            if changed.iter().any(|path| slot.path() == path) {
                slot.read(Reading::Fresh, outbox, now);
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.slots.iter().filter_map(|slot| slot.doubtful).chain(self.next_look).min()
    }
}

impl FileSlot {
    fn path(&self) -> &Path {
        &self.tracker.config().path
    }

    fn read(&mut self, reading: Reading, outbox: &mut Outbox, now: Instant) {
        self.doubtful = None;
        match self.tracker.read(reading) {
            Found::Unchanged => {}
            Found::News(report) => outbox.put(Report::Tracker(report)),
            Found::Doubtful => self.doubtful = Some(now + SETTLE),
        }
    }
}

#[derive(Debug, Default)]
struct Processes {
    trackers: Vec<ProcessTracker>,
    next_scan: Option<Instant>,
}

impl Processes {
    fn configure(&mut self, configs: &[ProcessTrackerConfig], outbox: &mut Outbox, now: Instant) {
        let mut old = std::mem::take(&mut self.trackers);
        for config in configs {
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
            self.next_scan = None;
        } else {
            self.scan(now, outbox);
        }
    }

    fn handle_timeout(&mut self, now: Instant, outbox: &mut Outbox) {
        if self.next_scan.is_some_and(|at| at <= now) {
            self.scan(now, outbox);
        } else {
            self.settle(now, outbox);
        }
    }

    fn scan(&mut self, now: Instant, outbox: &mut Outbox) {
        self.next_scan = Some(now + LOOK);
        let all = scan::all();
        for tracker in &mut self.trackers {
            tracker.replace(all.iter().map(|(pid, seen)| (*pid, seen)));
        }
        self.settle(now, outbox);
    }

    fn settle(&mut self, now: Instant, outbox: &mut Outbox) {
        for tracker in &mut self.trackers {
            if let Some(report) = tracker.settle(now, false) {
                outbox.put(Report::Tracker(report));
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.trackers.iter().filter_map(ProcessTracker::deadline).chain(self.next_scan).min()
    }
}
