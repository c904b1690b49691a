//! `vrrp_instance`.

use std::fmt;
use std::io::{self, Read};
use std::net::IpAddr;
use std::num::NonZeroU8;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::address::Address;
use super::command::Command;
use super::route::Route;
use super::rule::Rule;
use super::setting::{Name, Secret, Setting};
use super::track::Tracks;

/// IP version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Family {
    /// IPv4
    V4,
    /// IPv6
    V6,
}

impl Family {
    /// The family of an address.
    pub const fn of(address: &IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// Version of the protocol.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Version {
    /// RFC 3768
    #[default]
    V2,
    /// RFC 5798, RFC 9568
    V3,
}

impl Version {
    /// 2 or 3.
    pub const fn number(self) -> u8 {
        match self {
            Self::V2 => 2,
            Self::V3 => 3,
        }
    }
}

/// The word after `state`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum InitialState {
    /// `MASTER`: a hint.
    Master,
    /// `BACKUP`, and every other word.
    #[default]
    Backup,
}

/// One virtual router, with every default resolved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    /// Its name.
    pub name: Name,
    /// Where it speaks. Only a unicast instance may go without one.
    pub interface: Option<Name>,
    /// `vrf`: the l3mdev.
    pub vrf: Option<Name>,
    /// IP version of the adverts and of [`Self::vips`]: the first VIP's, else that of the unicast
    /// source or peers, else IPv4.
    pub family: Family,
    /// Version of the protocol; always 3 for IPv6.
    pub version: Setting<Version>,
    /// `virtual_router_id`.
    pub vrid: Setting<NonZeroU8>,
    /// `priority`; 255 is the owner.
    pub priority: Setting<NonZeroU8>,
    /// `state`, after strict mode has had its say.
    pub state: Setting<InitialState>,
    /// `advert_int`, 10 ms..=255 s; whole seconds in v2, centiseconds up to 40.95 s in v3.
    pub advert_interval: Setting<Duration>,
    /// `virtual_ipaddress`: advertised, all of [`Self::family`], at most 255. (What the MTU does
    /// not allow is for the engine to leave out.)
    pub vips: Vec<Address>,
    /// `virtual_ipaddress_excluded`, and VIPs that could not be advertised.
    pub excluded: Vec<Address>,
    /// `no_virtual_ipaddress`: deliberately none.
    pub no_vips: bool,
    /// `virtual_routes`.
    pub routes: Vec<Route>,
    /// `virtual_rules`.
    pub rules: Vec<Rule>,
    /// `promote_secondaries`.
    pub promote_secondaries: bool,
    /// A higher priority takes over from a lower one; `nopreempt` clears it.
    pub preempt: Setting<bool>,
    /// `preempt_delay`, 0..=1000 s.
    pub preempt_delay: Setting<Duration>,
    /// `use_vmac` or `use_ipvlan`.
    pub own_device: Option<Setting<OwnDevice>>,
    /// `use_vmac_addr`: VMACs for VIPs on other interfaces.
    pub vmac_for_addresses: bool,
    /// `vmac_xmit_base`: adverts from the parent interface (forced by unicast with a VMAC).
    pub vmac_xmit_base: Setting<bool>,
    /// Multicast or unicast.
    pub transport: Transport,
    /// `unicast_src_ip` or `mcast_src_ip`; `None`: the interface's own address.
    pub source: Setting<Option<IpAddr>>,
    /// `track_src_ip`: FAULT while the configured source is missing.
    pub track_source: bool,
    /// `unicast_ttl`: TTL or hop limit of our adverts; always 255 for multicast.
    pub ttl: u8,
    /// `check_unicast_src`: unicast adverts must come from a configured peer.
    pub check_unicast_src: Setting<bool>,
    /// `v3_checksum_as_v2`.
    pub v3_checksum_as_v2: Setting<bool>,
    /// `old_unicast_checksum`.
    pub old_unicast_checksum: OldUnicastChecksum,
    /// `dont_track_primary`: ignore the state of the own interface.
    pub dont_track_primary: bool,
    /// What it depends on, except the own interface.
    pub tracks: Tracks,
    /// `accept`: traffic to the VIPs is let through although we are not their owner.
    pub accept: Setting<bool>,
    /// `authentication` or `auth_hmac`.
    pub auth: Auth,
    /// When the addresses are announced.
    pub garp: Garp,
    /// `down_timer_adverts`, 1..=100.
    pub down_timer_adverts: Setting<u8>,
    /// `lower_prio_no_advert`.
    pub lower_prio_no_advert: Setting<bool>,
    /// `higher_prio_send_advert`.
    pub higher_prio_send_advert: Setting<bool>,
    /// `owner_ignore_adverts`.
    pub owner_ignore_adverts: Setting<bool>,
    /// `timer_expired_backup`: priority of the rival that a late master assumes, 1..=254.
    pub timer_expired_backup: Setting<u8>,
    /// `skip_check_adv_addr`.
    pub skip_check_adv_addr: Setting<bool>,
    /// `strict_mode`. What it demands is already done to the other settings.
    pub strict: Setting<bool>,
    /// Scripts.
    pub notify: NotifyScripts,
    /// `notify_deleted` is present, as a flag or a script.
    pub notify_deleted: bool,
    /// `notify_priority_changes`.
    pub notify_priority_changes: Setting<bool>,
    /// `smtp_alert`.
    pub smtp_alert: Setting<bool>,
    /// `kernel_rx_buf_size`, bytes.
    pub rx_buffer: Option<u32>,
    /// `debug`, 0..=4.
    pub debug: u8,
    /// `linkbeat_use_polling` (deprecated here): poll the link of the own interface.
    pub linkbeat_polling: bool,
    /// The configuration keeps this instance in FAULT: why.
    pub fault: Option<String>,
}

