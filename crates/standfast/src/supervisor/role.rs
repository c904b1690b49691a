//! A role over its lives: its process while it has one, its configuration, state store and pid
//! file, and when it is started, started again, or killed.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

use config::model::Model;
use config::passing;
use status::control::ToRole;
use sys::event_loop::EventLoop;
use sys::pidfile::{PidFile, PidFileError};

use super::kind::Kind;
use super::process::Process;
use super::respawn::Respawn;

/// How often and how fast a pid file is tried that somebody holds.
const PID_FILE_TRIES: u32 = 50;
const PID_FILE_PAUSE: Duration = Duration::from_millis(200);

/// A role's share of a configuration, to be handed to it.
///
/// # Errors
/// Out of descriptors or memory.
pub(super) fn share(model: &Model, kind: Kind) -> io::Result<File> {
    sys::memfd::sealed_by("standfast-config", |to| passing::encode(model, kind.share(), to))
}

/// A role, whether it runs or not.
pub(super) struct Role {
    pub(super) kind: Kind,
    /// Its share of the configuration: for its next life as well.
    pub(super) configuration: File,
    /// The state that a next life goes on with.
    pub(super) store: File,
    pub(super) process: Option<Process>,
    pid_file: Option<PidFile>,
    /// When the pid file is tried again, and how often it will be: what a killed supervisor has
    /// left behind holds it for a moment.
    pid_file_at: Option<u64>,
    pid_file_tries: u32,
    pub(super) respawn: Respawn,
    /// When it is to be started.
    pub(super) start_at: Option<u64>,
    /// Until when its first start waits for what a killed supervisor has left behind.
    pub(super) waits_until: Option<u64>,
    /// When a process that was told to stop is killed.
    pub(super) kill_at: Option<u64>,
    /// It was given a new configuration and has not answered yet.
    pub(super) taking_over: bool,
    /// There is nothing for it to do any more: it was told to stop while the daemon goes on.
    pub(super) retiring: bool,
    /// Its process only takes out of the kernel what an earlier one has left there.
    pub(super) cleaning: bool,
    /// It has done its work since it was first wanted.
    pub(super) ready: bool,
    /// It said that it cannot work here.
    pub(super) hopeless: bool,
    /// Its last process died, and what it had put into the kernel may still be there.
    pub(super) died: bool,
    /// Its line for the service manager.
    pub(super) status: String,
}

impl Role {
    /// A role that does not run.
    ///
    /// # Errors
    /// Out of descriptors or memory.
    pub(super) fn new(kind: Kind, model: &Model) -> io::Result<Self> {
        Ok(Self {
            kind,
            configuration: share(model, kind)?,
            store: sys::memfd::create("standfast-state")?,
            process: None,
            pid_file: None,
            pid_file_at: None,
            pid_file_tries: 0,
            respawn: Respawn::new(kind.is_essential()),
            start_at: None,
            waits_until: None,
            kill_at: None,
            taking_over: false,
            retiring: false,
            cleaning: false,
            ready: false,
            hopeless: false,
            died: false,
            status: String::new(),
        })
    }

    /// Whether it has a process.
    pub(super) fn runs(&self) -> bool {
        self.process.is_some()
    }

    /// Its process runs from now on.
    pub(super) fn born(&mut self, process: Process, pid_file: &Path, now: u64) {
        let id = process.id();
        log::info!("Starting {} child process, pid={id}", self.kind.child_name());
        self.process = Some(process);
        self.pid_file_tries = PID_FILE_TRIES;
        self.write_pid(pid_file, now);
        self.start_at = None;
        self.died = false;
        self.hopeless = false;
    }

    /// Writes the pid file, or decides when that is tried again.
    fn write_pid(&mut self, path: &Path, now: u64) {
        self.pid_file_at = None;
        let Some(process) = &self.process else { return };
        match &mut self.pid_file {
            Some(file) => {
                if let Err(error) = file.set(process.id()) {
                    log::warn!("pid file {}: {error}", path.display());
                }
            }
            None => match PidFile::create(path, process.id()) {
                Ok(file) => self.pid_file = Some(file),
                Err(PidFileError::Running(_)) if self.pid_file_tries > 0 => {
                    self.pid_file_tries -= 1;
                    self.pid_file_at = Some(now + PID_FILE_PAUSE.as_nanos() as u64);
                }
                Err(error) => log::warn!("pid file {}: {error}", path.display()),
            },
        }
    }

    /// Does what time demands of it, besides starting.
    pub(super) fn handle_timeout(&mut self, pid_file: &Path, now: u64) {
        if self.pid_file_at.is_some_and(|at| at <= now) {
            self.write_pid(pid_file, now);
        }
        self.kill_if_due(now);
    }

    /// When [`Self::handle_timeout`] or a start is due.
    pub(super) fn poll_timeout(&self) -> Option<u64> {
        [self.start_at, self.kill_at, self.pid_file_at].into_iter().flatten().min()
    }

    /// Says something to its process, if it has one.
    pub(super) fn tell(&self, what: &ToRole) {
        if let Some(process) = &self.process
            && let Err(error) = process.tell(what, None)
        {
            log::warn!("the {} role does not listen: {error}", self.kind.word());
        }
    }

    /// Tells its process to stop and gives it so much time.
    pub(super) fn stop(&mut self, patience: Duration, events: &EventLoop) {
        self.start_at = None;
        if self.process.is_none() || self.cleaning {
            return;
        }
        // One that cannot work here ends by itself, and may be gone already.
        if !self.hopeless {
            self.tell(&ToRole::Stop);
        }
        self.kill_at = Some(events.now() + patience.as_nanos() as u64);
    }

    /// Kills its process if the time for that has come.
    fn kill_if_due(&mut self, now: u64) {
        if self.kill_at.is_none_or(|at| at > now) {
            return;
        }
        self.kill_at = None;
        if let Some(process) = &self.process {
            log::error!("the {} role does not stop; it is killed", self.kind.word());
            process.kill();
        }
    }

    /// After a planned end while the daemon goes on: as if it had never run.
    pub(super) fn rest(&mut self) {
        self.pid_file = None;
        if let Err(error) = self.store.set_len(0) {
            log::warn!("state store of the {} role: {error}", self.kind.word());
        }
        self.respawn = Respawn::new(self.kind.is_essential());
        self.retiring = false;
        self.ready = false;
        self.status.clear();
    }

    /// Removes the pid file.
    pub(super) fn forget_pid(&mut self) {
        self.pid_file = None;
    }
}
