//! What the supervisor hands to a role when it starts one, and what they say to each other over
//! the channel that the role inherits. One JSON value a message; `Reload` carries the file
//! descriptor of the new configuration, in the form of [`fd::MODEL`].

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// File descriptors at fixed numbers that a role finds open when it starts.
pub mod fd {
    /// The channel to the supervisor (a `SOCK_SEQPACKET` socket).
    pub const CHANNEL: i32 = 3;
    /// The state store: a memfd that outlives the role.
    pub const STORE: i32 = 4;
    /// A memfd with the [`Launch`](super::Launch) as JSON.
    pub const LAUNCH: i32 = 5;
    /// A sealed memfd with the role's share of the configuration (`passing` of the `config` crate).
    pub const MODEL: i32 = 6;
    /// One past the last of them.
    pub const END: i32 = 7;
}

/// What a role needs to know besides the configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Launch<Options> {
    /// Number of the configuration that comes with it.
    pub generation: u64,
    /// How often this role was started again after a crash.
    pub restarts: u32,
    /// Only clean up: take what is ours out of the kernel and exit.
    pub release: bool,
    /// The file that the configuration was read from, to be named to people.
    pub config_file: PathBuf,
    /// The command line's wishes.
    pub options: Options,
}

/// Where log lines go.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct LogOptions {
    /// `-l`: to standard error.
    pub console: bool,
    /// `-g`: to a file.
    pub file: Option<PathBuf>,
    /// `--flush-log-file`.
    pub flush: bool,
    /// Not `-G`: to syslog or the journal.
    pub syslog: bool,
    /// `-S`: the syslog facility's number, 3 (daemon) if not given.
    pub facility: u8,
}

/// A file that Keepalived's signals ask for (`SIGUSR1`, `SIGUSR2`, …).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dump {
    /// `keepalived.data`
    Data,
    /// `keepalived.stats`
    Stats,
    /// `keepalived.stats`, and counters to zero afterwards.
    StatsAndClear,
    /// `keepalived.json`
    Json,
}

/// From the supervisor to a role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "do")]
pub enum ToRole {
    /// Take over the configuration that comes with this message as a descriptor.
    Reload {
        /// The number of this configuration: 1 at the start, one more for each accepted reload.
        generation: u64,
    },
    /// Announce the end, hand over, leave the kernel clean and exit with status 0.
    Stop,
    /// Write a dump file.
    Dump {
        /// Which one.
        what: Dump,
    },
    /// Tell clients and the log about a reload that was refused; the running one stays.
    ReloadRefused {
        /// Why, in one sentence.
        reason: String,
    },
}

/// From a role to the supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "told")]
pub enum FromRole {
    /// The role does its work.
    Ready,
    /// The configuration of that generation is in force.
    Reloaded {
        /// Its number.
        generation: u64,
    },
    /// The configuration of that generation could not be taken over; the one before it stays in
    /// force. The next life of the role begins with the new one.
    ReloadFailed {
        /// Its number.
        generation: u64,
        /// Why, in one sentence.
        reason: String,
    },
    /// One line for the service manager (`sd_notify` STATUS).
    Status {
        /// The line.
        text: String,
    },
    /// The role cannot work with this configuration on this machine, and starting it again would
    /// not help.
    Fatal {
        /// Why, in one sentence.
        reason: String,
    },
}
