//! SIGHUP: what changed is changed, what did not is not touched.

use std::time::Duration;

use crate::Scenario;
use crate::conf::{Conf, VIP};
use crate::stage::{Stage, ip, s};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario::new("nothing_changed_nothing_happens", nothing),
    Scenario::new("address_added", added),
    Scenario::new("address_removed", removed),
    Scenario::new("priority_lowered", priority),
    Scenario::new("interval_changed", interval),
    Scenario::new("instance_added_and_removed", instances),
    Scenario::new("unknown_keyword_changes_nothing", unknown_keyword),
    Scenario::new("broken_file_keeps_the_address", broken).alone(),
    Scenario::new("missing_file_keeps_the_address", missing).alone(),
    Scenario::new("ten_reloads_in_a_row", storm),
];

/// n1 is master with 150, n2 backup with 100.
fn pair(stage: &mut Stage) -> (Conf, Conf) {
    let (high, low) = (Conf::v3().priority(150), Conf::v3());
    let started = stage.start(1, &high);
    stage.gets(1, VIP, started, high.down());
    let listening = stage.start(2, &low);
    stage.ready(2, listening);
    stage.pass(1, 2, high.interval());
    (high, low)
}

/// Writes the file and sends SIGHUP; returns when.
fn reload(stage: &Stage, node: usize, text: &str) -> Duration {
    stage.lab.write(node, "/run/keepalived.conf", text).expect("write");
    let at = stage.lab.now();
    stage.lab.daemon(node).reload();
    at
}

fn no_farewell(stage: &Stage, node: usize, since: Duration) {
    let bye = stage.lab.adverts(node, since).into_iter().any(|(_, it)| it.priority == 0);
    assert!(!bye, "n{node} said farewell");
}

fn nothing(stage: &mut Stage) {
    let (high, low) = pair(stage);
    let reloaded = reload(stage, 1, &high.to_string());
    reload(stage, 2, &low.to_string());
    stage.pass(1, 8, high.interval());
    stage.quiet(1, VIP, reloaded);
    stage.quiet(2, VIP, reloaded);
    no_farewell(stage, 1, reloaded);
    // The rhythm goes on: at least one advertisement per interval, no pause.
    let sent = stage.lab.adverts(1, reloaded);
    let pause = sent.windows(2).map(|pair| pair[1].0 - pair[0].0).max().expect("several");
    assert!(pause < high.interval() * 2 + s(0.2), "a pause of {pause:?}");
}

fn added(stage: &mut Stage) {
    const NEW: &str = "198.51.100.101";
    let (high, low) = pair(stage);
    let [high, low] = [high, low].map(|conf| conf.vips(&[VIP, NEW]));
    reload(stage, 2, &low.to_string());
    let reloaded = reload(stage, 1, &high.to_string());
    stage.gets(1, NEW, reloaded, s(0.5));
    stage.quiet(1, VIP, reloaded);
    stage.advert(1, reloaded, s(0.5), "both addresses", |it| it.addresses == [ip(VIP), ip(NEW)]);
    stage.pass(1, 5, high.interval());
    stage.quiet(2, VIP, reloaded);
    no_farewell(stage, 1, reloaded);
}

fn removed(stage: &mut Stage) {
    const OLD: &str = "198.51.100.101";
    let (high, low) = (Conf::v3().priority(150).vips(&[VIP, OLD]), Conf::v3().vips(&[VIP, OLD]));
    let started = stage.start(1, &high);
    stage.gets(1, OLD, started, high.down());
    let listening = stage.start(2, &low);
    stage.ready(2, listening);
    stage.pass(1, 2, high.interval());
    let [high, low] = [high, low].map(|conf| conf.vips(&[VIP]));
    let reloaded = reload(stage, 1, &high.to_string());
    reload(stage, 2, &low.to_string());
    stage.loses(1, OLD, reloaded, s(0.5));
    stage.advert(1, reloaded, s(0.5), "one address", |it| it.addresses == [ip(VIP)]);
    stage.pass(1, 5, high.interval());
    stage.quiet(1, VIP, reloaded);
    stage.quiet(2, VIP, reloaded);
}

