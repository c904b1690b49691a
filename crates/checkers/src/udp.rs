//! `UDP_CHECK`: nobody says that the port is unreachable, or the reply is the one wanted.

use config::model::checker::UdpReply;

use crate::target::Target;

/// A `UDP_CHECK`.
#[derive(Clone, Debug, PartialEq)]
pub struct Udp {
    /// `payload`; `None`: 32 filler bytes.
    pub payload: Option<Vec<u8>>,
    /// `require_reply`.
    pub reply: Option<UdpReply>,
    /// Where.
    pub target: Target,
}

/// How a reply differs from the one wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// Too short or too long.
    #[error("reply of {length} bytes, wanted {min}-{max}")]
    Length {
        /// Its length.
        length: usize,
        /// `min_reply_length`.
        min: u16,
        /// `max_reply_length`.
        max: u16,
    },
    /// Shorter than the pattern.
    #[error("reply of {length} bytes, wanted {pattern} bytes that match")]
    Short {
        /// Its length.
        length: usize,
        /// The pattern's length.
        pattern: usize,
    },
    /// Another byte than the pattern's.
    #[error("reply with {came:02x} at byte {at}, wanted {wanted:02x}")]
    Byte {
        /// Its place, from 0.
        at: usize,
        /// What came.
        came: u8,
        /// What the pattern says.
        wanted: u8,
    },
}
