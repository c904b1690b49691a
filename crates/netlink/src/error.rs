//! What the kernel, or the way to it, can answer instead of "done".

use nix::errno::Errno;

/// Why a request or a dump failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KernelError {
    /// The kernel refused the request.
    #[error("{}{}", errno.desc(), explanation(message.as_deref()))]
    Refused {
        /// The error number.
        errno: Errno,
        /// The kernel's own explanation (extended acknowledgement), when it gave one.
        message: Option<String>,
    },
    /// The socket itself failed.
    #[error("netlink socket: {}", .0.desc())]
    Socket(Errno),
    /// Answers were lost because the receive buffer was full. Whether the request was carried out
    /// is unknown: dump and compare.
    #[error("the kernel's answer was lost (receive buffer overrun)")]
    Overrun,
    /// No answer within the time limit.
    #[error("the kernel did not answer in time")]
    TimedOut,
    /// A dump was interrupted by changes again and again.
    #[error("the kernel's tables changed faster than they could be read")]
    Unstable,
    /// The request cannot be expressed to the kernel by this crate; the text names the part.
    #[error("not supported: {0}")]
    Unsupported(&'static str),
    /// A message of the kernel could not be understood; the text names the part.
    #[error("malformed netlink message: {0}")]
    Malformed(&'static str),
}

impl KernelError {
    /// The error number, where the kernel gave one.
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Refused { errno, .. } | Self::Socket(errno) => Some(*errno),
            _ => None,
        }
    }

    /// Whether an exclusive add was refused because the entry exists already.
    #[must_use]
    pub fn already_exists(&self) -> bool {
        self.errno() == Some(Errno::EEXIST)
    }

    /// Whether a delete was refused because there is no such entry (or no such interface).
    #[must_use]
    pub fn already_gone(&self) -> bool {
        matches!(
            self.errno(),
            Some(Errno::ENOENT | Errno::ESRCH | Errno::EADDRNOTAVAIL | Errno::ENODEV)
        )
    }
}

fn explanation(message: Option<&str>) -> String {
    message.map(|text| format!(": {text}")).unwrap_or_default()
}
