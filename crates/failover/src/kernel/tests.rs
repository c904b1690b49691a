//! The kernel state against the in-memory kernel.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use netlink::{
    AddMode, Address, AddressFilter, FakeKernel, Family, Kernel, KernelError, Link, MonitorEvent,
    Request, Route, RouteFilter, Rule,
};
use vrrp::{RouterId, Time};

use super::*;
use crate::plan::Holding;
use crate::report::What;

/// One kernel, looked at from the test and from the code.
#[derive(Clone)]
struct Shared(Rc<RefCell<FakeKernel>>);

impl Kernel for Shared {
    fn apply(&mut self, requests: &[Request]) -> Vec<Result<(), KernelError>> {
        self.0.borrow_mut().apply(requests)
    }
    fn links(&mut self) -> Result<Vec<Link>, KernelError> {
        self.0.borrow_mut().links()
    }
    fn addresses(&mut self, filter: AddressFilter) -> Result<Vec<Address>, KernelError> {
        self.0.borrow_mut().addresses(filter)
    }
    fn routes(&mut self, filter: RouteFilter) -> Result<Vec<Route>, KernelError> {
        self.0.borrow_mut().routes(filter)
    }
    fn rules(&mut self, family: Option<Family>) -> Result<Vec<Rule>, KernelError> {
        self.0.borrow_mut().rules(family)
    }
}

const A: Owner = Owner::Router(RouterId(1));
const B: Owner = Owner::Router(RouterId(2));

struct Bench {
    kernel: Shared,
    state: KernelState,
}

impl Bench {
    fn new() -> Self {
        let kernel = Shared(Rc::new(RefCell::new(FakeKernel::with_links(2))));
        let state = KernelState::new(Box::new(kernel.clone())).unwrap();
        Self { kernel, state }
    }

    /// Sends everything and lets the news come in.
    fn settle(&mut self, now: Time) {
        for _ in 0..100 {
            while self.state.has_work() {
                self.state.flush(now);
            }
            let events = self.kernel.0.borrow_mut().take_events();
            if events.is_empty() {
                return;
            }
            self.hear(events, now);
        }
        panic!("it never settles");
    }

    fn hear(&mut self, events: Vec<MonitorEvent>, now: Time) {
        for event in events {
            match event {
                MonitorEvent::LinkChanged(link) => {
                    let index = link.index;
                    self.state.link_changed(link);
                    self.state.restore(index);
                }
                MonitorEvent::LinkRemoved(link) => {
                    self.state.link_removed(link.index);
                }
                MonitorEvent::AddressAdded(address) => self.state.address_added(address),
                MonitorEvent::AddressRemoved(address) => self.state.address_removed(&address, now),
                MonitorEvent::RouteRemoved(route) => self.state.route_removed(&route, now),
                MonitorEvent::RuleRemoved(rule) => self.state.rule_removed(&rule, now),
                _ => {}
            }
        }
    }

    /// Somebody else does something.
    fn other_hand(&mut self, request: Request) {
        assert_eq!(self.kernel.0.borrow_mut().apply(&[request]), [Ok(())]);
    }

    fn addresses(&self) -> BTreeSet<String> {
        let all = self.kernel.0.borrow_mut().addresses(AddressFilter::default()).unwrap();
        all.iter().map(|a| format!("{}/{}@{}", a.ip, a.prefix_len, a.ifindex)).collect()
    }

    fn routes(&self) -> usize {
        let filter = RouteFilter { protocol: Some(netlink::ROUTE_PROTO), ..RouteFilter::default() };
        self.kernel.0.borrow_mut().routes(filter).unwrap().len()
    }

    fn requests(&self) -> usize {
        self.kernel.0.borrow().counts().1
    }

    fn remove(&mut self, ip: &str, prefix: u8, now: Time) {
        self.other_hand(Request::DelAddress(Address::new(1, ip.parse().unwrap(), prefix)));
        self.settle(now);
    }
}

fn at(seconds: u64) -> Time {
    Time::from_millis(1000 * seconds)
}

/// What an instance with these lines inside holds.
fn holding(lines: &str) -> Holding {
    let text = format!("vrrp_instance A {{\n interface eth0\n virtual_router_id 1\n{lines}\n}}\n");
    let loaded = config::load_text(&text, &config::Options::default());
    let model = config::lower::lower(&loaded.tree, &config::lower::BuiltinNames).model;
    let instance = &model.vrrp[0];
    Holding {
        addresses: instance.all_addresses().cloned().collect(),
        advertised: instance.vips.len(),
        routes: instance.routes.clone(),
        rules: instance.rules.clone(),
        device: None,
    }
}

