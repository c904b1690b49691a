//! What the laboratory understands of captured Ethernet frames: advertisements, ARP and neighbour
//! advertisements.
//!
//! Deliberately not the product's own codecs: a mistake in crate `wire` that is the same on the
//! way out and on the way in would be invisible to a test that reads with `wire`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IP protocol number of VRRP.
const VRRP: u8 = 112;
/// IP protocol number of the authentication header.
const AH: u8 = 51;

/// A frame that concerns VRRP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// A VRRP advertisement.
    Advert(Box<Advert>),
    /// An ARP request or reply.
    Arp(Arp),
    /// An ICMPv6 neighbour advertisement.
    Neighbor(Neighbor),
}

/// A VRRP advertisement with the headers around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advert {
    /// Ethernet destination.
    pub mac_to: [u8; 6],
    /// Ethernet source.
    pub mac_from: [u8; 6],
    /// IP source.
    pub from: IpAddr,
    /// IP destination.
    pub to: IpAddr,
    /// TOS of IPv4, traffic class of IPv6.
    pub tos: u8,
    /// TTL of IPv4, hop limit of IPv6.
    pub ttl: u8,
    /// Flags and fragment offset of IPv4; 0 for IPv6.
    pub fragment: u16,
    /// The authentication header, when there is one.
    pub ah: Option<Ah>,
    /// VRRP version, 2 or 3.
    pub version: u8,
    /// VRRP packet type; 1 is an advertisement.
    pub kind: u8,
    /// Virtual router id.
    pub vrid: u8,
    /// Priority; 0 says that the sender gives up.
    pub priority: u8,
    /// Authentication type of version 2.
    pub auth_type: u8,
    /// Advertisement interval: seconds in version 2, centiseconds in version 3.
    pub interval: u16,
    /// Whether the checksum is right: version 2 without, version 3 with the pseudo-header.
    pub checksum_ok: bool,
    /// Whether it is right without the pseudo-header, in whichever version.
    pub checksum_ok_plain: bool,
    /// The virtual addresses.
    pub addresses: Vec<IpAddr>,
    /// The authentication data of version 2.
    pub auth_data: Vec<u8>,
    /// The VRRP packet itself, as it was on the wire.
    pub pdu: Vec<u8>,
}

/// The authentication header (protocol 51) of an advertisement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ah {
    /// Security parameter index; Keepalived puts the sender's address here.
    pub spi: u32,
    /// Sequence number.
    pub sequence: u32,
    /// Integrity check value, 96 bits.
    pub icv: Vec<u8>,
}

/// An ARP packet for IPv4 over Ethernet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arp {
    /// Ethernet destination.
    pub mac_to: [u8; 6],
    /// 1 request, 2 reply.
    pub operation: u16,
    /// Hardware address of the sender.
    pub sender_mac: [u8; 6],
    /// Address of the sender.
    pub sender: Ipv4Addr,
    /// Hardware address of the target.
    pub target_mac: [u8; 6],
    /// Address of the target.
    pub target: Ipv4Addr,
}

impl Arp {
    /// Gratuitous: sender and target are the same address.
    #[must_use]
    pub fn gratuitous(&self) -> bool {
        self.sender == self.target
    }
}

/// An ICMPv6 neighbour advertisement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbor {
    /// IP source.
    pub from: Ipv6Addr,
    /// IP destination; all nodes (ff02::1) when unsolicited.
    pub to: Ipv6Addr,
    /// Router, solicited and override flags: the first byte of the flags field.
    pub flags: u8,
    /// The address that is announced.
    pub target: Ipv6Addr,
    /// The target link-layer address option.
    pub mac: Option<[u8; 6]>,
}

/// Reads an Ethernet frame; `None` when it is about something else, or broken.
#[must_use]
pub fn parse(frame: &[u8]) -> Option<Packet> {
    let mac_to = array(frame, 0)?;
    let mac_from = array(frame, 6)?;
    let body = frame.get(14..)?;
    match word(frame, 12)? {
        0x0800 => ipv4(mac_to, mac_from, body),
        0x0806 => arp(mac_to, body).map(Packet::Arp),
        0x86dd => ipv6(mac_to, mac_from, body),
        _ => None,
    }
}

