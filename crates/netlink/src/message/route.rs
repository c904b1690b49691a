//! `RTM_NEWROUTE` and `RTM_DELROUTE`: `struct rtmsg` and its attributes.

use std::net::IpAddr;

use crate::codec::{Attribute, Attributes, Message, Writer, u16_at, u32_at};
use crate::{
    Encap, Family, KernelError, Metric, Metrics, NextHop, Prefix, Realms, Route, RouteFilter,
    RouteKind, RouterPreference,
};

pub(crate) const RTM_NEWROUTE: u16 = 24;
pub(crate) const RTM_DELROUTE: u16 = 25;
pub(crate) const RTM_GETROUTE: u16 = 26;

const FIXED: usize = 12;
const RTA_DST: u16 = 1;
const RTA_SRC: u16 = 2;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_PREFSRC: u16 = 7;
const RTA_METRICS: u16 = 8;
const RTA_MULTIPATH: u16 = 9;
const RTA_FLOW: u16 = 11;
const RTA_CACHEINFO: u16 = 12;
const RTA_TABLE: u16 = 15;
const RTA_VIA: u16 = 18;
const RTA_PREF: u16 = 20;
const RTA_ENCAP_TYPE: u16 = 21;
const RTA_ENCAP: u16 = 22;
const RTA_EXPIRES: u16 = 23;
const RTA_TTL_PROPAGATE: u16 = 26;
const RTAX_LOCK: u16 = 1;
const RTAX_CC_ALGO: u16 = 16;
const RTM_F_CLONED: u32 = 0x200;
const RTNH_F_ONLINK: u8 = 4;
const RT_TABLE_MAIN: u32 = 254;
/// Ticks per second in `struct rta_cacheinfo`.
const USER_HZ: u32 = 100;
const ENCAP_MPLS: u16 = 1;
const ENCAP_IP: u16 = 2;
const ENCAP_IP6: u16 = 4;

/// Writes fixed part and attributes.
pub(crate) fn put(route: &Route, removal: bool, writer: &mut Writer) -> Result<(), KernelError> {
    let family = route.family();
    check(route)?;
    let single = if let [hop] = route.hops.as_slice() { Some(hop) } else { None };
    let table = if route.table == 0 { RT_TABLE_MAIN } else { route.table };

    writer.put_u8(family.to_kernel());
    writer.put_u8(route.destination.len);
    writer.put_u8(route.source.map_or(0, |source| source.len));
    writer.put_u8(route.tos);
    writer.put_u8(u8::try_from(table).unwrap_or(0));
    writer.put_u8(route.protocol);
    writer.put_u8(route.scope);
    writer.put_u8(kind_number(route.kind));
    let onlink = single.is_some_and(|hop| hop.onlink);
    writer.put_u32(if onlink { u32::from(RTNH_F_ONLINK) } else { 0 });

    if route.destination.len > 0 {
        writer.attr_ip(RTA_DST, route.destination.address);
    }
    if let Some(source) = route.source {
        writer.attr_ip(RTA_SRC, source.address);
    }
    writer.attr_u32(RTA_TABLE, table);
    if let Some(metric) = route.metric {
        writer.attr_u32(RTA_PRIORITY, metric);
    }
    if let Some(prefsrc) = route.prefsrc {
        writer.attr_ip(RTA_PREFSRC, prefsrc);
    }
    match single {
        Some(hop) => {
            if let Some(ifindex) = hop.ifindex {
                writer.attr_u32(RTA_OIF, ifindex);
            }
            put_hop(family, hop, writer)?;
        }
        None if !route.hops.is_empty() => put_multipath(family, &route.hops, writer)?,
        None => {}
    }
    // IPv4 tells routes of one key apart by their metrics too.
    if !removal || family == Family::V4 {
        put_metrics(&route.metrics, writer)?;
    }
    if removal {
        return Ok(());
    }
    if let Some(seconds) = route.expires {
        writer.attr_u32(RTA_EXPIRES, seconds);
    }
    if let Some(pref) = route.pref {
        let value = match pref {
            RouterPreference::Medium => 0,
            RouterPreference::High => 1,
            RouterPreference::Low => 3,
        };
        writer.attr_u8(RTA_PREF, value);
    }
    if let Some(propagate) = route.ttl_propagate {
        writer.attr_u8(RTA_TTL_PROPAGATE, u8::from(propagate));
    }
    Ok(())
}

