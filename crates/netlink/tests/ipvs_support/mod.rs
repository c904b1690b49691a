//! Random IPVS tables and requests in a small world, so that they meet; and the promises that the
//! plan must keep on any kernel.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use netlink::Family;
use netlink::ipvs::{
    Destination, Forwarding, Granularity, Held, IpvsKernel, Persistence, Plan, Request,
    SchedulerFlags, Service, ServiceKey, Strays, Table, Tunnel, TunnelChecksum, plan,
};
use proptest::prelude::*;
use standfast_netlink as netlink;

/// Those that any kernel with IPVS has; "twos" is often left out.
pub(crate) const SCHEDULERS: [&str; 13] =
    ["rr", "wrr", "lc", "wlc", "lblc", "lblcr", "sh", "mh", "dh", "fo", "ovf", "sed", "nq"];

pub(crate) fn socket(text: &str) -> SocketAddr {
    text.parse().expect("address and port")
}

pub(crate) fn key(text: &str) -> ServiceKey {
    text.parse().expect("a service")
}

/// The services of the small world.
pub(crate) fn keys() -> Vec<ServiceKey> {
    let texts = [
        "TCP 198.51.100.1:80",
        "UDP 198.51.100.1:80",
        "SCTP 198.51.100.2:80",
        "TCP [2001:db8::1]:80",
        "FWM 1",
        "FWM 1 IPv6",
    ];
    texts.into_iter().map(key).collect()
}

pub(crate) fn service(family: Family) -> impl Strategy<Value = Service> {
    let granularity = match family {
        Family::V4 => 8..=32_u8,
        Family::V6 => 1..=128_u8,
    };
    let persistence = proptest::option::of((1..1000_u32, granularity));
    let scheduler = proptest::sample::select(&SCHEDULERS[..]);
    (scheduler, 0..8_u32, any::<bool>(), persistence, proptest::option::weighted(0.1, Just("sip")))
        .prop_map(move |(scheduler, flags, one_packet, persistence, engine)| Service {
            scheduler: scheduler.to_owned(),
            flags: SchedulerFlags::from_bits_truncate(flags << 3),
            one_packet,
            persistence: persistence.map(|(timeout, len)| Persistence {
                timeout,
                granularity: Granularity::prefix(family, len),
            }),
            engine: engine.map(str::to_owned),
        })
}

fn tunnel() -> impl Strategy<Value = Tunnel> {
    let checksum = || prop_oneof![Just(TunnelChecksum::None), Just(TunnelChecksum::Full)];
    let any_checksum = prop_oneof![checksum(), Just(TunnelChecksum::Remote)];
    prop_oneof![
        Just(Tunnel::Ipip),
        (1..3_u16, any_checksum).prop_map(|(port, checksum)| Tunnel::Gue { port, checksum }),
        checksum().prop_map(|checksum| Tunnel::Gre { checksum }),
    ]
}

/// A destination that a service of this family can have.
pub(crate) fn destination(family: Family) -> impl Strategy<Value = (SocketAddr, Destination)> {
    let addresses = vec![
        (Family::V4, socket("198.51.100.11:80")),
        (Family::V4, socket("198.51.100.11:81")),
        (Family::V4, socket("198.51.100.12:80")),
        (Family::V4, socket("198.51.100.13:0")),
        (Family::V6, socket("[2001:db8::11]:80")),
        (Family::V6, socket("[2001:db8::12]:80")),
    ];
    let forwarding = prop_oneof![
        Just(Forwarding::Nat),
        Just(Forwarding::Dr),
        tunnel().prop_map(Forwarding::Tunnel)
    ];
    (proptest::sample::select(addresses), forwarding, 0..4_u32, 0..3_u32, 0..3_u32).prop_map(
        move |((of, address), mut forwarding, weight, upper, lower)| {
            if of != family && !matches!(forwarding, Forwarding::Tunnel(_)) {
                forwarding = Forwarding::Tunnel(Tunnel::Ipip);
            }
            let lower = lower.min(upper);
            (address, Destination { forwarding, weight, upper, lower })
        },
    )
}

fn entry() -> impl Strategy<Value = (ServiceKey, Service, Vec<(SocketAddr, Destination)>)> {
    proptest::sample::select(keys()).prop_flat_map(|key| {
        let family = key.family();
        (Just(key), service(family), proptest::collection::vec(destination(family), 0..5))
    })
}

pub(crate) fn table() -> impl Strategy<Value = Table> {
    proptest::collection::vec(entry(), 0..5).prop_map(|entries| {
        let mut table = Table::new();
        for (key, service, destinations) in entries {
            let entry = table.insert(key, service);
            for (address, destination) in destinations {
                entry.insert(address, destination);
            }
        }
        table
    })
}

pub(crate) fn strays() -> impl Strategy<Value = Strays> {
    prop_oneof![Just(Strays::Keep), Just(Strays::Remove)]
}

