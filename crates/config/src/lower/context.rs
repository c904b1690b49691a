//! What every part of the lowering shares: the findings, the look-up of keywords, and the reading
//! of plain arguments as the table declares them.

use std::net::IpAddr;
use std::time::Duration;

pub(super) use super::literal::{NetworkError, micros, parse_network, unsigned, whole};
use super::literal::{NotWhole, boolean};
use super::names::{NameKind, NameTables, builtin};
use crate::diagnostic::{Diagnostic, Language};
use crate::keywords::{
    BlockId, Keyword, Role, Standing, Suggestion, Value, block, decimal, suggest,
};
use crate::model::{Address, Setting};
use crate::source::Span;
use crate::tree::{Item, Token};

/// A value and where it was written.
pub(super) type Written<T> = Option<(T, Span)>;

/// A setting from what was written here, what an outer block says, and a default.
pub(super) fn resolve<T: Clone>(here: &Written<T>, outer: &Setting<T>) -> Setting<T> {
    match here {
        Some((value, span)) => Setting::written(value.clone(), *span),
        None => match outer.span() {
            Some(span) => Setting::inherited(outer.value.clone(), span),
            None => Setting::default_of(outer.value.clone()),
        },
    }
}

/// A setting from what was written here and a default.
pub(super) fn or_default<T: Clone>(here: &Written<T>, default: T) -> Setting<T> {
    resolve(here, &Setting::default_of(default))
}

/// An accepted keyword that the present daemon does not act on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotActedOn {
    /// The block that it stands in.
    pub block: BlockId,
    /// Its name.
    pub keyword: &'static str,
    /// The role that will act on it.
    pub role: Role,
    /// The first place where it is used.
    pub span: Span,
    /// How often it is used.
    pub count: usize,
}

pub(super) struct Context<'a> {
    pub(super) diagnostics: Vec<Diagnostic>,
    pub(super) not_acted_on: Vec<NotActedOn>,
    names: &'a dyn NameTables,
}

impl<'a> Context<'a> {
    pub(super) fn new(names: &'a dyn NameTables) -> Self {
        Self { diagnostics: Vec::new(), not_acted_on: Vec::new(), names }
    }

    pub(super) fn report(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    // ── Keywords ──────────────────────────────────────────────────────────────────────────────

    /// The keyword that a line begins with. Reports unknown and deprecated ones, braces that
    /// should or should not be there, and keywords that nobody acts on.
    pub(super) fn keyword(&mut self, at: BlockId, item: &Item) -> Option<&'static Keyword> {
        let Some(keyword) = block(at).find(&item.keyword) else {
            self.unknown_keyword(at, item);
            return None;
        };
        self.standing(keyword, item.keyword.span);
        self.note_acting(at, keyword, item.keyword.span);
        let opens = keyword.opens_block();
        if opens && item.block.is_none() {
            self.report(
                Diagnostic::error(
                    Language::BlockExpected,
                    format!("`{}` opens a block, and no `{{` follows", keyword.name),
                )
                .at(item.end(), "expected `{`")
                .help("the line is ignored"),
            );
            return None;
        }
        if !opens && let Some(block) = &item.block {
            self.report(
                Diagnostic::error(
                    Language::BlockUnexpected,
                    format!("`{}` does not open a block", keyword.name),
                )
                .at(block.open, "unexpected `{`")
                .help("what stands between the braces is ignored"),
            );
        }
        if let (Value::Block(_), Some(extra)) = (keyword.value, item.args.first()) {
            self.extra_words(item, extra);
        }
        Some(keyword)
    }

    fn extra_words(&mut self, item: &Item, first: &Token) {
        let last = item.args.last().unwrap_or(first);
        self.report(
            Diagnostic::error(
                Language::ExtraWords,
                format!("the block `{}` takes no arguments", &*item.keyword),
            )
            .at(first.span.to(last.span), "ignored"),
        );
    }

    pub(super) fn standing(&mut self, keyword: &Keyword, span: Span) {
        match keyword.standing {
            Standing::Deprecated(instead) => {
                let single = !instead.contains(' ');
                let mut diagnostic = Diagnostic::deprecated(
                    Language::Deprecated,
                    format!("`{}` is deprecated", keyword.name),
                )
                .at(span, "still works")
                .help(format!("write {} instead", quoted(instead)));
                if single {
                    diagnostic = diagnostic.suggest(span, instead);
                }
                self.report(diagnostic);
            }
            Standing::Ignored(why) => self.report(
                Diagnostic::advice(
                    Language::NoEffect,
                    format!("`{}` has no effect: {why}", keyword.name),
                )
                .at(span, ""),
            ),
            Standing::Current | Standing::Alias(_) => {}
        }
    }

