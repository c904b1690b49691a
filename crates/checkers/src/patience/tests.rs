//! Time that is lost, by a clock that is told how late it is and by a runtime that stands still.

use super::*;

const LIMIT: Duration = Duration::from_secs(5);

fn late(by: Duration) -> Option<Duration> {
    let began = Instant::now();
    let mut patience = Patience::since(began, LIMIT);
    let now = began + LIMIT + by;
    patience.prolong(now).then(|| patience.until() - now)
}

#[test]
fn lost_time_is_given_back() {
    assert_eq!(late(Duration::ZERO), None);
    // A busy runtime, a coarse timer.
    assert_eq!(late(Duration::from_millis(20)), None);
    assert_eq!(late(Duration::from_millis(300)), Some(Duration::from_millis(300)));
    // The machine slept: nobody gets an hour.
    assert_eq!(late(Duration::from_secs(3600)), Some(LIMIT));
}

#[test]
fn who_is_always_late_gives_up_all_the_same() {
    let mut now = Instant::now();
    let mut patience = Patience::since(now, LIMIT);
    let mut rounds = 0;
    while {
        now = patience.until() + LIMIT;
        patience.prolong(now)
    } {
        rounds += 1;
        assert!(rounds < 10);
    }
    assert_eq!(rounds, PROLONGATIONS);
}

#[test]
fn what_was_over_before_is_not_late() {
    let before = Instant::now() - Duration::from_secs(60);
    let mut patience = Patience::new(LIMIT).and_until(before);
    assert!(patience.until() > before);
    assert!(!patience.prolong(patience.until()));
    let soon = Instant::now() + Duration::from_secs(1);
    assert_eq!(Patience::new(LIMIT).and_until(soon).until(), soon);
}

fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(test)
}

#[test]
fn nothing_comes() {
    let began = Instant::now();
    assert_eq!(run(within(Duration::from_millis(30), std::future::pending::<()>())), None);
    assert!(began.elapsed() >= Duration::from_millis(30));
}

#[test]
fn what_has_come_counts_however_late_it_is_fetched() {
    let (tell, told) = tokio::sync::oneshot::channel();
    let limit = Duration::from_millis(30);
    let came = run(async {
        let wait = within(limit, told);
        let stand_still = async {
            std::thread::sleep(limit * 10);
            tell.send(7).expect("heard");
        };
        tokio::join!(wait, stand_still).0
    });
    assert_eq!(came, Some(Ok(7)));
}

/// Somebody who stood still with us answers only after that.
#[test]
fn who_stood_still_with_us_may_answer_afterwards() {
    let limit = Duration::from_millis(500);
    let came = run(async {
        let (ask, asked) = tokio::sync::oneshot::channel();
        let (tell, told) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            asked.blocking_recv().expect("asked");
            tell.send(7).expect("heard");
        });
        let wait = within(limit, told);
        let stand_still = async {
            std::thread::sleep(limit * 2);
            // The wait is over, and noticed to be, before this is even asked.
            tokio::time::sleep(Duration::from_millis(1)).await;
            ask.send(()).expect("heard");
        };
        tokio::join!(wait, stand_still).0
    });
    assert_eq!(came, Some(Ok(7)));
}
