//! The kernel's process events (its "process connector"): who forks, executes, is renamed, ends.
//!
//! They exist only in the initial user, process and network namespaces and need CAP_NET_ADMIN.
//! Where they are refused, sometimes silently, [`ProcEvents::open`] says so and the caller looks at
//! /proc from time to time.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::socket::{MsgFlags, NetlinkAddr, bind, recvfrom, sendto};

use crate::ffi;

/// The connector's number of process events (CN_IDX_PROC, CN_VAL_PROC), and its multicast group.
const PROC: u32 = 1;
const LISTEN: u32 = 1;
const IGNORE: u32 = 2;
/// Bytes of the netlink header and of the connector's.
const NETLINK_HEADER: usize = 16;
const CONNECTOR_HEADER: usize = 20;
/// The kernel answers at once or never.
const ANSWER_WITHIN_MS: u16 = 500;

const EVENT_ANSWER: u32 = 0;
const EVENT_FORK: u32 = 1;
const EVENT_EXEC: u32 = 2;
const EVENT_NAME: u32 = 0x200;
const EVENT_EXIT: u32 = 0x8000_0000;

/// What happened to a process. Threads are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessEvent {
    /// A copy was made.
    Forked {
        /// Of whom.
        parent: u32,
        /// The copy's process id.
        child: u32,
    },
    /// It executes another program.
    Executed {
        /// Who.
        pid: u32,
    },
    /// It gave itself another name.
    Renamed {
        /// Who.
        pid: u32,
    },
    /// It ended.
    Ended {
        /// Who.
        pid: u32,
    },
    /// Events were lost because nobody read them in time: look at all processes.
    Lost,
}

/// The events as they come.
#[derive(Debug)]
pub struct ProcEvents {
    fd: OwnedFd,
    buffer: Vec<u8>,
}

