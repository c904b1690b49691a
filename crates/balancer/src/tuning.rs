//! How the role is scheduled, and what it may do.

use config::model::Global;
use sys::caps::{self, Capability};
use sys::sched::Scheduling;

/// What the balancer needs, its scripts' users included. The program that loads a kernel module is
/// root's and gets its capabilities from the kernel.
const NEEDED: &[Capability] = &[
    Capability::Chown,
    Capability::DacOverride,
    Capability::Fowner,
    Capability::Kill,
    Capability::Setgid,
    Capability::Setuid,
    Capability::NetBindService,
    Capability::NetAdmin,
    Capability::NetRaw,
    Capability::IpcLock,
    Capability::SysModule,
    Capability::SysNice,
    Capability::SysResource,
];

/// To look into another network namespace, again and again (`net_namespace_ipvs`).
const NAMESPACES: &[Capability] = &[Capability::SysAdmin, Capability::SysPtrace];

/// Gives up every capability that the role does not need. Scripts that run as root get root's
/// capabilities from the kernel all the same.
pub(crate) fn drop_capabilities(global: &Global) {
    let mut needed = NEEDED.to_vec();
    if global.net_namespace_ipvs.is_some() {
        needed.extend(NAMESPACES);
    }
    if let Err(error) = caps::keep_only(&needed) {
        log::warn!("capabilities could not be dropped: {error}");
    }
    if !caps::has(Capability::NetAdmin) {
        log::error!(
            "missing CAP_NET_ADMIN: the kernel's IPVS table cannot be set (run as root, or give \
             the container this capability)"
        );
    }
}

/// Schedules the calling thread as `checker_priority` and its kind ask for.
pub(crate) fn apply(global: &Global) {
    let wanted = &global.checker_process;
    let scheduling = Scheduling {
        nice: wanted.nice.value,
        processors: wanted.cpus.iter().map(|&cpu| cpu.into()).collect(),
        no_swap: wanted.no_swap,
        realtime: wanted.rt_priority,
        // Keepalived's default of 10 ms would kill us while a large table is loaded: only a limit
        // that was written counts.
        realtime_limit: (!wanted.rlimit_rttime.is_default())
            .then(|| u64::try_from(wanted.rlimit_rttime.value.as_micros()).unwrap_or(u64::MAX)),
    };
    for (what, error) in scheduling.apply() {
        log::warn!("checker_{what}: {error}");
    }
}
