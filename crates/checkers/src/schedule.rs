//! When a check looks, and when its results make it up or down. No I/O, no clock, no randomness.
//!
//! ```text
//!  start ─ 0..warmup ─► look ─ fine ─ delay_loop ─► look ─ fails ─ delay_before_retry ─► look … retry times,
//!                                                                      then down: delay_loop ─► look
//!  while down:          look ─ fails ─ delay_before_retry ─► look ─ fine: up ─ delay_loop ─► look
//! ```
//!
//! All waits are from the end of one look to the start of the next.

use std::time::Duration;

use tokio::time::Instant;

use crate::outcome::State;
use crate::spec::Start;

/// When and how often a check looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `delay_loop`: from the end of a look to the next.
    pub delay_loop: Duration,
    /// `retry`: failures in a row that are forgiven.
    pub retry: u32,
    /// `delay_before_retry`: from a failure to the next look.
    pub delay_before_retry: Duration,
    /// `warmup`: the first look is somewhere within this.
    pub warmup: Duration,
    /// `alpha`: down until it has succeeded.
    pub alpha: bool,
    /// Places to look at, one each turn (the urls of `HTTP_GET`); at least 1. All must be fine to
    /// come up.
    pub steps: u32,
    /// `fast_recovery`: while it is not up, no wait between the steps.
    pub fast_recovery: bool,
}

/// What a result means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is up now, or its first result says so.
    Up,
    /// It is down now, after so many retries.
    Down {
        /// Failures that were forgiven before this one.
        retries: u32,
    },
    /// A failure that is forgiven.
    Attempt {
        /// Failures in a row, from 1.
        number: u32,
    },
    /// Nothing that was not known.
    Same,
}

/// The timing of one check.
#[derive(Clone, Debug)]
pub struct Schedule {
    settings: Settings,
    state: State,
    phase: Phase,
    /// The step that is looked at next.
    step: u32,
    /// Failures in a row.
    failures: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Waiting(Instant),
    Looking,
    Suspended,
}
