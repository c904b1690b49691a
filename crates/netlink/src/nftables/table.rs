//! The table of one family: its messages, and how sets follow a changed firewall.

use std::net::IpAddr;

use super::expression::{Base, Expression, Interface, be32};
use super::{Closed, Firewall, NftablesOptions, Vmac};
use crate::Family;
use crate::codec::{NLM_F_APPEND, NLM_F_CREATE, Writer};

const NFT_MSG_NEWTABLE: u16 = 0;
const NFT_MSG_DELTABLE: u16 = 2;
const NFT_MSG_NEWCHAIN: u16 = 3;
const NFT_MSG_NEWRULE: u16 = 6;
const NFT_MSG_NEWSET: u16 = 9;
const NFT_MSG_NEWSETELEM: u16 = 12;
const NFT_MSG_DELSETELEM: u16 = 14;
const NFT_SET_MAP: u32 = 8;
const NF_INET_LOCAL_IN: u32 = 1;
const NF_INET_LOCAL_OUT: u32 = 3;
const NF_ACCEPT: u32 = 1;
/// How nft names the types of keys; it prints the sets by them.
const TYPE_IPV4: u32 = 7;
const TYPE_IPV6: u32 = 8;
const TYPE_IFINDEX: u32 = 20;
/// Types of a concatenation are packed into one number.
const TYPE_BITS: u32 = 6;
/// Elements of one message: all together must fit into one attribute of 64 KiB.
const ELEMENTS: usize = 1000;

const CLOSED: &str = "closed";
const CLOSED_ON: &str = "closed_on";
const VMAC_PARENT: &str = "vmac_parent";
const VMACS: &str = "vmacs";

/// A message of a transaction.
#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) kind: u16,
    pub(super) flags: u16,
    pub(super) body: Vec<u8>,
}

/// Messages that belong into one transaction.
#[derive(Debug, Clone)]
pub(super) struct Change(Vec<Message>);

impl Change {
    pub(super) fn messages(&self) -> impl Iterator<Item = &Message> {
        self.0.iter()
    }

    /// Bytes that it takes in a transaction, headers included.
    pub(super) fn size(&self) -> usize {
        self.0.iter().map(|message| message.body.len() + 20).sum()
    }
}

/// The table of one family.
#[derive(Debug)]
pub(super) struct Table<'a> {
    family: Family,
    options: &'a NftablesOptions,
}

impl<'a> Table<'a> {
    pub(super) fn new(family: Family, options: &'a NftablesOptions) -> Self {
        Self { family, options }
    }

    /// Removes the table, whether it exists or not.
    pub(super) fn removal(&self) -> Change {
        let name = |writer: &mut Writer| writer.attr_str(1, &self.options.table);
        Change(vec![
            self.message(NFT_MSG_NEWTABLE, NLM_F_CREATE, name),
            self.message(NFT_MSG_DELTABLE, 0, name),
        ])
    }

    /// Creates the table with its sets (still empty), chains and rules.
    pub(super) fn creation(&self) -> Change {
        let mut messages = vec![self.message(NFT_MSG_NEWTABLE, NLM_F_CREATE, |writer| {
            writer.attr_str(1, &self.options.table);
            be32(writer, 2, 0);
        })];
        let (ip_type, ip_len) = match self.family {
            Family::V4 => (TYPE_IPV4, 4),
            Family::V6 => (TYPE_IPV6, 16),
        };
        let pair = ip_type << TYPE_BITS | TYPE_IFINDEX;
        messages.push(self.set(1, CLOSED, ip_type, ip_len, false));
        messages.push(self.set(2, CLOSED_ON, pair, ip_len + 4, false));
        messages.push(self.set(3, VMAC_PARENT, TYPE_IFINDEX, 4, true));
        if self.family == Family::V6 {
            messages.push(self.set(4, VMACS, TYPE_IFINDEX, 4, false));
        }
        messages.push(self.chain("output", NF_INET_LOCAL_OUT));
        messages.push(self.chain("input", NF_INET_LOCAL_IN));
        self.rules(&mut messages);
        Change(messages)
    }

    /// Adds and removes elements, so that the sets hold what is wanted.
    pub(super) fn element_changes(
        &self,
        before: &Firewall,
        wanted: &Firewall,
        changes: &mut Vec<Change>,
    ) {
        let closed = |firewall: &Firewall, other: &Firewall, limited: bool| -> Vec<Element> {
            firewall
                .closed
                .difference(&other.closed)
                .filter(|it| Family::of(it.ip) == self.family && it.ifindex.is_some() == limited)
                .map(Element::closed)
                .collect()
        };
        let vmacs = |firewall: &Firewall, other: &Firewall, map: bool| -> Vec<Element> {
            firewall
                .vmacs
                .difference(&other.vmacs)
                .filter(|it| it.family == self.family)
                .map(|vmac| Element::vmac(vmac, map))
                .collect()
        };
        // An element whose value changes is removed and added; so removals come first.
        for (kind, to, from) in
            [(NFT_MSG_DELSETELEM, before, wanted), (NFT_MSG_NEWSETELEM, wanted, before)]
        {
            self.elements(kind, CLOSED, &closed(to, from, false), changes);
            self.elements(kind, CLOSED_ON, &closed(to, from, true), changes);
            self.elements(kind, VMAC_PARENT, &vmacs(to, from, true), changes);
            if self.family == Family::V6 {
                self.elements(kind, VMACS, &vmacs(to, from, false), changes);
            }
        }
    }

