//! `SSL`, `virtual_server_group`, and `virtual_server`.

use std::collections::hash_map::Entry;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rustc_hash::{FxBuildHasher, FxHashMap};

use super::checker::CheckerDraft;
use super::context::{Context, Written, or_default, unsigned};
use super::server::{Inherited, ServerDraft};
use super::track::{Kind, Names};
use crate::diagnostic::{Diagnostic, Language};
use crate::keywords::{BlockId, Keyword};
use crate::model::balancer::{
    Forwarding, Host, Protocol, Scheduler, SchedulerFlags, Service, SorryServer, VsSpan,
};
use crate::model::{Command, Family, Global, Model, Name, Secret, Setting, Ssl, VirtualServer};
use crate::source::Span;
use crate::tree::{Item, Token};

/// 31 days, which is all that IPVS can count.
const PERSISTENCE_MAX: i64 = 31 * 24 * 3600;

/// What persistence lasts if nothing says how long.
const PERSISTENCE_DEFAULT: Duration = Duration::from_secs(360);

/// A `virtual_server` as it is written.
struct Draft {
    service: Service,
    family: Option<Family>,
    scheduler: Written<Scheduler>,
    flags: SchedulerFlags,
    forwarding: Written<Forwarding>,
    one_packet: Option<Span>,
    persistence_engine: Option<String>,
    persistence_timeout: Option<Duration>,
    persistence_granularity: Option<u8>,
    protocol: Written<Protocol>,
    ha_suspend: bool,
    alpha: bool,
    omega: bool,
    quorum: Written<u32>,
    hysteresis: Written<u32>,
    quorum_up: Option<Box<Command>>,
    quorum_down: Option<Box<Command>>,
    weight: Written<u32>,
    inhibit: Written<bool>,
    sorry: Option<(SocketAddr, Span)>,
    sorry_inhibit: bool,
    sorry_forwarding: Written<Forwarding>,
    inherited: Inherited,
    servers: Vec<ServerDraft>,
    /// Those of all servers, one server's after the other's.
    checkers: Vec<CheckerDraft>,
    span: Span,
}

impl Draft {
    fn new(service: Service, span: Span) -> Self {
        Self {
            service,
            family: None,
            scheduler: None,
            flags: SchedulerFlags::default(),
            forwarding: None,
            one_packet: None,
            persistence_engine: None,
            persistence_timeout: None,
            persistence_granularity: None,
            protocol: None,
            ha_suspend: false,
            alpha: false,
            omega: false,
            quorum: None,
            hysteresis: None,
            quorum_up: None,
            quorum_down: None,
            weight: None,
            inhibit: None,
            sorry: None,
            sorry_inhibit: false,
            sorry_forwarding: None,
            inherited: Inherited::default(),
            servers: Vec::new(),
            checkers: Vec::new(),
            span,
        }
    }
}