    pub(super) fn note_acting(&mut self, at: BlockId, keyword: &'static Keyword, span: Span) {
        if keyword.acted_on() {
            return;
        }
        let seen = self
            .not_acted_on
            .iter_mut()
            .find(|seen| seen.keyword == keyword.name && seen.block == at);
        match seen {
            Some(seen) => seen.count += 1,
            None => self.not_acted_on.push(NotActedOn {
                block: at,
                keyword: keyword.name,
                role: keyword.role,
                span,
                count: 1,
            }),
        }
    }

    fn unknown_keyword(&mut self, at: BlockId, item: &Item) {
        let word = &*item.keyword;
        let place = match at {
            BlockId::Root => "at the top level".to_owned(),
            _ => format!("in `{}`", block(at).title),
        };
        let mut diagnostic = Diagnostic::error(
            Language::UnknownKeyword,
            format!("unknown keyword `{word}` {place}"),
        )
        .at(item.keyword.span, "");
        if word == "}" {
            diagnostic = diagnostic.help("a closing brace too many");
        }
        let assigned = word
            .split_once('=')
            .filter(|(name, value)| !value.is_empty() && block(at).find(name).is_some());
        if let Some((name, value)) = assigned {
            diagnostic = diagnostic
                .help("keyword and value are separated by white space here")
                .suggest(item.keyword.span, format!("{name} {value}"));
            self.report(diagnostic);
            return;
        }
        match suggest(at, word) {
            Some(Suggestion::Similar(name)) => {
                diagnostic = diagnostic
                    .help(format!("did you mean `{name}`?"))
                    .suggest(item.keyword.span, name);
            }
            Some(Suggestion::Homoglyph(name)) => {
                diagnostic = diagnostic
                    .help(format!(
                        "it looks like `{name}`, but has letters of another alphabet in it"
                    ))
                    .suggest(item.keyword.span, name);
            }
            Some(Suggestion::Foreign(why)) => {
                diagnostic = diagnostic.help(why.to_string());
            }
            Some(Suggestion::Elsewhere(homes)) => {
                let mut titles: Vec<_> = homes
                    .iter()
                    .map(|id| match id {
                        BlockId::Root => "at the top level".to_owned(),
                        id => format!("in `{}`", block(*id).title),
                    })
                    .collect();
                titles.truncate(4);
                diagnostic = diagnostic.help(format!(
                    "it belongs {}; is a brace missing or too many above?",
                    titles.join(" or ")
                ));
            }
            None => {}
        }
        if item.block.is_some() {
            diagnostic = diagnostic.help("the whole block is ignored");
        }
        self.report(diagnostic);
    }

    // ── Arguments ─────────────────────────────────────────────────────────────────────────────

