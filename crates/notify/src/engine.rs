//! The worker's loop: waits for whatever comes first and serves it.
//!
//! Everything happens on one thread; the parts (`delivery`, `fifo`, `jobs`, `trackers`) know
//! nothing of one another, this file joins them.

use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::EventFd;

use crate::delivery::Delivery;
use crate::event::{DropReason, Notification, Outcome, Report, Subject};
use crate::jobs::{Ended, JobId, Jobs, Terms};
use crate::pipes::Pipes;
use crate::process::Bond;
use crate::settings::{ScriptCommand, WorkerConfig};
use crate::trackers::{Trackers, script::ScriptTrackers};

/// After the deadline of a stop, how long until what still runs is killed.
const LAST_GRACE: Duration = Duration::from_millis(500);

/// What the handle asks for.
#[derive(Debug)]
pub(crate) enum Command {
    Notify(Notification),
    Reload(WorkerConfig),
    Stop(Duration),
}

/// Why a process was started.
#[derive(Clone, Debug)]
pub(crate) enum Purpose {
    /// A notification script.
    Notify { subject: Subject, program: PathBuf },
    /// A run of the script tracker with this serial number.
    Tracker(u64),
    /// The reader of the FIFO with this serial number.
    Reader(u64),
}

/// Where the parts leave their reports; told to the other thread once per turn of the loop.
pub(crate) struct Outbox {
    sender: Sender<Report>,
    wake: Box<dyn Fn() + Send>,
    news: bool,
}

impl Outbox {
    pub(crate) fn new(sender: Sender<Report>, wake: Box<dyn Fn() + Send>) -> Self {
        Self { sender, wake, news: false }
    }

    pub(crate) fn put(&mut self, report: Report) {
        // The handle may be gone: then nobody wants to know.
        let _ = self.sender.send(report);
        self.news = true;
    }

    fn announce(&mut self) {
        if std::mem::take(&mut self.news) {
            (self.wake)();
        }
    }
}

/// What a descriptor belongs to.
#[derive(Clone, Copy, Debug)]
enum Source {
    Bell,
    Job(JobId),
    Pipes,
    Trackers,
}

/// A stop in progress.
#[derive(Clone, Copy, Debug)]
struct Stop {
    begun: Instant,
    deadline: Instant,
    /// The deadline has passed and what waited was given up; this many scripts.
    given_up: Option<usize>,
    /// SIGKILL was sent to everything.
    killed: bool,
}

pub(crate) struct Engine {
    config: WorkerConfig,
    commands: Receiver<Command>,
    bell: Arc<EventFd>,
    outbox: Outbox,
    jobs: Jobs<Purpose>,
    delivery: Delivery<ScriptCommand>,
    pipes: Pipes,
    scripts: ScriptTrackers,
    trackers: Trackers,
    stop: Option<Stop>,
}

impl Engine {
    pub(crate) fn new(
        config: WorkerConfig,
        commands: Receiver<Command>,
        bell: Arc<EventFd>,
        outbox: Outbox,
    ) -> Self {
        let mut engine = Self {
            config: WorkerConfig::default(),
            commands,
            bell,
            outbox,
            jobs: Jobs::new(),
            delivery: Delivery::new(),
            pipes: Pipes::new(),
            scripts: ScriptTrackers::default(),
            trackers: Trackers::default(),
            stop: None,
        };
        engine.configure(config, Instant::now());
        engine
    }

    /// Runs until a stop is done.
    pub(crate) fn run(mut self) {
        loop {
            self.take_commands();
            let now = Instant::now();
            self.handle_timeout(now);
            if self.is_done() {
                break;
            }
            self.outbox.announce();
            for source in self.wait(now) {
                self.serve(source);
            }
        }
        let unfinished_scripts = self.stop.and_then(|stop| stop.given_up).unwrap_or(0);
        let unread_lines = self.pipes.left_behind();
        self.outbox.put(Report::Stopped { unfinished_scripts, unread_lines });
        self.outbox.announce();
    }

