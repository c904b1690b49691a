//! `check --pair`: what does not fit together is found, in both files.

use std::path::Path;

use config::files::MemoryFiles;
use config::lower::{BuiltinNames, Lowered, lower};
use config::pair::{Node, Paired, check};
use config::render::{Style, text};
use config::{Loaded, Options, load};

fn node(name: &str, input: &str) -> (Loaded, Lowered) {
    let path = Path::new("/").join(name);
    let loaded = load(&MemoryFiles::new().with(&path, input), &path, &Options::default());
    assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
    let lowered = lower(&loaded.tree, &BuiltinNames);
    (loaded, lowered)
}

fn pair(inputs: &[&str]) -> Paired {
    let names = ["a.conf", "b.conf", "c.conf"];
    let nodes: Vec<_> = names.iter().zip(inputs).map(|(name, input)| node(name, input)).collect();
    let nodes: Vec<Node<'_>> = nodes
        .iter()
        .map(|(loaded, lowered)| Node {
            sources: &loaded.sources,
            tree: &loaded.tree,
            model: &lowered.model,
        })
        .collect();
    check(&nodes)
}

fn found(inputs: &[&str]) -> Vec<String> {
    let paired = pair(inputs);
    paired
        .diagnostics
        .iter()
        .map(|d| {
            let primary = d.primary.as_ref().expect("a place");
            let file = paired.sources.file(primary.span.file).path().display();
            format!("{} {file}: {}", d.code.name(), paired.sources.text(primary.span))
        })
        .collect()
}

/// One instance; `lines` beside id, interface and addresses.
fn instance(vrid: u8, vips: &str, lines: &str) -> String {
    format!(
        "vrrp_instance V {{\n interface eth0\n virtual_router_id {vrid}\n \
         virtual_ipaddress {{\n {vips}\n }}\n{lines}\n}}\n"
    )
}

const VIP: &str = "192.0.2.9/24";

/// Two nodes that differ in their lines only.
fn lines(a: &str, b: &str) -> Vec<String> {
    let a = format!("priority 150\n{a}");
    let b = format!("priority 100\n{b}");
    found(&[&instance(7, VIP, &a), &instance(7, VIP, &b)])
}

#[test]
fn a_good_pair() {
    assert_eq!(lines("", ""), Vec::<String>::new());
    assert_eq!(lines("state MASTER", "state BACKUP"), Vec::<String>::new());
    // Names and interfaces are each node's own business.
    let other = instance(7, VIP, "priority 100").replace("eth0", "ens3").replace('V', "W");
    assert_eq!(found(&[&instance(7, VIP, "priority 150"), &other]), Vec::<String>::new());
    let both = "unicast_src_ip 192.0.2.1\n unicast_peer {\n 192.0.2.2\n }";
    let back = "unicast_src_ip 192.0.2.2\n unicast_peer {\n 192.0.2.1\n }";
    assert_eq!(lines(both, back), Vec::<String>::new());
}

#[test]
fn identity() {
    let a = instance(7, VIP, "priority 150");
    let b = instance(8, VIP, "priority 100");
    assert_eq!(found(&[&a, &b]), ["pair-router-id /b.conf: 8"]);
    let b = instance(7, "192.0.2.9/24\n 192.0.2.10/24", "priority 100");
    assert_eq!(found(&[&a, &b]), ["pair-addresses /b.conf: 192.0.2.10/24"]);
    let b = instance(7, "192.0.2.9/32", "priority 100");
    assert_eq!(found(&[&a, &b]), ["pair-addresses /b.conf: 192.0.2.9/32"]);
    let b = instance(7, "192.0.2.44/24", "priority 100").replace("_instance V", "_instance W");
    assert_eq!(found(&[&a, &b]), ["pair-shared-router-id /b.conf: 7"]);
    let extra = instance(9, "192.0.2.50/24", "").replace("_instance V", "_instance W");
    let b = instance(7, VIP, "priority 100") + &extra;
    assert_eq!(found(&[&a, &b]), ["pair-only-here /b.conf: W"]);
}

