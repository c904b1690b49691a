//! PASS, AH and `auth_hmac` between nodes that agree, disagree, restart and wrap round.

mod support;

use std::num::NonZeroU8;
use std::time::Duration;

use support::lan::Lan;
use support::{address, ms, router, unicast};
use vrrp::State::{Backup, Master};
use vrrp::{
    AntiReplay, Auth, Config, Datagram, Engine, EventKind, Family, HmacConfig, HmacKey, HmacMode,
    Input, InterfaceId, Now, Output, Rejection, RouterConfig, SavedRouter, Secret, State, Time,
    Transmit, Version,
};

const V: &str = "V";

fn lan(routers: Vec<RouterConfig>) -> Lan {
    let config = |router| Config { routers: vec![router], ..Config::default() };
    let mut lan = Lan::new(routers.into_iter().map(config).collect(), 1, 1);
    for node in 0..lan.nodes.len() {
        lan.boot(node);
    }
    lan
}

fn with_auth(node: usize, version: Version, priority: u8, auth: Auth) -> RouterConfig {
    let mut config = router(V, node, version, Family::V4, priority);
    config.auth = auth;
    config
}

fn hmac(mode: HmacMode, keys: &[(u8, &[u8])], active: u8) -> Auth {
    Auth::Hmac(HmacConfig {
        keys: keys
            .iter()
            .map(|&(id, secret)| HmacKey {
                id: NonZeroU8::new(id).unwrap(),
                secret: Secret::new(secret),
            })
            .collect(),
        active_key: NonZeroU8::new(active).unwrap(),
        time_window: Duration::from_secs(5),
        anti_replay: AntiReplay::Time,
        mode,
    })
}

const OLD: &[u8] = b"0123456789abcdef0123456789abcdef";
const NEW: &[u8] = b"fedcba9876543210fedcba9876543210";

fn states(lan: &Lan) -> Vec<State> {
    (0..lan.nodes.len()).map(|node| lan.state(node, V)).collect()
}

/// Reasons of rejection that a node told.
fn rejections(lan: &Lan, node: usize) -> Vec<Rejection> {
    lan.nodes[node]
        .events
        .iter()
        .filter_map(|(_, event)| match &event.kind {
            EventKind::Rejected { reason, .. } => Some(reason.clone()),
            _ => None,
        })
        .collect()
}

/// Whether two nodes with these settings form one group.
fn agree(version: Version, a: Auth, b: Auth) -> bool {
    let mut lan = lan(vec![with_auth(0, version, 150, a), with_auth(1, version, 100, b)]);
    lan.run(ms(20_000));
    assert_eq!(lan.broken, None);
    match states(&lan)[..] {
        [Master, Backup] => true,
        [Master, Master] => false,
        _ => panic!("{:?}", states(&lan)),
    }
}

#[test]
fn who_understands_whom() {
    let pass = |text: &str| Auth::Pass(Secret::new(text));
    let ah = |text: &str| Auth::Ah(Secret::new(text));
    let v2 = Version::V2;
    assert!(agree(v2, pass("secret"), pass("secret")));
    assert!(!agree(v2, pass("secret"), pass("Secret")));
    assert!(!agree(v2, pass("secret"), Auth::None));
    assert!(agree(v2, ah("secret"), ah("secret")));
    assert!(!agree(v2, ah("secret"), ah("Secret")));
    assert!(!agree(v2, ah("secret"), pass("secret")));
    assert!(agree(Version::V3, pass("ignored"), Auth::None), "v3 has no authentication");

    for version in [Version::V2, Version::V3] {
        let both: &[(u8, &[u8])] = &[(1, OLD), (2, NEW)];
        let enforce = |active| hmac(HmacMode::Enforce, both, active);
        let permissive = hmac(HmacMode::Permissive, both, 1);
        let receive_only = hmac(HmacMode::ReceiveOnly, both, 1);
        assert!(agree(version, enforce(1), enforce(1)));
        assert!(agree(version, enforce(1), enforce(2)), "keys are rotated");
        assert!(!agree(version, enforce(1), hmac(HmacMode::Enforce, &[(2, NEW)], 2)));
        assert!(!agree(version, enforce(1), hmac(HmacMode::Enforce, &[(1, NEW)], 1)));
        assert!(!agree(version, Auth::None, enforce(1)));
        assert!(agree(version, enforce(1), permissive.clone()));
        assert!(!agree(version, permissive, Auth::None), "who does not know the trailer drops it");
        assert!(agree(version, receive_only.clone(), Auth::None));
        assert!(agree(version, enforce(1), receive_only.clone()));
        assert!(!agree(version, receive_only, enforce(1)), "unsigned is not enough for enforce");
    }
}

