//! Link-layer addresses: Ethernet's 6 bytes, IP over InfiniBand's 20 (RFC 4391).

use std::fmt;

/// A link-layer address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HardwareAddress {
    /// Ethernet and whatever looks like it
    Ethernet([u8; 6]),
    /// IP over InfiniBand
    Infiniband([u8; 20]),
}

impl HardwareAddress {
    /// Ethernet's broadcast address. (InfiniBand's depends on the partition; the kernel tells it.)
    pub const ETHERNET_BROADCAST: Self = Self::Ethernet([0xff; 6]);

    /// An address of 6 or 20 bytes; no other length is known.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        if let Ok(ethernet) = bytes.try_into() {
            return Some(Self::Ethernet(ethernet));
        }
        bytes.try_into().ok().map(Self::Infiniband)
    }

    /// Its bytes.
    pub fn as_slice(&self) -> &[u8] {
        match self {
            Self::Ethernet(bytes) => bytes,
            Self::Infiniband(bytes) => bytes,
        }
    }

    /// The ARP hardware type (the kernel's `ARPHRD_`): 1 or 32.
    pub const fn arp_type(&self) -> u16 {
        match self {
            Self::Ethernet(_) => 1,
            Self::Infiniband(_) => 32,
        }
    }
}

impl fmt::Display for HardwareAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_bytes(f, self.as_slice())
    }
}

impl fmt::Debug for HardwareAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Bytes in hexadecimal, colons between.
pub(crate) fn write_bytes(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    for (index, byte) in bytes.iter().enumerate() {
        if index > 0 {
            f.write_str(":")?;
        }
        write!(f, "{byte:02x}")?;
    }
    Ok(())
}
