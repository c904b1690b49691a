//! `TCP_CHECK`: the connection is accepted.
//!
//! It is the check of which thousands run each second, so a look is no task of its own: it is a
//! socket in a crowd, asked after by the one task that drives all checks.

use std::io;
use std::rc::Rc;

use socket2::Socket;
use sys::readiness::{Crowd, Writable};
use tokio::time::Instant;

use crate::connect;
use crate::outcome::{self, Cause, Detail, Errno, Failure, Success};
use crate::patience::Patience;
use crate::target::Target;

/// All connections that are being made.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    /// Made for the first.
    crowd: Option<Rc<Crowd>>,
}

impl Connections {
    /// Who waits for their ends; `None` while there was no connection yet.
    pub(crate) fn crowd(&self) -> Option<&Rc<Crowd>> {
        self.crowd.as_ref()
    }

    /// Begins to connect. Its end is told under this name.
    ///
    /// # Errors
    /// The network knows at once, or what our own socket lacks.
    pub(crate) fn begin(&mut self, target: &Target, token: u64) -> Result<Connection, Failure> {
        let began = Instant::now();
        let fail = |cause: Cause| Failure::new(cause, target.to, began.elapsed());
        let ours = |error: io::Error| {
            let (step, error) = (outcome::Socket::Make, Errno::of(&error));
            fail(Cause::Socket { step, error })
        };
        let crowd = match &self.crowd {
            Some(crowd) => crowd,
            None => self.crowd.insert(Rc::new(Crowd::new().map_err(ours)?)),
        };
        let socket = connect::begin_tcp(target).map_err(fail)?;
        crowd.add(&socket, token).map_err(ours)?;
        let patience = Patience::since(began, target.timeout);
        Ok(Connection { socket, crowd: Some(crowd.clone()), began, patience })
    }
}

/// A connection that is being made. Whoever drops it gives it up.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: Socket,
    /// Who waits for its end; `None` once that was told.
    crowd: Option<Rc<Crowd>>,
    began: Instant,
    patience: Patience,
}

impl Connection {
    /// When the time-out is over.
    pub(crate) fn until(&self) -> Instant {
        self.patience.until()
    }

    /// The time-out is over. Whether it goes on, because this process has lost time.
    pub(crate) fn prolong(&mut self, now: Instant) -> bool {
        self.patience.prolong(now)
    }

    /// It stands, or there is an error. It is closed at once.
    pub(crate) fn end(mut self, target: &Target, told: Writable) -> Result<Success, Failure> {
        self.crowd = None;
        let took = self.began.elapsed();
        let error = if told.failed { self.socket.take_error().unwrap_or_else(Some) } else { None };
        match error {
            None => Ok(Success::new(Detail::Connected, took)),
            Some(error) => {
                Err(Failure::new(connect::cause(&error, target.timeout), target.to, took))
            }
        }
    }

    /// Nothing came in time.
    pub(crate) fn give_up(self, target: &Target) -> Failure {
        let cause = Cause::NoAnswer { within: target.timeout };
        Failure::new(cause, target.to, self.began.elapsed())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(crowd) = &self.crowd {
            crowd.remove(&self.socket);
        }
    }
}
