//! English for events. The lines that operators grep for are Keepalived's.

use std::fmt;

use status::Record;

use super::event::{DownCause, Event, EventKind, Quorum, Severity, UpCause, WeightCause};
use super::snapshot::stamp;

impl Event {
    /// How much attention it asks for.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        match &self.kind {
            EventKind::QuorumLost(_) => Severity::Error,
            EventKind::ServerDown { .. }
            | EventKind::CheckDown { .. }
            | EventKind::SorryServerIn { .. }
            | EventKind::OverrideConflict { .. }
            | EventKind::OverrideDropped { .. }
            | EventKind::NameFailed { .. } => Severity::Warning,
            EventKind::VirtualServerDown { stopping: false, .. } => Severity::Warning,
            EventKind::DrainFinished { left } if *left > 0 => Severity::Warning,
            _ => Severity::Info,
        }
    }

    /// A stable word for the kind of event, such as `server-down` or `quorum-lost`.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match &self.kind {
            EventKind::CheckUp { .. } => "check-up",
            EventKind::CheckDown { .. } => "check-down",
            EventKind::ServerUp { .. } => "server-up",
            EventKind::ServerDown { .. } => "server-down",
            EventKind::WeightChanged { .. } => "weight-changed",
            EventKind::QuorumGained(_) => "quorum-gained",
            EventKind::QuorumLost(_) => "quorum-lost",
            EventKind::SorryServerIn { .. } => "sorry-server-in",
            EventKind::SorryServerOut { .. } => "sorry-server-out",
            EventKind::PoolAdded => "pool-added",
            EventKind::PoolRemoved => "pool-removed",
            EventKind::VirtualServerAdded => "virtual-server-added",
            EventKind::VirtualServerRemoved => "virtual-server-removed",
            EventKind::ServerAdded => "server-added",
            EventKind::ServerRemoved { .. } => "server-removed",
            EventKind::ServerShutDown { .. } => "server-shut-down",
            EventKind::VirtualServerDown { .. } => "virtual-server-down",
            EventKind::OrderedWeight { .. } => "ordered-weight",
            EventKind::DrainBegan { .. } => "drain-began",
            EventKind::DrainFinished { .. } => "drain-finished",
            EventKind::Disabled => "disabled",
            EventKind::Enabled => "enabled",
            EventKind::OverrideConflict { .. } => "override-conflict",
            EventKind::OverrideDropped { .. } => "override-dropped",
            EventKind::NameChanged { .. } => "name-changed",
            EventKind::NameFailed { .. } => "name-failed",
            EventKind::NameFound { .. } => "name-found",
            EventKind::ChecksSuspended => "checks-suspended",
            EventKind::ChecksResumed => "checks-resumed",
        }
    }

    /// Whether it changes the state of a server: before and after.
    const fn transition(&self) -> Option<(&'static str, &'static str)> {
        match &self.kind {
            EventKind::ServerUp { .. } | EventKind::QuorumGained(_) => Some(("DOWN", "UP")),
            EventKind::ServerDown { .. }
            | EventKind::QuorumLost(_)
            | EventKind::VirtualServerDown { .. } => Some(("UP", "DOWN")),
            _ => None,
        }
    }

    /// Why it happened, in one sentence.
    #[must_use]
    pub fn cause(&self) -> Option<String> {
        let text = match &self.kind {
            EventKind::ServerUp { cause, .. } => up_cause(*cause),
            EventKind::ServerDown { cause, .. } => down_cause(cause),
            EventKind::QuorumGained(quorum) => quorum_cause(quorum, true),
            EventKind::QuorumLost(quorum) => quorum_cause(quorum, false),
            EventKind::SorryServerIn { .. } => "the quorum is lost".to_owned(),
            EventKind::SorryServerOut { .. } => "the quorum is gained".to_owned(),
            EventKind::WeightChanged { cause, .. } => match cause {
                WeightCause::Check(check) => format!("{check} says so"),
                WeightCause::Reload => "the file says so now".to_owned(),
                WeightCause::Name => "the SRV record says so".to_owned(),
                WeightCause::Operator => "an operator's order".to_owned(),
            },
            EventKind::ServerRemoved { name: Some(name), .. } => {
                format!("{name} does not stand for it any more")
            }
            EventKind::ServerRemoved { name: None, .. } | EventKind::VirtualServerRemoved => {
                "the file does not name it any more".to_owned()
            }
            EventKind::VirtualServerDown { stopping: true, .. }
            | EventKind::ServerShutDown { .. } => "the daemon stops".to_owned(),
            EventKind::NameFailed { reason, .. } => reason.clone(),
            EventKind::ChecksSuspended => "its address is not on this host".to_owned(),
            EventKind::ChecksResumed => "its address is on this host".to_owned(),
            _ => return None,
        };
        Some(text)
    }

    /// What to look at or do, where we know something.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let text = match &self.kind {
            EventKind::OverrideConflict { .. } => "`standfast server enable` ends what was ordered",
            EventKind::DrainFinished { left } if *left > 0 => {
                "their packets are dropped from now on: give a later deadline if they matter"
            }
            EventKind::QuorumLost(quorum) if quorum.hysteresis > 0 => {
                "it is gained again at quorum + hysteresis"
            }
            _ => return None,
        };
        Some(text.to_owned())
    }

    /// The record of it. Its number is the caller's to give.
    #[must_use]
    pub fn record(&self) -> Record {
        let transition = self.transition();
        // Thousands are kept.
        let mut message = self.to_string();
        message.shrink_to_fit();
        Record {
            seq: 0,
            time: stamp(self.time),
            severity: match self.severity() {
                Severity::Info => status::Severity::Info,
                Severity::Warning => status::Severity::Warning,
                Severity::Error => status::Severity::Error,
            },
            subject: Some(match &self.server {
                Some(server) => format!("{} of {}", server.name, self.service_name),
                None => self.service_name.to_string(),
            }),
            kind: self.word().to_owned(),
            from: transition.map(|(from, _)| from.to_owned()),
            to: transition.map(|(_, to)| to.to_owned()),
            message,
            cause: self.cause(),
            hint: self.hint(),
        }
    }
}

