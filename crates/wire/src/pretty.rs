//! One line for any frame or datagram, layer by layer, as far as it can be read.
//!
//! ```
//! let frame = [0xff; 60];
//! assert_eq!(
//!     wire::pretty::Frame(&frame).to_string(),
//!     "Ethernet ff:ff:ff:ff:ff:ff > ff:ff:ff:ff:ff:ff 0xffff | 46 bytes",
//! );
//! ```

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use crate::ethernet::EtherType;
use crate::{Family, ah, arp, ethernet, hmac_ext, ipv4, ipv6, ndp, vrrp};

/// Prints an Ethernet frame and what is in it.
#[derive(Clone, Copy)]
pub struct Frame<'a>(
    /// The frame's bytes.
    pub &'a [u8],
);

/// Prints an IPv4 or IPv6 datagram and what is in it.
#[derive(Clone, Copy)]
pub struct Datagram<'a>(
    /// The datagram's bytes.
    pub &'a [u8],
);

impl fmt::Display for Frame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let frame = match ethernet::Packet::new_checked(self.0) {
            Ok(frame) => frame,
            Err(error) => return write!(f, "({error})"),
        };
        write!(f, "{frame} | ")?;
        match frame.ethertype() {
            EtherType::Ipv4 | EtherType::Ipv6 => Datagram(frame.payload()).fmt(f),
            EtherType::Arp => show(f, arp::Packet::new_checked(frame.payload())),
            EtherType::Unknown(_) => opaque(f, frame.payload()),
        }
    }
}

impl fmt::Display for Datagram<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.first().is_some_and(|first| first >> 4 == 6) {
            return match ipv6::Packet::new_checked(self.0) {
                Ok(packet) => in_ipv6(f, &packet),
                Err(error) => write!(f, "({error})"),
            };
        }
        match ipv4::Packet::new_checked(self.0) {
            Ok(packet) => in_ipv4(f, &packet),
            Err(error) => write!(f, "({error})"),
        }
    }
}

fn in_ipv4(f: &mut fmt::Formatter<'_>, packet: &ipv4::Packet<'_>) -> fmt::Result {
    write!(f, "{packet} | ")?;
    let (source, destination) = (packet.source().into(), packet.destination().into());
    match packet.protocol() {
        vrrp::PROTOCOL => in_vrrp(f, packet.payload(), source, destination),
        ah::PROTOCOL => match ah::Packet::new_checked(packet.payload()) {
            Ok(header) => {
                write!(f, "{header} | ")?;
                if header.next_header() == vrrp::PROTOCOL {
                    in_vrrp(f, header.payload(), source, destination)
                } else {
                    opaque(f, header.payload())
                }
            }
            Err(error) => write!(f, "({error})"),
        },
        _ => opaque(f, packet.payload()),
    }
}

fn in_ipv6(f: &mut fmt::Formatter<'_>, packet: &ipv6::Packet<'_>) -> fmt::Result {
    write!(f, "{packet} | ")?;
    let (source, destination) = (packet.source(), packet.destination());
    match packet.next_header() {
        vrrp::PROTOCOL => in_vrrp(f, packet.payload(), source.into(), destination.into()),
        ndp::PROTOCOL => in_icmpv6(f, packet.payload(), source, destination),
        _ => opaque(f, packet.payload()),
    }
}

fn in_vrrp(
    f: &mut fmt::Formatter<'_>,
    payload: &[u8],
    source: IpAddr,
    destination: IpAddr,
) -> fmt::Result {
    let packet = match vrrp::Packet::new_checked(payload, Family::of(&source)) {
        Ok(packet) => packet,
        Err(error) => return write!(f, "({error})"),
    };
    write!(f, "{packet}")?;
    match packet.checksum_form(source, destination) {
        Some(form) if form == vrrp::ChecksumForm::usual(packet.version(), packet.family()) => {}
        Some(form) => write!(f, " (checksum {form})")?,
        None => f.write_str(" (bad checksum)")?,
    }
    match hmac_ext::Trailer::new_checked(packet.trailing()) {
        Ok(trailer) if trailer.is_well_formed() => write!(f, " | {trailer}"),
        _ => Ok(()),
    }
}

fn in_icmpv6(
    f: &mut fmt::Formatter<'_>,
    payload: &[u8],
    source: Ipv6Addr,
    destination: Ipv6Addr,
) -> fmt::Result {
    match ndp::Packet::new_checked(payload) {
        Ok(packet) => {
            write!(f, "{packet}")?;
            if !packet.verify_checksum(source, destination) {
                f.write_str(" (bad checksum)")?;
            }
            Ok(())
        }
        // Other ICMPv6 messages are none of our business.
        Err(_) => opaque(f, payload),
    }
}

fn show<P: fmt::Display, E: fmt::Display>(
    f: &mut fmt::Formatter<'_>,
    packet: Result<P, E>,
) -> fmt::Result {
    match packet {
        Ok(packet) => write!(f, "{packet}"),
        Err(error) => write!(f, "({error})"),
    }
}

fn opaque(f: &mut fmt::Formatter<'_>, payload: &[u8]) -> fmt::Result {
    write!(f, "{} bytes", payload.len())
}
