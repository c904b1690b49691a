//! Splits the value of a script keyword into words.

use std::iter::Peekable;
use std::str::Chars;

/// A quote was opened and never closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the quote {quote} is never closed")]
pub struct OpenQuote {
    /// Which one: `'` or `"`.
    pub quote: char,
}

/// Splits at white space; `'…'` and `"…"` group words and may be glued to other text. A backslash,
/// within quotes too, makes the next character literal or is one of the escapes
/// `\a \b \E \f \n \r \t \v \ooo \xHH \cC`.
///
/// The text is the value after the configuration's own quotes and escapes were taken off:
/// `script "/bin/x 'a b'"` gives two words.
///
/// # Errors
/// When a quote is left open; Keepalived removes such a script too.
pub fn split(text: &str) -> Result<Vec<String>, OpenQuote> {
    let mut words = Vec::new();
    // `None` between words: `''` is a word, white space is not.
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\\', _) => word.get_or_insert_default().push(escape(&mut chars)),
            (c, Some(open)) if c == open => quote = None,
            ('\'' | '"', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    match quote {
        Some(quote) => Err(OpenQuote { quote }),
        None => {
            words.extend(word);
            Ok(words)
        }
    }
}

/// The character that the escape after a backslash stands for. Keepalived reads any number of
/// hexadecimal digits and keeps the last byte; two are what everybody means.
fn escape(chars: &mut Peekable<Chars<'_>>) -> char {
    let Some(c) = chars.next() else { return '\\' };
    match c {
        'a' => '\x07',
        'b' => '\x08',
        'E' => '\x1b',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0b',
        'c' => match chars.next() {
            Some(control) if control.is_ascii() => char::from(control as u8 & 0x1f),
            Some(other) => other,
            None => 'c',
        },
        'x' if chars.peek().is_some_and(char::is_ascii_hexdigit) => digits(chars, 0, 16, 2),
        '0'..='7' => digits(chars, c.to_digit(8).unwrap_or(0), 8, 2),
        other => other,
    }
}

/// Up to `most` more digits after `value`; the result is one byte's worth.
fn digits(chars: &mut Peekable<Chars<'_>>, mut value: u32, radix: u32, most: usize) -> char {
    for _ in 0..most {
        let Some(digit) = chars.peek().and_then(|c| c.to_digit(radix)) else { break };
        chars.next();
        value = value * radix + digit;
    }
    char::from((value & 0xff) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        split(text).unwrap()
    }

    #[test]
    fn white_space_separates_and_quotes_group() {
        assert_eq!(words("  /bin/x a\tb  "), ["/bin/x", "a", "b"]);
        assert_eq!(words(r#"/x 'a b' "c d" 'g'h"#), ["/x", "a b", "c d", "gh"]);
        assert_eq!(words(r#"/x '' "" y"#), ["/x", "", "", "y"]);
        assert_eq!(words(r#"a'b c'd "x 'y' z" 'p "q" r'"#), ["ab cd", "x 'y' z", "p \"q\" r"]);
        assert!(words("   ").is_empty());
    }

    /// As seen from a script that Debian's Keepalived 2.2.7 started.
    #[test]
    fn escapes_work_everywhere() {
        assert_eq!(
            words(r#"'p\tq' "r\ts" u\tv 'w\'x' \'y \101x \1012 \cAz end\ e"#),
            ["p\tq", "r\ts", "u\tv", "w'x", "'y", "Ax", "A2", "\x01z", "end e"]
        );
        assert_eq!(words(r"e\x41f \x414 \xg"), ["eAf", "A4", "xg"]);
        assert_eq!(words("end\\"), ["end\\"]);
    }

    #[test]
    fn an_open_quote_is_an_error() {
        assert_eq!(split("/x 'a b"), Err(OpenQuote { quote: '\'' }));
        assert_eq!(split("/x \"a"), Err(OpenQuote { quote: '"' }));
    }
}
