//! The queue in virtual time.

use super::*;

const OPS: &str = "ops@example.net";
const NIGHT: &str = "night@example.net";

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn alert(name: &str) -> Alert {
    Alert { mail: Mail::new(name, "=> text <="), at: SystemTime::UNIX_EPOCH }
}

fn taken() -> Attempt {
    Attempt::Answered { refused: Vec::new(), deferred: Vec::new() }
}

fn failed() -> Attempt {
    Attempt::Failed("Connection refused".into())
}

struct Bench {
    queue: Queue,
    begun: Instant,
    now: Instant,
    reports: Vec<MailReport>,
}

impl Bench {
    fn new(recipients: &[&str]) -> Self {
        Self::with(Pace::default(), recipients)
    }

    fn with(pace: Pace, recipients: &[&str]) -> Self {
        let recipients: Vec<String> = recipients.iter().map(ToString::to_string).collect();
        let begun = Instant::now();
        let queue = Queue::new(pace, &recipients);
        Self { queue, begun, now: begun, reports: Vec::new() }
    }

    /// So many milliseconds after the beginning.
    fn at(&mut self, ms: u64) -> &mut Self {
        self.now = self.begun + Duration::from_millis(ms);
        self
    }

    fn push(&mut self, name: &str) {
        self.queue.push(alert(name), self.now, &mut self.reports);
    }

    /// Subjects of what is sent now, and to whom.
    fn take(&mut self) -> Option<(Vec<String>, Vec<String>)> {
        let parcel = self.queue.take(self.now, &mut self.reports)?;
        let subjects = parcel.alerts.iter().map(|alert| alert.mail.subject.clone()).collect();
        Some((subjects, parcel.to.to_vec()))
    }

    fn subjects(&mut self) -> Vec<String> {
        self.take().map(|(subjects, _)| subjects).unwrap_or_default()
    }

    fn finish(&mut self, attempt: Attempt) {
        self.queue.finish(attempt, self.now, &mut self.reports);
    }

    fn deadline(&self) -> Option<u128> {
        self.queue.deadline().map(|at| at.duration_since(self.begun).as_millis())
    }
}

#[test]
fn a_burst_shares_a_message_and_what_comes_later_has_its_own() {
    let mut bench = Bench::new(&[OPS]);
    bench.push("a");
    assert_eq!(bench.deadline(), Some(2_000));
    bench.at(1_500).push("b");
    assert_eq!(bench.at(1_999).take(), None);
    assert_eq!(bench.at(2_000).subjects(), ["a", "b"]);
    bench.push("c");
    assert_eq!(bench.at(9_000).take(), None, "one attempt at a time");
    bench.finish(taken());
    assert_eq!(bench.subjects(), ["c"]);
    bench.finish(taken());
    assert_eq!((bench.queue.unsent(), bench.deadline()), (0, None));
    let delivered = |alerts| MailReport::Delivered { alerts, recipients: 1 };
    assert_eq!(bench.reports, [delivered(2), delivered(1)]);
}

#[test]
fn a_server_that_is_away_is_tried_at_growing_intervals_and_gets_all_in_one() {
    let mut bench = Bench::new(&[OPS]);
    bench.push("0");
    let mut at = 2_000;
    for (n, delay) in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300].into_iter().enumerate() {
        assert_eq!(bench.deadline(), Some(at.into()));
        assert_eq!(bench.at(at - 1).take(), None);
        let waiting: Vec<String> = (0..=n).map(|n| n.to_string()).collect();
        assert_eq!(bench.at(at).subjects(), waiting);
        bench.finish(failed());
        assert_eq!(
            bench.reports.pop(),
            Some(MailReport::Failed {
                alerts: n + 1,
                why: "Connection refused".into(),
                again_in: seconds(delay)
            })
        );
        // Something happens meanwhile: it waits too.
        bench.push(&(n + 1).to_string());
        at += delay * 1_000;
        // Its window ends at the earliest 2 s from now, and the older ones need not wait for it.
    }
    assert_eq!(bench.at(at).subjects().len(), 12);
    bench.finish(taken());
    // All is well again: the next trouble begins with short intervals.
    bench.push("x");
    assert_eq!(bench.at(at + 2_000).subjects(), ["x"]);
    bench.finish(failed());
    assert_eq!(bench.deadline(), Some((at + 3_000).into()));
}

