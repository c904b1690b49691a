//! `BFD_CHECK`: a BFD session is up.

use std::time::Duration;

use crate::outcome::{Cause, Detail, Failure, Success};

/// A `BFD_CHECK`.
#[derive(Clone, Debug, PartialEq)]
pub struct Bfd {
    /// `name`: the session's.
    pub session: Box<str>,
}

/// What the session's state means.
pub(crate) fn judge(check: &Bfd, up: bool) -> Result<Success, Failure> {
    if up {
        Ok(Success::new(Detail::SessionUp, Duration::ZERO))
    } else {
        Err(Failure::local(Cause::Session(check.session.to_string()), Duration::ZERO))
    }
}
