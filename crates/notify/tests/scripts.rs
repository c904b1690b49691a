//! Notification scripts with real processes: order, bounds, time limits, the end.

mod support;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use standfast_notify::event::{
    DropReason, Happening, NotifyScript, Outcome, Report, State, Subject,
};
use standfast_notify::settings::{RunAs, ScriptCommand, ScriptLimits, WorkerConfig};
use support::{
    CLEAN, Harness, PATIENCE, await_true, entered, instance, is_alive, read, script, shell,
};

fn with_limits(limits: ScriptLimits) -> Harness {
    Harness::start(WorkerConfig { limits, ..WorkerConfig::default() })
}

#[test]
fn the_arguments_are_keepaliveds() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let path = out.to_str().unwrap();
    let write = r#"out=$1; shift; echo "$#:$*" >> "$out""#;
    let harness = with_limits(ScriptLimits::default());
    let mut a = entered(&instance("A"), State::Master, Vec::new());
    a.scripts = vec![
        script(shell(write, [path, "x"])),
        NotifyScript { command: shell(write, [path, "y"]), with_arguments: true },
    ];
    harness.worker.notify(a.clone());
    a.happening = Happening::PriorityChanged(State::Backup);
    a.scripts.remove(0);
    harness.worker.notify(a.clone());
    a.happening = Happening::LowerPriorityHeard;
    assert_eq!(a.line(), "INSTANCE \"A\" MASTER_RX_LOWER_PRI 100\n");
    a.subject = Subject::Group("A".to_owned());
    (a.happening, a.priority) = (Happening::Entered(State::Stop), 0);
    assert_eq!(a.line(), "GROUP \"A\" STOP 0\n");
    // Another subject: it may run beside the first one's, so let those end before.
    for _ in 0..3 {
        harness.report();
    }
    harness.worker.notify(a);
    assert_eq!(harness.stop(PATIENCE), CLEAN);
    assert_eq!(
        read(&out),
        "1:x\n5:y INSTANCE A MASTER 100\n5:y INSTANCE A BACKUP_PRIORITY 100\n5:y GROUP A STOP 0\n"
    );
}

/// Ten instances, a hundred events each, scripts that take as long as they like.
#[test]
fn each_subject_sees_its_events_in_order_under_load() {
    const SUBJECTS: usize = 10;
    const EVENTS: usize = 100;
    let dir = tempfile::tempdir().unwrap();
    let harness = with_limits(ScriptLimits::default());
    for event in 0..EVENTS {
        for subject in 0..SUBJECTS {
            let out = dir.path().join(subject.to_string());
            let pause = format!("0.00{}", fastrand::u8(0..8));
            let command = shell(
                r#"sleep $1; echo $2 >> "$3""#,
                [&*pause, &event.to_string(), out.to_str().unwrap()],
            );
            let subject = instance(&subject.to_string());
            harness.worker.notify(entered(&subject, State::Backup, vec![script(command)]));
        }
    }
    assert_eq!(harness.stop(PATIENCE * 4), CLEAN);
    let expected: String = (0..EVENTS).map(|event| format!("{event}\n")).collect();
    for subject in 0..SUBJECTS {
        assert_eq!(read(&dir.path().join(subject.to_string())), expected, "subject {subject}");
    }
}

#[test]
fn different_subjects_run_side_by_side_up_to_the_bound() {
    let dir = tempfile::tempdir().unwrap();
    let harness = with_limits(ScriptLimits { parallel: 3, ..ScriptLimits::default() });
    let go = dir.path().join("go");
    let script_text = r#"touch "$1/$2"; until [ -e "$1/go" ]; do sleep 0.01; done"#;
    for subject in 0..5 {
        let name = format!("s{subject}");
        let command = shell(script_text, [dir.path().to_str().unwrap(), &name]);
        harness.worker.notify(entered(&instance(&name), State::Master, vec![script(command)]));
    }
    let running = || std::fs::read_dir(dir.path()).unwrap().count();
    await_true("three run", || running() == 3);
    assert!(harness.worker.try_report().is_none());
    std::fs::write(go, "").unwrap();
    assert_eq!(harness.stop(PATIENCE), CLEAN);
    assert_eq!(running(), 6);
}

