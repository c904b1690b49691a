//! What happens to virtual and real servers, in short sentences. The sequences named "as 2.2.7" were
//! seen with Keepalived 2.2.7 on a kernel with IPVS.

mod core_support;

use core_support::{World, address, rs, rs_with, secs, vs, vs_key, vs_on};
use standfast_balancer::core::{Adjustment, Answer, Input, Order, Refused};
use status::balancing::Health;

const VS: &str = "198.51.100.1:80";
const A: &str = "203.0.113.11:80";
const B: &str = "203.0.113.12:80";
const C: &str = "203.0.113.13:80";

fn three(body: &str) -> String {
    vs(&format!("{body}\n{}{}{}", rs(11, ""), rs(12, ""), rs(13, "")))
}

fn two(body: &str) -> String {
    vs(&format!("{body}\n{}{}", rs(11, ""), rs(12, "")))
}

#[test]
fn servers_start_as_up_and_only_the_quorum_is_told_as_2_2_7() {
    let mut world = World::new(&three("quorum 2"));
    assert_eq!(
        world.told(),
        [
            "Gained quorum 2+0=2 <= 3 for VS [198.51.100.1]:tcp:80",
            "run quorum_up",
            "fifo VS [198.51.100.1]:tcp:80 UP",
        ]
    );
    assert_eq!(world.servers(), [format!("{A} 1"), format!("{B} 1"), format!("{C} 1")]);
    world.all_up(A);
    assert!(world.told().is_empty());
}

#[test]
fn a_first_failure_takes_a_server_out_and_a_success_brings_it_back_as_2_2_7() {
    let mut world = World::new(&two(""));
    world.told();
    world.down(A, 0);
    assert_eq!(
        world.told(),
        [
            "Removing service [203.0.113.11]:tcp:80 from VS [198.51.100.1]:tcp:80",
            "run down 11",
            "fifo RS [203.0.113.11]:tcp:80 [198.51.100.1]:tcp:80 DOWN",
        ]
    );
    assert_eq!(world.servers(), [format!("{B} 1")]);
    world.up(A, 0);
    assert_eq!(
        world.told(),
        [
            "Adding service [203.0.113.11]:tcp:80 to VS [198.51.100.1]:tcp:80",
            "run up 11",
            "fifo RS [203.0.113.11]:tcp:80 [198.51.100.1]:tcp:80 UP",
        ]
    );
    assert_eq!(world.servers(), [format!("{A} 1"), format!("{B} 1")]);
}

#[test]
fn one_result_changes_one_service() {
    let text = format!("{}{}", two(""), vs_on("198.51.100.2 80", &rs(13, "")));
    let mut world = World::new(&text);
    world.changed = 0;
    world.down(A, 0);
    assert_eq!(world.changed, 1);
    world.down(A, 0);
    assert_eq!(world.changed, 1, "a second failure changes nothing");
}

#[test]
fn the_quorum_is_lost_below_and_gained_at_it_as_2_2_7() {
    let mut world = World::new(&three("quorum 2"));
    world.down(A, 0);
    world.told();
    world.down(B, 0);
    assert_eq!(
        world.told(),
        [
            "Removing service [203.0.113.12]:tcp:80 from VS [198.51.100.1]:tcp:80",
            "run down 12",
            "fifo RS [203.0.113.12]:tcp:80 [198.51.100.1]:tcp:80 DOWN",
            "Lost quorum 2-0=2 > 1 for VS [198.51.100.1]:tcp:80",
            "run quorum_down",
            "fifo VS [198.51.100.1]:tcp:80 DOWN",
        ]
    );
    assert_eq!(world.servers(), [format!("{C} 1")], "without a sorry server the rest stays");
    world.up(B, 0);
    let told = world.told();
    assert_eq!(told[0], "Adding service [203.0.113.12]:tcp:80 to VS [198.51.100.1]:tcp:80");
    assert_eq!(told[3], "Gained quorum 2+0=2 <= 2 for VS [198.51.100.1]:tcp:80");
    assert_eq!(told[5], "fifo VS [198.51.100.1]:tcp:80 UP");
}

#[test]
fn hysteresis_widens_both_ways_and_the_sorry_server_answers_meanwhile_as_2_2_7() {
    let mut world = World::new(&three("quorum 2\nhysteresis 1\nsorry_server 203.0.113.99 80"));
    assert_eq!(world.told()[0], "Gained quorum 2+1=3 <= 3 for VS [198.51.100.1]:tcp:80");
    world.down(A, 0);
    world.down(B, 0);
    assert!(!world.told().iter().any(|line| line.contains("quorum")));
    assert_eq!(world.servers(), [format!("{C} 1")]);
    world.down(C, 0);
    assert_eq!(
        world.told()[3..],
        [
            "Lost quorum 2-1=1 > 0 for VS [198.51.100.1]:tcp:80",
            "run quorum_down",
            "fifo VS [198.51.100.1]:tcp:80 DOWN",
            "Adding sorry server [203.0.113.99]:tcp:80 to VS [198.51.100.1]:tcp:80",
            "Removing alive servers from the pool for VS [198.51.100.1]:tcp:80",
        ]
    );
    assert_eq!(world.servers(), ["203.0.113.99:80 1"]);
    world.up(C, 0);
    world.up(B, 0);
    assert_eq!(world.servers(), ["203.0.113.99:80 1"], "what is up waits for the quorum");
    world.told();
    world.up(A, 0);
    assert_eq!(
        world.told()[3..],
        [
            "Gained quorum 2+1=3 <= 3 for VS [198.51.100.1]:tcp:80",
            "run quorum_up",
            "fifo VS [198.51.100.1]:tcp:80 UP",
            "Removing sorry server [203.0.113.99]:tcp:80 from VS [198.51.100.1]:tcp:80",
            "Adding alive servers to the pool for VS [198.51.100.1]:tcp:80",
        ]
    );
    assert_eq!(world.servers(), [format!("{A} 1"), format!("{B} 1"), format!("{C} 1")]);
}

