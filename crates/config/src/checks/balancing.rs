//! Virtual servers: what will not notice a failure, or notice one that is none.

use std::collections::hash_map::Entry;
use std::net::SocketAddr;
use std::time::Duration;

use rustc_hash::FxHashMap;

use super::{Environment, Subject};
use crate::diagnostic::{Balancing, Diagnostic};
use crate::model::balancer::{Protocol, RealServer, Service};
use crate::model::checker::{Checker, CheckerKind, Regex};
use crate::model::{Family, Name, VirtualServer};
use crate::source::Span;

pub(super) fn check(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    let mut unverified = Several::default();
    let mut unchecked = Several::default();
    for vs in &subject.model.virtual_servers {
        for server in &vs.real_servers {
            thresholds(server, found);
            if server.checkers.is_empty() {
                unchecked.add(server.span.0);
            }
            for checker in &server.checkers {
                slow(checker, server, found);
                expressions(checker, server, subject.environment, found);
                if matches!(&checker.kind, CheckerKind::Http(http) if http.tls && !http.verify.value)
                {
                    unverified.add(server.span.0);
                }
            }
        }
        wrong_transport(vs, found);
    }
    twice(&subject.model.virtual_servers, found);
    unverified.tell(found, |several| {
        Diagnostic::advice(
            Balancing::Unverified,
            format!("SSL_GET checks of {several} accept any certificate"),
        )
        .help("add `verify` or `ca FILE` to SSL_GET, or `ca FILE` to the block `SSL`")
    });
    unchecked.tell(found, |several| {
        Diagnostic::advice(Balancing::Unchecked, format!("nothing checks {several}"))
            .help("add a check, at least `TCP_CHECK { }`; without one a dead server stays")
    });
}

/// The same remark about many servers is told once, at the first.
#[derive(Default)]
struct Several {
    first: Option<Span>,
    count: usize,
    last: Option<Span>,
}

impl Several {
    fn add(&mut self, span: Span) {
        if self.last.replace(span) != Some(span) {
            self.first.get_or_insert(span);
            self.count += 1;
        }
    }

    fn tell(self, found: &mut Vec<Diagnostic>, what: impl FnOnce(&str) -> Diagnostic) {
        let Some(span) = self.first else { return };
        let (several, label) = match self.count {
            1 => ("a real server".to_owned(), ""),
            n => (format!("{n} real servers"), "the first of them"),
        };
        found.push(what(&several).unnoticed().at(span, label));
    }
}

fn thresholds(server: &RealServer, found: &mut Vec<Diagnostic>) {
    let (lower, upper) = (server.lower_threshold, server.upper_threshold);
    if lower > upper {
        let above = match upper {
            0 => "has no uthreshold above it".to_owned(),
            upper => format!("is above its uthreshold, {upper}"),
        };
        found.push(
            Diagnostic::warning(
                Balancing::Thresholds,
                format!("the lthreshold of {}, {lower}, {above}", server.host),
            )
            .unnoticed()
            .at(server.span.0, "never gets into the service")
            .help("the kernel refuses such a server; leave lthreshold away, or raise uthreshold"),
        );
    }
}

fn slow(checker: &Checker, server: &RealServer, found: &mut Vec<Diagnostic>) {
    let delay = checker.schedule.delay_loop;
    let (what, limit) = match (&checker.kind, &checker.connection) {
        (CheckerKind::Misc(misc), _) => ("misc_timeout", &misc.timeout),
        (_, Some(connection)) => ("connect_timeout", &connection.timeout),
        _ => return,
    };
    let Some(span) = limit.span() else { return };
    if limit.value > delay && delay > Duration::ZERO {
        found.push(
            Diagnostic::advice(
                Balancing::SlowCheck,
                format!(
                    "a check of {} may take {} s and is due every {} s",
                    server.host,
                    limit.value.as_secs_f64(),
                    delay.as_secs_f64()
                ),
            )
            .unnoticed()
            .at(span, format!("{what} is longer than delay_loop"))
            .help("a server that hangs is noticed only after the longer of the two"),
        );
    }
}

fn expressions(
    checker: &Checker,
    server: &RealServer,
    environment: &dyn Environment,
    found: &mut Vec<Diagnostic>,
) {
    let CheckerKind::Http(http) = &checker.kind else { return };
    let expressions = http.urls.iter().filter_map(|url| url.regex.as_deref());
    for regex @ Regex { pattern, .. } in expressions {
        let Some(problem) = environment.regex(regex) else { continue };
        found.push(
            Diagnostic::error(
                Balancing::Expression,
                format!("the expression `{pattern}` cannot be used: {problem}"),
            )
            .unnoticed()
            .at(server.span.0, "in a check of this server, which therefore fails"),
        );
    }
}

/// Web and mail checks of a service that balances UDP: usually the protocol was forgotten.
fn wrong_transport(vs: &VirtualServer, found: &mut Vec<Diagnostic>) {
    if vs.protocol.value != Protocol::Udp || matches!(vs.service, Service::FwMark(_)) {
        return;
    }
    let mut checkers = vs.real_servers.iter().flat_map(|server| &server.checkers).peekable();
    let by_tcp = |checker: &Checker| {
        matches!(checker.kind, CheckerKind::Tcp | CheckerKind::Http(_) | CheckerKind::Smtp { .. })
    };
    if checkers.peek().is_some() && checkers.all(by_tcp) {
        found.push(
            Diagnostic::warning(
                Balancing::Transport,
                "this service balances UDP, and all its checks use TCP",
            )
            .unnoticed()
            .at(vs.span.0, "TCP connections to it are refused")
            .help("if it serves TCP, add `protocol TCP`"),
        );
    }
}

fn twice(servers: &[VirtualServer], found: &mut Vec<Diagnostic>) {
    #[derive(PartialEq, Eq, Hash)]
    enum Key<'a> {
        Address(SocketAddr, Protocol),
        FwMark(u32, Family),
        Group(&'a Name, Protocol),
    }
    let mut first: FxHashMap<Key<'_>, Span> = FxHashMap::default();
    for vs in servers {
        let protocol = vs.protocol.value;
        let key = match &vs.service {
            Service::Address(address) => Key::Address(*address, protocol),
            Service::FwMark(mark) => Key::FwMark(*mark, vs.family),
            Service::Group(name) => Key::Group(name, protocol),
        };
        match first.entry(key) {
            Entry::Vacant(vacant) => {
                vacant.insert(vs.span.0);
            }
            Entry::Occupied(other) => found.push(
                Diagnostic::warning(Balancing::Twice, "this virtual server exists already")
                    .unnoticed()
                    .at(vs.span.0, "")
                    .also(*other.get(), "here")
                    .help("put all real servers into one block"),
            ),
        }
    }
}
