//! The plan on an IPVS in memory: from any state to any desired state; what is ours and what is
//! not; what somebody else changed.

mod ipvs_support;

use std::net::SocketAddr;

use ipvs_support::{build, key, request, socket, strays, table, walk};
use netlink::KernelError;
use netlink::ipvs::{
    Destination, Drift, FakeIpvs, Forwarding, Held, IpvsKernel as _, Request, Service, ServiceKey,
    Strays, SyncDaemon, SyncRole, Table, Timeouts, drift, plan, plan_for,
};
use nix::errno::Errno;
use proptest::prelude::*;
use standfast_netlink as netlink;

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_state_leads_to_any_desired_state(
        foreign in table(),
        sequence in proptest::collection::vec((table(), strays()), 1..5),
    ) {
        let mut kernel = FakeIpvs::with_table(foreign);
        walk(&mut kernel, &sequence);
    }

    #[test]
    fn every_request_of_a_plan_is_needed(
        from in table(), to in table(), mode in strays(), ours in any::<bool>(),
    ) {
        let mut held = Held::new();
        if ours {
            from.services().for_each(|(key, _)| held.hold(*key));
        }
        let requests = plan(&from, &held, &to, mode).requests;
        let after = |requests: &[Request]| {
            let mut kernel = FakeIpvs::with_table(from.clone());
            kernel.apply(requests);
            kernel.contents().clone()
        };
        let reached = after(&requests);
        for left_out in 0..requests.len() {
            let mut fewer = requests.clone();
            fewer.remove(left_out);
            prop_assert_ne!(&after(&fewer), &reached, "{:?} is not needed", requests[left_out]);
        }
    }

    #[test]
    fn a_plan_for_some_services_is_that_part_of_the_plan_for_all(
        from in table(), to in table(), mode in strays(), pick in 0..64_u32,
    ) {
        let mut held = Held::new();
        from.services().for_each(|(key, _)| held.hold(*key));
        let keys: Vec<_> = ipvs_support::keys()
            .into_iter()
            .enumerate()
            .filter_map(|(n, key)| (pick & 1 << n != 0).then_some(key))
            .collect();
        let all = plan(&from, &held, &to, mode).requests;
        let some = plan_for(&keys, &from, &held, &to, mode).requests;
        let part: Vec<_> = all
            .into_iter()
            .filter(|request| request.service().is_some_and(|key| keys.contains(key)))
            .collect();
        prop_assert_eq!(some, part);
    }

    #[test]
    fn what_somebody_did_is_told_and_undone(
        wanted in table(), meddling in proptest::collection::vec(request(), 0..12),
    ) {
        let mut kernel = FakeIpvs::new();
        let (mut held, mut mirror) = (Held::new(), Table::new());
        let plan1 = plan(&mirror, &held, &wanted, Strays::Keep);
        let results = kernel.apply(&plan1.requests);
        held.settle(plan1, &results, &mut mirror);
        prop_assert_eq!(&mirror, &wanted);

        kernel.apply(&meddling);
        let found = kernel.table().unwrap();
        let differences = drift(&mirror, &found, &held);
        let ours = |table: &Table| -> Vec<_> {
            let ours = table.services().filter(|(key, _)| wanted.get(key).is_some());
            ours.map(|(key, entry)| (*key, entry.clone())).collect()
        };
        prop_assert_eq!(differences.is_empty(), ours(&found) == ours(&wanted));
        let lines: Vec<_> = differences.iter().map(Drift::to_string).collect();
        prop_assert!(lines.iter().all(|line| line.contains("somebody")), "{:?}", lines);

        mirror = found;
        let repair = plan(&mirror, &held, &wanted, Strays::Keep);
        prop_assert_eq!(repair.is_empty(), differences.is_empty());
        let concerned = |request: &Request| {
            differences.iter().any(|it| Some(it.service()) == request.service())
        };
        prop_assert!(repair.requests.iter().all(concerned));
        let results = kernel.apply(&repair.requests);
        held.settle(repair, &results, &mut mirror);
        prop_assert_eq!(ours(&kernel.table().unwrap()), ours(&wanted));
        prop_assert!(drift(&wanted, &mirror, &held).is_empty());
    }

    #[test]
    fn whatever_is_refused_the_mirror_is_the_kernel(
        from in table(), to in table(), mode in strays(), flaws in proptest::collection::vec(any::<bool>(), 0..12),
    ) {
        let mut kernel = FakeIpvs::with_table(from.clone());
        let (mut held, mut mirror) = (Held::new(), from);
        let first = plan(&mirror, &held, &to, mode);
        let (count, mut wrong) = (first.requests.len(), 0);
        let mut results = Vec::new();
        for (n, request) in first.requests.iter().enumerate() {
            if flaws.get(n).copied().unwrap_or(false) {
                let error = KernelError::Refused { errno: Errno::ENOMEM, message: None };
                kernel.refuse_next(error);
                wrong += 1;
            }
            results.extend(kernel.apply(std::slice::from_ref(request)));
        }
        prop_assert_eq!(results.len(), count);
        let settled = held.settle(first, &results, &mut mirror);
        prop_assert!(!settled.uncertain);
        prop_assert_eq!(settled.failures.len(), wrong);
        prop_assert_eq!(&mirror, kernel.contents());
        // Tried again it succeeds.
        let second = plan(&mirror, &held, &to, mode);
        prop_assert!(second.requests.len() >= wrong);
        let results = kernel.apply(&second.requests);
        let settled = held.settle(second, &results, &mut mirror);
        prop_assert_eq!(settled.failures, vec![]);
        prop_assert!(plan(&mirror, &held, &to, mode).is_empty());
        prop_assert_eq!(&mirror, kernel.contents());
    }
}

