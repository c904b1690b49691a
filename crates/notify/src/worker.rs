//! The front: a thread that runs scripts, FIFOs and trackers, and a handle to it that never waits.

use std::io;
use std::time::Duration;

use crate::event::{Notification, Report};
use crate::settings::WorkerConfig;

/// The handle to the worker thread. Its methods only put a message in a queue and ring a bell; none
/// waits for the worker.
#[derive(Debug)]
pub struct Worker {}

impl Worker {
    /// Starts the thread, its FIFOs and its trackers.
    ///
    /// `wake` is called, on the worker's thread, after reports were queued; it must not block
    /// (writing an eventfd is the intended use).
    ///
    /// # Errors
    /// When the thread or its wake-up descriptor cannot be created. Trouble with a FIFO or a
    /// tracker is no error; it is reported.
    pub fn start(config: WorkerConfig, wake: Box<dyn Fn() + Send>) -> io::Result<Self> {
        let _ = (config, wake);
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }

    /// Delivers a notification to scripts and FIFOs.
    pub fn notify(&self, notification: Notification) {
        let _ = notification;
    }

    /// Applies a new configuration as a difference: equal FIFOs and trackers go on undisturbed,
    /// changed trackers start again with the state they had.
    pub fn reload(&self, config: WorkerConfig) {
        let _ = config;
    }

    /// Ends the worker: trackers at once, then everything that was handed over is delivered, at
    /// most until `deadline` from now; [`Report::Stopped`] is the last report.
    pub fn stop(&self, deadline: Duration) {
        let _ = deadline;
    }

    /// The next report, if there is one.
    pub fn try_report(&self) -> Option<Report> {
        None
    }

    /// Waits until the thread has ended. Call [`Worker::stop`] first.
    pub fn join(self) {}
}
