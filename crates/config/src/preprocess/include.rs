//! `include` and its kin: which files a pattern means, and what must hold for it.

use std::path::{Path, PathBuf};

use super::comment::is_space;
use crate::files::FileSystem;

/// What an include insists on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Checks {
    /// Every file can be read.
    pub(super) read: bool,
    /// At least one file is there.
    pub(super) any: bool,
    /// Every wildcard matches something.
    pub(super) wildcard: bool,
    /// Every alternative in braces matches something.
    pub(super) brace: bool,
}

impl Checks {
    pub(super) const ALL: Self = Self { read: true, any: true, wildcard: true, brace: true };

    pub(super) fn and(self, other: Self) -> Self {
        Self {
            read: self.read || other.read,
            any: self.any || other.any,
            wildcard: self.wildcard || other.wildcard,
            brace: self.brace || other.brace,
        }
    }

    /// Changes what a word of `include_check` says; `false` when it says nothing known.
    pub(super) fn set(&mut self, word: &str) -> bool {
        let (on, word) = match word.strip_prefix('-') {
            Some(rest) => (false, rest),
            None => (true, word.strip_prefix('+').unwrap_or(word)),
        };
        match word {
            "read" => self.read = on,
            "match" => self.any = on,
            "wildcard_match" => self.wildcard = on,
            "brace_match" => self.brace = on,
            _ => return false,
        }
        true
    }
}

/// An include line: the checks that its keyword asks for, and where its pattern starts.
pub(super) fn recognise(text: &str) -> Option<(Checks, usize)> {
    let rest = text.strip_prefix("include")?;
    let none = Checks::default();
    let (checks, length) = match rest.bytes().next()? {
        b'r' => (Checks { read: true, ..none }, 1),
        b'm' => (Checks { any: true, ..none }, 1),
        b'w' => (Checks { wildcard: true, ..none }, 1),
        b'b' => (Checks { brace: true, ..none }, 1),
        b'a' => (Checks::ALL, 1),
        _ => (none, 0),
    };
    let rest = &rest[length..];
    let pattern = rest.trim_start_matches(is_space);
    (pattern.len() < rest.len() && !pattern.is_empty())
        .then(|| (checks, text.len() - pattern.len()))
}

/// How many alternatives braces may expand to.
const MOST_ALTERNATIVES: usize = 1024;

/// What a pattern came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// The files, in the order of the alternatives, each sorted.
    pub(super) paths: Vec<PathBuf>,
    /// Alternatives that match nothing.
    pub(super) empty: Vec<String>,
    /// Whether one of the empty alternatives has a wildcard.
    pub(super) empty_wildcard: bool,
    /// Whether there were several alternatives.
    pub(super) braces: bool,
}

/// Finds the files of a pattern; relative ones start from `directory`.
pub(super) fn find(files: &dyn FileSystem, directory: &Path, pattern: &str) -> Found {
    let alternatives = alternatives(pattern);
    let mut found = Found { braces: alternatives.len() > 1, ..Found::default() };
    for alternative in alternatives {
        let path = directory.join(&alternative);
        let matched = files.glob(&path.to_string_lossy());
        if matched.is_empty() {
            found.empty_wildcard |= alternative.contains(['*', '?', '[']);
            found.empty.push(alternative);
        } else {
            found.paths.extend(matched);
        }
    }
    found
}

/// Expands `{a,b}` as the C shell does; nested braces too.
fn alternatives(pattern: &str) -> Vec<String> {
    let mut done = Vec::new();
    let mut pending = vec![pattern.to_owned()];
    while let Some(next) = pending.pop() {
        match first_group(&next) {
            Some((open, close, parts)) if done.len() + pending.len() < MOST_ALTERNATIVES => {
                // Pushed last first, so that they are popped in the order they are written.
                for part in parts.into_iter().rev() {
                    pending.push(format!("{}{}{}", &next[..open], part, &next[close + 1..]));
                }
            }
            _ => done.push(next),
        }
    }
    done
}

/// The first complete group of braces with a comma in it.
fn first_group(pattern: &str) -> Option<(usize, usize, Vec<&str>)> {
    let open = pattern.find('{')?;
    let mut depth = 0usize;
    let mut start = open + 1;
    let mut parts = Vec::new();
    for (i, byte) in pattern.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b',' if depth == 1 => {
                parts.push(&pattern[start..i]);
                start = i + 1;
            }
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    parts.push(&pattern[start..i]);
                    return Some((open, i, parts));
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::MemoryFiles;

    #[test]
    fn the_five_kinds() {
        assert_eq!(recognise("include a b"), Some((Checks::default(), 8)));
        assert_eq!(recognise("includea  x"), Some((Checks::ALL, 10)));
        assert!(recognise("includer x").is_some_and(|(c, _)| c.read && !c.any));
        assert!(recognise("includem x").is_some_and(|(c, _)| c.any && !c.read));
        assert!(recognise("includew x").is_some_and(|(c, _)| c.wildcard));
        assert!(recognise("includeb x").is_some_and(|(c, _)| c.brace));
        assert_eq!(recognise("include"), None);
        assert_eq!(recognise("include "), None);
        assert_eq!(recognise("includes x"), None);
        assert_eq!(recognise("include_check read"), None);
    }

    #[test]
    fn braces_expand_in_order_and_boundedly() {
        assert_eq!(alternatives("a{b,{c,d}e,}f"), ["abf", "acef", "adef", "af"]);
        assert_eq!(alternatives("a{b"), ["a{b"]);
        assert_eq!(alternatives("}{"), ["}{"]);
        assert!(alternatives(&"{a,b}".repeat(60)).len() <= 2 * MOST_ALTERNATIVES);
    }

    #[test]
    fn files_are_found_from_the_including_directory() {
        let files = MemoryFiles::new().with("/e/d/2.conf", "").with("/e/d/1.conf", "");
        let found = find(&files, Path::new("/e"), "d/*.conf");
        assert_eq!(found.paths, [PathBuf::from("/e/d/1.conf"), PathBuf::from("/e/d/2.conf")]);
        let found = find(&files, Path::new("/e"), "d/{2,3}.conf");
        assert_eq!(found.paths, [PathBuf::from("/e/d/2.conf")]);
        assert_eq!(found.empty, ["d/3.conf"]);
        assert!(found.braces && !found.empty_wildcard);
    }
}
