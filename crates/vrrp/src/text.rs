//! English for events. The lines that operators grep for are Keepalived's.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use crate::config::TrackerState;
use crate::event::{
    Cause, ChecksumKind, Difference, Event, EventKind, FaultReason, Rejection, Severity, State,
};

impl Event {
    /// How much attention it asks for.
    pub const fn severity(&self) -> Severity {
        match self.kind {
            EventKind::SecondMaster { .. }
            | EventKind::Rejected { .. }
            | EventKind::NobodyHeard { .. }
            | EventKind::TwoOwners { .. }
            | EventKind::PossibleLoop { .. }
            | EventKind::LateMaster { .. }
            | EventKind::SequenceExhausted
            | EventKind::AddressListDiffers { .. }
            | EventKind::IntervalDiffers { .. }
            | EventKind::OldChecksum { .. }
            | EventKind::ClockSkew { .. }
            | EventKind::HandoverFailed { .. } => Severity::Warning,
            EventKind::Transition { to: State::Fault, .. } => Severity::Error,
            _ => Severity::Info,
        }
    }

    /// A stable word for the kind of event, such as `transition` or `second-master`.
    pub const fn word(&self) -> &'static str {
        match self.kind {
            EventKind::Transition { .. } => "transition",
            EventKind::GroupTransition { .. } => "group-transition",
            EventKind::PriorityChanged { .. } => "priority-changed",
            EventKind::AdvertTimeout { .. } => "advert-timeout",
            EventKind::MasterResigned { .. } => "master-resigned",
            EventKind::DiscardingLower { .. } => "discarding-lower",
            EventKind::OtherResigned { .. } => "other-resigned",
            EventKind::HigherPriority { .. } => "higher-priority",
            EventKind::LowerPriority { .. } => "lower-priority",
            EventKind::SecondMaster { .. } => "second-master",
            EventKind::Rejected { .. } => "rejected",
            EventKind::NobodyHeard { .. } => "nobody-heard",
            EventKind::PeerSeen { .. } => "peer-seen",
            EventKind::MasterChanged { .. } => "master-changed",
            EventKind::LateMaster { .. } => "late-master",
            EventKind::TwoOwners { .. } => "two-owners",
            EventKind::PossibleLoop { .. } => "possible-loop",
            EventKind::AddressListDiffers { .. } => "address-list-differs",
            EventKind::IntervalDiffers { .. } => "interval-differs",
            EventKind::IntervalLearned { .. } => "interval-learned",
            EventKind::OldChecksum { .. } => "old-checksum",
            EventKind::ClockSkew { .. } => "clock-skew",
            EventKind::PreemptDelayStarted { .. } => "preempt-delay-started",
            EventKind::PreemptDelayStopped => "preempt-delay-stopped",
            EventKind::Yielding { .. } => "yielding",
            EventKind::Yielded { .. } => "yielded",
            EventKind::HandoverFailed { .. } => "handover-failed",
            EventKind::HandedOver => "handed-over",
            EventKind::Reclaimed => "reclaimed",
            EventKind::Resumed { .. } => "resumed",
            EventKind::Added => "added",
            EventKind::Changed { .. } => "changed",
            EventKind::Removed => "removed",
            EventKind::SequenceExhausted => "sequence-exhausted",
            EventKind::UnknownVrid { .. } => "unknown-vrid",
        }
    }

    /// Why it happened, in one sentence, where there is more to say than the line does.
    pub fn cause(&self) -> Option<String> {
        match &self.kind {
            EventKind::Transition { cause, .. } | EventKind::AdvertTimeout { cause, .. } => {
                Some(cause.to_string())
            }
            EventKind::GroupTransition { member: Some(member), .. } => {
                Some(format!("its member {member} made it so"))
            }
            EventKind::PriorityChanged { total, terms, .. } => {
                let base = total - terms.iter().map(|term| term.adds).sum::<i64>();
                let mut text = format!("base {base}");
                for term in terms.iter().filter(|term| term.adds != 0) {
                    let sign = if term.adds < 0 { '-' } else { '+' };
                    let (kind, name, adds) = (term.kind, &term.name, term.adds.unsigned_abs());
                    text += &format!(" {sign} {adds} ({kind} {name})");
                }
                Some(text)
            }
            _ => None,
        }
    }

    /// What to look at or do, where we know something.
    pub fn hint(&self) -> Option<String> {
        let text = match &self.kind {
            EventKind::SecondMaster { address, differs, .. } => {
                return Some(second_master_hint(*address, differs));
            }
            EventKind::Rejected { reason, .. } => return rejection_hint(reason).map(str::to_owned),
            EventKind::NobodyHeard { peers, interface, .. } if peers.is_empty() => {
                return Some(format!(
                    "if there is another router, look whether its adverts reach this interface \
                     (tcpdump -i {interface} proto 112), whether a firewall drops IP protocol 112, \
                     and whether the switch passes the multicast group"
                ));
            }
            EventKind::NobodyHeard { .. } => {
                "look whether the peers run, whether their unicast_peer names this address, and \
                 whether a firewall on the way drops IP protocol 112"
            }
            EventKind::LateMaster { .. } => {
                "the machine was suspended or starved of CPU time; real-time priority \
                 (vrrp_rt_priority) helps against the latter"
            }
            EventKind::TwoOwners { .. } => "only one router may have priority 255",
            EventKind::PossibleLoop { .. } => {
                "either another machine has this address, or the network returns our own packets"
            }
            EventKind::AddressListDiffers { .. } => {
                "the virtual_ipaddress lists of all routers of a group must be the same"
            }
            EventKind::IntervalDiffers { .. } => "give all routers of a group the same advert_int",
            EventKind::OldChecksum { .. } => "the peer is Keepalived 1.3.6 or older: upgrade it",
            EventKind::ClockSkew { .. } => {
                "synchronise the clocks (NTP) before adverts are rejected as stale"
            }
            EventKind::HandoverFailed { .. } => "no other router is ready to take over",
            EventKind::AdvertTimeout { held_back_by, .. } if !held_back_by.is_empty() => {
                "all members of a sync group must want MASTER before any becomes it"
            }
            EventKind::SequenceExhausted => "restart the routers of this group, or leave AH",
            _ => return None,
        };
        Some(text.to_owned())
    }
}

