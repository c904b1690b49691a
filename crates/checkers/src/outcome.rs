//! What checks tell: successes, failures with what was expected and what came, and events.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;

use crate::misc::ScriptFailure;
use crate::spec::CheckId;

/// A check's look at the server was fine.
#[derive(Clone, Debug, PartialEq)]
pub struct Success {
    /// What came.
    pub detail: Detail,
    /// What the check says about the server's weight; `None`: nothing, the weight is as configured.
    pub weight: Option<Weight>,
    /// How long it took.
    pub took: Duration,
}

impl Success {
    /// Fine, with nothing to say about the weight.
    pub fn new(detail: Detail, took: Duration) -> Self {
        Self { detail, weight: None, took }
    }
}

impl fmt::Display for Success {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.detail)?;
        match self.detail {
            Detail::FileValue(_) | Detail::SessionUp => Ok(()),
            _ => write!(f, " after {} ms", self.took.as_millis()),
        }
    }
}

/// What a check says about the weight of its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// This instead of the configured weight (`misc_dynamic`).
    Set(u32),
    /// So much more, or less, than the configured weight (`FILE_CHECK`). The sum over all checks is
    /// kept at 0 or above.
    Add(i64),
}

/// What came when all was fine.
#[derive(Clone, Debug, PartialEq)]
pub enum Detail {
    /// TCP: the connection was accepted.
    Connected,
    /// UDP: the reply that was wanted, of so many bytes.
    Replied(usize),
    /// UDP without `require_reply`: some reply.
    Answered,
    /// UDP without `require_reply`: nobody said that the port is unreachable.
    NotRefused,
    /// PING: the echo.
    Echoed,
    /// MISC: the exit status.
    Exited(i32),
    /// FILE: the value.
    FileValue(i64),
    /// BFD: the session is up.
    SessionUp,
    /// HTTP: what the url answered.
    Http(crate::http::Answer),
    /// SMTP: how far it went.
    Smtp(crate::smtp::Answer),
    /// DNS: what was answered.
    Dns(crate::dns::Answer),
}

impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected => f.write_str("connected"),
            Self::Replied(bytes) => write!(f, "reply of {bytes} bytes"),
            Self::Answered => f.write_str("reply"),
            Self::NotRefused => f.write_str("sent, not refused"),
            Self::Echoed => f.write_str("echo"),
            Self::Exited(status) => write!(f, "exit status {status}"),
            Self::FileValue(value) => write!(f, "value {value}"),
            Self::SessionUp => f.write_str("session up"),
            Self::Http(answer) => answer.fmt(f),
            Self::Smtp(answer) => answer.fmt(f),
            Self::Dns(answer) => answer.fmt(f),
        }
    }
}

/// A check's look at the server went wrong.
///
/// Displayed, it says what was expected and what came: `HTTP 503, wanted 200-299, from
/// 198.51.100.11:80 after 41 ms`.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// What went wrong.
    pub cause: Cause,
    /// Whom we asked; `None` for checks without a network.
    pub from: Option<SocketAddr>,
    /// How long it took.
    pub took: Duration,
}

impl Failure {
    /// A failure of somebody on the network.
    pub fn new(cause: impl Into<Cause>, from: SocketAddr, took: Duration) -> Self {
        Self { cause: cause.into(), from: Some(from), took }
    }

    /// A failure without a network.
    pub fn local(cause: impl Into<Cause>, took: Duration) -> Self {
        Self { cause: cause.into(), from: None, took }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.cause, self.from) {
            (Cause::NoAnswer { within }, Some(from)) => {
                write!(f, "no answer from {from} within {}", Seconds(*within))
            }
            (Cause::Refused, Some(from)) => {
                write!(f, "connection refused by {from} after {} ms", self.took.as_millis())
            }
            (Cause::Reset, Some(from)) => {
                write!(f, "connection reset by {from} after {} ms", self.took.as_millis())
            }
            (Cause::Socket { .. }, Some(from)) => write!(f, "{} for {from}", self.cause),
            (Cause::Unreachable(_), Some(from)) => {
                write!(
                    f,
                    "{from} is unreachable: {} after {} ms",
                    self.cause,
                    self.took.as_millis()
                )
            }
            (cause, Some(from)) => {
                write!(f, "{cause}, from {from} after {} ms", self.took.as_millis())
            }
            (cause, None) if cause.is_instant() => cause.fmt(f),
            (cause, None) => write!(f, "{cause} after {} ms", self.took.as_millis()),
        }
    }
}