/// Writes the dump request of one family.
pub(crate) fn put_dump(family: Family, filter: RouteFilter, strict: bool, writer: &mut Writer) {
    writer.put_u8(family.to_kernel());
    writer.put(&[0; 4]);
    writer.put_u8(if strict { filter.protocol.unwrap_or(0) } else { 0 });
    writer.put(&[0; 6]);
    if strict {
        if let Some(table) = filter.table {
            writer.attr_u32(RTA_TABLE, table);
        }
        if let Some(ifindex) = filter.ifindex {
            writer.attr_u32(RTA_OIF, ifindex);
        }
    }
}

/// Refuses what would be sent in a form that the kernel reads as something else.
fn check(route: &Route) -> Result<(), KernelError> {
    let family = route.family();
    if route.source.is_some_and(|source| source.family() != family) {
        return Err(KernelError::Unsupported("route source of another family"));
    }
    if family == Family::V4 && route.source.is_some_and(|source| source.len > 0) {
        return Err(KernelError::Unsupported("IPv4 route with a source prefix"));
    }
    if route.prefsrc.is_some_and(|ip| Family::of(ip) != family) {
        return Err(KernelError::Unsupported("preferred source of another family"));
    }
    Ok(())
}

fn put_multipath(family: Family, hops: &[NextHop], writer: &mut Writer) -> Result<(), KernelError> {
    let mut result = Ok(());
    writer.enclose(RTA_MULTIPATH, |paths| {
        for hop in hops {
            paths.length_prefixed(|path| {
                path.put_u8(if hop.onlink { RTNH_F_ONLINK } else { 0 });
                path.put_u8(u8::try_from(hop.weight.saturating_sub(1)).unwrap_or(u8::MAX));
                path.put_u32(hop.ifindex.unwrap_or(0));
                if let Err(error) = put_hop(family, hop, path) {
                    result = Err(error);
                }
            });
        }
    });
    result
}

/// Writes gateway, realms and tunnel of a next hop.
fn put_hop(family: Family, hop: &NextHop, writer: &mut Writer) -> Result<(), KernelError> {
    match hop.gateway {
        Some(gateway) if Family::of(gateway) == family => writer.attr_ip(RTA_GATEWAY, gateway),
        Some(gateway @ IpAddr::V6(_)) => writer.enclose(RTA_VIA, |via| {
            via.put_u16(u16::from(Family::V6.to_kernel()));
            if let IpAddr::V6(ip) = gateway {
                via.put(&ip.octets());
            }
        }),
        Some(IpAddr::V4(_)) => {
            return Err(KernelError::Unsupported("IPv6 route by an IPv4 gateway"));
        }
        None => {}
    }
    if let Some(realms) = hop.realms {
        writer.attr_u32(RTA_FLOW, realms_number(realms));
    }
    match &hop.encap {
        Some(encap) => put_encap(encap, writer),
        None => Ok(()),
    }
}

