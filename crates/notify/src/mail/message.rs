//! A message as it goes over the wire (RFC 5322): headers and body in Keepalived's form, with what
//! mail servers nowadays insist on.

use std::time::{SystemTime, UNIX_EPOCH};

use lettre::message::Body;
use lettre::message::header::{ContentTransferEncoding, Date, HeaderName, HeaderValue, Headers};

use super::queue::{Alert, Parcel};
use super::settings::MailConfig;

/// RFC 5322 §2.1.1, in bytes.
const LONGEST_LINE: usize = 998;

/// The parcel as a message. One alert looks exactly as Keepalived's (and has a `Message-ID`); of
/// several the subject counts them and the body has a line for each.
pub(crate) fn compose(config: &MailConfig, parcel: &Parcel, now: SystemTime) -> Vec<u8> {
    let (subject, body) = match parcel.alerts.as_slice() {
        [one] => (one.mail.subject.clone(), one.mail.body.clone()),
        many => (several(many), list(many)),
    };
    let mut body = body.trim_end().to_owned();
    if parcel.lost > 0 {
        let lost = parcel.lost;
        let (alerts, were) = if lost == 1 { ("alert", "was") } else { ("alerts", "were") };
        body.push_str(&format!(
            "\n{lost} earlier {alerts} {were} lost: mail could not be delivered."
        ));
    }
    body.push('\n');
    let body = encode(&body);
    // A single alert happened at its time, however long the server was away.
    let date = if let [one] = parcel.alerts.as_slice() { one.at } else { now };
    let mut headers = Headers::new();
    headers.set(Date::new(date));
    let mut set = |name: HeaderName, value: &str| headers.insert_raw(header(name, value));
    set(HeaderName::new_from_ascii_str("From"), &config.from);
    let subject = format!("[{}] {subject}", config.router_id);
    set(HeaderName::new_from_ascii_str("Subject"), &subject);
    set(HeaderName::new_from_ascii_str("X-Mailer"), "Keepalived");
    let to = one_line(&config.recipients.join(", "));
    headers.insert_raw(HeaderValue::new(HeaderName::new_from_ascii_str("To"), to));
    let mut set = |name: HeaderName, value: &str| headers.insert_raw(header(name, value));
    set(HeaderName::new_from_ascii_str("Message-ID"), &message_id(config, now));
    if body.encoding() != ContentTransferEncoding::SevenBit {
        set(HeaderName::new_from_ascii_str("MIME-Version"), "1.0");
        set(HeaderName::new_from_ascii_str("Content-Type"), "text/plain; charset=utf-8");
        headers.set(body.encoding());
    }
    let mut message = headers.to_string().into_bytes();
    message.extend_from_slice(b"\r\n");
    message.extend_from_slice(&body.into_vec());
    message
}

/// Plain text as it is wherever that is possible: `Body::new` encodes a line of 77 columns.
fn encode(body: &str) -> Body {
    let plain = |line: &str| {
        line.len() <= LONGEST_LINE && line.chars().all(|c| c == ' ' || c.is_ascii_graphic())
    };
    if body.lines().all(plain) {
        let lines: String = body.lines().map(|line| format!("{line}\r\n")).collect();
        Body::dangerous_pre_encoded(lines.into_bytes(), ContentTransferEncoding::SevenBit)
    } else {
        Body::new(body.to_owned())
    }
}

/// A header that stays in one line if it may: who looks for a subject looks at lines, and Keepalived
/// does not fold. A long list of recipients is better folded.
fn header(name: HeaderName, value: &str) -> HeaderValue {
    let value = one_line(value);
    let plain = value.chars().all(|c| c == ' ' || c.is_ascii_graphic());
    if plain && name.len() + 2 + value.len() <= LONGEST_LINE {
        HeaderValue::dangerous_new_pre_encoded(name, value.clone(), value)
    } else {
        HeaderValue::new(name, value)
    }
}

fn several(alerts: &[Alert]) -> String {
    let count = alerts.len();
    let last = alerts.last().map_or("", |alert| &alert.mail.subject);
    format!("{count} alerts, the last: {last}")
}

/// Time, subject and body of each, in the order in which they happened.
fn list(alerts: &[Alert]) -> String {
    let mut out = String::new();
    for alert in alerts {
        out.push_str(&format!("{} {}\n", time(alert.at), alert.mail.subject));
        for line in alert.mail.body.lines() {
            out.push_str(&format!("    {line}\n"));
        }
    }
    out
}

/// `Sat, 21 Nov 2026 15:27:02 +0000`, as in the header.
fn time(at: SystemTime) -> String {
    let mut headers = Headers::new();
    headers.set(Date::new(at));
    headers.get_raw("Date").unwrap_or_default().to_owned()
}

/// Large mail services refuse messages without one.
fn message_id(config: &MailConfig, now: SystemTime) -> String {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let domain = config.from.rsplit('@').next().unwrap_or_default();
    let domain: String =
        domain.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-')).collect();
    let domain = if domain.is_empty() { "localhost" } else { &domain };
    format!("<{}.{}@{domain}>", since.as_nanos(), std::process::id())
}

