//! What a reload and a restart of the process do to virtual and real servers. The sequences named
//! "as 2.2.7" were seen with Keepalived 2.2.7 on a kernel with IPVS.

mod core_support;

use core_support::{World, rs, rs_with, secs, vs, vs_on};
use standfast_balancer::core::{Adjustment, Input, Order};

const VS: &str = "198.51.100.1:80";
const A: &str = "203.0.113.11:80";
const B: &str = "203.0.113.12:80";
const C: &str = "203.0.113.13:80";

fn two(body: &str) -> String {
    vs(&format!("{body}\n{}{}", rs(11, ""), rs(12, "")))
}

#[test]
fn a_reload_of_the_same_file_does_nothing() {
    let text = format!(
        "{}{}",
        two("quorum 2\nsorry_server 203.0.113.99 80\nha_suspend"),
        vs_on("198.51.100.2 80", " real_server web.example.com 80 {\n TCP_CHECK {\n }\n }\n")
    );
    let mut world = World::new(&text);
    world.resolve_to("web.example.com", &["203.0.113.21"]);
    world.down(A, 0);
    world.told_all();
    world.changed = 0;
    let checks: Vec<_> = world.checks.keys().copied().collect();
    world.reload(&text);
    assert!(world.told_all().is_empty());
    assert_eq!(world.changed, 0);
    assert_eq!(world.checks.keys().copied().collect::<Vec<_>>(), checks);
}

#[test]
fn what_the_file_drops_goes_and_is_told_of_as_2_2_7() {
    let text = format!("{}{}", two(""), vs_on("198.51.100.2 80", &rs(14, "")));
    let mut world = World::new(&text);
    world.told();
    world.reload(&vs(&rs(11, "")));
    assert_eq!(
        world.told(),
        [
            "Removing Virtual Server [198.51.100.2]:tcp:80",
            "Removing service [203.0.113.14]:tcp:80 from VS [198.51.100.2]:tcp:80",
            "run down 14",
            "fifo RS [203.0.113.14]:tcp:80 [198.51.100.2]:tcp:80 DOWN",
            "VS [198.51.100.2]:tcp:80 is down",
            "run quorum_down",
            "fifo VS [198.51.100.2]:tcp:80 DOWN",
            "Removing service [203.0.113.12]:tcp:80 from VS [198.51.100.1]:tcp:80",
            "run down 12",
            "fifo RS [203.0.113.12]:tcp:80 [198.51.100.1]:tcp:80 DOWN",
        ]
    );
    assert_eq!(world.table(), ["TCP 198.51.100.1:80 rr", "-> 203.0.113.11:80 1"]);
    assert_eq!(world.checks.len(), 1);
}

#[test]
fn who_was_down_goes_without_a_word_as_2_2_7() {
    let mut world = World::new(&vs(&format!("{}{}", rs(11, ""), rs(12, "inhibit_on_failure"))));
    world.down(B, 0);
    world.told();
    world.reload(&vs(&rs(11, "")));
    assert_eq!(
        world.told(),
        ["Removing (inhibited) service [203.0.113.12]:tcp:80 from VS [198.51.100.1]:tcp:80"]
    );
    assert_eq!(world.servers(), [format!("{A} 1")]);
}

#[test]
fn a_failed_server_stays_out_and_returns_with_its_new_weight_as_2_2_7() {
    let mut world = World::new(&two(""));
    world.down(B, 0);
    world.told();
    world.reload(&vs(&format!("{}{}", rs(11, "weight 5"), rs(12, "weight 7"))));
    let changed = |from, to, state: &str, n| {
        format!(
            "Changing weight from {from} to {to} for {state}active service [203.0.113.{n}]:tcp:80 of \
             VS [198.51.100.1]:tcp:80"
        )
    };
    assert_eq!(world.told(), [changed(1, 5, "", 11), changed(1, 7, "in", 12)]);
    assert_eq!(world.servers(), [format!("{A} 5")]);
    world.up(B, 0);
    assert_eq!(world.servers(), [format!("{A} 5"), format!("{B} 7")]);
}

#[test]
fn a_new_server_is_in_at_once_or_with_alpha_when_it_is_well_as_2_2_7() {
    let mut world = World::new(&vs(&rs(11, "")));
    world.told();
    world.reload(&two(""));
    assert_eq!(world.servers(), [format!("{A} 1"), format!("{B} 1")]);
    assert_eq!(world.told(), ["service [203.0.113.12]:tcp:80 is new in VS [198.51.100.1]:tcp:80"]);
    world.reload(&vs(&format!("alpha\n{}{}{}", rs(11, ""), rs(12, ""), rs(13, ""))));
    assert_eq!(world.servers(), [format!("{A} 1"), format!("{B} 1")]);
    world.told();
    world.down(C, 0);
    assert_eq!(world.told()[2], "fifo RS [203.0.113.13]:tcp:80 [198.51.100.1]:tcp:80 DOWN");
    world.up(C, 0);
    assert_eq!(world.servers().len(), 3);
}

