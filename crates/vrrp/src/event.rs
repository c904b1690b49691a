//! What the engine tells people: typed records, each with its cause. Their English is in
//! `text.rs`, in one place.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::{RouterId, TrackKind, TrackerState};
use crate::time::Now;

/// States of a virtual router (RFC 9568 §6.4; FAULT is for one that cannot take part).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "UPPERCASE")]
pub enum State {
    /// Not taking part yet.
    #[default]
    Init,
    /// Another router has the addresses, or it waits to learn whether one has.
    Backup,
    /// This router has the addresses.
    Master,
    /// It cannot take part.
    Fault,
}

impl State {
    /// The word in logs and scripts.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Init => "INIT",
            Self::Backup => "BACKUP",
            Self::Master => "MASTER",
            Self::Fault => "FAULT",
        }
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.word())
    }
}

/// Something worth telling. `Display` gives the log line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub time: Now,
    /// The router it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub router: Option<RouterId>,
    /// Name of the router or group it is about; empty if it is about neither.
    pub name: String,
    /// What happened.
    pub kind: EventKind,
}

/// How much attention an event asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Part of normal life.
    Info,
    /// Something works, but not as it should.
    Warning,
    /// Something does not work.
    Error,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum EventKind {
    /// The state changed.
    Transition {
        /// Before.
        from: State,
        /// After.
        to: State,
        /// Why.
        cause: Cause,
    },
    /// All members of a sync group follow into this state.
    GroupTransition {
        /// After.
        to: State,
        /// The member that made it so; `None` if the group itself did.
        member: Option<String>,
    },
    /// The effective priority changed.
    PriorityChanged {
        /// Before.
        from: u8,
        /// After.
        to: u8,
        /// The sum before it is held within 1..=254.
        total: i64,
        /// The terms of the sum.
        terms: Vec<Term>,
    },
    /// The master-down timer ran out.
    AdvertTimeout {
        /// What it waited for, in words that the transition repeats.
        cause: Cause,
        /// Group members that do not want MASTER, so that this one waits.
        held_back_by: Vec<String>,
    },
    /// BACKUP: the master resigns.
    MasterResigned {
        /// Who.
        from: IpAddr,
        /// After this time without an advert we take over.
        skew: Duration,
    },
    /// BACKUP: the master has a lower priority than ours; its adverts no longer hold us back.
    DiscardingLower {
        /// Who.
        from: IpAddr,
        /// Its priority.
        theirs: u8,
        /// Ours.
        ours: u8,
    },
    /// MASTER: another router resigns.
    OtherResigned {
        /// Who.
        from: IpAddr,
    },
    /// MASTER: an advert that we must yield to.
    HigherPriority {
        /// Who.
        from: IpAddr,
        /// Its priority.
        theirs: u8,
        /// Our effective priority.
        ours: u8,
    },
    /// MASTER: an advert that must yield to us.
    LowerPriority {
        /// Who.
        from: IpAddr,
        /// Its priority.
        theirs: u8,
        /// Our effective priority.
        ours: u8,
        /// Whether we answered with an advert.
        answered: bool,
    },
    /// Two routers are MASTER at once.
    SecondMaster {
        /// The other.
        address: IpAddr,
        /// Its priority.
        priority: u8,
        /// What its advert has otherwise than ours.
        differs: Vec<Difference>,
        /// For how long it has gone on.
        lasting: Duration,
    },
    /// An advert for this router was dropped. One event for each kind and sender until that
    /// sender is accepted again, or five minutes.
    Rejected {
        /// Who.
        from: IpAddr,
        /// Why.
        reason: Rejection,
    },
    /// It became MASTER without ever having heard another router.
    NobodyHeard {
        /// How long it listened.
        listened: Duration,
        /// Configured unicast peers; empty with multicast.
        peers: Vec<IpAddr>,
        /// Interface it listens on.
        interface: String,
    },
    /// The first advert of a router.
    PeerSeen {
        /// Who.
        address: IpAddr,
        /// Its priority.
        priority: u8,
    },
    /// BACKUP: another router is master now.
    MasterChanged {
        /// The master before.
        from: Option<IpAddr>,
        /// The master now.
        to: IpAddr,
        /// Its priority.
        priority: u8,
    },
    /// MASTER with `nopreempt`: our adverts were so late that another router must have taken over.
    LateMaster {
        /// Time since our last advert.
        silent: Duration,
        /// The longest silence that others put up with.
        limit: Duration,
    },
    /// Another router, too, says that it owns the addresses.
    TwoOwners {
        /// The other.
        address: IpAddr,
        /// We treat ourselves as 254 until it is gone.
        we_give_way: bool,
    },
    /// An advert with our source address and our priority: a loop, or two machines with one address.
    PossibleLoop {
        /// The address.
        address: IpAddr,
    },
    /// The address list of an accepted advert is not ours.
    AddressListDiffers {
        /// Who.
        from: IpAddr,
        /// Ours that it does not list.
        missing: Vec<IpAddr>,
        /// Those that it lists and we do not.
        extra: Vec<IpAddr>,
    },
    /// v3: an accepted advert has another interval than ours.
    IntervalDiffers {
        /// Who.
        from: IpAddr,
        /// Its interval.
        theirs: Duration,
        /// Ours.
        ours: Duration,
    },
    /// v3 BACKUP: the master's interval is used from now on.
    IntervalLearned {
        /// Before.
        from: Duration,
        /// After.
        to: Duration,
    },
    /// A unicast peer computes the checksum as Keepalived before 1.3.7 did; we do likewise for it.
    OldChecksum {
        /// Who.
        from: IpAddr,
    },
    /// `auth_hmac`: the clocks are more than half of the window apart.
    ClockSkew {
        /// Who.
        from: IpAddr,
        /// By how much.
        skew: Duration,
        /// The window.
        window: Duration,
    },
    /// A lower-priority master was heard; it is left alone until the delay has passed.
    PreemptDelayStarted {
        /// Who.
        from: IpAddr,
        /// The delay.
        delay: Duration,
    },
    /// A higher or equal priority was heard, so that there is nothing to preempt.
    PreemptDelayStopped,
    /// Resigned (priority 0 sent), but the addresses stay until a successor is heard.
    Yielding {
        /// Why.
        why: YieldReason,
        /// The longest that it takes.
        longest: Duration,
    },
    /// A successor was heard, or must have come.
    Yielded {
        /// The successor, if one was heard.
        successor: Option<IpAddr>,
        /// How long it took.
        after: Duration,
    },
    /// A handover found no successor; this router goes on as MASTER.
    HandoverFailed {
        /// How long it waited.
        waited: Duration,
    },
    /// The router keeps back (as if `nopreempt`) until the master vanishes or it is told to reclaim.
    HandedOver,
    /// It takes part in elections again.
    Reclaimed,
    /// State carried over from before a crash.
    Resumed {
        /// The state.
        state: State,
    },
    /// A reload added this router.
    Added,
    /// A reload changed this router.
    Changed {
        /// Its name before, if that changed.
        old_name: Option<String>,
    },
    /// A reload removed this router.
    Removed,
    /// AH sequence numbers are used up; another router has to take over.
    SequenceExhausted,
    /// An advert for a virtual router id that is not ours.
    UnknownVrid {
        /// Who.
        from: IpAddr,
        /// The id.
        vrid: u8,
    },
}

