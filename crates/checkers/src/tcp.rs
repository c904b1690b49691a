//! `TCP_CHECK`: the connection is accepted.
//!
//! It is the check of which thousands run each second, so a look is no task of its own but a socket,
//! seen to by the one task that drives all checks. Most servers are near and have answered by the
//! time that some more looks have begun, so that asking once will do; for the others a crowd waits.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;

use socket2::Socket;
use sys::readiness::Crowd;
use tokio::time::Instant;

use crate::connect::{self, Then};
use crate::outcome::{self, Cause, Detail, Errno, Failure, Success};
use crate::patience::Patience;
use crate::target::Target;

/// Where connections wait that take their time.
#[derive(Debug, Default)]
pub(crate) struct Lobby {
    /// Made for the first.
    crowd: Option<Rc<Crowd>>,
}

impl Lobby {
    /// Whoever waits; `None` while there was nobody yet.
    pub(crate) fn crowd(&self) -> Option<&Rc<Crowd>> {
        self.crowd.as_ref()
    }

    /// Takes a connection in. Its end is told under this name.
    ///
    /// # Errors
    /// What this process lacks.
    pub(crate) fn admit(&mut self, connection: &mut Connection, token: u64) -> Result<(), Cause> {
        let ours = |error: io::Error| {
            let (step, error) = (outcome::Socket::Make, Errno::of(&error));
            Cause::Socket { step, error }
        };
        let crowd = match &self.crowd {
            Some(crowd) => crowd,
            None => self.crowd.insert(Rc::new(Crowd::new().map_err(ours)?)),
        };
        crowd.add(&connection.socket, token).map_err(ours)?;
        connection.crowd = Some(crowd.clone());
        Ok(())
    }
}

/// A connection that is being made. Whoever drops it gives it up.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: Socket,
    /// Who waits for its end, until that was told.
    crowd: Option<Rc<Crowd>>,
    began: Instant,
    patience: Patience,
}

impl Connection {
    /// Begins to connect.
    ///
    /// # Errors
    /// The network knows at once, or what our own socket lacks.
    pub(crate) fn begin(target: &Target) -> Result<Self, Failure> {
        let began = Instant::now();
        match connect::begin_tcp(target, Then::Close) {
            Ok(socket) => {
                let patience = Patience::since(began, target.timeout);
                Ok(Self { socket, crowd: None, began, patience })
            }
            Err(cause) => Err(Failure::new(cause, target.to, began.elapsed())),
        }
    }

    /// Whether a crowd waits for it.
    pub(crate) fn is_waited_for(&self) -> bool {
        self.crowd.is_some()
    }

    /// When the time-out is over.
    pub(crate) fn until(&self) -> Instant {
        self.patience.until()
    }

    /// The time-out is over. Whether it goes on, because this process has lost time.
    pub(crate) fn prolong(&mut self, now: Instant) -> bool {
        self.patience.prolong(now)
    }

    /// It stands, or there is an error. It is closed at once.
    pub(crate) fn end(
        mut self,
        target: &Target,
        failed: bool,
        now: Instant,
    ) -> Result<Success, Failure> {
        self.crowd = None;
        let took = now.saturating_duration_since(self.began);
        let error = if failed { self.socket.take_error().unwrap_or_else(Some) } else { None };
        match error {
            None => Ok(Success::new(Detail::Connected, took)),
            Some(error) => {
                Err(Failure::new(connect::cause(&error, target.timeout), target.to, took))
            }
        }
    }

    /// Nothing came in time.
    pub(crate) fn give_up(self, target: &Target, now: Instant) -> Failure {
        let cause = Cause::NoAnswer { within: target.timeout };
        Failure::new(cause, target.to, now.saturating_duration_since(self.began))
    }

    /// It cannot be waited for.
    pub(crate) fn fail(self, target: &Target, cause: Cause) -> Failure {
        Failure::new(cause, target.to, self.began.elapsed())
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(crowd) = &self.crowd {
            crowd.remove(&self.socket);
        }
    }
}
