//! `vrrp_instance`: what is written. `complete` makes an instance of it.

use std::net::IpAddr;
use std::num::NonZeroU8;
use std::time::Duration;

use super::address::Place;
use super::context::{Context, Words, Written};
use super::global::{garp_extra, version};
use super::names::NameKind;
use super::rule::RulePriorities;
use super::track::{Kind, Names};
use crate::diagnostic::{Diagnostic, Language};
use crate::keywords::{BlockId, Keyword};
use crate::model::vrrp::{
    AntiReplay, GarpExtra, HmacKey, HmacMode, InitialState, IpvlanMode, NotifyScripts,
    OldUnicastChecksum, UnicastPeer, Version,
};
use crate::model::{Address, Family, Name, Network, Route, Rule, Secret, Tracks};
use crate::source::Span;
use crate::tree::{Item, Token};

/// The settings of an instance as they are written.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) state: Written<InitialState>,
    pub(super) interface: Option<Name>,
    pub(super) vrf: Option<Name>,
    pub(super) vrid: Written<NonZeroU8>,
    /// There was one, and it was wrong.
    pub(super) bad_vrid: bool,
    pub(super) priority: Written<NonZeroU8>,
    pub(super) version: Written<Version>,
    pub(super) advert_interval: Written<Duration>,
    pub(super) vips: Vec<Address>,
    pub(super) excluded: Vec<Address>,
    pub(super) no_vips: Option<Span>,
    pub(super) routes: Vec<Route>,
    pub(super) rules: Vec<Rule>,
    pub(super) promote_secondaries: bool,
    pub(super) nopreempt: Option<Span>,
    pub(super) preempt_delay: Written<Duration>,
    pub(super) device: Option<(Device, Span)>,
    pub(super) vmac_for_addresses: bool,
    pub(super) vmac_xmit_base: Option<Span>,
    /// The family and what decided it.
    pub(super) family: Written<Family>,
    pub(super) peers: Vec<UnicastPeer>,
    pub(super) source: Written<IpAddr>,
    /// The first keyword that only makes sense with unicast.
    pub(super) unicast_word: Option<Span>,
    pub(super) unicast_ttl: Written<u8>,
    pub(super) fault_no_peer: Option<Span>,
    pub(super) check_unicast_src: Written<bool>,
    pub(super) group: Written<IpAddr>,
    pub(super) track_source: bool,
    pub(super) old_unicast_checksum: OldUnicastChecksum,
    pub(super) v3_checksum_as_v2: Written<bool>,
    pub(super) dont_track_primary: bool,
    pub(super) tracks: Tracks,
    pub(super) accept: Written<bool>,
    pub(super) auth: Option<AuthDraft>,
    pub(super) hmac: Option<HmacDraft>,
    pub(super) garp: GarpDraft,
    pub(super) down_timer_adverts: Written<u8>,
    pub(super) lower_prio_no_advert: Written<bool>,
    pub(super) higher_prio_send_advert: Written<bool>,
    pub(super) owner_ignore_adverts: Written<bool>,
    pub(super) timer_expired_backup: Written<u8>,
    pub(super) skip_check_adv_addr: Written<bool>,
    pub(super) strict: Written<bool>,
    pub(super) notify: NotifyScripts,
    pub(super) notify_deleted: bool,
    pub(super) notify_priority_changes: Written<bool>,
    pub(super) smtp_alert: Written<bool>,
    pub(super) rx_buffer: Option<u32>,
    pub(super) debug: u8,
    pub(super) linkbeat_polling: bool,
    pub(super) sync_daemon: Option<Name>,
}

/// `garp_…`.
#[derive(Default)]
pub(super) struct GarpDraft {
    pub(super) delay: Written<Duration>,
    pub(super) repeat: Written<u32>,
    pub(super) refresh: Written<Duration>,
    pub(super) refresh_repeat: Written<u32>,
    pub(super) lower_prio_delay: Written<Duration>,
    pub(super) lower_prio_repeat: Written<u32>,
    pub(super) extra: Written<Option<GarpExtra>>,
}

/// `authentication`.
pub(super) struct AuthDraft {
    pub(super) ah: Option<bool>,
    pub(super) password: Option<Secret>,
    pub(super) span: Span,
}

/// `auth_hmac`.
pub(super) struct HmacDraft {
    pub(super) keys: Vec<HmacKey>,
    pub(super) active: Written<NonZeroU8>,
    pub(super) time_window: Written<Duration>,
    pub(super) anti_replay: AntiReplay,
    pub(super) mode: HmacMode,
    pub(super) span: Span,
}

