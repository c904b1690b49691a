//! Address families and prefixes, shared by addresses, routes and rules.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nix::libc;

/// An address family that VRRP works with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// IPv4, `AF_INET`.
    V4,
    /// IPv6, `AF_INET6`.
    V6,
}

impl Family {
    /// The family of an address.
    #[must_use]
    pub fn of(ip: IpAddr) -> Self {
        if ip.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// Length of an address in bits: 32 or 128.
    #[must_use]
    pub fn bits(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }

    /// The all-zero address of the family.
    #[must_use]
    pub fn unspecified(self) -> IpAddr {
        match self {
            Self::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Self::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        }
    }

    pub(crate) fn to_kernel(self) -> u8 {
        match self {
            Self::V4 => libc::AF_INET as u8,
            Self::V6 => libc::AF_INET6 as u8,
        }
    }

    pub(crate) fn from_kernel(value: u8) -> Option<Self> {
        match i32::from(value) {
            libc::AF_INET => Some(Self::V4),
            libc::AF_INET6 => Some(Self::V6),
            _ => None,
        }
    }
}

/// A network prefix: what `to`, `from` and a route's destination are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix {
    /// The address; bits beyond `len` should be zero (the kernel refuses IPv4 routes otherwise,
    /// see [`Prefix::masked`]).
    pub address: IpAddr,
    /// Significant bits, 0..=32 or 0..=128.
    pub len: u8,
}

impl Prefix {
    /// A prefix as given, host bits kept.
    #[must_use]
    pub fn new(address: IpAddr, len: u8) -> Self {
        Self { address, len: len.min(Family::of(address).bits()) }
    }

    /// The default prefix, `0.0.0.0/0` or `::/0`.
    #[must_use]
    pub fn everything(family: Family) -> Self {
        Self { address: family.unspecified(), len: 0 }
    }

    /// One address alone, /32 or /128.
    #[must_use]
    pub fn host(address: IpAddr) -> Self {
        Self { address, len: Family::of(address).bits() }
    }

    /// The family of the address.
    #[must_use]
    pub fn family(&self) -> Family {
        Family::of(self.address)
    }

    /// The same prefix with its host bits cleared.
    #[must_use]
    pub fn masked(self) -> Self {
        let address = match self.address {
            IpAddr::V4(ip) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.len.min(32))).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(ip.to_bits() & mask))
            }
            IpAddr::V6(ip) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.len.min(128))).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & mask))
            }
        };
        Self { address, len: self.len }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masking_clears_exactly_the_host_bits() {
        let cases = [
            ("198.51.100.77", 24, "198.51.100.0"),
            ("198.51.100.77", 32, "198.51.100.77"),
            ("198.51.100.77", 0, "0.0.0.0"),
            ("2001:db8::1:2", 112, "2001:db8::1:0"),
            ("2001:db8::1", 128, "2001:db8::1"),
            ("2001:db8::1", 0, "::"),
        ];
        for (address, len, expected) in cases {
            let prefix = Prefix::new(address.parse().unwrap(), len).masked();
            assert_eq!(prefix.address, expected.parse::<IpAddr>().unwrap());
            assert_eq!(prefix.len, len);
        }
    }

    #[test]
    fn a_length_beyond_the_family_is_clamped() {
        assert_eq!(Prefix::new("198.51.100.1".parse().unwrap(), 64).len, 32);
    }
}
