//! Starting programs (scripts, and ourselves again as a role) and ending them.
//!
//! A program is started without copying our memory (as `vfork` does): neither the size of the
//! daemon nor its locked pages make it slower, and no other thread meets a page fault because of
//! it. The program gets a clean slate: /dev/null as its three files, no other descriptor, an empty
//! signal mask, default signal actions, and the limits and scheduling that we were started with
//! ([`crate::limits::remember`]).

mod spawn;

use std::ffi::{CString, OsStr, OsString};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;

use crate::ffi::check;

/// Variables that no script gets: they change what a shell or the dynamic loader does.
pub const REMOVED_VARIABLES: [&str; 3] = ["IFS", "LD_PRELOAD", "LD_LIBRARY_PATH"];

/// The program that is us, whatever its path and even if the file was replaced since.
pub const ITSELF: &str = "/proc/self/exe";

/// Who runs the program.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Credentials {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary groups; empty clears them.
    pub groups: Vec<u32>,
}

/// Where one of the three standard files leads.
#[derive(Debug, Default)]
pub enum Stdio {
    /// /dev/null.
    #[default]
    Null,
    /// Ours.
    Inherit,
    /// This descriptor.
    Descriptor(OwnedFd),
}

/// Which process group the program belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Group {
    /// Ours: a control-C at the terminal reaches it too.
    Inherit,
    /// A new one, which [`Child::signal_group`] reaches.
    #[default]
    New,
    /// A new session, without a controlling terminal.
    Session,
}

/// A program to start.
#[derive(Debug)]
pub struct Command {
    program: PathBuf,
    name: Option<OsString>,
    args: Vec<OsString>,
    credentials: Option<Credentials>,
    /// Later entries win; `None` removes.
    environment: Vec<(OsString, Option<OsString>)>,
    stdio: [Stdio; 3],
    descriptors: Vec<(OwnedFd, RawFd)>,
    group: Group,
    death_signal: Option<i32>,
    shell_fallback: bool,
    directory: Option<PathBuf>,
    umask: Option<u32>,
}

impl Command {
    /// A program by its path (there is no search in `$PATH`), without arguments, in a new process
    /// group, with everything else as the module says.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            name: None,
            args: Vec::new(),
            credentials: None,
            environment: REMOVED_VARIABLES
                .iter()
                .map(|name| (OsString::from(name), None))
                .collect(),
            stdio: Default::default(),
            descriptors: Vec::new(),
            group: Group::default(),
            death_signal: None,
            shell_fallback: false,
            directory: None,
            umask: None,
        }
    }

    /// Our own program. Give it a name with [`Self::name`].
    pub fn itself() -> Self {
        Self::new(ITSELF)
    }

    /// The zeroth argument, if it is not the program's path.
    #[must_use]
    pub fn name(mut self, name: impl Into<OsString>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Appends an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Appends arguments.
    #[must_use]
    pub fn args<S: Into<OsString>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Runs it as somebody else.
    #[must_use]
    pub fn run_as(mut self, credentials: Credentials) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// Sets an environment variable. The rest of the environment is ours without
    /// [`REMOVED_VARIABLES`].
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), Some(value.into())));
        self
    }

    /// Removes an environment variable.
    #[must_use]
    pub fn env_remove(mut self, name: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), None));
        self
    }

    /// Standard input.
    #[must_use]
    pub fn stdin(mut self, stdio: Stdio) -> Self {
        self.stdio[0] = stdio;
        self
    }

    /// Standard output.
    #[must_use]
    pub fn stdout(mut self, stdio: Stdio) -> Self {
        self.stdio[1] = stdio;
        self
    }

    /// Standard error.
    #[must_use]
    pub fn stderr(mut self, stdio: Stdio) -> Self {
        self.stdio[2] = stdio;
        self
    }

    /// Hands over a descriptor, which the program finds open as `number` (3 or more).
    #[must_use]
    pub fn descriptor(mut self, descriptor: OwnedFd, number: RawFd) -> Self {
        self.descriptors.push((descriptor, number));
        self
    }

    /// Its process group.
    #[must_use]
    pub fn group(mut self, group: Group) -> Self {
        self.group = group;
        self
    }

    /// It gets this signal when the thread that started it ends, however that happens.
    #[must_use]
    pub fn die_with_parent(mut self, signal: i32) -> Self {
        self.death_signal = Some(signal);
        self
    }

    /// Lets /bin/sh run a file that has no `#!` line.
    #[must_use]
    pub fn shell_fallback(mut self) -> Self {
        self.shell_fallback = true;
        self
    }

    /// Its working directory; ours if not given.
    #[must_use]
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// Its umask; ours if not given.
    #[must_use]
    pub fn umask(mut self, umask: u32) -> Self {
        self.umask = Some(umask);
        self
    }

    /// The program's path.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Starts it. Returns when the program itself runs, so that an error of `execve` is an error
    /// here.
    ///
    /// # Errors
    /// Which step failed and why; nothing is left behind then.
    pub fn spawn(&self) -> Result<Child, SpawnError> {
        spawn::spawn(self)
    }

    fn argv(&self) -> Result<Vec<CString>, SpawnError> {
        let name = self.name.as_deref().unwrap_or(self.program.as_os_str());
        std::iter::once(name)
            .chain(self.args.iter().map(OsString::as_os_str))
            .map(c_string)
            .collect()
    }

    fn envp(&self) -> Result<Vec<CString>, SpawnError> {
        let changed = |name: &OsStr| self.environment.iter().any(|(other, _)| other == name);
        let mut variables: Vec<(OsString, OsString)> =
            std::env::vars_os().filter(|(name, _)| !changed(name)).collect();
        for (index, (name, value)) in self.environment.iter().enumerate() {
            let last = self.environment[index + 1..].iter().all(|(later, _)| later != name);
            if let (true, Some(value)) = (last, value) {
                variables.push((name.clone(), value.clone()));
            }
        }
        let join = |(name, value): &(OsString, OsString)| {
            let mut entry = name.clone();
            entry.push("=");
            entry.push(value);
            c_string(&entry)
        };
        variables.iter().map(join).collect()
    }
}