fn vips(list: &[&str]) -> Holding {
    holding(&format!(" virtual_ipaddress {{\n{}\n }}", list.join("\n")))
}

fn set(list: &[&str]) -> BTreeSet<String> {
    list.iter().map(|s| (*s).to_owned()).collect()
}

#[test]
fn held_things_come_and_go_together() {
    let mut bench = Bench::new();
    bench.state.define(
        A,
        holding(
            " virtual_ipaddress {\n 198.51.100.7/24\n 198.51.100.8/24 dev eth1\n }
 virtual_routes {\n 203.0.113.0/24 via 198.51.100.1 dev eth0\n }
 virtual_rules {\n from 203.0.113.0/24 table 5 priority 100\n }",
        ),
    );
    bench.settle(at(1));
    assert!(bench.addresses().is_empty());
    bench.state.hold(A);
    bench.settle(at(1));
    assert_eq!(bench.addresses(), set(&["198.51.100.7/24@1", "198.51.100.8/24@2"]));
    assert_eq!(bench.routes(), 1);
    assert_eq!(bench.kernel.rules(Some(Family::V4)).unwrap().len(), 1);
    assert!(bench.state.state_of(A, What::Rule, 0).0);
    bench.state.withdraw(A);
    bench.settle(at(2));
    assert!(bench.addresses().is_empty());
    assert_eq!((bench.routes(), bench.kernel.rules(None).unwrap().len()), (0, 0));
    assert_eq!(bench.state.told(), []);
}

#[test]
fn an_address_that_two_hold_stays_until_both_have_let_go() {
    let mut bench = Bench::new();
    for owner in [A, B] {
        bench.state.define(owner, vips(&["198.51.100.7/24"]));
        bench.state.hold(owner);
    }
    bench.settle(at(1));
    bench.state.withdraw(A);
    bench.settle(at(1));
    assert_eq!(bench.addresses(), set(&["198.51.100.7/24@1"]));
    bench.state.withdraw(B);
    bench.settle(at(1));
    assert!(bench.addresses().is_empty());
}

#[test]
fn what_others_remove_is_back_at_once_and_told() {
    let mut bench = Bench::new();
    bench.state.define(A, vips(&["198.51.100.7/24", "198.51.100.8/24 no_track"]));
    bench.state.hold(A);
    bench.settle(at(1));
    bench.remove("198.51.100.7", 24, at(2));
    bench.remove("198.51.100.8", 24, at(2));
    assert_eq!(bench.addresses(), set(&["198.51.100.7/24@1"]));
    let told = bench.state.told();
    assert!(
        matches!(&told[..], [Told::Removed { owner, times: 1, slowed: false, .. }] if *owner == A),
        "{told:?}"
    );
    assert_eq!(bench.state.state_of(A, What::Address, 0), (true, 1));
    assert_eq!(bench.state.state_of(A, What::Address, 1), (false, 0));
}

#[test]
fn a_hand_that_removes_again_and_again_is_met_once_a_second() {
    let mut bench = Bench::new();
    bench.state.define(A, vips(&["198.51.100.7/24"]));
    bench.state.hold(A);
    bench.settle(at(1));
    for _ in 0..10 {
        bench.remove("198.51.100.7", 24, at(2));
        assert!(!bench.addresses().is_empty());
    }
    assert_eq!(bench.state.told().len(), 10);
    bench.remove("198.51.100.7", 24, at(2));
    assert!(bench.addresses().is_empty());
    assert!(matches!(bench.state.told()[..], [Told::Removed { slowed: true, times: 11, .. }]));
    assert_eq!(bench.state.poll_timeout(), Some(at(3)));
    bench.state.handle_timeout(at(3));
    bench.settle(at(3));
    assert!(!bench.addresses().is_empty());
    assert_eq!(bench.state.poll_timeout(), None);
    // Slowed repairs are not told each time, and after a quiet while the next is at once.
    bench.remove("198.51.100.7", 24, at(4));
    assert_eq!(bench.state.told(), []);
    bench.state.handle_timeout(at(5));
    bench.settle(at(5));
    bench.remove("198.51.100.7", 24, at(300));
    assert!(!bench.addresses().is_empty());
}

