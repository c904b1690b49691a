//! MISC_CHECK.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use notify::settings::{RunAs, ScriptCommand};
use standfast_checkers::misc::Misc;
use standfast_checkers::{Change, Kind, Start, State, Weight};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use crate::{ID, PATIENCE, Test, Watched, often, run};

pub(crate) const TESTS: &[Test] = &[
    ("misc_exit_statuses_count", exit_statuses),
    ("misc_dynamic_exit_statuses_are_weights", weights),
    ("misc_timeouts_leak_no_weight", no_leak),
    ("misc_weights_are_told_anew_after_a_crash", told_anew),
    ("misc_a_late_script_is_ended_with_its_children", late_script),
    ("misc_a_script_that_ignores_sigterm_is_killed", stubborn_script),
    ("misc_a_stopped_check_ends_its_script", stopped_check),
    ("misc_nothing_outlives_the_end", nothing_is_left),
    ("misc_what_cannot_start_fails", cannot_start),
    ("misc_without_descriptors_nobody_goes_down", no_descriptors),
    ("misc_a_signal_is_a_failure", signal),
    ("misc_runs_as_its_user", user),
];

/// A directory with a script in it that can be rewritten.
struct Script {
    directory: TempDir,
    path: PathBuf,
}

impl Script {
    fn new(body: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("check");
        let script = Self { directory, path };
        script.says(body);
        script
    }

