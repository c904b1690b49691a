//! Who becomes master, when, and who gives way: versions, families, multicast and unicast,
//! authentication, preemption.

use std::time::Duration;

use crate::Scenario;
use crate::conf::{Conf, VIP, VIP6, VIP6_LOCAL};
use crate::stage::{Stage, s, took};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario::new("v3_ipv4_multicast", |stage| life(stage, |_| Conf::v3())),
    Scenario::new("v3_ipv6_multicast", |stage| life(stage, |_| Conf::v3_ipv6())),
    Scenario::new("v3_ipv4_unicast", |stage| life(stage, |n| Conf::v3().unicast(n, &[1, 2]))),
    Scenario::new("v3_ipv6_unicast", |stage| life(stage, |n| Conf::v3_ipv6().unicast(n, &[1, 2]))),
    Scenario::new("v2_ipv4_multicast", |stage| life(stage, |_| Conf::v2())),
    Scenario::new("v2_ipv4_unicast", |stage| life(stage, |n| Conf::v2().unicast(n, &[1, 2]))),
    Scenario::new("v2_password", |stage| life(stage, |_| Conf::v2().with(PASS))),
    Scenario::new("v2_authentication_header", |stage| life(stage, |_| Conf::v2().with(AH))),
    Scenario::new("v2_authentication_header_unicast", |stage| {
        life(stage, |n| Conf::v2().with(AH).unicast(n, &[1, 2]));
    }),
    // Keepalived 2.2.7 does not know the keyword yet.
    Scenario::new("v3_checksum_without_pseudo_header", |stage| {
        life(stage, |_| Conf::v3().with("v3_checksum_as_v2"));
    })
    .standfast_only(),
    Scenario::new("both_start_together", together),
    Scenario::new("wrong_password_is_not_heard", wrong_password),
    Scenario::new("wrong_key_is_not_heard", wrong_key),
    Scenario::new("other_interval_in_v2_is_not_heard", other_interval),
    Scenario::new("other_interval_in_v3_is_adopted", adopted_interval),
    Scenario::new("equal_priority_higher_address_wins", equal_priority),
    Scenario::new("nopreempt_waits", nopreempt),
    Scenario::new("preempt_delay", preempt_delay),
    Scenario::new("owner_is_master_at_once", owner),
    Scenario::new("three_nodes_in_order", three_nodes).nodes(3),
    Scenario::new("split_brain_heals", split_brain),
    Scenario::new("two_instances_share_the_load", active_active),
];

const PASS: &str = "authentication {\n    auth_type PASS\n    auth_pass secret12\n  }";
const AH: &str = "authentication {\n    auth_type AH\n    auth_pass secret12\n  }";

/// The whole life of a pair: n1 has 150, n2 has 100. n1 becomes master, stops, comes back.
fn life(stage: &mut Stage, conf: impl Fn(usize) -> Conf) {
    let (high, low) = (conf(1).priority(150), conf(2));
    let vip = if low.vips[0].contains(':') { VIP6 } else { VIP };
    let local = low.vips.iter().find(|it| *it == VIP6_LOCAL);

    let started = stage.start(1, &high);
    let first = stage.gets(1, vip, started, high.down());
    took(first - started, high.down());
    stage.start(2, &low);
    let (_, advert) = stage.advert(1, started, s(0.0), "priority 150", |it| it.priority == 150);
    assert_eq!((advert.version, advert.vrid, advert.kind), (high.version, 51, 1));
    // Keepalived 2.2.7 sends unicast IPv6 with the kernel's hop limit of 64; RFC 9568 wants 255.
    let unicast_ipv6 = advert.to.is_ipv6() && !advert.to.is_multicast();
    if stage.first.is_standfast() || !unicast_ipv6 {
        assert_eq!(advert.ttl, 255, "time to live");
    }
    assert_eq!(advert.tos, 0xc0, "class of service");
    let plain = high.lines.iter().any(|it| it == "v3_checksum_as_v2");
    assert_eq!(
        (advert.checksum_ok, advert.checksum_ok_plain),
        (!plain, plain || high.version == 2)
    );
    if let Some(local) = local {
        stage.holds(1, local, true);
    }
    // The backup hears the master: it waits longer than its timer, and nothing changes.
    stage.pass(1, 6, high.interval());
    stage.quiet(2, vip, started);

    // A planned stop says farewell, and the backup waits only for its skew time.
    let stopping = stage.stop(1);
    let (farewell, _) = stage.advert(1, stopping, s(0.0), "priority 0", |it| it.priority == 0);
    let second = stage.gets(2, vip, stopping, low.skew());
    took(second - farewell, low.skew());
    stage.holds(1, vip, false);

    // The old master comes back and preempts, because its priority is higher.
    let back = stage.start(1, &high);
    let third = stage.gets(1, vip, back, high.down());
    took(third - back, high.down());
    let lost = stage.loses(2, vip, back, s(0.0));
    let (asked, _) = stage.advert(1, back, s(0.0), "priority 150", |it| it.priority == 150);
    assert!(lost >= asked, "n2 gave the address up before n1 had asked for it");
    stage.stop(2);
    stage.stop(1);
    stage.holds(1, vip, false);
}

