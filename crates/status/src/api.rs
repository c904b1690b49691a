//! The questions and answers on a role's unix socket: one JSON value a line, each way.
//!
//! A client writes a [`Request`] and a newline, the role answers with one [`Reply`] and a newline.
//! After [`Request::Events`] the role goes on writing a [`Reply::Event`] for each record until
//! the client hangs up.

use serde::{Deserialize, Serialize};

use crate::balancing::Balancing;
use crate::{Record, Snapshot};

/// The longest request that a role reads, in bytes, newline included.
pub const MAX_REQUEST: usize = 4096;

/// A question or an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "request")]
pub enum Request {
    /// The whole state: [`Reply::Snapshot`] from the failover role, [`Reply::Balancing`] from the
    /// balancer.
    Status,
    /// The records kept in memory, oldest first ([`Reply::Records`]).
    History {
        /// Only those of this instance or group.
        #[serde(default)]
        subject: Option<String>,
    },
    /// A stream of records from now on.
    Events,
    /// Hand an instance (and its sync group) over to another node without a gap.
    Handover {
        /// The instance.
        instance: String,
    },
    /// Take part in elections again after a handover.
    Reclaim {
        /// The instance.
        instance: String,
    },
    /// To the balancer: the state of the virtual servers that are meant ([`Reply::Balancing`]).
    Servers {
        /// A name, or anything that [`VirtualServer::answers_to`] takes; `None` means every one.
        ///
        /// [`VirtualServer::answers_to`]: crate::balancing::VirtualServer::answers_to
        #[serde(default)]
        virtual_server: Option<String>,
    },
    /// To the balancer: an operator's order for real servers ([`Reply::Done`]).
    Server {
        /// The virtual server: a name, anything that it answers to, or `all`.
        virtual_server: String,
        /// The real server: a name, anything that it answers to, or `all`.
        real_server: String,
        /// What to do.
        order: ServerOrder,
    },
    /// To the balancer: look for IPVS in the kernel again, and compare the table now
    /// ([`Reply::Done`]).
    Retry,
}

/// What an operator can order for a real server. It survives a restart of the role and a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "do")]
pub enum ServerOrder {
    /// A weight instead of the configured one, 0..=2³¹−1; `None`: the configured one again.
    Weight {
        /// The weight.
        #[serde(default)]
        weight: Option<u32>,
    },
    /// No new connections; out when the open ones have ended or the deadline has passed.
    Drain {
        /// Milliseconds from now; `None`: as long as it takes.
        #[serde(default)]
        deadline_ms: Option<u64>,
    },
    /// Out at once.
    Disable,
    /// As the configuration and the checks say again: ends every other order.
    Enable,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "reply", content = "value")]
pub enum Reply {
    /// To [`Request::Status`], from the failover role.
    Snapshot(Box<Snapshot>),
    /// To [`Request::Status`] and [`Request::Servers`], from the balancer.
    Balancing(Box<Balancing>),
    /// To [`Request::History`].
    Records(Vec<Record>),
    /// One record of the stream.
    Event(Record),
    /// An order was carried out, or is under way.
    Done(String),
    /// The request could not be read or carried out: a sentence for people.
    Error(String),
}
