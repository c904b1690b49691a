//! `real_server`.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Duration;

use super::balancer::Title;
use super::checker::{CheckerDraft, plain};
use super::context::{Context, Written, resolve};
use super::literal;
use super::track::Names;
use crate::diagnostic::{Diagnostic, Language};
use crate::keywords::{BlockId, Keyword, Value};
use crate::model::balancer::{Forwarding, Host, RealServer, Service, VsSpan};
use crate::model::{Command, Family, Global, Model, Setting};
use crate::source::Span;
use crate::tree::{Item, Token};

/// What a virtual server sets for its real servers, and a real server for its checkers.
#[derive(Clone, Default)]
pub(super) struct Inherited {
    pub(super) delay_loop: Written<Duration>,
    pub(super) retry: Option<u32>,
    pub(super) delay_before_retry: Option<Duration>,
    pub(super) warmup: Option<Duration>,
    pub(super) connect_timeout: Written<Duration>,
    pub(super) virtualhost: Option<Box<str>>,
    pub(super) smtp_alert: Written<bool>,
    pub(super) snmp_name: Option<Box<str>>,
}

/// A `real_server` as it is written.
pub(super) struct ServerDraft {
    host: Host,
    port: u16,
    weight: Written<u32>,
    forwarding: Option<Forwarding>,
    upper: u32,
    lower: u32,
    inhibit: Option<bool>,
    notify_up: Option<Box<Command>>,
    notify_down: Option<Box<Command>>,
    alpha: Option<bool>,
    /// Few servers say anything here.
    inherited: Option<Box<Inherited>>,
    /// How many of the checkers of the virtual server are its own.
    pub(super) checkers: usize,
    span: Span,
}

/// What a real server takes from its virtual server.
pub(super) struct Above<'a> {
    pub(super) service: &'a Service,
    pub(super) title: Title<'a>,
    pub(super) family: Family,
    pub(super) forwarding: Forwarding,
    pub(super) weight: Setting<u32>,
    pub(super) inhibit: bool,
    pub(super) alpha: bool,
    pub(super) smtp_alert: bool,
    pub(super) inherited: &'a Inherited,
    pub(super) global: &'a Global,
}

