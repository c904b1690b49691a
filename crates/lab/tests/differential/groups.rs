//! Sync groups: instances that move together.

use crate::Scenario;
use crate::conf::{Conf, VIP};
use crate::stage::{Stage, s};

/// The virtual address of the second instance, on eth1.
const VIP_B: &str = "203.0.113.100";

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario::new("both_members_become_master", together).links(2),
    Scenario::new("one_cable_moves_both", one_cable).links(2),
    Scenario::new("one_silent_link_moves_both", one_silent_link).links(2),
    Scenario::new("planned_stop_moves_both", planned_stop).links(2),
    Scenario::new("tracking_of_the_group", group_tracking).links(2),
];

fn group(priority: u8, extra: &str) -> (Conf, String) {
    let a = Conf::v3().priority(priority);
    let b = Conf::v3().priority(priority).name("B", 52).on("eth1").vips(&[VIP_B]);
    let group = format!("vrrp_sync_group G {{\n  group {{\n    A\n    B\n  }}\n{extra}}}\n");
    let text = format!("{group}{a}{b}");
    (a, text)
}

fn pair(stage: &mut Stage) -> (Conf, Conf) {
    let ((high, one), (low, two)) = (group(150, ""), group(100, ""));
    let started = stage.start_text(1, &one);
    stage.gets(1, VIP, started, high.down());
    stage.gets(1, VIP_B, started, high.down());
    let listening = stage.start_text(2, &two);
    stage.ready(2, listening);
    stage.pass(1, 12, high.interval());
    stage.quiet(2, VIP, started);
    stage.quiet(2, VIP_B, started);
    (high, low)
}

fn together(stage: &mut Stage) {
    pair(stage);
}

fn moved(stage: &Stage, since: std::time::Duration, low: &Conf) {
    stage.gets(2, VIP, since, low.down() * 2);
    stage.gets(2, VIP_B, since, low.down() * 2);
    stage.loses(1, VIP, since, s(0.5));
    stage.loses(1, VIP_B, since, s(0.5));
}

fn one_cable(stage: &mut Stage) {
    let (high, low) = pair(stage);
    let pulled = stage.lab.pull(1, 1).expect("pull");
    moved(stage, pulled, &low);
    stage.pass(2, 6, low.interval());
    stage.holds(1, VIP, false);
    let plugged = stage.lab.plug(1, 1).expect("plug");
    stage.gets(1, VIP, plugged, high.down() * 2);
    stage.gets(1, VIP_B, plugged, high.down() * 2);
    stage.loses(2, VIP, plugged, high.down() * 2);
    stage.loses(2, VIP_B, plugged, high.down() * 2);
}

/// The backup cannot hear one of two instances: its group must not take only one over.
fn one_silent_link(stage: &mut Stage) {
    let (high, _) = pair(stage);
    let cut = stage.lab.mute(1, 1).expect("cut off");
    stage.pass(1, 16, high.interval());
    // n2 still hears A, so B cannot go alone: all must want before any goes.
    stage.quiet(2, VIP, cut);
    stage.quiet(2, VIP_B, cut);
    stage.holds(1, VIP, true);
    stage.holds(1, VIP_B, true);
}

fn planned_stop(stage: &mut Stage) {
    let (_, low) = pair(stage);
    let stopping = stage.stop(1);
    stage.gets(2, VIP, stopping, low.skew());
    stage.gets(2, VIP_B, stopping, low.skew());
    stage.holds(1, VIP, false);
    stage.holds(1, VIP_B, false);
}

/// A file tracked by the group takes all members into FAULT.
fn group_tracking(stage: &mut Stage) {
    let file = "track_file f {\n  file /tmp/track\n}\n";
    let extra = "  track_file {\n    f weight 1\n  }\n";
    let ((high, one), (low, two)) = (group(150, extra), group(100, ""));
    stage.lab.write(1, "/tmp/track", "0").expect("write");
    let started = stage.start_text(1, &format!("{file}{one}"));
    stage.gets(1, VIP, started, high.down());
    stage.gets(1, VIP_B, started, high.down());
    let listening = stage.start_text(2, &two);
    stage.ready(2, listening);
    stage.pass(1, 2, high.interval());
    let failed = stage.lab.now();
    stage.lab.write(1, "/tmp/track", "-254").expect("write");
    moved(stage, failed, &low);
}
