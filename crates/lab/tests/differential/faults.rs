//! What breaks: cables, silent networks, processes, addresses that somebody else removes.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::Scenario;
use crate::conf::{Conf, VIP, VIP6};
use crate::differences::{Difference, shows};
use crate::stage::{Stage, ip, s, took};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario::new("cable_pulled_and_back", |stage| cable(stage, &Conf::v3(), VIP)),
    Scenario::new("cable_pulled_and_back_ipv6", |stage| cable(stage, &Conf::v3_ipv6(), VIP6)),
    Scenario::new("silent_network", silent_network),
    Scenario::new("role_killed_while_master", role_killed),
    Scenario::new("role_killed_while_backup", backup_role_killed),
    Scenario::new("parent_killed", parent_killed),
    Scenario::new("address_deleted_by_somebody", address_deleted),
    Scenario::new("address_deleted_while_backup_is_away", address_deleted_alone),
    Scenario::new("own_address_removed_and_back", own_address).alone(),
    Scenario::new("interface_set_down_and_up", interface_down),
    Scenario::new("client_sees_planned_stop", planned_stop),
];

/// n1 is master with 150, n2 backup with 100. Returns when n1 had the address.
fn pair(stage: &mut Stage, conf: &Conf, vip: &str) -> (Conf, Conf) {
    let (high, low) = (conf.clone().priority(150), conf.clone());
    let started = stage.start(1, &high);
    stage.gets(1, vip, started, high.down());
    let listening = stage.start(2, &low);
    stage.ready(2, listening);
    stage.pass(1, 2, high.interval());
    stage.quiet(2, vip, started);
    (high, low)
}

fn cable(stage: &mut Stage, conf: &Conf, vip: &str) {
    let (high, low) = pair(stage, conf, vip);
    let pulled = stage.lab.pull(1, 0).expect("pull");
    let last = stage.last_advert(1, pulled);
    // The master sees that its carrier is gone and gives up; the backup waits its full timer.
    stage.loses(1, vip, pulled, s(0.0));
    stage.log(1, "Entering FAULT STATE", pulled, s(0.0));
    let taken = stage.gets(2, vip, pulled, low.down());
    took(taken - last, low.down());
    let plugged = stage.lab.plug(1, 0).expect("plug");
    stage.gets(1, vip, plugged, high.down());
    stage.loses(2, vip, plugged, high.down());
    stage.pass(1, 3, high.interval());
    stage.holds(1, vip, true);
    stage.holds(2, vip, false);
}

/// Nobody sees a fault: both are master until the network is back, then the higher one stays.
fn silent_network(stage: &mut Stage) {
    let (high, low) = pair(stage, &Conf::v3(), VIP);
    let cut = stage.lab.mute(1, 0).expect("cut off");
    let last = stage.last_advert(1, cut);
    let taken = stage.gets(2, VIP, cut, low.down());
    took(taken - last, low.down());
    stage.pass(1, 2, high.interval());
    stage.quiet(1, VIP, cut);
    let healed = stage.lab.unmute(1, 0).expect("reconnect");
    stage.loses(2, VIP, healed, high.interval());
    stage.quiet(1, VIP, cut);
}

/// The process id of the process that speaks VRRP.
fn role(stage: &Stage, node: usize) -> Pid {
    let roles = stage.lab.daemon(node).roles();
    assert_eq!(roles.len(), 1, "one child, the VRRP process: {roles:?}");
    Pid::from_raw(roles[0])
}

fn role_killed(stage: &mut Stage) {
    let (high, _) = pair(stage, &Conf::v3(), VIP);
    let old = role(stage, 1);
    let killed = stage.lab.now();
    kill(old, Signal::SIGKILL).expect("kill");
    let (_, advert) =
        stage.advert(1, killed, high.down() + s(2.0), "the old priority", |it| it.priority == 150);
    assert_eq!(advert.addresses, [ip(VIP)]);
    stage.pass(1, 5, high.interval());
    assert_ne!(role(stage, 1), old);
    stage.holds(1, VIP, true);
    stage.holds(2, VIP, false);
    if shows(&stage.first, Difference::SurvivesKill) {
        stage.quiet(1, VIP, killed);
        stage.quiet(2, VIP, killed);
        let farewell = stage.lab.adverts(1, killed).into_iter().any(|(_, it)| it.priority == 0);
        assert!(!farewell, "a farewell although it went on");
    }
}