const WEB: &str = "TCP 198.51.100.1:80";

fn server(host: u8) -> SocketAddr {
    SocketAddr::from(([198, 51, 100, host], 80))
}

fn nat(weight: u32) -> Destination {
    Destination::new(Forwarding::Nat, weight)
}

fn web(scheduler: &str, servers: &[(u8, u32)]) -> Table {
    let mut table = Table::new();
    let entry = table.insert(key(WEB), Service::new(scheduler));
    for (host, weight) in servers {
        entry.insert(server(*host), nat(*weight));
    }
    table
}

struct World {
    kernel: FakeIpvs,
    held: Held,
    mirror: Table,
}

impl World {
    fn new(foreign: Table) -> Self {
        let mut kernel = FakeIpvs::with_table(foreign);
        let mirror = kernel.table().unwrap();
        Self { kernel, held: Held::new(), mirror }
    }

    fn want(&mut self, desired: &Table, strays: Strays) -> netlink::ipvs::Plan {
        let plan = plan(&self.mirror, &self.held, desired, strays);
        let copy = plan.clone();
        let results = self.kernel.apply(&plan.requests);
        let settled = self.held.settle(plan, &results, &mut self.mirror);
        assert_eq!(settled, Default::default());
        copy
    }

    fn servers(&self) -> Vec<(u8, u32)> {
        let Some(entry) = self.kernel.contents().get(&key(WEB)) else { return Vec::new() };
        let host = |address: &SocketAddr| match address {
            SocketAddr::V4(address) => address.ip().octets()[3],
            SocketAddr::V6(_) => 0,
        };
        entry.destinations().map(|(address, it)| (host(address), it.weight)).collect()
    }
}

#[test]
fn one_changed_server_is_one_request() {
    let mut wanted = Table::new();
    for service in 0..1000_u32 {
        let key = ServiceKey::mark(netlink::Family::V4, service + 1);
        let entry = wanted.insert(key, Service::new("wlc"));
        for host in 1..=10 {
            entry.insert(server(host), nat(1));
        }
    }
    let mut world = World::new(Table::new());
    assert_eq!(world.want(&wanted, Strays::Keep).requests.len(), 11_000);
    let seven = key("FWM 700");
    wanted.get_mut(&seven).unwrap().insert(server(4), nat(2));
    let plan = world.want(&wanted, Strays::Keep);
    assert_eq!(plan.requests, [Request::SetDestination(seven, server(4), nat(2))]);
}

