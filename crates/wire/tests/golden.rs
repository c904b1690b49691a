//! Packets that real Keepalived put on the wire (2.2.7: PASS and IPv6; 2.4.3: the rest), read and
//! written. Every byte counts.

use std::net::{IpAddr, Ipv4Addr};

use wire::vrrp::{Addresses, AuthType, Body, Centiseconds, ChecksumForm, Packet, Repr, Type};
use wire::{Family, HardwareAddress, ah, arp, ethernet, hmac_ext, ipv4, ipv6, ndp, vrrp};

const SOURCE: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
const PEER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> =
        text.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_digit(16).unwrap()).collect();
    assert!(digits.len().is_multiple_of(2));
    digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}

fn v4(addresses: &[&str]) -> Addresses {
    Addresses::new(Family::V4, addresses.iter().map(|a| a.parse().unwrap())).unwrap()
}

fn v2(adver_int: u8, auth_type: AuthType, auth_data: &[u8; 8]) -> Body {
    Body::V2 { adver_int, auth_type, auth_data: *auth_data }
}

fn v3(centiseconds: u16) -> Body {
    Body::V3 { max_adver_int: Centiseconds::new(centiseconds).unwrap() }
}

/// One row: these bytes between these addresses mean this, and this gives these bytes.
#[track_caller]
fn both_ways(
    bytes: &[u8],
    source: IpAddr,
    destination: IpAddr,
    form: ChecksumForm,
    expected: &Repr,
) {
    let packet = Packet::new_checked(bytes, Family::of(&source)).unwrap();
    assert_eq!(packet.kind(), Type::Advertisement);
    packet.check_length_strict().unwrap();
    assert!(packet.verify_checksum(form, source, destination));
    assert_eq!(packet.checksum_form(source, destination), Some(form));
    assert_eq!(&Repr::parse(&packet).unwrap(), expected);

    let mut emitted = Vec::new();
    expected.emit(form, source, destination, &mut emitted);
    assert_eq!(emitted, bytes);
    assert_eq!(expected.buffer_len(), bytes.len());
}

#[test]
fn v2_pass() {
    both_ways(
        &hex("21339602 0101c56f 0a090064 0a090065 7365637265743132"),
        SOURCE.into(),
        vrrp::MULTICAST_V4.into(),
        ChecksumForm::Plain,
        &Repr {
            vrid: 51,
            priority: 150,
            addresses: v4(&["10.9.0.100", "10.9.0.101"]),
            body: v2(1, AuthType::Pass, b"secret12"),
        },
    );
}

#[test]
fn v2_owner_without_authentication_still_has_its_data() {
    both_ways(
        &hex("213aff01 0001d54d 0a09006c 0000000000000000"),
        SOURCE.into(),
        vrrp::MULTICAST_V4.into(),
        ChecksumForm::Plain,
        &Repr {
            vrid: 58,
            priority: 255,
            addresses: v4(&["10.9.0.108"]),
            body: v2(1, AuthType::None, &[0; 8]),
        },
    );
}

#[test]
fn v2_ah_payload() {
    both_ways(
        &hex("21376401 02016e54 0a090069 0000000000000000"),
        SOURCE.into(),
        vrrp::MULTICAST_V4.into(),
        ChecksumForm::Plain,
        &Repr {
            vrid: 55,
            priority: 100,
            addresses: v4(&["10.9.0.105"]),
            body: v2(1, AuthType::Ah, &[0; 8]),
        },
    );
}

#[test]
fn v2_ah_header() {
    let bytes = hex("70040000 0a090001 00000001 d4ef13d502502213da6d6d10");
    let header = ah::Packet::new_checked(&bytes).unwrap();
    let repr = ah::Repr::parse(&header);
    let mut icv = [0; ah::ICV_LEN];
    icv.copy_from_slice(&bytes[12..]);
    assert_eq!(repr, ah::Repr { icv, ..ah::Repr::of_advert(SOURCE, 1) });
    let mut emitted = Vec::new();
    repr.emit(&mut emitted);
    assert_eq!(emitted, bytes);
}

#[test]
fn v3_multicast() {
    both_ways(
        &hex("31356401 0064755c 0a090067"),
        SOURCE.into(),
        vrrp::MULTICAST_V4.into(),
        ChecksumForm::PseudoHeader,
        &Repr { vrid: 53, priority: 100, addresses: v4(&["10.9.0.103"]), body: v3(100) },
    );
}

