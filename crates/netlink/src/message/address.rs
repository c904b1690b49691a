//! `RTM_NEWADDR` and `RTM_DELADDR`: `struct ifaddrmsg` and its attributes.

use std::net::IpAddr;

use crate::codec::{Message, Writer, u32_at};
use crate::{Address, AddressFlags, FOREVER, Family, KernelError};

pub(crate) const RTM_NEWADDR: u16 = 20;
pub(crate) const RTM_DELADDR: u16 = 21;
pub(crate) const RTM_GETADDR: u16 = 22;

const FIXED: usize = 8;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_LABEL: u16 = 3;
const IFA_BROADCAST: u16 = 4;
const IFA_CACHEINFO: u16 = 6;
const IFA_FLAGS: u16 = 8;
const IFA_PROTO: u16 = 11;

/// Writes fixed part and attributes. For a removal only what identifies the address is written:
/// the kernel would compare labels and the rest, and refuse.
pub(crate) fn put(
    address: &Address,
    removal: bool,
    writer: &mut Writer,
) -> Result<(), KernelError> {
    let flags = address.flags & AddressFlags::SETTABLE;
    writer.put_u8(address.family().to_kernel());
    writer.put_u8(address.prefix_len);
    writer.put_u8(if removal { 0 } else { (flags.bits() & 0xff) as u8 });
    writer.put_u8(address.scope);
    writer.put_u32(address.ifindex);
    writer.attr_ip(IFA_LOCAL, address.ip);
    let other_end = address.peer.unwrap_or(address.ip);
    if Family::of(other_end) != address.family() {
        return Err(KernelError::Unsupported("peer of another family than the address"));
    }
    // Without this attribute a removal would ignore the prefix length.
    writer.attr_ip(IFA_ADDRESS, other_end);
    if removal {
        return Ok(());
    }
    if address.family() == Family::V4 {
        if let Some(broadcast) = address.broadcast {
            writer.attr_ip(IFA_BROADCAST, IpAddr::V4(broadcast));
        }
        if let Some(label) = &address.label {
            super::link::check_name(label)?;
            writer.attr_str(IFA_LABEL, label);
        }
    }
    if flags.bits() > 0xff {
        writer.attr_u32(IFA_FLAGS, flags.bits());
    }
    if address.preferred_lft != FOREVER || address.valid_lft != FOREVER {
        writer.enclose(IFA_CACHEINFO, |inner| {
            inner.put_u32(address.preferred_lft);
            inner.put_u32(address.valid_lft);
            inner.put_u32(0);
            inner.put_u32(0);
        });
    }
    if address.proto != 0 {
        writer.attr_u8(IFA_PROTO, address.proto);
    }
    Ok(())
}

/// Reads an address; none when it is of another family or incomplete.
pub(crate) fn parse(message: &Message<'_>) -> Option<Address> {
    let (head, attributes) = message.split(FIXED)?;
    let family = Family::from_kernel(head[0])?;
    let mut address = Address {
        ifindex: u32_at(head, 4)?,
        ip: family.unspecified(),
        prefix_len: head[1],
        broadcast: None,
        label: None,
        scope: head[3],
        peer: None,
        flags: AddressFlags::from_bits_retain(u32::from(head[2])),
        preferred_lft: FOREVER,
        valid_lft: FOREVER,
        proto: 0,
    };
    let (mut local, mut other_end) = (None, None);
    for attribute in attributes {
        match attribute.kind {
            IFA_LOCAL => local = attribute.ip(),
            IFA_ADDRESS => other_end = attribute.ip(),
            IFA_BROADCAST => {
                address.broadcast = match attribute.ip() {
                    Some(IpAddr::V4(ip)) => Some(ip),
                    _ => None,
                }
            }
            IFA_LABEL => address.label = Some(attribute.text()),
            IFA_FLAGS => {
                if let Some(bits) = attribute.u32() {
                    address.flags = AddressFlags::from_bits_retain(bits);
                }
            }
            IFA_CACHEINFO => {
                address.preferred_lft = u32_at(attribute.data, 0).unwrap_or(FOREVER);
                address.valid_lft = u32_at(attribute.data, 4).unwrap_or(FOREVER);
            }
            IFA_PROTO => address.proto = attribute.u8().unwrap_or(0),
            _ => {}
        }
    }
    address.ip = local.or(other_end)?;
    address.peer = other_end.filter(|ip| *ip != address.ip);
    (Family::of(address.ip) == family).then_some(address)
}

/// Writes the dump request of one family, for one interface unless `ifindex` is 0.
pub(crate) fn put_dump(family: Family, ifindex: u32, writer: &mut Writer) {
    writer.put_u8(family.to_kernel());
    writer.put(&[0; 3]);
    writer.put_u32(ifindex);
}