impl std::error::Error for Failure {}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Cause {
    /// The server's side refused the connection (RST, or ICMP port unreachable).
    #[error("connection refused")]
    Refused,
    /// The server's side broke the connection off (RST).
    #[error("connection reset")]
    Reset,
    /// The network says that the server cannot be reached (ICMP, no route, no neighbour).
    #[error("{0}")]
    Unreachable(Errno),
    /// Nothing came in time.
    #[error("no answer within {}", Seconds(*.within))]
    NoAnswer {
        /// The time that was waited, as configured.
        within: Duration,
    },
    /// Our own socket could not be made as configured: see [`Change::Hindered`].
    #[error("cannot {step}: {error}")]
    Socket {
        /// The step that failed.
        step: Socket,
        /// The system's reason.
        error: Errno,
    },
    /// UDP: a reply that is not the one wanted.
    #[error(transparent)]
    UdpReply(#[from] crate::udp::Mismatch),
    /// MISC: the script failed.
    #[error(transparent)]
    Script(#[from] ScriptFailure),
    /// FILE: its value says so.
    #[error(transparent)]
    File(#[from] crate::file::FileFailure),
    /// BFD: the session is down.
    #[error("BFD session {0} is down")]
    Session(String),
    /// HTTP: the answer is not the one wanted.
    #[error(transparent)]
    Http(#[from] crate::http::HttpFailure),
    /// The TLS session failed.
    #[error(transparent)]
    Tls(#[from] crate::tls::TlsFailure),
    /// SMTP: the answer is not the one wanted.
    #[error(transparent)]
    Smtp(#[from] crate::smtp::SmtpFailure),
    /// DNS: the answer is not the one wanted.
    #[error(transparent)]
    Dns(#[from] crate::dns::DnsFailure),
}

impl Cause {
    /// What the system's error means for a connection or a datagram.
    pub fn of(error: &std::io::Error) -> Self {
        use std::io::ErrorKind;
        let ours = || Self::Socket { step: Socket::Connect, error: Errno::of(error) };
        match error.kind() {
            ErrorKind::ConnectionRefused => Self::Refused,
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted => {
                Self::Reset
            }
            // No port or no memory is left here: that says nothing about the server.
            ErrorKind::AddrNotAvailable
            | ErrorKind::AddrInUse
            | ErrorKind::WouldBlock
            | ErrorKind::OutOfMemory => ours(),
            _ if error.raw_os_error() == Some(nix::errno::Errno::ENOBUFS as i32) => ours(),
            _ => Self::Unreachable(Errno::of(error)),
        }
    }

    /// The check could not look, for a reason on this machine: it says nothing about the server.
    pub fn is_ours(&self) -> bool {
        match self {
            Self::Socket { .. } => true,
            Self::Http(failure) => failure.is_ours(),
            Self::Tls(failure) => failure.is_ours(),
            Self::Script(failure) => failure.is_ours(),
            _ => false,
        }
    }

    /// Nothing was waited for: how long it took says nothing.
    fn is_instant(&self) -> bool {
        matches!(
            self,
            Self::File(_)
                | Self::Session(_)
                | Self::Socket { .. }
                | Self::NoAnswer { .. }
                | Self::Script(ScriptFailure::TimedOut { .. } | ScriptFailure::Shortage(_))
        )
    }
}

/// A step of making a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Socket {
    /// The socket itself.
    #[error("make a socket")]
    Make,
    /// `bindto`, `bind_port`.
    #[error("bind to our address")]
    Bind,
    /// `bind_if`.
    #[error("bind to the interface")]
    Interface,
    /// `fwmark`.
    #[error("set the firewall mark")]
    Mark,
    /// Connecting: no port or no memory is left.
    #[error("connect")]
    Connect,
}

/// The system's error number, displayed in its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub i32);

impl Errno {
    /// The number of that error; 0 if it has none.
    pub fn of(error: &std::io::Error) -> Self {
        Self(error.raw_os_error().unwrap_or(0))
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = std::io::Error::from_raw_os_error(self.0).to_string();
        f.write_str(text.split(" (os error").next().unwrap_or(&text))
    }
}

/// A time-out in seconds, as configured: `5 s`, `0.25 s`.
pub(crate) struct Seconds(pub(crate) Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.0.as_secs_f64())
    }
}

/// Something that a check's owner must know.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Which check.
    pub id: CheckId,
    /// When the result was there.
    pub at: Instant,
    /// What happened.
    pub change: Change,
}

/// What happened to a check.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// It is up: the first success, or the first after it was down.
    Up(Success),
    /// It is down.
    Down {
        /// The last failure.
        failure: Failure,
        /// The retries before it; 0 for a first failure that counts at once.
        retries: u32,
    },
    /// It is up as before, but says something else about the weight.
    Weight(Success),
    /// It is up as before; this failure is forgiven and a retry follows.
    Attempt {
        /// Failures in a row so far, from 1.
        number: u32,
        /// So many are forgiven (`retry`).
        of: u32,
        /// What failed.
        failure: Failure,
    },
    /// It cannot look, for a reason on this machine (no descriptors left, `bindto` an address that
    /// is not here). It stays as it was and goes on trying; told once until it can look again.
    Hindered(Failure),
}

/// How a check stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No result yet.
    Unknown,
    /// Fine.
    Up,
    /// Not fine.
    Down,
}

/// How a check stands, for who asks.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckStatus {
    /// Up or down.
    pub state: State,
    /// Failures in a row, retries included.
    pub failures: u32,
    /// Looks so far.
    pub runs: u64,
    /// Those of them that failed.
    pub failed: u64,
    /// The last result and when it was there.
    pub last: Option<(Instant, Result<Success, Failure>)>,
    /// When it looks next; `None` while it looks, while it is suspended and for checks that wait
    /// for what others tell (FILE, BFD).
    pub next: Option<Instant>,
    /// It is not looking (`ha_suspend`).
    pub suspended: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::udp::Mismatch;

