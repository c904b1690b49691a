//! What the supervisor and a role say to each other over the channel that the role inherits.
//! One JSON value a message; `Reload` carries the file descriptor of the new configuration.

use serde::{Deserialize, Serialize};

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
    /// Take over the configuration whose bundle comes with this message as a descriptor.
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