fn c_string(string: &OsStr) -> Result<CString, SpawnError> {
    CString::new(string.as_bytes())
        .map_err(|_| SpawnError::new(Step::Prepare, io::Error::from(io::ErrorKind::InvalidInput)))
}

/// A step of starting a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Our own preparations: a zero byte in an argument, no descriptor left, a wrong number.
    Prepare,
    /// Making the process.
    Process,
    /// Its process group or session.
    Group,
    /// Its descriptors.
    Descriptors,
    /// Its working directory.
    Directory,
    /// Changing to its group ids.
    Groups,
    /// Changing to its user id.
    User,
    /// The wish to end with its parent, or the parent has ended meanwhile.
    Parent,
    /// `execve`: the file, its permissions, its interpreter.
    Execute,
}

impl Step {
    const ALL: [Self; 9] = [
        Self::Prepare,
        Self::Process,
        Self::Group,
        Self::Descriptors,
        Self::Directory,
        Self::Groups,
        Self::User,
        Self::Parent,
        Self::Execute,
    ];
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Prepare => "prepare the start",
            Self::Process => "make a process",
            Self::Group => "make a process group",
            Self::Descriptors => "hand over descriptors",
            Self::Directory => "change the working directory",
            Self::Groups => "change the group",
            Self::User => "change the user",
            Self::Parent => "tie it to its parent",
            Self::Execute => "execute the file",
        })
    }
}

/// A program could not be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot {step}: {source}")]
pub struct SpawnError {
    /// The step that failed.
    pub step: Step,
    /// Why.
    pub source: io::Error,
}

impl SpawnError {
    fn new(step: Step, source: io::Error) -> Self {
        Self { step, source }
    }
}

/// A process that we have started.
///
/// Dropping it neither ends the process nor waits for it: an ended process then stays as a zombie
/// until we end ourselves.
#[derive(Debug)]
pub struct Child {
    pid: i32,
    pidfd: OwnedFd,
    status: Option<ExitStatus>,
}

impl Child {
    /// Its process id (and that of its group).
    pub fn id(&self) -> u32 {
        self.pid.unsigned_abs()
    }

