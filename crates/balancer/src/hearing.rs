//! What comes in: the supervisor's orders, results of checks, answers of the DNS, addresses, reports
//! of the other threads, IPVS, and what clients ask.

use std::collections::BTreeMap;

use checkers::Change;
use netlink::ipvs::{ServiceKey, SyncDaemon, SyncRole, Timeouts};
use notify::event::{FifoEvent, Report, TrackerKind, TrackerState};
use status::Severity;
use status::api::{Reply, Request};
use status::balancing::ALL;
use status::control::{Dump, FromRole, ToRole};
use sys::channel::Incoming;
use sys::signals::Signal;

use crate::addresses::News;
use crate::balancer::{Balancer, LOOK_EVERY, LOOK_ON, Opened, RETRY_EVERY, stamp};
use crate::core::{Adjustment, CheckResult, Input};
use crate::names::Resolution;
use crate::role::now;

/// Results taken in one turn: timers and clients want their turn too.
const AT_ONCE: usize = 4096;

impl Balancer {
    // ---- the supervisor ---------------------------------------------------------------------

    pub(crate) fn hear_supervisor(&mut self) {
        loop {
            match self.channel.receive() {
                Ok(Incoming::Message { bytes, descriptors }) => {
                    match serde_json::from_slice::<ToRole>(&bytes) {
                        Ok(ToRole::Stop) => self.stop(),
                        Ok(ToRole::Reload { generation }) => {
                            let file = descriptors.into_iter().next().map(std::fs::File::from);
                            self.reload(generation, file);
                        }
                        Ok(ToRole::ReloadRefused { reason }) => {
                            self.note(
                                Severity::Error,
                                "reload-refused",
                                format!(
                                    "Reload refused, the running configuration stays: {reason}"
                                ),
                                Some("standfast check tells every finding".to_owned()),
                            );
                            self.reload_refused = Some(reason);
                        }
                        Ok(ToRole::Dump { what }) => self.dump(what),
                        Err(error) => log::warn!("the supervisor says something unknown: {error}"),
                    }
                }
                Ok(Incoming::Empty) => return,
                Ok(Incoming::Closed) => {
                    // Without a supervisor nobody would restart us or clean up behind us.
                    self.orphaned = true;
                    if !self.stopping {
                        log::error!("the supervisor is gone; the virtual servers end");
                    }
                    self.stop();
                    return;
                }
                Err(error) => {
                    log::warn!("channel to the supervisor: {error}");
                    return;
                }
            }
        }
    }

    /// Signals that are meant for the supervisor, and what this role can do about them itself.
    pub(crate) fn hear_signals(&mut self) {
        while let Ok(Some(received)) = self.signals.read() {
            match received.signal {
                Signal::Terminate | Signal::Interrupt => self.stop(),
                Signal::DumpData => self.dump(Dump::Data),
                Signal::CpuLimit => log::warn!("a real-time limit was reached (SIGXCPU)"),
                // A reload is the supervisor's, ends of scripts are others', and Keepalived has
                // neither statistics nor JSON of its checks.
                Signal::Reload
                | Signal::Child
                | Signal::DumpStats
                | Signal::ClearStats
                | Signal::DumpJson => {}
            }
        }
    }

    // ---- checks and names -------------------------------------------------------------------

    /// Takes the results in that have piled up.
    pub(crate) fn hear_checks(&mut self, first: checkers::Event) {
        self.hear_check(first);
        for _ in 1..AT_ONCE {
            match self.results.try_recv() {
                Ok(event) => self.hear_check(event),
                Err(_) => break,
            }
        }
    }

    fn hear_check(&mut self, event: checkers::Event) {
        let Some(running) = self.checks.get(&event.id) else { return };
        let order = &running.order;
        let of = format_args!("{} VS {}", order.server, order.service);
        let result = match event.change {
            Change::Up(success) | Change::Weight(success) => CheckResult::Up {
                weight: success.weight.map(|weight| match weight {
                    checkers::Weight::Set(weight) => Adjustment::Set(weight),
                    checkers::Weight::Add(more) => Adjustment::Add(more),
                }),
                detail: success.to_string(),
            },
            Change::Down { failure, .. } => CheckResult::Down { failure: failure.to_string() },
            Change::Attempt { number, of: most, failure } => {
                if order.check.checker.log_all_failures {
                    log::info!(
                        "{} on service {of} failed, retry {number} of {most}: {failure}",
                        order.check.keyword
                    );
                }
                return;
            }
            Change::Hindered(failure) => {
                log::warn!("{} on service {of} cannot look: {failure}", order.check.keyword);
                return;
            }
        };
        self.core.handle(Input::Check { id: event.id, result }, now());
    }

    pub(crate) fn hear_names(&mut self, resolution: Resolution) {
        let Resolution { lookup, result } = resolution;
        let input = match result {
            Ok(answers) => Input::Resolved { lookup, answers },
            Err(reason) => Input::LookupFailed { lookup, reason },
        };
        self.core.handle(input, now());
    }

