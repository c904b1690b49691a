//! One attempt to hand a message to the mail server (RFC 5321), by the `lettre` library.

use std::error::Error as _;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use config::model::global::MailSecurity;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{
    AsyncSmtpConnection, AsyncTokioStream, Certificate, CertificateStore, TlsParameters,
};
use lettre::transport::smtp::commands::Data;
use lettre::transport::smtp::extension::{ClientId, Extension};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::queue::Attempt;
use super::settings::MailConfig;

/// The most of a server's words that is repeated in logs, in characters.
const QUOTE: usize = 200;
/// The most that a server may say in one connection, in bytes; a handshake is a few thousand.
const TALK: usize = 256 * 1024;
const LATE: &str = "it did not answer in time";

/// Delivers the message to the recipients. Each step has the configured time-out.
pub(crate) async fn deliver(config: &MailConfig, to: &[String], message: &[u8]) -> Attempt {
    let sender = match mailbox(&config.from) {
        Ok(sender) => sender,
        Err(why) => return Attempt::Refused(format!("notification_email_from: {why}")),
    };
    let mut connection = match connect(config).await {
        Ok(connection) => connection,
        Err(why) => return Attempt::Failed(why),
    };
    let attempt = converse(&mut connection, config.timeout, sender, to, message).await;
    if !matches!(attempt, Attempt::Failed(_)) {
        // What it says to that does not matter.
        let _ = timely(config.timeout, connection.quit()).await;
    }
    attempt
}

/// Why a step failed.
enum Fault {
    Late,
    Smtp(Error),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Late => f.write_str(LATE),
            Self::Smtp(error) => f.write_str(&describe(error)),
        }
    }
}

async fn timely<T>(
    limit: Duration,
    step: impl Future<Output = Result<T, Error>>,
) -> Result<T, Fault> {
    match tokio::time::timeout(limit, step).await {
        Ok(result) => result.map_err(Fault::Smtp),
        Err(_) => Err(Fault::Late),
    }
}

/// Connects and gets as far as the configuration demands: what it demands and does not get is a
/// failure, never a reason to go on with less.
async fn connect(config: &MailConfig) -> Result<AsyncSmtpConnection, String> {
    let (limit, server) = (config.timeout, (config.server.0.as_str(), config.server.1));
    let named = |fault: Fault| fault.to_string();
    let hello = ClientId::Domain(word(&config.helo));
    let tls = match config.security {
        MailSecurity::None => None,
        MailSecurity::StartTls | MailSecurity::Tls => Some(tls_parameters(config)?),
    };
    let (mut connection, peer) = match (config.security, tls.clone()) {
        (MailSecurity::Tls, tls) => {
            // Whoever gets beyond the handshake is whom the certificate names.
            let connecting =
                AsyncSmtpConnection::connect_tokio1(server, Some(limit), &hello, tls, None);
            (timely(limit * 2, connecting).await.map_err(named)?, None)
        }
        (MailSecurity::None | MailSecurity::StartTls, _) => {
            let stream = Restrained { stream: dial(server, limit).await?, left: TALK };
            let peer = stream.peer_addr().ok().map(|address| address.ip());
            let greeting = AsyncSmtpConnection::connect_with_transport(Box::new(stream), &hello);
            (timely(limit, greeting).await.map_err(named)?, peer)
        }
    };
    if let (MailSecurity::StartTls, Some(tls)) = (config.security, tls) {
        if !connection.server_info().supports_feature(Extension::StartTls) {
            return Err("it does not offer STARTTLS, which smtp_security demands; \
                        nothing was sent"
                .to_owned());
        }
        timely(limit, connection.starttls(tls, &hello)).await.map_err(named)?;
    }
    if let Some((user, secret)) = &config.login {
        if config.security == MailSecurity::None && !peer.is_some_and(is_this_host) {
            return Err("smtp_login would go in clear: write `smtp_security starttls` or `tls`; \
                        nothing was sent"
                .to_owned());
        }
        let password = String::from_utf8_lossy(secret.bytes()).into_owned();
        let credentials = Credentials::new(user.clone(), password);
        let mechanisms = [Mechanism::Plain, Mechanism::Login];
        match timely(limit, connection.auth(&mechanisms, &credentials)).await {
            Ok(_) => {}
            // Only its code: a server could repeat what it was sent.
            Err(Fault::Smtp(error)) => {
                return Err(match error.status() {
                    Some(code) => format!("it refuses smtp_login ({code})"),
                    None if error.is_client() => "it offers no AUTH PLAIN or LOGIN".to_owned(),
                    None => "it broke off at smtp_login".to_owned(),
                });
            }
            Err(fault) => return Err(fault.to_string()),
        }
    }
    Ok(connection)
}

