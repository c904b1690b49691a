//! What a url must answer: collects what is needed of the answer and judges it at the end.

use std::fmt;
use std::time::Duration;

use config::model::checker::Url;
use md5::{Digest, Md5};

use super::response::{End, Malformed, Piece};
use crate::outcome::Seconds;
use crate::regex::{SEARCHED, SearchFailure};

/// What a url answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Bytes of the body.
    pub bytes: u64,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HTTP {}, {} bytes", self.status, Thousands(self.bytes))
    }
}

/// The answer is not the one wanted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpFailure {
    /// Another status.
    #[error("HTTP {came}, wanted {}", Ranges(.wanted))]
    Status {
        /// The status code.
        came: u16,
        /// The ranges that would have been fine.
        wanted: Box<[(u16, u16)]>,
    },
    /// Another body.
    #[error("digest {}, wanted {}", Hex(.came), Hex(.wanted))]
    Digest {
        /// MD5 of the body.
        came: [u8; 16],
        /// What it should have been.
        wanted: [u8; 16],
    },
    /// The expression is not found.
    #[error("no match for /{pattern}/ in {}", Looked(*.bytes))]
    NoMatch {
        /// The expression.
        pattern: Box<str>,
        /// Bytes of the body.
        bytes: u64,
    },
    /// The expression is found and must not be (`regex_no_match`).
    #[error("a match for /{pattern}/, wanted none, in {}", Looked(*.bytes))]
    Match {
        /// The expression.
        pattern: Box<str>,
        /// Bytes of the body.
        bytes: u64,
    },
    /// The expression was not tried.
    #[error("/{pattern}/ could not be tried: {reason}")]
    Search {
        /// The expression.
        pattern: Box<str>,
        /// Why.
        reason: SearchFailure,
    },
    /// The body ended too early.
    #[error("connection closed after {}", Cut(*.came, *.of))]
    Cut {
        /// Bytes of the body that came.
        came: u64,
        /// Bytes that were announced; `None`: the end of the chunks is missing.
        of: Option<u64>,
    },
    /// It is not HTTP, or not done well.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// Nothing more came, and the answer is not complete.
    #[error("nothing more within {} after {} bytes", Seconds(*.within), Thousands(*.bytes))]
    Stalled {
        /// The time that was waited, as configured.
        within: Duration,
        /// Bytes that came until then.
        bytes: u64,
    },
    /// There is no such url.
    #[error("there is no url {0}")]
    NoUrl(usize),
    /// It comes, but so slowly that it does not end.
    #[error("not complete within {}, {} bytes so far", Seconds(*.within), Thousands(*.bytes))]
    TooSlow {
        /// The greatest time for a whole answer.
        within: Duration,
        /// Bytes that came until then.
        bytes: u64,
    },
}

impl HttpFailure {
    /// Whether the fault is on our side: the answer could not be judged.
    pub fn is_ours(&self) -> bool {
        match self {
            Self::NoUrl(_) => true,
            Self::Search { reason, .. } => reason.is_ours(),
            _ => false,
        }
    }
}

/// Collects what is needed to judge an answer. Its memory is bounded: digests of the body, and as
/// much text as is searched if there is an expression.
#[derive(Debug)]
pub struct Judge<'a> {
    url: &'a Url,
    digest: Option<Md5>,
    /// MD5 of a chunked body as it is on the wire: what Keepalived compares.
    framed: Option<Md5>,
    text: Option<Vec<u8>>,
    head: usize,
    bytes: u64,
}

/// What is left to be searched for an expression.
#[derive(Debug, PartialEq, Eq)]
pub struct Search {
    /// Headers and body.
    pub answer: Vec<u8>,
    /// Bytes of headers.
    pub head: usize,
}

impl<'a> Judge<'a> {
    /// For what this url wants.
    pub fn new(url: &'a Url) -> Self {
        Self {
            url,
            digest: url.digest.map(|_| Md5::new()),
            framed: None,
            text: url.regex.as_ref().map(|_| Vec::new()),
            head: 0,
            bytes: 0,
        }
    }

