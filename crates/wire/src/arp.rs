//! ARP for IPv4 (RFC 826) over Ethernet or InfiniBand (RFC 4391 §9.1): the gratuitous kind that
//! tells neighbours where a virtual address lives now (RFC 5227 §3).

use std::fmt;
use std::net::Ipv4Addr;

use crate::error::at_least;
use crate::hardware::write_bytes;
use crate::{Error, Format, HardwareAddress};

/// Bytes before the addresses.
pub const FIXED_LEN: usize = 8;

const PROTOCOL_IPV4: u16 = 0x0800;

/// The operation field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// 1: who has?
    Request,
    /// 2: it is at …
    Reply,
    /// Anything else
    Unknown(u16),
}

impl From<u16> for Operation {
    fn from(value: u16) -> Self {
        match value {
            1 => Self::Request,
            2 => Self::Reply,
            other => Self::Unknown(other),
        }
    }
}

impl From<Operation> for u16 {
    fn from(value: Operation) -> Self {
        match value {
            Operation::Request => 1,
            Operation::Reply => 2,
            Operation::Unknown(other) => other,
        }
    }
}

/// A view of an ARP packet of any hardware and protocol.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    fixed: &'a [u8; FIXED_LEN],
    sender_hardware: &'a [u8],
    sender_protocol: &'a [u8],
    target_hardware: &'a [u8],
    target_protocol: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Views `bytes`, the payload of a frame; padding behind is allowed.
    ///
    /// # Errors
    /// [`Error::Truncated`] if there are fewer bytes than the two length fields ask for.
    pub fn new_checked(bytes: &'a [u8]) -> Result<Self, Error> {
        let fixed: &[u8; FIXED_LEN] =
            at_least(Format::Arp, bytes, FIXED_LEN)?.first_chunk().expect("length checked above");
        let hardware = usize::from(fixed[4]);
        let protocol = usize::from(fixed[5]);
        let bytes = at_least(Format::Arp, bytes, FIXED_LEN + 2 * (hardware + protocol))?;
        let (sender_hardware, rest) = bytes[FIXED_LEN..].split_at(hardware);
        let (sender_protocol, rest) = rest.split_at(protocol);
        let (target_hardware, rest) = rest.split_at(hardware);
        let target_protocol = &rest[..protocol];
        Ok(Self { fixed, sender_hardware, sender_protocol, target_hardware, target_protocol })
    }

    /// The hardware type: 1 Ethernet, 32 InfiniBand.
    pub fn hardware_type(&self) -> u16 {
        u16::from_be_bytes([self.fixed[0], self.fixed[1]])
    }

    /// The protocol type, an EtherType: 0x0800.
    pub fn protocol_type(&self) -> u16 {
        u16::from_be_bytes([self.fixed[2], self.fixed[3]])
    }

    /// The operation.
    pub fn operation(&self) -> Operation {
        u16::from_be_bytes([self.fixed[6], self.fixed[7]]).into()
    }

    /// The sender's hardware address.
    pub fn sender_hardware(&self) -> &'a [u8] {
        self.sender_hardware
    }

    /// The sender's protocol address.
    pub fn sender_protocol(&self) -> &'a [u8] {
        self.sender_protocol
    }

    /// The target's hardware address.
    pub fn target_hardware(&self) -> &'a [u8] {
        self.target_hardware
    }

    /// The target's protocol address.
    pub fn target_protocol(&self) -> &'a [u8] {
        self.target_protocol
    }
}

impl fmt::Display for Packet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(repr) = Repr::parse(self) else {
            return write!(
                f,
                "ARP hardware {} protocol {:#06x} operation {}",
                self.hardware_type(),
                self.protocol_type(),
                u16::from(self.operation()),
            );
        };
        if repr.is_gratuitous() {
            f.write_str("gratuitous ")?;
        }
        let Repr { sender, sender_address, target, target_address, .. } = repr;
        match repr.operation {
            Operation::Request => f.write_str("ARP request")?,
            Operation::Reply => f.write_str("ARP reply")?,
            Operation::Unknown(other) => write!(f, "ARP operation {other}")?,
        }
        write!(f, " {sender_address} at {sender} > {target_address} at ")?;
        write_bytes(f, target.as_slice())
    }
}

