//! A role's process, as the supervisor holds it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitStatus;
use std::time::Duration;

use failover::Launch;
use failover::launch::fd;
use status::control::{FromRole, ToRole};
use sys::channel::{Channel, Incoming};
use sys::event_loop::{EventLoop, Interest};
use sys::process::{Child, Command, Stdio};

use super::{PROCESS_NAME, ROLE_CHANNEL, ROLE_END};

/// SIGKILL's number.
const SIGKILL: i32 = 9;

/// The hidden word by which the program knows that it is a role.
pub(crate) const ROLE_WORD: &str = "role";

/// A running role.
pub(super) struct Role {
    child: Child,
    channel: Channel,
}

impl Role {
    /// Starts the failover role. In the background its standard output and error are nowhere:
    /// whoever reads ours until its end, as `$(keepalived)` does, must not wait for the role.
    ///
    /// # Errors
    /// Out of processes, descriptors or memory.
    pub(super) fn start(
        launch: &Launch,
        store: &File,
        name: Option<&str>,
        foreground: bool,
        events: &EventLoop,
    ) -> io::Result<Self> {
        let output = || if foreground { Stdio::Inherit } else { Stdio::Null };
        let text = serde_json::to_vec(launch).map_err(io::Error::other)?;
        let launch = sys::memfd::sealed("standfast-launch", &text)?;
        let (ours, theirs) = Channel::pair()?;
        let inherited: OwnedFd = theirs.as_fd().try_clone_to_owned()?;
        let child = Command::itself()
            .name(name.unwrap_or(PROCESS_NAME))
            .args([ROLE_WORD, "failover"])
            .stdout(output())
            .stderr(output())
            .descriptor(inherited, fd::CHANNEL)
            .descriptor(store.try_clone()?.into(), fd::STORE)
            .descriptor(launch.into(), fd::LAUNCH)
            .spawn()
            .map_err(|error| io::Error::other(error.to_string()))?;
        events.register(&ours, ROLE_CHANNEL, Interest::Readable)?;
        events.register(&child, ROLE_END, Interest::Readable)?;
        Ok(Self { child, channel: ours })
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What the role has said since the last call.
    pub(super) fn messages(&mut self, events: &EventLoop) -> Vec<FromRole> {
        let mut out = Vec::new();
        loop {
            match self.channel.receive() {
                Ok(Incoming::Message { bytes, .. }) => match serde_json::from_slice(&bytes) {
                    Ok(message) => out.push(message),
                    Err(error) => log::warn!("the role says something unknown: {error}"),
                },
                Ok(Incoming::Empty) => return out,
                Ok(Incoming::Closed) | Err(_) => {
                    // Its end is told by the pidfd; a closed channel would be reported for ever.
                    let _ = events.deregister(&self.channel);
                    return out;
                }
            }
        }
    }

    /// Says something to the role.
    ///
    /// # Errors
    /// It does not read, or is gone.
    pub(super) fn tell(&self, what: &ToRole, file: Option<&File>) -> io::Result<()> {
        let bytes = serde_json::to_vec(what).map_err(io::Error::other)?;
        let descriptors: Vec<_> = file.iter().map(|file| file.as_fd()).collect();
        self.channel.send(&bytes, &descriptors)
    }

    pub(super) fn kill(&self) {
        if let Err(error) = self.child.signal(SIGKILL) {
            log::error!("cannot kill the role: {error}");
        }
    }

    /// Its result, once it has ended.
    pub(super) fn ended(&mut self, events: &EventLoop) -> Option<ExitStatus> {
        let _ = events.deregister(&self.child);
        let _ = events.deregister(&self.channel);
        self.child.wait().ok()
    }

    /// Waits for its end, and kills it when that takes too long.
    pub(super) fn wait_at_most(&mut self, limit: Duration, events: &EventLoop) {
        let _ = events.deregister(&self.child);
        let _ = events.deregister(&self.channel);
        let mut own = match EventLoop::new(sys::clock::Clock::Monotonic) {
            Ok(own) => own,
            Err(_) => return self.kill(),
        };
        let deadline = own.now() + limit.as_nanos() as u64;
        let mut ready = Vec::new();
        if own.register(&self.child, ROLE_END, Interest::Readable).is_ok() {
            while ready.is_empty() && own.now() < deadline {
                if own.wait(Some(deadline), &mut ready).is_err() {
                    break;
                }
            }
        }
        if ready.is_empty() {
            self.kill();
        }
        let _ = self.child.wait();
    }
}
