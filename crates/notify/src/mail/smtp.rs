//! One attempt to hand a message to the mail server (RFC 5321), by the `lettre` library.

use std::error::Error as _;
use std::fmt;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::time::Instant;

use config::model::global::MailSecurity;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{
    Certificate, CertificateStore, SmtpConnection, TlsParameters,
};
use lettre::transport::smtp::commands::Data;
use lettre::transport::smtp::extension::{ClientId, Extension};

use super::queue::Attempt;
use super::settings::MailConfig;

/// The most of a server's words that is repeated in logs, in characters.
const QUOTE: usize = 200;

/// Delivers the message to the recipients. May take as long as the server likes: the time limit is
/// looked at between commands, and each answer has its own.
pub(crate) fn deliver(
    config: &MailConfig,
    to: &[String],
    message: &[u8],
    until: Instant,
) -> Attempt {
    let sender = match mailbox(&config.from) {
        Ok(sender) => sender,
        Err(why) => return Attempt::Refused(format!("notification_email_from: {why}")),
    };
    let mut connection = match connect(config) {
        Ok(connection) => connection,
        Err(why) => return Attempt::Failed(why),
    };
    let attempt = converse(&mut connection, sender, to, message, until);
    // The answer does not matter any more; after trouble the connection is closed already.
    match attempt {
        Attempt::Answered { .. } => _ = connection.quit(),
        _ => connection.abort(),
    }
    attempt
}

/// Connects and gets as far as the configuration demands: what it demands and does not get is a
/// failure, never a reason to go on with less.
fn connect(config: &MailConfig) -> Result<SmtpConnection, String> {
    let (host, port) = (config.server.0.as_str(), config.server.1);
    let hello = ClientId::Domain(word(&config.helo));
    let tls = match config.security {
        MailSecurity::None => None,
        MailSecurity::StartTls | MailSecurity::Tls => Some(tls_parameters(config)?),
    };
    let timeout = Some(config.timeout);
    let at_once = tls.as_ref().filter(|_| config.security == MailSecurity::Tls);
    let named = |error: Error| describe(&error);
    let mut connection =
        SmtpConnection::connect((host, port), timeout, &hello, at_once, None).map_err(named)?;
    if let (MailSecurity::StartTls, Some(tls)) = (config.security, &tls) {
        if !connection.server_info().supports_feature(Extension::StartTls) {
            connection.abort();
            return Err("it does not offer STARTTLS, which smtp_security demands; \
                        nothing was sent"
                .to_owned());
        }
        connection.starttls(tls, &hello).map_err(named)?;
    }
    if let Some((user, secret)) = &config.login {
        if !connection.is_encrypted() && !is_this_host(host, port) {
            connection.abort();
            return Err("smtp_login would go in clear: write `smtp_security starttls` or `tls`; \
                        nothing was sent"
                .to_owned());
        }
        let password = String::from_utf8_lossy(secret.bytes()).into_owned();
        let credentials = Credentials::new(user.clone(), password);
        let result = connection.auth(&[Mechanism::Plain, Mechanism::Login], &credentials);
        if let Err(error) = result {
            connection.abort();
            // Only its code: a server could repeat what it was sent.
            return Err(match error.status() {
                Some(code) => format!("it refuses smtp_login ({code})"),
                None if error.is_client() => "it offers no AUTH PLAIN or LOGIN".to_owned(),
                None => describe(&error),
            });
        }
    }
    Ok(connection)
}

fn tls_parameters(config: &MailConfig) -> Result<TlsParameters, String> {
    let mut builder = TlsParameters::builder(config.server.0.clone());
    if let Some(path) = &config.ca {
        let named = |why: &dyn fmt::Display| format!("smtp_ca {}: {why}", path.display());
        let pem = std::fs::read(path).map_err(|error| named(&error))?;
        let authorities = Certificate::from_pem(&pem).map_err(|error| named(&error))?;
        builder =
            builder.certificate_store(CertificateStore::None).add_root_certificate(authorities);
    }
    builder.build().map_err(|error| describe(&error))
}