fn backup_role_killed(stage: &mut Stage) {
    let (high, low) = pair(stage, &Conf::v3(), VIP);
    let killed = stage.lab.now();
    kill(role(stage, 2), Signal::SIGKILL).expect("kill");
    stage.pass(1, 8, high.interval());
    stage.quiet(2, VIP, killed);
    stage.quiet(1, VIP, killed);
    // And it still does its duty.
    let stopping = stage.stop(1);
    stage.gets(2, VIP, stopping, low.down());
}

/// Without its parent the VRRP process must not go on alone.
fn parent_killed(stage: &mut Stage) {
    let (_, low) = pair(stage, &Conf::v3(), VIP);
    let killed = stage.lab.now();
    stage.lab.daemon(1).signal(Signal::SIGKILL);
    stage.loses(1, VIP, killed, s(0.5));
    let (farewell, _) = stage.advert(1, killed, s(0.0), "priority 0", |it| it.priority == 0);
    let taken = stage.gets(2, VIP, killed, low.skew());
    took(taken - farewell, low.skew());
}

fn address_deleted(stage: &mut Stage) {
    let (high, _) = pair(stage, &Conf::v3(), VIP);
    let deleted = stage.lab.now();
    stage.lab.node(1).command(&format!("ip addr del {VIP}/32 dev eth0")).expect("ip");
    stage.loses(1, VIP, deleted, s(0.0));
    let back = stage.gets(1, VIP, deleted, high.down() + high.interval());
    stage.pass(1, 3, high.interval());
    stage.holds(1, VIP, true);
    stage.holds(2, VIP, false);
    let farewell = stage.lab.adverts(1, deleted).into_iter().any(|(_, it)| it.priority == 0);
    if shows(&stage.first, Difference::PutsBack) {
        took(back - deleted, s(0.0));
        assert!(back - deleted < high.skew() * 4, "put back after {:?}", back - deleted);
        assert!(!farewell, "a farewell although it went on");
        stage.quiet(2, VIP, deleted);
    } else {
        assert!(farewell, "Keepalived gives up for one cycle");
    }
}

fn address_deleted_alone(stage: &mut Stage) {
    let (high, _) = pair(stage, &Conf::v3(), VIP);
    stage.stop(2);
    let deleted = stage.lab.now();
    stage.lab.node(1).command(&format!("ip addr del {VIP}/32 dev eth0")).expect("ip");
    stage.gets(1, VIP, deleted, high.down() + high.interval());
    stage.pass(1, 2, high.interval());
    stage.holds(1, VIP, true);
}

/// Without an address of its own there is no source for the advertisements.
fn own_address(stage: &mut Stage) {
    let conf = Conf::v3().priority(150);
    let started = stage.start(1, &conf);
    stage.gets(1, VIP, started, conf.down());
    let node = stage.lab.node(1);
    let removed = stage.lab.now();
    node.command("ip addr del 198.51.100.1/24 dev eth0").expect("ip");
    stage.log(1, "Entering FAULT STATE", removed, s(0.5));
    stage.loses(1, VIP, removed, s(0.5));
    let restored = stage.lab.now();
    stage.lab.node(1).command("ip addr add 198.51.100.1/24 dev eth0").expect("ip");
    stage.gets(1, VIP, restored, conf.down());
}

fn interface_down(stage: &mut Stage) {
    let (high, low) = pair(stage, &Conf::v3(), VIP);
    let down = stage.lab.now();
    stage.lab.node(1).command("ip link set eth0 down").expect("ip");
    stage.gets(2, VIP, down, low.down());
    stage.loses(1, VIP, down, s(0.5));
    let up = stage.lab.now();
    stage.lab.node(1).command("ip link set eth0 up").expect("ip");
    stage.gets(1, VIP, up, high.down());
    stage.loses(2, VIP, up, high.down());
}

/// What the client sees of a planned stop.
fn planned_stop(stage: &mut Stage) {
    let (_, low) = pair(stage, &Conf::v3(), VIP);
    let meter = stage.lab.meter(ip(VIP), s(0.001)).expect("meter");
    assert!(meter.wait_answer(stage.lab.now(), s(2.0)).is_some(), "the address answers");
    let stopping = stage.stop(1);
    let taken = stage.gets(2, VIP, stopping, low.skew());
    assert!(meter.wait_answer(taken + s(0.02), s(3.0)).is_some(), "the successor answers");
    let outage = meter.outage_since(stopping).longest;
    if shows(&stage.first, Difference::MakesBeforeBreak) {
        assert!(outage < low.skew(), "make before break, yet an outage of {outage:?}");
    } else {
        // The address goes before the farewell is sent or just after it, and the backup waits.
        took(outage, low.skew());
    }
}
