//! Load balancing: `standfast-bench balancing`, where the kernel has IPVS (`make bench-balancing`
//! boots a virtual machine for it).

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use lab::LabError;
use lab::farm::Farm;
use lab::subject::Subject;
use netlink::ipvs::{Ipvs, IpvsKernel, Protocol, ServiceKey};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::cost::{cpu_time, pss};
use crate::outage::late;
use crate::table::{seconds, worst};

/// The machine is emulated: 40,000 requests with an answer each take their time.
const LIMIT: Duration = Duration::from_secs(240);

/// Between two looks at the kernel.
const PAUSE: Duration = Duration::from_millis(10);

/// Real servers of each virtual server.
const REALS: usize = 10;

/// Start, reload and memory with 1,000 virtual servers of ten real servers.
pub(crate) fn thousand(subject: &Subject) -> Result<Vec<f64>, LabError> {
    large(subject, 1000)
}

/// The same with 4,000.
pub(crate) fn four_thousand(subject: &Subject) -> Result<Vec<f64>, LabError> {
    large(subject, 4000)
}

/// From the start of the program to the whole table; from SIGHUP until one changed weight is in
/// the kernel; memory for each real server, beyond what the program needs for one.
fn large(subject: &Subject, count: usize) -> Result<Vec<f64>, LabError> {
    let little = memory(subject)?;
    let mut farm = Farm::director_only()?;
    let mut kernel = open(&farm)?;
    let last = farm.start(subject, &config(count, 1), &["-C"])?.started();
    wait(&mut kernel, count, 1)?;
    // The last one is there: are all? A server may be ahead of others. Counting takes its time,
    // which is not the program's.
    let begin = Instant::now();
    let mut at = farm.now();
    while destinations(&farm) < count * REALS {
        if begin.elapsed() > LIMIT {
            return Err(late("the whole table"));
        }
        thread::sleep(PAUSE);
        at = farm.now();
    }
    let started = seconds(at - last);
    let used: f64 = farm.daemon().tree().into_iter().map(pss).sum();
    // Whatever is done after the start is over.
    settle(&farm)?;
    let begin = Instant::now();
    farm.reload(&config(count, 7))?;
    wait(&mut kernel, count, 7)?;
    let reloaded = seconds(begin.elapsed());
    Ok(vec![started, reloaded, (used - little) / (count * REALS) as f64])
}

/// What the program needs for one virtual server with one real server.
fn memory(subject: &Subject) -> Result<f64, LabError> {
    let mut farm = Farm::director_only()?;
    let mut kernel = open(&farm)?;
    farm.start(subject, &config(1, 1), &["-C"])?;
    wait(&mut kernel, 1, 1)?;
    settle(&farm)?;
    Ok(farm.daemon().tree().into_iter().map(pss).sum())
}

/// `count` virtual servers; the last real server of the last one has this weight.
fn config(count: usize, weight: usize) -> String {
    let mut config = String::new();
    for number in 0..count {
        let address = service(number);
        let _ = writeln!(
            config,
            "virtual_server {} {} {{\n  lb_algo wrr\n  lb_kind NAT\n  protocol TCP",
            address.ip(),
            address.port()
        );
        for real in 1..=REALS {
            let changed = (number, real) == (count - 1, REALS);
            let weight = if changed { weight } else { 1 };
            let _ =
                writeln!(config, "  real_server 203.0.113.{real} 80 {{\n    weight {weight}\n  }}");
        }
        config.push_str("}\n");
    }
    config
}

/// In ascending order: who sorts has the same last one as who does not.
fn service(number: usize) -> SocketAddr {
    let host = u8::try_from(number / 100 + 1).unwrap_or(u8::MAX);
    let port = u16::try_from(10_000 + number % 100).unwrap_or(u16::MAX);
    SocketAddr::new(IpAddr::from([198, 51, 100, host]), port)
}

fn open(farm: &Farm) -> Result<Ipvs, LabError> {
    let kernel = farm.director().run(Ipvs::open);
    kernel.map_err(|error| LabError::Gone(format!("IPVS in this kernel ({error})")))
}

/// Waits until the last destination has this weight.
fn wait(kernel: &mut Ipvs, count: usize, weight: u32) -> Result<(), LabError> {
    let key = ServiceKey::address(Protocol::Tcp, service(count - 1));
    let wanted = SocketAddr::new(IpAddr::from(Ipv4Addr::new(203, 0, 113, 10)), 80);
    let begin = Instant::now();
    while begin.elapsed() < LIMIT {
        let there = kernel.destinations(&key).unwrap_or_default();
        if there.iter().any(|it| it.address == wanted && it.destination.weight == weight) {
            return Ok(());
        }
        thread::sleep(PAUSE);
    }
    Err(late("the last destination"))
}

