//! From the language of PCRE2 to that of fancy-regex.
//!
//! What both understand is passed on; this rewrites what one of them reads differently or only
//! PCRE2 knows: literal braces and brackets, `$` before a last line end, classes, escapes, octal
//! numbers, quotes, options.

use super::Unusable;

/// `regex_options`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) caseless: bool,
    pub(super) multiline: bool,
    pub(super) dotall: bool,
    pub(super) extended: bool,
    pub(super) extended_more: bool,
    pub(super) utf: bool,
    pub(super) ucp: bool,
    pub(super) firstline: bool,
    dollar_endonly: bool,
    ungreedy: bool,
    no_auto_capture: bool,
    allow_empty_class: bool,
    alt_bsux: bool,
    alt_circumflex: bool,
    match_unset_backref: bool,
    never_backslash_c: bool,
}

impl Options {
    /// The options of these names. Those that only make PCRE2 faster or slower, or concern things
    /// that we refuse anyway, have no place here: auto_callout, dupnames (a second group of a name
    /// is refused), never_ucp, never_utf, no_auto_possess, no_dotstar_anchor, no_start_optimize,
    /// alt_verbnames, use_offset_limit.
    pub(super) fn of(names: &[String]) -> Self {
        let has = |name: &str| names.iter().any(|given| given == name);
        Self {
            caseless: has("caseless"),
            multiline: has("multiline"),
            dotall: has("dotall"),
            extended: has("extended") || has("extended_more"),
            extended_more: has("extended_more"),
            utf: has("utf"),
            ucp: has("ucp"),
            firstline: has("firstline"),
            dollar_endonly: has("dollar_endonly"),
            ungreedy: has("ungreedy"),
            no_auto_capture: has("no_auto_capture"),
            allow_empty_class: has("allow_empty_class"),
            alt_bsux: has("alt_bsux"),
            alt_circumflex: has("alt_circumflex"),
            match_unset_backref: has("match_unset_backref"),
            never_backslash_c: has("never_backslash_c"),
        }
    }
}

/// A pattern in the words of fancy-regex.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Translated {
    pub(super) pattern: String,
    /// It has something that needs backtracking: the search may take long.
    pub(super) slow: bool,
}

/// `\b` and `\B` where only letters of ASCII make words, although the text is UTF-8.
const WORD_EDGE: &str = "(?:(?<=[0-9A-Za-z_])(?![0-9A-Za-z_])|(?<![0-9A-Za-z_])(?=[0-9A-Za-z_]))";
const NO_WORD_EDGE: &str =
    "(?:(?<=[0-9A-Za-z_])(?=[0-9A-Za-z_])|(?<![0-9A-Za-z_])(?![0-9A-Za-z_]))";

/// Puts a pattern into the words of fancy-regex.
pub(super) fn translate(pattern: &str, options: Options) -> Result<Translated, Unusable> {
    let chars: Vec<char> = pattern.chars().collect();
    let mut translator = Translator {
        groups: capturing_groups(&chars),
        rest: &chars,
        options,
        out: String::with_capacity(pattern.len() + 16),
        slow: false,
        settings: vec![Settings {
            extended: options.extended,
            multiline: options.multiline,
            ungreedy: options.ungreedy,
        }],
    };
    translator.run()?;
    Ok(Translated { pattern: translator.out, slow: translator.slow })
}

/// How many groups capture, roughly: enough to tell a back reference from an octal number.
fn capturing_groups(chars: &[char]) -> u32 {
    let (mut count, mut rest) = (0, chars);
    loop {
        rest = match rest {
            [] => return count,
            ['\\', _, rest @ ..] => rest,
            ['(', '?', 'P', '<', rest @ ..] | ['(', '?', '\'', rest @ ..] => {
                count += 1;
                rest
            }
            ['(', '?', '<', c, rest @ ..] => {
                count += u32::from(!matches!(c, '=' | '!'));
                rest
            }
            ['(', '?' | '*', rest @ ..] => rest,
            ['(', rest @ ..] => {
                count += 1;
                rest
            }
            [_, rest @ ..] => rest,
        };
    }
}

struct Translator<'a> {
    rest: &'a [char],
    options: Options,
    groups: u32,
    out: String,
    slow: bool,
    /// What holds in the open groups, the innermost last; never empty.
    settings: Vec<Settings>,
}

