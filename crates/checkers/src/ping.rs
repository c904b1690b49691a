//! `PING_CHECK`: an ICMP or ICMPv6 echo (RFC 792, RFC 4443 §4).
//!
//! The kernel's datagram sockets for echoes are used: each gets its own answers and no others. They
//! are for the groups in `net.ipv4.ping_group_range` only, which is widened if need be; where that
//! is not possible a raw socket serves.

use std::cell::RefCell;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use socket2::{Protocol, Type};
use tokio::net::UdpSocket;
use tokio::time::Instant;

use crate::connect;
use crate::outcome::{Cause, Detail, Errno, Failure, Socket, Success};
use crate::patience::Patience;
use crate::target::Target;

const GROUP_RANGE: &str = "net/ipv4/ping_group_range";

/// Type, code, checksum, identifier, sequence number.
const HEADER: usize = 8;

/// What follows the header.
const PAYLOAD: usize = 128;

/// How this process may send echoes. A range that was widened is put back when this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Access {
    way: RefCell<Way>,
}

#[derive(Debug, Default)]
enum Way {
    /// Not tried, or as a datagram socket is for us anyway.
    #[default]
    Datagram,
    /// The same after the range was widened.
    Widened { before: String, after: String },
    /// Only raw sockets are for us.
    Raw,
}

impl Access {
    /// A socket for echoes, and whether it is a raw one.
    fn socket(&self, target: &Target) -> Result<(socket2::Socket, bool), Cause> {
        let protocol = protocol(target.to);
        let mut way = self.way.borrow_mut();
        if !matches!(*way, Way::Raw) {
            match connect::make(&portless(target), Type::DGRAM, protocol) {
                Err(Cause::Socket { step: Socket::Make, error }) if forbidden(error) => {}
                other => return other.map(|socket| (socket, false)),
            }
            if let Way::Datagram = *way
                && let Ok((before, after)) = widen()
            {
                *way = Way::Widened { before, after };
                if let Ok(socket) = connect::make(&portless(target), Type::DGRAM, protocol) {
                    return Ok((socket, false));
                }
            }
        }
        let socket = connect::make(&portless(target), Type::RAW, protocol)?;
        if !matches!(*way, Way::Widened { .. }) {
            *way = Way::Raw;
        }
        Ok((socket, true))
    }
}

impl Drop for Access {
    fn drop(&mut self) {
        if let Way::Widened { before, after } = &*self.way.borrow()
            && sys::sysctl::read(GROUP_RANGE).is_ok_and(|now| now == *after)
        {
            // Whoever may widen it may narrow it again; otherwise it stays.
            let _ = sys::sysctl::swap(GROUP_RANGE, before);
        }
    }
}

/// Sends an echo and waits for its answer.
pub(crate) async fn run(target: &Target, access: &Access) -> Result<Success, Failure> {
    let began = Instant::now();
    let fail = |cause: Cause| Failure::new(cause, target.to, began.elapsed());
    let (socket, raw) = access.socket(target).map_err(fail)?;
    socket.connect(&portless(target).to.into()).map_err(|error| fail(Cause::of(&error)))?;
    // The calls that matter, send and receive, are the same for every datagram socket.
    let socket = UdpSocket::from_std(socket.into())
        .map_err(|error| fail(Cause::Socket { step: Socket::Make, error: Errno::of(&error) }))?;
    let echo = Echo::new(target.to, raw);
    socket.send(&echo.request()).await.map_err(|error| fail(Cause::of(&error)))?;
    // From the question on, as in `udp::run`.
    let mut patience = Patience::new(target.timeout);
    // A raw IPv4 socket gets the IP header too, at most 60 bytes.
    let mut buffer = [0; 60 + HEADER + PAYLOAD];
    loop {
        match patience.wait(socket.recv(&mut buffer)).await {
            Some(Ok(length)) if echo.is_answered_by(&buffer[..length]) => {
                return Ok(Success::new(Detail::Echoed, began.elapsed()));
            }
            // Somebody else's answer, on a raw socket.
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(fail(Cause::of(&error))),
            None => return Err(fail(Cause::NoAnswer { within: target.timeout })),
        }
    }
}

/// An echo request and how to know its answer.
struct Echo {
    v6: bool,
    raw: bool,
    identifier: u16,
    sequence: u16,
    payload: [u8; PAYLOAD],
}

impl Echo {
    fn new(to: SocketAddr, raw: bool) -> Self {
        let mut payload = [0; PAYLOAD];
        fastrand::fill(&mut payload);
        Self {
            v6: to.is_ipv6(),
            raw,
            identifier: fastrand::u16(..),
            sequence: fastrand::u16(..),
            payload,
        }
    }