#[test]
fn inhibited_servers_and_sorry_servers_stay_with_weight_zero_as_2_2_7() {
    let text =
        two("quorum 2\nsorry_server 203.0.113.99 80\nsorry_server_inhibit\ninhibit_on_failure");
    let mut world = World::new(&text);
    let sorry = |weight| format!("203.0.113.99:80 {weight}");
    assert_eq!(world.servers(), [format!("{A} 1"), format!("{B} 1"), sorry(0)]);
    world.told();
    world.down(A, 0);
    let told = world.told();
    assert_eq!(told[0], "Disabling service [203.0.113.11]:tcp:80 of VS [198.51.100.1]:tcp:80");
    assert_eq!(told[6], "Enabling sorry server [203.0.113.99]:tcp:80 to VS [198.51.100.1]:tcp:80");
    assert_eq!(world.servers(), [format!("{A} 0"), format!("{B} 0"), sorry(1)]);
    world.down(B, 0);
    world.up(B, 0);
    assert_eq!(world.servers(), [format!("{A} 0"), format!("{B} 0"), sorry(1)]);
    world.told();
    world.up(A, 0);
    let told = world.told();
    assert_eq!(told[0], "Enabling service [203.0.113.11]:tcp:80 of VS [198.51.100.1]:tcp:80");
    assert_eq!(
        told[6],
        "Disabling sorry server [203.0.113.99]:tcp:80 from VS [198.51.100.1]:tcp:80"
    );
    assert_eq!(world.servers(), [format!("{A} 1"), format!("{B} 1"), sorry(0)]);
}

#[test]
fn alpha_starts_with_nobody_and_tells_of_the_first_result_as_2_2_7() {
    let mut world = World::new(&two("alpha"));
    assert!(world.told().is_empty(), "no initial quorum_down without a sorry server");
    assert!(world.servers().is_empty());
    world.down(B, 0);
    assert_eq!(
        world.told(),
        [
            "Starting with service [203.0.113.12]:tcp:80 of VS [198.51.100.1]:tcp:80 down",
            "run down 12",
            "fifo RS [203.0.113.12]:tcp:80 [198.51.100.1]:tcp:80 DOWN",
        ]
    );
    world.up(A, 0);
    assert_eq!(
        world.told(),
        [
            "Adding service [203.0.113.11]:tcp:80 to VS [198.51.100.1]:tcp:80",
            "run up 11",
            "fifo RS [203.0.113.11]:tcp:80 [198.51.100.1]:tcp:80 UP",
            "Gained quorum 1+0=1 <= 1 for VS [198.51.100.1]:tcp:80",
            "run quorum_up",
            "fifo VS [198.51.100.1]:tcp:80 UP",
        ]
    );
}

#[test]
fn alpha_with_a_sorry_server_tells_that_it_starts_down_as_2_2_7() {
    let mut world = World::new(&two("alpha\nsorry_server 203.0.113.99 80"));
    assert_eq!(
        world.told(),
        [
            "Starting with quorum down 1-0=1 > 0 for VS [198.51.100.1]:tcp:80",
            "run quorum_down",
            "fifo VS [198.51.100.1]:tcp:80 DOWN",
            "Adding sorry server [203.0.113.99]:tcp:80 to VS [198.51.100.1]:tcp:80",
            "Removing alive servers from the pool for VS [198.51.100.1]:tcp:80",
        ]
    );
    assert_eq!(world.servers(), ["203.0.113.99:80 1"]);
}

#[test]
fn alpha_with_inhibit_starts_in_the_table_with_weight_zero_as_2_2_7() {
    let mut world = World::new(&two("alpha\ninhibit_on_failure"));
    assert_eq!(world.servers(), [format!("{A} 0"), format!("{B} 0")]);
    world.up(A, 0);
    assert_eq!(world.servers(), [format!("{A} 1"), format!("{B} 0")]);
}

/// Keepalived 2.2.7 tells it once for each check.
#[test]
fn a_server_that_starts_down_is_told_of_once() {
    let text = vs(&format!("alpha\n{}", rs_with(11, "", "TCP_CHECK {\n }\n PING_CHECK {\n }")));
    let mut world = World::new(&text);
    world.down(A, 0);
    assert_eq!(world.told().len(), 3);
    world.down(A, 1);
    assert!(world.told().is_empty());
    world.up(A, 0);
    assert!(world.told().is_empty(), "one check is still down");
    world.up(A, 1);
    assert_eq!(world.told()[0], "Adding service [203.0.113.11]:tcp:80 to VS [198.51.100.1]:tcp:80");
}

#[test]
fn a_server_is_up_only_when_all_its_checks_are() {
    let text = vs(&rs_with(11, "", "TCP_CHECK {\n }\n PING_CHECK {\n }"));
    let mut world = World::new(&text);
    world.told();
    world.down(A, 0);
    assert_eq!(world.told().len(), 6);
    world.down(A, 1);
    world.up(A, 0);
    assert!(world.told().is_empty());
    assert!(world.servers().is_empty());
    world.up(A, 1);
    assert_eq!(world.servers(), [format!("{A} 1")]);
}

