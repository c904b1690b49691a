//! Takes comments off a line as it stands in its file.

use std::ops::Range;

/// What is left of a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stripped {
    /// The text before the comment, white space at both ends taken off.
    pub(super) text: Range<usize>,
    /// Backslashes in it that made a comment sign literal and are to be left out.
    pub(super) escapes: Vec<usize>,
    /// Where a double quote opens that is not closed.
    pub(super) open_quote: Option<usize>,
    /// Where a comment starts directly behind a word.
    pub(super) glued: Option<usize>,
    /// The last character is a backslash, in the comment too: within a definition the next line
    /// belongs to it.
    pub(super) continued: bool,
}

/// Finds the comment of `line`: `#` or `!` outside double quotes. `\#` and `\!` are literal.
pub(super) fn strip(line: &str) -> Stripped {
    let bytes = line.as_bytes();
    let mut end = bytes.len();
    let mut escapes = Vec::new();
    let mut open_quote = None;
    let mut glued = None;
    let mut i = 0;
    while i < bytes.len() {
        match bytes[i] {
            b'\\' => {
                if open_quote.is_none() && matches!(bytes.get(i + 1), Some(b'#' | b'!')) {
                    escapes.push(i);
                }
                i += 1;
            }
            b'"' => {
                open_quote = match open_quote {
                    None => Some(i),
                    Some(_) => None,
                };
            }
            b'#' | b'!' if open_quote.is_none() => {
                end = i;
                if i > 0 && !bytes[i - 1].is_ascii_whitespace() {
                    glued = Some(i);
                }
                break;
            }
            _ => {}
        }
        i += 1;
    }
    let text = trim(line, 0..end);
    let continued = line.trim_ascii_end().ends_with('\\');
    Stripped { text, escapes, open_quote, glued, continued }
}

/// `range` of `line` without the white space at its ends.
pub(super) fn trim(line: &str, range: Range<usize>) -> Range<usize> {
    let bytes = line.as_bytes();
    let Range { mut start, mut end } = range;
    while start < end && is_space_byte(bytes[start]) {
        start += 1;
    }
    while start < end && is_space_byte(bytes[end - 1]) {
        end -= 1;
    }
    start..end
}

/// White space as Keepalived's C library sees it in the C locale.
pub(crate) const fn is_space_byte(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\n' | b'\r' | b'\x0b' | b'\x0c')
}

/// Likewise, of a character.
pub(crate) fn is_space(c: char) -> bool {
    u8::try_from(c).is_ok_and(is_space_byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(line: &str) -> &str {
        &line[strip(line).text]
    }

    #[test]
    fn comments_start_anywhere_outside_double_quotes() {
        assert_eq!(text("  a b # c"), "a b");
        assert_eq!(text("a!b"), "a");
        assert_eq!(text("\"a # b\" ! c"), "\"a # b\"");
        assert_eq!(text("# all"), "");
        assert_eq!(text("'a # b'"), "'a");
    }

    #[test]
    fn escaped_signs_are_literal() {
        let stripped = strip(r"a\#b \! # c");
        assert_eq!(stripped.escapes, [1, 5]);
        assert_eq!(stripped.text, 0..7);
        assert_eq!(strip(r#""a\#b" c"#).escapes, Vec::<usize>::new());
    }

    #[test]
    fn an_open_quote_swallows_the_comment() {
        let stripped = strip("name \"abc # d");
        assert_eq!(stripped.open_quote, Some(5));
        assert_eq!(stripped.text, 0..13);
        assert_eq!(strip(r#""a\"b"#).open_quote, Some(0));
        assert_eq!(strip(r#"a\"b"#).open_quote, None);
    }

    #[test]
    fn glued_comments_and_continuations_are_seen() {
        assert_eq!(strip("priority 100#x").glued, Some(12));
        assert_eq!(strip("priority 100 #x").glued, None);
        assert!(strip("a # b \\").continued);
        assert!(strip("a \\  ").continued);
        assert!(!strip("a").continued);
    }
}
