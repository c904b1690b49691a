//! Reads a response as it comes in: status line, headers, and a body with a length, in chunks, or
//! until the connection closes (RFC 9112 §4 to §7).
//!
//! ```text
//!   bytes, in any portions ──► Response ──► Piece::Head (once), Piece::Body, Piece::Framing
//!   the connection closed  ──►     │
//!                                  └──────► Progress, End or Malformed
//! ```
//!
//! Nothing of the body is kept; headers are kept until they are complete and at most
//! [`MAX_HEAD`] bytes of them. The result does not depend on how the bytes are portioned.

use std::fmt;

/// The longest headers, in bytes, of all responses before the final one together.
pub const MAX_HEAD: usize = 64 * 1024;
/// How much of something unexpected is quoted, in bytes.
pub const EXCERPT: usize = 40;
/// The longest line that says how long a chunk is, in bytes.
const MAX_CHUNK_LINE: usize = 4096;
/// The longest trailer section, in bytes.
const MAX_TRAILER: usize = 16 * 1024;

/// A response that is being read.
#[derive(Debug)]
pub struct Response {
    state: State,
    /// The headers of the final response so far; dropped when they are complete.
    head: Vec<u8>,
    /// Bytes of informational responses (1xx) before it.
    skipped: usize,
    /// Where the current line of the head began.
    line: usize,
    status: Option<u16>,
    /// What came in all.
    taken: u64,
    /// Bytes of the body, without the framing of chunks.
    body: u64,
    chunked: bool,
}

#[derive(Debug)]
enum State {
    Head,
    Length { left: u64, of: u64 },
    UntilClose,
    Chunk(Chunk),
    Complete,
}

#[derive(Debug)]
enum Chunk {
    /// The line with the size of the next chunk.
    Size(Vec<u8>),
    Data(u64),
    /// The line end after the data; whether the CR came.
    DataEnd(bool),
    /// Lines after the last chunk: bytes so far, and whether the current line has any.
    Trailer {
        bytes: usize,
        empty: bool,
    },
}

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// The final response's status line and headers, with the empty line.
    Head(&'a [u8]),
    /// A part of the body.
    Body(&'a [u8]),
    /// A part of the framing of a chunked body, which is not part of its text.
    Framing(&'a [u8]),
}

/// Whether more is to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// More is to come.
    More,
    /// That was all; what follows is not part of the response.
    Complete,
}

/// How a response ended when the connection was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// As it should.
    Complete,
    /// Too early.
    Cut {
        /// Bytes of the body that came.
        came: u64,
        /// Bytes that were announced; `None`: the end of the chunks is missing.
        of: Option<u64>,
    },
}

/// The server does not speak HTTP as it should.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The connection closed before anything came.
    #[error("connection closed without a response")]
    Nothing,
    /// The connection closed before the headers were complete.
    #[error("connection closed within the headers, after {0} bytes")]
    CutHead(u64),
    /// It does not begin as HTTP does.
    #[error("not HTTP: {0}")]
    NotHttp(Excerpt),
    /// The headers do not end.
    #[error("headers of more than {MAX_HEAD} bytes")]
    HeadTooLong,
    /// The length of the body is no number, or there are several that differ.
    #[error("a bad Content-Length: {0}")]
    BadLength(Excerpt),
    /// The body's chunks are not framed as they should be.
    #[error("a badly framed chunk: {0}")]
    BadChunk(Excerpt),
}

/// The beginning of what came, printable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt(Box<[u8]>);

