//! `standfast demo` and `standfast lab`: the laboratory of crate `lab`, with this very program on
//! its nodes.

use std::io::{stderr, stdin, stdout};

use lab::LabError;
use lab::subject::Subject;

use crate::cli::standfast::LabAction;

/// `standfast demo`.
pub(crate) fn demo() -> u8 {
    told(play_demo())
}

fn play_demo() -> Result<(), LabError> {
    lab::enter()?;
    let this = this_program()?;
    lab::demo::run(&this, &this, &mut stdout().lock()).map(drop)
}

/// `standfast lab`.
pub(crate) fn lab(action: Option<&LabAction>) -> u8 {
    match action {
        None => told(play_lab()),
        // On success the shell has taken this process over.
        Some(LabAction::Shell { node, command }) => {
            told(Err(lab::interactive::join(node, command)))
        }
    }
}

fn play_lab() -> Result<(), LabError> {
    lab::enter_known_as(Some(&lab::interactive::register()))?;
    let this = this_program()?;
    lab::interactive::run([&this, &this], &mut stdin().lock(), &mut stdout())
}

fn this_program() -> Result<Subject, LabError> {
    Subject::this_program().ok_or_else(|| LabError::Gone("the running program's file".into()))
}

fn told(result: Result<(), LabError>) -> u8 {
    match result {
        Ok(()) => 0,
        Err(error) => {
            use std::io::Write as _;
            let _ = writeln!(stderr(), "{error}");
            1
        }
    }
}
