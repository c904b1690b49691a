//! Short stories of two or three nodes, told as timing diagrams: what is done, what time passes,
//! who is what, who holds the addresses.

mod support;

use std::time::Duration;

use support::lan::{Lan, secs};
use support::{address, ms, router, router_at, script, unicast, vip};
use vrrp::State::{Backup, Fault, Init, Master};
use vrrp::{
    Announced, Cause, Config, EventKind, Family, GroupConfig, Input, NotifyKind, RouterConfig,
    State, Subject, Track, TrackerId, TrackerState, Version,
};

const V: &str = "V";

/// A LAN of nodes with one router "V" each.
fn lan(routers: Vec<RouterConfig>) -> Lan {
    let configs = routers
        .into_iter()
        .map(|router| Config { routers: vec![router], ..Config::default() })
        .collect();
    Lan::new(configs, 2, 1)
}

/// Two v2 nodes over IPv4 with these priorities.
fn pair(a: u8, b: u8) -> Lan {
    lan(vec![router(V, 0, Version::V2, Family::V4, a), router(V, 1, Version::V2, Family::V4, b)])
}

/// All boot, and the first election is over.
fn settled(mut lan: Lan) -> Lan {
    for node in 0..lan.nodes.len() {
        lan.boot(node);
    }
    lan.run(ms(10_000));
    assert_eq!(lan.broken, None);
    lan
}

fn states(lan: &Lan) -> Vec<State> {
    (0..lan.nodes.len()).map(|node| lan.state(node, V)).collect()
}

/// Milliseconds until something is true.
fn until(lan: &mut Lan, done: impl FnMut(&Lan) -> bool) -> f64 {
    let start = lan.now;
    assert!(lan.run_until(Duration::from_secs(60), done), "within a minute");
    assert_eq!(lan.broken, None);
    (secs(lan.now) - secs(start)) * 1e3
}

/// Log lines of a node since the last call.
fn lines(lan: &mut Lan, node: usize) -> Vec<String> {
    lan.nodes[node].events.drain(..).map(|(_, event)| event.to_string()).collect()
}

/// Notifications of a node since the last call, as FIFO lines.
fn fifo(lan: &mut Lan, node: usize) -> Vec<String> {
    lan.nodes[node]
        .notified
        .drain(..)
        .map(|(_, notify)| {
            let subject = if notify.subject == Subject::Group { "GROUP" } else { "INSTANCE" };
            format!("{subject} {} {} {}", notify.name, notify.kind.word(), notify.priority)
        })
        .collect()
}

fn cause(lan: &Lan, node: usize) -> Cause {
    let engine = lan.nodes[node].engine.as_ref().unwrap();
    let view = engine.router(lan.id(node, V)).unwrap();
    view.last_transition.unwrap().cause
}

fn tracker(lan: &mut Lan, node: usize, id: u32, state: TrackerState) {
    lan.input(node, Input::Tracker { id: TrackerId(id), state });
}

#[test]
fn start_waits_the_master_down_time_whatever_state_says() {
    let mut first = router(V, 0, Version::V2, Family::V4, 150);
    first.state_master = true;
    let mut lan = lan(vec![first]);
    lan.boot(0);
    assert_eq!(lan.state(0, V), Backup);
    let waited = until(&mut lan, |lan| lan.state(0, V) == Master);
    assert!((waited - 3414.062).abs() < 0.01, "{waited}");
    assert_eq!(lan.holders(V), [0]);
    assert_eq!(
        lines(&mut lan, 0)[..3],
        [
            "(V) Entering BACKUP STATE (init)",
            "(V) Receive advertisement timeout",
            "(V) Entering MASTER STATE",
        ]
    );
    assert_eq!(fifo(&mut lan, 0), ["INSTANCE V BACKUP 150", "INSTANCE V MASTER 150"]);
}

#[test]
fn an_owner_is_master_at_once() {
    let mut lan = lan(vec![router(V, 0, Version::V3, Family::V6, 255)]);
    lan.boot(0);
    let waited = until(&mut lan, |lan| lan.state(0, V) == Master);
    assert!(waited < 0.01, "{waited}");
    assert_eq!(fifo(&mut lan, 0), ["INSTANCE V MASTER 255"]);
}

