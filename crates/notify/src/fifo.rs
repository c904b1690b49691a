//! Notify FIFOs that lose nothing: what does not fit into the pipe waits in memory.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;
use nix::unistd::{Gid, Uid};

use crate::event::FifoEvent;
use crate::settings::FifoConfig;
use crate::sharing;

/// As many bytes as go into a pipe wholly or not at all.
const ATOMIC: usize = 4096;

/// A FIFO that cannot be opened is tried again so often.
const RETRY: Duration = Duration::from_secs(5);

/// Whether the path still leads to our FIFO is looked at no more often.
const RECHECK: Duration = Duration::from_secs(1);

/// One FIFO and the lines that wait for it.
#[derive(Debug)]
pub(crate) struct Fifo {
    config: FifoConfig,
    pipe: Option<Pipe>,
    queue: VecDeque<String>,
    /// Bytes of the first line that are written already (lines longer than [`ATOMIC`] only).
    written: usize,
    /// The queue has been full since it last was empty.
    dropping: bool,
    /// Lines dropped since that was reported.
    dropped: u64,
    full: bool,
    retry_at: Option<Instant>,
    checked: Instant,
    last_trouble: Option<String>,
    /// We made it, now or in an earlier run, or a process that shares it with us did.
    created: bool,
}

#[derive(Debug)]
struct Pipe {
    file: File,
    identity: (u64, u64),
}

impl Fifo {
    pub(crate) fn new(config: FifoConfig, now: Instant) -> Self {
        let created = config.ours;
        Self {
            config,
            pipe: None,
            queue: VecDeque::new(),
            written: 0,
            dropping: false,
            dropped: 0,
            full: false,
            retry_at: Some(now),
            checked: now,
            last_trouble: None,
            created,
        }
    }

    pub(crate) fn config(&self) -> &FifoConfig {
        &self.config
    }

    /// Applies a new definition of the same path; the pipe stays open.
    pub(crate) fn reconfigure(&mut self, config: FifoConfig) {
        self.config = config;
    }

