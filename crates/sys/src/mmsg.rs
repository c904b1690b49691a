//! `sendmmsg` and `recvmmsg`: many datagrams in one system call, with ancillary data.
//!
//! Ancillary data is written and read as bytes here (a header of length, level and type, then the
//! value, padded to the word size), so that only the two calls themselves are `unsafe`.

use std::ffi::c_int;
use std::io;
use std::mem::size_of;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::ffi::{check, zeroed};

/// Datagrams per system call. The kernel's own limit is 1024.
const CHUNK: usize = 128;
const WORD: usize = size_of::<usize>();
/// Length (a word), level and type (two ints) of a control message.
const CONTROL_HEADER: usize = WORD + 2 * size_of::<c_int>();
const CONTROL_BYTES: usize = 128;

/// A destination or a local address.
#[derive(Clone, Copy)]
pub(crate) enum Address {
    V4(libc::sockaddr_in),
    V6(libc::sockaddr_in6),
    Link(libc::sockaddr_ll),
}

impl Address {
    /// An IP address without a port; `scope` is the interface of a link-local IPv6 address.
    pub(crate) fn ip(address: IpAddr, scope: u32) -> Self {
        match address {
            IpAddr::V4(address) => {
                // SAFETY: a struct of integers.
                let mut raw: libc::sockaddr_in = unsafe { zeroed() };
                raw.sin_family = libc::AF_INET as libc::sa_family_t;
                raw.sin_addr.s_addr = u32::from_ne_bytes(address.octets());
                Self::V4(raw)
            }
            IpAddr::V6(address) => {
                // SAFETY: a struct of integers.
                let mut raw: libc::sockaddr_in6 = unsafe { zeroed() };
                raw.sin6_family = libc::AF_INET6 as libc::sa_family_t;
                raw.sin6_addr.s6_addr = address.octets();
                let link_local = address.is_unicast_link_local() || address.is_multicast();
                raw.sin6_scope_id = if link_local { scope } else { 0 };
                Self::V6(raw)
            }
        }
    }

    /// An interface of an AF_PACKET socket. The destination MAC comes from the frame itself.
    pub(crate) fn link(ifindex: u32, protocol: u16) -> Self {
        // SAFETY: a struct of integers.
        let mut raw: libc::sockaddr_ll = unsafe { zeroed() };
        raw.sll_family = libc::AF_PACKET as libc::c_ushort;
        raw.sll_ifindex = ifindex.cast_signed();
        raw.sll_protocol = protocol.to_be();
        raw.sll_halen = 6;
        Self::Link(raw)
    }

    /// Pointer and length as the socket calls want them.
    pub(crate) fn raw(&self) -> (*const libc::sockaddr, libc::socklen_t) {
        match self {
            Self::V4(raw) => (
                (raw as *const libc::sockaddr_in).cast(),
                size_of::<libc::sockaddr_in>() as libc::socklen_t,
            ),
            Self::V6(raw) => (
                (raw as *const libc::sockaddr_in6).cast(),
                size_of::<libc::sockaddr_in6>() as libc::socklen_t,
            ),
            Self::Link(raw) => (
                (raw as *const libc::sockaddr_ll).cast(),
                size_of::<libc::sockaddr_ll>() as libc::socklen_t,
            ),
        }
    }
}

/// Ancillary data of one datagram, in the kernel's layout.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(crate) struct Control {
    bytes: [u8; CONTROL_BYTES],
    used: usize,
}

impl Control {
    pub(crate) const fn new() -> Self {
        Self { bytes: [0; CONTROL_BYTES], used: 0 }
    }

    /// Appends a control message. There is room for all that this crate ever adds to one datagram
    /// (packet information and hop limit); beyond it nothing is added.
    pub(crate) fn push(&mut self, level: c_int, kind: c_int, value: &[u8]) {
        let length = CONTROL_HEADER + value.len();
        let Some(room) = self.bytes[self.used..].get_mut(..length.next_multiple_of(WORD)) else {
            debug_assert!(false, "control messages do not fit");
            return;
        };
        room[..WORD].copy_from_slice(&length.to_ne_bytes());
        room[WORD..WORD + 4].copy_from_slice(&level.to_ne_bytes());
        room[WORD + 4..CONTROL_HEADER].copy_from_slice(&kind.to_ne_bytes());
        room[CONTROL_HEADER..length].copy_from_slice(value);
        self.used += length.next_multiple_of(WORD);
    }