#[test]
fn the_higher_priority_wins_and_its_death_is_noticed() {
    let mut lan = settled(pair(150, 100));
    assert_eq!(states(&lan), [Master, Backup]);
    lan.kill(0);
    let waited = until(&mut lan, |lan| lan.state(1, V) == Master);
    // Three intervals and the skew of priority 100, counted from the last advert.
    assert!((2609.0..=3611.0).contains(&waited), "{waited}");
    assert!(matches!(cause(&lan, 1), Cause::MasterDown { last: Some((_, 150)), .. }));
}

#[test]
fn a_returning_higher_priority_preempts() {
    let mut lan = settled(pair(150, 100));
    lan.kill(0);
    lan.run(ms(5000));
    lines(&mut lan, 1);
    lan.boot(0);
    let waited = until(&mut lan, |lan| lan.state(0, V) == Master);
    assert!((3414.0..3415.0).contains(&waited), "{waited}");
    lan.run(ms(1));
    assert_eq!(states(&lan), [Master, Backup]);
    assert_eq!(lan.holders(V), [0]);
    assert_eq!(
        lines(&mut lan, 1),
        [
            "(V) Master received advert from 198.51.100.1 with higher priority 150, ours 100",
            "(V) Entering BACKUP STATE",
        ]
    );
    assert!(matches!(cause(&lan, 0), Cause::Preempted { theirs: 100, ours: 150, .. }));
}

#[test]
fn nopreempt_leaves_the_lower_master() {
    let mut high = router(V, 0, Version::V2, Family::V4, 150);
    high.preempt = false;
    let mut lan = settled(lan(vec![high, router(V, 1, Version::V2, Family::V4, 100)]));
    lan.kill(0);
    lan.run(ms(5000));
    lan.boot(0);
    lan.run(ms(60_000));
    assert_eq!(states(&lan), [Backup, Master]);
}

#[test]
fn preempt_delay_starts_with_the_first_lower_advert() {
    let mut high = router(V, 0, Version::V2, Family::V4, 150);
    high.preempt_delay = Duration::from_secs(20);
    let mut lan = lan(vec![high, router(V, 1, Version::V2, Family::V4, 100)]);
    lan.boot(1);
    lan.run(ms(5000));
    lan.boot(0);
    let waited = until(&mut lan, |lan| lan.state(0, V) == Master);
    // The delay, and what was left of the timer after it.
    assert!((20_000.0..24_500.0).contains(&waited), "{waited}");
    assert!(lines(&mut lan, 0).contains(&"(V) start preempt delay (20.000000)".to_owned()));
}

#[test]
fn preempt_delay_does_not_count_without_a_master() {
    let mut only = router(V, 0, Version::V2, Family::V4, 150);
    only.preempt_delay = Duration::from_secs(300);
    let mut lan = lan(vec![only]);
    lan.boot(0);
    assert!(until(&mut lan, |lan| lan.state(0, V) == Master) < 3415.0);
}

#[test]
fn equal_priorities_are_decided_by_the_address() {
    let mut lan = pair(100, 100);
    lan.boot(0);
    lan.boot(1);
    lan.run(ms(10_000));
    assert_eq!(states(&lan), [Backup, Master]);
    // But a MASTER is not preempted by an equal.
    lan.kill(1);
    lan.run(ms(5000));
    lan.boot(1);
    lan.run(ms(20_000));
    assert_eq!(states(&lan), [Master, Backup]);
}

#[test]
fn a_planned_stop_leaves_no_gap() {
    for version in [Version::V2, Version::V3] {
        let mut lan = settled(lan(vec![
            router(V, 0, version, Family::V4, 150),
            router(V, 1, version, Family::V4, 100),
        ]));
        lan.no_gap = vec![V.into()];
        lines(&mut lan, 0);
        fifo(&mut lan, 0);
        lan.input(0, Input::Stop);
        assert_eq!(lan.holders(V), [0], "the addresses stay");
        assert!(!lan.nodes[0].stopped);
        let waited = until(&mut lan, |lan| lan.nodes[0].stopped);
        // The skew of priority 100.
        assert!((609.0..610.0).contains(&waited), "{waited}");
        assert_eq!(lan.holders(V), [1]);
        assert_eq!(fifo(&mut lan, 0), ["INSTANCE V STOP 150"]);
        lan.run(ms(10_000));
        assert_eq!(lan.broken, None);
        assert_eq!(lan.state(1, V), Master);
        assert!(matches!(cause(&lan, 1), Cause::MasterResigned { .. }));
    }
}