fn second_master_hint(address: IpAddr, differs: &[Difference]) -> String {
    let mut parts: Vec<String> = Vec::new();
    for difference in differs {
        parts.push(match difference {
            Difference::Interval { theirs, ours } => {
                format!("its interval is {}, ours {}", secs(*theirs), secs(*ours))
            }
            Difference::Addresses { missing, extra } => {
                format!("its addresses differ ({})", lists(missing, extra))
            }
            Difference::Nothing => format!(
                "it should yield to us; if it stays, our adverts do not reach {address}, or it \
                 rejects them: look at its log, at firewalls (IP protocol 112) and at the switch"
            ),
        });
    }
    parts.join("; ")
}

fn rejection_hint(reason: &Rejection) -> Option<&'static str> {
    Some(match reason {
        Rejection::UnexpectedAh | Rejection::MissingAh | Rejection::AuthTypeMismatch { .. } => {
            "auth_type must be the same on all routers of a group"
        }
        Rejection::Password => "auth_pass must be the same on all routers of a group",
        Rejection::AhInvalid => {
            "auth_pass must be the same on all routers of a group, and nothing on the way may \
             change the IP header"
        }
        Rejection::Ttl { .. } => {
            "the packet passed a router, or comes from elsewhere; a neighbour's has TTL 255"
        }
        Rejection::Version { .. } => "vrrp_version must be the same on all routers of a group",
        Rejection::HmacMissing => {
            "the sender does not sign; use mode permissive until all routers do"
        }
        Rejection::HmacUnknownKey { .. } => "give all routers the new key before its first use",
        Rejection::HmacInvalid => "the secrets of this key differ, or the packet is forged",
        Rejection::HmacStale { .. } => "the clocks are too far apart: synchronise them (NTP)",
        Rejection::Interval { .. } => {
            "advert_int must be the same on all routers of a group (VRRPv2)"
        }
        Rejection::Checksum { matches: Some(ChecksumKind::MessageOnly) } => {
            "the sender computes it without pseudo-header (RFC 9568); set v3_checksum_as_v2"
        }
        Rejection::Checksum { matches: Some(ChecksumKind::PseudoHeader) } => {
            "the sender computes it with a pseudo-header; clear v3_checksum_as_v2 there"
        }
        Rejection::Checksum { matches: Some(ChecksumKind::OldUnicast) } => {
            "the sender is Keepalived 1.3.6 or older; old_unicast_checksum accepts it"
        }
        Rejection::MulticastUnexpected | Rejection::UnicastUnexpected => {
            "all routers of a group must use unicast, or all multicast"
        }
        Rejection::UnknownPeer => "name the sender in unicast_peer, or find out who it is",
        _ => return None,
    })
}

