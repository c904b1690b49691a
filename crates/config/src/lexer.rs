//! The lexer: from a line to words and braces.
//!
//! Words are separated by white space. `"…"` is one word whatever stands in it, and ends a word
//! before it: `a"b c"d` is three words. `{` and `}` outside quotes are pieces of their own,
//! wherever they stand.

use std::ops::Range;

use crate::preprocess::{is_space, is_space_byte};

/// A piece of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// A word: the text that counts, and all of it with its quotes.
    Word {
        text: Range<usize>,
        written: Range<usize>,
        quoted: bool,
    },
    Open(usize),
    Close(usize),
}

/// Reads one piece at or after byte `at`; with it comes the place to go on from.
pub(crate) fn piece(line: &str, at: usize) -> Option<(Piece, usize)> {
    let start = at + line.as_bytes()[at..].iter().position(|b| !is_space_byte(*b))?;
    let rest = &line[start..];
    if rest.starts_with('{')
        && let Some(length) = template_length(rest)
    {
        let end = start + length + word_length(&rest[length..]);
        return Some((Piece::Word { text: start..end, written: start..end, quoted: false }, end));
    }
    match rest.as_bytes()[0] {
        b'{' => Some((Piece::Open(start), start + 1)),
        b'}' => Some((Piece::Close(start), start + 1)),
        b'"' => {
            // An open quote has been reported with the comments; it reaches to the end.
            let (end, next) = match rest[1..].find('"') {
                Some(i) => (start + 1 + i, start + i + 2),
                None => (line.len(), line.len()),
            };
            Some((Piece::Word { text: start + 1..end, written: start..next, quoted: true }, next))
        }
        _ => {
            let end = start + word_length(rest);
            Some((Piece::Word { text: start..end, written: start..end, quoted: false }, end))
        }
    }
}

/// How long the unquoted word at the start of `text` is. `${NAME}` that nobody defined is part of
/// the word, though it has braces.
fn word_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut i = 0;
    while let Some(length) = bytes[i..].iter().position(|b| TELLING[usize::from(*b)]) {
        i += length;
        match bytes[i] {
            b'$' if bytes.get(i + 1) == Some(&b'{') => {
                let inner = bytes[i + 2..]
                    .iter()
                    .position(|b| matches!(b, b'}' | b'{' | b'"') || b.is_ascii_whitespace());
                match inner {
                    Some(length) if bytes[i + 2 + length] == b'}' => i += length + 2,
                    _ => return i + 1,
                }
            }
            b'{' if template_length(&text[i..]).is_some() => {
                i += template_length(&text[i..]).unwrap_or(1) - 1;
            }
            b'{' | b'}' | b'"' => return i,
            b if is_space_byte(b) => return i,
            _ => {}
        }
        i += 1;
    }
    bytes.len()
}

/// Bytes that may end an unquoted word.
const TELLING: [bool; 256] = {
    let mut telling = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        telling[byte] = is_space_byte(b) || matches!(b, b'$' | b'{' | b'}' | b'"');
        byte += 1;
    }
    telling
};

/// How long the `{{ … }}` or `{% … %}` of a template at the start of `text` is: nobody filled it
/// in, and it is one word so that it is reported as one.
fn template_length(text: &str) -> Option<usize> {
    let close = match text.as_bytes() {
        [b'{', b'{', ..] => "}}",
        [b'{', b'%', ..] => "%}",
        _ => return None,
    };
    let inner = &text[2..];
    let length = inner.find(close)?;
    let name = &inner[..length];
    (name.contains(char::is_alphabetic) && !name.contains('"')).then_some(2 + length + close.len())
}

/// A word of a script line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ScriptWord {
    pub(crate) text: String,
    pub(crate) written: Range<usize>,
    pub(crate) quoted: bool,
}

