//! Any bytes through every codec of `wire`: nothing panics, everything prints, and what a
//! representation accepts it gives back.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use wire::vrrp::ChecksumForm;
use wire::{Family, ah, arp, ethernet, hmac_ext, ipv4, ipv6, ndp, pretty, vrrp};

/// The bytes as a frame, as a datagram, and as the payload of each protocol.
pub fn run(data: &[u8]) {
    let _ = pretty::Frame(data).to_string();
    let _ = pretty::Datagram(data).to_string();
    if let Ok(packet) = ethernet::Packet::new_checked(data) {
        let repr = ethernet::Repr::parse(&packet);
        let mut out = Vec::new();
        repr.emit(&mut out);
        assert_eq!(out, data[..ethernet::HEADER_LEN]);
    }
    in_ipv4(data);
    in_ipv6(data);
    in_arp(data);
    in_ndp(data, Ipv6Addr::LOCALHOST, ndp::ALL_NODES);
    in_vrrp(data, Ipv4Addr::LOCALHOST.into(), vrrp::MULTICAST_V4.into());
    in_vrrp(data, Ipv6Addr::LOCALHOST.into(), vrrp::MULTICAST_V6.into());
}

fn in_ipv4(data: &[u8]) {
    let Ok(packet) = ipv4::Packet::new_checked(data) else { return };
    assert_eq!(packet.header_len() + packet.payload().len(), packet.total_len());
    assert_eq!(packet.header_len(), ipv4::HEADER_LEN + packet.options().len());
    if let Ok(repr) = ipv4::Repr::parse(&packet) {
        let mut out = Vec::new();
        repr.emit(&mut out).expect("a total length that came in 16 bits goes out in 16");
        out.extend(packet.payload());
        let again = ipv4::Packet::new_checked(&out).expect("what we emit");
        assert!(again.verify_checksum());
        assert_eq!(ipv4::Repr::parse(&again), Ok(repr));
    }
    let mut patched = data.to_vec();
    ipv4::set_identification(&mut patched, 0xbeef).expect("checked above");
    let patched = ipv4::Packet::new_checked(&patched).expect("still what it was");
    assert!(patched.verify_checksum() && patched.identification() == 0xbeef);

    let (source, destination) = (packet.source().into(), packet.destination().into());
    in_vrrp(packet.payload(), source, destination);
    if let Ok(header) = ah::Packet::new_checked(packet.payload()) {
        let mut out = Vec::new();
        ah::Repr::parse(&header).emit(&mut out);
        assert_eq!(
            ah::Packet::new_checked(&out).map(|again| again.sequence()),
            Ok(header.sequence())
        );
        let key = ah::Key::new(*b"fuzzfuzz");
        key.verify(&packet);
        let mut sealed = data.to_vec();
        if key.seal(&mut sealed).is_ok() {
            assert!(key.verify(&ipv4::Packet::new_checked(&sealed).expect("still what it was")));
        }
        in_vrrp(header.payload(), source, destination);
    }
}

fn in_ipv6(data: &[u8]) {
    let Ok(packet) = ipv6::Packet::new_checked(data) else { return };
    let mut out = Vec::new();
    ipv6::Repr::parse(&packet).emit(&mut out).expect("a length that came in 16 bits");
    assert_eq!(out, data[..ipv6::HEADER_LEN]);
    in_vrrp(packet.payload(), packet.source().into(), packet.destination().into());
    in_ndp(packet.payload(), packet.source(), packet.destination());
}

fn in_arp(data: &[u8]) {
    let Ok(packet) = arp::Packet::new_checked(data) else { return };
    let _ = packet.to_string();
    if let Ok(repr) = arp::Repr::parse(&packet) {
        let mut out = Vec::new();
        repr.emit(&mut out);
        assert_eq!(out, data[..repr.buffer_len()]);
    }
}

fn in_ndp(data: &[u8], source: Ipv6Addr, destination: Ipv6Addr) {
    let Ok(packet) = ndp::Packet::new_checked(data) else { return };
    let _ = (packet.to_string(), packet.verify_checksum(source, destination));
    if let Ok(repr) = ndp::Repr::parse(&packet) {
        let mut out = Vec::new();
        repr.emit(source, destination, &mut out);
        let again = ndp::Packet::new_checked(&out).expect("what we emit");
        assert!(again.verify_checksum(source, destination));
        assert_eq!(ndp::Repr::parse(&again), Ok(repr));
    }
}

fn in_vrrp(data: &[u8], source: IpAddr, destination: IpAddr) {
    let family = Family::of(&source);
    let Ok(packet) = vrrp::Packet::new_checked(data, family) else { return };
    let _ = packet.to_string();
    packet.auth_data_is(b"fuzzfuzz");
    let form = packet.checksum_form(source, destination);
    assert_eq!(packet.pdu().len() + packet.trailing().len(), packet.padded_len());
    assert!(packet.addresses().len() <= usize::from(packet.count()));
    if let Ok(trailer) = hmac_ext::Trailer::new_checked(packet.trailing()) {
        let key = hmac_ext::Key::new(*b"fuzzfuzzfuzzfuzz");
        key.verify(source, &packet, &trailer);
        if let Ok(repr) = hmac_ext::Repr::parse(&trailer) {
            let mut out = Vec::new();
            repr.emit(&mut out);
            assert_eq!(out, packet.trailing()[..hmac_ext::TRAILER_LEN]);
            let mut signed = packet.pdu().to_vec();
            key.sign(source, &packet, repr.key_id, repr.stamp).emit(&mut signed);
            let signed = vrrp::Packet::new_checked(&signed, family).expect("still what it was");
            let trailer = hmac_ext::Trailer::new_checked(signed.trailing()).expect("just emitted");
            assert!(key.verify(source, &signed, &trailer));
        }
    }
    let Ok(repr) = vrrp::Repr::parse(&packet) else { return };
    let form = form.unwrap_or(ChecksumForm::usual(packet.version(), packet.family()));
    let mut out = Vec::new();
    repr.emit(form, source, destination, &mut out);
    let again = vrrp::Packet::new_checked(&out, family).expect("what we emit");
    assert!(again.check_length_strict().is_ok());
    assert!(again.verify_checksum(form, source, destination));
    assert_eq!(vrrp::Repr::parse(&again), Ok(repr));
}