impl Context<'_> {
    /// An `SSL` block.
    pub(super) fn ssl(&mut self, block: &Item) -> Ssl {
        let mut ssl = Ssl::default();
        for item in block.items() {
            let Some(keyword) = self.keyword(BlockId::Ssl, item) else { continue };
            if keyword.name == "verify" {
                ssl.verify = super::checker::plain(self.boolean(item, keyword)).or(ssl.verify);
                continue;
            }
            let Some(token) = self.argument(item, keyword) else { continue };
            match keyword.name {
                "password" => ssl.password = Some(Secret::new(token.as_bytes())),
                "ca" => ssl.ca = Some(token.to_string().into()),
                "certificate" => ssl.certificate = Some(token.to_string().into()),
                "key" => ssl.key = Some(token.to_string().into()),
                _ => self.unhandled(keyword, item),
            }
        }
        ssl
    }

    pub(super) fn port(&mut self, token: &Token, least: i64) -> Option<u16> {
        let (port, _) = self.integer_token(token, "port", least, 65_535)?;
        u16::try_from(port).ok()
    }

    pub(super) fn family_word(&mut self, word: &Token) -> Option<Family> {
        match &**word {
            "inet" => Some(Family::V4),
            "inet6" => Some(Family::V6),
            _ => {
                let known = ["inet", "inet6"];
                self.unknown_word(word, "the family", &known, "the line is ignored");
                None
            }
        }
    }

    pub(super) fn mark_number(&mut self, token: Option<&Token>, at: Span) -> Option<u32> {
        let Some(token) = token else {
            self.report(
                Diagnostic::fatal(Language::MissingArgument, "`fwmark` needs a number")
                    .at(Span { start: at.end, ..at }, "expected a number"),
            );
            return None;
        };
        let (mark, _) = self.integer_token(token, "fwmark", 1, u32::MAX.into())?;
        u32::try_from(mark).ok()
    }

    /// A `virtual_server` block.
    pub(super) fn virtual_server(
        &mut self,
        block: &Item,
        keyword: &Keyword,
        names: &Names,
        model: &Model,
    ) -> Option<VirtualServer> {
        let service = self.service(block, keyword, names);
        let span = block.line_span;
        // What is inside is read even if the head is wrong, so that all findings are told.
        let readable = service.is_some();
        let mut draft = Draft::new(service.unwrap_or(Service::FwMark(0)), span);
        draft.servers.reserve_exact(block.items().len());
        for item in block.items() {
            let Some(keyword) = self.keyword(BlockId::VirtualServer, item) else { continue };
            let handled = self.scheduling(&mut draft, item, keyword)
                || self.availability(&mut draft, item, keyword)
                || self.servers(&mut draft, item, keyword, names, model);
            if !handled && !self.inherited(&mut draft.inherited, item, keyword) {
                self.unhandled(keyword, item);
            }
        }
        readable.then(|| self.finish_service(draft, names, model))?
    }

    fn service(&mut self, block: &Item, keyword: &Keyword, names: &Names) -> Option<Service> {
        let first = self.argument(block, keyword)?;
        match &**first {
            "fwmark" => self.mark_number(block.args.get(1), first.span).map(Service::FwMark),
            "group" => {
                let Some(name) = block.args.get(1) else {
                    self.missing(block, keyword);
                    return None;
                };
                let before = self.diagnostics.len();
                let found = self.find(names, Kind::Group, name);
                // Keepalived looks groups up at the end and says nothing about one it misses.
                let reported = self.diagnostics.drain(before..).collect::<Vec<_>>();
                let later = names.later(Kind::Group, name);
                if found.is_none() && !later {
                    self.diagnostics.extend(reported.into_iter().map(Diagnostic::unnoticed));
                    return None;
                }
                Some(Service::Group(Name::new(&**name, name.span)))
            }
            _ => self.endpoint(&block.args).map(Service::Address),
        }
    }

    /// `IP [PORT]`; port 0 if it is not written.
    pub(super) fn endpoint(&mut self, words: &[Token]) -> Option<SocketAddr> {
        let token = words.first()?;
        let (ip, _) = self.ip_token(token, "the address", &[4, 6])?;
        self.endpoint_at(ip, words)
    }

    /// What follows the address.
    pub(super) fn endpoint_at(&mut self, ip: IpAddr, words: &[Token]) -> Option<SocketAddr> {
        let port = match words.get(1) {
            None => 0,
            Some(token) => self.port(token, 0)?,
        };
        if let Some(extra) = words.get(2) {
            self.report(
                Diagnostic::warning(Language::ExtraWords, "an address and a port are enough")
                    .at(extra.span, "ignored")
                    .unnoticed(),
            );
        }
        Some(SocketAddr::new(ip, port))
    }

    fn scheduling(&mut self, d: &mut Draft, item: &Item, keyword: &Keyword) -> bool {
        match keyword.name {
            "ip_family" => {
                if let Some(word) = self.argument(item, keyword) {
                    d.family = self.family_word(word).or(d.family);
                }
            }
            "lb_algo" | "lvs_sched" => {
                let known = Scheduler::ALL.map(|s| (s.name(), s));
                let read = self.choice(item, keyword, &known, "wlc is used");
                // A wrong one has been reported, and is not missing as well.
                let fallback = item.args.first().map(|token| (Scheduler::Wlc, token.span));
                d.scheduler = read.or(d.scheduler).or(fallback);
            }
            "lb_kind" | "lvs_method" => {
                let fallback = item.args.first().map(|token| (Forwarding::Nat, token.span));
                d.forwarding = self.forwarding(item, keyword).or(d.forwarding).or(fallback);
            }
            "hashed" | "sh-port" | "sh-fallback" | "mh-port" | "mh-fallback" => {
                self.scheduler_flag(d, item, keyword);
            }
            "flag-1" => d.flags.flag1 = true,
            "flag-2" => d.flags.flag2 = true,
            "flag-3" => d.flags.flag3 = true,
            "ops" => d.one_packet = Some(item.keyword.span),
            "persistence_engine" => {
                d.persistence_engine = self.text(item, keyword).map(|(text, _)| text);
            }
            "persistence_timeout" => {
                let read = self.optional_number(item, keyword, 1, PERSISTENCE_MAX, 360);
                if let Some((seconds, _)) = read {
                    d.persistence_timeout = Some(Duration::from_secs(seconds.unsigned_abs()));
                }
            }
            "persistence_granularity" => {
                d.persistence_granularity = self.granularity(item, keyword);
                if d.persistence_granularity.is_some() {
                    d.persistence_timeout.get_or_insert(PERSISTENCE_DEFAULT);
                }
            }
            "protocol" => {
                if let Some(token) = self.argument(item, keyword) {
                    let known = ["TCP", "UDP", "SCTP"];
                    let protocols = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp];
                    let place = known.iter().position(|name| token.eq_ignore_ascii_case(name));
                    let protocol = place.map(|place| protocols[place]);
                    if protocol.is_none() {
                        self.unknown_word(token, keyword.name, &known, "UDP is used");
                    }
                    let fallback = Some((Protocol::Udp, token.span));
                    d.protocol = protocol.map(|p| (p, token.span)).or(d.protocol).or(fallback);
                }
            }
            _ => return false,
        }
        true
    }

    /// A flag that belongs to one scheduler, which must be chosen above.
    fn scheduler_flag(&mut self, d: &mut Draft, item: &Item, keyword: &Keyword) {
        let chosen = d.scheduler.map(|(s, _)| s);
        let fits = match keyword.name {
            "hashed" => matches!(chosen, Some(Scheduler::Sh | Scheduler::Mh)),
            name if name.starts_with("sh-") => chosen == Some(Scheduler::Sh),
            _ => chosen == Some(Scheduler::Mh),
        };
        if !fits {
            let scheduler = if keyword.name.starts_with("mh") { "mh" } else { "sh" };
            self.report(
                Diagnostic::error(
                    Language::Conflict,
                    format!("`{}` belongs to the scheduler {scheduler}", keyword.name),
                )
                .at(item.keyword.span, "ignored")
                .help(format!("it must come after `lb_algo {scheduler}`")),
            );
        } else if keyword.name.ends_with("fallback") {
            d.flags.flag1 = true;
        } else if keyword.name.ends_with("port") {
            d.flags.flag2 = true;
        }
    }

    fn granularity(&mut self, item: &Item, keyword: &Keyword) -> Option<u8> {
        let token = self.argument(item, keyword)?;
        let prefix = match token.parse::<std::net::Ipv4Addr>() {
            Ok(mask) => {
                let bits = u32::from(mask);
                let ones = bits.leading_ones();
                (bits.count_ones() == ones && ones > 0).then_some(ones)
            }
            Err(_) => {
                unsigned(token).filter(|n| (1..=128).contains(n)).and_then(|n| n.try_into().ok())
            }
        };
        let prefix = prefix.and_then(|p| u8::try_from(p).ok());
        if prefix.is_none() {
            self.report(
                Diagnostic::error(
                    Language::BadAddress,
                    format!("`{}` is neither a mask nor a prefix length", &**token),
                )
                .at(token.span, "ignored")
                .unnoticed(),
            );
        }
        prefix
    }

    fn availability(&mut self, d: &mut Draft, item: &Item, keyword: &Keyword) -> bool {
        match keyword.name {
            "ha_suspend" => d.ha_suspend = true,
            "alpha" => d.alpha = true,
            "omega" => d.omega = true,
            "quorum" => d.quorum = self.number(item, keyword).or(d.quorum),
            "hysteresis" => d.hysteresis = self.number(item, keyword).or(d.hysteresis),
            "quorum_up" => d.quorum_up = self.command(item, keyword).map(Box::new),
            "quorum_down" => d.quorum_down = self.command(item, keyword).map(Box::new),
            "weight" => d.weight = self.number(item, keyword).or(d.weight),
            "inhibit_on_failure" => d.inhibit = self.boolean(item, keyword).or(d.inhibit),
            "sorry_server" => {
                if self.argument(item, keyword).is_some() {
                    let read = self.endpoint(&item.args);
                    d.sorry = read.map(|address| (address, item.line_span)).or(d.sorry);
                }
            }
            name @ ("sorry_server_inhibit" | "sorry_server_lvs_method") => {
                if d.sorry.is_none() {
                    self.report(
                        Diagnostic::error(
                            Language::Conflict,
                            format!("`{name}` comes without a `sorry_server` above it"),
                        )
                        .at(item.keyword.span, "ignored"),
                    );
                } else if name == "sorry_server_inhibit" {
                    d.sorry_inhibit = true;
                } else {
                    d.sorry_forwarding = self.forwarding(item, keyword).or(d.sorry_forwarding);
                }
            }
            _ => return false,
        }
        true
    }

    fn servers(
        &mut self,
        d: &mut Draft,
        item: &Item,
        keyword: &Keyword,
        names: &Names,
        model: &Model,
    ) -> bool {
        if keyword.name != "real_server" {
            return false;
        }
        if self.argument(item, keyword).is_some() {
            let server = self.real_server(item, names, model, &mut d.checkers);
            d.servers.extend(server);
        }
        true
    }

    fn finish_service(&mut self, d: Draft, names: &Names, model: &Model) -> Option<VirtualServer> {
        let title = Title(&d.service);
        let mark = matches!(d.service, Service::FwMark(_));
        if d.servers.is_empty() {
            self.report(
                Diagnostic::error(Language::Incomplete, format!("{title} has no real servers"))
                    .at(d.span, "not used"),
            );
            return None;
        }
        let family = self.family_of(&d, names);
        let protocol = self.protocol(&d, mark, title);
        let scheduler = self.defaulted(&d.scheduler, Scheduler::Wlc, d.span, title, "lb_algo wlc");
        let forwarding =
            self.defaulted(&d.forwarding, Forwarding::Nat, d.span, title, "lb_kind NAT");
        let persistence_timeout = self.port_zero(&d, title);
        let one_packet = self.one_packet(&d, protocol.value, mark);
        let as_user = |command: Option<Box<Command>>| {
            command.map(|mut c| {
                c.user = c.user.or_else(|| model.global.script_user.clone());
                c
            })
        };
        let weight = or_default(&d.weight, 1);
        let context = super::server::Above {
            service: &d.service,
            title,
            family,
            forwarding: forwarding.value,
            weight,
            inhibit: d.inhibit.is_some_and(|(on, _)| on),
            alpha: d.alpha,
            smtp_alert: checker_alert(&None, &model.global, true).value,
            inherited: &d.inherited,
            global: &model.global,
        };
        let mut real_servers = Vec::with_capacity(d.servers.len());
        let mut seen: FxHashMap<(Host, u16), Span> =
            FxHashMap::with_capacity_and_hasher(d.servers.len(), FxBuildHasher);
        let mut checkers = d.checkers.into_iter();
        for draft in d.servers {
            let own = checkers.by_ref().take(draft.checkers);
            let Some(server) = self.finish_server(draft, own, &context) else { continue };
            match seen.entry((server.host.clone(), server.port)) {
                Entry::Vacant(place) => {
                    place.insert(server.span.0);
                    real_servers.push(server);
                }
                Entry::Occupied(first) => self.report(
                    Diagnostic::error(
                        Language::DuplicateEntry,
                        format!(
                            "{title} has the real server {} {} twice",
                            server.host, server.port
                        ),
                    )
                    .at(server.span.0, "not used")
                    .also(*first.get(), "this one is used"),
                ),
            }
        }
        if real_servers.is_empty() {
            self.report(
                Diagnostic::error(
                    Language::Incomplete,
                    format!("{title} has no usable real server"),
                )
                .at(d.span, "not used"),
            );
            return None;
        }
        // How many servers a name is, nobody knows yet.
        let named = real_servers.iter().any(|s| s.address().is_none());
        let total = match named {
            true => u32::MAX,
            false => real_servers.iter().fold(0u32, |sum, s| sum.saturating_add(s.weight.value)),
        };
        let quorum = self.quorum(&d.quorum, total, title);
        let hysteresis = self.hysteresis(&d.hysteresis, &quorum, title);
        let smtp_alert = checker_alert(&d.inherited.smtp_alert, &model.global, false);
        Some(VirtualServer {
            family,
            delay_loop: or_default(&d.inherited.delay_loop, Duration::from_secs(60)),
            scheduler,
            scheduler_flags: d.flags,
            forwarding,
            one_packet,
            // An engine needs something that persists.
            persistence_engine: d.persistence_engine.filter(|_| persistence_timeout.is_some()),
            persistence_timeout,
            persistence_granularity: d.persistence_granularity,
            protocol,
            ha_suspend: d.ha_suspend,
            smtp_alert,
            virtualhost: d.inherited.virtualhost,
            snmp_name: d.inherited.snmp_name,
            alpha: d.alpha,
            omega: d.omega,
            quorum,
            hysteresis,
            quorum_up: as_user(d.quorum_up),
            quorum_down: as_user(d.quorum_down),
            sorry_server: d.sorry.map(|(address, _)| {
                Box::new(SorryServer {
                    address,
                    inhibit: d.sorry_inhibit,
                    forwarding: or_default(&d.sorry_forwarding, forwarding.value),
                })
            }),
            real_servers,
            span: VsSpan(d.span),
            service: d.service,
        })
    }

    fn family_of(&mut self, d: &Draft, names: &Names) -> Family {
        let own = match &d.service {
            Service::Address(address) => Some(Family::of(&address.ip())),
            Service::Group(name) => names.family_of_group(name),
            Service::FwMark(_) => None,
        };
        if let (Some(own), Some(written)) = (own, d.family)
            && own != written
        {
            self.report(
                Diagnostic::error(
                    Language::FamilyMismatch,
                    format!("`ip_family` says {written}, and the service is {own}"),
                )
                .at(d.span, format!("{own} is used")),
            );
        }
        own.or(d.family).or(d.servers.iter().find_map(ServerDraft::family)).unwrap_or(Family::V4)
    }

    fn protocol(&mut self, d: &Draft, mark: bool, title: Title<'_>) -> Setting<Protocol> {
        match (&d.protocol, mark) {
            (Some((_, span)), true) => {
                self.report(
                    Diagnostic::warning(
                        Language::NoEffect,
                        "a service by firewall mark has no protocol",
                    )
                    .at(*span, "ignored"),
                );
                Setting::default()
            }
            (Some((protocol, span)), false) => Setting::written(*protocol, *span),
            (None, true) => Setting::default(),
            (None, false) => {
                self.report(
                    Diagnostic::warning(
                        Language::DefaultUsed,
                        format!("{title} does not say its protocol"),
                    )
                    .at(d.span, "UDP is used")
                    .help("add `protocol TCP`, `protocol UDP` or `protocol SCTP`"),
                );
                Setting::default()
            }
        }
    }

    fn defaulted<T: Clone>(
        &mut self,
        written: &Written<T>,
        default: T,
        span: Span,
        title: Title<'_>,
        line: &str,
    ) -> Setting<T> {
        if written.is_none() {
            let keyword = line.split(' ').next().unwrap_or(line);
            self.report(
                Diagnostic::warning(Language::DefaultUsed, format!("{title} has no `{keyword}`"))
                    .at(span, format!("`{line}` is used")),
            );
        }
        or_default(written, default)
    }

    /// Port 0 is every port, and that needs persistence.
    fn port_zero(&mut self, d: &Draft, title: Title<'_>) -> Option<Duration> {
        let zero = matches!(&d.service, Service::Address(address) if address.port() == 0);
        if !zero || d.persistence_timeout.is_some() {
            return d.persistence_timeout;
        }
        self.report(
            Diagnostic::error(
                Language::Conflict,
                format!("{title} has no port, and only a persistent service can do without"),
            )
            .at(d.span, "persistence_timeout 360 is used"),
        );
        Some(PERSISTENCE_DEFAULT)
    }

    fn one_packet(&mut self, d: &Draft, protocol: Protocol, mark: bool) -> bool {
        let Some(span) = d.one_packet else { return false };
        if protocol == Protocol::Udp || mark {
            return true;
        }
        self.report(
            Diagnostic::error(Language::Conflict, "`ops` works with UDP only").at(span, "dropped"),
        );
        false
    }

    fn quorum(&mut self, written: &Written<u32>, total: u32, title: Title<'_>) -> Setting<u32> {
        let mut quorum = or_default(written, 1);
        if quorum.value <= total {
            return quorum;
        }
        let reduced = total.max(1);
        let mut diagnostic = Diagnostic::warning(
            Language::Conflict,
            format!(
                "the quorum of {title} is {}, and all real servers together weigh {total}",
                quorum.value
            ),
        );
        if let Some((_, span)) = written {
            diagnostic = diagnostic.at(*span, format!("{reduced} is used"));
            quorum.force(reduced, *span);
        }
        self.report(diagnostic);
        quorum
    }

    fn hysteresis(
        &mut self,
        written: &Written<u32>,
        quorum: &Setting<u32>,
        title: Title<'_>,
    ) -> Setting<u32> {
        let mut hysteresis = or_default(written, 0);
        let most = quorum.value.saturating_sub(1);
        if let (Some((value, span)), true) = (written, hysteresis.value > most) {
            self.report(
                Diagnostic::warning(
                    Language::OutOfRange,
                    format!("the hysteresis of {title} must be below its quorum"),
                )
                .at(*span, format!("{value} is not below {}; {most} is used", quorum.value)),
            );
            hysteresis.force(most, *span);
        }
        hysteresis
    }
}

/// `smtp_alert` of a virtual server (off unless anything says otherwise) or a real server (on).
pub(super) fn checker_alert(
    here: &Written<bool>,
    global: &Global,
    otherwise: bool,
) -> Setting<bool> {
    let outer = [&global.mail.alert_checker, &global.mail.alert];
    let outer =
        outer.into_iter().find_map(|s| s.value.map(|on| Setting { value: on, origin: s.origin }));
    super::context::resolve(here, &outer.unwrap_or(Setting::default_of(otherwise)))
}

/// How a service is called in findings.
#[derive(Clone, Copy)]
pub(super) struct Title<'a>(&'a Service);

impl fmt::Display for Title<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Service::Address(address) => {
                write!(f, "`virtual_server {} {}`", address.ip(), address.port())
            }
            Service::FwMark(mark) => write!(f, "`virtual_server fwmark {mark}`"),
            Service::Group(name) => write!(f, "`virtual_server group {name}`"),
        }
    }
}