#[test]
fn what_makes_them_deaf_to_each_other() {
    assert_eq!(lines("", "advert_int 2"), ["pair-interval /b.conf: 2"]);
    assert_eq!(lines("version 3", "version 2"), ["pair-version /b.conf: 2"]);
    let pass = |word: &str| format!("authentication {{\n auth_type PASS\n auth_pass {word}\n }}");
    assert_eq!(lines(&pass("x"), &pass("y")), ["pair-authentication /b.conf: y"]);
    assert_eq!(lines(&pass("x"), ""), ["pair-authentication /b.conf: V"]);
    assert_eq!(lines(&pass("x"), &pass("x")), Vec::<String>::new());
    assert_eq!(lines("version 3\n v3_checksum_as_v2", "version 3"), ["pair-checksum /b.conf: V"]);
    assert_eq!(
        lines("", "unicast_peer {\n 192.0.2.1\n }"),
        ["pair-transport /b.conf: unicast_peer"]
    );
    assert_eq!(lines("", "mcast_dst_ip 224.0.0.99"), ["pair-transport /b.conf: mcast_dst_ip"]);
    let key = |secret: &str| format!("auth_hmac {{\n key 1 {}\n }}", secret.repeat(32));
    assert_eq!(lines(&key("a"), &key("b")), ["pair-authentication /b.conf: auth_hmac"]);
    assert_eq!(lines(&key("a"), &key("a")), Vec::<String>::new());
}

#[test]
fn peers_that_do_not_point_at_each_other() {
    let a = "unicast_src_ip 192.0.2.1\n unicast_peer {\n 192.0.2.3\n }";
    let b = "unicast_src_ip 192.0.2.2\n unicast_peer {\n 192.0.2.1\n }";
    assert_eq!(lines(a, b), ["pair-peers /a.conf: unicast_peer"]);
}

#[test]
fn priorities_and_preemption() {
    let same = instance(7, VIP, "priority 100");
    assert_eq!(found(&[&same, &same]), ["pair-equal-priority /b.conf: 100"]);
    let none = instance(7, VIP, "");
    assert_eq!(found(&[&none, &none]), ["pair-equal-priority /b.conf: V"]);
    let owner = instance(7, VIP, "priority 255");
    assert_eq!(found(&[&owner, &owner]), ["pair-two-owners /b.conf: 255"]);
    let master = instance(7, VIP, "state MASTER");
    assert_eq!(found(&[&master, &master]), ["pair-two-owners /b.conf: MASTER"]);
    assert_eq!(lines("nopreempt", ""), ["pair-preemption /b.conf: V"]);
    assert_eq!(lines("", "down_timer_adverts 5"), ["pair-down-timer /b.conf: 5"]);
}

#[test]
fn weights_that_cannot_decide() {
    let script = "vrrp_script s {\n script /bin/s\n}\n";
    let with = |weight: i32| {
        let track = format!("priority 150\n track_script {{\n s weight {weight}\n }}");
        let a = format!("{script}{}", instance(7, VIP, &track));
        let b = format!("{script}{}", instance(7, VIP, &track.replace("150", "100")));
        found(&[&a, &b])
    };
    assert_eq!(with(-2), ["weight-cannot-decide /a.conf: -2"]);
    assert_eq!(with(-49), ["weight-cannot-decide /a.conf: -49"]);
    // Equal: then the addresses decide, and nobody here knows them.
    assert_eq!(with(-50), Vec::<String>::new());
    assert_eq!(with(20), ["weight-cannot-decide /a.conf: 20"]);
    assert_eq!(with(51), Vec::<String>::new());
    assert_eq!(with(0), Vec::<String>::new());
}

#[test]
fn three_nodes_and_sync_groups() {
    let node = |priority: u8| instance(7, VIP, &format!("priority {priority}"));
    assert_eq!(found(&[&node(150), &node(120), &node(100)]), Vec::<String>::new());
    assert_eq!(found(&[&node(150), &node(100), &node(100)]), ["pair-equal-priority /c.conf: 100"]);
    let two = |priority: u8, group: &str| {
        let second = instance(8, "192.0.2.10/24", &format!("priority {priority}"))
            .replace("_instance V", "_instance W");
        node(priority) + &second + group
    };
    let group = "vrrp_sync_group G {\n group {\n V\n W\n }\n}\n";
    assert_eq!(found(&[&two(150, group), &two(100, group)]), Vec::<String>::new());
    assert_eq!(found(&[&two(150, group), &two(100, "")]), ["pair-sync-group /a.conf: G"]);
}

#[test]
fn a_finding_shows_both_files() {
    let a = instance(7, VIP, "priority 150");
    let b = instance(8, VIP, "priority 100");
    let paired = pair(&[&a, &b]);
    let style = Style { colour: false, width: 80 };
    let shown = text(&paired.diagnostics[0], &paired.sources, style);
    let lines: Vec<&str> = shown.lines().map(str::trim_end).collect();
    let expected = "\
error[SF1001]: router ids 7 and 8 for the same addresses
 --> /b.conf:3:20
  |
3 |  virtual_router_id 8
  |                    ^
  |
 ::: /a.conf:3:20
  |
3 |  virtual_router_id 7
  |                    -
  |
  = help: both become MASTER; write the same id on all nodes";
    assert_eq!(lines.join("\n"), expected);
}