    pub(crate) fn address_news(&mut self, news: Vec<News>) {
        for (ip, present) in news {
            self.core.handle(Input::Address { ip, present }, now());
        }
    }

    // ---- IPVS -------------------------------------------------------------------------------

    /// An attempt to open IPVS has ended.
    pub(crate) fn ipvs_opened(&mut self, opened: Opened) {
        self.opening = false;
        let asked = std::mem::take(&mut self.asked);
        let stamp = stamp(now());
        let answer = match opened {
            Ok(ipvs) => {
                if self.problem.take().is_some() {
                    self.note(Severity::Info, "ipvs-found", "IPVS is there now".to_owned(), None);
                }
                self.available_since = stamp;
                self.kernel.open(ipvs);
                self.use_ipvs();
                match self.kernel.is_open() {
                    true => Reply::Done("IPVS is there, the table is as wanted".to_owned()),
                    false => Reply::Error("IPVS is there, its table cannot be read".to_owned()),
                }
            }
            Err(unavailable) => {
                let text = format!("{}; remedy: {}", unavailable.problem, unavailable.remedy);
                if asked && self.problem.as_ref() != Some(&unavailable) {
                    self.note(
                        Severity::Error,
                        "ipvs-missing",
                        format!("No virtual server works: {}", unavailable.problem),
                        Some(format!(
                            "{}; it is looked for every 30 s, and at once by `standfast server \
                             retry`",
                            unavailable.remedy
                        )),
                    );
                    self.available_since = stamp;
                    self.problem = Some(unavailable);
                }
                self.retry_in(RETRY_EVERY);
                Reply::Error(text)
            }
        };
        for client in self.waiting.drain(..) {
            // A client that hung up gets no answer.
            let _ = client.try_send(answer.clone());
        }
        if !self.begun {
            self.begun = true;
            self.count_at = Some(now().mono);
            self.carry_out();
            log::info!("Startup complete");
            self.say(&FromRole::Ready);
            // Reading the configuration took far more than running it does.
            sys::memory::give_back();
            if self.launch.options.dump_config && self.launch.restarts == 0 {
                self.log_data();
            }
        }
    }

    /// Brings the table that was just opened to what is wanted.
    fn use_ipvs(&mut self) {
        let first = !std::mem::replace(&mut self.was_open, true);
        let lvs = &self.global.lvs;
        let flush = lvs.flush;
        if first && !self.resumed && flush {
            let outcome = self.kernel.flush();
            self.tell_outcome(outcome);
        }
        self.set_timeouts();
        let outcome = self.kernel.bring_all(self.core.desired());
        // All of it is done.
        let _ = self.core.take_changes();
        self.tell_outcome(outcome);
        self.set_daemons(false);
        if self.kernel.is_open() {
            self.look_at = Some(now().mono + LOOK_EVERY);
        }
    }

    /// `lvs_timeouts`.
    pub(crate) fn set_timeouts(&mut self) {
        let lvs = &self.global.lvs;
        let seconds = |time: Option<std::time::Duration>| {
            time.map_or(0, |time| u32::try_from(time.as_secs()).unwrap_or(u32::MAX))
        };
        let timeouts = Timeouts {
            tcp: seconds(lvs.timeout_tcp),
            tcp_fin: seconds(lvs.timeout_tcp_fin),
            udp: seconds(lvs.timeout_udp),
        };
        if timeouts != Timeouts::default() {
            let outcome = self.kernel.set_timeouts(timeouts);
            self.tell_outcome(outcome);
        }
    }

    /// `lvs_sync_daemon` without an instance: both daemons run here. One that follows an instance
    /// is the failover role's, and what others have started without a word in the file is theirs.
    pub(crate) fn set_daemons(&mut self, were_ours: bool) {
        let daemons = self.wanted_daemons();
        let theirs = daemons.is_empty() && self.global.vrrp.lvs_sync_daemon.is_some();
        if (were_ours && !theirs) || !daemons.is_empty() {
            let outcome = self.kernel.set_daemons(&daemons);
            self.tell_outcome(outcome);
        }
    }

    pub(crate) fn wanted_daemons(&self) -> Vec<SyncDaemon> {
        let Some(wanted) = &self.global.vrrp.lvs_sync_daemon else { return Vec::new() };
        if wanted.instance.is_some() {
            return Vec::new();
        }
        let daemon = |role| SyncDaemon {
            max_len: wanted.max_len,
            port: wanted.port,
            ttl: wanted.ttl,
            group: wanted.group,
            ..SyncDaemon::new(role, wanted.interface.text.clone(), wanted.id.unwrap_or(0))
        };
        vec![daemon(SyncRole::Master), daemon(SyncRole::Backup)]
    }

    /// Looks for what somebody else has changed.
    pub(crate) fn look(&mut self) {
        let outcome = self.kernel.look(self.core.desired());
        let wait = if self.kernel.is_looking() { LOOK_ON } else { LOOK_EVERY };
        self.look_at = Some(now().mono + wait);
        self.tell_outcome(outcome);
    }

