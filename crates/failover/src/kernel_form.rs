//! From the model's addresses, routes and rules to the kernel's, and to the words of dump files.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};

use config::model::address::{Broadcast, Lifetime};
use config::model::route::{self as route_model, RouteType};
use config::model::rule as rule_model;
use config::model::{Address, Network, Route, Rule};
use netlink::{AddressFlags, FOREVER, Metric, Prefix};

/// Looks up the kernel's index of an interface by name.
pub(crate) type IndexOf<'a> = &'a dyn Fn(&str) -> Option<u32>;

/// The kernel's form of an address; `None` while its interface does not exist. `device` replaces
/// the interface of addresses without a `dev` of their own (VMAC).
pub(crate) fn address(
    address: &Address,
    device: Option<&str>,
    index_of: IndexOf<'_>,
) -> Option<netlink::Address> {
    let name = device_of(address, device)?;
    let mut out = netlink::Address::new(index_of(name)?, address.ip(), address.network.prefix);
    if let (IpAddr::V4(ip), Some(broadcast)) = (address.ip(), address.broadcast) {
        let host = u32::MAX.checked_shr(u32::from(address.network.prefix)).unwrap_or(0);
        out.broadcast = Some(match broadcast {
            Broadcast::Address(address) => address,
            Broadcast::AllOnes => Ipv4Addr::from_bits(ip.to_bits() | host),
            Broadcast::AllZeros => Ipv4Addr::from_bits(ip.to_bits() & !host),
        });
    }
    out.label.clone_from(&address.label);
    out.scope = address.scope.unwrap_or(0);
    if let Some(peer) = address.peer {
        out.peer = Some(peer.address);
        out.prefix_len = peer.prefix;
    }
    // A VIP needs no duplicate address detection: the protocol has just decided whose it is, and
    // a tentative address does not answer. `-nodad` asks for it all the same.
    out.flags.set(AddressFlags::NODAD, address.ip().is_ipv6() && !address.dad);
    out.flags.set(AddressFlags::HOME, address.home);
    out.flags.set(AddressFlags::MNGTMPADDR, address.manage_temporary);
    out.flags.set(AddressFlags::NOPREFIXROUTE, address.no_prefix_route);
    out.flags.set(AddressFlags::AUTOJOIN, address.autojoin);
    out.preferred_lft = match address.preferred_lifetime() {
        Lifetime::Forever => FOREVER,
        Lifetime::Seconds(seconds) => seconds,
    };
    Some(out)
}

/// The interface that an address goes to.
pub(crate) fn device_of<'a>(address: &'a Address, device: Option<&'a str>) -> Option<&'a str> {
    match (&address.dev, device) {
        (None, Some(device)) => Some(device),
        _ => address.interface.as_deref(),
    }
}

/// The kernel's form of a route; `None` while an interface that it names does not exist.
pub(crate) fn route(route: &Route, index_of: IndexOf<'_>) -> Option<netlink::Route> {
    let mut hops = Vec::new();
    for hop in &route.nexthops {
        hops.push(netlink::NextHop {
            ifindex: resolve(hop.interface.as_deref(), index_of)?,
            gateway: hop.via,
            onlink: hop.onlink,
            weight: hop.weight.max(1),
            realms: hop.realms.map(realms),
            encap: hop.encap.as_ref().map(encap),
        });
    }
    let single = route.via.is_some() || route.interface.is_some() || route.encap.is_some();
    if hops.is_empty() && single {
        hops.push(netlink::NextHop {
            ifindex: resolve(route.interface.as_deref(), index_of)?,
            gateway: route.via,
            onlink: route.onlink,
            weight: 1,
            realms: route.realms.map(realms),
            encap: route.encap.as_ref().map(encap),
        });
    }
    let mut out = netlink::Route::new(prefix(route.destination), hops);
    out.kind = match route.kind {
        RouteType::Unicast => netlink::RouteKind::Unicast,
        RouteType::Local => netlink::RouteKind::Local,
        RouteType::Broadcast => netlink::RouteKind::Broadcast,
        RouteType::Anycast => netlink::RouteKind::Anycast,
        RouteType::Multicast => netlink::RouteKind::Multicast,
        RouteType::Blackhole => netlink::RouteKind::Blackhole,
        RouteType::Unreachable => netlink::RouteKind::Unreachable,
        RouteType::Prohibit => netlink::RouteKind::Prohibit,
        RouteType::Throw => netlink::RouteKind::Throw,
        RouteType::Nat => netlink::RouteKind::Nat,
    };
    out.source = route.from.map(prefix);
    out.tos = route.tos.unwrap_or(0);
    out.table = route.table.unwrap_or(254);
    out.protocol = route.protocol.unwrap_or(netlink::ROUTE_PROTO);
    // Keepalived leaves a route through an interface alone at scope global, unlike `ip route`.
    out.scope = route.scope.unwrap_or_else(|| match route.kind {
        RouteType::Unicast => 0,
        _ => out.default_scope(),
    });
    out.metric = route.metric;
    out.prefsrc = route.source;
    out.expires = route.expires.map(|d| u32::try_from(d.as_secs()).unwrap_or(u32::MAX));
    out.pref = route.preference.map(|preference| match preference {
        route_model::RouterPreference::Low => netlink::RouterPreference::Low,
        route_model::RouterPreference::Medium => netlink::RouterPreference::Medium,
        route_model::RouterPreference::High => netlink::RouterPreference::High,
    });
    out.ttl_propagate = route.ttl_propagate;
    out.metrics = metrics(&route.metrics);
    Some(out)
}

