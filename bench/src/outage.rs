//! What a client loses: at a planned stop, and when the VRRP process is killed.

use std::net::IpAddr;
use std::time::Duration;

use lab::subject::Subject;
use lab::{Lab, LabError, Plan};
use nix::sys::signal::{Signal, kill as send};
use nix::unistd::Pid;

use crate::table::{median, seconds, worst};

const VIP: &str = "198.51.100.100";
const ROUNDS: usize = 5;
const LIMIT: Duration = Duration::from_secs(15);
/// 4,000 echoes a second.
const PACE: Duration = Duration::from_micros(250);

/// Version 3, an advertisement a second.
pub(crate) fn config(priority: u8) -> String {
    format!(
        "vrrp_instance A {{\n  interface eth0\n  version 3\n  virtual_router_id 51\n  \
         priority {priority}\n  advert_int 1\n  virtual_ipaddress {{\n    {VIP}/24\n  }}\n}}\n"
    )
}

pub(crate) fn late(what: &str) -> LabError {
    LabError::Late { what: what.to_owned(), limit: LIMIT }
}

fn vip() -> IpAddr {
    IpAddr::from([198, 51, 100, 100])
}

/// n1 is master, n2 backup, both run `subject`.
fn pair(subject: &Subject) -> Result<Lab, LabError> {
    let mut lab = Lab::build(Plan::default())?;
    let started = lab.now();
    lab.start(1, subject, &config(150))?;
    lab.start(2, subject, &config(100))?;
    lab.wait_address(1, vip(), true, started, LIMIT).ok_or_else(|| late("n1 becomes master"))?;
    Ok(lab)
}

/// The longest time between two answers around SIGTERM to the master; the median.
pub(crate) fn planned_stop(subject: &Subject) -> Result<Vec<f64>, LabError> {
    let mut outages = Vec::new();
    for _ in 0..ROUNDS {
        let lab = pair(subject)?;
        let meter = lab.meter(vip(), PACE)?;
        meter.wait_answer(lab.now(), LIMIT).ok_or_else(|| late("the VIP answers"))?;
        // Let the meter run before it counts.
        let settled = lab.now() + Duration::from_millis(500);
        meter.wait_answer(settled, LIMIT).ok_or_else(|| late("the VIP answers"))?;
        let stopping = lab.now();
        lab.daemon(1).stop(LIMIT).ok_or_else(|| late("n1 ends"))?;
        let taken = lab
            .wait_address(2, vip(), true, stopping, LIMIT)
            .ok_or_else(|| late("n2 takes over"))?;
        // Long enough for everything that belongs to the stop.
        let after = taken.max(lab.now()) + Duration::from_secs(1);
        meter.wait_answer(after, LIMIT).ok_or_else(|| late("the VIP answers again"))?;
        outages.push(seconds(meter.outage_since(stopping).longest));
    }
    Ok(vec![median(&outages)])
}

/// Echoes lost, and how often the VIP appeared on n2, when n1's VRRP process is killed; the worst.
pub(crate) fn kill(subject: &Subject) -> Result<Vec<f64>, LabError> {
    let (mut losses, mut moves) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let lab = pair(subject)?;
        let meter = lab.meter(vip(), PACE)?;
        meter.wait_answer(lab.now(), LIMIT).ok_or_else(|| late("the VIP answers"))?;
        let first = meter.sent();
        let killed = lab.now();
        let role =
            lab.daemon(1).roles().first().copied().ok_or_else(|| late("the VRRP process"))?;
        send(Pid::from_raw(role), Signal::SIGKILL)
            .map_err(|errno| LabError::Io { what: "kill".into(), source: errno.into() })?;
        // Keepalived needs up to 1.2 s for a new process, and that one its master-down interval.
        let end = killed + Duration::from_secs(6);
        meter.wait_answer(end, LIMIT).ok_or_else(|| late("the VIP answers again"))?;
        let last = meter.sent();
        meter
            .wait_answer(lab.now() + Duration::from_millis(200), LIMIT)
            .ok_or_else(|| late("the VIP answers again"))?;
        losses.push(meter.unanswered(first..last) as f64);
        let appeared = lab.changes().look(|changes| {
            changes
                .iter()
                .filter(|it| it.node == "n2" && it.added && it.address == vip() && it.at > killed)
                .count()
        });
        moves.push(appeared as f64);
    }
    Ok(vec![worst(&losses), worst(&moves)])
}