/// Names come from the configuration: a line break in one would begin another header.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use config::model::global::MailSecurity;

    use super::*;
    use crate::mail::{Mail, Pace};

    fn config() -> MailConfig {
        MailConfig {
            router_id: "LVS_ONE".into(),
            recipients: vec!["ops@example.org".into(), "Night Watch <night@example.org>".into()],
            from: "daemon@example.org".into(),
            server: ("192.0.2.25".into(), 25),
            helo: "lb1".into(),
            timeout: Duration::from_secs(5),
            security: MailSecurity::None,
            login: None,
            ca: None,
            pace: Pace::default(),
        }
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_795_274_822 + seconds)
    }

    fn alert(subject: &str, body: &str, seconds: u64) -> Alert {
        Alert { mail: Mail::new(subject.to_owned(), body), at: at(seconds) }
    }

    fn text(config: &MailConfig, alerts: Vec<Alert>, lost: u64) -> String {
        let parcel = Parcel { alerts, to: config.recipients.as_slice().into(), lost };
        String::from_utf8(compose(config, &parcel, at(90))).unwrap()
    }

    #[test]
    fn a_single_alert_is_keepalived_s_message() {
        let alerts = vec![alert(
            "VRRP Instance A - Entering MASTER state",
            "=> VRRP Instance is now owning VRRP VIPs <=",
            0,
        )];
        let text = text(&config(), alerts, 0);
        let kept: Vec<&str> = text
            .split_inclusive("\r\n")
            .filter(|line| !line.starts_with("Message-ID: <"))
            .collect();
        assert_eq!(
            kept.concat(),
            "Date: Sat, 21 Nov 2026 15:27:02 +0000\r\n\
             From: daemon@example.org\r\n\
             Subject: [LVS_ONE] VRRP Instance A - Entering MASTER state\r\n\
             X-Mailer: Keepalived\r\n\
             To: ops@example.org, Night Watch <night@example.org>\r\n\
             \r\n\
             => VRRP Instance is now owning VRRP VIPs <=\r\n"
        );
        assert_eq!(text.lines().count(), kept.len() + 1);
    }

    #[test]
    fn a_long_subject_stays_in_one_line() {
        let subject = format!("Realserver [2001:db8::{}]:tcp:80 of virtual server", "1".repeat(80));
        let whole = text(&config(), vec![alert(&subject, "x", 0)], 0);
        assert!(whole.contains(&format!("\r\nSubject: [LVS_ONE] {subject}\r\n")), "{whole}");
        let endless = text(&config(), vec![alert(&"word ".repeat(500), "x", 0)], 0);
        assert!(endless.lines().all(|line| line.len() <= LONGEST_LINE), "{endless}");
    }

    #[test]
    fn a_long_line_of_the_body_is_left_alone() {
        let line = format!("=> CHECK failed on service : {} <=", "a=b ".repeat(60));
        let whole = text(&config(), vec![alert("A - DOWN", &line, 0)], 0);
        assert!(whole.ends_with(&format!("\r\n\r\n{line}\r\n")), "{whole}");
        assert!(!whole.contains("Content-"), "{whole}");
        let endless = text(&config(), vec![alert("A - DOWN", &"a".repeat(5_000), 0)], 0);
        assert!(endless.lines().all(|line| line.len() <= LONGEST_LINE), "{endless}");
    }

    #[test]
    fn several_are_counted_and_listed_in_order() {
        let alerts = vec![alert("A - DOWN", "=> a <=\nmore", 0), alert("B - UP", "=> b <=", 1)];
        let text = text(&config(), alerts, 3);
        assert!(text.contains("\r\nSubject: [LVS_ONE] 2 alerts, the last: B - UP\r\n"), "{text}");
        let body = text.split_once("\r\n\r\n").unwrap().1;
        assert_eq!(
            body,
            "Sat, 21 Nov 2026 15:27:02 +0000 A - DOWN\r\n    => a <=\r\n    more\r\n\
             Sat, 21 Nov 2026 15:27:03 +0000 B - UP\r\n    => b <=\r\n\
             3 earlier alerts were lost: mail could not be delivered.\r\n"
        );
    }

    #[test]
    fn line_breaks_begin_no_header() {
        let mut config = config();
        config.router_id = "x\r\nBcc: thief@example.com".into();
        config.from = "a@example.org\nBcc: thief@example.com".into();
        let text = text(&config, vec![alert("y\r\nBcc: thief@example.com", "z", 0)], 0);
        assert!(!text.lines().any(|line| line.starts_with("Bcc")), "{text}");
    }

    #[test]
    fn names_beyond_ascii_are_encoded_and_long_lists_folded() {
        let mut config = config();
        config.recipients = (0..60).map(|n| format!("watch-{n}@example.org")).collect();
        let text = text(&config, vec![alert("VRRP Instance Zürich - Stopping", "=> ü <=", 0)], 0);
        assert!(text.is_ascii(), "{text}");
        assert!(text.contains("=?utf-8?"), "{text}");
        assert!(text.contains("\r\nMIME-Version: 1.0\r\n"), "{text}");
        assert!(text.lines().all(|line| line.len() < 998), "{text}");
        assert!(config.recipients.iter().all(|to| text.contains(to.as_str())), "{text}");
    }
}