impl Excerpt {
    /// At most [`EXCERPT`] bytes of it.
    pub fn of(bytes: &[u8]) -> Self {
        Self(bytes.get(..EXCERPT).unwrap_or(bytes).into())
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

impl Default for Response {
    fn default() -> Self {
        Self::new()
    }
}

impl Response {
    /// Nothing has come yet.
    pub fn new() -> Self {
        Self {
            state: State::Head,
            head: Vec::new(),
            skipped: 0,
            line: 0,
            status: None,
            taken: 0,
            body: 0,
            chunked: false,
        }
    }

    /// The final status code, as soon as the headers are complete.
    pub fn status(&self) -> Option<u16> {
        self.status
    }

    /// Bytes that came, all in all.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Bytes of the body so far.
    pub fn body(&self) -> u64 {
        self.body
    }

    /// Whether the body comes in chunks.
    pub fn is_chunked(&self) -> bool {
        self.chunked
    }

    /// Takes what came; hands its pieces to `each`.
    ///
    /// # Errors
    /// The server does not speak HTTP. Nothing more may be taken then.
    pub fn take(
        &mut self,
        mut bytes: &[u8],
        each: &mut dyn FnMut(Piece<'_>),
    ) -> Result<Progress, Malformed> {
        self.taken = self.taken.saturating_add(length(bytes));
        while let [first, rest @ ..] = bytes {
            match &mut self.state {
                State::Head => {
                    self.head.push(*first);
                    bytes = rest;
                    self.head_byte(*first, each)?;
                }
                State::Length { left, .. } => {
                    let part = front(bytes, *left);
                    *left -= length(part);
                    self.body += length(part);
                    each(Piece::Body(part));
                    bytes = &bytes[part.len()..];
                    if *left == 0 {
                        self.state = State::Complete;
                    }
                }
                State::UntilClose => {
                    self.body += length(bytes);
                    each(Piece::Body(bytes));
                    bytes = &[];
                }
                State::Chunk(Chunk::Data(left)) => {
                    let part = front(bytes, *left);
                    *left -= length(part);
                    self.body += length(part);
                    each(Piece::Body(part));
                    bytes = &bytes[part.len()..];
                    if *left == 0 {
                        self.state = State::Chunk(Chunk::DataEnd(false));
                    }
                }
                State::Chunk(chunk) => {
                    each(Piece::Framing(std::slice::from_ref(first)));
                    bytes = rest;
                    if let Some(next) = framing_byte(chunk, *first)? {
                        self.state = next;
                    }
                }
                State::Complete => break,
            }
        }
        Ok(match self.state {
            State::Complete => Progress::Complete,
            _ => Progress::More,
        })
    }

    /// The connection was closed.
    ///
    /// # Errors
    /// Not even the headers were complete.
    pub fn end(&self) -> Result<End, Malformed> {
        match &self.state {
            State::Head if self.taken == 0 => Err(Malformed::Nothing),
            State::Head => match starts_as_http(&self.head) {
                true => Err(Malformed::CutHead(self.taken)),
                false => Err(Malformed::NotHttp(Excerpt::of(&self.head))),
            },
            State::Length { left, of } => Ok(End::Cut { came: of - left, of: Some(*of) }),
            State::Chunk(_) => Ok(End::Cut { came: self.body, of: None }),
            State::UntilClose | State::Complete => Ok(End::Complete),
        }
    }

    fn head_byte(&mut self, byte: u8, each: &mut dyn FnMut(Piece<'_>)) -> Result<(), Malformed> {
        // Something else is quoted as far as its first line, but not waited for.
        if !starts_as_http(&self.head) && (byte == b'\n' || self.head.len() >= EXCERPT) {
            return Err(Malformed::NotHttp(Excerpt::of(&self.head)));
        }
        if self.skipped + self.head.len() > MAX_HEAD {
            return Err(Malformed::HeadTooLong);
        }
        if byte != b'\n' {
            return Ok(());
        }
        let line = trimmed(&self.head[self.line..]);
        let first = self.line == 0;
        let empty = line.is_empty();
        if first {
            let code = status_code(line).ok_or_else(|| Malformed::NotHttp(Excerpt::of(line)))?;
            self.status = Some(code);
        }
        self.line = self.head.len();
        if first || !empty {
            return Ok(());
        }
        let head = std::mem::take(&mut self.head);
        self.line = 0;
        match self.status {
            // An informational response: the final one follows (RFC 9110 §15.2). 101 is final.
            Some(100 | 102..=199) => {
                self.skipped += head.len();
                self.status = None;
                return Ok(());
            }
            _ => each(Piece::Head(&head)),
        }
        self.state = self.framing(&head)?;
        Ok(())
    }

    /// How the body is framed (RFC 9112 §6.3).
    fn framing(&mut self, head: &[u8]) -> Result<State, Malformed> {
        if matches!(self.status, Some(101 | 204 | 304)) {
            return Ok(State::Complete);
        }
        let (mut announced, mut coded) = (None, None);
        for line in head.split(|byte| *byte == b'\n').skip(1) {
            let line = trimmed(line);
            let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
            let (name, value) = (line[..colon].trim_ascii(), line[colon + 1..].trim_ascii());
            // A line that begins with a space continues another header.
            if line.first().is_some_and(u8::is_ascii_whitespace) {
                continue;
            }
            if name.eq_ignore_ascii_case(b"content-length") {
                for value in value.split(|byte| *byte == b',') {
                    let value = value.trim_ascii();
                    let bad = || Malformed::BadLength(Excerpt::of(value));
                    let number = decimal(value).ok_or_else(bad)?;
                    if announced.is_some_and(|other| other != number) {
                        return Err(bad());
                    }
                    announced = Some(number);
                }
            } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
                coded = value.rsplit(|byte| *byte == b',').next().map(<[u8]>::trim_ascii);
            }
        }
        Ok(match (coded, announced) {
            (Some(last), _) if last.eq_ignore_ascii_case(b"chunked") => {
                self.chunked = true;
                State::Chunk(Chunk::Size(Vec::new()))
            }
            (Some(_), _) | (None, None) => State::UntilClose,
            (None, Some(0)) => State::Complete,
            (None, Some(of)) => State::Length { left: of, of },
        })
    }
}

const PREFIX: &[u8] = b"HTTP/";

fn starts_as_http(head: &[u8]) -> bool {
    head.iter().zip(PREFIX).all(|(came, wanted)| came == wanted)
}

/// `HTTP/1.1 200 OK`. Many servers leave out the reason, and the space before it.
fn status_code(line: &[u8]) -> Option<u16> {
    let rest = line.strip_prefix(PREFIX)?;
    let space = rest.iter().position(|byte| *byte == b' ')?;
    let (version, rest) = (&rest[..space], rest[space..].trim_ascii_start());
    let known = matches!(version, [b'0'..=b'9'] | [b'0'..=b'9', b'.', b'0'..=b'9']);
    match rest {
        [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', rest @ ..]
            if known && matches!(rest.first(), None | Some(b' ')) =>
        {
            let digit = |byte: &u8| u16::from(*byte - b'0');
            Some(digit(a) * 100 + digit(b) * 10 + digit(c))
        }
        _ => None,
    }
}

/// A byte of what is between the chunks' data. Returns what comes next, if that changes.
fn framing_byte(chunk: &mut Chunk, byte: u8) -> Result<Option<State>, Malformed> {
    let bad = |bytes: &[u8]| Malformed::BadChunk(Excerpt::of(bytes));
    match chunk {
        Chunk::Size(line) if byte == b'\n' => {
            let size = line.split(|byte| *byte == b';').next().unwrap_or_default();
            let size = hexadecimal(size.trim_ascii()).ok_or_else(|| bad(line))?;
            Ok(Some(State::Chunk(match size {
                0 => Chunk::Trailer { bytes: 0, empty: true },
                size => Chunk::Data(size),
            })))
        }
        Chunk::Size(line) if line.len() >= MAX_CHUNK_LINE => Err(bad(line)),
        Chunk::Size(line) => {
            line.push(byte);
            Ok(None)
        }
        Chunk::DataEnd(cr) => match byte {
            b'\r' if !*cr => {
                *cr = true;
                Ok(None)
            }
            b'\n' => Ok(Some(State::Chunk(Chunk::Size(Vec::new())))),
            _ => Err(bad(&[byte])),
        },
        Chunk::Trailer { bytes, empty } => {
            *bytes += 1;
            match byte {
                b'\n' if *empty => return Ok(Some(State::Complete)),
                b'\n' => *empty = true,
                b'\r' => {}
                _ => *empty = false,
            }
            if *bytes > MAX_TRAILER { Err(bad(b"trailers without an end")) } else { Ok(None) }
        }
        // Data is taken in portions, by the caller.
        Chunk::Data(_) => Ok(None),
    }
}

/// A line without its end.
fn trimmed(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn hexadecimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(text).ok()?, 16).ok()
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// At most so many bytes from the front.
fn front(bytes: &[u8], most: u64) -> &[u8] {
    usize::try_from(most).ok().and_then(|most| bytes.get(..most)).unwrap_or(bytes)
}
