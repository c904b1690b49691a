//! The preprocessor: from files to the lines that the configuration consists of.
//!
//! ```text
//!   file ──┐
//! include ─┤  comments off → @id → $NAME= → ~SEQ/~LST → include → $NAME expanded ──► Line
//!   $DEF ──┤                  ▲                                        │
//!   ~SEQ ──┘                  └──────── a line that came from one ─────┘
//! ```
//!
//! Lines are pulled one at a time ([`Preprocessor::next_line`]; those that none of this concerns, by
//! [`Preprocessor::plain_line`]). What is open is a stack of frames:
//! files, the lines of a definition, the rounds of a sequence. Text is never copied ahead, and a
//! budget bounds what definitions and sequences can produce.

mod comment;
mod define;
mod expand;
mod include;
mod insert;
mod line;
mod read;
mod repeat;
mod rounds;
mod undefined;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

pub(crate) use comment::{is_space, is_space_byte};
pub(crate) use line::Line;
pub(crate) use read::{Is, Plain};

use crate::Options;
use crate::diagnostic::{Class, Code, Diagnostic, Preprocess};
use crate::files::FileSystem;
use crate::source::{FileId, SourceMap, Span, TrailId};
use expand::Expanded;
use include::Checks;
use repeat::Repeat;
use undefined::Leftover;

/// Keepalived reads a line into a buffer of 1024 bytes, newline and terminator included.
const LONGEST_LINE: usize = 1022;
/// Files within files.
const MOST_INCLUDES_DEEP: usize = 64;
/// Files altogether.
const MOST_FILES: usize = 16_384;
/// Definitions within definitions.
const MOST_EXPANSIONS_DEEP: usize = 200;
/// How long a line may become.
const LONGEST_EXPANDED: usize = 64 << 10;
/// Bytes that definitions and sequences may produce or move.
const MOST_BYTES: usize = 192 << 20;
/// Lines and rounds that definitions and sequences may produce.
const MOST_LINES: usize = 1_500_000;

/// What a name stands for.
#[derive(Clone, Debug)]
enum Body {
    /// The lines of a definition.
    Lines(Rc<[Line]>),
    /// The value of a counting variable, computed at its use.
    Number(Rc<str>),
}

#[derive(Clone, Debug)]
struct Definition {
    body: Body,
    /// The name where it is defined.
    at: Span,
    used: bool,
    /// The variable of a sequence.
    variable: bool,
}

/// Something that lines come from.
enum Frame {
    File { id: FileId, text: Arc<String>, at: usize, directory: Rc<Path> },
    Lines { lines: Rc<[Line]>, at: usize, trail: TrailId },
    Loop { repeat: Repeat, round: usize, specification: Line, body: Rc<[Line]>, used_at: Span },
}

/// See the module.
pub(crate) struct Preprocessor<'a> {
    files: &'a dyn FileSystem,
    options: &'a Options,
    pub(crate) sources: SourceMap,
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// What was said already: a line in a sequence says it once.
    said: HashSet<(Code, FileId, u32)>,
    frames: Vec<Frame>,
    definitions: HashMap<Rc<str>, Definition>,
    leftovers: Vec<Leftover>,
    checks: Checks,
    random: u64,
    bytes: usize,
    lines: usize,
}

impl<'a> Preprocessor<'a> {
    /// Opens the main file. When that fails, the diagnostics say so and there are no lines.
    pub(crate) fn open(files: &'a dyn FileSystem, options: &'a Options, path: &Path) -> Self {
        let mut this = Self {
            files,
            options,
            sources: SourceMap::new(),
            diagnostics: Vec::new(),
            said: HashSet::new(),
            frames: Vec::new(),
            definitions: HashMap::new(),
            leftovers: Vec::new(),
            checks: if options.all_checks { Checks::ALL } else { Checks::default() },
            random: options.seed,
            bytes: 0,
            lines: 0,
        };
        match files.read(path) {
            Ok(bytes) => this.push_file(path, bytes, None),
            Err(error) => {
                let message = format!("cannot read {}: {error}", path.display());
                this.diagnostics.push(
                    Diagnostic::error(Preprocess::Unreadable, message).class(Class::Unreadable),
                );
                // So that spans of this file exist, whatever else refers to it.
                this.sources.add_file(path, "", None);
            }
        }
        this
    }

    /// Reports, once per place and code.
    pub(crate) fn report(&mut self, diagnostic: Diagnostic) {
        let new = match &diagnostic.primary {
            Some(label) => self.said.insert((diagnostic.code, label.span.file, label.span.start)),
            None => true,
        };
        if new {
            self.diagnostics.push(diagnostic);
        }
    }

    /// Puts the next line that is not empty into `line`; `false` at the end.
    pub(crate) fn next_line(&mut self, line: &mut Line) -> bool {
        while self.fetch(line) {
            self.stray_backslash(line);
            if self.process(line) && !line.is_empty() {
                self.note_leftovers(line);
                return true;
            }
        }
        line.clear();
        false
    }

    /// Says at the end what could only be known then: names that were never defined or used.
    pub(crate) fn finish(&mut self) {
        let leftovers = std::mem::take(&mut self.leftovers);
        for diagnostic in undefined::diagnose(&leftovers, &self.definitions, &self.sources) {
            self.report(diagnostic);
        }
    }

