//! What `Checkers` promises, whatever the check.

use std::net::TcpListener;
use std::rc::Rc;
use std::time::Duration;

use config::model::checker::FileWeight;
use standfast_checkers::bfd::Bfd;
use standfast_checkers::file::File;
use standfast_checkers::schedule::Settings;
use standfast_checkers::{
    Change, Check, CheckId, CheckSpec, Checkers, Environment, Kind, Start, State, Target, Weight,
};
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::sleep;

use crate::{ID, Test, Watched, address, often, run};

pub(crate) const TESTS: &[Test] = &[
    ("files_are_judged_when_told", files),
    ("files_told_before_are_remembered", files_before),
    ("files_are_judged_while_suspended", files_suspended),
    ("sessions_are_judged_when_told", sessions),
    ("suspended_checks_do_not_look", suspended),
    ("stopped_checks_are_silent", stopped),
    ("resumed_checks_tell_changes_only", resumed),
    ("a_replaced_check_begins_anew", replaced),
    ("a_dropped_runner_looks_no_more", dropped),
    ("a_soon_check_does_not_wait_for_a_late_one", soon_and_late),
    ("without_descriptors_servers_stay_up", no_descriptors),
    ("hundreds_of_checks_keep_time", many),
];

const SERVER: &str = "127.0.0.1:8000";

fn tcp() -> Kind {
    Kind::Tcp(Target::new(address(SERVER)))
}

fn file(weight: i32, reverse: Option<bool>) -> Kind {
    Kind::File(File { file: "f".into(), weight: FileWeight { value: weight, reverse } })
}

fn files() {
    run(async {
        let mut check = Watched::new(file(2, None), often());
        assert_eq!(check.checkers.status(ID).unwrap().state, State::Unknown);
        check.checkers.file_value("other", 9);
        check.checkers.file_value("f", 3);
        assert_eq!(check.up().await.weight, Some(Weight::Add(6)));
        check.checkers.file_value("f", 3);
        check.checkers.file_value("f", -200);
        let Change::Weight(success) = check.change().await else { panic!("no new weight") };
        assert_eq!(success.weight, Some(Weight::Add(-400)));
        check.checkers.file_value("f", i64::MIN);
        let text = check.down().await;
        assert_eq!(text, "value -9223372036854775808 with weight 2 demands it");
        check.checkers.file_value("f", 0);
        assert_eq!(check.up().await.weight, None);
        assert_eq!(check.checkers.status(ID).unwrap().next, None);
    });
}

fn files_before() {
    run(async {
        let mut check = Watched::new(file(0, Some(true)), often());
        check.checkers.file_value("f", 0);
        assert_eq!(check.down().await, "value 0, wanted not 0");
        let again =
            Rc::new(Check { kind: file(0, None), schedule: often(), log_all_failures: false });
        check.checkers.start(CheckSpec { id: ID, check: again, start: Start::Fresh });
        check.up().await;
    });
}

fn files_suspended() {
    run(async {
        let mut check = Watched::new(file(0, None), often());
        check.checkers.suspend(ID);
        check.checkers.file_value("f", 0);
        check.up().await;
        check.checkers.file_value("f", 1);
        assert_eq!(check.down().await, "value 1, wanted 0");
        check.checkers.resume(ID);
        assert!(check.events.try_recv().is_err());
    });
}

fn sessions() {
    run(async {
        let mut check = Watched::new(Kind::Bfd(Bfd { session: "s".into() }), often());
        check.checkers.bfd_state("s", true);
        check.up().await;
        check.checkers.bfd_state("s", false);
        assert_eq!(check.down().await, "BFD session s is down");
        check.checkers.suspend(ID);
        check.checkers.bfd_state("s", true);
        assert!(check.events.try_recv().is_err());
        // Judged by what was told meanwhile.
        check.checkers.resume(ID);
        check.up().await;
    });
}

fn suspended() {
    run(async {
        let listener = TcpListener::bind(SERVER).unwrap();
        let mut check = Watched::new(tcp(), often());
        check.up().await;
        check.checkers.suspend(ID);
        let status = check.checkers.status(ID).unwrap();
        assert!(status.suspended && status.next.is_none() && status.state == State::Up);
        drop(listener);
        // Six turns of its loop.
        sleep(Duration::from_millis(300)).await;
        assert_eq!(check.runs(), status.runs);
        assert!(check.events.try_recv().is_err());
        check.checkers.resume(ID);
        check.down().await;
    });
}

fn stopped() {
    run(async {
        let mut check = Watched::new(tcp(), often());
        check.checkers.stop(ID);
        check.checkers.stop(ID);
        sleep(Duration::from_millis(200)).await;
        assert!(check.events.try_recv().is_err());
        assert_eq!(check.checkers.status(ID), None);
    });
}