impl fmt::Display for Event {
    /// The log line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            EventKind::GroupTransition { to, .. } => {
                write!(f, "VRRP_Group({}) Syncing instances to {to} state", self.name)
            }
            EventKind::UnknownVrid { from, vrid } => {
                write!(f, "Unknown VRID({vrid}) received from {from}. ignoring...")
            }
            kind => write!(f, "({}) {kind}", self.name),
        }
    }
}

impl fmt::Display for EventKind {
    /// The log line without the name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transition { from, to, cause } => {
                write!(f, "Entering {to} STATE")?;
                let first = *from == State::Init && matches!(to, State::Backup | State::Fault);
                match cause {
                    Cause::Stopped | Cause::Released => write!(f, " (stop)"),
                    Cause::Removed => write!(f, " (removed)"),
                    _ if first => write!(f, " (init)"),
                    _ => Ok(()),
                }
            }
            Self::GroupTransition { to, .. } => write!(f, "Syncing instances to {to} state"),
            Self::PriorityChanged { from, to, .. } => {
                write!(f, "Changing effective priority from {from} to {to}")
            }
            Self::AdvertTimeout { held_back_by, .. } if held_back_by.is_empty() => {
                write!(f, "Receive advertisement timeout")
            }
            Self::AdvertTimeout { held_back_by, .. } => write!(
                f,
                "Receive advertisement timeout, but the group is not ready: {}",
                held_back_by.join(", ")
            ),
            Self::MasterResigned { from, skew } => write!(
                f,
                "Backup received priority 0 advertisement from {from}, taking over in {}",
                secs(*skew)
            ),
            Self::DiscardingLower { from, theirs, .. } => {
                write!(f, "received lower priority ({theirs}) advert from {from} - discarding")
            }
            Self::OtherResigned { from } => {
                write!(f, "Master received priority 0 message from {from}")
            }
            Self::HigherPriority { from, theirs, ours } if theirs == ours => write!(
                f,
                "Master received advert from {from} with same priority {theirs} but higher IP \
                 address than ours"
            ),
            Self::HigherPriority { from, theirs, ours } => write!(
                f,
                "Master received advert from {from} with higher priority {theirs}, ours {ours}"
            ),
            Self::LowerPriority { from, theirs, ours, answered } => {
                let election = if *answered { ", forcing new election" } else { "" };
                write!(
                    f,
                    "Received advert from {from} with lower priority {theirs}, ours {ours}{election}"
                )
            }
            Self::SecondMaster { address, priority, lasting, .. } => {
                write!(f, "{address} is MASTER too (priority {priority})")?;
                if lasting.is_zero() { Ok(()) } else { write!(f, ", for {} now", secs(*lasting)) }
            }
            Self::Rejected { from, reason } => write!(f, "advert from {from} rejected: {reason}"),
            Self::NobodyHeard { listened, peers, .. } if peers.is_empty() => {
                write!(f, "MASTER without having heard another router for {}", secs(*listened))
            }
            Self::NobodyHeard { listened, peers, .. } => write!(
                f,
                "MASTER without having heard any of the {} unicast peers for {}",
                peers.len(),
                secs(*listened)
            ),
            Self::PeerSeen { address, priority } => {
                write!(f, "first advert of {address} (priority {priority})")
            }
            Self::MasterChanged { from: Some(from), to, priority } => {
                write!(f, "master changed from {from} to {to} (priority {priority})")
            }
            Self::MasterChanged { from: None, to, priority } => {
                write!(f, "master is {to} (priority {priority})")
            }
            Self::LateMaster { silent, limit } => write!(
                f,
                "our last advert was {} ago, others wait {}: yielding to whoever took over",
                secs(*silent),
                secs(*limit)
            ),
            Self::TwoOwners { address, we_give_way } => {
                let what = if *we_give_way { "we give way" } else { "it has to give way" };
                write!(
                    f,
                    "CONFIGURATION ERROR: {address} is configured as address owner too; {what}"
                )
            }
            Self::PossibleLoop { address } => write!(
                f,
                "WARNING - equal priority advert received from remote host with our IP address \
                 {address}"
            ),
            Self::AddressListDiffers { from, missing, extra } => {
                write!(f, "address list of {from} is not ours ({})", lists(missing, extra))
            }
            Self::IntervalDiffers { from, theirs, ours } => write!(
                f,
                "advertisement interval mismatch: {from} has {}, ours is {}",
                secs(*theirs),
                secs(*ours)
            ),
            Self::IntervalLearned { from, to } => write!(
                f,
                "advertisement interval updated from {}ms to {}ms by master",
                from.as_millis(),
                to.as_millis()
            ),
            Self::OldChecksum { from } => {
                write!(f, "Setting unicast VRRPv3 checksum to old version for {from}")
            }
            Self::ClockSkew { from, skew, window } => write!(
                f,
                "the clock of {from} is {} from ours, the window is {}",
                secs(*skew),
                secs(*window)
            ),
            Self::PreemptDelayStarted { delay, .. } => {
                write!(f, "start preempt delay ({}.{:06})", delay.as_secs(), delay.subsec_micros())
            }
            Self::PreemptDelayStopped => write!(f, "stop preempt delay"),
            Self::Yielding { longest, .. } => write!(
                f,
                "sent 0 priority; addresses stay until a successor is heard, {} at most",
                secs(*longest)
            ),
            Self::Yielded { successor: Some(successor), after } => {
                write!(f, "{successor} has taken over after {}", secs(*after))
            }
            Self::Yielded { successor: None, after } => {
                write!(f, "no successor was heard within {}", secs(*after))
            }
            Self::HandoverFailed { waited } => write!(
                f,
                "handover failed: nobody took over within {}, MASTER as before",
                secs(*waited)
            ),
            Self::HandedOver => {
                write!(f, "handed over: BACKUP until the master vanishes or it is reclaimed")
            }
            Self::Reclaimed => write!(f, "reclaimed: takes part in elections again"),
            Self::Resumed { state } => write!(f, "resumed as {state}"),
            Self::Added => write!(f, "added by reload"),
            Self::Changed { old_name: Some(old) } => write!(f, "changed by reload, was ({old})"),
            Self::Changed { old_name: None } => write!(f, "changed by reload"),
            Self::Removed => write!(f, "removed by reload"),
            Self::SequenceExhausted => write!(f, "AH sequence numbers are used up"),
            Self::UnknownVrid { from, vrid } => {
                write!(f, "unknown virtual router id {vrid} from {from}")
            }
        }
    }
}

