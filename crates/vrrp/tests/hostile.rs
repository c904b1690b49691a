//! Packets from people who mean no good: whatever is rejected changes no state and no timer.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU8;

use proptest::prelude::*;
use vrrp::{
    Auth, Config, Datagram, Engine, EventKind, Family, Input, Interface, InterfaceId, Now, Output,
    RouterConfig, RouterSnapshot, Secret, State, Statistics, Time, Version,
};
use wire::{ipv4, vrrp as codec};

const OURS: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const THEIRS: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
const VIP: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 51);

fn at(millis: u64) -> Now {
    let mono = Time::from_millis(millis);
    Now::new(mono, std::time::Duration::from_millis(1_700_000_000_000 + millis))
}

/// One router, MASTER or BACKUP, at 10 s.
fn engine(version: Version, family: Family, state: State, auth: Auth) -> Engine {
    let interface = Interface { id: InterfaceId(1), name: "eth0".into() };
    let vrid = NonZeroU8::new(51).unwrap();
    let mut config = RouterConfig::new("V", interface, version, family, vrid);
    config.auth = auth;
    (config.source, config.addresses) = match family {
        Family::V4 => (Some(OURS.into()), vec![VIP.into()]),
        Family::V6 => (Some("fe80::1".parse().unwrap()), vec!["fe80::51".parse().unwrap()]),
    };
    let mut engine = Engine::new(Config { routers: vec![config], ..Config::default() }, at(0));
    engine.handle(Input::Start, at(0));
    // Just before or just after the master-down time of priority 100.
    let now = if state == State::Master { 4000 } else { 3000 };
    while engine.poll_timeout().is_some_and(|due| due <= at(now).mono) {
        engine.handle_timeout(at(now));
    }
    while engine.poll_output().is_some() {}
    assert_eq!(engine.state(engine.find("V").unwrap()), Some(state));
    engine
}

fn view(engine: &Engine) -> RouterSnapshot {
    engine.router(engine.find("V").unwrap()).unwrap()
}

/// Feeds a packet that must be rejected: nothing but counters may change, and nothing is sent.
fn rejected(engine: &mut Engine, datagram: Datagram<'_>, now: Now) -> Statistics {
    let before = (view(engine), engine.poll_timeout());
    engine.handle(Input::Packet { interface: InterfaceId(1), datagram }, now);
    let mut after = (view(engine), engine.poll_timeout());
    let statistics = after.0.statistics;
    after.0.statistics = before.0.statistics;
    assert_eq!(before, after);
    while let Some(output) = engine.poll_output() {
        let told = matches!(
            &output,
            Output::Event(event) if matches!(
                event.kind,
                EventKind::Rejected { .. } | EventKind::PossibleLoop { .. }
            )
        );
        assert!(told, "a rejected packet caused {output:?}");
    }
    statistics
}

/// A right advert of a higher priority, to be spoiled.
fn advert(version: Version) -> Vec<u8> {
    let message = codec::Repr {
        vrid: 51,
        priority: 200,
        addresses: codec::Addresses::new(wire::Family::V4, [VIP.into()]).unwrap(),
        body: match version {
            Version::V2 => codec::Body::V2 {
                adver_int: 1,
                auth_type: codec::AuthType::None,
                auth_data: [0; 8],
            },
            Version::V3 => {
                codec::Body::V3 { max_adver_int: codec::Centiseconds::from_secs(1).unwrap() }
            }
        },
    };
    let mut bytes = Vec::new();
    packet_header(255, message.buffer_len()).emit(&mut bytes).unwrap();
    let form = codec::ChecksumForm::usual(version.number(), wire::Family::V4);
    message.emit(form, THEIRS.into(), codec::MULTICAST_V4.into(), &mut bytes);
    bytes
}

fn packet_header(ttl: u8, payload_len: usize) -> ipv4::Repr {
    ipv4::Repr {
        tos: 0xc0,
        identification: 7,
        dont_fragment: false,
        ttl,
        protocol: 112,
        source: THEIRS,
        destination: codec::MULTICAST_V4,
        payload_len,
    }
}

/// The same packet with another payload.
fn with_payload(ttl: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet_header(ttl, payload.len()).emit(&mut bytes).unwrap();
    bytes.extend_from_slice(payload);
    bytes
}

