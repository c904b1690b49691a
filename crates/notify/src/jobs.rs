//! Running processes: their ends, their time limits, their process groups.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use crate::event::Outcome;
use crate::process::{Bond, Child, GroupSignal};
use crate::settings::ScriptCommand;

/// Names a job as long as it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct JobId(u64);

/// How long a process may run, and what becomes of it then.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// After that its group gets SIGTERM.
    pub(crate) limit: Option<Duration>,
    /// After SIGTERM, for whatever reason, its group gets SIGKILL so much later.
    pub(crate) kill_after: Duration,
    /// Whether it outlives us.
    pub(crate) bond: Bond,
}

/// A process and why it was started.
#[derive(Debug)]
struct Job<P> {
    child: Child,
    purpose: P,
    started: Instant,
    phase: Phase,
    kill_after: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Terminated at this time, if there is one.
    Running(Option<Instant>),
    /// SIGTERM was sent, SIGKILL follows at this time. `limit`: because it took too long.
    Terminating { kill_at: Instant, limit: bool },
    /// SIGKILL was sent.
    Killed { limit: bool },
}

/// A job that has ended.
#[derive(Debug)]
pub(crate) struct Ended<P> {
    pub(crate) purpose: P,
    pub(crate) outcome: Outcome,
    pub(crate) took: Duration,
}

/// All processes that this thread has started.
#[derive(Debug)]
pub(crate) struct Jobs<P> {
    jobs: BTreeMap<JobId, Job<P>>,
    next: u64,
}

impl<P> Jobs<P> {
    pub(crate) fn new() -> Self {
        Self { jobs: BTreeMap::new(), next: 0 }
    }

    /// Starts a process.
    ///
    /// # Errors
    /// The purpose is given back with the reason.
    pub(crate) fn start(
        &mut self,
        command: &ScriptCommand,
        terms: Terms,
        purpose: P,
        now: Instant,
    ) -> Result<JobId, (P, String)> {
        let Terms { limit, kill_after, bond } = terms;
        match Child::spawn(command, bond) {
            Ok(child) => {
                let id = JobId(self.next);
                self.next += 1;
                let phase = Phase::Running(limit.map(|limit| now + limit));
                self.jobs.insert(id, Job { child, purpose, started: now, phase, kill_after });
                Ok(id)
            }
            Err(not_started) => Err((purpose, not_started.reason)),
        }
    }

    /// The descriptors that become readable when a job ends.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = (JobId, BorrowedFd<'_>)> {
        self.jobs.iter().map(|(id, job)| (*id, job.child.as_fd()))
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        let deadlines = self.jobs.values().filter_map(|job| match job.phase {
            Phase::Running(limit) => limit,
            Phase::Terminating { kill_at, .. } => Some(kill_at),
            Phase::Killed { .. } => None,
        });
        deadlines.min()
    }

    /// Sends the signals that are due. Returns the jobs whose time has just run out (their end is
    /// yet to come).
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Vec<JobId> {
        let mut late = Vec::new();
        for (id, job) in &mut self.jobs {
            match job.phase {
                Phase::Running(Some(limit)) if limit <= now => {
                    job.terminate(now, true);
                    late.push(*id);
                }
                Phase::Terminating { kill_at, limit } if kill_at <= now => {
                    job.child.signal_group(GroupSignal::Kill);
                    job.phase = Phase::Killed { limit };
                }
                _ => {}
            }
        }
        late
    }

    /// Sends SIGTERM to the job's group now, SIGKILL later; nothing if that has begun.
    pub(crate) fn terminate(&mut self, id: JobId, now: Instant) {
        if let Some(job) = self.jobs.get_mut(&id)
            && matches!(job.phase, Phase::Running(_))
        {
            job.terminate(now, false);
        }
    }

    /// Sends SIGKILL to every group.
    pub(crate) fn kill_all(&mut self) {
        for job in self.jobs.values_mut() {
            job.child.signal_group(GroupSignal::Kill);
            job.phase = Phase::Killed { limit: false };
        }
    }

    /// Takes a job that has ended; `None` if it has not.
    pub(crate) fn reap(&mut self, id: JobId, now: Instant) -> Option<Ended<P>> {
        let job = self.jobs.get_mut(&id)?;
        if !job.child.has_ended() {
            return None;
        }
        if !matches!(job.phase, Phase::Running(_)) {
            // What ignored SIGTERM goes too. The ended process is not reaped yet, therefore its
            // number still names this group and no other.
            job.child.signal_group(GroupSignal::Kill);
        }
        let job = self.jobs.remove(&id)?;
        let limit = matches!(
            job.phase,
            Phase::Terminating { limit: true, .. } | Phase::Killed { limit: true }
        );
        let ended = job.child.reap();
        Some(Ended {
            purpose: job.purpose,
            outcome: if limit { Outcome::TimedOut } else { ended },
            took: now.saturating_duration_since(job.started),
        })
    }

    pub(crate) fn purpose(&self, id: JobId) -> Option<&P> {
        self.jobs.get(&id).map(|job| &job.purpose)
    }

    pub(crate) fn purposes(&self) -> impl Iterator<Item = (JobId, &P)> {
        self.jobs.iter().map(|(id, job)| (*id, &job.purpose))
    }

    /// How long the job has been running.
    pub(crate) fn age(&self, id: JobId, now: Instant) -> Option<Duration> {
        self.jobs.get(&id).map(|job| now.saturating_duration_since(job.started))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }
}

impl<P> Job<P> {
    fn terminate(&mut self, now: Instant, limit: bool) {
        self.child.signal_group(GroupSignal::Terminate);
        self.phase = Phase::Terminating { kill_at: now + self.kill_after, limit };
    }
}
