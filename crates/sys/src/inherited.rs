//! Descriptors that a process finds open at numbers agreed on with its parent.

use std::io;
use std::os::fd::{BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::sync::Mutex;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

static TAKEN: Mutex<Vec<RawFd>> = Mutex::new(Vec::new());

/// Takes over the descriptor of this number, closed at exec from here on. Call it first of all,
/// before anything else of this process opens descriptors.
///
/// # Errors
/// It is not open, is one of the three standard ones, or was taken before.
pub fn take(number: RawFd) -> io::Result<OwnedFd> {
    if number < 3 {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    let mut taken = TAKEN.lock().map_err(|_| io::Error::from(io::ErrorKind::Other))?;
    if taken.contains(&number) {
        return Err(io::Error::from(io::ErrorKind::AlreadyExists));
    }
    // SAFETY: only looked at for this call; if it is not open the kernel says so.
    let looked_at = unsafe { BorrowedFd::borrow_raw(number) };
    fcntl(looked_at, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    taken.push(number);
    // SAFETY: it is open, was opened for us by the parent, and is taken once only.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_open_or_not_ours_is_refused() {
        assert!(take(1).is_err());
        assert!(take(1_000_000).is_err());
    }

    #[test]
    fn a_descriptor_is_taken_once() {
        use std::os::fd::{AsRawFd as _, IntoRawFd as _};
        let number = std::fs::File::open("/dev/null").unwrap().into_raw_fd();
        let taken = take(number).unwrap();
        assert_eq!(taken.as_raw_fd(), number);
        assert!(take(number).is_err());
    }
}
