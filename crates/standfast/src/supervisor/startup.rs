//! The startup script, with an ear for signals: a daemon that is told to stop does not first wait
//! for a script, and one that is told to reload does so when it has started.

use std::io;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use notify::event::Outcome;
use notify::settings::ScriptCommand;
use sys::event_loop::{EventLoop, Interest, Token};
use sys::signals::{Signal, Signals};

const SCRIPT_END: Token = Token(4);

/// How the start goes on after the script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// No signal that matters came.
    Nothing,
    /// SIGHUP: reload as soon as there is something to reload.
    Reload,
    /// The daemon is to stop. The script is ended with it.
    Stop,
}

/// Runs the script to its end, or until a signal ends the start. Logs how it went.
///
/// # Errors
/// Out of descriptors or threads.
pub(super) fn run(
    script: ScriptCommand,
    timeout: Duration,
    ignore_interrupt: bool,
    events: &mut EventLoop,
    signals: &mut Signals,
) -> io::Result<Heard> {
    // The thread's end of the pair closes when the script has ended.
    let (ended, running) = UnixStream::pair()?;
    events.register(&ended, SCRIPT_END, Interest::Readable)?;
    let thread = std::thread::Builder::new().name("startup_script".into()).spawn(move || {
        let outcome = notify::oneshot::run(&script, timeout);
        drop(running);
        outcome
    })?;
    let mut heard = Heard::Nothing;
    let mut ready = Vec::new();
    loop {
        events.wait(None, &mut ready)?;
        while let Some(received) = signals.read()? {
            match received.signal {
                Signal::Interrupt if ignore_interrupt => {}
                Signal::Terminate | Signal::Interrupt => return Ok(Heard::Stop),
                Signal::Reload => heard = Heard::Reload,
                _ => {}
            }
        }
        if ready.iter().any(|event| event.token == SCRIPT_END) {
            break;
        }
    }
    events.deregister(&ended)?;
    match thread.join() {
        Ok(outcome) => tell(&outcome),
        Err(_) => log::error!("startup_script: its thread failed"),
    }
    Ok(heard)
}

fn tell(outcome: &Outcome) {
    if outcome.is_success() {
        log::info!("startup_script done");
    } else {
        log::error!("startup_script {outcome}");
    }
}