#[test]
fn a_hung_script_is_killed_with_its_children_and_the_next_one_runs() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("pids");
    let harness = with_limits(ScriptLimits {
        timeout: Duration::from_millis(300),
        kill_after: Duration::from_millis(100),
        ..ScriptLimits::default()
    });
    // Neither the script nor its child listens to SIGTERM.
    let hung = shell(
        r#"trap '' TERM; sleep 1000 & echo $! >> "$1"; echo $$ >> "$1"; wait; sleep 1000"#,
        [out.to_str().unwrap()],
    );
    let a = instance("a");
    harness.worker.notify(entered(&a, State::Master, vec![script(hung)]));
    harness.worker.notify(entered(&a, State::Backup, vec![script(shell("exit 7", [""]))]));
    let outcome = |report: &Report| match report {
        Report::ScriptFinished { outcome, .. } => Some(outcome.clone()),
        _ => None,
    };
    assert_eq!(harness.pick(outcome), Outcome::TimedOut);
    assert_eq!(harness.pick(outcome), Outcome::Exited(7));
    let pids: Vec<u32> = read(&out).lines().map(|pid| pid.parse().unwrap()).collect();
    assert_eq!(pids.len(), 2);
    await_true("both are gone", || !pids.iter().any(|pid| is_alive(*pid)));
    assert_eq!(harness.stop(PATIENCE), CLEAN);
}

/// A child that ignores SIGTERM does not survive its obedient parent.
#[test]
fn stubborn_children_of_an_obedient_script_are_killed_too() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("pid");
    let harness = with_limits(ScriptLimits {
        timeout: Duration::from_millis(300),
        ..ScriptLimits::default()
    });
    let command = shell(
        r#"(trap '' TERM; while :; do sleep 1; done) & echo $! > "$1"; wait"#,
        [out.to_str().unwrap()],
    );
    harness.worker.notify(entered(&instance("a"), State::Master, vec![script(command)]));
    assert!(matches!(harness.report(), Report::ScriptFinished { outcome: Outcome::TimedOut, .. }));
    let pid: u32 = read(&out).trim().parse().unwrap();
    await_true("the child is gone", || !is_alive(pid));
}

#[test]
fn what_cannot_be_started_is_told_with_a_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let harness = with_limits(ScriptLimits::default());
    let command = ScriptCommand::new(dir.path().join("absent"));
    harness.worker.notify(entered(&instance("a"), State::Master, vec![script(command)]));
    let Report::ScriptFinished { outcome: Outcome::NotStarted(why), subject, .. } =
        harness.report()
    else {
        panic!("it was started")
    };
    assert_eq!(subject, instance("a"));
    assert!(why.contains("absent") && why.contains("does not exist"), "{why}");

    let kill = script(shell("kill -9 $$", [""]));
    harness.worker.notify(entered(&instance("a"), State::Master, vec![kill]));
    assert!(matches!(
        harness.report(),
        Report::ScriptFinished { outcome: Outcome::Signalled(9), .. }
    ));
    assert_eq!(harness.stop(PATIENCE), CLEAN);
}

#[test]
fn scripts_without_a_first_line_are_run_by_the_shell() {
    let dir = tempfile::tempdir().unwrap();
    let (path, out) = (dir.path().join("plain"), dir.path().join("out"));
    std::fs::write(&path, "echo \"$1\" > \"$2\"\n").unwrap();
    let mut mode = std::fs::metadata(&path).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o755);
    std::fs::set_permissions(&path, mode).unwrap();
    let harness = with_limits(ScriptLimits::default());
    let command = ScriptCommand::new(path).with_args(["hello", out.to_str().unwrap()]);
    harness.worker.notify(entered(&instance("a"), State::Master, vec![script(command)]));
    let report = harness.report();
    assert!(
        matches!(report, Report::ScriptFinished { outcome: Outcome::Exited(0), .. }),
        "{report:?}"
    );
    assert_eq!(read(&out), "hello\n");
}

