//! `SMTP_CHECK`: greets a mail server (RFC 5321 §3.1, §4.2): 220 → HELO → 250 → QUIT.

mod reply;

use std::fmt;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

pub use reply::{Malformed, Reply, ReplyReader};

use crate::connect::connect_tcp;
use crate::outcome::{Cause, Detail, Failure, Success};
use crate::patience::{self, Patience};
use crate::target::Target;

/// An `SMTP_CHECK`.
#[derive(Clone, Debug, PartialEq)]
pub struct Smtp {
    /// `helo_name`.
    pub helo: String,
    /// Where; at least one, and all must pass.
    pub targets: Vec<Target>,
}

/// How far it went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What the server said to HELO; the last server, if there are several.
    pub helo: Reply,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SMTP {}", self.helo)
    }
}

/// The answer is not the one wanted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SmtpFailure {
    /// It says something else.
    #[error("SMTP {came} {to}, wanted {wanted}")]
    Said {
        /// What it says.
        came: Reply,
        /// To what.
        to: Step,
        /// The code that would have been fine.
        wanted: u16,
    },
    /// It closes the connection instead.
    #[error("connection closed instead of {wanted} {to}")]
    Closed {
        /// To what.
        to: Step,
        /// The code that was waited for.
        wanted: u16,
    },
    /// It is not SMTP.
    #[error("{came} {to}, wanted {wanted}")]
    Malformed {
        /// What came.
        came: Malformed,
        /// To what.
        to: Step,
        /// The code that would have been fine.
        wanted: u16,
    },
}

/// What a server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The connection.
    Greeting,
    /// HELO
    Helo,
}

impl Step {
    /// The code that is fine.
    const fn wanted(self) -> u16 {
        match self {
            Self::Greeting => 220,
            Self::Helo => 250,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Greeting => "as greeting",
            Self::Helo => "to HELO",
        })
    }
}

/// Greets the server, or each of them, one after another.
///
/// # Errors
/// What was wanted and what came.
pub async fn run(check: &Smtp) -> Result<Success, Failure> {
    let began = Instant::now();
    let mut last = None;
    for target in &check.targets {
        let began = Instant::now();
        let stream = connect_tcp(target).await?;
        match greet(stream, target, &check.helo).await {
            Ok(reply) => last = Some(reply),
            Err(cause) => return Err(Failure::new(cause, target.to, began.elapsed())),
        }
    }
    let helo = last.unwrap_or_default();
    Ok(Success::new(Detail::Smtp(Answer { helo }), began.elapsed()))
}

async fn greet(stream: TcpStream, target: &Target, helo: &str) -> Result<Reply, Cause> {
    let mut session = Session { stream, target, reader: ReplyReader::new() };
    session.expect(Step::Greeting).await?;
    session.say(&format!("HELO {helo}\r\n")).await?;
    let reply = session.expect(Step::Helo).await?;
    // The server is well. It gets a chance to say good-bye, so that it does not log a lost
    // connection; what it says is not our concern.
    if session.say("QUIT\r\n").await.is_ok() {
        let _ = session.reply().await;
    }
    Ok(reply)
}

struct Session<'a> {
    stream: TcpStream,
    target: &'a Target,
    reader: ReplyReader,
}

impl Session<'_> {
    async fn say(&mut self, line: &str) -> Result<(), Cause> {
        let within = self.target.timeout;
        match patience::within(within, self.stream.write_all(line.as_bytes())).await {
            Some(sent) => sent.map_err(|error| Cause::of(&error)),
            None => Err(Cause::NoAnswer { within }),
        }
    }

    async fn expect(&mut self, to: Step) -> Result<Reply, Cause> {
        let wanted = to.wanted();
        let came = match self.reply().await? {
            None => return Err(SmtpFailure::Closed { to, wanted }.into()),
            Some(Err(came)) => return Err(SmtpFailure::Malformed { came, to, wanted }.into()),
            Some(Ok(came)) => came,
        };
        if came.code == wanted {
            Ok(came)
        } else {
            Err(SmtpFailure::Said { came, to, wanted }.into())
        }
    }

    /// A whole reply within the time-out; `None` if the connection is closed first.
    async fn reply(&mut self) -> Result<Option<Result<Reply, Malformed>>, Cause> {
        let within = self.target.timeout;
        let mut patience = Patience::new(within);
        let mut buffer = [0; 512];
        loop {
            match self.reader.reply() {
                Ok(None) => {}
                Ok(Some(reply)) => return Ok(Some(Ok(reply))),
                Err(malformed) => return Ok(Some(Err(malformed))),
            }
            match patience.wait(self.stream.read(&mut buffer)).await {
                Some(Ok(0)) => return Ok(None),
                Some(Ok(count)) => self.reader.take(buffer.get(..count).unwrap_or_default()),
                Some(Err(error)) => return Err(Cause::of(&error)),
                None => return Err(Cause::NoAnswer { within }),
            }
        }
    }
}

#[cfg(test)]
mod tests;
