//! The VRRP packet, versions 2 (RFC 3768 §5.1) and 3 (RFC 5798 §5.1, RFC 9568 §5.1), with IPv4 or
//! IPv6 addresses.
//!
//! ```text
//!   version 2                                    version 3
//!   ver/type | VRID | priority | count           ver/type | VRID | priority | count
//!   auth type | adver int (s)  | checksum        resvd(4), max adver int(12, cs) | checksum
//!   addresses …                                  addresses …
//!   authentication data (8)
//! ```
//!
//! The receiver looks at these step by step, each step with its own counter, so the view accepts
//! anything that has a header and each check is a method of its own.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use crate::checksum::Sum;
use crate::error::at_least;
use crate::{Error, Family, Format};

/// The IP protocol number.
pub const PROTOCOL: u8 = 112;
/// The IPv4 group that adverts go to.
pub const MULTICAST_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
/// The IPv6 group that adverts go to.
pub const MULTICAST_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);
/// TTL or hop limit of adverts, and the only one that a receiver of multicast accepts.
pub const TTL: u8 = 255;
/// IPv4 type of service and IPv6 traffic class of adverts (CS6).
pub const TRAFFIC_CLASS: u8 = 0xc0;
/// Bytes before the addresses, both versions.
pub const HEADER_LEN: usize = 8;
/// Bytes of version 2's authentication data, present whatever the type.
pub const AUTH_LEN: usize = 8;

/// Bytes of authentication data: version 2 over IPv4 always has them. No RFC describes version 2
/// over IPv6; Keepalived, told to, sends it without them (and with the checksum that the kernel
/// makes, pseudo-header included).
const fn auth_len(version: u8, family: Family) -> usize {
    match (version, family) {
        (2, Family::V4) => AUTH_LEN,
        _ => 0,
    }
}
/// Addresses that fit into one advert.
pub const MAX_ADDRESSES: usize = 255;

/// The virtual router's MAC address (RFC 9568 §7.3), which an interface made by `use_vmac` carries.
pub const fn virtual_mac(family: Family, vrid: u8) -> [u8; 6] {
    let kind = match family {
        Family::V4 => 1,
        Family::V6 => 2,
    };
    [0x00, 0x00, 0x5e, 0x00, kind, vrid]
}

/// The type field's only defined value.
const ADVERTISEMENT: u8 = 1;
const CHECKSUM: std::ops::Range<usize> = 6..8;

/// The type field (RFC 9568 §5.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    /// 1, the only type there is
    Advertisement,
    /// Anything else: to be discarded
    Unknown(u8),
}

impl From<u8> for Type {
    fn from(value: u8) -> Self {
        match value {
            ADVERTISEMENT => Self::Advertisement,
            other => Self::Unknown(other),
        }
    }
}

/// Version 2's authentication type (RFC 2338 §5.3.6; RFC 3768 keeps only 0).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuthType {
    /// 0: the authentication data are zero
    None,
    /// 1: the data are a password in the clear
    Pass,
    /// 2: the packet travels inside an AH (protocol 51)
    Ah,
    /// Anything else
    Unknown(u8),
}

impl From<u8> for AuthType {
    fn from(value: u8) -> Self {
        match value {
            0 => Self::None,
            1 => Self::Pass,
            2 => Self::Ah,
            other => Self::Unknown(other),
        }
    }
}

impl From<AuthType> for u8 {
    fn from(value: AuthType) -> Self {
        match value {
            AuthType::None => 0,
            AuthType::Pass => 1,
            AuthType::Ah => 2,
            AuthType::Unknown(other) => other,
        }
    }
}

impl fmt::Display for AuthType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Pass => f.write_str("PASS"),
            Self::Ah => f.write_str("AH"),
            Self::Unknown(other) => write!(f, "unknown ({other})"),
        }
    }
}

/// Version 3's advertisement interval: a 12-bit count of 10 ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Centiseconds(u16);

impl Centiseconds {
    /// The longest interval: 40.95 s.
    pub const MAX: Self = Self(0x0fff);

    /// From centiseconds, 0 to 4095.
    pub const fn new(centiseconds: u16) -> Option<Self> {
        if centiseconds > Self::MAX.0 {
            return None;
        }
        Some(Self(centiseconds))
    }

    /// From seconds, 0 to 40.
    pub const fn from_secs(seconds: u16) -> Option<Self> {
        match seconds.checked_mul(100) {
            Some(centiseconds) => Self::new(centiseconds),
            None => None,
        }
    }

