//! Subjects and bodies of alerts, word for word those of Keepalived 2.2.7 (filters of mail programs
//! look for them). The `[router_id]` before the subject is added when the message is written.

use config::model::checker::CheckerKind;

use super::Mail;
use crate::event::State;

/// A `vrrp_instance` has entered a state.
///
/// A removed instance that has no `notify_deleted` enters FAULT, as for its scripts.
pub fn instance(name: &str, state: State) -> Mail {
    let body = match state {
        State::Master => "=> VRRP Instance is now owning VRRP VIPs <=",
        State::Backup | State::Fault => "=> VRRP Instance is no longer owning VRRP VIPs <=",
        State::Stop => "=> VRRP Instance stopping <=",
        State::Deleted => "=> VRRP Deleted at reload <=",
    };
    Mail::new(format!("VRRP Instance {name} - {}", became(state)), body)
}

/// A `vrrp_sync_group` has entered a state.
pub fn group(name: &str, state: State) -> Mail {
    let body = match state {
        State::Master => "=> All VRRP group instances are now in MASTER state <=",
        State::Backup => "=> All VRRP group instances are now in BACKUP state <=",
        State::Fault => "=> All VRRP group instances are now in FAULT state <=",
        State::Stop => "=> All VRRP group instances are now stopping <=",
        State::Deleted => "=> VRRP Deleted at reload <=",
    };
    Mail::new(format!("VRRP Group {name} - {}", became(state)), body)
}

fn became(state: State) -> &'static str {
    match state {
        State::Master => "Entering MASTER state",
        State::Backup => "Entering BACKUP state",
        State::Fault => "Entering FAULT state",
        State::Stop => "Stopping",
        State::Deleted => "Deleted",
    }
}

/// Why a real server went up or down.
#[derive(Clone, Copy, Debug)]
pub enum ServerCause<'a> {
    /// A check succeeded or failed. With several checks the server may stay as it is.
    Check {
        /// Which.
        kind: &'a CheckerKind,
        /// How it failed, in the check's own words (`HTTP 503, wanted 200-299, from
        /// 198.51.100.11:80 after 41 ms`): a second line of the body. `None`: it succeeded.
        detail: Option<&'a str>,
    },
    /// The daemon stops (`omega`).
    ShuttingDown,
    /// A reload removed it.
    Removed,
    /// Something that Keepalived does not know: an operator's order, a name that resolves to
    /// something else. One line.
    Other(&'a str),
}

/// A `real_server` is up or down. The names are those of [`crate::event::Subject::RealServer`].
pub fn real_server(server: &str, of: &str, up: bool, cause: ServerCause<'_>) -> Mail {
    let subject = format!("Realserver {server} of virtual server {of} - {}", word(up));
    let body = match cause {
        ServerCause::Check { kind, detail } => {
            let first = check(kind, detail);
            match detail {
                // Its first line says it already.
                _ if matches!(kind, CheckerKind::Smtp { .. }) => format!("=> {first} <="),
                Some(detail) => format!("=> {first} <=\n{detail}"),
                None => format!("=> {first} <="),
            }
        }
        ServerCause::ShuttingDown => "=> Shutting down <=".to_owned(),
        ServerCause::Removed => "=> Removing <=".to_owned(),
        ServerCause::Other(why) => format!("=> {why} <="),
    };
    Mail::new(subject, body)
}

fn check(kind: &CheckerKind, detail: Option<&str>) -> String {
    let good = detail.is_none();
    let word = |name: &str, well: &str| {
        format!("{name} {} on service", if good { well } else { "failed" })
    };
    match kind {
        CheckerKind::Tcp => word("TCP CHECK", "succeed"),
        CheckerKind::Http(_) if !good => "CHECK failed on service : HTTP request failed".to_owned(),
        CheckerKind::Smtp { .. } if !good => {
            format!("CHECK failed on service : {}", detail.unwrap_or_default())
        }
        CheckerKind::Http(_) | CheckerKind::Smtp { .. } => "CHECK succeed on service".to_owned(),
        CheckerKind::Dns { .. } => word("DNS_CHECK:", "succeed"),
        CheckerKind::Misc(_) => word("MISC CHECK", "succeeded"),
        CheckerKind::Udp { .. } => word("UDP CHECK", "succeed"),
        CheckerKind::Ping => word("ICMP CHECK", "succeed"),
        // Keepalived sends none for it.
        CheckerKind::File { .. } => word("FILE CHECK", "succeeded"),
        CheckerKind::Bfd { session } => word(&format!("BFD CHECK {session}"), "succeeded"),
    }
}

