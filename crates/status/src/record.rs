//! A record: one thing that happened, with its cause. The log line, `explain`, the journal on
//! disk and the event stream all print the same record.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// How much attention a record asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Part of normal life.
    Info,
    /// Worth a look: something works, but not as it should.
    Warning,
    /// Something does not work.
    Error,
}

/// One thing that happened in a role.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Counts up from 1 in each life of a role; a gap in a stream means lost records.
    pub seq: u64,
    /// When.
    pub time: Timestamp,
    /// How much attention it asks for.
    pub severity: Severity,
    /// The instance or group it is about, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// What kind of thing happened: a stable word such as `transition` or `second-master`.
    pub kind: String,
    /// For a transition: the state before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// For a transition: the state after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// One sentence for people.
    pub message: String,
    /// Why it happened, in one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// What to look at or do, where we know something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}
