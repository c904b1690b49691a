//! Which program a script line means, who shall run it, and whether that is safe.
//!
//! A pure function over a small [`FileSystem`], so that the daemon, `standfast check` and tests
//! with an invented file system ask the same code.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use crate::settings::{RunAs, ScriptCommand};

/// The user that runs scripts when the configuration names none.
const DEFAULT_USER: &str = "keepalived_script";

/// As many links as the kernel follows.
const MOST_LINKS: usize = 40;

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
    /// The directory that relative paths start from.
    fn current_dir(&self) -> PathBuf;
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
    /// The user id that would run it.
    pub uid: u32,
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
    /// No such user; with [`Policy::script_security`] also when none is named and there is no
    /// `keepalived_script`. Fatal.
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
    },
    /// A path without a leading slash that contains one: it is taken from the directory in which
    /// the daemon was started, which is rarely what was meant.
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
        /// Whether that is the reason not to run it ([`Policy::script_security`]).
        refused: bool,
    },
    /// A word such as `|`, `&&` or `>` that only a shell understands, but no shell runs the line:
    /// the program gets it as an argument.
    ShellSyntax {
        /// The word.
        word: String,
    },
    /// Runs as root because neither `script_user` nor a user `keepalived_script` exists, and
    /// security was not asked for.
    RunsAsRoot,
}

/// Why a path component cannot be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weakness {
    /// Owned by this user id, not by root.
    OwnedBy(u32),
    /// Its group, which has this id and is not root's, may write to it.
    GroupWritable(u32),
    /// Everybody may write to it.
    WorldWritable,
}

impl Finding {
    /// Whether the script is not run because of this.
    pub fn is_fatal(&self) -> bool {
        match self {
            Self::Relative(_)
            | Self::FoundInPath { .. }
            | Self::ShellSyntax { .. }
            | Self::RunsAsRoot => false,
            Self::Unsafe { refused, .. } => *refused,
            _ => true,
        }
    }

    /// What to do about it, as a sentence or a command.
    pub fn remedy(&self) -> String {
        match self {
            Self::Empty => "write the program's path after the keyword".to_owned(),
            Self::UnknownUser(name) => {
                format!("create it: useradd --system --no-create-home {name}")
            }
            Self::UnknownGroup(name) => format!("create it: groupadd --system {name}"),
            Self::NotInPath { .. } => "write its full path".to_owned(),
            Self::Missing { .. } => "install it, or correct the path".to_owned(),
            Self::Unreadable { .. } => "let the daemon search that directory".to_owned(),
            Self::LinkLoop(at) => format!("see where it points: ls -l {}", at.display()),
            Self::NotAFile(_) => "name the program itself".to_owned(),
            Self::NotExecutable { at, uid: 0 } => format!("chmod u+x {}", at.display()),
            Self::NotExecutable { at, .. } => format!("chmod a+x {}", at.display()),
            Self::Relative(_) => "write its full path".to_owned(),
            Self::FoundInPath { program, .. } => format!("write {}", program.display()),
            Self::Unsafe { at, why: Weakness::OwnedBy(_), .. } => {
                format!("chown root {}", at.display())
            }
            Self::Unsafe { at, why: Weakness::GroupWritable(_), .. } => {
                format!("chmod g-w {}", at.display())
            }
            Self::Unsafe { at, why: Weakness::WorldWritable, .. } => {
                format!("chmod o-w {}", at.display())
            }
            Self::ShellSyntax { .. } => {
                "put the line in a script file, or write: /bin/sh -c '…'".to_owned()
            }
            Self::RunsAsRoot => {
                format!("set script_user, or: useradd --system --no-create-home {DEFAULT_USER}")
            }
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("no program is named"),
            Self::UnknownUser(name) => write!(f, "there is no user {name}"),
            Self::UnknownGroup(name) => write!(f, "there is no group {name}"),
            Self::NotInPath { name, searched } => {
                write!(f, "{name} is not in any of")?;
                searched.iter().try_for_each(|dir| write!(f, " {}", dir.display()))
            }
            Self::Missing { program, at } if program == at => {
                write!(f, "{} does not exist", at.display())
            }
            Self::Missing { program, at } => {
                write!(f, "{} does not exist: there is no {}", program.display(), at.display())
            }
            Self::Unreadable { at, reason } => {
                write!(f, "{} cannot be examined: {reason}", at.display())
            }
            Self::LinkLoop(at) => write!(f, "{} is a link that leads back to itself", at.display()),
            Self::NotAFile(at) => write!(f, "{} is not a program file", at.display()),
            Self::NotExecutable { at, uid } => {
                write!(f, "{} may not be executed by user {uid}", at.display())
            }
            Self::Relative(path) => write!(f, "{} is a relative path", path.display()),
            Self::FoundInPath { name, program } => {
                write!(f, "{name} was found by searching PATH: {}", program.display())
            }
            Self::Unsafe { at, why, .. } => {
                let at = at.display();
                match why {
                    Weakness::OwnedBy(uid) => write!(f, "{at} belongs to user {uid}, not to root")?,
                    Weakness::GroupWritable(gid) => {
                        write!(f, "{at} may be written by group {gid}")?;
                    }
                    Weakness::WorldWritable => write!(f, "{at} may be written by everybody")?,
                }
                f.write_str(", and root would run it")
            }
            Self::ShellSyntax { word } => {
                write!(f, "no shell reads this line: the program gets {word:?} as an argument")
            }
            Self::RunsAsRoot => f.write_str("the script runs as root"),
        }
    }
}