#[test]
fn a_repair_that_was_put_off_does_not_outlive_its_holder() {
    let mut bench = Bench::new();
    bench.state.define(A, vips(&["198.51.100.7/24"]));
    bench.state.hold(A);
    bench.settle(at(1));
    for _ in 0..11 {
        bench.remove("198.51.100.7", 24, at(2));
    }
    bench.state.withdraw(A);
    assert_eq!(bench.state.poll_timeout(), None);
    bench.state.handle_timeout(at(9));
    bench.settle(at(9));
    assert!(bench.addresses().is_empty());
}

#[test]
fn old_news_of_our_own_removal_is_no_theft() {
    let mut bench = Bench::new();
    bench.state.define(A, vips(&["198.51.100.7/24"]));
    bench.state.hold(A);
    bench.settle(at(1));
    bench.state.withdraw(A);
    bench.state.flush(at(2));
    // MASTER again before the monitor has told of the removal.
    bench.state.hold(A);
    bench.state.flush(at(2));
    let before = bench.requests();
    bench.settle(at(2));
    assert_eq!(bench.state.told(), []);
    assert_eq!(bench.requests(), before);
    assert_eq!(bench.addresses(), set(&["198.51.100.7/24@1"]));
}

#[test]
fn a_reload_sends_the_difference_only() {
    let mut bench = Bench::new();
    bench.state.define(A, vips(&["198.51.100.7/24", "198.51.100.8/24"]));
    bench.state.hold(A);
    bench.settle(at(1));
    let before = bench.requests();
    bench.state.define(A, vips(&["198.51.100.7/24", "198.51.100.8/24"]));
    bench.settle(at(2));
    assert_eq!(bench.requests(), before);
    bench.state.define(A, vips(&["198.51.100.9/24", "198.51.100.8/24"]));
    bench.settle(at(3));
    assert_eq!(bench.requests(), before + 2);
    assert_eq!(bench.addresses(), set(&["198.51.100.8/24@1", "198.51.100.9/24@1"]));
    assert_eq!(bench.state.told(), []);
}

#[test]
fn an_address_that_gets_another_prefix_never_blinks() {
    let mut bench = Bench::new();
    bench.state.define(A, vips(&["198.51.100.7/24"]));
    bench.state.hold(A);
    bench.settle(at(1));
    bench.state.define(A, vips(&["198.51.100.7/32"]));
    bench.state.flush(at(2));
    let events = bench.kernel.0.borrow_mut().take_events();
    let words: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            MonitorEvent::AddressAdded(a) => Some(("added", a.prefix_len)),
            MonitorEvent::AddressRemoved(a) => Some(("removed", a.prefix_len)),
            _ => None,
        })
        .collect();
    assert_eq!(words, [("added", 32), ("removed", 24)]);
}

#[test]
fn a_label_takes_the_address_away_first() {
    let mut bench = Bench::new();
    bench.state.define(A, vips(&["198.51.100.7/24"]));
    bench.state.hold(A);
    bench.settle(at(1));
    bench.state.define(A, vips(&["198.51.100.7/24 label eth0:1"]));
    bench.settle(at(2));
    let all = bench.kernel.addresses(AddressFilter::default()).unwrap();
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].label.as_deref(), Some("eth0:1"));
    assert_eq!(bench.state.told(), []);
}

#[test]
fn an_interface_that_goes_and_comes_gets_everything_back() {
    let mut bench = Bench::new();
    bench.state.define(
        A,
        holding(
            " virtual_ipaddress {\n 198.51.100.7/24\n }
 virtual_routes {\n 203.0.113.0/24 via 198.51.100.1 dev eth0\n }",
        ),
    );
    bench.state.hold(A);
    bench.settle(at(1));
    bench.other_hand(Request::SetLinkDown { ifindex: 1 });
    bench.settle(at(2));
    bench.other_hand(Request::SetLinkUp { ifindex: 1 });
    bench.settle(at(3));
    assert_eq!(bench.addresses(), set(&["198.51.100.7/24@1"]));
    assert_eq!(bench.routes(), 1);
}

