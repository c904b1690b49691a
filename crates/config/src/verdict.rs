//! What `-t` returns: the exit status that Keepalived documents, the most severe finding winning.
//!
//! Keepalived keeps the numerically greatest status instead, so that a warning hides a finding
//! that stops it, and returns 0 for a file that does not exist. We do neither.

use crate::diagnostic::{Class, Diagnostic};

/// Nothing to complain about.
pub const CLEAN: u8 = 0;
/// It stops at once: a missing argument.
pub const FATAL: u8 = 2;
/// It could not run like this.
pub const CANNOT_RUN: u8 = 4;
/// Any error, warning or deprecation.
pub const COMPLAINT: u8 = 5;
/// Scripts without script security; also: a file that cannot be read, a failed checked include.
pub const SECURITY_OR_FILE: u8 = 6;

/// The exit status of `-t` for these findings. Our own advice ([`Class::Unnoticed`]) does not
/// count.
#[must_use]
pub fn exit_status(diagnostics: &[Diagnostic]) -> u8 {
    let worst = diagnostics.iter().map(|d| d.class).max().unwrap_or(Class::Unnoticed);
    match worst {
        Class::Unnoticed => CLEAN,
        Class::Complaint => COMPLAINT,
        Class::ScriptSecurity | Class::Unreadable => SECURITY_OR_FILE,
        Class::CannotRun => CANNOT_RUN,
        Class::Fatal => FATAL,
    }
}

/// The exit status of a strict check: 0 without any finding worse than advice, 1 otherwise.
#[must_use]
pub fn strict_status(diagnostics: &[Diagnostic]) -> u8 {
    use crate::diagnostic::Severity;
    u8::from(diagnostics.iter().any(|d| d.severity > Severity::Advice))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Syntax;

    #[test]
    fn the_most_severe_finding_decides() {
        let finding = |class| Diagnostic::error(Syntax::ExtraBrace, "").class(class);
        let status = |classes: &[Class]| {
            exit_status(&classes.iter().map(|c| finding(*c)).collect::<Vec<_>>())
        };
        assert_eq!(status(&[]), 0);
        assert_eq!(status(&[Class::Unnoticed]), 0);
        assert_eq!(status(&[Class::Complaint, Class::Unnoticed]), 5);
        assert_eq!(status(&[Class::Complaint, Class::ScriptSecurity]), 6);
        assert_eq!(status(&[Class::Complaint, Class::CannotRun]), 4);
        assert_eq!(status(&[Class::Fatal, Class::CannotRun, Class::ScriptSecurity]), 2);
        assert_eq!(status(&[Class::Unreadable]), 6);
    }

    #[test]
    fn strictness_minds_all_but_advice() {
        assert_eq!(strict_status(&[Diagnostic::advice(Syntax::GluedComment, "")]), 0);
        assert_eq!(strict_status(&[Diagnostic::deprecated(Syntax::GluedComment, "")]), 1);
    }
}
