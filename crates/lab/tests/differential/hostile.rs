//! Packets that are wrong, or not meant for us, change nothing.

use standfast_lab::voice::Call;

use crate::Scenario;
use crate::conf::{Conf, VIP};
use crate::stage::{Stage, s, took};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario::new("right_advert_of_higher_priority_wins", right).alone(),
    Scenario::new("wrong_time_to_live", |stage| wrong(stage, |it| it.ttl = 64)).alone(),
    Scenario::new("wrong_checksum", |stage| wrong(stage, |it| it.spoil = 1)).alone(),
    Scenario::new("wrong_version", |stage| wrong(stage, |it| it.version = 2)).alone(),
    Scenario::new("unknown_version", |stage| wrong(stage, |it| it.version = 7)).alone(),
    Scenario::new("wrong_type", |stage| wrong(stage, |it| it.kind = 2)).alone(),
    Scenario::new("other_virtual_router", |stage| wrong(stage, |it| it.vrid = 99)).alone(),
    Scenario::new("cut_short", |stage| wrong(stage, |it| it.cut = 10)).alone(),
    Scenario::new("nearly_empty", |stage| wrong(stage, |it| it.cut = 3)).alone(),
    Scenario::new("rejected_packets_do_not_silence_a_master", not_silenced).alone(),
    Scenario::new("farewell_of_a_stranger_is_answered", farewell).alone(),
];

fn call() -> Call {
    Call::v3(51, 200, 20, VIP.parse().expect("an address"))
}

fn master(stage: &mut Stage) -> Conf {
    let conf = Conf::v3().priority(150);
    let started = stage.start(1, &conf);
    stage.gets(1, VIP, started, conf.down());
    conf
}

/// Shows that the voice is heard at all, so that the other scenarios can fail.
fn right(stage: &mut Stage) {
    let conf = master(stage);
    let called = stage.calls(&call());
    stage.loses(1, VIP, called, s(0.0));
    let back = stage.gets(1, VIP, called, conf.down());
    took(back - called, conf.down());
}

fn wrong(stage: &mut Stage, spoil: impl Fn(&mut Call)) {
    let conf = master(stage);
    let mut call = call();
    spoil(&mut call);
    let since = stage.lab.now();
    for _ in 0..5 {
        stage.calls(&call);
        stage.pass(1, 1, conf.interval() * 2);
    }
    stage.quiet(1, VIP, since);
    assert!(stage.lab.daemon(1).running());
}

/// Keepalived restarts its advertisement timer on every packet for its virtual router, rejected
/// ones included, and falls silent; ours goes on as if nothing had come.
fn not_silenced(stage: &mut Stage) {
    let conf = master(stage);
    let mut call = call();
    call.spoil = 1;
    let since = stage.lab.now();
    let end = since + s(2.0);
    while stage.lab.now() < end {
        stage.calls(&call);
        std::thread::sleep(s(0.05));
    }
    let sent = stage.lab.adverts(1, since).into_iter().filter(|(at, _)| *at < end).count();
    if stage.first.is_standfast() {
        assert!(sent >= 8, "only {sent} advertisements in 2 s");
    }
    stage.pass(1, 2, conf.interval());
    stage.quiet(1, VIP, since);
}

/// Priority 0 from somebody else: a master says at once that it is there, RFC 9568 section 6.4.3.
fn farewell(stage: &mut Stage) {
    let conf = master(stage);
    let mut call = call();
    call.priority = 0;
    let since = stage.calls(&call);
    let (answered, _) = stage.advert(1, since, s(0.0), "its priority", |it| it.priority == 150);
    took(answered - since, s(0.0));
    stage.pass(1, 2, conf.interval());
    stage.quiet(1, VIP, since);
}