/// What `(?x)` and its like change for the rest of a group.
#[derive(Clone, Copy, Debug, Default)]
struct Settings {
    extended: bool,
    multiline: bool,
    ungreedy: bool,
}

impl<'a> Translator<'a> {
    fn run(&mut self) -> Result<(), Unusable> {
        while let [first, rest @ ..] = self.rest {
            match first {
                '\\' => self.escape(false)?,
                '[' => self.class()?,
                '(' => self.group()?,
                ')' => {
                    if self.settings.len() > 1 {
                        self.settings.pop();
                    }
                    self.pass(1);
                }
                '$' => self.dollar(),
                '^' if self.now().multiline && !self.options.alt_circumflex => {
                    // Not after a line end that is the last character.
                    self.slow = true;
                    self.out.push_str(r"(?:\A|^(?!\z))");
                    self.rest = rest;
                }
                '*' | '+' | '?' => {
                    self.pass(1);
                    self.greed();
                }
                '{' => self.brace(),
                '}' | ']' => {
                    self.literal(*first);
                    self.rest = rest;
                }
                '#' if self.now().extended => {
                    let end = self.rest.iter().position(|c| *c == '\n');
                    self.rest = end.map_or(&[], |end| &self.rest[end..]);
                }
                c if c.is_ascii() => self.pass(1),
                c => {
                    self.literal(*c);
                    self.rest = rest;
                }
            }
        }
        Ok(())
    }

    fn now(&self) -> Settings {
        self.settings.last().copied().unwrap_or_default()
    }

    /// Passes so many characters on as they are.
    fn pass(&mut self, count: usize) {
        let (now, rest) = self.rest.split_at(count.min(self.rest.len()));
        self.out.extend(now);
        self.rest = rest;
    }

    /// A character that stands for itself, in a class or outside. Without `utf` a character beyond
    /// ASCII is its bytes, as for PCRE2.
    fn literal(&mut self, c: char) {
        if c.is_ascii_alphanumeric() {
            self.out.push(c);
        } else if self.options.utf && !c.is_ascii() {
            self.out.push_str(&format!("\\x{{{:X}}}", u32::from(c)));
        } else {
            for byte in c.to_string().bytes() {
                self.byte(byte);
            }
        }
    }

    fn byte(&mut self, byte: u8) {
        self.out.push_str(&format!("\\x{byte:02X}"));
    }

    /// A character by its number.
    fn code(&mut self, code: u32) -> Result<(), Unusable> {
        match (self.options.utf, u8::try_from(code), char::from_u32(code)) {
            (false, Ok(byte), _) => self.byte(byte),
            (true, _, Some(_)) => self.out.push_str(&format!("\\x{{{code:X}}}")),
            _ => {
                return Err(Unusable::Syntax(format!("there is no character of number {code:#x}")));
            }
        }
        Ok(())
    }

    /// `$` also matches before a line end that is the last character.
    fn dollar(&mut self) {
        if self.options.dollar_endonly || self.now().multiline {
            self.out.push('$');
        } else {
            self.slow = true;
            self.out.push_str(r"(?:$|(?=\n\z))");
        }
        self.rest = &self.rest[1..];
    }

    /// What follows a quantifier: `?` makes it lazy (or greedy, if it is lazy), `+` possessive.
    fn greed(&mut self) {
        match (self.rest.first(), self.now().ungreedy) {
            (Some('+'), _) => {
                self.slow = true;
                self.pass(1);
            }
            (Some('?'), true) => self.rest = &self.rest[1..],
            (Some('?'), false) => self.pass(1),
            (_, true) => self.out.push('?'),
            (_, false) => {}
        }
    }

    /// `{n}`, `{n,}` and `{n,m}` are quantifiers; any other brace is itself.
    fn brace(&mut self) {
        let end = self.rest.iter().position(|c| *c == '}');
        let inside = end.map_or(&[][..], |end| &self.rest[1..end]);
        let mut parts = inside.split(|c| *c == ',');
        let number = |part: &[char]| part.iter().all(char::is_ascii_digit);
        let quantifier = match (parts.next(), parts.next(), parts.next()) {
            (Some(least), most, None) => {
                !least.is_empty() && number(least) && most.is_none_or(number)
            }
            _ => false,
        };
        if quantifier {
            self.pass(inside.len() + 2);
            self.greed();
        } else {
            self.literal('{');
            self.rest = &self.rest[1..];
        }
    }