#[test]
fn rs_init_notifies_tells_of_servers_that_start_up_as_2_2_7() {
    let mut world = World::new(&format!("global_defs {{\n rs_init_notifies\n}}\n{}", two("")));
    let fifo: Vec<_> = world.told().into_iter().filter(|line| line.starts_with("fifo")).collect();
    assert_eq!(
        fifo,
        [
            "fifo RS [203.0.113.11]:tcp:80 [198.51.100.1]:tcp:80 UP",
            "fifo RS [203.0.113.12]:tcp:80 [198.51.100.1]:tcp:80 UP",
            "fifo VS [198.51.100.1]:tcp:80 UP",
        ]
    );
}

#[test]
fn a_server_without_weight_counts_for_nothing_as_2_2_7() {
    let text =
        vs(&format!("sorry_server 203.0.113.99 80\n{}{}", rs(11, "weight 0"), rs(12, "weight 1")));
    let mut world = World::new(&text);
    assert_eq!(world.servers(), [format!("{A} 0"), format!("{B} 1")]);
    world.down(B, 0);
    assert_eq!(world.servers(), ["203.0.113.99:80 1"]);
    world.up(B, 0);
    assert_eq!(world.servers(), [format!("{A} 0"), format!("{B} 1")]);
}

/// Keepalived 2.2.7 reckons with a hysteresis of 4294967295 here.
#[test]
fn servers_that_all_weigh_nothing_leave_the_work_to_the_sorry_server() {
    let text = vs(&format!("sorry_server 203.0.113.99 80\n{}", rs(11, "weight 0")));
    let mut world = World::new(&text);
    assert_eq!(world.told()[0], "Starting with quorum down 1-0=1 > 0 for VS [198.51.100.1]:tcp:80");
    assert_eq!(world.servers(), ["203.0.113.99:80 1"]);
}

#[test]
fn checks_change_weights_and_with_them_the_quorum_as_2_2_7() {
    let misc = "MISC_CHECK {\n misc_path \"check\"\n misc_dynamic\n }";
    let text = vs(&format!(
        "quorum 10\nsorry_server 203.0.113.99 80\n{}{}",
        rs_with(11, "weight 10", misc),
        rs_with(12, "weight 10", misc)
    ));
    let mut world = World::new(&text);
    world.told();
    world.weigh(A, 0, Some(Adjustment::Set(20)));
    assert_eq!(
        world.told(),
        ["Changing weight from 10 to 20 for active service [203.0.113.11]:tcp:80 of VS \
          [198.51.100.1]:tcp:80"]
    );
    assert_eq!(world.servers(), [format!("{A} 20"), format!("{B} 10")]);
    world.weigh(A, 0, Some(Adjustment::Set(0)));
    assert_eq!(world.servers(), [format!("{A} 0"), format!("{B} 10")]);
    world.told();
    world.weigh(B, 0, Some(Adjustment::Set(5)));
    assert_eq!(world.told()[1], "Lost quorum 10-0=10 > 5 for VS [198.51.100.1]:tcp:80");
    assert_eq!(world.servers(), ["203.0.113.99:80 1"]);
    world.weigh(B, 0, None);
    assert_eq!(world.servers(), [format!("{A} 0"), format!("{B} 10")]);
}

/// Keepalived #2720: what a killed check had added stayed, and grew.
#[test]
fn failures_of_a_check_leave_no_weight_behind() {
    let misc = "MISC_CHECK {\n misc_path \"check\"\n misc_dynamic\n }";
    let mut world = World::new(&vs(&rs_with(11, "weight 10", misc)));
    for _ in 0..5 {
        world.weigh(A, 0, Some(Adjustment::Set(30)));
        world.down(A, 0);
    }
    world.up(A, 0);
    assert_eq!(world.servers(), [format!("{A} 10")]);
}

#[test]
fn contributions_of_several_checks_add_up_within_bounds() {
    let mut world =
        World::new(&vs(&rs_with(11, "weight 10", "TCP_CHECK {\n }\n PING_CHECK {\n }")));
    world.weigh(A, 0, Some(Adjustment::Add(-400)));
    assert_eq!(world.servers(), [format!("{A} 0")]);
    world.weigh(A, 1, Some(Adjustment::Add(395)));
    assert_eq!(world.servers(), [format!("{A} 5")]);
    world.weigh(A, 1, Some(Adjustment::Add(i64::MAX)));
    world.weigh(A, 0, Some(Adjustment::Add(i64::MAX)));
    assert_eq!(world.servers(), [format!("{A} 2147483647")]);
}

