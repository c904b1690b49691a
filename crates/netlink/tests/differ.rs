//! The differ on a kernel in memory: from any state to any desired state.

mod support;

use netlink::desired::{
    Absent, Desired, Foreign, Ledger, Observed, Owner, Placement, Scope, WantedAddress, WantedRoute,
};
use netlink::{
    AddMode, Address, AddressFilter, FakeKernel, Kernel as _, KernelError, MonitorEvent, NextHop,
    Prefix, Request, Route, RouteFilter,
};
use proptest::prelude::*;
use standfast_netlink as netlink;
use support::OWNER;

const LINKS: [u32; 2] = [1, 2];

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_state_leads_to_any_desired_state(
        foreign in support::foreign(LINKS),
        sequence in proptest::collection::vec(support::desired(LINKS), 1..5),
    ) {
        let mut kernel = FakeKernel::with_links(2);
        kernel.apply(&foreign);
        support::walk(&mut kernel, &sequence);
    }

    #[test]
    fn the_mirror_follows_the_events(
        foreign in support::foreign(LINKS),
        later in support::foreign(LINKS),
        gone in proptest::collection::vec(any::<proptest::sample::Index>(), 0..4),
    ) {
        let mut kernel = FakeKernel::with_links(2);
        kernel.apply(&foreign);
        kernel.take_events();
        let mut mirror = Observed::read(&mut kernel, Scope::ALL).unwrap();
        kernel.apply(&later);
        let addresses = kernel.addresses(AddressFilter::default()).unwrap();
        let routes = kernel.routes(RouteFilter::default()).unwrap();
        for index in gone {
            if !addresses.is_empty() {
                kernel.apply(&[Request::DelAddress(index.get(&addresses).clone())]);
            }
            if !routes.is_empty() {
                kernel.apply(&[Request::DelRoute(index.get(&routes).clone())]);
            }
        }
        for event in kernel.take_events() {
            prop_assert!(mirror.absorb(&event));
        }
        let fresh = Observed::read(&mut kernel, Scope::ALL).unwrap();
        prop_assert_eq!(sorted(&mirror), sorted(&fresh));
    }
}

fn sorted(observed: &Observed) -> Vec<String> {
    let addresses = observed.addresses().map(|address| format!("{address:?}"));
    let routes = observed.routes().map(|route| format!("{route:?}"));
    let rules = observed.rules().iter().map(|rule| format!("{rule:?}"));
    let mut all: Vec<_> = addresses.chain(routes).chain(rules).collect();
    all.sort();
    all
}

fn vip(host: u8) -> Address {
    Address::new(1, [198, 51, 100, host].into(), 32)
}

fn wanting(hosts: &[u8]) -> Desired {
    let wanted =
        hosts.iter().map(|host| WantedAddress { address: vip(*host), foreign: Foreign::Adopt });
    Desired { addresses: wanted.collect(), ..Desired::default() }
}

struct World {
    kernel: FakeKernel,
    ledger: Ledger,
    observed: Observed,
}

impl World {
    fn new() -> Self {
        let kernel = FakeKernel::with_links(2);
        Self { kernel, ledger: Ledger::new(), observed: Observed::empty(Scope::ALL) }
    }

    /// Plans, applies and settles; returns the requests and the failures.
    fn want(&mut self, wants: &[(Owner, &Desired)]) -> (Vec<Request>, Vec<KernelError>) {
        let plan = self.ledger.plan(wants, &self.observed);
        let requests = plan.requests.clone();
        let results = self.kernel.apply(&requests);
        let settled = self.ledger.settle(plan, &results, &mut self.observed);
        let failures = settled.failures.into_iter().map(|(_, _, error)| error).collect();
        (requests, failures)
    }

    fn hosts(&mut self) -> Vec<u8> {
        let addresses = self.kernel.addresses(AddressFilter::default()).unwrap();
        let mut hosts: Vec<u8> = addresses
            .iter()
            .filter_map(|address| match address.ip {
                std::net::IpAddr::V4(ip) => Some(ip.octets()[3]),
                std::net::IpAddr::V6(_) => None,
            })
            .collect();
        hosts.sort_unstable();
        hosts
    }
}

