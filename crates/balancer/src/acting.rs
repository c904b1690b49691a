//! What the core says is done: checks, look-ups, the kernel, and telling everybody who is to know.

use std::rc::Rc;
use std::time::Duration;

use checkers::{Check, CheckSpec, Kind, Start, Surroundings};
use notify::event::Notification;
use notify::mail::Mail;
use status::control::FromRole;
use status::{Record, Severity};

use crate::balancer::{Balancer, Running, stamp};
use crate::core::{CheckOrder, Event, Notice, Output};
use crate::kernel::Outcome;
use crate::role::now;

/// How soon IPVS is opened again after its table could not be read.
const REOPEN: Duration = Duration::from_secs(1);

impl Balancer {
    /// Does everything that the core wants, and keeps its state.
    pub(crate) fn carry_out(&mut self) {
        if !self.begun {
            // The table comes before the first script and the first check.
            return;
        }
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::Kernel => self.bring(),
                Output::StartCheck(order) => self.start_check(order),
                Output::StopCheck(id) => {
                    self.checkers.stop(id);
                    self.checks.remove(&id);
                }
                Output::SuspendCheck(id) => self.checkers.suspend(id),
                Output::ResumeCheck(id) => self.checkers.resume(id),
                Output::StartLookup(lookup) => self.names.start(lookup),
                Output::StopLookup(lookup) => self.names.stop(&lookup),
                Output::Event(event) => self.tell(&event),
                Output::Stopped => self.stopped = true,
            }
        }
        self.keep();
    }

    fn start_check(&mut self, order: CheckOrder) {
        let plan = &order.check;
        let no_ssl = config::model::Ssl::default();
        let check = Check::new(
            &plan.checker,
            Surroundings {
                real: order.server,
                virtualhost: plan.virtualhost.as_deref(),
                script: plan.script.and_then(|id| self.scripts.get(id)).cloned(),
                file_weight: plan.file_weight,
                ssl: plan.ssl.as_deref().unwrap_or(&no_ssl),
            },
        );
        let Some(check) = check else {
            log::error!("{} of {} cannot be started", plan.keyword, order.server);
            return;
        };
        let start = match order.resumed {
            Some(up) => Start::Resumed { up },
            None => Start::Fresh,
        };
        let target = target(&check.kind);
        self.checkers.start(CheckSpec { id: order.id, check: Rc::new(check), start });
        if order.suspended {
            self.checkers.suspend(order.id);
        }
        self.checks.insert(order.id, Running { order, target });
    }

    /// Brings the services that have changed to what the core wants.
    fn bring(&mut self) {
        let keys = self.core.take_changes();
        if keys.is_empty() {
            return;
        }
        let outcome = self.kernel.bring(&keys, self.core.desired());
        self.tell_outcome(outcome);
    }

    /// Logs and keeps what came of a change to the table.
    pub(crate) fn tell_outcome(&mut self, mut outcome: Outcome) {
        for text in outcome.take_refused() {
            self.note(Severity::Error, "kernel-refused", format!("IPVS: {text}"), None);
        }
        for text in outcome.repaired {
            self.note(
                Severity::Warning,
                "repaired",
                format!("IPVS: {text}; put right"),
                Some("change keepalived.conf, or use `standfast server`".to_owned()),
            );
        }
        if !outcome.adopted.is_empty() && !self.resumed {
            let many = outcome.adopted.len();
            let (subject, verb) = if many == 1 { ("service", "is") } else { ("services", "are") };
            let text =
                format!("IPVS: {many} {subject} that somebody else had added {verb} ours now");
            self.note(Severity::Info, "adopted", text, None);
        }
        if !outcome.strays.is_empty() {
            let strays: Vec<String> =
                outcome.strays.iter().map(|(key, at)| format!("{at} of {key}")).collect();
            self.note(
                Severity::Info,
                "strays",
                format!("IPVS: servers that are not in the file stay: {}", strays.join(", ")),
                None,
            );
        }
        if let Some(error) = outcome.lost {
            self.note(
                Severity::Error,
                "ipvs-lost",
                format!("IPVS: the table cannot be read: {error}"),
                None,
            );
            self.kernel.close();
            self.look_at = None;
            self.available_since = stamp(now());
            self.problem = Some(crate::kernel::Unavailable {
                problem: error.to_string(),
                remedy: "look into the kernel's log (dmesg)".to_owned(),
            });
            self.retry_in(REOPEN);
        }
    }

    /// Tells the log, the records, clients, scripts, FIFOs and recipients of mail.
    fn tell(&mut self, event: &Event) {
        let record = event.record();
        log_record(&record);
        let record = self.records.add_under(&event.service_name, record);
        if let Some(api) = &mut self.api {
            api.publish(&record);
        }
        if let Some(notice) = &event.notice {
            self.notify(notice);
        }
    }

    fn notify(&self, notice: &Notice) {
        let script = notice.script.and_then(|id| self.scripts.get(id));
        if let Some(worker) = &self.worker
            && (script.is_some() || notice.fifo && self.fifos)
        {
            worker.notify(Notification::of_server(
                notice.subject.clone(),
                notice.up,
                script.cloned(),
                notice.fifo,
            ));
        }
        if let (Some(mailer), Some(mail)) = (&self.mailer, &notice.mail) {
            mailer.send(Mail::new(mail.subject.clone(), mail.body.clone()));
        }
    }

    /// Keeps, publishes and logs something that the role noticed itself.
    pub(crate) fn note(
        &mut self,
        severity: Severity,
        kind: &str,
        message: String,
        hint: Option<String>,
    ) {
        let record = Record {
            seq: 0,
            time: stamp(now()),
            severity,
            subject: None,
            kind: kind.to_owned(),
            from: None,
            to: None,
            message,
            cause: None,
            hint,
        };
        log_record(&record);
        let record = self.records.add(record);
        if let Some(api) = &mut self.api {
            api.publish(&record);
        }
    }

    /// Keeps what a next life needs: only what has changed costs something.
    fn keep(&mut self) {
        let count = self.core.count();
        let unsaved = self.core.take_unsaved();
        let mut kept = Ok(());
        if unsaved.len() > 0 || self.store.count() != count {
            kept = self.store.put(unsaved, count);
        }
        let generation = self.launch.generation;
        let held = self.kernel.held_if_changed();
        if held.is_some() || self.store.kept().generation != generation {
            let updated = self.store.update(|kept| {
                kept.generation = generation;
                if let Some(held) = held {
                    kept.hold(held);
                }
            });
            kept = kept.and(updated);
        }
        if let Err(error) = kept {
            log::error!("state store: {error}");
        }
    }

    /// Says something to the supervisor.
    pub(crate) fn say(&self, what: &FromRole) {
        let Ok(bytes) = serde_json::to_vec(what) else { return };
        if let Err(error) = self.channel.send(&bytes, &[]) {
            log::debug!("the supervisor does not listen: {error}");
        }
    }
}

/// Where or what a check looks at.
fn target(kind: &Kind) -> String {
    match kind {
        Kind::Tcp(target) | Kind::Ping(target) => target.to_string(),
        Kind::Udp(udp) => udp.target.to_string(),
        Kind::Http(http) => http.target.to_string(),
        Kind::Smtp(smtp) => {
            let all: Vec<_> = smtp.targets.iter().map(ToString::to_string).collect();
            all.join(", ")
        }
        Kind::Dns(dns) => format!("{} at {}", dns.name, dns.target),
        Kind::Misc(misc) => misc.command.program.display().to_string(),
        Kind::File(file) => file.file.to_string(),
        Kind::Bfd(bfd) => bfd.session.to_string(),
    }
}

fn log_record(record: &Record) {
    let level = match record.severity {
        Severity::Info => log::Level::Info,
        Severity::Warning => log::Level::Warn,
        Severity::Error => log::Level::Error,
    };
    log::log!(level, "{}", record.message);
    if let Some(hint) = &record.hint {
        log::log!(level, "  hint: {hint}");
    }
}