#[test]
fn the_right_advert_is_believed() {
    // Otherwise the tests below prove nothing.
    for version in [Version::V2, Version::V3] {
        let mut engine = engine(version, Family::V4, State::Master, Auth::None);
        let bytes = advert(version);
        let datagram = Datagram::V4 { bytes: &bytes };
        engine.handle(Input::Packet { interface: InterfaceId(1), datagram }, at(4100));
        assert_eq!(view(&engine).state, State::Backup);
    }
}

#[test]
fn each_way_of_being_wrong_has_its_counter() {
    type Spoil = fn(Version) -> Vec<u8>;
    type Counter = fn(&Statistics) -> u64;
    let cases: [(&str, Spoil, Counter); 7] = [
        ("TTL", |v| with_payload(254, &advert(v)[20..]), |s| s.ip_ttl_err),
        (
            "version",
            |v| advert(if v == Version::V2 { Version::V3 } else { Version::V2 }),
            |s| s.version_err + s.packet_len_err,
        ),
        ("short", |v| with_payload(255, &advert(v)[20..31]), |s| s.packet_len_err),
        (
            "long",
            |v| with_payload(255, &[&advert(v)[20..], &[0; 4]].concat()),
            |s| s.packet_len_err,
        ),
        (
            "type",
            |v| {
                let mut bytes = advert(v);
                bytes[20] = v.number() << 4 | 2;
                bytes
            },
            |s| s.invalid_type_rcvd,
        ),
        (
            "checksum",
            |v| {
                let mut bytes = advert(v);
                bytes[26] ^= 0x55;
                bytes
            },
            |s| s.checksum_err,
        ),
        (
            "unicast",
            |v| {
                let payload = advert(v)[20..].to_vec();
                let mut bytes = Vec::new();
                let header = ipv4::Repr { destination: OURS, ..packet_header(255, payload.len()) };
                header.emit(&mut bytes).unwrap();
                bytes.extend_from_slice(&payload);
                if v == Version::V3 {
                    // Its checksum covers the destination.
                    let view = codec::Packet::new_checked(&payload, wire::Family::V4).unwrap();
                    let sum = view.compute_checksum(
                        codec::ChecksumForm::PseudoHeader,
                        THEIRS.into(),
                        OURS.into(),
                    );
                    bytes[26..28].copy_from_slice(&sum.to_be_bytes());
                }
                bytes
            },
            |s| s.sender_err,
        ),
    ];
    for version in [Version::V2, Version::V3] {
        for state in [State::Master, State::Backup] {
            for (name, spoil, counter) in cases {
                let mut engine = engine(version, Family::V4, state, Auth::None);
                let bytes = spoil(version);
                let datagram = Datagram::V4 { bytes: &bytes };
                let statistics = rejected(&mut engine, datagram, at(4100));
                assert_eq!(statistics.advert_rcvd, 1, "{name} {version:?}");
                assert_eq!(counter(&statistics), 1, "{name} {version:?} {statistics:?}");
            }
        }
    }
}

#[test]
fn a_flood_of_bad_packets_neither_silences_a_master_nor_fills_the_log() {
    let mut engine = engine(Version::V2, Family::V4, State::Master, Auth::None);
    let mut bytes = advert(Version::V2);
    bytes[26] ^= 1;
    let (mut sent, mut told) = (0, 0);
    // 20 s, a bad packet every millisecond.
    for millis in 4001..24_001 {
        let now = at(millis);
        while engine.poll_timeout().is_some_and(|due| due <= now.mono) {
            engine.handle_timeout(now);
        }
        let datagram = Datagram::V4 { bytes: &bytes };
        engine.handle(Input::Packet { interface: InterfaceId(1), datagram }, now);
        while let Some(output) = engine.poll_output() {
            match output {
                Output::Transmit(_) => sent += 1,
                Output::Event(_) => told += 1,
                _ => {}
            }
        }
    }
    assert_eq!((sent, told), (20, 1));
    assert_eq!(view(&engine).state, State::Master);
}

#[test]
fn a_wrong_password_changes_nothing() {
    let auth = Auth::Pass(Secret::new(*b"secret12"));
    let mut engine = engine(Version::V2, Family::V4, State::Master, auth);
    let bytes = advert(Version::V2);
    let statistics = rejected(&mut engine, Datagram::V4 { bytes: &bytes }, at(4100));
    assert_eq!(statistics.authtype_mismatch, 1);
}

#[test]
fn a_router_in_fault_hears_nothing() {
    let mut engine = engine(Version::V2, Family::V4, State::Master, Auth::None);
    let router = engine.find("V").unwrap();
    engine.handle(Input::SourceAddress { router, address: None }, at(4050));
    while engine.poll_output().is_some() {}
    let bytes = advert(Version::V2);
    let statistics = rejected(&mut engine, Datagram::V4 { bytes: &bytes }, at(4100));
    assert_eq!(statistics.advert_rcvd, 0);
}

