//! `vrrp_script`, `vrrp_track_process`, `track_file`, and the lists that refer to them.

use std::path::PathBuf;
use std::time::Duration;

use rustc_hash::FxHashMap;
use smol_str::SmolStr;

use super::context::{Context, Words, Written, or_default, whole};
use super::server_group;
use crate::diagnostic::{Diagnostic, Language};
use crate::keywords::{BlockId, Keyword, Value};
use crate::model::track::{InitFile, ParamMatch};
use crate::model::{
    Family, Name, Setting, TrackFile, TrackProcess, TrackScript, Tracked, VirtualServerGroup,
    Weight,
};
use crate::source::Span;
use crate::tree::{Item, Token};

/// What can be referred to by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Script,
    File,
    Process,
    Bfd,
    Instance,
    Group,
}

impl Kind {
    pub(super) const fn keyword(self) -> &'static str {
        match self {
            Self::Script => "vrrp_script",
            Self::File => "track_file",
            Self::Process => "vrrp_track_process",
            Self::Bfd => "bfd_instance",
            Self::Instance => "vrrp_instance",
            Self::Group => "virtual_server_group",
        }
    }
}

/// A name that is defined, with the weight that its users inherit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Definition {
    pub(super) span: Span,
    pub(super) weight: Setting<Weight>,
}

/// The names that have been defined so far, and all that the file defines anywhere.
#[derive(Default)]
pub(super) struct Names {
    seen: FxHashMap<(Kind, SmolStr), Definition>,
    anywhere: FxHashMap<(Kind, SmolStr), Span>,
    /// Blocks that were named, and turned out to be void.
    void: FxHashMap<(Kind, SmolStr), Span>,
    /// The families of groups of virtual servers that say theirs.
    families: FxHashMap<SmolStr, Family>,
}

impl Names {
    /// Looks through the root level for every definition.
    pub(super) fn scan(items: &[Item]) -> Self {
        let mut names = Self::default();
        for item in items {
            let kind = match &*item.keyword {
                "vrrp_script" => Kind::Script,
                "track_file" | "vrrp_track_file" => Kind::File,
                "vrrp_track_process" => Kind::Process,
                "bfd_instance" => Kind::Bfd,
                "vrrp_instance" => Kind::Instance,
                "virtual_server_group" => Kind::Group,
                _ => continue,
            };
            if let Some(name) = item.args.first() {
                names.anywhere.entry((kind, name.text.clone())).or_insert(name.span);
            }
        }
        names
    }

    pub(super) fn defined(&self, kind: Kind, name: &str) -> Option<&Definition> {
        self.seen.get(&(kind, name.into()))
    }

    /// Whether the name is defined anywhere in the file.
    pub(super) fn later(&self, kind: Kind, name: &str) -> bool {
        self.anywhere.contains_key(&(kind, name.into()))
    }

    pub(super) fn define(&mut self, kind: Kind, name: &Name, weight: Setting<Weight>) {
        let definition = Definition { span: name.span, weight };
        self.seen.insert((kind, name.text.as_str().into()), definition);
    }

    pub(super) fn define_family(&mut self, group: &VirtualServerGroup) {
        if let Some(family) = server_group::family(group) {
            self.families.insert(group.name.text.as_str().into(), family);
        }
    }

    pub(super) fn family_of_group(&self, name: &str) -> Option<Family> {
        self.families.get(name).copied()
    }

    pub(super) fn void(&mut self, kind: Kind, name: &Token) {
        self.void.insert((kind, name.text.clone()), name.span);
    }
}