impl fmt::Display for Cause {
    /// A clause that follows "because".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started => write!(f, "it starts"),
            Self::Owner => write!(f, "it owns the addresses (priority 255)"),
            Self::MasterDown { last: Some((address, priority)), silent } => write!(
                f,
                "nothing was heard of the master {address} (priority {priority}) for {}",
                secs(*silent)
            ),
            Self::MasterDown { last: None, silent } => {
                write!(f, "no master was heard for {}", secs(*silent))
            }
            Self::MasterResigned { from } => write!(f, "the master {from} resigned (priority 0)"),
            Self::Preempted { from, theirs, ours } => {
                write!(f, "the master {from} has priority {theirs}, ours is {ours}")
            }
            Self::HigherPriority { from, theirs, ours } => {
                write!(f, "{from} advertises priority {theirs}, ours is {ours}")
            }
            Self::HigherAddress { from, priority } => write!(
                f,
                "{from} advertises the same priority {priority} and has the higher address"
            ),
            Self::TwoOwners { from } => write!(f, "{from} says that it owns the addresses too"),
            Self::Fault { reasons } => {
                for (n, reason) in reasons.iter().enumerate() {
                    write!(f, "{}{reason}", if n > 0 { "; " } else { "" })?;
                }
                Ok(())
            }
            Self::FaultCleared => write!(f, "the last fault is gone"),
            Self::Group { group, member } => {
                write!(f, "its sync group {group} follows the member {member}")
            }
            Self::LateMaster { silent } => {
                write!(f, "its adverts stopped for {}", secs(*silent))
            }
            Self::Handover { successor: Some(address) } => {
                write!(f, "it was handed over to {address}")
            }
            Self::Handover { successor: None } => write!(f, "it was handed over"),
            Self::Reclaimed => write!(f, "it was reclaimed"),
            Self::Stopped => write!(f, "of a planned stop"),
            Self::Released => write!(f, "of an immediate stop"),
            Self::Removed => write!(f, "it is no longer configured"),
            Self::SequenceExhausted => write!(f, "AH sequence numbers are used up"),
            Self::Resumed => write!(f, "it was so before a crash"),
        }
    }
}