    /// The control messages of a received datagram: level, type, value.
    fn parse(bytes: &[u8]) -> impl Iterator<Item = (c_int, c_int, &[u8])> {
        let mut rest = bytes;
        std::iter::from_fn(move || {
            let length = usize::from_ne_bytes(rest.get(..WORD)?.try_into().ok()?);
            let level = int_at(rest, WORD)?;
            let kind = int_at(rest, WORD + 4)?;
            let value = rest.get(CONTROL_HEADER..length)?;
            rest = rest.get(length.next_multiple_of(WORD)..).unwrap_or_default();
            Some((level, kind, value))
        })
    }
}

fn int_at(bytes: &[u8], offset: usize) -> Option<c_int> {
    Some(c_int::from_ne_bytes(bytes.get(offset..offset + 4)?.try_into().ok()?))
}

/// A datagram to send.
pub(crate) struct Outgoing<'a> {
    pub(crate) to: Address,
    pub(crate) control: Control,
    pub(crate) bytes: &'a [u8],
}

/// A datagram that could not be sent.
#[derive(Debug)]
pub struct SendFailure {
    /// Its place in the list that was to be sent.
    pub index: usize,
    /// Why. `WouldBlock` means that the socket's buffer is full: send it later.
    pub error: io::Error,
}

/// Sends them all, in order, `CHUNK` per call; one that fails does not keep back the others, except
/// that a full buffer ends it.
pub(crate) fn send_all(
    fd: BorrowedFd<'_>,
    messages: &[Outgoing<'_>],
    flags: c_int,
) -> Vec<SendFailure> {
    let mut failures = Vec::new();
    let mut next = 0;
    while next < messages.len() {
        let end = messages.len().min(next + CHUNK);
        match send_chunk(fd, &messages[next..end], flags) {
            // At least one is always sent when there is no error.
            Ok(sent) => next += sent.max(1),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                failures.extend((next..messages.len()).map(|index| SendFailure {
                    index,
                    error: io::Error::from(io::ErrorKind::WouldBlock),
                }));
                break;
            }
            Err(error) => {
                failures.push(SendFailure { index: next, error });
                next += 1;
            }
        }
    }
    failures
}

/// Sends up to `CHUNK` datagrams; the error is that of the first.
fn send_chunk(fd: BorrowedFd<'_>, messages: &[Outgoing<'_>], flags: c_int) -> io::Result<usize> {
    let mut parts: Vec<libc::iovec> = messages
        .iter()
        .map(|message| libc::iovec {
            iov_base: message.bytes.as_ptr().cast_mut().cast(),
            iov_len: message.bytes.len(),
        })
        .collect();
    let mut headers: Vec<libc::mmsghdr> = messages
        .iter()
        .zip(&mut parts)
        .map(|(message, part)| {
            let (name, name_length) = message.to.raw();
            // SAFETY: a struct of integers and pointers, for which null is a value.
            let mut header: libc::mmsghdr = unsafe { zeroed() };
            header.msg_hdr.msg_name = name.cast_mut().cast();
            header.msg_hdr.msg_namelen = name_length;
            header.msg_hdr.msg_iov = part;
            header.msg_hdr.msg_iovlen = 1;
            if message.control.used > 0 {
                header.msg_hdr.msg_control = message.control.bytes.as_ptr().cast_mut().cast();
                header.msg_hdr.msg_controllen = message.control.used as _;
            }
            header
        })
        .collect();
    // SAFETY: every pointer in `headers` is to `parts` or into `messages`; both outlive the call
    // and are not moved before it. The kernel only reads what they point to, and writes `msg_len`
    // into `headers` itself.
    let sent = check(unsafe {
        libc::sendmmsg(
            fd.as_raw_fd(),
            headers.as_mut_ptr(),
            headers.len() as libc::c_uint,
            (flags | libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) as _,
        )
    })?;
    Ok(sent.unsigned_abs() as usize)
}

