//! From what is written in a `vrrp_instance` to an instance: defaults, what settings demand of one
//! another, strict mode.

use std::net::IpAddr;
use std::num::NonZeroU8;
use std::time::Duration;

use super::context::{Context, Written, or_default, resolve, same_address};
use super::instance::{AuthDraft, Device, Draft, HmacDraft};
use crate::diagnostic::{Diagnostic, Language};
use crate::keywords::decimal;
use crate::model::global::GlobalVrrp;
use crate::model::vrrp::{
    Auth, Garp, Hmac, InitialState, OwnDevice, Transport, UnicastPeer, Version,
};
use crate::model::{Address, Family, Global, Instance, Name, Setting, Tracked, Weight};
use crate::source::Span;

/// Greatest interval of v3, hundredths of a second.
const V3_MAX: u64 = 4095;
/// Addresses that an advert can list.
const ADVERT_MAX: usize = 255;

impl Context<'_> {
    /// Makes an instance, or reports why it cannot be used.
    pub(super) fn complete(&mut self, name: Name, d: Draft, global: &Global) -> Option<Instance> {
        let Some(vrid) = d.vrid else {
            let help = if d.bad_vrid { "the one that is written is wrong" } else { "" };
            let mut diagnostic = Diagnostic::error(
                Language::Incomplete,
                format!("`vrrp_instance {name}` has no `virtual_router_id`"),
            )
            .at(name.span, "not used");
            if !help.is_empty() {
                diagnostic = diagnostic.help(help);
            }
            self.report(diagnostic);
            return None;
        };
        if d.interface.is_none() && d.peers.is_empty() {
            self.report(
                Diagnostic::error(
                    Language::Incomplete,
                    format!("`vrrp_instance {name}` has no `interface`"),
                )
                .at(name.span, "not used")
                .help("only a router with unicast peers can do without"),
            );
            return None;
        }
        let defaults = &global.vrrp;
        let family = d.family.map_or(Family::V4, |(family, _)| family);
        let strict = resolve(&d.strict, &defaults.strict);
        let version = self.version(&d, family, defaults);
        let priority = priority(&d);
        let owner = priority.value == NonZeroU8::MAX;
        let transport = self.transport_of(&name, &d, family, defaults);
        let unicast = transport.is_unicast();
        let source = d.source.map(|(ip, span)| (Some(ip), span));
        let ttl = self.ttl(&d, unicast);

        let mut instance = Instance {
            family,
            version,
            vrid: Setting::written(vrid.0, vrid.1),
            priority,
            state: or_default(&d.state, InitialState::Backup),
            advert_interval: self.interval(&d, version.value),
            vips: d.vips,
            excluded: d.excluded,
            no_vips: d.no_vips.is_some(),
            routes: d.routes,
            rules: d.rules,
            promote_secondaries: d.promote_secondaries,
            preempt: or_default(&d.nopreempt.map(|span| (false, span)), true),
            preempt_delay: or_default(&d.preempt_delay, Duration::ZERO),
            own_device: None,
            vmac_for_addresses: d.vmac_for_addresses,
            vmac_xmit_base: or_default(&d.vmac_xmit_base.map(|span| (true, span)), false),
            transport,
            source: or_default(&source, None),
            track_source: d.track_source,
            ttl,
            check_unicast_src: resolve(&d.check_unicast_src, &defaults.check_unicast_src),
            v3_checksum_as_v2: resolve(&d.v3_checksum_as_v2, &defaults.v3_checksum_as_v2),
            old_unicast_checksum: d.old_unicast_checksum,
            dont_track_primary: d.dont_track_primary,
            tracks: d.tracks,
            accept: or_default(&d.accept, true),
            auth: Auth::None,
            garp: garp(&d.garp, &defaults.garp),
            down_timer_adverts: resolve(&d.down_timer_adverts, &defaults.down_timer_adverts),
            lower_prio_no_advert: resolve(&d.lower_prio_no_advert, &defaults.lower_prio_no_advert),
            higher_prio_send_advert: resolve(
                &d.higher_prio_send_advert,
                &defaults.higher_prio_send_advert,
            ),
            owner_ignore_adverts: owner_ignore(&d.owner_ignore_adverts, defaults, &strict),
            timer_expired_backup: or_default(&d.timer_expired_backup, 254),
            skip_check_adv_addr: resolve(&d.skip_check_adv_addr, &defaults.skip_check_adv_addr),
            strict,
            notify: d.notify,
            notify_deleted: d.notify_deleted,
            notify_priority_changes: resolve(
                &d.notify_priority_changes,
                &defaults.notify_priority_changes,
            ),
            smtp_alert: smtp_alert(&d.smtp_alert, global),
            rx_buffer: d.rx_buffer,
            debug: d.debug,
            linkbeat_polling: d.linkbeat_polling,
            fault: None,
            name,
            interface: d.interface,
            vrf: d.vrf,
        };
        for command in instance_commands(&mut instance) {
            command.user = command.user.take().or_else(|| global.script_user.clone());
        }
        instance.auth = self.auth(&instance, d.auth, d.hmac);
        self.device_of(&mut instance, d.device);
        if instance.strict.value {
            self.strict(&mut instance, d.no_vips, owner);
        }
        self.preemption(&mut instance, owner);
        self.ah_start(&mut instance, owner);
        self.addresses(&mut instance);
        self.own_tracks(&mut instance, owner);
        Some(instance)
    }

    fn version(&mut self, d: &Draft, family: Family, g: &GlobalVrrp) -> Setting<Version> {
        let mut version = resolve(&d.version, &g.version);
        if family == Family::V6 && version.value == Version::V2 {
            let because = d.family.map(|(_, span)| span);
            match (d.version, because) {
                // As Keepalived does: what stands in the instance itself is done.
                (Some((_, span)), _) => {
                    let mut told = Diagnostic::warning(
                        Language::Conflict,
                        "version 2 of the protocol is not made for IPv6",
                    )
                    .unnoticed()
                    .at(span, "sent as Keepalived sends it, which no RFC describes")
                    .help("other routers do not understand it; write `version 3` on all nodes");
                    if let Some(because) = because {
                        told = told.also(because, "IPv6");
                    }
                    self.report(told);
                }
                (None, Some(because)) => version.force(Version::V3, because),
                (None, None) => {}
            }
        }
        version
    }

    fn interval(&mut self, d: &Draft, version: Version) -> Setting<Duration> {
        let mut interval = or_default(&d.advert_interval, Duration::from_secs(1));
        let Some((written, span)) = d.advert_interval else { return interval };
        let micros = u64::try_from(written.as_micros()).unwrap_or(u64::MAX);
        let (unit, most) = match version {
            Version::V2 => (1_000_000, 255),
            Version::V3 => (10_000, V3_MAX),
        };
        let count = (micros.saturating_add(unit / 2) / unit).clamp(1, most);
        let rounded = count * unit;
        if rounded != micros {
            let why = match version {
                Version::V2 => "version 2 counts whole seconds",
                Version::V3 if micros > V3_MAX * unit => "version 3 counts up to 40.95 s",
                Version::V3 => "version 3 counts hundredths of a second",
            };
            self.report(
                Diagnostic::warning(
                    Language::Rounded,
                    format!("`advert_int` {} cannot be sent: {why}", decimal(micros)),
                )
                .at(span, format!("{} is used", decimal(rounded)))
                .help("other nodes with another value ignore our adverts, or we theirs"),
            );
            interval.value = Duration::from_micros(rounded);
        }
        interval
    }

    fn transport_of(
        &mut self,
        name: &Name,
        d: &Draft,
        family: Family,
        g: &GlobalVrrp,
    ) -> Transport {
        if !d.peers.is_empty() {
            if let Some((_, span)) = d.group {
                self.conflict(
                    "a multicast group has no meaning with unicast peers".to_owned(),
                    Some(span),
                    None,
                    "the group is ignored",
                );
            }
            let peers: Vec<UnicastPeer> = d.peers.clone();
            return Transport::Unicast { peers };
        }
        if d.fault_no_peer.is_some() {
            return Transport::Unicast { peers: Vec::new() };
        }
        if let Some(span) = d.unicast_word {
            self.report(
                Diagnostic::deprecated(
                    Language::Conflict,
                    format!("`vrrp_instance {name}` speaks of unicast and has no peers"),
                )
                .at(span, "unicast")
                .help("multicast is used; list the other nodes under unicast_peer")
                .help("with unicast_fault_no_peer it stays in FAULT instead"),
            );
        }
        let group = match (d.group, family) {
            (Some((group, _)), _) => group,
            (None, Family::V4) => IpAddr::V4(g.mcast_group4.value),
            (None, Family::V6) => IpAddr::V6(g.mcast_group6.value),
        };
        Transport::Multicast { group }
    }

    fn ttl(&mut self, d: &Draft, unicast: bool) -> u8 {
        match d.unicast_ttl {
            Some((ttl, _)) if unicast => ttl,
            Some((_, span)) => {
                self.conflict(
                    "`unicast_ttl` has no meaning without unicast peers".to_owned(),
                    Some(span),
                    None,
                    "255 is used",
                );
                255
            }
            None => 255,
        }
    }

    fn auth(
        &mut self,
        instance: &Instance,
        auth: Option<AuthDraft>,
        hmac: Option<HmacDraft>,
    ) -> Auth {
        if let Some(hmac) = hmac {
            if let Some(auth) = &auth {
                self.conflict(
                    "`authentication` and `auth_hmac` exclude each other".to_owned(),
                    Some(auth.span),
                    Some((hmac.span, "this one is used")),
                    "`authentication` is dropped",
                );
            }
            return self.hmac_of(instance, hmac);
        }
        let Some(AuthDraft { ah: Some(ah), password, span }) = auth else { return Auth::None };
        let Some(password) = password else {
            self.report(
                Diagnostic::error(
                    Language::Incomplete,
                    "`authentication` has a type and no password",
                )
                .at(span, "dropped")
                .help("add auth_pass, or leave authentication out"),
            );
            return Auth::None;
        };
        if instance.version.value == Version::V3 {
            self.conflict(
                "version 3 of the protocol has no authentication".to_owned(),
                Some(span),
                instance.version.span().map(|span| (span, "version 3")),
                "it is dropped; auth_hmac works with version 3",
            );
            return Auth::None;
        }
        if instance.strict.value {
            self.strict_says(instance, Some(span), "there is no authentication", "dropped");
            return Auth::None;
        }
        if ah { Auth::Ah(password) } else { Auth::Pass(password) }
    }

    fn hmac_of(&mut self, instance: &Instance, draft: HmacDraft) -> Auth {
        let HmacDraft { keys, active, time_window, anti_replay, mode, span } = draft;
        let Some(first) = keys.first() else {
            self.report(
                Diagnostic::error(Language::Incomplete, "`auth_hmac` has no usable key")
                    .at(span, "dropped"),
            );
            return Auth::None;
        };
        let active_key = match active {
            Some((id, _)) if keys.iter().any(|k| k.id == id) => id,
            Some((id, at)) => {
                self.report(
                    Diagnostic::error(Language::UnknownName, format!("there is no key {id}"))
                        .at(at, format!("{} is used", first.id)),
                );
                first.id
            }
            None if keys.len() == 1 => first.id,
            None => {
                self.report(
                    Diagnostic::error(
                        Language::Incomplete,
                        "there are several keys, and `active_key` does not choose",
                    )
                    .at(span, format!("{} is used", first.id)),
                );
                first.id
            }
        };
        let least = Duration::from_secs(5);
        let window = (instance.advert_interval.value * 3).max(least);
        Auth::Hmac(Hmac {
            active_key,
            keys,
            time_window: or_default(&time_window, window),
            anti_replay,
            mode,
        })
    }

    fn device_of(&mut self, instance: &mut Instance, device: Option<(Device, Span)>) {
        let Some((device, span)) = device else { return };
        // A name that was not written is settled when all instances are known.
        let name = device.name.unwrap_or_default();
        let own = if device.ipvlan {
            OwnDevice::Ipvlan {
                name,
                address: device.address,
                mode: device.mode,
                group: device.group,
            }
        } else {
            OwnDevice::Vmac {
                name,
                mac: mac(&device.mac, instance),
                netlink_notify: device.netlink_notify,
                group: device.group,
            }
        };
        if device.ipvlan && device.address.is_none() && instance.family == Family::V4 {
            self.report(
                Diagnostic::error(
                    Language::Incomplete,
                    format!("`vrrp_instance {}`: an IPv4 ipvlan needs an address", instance.name),
                )
                .at(span, "it stays in FAULT"),
            );
            instance.fault = Some("an IPv4 ipvlan needs an address".to_owned());
        }
        instance.own_device = Some(Setting::written(own, span));
        if instance.transport.is_unicast() && !device.ipvlan && !instance.vmac_xmit_base.value {
            self.conflict(
                format!("`vrrp_instance {}` uses unicast with a VMAC", instance.name),
                None,
                Some((span, "needs vmac_xmit_base")),
                "vmac_xmit_base is taken as written",
            );
            instance.vmac_xmit_base.force(true, span);
        }
    }

    /// What `state MASTER`, priority 255, `nopreempt` and `preempt_delay` do to one another.
    fn preemption(&mut self, instance: &mut Instance, owner: bool) {
        let name = &instance.name;
        let master = instance.state.value == InitialState::Master;
        let state = instance.state.span();
        if !instance.preempt.value {
            let span = instance.preempt.span();
            if owner {
                let because = instance.priority.span().or(state).map(|s| (s, "priority 255"));
                self.conflict(
                    format!("`nopreempt` of `{name}` cannot work with priority 255"),
                    span,
                    because,
                    "it is dropped: the owner of the addresses always takes over",
                );
            } else if master {
                self.conflict(
                    format!("`nopreempt` of `{name}` cannot work with `state MASTER`"),
                    span,
                    state.map(|s| (s, "a node that begins as MASTER preempts")),
                    "it is dropped; write `state BACKUP` on every node to keep it",
                );
            }
            if (owner || master)
                && let Some(because) = instance.priority.span().or(state)
            {
                instance.preempt.force(true, because);
            }
        }
        if instance.preempt_delay.value.is_zero() {
            return;
        }
        let span = instance.preempt_delay.span();
        let because = if owner && !master {
            // Nobody is above the owner; Keepalived says nothing about it either.
            instance.priority.span()
        } else if master {
            self.conflict(
                format!("`preempt_delay` of `{name}` cannot work with `state MASTER`"),
                span,
                state.map(|s| (s, "a node that begins as MASTER preempts")),
                "leave it out, or write `state BACKUP`",
            );
            state
        } else if !instance.preempt.value {
            let at = instance.preempt.span();
            self.conflict(
                format!("`preempt_delay` of `{name}` has no meaning with `nopreempt`"),
                span,
                at.map(|s| (s, "it does not preempt")),
                "leave one of the two out",
            );
            at
        } else {
            None
        };
        if let Some(because) = because {
            instance.preempt_delay.force(Duration::ZERO, because);
        }
    }

    /// Sequence numbers of AH must be learnt before the first advert.
    fn ah_start(&mut self, i: &mut Instance, owner: bool) {
        if !matches!(i.auth, Auth::Ah(_)) || owner || i.state.value == InitialState::Backup {
            return;
        }
        if let Some(span) = i.state.span() {
            self.conflict(
                format!("`vrrp_instance {}` cannot begin as MASTER with AH", i.name),
                Some(span),
                None,
                "BACKUP is used, so that sequence numbers are learnt first",
            );
            i.state.force(InitialState::Backup, span);
        }
    }

    fn addresses(&mut self, i: &mut Instance) {
        let own = i.interface.as_ref().map(|n| n.text.clone());
        for address in i.vips.iter_mut().chain(&mut i.excluded) {
            if address.interface.is_none() {
                address.interface.clone_from(&own);
            }
        }
        let mut kept: Vec<Address> = Vec::new();
        i.vips = self.unique(std::mem::take(&mut i.vips), &mut kept);
        i.excluded = self.unique(std::mem::take(&mut i.excluded), &mut kept);
        if i.vips.len() > ADVERT_MAX {
            let rest = i.vips.split_off(ADVERT_MAX);
            if let Some(first) = rest.first() {
                self.report(
                    Diagnostic::warning(
                        Language::OutOfRange,
                        format!(
                            "`vrrp_instance {}` has {} addresses, and an advert lists {ADVERT_MAX}",
                            i.name,
                            ADVERT_MAX + rest.len()
                        ),
                    )
                    .at(first.span, "from here on as if under virtual_ipaddress_excluded"),
                );
            }
            i.excluded.splice(0..0, rest);
        }
        if !i.vips.is_empty() || i.no_vips {
            return;
        }
        let needed = i.version.value == Version::V3 || i.strict.value;
        let rule = if needed { "at least one is required" } else { "at least one is sensible" };
        let message = format!("`vrrp_instance {}` has no virtual_ipaddress; {rule}", i.name);
        let mut diagnostic = if needed {
            i.fault = Some("no address to advertise".to_owned());
            Diagnostic::error(Language::Incomplete, message).help("it stays in FAULT")
        } else {
            Diagnostic::warning(Language::Incomplete, message)
        };
        diagnostic = diagnostic
            .at(i.name.span, "")
            .help("if there is to be none, write no_virtual_ipaddress");
        self.report(diagnostic);
    }

    /// Drops addresses that are listed twice or have no interface.
    fn unique(&mut self, list: Vec<Address>, kept: &mut Vec<Address>) -> Vec<Address> {
        let mut unique = Vec::with_capacity(list.len());
        let from = kept.len();
        let mut seen: std::collections::HashSet<(IpAddr, Option<String>)> =
            kept[..from].iter().map(|a| (a.ip(), a.interface.clone())).collect();
        for address in list {
            if address.interface.is_none() {
                self.report(
                    Diagnostic::error(
                        Language::Incomplete,
                        format!("{} has no interface", address.ip()),
                    )
                    .at(address.span, "dropped")
                    .help("add `dev INTERFACE`, since the instance has none either"),
                );
                continue;
            }
            if !seen.insert((address.ip(), address.interface.clone())) {
                let first = kept.iter().find(|a| same_address(a, &address)).map(|a| a.span);
                let mut diagnostic = Diagnostic::error(
                    Language::DuplicateEntry,
                    format!("{} is listed twice", address.ip()),
                )
                .at(address.span, "ignored");
                if let Some(first) = first {
                    diagnostic = diagnostic.also(first, "first listed here");
                }
                self.report(diagnostic);
                continue;
            }
            kept.push(address.clone());
            unique.push(address);
        }
        unique
    }

    /// What an instance tracks in vain: its own interface, and weights when it is the owner.
    fn own_tracks(&mut self, i: &mut Instance, owner: bool) {
        let own = i.interface.as_ref().map(|n| n.text.clone());
        let name = i.name.clone();
        i.tracks.interfaces.retain(|t| {
            let is_own = own.as_deref() == Some(&*t.name);
            if is_own {
                self.report(
                    Diagnostic::warning(
                        Language::NoEffect,
                        format!("`{}` is the own interface of `{name}`", t.name),
                    )
                    .at(t.name.span, "ignored")
                    .help("an instance follows its own interface anyway"),
                );
            }
            !is_own
        });
        if !owner {
            return;
        }
        let because = i.priority.span().or(i.state.span());
        for list in [
            &mut i.tracks.interfaces,
            &mut i.tracks.scripts,
            &mut i.tracks.files,
            &mut i.tracks.processes,
            &mut i.tracks.bfds,
        ] {
            self.drop_weighted(list, &name, because, "the owner's priority never changes");
        }
    }

    /// Drops tracked things with a weight.
    pub(super) fn drop_weighted(
        &mut self,
        list: &mut Vec<Tracked>,
        name: &Name,
        because: Option<Span>,
        why: &str,
    ) {
        list.retain(|t| {
            if t.weight.value.value == 0 {
                return true;
            }
            let mut diagnostic = Diagnostic::warning(
                Language::Conflict,
                format!("`{}` has a weight, and {why}", t.name),
            )
            .at(t.name.span, format!("ignored in `{name}`"))
            .help("track it with weight 0, so that its failure is a FAULT");
            if let Some(span) = because {
                diagnostic = diagnostic.also(span, "because of this");
            }
            self.report(diagnostic);
            false
        });
    }

    /// Takes the weight from tracked things, so that their failure is a FAULT.
    pub(super) fn clear_weights(
        &mut self,
        list: &mut [Tracked],
        name: &Name,
        because: Span,
        why: &str,
    ) {
        for tracked in list.iter_mut().filter(|t| t.weight.value.value != 0) {
            self.report(
                Diagnostic::warning(
                    Language::Conflict,
                    format!("`{}` has a weight, and {why}", tracked.name),
                )
                .at(tracked.name.span, format!("counts without weight in `{name}`"))
                .also(because, "because of this")
                .help("its failure is a FAULT"),
            );
            let reverse = tracked.weight.value.reverse;
            tracked.weight.force(Weight { value: 0, reverse }, because);
        }
    }
}

