//! The questions and answers on a role's unix socket: one JSON value a line, each way.
//!
//! A client writes a [`Request`] and a newline, the role answers with one [`Reply`] and a newline.
//! After [`Request::Events`] the role goes on writing a [`Reply::Event`] for each record until
//! the client hangs up.

use serde::{Deserialize, Serialize};

use crate::{Record, Snapshot};

/// The longest request that a role reads, in bytes, newline included.
pub const MAX_REQUEST: usize = 4096;

/// A question or an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "request")]
pub enum Request {
    /// The whole state: [`Reply::Snapshot`].
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
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "reply", content = "value")]
pub enum Reply {
    /// To [`Request::Status`].
    Snapshot(Box<Snapshot>),
    /// To [`Request::History`].
    Records(Vec<Record>),
    /// One record of the stream.
    Event(Record),
    /// An order was carried out, or is under way.
    Done(String),
    /// The request could not be read or carried out: a sentence for people.
    Error(String),
}