#[test]
fn groups_stand_for_several_services_and_only_nat_changes_ports_as_2_2_7() {
    let group =
        "virtual_server_group G {\n 198.51.100.101 80\n 198.51.100.102-103 81\n fwmark 7\n}\n";
    let server = |kind: &str| {
        format!(
            "virtual_server group G {{\n lb_algo rr\n lb_kind {kind}\n protocol TCP\n \
             real_server 203.0.113.11 8080 {{\n TCP_CHECK {{\n }}\n }}\n}}\n"
        )
    };
    let world = World::new(&format!("{group}{}", server("NAT")));
    assert_eq!(
        world.table(),
        [
            "TCP 198.51.100.101:80 rr",
            "-> 203.0.113.11:8080 1",
            "TCP 198.51.100.102:81 rr",
            "-> 203.0.113.11:8080 1",
            "TCP 198.51.100.103:81 rr",
            "-> 203.0.113.11:8080 1",
            "FWM 7 rr",
            "-> 203.0.113.11:8080 1",
        ]
    );
    assert_eq!(world.checks.len(), 1, "a server is checked once");
    let world = World::new(&format!("{group}{}", server("DR")));
    let table = world.table();
    assert_eq!(table[1], "-> 203.0.113.11:80 1 DR");
    assert_eq!(table[3], "-> 203.0.113.11:81 1 DR");
    assert_eq!(table[7], "-> 203.0.113.11:0 1 DR");
}

#[test]
fn groups_and_marks_have_their_names_as_2_2_7() {
    let text = "virtual_server_group G {\n 198.51.100.101 80\n}\n";
    let server = |what: &str, protocol: &str| {
        format!(
            "virtual_server {what} {{\n lb_algo rr\n lb_kind NAT\n {protocol}\n \
             real_server 203.0.113.11 80 {{\n alpha\n PING_CHECK {{\n }}\n }}\n}}\n"
        )
    };
    let text = format!(
        "{text}{}{}{}",
        server("group G", "protocol TCP"),
        server("group G", "protocol UDP"),
        server("fwmark 9", "")
    );
    let mut world = World::new(&text);
    for id in world.checks_of("203.0.113.11") {
        let result =
            standfast_balancer::core::CheckResult::Up { weight: None, detail: "echo".into() };
        world.input(Input::Check { id, result });
    }
    let fifo: Vec<_> = world.told().into_iter().filter(|line| line.starts_with("fifo")).collect();
    assert_eq!(
        fifo,
        [
            "fifo RS [203.0.113.11]:tcp:80 [G]:0 UP",
            "fifo VS [G]:0 UP",
            "fifo RS [203.0.113.11]:udp:80 [G]:1 UP",
            "fifo VS [G]:1 UP",
            "fifo RS [203.0.113.11]:none:80 FWM 9 UP",
            "fifo VS FWM 9 UP",
        ]
    );
}

#[test]
fn two_blocks_for_one_service_join_their_servers_as_2_2_7() {
    let first = vs(&rs(11, ""));
    let second = vs(&rs(12, "")).replace("lb_algo rr", "lb_algo wlc");
    let mut world = World::new(&format!("{first}{second}"));
    assert_eq!(
        world.table(),
        ["TCP 198.51.100.1:80 rr", "-> 203.0.113.11:80 1", "-> 203.0.113.12:80 1"]
    );
    world.down(A, 0);
    assert_eq!(world.table(), ["TCP 198.51.100.1:80 rr", "-> 203.0.113.12:80 1"]);
    // Keepalived loses the whole service here.
    world.reload(&second);
    assert_eq!(world.servers(), [format!("{B} 1")]);
}

#[test]
fn a_sorry_server_may_be_a_real_server_too_as_2_2_7() {
    let mut world = World::new(&two("quorum 2\nsorry_server 203.0.113.11 80"));
    world.down(B, 0);
    assert_eq!(world.servers(), [format!("{A} 1")]);
    world.down(A, 0);
    assert_eq!(world.servers(), [format!("{A} 1")]);
    world.up(B, 0);
    world.up(A, 0);
    assert_eq!(world.servers(), [format!("{A} 1"), format!("{B} 1")]);
}

#[test]
fn ha_suspend_lets_checks_wait_for_the_address_as_2_2_7() {
    let mut world = World::new(&two("ha_suspend"));
    assert_eq!(world.servers().len(), 2, "servers are in the table meanwhile");
    assert_eq!(world.suspended.len(), 2);
    world.told();
    let ip = "198.51.100.1".parse().unwrap();
    world.input(Input::Address { ip, present: true });
    assert!(world.suspended.is_empty());
    assert_eq!(world.told(), ["Activating healthcheckers for VS [198.51.100.1]:tcp:80"]);
    world.input(Input::Address { ip, present: true });
    assert!(world.told().is_empty());
    world.input(Input::Address { ip: "198.51.100.9".parse().unwrap(), present: true });
    world.input(Input::Address { ip, present: false });
    assert_eq!(world.suspended.len(), 2);
    assert_eq!(world.servers().len(), 2);
}

#[test]
fn ha_suspend_means_nothing_with_marks_as_2_2_7() {
    let group = "virtual_server_group G {\n 198.51.100.1 80\n fwmark 7\n}\n";
    let text =
        |what: &str| format!("{group}{}", vs_on(what, &format!("ha_suspend\n{}", rs(11, ""))));
    for what in ["group G", "fwmark 9"] {
        let world = World::new(&text(what));
        assert!(world.suspended.is_empty(), "{what}");
        assert_eq!(world.scripts.clone().plan(&text(what)).notes.len(), 1);
    }
}

#[test]
fn a_stop_without_omega_tells_nobody_as_2_2_7() {
    let mut world = World::new(&two("inhibit_on_failure"));
    world.down(B, 0);
    world.told();
    world.stop();
    assert_eq!(
        world.told(),
        [
            "Shutting down service [203.0.113.11]:tcp:80 from VS [198.51.100.1]:tcp:80",
            "Shutting down (inhibited) service [203.0.113.12]:tcp:80 from VS [198.51.100.1]:tcp:80",
        ]
    );
    assert!(world.table().is_empty() && world.checks.is_empty());
    world.input(Input::Address { ip: "198.51.100.1".parse().unwrap(), present: true });
    assert_eq!(world.order(VS, A, Order::Disable), Err(Refused::Stopping));
}

