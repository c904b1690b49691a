//! What the engine needs to know about each virtual router and sync group.
//!
//! The language of the configuration file, its defaults and its diagnostics are not known here:
//! the caller translates. [`RouterConfig::new`] gives Keepalived's defaults.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU8;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The caller's number for an interface: the same number for the same configured name over
/// reloads. It need not be the kernel's index (an interface may come and go).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InterfaceId(pub u32);

/// The engine's number for a virtual router. It stays the same over reloads, also when the router
/// is renamed, and is never reused within one engine. An engine made by
/// [`Engine::resume`](crate::Engine::resume) numbers anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RouterId(pub u32);

/// The caller's number for a thing that can be up, down or have a value. It must stay the same for
/// the same thing over reloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TrackerId(pub u32);

/// IP version of the adverts and of the advertised addresses.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Version {
    /// RFC 3768
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

/// Everything that one engine runs.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Virtual routers, in the order of the configuration file.
    pub routers: Vec<RouterConfig>,
    /// Sync groups.
    pub groups: Vec<GroupConfig>,
    /// Tell (rate-limited) about adverts for virtual router ids that are not ours.
    pub log_unknown_vrids: bool,
}

/// A sync group: its members are MASTER together or not at all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupConfig {
    /// Its name.
    pub name: String,
    /// Names of its members. Unknown names are passed over; a router belongs to the first group
    /// that names it.
    pub members: Vec<String>,
    /// Things that all members depend on.
    pub tracks: Vec<Track>,
    /// `sync_group_tracking_weight`: weights of the members' own tracks count. Otherwise only
    /// their tracks without weight do.
    pub tracking_weight: bool,
}

/// One virtual router (Keepalived: `vrrp_instance`).
#[derive(Clone, Debug, PartialEq)]
pub struct RouterConfig {
    /// Its name.
    pub name: String,
    /// Where it speaks. Only a unicast router may go without one.
    pub interface: Option<Interface>,
    /// IP version of adverts and advertised addresses.
    pub family: Family,
    /// Version of the protocol.
    pub version: Version,
    /// Virtual router id.
    pub vrid: NonZeroU8,
    /// Priority; 255 means owner of the addresses.
    pub priority: NonZeroU8,
    /// `state MASTER`. A hint that changes nothing by itself, except that it rules out `nopreempt`
    /// and `preempt_delay`.
    pub state_master: bool,
    /// Interval of our adverts: whole seconds in v2 (1..=255 s), centiseconds in v3 (10 ms..=40.95 s).
    /// What does not fit is rounded, and held within the range.
    pub advert_interval: Duration,
    /// Addresses that adverts list, in order, of [`Self::family`]. Those beyond what an advert can
    /// carry (255, MTU) are left out of it.
    pub addresses: Vec<IpAddr>,
    /// A higher priority takes over from a lower one (`nopreempt` clears it).
    pub preempt: bool,
    /// How long to leave a lower-priority master alone, counted from its first advert.
    pub preempt_delay: Duration,
    /// Adverts missed before a master counts as down, 1..=100.
    pub down_timer_adverts: u8,
    /// Authentication.
    pub auth: Auth,
    /// Multicast or unicast.
    pub transport: Transport,
    /// Source address of our adverts: the configured one, or the one that the interface has at
    /// this moment. `None`: there is none, which is a fault. [`Input::SourceAddress`](crate::Input::SourceAddress) changes it.
    pub source: Option<IpAddr>,
    /// TTL or hop limit of our adverts.
    pub ttl: u8,
    /// `v3_checksum_as_v2`: leave the pseudo-header out of the checksum of v3 over IPv4, and do not
    /// mind checksums of others.
    pub v3_checksum_as_v2: bool,
    /// The checksum of Keepalived before 1.3.7 for v3 unicast over IPv4.
    pub old_unicast_checksum: OldUnicastChecksum,
    /// Unicast adverts must come from a configured peer.
    pub check_unicast_src: bool,
    /// Do not compare the address list of adverts from the known master.
    pub skip_check_adv_addr: bool,
    /// Do not answer a lower-priority advert.
    pub lower_prio_no_advert: bool,
    /// Send one advert before yielding to a higher priority.
    pub higher_prio_send_advert: bool,
    /// An owner that is MASTER ignores all adverts.
    pub owner_ignore_adverts: bool,
    /// Priority of the rival that a late MASTER with `nopreempt` assumes, 1..=254.
    pub timer_expired_backup: u8,
    /// Keep to the RFC (§2.10 of the reference); the engine applies what concerns it.
    pub strict: bool,
    /// When to announce the addresses.
    pub garp: Garp,
    /// Emit [`NotifyKind::MasterPriority`](crate::NotifyKind::MasterPriority) and its twin.
    pub notify_priority_changes: bool,
    /// `notify_deleted` is present: a removed router tells `Deleted`, otherwise `Fault`.
    pub notify_deleted: bool,
    /// What it depends on.
    pub tracks: Vec<Track>,
    /// MTU of the interface: limits the addresses in an advert.
    pub mtu: u32,
    /// Why the configuration itself keeps this router in FAULT, if it does.
    pub broken: Option<String>,
}

