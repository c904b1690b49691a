//! What can be said about a configuration: one finding, with its place, its reason and its remedy.
//!
//! Every kind of finding has a [`Code`]: a stable number and name, and a paragraph for
//! `--explain`. The codes stand in one file per family beside this one.

mod checks;
mod code;
mod language;
mod pair;
mod preprocess;
mod syntax;

pub use checks::{Addresses, Balancing, Election, Names, Scripts, Setup, Wording};
pub use code::{Code, CodeInfo};
pub use language::Language;
pub use pair::Pair;
pub use preprocess::Preprocess;
pub use syntax::Syntax;

use crate::source::Span;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// Works, and could be better.
    Advice,
    /// Works, by a word that has been replaced by another.
    Deprecated,
    /// Probably not what was meant; the daemon goes on.
    Warning,
    /// Wrong: the line, the value or the block is not taken as written.
    Error,
}

/// What Keepalived's `-t` makes of it ([`crate::verdict`] joins them); later ones win.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// Keepalived does not mention it: our own advice. Exit 0.
    Unnoticed,
    /// Any error, warning or deprecation that it goes on after. Exit 5.
    Complaint,
    /// A script that would be run without script security. Exit 6.
    ScriptSecurity,
    /// A file is missing or unreadable, or a checked include failed. Exit 6.
    Unreadable,
    /// It could not run like this. Exit 4.
    CannotRun,
    /// It stops at once, as for a missing argument. Exit 2.
    Fatal,
}

/// A place and what is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// A few words beside the underline; may be empty.
    pub text: String,
}

/// Text that would put it right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suggestion {
    /// What to replace; an empty span inserts.
    pub span: Span,
    /// By what.
    pub replacement: String,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Which kind of finding.
    pub code: Code,
    /// How bad.
    pub severity: Severity,
    /// What Keepalived's `-t` makes of it.
    pub class: Class,
    /// One sentence without a full stop.
    pub message: String,
    /// Where.
    pub primary: Option<Label>,
    /// Other places that explain it.
    pub secondary: Vec<Label>,
    /// What to know or to do, a sentence each.
    pub help: Vec<String>,
    /// A replacement that can be shown, and applied by an editor.
    pub suggestion: Option<Suggestion>,
}

impl Diagnostic {
    /// A finding without a place yet.
    #[must_use]
    pub fn new(severity: Severity, code: impl Into<Code>, message: impl Into<String>) -> Self {
        let class = match severity {
            Severity::Advice => Class::Unnoticed,
            Severity::Deprecated | Severity::Warning | Severity::Error => Class::Complaint,
        };
        Self {
            code: code.into(),
            severity,
            class,
            message: message.into(),
            primary: None,
            secondary: Vec::new(),
            help: Vec::new(),
            suggestion: None,
        }
    }

    /// An error that Keepalived complains about too.
    #[must_use]
    pub fn error(code: impl Into<Code>, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, message)
    }

    /// An error after which Keepalived stops with status 2.
    #[must_use]
    pub fn fatal(code: impl Into<Code>, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, message).class(Class::Fatal)
    }

    /// A warning that Keepalived gives too.
    #[must_use]
    pub fn warning(code: impl Into<Code>, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, message)
    }

    /// A deprecated word.
    #[must_use]
    pub fn deprecated(code: impl Into<Code>, message: impl Into<String>) -> Self {
        Self::new(Severity::Deprecated, code, message)
    }

    /// Advice of our own, unknown to Keepalived.
    #[must_use]
    pub fn advice(code: impl Into<Code>, message: impl Into<String>) -> Self {
        Self::new(Severity::Advice, code, message)
    }

    /// Sets what Keepalived's `-t` makes of it, where the severity does not tell.
    #[must_use]
    pub fn class(mut self, class: Class) -> Self {
        self.class = class;
        self
    }

    /// Keepalived does not mention this.
    #[must_use]
    pub fn unnoticed(self) -> Self {
        self.class(Class::Unnoticed)
    }

    /// Points at the place; `text` stands beside the underline and may be empty.
    #[must_use]
    pub fn at(mut self, span: Span, text: impl Into<String>) -> Self {
        self.primary = Some(Label { span, text: text.into() });
        self
    }

    /// Points at another place that explains it.
    #[must_use]
    pub fn also(mut self, span: Span, text: impl Into<String>) -> Self {
        self.secondary.push(Label { span, text: text.into() });
        self
    }

    /// Adds a sentence on what to know or to do.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help.push(text.into());
        self
    }

    /// Offers text to put instead of `span`.
    #[must_use]
    pub fn suggest(mut self, span: Span, replacement: impl Into<String>) -> Self {
        self.suggestion = Some(Suggestion { span, replacement: replacement.into() });
        self
    }

    /// Whether Keepalived stops here with status 2.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        self.class == Class::Fatal
    }
}
