//! Network interfaces: the type, and its message.

use bitflags::bitflags;

use crate::AddrGenMode;

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Interface index, above 0.
    pub index: u32,
    /// Name, at most 15 bytes.
    pub name: String,
    /// Flags.
    pub flags: LinkFlags,
    /// Largest payload in bytes.
    pub mtu: u32,
    /// Hardware type, `ARPHRD_*`: 1 Ethernet, 32 InfiniBand, 772 loopback.
    pub hw_type: u16,
    /// Hardware address; empty where the interface has none, 6 bytes on Ethernet, 20 on
    /// InfiniBand.
    pub hw_address: Vec<u8>,
    /// Hardware broadcast address, likewise.
    pub hw_broadcast: Vec<u8>,
    /// What the interface is, where the kernel names a kind; none for plain hardware.
    pub kind: Option<LinkKind>,
    /// Index of the bridge, bond or VRF that the interface is a member of.
    pub master: Option<u32>,
    /// Index of the interface that a macvlan, ipvlan or VLAN sits on (for a veth: its other end).
    pub parent: Option<u32>,
    /// Whether `parent` is an index in another network namespace.
    pub parent_elsewhere: bool,
    /// Interface group number.
    pub group: u32,
    /// Operational state of RFC 2863: 0 unknown, 2 down, 6 up.
    pub oper_state: u8,
    /// How IPv6 link-local addresses are made, where known.
    pub addr_gen_mode: Option<AddrGenMode>,
}

impl Link {
    /// Whether traffic can flow: administratively up, with carrier. This is Keepalived's
    /// "interface up".
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.flags.contains(LinkFlags::UP | LinkFlags::RUNNING)
    }

    /// Whether it is the loopback interface.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.flags.contains(LinkFlags::LOOPBACK)
    }

    /// Whether it is a VRF master.
    #[must_use]
    pub fn is_vrf(&self) -> bool {
        matches!(self.kind, Some(LinkKind::Vrf { .. }))
    }
}

/// What an interface is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LinkKind {
    /// 802.1Q or 802.1ad VLAN.
    Vlan {
        /// VLAN id, 0..=4095.
        id: u16,
    },
    /// Macvlan.
    Macvlan {
        /// Its mode.
        mode: MacvlanMode,
    },
    /// IPVLAN.
    Ipvlan {
        /// Its mode.
        mode: IpvlanMode,
        /// Its flags.
        flags: IpvlanFlags,
    },
    /// Virtual routing and forwarding master (l3mdev).
    Vrf {
        /// The routing table that belongs to it.
        table: u32,
    },
    /// Bridge.
    Bridge,
    /// Bond.
    Bond,
    /// Virtual Ethernet pair.
    Veth,
    /// Another kind, by the kernel's name.
    Other(String),
}

/// How a macvlan exchanges frames with its siblings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MacvlanMode {
    /// Not at all; what VRRP wants.
    Private,
    /// Through an external switch.
    Vepa,
    /// Directly.
    Bridge,
    /// The parent is given to one macvlan alone.
    Passthru,
    /// From listed source addresses only.
    Source,
    /// A mode that this crate does not know, with its number.
    Other(u32),
}

/// The layer on which an IPVLAN works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IpvlanMode {
    /// Layer 2.
    L2,
    /// Layer 3.
    L3,
    /// Layer 3 with netfilter's hooks.
    L3s,
    /// A mode that this crate does not know, with its number.
    Other(u16),
}

bitflags! {
    /// How an IPVLAN exchanges frames with its siblings; none set is "bridge".
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct IpvlanFlags: u16 {
        /// Not at all.
        const PRIVATE = 1;
        /// Through an external switch.
        const VEPA = 2;
        const _ = !0;
    }
}

bitflags! {
    /// Interface flags, with the kernel's values (`IFF_*`).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct LinkFlags: u32 {
        /// Administratively up.
        const UP = 0x1;
        /// Has a broadcast address.
        const BROADCAST = 0x2;
        /// Loopback.
        const LOOPBACK = 0x8;
        /// Point to point.
        const POINTOPOINT = 0x10;
        /// Operationally up, by RFC 2863.
        const RUNNING = 0x40;
        /// No ARP.
        const NOARP = 0x80;
        /// Promiscuous.
        const PROMISC = 0x100;
        /// Can do multicast.
        const MULTICAST = 0x1000;
        /// The driver reports carrier.
        const LOWER_UP = 0x1_0000;
        /// The driver reports dormant.
        const DORMANT = 0x2_0000;
        const _ = !0;
    }
}
