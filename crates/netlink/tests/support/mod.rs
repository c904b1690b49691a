//! Random states of a kernel, and the properties that the differ must have on any kernel.

use std::net::IpAddr;

use proptest::prelude::*;
use standfast_netlink as netlink;

use netlink::desired::{
    Absent, AddressKey, Desired, Foreign, Ledger, Observed, Owner, Placement, RouteKey, Scope,
    WantedAddress, WantedRoute, WantedRule, reconcile,
};
use netlink::{
    AddMode, Address, AddressFlags, FOREVER, Family, Kernel, Metric, NextHop, Prefix, Request,
    Route, RouteKind, Rule, RuleAction,
};

/// A small world, so that entries meet: few addresses, few prefixes, few tables.
pub(crate) fn address(links: [u32; 2]) -> impl Strategy<Value = Address> {
    let v4 =
        (0..2_usize, 1..5_u8, prop_oneof![Just(24_u8), Just(32)], any::<bool>(), any::<bool>())
            .prop_map(move |(link, host, len, broadcast, link_scope)| {
                let mut address =
                    Address::new(links[link], IpAddr::from([198, 51, 100, host]), len);
                address.broadcast = broadcast.then(|| [198, 51, 100, 255].into());
                // The kernel refuses two scopes within one subnet.
                address.scope = if link_scope && len == 32 { 253 } else { 0 };
                address
            });
    let v6 = (0..2_usize, 1..4_u16, prop_oneof![Just(64_u8), Just(128)], any::<bool>()).prop_map(
        move |(link, host, len, deprecated)| {
            let ip = IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, host]);
            let mut address = Address::new(links[link], ip, len);
            address.flags = AddressFlags::NODAD | AddressFlags::NOPREFIXROUTE;
            address.preferred_lft = if deprecated { 0 } else { FOREVER };
            address
        },
    );
    prop_oneof![v4, v6]
}

pub(crate) fn route(links: [u32; 2]) -> impl Strategy<Value = Route> {
    let hop = (0..2_usize, proptest::option::of(1..4_u8));
    (any::<bool>(), 1..4_u8, 100..102_u32, hop, 0..3_u32, any::<bool>(), 0..5_u8).prop_map(
        move |(v6, net, table, (link, gateway), metric, with_mtu, shape)| {
            let destination = if v6 {
                Prefix::new(IpAddr::from([0x2001, 0xdb8, u16::from(net), 0, 0, 0, 0, 0]), 48)
            } else {
                Prefix::new(IpAddr::from([203, 0, 113, net * 16]), 28)
            };
            let gateway = gateway.map(|host| {
                if v6 {
                    IpAddr::from([0xfe80, 0, 0, 0, 0, 0, 0, u16::from(host)])
                } else {
                    IpAddr::from([198, 51, 100, 200 + host])
                }
            });
            // Without "onlink" the kernel would want a prefix that covers the gateway.
            let onlink = gateway.is_some();
            let hop = NextHop { ifindex: Some(links[link]), gateway, onlink, ..NextHop::default() };
            let mut route = Route::new(destination, vec![hop]);
            route.table = table;
            route.metric = Some(metric + 1);
            if shape == 0 {
                route.kind = RouteKind::Blackhole;
                route.hops.clear();
            } else if with_mtu {
                route.metrics.values.insert(Metric::Mtu, 1400);
            }
            route.scope = route.default_scope();
            route
        },
    )
}

pub(crate) fn rule() -> impl Strategy<Value = Rule> {
    // Few priorities: the kernel's removal takes any rule that has what is named, and more.
    (any::<bool>(), 500..502_u32, 100..102_u32, 0..5_u8).prop_map(|(v6, priority, table, shape)| {
        let family = if v6 { Family::V6 } else { Family::V4 };
        let mut rule = Rule::lookup(family, table);
        rule.priority = Some(priority);
        match shape {
            0 => rule.fwmark = Some((1, u32::MAX)),
            1 => {
                rule.action = RuleAction::Blackhole;
                rule.table = 0;
            }
            2 => rule.iif = Some("lo".into()),
            3 => {
                rule.iif = Some("lo".into());
                rule.fwmark = Some((1, u32::MAX));
            }
            _ => {}
        }
        rule
    })
}

/// What somebody else has put into the kernel.
pub(crate) fn foreign(links: [u32; 2]) -> impl Strategy<Value = Vec<Request>> {
    let address = address(links).prop_map(|mut address| {
        address.proto = 0;
        Request::AddAddress { address, mode: AddMode::Exclusive }
    });
    let route = route(links).prop_map(|mut route| {
        route.protocol = 4;
        Request::PrependRoute(route)
    });
    let rule = rule().prop_map(|mut rule| {
        rule.protocol = 4;
        Request::AddRule(rule)
    });
    proptest::collection::vec(prop_oneof![address, route, rule], 0..8)
}