fn resolve(name: Option<&str>, index_of: IndexOf<'_>) -> Option<Option<u32>> {
    match name {
        None => Some(None),
        Some(name) => index_of(name).map(Some),
    }
}

fn metrics(from: &route_model::RouteMetrics) -> netlink::Metrics {
    let mut out = netlink::Metrics::default();
    for (metric, value) in [
        (Metric::Mtu, from.mtu),
        (Metric::AdvMss, from.adv_mss),
        (Metric::Rtt, from.rtt),
        (Metric::RttVar, from.rtt_var),
        (Metric::Reordering, from.reordering),
        (Metric::Cwnd, from.cwnd),
        (Metric::SsThresh, from.ssthresh),
        (Metric::RtoMin, from.rto_min),
    ] {
        if let Some(value) = value {
            out.values.insert(metric, value.value);
            if value.lock {
                out.locked.insert(metric);
            }
        }
    }
    for (metric, value) in [
        (Metric::HopLimit, from.hop_limit),
        (Metric::Window, from.window),
        (Metric::InitCwnd, from.init_cwnd),
        (Metric::InitRwnd, from.init_rwnd),
        (Metric::QuickAck, from.quick_ack.map(u32::from)),
        (Metric::FastOpenNoCookie, from.fastopen_no_cookie.map(u32::from)),
        (Metric::Features, from.ecn.then_some(1)),
    ] {
        if let Some(value) = value {
            out.values.insert(metric, value);
        }
    }
    if let Some((name, lock)) = &from.congestion_control {
        out.congestion_control = Some(name.clone());
        if *lock {
            out.locked.insert(Metric::CongestionControl);
        }
    }
    out
}

fn encap(from: &route_model::Encap) -> netlink::Encap {
    match from {
        route_model::Encap::Ip {
            family: config::model::Family::V4,
            id,
            destination,
            source,
            tos,
            ttl,
            flags,
        } => netlink::Encap::Ip {
            id: *id,
            dst: *destination,
            src: *source,
            ttl: *ttl,
            tos: *tos,
            flags: *flags,
        },
        route_model::Encap::Ip { id, destination, source, tos, ttl, flags, .. } => {
            netlink::Encap::Ip6 {
                id: *id,
                dst: *destination,
                src: *source,
                hop_limit: *ttl,
                traffic_class: *tos,
                flags: *flags,
            }
        }
        route_model::Encap::Mpls { labels, ttl } => {
            netlink::Encap::Mpls { labels: labels.clone(), ttl: *ttl }
        }
        route_model::Encap::Ila { locator } => netlink::Encap::Ila { locator: *locator },
    }
}

/// Source realm in the upper half, destination in the lower, as the kernel has them.
fn realms(value: u32) -> netlink::Realms {
    netlink::Realms { source: (value >> 16) as u16, destination: (value & 0xffff) as u16 }
}

