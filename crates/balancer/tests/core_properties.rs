//! Random configurations, check results, DNS answers, orders, reloads, stops and deaths of the
//! process: what must hold after every step. The core's own invariants are checked by every step of
//! [`World`]; here is what can be seen from outside.

mod core_support;

use std::collections::HashMap;

use core_support::{World, secs};
use proptest::prelude::*;
use standfast_balancer::core::{
    Adjustment, Answer, CheckId, CheckResult, Event, EventKind, Input, Order, VsKey,
};

/// A `real_server` block.
#[derive(Clone, Debug)]
struct Server {
    weight: Option<u8>,
    inhibit: bool,
    /// Which checks; 0 to 3 of them.
    checks: u8,
    port: u16,
}

/// A `virtual_server` block.
#[derive(Clone, Debug)]
struct Service {
    quorum: u8,
    hysteresis: u8,
    alpha: bool,
    omega: bool,
    suspend: bool,
    group: bool,
    /// With `sorry_server_inhibit`?
    sorry: Option<bool>,
    servers: Vec<Option<Server>>,
    /// Names, of which there are two.
    names: Vec<Option<Server>>,
}

fn server() -> impl Strategy<Value = Server> {
    (proptest::option::of(0u8..4), any::<bool>(), 0u8..8, prop_oneof![Just(80u16), Just(8080)])
        .prop_map(|(weight, inhibit, checks, port)| Server { weight, inhibit, checks, port })
}

fn service() -> impl Strategy<Value = Service> {
    let servers = proptest::collection::vec(proptest::option::weighted(0.7, server()), 4);
    let names = proptest::collection::vec(proptest::option::weighted(0.3, server()), 2);
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    (1u8..5, 0u8..4, flags, proptest::option::of(any::<bool>()), servers, names).prop_map(
        |(quorum, hysteresis, (alpha, omega, suspend, group), sorry, servers, names)| Service {
            quorum,
            hysteresis,
            alpha,
            omega,
            suspend,
            group,
            sorry,
            servers,
            names,
        },
    )
}

/// A file with at most three services, each of which may be missing.
fn file() -> impl Strategy<Value = Vec<Option<Service>>> {
    proptest::collection::vec(proptest::option::weighted(0.8, service()), 3)
}

/// The file in words. With `overlap` all services are for the same packets.
fn text(file: &[Option<Service>], overlap: bool) -> String {
    let mut text = "track_file load {\n file /run/load\n}\n".to_owned();
    for (n, service) in file.iter().enumerate() {
        let Some(service) = service else { continue };
        let at = if overlap { 1 } else { n };
        let mut body = String::new();
        let mut block = |host: String, server: &Server| {
            body += &format!(" real_server {host} {} {{\n", server.port);
            if let Some(weight) = server.weight {
                body += &format!("  weight {weight}\n");
            }
            if server.inhibit {
                body += "  inhibit_on_failure\n";
            }
            let checks = ["TCP_CHECK {", "FILE_CHECK {\n   track_file load", "SMTP_CHECK {"];
            for (bit, check) in checks.iter().enumerate() {
                if server.checks & (1 << bit) != 0 {
                    body += &format!("  {check}\n  }}\n");
                }
            }
            body += " }\n";
        };
        for (m, server) in service.servers.iter().enumerate() {
            if let Some(server) = server {
                block(format!("203.0.113.{}", 11 + m), server);
            }
        }
        for (m, server) in service.names.iter().enumerate() {
            if let Some(server) = server {
                block(format!("name{m}.example.com"), server);
            }
        }
        let what = if service.group {
            text += &format!(
                "virtual_server_group G{n} {{\n 198.51.100.{at}1-{at}3 80\n 198.51.100.{at} 80\n fwmark {}\n}}\n",
                n + 1
            );
            format!("group G{n}")
        } else {
            format!("198.51.100.{at} 80")
        };
        text += &format!("virtual_server {what} {{\n lb_algo rr\n lb_kind NAT\n protocol TCP\n");
        text += &format!(" quorum {}\n hysteresis {}\n", service.quorum, service.hysteresis);
        for (on, word) in [
            (service.alpha, "alpha"),
            (service.omega, "omega"),
            (service.suspend, "ha_suspend"),
            (service.sorry.is_some(), "sorry_server 203.0.113.99 80"),
            (service.sorry == Some(true), "sorry_server_inhibit"),
        ] {
            if on {
                text += &format!(" {word}\n");
            }
        }
        text += &body;
        text += "}\n";
    }
    text
}

#[derive(Clone, Debug)]
enum Step {
    /// A check, by its place among those that run, has a result.
    Up(usize),
    Weight(usize, Adjustment),
    Down(usize),
    Resolve(usize, Vec<(u8, Option<u16>)>),
    FailLookup(usize),
    Order(usize, usize, Order),
    /// Connections of everything that drains.
    Connections(u64),
    Address(u8, bool),
    Pass(u64),
    Reload(Vec<Option<Service>>),
    ReloadSame,
    Die,
}

