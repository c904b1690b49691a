//! The checked model: what a configuration means, with every default resolved.
//!
//! ```text
//!  global_defs ──┐
//!                ├─► resolved Setting<T> { value, origin } in each Instance, VirtualServer, …
//!  own keyword ──┘
//! ```
//!
//! Once a [`Model`] exists no role can find it invalid: what was wrong in the file has become a
//! diagnostic and a default. Every named thing knows where it was written, and every
//! [`Setting`] knows whether its value was written, inherited or is a default.

pub mod address;
pub mod balancer;
pub mod bfd;
pub mod checker;
pub mod command;
pub mod global;
pub mod interfaces;
pub mod route;
pub mod rule;
pub mod setting;
pub mod sync_group;
pub mod track;
pub mod vrrp;

use serde::{Deserialize, Serialize};

pub use address::{Address, Broadcast, Lifetime, Network};
pub use balancer::{Host, Ssl, VirtualServer, VirtualServerGroup};
pub use bfd::BfdInstance;
pub use command::{Command, ScriptUser};
pub use global::Global;
pub use interfaces::{GarpGroup, InterfaceDelay, Linkbeat};
pub use route::Route;
pub use rule::Rule;
pub use setting::{Name, Origin, Secret, Setting};
pub use sync_group::SyncGroup;
pub use track::{TrackFile, TrackGroup, TrackProcess, TrackScript, Tracked, Tracks, Weight};
pub use vrrp::{Family, Instance};

/// Everything that a configuration says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// `global_defs` and the root-level keywords.
    pub global: Global,
    /// `linkbeat_interfaces`.
    pub linkbeat: Vec<Linkbeat>,
    /// `interface_up_down_delays`.
    pub interface_delays: Vec<InterfaceDelay>,
    /// `garp_group`.
    pub garp_groups: Vec<GarpGroup>,
    /// `static_ipaddress`: held from start to stop.
    pub static_addresses: Vec<Address>,
    /// `static_routes`.
    pub static_routes: Vec<Route>,
    /// `static_rules`.
    pub static_rules: Vec<Rule>,
    /// `track_group`.
    pub track_groups: Vec<TrackGroup>,
    /// `vrrp_script`.
    pub scripts: Vec<TrackScript>,
    /// `track_file` (`vrrp_track_file`).
    pub track_files: Vec<TrackFile>,
    /// `vrrp_track_process`.
    pub track_processes: Vec<TrackProcess>,
    /// `bfd_instance`.
    pub bfd_instances: Vec<BfdInstance>,
    /// `vrrp_instance`, in the order of the file. One that misses what nothing can replace (an
    /// interface, a virtual router id) is not here: a fatal diagnostic is.
    pub vrrp: Vec<Instance>,
    /// `vrrp_sync_group`.
    pub sync_groups: Vec<SyncGroup>,
    /// `SSL`.
    pub ssl: Option<Ssl>,
    /// `virtual_server_group`.
    pub virtual_server_groups: Vec<VirtualServerGroup>,
    /// `virtual_server`.
    pub virtual_servers: Vec<VirtualServer>,
}

impl Model {
    /// The `vrrp_instance` of that name.
    pub fn instance(&self, name: &str) -> Option<&Instance> {
        self.vrrp.iter().find(|i| i.name == *name)
    }

    /// The sync group that an instance belongs to.
    pub fn sync_group_of(&self, instance: &str) -> Option<&SyncGroup> {
        self.sync_groups.iter().find(|g| g.members.iter().any(|m| *m == *instance))
    }

    /// The `vrrp_script` of that name.
    pub fn script(&self, name: &str) -> Option<&TrackScript> {
        self.scripts.iter().find(|s| s.name == *name)
    }

    /// The `track_file` of that name.
    pub fn track_file(&self, name: &str) -> Option<&TrackFile> {
        self.track_files.iter().find(|f| f.name == *name)
    }

    /// The `vrrp_track_process` of that name.
    pub fn track_process(&self, name: &str) -> Option<&TrackProcess> {
        self.track_processes.iter().find(|p| p.name == *name)
    }

    /// The `bfd_instance` of that name.
    pub fn bfd_instance(&self, name: &str) -> Option<&BfdInstance> {
        self.bfd_instances.iter().find(|b| b.name == *name)
    }

    /// Names of every interface that VRRP, the addresses, routes or trackers mention, sorted and
    /// without repetition.
    pub fn interfaces(&self) -> Vec<&str> {
        let mut names = Vec::new();
        for address in &self.static_addresses {
            names.extend(address.interface.as_deref());
        }
        for route in &self.static_routes {
            names.extend(route.interfaces());
        }
        for instance in &self.vrrp {
            names.extend(instance.interface.as_deref());
            names.extend(instance.all_addresses().filter_map(|a| a.interface.as_deref()));
            names.extend(instance.routes.iter().flat_map(Route::interfaces));
            names.extend(instance.tracks.interfaces.iter().map(|t| &*t.name));
        }
        for group in &self.sync_groups {
            names.extend(group.tracks.interfaces.iter().map(|t| &*t.name));
        }
        names.sort_unstable();
        names.dedup();
        names
    }
}