    fn take_commands(&mut self) {
        loop {
            match self.commands.try_recv() {
                Ok(Command::Notify(notification)) => self.deliver(&notification),
                Ok(Command::Reload(config)) if self.stop.is_none() => {
                    self.configure(config, Instant::now());
                }
                Ok(Command::Reload(_)) => {}
                Ok(Command::Stop(within)) => self.begin_stop(within),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    // The handle was dropped without a word: nobody waits for us.
                    if self.stop.is_none() {
                        self.begin_stop(Duration::ZERO);
                    }
                    break;
                }
            }
        }
    }

    fn configure(&mut self, config: WorkerConfig, now: Instant) {
        self.pipes.configure(&config.fifos, &mut self.jobs, now);
        self.scripts.configure(&config.scripts, &mut self.jobs, &mut self.outbox, now);
        self.trackers.configure(&config, &mut self.outbox, now);
        self.config = config;
    }

    fn deliver(&mut self, notification: &Notification) {
        if notification.fifo {
            self.pipes.write(&notification.line(), &mut self.outbox, Instant::now());
        }
        for script in &notification.scripts {
            let command = if script.with_arguments {
                script.command.clone().with_args(notification.arguments())
            } else {
                script.command.clone()
            };
            let most = self.config.limits.queue;
            if let Some((subject, dropped)) =
                self.delivery.push(&notification.subject, command, most)
            {
                let reason = DropReason::QueueFull;
                let program = dropped.program;
                self.outbox.put(Report::ScriptDropped { subject, program, reason });
            }
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        for id in self.jobs.handle_timeout(now) {
            // A late check has failed now, not only when it has died at last.
            if let Some(Purpose::Tracker(serial)) = self.jobs.purpose(id) {
                let (serial, took) = (*serial, self.jobs.age(id, now).unwrap_or_default());
                self.scripts.result(serial, Outcome::TimedOut, took, &mut self.outbox);
            }
        }
        if self.stop.is_none() {
            self.scripts.start_due(&mut self.jobs, &mut self.outbox, now);
            self.trackers.handle_timeout(now, &mut self.outbox);
        }
        self.pipes.handle_timeout(&mut self.jobs, &mut self.outbox, now);
        self.start_notifications(now);
        self.advance_stop(now);
    }

    fn start_notifications(&mut self, now: Instant) {
        let limits = self.config.limits;
        while let Some((subject, command)) = self.delivery.next(limits.parallel) {
            let purpose =
                Purpose::Notify { subject: subject.clone(), program: command.program.clone() };
            let terms = Terms {
                limit: Some(limits.timeout),
                kill_after: limits.kill_after,
                bond: Bond::Free,
            };
            let started = self.jobs.start(&command, terms, purpose, now);
            if let Err((_, reason)) = started {
                self.delivery.finished(&subject);
                self.outbox.put(Report::ScriptFinished {
                    subject,
                    program: command.program,
                    outcome: Outcome::NotStarted(reason),
                    took: Duration::ZERO,
                });
            }
        }
    }

    fn begin_stop(&mut self, within: Duration) {
        let now = Instant::now();
        let deadline = now + within;
        let stop = Stop { begun: now, deadline, given_up: None, killed: false };
        if self.stop.is_none() {
            self.scripts.stop(&mut self.jobs, now);
            self.trackers = Trackers::default();
        }
        self.pipes.retire_all(deadline, now);
        self.stop = Some(stop);
    }

    fn advance_stop(&mut self, now: Instant) {
        let Some(mut stop) = self.stop else { return };
        if stop.given_up.is_none() && now >= stop.deadline {
            let waiting = self.delivery.take_waiting();
            let mut given_up = waiting.len();
            for (subject, command) in waiting {
                let reason = DropReason::Deadline;
                self.outbox.put(Report::ScriptDropped {
                    subject,
                    program: command.program,
                    reason,
                });
            }
            let running: Vec<(JobId, bool)> = self
                .jobs
                .purposes()
                .map(|(id, purpose)| (id, matches!(purpose, Purpose::Notify { .. })))
                .collect();
            for (id, notifies) in running {
                given_up += usize::from(notifies);
                self.jobs.terminate(id, now);
            }
            stop.given_up = Some(given_up);
        }
        let last = if self.delivery.is_idle() && self.pipes.is_idle() {
            // Only tracker scripts are left: nobody needs their results.
            (stop.begun + LAST_GRACE).min(stop.deadline + LAST_GRACE)
        } else {
            stop.deadline + LAST_GRACE
        };
        if !stop.killed && now >= last {
            self.jobs.kill_all();
            stop.killed = true;
        }
        self.stop = Some(stop);
    }

    fn is_done(&self) -> bool {
        let Some(stop) = self.stop else { return false };
        // A killed process is always gone at once, unless it hangs in the kernel: leave it there.
        let patience_ends = stop.deadline + 2 * LAST_GRACE;
        (self.delivery.is_idle() && self.pipes.is_idle() && self.jobs.is_empty())
            || (stop.killed && Instant::now() >= patience_ends)
    }

    fn deadline(&self, now: Instant) -> Option<Instant> {
        let stop = self.stop.map(|stop| {
            if stop.killed {
                stop.deadline + 2 * LAST_GRACE
            } else if self.delivery.is_idle() && self.pipes.is_idle() {
                (stop.begun + LAST_GRACE).min(stop.deadline + LAST_GRACE)
            } else if stop.given_up.is_some() {
                stop.deadline + LAST_GRACE
            } else {
                stop.deadline
            }
        });
        let trackers = if self.stop.is_none() {
            [self.scripts.deadline(), self.trackers.deadline()]
        } else {
            [None, None]
        };
        [stop, self.jobs.deadline(), self.pipes.deadline(now)]
            .into_iter()
            .chain(trackers)
            .flatten()
            .min()
    }

    /// Waits for a descriptor or the next deadline.
    fn wait(&self, now: Instant) -> Vec<Source> {
        let wait = self.deadline(now).map(|at| at.saturating_duration_since(now));
        let mut sources = vec![Source::Bell];
        let mut fds = vec![PollFd::new(self.bell.as_fd(), PollFlags::POLLIN)];
        let mut add = |source, fd, flags| {
            sources.push(source);
            fds.push(PollFd::new(fd, flags));
        };
        for (id, fd) in self.jobs.descriptors() {
            add(Source::Job(id), fd, PollFlags::POLLIN);
        }
        for fd in self.pipes.descriptors() {
            add(Source::Pipes, fd, PollFlags::POLLOUT);
        }
        if self.stop.is_none() {
            for fd in self.trackers.descriptors() {
                add(Source::Trackers, fd, PollFlags::POLLIN);
            }
        }
        // An interrupted or failed wait is harmless: the loop looks again at everything.
        let _ = poll(&mut fds, poll_timeout(wait));
        let ready = fds.iter().map(|fd| fd.any().unwrap_or(false));
        sources.iter().zip(ready).filter_map(|(source, ready)| ready.then_some(*source)).collect()
    }

    fn serve(&mut self, source: Source) {
        let now = Instant::now();
        match source {
            Source::Bell => {
                // Only there to end the wait; the commands are in the queue.
                let _ = self.bell.read();
            }
            Source::Job(id) => {
                if let Some(ended) = self.jobs.reap(id, now) {
                    self.job_ended(ended, now);
                }
            }
            Source::Pipes => self.pipes.flush(&mut self.outbox),
            Source::Trackers => self.trackers.serve(&mut self.outbox, now),
        }
    }

    fn job_ended(&mut self, ended: Ended<Purpose>, now: Instant) {
        let Ended { purpose, outcome, took } = ended;
        match purpose {
            Purpose::Notify { subject, program } => {
                self.delivery.finished(&subject);
                self.outbox.put(Report::ScriptFinished { subject, program, outcome, took });
            }
            Purpose::Tracker(serial) => {
                self.scripts.ended(serial, outcome, took, &mut self.outbox, now);
            }
            Purpose::Reader(serial) => {
                self.pipes.reader_ended(serial, outcome, took, &mut self.outbox, now);
            }
        }
    }
}

/// `poll`'s idea of a duration; rounded up, so that a deadline has passed when the wait is over.
pub(crate) fn poll_timeout(wait: Option<Duration>) -> PollTimeout {
    match wait {
        None => PollTimeout::NONE,
        Some(wait) => {
            let ms = wait.as_nanos().div_ceil(1_000_000);
            PollTimeout::try_from(i32::try_from(ms).unwrap_or(i32::MAX)).unwrap_or(PollTimeout::MAX)
        }
    }
}
