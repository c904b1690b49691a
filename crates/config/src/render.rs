//! Findings for people (the user's own lines with the words underlined) and for programs (JSON).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Patch, Renderer, Snippet};
use serde::Serialize;

use crate::diagnostic::{Class, Diagnostic, Label, Severity};
use crate::source::{Expander, FileId, SourceMap, Span};

/// How findings are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// With colours, as terminals understand them.
    pub colour: bool,
    /// Greatest width in columns, at least 40.
    pub width: usize,
}

impl Default for Style {
    fn default() -> Self {
        Self { colour: false, width: 100 }
    }
}

/// As many steps of a chain of expansions or includes are shown.
const MOST_STEPS: usize = 3;

/// One finding as text, without a newline at the end.
#[must_use]
pub fn text(diagnostic: &Diagnostic, sources: &SourceMap, style: Style) -> String {
    let width = style.width.max(40);
    let level = level(diagnostic.severity);
    let title = wrap(&diagnostic.message, width.saturating_sub(20));
    let fits = diagnostic.primary.as_ref().is_none_or(|label| fits(label, sources, width));
    let mut report = level.primary_title(title).id(diagnostic.code.id()).elements(
        // Without a place there is no snippet, and then the title stands alone.
        snippets(diagnostic, sources, fits),
    );
    if let Some(label) = &diagnostic.primary {
        if !fits {
            report =
                report.element(Level::NOTE.message(wrap(&label.text, width.saturating_sub(12))));
        }
        for note in chain(label.span, sources) {
            report = report.element(Level::NOTE.message(note));
        }
    }
    for help in &diagnostic.help {
        report = report.element(Level::HELP.message(wrap(help, width.saturating_sub(12))));
    }
    let mut groups: Vec<Group<'_>> = vec![report];
    if let Some(suggestion) = &diagnostic.suggestion {
        let file = sources.file(suggestion.span.file);
        let (range, line) = lines(sources, suggestion.span.file, [suggestion.span]);
        let at = within(suggestion.span, &range);
        let snippet = Snippet::source(masked(&file.text()[range]))
            .line_start(line)
            .path(file.path().to_string_lossy().into_owned())
            .patch(Patch::new(at, suggestion.replacement.clone()));
        groups.push(Level::HELP.secondary_title("write it so").element(snippet));
    }
    let renderer = if style.colour { Renderer::styled() } else { Renderer::plain() };
    renderer.term_width(width).render(&groups)
}

fn level(severity: Severity) -> Level<'static> {
    match severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Deprecated => Level::WARNING.with_name("deprecated"),
        Severity::Advice => Level::INFO.with_name("advice"),
    }
}

/// Whether the label has room beside its underline.
fn fits(label: &Label, sources: &SourceMap, width: usize) -> bool {
    // Line number, frame and spaces.
    const MARGIN: usize = 10;
    let file = sources.file(label.span.file);
    let end = file.location(label.span.end).column as usize;
    label.text.is_empty() || end + label.text.chars().count() + MARGIN <= width
}

/// The lines that the labels are on, one snippet per file, the primary one's first.
fn snippets<'a>(
    diagnostic: &'a Diagnostic,
    sources: &'a SourceMap,
    label_primary: bool,
) -> Vec<Snippet<'a, Annotation<'a>>> {
    let mut primary_file = None;
    let mut labels: BTreeMap<FileId, Vec<(AnnotationKind, Span, Cow<'a, str>)>> = BTreeMap::new();
    let mut add = |kind, label: &'a Label, shown: bool| {
        let text = if shown { label.text.as_str() } else { "" };
        let place = labels.entry(label.span.file).or_default();
        place.push((kind, label.span, Cow::Borrowed(text)));
    };
    if let Some(label) = &diagnostic.primary {
        primary_file = Some(label.span.file);
        add(AnnotationKind::Primary, label, label_primary);
    }
    for label in &diagnostic.secondary {
        add(AnnotationKind::Context, label, true);
    }
    if let Some(label) = &diagnostic.primary {
        let mut steps: Vec<_> = sources.trail(label.span).collect();
        // Of a long chain the use that is outermost tells most.
        if steps.len() > MOST_STEPS {
            steps.drain(MOST_STEPS - 1..steps.len() - 1);
        }
        for step in steps {
            let text = match &step.expander {
                Expander::Definition(name) => format!("through ${name} here"),
                Expander::Round(values) => format!("in the round {values}"),
            };
            labels.entry(step.used_at.file).or_default().push((
                AnnotationKind::Context,
                step.used_at,
                Cow::Owned(text),
            ));
        }
    }
    let mut snippets = Vec::new();
    let first = primary_file.and_then(|file| labels.remove_entry(&file));
    for (file, labels) in first.into_iter().chain(labels) {
        let (range, line) = lines(sources, file, labels.iter().map(|(_, span, _)| *span));
        let source = sources.file(file);
        let mut snippet = Snippet::source(masked(&source.text()[range.clone()]))
            .line_start(line)
            .path(source.path().to_string_lossy().into_owned());
        for (kind, span, text) in labels {
            let annotation = kind.span(within(span, &range));
            snippet = snippet.annotation(match text {
                text if text.is_empty() => annotation,
                text => annotation.label(text),
            });
        }
        snippets.push(snippet);
    }
    snippets
}

