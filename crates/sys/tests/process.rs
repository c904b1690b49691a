//! Starting real programs.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::thread;

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, poll};
use nix::unistd::pipe2;
use standfast_sys as sys;
use sys::channel::{Channel, Incoming};
use sys::process::{Child, Command, Credentials, Group, Stdio, Step, reap_adopted};

const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;
const SIGUSR1: i32 = 10;

fn shell(script: &str) -> Command {
    Command::new("/bin/sh").args(["-c", script])
}

fn pipe() -> (File, OwnedFd) {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC).unwrap();
    (reader.into(), writer)
}

/// Runs it to its end and returns what it printed.
fn output(command: Command) -> String {
    let (mut reader, writer) = pipe();
    let mut child = {
        // The command holds our end of the pipe.
        let command = command.stdout(Stdio::Descriptor(writer));
        command.spawn().unwrap()
    };
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert!(child.wait().unwrap().success(), "{text}");
    text
}

fn wait_readable(fd: impl std::os::fd::AsFd) {
    let mut fds = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
    assert_eq!(poll(&mut fds, 10_000_u16).unwrap(), 1, "nothing within 10 s");
}

fn ended(child: &mut Child) -> ExitStatus {
    wait_readable(&*child);
    assert!(child.has_ended());
    child.try_wait().unwrap().unwrap()
}

#[test]
fn the_result_can_be_waited_for_by_descriptor() {
    let mut child = shell("exit 7").spawn().unwrap();
    assert_eq!(ended(&mut child).code(), Some(7));
    assert_eq!(child.wait().unwrap().code(), Some(7));
    // Signals to what is gone are harmless.
    child.signal(SIGTERM).unwrap();
    child.signal_group(SIGTERM).unwrap();
}

#[test]
fn arguments_name_environment_and_directory_arrive() {
    let command = shell("echo \"$0|$1|$2|$FIRST|${IFS+set}|${LD_PRELOAD-none}|$HOME\"; pwd; umask")
        .arg("name")
        .arg("a b")
        .arg("")
        .env("FIRST", "1")
        .env("FIRST", "2")
        .env("HOME", "x")
        .env_remove("HOME")
        .env("LD_PRELOAD", "")
        .directory("/usr")
        .umask(0o027);
    // The shell sets IFS itself; `+set` is there to show that the variable is the shell's own.
    assert_eq!(output(command), "name|a b||2|set||\n/usr\n0027\n");
}

#[test]
fn nothing_of_ours_leaks_into_a_program() {
    // A descriptor without close-on-exec, as a careless library would leave it.
    let (reader, _writer) = nix::unistd::pipe().unwrap();
    let text = output(Command::new("/bin/ls").arg("/proc/self/fd"));
    // Its three files, and the directory that it reads.
    assert_eq!(text, "0\n1\n2\n3\n", "{}", reader.as_raw_fd());
    let blocked = sys::signals::Signals::block(&[sys::signals::Signal::Terminate]).unwrap();
    let text = output(Command::new("/bin/grep").args(["-E", "^Sig(Blk|Ign)", "/proc/self/status"]));
    assert_eq!(text, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
    drop(blocked);
}

#[test]
fn descriptors_arrive_at_their_numbers_even_crossed() {
    let (one, other) =
        (sys::memfd::sealed("a", b"A").unwrap(), sys::memfd::sealed("b", b"B").unwrap());
    let (a, b): (OwnedFd, OwnedFd) = (one.into(), other.into());
    // Each gets the number of the other.
    let (a_number, b_number) = (a.as_raw_fd(), b.as_raw_fd());
    let script = format!(
        "cat /proc/self/fd/{a_number} /proc/self/fd/{b_number}; set -- /proc/$$/fd/*; echo $#"
    );
    let text = output(shell(&script).descriptor(a, b_number).descriptor(b, a_number));
    // Its three files, our two, and the directory that it reads.
    assert_eq!(text, "BA6\n");
}

#[test]
fn wrong_numbers_are_refused() {
    let file = || OwnedFd::from(sys::memfd::create("x").unwrap());
    let error = shell("").descriptor(file(), 2).spawn().unwrap_err();
    assert_eq!(error.step, Step::Prepare);
    let error = shell("").descriptor(file(), 7).descriptor(file(), 7).spawn().unwrap_err();
    assert_eq!(error.step, Step::Prepare);
    assert_eq!(shell("\0").spawn().unwrap_err().step, Step::Prepare);
}

#[test]
fn what_cannot_be_executed_says_so() {
    let error = Command::new("/nonexistent").spawn().unwrap_err();
    assert_eq!((error.step, error.source.kind()), (Step::Execute, std::io::ErrorKind::NotFound));
    assert_eq!(
        error.to_string(),
        "cannot execute the file: No such file or directory (os error 2)"
    );
    let error = shell("").directory("/nonexistent").spawn().unwrap_err();
    assert_eq!(error.step, Step::Directory);
}

#[test]
fn a_file_without_interpreter_line_needs_the_shell() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("script");
    std::fs::write(&path, "echo \"got $1\"\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let error = (0..10_000)
        .map(|_| Command::new(&path).spawn().unwrap_err())
        // A process that another test has just made may hold the file open for writing still.
        .find(|error| error.source.raw_os_error() != Some(26))
        .unwrap();
    assert_eq!((error.step, error.source.raw_os_error()), (Step::Execute, Some(8)));
    assert_eq!(output(Command::new(&path).arg("it").shell_fallback()), "got it\n");
}

#[test]
fn a_group_is_ended_as_a_whole() {
    let (mut reader, writer) = pipe();
    let mut child =
        shell("sleep 1000 & echo ready; wait").stdout(Stdio::Descriptor(writer)).spawn().unwrap();
    let mut line = [0; 6];
    reader.read_exact(&mut line).unwrap();
    assert_eq!(child.try_wait().unwrap(), None);
    child.signal_group(SIGKILL).unwrap();
    assert_eq!(ended(&mut child).signal(), Some(SIGKILL));
    // The pipe ends when the grandchild is gone too.
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).unwrap();
}

