//! The packets that Keepalived sends, byte for byte, in both directions: our engine sends the
//! same, and believes them. (Captured from Keepalived 2.2.7 and 2.4.3, source 10.9.0.1.)

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU8;
use std::time::Duration;

use vrrp::{
    AntiReplay, Auth, Config, Datagram, Engine, EventKind, Family, HmacConfig, HmacKey, HmacMode,
    Input, Interface, InterfaceId, Now, Output, RouterConfig, Secret, State, Time, Transmit,
    Transport, UnicastPeer, Version,
};

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// A router of Keepalived's captures, and the wall clock at the time.
fn capture(
    version: Version,
    vrid: u8,
    priority: u8,
    addresses: &[&str],
    change: impl FnOnce(&mut RouterConfig),
) -> RouterConfig {
    let interface = Interface { id: InterfaceId(1), name: "ka0".into() };
    let vrid = NonZeroU8::new(vrid).unwrap();
    let addresses: Vec<IpAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
    let mut config = RouterConfig::new("V", interface, version, Family::of(&addresses[0]), vrid);
    config.priority = NonZeroU8::new(priority).unwrap();
    config.source = Some(Ipv4Addr::new(10, 9, 0, 1).into());
    config.addresses = addresses;
    change(&mut config);
    config
}

fn unicast(peer: Ipv4Addr) -> Transport {
    let peer = UnicastPeer { address: peer.into(), min_ttl: None, max_ttl: None };
    Transport::Unicast { peers: vec![peer] }
}

fn hmac() -> Auth {
    let key =
        HmacKey { id: NonZeroU8::MIN, secret: Secret::new(*b"0123456789abcdef0123456789abcdef") };
    Auth::Hmac(HmacConfig {
        keys: vec![key],
        active_key: NonZeroU8::MIN,
        time_window: Duration::from_secs(5),
        anti_replay: AntiReplay::Time,
        mode: HmacMode::Enforce,
    })
}

/// When the signed advert was captured: seconds, and 1/65536 of a second.
fn signed_at() -> Duration {
    let fraction = 0xad52_u64 * 1_000_000_000;
    Duration::from_secs(0x6b01_6830) + Duration::from_nanos(fraction.div_ceil(65536))
}

