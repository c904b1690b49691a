//! The schedule of a check: timing diagrams, and what holds whatever happens.

use std::fmt::Write as _;
use std::time::Duration;

use checkers::schedule::{Schedule, Settings, Verdict};
use checkers::{Start, State};
use proptest::prelude::*;
use standfast_checkers as checkers;
use tokio::time::Instant;

/// `delay_loop 4`, `retry 2`, `delay_before_retry 1`, no warm-up.
fn settings() -> Settings {
    Settings {
        delay_loop: Duration::from_secs(4),
        retry: 2,
        delay_before_retry: Duration::from_secs(1),
        warmup: Duration::ZERO,
        alpha: false,
        steps: 1,
        retry_when_down: false,
        from_start: false,
        fast_recovery: false,
    }
}

/// Plays results, one for each look: `+` fine, `-` failed, `!` hindered. Each look takes 100 ms.
/// Prints when each look began (in tenths of a second, rounded), at which step, and what its result
/// meant.
fn play(settings: Settings, start: Start, results: &str) -> String {
    let zero = Instant::now();
    let mut now = zero;
    let mut schedule = Schedule::new(settings, start, 0.5, now);
    let mut told = String::new();
    for result in results.chars() {
        now = schedule.poll_timeout().expect("it waits for its next look");
        let step = schedule.handle_timeout(now).expect("it is time to look");
        let seconds = (now - zero).as_millis().div_ceil(100) as f64 / 10.0;
        assert_eq!(schedule.poll_timeout(), None, "it looks");
        now += Duration::from_millis(100);
        let verdict = match result {
            '!' => {
                schedule.hindered(now);
                Verdict::Same
            }
            result => schedule.handle_result(result == '+', now),
        };
        if !told.is_empty() {
            told.push_str(", ");
        }
        write!(told, "{seconds}").unwrap();
        if settings.steps > 1 {
            write!(told, "/{step}").unwrap();
        }
        told.push(result);
        match verdict {
            Verdict::Up => told.push_str(" up"),
            Verdict::Down { retries } => write!(told, " down after {retries}").unwrap(),
            Verdict::Attempt { number } => write!(told, " attempt {number}").unwrap(),
            Verdict::Same => {}
        }
    }
    told
}

const UP: Start = Start::Resumed { up: true };
const DOWN: Start = Start::Resumed { up: false };

#[test]
fn looks_come_a_delay_loop_after_the_end_of_the_last() {
    assert_eq!(play(settings(), Start::Fresh, "+++"), "0.1+ up, 4.2+, 8.3+");
}

#[test]
fn the_first_failure_ever_counts_at_once() {
    assert_eq!(play(settings(), Start::Fresh, "--+"), "0.1- down after 0, 4.2-, 8.3+ up");
}

#[test]
fn with_alpha_the_first_failure_is_told_too() {
    let settings = Settings { alpha: true, ..settings() };
    assert_eq!(play(settings, Start::Fresh, "-+"), "0.1- down after 0, 4.2+ up");
}

#[test]
fn later_failures_are_retried() {
    assert_eq!(
        play(settings(), Start::Fresh, "+----+"),
        "0.1+ up, 4.2- attempt 1, 5.3- attempt 2, 6.4- down after 2, 10.5-, 14.6+ up"
    );
}

#[test]
fn a_success_between_failures_starts_the_count_again() {
    assert_eq!(
        play(settings(), UP, "--+--+-"),
        "0.1- attempt 1, 1.2- attempt 2, 2.3+, 6.4- attempt 1, 7.5- attempt 2, 8.6+, \
         12.7- attempt 1"
    );
}

#[test]
fn without_retries_every_failure_counts() {
    let settings = Settings { retry: 0, ..settings() };
    assert_eq!(play(settings, UP, "-+-"), "0.1- down after 0, 4.2+ up, 8.3- down after 0");
}

#[test]
fn some_checks_retry_while_down_too() {
    let settings = Settings { retry_when_down: true, ..settings() };
    assert_eq!(
        play(settings, Start::Fresh, "-------+"),
        "0.1- down after 0, 4.2-, 5.3-, 6.4-, 10.5-, 11.6-, 12.7-, 16.8+ up"
    );
}

#[test]
fn urls_are_looked_at_in_turn() {
    let settings = Settings { steps: 3, ..settings() };
    assert_eq!(
        play(settings, Start::Fresh, "+++++"),
        "0.1/0+, 4.2/1+, 8.3/2+ up, 12.4/0+, 16.5/1+"
    );
}

#[test]
fn a_url_that_fails_is_looked_at_again() {
    let settings = Settings { steps: 3, ..settings() };
    assert_eq!(
        play(settings, UP, "+-+-++"),
        "0.1/0+, 4.2/1- attempt 1, 5.3/1+, 9.4/2- attempt 1, 10.5/2+, 14.6/0+"
    );
}