    fn group(&mut self) -> Result<(), Unusable> {
        let unsupported = |what| Err(Unusable::Unsupported(what));
        let now = self.now();
        let all = self.rest;
        match &all[1..] {
            ['*', ..] => return unsupported("a verb, (*…),"),
            ['?', '#', rest @ ..] => {
                let end = rest.iter().position(|c| *c == ')');
                self.rest = end.map_or(&[], |end| &rest[end + 1..]);
            }
            ['?', '|', ..] => return unsupported("a branch reset, (?|…),"),
            ['?', 'R' | '&' | '0'..='9' | '+', ..] | ['?', 'P', '>', ..] => {
                return unsupported("recursion");
            }
            ['?', '-', '0'..='9', ..] => return unsupported("recursion"),
            ['?', 'C', ..] => return unsupported("a call-out, (?C…),"),
            ['?', '^' | 'J' | 'n', ..] => return unsupported("a setting such as (?^), (?J), (?n)"),
            ['?', '(', '?', ..] => return unsupported("a look-around as condition"),
            ['?', '(', rest @ ..] => {
                let end = rest.iter().position(|c| *c == ')').unwrap_or(rest.len());
                if matches!(rest.first(), Some('R' | 'D' | 'V')) {
                    return unsupported("this condition");
                }
                self.slow = true;
                self.settings.push(now);
                self.pass(3 + end + 1);
            }
            ['?', ':', ..] => self.open(3),
            ['?', '=' | '!' | '>', ..] => {
                self.slow = true;
                self.open(3);
            }
            ['?', '<', '=' | '!', ..] => {
                self.slow = true;
                self.open(4);
            }
            ['?', 'P', '=', rest @ ..] => {
                let end = rest.iter().position(|c| *c == ')').unwrap_or(rest.len());
                let name: String = rest[..end].iter().collect();
                self.back_reference(&format!("\\k<{name}>"))?;
                self.rest = rest.get(end + 1..).unwrap_or_default();
            }
            ['?', '\'', rest @ ..] => {
                let end = rest.iter().position(|c| *c == '\'').unwrap_or(rest.len());
                let name: String = rest[..end].iter().collect();
                self.out.push_str(&format!("(?<{name}>"));
                self.rest = rest.get(end + 1..).unwrap_or_default();
                self.settings.push(now);
            }
            ['?', '<', ..] => self.open(3),
            ['?', 'P', '<', ..] => self.open(4),
            ['?', flags @ ..] => self.flags(flags)?,
            _ if self.options.no_auto_capture => {
                self.out.push_str("(?:");
                self.rest = &self.rest[1..];
                self.settings.push(now);
            }
            _ => self.open(1),
        }
        Ok(())
    }

    /// A group whose beginning is so many characters.
    fn open(&mut self, count: usize) {
        self.settings.push(self.now());
        self.pass(count);
    }

    /// `(?i)`, `(?i-s:…)`.
    fn flags(&mut self, flags: &'a [char]) -> Result<(), Unusable> {
        let end = flags.iter().position(|c| matches!(c, ')' | ':'));
        let Some(end) = end else {
            return Err(Unusable::Syntax("a group does not end".to_owned()));
        };
        let (mut on, mut now) = (true, self.now());
        for (at, flag) in flags[..end].iter().enumerate() {
            match flag {
                '-' => on = false,
                'x' if flags.get(at + 1) == Some(&'x') => {
                    return Err(Unusable::Unsupported("the setting (?xx)"));
                }
                'x' => now.extended = on,
                'm' => now.multiline = on,
                'U' => now.ungreedy = on,
                'i' | 's' => {}
                other => return Err(Unusable::Syntax(format!("unknown setting `{other}`"))),
            }
        }
        // Greed is translated where it is used.
        let text: String = flags[..end].iter().filter(|flag| **flag != 'U').collect();
        let text = text.trim_end_matches('-');
        let whole = flags[end] == ':';
        match whole {
            true => self.out.push_str(&format!("(?{text}:")),
            false if text.is_empty() => {}
            false => self.out.push_str(&format!("(?{text})")),
        }
        self.rest = &flags[end + 1..];
        if whole {
            self.settings.push(now);
        } else if let Some(innermost) = self.settings.last_mut() {
            *innermost = now;
        }
        Ok(())
    }

