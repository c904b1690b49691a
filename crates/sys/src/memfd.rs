//! Anonymous files in memory, handed from process to process by descriptor.
//!
//! They are plain [`File`]s: `read_at` and `write_at` of [`std::os::unix::fs::FileExt`] are their
//! pread and pwrite.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

/// An empty file in memory that can be written. `name` shows in /proc/PID/fd.
///
/// # Errors
/// Out of descriptors or memory.
pub fn create(name: &str) -> io::Result<File> {
    let name = CString::new(name).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    Ok(File::from(memfd_create(name.as_c_str(), flags)?))
}

/// A file with these contents that nobody can change any more.
///
/// # Errors
/// Out of descriptors or memory.
pub fn sealed(name: &str, contents: &[u8]) -> io::Result<File> {
    let file = create(name)?;
    file.write_all_at(contents, 0)?;
    seal(&file)?;
    Ok(file)
}

/// Makes a file of [`create`] unchangeable.
///
/// # Errors
/// It is mapped for writing, or no file of [`create`].
pub fn seal(file: &File) -> io::Result<()> {
    let seals = SealFlag::F_SEAL_SHRINK
        | SealFlag::F_SEAL_GROW
        | SealFlag::F_SEAL_WRITE
        | SealFlag::F_SEAL_SEAL;
    fcntl(file, FcntlArg::F_ADD_SEALS(seals))?;
    Ok(())
}

/// Reads a whole file from its beginning, whatever its position.
///
/// # Errors
/// `FileTooLarge` if it is longer than `limit` bytes; reading failed.
pub fn read_all(file: &File, limit: u64) -> io::Result<Vec<u8>> {
    let length = file.metadata()?.len();
    if length > limit {
        return Err(io::Error::from(io::ErrorKind::FileTooLarge));
    }
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_file_cannot_be_changed() {
        let file = sealed("test", b"contents").unwrap();
        assert_eq!(read_all(&file, 8).unwrap(), b"contents");
        assert!(file.write_at(b"x", 0).is_err());
        assert!(file.set_len(0).is_err());
        assert_eq!(read_all(&file, 7).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn an_unsealed_file_can_be_written_anywhere() {
        let file = create("test").unwrap();
        file.write_all_at(b"end", 4096).unwrap();
        assert_eq!(read_all(&file, 1 << 20).unwrap().len(), 4099);
    }
}