/// How many destinations there are.
fn destinations(farm: &Farm) -> usize {
    farm.glimpse().iter().filter(|line| line.starts_with("->")).count()
}

/// Waits until the program uses no more CPU.
fn settle(farm: &Farm) -> Result<(), LabError> {
    let used = || farm.daemon().tree().into_iter().map(cpu_time).sum::<f64>();
    let (begin, mut before) = (Instant::now(), used());
    while begin.elapsed() < LIMIT {
        thread::sleep(Duration::from_millis(500));
        let now = used();
        if now - before < 0.01 {
            return Ok(());
        }
        before = now;
    }
    Err(late("rest after the start"))
}

/// Ports on which real servers of the checks are; each has [`HOSTS`] addresses.
const PORTS: u16 = 50;

/// Addresses of the real servers of the checks.
const HOSTS: u16 = 100;

/// 5,000 TCP checks. A second apart is more than the emulated machine can do, so what is told is
/// the CPU time for 1,000 checks and how many were done in a second; ten seconds apart it can, and
/// the CPU time of ten seconds and how much later than ten seconds a check came are told.
pub(crate) fn checks(subject: &Subject) -> Result<Vec<f64>, LabError> {
    let busy = looks(subject, 1, Duration::from_secs(20))?;
    let easy = looks(subject, 10, Duration::from_secs(30))?;
    Ok(vec![busy.cpu / busy.count * 1000.0, busy.count / 20.0, easy.cpu / 3.0, easy.late])
}

struct Looks {
    count: f64,
    cpu: f64,
    /// The worst of a hundred: how much longer than the interval two looks at a server were apart.
    late: f64,
}

/// What the program did for `time`, with all checks under way.
fn looks(subject: &Subject, interval: u64, time: Duration) -> Result<Looks, LabError> {
    let mut farm = Farm::director_only()?;
    farm.director().command("ip route add local 203.0.113.0/24 dev lo")?;
    let mut listeners = Vec::new();
    for port in 0..PORTS {
        let address = SocketAddr::new(IpAddr::from(Ipv4Addr::UNSPECIFIED), 2000 + port);
        let listener = farm.director().run(move || TcpListener::bind(address));
        let io = |source| LabError::Io { what: format!("listen on {address}"), source };
        let listener = listener.map_err(io)?;
        listener.set_nonblocking(true).map_err(io)?;
        listeners.push(listener);
    }
    let mut config = String::new();
    for port in 0..PORTS {
        let _ = writeln!(
            config,
            "virtual_server 198.51.100.100 {} {{\n  delay_loop {interval}\n  lb_algo rr\n  \
             lb_kind NAT\n  protocol TCP",
            3000 + port
        );
        for host in 1..=HOSTS {
            let _ = writeln!(
                config,
                "  real_server 203.0.113.{host} {} {{\n    TCP_CHECK {{\n      connect_timeout 5\n    }}\n  }}",
                2000 + port
            );
        }
        config.push_str("}\n");
    }
    farm.start(subject, &config, &["-C"])?;
    // Every server was looked at twice.
    let mut seen: HashMap<SocketAddr, Instant> = HashMap::new();
    let all = usize::from(PORTS * HOSTS);
    let mut total = 0;
    let begin = Instant::now();
    while seen.len() < all || total < 2 * all {
        if begin.elapsed() > LIMIT {
            return Err(late("looks at all servers"));
        }
        accept(&listeners, |address, at| {
            seen.insert(address, at);
            total += 1;
        });
    }
    let used = || farm.daemon().tree().into_iter().map(cpu_time).sum::<f64>();
    let (before, begin) = (used(), Instant::now());
    let (mut count, mut lateness) = (0.0, Vec::new());
    while begin.elapsed() < time {
        accept(&listeners, |address, at| {
            count += 1.0;
            if let Some(last) = seen.insert(address, at) {
                lateness.push(seconds(at - last) - interval as f64);
            }
        });
    }
    let cpu = (used() - before) * seconds(time) / seconds(begin.elapsed());
    lateness.sort_by(f64::total_cmp);
    let common = &lateness[..lateness.len() - lateness.len() / 100];
    Ok(Looks { count, cpu, late: worst(common) })
}

/// Takes the connections that have come, and tells to whom and when.
fn accept(listeners: &[TcpListener], mut told: impl FnMut(SocketAddr, Instant)) {
    let mut fds: Vec<PollFd<'_>> =
        listeners.iter().map(|it| PollFd::new(it.as_fd(), PollFlags::POLLIN)).collect();
    let _ = poll(&mut fds, PollTimeout::from(50_u8));
    for (listener, fd) in listeners.iter().zip(&fds) {
        if !fd.any().unwrap_or(false) {
            continue;
        }
        while let Ok((stream, _)) = listener.accept() {
            if let Ok(address) = stream.local_addr() {
                told(address, Instant::now());
            }
        }
    }
}
