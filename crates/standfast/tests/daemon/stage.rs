//! A machine with the built program on it, and the words that the tests are written in.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use lab::daemon::Daemon;
use lab::journal::wait_until;
use lab::subject::Subject;
use lab::{Lab, Plan};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Nothing takes longer on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);
/// The virtual address of [`CONFIG`].
pub(crate) const VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 100));
/// Where the daemon reads its configuration.
pub(crate) const CONFIG_PATH: &str = "/run/keepalived.conf";

/// A virtual router that is MASTER after a third of a second.
pub(crate) const CONFIG: &str = "\
vrrp_instance A {
    state BACKUP
    interface eth0
    virtual_router_id 51
    priority 200
    version 3
    advert_int 0.1
    virtual_ipaddress {
        198.51.100.100/24
    }
}
";

/// A machine, n1, in a network of its own, and another one for those who need it.
pub(crate) struct Stage {
    pub(crate) lab: Lab,
    subject: Subject,
}

impl Stage {
    pub(crate) fn build() -> Self {
        let program = PathBuf::from(env!("CARGO_BIN_EXE_standfast"));
        let subject = Subject::standfast_at(&program).expect("the program was built");
        let names =
            ["standfast", "keepalived", "genhash"].map(|name| (program.clone(), name.to_owned()));
        let plan = Plan { nodes: 2, links: 1 };
        Self { lab: Lab::build_with(plan, &names).expect("namespaces"), subject }
    }

    /// Starts the daemon in the foreground and waits until it holds the address.
    pub(crate) fn start(&mut self, config: &str) {
        self.launch(config, &["-D"]);
        self.wait_line("Startup complete");
        self.wait_vip();
    }

    /// Starts the daemon in the foreground with these options and waits for nothing.
    pub(crate) fn launch(&mut self, config: &str, options: &[&str]) {
        self.lab.start_with(1, &self.subject, config, options).expect("a process");
    }

    pub(crate) fn daemon(&self) -> &Daemon {
        self.lab.daemon(1)
    }

    /// Waits for a line that the daemon has printed or will print.
    pub(crate) fn wait_line(&self, text: &str) {
        self.wait_line_since(text, Duration::ZERO);
    }

    pub(crate) fn wait_line_since(&self, text: &str, since: Duration) {
        let line = self.daemon().wait_line(text, since, LIMIT);
        assert!(line.is_some(), "no line {text:?}");
    }

    pub(crate) fn lines(&self, text: &str) -> usize {
        self.daemon().log().iter().filter(|line| line.text.contains(text)).count()
    }

    pub(crate) fn wait_vip(&self) {
        let at = self.lab.wait_address(1, VIP, true, Duration::ZERO, LIMIT);
        assert!(at.is_some(), "the address did not come");
    }

    pub(crate) fn wait_no_vip(&self) {
        let gone = wait_until(LIMIT, || (!self.lab.holds(1, VIP)).then_some(()));
        assert!(gone.is_some(), "the address is still there");
    }

    /// How often the address was taken away since the laboratory was built.
    pub(crate) fn removals(&self) -> usize {
        self.lab.changes().look(|all| {
            all.iter().filter(|c| c.node == "n1" && c.address == VIP && !c.added).count()
        })
    }

    /// Waits for the next advert.
    pub(crate) fn wait_advert(&self) {
        let advert = self.lab.wait_advert(1, self.lab.now(), LIMIT, |_| true);
        assert!(advert.is_some(), "it does not advertise");
    }

    /// Starts a daemon on the other machine, n2, and waits until it is BACKUP.
    pub(crate) fn start_second(&mut self, config: &str) {
        let second = self.lab.start_with(2, &self.subject, config, &[]).expect("a process");
        assert!(second.wait_line("Startup complete", Duration::ZERO, LIMIT).is_some());
    }