fn priority(d: &Draft) -> Setting<NonZeroU8> {
    match (d.priority, d.state) {
        (Some((priority, span)), _) => Setting::written(priority, span),
        (None, Some((InitialState::Master, span))) => {
            let mut owner = Setting::default_of(NonZeroU8::MAX);
            owner.force(NonZeroU8::MAX, span);
            owner
        }
        (None, _) => Setting::default_of(NonZeroU8::MIN.saturating_add(99)),
    }
}

fn owner_ignore(here: &Written<bool>, g: &GlobalVrrp, strict: &Setting<bool>) -> Setting<bool> {
    match (here, g.owner_ignore_adverts.value) {
        (Some((on, span)), _) => Setting::written(*on, *span),
        (None, Some(on)) => {
            resolve(&None, &Setting { value: on, origin: g.owner_ignore_adverts.origin })
        }
        (None, None) => {
            let mut setting = Setting::default_of(false);
            if let (true, Some(span)) = (strict.value, strict.span()) {
                setting.force(true, span);
            }
            setting
        }
    }
}

pub(super) fn smtp_alert(here: &Written<bool>, global: &Global) -> Setting<bool> {
    let outer = [&global.mail.alert_vrrp, &global.mail.alert];
    let outer = outer.into_iter().find_map(|s| s.value.map(|on| (on, s.origin)));
    match outer {
        Some((value, origin)) => resolve(here, &Setting { value, origin }),
        None => or_default(here, false),
    }
}

