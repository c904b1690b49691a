//! What goes in and out of the worker: notifications to deliver, reports of what happened.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::settings::ScriptCommand;

/// Whose state changed. Notifications of one subject are delivered in order; those of different
/// subjects side by side.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// `vrrp_instance`, by its name in the configuration.
    Instance(String),
    /// `vrrp_sync_group`, by its name.
    Group(String),
    /// `virtual_server`, by the name that Keepalived gives it: `[198.51.100.1]:tcp:80`,
    /// `[GROUP]:tcp:80` or `FWM 5`.
    VirtualServer(String),
    /// `real_server` of a virtual server.
    RealServer {
        /// The real server: `[198.51.100.11]:tcp:80`.
        server: String,
        /// The virtual server, named as in [`Subject::VirtualServer`].
        of: String,
    },
}

impl Subject {
    /// The word in scripts' arguments and FIFO lines: `INSTANCE`, `GROUP`, `VS` or `RS`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Instance(_) => "INSTANCE",
            Self::Group(_) => "GROUP",
            Self::VirtualServer(_) => "VS",
            Self::RealServer { .. } => "RS",
        }
    }

    /// The instance's, group's or virtual server's name; of a real server its own.
    pub fn name(&self) -> &str {
        match self {
            Self::Instance(name) | Self::Group(name) | Self::VirtualServer(name) => name,
            Self::RealServer { server, .. } => server,
        }
    }
}

/// As FIFO lines begin: `INSTANCE "V4"`, `RS [198.51.100.11]:tcp:80 [198.51.100.1]:tcp:80`.
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.word();
        match self {
            Self::Instance(name) | Self::Group(name) => write!(f, "{word} \"{name}\""),
            Self::VirtualServer(name) => write!(f, "{word} {name}"),
            Self::RealServer { server, of } => write!(f, "{word} {server} {of}"),
        }
    }
}

/// The states of instances and groups that notify scripts and FIFOs know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Holds no addresses, listens.
    Backup,
    /// Holds the addresses.
    Master,
    /// Something tracked is down.
    Fault,
    /// The daemon stops.
    Stop,
    /// A reload removed the instance.
    Deleted,
}

impl State {
    /// The word in scripts' arguments and FIFO lines.
    pub fn word(self) -> &'static str {
        match self {
            Self::Backup => "BACKUP",
            Self::Master => "MASTER",
            Self::Fault => "FAULT",
            Self::Stop => "STOP",
            Self::Deleted => "DELETED",
        }
    }
}

/// What happened to the subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Happening {
    /// It entered a state.
    Entered(State),
    /// Its effective priority changed while it stayed MASTER or BACKUP
    /// (`notify_priority_changes`).
    PriorityChanged(State),
    /// As MASTER it received an advertisement of lower priority (`notify_master_rx_lower_pri`).
    LowerPriorityHeard,
    /// A real server works, or a virtual server has its quorum.
    Up,
    /// A real server has failed, or a virtual server has lost its quorum.
    Down,
}

/// A script to run for a notification.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NotifyScript {
    /// What to run, with the configured arguments.
    pub command: ScriptCommand,
    /// Append [`Notification::arguments`]: true for `notify`, false for `notify_master` and its
    /// kind, for `notify_up`, `notify_down`, `quorum_up` and `quorum_down`.
    pub with_arguments: bool,
}

/// One thing to tell the outside. Notifications of one subject reach scripts and FIFOs in the order
/// in which they were handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Whose.
    pub subject: Subject,
    /// What.
    pub happening: Happening,
    /// The effective priority; 0 for groups; of no meaning for servers.
    pub priority: u8,
    /// Scripts to run, one after the other.
    pub scripts: Vec<NotifyScript>,
    /// Write a line to the FIFOs.
    pub fifo: bool,
}

impl Notification {
    /// What became of a real or virtual server: [`Happening::Up`] or [`Happening::Down`]. The
    /// scripts get no arguments but the configured ones.
    pub fn of_server(
        subject: Subject,
        up: bool,
        scripts: impl IntoIterator<Item = ScriptCommand>,
        fifo: bool,
    ) -> Self {
        let script = |command| NotifyScript { command, with_arguments: false };
        Self {
            subject,
            happening: if up { Happening::Up } else { Happening::Down },
            priority: 0,
            scripts: scripts.into_iter().map(script).collect(),
            fifo,
        }
    }