impl RouterConfig {
    /// A multicast router with Keepalived's defaults: priority 100, an advert a second, preemption.
    pub fn new(
        name: &str,
        interface: Interface,
        version: Version,
        family: Family,
        vrid: NonZeroU8,
    ) -> Self {
        Self {
            name: name.to_owned(),
            interface: Some(interface),
            family,
            version,
            vrid,
            priority: NonZeroU8::MIN.saturating_add(99),
            state_master: false,
            advert_interval: Duration::from_secs(1),
            addresses: Vec::new(),
            preempt: true,
            preempt_delay: Duration::ZERO,
            down_timer_adverts: 3,
            auth: Auth::None,
            transport: Transport::multicast(family),
            source: None,
            ttl: 255,
            v3_checksum_as_v2: false,
            old_unicast_checksum: OldUnicastChecksum::Auto,
            check_unicast_src: false,
            skip_check_adv_addr: false,
            lower_prio_no_advert: false,
            higher_prio_send_advert: false,
            owner_ignore_adverts: false,
            timer_expired_backup: 254,
            strict: false,
            garp: Garp::default(),
            notify_priority_changes: false,
            notify_deleted: false,
            tracks: Vec::new(),
            mtu: 1500,
            broken: None,
        }
    }
}

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// The caller's number.
    pub id: InterfaceId,
    /// Its name.
    pub name: String,
}

/// How adverts travel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    /// To everybody on the link.
    Multicast {
        /// The group: 224.0.0.18 or ff02::12, unless configured.
        group: IpAddr,
    },
    /// To each peer. Without any peer the router is in FAULT (`unicast_fault_no_peer`).
    Unicast {
        /// The peers.
        peers: Vec<UnicastPeer>,
    },
}

impl Transport {
    /// The multicast group of the RFC.
    pub const fn multicast(family: Family) -> Self {
        let group = match family {
            Family::V4 => IpAddr::V4(Ipv4Addr::new(224, 0, 0, 18)),
            Family::V6 => IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12)),
        };
        Self::Multicast { group }
    }

    /// Whether it is unicast.
    pub const fn is_unicast(&self) -> bool {
        matches!(self, Self::Unicast { .. })
    }
}

/// A unicast peer. TTLs (hop limits) are checked only if a limit is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnicastPeer {
    /// Its address.
    pub address: IpAddr,
    /// Least TTL that its adverts may arrive with.
    pub min_ttl: Option<u8>,
    /// Greatest TTL that its adverts may arrive with.
    pub max_ttl: Option<u8>,
}

/// `old_unicast_checksum`: adverts whose pseudo-header names the multicast group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OldUnicastChecksum {
    /// Accept both, and speak to each peer as it speaks.
    #[default]
    Auto,
    /// Send the old one.
    Always,
    /// Neither send nor accept it.
    Never,
}

/// How adverts are authenticated.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Auth {
    /// Not at all.
    #[default]
    None,
    /// A password in clear text (v2 only).
    Pass(Secret),
    /// An IPsec authentication header with HMAC-MD5-96 (v2 over IPv4 only).
    Ah(Secret),
    /// The `auth_hmac` trailer.
    Hmac(HmacConfig),
}

