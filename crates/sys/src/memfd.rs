//! Anonymous files in memory, handed from process to process by descriptor.
//!
//! They are plain [`File`]s: `read_at` and `write_at` of [`std::os::unix::fs::FileExt`] are their
//! pread and pwrite.

use std::ffi::{CString, c_void};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::num::NonZeroUsize;
use std::ops::Deref;
use std::os::unix::fs::FileExt as _;
use std::ptr::NonNull;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

/// How much is gathered before it is written.
const BUFFER: usize = 64 << 10;

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

/// A file with what `write` writes that nobody can change any more.
///
/// # Errors
/// Out of descriptors or memory; what `write` fails with.
pub fn sealed_by(
    name: &str,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<File> {
    let mut writer = BufWriter::with_capacity(BUFFER, create(name)?);
    write(&mut writer)?;
    writer.flush()?;
    let (file, _) = writer.into_parts();
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

/// The contents of a sealed file, without a copy of them.
#[derive(Debug)]
pub struct Mapped {
    /// `None` for an empty file.
    start: Option<NonNull<c_void>>,
    length: usize,
}

impl Mapped {
    /// Maps a file that nobody can change any more ([`sealed`]).
    ///
    /// # Errors
    /// `InvalidInput` if it could still be changed; out of memory.
    pub fn of(file: &File) -> io::Result<Self> {
        let seals = SealFlag::from_bits_truncate(fcntl(file, FcntlArg::F_GET_SEALS)?);
        if !seals.contains(SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_SHRINK) {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        let length = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        let Some(whole) = NonZeroUsize::new(length) else {
            return Ok(Self { start: None, length: 0 });
        };
        // All of it is going to be read: one call instead of a fault for each page.
        let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_POPULATE;
        // SAFETY: the kernel chooses a place of its own for a new mapping.
        let start = unsafe { mmap(None, whole, ProtFlags::PROT_READ, flags, file, 0)? };
        Ok(Self { start: Some(start), length })
    }
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self.start {
            None => &[],
            // SAFETY: so many bytes are mapped there until this is dropped, and its seals keep the
            // file from being written or cut.
            Some(start) => unsafe {
                std::slice::from_raw_parts(start.as_ptr().cast(), self.length)
            },
        }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        if let Some(start) = self.start {
            // SAFETY: it was mapped so in `of`, and nothing can refer to it any more.
            let _ = unsafe { munmap(start, self.length) };
        }
    }
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
    fn a_sealed_file_is_mapped_and_another_is_not() {
        let written = vec![7; 3 * BUFFER + 1];
        let file = sealed_by("test", |to| to.write_all(&written)).unwrap();
        let mapped = Mapped::of(&file).unwrap();
        drop(file);
        assert_eq!(*mapped, written);
        assert_eq!(*Mapped::of(&sealed("test", b"").unwrap()).unwrap(), []);
        let error = Mapped::of(&create("test").unwrap()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(Mapped::of(&tempfile::tempfile().unwrap()).is_err());
        let refused = sealed_by("test", |_| Err(io::Error::other("no"))).unwrap_err();
        assert_eq!(refused.to_string(), "no");
    }

    #[test]
    fn an_unsealed_file_can_be_written_anywhere() {
        let file = create("test").unwrap();
        file.write_all_at(b"end", 4096).unwrap();
        assert_eq!(read_all(&file, 1 << 20).unwrap().len(), 4099);
    }
}