#[test]
fn a_stop_with_omega_tells_everybody_as_2_2_7() {
    let mut world = World::new(&two("omega\nsmtp_alert"));
    world.down(B, 0);
    world.told();
    world.stop();
    assert_eq!(
        world.told(),
        [
            "Shutting down service [203.0.113.11]:tcp:80 from VS [198.51.100.1]:tcp:80",
            "run down 11",
            "fifo RS [203.0.113.11]:tcp:80 [198.51.100.1]:tcp:80 DOWN",
            "Shutting down service [203.0.113.12]:tcp:80 from VS [198.51.100.1]:tcp:80",
            "VS [198.51.100.1]:tcp:80 is down",
            "run quorum_down",
            "fifo VS [198.51.100.1]:tcp:80 DOWN",
            "mail Virtualserver [198.51.100.1]:tcp:80 - DOWN: => Lost quorum 1+0=1 <= 0 <=",
        ]
    );
}

#[test]
fn a_stop_may_leave_the_table() {
    let mut world = World::new(&two("omega"));
    world.told();
    world.input(Input::Stop { keep: true });
    assert!(world.stopped && world.told().is_empty());
    assert_eq!(world.servers().len(), 2);
    assert!(world.checks.is_empty());
}

#[test]
fn mail_goes_out_for_each_check_or_only_for_the_server() {
    let server = rs_with(11, "", "TCP_CHECK {\n }\n PING_CHECK {\n }");
    let text = vs(&server.replace("smtp_alert off", ""));
    let mails = |world: &mut World| -> Vec<String> {
        world.told_all().into_iter().filter(|line| line.starts_with("mail")).collect()
    };
    let mut world = World::new(&text);
    assert!(mails(&mut world).is_empty());
    world.up(A, 0);
    assert!(mails(&mut world).is_empty(), "it was up");
    world.down(A, 0);
    let subject = "Realserver [203.0.113.11]:tcp:80 of virtual server [198.51.100.1]:tcp:80";
    assert_eq!(
        mails(&mut world),
        [format!(
            "mail {subject} - DOWN: => TCP CHECK failed on service <=\nconnection refused by {A}"
        )]
    );
    world.down(A, 1);
    assert_eq!(mails(&mut world).len(), 1);
    world.up(A, 0);
    assert_eq!(mails(&mut world).len(), 1);
    world.up(A, 1);
    assert_eq!(
        mails(&mut world),
        [format!("mail {subject} - UP: => ICMP CHECK succeed on service <=")]
    );
    world.reload(&format!("global_defs {{\n no_checker_emails\n}}\n{text}"));
    world.down(A, 0);
    assert_eq!(mails(&mut world).len(), 1);
    world.down(A, 1);
    assert!(mails(&mut world).is_empty());
    world.up(A, 1);
    world.up(A, 0);
    assert_eq!(mails(&mut world).len(), 1);
    world.reload(&vs(&rs(12, "")));
    assert_eq!(mails(&mut world), [format!("mail {subject} - DOWN: => Removing <=")]);
}

#[test]
fn mail_about_the_quorum_has_keepalived_s_numbers() {
    let text = two("smtp_alert\nquorum 2\nhysteresis 1\nalpha");
    let mails = |world: &mut World| -> Vec<String> {
        world.told().into_iter().filter(|line| line.starts_with("mail")).collect()
    };
    let mut world = World::new(&text.replace("hysteresis 1", ""));
    world.all_up(A);
    world.all_up(B);
    let subject = "mail Virtualserver [198.51.100.1]:tcp:80";
    assert_eq!(mails(&mut world), [format!("{subject} - UP: => Gained quorum 2+0=2 <= 2 <=")]);
    world.reload(&text);
    world.down(A, 0);
    assert!(mails(&mut world).is_empty());
    world.down(B, 0);
    assert_eq!(mails(&mut world), [format!("{subject} - DOWN: => Lost quorum 2+1=1 <= 0 <=")]);
}

#[test]
fn a_script_that_cannot_run_is_left_out() {
    let misc = "MISC_CHECK {\n misc_path \"/refused\"\n }\n TCP_CHECK {\n }";
    let world = World::new(&vs(&rs_with(11, "", misc)));
    assert_eq!(world.checks_of(A).len(), 1);
    let plan = world.scripts.clone().plan(&vs(&rs_with(11, "", misc)));
    assert_eq!(plan.notes.len(), 1, "{:?}", plan.notes);
    let alone = "alpha\n MISC_CHECK {\n misc_path \"/refused\"\n }";
    let world = World::new(&vs(&rs_with(11, "", alone)));
    assert_eq!(world.servers(), [format!("{A} 1")], "nothing keeps it down for ever");
}

