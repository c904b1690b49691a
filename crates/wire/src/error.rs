//! Why bytes are not a packet. The blame is always with the bytes, or with a value that does not fit.

use std::fmt;

/// The formats that this crate knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Ethernet II frame
    Ethernet,
    /// IPv4 header
    Ipv4,
    /// IPv6 header
    Ipv6,
    /// VRRP packet
    Vrrp,
    /// IPsec authentication header
    Ah,
    /// The trailer of `auth_hmac`
    HmacTrailer,
    /// ARP packet
    Arp,
    /// ICMPv6 neighbour advertisement
    NeighborAdvert,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ethernet => "Ethernet",
            Self::Ipv4 => "IPv4",
            Self::Ipv6 => "IPv6",
            Self::Vrrp => "VRRP",
            Self::Ah => "AH",
            Self::HmacTrailer => "HMAC trailer",
            Self::Arp => "ARP",
            Self::NeighborAdvert => "neighbour advertisement",
        })
    }
}

/// Why a view or a representation could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There are fewer bytes than the format, or its own length fields, ask for.
    #[error("{format}: {got} bytes, {needed} needed")]
    Truncated {
        /// What was being read
        format: Format,
        /// Bytes that must be there
        needed: usize,
        /// Bytes that are there
        got: usize,
    },
    /// A length field contradicts the format.
    #[error("{format}: length field says {got}")]
    BadLength {
        /// What was being read
        format: Format,
        /// The field's value, in bytes
        got: usize,
    },
    /// A version field has another value than the format's.
    #[error("{format}: version {got}")]
    BadVersion {
        /// What was being read
        format: Format,
        /// The field's value
        got: u8,
    },
    /// A type, operation or protocol field has a value that a representation cannot hold; the view
    /// still shows it.
    #[error("{format}: type {got}")]
    BadType {
        /// What was being read
        format: Format,
        /// The field's value
        got: u32,
    },
    /// An IP fragment, which has no representation of its own.
    #[error("{0}: a fragment")]
    Fragment(Format),
    /// More than fits: over 255 addresses in an advert, or a datagram over 65,535 bytes.
    #[error("{format}: {got} is more than {limit}")]
    TooMany {
        /// What was being built
        format: Format,
        /// The most that fits
        limit: usize,
        /// What was asked for
        got: usize,
    },
    /// An address of the other family.
    #[error("{0}: an address of the other family")]
    WrongFamily(Format),
}

/// `bytes` as they are, if there are at least `needed`.
pub(crate) fn at_least(format: Format, bytes: &[u8], needed: usize) -> Result<&[u8], Error> {
    if bytes.len() < needed {
        return Err(Error::Truncated { format, needed, got: bytes.len() });
    }
    Ok(bytes)
}