#[test]
fn servers_are_added_and_raised_before_others_are_lowered_and_removed() {
    let mut world = World::new(Table::new());
    world.want(&web("wlc", &[(1, 1), (2, 1), (3, 0)]), Strays::Keep);
    let plan = world.want(&web("wlc", &[(1, 0), (3, 1), (4, 1)]), Strays::Keep);
    let web = key(WEB);
    let expected = [
        Request::NewDestination(web, server(4), nat(1)),
        Request::SetDestination(web, server(3), nat(1)),
        Request::SetDestination(web, server(1), nat(0)),
        Request::DelDestination(web, server(2)),
    ];
    assert_eq!(plan.requests, expected);
}

#[test]
fn another_scheduler_is_an_edit_and_so_are_thresholds_and_the_method() {
    let mut world = World::new(Table::new());
    world.want(&web("wlc", &[(1, 1)]), Strays::Keep);
    let mut wanted = web("rr", &[]);
    let changed = Destination { upper: 100, lower: 50, ..Destination::new(Forwarding::Dr, 1) };
    wanted.get_mut(&key(WEB)).unwrap().insert(server(1), changed);
    let plan = world.want(&wanted, Strays::Keep);
    let expected = [
        Request::SetService(key(WEB), Service::new("rr")),
        Request::SetDestination(key(WEB), server(1), changed),
    ];
    assert_eq!(plan.requests, expected);
}

#[test]
fn strays_of_an_adopted_service_stay_or_go_as_asked() {
    for (strays, left) in [(Strays::Keep, vec![(1, 1), (9, 7)]), (Strays::Remove, vec![(1, 1)])] {
        let mut world = World::new(web("rr", &[(1, 5), (9, 7)]));
        let wanted = web("wlc", &[(1, 1)]);
        let plan = world.want(&wanted, strays);
        assert_eq!(plan.adopted, [key(WEB)]);
        assert_eq!(plan.strays, [(key(WEB), server(9), nat(7))]);
        assert_eq!(world.servers(), left);
        assert_eq!(world.kernel.contents().get(&key(WEB)).unwrap().service.scheduler, "wlc");
        // Once it is ours it is not reported again, and later strays go.
        let add = Request::NewDestination(key(WEB), server(8), nat(1));
        world.kernel.apply(std::slice::from_ref(&add));
        world.mirror = world.kernel.table().unwrap();
        let plan = world.want(&wanted, strays);
        assert_eq!(plan.requests, [Request::DelDestination(key(WEB), server(8))]);
        assert_eq!((plan.adopted, plan.strays), (vec![], vec![]));
        assert_eq!(world.servers(), left);
        // In the end the whole service goes.
        world.want(&Table::new(), strays);
        assert!(world.kernel.contents().is_empty());
    }
}

#[test]
fn a_stray_that_was_wanted_for_a_while_is_none_afterwards() {
    let mut world = World::new(web("wlc", &[(9, 7)]));
    world.want(&web("wlc", &[(1, 1)]), Strays::Keep);
    world.want(&web("wlc", &[(1, 1), (9, 1)]), Strays::Keep);
    assert_eq!(world.servers(), [(1, 1), (9, 1)]);
    world.want(&web("wlc", &[(1, 1)]), Strays::Keep);
    assert_eq!(world.servers(), [(1, 1)]);
}

#[test]
fn what_was_held_before_a_restart_goes_when_it_is_not_wanted() {
    let mut world = World::new(web("wlc", &[(1, 1), (2, 1), (9, 1)]));
    world.held.hold(key(WEB));
    world.held.tolerate(key(WEB), server(9));
    world.want(&web("wlc", &[(1, 1)]), Strays::Keep);
    assert_eq!(world.servers(), [(1, 1), (9, 1)]);
    world.want(&Table::new(), Strays::Keep);
    assert!(world.kernel.contents().is_empty());
    assert_eq!(world.held, Held::new());
}

#[test]
fn a_service_that_is_let_go_stays_as_it_is() {
    let mut world = World::new(Table::new());
    world.want(&web("wlc", &[(1, 1)]), Strays::Keep);
    world.held.release(&key(WEB));
    assert!(world.want(&Table::new(), Strays::Keep).is_empty());
    assert_eq!(world.servers(), [(1, 1)]);
}

