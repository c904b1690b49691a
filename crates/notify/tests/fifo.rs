//! Notify FIFOs with real pipes and readers: slow, late, absent, dying, and the end.

mod support;

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use standfast_notify::event::{FifoEvent, Notification, Outcome, Report, State};
use standfast_notify::settings::{FifoConfig, ScriptCommand, WorkerConfig};
use support::{CLEAN, Harness, PATIENCE, await_true, entered, instance, is_alive, read, shell};

fn with_fifos(fifos: Vec<FifoConfig>) -> WorkerConfig {
    WorkerConfig { fifos, ..WorkerConfig::default() }
}

fn event(n: usize) -> Notification {
    entered(&instance(&n.to_string()), State::Master, Vec::new())
}

fn fifo_event(harness: &Harness) -> FifoEvent {
    harness.pick(|report| match report {
        Report::Fifo { event, .. } => Some(event.clone()),
        _ => None,
    })
}

/// A reader that does not wait for the FIFO to have a writer.
fn open_reader(path: &Path) -> BufReader<std::fs::File> {
    let file =
        OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(path).unwrap();
    nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::empty())).unwrap();
    BufReader::new(file)
}

fn lines(reader: &mut impl BufRead) -> Vec<String> {
    reader.lines().map(Result::unwrap).collect()
}

fn expected(numbers: impl IntoIterator<Item = usize>) -> Vec<String> {
    numbers.into_iter().map(|n| format!("INSTANCE \"{n}\" MASTER 100")).collect()
}

#[test]
fn it_is_created_with_its_mode_and_removed_at_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fifo");
    let mut config = FifoConfig::new(&path);
    config.mode = 0o620;
    let own = nix::unistd::geteuid().as_raw();
    config.owner = Some((own, nix::unistd::getegid().as_raw()));
    let harness = Harness::start(with_fifos(vec![config]));
    assert_eq!(fifo_event(&harness), FifoEvent::Opened { created: true });
    let metadata = std::fs::symlink_metadata(&path).unwrap();
    assert!(metadata.file_type().is_fifo());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o620);
    assert_eq!(metadata.uid(), own);
    assert_eq!(harness.stop(PATIENCE), CLEAN);
    assert!(!path.exists());
}

#[test]
fn one_that_was_there_stays_unless_an_earlier_run_made_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fifo");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::from_bits_truncate(0o640)).unwrap();
    let harness = Harness::start(with_fifos(vec![FifoConfig::new(&path)]));
    assert_eq!(fifo_event(&harness), FifoEvent::Opened { created: false });
    assert_eq!(harness.stop(PATIENCE), CLEAN);
    assert!(path.exists());
    let config = FifoConfig { ours: true, ..FifoConfig::new(&path) };
    let harness = Harness::start(with_fifos(vec![config]));
    assert_eq!(fifo_event(&harness), FifoEvent::Opened { created: false });
    assert_eq!(harness.stop(PATIENCE), CLEAN);
    assert!(!path.exists());
}

#[test]
fn links_and_other_files_are_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("target");
    let link = dir.path().join("link");
    let file = dir.path().join("file");
    std::os::unix::fs::symlink(&target, &link).unwrap();
    std::fs::write(&file, "precious").unwrap();
    let configs = vec![FifoConfig::new(&link), FifoConfig::new(&file)];
    let harness = Harness::start(with_fifos(configs));
    for _ in 0..2 {
        let event = fifo_event(&harness);
        assert!(matches!(event, FifoEvent::CannotOpen(_)), "{event:?}");
    }
    harness.worker.notify(event(0));
    assert!(matches!(harness.stop(PATIENCE), Report::Stopped { unread_lines: 2, .. }));
    assert!(!target.exists() && link.is_symlink());
    assert_eq!(read(&file), "precious");
}

/// Far more than a pipe holds; nobody reads until all of it was handed over.
#[test]
fn ten_thousand_lines_for_a_late_reader_all_arrive_in_order() {
    const LINES: usize = 10_000;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fifo");
    let harness = Harness::start(with_fifos(vec![FifoConfig::new(&path)]));
    for n in 0..LINES {
        harness.worker.notify(event(n));
    }
    assert_eq!(fifo_event(&harness), FifoEvent::Opened { created: true });
    assert_eq!(fifo_event(&harness), FifoEvent::Full);
    let mut reader = open_reader(&path);
    // The reader ends with the end of file, which comes when the worker has stopped.
    let reading = std::thread::spawn(move || lines(&mut reader));
    assert_eq!(fifo_event(&harness), FifoEvent::CaughtUp);
    assert_eq!(harness.stop(PATIENCE), CLEAN);
    assert_eq!(reading.join().unwrap(), expected(0..LINES));
}

