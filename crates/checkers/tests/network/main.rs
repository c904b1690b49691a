//! Checks of real sockets that fail in each way they can, each test in a network namespace of its
//! own.
//!
//! A harness of its own, because a process may only enter a user namespace (to need no root) while
//! it has one thread.

mod ping;
mod runner;
mod scripts;
mod tcp;
mod udp;

use std::future::Future;
use std::net::SocketAddr;
use std::process::{Command, ExitCode};
use std::rc::Rc;
use std::time::Duration;

use checkers::schedule::Settings;
use checkers::{Change, Check, CheckId, CheckSpec, Checkers, Environment, Event, Kind, Start};
use libtest_mimic::{Arguments, Trial};
use nix::sched::{CloneFlags, unshare};
use standfast_checkers as checkers;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::LocalSet;
use tokio::time::timeout;

/// So long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // One after the other, in this thread: each has a namespace for itself.
    arguments.test_threads = Some(1);
    if !arguments.list
        && let Err(error) = enter_namespaces()
    {
        eprintln!("NOT TESTED: this machine permits no network namespaces: {error}");
        return ExitCode::SUCCESS;
    }
    let tests = [tcp::TESTS, udp::TESTS, ping::TESTS, scripts::TESTS, runner::TESTS].concat();
    let trials = tests
        .into_iter()
        .map(|(name, test)| {
            Trial::test(name, move || {
                unshare(CloneFlags::CLONE_NEWNET).map_err(|error| error.to_string())?;
                ip("link set lo up");
                test();
                Ok(())
            })
        })
        .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn enter_namespaces() -> nix::Result<()> {
    if !nix::unistd::geteuid().is_root() {
        let (uid, gid) = (nix::unistd::getuid(), nix::unistd::getgid());
        unshare(CloneFlags::CLONE_NEWUSER)?;
        let write = |file: &str, text: String| {
            std::fs::write(format!("/proc/self/{file}"), text).expect("we own the namespace");
        };
        write("setgroups", "deny".to_owned());
        write("uid_map", format!("0 {uid} 1"));
        write("gid_map", format!("0 {gid} 1"));
    }
    unshare(CloneFlags::CLONE_NEWNET)
}

type Test = (&'static str, fn());

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status().expect("iproute2 is there");
    assert!(status.success(), "ip {arguments}");
}

/// Rules of nftables, in the syntax of `nft -f`.
fn nft(rules: &str) {
    let status = Command::new("nft").arg(rules).status().expect("nftables is there");
    assert!(status.success(), "nft {rules}");
}

/// Runs a test's future as the role runs checks.
fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, test)
}

/// Looks every 50 ms, without retries and warm-up.
fn often() -> Settings {
    Settings {
        delay_loop: Duration::from_millis(50),
        retry: 0,
        delay_before_retry: Duration::from_millis(20),
        warmup: Duration::ZERO,
        alpha: false,
        steps: 1,
        retry_when_down: false,
        from_start: false,
        fast_recovery: false,
    }
}

/// One check and what is heard of it.
struct Watched {
    checkers: Checkers,
    events: UnboundedReceiver<Event>,
}

const ID: CheckId = CheckId(7);

impl Watched {
    fn new(kind: Kind, schedule: Settings) -> Self {
        Self::started(kind, schedule, Start::Fresh)
    }

    fn started(kind: Kind, schedule: Settings, start: Start) -> Self {
        let (sender, events) = unbounded_channel();
        let checkers = Checkers::new(sender, Environment { seed: Some(1) });
        let check = Rc::new(Check { kind, schedule, log_all_failures: false });
        checkers.start(CheckSpec { id: ID, check, start });
        Self { checkers, events }
    }

    /// The next thing that happens.
    async fn change(&mut self) -> Change {
        let event = timeout(PATIENCE, self.events.recv()).await.expect("an event in time");
        let event = event.expect("the checks go on");
        assert_eq!(event.id, ID);
        event.change
    }

    /// The next thing that happens is that it comes up.
    async fn up(&mut self) -> checkers::Success {
        match self.change().await {
            Change::Up(success) => success,
            other => panic!("{other:?} instead of up"),
        }
    }

    /// The next thing that happens is that it goes down; the failure's text without its time.
    async fn down(&mut self) -> String {
        match self.change().await {
            Change::Down { failure, .. } => timeless(&failure.to_string()),
            other => panic!("{other:?} instead of down"),
        }
    }

    fn runs(&self) -> u64 {
        self.checkers.status(ID).map_or(0, |status| status.runs)
    }

    /// Waits until it has looked so often again.
    async fn looks(&self, count: u64) {
        let enough = self.runs() + count;
        let wait = async {
            while self.runs() < enough {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, wait).await.expect("looks in time");
    }
}

/// `connection refused by 127.0.0.1:80 after 3 ms` without its last part, which differs every time.
fn timeless(text: &str) -> String {
    match text.rsplit_once(" after ") {
        Some((start, time)) => {
            let millis = time.strip_suffix(" ms").unwrap_or_else(|| panic!("no time in {text}"));
            millis.parse::<u64>().unwrap_or_else(|_| panic!("no time in {text}"));
            start.to_owned()
        }
        None => text.to_owned(),
    }
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address and a port")
}
