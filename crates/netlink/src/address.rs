//! Interface addresses: the type, and its message.

use std::net::{IpAddr, Ipv4Addr};

use bitflags::bitflags;

use crate::Family;

/// The `IFA_PROTO` value that marks an address as added by us (kernels since 5.18 keep it).
pub const ADDRESS_PROTO: u8 = 0x5f;

/// A lifetime without end.
pub const FOREVER: u32 = u32::MAX;

/// An address on an interface.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    /// Index of the interface.
    pub ifindex: u32,
    /// The local address.
    pub ip: IpAddr,
    /// Prefix length, 0..=32 or 0..=128; with a `peer` it is the peer's.
    pub prefix_len: u8,
    /// Broadcast address; IPv4 only.
    pub broadcast: Option<Ipv4Addr>,
    /// Label, at most 15 bytes; IPv4 only. The kernel fills in the interface's name.
    pub label: Option<String>,
    /// Scope as in rt_scopes: 0 global, 200 site, 253 link, 254 host. The kernel derives it from
    /// the address for IPv6.
    pub scope: u8,
    /// Address of the other end, if it is not the local address itself.
    pub peer: Option<IpAddr>,
    /// Flags, those that may be asked for and those that the kernel reports.
    pub flags: AddressFlags,
    /// Seconds for which the address is a source address for new connections; [`FOREVER`]; 0 is
    /// "deprecated".
    pub preferred_lft: u32,
    /// Seconds for which the address stays; [`FOREVER`]; not 0.
    pub valid_lft: u32,
    /// Who added it (`IFA_PROTO`); [`ADDRESS_PROTO`] for ours, 0 where nobody said.
    pub proto: u8,
}

impl Address {
    /// An address with the defaults of `ip address add`, marked as ours.
    #[must_use]
    pub fn new(ifindex: u32, ip: IpAddr, prefix_len: u8) -> Self {
        Self {
            ifindex,
            ip,
            prefix_len,
            broadcast: None,
            label: None,
            scope: 0,
            peer: None,
            flags: AddressFlags::empty(),
            preferred_lft: FOREVER,
            valid_lft: FOREVER,
            proto: ADDRESS_PROTO,
        }
    }

    /// The family of the address.
    #[must_use]
    pub fn family(&self) -> Family {
        Family::of(self.ip)
    }

    /// Whether it carries our mark.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.proto == ADDRESS_PROTO
    }
}

bitflags! {
    /// Address flags, with the kernel's values (`IFA_F_*`).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct AddressFlags: u32 {
        /// A secondary IPv4 address, or a temporary IPv6 one; reported only.
        const SECONDARY = 0x01;
        /// No duplicate address detection (`-nodad` in keepalived.conf switches it on).
        const NODAD = 0x02;
        /// Optimistic duplicate address detection.
        const OPTIMISTIC = 0x04;
        /// Duplicate address detection found another owner; reported only.
        const DADFAILED = 0x08;
        /// Mobile IPv6 home address.
        const HOME = 0x10;
        /// Not a source address for new connections; reported only, ask with `preferred_lft` 0.
        const DEPRECATED = 0x20;
        /// Duplicate address detection is going on; reported only.
        const TENTATIVE = 0x40;
        /// No finite lifetime; reported only.
        const PERMANENT = 0x80;
        /// Temporary addresses are derived from this one.
        const MNGTMPADDR = 0x100;
        /// No route for the prefix.
        const NOPREFIXROUTE = 0x200;
        /// Join the multicast group of this address automatically.
        const AUTOJOIN = 0x400;
        /// Stable privacy address; reported only.
        const STABLE_PRIVACY = 0x800;
        const _ = !0;
    }
}

impl AddressFlags {
    /// The flags that a request may carry; the others are the kernel's.
    pub const SETTABLE: Self = Self::NODAD
        .union(Self::OPTIMISTIC)
        .union(Self::HOME)
        .union(Self::MNGTMPADDR)
        .union(Self::NOPREFIXROUTE)
        .union(Self::AUTOJOIN);
}
