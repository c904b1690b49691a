//! Pid files: a lock that says that the daemon runs, and a number for scripts.
//!
//! The lock (an open file description lock, as Keepalived's from 2.3 on) is the truth; a file
//! that a crashed daemon left is taken over. Keepalived 2.2 and before do not lock, therefore a
//! live process of that name that is named in the file counts too.

use std::fmt;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::ffi::zeroed;

/// Everybody may read a pid file, whatever the umask.
const MODE: u32 = 0o644;
/// How often we look again when the file is removed under our hands.
const ATTEMPTS: usize = 10;

/// A locked pid file, removed when dropped.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    file: File,
}

/// A pid file could not be had.
#[derive(Debug)]
pub enum PidFileError {
    /// Somebody holds it; the process id is what the file says.
    Running(Option<u32>),
    /// The path is a link, a directory or something else that no pid file is.
    NotAFile,
    /// The operating system says no.
    Io(io::Error),
}

impl fmt::Display for PidFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running(Some(pid)) => write!(f, "process {pid} holds it: already running"),
            Self::Running(None) => f.write_str("another process holds it: already running"),
            Self::NotAFile => f.write_str("it is not a regular file"),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for PidFileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Running(_) | Self::NotAFile => None,
        }
    }
}

impl From<io::Error> for PidFileError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl PidFile {
    /// Creates the file, or takes over one that nobody holds, with the id of process `pid`.
    /// The lock ends with the last process that has inherited the descriptor; it is closed at
    /// exec.
    ///
    /// # Errors
    /// See [`PidFileError`]. Nothing is changed then.
    pub fn create(path: impl Into<PathBuf>, pid: u32) -> Result<Self, PidFileError> {
        let path = path.into();
        for _ in 0..ATTEMPTS {
            let mut file = open(&path)?;
            if !file.metadata()?.is_file() {
                return Err(PidFileError::NotAFile);
            }
            let written = read_pid(&mut file);
            if !lock(&file)? {
                return Err(PidFileError::Running(written));
            }
            if !is_same(&path, &file) {
                continue;
            }
            if let Some(other) = written.filter(|other| *other != pid && is_keepalived(*other)) {
                return Err(PidFileError::Running(Some(other)));
            }
            file.set_permissions(Permissions::from_mode(MODE))?;
            file.set_len(0)?;
            file.write_all_at(format!("{pid}\n").as_bytes(), 0)?;
            return Ok(Self { path, file });
        }
        Err(PidFileError::Io(io::Error::from(io::ErrorKind::ResourceBusy)))
    }

    /// Writes another process id.
    ///
    /// # Errors
    /// Out of space.
    pub fn set(&mut self, pid: u32) -> io::Result<()> {
        // One write of the new text, then the rest goes: a reader never sees an empty file.
        let text = format!("{pid}\n");
        self.file.write_all_at(text.as_bytes(), 0)?;
        self.file.set_len(text.len() as u64)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // Not somebody else's file.
        if is_same(&self.path, &self.file) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// The process id in a pid file, if a Keepalived of that id lives.
pub fn running(path: &Path) -> Option<u32> {
    let flags = (OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW).bits();
    let mut file = OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
    read_pid(&mut file).filter(|pid| is_keepalived(*pid))
}

fn open(path: &Path) -> Result<File, PidFileError> {
    // Not to hang on a FIFO that somebody put there.
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).mode(MODE).custom_flags(flags);
    options.open(path).map_err(|error| match error.raw_os_error() {
        Some(libc::ELOOP | libc::EISDIR | libc::ENXIO) => PidFileError::NotAFile,
        _ => PidFileError::Io(error),
    })
}

/// Whether the lock is ours now.
fn lock(file: &File) -> io::Result<bool> {
    // SAFETY: a struct of integers.
    let mut whole: libc::flock = unsafe { zeroed() };
    whole.l_type = libc::F_WRLCK as libc::c_short;
    whole.l_whence = libc::SEEK_SET as libc::c_short;
    match fcntl(file, FcntlArg::F_OFD_SETLK(&whole)) {
        Ok(_) => Ok(true),
        Err(nix::Error::EAGAIN | nix::Error::EACCES) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok().filter(|pid| *pid > 0)
}

fn is_same(path: &Path, file: &File) -> bool {
    match (path.symlink_metadata(), file.metadata()) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        _ => false,
    }
}

/// A Keepalived's processes are called `keepalived`, `Keepalived_vrrp` and so on. One that has ended
/// and that nobody has waited for, as in a container whose first process does not, is none.
fn is_keepalived(pid: u32) -> bool {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
    let stat = String::from_utf8_lossy(&stat);
    // `PID (NAME) STATE …`; the name may hold anything.
    let parts = stat.split_once('(').and_then(|(_, rest)| rest.rsplit_once(") "));
    parts.is_some_and(|(name, rest)| {
        name.to_ascii_lowercase().starts_with("keepalived") && !rest.starts_with(['Z', 'X'])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("test.pid");
        (directory, path)
    }

    #[test]
    fn one_at_a_time() {
        let (_directory, path) = directory();
        let mut file = PidFile::create(&path, 1234567).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "1234567\n");
        assert_eq!(path.metadata().unwrap().mode() & 0o777, MODE);
        let error = PidFile::create(&path, 2).unwrap_err();
        assert!(matches!(error, PidFileError::Running(Some(1234567))), "{error}");
        file.set(12).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "12\n");
        drop(file);
        assert!(!path.exists());
        drop(PidFile::create(&path, 2).unwrap());
    }