impl Instance {
    /// VIPs and excluded addresses.
    pub fn all_addresses(&self) -> impl Iterator<Item = &Address> {
        self.vips.iter().chain(&self.excluded)
    }

    /// Whether it owns the addresses (priority 255).
    pub fn is_owner(&self) -> bool {
        self.priority.value == NonZeroU8::MAX
    }
}

/// How adverts travel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Transport {
    /// To everybody on the link.
    Multicast {
        /// The group: `mcast_dst_ip`, `vrrp_mcast_group4/6`, 224.0.0.18 or ff02::12.
        group: IpAddr,
    },
    /// To each peer. Without any peer (`unicast_fault_no_peer`) the instance is in FAULT.
    Unicast {
        /// `unicast_peer`.
        peers: Vec<UnicastPeer>,
    },
}

impl Transport {
    /// Whether it is unicast.
    pub const fn is_unicast(&self) -> bool {
        matches!(self, Self::Unicast { .. })
    }
}

/// A line of `unicast_peer`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnicastPeer {
    /// Its address.
    pub address: IpAddr,
    /// Least TTL that its adverts may arrive with.
    pub min_ttl: Option<u8>,
    /// Greatest TTL that its adverts may arrive with.
    pub max_ttl: Option<u8>,
}

/// `old_unicast_checksum`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OldUnicastChecksum {
    /// Not written: accept both, and speak to each peer as it speaks.
    #[default]
    Auto,
    /// Send the old one.
    Always,
    /// `never`: neither send nor accept it.
    Never,
}

/// How adverts are authenticated.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Auth {
    /// Not at all.
    #[default]
    None,
    /// `auth_type PASS`: at most eight bytes (v2 over IPv4 only).
    Pass(Secret),
    /// `auth_type AH`: at most eight bytes (v2 over IPv4 only).
    Ah(Secret),
    /// `auth_hmac`.
    Hmac(Hmac),
}

/// `auth_hmac`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hmac {
    /// Keys that are accepted, at least one, ids unique.
    pub keys: Vec<HmacKey>,
    /// Id of the key to sign with; it exists.
    pub active_key: NonZeroU8,
    /// `time_window`, 1..=300 s; default the greater of 5 s and 3 × `advert_int`.
    pub time_window: Setting<Duration>,
    /// `anti_replay`.
    pub anti_replay: AntiReplay,
    /// `mode`.
    pub mode: HmacMode,
}

/// A key of `auth_hmac`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HmacKey {
    /// Its number on the wire.
    pub id: NonZeroU8,
    /// The key, or the file that holds it.
    pub secret: HmacSecret,
}

/// Where a key's bytes are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum HmacSecret {
    /// Written in the configuration, 32..=64 bytes.
    Bytes(Secret),
    /// `file:PATH`.
    File(PathBuf),
}

impl HmacSecret {
    /// Least number of bytes.
    pub const MIN: usize = 32;
    /// Greatest number of bytes.
    pub const MAX: usize = 64;