    fn back_reference(&mut self, text: &str) -> Result<(), Unusable> {
        if self.options.match_unset_backref {
            return Err(Unusable::Unsupported("a back reference with `match_unset_backref`"));
        }
        self.slow = true;
        self.out.push_str(text);
        Ok(())
    }

    fn class(&mut self) -> Result<(), Unusable> {
        let mut rest = &self.rest[1..];
        let negated = rest.first() == Some(&'^');
        if negated {
            rest = &rest[1..];
        }
        self.rest = rest;
        if self.options.allow_empty_class && rest.first() == Some(&']') {
            self.rest = &rest[1..];
            self.out.push_str(if negated { "(?s:.)" } else { "(?:(?!))" });
            self.slow |= !negated;
            return Ok(());
        }
        self.out.push_str(if negated { "[^" } else { "[" });
        let mut first = true;
        loop {
            match self.rest {
                [] => return Err(Unusable::Syntax("a class `[…` does not end".to_owned())),
                [']', ..] if !first => {
                    self.pass(1);
                    return Ok(());
                }
                ['\\', ..] => self.escape(true)?,
                ['[', kind @ (':' | '.' | '='), ..] => {
                    let name = self.rest[2..]
                        .iter()
                        .take_while(|c| c.is_ascii_alphabetic() || **c == '^')
                        .count();
                    match self.rest[2 + name..] {
                        [end, ']', ..] if end == *kind => match kind {
                            ':' => self.posix(name)?,
                            _ => return Err(Unusable::Unsupported("a collating element")),
                        },
                        _ => {
                            self.literal('[');
                            self.rest = &self.rest[1..];
                        }
                    }
                }
                [' ' | '\t', rest @ ..] if self.options.extended_more => self.rest = rest,
                ['-', rest @ ..] => {
                    // A range, or itself at either end.
                    if first || rest.first() == Some(&']') {
                        self.literal('-');
                    } else {
                        self.out.push('-');
                    }
                    self.rest = rest;
                }
                [c, rest @ ..] => {
                    self.literal(*c);
                    self.rest = rest;
                }
            }
            first = false;
        }
    }

    /// `[:alpha:]`, `[:^alpha:]`: the name has so many characters.
    fn posix(&mut self, length: usize) -> Result<(), Unusable> {
        let name: String = self.rest[2..2 + length].iter().collect();
        let plain = name.trim_start_matches('^');
        let known = [
            "alpha", "lower", "upper", "alnum", "ascii", "blank", "cntrl", "digit", "graph",
            "print", "punct", "space", "word", "xdigit",
        ];
        if !known.contains(&plain) {
            return Err(Unusable::Syntax(format!("unknown class [:{name}:]")));
        }
        let unicode = match plain {
            "alpha" => r"\p{L}",
            "lower" => r"\p{Ll}",
            "upper" => r"\p{Lu}",
            "alnum" => r"\p{L}\p{N}",
            "digit" => r"\d",
            "space" => r"\s",
            "word" => r"\w",
            _ => "",
        };
        if self.options.ucp && !unicode.is_empty() {
            self.set(unicode, name != plain, true);
        } else {
            self.out.push_str(&format!("[:{name}:]"));
        }
        self.rest = &self.rest[length + 4..];
        Ok(())
    }

