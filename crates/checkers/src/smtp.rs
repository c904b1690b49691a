//! `SMTP_CHECK`: greets a mail server.

use std::fmt;

use crate::outcome::{Failure, Success};
use crate::target::Target;

/// An `SMTP_CHECK`.
#[derive(Clone, Debug, PartialEq)]
pub struct Smtp {
    /// `helo_name`.
    pub helo: String,
    /// Where; at least one, and all must pass.
    pub targets: Vec<Target>,
}

/// How far it went.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SMTP")
    }
}

/// The answer is not the one wanted.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SmtpFailure {}

/// Greets the server.
///
/// # Errors
/// What was wanted and what came.
pub async fn run(check: &Smtp) -> Result<Success, Failure> {
    let _ = check;
    std::future::pending().await
}
