//! Corners of the single formats: limits, unknown code points, what is refused and why, how it reads.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use wire::vrrp::{Addresses, AuthType, Body, Centiseconds, ChecksumForm, Packet, Repr, Type};
use wire::{
    Error, Family, Format, HardwareAddress, ah, arp, ethernet, hmac_ext, ipv4, ipv6, ndp, pcap,
    pretty, vrrp,
};

const SOURCE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const PEER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);

fn advert(body: Body) -> Repr {
    let vip = IpAddr::from([198, 51, 100, 100]);
    let addresses = Addresses::new(Family::V4, [vip]).unwrap();
    Repr { vrid: 51, priority: 150, addresses, body }
}

fn v2_pass() -> Body {
    Body::V2 { adver_int: 1, auth_type: AuthType::Pass, auth_data: *b"secret12" }
}

fn v3() -> Body {
    Body::V3 { max_adver_int: Centiseconds::from_secs(1).unwrap() }
}

fn emitted(repr: &Repr, form: ChecksumForm) -> Vec<u8> {
    let mut out = Vec::new();
    repr.emit(form, SOURCE.into(), PEER.into(), &mut out);
    out
}

#[test]
fn unknown_code_points_survive() {
    let mut bytes = emitted(&advert(v2_pass()), ChecksumForm::Plain);
    bytes[0] = 0x97;
    bytes[4] = 77;
    let packet = Packet::new_checked(&bytes, Family::V4).unwrap();
    assert_eq!(packet.version(), 9);
    assert_eq!(packet.kind(), Type::Unknown(7));
    assert_eq!(packet.auth_type(), AuthType::Unknown(77));
    assert_eq!(Repr::parse(&packet), Err(Error::BadType { format: Format::Vrrp, got: 7 }));
    bytes[0] = 0x91;
    let packet = Packet::new_checked(&bytes, Family::V4).unwrap();
    assert_eq!(Repr::parse(&packet), Err(Error::BadVersion { format: Format::Vrrp, got: 9 }));

    for value in 0..=u8::MAX {
        assert_eq!(u8::from(AuthType::from(value)), value);
    }
    for value in 0..=u16::MAX {
        assert_eq!(u16::from(ethernet::EtherType::from(value)), value);
        assert_eq!(u16::from(arp::Operation::from(value)), value);
    }
}

#[test]
fn reserved_bits_do_not_lengthen_the_interval() {
    let mut bytes = emitted(&advert(v3()), ChecksumForm::PseudoHeader);
    bytes[4] |= 0xf0;
    let packet = Packet::new_checked(&bytes, Family::V4).unwrap();
    assert_eq!(packet.reserved(), 0xf);
    assert_eq!(packet.max_adver_int().get(), 100);
    assert_eq!(packet.interval(), Duration::from_secs(1));
}

#[test]
fn the_interval_is_seconds_in_v2_and_centiseconds_in_v3() {
    let bytes = emitted(&advert(v2_pass()), ChecksumForm::Plain);
    let packet = Packet::new_checked(&bytes, Family::V4).unwrap();
    assert_eq!(packet.interval(), Duration::from_secs(1));

    assert_eq!(Centiseconds::new(4095), Some(Centiseconds::MAX));
    assert_eq!(Centiseconds::new(4096), None);
    assert_eq!(Centiseconds::from_secs(40).map(Centiseconds::get), Some(4000));
    assert_eq!(Centiseconds::from_secs(41), None);
    assert_eq!(Centiseconds::from_secs(u16::MAX), None);
    let from = |millis| Centiseconds::from_duration(Duration::from_millis(millis));
    assert_eq!(from(509).map(Centiseconds::get), Some(50));
    assert_eq!(from(40_959), Some(Centiseconds::MAX));
    assert_eq!(from(40_960), None);
    assert_eq!(Centiseconds::from_duration(Duration::MAX), None);
    assert_eq!(Centiseconds::MAX.as_duration(), Duration::from_millis(40_950));
}

