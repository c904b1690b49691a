//! Policy rules to be held: the lines of `virtual_rules` and `static_rules`.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::address::Network;
use super::setting::Name;
use super::vrrp::Family;
use crate::source::Span;

/// A rule. Numbers are the kernel's; names have been looked up.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rule {
    /// Its family.
    pub family: Family,
    /// `not`: the match is inverted.
    pub invert: bool,
    /// `from`; `None`: all.
    pub from: Option<Network>,
    /// `to`; `None`: all.
    pub to: Option<Network>,
    /// `iif`.
    pub iif: Option<Name>,
    /// `oif`.
    pub oif: Option<Name>,
    /// `tos`.
    pub tos: Option<u8>,
    /// `fwmark N[/M]`; mask default all ones.
    pub fwmark: Option<(u32, u32)>,
    /// `priority`; always there, assigned downwards from 16384 if not written.
    pub priority: u32,
    /// Whether the priority was assigned, not written.
    pub priority_assigned: bool,
    /// `realms [S/]D`: source in the upper 16 bits.
    pub realms: Option<u32>,
    /// `suppress_prefixlength`.
    pub suppress_prefix_length: Option<u32>,
    /// `suppress_ifgroup`.
    pub suppress_if_group: Option<u32>,
    /// `tunnel-id`.
    pub tunnel_id: Option<u64>,
    /// `uidrange`.
    pub uid_range: Option<RangeInclusive<u32>>,
    /// `l3mdev`.
    pub l3mdev: bool,
    /// `protocol`: who installed it; `None`: our own number.
    pub protocol: Option<u8>,
    /// `ipproto`.
    pub ip_protocol: Option<u8>,
    /// `sport`.
    pub source_ports: Option<RangeInclusive<u16>>,
    /// `dport`.
    pub destination_ports: Option<RangeInclusive<u16>>,
    /// What happens to packets that match.
    pub action: RuleAction,
    /// `no_track`.
    pub no_track: bool,
    /// `track_group` (static rules only).
    pub track_group: Option<Name>,
    /// The whole line.
    pub span: Span,
}

impl Rule {
    /// Whether something beyond the common options is used: `from`, `to`, `iif`, `oif`, `fwmark`,
    /// `tos`, `priority`, `table` and the actions are common.
    pub fn is_exotic(&self) -> bool {
        self.realms.is_some()
            || self.suppress_prefix_length.is_some()
            || self.suppress_if_group.is_some()
            || self.tunnel_id.is_some()
            || self.uid_range.is_some()
            || self.l3mdev
            || self.ip_protocol.is_some()
            || self.source_ports.is_some()
            || self.destination_ports.is_some()
    }

    fn essence(&self) -> impl PartialEq + '_ {
        (
            (self.family, self.invert, self.from, self.to, &self.iif, &self.oif, self.tos),
            (self.fwmark, self.priority, self.realms, self.suppress_prefix_length),
            (self.suppress_if_group, self.tunnel_id, &self.uid_range, self.l3mdev),
            (self.protocol, self.ip_protocol, &self.source_ports, &self.destination_ports),
            (self.action, self.no_track, &self.track_group),
        )
    }
}

/// The place does not count.
impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        self.essence() == other.essence()
    }
}

/// What happens to packets that match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RuleAction {
    /// `table` (`lookup`); with `l3mdev` the table is the device's.
    Lookup(u32),
    /// `goto`: go on at the rule of this priority.
    Goto(u32),
    /// `nop`
    Nop,
    /// `blackhole`
    Blackhole,
    /// `prohibit`
    Prohibit,
    /// `unreachable`
    Unreachable,
}
