//! What the worker is told to do: plain values, made by the failover role from its checked model.

use std::path::PathBuf;
use std::time::Duration;

/// The identity under which a script runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct RunAs {
    /// User id and group id to change to before the program starts; `None` keeps our own.
    pub ids: Option<(u32, u32)>,
    /// Supplementary groups to set; empty clears them when `ids` is set.
    pub groups: Vec<u32>,
}

/// A command that was resolved (see [`crate::security`]) and may be started as it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ScriptCommand {
    /// The absolute path of the program.
    pub program: PathBuf,
    /// The zeroth argument if it differs from `program`: a program that was found through a link
    /// goes by the link's name (`pidof` is a link to `killall5`).
    pub name: Option<String>,
    /// The arguments after the program's name.
    pub args: Vec<String>,
    /// Who runs it.
    pub run_as: RunAs,
}

impl ScriptCommand {
    /// A command without arguments that runs as ourselves.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), name: None, args: Vec::new(), run_as: RunAs::default() }
    }

    /// The same command with these arguments appended.
    #[must_use]
    pub fn with_args<S: Into<String>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }
}

/// Everything the worker serves. A reload hands over a whole new one; what is equal in both is not
/// touched.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct WorkerConfig {
    /// Each notification is written to all of these.
    pub fifos: Vec<FifoConfig>,
    /// `vrrp_script` blocks.
    pub scripts: Vec<ScriptTrackerConfig>,
    /// `track_file` blocks.
    pub files: Vec<FileTrackerConfig>,
    /// `vrrp_track_process` blocks.
    pub processes: Vec<ProcessTrackerConfig>,
    /// Receive buffer for the kernel's process events, in bytes (`process_monitor_rcv_bufs`);
    /// `None` is the system's default. It takes effect when the first process tracker comes.
    pub process_events_buffer: Option<usize>,
    /// Bounds on notification scripts.
    pub limits: ScriptLimits,
}

/// Bounds on notification scripts, so that a broken one cannot harm the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScriptLimits {
    /// Notification scripts that may run at the same time, all subjects together; default 32. One
    /// subject (instance or group) never has more than one running: that is what keeps order.
    pub parallel: usize,
    /// Scripts that may wait, all subjects together; default 1,000. Beyond it the oldest waiting
    /// script of the longest queue is dropped and reported.
    pub queue: usize,
    /// A script that runs longer is terminated with its process group; default 300 s. Keepalived
    /// has no such limit, but it does not wait for one script before it starts the next either.
    pub timeout: Duration,
    /// After SIGTERM, how long until SIGKILL; default 2 s.
    pub kill_after: Duration,
}

impl Default for ScriptLimits {
    fn default() -> Self {
        Self {
            parallel: 32,
            queue: 1_000,
            timeout: Duration::from_secs(300),
            kill_after: Duration::from_secs(2),
        }
    }
}

/// One notify FIFO (`notify_fifo`, `vrrp_notify_fifo`). Its path is its identity over reloads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FifoConfig {
    /// Where it is; created if absent.
    pub path: PathBuf,
    /// User id and group id of a FIFO that we create; `None` leaves it ours.
    pub owner: Option<(u32, u32)>,
    /// Permission bits of a FIFO that we create; `0o600` unless `umask` says otherwise.
    pub mode: u32,
    /// `notify_fifo_script`: the reader that we start, with the path as last argument.
    pub reader: Option<ScriptCommand>,
    /// Lines kept in memory while the pipe is full; default 100,000. Beyond it new lines are
    /// dropped and reported.
    pub queue: usize,
    /// An earlier run of this daemon created the FIFO (and crashed), so that it is removed at the
    /// end although it exists already.
    pub ours: bool,
}

impl FifoConfig {
    /// Mode 0600, our own user, no reader, 100,000 lines.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            owner: None,
            mode: 0o600,
            reader: None,
            queue: 100_000,
            ours: false,
        }
    }
}

/// One `vrrp_script`. Weights are the caller's business.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptTrackerConfig {
    /// The block's name, its identity over reloads.
    pub name: String,
    /// What to run; exit status 0 is success.
    pub command: ScriptCommand,
    /// From start to start; more than 0; default 1 s.
    pub interval: Duration,
    /// A run that takes longer has failed: SIGTERM to its process group, SIGKILL 2 s later.
    pub timeout: Duration,
    /// Consecutive successes until it is up, ≥ 1.
    pub rise: u32,
    /// Consecutive failures until it is down, ≥ 1.
    pub fall: u32,
    /// Start as down, and need `rise` successes, instead of taking the first result at once.
    pub init_fail: bool,
}

impl ScriptTrackerConfig {
    /// Every second, time-out 1 s, rise 1, fall 1.
    pub fn new(name: impl Into<String>, command: ScriptCommand) -> Self {
        Self {
            name: name.into(),
            command,
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            rise: 1,
            fall: 1,
            init_fail: false,
        }
    }
}

/// One `track_file`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileTrackerConfig {
    /// The block's name, its identity over reloads.
    pub name: String,
    /// The file whose content is an integer; missing or empty counts as 0.
    pub path: PathBuf,
    /// `init_file`: what to write when the tracker starts.
    pub init: Option<InitFile>,
}

/// `init_file [VALUE] [overwrite]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InitFile {
    /// The value to write; default 0.
    pub value: i32,
    /// Write it even if the file exists.
    pub overwrite: bool,
}

/// One `vrrp_track_process`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessTrackerConfig {
    /// The block's name, its identity over reloads.
    pub name: String,
    /// The process to count: its name, or its path with `full_command`.
    pub process: String,
    /// The arguments to match; see `param_match`.
    pub args: Vec<String>,
    /// How the arguments are compared.
    pub param_match: ParamMatch,
    /// Compare the whole path of the command instead of its last component.
    pub full_command: bool,
    /// At least so many processes, default 1.
    pub quorum: u32,
    /// At most so many processes; `None` means any number, `Some(0)` that none may run.
    pub quorum_max: Option<u32>,
    /// How long a loss must last before it is reported; 0 reports at once.
    pub terminate_delay: Duration,
    /// How long a gain must last before it is reported; 0 reports at once.
    pub fork_delay: Duration,
}

impl ProcessTrackerConfig {
    /// At least one process of this name, whatever its arguments, no delays.
    pub fn new(name: impl Into<String>, process: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            process: process.into(),
            args: Vec::new(),
            param_match: ParamMatch::Any,
            full_command: false,
            quorum: 1,
            quorum_max: None,
            terminate_delay: Duration::ZERO,
            fork_delay: Duration::ZERO,
        }
    }
}

/// How `param_match` compares a process's arguments with the configured ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamMatch {
    /// No `param_match` and no arguments: any arguments will do.
    Any,
    /// `param_match` bare: the same arguments, no more and no less.
    Exact,
    /// `param_match initial`: the configured arguments come first, others may follow.
    Initial,
    /// `param_match partial`: as `initial`, but of the last configured argument a prefix is enough.
    Partial,
}