#[test]
fn a_planned_stop_ends_if_nobody_answers() {
    let mut lan = lan(vec![router(V, 0, Version::V2, Family::V4, 150)]);
    lan.boot(0);
    lan.run(ms(5000));
    lan.input(0, Input::Stop);
    let waited = until(&mut lan, |lan| lan.nodes[0].stopped);
    // The longest skew there is, and the margin.
    assert!((996.0..1047.0).contains(&waited), "{waited}");
    assert_eq!(lan.holders(V), Vec::<usize>::new());
}

#[test]
fn a_release_withdraws_at_once() {
    let mut lan = settled(pair(150, 100));
    let sent = lan.nodes[0].sent;
    lan.input(0, Input::Release);
    assert!(lan.nodes[0].stopped);
    assert_eq!(lan.nodes[0].sent, sent + 1, "priority 0");
    assert_eq!(lan.holders(V), Vec::<usize>::new());
    let waited = until(&mut lan, |lan| lan.state(1, V) == Master);
    assert!((609.0..610.0).contains(&waited), "{waited}");
}

#[test]
fn a_handover_keeps_back_until_it_is_reclaimed() {
    let mut lan = settled(pair(150, 100));
    lan.no_gap = vec![V.into()];
    let router = lan.id(0, V);
    lan.input(0, Input::Handover { router });
    until(&mut lan, |lan| lan.holders(V) == [1]);
    lan.run(ms(60_000));
    assert_eq!(states(&lan), [Backup, Master], "priority 150 keeps back");
    let view = lan.nodes[0].engine.as_ref().unwrap().router(router).unwrap();
    assert!(view.handed_over);
    lan.input(0, Input::Reclaim { router });
    let waited = until(&mut lan, |lan| lan.holders(V) == [0]);
    assert!(waited < 1.0, "{waited}");
    assert_eq!(states(&lan), [Master, Backup]);
}

#[test]
fn a_handover_ends_when_the_successor_vanishes() {
    let mut lan = settled(pair(150, 100));
    let router = lan.id(0, V);
    lan.input(0, Input::Handover { router });
    until(&mut lan, |lan| lan.holders(V) == [1]);
    lan.kill(1);
    until(&mut lan, |lan| lan.holders(V) == [0]);
    let view = lan.nodes[0].engine.as_ref().unwrap().router(router).unwrap();
    assert!(!view.handed_over);
}

#[test]
fn a_handover_to_nobody_changes_nothing() {
    let mut lan = lan(vec![router(V, 0, Version::V3, Family::V4, 150)]);
    lan.boot(0);
    lan.run(ms(5000));
    lan.no_gap = vec![V.into()];
    let router = lan.id(0, V);
    lan.input(0, Input::Handover { router });
    lan.run(ms(5000));
    assert_eq!((lan.state(0, V), lan.broken.clone()), (Master, None));
    assert!(lines(&mut lan, 0).iter().any(|line| line.contains("handover failed")));
}

#[test]
fn a_v3_backup_learns_the_interval_of_the_master() {
    let mut slow = router(V, 0, Version::V3, Family::V4, 150);
    slow.advert_interval = Duration::from_secs(2);
    let mut fast = router(V, 1, Version::V3, Family::V4, 100);
    fast.advert_interval = ms(100);
    let mut lan = lan(vec![slow, fast]);
    lan.boot(0);
    lan.run(ms(8000));
    lan.boot(1);
    lan.run(ms(10_000));
    assert_eq!(states(&lan)[0], Master);
    let view = lan.nodes[1].engine.as_ref().unwrap().router(lan.id(1, V)).unwrap();
    assert_eq!(view.master_interval, Duration::from_secs(2));
    // 3 × 2 s, and a skew of 156/256 × 2 s.
    assert_eq!(view.master_down, Duration::from_micros(7_218_750));
}

