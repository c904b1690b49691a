//! What the core tells people: typed records, each with its cause and with the notifications that
//! belong to it. Their English is in `text.rs`, in one place.

use std::net::SocketAddr;
use std::sync::Arc;

use notify::event::Subject;
use notify::mail::Mail;

use super::io::{Lookup, Now};
use super::key::VsKey;
use super::plan::ScriptId;

/// Something worth telling. `Display` gives the log line.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// When.
    pub time: Now,
    /// The virtual server that it is about.
    pub service: VsKey,
    /// Its name in logs: `[198.51.100.1]:tcp:80`.
    pub service_name: Arc<str>,
    /// The real server that it is about, if it is about one.
    pub server: Option<Server>,
    /// What happened.
    pub kind: EventKind,
    /// Whom else to tell.
    pub notice: Option<Notice>,
}

/// A real server in an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Where it is.
    pub address: SocketAddr,
    /// Its name in logs: `[10.0.0.2]:tcp:80`.
    pub name: Arc<str>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum EventKind {
    /// A check succeeded: for the first time, or after it had failed.
    CheckUp {
        /// Its keyword: `TCP_CHECK`.
        check: &'static str,
        /// What came.
        detail: String,
        /// Whether it is its first result.
        first: bool,
    },
    /// A check failed: for the first time, or after it had succeeded.
    CheckDown {
        /// Its keyword: `TCP_CHECK`.
        check: &'static str,
        /// What was wanted and what came.
        failure: String,
    },
    /// A real server serves.
    ServerUp {
        /// Why.
        cause: UpCause,
        /// With `inhibit_on_failure`: it was in the table with weight 0.
        inhibit: bool,
    },
    /// A real server does not serve any more.
    ServerDown {
        /// Why.
        cause: DownCause,
        /// With `inhibit_on_failure`: it stays in the table with weight 0.
        inhibit: bool,
    },
    /// The weight of a real server changed.
    WeightChanged {
        /// Before.
        from: u32,
        /// After.
        to: u32,
        /// Whether the server is up.
        active: bool,
        /// Why.
        cause: WeightCause,
    },
    /// The virtual server has what it needs.
    QuorumGained(Quorum),
    /// The virtual server lacks what it needs.
    QuorumLost(Quorum),
    /// The sorry server answers.
    SorryServerIn {
        /// Where it is.
        sorry: String,
        /// `sorry_server_inhibit`: it was in the table with weight 0.
        inhibit: bool,
    },
    /// The sorry server answers no more.
    SorryServerOut {
        /// Where it is.
        sorry: String,
        /// `sorry_server_inhibit`: it stays in the table with weight 0.
        inhibit: bool,
    },
    /// The real servers that are up go back to the table.
    PoolAdded,
    /// The real servers that are up leave the table, since the sorry server answers.
    PoolRemoved,
    /// A reload brought the virtual server.
    VirtualServerAdded,
    /// A reload took the virtual server away.
    VirtualServerRemoved,
    /// A reload brought the real server.
    ServerAdded,
    /// A reload, or the DNS, took the real server away.
    ServerRemoved {
        /// The DNS name that does not stand for it any more; `None`: a reload.
        name: Option<String>,
        /// Whether it served until then.
        served: bool,
        /// It was in the table with weight 0 since it had failed.
        inhibited: bool,
    },
    /// The daemon stops and takes the server out.
    ServerShutDown {
        /// It was in the table with weight 0 since it had failed.
        inhibited: bool,
    },
    /// The virtual server went down because the daemon stops, or because a reload removed it.
    VirtualServerDown {
        /// The daemon stops.
        stopping: bool,
        /// The quorum at the end.
        quorum: Quorum,
    },
    /// An operator set a weight.
    OrderedWeight {
        /// The weight.
        weight: u32,
        /// What the file says.
        configured: u32,
    },
    /// An operator began to drain the server.
    DrainBegan {
        /// Seconds until it is taken out in any case.
        deadline: Option<u64>,
    },
    /// The drained server is out.
    DrainFinished {
        /// Connections that were open still, when the deadline had passed.
        left: u64,
    },
    /// An operator took the server out.
    Disabled,
    /// An operator ended what was ordered.
    Enabled,
    /// The file that was loaded and an operator's order disagree; the order stays in force.
    OverrideConflict {
        /// What was ordered, in words.
        order: String,
        /// The weight in the file before.
        before: u32,
        /// The weight in the file now.
        now: u32,
    },
    /// A reload removed a server for which an operator had given an order; the order is forgotten.
    OverrideDropped {
        /// What was ordered, in words.
        order: String,
    },
    /// A DNS name stands for other addresses than before.
    NameChanged {
        /// Which name.
        name: String,
        /// What came.
        added: Vec<SocketAddr>,
        /// What went.
        removed: Vec<SocketAddr>,
    },
    /// A DNS name could not be looked up; the last good answer stays.
    NameFailed {
        /// What was asked.
        lookup: Lookup,
        /// Why.
        reason: String,
        /// How many addresses are kept.
        kept: usize,
    },
    /// A DNS name that could not be looked up is known again.
    NameFound {
        /// What was asked.
        lookup: Lookup,
    },
    /// Checks wait, since the address is not on this host.
    ChecksSuspended,
    /// Checks go on, since the address is on this host.
    ChecksResumed,
}

/// Why a server is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpCause {
    /// The last check that had failed succeeded.
    Check(&'static str),
    /// It starts as up (`rs_init_notifies`).
    Start,
    /// A reload removed or changed the check that had failed.
    Reload,
}

/// Why a server is down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DownCause {
    /// A check failed.
    Check {
        /// Its keyword.
        check: &'static str,
        /// What was wanted and what came.
        failure: String,
    },
    /// It started as down (`alpha`) and its first check says that it is.
    Alpha {
        /// The check's keyword.
        check: &'static str,
        /// What was wanted and what came.
        failure: String,
    },
    /// A reload gave it a check that starts as down (`alpha`).
    Reload,
}

/// Why a weight changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightCause {
    /// A check says so.
    Check(&'static str),
    /// The file says so now.
    Reload,
    /// The DNS says so (SRV).
    Name,
    /// An operator said so, or ended what had been ordered.
    Operator,
}

/// What a virtual server has and needs. Weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quorum {
    /// Weight of the servers that serve.
    pub have: u64,
    /// `quorum`
    pub quorum: u32,
    /// `hysteresis`
    pub hysteresis: u32,
    /// At the start, or after a reload changed what is needed.
    pub initial: bool,
}

/// Whom to tell of an event besides the log: scripts, FIFO, mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Whose state it is: gives the FIFO line with [`Self::up`].
    pub subject: Subject,
    /// UP or DOWN.
    pub up: bool,
    /// `notify_up`, `notify_down`, `quorum_up`, `quorum_down`.
    pub script: Option<ScriptId>,
    /// Write `RS … UP` or `VS … DOWN` to the FIFOs.
    pub fifo: bool,
    /// Send mail, in Keepalived's words.
    pub mail: Option<Mail>,
}

/// How much attention an event asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Part of normal life.
    Info,
    /// Something works, but not as it should.
    Warning,
    /// Something does not work.
    Error,
}