    /// Whether it has ended, taken or not.
    pub fn has_ended(&self) -> bool {
        if self.status.is_some() {
            return true;
        }
        let mut fds = [PollFd::new(self.as_fd(), PollFlags::POLLIN)];
        matches!(poll(&mut fds, PollTimeout::ZERO), Ok(1..))
    }

    /// Takes its result if it has ended. The result can be asked for again.
    ///
    /// # Errors
    /// ECHILD if somebody else has taken it.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.wait_with(libc::WNOHANG)
    }

    /// Waits for its end and takes its result.
    ///
    /// # Errors
    /// ECHILD if somebody else has taken it.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        loop {
            if let Some(status) = self.wait_with(0)? {
                return Ok(status);
            }
        }
    }

    /// Sends it a signal. That it has ended is no error.
    ///
    /// # Errors
    /// Not permitted, or no such signal.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        // SAFETY: a descriptor of ours, and no siginfo.
        let result = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.pidfd.as_raw_fd(),
                signal,
                std::ptr::null::<libc::siginfo_t>(),
                0,
            )
        };
        gone_is_fine(check(if result < 0 { -1 } else { 0 }))
    }

    /// Sends a signal to its whole group (which it leads with [`Group::New`] and
    /// [`Group::Session`]). That nobody is left is no error. Once its result is taken nothing is
    /// sent: the number could be somebody else's.
    ///
    /// # Errors
    /// Not permitted, or no such signal.
    pub fn signal_group(&self, signal: i32) -> io::Result<()> {
        if self.status.is_some() {
            return Ok(());
        }
        // SAFETY: no pointers. The process is not reaped, so that the number names this group.
        gone_is_fine(check(unsafe { libc::kill(-self.pid, signal) }))
    }

    fn wait_with(&mut self, flags: i32) -> io::Result<Option<ExitStatus>> {
        if self.status.is_none() {
            let mut status = 0;
            // SAFETY: the pointer is to a live local.
            let pid = match check(unsafe { libc::waitpid(self.pid, &raw mut status, flags) }) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(None),
                other => other?,
            };
            if pid == self.pid {
                self.status = Some(ExitStatus::from_raw(status));
            }
        }
        Ok(self.status)
    }
}

impl AsFd for Child {
    /// Its pidfd, readable when it has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

fn gone_is_fine(result: io::Result<i32>) -> io::Result<()> {
    match result {
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
        other => other.map(drop),
    }
}

/// Sets the name that `ps` and `top` show for this thread (for the process, if it is the main
/// thread): the first 15 bytes of `name`, up to a zero byte.
pub fn set_name(name: &str) {
    let bytes: Vec<u8> = name.bytes().take_while(|byte| *byte != 0).take(15).collect();
    if let Ok(name) = CString::new(bytes) {
        let _ = prctl::set_name(&name);
    }
}

/// Asks for a signal to this process when its parent (the thread that started it) ends. If the
/// parent has ended already, see [`parent_id`].
///
/// # Errors
/// No such signal.
pub fn die_with_parent(signal: i32) -> io::Result<()> {
    // SAFETY: no pointers.
    check(unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::c_ulong::from(signal.unsigned_abs()))
    })?;
    Ok(())
}

/// The parent's process id.
pub fn parent_id() -> u32 {
    std::os::unix::process::parent_id()
}

/// Orphans among our descendants become our children instead of init's. Collect them with
/// [`reap_adopted`].
///
/// # Errors
/// None that a caller could cause.
pub fn become_subreaper() -> io::Result<()> {
    Ok(prctl::set_child_subreaper(true)?)
}

/// Collects ended children that `ours` does not claim (by process id): orphans that a subreaper
/// was given. Returns how many.
pub fn reap_adopted(ours: impl Fn(u32) -> bool) -> usize {
    let mut reaped = 0;
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else { return 0 };
    for thread in threads.flatten() {
        let Ok(children) = std::fs::read_to_string(thread.path().join("children")) else {
            continue;
        };
        for pid in children.split_ascii_whitespace().filter_map(|pid| pid.parse::<u32>().ok()) {
            if ours(pid) {
                continue;
            }
            // SAFETY: no status is asked for.
            let result =
                unsafe { libc::waitpid(pid.cast_signed(), std::ptr::null_mut(), libc::WNOHANG) };
            reaped += usize::from(result > 0);
        }
    }
    reaped
}