#[test]
fn all_urls_must_be_fine_to_come_up() {
    let settings = Settings { steps: 3, ..settings() };
    assert_eq!(
        play(settings, DOWN, "+-+-+++"),
        "0.1/0+, 4.2/1-, 8.3/1+, 12.4/2-, 16.5/2+, 20.6/0+, 24.7/1+ up"
    );
}

#[test]
fn fast_recovery_does_not_wait_between_urls() {
    let settings = Settings { steps: 3, fast_recovery: true, ..settings() };
    assert_eq!(
        play(settings, Start::Fresh, "++-+++++"),
        "0.1/0+, 0.2/1+, 0.3/2- down after 0, 4.4/2+, 4.5/0+, 4.6/1+ up, 8.7/2+, 12.8/0+"
    );
}

#[test]
fn scripts_are_looked_at_from_start_to_start() {
    let settings = Settings { from_start: true, ..settings() };
    assert_eq!(play(settings, UP, "++--+"), "0.1+, 4.1+, 8.1- attempt 1, 9.1- attempt 2, 10.1+");
}

#[test]
fn a_script_that_overruns_begins_again_after_a_breath() {
    let settings = Settings { from_start: true, ..settings() };
    let zero = Instant::now();
    let mut schedule = Schedule::new(settings, UP, 0.0, zero);
    let first = schedule.poll_timeout().unwrap();
    schedule.handle_timeout(first);
    let end = first + Duration::from_secs(30);
    schedule.handle_result(true, end);
    assert_eq!(schedule.poll_timeout(), Some(end + Duration::from_secs(1)));
}

#[test]
fn what_could_not_look_changes_nothing() {
    assert_eq!(
        play(settings(), UP, "-!--!+"),
        "0.1- attempt 1, 1.2!, 5.3- attempt 2, 6.4- down after 2, 10.5!, 14.6+ up"
    );
}

#[test]
fn resuming_tells_only_changes() {
    assert_eq!(play(settings(), UP, "++"), "0.1+, 4.2+");
    assert_eq!(play(settings(), DOWN, "--"), "0.1-, 4.2-");
}

#[test]
fn the_first_look_is_somewhere_in_the_warm_up() {
    let now = Instant::now();
    let settings = Settings { warmup: Duration::from_secs(10), ..settings() };
    let first = |spread| Schedule::new(settings, UP, spread, now).poll_timeout().unwrap() - now;
    assert_eq!(first(0.25), Duration::from_millis(2_500));
    assert_eq!(first(1.0), Duration::from_secs(10));
    for odd in [f64::NAN, f64::INFINITY, -1.0, 1e300] {
        assert!(first(odd) <= Duration::from_secs(10), "{odd}");
    }
}

#[test]
fn suspended_it_does_not_look_and_keeps_its_state() {
    let now = Instant::now();
    let mut schedule = Schedule::new(settings(), UP, 0.0, now);
    schedule.suspend();
    assert_eq!(schedule.poll_timeout(), None);
    assert_eq!(schedule.handle_timeout(now + Duration::from_secs(99)), None);
    assert_eq!(schedule.handle_result(false, now), Verdict::Same);
    assert_eq!(schedule.state(), State::Up);
    schedule.resume(0.0, now);
    let at = schedule.poll_timeout().unwrap();
    assert_eq!(schedule.handle_timeout(at), Some(0));
}

#[test]
fn a_look_that_was_suspended_does_not_count() {
    let now = Instant::now();
    let mut schedule = Schedule::new(Settings { retry: 0, ..settings() }, UP, 0.0, now);
    let at = schedule.poll_timeout().unwrap();
    schedule.handle_timeout(at);
    schedule.suspend();
    assert_eq!(schedule.handle_result(false, at), Verdict::Same);
    assert_eq!(schedule.state(), State::Up);
    assert_eq!(schedule.poll_timeout(), None);
}

#[test]
fn what_others_tell_counts_at_once() {
    let mut schedule = Schedule::new(settings(), Start::Fresh, 0.0, Instant::now());
    assert_eq!(schedule.handle_told(true), Verdict::Up);
    assert_eq!(schedule.handle_told(true), Verdict::Same);
    assert_eq!(schedule.handle_told(false), Verdict::Down { retries: 0 });
    assert_eq!(schedule.handle_told(false), Verdict::Same);
}

#[test]
fn enormous_delays_do_not_overflow() {
    let settings = Settings {
        delay_loop: Duration::MAX,
        warmup: Duration::MAX,
        delay_before_retry: Duration::MAX,
        ..settings()
    };
    let now = Instant::now();
    let mut schedule = Schedule::new(settings, UP, 1.0, now);
    let at = schedule.poll_timeout().unwrap();
    schedule.handle_timeout(at);
    schedule.handle_result(false, at);
    assert!(schedule.poll_timeout().is_some());
}

