//! `bfd_instance`.

use std::net::IpAddr;
use std::time::Duration;

use super::context::{Context, Written, or_default};
use crate::diagnostic::{Diagnostic, Language};
use crate::keywords::{BlockId, Keyword};
use crate::model::{BfdInstance, Name, Weight};
use crate::tree::Item;

/// Bytes of a name that Keepalived has room for.
const NAME_MAX: usize = 31;

impl Context<'_> {
    /// Milliseconds in the keyword's range.
    fn millis_of(&mut self, item: &Item, keyword: &Keyword) -> Written<Duration> {
        let (ms, span) = self.integer(item, keyword)?;
        Some((Duration::from_millis(ms.unsigned_abs()), span))
    }

    /// A `bfd_instance` block.
    pub(super) fn bfd(
        &mut self,
        block: &Item,
        name: Name,
        others: &[BfdInstance],
    ) -> Option<BfdInstance> {
        if name.len() > NAME_MAX {
            if let Some(token) = block.args.first() {
                self.too_long(token, "bfd_instance", NAME_MAX);
            }
            return None;
        }
        let (mut neighbor, mut source): (Written<IpAddr>, Written<IpAddr>) = (None, None);
        let (mut min_rx, mut min_tx, mut idle_tx) = (None, None, None);
        let (mut multiplier, mut ttl, mut max_hops) = (None, None, None);
        let (mut passive, mut multihop, mut weight) = (false, false, None);
        let (mut to_vrrp, mut to_checkers) = (false, false);
        for item in block.items() {
            let Some(keyword) = self.keyword(BlockId::BfdInstance, item) else { continue };
            match keyword.name {
                "neighbor_ip" | "neighbour_ip" => neighbor = self.ip(item, keyword).or(neighbor),
                "source_ip" => source = self.ip(item, keyword).or(source),
                "min_rx" => min_rx = self.millis_of(item, keyword).or(min_rx),
                "min_tx" => min_tx = self.millis_of(item, keyword).or(min_tx),
                "idle_tx" => idle_tx = self.millis_of(item, keyword).or(idle_tx),
                "multiplier" => multiplier = self.number(item, keyword).or(multiplier),
                "passive" => passive = true,
                "ttl" | "hoplimit" => ttl = self.number(item, keyword).or(ttl),
                "max_hops" => max_hops = self.number(item, keyword).or(max_hops),
                "multihop" => {
                    multihop = self.boolean(item, keyword).map_or(multihop, |(on, _)| on);
                }
                "weight" => weight = self.weight(&item.args, item, keyword, 253).or(weight),
                "vrrp" => to_vrrp = true,
                "checker" => to_checkers = true,
                _ => self.unhandled(keyword, item),
            }
        }
        let Some((neighbor, neighbor_span)) = neighbor else {
            self.report(
                Diagnostic::error(
                    Language::Incomplete,
                    format!("`bfd_instance {name}` has no `neighbor_ip`"),
                )
                .at(block.line_span, "not used"),
            );
            return None;
        };
        if let Some((ip, span)) = source
            && ip.is_ipv4() != neighbor.is_ipv4()
        {
            self.report(
                Diagnostic::error(
                    Language::FamilyMismatch,
                    format!("`bfd_instance {name}` mixes IPv4 and IPv6"),
                )
                .at(span, "not used")
                .also(neighbor_span, "the other family"),
            );
            return None;
        }
        let source = source.map(|(ip, _)| ip);
        let twin = others.iter().find(|o| (o.neighbor, o.source) == (neighbor, source));
        if let Some(twin) = twin {
            self.report(
                Diagnostic::error(
                    Language::DuplicateEntry,
                    format!("`bfd_instance {}` has the same addresses", twin.name),
                )
                .at(neighbor_span, "not used")
                .also(twin.name.span, "this one is used")
                .unnoticed(),
            );
            return None;
        }
        let neither = !to_vrrp && !to_checkers;
        Some(BfdInstance {
            name,
            neighbor,
            source,
            min_rx: or_default(&min_rx, Duration::from_millis(10)),
            min_tx: or_default(&min_tx, Duration::from_millis(10)),
            idle_tx: or_default(&idle_tx, Duration::from_secs(1)),
            multiplier: or_default(&multiplier, 5),
            passive,
            ttl: or_default(&ttl, if neighbor.is_ipv4() { 255 } else { 64 }),
            max_hops: or_default(&max_hops, 0),
            multihop,
            weight: or_default(&weight, Weight::default()),
            to_vrrp: to_vrrp || neither,
            to_checkers: to_checkers || neither,
        })
    }
}
