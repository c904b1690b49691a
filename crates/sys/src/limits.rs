//! Resource limits: what we change for ourselves, and what programs that we start get back.

use std::ffi::c_int;
use std::io;
use std::sync::OnceLock;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::ffi::zeroed;

/// The limits that we may change for ourselves.
const RESOURCES: [Resource; 4] = [
    Resource::RLIMIT_NOFILE,
    Resource::RLIMIT_CORE,
    Resource::RLIMIT_MEMLOCK,
    Resource::RLIMIT_RTTIME,
];

static REMEMBERED: OnceLock<Remembered> = OnceLock::new();

/// Limits and scheduling as they were when [`remember`] was called.
#[derive(Clone, Copy)]
pub(crate) struct Remembered {
    /// Soft and hard.
    limits: [Option<(u64, u64)>; RESOURCES.len()],
    nice: c_int,
    affinity: libc::cpu_set_t,
}

/// Notes limits, niceness and processors of the process as they are now; the first call counts.
/// Every program started by [`crate::process`] gets them back. Call it first of all.
pub fn remember() {
    REMEMBERED.get_or_init(Remembered::now);
}

pub(crate) fn remembered() -> Option<&'static Remembered> {
    REMEMBERED.get()
}

impl Remembered {
    fn now() -> Self {
        let limits = RESOURCES.map(|resource| getrlimit(resource).ok());
        // SAFETY: no pointers.
        let nice = unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
        // SAFETY: a struct of integers.
        let mut affinity: libc::cpu_set_t = unsafe { zeroed() };
        // SAFETY: pointer and size describe a live local.
        unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut affinity) };
        Self { limits, nice, affinity }
    }

    /// Puts them back for the calling process, which is about to execute a program: only
    /// async-signal-safe calls. As far as we may: who gave up CAP_SYS_RESOURCE cannot raise a hard
    /// limit again, and the program can do without.
    pub(crate) fn restore(&self) {
        // SAFETY: a struct of integers; priority 0 is SCHED_OTHER's.
        let other: libc::sched_param = unsafe { zeroed() };
        // SAFETY: pointers to live values.
        unsafe {
            libc::sched_setscheduler(0, libc::SCHED_OTHER, &raw const other);
            libc::setpriority(libc::PRIO_PROCESS, 0, self.nice);
            libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const self.affinity);
        }
        for (resource, limit) in RESOURCES.into_iter().zip(self.limits) {
            if let (Some((soft, hard)), Ok(present)) = (limit, getrlimit(resource))
                && present != (soft, hard)
                && setrlimit(resource, soft, hard).is_err()
            {
                let _ = setrlimit(resource, soft.min(present.1), present.1);
            }
        }
    }
}

/// Allows at least so many open descriptors, beyond the hard limit if we may. Returns the limit
/// that holds now.
///
/// # Errors
/// None that a caller could cause; a limit that could not be raised is returned as it is.
pub fn raise_descriptors(wanted: u64) -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft >= wanted {
        return Ok(soft);
    }
    if setrlimit(Resource::RLIMIT_NOFILE, wanted, hard.max(wanted)).is_err() {
        setrlimit(Resource::RLIMIT_NOFILE, wanted.min(hard), hard)?;
    }
    Ok(getrlimit(Resource::RLIMIT_NOFILE)?.0)
}

/// Allows core dumps of any size (`--core-dump`), as far as the hard limit allows.
///
/// # Errors
/// None that a caller could cause.
pub fn allow_core_dumps() -> io::Result<()> {
    if setrlimit(Resource::RLIMIT_CORE, libc::RLIM_INFINITY, libc::RLIM_INFINITY).is_err() {
        let (_, hard) = getrlimit(Resource::RLIMIT_CORE)?;
        setrlimit(Resource::RLIMIT_CORE, hard, hard)?;
    }
    Ok(())
}

/// Limits how long a real-time thread may run without sleeping (`vrrp_rlimit_rttime`), in
/// microseconds: at half of it the process gets SIGXCPU, at all of it SIGKILL.
///
/// # Errors
/// Beyond the hard limit without CAP_SYS_RESOURCE.
pub fn limit_realtime(micros: u64) -> io::Result<()> {
    Ok(setrlimit(Resource::RLIMIT_RTTIME, micros / 2, micros)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_can_be_raised_to_the_hard_limit() {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        assert!(raise_descriptors(1).unwrap() >= 1);
        assert_eq!(raise_descriptors(hard).unwrap(), hard);
    }
}
