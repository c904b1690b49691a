//! Several processes that write to one FIFO: the roles of a daemon share `notify_fifo`.
//!
//! They agree by locks on the FIFO itself (bytes of an open file description, so that a process that
//! dies lets go at once, and a reader that was started inherits none): there is one reader, and the
//! last who leaves removes what one of them made. Nobody has to be told who else is there.

use std::fs::File;
use std::io;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

/// What a lock means.
#[derive(Clone, Copy, Debug)]
enum Byte {
    /// Shared by everybody who writes; exclusive for who wants to be the last.
    User,
    /// Held by the one whose reader runs.
    Leader,
    /// Shared by everybody who knows that one of us made the FIFO.
    Made,
}

/// Says that we write to it. Nothing may be written before.
///
/// # Errors
/// Somebody is about to remove it.
pub(crate) fn join(fifo: &File) -> io::Result<()> {
    lock(fifo, Byte::User, libc::F_RDLCK)
}

/// Whether nobody else writes to it. Then nobody can [`join`] any more until our end is closed.
pub(crate) fn is_last(fifo: &File) -> bool {
    lock(fifo, Byte::User, libc::F_WRLCK).is_ok()
}

/// Tries to become the one who runs the reader, until our end is closed or [`step_down`].
pub(crate) fn lead(fifo: &File) -> bool {
    lock(fifo, Byte::Leader, libc::F_WRLCK).is_ok()
}

/// Lets somebody else run a reader.
pub(crate) fn step_down(fifo: &File) {
    if let Err(error) = lock(fifo, Byte::Leader, libc::F_UNLCK) {
        log::debug!("cannot let go of a FIFO's reader: {error}");
    }
}

/// Tells the others that one of us made it.
pub(crate) fn mark_made(fifo: &File) {
    if let Err(error) = lock(fifo, Byte::Made, libc::F_RDLCK) {
        log::debug!("cannot mark a FIFO as ours: {error}");
    }
}

/// Whether another process says that one of us made it.
pub(crate) fn others_made(fifo: &File) -> bool {
    let mut found = range(Byte::Made, libc::F_WRLCK);
    fcntl(fifo, FcntlArg::F_OFD_GETLK(&mut found)).is_ok()
        && i32::from(found.l_type) != libc::F_UNLCK
}

fn lock(fifo: &File, byte: Byte, kind: i32) -> io::Result<()> {
    match fcntl(fifo, FcntlArg::F_OFD_SETLK(&range(byte, kind))) {
        Ok(_) => Ok(()),
        Err(Errno::EAGAIN | Errno::EACCES) => Err(io::ErrorKind::WouldBlock.into()),
        Err(error) => Err(error.into()),
    }
}

fn range(byte: Byte, kind: i32) -> libc::flock {
    libc::flock {
        l_type: kind as i16,
        l_whence: libc::SEEK_SET as i16,
        l_start: match byte {
            Byte::User => 0,
            Byte::Leader => 1,
            Byte::Made => 2,
        },
        l_len: 1,
        l_pid: 0,
    }
}
