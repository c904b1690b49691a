//! When is what the kernel has the same as what is wanted? The kernel fills in defaults, counts
//! lifetimes down and clamps numbers; none of that is a difference.

use std::net::IpAddr;

use crate::{
    Address, AddressFlags, FOREVER, Family, Metric, Metrics, NextHop, Prefix, Route, RouteKind,
    RouterPreference, Rule, RuleAction,
};

/// What the kernel regards as one address: for IPv6 an address can be on an interface once, for
/// IPv4 once per prefix length and peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AddressKey {
    ifindex: u32,
    ip: IpAddr,
    prefix_len: u8,
    peer: Option<IpAddr>,
}

impl AddressKey {
    /// The key of an address.
    #[must_use]
    pub fn of(address: &Address) -> Self {
        let (prefix_len, peer) = match address.family() {
            Family::V4 => (address.prefix_len, address.peer.filter(|peer| *peer != address.ip)),
            Family::V6 => (0, None),
        };
        Self { ifindex: address.ifindex, ip: address.ip, prefix_len, peer }
    }
}

/// What the kernel regards as one place in a routing table; several IPv4 routes may share it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouteKey {
    table: u32,
    destination: Prefix,
    source: Option<Prefix>,
    tos: u8,
    metric: u32,
}

impl RouteKey {
    /// The key of a route.
    #[must_use]
    pub fn of(route: &Route) -> Self {
        const IPV6_METRIC: u32 = 1024;
        let v6 = route.family() == Family::V6;
        Self {
            table: if route.table == 0 { 254 } else { route.table },
            destination: route.destination.masked(),
            source: route.source.filter(|source| v6 && source.len > 0).map(Prefix::masked),
            tos: if v6 { 0 } else { route.tos },
            metric: match route.metric {
                None | Some(0) if v6 => IPV6_METRIC,
                metric => metric.unwrap_or(0),
            },
        }
    }
}

/// What has to be done to an address that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Correction {
    /// Nothing.
    None,
    /// Lifetimes or flags can be changed in place.
    Update,
    /// The kernel can change this only by removing and adding.
    Recreate,
}

/// Compares an address with what is wanted at its key. Marks are not compared.
pub(crate) fn correction(have: &Address, want: &Address) -> Correction {
    // DADFAILED and the like are the caller's business: adding again does not cure them.
    let flags = AddressFlags::NODAD
        | AddressFlags::HOME
        | AddressFlags::MNGTMPADDR
        | AddressFlags::NOPREFIXROUTE;
    let flags_differ = (have.flags ^ want.flags).intersects(flags);
    let autojoin_differs = (have.flags ^ want.flags).contains(AddressFlags::AUTOJOIN);
    let peer = |address: &Address| address.peer.filter(|peer| *peer != address.ip);
    let fixed_differs = match want.family() {
        Family::V4 => {
            have.scope != want.scope
                || have.broadcast != want.broadcast
                || want.label.is_some() && have.label != want.label
                || flags_differ
        }
        Family::V6 => have.prefix_len != want.prefix_len || peer(have) != peer(want),
    };
    if fixed_differs || autojoin_differs {
        Correction::Recreate
    } else if flags_differ
        || lifetime(have.preferred_lft) != lifetime(want.preferred_lft)
        || lifetime(have.valid_lft) != lifetime(want.valid_lft)
    {
        Correction::Update
    } else {
        Correction::None
    }
}

/// A finite lifetime counts down, so that only its class can be compared.
fn lifetime(seconds: u32) -> u8 {
    match seconds {
        FOREVER => 2,
        0 => 0,
        _ => 1,
    }
}

/// Whether a route of the same key does what is wanted. The protocol is not compared.
pub(crate) fn route_matches(have: &Route, want: &Route) -> bool {
    let v6 = want.family() == Family::V6;
    let same_place = RouteKey::of(have) == RouteKey::of(want)
        && have.kind == want.kind
        && (v6 || have.scope == want.scope);
    if !same_place {
        return false;
    }
    if rejects(want.kind) {
        return have.prefsrc == want.prefsrc;
    }
    if have.hops.len() != want.hops.len() {
        // IPv6 makes one multipath route of all routes of a key, and shows it with the properties
        // of the first: ours may be one hop among others'.
        return v6 && !want.hops.is_empty() && contains_all(have, want);
    }
    let in_order = have.hops.iter().zip(&want.hops).all(|(a, b)| hop_matches(a, b, true));
    (in_order || want.hops.len() > 1 && contains_all(have, want)) && properties_match(have, want)
}

fn contains_all(have: &Route, want: &Route) -> bool {
    let same_weight = have.hops.len() == want.hops.len();
    want.hops.iter().all(|wanted| have.hops.iter().any(|hop| hop_matches(hop, wanted, same_weight)))
}

