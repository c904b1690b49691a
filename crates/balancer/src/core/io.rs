//! What goes into the core and what comes out of it: closed enums, nothing else crosses the border.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use checkers::CheckId;
use serde::{Deserialize, Serialize};

use super::event::Event;
use super::key::VsKey;
use super::plan::{CheckPlan, Plan};

/// What both clocks of the caller say at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Now {
    /// A monotonic clock that the role's successor can read too (CLOCK_BOOTTIME): time since its
    /// origin. Deadlines run by it.
    pub mono: Duration,
    /// The wall clock: time since the Unix epoch. For stamps only; it may jump.
    pub unix: Duration,
}

/// Something that happened outside.
#[derive(Debug)]
pub enum Input {
    /// A check has a result: its first, a change, or a new weight.
    Check {
        /// Which. Unknown ones (a check that was stopped meanwhile) are ignored.
        id: CheckId,
        /// What it found.
        result: CheckResult,
    },
    /// A look-up has an answer. An answer without addresses is a failed look-up.
    Resolved {
        /// Which.
        lookup: Lookup,
        /// All that the name stands for now, in any order.
        answers: Vec<Answer>,
    },
    /// A look-up failed: the last good answer stays.
    LookupFailed {
        /// Which.
        lookup: Lookup,
        /// Why, in a few words.
        reason: String,
    },
    /// How many connections a destination has, summed over the kernel's services of the virtual
    /// server. Wanted for what [`Core::draining`](super::Core::draining) lists.
    Connections {
        /// The virtual server.
        service: VsKey,
        /// The destination.
        server: SocketAddr,
        /// Established ones.
        active: u64,
        /// Others that the kernel remembers (closing, UDP).
        inactive: u64,
    },
    /// An address came to this host or left it (`ha_suspend`). At the start none is here: tell all.
    Address {
        /// The address.
        ip: IpAddr,
        /// Whether it is here now.
        present: bool,
    },
    /// A new configuration.
    Reload(Box<Plan>),
    /// The end. [`Output::Stopped`] is the last output.
    Stop {
        /// Leave the kernel's table as it is and notify nobody (`--dont-release-ipvs`).
        keep: bool,
    },
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckResult {
    /// The server is well.
    Up {
        /// What it says about the weight; `None`: as configured.
        weight: Option<Adjustment>,
        /// What came, in one sentence.
        detail: String,
    },
    /// It is not.
    Down {
        /// What was wanted and what came, in one sentence:
        /// `HTTP 503, wanted 200-299, from 198.51.100.11:80 after 41 ms`.
        failure: String,
    },
}

/// What a check says about the weight of its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Adjustment {
    /// This instead of the configured weight (`misc_dynamic`).
    Set(u32),
    /// So much more, or less (`FILE_CHECK`).
    Add(i64),
}

/// An order of an operator for a real server. The latest replaces what was ordered before; it
/// survives reloads and restarts of the role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// This weight, whatever the configuration and the checks say. Also ends a drain.
    Weight(u32),
    /// No new connections; when none is open any more, or the deadline has passed, it is taken out.
    Drain {
        /// From now on; `None`: no deadline.
        deadline: Option<Duration>,
    },
    /// Out at once (with `inhibit_on_failure`: weight 0).
    Disable,
    /// As the configuration says: ends every order.
    Enable,
}

/// Why an order was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No such virtual server.
    #[error("there is no virtual server {0}")]
    NoVirtualServer(VsKey),
    /// No such real server.
    #[error("{virtual_server} has no real server {server}")]
    NoRealServer {
        /// Name of the virtual server.
        virtual_server: String,
        /// The server that was named.
        server: SocketAddr,
    },
    /// The kernel cannot have such a weight.
    #[error("a weight is at most 2147483647, not {0}")]
    Weight(u32),
    /// The core was told to stop.
    #[error("the balancer is stopping")]
    Stopping,
}

/// A question for the DNS. Equal questions of several virtual servers are one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Lookup {
    /// The name; one that begins with an underscore is asked for its SRV records.
    pub name: String,
    /// Whether IPv4 addresses are of use.
    pub ipv4: bool,
    /// Whether IPv6 addresses are of use.
    pub ipv6: bool,
}

impl Lookup {
    /// Whether SRV records are wanted.
    #[must_use]
    pub fn is_srv(&self) -> bool {
        self.name.starts_with('_')
    }
}

/// One thing that a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Answer {
    /// The address.
    pub ip: IpAddr,
    /// The port, from an SRV record. It counts where the configuration gives none (port 0).
    pub port: Option<u16>,
    /// The weight, from an SRV record. It counts where the configuration gives none.
    pub weight: Option<u16>,
}

impl Answer {
    /// An address record.
    #[must_use]
    pub const fn address(ip: IpAddr) -> Self {
        Self { ip, port: None, weight: None }
    }
}

/// Something to do outside. Outputs are to be done in order.
#[derive(Debug)]
pub enum Output {
    /// The kernel is to have something else: ask [`Core::take_changes`](super::Core::take_changes),
    /// at the latest when there is no further output.
    Kernel,
    /// Run a check from now on.
    StartCheck(CheckOrder),
    /// End a check.
    StopCheck(CheckId),
    /// A check is to wait (`ha_suspend`).
    SuspendCheck(CheckId),
    /// A check may go on.
    ResumeCheck(CheckId),
    /// Ask the DNS from now on, as often as the answers' time to live says.
    StartLookup(Lookup),
    /// Ask it no more.
    StopLookup(Lookup),
    /// Something to tell: log, records, and the notifications that belong to it.
    Event(Box<Event>),
    /// Everything is told and the desired table is as it shall stay.
    Stopped,
}

/// A check to run.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckOrder {
    /// Its name, never used twice in the life of a core.
    pub id: CheckId,
    /// Name of the virtual server in logs: `[198.51.100.1]:tcp:80`.
    pub service: Arc<str>,
    /// The real server that it looks at.
    pub server: SocketAddr,
    /// What it does.
    pub check: Arc<CheckPlan>,
    /// `None`: it is new (with `alpha` it counts as down until its first result, otherwise as up).
    /// After a restart of the role: whether it was up.
    pub resumed: Option<bool>,
    /// It begins suspended (`ha_suspend`).
    pub suspended: bool,
}
