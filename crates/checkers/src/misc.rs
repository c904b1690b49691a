//! `MISC_CHECK`: a script's exit status.

use std::time::Duration;

use notify::settings::ScriptCommand;

use crate::outcome::Seconds;

/// A `MISC_CHECK`.
#[derive(Clone, Debug, PartialEq)]
pub struct Misc {
    /// The script, resolved.
    pub command: ScriptCommand,
    /// `misc_timeout`.
    pub timeout: Duration,
    /// `misc_dynamic`: exit statuses 2..=255 are weights 0..=253.
    pub dynamic: bool,
}

/// Why a script counts as failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScriptFailure {
    /// Its exit status.
    #[error("exit status {0}, wanted 0")]
    Exited(i32),
    /// It ended by a signal that was not ours.
    #[error("ended by signal {0}")]
    Signalled(i32),
    /// It took too long and was ended.
    #[error("did not end within {}", Seconds(*.within))]
    TimedOut {
        /// `misc_timeout`.
        within: Duration,
    },
    /// It could not be started: the system's reason, and a hint.
    #[error("not started: {0}")]
    NotStarted(String),
}
