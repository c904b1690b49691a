//! The engine on the real kernel, in network namespaces; `ip` is the second opinion.

mod namespace;
mod support;

use std::net::IpAddr;
use std::time::{Duration, Instant};

use namespace::{inside, run, veth};
use netlink::desired::{Desired, Foreign, Ledger, Observed, Owner, Scope, WantedAddress};
use netlink::{
    AddMode, AddrGenMode, Address, AddressFilter, AddressFlags, Encap, Family, Groups, Kernel as _,
    KernelError, Link, LinkFlags, LinkKind, MacvlanMode, Metric, Monitor, MonitorEvent,
    MonitorOptions, Netlink, NetlinkOptions, NextHop, PortRange, Prefix, Realms, Request, Route,
    RouteFilter, RouteKind, RouterPreference, Rule, RuleAction,
};
use nix::errno::Errno;
use standfast_netlink as netlink;

fn open() -> Netlink {
    Netlink::open().expect("netlink")
}

#[track_caller]
fn done(kernel: &mut Netlink, request: Request) {
    let mut results = kernel.apply(std::slice::from_ref(&request));
    if let Some(Err(error)) = results.pop() {
        panic!("{request:?}: {error}");
    }
}

fn link(kernel: &mut Netlink, name: &str) -> Link {
    let links = kernel.links().expect("links");
    links.into_iter().find(|link| link.name == name).expect("the interface exists")
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn prefix(text: &str) -> Prefix {
    let (address, len) = text.split_once('/').expect("a prefix");
    Prefix::new(ip(address), len.parse().expect("a length"))
}

fn add(address: &Address) -> Request {
    Request::AddAddress { address: address.clone(), mode: AddMode::Exclusive }
}

#[test]
fn addresses_with_every_option_are_added_as_asked_and_removed() {
    inside("addresses_with_every_option_are_added_as_asked_and_removed", || {
        veth("v0", "v1");
        let mut kernel = open();
        let v0 = link(&mut kernel, "v0").index;
        let plain = Address::new(v0, ip("198.51.100.1"), 32);
        let rich = Address {
            broadcast: Some([198, 51, 100, 255].into()),
            label: Some("v0:vip".into()),
            scope: 253,
            flags: AddressFlags::NOPREFIXROUTE,
            preferred_lft: 0,
            ..Address::new(v0, ip("198.51.100.2"), 24)
        };
        let peer = Address {
            peer: Some(ip("203.0.113.9")),
            valid_lft: 1000,
            preferred_lft: 500,
            ..Address::new(v0, ip("203.0.113.1"), 32)
        };
        let v6 = Address {
            flags: AddressFlags::NODAD | AddressFlags::HOME | AddressFlags::NOPREFIXROUTE,
            preferred_lft: 0,
            ..Address::new(v0, ip("2001:db8::1"), 128)
        };
        let v6_peer = Address {
            peer: Some(ip("2001:db8::9")),
            flags: AddressFlags::NODAD,
            ..Address::new(v0, ip("2001:db8::2"), 128)
        };
        let all = [plain, rich, peer, v6, v6_peer];
        for address in &all {
            done(&mut kernel, add(address));
        }
        let filter = AddressFilter { ifindex: Some(v0), family: None };
        let dumped = kernel.addresses(filter).expect("addresses");
        for wanted in &all {
            let have = dumped.iter().find(|have| have.ip == wanted.ip).expect("it is there");
            assert_eq!(have.prefix_len, wanted.prefix_len);
            assert_eq!(have.peer, wanted.peer);
            assert_eq!(have.broadcast, wanted.broadcast);
            assert_eq!(have.scope, wanted.scope);
            assert_eq!(have.flags & AddressFlags::SETTABLE, wanted.flags, "{wanted:?}");
            assert!(wanted.label.is_none() || have.label == wanted.label);
            assert!(have.is_ours(), "the kernel keeps the mark");
        }
        let text = run("ip -o address show dev v0");
        for expected in [
            "198.51.100.1/32 scope global proto 0x5f v0",
            "198.51.100.2/24 brd 198.51.100.255 scope link deprecated noprefixroute proto 0x5f v0:vip",
            "203.0.113.1 peer 203.0.113.9/32",
            "2001:db8::1/128 scope global nodad home deprecated noprefixroute",
            "2001:db8::2 peer 2001:db8::9/128 scope global nodad",
        ] {
            // Older versions of ip do not print the mark.
            let without_mark = expected.replace(" proto 0x5f", "");
            let found = text.contains(expected) || text.contains(&without_mark);
            assert!(found, "no {expected:?} in\n{text}");
        }
        let deletes: Vec<_> = all.iter().cloned().map(Request::DelAddress).collect();
        assert!(kernel.apply(&deletes).iter().all(Result::is_ok));
        let left = kernel.addresses(filter).expect("addresses");
        assert!(left.iter().all(|left| all.iter().all(|gone| gone.ip != left.ip)), "{left:?}");
        let again = kernel.apply(&deletes);
        assert!(again.iter().all(|it| it.as_ref().is_err_and(KernelError::already_gone)));
    });
}

#[test]
fn filters_and_families_select_addresses() {
    inside("filters_and_families_select_addresses", || {
        veth("v0", "v1");
        let mut kernel = open();
        let (v0, v1) = (link(&mut kernel, "v0").index, link(&mut kernel, "v1").index);
        done(&mut kernel, add(&Address::new(v0, ip("198.51.100.1"), 32)));
        done(&mut kernel, add(&Address::new(v1, ip("198.51.100.2"), 32)));
        done(&mut kernel, add(&Address::new(v1, ip("2001:db8::1"), 128)));
        let of = |kernel: &mut Netlink, family, ifindex| -> Vec<IpAddr> {
            let dumped = kernel.addresses(AddressFilter { family, ifindex }).expect("addresses");
            let ours = dumped.iter().filter(|address| address.is_ours());
            ours.map(|address| address.ip).collect()
        };
        let found = of(&mut kernel, Some(Family::V4), Some(v1));
        assert_eq!(found, [ip("198.51.100.2")]);
        assert_eq!(of(&mut kernel, None, Some(v0)), [ip("198.51.100.1")]);
        assert_eq!(of(&mut kernel, Some(Family::V6), None), [ip("2001:db8::1")]);
    });
}

#[test]
fn refusals_carry_the_number_and_the_kernel_s_words() {
    inside("refusals_carry_the_number_and_the_kernel_s_words", || {
        let mut kernel = open();
        let lo = link(&mut kernel, "lo").index;
        let good = Address::new(lo, ip("198.51.100.1"), 32);
        let destination = prefix("203.0.113.0/24");
        let unreachable = Route::new(destination, vec![NextHop::via(ip("192.0.2.1"))]);
        let long = Address { label: Some("a label that is too long".into()), ..good.clone() };
        let results = kernel.apply(&[
            add(&good),
            add(&good),
            add(&Address { ifindex: 9999, ..good.clone() }),
            add(&long),
            Request::AddRoute(unreachable),
            Request::DelAddress(good.clone()),
        ]);
        assert_eq!(results[0], Ok(()));
        assert!(results[1].as_ref().is_err_and(KernelError::already_exists));
        assert_eq!(results[2].as_ref().unwrap_err().errno(), Some(Errno::ENODEV));
        assert!(matches!(results[3], Err(KernelError::Unsupported(_))));
        let text = results[4].as_ref().unwrap_err().to_string();
        assert!(text.contains("Nexthop has invalid gateway"), "{text}");
        assert_eq!(results[5], Ok(()), "what follows a refusal is carried out");
    });
}

/// Routes and what `ip` says of them.
fn routes(v0: u32, v1: u32) -> Vec<(Route, &'static str)> {
    let via = NextHop::via_dev(ip("198.51.100.254"), v0);
    let to = |text: &str, hop: NextHop| Route::new(prefix(text), vec![hop]);
    let kind = |text: &str, kind: RouteKind| {
        let mut route = Route::new(prefix(text), vec![]);
        route.kind = kind;
        route
    };
    let mut metrics = to("203.0.113.16/28", via.clone());
    metrics.metrics.values = [
        (Metric::Mtu, 1400),
        (Metric::AdvMss, 1360),
        (Metric::HopLimit, 9),
        (Metric::InitCwnd, 20),
        (Metric::InitRwnd, 21),
        (Metric::RtoMin, 250),
        (Metric::QuickAck, 1),
        (Metric::Features, 1),
        (Metric::FastOpenNoCookie, 1),
        (Metric::Window, 9000),
        (Metric::Reordering, 5),
    ]
    .into();
    metrics.metrics.locked = [Metric::Mtu].into();
    metrics.metrics.congestion_control = Some("cubic".into());
    let mut onlink = to("203.0.113.32/28", NextHop::via_dev(ip("192.0.2.1"), v1));
    onlink.hops[0].onlink = true;
    let weighted = |gateway: &str, dev: u32, weight: u16| NextHop {
        weight,
        onlink: true,
        ..NextHop::via_dev(ip(gateway), dev)
    };
    let tunnel = NextHop {
        encap: Some(Encap::Ip {
            id: Some(7),
            dst: Some(ip("192.0.2.9")),
            src: None,
            ttl: Some(12),
            tos: None,
            flags: None,
        }),
        ..NextHop::dev(v0)
    };
    let tunnel6 = NextHop {
        encap: Some(Encap::Ip6 {
            id: Some(8),
            dst: Some(ip("2001:db8::99")),
            src: None,
            hop_limit: Some(13),
            traffic_class: None,
            flags: None,
        }),
        ..NextHop::dev(v0)
    };
    let mut v6 = to("2001:db8:1::/48", NextHop::via_dev(ip("fe80::1"), v0));
    v6.metric = Some(77);
    v6.pref = Some(RouterPreference::High);
    v6.expires = Some(1000);
    v6.source = Some(prefix("2001:db8:ff::/48"));
    vec![
        (to("203.0.113.1/32", NextHop::dev(v0)), "203.0.113.1 dev v0 proto keepalived scope link"),
        (
            Route {
                prefsrc: Some(ip("198.51.100.1")),
                metric: Some(5),
                tos: 0x10,
                table: 70_000,
                ..to("203.0.113.2/32", via.clone())
            },
            "203.0.113.2 tos 0x10 via 198.51.100.254 dev v0 table 70000 proto keepalived \
             src 198.51.100.1 metric 5",
        ),
        (
            metrics,
            "203.0.113.16/28 via 198.51.100.254 dev v0 proto keepalived mtu lock 1400 window 9000 \
             advmss 1360 reordering 5 hoplimit 9 initcwnd 20 features ecn rto_min 250ms \
             initrwnd 21 quickack 1 congctl cubic fastopen_no_cookie 1",
        ),
        (onlink, "203.0.113.32/28 via 192.0.2.1 dev v1 proto keepalived onlink"),
        (
            Route::new(
                prefix("203.0.113.48/28"),
                vec![weighted("192.0.2.1", v0, 3), weighted("192.0.2.2", v1, 256)],
            ),
            "203.0.113.48/28 proto keepalived nexthop via 192.0.2.1 dev v0 weight 3 onlink \
             nexthop via 192.0.2.2 dev v1 weight 256 onlink",
        ),
        (
            to("203.0.113.64/28", NextHop::via_dev(ip("fe80::2"), v0)),
            "203.0.113.64/28 via inet6 fe80::2 dev v0 proto keepalived",
        ),
        (kind("203.0.113.80/28", RouteKind::Blackhole), "blackhole 203.0.113.80/28 proto"),
        (kind("203.0.113.96/28", RouteKind::Unreachable), "unreachable 203.0.113.96/28 proto"),
        (kind("203.0.113.112/28", RouteKind::Prohibit), "prohibit 203.0.113.112/28 proto"),
        (kind("203.0.113.128/28", RouteKind::Throw), "throw 203.0.113.128/28 proto"),
        (
            to("203.0.113.144/28", tunnel),
            "203.0.113.144/28 encap ip id 7 src 0.0.0.0 dst 192.0.2.9 ttl 12 tos 0 dev v0",
        ),
        (v6, "2001:db8:1::/48 from 2001:db8:ff::/48 via fe80::1 dev v0 proto keepalived metric 77"),
        (
            Route::new(
                prefix("2001:db8:2::/48"),
                vec![NextHop::via_dev(ip("fe80::1"), v0), NextHop::via_dev(ip("fe80::2"), v1)],
            ),
            "2001:db8:2::/48 proto keepalived metric 1024 pref medium nexthop via fe80::1 dev v0 \
             weight 1 nexthop via fe80::2 dev v1 weight 1",
        ),
        (
            kind("2001:db8:3::/48", RouteKind::Blackhole),
            "blackhole 2001:db8:3::/48 dev lo proto keepalived metric 1024",
        ),
        (
            to("2001:db8:4::/48", tunnel6),
            "2001:db8:4::/48 encap ip6 id 8 src :: dst 2001:db8::99 hoplimit 13 tc 0 dev v0",
        ),
        (to("0.0.0.0/0", via), "default via 198.51.100.254 dev v0 proto keepalived"),
    ]
}

#[test]
fn routes_of_every_kind_are_added_as_asked_and_removed() {
    inside("routes_of_every_kind_are_added_as_asked_and_removed", || {
        veth("v0", "v1");
        let mut kernel = open();
        let (v0, v1) = (link(&mut kernel, "v0").index, link(&mut kernel, "v1").index);
        done(&mut kernel, add(&Address::new(v0, ip("198.51.100.1"), 24)));
        let mut observed = Observed::empty(Scope::ALL);
        let mut ledger = Ledger::new();
        for (route, expected) in routes(v0, v1) {
            done(&mut kernel, Request::AddRoute(route.clone()));
            let show = format!("ip -{} route show table all", version(&route));
            let text = squeezed(&run(&show));
            assert!(text.contains(expected), "no {expected:?} in {text}");

            // What the kernel reports satisfies the differ: nothing left to do.
            observed = Observed::read(&mut kernel, Scope::ALL).expect("dump");
            let wanted = netlink::desired::WantedRoute {
                route: route.clone(),
                placement: Default::default(),
                foreign: Foreign::Adopt,
            };
            let desired = Desired { routes: vec![wanted], ..Desired::default() };
            let plan = ledger.plan(&[(Owner(1), &desired)], &observed);
            assert!(plan.is_empty(), "{:#?}\n{:#?}", plan.requests, observed.marked().routes);

            done(&mut kernel, Request::DelRoute(route.clone()));
            let text = run(&show);
            assert!(!text.contains("keepalived"), "{text} after removing {route:?}");
        }
        let plan = ledger.plan(&[(Owner(1), &Desired::default())], &observed);
        let results = kernel.apply(&plan.requests);
        ledger.settle(plan, &results, &mut observed);
    });
}

fn version(route: &Route) -> u8 {
    if route.family() == Family::V4 { 4 } else { 6 }
}

fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn routes_are_placed_replaced_and_filtered() {
    inside("routes_are_placed_replaced_and_filtered", || {
        veth("v0", "v1");
        let mut kernel = open();
        let (v0, v1) = (link(&mut kernel, "v0").index, link(&mut kernel, "v1").index);
        done(&mut kernel, add(&Address::new(v0, ip("198.51.100.1"), 24)));
        let by = |host: u8| {
            let hop = NextHop::via_dev([198, 51, 100, host].into(), v0);
            Route { table: 100, ..Route::new(prefix("203.0.113.0/24"), vec![hop]) }
        };
        let order = |kernel: &mut Netlink| -> Vec<IpAddr> {
            let filter = RouteFilter { table: Some(100), ..RouteFilter::default() };
            let routes = kernel.routes(filter).expect("routes");
            routes.iter().filter_map(|route| route.hops[0].gateway).collect()
        };
        assert_eq!(order(&mut kernel), Vec::<IpAddr>::new(), "a table that does not exist");
        done(&mut kernel, Request::AddRoute(by(2)));
        let refused = kernel.apply(&[Request::AddRoute(by(3))]);
        assert!(refused[0].as_ref().is_err_and(KernelError::already_exists));
        done(&mut kernel, Request::PrependRoute(by(3)));
        done(&mut kernel, Request::AppendRoute(by(4)));
        let gateways = |hosts: &[u8]| -> Vec<IpAddr> {
            hosts.iter().map(|host| IpAddr::from([198, 51, 100, *host])).collect()
        };
        assert_eq!(order(&mut kernel), gateways(&[3, 2, 4]));
        done(&mut kernel, Request::ReplaceRoute(by(5)));
        assert_eq!(order(&mut kernel), gateways(&[5, 2, 4]));
        let filter = RouteFilter { ifindex: Some(v1), ..RouteFilter::default() };
        let on_v1 = kernel.routes(filter).expect("routes");
        assert!(on_v1.iter().all(|route| route.table != 100), "{on_v1:?}");
        let filter = RouteFilter { protocol: Some(18), ..RouteFilter::default() };
        assert_eq!(kernel.routes(filter).expect("routes").len(), 3);
    });
}

fn rules() -> Vec<(Rule, &'static str)> {
    let base = |priority: u32| Rule { priority: Some(priority), ..Rule::lookup(Family::V4, 100) };
    let v6 = |priority: u32| Rule { family: Family::V6, ..base(priority) };
    let action = |priority: u32, action: RuleAction| Rule { action, table: 0, ..base(priority) };
    vec![
        (
            Rule {
                from: Some(prefix("198.51.100.0/24")),
                to: Some(prefix("203.0.113.1/32")),
                invert: true,
                ..base(500)
            },
            "500: not from 198.51.100.0/24 to 203.0.113.1 lookup 100 proto keepalived",
        ),
        (
            Rule { iif: Some("lo".into()), oif: Some("v9".into()), tos: 0x10, ..base(501) },
            "501: from all tos 0x10 iif lo oif v9 [detached] lookup 100 proto keepalived",
        ),
        (
            Rule { fwmark: Some((0x1f, 0xff)), table: 70_000, ..base(502) },
            "502: from all fwmark 0x1f/0xff lookup 70000 proto keepalived",
        ),
        (
            Rule {
                uid_range: Some((0, 0)),
                ip_proto: Some(6),
                sport: Some(PortRange { first: 80, last: 90 }),
                dport: Some(PortRange { first: 443, last: 443 }),
                ..base(503)
            },
            "503: from all uidrange 0-0 ipproto tcp sport 80-90 dport 443 lookup 100",
        ),
        (
            Rule { suppress_prefixlength: Some(8), suppress_ifgroup: Some(9), ..base(504) },
            "504: from all lookup 100 suppress_prefixlength 8 suppress_ifgroup 9",
        ),
        (
            Rule { tun_id: Some(77), ..base(505) },
            "505: from all tun_id 77 lookup 100 proto keepalived",
        ),
        (action(506, RuleAction::Blackhole), "506: from all blackhole proto keepalived"),
        (action(507, RuleAction::Unreachable), "507: from all unreachable proto keepalived"),
        (action(508, RuleAction::Prohibit), "508: from all prohibit proto keepalived"),
        (action(509, RuleAction::Nop), "509: from all nop proto keepalived"),
        (action(510, RuleAction::Goto(32766)), "510: from all goto 32766 proto keepalived"),
        (Rule { from: Some(prefix("2001:db8::/32")), ..v6(511) }, "511: from 2001:db8::/32 lookup"),
    ]
}

#[test]
fn rules_of_every_kind_are_added_as_asked_and_removed() {
    inside("rules_of_every_kind_are_added_as_asked_and_removed", || {
        let mut kernel = open();
        for (rule, expected) in rules() {
            done(&mut kernel, Request::AddRule(rule.clone()));
            let again = kernel.apply(&[Request::AddRule(rule.clone())]);
            assert!(again[0].as_ref().is_err_and(KernelError::already_exists), "{again:?}");
            let version = if rule.family == Family::V4 { 4 } else { 6 };
            let text = squeezed(&run(&format!("ip -{version} rule show")));
            assert!(text.contains(expected), "no {expected:?} in {text}");
            let dumped = kernel.rules(Some(rule.family)).expect("rules");
            assert!(dumped.contains(&rule), "{rule:#?} is not in {dumped:#?}");
            done(&mut kernel, Request::DelRule(rule.clone()));
            assert!(!kernel.rules(None).expect("rules").contains(&rule));
        }
        // Kernels without realms or l3mdev refuse these; they are never taken for something else.
        let realms = Realms { source: 1, destination: 2 };
        let realms =
            Rule { realms: Some(realms), priority: Some(600), ..Rule::lookup(Family::V4, 100) };
        let l3mdev = Rule { l3mdev: true, priority: Some(1000), ..Rule::lookup(Family::V4, 0) };
        for rule in [realms, l3mdev] {
            if kernel.apply(&[Request::AddRule(rule.clone())])[0].is_ok() {
                assert!(kernel.rules(Some(Family::V4)).expect("rules").contains(&rule));
            }
        }
    });
}

#[test]
fn a_macvlan_is_made_changed_and_removed() {
    inside("a_macvlan_is_made_changed_and_removed", || {
        veth("v0", "v1");
        let mut kernel = open();
        let parent = link(&mut kernel, "v0").index;
        let mac = [0, 0, 0x5e, 0, 1, 51];
        let create = Request::CreateMacvlan {
            parent,
            name: "vrrp.51".into(),
            mode: MacvlanMode::Private,
            mac: Some(mac),
            group: Some(5),
        };
        done(&mut kernel, create);
        let vmac = link(&mut kernel, "vrrp.51");
        assert_eq!(vmac.kind, Some(LinkKind::Macvlan { mode: MacvlanMode::Private }));
        assert_eq!((vmac.parent, vmac.parent_elsewhere, vmac.group), (Some(parent), false, 5));
        assert_eq!(vmac.hw_address, mac);
        assert!(!vmac.flags.contains(LinkFlags::UP));
        let ifindex = vmac.index;
        let mode = AddrGenMode::None;
        done(&mut kernel, Request::SetAddrGenMode { ifindex, mode });
        done(&mut kernel, Request::SetLinkUp { ifindex });
        let vmac = link(&mut kernel, "vrrp.51");
        assert!(vmac.is_running());
        assert_eq!(vmac.addr_gen_mode, Some(AddrGenMode::None));
        let filter = AddressFilter { ifindex: Some(ifindex), family: None };
        assert_eq!(kernel.addresses(filter).expect("addresses"), [], "no link-local address");
        done(&mut kernel, Request::SetLinkDown { ifindex });
        done(&mut kernel, Request::SetLinkMac { ifindex, mac: [2, 0, 0, 0, 0, 9] });
        done(&mut kernel, Request::RenameLink { ifindex, name: "other".into() });
        assert_eq!(link(&mut kernel, "other").hw_address, [2, 0, 0, 0, 0, 9]);
        done(&mut kernel, Request::DelLink { ifindex });
        assert!(kernel.links().expect("links").iter().all(|link| link.index != ifindex));
        let veth = link(&mut kernel, "v0");
        assert_eq!((veth.kind, veth.mtu, veth.hw_type), (Some(LinkKind::Veth), 1500, 1));
        assert!(link(&mut kernel, "lo").is_loopback());
    });
}

#[test]
fn a_bridge_port_is_enslaved_and_let_go_without_vanishing() {
    inside("a_bridge_port_is_enslaved_and_let_go_without_vanishing", || {
        veth("v0", "v1");
        run("ip link add br0 type bridge");
        let mut kernel = open();
        let (v0, br0) = (link(&mut kernel, "v0").index, link(&mut kernel, "br0").index);
        let mut monitor = Monitor::open().expect("monitor");
        done(&mut kernel, Request::SetLinkMaster { ifindex: v0, master: Some(br0) });
        assert_eq!(link(&mut kernel, "v0").master, Some(br0));
        done(&mut kernel, Request::SetLinkMaster { ifindex: v0, master: None });
        let events: Vec<_> = monitor.by_ref().collect();
        assert!(events.iter().any(
            |event| matches!(event, MonitorEvent::LinkChanged(link) if link.master == Some(br0))
        ));
        // The kernel says "removed" of the port, not of the interface.
        assert!(!events.iter().any(|event| matches!(event, MonitorEvent::LinkRemoved(_))));
        assert_eq!(link(&mut kernel, "br0").kind, Some(LinkKind::Bridge));
    });
}

#[test]
fn the_monitor_tells_every_change_and_then_nothing() {
    inside("the_monitor_tells_every_change_and_then_nothing", || {
        veth("v0", "v1");
        let mut kernel = open();
        let v0 = link(&mut kernel, "v0").index;
        let mut monitor = Monitor::open().expect("monitor");
        assert_eq!(monitor.next(), None);
        let address = Address::new(v0, ip("198.51.100.1"), 24);
        let hop = NextHop::via_dev(ip("198.51.100.9"), v0);
        let route = Route::new(prefix("203.0.113.0/24"), vec![hop]);
        let rule = Rule { priority: Some(500), ..Rule::lookup(Family::V6, 100) };
        for request in [
            add(&address),
            Request::AddRoute(route.clone()),
            Request::AddRule(rule.clone()),
            Request::DelRule(rule.clone()),
            Request::DelRoute(route.clone()),
            Request::DelAddress(address.clone()),
        ] {
            done(&mut kernel, request);
        }
        let events: Vec<_> = monitor.by_ref().collect();
        let count =
            |wanted: &dyn Fn(&MonitorEvent) -> bool| events.iter().filter(|e| wanted(e)).count();
        assert_eq!(
            count(&|e| matches!(e, MonitorEvent::AddressAdded(it) if it.ip == address.ip)),
            1
        );
        assert_eq!(
            count(&|e| matches!(e, MonitorEvent::AddressRemoved(it) if it.ip == address.ip)),
            1
        );
        assert_eq!(count(&|e| *e == MonitorEvent::RouteAdded(route.clone())), 1);
        assert_eq!(count(&|e| *e == MonitorEvent::RouteRemoved(route.clone())), 1);
        assert_eq!(count(&|e| *e == MonitorEvent::RuleAdded(rule.clone())), 1);
        assert_eq!(count(&|e| *e == MonitorEvent::RuleRemoved(rule.clone())), 1);
        run("ip link set v1 down");
        let down = |event: MonitorEvent| matches!(event, MonitorEvent::LinkChanged(link) if link.index == v0 && !link.is_running());
        await_event(&mut monitor, down);
        run("ip link delete v0");
        let removed = |event| matches!(event, MonitorEvent::LinkRemoved(link) if link.index == v0);
        await_event(&mut monitor, removed);
    });
}

fn await_event(monitor: &mut Monitor, wanted: impl Fn(MonitorEvent) -> bool) {
    use std::os::fd::AsFd as _;

    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    let deadline = Instant::now() + Duration::from_secs(10);
    while Instant::now() < deadline {
        if monitor.by_ref().any(&wanted) {
            return;
        }
        let mut fds = [PollFd::new(monitor.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::from(100_u8)).expect("poll");
    }
    panic!("the event did not come");
}

#[test]
fn groups_limit_what_is_heard() {
    inside("groups_limit_what_is_heard", || {
        let mut kernel = open();
        let lo = link(&mut kernel, "lo").index;
        let groups = Groups::ADDRESSES_V6;
        let options = MonitorOptions { groups, ..MonitorOptions::default() };
        let mut monitor = Monitor::with(&options).expect("monitor");
        done(&mut kernel, add(&Address::new(lo, ip("198.51.100.1"), 32)));
        done(&mut kernel, add(&Address::new(lo, ip("2001:db8::1"), 128)));
        let events: Vec<_> = monitor.by_ref().collect();
        // Once as added, perhaps once more as usable.
        let expected = |event: &MonitorEvent| matches!(event, MonitorEvent::AddressAdded(only) if only.ip == ip("2001:db8::1"));
        assert!(!events.is_empty() && events.iter().all(expected), "{events:?}");
    });
}

#[test]
fn an_overrun_is_reported_and_a_dump_heals_the_mirror() {
    inside("an_overrun_is_reported_and_a_dump_heals_the_mirror", || {
        let mut kernel = open();
        let lo = link(&mut kernel, "lo").index;
        let options = MonitorOptions {
            receive_buffer: Some(8192),
            force: false,
            ..MonitorOptions::default()
        };
        let mut monitor = Monitor::with(&options).expect("monitor");
        let mut mirror = Observed::read(&mut kernel, Scope::ALL).expect("dump");
        let adds: Vec<_> = (0..500_u32)
            .map(|n| {
                add(&Address::new(lo, std::net::Ipv4Addr::from_bits(0xc633_6400 + n).into(), 32))
            })
            .collect();
        assert!(kernel.apply(&adds).iter().all(Result::is_ok));
        let intact = monitor.by_ref().all(|event| mirror.absorb(&event));
        assert!(!intact, "500 events cannot fit into 8 KiB");
        let _rest = monitor.by_ref().count();
        mirror = Observed::read(&mut kernel, Scope::ALL).expect("dump");
        assert_eq!(mirror.marked().addresses.len(), 500);
    });
}

#[test]
fn a_small_receive_buffer_still_gives_every_answer() {
    inside("a_small_receive_buffer_still_gives_every_answer", || {
        let options = NetlinkOptions {
            receive_buffer: Some(4096),
            force: false,
            ..NetlinkOptions::default()
        };
        let mut kernel = Netlink::with(&options).expect("netlink");
        let lo = link(&mut kernel, "lo").index;
        let adds: Vec<_> = (0..1000_u32)
            .map(|n| {
                add(&Address::new(
                    lo,
                    std::net::Ipv4Addr::from_bits(0xc633_6400 + n / 2).into(),
                    32,
                ))
            })
            .collect();
        let results = kernel.apply(&adds);
        for (position, result) in results.iter().enumerate() {
            match position % 2 {
                0 => assert_eq!(*result, Ok(()), "{position}"),
                _ => assert!(result.as_ref().is_err_and(KernelError::already_exists)),
            }
        }
    });
}

#[test]
fn routes_that_vanish_silently_leave_the_mirror_too() {
    inside("routes_that_vanish_silently_leave_the_mirror_too", || {
        veth("v0", "v1");
        let mut kernel = open();
        let v0 = link(&mut kernel, "v0").index;
        let address = Address::new(v0, ip("198.51.100.1"), 32);
        let other = Address::new(v0, ip("198.51.100.2"), 32);
        done(&mut kernel, add(&address));
        done(&mut kernel, add(&other));
        let mut mirror = Observed::read(&mut kernel, Scope::ALL).expect("dump");
        let mut monitor = Monitor::open().expect("monitor");
        let from = Route {
            prefsrc: Some(address.ip),
            ..Route::new(prefix("203.0.113.0/28"), vec![NextHop::dev(v0)])
        };
        let through = Route::new(prefix("203.0.113.16/28"), vec![NextHop::dev(v0)]);
        done(&mut kernel, Request::AddRoute(from));
        done(&mut kernel, Request::AddRoute(through.clone()));
        let follow = |monitor: &mut Monitor, mirror: &mut Observed| {
            assert!(monitor.by_ref().all(|event| mirror.absorb(&event)));
            mirror.marked().routes.len()
        };
        assert_eq!(follow(&mut monitor, &mut mirror), 2);
        done(&mut kernel, Request::DelAddress(address));
        assert_eq!(follow(&mut monitor, &mut mirror), 1);
        done(&mut kernel, Request::SetLinkDown { ifindex: v0 });
        assert_eq!(follow(&mut monitor, &mut mirror), 0);
        done(&mut kernel, Request::SetLinkUp { ifindex: v0 });
        done(&mut kernel, Request::AddRoute(through));
        assert_eq!(follow(&mut monitor, &mut mirror), 1);
        done(&mut kernel, Request::DelAddress(other));
        assert_eq!(follow(&mut monitor, &mut mirror), 0, "the last IPv4 address takes all along");
        let filter = RouteFilter { protocol: Some(18), ..RouteFilter::default() };
        assert_eq!(kernel.routes(filter).expect("routes"), []);
    });
}

#[test]
fn five_thousand_virtual_addresses_come_and_go() {
    inside("five_thousand_virtual_addresses_come_and_go", || {
        veth("v0", "v1");
        let mut kernel = open();
        let v0 = link(&mut kernel, "v0").index;
        let wanted = (0..5000_u32).map(|n| {
            let ip = std::net::Ipv4Addr::from_bits(0xcb00_0000 + n);
            WantedAddress { address: Address::new(v0, ip.into(), 32), foreign: Foreign::Adopt }
        });
        let desired = Desired { addresses: wanted.collect(), ..Desired::default() };
        let mut ledger = Ledger::new();
        let mut observed = Observed::read(&mut kernel, Scope::ADDRESSES).expect("dump");
        for (desired, left) in [(&desired, 5000), (&Desired::default(), 0)] {
            let start = Instant::now();
            let plan = ledger.plan(&[(Owner(1), desired)], &observed);
            let results = kernel.apply(&plan.requests);
            let settled = ledger.settle(plan, &results, &mut observed);
            println!("to {left} addresses: {:?}", start.elapsed());
            assert_eq!(settled.failures, []);
            let fresh = Observed::read(&mut kernel, Scope::ADDRESSES).expect("dump");
            assert_eq!(fresh.marked().addresses.len(), left);
        }
    });
}

#[test]
fn any_state_of_the_real_kernel_leads_to_any_desired_state() {
    use proptest::prelude::*;
    use proptest::test_runner::TestRunner;
    inside("any_state_of_the_real_kernel_leads_to_any_desired_state", || {
        // In a fresh namespace `lo` is 1 and a veth pair 2 and 3.
        let links = [2, 3];
        let strategy =
            (support::foreign(links), proptest::collection::vec(support::desired(links), 1..4));
        let config = ProptestConfig { cases: 120, failure_persistence: None, ..Default::default() };
        let mut runner = TestRunner::new(config);
        let result = runner.run(&strategy, |(foreign, sequence)| {
            namespace::fresh();
            veth("v0", "v1");
            // Otherwise the kernel removes a subnet's other addresses along with the first.
            run("sysctl -q -w net.ipv4.conf.all.promote_secondaries=1");
            let mut kernel = open();
            kernel.apply(&foreign);
            support::walk(&mut kernel, &sequence);
            Ok(())
        });
        if let Err(error) = result {
            panic!("{error}");
        }
    });
}
