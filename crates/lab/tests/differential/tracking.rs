//! Tracking: scripts, interfaces and files that change the priority or cause FAULT.

use std::time::Duration;

use crate::Scenario;
use crate::conf::{Conf, VIP, scripts};
use crate::stage::{Stage, s};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario::new("script_without_weight_causes_fault", script_fault).scripts(),
    Scenario::new("script_with_negative_weight", |stage| script_weight(stage, -60, 150, 90))
        .scripts(),
    Scenario::new("script_with_positive_weight", |stage| script_weight(stage, 60, 150, 90))
        .scripts(),
    Scenario::new("script_with_negative_weight_in_reverse", |stage| script_reverse(stage, 90, -60))
        .scripts(),
    Scenario::new("script_with_positive_weight_in_reverse", |stage| script_reverse(stage, 150, 60))
        .scripts(),
    Scenario::new("script_needs_fall_failures_and_rise_successes", rise_fall).scripts(),
    Scenario::new("script_that_hangs_fails", script_timeout).scripts(),
    Scenario::new("interface_without_weight_causes_fault", interface_fault).links(2),
    Scenario::new("interface_with_weight", interface_weight).links(2),
    Scenario::new("file_with_weight", file_weight),
    Scenario::new("file_without_weight_causes_fault", file_fault),
    Scenario::new("weight_ends_at_the_limits", limits).alone(),
];

/// The script fails while `/tmp/bad` exists.
const SCRIPT: &str = "#!/bin/sh\ntest ! -e /tmp/bad\n";

fn script(parameters: &str) -> String {
    format!(
        "global_defs {{\n{}}}\n\
         vrrp_script chk {{\n  script /run/check.sh\n  interval 1\n  timeout 1\n{parameters}}}\n",
        scripts(),
    )
}

/// n1 runs the script and has 150, n2 has 120.
fn pair(stage: &mut Stage, high: &Conf, wins: Duration) -> Conf {
    let low = Conf::v3().priority(120);
    stage.lab.write(1, "/run/check.sh", SCRIPT).expect("write");
    let started = stage.start(1, high);
    stage.gets(1, VIP, started, wins);
    let listening = stage.start(2, &low);
    stage.ready(2, listening);
    stage.pass(1, 2, high.interval());
    low
}

fn break_it(stage: &Stage) -> Duration {
    let at = stage.lab.now();
    stage.lab.write(1, "/tmp/bad", "").expect("write");
    at
}

fn mend_it(stage: &Stage) -> Duration {
    let at = stage.lab.now();
    std::fs::remove_file(stage.lab.node(1).outside("/tmp/bad")).expect("remove");
    at
}

fn script_fault(stage: &mut Stage) {
    let high = Conf::v3().priority(150).after(script("")).with("track_script {\n    chk\n  }");
    let low = pair(stage, &high, high.down() + s(1.0));
    let broken = break_it(stage);
    stage.log(1, "Entering FAULT STATE", broken, s(2.0));
    let (farewell, _) = stage.advert(1, broken, s(0.0), "priority 0", |it| it.priority == 0);
    stage.loses(1, VIP, broken, s(0.0));
    stage.gets(2, VIP, farewell, low.skew());
    let mended = mend_it(stage);
    stage.gets(1, VIP, mended, s(1.0) + high.down());
    stage.loses(2, VIP, mended, s(1.0) + high.down());
}

/// `base` with the script good, `bad` with the script failing, in the advertisements.
fn script_weight(stage: &mut Stage, weight: i32, good: u8, bad: u8) {
    let base = if weight > 0 { bad } else { good };
    let high = Conf::v3()
        .priority(base)
        .after(script(&format!("  weight {weight}\n")))
        .with("track_script {\n    chk\n  }");
    pair(stage, &high, high.down() * 2 + s(2.0));
    stage.advert(1, s(0.0), s(2.0), "the good priority", |it| it.priority == good);
    let broken = break_it(stage);
    stage.loses(1, VIP, broken, s(2.0) + high.down());
    stage.gets(2, VIP, broken, s(2.0) + high.down());
    stage.log(1, &format!("Changing effective priority from {good} to {bad}"), broken, s(0.0));
    let (_, advert) = stage.advert(2, broken, s(0.0), "its own priority", |_| true);
    assert_eq!(advert.priority, 120);
    // No farewell: it did not stop, it was outbid.
    assert!(stage.lab.adverts(1, broken).iter().all(|(_, it)| it.priority != 0));
    let mended = mend_it(stage);
    stage.gets(1, VIP, mended, s(1.0) + high.down());
    stage.log(1, &format!("Changing effective priority from {bad} to {good}"), mended, s(0.0));
}

/// `reverse` turns the sign: a negative weight is added while the script fails, a positive one
/// is subtracted while it succeeds.
fn script_reverse(stage: &mut Stage, base: u8, weight: i32) {
    let high = Conf::v3()
        .priority(base)
        .after(script(&format!("  weight {weight} reverse\n")))
        .with("track_script {\n    chk\n  }");
    stage.lab.write(1, "/tmp/bad", "").expect("write");
    pair(stage, &high, high.down() * 2 + s(2.0));
    stage.advert(1, s(0.0), s(2.0), "priority 150", |it| it.priority == 150);
    let mended = mend_it(stage);
    stage.gets(2, VIP, mended, s(2.0) + high.down());
    stage.log(1, "Changing effective priority from 150 to 90", mended, s(0.0));
}

