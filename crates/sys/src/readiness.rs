//! Waits in a tokio runtime until a descriptor is readable: process ends, netlink, channels.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Tells when a descriptor is readable.
///
/// It holds a duplicate, so that its own end and that of the descriptor have nothing to do with
/// each other.
#[derive(Debug)]
pub struct Readiness(AsyncFd<OwnedFd>);

impl Readiness {
    /// Watches the descriptor. Must be called in a tokio runtime with I/O.
    ///
    /// # Errors
    /// No descriptor left, or one that cannot be waited for (a file).
    pub fn new(descriptor: impl AsFd) -> io::Result<Self> {
        let own = descriptor.as_fd().try_clone_to_owned()?;
        // SAFETY: the descriptor is open, ours alone, and stays open until this value is dropped:
        // nobody gets at the `OwnedFd` in it.
        let watched = unsafe { AsyncFd::register_with_interest(own, Interest::READABLE) };
        Ok(Self(watched.map_err(io::Error::from)?))
    }

    /// Waits until there is something to read, or an end or an error to be seen. What is not read
    /// is told again.
    ///
    /// # Errors
    /// The runtime is shutting down.
    pub async fn readable(&self) -> io::Result<()> {
        loop {
            let mut guard = self.0.readable().await?;
            // tokio tells each arrival once; whoever does not read everything would hang.
            let mut now = [PollFd::new(self.0.get_ref().as_fd(), PollFlags::POLLIN)];
            if !matches!(poll(&mut now, PollTimeout::ZERO), Ok(0)) {
                guard.retain_ready();
                return Ok(());
            }
            guard.clear_ready();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_not_read_is_told_again() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (mut here, mut there) = UnixStream::pair().unwrap();
            let readiness = Readiness::new(&here).unwrap();
            let patience = Duration::from_secs(10);
            let wait = || tokio::time::timeout(patience, readiness.readable());
            there.write_all(b"ab").unwrap();
            wait().await.unwrap().unwrap();
            here.read_exact(&mut [0]).unwrap();
            wait().await.unwrap().unwrap();
            here.read_exact(&mut [0]).unwrap();
            let nothing = tokio::time::timeout(Duration::from_millis(20), readiness.readable());
            assert!(nothing.await.is_err());
            there.write_all(b"c").unwrap();
            wait().await.unwrap().unwrap();
            here.read_exact(&mut [0]).unwrap();
            drop(there);
            wait().await.unwrap().unwrap();
        });
    }
}
