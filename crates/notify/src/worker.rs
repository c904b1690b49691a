//! The front: a thread that runs scripts, FIFOs and trackers, and a handle to it that never waits.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::engine::{Command, Engine, Outbox};
use crate::event::{Notification, Report};
use crate::settings::WorkerConfig;

/// The worker does nothing deep; a daemon that locks its memory pays for every page of stack.
const STACK: usize = 256 * 1024;

/// The handle to the worker thread. Its methods only put a message in a queue and ring a bell; none
/// waits for the worker. Dropping it without [`Worker::stop`] ends the worker without giving
/// anything more time.
pub struct Worker {
    commands: Sender<Command>,
    reports: Receiver<Report>,
    // Dropped after the queue, so that the worker finds the queue closed.
    bell: Bell,
    thread: JoinHandle<()>,
}

struct Bell(Arc<EventFd>);

impl Worker {
    /// Starts the thread, its FIFOs and its trackers.
    ///
    /// `wake` is called, on the worker's thread, after reports were queued; it must not block
    /// (writing an eventfd is the intended use).
    ///
    /// The thread inherits the caller's scheduling and signal mask: call this before the caller
    /// becomes a real-time thread, and with signals blocked if somebody else reads them.
    ///
    /// # Errors
    /// When the thread or its wake-up descriptor cannot be created. Trouble with a FIFO or a
    /// tracker is no error; it is reported.
    pub fn start(config: WorkerConfig, wake: Box<dyn Fn() + Send>) -> io::Result<Self> {
        let (commands, inbox) = channel();
        let (outbox, reports) = channel();
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let bell = Arc::new(EventFd::from_value_and_flags(0, flags)?);
        let heard = Arc::clone(&bell);
        let thread = std::thread::Builder::new()
            .name("notify".to_owned())
            .stack_size(STACK)
            .spawn(move || Engine::new(config, inbox, heard, Outbox::new(outbox, wake)).run())?;
        Ok(Self { commands, reports, bell: Bell(bell), thread })
    }

    /// Delivers a notification to scripts and FIFOs.
    pub fn notify(&self, notification: Notification) {
        self.send(Command::Notify(notification));
    }

    /// Applies a new configuration as a difference: equal FIFOs and trackers go on undisturbed,
    /// changed trackers start again with the state they had.
    pub fn reload(&self, config: WorkerConfig) {
        self.send(Command::Reload(config));
    }

    /// Ends the worker: trackers at once, then everything that was handed over is delivered, at
    /// most until `deadline` from now; half a second later everything that still runs is killed.
    /// [`Report::Stopped`] is the last report. Calling it again sets a new deadline.
    pub fn stop(&self, deadline: Duration) {
        self.send(Command::Stop(deadline));
    }

    /// The next report, if there is one.
    pub fn try_report(&self) -> Option<Report> {
        self.reports.try_recv().ok()
    }

    /// Whether the thread has ended: after a stop, or because of a bug (a panic), in which case a
    /// new worker may be started.
    pub fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits until the thread has ended. Call [`Worker::stop`] first, or this is a stop without
    /// any time.
    pub fn join(self) {
        let Self { commands, reports, bell, thread } = self;
        drop(commands);
        drop(bell);
        if thread.join().is_err() {
            log::error!("the notify thread ended with a panic");
        }
        drop(reports);
    }

    fn send(&self, command: Command) {
        // Both fail only when the worker has ended already.
        let _ = self.commands.send(command);
        let _ = self.bell.0.write(1);
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        // Without the handle's end of the queue the worker ends; it has to look.
        let _ = self.0.write(1);
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("thread", &self.thread.thread().name())
            .finish_non_exhaustive()
    }
}
