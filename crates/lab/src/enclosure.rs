//! The enclosure: the process moves into its own mount, pid and (without root) user namespaces.
//!
//! Everything that a laboratory starts lives below one process that is pid 1 of its own pid
//! namespace. When that process ends, for whatever reason, the kernel ends everything in it and
//! the network namespaces vanish with their last process: nothing is left behind, even after
//! `kill -9`.
//!
//! ```text
//!   the program as started ──► unshare(user?, mount, pid) ──► the same program again, as pid 1
//!        waits, passes on the exit status                        lab::enter() returns here
//! ```

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::Command;
use std::{env, fs, process};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{Uid, getegid, geteuid};

use crate::LabError;

/// Set in the inner process, so that it knows that the work is done.
const MARK: &str = "STANDFAST_LAB_ENCLOSED";

/// Where an enclosure keeps its files, hiding what the system has there.
pub(crate) const FILES: &str = "/run";

/// Moves the calling program into an enclosure and returns inside of it.
///
/// Call it at the start of `main`, before any thread exists: the kernel allows a new user or pid
/// namespace only to a process of a single thread. The program is started a second time, with the
/// same arguments; the outer process only waits for the inner one and ends with its status.
///
/// # Errors
///
/// When the kernel refuses the namespaces; the message says what an administrator can do.
pub fn enter() -> Result<(), LabError> {
    enter_known_as(None)
}

/// As [`enter`]; the process id of the inner process, as the rest of the system sees it, is
/// written to `register` while it runs, so that others can join ([`crate::interactive::join`]).
///
/// # Errors
///
/// As for [`enter`], and when the file cannot be written.
pub fn enter_known_as(register: Option<&Path>) -> Result<(), LabError> {
    if env::var_os(MARK).is_some() {
        return settle();
    }
    let rootless = !geteuid().is_root();
    let mut flags = CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID;
    if rootless {
        flags |= CloneFlags::CLONE_NEWUSER;
    }
    let (uid, gid) = (geteuid(), getegid());
    unshare(flags).map_err(|errno| LabError::NoNamespaces { rootless, errno })?;
    if rootless {
        write("/proc/self/setgroups", "deny")?;
        write("/proc/self/uid_map", &format!("0 {uid} 1"))?;
        write("/proc/self/gid_map", &format!("0 {gid} 1"))?;
    }
    let mut arguments = env::args_os();
    let mut inner = Command::new("/proc/self/exe");
    if let Some(name) = arguments.next() {
        inner.arg0(name);
    }
    inner.args(arguments).env(MARK, "1");
    let again = |source| LabError::Io { what: "start the program again".into(), source };
    let mut inner = inner.spawn().map_err(again)?;
    if let Some(path) = register {
        fs::write(path, inner.id().to_string())
            .map_err(|source| LabError::Io { what: format!("write {}", path.display()), source })?;
    }
    let status = inner.wait().map_err(again)?;
    if let Some(path) = register {
        let _ = fs::remove_file(path);
    }
    process::exit(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)));
}

/// Whether this process is inside of an enclosure already.
#[must_use]
pub fn enclosed() -> bool {
    env::var_os(MARK).is_some()
}

/// The inner process makes itself at home: it dies with the outer one, its mounts are its own,
/// and `/proc` shows its own pid namespace.
fn settle() -> Result<(), LabError> {
    let failed = |what: &str| {
        let what = what.to_owned();
        move |errno: nix::Error| LabError::Io { what, source: errno.into() }
    };
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(failed("ask for the parent's death signal"))?;
    debug_assert!(Uid::effective().is_root(), "mapped to root, or root");
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .map_err(failed("make the mounts private"))?;
    let safe = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), "/proc", Some("proc"), safe, none).map_err(failed("mount /proc"))?;
    // The laboratory's files live in memory and vanish with the enclosure.
    let mode = Some("mode=0755");
    mount(Some("lab"), FILES, Some("tmpfs"), MsFlags::MS_NOSUID, mode).map_err(failed("mount /run"))
}

fn write(path: &str, text: &str) -> Result<(), LabError> {
    fs::write(path, text)
        .map_err(|source| LabError::Io { what: format!("write {text:?} to {path}"), source })
}
