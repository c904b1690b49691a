//! Tracked objects: scripts run at intervals, files that hold a number, processes that are counted.

mod file;
mod process;
mod processes;
mod scan;
pub(crate) mod script;
mod watch;

use std::os::fd::BorrowedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::engine::Outbox;
use crate::event::Report;
use crate::settings::{FileTrackerConfig, WorkerConfig};
use file::{FileTracker, Found, Reading};
use processes::Processes;
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
    pub(crate) fn configure(&mut self, config: &WorkerConfig, outbox: &mut Outbox, now: Instant) {
        self.files.configure(&config.files, outbox, now);
        self.processes.configure(config, outbox, now);
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant, outbox: &mut Outbox) {
        self.files.handle_timeout(now, outbox);
        self.processes.handle_timeout(now, outbox);
    }

    /// A descriptor is readable.
    pub(crate) fn serve(&mut self, outbox: &mut Outbox, now: Instant) {
        self.files.serve(outbox, now);
        self.processes.serve(outbox, now);
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        [self.files.deadline(), self.processes.deadline()].into_iter().flatten().min()
    }

    pub(crate) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let files = self.files.watch.as_ref().map(FileWatch::as_fd);
        files.into_iter().chain(self.processes.descriptor())
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
