//! The IPv4 header (RFC 791): built for sockets that send their own, read from raw packets.
//!
//! Received options are tolerated and shown; none are ever sent.

use std::fmt;
use std::net::Ipv4Addr;
use std::ops::Range;

use crate::error::at_least;
use crate::{Error, Format, checksum};

/// Bytes of a header without options.
pub const HEADER_LEN: usize = 20;

const TOTAL_LEN: Range<usize> = 2..4;
const IDENTIFICATION: Range<usize> = 4..6;
const FRAGMENT: Range<usize> = 6..8;
const CHECKSUM: Range<usize> = 10..12;

const DONT_FRAGMENT: u16 = 0x4000;
const MORE_FRAGMENTS: u16 = 0x2000;
const FRAGMENT_OFFSET: u16 = 0x1fff;

/// A view of a datagram: header, options and payload.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    bytes: &'a [u8],
    // Copied so that accessors cannot index out of bounds.
    fixed: &'a [u8; HEADER_LEN],
    header_len: usize,
    total_len: usize,
}

impl<'a> Packet<'a> {
    /// Views `bytes` as a datagram. Bytes beyond the total length (link-layer padding) are allowed
    /// and ignored. The checksum is not looked at.
    ///
    /// # Errors
    /// [`Error::Truncated`] if the header or the total length reaches beyond the bytes,
    /// [`Error::BadVersion`] if the version is not 4, [`Error::BadLength`] if the header length is
    /// under 20 or over the total length.
    pub fn new_checked(bytes: &'a [u8]) -> Result<Self, Error> {
        let format = Format::Ipv4;
        let fixed =
            at_least(format, bytes, HEADER_LEN)?.first_chunk().expect("length checked above");
        let version = fixed[0] >> 4;
        if version != 4 {
            return Err(Error::BadVersion { format, got: version });
        }
        let header_len = usize::from(fixed[0] & 0x0f) * 4;
        let total_len = usize::from(be16(fixed, TOTAL_LEN));
        if header_len < HEADER_LEN || header_len > total_len {
            return Err(Error::BadLength { format, got: header_len });
        }
        at_least(format, bytes, total_len)?;
        Ok(Self { bytes, fixed, header_len, total_len })
    }

    /// Bytes of the header with its options: 20 to 60.
    pub fn header_len(&self) -> usize {
        self.header_len
    }

    /// The type of service (DSCP and ECN); VRRP sends 0xc0.
    pub fn tos(&self) -> u8 {
        self.fixed[1]
    }

    /// Bytes of header and payload by the header's own word.
    pub fn total_len(&self) -> usize {
        self.total_len
    }

    /// The identification field.
    pub fn identification(&self) -> u16 {
        be16(self.fixed, IDENTIFICATION)
    }

    /// The DF flag.
    pub fn dont_fragment(&self) -> bool {
        be16(self.fixed, FRAGMENT) & DONT_FRAGMENT != 0
    }

    /// The MF flag.
    pub fn more_fragments(&self) -> bool {
        be16(self.fixed, FRAGMENT) & MORE_FRAGMENTS != 0
    }

    /// Where this fragment's payload belongs, in bytes.
    pub fn fragment_offset(&self) -> usize {
        usize::from(be16(self.fixed, FRAGMENT) & FRAGMENT_OFFSET) * 8
    }

    /// The time to live.
    pub fn ttl(&self) -> u8 {
        self.fixed[8]
    }

    /// The payload's protocol number.
    pub fn protocol(&self) -> u8 {
        self.fixed[9]
    }

    /// The header checksum as received.
    pub fn checksum(&self) -> u16 {
        be16(self.fixed, CHECKSUM)
    }

    /// The source address.
    pub fn source(&self) -> Ipv4Addr {
        let [.., a, b, c, d, _, _, _, _] = *self.fixed;
        Ipv4Addr::new(a, b, c, d)
    }

    /// The destination address.
    pub fn destination(&self) -> Ipv4Addr {
        let [.., a, b, c, d] = *self.fixed;
        Ipv4Addr::new(a, b, c, d)
    }

    /// The header with its options.
    pub fn header(&self) -> &'a [u8] {
        &self.bytes[..self.header_len]
    }

    /// The options, usually none.
    pub fn options(&self) -> &'a [u8] {
        &self.bytes[HEADER_LEN..self.header_len]
    }

    /// What follows the header, up to the total length.
    pub fn payload(&self) -> &'a [u8] {
        &self.bytes[self.header_len..self.total_len]
    }

    /// Whether the header's checksum is right. (The kernel has looked already when the packet came
    /// through a raw socket.)
    pub fn verify_checksum(&self) -> bool {
        checksum::of(self.header()) == 0
    }
}

