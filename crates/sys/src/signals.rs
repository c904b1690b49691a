//! Signals as events: blocked, and read through a signalfd.
//!
//! Block them in the first thread before others start, so that all threads inherit the mask.
//! Children get an empty mask and default actions ([`crate::process`]).

use std::ffi::c_int;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

use nix::sys::signal::{SigHandler, Signal as NixSignal, signal};

use crate::ffi::{check, check_size, zeroed};

/// The signals that mean something to us. The comments say what Keepalived's users expect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// SIGTERM: stop.
    Terminate,
    /// SIGINT: stop.
    Interrupt,
    /// SIGHUP: reload.
    Reload,
    /// SIGUSR1: write keepalived.data.
    DumpData,
    /// SIGUSR2: write keepalived.stats.
    DumpStats,
    /// SIGRTMAX-1 (63): write keepalived.stats, then clear the counters.
    ClearStats,
    /// SIGRTMIN+2 (36): write keepalived.json.
    DumpJson,
    /// SIGCHLD: a child ended or stopped.
    Child,
    /// SIGXCPU: RLIMIT_RTTIME's soft limit was hit.
    CpuLimit,
}

impl Signal {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Terminate,
        Self::Interrupt,
        Self::Reload,
        Self::DumpData,
        Self::DumpStats,
        Self::ClearStats,
        Self::DumpJson,
        Self::Child,
        Self::CpuLimit,
    ];

    /// The signal's number.
    pub fn number(self) -> i32 {
        match self {
            Self::Terminate => libc::SIGTERM,
            Self::Interrupt => libc::SIGINT,
            Self::Reload => libc::SIGHUP,
            Self::DumpData => libc::SIGUSR1,
            Self::DumpStats => libc::SIGUSR2,
            Self::ClearStats => libc::SIGRTMAX() - 1,
            Self::DumpJson => libc::SIGRTMIN() + 2,
            Self::Child => libc::SIGCHLD,
            Self::CpuLimit => libc::SIGXCPU,
        }
    }

    fn from_number(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|signal| signal.number() == number)
    }
}

/// A signal that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceivedSignal {
    /// Which.
    pub signal: Signal,
    /// Process id of the sender (0: the kernel); of [`Signal::Child`] the child's.
    pub pid: u32,
    /// Real user id of the sender.
    pub uid: u32,
}

/// Blocked signals, readable as events.
#[derive(Debug)]
pub struct Signals {
    fd: OwnedFd,
}

impl Signals {
    /// Blocks the signals for this thread and those that it starts from now on, and ignores
    /// SIGPIPE. Register the result with the event loop. They stay blocked when this is dropped.
    ///
    /// # Errors
    /// Out of descriptors or memory.
    pub fn block(signals: &[Signal]) -> io::Result<Self> {
        let set = set_of(signals);
        // SAFETY: `set` is a live, initialised set; the old mask is not asked for.
        let result =
            unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
        if result != 0 {
            return Err(io::Error::from_raw_os_error(result));
        }
        ignore_broken_pipes()?;
        // SAFETY: `set` is a live, initialised set.
        let fd = check(unsafe {
            libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
        })?;
        // SAFETY: the kernel has just given us this descriptor, nobody else owns it.
        Ok(Self { fd: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    /// Takes the next signal; `None` if there is none now.
    ///
    /// # Errors
    /// None that a caller could cause.
    pub fn read(&mut self) -> io::Result<Option<ReceivedSignal>> {
        loop {
            // SAFETY: a struct of integers.
            let mut info: libc::signalfd_siginfo = unsafe { zeroed() };
            let length = size_of::<libc::signalfd_siginfo>();
            // SAFETY: the pointer and the length describe `info`.
            let read = check_size(unsafe {
                libc::read(self.fd.as_raw_fd(), (&raw mut info).cast(), length)
            });
            match read {
                Ok(read) if read == length => {}
                Ok(_) => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            if let Some(signal) = Signal::from_number(info.ssi_signo.cast_signed()) {
                return Ok(Some(ReceivedSignal { signal, pid: info.ssi_pid, uid: info.ssi_uid }));
            }
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Ignores SIGPIPE in the whole process: a write to a closed pipe is an error, not the end.
///
/// # Errors
/// None that a caller could cause.
pub fn ignore_broken_pipes() -> io::Result<()> {
    // SAFETY: SIG_IGN installs no code of ours.
    unsafe { signal(NixSignal::SIGPIPE, SigHandler::SigIgn) }?;
    Ok(())
}

/// Ends the process at SIGPIPE, as programs that print to a pipe do (`standfast status | head`).
///
/// # Errors
/// None that a caller could cause.
pub fn die_of_broken_pipes() -> io::Result<()> {
    // SAFETY: SIG_DFL installs no code of ours.
    unsafe { signal(NixSignal::SIGPIPE, SigHandler::SigDfl) }?;
    Ok(())
}

fn set_of(signals: &[Signal]) -> libc::sigset_t {
    let numbers: Vec<c_int> = signals.iter().map(|signal| signal.number()).collect();
    // SAFETY: a set of integers, which sigemptyset initialises anyway.
    let mut set: libc::sigset_t = unsafe { zeroed() };
    // SAFETY: `set` is a live local. The numbers are valid signals, therefore sigaddset succeeds.
    unsafe {
        libc::sigemptyset(&raw mut set);
        for number in numbers {
            libc::sigaddset(&raw mut set, number);
        }
    }
    set
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_keepalived() {
        let numbers: Vec<i32> = Signal::ALL.iter().map(|signal| signal.number()).collect();
        assert_eq!(numbers[..5], [15, 2, 1, 10, 12]);
        #[cfg(target_env = "gnu")]
        assert_eq!(numbers[5..7], [63, 36]);
    }

    #[test]
    fn signals_are_read_as_events() {
        // The signal goes to this thread alone, because other tests run in this process.
        let mut signals = Signals::block(&[Signal::DumpJson, Signal::DumpStats]).unwrap();
        assert_eq!(signals.read().unwrap(), None);
        for signal in [Signal::DumpStats, Signal::DumpJson] {
            // SAFETY: our own thread, a signal that is blocked.
            let sent = unsafe { libc::pthread_kill(libc::pthread_self(), signal.number()) };
            assert_eq!(sent, 0);
            let received = signals.read().unwrap().unwrap();
            assert_eq!((received.signal, received.pid), (signal, std::process::id()));
        }
        assert_eq!(signals.read().unwrap(), None);
    }
}
