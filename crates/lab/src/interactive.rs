//! The laboratory that stays up: the two nodes of the demonstration, to play with.

use std::env;
use std::fs;
use std::io::{self, BufRead, Write};
use std::net::IpAddr;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use nix::unistd::geteuid;

use crate::demo::{CONFIGS, VIP};
use crate::meter::Meter;
use crate::subject::Subject;
use crate::{Lab, LabError, Namespace, Plan};

/// Where the running laboratory of this user is registered, for [`join`]; give it to
/// [`crate::enter_known_as`].
#[must_use]
pub fn register() -> PathBuf {
    let directory = env::var_os("XDG_RUNTIME_DIR")
        .map(PathBuf::from)
        .filter(|path| path.is_dir())
        .unwrap_or_else(env::temp_dir);
    directory.join(format!("standfast-lab-{}.pid", geteuid()))
}

const HELP: &str = "\
\x20 shell n1          a shell on n1, n2 or client (exit comes back here)
  pull n1           pull the cable of n1       plug n1     put it back
  mute n1           cut n1 off silently        unmute n1   end that
  stop n1           planned stop (SIGTERM)     start n1    start it again
  kill n1           kill -9 of everything      reload n1   read its file again
  where             who has the virtual IP     outage      what the client saw
  log n1            the last lines of its log  quit        end the laboratory
";

/// Builds the laboratory, starts both daemons, and obeys commands from `input` until it ends or
/// says `quit`. The process must be in an enclosure ([`crate::enter_known_as`]).
///
/// # Errors
///
/// When the laboratory cannot be built.
pub fn run(
    subjects: [&Subject; 2],
    input: &mut dyn BufRead,
    out: &mut dyn Write,
) -> Result<(), LabError> {
    let mut lab = Lab::build_for(Plan::default(), subjects)?;
    for (index, subject) in subjects.into_iter().enumerate() {
        lab.start(index + 1, subject, CONFIGS[index])?;
    }
    let mut desk = Desk {
        meter: lab.meter(VIP.into(), Duration::from_millis(1))?,
        lab,
        subjects,
        asked: None,
    };
    let print = |source| LabError::Io { what: "print".into(), source };
    writeln!(
        out,
        "n1 (198.51.100.1) and n2 (198.51.100.2) are running; the virtual IP is {VIP}.\n\
         A client (198.51.100.9) asks it 1,000 times a second.\n\
         In another terminal: standfast lab shell n1 (or n2, client)\n{HELP}",
    )
    .map_err(print)?;
    loop {
        write!(out, "lab> ").and_then(|()| out.flush()).map_err(print)?;
        let mut line = String::new();
        let read = input
            .read_line(&mut line)
            .map_err(|source| LabError::Io { what: "read a command".into(), source })?;
        let words: Vec<&str> = line.split_whitespace().collect();
        if read == 0 || matches!(words.as_slice(), ["quit" | "exit" | "q"]) {
            return Ok(());
        }
        let answer = desk.obey(&words).unwrap_or_else(|error| format!("{error}\n"));
        write!(out, "{answer}").map_err(print)?;
    }
}

/// The laboratory as the commands see it.
struct Desk<'a> {
    // Before the laboratory: the meter's threads live in the client's machine.
    meter: Meter,
    lab: Lab,
    subjects: [&'a Subject; 2],
    /// When the outage was asked for last, and the address answered.
    asked: Option<Duration>,
}

