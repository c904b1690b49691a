//! Mail about instances and groups (`smtp_alert`): whose changes are mailed, and the queue.

use std::collections::HashSet;
use std::time::Duration;

use config::model::Model;
use notify::event::State;
use notify::mail::{Mail, MailConfig, MailReport, Mailer, text};
use status::Severity;
use vrrp::{Notify, NotifyKind, Subject};

use crate::role::Role;

/// What the last alerts get at a stop; the supervisor's patience is not for them alone.
const LAST_ALERTS: Duration = Duration::from_secs(2);

/// Whose changes are mailed.
#[derive(Debug, Default)]
pub(crate) struct Alerts {
    instances: HashSet<String>,
    groups: HashSet<String>,
    /// `no_email_faults`
    no_faults: bool,
}

impl Alerts {
    /// What the model says.
    pub(crate) fn of(model: &Model) -> Self {
        let instances = model.vrrp.iter().filter(|i| i.smtp_alert.value);
        let groups = model.sync_groups.iter().filter(|g| g.smtp_alert.value);
        Self {
            instances: instances.map(|i| i.name.text.clone()).collect(),
            groups: groups.map(|g| g.name.text.clone()).collect(),
            no_faults: model.global.mail.no_faults,
        }
    }

    /// The same, and what was removed: its last word is mailed too.
    fn with_removed_of(mut self, old: &Self, model: &Model) -> Self {
        let known: HashSet<&str> = model.vrrp.iter().map(|i| &*i.name).collect();
        let removed = old.instances.iter().filter(|name| !known.contains(name.as_str()));
        self.instances.extend(removed.cloned());
        let known: HashSet<&str> = model.sync_groups.iter().map(|g| &*g.name).collect();
        let removed = old.groups.iter().filter(|name| !known.contains(name.as_str()));
        self.groups.extend(removed.cloned());
        self
    }

    /// The alert for what scripts and FIFOs are told, if there is one.
    fn alert(&self, notify: &Notify) -> Option<Mail> {
        let state = match notify.kind {
            NotifyKind::Master => State::Master,
            NotifyKind::Backup => State::Backup,
            NotifyKind::Fault => State::Fault,
            NotifyKind::Stop => State::Stop,
            NotifyKind::Deleted => State::Deleted,
            NotifyKind::MasterPriority(_)
            | NotifyKind::BackupPriority(_)
            | NotifyKind::MasterRxLowerPri => return None,
        };
        if state == State::Fault && self.no_faults {
            return None;
        }
        let name = &notify.name;
        match notify.subject {
            Subject::Instance if self.instances.contains(name) => Some(text::instance(name, state)),
            Subject::Group if self.groups.contains(name) => Some(text::group(name, state)),
            Subject::Instance | Subject::Group => None,
        }
    }
}

impl Role {
    /// Starts the queue, or tells it the new settings, as the model wants it.
    pub(crate) fn set_up_mail(&mut self) {
        let alerts = Alerts::of(&self.model);
        self.alerts = alerts.with_removed_of(&self.alerts, &self.model);
        match (MailConfig::of(&self.model.global), &self.mailer) {
            (Some(config), Some(mailer)) => mailer.reload(config),
            (Some(config), None) if self.wants_mail() => {
                let waker = self.events.waker();
                match Mailer::start(config, Box::new(move || waker.wake())) {
                    Ok(mailer) => self.mailer = Some(mailer),
                    Err(error) => log::error!("no alerts can be mailed: {error}"),
                }
            }
            (Some(_), None) => {}
            // Nobody is to get mail any more: what waits has no recipients either.
            (None, _) => self.mailer = None,
        }
    }

    fn wants_mail(&self) -> bool {
        !self.alerts.instances.is_empty() || !self.alerts.groups.is_empty()
    }

    /// A reload is over: what was removed has had its last word.
    pub(crate) fn forget_removed_alerts(&mut self) {
        self.alerts = Alerts::of(&self.model);
    }

    pub(crate) fn mail(&self, notify: &Notify) {
        if let (Some(mailer), Some(mail)) = (&self.mailer, self.alerts.alert(notify)) {
            mailer.send(mail);
        }
    }

    pub(crate) fn hear_mailer(&mut self) {
        while let Some(report) = self.mailer.as_ref().and_then(Mailer::try_report) {
            self.mail_report(&report);
        }
    }

    fn mail_report(&mut self, report: &MailReport) {
        match report.level() {
            log::Level::Error => {
                self.note(Severity::Error, None, "mail-failed", report.to_string(), None);
            }
            level => log::log!(level, "{report}"),
        }
    }

    /// Lets the last alerts go; [`Role::end_mail`] waits for them.
    pub(crate) fn stop_mail(&mut self, left: Duration) {
        if let Some(mailer) = &self.mailer {
            mailer.stop(left.min(LAST_ALERTS));
        }
    }

    pub(crate) fn end_mail(&mut self) {
        for report in self.mailer.take().map(Mailer::join).unwrap_or_default() {
            if report != (MailReport::Stopped { unsent: 0 }) {
                self.mail_report(&report);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(text: &str) -> Model {
        let global =
            "global_defs {\n smtp_server 192.0.2.25\n notification_email {\n a@b.example\n }\n";
        let loaded = config::load_text(&format!("{global}{text}"), &config::Options::default());
        config::lower::lower(&loaded.tree, &config::lower::BuiltinNames).model
    }

    fn instance(name: &str, vrid: u8, more: &str) -> String {
        format!(
            "vrrp_instance {name} {{\n interface eth0\n virtual_router_id {vrid}\n{more}\n \
             virtual_ipaddress {{\n 198.51.100.{vrid}\n }}\n}}\n"
        )
    }

    fn entered(name: &str, kind: NotifyKind) -> Notify {
        Notify {
            subject: Subject::Instance,
            router: None,
            name: name.to_owned(),
            kind,
            priority: 100,
        }
    }

    #[test]
    fn only_who_asks_for_mail_gets_it_and_no_priorities() {
        let (a, b) = (instance("A", 1, "smtp_alert"), instance("B", 2, ""));
        let alerts = Alerts::of(&model(&format!("}}\n{a}{b}")));
        let mail = alerts.alert(&entered("A", NotifyKind::Master)).unwrap();
        assert_eq!(mail.subject, "VRRP Instance A - Entering MASTER state");
        assert!(alerts.alert(&entered("A", NotifyKind::Fault)).is_some());
        assert!(alerts.alert(&entered("B", NotifyKind::Master)).is_none());
        assert!(alerts.alert(&entered("A", NotifyKind::MasterRxLowerPri)).is_none());
    }

    #[test]
    fn no_email_faults_is_about_faults() {
        let a = instance("A", 1, "smtp_alert");
        let alerts = Alerts::of(&model(&format!("no_email_faults\n}}\n{a}")));
        assert!(alerts.alert(&entered("A", NotifyKind::Fault)).is_none());
        assert!(alerts.alert(&entered("A", NotifyKind::Backup)).is_some());
    }

    #[test]
    fn what_a_reload_removes_has_its_last_word() {
        let (a, b) = (instance("A", 1, "smtp_alert"), instance("B", 2, "smtp_alert"));
        let old = Alerts::of(&model(&format!("}}\n{a}{b}")));
        // A goes, B no longer asks.
        let new = model(&format!("}}\n{}", instance("B", 2, "")));
        let alerts = Alerts::of(&new).with_removed_of(&old, &new);
        assert!(alerts.alert(&entered("A", NotifyKind::Deleted)).is_some());
        assert!(alerts.alert(&entered("B", NotifyKind::Master)).is_none());
    }
}
