//! The whole state of a role at one moment, as clients see it.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::{Record, Timestamp};

/// The state of the failover role.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// [`crate::SCHEMA`] of the role that made it.
    pub schema: u32,
    /// When it was made.
    pub time: Timestamp,
    /// About the process.
    pub node: Node,
    /// Virtual routers, in the order of the configuration.
    pub instances: Vec<Instance>,
    /// Sync groups.
    pub groups: Vec<Group>,
    /// Scripts, files, processes and other things that instances track.
    pub trackers: Vec<Tracker>,
    /// Interfaces that the configuration names.
    pub interfaces: Vec<Interface>,
    /// What the role could not honour or noticed, in sentences.
    pub notices: Vec<String>,
}

/// About the process and its configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// `router_id`, or the host name.
    pub router_id: String,
    /// Version of Standfast.
    pub version: String,
    /// Process id of the role.
    pub pid: u32,
    /// When this process of the role started.
    pub started: Timestamp,
    /// How often the role was started again after a crash.
    pub restarts: u32,
    /// The configuration file.
    pub config_file: String,
    /// Number of the configuration in force: 1 at the start, one more for each accepted reload.
    pub config_generation: u64,
    /// When that one came into force.
    pub config_time: Timestamp,
    /// Why the last reload was refused, when it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reload_refused: Option<String>,
}

/// States of a virtual router (RFC 9568 §6.4, plus FAULT for what cannot take part).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum State {
    /// Not taking part yet.
    #[default]
    Init,
    /// Another router has the addresses, or an election runs.
    Backup,
    /// This router has the addresses.
    Master,
    /// This router cannot take part.
    Fault,
}

impl State {
    /// The word that logs and scripts use.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Init => "INIT",
            Self::Backup => "BACKUP",
            Self::Master => "MASTER",
            Self::Fault => "FAULT",
        }
    }

    /// Keepalived's number for it in `keepalived.json`.
    pub const fn number(self) -> u8 {
        match self {
            Self::Init => 0,
            Self::Backup => 1,
            Self::Master => 2,
            Self::Fault => 3,
        }
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.word())
    }
}

/// A virtual router.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    /// Its name in the configuration.
    pub name: String,
    /// Its sync group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Where it speaks VRRP; `None` for a unicast instance without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// 4 or 6: the IP version that adverts travel in.
    pub ip_version: u8,
    /// VRRP version, 2 or 3.
    pub version: u8,
    /// Virtual router id, 1..=255.
    pub vrid: u8,
    /// What it is.
    pub state: State,
    /// What it would be if its sync group let it.
    pub wanted: State,
    /// When it became what it is.
    pub since: Timestamp,
    /// Why it became what it is, in one sentence.
    pub cause: String,
    /// How its priority comes about.
    pub priority: Priority,
    /// Why it is in FAULT; empty otherwise.
    pub faults: Vec<String>,
    /// What keeps it in INIT; empty otherwise.
    pub waiting_for: Vec<String>,
    /// The address that its adverts come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<IpAddr>,
    /// Own advertisement interval in seconds.
    pub advert_interval: f64,
    /// The master's interval in seconds, as learned (VRRPv3) or configured.
    pub master_interval: f64,
    /// Master-down time in seconds.
    pub master_down: f64,
    /// Seconds until the master counts as down (BACKUP only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub master_down_in: Option<f64>,
    /// The master it hears, when it is not master itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub master: Option<Peer>,
    /// Routers heard for this VRID, and configured unicast peers.
    pub peers: Vec<Peer>,
    /// Whether it was handed over and keeps back until it is told to reclaim.
    pub handed_over: bool,
    /// Whether it is announcing its end and still answers for the successor.
    pub yielding: bool,
    /// Addresses, advertised and excluded.
    pub addresses: Vec<Item>,
    /// Virtual routes.
    pub routes: Vec<Item>,
    /// Virtual rules.
    pub rules: Vec<Item>,
    /// Counters.
    pub counters: Counters,
    /// Settings that the dump files print.
    pub settings: Settings,
    /// The last transitions and notable events, oldest first.
    pub history: Vec<Record>,
}

/// The priority sum.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Priority {
    /// As configured, 1..=255.
    pub base: u8,
    /// In force, 1..=255.
    pub effective: u8,
    /// The sum before it is held within 1..=254.
    pub total: i64,
    /// The terms added to the base, also those that add nothing now.
    pub terms: Vec<Term>,
}

/// One tracked object in the priority sum.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Term {
    /// `script`, `interface`, `file`, `process`, `bfd`, `source address`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Whether it is up, down, unknown, or a number, in one word.
    pub state: String,
    /// The configured weight; `None` where a failure means FAULT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<i32>,
    /// Whether the weight's meaning is reversed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reverse: bool,
    /// What it adds at this moment.
    pub adds: i64,
}

