//! A script as a child process: how it starts (user, groups, process group), what its end means.
//!
//! There is no time limit in here: who starts a script decides how long it may run, and signals its
//! group. Public for the checks that are scripts.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::process::ExitStatusExt;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use sys::process::{Command, Credentials, SpawnError, Step};

use crate::event::Outcome;
use crate::settings::ScriptCommand;

/// What a process group may be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupSignal {
    /// SIGTERM: end in an orderly way.
    Terminate,
    /// SIGKILL.
    Kill,
}

/// Whether a process may outlive us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bond {
    /// It goes on if we crash: what it began should be finished.
    Free,
    /// It gets SIGTERM if we crash: our successor starts another one.
    Tied,
}

/// A program could not be started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct NotStarted {
    /// Why, and what to do.
    pub reason: String,
    /// This machine has no descriptor, process or memory left: that says nothing about the program.
    pub is_shortage: bool,
}

/// A running process, leader of its own group. Dropping it neither ends nor reaps it: what has
/// ended wants [`Child::reap`].
#[derive(Debug)]
pub struct Child(sys::process::Child);

impl Child {
    /// Starts the command.
    ///
    /// # Errors
    /// Why it could not be started and what to do.
    pub fn spawn(command: &ScriptCommand, bond: Bond) -> Result<Self, NotStarted> {
        // A file without a first line such as `#!/bin/sh` is the shell's, as everywhere.
        let mut start = Command::new(&command.program).args(&command.args).shell_fallback();
        if let Some(name) = &command.name {
            start = start.name(name);
        }
        if let Some((uid, gid)) = command.run_as.ids {
            let groups = command.run_as.groups.clone();
            start = start.run_as(Credentials { uid, gid, groups });
        }
        if bond == Bond::Tied {
            start = start.die_with_parent(Signal::SIGTERM as i32);
        }
        start.spawn().map(Self).map_err(|error| NotStarted {
            reason: explain(command, &error),
            is_shortage: is_shortage(&error.source),
        })
    }

    /// Its process id, which is that of its group too.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Whether the process has ended.
    pub fn has_ended(&self) -> bool {
        self.0.has_ended()
    }

    /// Signals the whole group.
    pub fn signal_group(&self, signal: GroupSignal) {
        let signal = match signal {
            GroupSignal::Terminate => Signal::SIGTERM,
            GroupSignal::Kill => Signal::SIGKILL,
        };
        if let Err(error) = self.0.signal_group(signal as i32) {
            log::warn!("cannot send {signal} to process group {}: {error}", self.0.id());
        }
    }

    /// Takes the result of a process that has ended; waits if it has not.
    pub fn reap(mut self) -> Outcome {
        match self.0.wait() {
            Ok(status) => match (status.code(), status.signal()) {
                (Some(code), _) => Outcome::Exited(code),
                (None, signal) => Outcome::Signalled(signal.unwrap_or_default()),
            },
            Err(error) => {
                // Somebody else has collected it: a bug in this program. It is no success.
                log::error!("the result of process {} is lost: {error}", self.0.id());
                Outcome::Signalled(0)
            }
        }
    }
}

/// A descriptor that becomes readable when the process has ended (a pidfd).
impl AsFd for Child {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Child {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

/// Why a program did not start, with a hint.
fn explain(command: &ScriptCommand, error: &SpawnError) -> String {
    let program = command.program.display();
    let SpawnError { step, source } = error;
    let hint = match (step, source.raw_os_error().map(Errno::from_raw)) {
        (Step::Groups | Step::User, _) => "only root may run scripts as another user".to_owned(),
        (Step::Execute, Some(Errno::ENOENT)) => {
            "it does not exist, or the interpreter in its first line does not".to_owned()
        }
        (Step::Execute, Some(Errno::EACCES)) => match command.run_as.ids {
            Some((uid, _)) => format!("user {uid} must be able to execute it and reach it"),
            None => format!("make it executable: chmod +x {program}"),
        },
        (Step::Execute, Some(Errno::ENOEXEC)) => "it is no program for this machine".to_owned(),
        (Step::Process, _) => "the system is out of processes or memory".to_owned(),
        _ => return format!("{program}: {error}"),
    };
    format!("{program}: {}; {hint}", plain(source))
}

/// Whether it is for want of descriptors, processes or memory.
pub fn is_shortage(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(Errno::EMFILE | Errno::ENFILE | Errno::EAGAIN | Errno::ENOMEM))
}

/// The system's words without the error's number.
fn plain(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(code) => Errno::from_raw(code).desc().to_owned(),
        None => error.to_string(),
    }
}