fn ipv4(mac_to: [u8; 6], mac_from: [u8; 6], packet: &[u8]) -> Option<Packet> {
    let header = usize::from(packet.first()? & 0xf) * 4;
    let total = usize::from(word(packet, 2)?);
    let mut payload = packet.get(header..total)?;
    let from = Ipv4Addr::from(array::<4>(packet, 12)?);
    let to = Ipv4Addr::from(array::<4>(packet, 16)?);
    let mut protocol = *packet.get(9)?;
    let mut ah = None;
    if protocol == AH {
        protocol = *payload.first()?;
        let length = (usize::from(*payload.get(1)?) + 2) * 4;
        ah = Some(Ah {
            spi: u32::from_be_bytes(array(payload, 4)?),
            sequence: u32::from_be_bytes(array(payload, 8)?),
            icv: payload.get(12..length)?.to_vec(),
        });
        payload = payload.get(length..)?;
    }
    if protocol != VRRP {
        return None;
    }
    let mut pseudo = Vec::from(from.octets());
    pseudo.extend(to.octets());
    pseudo.extend([0, VRRP]);
    pseudo.extend(u16::try_from(payload.len()).ok()?.to_be_bytes());
    let read =
        |chunk: &[u8]| array::<4>(chunk, 0).map(|octets| IpAddr::from(Ipv4Addr::from(octets)));
    let mut advert = vrrp(payload, &pseudo, 4, read)?;
    (advert.mac_to, advert.mac_from, advert.ah) = (mac_to, mac_from, ah);
    (advert.from, advert.to) = (from.into(), to.into());
    (advert.tos, advert.ttl, advert.fragment) = (packet[1], packet[8], word(packet, 6)?);
    Some(Packet::Advert(Box::new(advert)))
}

fn ipv6(mac_to: [u8; 6], mac_from: [u8; 6], packet: &[u8]) -> Option<Packet> {
    let length = word(packet, 4)?;
    let payload = packet.get(40..40 + usize::from(length))?;
    let from = Ipv6Addr::from(array::<16>(packet, 8)?);
    let to = Ipv6Addr::from(array::<16>(packet, 24)?);
    if packet[6] == 58 && *payload.first()? == 136 {
        return Some(Packet::Neighbor(Neighbor {
            from,
            to,
            flags: *payload.get(4)?,
            target: Ipv6Addr::from(array::<16>(payload, 8)?),
            mac: (payload.get(24..26) == Some(&[2, 1])).then(|| array(payload, 26)).flatten(),
        }));
    }
    if packet[6] != VRRP {
        return None;
    }
    let mut pseudo = Vec::from(from.octets());
    pseudo.extend(to.octets());
    pseudo.extend(u32::from(length).to_be_bytes());
    pseudo.extend([0, 0, 0, VRRP]);
    let read =
        |chunk: &[u8]| array::<16>(chunk, 0).map(|octets| IpAddr::from(Ipv6Addr::from(octets)));
    let mut advert = vrrp(payload, &pseudo, 16, read)?;
    (advert.mac_to, advert.mac_from) = (mac_to, mac_from);
    (advert.from, advert.to) = (from.into(), to.into());
    advert.tos = (packet[0] << 4) | (packet[1] >> 4);
    advert.ttl = packet[7];
    Some(Packet::Advert(Box::new(advert)))
}

/// The VRRP packet: RFC 3768 section 5.1 (version 2), RFC 9568 section 5.1 (version 3).
fn vrrp(
    pdu: &[u8],
    pseudo: &[u8],
    size: usize,
    read: impl Fn(&[u8]) -> Option<IpAddr>,
) -> Option<Advert> {
    let version = pdu.first()? >> 4;
    let count = usize::from(*pdu.get(3)?);
    let list = pdu.get(8..8 + count * size)?;
    let third = word(pdu, 4)?;
    let (auth_type, interval) =
        if version == 2 { ((third >> 8) as u8, third & 0xff) } else { (0, third & 0xfff) };
    let (plain, full) = (sum(&[pdu]), sum(&[pseudo, pdu]));
    Some(Advert {
        mac_to: [0; 6],
        mac_from: [0; 6],
        from: Ipv4Addr::UNSPECIFIED.into(),
        to: Ipv4Addr::UNSPECIFIED.into(),
        tos: 0,
        ttl: 0,
        fragment: 0,
        ah: None,
        version,
        kind: pdu[0] & 0xf,
        vrid: pdu[1],
        priority: pdu[2],
        auth_type,
        interval,
        checksum_ok: if version == 2 { plain } else { full } == 0xffff,
        checksum_ok_plain: plain == 0xffff,
        addresses: list.chunks_exact(size).filter_map(read).collect(),
        auth_data: pdu.get(8 + count * size..)?.to_vec(),
        pdu: pdu.to_vec(),
    })
}

