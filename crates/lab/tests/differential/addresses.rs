//! What a master puts into the kernel: addresses with their options, routes and rules. Both
//! machines are cut off from each other and become master with the same configuration; then their
//! kernels must hold the same.

use serde_json::Value;

use crate::Scenario;
use crate::conf::{Conf, VIP};
use crate::stage::{Stage, ip, s};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario::new("options_of_addresses", options).links(2),
    Scenario::new("options_of_ipv6_addresses", options_ipv6),
    Scenario::new("excluded_addresses_are_held_not_advertised", excluded).links(2),
    Scenario::new("other_family_excluded", other_family),
    Scenario::new("virtual_routes", routes),
    Scenario::new("virtual_rules", rules),
    Scenario::new("promote_secondaries", promote),
    Scenario::new("static_addresses_and_routes_stay", statics),
];

/// Cuts the machines off, starts both with the same, waits until both have `vip`.
fn both(stage: &mut Stage, conf: &Conf, vip: &str) {
    stage.lab.mute(1, 0).expect("cut off");
    let started = stage.start(1, conf);
    stage.start(2, conf);
    for node in [1, 2] {
        stage.gets(node, vip, started, conf.down());
        stage.pass(node, 2, conf.interval());
    }
}

/// What `ip -j` prints, without what differs between machines.
fn kernel(stage: &Stage, node: usize, command: &str) -> Vec<Value> {
    let text = stage.lab.node(node).command(command).expect("ip");
    let mut list: Vec<Value> = serde_json::from_str(text.trim()).unwrap_or_default();
    // What the kernel adds by itself for interfaces and addresses.
    list.retain(|entry| entry["protocol"] != "kernel");
    for entry in &mut list {
        neutral(entry);
    }
    list
}

fn neutral(value: &mut Value) {
    match value {
        Value::Object(map) => {
            // Who added it is ours to mark; the rest is the hardware's, or grows old.
            for key in ["protocol", "address", "link_netnsid", "valid_life_time", "metric_age"] {
                if key != "protocol" || map.contains_key("local") {
                    map.remove(key);
                }
            }
            map.values_mut().for_each(neutral);
        }
        Value::Array(list) => list.iter_mut().for_each(neutral),
        _ => {}
    }
}

/// The addresses of a machine that are not its own.
fn virtual_addresses(stage: &Stage, node: usize) -> Vec<Value> {
    let own = [format!("198.51.100.{node}"), format!("203.0.113.{node}")];
    let mut found = Vec::new();
    for interface in kernel(stage, node, "ip -j addr show") {
        for address in interface["addr_info"].as_array().into_iter().flatten() {
            let text = address["local"].as_str().unwrap_or_default();
            let fixed = text == "127.0.0.1"
                || text == "::1"
                || text.starts_with("fe80::ff:")
                || own.iter().any(|it| it == text)
                || text == format!("2001:db8::{node}")
                || text == format!("2001:db8:1::{node}");
            if !fixed {
                let mut address = address.clone();
                address["interface"] = interface["ifname"].clone();
                found.push(address);
            }
        }
    }
    found
}

fn same_addresses(stage: &Stage, count: usize) -> Vec<Value> {
    let [one, two] = [1, 2].map(|node| virtual_addresses(stage, node));
    assert_eq!(one.len(), count, "addresses of n1: {one:#?}");
    assert_eq!(one, two, "addresses of n1 and n2");
    one
}

fn gone(stage: &Stage) {
    for node in [1, 2] {
        stage.stop(node);
        assert_eq!(virtual_addresses(stage, node), Vec::<Value>::new(), "left on n{node}");
    }
}

fn options(stage: &mut Stage) {
    let conf = Conf::v3().vips(&[
        "198.51.100.100",
        "198.51.100.101/24",
        "198.51.100.102/28 brd 198.51.100.111 dev eth0",
        "198.51.100.103/24 brd + label eth0:vip",
        "198.51.100.104/32 scope link",
        "198.51.100.105/32 scope host",
        "203.0.113.100/24 dev eth1",
        "198.51.100.106 peer 198.51.100.107/32",
        "198.51.100.110/24 dev eth0 scope global label eth0:last",
    ]);
    both(stage, &conf, "198.51.100.110");
    same_addresses(stage, 9);
    gone(stage);
}

fn options_ipv6(stage: &mut Stage) {
    let conf = Conf::v3().vips(&[
        "fe80::100",
        "2001:db8::100",
        "2001:db8::101/64",
        "2001:db8::102/64 preferred_lft 0",
        "2001:db8::103/128 home",
        "2001:db8::104/64 -nodad",
        "2001:db8::105/64 dev eth0 scope global",
    ]);
    both(stage, &conf, "2001:db8::105");
    same_addresses(stage, 7);
    gone(stage);
}