fn put_encap(encap: &Encap, writer: &mut Writer) -> Result<(), KernelError> {
    match encap {
        Encap::Mpls { labels, ttl } => {
            let Some(last) = labels.len().checked_sub(1) else {
                return Err(KernelError::Unsupported("MPLS tunnel without a label"));
            };
            if labels.iter().any(|label| *label >= 1 << 20) {
                return Err(KernelError::Unsupported("MPLS label beyond 20 bits"));
            }
            writer.attr_u16(RTA_ENCAP_TYPE, ENCAP_MPLS);
            writer.nest(RTA_ENCAP, |inner| {
                inner.enclose(1, |stack| {
                    for (index, label) in labels.iter().enumerate() {
                        let bottom = u32::from(index == last);
                        stack.put(&(label << 12 | bottom << 8).to_be_bytes());
                    }
                });
                if let Some(ttl) = ttl {
                    inner.attr_u8(2, *ttl);
                }
            });
            Ok(())
        }
        Encap::Ip { id, dst, src, ttl, tos, flags } => {
            let ends = [*dst, *src];
            if ends.iter().flatten().any(IpAddr::is_ipv6) {
                return Err(KernelError::Unsupported("IPv4 tunnel with an IPv6 end"));
            }
            put_ip_tunnel(ENCAP_IP, *id, ends, [*ttl, *tos], *flags, writer);
            Ok(())
        }
        Encap::Ip6 { id, dst, src, hop_limit, traffic_class, flags } => {
            let ends = [*dst, *src];
            if ends.iter().flatten().any(IpAddr::is_ipv4) {
                return Err(KernelError::Unsupported("IPv6 tunnel with an IPv4 end"));
            }
            put_ip_tunnel(ENCAP_IP6, *id, ends, [*hop_limit, *traffic_class], *flags, writer);
            Ok(())
        }
        Encap::Ila { .. } => Err(KernelError::Unsupported("encap ila")),
        Encap::Other(_) => Err(KernelError::Unsupported("a tunnel that is not mpls, ip or ip6")),
    }
}

/// The attributes of both IP tunnels have the same numbers.
fn put_ip_tunnel(
    kind: u16,
    id: Option<u64>,
    ends: [Option<IpAddr>; 2],
    bytes: [Option<u8>; 2],
    flags: Option<u16>,
    writer: &mut Writer,
) {
    writer.attr_u16(RTA_ENCAP_TYPE, kind);
    writer.nest(RTA_ENCAP, |inner| {
        if let Some(id) = id {
            inner.attr(1, &id.to_be_bytes());
        }
        for (number, end) in [2, 3].into_iter().zip(ends) {
            if let Some(ip) = end {
                inner.attr_ip(number, ip);
            }
        }
        for (number, byte) in [4, 5].into_iter().zip(bytes) {
            if let Some(value) = byte {
                inner.attr_u8(number, value);
            }
        }
        if let Some(flags) = flags {
            inner.attr(6, &flags.to_be_bytes());
        }
    });
}

fn put_metrics(metrics: &Metrics, writer: &mut Writer) -> Result<(), KernelError> {
    if metrics == &Metrics::default() {
        return Ok(());
    }
    if metrics.congestion_control.as_ref().is_some_and(|name| name.len() > 15) {
        return Err(KernelError::Unsupported("congestion control name beyond 15 bytes"));
    }
    writer.nest(RTA_METRICS, |inner| {
        let lock = metrics.locked.iter().fold(0, |bits, metric| bits | 1_u32 << *metric as u16);
        if lock != 0 {
            inner.attr_u32(RTAX_LOCK, lock);
        }
        for (metric, value) in &metrics.values {
            if *metric != Metric::CongestionControl {
                inner.attr_u32(*metric as u16, *value);
            }
        }
        if let Some(name) = &metrics.congestion_control {
            inner.attr_str(RTAX_CC_ALGO, name);
        }
    });
    Ok(())
}