fn cases() -> Vec<(&'static str, RouterConfig, Vec<u8>)> {
    let v6_source: Ipv6Addr = "fe80::eceb:c8ff:fe99:62e7".parse().unwrap();
    vec![
        (
            "v2 PASS",
            capture(Version::V2, 51, 150, &["10.9.0.100", "10.9.0.101"], |config| {
                config.auth = Auth::Pass(Secret::new(*b"secret12"));
            }),
            hex("21339602 0101c56f 0a090064 0a090065 7365637265743132"),
        ),
        (
            "v2 owner",
            capture(Version::V2, 58, 255, &["10.9.0.108"], |_| {}),
            hex("213aff01 0001d54d 0a09006c 0000000000000000"),
        ),
        (
            "v2 AH",
            capture(Version::V2, 55, 100, &["10.9.0.105"], |config| {
                config.auth = Auth::Ah(Secret::new(*b"secret12"));
            }),
            hex("70040000 0a090001 00000001 d4ef13d502502213da6d6d10
                 21376401 02016e54 0a090069 0000000000000000"),
        ),
        (
            "v3 multicast",
            capture(Version::V3, 53, 100, &["10.9.0.103"], |_| {}),
            hex("31356401 0064755c 0a090067"),
        ),
        (
            "v3 unicast",
            capture(Version::V3, 57, 100, &["10.9.0.107"], |config| {
                config.transport = unicast(Ipv4Addr::new(10, 9, 0, 2));
            }),
            hex("31396401 00644b5c 0a09006b"),
        ),
        (
            "v3_checksum_as_v2",
            capture(Version::V3, 54, 100, &["10.9.0.103"], |config| {
                config.v3_checksum_as_v2 = true;
            }),
            hex("31366401 00645ff4 0a090067"),
        ),
        (
            "v3 IPv6",
            capture(Version::V3, 52, 150, &["fe80::9:1", "2001:db8::9"], |config| {
                config.advert_interval = Duration::from_millis(500);
                config.source = Some(v6_source.into());
            }),
            hex("31349602 0032f6ae fe800000000000000000000000090001
                 20010db8000000000000000000000009"),
        ),
        (
            "auth_hmac",
            capture(Version::V3, 60, 100, &["10.9.0.110"], |config| config.auth = hmac()),
            hex("313c6401 0064754e 0a09006e
                 01010000 6b016830 ad520000 0238469d4a25e092e956c9b0baec1cfc"),
        ),
    ]
}

/// The first advert of a router.
fn first_advert(config: RouterConfig) -> Transmit {
    let config = Config { routers: vec![config], ..Config::default() };
    let mut engine = Engine::new(config, Now::new(Time::ZERO, signed_at()));
    engine.handle(Input::Start, Now::new(Time::ZERO, signed_at()));
    loop {
        let at = engine.poll_timeout().expect("a router alone becomes MASTER");
        engine.handle_timeout(Now::new(at, signed_at()));
        while let Some(output) = engine.poll_output() {
            if let Output::Transmit(transmit) = output {
                return transmit;
            }
        }
    }
}

#[test]
fn we_send_what_keepalived_sends() {
    for (name, config, payload) in cases() {
        let advert = first_advert(config.clone());
        let expected = match advert.src {
            IpAddr::V6(_) => payload,
            IpAddr::V4(_) => {
                let ip = wire::ipv4::Packet::new_checked(&advert.bytes).unwrap();
                assert_eq!((ip.tos(), ip.ttl(), ip.identification()), (0xc0, 255, 1), "{name}");
                assert!(!ip.dont_fragment() && ip.verify_checksum(), "{name}");
                [ip.header().to_vec(), payload].concat()
            }
        };
        if name == "v2 AH" {
            // The captured ICV covers an identification that was not written down.
            assert_eq!(advert.bytes[..32], expected[..32], "{name}");
            assert_eq!(advert.bytes[44..], expected[44..], "{name}");
        } else {
            assert_eq!(advert.bytes, expected, "{name}");
        }
        let ah = matches!(config.auth, Auth::Ah(_));
        assert_eq!(advert.protocol, if ah { 51 } else { 112 }, "{name}");
    }
}

/// A BACKUP of that router with a lower priority and another address, just started.
fn listener(mut config: RouterConfig) -> Engine {
    let (source, peer): (IpAddr, _) = match config.family {
        Family::V4 => ("10.9.0.2".parse().unwrap(), Ipv4Addr::new(10, 9, 0, 1)),
        Family::V6 => ("fe80::2".parse().unwrap(), Ipv4Addr::UNSPECIFIED),
    };
    config.source = Some(source);
    config.priority = NonZeroU8::new(50).unwrap();
    if config.transport.is_unicast() {
        config.transport = unicast(peer);
    }
    let config = Config { routers: vec![config], ..Config::default() };
    let mut engine = Engine::new(config, Now::new(Time::ZERO, signed_at()));
    engine.handle(Input::Start, Now::new(Time::ZERO, signed_at()));
    engine
}

fn hear(engine: &mut Engine, config: &RouterConfig, packet: &[u8]) {
    let group: IpAddr = match &config.transport {
        Transport::Multicast { group } => *group,
        Transport::Unicast { .. } => "10.9.0.2".parse().unwrap(),
    };
    let mut bytes = Vec::new();
    let datagram = match (config.source.unwrap(), group) {
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            Datagram::V6 { src, dst, hop_limit: 255, payload: packet }
        }
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let header = wire::ipv4::Repr {
                tos: 0xc0,
                identification: 1,
                dont_fragment: false,
                ttl: 255,
                protocol: if matches!(config.auth, Auth::Ah(_)) { 51 } else { 112 },
                source,
                destination,
                payload_len: packet.len(),
            };
            header.emit(&mut bytes).unwrap();
            bytes.extend_from_slice(packet);
            Datagram::V4 { bytes: &bytes }
        }
        _ => unreachable!("one family"),
    };
    let now = Now::new(Time::from_millis(100), signed_at());
    engine.handle(Input::Packet { interface: InterfaceId(1), datagram }, now);
}

#[test]
fn we_believe_what_keepalived_sends() {
    for (name, config, payload) in cases() {
        let mut engine = listener(config.clone());
        let id = engine.find("V").unwrap();
        // For AH the captured packet is complete with identification 1, as the first one sent.
        hear(&mut engine, &config, &payload);
        let view = engine.router(id).unwrap();
        let mut told = String::new();
        while let Some(output) = engine.poll_output() {
            if let Output::Event(event) = output
                && matches!(event.kind, EventKind::Rejected { .. })
            {
                told = event.to_string();
            }
        }
        let master = view.master.unwrap_or_else(|| panic!("{name}: {told}"));
        assert_eq!(master.address, config.source.unwrap(), "{name}");
        assert_eq!(master.priority, Some(config.priority.get()), "{name}");
        assert_eq!(view.state, State::Backup);
        // And with any bit changed it is not believed, except where no checksum covers it.
        if config.v3_checksum_as_v2 {
            continue;
        }
        for bit in 0..payload.len() * 8 {
            let mut changed = payload.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let mut engine = listener(config.clone());
            hear(&mut engine, &config, &changed);
            let view = engine.router(id).unwrap();
            assert_eq!(view.master, None, "{name}: bit {bit}");
        }
    }
}

#[test]
fn an_old_unicast_checksum_is_recognised_and_answered_in_kind() {
    let config = capture(Version::V3, 57, 100, &["10.9.0.107"], |config| {
        config.transport = unicast(Ipv4Addr::new(10, 9, 0, 2));
    });
    // As Keepalived 1.3.6: the pseudo-header names 224.0.0.18.
    let message = wire::vrrp::Repr {
        vrid: 57,
        priority: 100,
        addresses: wire::vrrp::Addresses::new(wire::Family::V4, config.addresses.clone()).unwrap(),
        body: wire::vrrp::Body::V3 {
            max_adver_int: wire::vrrp::Centiseconds::from_secs(1).unwrap(),
        },
    };
    let mut old = Vec::new();
    let (src, dst) = ("10.9.0.1".parse().unwrap(), "10.9.0.2".parse().unwrap());
    message.emit(wire::vrrp::ChecksumForm::PseudoHeaderOfGroup, src, dst, &mut old);
    let mut engine = listener(config.clone());
    hear(&mut engine, &config, &old);
    let id = engine.find("V").unwrap();
    assert!(engine.router(id).unwrap().master.is_some());
    let mut answer = None;
    while answer.is_none() {
        let at = engine.poll_timeout().unwrap();
        engine.handle_timeout(Now::new(at, signed_at()));
        while let Some(output) = engine.poll_output() {
            if let Output::Transmit(transmit) = output {
                answer = Some(transmit);
            }
        }
    }
    let answer = answer.unwrap();
    let packet = wire::vrrp::Packet::new_checked(&answer.bytes[20..], wire::Family::V4).unwrap();
    assert!(packet.verify_checksum(
        wire::vrrp::ChecksumForm::PseudoHeaderOfGroup,
        answer.src,
        answer.dst
    ));
}

#[test]
fn a_checksum_of_rfc_9568_is_named() {
    let config = capture(Version::V3, 54, 100, &["10.9.0.103"], |_| {});
    let mut engine = listener(config.clone());
    hear(&mut engine, &config, &hex("31366401 00645ff4 0a090067"));
    let mut told = Vec::new();
    while let Some(output) = engine.poll_output() {
        if let Output::Event(event) = output
            && matches!(event.kind, EventKind::Rejected { .. })
        {
            told.push((event.to_string(), event.hint().unwrap()));
        }
    }
    assert_eq!(told.len(), 1);
    assert!(told[0].0.contains("right for one without pseudo-header"), "{told:?}");
    assert!(told[0].1.contains("v3_checksum_as_v2"), "{told:?}");
}
