//! What must hold for every value and for every byte string: what is emitted reads back as it was,
//! nothing panics, nothing truncated is accepted, the checksum is RFC 1071's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use proptest::array::{uniform8, uniform12, uniform16};
use proptest::collection::vec;
use proptest::prelude::*;
use wire::checksum::Sum;
use wire::ethernet::EtherType;
use wire::vrrp::{Addresses, AuthType, Body, Centiseconds, ChecksumForm};
use wire::{
    Error, Family, HardwareAddress, ah, arp, checksum, ethernet, hmac_ext, ipv4, ipv6, ndp, pretty,
    vrrp,
};

fn hardware() -> impl Strategy<Value = HardwareAddress> {
    prop_oneof![
        any::<[u8; 6]>().prop_map(HardwareAddress::Ethernet),
        any::<[u8; 20]>().prop_map(HardwareAddress::Infiniband),
    ]
}

fn addresses(most: usize) -> impl Strategy<Value = Addresses> {
    let v4 = vec(any::<Ipv4Addr>().prop_map(IpAddr::from), 0..=most);
    let v6 = vec(any::<Ipv6Addr>().prop_map(IpAddr::from), 0..=most);
    prop_oneof![
        v4.prop_map(|list| Addresses::new(Family::V4, list).unwrap()),
        v6.prop_map(|list| Addresses::new(Family::V6, list).unwrap()),
    ]
}

fn body() -> impl Strategy<Value = Body> {
    prop_oneof![
        (any::<u8>(), any::<u8>(), uniform8(any::<u8>())).prop_map(|(adver_int, kind, data)| {
            Body::V2 { adver_int, auth_type: AuthType::from(kind), auth_data: data }
        }),
        (0..=4095u16).prop_map(|cs| Body::V3 { max_adver_int: Centiseconds::new(cs).unwrap() }),
    ]
}

fn advert() -> impl Strategy<Value = vrrp::Repr> {
    advert_of(255)
}

fn advert_of(most: usize) -> impl Strategy<Value = vrrp::Repr> {
    (any::<u8>(), any::<u8>(), addresses(most), body()).prop_map(
        |(vrid, priority, addresses, mut body)| {
            // There are none over IPv6.
            if let (Body::V2 { auth_data, .. }, Family::V6) = (&mut body, addresses.family()) {
                *auth_data = [0; 8];
            }
            vrrp::Repr { vrid, priority, addresses, body }
        },
    )
}

fn form() -> impl Strategy<Value = ChecksumForm> {
    prop::sample::select(&ChecksumForm::ALL[..])
}

fn ipv4_header(payload_len: usize) -> impl Strategy<Value = ipv4::Repr> {
    let addresses = (any::<Ipv4Addr>(), any::<Ipv4Addr>());
    (any::<[u8; 3]>(), any::<u16>(), any::<bool>(), addresses).prop_map(
        move |([tos, ttl, protocol], identification, dont_fragment, (source, destination))| {
            ipv4::Repr {
                tos,
                identification,
                dont_fragment,
                ttl,
                protocol,
                source,
                destination,
                payload_len,
            }
        },
    )
}

/// Two addresses of `family` from one pool of bytes.
fn ends(family: Family, bytes: [[u8; 16]; 2]) -> (IpAddr, IpAddr) {
    let address = |bytes: [u8; 16]| match family {
        Family::V4 => IpAddr::from([bytes[0], bytes[1], bytes[2], bytes[3]]),
        Family::V6 => IpAddr::from(bytes),
    };
    (address(bytes[0]), address(bytes[1]))
}

/// RFC 1071 §1, word by word, over the pseudo-header written out.
fn naive_checksum(data: &[u8]) -> u16 {
    let mut padded = data.to_vec();
    if padded.len() % 2 == 1 {
        padded.push(0);
    }
    let mut sum = 0u16;
    for word in padded.chunks(2) {
        let (wrapped, carry) = sum.overflowing_add(u16::from_be_bytes([word[0], word[1]]));
        sum = wrapped + u16::from(carry);
    }
    !sum
}

fn written_pseudo_header(source: IpAddr, destination: IpAddr, protocol: u8, len: usize) -> Vec<u8> {
    let mut out = Vec::new();
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            out.extend(source.octets());
            out.extend(destination.octets());
            out.extend([0, protocol]);
            out.extend(u16::try_from(len).unwrap().to_be_bytes());
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            out.extend(source.octets());
            out.extend(destination.octets());
            out.extend(u32::try_from(len).unwrap().to_be_bytes());
            out.extend([0, 0, 0, protocol]);
        }
        _ => unreachable!("one family"),
    }
    out
}

