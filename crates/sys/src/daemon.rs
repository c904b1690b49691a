//! Going into the background, for starts without systemd.

use std::fs::File;
use std::io::{self, Read as _, Write as _};

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, dup2_stderr, dup2_stdin, dup2_stdout, fork, pipe2, setsid};

/// In the daemon: tells the process that the user started how it went.
#[derive(Debug)]
#[must_use = "the foreground process waits for it"]
pub struct Starting {
    pipe: File,
}

impl Starting {
    /// The daemon works: the foreground process ends with status 0. From here on the three
    /// standard files are /dev/null.
    ///
    /// # Errors
    /// /dev/null cannot be opened.
    pub fn ready(self) -> io::Result<()> {
        detach_stdio()?;
        self.finish(0)
    }

    /// It does not: the foreground process ends with this status. The daemon ends itself.
    ///
    /// # Errors
    /// The foreground process is gone.
    pub fn failed(self, status: u8) -> io::Result<()> {
        self.finish(status)
    }

    fn finish(mut self, status: u8) -> io::Result<()> {
        match self.pipe.write_all(&[status]) {
            // Somebody killed the foreground process; the daemon works all the same.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other,
        }
    }
}

/// Goes on in the background, in a session of its own and without a terminal. Returns only in the
/// daemon; the process that was called ends when [`Starting`] says so, with status 1 if it is
/// dropped. Standard error stays open until then. Call it while there is one thread.
///
/// # Errors
/// Out of processes or descriptors; this is still the process that was called then.
pub fn daemonize() -> io::Result<Starting> {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
    // SAFETY: there is one thread (the caller's promise above, a logic error at worst: the child
    // goes on with what that thread alone has, as `fork` defines).
    match unsafe { fork() }? {
        ForkResult::Parent { child } => {
            drop(writer);
            let _ = waitpid(child, None);
            let mut status = [1];
            // No byte: the daemon ended before it was ready.
            let _ = File::from(reader).read(&mut status);
            std::process::exit(i32::from(status[0]));
        }
        ForkResult::Child => {
            drop(reader);
            setsid()?;
            // Again, so that the daemon leads no session and can never get a terminal.
            // SAFETY: as above.
            match unsafe { fork() }? {
                ForkResult::Parent { .. } => {
                    drop(writer);
                    // SAFETY: ends this process without running what belongs to the other two.
                    unsafe { libc::_exit(0) }
                }
                ForkResult::Child => Ok(Starting { pipe: writer.into() }),
            }
        }
    }
}

/// Makes standard input, output and error /dev/null.
///
/// # Errors
/// /dev/null cannot be opened.
pub fn detach_stdio() -> io::Result<()> {
    let null = nix::fcntl::open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())?;
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    dup2_stderr(&null)?;
    Ok(())
}