impl Resolved {
    /// Whether root runs it.
    pub fn runs_as_root(&self) -> bool {
        self.uid == 0
    }

    /// The reason why it is not run.
    pub fn refusal(&self) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.is_fatal())
    }
}

/// Finds out what a script line means. `words` are the program and its arguments (see
/// [`crate::words`]); `user` is the script's own `USER [GROUP]`.
pub fn resolve(
    words: &[String],
    user: Option<&UserName>,
    policy: &Policy,
    system: &dyn FileSystem,
) -> Resolved {
    let mut findings = Vec::new();
    let runner = runner(user, policy, system, &mut findings);
    let program = match words {
        [] => {
            findings.push(Finding::Empty);
            None
        }
        [program, args @ ..] => {
            if !is_shell_line(program, args) {
                findings.extend(
                    args.iter()
                        .filter(|word| is_shell_syntax(word))
                        .map(|word| Finding::ShellSyntax { word: word.clone() }),
                );
            }
            locate(program, system, &mut findings)
        }
    };
    let walk = program.as_deref().and_then(|program| match Walk::along(program, system) {
        Ok(walk) => Some(walk),
        Err(finding) => {
            findings.push(finding);
            None
        }
    });
    if let Some(walk) = &walk {
        findings.extend(walk.unexecutable(&runner));
        if runner.uid == 0 {
            findings.extend(walk.weaknesses(policy));
        }
    }
    let refused = findings.iter().any(Finding::is_fatal);
    let command = match (program, walk, words) {
        (Some(written), Some(walk), [name, args @ ..]) if !refused => {
            let program = if policy.use_symlink_paths { written } else { walk.target.clone() };
            // A program that was reached through a link of another name expects that name.
            let renamed = walk.target.file_name() != Path::new(name).file_name();
            Some(ScriptCommand {
                program,
                name: (renamed && !policy.use_symlink_paths).then(|| name.clone()),
                args: args.to_vec(),
                run_as: runner.run_as,
            })
        }
        _ => None,
    };
    Resolved { uid: runner.uid, command, findings }
}

/// Who runs the script.
struct Runner {
    uid: u32,
    groups: Vec<u32>,
    run_as: RunAs,
}

fn runner(
    own: Option<&UserName>,
    policy: &Policy,
    system: &dyn FileSystem,
    findings: &mut Vec<Finding>,
) -> Runner {
    let (own_uid, own_gid) = system.own_ids();
    let wanted = own.or(policy.script_user.as_ref());
    let named = wanted.and_then(|wanted| wanted.user.as_deref());
    let entry = match named {
        Some(name) => {
            let entry = system.user(name);
            if entry.is_none() {
                findings.push(Finding::UnknownUser(name.to_owned()));
            }
            entry
        }
        None => {
            let entry = system.user(DEFAULT_USER);
            if entry.is_none() && policy.script_security {
                // Security was asked for: root is no substitute for the user who should run it.
                findings.push(Finding::UnknownUser(DEFAULT_USER.to_owned()));
            } else if entry.is_none() && own_uid == 0 {
                findings.push(Finding::RunsAsRoot);
            }
            entry
        }
    };
    let (uid, mut gid, groups) = match entry {
        Some(entry) => (entry.uid, entry.gid, entry.groups),
        None => (own_uid, own_gid, Vec::new()),
    };
    if let Some(name) = wanted.and_then(|wanted| wanted.group.as_deref()) {
        match system.group(name) {
            Some(id) => gid = id,
            None => findings.push(Finding::UnknownGroup(name.to_owned())),
        }
    }
    let supplementary = if policy.supplementary_groups { groups } else { Vec::new() };
    let ids = ((uid, gid) != (own_uid, own_gid)).then_some((uid, gid));
    let mut member_of = supplementary.clone();
    member_of.push(gid);
    Runner { uid, groups: member_of, run_as: RunAs { ids, groups: supplementary } }
}

