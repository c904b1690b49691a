//! A list that grows while others wait for something to appear in it.
//!
//! Captured packets, address changes, log lines and FIFO lines are all kept in journals, so that a
//! test waits for a condition and never sleeps.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A shared, growing list. Clones are the same list.
#[derive(Debug)]
pub struct Journal<T> {
    inner: Arc<(Mutex<Vec<T>>, Condvar)>,
}

impl<T> Clone for Journal<T> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<T> Default for Journal<T> {
    fn default() -> Self {
        Self { inner: Arc::default() }
    }
}

impl<T> Journal<T> {
    /// Appends an entry and wakes who waits.
    pub fn push(&self, entry: T) {
        self.lock().push(entry);
        self.inner.1.notify_all();
    }

    /// Looks at the whole list; the list is locked meanwhile.
    pub fn look<R>(&self, view: impl FnOnce(&[T]) -> R) -> R {
        view(&self.lock())
    }

    /// Waits until `probe` finds what it looks for, at most `limit`; `None` when it did not.
    pub fn wait<R>(&self, limit: Duration, mut probe: impl FnMut(&[T]) -> Option<R>) -> Option<R> {
        let deadline = Instant::now() + limit;
        let mut entries = self.lock();
        loop {
            if let Some(found) = probe(&entries) {
                return Some(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            entries =
                self.inner.1.wait_timeout(entries, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<T>> {
        self.inner.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Clone> Journal<T> {
    /// A copy of all entries so far.
    #[must_use]
    pub fn entries(&self) -> Vec<T> {
        self.lock().clone()
    }
}

/// Asks `probe` every few milliseconds until it answers, at most `limit`.
///
/// For conditions that nobody announces, such as a file that appears or a process that ends.
pub fn wait_until<R>(limit: Duration, mut probe: impl FnMut() -> Option<R>) -> Option<R> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = probe() {
            return Some(found);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
