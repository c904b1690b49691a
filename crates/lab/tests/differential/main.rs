//! Differential scenarios: the same configuration and the same events, with Debian's Keepalived
//! and with Standfast on either side.
//!
//! Every scenario is written once and runs with every pair of programs that is there: Keepalived
//! on both sides shows that the scenario is right, the mixed pairs that the two understand each
//! other. `cargo test -p standfast-lab --test differential -- election` runs a family;
//! `STANDFAST_BIN` names the binary (default: the one in the target directory; `none`: leave
//! ours out).

mod addresses;
mod conf;
mod demonstration;
mod differences;
mod election;
mod faults;
mod groups;
mod heartbeat;
mod hostile;
mod notify;
mod outputs;
mod packets;
mod reload;
mod stage;
mod tracking;

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Failed, Trial};
use standfast_lab::Plan;
use standfast_lab::subject::Subject;

use crate::stage::Stage;

/// A scenario: what it needs, and its play.
pub(crate) struct Scenario {
    name: &'static str,
    plan: Plan,
    /// With Keepalived's defects some scenarios make sense for some pairs only.
    pairs: fn(&Subject, &Subject) -> bool,
    play: fn(&mut Stage),
    /// n1 runs scripts.
    scripts: bool,
}

impl Scenario {
    /// Two machines with one link.
    pub(crate) const fn new(name: &'static str, play: fn(&mut Stage)) -> Self {
        Self { name, plan: Plan { nodes: 2, links: 1 }, pairs: |_, _| true, play, scripts: false }
    }

    /// More links per machine.
    pub(crate) const fn links(mut self, links: usize) -> Self {
        self.plan.links = links;
        self
    }

    /// More machines.
    pub(crate) const fn nodes(mut self, nodes: usize) -> Self {
        self.plan.nodes = nodes;
        self
    }

    /// n1 runs scripts. Keepalived cannot run them in a user namespace, where the kernel refuses
    /// it to set groups; there the scenario is ignored.
    pub(crate) const fn scripts(mut self) -> Self {
        self.scripts = true;
        self
    }

    /// Only with ours on both sides: Keepalived 2.2.7 has nothing to compare with.
    pub(crate) const fn standfast_only(mut self) -> Self {
        self.pairs = |first, second| first.is_standfast() && second.is_standfast();
        self
    }

    /// Only one program is needed: n1's. Runs once per program.
    pub(crate) const fn alone(mut self) -> Self {
        self.pairs = |first, second| first == second;
        self
    }
}

fn main() -> ExitCode {
    if let Err(error) = standfast_lab::enter() {
        eprintln!("differential: {error}");
        return ExitCode::FAILURE;
    }
    if Subject::keepalived().is_none() {
        eprintln!("differential: Keepalived is not installed; `make deps` installs it");
        return ExitCode::FAILURE;
    }
    let mut arguments = Arguments::from_args();
    // The scenarios wait most of the time.
    arguments.test_threads.get_or_insert(8);
    panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let text = info.payload_as_str().unwrap_or("panicked");
        COMPLAINT.set(format!("{place}: {text}"));
    }));
    let families: [(&str, &'static [Scenario]); 11] = [
        ("addresses", addresses::SCENARIOS),
        ("demonstration", demonstration::SCENARIOS),
        ("election", election::SCENARIOS),
        ("faults", faults::SCENARIOS),
        ("groups", groups::SCENARIOS),
        ("hostile", hostile::SCENARIOS),
        ("notify", notify::SCENARIOS),
        ("outputs", outputs::SCENARIOS),
        ("packets", packets::SCENARIOS),
        ("reload", reload::SCENARIOS),
        ("tracking", tracking::SCENARIOS),
    ];
    heartbeat::start();
    let pairs = Subject::pairs();
    let mut trials = Vec::new();
    for (first, second) in &pairs {
        for (family, scenarios) in families {
            for scenario in scenarios.iter().filter(|it| (it.pairs)(first, second)) {
                let name = format!("{family}::{} ({first}, {second})", scenario.name);
                let (first, second) = (first.clone(), second.clone());
                let hopeless = scenario.scripts && conf::rootless() && !first.is_standfast();
                let trial = Trial::test(name, move || perform(scenario, &first, &second));
                trials.push(trial.with_ignored_flag(hopeless));
            }
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

thread_local! {
    /// What the scenario of this thread panicked with.
    static COMPLAINT: RefCell<String> = const { RefCell::new(String::new()) };
}

/// A failure counts when the machine served us meanwhile. A scenario that failed while it stood
/// still says nothing; it is played again without others beside it, a few times at most.
fn perform(scenario: &Scenario, first: &Subject, second: &Subject) -> Result<(), Failed> {
    static STAGES: RwLock<()> = RwLock::new(());
    let mut failure = {
        let _beside_others = STAGES.read().unwrap_or_else(PoisonError::into_inner);
        attempt(scenario, first, second)
    };
    for _ in 0..3 {
        let Err((text, stall)) = failure else { return Ok(()) };
        if stall < heartbeat::TOLERATED {
            return Err(format!("{text}\n(the machine stood still for {stall:?})").into());
        }
        let _alone = STAGES.write().unwrap_or_else(PoisonError::into_inner);
        eprintln!("{}: the machine stood still for {stall:?}, once more", scenario.name);
        failure = attempt(scenario, first, second);
    }
    failure.map_err(|(text, _)| text.into())
}

/// Plays the scenario; a failure comes with the time for which the machine stood still.
fn attempt(
    scenario: &Scenario,
    first: &Subject,
    second: &Subject,
) -> Result<(), (String, Duration)> {
    let begin = Instant::now();
    play(scenario, first, second).map_err(|text| (text, heartbeat::stalled(begin)))
}

fn play(scenario: &Scenario, first: &Subject, second: &Subject) -> Result<(), String> {
    let mut stage = panic::catch_unwind(|| Stage::build(scenario.plan, first, second))
        .map_err(|_| COMPLAINT.take())?;
    panic::catch_unwind(AssertUnwindSafe(|| (scenario.play)(&mut stage)))
        .map_err(|_| format!("{}\n{}", COMPLAINT.take(), stage.lab.story()))
}