/// The log line.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let vs = &self.service_name;
        let rs = self.server.as_ref().map_or("", |server| &*server.name);
        match &self.kind {
            EventKind::CheckUp { check, detail, .. } => {
                write!(f, "{check} of service {rs} of VS {vs} succeeded: {detail}")
            }
            EventKind::CheckDown { check, failure } => {
                write!(f, "{check} of service {rs} of VS {vs} failed: {failure}")
            }
            EventKind::ServerUp { cause: UpCause::Start, .. } => {
                write!(f, "Starting with service {rs} of VS {vs} up")
            }
            EventKind::ServerUp { inhibit: false, .. } => {
                write!(f, "Adding service {rs} to VS {vs}")
            }
            EventKind::ServerUp { inhibit: true, .. } => {
                write!(f, "Enabling service {rs} of VS {vs}")
            }
            EventKind::ServerDown { cause: DownCause::Alpha { .. }, .. } => {
                write!(f, "Starting with service {rs} of VS {vs} down")
            }
            EventKind::ServerDown { inhibit: false, .. } => {
                write!(f, "Removing service {rs} from VS {vs}")
            }
            EventKind::ServerDown { inhibit: true, .. } => {
                write!(f, "Disabling service {rs} of VS {vs}")
            }
            EventKind::WeightChanged { from, to, active, .. } => {
                let state = if *active { "active" } else { "inactive" };
                write!(f, "Changing weight from {from} to {to} for {state} service {rs} of VS {vs}")
            }
            EventKind::QuorumGained(quorum) => {
                write!(f, "Gained quorum {} for VS {vs}", sum(quorum, true))
            }
            EventKind::QuorumLost(quorum) => {
                let how = if quorum.initial { "Starting with quorum down" } else { "Lost quorum" };
                write!(f, "{how} {} for VS {vs}", sum(quorum, false))
            }
            EventKind::SorryServerIn { sorry, inhibit } => {
                let how = if *inhibit { "Enabling" } else { "Adding" };
                write!(f, "{how} sorry server {sorry} to VS {vs}")
            }
            EventKind::SorryServerOut { sorry, inhibit } => {
                let how = if *inhibit { "Disabling" } else { "Removing" };
                write!(f, "{how} sorry server {sorry} from VS {vs}")
            }
            EventKind::PoolAdded => write!(f, "Adding alive servers to the pool for VS {vs}"),
            EventKind::PoolRemoved => {
                write!(f, "Removing alive servers from the pool for VS {vs}")
            }
            EventKind::VirtualServerAdded => write!(f, "Adding Virtual Server {vs}"),
            EventKind::VirtualServerRemoved => write!(f, "Removing Virtual Server {vs}"),
            EventKind::ServerAdded => write!(f, "service {rs} is new in VS {vs}"),
            EventKind::ServerRemoved { served: false, inhibited: false, .. } => {
                write!(f, "service {rs} no longer exist in VS {vs}")
            }
            EventKind::ServerRemoved { inhibited, .. } => {
                let which = if *inhibited { "(inhibited) " } else { "" };
                write!(f, "Removing {which}service {rs} from VS {vs}")
            }
            EventKind::ServerShutDown { inhibited } => {
                let which = if *inhibited { "(inhibited) " } else { "" };
                write!(f, "Shutting down {which}service {rs} from VS {vs}")
            }
            EventKind::VirtualServerDown { .. } => write!(f, "VS {vs} is down"),
            EventKind::OrderedWeight { weight, configured } => write!(
                f,
                "An operator gives service {rs} of VS {vs} the weight {weight} ({configured} in the \
                 file)"
            ),
            EventKind::DrainBegan { deadline: None } => {
                write!(f, "Draining service {rs} of VS {vs}")
            }
            EventKind::DrainBegan { deadline: Some(deadline) } => {
                write!(f, "Draining service {rs} of VS {vs} for at most {deadline} s")
            }
            EventKind::DrainFinished { left: 0 } => {
                write!(f, "Drained service {rs} of VS {vs}: no connection is open")
            }
            EventKind::DrainFinished { left } => {
                let s = if *left == 1 { "" } else { "s" };
                write!(
                    f,
                    "Drained service {rs} of VS {vs}: the time is up, {left} connection{s} left"
                )
            }
            EventKind::Disabled => write!(f, "An operator disables service {rs} of VS {vs}"),
            EventKind::Enabled => write!(f, "An operator enables service {rs} of VS {vs}"),
            EventKind::OverrideConflict { order, before, now } => {
                write!(f, "service {rs} of VS {vs} stays as an operator ordered ({order}); ")?;
                match before == now {
                    true => write!(f, "the file says weight {now}"),
                    false => write!(f, "the file says weight {now} now, {before} before"),
                }
            }
            EventKind::OverrideDropped { order } => write!(
                f,
                "service {rs} of VS {vs} is gone from the file, and with it what an operator ordered \
                 ({order})"
            ),
            EventKind::NameChanged { name, added, removed } => {
                write!(f, "{name} of VS {vs} changed:")?;
                added.iter().try_for_each(|address| write!(f, " +{address}"))?;
                removed.iter().try_for_each(|address| write!(f, " -{address}"))
            }
            EventKind::NameFailed { lookup, reason, kept } => {
                write!(f, "No address for {} of VS {vs}: {reason}; ", lookup.name)?;
                match kept {
                    0 => f.write_str("it has no servers yet"),
                    1 => f.write_str("the one known is kept"),
                    kept => write!(f, "the {kept} known are kept"),
                }
            }
            EventKind::NameFound { lookup } => {
                write!(f, "{} of VS {vs} has addresses again", lookup.name)
            }
            EventKind::ChecksSuspended => write!(f, "Suspending healthcheckers for VS {vs}"),
            EventKind::ChecksResumed => write!(f, "Activating healthcheckers for VS {vs}"),
        }
    }
}

