//! Any orders in any sequence: the queue holds who waits and nobody else, and nobody is heard of who
//! was stopped. In virtual time; looks are at a port of this machine that refuses at once.

use std::collections::BTreeSet;
use std::time::Duration;

use config::model::checker::FileWeight;
use proptest::prelude::*;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::LocalSet;
use tokio::time::sleep;

use super::*;
use crate::file::File;
use crate::schedule::Settings;
use crate::target::Target;

#[derive(Clone, Copy, Debug)]
enum Order {
    Start { id: u64, file: bool, retry: u32, resumed: Option<bool> },
    Stop(u64),
    Suspend(u64),
    Resume(u64),
    Value(i64),
    Wait(u64),
}

fn any_order() -> impl Strategy<Value = Order> {
    let id = || 0..5_u64;
    prop_oneof![
        3 => (id(), any::<bool>(), 0..3_u32, any::<Option<bool>>())
            .prop_map(|(id, file, retry, resumed)| Order::Start { id, file, retry, resumed }),
        1 => id().prop_map(Order::Stop),
        2 => id().prop_map(Order::Suspend),
        2 => id().prop_map(Order::Resume),
        1 => (-2..3_i64).prop_map(Order::Value),
        5 => (0..3_000_u64).prop_map(Order::Wait),
    ]
}

fn spec(id: u64, file: bool, retry: u32, resumed: Option<bool>) -> CheckSpec {
    let kind = if file {
        Kind::File(File { file: "f".into(), weight: FileWeight { value: 0, reverse: None } })
    } else {
        Kind::Tcp(Target::new("127.0.0.1:1".parse().expect("an address")))
    };
    let schedule = Settings {
        delay_loop: Duration::from_secs(1),
        retry,
        delay_before_retry: Duration::from_millis(300),
        warmup: Duration::from_millis(700),
        alpha: false,
        steps: 1,
        retry_when_down: false,
        from_start: false,
        fast_recovery: false,
    };
    let start = resumed.map_or(Start::Fresh, |up| Start::Resumed { up });
    let check = Rc::new(Check { kind, schedule, log_all_failures: false });
    CheckSpec { id: CheckId(id), check, start }
}

impl Inner {
    fn check_invariants(&self) {
        let queued: BTreeSet<(Instant, CheckId)> = self
            .checks
            .iter()
            .filter(|(_, running)| !running.check.kind.is_told())
            .filter_map(|(id, running)| Some((running.poll_timeout()?, *id)))
            .collect();
        assert_eq!(self.due, queued, "the queue holds who waits, to look or to be given up");
        for (id, running) in &self.checks {
            let looks = running.look.is_some();
            let may = running.schedule.poll_timeout().is_none() && !running.schedule.is_suspended();
            assert!(!looks || may, "{id:?} looks while it waits or is suspended");
        }
    }
}

/// Judges what was heard against what was known of each check: `None` before its first result.
fn hear(events: &mut UnboundedReceiver<Event>, known: &mut HashMap<CheckId, Option<bool>>) {
    while let Ok(event) = events.try_recv() {
        let known = known.get_mut(&event.id).expect("nobody is heard of who was stopped");
        match event.change {
            Change::Up(_) => assert_ne!(known.replace(true), Some(true), "{event:?}"),
            Change::Down { .. } => assert_ne!(known.replace(false), Some(false), "{event:?}"),
            Change::Attempt { number, of, .. } => {
                assert_eq!(*known, Some(true));
                assert!((1..=of).contains(&number));
            }
            Change::Weight(_) => assert_eq!(*known, Some(true)),
            Change::Hindered(failure) => panic!("nothing hinders: {failure}"),
        }
    }
}

async fn obey(orders: Vec<Order>) {
    let (sender, mut events) = unbounded_channel();
    let checkers = Checkers::new(sender, Environment { seed: Some(5) });
    let mut known: HashMap<CheckId, Option<bool>> = HashMap::new();
    let mut looks = HashMap::new();
    for order in orders {
        match order {
            Order::Start { id, file, retry, resumed } => {
                hear(&mut events, &mut known);
                checkers.start(spec(id, file, retry, resumed));
                known.insert(CheckId(id), resumed);
                looks.remove(&CheckId(id));
            }
            Order::Stop(id) => {
                hear(&mut events, &mut known);
                checkers.stop(CheckId(id));
                known.remove(&CheckId(id));
            }
            Order::Suspend(id) => checkers.suspend(CheckId(id)),
            Order::Resume(id) => checkers.resume(CheckId(id)),
            Order::Value(value) => checkers.file_value("f", value),
            Order::Wait(millis) => sleep(Duration::from_millis(millis)).await,
        }
        checkers.inner.borrow().check_invariants();
        hear(&mut events, &mut known);
        for (id, known) in &known {
            let status = checkers.status(*id).expect("it was started");
            let wanted = match known {
                None => State::Unknown,
                Some(true) => State::Up,
                Some(false) => State::Down,
            };
            assert_eq!(status.state, wanted);
            // What is suspended has not looked since; files are not looked at, they tell.
            let inner = checkers.inner.borrow();
            let waits = status.suspended && !inner.checks[id].check.kind.is_told();
            let before = looks.insert(*id, (waits, status.runs));
            if let (Some((true, runs)), true) = (before, waits) {
                assert_eq!(status.runs, runs);
            }
        }
        assert_eq!(checkers.inner.borrow().checks.len(), known.len());
    }
    // Those that may look do so within their longest wait.
    let waiting: Vec<CheckId> = checkers.inner.borrow().due.iter().map(|(_, id)| *id).collect();
    let runs = |id| checkers.status(id).map_or(0, |status| status.runs);
    let before: Vec<u64> = waiting.iter().map(|id| runs(*id)).collect();
    sleep(Duration::from_millis(1_100)).await;
    for (id, before) in waiting.into_iter().zip(before) {
        assert!(runs(id) > before, "{id:?} is forgotten");
    }
}

proptest! {
    #[test]
    fn orders_are_obeyed(orders in prop::collection::vec(any_order(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .expect("a runtime");
        LocalSet::new().block_on(&runtime, obey(orders));
    }
}