#[test]
fn a_changed_check_of_a_server_that_is_up_changes_nothing_yet_as_2_2_7() {
    for alpha in ["", "alpha\n"] {
        let text = |check: &str| vs(&format!("{alpha}{}", rs_with(11, "", check)));
        let mut world = World::new(&text("TCP_CHECK {\n }"));
        world.up(A, 0);
        world.told();
        let before = world.checks_of(A);
        world.reload(&text("TCP_CHECK {\n connect_port 81\n }"));
        assert!(world.told().is_empty(), "{alpha:?}");
        assert_eq!(world.servers(), [format!("{A} 1")]);
        assert_ne!(world.checks_of(A), before);
        world.down(A, 0);
        assert!(world.servers().is_empty());
    }
}

#[test]
fn a_changed_check_of_a_server_that_is_down_starts_over_as_2_2_7() {
    for (alpha, there) in [("", true), ("alpha\n", false)] {
        let text = |check: &str| vs(&format!("{alpha}{}", rs_with(11, "", check)));
        let mut world = World::new(&text("TCP_CHECK {\n }"));
        world.down(A, 0);
        world.told();
        world.reload(&text("TCP_CHECK {\n connect_port 81\n }"));
        assert_eq!(world.servers() == [format!("{A} 1")], there, "{alpha:?}");
        let told = world.told();
        if there {
            assert_eq!(
                told[..3],
                [
                    "Adding service [203.0.113.11]:tcp:80 to VS [198.51.100.1]:tcp:80",
                    "run up 11",
                    "fifo RS [203.0.113.11]:tcp:80 [198.51.100.1]:tcp:80 UP",
                ]
            );
        } else {
            assert!(told.is_empty(), "{told:?}");
            world.up(A, 0);
            assert_eq!(world.servers(), [format!("{A} 1")]);
        }
    }
}

#[test]
fn a_server_comes_back_when_its_failed_check_is_dropped_as_2_2_7() {
    for alpha in ["", "alpha\n"] {
        let text = |checks: &str| vs(&format!("{alpha}{}", rs_with(11, "", checks)));
        let mut world = World::new(&text("TCP_CHECK {\n }\n PING_CHECK {\n }"));
        world.up(A, 1);
        world.down(A, 0);
        world.told();
        world.reload(&text("PING_CHECK {\n }"));
        assert_eq!(world.servers(), [format!("{A} 1")], "{alpha:?}");
        assert_eq!(world.told()[1], "run up 11");
    }
}

#[test]
fn alpha_that_comes_and_goes_restarts_no_check() {
    let mut world = World::new(&two(""));
    world.down(A, 0);
    let before: Vec<_> = world.checks.keys().copied().collect();
    world.reload(&two("alpha"));
    world.reload(&two(""));
    assert_eq!(world.checks.keys().copied().collect::<Vec<_>>(), before);
    assert_eq!(world.servers(), [format!("{B} 1")]);
}

#[test]
fn a_moved_check_keeps_its_state() {
    let text = |checks: &str| vs(&rs_with(11, "", checks));
    let mut world = World::new(&text("TCP_CHECK {\n }\n PING_CHECK {\n }"));
    world.down(A, 0);
    let mut before = world.checks_of(A);
    world.told();
    world.reload(&text("PING_CHECK {\n }\n TCP_CHECK {\n }"));
    before.sort_unstable();
    let mut after = world.checks_of(A);
    after.sort_unstable();
    assert_eq!(before, after);
    assert!(world.told().is_empty() && world.servers().is_empty());
}

#[test]
fn another_quorum_is_judged_at_once_as_2_2_7() {
    let text = |quorum: &str| vs(&format!("{quorum}\n{}{}{}", rs(11, ""), rs(12, ""), rs(13, "")));
    let mut world = World::new(&text("quorum 3"));
    world.down(A, 0);
    world.told();
    world.reload(&text("quorum 1"));
    assert_eq!(
        world.told(),
        [
            "Gained quorum 1+0=1 <= 2 for VS [198.51.100.1]:tcp:80",
            "run quorum_up",
            "fifo VS [198.51.100.1]:tcp:80 UP",
        ]
    );
    world.reload(&text("quorum 3"));
    assert_eq!(
        world.told(),
        [
            "Starting with quorum down 3-0=3 > 2 for VS [198.51.100.1]:tcp:80",
            "run quorum_down",
            "fifo VS [198.51.100.1]:tcp:80 DOWN",
        ]
    );
}