    /// The first argument; its absence is what Keepalived stops at.
    pub(super) fn argument<'i>(&mut self, item: &'i Item, keyword: &Keyword) -> Option<&'i Token> {
        match item.args.first() {
            Some(token) => Some(token),
            None => {
                self.missing(item, keyword);
                None
            }
        }
    }

    pub(super) fn missing(&mut self, item: &Item, keyword: &Keyword) {
        let message = format!("`{}` needs an argument", keyword.name);
        let diagnostic = if keyword.lenient {
            Diagnostic::error(Language::MissingArgument, message)
        } else {
            Diagnostic::fatal(Language::MissingArgument, message)
                .help("Keepalived stops here with status 2")
        };
        self.report(diagnostic.at(item.end(), format!("expected {}", keyword.grammar())));
    }

    /// `[BOOL]`: absent is on.
    pub(super) fn boolean(&mut self, item: &Item, keyword: &Keyword) -> Written<bool> {
        let Some(token) = item.args.first() else {
            return Some((true, item.keyword.span));
        };
        match boolean(token) {
            Some(value) => Some((value, token.span)),
            None => {
                let mut diagnostic = Diagnostic::error(
                    Language::BadBoolean,
                    format!("`{}` takes on or off, not `{}`", keyword.name, &**token),
                )
                .at(token.span, "one of on, off, true, false, yes, no")
                .help("the line is ignored");
                let lower = token.to_lowercase();
                if matches!(lower.as_str(), "on" | "off" | "true" | "false" | "yes" | "no") {
                    diagnostic = diagnostic.suggest(token.span, lower);
                }
                self.report(diagnostic);
                None
            }
        }
    }

    /// A whole number in the keyword's range.
    pub(super) fn integer(&mut self, item: &Item, keyword: &Keyword) -> Written<i64> {
        let token = self.argument(item, keyword)?;
        let Value::Int { min, max, .. } = keyword.value else { return None };
        self.integer_token(token, keyword.name, min, max)
    }

    /// A number that fits `T`.
    pub(super) fn number<T: TryFrom<i64>>(&mut self, item: &Item, keyword: &Keyword) -> Written<T> {
        let (value, span) = self.integer(item, keyword)?;
        T::try_from(value).ok().map(|value| (value, span))
    }

    /// A whole number in a range.
    pub(super) fn integer_token(
        &mut self,
        token: &Token,
        what: &str,
        min: i64,
        max: i64,
    ) -> Written<i64> {
        match whole(token) {
            Ok(value) if (min..=max).contains(&value) => Some((value, token.span)),
            Ok(_) | Err(NotWhole::TooLarge) => {
                self.out_of_range(token, what, &min.to_string(), &max.to_string());
                None
            }
            Err(NotWhole::NotANumber) => {
                self.bad_number(token, what);
                None
            }
        }
    }

    pub(super) fn out_of_range(&mut self, token: &Token, what: &str, min: &str, max: &str) {
        self.report(
            Diagnostic::error(
                Language::OutOfRange,
                format!("`{what}` must be {min} to {max}, not {}", &**token),
            )
            .at(token.span, "out of range")
            .help("the line is ignored"),
        );
    }

    pub(super) fn bad_number(&mut self, token: &Token, what: &str) {
        let mut diagnostic = Diagnostic::error(
            Language::BadNumber,
            format!("`{what}` needs a number, not `{}`", &**token),
        )
        .at(token.span, "not a number")
        .help("the line is ignored");
        let digits: String = token.chars().take_while(char::is_ascii_digit).collect();
        let rest = &token[digits.len()..];
        if !digits.is_empty() && rest.starts_with(['#', '!', ';', ',', 's', '%']) {
            diagnostic = diagnostic
                .help(format!("`{rest}` is glued to the number"))
                .suggest(token.span, digits);
        }
        self.report(diagnostic);
    }

    /// Decimal seconds in the keyword's range.
    pub(super) fn seconds(&mut self, item: &Item, keyword: &Keyword) -> Written<Duration> {
        let token = self.argument(item, keyword)?;
        let (min, max) = match keyword.value {
            Value::Seconds { min, max } => (min, max),
            // Whole seconds.
            Value::Int { min, max, .. } => {
                let (value, span) = self.integer_token(token, keyword.name, min, max)?;
                return Some((Duration::from_secs(value.unsigned_abs()), span));
            }
            _ => return None,
        };
        self.seconds_token(token, keyword.name, min, max)
    }

    /// Decimal seconds between two bounds in microseconds.
    pub(super) fn seconds_token(
        &mut self,
        token: &Token,
        what: &str,
        min: u64,
        max: u64,
    ) -> Written<Duration> {
        let Some(parsed) = micros(token) else {
            self.bad_number(token, what);
            return None;
        };
        if parsed.rounded {
            self.report(
                Diagnostic::warning(
                    Language::Rounded,
                    format!("`{what}` has more than six decimals"),
                )
                .at(token.span, format!("read as {}", decimal(parsed.micros))),
            );
        }
        if !(min..=max).contains(&parsed.micros) {
            self.out_of_range(token, what, &decimal(min), &decimal(max));
            return None;
        }
        Some((Duration::from_micros(parsed.micros), token.span))
    }

    /// A word of at most so many bytes.
    pub(super) fn text(&mut self, item: &Item, keyword: &Keyword) -> Written<String> {
        let token = self.argument(item, keyword)?;
        if let Value::Text { max } = keyword.value
            && token.len() > max
        {
            self.too_long(token, keyword.name, max);
            return None;
        }
        Some((token.to_string(), token.span))
    }

    pub(super) fn too_long(&mut self, token: &Token, what: &str, max: usize) {
        self.report(
            Diagnostic::error(
                Language::TooLong,
                format!(
                    "`{}` is too long for `{what}`: {} bytes, not {max}",
                    &**token,
                    token.len()
                ),
            )
            .at(token.span, format!("at most {max} bytes"))
            .help("the line is ignored"),
        );
    }

    /// The name of an interface.
    pub(super) fn interface(&mut self, token: &Token, what: &str) -> Option<crate::model::Name> {
        if token.len() > 15 {
            self.too_long(token, what, 15);
            return None;
        }
        Some(crate::model::Name::new(&**token, token.span))
    }

    /// An IP address of the keyword's families.
    pub(super) fn ip(&mut self, item: &Item, keyword: &Keyword) -> Written<IpAddr> {
        let token = self.argument(item, keyword)?;
        let Value::Address { families } = keyword.value else { return None };
        self.ip_token(token, keyword.name, families)
    }

    pub(super) fn ip_token(
        &mut self,
        token: &Token,
        what: &str,
        families: &[u8],
    ) -> Written<IpAddr> {
        let family = |ip: &IpAddr| if ip.is_ipv4() { 4 } else { 6 };
        match super::literal::address(token) {
            Some(ip) if families.contains(&family(&ip)) => Some((ip, token.span)),
            Some(ip) => {
                self.report(
                    Diagnostic::error(
                        Language::BadAddress,
                        format!("`{what}` needs an IPv{} address", 10 - family(&ip)),
                    )
                    .at(token.span, format!("IPv{}", family(&ip)))
                    .help("the line is ignored"),
                );
                None
            }
            None => {
                self.bad_address(token, what);
                None
            }
        }
    }

    pub(super) fn bad_address(&mut self, token: &Token, what: &str) {
        let mut diagnostic = Diagnostic::error(
            Language::BadAddress,
            format!("`{}` is not an IP address for `{what}`", &**token),
        )
        .at(token.span, "not an address");
        let stripped = token.trim_end_matches([',', ';', '#', '!']);
        let bare = stripped.split_once('/').map_or(stripped, |(address, _)| address);
        if bare != &**token && bare.parse::<IpAddr>().is_ok() {
            diagnostic =
                diagnostic.help("only the address is wanted here").suggest(token.span, bare);
        }
        self.report(diagnostic.help("the line is ignored"));
    }

    /// An address with an optional prefix length. `Err` if it was reported.
    pub(super) fn network(
        &mut self,
        token: &Token,
        what: &str,
    ) -> Option<(crate::model::Network, bool)> {
        match parse_network(token) {
            Ok(found) => Some(found),
            Err(NetworkError::Address) => {
                self.bad_address(token, what);
                None
            }
            Err(NetworkError::Prefix { network, at }) => {
                let limit = if network.address.is_ipv4() { 32 } else { 128 };
                self.report(
                    Diagnostic::error(
                        Language::OutOfRange,
                        format!(
                            "`{}` is no prefix length of an {} address",
                            &token[at..],
                            network.family()
                        ),
                    )
                    .at(token.span.part(at, token.len() - at), format!("0 to {limit}"))
                    .help(format!("/{limit} is used")),
                );
                Some((network, true))
            }
        }
    }

    /// A number, or a name that stands for one.
    pub(super) fn named_number(&mut self, token: &Token, kind: NameKind, max: u32) -> Option<u32> {
        if let Some(number) = unsigned(token) {
            if number <= u64::from(max) {
                return u32::try_from(number).ok();
            }
            self.out_of_range(token, kind.word(), "0", &max.to_string());
            return None;
        }
        let found = self.names.lookup(kind, token).or_else(|| builtin(kind, token));
        if found.is_none_or(|number| number > max) {
            self.report(
                Diagnostic::error(
                    Language::UnknownName,
                    format!("there is no {} called `{}`", kind.word(), &**token),
                )
                .at(token.span, "unknown name")
                .help("a number always works")
                .help("the line is ignored"),
            );
            return None;
        }
        found
    }

    /// Reports a word that is not among those that are known.
    pub(super) fn unknown_word(
        &mut self,
        token: &Token,
        what: &str,
        known: &[&str],
        consequence: &str,
    ) {
        let mut diagnostic = Diagnostic::error(
            Language::UnknownWord,
            format!("`{}` is unknown to `{what}`", &**token),
        )
        .at(token.span, format!("one of {}", known.join(", ")))
        .help(consequence);
        let twin = known.iter().find(|k| {
            let token = token.trim_end_matches([',', ';']);
            k.eq_ignore_ascii_case(token)
        });
        if let Some(word) =
            twin.copied().or_else(|| crate::keywords::closest(token, known.iter().copied()))
        {
            diagnostic =
                diagnostic.help(format!("did you mean `{word}`?")).suggest(token.span, word);
        }
        self.report(diagnostic);
    }

    /// One of some words, by exact match.
    pub(super) fn choice<T: Copy>(
        &mut self,
        item: &Item,
        keyword: &Keyword,
        known: &[(&str, T)],
        consequence: &str,
    ) -> Written<T> {
        let token = self.argument(item, keyword)?;
        if let Some((_, value)) = known.iter().find(|(word, _)| *word == &**token) {
            return Some((*value, token.span));
        }
        let words: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
        self.unknown_word(token, keyword.name, &words, consequence);
        None
    }

    /// Reports a word of a line that is no option of such lines.
    pub(super) fn unknown_option(&mut self, token: &Token, options: BlockId, of: &str) {
        let mut diagnostic = Diagnostic::error(
            Language::UnknownOption,
            format!("unknown option `{}` of {of}", &**token),
        )
        .at(token.span, "ignored");
        if let Some((name, value)) = token.split_once('=')
            && block(options).find(name).is_some()
        {
            diagnostic = diagnostic
                .help("name and value are separated by white space here")
                .suggest(token.span, format!("{name} {value}"));
        } else if let Some(name) = crate::keywords::similar(block(options), token) {
            diagnostic =
                diagnostic.help(format!("did you mean `{name}`?")).suggest(token.span, name);
        }
        self.report(diagnostic);
    }

    /// An option of a line, looked up in the table.
    pub(super) fn option(&mut self, options: BlockId, token: &Token) -> Option<&'static Keyword> {
        let keyword = block(options).find(token)?;
        self.standing(keyword, token.span);
        self.note_acting(options, keyword, token.span);
        Some(keyword)
    }

    /// The value of an option of a line.
    pub(super) fn option_value<'i>(
        &mut self,
        words: &mut Words<'i>,
        keyword: &Keyword,
        name: &Token,
    ) -> Option<&'i Token> {
        let value = words.next();
        if value.is_none() {
            let end = Span { start: name.span.end, ..name.span };
            self.report(
                Diagnostic::error(
                    Language::MissingArgument,
                    format!("`{}` needs a value", keyword.name),
                )
                .at(end, format!("expected {}", keyword.grammar())),
            );
        }
        value
    }

    /// A name that was given before.
    pub(super) fn duplicate_name(&mut self, kind: &str, name: &Token, first: Span) {
        self.report(
            Diagnostic::error(
                Language::DuplicateName,
                format!("there is a `{kind} {}` already", &**name),
            )
            .at(name.span, "ignored")
            .also(first, "first defined here")
            .help("the second block is ignored; give it another name"),
        );
    }

    /// A setting that is dropped because of another.
    pub(super) fn conflict(
        &mut self,
        message: String,
        dropped: Option<Span>,
        because: Option<(Span, &str)>,
        help: &str,
    ) {
        let mut diagnostic = Diagnostic::warning(Language::Conflict, message).help(help);
        if let Some(span) = dropped {
            diagnostic = diagnostic.at(span, "dropped");
        }
        if let Some((span, text)) = because {
            diagnostic = match dropped {
                Some(_) => diagnostic.also(span, text),
                None => diagnostic.at(span, text),
            };
        }
        self.report(diagnostic);
    }
}

