//! The role's VRRP sockets: one receiver for each interface, family and protocol, whatever the
//! number of virtual routers on it; one sender for each family.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::net::IpAddr;

use sys::event_loop::{EventLoop, Interest, Token};
use sys::vrrp_socket::{
    Family, PROTOCOL_AH, PROTOCOL_VRRP, Packet, Receiver, ReceiverConfig, RecvBatch, Sender,
};
use vrrp::{RouterConfig, Transmit, Transport};

/// What one receiver serves.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Place {
    /// The interface, as routers know it; `None` hears unicast on all of them.
    pub(crate) interface: Option<String>,
    /// The device on top of it to listen on (VMAC). What a peer sends with the virtual MAC that
    /// this node has as well, the kernel delivers to the VMAC alone.
    pub(crate) device: Option<String>,
    /// IPv6 instead of IPv4.
    pub(crate) v6: bool,
    /// IP protocol, 112 or 51.
    pub(crate) protocol: u8,
}

impl Place {
    fn listens_on(&self) -> Option<&str> {
        self.device.as_deref().or(self.interface.as_deref())
    }
}

/// What a configuration wants heard in one place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Multicast groups.
    pub(crate) groups: BTreeSet<IpAddr>,
    /// Virtual router ids. On a VMAC only these are listened to: adverts for others are heard on
    /// all VMACs of an interface, and must not count twice.
    pub(crate) vrids: BTreeSet<u8>,
    /// Bytes of receive buffer, if the system's default will not do.
    pub(crate) buffer: Option<usize>,
}

/// What the routers of a configuration want heard. `device_of` gives the device of its own that a
/// router sends from, `buffer_of` its buffer.
pub(crate) fn wanted<'a>(
    routers: impl Iterator<Item = &'a RouterConfig>,
    device_of: impl Fn(&RouterConfig) -> Option<String>,
    buffer_of: impl Fn(&RouterConfig) -> Option<usize>,
) -> HashMap<Place, Wanted> {
    let mut out: HashMap<Place, Wanted> = HashMap::new();
    for router in routers {
        let place = Place {
            interface: router.interface.as_ref().map(|i| i.name.clone()),
            device: device_of(router),
            v6: router.family == vrrp::Family::V6,
            protocol: match router.auth {
                vrrp::Auth::Ah(_) => PROTOCOL_AH,
                _ => PROTOCOL_VRRP,
            },
        };
        // A packet without AH where AH is configured must be seen to be refused, and the other way
        // round; the other protocol is listened to only where somebody wants it.
        let entry = out.entry(place).or_default();
        if let Transport::Multicast { group } = router.transport {
            entry.groups.insert(group);
        }
        entry.vrids.insert(router.vrid.get());
        entry.buffer = entry.buffer.max(buffer_of(router));
    }
    out
}

#[derive(Debug)]
struct Open {
    place: Place,
    receiver: Receiver,
    ifindex: Option<u32>,
    wanted: Wanted,
}

impl Open {
    /// Whether it will do as it is; which routers it serves can change.
    fn serves(&self, wanted: &Wanted) -> bool {
        (&self.wanted.groups, self.wanted.buffer) == (&wanted.groups, wanted.buffer)
    }

    /// Whether an advert is for a router that listens here.
    fn concerns(&self, datagram: &vrrp::Datagram<'_>) -> bool {
        self.place.device.is_none()
            || vrid_of(datagram).is_none_or(|vrid| self.wanted.vrids.contains(&vrid))
    }
}

/// The virtual router id of an advert, with or without an authentication header; `None` if it is
/// too short to have one.
fn vrid_of(datagram: &vrrp::Datagram<'_>) -> Option<u8> {
    let payload = match *datagram {
        vrrp::Datagram::V6 { payload, .. } => payload,
        vrrp::Datagram::V4 { bytes } => {
            let payload = bytes.get(usize::from(bytes.first()? & 0x0f) * 4..)?;
            if *bytes.get(9)? == PROTOCOL_AH {
                // RFC 4302 §2.2: the length in units of 4 bytes, less 2.
                payload.get((usize::from(*payload.get(1)?) + 2) * 4..)?
            } else {
                payload
            }
        }
    };
    payload.get(1).copied()
}