#[test]
fn lengths_follow_version_count_and_family() {
    let check = |version: u8, count: u8, family, expected: usize| {
        let bytes = [version << 4 | 1, 1, 100, count, 0, 1, 0, 0];
        let packet = Packet::new_checked(&bytes, family).unwrap();
        assert_eq!(packet.strict_len(), expected);
        let needed = expected;
        let short = Error::Truncated { format: Format::Vrrp, needed, got: 8 };
        let verdict = if expected > 8 { Err(short) } else { Ok(()) };
        assert_eq!(packet.check_length(), verdict);
        assert_eq!(packet.addresses().len(), 0);
    };
    check(2, 0, Family::V4, 16);
    check(2, 1, Family::V4, 20);
    check(2, 1, Family::V6, 24);
    check(3, 0, Family::V4, 8);
    check(3, 255, Family::V4, 1028);
    check(3, 255, Family::V6, 4088);
}

#[test]
fn an_advert_carries_255_addresses_of_one_family() {
    let many = |n: u32| (0..n).map(|i| IpAddr::from(Ipv4Addr::from(0xc633_6400 + i)));
    assert_eq!(Addresses::new(Family::V4, many(255)).unwrap().as_slice().len(), 255);
    assert_eq!(
        Addresses::new(Family::V4, many(256)),
        Err(Error::TooMany { format: Format::Vrrp, limit: 255, got: 256 })
    );
    assert_eq!(Addresses::new(Family::V6, many(1)), Err(Error::WrongFamily(Format::Vrrp)));
    assert_eq!(Addresses::new(Family::V6, []).unwrap().family(), Family::V6);
}

#[test]
fn what_fits_into_an_mtu_fits() {
    for family in [Family::V4, Family::V6] {
        for version in [2, 3] {
            for mtu in 0..5000 {
                let n = Addresses::capacity(family, version, mtu, hmac_ext::TRAILER_LEN);
                let ip = if family == Family::V4 { 20 } else { 40 };
                let auth = if version == 2 && family == Family::V4 { 8 } else { 0 };
                let len = |n: usize| ip + 8 + n * family.address_len() + auth + 28;
                assert!(n == 0 || len(n) <= mtu, "{family} v{version} {mtu}");
                assert!(n == 255 || len(n + 1) > mtu, "{family} v{version} {mtu}");
            }
        }
    }
}

#[test]
fn the_receiver_learns_which_checksum_a_peer_makes() {
    let form_of = |bytes: &[u8], destination: Ipv4Addr| {
        let packet = Packet::new_checked(bytes, Family::V4).unwrap();
        packet.checksum_form(SOURCE.into(), destination.into())
    };
    for form in ChecksumForm::ALL {
        let bytes = emitted(&advert(v3()), form);
        assert_eq!(form_of(&bytes, PEER), Some(form));
    }
    // To the group itself the old form and the usual one are the same.
    let mut bytes = Vec::new();
    let group = vrrp::MULTICAST_V4;
    advert(v3()).emit(ChecksumForm::PseudoHeaderOfGroup, SOURCE.into(), group.into(), &mut bytes);
    assert_eq!(form_of(&bytes, group), Some(ChecksumForm::PseudoHeader));
    bytes[7] ^= 1;
    assert_eq!(form_of(&bytes, group), None);
}

#[test]
fn both_zeroes_of_ones_complement_are_right() {
    // Priority and VRID chosen so that everything but the checksum sums to 0xffff.
    let bytes = [0x31, 0xff, 0xce, 0x00, 0x00, 0x00, 0, 0];
    for checksum in [[0, 0], [0xff, 0xff]] {
        let mut bytes = bytes;
        bytes[6..].copy_from_slice(&checksum);
        let packet = Packet::new_checked(&bytes, Family::V4).unwrap();
        assert!(packet.verify_checksum(ChecksumForm::Plain, SOURCE.into(), PEER.into()));
    }
}

