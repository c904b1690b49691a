//! Ethernet II frames: for ARP, and for captures that Wireshark opens.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::error::at_least;
use crate::hardware::write_bytes;
use crate::{Error, Format};

/// Bytes before the payload.
pub const HEADER_LEN: usize = 14;

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EtherType {
    /// 0x0800
    Ipv4,
    /// 0x0806
    Arp,
    /// 0x86dd
    Ipv6,
    /// Anything else (also the lengths of 802.3 frames)
    Unknown(u16),
}

impl From<u16> for EtherType {
    fn from(value: u16) -> Self {
        match value {
            0x0800 => Self::Ipv4,
            0x0806 => Self::Arp,
            0x86dd => Self::Ipv6,
            other => Self::Unknown(other),
        }
    }
}

impl From<EtherType> for u16 {
    fn from(value: EtherType) -> Self {
        match value {
            EtherType::Ipv4 => 0x0800,
            EtherType::Arp => 0x0806,
            EtherType::Ipv6 => 0x86dd,
            EtherType::Unknown(other) => other,
        }
    }
}

impl fmt::Display for EtherType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ipv4 => f.write_str("IPv4"),
            Self::Arp => f.write_str("ARP"),
            Self::Ipv6 => f.write_str("IPv6"),
            Self::Unknown(other) => write!(f, "{other:#06x}"),
        }
    }
}

/// The frame address that IPv4 multicast to `group` uses (RFC 1112 §6.4).
pub const fn multicast_v4(group: Ipv4Addr) -> [u8; 6] {
    let [_, b, c, d] = group.octets();
    [0x01, 0x00, 0x5e, b & 0x7f, c, d]
}

/// The frame address that IPv6 multicast to `group` uses (RFC 2464 §7).
pub const fn multicast_v6(group: Ipv6Addr) -> [u8; 6] {
    let [.., a, b, c, d] = group.octets();
    [0x33, 0x33, a, b, c, d]
}

/// The frame address that multicast to `group` uses, or `None` for a unicast address.
pub fn multicast(group: IpAddr) -> Option<[u8; 6]> {
    match group {
        IpAddr::V4(v4) if v4.is_multicast() => Some(multicast_v4(v4)),
        IpAddr::V6(v6) if v6.is_multicast() => Some(multicast_v6(v6)),
        _ => None,
    }
}

/// A view of a frame.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    header: &'a [u8; HEADER_LEN],
    payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Views `bytes` as a frame without its check sequence.
    ///
    /// # Errors
    /// [`Error::Truncated`] under 14 bytes.
    pub fn new_checked(bytes: &'a [u8]) -> Result<Self, Error> {
        let (header, payload) = at_least(Format::Ethernet, bytes, HEADER_LEN)?
            .split_first_chunk()
            .expect("length checked above");
        Ok(Self { header, payload })
    }

    /// To whom.
    pub fn destination(&self) -> [u8; 6] {
        *self.header.first_chunk().expect("6 of 14 bytes")
    }

    /// From whom.
    pub fn source(&self) -> [u8; 6] {
        let [_, _, _, _, _, _, a, b, c, d, e, g, _, _] = *self.header;
        [a, b, c, d, e, g]
    }

    /// What the payload is.
    pub fn ethertype(&self) -> EtherType {
        u16::from_be_bytes([self.header[12], self.header[13]]).into()
    }

    /// The payload, perhaps padded.
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

impl fmt::Display for Packet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ethernet ")?;
        write_bytes(f, &self.source())?;
        f.write_str(" > ")?;
        write_bytes(f, &self.destination())?;
        write!(f, " {}", self.ethertype())
    }
}

impl fmt::Debug for Packet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a frame's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Repr {
    /// To whom
    pub destination: [u8; 6],
    /// From whom
    pub source: [u8; 6],
    /// What the payload is
    pub ethertype: EtherType,
}

impl Repr {
    /// Reads the header.
    pub fn parse(packet: &Packet<'_>) -> Self {
        Self {
            destination: packet.destination(),
            source: packet.source(),
            ethertype: packet.ethertype(),
        }
    }

    /// Bytes that [`emit`](Self::emit) appends.
    pub const fn buffer_len(&self) -> usize {
        HEADER_LEN
    }

    /// Appends the header; the caller appends the payload.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.destination);
        out.extend_from_slice(&self.source);
        out.extend_from_slice(&u16::from(self.ethertype).to_be_bytes());
    }
}