/// Whoever is first: in the end n1 has the address, and n2 has not.
fn together(stage: &mut Stage) {
    let (high, low) = (Conf::v3().priority(150), Conf::v3());
    let started = stage.start(2, &low);
    stage.start(1, &high);
    stage.gets(1, VIP, started, high.down());
    stage.pass(1, 6, high.interval());
    stage.holds(1, VIP, true);
    stage.holds(2, VIP, false);
}

/// Two nodes that do not understand each other are both master.
fn both_masters(stage: &mut Stage, one: &Conf, two: &Conf) {
    let started = stage.start(1, one);
    stage.start(2, two);
    stage.gets(1, VIP, started, one.down());
    stage.gets(2, VIP, started, two.down());
    // Keepalived restarts its own timer when it rejects a packet, so that one of two may be
    // silent: anybody's advertisements are a clock.
    for _ in 0..3 {
        stage.pass_any(one.interval());
    }
    stage.holds(1, VIP, true);
    stage.holds(2, VIP, true);
}

fn wrong_password(stage: &mut Stage) {
    let other = PASS.replace("secret12", "secret13");
    both_masters(stage, &Conf::v2().with(PASS).priority(150), &Conf::v2().with(other));
}

fn wrong_key(stage: &mut Stage) {
    let other = AH.replace("secret12", "secret13");
    both_masters(stage, &Conf::v2().with(AH).priority(150), &Conf::v2().with(other));
}

fn other_interval(stage: &mut Stage) {
    let two = Conf { advert: 2.0, ..Conf::v2() };
    both_masters(stage, &Conf::v2().priority(150), &two);
}

/// A version 3 backup uses the master's interval for its own timer.
fn adopted_interval(stage: &mut Stage) {
    let master = Conf { advert: 0.5, ..Conf::v3() }.priority(150);
    let backup = Conf::v3();
    let started = stage.start(1, &master);
    stage.gets(1, VIP, started, master.down());
    let listening = stage.start(2, &backup);
    // Its own interval would give the master 0.72 s; the master's gives it 1.8 s.
    stage.pass(1, 3, master.interval());
    stage.quiet(2, VIP, listening);
    let cut = stage.lab.mute(1, 0).expect("cut off");
    let last = stage.last_advert(1, cut);
    let down = master.interval() * 3 + backup.skew().mul_f64(0.5 / 0.2);
    took(stage.gets(2, VIP, cut, down) - last, down);
}

/// Both are master while they cannot hear each other; then the higher address stays.
fn equal_priority(stage: &mut Stage) {
    let conf = Conf::v3();
    stage.lab.mute(1, 0).expect("cut off");
    let started = stage.start(1, &conf);
    stage.start(2, &conf);
    stage.gets(1, VIP, started, conf.down());
    stage.gets(2, VIP, started, conf.down());
    let healed = stage.lab.unmute(1, 0).expect("reconnect");
    stage.loses(1, VIP, healed, conf.interval());
    stage.pass(2, 3, conf.interval());
    stage.quiet(2, VIP, healed);
}