fn be16(bytes: &[u8; HEADER_LEN], range: Range<usize>) -> u16 {
    u16::from_be_bytes([bytes[range.start], bytes[range.start + 1]])
}

impl fmt::Display for Packet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "IPv4 {} > {} proto {} ttl {} tos {:#04x} id {} len {}",
            self.source(),
            self.destination(),
            self.protocol(),
            self.ttl(),
            self.tos(),
            self.identification(),
            self.total_len(),
        )?;
        if self.dont_fragment() {
            write!(f, " DF")?;
        }
        if self.more_fragments() || self.fragment_offset() != 0 {
            write!(f, " fragment at {}", self.fragment_offset())?;
        }
        if !self.options().is_empty() {
            write!(f, " options {} bytes", self.options().len())?;
        }
        if !self.verify_checksum() {
            write!(f, " (bad checksum {:#06x})", self.checksum())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Packet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a header without options says of an unfragmented datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Repr {
    /// Type of service; [`vrrp::TRAFFIC_CLASS`](crate::vrrp::TRAFFIC_CLASS) for adverts
    pub tos: u8,
    /// Identification. Over a raw socket the kernel replaces 0 by a number of its own (which would
    /// spoil an AH's ICV): count from 1 and skip 0
    pub identification: u16,
    /// The DF flag; clear in adverts
    pub dont_fragment: bool,
    /// Time to live; 255 in adverts
    pub ttl: u8,
    /// Protocol number of the payload
    pub protocol: u8,
    /// Source address
    pub source: Ipv4Addr,
    /// Destination address
    pub destination: Ipv4Addr,
    /// Bytes that follow the header: at most 65,515
    pub payload_len: usize,
}

impl Repr {
    /// Reads the header; options are left out.
    ///
    /// # Errors
    /// [`Error::Fragment`] for a fragment.
    pub fn parse(packet: &Packet<'_>) -> Result<Self, Error> {
        if packet.more_fragments() || packet.fragment_offset() != 0 {
            return Err(Error::Fragment(Format::Ipv4));
        }
        Ok(Self {
            tos: packet.tos(),
            identification: packet.identification(),
            dont_fragment: packet.dont_fragment(),
            ttl: packet.ttl(),
            protocol: packet.protocol(),
            source: packet.source(),
            destination: packet.destination(),
            payload_len: packet.payload().len(),
        })
    }

    /// Bytes that [`emit`](Self::emit) appends.
    pub const fn buffer_len(&self) -> usize {
        HEADER_LEN
    }

    /// Appends the header with its checksum; the caller appends the payload.
    ///
    /// # Errors
    /// [`Error::TooMany`] if header and payload are over 65,535 bytes; nothing is appended then.
    pub fn emit(&self, out: &mut Vec<u8>) -> Result<(), Error> {
        let total = HEADER_LEN.saturating_add(self.payload_len);
        let total = u16::try_from(total).map_err(|_| Error::TooMany {
            format: Format::Ipv4,
            limit: usize::from(u16::MAX),
            got: total,
        })?;
        let mut header = [0; HEADER_LEN];
        header[0] = 0x45;
        header[1] = self.tos;
        header[TOTAL_LEN].copy_from_slice(&total.to_be_bytes());
        header[IDENTIFICATION].copy_from_slice(&self.identification.to_be_bytes());
        if self.dont_fragment {
            header[FRAGMENT].copy_from_slice(&DONT_FRAGMENT.to_be_bytes());
        }
        header[8] = self.ttl;
        header[9] = self.protocol;
        header[12..16].copy_from_slice(&self.source.octets());
        header[16..20].copy_from_slice(&self.destination.octets());
        let sum = checksum::of(&header);
        header[CHECKSUM].copy_from_slice(&sum.to_be_bytes());
        out.extend_from_slice(&header);
        Ok(())
    }
}

/// Gives an encoded datagram another identification and corrects its header checksum, so that an
/// advert can be encoded once and sent many times. (An AH must be sealed again after this: its ICV
/// covers the identification.)
///
/// # Errors
/// As [`Packet::new_checked`].
pub fn set_identification(datagram: &mut [u8], identification: u16) -> Result<(), Error> {
    let header_len = Packet::new_checked(datagram)?.header_len();
    datagram[IDENTIFICATION].copy_from_slice(&identification.to_be_bytes());
    datagram[CHECKSUM].fill(0);
    let sum = checksum::of(&datagram[..header_len]);
    datagram[CHECKSUM].copy_from_slice(&sum.to_be_bytes());
    Ok(())
}