    /// Counts the connections of servers that are being drained. A kernel that never had IPVS has
    /// none.
    pub(crate) fn count_connections(&mut self) {
        let draining = self.core.draining();
        if draining.is_empty() {
            return;
        }
        let open = self.kernel.is_open();
        if !open && (self.was_open || self.problem.is_none()) {
            return self.count_again();
        }
        let mut known = BTreeMap::<ServiceKey, Vec<netlink::ipvs::DestinationState>>::new();
        for drain in draining {
            let (mut active, mut inactive) = (0_u64, 0_u64);
            for (key, address) in drain.destinations.iter().filter(|_| open) {
                if !known.contains_key(key) {
                    match self.kernel.connections(key) {
                        Ok(states) => known.insert(*key, states),
                        Err(error) => {
                            log::warn!("connections of {key} cannot be counted: {error}");
                            return self.count_again();
                        }
                    };
                }
                let states = known.get(key).map(Vec::as_slice).unwrap_or_default();
                for state in states.iter().filter(|state| state.address == *address) {
                    active += u64::from(state.active);
                    inactive += u64::from(state.inactive);
                }
            }
            let input = Input::Connections {
                service: drain.service,
                server: drain.server,
                active,
                inactive,
            };
            self.core.handle(input, now());
        }
        self.count_again();
    }

    // ---- the other threads ------------------------------------------------------------------

    pub(crate) fn hear_threads(&mut self) {
        while let Some(report) = self.worker.as_ref().and_then(notify::Worker::try_report) {
            self.hear_report(report);
        }
        while let Some(report) = self.mailer.as_ref().and_then(notify::mail::Mailer::try_report) {
            log::log!(report.level(), "{report}");
        }
        while let Some(call) = self.api.as_ref().and_then(notify::api::Api::next_call) {
            let reply = match call.request {
                Request::Status => {
                    self.answer_all(call.answer);
                    continue;
                }
                Request::Servers { virtual_server } => {
                    match virtual_server.as_deref().filter(|text| *text != ALL) {
                        Some(text) => self.servers(text),
                        None => {
                            self.answer_all(call.answer);
                            continue;
                        }
                    }
                }
                Request::Server { virtual_server, real_server, order } => {
                    self.order(&virtual_server, &real_server, order)
                }
                Request::History { subject } => Reply::Records(self.history(subject.as_deref())),
                Request::Events => {
                    if let Some(api) = &mut self.api {
                        api.subscribe(call.answer);
                    }
                    continue;
                }
                Request::Retry if self.kernel.is_open() => {
                    self.kernel.look_anew();
                    self.look();
                    Reply::Done("IPVS is there, the table was compared".to_owned())
                }
                Request::Retry => {
                    self.waiting.push(call.answer);
                    self.open_ipvs(true);
                    continue;
                }
                Request::Handover { .. } | Request::Reclaim { .. } => {
                    Reply::Error("that is the failover role's business".to_owned())
                }
            };
            // A client that hung up gets no answer.
            let _ = call.answer.try_send(reply);
        }
    }

    fn hear_report(&mut self, report: Report) {
        match report {
            Report::Tracker(tracker) => {
                if let (TrackerKind::File, TrackerState::Value(value)) =
                    (tracker.id.kind, tracker.state)
                {
                    self.checkers.file_value(&tracker.id.name, i64::from(value));
                }
            }
            Report::ScriptFinished { subject, program, outcome, took } => {
                if outcome.is_success() {
                    log::debug!("{subject}: {} done after {took:.1?}", program.display());
                } else {
                    let text = format!("{subject}: {} {outcome}", program.display());
                    self.note(Severity::Warning, "script-failed", text, None);
                }
            }
            Report::ScriptDropped { subject, program, reason } => {
                let text = format!("{subject}: {} was not run: {reason:?}", program.display());
                self.note(
                    Severity::Error,
                    "script-dropped",
                    text,
                    Some("scripts take longer than changes come".to_owned()),
                );
            }
            Report::Fifo { path, event } => self.hear_fifo(&path.display().to_string(), &event),
            Report::Stopped { .. } => {}
        }
    }

    fn hear_fifo(&mut self, path: &str, event: &FifoEvent) {
        match event {
            FifoEvent::Opened { created: false } => {}
            FifoEvent::Opened { created: true } => {
                let kept = self.store.update(|kept| {
                    if !kept.fifos.iter().any(|known| known == path) {
                        kept.fifos.push(path.to_owned());
                    }
                });
                if let Err(error) = kept {
                    log::error!("state store: {error}");
                }
            }
            FifoEvent::CannotOpen(why) => log::error!("notify FIFO {path}: {why}"),
            FifoEvent::Full => {
                log::warn!("notify FIFO {path} is full, nobody reads it; lines are kept");
            }
            FifoEvent::CaughtUp => log::info!("notify FIFO {path}: all kept lines were written"),
            FifoEvent::Dropped(count) => {
                log::error!("notify FIFO {path}: {count} lines were dropped, nobody reads it");
            }
            FifoEvent::ReaderEnded { outcome, restart_in } => {
                log::warn!("reader of {path} {outcome}; started again in {restart_in:.1?}");
            }
        }
    }
}