/// `1+0=1 <= 2`: what is needed and what there is.
fn sum(quorum: &Quorum, up: bool) -> String {
    let Quorum { have, quorum, hysteresis, .. } = *quorum;
    if up {
        let needed = u64::from(quorum) + u64::from(hysteresis);
        format!("{quorum}+{hysteresis}={needed} <= {have}")
    } else {
        let needed = quorum.saturating_sub(hysteresis);
        format!("{quorum}-{hysteresis}={needed} > {have}")
    }
}

/// Why a virtual server is up or down.
pub(super) fn quorum_cause(quorum: &Quorum, up: bool) -> String {
    let Quorum { have, quorum, hysteresis, .. } = *quorum;
    let needed = match up {
        true => u64::from(quorum) + u64::from(hysteresis),
        false => u64::from(quorum - hysteresis.min(quorum)),
    };
    format!("the servers that serve weigh {have}, needed {needed}")
}

pub(super) fn up_cause(cause: UpCause) -> String {
    match cause {
        UpCause::Check(check) => format!("{check} succeeded"),
        UpCause::Start => "it starts as up".to_owned(),
        UpCause::Reload => "the check that had failed is gone from the file".to_owned(),
    }
}

pub(super) fn down_cause(cause: &DownCause) -> String {
    match cause {
        DownCause::Check { check, failure } | DownCause::Alpha { check, failure } => {
            format!("{check}: {failure}")
        }
        DownCause::Reload => "the file gave it a check that has not succeeded yet".to_owned(),
    }
}
