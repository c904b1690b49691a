//! A small event loop: epoll, one timerfd with absolute nanosecond deadlines, and an eventfd by
//! which other threads wake it.
//!
//! It has no callbacks: [`EventLoop::wait`] returns what is ready, the caller does the rest. One
//! timer is enough because a role's cores tell their next deadline.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use crate::clock::Clock;

/// Descriptors that one [`EventLoop::wait`] can report; the rest follows with the next.
const EVENTS_PER_WAIT: usize = 64;
const TOKEN_TIMER: u64 = u64::MAX;
const TOKEN_WAKER: u64 = u64::MAX - 1;

/// The caller's name for a registered descriptor. The two largest values are the loop's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// What to wait for. Errors and hang-ups are always reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Data to read.
    Readable,
    /// Room to write.
    Writable,
    /// Either.
    Both,
    /// Neither: only errors and hang-ups (POLLPRI-less watching of a peer).
    HangupOnly,
}

impl Interest {
    fn flags(self) -> EpollFlags {
        match self {
            Self::Readable => EpollFlags::EPOLLIN,
            Self::Writable => EpollFlags::EPOLLOUT,
            Self::Both => EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT,
            Self::HangupOnly => EpollFlags::empty(),
        }
    }
}

/// A descriptor that is ready (level-triggered: reported again until it is dealt with).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// Which.
    pub token: Token,
    /// Reading will not block. True with `closed`, so that the end is read.
    pub readable: bool,
    /// Writing will not block.
    pub writable: bool,
    /// The other side hung up or the descriptor has an error.
    pub closed: bool,
}

/// Why [`EventLoop::wait`] returned, besides the ready descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Woken {
    /// The loop's clock, read after waiting, in nanoseconds.
    pub now: u64,
    /// The deadline has been reached.
    pub deadline: bool,
    /// A [`Waker`] called.
    pub waker: bool,
}

/// How late deadlines were noticed, since the last [`EventLoop::take_lateness`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lateness {
    /// Deadlines that were reached.
    pub count: u64,
    /// The worst, in nanoseconds.
    pub worst: u64,
    /// The last, in nanoseconds.
    pub last: u64,
}

/// Wakes an [`EventLoop`] from any thread.
#[derive(Clone, Debug)]
pub struct Waker(Arc<EventFd>);

impl Waker {
    /// Lets the loop's next (or running) wait return. Never blocks; several calls count as one.
    pub fn wake(&self) {
        // EAGAIN means that the counter is at its limit: the loop will wake anyway.
        let _ = self.0.write(1);
    }
}

/// The loop. Not meant to be shared between threads; the [`Waker`] is.
#[derive(Debug)]
pub struct EventLoop {
    epoll: Epoll,
    timer: TimerFd,
    waker: Waker,
    clock: Clock,
    /// What the timer is set to.
    armed: Option<u64>,
    lateness: Lateness,
}

