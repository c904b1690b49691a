//! The 28-byte trailer of `auth_hmac`: an HMAC-SHA256, cut to 16 bytes, with a timestamp and a
//! counter against replay. Keepalived 2.4 appends it to adverts of either version and family.
//!
//! ```text
//!   type 1 | key id | 0 0 | Unix seconds (4) | 1/65536 s (2) | counter (2) | MAC (16)
//! ```
//!
//! The MAC covers: address family (4 or 6), version, VRID, 0; the source address padded on the right
//! to 16 bytes; the VRRP packet with a zero checksum; the trailer with a zero MAC. The VRRP checksum
//! does not cover the trailer.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::error::at_least;
use crate::{Error, Family, Format, constant_time, vrrp};

/// Bytes of the trailer.
pub const TRAILER_LEN: usize = 28;
/// Bytes of the MAC in it.
pub const MAC_LEN: usize = 16;
/// The type field's only defined value.
pub const EXT_TYPE: u8 = 1;

const PREFIX_LEN: usize = TRAILER_LEN - MAC_LEN;

/// When a packet was signed: Unix seconds, fraction, counter, compared in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp {
    /// Seconds since 1970, modulo 2^32
    pub seconds: u32,
    /// 1/65536 s
    pub fraction: u16,
    /// Tells packets of the same instant apart
    pub counter: u16,
}

impl Stamp {
    /// The stamp of an instant, given since the Unix epoch.
    pub fn new(since_epoch: Duration, counter: u16) -> Self {
        let fraction = (u64::from(since_epoch.subsec_nanos()) << 16) / 1_000_000_000;
        Self {
            seconds: since_epoch.as_secs() as u32, // modulo 2^32 on purpose
            fraction: fraction as u16,             // under 65536 as nanoseconds are under 10^9
            counter,
        }
    }

    /// The instant since the Unix epoch (before 2106).
    pub fn since_epoch(self) -> Duration {
        let nanos = (u64::from(self.fraction) * 1_000_000_000) >> 16;
        Duration::from_secs(self.seconds.into()) + Duration::from_nanos(nanos)
    }
}

/// A view of a trailer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Trailer<'a> {
    bytes: &'a [u8; TRAILER_LEN],
}

impl<'a> Trailer<'a> {
    /// Views the bytes behind a VRRP packet ([`vrrp::Packet::trailing`]); more than 28 are allowed.
    ///
    /// # Errors
    /// [`Error::Truncated`] under 28 bytes.
    pub fn new_checked(bytes: &'a [u8]) -> Result<Self, Error> {
        let bytes = at_least(Format::HmacTrailer, bytes, TRAILER_LEN)?
            .first_chunk()
            .expect("length checked above");
        Ok(Self { bytes })
    }

    /// The type field: 1.
    pub fn ext_type(&self) -> u8 {
        self.bytes[0]
    }

    /// Which key signed it.
    pub fn key_id(&self) -> u8 {
        self.bytes[1]
    }

    /// The reserved field: 0.
    pub fn reserved(&self) -> u16 {
        u16::from_be_bytes([self.bytes[2], self.bytes[3]])
    }

    /// When it was signed.
    pub fn stamp(&self) -> Stamp {
        let b = self.bytes;
        Stamp {
            seconds: u32::from_be_bytes([b[4], b[5], b[6], b[7]]),
            fraction: u16::from_be_bytes([b[8], b[9]]),
            counter: u16::from_be_bytes([b[10], b[11]]),
        }
    }

    /// The MAC as received.
    pub fn mac(&self) -> &'a [u8; MAC_LEN] {
        self.bytes.last_chunk().expect("16 of 28 bytes")
    }

    /// Whether the fixed fields have the values they must have.
    pub fn is_well_formed(&self) -> bool {
        self.ext_type() == EXT_TYPE && self.reserved() == 0
    }

    fn prefix(&self) -> &'a [u8; PREFIX_LEN] {
        self.bytes.first_chunk().expect("12 of 28 bytes")
    }
}