/// `use_vmac` or `use_ipvlan`.
#[derive(Default)]
pub(super) struct Device {
    pub(super) ipvlan: bool,
    pub(super) name: Option<String>,
    /// The last octets of the MAC, or all six.
    pub(super) mac: Vec<u8>,
    pub(super) netlink_notify: bool,
    pub(super) address: Option<Network>,
    pub(super) mode: IpvlanMode,
    pub(super) group: Option<u32>,
}

impl Context<'_> {
    /// A `vrrp_instance` block.
    pub(super) fn instance(
        &mut self,
        block: &Item,
        names: &Names,
        priorities: &mut RulePriorities,
    ) -> Draft {
        let mut draft = Draft::default();
        for item in block.items() {
            let Some(keyword) = self.keyword(BlockId::VrrpInstance, item) else { continue };
            let handled = self.identity(&mut draft, item, keyword)
                || self.holdings(&mut draft, item, keyword, priorities)
                || self.transport(&mut draft, item, keyword)
                || self.behaviour(&mut draft, item, keyword)
                || self.announcing(&mut draft, item, keyword)
                || self.surroundings(&mut draft, item, keyword, names);
            if !handled {
                self.unhandled(keyword, item);
            }
        }
        draft
    }

    fn identity(&mut self, d: &mut Draft, item: &Item, keyword: &Keyword) -> bool {
        match keyword.name {
            "state" => {
                if let Some(token) = self.argument(item, keyword) {
                    let state = match &**token {
                        "MASTER" => InitialState::Master,
                        "BACKUP" => InitialState::Backup,
                        _ => {
                            let known = ["MASTER", "BACKUP"];
                            self.unknown_word(token, "state", &known, "BACKUP is used");
                            InitialState::Backup
                        }
                    };
                    d.state = Some((state, token.span));
                }
            }
            "interface" => {
                if let Some(token) = self.argument(item, keyword) {
                    if &**token == "lo" {
                        self.report(
                            Diagnostic::error(
                                Language::NoEffect,
                                "a router on the loopback interface would hear nobody",
                            )
                            .at(token.span, "ignored"),
                        );
                        return true;
                    }
                    d.interface = self.interface(token, keyword.name).or(d.interface.take());
                }
            }
            "vrf" => {
                if let Some(token) = self.argument(item, keyword) {
                    d.vrf = self.interface(token, keyword.name).or(d.vrf.take());
                }
            }
            "virtual_router_id" => match self.integer(item, keyword) {
                Some((id, span)) => d.vrid = nonzero(id).map(|id| (id, span)),
                None => d.bad_vrid = true,
            },
            "priority" => {
                let read = self.integer(item, keyword);
                let hundred = NonZeroU8::MIN.saturating_add(99);
                d.priority = match (read, item.args.first()) {
                    (Some((priority, span)), _) => nonzero(priority).map(|p| (p, span)),
                    (None, Some(token)) => {
                        if let Some(last) = self.diagnostics.last_mut() {
                            last.help.retain(|h| !h.starts_with("the line is"));
                            last.help.push("100 is used".to_owned());
                        }
                        Some((hundred, token.span))
                    }
                    (None, None) => d.priority,
                };
            }
            "version" => d.version = version(self, item, keyword).or(d.version),
            "advert_int" => {
                d.advert_interval = self.seconds(item, keyword).or(d.advert_interval);
            }
            _ => return false,
        }
        true
    }

    /// Addresses, routes and rules.
    fn holdings(
        &mut self,
        d: &mut Draft,
        item: &Item,
        keyword: &Keyword,
        priorities: &mut RulePriorities,
    ) -> bool {
        match keyword.name {
            "virtual_ipaddress" => {
                for line in item.items() {
                    let Some(address) = self.address(line, Place::Virtual) else { continue };
                    if self.same_family(d, address.family(), line.keyword.span, "this address") {
                        d.vips.push(address);
                    }
                }
            }
            "virtual_ipaddress_excluded" => {
                for line in item.items() {
                    d.excluded.extend(self.address(line, Place::Virtual));
                }
            }
            "no_virtual_ipaddress" => d.no_vips = Some(item.keyword.span),
            "virtual_routes" => {
                for line in item.items() {
                    d.routes.extend(self.route(line, false));
                }
            }
            "virtual_rules" => {
                for line in item.items() {
                    d.rules.extend(self.rule(line, false, priorities));
                }
            }
            "promote_secondaries" => d.promote_secondaries = true,
            _ => return false,
        }
        true
    }

    /// Whether an address fits the family of those before it; the first one decides.
    fn same_family(&mut self, d: &mut Draft, family: Family, span: Span, what: &str) -> bool {
        let (first, decided) = *d.family.get_or_insert((family, span));
        if first == family {
            return true;
        }
        self.report(
            Diagnostic::error(
                Language::FamilyMismatch,
                format!("{what} is {family}, and the instance is {first}"),
            )
            .at(span, "ignored")
            .also(decided, "this decides the family")
            .help("put it under virtual_ipaddress_excluded, or into an instance of its own family"),
        );
        false
    }

    fn transport(&mut self, d: &mut Draft, item: &Item, keyword: &Keyword) -> bool {
        let here = item.keyword.span;
        match keyword.name {
            "unicast_peer" => {
                for line in item.items() {
                    self.peer(d, line);
                }
            }
            "unicast_src_ip" | "mcast_src_ip" => {
                if keyword.name == "unicast_src_ip" {
                    d.unicast_word.get_or_insert(here);
                }
                if let Some((ip, span)) = self.source(item, keyword)
                    && self.same_family(d, Family::of(&ip), span, "the source address")
                {
                    d.source = Some((ip, span));
                }
            }
            "unicast_ttl" => d.unicast_ttl = self.number(item, keyword).or(d.unicast_ttl),
            "unicast_fault_no_peer" => d.fault_no_peer = Some(here),
            "check_unicast_src" => {
                d.unicast_word.get_or_insert(here);
                d.check_unicast_src = Some((true, here));
            }
            "mcast_dst_ip" => {
                if let Some((ip, span)) = self.multicast(item, keyword)
                    && self.same_family(d, Family::of(&ip), span, "the multicast group")
                {
                    d.group = Some((ip, span));
                }
            }
            "track_src_ip" => d.track_source = true,
            "old_unicast_checksum" => {
                d.unicast_word.get_or_insert(here);
                d.old_unicast_checksum = match item.args.first() {
                    None => OldUnicastChecksum::Always,
                    Some(word) if &**word == "never" => OldUnicastChecksum::Never,
                    Some(word) => {
                        let known = ["never"];
                        self.unknown_word(word, keyword.name, &known, "the line is ignored");
                        d.old_unicast_checksum
                    }
                };
            }
            "v3_checksum_as_v2" => {
                d.v3_checksum_as_v2 = self.boolean(item, keyword).or(d.v3_checksum_as_v2);
            }
            "native_ipv6" => {}
            "use_vmac" => d.device = self.device(item, false).or(d.device.take()),
            "use_ipvlan" => d.device = self.device(item, true).or(d.device.take()),
            "use_vmac_addr" => d.vmac_for_addresses = true,
            "vmac_xmit_base" => d.vmac_xmit_base = Some(here),
            "authentication" => d.auth = Some(self.authentication(item)),
            "auth_hmac" => d.hmac = self.hmac(item),
            _ => return false,
        }
        true
    }

    /// A source address. A mask is read over, as Keepalived does, but said to be one too many.
    fn source(&mut self, item: &Item, keyword: &Keyword) -> Written<IpAddr> {
        let token = self.argument(item, keyword)?;
        if let Some((address, _)) = token.split_once('/')
            && let Ok(ip) = address.parse()
        {
            self.report(
                Diagnostic::warning(
                    Language::BadAddress,
                    format!("`{}` takes an address without a mask", keyword.name),
                )
                .at(token.span, "")
                .suggest(token.span, address)
                .unnoticed(),
            );
            return Some((ip, token.span));
        }
        self.ip(item, keyword)
    }

    fn peer(&mut self, d: &mut Draft, line: &Item) {
        let Some((address, span)) = self.ip_token(&line.keyword, "unicast_peer", &[4, 6]) else {
            return;
        };
        if !self.same_family(d, Family::of(&address), span, "the peer") {
            return;
        }
        let mut peer = UnicastPeer { address, min_ttl: None, max_ttl: None };
        let mut words = Words::after(line);
        while let Some(word) = words.next() {
            let Some(keyword) = self.option(BlockId::PeerOptions, word) else {
                self.unknown_option(word, BlockId::PeerOptions, "a unicast peer");
                continue;
            };
            let Some(value) = self.option_value(&mut words, keyword, word) else { continue };
            let ttl = self.integer_token(value, keyword.name, 0, 255);
            let ttl = ttl.and_then(|(ttl, _)| u8::try_from(ttl).ok());
            match keyword.name {
                "min_ttl" => peer.min_ttl = ttl,
                _ => peer.max_ttl = ttl,
            }
        }
        if d.peers.iter().any(|p| p.address == address) {
            self.report(
                Diagnostic::warning(
                    Language::DuplicateEntry,
                    format!("the peer {address} is listed twice"),
                )
                .at(span, "ignored")
                .unnoticed(),
            );
            return;
        }
        if (peer.min_ttl, peer.max_ttl) != (None, None) {
            d.check_unicast_src.get_or_insert((true, span));
        }
        d.peers.push(peer);
    }

    fn behaviour(&mut self, d: &mut Draft, item: &Item, keyword: &Keyword) -> bool {
        let here = item.keyword.span;
        match keyword.name {
            "preempt" => d.nopreempt = None,
            "nopreempt" => d.nopreempt = Some(here),
            "preempt_delay" => d.preempt_delay = self.seconds(item, keyword).or(d.preempt_delay),
            "accept" => d.accept = Some((true, here)),
            "no_accept" => d.accept = Some((false, here)),
            "dont_track_primary" => d.dont_track_primary = true,
            "down_timer_adverts" => {
                d.down_timer_adverts = self.number(item, keyword).or(d.down_timer_adverts);
            }
            "lower_prio_no_advert" => {
                d.lower_prio_no_advert = self.boolean(item, keyword).or(d.lower_prio_no_advert);
            }
            "higher_prio_send_advert" => {
                d.higher_prio_send_advert =
                    self.boolean(item, keyword).or(d.higher_prio_send_advert);
            }
            "owner_ignore_adverts" => {
                d.owner_ignore_adverts = self.boolean(item, keyword).or(d.owner_ignore_adverts);
            }
            "timer_expired_backup" | "thread_timer_expired" => {
                let read = self.optional_number(item, keyword, 1, 254, 254);
                if let Some((priority, span)) = read {
                    d.timer_expired_backup = u8::try_from(priority).ok().map(|p| (p, span));
                }
            }
            "skip_check_adv_addr" => {
                d.skip_check_adv_addr = self.boolean(item, keyword).or(d.skip_check_adv_addr);
            }
            "strict_mode" => d.strict = self.boolean(item, keyword).or(d.strict),
            _ => return false,
        }
        true
    }

    fn announcing(&mut self, d: &mut Draft, item: &Item, keyword: &Keyword) -> bool {
        let g = &mut d.garp;
        match keyword.name {
            "garp_master_delay" => g.delay = self.seconds(item, keyword).or(g.delay),
            "garp_master_repeat" => g.repeat = self.repeat(item, keyword).or(g.repeat),
            "garp_master_refresh" => g.refresh = self.seconds(item, keyword).or(g.refresh),
            "garp_master_refresh_repeat" => {
                g.refresh_repeat = self.repeat(item, keyword).or(g.refresh_repeat);
            }
            "garp_lower_prio_delay" => {
                g.lower_prio_delay = self.seconds(item, keyword).or(g.lower_prio_delay);
            }
            "garp_lower_prio_repeat" => {
                g.lower_prio_repeat = self.number(item, keyword).or(g.lower_prio_repeat);
            }
            "garp_extra_if" | "vmac_garp_intvl" => {
                g.extra = garp_extra(self, item, keyword).or(g.extra);
            }
            _ => return false,
        }
        true
    }

    fn surroundings(
        &mut self,
        d: &mut Draft,
        item: &Item,
        keyword: &Keyword,
        names: &Names,
    ) -> bool {
        match keyword.name {
            "notify_deleted" => {
                d.notify_deleted = true;
                if !item.args.is_empty() {
                    d.notify.deleted = self.command(item, keyword);
                }
            }
            "notify_master_rx_lower_pri" => {
                d.notify.master_rx_lower_pri = self.command(item, keyword);
            }
            "notify_priority_changes" => {
                d.notify_priority_changes =
                    self.boolean(item, keyword).or(d.notify_priority_changes);
            }
            "smtp_alert" => d.smtp_alert = self.boolean(item, keyword).or(d.smtp_alert),
            "kernel_rx_buf_size" => {
                let read: Written<u32> = self.number(item, keyword);
                d.rx_buffer = read.map(|(bytes, _)| bytes).or(d.rx_buffer);
            }
            "debug" => {
                let read: Written<u8> = self.number(item, keyword);
                d.debug = read.map_or(d.debug, |(level, _)| level);
            }
            "linkbeat_use_polling" => d.linkbeat_polling = true,
            "lvs_sync_daemon_interface" => {
                if let Some(token) = self.argument(item, keyword) {
                    d.sync_daemon = self.interface(token, keyword.name);
                }
            }
            _ => {
                return self.tracking(&mut d.tracks, item, keyword, names)
                    || self.notify(&mut d.notify, item, keyword);
            }
        }
        true
    }

    /// The `track_…` lists, of an instance or a sync group.
    pub(super) fn tracking(
        &mut self,
        tracks: &mut Tracks,
        item: &Item,
        keyword: &Keyword,
        names: &Names,
    ) -> bool {
        let (kind, list) = match keyword.name {
            "track_interface" => (None, &mut tracks.interfaces),
            "track_script" => (Some(Kind::Script), &mut tracks.scripts),
            "track_file" => (Some(Kind::File), &mut tracks.files),
            "track_process" => (Some(Kind::Process), &mut tracks.processes),
            "track_bfd" => (Some(Kind::Bfd), &mut tracks.bfds),
            _ => return false,
        };
        self.references(item, names, kind, list);
        true
    }

    /// The `notify…` scripts, of an instance or a sync group.
    pub(super) fn notify(
        &mut self,
        notify: &mut NotifyScripts,
        item: &Item,
        keyword: &Keyword,
    ) -> bool {
        let place = match keyword.name {
            "notify" => &mut notify.any,
            "notify_master" => &mut notify.master,
            "notify_backup" => &mut notify.backup,
            "notify_fault" => &mut notify.fault,
            "notify_stop" => &mut notify.stop,
            _ => return false,
        };
        if let Some(first) = place {
            let span = first.span;
            self.report(
                Diagnostic::error(
                    Language::DuplicateEntry,
                    format!("there is a `{}` script already", keyword.name),
                )
                .at(item.line_span, "ignored")
                .also(span, "this one is used"),
            );
        } else {
            *place = self.command(item, keyword);
        }
        true
    }

    /// The words after `use_vmac` or `use_ipvlan`.
    fn device(&mut self, item: &Item, ipvlan: bool) -> Option<(Device, Span)> {
        let mut device = Device { ipvlan, ..Device::default() };
        let mut words = Words::after(item);
        let what = if ipvlan { "use_ipvlan" } else { "use_vmac" };
        while let Some(word) = words.next() {
            match &**word {
                "name" => match words.next() {
                    Some(name) => self.device_name(&mut device, name, what),
                    None => self.missing_value(word),
                },
                "group" => match words.next() {
                    Some(group) => {
                        device.group = self.named_number(group, NameKind::Group, u32::MAX);
                    }
                    None => self.missing_value(word),
                },
                "netlink_notify_msg" if !ipvlan => device.netlink_notify = true,
                "bridge" if ipvlan => device.mode = IpvlanMode::Bridge,
                "private" if ipvlan => device.mode = IpvlanMode::Private,
                "vepa" if ipvlan => device.mode = IpvlanMode::Vepa,
                text => {
                    let mac = (!ipvlan).then(|| mac_octets(text)).flatten();
                    let address = if ipvlan {
                        super::context::parse_network(text).ok().map(|(net, _)| net)
                    } else {
                        None
                    };
                    if let Some(mac) = mac {
                        device.mac = mac;
                    } else if let Some(address) = address {
                        device.address = Some(address);
                    } else {
                        self.device_name(&mut device, word, what);
                    }
                }
            }
        }
        Some((device, item.keyword.span))
    }

    fn missing_value(&mut self, word: &Token) {
        self.report(
            Diagnostic::error(Language::MissingArgument, format!("`{}` needs a value", &**word))
                .at(word.span, ""),
        );
    }

    fn device_name(&mut self, device: &mut Device, token: &Token, what: &str) {
        if device.name.is_some() {
            self.report(
                Diagnostic::error(Language::ExtraWords, format!("`{what}` has a name already"))
                    .at(token.span, "ignored"),
            );
        } else if let Some(name) = self.interface(token, what) {
            device.name = Some(name.text);
        }
    }
}

pub(super) fn nonzero(number: i64) -> Option<NonZeroU8> {
    u8::try_from(number).ok().and_then(NonZeroU8::new)
}

/// `a:b:…`, two to six octets.
fn mac_octets(text: &str) -> Option<Vec<u8>> {
    let octets: Option<Vec<u8>> = text
        .split(':')
        .map(|part| if part.len() > 2 { None } else { u8::from_str_radix(part, 16).ok() })
        .collect();
    octets.filter(|o| (2..=6).contains(&o.len()))
}
