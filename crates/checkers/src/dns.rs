//! `DNS_CHECK`: asks a name server.

use std::fmt;

use config::model::checker::RecordType;

use crate::outcome::{Failure, Success};
use crate::target::Target;

/// A `DNS_CHECK`.
#[derive(Clone, Debug, PartialEq)]
pub struct Dns {
    /// `type`.
    pub record: RecordType,
    /// `name`.
    pub name: String,
    /// Data of records that must all be in the answer.
    pub expected: Vec<String>,
    /// Where.
    pub target: Target,
}

/// What was answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DNS")
    }
}

/// The answer is not the one wanted.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DnsFailure {}

/// Asks the name server.
///
/// # Errors
/// What was wanted and what came.
pub async fn run(check: &Dns) -> Result<Success, Failure> {
    let _ = check;
    std::future::pending().await
}
