//! Captures of simulated packets, with Ethernet and IP headers, for Wireshark.

use std::net::IpAddr;
use std::time::Duration;

use vrrp::{Time, Transmit};
use wire::{ethernet, ipv6, pcap};

/// A capture in memory.
pub struct Capture(pcap::Writer<Vec<u8>>);

impl Capture {
    pub fn new() -> Self {
        let writer = pcap::Writer::new(Vec::new(), pcap::LinkType::Ethernet);
        Self(writer.expect("memory takes everything"))
    }

    /// Adds a packet that `node` sent.
    pub fn packet(&mut self, now: Time, node: usize, packet: &Transmit) {
        let mut frame = Vec::new();
        let destination = ethernet::multicast(packet.dst).unwrap_or_else(|| station(packet.dst));
        let ethertype = match packet.dst {
            IpAddr::V4(_) => ethernet::EtherType::Ipv4,
            IpAddr::V6(_) => ethernet::EtherType::Ipv6,
        };
        let source = [2, 0, 0, 0, 0, node as u8 + 1];
        ethernet::Repr { destination, source, ethertype }.emit(&mut frame);
        if let (IpAddr::V6(source), IpAddr::V6(destination)) = (packet.src, packet.dst) {
            let header = ipv6::Repr {
                traffic_class: wire::vrrp::TRAFFIC_CLASS,
                flow_label: 0,
                next_header: packet.protocol,
                hop_limit: packet.ttl,
                source,
                destination,
                payload_len: packet.bytes.len(),
            };
            header.emit(&mut frame).expect("an advert is shorter than 64 KiB");
        }
        frame.extend_from_slice(&packet.bytes);
        self.0.packet(Duration::from_nanos(now.0), &frame).expect("memory takes everything");
    }

    /// The file.
    pub fn finish(self) -> Vec<u8> {
        self.0.finish().expect("memory takes everything")
    }
}

/// The hardware address of the node that has this address (see [`super::address`]).
fn station(address: IpAddr) -> [u8; 6] {
    let node = match address {
        IpAddr::V4(v4) => v4.octets()[3] % 64,
        IpAddr::V6(v6) => v6.octets()[15],
    };
    [2, 0, 0, 0, 0, node]
}