fn prefix(network: Network) -> Prefix {
    Prefix::new(network.address, network.prefix).masked()
}

/// The kernel's form of a rule.
pub(crate) fn rule(rule: &Rule) -> netlink::Rule {
    let family = match rule.family {
        config::model::Family::V4 => netlink::Family::V4,
        config::model::Family::V6 => netlink::Family::V6,
    };
    let mut out = netlink::Rule::lookup(family, 0);
    out.priority = Some(rule.priority);
    out.invert = rule.invert;
    out.from = rule.from.map(prefix);
    out.to = rule.to.map(prefix);
    out.iif = rule.iif.as_deref().map(str::to_owned);
    out.oif = rule.oif.as_deref().map(str::to_owned);
    out.tos = rule.tos.unwrap_or(0);
    out.fwmark = rule.fwmark;
    out.tun_id = rule.tunnel_id;
    out.uid_range = rule.uid_range.as_ref().map(|r| (*r.start(), *r.end()));
    out.ip_proto = rule.ip_protocol;
    out.sport = rule.source_ports.clone().map(Into::into);
    out.dport = rule.destination_ports.clone().map(Into::into);
    out.l3mdev = rule.l3mdev;
    out.realms = rule.realms.map(realms);
    out.suppress_prefixlength = rule.suppress_prefix_length;
    out.suppress_ifgroup = rule.suppress_if_group;
    out.protocol = rule.protocol.unwrap_or(netlink::ROUTE_PROTO);
    out.action = match rule.action {
        rule_model::RuleAction::Lookup(table) => {
            out.table = if rule.l3mdev { 0 } else { table };
            netlink::RuleAction::Lookup
        }
        rule_model::RuleAction::Goto(target) => netlink::RuleAction::Goto(target),
        rule_model::RuleAction::Nop => netlink::RuleAction::Nop,
        rule_model::RuleAction::Blackhole => netlink::RuleAction::Blackhole,
        rule_model::RuleAction::Prohibit => netlink::RuleAction::Prohibit,
        rule_model::RuleAction::Unreachable => netlink::RuleAction::Unreachable,
    };
    out
}

/// An address in the words of the dump files.
pub(crate) fn address_text(address: &Address, device: Option<&str>) -> String {
    let mut out = network_text(address.network);
    if let Some(peer) = address.peer {
        let _ = write!(out, " peer {}", network_text(peer));
    }
    match address.broadcast {
        Some(Broadcast::Address(broadcast)) => {
            let _ = write!(out, " brd {broadcast}");
        }
        Some(Broadcast::AllOnes) => out.push_str(" brd +"),
        Some(Broadcast::AllZeros) => out.push_str(" brd -"),
        None => {}
    }
    if let Some(name) = device_of(address, device) {
        let _ = write!(out, " dev {name}");
    }
    let _ = write!(out, " scope {}", scope_word(address.scope.unwrap_or(0)));
    if let Some(label) = &address.label {
        let _ = write!(out, " label {label}");
    }
    for (flag, word) in [
        (address.home, " home"),
        (address.dad, " -nodad"),
        (address.manage_temporary, " mngtmpaddr"),
        (address.no_prefix_route, " noprefixroute"),
        (address.autojoin, " autojoin"),
        (address.no_track, " no_track"),
    ] {
        if flag {
            out.push_str(word);
        }
    }
    if address.ip().is_ipv6() {
        match address.preferred_lifetime() {
            Lifetime::Forever => out.push_str(" preferred_lft forever"),
            Lifetime::Seconds(0) => out.push_str(" deprecated"),
            Lifetime::Seconds(seconds) => {
                let _ = write!(out, " preferred_lft {seconds}");
            }
        }
    }
    out
}