#[test]
fn a_v2_interval_that_differs_is_rejected() {
    let mut slow = router(V, 0, Version::V2, Family::V4, 150);
    slow.advert_interval = Duration::from_secs(2);
    let mut lan = lan(vec![slow, router(V, 1, Version::V2, Family::V4, 100)]);
    lan.boot(0);
    lan.boot(1);
    lan.run(ms(20_000));
    assert_eq!(states(&lan), [Master, Master], "as Keepalived: they do not understand each other");
    let text = lines(&mut lan, 1);
    let rejected = text.iter().filter(|line| line.contains("rejected")).count();
    assert_eq!(rejected, 1, "told once: {text:?}");
}

#[test]
fn two_owners_do_not_both_stay() {
    let mut lan = lan(vec![
        router(V, 0, Version::V3, Family::V4, 255),
        router(V, 1, Version::V3, Family::V4, 255),
    ]);
    lan.boot(0);
    lan.boot(1);
    lan.run(ms(5000));
    assert_eq!(states(&lan), [Backup, Master], "the lower address backs off");
    lan.kill(1);
    until(&mut lan, |lan| lan.state(0, V) == Master);
    let view = lan.nodes[0].engine.as_ref().unwrap().router(lan.id(0, V)).unwrap();
    assert_eq!(view.effective_priority, 255);
}

#[test]
fn an_owner_gives_way_to_one_that_does_not() {
    // The other owner does not hear us.
    let mut lan = lan(vec![
        router(V, 0, Version::V3, Family::V4, 255),
        router(V, 1, Version::V3, Family::V4, 255),
    ]);
    lan.faults[0].mute[1] = true;
    lan.boot(0);
    lan.boot(1);
    lan.run(ms(500));
    assert_eq!(states(&lan), [Master, Master]);
    lan.faults[0].mute = vec![false, true];
    // Now node 0 is heard by nobody; node 1 (the higher address) still sends.
    lan.faults[0].mute = vec![true, false];
    lan.run(ms(3000));
    assert_eq!(states(&lan), [Backup, Master]);
}

#[test]
fn weights_change_the_priority_and_so_the_master() {
    let mut first = router(V, 0, Version::V2, Family::V4, 110);
    first.tracks = vec![script(1, Some(-20))];
    let mut lan = settled(lan(vec![first, router(V, 1, Version::V2, Family::V4, 100)]));
    tracker(&mut lan, 0, 1, TrackerState::Up);
    lan.run(ms(5000));
    assert_eq!(states(&lan), [Master, Backup]);
    lines(&mut lan, 0);
    tracker(&mut lan, 0, 1, TrackerState::Down);
    lan.run(ms(6000));
    assert_eq!(states(&lan), [Backup, Master]);
    let text = lines(&mut lan, 0);
    assert_eq!(text[0], "(V) Changing effective priority from 110 to 90");
    assert!(text.contains(
        &"(V) Master received advert from 198.51.100.2 with higher priority 100, ours 90".into()
    ));
    tracker(&mut lan, 0, 1, TrackerState::Up);
    lan.run(ms(6000));
    assert_eq!(states(&lan), [Master, Backup]);
}

#[test]
fn a_failure_without_weight_is_a_fault_and_resigns() {
    let mut first = router(V, 0, Version::V2, Family::V4, 150);
    first.tracks = vec![script(1, None)];
    let mut lan = lan(vec![first, router(V, 1, Version::V2, Family::V4, 100)]);
    lan.boot(0);
    lan.boot(1);
    assert_eq!(lan.state(0, V), Init, "waits for the first result");
    lan.run(ms(1000));
    tracker(&mut lan, 0, 1, TrackerState::Up);
    lan.run(ms(8000));
    assert_eq!(states(&lan), [Master, Backup]);
    tracker(&mut lan, 0, 1, TrackerState::Down);
    assert_eq!(lan.state(0, V), Fault);
    assert_eq!(lan.holders(V), Vec::<usize>::new());
    let waited = until(&mut lan, |lan| lan.state(1, V) == Master);
    assert!((609.0..610.0).contains(&waited), "{waited}");
    tracker(&mut lan, 0, 1, TrackerState::Up);
    assert_eq!(lan.state(0, V), Backup);
    let waited = until(&mut lan, |lan| lan.state(0, V) == Master);
    assert!((3414.0..3415.0).contains(&waited), "a full timer: {waited}");
    assert_eq!(
        fifo(&mut lan, 0),
        ["BACKUP", "MASTER", "FAULT", "BACKUP", "MASTER"].map(|s| format!("INSTANCE V {s} 150"))
    );
}