    fn rules(&self, messages: &mut Vec<Message>) {
        use Expression::{
            Accept, Address, AddressOn, Byte, Counter, Drop, Duplicate, OutgoingIn, Protocol,
        };
        const ICMPV6: u8 = 58;
        let (source, destination, len) = match self.family {
            Family::V4 => (12, 16, 4),
            Family::V6 => (8, 24, 16),
        };
        let icmp_type = |from: u8, to: u8| Byte { base: Base::Transport, offset: 0, from, to };
        let duplicate = Duplicate { offset: destination, len, map: VMAC_PARENT };
        let mut add = |chain: &str, expressions: &[Expression<'_>]| {
            messages.push(self.rule(chain, expressions));
        };
        match self.family {
            Family::V4 => {
                // Protocol 2 is IGMP.
                let igmp = Byte { base: Base::Network, offset: 9, from: 2, to: 2 };
                add("output", &[igmp, duplicate, Counter, Drop]);
            }
            Family::V6 => {
                // Reports and dones of MLDv1, reports of MLDv2.
                for (from, to) in [(131, 132), (143, 143)] {
                    let mld = icmp_type(from, to);
                    add("output", &[Protocol(ICMPV6), mld, duplicate, Counter, Drop]);
                }
                // A VMAC asks no router: its addresses are ours to set.
                let solicitation = icmp_type(133, 133);
                let from_vmac = OutgoingIn { set: VMACS };
                add("output", &[Protocol(ICMPV6), solicitation, from_vmac, Counter, Drop]);
                // An address that takes no traffic is still resolved (RFC 9568, section 6.1).
                let neighbours = icmp_type(135, 136);
                for chain in ["output", "input"] {
                    add(chain, &[Protocol(ICMPV6), neighbours, Counter, Accept]);
                }
            }
        }
        for (chain, offset, interface) in
            [("output", source, Interface::Outgoing), ("input", destination, Interface::Incoming)]
        {
            add(chain, &[Address { offset, len, set: CLOSED }, Counter, Drop]);
            let on = AddressOn { offset, len, interface, set: CLOSED_ON };
            add(chain, &[on, Counter, Drop]);
        }
    }

    fn message(&self, kind: u16, flags: u16, fill: impl FnOnce(&mut Writer)) -> Message {
        let mut writer = Writer::with_capacity(256);
        writer.put(&[self.family.to_kernel(), 0, 0, 0]);
        fill(&mut writer);
        Message { kind, flags, body: writer.bytes().to_vec() }
    }

    fn set(&self, id: u32, name: &str, key_type: u32, key_len: u32, is_map: bool) -> Message {
        self.message(NFT_MSG_NEWSET, NLM_F_CREATE, |writer| {
            writer.attr_str(1, &self.options.table);
            writer.attr_str(2, name);
            be32(writer, 3, if is_map { NFT_SET_MAP } else { 0 });
            be32(writer, 4, key_type);
            be32(writer, 5, key_len);
            if is_map {
                be32(writer, 6, TYPE_IFINDEX);
                be32(writer, 7, 4);
            }
            be32(writer, 10, id);
            if key_type == TYPE_IFINDEX {
                // Notes for nft's printing, not for the kernel: keys (and values) in host order.
                const HOST_ORDER: [u8; 4] = 1_u32.to_ne_bytes();
                let note = |kind: u8| [[kind, 4].as_slice(), &HOST_ORDER].concat();
                let values = if is_map { note(1) } else { Vec::new() };
                writer.attr(13, &[note(0), values].concat());
            }
        })
    }

    fn chain(&self, name: &str, hook: u32) -> Message {
        self.message(NFT_MSG_NEWCHAIN, NLM_F_CREATE, |writer| {
            writer.attr_str(1, &self.options.table);
            writer.attr_str(3, name);
            writer.nest(4, |inner| {
                be32(inner, 1, hook);
                inner.attr(2, &self.options.priority.to_be_bytes());
            });
            be32(writer, 5, NF_ACCEPT);
            writer.attr_str(7, "filter");
        })
    }

    fn rule(&self, chain: &str, expressions: &[Expression<'_>]) -> Message {
        self.message(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, |writer| {
            writer.attr_str(1, &self.options.table);
            writer.attr_str(2, chain);
            writer.nest(4, |list| {
                for expression in expressions {
                    if self.options.counters || !matches!(expression, Expression::Counter) {
                        expression.put(list);
                    }
                }
            });
        })
    }

    fn elements(&self, kind: u16, set: &str, elements: &[Element], changes: &mut Vec<Change>) {
        let flags = if kind == NFT_MSG_NEWSETELEM { NLM_F_CREATE } else { 0 };
        for chunk in elements.chunks(ELEMENTS) {
            changes.push(Change(vec![self.message(kind, flags, |writer| {
                writer.attr_str(1, &self.options.table);
                writer.attr_str(2, set);
                writer.nest(3, |list| {
                    for element in chunk {
                        list.nest(1, |item| {
                            item.nest(1, |key| key.attr(1, &element.key));
                            if let Some(value) = &element.value {
                                item.nest(2, |data| data.attr(1, value));
                            }
                        });
                    }
                });
            })]));
        }
    }
}

/// An element of a set or map, as bytes: addresses in network order, interfaces in host order.
#[derive(Debug, Clone)]
struct Element {
    key: Vec<u8>,
    value: Option<[u8; 4]>,
}

impl Element {
    fn closed(closed: &Closed) -> Self {
        let mut key = match closed.ip {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        if let Some(ifindex) = closed.ifindex {
            key.extend_from_slice(&ifindex.to_ne_bytes());
        }
        Self { key, value: None }
    }

    fn vmac(vmac: &Vmac, map: bool) -> Self {
        let value = map.then(|| vmac.parent.to_ne_bytes());
        Self { key: vmac.ifindex.to_ne_bytes().to_vec(), value }
    }
}
