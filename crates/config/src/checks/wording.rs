//! Words that look wrong: placeholders, look-alike letters, punctuation, lines run together.

use super::Subject;
use crate::diagnostic::{Diagnostic, Wording};
use crate::keywords::{self, BlockId, Content, Value};
use crate::parser::child;
use crate::tree::{Item, Token};

pub(super) fn check(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    items(&subject.tree.items, Some(BlockId::Root), found);
}

fn items(list: &[Item], at: Option<BlockId>, found: &mut Vec<Diagnostic>) {
    let lines = at.is_some_and(|id| matches!(keywords::block(id).content, Content::Lines { .. }));
    for item in list {
        // A finding for each word at most: one explains the others.
        let before = found.len();
        for (i, word) in item.words().enumerate() {
            let value = i > 0 || lines;
            let signs = Signs::of(word);
            // Keywords have underscores; as placeholders they have other signs too.
            if !value && !signs.has(Signs::BRACKET) {
                continue;
            }
            if let Some(what) = placeholder_in(word, signs, value && item.block.is_none()) {
                found.push(
                    Diagnostic::warning(
                        Wording::Placeholder,
                        format!("`{what}` looks like a placeholder"),
                    )
                    .unnoticed()
                    .at(word.span, "not replaced by a value"),
                );
            }
            if value && signs.has(Signs::FOREIGN) && !free_text(&item.keyword) {
                foreign(word, found);
            }
        }
        if found.len() == before {
            punctuation(item, found);
        }
        if found.len() == before
            && let Some(id) = at
        {
            several(item, id, found);
        }
        if item.block.is_some() {
            items(item.items(), child(at, &item.keyword), found);
        }
    }
}

/// Keywords whose value may hold any sign.
fn free_text(keyword: &str) -> bool {
    keyword.starts_with("notify")
        || matches!(
            keyword,
            "auth_pass"
                | "script"
                | "router_id"
                | "password"
                | "regex"
                | "misc_path"
                | "path"
                | "key"
                | "startup_script"
                | "shutdown_script"
                | "quorum_up"
                | "quorum_down"
                | "digest"
                | "payload"
                | "require_reply"
                | "virtualhost"
                | "helo_name"
        )
}

/// Which signs are in a word, found in one pass: nearly every word is a plain one, and needs no
/// second look.
#[derive(Clone, Copy)]
struct Signs(u8);

impl Signs {
    /// `<`, `{`, `@` or `%`.
    const BRACKET: u8 = 1;
    /// A sign that parts of a placeholder are joined by, or that surrounds it.
    const JOINT: u8 = 2;
    const DOT: u8 = 4;
    /// A letter, or `*` or `?`.
    const LETTER: u8 = 8;
    /// Part of a character that is not ASCII.
    const FOREIGN: u8 = 16;

    const fn of_byte(byte: u8) -> u8 {
        match byte {
            b'<' | b'{' | b'@' => Self::BRACKET | Self::JOINT,
            b'%' => Self::BRACKET,
            b'_' | b'-' => Self::JOINT,
            b'.' => Self::DOT,
            b'*' | b'?' => Self::LETTER,
            _ if byte.is_ascii_alphabetic() => Self::LETTER,
            _ if !byte.is_ascii() => Self::FOREIGN,
            _ => 0,
        }
    }

    const TABLE: [u8; 256] = {
        let mut table = [0; 256];
        let mut byte = u8::MAX;
        loop {
            table[byte as usize] = Self::of_byte(byte);
            if byte == 0 {
                break table;
            }
            byte -= 1;
        }
    };

    fn of(word: &str) -> Self {
        Self(word.bytes().fold(0, |signs, byte| signs | Self::TABLE[usize::from(byte)]))
    }

    /// Any of these.
    const fn has(self, signs: u8) -> bool {
        self.0 & signs != 0
    }
}