#[test]
fn an_interface_that_is_made_anew_has_another_number() {
    let mut bench = Bench::new();
    bench.state.define(A, vips(&["198.51.100.7/24 dev x0"]));
    bench.state.hold(A);
    bench.settle(at(1));
    assert!(bench.addresses().is_empty());
    for _ in 0..2 {
        bench.other_hand(Request::CreateMacvlan {
            parent: 1,
            name: "x0".into(),
            mode: netlink::MacvlanMode::Private,
            mac: None,
            group: None,
        });
        bench.settle(at(2));
        let ifindex = bench.state.index_of("x0").unwrap();
        assert_eq!(bench.addresses(), set(&[&format!("198.51.100.7/24@{ifindex}")]));
        bench.other_hand(Request::DelLink { ifindex });
        bench.settle(at(3));
        assert!(bench.addresses().is_empty());
    }
    assert_eq!(bench.state.told(), []);
}

#[test]
fn nothing_stays_on_an_interface_that_takes_another_name() {
    let mut bench = Bench::new();
    bench.state.define(A, vips(&["198.51.100.7/24"]));
    bench.state.hold(A);
    bench.settle(at(1));
    bench.other_hand(Request::RenameLink { ifindex: 1, name: "other".into() });
    bench.settle(at(2));
    assert!(bench.addresses().is_empty());
    bench.other_hand(Request::RenameLink { ifindex: 1, name: "eth0".into() });
    bench.settle(at(3));
    assert_eq!(bench.addresses(), set(&["198.51.100.7/24@1"]));
    assert_eq!(bench.state.told(), []);
}

#[test]
fn after_an_overrun_what_is_missing_is_put_back() {
    let mut bench = Bench::new();
    bench.state.define(A, vips(&["198.51.100.7/24", "198.51.100.8/24"]));
    bench.state.hold(A);
    bench.settle(at(1));
    bench.other_hand(Request::DelAddress(Address::new(1, [198, 51, 100, 8].into(), 24)));
    bench.kernel.0.borrow_mut().take_events();
    bench.state.read_again(at(2)).unwrap();
    bench.settle(at(2));
    assert_eq!(bench.addresses(), set(&["198.51.100.7/24@1", "198.51.100.8/24@1"]));
    assert_eq!(bench.state.told().len(), 1);
}

#[test]
fn leftovers_of_an_earlier_life_are_swept_and_strangers_are_not() {
    let mut bench = Bench::new();
    for ip in [[198, 51, 100, 7], [198, 51, 100, 66]] {
        let address = Address::new(1, ip.into(), 24);
        bench.other_hand(Request::AddAddress { address, mode: AddMode::Exclusive });
    }
    bench.settle(at(1));
    bench.state.define(A, vips(&["198.51.100.7/24"]));
    bench.state.sweep(A);
    bench.settle(at(1));
    assert_eq!(bench.addresses(), set(&["198.51.100.66/24@1"]));
}

#[test]
fn a_next_life_that_holds_touches_nothing() {
    let mut bench = Bench::new();
    let held = holding(
        " virtual_ipaddress {\n 198.51.100.7/24\n }
 virtual_ipaddress_excluded {\n 2001:db8::7/64\n }",
    );
    bench.state.define(A, held.clone());
    bench.state.hold(A);
    bench.settle(at(1));
    let before = bench.requests();
    bench.state = KernelState::new(Box::new(bench.kernel.clone())).unwrap();
    bench.state.define(A, held.clone());
    bench.state.hold(A);
    bench.settle(at(2));
    assert_eq!(bench.requests(), before);
    assert!(bench.state.state_of(A, What::Address, 1).0);
    bench.state.withdraw(A);
    bench.settle(at(3));
    assert!(bench.addresses().is_empty());
}

#[test]
fn a_refusal_is_told_once() {
    let mut bench = Bench::new();
    bench.state.define(A, vips(&["198.51.100.7/24"]));
    for _ in 0..2 {
        bench.kernel.0.borrow_mut().refuse_next(KernelError::Unsupported("this"));
        bench.state.hold(A);
        bench.settle(at(1));
    }
    assert!(matches!(bench.state.told()[..], [Told::Refused { .. }]));
    bench.state.hold(A);
    bench.settle(at(2));
    assert!(bench.state.state_of(A, What::Address, 0).0);
}

#[test]
fn a_forgotten_owner_leaves_nothing() {
    let mut bench = Bench::new();
    bench.state.define(A, vips(&["198.51.100.7/24"]));
    bench.state.hold(A);
    bench.state.forget(A);
    bench.settle(at(1));
    assert!(bench.addresses().is_empty());
    assert!(bench.state.held.is_empty());
}
