//! Mail about changes (`smtp_alert`): a queue with a thread of its own, and a handle that never waits.
//!
//! ```text
//!  role                         mail thread                        attempt (a thread for each)
//!  ────                         ───────────                        ───────────────────────────
//!   Mailer::send ──► orders ──► queue: joins, repeats, gives up ──► message ──► server
//!   Mailer::try_report ◄─────── MailReport ◄────────── result ◄─────┘
//! ```
//!
//! Alerts that come within a short time share a message. A server that does not answer is tried
//! again, at growing intervals, for a day ([`Pace`]); what the configuration demands of it
//! (`smtp_security`) is never done without. [`text`] has the words of every alert.
//!
//! An attempt has a thread because a mail server may keep it waiting in many ways; the queue goes on
//! meanwhile, and a stop does not wait for it longer than it was told.

mod message;
mod queue;
mod settings;
mod smtp;
pub mod text;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use self::queue::{Alert, Attempt, Parcel, Queue};
pub use self::settings::{MailConfig, Pace};

/// Little happens on the queue's thread; a daemon that locks its memory pays for every page.
const STACK: usize = 128 * 1024;
/// TLS needs more.
const ATTEMPT_STACK: usize = 512 * 1024;
/// Attempts that were given up and have still not ended: with so many there are no more.
const ABANDONED: usize = 3;

/// An alert: what happened to one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// Without the `[router_id]` before it.
    pub subject: String,
    /// One line, or some.
    pub body: String,
}

impl Mail {
    /// An alert of these words.
    pub fn new(subject: impl Into<String>, body: impl Into<String>) -> Self {
        Self { subject: subject.into(), body: body.into() }
    }
}

/// What became of alerts, for the log: [`fmt::Display`] has the line, [`MailReport::level`] its
/// importance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MailReport {
    /// A message was taken by the server.
    Delivered {
        /// Alerts in it.
        alerts: usize,
        /// Recipients that the server accepted.
        recipients: usize,
    },
    /// The server will not take a message, or not for one recipient; it is not tried again.
    Refused {
        /// Alerts in it.
        alerts: usize,
        /// For whom; `None`: for nobody.
        recipient: Option<String>,
        /// The server's words.
        why: String,
    },
    /// The server does not take a message for one recipient now.
    Deferred {
        /// Alerts in it.
        alerts: usize,
        /// For whom.
        recipient: String,
        /// The server's words.
        why: String,
        /// When it is tried again.
        again_in: Duration,
    },
    /// The server could not be reached, or not as demanded, or broke off.
    Failed {
        /// Alerts that wait for it.
        alerts: usize,
        /// What went wrong.
        why: String,
        /// When it is tried again.
        again_in: Duration,
    },
    /// Alerts waited too long ([`Pace::give_up`]).
    GivenUp {
        /// How many.
        alerts: usize,
        /// What went wrong last.
        why: String,
    },
    /// Too many alerts wait ([`Pace::queue`]): the oldest are lost from now on. The next message
    /// tells how many.
    Overflow {
        /// Alerts that wait.
        waiting: usize,
    },
    /// The queue has ended; the last report.
    Stopped {
        /// Alerts that were not delivered.
        unsent: usize,
    },
}

impl MailReport {
    /// How important it is.
    pub fn level(&self) -> log::Level {
        match self {
            Self::Delivered { .. } | Self::Stopped { unsent: 0 } => log::Level::Info,
            Self::Failed { .. } | Self::Deferred { .. } => log::Level::Warn,
            Self::Refused { .. }
            | Self::GivenUp { .. }
            | Self::Overflow { .. }
            | Self::Stopped { .. } => log::Level::Error,
        }
    }
}