#[test]
fn v3_unicast() {
    both_ways(
        &hex("31396401 00644b5c 0a09006b"),
        SOURCE.into(),
        PEER.into(),
        ChecksumForm::PseudoHeader,
        &Repr { vrid: 57, priority: 100, addresses: v4(&["10.9.0.107"]), body: v3(100) },
    );
}

#[test]
fn v3_checksum_as_v2() {
    both_ways(
        &hex("31366401 00645ff4 0a090067"),
        SOURCE.into(),
        vrrp::MULTICAST_V4.into(),
        ChecksumForm::Plain,
        &Repr { vrid: 54, priority: 100, addresses: v4(&["10.9.0.103"]), body: v3(100) },
    );
}

#[test]
fn v3_ipv6() {
    both_ways(
        &hex("31349602 0032f6ae fe800000000000000000000000090001 20010db8000000000000000000000009"),
        "fe80::eceb:c8ff:fe99:62e7".parse().unwrap(),
        vrrp::MULTICAST_V6.into(),
        ChecksumForm::PseudoHeader,
        &Repr {
            vrid: 52,
            priority: 150,
            addresses: Addresses::new(
                Family::V6,
                ["fe80::9:1".parse().unwrap(), "2001:db8::9".parse().unwrap()],
            )
            .unwrap(),
            body: v3(50),
        },
    );
}

#[test]
fn v3_with_hmac_trailer() {
    let pdu = hex("313c6401 0064754e 0a09006e");
    both_ways(
        &pdu,
        SOURCE.into(),
        vrrp::MULTICAST_V4.into(),
        ChecksumForm::PseudoHeader,
        &Repr { vrid: 60, priority: 100, addresses: v4(&["10.9.0.110"]), body: v3(100) },
    );
    let trailer = hex("01 01 0000 6b016830 ad52 0000 0238469d4a25e092e956c9b0baec1cfc");
    let bytes = [pdu, trailer.clone()].concat();

    let packet = Packet::new_checked(&bytes, Family::V4).unwrap();
    assert!(packet.check_length_strict().is_err());
    packet.check_length().unwrap();
    assert_eq!(packet.trailing(), trailer);
    // The checksum does not cover the trailer.
    assert!(packet.verify_checksum(
        ChecksumForm::PseudoHeader,
        SOURCE.into(),
        vrrp::MULTICAST_V4.into()
    ));

    let view = hmac_ext::Trailer::new_checked(packet.trailing()).unwrap();
    let repr = hmac_ext::Repr::parse(&view).unwrap();
    assert_eq!(repr.key_id, 1);
    assert_eq!(repr.stamp, hmac_ext::Stamp { seconds: 0x6b01_6830, fraction: 0xad52, counter: 0 });
    let key = hmac_ext::Key::new(*b"0123456789abcdef0123456789abcdef");
    assert!(key.verify(SOURCE.into(), &packet, &view));
    assert_eq!(key.sign(SOURCE.into(), &packet, 1, repr.stamp), repr);
    let mut emitted = Vec::new();
    repr.emit(&mut emitted);
    assert_eq!(emitted, trailer);

    // Another sender, another key, a priority forged on the way: no.
    assert!(!key.verify(PEER.into(), &packet, &view));
    assert!(!hmac_ext::Key::new(*b"0123456789abcdef").verify(SOURCE.into(), &packet, &view));
    let mut forged = bytes.clone();
    forged[2] = 200;
    let forged = Packet::new_checked(&forged, Family::V4).unwrap();
    assert!(!key.verify(SOURCE.into(), &forged, &view));
}

/// The AH row as the datagram it came in: the first of its sender, password "secret12".
#[test]
fn ah_multicast_datagram() {
    let key = ah::Key::new(*b"secret12");
    let mut datagram = Vec::new();
    ipv4::Repr {
        tos: vrrp::TRAFFIC_CLASS,
        identification: 1,
        dont_fragment: false,
        ttl: vrrp::TTL,
        protocol: ah::PROTOCOL,
        source: SOURCE,
        destination: vrrp::MULTICAST_V4,
        payload_len: 44,
    }
    .emit(&mut datagram)
    .unwrap();
    ah::Repr::of_advert(SOURCE, 1).emit(&mut datagram);
    datagram.extend(hex("21376401 02016e54 0a090069 0000000000000000"));
    key.seal(&mut datagram).unwrap();
    assert_eq!(datagram[20..44], hex("70040000 0a090001 00000001 d4ef13d502502213da6d6d10"));
    assert!(key.verify(&ipv4::Packet::new_checked(&datagram).unwrap()));
}

