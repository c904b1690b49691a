//! Script commands and the users that run them, as written.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::source::Span;

/// `CMD [USER [GROUP]]`: a program with its arguments.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Command {
    /// The program and its arguments; never empty.
    pub words: Vec<String>,
    /// Who runs it: as written here, or `script_user`. `None`: the user `keepalived_script` if it
    /// exists, otherwise the daemon's own.
    pub user: Option<ScriptUser>,
    /// The words of the command.
    pub span: Span,
}

impl Command {
    /// The program.
    pub fn program(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    /// Its arguments.
    pub fn args(&self) -> &[String] {
        self.words.get(1..).unwrap_or_default()
    }
}

/// The place does not count.
impl PartialEq for Command {
    fn eq(&self, other: &Self) -> bool {
        (&self.words, &self.user) == (&other.words, &other.user)
    }
}

/// `USER [GROUP]`: names or numbers, as written.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ScriptUser {
    /// The user.
    pub user: String,
    /// The group; `None` is the user's own.
    pub group: Option<String>,
    /// Where it was written.
    pub span: Span,
}

/// The place does not count.
impl PartialEq for ScriptUser {
    fn eq(&self, other: &Self) -> bool {
        (&self.user, &self.group) == (&other.user, &other.group)
    }
}

/// `notify_fifo` with its `notify_fifo_script`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fifo {
    /// The path, as written.
    pub path: PathBuf,
    /// Owner of a FIFO that we create.
    pub user: Option<ScriptUser>,
    /// The reader that is started with the path as its last argument.
    pub script: Option<Command>,
    /// Where the path was written.
    pub span: FifoSpan,
}

/// A place that does not count when two FIFOs are compared.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct FifoSpan(pub Span);

impl PartialEq for FifoSpan {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