fn adjustment() -> impl Strategy<Value = Adjustment> {
    prop_oneof![(0u32..5).prop_map(Adjustment::Set), (-4i64..5).prop_map(Adjustment::Add)]
}

fn order() -> impl Strategy<Value = Order> {
    prop_oneof![
        (0u32..5).prop_map(Order::Weight),
        proptest::option::of(1u64..20).prop_map(|s| Order::Drain { deadline: s.map(secs) }),
        Just(Order::Disable),
        Just(Order::Enable),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let answers = proptest::collection::vec((0u8..6, proptest::option::of(0u16..4)), 0..4);
    prop_oneof![
        8 => any::<usize>().prop_map(Step::Up),
        2 => (any::<usize>(), adjustment()).prop_map(|(n, a)| Step::Weight(n, a)),
        8 => any::<usize>().prop_map(Step::Down),
        4 => (any::<usize>(), answers).prop_map(|(n, answers)| Step::Resolve(n, answers)),
        1 => any::<usize>().prop_map(Step::FailLookup),
        4 => (any::<usize>(), any::<usize>(), order()).prop_map(|(v, s, o)| Step::Order(v, s, o)),
        2 => (0u64..2).prop_map(Step::Connections),
        1 => (0u8..3, any::<bool>()).prop_map(|(n, present)| Step::Address(n, present)),
        2 => (0u64..15).prop_map(Step::Pass),
        2 => file().prop_map(Step::Reload),
        1 => Just(Step::ReloadSame),
        1 => Just(Step::Die),
    ]
}

/// What an onlooker believes.
#[derive(Default)]
struct Onlooker {
    /// The last result of each check that runs.
    results: HashMap<CheckId, bool>,
    /// Who was told to be up or down; forgotten when it goes.
    told: HashMap<String, bool>,
    seen: usize,
    /// Cannot tell servers of several blocks apart.
    blind: bool,
}

impl Onlooker {
    fn look(&mut self, world: &World) {
        self.results.retain(|id, _| world.checks.contains_key(id));
        if self.blind {
            return;
        }
        for event in &world.events[self.seen..] {
            self.event(event);
        }
        self.seen = world.events.len();
        for (id, up) in &self.results {
            let order = &world.checks[id];
            let mine =
                |vs: &&std::sync::Arc<standfast_balancer::core::VsPlan>| vs.name == order.service;
            let plan = world.core.plans().find(mine).expect("its virtual server");
            for (key, _) in &plan.services {
                let there = world.kernel.destination(key, &order.server);
                assert!(
                    *up || there.is_none_or(|there| there.weight == 0),
                    "{} failed and weighs {there:?}",
                    order.server
                );
            }
        }
        for plan in world.core.plans() {
            let up = self.told.get(&*plan.name);
            let Some(sorry) = &plan.sorry else { continue };
            for (key, _) in &plan.services {
                let weight = world.kernel.destination(key, &sorry.address).map(|d| d.weight);
                let expected = match (up, sorry.inhibit) {
                    (Some(false), _) => Some(1),
                    (_, true) => Some(0),
                    (_, false) => None,
                };
                assert_eq!(weight, expected, "sorry server of {}", plan.name);
                let entry = world.kernel.get(key).expect("it is in the table");
                let others = entry.destinations().filter(|(address, _)| **address != sorry.address);
                let weight: u64 = others.map(|(_, there)| u64::from(there.weight)).sum();
                assert!(up != Some(&false) || weight == 0, "{} has a sorry server", plan.name);
            }
        }
    }

    fn event(&mut self, event: &Event) {
        if let Some(notice) = event.notice.as_ref().filter(|notice| notice.fifo) {
            let name = match &event.server {
                Some(server) => format!("{} {}", server.name, event.service_name),
                None => event.service_name.to_string(),
            };
            let before = self.told.insert(name, notice.up);
            // A virtual server that starts down may get its sorry server later: told again.
            let again = matches!(&event.kind, EventKind::QuorumLost(quorum) if quorum.initial);
            assert!(before != Some(notice.up) || again, "told twice: {event}");
        }
        match &event.kind {
            EventKind::ServerRemoved { .. } => {
                let server = event.server.as_ref().expect("a server");
                self.told.remove(&format!("{} {}", server.name, event.service_name));
            }
            EventKind::VirtualServerAdded => {
                self.told.remove(&*event.service_name);
            }
            _ => {}
        }
    }
}

fn nth<T: Clone>(list: impl Iterator<Item = T>, n: usize) -> Option<T> {
    let list: Vec<_> = list.collect();
    (!list.is_empty()).then(|| list[n % list.len()].clone())
}

fn play(first: &[Option<Service>], steps: Vec<Step>, overlap: bool) {
    let mut file = text(first, overlap);
    let mut world = World::new(&file);
    let mut onlooker = Onlooker { blind: overlap, ..Onlooker::default() };
    onlooker.look(&world);
    for step in steps {
        match step {
            Step::Up(n) => {
                if let Some(id) = nth(world.checks.keys().copied(), n) {
                    onlooker.results.insert(id, true);
                    let result = CheckResult::Up { weight: None, detail: "fine".into() };
                    world.input(Input::Check { id, result });
                }
            }
            Step::Weight(n, adjustment) => {
                if let Some(id) = nth(world.checks.keys().copied(), n) {
                    onlooker.results.insert(id, true);
                    let weight = Some(adjustment);
                    world.input(Input::Check {
                        id,
                        result: CheckResult::Up { weight, detail: "fine".into() },
                    });
                }
            }
            Step::Down(n) => {
                if let Some(id) = nth(world.checks.keys().copied(), n) {
                    onlooker.results.insert(id, false);
                    let result = CheckResult::Down { failure: "refused".into() };
                    world.input(Input::Check { id, result });
                }
            }
            Step::Resolve(n, answers) => {
                if let Some(lookup) = nth(world.lookups.iter().cloned(), n) {
                    let answer = |(host, weight)| Answer {
                        ip: std::net::Ipv4Addr::new(203, 0, 113, 11 + host).into(),
                        port: None,
                        weight,
                    };
                    let answers = answers.into_iter().map(answer).collect();
                    world.input(Input::Resolved { lookup, answers });
                }
            }
            Step::FailLookup(n) => {
                if let Some(lookup) = nth(world.lookups.iter().cloned(), n) {
                    world.input(Input::LookupFailed { lookup, reason: "refused".into() });
                }
            }
            Step::Order(v, s, order) => {
                let keys: Vec<VsKey> = world.core.plans().map(|plan| plan.key.clone()).collect();
                let all = world.core.snapshot(&mut (), world.now);
                let Some(v) = nth(0..keys.len(), v) else { continue };
                let servers = all[v].real_servers.iter().filter_map(|server| server.address);
                if let Some(server) = nth(servers, s) {
                    world.core.order(&keys[v], server, order, world.now).expect("they exist");
                    world.settle();
                }
            }
            Step::Connections(active) => {
                for draining in world.core.draining() {
                    let (service, server) = (draining.service, draining.server);
                    world.input(Input::Connections { service, server, active, inactive: 0 });
                }
            }
            Step::Address(n, present) => {
                let ip = std::net::Ipv4Addr::new(198, 51, 100, n).into();
                world.input(Input::Address { ip, present });
            }
            Step::Pass(seconds) => world.pass(secs(seconds)),
            Step::Reload(next) => {
                file = text(&next, overlap);
                world.reload(&file);
            }
            Step::ReloadSame => {
                let seen = world.events.len();
                let running: Vec<_> = world.checks.keys().copied().collect();
                world.changed = 0;
                world.reload(&file);
                assert_eq!(world.changed, 0);
                assert_eq!(world.checks.keys().copied().collect::<Vec<_>>(), running);
                for event in &world.events[seen..] {
                    assert!(matches!(event.kind, EventKind::OverrideConflict { .. }), "{event}");
                }
            }
            Step::Die => {
                let saved = world.core.save();
                let successor = World::resumed(&file, &saved, world.now);
                assert_eq!(successor.kernel, world.kernel);
                assert_eq!(successor.core.save(), saved);
                let told: Vec<_> = successor.events.iter().map(ToString::to_string).collect();
                assert_eq!(told, Vec::<String>::new());
                // The numbers of checks begin anew.
                let results = std::mem::take(&mut onlooker.results);
                let place =
                    |world: &World, id: &CheckId| world.checks.keys().position(|other| other == id);
                let same_order = world.checks.len() == successor.checks.len()
                    && world.checks.values().zip(successor.checks.values()).all(|(a, b)| {
                        (a.server, &a.service, a.check.keyword)
                            == (b.server, &b.service, b.check.keyword)
                    });
                if same_order {
                    for (id, up) in results {
                        let n = place(&world, &id).expect("it runs");
                        onlooker.results.insert(*successor.checks.keys().nth(n).unwrap(), up);
                    }
                }
                world = successor;
                onlooker.seen = 0;
            }
        }
        onlooker.look(&world);
    }
    world.stop();
    assert!(world.kernel.is_empty() && world.checks.is_empty() && world.lookups.is_empty());
    if overlap {
        return;
    }
    for event in &world.events[onlooker.seen..] {
        onlooker.event(event);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_table_follows(
        first in file(),
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        play(&first, steps, false);
    }

    #[test]
    fn several_blocks_for_the_same_packets_do_no_harm(
        first in file(),
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        play(&first, steps, true);
    }
}
