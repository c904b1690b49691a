//! What no single line shows: the semantic checks, one file per family.
//!
//! ```text
//!  tree ──────┐
//!  model ─────┼──► names, election, addresses, scripts, wording, setup, balancing ──► findings
//!  surroundings┘    (interfaces, scripts, file modes: through [`Environment`], or unknown)
//! ```
//!
//! Lowering has reported already what a line or a block shows by itself.

mod addresses;
mod balancing;
pub(crate) mod election;
mod names;
mod scripts;
pub(crate) mod setup;
mod wording;

use std::path::Path;

use crate::diagnostic::Diagnostic;
use crate::model::checker::Regex;
use crate::model::{Command, Global, Model, Network};
use crate::source::SourceMap;
use crate::tree::Tree;

/// What is known of an interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Interface {
    /// Nothing: nobody looked.
    #[default]
    Unknown,
    /// There is no such interface.
    Missing,
    /// It exists.
    Present {
        /// Its own addresses: not those that a virtual router added.
        addresses: Vec<Network>,
    },
}

/// Why a script is not as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScriptProblem {
    /// It does not exist or may not be executed: it is not run.
    NotRunnable,
    /// Its user or group does not exist: it is not run.
    NoUser,
    /// Somebody other than root may change what root runs.
    Insecure,
    /// Its path is relative.
    Relative,
    /// It contains shell syntax that no shell reads.
    ShellSyntax,
    /// Worth mentioning, no more.
    Remark,
}

/// One finding about a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptFinding {
    /// What kind.
    pub problem: ScriptProblem,
    /// A sentence without a full stop: what was found.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

/// What is known of a script.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// Whether it would be run as root.
    pub as_root: bool,
    /// What is wrong with it.
    pub findings: Vec<ScriptFinding>,
}

/// Answers what a configuration does not say itself. Every answer may be "unknown": then the
/// checks that need it are left out.
pub trait Environment {
    /// An interface.
    fn interface(&self, _name: &str) -> Interface {
        Interface::Unknown
    }

    /// What a script line comes to, with the user and the security settings of `global`.
    fn script(&self, _command: &Command, _global: &Global) -> Option<Script> {
        None
    }

    /// Why a regular expression cannot be used, if it cannot.
    fn regex(&self, _regex: &Regex) -> Option<String> {
        None
    }

    /// The permission bits of a file that was read (`0o7777`).
    fn mode(&self, _path: &Path) -> Option<u32> {
        None
    }
}

/// Knows nothing: for files that belong to another machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Elsewhere;

impl Environment for Elsewhere {}

/// What the checks look at.
pub(crate) struct Subject<'a> {
    pub(crate) tree: &'a Tree,
    pub(crate) model: &'a Model,
    pub(crate) sources: &'a SourceMap,
    pub(crate) environment: &'a dyn Environment,
}

/// Runs every check.
#[must_use]
pub fn check(
    tree: &Tree,
    model: &Model,
    sources: &SourceMap,
    environment: &dyn Environment,
) -> Vec<Diagnostic> {
    let subject = Subject { tree, model, sources, environment };
    let mut found = Vec::new();
    for check in [
        names::check,
        election::check,
        addresses::check,
        scripts::check,
        wording::check,
        setup::check,
        balancing::check,
    ] {
        check(&subject, &mut found);
    }
    found
}