/// Tries the addresses of the name one after the other.
async fn dial(server: (&str, u16), limit: Duration) -> Result<TcpStream, String> {
    let addresses = match tokio::time::timeout(limit, tokio::net::lookup_host(server)).await {
        Ok(Ok(addresses)) => addresses,
        Ok(Err(error)) => return Err(format!("its name: {}", one_line(&error.to_string()))),
        Err(_) => return Err("its name was not resolved in time".to_owned()),
    };
    let mut why = "its name has no address".to_owned();
    for address in addresses {
        match tokio::time::timeout(limit, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => why = one_line(&error.to_string()),
            Err(_) => why = LATE.to_owned(),
        }
    }
    Err(why)
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

fn is_this_host(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

/// A connection whose other end may say only so much: `lettre` looks at a line's length when it has
/// the whole line.
#[derive(Debug)]
struct Restrained {
    stream: TcpStream,
    /// Bytes that may still come.
    left: usize,
}

impl AsyncTokioStream for Restrained {
    fn peer_addr(&self) -> io::Result<std::net::SocketAddr> {
        self.stream.peer_addr()
    }
}

impl AsyncRead for Restrained {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buf);
        let came = buf.filled().len() - before;
        match self.left.checked_sub(came) {
            Some(left) => self.left = left,
            None => return Poll::Ready(Err(io::Error::other("it says too much"))),
        }
        result
    }
}

impl AsyncWrite for Restrained {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

async fn converse(
    connection: &mut AsyncSmtpConnection,
    limit: Duration,
    sender: &str,
    to: &[String],
    message: &[u8],
) -> Attempt {
    if let Err(fault) =
        timely(limit, connection.command(Line(&format!("MAIL FROM:<{sender}>")))).await
    {
        return whole(&fault);
    }
    let (mut refused, mut deferred) = (Vec::new(), Vec::new());
    for recipient in to {
        let address = match mailbox(recipient) {
            Ok(address) => address,
            Err(why) => {
                refused.push((recipient.clone(), why.to_owned()));
                continue;
            }
        };
        match timely(limit, connection.command(Line(&format!("RCPT TO:<{address}>")))).await {
            Ok(_) => {}
            Err(Fault::Smtp(error)) if error.is_permanent() => {
                refused.push((recipient.clone(), describe(&error)));
            }
            // 421 is the server's farewell, not a word about this recipient.
            Err(Fault::Smtp(error)) if error.is_transient() && !is_farewell(&error) => {
                deferred.push((recipient.clone(), describe(&error)));
            }
            Err(fault) => return whole(&fault),
        }
    }
    if refused.len() + deferred.len() == to.len() {
        return Attempt::Answered { refused, deferred };
    }
    if let Err(fault) = timely(limit, connection.command(Data)).await {
        return whole(&fault);
    }
    match timely(limit, connection.message(message)).await {
        Ok(_) => Attempt::Answered { refused, deferred },
        Err(fault) => whole(&fault),
    }
}

/// What an answer means that is about the message as a whole.
fn whole(fault: &Fault) -> Attempt {
    match fault {
        Fault::Smtp(error) if error.is_permanent() => Attempt::Refused(fault.to_string()),
        _ => Attempt::Failed(fault.to_string()),
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
    let why = one_line(&error.source().map(ToString::to_string).unwrap_or_default());
    match error.status() {
        Some(code) => format!("{code} {why}").trim_end().to_owned(),
        None if why.is_empty() => error.to_string(),
        None => why,
    }
}

/// For the log: somebody else's words in one line of bearable length, the system's without their
/// number.
fn one_line(text: &str) -> String {
    let text = text.split(" (os error ").next().unwrap_or_default();
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(QUOTE).collect::<String>().trim().to_owned()
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

    #[test]
    fn only_the_loopback_interface_is_this_host() {
        for (ip, ours) in [
            ("127.0.0.53", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("192.0.2.25", false),
            ("2001:db8::25", false),
        ] {
            assert_eq!(is_this_host(ip.parse().unwrap()), ours, "{ip}");
        }
    }
}