/// Signed adverts over IPv6, whose checksum the kernel makes over all that it is given.
#[test]
fn the_kernels_checksum_covers_the_trailer_and_leaves_the_mac_alone() {
    let (source, group) = ("fe80::1".parse().unwrap(), vrrp::MULTICAST_V6.into());
    let vip = "fe80::100".parse().unwrap();
    let addresses = Addresses::new(Family::V6, [vip]).unwrap();
    let mut bytes = Vec::new();
    let repr = Repr { addresses, ..advert(v3()) };
    repr.emit(ChecksumForm::PseudoHeader, source, group, &mut bytes);
    let packet = Packet::new_checked(&bytes, Family::V6).unwrap();
    // Without a trailer there is no difference.
    assert!(packet.verify_checksum_with_trailing(source, group));

    let key = hmac_ext::Key::new([7; 32]);
    key.sign(source, &packet, 1, hmac_ext::Stamp::default()).emit(&mut bytes);
    assert!(
        !Packet::new_checked(&bytes, Family::V6)
            .unwrap()
            .verify_checksum_with_trailing(source, group)
    );
    vrrp::set_checksum_with_trailing(&mut bytes, source, group).unwrap();
    let packet = Packet::new_checked(&bytes, Family::V6).unwrap();
    assert!(packet.verify_checksum_with_trailing(source, group));
    assert!(!packet.verify_checksum(ChecksumForm::PseudoHeader, source, group));
    let trailer = hmac_ext::Trailer::new_checked(packet.trailing()).unwrap();
    assert!(key.verify(source, &packet, &trailer));
    assert!(vrrp::set_checksum_with_trailing(&mut bytes[..7], source, group).is_err());
}

#[test]
fn passwords_are_compared_but_never_printed() {
    let repr = advert(v2_pass());
    let bytes = emitted(&repr, ChecksumForm::Plain);
    let packet = Packet::new_checked(&bytes, Family::V4).unwrap();
    assert!(packet.auth_data_is(b"secret12"));
    assert!(!packet.auth_data_is(b"secret13"));
    let cut = Packet::new_checked(&bytes[..19], Family::V4).unwrap();
    assert_eq!(cut.auth_data(), None);
    assert!(!cut.auth_data_is(b"secret12"));

    let key = ah::Key::new(*b"secret12");
    let long = hmac_ext::Key::new(*b"secret12");
    let printed = format!("{packet} {packet:?} {repr:?} {key:?} {long:?}");
    // Neither as text nor as a list of numbers.
    assert!(!printed.contains("secret") && !printed.contains("115, 101"), "{printed}");
}

#[test]
fn v3_has_no_authentication_data() {
    let mut bytes = emitted(&advert(v3()), ChecksumForm::PseudoHeader);
    bytes.extend(b"secret12");
    let packet = Packet::new_checked(&bytes, Family::V4).unwrap();
    assert_eq!(packet.auth_data(), None);
}

#[test]
fn virtual_macs() {
    assert_eq!(vrrp::virtual_mac(Family::V4, 51), [0, 0, 0x5e, 0, 1, 51]);
    assert_eq!(vrrp::virtual_mac(Family::V6, 255), [0, 0, 0x5e, 0, 2, 255]);
}

fn ipv4_bytes(payload_len: usize) -> Vec<u8> {
    let mut out = Vec::new();
    ipv4::Repr {
        tos: 0xc0,
        identification: 1,
        dont_fragment: false,
        ttl: 255,
        protocol: 112,
        source: SOURCE,
        destination: PEER,
        payload_len,
    }
    .emit(&mut out)
    .unwrap();
    out.resize(20 + payload_len, 0);
    out
}

#[test]
fn ipv4_refuses_what_contradicts_itself() {
    let refused = |change: fn(&mut Vec<u8>)| {
        let mut bytes = ipv4_bytes(8);
        change(&mut bytes);
        ipv4::Packet::new_checked(&bytes).unwrap_err()
    };
    let format = Format::Ipv4;
    assert_eq!(refused(|b| b[0] = 0x65), Error::BadVersion { format, got: 6 });
    assert_eq!(refused(|b| b[0] = 0x44), Error::BadLength { format, got: 16 });
    assert_eq!(refused(|b| b[0] = 0x4f), Error::BadLength { format, got: 60 });
    assert_eq!(refused(|b| b[3] = 19), Error::BadLength { format, got: 20 });
    assert_eq!(refused(|b| b[3] = 29), Error::Truncated { format, needed: 29, got: 28 });
    assert_eq!(refused(Vec::clear), Error::Truncated { format, needed: 20, got: 0 });
}