fn rise_fall(stage: &mut Stage) {
    let high = Conf::v3()
        .priority(150)
        .after(script("  fall 3\n  rise 2\n"))
        .with("track_script {\n    chk\n  }");
    pair(stage, &high, high.down() + s(1.0));
    let broken = break_it(stage);
    let fault = stage.log(1, "Entering FAULT STATE", broken, s(4.0));
    // The third failure, so at least two intervals after the first.
    assert!(fault - broken >= s(1.9), "FAULT after {:?}", fault - broken);
    let mended = mend_it(stage);
    let back = stage.log(1, "Entering BACKUP STATE", mended, s(3.0));
    assert!(back - mended >= s(0.9), "back after {:?}", back - mended);
}

fn script_timeout(stage: &mut Stage) {
    let slow = "#!/bin/sh\nif test -e /tmp/bad; then exec sleep 30; fi\n";
    let high = Conf::v3().priority(150).after(script("")).with("track_script {\n    chk\n  }");
    let low = Conf::v3().priority(120);
    stage.lab.write(1, "/run/check.sh", slow).expect("write");
    let started = stage.start(1, &high);
    stage.gets(1, VIP, started, high.down() + s(1.0));
    let listening = stage.start(2, &low);
    stage.ready(2, listening);
    stage.pass(1, 2, high.interval());
    let broken = break_it(stage);
    stage.log(1, "Entering FAULT STATE", broken, s(3.0));
    stage.gets(2, VIP, broken, s(3.0));
}

fn interface_fault(stage: &mut Stage) {
    let high = Conf::v3().priority(150).with("track_interface {\n    eth1\n  }");
    let low = pair(stage, &high, high.down());
    let pulled = stage.lab.pull(1, 1).expect("pull");
    stage.loses(1, VIP, pulled, s(0.0));
    let (farewell, _) = stage.advert(1, pulled, s(0.0), "priority 0", |it| it.priority == 0);
    stage.gets(2, VIP, farewell, low.skew());
    let plugged = stage.lab.plug(1, 1).expect("plug");
    stage.gets(1, VIP, plugged, high.down());
}

fn interface_weight(stage: &mut Stage) {
    let high = Conf::v3().priority(150).with("track_interface {\n    eth1 weight -60\n  }");
    pair(stage, &high, high.down());
    let pulled = stage.lab.pull(1, 1).expect("pull");
    stage.log(1, "Changing effective priority from 150 to 90", pulled, s(0.0));
    stage.gets(2, VIP, pulled, high.down());
    let plugged = stage.lab.plug(1, 1).expect("plug");
    stage.log(1, "Changing effective priority from 90 to 150", plugged, s(0.0));
    stage.gets(1, VIP, plugged, high.down());
}

const FILE: &str = "track_file f {\n  file /tmp/track\n  weight 2\n}\n";

/// The number in the file times the weight is added to the priority.
fn file_weight(stage: &mut Stage) {
    let high = Conf::v3().priority(150).after(FILE).with("track_file {\n    f\n  }");
    stage.lab.write(1, "/tmp/track", "5\n").expect("write");
    pair(stage, &high, high.down());
    stage.advert(1, s(0.0), s(0.0), "priority 160", |it| it.priority == 160);
    let changed = stage.lab.now();
    stage.lab.write(1, "/tmp/track", "-20\n").expect("write");
    stage.log(1, "Changing effective priority from 160 to 110", changed, s(0.0));
    stage.gets(2, VIP, changed, high.down());
    let changed = stage.lab.now();
    stage.lab.write(1, "/tmp/track", "0\n").expect("write");
    stage.gets(1, VIP, changed, high.down());
    stage.advert(1, changed, s(0.0), "priority 150", |it| it.priority == 150);
}

fn file_fault(stage: &mut Stage) {
    let file = "track_file f {\n  file /tmp/track\n  weight 0\n}\n";
    let high = Conf::v3().priority(150).after(file).with("track_file {\n    f\n  }");
    stage.lab.write(1, "/tmp/track", "0\n").expect("write");
    let low = pair(stage, &high, high.down());
    let failed = stage.lab.now();
    stage.lab.write(1, "/tmp/track", "1\n").expect("write");
    stage.log(1, "Entering FAULT STATE", failed, s(0.0));
    stage.gets(2, VIP, failed, low.skew());
    let mended = stage.lab.now();
    stage.lab.write(1, "/tmp/track", "0\n").expect("write");
    stage.gets(1, VIP, mended, high.down());
}

/// The effective priority never leaves 1..=254.
fn limits(stage: &mut Stage) {
    let file = "track_file f {\n  file /tmp/track\n  weight 1\n}\n";
    let conf = Conf::v3().priority(150).after(file).with("track_file {\n    f\n  }");
    stage.lab.write(1, "/tmp/track", "200\n").expect("write");
    let started = stage.start(1, &conf);
    stage.gets(1, VIP, started, conf.down());
    stage.advert(1, started, s(0.0), "priority 254", |it| it.priority == 254);
    let changed = stage.lab.now();
    stage.lab.write(1, "/tmp/track", "-253\n").expect("write");
    stage.advert(1, changed, s(0.5), "priority 1", |it| it.priority == 1);
    stage.holds(1, VIP, true);
}
