//! Frames straight to the wire: gratuitous ARP and unsolicited neighbour advertisements.
//!
//! One socket serves all interfaces. The caller (crate `wire`) writes the whole Ethernet frame,
//! neighbour advertisements included: so both kinds go out in one system call, and an address that
//! was added an instant ago needs no duplicate address detection to be announced.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use crate::ffi;
pub use crate::mmsg::SendFailure;
use crate::mmsg::{self, Address, Control, Outgoing};

/// Bytes of the send buffer: a burst of some thousand frames.
const SEND_BUFFER: usize = 8 << 20;

/// An Ethernet frame to send.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// The interface it leaves by.
    pub ifindex: u32,
    /// The frame, from the destination MAC on, without checksum.
    pub bytes: &'a [u8],
}

/// Sends frames; receives nothing.
#[derive(Debug)]
pub struct FrameSocket {
    fd: OwnedFd,
}

impl FrameSocket {
    /// Opens the socket.
    ///
    /// # Errors
    /// `PermissionDenied` without CAP_NET_RAW.
    pub fn open() -> io::Result<Self> {
        // Protocol 0: not a single packet is received.
        let fd = ffi::socket(libc::AF_PACKET, libc::SOCK_RAW, 0)?;
        ffi::set_buffer(fd.as_fd(), libc::SO_SNDBUFFORCE, libc::SO_SNDBUF, SEND_BUFFER)?;
        Ok(Self { fd })
    }

    /// Sends all frames, in order, without blocking, in as few system calls as possible. Returns
    /// those that failed (ENETDOWN: the interface is down; ENXIO: it is gone); a failure does not
    /// keep back the others.
    pub fn send(&self, frames: &[Frame<'_>]) -> Vec<SendFailure> {
        let outgoing: Vec<_> = frames
            .iter()
            .map(|frame| {
                // The Ethertype, so that filters and traffic control see ARP as ARP.
                let protocol = match frame.bytes.get(12..14) {
                    Some(&[high, low]) => u16::from_be_bytes([high, low]),
                    _ => 0,
                };
                Outgoing {
                    to: Address::link(frame.ifindex, protocol),
                    control: Control::new(),
                    bytes: frame.bytes,
                }
            })
            .collect();
        mmsg::send_all(self.fd.as_fd(), &outgoing, 0)
    }
}
