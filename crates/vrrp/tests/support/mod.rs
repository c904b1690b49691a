//! A LAN of nodes in virtual time: each node is an [`Engine`] with its own clock; between them are
//! segments that lose, delay, duplicate and cut. Used by the scenario tests, the cluster simulation
//! and the `simulate` example.
#![allow(dead_code, unreachable_pub)] // each of these uses a part of it

pub mod capture;
pub mod cluster;
pub mod lan;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU8;
use std::time::Duration;

use vrrp::{
    Family, Interface, InterfaceId, RouterConfig, Track, TrackKind, TrackerId, Transport,
    UnicastPeer, Version,
};

/// Interface number of a segment.
pub fn interface(segment: usize) -> Interface {
    Interface { id: InterfaceId(segment as u32 + 1), name: format!("eth{segment}") }
}

/// Address of a node on a segment.
pub fn address(node: usize, segment: usize, family: Family) -> IpAddr {
    let (node, segment) = (node as u16 + 1, segment as u16);
    match family {
        Family::V4 => Ipv4Addr::new(198, 51, 100, (segment * 64 + node) as u8).into(),
        Family::V6 => Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, segment + 1, node).into(),
    }
}

/// Virtual address number `n`.
pub fn vip(n: u16, family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(203, 0, 113, n as u8).into(),
        Family::V6 => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, n).into(),
    }
}

/// A multicast router with one address: VRID 51 on segment 0.
pub fn router(
    name: &str,
    node: usize,
    version: Version,
    family: Family,
    priority: u8,
) -> RouterConfig {
    router_at(name, node, 0, 51, version, family, priority)
}

/// A multicast router on a segment.
pub fn router_at(
    name: &str,
    node: usize,
    segment: usize,
    vrid: u8,
    version: Version,
    family: Family,
    priority: u8,
) -> RouterConfig {
    let vrid = NonZeroU8::new(vrid).expect("a VRID");
    let mut config = RouterConfig::new(name, interface(segment), version, family, vrid);
    config.priority = NonZeroU8::new(priority).expect("a priority");
    config.source = Some(address(node, segment, family));
    config.addresses = vec![vip(u16::from(vrid.get()), family)];
    config
}

/// Makes a router unicast between the first `nodes` nodes.
pub fn unicast(config: &mut RouterConfig, node: usize, segment: usize, nodes: usize) {
    let peers = (0..nodes)
        .filter(|&other| other != node)
        .map(|other| UnicastPeer {
            address: address(other, segment, config.family),
            min_ttl: None,
            max_ttl: None,
        })
        .collect();
    config.transport = Transport::Unicast { peers };
}

/// Something tracked.
pub fn script(id: u32, weight: Option<i32>) -> Track {
    Track {
        id: TrackerId(id),
        kind: TrackKind::Script,
        name: format!("chk{id}"),
        weight,
        reverse: false,
        holds_init: true,
    }
}

/// Milliseconds.
pub fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
