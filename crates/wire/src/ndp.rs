//! The ICMPv6 neighbour advertisement (RFC 4861 §4.4): the unsolicited kind that tells neighbours
//! where a virtual IPv6 address lives now (§7.2.6).

use std::fmt;
use std::net::Ipv6Addr;

use crate::checksum::Sum;
use crate::error::at_least;
use crate::{Error, Format, HardwareAddress};

/// The IP protocol number of ICMPv6.
pub const PROTOCOL: u8 = 58;
/// The group that unsolicited advertisements go to: all nodes of the link.
pub const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// The hop limit; receivers drop any other.
pub const HOP_LIMIT: u8 = 255;
/// Bytes before the options.
pub const FIXED_LEN: usize = 24;

/// ICMPv6 type of a neighbour advertisement.
const ADVERTISEMENT: u8 = 136;
/// Option: target link-layer address.
const TARGET_LINK_LAYER: u8 = 2;
const CHECKSUM: std::ops::Range<usize> = 2..4;

const ROUTER: u8 = 0x80;
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;

/// A view of a neighbour advertisement.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    bytes: &'a [u8],
    fixed: &'a [u8; FIXED_LEN],
}

impl<'a> Packet<'a> {
    /// Views `bytes`, the payload of an IPv6 datagram of protocol 58.
    ///
    /// # Errors
    /// [`Error::Truncated`] under 24 bytes or if an option reaches beyond the end,
    /// [`Error::BadType`] if the type is not 136 with code 0, [`Error::BadLength`] for an option of
    /// length 0 (RFC 4861 §7.1.2).
    pub fn new_checked(bytes: &'a [u8]) -> Result<Self, Error> {
        let format = Format::NeighborAdvert;
        let fixed: &[u8; FIXED_LEN] =
            at_least(format, bytes, FIXED_LEN)?.first_chunk().expect("length checked above");
        if fixed[0] != ADVERTISEMENT || fixed[1] != 0 {
            let got = u16::from_be_bytes([fixed[0], fixed[1]]).into();
            return Err(Error::BadType { format, got });
        }
        let mut at = FIXED_LEN;
        while at < bytes.len() {
            at_least(format, bytes, at + 2)?;
            let len = usize::from(bytes[at + 1]) * 8;
            if len == 0 {
                return Err(Error::BadLength { format, got: 0 });
            }
            at_least(format, bytes, at + len)?;
            at += len;
        }
        Ok(Self { bytes, fixed })
    }

    /// The R flag: the sender is a router.
    pub fn router(&self) -> bool {
        self.fixed[4] & ROUTER != 0
    }

    /// The S flag: an answer to a solicitation.
    pub fn solicited(&self) -> bool {
        self.fixed[4] & SOLICITED != 0
    }

    /// The O flag: overrides what neighbours have in their caches.
    pub fn overrides(&self) -> bool {
        self.fixed[4] & OVERRIDE != 0
    }

    /// The address that is advertised.
    pub fn target(&self) -> Ipv6Addr {
        let target: &[u8; 16] = self.fixed.last_chunk().expect("16 of 24 bytes");
        (*target).into()
    }

    /// The options: type and body (padding included).
    pub fn options(&self) -> impl Iterator<Item = (u8, &'a [u8])> + use<'a> {
        let mut rest = &self.bytes[FIXED_LEN..];
        std::iter::from_fn(move || {
            // Lengths were checked by new_checked.
            let (&[kind, words], _) = rest.split_first_chunk()?;
            let (option, tail) = rest.split_at_checked(usize::from(words) * 8)?;
            rest = tail;
            Some((kind, option.get(2..)?))
        })
    }

    /// Where the target lives: the body of the first target link-layer address option. It is 6
    /// bytes for Ethernet, 20 and 2 of padding for InfiniBand.
    pub fn link_layer(&self) -> Option<&'a [u8]> {
        self.options().find(|&(kind, _)| kind == TARGET_LINK_LAYER).map(|(_, body)| body)
    }

