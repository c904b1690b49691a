//! Which alerts wait, when they are sent, and with which others: decisions only. Time comes in with
//! every call; nothing here connects to anything.
//!
//! ```text
//!  push ──► waiting ── window over, server not resting ──► take: one parcel at a time ──► attempt
//!              ▲                                                                            │
//!              └──────────── deferred recipients, a server that did not answer ◄── finish ──┘
//! ```

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::settings::Pace;
use super::{Mail, MailReport};

/// During a stop a failed attempt is repeated after this time,
const HURRIED_RETRY: Duration = Duration::from_millis(250);
/// and so many of them are enough: a mail server that is away does not hold a stop.
const HURRIED_ATTEMPTS: u32 = 3;

/// An alert that waits.
#[derive(Clone, Debug)]
struct Waiting {
    /// Counts up: its place among the others.
    number: u64,
    alert: Alert,
    /// Who is still to get it.
    to: Recipients,
    /// Not before this time: the end of its window, or a server's "later".
    ready: Instant,
    /// How long it was put off the last time.
    delay: Duration,
    /// When it is given up.
    expires: Instant,
}

/// Recipients as configured; alerts with the same ones share messages.
pub(crate) type Recipients = Arc<[String]>;

/// What happened and when.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Alert {
    pub(crate) mail: Mail,
    pub(crate) at: SystemTime,
}

/// What goes into one message.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Parcel {
    /// Not empty, oldest first.
    pub(crate) alerts: Vec<Alert>,
    pub(crate) to: Recipients,
    /// Alerts that were lost before these.
    pub(crate) lost: u64,
}

/// How an attempt to deliver a parcel ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// The server answered for each recipient: those not named have it.
    Answered {
        /// Refused for good: whom and why.
        refused: Vec<(String, String)>,
        /// To be tried again: whom and why.
        deferred: Vec<(String, String)>,
    },
    /// The message itself was refused for good.
    Refused(String),
    /// The server could not be reached, broke off or is not well: nobody has it.
    Failed(String),
}

pub(crate) struct Queue {
    pace: Pace,
    recipients: Recipients,
    /// In the order in which they came.
    waiting: VecDeque<Waiting>,
    pushed: u64,
    /// What [`Queue::take`] has given out.
    sending: Vec<Waiting>,
    /// Alerts lost since the last message that told of them.
    lost: u64,
    /// Of those, the ones that the message under way tells of.
    telling: u64,
    /// The window that is open ends at this time.
    window_ends: Option<Instant>,
    /// The server failed; it is left alone until this time, and the delay is that before it.
    rest: Option<(Instant, Duration)>,
    /// Why an attempt failed the last time.
    trouble: Option<String>,
    /// The daemon stops.
    hurried: bool,
    /// Attempts that have failed since.
    hurried_failures: u32,
}

impl Queue {
    pub(crate) fn new(pace: Pace, recipients: &[String]) -> Self {
        Self {
            pace,
            recipients: recipients.into(),
            waiting: VecDeque::new(),
            pushed: 0,
            sending: Vec::new(),
            lost: 0,
            telling: 0,
            window_ends: None,
            rest: None,
            trouble: None,
            hurried: false,
            hurried_failures: 0,
        }
    }

    /// Takes over new settings: what waits goes to the new recipients, at once if the server was
    /// left alone.
    pub(crate) fn configure(&mut self, pace: Pace, recipients: &[String], now: Instant) {
        let known = std::mem::replace(&mut self.recipients, recipients.into());
        for waiting in &mut self.waiting {
            // Of a message that some have already, only those still named get the rest.
            let all = waiting.to == known;
            let to = waiting.to.iter().filter(|to| recipients.contains(to)).cloned();
            waiting.to = if all { self.recipients.clone() } else { to.collect() };
            waiting.ready = waiting.ready.min(now + pace.window);
        }
        self.waiting.retain(|waiting| !waiting.to.is_empty());
        (self.pace, self.rest) = (pace, None);
    }

    /// Takes an alert. If too many wait the oldest is lost.
    pub(crate) fn push(&mut self, alert: Alert, now: Instant, reports: &mut Vec<MailReport>) {
        let ready = match self.window_ends {
            Some(end) if end > now => end,
            _ => now + if self.hurried { Duration::ZERO } else { self.pace.window },
        };
        self.window_ends = Some(ready);
        self.pushed += 1;
        self.waiting.push_back(Waiting {
            number: self.pushed,
            alert,
            to: self.recipients.clone(),
            ready,
            delay: Duration::ZERO,
            expires: now + self.pace.give_up,
        });
        self.trim(reports);
    }

    fn trim(&mut self, reports: &mut Vec<MailReport>) {
        while self.waiting.len() > self.pace.queue.max(1) {
            self.waiting.pop_front();
            // Told when it begins; how many there were is told by the next message.
            if self.lost == 0 {
                reports.push(MailReport::Overflow { waiting: self.waiting.len() });
            }
            self.lost += 1;
        }
    }

