//! Numbers for interfaces and trackers that stay the same over reloads, as the engine wants them.

use std::collections::HashMap;

use vrrp::{InterfaceId, TrackKind, TrackerId};

/// The numbers given so far.
#[derive(Debug, Default)]
pub(crate) struct Ids {
    interfaces: HashMap<String, InterfaceId>,
    interface_names: Vec<String>,
    trackers: HashMap<(TrackKind, String), TrackerId>,
}

impl Ids {
    /// The number of an interface.
    pub(crate) fn interface(&mut self, name: &str) -> InterfaceId {
        if let Some(id) = self.interfaces.get(name) {
            return *id;
        }
        let id = InterfaceId(self.interface_names.len() as u32);
        self.interface_names.push(name.to_owned());
        self.interfaces.insert(name.to_owned(), id);
        id
    }

    /// The name behind a number.
    pub(crate) fn interface_name(&self, id: InterfaceId) -> Option<&str> {
        self.interface_names.get(id.0 as usize).map(String::as_str)
    }

    /// The number of a tracked thing.
    pub(crate) fn tracker(&mut self, kind: TrackKind, name: &str) -> TrackerId {
        let key = (kind, name.to_owned());
        if let Some(id) = self.trackers.get(&key) {
            return *id;
        }
        let id = TrackerId(self.trackers.len() as u32);
        self.trackers.insert(key, id);
        id
    }
}