// Whole frames, heard from 2.2.7.

/// The frame's header, and the rest emitted by `emit` must give the frame again.
#[track_caller]
fn frame_both_ways(frame: &[u8], emit: impl FnOnce(&mut Vec<u8>)) {
    let mut emitted = Vec::new();
    ethernet::Repr::parse(&ethernet::Packet::new_checked(frame).unwrap()).emit(&mut emitted);
    emit(&mut emitted);
    assert_eq!(emitted, frame);
}

#[track_caller]
fn ah_frame(frame: &[u8], password: [u8; 8], advert: &Repr) {
    let ip = ipv4::Packet::new_checked(&frame[ethernet::HEADER_LEN..]).unwrap();
    let key = ah::Key::new(password);
    assert!(key.verify(&ip));
    assert!(!ah::Key::new(*b"whatever").verify(&ip));

    let header = ipv4::Repr::parse(&ip).unwrap();
    assert_eq!((header.tos, header.ttl, header.dont_fragment), (0xc0, 255, false));
    assert_eq!(header.identification, 1);
    let ah = ah::Packet::new_checked(ip.payload()).unwrap();
    assert_eq!(ah.sequence(), 1);
    let (source, destination) = (ip.source().into(), ip.destination().into());
    both_ways(ah.payload(), source, destination, ChecksumForm::Plain, advert);

    frame_both_ways(frame, |out| {
        header.emit(out).unwrap();
        ah::Repr::of_advert(header.source, 1).emit(out);
        advert.emit(ChecksumForm::Plain, source, destination, out);
        key.seal(&mut out[ethernet::HEADER_LEN..]).unwrap();
    });
}