/// A request, sensible or not.
pub(crate) fn request() -> impl Strategy<Value = Request> {
    let service_request = proptest::sample::select(keys()).prop_flat_map(|key| {
        let odd = service(key.family()).prop_map(|mut service| {
            service.scheduler = "unheard-of".to_owned();
            service
        });
        let service = prop_oneof![9 => service(key.family()), 1 => odd];
        (service, any::<bool>()).prop_map(move |(service, new)| {
            if new { Request::NewService(key, service) } else { Request::SetService(key, service) }
        })
    });
    let removal = prop_oneof![
        8 => proptest::sample::select(keys()).prop_map(Request::DelService),
        1 => Just(Request::Flush),
        1 => proptest::option::of(proptest::sample::select(keys())).prop_map(Request::Zero),
    ];
    prop_oneof![3 => service_request, 6 => destination_request(), 1 => removal]
}

fn destination_request() -> impl Strategy<Value = Request> {
    let families = prop_oneof![Just(Family::V4), Just(Family::V6)];
    // Of either family: what a service of the other one cannot have is among it.
    let destination = families.prop_flat_map(destination);
    (proptest::sample::select(keys()), destination, 0..20_u8, 0..3_u8).prop_map(
        |(key, (mut address, mut destination), flaw, verb)| {
            match flaw {
                0 => destination.weight = 1 << 31,
                1 => (destination.upper, destination.lower) = (1, 2),
                2 => {
                    let checksum = TunnelChecksum::None;
                    let tunnel = Tunnel::Gue { port: 0, checksum };
                    destination.forwarding = Forwarding::Tunnel(tunnel);
                }
                3 => address = socket("224.0.0.1:80"),
                4 => address = socket("[fe80::1]:80"),
                5 => address = socket("0.0.0.0:80"),
                _ => {}
            }
            match verb {
                0 => Request::SetDestination(key, address, destination),
                1 => Request::DelDestination(key, address),
                _ => Request::NewDestination(key, address, destination),
            }
        },
    )
}

/// Requests that make a table out of nothing.
pub(crate) fn build(table: &Table) -> Vec<Request> {
    plan(&Table::new(), &Held::new(), table, Strays::Remove).requests
}

/// Whether a service has a server that takes new connections.
fn serves(table: &Table, key: &ServiceKey) -> bool {
    table
        .get(key)
        .is_some_and(|entry| entry.destinations().any(|(_, destination)| destination.weight > 0))
}

/// Leads a kernel through a sequence of desired states, and holds the plan to its promises at
/// each.
pub(crate) fn walk(kernel: &mut impl IpvsKernel, sequence: &[(Table, Strays)]) {
    let mut held = Held::new();
    let mut mirror = kernel.table().expect("the kernel's table");
    for (desired, strays) in sequence {
        let before = mirror.clone();
        let plan = plan(&before, &held, desired, *strays);
        promises(&plan, &before, &held, desired);
        let results = kernel.apply(&plan.requests);
        let settled = held.settle(plan, &results, &mut mirror);
        assert_eq!(settled, Default::default(), "from {before:#?} to {desired:#?}");
        let fresh = kernel.table().expect("the kernel's table");
        assert_eq!(mirror, fresh, "the mirror is the kernel");
        reached(&fresh, &before, &held, desired);
        let again = netlink::ipvs::plan(&fresh, &held, desired, *strays);
        assert!(again.is_empty(), "not idempotent: {:#?}", again.requests);
    }
}

/// What is true of a plan before it is carried out.
fn promises(plan: &Plan, before: &Table, held: &Held, desired: &Table) {
    let mut state = before.clone();
    let mut touched = BTreeSet::new();
    for request in &plan.requests {
        let key = request.service().expect("a plan is about services");
        assert!(
            desired.get(key).is_some() || held.contains(key),
            "{request:?} is not our business"
        );
        if let Request::DelService(key) = request {
            assert!(desired.get(key).is_none(), "{key} would lose connections and counters");
        }
        let address = match request {
            Request::NewDestination(_, address, _)
            | Request::SetDestination(_, address, _)
            | Request::DelDestination(_, address) => Some(*address),
            _ => None,
        };
        assert!(touched.insert((*key, address)), "{request:?} is the second about the same");
        let was = state.clone();
        state.absorb(request);
        assert_ne!(state, was, "{request:?} changes nothing");
        for (key, _) in desired.services() {
            if serves(before, key) && serves(desired, key) {
                assert!(serves(&state, key), "{key} has no server after {request:?}");
            }
        }
    }
}

/// What is true after a plan was carried out.
fn reached(fresh: &Table, before: &Table, held: &Held, desired: &Table) {
    for (key, wanted) in desired.services() {
        let entry = fresh.get(key).expect("it is there");
        assert_eq!(entry.service, wanted.service, "{key}");
        let (_, stay) = held.services().find(|(ours, _)| *ours == key).expect("it is ours");
        for (address, destination) in wanted.destinations() {
            assert_eq!(entry.get(address), Some(destination), "{key} {address}");
        }
        for (address, destination) in entry.destinations() {
            if wanted.get(address).is_none() {
                assert!(stay.contains(address), "{key}: {address} is not wanted");
                assert_eq!(before.destination(key, address), Some(destination), "{key} {address}");
            }
        }
    }
    for (key, entry) in before.services() {
        if desired.get(key).is_none() {
            assert!(fresh.get(key).is_none_or(|now| now == entry), "{key} is not ours");
        }
    }
    for (key, _) in held.services() {
        assert!(desired.get(key).is_some(), "{key} was let go");
    }
}