/// Why a router resigned without withdrawing at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum YieldReason {
    /// A planned stop.
    Stop,
    /// A handover.
    Handover,
}

/// Why a state changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "because")]
pub enum Cause {
    /// It starts.
    Started,
    /// It owns the addresses.
    Owner,
    /// No master was heard for the master-down time.
    MasterDown {
        /// The last master and its priority, if one was ever heard.
        last: Option<(IpAddr, u8)>,
        /// How long nothing was heard.
        silent: Duration,
    },
    /// The master resigned (priority 0) and nobody else took over.
    MasterResigned {
        /// The former master.
        from: IpAddr,
    },
    /// The master has a lower priority than ours.
    Preempted {
        /// The former master.
        from: IpAddr,
        /// Its priority.
        theirs: u8,
        /// Ours.
        ours: u8,
    },
    /// A higher priority was heard.
    HigherPriority {
        /// Whose.
        from: IpAddr,
        /// Its priority.
        theirs: u8,
        /// Ours.
        ours: u8,
    },
    /// An equal priority was heard from a higher address.
    HigherAddress {
        /// Whose.
        from: IpAddr,
        /// The priority of both.
        priority: u8,
    },
    /// Another owner was heard.
    TwoOwners {
        /// Who.
        from: IpAddr,
    },
    /// It cannot take part.
    Fault {
        /// Why.
        reasons: Vec<FaultReason>,
    },
    /// The last fault is gone.
    FaultCleared,
    /// A sync group follows this member.
    Group {
        /// The group.
        group: String,
        /// The member.
        member: String,
    },
    /// Our adverts were late by this much, with `nopreempt`.
    LateMaster {
        /// Time since our last advert.
        silent: Duration,
    },
    /// Handed over to another node.
    Handover {
        /// The successor, if one was heard.
        successor: Option<IpAddr>,
    },
    /// Took part again after a handover.
    Reclaimed,
    /// A planned stop.
    Stopped,
    /// An unplanned stop.
    Released,
    /// No longer configured.
    Removed,
    /// AH sequence numbers are used up.
    SequenceExhausted,
    /// It was in this state before a crash.
    Resumed,
}

