//! Where configuration text is read from: the running system, or memory.
//!
//! What a configuration says depends on the files, on which files a pattern matches and on
//! environment variables; they come through here. (Chance comes from [`crate::Options`].)

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Why a file could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// There is no such file.
    Missing,
    /// It is a directory.
    Directory,
    /// It is executable, or no regular file at all; neither is accepted.
    NotPlain,
    /// It is larger than [`MOST_BYTES`].
    TooLarge,
    /// The operating system's reason.
    Other(String),
}

/// The largest file that is read.
pub const MOST_BYTES: u64 = 256 << 20;

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("it does not exist"),
            Self::Directory => f.write_str("it is a directory"),
            Self::NotPlain => f.write_str(
                "it is not a regular non-executable file; remove its execute permission",
            ),
            Self::TooLarge => write!(f, "it is larger than {} MiB", MOST_BYTES >> 20),
            Self::Other(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for ReadError {}

/// Everything outside that decides what a configuration says.
pub trait FileSystem {
    /// Reads a regular, non-executable file.
    ///
    /// # Errors
    /// When it cannot be read or is not such a file.
    fn read(&self, path: &Path) -> Result<Vec<u8>, ReadError>;

    /// The paths that match a `*`, `?`, `[…]` pattern, sorted; braces are expanded by the caller.
    /// A pattern without wildcards matches the path itself if it exists.
    fn glob(&self, pattern: &str) -> Vec<PathBuf>;

    /// An environment variable.
    fn variable(&self, name: &str) -> Option<String>;

    /// The directory that relative paths start from.
    fn current_dir(&self) -> PathBuf;
}

/// The running system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealFiles;

impl FileSystem for RealFiles {
    fn read(&self, path: &Path) -> Result<Vec<u8>, ReadError> {
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => ReadError::Missing,
            _ => ReadError::Other(error.to_string()),
        };
        // Asked before it is opened: opening a FIFO would wait for somebody to write to it.
        let metadata = std::fs::metadata(path).map_err(failed)?;
        if metadata.is_dir() {
            return Err(ReadError::Directory);
        }
        if !metadata.is_file() || metadata.permissions().mode() & 0o111 != 0 {
            return Err(ReadError::NotPlain);
        }
        if metadata.len() > MOST_BYTES {
            return Err(ReadError::TooLarge);
        }
        std::fs::read(path).map_err(failed)
    }

    fn glob(&self, pattern: &str) -> Vec<PathBuf> {
        // `**` means no more than `*` here, as in the C library's glob.
        let mut pattern = pattern.to_owned();
        while pattern.contains("**") {
            pattern = pattern.replace("**", "*");
        }
        let options = glob::MatchOptions {
            case_sensitive: true,
            require_literal_separator: true,
            require_literal_leading_dot: true,
        };
        let mut found: Vec<PathBuf> = match glob::glob_with(&pattern, options) {
            Ok(paths) => paths.flatten().collect(),
            Err(_) => Vec::new(),
        };
        found.sort();
        found
    }

    fn variable(&self, name: &str) -> Option<String> {
        std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
    }

    fn current_dir(&self) -> PathBuf {
        std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"))
    }
}

/// Files in memory, for text that is not in a file and for tests.
#[derive(Clone, Debug, Default)]
pub struct MemoryFiles {
    files: BTreeMap<PathBuf, Vec<u8>>,
    variables: BTreeMap<String, String>,
}

impl MemoryFiles {
    /// No files.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file. Relative paths start from `/`.
    #[must_use]
    pub fn with(mut self, path: impl AsRef<Path>, text: impl Into<Vec<u8>>) -> Self {
        self.files.insert(Path::new("/").join(path), text.into());
        self
    }

    /// Adds an environment variable.
    #[must_use]
    pub fn with_variable(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }
}

impl FileSystem for MemoryFiles {
    fn read(&self, path: &Path) -> Result<Vec<u8>, ReadError> {
        self.files.get(&Path::new("/").join(path)).cloned().ok_or(ReadError::Missing)
    }

    fn glob(&self, pattern: &str) -> Vec<PathBuf> {
        let Ok(pattern) = glob::Pattern::new(pattern) else { return Vec::new() };
        let options = glob::MatchOptions {
            case_sensitive: true,
            require_literal_separator: true,
            require_literal_leading_dot: true,
        };
        self.files.keys().filter(|p| pattern.matches_path_with(p, options)).cloned().collect()
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }

    fn current_dir(&self) -> PathBuf {
        PathBuf::from("/")
    }
}
