//! Lines of routes.

use std::net::IpAddr;
use std::time::Duration;

use super::context::{Context, NetworkError, Words, parse_network, unsigned, whole};
use super::names::NameKind;
use crate::diagnostic::{Diagnostic, Language};
use crate::keywords::{BlockId, Keyword};
use crate::model::route::{
    AddMode, Encap, Lockable, Nexthop, RouteMetrics, RouteType, RouterPreference,
};
use crate::model::{Family, Name, Network, Route};
use crate::tree::{Item, Token};

const NEXTHOP: [&str; 7] = ["via", "dev", "oif", "weight", "onlink", "encap", "realms"];

/// A route while its line is read.
struct Draft {
    route: Route,
    destination: Option<Network>,
    default: bool,
    family: Option<Family>,
    wrong: bool,
}

impl Context<'_> {
    /// One line; anything wrong drops it, because half a route is worse than none.
    pub(super) fn route(&mut self, item: &Item, is_static: bool) -> Option<Route> {
        let mut draft = Draft {
            route: empty(item),
            destination: None,
            default: false,
            family: None,
            wrong: false,
        };
        let mut words = Words::of(item);
        while let Some(word) = words.next() {
            self.route_word(&mut draft, word, &mut words, is_static);
        }
        self.finish_route(draft, item)
    }

    fn finish_route(&mut self, draft: Draft, item: &Item) -> Option<Route> {
        let Draft { mut route, destination, default, family, wrong } = draft;
        if wrong {
            return None;
        }
        let hinted = route
            .via
            .filter(|_| destination.is_none())
            .or(route.source)
            .or(route.nexthops.iter().find_map(|n| n.via))
            .map(|ip| Family::of(&ip));
        route.family = family
            .or(destination.map(|d| d.family()))
            .or(route.from.map(|f| f.family()))
            .or(hinted)
            .unwrap_or(Family::V4);
        route.destination = match destination {
            Some(destination) => destination,
            None if default => Network {
                address: match route.family {
                    Family::V4 => IpAddr::from([0; 4]),
                    Family::V6 => IpAddr::from([0u16; 8]),
                },
                prefix: 0,
            },
            None => {
                self.report(
                    Diagnostic::error(Language::BadSyntax, "the route has no destination")
                        .at(item.line_span, "ignored"),
                );
                return None;
            }
        };
        let mixed = [Some(route.destination.address), route.source, route.from.map(|n| n.address)]
            .into_iter()
            .flatten()
            .find(|ip| Family::of(ip) != route.family);
        if let Some(ip) = mixed {
            self.report(
                Diagnostic::error(
                    Language::FamilyMismatch,
                    format!("{ip} does not fit an {} route", route.family),
                )
                .at(item.line_span, "ignored"),
            );
            return None;
        }
        // With several ways, each has its own interface.
        if !route.nexthops.is_empty() {
            let interface = route.interface.take();
            for hop in &mut route.nexthops {
                hop.interface = hop.interface.take().or_else(|| interface.clone());
            }
        }
        Some(route)
    }

    fn route_word(
        &mut self,
        draft: &mut Draft,
        word: &Token,
        words: &mut Words<'_>,
        is_static: bool,
    ) {
        let Some(keyword) = self.option(BlockId::RouteOptions, word) else {
            self.route_destination(draft, word);
            return;
        };
        let route = &mut draft.route;
        match keyword.name {
            "unicast" => route.kind = RouteType::Unicast,
            "local" => route.kind = RouteType::Local,
            "broadcast" => route.kind = RouteType::Broadcast,
            "multicast" => route.kind = RouteType::Multicast,
            "throw" => route.kind = RouteType::Throw,
            "unreachable" => route.kind = RouteType::Unreachable,
            "prohibit" => route.kind = RouteType::Prohibit,
            "blackhole" => route.kind = RouteType::Blackhole,
            "nat" => route.kind = RouteType::Nat,
            "inet" => draft.family = Some(Family::V4),
            "inet6" => draft.family = Some(Family::V6),
            "onlink" => route.onlink = true,
            "no_track" => route.no_track = true,
            "add" => route.mode = AddMode::Add,
            "prepend" => route.mode = AddMode::Prepend,
            "append" => route.mode = AddMode::Append,
            "nexthop" => {
                let hop = self.nexthop(words, draft);
                draft.route.nexthops.extend(hop);
            }
            "via" | "gw" => {
                // The address says it too.
                let _ = words.take("inet6").or_else(|| words.take("inet"));
                let via = self.valued(draft, keyword, word, words, |cx, value| {
                    cx.ip_token(value, "via", &[4, 6]).map(|(ip, _)| ip)
                });
                draft.route.via = via;
            }
            "or" => {
                let via = self.valued(draft, keyword, word, words, |cx, value| {
                    cx.ip_token(value, "or", &[4, 6]).map(|(ip, _)| ip)
                });
                let hop = Nexthop { via, weight: 1, ..Nexthop::default() };
                let route = &mut draft.route;
                if route.nexthops.is_empty() {
                    let first = Nexthop { via: route.via.take(), weight: 1, ..Nexthop::default() };
                    route.nexthops.push(first);
                }
                route.nexthops.push(hop);
            }
            "encap" => {
                let encap = self.encap(words, word, &mut draft.wrong);
                draft.route.encap = encap;
            }
            "track_group" => {
                let name = self.valued(draft, keyword, word, words, |_, value| {
                    Some(Name::new(&**value, value.span))
                });
                if is_static {
                    draft.route.track_group = name;
                } else {
                    self.not_virtual(word);
                    draft.wrong = true;
                }
            }
            _ => self.route_value(draft, keyword, word, words),
        }
    }

    fn not_virtual(&mut self, word: &Token) {
        self.report(
            Diagnostic::error(
                Language::UnknownOption,
                format!("`{}` is an option of static lines only", &**word),
            )
            .at(word.span, "ignored"),
        );
    }

    fn route_destination(&mut self, draft: &mut Draft, word: &Token) {
        if draft.destination.is_some() || draft.default {
            self.unknown_option(word, BlockId::RouteOptions, "a route");
            draft.wrong = true;
            return;
        }
        match &**word {
            "default" | "any" | "all" => draft.default = true,
            "default6" => (draft.default, draft.family) = (true, Some(Family::V6)),
            _ => match self.route_network(word) {
                Some(network) => draft.destination = Some(network),
                None => draft.wrong = true,
            },
        }
    }

    /// A network; a missing prefix is a host.
    fn route_network(&mut self, token: &Token) -> Option<Network> {
        match parse_network(token) {
            Ok((network, _)) => Some(network),
            Err(NetworkError::Prefix { .. }) => self.network(token, "the route").map(|(n, _)| n),
            Err(NetworkError::Address) => {
                self.report(
                    Diagnostic::error(
                        Language::BadAddress,
                        format!("`{}` is no destination of a route", &**token),
                    )
                    .at(token.span, "not IP[/PREFIX] nor default")
                    .help("the line is ignored"),
                );
                None
            }
        }
    }

    /// The value of an option. A value that is missing or wrong spoils the route.
    fn valued<'i, T>(
        &mut self,
        draft: &mut Draft,
        keyword: &Keyword,
        word: &Token,
        words: &mut Words<'i>,
        read: impl FnOnce(&mut Self, &'i Token) -> Option<T>,
    ) -> Option<T> {
        let value = self.option_value(words, keyword, word).and_then(|value| read(self, value));
        draft.wrong |= value.is_none();
        value
    }

    fn route_value(
        &mut self,
        draft: &mut Draft,
        keyword: &Keyword,
        word: &Token,
        words: &mut Words<'_>,
    ) {
        const U32: i64 = u32::MAX as i64;
        let lock = words.take("lock").is_some();
        let Some(value) = self.option_value(words, keyword, word) else {
            draft.wrong = true;
            return;
        };
        let name = keyword.name;
        let number = |cx: &mut Self, min: i64, max: i64| {
            cx.integer_token(value, name, min, max).and_then(|(n, _)| u32::try_from(n).ok())
        };
        let metrics = &mut draft.route.metrics;
        let read = match name {
            "src" => {
                self.ip_token(value, name, &[4, 6]).map(|(ip, _)| draft.route.source = Some(ip))
            }
            "to" | "as" => {
                let token = if &**value == "to" { words.next().unwrap_or(value) } else { value };
                self.route_destination(draft, token);
                Some(())
            }
            "from" => self.route_network(value).map(|net| draft.route.from = Some(net)),
            "tos" | "dsfield" => self
                .named_number(value, NameKind::TypeOfService, 255)
                .map(|n| draft.route.tos = u8::try_from(n).ok()),
            "table" => self
                .named_number(value, NameKind::Table, u32::MAX)
                .map(|n| draft.route.table = Some(n)),
            "protocol" => self
                .named_number(value, NameKind::Protocol, 255)
                .map(|n| draft.route.protocol = u8::try_from(n).ok()),
            "scope" => self
                .named_number(value, NameKind::Scope, 255)
                .map(|n| draft.route.scope = u8::try_from(n).ok()),
            "metric" | "priority" | "preference" => {
                number(self, 0, U32).map(|n| draft.route.metric = Some(n))
            }
            "dev" | "oif" => self.interface(value, name).map(|n| draft.route.interface = Some(n)),
            "vrf" => self.interface(value, name).map(|n| draft.route.vrf = Some(n)),
            "expires" => number(self, 0, U32)
                .map(|n| draft.route.expires = Some(Duration::from_secs(n.into()))),
            "realms" => self.realms(value).map(|n| draft.route.realms = Some(n)),
            "pref" => {
                let known = ["low", "medium", "high"];
                let found = match &**value {
                    "low" => Some(RouterPreference::Low),
                    "medium" => Some(RouterPreference::Medium),
                    "high" => Some(RouterPreference::High),
                    _ => None,
                };
                if found.is_none() {
                    self.unknown_word(value, name, &known, "the line is ignored");
                }
                found.map(|p| draft.route.preference = Some(p))
            }
            "ttl-propagate" => match &**value {
                "enabled" | "disabled" => {
                    draft.route.ttl_propagate = Some(&**value == "enabled");
                    Some(())
                }
                _ => {
                    let known = ["enabled", "disabled"];
                    self.unknown_word(value, name, &known, "the line is ignored");
                    None
                }
            },
            "weight" => {
                self.unknown_option(word, BlockId::RouteOptions, "a route without nexthop");
                None
            }
            "quickack" => number(self, 0, 1).map(|n| metrics.quick_ack = Some(n == 1)),
            "fastopen_no_cookie" => {
                number(self, 0, 1).map(|n| metrics.fastopen_no_cookie = Some(n == 1))
            }
            "features" => {
                if &**value == "ecn" {
                    metrics.ecn = true;
                    Some(())
                } else {
                    self.unknown_word(value, name, &["ecn"], "the line is ignored");
                    None
                }
            }
            "congctl" => {
                metrics.congestion_control = Some((value.to_string(), lock));
                Some(())
            }
            "hoplimit" => number(self, 0, 255).map(|n| metrics.hop_limit = Some(n)),
            "window" => number(self, 0, U32).map(|n| metrics.window = Some(n)),
            "initcwnd" => number(self, 0, U32).map(|n| metrics.init_cwnd = Some(n)),
            "initrwnd" => number(self, 0, U32).map(|n| metrics.init_rwnd = Some(n)),
            "rtt" => self.millis(value, name, 8).map(|n| metrics.rtt = lockable(n, lock)),
            "rttvar" => self.millis(value, name, 4).map(|n| metrics.rtt_var = lockable(n, lock)),
            "rto_min" => self.millis(value, name, 1).map(|n| metrics.rto_min = lockable(n, lock)),
            _ => {
                let place = lockable_metric(metrics, name);
                number(self, 0, U32).map(|n| {
                    if let Some(place) = place {
                        *place = lockable(n, lock);
                    }
                })
            }
        };
        draft.wrong |= read.is_none();
    }

    /// A time in milliseconds, with an optional `ms` or `s`, in units of 1/`scale` ms. A bare
    /// number is in the kernel's unit already, as with `ip route`.
    fn millis(&mut self, token: &Token, what: &str, scale: u32) -> Option<u32> {
        let (digits, factor) = if let Some(digits) = token.strip_suffix("ms") {
            (digits, scale)
        } else if let Some(digits) = token.strip_suffix('s') {
            (digits, scale.saturating_mul(1000))
        } else {
            (&**token, 1)
        };
        let value = whole(digits)
            .ok()
            .and_then(|n| u32::try_from(n).ok())
            .and_then(|n| n.checked_mul(factor));
        if value.is_none() {
            self.bad_number(token, what);
        }
        value
    }

    /// `[SOURCE/]DESTINATION`, the source in the upper half.
    pub(super) fn realms(&mut self, token: &Token) -> Option<u32> {
        let one = |cx: &mut Self, text: &str| {
            let part = Token { text: text.into(), span: token.span, quoted: false };
            cx.named_number(&part, NameKind::Realm, 0xffff)
        };
        match token.split_once('/') {
            Some((source, destination)) => {
                Some((one(self, source)? << 16) | one(self, destination)?)
            }
            None => one(self, token),
        }
    }

    fn nexthop(&mut self, words: &mut Words<'_>, draft: &mut Draft) -> Option<Nexthop> {
        let mut hop = Nexthop { weight: 1, ..Nexthop::default() };
        while let Some(next) = words.peek() {
            if !NEXTHOP.contains(&&**next) {
                break;
            }
            words.next();
            let keyword = self.option(BlockId::RouteOptions, next)?;
            match keyword.name {
                "onlink" => hop.onlink = true,
                "encap" => hop.encap = self.encap(words, next, &mut draft.wrong),
                "via" => {
                    let _ = words.take("inet6").or_else(|| words.take("inet"));
                    hop.via = self.valued(draft, keyword, next, words, |cx, value| {
                        cx.ip_token(value, "via", &[4, 6]).map(|(ip, _)| ip)
                    });
                }
                "dev" | "oif" => {
                    hop.interface = self.valued(draft, keyword, next, words, |cx, value| {
                        cx.interface(value, "dev")
                    });
                }
                "weight" => {
                    let weight = self.valued(draft, keyword, next, words, |cx, value| {
                        cx.integer_token(value, "weight", 1, 256)
                    });
                    hop.weight = weight.and_then(|(w, _)| u16::try_from(w).ok()).unwrap_or(1);
                }
                _ => {
                    hop.realms = self.valued(draft, keyword, next, words, Self::realms);
                }
            }
        }
        if hop.via.is_none() && hop.interface.is_none() && !draft.wrong {
            self.report(
                Diagnostic::error(Language::BadSyntax, "a nexthop needs `via` or `dev`")
                    .at(draft.route.span, "ignored"),
            );
            draft.wrong = true;
        }
        Some(hop)
    }

    fn encap(&mut self, words: &mut Words<'_>, word: &Token, wrong: &mut bool) -> Option<Encap> {
        let Some(kind) = words.next() else {
            *wrong = true;
            self.report(
                Diagnostic::error(Language::MissingArgument, "`encap` needs a kind")
                    .at(word.span, "ip, ip6, mpls or ila"),
            );
            return None;
        };
        let encap = match &**kind {
            "ip" => self.ip_encap(words, Family::V4),
            "ip6" => self.ip_encap(words, Family::V6),
            "mpls" => self.mpls(words),
            "ila" => words
                .next()
                .and_then(|token| self.locator(token))
                .map(|locator| Encap::Ila { locator }),
            _ => {
                let known = ["ip", "ip6", "mpls", "ila"];
                self.unknown_word(kind, "encap", &known, "the line is ignored");
                None
            }
        };
        *wrong |= encap.is_none();
        encap
    }

    fn locator(&mut self, token: &Token) -> Option<u64> {
        let groups: Vec<&str> = token.split(':').collect();
        let value = groups.iter().try_fold(0u64, |acc, group| {
            u16::from_str_radix(group, 16).ok().map(|g| (acc << 16) | u64::from(g))
        });
        if groups.len() != 4 || value.is_none() {
            self.report(
                Diagnostic::error(Language::BadSyntax, format!("`{}` is no locator", &**token))
                    .at(token.span, "four groups of hexadecimal digits"),
            );
            return None;
        }
        value
    }

    fn mpls(&mut self, words: &mut Words<'_>) -> Option<Encap> {
        let token = words.next()?;
        let mut labels = Vec::new();
        for label in token.split('/') {
            match unsigned(label).and_then(|n| u32::try_from(n).ok()).filter(|n| *n < 1 << 20) {
                Some(label) => labels.push(label),
                None => {
                    self.report(
                        Diagnostic::error(
                            Language::BadSyntax,
                            format!("`{label}` is no MPLS label"),
                        )
                        .at(token.span, "20 bits"),
                    );
                    return None;
                }
            }
        }
        let ttl = match words.take("ttl") {
            Some(_) => {
                let (ttl, _) = self.integer_token(words.next()?, "ttl", 0, 255)?;
                u8::try_from(ttl).ok()
            }
            None => None,
        };
        Some(Encap::Mpls { labels, ttl })
    }

    fn ip_encap(&mut self, words: &mut Words<'_>, family: Family) -> Option<Encap> {
        let (mut id, mut destination, mut source) = (None, None, None);
        let (mut tos, mut ttl, mut flags) = (None, None, None);
        let families: &[u8] = if family == Family::V4 { &[4] } else { &[6] };
        while let Some(word) = words.peek() {
            let known = ["id", "dst", "src", "tos", "tc", "ttl", "hoplimit", "flags"];
            if !known.contains(&&**word) {
                break;
            }
            words.next();
            let keyword = self.option(BlockId::EncapOptions, word)?;
            let value = self.option_value(words, keyword, word)?;
            match keyword.name {
                "id" => id = Some(self.integer_token(value, "id", 0, i64::MAX)?.0.unsigned_abs()),
                "dst" => destination = Some(self.ip_token(value, "dst", families)?.0),
                "src" => source = Some(self.ip_token(value, "src", families)?.0),
                "flags" => {
                    let (number, _) = self.integer_token(value, "flags", 0, 65_535)?;
                    flags = u16::try_from(number).ok();
                }
                name => {
                    let (number, _) = self.integer_token(value, name, 0, 255)?;
                    let number = u8::try_from(number).ok();
                    if matches!(name, "tos" | "tc") { tos = number } else { ttl = number }
                }
            }
        }
        Some(Encap::Ip { family, id, destination, source, tos, ttl, flags })
    }
}

fn lockable(value: u32, lock: bool) -> Option<Lockable> {
    Some(Lockable { value, lock })
}

fn lockable_metric<'m>(
    metrics: &'m mut RouteMetrics,
    name: &str,
) -> Option<&'m mut Option<Lockable>> {
    match name {
        "mtu" => Some(&mut metrics.mtu),
        "advmss" => Some(&mut metrics.adv_mss),
        "reordering" => Some(&mut metrics.reordering),
        "cwnd" => Some(&mut metrics.cwnd),
        "ssthresh" => Some(&mut metrics.ssthresh),
        _ => None,
    }
}

fn empty(item: &Item) -> Route {
    Route {
        kind: RouteType::Unicast,
        family: Family::V4,
        destination: Network::host(IpAddr::from([0; 4])),
        source: None,
        from: None,
        via: None,
        interface: None,
        onlink: false,
        encap: None,
        nexthops: Vec::new(),
        table: None,
        vrf: None,
        tos: None,
        protocol: None,
        scope: None,
        metric: None,
        realms: None,
        expires: None,
        preference: None,
        ttl_propagate: None,
        metrics: RouteMetrics::default(),
        mode: AddMode::Prepend,
        no_track: false,
        track_group: None,
        span: item.line_span,
    }
}