fn resumed() {
    run(async {
        let listener = TcpListener::bind(SERVER).unwrap();
        let mut check = Watched::started(tcp(), often(), Start::Resumed { up: true });
        assert_eq!(check.checkers.status(ID).unwrap().state, State::Up);
        check.looks(3).await;
        assert!(check.events.try_recv().is_err());
        drop(listener);
        check.down().await;
    });
}

fn replaced() {
    run(async {
        let _listener = TcpListener::bind(SERVER).unwrap();
        let mut check = Watched::new(tcp(), often());
        check.up().await;
        check.looks(3).await;
        let once = Settings { delay_loop: Duration::from_secs(10_000), ..often() };
        let spec = Rc::new(Check { kind: tcp(), schedule: once, log_all_failures: false });
        check.checkers.start(CheckSpec { id: ID, check: spec, start: Start::Fresh });
        check.up().await;
        assert_eq!(check.runs(), 1);
    });
}

fn dropped() {
    run(async {
        let listener = TcpListener::bind(SERVER).unwrap();
        listener.set_nonblocking(true).unwrap();
        let mut check = Watched::new(tcp(), often());
        check.up().await;
        drop(check.checkers);
        assert!(check.events.recv().await.is_none(), "nobody is left to tell");
        while listener.accept().is_ok() {}
        sleep(Duration::from_millis(200)).await;
        assert!(listener.accept().is_err(), "nobody looks any more");
    });
}

/// The driver sleeps until the late one; the soon one wakes it.
fn soon_and_late() {
    run(async {
        let _listener = TcpListener::bind(SERVER).unwrap();
        let hours = Duration::from_secs(10_000);
        let late = Settings { delay_loop: hours, warmup: Duration::ZERO, ..often() };
        let mut check = Watched::new(tcp(), late);
        check.up().await;
        let next = check.checkers.status(ID).unwrap().next.unwrap();
        assert!(next > tokio::time::Instant::now() + hours / 2);
        let soon = Rc::new(Check { kind: tcp(), schedule: often(), log_all_failures: false });
        check.checkers.start(CheckSpec { id: CheckId(8), check: soon, start: Start::Fresh });
        let event = tokio::time::timeout(crate::PATIENCE, check.events.recv()).await.unwrap();
        assert_eq!(event.unwrap().id, CheckId(8));
    });
}

/// That this process has no descriptors left is no fault of the server's.
fn no_descriptors() {
    run(async {
        let _listener = TcpListener::bind(SERVER).unwrap();
        let mut check = Watched::new(tcp(), often());
        check.up().await;
        let mut hoard = Vec::new();
        while let Ok(file) = std::fs::File::open("/dev/null") {
            hoard.push(file);
        }
        let Change::Hindered(failure) = check.change().await else { panic!("not hindered") };
        assert!(failure.to_string().starts_with("cannot make a socket: "), "{failure}");
        let status = check.checkers.status(ID).unwrap();
        assert_eq!((status.state, status.failed), (State::Up, 0));
        drop(hoard);
        check.looks(2).await;
        assert!(check.events.try_recv().is_err());
    });
}

fn many() {
    const CHECKS: u64 = 500;
    run(async {
        let listener = TcpListener::bind(SERVER).unwrap();
        std::thread::spawn(move || while listener.accept().is_ok() {});
        let (sender, mut events) = unbounded_channel();
        let checkers = Checkers::new(sender, Environment { seed: Some(3) });
        let warmup = Duration::from_millis(500);
        let schedule = Settings { delay_loop: warmup, warmup, ..often() };
        let check = Rc::new(Check { kind: tcp(), schedule, log_all_failures: false });
        for id in (0..CHECKS).map(CheckId) {
            checkers.start(CheckSpec { id, check: check.clone(), start: Start::Fresh });
        }
        let mut up = std::collections::BTreeSet::new();
        let mut first = None;
        while up.len() < CHECKS as usize {
            let event = tokio::time::timeout(crate::PATIENCE, events.recv()).await.unwrap();
            let event = event.unwrap();
            assert!(matches!(event.change, Change::Up(_)), "{event:?}");
            assert!(up.insert(event.id));
            first = first.or(Some(event.at));
        }
        // They were spread over the warm-up, not all at once.
        assert!(first.unwrap().elapsed() > warmup / 2);
        for id in (0..CHECKS).step_by(7) {
            checkers.stop(CheckId(id));
        }
        assert_eq!(checkers.status(CheckId(7)), None);
        assert!(checkers.status(CheckId(8)).is_some());
    });
}