/// Why a router is in FAULT.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "fault")]
pub enum FaultReason {
    /// Something tracked is down (or, with `reverse`, up; or has a value that means failure).
    Tracker {
        /// What.
        kind: TrackKind,
        /// Its name.
        name: String,
        /// Its state.
        state: TrackerState,
        /// The sync group that tracks it, if the router itself does not.
        group: Option<String>,
    },
    /// There is no source address for adverts.
    NoSourceAddress,
    /// Unicast without a peer.
    NoPeers,
    /// Another router has the same VRID in the same place.
    DuplicateVrid {
        /// The other.
        other: String,
    },
    /// The configuration keeps it in FAULT.
    Configuration {
        /// Why.
        text: String,
    },
    /// Another member of the sync group is in FAULT.
    GroupMember {
        /// The group.
        group: String,
        /// The member.
        member: String,
    },
}

/// Why an advert was dropped, in the order in which adverts are examined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "rejected")]
pub enum Rejection {
    /// Protocol 51 though AH is not configured.
    UnexpectedAh,
    /// Protocol 112 though AH is configured.
    MissingAh,
    /// Too short, or longer than it says.
    Length {
        /// Bytes there are.
        got: usize,
        /// Bytes there should be.
        expected: usize,
    },
    /// TTL or hop limit outside the limits.
    Ttl {
        /// It is.
        got: u8,
        /// At least.
        min: u8,
        /// At most.
        max: u8,
    },
    /// Version that is not ours.
    Version {
        /// It is.
        got: u8,
        /// Ours.
        expected: u8,
    },
    /// `auth_hmac`: no trailer.
    HmacMissing,
    /// `auth_hmac`: a trailer that cannot be read.
    HmacMalformed,
    /// `auth_hmac`: a key id that is not ours.
    HmacUnknownKey {
        /// The id.
        id: u8,
    },
    /// `auth_hmac`: a wrong code (another secret, or forged).
    HmacInvalid,
    /// `auth_hmac`: the stamp is too far from our clock.
    HmacStale {
        /// How far.
        off: Duration,
        /// The window.
        window: Duration,
    },
    /// `auth_hmac`: the stamp is not above the sender's last.
    HmacReplay,
    /// v2: an authentication type that does not exist.
    AuthTypeInvalid {
        /// The type.
        got: u8,
    },
    /// v2: an authentication type that is not ours.
    AuthTypeMismatch {
        /// The type.
        got: u8,
        /// Ours.
        expected: u8,
    },
    /// v2: a wrong password.
    Password,
    /// AH: a header that cannot be right.
    AhMalformed,
    /// AH: a wrong value (another password, or changed on the way).
    AhInvalid,
    /// AH: a sequence number that is not above the last.
    AhReplay {
        /// It is.
        got: u32,
        /// The last.
        last: u32,
    },
    /// v2: the interval is not ours.
    Interval {
        /// It is, in seconds.
        got: u8,
        /// Ours, in seconds.
        expected: u8,
    },
    /// Not an advertisement.
    Type {
        /// The type.
        got: u8,
    },
    /// Wrong checksum.
    Checksum {
        /// It would be right in this way of computing it.
        matches: Option<ChecksumKind>,
    },
    /// A multicast advert for a unicast router.
    MulticastUnexpected,
    /// A unicast advert for a multicast router.
    UnicastUnexpected,
    /// `check_unicast_src`: not from a configured peer.
    UnknownPeer,
    /// The source is no address that a router can have.
    Source,
}

/// Ways to compute the checksum of v3 over IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChecksumKind {
    /// With a pseudo-header: RFC 5798 as Keepalived reads it.
    PseudoHeader,
    /// Over the message alone: RFC 9568 §5.2.8, and VRRPv2.
    MessageOnly,
    /// With the multicast group in the pseudo-header of a unicast advert: Keepalived before 1.3.7.
    OldUnicast,
}

/// What an advert has otherwise than ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "differs")]
pub enum Difference {
    /// The interval.
    Interval {
        /// Theirs.
        theirs: Duration,
        /// Ours.
        ours: Duration,
    },
    /// The address list.
    Addresses {
        /// Ours that they do not list.
        missing: Vec<IpAddr>,
        /// Those that they list and we do not.
        extra: Vec<IpAddr>,
    },
    /// Nothing: they should hear us and yield, or we them. So one direction is blocked.
    Nothing,
}

/// One term of the priority sum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Term {
    /// What is tracked.
    pub kind: TrackKind,
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: TrackerState,
    /// The configured weight; `None` where it decides about FAULT instead.
    pub weight: Option<i32>,
    /// Whether the weight's meaning is reversed.
    pub reverse: bool,
    /// What it adds now.
    pub adds: i64,
}