#[test]
fn a_sorry_server_may_come_change_and_go() {
    let text = |sorry: &str| two(&format!("quorum 2\n{sorry}"));
    let mut world = World::new(&text(""));
    world.down(A, 0);
    world.told();
    world.reload(&text("sorry_server 203.0.113.99 80"));
    assert_eq!(
        world.told(),
        [
            "Starting with quorum down 2-0=2 > 1 for VS [198.51.100.1]:tcp:80",
            "run quorum_down",
            "fifo VS [198.51.100.1]:tcp:80 DOWN",
            "Adding sorry server [203.0.113.99]:tcp:80 to VS [198.51.100.1]:tcp:80",
            "Removing alive servers from the pool for VS [198.51.100.1]:tcp:80",
        ]
    );
    assert_eq!(world.servers(), ["203.0.113.99:80 1"]);
    world.reload(&text("sorry_server 203.0.113.98 80"));
    assert_eq!(
        world.told(),
        [
            "Removing sorry server [203.0.113.99]:tcp:80 from VS [198.51.100.1]:tcp:80",
            "Adding sorry server [203.0.113.98]:tcp:80 to VS [198.51.100.1]:tcp:80",
        ]
    );
    assert_eq!(world.servers(), ["203.0.113.98:80 1"]);
    world.reload(&text(""));
    assert_eq!(world.servers(), [format!("{B} 1")]);
    assert_eq!(
        world.told()[0],
        "Removing sorry server [203.0.113.98]:tcp:80 from VS [198.51.100.1]:tcp:80"
    );
}

/// Keepalived tells of a loss in between.
#[test]
fn other_servers_in_place_of_all_keep_the_quorum() {
    let mut world = World::new(&vs(&rs(11, "")));
    world.told();
    world.reload(&vs(&rs(12, "")));
    assert_eq!(world.servers(), [format!("{B} 1")]);
    assert!(
        !world
            .told()
            .iter()
            .any(|line| line.contains("VS [198.51.100.1]:tcp:80 DOWN")
                && line.starts_with("fifo VS"))
    );
}

/// Keepalived 2.2.7 leaves an empty service behind.
#[test]
fn a_member_that_leaves_a_group_leaves_the_kernel() {
    let group = |members: &str| {
        format!("virtual_server_group G {{\n {members}\n}}\n{}", vs_on("group G", &rs(11, "")))
    };
    let mut world = World::new(&group("198.51.100.1-3 80"));
    assert_eq!(world.table().len(), 6);
    world.changed = 0;
    world.reload(&group("198.51.100.1 80\n 198.51.100.3-4 80"));
    assert_eq!(world.changed, 2);
    let services: Vec<_> =
        world.table().into_iter().filter(|line| line.starts_with("TCP")).collect();
    assert_eq!(
        services,
        ["TCP 198.51.100.1:80 rr", "TCP 198.51.100.3:80 rr", "TCP 198.51.100.4:80 rr"]
    );
}

/// Keepalived does not notice.
#[test]
fn other_thresholds_scheduler_and_method_are_applied() {
    let mut world = World::new(&vs(&rs(11, "")));
    let text = vs(&rs(11, "uthreshold 20\n lthreshold 10\n lvs_method DR"));
    world.reload(&text.replace("lb_algo rr", "lb_algo wlc\n persistence_timeout 60"));
    assert_eq!(world.table(), ["TCP 198.51.100.1:80 wlc", "-> 203.0.113.11:80 1 DR"]);
    let (_, entry) = world.kernel.services().next().unwrap();
    let (_, destination) = entry.destinations().next().unwrap();
    assert_eq!((destination.upper, destination.lower), (20, 10));
    assert_eq!(entry.service.persistence.unwrap().timeout, 60);
}

#[test]
fn inhibit_may_come_and_go_as_2_2_7() {
    let inhibited = |n, on: bool| rs(n, if on { "inhibit_on_failure" } else { "" });
    let text = |on: bool| {
        let servers = [(11, on), (12, on), (13, !on), (14, !on)];
        vs(&servers.map(|(n, on)| inhibited(n, on)).concat())
    };
    let mut world = World::new(&text(false));
    world.down(B, 0);
    world.down("203.0.113.14:80", 0);
    let server = |n: u8, weight: u8| format!("203.0.113.{n}:80 {weight}");
    assert_eq!(world.servers(), [server(11, 1), server(13, 1), server(14, 0)]);
    world.reload(&text(true));
    assert_eq!(world.servers(), [server(11, 1), server(12, 0), server(13, 1)]);
}

