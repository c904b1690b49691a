//! Reads replies of a mail server as they come in (RFC 5321 §4.2): lines of a code and a text, all
//! but the last with a hyphen between them.

use std::fmt;

/// The longest line, in bytes; RFC 5321 §4.5.3.1.5 allows 512.
const MAX_LINE: usize = 4096;
/// The longest reply, in lines.
const MAX_LINES: usize = 256;
/// How much of a text is kept, in bytes.
const KEPT: usize = 80;

/// What a server says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// The code.
    pub code: u16,
    /// The text of the first line, or the beginning of it, printable.
    pub text: Box<str>,
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if self.text.is_empty() { Ok(()) } else { write!(f, " \"{}\"", self.text) }
    }
}

/// This is no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A line without a code, or with another code than the lines before it.
    #[error("not SMTP: \"{0}\"")]
    Line(Box<str>),
    /// A line or a reply that does not end.
    #[error("a reply without an end")]
    TooLong,
}

/// Takes bytes, gives replies. Keeps at most a line.
#[derive(Debug, Default)]
pub struct ReplyReader {
    /// What is not read yet.
    rest: Vec<u8>,
    /// The reply that has begun, and how many lines it has so far.
    begun: Option<(Reply, usize)>,
}

impl ReplyReader {
    /// Nothing came yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes what came.
    pub fn take(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
    }

    /// The next reply, when it is complete.
    ///
    /// # Errors
    /// This is not SMTP. Nothing more can be read then.
    pub fn reply(&mut self) -> Result<Option<Reply>, Malformed> {
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            if end > MAX_LINE {
                return Err(Malformed::TooLong);
            }
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let line = line.strip_suffix(b"\n").unwrap_or(&line);
            if let Some(reply) = self.line(line.strip_suffix(b"\r").unwrap_or(line))? {
                return Ok(Some(reply));
            }
        }
        if self.rest.len() > MAX_LINE { Err(Malformed::TooLong) } else { Ok(None) }
    }

    fn line(&mut self, line: &[u8]) -> Result<Option<Reply>, Malformed> {
        let bad = || Malformed::Line(printable(line));
        let (digits, rest) = line.split_at_checked(3).ok_or_else(bad)?;
        let [a @ b'2'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9'] = digits else {
            return Err(bad());
        };
        let digit = |byte: &u8| u16::from(*byte - b'0');
        let code = digit(a) * 100 + digit(b) * 10 + digit(c);
        let (last, text) = match rest {
            [] => (true, rest),
            [b' ', text @ ..] => (true, text),
            [b'-', text @ ..] => (false, text),
            _ => return Err(bad()),
        };
        let (reply, lines) =
            self.begun.take().unwrap_or_else(|| (Reply { code, text: printable(text) }, 0));
        if reply.code != code {
            return Err(bad());
        }
        if last {
            return Ok(Some(reply));
        }
        if lines >= MAX_LINES {
            return Err(Malformed::TooLong);
        }
        self.begun = Some((reply, lines + 1));
        Ok(None)
    }
}

fn printable(bytes: &[u8]) -> Box<str> {
    bytes.get(..KEPT).unwrap_or(bytes).escape_ascii().to_string().into()
}