#[test]
fn a_slow_reader_gets_every_line_before_the_stop_is_over() {
    const LINES: usize = 5_000;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fifo");
    let out = dir.path().join("out");
    let mut config = FifoConfig::new(&path);
    // Slow to begin, slow to read; ends at the end of file.
    config.reader = Some(shell(
        r#"sleep 0.2; while read -r line; do echo "$line" >> "$1"; done < "$2""#,
        [out.to_str().unwrap()],
    ));
    let harness = Harness::start(with_fifos(vec![config]));
    for n in 0..LINES {
        harness.worker.notify(event(n));
    }
    harness.worker.notify(entered(&instance("last"), State::Stop, Vec::new()));
    assert_eq!(harness.stop(PATIENCE * 2), CLEAN);
    let text = read(&out);
    let got: Vec<&str> = text.lines().collect();
    assert_eq!(got.len(), LINES + 1);
    assert_eq!(got[..LINES], expected(0..LINES));
    assert_eq!(got[LINES], "INSTANCE \"last\" STOP 100");
}

/// Keepalived sends such a reader SIGTERM while its last lines are unread.
#[test]
fn a_reader_that_never_ends_gets_its_lines_first_and_sigterm_then() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fifo");
    let out = dir.path().join("out");
    let mut config = FifoConfig::new(&path);
    config.reader = Some(shell(
        r#"trap 'echo TERM >> "$1"; exit 0' TERM
           exec 3<> "$2"
           while read -r line <&3; do echo "$line" >> "$1"; done"#,
        [out.to_str().unwrap()],
    ));
    let harness = Harness::start(with_fifos(vec![config]));
    for n in 0..100 {
        harness.worker.notify(event(n));
    }
    harness.worker.notify(entered(&instance("last"), State::Stop, Vec::new()));
    assert_eq!(harness.stop(PATIENCE), CLEAN);
    let mut all = expected(0..100);
    all.extend(["INSTANCE \"last\" STOP 100".to_owned(), "TERM".to_owned()]);
    assert_eq!(read(&out).lines().collect::<Vec<_>>(), all);
    assert!(!path.exists());
}

/// The reader is not ours, and it takes its time: longer than a second for everything, but it
/// takes something now and then.
#[test]
fn a_stop_has_patience_with_a_slow_stranger() {
    const LINES: usize = 8_000;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fifo");
    let harness = Harness::start(with_fifos(vec![FifoConfig::new(&path)]));
    for n in 0..LINES {
        harness.worker.notify(event(n));
    }
    assert_eq!(fifo_event(&harness), FifoEvent::Opened { created: true });
    let mut reader = open_reader(&path);
    let reading = std::thread::spawn(move || {
        let mut got = Vec::new();
        for line in reader.by_ref().lines() {
            got.push(line.unwrap());
            // A reader that is slow by nature, not a wait for something.
            if got.len() % 100 == 0 && got.len() < 5_000 {
                std::thread::sleep(Duration::from_millis(40));
            }
        }
        got
    });
    let begun = Instant::now();
    assert_eq!(harness.stop(PATIENCE), CLEAN);
    assert!(begun.elapsed() > Duration::from_secs(1), "the reader was not slow enough");
    assert_eq!(reading.join().unwrap(), expected(0..LINES));
}

#[test]
fn a_hung_reader_does_not_hold_a_stop_beyond_its_deadline() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fifo");
    let out = dir.path().join("pid");
    let mut config = FifoConfig::new(&path);
    let hung = r#"trap '' TERM; echo $$ > "$1"; while :; do sleep 1; done"#;
    config.reader = Some(shell(hung, [out.to_str().unwrap()]));
    let harness = Harness::start(with_fifos(vec![config]));
    harness.worker.notify(event(0));
    await_true("it runs", || read(&out).ends_with('\n'));
    let begun = Instant::now();
    let last = harness.stop(Duration::from_millis(100));
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert!(matches!(last, Report::Stopped { unread_lines: 1, .. }), "{last:?}");
    let pid: u32 = read(&out).trim().parse().unwrap();
    await_true("it is gone", || !is_alive(pid));
}

#[test]
fn a_reader_that_dies_is_started_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fifo");
    let out = dir.path().join("out");
    let mut config = FifoConfig::new(&path);
    // Takes one line and dies.
    config.reader = Some(shell(
        r#"read -r line < "$2"; echo "$line" >> "$1"; exit 3"#,
        [out.to_str().unwrap()],
    ));
    let harness = Harness::start(with_fifos(vec![config]));
    harness.worker.notify(event(0));
    let ended = harness.pick(|report| match report {
        Report::Fifo { event: event @ FifoEvent::ReaderEnded { .. }, .. } => Some(event.clone()),
        _ => None,
    });
    assert_eq!(
        ended,
        FifoEvent::ReaderEnded { outcome: Outcome::Exited(3), restart_in: Duration::from_secs(1) }
    );
    harness.worker.notify(event(1));
    await_true("the second line arrives", || read(&out).lines().count() == 2);
    assert_eq!(read(&out).lines().collect::<Vec<_>>(), expected(0..2));
}