impl Context<'_> {
    /// The keywords that virtual and real servers share.
    pub(super) fn inherited(
        &mut self,
        inherited: &mut Inherited,
        item: &Item,
        keyword: &Keyword,
    ) -> bool {
        let i = inherited;
        match keyword.name {
            "delay_loop" => i.delay_loop = self.seconds(item, keyword).or(i.delay_loop),
            "retry" => i.retry = plain(self.number(item, keyword)).or(i.retry),
            "delay_before_retry" => {
                i.delay_before_retry = plain(self.seconds(item, keyword)).or(i.delay_before_retry);
            }
            "warmup" => i.warmup = plain(self.seconds(item, keyword)).or(i.warmup),
            "connect_timeout" => {
                i.connect_timeout = self.seconds(item, keyword).or(i.connect_timeout);
            }
            "virtualhost" => i.virtualhost = plain(self.text(item, keyword)).map(Into::into),
            "smtp_alert" => i.smtp_alert = self.boolean(item, keyword).or(i.smtp_alert),
            "snmp_name" => i.snmp_name = plain(self.text(item, keyword)).map(Into::into),
            _ => return false,
        }
        true
    }

    /// A `real_server` block, whose checkers follow those of the servers above it.
    pub(super) fn real_server(
        &mut self,
        block: &Item,
        names: &Names,
        model: &Model,
        checkers: &mut Vec<CheckerDraft>,
    ) -> Option<ServerDraft> {
        let before = checkers.len();
        let place = self.place(&block.args);
        let readable = place.is_some();
        let (host, port) = place.unwrap_or((Host::Address(IpAddr::from([0; 4])), 0));
        let mut d = ServerDraft {
            host,
            port,
            weight: None,
            forwarding: None,
            upper: 0,
            lower: 0,
            inhibit: None,
            notify_up: None,
            notify_down: None,
            alpha: None,
            inherited: None,
            checkers: 0,
            span: block.line_span,
        };
        for item in block.items() {
            let Some(keyword) = self.keyword(BlockId::RealServer, item) else { continue };
            match keyword.name {
                "weight" => d.weight = self.server_weight(item, keyword).or(d.weight),
                "lvs_method" => {
                    d.forwarding = plain(self.forwarding(item, keyword)).or(d.forwarding);
                }
                "uthreshold" => d.upper = self.threshold(item, keyword, d.upper),
                "lthreshold" => d.lower = self.threshold(item, keyword, d.lower),
                "inhibit_on_failure" => {
                    d.inhibit = plain(self.boolean(item, keyword)).or(d.inhibit);
                }
                "notify_up" => d.notify_up = self.command(item, keyword).map(Box::new),
                "notify_down" => d.notify_down = self.command(item, keyword).map(Box::new),
                "alpha" => d.alpha = plain(self.boolean(item, keyword)).or(d.alpha),
                _ => {
                    if let Value::Block(id) = keyword.value {
                        checkers.extend(self.checker(item, id, names, model));
                    } else if !self.inherited(d.inherited.get_or_insert_default(), item, keyword) {
                        self.unhandled(keyword, item);
                    }
                }
            }
        }
        if !readable {
            checkers.truncate(before);
            return None;
        }
        d.checkers = checkers.len() - before;
        Some(d)
    }

    /// `IP [PORT]` or `NAME [PORT]`.
    fn place(&mut self, words: &[Token]) -> Option<(Host, u16)> {
        let first = words.first()?;
        if let Some(ip) = literal::address(first) {
            return self.endpoint_at(ip, words).map(|a| (Host::Address(a.ip()), a.port()));
        }
        if !is_host_name(first) {
            self.bad_address(first, "the address");
            return None;
        }
        let port = match words.get(1) {
            None => 0,
            Some(token) => self.port(token, 0)?,
        };
        Some((Host::Name(first.trim_end_matches('.').to_ascii_lowercase().into()), port))
    }

    /// Of a word that is no number the digits in front count, as in Keepalived: `abc` is 0. Who
    /// wrote it did not mean the default.
    fn server_weight(&mut self, item: &Item, keyword: &Keyword) -> Written<u32> {
        let read = self.number(item, keyword);
        let word = item.args.first().filter(|word| read.is_none() && !word.starts_with('-'));
        let Some(word) = word else { return read };
        let digits = word.len() - word.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        match &word[..digits] {
            "" => Some((0, word.span)),
            digits if digits.len() == word.len() => None,
            digits => digits.parse().ok().map(|weight| (weight, word.span)),
        }
    }

    fn threshold(&mut self, item: &Item, keyword: &Keyword, before: u32) -> u32 {
        let read: Written<u32> = self.number(item, keyword);
        read.map_or(before, |(n, _)| n)
    }

    /// Applies what the virtual server says. `checkers` are those of the server, and all are taken.
    pub(super) fn finish_server(
        &mut self,
        d: ServerDraft,
        checkers: impl Iterator<Item = CheckerDraft>,
        above: &Above<'_>,
    ) -> Option<RealServer> {
        let alpha = d.alpha.unwrap_or(above.alpha);
        let outer = match &d.inherited {
            None => Cow::Borrowed(above.inherited),
            Some(own) => Cow::Owned(merged(own, above.inherited)),
        };
        let mut finished = Vec::with_capacity(d.checkers);
        finished.extend(checkers.map(|checker| checker.finish(&outer, alpha, above.global)));
        let forwarding = d.forwarding.unwrap_or(above.forwarding);
        let tunnel = matches!(forwarding, Forwarding::Tunnel(_));
        let family = d.family();
        if let Some(family) = family
            && family != above.family
            && !tunnel
        {
            self.report(
                Diagnostic::error(
                    Language::FamilyMismatch,
                    format!(
                        "the real server {} is {family}, and {} is {}",
                        d.host, above.title, above.family
                    ),
                )
                .at(d.span, "not used")
                .help("only a tunnel can change the family"),
            );
            return None;
        }
        let port = self.server_port(&d, above, forwarding);
        let as_user = |command: Option<Box<Command>>| {
            command.map(|mut c| {
                c.user = c.user.or_else(|| above.global.script_user.clone());
                c
            })
        };
        let virtualhost = match outer {
            Cow::Borrowed(outer) => outer.virtualhost.clone(),
            Cow::Owned(outer) => outer.virtualhost,
        };
        let (smtp_alert, snmp_name) = match d.inherited {
            None => (None, None),
            Some(own) => (plain(own.smtp_alert), own.snmp_name),
        };
        Some(RealServer {
            host: d.host,
            port,
            weight: resolve(&d.weight, &above.weight),
            forwarding,
            upper_threshold: d.upper,
            lower_threshold: d.lower,
            inhibit_on_failure: d.inhibit.unwrap_or(above.inhibit),
            notify_up: as_user(d.notify_up),
            notify_down: as_user(d.notify_down),
            alpha,
            smtp_alert: smtp_alert.unwrap_or(above.smtp_alert),
            virtualhost,
            snmp_name,
            checkers: finished.into(),
            span: VsSpan(d.span),
        })
    }

    /// Only NAT can change the port.
    fn server_port(&mut self, d: &ServerDraft, above: &Above<'_>, forwarding: Forwarding) -> u16 {
        let port = match above.service {
            Service::Address(service) => service.port(),
            Service::FwMark(_) if forwarding != Forwarding::Nat => 0,
            Service::FwMark(_) | Service::Group(_) => return d.port,
        };
        // The SRV records of a name that begins with an underscore say the port.
        let srv = matches!(&d.host, Host::Name(name) if name.starts_with('_'));
        if d.port == port || d.port == 0 {
            return if srv && forwarding == Forwarding::Nat { 0 } else { port };
        }
        if forwarding == Forwarding::Nat {
            return d.port;
        }
        self.report(
            Diagnostic::warning(
                Language::Conflict,
                format!("the port of {} {} is not that of {}", d.host, d.port, above.title),
            )
            .at(d.span, format!("{port} is used"))
            .help("only NAT can change the port"),
        );
        port
    }
}