#[test]
fn after_a_wait_unicast_peers_learn_the_source_address() {
    let announced = |tracks: Vec<Track>| {
        let mut first = router(V, 0, Version::V2, Family::V4, 150);
        unicast(&mut first, 0, 0, 2);
        first.tracks = tracks;
        let mut lan = lan(vec![first]);
        lan.boot(0);
        lan.run(ms(1000));
        tracker(&mut lan, 0, 1, TrackerState::Up);
        lan.run(ms(1000));
        assert_eq!(lan.state(0, V), Backup);
        lan.nodes[0].announced.iter().map(|(_, what, _)| *what).collect::<Vec<_>>()
    };
    assert_eq!(announced(vec![script(1, None)]), [Announced::Source]);
    assert_eq!(announced(Vec::new()), []);
}

#[test]
fn a_missing_source_address_is_a_fault() {
    let mut lan = settled(pair(150, 100));
    let id = lan.id(0, V);
    lan.input(0, Input::SourceAddress { router: id, address: None });
    assert_eq!(lan.state(0, V), Fault);
    let waited = until(&mut lan, |lan| lan.state(1, V) == Master);
    assert!(waited < 610.0, "it resigned: {waited}");
    let source = Some(address(0, 0, Family::V4));
    lan.input(0, Input::SourceAddress { router: id, address: source });
    until(&mut lan, |lan| lan.state(0, V) == Master);
}

#[test]
fn a_group_of_owners_is_never_told_as_backup() {
    let mut lan = group(255, 100);
    lan.boot(0);
    lan.run(ms(1000));
    let mut told = fifo(&mut lan, 0);
    assert_eq!(told.pop().as_deref(), Some("GROUP G MASTER 0"));
    told.sort();
    assert_eq!(told, ["INSTANCE A MASTER 255", "INSTANCE B MASTER 255"]);
}

/// Two nodes with routers A (segment 0) and B (segment 1) in a group G.
fn group(a: u8, b: u8) -> Lan {
    let config = |node: usize, priority: u8| Config {
        routers: vec![
            router_at("A", node, 0, 51, Version::V2, Family::V4, priority),
            router_at("B", node, 1, 52, Version::V2, Family::V4, priority),
        ],
        groups: vec![GroupConfig {
            name: "G".into(),
            members: vec!["A".into(), "B".into()],
            ..GroupConfig::default()
        }],
        ..Config::default()
    };
    Lan::new(vec![config(0, a), config(1, b)], 2, 1)
}

#[test]
fn a_group_goes_together() {
    let mut lan = settled(group(150, 100));
    assert_eq!((lan.state(0, "A"), lan.state(0, "B")), (Master, Master));
    assert_eq!(
        fifo(&mut lan, 0),
        [
            "GROUP G BACKUP 0",
            "INSTANCE A BACKUP 150",
            "INSTANCE B BACKUP 150",
            // B was the last one to want it.
            "INSTANCE B MASTER 150",
            "INSTANCE A MASTER 150",
            "GROUP G MASTER 0",
        ]
    );
    let text = lines(&mut lan, 0);
    assert!(text.contains(&"VRRP_Group(G) Syncing instances to MASTER state".into()), "{text:?}");
    // One segment is cut: node 1 hears nothing of A, but it hears B.
    lan.faults[0].cell = vec![0, 1];
    lan.run(ms(20_000));
    assert_eq!((lan.state(1, "A"), lan.state(1, "B")), (Backup, Backup), "B holds A back");
    lan.no_gap = vec!["A".into(), "B".into()];
    lan.faults[0].cell = vec![0, 0];
    lan.input(0, Input::Stop);
    until(&mut lan, |lan| lan.nodes[0].stopped);
    assert_eq!((lan.state(1, "A"), lan.state(1, "B")), (Master, Master));
    let mut told = fifo(&mut lan, 0);
    assert_eq!(told.last().unwrap(), "GROUP G STOP 0");
    // Each member as soon as its successor was heard.
    told.sort();
    assert_eq!(told[1..], ["INSTANCE A STOP 150", "INSTANCE B STOP 150"]);
}

