//! `url` of web checks.

use super::checker::{plain, status_range};
use super::context::{Context, unsigned};
use crate::diagnostic::{Diagnostic, Language};
use crate::keywords::{BlockId, Keyword};
use crate::model::checker::{Regex, Url};
use crate::tree::Item;

/// Options of PCRE2 that `regex_options` knows.
const OPTIONS: [&str; 25] = [
    "allow_empty_class",
    "alt_bsux",
    "auto_callout",
    "caseless",
    "dollar_endonly",
    "dotall",
    "dupnames",
    "extended",
    "extended_more",
    "firstline",
    "match_unset_backref",
    "multiline",
    "never_ucp",
    "never_utf",
    "no_auto_capture",
    "no_auto_possess",
    "no_dotstar_anchor",
    "no_start_optimize",
    "ucp",
    "ungreedy",
    "utf",
    "never_backslash_c",
    "alt_circumflex",
    "alt_verbnames",
    "use_offset_limit",
];

impl Context<'_> {
    /// A `url` block.
    pub(super) fn url(&mut self, block: &Item) -> Option<Url> {
        let mut url = Url {
            path: String::new(),
            digest: None,
            status: Vec::new(),
            virtualhost: None,
            regex: None,
            tls_compliant: None,
        };
        let mut regex = Regex {
            pattern: String::new(),
            negate: false,
            options: Vec::new(),
            min_offset: 0,
            max_offset: None,
            stack: None,
        };
        let (mut path, mut pattern, mut belongs) = (None, None, None);
        for item in block.items() {
            let Some(keyword) = self.keyword(BlockId::Url, item) else { continue };
            match keyword.name {
                "path" => path = plain(self.text(item, keyword)).or(path),
                "digest" => url.digest = self.digest(item, keyword).or(url.digest),
                "status_code" => self.status(&mut url.status, item, keyword),
                "virtualhost" => url.virtualhost = plain(self.text(item, keyword)),
                "tls_compliant" => url.tls_compliant = plain(self.boolean(item, keyword)),
                "regex" => pattern = plain(self.text(item, keyword)).or(pattern),
                name => {
                    belongs.get_or_insert(item.keyword.span);
                    match name {
                        "regex_no_match" => regex.negate = true,
                        "regex_options" => self.regex_options(&mut regex.options, item, keyword),
                        "regex_min_offset" => {
                            let read = self.integer(item, keyword);
                            regex.min_offset = read.map_or(0, |(n, _)| n.unsigned_abs());
                        }
                        "regex_max_offset" => {
                            let read = self.integer(item, keyword);
                            regex.max_offset = read.map(|(n, _)| n.unsigned_abs());
                        }
                        "regex_stack" => regex.stack = self.stack(item, keyword),
                        _ => self.unhandled(keyword, item),
                    }
                }
            }
        }
        url.path = path.unwrap_or_else(|| "/".to_owned());
        url.regex = match (pattern, belongs) {
            (Some(pattern), _) => Some(Box::new(Regex { pattern, ..regex })),
            (None, Some(span)) => {
                self.report(
                    Diagnostic::error(
                        Language::Incomplete,
                        "there are options of a regex, and no `regex`",
                    )
                    .at(span, "ignored"),
                );
                None
            }
            (None, None) => None,
        };
        Some(url)
    }

    fn digest(&mut self, item: &Item, keyword: &Keyword) -> Option<[u8; 16]> {
        let token = self.argument(item, keyword)?;
        let number = (token.len() == 32 && token.bytes().all(|b| b.is_ascii_hexdigit()))
            .then(|| u128::from_str_radix(token, 16).ok())
            .flatten();
        if number.is_none() {
            self.report(
                Diagnostic::error(
                    Language::BadSyntax,
                    "`digest` takes the 32 hexadecimal digits that genhash prints",
                )
                .at(token.span, format!("{} characters", token.chars().count())),
            );
        }
        number.map(u128::to_be_bytes)
    }

    fn status(&mut self, status: &mut Vec<(u16, u16)>, item: &Item, keyword: &Keyword) {
        if self.argument(item, keyword).is_none() {
            return;
        }
        for token in &item.args {
            match status_range(token) {
                Some(range) => status.push(range),
                None => self.report(
                    Diagnostic::error(
                        Language::OutOfRange,
                        format!("`{}` is no status code", &**token),
                    )
                    .at(token.span, "100 to 599, or a range such as 200-299"),
                ),
            }
        }
    }

    fn regex_options(&mut self, options: &mut Vec<String>, item: &Item, keyword: &Keyword) {
        if self.argument(item, keyword).is_none() {
            return;
        }
        for token in &item.args {
            if OPTIONS.contains(&&**token) {
                options.push(token.to_string());
            } else {
                self.unknown_word(token, keyword.name, &OPTIONS, "the word is ignored");
            }
        }
    }

    fn stack(&mut self, item: &Item, keyword: &Keyword) -> Option<(u64, u64)> {
        let first = self.argument(item, keyword)?;
        let Some(second) = item.args.get(1) else {
            self.missing(item, keyword);
            return None;
        };
        match (unsigned(first), unsigned(second)) {
            (Some(start), Some(max)) if 0 < start && start <= max => Some((start, max)),
            _ => {
                self.report(
                    Diagnostic::error(
                        Language::OutOfRange,
                        "`regex_stack` takes a first and a greatest size in bytes",
                    )
                    .at(first.span.to(second.span), "the line is ignored"),
                );
                None
            }
        }
    }
}