#[test]
fn fragments_are_seen_but_have_no_repr() {
    for flags in [[0x20, 0x00], [0x00, 0x05]] {
        let mut bytes = ipv4_bytes(8);
        bytes[6..8].copy_from_slice(&flags);
        let packet = ipv4::Packet::new_checked(&bytes).unwrap();
        assert_eq!(packet.fragment_offset(), if flags[1] == 5 { 40 } else { 0 });
        assert_eq!(ipv4::Repr::parse(&packet), Err(Error::Fragment(Format::Ipv4)));
    }
}

#[test]
fn over_long_datagrams_are_not_emitted() {
    let mut out = Vec::new();
    let ip = ipv4::Repr::parse(&ipv4::Packet::new_checked(&ipv4_bytes(0)).unwrap()).unwrap();
    ipv4::Repr { payload_len: 65_515, ..ip }.emit(&mut out).unwrap();
    out.clear();
    let error = ipv4::Repr { payload_len: 65_516, ..ip }.emit(&mut out).unwrap_err();
    assert_eq!(error, Error::TooMany { format: Format::Ipv4, limit: 65_535, got: 65_536 });
    let error = ipv4::Repr { payload_len: usize::MAX, ..ip }.emit(&mut out).unwrap_err();
    assert!(matches!(error, Error::TooMany { .. }));
    let header = ipv6::Repr {
        traffic_class: 0,
        flow_label: 0,
        next_header: 58,
        hop_limit: 255,
        source: ndp::ALL_NODES,
        destination: ndp::ALL_NODES,
        payload_len: 65_536,
    };
    assert!(header.emit(&mut out).is_err());
    assert!(out.is_empty());
}

#[test]
fn ah_knows_only_its_own_length_and_protocol() {
    let mut bytes = Vec::new();
    ah::Repr::of_advert(SOURCE, 1).emit(&mut bytes);
    bytes[1] = 5;
    assert_eq!(
        ah::Packet::new_checked(&bytes).unwrap_err(),
        Error::BadLength { format: Format::Ah, got: 28 }
    );
    let key = ah::Key::new(*b"secret12");
    let mut vrrp = ipv4_bytes(30);
    assert_eq!(key.seal(&mut vrrp), Err(Error::BadType { format: Format::Ah, got: 112 }));
    assert!(!key.verify(&ipv4::Packet::new_checked(&vrrp).unwrap()));
}

#[test]
fn a_trailer_with_odd_fixed_fields_is_not_well_formed() {
    let mut good = Vec::new();
    hmac_ext::Repr { key_id: 1, stamp: hmac_ext::Stamp::default(), mac: [0; 16] }.emit(&mut good);
    assert!(hmac_ext::Trailer::new_checked(&good).unwrap().is_well_formed());
    for at in [0, 2, 3] {
        let mut bytes = good.clone();
        bytes[at] ^= 0x80;
        let trailer = hmac_ext::Trailer::new_checked(&bytes).unwrap();
        assert!(!trailer.is_well_formed());
        assert!(hmac_ext::Repr::parse(&trailer).is_err());
    }
}

#[test]
fn stamps_keep_the_time() {
    let at = Duration::new(1_795_000_000, 677_032_470);
    let stamp = hmac_ext::Stamp::new(at, 3);
    assert_eq!(stamp.fraction, 44_369);
    let error = at - stamp.since_epoch();
    assert!(error < Duration::from_micros(16));
    // Just before and just after a full second.
    let before = hmac_ext::Stamp::new(Duration::new(9, 999_999_999), u16::MAX);
    let after = hmac_ext::Stamp::new(Duration::from_secs(10), 0);
    assert_eq!((before.fraction, after.fraction), (u16::MAX, 0));
    assert!(before < after);
}