#[test]
fn a_fault_of_one_member_is_a_fault_of_all() {
    let mut lan = group(150, 100);
    lan.nodes[0].config.routers[1].tracks = vec![script(7, None)];
    lan.boot(0);
    lan.boot(1);
    lan.run(ms(500));
    assert_eq!((lan.state(0, "A"), lan.state(0, "B")), (Init, Init), "A waits with B");
    tracker(&mut lan, 0, 7, TrackerState::Up);
    lan.run(ms(10_000));
    assert_eq!((lan.state(0, "A"), lan.state(0, "B")), (Master, Master));
    fifo(&mut lan, 0);
    tracker(&mut lan, 0, 7, TrackerState::Down);
    assert_eq!((lan.state(0, "A"), lan.state(0, "B")), (Fault, Fault));
    assert_eq!(
        fifo(&mut lan, 0),
        ["INSTANCE B FAULT 150", "INSTANCE A FAULT 150", "GROUP G FAULT 0"]
    );
    let waited = until(&mut lan, |lan| lan.holders("A") == [1] && lan.holders("B") == [1]);
    assert!(waited < 611.0, "both resigned: {waited}");
    tracker(&mut lan, 0, 7, TrackerState::Up);
    lan.run(ms(5000));
    assert_eq!((lan.state(0, "A"), lan.state(0, "B")), (Master, Master));
    assert_eq!((lan.state(1, "A"), lan.state(1, "B")), (Backup, Backup));
}

#[test]
fn a_late_master_with_nopreempt_yields() {
    let mut high = router(V, 0, Version::V2, Family::V4, 150);
    high.preempt = false;
    let mut lan = settled(lan(vec![high, router(V, 1, Version::V2, Family::V4, 100)]));
    assert_eq!(states(&lan), [Master, Backup]);
    lan.pause(0, ms(10_000));
    lan.run(ms(20_000));
    assert_eq!(states(&lan), [Backup, Master], "whoever took over stays");
    assert!(lines(&mut lan, 0).iter().any(|line| line.contains("our last advert was")));
}

#[test]
fn a_backup_that_slept_reads_before_it_takes_over() {
    let mut lan = settled(pair(150, 100));
    lan.pause(1, ms(30_000));
    lan.run(ms(40_000));
    assert_eq!(states(&lan), [Master, Backup]);
    assert_eq!(fifo(&mut lan, 1), ["INSTANCE V BACKUP 100"]);
}

#[test]
fn a_second_master_is_told_with_a_hint() {
    let mut lan = settled(pair(150, 100));
    lan.nodes[0].events.clear();
    // Node 1 hears nobody, but is heard.
    lan.faults[0].mute = vec![true, false];
    lan.run(ms(200_000));
    assert_eq!(states(&lan), [Master, Master]);
    let told: Vec<_> = lan.nodes[0]
        .events
        .iter()
        .map(|(_, event)| event)
        .filter(|event| matches!(event.kind, EventKind::SecondMaster { .. }))
        .collect();
    assert!((3..=5).contains(&told.len()), "about once a minute: {}", told.len());
    assert!(told[0].hint().unwrap().contains("198.51.100.2"));
    let fifo = fifo(&mut lan, 0);
    assert!(fifo.iter().any(|line| line == "INSTANCE V MASTER_RX_LOWER_PRI 150"));
    let announced = lan.nodes[0].announced.len();
    assert!(announced > 100, "repairs what the other announces: {announced}");
}

#[test]
fn announcements_keep_their_schedule() {
    let mut config = router(V, 0, Version::V2, Family::V4, 150);
    config.garp.refresh = Duration::from_secs(10);
    let mut lan = lan(vec![config]);
    lan.boot(0);
    until(&mut lan, |lan| lan.state(0, V) == Master);
    let start = secs(lan.now);
    lan.run(ms(36_000));
    let announced: Vec<(f64, Announced, u32)> = lan.nodes[0]
        .announced
        .iter()
        .map(|&(at, what, repeat)| ((secs(at) - start).round(), what, repeat))
        .collect();
    let all = Announced::All;
    assert_eq!(
        announced,
        [(0.0, all, 5), (5.0, all, 5), (15.0, all, 1), (25.0, all, 1), (35.0, all, 1)]
    );
}

