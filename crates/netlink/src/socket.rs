//! A netlink socket: the one place of this crate that talks to system calls.

#![allow(unsafe_code)]

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, getsockopt,
    recvmsg, sendmsg, setsockopt, socket, sockopt,
};

/// Large enough for every datagram that the kernel makes for a dump (32 KiB since Linux 4.9).
pub(crate) const DATAGRAM: usize = 64 * 1024;

/// `setsockopt(SOL_NETLINK)` switches, by their number.
#[derive(Debug, Clone, Copy)]
#[repr(i32)]
pub(crate) enum Switch {
    /// Errors do not carry the request back.
    CapAck = 10,
    /// Errors carry the kernel's explanation.
    ExtAck = 11,
    /// Dumps are filtered by the kernel, and malformed requests refused.
    StrictCheck = 12,
}

/// What a receive call brought.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// A datagram of the kernel, with this length.
    Datagram(usize),
    /// Something to ignore: not from the kernel, or cut off.
    Junk,
    /// Nothing is waiting.
    Empty,
    /// Messages were lost because the receive buffer was full.
    Overrun,
}

/// A non-blocking netlink socket.
#[derive(Debug)]
pub(crate) struct Socket {
    fd: OwnedFd,
}

impl Socket {
    /// Opens a socket of a netlink protocol and subscribes it to a set of groups (bit n−1 for
    /// group n).
    pub(crate) fn open(protocol: SockProtocol, groups: u32) -> Result<Self, Errno> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(AddressFamily::Netlink, SockType::Raw, flags, protocol)?;
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
        Ok(Self { fd })
    }

    /// Turns a switch on; `false` when the kernel is too old to know it.
    pub(crate) fn switch_on(&self, switch: Switch) -> bool {
        let on: libc::c_int = 1;
        // SAFETY: the option value is a c_int that lives until the call returns, and its size is
        // given; the descriptor is open as long as `self`.
        let result = unsafe {
            libc::setsockopt(
                self.fd.as_raw_fd(),
                libc::SOL_NETLINK,
                switch as libc::c_int,
                (&raw const on).cast(),
                size_of::<libc::c_int>() as libc::socklen_t,
            )
        };
        result == 0
    }

    /// Sets the receive buffer to at least `bytes` (of payload as the kernel counts it: it doubles
    /// the number). With `force` beyond the system's limit, where permitted; otherwise as far as
    /// the limit allows. Returns the size that the kernel accounts with.
    pub(crate) fn receive_buffer(&self, bytes: usize, force: bool) -> Result<usize, Errno> {
        let forced = force && setsockopt(&self.fd, sockopt::RcvBufForce, &bytes).is_ok();
        if !forced {
            setsockopt(&self.fd, sockopt::RcvBuf, &bytes)?;
        }
        getsockopt(&self.fd, sockopt::RcvBuf)
    }

    /// Sends one datagram; the kernel executes what it asks before this returns.
    pub(crate) fn send(&self, bytes: &[u8]) -> Result<(), Errno> {
        let kernel = NetlinkAddr::new(0, 0);
        loop {
            let iov = [IoSlice::new(bytes)];
            match sendmsg(self.fd.as_raw_fd(), &iov, &[], MsgFlags::empty(), Some(&kernel)) {
                Err(Errno::EINTR) => {}
                result => return result.map(|_| ()),
            }
        }
    }

    /// Takes one datagram if one waits.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> Result<Received, Errno> {
        loop {
            let mut iov = [IoSliceMut::new(buffer)];
            let fd = self.fd.as_raw_fd();
            match recvmsg::<NetlinkAddr>(fd, &mut iov, None, MsgFlags::MSG_DONTWAIT) {
                Ok(message) => {
                    let from_kernel = message.address.is_some_and(|from| from.pid() == 0);
                    let whole = !message.flags.contains(MsgFlags::MSG_TRUNC);
                    return Ok(if from_kernel && whole {
                        Received::Datagram(message.bytes)
                    } else {
                        Received::Junk
                    });
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return Ok(Received::Empty),
                Err(Errno::ENOBUFS) => return Ok(Received::Overrun),
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits until something can be received; `false` when the time is over.
    pub(crate) fn wait(&self, deadline: Instant) -> Result<bool, Errno> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            // Rounded up, so that the last wait is not a spin.
            let left = left.saturating_add(Duration::from_micros(999));
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            let mut fds = [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, timeout) {
                Ok(ready) => return Ok(ready > 0),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
