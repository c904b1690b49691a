//! All checks of a process: starts them when they are due, takes their results, tells what changed.

use tokio::sync::mpsc::UnboundedSender;

use crate::outcome::{CheckStatus, Event};
use crate::spec::{CheckId, CheckSpec};

/// What all checks share.
#[derive(Debug, Default)]
pub struct Environment {
    /// Seed of the random numbers that spread first looks; `None`: from the system.
    pub seed: Option<u64>,
}

/// All checks of a process. Everything ends when it is dropped.
#[derive(Debug)]
pub struct Checkers {
    _events: UnboundedSender<Event>,
}

impl Checkers {
    /// No checks yet. Must be called inside a `LocalSet` of a tokio runtime with I/O and time;
    /// events are sent to `events`.
    pub fn new(events: UnboundedSender<Event>, environment: Environment) -> Self {
        let _ = environment;
        Self { _events: events }
    }

    /// Begins a check. One that runs under the same id is replaced without a word.
    pub fn start(&self, spec: CheckSpec) {
        let _ = spec;
    }

    /// Ends a check: no event of it comes any more.
    pub fn stop(&self, id: CheckId) {
        let _ = id;
    }

    /// `ha_suspend`: does not look until it is resumed. Its state stays as it is.
    pub fn suspend(&self, id: CheckId) {
        let _ = id;
    }

    /// Looks again, first within the warm-up.
    pub fn resume(&self, id: CheckId) {
        let _ = id;
    }

    /// A tracked file has this value now. Told again for a file that new checks watch: the last
    /// value of each file is remembered.
    pub fn file_value(&self, name: &str, value: i64) {
        let _ = (name, value);
    }

    /// A BFD session is up or down now. Remembered, as the values of files.
    pub fn bfd_state(&self, name: &str, up: bool) {
        let _ = (name, up);
    }

    /// How a check stands; `None` if there is none of that id.
    pub fn status(&self, id: CheckId) -> Option<CheckStatus> {
        let _ = id;
        None
    }
}
