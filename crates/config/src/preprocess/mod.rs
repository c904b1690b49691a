//! The preprocessor: from files to the lines that the configuration consists of.
//!
//! ```text
//!   file ──┐
//! include ─┤  comments off → @id → $NAME= → ~SEQ/~LST → include → $NAME expanded ──► Line
//!   $DEF ──┤                  ▲                                        │
//!   ~SEQ ──┘                  └──────── a line that came from one ─────┘
//! ```
//!
//! Lines are pulled one at a time ([`Preprocessor::next_line`]). What is open is a stack of frames:
//! files, the lines of a definition, the rounds of a sequence. Text is never copied ahead, and a
//! budget bounds what definitions and sequences can produce.

mod comment;
mod define;
mod include;
mod line;
mod repeat;
mod undefined;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

pub(crate) use comment::is_space;
pub(crate) use line::Line;

use crate::Options;
use crate::diagnostic::{Class, Code, Diagnostic, Preprocess, Syntax};
use crate::files::{FileSystem, ReadError};
use crate::source::{Expander, FileId, SourceMap, Span, TrailId, offset};
use include::Checks;
use repeat::{Repeat, Values};
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
    File { id: FileId, text: Arc<str>, at: usize, line: u32, directory: Rc<Path> },
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
            Ok(bytes) => this.push_file(path, &bytes, None),
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

    fn push_file(&mut self, path: &Path, bytes: &[u8], included_from: Option<Span>) {
        let (text, marked) = match bytes.strip_prefix(b"\xef\xbb\xbf") {
            Some(rest) => (rest, true),
            None => (bytes, false),
        };
        let text = String::from_utf8_lossy(text);
        let wrong = match std::str::from_utf8(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes))
        {
            Ok(_) => None,
            Err(error) => Some(error.valid_up_to()),
        };
        let text: Arc<str> = Arc::from(text);
        let id = self.sources.add_file(path, Arc::clone(&text), included_from);
        if marked {
            self.report(
                Diagnostic::warning(
                    Syntax::ByteOrderMark,
                    "the file starts with a byte order mark",
                )
                .at(Span::new(id, 0, 0), "before this")
                .help("save the file without it; Keepalived takes it for part of the first word"),
            );
        }
        if let Some(at) = wrong {
            let span =
                Span::new(id, offset(at), offset(at + char::REPLACEMENT_CHARACTER.len_utf8()));
            self.report(
                Diagnostic::warning(Syntax::NotUtf8, "the file is not UTF-8 text")
                    .unnoticed()
                    .at(span, "the first byte that is not")
                    .help("save the file as UTF-8"),
            );
        }
        let whole = self.files.current_dir().join(path);
        let directory = whole.parent().unwrap_or(Path::new("/"));
        let directory = Rc::from(tidy(directory));
        self.frames.push(Frame::File { id, text, at: 0, line: 0, directory });
    }

    /// Takes the next raw line, comments off, from the innermost frame.
    fn fetch(&mut self, out: &mut Line) -> bool {
        out.clear();
        loop {
            match self.frames.last_mut() {
                None => return false,
                Some(Frame::File { .. }) => {
                    if self.fetch_from_file(out).is_some() {
                        return true;
                    }
                    self.frames.pop();
                }
                Some(Frame::Lines { lines, at, trail }) => {
                    if let Some(line) = lines.get(*at) {
                        *at += 1;
                        out.push_expanded(line, *trail);
                        return self.spend(out.text().len());
                    }
                    self.frames.pop();
                }
                Some(Frame::Loop { .. }) => {
                    if !self.next_round() {
                        self.frames.pop();
                    }
                    if !self.spend(1) {
                        return false;
                    }
                }
            }
        }
    }

    /// Reads a line of a file: `None` at its end, else whether a definition goes on after it.
    fn fetch_from_file(&mut self, out: &mut Line) -> Option<bool> {
        let Some(Frame::File { id, text, at, line: number, .. }) = self.frames.last_mut() else {
            return None;
        };
        let (id, start) = (*id, *at);
        let text = Arc::clone(text);
        if start >= text.len() {
            return None;
        }
        let end = text[start..].find('\n').map_or(text.len(), |i| start + i);
        *at = end + 1;
        *number += 1;
        let mut raw = &text[start..end];
        if let Some(nul) = raw.find('\0') {
            raw = &raw[..nul];
            let at = Span::new(id, offset(start + nul), offset(start + nul + 1));
            self.report(
                Diagnostic::error(Syntax::NulByte, "a NUL byte ends this line")
                    .at(at, "everything behind it is dropped")
                    .help("the file may be UTF-16, binary or damaged"),
            );
        }
        let stripped = comment::strip(raw);
        if let Some(quote) = stripped.open_quote {
            let span = Span::new(id, offset(start + quote), offset(start + stripped.text.end));
            self.report(
                Diagnostic::error(Syntax::UnclosedQuote, "this quote is not closed on its line")
                    .at(span, "all of this is taken as the quoted text")
                    .help("close it with a second `\"`; a quoted text cannot reach over several lines"),
            );
        }
        if stripped.text.end > LONGEST_LINE {
            let cut = floor(raw, LONGEST_LINE);
            let span = Span::new(id, offset(start + cut), offset(start + stripped.text.end));
            self.report(
                Diagnostic::warning(
                    Preprocess::LongLine,
                    format!("this line is longer than {LONGEST_LINE} characters"),
                )
                .at(span, "Keepalived takes this for a new line")
                .help("break the line; within a definition a `\\` at the end continues it"),
            );
        }
        let mut range = stripped.text.clone();
        if let Some(sign) = stripped.glued.filter(|_| !range.is_empty()) {
            let word = raw[..sign].rfind(is_space).map_or(0, |i| i + 1);
            let span = Span::new(id, offset(start + word), offset(start + range.end));
            let rest = Span::new(id, offset(start + sign), offset(end));
            self.report(
                Diagnostic::advice(
                    Syntax::GluedComment,
                    "a comment starts directly behind a value",
                )
                .at(span, "the value ends here")
                .also(rest, "this is a comment")
                .help(
                    "write a space before the comment; if the sign belongs to the value, put \
                         the value in double quotes or write a backslash before the sign",
                ),
            );
        }
        let continued = stripped.continued;
        if raw[range.clone()].ends_with('\\') {
            // Whether it is a continuation is for the caller to know; a word it never is.
            range = comment::trim(raw, range.start..range.end - 1);
        }
        let mut from = range.start;
        for escape in stripped.escapes.into_iter().filter(|i| range.contains(i)) {
            out.push_source(&raw[from..escape], id, start + from);
            from = escape + 1;
        }
        out.push_source(&raw[from..range.end], id, start + from);
        Some(continued)
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

    /// A backslash at the end of a line of a file counts within definitions only.
    fn stray_backslash(&mut self, line: &Line) {
        let Some(Frame::File { id, text, at, .. }) = self.frames.last() else { return };
        if line.is_empty() || !self.continues() || define::definition(line.text()).is_some() {
            return;
        }
        let Some(backslash) = text[..at - 1].rfind('\\') else { return };
        // The backslash of a comment is nobody's.
        let last = line.span(line.text().len()..line.text().len(), &self.sources).start;
        let between = text.get(last as usize..backslash).unwrap_or("#");
        if between.trim_matches(is_space).is_empty() && !line.text().starts_with('@') {
            let span = Span::new(*id, offset(backslash), offset(backslash + 1));
            self.report(
                Diagnostic::warning(
                    Preprocess::Backslash,
                    "a line goes on only within a definition",
                )
                .unnoticed()
                .at(span, "left out; Keepalived takes it for a part of the line")
                .help("write all of it on one line"),
            );
        }
    }

    /// Whether the line of the file that was read last ends with a backslash.
    fn continues(&self) -> bool {
        let Some(Frame::File { text, at, .. }) = self.frames.last() else { return false };
        let end = at.saturating_sub(1).min(text.len());
        // A last line without a newline has nothing to go on with.
        end < text.len() && text[..end].trim_end_matches(is_space_but_newline).ends_with('\\')
    }

    fn repeat(&mut self, line: &mut Line, word: usize) {
        let Some(mut end) = repeat::specification_end(line.text()) else {
            let whole = 0..line.text().len();
            self.bad_repeat(line, repeat::Wrong::NoClose, whole);
            return;
        };
        if line.text()[..end].contains("${") {
            // `~SEQ(i,${COUNT})`: the numbers may be definitions.
            let mut specification = Line::default();
            specification.push_part(line, 0..end);
            if matches!(self.expand_from(&mut specification, word), Expanded::Stopped) {
                return;
            }
            let length = specification.text().len();
            specification.push_part(line, end..line.text().len());
            *line = specification;
            end = length;
        }
        match repeat::parse(&line.text()[..end], word) {
            Err((wrong, at)) => self.bad_repeat(line, wrong, at),
            Ok(repeat) => {
                if let Some(at) = &repeat.uneven {
                    let span = line.span(at.clone(), &self.sources);
                    let text = format!("{} variables", repeat.variables.len());
                    let names = line.span(0..end, &self.sources);
                    self.report(
                        Diagnostic::warning(
                            Preprocess::LoopValues,
                            "not as many values as there are variables",
                        )
                        .unnoticed()
                        .at(span, "")
                        .also(names, text)
                        .help("missing values are empty, surplus ones are ignored"),
                    );
                }
                let used_at = line.span(0..end, &self.sources);
                let mut specification = Line::default();
                specification.push_part(line, 0..end);
                let text = line.text();
                let mut body = Line::default();
                body.push_part(line, comment::trim(text, end..text.len()));
                let body = Rc::from([body]);
                self.frames.push(Frame::Loop { repeat, round: 0, specification, body, used_at });
            }
        }
    }

    fn bad_repeat(&mut self, line: &Line, wrong: repeat::Wrong, at: std::ops::Range<usize>) {
        let span = line.span(at, &self.sources);
        self.report(
            Diagnostic::error(Preprocess::Sequence, "this sequence cannot be read")
                .at(span, wrong.text())
                .help(
                    "`~SEQ(NAME, END)`, `~SEQ(NAME, START, END)` or `~SEQ(NAME, START, STEP, END)`",
                )
                .help("`~LST(NAME, A, B, …)` or `~LST({X, Y}, {A, B}, {C, D}, …)`"),
        );
    }

    /// Sets the variables of the next round and puts its text on the stack; `false` at the end.
    fn next_round(&mut self) -> bool {
        let Some(Frame::Loop { repeat, round, specification, body, used_at }) =
            self.frames.last_mut()
        else {
            return false;
        };
        let text = specification.text();
        let mut told = String::new();
        let mut assigned: Vec<(Rc<str>, Body, Span)> = Vec::new();
        if matches!(repeat.values, Values::Count { .. }) {
            let Some(value) = repeat.values.next_count() else { return false };
            let variable = repeat.variables[0].clone();
            let name: Rc<str> = Rc::from(&text[variable.clone()]);
            told = format!("{name}={value}");
            let at = specification.span(variable, &self.sources);
            assigned.push((name, Body::Number(value.into()), at));
        } else if let Values::List { rounds } = &repeat.values {
            let Some(values) = rounds.get(*round) else { return false };
            for (variable, value) in repeat.variables.iter().zip(values) {
                let name: Rc<str> = Rc::from(&text[variable.clone()]);
                if !told.is_empty() {
                    told.push_str(", ");
                }
                told.push_str(&format!("{name}={}", &text[value.clone()]));
                let mut line = Line::default();
                line.push_part(specification, value.clone());
                let at = specification.span(variable.clone(), &self.sources);
                assigned.push((name, Body::Lines(Rc::from([line])), at));
            }
        }
        *round += 1;
        let (lines, used_at) = (Rc::clone(body), *used_at);
        for (name, body, at) in assigned {
            let mut used = false;
            if let Some(old) = self.definitions.get(&name) {
                used = old.used;
                if !old.variable {
                    let old = old.at;
                    self.report(
                        Diagnostic::advice(
                            Preprocess::ShadowedName,
                            format!("the sequence changes ${name}, which is a definition"),
                        )
                        .at(at, "the same name")
                        .also(old, "defined here")
                        .help("use another name for the variable of the sequence"),
                    );
                }
            }
            self.definitions.insert(name, Definition { body, at, used, variable: true });
        }
        let trail = self.sources.add_expansion(Expander::Round(told.into()), used_at);
        self.frames.push(Frame::Lines { lines, at: 0, trail });
        true
    }

    fn include_check(&mut self, line: &Line) {
        let text = line.text();
        let mut words = words(text).skip(1).peekable();
        if !text.starts_with("include_check ") && text != "include_check" {
            return;
        }
        if words.peek().is_none() {
            self.checks = Checks::ALL;
        }
        for range in words {
            if !self.checks.set(&text[range.clone()]) {
                let span = line.span(range.clone(), &self.sources);
                self.report(
                    Diagnostic::error(
                        Preprocess::IncludeCheck,
                        format!("include_check knows no `{}`", &text[range]),
                    )
                    .at(span, "ignored")
                    .help("it takes read, match, wildcard_match and brace_match, each with + or - if need be"),
                );
            }
        }
    }

    fn include(&mut self, line: &Line, own: Checks, at: usize) {
        let pattern = &line.text()[at..];
        let span = line.span(at..line.text().len(), &self.sources);
        let whole = line.span(0..line.text().len(), &self.sources);
        let checks = self.checks.and(own);
        let found = include::find(self.files, &self.directory(), pattern);
        let nothing = found.paths.is_empty();
        let failed = (checks.any && nothing)
            || (checks.wildcard && found.empty_wildcard)
            || (checks.brace && found.braces && !found.empty.is_empty());
        // A plain wildcard may match nothing: that is how a drop-in directory is included.
        if failed || (!found.empty.is_empty() && !(found.empty_wildcard && nothing)) {
            let message = if nothing {
                format!("no file matches `{pattern}`")
            } else {
                format!("no file matches `{}`", found.empty.join("`, `"))
            };
            let mut diagnostic = missing(failed, message).at(span, "").help(if failed {
                "this include insists that files are found; plain `include` goes on without them"
            } else {
                "Keepalived goes on without it; includea makes a missing file an error"
            });
            if pattern.starts_with(['"', '\'']) {
                diagnostic =
                    diagnostic.help("quotes are taken as part of the name: leave them out");
            }
            self.report(diagnostic);
        }
        let mut opened = Vec::new();
        for path in found.paths {
            match self.files.read(&path) {
                Ok(bytes) => opened.push((path, bytes)),
                Err(error) => self.unreadable(&path, &error, checks.read, span),
            }
        }
        // The last is pushed first: the first file is read first.
        for (path, bytes) in opened.into_iter().rev() {
            self.push_include(&path, &bytes, span, whole);
        }
    }

    fn unreadable(&mut self, path: &Path, error: &ReadError, failed: bool, span: Span) {
        self.report(
            missing(failed, format!("cannot include {}: {error}", path.display()))
                .at(span, "included here"),
        );
    }

    fn push_include(&mut self, path: &Path, bytes: &[u8], span: Span, whole: Span) {
        let tidied = tidy(path);
        let mut deep = 0;
        let mut looping = false;
        let mut next = Some(whole);
        while let Some(at) = next {
            deep += 1;
            let file = self.sources.file(at.file);
            looping |= tidy(&self.files.current_dir().join(file.path())) == tidied;
            next = file.included_from();
        }
        if looping {
            self.report(
                Diagnostic::error(
                    Preprocess::IncludeLoop,
                    format!("{} includes itself", path.display()),
                )
                .at(span, "not read again")
                .help("Keepalived would read it until it runs out of file descriptors"),
            );
        } else if deep > MOST_INCLUDES_DEEP || self.sources.files().len() >= MOST_FILES {
            self.report(
                Diagnostic::error(Preprocess::IncludeLimit, "too many files are included")
                    .class(Class::CannotRun)
                    .at(span, "not read"),
            );
        } else {
            self.push_file(path, bytes, Some(whole));
        }
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

    fn expand(&mut self, line: &mut Line) -> Expanded {
        self.expand_from(line, 0)
    }

    /// Replaces every `$NAME` and `${NAME}` from byte `from` on, what they expand to included.
    fn expand_from(&mut self, line: &mut Line, from: usize) -> Expanded {
        let mut at = from;
        while let Some(found) = line.text().get(at..).and_then(|rest| rest.find('$')) {
            at += found;
            let text = line.text();
            let Some(reference) = define::reference(text, at).filter(|r| r.complete) else {
                at += 1;
                continue;
            };
            let name = &text[reference.name.clone()];
            let Some(definition) = self.definitions.get_mut(name) else {
                match self.builtin(line, &reference) {
                    Some(value) => {
                        let origin = line.span(reference.range.clone(), &self.sources);
                        line.replace_computed(reference.range.clone(), &value, origin);
                        if !self.spend(line.text().len()) {
                            return Expanded::Stopped;
                        }
                        at += value.len();
                    }
                    None => at = reference.range.end,
                }
                continue;
            };
            definition.used = true;
            let body = definition.body.clone();
            let defined = definition.at;
            match body {
                Body::Number(value) => {
                    let origin = line.span(reference.range.clone(), &self.sources);
                    line.replace_computed(reference.range.clone(), &value, origin);
                    at += value.len();
                }
                Body::Lines(lines) => {
                    let name: Arc<str> = Arc::from(name);
                    let used_at = line.span(reference.range.clone(), &self.sources);
                    if self.recursive(line.trail_at(reference.range.start), &name) {
                        self.report(
                            Diagnostic::error(
                                Preprocess::Recursion,
                                format!("${name} leads back to itself"),
                            )
                            .at(used_at, "left as it is")
                            .also(defined, "defined here"),
                        );
                        at = reference.range.end;
                        continue;
                    }
                    if lines.len() > 1 && reference.range.end < line.text().len() {
                        let rest = line.span(reference.range.end..line.text().len(), &self.sources);
                        self.report(
                            Diagnostic::error(
                                Preprocess::MultiLine,
                                format!("text follows ${name}, a definition of several lines"),
                            )
                            .at(rest, "nothing may follow it")
                            .also(defined, "defined here")
                            .help("put what follows on a line of its own"),
                        );
                        at = reference.range.end;
                        continue;
                    }
                    let trail = self.sources.add_expansion(Expander::Definition(name), used_at);
                    line.replace(reference.range.clone(), &lines[0], trail);
                    if lines.len() > 1 {
                        self.frames.push(Frame::Lines { lines, at: 1, trail });
                    }
                    if !self.spend(line.text().len()) {
                        return Expanded::Stopped;
                    }
                    if line.text().len() > LONGEST_EXPANDED {
                        self.stop();
                        return Expanded::Stopped;
                    }
                    // What a line starts with decides what it is.
                    let head = &line.text()[..at.min(line.text().len())];
                    if from == 0 && head.trim_start_matches(is_space).is_empty() {
                        return Expanded::HeadChanged;
                    }
                }
            }
        }
        Expanded::Done
    }

    /// Whether `trail` goes through the definition `name`, or is too deep to go on.
    fn recursive(&self, trail: TrailId, name: &str) -> bool {
        let mut next = trail;
        let mut deep = 0;
        while let Some(step) = self.sources.expansion(next) {
            if matches!(&step.expander, Expander::Definition(outer) if **outer == *name) {
                return true;
            }
            next = step.used_at.trail;
            deep += 1;
        }
        deep > MOST_EXPANSIONS_DEEP
    }

    /// The value of a predefined name; `None` when there is no such name.
    fn builtin(&mut self, line: &Line, reference: &define::Reference) -> Option<String> {
        let text = line.text();
        let arguments: Vec<&str> = text[reference.arguments.clone()].split_whitespace().collect();
        let name = &text[reference.name.clone()];
        Some(match (name, &arguments[..]) {
            ("_PWD", []) => self.directory().to_string_lossy().into_owned(),
            ("_INSTANCE", []) => self.options.config_id.clone(),
            ("_HASH", []) => "#".to_owned(),
            ("_BANG", []) => "!".to_owned(),
            ("_ENV", [variable]) => self.files.variable(variable)?,
            ("_RANDOM", limits) => {
                let parsed: Option<Vec<u32>> = limits.iter().map(|n| n.parse().ok()).collect();
                let (least, most) = match parsed.as_deref() {
                    Some([]) => (0, 32_767),
                    Some(&[least]) if least <= 32_767 => (least, 32_767),
                    Some(&[least, most]) if least <= most => (least, most),
                    _ => {
                        let span = line.span(reference.range.clone(), &self.sources);
                        self.report(
                            Diagnostic::error(Preprocess::RandomRange, "not a range of numbers")
                                .at(span, "left as it is")
                                .help("`${_RANDOM}`, `${_RANDOM MIN}` or `${_RANDOM MIN MAX}`; without limits 0 to 32767"),
                        );
                        return None;
                    }
                };
                let size = u64::from(most - least) + 1;
                (u64::from(least) + self.random() % size).to_string()
            }
            _ => return None,
        })
    }

    /// The next number of splitmix64: chance comes from the seed in the options alone.
    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// How expansion ended.
enum Expanded {
    /// Nothing is left to expand.
    Done,
    /// The line starts differently now: perhaps it is a condition, a sequence or an include.
    HeadChanged,
    /// The budget is spent.
    Stopped,
}

fn missing(failed: bool, message: String) -> Diagnostic {
    if failed {
        Diagnostic::error(Preprocess::IncludeMissing, message).class(Class::Unreadable)
    } else {
        Diagnostic::warning(Preprocess::IncludeMissing, message).unnoticed()
    }
}

fn is_space_but_newline(c: char) -> bool {
    c != '\n' && is_space(c)
}

/// The words of a line.
fn words(text: &str) -> impl Iterator<Item = std::ops::Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + text[at..].find(|c| !is_space(c))?;
        let end = text[start..].find(is_space).map_or(text.len(), |i| start + i);
        at = end;
        Some(start..end)
    })
}

/// The greatest character boundary that is not above `at`.
fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0)
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
