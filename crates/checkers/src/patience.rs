//! Time-outs that do not count the time that this process has lost.
//!
//! A time-out that is noticed late was kept from us: the machine stood still, or this process was
//! busy elsewhere. Whoever was to answer may have stood still with us, and what they sent may not
//! have been fetched yet. So they get that time back, and no server is taken for dead because its
//! balancer was slow.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

/// So late a timer may be on a healthy machine.
const NOTICEABLE: Duration = Duration::from_millis(50);

/// On a machine that is always late a time-out must come all the same.
const PROLONGATIONS: u8 = 3;

/// How long somebody is waited for, be it for one thing or for several.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    until: Instant,
    limit: Duration,
    left: u8,
}

impl Patience {
    /// So long, from now on.
    pub(crate) fn new(limit: Duration) -> Self {
        Self::since(Instant::now(), limit)
    }

    /// So long, from then on.
    pub(crate) fn since(began: Instant, limit: Duration) -> Self {
        Self { until: began + limit, limit, left: PROLONGATIONS }
    }

    /// The same, but at most until then.
    pub(crate) fn and_until(self, until: Instant) -> Self {
        // What was over before it began is not late.
        Self { until: self.until.min(until.max(Instant::now())), ..self }
    }

    /// When it ends, unless it is prolonged.
    pub(crate) fn until(&self) -> Instant {
        self.until
    }

    /// Its end has come. Whether it goes on, because that was noticed late: for as long as it was
    /// late, but no longer than the whole wait was to be.
    pub(crate) fn prolong(&mut self, now: Instant) -> bool {
        let late = now.saturating_duration_since(self.until);
        if late < NOTICEABLE || self.left == 0 {
            return false;
        }
        self.left -= 1;
        self.until = now + late.min(self.limit);
        true
    }

    /// What comes of it in time; `None` if nothing does.
    pub(crate) async fn wait<F: Future>(&mut self, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        loop {
            // The future is asked first: what has arrived meanwhile counts.
            if let Ok(output) = timeout_at(self.until, future.as_mut()).await {
                return Some(output);
            }
            if !self.prolong(Instant::now()) {
                return None;
            }
        }
    }
}

/// What comes of it within this time; `None` if nothing does.
pub(crate) async fn within<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    Patience::new(limit).wait(future).await
}

#[cfg(test)]
mod tests;