/// How a virtual server came to have, or not to have, its quorum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuorumCause {
    /// The first word about it after the start.
    Starting,
    /// It changed.
    Changed,
    /// The daemon stops (`omega`). The words are those of a loss.
    ShuttingDown,
    /// A reload removed it. The words are those of a loss.
    Removed,
}

/// A `virtual_server` has its quorum (`up`) or has lost it. `name` is that of
/// [`crate::event::Subject::VirtualServer`], `weight` the sum of its working servers' weights.
pub fn virtual_server(
    name: &str,
    up: bool,
    cause: QuorumCause,
    quorum: u32,
    hysteresis: u32,
    weight: i64,
) -> Mail {
    let starting = cause == QuorumCause::Starting;
    let what = match (starting, up) {
        (true, true) => "Starting with quorum up",
        (true, false) => "Starting with quorum down",
        (false, true) => "Gained quorum",
        (false, false) => "Lost quorum",
    };
    // At a loss the hysteresis is subtracted, and the sign is that of a gain all the same.
    let (quorum, hysteresis) = (i64::from(quorum), i64::from(hysteresis));
    let sum = if up || starting { quorum + hysteresis } else { quorum - hysteresis };
    let what = format!("=> {what} {quorum}+{hysteresis}={sum} <= {weight} <=");
    Mail::new(format!("Virtualserver {name} - {}", word(up)), what)
}

fn word(up: bool) -> &'static str {
    if up { "UP" } else { "DOWN" }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REAL: &str = "[198.51.100.11]:tcp:80";
    const VIRTUAL: &str = "[198.51.100.1]:tcp:80";

    fn pair(mail: &Mail) -> (&str, &str) {
        (&mail.subject, &mail.body)
    }

    #[test]
    fn vrrp() {
        assert_eq!(
            pair(&instance("A", State::Master)),
            (
                "VRRP Instance A - Entering MASTER state",
                "=> VRRP Instance is now owning VRRP VIPs <="
            )
        );
        assert_eq!(
            pair(&instance("A", State::Fault)),
            (
                "VRRP Instance A - Entering FAULT state",
                "=> VRRP Instance is no longer owning VRRP VIPs <="
            )
        );
        assert_eq!(
            pair(&instance("A", State::Deleted)),
            ("VRRP Instance A - Deleted", "=> VRRP Deleted at reload <=")
        );
        assert_eq!(
            pair(&group("G1", State::Backup)),
            (
                "VRRP Group G1 - Entering BACKUP state",
                "=> All VRRP group instances are now in BACKUP state <="
            )
        );
        assert_eq!(
            pair(&group("G1", State::Stop)),
            ("VRRP Group G1 - Stopping", "=> All VRRP group instances are now stopping <=")
        );
    }

    #[test]
    fn real_servers() {
        let tcp = |detail| ServerCause::Check { kind: &CheckerKind::Tcp, detail };
        assert_eq!(
            pair(&real_server(REAL, VIRTUAL, true, tcp(None))),
            (
                "Realserver [198.51.100.11]:tcp:80 of virtual server [198.51.100.1]:tcp:80 - UP",
                "=> TCP CHECK succeed on service <="
            )
        );
        assert_eq!(
            real_server(REAL, VIRTUAL, false, tcp(Some("connection refused"))).body,
            "=> TCP CHECK failed on service <=\nconnection refused"
        );
        assert_eq!(real_server(REAL, VIRTUAL, false, ServerCause::Removed).body, "=> Removing <=");
    }

    /// The numbers are from real mails of 2.2.7.
    #[test]
    fn quorums() {
        let body = |up, cause, q, h, w| virtual_server("FWM 5", up, cause, q, h, w).body;
        let (starting, changed) = (QuorumCause::Starting, QuorumCause::Changed);
        assert_eq!(body(true, starting, 2, 1, 3), "=> Starting with quorum up 2+1=3 <= 3 <=");
        assert_eq!(body(false, starting, 1, 0, 0), "=> Starting with quorum down 1+0=1 <= 0 <=");
        assert_eq!(body(true, changed, 2, 1, 3), "=> Gained quorum 2+1=3 <= 3 <=");
        assert_eq!(body(false, changed, 2, 1, 0), "=> Lost quorum 2+1=1 <= 0 <=");
        assert_eq!(body(false, QuorumCause::Removed, 1, 0, 0), "=> Lost quorum 1+0=1 <= 0 <=");
        assert_eq!(
            virtual_server("FWM 5", false, changed, 1, 0, 0).subject,
            "Virtualserver FWM 5 - DOWN"
        );
    }
}