    /// From a duration, cut to whole centiseconds, up to 40.95 s.
    pub fn from_duration(duration: Duration) -> Option<Self> {
        u16::try_from(duration.as_millis() / 10).ok().and_then(Self::new)
    }

    /// The count, 0 to 4095.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// As a duration.
    pub const fn as_duration(self) -> Duration {
        Duration::from_millis(self.0 as u64 * 10)
    }
}

/// How the checksum is made. What is right for whom is told in `docs/compatibility.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChecksumForm {
    /// Over the VRRP packet alone: version 2 always; version 3 over IPv4 by RFC 9568 §5.2.8 and
    /// with `v3_checksum_as_v2`
    Plain,
    /// With a pseudo-header of the datagram's own addresses: version 3 over IPv6, and Keepalived's
    /// default for version 3 over IPv4 (RFC 5798 §5.2.8)
    PseudoHeader,
    /// With a pseudo-header whose destination is the multicast group though the datagram is
    /// unicast: what Keepalived up to 1.3.6 sent (`old_unicast_checksum`)
    PseudoHeaderOfGroup,
}

impl ChecksumForm {
    /// All forms, the likely ones first.
    pub const ALL: [Self; 3] = [Self::PseudoHeader, Self::Plain, Self::PseudoHeaderOfGroup];

    /// The form that Keepalived uses for a version and family unless it is told otherwise.
    pub const fn usual(version: u8, family: Family) -> Self {
        match (version, family) {
            (2, Family::V4) => Self::Plain,
            _ => Self::PseudoHeader,
        }
    }

    fn start(self, source: IpAddr, destination: IpAddr, len: usize) -> Sum {
        let destination = match self {
            Self::Plain => return Sum::new(),
            Self::PseudoHeader => destination,
            Self::PseudoHeaderOfGroup => match source {
                IpAddr::V4(_) => MULTICAST_V4.into(),
                IpAddr::V6(_) => MULTICAST_V6.into(),
            },
        };
        // A VRRP packet is at most 8 + 255 * 16 + 8 bytes.
        Sum::new().pseudo_header(source, destination, PROTOCOL, len as u32)
    }
}

impl fmt::Display for ChecksumForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "without pseudo-header",
            Self::PseudoHeader => "with pseudo-header",
            Self::PseudoHeaderOfGroup => "with the multicast group's pseudo-header",
        })
    }
}

/// A view of a VRRP packet, perhaps followed by padding or by an
/// [`hmac_ext`](crate::hmac_ext) trailer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    bytes: &'a [u8],
    // The same bytes again, so that accessors cannot index out of bounds.
    header: &'a [u8; HEADER_LEN],
    family: Family,
}

impl<'a> Packet<'a> {
    /// Views `bytes`, which came behind an IP header of `family`. Nothing but the presence of the
    /// 8-byte header is checked; the addresses and the rest are [`check_length`](Self::check_length)'s.
    ///
    /// # Errors
    /// [`Error::Truncated`] under 8 bytes.
    pub fn new_checked(bytes: &'a [u8], family: Family) -> Result<Self, Error> {
        let header =
            at_least(Format::Vrrp, bytes, HEADER_LEN)?.first_chunk().expect("length checked above");
        Ok(Self { bytes, header, family })
    }

    /// The family of the addresses.
    pub fn family(&self) -> Family {
        self.family
    }

    /// The version field: 2, 3, or whatever came.
    pub fn version(&self) -> u8 {
        self.header[0] >> 4
    }

    /// The type field.
    pub fn kind(&self) -> Type {
        Type::from(self.header[0] & 0x0f)
    }

    /// The virtual router's number.
    pub fn vrid(&self) -> u8 {
        self.header[1]
    }

    /// The sender's priority; 255 is the owner, 0 says that the sender stops.
    pub fn priority(&self) -> u8 {
        self.header[2]
    }

    /// How many addresses the packet says it has.
    pub fn count(&self) -> u8 {
        self.header[3]
    }

    /// Version 2: the authentication type.
    pub fn auth_type(&self) -> AuthType {
        AuthType::from(self.header[4])
    }

    /// Version 2: the interval in seconds.
    pub fn adver_int(&self) -> u8 {
        self.header[5]
    }

    /// Version 3: the interval.
    pub fn max_adver_int(&self) -> Centiseconds {
        Centiseconds(u16::from_be_bytes([self.header[4], self.header[5]]) & Centiseconds::MAX.0)
    }