/// The part of a word that looks like a placeholder. Capitals alone are one only where a value
/// stands: names of instances are often capitals.
fn placeholder_in(word: &str, signs: Signs, value: bool) -> Option<&str> {
    let bytes = word.as_bytes();
    let telling =
        matches!(bytes.first(), Some(b'c' | b'C' | b'r' | b'R' | b'p' | b'P' | b'f' | b'F'))
            && bytes.len() >= 5;
    let dotted = signs.has(Signs::DOT) && signs.has(Signs::LETTER);
    if !signs.has(Signs::JOINT) && !telling && !dotted {
        return None;
    }
    for (open, close) in [("<", ">"), ("{{", "}}"), ("{%", "%}"), ("__", "__"), ("@@", "@@")] {
        if let Some(start) = word.find(open)
            && let Some(length) = word[start + open.len()..].find(close)
        {
            let inner = &word[start + open.len()..start + open.len() + length];
            let letters = inner.chars().any(char::is_alphabetic);
            // `>` and `<` of a shell line stand apart from words; an address in mail is one.
            if letters && !inner.contains('@') && !word.contains("->") {
                return Some(&word[start..start + open.len() + length + close.len()]);
            }
        }
    }
    let lower = word.to_lowercase();
    const TELLING: [&str; 9] = [
        "changeme",
        "change_me",
        "change-me",
        "replace_me",
        "replaceme",
        "your_",
        "your-",
        "placeholder",
        "fixme",
    ];
    if TELLING.iter().any(|part| lower.contains(part)) {
        return Some(word);
    }
    let address = word.split('/').next().unwrap_or(word);
    let parts: Vec<&str> = address.split('.').collect();
    let blank =
        |part: &&str| !part.is_empty() && part.chars().all(|c| matches!(c, 'x' | 'X' | '*' | '?'));
    if parts.len() == 4
        && parts.iter().any(blank)
        && parts.iter().all(|p| blank(p) || p.chars().all(|c| c.is_ascii_digit()))
    {
        return Some(word);
    }
    if parts.len() == 4 && parts.join("") == "abcd" {
        return Some(word);
    }
    const NOUNS: [&str; 14] = [
        "VIP",
        "IP",
        "ADDRESS",
        "ADDR",
        "INTERFACE",
        "IFACE",
        "PRIORITY",
        "STATE",
        "ROUTER",
        "PASS",
        "PASSWORD",
        "SERVER",
        "HOST",
        "PEER",
    ];
    let capitals = word.len() > 3
        && word.contains('_')
        && word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
        && word.split('_').any(|part| NOUNS.contains(&part));
    (value && capitals).then_some(word)
}

fn foreign(word: &Token, found: &mut Vec<Diagnostic>) {
    const SIGNS: &str = "，：；“”‘’（）＝。！、＃｛｝";
    if let Some(sign) = word.chars().find(|c| SIGNS.contains(*c)) {
        found.push(
            Diagnostic::warning(Wording::Fullwidth, format!("`{sign}` is not an ASCII sign"))
                .unnoticed()
                .at(word.span, "it belongs to the word")
                .help("type it again with a Latin keyboard, or leave it out; a comment starts with `#`"),
        );
        return;
    }
    let twin = keywords::ascii_twin(word);
    if twin.is_ascii() && word.chars().any(|c| c.is_ascii_alphabetic()) {
        found.push(
            Diagnostic::warning(
                Wording::Homoglyph,
                format!("`{}` has letters of another alphabet in it", word.as_str()),
            )
            .unnoticed()
            .at(word.span, "looks like Latin letters, and is not")
            .suggest(word.span, twin),
        );
    }
}

