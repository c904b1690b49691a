//! Runs a test in a network namespace of its own: as root in the test's thread, otherwise in a
//! child process with a user namespace.

use std::process::{Command, Stdio};

use nix::sched::{CloneFlags, unshare};

const INSIDE: &str = "STANDFAST_TEST_INSIDE";

/// Runs `body` in a fresh network namespace, with `lo` up. `name` is the path of the test
/// function as the test runner knows it.
pub(crate) fn inside(name: &str, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_none_or(|inside| inside != name) {
        if nix::unistd::geteuid().is_root() {
            if let Err(error) = unshare(CloneFlags::CLONE_NEWNET) {
                eprintln!("{name}: NOT RUN, network namespaces are not permitted here: {error}");
                return;
            }
        } else {
            return in_child(name);
        }
    }
    run("ip link set lo up");
    body();
}

/// Leaves the network namespace for another new one, with `lo` up.
pub(crate) fn fresh() {
    unshare(CloneFlags::CLONE_NEWNET).expect("a namespace inside the namespace");
    run("ip link set lo up");
}

fn in_child(name: &str) {
    let allowed = Command::new("unshare")
        .args(["--user", "--map-root-user", "--net", "true"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !allowed {
        eprintln!("{name}: NOT RUN, user namespaces are not permitted here");
        return;
    }
    let status = Command::new("unshare")
        .args(["--user", "--map-root-user", "--net"])
        .arg(std::env::current_exe().expect("own path"))
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(INSIDE, name)
        .status()
        .expect("unshare can be run");
    assert!(status.success(), "{name} failed in its namespace");
}

/// Runs a command (words separated by blanks) in the namespace and returns what it prints.
#[track_caller]
pub(crate) fn run(command: &str) -> String {
    let mut words = command.split_whitespace();
    let program = words.next().expect("a command");
    let output = Command::new(program).args(words).output().expect("the command can be run");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A veth pair whose both ends are up.
pub(crate) fn veth(one: &str, two: &str) {
    run(&format!("ip link add {one} type veth peer name {two}"));
    run(&format!("ip link set {one} up"));
    run(&format!("ip link set {two} up"));
}