    /// From the next run on; a run never sees half of it.
    fn says(&self, body: &str) {
        let draft = self.directory.path().join("draft");
        std::fs::write(&draft, format!("#!/bin/sh\n{body}\n")).unwrap();
        std::fs::set_permissions(&draft, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::rename(&draft, &self.path).unwrap();
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn kind(&self, dynamic: bool) -> Kind {
        let command =
            ScriptCommand::new(&self.path).with_args([self.directory.path().display().to_string()]);
        // Long enough for a shell on a busy machine.
        Kind::Misc(Box::new(Misc { command, timeout: Duration::from_secs(3), dynamic }))
    }
}

/// Waits until the file is there and says so many lines.
async fn lines(path: &Path, count: usize) -> Vec<String> {
    let wait = async {
        loop {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            if text.ends_with('\n') && text.lines().count() >= count {
                return text.lines().map(str::to_owned).collect();
            }
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, wait).await.expect("the script writes in time")
}

/// Waits until no process of that number is left, not even as a zombie.
async fn gone(pid: &str) {
    let proc = Path::new("/proc").join(pid);
    let wait = async {
        while proc.exists() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("process {pid} is still there"));
}

fn exit_statuses() {
    let script = Script::new("exit 0");
    run(async {
        let mut check = Watched::new(script.kind(false), often());
        assert_eq!(check.up().await.weight, None);
        script.says("exit 1");
        assert_eq!(check.down().await, "exit status 1, wanted 0");
        script.says("exit 0");
        check.up().await;
        script.says("exit 7");
        assert_eq!(check.down().await, "exit status 7, wanted 0");
    });
}

fn weights() {
    let script = Script::new("exit 7");
    run(async {
        let mut check = Watched::new(script.kind(true), often());
        assert_eq!(check.up().await.weight, Some(Weight::Set(5)));
        for (status, weight) in
            [(2, Some(Weight::Set(0))), (255, Some(Weight::Set(253))), (0, None)]
        {
            script.says(&format!("exit {status}"));
            match check.change().await {
                Change::Weight(success) => assert_eq!(success.weight, weight, "{status}"),
                other => panic!("{other:?}"),
            }
        }
        script.says("exit 1");
        assert_eq!(check.down().await, "exit status 1, wanted 0 or 2-255");
        script.says("exit 12");
        assert_eq!(check.up().await.weight, Some(Weight::Set(10)));
    });
}

/// What a check said about the weight is forgotten when it fails, and is not added up.
fn no_leak() {
    let script = Script::new("exit 7");
    run(async {
        let mut kind = script.kind(true);
        let Kind::Misc(misc) = &mut kind else { unreachable!() };
        misc.timeout = Duration::from_secs(1);
        let mut check = Watched::new(kind, often());
        for _ in 0..2 {
            assert_eq!(check.up().await.weight, Some(Weight::Set(5)));
            script.says("exec sleep 60");
            assert_eq!(check.down().await, "did not end within 1 s");
            script.says("exit 7");
        }
        assert_eq!(check.up().await.weight, Some(Weight::Set(5)));
        script.says("exit 0");
        let Change::Weight(success) = check.change().await else { panic!("no new weight") };
        assert_eq!(success.weight, None);
    });
}

/// The process before us may have left another weight: it is told anew, whatever it is.
fn told_anew() {
    let script = Script::new("exit 0");
    run(async {
        let start = Start::Resumed { up: true };
        let mut check = Watched::started(script.kind(true), often(), start);
        let Change::Weight(success) = check.change().await else { panic!("no weight told") };
        assert_eq!(success.weight, None);
        check.looks(2).await;
        assert!(check.events.try_recv().is_err(), "told once");
    });
}

fn late_script() {
    let script = Script::new("sleep 60 & echo $$ $! >> $1/pids; wait");
    run(async {
        let mut check = Watched::new(script.kind(false), often());
        assert_eq!(check.down().await, "did not end within 3 s");
        let pids = lines(&script.file("pids"), 1).await;
        for pid in pids[0].split(' ') {
            gone(pid).await;
        }
    });
}

fn stubborn_script() {
    let script = Script::new("trap '' TERM; echo $$ >> $1/pids; while :; do sleep 1; done");
    run(async {
        let mut check = Watched::new(script.kind(false), often());
        assert_eq!(check.down().await, "did not end within 3 s");
        gone(&lines(&script.file("pids"), 1).await[0]).await;
    });
}

fn stopped_check() {
    let script = Script::new("echo $$ >> $1/pids; exec sleep 60");
    run(async {
        let check = Watched::new(script.kind(false), often());
        let pid = lines(&script.file("pids"), 1).await.remove(0);
        check.checkers.stop(ID);
        assert_eq!(check.checkers.status(ID), None);
        gone(&pid).await;
    });
}

fn nothing_is_left() {
    let stubborn = Script::new("trap '' TERM; echo $$ >> $1/pids; while :; do sleep 1; done");
    // Whoever waits for the end,
    run(async {
        let check = Watched::new(stubborn.kind(false), often());
        let pid = lines(&stubborn.file("pids"), 1).await.remove(0);
        timeout(PATIENCE, check.checkers.end()).await.unwrap();
        assert!(!Path::new("/proc").join(&pid).exists());
    });
    // and whoever does not.
    let pid = run(async {
        let check = Watched::new(stubborn.kind(false), often());
        let pid = lines(&stubborn.file("pids"), 2).await.remove(1);
        let _ = timeout(Duration::from_millis(50), check.checkers.end()).await;
        pid
    });
    let pid = nix::unistd::Pid::from_raw(pid.parse().unwrap());
    let end = nix::sys::wait::waitpid(pid, None).unwrap();
    assert!(matches!(end, nix::sys::wait::WaitStatus::Signaled(_, Signal::SIGKILL, _)), "{end:?}");
}

fn cannot_start() {
    let script = Script::new("exit 0");
    std::fs::remove_file(&script.path).unwrap();
    run(async {
        let mut check = Watched::new(script.kind(false), often());
        let text = check.down().await;
        assert!(text.starts_with("not started: ") && text.contains("does not exist"), "{text}");
    });
}

fn no_descriptors() {
    let script = Script::new("exit 0");
    run(async {
        let mut check = Watched::new(script.kind(false), often());
        check.up().await;
        let mut hoard = Vec::new();
        while let Ok(file) = std::fs::File::open("/dev/null") {
            hoard.push(file);
        }
        let Change::Hindered(failure) = check.change().await else { panic!("not hindered") };
        assert!(failure.to_string().starts_with("not started: "), "{failure}");
        assert_eq!(check.checkers.status(ID).unwrap().state, State::Up);
        drop(hoard);
        check.looks(2).await;
        assert!(check.events.try_recv().is_err());
    });
}

fn signal() {
    let script = Script::new("kill -SEGV $$");
    run(async {
        assert_eq!(Watched::new(script.kind(false), often()).down().await, "ended by signal 11");
    });
}

fn user() {
    let script = Script::new("[ $(id -u):$(id -g) = 65534:65534 ]");
    let readable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(script.directory.path(), readable).unwrap();
    run(async {
        let mut kind = script.kind(false);
        let Kind::Misc(misc) = &mut kind else { unreachable!() };
        misc.command.run_as = RunAs { ids: Some((65_534, 65_534)), groups: Vec::new() };
        match Watched::new(kind, often()).change().await {
            Change::Up(_) => {}
            // In a user namespace with one user there is nobody to become.
            Change::Down { failure, .. } if failure.to_string().contains("only root may") => {
                eprintln!("NOT TESTED: no other users here: {failure}");
            }
            other => panic!("{other:?}"),
        }
    });
}
