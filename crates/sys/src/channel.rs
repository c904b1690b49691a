//! Messages between our own processes: a SOCK_SEQPACKET socket pair that keeps message borders
//! and carries descriptors.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

use nix::cmsg_space;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg,
    sendmsg, socketpair, sockopt,
};

/// The longest message, in bytes. What is longer goes into a memfd ([`crate::memfd`]).
pub const MAX_MESSAGE: usize = 64 << 10;
/// The most descriptors that go with a message.
pub const MAX_DESCRIPTORS: usize = 8;

/// One end. Non-blocking, closed at exec.
#[derive(Debug)]
pub struct Channel {
    fd: OwnedFd,
}

/// What [`Channel::receive`] found.
#[derive(Debug)]
pub enum Incoming {
    /// A message.
    Message {
        /// Its bytes, at least one.
        bytes: Vec<u8>,
        /// The descriptors that came with it, closed at exec.
        descriptors: Vec<OwnedFd>,
    },
    /// Nothing now.
    Empty,
    /// The other end is closed and everything is read.
    Closed,
}

impl Channel {
    /// Two connected ends.
    ///
    /// # Errors
    /// Out of descriptors or memory.
    pub fn pair() -> io::Result<(Self, Self)> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let (one, other) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
        for end in [&one, &other] {
            // Some messages of full length, whatever the system's default is.
            let _ = nix::sys::socket::setsockopt(end, sockopt::SndBuf, &(8 * MAX_MESSAGE));
        }
        Ok((Self { fd: one }, Self { fd: other }))
    }

    /// An end that was inherited. It is made non-blocking and close-on-exec.
    ///
    /// # Errors
    /// It is no SOCK_SEQPACKET socket.
    pub fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
        if nix::sys::socket::getsockopt(&fd, sockopt::SockType)? != SockType::SeqPacket {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        fcntl(&fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        let flags = OFlag::from_bits_retain(fcntl(&fd, FcntlArg::F_GETFL)?);
        fcntl(&fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        Ok(Self { fd })
    }

    /// Another handle to the same end.
    ///
    /// # Errors
    /// Out of descriptors.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { fd: self.fd.try_clone()? })
    }

    /// Sends a message of 1 to [`MAX_MESSAGE`] bytes with up to [`MAX_DESCRIPTORS`] descriptors,
    /// all or nothing.
    ///
    /// # Errors
    /// `WouldBlock` if the other end does not read; `BrokenPipe` if it is closed; `InvalidInput`
    /// if the message is empty or too large.
    pub fn send(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        if bytes.is_empty() || bytes.len() > MAX_MESSAGE || descriptors.len() > MAX_DESCRIPTORS {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        let raw: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&raw)];
        let control = if raw.is_empty() { &[][..] } else { &rights[..] };
        let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
        let parts = [IoSlice::new(bytes)];
        loop {
            match sendmsg::<()>(self.fd.as_raw_fd(), &parts, control, flags, None) {
                Ok(_) => return Ok(()),
                Err(nix::Error::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Receives the next message without blocking.
    ///
    /// # Errors
    /// `InvalidData` for a message that no [`Channel::send`] has sent (too long).
    pub fn receive(&self) -> io::Result<Incoming> {
        let mut buffer = vec![0; MAX_MESSAGE];
        let mut control = cmsg_space!([RawFd; MAX_DESCRIPTORS]);
        let flags = MsgFlags::MSG_CMSG_CLOEXEC | MsgFlags::MSG_DONTWAIT;
        let (length, truncated, descriptors) = {
            let mut parts = [IoSliceMut::new(&mut buffer)];
            let message = loop {
                let fd = self.fd.as_raw_fd();
                match recvmsg::<()>(fd, &mut parts, Some(&mut control), flags) {
                    Ok(message) => break message,
                    Err(nix::Error::EINTR) => {}
                    Err(nix::Error::EAGAIN) => return Ok(Incoming::Empty),
                    Err(nix::Error::ECONNRESET) => return Ok(Incoming::Closed),
                    Err(error) => return Err(error.into()),
                }
            };
            let mut descriptors = Vec::new();
            for control in message.cmsgs()? {
                if let ControlMessageOwned::ScmRights(raw) = control {
                    for fd in raw {
                        // SAFETY: the kernel has just opened it for us with this message, nobody
                        // else owns it.
                        descriptors.push(unsafe { OwnedFd::from_raw_fd(fd) });
                    }
                }
            }
            let cut = MsgFlags::MSG_TRUNC | MsgFlags::MSG_CTRUNC;
            (message.bytes, message.flags.intersects(cut), descriptors)
        };
        if truncated {
            return Err(io::Error::from(io::ErrorKind::InvalidData));
        }
        if length == 0 {
            return Ok(Incoming::Closed);
        }
        buffer.truncate(length);
        buffer.shrink_to_fit();
        Ok(Incoming::Message { bytes: buffer, descriptors })
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl From<Channel> for OwnedFd {
    fn from(channel: Channel) -> Self {
        channel.fd
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memfd;

    fn message(channel: &Channel) -> (Vec<u8>, Vec<OwnedFd>) {
        match channel.receive().unwrap() {
            Incoming::Message { bytes, descriptors } => (bytes, descriptors),
            other => panic!("no message: {other:?}"),
        }
    }

    #[test]
    fn messages_keep_their_borders() {
        let (one, other) = Channel::pair().unwrap();
        assert!(matches!(other.receive().unwrap(), Incoming::Empty));
        let long = vec![7; MAX_MESSAGE];
        one.send(b"a", &[]).unwrap();
        one.send(&long, &[]).unwrap();
        assert_eq!(message(&other).0, b"a");
        assert_eq!(message(&other).0, long);
        for wrong in [&[][..], &[0; MAX_MESSAGE + 1]] {
            assert_eq!(one.send(wrong, &[]).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
    }

    #[test]
    fn descriptors_travel_with_a_message() {
        let (one, other) = Channel::pair().unwrap();
        let file = memfd::sealed("test", b"over there").unwrap();
        one.send(b"x", &[file.as_fd(), one.as_fd()]).unwrap();
        let (_, mut descriptors) = message(&other);
        assert_eq!(descriptors.len(), 2);
        let there = std::fs::File::from(descriptors.remove(0));
        assert_eq!(memfd::read_all(&there, 100).unwrap(), b"over there");
        let again = Channel::from_fd(descriptors.remove(0)).unwrap();
        again.send(b"y", &[]).unwrap();
        assert_eq!(message(&other).0, b"y");
        assert!(Channel::from_fd(there.into()).is_err());
    }

    #[test]
    fn a_full_channel_would_block_and_a_closed_one_says_so() {
        let (one, other) = Channel::pair().unwrap();
        let long = vec![7; MAX_MESSAGE];
        let mut sent = 0;
        let error = loop {
            match one.send(&long, &[]) {
                Ok(()) => sent += 1,
                Err(error) => break error,
            }
            assert!(sent < 1_000, "the buffer has no limit");
        };
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert!(sent >= 2);
        drop(one);
        for _ in 0..sent {
            message(&other);
        }
        assert!(matches!(other.receive().unwrap(), Incoming::Closed));
        assert_eq!(other.send(b"x", &[]).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