/// Every prefix of `bytes` is refused as truncated.
fn refuses_prefixes(bytes: &[u8], check: impl Fn(&[u8]) -> Result<(), Error>) {
    assert_eq!(check(bytes), Ok(()));
    for len in 0..bytes.len() {
        let error = check(&bytes[..len]).expect_err("a prefix");
        assert!(
            matches!(error, Error::Truncated { got, needed, .. } if got == len && needed > len)
        );
    }
}

proptest! {
    #[test]
    fn vrrp_round_trip(
        advert in advert(),
        form in form(),
        bytes in any::<[[u8; 16]; 2]>(),
        before in vec(any::<u8>(), 0..3),
    ) {
        let (source, destination) = ends(advert.addresses.family(), bytes);
        let mut out = before.clone();
        advert.emit(form, source, destination, &mut out);
        prop_assert_eq!(&out[..before.len()], &before);
        let out = &out[before.len()..];
        prop_assert_eq!(out.len(), advert.buffer_len());
        let packet = vrrp::Packet::new_checked(out, advert.addresses.family()).unwrap();
        packet.check_length_strict().unwrap();
        prop_assert!(packet.verify_checksum(form, source, destination));
        prop_assert_eq!(vrrp::Repr::parse(&packet).unwrap(), advert);
    }

    #[test]
    fn vrrp_checksum_is_the_naive_one(
        advert in advert(), bytes in any::<[[u8; 16]; 2]>(),
    ) {
        let (source, destination) = ends(advert.addresses.family(), bytes);
        let mut out = Vec::new();
        advert.emit(ChecksumForm::PseudoHeader, source, destination, &mut out);
        let mut whole = written_pseudo_header(source, destination, 112, out.len());
        whole.extend(&out);
        prop_assert_eq!(naive_checksum(&whole), 0);

        out.clear();
        advert.emit(ChecksumForm::Plain, source, destination, &mut out);
        prop_assert_eq!(naive_checksum(&out), 0);
    }

    #[test]
    fn vrrp_with_padding_reads_the_same(
        advert in advert(), padding in vec(any::<u8>(), 1..40), bytes in any::<[[u8; 16]; 2]>(),
    ) {
        let family = advert.addresses.family();
        let (source, destination) = ends(family, bytes);
        let form = ChecksumForm::PseudoHeader;
        let mut out = Vec::new();
        advert.emit(form, source, destination, &mut out);
        out.extend(&padding);
        let packet = vrrp::Packet::new_checked(&out, family).unwrap();
        prop_assert!(packet.check_length().is_ok());
        prop_assert!(packet.check_length_strict().is_err());
        prop_assert_eq!(packet.trailing(), &padding);
        prop_assert!(packet.verify_checksum(form, source, destination));
        prop_assert_eq!(vrrp::Repr::parse(&packet).unwrap(), advert);
    }

    #[test]
    fn one_changed_bit_breaks_the_checksum(
        advert in advert(), form in form(), bytes in any::<[[u8; 16]; 2]>(), at in any::<prop::sample::Index>(),
    ) {
        let family = advert.addresses.family();
        let (source, destination) = ends(family, bytes);
        let mut out = Vec::new();
        advert.emit(form, source, destination, &mut out);
        // Not the version and the count, which say how much the checksum covers.
        let bit = at.index(out.len() * 8);
        prop_assume!(!matches!(bit / 8, 0 | 3));
        out[bit / 8] ^= 1 << (bit % 8);
        let packet = vrrp::Packet::new_checked(&out, family).unwrap();
        prop_assert!(!packet.verify_checksum(form, source, destination));
    }

    #[test]
    fn vrrp_prefixes_are_refused(advert in advert_of(12)) {
        let family = advert.addresses.family();
        let (source, destination) = ends(family, [[1; 16], [2; 16]]);
        let mut out = Vec::new();
        advert.emit(ChecksumForm::Plain, source, destination, &mut out);
        refuses_prefixes(&out, |bytes| {
            let packet = vrrp::Packet::new_checked(bytes, family)?;
            // Total on a truncated packet as well.
            let _ = packet.to_string();
            assert!(packet.addresses().count() <= usize::from(packet.count()));
            packet.verify_checksum(ChecksumForm::Plain, source, destination);
            let repr = vrrp::Repr::parse(&packet).map(|_| ());
            assert_eq!(repr, packet.check_length());
            repr
        });
    }

    #[test]
    fn ipv4_round_trip(
        header in (0..1500usize).prop_flat_map(ipv4_header), padding in 0..30usize,
        identification in any::<u16>(),
    ) {
        let mut out = Vec::new();
        header.emit(&mut out).unwrap();
        prop_assert_eq!(out.len(), header.buffer_len());
        prop_assert_eq!(naive_checksum(&out), 0);
        out.resize(out.len() + header.payload_len + padding, 0x5a);
        let packet = ipv4::Packet::new_checked(&out).unwrap();
        prop_assert!(packet.verify_checksum());
        prop_assert_eq!(ipv4::Repr::parse(&packet).unwrap(), header);

        let mut patched = out.clone();
        ipv4::set_identification(&mut patched, identification).unwrap();
        let mut expected = Vec::new();
        ipv4::Repr { identification, ..header }.emit(&mut expected).unwrap();
        prop_assert_eq!(&patched[..20], expected);
        prop_assert_eq!(&patched[20..], &out[20..]);
    }

    #[test]
    fn ipv4_options_are_tolerated(
        header in Just(8).prop_flat_map(ipv4_header), words in 1..=10usize, fill in any::<u8>(),
    ) {
        let mut out = Vec::new();
        ipv4::Repr { payload_len: 8 + words * 4, ..header }.emit(&mut out).unwrap();
        out[0] = 0x45 + words as u8;
        out.resize(20 + words * 4, fill);
        out.extend(b"payload!");
        let packet = ipv4::Packet::new_checked(&out).unwrap();
        prop_assert_eq!(packet.payload(), b"payload!");
        prop_assert_eq!(packet.options(), vec![fill; words * 4]);
        prop_assert_eq!(ipv4::Repr::parse(&packet).unwrap(), header);
        refuses_prefixes(&out, |bytes| ipv4::Packet::new_checked(bytes).map(|_| ()));
        ipv4::set_identification(&mut out, 7).unwrap();
        prop_assert!(ipv4::Packet::new_checked(&out).unwrap().verify_checksum());
    }

    #[test]
    fn ipv6_round_trip(
        (traffic_class, next_header, hop_limit) in any::<(u8, u8, u8)>(),
        flow_label in 0..1u32 << 20,
        (source, destination) in any::<(Ipv6Addr, Ipv6Addr)>(),
        payload_len in 0..1500usize,
    ) {
        let header = ipv6::Repr {
            traffic_class, flow_label, next_header, hop_limit, source, destination, payload_len,
        };
        let mut out = Vec::new();
        header.emit(&mut out).unwrap();
        prop_assert_eq!(out.len(), header.buffer_len());
        out.resize(out.len() + payload_len, 0x5a);
        let packet = ipv6::Packet::new_checked(&out).unwrap();
        prop_assert_eq!(ipv6::Repr::parse(&packet), header);
        refuses_prefixes(&out, |bytes| ipv6::Packet::new_checked(bytes).map(|_| ()));
    }

    #[test]
    fn ethernet_round_trip(
        destination in any::<[u8; 6]>(), source in any::<[u8; 6]>(), kind in any::<u16>(),
    ) {
        let header = ethernet::Repr { destination, source, ethertype: EtherType::from(kind) };
        let mut out = Vec::new();
        header.emit(&mut out);
        prop_assert_eq!(out.len(), header.buffer_len());
        prop_assert_eq!(ethernet::Repr::parse(&ethernet::Packet::new_checked(&out).unwrap()), header);
        refuses_prefixes(&out, |bytes| ethernet::Packet::new_checked(bytes).map(|_| ()));
    }

    #[test]
    fn arp_round_trip(
        operation in any::<u16>(),
        (sender, target) in (hardware(), hardware()),
        (sender_address, target_address) in any::<(Ipv4Addr, Ipv4Addr)>(),
        padding in 0..20usize,
    ) {
        let made = arp::Repr::new(operation.into(), (sender, sender_address), (target, target_address));
        prop_assert_eq!(made.is_some(), sender.arp_type() == target.arp_type());
        let Some(repr) = made else { return Ok(()) };
        let mut out = Vec::new();
        repr.emit(&mut out);
        prop_assert_eq!(out.len(), repr.buffer_len());
        refuses_prefixes(&out, |bytes| arp::Packet::new_checked(bytes).map(|_| ()));
        out.resize(out.len() + padding, 0);
        prop_assert_eq!(arp::Repr::parse(&arp::Packet::new_checked(&out).unwrap()).unwrap(), repr);
    }

    #[test]
    fn ndp_round_trip(
        (router, solicited, overrides) in any::<(bool, bool, bool)>(),
        (target, source, destination) in any::<(Ipv6Addr, Ipv6Addr, Ipv6Addr)>(),
        link_layer in prop::option::of(hardware()),
    ) {
        let repr = ndp::Repr { router, solicited, overrides, target, link_layer };
        let mut out = Vec::new();
        repr.emit(source, destination, &mut out);
        prop_assert_eq!(out.len(), repr.buffer_len());
        prop_assert_eq!(out.len() % 8, 0);
        let packet = ndp::Packet::new_checked(&out).unwrap();
        prop_assert!(packet.verify_checksum(source, destination));
        prop_assert_eq!(ndp::Repr::parse(&packet).unwrap(), repr);
        let mut whole = written_pseudo_header(source.into(), destination.into(), 58, out.len());
        whole.extend(&out);
        prop_assert_eq!(naive_checksum(&whole), 0);
        // A prefix that ends where an option begins is a shorter, complete message.
        for len in (0..out.len()).filter(|&len| len != ndp::FIXED_LEN) {
            prop_assert!(ndp::Packet::new_checked(&out[..len]).is_err(), "{}", len);
        }
    }

    #[test]
    fn ah_round_trip(
        (next_header, spi, sequence) in any::<(u8, u32, u32)>(), icv in uniform12(any::<u8>()),
    ) {
        let repr = ah::Repr { next_header, spi, sequence, icv };
        let mut out = Vec::new();
        repr.emit(&mut out);
        prop_assert_eq!(out.len(), repr.buffer_len());
        prop_assert_eq!(ah::Repr::parse(&ah::Packet::new_checked(&out).unwrap()), repr);
        refuses_prefixes(&out, |bytes| ah::Packet::new_checked(bytes).map(|_| ()));
    }

    /// Which bits the ICV covers, all of them tried by and by: everything but the mutable fields.
    #[test]
    fn ah_seal_covers_all_but_the_mutable_fields(
        header in (24..60usize).prop_flat_map(ipv4_header),
        multicast in any::<bool>(),
        password in uniform8(any::<u8>()),
        at in any::<prop::sample::Index>(),
    ) {
        let destination = if multicast {
            vrrp::MULTICAST_V4
        } else {
            Ipv4Addr::new(198, 51, 100, 2)
        };
        let mut out = Vec::new();
        ipv4::Repr { protocol: ah::PROTOCOL, destination, ..header }.emit(&mut out).unwrap();
        ah::Repr::of_advert(header.source, 9).emit(&mut out);
        out.resize(20 + header.payload_len, 0x5a);
        let key = ah::Key::new(password);
        key.seal(&mut out).unwrap();
        prop_assert!(key.verify(&ipv4::Packet::new_checked(&out).unwrap()));

        let bit = at.index(out.len() * 8);
        let mutable = match bit / 8 {
            1 | 6 | 7 | 10 | 11 => true,
            8 => !multicast,
            _ => false,
        };
        let mut changed = out.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        if let Ok(ip) = ipv4::Packet::new_checked(&changed) {
            // Making the destination multicast also unmutes the TTL: still refused.
            prop_assert_eq!(key.verify(&ip), mutable, "byte {}", bit / 8);
        }
    }

    #[test]
    fn hmac_trailer_round_trip(
        key_id in any::<u8>(),
        (seconds, fraction, counter) in any::<(u32, u16, u16)>(),
        mac in uniform16(any::<u8>()),
    ) {
        let repr = hmac_ext::Repr { key_id, stamp: hmac_ext::Stamp { seconds, fraction, counter }, mac };
        let mut out = Vec::new();
        repr.emit(&mut out);
        prop_assert_eq!(out.len(), repr.buffer_len());
        let trailer = hmac_ext::Trailer::new_checked(&out).unwrap();
        prop_assert_eq!(hmac_ext::Repr::parse(&trailer).unwrap(), repr);
        refuses_prefixes(&out, |bytes| hmac_ext::Trailer::new_checked(bytes).map(|_| ()));
    }

    /// Every bit of packet and trailer counts, but those of the VRRP checksum.
    #[test]
    fn hmac_covers_packet_and_trailer(
        advert in advert(),
        bytes in any::<[[u8; 16]; 2]>(),
        key in vec(any::<u8>(), 0..80),
        at in any::<prop::sample::Index>(),
    ) {
        let family = advert.addresses.family();
        let (source, destination) = ends(family, bytes);
        let key = hmac_ext::Key::new(key);
        let mut out = Vec::new();
        advert.emit(ChecksumForm::PseudoHeader, source, destination, &mut out);
        let stamp = hmac_ext::Stamp { seconds: 1, fraction: 2, counter: 3 };
        let trailer = key.sign(source, &vrrp::Packet::new_checked(&out, family).unwrap(), 4, stamp);
        trailer.emit(&mut out);

        let verify = |bytes: &[u8], source| {
            let packet = vrrp::Packet::new_checked(bytes, family).unwrap();
            hmac_ext::Trailer::new_checked(packet.trailing())
                .is_ok_and(|trailer| key.verify(source, &packet, &trailer))
        };
        prop_assert!(verify(&out, source));
        if source != destination {
            prop_assert!(!verify(&out, destination));
        }
        let bit = at.index(out.len() * 8);
        out[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(verify(&out, source), matches!(bit / 8, 6 | 7), "byte {}", bit / 8);
    }

    #[test]
    fn checksum_is_the_naive_one(data in vec(any::<u8>(), 0..2000), cuts in any::<[prop::sample::Index; 3]>()) {
        let expected = naive_checksum(&data);
        prop_assert_eq!(checksum::of(&data), expected);
        // In pieces of any length, odd ones too.
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(data.len() + 1)).collect();
        at.sort_unstable();
        let sum = Sum::new()
            .bytes(&data[..at[0]])
            .bytes(&data[at[0]..at[1]])
            .bytes(&data[at[1]..at[2]])
            .bytes(&data[at[2]..]);
        prop_assert_eq!(sum.finish(), expected);
    }

    #[test]
    fn stamps_order_like_time(a in 0..1u64 << 62, b in 0..1u64 << 62) {
        let (a, b) = (Duration::from_nanos(a), Duration::from_nanos(b));
        prop_assume!(a.as_secs() <= u32::MAX.into() && b.as_secs() <= u32::MAX.into());
        let (stamp_a, stamp_b) = (hmac_ext::Stamp::new(a, 0), hmac_ext::Stamp::new(b, 0));
        if a <= b {
            prop_assert!(stamp_a <= stamp_b);
        }
        let error = a - stamp_a.since_epoch();
        prop_assert!(error <= Duration::from_nanos(1_000_000_000 / 65536 + 2));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_frame_prints(bytes in vec(any::<u8>(), 0..200)) {
        let _ = pretty::Frame(&bytes).to_string();
        let _ = pretty::Datagram(&bytes).to_string();
    }

    /// Random bytes seldom look like anything; these begin as the formats do.
    #[test]
    fn any_datagram_prints(
        mut bytes in vec(any::<u8>(), 40..200), v6 in any::<bool>(), ah in any::<bool>(),
    ) {
        let len = bytes.len();
        if v6 {
            bytes[0] = 0x60;
            bytes[4..6].copy_from_slice(&[0, (len - 40) as u8]);
            bytes[6] = if ah { ndp::PROTOCOL } else { vrrp::PROTOCOL };
        } else {
            bytes[0] = 0x45;
            bytes[2..4].copy_from_slice(&[0, len as u8]);
            bytes[9] = if ah { ah::PROTOCOL } else { vrrp::PROTOCOL };
            if ah {
                bytes[20..22].copy_from_slice(&[vrrp::PROTOCOL, 4]);
            }
        }
        prop_assert!(!pretty::Datagram(&bytes).to_string().is_empty());
        if let Ok(ip) = ipv4::Packet::new_checked(&bytes) {
            ah::Key::new([1; 8]).verify(&ip);
        }
    }

    #[test]
    fn any_bytes_are_seen_without_panic(bytes in vec(any::<u8>(), 0..400), v6 in any::<bool>()) {
        let family = if v6 { Family::V6 } else { Family::V4 };
        if let Ok(packet) = vrrp::Packet::new_checked(&bytes, family) {
            let _ = vrrp::Repr::parse(&packet);
            let (source, destination) = ends(family, [[1; 16], [2; 16]]);
            packet.checksum_form(source, destination);
            packet.auth_data_is(&[0; 8]);
            prop_assert_eq!([packet.pdu(), packet.trailing()].concat(), bytes.clone());
            if let Ok(trailer) = hmac_ext::Trailer::new_checked(packet.trailing()) {
                prop_assert!(!hmac_ext::Key::new([1; 16]).verify(source, &packet, &trailer));
            }
        }
        if let Ok(packet) = arp::Packet::new_checked(&bytes) {
            let _ = (packet.to_string(), arp::Repr::parse(&packet).is_ok());
        }
        if let Ok(packet) = ndp::Packet::new_checked(&bytes) {
            let _ = (packet.to_string(), ndp::Repr::parse(&packet).is_ok());
        }
    }
}