    /// Version 3: the reserved nibble, to be ignored on reception.
    pub fn reserved(&self) -> u8 {
        self.header[4] >> 4
    }

    /// The interval, read as the version says: version 2 in seconds, otherwise as version 3.
    pub fn interval(&self) -> Duration {
        if self.version() == 2 {
            Duration::from_secs(self.adver_int().into())
        } else {
            self.max_adver_int().as_duration()
        }
    }

    /// The checksum as received.
    pub fn checksum(&self) -> u16 {
        u16::from_be_bytes([self.header[6], self.header[7]])
    }

    /// The length that version, family and count ask for: `8 + n × 4|16`, and 8 more in version 2
    /// over IPv4.
    /// Any other version is measured as version 3.
    pub fn strict_len(&self) -> usize {
        let auth = auth_len(self.version(), self.family);
        HEADER_LEN + usize::from(self.count()) * self.family.address_len() + auth
    }

    /// The bytes there are, padding and trailer included.
    pub fn padded_len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether all that the header promises is there; more bytes (padding, a trailer) are fine.
    ///
    /// # Errors
    /// [`Error::Truncated`] if there are fewer bytes than [`strict_len`](Self::strict_len).
    pub fn check_length(&self) -> Result<(), Error> {
        at_least(Format::Vrrp, self.bytes, self.strict_len()).map(|_| ())
    }

    /// Whether there is exactly as much as the header promises.
    ///
    /// # Errors
    /// [`Error::Truncated`] if there is less, [`Error::BadLength`] if there is more.
    pub fn check_length_strict(&self) -> Result<(), Error> {
        self.check_length()?;
        if self.bytes.len() > self.strict_len() {
            return Err(Error::BadLength { format: Format::Vrrp, got: self.bytes.len() });
        }
        Ok(())
    }

    /// The packet proper, without padding or trailer; all there is if it is truncated.
    pub fn pdu(&self) -> &'a [u8] {
        &self.bytes[..self.strict_len().min(self.bytes.len())]
    }

    /// What follows the packet proper: nothing, padding, or an `auth_hmac` trailer.
    pub fn trailing(&self) -> &'a [u8] {
        &self.bytes[self.pdu().len()..]
    }

    /// The addresses, as many as are promised and present.
    pub fn addresses(&self) -> impl ExactSizeIterator<Item = IpAddr> + Clone + use<'a> {
        let width = self.family.address_len();
        let family = self.family;
        let end = HEADER_LEN + usize::from(self.count()) * width;
        let bytes = &self.bytes[HEADER_LEN..end.min(self.bytes.len())];
        bytes.chunks_exact(width).map(move |chunk| match family {
            Family::V4 => IpAddr::from(<[u8; 4]>::try_from(chunk).expect("chunks of 4")),
            Family::V6 => IpAddr::from(<[u8; 16]>::try_from(chunk).expect("chunks of 16")),
        })
    }

    /// Version 2: the authentication data, if they are present.
    pub fn auth_data(&self) -> Option<&'a [u8; AUTH_LEN]> {
        if auth_len(self.version(), self.family) == 0 {
            return None;
        }
        let start = HEADER_LEN + usize::from(self.count()) * self.family.address_len();
        self.bytes.get(start..)?.first_chunk()
    }

    /// Whether version 2's authentication data are `password`; compared in constant time.
    pub fn auth_data_is(&self, password: &[u8; AUTH_LEN]) -> bool {
        self.auth_data().is_some_and(|data| crate::constant_time::equal(data, password))
    }

    /// The checksum that the packet should carry in `form`, sent between these addresses. Padding
    /// and trailer are not covered.
    pub fn compute_checksum(&self, form: ChecksumForm, source: IpAddr, destination: IpAddr) -> u16 {
        let pdu = self.pdu();
        form.start(source, destination, pdu.len())
            .bytes(&pdu[..CHECKSUM.start])
            .bytes(&pdu[CHECKSUM.end..])
            .finish()
    }

    /// Whether the checksum is right in `form`.
    pub fn verify_checksum(&self, form: ChecksumForm, source: IpAddr, destination: IpAddr) -> bool {
        same_sum(self.compute_checksum(form, source, destination), self.checksum())
    }

    /// The checksum with pseudo-header over all there is, trailer included. The Linux kernel makes
    /// and demands this one on an IPv6 socket with `IPV6_CHECKSUM`, which Keepalived sets: so its
    /// signed IPv6 adverts carry it, although those over IPv4 leave the trailer out.
    pub fn compute_checksum_with_trailing(&self, source: IpAddr, destination: IpAddr) -> u16 {
        ChecksumForm::PseudoHeader
            .start(source, destination, self.bytes.len())
            .bytes(&self.bytes[..CHECKSUM.start])
            .bytes(&self.bytes[CHECKSUM.end..])
            .finish()
    }

    /// Whether the checksum is right [with the trailer](Self::compute_checksum_with_trailing).
    pub fn verify_checksum_with_trailing(&self, source: IpAddr, destination: IpAddr) -> bool {
        same_sum(self.compute_checksum_with_trailing(source, destination), self.checksum())
    }

    /// Which form makes the checksum right, if any does: to recognise what a peer uses, and to say
    /// so when it is not what we expect. The usual form wins where several fit.
    pub fn checksum_form(&self, source: IpAddr, destination: IpAddr) -> Option<ChecksumForm> {
        let usual = ChecksumForm::usual(self.version(), self.family);
        std::iter::once(usual)
            .chain(ChecksumForm::ALL)
            .find(|&form| self.verify_checksum(form, source, destination))
    }
}