    /// Whether the checksum is right between these addresses.
    pub fn verify_checksum(&self, source: Ipv6Addr, destination: Ipv6Addr) -> bool {
        sum(source, destination, self.bytes) == 0
    }
}

fn sum(source: Ipv6Addr, destination: Ipv6Addr, message: &[u8]) -> u16 {
    Sum::new()
        // A datagram's payload is at most 65,535 bytes.
        .pseudo_header(source.into(), destination.into(), PROTOCOL, message.len() as u32)
        .bytes(message)
        .finish()
}

impl fmt::Display for Packet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "neighbour advertisement {}", self.target())?;
        for (set, name) in
            [(self.router(), " R"), (self.solicited(), " S"), (self.overrides(), " O")]
        {
            if set {
                f.write_str(name)?;
            }
        }
        if let Some(body) = self.link_layer() {
            f.write_str(" at ")?;
            crate::hardware::write_bytes(f, body)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Packet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a neighbour advertisement says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Repr {
    /// The R flag: the sender forwards packets
    pub router: bool,
    /// The S flag: an answer to a solicitation
    pub solicited: bool,
    /// The O flag: overrides what neighbours have in their caches
    pub overrides: bool,
    /// The address that is advertised
    pub target: Ipv6Addr,
    /// Where it lives
    pub link_layer: Option<HardwareAddress>,
}

impl Repr {
    /// The announcement of an address that has just moved here; it goes from the address itself to
    /// [`ALL_NODES`].
    pub fn unsolicited(target: Ipv6Addr, hardware: HardwareAddress, router: bool) -> Self {
        Self { router, solicited: false, overrides: true, target, link_layer: Some(hardware) }
    }

    /// Reads an advertisement; options other than the link-layer address are left out.
    ///
    /// # Errors
    /// [`Error::BadLength`] if the link-layer address is neither of Ethernet nor of InfiniBand.
    pub fn parse(packet: &Packet<'_>) -> Result<Self, Error> {
        let link_layer = match packet.link_layer() {
            None => None,
            Some(body) => {
                // 20 bytes make an option of 22, and 2 of padding.
                let bare = body.first_chunk::<20>().map_or(body, |chunk| chunk);
                let known = HardwareAddress::from_slice(bare).filter(|_| body.len() <= 22);
                let format = Format::NeighborAdvert;
                Some(known.ok_or(Error::BadLength { format, got: body.len() })?)
            }
        };
        Ok(Self {
            router: packet.router(),
            solicited: packet.solicited(),
            overrides: packet.overrides(),
            target: packet.target(),
            link_layer,
        })
    }

    /// Bytes that [`emit`](Self::emit) appends.
    pub fn buffer_len(&self) -> usize {
        let option = self.link_layer.map_or(0, |hardware| option_len(&hardware));
        FIXED_LEN + option
    }

    /// Appends the ICMPv6 message with its checksum between these addresses.
    pub fn emit(&self, source: Ipv6Addr, destination: Ipv6Addr, out: &mut Vec<u8>) {
        let start = out.len();
        let flag = |set, bit| if set { bit } else { 0 };
        let flags = flag(self.router, ROUTER)
            | flag(self.solicited, SOLICITED)
            | flag(self.overrides, OVERRIDE);
        out.extend_from_slice(&[ADVERTISEMENT, 0, 0, 0, flags, 0, 0, 0]);
        out.extend_from_slice(&self.target.octets());
        if let Some(hardware) = self.link_layer {
            let end = out.len() + option_len(&hardware);
            out.extend_from_slice(&[TARGET_LINK_LAYER, (option_len(&hardware) / 8) as u8]); // 1 or 3
            out.extend_from_slice(hardware.as_slice());
            out.resize(end, 0);
        }
        let sum = sum(source, destination, &out[start..]);
        out[start..][CHECKSUM].copy_from_slice(&sum.to_be_bytes());
    }
}

/// Bytes of the option that carries `hardware`, a multiple of 8.
fn option_len(hardware: &HardwareAddress) -> usize {
    (2 + hardware.as_slice().len()).next_multiple_of(8)
}
