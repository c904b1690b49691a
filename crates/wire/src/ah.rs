//! The IPsec authentication header as VRRP version 2 uses it (RFC 2402, RFC 2338 §5.3.6):
//! 24 bytes, HMAC-MD5-96.
//!
//! ```text
//!   next header | length 4 | reserved | SPI | sequence | ICV (12)
//! ```
//!
//! The ICV covers the IP header with its mutable fields zeroed, the AH with a zero ICV, and the VRRP
//! packet. Keepalived keeps the TTL (255) of multicast adverts and zeroes that of unicast ones; RFC
//! 2402 would zero both. We do as Keepalived does, since nobody else is left to talk to. Its SPI is
//! the sender's IPv4 address.

use std::fmt;
use std::net::Ipv4Addr;

use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;

use crate::error::at_least;
use crate::{Error, Format, constant_time, ipv4};

/// The IP protocol number.
pub const PROTOCOL: u8 = 51;
/// Bytes of the header.
pub const HEADER_LEN: usize = 24;
/// Bytes of the integrity check value.
pub const ICV_LEN: usize = 12;
/// The highest sequence number to send: a MASTER that reaches it stops sending, so that another
/// router takes over, rather than wrap (a receiver would see a replay).
pub const LAST_SEQUENCE: u32 = 0xffff_fffd;

/// The payload length field: 32-bit words, less two.
const LENGTH_FIELD: u8 = (HEADER_LEN / 4 - 2) as u8;

/// A view of an AH and what follows it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    header: &'a [u8; HEADER_LEN],
    payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Views `bytes`, the payload of a datagram of protocol 51.
    ///
    /// # Errors
    /// [`Error::Truncated`] under 24 bytes, [`Error::BadLength`] if the header says another length
    /// than HMAC-MD5-96 has.
    pub fn new_checked(bytes: &'a [u8]) -> Result<Self, Error> {
        let (header, payload) = at_least(Format::Ah, bytes, HEADER_LEN)?
            .split_first_chunk()
            .expect("length checked above");
        let packet = Self { header, payload };
        if header[1] != LENGTH_FIELD {
            return Err(Error::BadLength {
                format: Format::Ah,
                got: (usize::from(header[1]) + 2) * 4,
            });
        }
        Ok(packet)
    }

    /// Protocol number of what follows: 112.
    pub fn next_header(&self) -> u8 {
        self.header[0]
    }

    /// The reserved field.
    pub fn reserved(&self) -> u16 {
        u16::from_be_bytes([self.header[2], self.header[3]])
    }

    /// The security parameters index; Keepalived requires it to be the source address.
    pub fn spi(&self) -> u32 {
        u32::from_be_bytes([self.header[4], self.header[5], self.header[6], self.header[7]])
    }

    /// The sequence number.
    pub fn sequence(&self) -> u32 {
        u32::from_be_bytes([self.header[8], self.header[9], self.header[10], self.header[11]])
    }

    /// The integrity check value as received.
    pub fn icv(&self) -> &'a [u8; ICV_LEN] {
        self.header.last_chunk().expect("12 of 24 bytes")
    }

    /// What follows the header: the VRRP packet.
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

impl fmt::Display for Packet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "AH spi {} seq {} next {}",
            Ipv4Addr::from(self.spi()),
            self.sequence(),
            self.next_header(),
        )
    }
}

impl fmt::Debug for Packet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What the header says; [`Key::seal`] makes the ICV.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Repr {
    /// Protocol number of what follows
    pub next_header: u8,
    /// The security parameters index
    pub spi: u32,
    /// The sequence number
    pub sequence: u32,
    /// The integrity check value; zero until sealed
    pub icv: [u8; ICV_LEN],
}

impl Repr {
    /// The header that Keepalived puts before an advert from `source`, not yet sealed.
    pub fn of_advert(source: Ipv4Addr, sequence: u32) -> Self {
        Self { next_header: crate::vrrp::PROTOCOL, spi: source.into(), sequence, icv: [0; ICV_LEN] }
    }

    /// Reads the header.
    pub fn parse(packet: &Packet<'_>) -> Self {
        Self {
            next_header: packet.next_header(),
            spi: packet.spi(),
            sequence: packet.sequence(),
            icv: *packet.icv(),
        }
    }

    /// Bytes that [`emit`](Self::emit) appends.
    pub const fn buffer_len(&self) -> usize {
        HEADER_LEN
    }

    /// Appends the header; the caller appends the payload.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.next_header, LENGTH_FIELD, 0, 0]);
        out.extend_from_slice(&self.spi.to_be_bytes());
        out.extend_from_slice(&self.sequence.to_be_bytes());
        out.extend_from_slice(&self.icv);
    }
}

/// The key: the password's 8 bytes, padded with zeroes.
#[derive(Clone, PartialEq, Eq)]
pub struct Key([u8; 8]);

impl Key {
    /// A key from the 8 bytes of `auth_pass`.
    pub const fn new(password: [u8; 8]) -> Self {
        Self(password)
    }

    /// The ICV that `datagram` should carry.
    ///
    /// # Errors
    /// As [`Packet::new_checked`] for the datagram's payload, [`Error::BadType`] if its protocol is
    /// not AH.
    pub fn icv(&self, datagram: &ipv4::Packet<'_>) -> Result<[u8; ICV_LEN], Error> {
        if datagram.protocol() != PROTOCOL {
            return Err(Error::BadType { format: Format::Ah, got: datagram.protocol().into() });
        }
        let ah = Packet::new_checked(datagram.payload())?;
        let mut header: [u8; ipv4::HEADER_LEN] =
            *datagram.header().first_chunk().expect("an IPv4 header has 20 bytes");
        header[1] = 0; // TOS
        header[6..8].fill(0); // flags and fragment offset
        if !datagram.destination().is_multicast() {
            header[8] = 0; // TTL
        }
        header[10..12].fill(0); // checksum
        // new_from_slice fails for no length; the type cannot say so.
        let mut mac = <Hmac<Md5>>::new_from_slice(&self.0).expect("any key length will do");
        mac.update(&header);
        mac.update(datagram.options());
        mac.update(&ah.header[..HEADER_LEN - ICV_LEN]);
        mac.update(&[0; ICV_LEN]);
        mac.update(ah.payload);
        let full = mac.finalize().into_bytes();
        let mut icv = [0; ICV_LEN];
        icv.copy_from_slice(&full[..ICV_LEN]);
        Ok(icv)
    }

    /// Whether the ICV is right; compared in constant time. A datagram that is no AH has none.
    pub fn verify(&self, datagram: &ipv4::Packet<'_>) -> bool {
        let (Ok(expected), Ok(ah)) = (self.icv(datagram), Packet::new_checked(datagram.payload()))
        else {
            return false;
        };
        constant_time::equal(&expected, ah.icv())
    }

    /// Writes the ICV into a complete datagram. To be repeated after any change to it.
    ///
    /// # Errors
    /// As [`ipv4::Packet::new_checked`] and [`Key::icv`].
    pub fn seal(&self, datagram: &mut [u8]) -> Result<(), Error> {
        let view = ipv4::Packet::new_checked(datagram)?;
        let icv = self.icv(&view)?;
        let end = view.header_len() + HEADER_LEN;
        datagram[end - ICV_LEN..end].copy_from_slice(&icv);
        Ok(())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}