/// Every address of the name is one of the loopback interface.
fn is_this_host(host: &str, port: u16) -> bool {
    let ips: Vec<IpAddr> = (host, port)
        .to_socket_addrs()
        .map(|found| found.map(|address| address.ip()).collect())
        .unwrap_or_default();
    !ips.is_empty() && ips.iter().all(IpAddr::is_loopback)
}

fn converse(
    connection: &mut SmtpConnection,
    sender: &str,
    to: &[String],
    message: &[u8],
    until: Instant,
) -> Attempt {
    if let Err(error) = connection.command(Line(&format!("MAIL FROM:<{sender}>"))) {
        return whole(&error);
    }
    let (mut refused, mut deferred) = (Vec::new(), Vec::new());
    for recipient in to {
        if Instant::now() >= until {
            return Attempt::Failed("it takes too long".to_owned());
        }
        let address = match mailbox(recipient) {
            Ok(address) => address,
            Err(why) => {
                refused.push((recipient.clone(), why.to_owned()));
                continue;
            }
        };
        match connection.command(Line(&format!("RCPT TO:<{address}>"))) {
            Ok(_) => {}
            Err(error) if error.is_permanent() => {
                refused.push((recipient.clone(), describe(&error)));
            }
            // 421 is the server's farewell, not a word about this recipient.
            Err(error) if error.is_transient() && !is_farewell(&error) => {
                deferred.push((recipient.clone(), describe(&error)));
            }
            Err(error) => return whole(&error),
        }
    }
    if refused.len() + deferred.len() == to.len() {
        return Attempt::Answered { refused, deferred };
    }
    if let Err(error) = connection.command(Data) {
        return whole(&error);
    }
    match connection.message(message) {
        Ok(_) => Attempt::Answered { refused, deferred },
        Err(error) => whole(&error),
    }
}

/// What an answer means that is about the message as a whole.
fn whole(error: &Error) -> Attempt {
    if error.is_permanent() {
        Attempt::Refused(describe(error))
    } else {
        Attempt::Failed(describe(error))
    }
}

fn is_farewell(error: &Error) -> bool {
    error.status().is_some_and(|code| code.to_string() == "421")
}

/// A command line.
struct Line<'a>(&'a str);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\r\n", self.0)
    }
}

/// The address in `Name <address>`, or the whole. A bare user name is one too: the mail server of
/// this host knows it.
fn mailbox(text: &str) -> Result<&str, &'static str> {
    let address = match text.rsplit_once('<') {
        Some((_, rest)) => rest.split('>').next().unwrap_or_default(),
        None => text,
    }
    .trim();
    if address.is_empty() {
        Err("there is no address in it")
    } else if address.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '<' | '>')) {
        Ok(address)
    } else {
        Err("it is no mail address")
    }
}

/// One word for a command line.
fn word(text: &str) -> String {
    let word: String = text.chars().filter(char::is_ascii_graphic).collect();
    if word.is_empty() { "localhost".to_owned() } else { word }
}

/// What went wrong, in one line: for a refusal the server's own words.
fn describe(error: &Error) -> String {
    let why = error.source().map(ToString::to_string).unwrap_or_default();
    let why: String = why
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(QUOTE)
        .collect::<String>()
        .trim()
        .to_owned();
    match error.status() {
        Some(code) => format!("{code} {why}").trim_end().to_owned(),
        None if timed_out(error) => "it did not answer in time".to_owned(),
        None if why.is_empty() => error.to_string(),
        None => why,
    }
}

/// A time limit of a socket ends a read as if the socket were not a blocking one.
fn timed_out(error: &Error) -> bool {
    let kind = error.source().and_then(|e| e.downcast_ref::<io::Error>()).map(io::Error::kind);
    error.is_timeout() || kind == Some(io::ErrorKind::WouldBlock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_and_nothing_else_gets_into_a_command() {
        assert_eq!(mailbox("ops@example.net"), Ok("ops@example.net"));
        assert_eq!(mailbox("Night Watch <night@example.net>"), Ok("night@example.net"));
        assert_eq!(mailbox("root"), Ok("root"));
        for bad in ["", "<>", "a@b\r\nDATA", "a b@c", "Ops <ops@example.net\r\nRSET>"] {
            assert!(mailbox(bad).is_err(), "{bad:?}");
        }
        assert_eq!(word("lb1 \r\nMAIL"), "lb1MAIL");
    }
}