fn punctuation(item: &Item, found: &mut Vec<Diagnostic>) {
    let odd = |word: &Token| matches!(word.as_bytes().last(), Some(b';' | b',' | b'=' | b':'));
    if !(odd(&item.keyword) || item.args.iter().any(odd)) || free_text(&item.keyword) {
        return;
    }
    for (i, word) in item.words().enumerate().filter(|(_, word)| !word.quoted) {
        let text = word.as_str();
        if i > 0 && matches!(text, "=" | ":=" | ":") {
            found.push(
                Diagnostic::warning(Wording::Equals, format!("`{text}` is taken as the value"))
                    .unnoticed()
                    .at(word.span, "a value stands behind its keyword, with nothing between")
                    .help("leave it out"),
            );
            return;
        }
        let bare = text.trim_end_matches([';', ',']);
        if bare.len() < text.len() && !bare.is_empty() {
            let mut diagnostic = Diagnostic::warning(
                Wording::Punctuation,
                format!("`{}` belongs to the word here", &text[bare.len()..]),
            )
            .unnoticed()
            .at(word.span, "no sign ends a line or parts words in this language");
            diagnostic = diagnostic.suggest(word.span, bare);
            found.push(diagnostic);
            return;
        }
        if i == 0
            && text.len() > 1
            && text.ends_with(['=', ':'])
            && text.is_ascii()
            && text.parse::<std::net::IpAddr>().is_err()
        {
            found.push(
                Diagnostic::warning(Wording::Equals, format!("`{text}` is taken as the keyword"))
                    .unnoticed()
                    .at(word.span, "a value stands behind its keyword, with nothing between"),
            );
            return;
        }
    }
}

/// Keywords that take one word, followed by another keyword of the block.
fn several(item: &Item, at: BlockId, found: &mut Vec<Diagnostic>) {
    // A keyword is a word of some length in lower case.
    let word = |word: &&Token| word.len() > 3 && word.as_bytes()[0].is_ascii_lowercase();
    if !item.args.iter().any(|arg| word(&arg)) {
        return;
    }
    let block = keywords::block(at);
    let Some(keyword) = block.find(&item.keyword) else { return };
    let takes = match keyword.value {
        Value::Flag => 0,
        Value::Int { .. } | Value::Seconds { .. } | Value::Choice(_) | Value::Interface => 1,
        Value::Address { .. } => 1,
        Value::Special { .. } if matches!(keyword.name, "state" | "virtual_router_id") => 1,
        _ => return,
    };
    let Some(next) = item.args.iter().skip(takes).find(|word| block.find(word).is_some()) else {
        return;
    };
    found.push(
        Diagnostic::warning(
            Wording::SeveralKeywords,
            format!("`{}` and `{}` stand on one line", keyword.name, next.as_str()),
        )
        .unnoticed()
        .at(next.span, format!("taken for an argument of `{}` and ignored", keyword.name))
        .help("write each keyword on a line of its own"),
    );
}

#[cfg(test)]
mod tests {
    fn placeholder_in(word: &str, value: bool) -> Option<&str> {
        super::placeholder_in(word, super::Signs::of(word), value)
    }

    #[test]
    fn placeholders_are_told_from_values() {
        for (word, found) in [
            ("<interface>", "<interface>"),
            ("<<MASTER/BACKUP>>", "<<MASTER/BACKUP>"),
            ("VI_<name>", "<name>"),
            ("{{vip}}/24", "{{vip}}"),
            ("YOUR_VIP", "YOUR_VIP"),
            ("192.168.1.xx", "192.168.1.xx"),
            ("x.x.x.x/24", "x.x.x.x/24"),
            ("KEEPALIVE_VIP", "KEEPALIVE_VIP"),
            ("__IFACE__", "__IFACE__"),
        ] {
            assert_eq!(placeholder_in(word, true), Some(found));
        }
        for word in
            ["VI_1", "10.0.0.1/24", "eth0", "->", "80->10.0.0.1:80", "<root@localhost>", "MASTER"]
        {
            assert_eq!(placeholder_in(word, true), None);
        }
        assert_eq!(placeholder_in("WEB_VIP", false), None);
    }
}
