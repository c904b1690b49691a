//! Which program a script line means, who shall run it, and whether that is safe.
//!
//! A pure function over a small [`FileSystem`], so that the daemon, `standfast check` and tests
//! with an invented file system ask the same code.

use std::io;
use std::path::{Path, PathBuf};

use crate::settings::ScriptCommand;

/// What a path is, links not followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link and where it points.
    Link(PathBuf),
    /// Device, socket, FIFO.
    Other,
}

/// What the rules need to know of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// What it is.
    pub kind: Kind,
    /// Owner's user id.
    pub uid: u32,
    /// Owner's group id.
    pub gid: u32,
    /// Permission bits, `0o7777`.
    pub mode: u32,
}

/// A user as the rules need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserEntry {
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// All groups the user is a member of.
    pub groups: Vec<u32>,
}

/// Where the rules look: the real system ([`RealSystem`]) or a test's invention.
pub trait FileSystem {
    /// `lstat`.
    ///
    /// # Errors
    /// As the operating system says; `NotFound` and `PermissionDenied` are told apart.
    fn lstat(&self, path: &Path) -> io::Result<Metadata>;
    /// Looks a user up by name; `None` when there is none. A number is taken as a user id.
    fn user(&self, name: &str) -> Option<UserEntry>;
    /// Looks a group up by name or number.
    fn group(&self, name: &str) -> Option<u32>;
    /// The user and group id we run as.
    fn own_ids(&self) -> (u32, u32);
    /// The search path for programs without a slash, as in `$PATH`.
    fn search_path(&self) -> Vec<PathBuf>;
}

/// The running system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealSystem;

/// A user and group as written in the configuration: `USER [GROUP]`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct UserName {
    /// The user; `None` keeps the user that would run it otherwise (`script_user :GROUP`).
    pub user: Option<String>,
    /// The group; `None` is the user's primary group.
    pub group: Option<String>,
}

/// The settings of `global_defs` that rule scripts.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Policy {
    /// `script_user`.
    pub script_user: Option<UserName>,
    /// `enable_script_security`: an unsafe script run as root is not run at all.
    pub script_security: bool,
    /// `use_symlink_paths`: start the program by the path as written instead of its target.
    pub use_symlink_paths: bool,
    /// `set_supplementary_groups`.
    pub supplementary_groups: bool,
}

/// What became of a script line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// What to start; `None` when it cannot or must not be started.
    pub command: Option<ScriptCommand>,
    /// Everything worth telling, the reason for `None` among it.
    pub findings: Vec<Finding>,
}

/// One observation about a script line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The line holds no word at all. Fatal.
    Empty,
    /// No such user. Fatal.
    UnknownUser(String),
    /// No such group. Fatal.
    UnknownGroup(String),
    /// The program is not in any directory of the search path. Fatal.
    NotInPath {
        /// The word.
        name: String,
        /// Where it was looked for.
        searched: Vec<PathBuf>,
    },
    /// A component of the path does not exist. Fatal.
    Missing {
        /// The program as written.
        program: PathBuf,
        /// The first component that is missing.
        at: PathBuf,
    },
    /// The path cannot be examined. Fatal.
    Unreadable {
        /// The component.
        at: PathBuf,
        /// The operating system's reason.
        reason: String,
    },
    /// Links that lead to one another. Fatal.
    LinkLoop(PathBuf),
    /// The path names a directory, a device or the like. Fatal.
    NotAFile(PathBuf),
    /// The user who would run it may not execute it. Fatal.
    NotExecutable {
        /// The file, or the directory that may not be entered.
        at: PathBuf,
        /// The user id that would run it.
        uid: u32,
        /// The command that mends it.
        remedy: String,
    },
    /// A path without a leading slash that contains one. Fatal.
    Relative(PathBuf),
    /// Found by searching `$PATH`: works, but a full path is safer.
    FoundInPath {
        /// The word.
        name: String,
        /// What was found.
        program: PathBuf,
    },
    /// Somebody other than root may replace what root would run. Fatal with
    /// [`Policy::script_security`].
    Unsafe {
        /// The path component.
        at: PathBuf,
        /// What is wrong with it.
        why: Weakness,
        /// The command that mends it.
        remedy: String,
    },
    /// A word such as `|`, `&&` or `>` that only a shell understands, but no shell runs the line:
    /// the program gets it as an argument.
    ShellSyntax {
        /// The word.
        word: String,
    },
    /// Runs as root because neither `script_user` nor a user `keepalived_script` exists.
    RunsAsOwnUser,
}

/// Why a path component cannot be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weakness {
    /// Owned by this user id, not by root.
    OwnedBy(u32),
    /// Its group may write to it.
    GroupWritable,
    /// Everybody may write to it.
    WorldWritable,
}
