//! A role's process, as the supervisor holds it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitStatus;

use status::control::{FromRole, ToRole, fd};
use sys::channel::{Channel, Incoming};
use sys::event_loop::{EventLoop, Interest};
use sys::process::{Child, Command, Stdio};

use super::PROCESS_NAME;
use super::kind::{Kind, Sign};

/// SIGKILL's number.
const SIGKILL: i32 = 9;

/// The hidden word by which the program knows that it is a role.
pub(crate) const ROLE_WORD: &str = "role";

/// What a role's process is given when it starts.
pub(super) struct Birth<'a> {
    pub(super) kind: Kind,
    /// The launch message.
    pub(super) launch: &'a [u8],
    /// Its share of the configuration.
    pub(super) configuration: &'a File,
    /// The state store.
    pub(super) store: &'a File,
    /// What `ps` calls it; `None`: like the supervisor.
    pub(super) name: Option<&'a str>,
    /// Whether it shares our standard output and error. In the background they are nowhere:
    /// whoever reads ours until its end, as `$(keepalived)` does, must not wait for the role.
    pub(super) foreground: bool,
}

/// A running role.
pub(super) struct Process {
    kind: Kind,
    child: Child,
    channel: Channel,
}

impl Process {
    /// Starts a role.
    ///
    /// # Errors
    /// Out of processes, descriptors or memory.
    pub(super) fn start(birth: &Birth<'_>, events: &EventLoop) -> io::Result<Self> {
        let output = || if birth.foreground { Stdio::Inherit } else { Stdio::Null };
        let launch = sys::memfd::sealed("standfast-launch", birth.launch)?;
        let (ours, theirs) = Channel::pair()?;
        let inherited: OwnedFd = theirs.as_fd().try_clone_to_owned()?;
        let child = Command::itself()
            .name(birth.name.unwrap_or(PROCESS_NAME))
            .args([ROLE_WORD, birth.kind.word()])
            .stdout(output())
            .stderr(output())
            .descriptor(inherited, fd::CHANNEL)
            .descriptor(birth.store.try_clone()?.into(), fd::STORE)
            .descriptor(launch.into(), fd::LAUNCH)
            .descriptor(birth.configuration.try_clone()?.into(), fd::MODEL)
            .spawn()
            .map_err(|error| io::Error::other(error.to_string()))?;
        let kind = birth.kind;
        events.register(&ours, kind.token(Sign::Message), Interest::Readable)?;
        events.register(&child, kind.token(Sign::End), Interest::Readable)?;
        Ok(Self { kind, child, channel: ours })
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
                    Err(error) => {
                        log::warn!("the {} role says something unknown: {error}", self.kind.word());
                    }
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
            log::error!("cannot kill the {} role: {error}", self.kind.word());
        }
    }

    /// Its result, once it has ended.
    pub(super) fn ended(&mut self, events: &EventLoop) -> Option<ExitStatus> {
        let _ = events.deregister(&self.child);
        let _ = events.deregister(&self.channel);
        self.child.wait().ok()
    }
}
