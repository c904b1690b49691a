//! `MISC_CHECK`: a script's exit status.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use notify::event::Outcome;
use notify::process::{Bond, Child, GroupSignal, NotStarted, is_shortage};
use notify::settings::ScriptCommand;
use sys::readiness::Readiness;
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::spawn_local;
use tokio::time::{Instant, timeout};

use crate::outcome::{Detail, Failure, Seconds, Success, Weight};
use crate::patience::Patience;

/// A `MISC_CHECK`.
#[derive(Clone, Debug, PartialEq)]
pub struct Misc {
    /// The script, resolved.
    pub command: ScriptCommand,
    /// `misc_timeout`.
    pub timeout: Duration,
    /// `misc_dynamic`: exit statuses 2..=255 are weights 0..=253.
    pub dynamic: bool,
}

/// Why a script counts as failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScriptFailure {
    /// Its exit status.
    #[error("exit status {status}, wanted 0{}", if *.dynamic { " or 2-255" } else { "" })]
    Exited {
        /// 1..=255.
        status: i32,
        /// `misc_dynamic`.
        dynamic: bool,
    },
    /// It ended by a signal that was not ours.
    #[error("ended by signal {0}")]
    Signalled(i32),
    /// It took too long and was ended.
    #[error("did not end within {}", Seconds(*.within))]
    TimedOut {
        /// `misc_timeout`.
        within: Duration,
    },
    /// It could not be started: the system's reason, and a hint.
    #[error("not started: {0}")]
    NotStarted(String),
    /// It could not be started for want of descriptors, processes or memory.
    #[error("not started: {0}")]
    Shortage(String),
}

impl ScriptFailure {
    /// Whether the fault is on our side: the script was not even asked.
    pub fn is_ours(&self) -> bool {
        matches!(self, Self::Shortage(_))
    }
}

/// Runs the script to its end, or until its time is over.
pub(crate) async fn run(check: &Misc, undertaker: &Undertaker) -> Result<Success, Failure> {
    let began = Instant::now();
    let fail = |failure: ScriptFailure| Err(Failure::local(failure, began.elapsed()));
    let script = match undertaker.start(&check.command) {
        Ok(script) => script,
        Err(not_started) if not_started.is_shortage => {
            return fail(ScriptFailure::Shortage(not_started.reason));
        }
        Err(not_started) => return fail(ScriptFailure::NotStarted(not_started.reason)),
    };
    // A script whose time is over is dropped here: the undertaker ends it, we need not wait.
    let mut patience = Patience::since(began, check.timeout);
    let Some(outcome) = patience.wait(script.outcome()).await else {
        return fail(ScriptFailure::TimedOut { within: check.timeout });
    };
    match outcome {
        Outcome::Exited(status) => match judge(status, check.dynamic) {
            Some(weight) => {
                Ok(Success { detail: Detail::Exited(status), weight, took: began.elapsed() })
            }
            None => fail(ScriptFailure::Exited { status, dynamic: check.dynamic }),
        },
        Outcome::Signalled(signal) => fail(ScriptFailure::Signalled(signal)),
        // Time is our business here, and it was started.
        Outcome::TimedOut => fail(ScriptFailure::TimedOut { within: check.timeout }),
        Outcome::NotStarted(reason) => fail(ScriptFailure::NotStarted(reason)),
    }
}

/// What an exit status says: `None` for failed, otherwise the weight, if it says one.
fn judge(status: i32, dynamic: bool) -> Option<Option<Weight>> {
    match (status, dynamic) {
        (0, _) => Some(None),
        (2..=255, true) => Some(Some(Weight::Set(status.unsigned_abs() - 2))),
        _ => None,
    }
}

/// Starts scripts, and sees to the end of those that nobody waits for any more: a script whose
/// check is stopped is terminated, killed 2 s later, and reaped in any case.
#[derive(Debug)]
pub(crate) struct Undertaker {
    orphans: UnboundedSender<Process>,
    living: Rc<Living>,
}

