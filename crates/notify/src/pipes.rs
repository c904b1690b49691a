//! All FIFOs together with the reader scripts that we start for them.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use crate::engine::{Outbox, Purpose};
use crate::event::{FifoEvent, Outcome, Report};
use crate::fifo::Fifo;
use crate::jobs::{JobId, Jobs, Terms};
use crate::process::Bond;
use crate::settings::FifoConfig;

/// How long a FIFO that a reload removed may take to be read to its end.
const RETIRE: Duration = Duration::from_secs(5);

/// How long a reader that is not ours has at the end to take something out of the pipe. It may not
/// exist at all.
const STRANGER: Duration = Duration::from_secs(1);

/// How long our reader has, after the end of file, to end by itself.
const READER_GRACE: Duration = Duration::from_secs(1);

/// Emptiness of a pipe is nothing that can be waited for; it is looked at so often.
const LOOK: Duration = Duration::from_millis(10);

/// From SIGTERM to SIGKILL for a reader.
const KILL_AFTER: Duration = Duration::from_secs(2);

/// A reader that ran so long starts again after the shortest delay.
const PROVEN: Duration = Duration::from_secs(60);

/// Whether the process that runs the reader of a shared FIFO has gone is looked at so often.
const SUCCESSION: Duration = Duration::from_secs(1);

/// Between the end of a reader and its next start; doubled each time, up to the longest.
const FIRST_DELAY: Duration = Duration::from_secs(1);
const LONGEST_DELAY: Duration = Duration::from_secs(60);

#[derive(Debug)]
struct Slot {
    serial: u64,
    fifo: Fifo,
    reader: Reader,
    retire: Option<Retire>,
    /// A reload took it away: what happens from then on is none of its business. At a stop, on the
    /// other hand, the last notifications still follow.
    removed: bool,
    /// Lines that were not read when our end was closed; those in the pipe count as one.
    left: usize,
}

/// The reader script of a FIFO.
#[derive(Debug)]
enum Reader {
    /// None is configured, or it is over.
    None,
    /// Started at this time; the delay is the one after that.
    Due { at: Instant, next_delay: Duration },
    /// Running. `replaced`: by a reload; another one follows it.
    Running { job: JobId, next_delay: Duration, replaced: bool },
}

/// The end of a FIFO: first everything is read, then the reader goes.
#[derive(Clone, Copy, Debug)]
enum Retire {
    /// Lines are still under way. `until` moves on towards `deadline` as long as lines that wait
    /// (so many at the last look) become fewer: somebody is reading.
    Draining { until: Instant, deadline: Instant, waiting: usize },
    /// Our end is closed; the reader may end by itself.
    Closed { until: Instant },
    /// The reader was told to end.
    Terminated,
    /// Nothing is left.
    Over,
}

#[derive(Debug)]
pub(crate) struct Pipes {
    slots: Vec<Slot>,
    next_serial: u64,
    /// Lines that FIFOs which have ended left behind.
    unread: usize,
}

impl Pipes {
    pub(crate) fn new() -> Self {
        Self { slots: Vec::new(), next_serial: 0, unread: 0 }
    }

    /// Applies a new list: FIFOs of the same path stay open, others are read to their end and go.
    pub(crate) fn configure(
        &mut self,
        configs: &[FifoConfig],
        jobs: &mut Jobs<Purpose>,
        now: Instant,
    ) {
        for slot in &mut self.slots {
            if slot.retire.is_none() && !configs.iter().any(|c| c.path == slot.fifo.config().path) {
                slot.removed = true;
                slot.begin_retire(now + RETIRE, now);
            }
        }
        for config in configs {
            let known = self.slots.iter_mut().find(|slot| {
                slot.fifo.config().path == config.path
                    && matches!(slot.retire, None | Some(Retire::Draining { .. }))
            });
            match known {
                Some(slot) => slot.reconfigure(config, jobs, now),
                None => {
                    let serial = self.next_serial;
                    self.next_serial += 1;
                    let fifo = Fifo::new(config.clone(), now);
                    let mut slot = Slot {
                        serial,
                        fifo,
                        reader: Reader::None,
                        retire: None,
                        removed: false,
                        left: 0,
                    };
                    slot.schedule_reader(now);
                    self.slots.push(slot);
                }
            }
        }
    }

