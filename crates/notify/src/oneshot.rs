//! Runs one script to its end: the startup and shutdown scripts.

use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, poll};

use crate::event::Outcome;
use crate::jobs::{Jobs, Terms};
use crate::process::Bond;
use crate::settings::ScriptCommand;

/// Between SIGTERM and SIGKILL.
const KILL_AFTER: Duration = Duration::from_secs(2);

/// Runs the command and waits for it, at most `timeout`; then its process group gets SIGTERM and,
/// 2 s later, SIGKILL. Blocks the calling thread meanwhile.
pub fn run(command: &ScriptCommand, timeout: Duration) -> Outcome {
    let mut jobs = Jobs::new();
    // A daemon that is told to stop during its startup script ends the script with itself.
    let terms = Terms { limit: Some(timeout), kill_after: KILL_AFTER, bond: Bond::Tied };
    let id = match jobs.start(command, terms, (), Instant::now()) {
        Ok(id) => id,
        Err(((), reason)) => return Outcome::NotStarted(reason),
    };
    loop {
        let now = Instant::now();
        if let Some(ended) = jobs.reap(id, now) {
            return ended.outcome;
        }
        jobs.handle_timeout(now);
        let wait = jobs.deadline().map(|at| at.saturating_duration_since(now));
        let mut fds: Vec<PollFd<'_>> =
            jobs.descriptors().map(|(_, fd)| PollFd::new(fd, PollFlags::POLLIN)).collect();
        // An interrupted or failed wait is harmless: the loop looks again.
        let _ = poll(&mut fds, crate::engine::poll_timeout(wait));
    }
}
