//! Startup and shutdown scripts.

mod support;

use std::time::{Duration, Instant};

use standfast_notify::event::Outcome;
use standfast_notify::oneshot;
use standfast_notify::settings::ScriptCommand;
use support::{PATIENCE, await_true, is_alive, read, shell};

#[test]
fn its_end_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let command = shell(r#"sleep 0.1; echo done > "$1"; exit 5"#, [out.to_str().unwrap()]);
    assert_eq!(oneshot::run(&command, PATIENCE), Outcome::Exited(5));
    assert_eq!(read(&out), "done\n");
    assert_eq!(oneshot::run(&shell("kill -9 $$", [""]), PATIENCE), Outcome::Signalled(9));
    let absent = ScriptCommand::new("/nonexistent/script");
    assert!(matches!(oneshot::run(&absent, PATIENCE), Outcome::NotStarted(_)));
}

#[test]
fn its_time_is_limited() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("pid");
    let command = shell(r#"echo $$ > "$1"; exec sleep 1000"#, [out.to_str().unwrap()]);
    let begun = Instant::now();
    assert_eq!(oneshot::run(&command, Duration::from_millis(300)), Outcome::TimedOut);
    assert!(begun.elapsed() >= Duration::from_millis(300));
    assert!(begun.elapsed() < Duration::from_secs(5));
    let pid: u32 = read(&out).trim().parse().unwrap();
    await_true("it is gone", || !is_alive(pid));
}

/// What a script leaves behind on purpose (a daemon that it started) lives on.
#[test]
fn children_of_a_script_that_ended_in_time_live_on() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("pid");
    let command = shell(r#"sleep 1000 & echo $! > "$1""#, [out.to_str().unwrap()]);
    assert_eq!(oneshot::run(&command, PATIENCE), Outcome::Exited(0));
    let pid: i32 = read(&out).trim().parse().unwrap();
    assert!(is_alive(pid.unsigned_abs()));
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL)
        .unwrap();
}

/// Standard streams lead nowhere, nothing else is open, the script leads its own group.
#[test]
fn the_surroundings_are_clean() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let secret = dir.path().join("secret");
    std::fs::write(&secret, "").unwrap();
    // A careless descriptor: it has no close-on-exec flag.
    let flags = nix::fcntl::OFlag::O_RDONLY;
    let _open = nix::fcntl::open(&secret, flags, nix::sys::stat::Mode::empty()).unwrap();
    let command = shell(
        r#"found=$(readlink /proc/$$/fd/0 /proc/$$/fd/1 /proc/$$/fd/2
                   cut -d' ' -f5 /proc/$$/stat; echo $$; readlink /proc/$$/fd/*)
           echo "$found" > "$1""#,
        [out.to_str().unwrap()],
    );
    assert_eq!(oneshot::run(&command, PATIENCE), Outcome::Exited(0));
    let text = read(&out);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..3], ["/dev/null"; 3]);
    assert_eq!(lines[3], lines[4], "it leads its own group");
    assert!(!text.contains("secret"), "{text}");
}
