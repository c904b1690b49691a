//! The system calls of starting a program: `clone` with shared memory, as `vfork`.
//!
//! The new process runs on a stack of its own in *our* memory while the calling thread is
//! suspended, until it executes the program or ends. Therefore everything it needs is prepared
//! before, it allocates nothing, takes no lock, calls only async-signal-safe functions, and reports
//! an error by writing it where the suspended thread will look. Signals are blocked meanwhile, so
//! that no handler runs in the shared memory. User and group are changed by bare system calls: the
//! C library's functions would try to change all our threads.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd as _, OwnedFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;

use super::{Child, Command, Credentials, Group, SpawnError, Stdio, Step};
use crate::ffi::{check, zeroed};
use crate::limits::{self, Remembered};

/// Bytes of the new process's stack.
const STACK: usize = 64 << 10;
/// Descriptors are closed one by one up to here on kernels without `close_range` (before 5.9).
const CLOSE_ONE_BY_ONE: c_int = 1024;
const SHELL: &CStr = c"/bin/sh";
/// Signal numbers 1 to 64.
const LAST_SIGNAL: c_int = 64;

#[cfg(any(target_arch = "x86", target_arch = "arm"))]
mod number {
    pub(super) use libc::{
        SYS_setgroups32 as SETGROUPS, SYS_setresgid32 as SETRESGID, SYS_setresuid32 as SETRESUID,
    };
}
#[cfg(not(any(target_arch = "x86", target_arch = "arm")))]
mod number {
    pub(super) use libc::{
        SYS_setgroups as SETGROUPS, SYS_setresgid as SETRESGID, SYS_setresuid as SETRESUID,
    };
}

/// Everything that the new process needs, and its answer.
struct Plan<'a> {
    program: &'a CStr,
    argv: &'a [*const c_char],
    envp: &'a [*const c_char],
    shell_argv: Option<&'a [*const c_char]>,
    /// Descriptor and the number it shall have.
    moves: &'a [(RawFd, RawFd)],
    /// Room for the copies of `moves`.
    copies: &'a mut [RawFd],
    /// Numbers above 2 that stay open, ascending.
    kept: &'a [RawFd],
    /// Above all wanted numbers.
    floor: RawFd,
    credentials: Option<&'a Credentials>,
    limits: Option<&'a Remembered>,
    group: Group,
    death_signal: Option<c_int>,
    parent: c_int,
    directory: Option<&'a CStr>,
    umask: Option<u32>,
    /// Index into `Step::ALL` and errno of what failed; errno 0: nothing.
    failed_step: AtomicUsize,
    failed_errno: AtomicI32,
}

pub(super) fn spawn(command: &Command) -> Result<Child, SpawnError> {
    let prepare = |error: io::Error| SpawnError::new(Step::Prepare, error);
    let argv = command.argv()?;
    let envp = command.envp()?;
    let program = super::c_string(command.program.as_os_str())?;
    let directory =
        command.directory.as_ref().map(|path| super::c_string(path.as_os_str())).transpose()?;
    let argv_pointers = pointers(argv.iter().map(CString::as_c_str));
    let envp_pointers = pointers(envp.iter().map(CString::as_c_str));
    let shell_pointers =
        pointers([SHELL, &program].into_iter().chain(argv.iter().skip(1).map(CString::as_c_str)));
    let null = open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())
        .map_err(|error| prepare(error.into()))?;
    let moves = moves(command, &null).map_err(prepare)?;
    let mut kept: Vec<RawFd> =
        moves.iter().map(|(_, number)| *number).filter(|number| *number > 2).collect();
    kept.sort_unstable();
    if kept.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(prepare(io::Error::from(io::ErrorKind::InvalidInput)));
    }
    let mut copies = vec![-1; moves.len()];
    let mut plan = Plan {
        program: &program,
        argv: &argv_pointers,
        envp: &envp_pointers,
        shell_argv: command.shell_fallback.then_some(&shell_pointers),
        moves: &moves,
        copies: &mut copies,
        floor: kept.last().map_or(3, |last| last + 1),
        kept: &kept,
        credentials: command.credentials.as_ref(),
        limits: limits::remembered(),
        group: command.group,
        death_signal: command.death_signal,
        parent: std::process::id().cast_signed(),
        directory: directory.as_deref(),
        umask: command.umask,
        failed_step: AtomicUsize::new(0),
        failed_errno: AtomicI32::new(0),
    };
    let (pid, pidfd) = clone(&mut plan).map_err(|error| SpawnError::new(Step::Process, error))?;
    let mut child = Child { pid, pidfd, status: None };
    match plan.failed_errno.load(Ordering::Acquire) {
        0 => Ok(child),
        errno => {
            let _ = child.wait();
            let step = Step::ALL.get(plan.failed_step.load(Ordering::Acquire)).copied();
            let error = io::Error::from_raw_os_error(errno);
            Err(SpawnError::new(step.unwrap_or(Step::Process), error))
        }
    }
}