#[test]
fn a_takeover_is_one_batch_and_a_release_undoes_it() {
    let mut world = World::new();
    let (requests, failures) = world.want(&[(OWNER, &wanting(&[1, 2, 3]))]);
    assert_eq!((requests.len(), failures.len()), (3, 0));
    assert_eq!(world.kernel.counts(), (1, 3));
    world.want(&[(OWNER, &Desired::default())]);
    assert_eq!(world.hosts(), [0_u8; 0]);
}

#[test]
fn an_address_that_two_owners_hold_goes_with_the_last() {
    let mut world = World::new();
    let (one, two) = (Owner(1), Owner(2));
    world.want(&[(one, &wanting(&[1, 2])), (two, &wanting(&[2]))]);
    assert_eq!(world.hosts(), [1, 2]);
    world.want(&[(one, &Desired::default())]);
    assert_eq!(world.hosts(), [2]);
    world.want(&[(two, &Desired::default())]);
    assert_eq!(world.hosts(), [0_u8; 0]);
}

#[test]
fn an_address_passes_from_owner_to_owner_without_being_touched() {
    let mut world = World::new();
    let (one, two) = (Owner(1), Owner(2));
    world.want(&[(one, &wanting(&[1]))]);
    let (requests, _) = world.want(&[(one, &Desired::default()), (two, &wanting(&[1]))]);
    assert_eq!(requests, []);
    world.want(&[(two, &Desired::default())]);
    assert_eq!(world.hosts(), [0_u8; 0]);
}

#[test]
fn an_address_that_was_there_is_adopted_or_shared() {
    for (foreign, left) in [(Foreign::Adopt, vec![]), (Foreign::Share, vec![1])] {
        let mut world = World::new();
        let address = Address { proto: 0, ..vip(1) };
        let add = Request::AddAddress { address, mode: AddMode::Exclusive };
        world.kernel.apply(&[add]);
        world.observed = Observed::read(&mut world.kernel, Scope::ALL).unwrap();
        let mut desired = wanting(&[1]);
        desired.addresses[0].foreign = foreign;
        let (requests, failures) = world.want(&[(OWNER, &desired)]);
        assert_eq!(failures, []);
        // Adopting sets the mark, in place.
        assert_eq!(requests.len(), usize::from(foreign == Foreign::Adopt));
        assert!(requests.iter().all(|request| !request.is_removal()));
        world.want(&[(OWNER, &Desired::default())]);
        assert_eq!(world.hosts(), left);
    }
}

#[test]
fn what_somebody_deleted_is_put_back() {
    let mut world = World::new();
    world.want(&[(OWNER, &wanting(&[1, 2]))]);
    world.kernel.take_events();
    world.kernel.apply(&[Request::DelAddress(vip(2))]);
    let events = world.kernel.take_events();
    let [MonitorEvent::AddressRemoved(gone)] = events.as_slice() else {
        panic!("unexpected {events:?}")
    };
    assert_eq!(world.ledger.owners_of_address(gone).collect::<Vec<_>>(), [OWNER]);
    assert!(world.observed.absorb(&events[0]));
    let (requests, _) = world.want(&[(OWNER, &wanting(&[1, 2]))]);
    assert_eq!(requests.len(), 1);
    assert_eq!(world.hosts(), [1, 2]);
}

#[test]
fn absent_entries_go_whoever_added_them_unless_somebody_holds_them() {
    let mut world = World::new();
    world.want(&[(Owner(1), &wanting(&[1]))]);
    for host in [2, 3] {
        let address = Address { proto: 0, ..vip(host) };
        world.kernel.apply(&[Request::AddAddress { address, mode: AddMode::Exclusive }]);
    }
    world.observed = Observed::read(&mut world.kernel, Scope::ALL).unwrap();
    let absent = Absent { addresses: vec![vip(1), vip(2)], ..Absent::default() };
    let desired = Desired { absent, ..Desired::default() };
    world.want(&[(Owner(2), &desired)]);
    assert_eq!(world.hosts(), [1, 3]);
}

#[test]
fn a_refused_address_is_not_held_and_is_tried_again() {
    let mut world = World::new();
    let refusal = KernelError::Refused { errno: nix::errno::Errno::EPERM, message: None };
    world.kernel.refuse_next(refusal.clone());
    let (_, failures) = world.want(&[(OWNER, &wanting(&[1, 2]))]);
    assert_eq!(failures, [refusal]);
    assert_eq!((world.ledger.count(OWNER), world.hosts()), (1, vec![2]));
    let (requests, _) = world.want(&[(OWNER, &wanting(&[1, 2]))]);
    assert_eq!(requests.len(), 1);
    assert_eq!(world.hosts(), [1, 2]);
}