#[test]
fn a_name_stands_for_a_server_with_each_address() {
    let name = " real_server web.example.com 80 {\n weight 3\n TCP_CHECK {\n }\n }\n";
    let mut world = World::new(&vs(&format!("quorum 3\n{name}{}", rs(11, ""))));
    assert_eq!(world.servers(), [format!("{A} 1")]);
    assert!(world.told().is_empty(), "the quorum is not judged before the name is known");
    world.resolve_to("web.example.com", &["203.0.113.22", "203.0.113.21", "2001:db8::1"]);
    assert_eq!(
        world.servers(),
        [format!("{A} 1"), "203.0.113.21:80 3".into(), "203.0.113.22:80 3".into()]
    );
    assert_eq!(
        world.told()[..2],
        [
            "web.example.com of VS [198.51.100.1]:tcp:80 changed: +203.0.113.21:80 \
             +203.0.113.22:80",
            "Gained quorum 3+0=3 <= 7 for VS [198.51.100.1]:tcp:80",
        ]
    );
    let checked = world.checks_of("203.0.113.21");
    world.resolve_to("web.example.com", &["203.0.113.21", "203.0.113.23"]);
    assert_eq!(
        world.servers(),
        [format!("{A} 1"), "203.0.113.21:80 3".into(), "203.0.113.23:80 3".into()]
    );
    assert_eq!(
        world.told(),
        [
            "web.example.com of VS [198.51.100.1]:tcp:80 changed: +203.0.113.23:80 \
             -203.0.113.22:80",
            "Removing service [203.0.113.22]:tcp:80 from VS [198.51.100.1]:tcp:80",
            "fifo RS [203.0.113.22]:tcp:80 [198.51.100.1]:tcp:80 DOWN",
            "mail Realserver [203.0.113.22]:tcp:80 of virtual server [198.51.100.1]:tcp:80 - DOWN: => \
             web.example.com does not stand for it any more <=",
        ]
    );
    assert_eq!(world.checks_of("203.0.113.21"), checked, "what stays is not touched");
    assert!(world.checks_of("203.0.113.22").is_empty());
}

#[test]
fn a_failed_look_up_keeps_the_last_good_answer() {
    let name = " real_server web.example.com 80 {\n TCP_CHECK {\n }\n }\n";
    let mut world = World::new(&vs(&format!("sorry_server 203.0.113.99 80\n{name}")));
    world.fail_lookup("web.example.com");
    assert_eq!(world.servers(), ["203.0.113.99:80 1"], "now nothing is known for certain");
    world.resolve_to("web.example.com", &["203.0.113.21"]);
    assert_eq!(world.servers(), ["203.0.113.21:80 1"]);
    world.told();
    world.fail_lookup("web.example.com");
    world.fail_lookup("web.example.com");
    world.resolve_to("web.example.com", &[]);
    assert_eq!(
        world.told(),
        [
            "No address for web.example.com of VS [198.51.100.1]:tcp:80: no such name; the one known \
          is kept"
        ],
        "told once"
    );
    assert_eq!(world.servers(), ["203.0.113.21:80 1"]);
    world.resolve_to("web.example.com", &["203.0.113.21"]);
    assert_eq!(world.told(), ["web.example.com of VS [198.51.100.1]:tcp:80 has addresses again"]);
}

#[test]
fn an_address_that_is_in_the_file_and_behind_a_name_is_one_server() {
    let name = " real_server web.example.com 80 {\n weight 5\n TCP_CHECK {\n }\n }\n";
    let mut world = World::new(&vs(&format!("{name}{}", rs(11, ""))));
    world.resolve_to("web.example.com", &["203.0.113.11", "203.0.113.12"]);
    assert_eq!(world.servers(), [format!("{A} 1"), format!("{B} 5")]);
    world.reload(&vs(name));
    assert_eq!(world.servers(), [format!("{A} 5"), format!("{B} 5")]);
}

#[test]
fn srv_records_give_ports_and_weights_where_the_file_gives_none() {
    let name = " real_server _http._tcp.example.com {\n TCP_CHECK {\n }\n }\n";
    let mut world = World::new(&vs(name));
    assert!(world.lookups[0].is_srv());
    let answer = |ip: &str, port, weight| Answer {
        ip: ip.parse().unwrap(),
        port: Some(port),
        weight: Some(weight),
    };
    let answers = [answer("203.0.113.21", 8080, 7), answer("203.0.113.22", 8081, 0)];
    world.resolve("_http._tcp.example.com", &answers);
    assert_eq!(world.servers(), ["203.0.113.21:8080 7", "203.0.113.22:8081 1"]);
    world.told();
    world.resolve(
        "_http._tcp.example.com",
        &[answer("203.0.113.21", 8080, 9), answer("203.0.113.22", 8081, 0)],
    );
    assert_eq!(
        world.told(),
        ["Changing weight from 7 to 9 for active service [203.0.113.21]:tcp:8080 of VS \
          [198.51.100.1]:tcp:80"]
    );
    assert_eq!(world.servers()[0], "203.0.113.21:8080 9");
}

#[test]
fn drain_takes_no_new_connections_and_ends_when_none_is_open() {
    let mut world = World::new(&two(""));
    world.told();
    world.order(VS, A, Order::Drain { deadline: None }).unwrap();
    assert_eq!(world.servers(), [format!("{A} 0"), format!("{B} 1")]);
    let draining = world.core.draining();
    assert_eq!(draining.len(), 1);
    assert_eq!(draining[0].destinations.len(), 1);
    world.connections(VS, A, 3, 1);
    world.connections(VS, A, 0, 1);
    assert_eq!(world.servers(), [format!("{A} 0"), format!("{B} 1")]);
    assert_eq!(
        world.told()[0],
        "Draining service [203.0.113.11]:tcp:80 of VS [198.51.100.1]:tcp:80"
    );
    world.connections(VS, A, 0, 0);
    assert_eq!(
        world.told(),
        [
            "Drained service [203.0.113.11]:tcp:80 of VS [198.51.100.1]:tcp:80: no connection is open"
        ]
    );
    assert_eq!(world.servers(), [format!("{B} 1")]);
    assert!(world.core.draining().is_empty());
    world.down(A, 0);
    world.up(A, 0);
    assert_eq!(world.servers(), [format!("{B} 1")], "a check does not undo it");
    world.order(VS, A, Order::Enable).unwrap();
    assert_eq!(world.servers(), [format!("{A} 1"), format!("{B} 1")]);
}

