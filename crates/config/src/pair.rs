//! `check --pair`: what must agree between the nodes of a group, and does not.
//!
//! Half of all reports that "both are MASTER" come from two files that do not fit together. The
//! virtual routers of the nodes are put together by what they are on the wire, not by name or
//! interface: router id, IP version and addresses.

use std::collections::HashSet;
use std::net::IpAddr;

use crate::checks::election::{reach, weight_span};
use crate::checks::setup::{first, password_item};
use crate::diagnostic::{Diagnostic, Election, Pair};
use crate::model::vrrp::{Auth, HmacMode, OldUnicastChecksum, Transport, Version};
use crate::model::{Family, Instance, Model, Setting};
use crate::source::{Shift, SourceMap, Span};
use crate::tree::Tree;

/// The configuration of one node.
#[derive(Clone, Copy, Debug)]
pub struct Node<'a> {
    /// Its text.
    pub sources: &'a SourceMap,
    /// What the text says.
    pub tree: &'a Tree,
    /// What it means.
    pub model: &'a Model,
}

/// The findings, and the text of all nodes that they point into.
#[derive(Clone, Debug, Default)]
pub struct Paired {
    /// All files of all nodes.
    pub sources: SourceMap,
    /// What does not fit together.
    pub diagnostics: Vec<Diagnostic>,
}

/// Compares the nodes. What is wrong with each by itself is not repeated.
#[must_use]
pub fn check(nodes: &[Node<'_>]) -> Paired {
    let mut sources = SourceMap::new();
    let sides: Vec<Side<'_>> = nodes
        .iter()
        .map(|node| Side { node: *node, shift: sources.append(node.sources) })
        .collect();
    let groups = groups(&sides);
    let mut found = Vec::new();
    for group in &groups {
        compare(group, &sides, &mut found);
    }
    sync_groups(&groups, &sides, &mut found);
    Paired { sources, diagnostics: found }
}

struct Side<'a> {
    node: Node<'a>,
    shift: Shift,
}

/// A virtual router on one node.
#[derive(Clone, Copy)]
struct Member<'a> {
    side: usize,
    instance: &'a Instance,
    shift: Shift,
    tree: &'a Tree,
}

impl Member<'_> {
    /// The place of a setting, or the instance's name if nobody wrote it.
    fn at<T>(&self, setting: &Setting<T>) -> Span {
        self.span(setting.span().unwrap_or(self.instance.name.span))
    }

    fn name(&self) -> Span {
        self.span(self.instance.name.span)
    }

    fn span(&self, span: Span) -> Span {
        self.shift.span(span)
    }

    fn addresses(&self) -> HashSet<IpAddr> {
        self.instance.vips.iter().map(crate::model::Address::ip).collect()
    }

    /// The block of that keyword in the instance, or its name.
    fn block(&self, keyword: &str) -> Span {
        let named = |item: &&crate::tree::Item| {
            item.keyword.as_str() == "vrrp_instance"
                && item.arg(0).is_some_and(|name| self.instance.name == name.as_str())
        };
        let item = self.tree.items.iter().find(named);
        let block = item.and_then(|item| first(item.items(), keyword));
        self.span(block.map_or(self.instance.name.span, |item| item.keyword.span))
    }
}

/// Puts together what belongs together: the same addresses, else the same router id, else the
/// same name. At most one router of each node.
fn groups<'a>(sides: &[Side<'a>]) -> Vec<Vec<Member<'a>>> {
    let mut groups: Vec<Vec<Member<'a>>> = Vec::new();
    for (index, side) in sides.iter().enumerate() {
        let mut waiting: Vec<Member<'a>> = side
            .node
            .model
            .vrrp
            .iter()
            .map(|instance| Member {
                side: index,
                instance,
                shift: side.shift,
                tree: side.node.tree,
            })
            .collect();
        type Alike = fn(&Member<'_>, &Member<'_>) -> bool;
        let overlap: Alike = |a, b| !a.addresses().is_disjoint(&b.addresses());
        let router: Alike = |a, b| a.instance.vrid.value == b.instance.vrid.value;
        let both: Alike = |a, b| {
            a.instance.vrid.value == b.instance.vrid.value
                && !a.addresses().is_disjoint(&b.addresses())
        };
        let named: Alike = |a, b| a.instance.name == b.instance.name;
        for alike in [both, overlap, router, named] {
            waiting.retain(|member| {
                let family = member.instance.family;
                let home = groups.iter_mut().find(|group| {
                    group.iter().all(|other| other.side != index)
                        && group.iter().any(|o| o.instance.family == family && alike(o, member))
                });
                match home {
                    Some(group) => {
                        group.push(*member);
                        false
                    }
                    None => true,
                }
            });
        }
        groups.extend(waiting.into_iter().map(|member| vec![member]));
    }
    groups
}

