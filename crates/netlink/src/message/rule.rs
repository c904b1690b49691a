//! `RTM_NEWRULE` and `RTM_DELRULE`: `struct fib_rule_hdr` and its attributes.

use super::route::{realms_from, realms_number};
use crate::codec::{Attribute, Message, Writer, u16_at, u32_at};
use crate::{Family, KernelError, PortRange, Prefix, Rule, RuleAction};

pub(crate) const RTM_NEWRULE: u16 = 32;
pub(crate) const RTM_DELRULE: u16 = 33;
pub(crate) const RTM_GETRULE: u16 = 34;

const FIXED: usize = 12;
const FRA_DST: u16 = 1;
const FRA_SRC: u16 = 2;
const FRA_IIFNAME: u16 = 3;
const FRA_GOTO: u16 = 4;
const FRA_PRIORITY: u16 = 6;
const FRA_FWMARK: u16 = 10;
const FRA_FLOW: u16 = 11;
const FRA_TUN_ID: u16 = 12;
const FRA_SUPPRESS_IFGROUP: u16 = 13;
const FRA_SUPPRESS_PREFIXLEN: u16 = 14;
const FRA_TABLE: u16 = 15;
const FRA_FWMASK: u16 = 16;
const FRA_OIFNAME: u16 = 17;
const FRA_L3MDEV: u16 = 19;
const FRA_UID_RANGE: u16 = 20;
const FRA_PROTOCOL: u16 = 21;
const FRA_IP_PROTO: u16 = 22;
const FRA_SPORT_RANGE: u16 = 23;
const FRA_DPORT_RANGE: u16 = 24;
const FIB_RULE_INVERT: u32 = 2;

/// Writes fixed part and attributes.
pub(crate) fn put(rule: &Rule, writer: &mut Writer) -> Result<(), KernelError> {
    for prefix in [rule.from, rule.to].iter().flatten() {
        if prefix.family() != rule.family {
            return Err(KernelError::Unsupported("rule selector of another family"));
        }
    }
    writer.put_u8(rule.family.to_kernel());
    writer.put_u8(rule.to.map_or(0, |prefix| prefix.len));
    writer.put_u8(rule.from.map_or(0, |prefix| prefix.len));
    writer.put_u8(rule.tos);
    writer.put_u8(u8::try_from(rule.table).unwrap_or(0));
    writer.put(&[0; 2]);
    writer.put_u8(action_number(rule.action));
    writer.put_u32(if rule.invert { FIB_RULE_INVERT } else { 0 });

    if let Some(prefix) = rule.to.filter(|prefix| prefix.len > 0) {
        writer.attr_ip(FRA_DST, prefix.address);
    }
    if let Some(prefix) = rule.from.filter(|prefix| prefix.len > 0) {
        writer.attr_ip(FRA_SRC, prefix.address);
    }
    for (kind, name) in [(FRA_IIFNAME, &rule.iif), (FRA_OIFNAME, &rule.oif)] {
        if let Some(name) = name {
            super::link::check_name(name)?;
            writer.attr_str(kind, name);
        }
    }
    if let RuleAction::Goto(target) = rule.action {
        writer.attr_u32(FRA_GOTO, target);
    }
    if let Some(priority) = rule.priority {
        writer.attr_u32(FRA_PRIORITY, priority);
    }
    if let Some((mark, mask)) = rule.fwmark {
        writer.attr_u32(FRA_FWMARK, mark);
        writer.attr_u32(FRA_FWMASK, mask);
    }
    if let Some(realms) = rule.realms {
        writer.attr_u32(FRA_FLOW, realms_number(realms));
    }
    if let Some(id) = rule.tun_id {
        writer.attr(FRA_TUN_ID, &id.to_be_bytes());
    }
    if let Some(group) = rule.suppress_ifgroup {
        writer.attr_u32(FRA_SUPPRESS_IFGROUP, group);
    }
    if let Some(len) = rule.suppress_prefixlength {
        writer.attr_u32(FRA_SUPPRESS_PREFIXLEN, len);
    }
    if rule.table != 0 {
        writer.attr_u32(FRA_TABLE, rule.table);
    }
    if rule.l3mdev {
        writer.attr_u8(FRA_L3MDEV, 1);
    }
    if let Some((first, last)) = rule.uid_range {
        writer.enclose(FRA_UID_RANGE, |range| {
            range.put_u32(first);
            range.put_u32(last);
        });
    }
    if rule.protocol != 0 {
        writer.attr_u8(FRA_PROTOCOL, rule.protocol);
    }
    if let Some(proto) = rule.ip_proto {
        writer.attr_u8(FRA_IP_PROTO, proto);
    }
    for (kind, ports) in [(FRA_SPORT_RANGE, rule.sport), (FRA_DPORT_RANGE, rule.dport)] {
        if let Some(ports) = ports {
            writer.enclose(kind, |range| {
                range.put_u16(ports.first);
                range.put_u16(ports.last);
            });
        }
    }
    Ok(())
}