pub(crate) fn desired(links: [u32; 2]) -> impl Strategy<Value = Desired> {
    let how = || prop_oneof![Just(Foreign::Adopt), Just(Foreign::Share)];
    let addresses = proptest::collection::vec((address(links), how()), 0..4);
    let routes = proptest::collection::vec((route(links), how()), 0..4);
    let rules = proptest::collection::vec((rule(), how()), 0..4);
    let absent = proptest::collection::vec(address(links), 0..2);
    (addresses, routes, rules, absent).prop_map(|(addresses, routes, rules, absent)| {
        let mut desired = Desired {
            absent: Absent { addresses: absent, ..Absent::default() },
            ..Desired::default()
        };
        for (address, foreign) in addresses {
            // A configuration that names one address twice is refused long before.
            let key = AddressKey::of(&address);
            if desired.addresses.iter().all(|known| AddressKey::of(&known.address) != key) {
                desired.addresses.push(WantedAddress { address, foreign });
            }
        }
        for (route, foreign) in routes {
            let key = RouteKey::of(&route);
            if desired.routes.iter().all(|known| RouteKey::of(&known.route) != key) {
                desired.routes.push(WantedRoute { route, placement: Placement::Prepend, foreign });
            }
        }
        for (rule, foreign) in rules {
            if desired.rules.iter().all(|known| known.rule != rule) {
                desired.rules.push(WantedRule { rule, foreign });
            }
        }
        desired
    })
}

pub(crate) const OWNER: Owner = Owner(1);

/// Leads a kernel from whatever is in it through a sequence of desired states, and holds the
/// differ to its promises at each.
pub(crate) fn walk(kernel: &mut impl Kernel, sequence: &[Desired]) {
    let mut ledger = Ledger::new();
    let mut observed = Observed::read(kernel, Scope::ALL).expect("dump");
    let foreign = observed.clone();
    let mut mentioned: Vec<AddressKey> = Vec::new();
    for desired in sequence {
        let wanted = desired.addresses.iter().map(|wanted| AddressKey::of(&wanted.address));
        mentioned.extend(wanted.chain(desired.absent.addresses.iter().map(AddressKey::of)));
        step(kernel, &mut ledger, &mut observed, desired);
        for address in foreign.addresses() {
            let key = AddressKey::of(address);
            assert!(
                mentioned.contains(&key)
                    || observed.address(&key).is_some_and(|it| same(it, address)),
                "{address:?} is nobody's business and was touched"
            );
        }
    }
    let nothing = Desired::default();
    step(kernel, &mut ledger, &mut observed, &nothing);
    assert_eq!(ledger.count(OWNER), 0);
    let left = observed.marked();
    assert_eq!((left.addresses.len(), left.routes.len(), left.rules.len()), (0, 0, 0), "{left:?}");
}

/// A foreign address may be promoted to the first of its subnet when ours goes.
fn same(have: &Address, was: &Address) -> bool {
    *have == Address { flags: have.flags, ..was.clone() }
        && (have.flags ^ was.flags) - AddressFlags::SECONDARY == AddressFlags::empty()
}

fn step(kernel: &mut impl Kernel, ledger: &mut Ledger, observed: &mut Observed, desired: &Desired) {
    let before = observed.clone();
    let settled = reconcile(kernel, ledger, observed, &[(OWNER, desired)]);
    assert!(settled.failures.is_empty(), "{:#?}", settled.failures);

    // The truth is what a fresh dump says.
    let fresh = Observed::read(kernel, Scope::ALL).expect("dump");
    for wanted in &desired.addresses {
        let key = AddressKey::of(&wanted.address);
        assert!(fresh.address(&key).is_some(), "missing {wanted:?} after {before:#?}");
    }
    for wanted in &desired.routes {
        let at = fresh.routes_at(&RouteKey::of(&wanted.route));
        assert!(!at.is_empty(), "missing {wanted:?} after {before:#?}");
    }
    let again = ledger.plan(&[(OWNER, desired)], &fresh);
    assert!(again.is_empty(), "not idempotent: {:#?} after {before:#?}", again.requests);
    // The mirror has followed without asking.
    let again = ledger.plan(&[(OWNER, desired)], observed);
    assert!(again.is_empty(), "the mirror disagrees: {:#?}", again.requests);
    *observed = fresh;
}