/// How the file of a span came to be read.
fn chain(span: Span, sources: &SourceMap) -> Vec<String> {
    let mut notes: Vec<String> = sources
        .includes(span)
        .take(MOST_STEPS)
        .map(|include| {
            let path = sources.file(include.file).path().display();
            format!("included from {path}:{}", sources.location(include).line)
        })
        .collect();
    if sources.includes(span).count() > MOST_STEPS {
        notes.push("and so on".to_owned());
    }
    notes
}

/// The bytes of the whole lines that the spans are on, and the number of the first line.
fn lines(
    sources: &SourceMap,
    file: FileId,
    spans: impl IntoIterator<Item = Span>,
) -> (Range<usize>, usize) {
    let source = sources.file(file);
    let mut first = u32::MAX;
    let mut last = 1;
    for span in spans {
        first = first.min(source.location(span.start).line);
        // A span that ends with a newline ends on the line before.
        last = last.max(source.location(span.end.saturating_sub(1).max(span.start)).line);
    }
    let first = first.min(last);
    let start = source.line_range(first).map_or(0, |range| range.start);
    let end = source.line_range(last).map_or(source.text().len(), |range| range.end);
    (start..end.max(start), first as usize)
}

/// Where a span is within whole lines. A line ends before its carriage returns, a span may not.
fn within(span: Span, lines: &Range<usize>) -> Range<usize> {
    let place = |at: u32| (at as usize).clamp(lines.start, lines.end) - lines.start;
    place(span.start)..place(span.end)
}

/// The text with passwords and keys blotted out, byte for byte as long as before: findings end up
/// in logs. What can be the cause of a finding (quotes, comment signs, spaces) stays. A vertical tab
/// is shown as a space: it has no width of its own, which the drawing would stumble over.
fn masked(text: &str) -> Cow<'_, str> {
    if text.contains('\x0b') {
        return Cow::Owned(masked(&text.replace('\x0b', " ")).into_owned());
    }
    if !["auth_pass", "password", "key"].iter().any(|word| text.contains(word)) {
        return Cow::Borrowed(text);
    }
    let mut result = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let secret = secret_start(line);
        result.push_str(&line[..secret]);
        for c in line[secret..].chars() {
            if c.is_ascii_graphic() && !matches!(c, '"' | '\'' | '#' | '!' | '{' | '}' | '\\') {
                result.push('*');
            } else {
                result.push(c);
            }
        }
    }
    Cow::Owned(result)
}

/// Where in a line the secret starts; its length if there is none.
fn secret_start(line: &str) -> usize {
    let words = line.split_ascii_whitespace().take(3).collect::<Vec<_>>();
    let position = |word: &str| word.as_ptr() as usize - line.as_ptr() as usize;
    // `authentication { auth_pass x }` on one line is found by the word itself.
    if let Some(at) = line.find("auth_pass") {
        return at + "auth_pass".len();
    }
    match words[..] {
        ["password", secret, ..] => position(secret),
        ["key", id, secret] if id.parse::<u32>().is_ok() && !secret.starts_with("file:") => {
            position(secret)
        }
        _ => line.len(),
    }
}

/// Breaks a text into lines of at most `width` columns, at spaces.
fn wrap(text: &str, width: usize) -> String {
    let mut result = String::with_capacity(text.len() + 8);
    let mut column = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > width {
            result.push('\n');
            column = 0;
        } else if column > 0 {
            result.push(' ');
            column += 1;
        }
        result.push_str(word);
        column += length;
    }
    result
}