fn excluded(stage: &mut Stage) {
    let conf = Conf::v3().with(
        "virtual_ipaddress_excluded {\n    198.51.100.120\n    203.0.113.120/24 dev eth1\n  }",
    );
    both(stage, &conf, "203.0.113.120");
    same_addresses(stage, 3);
    for node in [1, 2] {
        for (_, advert) in stage.lab.adverts(node, s(0.0)) {
            assert_eq!(advert.addresses, [ip(VIP)], "n{node}");
        }
    }
    gone(stage);
}

fn other_family(stage: &mut Stage) {
    let conf = Conf::v3().with("virtual_ipaddress_excluded {\n    2001:db8::120/64\n  }");
    both(stage, &conf, "2001:db8::120");
    same_addresses(stage, 2);
    gone(stage);
}

/// The same list on both machines, different from before; and as before when it is over.
fn held_while_master(stage: &mut Stage, conf: &Conf, commands: &[&str], count: usize) {
    let list = |stage: &Stage, node: usize| -> Vec<Value> {
        commands.iter().flat_map(|command| kernel(stage, node, command)).collect()
    };
    let before = [1, 2].map(|node| list(stage, node));
    both(stage, conf, VIP);
    let held = |node: usize| -> Vec<Value> {
        let before = &before[node - 1];
        list(stage, node).into_iter().filter(|entry| !before.contains(entry)).collect()
    };
    let [one, two] = [1, 2].map(held);
    assert_eq!(one.len(), count, "added to n1: {one:#?}");
    assert_eq!(one, two, "{commands:?} of n1 and n2");
    for node in [1, 2] {
        stage.stop(node);
        assert_eq!(list(stage, node), before[node - 1], "left on n{node}");
    }
}

fn routes(stage: &mut Stage) {
    let conf = Conf::v3().with(
        "virtual_routes {
    192.0.2.0/25 via 198.51.100.9
    192.0.2.128/25 dev eth0 scope link
    src 198.51.100.100 192.0.2.64/26 via 198.51.100.9 dev eth0 metric 50
    192.0.2.0/24 via 198.51.100.9 table 100
    blackhole 203.0.113.0/25
    unreachable 203.0.113.128/25 metric 7
    2001:db8:5::/64 via 2001:db8::9 dev eth0
  }",
    );
    let commands = ["ip -j -d route show table all"];
    held_while_master(stage, &conf, &commands, 7);
}

fn rules(stage: &mut Stage) {
    let conf = Conf::v3().with(
        "virtual_rules {
    from 192.0.2.0/24 table 100 priority 1000
    to 192.0.2.0/24 table 101 priority 1001
    from 192.0.2.5 iif eth0 table 102 priority 1002
    fwmark 5 table 103 priority 1003
    from 192.0.2.6 blackhole priority 1004
    from 2001:db8:7::/64 table 104 priority 1005
  }",
    );
    held_while_master(stage, &conf, &["ip -j -d rule show", "ip -j -d -6 rule show"], 6);
}

/// The sysctl stays as the master left it while it has addresses; both do the same.
fn promote(stage: &mut Stage) {
    let conf = Conf::v3().with("promote_secondaries");
    both(stage, &conf, VIP);
    let path = "cat /proc/sys/net/ipv4/conf/eth0/promote_secondaries";
    for node in [1, 2] {
        let value = stage.lab.node(node).command(path).expect("cat");
        assert_eq!(value.trim(), "1", "promote_secondaries of n{node}");
    }
}

/// Static addresses belong to the daemon, not to a state.
fn statics(stage: &mut Stage) {
    const STATIC: &str = "198.51.100.77";
    let statics = format!(
        "static_ipaddress {{\n  {STATIC}/32 dev eth0\n}}\n\
         static_routes {{\n  192.0.2.0/24 via 198.51.100.9 dev eth0\n}}\n\
         static_rules {{\n  from 192.0.2.0/24 table 100 priority 1000\n}}"
    );
    let conf = Conf::v3().after(statics);
    let before = [1, 2].map(|node| kernel(stage, node, "ip -j route show"));
    let started = stage.start(1, &conf);
    stage.start(2, &conf);
    for node in [1, 2] {
        stage.gets(node, STATIC, started, s(0.5));
        let limit = s(1.0);
        let has = |command: &str, key: &str, value: Value| {
            let found = standfast_lab::journal::wait_until(limit, || {
                kernel(stage, node, command).iter().any(|it| it[key] == value).then_some(())
            });
            assert!(found.is_some(), "{command} of n{node} shows no {key} {value}");
        };
        has("ip -j route show", "dst", "192.0.2.0/24".into());
        has("ip -j rule show", "priority", 1000.into());
    }
    for node in [1, 2] {
        stage.stop(node);
        stage.holds(node, STATIC, false);
        assert_eq!(kernel(stage, node, "ip -j route show"), before[node - 1], "left on n{node}");
    }
}