    fn escape(&mut self, in_class: bool) -> Result<(), Unusable> {
        let Some((letter, rest)) = self.rest[1..].split_first() else {
            return Err(Unusable::Syntax("a \\ at the end".to_owned()));
        };
        self.rest = rest;
        let unicode = self.options.ucp;
        match letter {
            'Q' => self.quote(),
            'E' => {}
            'd' | 'D' | 'w' | 'W' | 's' | 'S' if !self.options.utf || unicode => {
                self.out.extend(['\\', *letter]);
            }
            'd' => self.set("0-9", false, in_class),
            'D' => self.set("0-9", true, in_class),
            'w' => self.set("0-9A-Za-z_", false, in_class),
            'W' => self.set("0-9A-Za-z_", true, in_class),
            's' => self.set(r"\t\n\x0B\f\r\x20", false, in_class),
            'S' => self.set(r"\t\n\x0B\f\r\x20", true, in_class),
            'h' => self.set(self.horizontal(), false, in_class),
            'H' => self.set(self.horizontal(), true, in_class),
            'v' => self.set(self.vertical(), false, in_class),
            'V' => self.set(self.vertical(), true, in_class),
            'n' | 't' | 'r' | 'f' => self.out.extend(['\\', *letter]),
            'a' => self.byte(7),
            'e' => self.byte(0x1B),
            'b' if in_class => self.byte(8),
            'c' => match self.rest {
                [c @ ' '..='~', rest @ ..] => {
                    self.rest = rest;
                    self.code(u32::from(c.to_ascii_uppercase()) ^ 0x40)?;
                }
                _ => return Err(Unusable::Syntax("\\c without a character".to_owned())),
            },
            'x' => self.hexadecimal()?,
            'o' => self.braced(8)?,
            'u' if self.options.alt_bsux => {
                let digits = self.rest.iter().take(4).map_while(|c| c.to_digit(16)).count();
                match digits {
                    4 => self.number(4, 16)?,
                    _ => self.literal('u'),
                }
            }
            'U' if self.options.alt_bsux => self.literal('U'),
            '0' => self.number(2, 8)?,
            '1'..='9' => self.digits(*letter, in_class)?,
            'R' if !in_class => {
                self.slow = true;
                self.out.push_str(&format!(r"(?>\r\n|[{}])", self.vertical()));
            }
            'N' if !in_class && !self.rest.starts_with(&['{', 'U']) => self.out.push_str(r"[^\n]"),
            'C' if self.options.never_backslash_c => return Err(Unusable::BackslashC),
            'C' if !in_class && !self.options.utf => self.out.push_str("(?s:.)"),
            'Z' if !in_class => {
                self.slow = true;
                self.out.push_str(r"(?=\n?\z)");
            }
            'K' | 'G' if !in_class => {
                self.slow = true;
                self.out.extend(['\\', *letter]);
            }
            'b' | 'B' if !in_class && self.options.utf && !unicode => {
                self.slow = true;
                self.out.push_str(if *letter == 'b' { WORD_EDGE } else { NO_WORD_EDGE });
            }
            'A' | 'z' | 'b' | 'B' if !in_class => self.out.extend(['\\', *letter]),
            'k' if !in_class => self.named_reference()?,
            'g' if !in_class => self.group_reference()?,
            'p' | 'P' if self.options.utf => self.out.extend(['\\', *letter]),
            'p' | 'P' => return Err(Unusable::Unsupported("\\p without `utf`")),
            'X' => return Err(Unusable::Unsupported("\\X")),
            c if c.is_ascii_alphanumeric() => {
                return Err(Unusable::Syntax(format!("unknown escape \\{c}")));
            }
            c => self.literal(*c),
        }
        Ok(())
    }

    /// Characters of a kind, or all others.
    fn set(&mut self, members: &str, negated: bool, in_class: bool) {
        let text = match (in_class, negated) {
            (true, false) => members.to_owned(),
            (false, false) => format!("[{members}]"),
            (_, true) => format!("[^{members}]"),
        };
        self.out.push_str(&text);
    }