#[test]
fn connections_that_are_closing_hold_a_drain_for_ten_seconds() {
    let mut world = World::new(&two(""));
    world.order(VS, A, Order::Drain { deadline: None }).unwrap();
    world.connections(VS, A, 0, 2);
    world.pass(secs(9));
    world.connections(VS, A, 0, 2);
    world.connections(VS, A, 1, 1);
    world.pass(secs(5));
    world.connections(VS, A, 0, 2);
    world.pass(secs(9));
    world.connections(VS, A, 0, 2);
    assert_eq!(world.servers(), [format!("{A} 0"), format!("{B} 1")]);
    world.pass(secs(1));
    world.connections(VS, A, 0, 2);
    assert_eq!(world.servers(), [format!("{B} 1")]);
}

#[test]
fn what_udp_has_is_not_closing() {
    let mut world = World::new(&two("").replace("protocol TCP", "protocol UDP"));
    let key = world.core.plans().next().unwrap().key.clone();
    world.core.order(&key, address(A), Order::Drain { deadline: None }, world.now).unwrap();
    world.settle();
    let count = |inactive| Input::Connections {
        service: key.clone(),
        server: address(A),
        active: 0,
        inactive,
    };
    world.input(count(1));
    world.pass(secs(100));
    world.input(count(1));
    assert_eq!(world.servers().len(), 2);
    world.input(count(0));
    assert_eq!(world.servers(), [format!("{B} 1")]);
}

#[test]
fn drain_ends_at_its_deadline() {
    let mut world = World::new(&two(""));
    world.order(VS, A, Order::Drain { deadline: Some(secs(30)) }).unwrap();
    // Three more are closing: they are over.
    world.connections(VS, A, 2, 3);
    world.pass(secs(29));
    assert_eq!(world.servers(), [format!("{A} 0"), format!("{B} 1")]);
    world.told();
    world.pass(secs(1));
    assert_eq!(
        world.told(),
        ["Drained service [203.0.113.11]:tcp:80 of VS [198.51.100.1]:tcp:80: the time is up, 2 \
          connections left"]
    );
    assert_eq!(world.servers(), [format!("{B} 1")]);
    assert_eq!(world.core.poll_timeout(), None);
}

#[test]
fn a_draining_server_that_fails_is_out_at_once() {
    let mut world = World::new(&two(""));
    world.order(VS, A, Order::Drain { deadline: Some(secs(30)) }).unwrap();
    world.down(A, 0);
    assert_eq!(world.servers(), [format!("{B} 1")]);
    assert_eq!(world.core.poll_timeout(), None);
    assert!(world.core.draining().is_empty());
}

#[test]
fn what_is_open_goes_on_while_the_sorry_server_answers() {
    let mut world = World::new(&two("quorum 2\nsorry_server 203.0.113.99 80"));
    world.order(VS, A, Order::Drain { deadline: None }).unwrap();
    assert_eq!(
        world.servers(),
        [format!("{A} 0"), "203.0.113.99:80 1".into()],
        "a drained server weighs nothing for the quorum"
    );
    world.order(VS, A, Order::Enable).unwrap();
    assert_eq!(world.servers(), [format!("{A} 1"), format!("{B} 1")]);
}

#[test]
fn disable_takes_out_at_once_or_weighs_nothing() {
    let mut world = World::new(&vs(&format!("{}{}", rs(11, "inhibit_on_failure"), rs(12, ""))));
    world.order(VS, A, Order::Disable).unwrap();
    world.order(VS, B, Order::Disable).unwrap();
    assert_eq!(world.servers(), [format!("{A} 0")]);
    let told = world.told();
    assert!(told.iter().any(|line| line.starts_with("Lost quorum")), "{told:?}");
    world.order(VS, B, Order::Drain { deadline: None }).unwrap();
    assert_eq!(world.servers(), [format!("{A} 0")], "it is out already");
}

#[test]
fn a_weight_by_order_counts_until_enable() {
    let mut world = World::new(&two(""));
    world.order(VS, A, Order::Weight(9)).unwrap();
    assert_eq!(world.servers(), [format!("{A} 9"), format!("{B} 1")]);
    world.weigh(A, 0, Some(Adjustment::Add(100)));
    assert_eq!(world.servers(), [format!("{A} 9"), format!("{B} 1")]);
    world.order(VS, A, Order::Disable).unwrap();
    world.order(VS, A, Order::Weight(4)).unwrap();
    assert_eq!(world.servers(), [format!("{A} 4"), format!("{B} 1")], "the latest counts");
    world.order(VS, A, Order::Enable).unwrap();
    assert_eq!(world.servers(), [format!("{A} 101"), format!("{B} 1")]);
    world.told();
    world.order(VS, A, Order::Enable).unwrap();
    assert!(world.told().is_empty());
}

