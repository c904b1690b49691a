//! The frames that tell neighbours where an address lives now: gratuitous ARP (RFC 5227 §3, as a
//! request, like Keepalived) and unsolicited neighbour advertisements (RFC 4861 §7.2.6).

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use netlink::{Link, LinkFlags};
use wire::HardwareAddress;
use wire::ethernet::{self, EtherType};

use crate::pacing::{Frame, Kind};

/// ff02::1
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// Whether interfaces forward IPv6, which neighbour advertisements tell; each asked once.
#[derive(Debug, Default)]
pub(crate) struct Forwarding(HashMap<u32, bool>);

impl Forwarding {
    /// Whether this one does.
    pub(crate) fn of(&mut self, link: &Link) -> bool {
        *self.0.entry(link.index).or_insert_with(|| {
            let key = format!("net/ipv6/conf/{}/forwarding", link.name);
            sys::sysctl::read(&key).is_ok_and(|value| value.trim() != "0")
        })
    }
}

/// The frame that announces an address on a link; `None` where announcing makes no sense (no ARP,
/// no hardware address) or the hardware is of a kind that we cannot write frames for.
pub(crate) fn frame(link: &Link, address: IpAddr, forwarding: bool) -> Option<(Kind, Frame)> {
    if link.flags.intersects(LinkFlags::NOARP | LinkFlags::LOOPBACK) {
        return None;
    }
    let HardwareAddress::Ethernet(mac) = HardwareAddress::from_slice(&link.hw_address)? else {
        return None;
    };
    let hardware = HardwareAddress::Ethernet(mac);
    let mut bytes = Vec::with_capacity(86);
    let kind = match address {
        IpAddr::V4(address) => {
            ethernet::Repr { destination: [0xff; 6], source: mac, ethertype: EtherType::Arp }
                .emit(&mut bytes);
            let broadcast = HardwareAddress::ETHERNET_BROADCAST;
            wire::arp::Repr::gratuitous_request(hardware, broadcast, address)?.emit(&mut bytes);
            Kind::Garp
        }
        IpAddr::V6(address) => {
            let advert = wire::ndp::Repr::unsolicited(address, hardware, forwarding);
            ethernet::Repr {
                destination: ethernet::multicast_v6(ALL_NODES),
                source: mac,
                ethertype: EtherType::Ipv6,
            }
            .emit(&mut bytes);
            wire::ipv6::Repr {
                traffic_class: 0,
                flow_label: 0,
                next_header: 58,
                hop_limit: 255,
                source: address,
                destination: ALL_NODES,
                payload_len: advert.buffer_len(),
            }
            .emit(&mut bytes)
            .ok()?;
            advert.emit(address, ALL_NODES, &mut bytes);
            Kind::Na
        }
    };
    Some((kind, Frame { ifindex: link.index, address, bytes: bytes.into() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link() -> Link {
        Link {
            index: 3,
            name: "eth0".into(),
            flags: LinkFlags::UP | LinkFlags::RUNNING,
            mtu: 1500,
            hw_type: 1,
            hw_address: vec![2, 0, 0, 0, 0, 9],
            hw_broadcast: vec![0xff; 6],
            kind: None,
            master: None,
            parent: None,
            parent_elsewhere: false,
            group: 0,
            oper_state: 6,
            addr_gen_mode: None,
        }
    }

    #[test]
    fn a_gratuitous_arp_is_a_broadcast_request_for_the_address_from_itself() {
        let (kind, frame) = frame(&link(), "198.51.100.7".parse().unwrap(), false).unwrap();
        assert_eq!((kind, frame.ifindex), (Kind::Garp, 3));
        let mut expected = vec![0xff; 6];
        expected.extend([2, 0, 0, 0, 0, 9, 0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1]);
        expected.extend([2, 0, 0, 0, 0, 9, 198, 51, 100, 7]);
        expected.extend([0xff; 6]);
        expected.extend([198, 51, 100, 7]);
        assert_eq!(*frame.bytes, *expected);
    }

    #[test]
    fn a_neighbour_advertisement_comes_from_the_address_and_overrides() {
        let address: Ipv6Addr = "2001:db8::7".parse().unwrap();
        let (kind, frame) = frame(&link(), address.into(), true).unwrap();
        assert_eq!(kind, Kind::Na);
        assert_eq!(frame.bytes[..6], [0x33, 0x33, 0, 0, 0, 1]);
        let packet = wire::ipv6::Packet::new_checked(&frame.bytes[14..]).unwrap();
        assert_eq!((packet.source(), packet.hop_limit()), (address, 255));
        let advert = wire::ndp::Packet::new_checked(packet.payload()).unwrap();
        assert!(advert.overrides() && advert.router() && !advert.solicited());
        assert!(advert.verify_checksum(address, ALL_NODES));
        assert_eq!(advert.link_layer(), Some(&[2, 0, 0, 0, 0, 9][..]));
    }

    #[test]
    fn nothing_is_announced_where_nobody_asks() {
        let quiet = Link { flags: LinkFlags::UP | LinkFlags::NOARP, ..link() };
        assert!(frame(&quiet, "198.51.100.7".parse().unwrap(), false).is_none());
        let tunnel = Link { hw_address: vec![192, 0, 2, 1], ..link() };
        assert!(frame(&tunnel, "198.51.100.7".parse().unwrap(), false).is_none());
    }
}