/// Another router of the group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Peer {
    /// Its address.
    pub address: IpAddr,
    /// The priority in its last advert; `None` if none was heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
    /// Its interval in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<f64>,
    /// Seconds since its last advert; `None` if none was heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard_ago: Option<f64>,
    /// Whether the configuration names it as a unicast peer.
    #[serde(default)]
    pub configured: bool,
}

/// An address, route or rule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// In the words of the configuration and of Keepalived's dumps, without the trailing `set`.
    pub text: String,
    /// Whether it is in the kernel because of us.
    pub set: bool,
    /// Whether it is left out of the adverts (`virtual_ipaddress_excluded`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub excluded: bool,
    /// How often somebody else removed it and it was put back.
    #[serde(default)]
    pub repaired: u32,
}

/// A sync group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: State,
    /// Its members' names.
    pub members: Vec<String>,
    /// Members in FAULT.
    pub members_fault: u32,
    /// Members in INIT.
    pub members_init: u32,
    /// Objects tracked by the group.
    pub terms: Vec<Term>,
    /// Whether mail is sent for it.
    pub smtp_alert: bool,
}

/// A tracked object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tracker {
    /// `script`, `file`, `process`, `interface`, `bfd`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Up, down, unknown, or a number, in one word.
    pub state: String,
    /// Details such as the last exit status, in one sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// Since when it is so.
    pub since: Timestamp,
}

/// An interface.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// The kernel's index; `None` while it does not exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<u32>,
    /// Whether it is up and has a carrier.
    pub up: bool,
    /// MTU in bytes.
    pub mtu: u32,
    /// Hardware address.
    pub mac: String,
    /// First IPv4 address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv4: Option<IpAddr>,
    /// First IPv6 link-local address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<IpAddr>,
    /// Instances that depend on it.
    pub instances: Vec<String>,
}

/// Counters since the role's first start, or since they were cleared. The names are the keys of
/// `keepalived.json`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each field is the key of the same name in keepalived.json")]
pub struct Counters {
    pub advert_rcvd: u64,
    pub advert_sent: u64,
    pub become_master: u64,
    pub release_master: u64,
    pub packet_len_err: u64,
    pub advert_interval_err: u64,
    pub ip_ttl_err: u64,
    pub invalid_type_rcvd: u64,
    pub addr_list_err: u64,
    pub invalid_authtype: u64,
    pub authtype_mismatch: u64,
    pub auth_failure: u64,
    pub auth_ext_missing: u64,
    pub auth_ext_malformed: u64,
    pub auth_ext_unknown_key: u64,
    pub auth_ext_invalid_hmac: u64,
    pub auth_ext_stale: u64,
    pub auth_ext_replay: u64,
    pub pri_zero_rcvd: u64,
    pub pri_zero_sent: u64,
}

/// Settings of an instance as the dump files print them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// `nopreempt`.
    pub nopreempt: bool,
    /// `preempt_delay` in seconds.
    pub preempt_delay: f64,
    /// `accept`.
    pub accept: bool,
    /// `vrrp_strict` or `strict_mode`.
    pub strict: bool,
    /// `dont_track_primary`.
    pub dont_track_primary: bool,
    /// `skip_check_adv_addr`.
    pub skip_check_adv_addr: bool,
    /// `promote_secondaries`.
    pub promote_secondaries: bool,
    /// Name of the VMAC interface; empty without one.
    pub vmac_interface: String,
    /// `garp_master_delay` in seconds.
    pub garp_delay: f64,
    /// `garp_master_repeat`.
    pub garp_repeat: u32,
    /// `garp_master_refresh` in seconds, 0 for none.
    pub garp_refresh: f64,
    /// `garp_master_refresh_repeat`.
    pub garp_refresh_repeat: u32,
    /// `garp_lower_prio_delay` in seconds.
    pub garp_lower_prio_delay: f64,
    /// `garp_lower_prio_repeat`.
    pub garp_lower_prio_repeat: u32,
    /// `lower_prio_no_advert`.
    pub lower_prio_no_advert: bool,
    /// `higher_prio_send_advert`.
    pub higher_prio_send_advert: bool,
    /// `down_timer_adverts`.
    pub down_timer_adverts: u32,
    /// `smtp_alert`.
    pub smtp_alert: bool,
    /// `notify_deleted` is present.
    pub notify_deleted: bool,
    /// `notify_priority_changes`.
    pub notify_priority_changes: bool,
    /// Keepalived's `auth_type` number: 0 none, 1 PASS, 2 AH.
    pub auth_type: u8,
    /// Whether adverts carry the HMAC extension (`auth_hmac`).
    pub auth_hmac: bool,
    /// Multicast group, or `None` for unicast.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multicast: Option<IpAddr>,
    /// `notify_*` commands: key in `keepalived.json` (`script_master`, …) and command line.
    pub scripts: Vec<(String, String)>,
    /// Interfaces tracked besides the own one.
    pub track_interfaces: Vec<String>,
    /// Scripts tracked.
    pub track_scripts: Vec<String>,
    /// Processes tracked.
    pub track_processes: Vec<String>,
}