/// A place, for programs. Lines and columns count from 1, columns in characters; the end is
/// behind the last character.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The file, as it was opened.
    pub path: String,
    /// First line.
    pub line: u32,
    /// First column.
    pub column: u32,
    /// Last line.
    pub end_line: u32,
    /// Column behind the last character.
    pub end_column: u32,
    /// What is there; may be empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub text: String,
}

impl Place {
    fn new(span: Span, text: &str, sources: &SourceMap) -> Self {
        let file = sources.file(span.file);
        let (start, end) = (file.location(span.start), file.location(span.end));
        Self {
            path: file.path().to_string_lossy().into_owned(),
            line: start.line,
            column: start.column,
            end_line: end.line,
            end_column: end.column,
            text: text.to_owned(),
        }
    }
}

/// A finding, for programs: one record of `--format json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Record {
    /// Stable identifier, as in `SF0101`.
    pub code: &'static str,
    /// Stable name, as in `unclosed-block`.
    pub name: &'static str,
    /// `error`, `warning`, `deprecated` or `advice`.
    pub severity: &'static str,
    /// Whether Keepalived's own `-t` complains about it.
    pub keepalived: bool,
    /// One sentence.
    pub message: String,
    /// Where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// Other places that explain it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub related: Vec<Place>,
    /// Where text that came by `$NAME` or `~SEQ` was asked for, innermost first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub expanded_from: Vec<Place>,
    /// The include lines that led to the file, innermost first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub included_from: Vec<Place>,
    /// What to know or to do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub help: Vec<String>,
    /// What to replace, and by what (`text`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<Place>,
}

/// One finding as a record.
#[must_use]
pub fn record(diagnostic: &Diagnostic, sources: &SourceMap) -> Record {
    let place = |label: &Label| Place::new(label.span, &label.text, sources);
    let primary = diagnostic.primary.as_ref();
    Record {
        code: diagnostic.code.id(),
        name: diagnostic.code.name(),
        severity: severity(diagnostic.severity),
        keepalived: diagnostic.class != Class::Unnoticed,
        message: diagnostic.message.clone(),
        place: primary.map(place),
        related: diagnostic.secondary.iter().map(place).collect(),
        expanded_from: primary.map_or_else(Vec::new, |label| {
            let step = |step: &crate::source::Expansion| {
                let text = match &step.expander {
                    Expander::Definition(name) => format!("${name}"),
                    Expander::Round(values) => values.to_string(),
                };
                Place::new(step.used_at, &text, sources)
            };
            sources.trail(label.span).map(step).collect()
        }),
        included_from: primary.map_or_else(Vec::new, |label| {
            sources.includes(label.span).map(|span| Place::new(span, "", sources)).collect()
        }),
        help: diagnostic.help.clone(),
        suggestion: diagnostic
            .suggestion
            .as_ref()
            .map(|suggestion| Place::new(suggestion.span, &suggestion.replacement, sources)),
    }
}

/// The word for a severity.
#[must_use]
pub const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Deprecated => "deprecated",
        Severity::Advice => "advice",
    }
}

/// All findings as a JSON array of [`Record`]s, with a newline at the end.
#[must_use]
pub fn json(diagnostics: &[Diagnostic], sources: &SourceMap) -> String {
    let records: Vec<Record> = diagnostics.iter().map(|d| record(d, sources)).collect();
    // Strings and numbers only: there is nothing that could fail.
    let mut text = serde_json::to_string_pretty(&records).unwrap_or_default();
    text.push('\n');
    text
}

/// Puts findings in the order of the text, those without a place first.
pub fn sort(diagnostics: &mut [Diagnostic], sources: &SourceMap) {
    diagnostics.sort_by_key(|d| {
        d.primary.as_ref().map(|label| {
            let at = sources.outermost(label.span);
            (at.file, at.start, label.span.start)
        })
    });
}

/// How many of each severity, as in `2 errors, 1 warning`.
#[must_use]
pub fn summary(diagnostics: &[Diagnostic]) -> String {
    let count = |severity| diagnostics.iter().filter(|d| d.severity == severity).count();
    let parts: Vec<String> = [
        (count(Severity::Error), "error", "errors"),
        (count(Severity::Warning), "warning", "warnings"),
        (count(Severity::Deprecated), "deprecated word", "deprecated words"),
        (count(Severity::Advice), "piece of advice", "pieces of advice"),
    ]
    .into_iter()
    .filter(|(n, ..)| *n > 0)
    .map(|(n, one, many)| format!("{n} {}", if n == 1 { one } else { many }))
    .collect();
    if parts.is_empty() { "nothing to complain about".to_owned() } else { parts.join(", ") }
}
