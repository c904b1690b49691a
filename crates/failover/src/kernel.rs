//! What is in the kernel because of us, and what should be: addresses, routes and rules of each
//! owner, put there and taken away in batches, and put back when somebody else removes them.
//!
//! | what | where |
//! |---|---|
//! | the kernel as it tells itself | here |
//! | what each owner wants, and the difference | `holdings` |
//! | what others take away | `repair` |
//! | when two things are the same | `form` |

mod addresses;
mod form;
mod holdings;
mod repair;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::net::IpAddr;

use netlink::{AddressFilter, Kernel, KernelError, Link, Request};
use vrrp::{RouterId, Time};

use self::addresses::Addresses;
use self::form::Key;
use self::holdings::Slot;

/// Whose addresses, routes and rules they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Owner {
    /// Held from start to stop.
    Static,
    /// Held while the router is MASTER.
    Router(RouterId),
}

/// Something to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// The kernel refused something.
    Refused { owner: Owner, text: String, error: String },
    /// Somebody removed something of ours; it is being put back, at once or (slowed) in a moment.
    Removed { owner: Owner, text: String, times: u32, slowed: bool },
}

/// A request that waits for its batch.
#[derive(Debug)]
struct Job {
    request: Request,
    /// The piece that it puts there; `None` for removals.
    adds: Option<(Owner, usize)>,
}

impl Job {
    fn removal(request: Request) -> Self {
        Self { request, adds: None }
    }
}

/// The kernel as we see it and as we want it.
pub(crate) struct KernelState {
    kernel: Box<dyn Kernel>,
    links: HashMap<u32, Link>,
    names: HashMap<String, u32>,
    addresses: Addresses,
    slots: HashMap<Owner, Slot>,
    /// The pieces of owners that hold, by what they are.
    held: HashMap<Key, Vec<(Owner, usize)>>,
    /// Addresses that routers may hold: never a source for adverts.
    virtuals: HashSet<IpAddr>,
    queue: VecDeque<Job>,
    /// Repairs that were put off.
    repairs: BTreeSet<(Time, Owner, usize)>,
    /// Removals that we made ourselves and whose news the monitor has not brought yet: how many,
    /// and since when.
    own_removals: HashMap<Key, (u32, Time)>,
    told: Vec<Told>,
}

impl KernelState {
    /// Reads links and addresses.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    pub(crate) fn new(mut kernel: Box<dyn Kernel>) -> Result<Self, KernelError> {
        let links = kernel.links()?;
        let addresses = kernel.addresses(AddressFilter::default())?;
        let mut out = Self {
            kernel,
            links: HashMap::new(),
            names: HashMap::new(),
            addresses: Addresses::default(),
            slots: HashMap::new(),
            held: HashMap::new(),
            virtuals: HashSet::new(),
            queue: VecDeque::new(),
            repairs: BTreeSet::new(),
            own_removals: HashMap::new(),
            told: Vec::new(),
        };
        for link in links {
            out.link_changed(link);
        }
        for address in addresses {
            out.address_added(address);
        }
        Ok(out)
    }

    /// The kernel itself, for requests that are not about a holding.
    pub(crate) fn kernel(&mut self) -> &mut dyn Kernel {
        &mut *self.kernel
    }

    /// The index of an interface.
    pub(crate) fn index_of(&self, name: &str) -> Option<u32> {
        self.names.get(name).copied()
    }

    /// An interface by name.
    pub(crate) fn link(&self, name: &str) -> Option<&Link> {
        self.links.get(&self.index_of(name)?)
    }

    /// An interface by index.
    pub(crate) fn link_at(&self, index: u32) -> Option<&Link> {
        self.links.get(&index)
    }

    /// Reads the interfaces anew, after some were made.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    pub(crate) fn read_links(&mut self) -> Result<(), KernelError> {
        for link in self.kernel.links()? {
            self.link_changed(link);
        }
        Ok(())
    }

    /// The addresses of an interface, in the kernel's order.
    pub(crate) fn addresses_of(
        &self,
        name: &str,
    ) -> impl Iterator<Item = &netlink::Address> + Clone {
        self.index_of(name).into_iter().flat_map(|index| self.addresses.of(index))
    }

    /// Whether any interface has this address.
    pub(crate) fn has_address(&self, ip: IpAddr) -> bool {
        self.addresses.has(ip)
    }

    /// Whether a router may hold this address, now or later.
    pub(crate) fn is_virtual(&self, ip: IpAddr) -> bool {
        self.virtuals.contains(&ip)
    }

    /// Takes note of addresses that routers may hold.
    pub(crate) fn note_virtual(&mut self, addresses: impl Iterator<Item = IpAddr>) {
        self.virtuals.extend(addresses);
    }

    /// Forgets them, before a new configuration names its own.
    pub(crate) fn clear_virtual(&mut self) {
        self.virtuals.clear();
    }

    /// A link is new or changed. Returns the name that it had before, if that was another.
    pub(crate) fn link_changed(&mut self, link: Link) -> Option<String> {
        let index = link.index;
        let renamed =
            self.links.get(&index).map(|old| old.name.clone()).filter(|name| *name != link.name);
        if let Some(old) = &renamed
            && self.names.get(old) == Some(&index)
        {
            self.names.remove(old);
        }
        self.names.insert(link.name.clone(), index);
        self.links.insert(index, link);
        renamed
    }

    /// A link is gone. Returns its name.
    pub(crate) fn link_removed(&mut self, index: u32) -> Option<String> {
        let link = self.links.remove(&index)?;
        if self.names.get(&link.name) == Some(&index) {
            self.names.remove(&link.name);
        }
        self.addresses.remove_link(index);
        self.own_removals.retain(|key, _| !matches!(key, Key::Address(i, ..) if *i == index));
        for slot in self.slots.values_mut() {
            slot.interface_gone(index);
        }
        Some(link.name)
    }

    /// An address is there.
    pub(crate) fn address_added(&mut self, address: netlink::Address) {
        self.addresses.insert(address);
    }

    /// Reads links and addresses anew after events were lost, and puts back what is missing.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    pub(crate) fn read_again(&mut self, now: Time) -> Result<(), KernelError> {
        // News of our own removals may be among what was lost.
        self.own_removals.clear();
        let links = self.kernel.links()?;
        let addresses = self.kernel.addresses(AddressFilter::default())?;
        let there: HashSet<u32> = links.iter().map(|link| link.index).collect();
        let gone: Vec<u32> = self.links.keys().filter(|i| !there.contains(i)).copied().collect();
        for index in gone {
            self.link_removed(index);
        }
        for link in links {
            self.link_changed(link);
        }
        let there: HashSet<_> = addresses.iter().map(|a| (a.ifindex, a.ip, a.prefix_len)).collect();
        let lost: Vec<_> = self
            .addresses
            .all()
            .filter(|a| !there.contains(&(a.ifindex, a.ip, a.prefix_len)))
            .cloned()
            .collect();
        self.addresses = Addresses::default();
        for address in addresses {
            self.address_added(address);
        }
        for address in lost {
            self.address_removed(&address, now);
        }
        self.add_routes_and_rules_again();
        Ok(())
    }

    /// What happened since the last call.
    pub(crate) fn told(&mut self) -> Vec<Told> {
        std::mem::take(&mut self.told)
    }
}