#[test]
fn one_recipient_s_trouble_is_not_the_other_s() {
    let mut bench = Bench::new(&[OPS, NIGHT]);
    bench.push("a");
    bench.at(2_000).take().unwrap();
    let deferred = vec![(NIGHT.to_owned(), "450 later".to_owned())];
    bench.finish(Attempt::Answered { refused: Vec::new(), deferred: deferred.clone() });
    bench.push("b");
    // The one who was put off gets what is due, and only that.
    assert_eq!(bench.at(3_000).take(), Some((vec!["a".into()], vec![NIGHT.into()])));
    bench.finish(Attempt::Answered { refused: Vec::new(), deferred });
    assert_eq!(
        bench.at(4_000).take(),
        Some((vec!["b".into()], vec![OPS.into(), NIGHT.into()])),
        "new alerts are for both"
    );
    bench.finish(taken());
    assert_eq!(bench.deadline(), Some(5_000), "the second time, after 2 s");
    assert_eq!(bench.at(5_000).take(), Some((vec!["a".into()], vec![NIGHT.into()])));
    bench.finish(Attempt::Answered {
        refused: vec![(NIGHT.to_owned(), "550 no such user".to_owned())],
        deferred: Vec::new(),
    });
    assert_eq!(bench.queue.unsent(), 0);
    assert!(matches!(bench.reports.last(), Some(MailReport::Refused { alerts: 1, .. })));
}

#[test]
fn after_a_day_it_is_given_up_and_the_next_message_says_so() {
    let mut bench = Bench::new(&[OPS]);
    bench.push("a");
    bench.at(2_000).take().unwrap();
    bench.finish(failed());
    bench.at(24 * 3_600_000 - 1);
    bench.take().unwrap();
    bench.finish(failed());
    bench.at(24 * 3_600_000);
    assert_eq!(bench.take(), None);
    assert!(matches!(bench.reports.last(), Some(MailReport::GivenUp { alerts: 1, .. })));
    bench.push("b");
    bench.at(24 * 3_600_000 + 10_000);
    let parcel = bench.queue.take(bench.now, &mut bench.reports).unwrap();
    assert_eq!((parcel.alerts.len(), parcel.lost), (1, 1));
    bench.finish(taken());
    bench.push("c");
    bench.at(24 * 3_600_000 + 20_000);
    assert_eq!(bench.queue.take(bench.now, &mut bench.reports).unwrap().lost, 0, "told once");
}

#[test]
fn beyond_the_bound_the_oldest_go_and_it_is_told_once() {
    let mut bench = Bench::with(Pace { queue: 3, ..Pace::default() }, &[OPS]);
    for name in ["a", "b", "c", "d", "e"] {
        bench.push(name);
    }
    assert_eq!(bench.reports, [MailReport::Overflow { waiting: 3 }]);
    bench.at(2_000);
    let parcel = bench.queue.take(bench.now, &mut bench.reports).unwrap();
    assert_eq!((parcel.alerts[0].mail.subject.as_str(), parcel.lost), ("c", 2));
    assert_eq!(bench.queue.unsent(), 3);
}

#[test]
fn a_refused_message_is_not_repeated() {
    let mut bench = Bench::new(&[OPS]);
    bench.push("a");
    bench.at(2_000).take().unwrap();
    bench.finish(Attempt::Refused("554 no".into()));
    assert_eq!((bench.queue.unsent(), bench.deadline()), (0, None));
}

#[test]
fn at_a_stop_nothing_waits_for_windows_or_long_pauses() {
    let mut bench = Bench::new(&[OPS]);
    bench.push("a");
    bench.at(2_000).take().unwrap();
    bench.finish(failed());
    bench.push("b");
    bench.at(2_100);
    bench.queue.hurry(bench.now);
    assert_eq!(bench.subjects(), ["a", "b"]);
    bench.finish(failed());
    bench.push("c");
    assert_eq!(bench.deadline(), Some(2_350), "a moment's rest all the same");
    assert_eq!(bench.at(2_350).subjects(), ["a", "b", "c"]);
    let deferred = vec![(OPS.to_owned(), "450 later".to_owned())];
    bench.finish(Attempt::Answered { refused: Vec::new(), deferred });
    assert_eq!(bench.take(), None, "a server that says later is not asked without a pause");
    assert_eq!(bench.deadline(), Some(2_600));
    assert!(!bench.queue.is_hopeless());
    bench.at(2_600).take().unwrap();
    bench.finish(failed());
    assert!(bench.queue.is_hopeless());
    let said = bench.reports.iter().filter(|r| matches!(r, MailReport::Failed { .. })).count();
    assert_eq!(said, 2, "once before the stop and once in it");
}