    /// Gives out what is to be sent now, if anything is and no attempt is under way.
    pub(crate) fn take(&mut self, now: Instant, reports: &mut Vec<MailReport>) -> Option<Parcel> {
        self.expire(now, reports);
        if !self.sending.is_empty() || self.rest.is_some_and(|(until, _)| until > now) {
            return None;
        }
        let to = self.waiting.iter().find(|waiting| waiting.ready <= now)?.to.clone();
        // Those whose window is still open ride along: fewer messages, and sooner.
        let (sending, rest): (Vec<_>, Vec<_>) =
            self.waiting.drain(..).partition(|waiting| waiting.to == to);
        (self.sending, self.waiting, self.window_ends) = (sending, rest.into(), None);
        self.telling = self.lost;
        let alerts = self.sending.iter().map(|waiting| waiting.alert.clone()).collect();
        Some(Parcel { alerts, to, lost: self.lost })
    }

    /// The attempt at what was taken has ended.
    pub(crate) fn finish(&mut self, attempt: Attempt, now: Instant, reports: &mut Vec<MailReport>) {
        let sent = std::mem::take(&mut self.sending);
        let Some(to) = sent.first().map(|waiting| waiting.to.clone()) else { return };
        let alerts = sent.len();
        match attempt {
            Attempt::Failed(why) => {
                let delay = self.next_delay(self.rest.map(|(_, delay)| delay));
                self.rest = Some((now + delay, delay));
                self.hurried_failures += u32::from(self.hurried);
                // Once is enough of what is said several times in a second.
                if self.hurried_failures <= 1 {
                    let why = why.clone();
                    reports.push(MailReport::Failed { alerts, why, again_in: delay });
                }
                self.trouble = Some(why);
                self.put_back(sent, reports);
            }
            Attempt::Refused(why) => {
                self.rest = None;
                reports.push(MailReport::Refused { alerts, recipient: None, why });
            }
            Attempt::Answered { refused, deferred } => {
                self.rest = None;
                let accepted = to.len().saturating_sub(refused.len() + deferred.len());
                for (recipient, why) in refused {
                    let recipient = Some(recipient);
                    reports.push(MailReport::Refused { alerts, recipient, why });
                }
                if accepted > 0 {
                    self.lost -= std::mem::take(&mut self.telling).min(self.lost);
                    reports.push(MailReport::Delivered { alerts, recipients: accepted });
                }
                if !deferred.is_empty() {
                    self.defer(sent, &to, deferred, now, reports);
                }
            }
        }
    }

    fn defer(
        &mut self,
        mut sent: Vec<Waiting>,
        to: &Recipients,
        deferred: Vec<(String, String)>,
        now: Instant,
        reports: &mut Vec<MailReport>,
    ) {
        self.hurried_failures += u32::from(self.hurried);
        let alerts = sent.len();
        let last = sent.iter().map(|waiting| waiting.delay).max().filter(|d| !d.is_zero());
        let delay = self.next_delay(last);
        let left: Recipients = if deferred.len() == to.len() {
            to.clone()
        } else {
            deferred.iter().map(|(recipient, _)| recipient.clone()).collect()
        };
        for waiting in &mut sent {
            waiting.to = left.clone();
            (waiting.ready, waiting.delay) = (now + delay, delay);
        }
        for (recipient, why) in deferred {
            self.trouble = Some(why.clone());
            reports.push(MailReport::Deferred { alerts, recipient, why, again_in: delay });
        }
        self.put_back(sent, reports);
    }

    fn next_delay(&self, last: Option<Duration>) -> Duration {
        if self.hurried {
            return HURRIED_RETRY;
        }
        match last {
            None => self.pace.first_retry,
            Some(delay) => (delay * 2).clamp(self.pace.first_retry, self.pace.longest_retry),
        }
    }

    /// Nothing overtakes: what comes back takes its old place.
    fn put_back(&mut self, sent: Vec<Waiting>, reports: &mut Vec<MailReport>) {
        self.waiting.extend(sent);
        self.waiting.make_contiguous().sort_by_key(|waiting| waiting.number);
        self.trim(reports);
    }

    fn expire(&mut self, now: Instant, reports: &mut Vec<MailReport>) {
        let before = self.waiting.len();
        self.waiting.retain(|waiting| waiting.expires > now);
        let alerts = before - self.waiting.len();
        if alerts > 0 {
            self.lost += alerts as u64;
            let why = self.trouble.clone().unwrap_or_default();
            reports.push(MailReport::GivenUp { alerts, why });
        }
    }

    /// The daemon stops: windows and long pauses are over.
    pub(crate) fn hurry(&mut self, now: Instant) {
        self.hurried = true;
        self.rest = None;
        for waiting in &mut self.waiting {
            waiting.ready = waiting.ready.min(now);
        }
    }

    /// The daemon stops, and the mail server is not there.
    pub(crate) fn is_hopeless(&self) -> bool {
        self.hurried_failures >= HURRIED_ATTEMPTS
    }

    /// Alerts that nobody, or not everybody, has.
    pub(crate) fn unsent(&self) -> usize {
        self.waiting.len() + self.sending.len()
    }

    /// When to call [`Queue::take`], if it gave nothing out.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let expires = self.waiting.iter().map(|waiting| waiting.expires).min();
        if !self.sending.is_empty() {
            return expires;
        }
        let ready = self.waiting.iter().map(|waiting| waiting.ready).min()?;
        let ready = self.rest.map_or(ready, |(until, _)| ready.max(until));
        Some(expires.map_or(ready, |expires| ready.min(expires)))
    }
}

#[cfg(test)]
mod tests;