impl ServerDraft {
    /// Its family, unless it goes by a name.
    pub(super) fn family(&self) -> Option<Family> {
        match &self.host {
            Host::Address(ip) => Some(Family::of(ip)),
            Host::Name(_) => None,
        }
    }
}

/// Whether a word is a DNS name, and not an address with a slip in it: RFC 1123 §2.1, with an
/// underscore in front of the labels of SRV records (RFC 2782).
fn is_host_name(word: &str) -> bool {
    let name = word.strip_suffix('.').unwrap_or(word);
    let label = |label: &str| {
        let plain = label.strip_prefix('_').unwrap_or(label);
        !plain.is_empty()
            && label.len() <= 63
            && !plain.starts_with('-')
            && !plain.ends_with('-')
            && plain.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let numbers = name.split('.').filter(|label| label.parse::<u32>().is_ok()).count();
    name.len() <= 253
        && name.split('.').all(label)
        && name.split('.').next_back().is_some_and(|top| top.bytes().any(|b| b.is_ascii_alphabetic()))
        // 192.0.2.l, 192.0.2.10-20
        && numbers < 3
}

/// What a checker inherits: the real server's words, else the virtual server's.
fn merged(own: &Inherited, outer: &Inherited) -> Inherited {
    Inherited {
        delay_loop: own.delay_loop.or(outer.delay_loop),
        retry: own.retry.or(outer.retry),
        delay_before_retry: own.delay_before_retry.or(outer.delay_before_retry),
        warmup: own.warmup.or(outer.warmup),
        connect_timeout: own.connect_timeout.or(outer.connect_timeout),
        virtualhost: own.virtualhost.clone().or_else(|| outer.virtualhost.clone()),
        smtp_alert: own.smtp_alert,
        snmp_name: None,
    }
}
