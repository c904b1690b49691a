//! The checkers of a `real_server`.

use std::net::IpAddr;
use std::time::Duration;

use super::context::{Context, Written, or_default, resolve, whole};
use super::server::Inherited;
use super::track::{Kind, Names};
use crate::diagnostic::{Diagnostic, Language};
use crate::keywords::{BlockId, Keyword};
use crate::model::checker::{
    Checker, CheckerKind, Connection, FileWeight, Http, HttpProtocol, Misc, RecordType, Schedule,
    UdpReply,
};
use crate::model::{Command, Global, Model, Name, ScriptUser, Setting, Ssl, VirtualServer};
use crate::tree::Item;

/// A checker as it is written.
pub(super) struct CheckerDraft {
    kind: CheckerKind,
    network: bool,
    connection: ConnectionDraft,
    schedule: ScheduleDraft,
    /// `misc_timeout`, `host { … }` and the like need what is inherited.
    misc_timeout: Written<Duration>,
    hosts: Vec<ConnectionDraft>,
}

#[derive(Default, Clone)]
struct ConnectionDraft {
    ip: Option<IpAddr>,
    port: Option<u16>,
    bind_address: Option<IpAddr>,
    bind_port: Option<u16>,
    bind_interface: Option<Box<Name>>,
    timeout: Written<Duration>,
    fwmark: Option<u32>,
}

#[derive(Default)]
struct ScheduleDraft {
    delay_loop: Option<Duration>,
    retry: Option<u32>,
    delay_before_retry: Option<Duration>,
    warmup: Option<Duration>,
    alpha: Option<bool>,
    log_all_failures: Option<bool>,
}

/// What the reading of a checker's own keywords fills.
#[derive(Default)]
struct Own {
    http: Option<Box<Http>>,
    helo: Option<Box<str>>,
    record: RecordType,
    name: Option<Box<Name>>,
    expected: Vec<String>,
    verify: Written<bool>,
    command: Option<Command>,
    user: Option<ScriptUser>,
    dynamic: bool,
    payload: Option<Box<[u8]>>,
    reply: Option<Vec<(u8, u8)>>,
    min_length: Option<u16>,
    max_length: Option<u16>,
    weight: Option<FileWeight>,
}