    /// Takes a piece of the answer.
    pub fn take(&mut self, piece: &Piece<'_>) {
        match piece {
            Piece::Head(head) => {
                self.head = head.len();
                self.keep(head);
            }
            Piece::Body(part) => {
                self.bytes = self.bytes.saturating_add(u64::try_from(part.len()).unwrap_or(0));
                for digest in [&mut self.digest, &mut self.framed].into_iter().flatten() {
                    digest.update(part);
                }
                self.keep(part);
            }
            // The first chunk's framing comes before its data.
            Piece::Framing(part) if self.digest.is_some() => {
                self.framed.get_or_insert_default().update(part);
            }
            Piece::Framing(_) => {}
        }
    }

    fn keep(&mut self, part: &[u8]) {
        let room = self.head.saturating_add(SEARCHED);
        if let Some(text) = &mut self.text {
            let room = room.saturating_sub(text.len());
            text.extend_from_slice(part.get(..room).unwrap_or(part));
        }
    }

    /// Judges the status, as soon as it is known.
    ///
    /// # Errors
    /// It is not one that is wanted.
    pub fn status(&self, came: u16) -> Result<(), HttpFailure> {
        let wanted: &[(u16, u16)] = match &*self.url.status {
            [] => &[(200, 299)],
            ranges => ranges,
        };
        if wanted.iter().any(|(first, last)| (*first..=*last).contains(&came)) {
            return Ok(());
        }
        Err(HttpFailure::Status { came, wanted: wanted.into() })
    }

    /// Judges the body but for an expression, and tells what is to be searched for it.
    ///
    /// A body that was cut off fails where it is needed, that is, if there is a digest; without one
    /// it counts as Keepalived counts it.
    ///
    /// # Errors
    /// It is not the body that is wanted.
    pub fn body(&mut self, end: End) -> Result<Option<Search>, HttpFailure> {
        if let (Some(wanted), Some(came)) = (self.url.digest, self.digest.take()) {
            let came: [u8; 16] = came.finalize().into();
            let framed = self.framed.take().map(|framed| <[u8; 16]>::from(framed.finalize()));
            if came != wanted && framed != Some(wanted) {
                return Err(match end {
                    End::Complete => HttpFailure::Digest { came, wanted },
                    End::Cut { came, of } => HttpFailure::Cut { came, of },
                });
            }
        }
        Ok(self.text.take().map(|answer| Search { head: self.head.min(answer.len()), answer }))
    }

    /// Judges what was found for the expression.
    ///
    /// # Errors
    /// It was found and must not be, or the reverse; or nobody could look.
    pub fn found(
        &self,
        found: Result<Option<usize>, SearchFailure>,
        end: End,
    ) -> Result<(), HttpFailure> {
        let Some(regex) = &self.url.regex else { return Ok(()) };
        let pattern = || regex.pattern.as_str().into();
        match (found, regex.negate, end) {
            (Err(reason), ..) => Err(HttpFailure::Search { pattern: pattern(), reason }),
            (Ok(Some(_)), false, _) => Ok(()),
            (Ok(Some(_)), true, _) => {
                Err(HttpFailure::Match { pattern: pattern(), bytes: self.bytes })
            }
            (Ok(None), _, End::Cut { came, of }) => Err(HttpFailure::Cut { came, of }),
            (Ok(None), true, End::Complete) => Ok(()),
            (Ok(None), false, End::Complete) => {
                Err(HttpFailure::NoMatch { pattern: pattern(), bytes: self.bytes })
            }
        }
    }

    /// Bytes of the body so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// `200-299, 404`
struct Ranges<'a>(&'a [(u16, u16)]);

impl fmt::Display for Ranges<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (first, last)) in self.0.iter().enumerate() {
            f.write_str(if at == 0 { "" } else { " or " })?;
            write!(f, "{first}")?;
            if first != last {
                write!(f, "-{last}")?;
            }
        }
        Ok(())
    }
}

/// 32 digits.
struct Hex<'a>(&'a [u8; 16]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// `5,120`
struct Thousands(u64);

impl fmt::Display for Thousands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

/// `5,120 bytes`, and how many of them were searched.
struct Looked(u64);

impl fmt::Display for Looked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let searched = u64::try_from(SEARCHED).unwrap_or(u64::MAX);
        if self.0 > searched {
            write!(f, "the first {} of ", Thousands(searched))?;
        }
        write!(f, "{} bytes", Thousands(self.0))
    }
}

/// `10 of 512 bytes`
struct Cut(u64, Option<u64>);

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            Some(of) => write!(f, "{} of {} bytes", Thousands(self.0), Thousands(of)),
            None => write!(f, "{} bytes, before the last chunk", Thousands(self.0)),
        }
    }
}
