//! `DNS_CHECK`: asks a name server one question.
//!
//! As for Keepalived, an answer without an error will do, whatever is in it. Beyond Keepalived, an
//! answer that does not fit into a packet is asked for again over TCP, and records may be expected.

mod message;

use std::fmt;
use std::time::Duration;

use config::model::checker::RecordType;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

pub use message::{Head, Query, Stray, head, records};

use crate::connect::{connect_tcp, connect_udp};
use crate::outcome::{Cause, Detail, Failure, Success};
use crate::patience::{self, Patience};
use crate::target::Target;

/// A `DNS_CHECK`.
#[derive(Clone, Debug, PartialEq)]
pub struct Dns {
    /// `type`.
    pub record: RecordType,
    /// `name`.
    pub name: String,
    /// Data of records that must all be in the answer.
    pub expected: Vec<String>,
    /// Where.
    pub target: Target,
}

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// How many records the answer says to have.
    pub records: u16,
    /// It came over TCP, because it was truncated.
    pub over_tcp: bool,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let over = if self.over_tcp { " over TCP" } else { "" };
        write!(f, "DNS NOERROR, answers: {}{over}", self.records)
    }
}

/// The answer is not the one wanted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DnsFailure {
    /// The name cannot be asked for.
    #[error("{0} is not a name that DNS can ask for")]
    Name(Box<str>),
    /// The server says that there is an error.
    #[error("DNS {}, wanted NOERROR", message::code_name(*.0))]
    Code(u8),
    /// Records that are expected are not in the answer.
    #[error("the DNS answer lacks {}; {}", .missing.join(", "), Came(.came))]
    Missing {
        /// Those that are missing, as configured.
        missing: Box<[String]>,
        /// Those that came.
        came: Box<[String]>,
    },
    /// Nothing came in time but datagrams that are no answer to our question.
    #[error("no answer within {}, only {count} that did not fit, the last {last}",
        crate::outcome::Seconds(*.within))]
    Strays {
        /// How many came.
        count: u32,
        /// What was wrong with the last.
        last: Stray,
        /// The time that was waited, as configured.
        within: Duration,
    },
    /// Over TCP came something else.
    #[error("a DNS answer over TCP {0}")]
    Stray(Stray),
    /// Over TCP the connection was closed before the answer was complete.
    #[error("connection closed before the DNS answer over TCP")]
    Closed,
    /// The records cannot be read.
    #[error("the records of the DNS answer cannot be read")]
    Unreadable,
}

/// `it has 198.51.100.7`
struct Came<'a>(&'a [String]);

impl fmt::Display for Came<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => f.write_str("it is empty"),
            came => write!(f, "it has {}", came.join(", ")),
        }
    }
}

/// Asks the name server.
///
/// # Errors
/// What was wanted and what came.
pub async fn run(check: &Dns) -> Result<Success, Failure> {
    let began = Instant::now();
    let fail = |cause: Cause| Failure::new(cause, check.target.to, began.elapsed());
    let query = Query::new(fastrand::u16(..), check.record, &check.name)
        .ok_or_else(|| fail(DnsFailure::Name(check.name.as_str().into()).into()))?;
    let (mut answer, mut over_tcp) = over_udp(check, &query).await?;
    if answer.0.truncated {
        answer = ask_over_tcp(check, &query).await?;
        over_tcp = true;
    }
    let (head, bytes) = answer;
    if head.code != 0 {
        return Err(fail(DnsFailure::Code(head.code).into()));
    }
    if !check.expected.is_empty() {
        let came = records(&bytes).ok_or_else(|| fail(DnsFailure::Unreadable.into()))?;
        let missing = message::missing(&check.expected, &came);
        if !missing.is_empty() {
            let (missing, came) = (missing.into(), came.into());
            return Err(fail(DnsFailure::Missing { missing, came }.into()));
        }
    }
    let answer = Answer { records: head.answers, over_tcp };
    Ok(Success::new(Detail::Dns(answer), began.elapsed()))
}

/// Asks once. Datagrams that do not fit the question (late answers, spoofed ones) are passed over.
async fn over_udp(check: &Dns, query: &Query) -> Result<((Head, Vec<u8>), bool), Failure> {
    let began = Instant::now();
    let target = &check.target;
    let fail = |cause: Cause| Failure::new(cause, target.to, began.elapsed());
    let socket = connect_udp(target)?;
    socket.send(query.bytes()).await.map_err(|error| fail(Cause::of(&error)))?;
    // From the question on, as in `udp::run`.
    let (within, mut patience) = (target.timeout, Patience::new(target.timeout));
    // Without EDNS an answer has at most 512 bytes (RFC 1035 §4.2.1); servers may send more.
    let mut buffer = vec![0; 4096];
    let mut strays: Option<(u32, Stray)> = None;
    loop {
        let count = match patience.wait(socket.recv(&mut buffer)).await {
            Some(Ok(count)) => count,
            Some(Err(error)) => return Err(fail(Cause::of(&error))),
            None => {
                return Err(fail(match strays {
                    None => Cause::NoAnswer { within },
                    Some((count, last)) => DnsFailure::Strays { count, last, within }.into(),
                }));
            }
        };
        let bytes = buffer.get(..count).unwrap_or_default();
        match head(bytes, query) {
            Ok(head) => return Ok(((head, bytes.to_vec()), false)),
            Err(stray) => {
                let before = strays.map_or(0, |(count, _)| count);
                strays = Some((before.saturating_add(1), stray));
            }
        }
    }
}

/// Asks over TCP (RFC 7766 §8: a length goes before each message).
async fn ask_over_tcp(check: &Dns, query: &Query) -> Result<(Head, Vec<u8>), Failure> {
    let began = Instant::now();
    let target = &check.target;
    let within = target.timeout;
    let fail = |cause: Cause| Failure::new(cause, target.to, began.elapsed());
    let mut stream = connect_tcp(target).await?;
    let exchange = async {
        stream.write_all(&query.with_length()).await?;
        let length = usize::from(stream.read_u16().await?);
        let mut bytes = vec![0; length];
        stream.read_exact(&mut bytes).await?;
        std::io::Result::Ok(bytes)
    };
    let bytes = match patience::within(within, exchange).await {
        None => return Err(fail(Cause::NoAnswer { within })),
        Some(Err(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            return Err(fail(DnsFailure::Closed.into()));
        }
        Some(Err(error)) => return Err(fail(Cause::of(&error))),
        Some(Ok(bytes)) => bytes,
    };
    match head(&bytes, query) {
        Ok(head) => Ok((head, bytes)),
        Err(stray) => Err(fail(DnsFailure::Stray(stray).into())),
    }
}

#[cfg(test)]
mod tests;
