//! English for events. The lines that operators grep for are Keepalived's.

use std::fmt;

use crate::event::{Cause, Event, EventKind, FaultReason, Severity, State};

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
            EventKind::Transition { cause, .. } => Some(cause.to_string()),
            _ => None,
        }
    }

    /// What to look at or do, where we know something.
    pub fn hint(&self) -> Option<String> {
        None
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}) {}", self.name, self.word())
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl fmt::Display for FaultReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}