    /// The state word with its suffix: `MASTER`, `MASTER_PRIORITY`, `MASTER_RX_LOWER_PRI`, `UP`.
    pub fn state_word(&self) -> String {
        match self.happening {
            Happening::Entered(state) => state.word().to_owned(),
            Happening::PriorityChanged(state) => format!("{}_PRIORITY", state.word()),
            Happening::LowerPriorityHeard => "MASTER_RX_LOWER_PRI".to_owned(),
            Happening::Up => "UP".to_owned(),
            Happening::Down => "DOWN".to_owned(),
        }
    }

    /// The FIFO's line, newline included: `INSTANCE "V4" MASTER 150\n`,
    /// `VS [198.51.100.1]:tcp:80 UP\n`.
    pub fn line(&self) -> String {
        let (subject, word) = (&self.subject, self.state_word());
        match self.subject {
            Subject::Instance(_) | Subject::Group(_) => {
                format!("{subject} {word} {}\n", self.priority)
            }
            Subject::VirtualServer(_) | Subject::RealServer { .. } => format!("{subject} {word}\n"),
        }
    }

    /// What is appended to a script [with arguments](NotifyScript::with_arguments):
    /// `INSTANCE|GROUP NAME STATE PRIORITY`, `VS NAME STATE` or `RS NAME VS-NAME STATE`.
    pub fn arguments(&self) -> Vec<String> {
        let mut out = vec![self.subject.word().to_owned(), self.subject.name().to_owned()];
        if let Subject::RealServer { of, .. } = &self.subject {
            out.push(of.clone());
        }
        out.push(self.state_word());
        if matches!(self.subject, Subject::Instance(_) | Subject::Group(_)) {
            out.push(self.priority.to_string());
        }
        out
    }
}

/// How a process ended, or why it did not start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Exit status, 0..=255.
    Exited(i32),
    /// Ended by a signal that was not ours.
    Signalled(i32),
    /// Took longer than allowed and was terminated by us with its process group.
    TimedOut,
    /// Could not be started: the operating system's reason and what to do about it.
    NotStarted(String),
}

impl Outcome {
    /// Whether it counts as success: exit status 0.
    pub fn is_success(&self) -> bool {
        matches!(self, Self::Exited(0))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(status) => write!(f, "exited with status {status}"),
            Self::Signalled(signal) => write!(f, "ended by signal {signal}"),
            Self::TimedOut => f.write_str("took too long and was terminated"),
            Self::NotStarted(why) => write!(f, "could not be started: {why}"),
        }
    }
}

/// Which kind of tracked object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TrackerKind {
    /// `vrrp_script`.
    Script,
    /// `track_file`.
    File,
    /// `vrrp_track_process`.
    Process,
}

/// A tracked object's identity: kinds have separate name spaces.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrackerId {
    /// Script, file or process.
    pub kind: TrackerKind,
    /// The block's name.
    pub name: String,
}

/// What a tracker says now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrackerState {
    /// The script succeeds, or the number of processes is within the quorum.
    Up,
    /// The opposite.
    Down,
    /// A track file's value. Missing files are 0.
    Value(i32),
}

/// A report about a tracker. Sent when its state changed, for its first result, and again after a
/// reload that carried its state over into a changed definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackerReport {
    /// Which.
    pub id: TrackerId,
    /// What it says now.
    pub state: TrackerState,
    /// The first one since it was started.
    pub first: bool,
    /// Why, for `explain`.
    pub detail: TrackerDetail,
}

/// Why a tracker says what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrackerDetail {
    /// Configured to start as failed (`init_fail`); no run has ended yet.
    InitFail,
    /// A script's last run.
    ScriptRun {
        /// How it ended.
        outcome: Outcome,
        /// How long it took.
        took: Duration,
        /// Results of this kind in a row, this one included.
        in_a_row: u32,
    },
    /// A track file was read.
    File {
        /// The file.
        path: PathBuf,
        /// What was found there.
        content: FileContent,
    },
    /// Processes were counted.
    Processes {
        /// How many match.
        count: u32,
        /// Whether the kernel tells us of changes at once (`true`) or we look periodically.
        events: bool,
    },
}