#[test]
fn orders_for_nobody_are_refused() {
    let mut world = World::new(&two(""));
    assert_eq!(
        world.order("198.51.100.7:80", A, Order::Disable),
        Err(Refused::NoVirtualServer(vs_key("198.51.100.7:80")))
    );
    assert_eq!(
        world.order(VS, "203.0.113.77:80", Order::Disable),
        Err(Refused::NoRealServer {
            virtual_server: "[198.51.100.1]:tcp:80".into(),
            server: address("203.0.113.77:80"),
        })
    );
    assert_eq!(world.order(VS, A, Order::Weight(1 << 31)), Err(Refused::Weight(1 << 31)));
    assert!(world.told().iter().all(|line| !line.contains("operator")));
}

#[test]
fn the_snapshot_says_what_is_and_why() {
    let mut world = World::new(&two("quorum 2"));
    world.up(A, 0);
    world.down(B, 0);
    let all = world.core.snapshot(&mut (), world.now);
    let vs = &all[0];
    assert_eq!((vs.state, vs.weight, vs.quorum), (Health::Down, 1, 2));
    assert_eq!(vs.cause, "the servers that serve weigh 1, needed 2");
    let [a, b] = &vs.real_servers[..] else { panic!("{vs:?}") };
    assert_eq!((a.state, a.weight.effective, a.set), (Health::Up, 1, true));
    assert_eq!((b.state, b.weight.effective, b.set), (Health::Down, 0, false));
    assert_eq!(b.cause, "TCP_CHECK: connection refused by 203.0.113.12:80");
    assert_eq!(
        b.scripts,
        [("notify_up".into(), "up 12".into()), ("notify_down".into(), "down 12".into())]
    );
    assert_eq!(b.checks[0].state, Health::Down);
    world.order(VS, A, Order::Drain { deadline: Some(secs(20)) }).unwrap();
    let all = world.core.snapshot(&mut (), world.now);
    assert_eq!(
        all[0].real_servers[0].order,
        Some(status::balancing::Order::Drain { deadline_in: Some(20.0), finished: false })
    );
}

#[test]
fn the_state_is_unknown_until_something_is_known() {
    let state = |world: &World| world.core.snapshot(&mut (), world.now)[0].real_servers[0].state;
    let checks = "TCP_CHECK {\n }\n PING_CHECK {\n }";
    for alpha in ["", "alpha"] {
        let mut world = World::new(&vs(&rs_with(11, alpha, checks)));
        assert_eq!(state(&world), Health::Unknown);
        world.up(A, 0);
        assert_eq!(state(&world), if alpha.is_empty() { Health::Up } else { Health::Unknown });
        world.up(A, 1);
        assert_eq!(state(&world), Health::Up);
        world.down(A, 1);
        assert_eq!(state(&world), Health::Down);
    }
}

#[test]
fn records_carry_cause_and_severity() {
    let mut world = World::new(&vs(&rs(11, "")));
    world.down(A, 0);
    let records: Vec<_> =
        world.events.iter().map(standfast_balancer::core::Event::record).collect();
    let words: Vec<_> = records.iter().map(|record| record.kind.as_str()).collect();
    assert_eq!(words, ["quorum-gained", "check-down", "server-down", "quorum-lost"]);
    assert_eq!(
        records[2].cause.as_deref(),
        Some("TCP_CHECK: connection refused by 203.0.113.11:80")
    );
    assert_eq!(
        records[2].subject.as_deref(),
        Some("[203.0.113.11]:tcp:80 of [198.51.100.1]:tcp:80")
    );
    assert_eq!((records[2].from.as_deref(), records[2].to.as_deref()), (Some("UP"), Some("DOWN")));
}

const FILE: &str = "track_file load {\n file /run/load\n}\n";

#[test]
fn the_quorum_waits_for_what_files_say_as_2_2_7() {
    let server = rs_with(11, "weight 0", "FILE_CHECK {\n track_file load\n weight 1\n }");
    let text =
        FILE.to_owned() + &vs(&format!("sorry_server 203.0.113.99 80\n{server}{}", rs(12, "")));
    // 2.2.7 knows the value before it begins: nobody hears of a quorum that lasts a moment.
    let mut world = World::new(&text);
    assert!(world.told().is_empty());
    assert_eq!(world.servers(), [format!("{A} 0"), format!("{B} 1")]);
    world.down(B, 0);
    assert!(world.told().iter().all(|line| !line.contains("quorum")));
    world.weigh(A, 0, Some(Adjustment::Add(3)));
    let told = world.told();
    assert!(told.iter().any(|line| line.starts_with("Gained quorum 1+0=1 <= 3")), "{told:?}");
    assert_eq!(world.servers(), [format!("{A} 3")]);
}

#[test]
fn a_file_that_takes_the_quorum_away_at_the_start_is_told_once() {
    let server = rs_with(11, "", "FILE_CHECK {\n track_file load\n }");
    let text = FILE.to_owned() + &vs(&format!("sorry_server 203.0.113.99 80\n{server}"));
    let mut world = World::new(&text);
    world.down(A, 0);
    let told = world.told();
    let quorum: Vec<&String> = told.iter().filter(|line| line.contains("fifo VS")).collect();
    assert_eq!(quorum, ["fifo VS [198.51.100.1]:tcp:80 DOWN"], "{told:?}");
    assert_eq!(world.servers(), ["203.0.113.99:80 1"]);
}