fn states() -> impl Strategy<Value = State> {
    prop_oneof![Just(State::Master), Just(State::Backup)]
}

fn versions() -> impl Strategy<Value = Version> {
    prop_oneof![Just(Version::V2), Just(Version::V3)]
}

proptest! {
    #[test]
    fn arbitrary_bytes_change_nothing(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        version in versions(),
        state in states(),
    ) {
        let mut engine = engine(version, Family::V4, state, Auth::None);
        rejected(&mut engine, Datagram::V4 { bytes: &bytes }, at(4100));
        let payload = with_payload(255, &bytes);
        rejected(&mut engine, Datagram::V4 { bytes: &payload }, at(4100));
    }

    #[test]
    fn arbitrary_payloads_for_our_vrid_change_nothing(
        mut payload in prop::collection::vec(any::<u8>(), 8..60),
        version in versions(),
        state in states(),
    ) {
        payload[0] = version.number() << 4 | 1;
        payload[1] = 51;
        let mut engine = engine(version, Family::V4, state, Auth::None);
        // One in 65,536 has a right checksum, and the right length besides.
        let view = codec::Packet::new_checked(&payload, wire::Family::V4).unwrap();
        let right = view.verify_checksum(
            codec::ChecksumForm::usual(version.number(), wire::Family::V4),
            THEIRS.into(),
            codec::MULTICAST_V4.into(),
        );
        prop_assume!(!right);
        let bytes = with_payload(255, &payload);
        rejected(&mut engine, Datagram::V4 { bytes: &bytes }, at(4100));
    }

    #[test]
    fn truncated_and_changed_adverts_change_nothing(
        version in versions(),
        state in states(),
        cut in 0usize..20,
        bit in 0usize..256,
    ) {
        let mut engine = engine(version, Family::V4, state, Auth::None);
        let good = advert(version);
        let payload = &good[20..];
        let short = with_payload(255, &payload[..payload.len().saturating_sub(cut + 1)]);
        rejected(&mut engine, Datagram::V4 { bytes: &short }, at(4100));
        let mut changed = payload.to_vec();
        let bit = bit % (changed.len() * 8);
        // Another VRID is not for us; everything else must be noticed.
        changed[bit / 8] ^= 1 << (bit % 8);
        rejected(&mut engine, Datagram::V4 { bytes: &with_payload(255, &changed) }, at(4100));
    }

    #[test]
    fn any_ttl_but_255_changes_nothing(ttl in 0u8..255, version in versions(), state in states()) {
        let mut engine = engine(version, Family::V4, state, Auth::None);
        let bytes = with_payload(ttl, &advert(version)[20..]);
        let statistics = rejected(&mut engine, Datagram::V4 { bytes: &bytes }, at(4100));
        prop_assert_eq!(statistics.ip_ttl_err, 1);
    }

    #[test]
    fn arbitrary_ipv6_changes_nothing(
        payload in prop::collection::vec(any::<u8>(), 0..200),
        src in any::<u128>(),
        dst in any::<u128>(),
        hop_limit in any::<u8>(),
        state in states(),
    ) {
        let mut engine = engine(Version::V3, Family::V6, state, Auth::None);
        let (src, dst) = (Ipv6Addr::from(src), Ipv6Addr::from(dst));
        rejected(&mut engine, Datagram::V6 { src, dst, hop_limit, payload: &payload }, at(4100));
    }

    /// Whoever speaks with our address does not exist.
    #[test]
    fn our_own_address_changes_nothing(version in versions(), state in states()) {
        let mut engine = engine(version, Family::V4, state, Auth::None);
        let mut bytes = advert(version);
        bytes[12..16].copy_from_slice(&OURS.octets());
        rejected(&mut engine, Datagram::V4 { bytes: &bytes }, at(4100));
    }
}

#[test]
fn every_field_of_a_saved_router_survives_json() {
    let engine = engine(Version::V3, Family::V4, State::Master, Auth::None);
    let saved = engine.save(engine.find("V").unwrap()).unwrap();
    let json = serde_json::to_string(&saved).unwrap();
    assert_eq!(serde_json::from_str::<vrrp::SavedRouter>(&json).unwrap(), saved);
    assert_eq!(saved.source, Some(IpAddr::from(OURS)));
    assert!(json.len() < 4096, "small: {}", json.len());
}
