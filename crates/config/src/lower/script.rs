//! Commands of scripts, and the users that run them.

use std::iter::Peekable;
use std::str::Chars;

use super::context::Context;
use crate::diagnostic::{Diagnostic, Language};
use crate::keywords::Keyword;
use crate::model::{Command, ScriptUser};
use crate::tree::{Item, Token};

impl Context<'_> {
    /// `CMD [USER [GROUP]]`: the command is one word; with arguments it stands in quotes.
    pub(super) fn command(&mut self, item: &Item, keyword: &Keyword) -> Option<Command> {
        let words = self.command_line(item, keyword)?;
        let token = words.first()?;
        let user = self.user(words.get(1..).unwrap_or_default());
        if let Some(extra) = words.get(3) {
            self.report(
                Diagnostic::error(
                    Language::ExtraWords,
                    format!("`{}` takes a command, a user and a group", keyword.name),
                )
                .at(extra.span, "ignored")
                .help("a command with arguments stands in quotes, arguments and all")
                .unnoticed(),
            );
        } else if let Some(word) = words.get(1).filter(|w| w.starts_with(['-', '/', '$', '.'])) {
            self.report(
                Diagnostic::warning(
                    Language::ExtraWords,
                    format!("`{}` is taken for the user that runs the script", &**word),
                )
                .at(word.span, "a user?")
                .help("a command with arguments stands in quotes, arguments and all")
                .unnoticed(),
            );
        }
        self.command_words(token, user)
    }

    /// A command without a user after it (`script`, `misc_path`).
    pub(super) fn bare_command(&mut self, item: &Item, keyword: &Keyword) -> Option<Command> {
        let words = self.command_line(item, keyword)?;
        let token = words.first()?;
        if let Some(extra) = words.get(1) {
            let last = words.last().unwrap_or(extra);
            self.report(
                Diagnostic::warning(
                    Language::ExtraWords,
                    format!("`{}` takes one word; the others are ignored", keyword.name),
                )
                .at(extra.span.to(last.span), "ignored")
                .help("a command with arguments stands in quotes, arguments and all")
                .unnoticed(),
            );
        }
        self.command_words(token, None)
    }

    /// The words after the keyword, split as commands are.
    fn command_line<'i>(&mut self, item: &'i Item, keyword: &Keyword) -> Option<&'i [Token]> {
        self.argument(item, keyword)?;
        match item.script_args() {
            Ok(words) => Some(words),
            Err(quote) => {
                self.report(
                    Diagnostic::error(
                        Language::BadCommand,
                        "a quote in the command is never closed",
                    )
                    .at(quote, "opened here; the script is not used"),
                );
                None
            }
        }
    }

    fn command_words(&mut self, token: &Token, user: Option<ScriptUser>) -> Option<Command> {
        match split(token) {
            Ok(words) if words.is_empty() => {
                self.report(
                    Diagnostic::warning(Language::BadCommand, "the command is empty")
                        .at(token.span, "")
                        .unnoticed(),
                );
                None
            }
            Ok(words) => Some(Command { words, user, span: token.span }),
            Err(quote) => {
                self.report(
                    Diagnostic::error(
                        Language::BadCommand,
                        format!("the quote {quote} in the command is never closed"),
                    )
                    .at(token.span, "the script is not used"),
                );
                None
            }
        }
    }

    /// `USER [GROUP]`, also `user:group`.
    pub(super) fn user(&mut self, words: &[Token]) -> Option<ScriptUser> {
        let first = words.first()?;
        let (user, glued) = match first.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (&**first, None),
        };
        let second = words.get(1).map(|t| t.strip_prefix(':').unwrap_or(t));
        let group = glued.or(second).filter(|g| !g.is_empty()).map(str::to_owned);
        Some(ScriptUser { user: user.to_owned(), group, span: first.span })
    }
}

/// Splits at white space; `'…'` and `"…"` group; a backslash makes the next character literal or
/// is one of the escapes of the language. `Err` names a quote that is not closed.
fn split(text: &str) -> Result<Vec<String>, char> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut open: Option<char> = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, open) {
            ('\\', _) => word.get_or_insert_default().push(escaped(&mut chars)),
            (c, Some(quote)) if c == quote => open = None,
            ('\'' | '"', None) => {
                open = Some(c);
                word.get_or_insert_default();
            }
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    open.map_or(Ok(words), Err)
}

fn escaped(chars: &mut Peekable<Chars<'_>>) -> char {
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
        'x' => digits(chars, 16, 2, 0).unwrap_or('x'),
        'c' => chars.next().map_or('c', |c| char::from((c as u32 & 0x1f) as u8)),
        '0'..='7' => {
            let first = c.to_digit(8).unwrap_or(0);
            digits(chars, 8, 2, first).unwrap_or('\0')
        }
        other => other,
    }
}

/// Up to `most` digits more; the last byte counts.
fn digits(chars: &mut Peekable<Chars<'_>>, radix: u32, most: usize, start: u32) -> Option<char> {
    let mut value = start;
    let mut any = radix == 8;
    for _ in 0..most {
        let Some(digit) = chars.peek().and_then(|c| c.to_digit(radix)) else { break };
        chars.next();
        any = true;
        value = value * radix + digit;
    }
    any.then(|| char::from((value & 0xff) as u8))
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn words_and_quotes() {
        assert_eq!(split("/bin/x -a  b").unwrap(), ["/bin/x", "-a", "b"]);
        assert_eq!(split("/bin/x 'a b' \"c d\"e ''").unwrap(), ["/bin/x", "a b", "c de", ""]);
        assert_eq!(split(r"a\ b \x41 \101").unwrap(), ["a b", "A", "A"]);
        assert_eq!(split("/bin/x 'a").unwrap_err(), '\'');
        assert!(split("  ").unwrap().is_empty());
    }
}