#[test]
fn a_reader_that_cannot_be_started_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = FifoConfig::new(dir.path().join("fifo"));
    config.reader = Some(ScriptCommand::new("/nonexistent/reader"));
    let harness = Harness::start(with_fifos(vec![config]));
    assert_eq!(fifo_event(&harness), FifoEvent::Opened { created: true });
    let event = fifo_event(&harness);
    assert!(
        matches!(event, FifoEvent::ReaderEnded { outcome: Outcome::NotStarted(_), .. }),
        "{event:?}"
    );
}

#[test]
fn beyond_the_bound_lines_are_dropped_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fifo");
    let mut config = FifoConfig::new(&path);
    config.queue = 50;
    let harness = Harness::start(with_fifos(vec![config]));
    assert_eq!(fifo_event(&harness), FifoEvent::Opened { created: true });
    const LINES: usize = 20_000;
    for n in 0..LINES {
        harness.worker.notify(event(n));
    }
    assert_eq!(fifo_event(&harness), FifoEvent::Full);
    assert_eq!(fifo_event(&harness), FifoEvent::Dropped(1));
    // The bell comes after everything before it: this one is the last line that is handed over.
    let mut reader = open_reader(&path);
    let reading = std::thread::spawn(move || lines(&mut reader));
    let mut dropped = 1;
    let mut last = FifoEvent::Full;
    while !matches!(last, FifoEvent::Dropped(_)) {
        last = fifo_event(&harness);
        if let FifoEvent::Dropped(count) = last {
            dropped += usize::try_from(count).unwrap();
        }
    }
    harness.stop(PATIENCE);
    let got = reading.join().unwrap();
    assert!(got.len() + dropped <= LINES, "{} + {dropped}", got.len());
    assert!(dropped > 1 && got.len() >= 50);
}

#[test]
fn a_reload_keeps_an_unchanged_fifo_open_and_retires_a_removed_one() {
    let dir = tempfile::tempdir().unwrap();
    let (kept, gone) = (dir.path().join("kept"), dir.path().join("gone"));
    let out = dir.path().join("out");
    let mut config = FifoConfig::new(&kept);
    // Tells its process number: a restarted reader would be another one.
    config.reader = Some(shell(
        r#"while read -r line; do echo "$$" >> "$1"; done < "$2""#,
        [out.to_str().unwrap()],
    ));
    let configs = vec![config.clone(), FifoConfig::new(&gone)];
    let harness = Harness::start(with_fifos(configs));
    harness.worker.notify(event(0));
    await_true("the first line arrives", || read(&out).lines().count() == 1);
    let before = std::fs::symlink_metadata(&kept).unwrap().ino();
    let mut stranger = open_reader(&gone);
    harness.worker.reload(with_fifos(vec![config.clone()]));
    harness.worker.notify(event(1));
    await_true("the second line arrives", || read(&out).lines().count() == 2);
    assert_eq!(std::fs::symlink_metadata(&kept).unwrap().ino(), before);
    let text = read(&out);
    let pids: Vec<&str> = text.lines().collect();
    assert_eq!(pids[0], pids[1]);
    // The removed one was read to its end, closed and removed.
    assert_eq!(lines(&mut stranger), expected([0]));
    await_true("it is removed", || !gone.exists());

    let old: u32 = pids[0].parse().unwrap();
    config.reader = Some(shell(
        r#"while read -r line; do echo "new" >> "$1"; done < "$2""#,
        [out.to_str().unwrap()],
    ));
    harness.worker.reload(with_fifos(vec![config]));
    await_true("the old reader is gone", || !is_alive(old));
    harness.worker.notify(event(2));
    await_true("the third line arrives", || read(&out).ends_with("new\n"));
    assert_eq!(std::fs::symlink_metadata(&kept).unwrap().ino(), before);
    assert_eq!(harness.stop(PATIENCE), CLEAN);
}

#[test]
fn a_fifo_that_somebody_removed_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fifo");
    let harness = Harness::start(with_fifos(vec![FifoConfig::new(&path)]));
    assert_eq!(fifo_event(&harness), FifoEvent::Opened { created: true });
    std::fs::remove_file(&path).unwrap();
    // The path is looked at once per second at most, and only when there is something to write.
    let mut lines = 0;
    await_true("it is there again", || {
        harness.worker.notify(event(lines));
        lines += 1;
        path.exists()
    });
    assert_eq!(fifo_event(&harness), FifoEvent::Opened { created: true });
}