/// A received datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received<'a> {
    /// The sender.
    pub source: Option<IpAddr>,
    /// The address it was sent to, if the kernel told.
    pub destination: Option<IpAddr>,
    /// The interface it came in by; 0 if unknown.
    pub ifindex: u32,
    /// IPv6: the hop limit. (IPv4: read the TTL in the header.)
    pub hop_limit: Option<u8>,
    /// The bytes: of IPv4 the whole packet, of IPv6 what follows the headers.
    pub bytes: &'a [u8],
    /// It was longer than the buffer, `bytes` is its beginning.
    pub truncated: bool,
    /// Packets that this socket has lost so far because its buffer was full (wraps round).
    pub overflows: u32,
}

#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Name([u8; size_of::<libc::sockaddr_storage>()]);

#[derive(Clone, Copy, Default)]
struct Filled {
    bytes: usize,
    control: usize,
    truncated: bool,
}

/// Memory for the datagrams of one `recvmmsg`; used over and over.
pub struct RecvBatch {
    buffers: Vec<u8>,
    size: usize,
    names: Vec<Name>,
    controls: Vec<Control>,
    filled: Vec<Filled>,
    count: usize,
}

impl std::fmt::Debug for RecvBatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecvBatch")
            .field("capacity", &self.names.len())
            .field("size", &self.size)
            .field("count", &self.count)
            .finish()
    }
}

impl Default for RecvBatch {
    /// 32 datagrams of up to 4,608 bytes: a version 3 advert with 255 IPv6 addresses and a MAC.
    fn default() -> Self {
        Self::new(32, 4608)
    }
}

impl RecvBatch {
    /// Room for `count` datagrams of up to `size` bytes; at least one of each.
    pub fn new(count: usize, size: usize) -> Self {
        let (count, size) = (count.clamp(1, 1024), size.max(1));
        Self {
            buffers: vec![0; count * size],
            size,
            names: vec![Name([0; size_of::<libc::sockaddr_storage>()]); count],
            controls: vec![Control::new(); count],
            filled: vec![Filled::default(); count],
            count: 0,
        }
    }

    /// How many datagrams it can hold: if a receive returned fewer, the queue was empty.
    pub fn capacity(&self) -> usize {
        self.names.len()
    }