    /// The descriptor to wait on for room in the pipe, if lines wait.
    pub(crate) fn wants_room(&self) -> Option<BorrowedFd<'_>> {
        (!self.queue.is_empty()).then_some(self.pipe.as_ref()?.file.as_fd())
    }

    /// When to call [`Fifo::handle_timeout`].
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Opens the FIFO if that is due.
    pub(crate) fn handle_timeout(&mut self, now: Instant, events: &mut Vec<FifoEvent>) {
        if self.retry_at.is_some_and(|at| at <= now) {
            self.open(now, events);
            self.flush(events);
        }
    }

    fn open(&mut self, now: Instant, events: &mut Vec<FifoEvent>) {
        self.checked = now;
        match open(&self.config) {
            Ok((pipe, created)) => {
                self.created |= created || sharing::others_made(&pipe.file);
                if self.created {
                    sharing::mark_made(&pipe.file);
                }
                self.pipe = Some(pipe);
                self.retry_at = None;
                self.last_trouble = None;
                events.push(FifoEvent::Opened { created });
            }
            Err(trouble) => {
                self.retry_at = Some(now + RETRY);
                // The same trouble is told once, not every few seconds.
                if self.last_trouble.as_ref() != Some(&trouble) {
                    self.last_trouble = Some(trouble.clone());
                    events.push(FifoEvent::CannotOpen(trouble));
                }
            }
        }
    }

    /// Takes a line; it is written now or as soon as there is room.
    pub(crate) fn push(&mut self, line: String, now: Instant, events: &mut Vec<FifoEvent>) {
        if self.queue.len() >= self.config.queue.max(1) {
            // The first one is told when it happens, the rest when it is over.
            if std::mem::replace(&mut self.dropping, true) {
                self.dropped += 1;
            } else {
                events.push(FifoEvent::Dropped(1));
            }
            return;
        }
        let waiting = !self.queue.is_empty();
        self.queue.push_back(line);
        if self.pipe.is_some() && now.saturating_duration_since(self.checked) >= RECHECK {
            self.recheck(now, events);
            self.flush(events);
        } else if !waiting {
            self.flush(events);
        }
    }

    /// Somebody may have removed the FIFO or put another one in its place: lines would go where
    /// nobody can read them.
    fn recheck(&mut self, now: Instant, events: &mut Vec<FifoEvent>) {
        self.checked = now;
        let there = identity(&self.config.path).ok();
        if there.is_none() || there != self.pipe.as_ref().map(|pipe| pipe.identity) {
            self.pipe = None;
            // A rest of a line would make no sense to another reader.
            self.written = 0;
            self.created = false;
            self.open(now, events);
        }
    }

    /// Writes as many lines as the pipe takes.
    pub(crate) fn flush(&mut self, events: &mut Vec<FifoEvent>) {
        let Some(pipe) = &mut self.pipe else { return };
        while let Some(first) = self.queue.front() {
            let mut chunk = first.as_bytes()[self.written..].to_vec();
            let mut lines = 1;
            for line in self.queue.iter().skip(1) {
                if chunk.len() + line.len() > ATOMIC {
                    break;
                }
                chunk.extend_from_slice(line.as_bytes());
                lines += 1;
            }
            match pipe.file.write(&chunk) {
                Ok(count) if count == chunk.len() => {
                    self.queue.drain(..lines);
                    self.written = 0;
                }
                // Only a single long line is ever written in part.
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        if self.queue.is_empty() {
            if std::mem::replace(&mut self.full, false) {
                events.push(FifoEvent::CaughtUp);
            }
            self.dropping = false;
            if self.dropped > 0 {
                events.push(FifoEvent::Dropped(std::mem::take(&mut self.dropped)));
            }
        } else if !self.full {
            self.full = true;
            events.push(FifoEvent::Full);
        }
    }

    /// Lines not written yet.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Whether written lines are still in the pipe, unread.
    pub(crate) fn has_unread(&self) -> bool {
        let Some(pipe) = &self.pipe else { return false };
        // Our descriptor is open for reading too: it is readable when something is in there.
        let mut fds = [PollFd::new(pipe.file.as_fd(), PollFlags::POLLIN)];
        matches!(poll(&mut fds, PollTimeout::ZERO), Ok(1..))
    }

    /// Closes our end: a reader sees the end of file.
    pub(crate) fn close(&mut self) {
        self.pipe = None;
        self.retry_at = None;
    }

    /// Whether the reader is ours to run; tries to make it so. Of all processes that share the FIFO
    /// one runs a reader.
    pub(crate) fn lead(&self) -> bool {
        self.pipe.as_ref().is_some_and(|pipe| sharing::lead(&pipe.file))
    }

    /// Lets another process run a reader.
    pub(crate) fn step_down(&self) {
        if let Some(pipe) = &self.pipe {
            sharing::step_down(&pipe.file);
        }
    }

    /// Whether no other process writes to it. If so, none can begin until [`Fifo::close`].
    pub(crate) fn is_last(&self) -> bool {
        self.pipe.as_ref().is_none_or(|pipe| sharing::is_last(&pipe.file))
    }

    /// Removes the FIFO if we, or those who shared it with us, created it, nobody shares it now and
    /// it is still the one. To be called before [`Fifo::close`].
    pub(crate) fn remove(&mut self) {
        let ours = self.pipe.as_ref().map(|pipe| pipe.identity);
        let there = ours.is_some() && identity(&self.config.path).ok() == ours;
        if self.created && there && self.is_last() {
            if let Err(error) = std::fs::remove_file(&self.config.path) {
                log::warn!("cannot remove FIFO {}: {error}", self.config.path.display());
            }
            self.created = false;
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.pipe.is_some()
    }
}

/// Device and inode of the FIFO at the path, links not followed.
fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = std::fs::symlink_metadata(path)?;
    if metadata.file_type().is_fifo() {
        Ok((metadata.dev(), metadata.ino()))
    } else {
        Err(io::Error::other("not a FIFO"))
    }
}

/// Creates the FIFO if there is none and opens it for reading and writing: opening for writing
/// alone fails as long as nobody reads, and would signal every reader that comes and goes.
fn open(config: &FifoConfig) -> Result<(Pipe, bool), String> {
    let path = &config.path;
    let named = |what: &str, error: io::Error| format!("cannot {what} {}: {error}", path.display());
    let created = match nix::unistd::mkfifo(path, Mode::from_bits_truncate(0o600)) {
        Ok(()) => true,
        Err(nix::Error::EEXIST) => false,
        Err(error) => return Err(named("create FIFO", error.into())),
    };
    let no_fifo = || format!("{} is no FIFO: remove it, or name another path", path.display());
    if !created && identity(path).is_err_and(|error| error.kind() == io::ErrorKind::Other) {
        return Err(no_fifo());
    }
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW).bits())
        .open(path)
        .map_err(|error| named("open FIFO", error))?;
    let metadata = file.metadata().map_err(|error| named("examine", error))?;
    if !metadata.file_type().is_fifo() {
        return Err(no_fifo());
    }
    if created {
        // Between creating and opening somebody may have put theirs there: do not give it away.
        if metadata.uid() != nix::unistd::geteuid().as_raw() {
            return Err(format!("{} was replaced while it was created", path.display()));
        }
        if let Some((uid, gid)) = config.owner {
            nix::unistd::fchown(&file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
                .map_err(|error| named("change the owner of", error.into()))?;
        }
        file.set_permissions(std::fs::Permissions::from_mode(config.mode & 0o777))
            .map_err(|error| named("change the mode of", error))?;
    }
    let ours = (metadata.dev(), metadata.ino());
    // Another process may have removed it since we opened it, or be about to.
    if sharing::join(&file).is_err() || identity(path).ok() != Some(ours) {
        return Err(format!("{} was removed while it was opened", path.display()));
    }
    Ok((Pipe { identity: ours, file }, created))
}