#[test]
fn a_crash_goes_unnoticed() {
    let mut lan = settled(pair(150, 100));
    lan.no_gap = vec![V.into()];
    lan.nodes[1].events.clear();
    for _ in 0..5 {
        lan.crash_and_resume(0);
        assert_eq!(lan.state(0, V), Master);
        lan.run(ms(1700));
        lan.crash_and_resume(1);
        lan.run(ms(700));
    }
    assert_eq!((states(&lan), lan.broken.clone()), (vec![Master, Backup], None));
    let told = lines(&mut lan, 1);
    assert!(told.iter().all(|line| line.contains("resumed")), "{told:?}");
}

#[test]
fn a_reload_keeps_the_state_and_advertises_at_once() {
    let mut lan = settled(pair(150, 100));
    lan.no_gap = vec![V.into()];
    let mut config = lan.nodes[0].config.clone();
    config.routers[0].name = "W".into();
    config.routers[0].addresses.push(vip(77, Family::V4));
    let sent = lan.nodes[0].sent;
    fifo(&mut lan, 0);
    lan.no_gap.clear();
    lan.input(0, Input::Reload(Box::new(config)));
    assert_eq!(lan.nodes[0].sent, sent + 1);
    assert_eq!(lan.state(0, "W"), Master);
    assert_eq!(lan.holders("W"), [0]);
    assert_eq!(fifo(&mut lan, 0), Vec::<String>::new());
    assert_eq!(lan.nodes[0].announced.last().unwrap().1, Announced::New);
    lan.run(ms(10_000));
    assert_eq!(lan.state(1, V), Backup);
}

#[test]
fn a_reload_that_lowers_the_priority_moves_the_master() {
    let mut lan = settled(pair(150, 100));
    let mut config = lan.nodes[0].config.clone();
    config.routers[0].priority = std::num::NonZeroU8::new(50).unwrap();
    lan.input(0, Input::Reload(Box::new(config)));
    lan.run(ms(8000));
    assert_eq!(states(&lan), [Backup, Master]);
}

#[test]
fn a_removed_router_resigns_and_withdraws() {
    let mut lan = settled(pair(150, 100));
    fifo(&mut lan, 0);
    lan.input(0, Input::Reload(Box::default()));
    assert_eq!(lan.holders(V), Vec::<usize>::new());
    assert_eq!(fifo(&mut lan, 0), ["INSTANCE V FAULT 150"]);
    let waited = until(&mut lan, |lan| lan.state(1, V) == Master);
    assert!(waited < 610.0, "{waited}");
}

#[test]
fn a_duplicate_vrid_is_a_fault_of_the_second() {
    let config = Config {
        routers: vec![
            router("V", 0, Version::V2, Family::V4, 150),
            router("W", 0, Version::V2, Family::V4, 150),
        ],
        ..Config::default()
    };
    let mut lan = Lan::new(vec![config], 1, 1);
    lan.boot(0);
    assert_eq!((lan.state(0, "V"), lan.state(0, "W")), (Backup, Fault));
}

#[test]
fn unicast_nodes_elect_and_miss_nobody_silently() {
    let mut configs = Vec::new();
    for (node, priority) in [150, 100, 50].into_iter().enumerate() {
        let mut config = router(V, node, Version::V3, Family::V4, priority);
        unicast(&mut config, node, 0, 3);
        configs.push(config);
    }
    let mut lan = lan(configs);
    lan.boot(0);
    lan.run(ms(5000));
    let told = lines(&mut lan, 0);
    assert!(told.iter().any(|line| line.contains("any of the 2 unicast peers")), "{told:?}");
    lan.boot(1);
    lan.boot(2);
    lan.run(ms(10_000));
    assert_eq!(states(&lan), [Master, Backup, Backup]);
}

#[test]
fn priority_changes_are_notified_on_request() {
    let mut config = router(V, 0, Version::V2, Family::V4, 100);
    config.tracks = vec![script(1, Some(10))];
    config.notify_priority_changes = true;
    let mut lan = settled(lan(vec![config]));
    tracker(&mut lan, 0, 1, TrackerState::Up);
    let notified: Vec<_> = lan.nodes[0].notified.iter().map(|(_, n)| n.kind).collect();
    assert_eq!(notified, [NotifyKind::Backup, NotifyKind::Master, NotifyKind::MasterPriority(110)]);
}