/// Writes the checksum of a packet and [its trailer](Packet::compute_checksum_with_trailing) into
/// them. The trailer's MAC does not cover the checksum and stays valid.
///
/// # Errors
/// As [`Packet::new_checked`].
pub fn set_checksum_with_trailing(
    bytes: &mut [u8],
    source: IpAddr,
    destination: IpAddr,
) -> Result<(), Error> {
    let packet = Packet::new_checked(bytes, Family::of(&source))?;
    let sum = packet.compute_checksum_with_trailing(source, destination);
    bytes[CHECKSUM].copy_from_slice(&sum.to_be_bytes());
    Ok(())
}

/// Whether two checksums are the same number: 0 and 0xffff are in one's complement, and a sender may
/// have chosen either.
fn same_sum(a: u16, b: u16) -> bool {
    let canonical = |sum| if sum == 0xffff { 0 } else { sum };
    canonical(a) == canonical(b)
}

impl fmt::Display for Packet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VRRPv{} ", self.version())?;
        match self.kind() {
            Type::Advertisement => f.write_str("advertisement")?,
            Type::Unknown(other) => write!(f, "type {other}")?,
        }
        write!(f, " vrid {} prio {} interval {:?}", self.vrid(), self.priority(), self.interval(),)?;
        if self.version() == 2 {
            write!(f, " auth {}", self.auth_type())?;
        }
        write!(f, " checksum {:#06x} addresses", self.checksum())?;
        for address in self.addresses() {
            write!(f, " {address}")?;
        }
        if self.check_length().is_err() {
            let got = self.padded_len();
            write!(f, " (truncated: {got} of {} bytes)", self.strict_len())?;
        }
        if !self.trailing().is_empty() {
            write!(f, " and {} bytes more", self.trailing().len())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Packet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The same as Display: a password must not reach a log through {:?}.
        fmt::Display::fmt(self, f)
    }
}

/// The addresses of an advert: at most 255, of one family, in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Addresses {
    family: Family,
    list: Vec<IpAddr>,
}

impl Addresses {
    /// A list of addresses, which may be empty.
    ///
    /// # Errors
    /// [`Error::WrongFamily`] if one is not of `family`, [`Error::TooMany`] over 255.
    pub fn new(family: Family, list: impl IntoIterator<Item = IpAddr>) -> Result<Self, Error> {
        let list: Vec<IpAddr> = list.into_iter().collect();
        if list.iter().any(|address| Family::of(address) != family) {
            return Err(Error::WrongFamily(Format::Vrrp));
        }
        if list.len() > MAX_ADDRESSES {
            return Err(Error::TooMany {
                format: Format::Vrrp,
                limit: MAX_ADDRESSES,
                got: list.len(),
            });
        }
        Ok(Self { family, list })
    }

    /// Their family.
    pub fn family(&self) -> Family {
        self.family
    }

    /// The addresses.
    pub fn as_slice(&self) -> &[IpAddr] {
        &self.list
    }

    /// How many of them fit into an advert of `version` behind an IP header without options on a
    /// link of `mtu` bytes, with `reserved` bytes kept for an AH or a trailer.
    pub fn capacity(family: Family, version: u8, mtu: usize, reserved: usize) -> usize {
        let ip = match family {
            Family::V4 => crate::ipv4::HEADER_LEN,
            Family::V6 => 40,
        };
        let auth = auth_len(version, family);
        let fixed = ip + HEADER_LEN + auth + reserved;
        (mtu.saturating_sub(fixed) / family.address_len()).min(MAX_ADDRESSES)
    }
}