impl EventLoop {
    /// A loop whose deadlines count by `clock`.
    ///
    /// # Errors
    /// Out of descriptors or memory.
    pub fn new(clock: Clock) -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let id = match clock {
            Clock::Monotonic => ClockId::CLOCK_MONOTONIC,
            Clock::Boottime => ClockId::CLOCK_BOOTTIME,
        };
        let timer = TimerFd::new(id, TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK)?;
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let waker = Waker(Arc::new(EventFd::from_flags(flags)?));
        epoll.add(&timer, EpollEvent::new(EpollFlags::EPOLLIN, TOKEN_TIMER))?;
        epoll.add(&*waker.0, EpollEvent::new(EpollFlags::EPOLLIN, TOKEN_WAKER))?;
        Ok(Self { epoll, timer, waker, clock, armed: None, lateness: Lateness::default() })
    }

    /// The loop's clock in nanoseconds.
    pub fn now(&self) -> u64 {
        self.clock.now()
    }

    /// A handle by which other threads wake the loop.
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Watches a descriptor. Deregister it before it is closed.
    ///
    /// # Errors
    /// `AlreadyExists` if it is registered, `InvalidInput` for a token that is the loop's own,
    /// `PermissionDenied` for a regular file; out of memory.
    pub fn register(&self, fd: impl AsFd, token: Token, interest: Interest) -> io::Result<()> {
        if token.0 >= TOKEN_WAKER {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        Ok(self.epoll.add(fd, EpollEvent::new(interest.flags(), token.0))?)
    }

    /// Changes what a registered descriptor is watched for.
    ///
    /// # Errors
    /// `NotFound` if it is not registered.
    pub fn modify(&self, fd: impl AsFd, token: Token, interest: Interest) -> io::Result<()> {
        if token.0 >= TOKEN_WAKER {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        Ok(self.epoll.modify(fd, &mut EpollEvent::new(interest.flags(), token.0))?)
    }

    /// Watches a descriptor no longer.
    ///
    /// # Errors
    /// `NotFound` if it is not registered.
    pub fn deregister(&self, fd: impl AsFd) -> io::Result<()> {
        Ok(self.epoll.delete(fd)?)
    }

    /// Waits until a registered descriptor is ready, the deadline (nanoseconds of [`Self::now`])
    /// is reached or a waker calls; `None` waits without a deadline. What is ready replaces the
    /// content of `ready`. A deadline in the past still collects what is ready.
    ///
    /// An interrupting signal returns early with nothing.
    ///
    /// # Errors
    /// Only programming errors of the loop itself; the caller cannot go on after one.
    pub fn wait(&mut self, deadline: Option<u64>, ready: &mut Vec<Ready>) -> io::Result<Woken> {
        ready.clear();
        let passed = deadline.is_some_and(|deadline| deadline <= self.clock.now());
        let timeout = if passed { EpollTimeout::ZERO } else { EpollTimeout::NONE };
        if !passed {
            self.arm(deadline)?;
        }
        let mut events = [EpollEvent::empty(); EVENTS_PER_WAIT];
        let count = match self.epoll.wait(&mut events, timeout) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(error) => return Err(error.into()),
        };
        let now = self.clock.now();
        let mut waker = false;
        for event in &events[..count] {
            match event.data() {
                TOKEN_TIMER => {
                    // Reading disarms; EAGAIN if the clock was set meanwhile.
                    let _ = self.timer.wait();
                    self.armed = None;
                }
                TOKEN_WAKER => {
                    let _ = self.waker.0.read();
                    waker = true;
                }
                token => {
                    let flags = event.events();
                    let closed = flags.intersects(
                        EpollFlags::EPOLLERR | EpollFlags::EPOLLHUP | EpollFlags::EPOLLRDHUP,
                    );
                    ready.push(Ready {
                        token: Token(token),
                        readable: closed || flags.contains(EpollFlags::EPOLLIN),
                        writable: flags.contains(EpollFlags::EPOLLOUT),
                        closed,
                    });
                }
            }
        }
        let reached = deadline.filter(|deadline| *deadline <= now);
        if let Some(deadline) = reached {
            let late = now - deadline;
            self.lateness.count += 1;
            self.lateness.worst = self.lateness.worst.max(late);
            self.lateness.last = late;
        }
        Ok(Woken { now, deadline: reached.is_some(), waker })
    }

    /// How late deadlines were noticed since the last call.
    pub fn take_lateness(&mut self) -> Lateness {
        std::mem::take(&mut self.lateness)
    }

    fn arm(&mut self, deadline: Option<u64>) -> io::Result<()> {
        if self.armed == deadline {
            return Ok(());
        }
        match deadline {
            Some(deadline) => {
                // An absolute time of zero would disarm.
                let time = TimeSpec::from_duration(Duration::from_nanos(deadline.max(1)));
                self.timer.set(Expiration::OneShot(time), TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
            }
            None => self.timer.unset()?,
        }
        self.armed = deadline;
        Ok(())
    }
}

impl AsFd for EventLoop {
    /// The epoll descriptor: readable when [`EventLoop::wait`] would return at once.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;
    use std::thread;

    use super::*;

    const MILLISECOND: u64 = 1_000_000;

    fn event_loop() -> (EventLoop, Vec<Ready>) {
        (EventLoop::new(Clock::Monotonic).unwrap(), Vec::new())
    }

    #[test]
    fn a_deadline_is_not_early_and_counts_as_lateness() {
        for clock in [Clock::Monotonic, Clock::Boottime] {
            let mut timing = EventLoop::new(clock).unwrap();
            let mut ready = Vec::new();
            let deadline = timing.now() + 2 * MILLISECOND + 345;
            let woken = timing.wait(Some(deadline), &mut ready).unwrap();
            assert!(woken.deadline && woken.now >= deadline && !woken.waker);
            let lateness = timing.take_lateness();
            assert_eq!((lateness.count, lateness.last), (1, woken.now - deadline));
            assert_eq!(timing.take_lateness(), Lateness::default());
        }
    }

    #[test]
    fn a_changed_deadline_replaces_the_old_one() {
        let (mut timing, mut ready) = event_loop();
        let (near, far) = (timing.now() + 3 * MILLISECOND, timing.now() + 3_600_000 * MILLISECOND);
        timing.waker().wake();
        assert!(!timing.wait(Some(far), &mut ready).unwrap().deadline);
        assert!(timing.wait(Some(near), &mut ready).unwrap().deadline);
        // The old expiry leaves nothing behind.
        timing.waker().wake();
        let woken = timing.wait(Some(far), &mut ready).unwrap();
        assert!(woken.waker && !woken.deadline);
    }

    #[test]
    fn a_past_deadline_still_reports_ready_descriptors() {
        let (mut timing, mut ready) = event_loop();
        let (here, there) = UnixDatagram::pair().unwrap();
        timing.register(&here, Token(7), Interest::Readable).unwrap();
        let woken = timing.wait(Some(0), &mut ready).unwrap();
        assert!(woken.deadline && ready.is_empty());
        there.send(b"x").unwrap();
        let woken = timing.wait(Some(1), &mut ready).unwrap();
        assert!(woken.deadline);
        assert_eq!(
            ready,
            [Ready { token: Token(7), readable: true, writable: false, closed: false }]
        );
        timing.deregister(&here).unwrap();
        timing.wait(Some(1), &mut ready).unwrap();
        assert!(ready.is_empty());
    }

    #[test]
    fn interest_can_change() {
        let (mut timing, mut ready) = event_loop();
        let (here, there) = UnixDatagram::pair().unwrap();
        timing.register(&here, Token(1), Interest::HangupOnly).unwrap();
        there.send(b"x").unwrap();
        timing.wait(Some(1), &mut ready).unwrap();
        assert!(ready.is_empty());
        timing.modify(&here, Token(2), Interest::Both).unwrap();
        timing.wait(None, &mut ready).unwrap();
        assert!(ready[0].token == Token(2) && ready[0].readable && ready[0].writable);
        assert!(timing.register(&here, Token(u64::MAX), Interest::Both).is_err());
    }

    #[test]
    fn a_hang_up_is_reported() {
        let (mut timing, mut ready) = event_loop();
        let (here, there) = std::os::unix::net::UnixStream::pair().unwrap();
        timing.register(&here, Token(1), Interest::Readable).unwrap();
        drop(there);
        timing.wait(None, &mut ready).unwrap();
        assert!(ready[0].closed && ready[0].readable);
    }

    #[test]
    fn another_thread_wakes_a_wait_without_deadline() {
        let (mut timing, mut ready) = event_loop();
        let waker = timing.waker();
        let thread = thread::spawn(move || {
            waker.wake();
            waker.wake();
        });
        assert!(timing.wait(None, &mut ready).unwrap().waker);
        thread.join().unwrap();
        // Whatever the second call left is one wake-up at most.
        timing.wait(Some(1), &mut ready).unwrap();
        assert!(!timing.wait(Some(1), &mut ready).unwrap().waker);
    }
}
