//! How much later than the protocol says a backup takes over, with 10 ms advertisements.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use lab::subject::Subject;
use lab::{Lab, LabError, Plan};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::outage::late;
use crate::table::{median, seconds, worst};

const ROUNDS: usize = 20;
const LIMIT: Duration = Duration::from_secs(15);

/// Version 3, RFC 9568 section 6.1, priority 100 and 1 cs: 3 × 10 ms + (256 − 100) × 10 ms / 256.
const IDEAL: f64 = 0.03 + 156.0 * 0.01 / 256.0;

/// Nothing else runs.
pub(crate) fn idle(subject: &Subject) -> Result<Vec<f64>, LabError> {
    measure(subject, "")
}

/// Two loops per core run at normal priority; the daemons have real-time priority.
pub(crate) fn busy(subject: &Subject) -> Result<Vec<f64>, LabError> {
    let _loops = Loops::start()?;
    measure(subject, "  vrrp_rt_priority 50\n")
}

fn config(priority: u8, global: &str) -> String {
    format!(
        "global_defs {{\n{global}}}\nvrrp_instance A {{\n  interface eth0\n  version 3\n  \
         virtual_router_id 51\n  priority {priority}\n  advert_int 0.01\n  \
         garp_master_repeat 1\n  virtual_ipaddress {{\n    198.51.100.100/24\n  }}\n}}\n"
    )
}

/// Freezes the master's VRRP process; the capture in the switch tells from its last
/// advertisement to the successor's first one.
fn measure(subject: &Subject, global: &str) -> Result<Vec<f64>, LabError> {
    let mut lab = Lab::build(Plan::default())?;
    let started = lab.now();
    lab.start_with(1, subject, &config(150, global), &[])?;
    lab.start_with(2, subject, &config(100, global), &[])?;
    advert(&lab, 1, started, "n1 becomes master")?;
    let mut beyond = Vec::new();
    for _ in 0..ROUNDS {
        // n1 alone on the air, for a while.
        calm(&lab)?;
        let role =
            lab.daemon(1).roles().first().copied().ok_or_else(|| late("the VRRP process"))?;
        let role = Pid::from_raw(role);
        let stopping = lab.now();
        signal(role, Signal::SIGSTOP)?;
        let taken = advert(&lab, 2, stopping, "n2 takes over")?;
        let sent = lab.adverts(1, stopping.saturating_sub(Duration::from_secs(1)));
        let last = sent.iter().map(|(at, _)| *at).rfind(|at| *at < taken);
        let last = last.ok_or_else(|| late("an advertisement of n1"))?;
        beyond.push(seconds(taken - last) - IDEAL);
        signal(role, Signal::SIGCONT)?;
    }
    Ok(vec![median(&beyond), worst(&beyond)])
}

/// Waits until n1 has sent twenty advertisements without one of n2 between them.
fn calm(lab: &Lab) -> Result<(), LabError> {
    let since = lab.now();
    lab.frames()
        .wait(LIMIT, |frames| {
            let senders = frames.iter().rev().take_while(|it| it.at > since);
            let adverts = senders
                .filter(|it| matches!(it.packet, lab::packet::Packet::Advert(_)))
                .take_while(|it| it.node == "n1");
            (adverts.count() >= 20).then_some(())
        })
        .ok_or_else(|| late("n1 is master again"))
}

fn advert(lab: &Lab, node: usize, since: Duration, what: &str) -> Result<Duration, LabError> {
    let found = lab.wait_advert(node, since, LIMIT, |it| it.priority != 0);
    found.map(|(at, _)| at).ok_or_else(|| late(what))
}

fn signal(process: Pid, signal: Signal) -> Result<(), LabError> {
    kill(process, signal)
        .map_err(|errno| LabError::Io { what: format!("send {signal}"), source: errno.into() })
}

/// Processes that keep every core busy; killed when dropped.
struct Loops(Vec<Child>);

impl Loops {
    fn start() -> Result<Self, LabError> {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let mut loops = Self(Vec::new());
        for _ in 0..cores * 2 {
            let child = Command::new("sh")
                .args(["-c", "while :; do :; done"])
                .stdin(Stdio::null())
                .spawn()
                .map_err(|source| LabError::Io { what: "start a loop".into(), source })?;
            loops.0.push(child);
        }
        Ok(loops)
    }
}

impl Drop for Loops {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