impl fmt::Display for MailReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        match self {
            Self::Delivered { alerts, recipients } => write!(
                f,
                "SMTP alert successfully sent ({alerts} alert{}, {recipients} recipient{})",
                plural(*alerts),
                plural(*recipients)
            ),
            Self::Refused { alerts, recipient: Some(to), why } => {
                write!(f, "the mail server refuses {to} ({alerts} alert{}): {why}", plural(*alerts))
            }
            Self::Refused { alerts, recipient: None, why } => {
                write!(f, "the mail server refuses {alerts} alert{}: {why}", plural(*alerts))
            }
            Self::Deferred { alerts, recipient, why, again_in } => write!(
                f,
                "the mail server puts {recipient} off ({alerts} alert{}): {why}; again in \
                 {again_in:.1?}",
                plural(*alerts)
            ),
            Self::Failed { alerts, why, again_in } => write!(
                f,
                "the mail server did not take {alerts} alert{}: {why}; again in {again_in:.1?}",
                plural(*alerts)
            ),
            Self::GivenUp { alerts, why } => {
                write!(f, "{alerts} alert{} waited too long and were lost: {why}", plural(*alerts))
            }
            Self::Overflow { waiting } => {
                write!(f, "{waiting} alerts wait to be mailed, more are not kept: the oldest go")
            }
            Self::Stopped { unsent } => write!(f, "{unsent} alert{} not mailed", plural(*unsent)),
        }
    }
}

enum Order {
    Send(Alert),
    Configure(Box<MailConfig>),
    Stop(Duration),
    /// The attempt with this number has ended.
    Ended(u64, Attempt),
}

/// The handle to the queue. Its methods only put a message in a queue; none waits, except
/// [`Mailer::join`]. Dropping it ends the queue without giving it any time.
pub struct Mailer {
    orders: Orders,
    reports: Receiver<MailReport>,
    thread: JoinHandle<()>,
}

struct Orders(Sender<Order>);

impl Mailer {
    /// Starts the queue's thread. `wake` is called on that thread after reports were queued; it
    /// must not block.
    ///
    /// The thread inherits the caller's scheduling and signal mask, as that of [`crate::Worker`].
    ///
    /// # Errors
    /// The thread cannot be created.
    pub fn start(config: MailConfig, wake: Box<dyn Fn() + Send>) -> io::Result<Self> {
        let (orders, inbox) = channel();
        let (outbox, reports) = channel();
        let own = orders.clone();
        let thread = std::thread::Builder::new()
            .name("mail".to_owned())
            .stack_size(STACK)
            .spawn(move || Office::new(config, own, outbox, wake).run(&inbox))?;
        Ok(Self { orders: Orders(orders), reports, thread })
    }

    /// Mails an alert, as of now.
    pub fn send(&self, mail: Mail) {
        self.order(Order::Send(Alert { mail, at: SystemTime::now() }));
    }

    /// Applies new settings, to what waits as well.
    pub fn reload(&self, config: MailConfig) {
        self.order(Order::Configure(Box::new(config)));
    }

    /// Ends the queue: what waits is sent at once, and tried again, for at most so long.
    /// [`MailReport::Stopped`] is the last report.
    pub fn stop(&self, within: Duration) {
        self.order(Order::Stop(within));
    }

    /// The next report, if there is one.
    pub fn try_report(&self) -> Option<MailReport> {
        self.reports.try_recv().ok()
    }

    /// Whether the thread has ended: after a stop, or because of a bug (a panic).
    pub fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits until the queue has ended, and gives back the reports that nobody took. Call
    /// [`Mailer::stop`] first, or this is a stop without any time.
    pub fn join(self) -> Vec<MailReport> {
        let Self { orders, reports, thread } = self;
        // If a stop was ordered before, this one does not count.
        drop(orders);
        if thread.join().is_err() {
            log::error!("the mail thread ended with a panic");
        }
        reports.try_iter().collect()
    }

    fn order(&self, order: Order) {
        // Fails only when the thread has ended already.
        let _ = self.orders.0.send(order);
    }
}

impl Drop for Orders {
    fn drop(&mut self) {
        let _ = self.0.send(Order::Stop(Duration::ZERO));
    }
}

impl fmt::Debug for Mailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailer").finish_non_exhaustive()
    }
}

/// The queue's thread.
struct Office {
    config: Arc<MailConfig>,
    queue: Queue,
    /// For the results of attempts. That the thread has one itself keeps the inbox open: the handle
    /// says when it goes.
    orders: Sender<Order>,
    outbox: Sender<MailReport>,
    wake: Box<dyn Fn() + Send>,
    /// The number of the attempt under way and when it is given up.
    attempt: Option<(u64, Instant)>,
    attempts: u64,
    /// Each running attempt has a clone.
    running: Arc<()>,
    stop: Option<Instant>,
    reports: Vec<MailReport>,
}