#[test]
fn a_program_ends_with_the_thread_that_started_it() {
    let starter = thread::spawn(|| {
        Command::new("/bin/sleep").arg("1000").die_with_parent(SIGUSR1).spawn().unwrap()
    });
    let mut child = starter.join().unwrap();
    assert_eq!(ended(&mut child).signal(), Some(SIGUSR1));
}

#[test]
fn sessions_and_groups() {
    let ids = "read -r pid comm state ppid group session rest < /proc/self/stat; \
               [ $pid = $group ] && echo leads; [ $pid = $session ] && echo session; true";
    assert_eq!(output(shell(ids).group(Group::Inherit)), "");
    assert_eq!(output(shell(ids)), "leads\n");
    assert_eq!(output(shell(ids).group(Group::Session)), "leads\nsession\n");
}

#[test]
fn another_user_runs_it() {
    let credentials = Credentials { uid: 65534, gid: 65534, groups: vec![65533] };
    let command = shell("id -u; id -g; id -G").run_as(credentials);
    if nix::unistd::geteuid().is_root() {
        assert_eq!(output(command), "65534\n65534\n65534 65533\n");
    } else {
        assert_eq!(command.spawn().unwrap_err().step, Step::Groups);
    }
}

#[test]
fn our_own_program_can_be_started_under_a_name() {
    let text = output(Command::itself().name("other-name").arg("--list"));
    assert!(text.contains("our_own_program_can_be_started_under_a_name: test"));
}

#[test]
fn many_threads_start_programs_at_once() {
    let threads: Vec<_> = (0..8)
        .map(|number| {
            thread::spawn(move || {
                for _ in 0..20 {
                    let mut child = shell(&format!("exit {number}")).spawn().unwrap();
                    assert_eq!(child.wait().unwrap().code(), Some(number));
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn only_strangers_are_reaped() {
    let mut child = shell("exit 3").spawn().unwrap();
    wait_readable(child.as_fd());
    // All children of this test process are claimed, ended or not.
    assert_eq!(reap_adopted(|_| true), 0);
    assert_eq!(child.wait().unwrap().code(), Some(3));
}

/// Runs one test of this file in a new process, as the program that [`Command::itself`] is. It
/// knows by the environment that it is meant.
fn myself(test: &str) -> Command {
    Command::itself().name("myself").args(["--exact", test, "--nocapture"]).env("MEANT", test)
}

fn is_meant(test: &str) -> bool {
    std::env::var("MEANT").is_ok_and(|meant| meant == test)
}

#[test]
fn a_role_finds_its_descriptors() {
    const TEST: &str = "a_role_finds_its_descriptors";
    if is_meant(TEST) {
        let file = File::from(sys::inherited::take(5).unwrap());
        let channel = Channel::from_fd(sys::inherited::take(3).unwrap()).unwrap();
        assert!(sys::inherited::take(4).is_err());
        channel.send(&sys::memfd::read_all(&file, 100).unwrap(), &[]).unwrap();
        return;
    }
    let (here, there) = Channel::pair().unwrap();
    let file = sys::memfd::sealed("launch", b"contents").unwrap();
    let mut child = myself(TEST)
        .descriptor(there.into(), 3)
        .descriptor(file.into(), 5)
        .stderr(Stdio::Inherit)
        .spawn()
        .unwrap();
    assert!(child.wait().unwrap().success());
    let Incoming::Message { bytes, .. } = here.receive().unwrap() else { panic!("no message") };
    assert_eq!(bytes, b"contents");
}

#[test]
fn a_daemon_is_ready_when_it_says_so() {
    const TEST: &str = "a_daemon_is_ready_when_it_says_so";
    if is_meant(TEST) {
        let starting = sys::daemon::daemonize().unwrap();
        // From here on in the daemon. It prints, then leaves the terminal.
        println!("session {}", nix::unistd::getsid(None).unwrap() != nix::unistd::getpid());
        if std::env::var_os("FAIL").is_some() {
            starting.failed(6).unwrap();
        } else {
            starting.ready().unwrap();
        }
        println!("this goes nowhere");
        std::process::exit(0);
    }
    let (mut reader, writer) = pipe();
    let mut child = myself(TEST).stdout(Stdio::Descriptor(writer)).spawn().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert!(text.contains("session true") && !text.contains("nowhere"), "{text}");
    let mut child = myself(TEST).env("FAIL", "1").spawn().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(6));
}

#[test]
fn limits_and_scheduling_are_given_back() {
    const TEST: &str = "limits_and_scheduling_are_given_back";
    if is_meant(TEST) {
        // Everything here concerns this process, in which nothing else runs.
        sys::limits::remember();
        let report = "ulimit -n; ulimit -c; nice; taskset -p $$ | sed 's/.*: //'; \
                      ulimit -Hn";
        let before = output(shell(report));
        let soft = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE);
        sys::limits::raise_descriptors(soft.unwrap().0 + 1).unwrap();
        sys::limits::allow_core_dumps().unwrap();
        sys::sched::set_affinity(&sys::sched::affinity().unwrap()[..1]).unwrap();
        assert_eq!(output(shell(report)), before);
        return;
    }
    let mut child = myself(TEST).stderr(Stdio::Inherit).spawn().unwrap();
    assert!(child.wait().unwrap().success());
}