/// A route in the words of the dump files.
pub(crate) fn route_text(route: &Route) -> String {
    let mut out = String::from(match route.mode {
        route_model::AddMode::Add => "add ",
        route_model::AddMode::Prepend => "prepend ",
        route_model::AddMode::Append => "append ",
    });
    if route.kind != RouteType::Unicast {
        let _ = write!(out, "{} ", route.kind.word());
    }
    if route.destination.prefix == 0 {
        out.push_str("default");
    } else {
        out.push_str(&network_text(route.destination));
    }
    if let Some(from) = route.from {
        let _ = write!(out, " from {}", network_text(from));
    }
    let hop = |out: &mut String, via: Option<IpAddr>, interface: Option<&str>, onlink: bool| {
        if let Some(via) = via {
            let _ = write!(out, " via {} {via}", if via.is_ipv4() { "inet" } else { "inet6" });
        }
        if let Some(interface) = interface {
            let _ = write!(out, " dev {interface}");
        }
        if onlink {
            out.push_str(" onlink");
        }
    };
    hop(&mut out, route.via, route.interface.as_deref(), route.onlink);
    if let Some(source) = route.source {
        let _ = write!(out, " src {source}");
    }
    if let Some(tos) = route.tos {
        let _ = write!(out, " tos {tos:#x}");
    }
    if let Some(table) = route.table {
        let _ = write!(out, " table {table}");
    }
    let _ = write!(out, " proto {}", route.protocol.unwrap_or(netlink::ROUTE_PROTO));
    if let Some(scope) = route.scope {
        let _ = write!(out, " scope {}", scope_word(scope));
    }
    if let Some(metric) = route.metric {
        let _ = write!(out, " metric {metric}");
    }
    if let Some(mtu) = route.metrics.mtu {
        let _ = write!(out, " mtu {}{}", if mtu.lock { "lock " } else { "" }, mtu.value);
    }
    for next in &route.nexthops {
        out.push_str(" nexthop");
        hop(&mut out, next.via, next.interface.as_deref(), next.onlink);
        let _ = write!(out, " weight {}", next.weight.max(1));
    }
    if route.no_track {
        out.push_str(" no_track");
    }
    out
}

/// A rule in the words of the dump files.
pub(crate) fn rule_text(rule: &Rule) -> String {
    let mut out = String::new();
    if rule.invert {
        out.push_str("not ");
    }
    match rule.from {
        Some(from) => {
            let _ = write!(out, "from {}", network_text(from));
        }
        None => out.push_str("from all"),
    }
    if let Some(to) = rule.to {
        let _ = write!(out, " to {}", network_text(to));
    }
    let _ = write!(out, " priority {}", rule.priority);
    if let Some((mark, mask)) = rule.fwmark {
        let _ = write!(out, " fwmark {mark:#x}");
        if mask != u32::MAX {
            let _ = write!(out, "/{mask:#x}");
        }
    }
    if let Some(iif) = &rule.iif {
        let _ = write!(out, " iif {iif}");
    }
    if let Some(oif) = &rule.oif {
        let _ = write!(out, " oif {oif}");
    }
    let _ = write!(out, " tos {:#x}", rule.tos.unwrap_or(0));
    if let Some(range) = &rule.uid_range {
        let _ = write!(out, " uidrange {}-{}", range.start(), range.end());
    }
    if let Some(protocol) = rule.ip_protocol {
        let _ = write!(out, " ipproto {protocol}");
    }
    for (word, ports) in [("sport", &rule.source_ports), ("dport", &rule.destination_ports)] {
        if let Some(ports) = ports {
            let _ = write!(out, " {word} {}-{}", ports.start(), ports.end());
        }
    }
    let _ = write!(out, " protocol {}", rule.protocol.unwrap_or(netlink::ROUTE_PROTO));
    let _ = match rule.action {
        _ if rule.l3mdev => write!(out, " l3mdev"),
        rule_model::RuleAction::Lookup(table) => write!(out, " lookup {table}"),
        rule_model::RuleAction::Goto(target) => write!(out, " goto {target}"),
        rule_model::RuleAction::Nop => write!(out, " nop"),
        rule_model::RuleAction::Blackhole => write!(out, " blackhole"),
        rule_model::RuleAction::Prohibit => write!(out, " prohibit"),
        rule_model::RuleAction::Unreachable => write!(out, " unreachable"),
    };
    out
}

fn network_text(network: Network) -> String {
    if network == Network::host(network.address) {
        network.address.to_string()
    } else {
        network.to_string()
    }
}

fn scope_word(scope: u8) -> String {
    match scope {
        0 => "global".to_owned(),
        200 => "site".to_owned(),
        253 => "link".to_owned(),
        254 => "host".to_owned(),
        255 => "nowhere".to_owned(),
        other => other.to_string(),
    }
}
