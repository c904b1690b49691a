//! `UDP_CHECK`: nobody says that the port is unreachable, or the reply is the one wanted.

use std::fmt;

use config::model::checker::UdpReply;
use tokio::time::Instant;

use crate::connect::connect_udp;
use crate::outcome::{Cause, Detail, Failure, Success};
use crate::patience::within;
use crate::target::Target;

/// What is sent without `payload`: what Keepalived sends, since servers and packet filters may have
/// been taught to know it.
const FILLER: &[u8; 32] = b"keepalived check - keepalived ch";

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
    #[error("reply of {}{length} bytes, wanted {min}-{max}", if *.length > usize::from(*.max) { "at least " } else { "" })]
    Length {
        /// Its length; of one that is too long so much as was looked at.
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
    #[error("reply with {came:02X} at byte {at}, wanted {}", Masked(*.wanted, *.mask))]
    Byte {
        /// Its place, from 0.
        at: usize,
        /// What came.
        came: u8,
        /// What the pattern says.
        wanted: u8,
        /// The bits that must agree.
        mask: u8,
    },
}

/// A byte of a pattern as it is written: `4X`.
struct Masked(u8, u8);

impl fmt::Display for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for shift in [4, 0] {
            if (self.1 >> shift) & 0xf == 0 {
                f.write_str("X")?;
            } else {
                write!(f, "{:X}", (self.0 >> shift) & 0xf)?;
            }
        }
        Ok(())
    }
}

/// Sends the payload and waits for what comes.
pub(crate) async fn run(check: &Udp) -> Result<Success, Failure> {
    let target = &check.target;
    let began = Instant::now();
    let fail = |cause: Cause| Err(Failure::new(cause, target.to, began.elapsed()));
    let socket = connect_udp(target)?;
    let payload = check.payload.as_deref().unwrap_or(FILLER);
    if let Err(error) = socket.send(payload).await {
        return fail(Cause::of(&error));
    }
    // One byte more than is allowed shows that a reply is too long.
    let longest = check.reply.as_ref().map_or(0, |reply| usize::from(reply.max_length));
    let mut buffer = vec![0; longest + 1];
    // From here on: a socket is written to when the loop has gone round once, and this process may
    // have been busy elsewhere (a reload). The server does not pay for that.
    match within(target.timeout, socket.recv(&mut buffer)).await {
        Some(Ok(length)) => match &check.reply {
            Some(wanted) => match matches(wanted, &buffer[..length]) {
                Ok(()) => Ok(Success::new(Detail::Replied(length), began.elapsed())),
                Err(mismatch) => fail(mismatch.into()),
            },
            None => Ok(Success::new(Detail::Answered, began.elapsed())),
        },
        Some(Err(error)) => fail(Cause::of(&error)),
        None if check.reply.is_none() => Ok(Success::new(Detail::NotRefused, began.elapsed())),
        None => fail(Cause::NoAnswer { within: target.timeout }),
    }
}

/// Whether a reply is the one wanted: its length is in the range, and it begins with the pattern.
///
/// # Errors
/// How it differs.
pub fn matches(wanted: &UdpReply, reply: &[u8]) -> Result<(), Mismatch> {
    let length = reply.len();
    let (min, max) = (wanted.min_length, wanted.max_length);
    if !(usize::from(min)..=usize::from(max)).contains(&length) {
        return Err(Mismatch::Length { length, min, max });
    }
    if length < wanted.pattern.len() {
        return Err(Mismatch::Short { length, pattern: wanted.pattern.len() });
    }
    for (at, (&came, &(wanted, mask))) in reply.iter().zip(&wanted.pattern).enumerate() {
        if (came ^ wanted) & mask != 0 {
            return Err(Mismatch::Byte { at, came, wanted, mask });
        }
    }
    Ok(())
}