#[test]
fn ah_multicast_frame_keeps_the_ttl() {
    ah_frame(
        &hex("01005e000012 d29b97f296f5 0800
              45c0004000010000ff33b082c6336401e0000012
              70040000c633640100000001f432c2d4f3f67f00f42c3821
              213764010201 4e29 c6336469 0000000000000000"),
        *b"ahkey123",
        &Repr {
            vrid: 55,
            priority: 100,
            addresses: v4(&["198.51.100.105"]),
            body: v2(1, AuthType::Ah, &[0; 8]),
        },
    );
}

#[test]
fn ah_unicast_frame_mutes_the_ttl() {
    ah_frame(
        &hex("b6853a71f68f d29b97f296f5 0800
              45c0004000010000ff33665fc6336401c6336402
              70040000c633640100000001ed882477c34be96b673dee4a
              213878010201 3a27 c633646a 0000000000000000"),
        *b"short\0\0\0",
        &Repr {
            vrid: 56,
            priority: 120,
            addresses: v4(&["198.51.100.106"]),
            body: v2(1, AuthType::Ah, &[0; 8]),
        },
    );
}

#[test]
fn v3_unicast_frame() {
    let frame = hex("b6853a71f68f d29b97f296f5 0800
                     45c0002000010000ff706642c6336401c6336402
                     313a78010064d6d8c633646c");
    let ip = ipv4::Packet::new_checked(&frame[14..]).unwrap();
    assert!(ip.verify_checksum());
    let advert =
        Repr { vrid: 58, priority: 120, addresses: v4(&["198.51.100.108"]), body: v3(100) };
    let (source, destination) = (ip.source().into(), ip.destination().into());
    both_ways(ip.payload(), source, destination, ChecksumForm::PseudoHeader, &advert);
    frame_both_ways(&frame, |out| {
        ipv4::Repr::parse(&ip).unwrap().emit(out).unwrap();
        advert.emit(ChecksumForm::PseudoHeader, source, destination, out);
    });
}

#[test]
fn v3_ipv6_frame() {
    let frame = hex("333300000012 d29b97f296f5 86dd
                     6c03c3ba002870fffe80000000000000d09b97fffef296f5
                     ff020000000000000000000000000012
                     31397802 00642cc6 fe800000000000000000000000000057
                     20010db8000000000000000000000057");
    let ip = ipv6::Packet::new_checked(&frame[14..]).unwrap();
    assert_eq!(ip.traffic_class(), vrrp::TRAFFIC_CLASS);
    assert_eq!(ip.flow_label(), 0x3c3ba);
    assert_eq!((ip.next_header(), ip.hop_limit()), (vrrp::PROTOCOL, vrrp::TTL));
    assert_eq!(ip.destination(), vrrp::MULTICAST_V6);
    assert_eq!(frame[..6], ethernet::multicast_v6(vrrp::MULTICAST_V6));
    let advert = Repr {
        vrid: 57,
        priority: 120,
        addresses: Addresses::new(
            Family::V6,
            ["fe80::57".parse().unwrap(), "2001:db8::57".parse().unwrap()],
        )
        .unwrap(),
        body: v3(100),
    };
    let (source, destination) = (ip.source().into(), ip.destination().into());
    both_ways(ip.payload(), source, destination, ChecksumForm::PseudoHeader, &advert);
    frame_both_ways(&frame, |out| {
        ipv6::Repr::parse(&ip).emit(out).unwrap();
        advert.emit(ChecksumForm::PseudoHeader, source, destination, out);
    });
}

#[test]
fn gratuitous_arp_frame() {
    let frame = hex("ffffffffffff d29b97f296f5 0806
                     00010800060400 01 d29b97f296f5 c633646a ffffffffffff c633646a");
    let sender = HardwareAddress::Ethernet([0xd2, 0x9b, 0x97, 0xf2, 0x96, 0xf5]);
    let vip = Ipv4Addr::new(198, 51, 100, 106);
    let expected =
        arp::Repr::gratuitous_request(sender, HardwareAddress::ETHERNET_BROADCAST, vip).unwrap();
    let packet = arp::Packet::new_checked(&frame[14..]).unwrap();
    assert_eq!(arp::Repr::parse(&packet).unwrap(), expected);
    assert_eq!(expected.buffer_len(), 28);
    frame_both_ways(&frame, |out| expected.emit(out));
}

#[test]
fn unsolicited_neighbor_advertisement_frame() {
    let frame = hex("333300000001 d29b97f296f5 86dd
                     6000000000203afffe800000000000000000000000000057
                     ff020000000000000000000000000001
                     8800576c20000000fe800000000000000000000000000057 0201d29b97f296f5");
    let ip = ipv6::Packet::new_checked(&frame[14..]).unwrap();
    let sender = HardwareAddress::Ethernet([0xd2, 0x9b, 0x97, 0xf2, 0x96, 0xf5]);
    let vip = "fe80::57".parse().unwrap();
    let expected = ndp::Repr::unsolicited(vip, sender, false);
    let packet = ndp::Packet::new_checked(ip.payload()).unwrap();
    assert!(packet.verify_checksum(ip.source(), ip.destination()));
    assert_eq!(ndp::Repr::parse(&packet).unwrap(), expected);
    let header = ipv6::Repr::parse(&ip);
    assert_eq!((header.source, header.destination), (vip, ndp::ALL_NODES));
    assert_eq!((header.next_header, header.hop_limit), (ndp::PROTOCOL, ndp::HOP_LIMIT));
    assert_eq!(header.payload_len, expected.buffer_len());
    frame_both_ways(&frame, |out| {
        header.emit(out).unwrap();
        expected.emit(vip, ndp::ALL_NODES, out);
    });
}

/// Version 2 over IPv6, which no RFC describes, as Keepalived 2.2.7 sends it when told
/// `version 2`: an authentication type without data, and the kernel's checksum.
#[test]
fn version_2_over_ipv6() {
    let bytes = [
        0x21, 0x47, 0x64, 0x01, 0x01, 0x01, 0xe2, 0x65, 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0x71,
    ];
    let source: std::net::IpAddr = "fe80::cc5e:54ff:fe8a:4b1f".parse().unwrap();
    let group: std::net::IpAddr = "ff02::12".parse().unwrap();
    let packet = wire::vrrp::Packet::new_checked(&bytes, wire::Family::V6).unwrap();
    packet.check_length_strict().unwrap();
    let usual = wire::vrrp::ChecksumForm::usual(2, wire::Family::V6);
    assert!(packet.verify_checksum(usual, source, group));
    assert_eq!(packet.auth_data(), None);
    let repr = wire::vrrp::Repr::parse(&packet).unwrap();
    let mut out = Vec::new();
    repr.emit(usual, source, group, &mut out);
    assert_eq!(out, bytes);
}
