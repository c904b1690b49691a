//! The IPv6 header (RFC 8200 §3). On a live link the kernel writes and strips it; captures and
//! simulated networks need it. Extension headers are not followed.

use std::fmt;
use std::net::Ipv6Addr;

use crate::error::at_least;
use crate::{Error, Format};

/// Bytes of the header.
pub const HEADER_LEN: usize = 40;

/// A view of a datagram.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    header: &'a [u8; HEADER_LEN],
    payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Views `bytes` as a datagram. Bytes beyond the payload length are allowed and ignored.
    ///
    /// # Errors
    /// [`Error::Truncated`] if the header or the payload reaches beyond the bytes,
    /// [`Error::BadVersion`] if the version is not 6.
    pub fn new_checked(bytes: &'a [u8]) -> Result<Self, Error> {
        let format = Format::Ipv6;
        let (header, rest) = at_least(format, bytes, HEADER_LEN)?
            .split_first_chunk::<HEADER_LEN>()
            .expect("length checked above");
        let version = header[0] >> 4;
        if version != 6 {
            return Err(Error::BadVersion { format, got: version });
        }
        let len = usize::from(u16::from_be_bytes([header[4], header[5]]));
        at_least(format, bytes, HEADER_LEN + len)?;
        Ok(Self { header, payload: &rest[..len] })
    }

    /// The traffic class; VRRP sends 0xc0.
    pub fn traffic_class(&self) -> u8 {
        self.header[0] << 4 | self.header[1] >> 4
    }

    /// The flow label, 20 bits.
    pub fn flow_label(&self) -> u32 {
        u32::from_be_bytes([0, self.header[1] & 0x0f, self.header[2], self.header[3]])
    }

    /// Protocol number of the payload, or of an extension header.
    pub fn next_header(&self) -> u8 {
        self.header[6]
    }

    /// The hop limit.
    pub fn hop_limit(&self) -> u8 {
        self.header[7]
    }

    /// The source address.
    pub fn source(&self) -> Ipv6Addr {
        let (_, addresses) = self.header.split_at(8);
        let source: &[u8; 16] = addresses.first_chunk().expect("16 of 32 bytes");
        (*source).into()
    }

    /// The destination address.
    pub fn destination(&self) -> Ipv6Addr {
        let destination: &[u8; 16] = self.header.last_chunk().expect("16 of 40 bytes");
        (*destination).into()
    }

    /// What follows the header.
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

impl fmt::Display for Packet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "IPv6 {} > {} next {} hops {} class {:#04x} len {}",
            self.source(),
            self.destination(),
            self.next_header(),
            self.hop_limit(),
            self.traffic_class(),
            self.payload.len(),
        )
    }
}

impl fmt::Debug for Packet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Repr {
    /// Traffic class; [`vrrp::TRAFFIC_CLASS`](crate::vrrp::TRAFFIC_CLASS) for adverts
    pub traffic_class: u8,
    /// Flow label; the upper 12 bits are not sent
    pub flow_label: u32,
    /// Protocol number of the payload
    pub next_header: u8,
    /// Hop limit; 255 in adverts and neighbour advertisements
    pub hop_limit: u8,
    /// Source address
    pub source: Ipv6Addr,
    /// Destination address
    pub destination: Ipv6Addr,
    /// Bytes that follow the header: at most 65,535
    pub payload_len: usize,
}

impl Repr {
    /// Reads the header.
    pub fn parse(packet: &Packet<'_>) -> Self {
        Self {
            traffic_class: packet.traffic_class(),
            flow_label: packet.flow_label(),
            next_header: packet.next_header(),
            hop_limit: packet.hop_limit(),
            source: packet.source(),
            destination: packet.destination(),
            payload_len: packet.payload().len(),
        }
    }

    /// Bytes that [`emit`](Self::emit) appends.
    pub const fn buffer_len(&self) -> usize {
        HEADER_LEN
    }

    /// Appends the header; the caller appends the payload.
    ///
    /// # Errors
    /// [`Error::TooMany`] if the payload is over 65,535 bytes; nothing is appended then.
    pub fn emit(&self, out: &mut Vec<u8>) -> Result<(), Error> {
        let len = u16::try_from(self.payload_len).map_err(|_| Error::TooMany {
            format: Format::Ipv6,
            limit: usize::from(u16::MAX),
            got: self.payload_len,
        })?;
        let word = 6 << 28 | u32::from(self.traffic_class) << 20 | self.flow_label & 0x000f_ffff;
        out.extend_from_slice(&word.to_be_bytes());
        out.extend_from_slice(&len.to_be_bytes());
        out.extend_from_slice(&[self.next_header, self.hop_limit]);
        out.extend_from_slice(&self.source.octets());
        out.extend_from_slice(&self.destination.octets());
        Ok(())
    }
}
