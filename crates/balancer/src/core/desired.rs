//! The part of the kernel's table that is ours, kept up to date service by service.

use std::collections::BTreeSet;
use std::sync::Arc;

use netlink::ipvs::{Destination, Entry, ServiceKey, Table};

use super::engine::Core;
use super::io::Output;
use super::plan::destination;

impl Core {
    /// What is to be in the kernel.
    #[must_use]
    pub fn desired(&self) -> &Table {
        &self.desired
    }

    /// The services in which [`Core::desired`] is not what it was at the last call. One that is not
    /// in the table any more is to be removed.
    pub fn take_changes(&mut self) -> BTreeSet<ServiceKey> {
        std::mem::take(&mut self.changed)
    }

    /// Puts a virtual server on the list of those whose services may have to change.
    pub(super) fn touch(&mut self, v: usize) {
        self.dirty.insert(v);
        self.unsaved.insert(v);
    }

    /// Brings the table up to date and lets outputs out, the kernel's first: when a script runs,
    /// the kernel has what it speaks of.
    pub(super) fn flush(&mut self) {
        for v in self.dirty.clone() {
            self.settle_orders(v);
        }
        let mut keys = std::mem::take(&mut self.orphans);
        for v in std::mem::take(&mut self.dirty) {
            let services = self.virtual_servers.get(v).map(|vs| &vs.plan.services);
            keys.extend(services.into_iter().flatten().map(|(key, _)| *key));
        }
        let mut changed = false;
        for key in keys {
            changed |= self.refresh(key);
        }
        if changed {
            self.outputs.push_back(Output::Kernel);
        }
        self.outputs.append(&mut self.pending);
        if cfg!(debug_assertions) {
            self.check_invariants();
        }
    }

    /// Computes one service anew. Whether it is another than before.
    fn refresh(&mut self, key: ServiceKey) -> bool {
        let entry = self.entry(&key);
        if self.desired.get(&key) == entry.as_ref() {
            return false;
        }
        match entry {
            Some(entry) => self.desired.put(key, Arc::new(entry)),
            None => {
                self.desired.remove(&key);
            }
        }
        self.changed.insert(key);
        true
    }

    /// One service, with the servers of all virtual servers that stand for it.
    pub(super) fn entry(&self, key: &ServiceKey) -> Option<Entry> {
        if self.stopped {
            return None;
        }
        let owners = self.owners.get(key)?;
        let first = self.virtual_servers.get(*owners.first()?)?;
        let (_, service) = first.plan.services.iter().find(|(candidate, _)| candidate == key)?;
        let mut entry = Entry::with_capacity(service.clone(), first.servers.len());
        for vs in owners.iter().filter_map(|v| self.virtual_servers.get(*v)) {
            for server in &vs.servers {
                let Some(wanted) = vs.destination(server) else { continue };
                add(&mut entry, key, server.address, wanted);
            }
            let Some(sorry) = &vs.plan.sorry else { continue };
            let active = vs.is_sorry();
            if active || sorry.inhibit {
                let weight = u32::from(active);
                add(&mut entry, key, sorry.address, Destination::new(sorry.forwarding, weight));
            }
        }
        Some(entry)
    }
}

/// Adds a destination. Two blocks can mean the same one (a sorry server that is a real server too,
/// ports that only NAT could tell apart): the one that weighs more counts.
fn add(entry: &mut Entry, key: &ServiceKey, server: std::net::SocketAddr, wanted: Destination) {
    let Some(address) = destination(key, server, wanted.forwarding) else { return };
    if entry.get(&address).is_none_or(|there| there.weight < wanted.weight) {
        entry.insert(address, wanted);
    }
}
