//! A daemon running on a machine of the laboratory: its log, its signals, its processes.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::journal::{Journal, wait_until};
use crate::subject::Subject;
use crate::{Clock, LabError, Namespace};

/// A line that a daemon printed.
#[derive(Debug, Clone)]
pub struct LogLine {
    /// When we read it, on the laboratory's clock.
    pub at: Duration,
    /// The line.
    pub text: String,
}

/// A running daemon. Dropping it kills it and everything it started.
#[derive(Debug)]
pub struct Daemon {
    subject: Subject,
    child: Mutex<Child>,
    log: Journal<LogLine>,
    started: Duration,
    clock: Clock,
}

impl Daemon {
    /// Starts `subject` in `namespace` in the foreground with a log on its console.
    pub(crate) fn start(
        namespace: &Namespace,
        subject: &Subject,
        program: &str,
        arguments: &[String],
        clock: Clock,
    ) -> Result<Self, LabError> {
        let (program, arguments) = (program.to_owned(), arguments.to_vec());
        let what = format!("start {program} in {}", namespace.name());
        let started = clock.now();
        let mut child = namespace
            .run(move || {
                Command::new(&program)
                    .arg0("keepalived")
                    .args(["-n", "-l", "-G", "-f", "/run/keepalived.conf"])
                    .args(&arguments)
                    .env("TMPDIR", "/tmp")
                    .stdin(Stdio::null())
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped())
                    .process_group(0)
                    .spawn()
            })
            .map_err(|source| LabError::Io { what, source })?;
        let log = Journal::default();
        if let Some(stream) = child.stdout.take() {
            read_lines(stream, clock, log.clone());
        }
        if let Some(stream) = child.stderr.take() {
            read_lines(stream, clock, log.clone());
        }
        Ok(Self { subject: subject.clone(), child: Mutex::new(child), log, started, clock })
    }

    /// Which program it is.
    #[must_use]
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// When it was started, on the laboratory's clock.
    #[must_use]
    pub fn started(&self) -> Duration {
        self.started
    }

    /// Its process id: the parent of its tree.
    #[must_use]
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child().id()).unwrap_or(i32::MAX)
    }

    /// Everything it printed so far.
    #[must_use]
    pub fn log(&self) -> Vec<LogLine> {
        self.log.entries()
    }

    /// Waits for a line that contains `text`, printed after `since`.
    #[must_use]
    pub fn wait_line(&self, text: &str, since: Duration, limit: Duration) -> Option<LogLine> {
        self.log.wait(limit, |lines| {
            lines.iter().find(|line| line.at >= since && line.text.contains(text)).cloned()
        })
    }

    /// Sends a signal to the parent process.
    pub fn signal(&self, signal: Signal) {
        let _ = kill(Pid::from_raw(self.pid()), signal);
    }

    /// Sends SIGHUP: read the file again.
    pub fn reload(&self) {
        self.signal(Signal::SIGHUP);
    }

    /// Ends it with SIGTERM, the planned way; with SIGKILL when it takes longer than `limit`.
    ///
    /// Returns the exit status and how long it took; `None` when it had to be killed.
    pub fn stop(&self, limit: Duration) -> Option<(ExitStatus, Duration)> {
        let begin = Instant::now();
        self.signal(Signal::SIGTERM);
        let status = self.wait_exit(limit);
        if status.is_none() {
            self.kill_tree();
        }
        status.map(|status| (status, begin.elapsed()))
    }

    /// Waits until the parent process ends.
    #[must_use]
    pub fn wait_exit(&self, limit: Duration) -> Option<ExitStatus> {
        wait_until(limit, || self.child().try_wait().ok().flatten())
    }

    /// Whether the parent process still runs.
    #[must_use]
    pub fn running(&self) -> bool {
        matches!(self.child().try_wait(), Ok(None))
    }

    /// The children of the parent process that run its own program: the roles.
    #[must_use]
    pub fn roles(&self) -> Vec<i32> {
        let parent = self.pid();
        processes()
            .into_iter()
            .filter(|process| process.parent == parent && process.state != 'Z')
            .map(|process| process.pid)
            .collect()
    }

    /// The parent process and all its descendants.
    #[must_use]
    pub fn tree(&self) -> Vec<i32> {
        let all = processes();
        let mut tree = vec![self.pid()];
        let mut next = 0;
        while let Some(parent) = tree.get(next).copied() {
            next += 1;
            tree.extend(all.iter().filter(|it| it.parent == parent).map(|it| it.pid));
        }
        tree
    }

    /// Sends SIGKILL to the whole tree and reaps the parent.
    pub fn kill_tree(&self) {
        // The tree may still grow while we read it: once more until nothing is left, at most
        // a few times.
        for _ in 0..5 {
            let tree = self.tree();
            for pid in &tree {
                let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
            }
            if tree.len() == 1 {
                break;
            }
        }
        let _ = self.child().wait();
    }

    /// The last lines of the log, for a report about a failure.
    #[must_use]
    pub fn tail(&self, count: usize) -> String {
        self.log.look(|lines| {
            let from = lines.len().saturating_sub(count);
            lines[from..]
                .iter()
                .map(|line| format!("  {:8.3} {}\n", line.at.as_secs_f64(), line.text))
                .collect()
        })
    }

    /// The laboratory's clock, now.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.clock.now()
    }

    fn child(&self) -> std::sync::MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.running() {
            self.kill_tree();
        }
    }
}

fn read_lines(stream: impl Read + Send + 'static, clock: Clock, log: Journal<LogLine>) {
    thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n') {
            let Ok(line) = line else { return };
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            log.push(LogLine { at: clock.now(), text });
        }
    });
}

/// A line of the process table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) parent: i32,
    pub(crate) state: char,
}

/// All processes that `/proc` shows.
pub(crate) fn processes() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            // The name in parentheses may hold anything, so look behind the last one.
            let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
            let state = fields.next()?.chars().next()?;
            let parent = fields.next()?.parse().ok()?;
            Some(Process { pid, parent, state })
        })
        .collect()
}