fn garp(d: &super::instance::GarpDraft, g: &Garp) -> Garp {
    Garp {
        delay: resolve(&d.delay, &g.delay),
        repeat: resolve(&d.repeat, &g.repeat),
        refresh: resolve(&d.refresh, &g.refresh),
        refresh_repeat: resolve(&d.refresh_repeat, &g.refresh_repeat),
        lower_prio_delay: resolve(&d.lower_prio_delay, &g.lower_prio_delay),
        lower_prio_repeat: resolve(&d.lower_prio_repeat, &g.lower_prio_repeat),
        extra: resolve(&d.extra, &g.extra),
    }
}

fn mac(octets: &[u8], instance: &Instance) -> Option<[u8; 6]> {
    let vrid = instance.vrid.value.get();
    let family = if instance.family == Family::V6 { 2 } else { 1 };
    let mut mac = [0x00, 0x00, 0x5e, 0x00, family, vrid];
    match octets.len() {
        0 => return None,
        // Five octets: the virtual router id is the sixth.
        5 => mac[..5].copy_from_slice(octets),
        n if n <= 6 => mac[6 - n..].copy_from_slice(octets),
        _ => return None,
    }
    Some(mac)
}

fn instance_commands(i: &mut Instance) -> impl Iterator<Item = &mut crate::model::Command> {
    super::notify_commands(&mut i.notify)
}