impl Office {
    fn new(
        config: MailConfig,
        orders: Sender<Order>,
        outbox: Sender<MailReport>,
        wake: Box<dyn Fn() + Send>,
    ) -> Self {
        Self {
            queue: Queue::new(config.pace, &config.recipients),
            config: Arc::new(config),
            orders,
            outbox,
            wake,
            attempt: None,
            attempts: 0,
            running: Arc::new(()),
            stop: None,
            reports: Vec::new(),
        }
    }

    fn run(mut self, inbox: &Receiver<Order>) {
        loop {
            let now = Instant::now();
            self.handle_timeout(now);
            self.tell();
            if self.is_done(now) {
                break;
            }
            let order = match self.deadline() {
                Some(at) => inbox.recv_timeout(at.saturating_duration_since(Instant::now())),
                None => inbox.recv().map_err(RecvTimeoutError::from),
            };
            match order {
                Ok(order) => self.handle(order, Instant::now()),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.reports.push(MailReport::Stopped { unsent: self.queue.unsent() });
        self.tell();
    }

    fn handle(&mut self, order: Order, now: Instant) {
        match order {
            Order::Send(alert) => self.queue.push(alert, now, &mut self.reports),
            Order::Configure(config) => {
                self.queue.configure(config.pace, &config.recipients, now);
                self.config = Arc::new(*config);
            }
            Order::Stop(within) => {
                if self.stop.is_none() {
                    self.stop = Some(now + within);
                    self.queue.hurry(now);
                }
            }
            Order::Ended(number, result) => {
                // One that was given up has been answered for.
                if self.attempt.is_some_and(|(current, _)| current == number) {
                    self.attempt = None;
                    self.queue.finish(self.name_server(result), now, &mut self.reports);
                }
            }
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.attempt.is_some_and(|(_, until)| until <= now) {
            self.attempt = None;
            let why = Attempt::Failed("it takes too long".to_owned());
            self.queue.finish(self.name_server(why), now, &mut self.reports);
        }
        if self.attempt.is_none()
            && let Some(parcel) = self.queue.take(now, &mut self.reports)
        {
            self.begin(&parcel, now);
        }
    }

    fn begin(&mut self, parcel: &Parcel, now: Instant) {
        let number = self.attempts;
        self.attempts += 1;
        let until = now + self.config.pace.attempt;
        let (config, orders) = (Arc::clone(&self.config), self.orders.clone());
        let to = Arc::clone(&parcel.to);
        let message = message::compose(&config, parcel, SystemTime::now());
        let running = Arc::clone(&self.running);
        let begun = if Arc::strong_count(&running) > ABANDONED + 2 {
            Err("earlier attempts hang".to_owned())
        } else {
            let thread = std::thread::Builder::new()
                .name("mail-attempt".to_owned())
                .stack_size(ATTEMPT_STACK)
                .spawn(move || {
                    let result = smtp::deliver(&config, &to, &message, until);
                    drop(running);
                    // Nobody wants to know any more when the queue has ended.
                    let _ = orders.send(Order::Ended(number, result));
                });
            thread.map(drop).map_err(|error| format!("no thread for it: {error}"))
        };
        match begun {
            // Thread and queue must not both end it: a little more time for the thread.
            Ok(()) => self.attempt = Some((number, until + Duration::from_millis(100))),
            Err(why) => self.queue.finish(Attempt::Failed(why), now, &mut self.reports),
        }
    }

    fn name_server(&self, attempt: Attempt) -> Attempt {
        let (host, port) = &self.config.server;
        match attempt {
            Attempt::Failed(why) => Attempt::Failed(format!("{host} port {port}: {why}")),
            other => other,
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let attempt = self.attempt.map(|(_, until)| until);
        [attempt, self.queue.deadline(), self.stop].into_iter().flatten().min()
    }

    fn is_done(&self, now: Instant) -> bool {
        self.stop.is_some_and(|deadline| deadline <= now || self.queue.unsent() == 0)
    }

    fn tell(&mut self) {
        if self.reports.is_empty() {
            return;
        }
        for report in self.reports.drain(..) {
            // The handle may be gone: then nobody wants to know.
            let _ = self.outbox.send(report);
        }
        (self.wake)();
    }
}