#[test]
fn ha_suspend_may_come_and_go() {
    let mut world = World::new(&two(""));
    world.reload(&two("ha_suspend"));
    assert_eq!(world.suspended.len(), 2);
    world.reload(&two(""));
    assert!(world.suspended.is_empty());
}

#[test]
fn a_name_in_place_of_addresses_keeps_the_quorum() {
    let text = |server: &str| vs(&format!("sorry_server 203.0.113.99 80\n{server}"));
    let mut world = World::new(&text(&rs(11, "")));
    world.told();
    world.reload(&text(" real_server web.example.com 80 {\n TCP_CHECK {\n }\n }\n"));
    world.resolve_to("web.example.com", &["203.0.113.11", "203.0.113.12"]);
    assert_eq!(world.servers(), [format!("{A} 1"), format!("{B} 1")]);
    assert!(!world.told().iter().any(|line| line.contains("quorum")));
    world.reload(&text(" real_server other.example.com 80 {\n TCP_CHECK {\n }\n }\n"));
    world.told();
    world.fail_lookup("other.example.com");
    assert_eq!(world.servers(), ["203.0.113.99:80 1"]);
}

#[test]
fn names_that_nobody_uses_are_not_asked_any_more() {
    let name = |name: &str| format!(" real_server {name} 80 {{\n TCP_CHECK {{\n }}\n }}\n");
    let mut world = World::new(&vs(&name("a.example.com")));
    world.resolve_to("a.example.com", &["203.0.113.11"]);
    world.reload(&vs(&format!("{}{}", name("a.example.com"), name("b.example.com"))));
    assert_eq!(world.lookups.len(), 2);
    assert_eq!(world.servers(), [format!("{A} 1")], "known addresses stay");
    world.resolve_to("b.example.com", &["203.0.113.12"]);
    world.reload(&vs(&name("b.example.com")));
    assert_eq!(world.lookups.len(), 1);
    assert_eq!(world.servers(), [format!("{B} 1")]);
}

#[test]
fn orders_survive_a_reload_which_tells_where_the_file_disagrees() {
    let mut world = World::new(&two(""));
    world.order(VS, A, Order::Disable).unwrap();
    world.order(VS, B, Order::Weight(5)).unwrap();
    world.told();
    world.reload(&vs(&format!("{}{}", rs(11, "weight 3"), rs(12, "weight 5"))));
    assert_eq!(world.servers(), [format!("{B} 5")]);
    assert_eq!(
        world.told(),
        ["service [203.0.113.11]:tcp:80 of VS [198.51.100.1]:tcp:80 stays as an operator ordered \
          (disabled); the file says weight 3 now, 1 before"],
        "about the other both agree"
    );
    world.reload(&vs(&rs(12, "weight 5")));
    assert_eq!(
        world.told()[0],
        "service [203.0.113.11]:tcp:80 of VS [198.51.100.1]:tcp:80 is gone from the file, and with \
         it what an operator ordered (disabled)"
    );
    world.reload(&vs(&format!("{}{}", rs(11, "weight 3"), rs(12, "weight 5"))));
    assert_eq!(world.servers(), [format!("{A} 3"), format!("{B} 5")]);
}

#[test]
fn orders_wait_for_an_address_that_its_name_forgot() {
    let name = " real_server web.example.com 80 {\n TCP_CHECK {\n }\n }\n";
    let mut world = World::new(&vs(name));
    world.resolve_to("web.example.com", &["203.0.113.11", "203.0.113.12"]);
    world.order(VS, A, Order::Drain { deadline: Some(secs(60)) }).unwrap();
    world.resolve_to("web.example.com", &["203.0.113.12"]);
    assert_eq!(world.core.poll_timeout(), None);
    world.resolve_to("web.example.com", &["203.0.113.11", "203.0.113.12"]);
    assert_eq!(world.servers(), [format!("{B} 1")]);
    world.order(VS, A, Order::Enable).unwrap();
    assert_eq!(world.servers(), [format!("{A} 1"), format!("{B} 1")]);
}

#[test]
fn deadlines_follow_their_server_over_a_reload() {
    let mut world = World::new(&format!("{}{}", vs_on("198.51.100.2 80", &rs(14, "")), two("")));
    world.order(VS, A, Order::Drain { deadline: Some(secs(30)) }).unwrap();
    world.reload(&two(""));
    world.pass(secs(30));
    assert_eq!(world.servers(), [format!("{B} 1")]);
}