#[test]
fn new_settings_are_for_what_waits_too() {
    let mut bench = Bench::new(&[OPS, NIGHT]);
    bench.push("a");
    bench.at(2_000).take().unwrap();
    let deferred = vec![(NIGHT.to_owned(), "450 later".to_owned())];
    bench.finish(Attempt::Answered { refused: Vec::new(), deferred });
    bench.push("b");
    let new: Vec<String> = vec!["day@example.net".into()];
    bench.queue.configure(Pace::default(), &new, bench.now);
    // NIGHT is no longer to get the first; the second goes to the new one.
    assert_eq!(bench.at(10_000).take(), Some((vec!["b".into()], new)));
    bench.finish(taken());
    assert_eq!(bench.queue.unsent(), 0);
}

/// Whatever happens, each alert is with its recipients, refused, lost (and counted) or waiting; it
/// is never sent to anybody twice unless an attempt failed as a whole; and the bounds hold.
#[test]
fn nothing_disappears() {
    for seed in 0..500 {
        let mut random = fastrand::Rng::with_seed(seed);
        let everybody = [OPS, NIGHT, "day@example.net"];
        let pace = Pace { queue: 20, give_up: seconds(600), ..Pace::default() };
        let mut bench = Bench::with(pace, &everybody);
        // Deliveries still owed: alert and recipient.
        let mut owed: Vec<(String, String)> = Vec::new();
        let (mut pushed, mut ms) = (0, 0);
        let (mut gone, mut told) = (0, 0);
        for _ in 0..400 {
            ms += random.u64(0..3_000);
            bench.at(ms);
            if random.u8(0..3) > 0 {
                let name = pushed.to_string();
                bench.push(&name);
                owed.extend(everybody.iter().map(|to| (name.clone(), (*to).to_owned())));
                pushed += 1;
            }
            if let Some((names, to)) = bench.take() {
                assert!(names.len() <= 20 && !names.is_empty());
                for name in &names {
                    for to in &to {
                        assert!(owed.contains(&(name.clone(), to.clone())), "{name} twice to {to}");
                    }
                }
                let sorted = names.is_sorted_by_key(|name| name.parse::<u32>().unwrap());
                assert!(sorted, "seed {seed}: {names:?}");
                if random.bool() {
                    bench.push(&format!("{pushed}"));
                    let all = everybody.iter().map(|to| (pushed.to_string(), (*to).to_owned()));
                    owed.extend(all);
                    pushed += 1;
                }
                let telling = bench.queue.telling;
                match random.u8(0..4) {
                    0 => bench.finish(failed()),
                    1 => {
                        bench.finish(Attempt::Refused("554".into()));
                        owed.retain(|(name, r)| !(names.contains(name) && to.contains(r)));
                    }
                    _ => {
                        let (mut refused, mut deferred) = (Vec::new(), Vec::new());
                        for to in &to {
                            let done = match random.u8(0..4) {
                                0 => {
                                    refused.push((to.clone(), "550".to_owned()));
                                    true
                                }
                                1 => {
                                    deferred.push((to.clone(), "450".to_owned()));
                                    false
                                }
                                _ => true,
                            };
                            if done {
                                owed.retain(|(name, r)| !(names.contains(name) && r == to));
                            }
                        }
                        bench.finish(Attempt::Answered { refused, deferred });
                    }
                }
                // A message that somebody has told of those that were lost before.
                told += telling - bench.queue.telling;
            } else if bench.queue.unsent() > 0 {
                let at = bench.queue.deadline().expect("what waits has its time");
                assert!(at > bench.now, "seed {seed}: a deadline that has passed is a busy loop");
            }
            // What is owed and does not wait was lost, and is counted as such.
            let waiting: Vec<String> =
                bench.queue.waiting.iter().map(|w| w.alert.mail.subject.clone()).collect();
            let mut lost: Vec<&String> =
                owed.iter().map(|(name, _)| name).filter(|name| !waiting.contains(name)).collect();
            lost.dedup();
            gone += lost.len() as u64;
            assert_eq!(gone, told + bench.queue.lost, "seed {seed}");
            owed.retain(|(name, _)| waiting.contains(name));
            assert!(waiting.len() <= 20, "seed {seed}: {} wait", waiting.len());
        }
    }
}
