//! Names that stay in the text: never defined, defined too late, or not followed by white space.

use std::collections::HashMap;
use std::rc::Rc;

use super::line::Line;
use super::{Definition, Preprocessor, define};
use crate::diagnostic::{Diagnostic, Preprocess};
use crate::source::{SourceMap, Span};

/// A `$NAME` or `${NAME}` that was not expanded.
pub(super) struct Leftover {
    name: Box<str>,
    span: Span,
    braces: bool,
    quoted: bool,
    /// It was defined when it was met, only not expanded for want of braces.
    defined: bool,
}

/// As many are remembered; more say nothing new.
const MOST_LEFTOVERS: usize = 10_000;

impl Preprocessor<'_> {
    /// Remembers what is left of references in a finished line.
    pub(super) fn note_leftovers(&mut self, line: &Line) {
        let text = line.text();
        let mut at = 0;
        while let Some(found) = text[at..].find('$') {
            at += found;
            let Some(reference) = define::reference(text, at) else {
                at += 1;
                continue;
            };
            let name = &text[reference.name.clone()];
            let defined = self.definitions.contains_key(name);
            // A complete reference to something defined was left on purpose, and reported; so was
            // a range of chance.
            let told = (defined && reference.complete) || name == "_RANDOM";
            if !told && self.leftovers.len() < MOST_LEFTOVERS {
                let quoted = text[..at].matches('"').count() % 2 == 1;
                self.leftovers.push(Leftover {
                    name: name.into(),
                    span: line.span(reference.range.clone(), &self.sources),
                    braces: reference.braces,
                    quoted,
                    defined,
                });
            }
            at = reference.range.end;
        }
    }
}

/// What to say about them, now that all definitions are known.
pub(super) fn diagnose(
    leftovers: &[Leftover],
    definitions: &HashMap<Rc<str>, Definition>,
    sources: &SourceMap,
) -> Vec<Diagnostic> {
    let mut said = Vec::new();
    // A definition that is used after all, only wrongly, is not unused as well.
    let mut meant: Vec<&str> = Vec::new();
    for leftover in leftovers {
        let Leftover { name, span, braces, quoted, defined } = leftover;
        if *defined {
            meant.push(name);
            said.push(
                Diagnostic::warning(
                    Preprocess::NotExpanded,
                    format!("${name} is defined, and not expanded here"),
                )
                .unnoticed()
                .at(*span, "no white space follows it")
                .help(format!("write `${{{name}}}` where something else follows"))
                .suggest(*span, format!("${{{name}}}")),
            );
            continue;
        }
        let late = definitions.get_key_value(&**name);
        let near = late.or_else(|| nearest(name, definitions));
        // `$1` and `$HOME` in a script belong to the shell; Keepalived says nothing either.
        let ours = near.is_some() || !*quoted;
        if !ours || (name.starts_with('_') && !*braces) {
            continue;
        }
        let shown = if *braces { format!("${{{name}}}") } else { format!("${name}") };
        let message = format!("`{shown}` is not defined");
        let mut diagnostic = if *braces && !*quoted {
            Diagnostic::error(Preprocess::UndefinedName, message)
                .at(*span, "stays as it is, and Keepalived takes the braces for a block")
        } else {
            Diagnostic::warning(Preprocess::UndefinedName, message)
                .unnoticed()
                .at(*span, "stays in the text as it is")
        };
        match (late, near) {
            (Some((_, later)), _) => {
                meant.push(name);
                diagnostic = diagnostic.also(later.at, "defined only here").help(
                    "a definition counts from its line downwards: move it above its first use",
                );
            }
            (None, Some((other, definition))) => {
                meant.push(other);
                diagnostic = diagnostic
                    .also(definition.at, "a similar name is defined here")
                    .help(format!("did you mean `{}`?", shown.replace(&**name, other)))
                    .suggest(*span, shown.replace(&**name, other));
            }
            (None, None) if &**name == "_ENV" => {
                let whole = sources.text(*span);
                diagnostic =
                    diagnostic.help(format!("the environment has no such variable: {whole}"));
            }
            (None, None) => {
                diagnostic = diagnostic.help(format!("define it on a line above: `${name}=VALUE`"));
            }
        }
        said.push(diagnostic);
    }
    let mut unused: Vec<_> = definitions
        .iter()
        .filter(|(name, definition)| {
            !definition.used && !definition.variable && !meant.contains(&&***name)
        })
        .collect();
    unused.sort_by_key(|(_, definition)| (definition.at.file, definition.at.start));
    said.extend(unused.into_iter().map(|(name, definition)| {
        Diagnostic::advice(Preprocess::UnusedDefinition, format!("${name} is never used"))
            .at(definition.at, "defined here")
    }));
    said
}

/// The defined name that is most like `name`, if one is.
fn nearest<'a>(
    name: &str,
    definitions: &'a HashMap<Rc<str>, Definition>,
) -> Option<(&'a Rc<str>, &'a Definition)> {
    // Of one or two letters, any other name is one letter away.
    if name.len() < 3 {
        return None;
    }
    let mut known: Vec<&str> = definitions.keys().map(|key| &**key).collect();
    known.sort_unstable();
    let best = crate::keywords::closest(name, known)?;
    definitions.get_key_value(best)
}
