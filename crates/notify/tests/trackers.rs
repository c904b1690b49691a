//! Tracked scripts, files and processes with real ones.

mod support;

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use standfast_notify::event::{
    FileContent, Outcome, Report, State, TrackerDetail, TrackerKind, TrackerReport, TrackerState,
};
use standfast_notify::settings::{
    FileTrackerConfig, InitFile, ParamMatch, ProcessTrackerConfig, ScriptTrackerConfig,
    WorkerConfig,
};
use support::{
    CLEAN, Harness, PATIENCE, await_true, entered, instance, is_alive, read, script, shell,
};

const TICK: Duration = Duration::from_millis(50);

/// A check that succeeds as long as a file exists.
fn exists(name: &str, file: &Path) -> ScriptTrackerConfig {
    let check = shell(r#"[ -e "$1" ]"#, [file.to_str().unwrap()]);
    let mut config = ScriptTrackerConfig::new(name, check);
    (config.interval, config.timeout) = (TICK, Duration::from_secs(5));
    config
}

fn with_scripts(scripts: Vec<ScriptTrackerConfig>) -> WorkerConfig {
    WorkerConfig { scripts, ..WorkerConfig::default() }
}

fn with_files(files: Vec<FileTrackerConfig>) -> WorkerConfig {
    WorkerConfig { files, ..WorkerConfig::default() }
}

fn with_processes(processes: Vec<ProcessTrackerConfig>) -> WorkerConfig {
    WorkerConfig { processes, ..WorkerConfig::default() }
}

#[test]
fn a_script_goes_up_and_down_with_what_it_checks() {
    let dir = tempfile::tempdir().unwrap();
    let flag = dir.path().join("flag");
    let mut config = exists("s", &flag);
    (config.rise, config.fall) = (2, 3);
    let harness = Harness::start(with_scripts(vec![config]));
    let first = harness.tracker();
    assert_eq!(
        (first.id.kind, first.state, first.first),
        (TrackerKind::Script, TrackerState::Down, true)
    );
    let in_a_row = |report: TrackerReport| match report.detail {
        TrackerDetail::ScriptRun { in_a_row, outcome, .. } => (in_a_row, outcome),
        other => panic!("{other:?}"),
    };
    assert_eq!(in_a_row(first), (1, Outcome::Exited(1)), "one result is enough at start");
    fs::write(&flag, "").unwrap();
    let up = harness.until_tracker("s", TrackerState::Up);
    assert!(!up.first);
    assert_eq!(in_a_row(up), (2, Outcome::Exited(0)));
    fs::remove_file(&flag).unwrap();
    let down = harness.until_tracker("s", TrackerState::Down);
    assert_eq!(in_a_row(down), (3, Outcome::Exited(1)));
    assert_eq!(harness.stop(PATIENCE), CLEAN);
}

#[test]
fn runs_come_at_the_interval_one_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    // Complains if another one is running.
    let check = shell(
        r#"mkdir "$1.lock" 2>/dev/null || echo twice >> "$1"
           echo run >> "$1"; sleep 0.12; rmdir "$1.lock""#,
        [out.to_str().unwrap()],
    );
    let mut config = ScriptTrackerConfig::new("s", check);
    (config.interval, config.timeout) = (TICK, Duration::from_secs(5));
    let begun = Instant::now();
    let harness = Harness::start(with_scripts(vec![config]));
    await_true("some runs", || read(&out).lines().count() >= 6);
    // A run takes at least 120 ms: the next one starts at the third tick after it.
    assert!(begun.elapsed() >= TICK * 3 * 5, "{:?}", begun.elapsed());
    assert_eq!(harness.stop(PATIENCE), CLEAN);
    assert!(!read(&out).contains("twice"));
}

