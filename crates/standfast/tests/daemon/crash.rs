//! What happens to the addresses when a process is killed.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::Test;
use crate::stage::{CONFIG, Stage, send, wait_gone};

pub(crate) const TESTS: &[Test] = &[
    ("a_role_that_dies_goes_on_as_what_it_was", once),
    ("a_role_that_dies_again_and_again_lets_go", often),
    ("a_supervisor_that_dies_takes_its_role_along", supervisor),
    ("without_respawn_the_end_is_clean", no_respawn),
    ("between_two_lives_a_stop_cleans_up", between),
    ("a_role_that_hangs_is_killed_and_cleaned_up_behind", hanging),
];

fn once(stage: &mut Stage) {
    stage.start(CONFIG);
    let first = stage.wait_role(None);
    stage.wait_advert();
    let since = stage.lab.now();
    send(first, Signal::SIGKILL);
    let second = stage.wait_role(Some(first));
    stage.wait_line_since("Startup complete", since);
    assert_eq!(stage.wait_pid("/run/vrrp.pid"), second);
    stage.wait_advert();
    assert_eq!(stage.removals(), 0, "the address blinked");
    let adverts = stage.lab.adverts(1, Duration::ZERO);
    assert!(adverts.iter().all(|(_, advert)| advert.priority == 200));
    let snapshot = stage.ask(&["status"]);
    assert_eq!(snapshot["node"]["restarts"], 1);
    assert_eq!(stage.stop(), 0);
    stage.wait_no_vip();
}

fn often(stage: &mut Stage) {
    stage.start(CONFIG);
    let mut before = None;
    for _ in 0..5 {
        let role = stage.wait_role(before);
        send(role, Signal::SIGKILL);
        before = Some(role);
    }
    assert_eq!(stage.exit_status(), 1);
    stage.wait_line("again and again");
    stage.wait_no_vip();
    assert!(!stage.exists("/run/keepalived.pid") && !stage.exists("/run/vrrp.pid"));
}

fn supervisor(stage: &mut Stage) {
    stage.start(CONFIG);
    let role = stage.wait_role(None);
    stage.daemon().signal(Signal::SIGKILL);
    stage.wait_no_vip();
    wait_gone(role);
    let last = stage.lab.adverts(1, Duration::ZERO).pop();
    assert_eq!(last.map(|(_, advert)| advert.priority), Some(0));
    // What is left of it does not keep the next one from starting.
    stage.start(CONFIG);
}

fn no_respawn(stage: &mut Stage) {
    stage.launch(CONFIG, &["-R"]);
    stage.wait_vip();
    send(stage.wait_role(None), Signal::SIGKILL);
    assert_eq!(stage.exit_status(), 1);
    stage.wait_no_vip();
}

fn between(stage: &mut Stage) {
    stage.start(CONFIG);
    let mut before = None;
    for death in 1..=4 {
        let role = stage.wait_role(before);
        send(role, Signal::SIGKILL);
        before = Some(role);
        let died = || (stage.lines("the failover role died") == death).then_some(());
        assert!(lab::journal::wait_until(crate::stage::LIMIT, died).is_some());
    }
    // The next life would begin 0.4 s later.
    assert_eq!(stage.stop(), 0);
    stage.wait_no_vip();
}

fn hanging(stage: &mut Stage) {
    stage.start(&format!("child_wait_time 1\n{CONFIG}"));
    send(stage.wait_role(None), Signal::SIGSTOP);
    assert_eq!(stage.stop(), 0);
    stage.wait_line("it is killed");
    stage.wait_no_vip();
}