    fn horizontal(&self) -> &'static str {
        match self.options.utf {
            false => r"\t\x20\xA0",
            true => r"\t\x20\xA0\x{1680}\x{180E}\x{2000}-\x{200A}\x{202F}\x{205F}\x{3000}",
        }
    }

    fn vertical(&self) -> &'static str {
        match self.options.utf {
            false => r"\n\x0B\f\r\x85",
            true => r"\n\x0B\f\r\x{85}\x{2028}\x{2029}",
        }
    }

    /// `\Q…\E`
    fn quote(&mut self) {
        while let [c, rest @ ..] = self.rest {
            if *c == '\\' && rest.first() == Some(&'E') {
                self.rest = &rest[1..];
                return;
            }
            self.literal(*c);
            self.rest = rest;
        }
    }

    /// `\x`, `\xh`, `\xhh`, `\x{…}`; with `alt_bsux` two digits, or it is the letter.
    fn hexadecimal(&mut self) -> Result<(), Unusable> {
        let digits = self.rest.iter().take(2).map_while(|c| c.to_digit(16)).count();
        match self.rest.first() {
            _ if self.options.alt_bsux => match digits {
                2 => self.number(2, 16)?,
                _ => self.literal('x'),
            },
            Some('{') => self.braced(16)?,
            _ => self.number(2, 16)?,
        }
        Ok(())
    }

    /// `{…}`: a number.
    fn braced(&mut self, radix: u32) -> Result<(), Unusable> {
        let bad = || Unusable::Syntax("a character's number in braces is expected".to_owned());
        let end = self.rest.iter().position(|c| *c == '}').ok_or_else(bad)?;
        let digits: String = self.rest.get(1..end).ok_or_else(bad)?.iter().collect();
        if self.rest.first() != Some(&'{') {
            return Err(bad());
        }
        let code = u32::from_str_radix(digits.trim(), radix).map_err(|_| bad())?;
        self.rest = &self.rest[end + 1..];
        self.code(code)
    }

    /// Up to so many digits; none is 0.
    fn number(&mut self, most: usize, radix: u32) -> Result<(), Unusable> {
        let mut code = 0;
        for _ in 0..most {
            let Some(digit) = self.rest.first().and_then(|c| c.to_digit(radix)) else { break };
            code = code * radix + digit;
            self.rest = &self.rest[1..];
        }
        self.code(code)
    }

    /// `\1`: a group, or an octal number if there are not so many groups.
    fn digits(&mut self, first: char, in_class: bool) -> Result<(), Unusable> {
        let more = self.rest.iter().take_while(|c| c.is_ascii_digit()).count();
        let text: String = std::iter::once(&first).chain(&self.rest[..more]).collect();
        let number: u32 = text.parse().unwrap_or(u32::MAX);
        if !in_class && (number < 10 || number <= self.groups) {
            self.rest = &self.rest[more..];
            // In a group of its own, so that a digit after it is not read with it.
            return self.back_reference(&format!("(?:\\{number})"));
        }
        let Some(mut code) = first.to_digit(8) else {
            return Err(Unusable::Syntax(format!("there is no group {text}")));
        };
        for _ in 0..2 {
            let Some(digit) = self.rest.first().and_then(|c| c.to_digit(8)) else { break };
            code = code * 8 + digit;
            self.rest = &self.rest[1..];
        }
        self.code(code)
    }

    /// `\k<name>`, `\k'name'`, `\k{name}`
    fn named_reference(&mut self) -> Result<(), Unusable> {
        let close = match self.rest.first() {
            Some('<') => '>',
            Some('\'') => '\'',
            Some('{') => '}',
            _ => return Err(Unusable::Syntax("\\k without a name".to_owned())),
        };
        let name: String = self.rest[1..].iter().take_while(|c| **c != close).collect();
        self.rest = self.rest.get(name.chars().count() + 2..).unwrap_or_default();
        self.back_reference(&format!("\\k<{name}>"))
    }

    /// `\g1`, `\g{1}`, `\g{name}`; relative ones are left out, as is recursion.
    fn group_reference(&mut self) -> Result<(), Unusable> {
        let (name, used): (String, usize) = match self.rest {
            ['{', rest @ ..] => {
                let name: String = rest.iter().take_while(|c| **c != '}').collect();
                let used = name.chars().count() + 2;
                (name, used)
            }
            ['<' | '\'', ..] => return Err(Unusable::Unsupported("recursion")),
            rest => {
                let name: String = rest.iter().take_while(|c| c.is_ascii_digit()).collect();
                let used = name.len();
                (name, used)
            }
        };
        self.rest = self.rest.get(used..).unwrap_or_default();
        match name.chars().next() {
            Some('-' | '+') => Err(Unusable::Unsupported("a relative back reference")),
            Some('0'..='9') => self.back_reference(&format!("(?:\\{name})")),
            Some(_) => self.back_reference(&format!("\\k<{name}>")),
            None => Err(Unusable::Syntax("\\g without a group".to_owned())),
        }
    }
}
