//! Definitions: recognising `$NAME=`, finding `$NAME` and `${NAME}` in a line.

use std::ops::Range;

use super::comment::is_space;

/// How long the name at the start of `text` is: letters, digits and underscores, no digit first.
pub(super) fn name_length(text: &str) -> usize {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return 0;
    }
    text.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count()
}

/// A line of the form `$NAME=VALUE`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Definition {
    pub(super) name: Range<usize>,
    /// White space at its ends taken off.
    pub(super) value: Range<usize>,
}

/// Recognises a definition.
pub(super) fn definition(text: &str) -> Option<Definition> {
    let rest = text.strip_prefix('$')?;
    let length = name_length(rest);
    if length == 0 || !rest[length..].starts_with('=') {
        return None;
    }
    let value = super::comment::trim(text, length + 2..text.len());
    Some(Definition { name: 1..1 + length, value })
}

/// Recognises a line that was probably meant as a definition: the part up to the equals sign.
pub(super) fn near_definition(text: &str) -> Option<Range<usize>> {
    let rest = text.strip_prefix('$')?;
    let word = rest.find(|c: char| is_space(c) || c == '=')?;
    let equals = rest[word..].find(|c: char| !is_space(c))? + word;
    (rest[equals..].starts_with('=') && word > 0).then(|| 0..equals + 2)
}

/// A `$NAME`, `${NAME}` or `${_NAME ARGUMENTS}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reference {
    /// All of it.
    pub(super) range: Range<usize>,
    pub(super) name: Range<usize>,
    /// What stands between name and brace.
    pub(super) arguments: Range<usize>,
    pub(super) braces: bool,
    /// In braces, or followed by white space or the end: such references are expanded.
    pub(super) complete: bool,
}

/// The reference that starts at byte `at`, a dollar sign.
pub(super) fn reference(text: &str, at: usize) -> Option<Reference> {
    let braces = text[at + 1..].starts_with('{');
    let start = at + 1 + usize::from(braces);
    let length = name_length(&text[start..]);
    if length == 0 {
        return None;
    }
    let name = start..start + length;
    let rest = &text[name.end..];
    if !braces {
        let complete = rest.is_empty() || rest.starts_with(is_space);
        return Some(Reference {
            range: at..name.end,
            arguments: name.end..name.end,
            name,
            braces,
            complete,
        });
    }
    let close = name.end + rest.find('}')?;
    let arguments = name.end..close;
    let predefined = text[start..].starts_with('_') && rest.starts_with(is_space);
    if !arguments.is_empty() && !predefined {
        return None;
    }
    Some(Reference { range: at..close + 1, name, arguments, braces, complete: true })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_have_no_space_before_the_equals_sign() {
        let text = "$A_1=  lead  trail";
        let found = definition(text).unwrap();
        assert_eq!((&text[found.name], &text[found.value]), ("A_1", "lead  trail"));
        assert_eq!(definition("$A="), Some(Definition { name: 1..2, value: 3..3 }));
        assert_eq!(definition("$A =x"), None);
        assert_eq!(definition("$1A=x"), None);
        assert_eq!(near_definition("$A = x"), Some(0..4));
        assert_eq!(near_definition("$1A=x"), Some(0..4));
        assert_eq!(near_definition("$A x = y"), None);
    }

    #[test]
    fn references_need_braces_or_white_space_behind_them() {
        let complete = |text: &str| reference(text, 0).map(|r| r.complete);
        assert_eq!(complete("$A"), Some(true));
        assert_eq!(complete("$A b"), Some(true));
        assert_eq!(complete("$A.b"), Some(false));
        assert_eq!(complete("${A}.b"), Some(true));
        assert_eq!(complete("$1"), None);
        assert_eq!(complete("${A"), None);
        assert_eq!(complete("${A b}"), None);
        assert_eq!(complete("${_RANDOM 1 2}x"), Some(true));
    }
}