#[test]
fn a_service_that_vanished_is_created_again_or_forgotten() {
    let mut world = World::new(Table::new());
    let wanted = web("wlc", &[(1, 1), (2, 1)]);
    world.want(&wanted, Strays::Keep);
    world.kernel.apply(&[Request::Flush]);
    world.mirror = world.kernel.table().unwrap();
    assert_eq!(world.want(&wanted, Strays::Keep).requests, build(&wanted));
    world.kernel.apply(&[Request::Flush]);
    world.mirror = world.kernel.table().unwrap();
    assert!(world.want(&Table::new(), Strays::Keep).is_empty());
    assert_eq!(world.held, Held::new());
}

#[test]
fn a_service_that_the_kernel_refuses_is_one_failure() {
    let mut kernel = FakeIpvs::new();
    kernel.without_scheduler("mh");
    let (mut held, mut mirror) = (Held::new(), Table::new());
    let plan = plan(&mirror, &held, &web("mh", &[(1, 1), (2, 1)]), Strays::Keep);
    let results = kernel.apply(&plan.requests);
    let settled = held.settle(plan, &results, &mut mirror);
    let [(Request::NewService(..), error)] = settled.failures.as_slice() else {
        panic!("{:?}", settled.failures)
    };
    assert_eq!(error.errno(), Some(Errno::ENOENT));
    assert!(!settled.uncertain);
    assert_eq!((held, mirror), (Held::new(), Table::new()));
}

#[test]
fn what_somebody_did_meanwhile_or_lost_answers_make_uncertain() {
    // Somebody else was quicker.
    let mut kernel = FakeIpvs::with_table(web("rr", &[]));
    let (mut held, mut mirror) = (Held::new(), Table::new());
    let wanted = web("wlc", &[(1, 1)]);
    let first = plan(&mirror, &held, &wanted, Strays::Keep);
    let results = kernel.apply(&first.requests);
    let settled = held.settle(first, &results, &mut mirror);
    assert!(settled.uncertain && settled.failures.is_empty());
    mirror = kernel.table().unwrap();
    let second = plan(&mirror, &held, &wanted, Strays::Keep);
    assert_eq!(second.requests, [Request::SetService(key(WEB), Service::new("wlc"))]);
    // The kernel did it, but the answer was lost.
    kernel.apply(&second.requests);
    let settled = held.settle(second, &[Err(KernelError::Overrun)], &mut mirror);
    assert!(settled.uncertain && settled.failures.is_empty());
    mirror = kernel.table().unwrap();
    assert!(plan(&mirror, &held, &wanted, Strays::Keep).is_empty());
    // A result that is missing altogether is a lost answer, too.
    let third = plan(&mirror, &held, &web("rr", &[(1, 1)]), Strays::Keep);
    assert!(held.settle(third, &[], &mut mirror).uncertain);
}

#[test]
fn a_removal_of_what_is_gone_is_done() {
    let mut world = World::new(Table::new());
    world.want(&web("wlc", &[(1, 1), (2, 1)]), Strays::Keep);
    world.kernel.apply(&[Request::DelDestination(key(WEB), server(2))]);
    // The mirror does not know; `want` asserts that nothing failed.
    world.want(&web("wlc", &[(1, 1)]), Strays::Keep);
    world.kernel.apply(&[Request::Flush]);
    world.want(&Table::new(), Strays::Keep);
    assert_eq!((world.held, world.mirror), (Held::new(), Table::new()));
}