/// Makes the program's path absolute: as written, from the current directory, or through `PATH`.
fn locate(program: &str, system: &dyn FileSystem, findings: &mut Vec<Finding>) -> Option<PathBuf> {
    let path = Path::new(program);
    if path.is_absolute() {
        return Some(path.to_owned());
    }
    if program.contains('/') {
        findings.push(Finding::Relative(path.to_owned()));
        return Some(system.current_dir().join(path));
    }
    let searched = system.search_path();
    let found = searched
        .iter()
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join(path))
        .find(|candidate| Walk::along(candidate, system).is_ok());
    findings.push(match &found {
        Some(found) => Finding::FoundInPath { name: program.to_owned(), program: found.clone() },
        None => Finding::NotInPath { name: program.to_owned(), searched },
    });
    found
}

/// The way from the root to the program, links followed.
struct Walk {
    /// Where it ends; no component is a link.
    target: PathBuf,
    /// Every directory that was searched and the file itself, each once.
    visited: Vec<(PathBuf, Metadata)>,
}

impl Walk {
    fn along(program: &Path, system: &dyn FileSystem) -> Result<Self, Finding> {
        let stat = |at: &Path| {
            system.lstat(at).map_err(|error| match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                    Finding::Missing { program: program.to_owned(), at: at.to_owned() }
                }
                _ => Finding::Unreadable { at: at.to_owned(), reason: error.to_string() },
            })
        };
        let mut todo: VecDeque<OsString> = names(program);
        let mut at = PathBuf::from("/");
        let mut visited = vec![(at.clone(), stat(&at)?)];
        let mut links = 0;
        while let Some(name) = todo.pop_front() {
            if name == ".." {
                at.pop();
                continue;
            }
            let next = at.join(&name);
            let metadata = stat(&next)?;
            match &metadata.kind {
                Kind::Link(to) => {
                    links += 1;
                    if links > MOST_LINKS {
                        return Err(Finding::LinkLoop(next));
                    }
                    if to.is_absolute() {
                        at = PathBuf::from("/");
                    }
                    for name in names(to).into_iter().rev() {
                        todo.push_front(name);
                    }
                    continue;
                }
                Kind::Directory if !todo.is_empty() => {}
                Kind::File if todo.is_empty() => {}
                Kind::File => {
                    // `/bin/sh/x`: what follows a file does not exist.
                    let at = next.join(&todo[0]);
                    return Err(Finding::Missing { program: program.to_owned(), at });
                }
                Kind::Directory | Kind::Other => return Err(Finding::NotAFile(next)),
            }
            if !visited.iter().any(|(seen, _)| *seen == next) {
                visited.push((next.clone(), metadata));
            }
            at = next;
        }
        match visited.iter().find(|(path, _)| *path == at) {
            Some((_, metadata)) if metadata.kind == Kind::File => Ok(Self { target: at, visited }),
            _ => Err(Finding::NotAFile(at)),
        }
    }

    /// Components that the runner may not enter or execute.
    fn unexecutable(&self, runner: &Runner) -> Option<Finding> {
        let barred = self.visited.iter().find(|(_, metadata)| {
            let bits = match (runner.uid, &metadata.kind) {
                (0, Kind::Directory) => return false,
                (0, _) => 0o111,
                (uid, _) if uid == metadata.uid => 0o100,
                _ if runner.groups.contains(&metadata.gid) => 0o010,
                _ => 0o001,
            };
            metadata.mode & bits == 0
        });
        barred.map(|(at, _)| Finding::NotExecutable { at: at.clone(), uid: runner.uid })
    }

    /// Components that somebody other than root could replace. In a directory with the sticky bit
    /// others may add entries and not replace root's.
    fn weaknesses(&self, policy: &Policy) -> impl Iterator<Item = Finding> {
        let refused = policy.script_security;
        self.visited
            .iter()
            // Links were resolved once and for all unless the program is started through them.
            .filter(|(path, _)| policy.use_symlink_paths || self.target.starts_with(path))
            .flat_map(move |(at, metadata)| {
                let sticky = metadata.kind == Kind::Directory && metadata.mode & 0o1000 != 0;
                let owner = (metadata.uid != 0).then_some(Weakness::OwnedBy(metadata.uid));
                let group = (metadata.mode & 0o020 != 0 && metadata.gid != 0 && !sticky)
                    .then_some(Weakness::GroupWritable(metadata.gid));
                let world =
                    (metadata.mode & 0o002 != 0 && !sticky).then_some(Weakness::WorldWritable);
                [owner, group, world].into_iter().flatten().map(move |why| Finding::Unsafe {
                    at: at.clone(),
                    why,
                    refused,
                })
            })
    }
}