fn compare(group: &[Member<'_>], sides: &[Side<'_>], found: &mut Vec<Diagnostic>) {
    let Some((one, others)) = group.split_first() else { return };
    if others.is_empty() {
        if sides.len() > 1 {
            found.push(
                Diagnostic::warning(
                    Pair::OnlyHere,
                    format!("`{}` exists on one node only", one.instance.name),
                )
                .unnoticed()
                .at(one.name(), "no other node has its addresses or its router id")
                .help("nobody takes over from it"),
            );
        }
        return;
    }
    for other in others {
        // Different addresses under one id are two routers, and nothing else needs to agree.
        if !identity(one, other, found) {
            continue;
        }
        version(one, other, found);
        interval(one, other, found);
        authentication(one, other, found);
        checksum(one, other, found);
        transport(one, other, found);
        preemption(one, other, found);
    }
    for (i, one) in group.iter().enumerate() {
        for other in group.iter().skip(i + 1) {
            priorities(one, other, found);
            peers(one, other, found);
            peers(other, one, found);
        }
    }
    weights(group, found);
}

/// Router id and addresses. Whether the two are one virtual router at all.
fn identity(one: &Member<'_>, other: &Member<'_>, found: &mut Vec<Diagnostic>) -> bool {
    let (a, b) = (one.instance, other.instance);
    let (ours, theirs) = (one.addresses(), other.addresses());
    let apart = ours.is_disjoint(&theirs) && !ours.is_empty() && !theirs.is_empty();
    if apart && a.vrid.value == b.vrid.value && a.name != b.name {
        found.push(
            Diagnostic::warning(
                Pair::SameRouterId,
                format!("router id {} stands for different addresses", a.vrid.value),
            )
            .unnoticed()
            .at(other.at(&b.vrid), format!("`{}`", b.name))
            .also(one.at(&a.vrid), format!("`{}`", a.name))
            .help("on one network they would take each other for one virtual router"),
        );
        return false;
    }
    if a.vrid.value != b.vrid.value {
        found.push(
            Diagnostic::error(
                Pair::RouterId,
                format!("router ids {} and {} for the same addresses", a.vrid.value, b.vrid.value),
            )
            .unnoticed()
            .at(other.at(&b.vrid), "")
            .also(one.at(&a.vrid), "")
            .help("both become MASTER; write the same id on all nodes"),
        );
    }
    for (has, lacks) in [(one, other), (other, one)] {
        let known = lacks.addresses();
        let mut extra = has.instance.vips.iter().filter(|vip| !known.contains(&vip.ip()));
        let Some(vip) = extra.next() else { continue };
        let mut diagnostic = Diagnostic::error(
            Pair::AddressList,
            format!("{} is a virtual address on one node only", vip.ip()),
        )
        .unnoticed()
        .at(has.span(vip.span), "here")
        .also(lacks.block("virtual_ipaddress"), "not here");
        for vip in extra.take(2) {
            diagnostic = diagnostic.also(has.span(vip.span), "likewise");
        }
        found.push(diagnostic.help("list the same addresses on all nodes"));
    }
    for vip in &a.vips {
        let twin = b.vips.iter().find(|t| t.ip() == vip.ip());
        if let Some(twin) = twin.filter(|t| t.network.prefix != vip.network.prefix) {
            found.push(
                Diagnostic::warning(
                    Pair::AddressList,
                    format!("{} has different prefix lengths", vip.ip()),
                )
                .unnoticed()
                .at(other.span(twin.span), format!("/{}", twin.network.prefix))
                .also(one.span(vip.span), format!("/{}", vip.network.prefix)),
            );
        }
    }
    true
}