fn pointers<'a>(strings: impl Iterator<Item = &'a CStr>) -> Vec<*const c_char> {
    strings.map(CStr::as_ptr).chain(std::iter::once(ptr::null())).collect()
}

fn moves(command: &Command, null: &OwnedFd) -> io::Result<Vec<(RawFd, RawFd)>> {
    let mut moves = Vec::new();
    for (stdio, number) in command.stdio.iter().zip(0..) {
        match stdio {
            Stdio::Null => moves.push((null.as_raw_fd(), number)),
            Stdio::Inherit => {}
            Stdio::Descriptor(descriptor) => moves.push((descriptor.as_raw_fd(), number)),
        }
    }
    for (descriptor, number) in &command.descriptors {
        if *number < 3 {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        moves.push((descriptor.as_raw_fd(), *number));
    }
    Ok(moves)
}

/// Makes the process and returns when it has executed the program or given up.
fn clone(plan: &mut Plan<'_>) -> io::Result<(c_int, OwnedFd)> {
    // u128 for the alignment that the processor's calling conventions ask of a stack.
    let mut stack = vec![0_u128; STACK / size_of::<u128>()];
    let mut pidfd: c_int = -1;
    // SAFETY: sets of integers, which the calls below initialise.
    let (mut all, mut before): (libc::sigset_t, libc::sigset_t) = unsafe { (zeroed(), zeroed()) };
    // SAFETY: pointers to live locals.
    unsafe {
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
    }
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD;
    // SAFETY: the new process runs `child` on `stack` (which grows down from its end) and shares
    // our memory. This thread is suspended until it has ended or executed a program, so that
    // `stack` and `plan` live long enough and nobody else uses them. `child` keeps the rules that
    // the module's documentation lists. With CLONE_PIDFD the next argument is where the kernel
    // writes the descriptor.
    let pid = check(unsafe {
        libc::clone(
            child,
            stack.as_mut_ptr_range().end.cast(),
            flags,
            ptr::from_mut(plan).cast(),
            &raw mut pidfd,
        )
    });
    // SAFETY: `before` was filled by the first call.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, ptr::null_mut()) };
    let pid = pid?;
    if pidfd < 0 {
        // A kernel before 5.2 ignores the flag.
        // SAFETY: the process is our child and not reaped.
        unsafe {
            libc::kill(pid, libc::SIGKILL);
            libc::waitpid(pid, ptr::null_mut(), 0);
        }
        return Err(io::Error::from_raw_os_error(libc::ENOSYS));
    }
    // SAFETY: the kernel has just given us this descriptor, nobody else owns it.
    Ok((pid, unsafe { OwnedFd::from_raw_fd(pidfd) }))
}

/// The new process.
extern "C" fn child(plan: *mut c_void) -> c_int {
    // SAFETY: `clone` passes its `plan`, which this process alone uses while it runs.
    let plan = unsafe { &mut *plan.cast::<Plan<'_>>() };
    let (step, errno) = become_program(plan);
    plan.failed_step.store(step, Ordering::Release);
    plan.failed_errno.store(errno, Ordering::Release);
    // SAFETY: ends this process only, without running anything of ours.
    unsafe { libc::_exit(127) }
}

/// Returns only if it fails: the step (index into `Step::ALL`) and errno.
fn become_program(plan: &mut Plan<'_>) -> (usize, c_int) {
    macro_rules! try_step {
        ($step:expr, $call:expr) => {
            if let Err(errno) = $call {
                return ($step as usize, errno);
            }
        };
    }
    default_signal_actions();
    try_step!(Step::Group, enter_group(plan.group));
    if let Some(limits) = plan.limits {
        limits.restore();
    }
    try_step!(Step::Descriptors, place_descriptors(plan));
    if let Some(umask) = plan.umask {
        // SAFETY: no pointers; each process has its own.
        unsafe { libc::umask(umask as libc::mode_t) };
    }
    if let Some(credentials) = plan.credentials {
        try_step!(Step::Groups, change_groups(credentials));
        try_step!(Step::User, change_user(credentials.uid));
    }
    if let Some(directory) = plan.directory {
        // SAFETY: a C string of the suspended thread.
        try_step!(Step::Directory, errno(unsafe { libc::chdir(directory.as_ptr()) }));
    }
    if let Some(signal) = plan.death_signal {
        // After the change of user, which would forget it.
        // SAFETY: no pointers.
        let result = unsafe {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::c_ulong::from(signal.unsigned_abs()))
        };
        try_step!(Step::Parent, errno(result));
        // SAFETY: no pointers.
        if unsafe { libc::getppid() } != plan.parent {
            return (Step::Parent as usize, libc::ESRCH);
        }
    }
    // SAFETY: all pointers are to C strings and null-terminated lists of the suspended thread;
    // `empty` is a live local.
    unsafe {
        let mut empty: libc::sigset_t = zeroed();
        libc::sigemptyset(&raw mut empty);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const empty, ptr::null_mut());
        libc::execve(plan.program.as_ptr(), plan.argv.as_ptr(), plan.envp.as_ptr());
    }
    let mut failure = last_errno();
    if let (libc::ENOEXEC, Some(argv)) = (failure, plan.shell_argv) {
        // SAFETY: as above.
        unsafe { libc::execve(SHELL.as_ptr(), argv.as_ptr(), plan.envp.as_ptr()) };
        failure = last_errno();
    }
    (Step::Execute as usize, failure)
}

