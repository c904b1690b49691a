//! How the timing thread is scheduled, and what the role may do.

use std::time::Duration;

use config::model::Global;
use sys::caps::{self, Capability};
use sys::sched;

/// What the failover role needs, its scripts' users and kernel settings included.
const NEEDED: &[Capability] = &[
    Capability::Chown,
    Capability::DacOverride,
    Capability::Fowner,
    Capability::Kill,
    Capability::Setgid,
    Capability::Setuid,
    Capability::NetAdmin,
    Capability::NetRaw,
    Capability::IpcLock,
    Capability::SysPtrace,
    Capability::SysNice,
    Capability::SysResource,
];

/// Gives up every capability that the role does not need. Scripts that run as root get root's
/// capabilities from the kernel all the same.
pub(crate) fn drop_capabilities() {
    if let Err(error) = caps::keep_only(NEEDED) {
        log::warn!("capabilities could not be dropped: {error}");
    }
    for (capability, what) in [
        (Capability::NetAdmin, "CAP_NET_ADMIN: addresses cannot be set"),
        (Capability::NetRaw, "CAP_NET_RAW: no VRRP packet can be sent or received"),
    ] {
        if !caps::has(capability) {
            log::error!("missing {what} (run as root, or give the container this capability)");
        }
    }
}

/// Scheduling of the timing thread.
#[derive(Debug, Default)]
pub(crate) struct Tuning {
    /// `max_auto_priority`: how far lateness may raise the real-time priority.
    most: u8,
    /// `min_auto_priority_delay`.
    tolerated: Duration,
}

impl Tuning {
    /// Applies what the configuration asks for to the calling thread.
    pub(crate) fn apply(&mut self, global: &Global) {
        let wanted = &global.vrrp_process;
        let scheduling = sched::Scheduling {
            nice: wanted.nice.value,
            processors: wanted.cpus.iter().map(|&cpu| cpu.into()).collect(),
            no_swap: wanted.no_swap,
            realtime: wanted.rt_priority,
            // Keepalived's default of 10 ms would kill us in the middle of a large takeover: only
            // a limit that was written counts.
            realtime_limit: (!wanted.rlimit_rttime.is_default())
                .then(|| u64::try_from(wanted.rlimit_rttime.value.as_micros()).unwrap_or(u64::MAX)),
        };
        for (what, error) in scheduling.apply() {
            log::warn!("vrrp_{what}: {error}");
        }
        self.most = u8::try_from(global.max_auto_priority.value).unwrap_or(0);
        self.tolerated = global.min_auto_priority_delay.value;
    }

    /// A timer was this late. With `max_auto_priority` the thread becomes a real-time one, step by
    /// step.
    pub(crate) fn late_by(&mut self, late: Duration) {
        if self.most == 0 || late < self.tolerated {
            return;
        }
        let next = sched::realtime().unwrap_or(0).saturating_add(1);
        if next > self.most {
            return;
        }
        match sched::set_realtime(next) {
            Ok(()) => log::warn!("a timer was {late:.1?} late; real-time priority is now {next}"),
            Err(error) => {
                log::warn!("a timer was {late:.1?} late; real-time priority {next}: {error}");
                self.most = 0;
            }
        }
    }
}