    fn text(cause: impl Into<Cause>) -> String {
        let from = "198.51.100.11:80".parse().unwrap();
        Failure::new(cause, from, Duration::from_micros(41_900)).to_string()
    }

    fn errno(error: i32) -> Cause {
        Cause::of(&std::io::Error::from_raw_os_error(error))
    }

    #[test]
    fn failures_say_what_came_from_whom() {
        assert_eq!(text(Cause::Refused), "connection refused by 198.51.100.11:80 after 41 ms");
        assert_eq!(text(Cause::Reset), "connection reset by 198.51.100.11:80 after 41 ms");
        let within = Duration::from_millis(2_500);
        assert_eq!(
            text(Cause::NoAnswer { within }),
            "no answer from 198.51.100.11:80 within 2.5 s"
        );
        assert_eq!(
            text(Cause::Unreachable(Errno(113))),
            "198.51.100.11:80 is unreachable: No route to host after 41 ms"
        );
        let short = Mismatch::Short { length: 2, pattern: 3 };
        assert_eq!(
            text(short),
            "reply of 2 bytes, wanted 3 bytes that match, from 198.51.100.11:80 after 41 ms"
        );
        let nibble = Mismatch::Byte { at: 1, came: 0xab, wanted: 0x40, mask: 0xf0 };
        assert_eq!(
            text(nibble),
            "reply with AB at byte 1, wanted 4X, from 198.51.100.11:80 after 41 ms"
        );
    }

    #[test]
    fn failures_without_a_network_name_nobody() {
        let local =
            |failure: ScriptFailure| Failure::local(failure, Duration::from_millis(7)).to_string();
        assert_eq!(
            local(ScriptFailure::Exited { status: 1, dynamic: false }),
            "exit status 1, wanted 0 after 7 ms"
        );
        let within = Duration::from_secs(5);
        assert_eq!(local(ScriptFailure::TimedOut { within }), "did not end within 5 s");
    }

    #[test]
    fn what_is_our_own_fault_is_no_failure_of_the_server() {
        for ours in [99, 98, 11, 12, 105] {
            assert!(errno(ours).is_ours(), "{ours}");
        }
        for theirs in [111, 104, 113, 101, 110] {
            assert!(!errno(theirs).is_ours(), "{theirs}");
        }
        assert_eq!(
            text(errno(99)),
            "cannot connect: Cannot assign requested address for 198.51.100.11:80"
        );
    }
}