#[test]
fn a_run_that_takes_too_long_has_failed_and_is_killed_with_its_children() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("pids");
    let check = shell(
        r#"trap '' TERM; sleep 1000 & echo $! >> "$1"; echo $$ >> "$1"; wait; sleep 1000"#,
        [out.to_str().unwrap()],
    );
    let mut config = ScriptTrackerConfig::new("s", check);
    config.timeout = Duration::from_millis(300);
    let begun = Instant::now();
    let harness = Harness::start(with_scripts(vec![config]));
    let report = harness.tracker();
    assert!(begun.elapsed() < Duration::from_secs(2), "told before it is dead");
    assert_eq!(report.state, TrackerState::Down);
    assert!(
        matches!(report.detail, TrackerDetail::ScriptRun { outcome: Outcome::TimedOut, .. }),
        "{report:?}"
    );
    let pids: Vec<u32> = read(&out).lines().take(2).map(|pid| pid.parse().unwrap()).collect();
    await_true("both are gone", || !pids.iter().any(|pid| is_alive(*pid)));
    await_true("it runs again", || read(&out).lines().count() > 2);
}

#[test]
fn init_fail_is_down_before_the_first_result() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = exists("s", dir.path());
    (config.init_fail, config.rise) = (true, 2);
    let harness = Harness::start(with_scripts(vec![config]));
    let report = harness.tracker();
    assert_eq!((report.state, report.first), (TrackerState::Down, true));
    assert_eq!(report.detail, TrackerDetail::InitFail);
    let report = harness.tracker();
    assert_eq!((report.state, report.first), (TrackerState::Up, false));
}

#[test]
fn a_script_that_cannot_be_started_is_down() {
    let mut config = exists("s", Path::new("/"));
    config.command.program = "/nonexistent/check".into();
    let harness = Harness::start(with_scripts(vec![config]));
    let report = harness.tracker();
    assert_eq!(report.state, TrackerState::Down);
    assert!(matches!(
        report.detail,
        TrackerDetail::ScriptRun { outcome: Outcome::NotStarted(_), .. }
    ));
}

#[test]
fn a_reload_leaves_equal_scripts_alone_and_carries_the_state_of_changed_ones() {
    let dir = tempfile::tempdir().unwrap();
    let (flag, pid) = (dir.path().join("flag"), dir.path().join("pid"));
    fs::write(&flag, "").unwrap();
    let changing = exists("changing", &flag);
    // One run that goes on for the whole test.
    let long = shell(r#"echo $$ >> "$1"; exec sleep 1000"#, [pid.to_str().unwrap()]);
    let mut long = ScriptTrackerConfig::new("long", long);
    long.timeout = Duration::from_secs(1000);
    let going = exists("going", &flag);
    let harness = Harness::start(with_scripts(vec![long.clone(), changing.clone(), going]));
    harness.until_tracker("changing", TrackerState::Up);
    await_true("it runs", || read(&pid).ends_with('\n'));
    let mut changed = changing;
    changed.fall = 2;
    harness.worker.reload(with_scripts(vec![changed, long]));
    let carried = harness.pick(|report| match report {
        Report::Tracker(report) if report.id.name == "changing" => Some(report.clone()),
        _ => None,
    });
    assert_eq!((carried.state, carried.first), (TrackerState::Up, false));
    fs::remove_file(&flag).unwrap();
    let down = harness.tracker();
    assert_eq!((&*down.id.name, down.state), ("changing", TrackerState::Down), "`going` is gone");
    assert!(matches!(down.detail, TrackerDetail::ScriptRun { in_a_row: 2, .. }));
    assert_eq!(read(&pid).lines().count(), 1, "the long run was not disturbed");
    let long: u32 = read(&pid).trim().parse().unwrap();
    assert!(is_alive(long));
    assert_eq!(harness.stop(PATIENCE), CLEAN);
    await_true("the long run has ended", || !is_alive(long));
}

#[test]
fn hundreds_of_scripts_all_run_and_notifications_go_between() {
    let dir = tempfile::tempdir().unwrap();
    let scripts: Vec<_> = (0..300)
        .map(|n| {
            let mut config = exists(&n.to_string(), dir.path());
            config.interval = Duration::from_secs(5);
            config
        })
        .collect();
    let harness = Harness::start(with_scripts(scripts));
    let note = script(shell("true", [""]));
    harness.worker.notify(entered(&instance("a"), State::Master, vec![note]));
    let mut up = 0;
    let mut up_before_note = None;
    while up < 300 || up_before_note.is_none() {
        match harness.report() {
            Report::Tracker(report) => {
                assert_eq!((report.state, report.first), (TrackerState::Up, true));
                up += 1;
            }
            Report::ScriptFinished { .. } => up_before_note = Some(up),
            other => panic!("{other:?}"),
        }
    }
    assert!(up_before_note.is_some_and(|before| before < 300), "{up_before_note:?}");
    assert_eq!(harness.stop(PATIENCE), CLEAN);
}

/// Check scripts are of no use any more when a stop begins: a stubborn one does not delay it.
#[test]
fn a_stop_does_not_wait_for_check_scripts() {
    let dir = tempfile::tempdir().unwrap();
    let pid = dir.path().join("pid");
    let check = shell(
        r#"trap '' TERM; echo $$ > "$1"; while :; do sleep 1; done"#,
        [pid.to_str().unwrap()],
    );
    let mut config = ScriptTrackerConfig::new("s", check);
    config.timeout = Duration::from_secs(1000);
    let harness = Harness::start(with_scripts(vec![config]));
    await_true("it runs", || read(&pid).ends_with('\n'));
    let begun = Instant::now();
    assert_eq!(harness.stop(PATIENCE), CLEAN);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let pid: u32 = read(&pid).trim().parse().unwrap();
    assert!(!is_alive(pid));
}

#[test]
fn a_track_file_is_followed_through_everything_that_happens_to_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sub/value");
    let config = FileTrackerConfig { name: "f".into(), path: path.clone(), init: None };
    let harness = Harness::start(with_files(vec![config]));
    let first = harness.tracker();
    assert_eq!((first.state, first.first), (TrackerState::Value(0), true));
    assert!(matches!(first.detail, TrackerDetail::File { content: FileContent::Missing, .. }));
    let says = |value| harness.until_tracker("f", TrackerState::Value(value));
    fs::create_dir(dir.path().join("sub")).unwrap();
    fs::write(&path, "5\n").unwrap();
    says(5);
    fs::write(dir.path().join("new"), "-6").unwrap();
    fs::rename(dir.path().join("new"), &path).unwrap();
    says(-6);
    fs::rename(dir.path().join("sub"), dir.path().join("away")).unwrap();
    says(0);
    fs::rename(dir.path().join("away"), dir.path().join("sub")).unwrap();
    says(-6);
    fs::remove_file(&path).unwrap();
    says(0);
    fs::write(&path, "7").unwrap();
    says(7);
    assert_eq!(harness.stop(PATIENCE), CLEAN);
}