/// How many scripts there are.
#[derive(Debug, Default)]
struct Living {
    count: Cell<usize>,
    fewer: Notify,
}

/// From SIGTERM to SIGKILL.
const KILL_AFTER: Duration = Duration::from_secs(2);

impl Undertaker {
    /// Inside a `LocalRuntime` or `LocalSet` only. It works until it is dropped and all its scripts have ended.
    pub(crate) fn new() -> Self {
        let (orphans, mut incoming) = unbounded_channel::<Process>();
        spawn_local(async move {
            while let Some(process) = incoming.recv().await {
                spawn_local(process.end());
            }
        });
        Self { orphans, living: Rc::default() }
    }

    /// Waits until there is no script.
    pub(crate) async fn all_ended(&self) {
        while self.living.count.get() > 0 {
            self.living.fewer.notified().await;
        }
    }

    fn start(&self, command: &ScriptCommand) -> Result<Script, NotStarted> {
        let child = Child::spawn(command, Bond::Tied)?;
        match Readiness::new(&child) {
            Ok(end) => {
                self.living.count.set(self.living.count.get() + 1);
                let process = Process { child: Some(child), end, living: self.living.clone() };
                Ok(Script { process: Some(process), orphans: self.orphans.clone() })
            }
            Err(error) => {
                child.signal_group(GroupSignal::Kill);
                child.reap();
                Err(NotStarted {
                    reason: format!("{}: cannot wait for it: {error}", command.program.display()),
                    is_shortage: is_shortage(&error),
                })
            }
        }
    }
}

/// A script that runs. Dropped before it is reaped (everything ends), it is killed; whoever becomes
/// its parent reaps it.
#[derive(Debug)]
struct Process {
    /// `None`: reaped.
    child: Option<Child>,
    end: Readiness,
    living: Rc<Living>,
}

impl Process {
    async fn ended(&self) {
        // Without a runtime nobody waits.
        let _ = self.end.readable().await;
    }

    fn signal(&self, signal: GroupSignal) {
        if let Some(child) = &self.child {
            child.signal_group(signal);
        }
    }

    /// Takes the result of a script that has ended; `None` if that was done.
    fn reap(mut self) -> Option<Outcome> {
        self.child.take().map(Child::reap)
    }

    /// Ends it and everything that it has started.
    async fn end(self) {
        self.signal(GroupSignal::Terminate);
        let _ = timeout(KILL_AFTER, self.ended()).await;
        // What ignored SIGTERM goes too. It is not reaped yet, so that the number still names this
        // group and no other.
        self.signal(GroupSignal::Kill);
        self.ended().await;
        self.reap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(GroupSignal::Kill);
        self.living.count.set(self.living.count.get().saturating_sub(1));
        self.living.fewer.notify_one();
    }
}

/// A script that somebody waits for. Dropped before its end, it is the undertaker's.
struct Script {
    process: Option<Process>,
    orphans: UnboundedSender<Process>,
}

impl Script {
    /// Waits for its end and takes its result.
    async fn outcome(mut self) -> Outcome {
        if let Some(process) = &self.process {
            process.ended().await;
        }
        // It was there a moment ago; nobody else takes it.
        self.process.take().and_then(Process::reap).unwrap_or(Outcome::TimedOut)
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        if let Some(process) = self.process.take() {
            process.signal(GroupSignal::Terminate);
            // If everything ends, it is dropped in there or here.
            let _ = self.orphans.send(process);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_statuses_say_what_keepalived_says() {
        assert_eq!(judge(0, false), Some(None));
        assert_eq!(judge(0, true), Some(None));
        for (status, dynamic) in [(1, false), (1, true), (2, false), (255, false), (-1, true)] {
            assert_eq!(judge(status, dynamic), None, "{status} {dynamic}");
        }
        assert_eq!(judge(2, true), Some(Some(Weight::Set(0))));
        assert_eq!(judge(255, true), Some(Some(Weight::Set(253))));
    }
}
