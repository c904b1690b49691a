//! Waits in a tokio runtime until a descriptor is readable (process ends, netlink, channels), or
//! until one of many is writable (connections that are being made).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
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

/// Many descriptors, each of which is told once, when it becomes writable.
///
/// They have an epoll set of their own, of which the runtime knows nothing but whether there is
/// something in it. A socket that is there for a moment costs one system call then, and neither a
/// task nor a place in the runtime.
#[derive(Debug)]
pub struct Crowd {
    set: Epoll,
    /// The same set.
    watched: AsyncFd<OwnedFd>,
}

/// One of many is writable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Writable {
    /// The name under which it was added to a [`Crowd`].
    pub token: u64,
    /// There is an error to be asked for, or the other side hung up.
    pub failed: bool,
}

/// Tells for each of a few descriptors, in their order, whether it is writable by now: `None` if
/// not, otherwise whether it has [failed](Writable::failed). Does not wait, and costs far less than
/// taking them into a [`Crowd`].
pub fn writable_now<'a>(descriptors: impl Iterator<Item = BorrowedFd<'a>>) -> Vec<Option<bool>> {
    let mut asked: Vec<PollFd<'_>> =
        descriptors.map(|descriptor| PollFd::new(descriptor, PollFlags::POLLOUT)).collect();
    // If it fails, there is no memory: nothing is known then.
    let _ = poll(&mut asked, PollTimeout::ZERO);
    let failed = PollFlags::POLLERR | PollFlags::POLLHUP | PollFlags::POLLNVAL;
    let told = |one: &PollFd<'_>| one.revents().filter(|flags| !flags.is_empty());
    asked.iter().map(|one| told(one).map(|flags| flags.intersects(failed))).collect()
}

/// How many of a crowd are asked for at once.
const AT_ONCE: usize = 64;

impl Crowd {
    /// Nobody yet. Must be called in a tokio runtime with I/O.
    ///
    /// # Errors
    /// No descriptor left.
    pub fn new() -> io::Result<Self> {
        let set = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let own = set.0.try_clone()?;
        // SAFETY: the descriptor is open, ours alone, and stays open until this value is dropped:
        // nobody gets at the `OwnedFd` in it.
        let watched = unsafe { AsyncFd::register_with_interest(own, Interest::READABLE) };
        Ok(Self { set, watched: watched.map_err(io::Error::from)? })
    }

    /// Takes one in. Once it was told it is forgotten, and may just be closed; before that it must
    /// be [removed](Self::remove): a child process that was started by another thread may hold it
    /// open for a moment, and then closing it here does not take it out of the set.
    ///
    /// # Errors
    /// Out of memory, or the system's limit of watched descriptors is reached.
    pub fn add(&self, descriptor: impl AsFd, token: u64) -> io::Result<()> {
        let flags = EpollFlags::EPOLLOUT | EpollFlags::EPOLLONESHOT;
        Ok(self.set.add(descriptor, EpollEvent::new(flags, token))?)
    }

    /// Forgets one that was not told yet.
    pub fn remove(&self, descriptor: impl AsFd) {
        // It cannot fail for one that was added.
        let _ = self.set.delete(descriptor);
    }

    /// Tells all that are writable by now. Does not wait.
    pub fn take(&self, mut each: impl FnMut(Writable)) {
        let mut events = [EpollEvent::empty(); AT_ONCE];
        loop {
            // Nothing can go wrong with an open set and a buffer of ours.
            let count = self.set.wait(&mut events, EpollTimeout::ZERO).unwrap_or(0);
            for event in events.iter().take(count) {
                let failed = EpollFlags::EPOLLERR | EpollFlags::EPOLLHUP;
                each(Writable { token: event.data(), failed: event.events().intersects(failed) });
            }
            if count < AT_ONCE {
                return;
            }
        }
    }

    /// Waits until there is somebody to [`take`](Self::take), all of whom must be taken then. It may
    /// also return when there is nobody.
    ///
    /// # Errors
    /// The runtime is shutting down.
    pub async fn writable(&self) -> io::Result<()> {
        self.watched.readable().await?.clear_ready();
        Ok(())
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

    fn taken(crowd: &Crowd) -> Vec<Writable> {
        let mut taken = Vec::new();
        crowd.take(|one| taken.push(one));
        taken.sort_unstable_by_key(|one| one.token);
        taken
    }

    #[test]
    fn each_of_a_crowd_is_told_once() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let crowd = Crowd::new().unwrap();
            let patience = Duration::from_secs(10);
            // More than are asked for at once.
            let pairs: Vec<_> = (0..100).map(|_| UnixStream::pair().unwrap()).collect();
            for (token, (here, _)) in (0..).zip(&pairs) {
                crowd.add(here, token).unwrap();
            }
            tokio::time::timeout(patience, crowd.writable()).await.unwrap().unwrap();
            let all: Vec<u64> = taken(&crowd).iter().map(|one| one.token).collect();
            assert_eq!(all, (0..100).collect::<Vec<_>>());
            assert_eq!(taken(&crowd), [], "they were told");
        });
    }

    #[test]
    fn what_is_writable_now() {
        let (mut here, _there) = UnixStream::pair().unwrap();
        let (left, right) = UnixStream::pair().unwrap();
        drop(right);
        let ask = |here: &UnixStream| writable_now([here.as_fd(), left.as_fd()].into_iter());
        assert_eq!(ask(&here), [Some(false), Some(true)]);
        here.set_nonblocking(true).unwrap();
        while here.write(&[0; 4096]).is_ok() {}
        assert_eq!(ask(&here), [None, Some(true)]);
    }

    #[test]
    fn who_comes_later_is_waited_for() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let crowd = Crowd::new().unwrap();
            let patience = Duration::from_secs(10);
            let full = |mut stream: &UnixStream| {
                stream.set_nonblocking(true).unwrap();
                while stream.write(&[0; 4096]).is_ok() {}
            };
            let pairs: Vec<_> = (0..3).map(|_| UnixStream::pair().unwrap()).collect();
            for (token, (here, _)) in (0..).zip(&pairs) {
                full(here);
                crowd.add(here, token).unwrap();
            }
            assert_eq!(taken(&crowd), []);
            let nobody = tokio::time::timeout(Duration::from_millis(20), crowd.writable());
            assert!(nobody.await.is_err());
            for (token, (here, there)) in (0..).zip(pairs) {
                if token == 1 {
                    crowd.remove(&here);
                }
                drop(there);
                if token != 1 {
                    tokio::time::timeout(patience, crowd.writable()).await.unwrap().unwrap();
                    assert_eq!(taken(&crowd), [Writable { token, failed: true }]);
                }
                assert_eq!(taken(&crowd), []);
            }
        });
    }
}
