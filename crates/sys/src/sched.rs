//! How the kernel schedules the calling thread, and whether our memory may be swapped out.
//!
//! All of it concerns the calling thread alone (memory: the whole process) and threads that it
//! starts later inherit niceness and processors, but not the real-time class.

use std::io;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::unistd::Pid;

use crate::ffi::{check, zeroed};

/// Makes the calling thread a real-time one (SCHED_RR) of this priority, 1 to 99. What it forks is
/// none.
///
/// # Errors
/// `PermissionDenied` without CAP_SYS_NICE (or beyond RLIMIT_RTPRIO); `InvalidInput` outside 1..99.
pub fn set_realtime(priority: u8) -> io::Result<()> {
    if !(1..=99).contains(&priority) {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    schedule(libc::SCHED_RR | libc::SCHED_RESET_ON_FORK, priority)
}

/// Makes the calling thread an ordinary one again.
///
/// # Errors
/// None that a caller could cause.
pub fn set_ordinary() -> io::Result<()> {
    schedule(libc::SCHED_OTHER, 0)
}

/// The real-time priority of the calling thread; `None` if it is an ordinary one.
pub fn realtime() -> Option<u8> {
    // SAFETY: a struct of integers.
    let mut parameters: libc::sched_param = unsafe { zeroed() };
    // SAFETY: the pointer is to a live local.
    check(unsafe { libc::sched_getparam(0, &raw mut parameters) }).ok()?;
    u8::try_from(parameters.sched_priority).ok().filter(|priority| *priority > 0)
}

/// Sets the calling thread's niceness, -20 to 19.
///
/// # Errors
/// `PermissionDenied` for less than now without CAP_SYS_NICE.
pub fn set_nice(nice: i8) -> io::Result<()> {
    // SAFETY: no pointers.
    check(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, i32::from(nice)) })?;
    Ok(())
}

/// Lets the calling thread run on these processors only, counted from 0.
///
/// # Errors
/// `InvalidInput` if none of them exists.
pub fn set_affinity(processors: &[usize]) -> io::Result<()> {
    let mut set = CpuSet::new();
    for processor in processors {
        set.set(*processor)?;
    }
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}

/// The processors that the calling thread may run on.
///
/// # Errors
/// None that a caller could cause.
pub fn affinity() -> io::Result<Vec<usize>> {
    let set = sched_getaffinity(Pid::from_raw(0))?;
    Ok((0..CpuSet::count()).filter(|processor| set.is_set(*processor).unwrap_or(false)).collect())
}

/// Keeps all memory of the process, present and future, from being swapped out. Pages count from
/// their first use: otherwise the whole stack of each thread would be filled and locked.
///
/// # Errors
/// `PermissionDenied` or out of memory without CAP_IPC_LOCK (or beyond RLIMIT_MEMLOCK).
pub fn lock_memory() -> io::Result<()> {
    let flags = MlockAllFlags::MCL_CURRENT
        | MlockAllFlags::MCL_FUTURE
        | MlockAllFlags::from_bits_retain(libc::MCL_ONFAULT);
    Ok(mlockall(flags)?)
}

fn schedule(policy: i32, priority: u8) -> io::Result<()> {
    // SAFETY: a struct of integers.
    let mut parameters: libc::sched_param = unsafe { zeroed() };
    parameters.sched_priority = i32::from(priority);
    // SAFETY: the pointer is to a live local. 0 is the calling thread.
    check(unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) })?;
    Ok(())
}

/// How a process wants to be scheduled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scheduling {
    /// Nice value, −20..=19; 0 leaves it.
    pub nice: i8,
    /// Processors to run on; empty: all.
    pub processors: Vec<usize>,
    /// Lock all memory.
    pub no_swap: bool,
    /// SCHED_RR with this priority, 1..=99.
    pub realtime: Option<u8>,
    /// Limit on real-time processor time between two waits, µs.
    pub realtime_limit: Option<u64>,
}

impl Scheduling {
    /// Applies it to the calling thread (memory and limit to the process). Gives back what was
    /// refused, by the ending of the keyword that asked for it: `priority`, `cpu_affinity`, ….
    pub fn apply(&self) -> Vec<(&'static str, io::Error)> {
        let mut refused = Vec::new();
        let mut told = |what, result: io::Result<()>| {
            refused.extend(result.err().map(|error| (what, error)));
        };
        if self.nice != 0 {
            told("priority", set_nice(self.nice));
        }
        if !self.processors.is_empty() {
            told("cpu_affinity", set_affinity(&self.processors));
        }
        if self.no_swap {
            told("no_swap", lock_memory());
        }
        if let Some(priority) = self.realtime {
            told("rt_priority", set_realtime(priority));
        }
        if let Some(micros) = self.realtime_limit {
            told("rlimit_rttime", crate::limits::limit_realtime(micros));
        }
        refused
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// Each in a thread of its own, because that is what it changes.
    fn in_thread(test: impl FnOnce() + Send + 'static) {
        thread::spawn(test).join().unwrap();
    }

    #[test]
    fn a_thread_becomes_realtime_alone() {
        in_thread(|| match set_realtime(1) {
            Ok(()) => {
                assert_eq!(realtime(), Some(1));
                in_thread(|| assert_eq!(realtime(), None));
                set_ordinary().unwrap();
                assert_eq!(realtime(), None);
            }
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::PermissionDenied),
        });
        assert_eq!(realtime(), None);
        for wrong in [0, 100] {
            assert_eq!(set_realtime(wrong).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
    }

    #[test]
    fn a_thread_keeps_to_its_processors() {
        in_thread(|| {
            let all = affinity().unwrap();
            set_affinity(&all[..1]).unwrap();
            assert_eq!(affinity().unwrap(), all[..1]);
            assert!(set_affinity(&[]).is_err());
            assert!(set_affinity(&[1_000_000]).is_err());
        });
    }

    #[test]
    fn niceness_can_always_be_raised() {
        in_thread(|| {
            // SAFETY: no pointers.
            let nice = || unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
            let before = nice();
            set_nice(19).unwrap();
            assert_eq!(nice(), 19);
            assert!(before < 19);
        });
    }
}