    #[test]
    fn what_a_crash_left_is_taken_over() {
        let (_directory, path) = directory();
        for left in ["", "99999999\n", "nonsense and much more than a number has\n"] {
            std::fs::write(&path, left).unwrap();
            let file = PidFile::create(&path, 5).unwrap();
            assert_eq!(std::fs::read_to_string(file.path()).unwrap(), "5\n");
        }
    }

    #[test]
    fn a_live_keepalived_without_lock_counts() {
        let (_directory, path) = directory();
        // A thread has a name of its own, and its id is as good as a process's for /proc.
        let (answer, ask) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            crate::process::set_name("Keepalived_vrrp");
            answer.send(nix::unistd::gettid().as_raw().unsigned_abs()).unwrap();
            let _ = ended.recv();
        });
        let pid = ask.recv().unwrap();
        std::fs::write(&path, format!("{pid}\n")).unwrap();
        assert_eq!(running(&path), Some(pid));
        let error = PidFile::create(&path, 5).unwrap_err();
        assert!(matches!(error, PidFileError::Running(Some(found)) if found == pid), "{error}");
        drop(end);
        thread.join().unwrap();
    }

    #[test]
    fn a_keepalived_that_nobody_has_waited_for_does_not_count() {
        let (_directory, path) = directory();
        let child = crate::process::Command::new("/bin/sh")
            .name("keepalived")
            .args(["-c", "printf keepalived > /proc/$$/comm"])
            .spawn()
            .unwrap();
        let ended = || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
            stat.contains("(keepalived) Z")
        };
        let limit = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while !ended() {
            assert!(std::time::Instant::now() < limit, "it does not end");
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        std::fs::write(&path, format!("{}\n", child.id())).unwrap();
        assert_eq!(running(&path), None);
        drop(PidFile::create(&path, 5).unwrap());
    }

    #[test]
    fn links_and_fifos_are_refused() {
        let (directory, path) = directory();
        let target = directory.path().join("target");
        std::os::unix::fs::symlink(&target, &path).unwrap();
        assert!(matches!(PidFile::create(&path, 5), Err(PidFileError::NotAFile)));
        assert!(!target.exists());
        let fifo = directory.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(matches!(PidFile::create(&fifo, 5), Err(PidFileError::NotAFile)));
        let inside = directory.path().to_path_buf();
        assert!(matches!(PidFile::create(inside, 5), Err(PidFileError::NotAFile)));
    }

    #[test]
    fn somebody_elses_file_is_not_removed() {
        let (_directory, path) = directory();
        let file = PidFile::create(&path, 5).unwrap();
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "6\n").unwrap();
        drop(file);
        assert!(path.exists());
        assert_eq!(running(Path::new("/nonexistent")), None);
    }
}
