//! `virtual_server_group`.

use std::net::IpAddr;

use rustc_hash::FxHashMap;

use super::context::{Context, parse_network, unsigned};
use crate::diagnostic::{Diagnostic, Language};
use crate::model::balancer::{Forwarding, GroupEntry, Service};
use crate::model::{Family, Model, Name, VirtualServerGroup};
use crate::tree::{Item, Token};

impl Context<'_> {
    /// A `virtual_server_group` block.
    pub(super) fn server_group(&mut self, block: &Item, name: Name) -> VirtualServerGroup {
        let mut entries: Vec<GroupEntry> = Vec::new();
        for line in block.items() {
            let Some(entry) = self.group_entry(line) else { continue };
            if entries.contains(&entry) {
                self.report(
                    Diagnostic::warning(Language::DuplicateEntry, "the line is there twice")
                        .at(line.line_span, "ignored")
                        .unnoticed(),
                );
                continue;
            }
            entries.push(entry);
        }
        VirtualServerGroup { name, entries }
    }

    fn group_entry(&mut self, line: &Item) -> Option<GroupEntry> {
        let first = &line.keyword;
        if &**first == "fwmark" {
            let mark = self.mark_number(line.args.first(), first.span)?;
            let family = match line.args.get(1) {
                None => None,
                Some(word) => Some(self.family_word(word)?),
            };
            return Some(GroupEntry::FwMark { mark, family });
        }
        let port = match line.args.first() {
            None => 0,
            Some(token) => self.port(token, 0)?,
        };
        let (first, last) = self.address_range(first)?;
        Some(GroupEntry::Addresses { first, last, port })
    }

    /// `IP`, `IP-LAST`, `IP-IP` or `IP/PREFIX`.
    fn address_range(&mut self, token: &Token) -> Option<(IpAddr, IpAddr)> {
        let wrong = |cx: &mut Self, why: &str| {
            cx.report(
                Diagnostic::error(
                    Language::BadAddress,
                    format!("`{}` is no range of addresses: {why}", &**token),
                )
                .at(token.span, "the line is ignored"),
            );
            None
        };
        if let Ok(ip) = token.parse::<IpAddr>() {
            return Some((ip, ip));
        }
        if token.contains('/') {
            let Ok((net, _)) = parse_network(token) else {
                return wrong(self, "no IP/PREFIX");
            };
            let bits: u8 = if net.address.is_ipv4() { 32 } else { 128 };
            let host = u128::MAX.checked_shr(128 - u32::from(bits - net.prefix)).unwrap_or(0);
            let number = as_number(net.address);
            if number & host != 0 {
                return wrong(self, "bits of the host are set");
            }
            return Some((net.address, like(net.address, number | host)));
        }
        let Some((first, last)) = token.split_once('-') else {
            self.bad_address(token, "virtual_server_group");
            return None;
        };
        let Ok(start) = first.parse::<IpAddr>() else {
            return wrong(self, "it does not begin with an address");
        };
        let end = match last.parse::<IpAddr>() {
            Ok(end) if end.is_ipv4() == start.is_ipv4() => end,
            Ok(_) => return wrong(self, "IPv4 and IPv6 are mixed"),
            // Only the last part: decimal for IPv4, hexadecimal for IPv6.
            Err(_) => {
                let (part, most) = match start {
                    IpAddr::V4(_) => (unsigned(last).map(u128::from), 0xff),
                    IpAddr::V6(_) => (u128::from_str_radix(last, 16).ok(), 0xffff),
                };
                let Some(part) = part.filter(|p| *p <= most) else {
                    return wrong(self, "its end is too large or no number");
                };
                like(start, as_number(start) & !most | part)
            }
        };
        if as_number(end) <= as_number(start) {
            return wrong(self, "its end is not above its start");
        }
        Some((start, end))
    }
}

fn as_number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u32::from(ip).into(),
        IpAddr::V6(ip) => ip.into(),
    }
}

/// The number as an address of the same family.
fn like(ip: IpAddr, number: u128) -> IpAddr {
    match ip {
        IpAddr::V4(_) => IpAddr::V4(((number & u128::from(u32::MAX)) as u32).into()),
        IpAddr::V6(_) => IpAddr::V6(number.into()),
    }
}

/// The family that a group says it is of.
pub(super) fn family(group: &VirtualServerGroup) -> Option<Family> {
    group.entries.iter().find_map(|entry| match entry {
        GroupEntry::Addresses { first, .. } => Some(Family::of(first)),
        GroupEntry::FwMark { family, .. } => *family,
    })
}

/// What a group and the services that name it do not agree on: groups may stand below them.
pub(super) fn check_groups(cx: &mut Context<'_>, model: &Model) {
    let groups = model.virtual_server_groups.iter().filter(|group| !group.entries.is_empty());
    let groups: FxHashMap<&str, _> = groups.map(|group| (&*group.name, group)).collect();
    for vs in &model.virtual_servers {
        let Service::Group(name) = &vs.service else { continue };
        let Some(group) = groups.get(&**name) else { continue };
        let is_mark = |entry: &GroupEntry| matches!(entry, GroupEntry::FwMark { .. });
        if let Some(span) = vs.protocol.span()
            && group.entries.iter().all(is_mark)
        {
            cx.report(
                Diagnostic::warning(
                    Language::NoEffect,
                    format!("the group `{name}` holds firewall marks only, which have no protocol"),
                )
                .at(span, "ignored"),
            );
        }
        let fixed = vs.real_servers.iter().filter(|s| s.forwarding != Forwarding::Nat);
        for server in fixed.filter(|server| server.port != 0) {
            let differs = |entry: &&GroupEntry| match entry {
                GroupEntry::Addresses { port, .. } => *port != server.port,
                GroupEntry::FwMark { .. } => true,
            };
            let Some(entry) = group.entries.iter().find(differs) else { continue };
            let used = match entry {
                GroupEntry::Addresses { port, .. } => *port,
                GroupEntry::FwMark { .. } => 0,
            };
            cx.report(
                Diagnostic::warning(
                    Language::Conflict,
                    format!(
                        "the port of {} {} is not that of a member of the group `{name}`",
                        server.host, server.port
                    ),
                )
                .at(server.span.0, format!("{used} is used there"))
                .help("only NAT can change the port"),
            );
        }
    }
}