    /// The bytes, read from the file if need be (one final newline is not part of the key).
    ///
    /// # Errors
    /// When the file cannot be read, or does not hold 32 to 64 bytes.
    pub fn load(&self) -> io::Result<Secret> {
        let path = match self {
            Self::Bytes(secret) => return Ok(secret.clone()),
            Self::File(path) => path,
        };
        let mut bytes = Vec::new();
        let limit = Self::MAX as u64 + 2;
        std::fs::File::open(path)?.take(limit).read_to_end(&mut bytes)?;
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
        }
        if (Self::MIN..=Self::MAX).contains(&bytes.len()) {
            return Ok(Secret::new(bytes));
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, "a key has 32 to 64 bytes"))
    }
}

/// What makes a repeated advert old.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AntiReplay {
    /// `time`
    #[default]
    Time,
    /// `monotonic`
    Monotonic,
}

/// Mode of `auth_hmac`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum HmacMode {
    /// `enforce`: sign, and accept only signed adverts.
    #[default]
    Enforce,
    /// `permissive`: sign, and accept unsigned adverts too.
    Permissive,
    /// `receive-only`: do not sign; check signatures that are there.
    ReceiveOnly,
}

/// When the addresses are announced by gratuitous ARP or unsolicited neighbour advertisement.
/// The gaps between frames are in [`Global`](super::Global) and in the `garp_group`s.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Garp {
    /// `garp_master_delay`: until the second set; zero: no second set.
    pub delay: Setting<Duration>,
    /// `garp_master_repeat`: rounds in each set, at least 1.
    pub repeat: Setting<u32>,
    /// `garp_master_refresh`; zero: none.
    pub refresh: Setting<Duration>,
    /// `garp_master_refresh_repeat`, at least 1.
    pub refresh_repeat: Setting<u32>,
    /// `garp_lower_prio_delay`; zero: no second set.
    pub lower_prio_delay: Setting<Duration>,
    /// `garp_lower_prio_repeat`; 0: none.
    pub lower_prio_repeat: Setting<u32>,
    /// `garp_extra_if`: periodic announcements on VIP interfaces that are not the instance's own.
    pub extra: Setting<Option<GarpExtra>>,
}

/// `garp_extra_if [all] SECONDS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GarpExtra {
    /// On every such interface, not only on VMACs.
    pub all: bool,
    /// Period, 1..=86400 s.
    pub period: Duration,
}

/// A device of the instance's own on top of its interface.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum OwnDevice {
    /// `use_vmac`: a macvlan with the virtual router's MAC.
    Vmac {
        /// Its name: written, or the default (`vrrp.VRID`, `vrrp6.VRID`).
        name: String,
        /// A MAC other than 00:00:5e:00:01:VRID (02 for IPv6).
        mac: Option<[u8; 6]>,
        /// `netlink_notify_msg`.
        netlink_notify: bool,
        /// `group`: interface group.
        group: Option<u32>,
    },
    /// `use_ipvlan`.
    Ipvlan {
        /// Its name: written, or the default.
        name: String,
        /// An address for it.
        address: Option<super::address::Network>,
        /// Its mode flags.
        mode: IpvlanMode,
        /// `group`: interface group.
        group: Option<u32>,
    },
}

impl OwnDevice {
    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::Vmac { name, .. } | Self::Ipvlan { name, .. } => name,
        }
    }
}

/// Isolation of an ipvlan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum IpvlanMode {
    /// `bridge`
    #[default]
    Bridge,
    /// `private`
    Private,
    /// `vepa`
    Vepa,
}

/// Scripts to run at changes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NotifyScripts {
    /// `notify`: gets type, name, state and priority appended.
    pub any: Option<Command>,
    /// `notify_master`.
    pub master: Option<Command>,
    /// `notify_backup`.
    pub backup: Option<Command>,
    /// `notify_fault`.
    pub fault: Option<Command>,
    /// `notify_stop`.
    pub stop: Option<Command>,
    /// `notify_deleted`.
    pub deleted: Option<Command>,
    /// `notify_master_rx_lower_pri`.
    pub master_rx_lower_pri: Option<Command>,
}

impl NotifyScripts {
    /// Those that are there.
    pub fn all(&self) -> impl Iterator<Item = &Command> {
        [
            &self.any,
            &self.master,
            &self.backup,
            &self.fault,
            &self.stop,
            &self.deleted,
            &self.master_rx_lower_pri,
        ]
        .into_iter()
        .flatten()
    }
}