    /// Writes a line to every FIFO.
    pub(crate) fn write(&mut self, line: &str, outbox: &mut Outbox, now: Instant) {
        for slot in &mut self.slots {
            if !slot.removed && matches!(slot.retire, None | Some(Retire::Draining { .. })) {
                let mut events = Vec::new();
                slot.fifo.push(line.to_owned(), now, &mut events);
                slot.report(events, outbox);
            }
        }
    }

    /// Writes what there is room for.
    pub(crate) fn flush(&mut self, outbox: &mut Outbox) {
        for slot in &mut self.slots {
            let mut events = Vec::new();
            slot.fifo.flush(&mut events);
            slot.report(events, outbox);
        }
    }

    /// Descriptors to wait on for room.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.slots.iter().filter_map(|slot| slot.fifo.wants_room())
    }

    /// Ends all FIFOs, at the latest at `deadline`.
    pub(crate) fn retire_all(&mut self, deadline: Instant, now: Instant) {
        for slot in &mut self.slots {
            slot.begin_retire(deadline, now);
        }
    }

    /// All FIFOs have ended.
    pub(crate) fn is_idle(&self) -> bool {
        self.slots.is_empty()
    }

    /// Lines that FIFOs which have ended left unread; those in a pipe count as one.
    pub(crate) fn left_behind(&self) -> usize {
        self.unread
    }

    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        self.slots.iter().filter_map(|slot| slot.deadline(now)).min()
    }

    pub(crate) fn handle_timeout(
        &mut self,
        jobs: &mut Jobs<Purpose>,
        outbox: &mut Outbox,
        now: Instant,
    ) {
        for slot in &mut self.slots {
            let mut events = Vec::new();
            slot.fifo.handle_timeout(now, &mut events);
            slot.report(events, outbox);
            slot.start_reader(jobs, outbox, now);
            slot.advance_retire(jobs, now);
        }
        let unread = &mut self.unread;
        self.slots.retain(|slot| {
            let over = matches!(slot.retire, Some(Retire::Over));
            if over {
                *unread += slot.left;
            }
            !over
        });
    }

    /// A reader has ended: it is started again unless its FIFO goes.
    pub(crate) fn reader_ended(
        &mut self,
        serial: u64,
        outcome: Outcome,
        took: Duration,
        outbox: &mut Outbox,
        now: Instant,
    ) {
        let Some(slot) = self.slots.iter_mut().find(|slot| slot.serial == serial) else { return };
        let Reader::Running { next_delay, replaced, .. } = slot.reader else { return };
        slot.reader = Reader::None;
        if matches!(slot.retire, Some(Retire::Closed { .. } | Retire::Terminated)) {
            return;
        }
        if slot.fifo.config().reader.is_none() {
            return;
        }
        if replaced {
            slot.schedule_reader(now);
            return;
        }
        let delay = if took >= PROVEN { FIRST_DELAY } else { next_delay };
        slot.reader = Reader::Due { at: now + delay, next_delay: (delay * 2).min(LONGEST_DELAY) };
        slot.report(vec![FifoEvent::ReaderEnded { outcome, restart_in: delay }], outbox);
    }
}

impl Slot {
    fn report(&self, events: Vec<FifoEvent>, outbox: &mut Outbox) {
        for event in events {
            outbox.put(Report::Fifo { path: self.fifo.config().path.clone(), event });
        }
    }

    fn schedule_reader(&mut self, now: Instant) {
        if self.fifo.config().reader.is_some() {
            self.reader = Reader::Due { at: now, next_delay: FIRST_DELAY };
        }
    }

    fn reconfigure(&mut self, config: &FifoConfig, jobs: &mut Jobs<Purpose>, now: Instant) {
        let same_reader = self.fifo.config().reader == config.reader;
        (self.retire, self.removed) = (None, false);
        self.fifo.reconfigure(config.clone());
        if same_reader {
            return;
        }
        if config.reader.is_none() {
            self.fifo.step_down();
        }
        match &mut self.reader {
            Reader::Running { job, replaced, .. } => {
                *replaced = true;
                jobs.terminate(*job, now);
            }
            Reader::None | Reader::Due { .. } => {
                self.reader = Reader::None;
                self.schedule_reader(now);
            }
        }
    }