    /// Waits for the exit status of the daemon.
    pub(crate) fn exit_status(&self) -> i32 {
        let status = self.daemon().wait_exit(LIMIT).expect("the daemon ends");
        status.code().expect("no signal ended it")
    }

    /// Stops the daemon as an init system does.
    pub(crate) fn stop(&self) -> i32 {
        self.daemon().signal(Signal::SIGTERM);
        self.exit_status()
    }

    /// Writes the configuration and sends SIGHUP. Returns when.
    pub(crate) fn reload(&self, config: &str) -> Duration {
        self.write(CONFIG_PATH, config);
        let now = self.lab.now();
        self.daemon().reload();
        now
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        self.lab.write(1, path, text).expect("a file");
    }

    pub(crate) fn exists(&self, path: &str) -> bool {
        self.lab.node(1).outside(path).exists()
    }

    /// The number in a pid file, once there is one.
    pub(crate) fn wait_pid(&self, path: &str) -> i32 {
        let pid = wait_until(LIMIT, || self.lab.read(1, path).trim().parse().ok());
        pid.unwrap_or_else(|| panic!("no number in {path}"))
    }

    /// The role's process, once it is another one than `before`.
    pub(crate) fn wait_role(&self, before: Option<i32>) -> i32 {
        let other = || self.daemon().roles().into_iter().find(|pid| Some(*pid) != before);
        wait_until(LIMIT, other).expect("a role")
    }

    /// Runs the program by a name and returns what came out.
    pub(crate) fn run(&self, name: &str, arguments: &[&str]) -> Output {
        let child = self.spawn(name, arguments, &[]);
        let mut child = Reaped(child);
        let ended = wait_until(LIMIT, || child.0.try_wait().ok().flatten());
        assert!(ended.is_some(), "{name} {arguments:?} does not end");
        let (mut out, mut err) = (Vec::new(), Vec::new());
        use std::io::Read as _;
        if let Some(stream) = &mut child.0.stdout {
            stream.read_to_end(&mut out).expect("its output");
        }
        if let Some(stream) = &mut child.0.stderr {
            stream.read_to_end(&mut err).expect("its output");
        }
        Output { status: ended.expect("asserted above"), stdout: out, stderr: err }
    }

    /// Starts the program by a name, in `/run`.
    pub(crate) fn spawn(
        &self,
        name: &str,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Child {
        let name = name.to_owned();
        let arguments: Vec<String> = arguments.iter().map(|&word| word.to_owned()).collect();
        let environment: HashMap<String, String> =
            environment.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect();
        let spawned = self.lab.node(1).run(move || {
            Command::new(format!("/run/lab/{name}"))
                .arg0(&name)
                .args(&arguments)
                .envs(environment)
                .env("TMPDIR", "/tmp")
                .current_dir("/run")
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
        });
        spawned.expect("a process")
    }

    /// `standfast` with `--json`, as a value.
    pub(crate) fn ask(&self, words: &[&str]) -> serde_json::Value {
        let words: Vec<&str> = words.iter().copied().chain(["--json"]).collect();
        let output = self.run("standfast", &words);
        assert!(output.status.success(), "{words:?}: {}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    /// Likewise, if there is an answer.
    pub(crate) fn try_ask(&self, words: &[&str]) -> Option<serde_json::Value> {
        let words: Vec<&str> = words.iter().copied().chain(["--json"]).collect();
        let output = self.run("standfast", &words);
        output.status.success().then(|| serde_json::from_slice(&output.stdout).expect("JSON"))
    }
}

/// A child that does not outlive its test.
pub(crate) struct Reaped(pub(crate) Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(crate) fn send(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).expect("the process is there");
}

/// Waits until a process is gone; one that nobody has reaped yet counts as gone.
pub(crate) fn wait_gone(pid: i32) {
    let gone = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        matches!(state, None | Some('Z' | 'X')).then_some(())
    };
    assert!(wait_until(LIMIT, gone).is_some(), "process {pid} is still there");
}
