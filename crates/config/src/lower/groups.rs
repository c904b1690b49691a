//! `vrrp_sync_group`, `track_group`, and what instances must not have in common.

use std::collections::HashMap;
use std::net::IpAddr;

use super::complete::smtp_alert;
use super::context::{Context, resolve};
use super::track::Names;
use crate::diagnostic::{Diagnostic, Language};
use crate::keywords::{BlockId, Keyword, closest};
use crate::model::vrrp::{NotifyScripts, OwnDevice, Transport};
use crate::model::{Family, Global, Instance, Name, SyncGroup, TrackGroup, Tracks};
use crate::source::Span;
use crate::tree::Item;

impl Context<'_> {
    /// A `vrrp_sync_group` block; its members are looked at when all instances are known.
    pub(super) fn sync_group(
        &mut self,
        block: &Item,
        keyword: &Keyword,
        names: &Names,
        global: &Global,
        groups: &[SyncGroup],
    ) -> Option<SyncGroup> {
        let name = self.unique_name(block, keyword, groups.iter().map(|g| &g.name))?;
        let mut group = SyncGroup {
            name,
            members: Vec::new(),
            tracks: Tracks::default(),
            tracking_weight: false,
            notify: NotifyScripts::default(),
            notify_priority_changes: global.vrrp.notify_priority_changes,
            smtp_alert: smtp_alert(&None, global),
        };
        let (mut notify_priority_changes, mut alert) = (None, None);
        for item in block.items() {
            let Some(keyword) = self.keyword(BlockId::VrrpSyncGroup, item) else { continue };
            match keyword.name {
                "group" => group.members.extend(members(item)),
                "sync_group_tracking_weight" | "global_tracking" => group.tracking_weight = true,
                "notify_priority_changes" => {
                    notify_priority_changes =
                        self.boolean(item, keyword).or(notify_priority_changes);
                }
                "smtp_alert" => alert = self.boolean(item, keyword).or(alert),
                _ => {
                    let handled = self.tracking(&mut group.tracks, item, keyword, names)
                        || self.notify(&mut group.notify, item, keyword);
                    if !handled {
                        self.unhandled(keyword, item);
                    }
                }
            }
        }
        group.notify_priority_changes =
            resolve(&notify_priority_changes, &global.vrrp.notify_priority_changes);
        group.smtp_alert = smtp_alert(&alert, global);
        for command in super::notify_commands(&mut group.notify) {
            command.user = command.user.take().or_else(|| global.script_user.clone());
        }
        Some(group)
    }

    fn unique_name<'n>(
        &mut self,
        block: &Item,
        keyword: &Keyword,
        mut taken: impl Iterator<Item = &'n Name>,
    ) -> Option<Name> {
        let Some(token) = block.args.first() else {
            self.missing(block, keyword);
            return None;
        };
        if let Some(first) = taken.find(|name| ***name == *token.text) {
            self.duplicate_name(keyword.name, token, first.span);
            return None;
        }
        Some(Name::new(&**token, token.span))
    }

    /// A `track_group` block.
    pub(super) fn track_group(
        &mut self,
        block: &Item,
        keyword: &Keyword,
        groups: &[TrackGroup],
    ) -> Option<TrackGroup> {
        let name = self.unique_name(block, keyword, groups.iter().map(|g| &g.name))?;
        let mut group = TrackGroup { name, members: Vec::new() };
        for item in block.items() {
            let Some(keyword) = self.keyword(BlockId::TrackGroup, item) else { continue };
            match keyword.name {
                "group" => group.members.extend(members(item)),
                _ => self.unhandled(keyword, item),
            }
        }
        Some(group)
    }

    /// Drops members that do not exist, and those that belong to an earlier group.
    pub(super) fn settle_groups(
        &mut self,
        groups: Vec<SyncGroup>,
        instances: &mut [Instance],
        void: &[(Name, &'static str)],
    ) -> Vec<SyncGroup> {
        let mut taken: HashMap<String, (String, Span)> = HashMap::new();
        let mut settled = Vec::new();
        for mut group in groups {
            let title = format!("vrrp_sync_group {}", group.name);
            let listed = std::mem::take(&mut group.members);
            let none = listed.is_empty();
            for member in listed {
                if !self.member_exists(&title, &member, instances, void) {
                    continue;
                }
                if let Some((other, span)) = taken.get(&member.text) {
                    self.report(
                        Diagnostic::error(
                            Language::Conflict,
                            format!("`{member}` belongs to the sync group `{other}` already"),
                        )
                        .at(member.span, "ignored")
                        .also(*span, "listed here first"),
                    );
                    continue;
                }
                taken.insert(member.text.clone(), (group.name.text.clone(), member.span));
                group.members.push(member);
            }
            if group.members.is_empty() {
                let why = if none { "has no members" } else { "has no members that exist" };
                self.report(
                    Diagnostic::error(Language::Incomplete, format!("`{title}` {why}"))
                        .at(group.name.span, "not used")
                        .help("list instances inside `group { … }`"),
                );
                continue;
            }
            if let [only] = group.members.as_slice() {
                self.report(
                    Diagnostic::warning(
                        Language::NoEffect,
                        format!("`{title}` has one member only"),
                    )
                    .at(only.span, "")
                    .help("a group of one does nothing"),
                );
            }
            self.settle_weights(&mut group, instances);
            settled.push(group);
        }
        settled
    }

    /// Whether a member is an instance; reports one that is not.
    fn member_exists(
        &mut self,
        title: &str,
        member: &Name,
        instances: &[Instance],
        void: &[(Name, &'static str)],
    ) -> bool {
        if instances.iter().any(|i| i.name == *member) {
            return true;
        }
        let mut diagnostic = if let Some((name, why)) = void.iter().find(|(n, _)| n == member) {
            Diagnostic::error(
                Language::UnknownName,
                format!("`{title}` lists `{member}`, which is not usable"),
            )
            .also(name.span, *why)
        } else {
            Diagnostic::error(
                Language::UnknownName,
                format!("`{title}` lists `{member}`, and there is no such vrrp_instance"),
            )
        };
        diagnostic = diagnostic.at(member.span, "ignored");
        if let Some(similar) = closest(member, instances.iter().map(|i| &*i.name)) {
            diagnostic =
                diagnostic.help(format!("did you mean `{similar}`?")).suggest(member.span, similar);
        }
        self.report(diagnostic);
        false
    }

    /// Weights of members count only if the group says so; an owner's priority never changes.
    fn settle_weights(&mut self, group: &mut SyncGroup, instances: &mut [Instance]) {
        let members: Vec<usize> =
            (0..instances.len()).filter(|i| group.members.contains(&instances[*i].name)).collect();
        if !group.tracking_weight {
            for index in &members {
                let instance = &mut instances[*index];
                let name = instance.name.clone();
                let because = group.name.span;
                let why = "weights of members of a sync group do not count";
                self.clear_weights(&mut instance.tracks.interfaces, &name, because, why);
                for list in [
                    &mut instance.tracks.scripts,
                    &mut instance.tracks.files,
                    &mut instance.tracks.processes,
                    &mut instance.tracks.bfds,
                ] {
                    self.drop_weighted(list, &name, Some(because), why);
                }
            }
        }
        let Some(owner) = members.iter().map(|i| &instances[*i]).find(|i| i.is_owner()) else {
            return;
        };
        let because = owner.priority.span().unwrap_or(owner.name.span);
        let name = group.name.clone();
        let why = "a member is an owner, whose priority never changes";
        for list in [
            &mut group.tracks.interfaces,
            &mut group.tracks.scripts,
            &mut group.tracks.files,
            &mut group.tracks.processes,
            &mut group.tracks.bfds,
        ] {
            self.clear_weights(list, &name, because, why);
        }
        if let Some(other) = members.iter().map(|i| &instances[*i]).find(|i| !i.is_owner()) {
            self.report(
                Diagnostic::warning(
                    Language::Conflict,
                    format!("`vrrp_sync_group {name}` mixes an owner with others"),
                )
                .at(because, "priority 255")
                .also(other.priority.span().unwrap_or(other.name.span), "not 255")
                .help("give all members priority 255, or none")
                .unnoticed(),
            );
        }
    }

    /// Drops members of track groups that do not exist.
    pub(super) fn settle_track_groups(
        &mut self,
        groups: &mut [TrackGroup],
        instances: &[Instance],
        void: &[(Name, &'static str)],
    ) {
        for group in groups {
            let title = format!("track_group {}", group.name);
            group.members.retain(|member| self.member_exists(&title, member, instances, void));
        }
    }

    /// A `track_group` that a static line names must exist.
    pub(super) fn check_track_group(&mut self, name: &mut Option<Name>, groups: &[TrackGroup]) {
        let Some(wanted) = name else { return };
        if groups.iter().any(|g| g.name == *wanted) {
            return;
        }
        let mut diagnostic =
            Diagnostic::error(Language::UnknownName, format!("there is no track_group `{wanted}`"))
                .at(wanted.span, "ignored");
        if let Some(similar) = closest(wanted, groups.iter().map(|g| &*g.name)) {
            diagnostic =
                diagnostic.help(format!("did you mean `{similar}`?")).suggest(wanted.span, similar);
        }
        self.report(diagnostic);
        *name = None;
    }

    /// Two routers of one family with one id on one interface cannot be told apart.
    pub(super) fn duplicate_vrids(&mut self, instances: &mut [Instance]) {
        let mut seen: HashMap<(Option<String>, u8, Family), Vec<usize>> = HashMap::new();
        for index in 0..instances.len() {
            let instance = &instances[index];
            let key = (
                instance.interface.as_ref().map(|n| n.text.clone()),
                instance.vrid.get(),
                instance.family,
            );
            let others = seen.entry(key).or_default();
            let clash = others.iter().copied().find(|o| same_peers(&instances[*o], instance));
            others.push(index);
            let Some(clash) = clash else { continue };
            let (vrid, family) = (instance.vrid.value, instance.family);
            let place = instance.interface.as_ref().map_or("", |n| &n.text);
            let span = instance.vrid.span().unwrap_or(instance.name.span);
            let other = &instances[clash];
            let other_span = other.vrid.span().unwrap_or(other.name.span);
            let message = format!(
                "`{}` and `{}` both are {family} virtual router {vrid} on {place}",
                other.name, instance.name
            );
            self.report(
                Diagnostic::error(Language::DuplicateVrid, message.clone())
                    .at(span, "stays in FAULT")
                    .also(other_span, "first used here")
                    .help("give each instance on an interface its own virtual_router_id"),
            );
            instances[index].fault = Some(message);
        }
    }

    /// Names of VMACs and ipvlans that nobody wrote: `PREFIX.VRID`, for IPv6 `PREFIX6.VRID` where
    /// that one is taken.
    pub(super) fn device_names(&mut self, instances: &mut [Instance], prefix: &str) {
        let mut taken: Vec<String> = instances
            .iter()
            .filter_map(|i| i.own_device.as_ref())
            .map(|device| device.name().to_owned())
            .filter(|name| !name.is_empty())
            .collect();
        for instance in instances {
            let Some(device) = &mut instance.own_device else { continue };
            let vrid = instance.vrid.get();
            let (OwnDevice::Vmac { name, .. } | OwnDevice::Ipvlan { name, .. }) = &mut device.value;
            if !name.is_empty() {
                continue;
            }
            let mut candidates = vec![format!("{prefix}.{vrid}")];
            if instance.family == Family::V6 {
                candidates.push(format!("{prefix}6.{vrid}"));
            }
            candidates.extend((1..=255u8).map(|n| format!("{prefix}{n}.{vrid}")));
            let free = candidates.into_iter().find(|c| c.len() <= 15 && !taken.contains(c));
            *name = free.unwrap_or_else(|| format!("vrrp.{vrid}"));
            taken.push(name.clone());
        }
    }
}

/// The names in a `group { … }`, one or more per line.
fn members(item: &Item) -> impl Iterator<Item = Name> {
    item.items().iter().flat_map(Item::words).map(|token| Name::new(&**token, token.span))
}

/// Whether adverts of two instances with one id could be mistaken for each other's.
fn same_peers(a: &Instance, b: &Instance) -> bool {
    match (&a.transport, &b.transport) {
        (Transport::Multicast { group: a }, Transport::Multicast { group: b }) => a == b,
        (Transport::Unicast { peers: pa }, Transport::Unicast { peers: pb }) => {
            let source = |i: &Instance| -> Option<IpAddr> { i.source.value };
            let overlap = pa.iter().any(|p| pb.iter().any(|q| p.address == q.address));
            overlap && (source(a) == source(b) || source(a).is_none() || source(b).is_none())
        }
        _ => false,
    }
}