/// The names on a path; `.` and the root are no names.
fn names(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir))
        .map(|part| part.as_os_str().to_owned())
        .collect()
}

/// Whether a shell reads the arguments: `sh -c …`.
fn is_shell_line(program: &str, args: &[String]) -> bool {
    let name = program.rsplit('/').next().unwrap_or(program);
    ["sh", "bash", "dash", "ash", "ksh", "zsh", "busybox"].contains(&name)
        && args.iter().any(|arg| arg.starts_with('-') && arg.ends_with('c'))
}

/// Whether a word is meant for a shell: operators, redirections, substitutions.
fn is_shell_syntax(word: &str) -> bool {
    let redirected = word.trim_start_matches(|c: char| c.is_ascii_digit() || c == '&');
    let digits_only_before = word.len() - redirected.len() <= 2;
    matches!(word, "|" | "||" | "&&" | "&" | ";" | "|&")
        || (digits_only_before && redirected.starts_with(['<', '>']) && !word.ends_with('>'))
        || matches!(word, ">" | ">>" | "2>" | "2>>" | "&>" | "1>" | "1>>")
        || word.contains("$(")
        || word.contains('`')
        || (word.len() > 1 && word.ends_with(';'))
        || word.strip_prefix('$').is_some_and(|name| {
            name.starts_with(|c: char| c == '{' || c == '_' || c.is_ascii_alphabetic())
        })
}

impl FileSystem for RealSystem {
    fn lstat(&self, path: &Path) -> io::Result<Metadata> {
        let metadata = std::fs::symlink_metadata(path)?;
        let kind = if metadata.is_symlink() {
            Kind::Link(std::fs::read_link(path)?)
        } else if metadata.is_dir() {
            Kind::Directory
        } else if metadata.is_file() {
            Kind::File
        } else {
            Kind::Other
        };
        Ok(Metadata {
            kind,
            uid: metadata.uid(),
            gid: metadata.gid(),
            mode: metadata.mode() & 0o7777,
        })
    }

    fn user(&self, name: &str) -> Option<UserEntry> {
        let by_name = nix::unistd::User::from_name(name).ok().flatten();
        let user = by_name.or_else(|| {
            let uid = name.parse().ok()?;
            nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid)).ok().flatten()
        })?;
        let gid = user.gid.as_raw();
        let groups = std::ffi::CString::new(user.name)
            .ok()
            .and_then(|name| nix::unistd::getgrouplist(&name, user.gid).ok())
            .unwrap_or_default();
        Some(UserEntry {
            uid: user.uid.as_raw(),
            gid,
            groups: groups.into_iter().map(nix::unistd::Gid::as_raw).collect(),
        })
    }

    fn group(&self, name: &str) -> Option<u32> {
        let by_name = nix::unistd::Group::from_name(name).ok().flatten();
        by_name.map(|group| group.gid.as_raw()).or_else(|| name.parse().ok())
    }

    fn own_ids(&self) -> (u32, u32) {
        (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw())
    }

    fn current_dir(&self) -> PathBuf {
        std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"))
    }

    fn search_path(&self) -> Vec<PathBuf> {
        match std::env::var_os("PATH") {
            Some(path) if !path.is_empty() => std::env::split_paths(&path).collect(),
            _ => ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
                .map(PathBuf::from)
                .to_vec(),
        }
    }
}