/// A handler cannot survive `execve`, but an ignored signal stays ignored. The bare system call,
/// because the C library keeps two signals to itself.
fn default_signal_actions() {
    // More than the kernel's struct: handler (SIG_DFL is 0), flags, restorer, mask.
    let default = [0_u64; 8];
    for signal in 1..=LAST_SIGNAL {
        // SAFETY: the pointer is to a live local that is large enough, the old action is not asked
        // for, 8 is the size of the kernel's mask; this process has its own table. Errors (SIGKILL,
        // SIGSTOP) are of no interest.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                default.as_ptr(),
                ptr::null::<c_void>(),
                size_of::<u64>(),
            )
        };
    }
}

fn enter_group(group: Group) -> Result<(), c_int> {
    match group {
        Group::Inherit => Ok(()),
        // SAFETY: no pointers.
        Group::New => errno(unsafe { libc::setpgid(0, 0) }),
        // SAFETY: no pointers.
        Group::Session => errno(unsafe { libc::setsid() }),
    }
}

fn place_descriptors(plan: &mut Plan<'_>) -> Result<(), c_int> {
    // First out of the way of all wanted numbers, then to these: no order of moves can collide.
    for ((from, _), copy) in plan.moves.iter().zip(plan.copies.iter_mut()) {
        // SAFETY: no pointers.
        *copy = unsafe { libc::fcntl(*from, libc::F_DUPFD_CLOEXEC, plan.floor) };
        errno(*copy)?;
    }
    for ((_, number), copy) in plan.moves.iter().zip(plan.copies.iter()) {
        // SAFETY: no pointers. `copy` differs from `number`, so that close-on-exec is off.
        errno(unsafe { libc::dup2(*copy, *number) })?;
    }
    let mut first = 3;
    for number in plan.kept {
        close_at_exec(first, number - 1);
        first = number + 1;
    }
    close_at_exec(first, c_int::MAX);
    Ok(())
}

/// Marks a range of descriptors, ends included, to be closed by `execve`. All of ours are marked
/// from birth; this is for those of libraries.
fn close_at_exec(first: c_int, last: c_int) {
    if first > last {
        return;
    }
    // SAFETY: no pointers.
    let result =
        unsafe { libc::syscall(libc::SYS_close_range, first, last, libc::CLOSE_RANGE_CLOEXEC) };
    if result < 0 {
        for fd in first..=last.min(CLOSE_ONE_BY_ONE) {
            // SAFETY: no pointers; an error means that the number is not in use.
            unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
    }
}

fn change_groups(credentials: &Credentials) -> Result<(), c_int> {
    let groups = &credentials.groups;
    // SAFETY: pointer and length describe the list. Supplementary groups first: it needs the
    // privileges of the present user.
    call_errno(unsafe { libc::syscall(number::SETGROUPS, groups.len(), groups.as_ptr()) })?;
    let gid = credentials.gid;
    // SAFETY: no pointers.
    call_errno(unsafe { libc::syscall(number::SETRESGID, gid, gid, gid) })
}

fn change_user(uid: u32) -> Result<(), c_int> {
    // SAFETY: no pointers.
    call_errno(unsafe { libc::syscall(number::SETRESUID, uid, uid, uid) })
}

fn errno(result: c_int) -> Result<(), c_int> {
    if result < 0 { Err(last_errno()) } else { Ok(()) }
}

fn call_errno(result: libc::c_long) -> Result<(), c_int> {
    if result < 0 { Err(last_errno()) } else { Ok(()) }
}

fn last_errno() -> c_int {
    nix::errno::Errno::last_raw()
}