fn any_settings() -> impl Strategy<Value = Settings> {
    let millis = |most: u64| (0..most).prop_map(Duration::from_millis);
    (
        (millis(5_000), 0..5_u32, millis(3_000), millis(5_000), any::<bool>()),
        (1..5_u32, any::<bool>(), any::<bool>(), any::<bool>()),
    )
        .prop_map(|((delay_loop, retry, delay_before_retry, warmup, alpha), rest)| Settings {
            delay_loop,
            retry,
            delay_before_retry,
            warmup,
            alpha,
            steps: rest.0,
            retry_when_down: rest.1,
            from_start: rest.2,
            fast_recovery: rest.3,
        })
}

fn any_start() -> impl Strategy<Value = Start> {
    prop_oneof![Just(Start::Fresh), Just(UP), Just(DOWN)]
}

/// What the outside can do to a schedule.
#[derive(Clone, Copy, Debug)]
enum Act {
    Result { fine: bool, takes: u64 },
    Hindered,
    Suspend,
    Resume(f64),
    Early,
}

fn any_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (any::<bool>(), 0..9_000_u64).prop_map(|(fine, takes)| Act::Result { fine, takes }),
        1 => Just(Act::Hindered),
        1 => Just(Act::Suspend),
        2 => (0.0..1.0_f64).prop_map(Act::Resume),
        1 => Just(Act::Early),
    ]
}

proptest! {
    /// A model of what the schedule promises, kept beside it.
    #[test]
    fn its_promises_hold(
        settings in any_settings(),
        start in any_start(),
        acts in prop::collection::vec(any_act(), 1..80),
    ) {
        let mut now = Instant::now();
        let mut schedule = Schedule::new(settings, start, 0.7, now);
        let mut looking = false;
        let mut failures_in_a_row = 0_u32;
        let mut fine_in_a_row = 0_u32;
        for act in acts {
            let before = schedule.state();
            if !looking && let Some(at) = schedule.poll_timeout() {
                // Never at once, never later than the longest wait.
                prop_assert!(at > now);
                let longest = settings
                    .delay_loop
                    .max(settings.delay_before_retry)
                    .max(settings.warmup)
                    .max(Duration::from_millis(1));
                prop_assert!(at - now <= longest);
                if matches!(act, Act::Early) {
                    let early = at - Duration::from_nanos(1);
                    prop_assert_eq!(schedule.handle_timeout(early), None);
                    continue;
                }
                now = at;
                let step = schedule.handle_timeout(now);
                prop_assert!(step.is_some_and(|step| step < settings.steps));
                prop_assert_eq!(schedule.handle_timeout(now), None);
                looking = true;
            }
            match act {
                Act::Result { fine, takes } => {
                    now += Duration::from_millis(takes);
                    let verdict = schedule.handle_result(fine, now);
                    if !looking {
                        prop_assert_eq!(verdict, Verdict::Same);
                        prop_assert_eq!(schedule.state(), before);
                        continue;
                    }
                    looking = false;
                    if fine {
                        failures_in_a_row = 0;
                        fine_in_a_row += 1;
                    } else {
                        failures_in_a_row += 1;
                        fine_in_a_row = 0;
                    }
                    let after = schedule.state();
                    match verdict {
                        Verdict::Up => {
                            prop_assert_ne!(before, State::Up);
                            prop_assert_eq!(after, State::Up);
                            prop_assert!(fine_in_a_row >= settings.steps);
                        }
                        Verdict::Down { retries } => {
                            prop_assert_ne!(before, State::Down);
                            prop_assert_eq!(after, State::Down);
                            let wanted = if before == State::Up { settings.retry } else { 0 };
                            prop_assert_eq!(retries, wanted);
                            if before == State::Up {
                                prop_assert_eq!(failures_in_a_row, settings.retry + 1);
                            }
                        }
                        Verdict::Attempt { number } => {
                            prop_assert_eq!((before, after), (State::Up, State::Up));
                            prop_assert!((1..=settings.retry).contains(&number));
                            prop_assert_eq!(number, failures_in_a_row);
                        }
                        Verdict::Same => prop_assert_eq!(before, after),
                    }
                    // It never stays up beyond its retries, nor down when all is fine.
                    if after == State::Up {
                        prop_assert!(failures_in_a_row <= settings.retry);
                    } else {
                        prop_assert!(fine_in_a_row < settings.steps);
                    }
                }
                Act::Hindered => {
                    schedule.hindered(now);
                    prop_assert_eq!(schedule.state(), before);
                    looking = false;
                }
                Act::Suspend => {
                    schedule.suspend();
                    looking = false;
                    prop_assert_eq!(schedule.poll_timeout(), None);
                    prop_assert_eq!(schedule.state(), before);
                }
                Act::Resume(spread) => {
                    let waited_for = schedule.poll_timeout();
                    let suspended = schedule.is_suspended();
                    schedule.resume(spread, now);
                    prop_assert!(!schedule.is_suspended());
                    if !suspended {
                        prop_assert_eq!(schedule.poll_timeout(), waited_for);
                    }
                }
                Act::Early => {}
            }
        }
    }
}
