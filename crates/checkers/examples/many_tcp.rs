//! How much the machine pays for many TCP checks: `many_tcp [CHECKS] [SECONDS] [APART] [SERVER]`.
//!
//! Looks with that many checks so many seconds apart (default 5,000 for 20 s, a second apart) at one
//! listener, its own on loopback or that of somebody else, and prints looks a second, this process's
//! CPU time, how late looks begin, and the memory of a check.

use std::error::Error;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use standfast_checkers::schedule::Settings;
use standfast_checkers::{Check, CheckId, CheckSpec, Checkers, Environment, Kind, Start, Target};
use tokio::runtime::LocalOptions;
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::{Instant, sleep};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let count: u64 = args.next().map_or(Ok(5_000), |text| text.parse())?;
    let seconds: u64 = args.next().map_or(Ok(20), |text| text.parse())?;
    let apart: u64 = args.next().map_or(Ok(1), |text| text.parse())?;
    // Somebody else may serve, so that its work is not counted as ours.
    let server: Option<SocketAddr> = args.next().map(|text| text.parse()).transpose()?;
    let server = match server {
        Some(address) => address,
        None => serve()?,
    };
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build_local(LocalOptions::default())?;
    runtime.block_on(measure(server, count, seconds, apart))
}

/// Accepts and closes, in another thread. The backlog is long, so that no connection waits for a
/// second SYN.
fn serve() -> Result<SocketAddr, Box<dyn Error>> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
    socket.listen(4_096)?;
    let listener = std::net::TcpListener::from(socket);
    let address = listener.local_addr()?;
    std::thread::spawn(move || while listener.accept().is_ok() {});
    Ok(address)
}

async fn measure(
    server: SocketAddr,
    count: u64,
    seconds: u64,
    apart: u64,
) -> Result<(), Box<dyn Error>> {
    let (events, mut heard) = unbounded_channel();
    let checkers = Checkers::new(events, Environment::default());
    let apart = Duration::from_secs(apart);
    let schedule = Settings {
        delay_loop: apart,
        retry: 1,
        delay_before_retry: Duration::from_secs(1),
        warmup: apart,
        alpha: false,
        steps: 1,
        retry_when_down: true,
        from_start: false,
        fast_recovery: false,
    };
    let memory_before = memory()?;
    for id in (0..count).map(CheckId) {
        let kind = Kind::Tcp(Target::new(server));
        let check = Rc::new(Check { kind, schedule, log_all_failures: false });
        checkers.start(CheckSpec { id, check, start: Start::Fresh });
    }
    println!("{} bytes for each check that waits", (memory()? - memory_before) / count);
    sleep(apart * 2).await;
    let looks = || (0..count).filter_map(|id| checkers.status(CheckId(id))).map(|s| s.runs).sum();
    let (began, cpu_before, looks_before): (_, _, u64) = (Instant::now(), cpu()?, looks());
    sleep(Duration::from_secs(seconds)).await;
    let (took, cpu_spent) = (began.elapsed().as_secs_f64(), cpu()? - cpu_before);
    let rate = (looks() - looks_before) as f64 / took;
    // Looks that begin on time and take no time would come so far apart.
    let late = (count as f64 / rate - apart.as_secs_f64()) * 1_000.0;
    println!(
        "{rate:.0} looks/s, CPU {:.1} %, a turn is {late:.1} ms late",
        cpu_spent / took * 100.0
    );
    let mut troubles = 0;
    while let Ok(event) = heard.try_recv() {
        if !matches!(event.change, standfast_checkers::Change::Up(_)) {
            troubles += 1;
            if troubles < 4 {
                println!("{:?}", event.change);
            }
        }
    }
    println!("{troubles} events other than the first success");
    Ok(())
}

/// Resident memory of this process, bytes.
fn memory() -> Result<u64, Box<dyn Error>> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = statm.split(' ').nth(1).unwrap_or("0").parse()?;
    Ok(pages * 4_096)
}

/// CPU seconds of this thread so far.
fn cpu() -> Result<f64, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/thread-self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
    Ok(ticks / 100.0)
}