impl ProcEvents {
    /// Asks the kernel for events and waits for its consent, at most 0.5 s. `buffer`: bytes of the
    /// socket's receive buffer, `None` for the system's default.
    ///
    /// # Errors
    /// `Unsupported`: the kernel has no such events, or not in our namespaces;
    /// `PermissionDenied`: CAP_NET_ADMIN is missing.
    pub fn open(buffer: Option<usize>) -> io::Result<Self> {
        let fd = ffi::socket(libc::AF_NETLINK, libc::SOCK_DGRAM, libc::NETLINK_CONNECTOR)
            .map_err(explain)?;
        if let Some(bytes) = buffer {
            ffi::set_buffer(fd.as_fd(), libc::SO_RCVBUFFORCE, libc::SO_RCVBUF, bytes)?;
        }
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, 1 << (PROC - 1)))
            .map_err(|error| explain(error.into()))?;
        let mut events = Self { fd, buffer: vec![0; 4096] };
        let sequence = std::process::id();
        events.request(LISTEN, sequence).map_err(explain)?;
        events.await_answer(sequence)?;
        Ok(events)
    }

    /// The next event; `None` if there is none now.
    ///
    /// # Errors
    /// None that a caller could cause.
    pub fn next_event(&mut self) -> io::Result<Option<ProcessEvent>> {
        loop {
            match self.receive() {
                Ok(Some(Parsed::Event(event))) => return Ok(Some(event)),
                Ok(Some(Parsed::Answer { .. } | Parsed::Other)) => {}
                Ok(None) => return Ok(None),
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    return Ok(Some(ProcessEvent::Lost));
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn request(&self, operation: u32, sequence: u32) -> io::Result<()> {
        let length = NETLINK_HEADER + CONNECTOR_HEADER + 4;
        let mut message = Vec::with_capacity(length);
        message.extend((length as u32).to_ne_bytes());
        message.extend((libc::NLMSG_DONE as u16).to_ne_bytes());
        message.extend([0; 2]);
        message.extend(sequence.to_ne_bytes());
        message.extend([0; 4]);
        // The answer carries the last of them plus one; it overwrites the one before.
        for number in [PROC, PROC, sequence, sequence] {
            message.extend(number.to_ne_bytes());
        }
        message.extend(4_u16.to_ne_bytes());
        message.extend([0; 2]);
        message.extend(operation.to_ne_bytes());
        sendto(self.fd.as_raw_fd(), &message, &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
        Ok(())
    }

    /// Waits for the answer to our request. Events that come before it are dropped: the caller
    /// looks at all processes after this anyway.
    fn await_answer(&mut self, sequence: u32) -> io::Result<()> {
        let start = crate::clock::Clock::Monotonic.now();
        loop {
            match self.receive() {
                Ok(Some(Parsed::Answer { acknowledged, errno }))
                    if acknowledged == sequence.wrapping_add(1) =>
                {
                    return match errno {
                        0 => Ok(()),
                        errno => Err(io::Error::from_raw_os_error(errno.cast_signed())),
                    };
                }
                Ok(Some(_)) => continue,
                Err(error) if error.raw_os_error() != Some(libc::ENOBUFS) => return Err(error),
                Ok(None) | Err(_) => {}
            }
            let waited = (crate::clock::Clock::Monotonic.now() - start) / 1_000_000;
            let rest = u64::from(ANSWER_WITHIN_MS).saturating_sub(waited);
            let mut fds = [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)];
            if rest == 0 || matches!(poll(&mut fds, rest as u16), Ok(0)) {
                // In other process or user namespaces the kernel ignores the request.
                return Err(io::Error::from(io::ErrorKind::Unsupported));
            }
        }
    }

    fn receive(&mut self) -> io::Result<Option<Parsed>> {
        let (length, sender) = match recvfrom::<NetlinkAddr>(self.fd.as_raw_fd(), &mut self.buffer)
        {
            Ok(received) => received,
            Err(nix::Error::EAGAIN | nix::Error::EINTR) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        // Other processes can send to the group too.
        if sender.is_some_and(|sender| sender.pid() != 0) {
            return Ok(Some(Parsed::Other));
        }
        Ok(Some(parse(&self.buffer[..length]).unwrap_or(Parsed::Other)))
    }
}

impl Drop for ProcEvents {
    fn drop(&mut self) {
        // The kernel counts its listeners and does not notice when a socket is closed.
        let _ = self.request(IGNORE, std::process::id());
    }
}

impl AsFd for ProcEvents {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Parsed {
    Event(ProcessEvent),
    /// The answer to a request, perhaps somebody else's.
    Answer {
        acknowledged: u32,
        errno: u32,
    },
    Other,
}

/// A message: headers of netlink and connector, then kind, processor, time stamp and what depends
/// on the kind.
fn parse(message: &[u8]) -> Option<Parsed> {
    let number =
        |offset: usize| Some(u32::from_ne_bytes(message.get(offset..offset + 4)?.try_into().ok()?));
    if (number(NETLINK_HEADER)?, number(NETLINK_HEADER + 4)?) != (PROC, PROC) {
        return None;
    }
    let acknowledged = number(NETLINK_HEADER + 12)?;
    let event = NETLINK_HEADER + CONNECTOR_HEADER;
    let data = event + 16;
    // A thread has an id of its own beside that of its process.
    let (thread, process) = (number(data)?, number(data + 4).unwrap_or_default());
    let of_process = |event| if thread == process { Parsed::Event(event) } else { Parsed::Other };
    Some(match number(event)? {
        EVENT_ANSWER => Parsed::Answer { acknowledged, errno: thread },
        EVENT_FORK => {
            let (child_thread, child) = (number(data + 8)?, number(data + 12)?);
            if child_thread == child {
                Parsed::Event(ProcessEvent::Forked { parent: process, child })
            } else {
                Parsed::Other
            }
        }
        EVENT_EXEC => Parsed::Event(ProcessEvent::Executed { pid: process }),
        EVENT_NAME => of_process(ProcessEvent::Renamed { pid: process }),
        EVENT_EXIT => of_process(ProcessEvent::Ended { pid: process }),
        _ => Parsed::Other,
    })
}

/// "Protocol not supported" and its kind mean that the kernel has no such events here.
fn explain(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(libc::EPROTONOSUPPORT | libc::EAFNOSUPPORT | libc::ECONNREFUSED | libc::ENOENT) => {
            io::Error::from(io::ErrorKind::Unsupported)
        }
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(what: u32, data: &[u32]) -> Vec<u8> {
        let mut message = vec![0; NETLINK_HEADER];
        for number in [PROC, PROC, 0, 8, 0, what, 0, 0, 0].iter().chain(data) {
            message.extend(number.to_ne_bytes());
        }
        message
    }

    #[test]
    fn processes_are_told_from_threads() {
        let event = |event| Some(Parsed::Event(event));
        let cases = [
            (EVENT_FORK, [5, 4, 7, 7], event(ProcessEvent::Forked { parent: 4, child: 7 })),
            (EVENT_FORK, [5, 4, 7, 4], Some(Parsed::Other)),
            (EVENT_EXEC, [5, 4, 0, 0], event(ProcessEvent::Executed { pid: 4 })),
            (EVENT_NAME, [5, 5, 0, 0], event(ProcessEvent::Renamed { pid: 5 })),
            (EVENT_NAME, [5, 4, 0, 0], Some(Parsed::Other)),
            (EVENT_EXIT, [4, 4, 0, 0], event(ProcessEvent::Ended { pid: 4 })),
            (EVENT_EXIT, [5, 4, 0, 0], Some(Parsed::Other)),
            (EVENT_ANSWER, [1, 0, 0, 0], Some(Parsed::Answer { acknowledged: 8, errno: 1 })),
            (4, [4, 4, 0, 0], Some(Parsed::Other)),
        ];
        for (what, data, expected) in cases {
            assert_eq!(parse(&message(what, &data)), expected, "{what} {data:?}");
        }
    }

    #[test]
    fn broken_messages_are_nothing() {
        let whole = message(EVENT_FORK, &[5, 4, 7, 7]);
        for length in 0..whole.len() {
            assert_eq!(parse(&whole[..length]), None, "{length}");
        }
        let mut foreign = whole;
        foreign[NETLINK_HEADER] = 9;
        assert_eq!(parse(&foreign), None);
    }
}