#[test]
fn scripts_run_as_their_user_with_their_groups_only() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: only root can run scripts as somebody else");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(dir.path(), open).unwrap();
    let out = dir.path().join("out");
    let harness = with_limits(ScriptLimits::default());
    for groups in [vec![], vec![65_532]] {
        let mut command = shell(r#"id -u >> "$1"; id -G >> "$1""#, [out.to_str().unwrap()]);
        command.run_as = RunAs { ids: Some((65_534, 65_533)), groups };
        harness.worker.notify(entered(&instance("a"), State::Master, vec![script(command)]));
    }
    assert_eq!(harness.stop(PATIENCE), CLEAN);
    assert_eq!(read(&out), "65534\n65533\n65534\n65533 65532\n");
}

#[test]
fn the_queue_is_bounded_and_what_it_drops_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let go = dir.path().join("go");
    let harness = with_limits(ScriptLimits { queue: 10, ..ScriptLimits::default() });
    let wait = shell(r#"until [ -e "$1" ]; do sleep 0.01; done"#, [go.to_str().unwrap()]);
    // The first one runs (or waits to); the others queue up behind it.
    for _ in 0..20 {
        harness.worker.notify(entered(&instance("a"), State::Master, vec![script(wait.clone())]));
    }
    let mut dropped = 0;
    while dropped < 9 {
        let report = harness.report();
        let Report::ScriptDropped { reason, .. } = report else { panic!("{report:?}") };
        assert_eq!(reason, DropReason::QueueFull);
        dropped += 1;
    }
    std::fs::write(go, "").unwrap();
    let mut tally: HashMap<bool, usize> = HashMap::new();
    harness.worker.stop(PATIENCE);
    loop {
        match harness.report() {
            Report::ScriptDropped { .. } => dropped += 1,
            Report::ScriptFinished { outcome, .. } => {
                *tally.entry(outcome.is_success()).or_default() += 1;
            }
            Report::Stopped { unfinished_scripts, .. } => {
                assert_eq!(unfinished_scripts, 0);
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    // Whether the first one left the queue before the others came is a matter of luck.
    assert!(dropped == 9 || dropped == 10, "{dropped}");
    assert_eq!(tally, HashMap::from([(true, 20 - dropped)]));
}

#[test]
fn a_stop_waits_for_scripts_and_not_longer_than_its_deadline() {
    let dir = tempfile::tempdir().unwrap();
    let pid_file = dir.path().join("pid");
    let harness = with_limits(ScriptLimits::default());
    let a = instance("a");
    let hung = shell(
        r#"trap '' TERM; echo $$ > "$1"; while :; do sleep 1; done"#,
        [pid_file.to_str().unwrap()],
    );
    harness.worker.notify(entered(&a, State::Stop, vec![script(hung)]));
    harness.worker.notify(entered(&a, State::Stop, vec![script(shell("true", [""]))]));
    await_true("it runs", || read(&pid_file).ends_with('\n'));
    let begun = Instant::now();
    let last = harness.stop(Duration::from_millis(200));
    assert!(begun.elapsed() >= Duration::from_millis(200));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(last, Report::Stopped { unfinished_scripts: 2, unread_lines: 0 });
    let pid: u32 = read(&pid_file).trim().parse().unwrap();
    await_true("it is gone", || !is_alive(pid));
}

#[test]
fn dropping_the_handle_ends_the_worker() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("pid");
    let harness = with_limits(ScriptLimits::default());
    let hung = shell(r#"echo $$ > "$1"; exec sleep 1000"#, [out.to_str().unwrap()]);
    harness.worker.notify(entered(&instance("a"), State::Master, vec![script(hung)]));
    await_true("it runs", || read(&out).ends_with('\n'));
    let pid: u32 = read(&out).trim().parse().unwrap();
    harness.worker.join();
    await_true("it is gone", || !is_alive(pid));
}
