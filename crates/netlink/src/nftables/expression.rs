//! The few nftables expressions that our rules are made of. Integers are big-endian attributes.

use crate::codec::Writer;

const NFTA_LIST_ELEM: u16 = 1;
const NFTA_EXPR_NAME: u16 = 1;
const NFTA_EXPR_DATA: u16 = 2;
const NFTA_DATA_VALUE: u16 = 1;
const NFTA_DATA_VERDICT: u16 = 2;
const NFTA_VERDICT_CODE: u16 = 1;

/// The first 16-byte register.
const REG_1: u32 = 1;
/// The second one.
const REG_2: u32 = 2;
/// The second 4-byte part of the first one.
const REG32_01: u32 = 9;
/// The register that a verdict goes to.
const REG_VERDICT: u32 = 0;

/// One step of a rule.
#[derive(Debug, Clone, Copy)]
pub(super) enum Expression<'a> {
    /// Goes on if one byte of a header is within a range.
    Byte { base: Base, offset: u32, from: u8, to: u8 },
    /// Goes on if the layer 4 protocol is this one.
    Protocol(u8),
    /// Goes on if this part of the network header is in the set.
    Address { offset: u32, len: u32, set: &'a str },
    /// Goes on if this part of the network header together with an interface is in the set.
    AddressOn { offset: u32, len: u32, interface: Interface, set: &'a str },
    /// Goes on if the outgoing interface is in the set.
    OutgoingIn { set: &'a str },
    /// Goes on if the outgoing interface is in the map, and sends a copy to the destination (this
    /// part of the network header) out of the interface that the map names.
    Duplicate { offset: u32, len: u32, map: &'a str },
    /// Counts.
    Counter,
    /// Ends with "drop".
    Drop,
    /// Ends with "accept" for this chain.
    Accept,
}

/// Which header a payload offset counts from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Base {
    Network = 1,
    Transport = 2,
}

/// Which interface of a packet.
#[derive(Debug, Clone, Copy)]
pub(super) enum Interface {
    Incoming = 4,
    Outgoing = 5,
}

impl Expression<'_> {
    /// Writes the list elements of this step.
    pub(super) fn put(self, writer: &mut Writer) {
        match self {
            Self::Byte { base, offset, from, to } => {
                payload(writer, REG_1, base, offset, 1);
                if from == to {
                    compare(writer, REG_1, Comparison::Equal, from);
                } else {
                    compare(writer, REG_1, Comparison::AtLeast, from);
                    compare(writer, REG_1, Comparison::AtMost, to);
                }
            }
            Self::Protocol(protocol) => {
                const NFT_META_L4PROTO: u32 = 16;
                meta(writer, REG_1, NFT_META_L4PROTO);
                compare(writer, REG_1, Comparison::Equal, protocol);
            }
            Self::Address { offset, len, set } => {
                payload(writer, REG_1, Base::Network, offset, len);
                lookup(writer, set, REG_1, None);
            }
            Self::AddressOn { offset, len, interface, set } => {
                payload(writer, REG_1, Base::Network, offset, len);
                let next = if len > 4 { REG_2 } else { REG32_01 };
                meta(writer, next, interface as u32);
                lookup(writer, set, REG_1, None);
            }
            Self::OutgoingIn { set } => {
                meta(writer, REG_1, Interface::Outgoing as u32);
                lookup(writer, set, REG_1, None);
            }
            Self::Duplicate { offset, len, map } => {
                payload(writer, REG_1, Base::Network, offset, len);
                meta(writer, REG_2, Interface::Outgoing as u32);
                lookup(writer, map, REG_2, Some(REG_2));
                element(writer, "dup", |data| {
                    be32(data, 1, REG_1);
                    be32(data, 2, REG_2);
                });
            }
            Self::Counter => element(writer, "counter", |_| {}),
            Self::Drop => verdict(writer, 0),
            Self::Accept => verdict(writer, 1),
        }
    }
}

/// An attribute with a big-endian integer.
pub(super) fn be32(writer: &mut Writer, kind: u16, value: u32) {
    writer.attr(kind, &value.to_be_bytes());
}

#[derive(Debug, Clone, Copy)]
enum Comparison {
    Equal = 0,
    AtMost = 3,
    AtLeast = 5,
}

fn element(writer: &mut Writer, name: &str, fill: impl FnOnce(&mut Writer)) {
    writer.nest(NFTA_LIST_ELEM, |element| {
        element.attr_str(NFTA_EXPR_NAME, name);
        element.nest(NFTA_EXPR_DATA, fill);
    });
}

fn payload(writer: &mut Writer, register: u32, base: Base, offset: u32, len: u32) {
    element(writer, "payload", |data| {
        be32(data, 1, register);
        be32(data, 2, base as u32);
        be32(data, 3, offset);
        be32(data, 4, len);
    });
}

fn meta(writer: &mut Writer, register: u32, key: u32) {
    element(writer, "meta", |data| {
        be32(data, 1, register);
        be32(data, 2, key);
    });
}

fn compare(writer: &mut Writer, register: u32, how: Comparison, value: u8) {
    element(writer, "cmp", |data| {
        be32(data, 1, register);
        be32(data, 2, how as u32);
        data.nest(3, |inner| inner.attr_u8(NFTA_DATA_VALUE, value));
    });
}

fn lookup(writer: &mut Writer, set: &str, register: u32, result: Option<u32>) {
    element(writer, "lookup", |data| {
        data.attr_str(1, set);
        be32(data, 2, register);
        if let Some(result) = result {
            be32(data, 3, result);
        }
    });
}

fn verdict(writer: &mut Writer, code: u32) {
    element(writer, "immediate", |data| {
        be32(data, 1, REG_VERDICT);
        data.nest(2, |inner| {
            inner.nest(NFTA_DATA_VERDICT, |verdict| be32(verdict, NFTA_VERDICT_CODE, code));
        });
    });
}
