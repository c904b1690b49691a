//! Everything that can be asked of the kernel in a batch.

use crate::{Address, IpvlanFlags, IpvlanMode, MacvlanMode, Route, Rule};

/// One change to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Adds an address.
    AddAddress {
        /// The address.
        address: Address,
        /// What to do when it is there already.
        mode: AddMode,
    },
    /// Removes an address: interface, local address, prefix length and peer count.
    DelAddress(Address),
    /// Adds a route unless one with the same destination, tos and metric exists in the table
    /// (`ip route add`).
    AddRoute(Route),
    /// Adds a route before others of the same key; what Keepalived's default `prepend` does.
    PrependRoute(Route),
    /// Adds a route after others of the same key (for IPv6: as a further next hop).
    AppendRoute(Route),
    /// Adds a route in place of the first one with the same key.
    ReplaceRoute(Route),
    /// Removes a route.
    DelRoute(Route),
    /// Adds a rule unless the same exists.
    AddRule(Rule),
    /// Removes a rule.
    DelRule(Rule),
    /// Creates a macvlan.
    CreateMacvlan {
        /// Index of the interface below.
        parent: u32,
        /// Name, at most 15 bytes.
        name: String,
        /// How it exchanges frames with its siblings.
        mode: MacvlanMode,
        /// Its MAC; none lets the kernel choose.
        mac: Option<[u8; 6]>,
        /// Interface group (`group` of `use_vmac`); none is 0.
        group: Option<u32>,
    },
    /// Creates an IPVLAN.
    CreateIpvlan {
        /// Index of the interface below.
        parent: u32,
        /// Name, at most 15 bytes.
        name: String,
        /// Its layer.
        mode: IpvlanMode,
        /// How it exchanges frames with its siblings.
        flags: IpvlanFlags,
        /// Interface group; none is 0.
        group: Option<u32>,
    },
    /// Brings an interface up.
    SetLinkUp {
        /// Its index.
        ifindex: u32,
    },
    /// Takes an interface down.
    SetLinkDown {
        /// Its index.
        ifindex: u32,
    },
    /// Puts an interface into a VRF, bridge or bond, or takes it out.
    SetLinkMaster {
        /// Its index.
        ifindex: u32,
        /// Index of the master; none takes it out.
        master: Option<u32>,
    },
    /// Says how the interface makes its IPv6 link-local address.
    SetAddrGenMode {
        /// Its index.
        ifindex: u32,
        /// The mode.
        mode: AddrGenMode,
    },
    /// Changes the hardware address of an Ethernet interface.
    SetLinkMac {
        /// Its index.
        ifindex: u32,
        /// The new address.
        mac: [u8; 6],
    },
    /// Renames an interface (it must be down on kernels before 6.2).
    RenameLink {
        /// Its index.
        ifindex: u32,
        /// The new name, at most 15 bytes.
        name: String,
    },
    /// Removes an interface.
    DelLink {
        /// Its index.
        ifindex: u32,
    },
}

impl Request {
    /// Whether it takes something away.
    #[must_use]
    pub fn is_removal(&self) -> bool {
        matches!(
            self,
            Self::DelAddress(_) | Self::DelRoute(_) | Self::DelRule(_) | Self::DelLink { .. }
        )
    }
}

/// What to do when an address that shall be added is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AddMode {
    /// Update its lifetimes, flags and mark, and succeed. Repeating it is harmless.
    Replace,
    /// Fail with `EEXIST`.
    Exclusive,
}

/// How an interface makes its IPv6 link-local address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AddrGenMode {
    /// From the hardware address.
    Eui64,
    /// Not at all.
    None,
    /// RFC 7217, with the secret of the `stable_secret` sysctl.
    StablePrivacy,
    /// RFC 7217, with a random secret.
    Random,
}