impl Context<'_> {
    /// A checker's block; `None` if the checker is void.
    pub(super) fn checker(
        &mut self,
        block: &Item,
        id: BlockId,
        names: &Names,
        model: &Model,
    ) -> Option<CheckerDraft> {
        let mut own = Own::default();
        if matches!(id, BlockId::HttpGet | BlockId::SslGet) {
            own.http = Some(Box::new(Http {
                tls: id == BlockId::SslGet,
                virtualhost: None,
                protocol: HttpProtocol::default(),
                enable_sni: false,
                sni_name: None,
                fast_recovery: false,
                tls_compliant: false,
                verify: Setting::default(),
                ca: None,
                urls: Vec::new(),
            }));
        }
        let mut draft = CheckerDraft {
            kind: CheckerKind::Ping,
            network: !matches!(id, BlockId::MiscCheck | BlockId::FileCheck | BlockId::BfdCheck),
            connection: ConnectionDraft::default(),
            schedule: ScheduleDraft::default(),
            misc_timeout: None,
            hosts: Vec::new(),
        };
        for item in block.items() {
            let Some(keyword) = self.keyword(id, item) else { continue };
            let handled = match id {
                BlockId::HttpGet | BlockId::SslGet => {
                    self.http(&mut own, &mut draft, item, keyword)
                        || (id == BlockId::SslGet && self.verification(&mut own, item, keyword))
                }
                BlockId::SmtpCheck => self.smtp(&mut own, &mut draft, item, keyword),
                BlockId::DnsCheck => self.dns(&mut own, item, keyword),
                BlockId::MiscCheck => self.misc(&mut own, &mut draft, item, keyword),
                BlockId::UdpCheck => self.udp(&mut own, item, keyword),
                BlockId::FileCheck => self.file_check(&mut own, item, keyword, names),
                BlockId::BfdCheck => self.bfd_check(&mut own, item, keyword, names),
                _ => false,
            };
            if !handled
                && !self.connection(&mut draft.connection, item, keyword)
                && !self.schedule(&mut draft.schedule, item, keyword)
            {
                self.unhandled(keyword, item);
            }
        }
        draft.kind = self.kind(id, own, block, model)?;
        Some(draft)
    }

    fn kind(&mut self, id: BlockId, own: Own, block: &Item, model: &Model) -> Option<CheckerKind> {
        let void = |cx: &mut Self, what: &str| {
            cx.report(
                Diagnostic::error(
                    Language::Incomplete,
                    format!("`{}` has no {what}", &*block.keyword),
                )
                .at(block.keyword.span, "this checker is not used"),
            );
            None
        };
        match id {
            BlockId::TcpCheck => Some(CheckerKind::Tcp),
            BlockId::HttpGet | BlockId::SslGet => match own.http {
                Some(mut http) if !http.urls.is_empty() => {
                    http.verify = or_default(&own.verify, false);
                    Some(CheckerKind::Http(http))
                }
                _ => void(self, "`url`"),
            },
            BlockId::SmtpCheck => Some(CheckerKind::Smtp {
                helo: own.helo.unwrap_or_else(|| "smtpchecker.keepalived.org".into()),
                hosts: Box::default(),
            }),
            BlockId::DnsCheck => Some(CheckerKind::Dns {
                record: own.record,
                name: own.name.map_or_else(|| ".".into(), |n| n.text.into()),
                expected: own.expected.into(),
            }),
            BlockId::MiscCheck => match own.command {
                Some(mut command) => {
                    command.user = own.user.or_else(|| model.global.script_user.clone());
                    let timeout = Setting::default();
                    Some(CheckerKind::Misc(Box::new(Misc {
                        command,
                        timeout,
                        dynamic: own.dynamic,
                    })))
                }
                None => void(self, "`misc_path`"),
            },
            BlockId::UdpCheck => {
                let (min_length, max_length) =
                    (own.min_length.unwrap_or(0), own.max_length.unwrap_or(255));
                if min_length > max_length {
                    return void(self, "room between min_reply_length and max_reply_length");
                }
                let reply =
                    own.reply.map(|pattern| Box::new(UdpReply { pattern, min_length, max_length }));
                Some(CheckerKind::Udp { payload: own.payload, reply })
            }
            BlockId::PingCheck => Some(CheckerKind::Ping),
            BlockId::FileCheck => match own.name {
                Some(file) => Some(CheckerKind::File { file, weight: own.weight }),
                None => void(self, "usable `track_file`"),
            },
            BlockId::BfdCheck => match own.name {
                Some(session) => Some(CheckerKind::Bfd { session }),
                None => void(self, "usable `name`"),
            },
            _ => None,
        }
    }

    fn connection(&mut self, c: &mut ConnectionDraft, item: &Item, keyword: &Keyword) -> bool {
        match keyword.name {
            "connect_ip" => c.ip = self.ip(item, keyword).map(|(ip, _)| ip).or(c.ip),
            "connect_port" => c.port = plain(self.number(item, keyword)).or(c.port),
            "bindto" => {
                c.bind_address = self.ip(item, keyword).map(|(ip, _)| ip).or(c.bind_address);
            }
            "bind_port" => c.bind_port = plain(self.number(item, keyword)).or(c.bind_port),
            "bind_if" => {
                if let Some(token) = self.argument(item, keyword) {
                    c.bind_interface = self.interface(token, keyword.name).map(Box::new);
                }
            }
            "connect_timeout" => c.timeout = self.seconds(item, keyword).or(c.timeout),
            "fwmark" => c.fwmark = plain(self.number(item, keyword)).or(c.fwmark),
            _ => return false,
        }
        true
    }

    fn schedule(&mut self, s: &mut ScheduleDraft, item: &Item, keyword: &Keyword) -> bool {
        match keyword.name {
            "delay_loop" => s.delay_loop = plain(self.seconds(item, keyword)).or(s.delay_loop),
            "retry" => s.retry = plain(self.number(item, keyword)).or(s.retry),
            "delay_before_retry" => {
                s.delay_before_retry = plain(self.seconds(item, keyword)).or(s.delay_before_retry);
            }
            "warmup" => s.warmup = plain(self.seconds(item, keyword)).or(s.warmup),
            "alpha" => s.alpha = plain(self.boolean(item, keyword)).or(s.alpha),
            "log_all_failures" => {
                s.log_all_failures = plain(self.boolean(item, keyword)).or(s.log_all_failures);
            }
            _ => return false,
        }
        true
    }

    fn http(
        &mut self,
        own: &mut Own,
        draft: &mut CheckerDraft,
        item: &Item,
        keyword: &Keyword,
    ) -> bool {
        let Some(http) = &mut own.http else { return false };
        match keyword.name {
            "nb_get_retry" => {
                // A number of retries as in `retry`, by its range.
                draft.schedule.retry = plain(self.number(item, keyword)).or(draft.schedule.retry);
            }
            "virtualhost" => http.virtualhost = plain(self.text(item, keyword)),
            "http_protocol" => {
                let known = [
                    ("1.0", HttpProtocol::V10),
                    ("1.0C", HttpProtocol::V10Close),
                    ("1.0c", HttpProtocol::V10Close),
                    ("1.1", HttpProtocol::V11),
                    ("1.1C", HttpProtocol::V11Close),
                    ("1.1c", HttpProtocol::V11Close),
                ];
                let read = self.choice(item, keyword, &known, "1.0 is used");
                http.protocol = read.map_or(http.protocol, |(protocol, _)| protocol);
            }
            "fast_recovery" => on(&mut http.fast_recovery, self.boolean(item, keyword)),
            "enable_sni" => on(&mut http.enable_sni, self.boolean(item, keyword)),
            "sni_name" => {
                http.enable_sni = true;
                http.sni_name = item.args.first().map(|t| t.to_string());
            }
            "tls_compliant" => on(&mut http.tls_compliant, self.boolean(item, keyword)),
            "url" => {
                // Most checks have one.
                http.urls.reserve_exact(1);
                http.urls.extend(self.url(item));
            }
            _ => return false,
        }
        true
    }

    /// Whether and by what a TLS server proves who it is.
    fn verification(&mut self, own: &mut Own, item: &Item, keyword: &Keyword) -> bool {
        let Some(http) = &mut own.http else { return false };
        match keyword.name {
            "verify" => own.verify = self.boolean(item, keyword).or(own.verify),
            "ca" => http.ca = self.argument(item, keyword).map(|t| t.to_string().into()),
            _ => return false,
        }
        true
    }

    fn smtp(
        &mut self,
        own: &mut Own,
        draft: &mut CheckerDraft,
        item: &Item,
        keyword: &Keyword,
    ) -> bool {
        match keyword.name {
            "helo_name" => own.helo = plain(self.text(item, keyword)).map(Into::into),
            "host" => {
                let mut host = ConnectionDraft::default();
                for item in item.items() {
                    let Some(keyword) = self.keyword(BlockId::SmtpHost, item) else { continue };
                    if !self.connection(&mut host, item, keyword) {
                        self.unhandled(keyword, item);
                    }
                }
                draft.hosts.push(host);
            }
            _ => return false,
        }
        true
    }

    fn dns(&mut self, own: &mut Own, item: &Item, keyword: &Keyword) -> bool {
        match keyword.name {
            "type" => {
                let known = [
                    ("A", RecordType::A),
                    ("NS", RecordType::Ns),
                    ("CNAME", RecordType::Cname),
                    ("SOA", RecordType::Soa),
                    ("MX", RecordType::Mx),
                    ("TXT", RecordType::Txt),
                    ("AAAA", RecordType::Aaaa),
                    ("RRSIG", RecordType::Rrsig),
                    ("DNSKEY", RecordType::Dnskey),
                ];
                let read = self.choice(item, keyword, &known, "SOA is used");
                own.record = read.map_or(own.record, |(record, _)| record);
            }
            "name" => {
                own.name = self.text(item, keyword).map(|(n, span)| Box::new(Name::new(n, span)));
            }
            "expect" => own.expected.extend(plain(self.text(item, keyword))),
            _ => return false,
        }
        true
    }

    fn misc(
        &mut self,
        own: &mut Own,
        draft: &mut CheckerDraft,
        item: &Item,
        keyword: &Keyword,
    ) -> bool {
        match keyword.name {
            "misc_path" => own.command = self.bare_command(item, keyword),
            "misc_timeout" => {
                draft.misc_timeout = self.seconds(item, keyword).or(draft.misc_timeout);
            }
            "misc_dynamic" => own.dynamic = true,
            "user" => {
                if self.argument(item, keyword).is_some() {
                    own.user = self.user(&item.args);
                }
            }
            _ => return false,
        }
        true
    }

    fn udp(&mut self, own: &mut Own, item: &Item, keyword: &Keyword) -> bool {
        match keyword.name {
            "payload" => {
                if self.argument(item, keyword).is_some()
                    && let Some(pattern) = self.hex(item, keyword, false)
                {
                    own.payload = Some(pattern.into_iter().map(|(byte, _)| byte).collect());
                }
            }
            "require_reply" => own.reply = self.hex(item, keyword, true).or(own.reply.take()),
            "min_reply_length" => {
                own.min_length = plain(self.number(item, keyword)).or(own.min_length);
            }
            "max_reply_length" => {
                own.max_length = plain(self.number(item, keyword)).or(own.max_length);
            }
            _ => return false,
        }
        true
    }

    /// Groups of hexadecimal digits. A group of odd length begins with a lone digit as its last
    /// byte would: `f` is 0f, `12f` is 12 0f.
    fn hex(&mut self, item: &Item, keyword: &Keyword, wildcards: bool) -> Option<Vec<(u8, u8)>> {
        let mut bytes = Vec::new();
        for token in &item.args {
            for group in token.split_whitespace() {
                let nibbles: Option<Vec<(u8, u8)>> = group
                    .chars()
                    .map(|c| match c {
                        'x' | 'X' if wildcards => Some((0, 0)),
                        c => c.to_digit(16).and_then(|d| u8::try_from(d).ok()).map(|d| (d, 0xf)),
                    })
                    .collect();
                let Some(nibbles) = nibbles else {
                    self.report(
                        Diagnostic::error(
                            Language::BadSyntax,
                            format!("`{}` takes hexadecimal digits", keyword.name),
                        )
                        .at(token.span, "the line is ignored"),
                    );
                    return None;
                };
                bytes.extend(nibbles.chunks(2).map(|pair| match pair {
                    [(high, hm), (low, lm), ..] => (high << 4 | low, hm << 4 | lm),
                    [(low, lm)] => (*low, 0xf0 | lm),
                    [] => (0, 0),
                }));
            }
        }
        Some(bytes)
    }

    fn file_check(&mut self, own: &mut Own, item: &Item, keyword: &Keyword, names: &Names) -> bool {
        match keyword.name {
            "track_file" => {
                if let Some(token) = self.argument(item, keyword)
                    && self.find(names, Kind::File, token).is_some()
                {
                    own.name = Some(Box::new(Name::new(&**token, token.span)));
                }
            }
            "weight" => own.weight = self.file_weight(item, keyword),
            _ => return false,
        }
        true
    }

    fn file_weight(&mut self, item: &Item, keyword: &Keyword) -> Option<FileWeight> {
        let token = self.argument(item, keyword)?;
        let most = i64::from(i32::MAX);
        let (value, _) = self.integer_token(token, "weight", -most, most)?;
        let mut reverse = None;
        for word in item.args.iter().skip(1) {
            match &**word {
                "reverse" => reverse = Some(true),
                "noreverse" => reverse = Some(false),
                _ => self.unknown_option(word, BlockId::TrackOptions, "`weight`"),
            }
        }
        i32::try_from(value).ok().map(|value| FileWeight { value, reverse })
    }

    fn bfd_check(&mut self, own: &mut Own, item: &Item, keyword: &Keyword, names: &Names) -> bool {
        if keyword.name != "name" {
            return false;
        }
        if let Some(token) = self.argument(item, keyword)
            && self.find(names, Kind::Bfd, token).is_some()
        {
            own.name = Some(Box::new(Name::new(&**token, token.span)));
        }
        true
    }
}