#[test]
fn clocks_too_far_apart_are_told() {
    let auth = hmac(HmacMode::Enforce, &[(1, OLD)], 1);
    for (seconds, accepted) in [(2, true), (4, true), (8, false)] {
        let routers = vec![
            with_auth(0, Version::V3, 150, auth.clone()),
            with_auth(1, Version::V3, 100, auth.clone()),
        ];
        let config = |router| Config { routers: vec![router], ..Config::default() };
        let mut lan = Lan::new(routers.into_iter().map(config).collect(), 1, 1);
        lan.set_clock(1, 0, Duration::ZERO, seconds * 1000);
        lan.boot(0);
        lan.boot(1);
        lan.run(ms(10_000));
        assert_eq!(states(&lan) == [Master, Backup], accepted, "{seconds} s");
        let warned = lan.nodes[1]
            .events
            .iter()
            .any(|(_, event)| matches!(event.kind, EventKind::ClockSkew { .. }));
        assert_eq!(warned, seconds == 4, "{seconds} s");
        if !accepted {
            assert!(matches!(rejections(&lan, 1)[..], [Rejection::HmacStale { .. }]));
        }
    }
}

fn now(millis: u64) -> Now {
    Now::new(Time::from_millis(millis), Duration::from_millis(1_700_000_000_000 + millis))
}

fn run_to(engine: &mut Engine, millis: u64) -> Vec<Transmit> {
    let mut sent = Vec::new();
    loop {
        while let Some(output) = engine.poll_output() {
            if let Output::Transmit(transmit) = output {
                sent.push(transmit);
            }
        }
        match engine.poll_timeout() {
            Some(at) if at <= Time::from_millis(millis) => {
                let unix = Duration::from_millis(1_700_000_000_000) + Duration::from_nanos(at.0);
                engine.handle_timeout(Now::new(at, unix));
            }
            _ => return sent,
        }
    }
}

fn single(config: RouterConfig) -> Engine {
    let mut engine = Engine::new(Config { routers: vec![config], ..Config::default() }, now(0));
    engine.handle(Input::Start, now(0));
    engine
}

fn hear(engine: &mut Engine, packet: &Transmit, millis: u64) -> Option<Rejection> {
    let datagram = Datagram::V4 { bytes: &packet.bytes };
    engine.handle(Input::Packet { interface: InterfaceId(1), datagram }, now(millis));
    let mut rejected = None;
    while let Some(output) = engine.poll_output() {
        if let Output::Event(event) = output
            && let EventKind::Rejected { reason, .. } = event.kind
        {
            rejected = Some(reason);
        }
    }
    rejected
}

#[test]
fn a_repeated_advert_is_old() {
    for auth in [Auth::Ah(Secret::new("secret")), hmac(HmacMode::Enforce, &[(1, OLD)], 1)] {
        let sent = run_to(&mut single(with_auth(0, Version::V2, 150, auth.clone())), 6000);
        assert!(sent.len() >= 2);
        let mut engine = single(with_auth(1, Version::V2, 100, auth));
        let id = engine.find(V).unwrap();
        assert_eq!(hear(&mut engine, &sent[1], 2000), None);
        let before = engine.router(id).unwrap().master_down_at;
        assert!(before.is_some());
        for packet in [&sent[1], &sent[0]] {
            let reason = hear(&mut engine, packet, 2500);
            let counted = engine.router(id).unwrap().statistics;
            assert!(counted.auth_failure + counted.auth_ext_replay > 0, "{reason:?}");
            assert_eq!(engine.router(id).unwrap().master_down_at, before);
        }
    }
}