/// `echo 5 > FILE` empties the file before it writes: nobody is to be told of a 0 in between.
#[test]
fn a_file_that_is_being_written_is_not_taken_for_an_empty_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("value");
    fs::write(&path, "1").unwrap();
    let config = FileTrackerConfig { name: "f".into(), path: path.clone(), init: None };
    let harness = Harness::start(with_files(vec![config]));
    assert_eq!(harness.tracker().state, TrackerState::Value(1));
    for value in 2..200 {
        // Attribute changes make the worker look in the middle of the write.
        let file = fs::File::create(&path).unwrap();
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        fs::write(&path, value.to_string()).unwrap();
        drop(file);
        assert_eq!(harness.tracker().state, TrackerState::Value(value));
    }
    fs::write(&path, "").unwrap();
    assert_eq!(harness.tracker().state, TrackerState::Value(0));
}

#[test]
fn a_reload_leaves_equal_files_alone_and_follows_changed_ones() {
    let dir = tempfile::tempdir().unwrap();
    let config = |name: &str, file: &str| FileTrackerConfig {
        name: name.into(),
        path: dir.path().join(file),
        init: Some(InitFile { value: 3, overwrite: true }),
    };
    let harness = Harness::start(with_files(vec![config("a", "a"), config("b", "b")]));
    for _ in 0..2 {
        let report = harness.tracker();
        assert_eq!((report.state, report.first), (TrackerState::Value(3), true));
    }
    fs::write(dir.path().join("a"), "4").unwrap();
    assert_eq!(harness.tracker().state, TrackerState::Value(4));
    harness.worker.reload(with_files(vec![config("a", "a"), config("b", "c")]));
    let report = harness.tracker();
    assert_eq!(
        (&*report.id.name, report.state, report.first),
        ("b", TrackerState::Value(3), false)
    );
    assert_eq!(read(&dir.path().join("a")), "4", "not initialised again");
    fs::write(dir.path().join("c"), "8").unwrap();
    assert_eq!(harness.tracker().state, TrackerState::Value(8));
}