    /// The datagrams of the last receive.
    pub fn iter(&self) -> impl Iterator<Item = Received<'_>> {
        (0..self.count).map(|index| self.datagram(index))
    }

    fn datagram(&self, index: usize) -> Received<'_> {
        let filled = self.filled[index];
        let start = index * self.size;
        let (source, scope) = parse_name(&self.names[index].0);
        let mut received = Received {
            source,
            destination: None,
            ifindex: scope,
            hop_limit: None,
            bytes: &self.buffers[start..start + filled.bytes],
            truncated: filled.truncated,
            overflows: 0,
        };
        for (level, kind, value) in Control::parse(&self.controls[index].bytes[..filled.control]) {
            match (level, kind) {
                // struct in_pktinfo: interface, local address, destination in the header.
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    if let Some(ifindex) = int_at(value, 0) {
                        received.ifindex = ifindex.cast_unsigned();
                    }
                    if let Some(octets) = value.get(8..12).and_then(|b| <[u8; 4]>::try_from(b).ok())
                    {
                        received.destination = Some(Ipv4Addr::from(octets).into());
                    }
                }
                // struct in6_pktinfo: address, interface.
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    if let Some(octets) = value.get(..16).and_then(|b| <[u8; 16]>::try_from(b).ok())
                    {
                        received.destination = Some(Ipv6Addr::from(octets).into());
                    }
                    if let Some(ifindex) = int_at(value, 16) {
                        received.ifindex = ifindex.cast_unsigned();
                    }
                }
                (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) => {
                    received.hop_limit = int_at(value, 0).and_then(|hops| u8::try_from(hops).ok());
                }
                (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => {
                    received.overflows = int_at(value, 0).map_or(0, c_int::cast_unsigned);
                }
                _ => {}
            }
        }
        received
    }

    /// Receives what is there, without blocking.
    pub(crate) fn receive(&mut self, fd: BorrowedFd<'_>) -> io::Result<usize> {
        self.count = 0;
        let mut parts: Vec<libc::iovec> = self
            .buffers
            .chunks_exact_mut(self.size)
            .map(|buffer| libc::iovec {
                iov_base: buffer.as_mut_ptr().cast(),
                iov_len: buffer.len(),
            })
            .collect();
        let mut headers: Vec<libc::mmsghdr> = parts
            .iter_mut()
            .zip(&mut self.names)
            .zip(&mut self.controls)
            .map(|((part, name), control)| {
                // SAFETY: a struct of integers and pointers, for which null is a value.
                let mut header: libc::mmsghdr = unsafe { zeroed() };
                header.msg_hdr.msg_name = name.0.as_mut_ptr().cast();
                header.msg_hdr.msg_namelen = name.0.len() as libc::socklen_t;
                header.msg_hdr.msg_iov = part;
                header.msg_hdr.msg_iovlen = 1;
                header.msg_hdr.msg_control = control.bytes.as_mut_ptr().cast();
                header.msg_hdr.msg_controllen = control.bytes.len() as _;
                header
            })
            .collect();
        // SAFETY: every pointer in `headers` is to `parts` or into the vectors of `self`, with
        // their true lengths; all outlive the call and nothing else touches them meanwhile.
        let received = unsafe {
            libc::recvmmsg(
                fd.as_raw_fd(),
                headers.as_mut_ptr(),
                headers.len() as libc::c_uint,
                libc::MSG_DONTWAIT as _,
                std::ptr::null_mut(),
            )
        };
        let received = match check(received) {
            Ok(received) => received.unsigned_abs() as usize,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error),
        };
        for (filled, header) in self.filled.iter_mut().zip(&headers[..received]) {
            *filled = Filled {
                bytes: (header.msg_len as usize).min(self.size),
                control: header.msg_hdr.msg_controllen.min(CONTROL_BYTES),
                truncated: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
            };
        }
        self.count = received;
        Ok(received)
    }
}

/// Address and scope of a `sockaddr_storage`'s bytes.
fn parse_name(name: &[u8]) -> (Option<IpAddr>, u32) {
    match c_int::from(u16::from_ne_bytes([name[0], name[1]])) {
        libc::AF_INET => {
            let octets = <[u8; 4]>::try_from(&name[4..8]).ok();
            (octets.map(|octets| Ipv4Addr::from(octets).into()), 0)
        }
        libc::AF_INET6 => {
            let octets = <[u8; 16]>::try_from(&name[8..24]).ok();
            let scope = int_at(name, 24).map_or(0, c_int::cast_unsigned);
            (octets.map(|octets| Ipv6Addr::from(octets).into()), scope)
        }
        _ => (None, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_messages_survive_a_round_trip() {
        let mut control = Control::new();
        control.push(libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT, &255_i32.to_ne_bytes());
        control.push(libc::SOL_SOCKET, libc::SO_RXQ_OVFL, &[1, 2, 3, 4, 5]);
        let parsed: Vec<_> = Control::parse(&control.bytes[..control.used]).collect();
        assert_eq!(parsed.len(), 2);
        assert_eq!(
            parsed[0],
            (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT, &255_i32.to_ne_bytes()[..])
        );
        assert_eq!(parsed[1], (libc::SOL_SOCKET, libc::SO_RXQ_OVFL, &[1, 2, 3, 4, 5][..]));
    }

    #[test]
    fn broken_control_bytes_end_the_iteration() {
        for bytes in [&[][..], &[1; 7], &[0xff; 40], &[0; 40], &[3, 0, 0, 0, 0, 0, 0, 0, 1, 1]] {
            assert_eq!(Control::parse(bytes).count(), 0, "{bytes:?}");
        }
    }
}