impl Context<'_> {
    /// The definition behind a reference. Reports one that is missing or comes later.
    pub(super) fn find(&mut self, names: &Names, kind: Kind, token: &Token) -> Option<Definition> {
        if let Some(definition) = names.defined(kind, token) {
            return Some(*definition);
        }
        let key = (kind, token.text.clone());
        let keyword = kind.keyword();
        let diagnostic = if let Some(span) = names.void.get(&key) {
            Diagnostic::error(
                Language::UnknownName,
                format!("`{keyword} {}` is not usable", &**token),
            )
            .at(token.span, "ignored")
            .also(*span, "this block is void")
        } else if let Some(span) = names.anywhere.get(&key) {
            Diagnostic::error(
                Language::DefinedLater,
                format!("`{keyword} {}` is defined further down", &**token),
            )
            .at(token.span, "used here, and ignored")
            .also(*span, "defined here")
            .help("Keepalived reads from top to bottom: move the definition up")
        } else {
            let known = names.anywhere.keys().filter(|(k, _)| *k == kind).map(|(_, n)| &**n);
            let mut known: Vec<&str> = known.collect();
            known.sort_unstable();
            let mut diagnostic = Diagnostic::error(
                Language::UnknownName,
                format!("there is no `{keyword} {}`", &**token),
            )
            .at(token.span, "ignored");
            match crate::keywords::closest(token, known.iter().copied()) {
                Some(name) => {
                    diagnostic = diagnostic
                        .help(format!("did you mean `{name}`?"))
                        .suggest(token.span, name);
                    if let Some(span) = names.anywhere.get(&(kind, name.into())) {
                        diagnostic = diagnostic.also(*span, "this one has a similar name");
                    }
                }
                None => {
                    diagnostic = diagnostic
                        .help(format!("define it above with `{keyword} {} {{ … }}`", &**token));
                }
            }
            diagnostic
        };
        self.report(diagnostic);
        None
    }

    /// The name of a block; reports one that is missing or taken.
    pub(super) fn block_name(
        &mut self,
        item: &Item,
        keyword: &Keyword,
        names: &Names,
        kind: Kind,
    ) -> Option<Name> {
        let Some(token) = item.args.first() else {
            self.missing(item, keyword);
            return None;
        };
        if let Some(extra) = item.args.get(1) {
            let last = item.args.last().unwrap_or(extra);
            self.report(
                Diagnostic::warning(
                    Language::ExtraWords,
                    format!("`{}` takes one name", keyword.name),
                )
                .at(extra.span.to(last.span), "ignored")
                .unnoticed(),
            );
        }
        if let Some(first) = names.defined(kind, token) {
            self.duplicate_name(kind.keyword(), token, first.span);
            return None;
        }
        Some(Name::new(&**token, token.span))
    }

    /// `NUMBER [reverse|noreverse]`.
    pub(super) fn weight(
        &mut self,
        words: &[Token],
        item: &Item,
        keyword: &Keyword,
        most: i64,
    ) -> Written<Weight> {
        let Some(token) = words.first() else {
            self.missing(item, keyword);
            return None;
        };
        let (value, span) = self.integer_token(token, "weight", -most, most)?;
        let mut reverse = false;
        for word in &words[1..] {
            match &**word {
                "reverse" => reverse = true,
                "noreverse" | "no_reverse" => reverse = false,
                _ => self.unknown_option(word, BlockId::TrackOptions, "`weight`"),
            }
        }
        i16::try_from(value).ok().map(|value| (Weight { value, reverse }, span))
    }

    pub(super) fn script(&mut self, block: &Item, name: Name) -> Option<TrackScript> {
        let mut script = None;
        let (mut interval, mut timeout) = (None, None);
        let (mut weight, mut rise, mut fall) = (None, None, None);
        let (mut user, mut init_fail) = (None, false);
        for item in block.items() {
            let Some(keyword) = self.keyword(BlockId::VrrpScript, item) else { continue };
            match keyword.name {
                "script" => script = self.bare_command(item, keyword).or(script),
                "interval" => interval = self.seconds(item, keyword).or(interval),
                "timeout" => timeout = self.seconds(item, keyword).or(timeout),
                "weight" => weight = self.weight(&item.args, item, keyword, 253).or(weight),
                "rise" => rise = self.repeat(item, keyword).or(rise),
                "fall" => fall = self.repeat(item, keyword).or(fall),
                "user" => {
                    if self.argument(item, keyword).is_some() {
                        user = self.user(&item.args);
                    }
                }
                "init_fail" => init_fail = true,
                _ => self.unhandled(keyword, item),
            }
        }
        let Some(mut command) = script else {
            self.incomplete(block, "vrrp_script", &name, "script");
            return None;
        };
        command.user = user;
        let interval = or_default(&interval, Duration::from_secs(1));
        Some(TrackScript {
            name,
            script: command,
            interval,
            timeout: or_default(&timeout, interval.value),
            weight: or_default(&weight, Weight::default()),
            rise: or_default(&rise, 1),
            fall: or_default(&fall, 1),
            init_fail,
        })
    }

    fn incomplete(&mut self, block: &Item, kind: &str, name: &Name, what: &str) {
        self.report(
            Diagnostic::error(Language::Incomplete, format!("`{kind} {name}` has no `{what}`"))
                .at(block.line_span, "not used"),
        );
    }

    pub(super) fn process(&mut self, block: &Item, name: Name) -> Option<TrackProcess> {
        let mut words: Vec<String> = Vec::new();
        let mut param_match = None;
        let (mut weight, mut quorum, mut quorum_max) = (None, None, None);
        let (mut terminate, mut fork, mut full_command) = (None, None, false);
        for item in block.items() {
            let Some(keyword) = self.keyword(BlockId::VrrpTrackProcess, item) else { continue };
            match keyword.name {
                "process" => {
                    if self.argument(item, keyword).is_some() {
                        words = item.args.iter().map(|t| t.to_string()).collect();
                        let quoted = item.args.first().is_some_and(|t| t.quoted);
                        // "name argument …" in one pair of quotes is common too.
                        if words.len() == 1 && !quoted {
                            words = words[0].split_whitespace().map(str::to_owned).collect();
                        }
                    }
                }
                "param_match" => param_match = Some(self.param_match(item)),
                "weight" => weight = self.weight(&item.args, item, keyword, 254).or(weight),
                "quorum" => quorum = self.number(item, keyword).or(quorum),
                "quorum_max" => quorum_max = self.number(item, keyword).or(quorum_max),
                "delay" => {
                    if let Some(delay) = self.seconds(item, keyword) {
                        (terminate, fork) = (Some(delay), Some(delay));
                    }
                }
                "terminate_delay" => terminate = self.seconds(item, keyword).or(terminate),
                "fork_delay" => fork = self.seconds(item, keyword).or(fork),
                "full_command" => full_command = true,
                _ => self.unhandled(keyword, item),
            }
        }
        if words.is_empty() {
            self.incomplete(block, "vrrp_track_process", &name, "process");
            return None;
        }
        let quorum: Setting<u32> = or_default(&quorum, 1);
        let quorum_max = or_default(&quorum_max.map(|(n, span): (u32, _)| (Some(n), span)), None);
        // "None may run" needs no least number.
        let quorum = match (quorum_max.value, quorum.is_default()) {
            (Some(0), true) => Setting::default_of(0),
            _ => quorum,
        };
        if let Some(most) = quorum_max.value.filter(|most| *most < quorum.value) {
            self.report(
                Diagnostic::error(
                    Language::Conflict,
                    format!("`quorum` {} is above `quorum_max` {most}", quorum.value),
                )
                .at(block.line_span, "not used"),
            );
            return None;
        }
        let params = words.split_off(1);
        Some(TrackProcess {
            name,
            process: words.remove(0),
            params,
            param_match,
            weight: or_default(&weight, Weight::default()),
            quorum,
            quorum_max,
            terminate_delay: or_default(&terminate, Duration::ZERO),
            fork_delay: or_default(&fork, Duration::ZERO),
            full_command,
        })
    }

    fn param_match(&mut self, item: &Item) -> ParamMatch {
        match item.args.first() {
            None => ParamMatch::Exact,
            Some(word) if &**word == "initial" => ParamMatch::Initial,
            Some(word) if &**word == "partial" => ParamMatch::Partial,
            Some(word) => {
                let known = ["initial", "partial"];
                self.unknown_word(word, "param_match", &known, "all arguments are compared");
                ParamMatch::Exact
            }
        }
    }

    pub(super) fn file(&mut self, block: &Item, name: Name) -> Option<TrackFile> {
        let (mut path, mut weight, mut init) = (None, None, None);
        for item in block.items() {
            let Some(keyword) = self.keyword(BlockId::TrackFile, item) else { continue };
            match keyword.name {
                "file" => path = self.path(item, keyword).or(path),
                "weight" => weight = self.weight(&item.args, item, keyword, 254).or(weight),
                "init_file" => init = self.init_file(item).or(init),
                _ => self.unhandled(keyword, item),
            }
        }
        let Some((path, _)): Written<PathBuf> = path else {
            self.incomplete(block, "track_file", &name, "file");
            return None;
        };
        let one = Weight { value: 1, reverse: false };
        Some(TrackFile { name, path, weight: or_default(&weight, one), init })
    }

    fn init_file(&mut self, item: &Item) -> Option<InitFile> {
        let mut init = InitFile { value: 0, overwrite: false };
        for word in &item.args {
            match (&**word, whole(word)) {
                ("overwrite", _) => init.overwrite = true,
                (_, Ok(value)) => init.value = value,
                _ => {
                    self.bad_number(word, "init_file");
                    return None;
                }
            }
        }
        Some(init)
    }

    /// One of the `track_…` lists.
    pub(super) fn references(
        &mut self,
        block: &Item,
        names: &Names,
        kind: Option<Kind>,
        list: &mut Vec<Tracked>,
    ) {
        let title = &*block.keyword;
        for item in block.items() {
            let token = &item.keyword;
            let inherited = match kind {
                Some(kind) => match self.find(names, kind, token) {
                    Some(definition) => definition.weight,
                    None => continue,
                },
                None => {
                    if self.interface(token, title).is_none() {
                        continue;
                    }
                    Setting::default_of(Weight::default())
                }
            };
            let weight = self.reference_weight(item, kind, &inherited);
            if let Some(old) = list.iter().find(|t| t.name == *token.text) {
                let first = old.name.span;
                self.report(
                    Diagnostic::error(
                        Language::DuplicateEntry,
                        format!("`{}` is listed twice in `{title}`", &**token),
                    )
                    .at(token.span, "ignored")
                    .also(first, "first listed here"),
                );
                continue;
            }
            list.push(Tracked { name: Name::new(&**token, token.span), weight });
        }
    }

    fn reference_weight(
        &mut self,
        item: &Item,
        kind: Option<Kind>,
        inherited: &Setting<Weight>,
    ) -> Setting<Weight> {
        let most = match kind {
            Some(Kind::File | Kind::Process) => 254,
            _ => 253,
        };
        let mut words = Words::after(item);
        let mut value: Written<i64> = None;
        let mut reverse: Written<bool> = None;
        while let Some(word) = words.next() {
            let Some(keyword) = self.option(BlockId::TrackOptions, word) else {
                self.unknown_option(word, BlockId::TrackOptions, "a tracked thing");
                continue;
            };
            match (keyword.name, keyword.value) {
                ("weight", Value::Int { .. }) => {
                    if let Some(number) = self.option_value(&mut words, keyword, word) {
                        value = self.integer_token(number, "weight", -most, most).or(value);
                    }
                }
                ("reverse", _) => reverse = Some((true, word.span)),
                _ => reverse = Some((false, word.span)),
            }
        }
        let Some(span) = value.map(|(_, span)| span).or(reverse.map(|(_, span)| span)) else {
            return match inherited.span() {
                Some(span) => Setting::inherited(inherited.value, span),
                None => *inherited,
            };
        };
        let weight = Weight {
            value: value.and_then(|(v, _)| i16::try_from(v).ok()).unwrap_or(inherited.value.value),
            reverse: match reverse {
                Some((reverse, _)) => reverse,
                None => value.is_none() && inherited.value.reverse,
            },
        };
        Setting::written(weight, span)
    }
}