/// Reads a route; none for cached ones, other families and incomplete messages.
pub(crate) fn parse(message: &Message<'_>) -> Option<Route> {
    let (head, attributes) = message.split(FIXED)?;
    let family = Family::from_kernel(head[0])?;
    let flags = u32_at(head, 8)?;
    if flags & RTM_F_CLONED != 0 {
        return None;
    }
    let mut route = Route {
        kind: kind_from(head[7]),
        destination: Prefix::new(family.unspecified(), head[1]),
        source: None,
        tos: head[3],
        table: u32::from(head[4]),
        protocol: head[5],
        scope: head[6],
        metric: None,
        prefsrc: None,
        hops: Vec::new(),
        metrics: Metrics::default(),
        expires: None,
        pref: None,
        ttl_propagate: None,
    };
    let mut hop = NextHop { onlink: flags & u32::from(RTNH_F_ONLINK) != 0, ..NextHop::default() };
    for attribute in attributes.clone() {
        match attribute.kind {
            RTA_DST => route.destination = Prefix::new(attribute.ip()?, head[1]),
            RTA_SRC => route.source = Some(Prefix::new(attribute.ip()?, head[2])),
            RTA_OIF => hop.ifindex = attribute.u32(),
            RTA_PRIORITY => route.metric = attribute.u32(),
            RTA_PREFSRC => route.prefsrc = attribute.ip(),
            RTA_METRICS => route.metrics = parse_metrics(attribute.nested()),
            RTA_MULTIPATH => route.hops = parse_multipath(attribute.data),
            RTA_CACHEINFO => {
                // Signed: a route that is about to vanish may be overdue.
                let ticks = u32_at(attribute.data, 8).map_or(0, |ticks| ticks as i32);
                route.expires = u32::try_from(ticks).ok().filter(|ticks| *ticks > 0);
                route.expires = route.expires.map(|ticks| ticks / USER_HZ);
            }
            RTA_TABLE => route.table = attribute.u32().unwrap_or(route.table),
            RTA_PREF => {
                route.pref = match attribute.u8()? {
                    0 => Some(RouterPreference::Medium),
                    1 => Some(RouterPreference::High),
                    3 => Some(RouterPreference::Low),
                    _ => None,
                }
            }
            RTA_TTL_PROPAGATE => route.ttl_propagate = attribute.u8().map(|value| value != 0),
            _ => {}
        }
    }
    if route.hops.is_empty() {
        parse_hop(&mut hop, attributes);
        if hop != NextHop::default() {
            hop.weight = 1;
            route.hops.push(hop);
        }
    }
    (route.destination.family() == family).then_some(route)
}

fn parse_multipath(mut bytes: &[u8]) -> Vec<NextHop> {
    let mut hops = Vec::new();
    while let Some(len) = u16_at(bytes, 0).map(usize::from) {
        let Some(path) = bytes.get(..len).filter(|path| path.len() >= 8) else { break };
        let mut hop = NextHop {
            ifindex: u32_at(path, 4).filter(|index| *index != 0),
            onlink: path[2] & RTNH_F_ONLINK != 0,
            weight: u16::from(path[3]) + 1,
            ..NextHop::default()
        };
        parse_hop(&mut hop, Attributes(&path[8..]));
        hops.push(hop);
        bytes = bytes.get((len + 3) & !3..).unwrap_or_default();
    }
    hops
}

fn parse_hop(hop: &mut NextHop, attributes: Attributes<'_>) {
    let mut encap_type = None;
    let mut encap = None;
    for attribute in attributes {
        match attribute.kind {
            RTA_GATEWAY => hop.gateway = attribute.ip(),
            RTA_VIA => hop.gateway = attribute.data.get(2..).and_then(crate::codec::ip),
            RTA_FLOW => hop.realms = attribute.u32().map(realms_from),
            RTA_ENCAP_TYPE => encap_type = attribute.u16(),
            RTA_ENCAP => encap = Some(attribute),
            _ => {}
        }
    }
    if let (Some(kind), Some(content)) = (encap_type.filter(|kind| *kind != 0), encap) {
        hop.encap = Some(parse_encap(kind, content));
    }
}

