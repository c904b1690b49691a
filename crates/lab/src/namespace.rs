//! One machine of the laboratory: a network namespace with its own `/run` and `/tmp`.
//!
//! A namespace belongs to a thread. Whatever runs on that thread, and every process and thread
//! that it starts, lives in the namespace; it vanishes with the last of them. So nothing needs a
//! name in `/run/netns`, and a crash leaves nothing behind.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, JoinHandle};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::gettid;

use crate::LabError;

type Job = Box<dyn FnOnce() + Send>;

/// A network and mount namespace, and the thread that lives in it.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    tid: i32,
    root: PathBuf,
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Namespace {
    /// Makes a namespace called `name` whose `/run` and `/tmp` are `root/run` and `root/tmp`.
    ///
    /// `bind` lists files that shall be visible inside: each source appears at `/run/lab/NAME`.
    ///
    /// # Errors
    ///
    /// When the kernel refuses the namespace or a mount.
    pub fn create(name: &str, root: &Path, bind: &[(PathBuf, String)]) -> Result<Self, LabError> {
        let (jobs, queue) = channel::<Job>();
        let (ready, answer) = channel();
        let (home, files) = (root.to_owned(), bind.to_vec());
        let thread = Builder::new()
            .name(format!("node-{name}"))
            .spawn(move || live(&home, &files, &ready, &queue))
            .map_err(|source| LabError::Io { what: "start a thread".into(), source })?;
        let tid = answer.recv().map_err(|_| LabError::Gone(name.to_owned()))??;
        Ok(Self {
            name: name.to_owned(),
            tid,
            root: root.to_owned(),
            jobs: Some(jobs),
            thread: Some(thread),
        })
    }

    /// The name given at creation.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The id of the thread, which `ip link … netns` and `nsenter --target` take.
    #[must_use]
    pub fn tid(&self) -> i32 {
        self.tid
    }

    /// Where a path of the namespace (`/run/…` or `/tmp/…`) is seen from outside.
    #[must_use]
    pub fn outside(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// Writes a file of the machine; `path` begins with `/run/` or `/tmp/`. Scripts (`#!`) are
    /// made executable.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn write(&self, path: &str, text: &str) -> Result<(), LabError> {
        let target = self.outside(path);
        let mode = if text.starts_with("#!") { 0o755 } else { 0o644 };
        // Made aside and renamed: a daemon never reads half a file.
        let aside = target.with_extension("new");
        fs::write(&aside, text)
            .and_then(|()| fs::set_permissions(&aside, PermissionsExt::from_mode(mode)))
            .and_then(|()| fs::rename(&aside, &target))
            .map_err(|source| LabError::Io { what: format!("write {}", target.display()), source })
    }

    /// Reads a file of the machine; empty when it does not exist.
    #[must_use]
    pub fn read(&self, path: &str) -> String {
        fs::read(self.outside(path))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// Runs `work` inside of the namespace and returns its result.
    ///
    /// # Panics
    ///
    /// When `work` itself panicked.
    pub fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let (result, answer) = channel();
        let job: Job = Box::new(move || {
            let _ = result.send(work());
        });
        let sent = self.jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok());
        assert!(sent, "the thread of {} has ended", self.name);
        answer.recv().unwrap_or_else(|_| panic!("work in {} panicked", self.name))
    }

    /// Runs a command line (words separated by blanks, no quoting) and returns what it printed.
    ///
    /// # Errors
    ///
    /// When the program is missing or fails; the error holds what it printed to stderr.
    pub fn command(&self, line: &str) -> Result<String, LabError> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        self.feed(&words, "")
    }

    /// Runs `ip` (or any program) with `input` on its stdin: `&["ip", "-batch", "-"]`.
    ///
    /// # Errors
    ///
    /// As for [`Namespace::command`].
    pub fn feed<S: AsRef<str>>(&self, words: &[S], input: &str) -> Result<String, LabError> {
        let words: Vec<String> = words.iter().map(|word| word.as_ref().to_owned()).collect();
        let (line, input) = (words.join(" "), input.to_owned());
        let output = self.run(move || capture(&words, &input)).map_err(|source| LabError::Io {
            what: format!("run `{line}` in {}", self.name),
            source,
        })?;
        if !output.status.success() {
            return Err(LabError::Command {
                node: self.name.clone(),
                line,
                stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            });
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn capture(words: &[String], input: &str) -> io::Result<std::process::Output> {
    let (program, arguments) =
        words.split_first().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read its stdin may have closed it already.
        let _ = io::Write::write_all(&mut stdin, input.as_bytes());
    }
    child.wait_with_output()
}

/// The life of the thread: move in, say so, work until nobody can send work any more.
fn live(
    root: &Path,
    bind: &[(PathBuf, String)],
    ready: &Sender<Result<i32, LabError>>,
    queue: &Receiver<Job>,
) {
    let moved = move_in(root, bind);
    let arrived = moved.is_ok();
    let _ = ready.send(moved);
    if arrived {
        for job in queue {
            // A panic is seen by the sender, whose answer channel closes.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
        }
    }
}

fn move_in(root: &Path, bind: &[(PathBuf, String)]) -> Result<i32, LabError> {
    let io = |what: String| move |source: io::Error| LabError::Io { what, source };
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS)
        .map_err(|errno| LabError::Io { what: "make a namespace".into(), source: errno.into() })?;
    for directory in ["run/lab", "tmp"] {
        let path = root.join(directory);
        std::fs::create_dir_all(&path).map_err(io(format!("create {}", path.display())))?;
    }
    for (source, name) in bind {
        let target = root.join("run/lab").join(name);
        std::fs::write(&target, "").map_err(io(format!("create {}", target.display())))?;
        bind_mount(source, &target)?;
    }
    // Last, because they hide the places that the sources come from; `/run` holds our own files.
    for directory in ["tmp", "run"] {
        bind_mount(&root.join(directory), &Path::new("/").join(directory))?;
    }
    Ok(gettid().as_raw())
}

fn bind_mount(source: &Path, target: &Path) -> Result<(), LabError> {
    let none: Option<&str> = None;
    mount(Some(source), target, none, MsFlags::MS_BIND | MsFlags::MS_REC, none).map_err(|errno| {
        LabError::Io {
            what: format!("mount {} on {}", source.display(), target.display()),
            source: errno.into(),
        }
    })
}