/// A router that resumes with this AH sequence number as its last.
fn resumed(node: usize, priority: u8, sequence: u32, state: State) -> Engine {
    let config = with_auth(node, Version::V2, priority, Auth::Ah(Secret::new("secret")));
    let engine = single(config.clone());
    let id = engine.find(V).unwrap();
    let saved = SavedRouter { ah_sequence: sequence, state, ..engine.save(id).unwrap() };
    Engine::resume(Config { routers: vec![config], ..Config::default() }, &[saved], now(0))
}

fn sequence(packet: &Transmit) -> u32 {
    let ip = wire::ipv4::Packet::new_checked(&packet.bytes).unwrap();
    wire::ah::Packet::new_checked(ip.payload()).unwrap().sequence()
}

#[test]
fn at_the_end_of_the_numbers_the_master_yields_and_they_begin_anew() {
    let mut master = resumed(0, 150, 0xffff_fff8, Master);
    let mut backup = resumed(1, 100, 0xffff_fff8, Backup);
    let sent = run_to(&mut master, 6000);
    assert_eq!(sequence(sent.last().unwrap()), wire::ah::LAST_SEQUENCE);
    assert_eq!(master.state(master.find(V).unwrap()), Some(Backup), "silent");
    for (packet, at) in sent.iter().zip(1..) {
        assert_eq!(hear(&mut backup, packet, at), None);
    }
    let answer = run_to(&mut backup, 6000);
    assert_eq!(sequence(&answer[0]), 1);
    assert_eq!(hear(&mut master, &answer[0], 6000), None);
    let view = master.router(master.find(V).unwrap()).unwrap();
    assert_eq!(view.peers[0].priority, Some(100), "heard, if not accepted as master");
}

#[test]
fn ah_numbers_jump_at_a_resume() {
    let mut engine = resumed(0, 150, 1000, Master);
    let sent = run_to(&mut engine, 0);
    assert!(sequence(&sent[0]) > 60_000, "above whatever was sent since the state was saved");
}

#[test]
fn two_masters_with_many_peers_and_ah_find_together() {
    // With a number for each copy, the answer to one peer could be old for another.
    let routers = [150, 100, 50, 20]
        .into_iter()
        .enumerate()
        .map(|(node, priority)| {
            let auth = Auth::Ah(Secret::new("secret"));
            let mut config = with_auth(node, Version::V2, priority, auth);
            unicast(&mut config, node, 0, 4);
            config
        })
        .collect();
    let mut lan = lan(routers);
    lan.run(ms(10_000));
    // Node 1 is master of its part and counts on for longer.
    lan.faults[0].cell = vec![0, 1, 1, 1];
    lan.kill(0);
    lan.run(ms(60_000));
    lan.boot(0);
    lan.run(ms(10_000));
    assert_eq!(states(&lan)[..2], [Master, Master]);
    lan.faults[0].cell = vec![0; 4];
    lan.run(ms(3000));
    assert_eq!(states(&lan), [Master, Backup, Backup, Backup]);
}

#[test]
fn secrets_do_not_show() {
    let auth = hmac(HmacMode::Enforce, &[(1, OLD)], 1);
    let config = with_auth(0, Version::V3, 150, auth);
    let mut engine = single(config.clone());
    run_to(&mut engine, 5000);
    let shown = format!("{config:?} {engine:?}");
    assert!(!shown.contains("0123456789abcdef") && !shown.contains("48, 49, 50, 51, 52"));
    assert_eq!(
        engine.config(engine.find(V).unwrap()).unwrap().source,
        Some(address(0, 0, Family::V4))
    );
}