fn parse_encap(kind: u16, content: Attribute<'_>) -> Encap {
    let find = |number: u16| content.nested().find(|attribute| attribute.kind == number);
    let id = || find(1).and_then(|id| id.data.first_chunk::<8>().copied()).map(u64::from_be_bytes);
    let end = |number: u16| find(number).and_then(|end| end.ip()).filter(|ip| !ip.is_unspecified());
    let byte = |number: u16| find(number).and_then(|byte| byte.u8()).filter(|byte| *byte != 0);
    let flags =
        || find(6).and_then(|flags| flags.data.first_chunk::<2>().copied()).map(u16::from_be_bytes);
    match kind {
        ENCAP_MPLS => Encap::Mpls {
            labels: find(1)
                .map(|stack| {
                    let (entries, _) = stack.data.as_chunks::<4>();
                    entries.iter().map(|entry| u32::from_be_bytes(*entry) >> 12).collect()
                })
                .unwrap_or_default(),
            ttl: byte(2),
        },
        ENCAP_IP => Encap::Ip {
            id: id().filter(|id| *id != 0),
            dst: end(2),
            src: end(3),
            ttl: byte(4),
            tos: byte(5),
            flags: flags().filter(|flags| *flags != 0),
        },
        ENCAP_IP6 => Encap::Ip6 {
            id: id().filter(|id| *id != 0),
            dst: end(2),
            src: end(3),
            hop_limit: byte(4),
            traffic_class: byte(5),
            flags: flags().filter(|flags| *flags != 0),
        },
        other => Encap::Other(other),
    }
}

fn parse_metrics(attributes: Attributes<'_>) -> Metrics {
    let mut metrics = Metrics::default();
    let mut lock = 0;
    for attribute in attributes {
        match attribute.kind {
            RTAX_LOCK => lock = attribute.u32().unwrap_or(0),
            RTAX_CC_ALGO => metrics.congestion_control = Some(attribute.text()),
            kind => {
                if let (Some(metric), Some(value)) = (metric_from(kind), attribute.u32()) {
                    metrics.values.insert(metric, value);
                }
            }
        }
    }
    let locked = (0..32_u16).filter(|bit| lock & 1 << bit != 0).filter_map(metric_from);
    metrics.locked.extend(locked);
    metrics
}

fn metric_from(kind: u16) -> Option<Metric> {
    use Metric::{
        AdvMss, CongestionControl, Cwnd, FastOpenNoCookie, Features, HopLimit, InitCwnd, InitRwnd,
        Mtu, QuickAck, Reordering, RtoMin, Rtt, RttVar, SsThresh, Window,
    };
    let all = [
        Mtu,
        Window,
        Rtt,
        RttVar,
        SsThresh,
        Cwnd,
        AdvMss,
        Reordering,
        HopLimit,
        InitCwnd,
        Features,
        RtoMin,
        InitRwnd,
        QuickAck,
        CongestionControl,
        FastOpenNoCookie,
    ];
    all.into_iter().find(|metric| *metric as u16 == kind)
}

const KINDS: [(u8, RouteKind); 10] = [
    (1, RouteKind::Unicast),
    (2, RouteKind::Local),
    (3, RouteKind::Broadcast),
    (4, RouteKind::Anycast),
    (5, RouteKind::Multicast),
    (6, RouteKind::Blackhole),
    (7, RouteKind::Unreachable),
    (8, RouteKind::Prohibit),
    (9, RouteKind::Throw),
    (10, RouteKind::Nat),
];

fn kind_number(kind: RouteKind) -> u8 {
    if let RouteKind::Other(number) = kind {
        return number;
    }
    KINDS.iter().find(|(_, known)| *known == kind).map_or(0, |(number, _)| *number)
}

fn kind_from(number: u8) -> RouteKind {
    let known = KINDS.iter().find(|(known, _)| *known == number);
    known.map_or(RouteKind::Other(number), |(_, kind)| *kind)
}

/// Realms as the kernel packs them: source in the upper half.
pub(crate) fn realms_number(realms: Realms) -> u32 {
    u32::from(realms.source) << 16 | u32::from(realms.destination)
}

/// The reverse of [`realms_number`].
pub(crate) fn realms_from(value: u32) -> Realms {
    Realms { source: (value >> 16) as u16, destination: (value & 0xffff) as u16 }
}
