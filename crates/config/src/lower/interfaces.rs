//! `linkbeat_interfaces`, `interface_up_down_delays`, `garp_group`, and arguments that concern
//! announcements.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::context::{Context, Written, micros, whole};
use crate::diagnostic::{Diagnostic, Language};
use crate::keywords::{BlockId, Keyword, decimal};
use crate::model::interfaces::LinkbeatMethod;
use crate::model::{GarpGroup, InterfaceDelay, Linkbeat};
use crate::tree::Item;

impl Context<'_> {
    /// A path.
    pub(super) fn path(&mut self, item: &Item, keyword: &Keyword) -> Written<PathBuf> {
        let token = self.argument(item, keyword)?;
        Some((PathBuf::from(&**token), token.span))
    }

    /// A gap between announcements; 0 is complained about, as there is none by default anyway.
    pub(super) fn gap(&mut self, item: &Item, keyword: &Keyword) -> Written<Duration> {
        let token = self.argument(item, keyword)?;
        if micros(token).is_some_and(|m| m.micros == 0) {
            self.report(
                Diagnostic::error(Language::OutOfRange, format!("`{}` cannot be 0", keyword.name))
                    .at(token.span, "more than 0")
                    .help("there is no gap anyway unless one is written; leave the line out"),
            );
            return None;
        }
        self.seconds(item, keyword)
    }

    /// A number of repetitions; 0 becomes 1.
    pub(super) fn repeat(&mut self, item: &Item, keyword: &Keyword) -> Written<u32> {
        let token = self.argument(item, keyword)?;
        if whole(token).is_ok_and(|n| n == 0) {
            self.report(
                Diagnostic::error(Language::OutOfRange, format!("`{}` cannot be 0", keyword.name))
                    .at(token.span, "1 is used"),
            );
            return Some((1, token.span));
        }
        self.number(item, keyword)
    }

    /// A number that may be left out.
    pub(super) fn optional_number(
        &mut self,
        item: &Item,
        keyword: &Keyword,
        min: i64,
        max: i64,
        absent: i64,
    ) -> Written<i64> {
        match item.args.first() {
            None => Some((absent, item.keyword.span)),
            Some(token) => self.integer_token(token, keyword.name, min, max),
        }
    }

    /// A multicast address.
    pub(super) fn multicast(&mut self, item: &Item, keyword: &Keyword) -> Written<IpAddr> {
        let (ip, span) = self.ip(item, keyword)?;
        if ip.is_multicast() {
            return Some((ip, span));
        }
        self.report(
            Diagnostic::error(
                Language::BadAddress,
                format!("`{}` needs a multicast address", keyword.name),
            )
            .at(span, "not a multicast address")
            .help("the line is ignored"),
        );
        None
    }

    /// A keyword that the table declares and nobody reads: a mistake of ours that the tests find.
    pub(super) fn unhandled(&mut self, keyword: &Keyword, item: &Item) {
        debug_assert!(false, "keyword {} is declared and not read", keyword.name);
        self.report(
            Diagnostic::advice(Language::NoEffect, format!("`{}` is not read", keyword.name))
                .at(item.keyword.span, ""),
        );
    }
}

pub(super) fn linkbeat(cx: &mut Context<'_>, items: &[Item]) -> Vec<Linkbeat> {
    let mut list = Vec::new();
    for item in items {
        let Some(interface) = cx.interface(&item.keyword, "linkbeat_interfaces") else { continue };
        let method = item.args.first().and_then(|word| {
            let known = ["MII", "ETHTOOL", "IOCTL"];
            match word.to_ascii_uppercase().as_str() {
                "MII" => Some(LinkbeatMethod::Mii),
                "ETHTOOL" => Some(LinkbeatMethod::Ethtool),
                "IOCTL" => Some(LinkbeatMethod::Ioctl),
                _ => {
                    let consequence = "all three are tried";
                    cx.unknown_word(word, "linkbeat_interfaces", &known, consequence);
                    None
                }
            }
        });
        list.push(Linkbeat { interface, method });
    }
    list
}

/// 255 s, in microseconds.
const DELAY_MAX: u64 = 255_000_000;

pub(super) fn delays(cx: &mut Context<'_>, items: &[Item], list: &mut Vec<InterfaceDelay>) {
    const WHAT: &str = "interface_up_down_delays";
    for item in items {
        let Some(interface) = cx.interface(&item.keyword, WHAT) else { continue };
        let Some(first) = item.args.first() else {
            cx.report(
                Diagnostic::error(Language::BadSyntax, "the delay is missing")
                    .at(item.end(), "expected DOWN [UP] in seconds")
                    .help("the line is ignored"),
            );
            continue;
        };
        let Some((down, _)) = cx.seconds_token(first, WHAT, 0, DELAY_MAX) else { continue };
        let up = match item.args.get(1) {
            None => Duration::ZERO,
            Some(token) => match cx.seconds_token(token, WHAT, 0, DELAY_MAX) {
                Some((up, _)) => up,
                None => continue,
            },
        };
        if let Some(old) = list.iter().find(|d| d.interface == interface) {
            cx.report(
                Diagnostic::error(
                    Language::DuplicateEntry,
                    format!("there are delays for `{interface}` already"),
                )
                .at(interface.span, "ignored")
                .also(old.interface.span, "first written here"),
            );
            continue;
        }
        list.push(InterfaceDelay { interface, down, up });
    }
}

pub(super) fn garp_group(cx: &mut Context<'_>, group: &Item) -> Option<GarpGroup> {
    let mut found = GarpGroup {
        garp_interval: Duration::ZERO,
        gna_interval: Duration::ZERO,
        interfaces: Vec::new(),
    };
    for item in group.items() {
        let Some(keyword) = cx.keyword(BlockId::GarpGroup, item) else { continue };
        match keyword.name {
            "garp_interval" => {
                found.garp_interval =
                    cx.gap(item, keyword).map_or(found.garp_interval, |(gap, _)| gap);
            }
            "gna_interval" => {
                found.gna_interval =
                    cx.gap(item, keyword).map_or(found.gna_interval, |(gap, _)| gap);
            }
            "interface" => {
                if let Some(token) = cx.argument(item, keyword) {
                    found.interfaces.extend(cx.interface(token, keyword.name));
                }
            }
            "interfaces" => {
                for token in item.items().iter().flat_map(Item::words) {
                    found.interfaces.extend(cx.interface(token, keyword.name));
                }
            }
            _ => cx.unhandled(keyword, item),
        }
    }
    if found.interfaces.is_empty()
        || (found.garp_interval, found.gna_interval) == Default::default()
    {
        let what = if found.interfaces.is_empty() { "interface" } else { "interval" };
        cx.report(
            Diagnostic::error(Language::Incomplete, format!("the garp_group has no {what}"))
                .at(group.keyword.span, "not used")
                .help(format!(
                    "give it garp_interval or gna_interval (up to {} s), and interface or interfaces",
                    decimal(u64::from(u32::MAX))
                )),
        );
        return None;
    }
    Some(found)
}
