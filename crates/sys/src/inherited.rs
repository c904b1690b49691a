//! Descriptors that the program found open when it started ([`crate::process::Command::descriptor`]).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

/// Takes the descriptor of this number, which is closed at exec from then on.
///
/// # Errors
/// `NotFound` if it is not open, or not inherited: everything that the program itself opens is
/// close-on-exec, everything that it inherits is not. Therefore each can be taken once.
pub fn take(number: RawFd) -> io::Result<OwnedFd> {
    if number < 3 {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    // SAFETY: only looked at here; a number that is not open is an error of `fcntl`.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    let flags = match fcntl(borrowed.as_fd(), FcntlArg::F_GETFD) {
        Ok(flags) => FdFlag::from_bits_retain(flags),
        Err(nix::Error::EBADF) => return Err(io::Error::from(io::ErrorKind::NotFound)),
        Err(error) => return Err(error.into()),
    };
    if flags.contains(FdFlag::FD_CLOEXEC) {
        return Err(io::Error::from(io::ErrorKind::NotFound));
    }
    fcntl(borrowed, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    // SAFETY: it was inherited and not taken before, so that nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsRawFd as _, IntoRawFd as _};

    use super::*;

    #[test]
    fn only_what_was_inherited_can_be_taken_and_only_once() {
        let own = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(take(own.as_raw_fd()).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(take(999_999).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(take(0).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        // As if inherited: given up by its owner and not close-on-exec.
        let number = own.into_raw_fd();
        // SAFETY: we have just given it up.
        let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
        fcntl(borrowed, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
        let taken = take(number).unwrap();
        assert_eq!(take(number).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(taken.as_raw_fd(), number);
    }
}