/// Writes the dump request of one family.
pub(crate) fn put_dump(family: Family, writer: &mut Writer) {
    writer.put_u8(family.to_kernel());
    writer.put(&[0; FIXED - 1]);
}

/// Reads a rule; none for other families and incomplete messages.
pub(crate) fn parse(message: &Message<'_>) -> Option<Rule> {
    let (head, attributes) = message.split(FIXED)?;
    let mut rule = Rule::lookup(Family::from_kernel(head[0])?, u32::from(head[4]));
    rule.protocol = 0;
    rule.tos = head[3];
    rule.invert = u32_at(head, 8)? & FIB_RULE_INVERT != 0;
    // The kernel leaves the attribute out for priority 0.
    rule.priority = Some(0);
    let mut target = 0;
    let (mut mark, mut mask) = (None, None);
    for attribute in attributes {
        match attribute.kind {
            FRA_DST => rule.to = Some(Prefix::new(attribute.ip()?, head[1])),
            FRA_SRC => rule.from = Some(Prefix::new(attribute.ip()?, head[2])),
            FRA_IIFNAME => rule.iif = Some(attribute.text()),
            FRA_OIFNAME => rule.oif = Some(attribute.text()),
            FRA_GOTO => target = attribute.u32().unwrap_or(0),
            FRA_PRIORITY => rule.priority = attribute.u32(),
            FRA_FWMARK => mark = attribute.u32(),
            FRA_FWMASK => mask = attribute.u32(),
            FRA_FLOW => rule.realms = attribute.u32().filter(|v| *v != 0).map(realms_from),
            FRA_TUN_ID => {
                let id = attribute.data.first_chunk::<8>().map(|id| u64::from_be_bytes(*id));
                rule.tun_id = id.filter(|id| *id != 0);
            }
            FRA_SUPPRESS_IFGROUP => rule.suppress_ifgroup = unless_all_ones(&attribute),
            FRA_SUPPRESS_PREFIXLEN => rule.suppress_prefixlength = unless_all_ones(&attribute),
            FRA_TABLE => rule.table = attribute.u32().unwrap_or(rule.table),
            FRA_L3MDEV => rule.l3mdev = attribute.u8().unwrap_or(0) != 0,
            FRA_UID_RANGE => {
                let range = u32_at(attribute.data, 0).zip(u32_at(attribute.data, 4));
                rule.uid_range = range;
            }
            FRA_PROTOCOL => rule.protocol = attribute.u8().unwrap_or(0),
            FRA_IP_PROTO => rule.ip_proto = attribute.u8().filter(|proto| *proto != 0),
            FRA_SPORT_RANGE => rule.sport = ports(&attribute),
            FRA_DPORT_RANGE => rule.dport = ports(&attribute),
            _ => {}
        }
    }
    if mark.is_some() || mask.is_some() {
        rule.fwmark = Some((mark.unwrap_or(0), mask.unwrap_or(u32::MAX)));
    }
    rule.action = match head[7] {
        1 => RuleAction::Lookup,
        2 => RuleAction::Goto(target),
        3 => RuleAction::Nop,
        6 => RuleAction::Blackhole,
        7 => RuleAction::Unreachable,
        8 => RuleAction::Prohibit,
        other => RuleAction::Other(other),
    };
    Some(rule)
}

fn action_number(action: RuleAction) -> u8 {
    match action {
        RuleAction::Lookup => 1,
        RuleAction::Goto(_) => 2,
        RuleAction::Nop => 3,
        RuleAction::Blackhole => 6,
        RuleAction::Unreachable => 7,
        RuleAction::Prohibit => 8,
        RuleAction::Other(number) => number,
    }
}

/// The kernel reports "not set" as -1.
fn unless_all_ones(attribute: &Attribute<'_>) -> Option<u32> {
    attribute.u32().filter(|value| *value != u32::MAX)
}

fn ports(attribute: &Attribute<'_>) -> Option<PortRange> {
    let first = u16_at(attribute.data, 0)?;
    let last = u16_at(attribute.data, 2)?;
    Some(PortRange { first, last })
}