#[test]
fn a_lost_answer_leaves_nothing_behind() {
    let mut world = World::new();
    let desired = wanting(&[1]);
    let plan = world.ledger.plan(&[(OWNER, &desired)], &world.observed);
    // The kernel does it, but the answer is lost.
    world.kernel.apply(&plan.requests);
    let settled = world.ledger.settle(plan, &[Err(KernelError::Overrun)], &mut world.observed);
    assert!(settled.uncertain);
    world.observed = Observed::read(&mut world.kernel, Scope::ALL).unwrap();
    world.want(&[(OWNER, &Desired::default())]);
    assert_eq!(world.hosts(), [0_u8; 0]);
}

fn wanting_route(gateway: u8) -> Desired {
    let destination = Prefix::new([203, 0, 113, 0].into(), 24);
    let route = Route::new(destination, vec![NextHop::via_dev([198, 51, 100, gateway].into(), 1)]);
    let wanted = WantedRoute { route, placement: Placement::Prepend, foreign: Foreign::Adopt };
    Desired { routes: vec![wanted], ..Desired::default() }
}

#[test]
fn a_changed_route_is_replaced_in_one_step() {
    let mut world = World::new();
    world.want(&[(OWNER, &wanting_route(1))]);
    let (requests, failures) = world.want(&[(OWNER, &wanting_route(2))]);
    assert!(matches!(requests.as_slice(), [Request::ReplaceRoute(_)]), "{requests:?}");
    assert_eq!(failures, []);
    assert_eq!(world.kernel.routes(RouteFilter::default()).unwrap().len(), 1);
    world.want(&[(OWNER, &Desired::default())]);
    assert_eq!(world.kernel.routes(RouteFilter::default()).unwrap(), []);
}

#[test]
fn a_changed_route_beside_a_foreign_one_leaves_that_alone() {
    let mut world = World::new();
    let mut foreign = wanting_route(9).routes.remove(0).route;
    foreign.protocol = 4;
    world.kernel.apply(&[Request::AddRoute(foreign.clone())]);
    world.observed = Observed::read(&mut world.kernel, Scope::ALL).unwrap();
    world.want(&[(OWNER, &wanting_route(1))]);
    world.want(&[(OWNER, &wanting_route(2))]);
    let routes = world.kernel.routes(RouteFilter::default()).unwrap();
    assert_eq!(routes.len(), 2);
    assert_eq!(routes[0].hops, wanting_route(2).routes[0].route.hops, "ours comes first");
    assert_eq!(routes[1], Route { hops: routes[1].hops.clone(), ..foreign });
}

#[test]
fn routes_that_an_interface_takes_along_are_put_back() {
    let mut world = World::new();
    world.want(&[(OWNER, &wanting_route(1))]);
    world.kernel.take_events();
    world.kernel.apply(&[Request::SetLinkDown { ifindex: 1 }, Request::SetLinkUp { ifindex: 1 }]);
    for event in world.kernel.take_events() {
        assert!(world.observed.absorb(&event));
    }
    let (requests, _) = world.want(&[(OWNER, &wanting_route(1))]);
    assert_eq!(requests.len(), 1);
}

#[test]
fn five_thousand_addresses_are_planned_in_reasonable_time() {
    let addresses = (0..5000_u32).map(|n| {
        let ip = std::net::Ipv4Addr::from_bits(0xcb00_7100 + n);
        WantedAddress { address: Address::new(1, ip.into(), 32), foreign: Foreign::Adopt }
    });
    let desired = Desired { addresses: addresses.collect(), ..Desired::default() };
    let mut world = World::new();
    world.want(&[(OWNER, &desired)]);
    // Quadratic work would be 25 million steps and show as seconds.
    let start = std::time::Instant::now();
    for _ in 0..10 {
        assert!(world.ledger.plan(&[(OWNER, &desired)], &world.observed).is_empty());
    }
    assert!(start.elapsed() < std::time::Duration::from_secs(5), "{:?}", start.elapsed());
    println!("plan without a change, 5,000 addresses: {:?}", start.elapsed() / 10);
    let (requests, _) = world.want(&[(OWNER, &Desired::default())]);
    assert_eq!(requests.len(), 5000);
}