/// The open sockets.
pub(crate) struct Sockets {
    open: HashMap<u64, Open>,
    next_token: u64,
    v4: Option<Sender>,
    v6: Option<Sender>,
    batch: RecvBatch,
    /// Interface, family and protocol of those that serve one interface.
    served: HashSet<(u32, bool, u8)>,
    /// Places that cannot be opened, and why: told once.
    failed: HashMap<Place, String>,
}

/// Tokens of receivers begin here; the role's own are below.
pub(crate) const FIRST_TOKEN: u64 = 1000;

impl Sockets {
    pub(crate) fn new() -> Self {
        Self {
            open: HashMap::new(),
            next_token: FIRST_TOKEN,
            v4: None,
            v6: None,
            batch: RecvBatch::default(),
            served: HashSet::new(),
            failed: HashMap::new(),
        }
    }

    /// Opens what is wanted and closes what is not. Returns complaints that are news.
    pub(crate) fn sync(
        &mut self,
        wanted: &HashMap<Place, Wanted>,
        index_of: &dyn Fn(&str) -> Option<u32>,
        events: &EventLoop,
    ) -> Vec<String> {
        let stale: Vec<_> = self
            .open
            .iter()
            .filter(|(_, open)| {
                let index = open.place.listens_on().map(index_of);
                wanted.get(&open.place).is_none_or(|wanted| !open.serves(wanted))
                    || index.is_some_and(|index| index != open.ifindex)
            })
            .map(|(token, _)| *token)
            .collect();
        for token in stale {
            if let Some(open) = self.open.remove(&token) {
                // The descriptor is closed right behind this, which ends the watching too.
                let _ = events.deregister(&open.receiver);
            }
        }
        let mut complaints = Vec::new();
        for (place, wanted) in wanted {
            if let Some(open) = self.open.values_mut().find(|open| open.place == *place) {
                open.wanted.vrids.clone_from(&wanted.vrids);
                continue;
            }
            let ifindex = match place.listens_on() {
                None => None,
                Some(name) => match index_of(name) {
                    // It will be opened when the interface appears.
                    None => continue,
                    index => index,
                },
            };
            match self.add(place, wanted, ifindex, events) {
                Ok(()) => {
                    self.failed.remove(place);
                }
                Err(error) => {
                    let text = format!(
                        "cannot listen for VRRP on {}: {error}",
                        place.listens_on().unwrap_or("any interface")
                    );
                    if self.failed.insert(place.clone(), text.clone()).as_ref() != Some(&text) {
                        complaints.push(text);
                    }
                }
            }
        }
        self.served = self
            .open
            .values()
            .filter_map(|open| Some((open.ifindex?, open.place.v6, open.place.protocol)))
            .collect();
        complaints
    }

    fn add(
        &mut self,
        place: &Place,
        wanted: &Wanted,
        ifindex: Option<u32>,
        events: &EventLoop,
    ) -> io::Result<()> {
        let family = if place.v6 { Family::V6 } else { Family::V4 };
        let receiver = Receiver::open(&ReceiverConfig {
            family,
            protocol: place.protocol,
            ifindex,
            local: None,
            buffer: wanted.buffer,
        })?;
        for group in &wanted.groups {
            receiver.join(*group, ifindex.unwrap_or(0))?;
        }
        let token = self.next_token;
        self.next_token += 1;
        events.register(&receiver, Token(token), Interest::Readable)?;
        let open = Open { place: place.clone(), receiver, ifindex, wanted: wanted.clone() };
        self.open.insert(token, open);
        Ok(())
    }

