//! Files in places where others may write too (/tmp): never follow a link, never write into what
//! somebody else has prepared.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, umask};

/// How many names are tried before we give up.
const ATTEMPTS: usize = 100;

static COUNTER: AtomicU32 = AtomicU32::new(0);

/// Replaces `path` as a whole: readers see the old content or the new one. The file has exactly
/// the permission bits `mode`, whatever the umask.
///
/// # Errors
/// As the operating system says; `path` is unchanged then.
pub fn replace(path: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
    let (temporary, mut file) = create_beside(path)?;
    let result = file
        .set_permissions(Permissions::from_mode(mode))
        .and_then(|()| file.write_all(contents))
        .and_then(|()| std::fs::rename(&temporary, path));
    if result.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    result
}

/// Sets the umask of this process: permission bits that new files do not get.
pub fn set_umask(mask: u32) {
    umask(Mode::from_bits_truncate(mask));
}

/// Opens a file for appending, creates it with permission bits `mode` if needed. It must be a
/// regular file.
///
/// # Errors
/// As the operating system says; `InvalidInput` if it is not a regular file.
pub fn append(path: &Path, mode: u32) -> io::Result<File> {
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits();
    let mut options = OpenOptions::new();
    let file = options.append(true).create(true).mode(mode).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::from(io::ErrorKind::InvalidInput))
    }
}

/// A new file in the same directory, readable by us alone.
fn create_beside(path: &Path) -> io::Result<(PathBuf, File)> {
    let name = path.file_name().ok_or(io::Error::from(io::ErrorKind::InvalidInput))?;
    for _ in 0..ATTEMPTS {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}.{number}", std::process::id()));
        let temporary = path.with_file_name(hidden);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600).custom_flags(OFlag::O_NOFOLLOW.bits());
        match options.open(&temporary) {
            Ok(file) => return Ok((temporary, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::from(io::ErrorKind::AlreadyExists))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_replaced_and_its_target_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let (victim, path) = (directory.path().join("victim"), directory.path().join("data"));
        std::fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, &path).unwrap();
        replace(&path, b"dump", 0o600).unwrap();
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "precious");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "dump");
        let metadata = path.symlink_metadata().unwrap();
        assert!(metadata.is_file());
        assert_eq!(metadata.permissions().mode() & 0o7777, 0o600);
    }

    #[test]
    fn a_failure_leaves_the_old_content_and_no_litter() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("data");
        // A directory cannot be replaced by a file.
        std::fs::create_dir(&path).unwrap();
        assert!(replace(&path, b"new", 0o644).is_err());
        assert!(path.is_dir());
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
        assert!(replace(Path::new("/"), b"", 0o600).is_err());
    }

    #[test]
    fn appending_follows_no_link_and_wants_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let (target, link) = (directory.path().join("target"), directory.path().join("link"));
        append(&target, 0o600).unwrap().write_all(b"one").unwrap();
        append(&target, 0o600).unwrap().write_all(b"two").unwrap();
        assert_eq!(std::fs::read_to_string(&target).unwrap(), "onetwo");
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert!(append(&link, 0o600).is_err());
        let fifo = directory.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(append(&fifo, 0o600).is_err());
    }
}
