//! What mail needs to know, made from the checked model.

use std::path::PathBuf;
use std::time::Duration;

use config::model::Secret;
use config::model::global::{Global, MailSecurity};

/// Where mail goes and how.
#[derive(Clone, Debug, PartialEq)]
pub struct MailConfig {
    /// `router_id`, in brackets before every subject; default: the host's name.
    pub router_id: String,
    /// `notification_email`, as written: `ops@example.net` or `Ops <ops@example.net>`. Not empty.
    pub recipients: Vec<String>,
    /// `notification_email_from`, as written; default USER@HOST.
    pub from: String,
    /// `smtp_server`: name or address, and port.
    pub server: (String, u16),
    /// `smtp_helo_name`; default: the host's name.
    pub helo: String,
    /// `smtp_connect_timeout`: for connecting and for each answer of the server.
    pub timeout: Duration,
    /// `smtp_security`.
    pub security: MailSecurity,
    /// `smtp_login`: user and password. Sent only over TLS, or to an address of this host's loopback
    /// interface.
    pub login: Option<(String, Secret)>,
    /// `smtp_ca`: certificate authorities, PEM; `None`: the system's.
    pub ca: Option<PathBuf>,
    /// Bounds and times that nobody configures.
    pub pace: Pace,
}

impl MailConfig {
    /// What `global_defs` says; `None` if nobody is to get mail or no server takes it.
    pub fn of(global: &Global) -> Option<Self> {
        let mail = &global.mail;
        let server = mail.server.clone()?;
        if mail.recipients.is_empty() {
            return None;
        }
        let host = host_name();
        Some(Self {
            router_id: global.router_id.clone().unwrap_or_else(|| host.clone()),
            recipients: mail.recipients.clone(),
            from: mail.from.clone().unwrap_or_else(|| format!("{}@{host}", user_name())),
            server,
            helo: mail.helo.clone().unwrap_or(host),
            timeout: mail.timeout.value,
            security: mail.security,
            login: mail.login.clone(),
            ca: mail.ca.clone(),
            pace: Pace::default(),
        })
    }
}

/// Bounds and times of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Alerts that come so soon after the first one share a message; default 2 s.
    pub window: Duration,
    /// How long after a failed attempt until the next; doubled each time. Default 1 s.
    pub first_retry: Duration,
    /// The longest such time; default 5 min.
    pub longest_retry: Duration,
    /// An alert that could not be delivered for so long is given up; default 24 h.
    pub give_up: Duration,
    /// Alerts that may wait; default 1,000. Beyond it the oldest is lost, which the next message
    /// tells.
    pub queue: usize,
    /// An attempt to deliver that takes longer, whatever the server does, has failed; default 5 min.
    pub attempt: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(2),
            first_retry: Duration::from_secs(1),
            longest_retry: Duration::from_secs(300),
            give_up: Duration::from_secs(24 * 3600),
            queue: 1_000,
            attempt: Duration::from_secs(300),
        }
    }
}

fn user_name() -> String {
    let user = nix::unistd::User::from_uid(nix::unistd::Uid::effective());
    user.ok().flatten().map_or_else(|| "root".to_owned(), |user| user.name)
}

/// The host's name with its domain, if this host's own table of names knows it: mail servers like
/// to see a whole one.
fn host_name() -> String {
    let short = sys::users::host_name();
    let table = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    whole_name(&short, &table).unwrap_or(short)
}

/// The first name of the table's line that has the short one.
fn whole_name(short: &str, table: &str) -> Option<String> {
    let lines = table.lines().map(|line| line.split('#').next().unwrap_or_default());
    let mut names = lines.map(|line| line.split_whitespace().skip(1));
    let mut line = names.find(|line| line.clone().any(|name| name == short))?;
    line.next().filter(|name| name.contains('.')).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_names_completes_the_host_name() {
        let table = "127.0.0.1 localhost\n# 10.0.0.1 a.example lb1\n198.51.100.1 lb1.example lb1\n";
        assert_eq!(whole_name("lb1", table).as_deref(), Some("lb1.example"));
        assert_eq!(whole_name("localhost", table), None);
        assert_eq!(whole_name("lb2", table), None);
    }

    #[test]
    fn without_recipients_or_server_there_is_no_mail() {
        let mut global = Global::default();
        assert!(MailConfig::of(&global).is_none());
        global.mail.server = Some(("192.0.2.25".into(), 25));
        assert!(MailConfig::of(&global).is_none());
        global.mail.recipients.push("ops@example.net".into());
        global.router_id = Some("lb1".into());
        let config = MailConfig::of(&global).unwrap();
        assert_eq!((config.router_id.as_str(), config.timeout.as_secs()), ("lb1", 30));
        assert!(config.from.contains('@'));
    }

    #[test]
    fn passwords_are_not_shown() {
        let mut global = Global::default();
        global.mail.server = Some(("192.0.2.25".into(), 25));
        global.mail.recipients.push("ops@example.net".into());
        global.mail.login = Some(("lb".into(), Secret::new("hunter2")));
        assert!(!format!("{:?}", MailConfig::of(&global)).contains("hunter2"));
    }
}
