//! The log lines of this crate, all of them, made from reports.

use crate::event::{
    DropReason, FifoEvent, Outcome, Report, TrackerDetail, TrackerKind, TrackerReport, TrackerState,
};

/// Logs what an operator should know of a report.
pub(crate) fn log(report: &Report) {
    match report {
        Report::Tracker(report) => log_tracker(report),
        Report::ScriptFinished { subject, program, outcome, took } => {
            let (program, took) = (program.display(), took.as_secs_f64());
            match outcome {
                Outcome::Exited(0) => {
                    log::debug!("notify script {program} for {subject} done in {took:.3} s");
                }
                _ => log::warn!("notify script {program} for {subject} {outcome} ({took:.3} s)"),
            }
        }
        Report::ScriptDropped { subject, program, reason } => {
            let program = program.display();
            match reason {
                DropReason::QueueFull => log::error!(
                    "notify script {program} for {subject} was NOT run: too many are waiting. \
                     Find out why scripts of {subject} take so long"
                ),
                DropReason::Deadline => log::error!(
                    "notify script {program} for {subject} was NOT run: the daemon had to stop \
                     before its turn came"
                ),
            }
        }
        Report::Fifo { path, event } => {
            let path = path.display();
            match event {
                FifoEvent::CannotOpen(why) => log::error!("FIFO {path}: {why}; lines are kept"),
                FifoEvent::Opened { created: true } => log::info!("FIFO {path} created"),
                FifoEvent::Opened { created: false } => log::info!("FIFO {path} opened"),
                FifoEvent::Full => {
                    log::warn!("FIFO {path} is full, nobody reads it; lines are kept in memory");
                }
                FifoEvent::CaughtUp => log::info!("FIFO {path}: all kept lines are written"),
                FifoEvent::Dropped(count) => log::error!(
                    "FIFO {path}: {count} line(s) lost, more than memory is meant for: \
                     its reader is missing or too slow"
                ),
                FifoEvent::ReaderEnded { outcome, restart_in } => log::warn!(
                    "FIFO {path}: its reader {outcome}; started again in {} s",
                    restart_in.as_secs()
                ),
            }
        }
        Report::Stopped { unfinished_scripts, unwritten_lines, unread_fifos } => {
            if *unfinished_scripts > 0 {
                log::error!("{unfinished_scripts} notify script(s) did not finish in time");
            }
            if *unwritten_lines > 0 || *unread_fifos > 0 {
                log::warn!(
                    "{unread_fifos} FIFO(s) held unread lines at the end, \
                     {unwritten_lines} line(s) were never written"
                );
            }
        }
    }
}

fn log_tracker(report: &TrackerReport) {
    let name = &report.id.name;
    match (report.id.kind, report.state, &report.detail) {
        (_, _, TrackerDetail::CarriedOver) => {}
        (TrackerKind::Script, TrackerState::Up, _) => log::info!("VRRP_Script({name}) succeeded"),
        (TrackerKind::Script, _, TrackerDetail::ScriptRun { outcome, .. }) => {
            log::warn!("VRRP_Script({name}) failed ({outcome})");
        }
        (TrackerKind::Script, _, _) => log::info!("VRRP_Script({name}) counts as failed at start"),
        (TrackerKind::Process, state, TrackerDetail::Processes { count, .. }) => {
            let verdict = if state == TrackerState::Up { "within" } else { "outside" };
            log::info!("track_process {name}: {count} process(es), {verdict} quorum");
        }
        (_, TrackerState::Value(value), TrackerDetail::File { path, content }) => {
            let path = path.display();
            log::info!("track_file {name}: {value} ({content}) from {path}");
        }
        _ => {}
    }
}
