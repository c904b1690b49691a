//! The built program with real processes, addresses and packets, in namespaces of its own: start,
//! stop, reload, crashes, signals, both faces of the command line.
//!
//! `cargo test -p standfast --test daemon -- reload` runs those with the word in their name.

mod balancer;
mod crash;
mod faces;
mod lifecycle;
mod reload;
mod stage;

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};

use crate::stage::Stage;

/// A test: its name and what happens.
type Test = (&'static str, fn(&mut Stage));

fn main() -> ExitCode {
    if let Err(error) = lab::enter() {
        eprintln!("daemon: {error}");
        return ExitCode::FAILURE;
    }
    let mut arguments = Arguments::from_args();
    // The tests wait most of the time.
    arguments.test_threads.get_or_insert(6);
    panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        COMPLAINT.set(format!("{place}: {}", info.payload_as_str().unwrap_or("panicked")));
    }));
    let families: [(&str, &[Test]); 5] = [
        ("balancer", balancer::TESTS),
        ("crash", crash::TESTS),
        ("faces", faces::TESTS),
        ("lifecycle", lifecycle::TESTS),
        ("reload", reload::TESTS),
    ];
    let mut trials = Vec::new();
    for (family, tests) in families {
        for &(name, test) in tests {
            trials.push(Trial::test(format!("{family}::{name}"), move || perform(test)));
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

thread_local! {
    /// What the test of this thread panicked with.
    static COMPLAINT: RefCell<String> = const { RefCell::new(String::new()) };
}

fn perform(test: fn(&mut Stage)) -> Result<(), Failed> {
    let mut stage = panic::catch_unwind(Stage::build).map_err(|_| COMPLAINT.take())?;
    panic::catch_unwind(AssertUnwindSafe(|| test(&mut stage)))
        .map_err(|_| format!("{}\n{}", COMPLAINT.take(), stage.lab.story()))?;
    Ok(())
}