impl Desk<'_> {
    fn obey(&mut self, words: &[&str]) -> Result<String, LabError> {
        let node = words.get(1).and_then(|name| match *name {
            "n1" | "1" => Some(1),
            "n2" | "2" => Some(2),
            _ => None,
        });
        match (words.first().copied().unwrap_or_default(), node) {
            ("", _) => Ok(String::new()),
            ("where", _) => Ok(self.holders()),
            ("outage", _) => Ok(self.outage()),
            ("shell", _) => self.shell(words.get(1).copied().unwrap_or("n1")),
            ("pull", Some(node)) => self.lab.pull(node, 0).map(|_| pulled(node)),
            ("plug", Some(node)) => self.lab.plug(node, 0).map(|_| done()),
            ("mute", Some(node)) => self.lab.mute(node, 0).map(|_| done()),
            ("unmute", Some(node)) => self.lab.unmute(node, 0).map(|_| done()),
            ("log", Some(node)) => Ok(self.lab.daemon(node).tail(20)),
            ("reload", Some(node)) => {
                self.lab.daemon(node).reload();
                Ok(done())
            }
            ("kill", Some(node)) => {
                self.lab.daemon(node).kill_tree();
                Ok(done())
            }
            ("stop", Some(node)) => {
                let ended = self.lab.daemon(node).stop(Duration::from_secs(10));
                Ok(ended.map_or_else(
                    || "it did not end and was killed\n".to_owned(),
                    |(status, _)| format!("ended, {status}\n"),
                ))
            }
            ("start", Some(node)) => {
                let file = self.lab.read(node, "/run/keepalived.conf");
                self.lab.start(node, self.subjects[node - 1], &file)?;
                Ok(done())
            }
            _ => Ok(HELP.to_owned()),
        }
    }

    fn holders(&self) -> String {
        let holders: Vec<&str> = (1..=self.lab.nodes().len())
            .filter(|number| self.lab.holds(*number, IpAddr::from(VIP)))
            .map(|number| self.lab.node(number).name())
            .collect();
        let names = if holders.is_empty() { "nobody".into() } else { holders.join(" and ") };
        format!("{VIP} is on {names}\n")
    }

    /// Since the last time this was asked, or since the address answered first.
    fn outage(&mut self) -> String {
        let first = || self.meter.wait_answer(Duration::ZERO, Duration::ZERO);
        let Some(since) = self.asked.or_else(first) else {
            return format!("{VIP} has not answered yet\n");
        };
        self.asked = Some(self.lab.now());
        let longest = self.meter.outage_since(since).longest;
        format!("longest time without an answer: {:.1} ms\n", longest.as_secs_f64() * 1e3)
    }

    fn shell(&self, name: &str) -> Result<String, LabError> {
        let machines = self.lab.nodes().iter().chain([self.lab.client()]);
        let machine: &Namespace = machines
            .into_iter()
            .find(|machine| machine.name() == name)
            .ok_or_else(|| LabError::Gone(name.to_owned()))?;
        let prompt = format!("{name}# ");
        machine
            .run(move || shell(&prompt).status())
            .map(|_| String::new())
            .map_err(|source| LabError::Io { what: "start a shell".into(), source })
    }
}

fn done() -> String {
    "done\n".into()
}

fn pulled(node: usize) -> String {
    format!("n{node} has no carrier now\n")
}

/// A shell with the given prompt.
fn shell(prompt: &str) -> Command {
    let mut shell = Command::new("sh");
    // Keepalived's and our programs are there by name.
    let path = env::var("PATH").unwrap_or_default();
    shell.arg("-i").env("PS1", prompt).env_remove("ENV");
    shell.env("PATH", format!("{path}:/run/lab:/usr/sbin:/sbin"));
    shell
}

/// Joins a machine (`n1`, `n2` or `client`) of the laboratory that runs in another terminal, with
/// a shell or the given command. Returns only when that fails.
#[must_use]
pub fn join(machine: &str, command: &[String]) -> LabError {
    let register = register();
    let lab = match fs::read_to_string(&register) {
        Ok(text) => text.trim().to_owned(),
        Err(_) => return LabError::Gone("the laboratory (`standfast lab` starts one)".into()),
    };
    let tid = match thread(&lab, &format!("node-{machine}")) {
        Ok(Some(tid)) => tid,
        Ok(None) => return LabError::Gone(format!("{machine} in the laboratory")),
        Err(_) => return LabError::Gone("the laboratory (`standfast lab` starts one)".into()),
    };
    let mut enter = Command::new("nsenter");
    enter.args(["--target", &tid, "--mount", "--net", "--pid"]);
    if !geteuid().is_root() {
        enter.args(["--user", "--preserve-credentials"]);
    }
    enter.arg("--");
    if command.is_empty() {
        enter.args(["sh", "-i"]).env("PS1", format!("{machine}# ")).env_remove("ENV");
    } else {
        enter.args(command);
    }
    let path = env::var("PATH").unwrap_or_default();
    let source = enter.env("PATH", format!("{path}:/run/lab:/usr/sbin:/sbin")).exec();
    LabError::Io { what: "run nsenter".into(), source }
}

/// The id of the thread called `name` in process `pid`.
fn thread(pid: &str, name: &str) -> io::Result<Option<String>> {
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let task = task?;
        let comm = fs::read_to_string(task.path().join("comm"))?;
        if comm.trim_end() == name {
            return Ok(task.file_name().to_str().map(str::to_owned));
        }
    }
    Ok(None)
}
