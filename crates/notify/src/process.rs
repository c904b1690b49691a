//! A child process as this crate needs it: its own group, an end that can be waited for.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::event::Outcome;
use crate::settings::ScriptCommand;

/// What a process group may be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GroupSignal {
    Terminate,
    Kill,
}

/// A running process, leader of its own group.
#[derive(Debug)]
pub(crate) struct Child {
    child: std::process::Child,
    descriptor: OwnedFd,
}

impl Child {
    /// Starts the command.
    ///
    /// # Errors
    /// Why it could not be started and what to do.
    pub(crate) fn spawn(command: &ScriptCommand) -> Result<Self, String> {
        let no_program = |error: &io::Error| error.raw_os_error() == Some(Errno::ENOEXEC as i32);
        match Self::start(command) {
            // A script without a first line is the shell's, as everywhere.
            Err(error) if no_program(&error) && is_text(&command.program) => {
                let mut shell = command.clone();
                shell.args.insert(0, command.program.to_string_lossy().into_owned());
                (shell.program, shell.name) = ("/bin/sh".into(), None);
                Self::start(&shell)
            }
            started => started,
        }
        .map_err(|error| explain(command, &error))
    }

    fn start(command: &ScriptCommand) -> io::Result<Self> {
        let mut child = Command::new(&command.program);
        child
            .args(&command.args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .env_remove("IFS")
            .env_remove("LD_PRELOAD")
            .env_remove("LD_LIBRARY_PATH");
        if let Some(name) = &command.name {
            child.arg0(name);
        }
        if let Some((uid, gid)) = command.run_as.ids {
            child.uid(uid).gid(gid);
        }
        let child = child.spawn()?;
        let pid = rustix::process::Pid::from_child(&child);
        let descriptor = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())?;
        Ok(Self { child, descriptor })
    }

    /// A descriptor that becomes readable when the process has ended.
    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }

    /// Whether the process has ended.
    pub(crate) fn has_ended(&self) -> bool {
        let mut fds = [PollFd::new(self.as_fd(), PollFlags::POLLIN)];
        matches!(poll(&mut fds, PollTimeout::ZERO), Ok(1..))
    }

    /// Signals the whole group. The process must not have been reaped: its number would be free.
    pub(crate) fn signal_group(&self, signal: GroupSignal) {
        let signal = match signal {
            GroupSignal::Terminate => Signal::SIGTERM,
            GroupSignal::Kill => Signal::SIGKILL,
        };
        // An error means that nobody is left in the group.
        let _ = killpg(Pid::from_raw(self.child.id() as i32), signal);
    }

    /// Takes the result of a process that has ended; waits if it has not.
    pub(crate) fn reap(mut self) -> Outcome {
        match self.child.wait() {
            Ok(status) => match (status.code(), status.signal()) {
                (Some(code), _) => Outcome::Exited(code),
                (None, Some(signal)) => Outcome::Signalled(signal),
                (None, None) => Outcome::NotStarted("its end is unknown".to_owned()),
            },
            Err(error) => Outcome::NotStarted(format!("its end is unknown: {error}")),
        }
    }
}

/// Whether the file begins like text: what is not for a shell to read has zero bytes early on.
fn is_text(program: &Path) -> bool {
    let mut start = Vec::new();
    let read = File::open(program).and_then(|file| file.take(256).read_to_end(&mut start));
    read.is_ok() && !start.contains(&0)
}

/// Why a program did not start, with a hint.
fn explain(command: &ScriptCommand, error: &io::Error) -> String {
    let program = command.program.display();
    let hint = match error.kind() {
        io::ErrorKind::NotFound => {
            "it does not exist, or the interpreter in its first line does not"
        }
        io::ErrorKind::PermissionDenied if command.run_as.ids.is_some() => {
            "check that its user may execute it and enter its directories"
        }
        io::ErrorKind::PermissionDenied => "make it executable: chmod +x",
        _ if error.raw_os_error() == Some(Errno::ENOEXEC as i32) => {
            "it is no program for this machine, or a script without a first line such as #!/bin/sh"
        }
        _ => "see whether the system is out of processes or memory",
    };
    format!("{program}: {error}; {hint}")
}