fn priority(stage: &mut Stage) {
    let (high, low) = pair(stage);
    let reloaded = reload(stage, 1, &high.clone().priority(50).to_string());
    stage.advert(1, reloaded, s(0.5), "priority 50", |it| it.priority == 50);
    stage.gets(2, VIP, reloaded, low.down());
    stage.loses(1, VIP, reloaded, low.down());
    let reloaded = reload(stage, 1, &high.to_string());
    stage.gets(1, VIP, reloaded, high.down());
}

fn interval(stage: &mut Stage) {
    let (high, _) = pair(stage);
    let slower = Conf { advert: 0.4, ..high };
    let reloaded = reload(stage, 1, &slower.to_string());
    stage.advert(1, reloaded, s(0.5), "interval 40", |it| it.interval == 40);
    stage.pass(1, 6, slower.interval());
    stage.quiet(1, VIP, reloaded);
    stage.quiet(2, VIP, reloaded);
    let sent = stage.lab.adverts(1, reloaded + s(0.6));
    let shortest = sent.windows(2).map(|pair| pair[1].0 - pair[0].0).min().expect("several");
    assert!(shortest > s(0.3), "two within {shortest:?}");
}

fn instances(stage: &mut Stage) {
    const OTHER: &str = "198.51.100.200";
    let (high, _) = pair(stage);
    let other = Conf::v3().priority(150).name("B", 52).vips(&[OTHER]);
    let reloaded = reload(stage, 1, &format!("{high}{other}"));
    stage.gets(1, OTHER, reloaded, other.down());
    let reloaded = reload(stage, 1, &high.to_string());
    stage.loses(1, OTHER, reloaded, s(0.5));
    let bye = |it: &standfast_lab::packet::Advert| it.vrid == 52 && it.priority == 0;
    stage.advert(1, reloaded, s(0.5), "priority 0 of the other", bye);
    stage.pass(1, 3, high.interval());
    stage.quiet(1, VIP, reloaded);
    stage.quiet(2, VIP, reloaded);
}

fn unknown_keyword(stage: &mut Stage) {
    let (high, _) = pair(stage);
    let reloaded = reload(stage, 1, &high.clone().with("no_such_word 5").to_string());
    stage.pass(1, 8, high.interval());
    stage.quiet(1, VIP, reloaded);
    stage.quiet(2, VIP, reloaded);
    no_farewell(stage, 1, reloaded);
}

/// A file that cannot be run: ours keeps the running configuration. Keepalived 2.2.7 ends.
fn broken(stage: &mut Stage) {
    let conf = Conf::v3().priority(150);
    let started = stage.start(1, &conf);
    stage.gets(1, VIP, started, conf.down());
    let wrong = Conf { interface: "eth7", ..conf.clone() };
    let reloaded = reload(stage, 1, &wrong.to_string());
    if stage.first.is_standfast() {
        stage.pass(1, 8, conf.interval());
        stage.quiet(1, VIP, reloaded);
        no_farewell(stage, 1, reloaded);
        assert!(stage.lab.daemon(1).running());
    } else {
        assert!(stage.lab.daemon(1).wait_exit(s(8.0)).is_some(), "Keepalived ends");
    }
}

/// No file at all: ours keeps the running configuration. Keepalived removes the address.
fn missing(stage: &mut Stage) {
    let conf = Conf::v3().priority(150);
    let started = stage.start(1, &conf);
    stage.gets(1, VIP, started, conf.down());
    std::fs::remove_file(stage.lab.node(1).outside("/run/keepalived.conf")).expect("remove");
    let reloaded = stage.lab.now();
    stage.lab.daemon(1).reload();
    if stage.first.is_standfast() {
        stage.pass(1, 8, conf.interval());
        stage.quiet(1, VIP, reloaded);
    } else {
        stage.loses(1, VIP, reloaded, s(1.0));
    }
}

fn storm(stage: &mut Stage) {
    let (high, _) = pair(stage);
    let reloaded = stage.lab.now();
    for _ in 0..10 {
        stage.lab.daemon(1).reload();
        stage.lab.daemon(2).reload();
    }
    stage.pass(1, 10, high.interval());
    stage.quiet(1, VIP, reloaded);
    stage.quiet(2, VIP, reloaded);
    assert!(stage.lab.daemon(1).running() && stage.lab.daemon(2).running());
}
