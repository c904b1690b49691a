//! The regular expressions of `url` blocks.
//!
//! They are written for PCRE2, which Keepalived uses; here fancy-regex matches them, after
//! `translate` has put into its words what the two say differently. What cannot be said is
//! named by [`objection`], so that a configuration check tells it.
//!
//! An answer is searched as a whole when it is complete. Keepalived searches it as it comes in,
//! portion by portion, headers included if they come together with the beginning of the body; where
//! `^` matches there depends on the network. Here a match counts in the body, and otherwise in
//! headers and body together.

mod translate;

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use config::model::checker::Regex;
use fancy_regex::{BytesMode, RegexBuilder};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

use translate::{Options, Translated, translate};

/// So much of an answer is searched, in bytes; the rest is ignored (and a failure says so).
pub const SEARCHED: usize = 1024 * 1024;

/// Steps back that an expression may take in a short text, and on a thread of its own; PCRE2 has a
/// similar limit.
const STEPS: [usize; 2] = [100_000, 10_000_000];
/// The greatest text, in bytes, that an expression which may take long is tried on without a thread
/// of its own.
const SHORT: usize = 2048;
/// So many threads may search for one expression at a time.
const THREADS: usize = 2;
/// Unused expressions are forgotten after this.
const KEEP: Duration = Duration::from_secs(3600);

/// Why an expression cannot be used, if it cannot: a syntax error, something that PCRE2 has and we
/// have not, an offset beyond [`SEARCHED`].
pub fn objection(regex: &Regex) -> Option<String> {
    Expression::new(regex).err().map(|error| error.to_string())
}

/// An expression cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// PCRE2 would understand it.
    #[error("{0} is not supported")]
    Unsupported(&'static str),
    /// `ucp` without `utf`: bytes would be letters of Latin-1.
    #[error("`ucp` needs `utf`")]
    LatinOne,
    /// `never_backslash_c` and `\C`.
    #[error("`never_backslash_c` forbids \\C")]
    BackslashC,
    /// A match would have to begin beyond what is searched.
    #[error("only the first {} bytes of an answer are searched", SEARCHED)]
    Offset,
    /// Nobody understands it.
    #[error("{0}")]
    Syntax(String),
}

/// A compiled expression with its options.
pub struct Expression {
    regex: fancy_regex::Regex,
    /// In the words of fancy-regex.
    pattern: String,
    options: Options,
    /// The whole subject must be searched by steps: it may take long.
    slow: bool,
    min_offset: usize,
    max_offset: Option<usize>,
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.regex.as_str()).finish()
    }
}

/// A search took too many steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManySteps;

impl Expression {
    /// Compiles it.
    ///
    /// # Errors
    /// It cannot be used.
    pub fn new(regex: &Regex) -> Result<Self, Unusable> {
        let options = Options::of(&regex.options);
        if options.ucp && !options.utf {
            return Err(Unusable::LatinOne);
        }
        let offset = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX);
        let min_offset = offset(regex.min_offset);
        if min_offset >= SEARCHED {
            return Err(Unusable::Offset);
        }
        let Translated { pattern, slow } = translate(&regex.pattern, options)?;
        Ok(Self {
            regex: compile(&pattern, options, STEPS[0])
                .map_err(|error| Unusable::Syntax(complaint(&error)))?,
            pattern,
            options,
            slow,
            min_offset,
            max_offset: regex.max_offset.map(offset),
        })
    }

    /// Where the first match begins, if there is one that begins within the offsets.
    ///
    /// # Errors
    /// It would take too long.
    pub fn find(&self, text: &[u8]) -> Result<Option<usize>, TooManySteps> {
        self.find_by(&self.engine(text.len()), text)
    }

    /// What searches a text of that size. The one with more steps, for long texts, is made for each
    /// search: fancy-regex keeps the stacks of all threads that ever searched, and those of a
    /// hostile text are tens of megabytes each.
    fn engine(&self, bytes: usize) -> Cow<'_, fancy_regex::Regex> {
        if !self.needs_thread(bytes) {
            return Cow::Borrowed(&self.regex);
        }
        match compile(&self.pattern, self.options, STEPS[1]) {
            Ok(patient) => Cow::Owned(patient),
            // It was compiled before.
            Err(_) => Cow::Borrowed(&self.regex),
        }
    }

    fn find_by(
        &self,
        engine: &fancy_regex::Regex,
        text: &[u8],
    ) -> Result<Option<usize>, TooManySteps> {
        if self.min_offset > text.len() {
            return Ok(None);
        }
        let found = engine.find_from_pos(text, self.min_offset).map_err(|_| TooManySteps)?;
        let Some(at) = found.map(|found| found.start()) else { return Ok(None) };
        let line = || text.iter().position(|byte| *byte == b'\n').unwrap_or(text.len());
        let late =
            self.max_offset.is_some_and(|most| at >= most) || self.options.firstline && at > line();
        Ok((!late).then_some(at))
    }

    /// Where the first match begins in an answer: in the body, or else anywhere. `head` bytes of
    /// the answer are headers.
    ///
    /// # Errors
    /// It would take too long.
    pub fn find_in_answer(
        &self,
        answer: &[u8],
        head: usize,
    ) -> Result<Option<usize>, TooManySteps> {
        let engine = self.engine(answer.len());
        match self.find_by(&engine, answer.get(head..).unwrap_or_default())? {
            Some(at) => Ok(Some(at)),
            None => self.find_by(&engine, answer),
        }
    }

    /// Whether an answer of that size is better searched on another thread.
    fn needs_thread(&self, bytes: usize) -> bool {
        self.slow && bytes > SHORT
    }
}