#[test]
fn drift_reads_like_a_log_line() {
    let mut held = Held::new();
    held.hold(key(WEB));
    held.hold(key("FWM 5 IPv6"));
    let mut set = web("wlc", &[(1, 1), (2, 1)]);
    set.insert(key("FWM 5 IPv6"), Service::new("rr"));
    let mut found = web("rr", &[(1, 3), (9, 7)]);
    let changed = Destination { upper: 9, ..Destination::new(Forwarding::Dr, 3) };
    found.get_mut(&key(WEB)).unwrap().insert(server(1), changed);
    found.insert(key("UDP 198.51.100.9:53"), Service::new("rr"));
    let lines: Vec<_> = drift(&set, &found, &held).iter().map(Drift::to_string).collect();
    let expected = [
        "TCP 198.51.100.1:80: somebody changed the scheduler from wlc to rr",
        "TCP 198.51.100.1:80: somebody changed method from Masq to Route, weight from 1 to 3, \
         upper threshold from 0 to 9 of 198.51.100.1:80",
        "TCP 198.51.100.1:80: somebody removed 198.51.100.2:80",
        "TCP 198.51.100.1:80: somebody added 198.51.100.9:80 (Masq, weight 7)",
        "FWM 5 IPv6: somebody removed the service",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn keys_are_read_as_they_are_shown() {
    for text in ["TCP 198.51.100.1:80", "SCTP [2001:db8::1]:0", "FWM 4294967295", "FWM 5 IPv6"] {
        assert_eq!(key(text).to_string(), text);
    }
    let wrong = ["", "TCP", "TCP 198.51.100.1", "FWM 0", "FWM x", "FWM 5 IPv4", "ICMP 1.2.3.4:5"];
    for text in wrong {
        assert!(text.parse::<ServiceKey>().is_err(), "{text}");
    }
    assert!("TCP 198.51.100.1:80 more".parse::<ServiceKey>().is_err());
}

#[test]
fn scope_and_flow_label_are_not_part_of_an_address() {
    let scoped = std::net::SocketAddrV6::new("2001:db8::1".parse().unwrap(), 80, 7, 3);
    let mut table = Table::new();
    let key = ServiceKey::Address {
        protocol: netlink::ipvs::Protocol::Tcp,
        address: SocketAddr::V6(scoped),
    };
    table.insert(key, Service::new("rr")).insert(SocketAddr::V6(scoped), nat(1));
    let mut kernel = FakeIpvs::with_table(Table::new());
    assert!(kernel.apply(&build(&table)).iter().all(Result::is_ok));
    let plain = socket("[2001:db8::1]:80");
    let (found, entry) = kernel.contents().services().next().unwrap();
    assert_eq!(*found, ServiceKey::address(netlink::ipvs::Protocol::Tcp, plain));
    assert_eq!(entry.destinations().map(|it| *it.0).collect::<Vec<_>>(), [plain]);
    assert!(table.destination(&key, &SocketAddr::V6(scoped)).is_some());
}

#[test]
fn the_one_in_memory_keeps_timeouts_and_daemons_like_the_kernel() {
    let mut kernel = FakeIpvs::new();
    kernel.with_interfaces(["eth0"]);
    let timeouts = Timeouts { tcp: 100, tcp_fin: 0, udp: 30 };
    let master = SyncDaemon::new(SyncRole::Master, "eth0", 5);
    let backup = SyncDaemon::new(SyncRole::Backup, "eth1", 5);
    let results = kernel.apply(&[
        Request::SetTimeouts(timeouts),
        Request::StartDaemon(master.clone()),
        Request::StartDaemon(master),
        Request::StartDaemon(backup),
        Request::StopDaemon(SyncRole::Backup),
    ]);
    let errors: Vec<_> =
        results.iter().map(|it| it.as_ref().err().and_then(KernelError::errno)).collect();
    let expected = [None, None, Some(Errno::EEXIST), Some(Errno::ENODEV), Some(Errno::ESRCH)];
    assert_eq!(errors, expected);
    assert_eq!(kernel.timeouts().unwrap(), Timeouts { tcp: 100, tcp_fin: 120, udp: 30 });
    assert_eq!(kernel.daemons().unwrap().len(), 1);
    assert_eq!((kernel.counts().requests, kernel.counts().refused), (5, 3));
}

#[test]
fn forty_thousand_servers_are_planned_in_reasonable_time() {
    let mut wanted = Table::new();
    for service in 0..4000_u32 {
        let entry =
            wanted.insert(ServiceKey::mark(netlink::Family::V4, service + 1), Service::new("wlc"));
        for host in 1..=10 {
            entry.insert(server(host), nat(1));
        }
    }
    let mut world = World::new(Table::new());
    world.want(&wanted, Strays::Keep);
    // Quadratic work would be 16 million steps a time, and show as minutes.
    let start = std::time::Instant::now();
    for _ in 0..10 {
        assert!(plan(&world.mirror, &world.held, &wanted, Strays::Keep).is_empty());
    }
    assert!(start.elapsed() < std::time::Duration::from_secs(30), "{:?}", start.elapsed());
    println!("plan without a change, 4,000 x 10: {:?}", start.elapsed() / 10);
}