/// Whether an IPv6 route of the same key stands in the way: the kernel takes two routes with the
/// same next hop for the same route, whatever else differs.
pub(crate) fn obstructs(have: &Route, want: &Route) -> bool {
    if want.family() == Family::V4 || RouteKey::of(have) != RouteKey::of(want) {
        return false;
    }
    match (rejects(have.kind), rejects(want.kind)) {
        (true, true) => true,
        (false, false) => want.hops.iter().any(|wanted| {
            have.hops
                .iter()
                .any(|hop| hop.ifindex == wanted.ifindex && hop.gateway == wanted.gateway)
        }),
        _ => false,
    }
}

fn properties_match(have: &Route, want: &Route) -> bool {
    let v6 = want.family() == Family::V6;
    have.prefsrc == want.prefsrc
        && metrics_match(&have.metrics, &want.metrics)
        && (!v6 || have.expires.is_some() == want.expires.is_some())
        && (!v6 || preference(have) == preference(want))
}

fn preference(route: &Route) -> RouterPreference {
    route.pref.unwrap_or(RouterPreference::Medium)
}

/// Kinds without a way out; the kernel shows IPv6 ones with the loopback interface.
fn rejects(kind: RouteKind) -> bool {
    matches!(
        kind,
        RouteKind::Blackhole | RouteKind::Unreachable | RouteKind::Prohibit | RouteKind::Throw
    )
}

fn hop_matches(have: &NextHop, want: &NextHop, weights: bool) -> bool {
    (want.ifindex.is_none() || have.ifindex == want.ifindex)
        && have.gateway == want.gateway
        && (have.onlink == want.onlink)
        && (!weights || have.weight.max(1) == want.weight.max(1))
        && have.realms.unwrap_or_default() == want.realms.unwrap_or_default()
        && have.encap == want.encap
}

fn metrics_match(have: &Metrics, want: &Metrics) -> bool {
    let kept = |metrics: &Metrics| -> Vec<(Metric, u32)> {
        let values = metrics.values.iter().filter(|(metric, value)| {
            **metric != Metric::CongestionControl && (**value != 0 || **metric == Metric::HopLimit)
        });
        values.map(|(metric, value)| (*metric, clamped(*metric, *value))).collect()
    };
    kept(have) == kept(want)
        && have.locked == want.locked
        && have.congestion_control == want.congestion_control
}

/// The kernel keeps no larger numbers than these.
fn clamped(metric: Metric, value: u32) -> u32 {
    match metric {
        Metric::AdvMss => value.min(65535 - 40),
        Metric::Mtu => value.min(65535 - 15),
        Metric::HopLimit => value.min(255),
        // The other bits are the kernel's own notes.
        Metric::Features => value & 0x1f,
        _ => value,
    }
}

/// A rule in the form in which two can be compared: defaults spelled one way, no protocol.
pub(crate) fn normal(rule: &Rule) -> Rule {
    let mut rule = rule.clone();
    rule.protocol = 0;
    rule.from = rule.from.filter(|prefix| prefix.len > 0).map(Prefix::masked);
    rule.to = rule.to.filter(|prefix| prefix.len > 0).map(Prefix::masked);
    rule.fwmark = rule.fwmark.filter(|mark| *mark != (0, 0));
    rule.tun_id = rule.tun_id.filter(|id| *id != 0);
    rule.ip_proto = rule.ip_proto.filter(|proto| *proto != 0);
    rule.realms = rule.realms.filter(|realms| (realms.source, realms.destination) != (0, 0));
    rule.suppress_ifgroup = rule.suppress_ifgroup.filter(|group| *group != u32::MAX);
    rule.suppress_prefixlength = rule.suppress_prefixlength.filter(|len| *len != u32::MAX);
    if rule.action != RuleAction::Lookup || rule.l3mdev {
        rule.table = 0;
    }
    rule
}

/// Whether a rule is what is wanted; both in normal form.
pub(crate) fn rule_matches(have: &Rule, want: &Rule) -> bool {
    if want.priority.is_some() {
        return have == want;
    }
    *have == Rule { priority: have.priority, ..want.clone() }
}

/// Whether a request to remove `named` could hit `have`: to the kernel a selector that is not
/// named may be anything, and whether a rule is inverted does not count. Both in normal form.
pub(crate) fn removal_hits(have: &Rule, named: &Rule) -> bool {
    fn free<T: PartialEq>(have: &Option<T>, named: &Option<T>) -> bool {
        named.is_none() || have == named
    }
    have.family == named.family
        && have.action == named.action
        && (named.table == 0 || have.table == named.table)
        && free(&have.priority, &named.priority)
        && free(&have.from, &named.from)
        && free(&have.to, &named.to)
        && free(&have.iif, &named.iif)
        && free(&have.oif, &named.oif)
        && (named.tos == 0 || have.tos == named.tos)
        && free(&have.fwmark, &named.fwmark)
        && free(&have.tun_id, &named.tun_id)
        && free(&have.uid_range, &named.uid_range)
        && free(&have.ip_proto, &named.ip_proto)
        && free(&have.sport, &named.sport)
        && free(&have.dport, &named.dport)
        && free(&have.realms, &named.realms)
        && free(&have.suppress_prefixlength, &named.suppress_prefixlength)
        && free(&have.suppress_ifgroup, &named.suppress_ifgroup)
        && (!named.l3mdev || have.l3mdev)
}