impl CheckerDraft {
    /// Applies what the servers round it say.
    pub(super) fn finish(self, outer: &Inherited, alpha: bool, global: &Global) -> Checker {
        let (retry, delay) = match &self.kind {
            CheckerKind::Http(_) => (1, Some(Duration::from_secs(3))),
            CheckerKind::Dns { .. } => (3, None),
            CheckerKind::Misc(_) => (0, Some(Duration::from_secs(1))),
            _ => (1, Some(Duration::from_secs(1))),
        };
        let s = self.schedule;
        let delay_loop =
            s.delay_loop.or(plain(outer.delay_loop)).unwrap_or(Duration::from_secs(60));
        let schedule = Schedule {
            delay_loop,
            retry: s.retry.or(outer.retry).unwrap_or(retry),
            delay_before_retry: s
                .delay_before_retry
                .or(outer.delay_before_retry)
                .or(delay)
                .unwrap_or(delay_loop),
            warmup: s.warmup.or(outer.warmup).unwrap_or(delay_loop),
        };
        let timeout = match outer.connect_timeout {
            Some((value, span)) => Setting::inherited(value, span),
            None => Setting::default_of(Duration::from_secs(5)),
        };
        let mut kind = self.kind;
        match &mut kind {
            CheckerKind::Misc(misc) => misc.timeout = or_default(&self.misc_timeout, delay_loop),
            CheckerKind::Smtp { hosts, .. } => {
                *hosts = self.hosts.into_iter().map(|h| h.finish(&timeout)).collect();
            }
            CheckerKind::Http(http) if http.virtualhost.is_none() => {
                http.virtualhost = outer.virtualhost.as_deref().map(str::to_owned);
            }
            _ => {}
        }
        Checker {
            kind,
            schedule,
            connection: self.network.then(|| self.connection.finish(&timeout)),
            alpha: s.alpha.unwrap_or(alpha),
            log_all_failures: s.log_all_failures.unwrap_or(global.lvs.log_all_failures.value),
        }
    }
}

