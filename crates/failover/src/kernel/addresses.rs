//! The addresses of the machine as the kernel tells them: by interface in the kernel's order, and
//! looked up without walking.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use netlink::AddressFlags;

#[derive(Debug, Default)]
struct OnLink {
    /// In the order of arrival, which is the kernel's.
    order: BTreeMap<u64, netlink::Address>,
    places: HashMap<(IpAddr, u8), u64>,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    links: HashMap<u32, OnLink>,
    /// On how many interfaces an address is.
    count: HashMap<IpAddr, u32>,
    arrivals: u64,
}

impl Addresses {
    pub(super) fn insert(&mut self, address: netlink::Address) {
        let link = self.links.entry(address.ifindex).or_default();
        let place = *link.places.entry((address.ip, address.prefix_len)).or_insert_with(|| {
            self.arrivals += 1;
            *self.count.entry(address.ip).or_default() += 1;
            self.arrivals
        });
        link.order.insert(place, address);
    }

    pub(super) fn remove(&mut self, ifindex: u32, ip: IpAddr, prefix_len: u8) {
        let Some(link) = self.links.get_mut(&ifindex) else { return };
        if let Some(place) = link.places.remove(&(ip, prefix_len)) {
            link.order.remove(&place);
            self.discount(ip);
        }
    }

    pub(super) fn remove_link(&mut self, ifindex: u32) {
        let Some(link) = self.links.remove(&ifindex) else { return };
        for address in link.order.into_values() {
            self.discount(address.ip);
        }
    }

    fn discount(&mut self, ip: IpAddr) {
        if let Some(count) = self.count.get_mut(&ip) {
            *count -= 1;
            if *count == 0 {
                self.count.remove(&ip);
            }
        }
    }

    pub(super) fn contains(&self, ifindex: u32, ip: IpAddr, prefix_len: u8) -> bool {
        self.links.get(&ifindex).is_some_and(|link| link.places.contains_key(&(ip, prefix_len)))
    }

    /// Whether it is there, by our own doing, as it shall be.
    pub(super) fn is_set(&self, wanted: &netlink::Address) -> bool {
        let link = self.links.get(&wanted.ifindex);
        let place = link.and_then(|link| link.places.get(&(wanted.ip, wanted.prefix_len)));
        let there = link.zip(place).and_then(|(link, place)| link.order.get(place));
        there.is_some_and(|there| {
            let flags = AddressFlags::SETTABLE;
            there.is_ours()
                && there.peer == wanted.peer
                && (there.broadcast, there.scope) == (wanted.broadcast, wanted.scope)
                && (there.flags & flags) == (wanted.flags & flags)
                && wanted.label.as_ref().is_none_or(|label| there.label.as_ref() == Some(label))
                && (there.preferred_lft, there.valid_lft)
                    == (wanted.preferred_lft, wanted.valid_lft)
        })
    }

    pub(super) fn has(&self, ip: IpAddr) -> bool {
        self.count.contains_key(&ip)
    }

    pub(super) fn of(&self, ifindex: u32) -> impl Iterator<Item = &netlink::Address> + Clone {
        self.links.get(&ifindex).into_iter().flat_map(|link| link.order.values())
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &netlink::Address> {
        self.links.values().flat_map(|link| link.order.values())
    }
}