const MAC: HardwareAddress = HardwareAddress::Ethernet([2, 0, 0, 0, 0, 1]);

#[test]
fn arp_announcements() {
    let infiniband = HardwareAddress::Infiniband([7; 20]);
    assert_eq!(
        arp::Repr::gratuitous_request(infiniband, HardwareAddress::ETHERNET_BROADCAST, SOURCE),
        None
    );
    let repr = arp::Repr::gratuitous_reply(infiniband, SOURCE);
    assert!(repr.is_gratuitous());
    let mut out = Vec::new();
    repr.emit(&mut out);
    assert_eq!(out.len(), 56);
    assert_eq!(out[..8], [0, 32, 8, 0, 20, 4, 0, 2]);
    assert_eq!(out[8..28], [7; 20]);
    assert_eq!(out[32..52], [7; 20]);

    // Hardware type and length must agree.
    out[1] = 1;
    let packet = arp::Packet::new_checked(&out).unwrap();
    assert_eq!(arp::Repr::parse(&packet), Err(Error::BadType { format: Format::Arp, got: 1 }));
    out[2] = 0x86;
    let packet = arp::Packet::new_checked(&out).unwrap();
    let error = Error::BadType { format: Format::Arp, got: 0x8600 };
    assert_eq!(arp::Repr::parse(&packet), Err(error));
    assert!(!packet.to_string().is_empty());
}

#[test]
fn arp_of_other_lengths_is_viewed_only() {
    let bytes = [0, 1, 8, 0, 1, 2, 0, 9, 0xa, 0xb, 0xc, 0xd, 0xe, 0xf];
    let packet = arp::Packet::new_checked(&bytes).unwrap();
    assert_eq!(packet.operation(), arp::Operation::Unknown(9));
    assert_eq!(packet.sender_hardware(), [0xa]);
    assert_eq!(packet.sender_protocol(), [0xb, 0xc]);
    assert_eq!(packet.target_hardware(), [0xd]);
    assert_eq!(packet.target_protocol(), [0xe, 0xf]);
    assert_eq!(arp::Repr::parse(&packet), Err(Error::BadLength { format: Format::Arp, got: 1 }));
}

#[test]
fn infiniband_announces_by_a_padded_option() {
    let target = "2001:db8::9".parse().unwrap();
    let repr = ndp::Repr::unsolicited(target, HardwareAddress::Infiniband([7; 20]), true);
    let mut out = Vec::new();
    repr.emit(target, ndp::ALL_NODES, &mut out);
    assert_eq!(out.len(), 48);
    assert_eq!(out[4], 0xa0); // R and O
    assert_eq!(out[24..26], [2, 3]);
    assert_eq!(out[46..], [0, 0]);
}