fn version(one: &Member<'_>, other: &Member<'_>, found: &mut Vec<Diagnostic>) {
    let (a, b) = (&one.instance.version, &other.instance.version);
    if a.value != b.value {
        let word = |v: Version| format!("version {}", v.number());
        found.push(
            Diagnostic::error(Pair::Version, "the nodes speak different versions of the protocol")
                .unnoticed()
                .at(other.at(b), word(b.value))
                .also(one.at(a), word(a.value))
                .help("they ignore each other, and both become MASTER"),
        );
    }
}

fn interval(one: &Member<'_>, other: &Member<'_>, found: &mut Vec<Diagnostic>) {
    let (a, b) = (&one.instance.advert_interval, &other.instance.advert_interval);
    let text = |s: &Setting<std::time::Duration>| {
        let written = if s.is_default() { " (the default)" } else { "" };
        format!("{} s{written}", s.value.as_secs_f64())
    };
    if a.value != b.value {
        let message = "the nodes advertise at different intervals";
        let diagnostic = if one.instance.version.value == Version::V2 {
            Diagnostic::error(Pair::Interval, message)
                .help("version 2 drops adverts with another interval: both become MASTER")
        } else {
            Diagnostic::warning(Pair::Interval, message)
                .help("a BACKUP adopts the interval of the MASTER, so it depends on who that is")
        };
        found.push(diagnostic.unnoticed().at(other.at(b), text(b)).also(one.at(a), text(a)));
    }
    let (a, b) = (&one.instance.down_timer_adverts, &other.instance.down_timer_adverts);
    if a.value != b.value {
        found.push(
            Diagnostic::advice(Pair::DownTimer, "the nodes wait for a different number of adverts")
                .at(other.at(b), b.value.to_string())
                .also(one.at(a), a.value.to_string()),
        );
    }
}

fn authentication(one: &Member<'_>, other: &Member<'_>, found: &mut Vec<Diagnostic>) {
    let kind = |auth: &Auth| match auth {
        Auth::None => "none",
        Auth::Pass(_) => "PASS",
        Auth::Ah(_) => "AH",
        Auth::Hmac(_) => "auth_hmac",
    };
    let place = |m: &Member<'_>| match &m.instance.auth {
        Auth::Hmac(_) => m.block("auth_hmac"),
        Auth::None => m.name(),
        _ => password_item(m.tree, &m.instance.name)
            .and_then(|item| item.arg(0))
            .map_or_else(|| m.block("authentication"), |word| m.span(word.span)),
    };
    let (a, b) = (&one.instance.auth, &other.instance.auth);
    let say = |message: &str, b_text: String, a_text: String| {
        Diagnostic::error(Pair::Authentication, message)
            .unnoticed()
            .at(place(other), b_text)
            .also(place(one), a_text)
            .help("they drop each other's adverts, and both become MASTER")
    };
    match (a, b) {
        (Auth::None, Auth::None) => {}
        (Auth::Pass(x), Auth::Pass(y)) | (Auth::Ah(x), Auth::Ah(y)) => {
            if x != y {
                found.push(say("the passwords differ", "this one".into(), "and this one".into()));
            }
        }
        (Auth::Hmac(x), Auth::Hmac(y)) => {
            for (signs, checks) in [(x, y), (y, x)] {
                if signs.mode == HmacMode::ReceiveOnly {
                    continue;
                }
                let active = signs.keys.iter().find(|key| key.id == signs.active_key);
                let known = checks.keys.iter().find(|key| key.id == signs.active_key);
                let id = signs.active_key;
                let message = match (active, known) {
                    (_, None) => format!("key {id} signs on one node and is unknown on the other"),
                    (Some(a), Some(b)) if a.secret != b.secret => {
                        format!("key {id} is not the same on both nodes")
                    }
                    _ => continue,
                };
                found.push(say(&message, String::new(), String::new()));
                break;
            }
        }
        // Who accepts unsigned adverts gets on with who does not sign.
        (Auth::Hmac(hmac), Auth::None) | (Auth::None, Auth::Hmac(hmac))
            if hmac.mode != HmacMode::Enforce => {}
        _ => found.push(say(
            "the nodes authenticate in different ways",
            kind(b).to_owned(),
            kind(a).to_owned(),
        )),
    }
}