    /// Takes from the budget; at its end stops everything and returns `false`.
    fn spend(&mut self, bytes: usize) -> bool {
        self.bytes += bytes;
        self.lines += 1;
        if self.bytes <= MOST_BYTES && self.lines <= MOST_LINES {
            return true;
        }
        self.stop();
        false
    }

    /// Reports that definitions or sequences produce too much, and reads no further.
    fn stop(&mut self) {
        let at = self.frames.iter().find_map(|frame| match frame {
            Frame::Lines { trail, .. } => self.sources.expansion(*trail).map(|step| step.used_at),
            Frame::Loop { used_at, .. } => Some(*used_at),
            Frame::File { .. } => None,
        });
        self.frames.clear();
        let mut diagnostic = Diagnostic::error(
            Preprocess::ExpansionLimit,
            "definitions and sequences produce too much text",
        )
        .class(Class::CannotRun)
        .help(format!(
            "at most {MOST_LINES} lines or {} MiB can come from them; nothing behind this point \
             is read",
            MOST_BYTES >> 20
        ));
        if let Some(span) = at {
            diagnostic = diagnostic.at(self.sources.outermost(span), "from here");
        }
        self.report(diagnostic);
    }

    /// Takes a raw line through all stages. `false`: nothing of it remains.
    fn process(&mut self, line: &mut Line) -> bool {
        let mut condition_seen = false;
        loop {
            let text = line.text();
            match text.as_bytes().first() {
                None => return false,
                Some(b'@') if !condition_seen => {
                    condition_seen = true;
                    if !self.condition(line) {
                        return false;
                    }
                    continue;
                }
                Some(b'$') => {
                    if let Some(found) = define::definition(text) {
                        self.define(line, found);
                        return false;
                    }
                    if let Some(range) = define::near_definition(text) {
                        let span = line.span(range.clone(), &self.sources);
                        self.report(
                            Diagnostic::warning(
                                Preprocess::DefinitionSyntax,
                                "this defines nothing",
                            )
                            .at(span, "a definition is written `$NAME=VALUE`")
                            .help(
                                "leave no space before the equals sign; a name is made of \
                                     letters, digits and `_`, no digit first",
                            ),
                        );
                    }
                }
                Some(b'~') => {
                    if let Some(word) = repeat::starts(text) {
                        self.repeat(line, word);
                        return false;
                    }
                }
                Some(b'i') => {
                    if let Some((checks, at)) = include::recognise(text) {
                        self.include(line, checks, at);
                        return false;
                    }
                    if text.starts_with("include_check") {
                        self.include_check(line);
                    }
                }
                _ => {}
            }
            match self.expand(line) {
                Expanded::Done => {
                    let text = line.text();
                    let trimmed = comment::trim(text, 0..text.len());
                    line.keep(trimmed);
                    return true;
                }
                Expanded::HeadChanged => {
                    let text = line.text();
                    let trimmed = comment::trim(text, 0..text.len());
                    line.keep(trimmed);
                }
                Expanded::Stopped => return false,
            }
        }
    }

    /// `@ID …` and `@^ID …`: whether the line counts. What remains is in `line`.
    fn condition(&mut self, line: &mut Line) -> bool {
        let text = line.text();
        let end = text.find(is_space).unwrap_or(text.len());
        let (negative, id) = match text[1..end].strip_prefix('^') {
            Some(id) => (true, id),
            None => (false, &text[1..end]),
        };
        if id.is_empty() {
            let span = line.span(0..end, &self.sources);
            self.report(
                Diagnostic::advice(
                    Preprocess::UnusedCondition,
                    "no configuration id follows the `@`",
                )
                .at(span, if negative { "always true" } else { "never true" })
                .help("write the id directly behind it: `@main`, or `@^main` for all others"),
            );
            let text = line.text();
            let rest = comment::trim(text, end..text.len());
            line.keep(rest);
            return negative;
        }
        let holds = (id == self.options.config_id) != negative;
        let rest = comment::trim(text, end..text.len());
        line.keep(rest);
        holds
    }

    fn define(&mut self, line: &Line, found: define::Definition) {
        let at = line.span(0..found.name.end, &self.sources);
        let name: Rc<str> = Rc::from(&line.text()[found.name]);
        let mut first = Line::default();
        first.push_part(line, found.value);
        let mut lines = vec![first];
        // Only a line that stands in a file can go on on the next one.
        while matches!(self.frames.last(), Some(Frame::File { .. })) && self.continues() {
            let mut next = Line::default();
            if self.fetch_from_file(&mut next).is_none() {
                break;
            }
            lines.push(next);
        }
        // `$NAME= \` and then the text on lines of its own.
        if lines.len() > 1 && lines[0].is_empty() {
            lines.remove(0);
        }
        let used = self.definitions.get(&name).is_some_and(|old| old.used);
        let body = Body::Lines(lines.into());
        self.definitions.insert(name, Definition { body, at, used, variable: false });
    }

    /// The directory of the file that is being read.
    fn directory(&self) -> Rc<Path> {
        self.frames
            .iter()
            .rev()
            .find_map(|frame| match frame {
                Frame::File { directory, .. } => Some(Rc::clone(directory)),
                _ => None,
            })
            .unwrap_or_else(|| Rc::from(Path::new("/")))
    }
}

/// A path without `.` and `..`, as far as that can be told without asking the file system.
fn tidy(path: &Path) -> PathBuf {
    let mut tidied = PathBuf::new();
    for component in path.components() {
        match component {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir => {
                tidied.pop();
            }
            other => tidied.push(other),
        }
    }
    tidied
}