/// What a track file held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileContent {
    /// An integer.
    Number,
    /// No such file: 0.
    Missing,
    /// Nothing but white space: 0.
    Empty,
    /// Not an integer: 0.
    NotANumber,
    /// An integer followed by something else: the integer counts.
    TrailingText,
    /// Outside −2³¹..2³¹: the value before it goes on counting.
    OutOfRange,
    /// It exists and cannot be read: 0, and the reason.
    Unreadable(String),
}

impl fmt::Display for FileContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number => f.write_str("a number"),
            Self::Missing => f.write_str("no such file"),
            Self::Empty => f.write_str("the file is empty"),
            Self::NotANumber => f.write_str("the file holds no number"),
            Self::TrailingText => f.write_str("text after the number is ignored"),
            Self::OutOfRange => f.write_str("the file's number is out of range and ignored"),
            Self::Unreadable(why) => write!(f, "the file cannot be read: {why}"),
        }
    }
}

/// What the worker tells the failover role, which also logs it: the worker itself logs only what
/// fits no report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// A tracked object's state.
    Tracker(TrackerReport),
    /// A notification script ended, or could not be started, or was dropped.
    ScriptFinished {
        /// On whose behalf.
        subject: Subject,
        /// The program.
        program: PathBuf,
        /// How it ended.
        outcome: Outcome,
        /// How long it ran.
        took: Duration,
    },
    /// A script was dropped without being run.
    ScriptDropped {
        /// On whose behalf.
        subject: Subject,
        /// The program.
        program: PathBuf,
        /// Why.
        reason: DropReason,
    },
    /// Something is wrong with a FIFO, or is well again.
    Fifo {
        /// Which.
        path: PathBuf,
        /// What.
        event: FifoEvent,
    },
    /// The worker has delivered what it could and ends; the last report.
    Stopped {
        /// Notification scripts that had not finished at the deadline (killed, or never run).
        unfinished_scripts: usize,
        /// FIFO lines that nobody had taken at the deadline, at least: what is in a pipe cannot be
        /// counted and is taken for one line.
        unread_lines: usize,
    },
}

/// Why a script was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// Too many were waiting (`ScriptLimits::queue`).
    QueueFull,
    /// The daemon stopped before its turn came.
    Deadline,
}

/// The state of a FIFO.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FifoEvent {
    /// It could not be created or opened: why and what to do. Lines are kept and it is tried again.
    CannotOpen(String),
    /// It is open; `created` tells whether we made it.
    Opened {
        /// We created it (and shall remove it at the end).
        created: bool,
    },
    /// The pipe is full because nobody reads; lines are kept in memory.
    Full,
    /// All kept lines were written.
    CaughtUp,
    /// More lines than memory is meant for: so many were dropped since the last such report.
    Dropped(u64),
    /// The reader script ended and is started again after the delay.
    ReaderEnded {
        /// How.
        outcome: Outcome,
        /// When it is started again.
        restart_in: Duration,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entered(subject: Subject) -> Notification {
        let happening = Happening::Entered(State::Master);
        Notification { subject, happening, priority: 150, scripts: Vec::new(), fifo: true }
    }

    #[test]
    fn lines_are_as_keepalived_writes_them() {
        let (real, of) = ("[198.51.100.11]:tcp:80", "[198.51.100.1]:tcp:80");
        let server = Subject::RealServer { server: real.into(), of: of.into() };
        let lines = [
            entered(Subject::Instance("V4".into())).line(),
            Notification::of_server(server, false, [], true).line(),
            Notification::of_server(Subject::VirtualServer("FWM 5".into()), true, [], true).line(),
        ];
        let wanted = [
            "INSTANCE \"V4\" MASTER 150\n",
            "RS [198.51.100.11]:tcp:80 [198.51.100.1]:tcp:80 DOWN\n",
            "VS FWM 5 UP\n",
        ];
        assert_eq!(lines, wanted);
    }

    #[test]
    fn arguments_name_the_subject_and_what_became_of_it() {
        let group = entered(Subject::Group("G".into()));
        assert_eq!(group.arguments(), ["GROUP", "G", "MASTER", "150"]);
        let server = Subject::RealServer { server: "[a]:tcp:1".into(), of: "FWM 5".into() };
        let up = Notification::of_server(server, true, [], false);
        assert_eq!(up.arguments(), ["RS", "[a]:tcp:1", "FWM 5", "UP"]);
    }
}