#[test]
fn a_successor_goes_on_without_a_word() {
    let text = format!(
        "{}{}",
        vs(&format!(
            "quorum 2\nsorry_server 203.0.113.99 80\n{}{}{}",
            rs(11, "weight 10"),
            rs(12, "inhibit_on_failure"),
            rs(13, "")
        )),
        vs_on(
            "198.51.100.2 80",
            " real_server web.example.com 80 {\n alpha\n TCP_CHECK {\n }\n }\n"
        )
    );
    let mut world = World::new(&text);
    world.resolve_to("web.example.com", &["203.0.113.21", "203.0.113.22"]);
    world.up("203.0.113.21", 0);
    world.down(B, 0);
    world.weigh(A, 0, Some(Adjustment::Add(-3)));
    world.order(VS, C, Order::Drain { deadline: Some(secs(30)) }).unwrap();
    let saved = world.core.save();
    let text_of_saved = serde_json::to_string(&saved).unwrap();
    let saved: Vec<_> = serde_json::from_str(&text_of_saved).unwrap();
    let mut successor = World::resumed(&text, &saved, world.now);
    assert_eq!(successor.told_all(), Vec::<String>::new());
    assert_eq!(successor.table(), world.table());
    assert_eq!(successor.core.save(), saved);
    let resumed: Vec<_> =
        successor.checks.values().map(|order| (order.server.to_string(), order.resumed)).collect();
    assert_eq!(
        resumed,
        [
            (A.to_owned(), Some(true)),
            (B.to_owned(), Some(false)),
            (C.to_owned(), None),
            ("203.0.113.21:80".to_owned(), Some(true)),
            ("203.0.113.22:80".to_owned(), None),
        ]
    );
    successor.pass(secs(30));
    assert!(successor.told()[0].starts_with("Drained service [203.0.113.13]:tcp:80"));
    successor.up(B, 0);
    assert_eq!(
        successor.told()[0],
        "Enabling service [203.0.113.12]:tcp:80 of VS [198.51.100.1]:tcp:80"
    );
}

#[test]
fn a_successor_with_another_file_takes_what_fits() {
    let mut world = World::new(&two(""));
    world.down(A, 0);
    world.down(B, 0);
    let saved = world.core.save();
    let mut successor =
        World::resumed(&vs(&format!("{}{}", rs(11, ""), rs(13, ""))), &saved, world.now);
    assert_eq!(successor.servers(), [format!("{C} 1")]);
    assert_eq!(
        successor.told()[0],
        "Gained quorum 1+0=1 <= 1 for VS [198.51.100.1]:tcp:80",
        "it was down before"
    );
}

#[test]
fn orders_survive_a_death_after_which_the_checks_are_others() {
    let mut world = World::new(&two(""));
    world.order(VS, A, Order::Disable).unwrap();
    let other = vs(&format!("{}{}", rs_with(11, "", "PING_CHECK {\n }"), rs(12, "")));
    let successor = World::resumed(&other, &world.core.save(), world.now);
    assert_eq!(successor.servers(), [format!("{B} 1")]);
}

#[test]
fn ports_that_do_not_count_make_two_servers_one() {
    let text = "virtual_server fwmark 5 {\n lb_algo rr\n lb_kind DR\n \
                real_server 203.0.113.11 80 {\n TCP_CHECK {\n }\n }\n \
                real_server 203.0.113.11 81 {\n TCP_CHECK {\n }\n }\n}\n";
    let mut world = World::new(text);
    assert_eq!(world.checks.len(), 1);
    world.told();
    world.reload(text);
    assert!(world.told_all().is_empty());
}

#[test]
fn only_what_changed_is_to_be_saved() {
    let text = format!("{}{}", two(""), vs_on("198.51.100.2 80", &rs(14, "")));
    let mut world = World::new(&text);
    let places = |world: &mut World| -> Vec<usize> {
        world.core.take_unsaved().map(|(place, _)| place).collect()
    };
    assert_eq!(places(&mut world), [0, 1]);
    assert!(places(&mut world).is_empty());
    world.down("203.0.113.14:80", 0);
    assert_eq!(places(&mut world), [1]);
    world.order(VS, A, Order::Weight(3)).unwrap();
    assert_eq!(places(&mut world), [0]);
    world.input(Input::Address { ip: "198.51.100.1".parse().unwrap(), present: true });
    assert!(places(&mut world).is_empty());
}