    /// Starts the reader if it is due; it needs the FIFO to be there.
    fn start_reader(&mut self, jobs: &mut Jobs<Purpose>, outbox: &mut Outbox, now: Instant) {
        let Reader::Due { at, next_delay } = self.reader else { return };
        let Some(reader) = &self.fifo.config().reader else { return };
        if at > now || !self.fifo.is_open() {
            return;
        }
        if !self.fifo.lead() {
            // Another process's reader reads what we write. It may go before us.
            self.reader = Reader::Due { at: now + SUCCESSION, next_delay };
            return;
        }
        let path = self.fifo.config().path.to_string_lossy().into_owned();
        let command = reader.clone().with_args([path]);
        let purpose = Purpose::Reader(self.serial);
        // Two readers would share the lines of one pipe: it must not outlive a crash of ours.
        let terms = Terms { limit: None, kill_after: KILL_AFTER, bond: Bond::Tied };
        match jobs.start(&command, terms, purpose, now) {
            Ok(job) => self.reader = Reader::Running { job, next_delay, replaced: false },
            Err((_, reason)) => {
                let next = (next_delay * 2).min(LONGEST_DELAY);
                self.reader = Reader::Due { at: now + next_delay, next_delay: next };
                let outcome = Outcome::NotStarted(reason);
                let restart_in = next_delay;
                self.report(vec![FifoEvent::ReaderEnded { outcome, restart_in }], outbox);
            }
        }
    }

    fn begin_retire(&mut self, deadline: Instant, now: Instant) {
        if let Reader::Due { at, .. } = &mut self.reader {
            // What is in the pipe waits for it: no more patience.
            *at = now;
        }
        self.retire = Some(match self.retire {
            Some(Retire::Closed { until }) => Retire::Closed { until: until.min(deadline) },
            Some(Retire::Draining { until, waiting, .. }) => {
                Retire::Draining { until: until.min(deadline), deadline, waiting }
            }
            Some(later) => later,
            None => {
                let ours = self.fifo.config().reader.is_some()
                    && (!self.fifo.is_open() || self.fifo.lead());
                let until = if ours { deadline } else { deadline.min(now + STRANGER) };
                Retire::Draining { until, deadline, waiting: self.fifo.waiting() }
            }
        });
    }

    fn advance_retire(&mut self, jobs: &mut Jobs<Purpose>, now: Instant) {
        match self.retire {
            Some(Retire::Draining { until, deadline, waiting }) => {
                let unread = self.fifo.has_unread();
                let still = self.fifo.waiting();
                let reads = matches!(self.reader, Reader::Running { .. });
                // Our reader reads for those who share the FIFO too: they may have last words.
                let drained = !unread
                    && (still == 0 || !self.fifo.is_open())
                    && (!reads || self.fifo.is_last());
                if still < waiting {
                    let until = until.max(deadline.min(now + STRANGER));
                    self.retire = Some(Retire::Draining { until, deadline, waiting: still });
                    if !drained {
                        return;
                    }
                }
                if !drained && now < until {
                    return;
                }
                self.left = self.fifo.waiting() + usize::from(unread);
                self.fifo.remove();
                self.fifo.close();
                if matches!(self.reader, Reader::Due { .. }) {
                    self.reader = Reader::None;
                }
                let until = if now >= until { now } else { until.min(now + READER_GRACE) };
                self.retire = Some(Retire::Closed { until });
                self.advance_retire(jobs, now);
            }
            Some(Retire::Closed { until }) => match self.reader {
                Reader::Running { job, .. } if now >= until => {
                    jobs.terminate(job, now);
                    self.retire = Some(Retire::Terminated);
                }
                Reader::Running { .. } => {}
                _ => self.retire = Some(Retire::Over),
            },
            Some(Retire::Terminated) if !matches!(self.reader, Reader::Running { .. }) => {
                self.retire = Some(Retire::Over);
            }
            _ => {}
        }
    }

    fn deadline(&self, now: Instant) -> Option<Instant> {
        let reader = match self.reader {
            Reader::Due { at, .. } if self.fifo.is_open() => Some(at),
            _ => None,
        };
        let retire = match self.retire {
            Some(Retire::Draining { until, .. }) => Some(until.min(now + LOOK)),
            Some(Retire::Closed { until }) => Some(until),
            Some(Retire::Over) => Some(now),
            _ => None,
        };
        [reader, retire, self.fifo.deadline()].into_iter().flatten().min()
    }
}
