//! One FIFO, several writers: the roles of a daemon share `notify_fifo`. Locks belong to open file
//! descriptions, so that two workers of this process are to each other what two processes are.

mod support;

use std::path::{Path, PathBuf};
use std::time::Duration;

use standfast_notify::event::{FifoEvent, Notification, Report, Subject};
use standfast_notify::settings::{FifoConfig, WorkerConfig};
use support::{CLEAN, Harness, PATIENCE, await_true, read, shell};

struct Shared {
    _dir: tempfile::TempDir,
    fifo: PathBuf,
    /// What the readers write: `begin` when one starts, then the lines.
    out: PathBuf,
}

impl Shared {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (fifo, out) = (dir.path().join("fifo"), dir.path().join("out"));
        std::fs::write(&out, "").unwrap();
        Self { _dir: dir, fifo, out }
    }

    fn worker(&self) -> Harness {
        let script =
            r#"echo begin >> "$1"; while read -r line; do echo "$line" >> "$1"; done < "$2""#;
        let mut config = FifoConfig::new(&self.fifo);
        config.reader = Some(shell(script, [self.out.to_str().unwrap()]));
        Harness::start(WorkerConfig { fifos: vec![config], ..WorkerConfig::default() })
    }

    fn await_line(&self, line: &str) {
        await_true(line, || read(&self.out).lines().any(|l| l == line));
    }

    fn readers(&self) -> usize {
        read(&self.out).lines().filter(|line| *line == "begin").count()
    }
}

fn up(name: &str) -> Notification {
    Notification::of_server(Subject::VirtualServer(name.to_owned()), true, [], true)
}

fn await_open(worker: &Harness, path: &Path) {
    worker.pick(|report| match report {
        Report::Fifo { path: p, event: FifoEvent::Opened { .. } } if p == path => Some(()),
        _ => None,
    });
}

#[test]
fn there_is_one_reader_and_it_reads_what_all_write() {
    let shared = Shared::new();
    let first = shared.worker();
    shared.await_line("begin");
    let second = shared.worker();
    await_open(&second, &shared.fifo);
    second.worker.notify(up("second"));
    shared.await_line("VS second UP");
    first.worker.notify(up("first"));
    shared.await_line("VS first UP");
    // The one with the reader is asked to stop first, and waits for the other's last words.
    first.worker.stop(PATIENCE);
    second.worker.notify(up("last words"));
    assert_eq!(second.stop(PATIENCE), CLEAN);
    let last = first.pick(|report| match report {
        Report::Stopped { .. } => Some(report.clone()),
        _ => None,
    });
    assert_eq!(last, CLEAN);
    assert_eq!(
        read(&shared.out),
        "begin\nVS second UP\nVS first UP\nVS last words UP\n",
        "one reader, every line once"
    );
    assert!(!shared.fifo.exists());
}

#[test]
fn when_the_one_with_the_reader_goes_another_takes_over_and_the_fifo_stays() {
    let shared = Shared::new();
    let first = shared.worker();
    shared.await_line("begin");
    let second = shared.worker();
    await_open(&second, &shared.fifo);
    // It goes alone, as a role that died or that a reload made superfluous.
    let _ = first.stop(Duration::from_millis(100));
    assert!(shared.fifo.exists(), "somebody still writes to it");
    await_true("a second reader", || shared.readers() == 2);
    second.worker.notify(up("after"));
    shared.await_line("VS after UP");
    assert_eq!(second.stop(PATIENCE), CLEAN);
    assert!(!shared.fifo.exists(), "made by one of them, removed by the last");
}

#[test]
fn the_user_s_own_fifo_stays_when_all_have_gone() {
    let shared = Shared::new();
    let mode = nix::sys::stat::Mode::from_bits_truncate(0o600);
    nix::unistd::mkfifo(&shared.fifo, mode).unwrap();
    let (first, second) = (shared.worker(), shared.worker());
    await_open(&first, &shared.fifo);
    await_open(&second, &shared.fifo);
    shared.await_line("begin");
    first.worker.stop(PATIENCE);
    assert_eq!(second.stop(PATIENCE), CLEAN);
    first.worker.join();
    assert!(shared.fifo.exists());
    assert_eq!(shared.readers(), 1);
}