fn arp(mac_to: [u8; 6], packet: &[u8]) -> Option<Arp> {
    // Ethernet, IPv4, lengths 6 and 4.
    if packet.get(..6)? != [0, 1, 8, 0, 6, 4] {
        return None;
    }
    Some(Arp {
        mac_to,
        operation: word(packet, 6)?,
        sender_mac: array(packet, 8)?,
        sender: Ipv4Addr::from(array::<4>(packet, 14)?),
        target_mac: array(packet, 18)?,
        target: Ipv4Addr::from(array::<4>(packet, 24)?),
    })
}

/// The ones' complement sum of 16-bit words (RFC 1071), not inverted.
fn sum(parts: &[&[u8]]) -> u16 {
    let mut total: u32 = 0;
    for part in parts {
        for pair in part.chunks(2) {
            let low = pair.get(1).copied().unwrap_or(0);
            total += u32::from(u16::from_be_bytes([pair[0], low]));
        }
    }
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    total as u16
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    array(bytes, at).map(u16::from_be_bytes)
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Advert(advert) => write!(
                f,
                "VRRPv{} {} > {} vrid {} prio {} int {} ttl {} {:?}{}",
                advert.version,
                advert.from,
                advert.to,
                advert.vrid,
                advert.priority,
                advert.interval,
                advert.ttl,
                advert.addresses,
                if advert.checksum_ok { "" } else { " BAD CHECKSUM" },
            ),
            Self::Arp(arp) => {
                let kind = if arp.operation == 1 { "request" } else { "reply" };
                write!(f, "ARP {kind} {} asks for {}", arp.sender, arp.target)
            }
            Self::Neighbor(na) => {
                write!(f, "NA {} > {} target {} flags {:#x}", na.from, na.to, na.target, na.flags)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    fn ipv4_frame(protocol: &str, to: &str, payload: &str) -> Vec<u8> {
        let payload = bytes(payload);
        let mut frame = bytes("01005e000012 020000000001 0800 45c0");
        frame.extend(u16::try_from(20 + payload.len()).unwrap().to_be_bytes());
        frame.extend(bytes(&format!("0001 0000 ff{protocol} 0000 0a090001 {to}")));
        frame.extend(payload);
        frame
    }

    #[test]
    fn reads_version_2_with_a_password() {
        let frame =
            ipv4_frame("70", "e0000012", "21339602 0101c56f 0a090064 0a090065 7365637265743132");
        let Some(Packet::Advert(advert)) = parse(&frame) else { panic!("an advertisement") };
        assert_eq!((advert.version, advert.vrid, advert.priority), (2, 51, 150));
        assert_eq!((advert.auth_type, advert.interval), (1, 1));
        assert_eq!(advert.auth_data, b"secret12");
        assert_eq!(advert.addresses.len(), 2);
        assert!(advert.checksum_ok);
    }

    #[test]
    fn reads_version_3_and_its_pseudo_header() {
        let mut frame = ipv4_frame("70", "e0000012", "31356401 0064755c 0a090067");
        let Some(Packet::Advert(advert)) = parse(&frame) else { panic!("an advertisement") };
        assert_eq!((advert.version, advert.vrid, advert.interval), (3, 53, 100));
        assert!(advert.checksum_ok);
        // One bit in the priority.
        frame[14 + 20 + 2] ^= 1;
        let Some(Packet::Advert(advert)) = parse(&frame) else { panic!("an advertisement") };
        assert!(!advert.checksum_ok);
    }

    #[test]
    fn reads_the_authentication_header() {
        let frame = ipv4_frame(
            "33",
            "e0000012",
            "70040000 0a090001 00000001 d4ef13d502502213da6d6d10
             21376401 02016e54 0a090069 0000000000000000",
        );
        let Some(Packet::Advert(advert)) = parse(&frame) else { panic!("an advertisement") };
        let ah = advert.ah.expect("authenticated");
        assert_eq!((ah.spi, ah.sequence, ah.icv.len()), (0x0a09_0001, 1, 12));
        assert!(advert.checksum_ok);
    }

    #[test]
    fn anything_cut_short_is_nothing() {
        let frame = ipv4_frame("70", "e0000012", "31356401 0064755c 0a090067");
        for length in 0..frame.len() {
            assert_eq!(parse(&frame[..length]), None, "{length} bytes");
        }
    }
}