/// The part in which the versions differ.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Body {
    /// RFC 3768
    V2 {
        /// Interval in seconds
        adver_int: u8,
        /// Kind of authentication
        auth_type: AuthType,
        /// Authentication data: the password padded with zeroes for PASS, zeroes otherwise
        auth_data: [u8; AUTH_LEN],
    },
    /// RFC 5798, RFC 9568
    V3 {
        /// Interval in centiseconds
        max_adver_int: Centiseconds,
    },
}

impl Body {
    /// The version field's value.
    pub const fn version(&self) -> u8 {
        match self {
            Self::V2 { .. } => 2,
            Self::V3 { .. } => 3,
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // The data may be a password.
            Self::V2 { adver_int, auth_type, .. } => f
                .debug_struct("V2")
                .field("adver_int", adver_int)
                .field("auth_type", auth_type)
                .finish_non_exhaustive(),
            Self::V3 { max_adver_int } => {
                f.debug_struct("V3").field("max_adver_int", max_adver_int).finish()
            }
        }
    }
}

/// What an advert says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Repr {
    /// The virtual router's number
    pub vrid: u8,
    /// The sender's priority: 255 owner, 0 stops
    pub priority: u8,
    /// The virtual addresses
    pub addresses: Addresses,
    /// Version, interval, authentication
    pub body: Body,
}

impl Repr {
    /// Reads an advert; padding and trailer are left out, the checksum is not looked at.
    ///
    /// # Errors
    /// [`Error::BadVersion`] for a version that is neither 2 nor 3, [`Error::BadType`] for anything
    /// but an advertisement, [`Error::Truncated`] if addresses or authentication data are missing.
    pub fn parse(packet: &Packet<'_>) -> Result<Self, Error> {
        if let Type::Unknown(other) = packet.kind() {
            return Err(Error::BadType { format: Format::Vrrp, got: other.into() });
        }
        packet.check_length()?;
        let body = match packet.version() {
            2 => Body::V2 {
                adver_int: packet.adver_int(),
                auth_type: packet.auth_type(),
                auth_data: packet.auth_data().copied().unwrap_or_default(),
            },
            3 => Body::V3 { max_adver_int: packet.max_adver_int() },
            got => {
                return Err(Error::BadVersion { format: Format::Vrrp, got });
            }
        };
        Ok(Self {
            vrid: packet.vrid(),
            priority: packet.priority(),
            addresses: Addresses::new(packet.family(), packet.addresses())?,
            body,
        })
    }

    /// Bytes that [`emit`](Self::emit) appends.
    pub fn buffer_len(&self) -> usize {
        let auth = auth_len(self.body.version(), self.addresses.family);
        HEADER_LEN + self.addresses.list.len() * self.addresses.family.address_len() + auth
    }

    /// Appends the packet with its checksum in `form` for these addresses.
    pub fn emit(&self, form: ChecksumForm, source: IpAddr, destination: IpAddr, out: &mut Vec<u8>) {
        let start = out.len();
        let len = self.buffer_len();
        out.reserve(len);
        out.push(self.body.version() << 4 | ADVERTISEMENT);
        out.push(self.vrid);
        out.push(self.priority);
        out.push(self.addresses.list.len() as u8); // at most 255 by construction
        match &self.body {
            Body::V2 { adver_int, auth_type, .. } => {
                out.extend_from_slice(&[(*auth_type).into(), *adver_int]);
            }
            Body::V3 { max_adver_int } => {
                out.extend_from_slice(&max_adver_int.get().to_be_bytes());
            }
        }
        out.extend_from_slice(&[0, 0]);
        for address in &self.addresses.list {
            match address {
                IpAddr::V4(v4) => out.extend_from_slice(&v4.octets()),
                IpAddr::V6(v6) => out.extend_from_slice(&v6.octets()),
            }
        }
        if let (Body::V2 { auth_data, .. }, Family::V4) = (&self.body, self.addresses.family) {
            out.extend_from_slice(auth_data);
        }
        let sum = form.start(source, destination, len).bytes(&out[start..]).finish();
        out[start..][CHECKSUM].copy_from_slice(&sum.to_be_bytes());
    }
}