    /// The kernel puts its own identifier into datagrams, and the checksum except on a raw IPv4
    /// socket.
    fn request(&self) -> [u8; HEADER + PAYLOAD] {
        let mut bytes = [0; HEADER + PAYLOAD];
        bytes[0] = if self.v6 { 128 } else { 8 };
        bytes[4..6].copy_from_slice(&self.identifier.to_be_bytes());
        bytes[6..8].copy_from_slice(&self.sequence.to_be_bytes());
        bytes[HEADER..].copy_from_slice(&self.payload);
        if !self.v6 {
            let checksum = wire::checksum::of(&bytes);
            bytes[2..4].copy_from_slice(&checksum.to_be_bytes());
        }
        bytes
    }

    fn is_answered_by(&self, bytes: &[u8]) -> bool {
        let message = if self.raw && !self.v6 {
            let header = bytes.first().map_or(0, |first| usize::from(first & 0xf) * 4);
            bytes.get(header..).unwrap_or_default()
        } else {
            bytes
        };
        let Some((header, payload)) = message.split_first_chunk::<HEADER>() else { return false };
        let reply = if self.v6 { 129 } else { 0 };
        header[..2] == [reply, 0]
            && (!self.raw || header[4..6] == self.identifier.to_be_bytes())
            && header[6..] == self.sequence.to_be_bytes()
            && payload == self.payload
    }
}

fn protocol(to: SocketAddr) -> Protocol {
    if to.is_ipv6() { Protocol::ICMPV6 } else { Protocol::ICMPV4 }
}

/// Echoes have no ports; in their place a socket would take the identifier.
fn portless(target: &Target) -> Target {
    let mut target = target.clone();
    target.to.set_port(0);
    target.bind_port = None;
    target
}

fn forbidden(error: Errno) -> bool {
    io::Error::from_raw_os_error(error.0).kind() == ErrorKind::PermissionDenied
}

/// Lets our group send echoes. Returns the range before and after.
fn widen() -> io::Result<(String, String)> {
    let range = sys::sysctl::read(GROUP_RANGE)?;
    let mut bounds = range.split_ascii_whitespace().map(str::parse::<u32>);
    let (Some(Ok(low)), Some(Ok(high))) = (bounds.next(), bounds.next()) else {
        return Err(io::Error::from(ErrorKind::InvalidData));
    };
    let (_, group) = sys::users::own_ids();
    // The kernel writes "1 0" for nobody.
    let (low, high) = if low > high { (group, group) } else { (low.min(group), high.max(group)) };
    let after = format!("{low}\t{high}");
    sys::sysctl::swap(GROUP_RANGE, &after)?;
    log::info!(
        "{}: now {low} to {high}, so that PING_CHECK can send echoes",
        "net.ipv4.ping_group_range"
    );
    Ok((range, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes back for a request: another type, and on a raw IPv4 socket a header before it.
    fn answer(echo: &Echo, header: &[u8]) -> Vec<u8> {
        let mut bytes = header.to_vec();
        bytes.extend(echo.request());
        bytes[header.len()] = if echo.v6 { 129 } else { 0 };
        bytes
    }

    #[test]
    fn requests_have_a_right_checksum() {
        let request = Echo::new("198.51.100.1:0".parse().unwrap(), true).request();
        assert_eq!(request.len(), 136);
        assert_eq!(wire::checksum::of(&request), 0);
    }

    #[test]
    fn answers_are_known() {
        for (to, raw) in
            [("198.51.100.1:0", false), ("[2001:db8::1]:0", false), ("[2001:db8::1]:0", true)]
        {
            let echo = Echo::new(to.parse().unwrap(), raw);
            let bytes = answer(&echo, &[]);
            assert!(echo.is_answered_by(&bytes), "{to} {raw}");
            assert!(!echo.is_answered_by(&echo.request()), "a request is no answer");
            for at in (0..bytes.len()).filter(|at| !(2..4).contains(at)) {
                let mut other = bytes.clone();
                other[at] ^= 1;
                // The kernel writes its own identifier into datagrams.
                let ours = !raw && (4..6).contains(&at);
                assert_eq!(echo.is_answered_by(&other), ours, "byte {at} of {to} {raw}");
            }
            for short in 0..bytes.len() {
                assert!(!echo.is_answered_by(&bytes[..short]));
            }
        }
    }

    #[test]
    fn a_raw_socket_gets_the_header_too() {
        let echo = Echo::new("198.51.100.1:0".parse().unwrap(), true);
        for options in [0, 4, 40] {
            let mut header = vec![0; 20 + options];
            header[0] = 0x40 | ((20 + options) / 4) as u8;
            assert!(echo.is_answered_by(&answer(&echo, &header)), "{options}");
        }
        let other = Echo::new("198.51.100.1:0".parse().unwrap(), true);
        let mut header = vec![0; 20];
        header[0] = 0x45;
        assert!(!echo.is_answered_by(&answer(&other, &header)));
    }
}
