//! The demonstration and the laboratory without the product: with Keepalived on both nodes.
//!
//! `cargo run -p standfast-lab --example laboratory -- demo` (or `lab`, or `shell n1`).

use std::io::{stdin, stdout};
use std::process::ExitCode;

use standfast_lab::subject::Subject;
use standfast_lab::{LabError, demo, enter_known_as, interactive};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), LabError> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let keepalived = || Subject::keepalived().ok_or_else(|| LabError::Gone("Keepalived".into()));
    match words.as_slice() {
        ["demo"] => {
            enter_known_as(None)?;
            let subject = keepalived()?;
            demo::run(&subject, &subject, &mut stdout()).map(drop)
        }
        ["lab"] => {
            enter_known_as(Some(&interactive::register()))?;
            let subject = keepalived()?;
            interactive::run([&subject, &subject], &mut stdin().lock(), &mut stdout())
        }
        ["shell", machine, command @ ..] => {
            let command: Vec<String> = command.iter().map(ToString::to_string).collect();
            Err(interactive::join(machine, &command))
        }
        _ => Err(LabError::Gone("the word demo, lab or shell".into())),
    }
}