impl fmt::Debug for Packet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What an ARP packet for IPv4 says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Repr {
    operation: Operation,
    sender: HardwareAddress,
    sender_address: Ipv4Addr,
    target: HardwareAddress,
    target_address: Ipv4Addr,
}

impl Repr {
    /// A packet with these fields, or `None` if the two hardware addresses are not of one kind.
    pub fn new(
        operation: Operation,
        (sender, sender_address): (HardwareAddress, Ipv4Addr),
        (target, target_address): (HardwareAddress, Ipv4Addr),
    ) -> Option<Self> {
        if sender.arp_type() != target.arp_type() {
            return None;
        }
        Some(Self { operation, sender, sender_address, target, target_address })
    }

    /// The announcement that Keepalived sends: a *request* for `address` from itself, with the
    /// link's broadcast address as target hardware. `None` if the addresses are not of one kind.
    pub fn gratuitous_request(
        hardware: HardwareAddress,
        broadcast: HardwareAddress,
        address: Ipv4Addr,
    ) -> Option<Self> {
        Self::new(Operation::Request, (hardware, address), (broadcast, address))
    }

    /// The announcement as a *reply*, for neighbours that heed only these; the target hardware is
    /// the sender's own (RFC 5944 §4.6).
    pub fn gratuitous_reply(hardware: HardwareAddress, address: Ipv4Addr) -> Self {
        Self {
            operation: Operation::Reply,
            sender: hardware,
            sender_address: address,
            target: hardware,
            target_address: address,
        }
    }

    /// Reads a packet.
    ///
    /// # Errors
    /// [`Error::BadType`] if the protocol is not IPv4 or the hardware neither Ethernet nor
    /// InfiniBand, [`Error::BadLength`] if the addresses have not the length of their type.
    pub fn parse(packet: &Packet<'_>) -> Result<Self, Error> {
        let format = Format::Arp;
        if packet.protocol_type() != PROTOCOL_IPV4 {
            return Err(Error::BadType { format, got: packet.protocol_type().into() });
        }
        let hardware = |bytes: &[u8]| {
            let known = HardwareAddress::from_slice(bytes);
            let known = known.ok_or(Error::BadLength { format, got: bytes.len() })?;
            if known.arp_type() != packet.hardware_type() {
                return Err(Error::BadType { format, got: packet.hardware_type().into() });
            }
            Ok(known)
        };
        let address = |bytes: &[u8]| match <[u8; 4]>::try_from(bytes) {
            Ok(octets) => Ok(Ipv4Addr::from(octets)),
            Err(_) => Err(Error::BadLength { format, got: bytes.len() }),
        };
        Ok(Self {
            operation: packet.operation(),
            sender: hardware(packet.sender_hardware)?,
            sender_address: address(packet.sender_protocol)?,
            target: hardware(packet.target_hardware)?,
            target_address: address(packet.target_protocol)?,
        })
    }

    /// Whether sender and target address are the same: an announcement.
    pub fn is_gratuitous(&self) -> bool {
        self.sender_address == self.target_address
    }

    /// The operation.
    pub fn operation(&self) -> Operation {
        self.operation
    }

    /// The sender's hardware and IPv4 address.
    pub fn sender(&self) -> (HardwareAddress, Ipv4Addr) {
        (self.sender, self.sender_address)
    }

    /// The target's hardware and IPv4 address.
    pub fn target(&self) -> (HardwareAddress, Ipv4Addr) {
        (self.target, self.target_address)
    }

    /// Bytes that [`emit`](Self::emit) appends: 28 for Ethernet, 56 for InfiniBand.
    pub fn buffer_len(&self) -> usize {
        FIXED_LEN + 2 * (self.sender.as_slice().len() + 4)
    }

    /// Appends the packet.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.sender.arp_type().to_be_bytes());
        out.extend_from_slice(&PROTOCOL_IPV4.to_be_bytes());
        out.extend_from_slice(&[self.sender.as_slice().len() as u8, 4]); // 6 or 20
        out.extend_from_slice(&u16::from(self.operation).to_be_bytes());
        out.extend_from_slice(self.sender.as_slice());
        out.extend_from_slice(&self.sender_address.octets());
        out.extend_from_slice(self.target.as_slice());
        out.extend_from_slice(&self.target_address.octets());
    }
}
