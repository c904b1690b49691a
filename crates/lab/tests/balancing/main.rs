//! Load balancing: the same configurations, the same clients and the same failures, with Debian's
//! Keepalived and with Standfast, on a kernel that has IPVS.
//!
//! The program runs itself again in a virtual machine (`tools/vm`), or on this machine when its
//! kernel has IPVS and we are root; the inner run plays the scenarios, the outer one reports them.
//! `cargo test -p standfast-lab --test balancing -- checks::` plays a family; `STANDFAST_BIN`
//! names the binary (`none`: leave ours out); `STANDFAST_CONFIGS` names a directory of further
//! configurations whose tables are compared; `STANDFAST_NOTES=1` prints what the scenarios note
//! and whatever else the inner run prints; `STANDFAST_VM=always` takes the machine although
//! this kernel would do.

mod adopt;
mod cases;
mod checks;
mod drain;
mod fifo;
mod play;
mod reload;
mod server;
mod stop;
mod strangers;
mod syncd;
mod table;
mod traffic;
mod transitions;

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::process::{Command, ExitCode};
use std::sync::{Arc, LazyLock, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::json;
use standfast_lab::journal::Journal;
use standfast_lab::subject::Subject;
use standfast_lab::vm::{self, Size};

use crate::play::Play;

/// The machine: the scenarios wait most of the time.
const SIZE: Size = Size { memory: 2048, processors: 2, limit: Duration::from_secs(1200) };

/// How many scenarios are played at a time.
const THREADS: usize = 8;

/// How long the outer run waits for one result: the machine is ended before.
const PATIENCE: Duration = Duration::from_secs(1300);

/// Set: print the notes.
const NOTES: &str = "STANDFAST_NOTES";

/// A result begins so on the inner run's output.
const RESULT: &str = "@result ";

/// A scenario: its play, and which programs play it.
#[derive(Clone)]
pub(crate) struct Scenario {
    name: String,
    play: Arc<dyn Fn(&mut Play) + Send + Sync>,
    /// Standfast must do it as Keepalived did it: [`Play::note`] is compared.
    compared: bool,
    /// Keepalived has nothing like it, or does it wrong.
    standfast_only: bool,
}

impl Scenario {
    /// Both programs play it; what they note must be equal.
    pub(crate) fn new(
        name: impl Into<String>,
        play: impl Fn(&mut Play) + Send + Sync + 'static,
    ) -> Self {
        Self { name: name.into(), play: Arc::new(play), compared: true, standfast_only: false }
    }

    /// Only ours plays it.
    pub(crate) fn standfast_only(mut self) -> Self {
        self.standfast_only = true;
        self
    }
}

fn scenarios() -> Vec<(&'static str, Vec<Scenario>)> {
    vec![
        ("adopt", adopt::scenarios()),
        ("checks", checks::scenarios()),
        ("drain", drain::scenarios()),
        ("reload", reload::scenarios()),
        ("stop", stop::scenarios()),
        ("strangers", strangers::scenarios()),
        ("syncd", syncd::scenarios()),
        ("table", table::scenarios()),
        ("traffic", traffic::scenarios()),
        ("transitions", transitions::scenarios()),
    ]
}

fn main() -> ExitCode {
    if Subject::keepalived().is_none() {
        eprintln!("balancing: Keepalived is not installed; `make deps` installs it");
        return ExitCode::FAILURE;
    }
    // Without ours nothing is compared: that must be wanted.
    let left_out = std::env::var("STANDFAST_BIN").is_ok_and(|value| value == "none");
    if Subject::standfast().is_none() && !left_out {
        eprintln!(
            "balancing: there is no standfast in the target directory: cargo build -p standfast"
        );
        return ExitCode::FAILURE;
    }
    let arguments = Arguments::from_args();
    if vm::inside() { inner(arguments) } else { outer(arguments) }
}

/// Every scenario as a test that waits for the inner run to tell its result.
fn outer(mut arguments: Arguments) -> ExitCode {
    arguments.test_threads = Some(1);
    let run = Arc::new(OnceLock::new());
    let mut trials = Vec::new();
    for (family, list) in scenarios() {
        for scenario in list {
            let name = format!("{family}::{}", scenario.name);
            let (run, wanted) = (Arc::clone(&run), name.clone());
            trials.push(Trial::test(name, move || {
                let results: &Journal<Told> = run.get_or_init(start);
                await_result(results, &wanted)
            }));
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// What the inner run tells.
#[derive(Clone)]
enum Told {
    Result { name: String, failure: Option<String> },
    Ended(String),
}

/// Starts the inner run with the arguments of this one.
fn start() -> Journal<Told> {
    let results = Journal::default();
    let told = results.clone();
    thread::spawn(move || {
        let words: Vec<String> = std::env::args().skip(1).collect();
        let mut last = Vec::new();
        let status = vm::again(SIZE, &words, |line| {
            if std::env::var_os(NOTES).is_some() {
                eprintln!("{line}");
            }
            let Some(result) = line.strip_prefix(RESULT).and_then(read) else {
                last.push(line.to_owned());
                let surplus = last.len().saturating_sub(80);
                last.drain(..surplus);
                return;
            };
            told.push(result);
        });
        let end = match status {
            Ok(status) => format!("the machine ended with {status}"),
            Err(error) => error.to_string(),
        };
        told.push(Told::Ended(format!("{end}; its last words:\n{}", last.join("\n"))));
    });
    results
}

fn read(text: &str) -> Option<Told> {
    let value: serde_json::Value = serde_json::from_str(text).ok()?;
    Some(Told::Result {
        name: value["name"].as_str()?.to_owned(),
        failure: value["failure"].as_str().map(str::to_owned),
    })
}

fn await_result(results: &Journal<Told>, wanted: &str) -> Result<(), Failed> {
    let answer = results.wait(PATIENCE, |all| {
        all.iter().find_map(|told| match told {
            Told::Result { name, failure } if name == wanted => Some(failure.clone()),
            Told::Ended(how) => Some(Some(how.clone())),
            Told::Result { .. } => None,
        })
    });
    match answer {
        Some(None) => Ok(()),
        Some(Some(failure)) => Err(failure.into()),
        None => Err("no result".into()),
    }
}

/// Plays the scenarios and prints a line for each result.
fn inner(mut arguments: Arguments) -> ExitCode {
    load_modules();
    if let Err(error) = standfast_lab::enter() {
        eprintln!("balancing: {error}");
        return ExitCode::FAILURE;
    }
    arguments.test_threads = Some(THREADS);
    panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let text = info.payload_as_str().unwrap_or("panicked");
        COMPLAINT.set(format!("{place}: {text}"));
    }));
    let mut trials = Vec::new();
    for (family, list) in scenarios() {
        for scenario in list {
            let name = format!("{family}::{}", scenario.name);
            trials.push(Trial::test(name.clone(), move || {
                let begin = Instant::now();
                let result = attempt(&scenario);
                let took = begin.elapsed().as_secs_f64();
                let failure = result.as_ref().err();
                let line = json!({ "name": name, "failure": failure, "seconds": took });
                println!("{RESULT}{line}");
                result.map_err(Failed::from)
            }));
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Once and before anybody waits for them. What this kernel has not, it has not: the scenarios
/// see it.
fn load_modules() {
    if standfast_lab::enclosed() {
        return;
    }
    for module in MODULES {
        let _ = Command::new("modprobe").args(["-q", module]).status();
    }
}

const MODULES: &[&str] = &[
    "veth",
    "bridge",
    "ipip",
    "ip_gre",
    "fou",
    "nf_tables",
    "ip_vs",
    "ip_vs_rr",
    "ip_vs_wrr",
    "ip_vs_lc",
    "ip_vs_wlc",
    "ip_vs_lblc",
    "ip_vs_lblcr",
    "ip_vs_sh",
    "ip_vs_mh",
    "ip_vs_dh",
    "ip_vs_fo",
    "ip_vs_ovf",
    "ip_vs_sed",
    "ip_vs_nq",
    "ip_vs_twos",
    "ip_vs_pe_sip",
];

thread_local! {
    /// What the scenario of this thread panicked with.
    static COMPLAINT: RefCell<String> = const { RefCell::new(String::new()) };
}

/// What is played with.
static SUBJECTS: LazyLock<(Option<Subject>, Option<Subject>)> =
    LazyLock::new(|| (Subject::keepalived(), Subject::standfast()));

/// Both programs play at the same time; then their notes are compared.
fn attempt(scenario: &Scenario) -> Result<(), String> {
    let (keepalived, standfast) = &*SUBJECTS;
    let keepalived = keepalived.as_ref().filter(|_| !scenario.standfast_only);
    let (theirs, ours) = thread::scope(|scope| {
        let theirs = keepalived.map(|subject| scope.spawn(|| played(scenario, subject)));
        let ours = standfast.as_ref().map(|subject| scope.spawn(|| played(scenario, subject)));
        let gone = |_| Err("the play's thread died".to_owned());
        (
            theirs.map(|it| it.join().unwrap_or_else(gone)),
            ours.map(|it| it.join().unwrap_or_else(gone)),
        )
    });
    let (theirs, ours) = (theirs.transpose()?, ours.transpose()?);
    if std::env::var_os(NOTES).is_some() {
        for (who, notes) in [("keepalived", &theirs), ("standfast", &ours)] {
            let notes = notes.iter().flatten().map(|note| format!("    {note}\n"));
            println!("{} ({who}):\n{}", scenario.name, notes.collect::<String>());
        }
    }
    let (Some(theirs), Some(ours)) = (theirs, ours) else { return Ok(()) };
    if !scenario.compared || theirs == ours {
        return Ok(());
    }
    Err(format!("the notes differ (- keepalived, + standfast):\n{}", differences(&theirs, &ours)))
}

fn played(scenario: &Scenario, subject: &Subject) -> Result<Vec<String>, String> {
    let told = |story: &str| format!("({subject}) {}\n{story}", COMPLAINT.take());
    let mut play = panic::catch_unwind(|| Play::new(subject)).map_err(|_| told(""))?;
    panic::catch_unwind(AssertUnwindSafe(|| (scenario.play)(&mut play)))
        .map_err(|_| told(&play.story()))?;
    Ok(play.into_notes())
}

/// Common lines with a blank, others with a sign: the shortest edit between two short texts.
fn differences(theirs: &[String], ours: &[String]) -> String {
    // The length of the longest common subsequence of what follows each pair of places.
    let mut common = vec![vec![0_usize; ours.len() + 1]; theirs.len() + 1];
    for left in (0..theirs.len()).rev() {
        for right in (0..ours.len()).rev() {
            common[left][right] = if theirs[left] == ours[right] {
                common[left + 1][right + 1] + 1
            } else {
                common[left + 1][right].max(common[left][right + 1])
            };
        }
    }
    let (mut left, mut right, mut text) = (0, 0, String::new());
    while left < theirs.len() || right < ours.len() {
        let (sign, line) =
            if left < theirs.len() && right < ours.len() && theirs[left] == ours[right] {
                (left, right) = (left + 1, right + 1);
                (' ', &ours[right - 1])
            } else if right == ours.len()
                || (left < theirs.len() && common[left + 1][right] >= common[left][right + 1])
            {
                left += 1;
                ('-', &theirs[left - 1])
            } else {
                right += 1;
                ('+', &ours[right - 1])
            };
        text += &format!("  {sign} {line}\n");
    }
    text
}