    /// Receives one batch from the socket of a token and passes each packet on: the place, the
    /// interface index that it came in by, and the packet. Returns whether more may wait.
    pub(crate) fn receive(
        &mut self,
        token: u64,
        mut each: impl FnMut(&Place, u32, vrrp::Datagram<'_>),
    ) -> bool {
        let Some(open) = self.open.get(&token) else { return false };
        let Ok(count) = open.receiver.receive(&mut self.batch) else { return false };
        for packet in self.batch.iter() {
            let ifindex =
                if packet.ifindex == 0 { open.ifindex.unwrap_or(0) } else { packet.ifindex };
            // What comes in where another socket listens was heard there.
            if open.place.interface.is_none()
                && self.served.contains(&(ifindex, open.place.v6, open.place.protocol))
            {
                continue;
            }
            let datagram = if open.place.v6 {
                let (Some(IpAddr::V6(src)), Some(IpAddr::V6(dst))) =
                    (packet.source, packet.destination)
                else {
                    continue;
                };
                vrrp::Datagram::V6 {
                    src,
                    dst,
                    hop_limit: packet.hop_limit.unwrap_or(0),
                    payload: packet.bytes,
                }
            } else {
                vrrp::Datagram::V4 { bytes: packet.bytes }
            };
            if open.concerns(&datagram) {
                each(&open.place, ifindex, datagram);
            }
        }
        count == self.batch.capacity()
    }

    /// Sends adverts, those of a family in as few system calls as possible. `device_of` gives the
    /// index of the interface that a packet leaves by. Returns failures.
    pub(crate) fn send(
        &mut self,
        packets: &[Transmit],
        device_of: impl Fn(&Transmit) -> Option<u32>,
    ) -> Vec<(usize, io::Error)> {
        let mut failures = Vec::new();
        for family in [vrrp::Family::V4, vrrp::Family::V6] {
            let places: Vec<usize> =
                (0..packets.len()).filter(|&i| packets[i].family == family).collect();
            if places.is_empty() {
                continue;
            }
            let (slot, kind) = match family {
                vrrp::Family::V4 => (&mut self.v4, Family::V4),
                vrrp::Family::V6 => (&mut self.v6, Family::V6),
            };
            let sender = match slot {
                Some(sender) => sender,
                None => match Sender::open(kind, PROTOCOL_VRRP) {
                    Ok(sender) => slot.insert(sender),
                    Err(error) => {
                        failures.push((places[0], error));
                        continue;
                    }
                },
            };
            let list: Vec<_> = places
                .iter()
                .map(|&i| Packet {
                    ifindex: device_of(&packets[i]),
                    source: packets[i].src,
                    destination: packets[i].dst,
                    hop_limit: packets[i].ttl,
                    bytes: &packets[i].bytes,
                })
                .collect();
            let failed = sender.send(&list);
            failures.extend(failed.into_iter().map(|f| (places[f.index], f.error)));
        }
        failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_router_id_is_found_behind_any_header() {
        let mut plain = vec![0x45; 20];
        plain[9] = PROTOCOL_VRRP;
        plain.extend([0x31, 51, 100, 1]);
        assert_eq!(vrid_of(&vrrp::Datagram::V4 { bytes: &plain }), Some(51));
        let mut with_ah = plain[..20].to_vec();
        with_ah[9] = PROTOCOL_AH;
        with_ah.extend([PROTOCOL_VRRP, 4]);
        with_ah.extend([0; 22]);
        with_ah.extend([0x21, 52, 100, 1]);
        assert_eq!(vrid_of(&vrrp::Datagram::V4 { bytes: &with_ah }), Some(52));
        for length in 0..22 {
            assert_eq!(vrid_of(&vrrp::Datagram::V4 { bytes: &plain[..length.min(21)] }), None);
        }
        assert_eq!(vrid_of(&vrrp::Datagram::V4 { bytes: &with_ah[..45] }), None);
    }
}
