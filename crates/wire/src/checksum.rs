//! The Internet checksum (RFC 1071) and the pseudo-headers that VRRP and ICMPv6 put before it
//! (RFC 9568 §5.2.8, RFC 8200 §8.1).

use std::net::IpAddr;

/// A running one's complement sum. Pieces of any length are added as if they were one byte string.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum {
    // At most 2^48 words before it could overflow: far beyond any packet.
    total: u64,
    odd: bool,
}

impl Sum {
    /// The sum of nothing.
    pub const fn new() -> Self {
        Self { total: 0, odd: false }
    }

    /// Adds bytes.
    #[must_use]
    pub fn bytes(mut self, mut data: &[u8]) -> Self {
        if self.odd
            && let Some((&first, rest)) = data.split_first()
        {
            self.total += u64::from(first);
            self.odd = false;
            data = rest;
        }
        let (pairs, last) = data.as_chunks::<2>();
        for pair in pairs {
            self.total += u64::from(u16::from_be_bytes(*pair));
        }
        if let [last] = last {
            self.total += u64::from(*last) << 8;
            self.odd = true;
        }
        self
    }

    /// Adds an address.
    #[must_use]
    pub fn address(self, address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => self.bytes(&v4.octets()),
            IpAddr::V6(v6) => self.bytes(&v6.octets()),
        }
    }

    /// Adds the pseudo-header of `protocol` over `length` bytes: for two IPv4 addresses that of
    /// RFC 793 (12 bytes), otherwise that of RFC 8200 (40 bytes; the sum is the same whichever
    /// widths the last fields have).
    #[must_use]
    pub fn pseudo_header(
        self,
        source: IpAddr,
        destination: IpAddr,
        protocol: u8,
        length: u32,
    ) -> Self {
        self.address(source).address(destination).bytes(&[0, protocol]).bytes(&length.to_be_bytes())
    }

    /// The checksum: what goes into a field that was zero while summing. Over data that contain
    /// their correct checksum it is 0.
    pub const fn finish(self) -> u16 {
        let mut total = self.total;
        while total > 0xffff {
            total = (total & 0xffff) + (total >> 16);
        }
        !(total as u16)
    }
}

/// The checksum of `data` alone.
pub fn of(data: &[u8]) -> u16 {
    Sum::new().bytes(data).finish()
}
