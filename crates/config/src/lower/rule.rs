//! Lines of policy rules.

use std::ops::RangeInclusive;

use super::context::{Context, Words, parse_network, unsigned};
use super::names::NameKind;
use crate::diagnostic::{Diagnostic, Language};
use crate::keywords::{BlockId, Keyword};
use crate::model::rule::RuleAction;
use crate::model::{Family, Name, Network, Rule};
use crate::tree::{Item, Token};

/// Counts down the priorities of rules that have none.
pub(super) struct RulePriorities(u32);

impl Default for RulePriorities {
    fn default() -> Self {
        Self(16_384)
    }
}

impl RulePriorities {
    fn next(&mut self) -> u32 {
        let priority = self.0;
        self.0 = self.0.saturating_sub(1);
        priority
    }
}

/// A rule while its line is read.
struct Draft {
    rule: Rule,
    family: Option<Family>,
    priority: Option<u32>,
    action: Option<RuleAction>,
    wrong: bool,
}

impl Context<'_> {
    /// One line; anything wrong drops it, because half a rule is worse than none.
    pub(super) fn rule(
        &mut self,
        item: &Item,
        is_static: bool,
        priorities: &mut RulePriorities,
    ) -> Option<Rule> {
        let mut draft =
            Draft { rule: empty(item), family: None, priority: None, action: None, wrong: false };
        let mut words = Words::of(item);
        while let Some(word) = words.next() {
            self.rule_word(&mut draft, word, &mut words, is_static);
        }
        let Draft { mut rule, family, priority, action, wrong } = draft;
        if wrong {
            return None;
        }
        let nets = || [rule.from, rule.to].into_iter().flatten();
        rule.family = family.or_else(|| nets().next().map(|n| n.family())).unwrap_or(Family::V4);
        if let Some(net) = nets().find(|n| n.family() != rule.family) {
            self.report(
                Diagnostic::error(
                    Language::FamilyMismatch,
                    format!("{net} does not fit an {} rule", rule.family),
                )
                .at(item.line_span, "ignored"),
            );
            return None;
        }
        match (action, rule.l3mdev) {
            (Some(action), false) => rule.action = action,
            (None, true) => rule.action = RuleAction::Lookup(0),
            (Some(RuleAction::Lookup(_)), true) => {
                self.report(
                    Diagnostic::error(
                        Language::Conflict,
                        "a rule looks up a table or that of the device, not both",
                    )
                    .at(item.line_span, "ignored"),
                );
                return None;
            }
            (Some(action), true) => rule.action = action,
            (None, false) => {
                self.report(
                    Diagnostic::error(Language::BadSyntax, "the rule does not say what to do")
                        .at(item.line_span, "ignored")
                        .help("add `table N`, or blackhole, unreachable, prohibit, goto N"),
                );
                return None;
            }
        }
        if let RuleAction::Goto(target) = rule.action
            && priority.is_some_and(|own| target <= own)
        {
            self.report(
                Diagnostic::error(Language::Conflict, "`goto` leads forward only")
                    .at(item.line_span, "ignored"),
            );
            return None;
        }
        match priority {
            Some(priority) => rule.priority = priority,
            None => {
                rule.priority = priorities.next();
                rule.priority_assigned = true;
                self.report(
                    Diagnostic::warning(Language::AssignedPriority, "the rule has no priority")
                        .at(item.line_span, format!("gets {}", rule.priority))
                        .help("write `priority N`: the order of rules decides what they do"),
                );
            }
        }
        Some(rule)
    }

    fn rule_word(
        &mut self,
        draft: &mut Draft,
        word: &Token,
        words: &mut Words<'_>,
        is_static: bool,
    ) {
        let Some(keyword) = self.option(BlockId::RuleOptions, word) else {
            self.unknown_option(word, BlockId::RuleOptions, "a rule");
            draft.wrong = true;
            return;
        };
        let rule = &mut draft.rule;
        match keyword.name {
            "not" => rule.invert = true,
            "inet" => draft.family = Some(Family::V4),
            "inet6" => draft.family = Some(Family::V6),
            "l3mdev" => rule.l3mdev = true,
            "no_track" => rule.no_track = true,
            "nop" => draft.action = Some(RuleAction::Nop),
            "blackhole" => draft.action = Some(RuleAction::Blackhole),
            "prohibit" => draft.action = Some(RuleAction::Prohibit),
            "unreachable" => draft.action = Some(RuleAction::Unreachable),
            _ => {
                let Some(value) = self.option_value(words, keyword, word) else {
                    draft.wrong = true;
                    return;
                };
                if self.rule_value(draft, keyword, value).is_none() {
                    draft.wrong = true;
                }
                if keyword.name == "track_group" && !is_static {
                    draft.rule.track_group = None;
                    self.report(
                        Diagnostic::error(
                            Language::UnknownOption,
                            "`track_group` is an option of static lines only",
                        )
                        .at(word.span, "ignored"),
                    );
                }
            }
        }
    }

    fn rule_value(&mut self, draft: &mut Draft, keyword: &Keyword, value: &Token) -> Option<()> {
        const U32: i64 = u32::MAX as i64;
        let rule = &mut draft.rule;
        let name = keyword.name;
        let number = |cx: &mut Self, max: i64| {
            cx.integer_token(value, name, 0, max).and_then(|(n, _)| u32::try_from(n).ok())
        };
        match name {
            "from" => rule.from = self.rule_network(value)?,
            "to" => rule.to = self.rule_network(value)?,
            "iif" | "dev" => rule.iif = Some(self.interface(value, name)?),
            "oif" => rule.oif = Some(self.interface(value, name)?),
            "tos" | "dsfield" => {
                let tos = self.named_number(value, NameKind::TypeOfService, 255)?;
                rule.tos = u8::try_from(tos).ok();
            }
            "fwmark" => rule.fwmark = Some(self.mark(value)?),
            "priority" | "preference" | "order" => draft.priority = Some(number(self, U32)?),
            "table" | "lookup" => {
                let table = self.named_number(value, NameKind::Table, u32::MAX)?;
                draft.action = Some(RuleAction::Lookup(table));
            }
            "realms" => rule.realms = Some(self.realms(value)?),
            "suppress_prefixlength" | "sup_pl" => {
                rule.suppress_prefix_length = Some(number(self, 128)?);
            }
            "suppress_ifgroup" | "sup_group" => {
                rule.suppress_if_group =
                    Some(self.named_number(value, NameKind::Group, u32::MAX)?);
            }
            "tunnel-id" => {
                let (id, _) = self.integer_token(value, name, 0, i64::MAX)?;
                rule.tunnel_id = Some(id.unsigned_abs());
            }
            "uidrange" => rule.uid_range = Some(self.range(value, name, u32::MAX, false)?),
            "protocol" => {
                let protocol = self.named_number(value, NameKind::Protocol, 255)?;
                rule.protocol = u8::try_from(protocol).ok();
            }
            "ipproto" | "ip_proto" => {
                let protocol = self.named_number(value, NameKind::IpProtocol, 255)?;
                rule.ip_protocol = u8::try_from(protocol).ok();
            }
            "sport" => rule.source_ports = Some(self.ports(value, name)?),
            "dport" => rule.destination_ports = Some(self.ports(value, name)?),
            "goto" => draft.action = Some(RuleAction::Goto(number(self, U32)?)),
            "track_group" => rule.track_group = Some(Name::new(&**value, value.span)),
            _ => return None,
        }
        Some(())
    }

    /// `all`, `any`, `default`, or a network. The inner `None` is everything.
    fn rule_network(&mut self, token: &Token) -> Option<Option<Network>> {
        if matches!(&**token, "all" | "any" | "default") {
            return Some(None);
        }
        match parse_network(token) {
            Ok((network, _)) => Some(Some(network)),
            Err(_) => {
                self.report(
                    Diagnostic::error(
                        Language::BadAddress,
                        format!("`{}` is no network", &**token),
                    )
                    .at(token.span, "not IP[/PREFIX]")
                    .help("the line is ignored"),
                );
                None
            }
        }
    }

    /// `N[/MASK]`, decimal or hexadecimal.
    fn mark(&mut self, token: &Token) -> Option<(u32, u32)> {
        let (mark, mask) = token.split_once('/').unwrap_or((token, "0xffffffff"));
        let number = |text| unsigned(text).and_then(|n| u32::try_from(n).ok());
        let found = number(mark).zip(number(mask));
        if found.is_none() {
            self.bad_number(token, "fwmark");
        }
        found
    }

    fn ports(&mut self, token: &Token, what: &str) -> Option<RangeInclusive<u16>> {
        let range = self.range(token, what, 65_535, true)?;
        let port = |n: &u32| u16::try_from(*n).ok();
        Some(port(range.start())?..=port(range.end())?)
    }

    /// `FIRST-LAST`; a single number where `single` allows it.
    fn range(
        &mut self,
        token: &Token,
        what: &str,
        max: u32,
        single: bool,
    ) -> Option<RangeInclusive<u32>> {
        let number =
            |text| unsigned(text).and_then(|n| u32::try_from(n).ok()).filter(|n| *n <= max);
        let found = match token.split_once('-') {
            Some((first, last)) => number(first).zip(number(last)),
            None if single => number(token).map(|n| (n, n)),
            None => None,
        };
        match found {
            Some((first, last)) if first <= last => Some(first..=last),
            _ => {
                self.report(
                    Diagnostic::error(
                        Language::BadSyntax,
                        format!("`{what}` needs a range, not `{}`", &**token),
                    )
                    .at(token.span, "FIRST-LAST")
                    .help("the line is ignored"),
                );
                None
            }
        }
    }
}

fn empty(item: &Item) -> Rule {
    Rule {
        family: Family::V4,
        invert: false,
        from: None,
        to: None,
        iif: None,
        oif: None,
        tos: None,
        fwmark: None,
        priority: 0,
        priority_assigned: false,
        realms: None,
        suppress_prefix_length: None,
        suppress_if_group: None,
        tunnel_id: None,
        uid_range: None,
        l3mdev: false,
        protocol: None,
        ip_protocol: None,
        source_ports: None,
        destination_ports: None,
        action: RuleAction::Nop,
        no_track: false,
        track_group: None,
        span: item.line_span,
    }
}
