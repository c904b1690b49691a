//! CPU, memory, and the time of a configuration test.

use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, Instant};

use lab::subject::Subject;
use lab::{Lab, LabError, Plan};

use crate::outage::{config, late};
use crate::table::{median, seconds, worst};

const LIMIT: Duration = Duration::from_secs(30);

/// CPU time of a master's and a backup's whole trees for 10 s of 255 × 10 advertisements a second.
pub(crate) fn cpu(subject: &Subject) -> Result<Vec<f64>, LabError> {
    let text = |priority: u8| {
        let mut config = String::new();
        for id in 1..=255 {
            let _ = write!(
                config,
                "vrrp_instance I{id} {{\n  interface eth0\n  version 3\n  \
                 virtual_router_id {id}\n  priority {priority}\n  advert_int 0.1\n  \
                 virtual_ipaddress {{\n    198.51.100.{id}/32\n  }}\n}}\n",
            );
        }
        config
    };
    let mut lab = Lab::build(Plan::default())?;
    // The VIPs must not be the nodes' own addresses.
    for node in [1, 2] {
        let old = format!("ip addr del 198.51.100.{node}/24 dev eth0");
        lab.node(node).command(&old)?;
        lab.node(node).command(&format!("ip addr add 203.0.113.{node}/24 dev eth0"))?;
    }
    let started = lab.now();
    lab.start_with(1, subject, &text(150), &[])?;
    lab.start_with(2, subject, &text(100), &[])?;
    // All are master, and the announcements of the takeover are over (5 s).
    lab.changes()
        .wait(LIMIT, |changes| {
            let held = changes.iter().filter(|it| it.node == "n1" && it.added && it.at > started);
            (held.count() >= 255).then_some(())
        })
        .ok_or_else(|| late("255 masters"))?;
    run_for(&lab, Duration::from_secs(7))?;
    let used = |lab: &Lab| -> f64 {
        [1, 2].iter().flat_map(|node| lab.daemon(*node).tree()).map(cpu_time).sum()
    };
    let before = used(&lab);
    let begin = Instant::now();
    run_for(&lab, Duration::from_secs(10))?;
    let share = 10.0 / seconds(begin.elapsed());
    Ok(vec![(used(&lab) - before) * share])
}

/// Waits until an advertisement was captured that is `time` later than now.
fn run_for(lab: &Lab, time: Duration) -> Result<(), LabError> {
    let end = lab.now() + time;
    lab.wait_advert(1, end, time + LIMIT, |_| true).map(drop).ok_or_else(|| late("advertisements"))
}

/// CPU time of a process with all its threads, in seconds.
///
/// The scheduler's own account is in nanoseconds; utime and stime count in hundredths of seconds.
pub(crate) fn cpu_time(pid: i32) -> f64 {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return 0.0 };
    tasks
        .flatten()
        .filter_map(|task| {
            let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse::<f64>().ok()
        })
        .sum::<f64>()
        / 1e9
}

/// Proportional set size of the whole tree of a master with one instance.
pub(crate) fn memory(subject: &Subject) -> Result<Vec<f64>, LabError> {
    let mut lab = Lab::build(Plan { nodes: 1, links: 1 })?;
    let started = lab.start_with(1, subject, &config(150), &[])?.started();
    lab.wait_advert(1, started, LIMIT, |it| it.priority == 150)
        .ok_or_else(|| late("n1 becomes master"))?;
    // Pages that another program on the machine maps too count less: the largest of some samples.
    let mut samples = Vec::new();
    for _ in 0..5 {
        run_for(&lab, Duration::from_secs(1))?;
        samples.push(lab.daemon(1).tree().into_iter().map(pss).sum());
    }
    Ok(vec![worst(&samples)])
}

/// Proportional set size of a process, in bytes.
pub(crate) fn pss(pid: i32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    text.lines()
        .find_map(|line| line.strip_prefix("Pss:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok())
        .map_or(0.0, |kibibytes| kibibytes * 1024.0)
}

/// `-t` on 5,000 virtual servers with 10 real servers each; the median.
pub(crate) fn config_test(subject: &Subject) -> Result<Vec<f64>, LabError> {
    let mut config = String::new();
    for server in 0..5000 {
        let _ = write!(
            config,
            "virtual_server 2001:db8:1::{server:x} 80 {{\n  delay_loop 10\n  lb_algo wrr\n  \
             lb_kind NAT\n  protocol TCP\n",
        );
        for real in 1..=10 {
            let _ = write!(
                config,
                "  real_server 2001:db8:2:{server:x}::{real:x} 80 {{\n    weight 1\n    \
                 TCP_CHECK {{\n      connect_timeout 3\n    }}\n  }}\n",
            );
        }
        config.push_str("}\n");
    }
    let lab = Lab::build(Plan { nodes: 1, links: 1 })?;
    lab.write(1, "/run/keepalived.conf", &config)?;
    let line = format!(
        "exec -a keepalived /run/lab/{subject} -t -f /run/keepalived.conf >/dev/null 2>&1; true"
    );
    let mut times = Vec::new();
    for _ in 0..3 {
        let begin = Instant::now();
        lab.node(1).feed(&["bash", "-c", &line], "")?;
        times.push(seconds(begin.elapsed()));
    }
    Ok(vec![median(&times)])
}
