//! The cluster simulation: 10,000 seeds, or STANDFAST_SEEDS of them from START.
#![allow(clippy::disallowed_methods, reason = "the number of seeds comes from the environment")]

mod support;

use std::sync::atomic::{AtomicU64, Ordering};

use support::cluster;

#[expect(clippy::disallowed_methods, reason = "the test runner is told how much to do")]
fn number(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")),
        Err(_) => default,
    }
}

#[test]
fn clusters_come_to_rest_with_one_master() {
    let seeds = number("STANDFAST_SEEDS", 10_000);
    let start = number("START", 0);
    let end = start + seeds;
    let next = AtomicU64::new(start);
    let packets = AtomicU64::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let failures = std::thread::scope(|scope| {
        let work = || {
            let mut failures = Vec::new();
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= end || failures.len() >= 5 {
                    return failures;
                }
                let outcome = cluster::run(seed, false);
                packets.fetch_add(outcome.packets, Ordering::Relaxed);
                failures.extend(outcome.failure.map(|failure| (seed, failure)));
            }
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect::<Vec<_>>()
    });
    let mut report = String::new();
    for (seed, failure) in &failures {
        let path = std::env::temp_dir().join(format!("standfast-seed-{seed}.pcap"));
        let outcome = cluster::run(*seed, true);
        if let Some(capture) = outcome.capture {
            std::fs::write(&path, capture).expect("the capture can be written");
        }
        report += &format!(
            "seed {seed}: {failure}\n  packets: {}\n  replay:  cargo run -p standfast-vrrp --example \
             simulate -- --replay {seed} --pcap {}\n",
            path.display(),
            path.display()
        );
    }
    assert!(failures.is_empty(), "\n{report}");
    assert!(packets.into_inner() > seeds * 20, "clusters that hardly speak prove nothing");
}

#[test]
fn a_seed_replays_exactly() {
    for seed in [3, 170, 1109] {
        let (first, second) = (cluster::run(seed, true), cluster::run(seed, true));
        assert_eq!(first.log, second.log);
        assert_eq!(first.capture, second.capture);
        assert!(first.log.len() > 20, "there is something to compare");
    }
}