impl ConnectionDraft {
    fn finish(self, timeout: &Setting<Duration>) -> Connection {
        Connection {
            ip: self.ip,
            port: self.port,
            bind_address: self.bind_address,
            bind_port: self.bind_port,
            bind_interface: self.bind_interface,
            timeout: resolve(&self.timeout, timeout),
            fwmark: self.fwmark.filter(|mark| *mark != 0),
        }
    }
}

/// Which web checks verify certificates, and by what: `SSL` may stand anywhere in the file.
pub(super) fn settle_verification(ssl: Option<&Ssl>, servers: &mut [VirtualServer]) {
    let checkers = servers
        .iter_mut()
        .flat_map(|vs| &mut vs.real_servers)
        .flat_map(|server| &mut server.checkers);
    for checker in checkers {
        let CheckerKind::Http(http) = &mut checker.kind else { continue };
        if !http.tls {
            continue;
        }
        if http.verify.is_default() {
            let general = ssl.and_then(|ssl| ssl.verify);
            let has_ca = http.ca.is_some() || ssl.is_some_and(|ssl| ssl.ca.is_some());
            http.verify = Setting::default_of(general.unwrap_or(has_ca));
        }
        if http.ca.is_none() {
            http.ca = ssl.and_then(|ssl| ssl.ca.clone());
        }
    }
}

/// The value without its place.
pub(super) fn plain<T>(read: Written<T>) -> Option<T> {
    read.map(|(value, _)| value)
}

fn on(place: &mut bool, read: Written<bool>) {
    *place = plain(read).unwrap_or(*place);
}

/// `N` or `N-M`, within 100 to 599.
pub(super) fn status_range(text: &str) -> Option<(u16, u16)> {
    let number = |text| {
        let code = whole(text).ok()?;
        u16::try_from(code).ok().filter(|code| (100..=599).contains(code))
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some((first, last))
}
