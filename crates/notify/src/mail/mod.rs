//! Mail about changes (`smtp_alert`): a queue with a thread of its own, and a handle that never waits.
//!
//! ```text
//!  role                          mail thread
//!  ────                          ──────────────────────────────────────────────────────────
//!   Mailer::send ──► orders ──► queue: joins, repeats, gives up ──► message ──► mail server
//!   Mailer::try_report ◄─────── MailReport ◄────────── result ◄───────────────────┘
//! ```
//!
//! Alerts that come within a short time share a message. A server that does not answer is tried
//! again, at growing intervals, for a day ([`Pace`]); what the configuration demands of it
//! (`smtp_security`) is never done without. [`text`] has the words of every alert.

mod message;
mod queue;
mod settings;
mod smtp;
pub mod text;

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use self::queue::{Alert, Attempt, Parcel, Queue};
pub use self::settings::{MailConfig, Pace};

/// TLS needs some; a daemon that locks its memory pays for every page.
const STACK: usize = 512 * 1024;
/// For looking up names.
const HELPER_STACK: usize = 256 * 1024;

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
            Self::Delivered { .. } => log::Level::Info,
            Self::Stopped { unsent: 0 } => log::Level::Debug,
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
            Self::Stopped { unsent: 0 } => f.write_str("no alert is left to be mailed"),
            Self::Stopped { unsent } => write!(f, "{unsent} alert{} not mailed", plural(*unsent)),
        }
    }
}

enum Order {
    Send(Alert),
    Configure(Box<MailConfig>),
    Stop(Duration),
}

/// The handle to the queue. Its methods only put a message in a queue; none waits, except
/// [`Mailer::join`]. Dropping it ends the queue without giving it any time.
pub struct Mailer {
    orders: UnboundedSender<Order>,
    reports: Receiver<MailReport>,
    thread: JoinHandle<()>,
}

impl Mailer {
    /// Starts the queue's thread. `wake` is called on that thread after reports were queued; it
    /// must not block.
    ///
    /// The thread inherits the caller's scheduling and signal mask, as that of [`crate::Worker`].
    ///
    /// # Errors
    /// The thread, or what it waits with, cannot be created.
    pub fn start(config: MailConfig, wake: Box<dyn Fn() + Send>) -> io::Result<Self> {
        let (orders, inbox) = unbounded_channel();
        let (outbox, reports) = channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .max_blocking_threads(2)
            .thread_name("mail-names")
            .thread_stack_size(HELPER_STACK)
            .build()?;
        let thread = std::thread::Builder::new().name("mail".to_owned()).stack_size(STACK).spawn(
            move || {
                runtime.block_on(Office::new(config, outbox, wake).run(inbox));
                // A look-up that hangs holds nobody.
                runtime.shutdown_background();
            },
        )?;
        Ok(Self { orders, reports, thread })
    }

    /// Mails an alert, as of now.
    pub fn send(&self, mail: Mail) {
        self.order(Order::Send(Alert { mail, at: SystemTime::now() }));
    }

    /// Applies new settings, to what waits as well.
    pub fn reload(&self, config: MailConfig) {
        self.order(Order::Configure(Box::new(config)));
    }

    /// Ends the queue: what waits is sent at once, for at most so long; an attempt that fails is
    /// repeated, but not often.
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
        drop(orders);
        if thread.join().is_err() {
            log::error!("the mail thread ended with a panic");
        }
        reports.try_iter().collect()
    }

    fn order(&self, order: Order) {
        // Fails only when the thread has ended already.
        let _ = self.orders.send(order);
    }
}

impl fmt::Debug for Mailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailer").finish_non_exhaustive()
    }
}

/// What the thread does.
struct Office {
    config: Arc<MailConfig>,
    queue: Queue,
    outbox: Sender<MailReport>,
    wake: Box<dyn Fn() + Send>,
    stop: Option<Instant>,
    reports: Vec<MailReport>,
}

/// The attempt under way.
type Delivery = Pin<Box<dyn Future<Output = Attempt>>>;

impl Office {
    fn new(config: MailConfig, outbox: Sender<MailReport>, wake: Box<dyn Fn() + Send>) -> Self {
        Self {
            queue: Queue::new(config.pace, &config.recipients),
            config: Arc::new(config),
            outbox,
            wake,
            stop: None,
            reports: Vec::new(),
        }
    }

    async fn run(mut self, mut inbox: UnboundedReceiver<Order>) {
        let mut delivery: Option<Delivery> = None;
        let mut attended = true;
        loop {
            let now = Instant::now();
            if delivery.is_none()
                && let Some(parcel) = self.queue.take(now, &mut self.reports)
            {
                delivery = Some(self.deliver(parcel));
            }
            self.tell();
            if self.is_done(now) {
                break;
            }
            let deadline = self.deadline();
            tokio::select! {
                order = inbox.recv(), if attended => match order {
                    Some(order) => self.handle(order, Instant::now()),
                    // The handle was dropped: nobody waits for us, unless a stop was ordered.
                    None if self.stop.is_none() => break,
                    None => attended = false,
                },
                attempt = ended(&mut delivery) => {
                    delivery = None;
                    self.queue.finish(attempt, Instant::now(), &mut self.reports);
                }
                () = reached(deadline) => {}
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
        }
    }

    fn deliver(&self, parcel: Parcel) -> Delivery {
        let config = Arc::clone(&self.config);
        Box::pin(async move {
            let message = message::compose(&config, &parcel, SystemTime::now());
            let delivery = smtp::deliver(&config, &parcel.to, &message);
            let attempt = match tokio::time::timeout(config.pace.attempt, delivery).await {
                Ok(attempt) => attempt,
                Err(_) => Attempt::Failed("it takes too long".to_owned()),
            };
            let (host, port) = &config.server;
            match attempt {
                Attempt::Failed(why) => Attempt::Failed(format!("{host} port {port}: {why}")),
                other => other,
            }
        })
    }

    fn deadline(&self) -> Option<Instant> {
        [self.queue.deadline(), self.stop].into_iter().flatten().min()
    }

    fn is_done(&self, now: Instant) -> bool {
        let nothing_to_do = self.queue.unsent() == 0 || self.queue.is_hopeless();
        self.stop.is_some_and(|deadline| deadline <= now || nothing_to_do)
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

async fn ended(delivery: &mut Option<Delivery>) -> Attempt {
    match delivery {
        Some(delivery) => delivery.await,
        None => std::future::pending().await,
    }
}

async fn reached(deadline: Option<Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
