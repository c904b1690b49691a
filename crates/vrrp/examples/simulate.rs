//! The cluster simulation by hand: many seeds, or one seed with its log and a packet capture.
//!
//! ```text
//! cargo run --release -p standfast-vrrp --example simulate -- --seeds 1000000 --start 1
//! cargo run -p standfast-vrrp --example simulate -- --replay 4711 --pcap failure.pcap
//! ```

#[path = "../tests/support/mod.rs"]
mod support;

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

use support::cluster;

fn main() -> ExitCode {
    let mut seeds = 10_000;
    let mut start = 0;
    let mut replay = None;
    let mut pcap = None;
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let value = args.next();
        let number = value.as_deref().and_then(|value| value.parse::<u64>().ok());
        match (arg.as_str(), number, value) {
            ("--seeds", Some(number), _) => seeds = number,
            ("--start", Some(number), _) => start = number,
            ("--replay", Some(number), _) => replay = Some(number),
            ("--pcap", _, Some(path)) => pcap = Some(path),
            _ => {
                eprintln!("usage: simulate [--seeds N] [--start S] | --replay SEED [--pcap FILE]");
                return ExitCode::from(2);
            }
        }
    }
    match replay {
        Some(seed) => one(seed, pcap),
        None => many(start, seeds),
    }
}

fn one(seed: u64, pcap: Option<String>) -> ExitCode {
    let outcome = cluster::run(seed, true);
    for line in &outcome.log {
        println!("{line}");
    }
    println!("{} packets", outcome.packets);
    if let (Some(path), Some(capture)) = (pcap, outcome.capture) {
        if let Err(error) = std::fs::write(&path, capture) {
            eprintln!("{path}: {error}");
            return ExitCode::FAILURE;
        }
        println!("packets are in {path}");
    }
    match outcome.failure {
        Some(failure) => {
            println!("seed {seed} fails: {failure}");
            ExitCode::FAILURE
        }
        None => {
            println!("seed {seed} is fine");
            ExitCode::SUCCESS
        }
    }
}

fn many(start: u64, seeds: u64) -> ExitCode {
    // Panics are failures of a seed, reported with the seed.
    std::panic::set_hook(Box::new(|_| {}));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicU64::new(start);
    let packets = AtomicU64::new(0);
    let end = start.saturating_add(seeds);
    let failures = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    let mut failed = Vec::new();
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= end || failed.len() >= 10 {
                            return failed;
                        }
                        let outcome = cluster::run(seed, false);
                        packets.fetch_add(outcome.packets, Ordering::Relaxed);
                        if let Some(failure) = outcome.failure {
                            println!("seed {seed}: {failure}");
                            failed.push(seed);
                        }
                    }
                })
            })
            .collect();
        let mut failures = Vec::new();
        for worker in workers {
            failures.extend(worker.join().unwrap_or_default());
        }
        failures
    });
    println!("{seeds} seeds from {start}, {} packets", packets.into_inner());
    if failures.is_empty() {
        return ExitCode::SUCCESS;
    }
    let seed = failures[0];
    println!("{} seeds fail; look at one with", failures.len());
    println!(
        "cargo run -p standfast-vrrp --example simulate -- --replay {seed} --pcap seed-{seed}.pcap"
    );
    ExitCode::FAILURE
}