fn compile(
    pattern: &str,
    options: Options,
    steps: usize,
) -> Result<fancy_regex::Regex, fancy_regex::Error> {
    let mode = if options.utf { BytesMode::UnicodeBytes } else { BytesMode::Ascii };
    RegexBuilder::new(pattern)
        .bytes_mode(mode)
        .case_insensitive(options.caseless)
        .multi_line(options.multiline)
        .dot_matches_new_line(options.dotall)
        .ignore_whitespace(options.extended)
        .backtrack_limit(steps)
        .build()
}

/// What is wrong, in one line. The parser of the crate below fancy-regex draws a picture, whose last
/// line says it.
fn complaint(error: &fancy_regex::Error) -> String {
    let mut text = error.to_string();
    if let fancy_regex::Error::CompileError(inner) = error
        && let fancy_regex::CompileError::InnerError(inner) = &**inner
        && let Some(syntax) = inner.syntax_error()
    {
        text = syntax.to_string();
    }
    let line = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or(&text);
    line.trim_start_matches("error: ").to_owned()
}

/// An expression that checks share, with the searches that are under way on other threads.
#[derive(Debug)]
pub struct Shared {
    expression: Result<Arc<Expression>, Unusable>,
    threads: Arc<Semaphore>,
    used: Cell<Instant>,
}

impl Shared {
    fn new(regex: &Regex) -> Self {
        Self {
            expression: Expression::new(regex).map(Arc::new),
            threads: Arc::new(Semaphore::new(THREADS)),
            used: Cell::new(Instant::now()),
        }
    }

    /// As [`Expression::find_in_answer`]. What may take long goes to another thread, and nobody
    /// waits for it longer than `limit`. A search cannot be broken off: it goes on, and holds up
    /// others of the same expression if there are too many.
    ///
    /// # Errors
    /// The expression cannot be used, or takes too long, or others do.
    pub async fn search(
        &self,
        answer: Vec<u8>,
        head: usize,
        limit: Duration,
    ) -> Result<Option<usize>, SearchFailure> {
        let expression =
            self.expression.as_ref().map_err(|e| SearchFailure::Unusable(e.clone()))?;
        if !expression.needs_thread(answer.len()) {
            return expression.find_in_answer(&answer, head).map_err(SearchFailure::from);
        }
        let turn = timeout(limit, Arc::clone(&self.threads).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else { return Err(SearchFailure::Busy) };
        let expression = Arc::clone(expression);
        let (tell, told) = oneshot::channel();
        // Not tokio's pool: a runtime that ends would wait for the search.
        let thread = std::thread::Builder::new().name("expression".to_owned()).spawn(move || {
            let found = expression.find_in_answer(&answer, head);
            drop(turn);
            // Whoever asked may have gone.
            let _ = tell.send(found);
        });
        if thread.is_err() {
            return Err(SearchFailure::Busy);
        }
        match timeout(limit, told).await {
            Ok(Ok(found)) => found.map_err(SearchFailure::from),
            Err(_) | Ok(Err(_)) => Err(SearchFailure::TooSlow),
        }
    }
}

/// A search was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SearchFailure {
    /// The expression cannot be used.
    #[error("{0}")]
    Unusable(#[from] Unusable),
    /// It takes too long on this answer.
    #[error("it takes too long on this answer")]
    TooSlow,
    /// Other searches for it take too long, or there is no thread for it.
    #[error("other searches for it take too long")]
    Busy,
}

impl SearchFailure {
    /// Whether it says nothing about the answer.
    pub fn is_ours(&self) -> bool {
        matches!(self, Self::Unusable(_) | Self::Busy)
    }
}

impl From<TooManySteps> for SearchFailure {
    fn from(_: TooManySteps) -> Self {
        Self::TooSlow
    }
}

/// All expressions in use, each compiled once.
#[derive(Debug, Default)]
pub struct Expressions(RefCell<HashMap<Key, Rc<Shared>>>);

type Key = (String, Vec<String>, u64, Option<u64>);

impl Expressions {
    /// The expression, compiled when it is first asked for.
    pub fn get(&self, regex: &Regex) -> Rc<Shared> {
        let key =
            (regex.pattern.clone(), regex.options.clone(), regex.min_offset, regex.max_offset);
        let now = Instant::now();
        let mut known = self.0.borrow_mut();
        if let Some(shared) = known.get(&key) {
            shared.used.set(now);
            return Rc::clone(shared);
        }
        known.retain(|_, shared| now.duration_since(shared.used.get()) < KEEP);
        let shared = Rc::new(Shared::new(regex));
        known.insert(key, Rc::clone(&shared));
        shared
    }
}

#[cfg(test)]
mod tests;