impl fmt::Display for Trailer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stamp = self.stamp();
        write!(
            f,
            "HMAC type {} key {} at {}+{}/65536 #{}",
            self.ext_type(),
            self.key_id(),
            stamp.seconds,
            stamp.fraction,
            stamp.counter,
        )
    }
}

impl fmt::Debug for Trailer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a well-formed trailer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Repr {
    /// Which key signs
    pub key_id: u8,
    /// When
    pub stamp: Stamp,
    /// The MAC; zero until signed
    pub mac: [u8; MAC_LEN],
}

impl Repr {
    /// Reads a trailer.
    ///
    /// # Errors
    /// [`Error::BadType`] unless [`Trailer::is_well_formed`].
    pub fn parse(trailer: &Trailer<'_>) -> Result<Self, Error> {
        if !trailer.is_well_formed() {
            return Err(Error::BadType {
                format: Format::HmacTrailer,
                got: trailer.ext_type().into(),
            });
        }
        Ok(Self { key_id: trailer.key_id(), stamp: trailer.stamp(), mac: *trailer.mac() })
    }

    /// Bytes that [`emit`](Self::emit) appends.
    pub const fn buffer_len(&self) -> usize {
        TRAILER_LEN
    }

    /// Appends the trailer.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[EXT_TYPE, self.key_id, 0, 0]);
        out.extend_from_slice(&self.stamp.seconds.to_be_bytes());
        out.extend_from_slice(&self.stamp.fraction.to_be_bytes());
        out.extend_from_slice(&self.stamp.counter.to_be_bytes());
        out.extend_from_slice(&self.mac);
    }
}

/// A shared secret of any length.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Vec<u8>);

impl Key {
    /// A key from its bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The MAC over a VRRP packet from `source` and the first 12 bytes of its trailer.
    fn mac(
        &self,
        source: IpAddr,
        packet: &vrrp::Packet<'_>,
        prefix: &[u8; PREFIX_LEN],
    ) -> [u8; MAC_LEN] {
        let family = Family::of(&source).number();
        let mut address = [0; 16];
        match source {
            IpAddr::V4(v4) => address[..4].copy_from_slice(&v4.octets()),
            IpAddr::V6(v6) => address = v6.octets(),
        }
        let pdu = packet.pdu();
        // new_from_slice fails for no length; the type cannot say so.
        let mut mac = <Hmac<Sha256>>::new_from_slice(&self.0).expect("any key length will do");
        mac.update(&[family, packet.version(), packet.vrid(), 0]);
        mac.update(&address);
        mac.update(&pdu[..6]);
        mac.update(&[0, 0]); // checksum
        mac.update(&pdu[8..]);
        mac.update(prefix);
        mac.update(&[0; MAC_LEN]);
        let full = mac.finalize().into_bytes();
        let mut cut = [0; MAC_LEN];
        cut.copy_from_slice(&full[..MAC_LEN]);
        cut
    }

    /// The trailer for a VRRP packet from `source`.
    pub fn sign(
        &self,
        source: IpAddr,
        packet: &vrrp::Packet<'_>,
        key_id: u8,
        stamp: Stamp,
    ) -> Repr {
        let mut repr = Repr { key_id, stamp, mac: [0; MAC_LEN] };
        let mut bytes = Vec::with_capacity(TRAILER_LEN);
        repr.emit(&mut bytes);
        let prefix = bytes.first_chunk().expect("a trailer has 28 bytes");
        repr.mac = self.mac(source, packet, prefix);
        repr
    }

    /// Whether the trailer's MAC is right for a VRRP packet from `source`; compared in constant
    /// time. Whether the stamp is fresh is for the caller to judge.
    pub fn verify(&self, source: IpAddr, packet: &vrrp::Packet<'_>, trailer: &Trailer<'_>) -> bool {
        constant_time::equal(&self.mac(source, packet, trailer.prefix()), trailer.mac())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}