#[test]
fn ndp_reads_past_other_options_and_refuses_broken_ones() {
    let target = "2001:db8::9".parse().unwrap();
    let mut out = Vec::new();
    ndp::Repr { link_layer: None, ..ndp::Repr::unsolicited(target, MAC, false) }.emit(
        target,
        ndp::ALL_NODES,
        &mut out,
    );
    out.extend([99, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    out.extend([2, 1, 2, 0, 0, 0, 0, 1]);
    let packet = ndp::Packet::new_checked(&out).unwrap();
    assert_eq!(packet.options().count(), 2);
    assert_eq!(ndp::Repr::parse(&packet).unwrap().link_layer, Some(MAC));

    let format = Format::NeighborAdvert;
    let mut zero = out.clone();
    zero[25] = 0;
    assert_eq!(ndp::Packet::new_checked(&zero), Err(Error::BadLength { format, got: 0 }));
    let mut long = out.clone();
    long[41] = 2;
    assert_eq!(
        ndp::Packet::new_checked(&long),
        Err(Error::Truncated { format, needed: 56, got: 48 })
    );
    let mut odd = out.clone();
    odd[41] = 2;
    odd.extend([0; 8]);
    let packet = ndp::Packet::new_checked(&odd).unwrap();
    assert_eq!(ndp::Repr::parse(&packet), Err(Error::BadLength { format, got: 14 }));
    let mut solicitation = out;
    solicitation[0] = 135;
    assert!(ndp::Packet::new_checked(&solicitation).is_err());
}

#[test]
fn group_addresses_on_ethernet() {
    let group = |address: &str| ethernet::multicast(address.parse().unwrap());
    assert_eq!(group("224.0.0.18"), Some([1, 0, 0x5e, 0, 0, 0x12]));
    assert_eq!(group("239.255.1.2"), Some([1, 0, 0x5e, 0x7f, 1, 2]));
    assert_eq!(group("ff02::12"), Some([0x33, 0x33, 0, 0, 0, 0x12]));
    assert_eq!(group("198.51.100.1"), None);
    assert_eq!(group("2001:db8::1"), None);
}

#[test]
fn a_capture_file_byte_for_byte() {
    let mut writer = pcap::Writer::new(Vec::new(), pcap::LinkType::Raw).unwrap();
    writer.packet(Duration::new(0x0102_0304, 999_999_999), b"abc").unwrap();
    let file = writer.finish().unwrap();
    let header =
        [0x4d, 0x3c, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 101, 0, 0, 0];
    assert_eq!(file[..24], header);
    assert_eq!(file[24..32], [4, 3, 2, 1, 0xff, 0xc9, 0x9a, 0x3b]);
    assert_eq!(file[32..], *b"\x03\0\0\0\x03\0\0\0abc");
    let ethernet = pcap::Writer::new(Vec::new(), pcap::LinkType::Ethernet).unwrap();
    assert_eq!(ethernet.finish().unwrap()[20..], [1, 0, 0, 0]);
}

/// The whole stack, as the simulator's captures and `explain` print it.
#[test]
fn packets_read_well() {
    let advert = emitted(&advert(v2_pass()), ChecksumForm::Plain);
    let mut datagram = ipv4_bytes(advert.len());
    datagram.truncate(20);
    datagram.extend(&advert);
    assert_eq!(
        pretty::Datagram(&datagram).to_string(),
        "IPv4 198.51.100.1 > 198.51.100.2 proto 112 ttl 255 tos 0xc0 id 1 len 40 | \
         VRRPv2 advertisement vrid 51 prio 150 interval 1s auth PASS checksum 0xafb3 \
         addresses 198.51.100.100"
    );
    datagram[20 + 6] ^= 0xff;
    assert!(pretty::Datagram(&datagram).to_string().ends_with(" (bad checksum)"));
    assert!(
        pretty::Datagram(&datagram[..30]).to_string().contains("IPv4: 30 bytes, 40 needed"),
        "{}",
        pretty::Datagram(&datagram[..30])
    );

    let mut frame = Vec::new();
    ethernet::Repr {
        destination: [0xff; 6],
        source: [2, 0, 0, 0, 0, 1],
        ethertype: ethernet::EtherType::Arp,
    }
    .emit(&mut frame);
    arp::Repr::gratuitous_request(MAC, HardwareAddress::ETHERNET_BROADCAST, SOURCE)
        .unwrap()
        .emit(&mut frame);
    assert_eq!(
        pretty::Frame(&frame).to_string(),
        "Ethernet 02:00:00:00:00:01 > ff:ff:ff:ff:ff:ff ARP | gratuitous ARP request \
         198.51.100.1 at 02:00:00:00:00:01 > 198.51.100.1 at ff:ff:ff:ff:ff:ff"
    );
}

#[test]
fn a_capture_of_rfc_9568_says_so() {
    let advert = emitted(&advert(v3()), ChecksumForm::Plain);
    let mut datagram = ipv4_bytes(advert.len());
    datagram.truncate(20);
    datagram.extend(&advert);
    let printed = pretty::Datagram(&datagram).to_string();
    assert!(printed.ends_with("(checksum without pseudo-header)"), "{printed}");
}