/// The words of a line, one after the other.
pub(super) struct Words<'i> {
    words: Vec<&'i Token>,
    next: usize,
}

impl<'i> Words<'i> {
    /// All words of an item.
    pub(super) fn of(item: &'i Item) -> Self {
        Self { words: item.words().collect(), next: 0 }
    }

    /// The words after the keyword.
    pub(super) fn after(item: &'i Item) -> Self {
        Self { words: item.args.iter().collect(), next: 0 }
    }

    pub(super) fn peek(&self) -> Option<&'i Token> {
        self.words.get(self.next).copied()
    }

    /// The next word if it is this one.
    pub(super) fn take(&mut self, word: &str) -> Option<&'i Token> {
        self.peek().filter(|t| &***t == word).inspect(|_| self.next += 1)
    }
}

impl<'i> Iterator for Words<'i> {
    type Item = &'i Token;

    fn next(&mut self) -> Option<&'i Token> {
        let token = self.peek()?;
        self.next += 1;
        Some(token)
    }
}

fn quoted(instead: &str) -> String {
    if instead.contains(' ') { instead.to_owned() } else { format!("`{instead}`") }
}

/// Whether two addresses are the same for the purpose of listing them twice.
pub(super) fn same_address(a: &Address, b: &Address) -> bool {
    a.ip() == b.ip() && a.interface == b.interface
}