/// Splits as the keywords that take a command do: `'…'` and `"…"` group and may be glued to other
/// text, and a backslash, within quotes too, makes the next character literal or is one of
/// `\a \b \E \f \n \r \t \v \ooo \xHH \cC`.
///
/// # Errors
/// Where a quote opens that is never closed.
pub(crate) fn script_words(line: &str, range: Range<usize>) -> Result<Vec<ScriptWord>, usize> {
    let mut words = Vec::new();
    let mut word: Option<ScriptWord> = None;
    let mut quote: Option<(char, usize)> = None;
    let mut chars = line[range.clone()].char_indices().peekable();
    while let Some((i, c)) = chars.next() {
        let at = range.start + i;
        if quote.is_none() && is_space(c) {
            words.extend(word.take());
            continue;
        }
        let current = word.get_or_insert_with(|| ScriptWord {
            text: String::new(),
            written: at..at,
            quoted: false,
        });
        match (c, quote) {
            ('\\', _) => escape(&mut chars, &mut current.text),
            (c, Some((open, _))) if c == open => quote = None,
            ('\'' | '"', None) => {
                quote = Some((c, at));
                current.quoted = true;
            }
            (c, _) => current.text.push(c),
        }
        current.written.end = range.start + chars.peek().map_or(range.len(), |(next, _)| *next);
    }
    words.extend(word);
    match quote {
        Some((_, at)) => Err(at),
        None => Ok(words),
    }
}

/// Reads what follows a backslash.
fn escape(chars: &mut std::iter::Peekable<std::str::CharIndices<'_>>, text: &mut String) {
    let Some((_, c)) = chars.next() else {
        text.push('\\');
        return;
    };
    let mut digits = |first: u32, radix: u32, most: usize| {
        let mut value = first;
        for _ in 0..most {
            let Some(digit) = chars.peek().and_then(|(_, c)| c.to_digit(radix)) else { break };
            value = value * radix + digit;
            chars.next();
        }
        char::from(u8::try_from(value & 0xff).unwrap_or(0))
    };
    let meant = match c {
        'a' => '\x07',
        'b' => '\x08',
        'E' => '\x1b',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0b',
        '0'..='7' => digits(c.to_digit(8).unwrap_or(0), 8, 2),
        'x' => digits(0, 16, 2),
        'c' => match chars.next() {
            Some((_, control)) if control.is_ascii() => {
                char::from(control.to_ascii_uppercase() as u8 & 0x1f)
            }
            Some((_, other)) => other,
            None => 'c',
        },
        other => other,
    };
    text.push(meant);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(line: &str) -> Vec<String> {
        let mut at = 0;
        std::iter::from_fn(|| {
            let (piece, next) = piece(line, at)?;
            at = next;
            Some(match piece {
                Piece::Word { text, quoted: true, .. } => format!("<{}>", &line[text]),
                Piece::Word { text, .. } => line[text].to_owned(),
                Piece::Open(_) => "{".to_owned(),
                Piece::Close(_) => "}".to_owned(),
            })
        })
        .collect()
    }

    #[test]
    fn words_and_braces() {
        assert_eq!(pieces("a{b} \"c {d}\"e"), ["a", "{", "b", "}", "<c {d}>", "e"]);
        assert_eq!(pieces(" u\"v\"w 'q r'"), ["u", "<v>", "w", "'q", "r'"]);
        assert_eq!(pieces("\"\" \"a"), ["<>", "<a>"]);
        assert_eq!(pieces("x${A}y ${B ${"), ["x${A}y", "$", "{", "B", "$", "{"]);
        assert_eq!(pieces("a\tb\r"), ["a", "b"]);
        assert_eq!(
            pieces("p {{ x }} {{y}}/24 a{% z %}b{"),
            ["p", "{{ x }}", "{{y}}/24", "a{% z %}b", "{"]
        );
        assert_eq!(pieces("{%}x"), ["{", "%", "}", "x"]);
        assert_eq!(pieces("{{}} {{ }}"), ["{", "{", "}", "}", "{", "{", "}", "}"]);
    }

    #[test]
    fn script_lines_group_and_escape() {
        let words = |line: &str| {
            script_words(line, 0..line.len())
                .map(|words| words.into_iter().map(|w| w.text).collect::<Vec<_>>())
        };
        assert_eq!(
            words(r#"notify "/bin/x 'a b' \"c d\" \x41\101" root"#).unwrap(),
            ["notify", "/bin/x 'a b' \"c d\" AA", "root"]
        );
        assert_eq!(words(r"abcd' e 'f g\ h \cA").unwrap(), ["abcd e f", "g h", "\x01"]);
        assert_eq!(words("'' x").unwrap(), ["", "x"]);
        assert_eq!(words("a 'b"), Err(2));
        assert_eq!(words("\\").unwrap(), ["\\"]);
    }
}