/// Bytes that never appear in debug output.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Wraps the bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The first eight bytes, padded with NUL: the form of PASS and AH.
    pub fn eight(&self) -> [u8; 8] {
        let mut out = [0; 8];
        for (to, from) in out.iter_mut().zip(&self.0) {
            *to = *from;
        }
        out
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("********")
    }
}

/// `auth_hmac`.
#[derive(Clone, Debug, PartialEq)]
pub struct HmacConfig {
    /// Keys that are accepted. More than one while keys are rotated.
    pub keys: Vec<HmacKey>,
    /// Id of the key to sign with.
    pub active_key: NonZeroU8,
    /// How far a sender's clock may be from ours, with [`AntiReplay::Time`].
    pub time_window: Duration,
    /// What makes a repeated advert old.
    pub anti_replay: AntiReplay,
    /// Whether to sign, and whether to insist.
    pub mode: HmacMode,
}

/// A key of `auth_hmac`.
#[derive(Clone, Debug, PartialEq)]
pub struct HmacKey {
    /// Its number on the wire.
    pub id: NonZeroU8,
    /// 32..=64 bytes.
    pub secret: Secret,
}

/// What makes a repeated advert old.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AntiReplay {
    /// Its stamp is outside the window round our clock, or not above the sender's last.
    #[default]
    Time,
    /// Its stamp is not above the sender's last; clocks need not agree.
    Monotonic,
}

/// Mode of `auth_hmac`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HmacMode {
    /// Sign, and accept only signed adverts.
    #[default]
    Enforce,
    /// Sign, and accept unsigned adverts too.
    Permissive,
    /// Do not sign; check signatures that are there.
    ReceiveOnly,
}

/// When the addresses are announced by gratuitous ARP or unsolicited neighbour advertisement.
/// The gap between the frames of a round (`garp_interval`) is the caller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Garp {
    /// From becoming MASTER to the second set; zero: no second set.
    pub delay: Duration,
    /// Rounds in each set, at least 1.
    pub repeat: u32,
    /// Period of announcements while MASTER; zero: none.
    pub refresh: Duration,
    /// Rounds in each of these, at least 1.
    pub refresh_repeat: u32,
    /// From a lower-priority advert to the second set; zero: no second set.
    pub lower_prio_delay: Duration,
    /// Rounds in each set after a lower-priority advert; 0: none.
    pub lower_prio_repeat: u32,
}

impl Default for Garp {
    fn default() -> Self {
        Self {
            delay: Duration::from_secs(5),
            repeat: 5,
            refresh: Duration::ZERO,
            refresh_repeat: 1,
            lower_prio_delay: Duration::from_secs(5),
            lower_prio_repeat: 5,
        }
    }
}

/// What kind of thing is tracked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrackKind {
    /// A network interface.
    Interface,
    /// A script.
    Script,
    /// A file with a number.
    File,
    /// Processes of a name.
    Process,
    /// A BFD session.
    Bfd,
    /// The configured source address (`track_src_ip`).
    SourceAddress,
}

impl TrackKind {
    /// The word for people.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Interface => "interface",
            Self::Script => "script",
            Self::File => "file",
            Self::Process => "process",
            Self::Bfd => "bfd",
            Self::SourceAddress => "source address",
        }
    }
}

impl fmt::Display for TrackKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Something that a router or group depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track {
    /// The caller's number for it.
    pub id: TrackerId,
    /// What it is.
    pub kind: TrackKind,
    /// Its name.
    pub name: String,
    /// `None` or `Some(0)`: FAULT while it is down (or, for a value, not zero). Otherwise, -254..=254: positive adds to the priority
    /// while it is up, negative subtracts while it is down; a value is multiplied by it, and a
    /// product of -254 or less means FAULT.
    pub weight: Option<i32>,
    /// Turns the sign of what it adds: a positive weight is subtracted while it is up, a negative
    /// one added while it is down. Without weight, FAULT while it is up.
    pub reverse: bool,
    /// The router stays in INIT while this is [`TrackerState::Unknown`]. Counts only without weight.
    pub holds_init: bool,
}

/// State of something tracked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrackerState {
    /// No result yet: adds nothing to a priority and is no fault.
    #[default]
    Unknown,
    /// It works.
    Up,
    /// It does not.
    Down,
    /// A number (a tracked file).
    Value(i64),
}