fn checksum(one: &Member<'_>, other: &Member<'_>, found: &mut Vec<Diagnostic>) {
    let (a, b) = (one.instance, other.instance);
    if a.version.value != Version::V3 || b.version.value != Version::V3 {
        return;
    }
    let (x, y) = (&a.v3_checksum_as_v2, &b.v3_checksum_as_v2);
    if a.family == Family::V4 && x.value != y.value {
        let word = |on: bool| if on { "without pseudo-header" } else { "with pseudo-header" };
        found.push(
            Diagnostic::error(Pair::Checksum, "the nodes compute the checksum differently")
                .unnoticed()
                .at(other.at(y), word(y.value))
                .also(one.at(x), word(x.value))
                .help("set v3_checksum_as_v2 on all nodes or on none"),
        );
    }
    let (x, y) = (a.old_unicast_checksum, b.old_unicast_checksum);
    if matches!(
        (x, y),
        (OldUnicastChecksum::Always, OldUnicastChecksum::Never)
            | (OldUnicastChecksum::Never, OldUnicastChecksum::Always)
    ) {
        found.push(
            Diagnostic::error(
                Pair::Checksum,
                "one node sends the old checksum, and the other never accepts it",
            )
            .unnoticed()
            .at(other.block("old_unicast_checksum"), "")
            .also(one.block("old_unicast_checksum"), ""),
        );
    }
}

fn transport(one: &Member<'_>, other: &Member<'_>, found: &mut Vec<Diagnostic>) {
    let (a, b) = (&one.instance.transport, &other.instance.transport);
    match (a, b) {
        (Transport::Multicast { group: x }, Transport::Multicast { group: y }) if x != y => {
            found.push(
                Diagnostic::error(Pair::Transport, "the nodes use different multicast groups")
                    .unnoticed()
                    .at(other.block("mcast_dst_ip"), y.to_string())
                    .also(one.block("mcast_dst_ip"), x.to_string())
                    .help("they do not hear each other, and both become MASTER"),
            );
        }
        (Transport::Unicast { .. }, Transport::Multicast { .. })
        | (Transport::Multicast { .. }, Transport::Unicast { .. }) => {
            let word = |t: &Transport| if t.is_unicast() { "unicast" } else { "multicast" };
            found.push(
                Diagnostic::error(Pair::Transport, "one node uses unicast and the other multicast")
                    .unnoticed()
                    .at(other.block("unicast_peer"), word(b))
                    .also(one.block("unicast_peer"), word(a))
                    .help("they do not hear each other, and both become MASTER"),
            );
        }
        _ => {}
    }
}

/// Whether `to` is told about by `from`.
fn peers(from: &Member<'_>, to: &Member<'_>, found: &mut Vec<Diagnostic>) {
    let (Transport::Unicast { peers }, Transport::Unicast { .. }) =
        (&from.instance.transport, &to.instance.transport)
    else {
        return;
    };
    let Some(source) = to.instance.source.value else { return };
    if peers.is_empty() || peers.iter().any(|peer| peer.address == source) {
        return;
    }
    found.push(
        Diagnostic::error(
            Pair::Peers,
            format!("{source} is not among the peers of the other node"),
        )
        .unnoticed()
        .at(from.block("unicast_peer"), "not listed here")
        .also(to.at(&to.instance.source), "the address of the other node")
        .help("it hears nothing from here, and becomes MASTER beside this node"),
    );
}

fn preemption(one: &Member<'_>, other: &Member<'_>, found: &mut Vec<Diagnostic>) {
    let (a, b) = (&one.instance.preempt, &other.instance.preempt);
    if a.value == b.value || one.instance.is_owner() || other.instance.is_owner() {
        return;
    }
    let word = |on: bool| if on { "preempts" } else { "does not preempt" };
    found.push(
        Diagnostic::warning(Pair::Preemption, "one node preempts and the other does not")
            .unnoticed()
            .at(other.at(b), word(b.value))
            .also(one.at(a), word(a.value))
            .help("write nopreempt on all nodes or on none; with `state MASTER` it is dropped"),
    );
}