impl fmt::Display for FaultReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tracker { kind, name, state, group } => {
                match state {
                    TrackerState::Up => write!(f, "{kind} {name} is up")?,
                    TrackerState::Down => write!(f, "{kind} {name} is down")?,
                    TrackerState::Value(value) => write!(f, "{kind} {name} is {value}")?,
                    TrackerState::Unknown => write!(f, "{kind} {name} is unknown")?,
                }
                match group {
                    Some(group) => write!(f, " (tracked by sync group {group})"),
                    None => Ok(()),
                }
            }
            Self::NoSourceAddress => write!(f, "there is no source address for adverts"),
            Self::NoPeers => write!(f, "there are no unicast peers"),
            Self::DuplicateVrid { other } => {
                write!(f, "({other}) has the same virtual router id in the same place")
            }
            Self::Configuration { text } => write!(f, "configuration: {text}"),
            Self::GroupMember { group, member } => {
                write!(f, "member {member} of sync group {group} is in FAULT")
            }
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnexpectedAh => write!(f, "Received AH header but auth type not AH"),
            Self::MissingAh => write!(f, "No AH header but auth type is AH"),
            Self::Length { got, expected } if got < expected => {
                write!(f, "packet too short, length {got} and expect {expected}")
            }
            Self::Length { got, expected } => {
                write!(f, "packet too long, length {got} and expect {expected}")
            }
            Self::Ttl { got, min, max } if min == max => {
                write!(f, "invalid TTL/HL. Received {got} and expect {min}")
            }
            Self::Ttl { got, min, max } => write!(f, "TTL/HL {got} not in range {min} - {max}"),
            Self::Version { got, expected } => {
                write!(f, "wrong version. Received {got} and expect {expected}")
            }
            Self::HmacMissing => write!(f, "no auth_hmac trailer"),
            Self::HmacMalformed => write!(f, "malformed auth_hmac trailer"),
            Self::HmacUnknownKey { id } => write!(f, "unknown auth_hmac key {id}"),
            Self::HmacInvalid => write!(f, "wrong auth_hmac code"),
            Self::HmacStale { off, window } => write!(
                f,
                "auth_hmac stamp is {} from our clock, the window is {}",
                secs(*off),
                secs(*window)
            ),
            Self::HmacReplay => write!(f, "auth_hmac stamp was used before"),
            Self::AuthTypeInvalid { got } => write!(f, "Invalid auth type: {got}"),
            Self::AuthTypeMismatch { got, expected } => {
                write!(f, "received a {got} auth, expecting {expected}")
            }
            Self::Password => write!(f, "received an invalid passwd"),
            Self::AhMalformed => write!(f, "AH header without VRRP or with a foreign SPI"),
            Self::AhInvalid => write!(f, "invalid IPSEC HMAC-MD5 value"),
            Self::AhReplay { got, last } => {
                write!(f, "AH sequence number {got} already processed, last was {last}")
            }
            Self::Interval { got, expected } => {
                write!(f, "advertisement interval mismatch mine={expected} sec rcv'd={got} sec")
            }
            Self::Type { got } => write!(f, "Invalid packet type. {got} and expect 1"),
            Self::Checksum { matches: None } => write!(f, "Invalid checksum"),
            Self::Checksum { matches: Some(kind) } => {
                write!(f, "Invalid checksum, right for one {kind}")
            }
            Self::MulticastUnexpected => {
                write!(f, "discarding multicast packet on unicast instance")
            }
            Self::UnicastUnexpected => {
                write!(f, "discarding unicast packet on multicast instance")
            }
            Self::UnknownPeer => write!(f, "unicast source address not a unicast peer"),
            Self::Source => write!(f, "impossible source address"),
        }
    }
}

impl fmt::Display for ChecksumKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PseudoHeader => "with pseudo-header",
            Self::MessageOnly => "without pseudo-header",
            Self::OldUnicast => "with the multicast group in the pseudo-header",
        })
    }
}

/// A time for people: three digits after the point at most.
fn secs(duration: Duration) -> String {
    let millis = duration.as_micros().saturating_add(500) / 1000;
    let text = format!("{}.{:03}", millis / 1000, millis % 1000);
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text} s")
}

fn lists(missing: &[IpAddr], extra: &[IpAddr]) -> String {
    let list = |addresses: &[IpAddr]| {
        let mut text: Vec<String> = addresses.iter().take(4).map(ToString::to_string).collect();
        if addresses.len() > 4 {
            text.push(format!("and {} more", addresses.len() - 4));
        }
        text.join(", ")
    };
    match (missing.is_empty(), extra.is_empty()) {
        (false, true) => format!("without {}", list(missing)),
        (true, false) => format!("also {}", list(extra)),
        _ => format!("without {}, but also {}", list(missing), list(extra)),
    }
}
