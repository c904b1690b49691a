//! Policy routing rules: the type, and its message.

use std::ops::RangeInclusive;

use crate::{Family, Prefix, ROUTE_PROTO, Realms};

/// A policy routing rule.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Rule {
    /// Family of the packets.
    pub family: Family,
    /// Order, lower is earlier; none lets the kernel choose (one below the second rule).
    pub priority: Option<u32>,
    /// Matches packets that do *not* fit the selectors.
    pub invert: bool,
    /// Source of the packet.
    pub from: Option<Prefix>,
    /// Destination of the packet.
    pub to: Option<Prefix>,
    /// Incoming interface, by name; it need not exist.
    pub iif: Option<String>,
    /// Outgoing interface of a bound socket, by name.
    pub oif: Option<String>,
    /// Type of service.
    pub tos: u8,
    /// Firewall mark and mask.
    pub fwmark: Option<(u32, u32)>,
    /// Tunnel id.
    pub tun_id: Option<u64>,
    /// Users of the sending process, from first to last.
    pub uid_range: Option<(u32, u32)>,
    /// IP protocol.
    pub ip_proto: Option<u8>,
    /// Source ports.
    pub sport: Option<PortRange>,
    /// Destination ports.
    pub dport: Option<PortRange>,
    /// Matches packets of interfaces in a VRF and takes the VRF's table.
    pub l3mdev: bool,
    /// What happens to a packet that matches.
    pub action: RuleAction,
    /// Routing table for [`RuleAction::Lookup`]; 0 otherwise.
    pub table: u32,
    /// Realms to assign.
    pub realms: Option<Realms>,
    /// Refuses routes whose prefix is this long or shorter.
    pub suppress_prefixlength: Option<u32>,
    /// Refuses routes out of interfaces of this group.
    pub suppress_ifgroup: Option<u32>,
    /// Who added the rule: 18 is Keepalived's and ours, 2 the kernel.
    pub protocol: u8,
}

impl Rule {
    /// A rule that looks up `table` for every packet, with our protocol.
    #[must_use]
    pub fn lookup(family: Family, table: u32) -> Self {
        Self {
            family,
            priority: None,
            invert: false,
            from: None,
            to: None,
            iif: None,
            oif: None,
            tos: 0,
            fwmark: None,
            tun_id: None,
            uid_range: None,
            ip_proto: None,
            sport: None,
            dport: None,
            l3mdev: false,
            action: RuleAction::Lookup,
            table,
            realms: None,
            suppress_prefixlength: None,
            suppress_ifgroup: None,
            protocol: ROUTE_PROTO,
        }
    }
}

/// A range of ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PortRange {
    /// First port, 1..=65534.
    pub first: u16,
    /// Last port, not below the first.
    pub last: u16,
}

impl From<RangeInclusive<u16>> for PortRange {
    fn from(range: RangeInclusive<u16>) -> Self {
        Self { first: *range.start(), last: *range.end() }
    }
}

/// What happens to a packet that matches a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RuleAction {
    /// Its route is looked up in the rule's table.
    Lookup,
    /// Goes on with the rule of this priority.
    Goto(u32),
    /// Nothing.
    Nop,
    /// Dropped silently.
    Blackhole,
    /// Dropped with "network unreachable".
    Unreachable,
    /// Dropped with "administratively prohibited".
    Prohibit,
    /// An action that this crate does not know, with its number.
    Other(u8),
}
