//! Follows `include` lines and keeps `include_check`.

use std::path::Path;

use super::include::{self, Checks};
use super::line::Line;
use super::{MOST_FILES, MOST_INCLUDES_DEEP, Preprocessor, is_space, tidy};
use crate::diagnostic::{Class, Diagnostic, Preprocess};
use crate::files::ReadError;
use crate::source::Span;

impl Preprocessor<'_> {
    pub(super) fn include_check(&mut self, line: &Line) {
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

    pub(super) fn include(&mut self, line: &Line, own: Checks, at: usize) {
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
        let drop_in = found.empty_wildcard && nothing;
        if failed || (!found.empty.is_empty() && !drop_in) {
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
            self.push_include(&path, bytes, span, whole);
        }
    }

    fn unreadable(&mut self, path: &Path, error: &ReadError, failed: bool, span: Span) {
        self.report(
            missing(failed, format!("cannot include {}: {error}", path.display()))
                .at(span, "included here"),
        );
    }

    fn push_include(&mut self, path: &Path, bytes: Vec<u8>, span: Span, whole: Span) {
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
}

fn missing(failed: bool, message: String) -> Diagnostic {
    if failed {
        Diagnostic::error(Preprocess::IncludeMissing, message).class(Class::Unreadable)
    } else {
        Diagnostic::warning(Preprocess::IncludeMissing, message).unnoticed()
    }
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