/// A process under a name that nobody else has.
struct Named(Child);

impl Named {
    fn start(name: &str, args: &[&str]) -> Self {
        let mut command = Command::new("/bin/sleep");
        std::os::unix::process::CommandExt::arg0(&mut command, name);
        Self(command.args(args).stdin(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn unique(name: &str) -> String {
    format!("{name}-{}", std::process::id())
}

/// Two processes come and go. Gives back whether the kernel told of it.
fn count_processes(name: &str) -> bool {
    let name = unique(name);
    let mut config = ProcessTrackerConfig::new("p", &name);
    config.quorum = 2;
    let harness = Harness::start(with_processes(vec![config]));
    let first = harness.tracker();
    assert_eq!((first.state, first.first), (TrackerState::Down, true));
    let TrackerDetail::Processes { count: 0, events } = first.detail else { panic!("{first:?}") };
    let one = Named::start(&format!("/opt/{name}"), &["1000"]);
    let two = Named::start(&name, &["1000"]);
    let up = harness.tracker();
    assert_eq!(up.state, TrackerState::Up);
    assert!(matches!(up.detail, TrackerDetail::Processes { count: 2, .. }), "{up:?}");
    drop(two);
    assert_eq!(harness.tracker().state, TrackerState::Down);
    drop(one);
    assert_eq!(harness.stop(PATIENCE), CLEAN);
    events
}

#[test]
fn processes_are_counted_as_they_come_and_go() {
    eprintln!("events from the kernel: {}", count_processes("sf-count"));
}

/// In a network namespace of its own the kernel refuses its events.
#[test]
fn processes_are_counted_where_the_kernel_tells_nothing() {
    // A thread of its own: the namespace is the thread's, and that of the worker it starts.
    let outcome = std::thread::spawn(|| {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET)
            .map(|()| count_processes("sf-blind"))
    });
    match outcome.join().unwrap() {
        Ok(events) => assert!(!events),
        Err(error) => eprintln!("skipped: no network namespace to be had ({error})"),
    }
}

/// A process that copies itself counts several times, and no more when it executes another program.
#[test]
fn copies_and_renamings_are_followed() {
    let name = unique("sf-fork");
    let mut config = ProcessTrackerConfig::new("p", &name);
    config.quorum = 3;
    let harness = Harness::start(with_processes(vec![config]));
    assert_eq!(harness.tracker().state, TrackerState::Down);
    // A shell of that name makes two copies of itself and waits for its input to end.
    let script =
        "exec 3<&0; (read -r x <&3; :) & (read -r x <&3; :) & read -r x <&3; exec sleep 1000";
    let mut command = Command::new("/bin/sh");
    std::os::unix::process::CommandExt::arg0(&mut command, &name);
    let mut shell = Named(command.args(["-c", script]).stdin(Stdio::piped()).spawn().unwrap());
    assert_eq!(harness.tracker().state, TrackerState::Up);
    // Its input ends: the copies end, and the shell becomes another program.
    drop(shell.0.stdin.take());
    let down = harness.tracker();
    assert_eq!(down.state, TrackerState::Down);
    harness.stop(PATIENCE);
    drop(shell);
}

#[test]
fn arguments_and_quorum_max_and_delays_are_heeded() {
    let name = unique("sf-args");
    let mut none = ProcessTrackerConfig::new("none", &name);
    (none.param_match, none.args) = (ParamMatch::Exact, vec!["1000".into()]);
    none.quorum_max = Some(0);
    let mut late = ProcessTrackerConfig::new("late", &name);
    late.fork_delay = Duration::from_millis(700);
    let harness = Harness::start(with_processes(vec![none, late]));
    harness.until_tracker("none", TrackerState::Up);
    harness.until_tracker("late", TrackerState::Down);
    let begun = Instant::now();
    let other = Named::start(&name, &["2000"]);
    let up = harness.tracker();
    assert_eq!(
        (&*up.id.name, up.state),
        ("late", TrackerState::Up),
        "other arguments do not count"
    );
    assert!(begun.elapsed() >= Duration::from_millis(700));
    let same = Named::start(&name, &["1000"]);
    harness.until_tracker("none", TrackerState::Down);
    drop(same);
    harness.until_tracker("none", TrackerState::Up);
    drop(other);
}