fn nopreempt(stage: &mut Stage) {
    let (high, low) = (Conf::v3().priority(150).with("nopreempt"), Conf::v3());
    let started = stage.start(2, &low);
    stage.gets(2, VIP, started, low.down());
    let late = stage.start(1, &high);
    stage.log(1, "Entering BACKUP STATE", late, s(2.0));
    stage.pass(2, 8, low.interval());
    stage.quiet(1, VIP, late);
    // It takes over when the master goes.
    let stopping = stage.stop(2);
    let (farewell, _) = stage.advert(2, stopping, s(0.0), "priority 0", |it| it.priority == 0);
    took(stage.gets(1, VIP, stopping, high.skew()) - farewell, high.skew());
}

fn preempt_delay(stage: &mut Stage) {
    let delay = Duration::from_secs(2);
    let (high, low) = (Conf::v3().priority(150).with("preempt_delay 2"), Conf::v3());
    let started = stage.start(2, &low);
    stage.gets(2, VIP, started, low.down());
    let late = stage.start(1, &high);
    let master = stage.gets(1, VIP, late, delay + high.down());
    assert!(master - late >= delay, "preempted after {:?}", master - late);
    stage.loses(2, VIP, late, delay);
}

fn owner(stage: &mut Stage) {
    let (owner, backup) = (Conf::v3().priority(255), Conf::v3());
    let started = stage.start(2, &backup);
    stage.gets(2, VIP, started, backup.down());
    let late = stage.start(1, &owner);
    took(stage.gets(1, VIP, late, s(0.0)) - late, s(0.0));
    stage.advert(1, late, s(0.0), "priority 255", |it| it.priority == 255);
    stage.loses(2, VIP, late, s(0.0));
}

fn three_nodes(stage: &mut Stage) {
    let conf = |n: usize| Conf::v3().priority([200, 150, 100][n - 1]);
    let started = stage.start(1, &conf(1));
    stage.gets(1, VIP, started, conf(1).down());
    for node in [2, 3] {
        let listening = stage.start(node, &conf(node));
        stage.ready(node, listening);
    }
    stage.pass(1, 6, conf(1).interval());
    stage.quiet(2, VIP, started);
    stage.quiet(3, VIP, started);
    let cut = stage.lab.pull(1, 0).expect("pull");
    stage.gets(2, VIP, cut, conf(2).down());
    stage.pass(2, 3, conf(2).interval());
    let cut = stage.lab.pull(2, 0).expect("pull");
    stage.gets(3, VIP, cut, conf(3).down());
    stage.quiet(3, "198.51.100.3", cut);
    let plugged = stage.lab.plug(2, 0).expect("plug");
    stage.gets(2, VIP, plugged, conf(2).down());
    stage.loses(3, VIP, plugged, conf(2).down());
}

fn split_brain(stage: &mut Stage) {
    let (high, low) = (Conf::v3().priority(150), Conf::v3());
    let started = stage.start(1, &high);
    stage.start(2, &low);
    stage.gets(1, VIP, started, high.down());
    let cut = stage.lab.mute(2, 0).expect("cut off");
    stage.gets(2, VIP, cut, low.down());
    stage.holds(1, VIP, true);
    let healed = stage.lab.unmute(2, 0).expect("reconnect");
    stage.loses(2, VIP, healed, high.interval());
    stage.pass(1, 3, high.interval());
    stage.quiet(1, VIP, healed);
    stage.quiet(2, "198.51.100.2", started);
}

/// Each node is master of one instance and backup of the other.
fn active_active(stage: &mut Stage) {
    const OTHER: &str = "198.51.100.200";
    let a = |priority| Conf::v3().priority(priority);
    let b = |priority| Conf::v3().priority(priority).name("B", 52).vips(&[OTHER]);
    let started = stage.start_text(1, &format!("{}{}", a(150), b(100)));
    stage.gets(1, VIP, started, a(150).down());
    stage.gets(1, OTHER, started, b(100).down());
    let second = stage.start_text(2, &format!("{}{}", a(100), b(150)));
    stage.gets(2, OTHER, second, b(150).down());
    stage.loses(1, OTHER, second, b(150).down());
    stage.pass(1, 6, a(150).interval());
    stage.quiet(2, VIP, started);
    stage.quiet(1, VIP, second);
    let cut = stage.lab.pull(1, 0).expect("pull");
    stage.gets(2, VIP, cut, a(100).down());
    stage.quiet(2, OTHER, cut);
}
