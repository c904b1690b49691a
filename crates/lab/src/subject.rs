//! Which program plays a node: Debian's Keepalived, or Standfast called by that name.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A program that can hold virtual addresses from a keepalived.conf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    kind: Kind,
    program: PathBuf,
}

/// Whose program it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The real Keepalived of the system.
    Keepalived,
    /// Ours.
    Standfast,
}

impl Subject {
    /// Keepalived: `$KEEPALIVED_BIN`, or where distributions install it.
    #[must_use]
    pub fn keepalived() -> Option<Self> {
        let named = std::env::var_os("KEEPALIVED_BIN").map(PathBuf::from);
        let usual = ["/usr/sbin/keepalived", "/usr/local/sbin/keepalived", "/sbin/keepalived"];
        named
            .into_iter()
            .chain(usual.map(PathBuf::from))
            .find(|path| path.is_file())
            .map(|program| Self { kind: Kind::Keepalived, program })
    }

    /// Standfast: `$STANDFAST_BIN`, or the `standfast` that was built in the target directory of
    /// the running program. `None` when there is none that answers `--version`.
    #[must_use]
    pub fn standfast() -> Option<Self> {
        if std::env::var("STANDFAST_BIN").is_ok_and(|value| value == "none") {
            return None;
        }
        let named = std::env::var_os("STANDFAST_BIN").map(PathBuf::from);
        let built = std::env::current_exe().ok().and_then(|exe| {
            // target/debug/deps/differential-… and target/debug/standfast-bench
            exe.ancestors().skip(1).take(2).map(|dir| dir.join("standfast")).find(|it| it.is_file())
        });
        named.or(built).and_then(|path| Self::standfast_at(&path))
    }

    /// Standfast at `path`, when it answers `--version`.
    #[must_use]
    pub fn standfast_at(path: &Path) -> Option<Self> {
        let program = path.canonicalize().ok()?;
        let answer = Command::new(&program)
            .arg("--version")
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output()
            .ok()?;
        let ours = String::from_utf8_lossy(&answer.stdout).to_lowercase().contains("standfast");
        (answer.status.success() && ours).then_some(Self { kind: Kind::Standfast, program })
    }

    /// Standfast, which is the calling program itself.
    #[must_use]
    pub fn this_program() -> Option<Self> {
        let program = std::env::current_exe().ok()?;
        Some(Self { kind: Kind::Standfast, program })
    }

    /// Every ordered pair of what is installed, Keepalived with itself first.
    #[must_use]
    pub fn pairs() -> Vec<(Self, Self)> {
        let all: Vec<Self> = Self::keepalived().into_iter().chain(Self::standfast()).collect();
        all.iter()
            .flat_map(|first| all.iter().map(move |second| (first.clone(), second.clone())))
            .collect()
    }

    /// Whose program it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Ours, not Keepalived.
    #[must_use]
    pub fn is_standfast(&self) -> bool {
        self.kind == Kind::Standfast
    }

    /// The program's file.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::Keepalived => "keepalived",
            Kind::Standfast => "standfast",
        })
    }
}
