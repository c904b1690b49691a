//! Things that VRRP can depend on, and the references to them.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::command::Command;
use super::setting::{Name, Setting};

/// How a tracked thing weighs. Zero: its failure is a FAULT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Weight {
    /// -254..=254. Positive adds to the priority while it is up, negative subtracts while it is
    /// down; a file's value is multiplied by it.
    pub value: i16,
    /// Turns the sign of what it adds: positive is subtracted while it is up, negative added while
    /// it is down. With 0, being up is the failure.
    pub reverse: bool,
}

/// `vrrp_script`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrackScript {
    /// Its name.
    pub name: Name,
    /// What to run.
    pub script: Command,
    /// From start to start; default 1 s.
    pub interval: Setting<Duration>,
    /// After which it is terminated; default: the interval.
    pub timeout: Setting<Duration>,
    /// Default 0.
    pub weight: Setting<Weight>,
    /// Successes in a row that make it up, at least 1; default 1.
    pub rise: Setting<u32>,
    /// Failures in a row that make it down, at least 1; default 1.
    pub fall: Setting<u32>,
    /// Starts as failed.
    pub init_fail: bool,
}

/// `track_file`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrackFile {
    /// Its name.
    pub name: Name,
    /// The file with a number.
    pub path: PathBuf,
    /// Default 1.
    pub weight: Setting<Weight>,
    /// `init_file`: create the file at start.
    pub init: Option<InitFile>,
}

/// `init_file [VALUE] [overwrite]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InitFile {
    /// What to write; default 0.
    pub value: i64,
    /// Also when the file exists.
    pub overwrite: bool,
}

/// `vrrp_track_process`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrackProcess {
    /// Its name.
    pub name: Name,
    /// The program's name, or path with `full_command`.
    pub process: String,
    /// Its arguments, compared as [`Self::param_match`] says.
    pub params: Vec<String>,
    /// How arguments are compared. `None`: not at all.
    pub param_match: Option<ParamMatch>,
    /// Default 0.
    pub weight: Setting<Weight>,
    /// Least number of processes, default 1.
    pub quorum: Setting<u32>,
    /// Greatest number of processes; `None`: no limit; 0: it must not run.
    pub quorum_max: Setting<Option<u32>>,
    /// How long a loss must last.
    pub terminate_delay: Setting<Duration>,
    /// How long a gain must last.
    pub fork_delay: Setting<Duration>,
    /// Compare the whole path instead of the last component.
    pub full_command: bool,
}

/// How a process's arguments are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ParamMatch {
    /// All of them, exactly.
    Exact,
    /// `initial`: the leading ones.
    Initial,
    /// `partial`: the leading ones, the last of which may be cut short.
    Partial,
}

/// `track_group`: instances that own static addresses, routes and rules together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrackGroup {
    /// Its name.
    pub name: Name,
    /// Names of instances. Unknown ones were reported and left out.
    pub members: Vec<Name>,
}

/// A reference to something tracked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tracked {
    /// What: name of an interface, script, file, process or BFD instance that exists.
    pub name: Name,
    /// The weight in force here: the one of this line, else the object's own.
    pub weight: Setting<Weight>,
}

/// All that an instance or a sync group depends on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tracks {
    /// `track_interface`.
    pub interfaces: Vec<Tracked>,
    /// `track_script`.
    pub scripts: Vec<Tracked>,
    /// `track_file`.
    pub files: Vec<Tracked>,
    /// `track_process`.
    pub processes: Vec<Tracked>,
    /// `track_bfd`.
    pub bfds: Vec<Tracked>,
}

impl Tracks {
    /// Every reference.
    pub fn all(&self) -> impl Iterator<Item = &Tracked> {
        self.interfaces
            .iter()
            .chain(&self.scripts)
            .chain(&self.files)
            .chain(&self.processes)
            .chain(&self.bfds)
    }

    /// Whether nothing is tracked.
    pub fn is_empty(&self) -> bool {
        self.all().next().is_none()
    }
}