fn priorities(one: &Member<'_>, other: &Member<'_>, found: &mut Vec<Diagnostic>) {
    let (a, b) = (&one.instance.priority, &other.instance.priority);
    if a.value != b.value {
        return;
    }
    let (owners, value) = (one.instance.is_owner(), a.value);
    let diagnostic = if owners {
        Diagnostic::error(Pair::TwoOwners, "two nodes own the addresses")
            .help("give one of them a priority below 255")
    } else {
        Diagnostic::warning(Pair::EqualPriority, format!("both nodes have priority {value}"))
            .help("then the higher address decides; give one node a higher priority")
    };
    let text = |s: &Setting<std::num::NonZeroU8>| match s.origin {
        crate::model::Origin::Default => format!("{value}, the default"),
        crate::model::Origin::Forced(_) => format!("makes it {value}"),
        _ => String::new(),
    };
    found.push(diagnostic.unnoticed().at(other.at(b), text(b)).also(one.at(a), text(a)));
}

/// Whether the weights of the node that wins when all is well can make another win.
fn weights(group: &[Member<'_>], found: &mut Vec<Diagnostic>) {
    let Some(winner) = group.iter().max_by_key(|m| reach(m.instance).most) else { return };
    let own = reach(winner.instance);
    let weighted: Vec<_> =
        winner.instance.tracks.all().filter(|t| t.weight.value.value != 0).collect();
    let Some(track) = weighted.first() else { return };
    let next =
        group.iter().filter(|m| m.side != winner.side).max_by_key(|m| reach(m.instance).most);
    let Some(next) = next else { return };
    let rival = reach(next.instance);
    if own.least <= rival.most || winner.instance.is_owner() {
        return;
    }
    let base = winner.instance.priority.value;
    let sum = if own.least_terms == base.to_string() {
        format!("{base}")
    } else {
        format!("{} = {}", own.least_terms, own.least)
    };
    let need = own.least - rival.most + 1;
    found.push(
        Diagnostic::warning(
            Election::WeightCannotDecide,
            format!("the weights of `{}` can never move the addresses", winner.instance.name),
        )
        .unnoticed()
        .at(
            winner.span(weight_span(track)),
            format!("with everything failed the priority is {sum}"),
        )
        .also(
            next.at(&next.instance.priority),
            format!("the other node reaches {} at most", rival.most),
        )
        .help(format!(
            "take at least {need} more, or bring the priorities nearer to each other, or leave the weight out: then a failure is a FAULT"
        )),
    );
}

/// Pairs of routers that move together on one node must do so on all.
fn sync_groups(groups: &[Vec<Member<'_>>], sides: &[Side<'_>], found: &mut Vec<Diagnostic>) {
    for (index, side) in sides.iter().enumerate() {
        for sync in &side.node.model.sync_groups {
            let here: Vec<(&Vec<Member<'_>>, Member<'_>)> = groups
                .iter()
                .filter_map(|group| {
                    let member = group
                        .iter()
                        .find(|m| m.side == index && sync.members.contains(&m.instance.name))?;
                    Some((group, *member))
                })
                .collect();
            let Some(((first, _), rest)) = here.split_first() else { continue };
            for (other_index, other_side) in sides.iter().enumerate() {
                if other_index == index {
                    continue;
                }
                let there = |group: &[Member<'_>]| {
                    group.iter().find(|m| m.side == other_index).map(|m| {
                        let model = other_side.node.model;
                        (
                            m.name(),
                            model.sync_group_of(&m.instance.name).map(|g| g.name.text.clone()),
                        )
                    })
                };
                let Some((first_name, first_group)) = there(first) else { continue };
                let apart = rest
                    .iter()
                    .filter_map(|(group, _)| there(group))
                    .find(|(_, other)| other.is_none() || *other != first_group);
                let Some((name, _)) = apart else { continue };
                found.push(
                    Diagnostic::warning(
                        Pair::SyncGroup,
                        format!("`{}` keeps routers together on one node only", sync.name),
                    )
                    .unnoticed()
                    .at(side.shift.span(sync.name.span), "together here")
                    .also(first_name, "not in one group with")
                    .also(name, "this one there"),
                );
            }
        }
    }
}
