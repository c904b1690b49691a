//! From the checked model to what each part of the role is told: the engine, the worker, and the
//! kernel state of each virtual router. Nothing is done here, only decided.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::time::Duration;

use config::model::Model;
use config::model::vrrp::{self as m, OwnDevice};
use config::model::{Address, Instance, Route, Rule, SyncGroup, Tracked, Tracks};
use notify::event::NotifyScript;
use notify::resolve::Resolver;
use notify::settings::WorkerConfig;
use vrrp::{
    Auth, Family, Garp, GroupConfig, HmacConfig, HmacKey, Interface, OldUnicastChecksum,
    RouterConfig, Secret, Track, TrackKind, Transport, UnicastPeer, Version,
};

use crate::ids::Ids;
use crate::pacing::{Gaps, Lane};
use crate::scripts::Scripts;

/// What a configuration comes to.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// For the engine.
    pub(crate) engine: vrrp::Config,
    /// For each virtual router, in the engine's order.
    pub(crate) routers: Vec<RouterPlan>,
    /// For each sync group.
    pub(crate) groups: Vec<GroupPlan>,
    /// Addresses, routes and rules held from start to stop.
    pub(crate) statics: Holding,
    /// For the worker.
    pub(crate) worker: WorkerConfig,
    /// Interfaces that matter, with the instances that depend on them.
    pub(crate) interfaces: Vec<(String, Vec<String>)>,
    /// How long a change of an interface must last: down, up.
    pub(crate) delays: HashMap<String, (Duration, Duration)>,
    /// Gaps between announcements where no group says otherwise.
    pub(crate) gaps: Gaps,
    /// Interfaces that share one pace, and their gaps.
    pub(crate) lanes: HashMap<String, (Lane, Gaps)>,
    /// What could not be taken as written: one line each.
    pub(crate) notices: Vec<String>,
}

/// Addresses, routes and rules that come and go together.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Holding {
    /// Addresses, advertised ones first.
    pub(crate) addresses: Vec<Address>,
    /// How many of them are advertised.
    pub(crate) advertised: usize,
    /// Routes.
    pub(crate) routes: Vec<Route>,
    /// Rules.
    pub(crate) rules: Vec<Rule>,
    /// Where addresses without a `dev` of their own go instead of their interface.
    pub(crate) device: Option<String>,
}

/// One virtual router.
#[derive(Debug)]
pub(crate) struct RouterPlan {
    /// Its name.
    pub(crate) name: String,
    /// A device of its own to send from (VMAC).
    pub(crate) transmit: Option<String>,
    /// What it holds while MASTER.
    pub(crate) holding: Holding,
    /// Its scripts.
    pub(crate) scripts: Scripts,
    /// The model that it came from.
    pub(crate) model: Instance,
}

/// One sync group.
#[derive(Debug)]
pub(crate) struct GroupPlan {
    /// Its name.
    pub(crate) name: String,
    /// Its scripts.
    pub(crate) scripts: Scripts,
    /// `smtp_alert`.
    pub(crate) smtp_alert: bool,
}

/// What the plan needs to know about the machine.
pub(crate) trait Machine {
    /// MTU of an interface, if it exists.
    fn mtu(&self, interface: &str) -> Option<u32>;
    /// The address that an interface would send from, if it has one.
    fn source(&self, interface: &str, family: Family) -> Option<IpAddr>;
    /// Whether a configured source address is there.
    fn has_address(&self, address: IpAddr) -> bool;
}

/// Makes the plan.
pub(crate) fn plan(
    model: &Model,
    ids: &mut Ids,
    machine: &dyn Machine,
    resolver: &Resolver<'_>,
) -> Plan {
    let mut plan = Plan { gaps: gaps(model), ..Plan::default() };
    for (index, group) in model.garp_groups.iter().enumerate() {
        let gaps = Gaps { garp: group.garp_interval, na: group.gna_interval };
        for name in &group.interfaces {
            plan.lanes.insert(name.text.clone(), (Lane::Group(index), gaps));
        }
    }
    for delay in &model.interface_delays {
        plan.delays.insert(delay.interface.text.clone(), (delay.down, delay.up));
    }
    plan.worker = crate::scripts::worker_config(model, resolver, &mut plan.notices);
    let usable: HashSet<&str> = plan.worker.scripts.iter().map(|s| s.name.as_str()).collect();
    let usable = |name: &str| usable.contains(name);
    plan.statics = Holding {
        addresses: model.static_addresses.clone(),
        advertised: 0,
        routes: model.static_routes.clone(),
        rules: model.static_rules.clone(),
        device: None,
    };
    let mut interfaces = Interfaces::default();
    for instance in &model.vrrp {
        let router = router_config(
            model,
            instance,
            ids,
            machine,
            &usable,
            &mut interfaces,
            &mut plan.notices,
        );
        plan.engine.routers.push(router);
        let device = instance.own_device.as_ref().map(|d| d.value.name().to_owned());
        let transmit = device.clone().filter(|_| !instance.vmac_xmit_base.value);
        let advertised = instance.vips.len();
        plan.routers.push(RouterPlan {
            name: instance.name.text.clone(),
            transmit,
            holding: Holding {
                addresses: instance.all_addresses().cloned().collect(),
                advertised,
                routes: instance.routes.clone(),
                rules: instance.rules.clone(),
                device,
            },
            scripts: Scripts::of(&instance.notify, resolver, &instance.name, &mut plan.notices),
            model: instance.clone(),
        });
    }
    for group in &model.sync_groups {
        plan.engine.groups.push(group_config(group, ids, &usable, &mut interfaces));
        plan.groups.push(GroupPlan {
            name: group.name.text.clone(),
            scripts: Scripts::of(&group.notify, resolver, &group.name, &mut plan.notices),
            smtp_alert: group.smtp_alert.value,
        });
    }
    plan.engine.log_unknown_vrids = model.global.vrrp.log_unknown_vrids;
    for name in model.interfaces() {
        interfaces.mention(name, None);
    }
    plan.interfaces = interfaces.list;
    plan
}

fn gaps(model: &Model) -> Gaps {
    let vrrp = &model.global.vrrp;
    Gaps { garp: vrrp.garp_interval.value, na: vrrp.gna_interval.value }
}

/// Interfaces in the order in which they are first mentioned.
#[derive(Default)]
struct Interfaces {
    list: Vec<(String, Vec<String>)>,
    places: HashMap<String, usize>,
}

impl Interfaces {
    fn mention(&mut self, name: &str, instance: Option<&str>) {
        let place = *self.places.entry(name.to_owned()).or_insert_with(|| {
            self.list.push((name.to_owned(), Vec::new()));
            self.list.len() - 1
        });
        if let (Some(instance), Some((_, instances))) = (instance, self.list.get_mut(place))
            && instances.last().map(String::as_str) != Some(instance)
        {
            instances.push(instance.to_owned());
        }
    }
}

fn router_config(
    model: &Model,
    instance: &Instance,
    ids: &mut Ids,
    machine: &dyn Machine,
    usable_script: &dyn Fn(&str) -> bool,
    interfaces: &mut Interfaces,
    notices: &mut Vec<String>,
) -> RouterConfig {
    let family = family(instance.family);
    let version = match instance.version.value {
        m::Version::V2 => Version::V2,
        m::Version::V3 => Version::V3,
    };
    let interface = instance
        .interface
        .as_deref()
        .map(|name| Interface { id: ids.interface(name), name: name.to_owned() });
    // The placeholder is replaced below: a router without interface has none either.
    let place =
        interface.clone().unwrap_or(Interface { id: ids.interface(""), name: String::new() });
    let mut out = RouterConfig::new(&instance.name, place, version, family, instance.vrid.value);
    out.interface = interface;
    out.priority = instance.priority.value;
    out.state_master = instance.state.value == m::InitialState::Master;
    out.advert_interval = instance.advert_interval.value;
    out.addresses = instance.vips.iter().map(Address::ip).collect();
    out.preempt = instance.preempt.value;
    out.preempt_delay = instance.preempt_delay.value;
    out.down_timer_adverts = instance.down_timer_adverts.value;
    out.auth = match auth(&instance.auth) {
        Ok(auth) => auth,
        Err(reason) => {
            notices.push(format!("({}) auth_hmac: {reason}", instance.name));
            out.broken = Some(reason);
            Auth::None
        }
    };
    out.transport = match &instance.transport {
        m::Transport::Multicast { group } => Transport::Multicast { group: *group },
        m::Transport::Unicast { peers } => Transport::Unicast {
            peers: peers
                .iter()
                .map(|p| UnicastPeer { address: p.address, min_ttl: p.min_ttl, max_ttl: p.max_ttl })
                .collect(),
        },
    };
    out.source = source(instance, family, machine);
    out.ttl = if out.transport.is_unicast() { instance.ttl } else { 255 };
    out.v3_checksum_as_v2 = instance.v3_checksum_as_v2.value;
    out.old_unicast_checksum = match instance.old_unicast_checksum {
        m::OldUnicastChecksum::Auto => OldUnicastChecksum::Auto,
        m::OldUnicastChecksum::Always => OldUnicastChecksum::Always,
        m::OldUnicastChecksum::Never => OldUnicastChecksum::Never,
    };
    out.check_unicast_src = instance.check_unicast_src.value;
    out.skip_check_adv_addr = instance.skip_check_adv_addr.value;
    out.lower_prio_no_advert = instance.lower_prio_no_advert.value;
    out.higher_prio_send_advert = instance.higher_prio_send_advert.value;
    out.owner_ignore_adverts = instance.owner_ignore_adverts.value;
    out.timer_expired_backup = instance.timer_expired_backup.value;
    out.strict = instance.strict.value;
    out.garp = Garp {
        delay: instance.garp.delay.value,
        repeat: instance.garp.repeat.value,
        refresh: instance.garp.refresh.value,
        refresh_repeat: instance.garp.refresh_repeat.value,
        lower_prio_delay: instance.garp.lower_prio_delay.value,
        lower_prio_repeat: instance.garp.lower_prio_repeat.value,
    };
    out.notify_priority_changes = instance.notify_priority_changes.value;
    out.notify_deleted = instance.notify_deleted;
    out.mtu = instance.interface.as_deref().and_then(|name| machine.mtu(name)).unwrap_or(1500);
    out.broken = out.broken.or_else(|| instance.fault.clone());
    out.tracks = tracks(model, instance, ids, usable_script, interfaces);
    out
}

/// The address that adverts of this instance come from, if it is there.
pub(crate) fn source(instance: &Instance, family: Family, machine: &dyn Machine) -> Option<IpAddr> {
    // An ipvlan that has an address of its own speaks from it.
    if let Some(OwnDevice::Ipvlan { address: Some(own), .. }) =
        instance.own_device.as_ref().map(|device| &device.value)
        && instance.source.value.is_none()
        && m::Family::of(&own.address) == instance.family
    {
        return Some(own.address);
    }
    match instance.source.value {
        // Unless `track_src_ip` is there, a configured address is used whether or not it exists.
        Some(address) => {
            (!instance.track_source || machine.has_address(address)).then_some(address)
        }
        None => {
            let own = instance.interface.as_deref().and_then(|name| machine.source(name, family));
            // The owner's virtual address is the interface's own, and may be the only one.
            let owned = || {
                let first = instance.vips.iter().map(Address::ip).find(IpAddr::is_ipv4);
                first.filter(|_| instance.is_owner() && family == Family::V4)
            };
            own.or_else(owned)
        }
    }
}

pub(crate) fn family(family: m::Family) -> Family {
    match family {
        m::Family::V4 => Family::V4,
        m::Family::V6 => Family::V6,
    }
}

fn auth(auth: &m::Auth) -> Result<Auth, String> {
    Ok(match auth {
        m::Auth::None => Auth::None,
        m::Auth::Pass(secret) => Auth::Pass(Secret::new(secret.bytes())),
        m::Auth::Ah(secret) => Auth::Ah(Secret::new(secret.bytes())),
        m::Auth::Hmac(hmac) => {
            let mut keys = Vec::new();
            for key in &hmac.keys {
                let secret = key.secret.load().map_err(|error| match &key.secret {
                    m::HmacSecret::File(path) => {
                        format!("key {} in {}: {error}", key.id, path.display())
                    }
                    m::HmacSecret::Bytes(_) => format!("key {}: {error}", key.id),
                })?;
                keys.push(HmacKey { id: key.id, secret: Secret::new(secret.bytes()) });
            }
            Auth::Hmac(HmacConfig {
                keys,
                active_key: hmac.active_key,
                time_window: hmac.time_window.value,
                anti_replay: match hmac.anti_replay {
                    m::AntiReplay::Time => vrrp::AntiReplay::Time,
                    m::AntiReplay::Monotonic => vrrp::AntiReplay::Monotonic,
                },
                mode: match hmac.mode {
                    m::HmacMode::Enforce => vrrp::HmacMode::Enforce,
                    m::HmacMode::Permissive => vrrp::HmacMode::Permissive,
                    m::HmacMode::ReceiveOnly => vrrp::HmacMode::ReceiveOnly,
                },
            })
        }
    })
}

/// What an instance depends on: its own interface, those of its addresses and routes, and what
/// it was told to track.
fn tracks(
    model: &Model,
    instance: &Instance,
    ids: &mut Ids,
    usable_script: &dyn Fn(&str) -> bool,
    interfaces: &mut Interfaces,
) -> Vec<Track> {
    let own = instance.interface.as_deref();
    let mut needed: Vec<&str> = Vec::new();
    if !instance.dont_track_primary {
        needed.extend(own);
        needed.extend(instance.own_device.as_ref().map(|device| device.value.name()));
    }
    let others = instance
        .all_addresses()
        .filter(|a| !a.no_track)
        .filter_map(|a| a.dev.as_deref())
        .chain(instance.routes.iter().filter(|r| !r.no_track).flat_map(Route::interfaces));
    needed.extend(others.filter(|name| Some(*name) != own || !instance.dont_track_primary));
    // Static things that a track group ties to this instance.
    for group in &model.track_groups {
        if group.members.contains(&instance.name) {
            let belongs = |g: &Option<config::model::Name>| g.as_ref() == Some(&group.name);
            needed.extend(
                model
                    .static_addresses
                    .iter()
                    .filter(|a| belongs(&a.track_group) && !a.no_track)
                    .filter_map(|a| a.interface.as_deref()),
            );
            needed.extend(
                model
                    .static_routes
                    .iter()
                    .filter(|r| belongs(&r.track_group) && !r.no_track)
                    .flat_map(Route::interfaces),
            );
        }
    }
    let mut seen = HashSet::new();
    let mut out = Vec::new();
    for name in needed {
        if seen.insert(name.to_owned()) {
            interfaces.mention(name, Some(&instance.name));
            out.push(track(ids, TrackKind::Interface, name, None, false));
        }
    }
    // The own interface's state counts anyway; a weight for it is passed over, as Keepalived does.
    let tracked: Vec<_> =
        instance.tracks.interfaces.iter().filter(|t| Some(&*t.name) != own).collect();
    for item in tracked {
        interfaces.mention(&item.name, Some(&instance.name));
        if item.weight.value.value != 0 || seen.insert(item.name.text.clone()) {
            out.push(weighed(ids, TrackKind::Interface, item));
        }
    }
    out.extend(other_tracks(&instance.tracks, ids, usable_script));
    out
}

/// Scripts, files, processes and BFD sessions.
fn other_tracks(
    tracks: &Tracks,
    ids: &mut Ids,
    usable_script: &dyn Fn(&str) -> bool,
) -> Vec<Track> {
    let mut out = Vec::new();
    // A script that cannot be run was reported and tracks nothing, as in Keepalived: one missing
    // check must not put a working node into FAULT.
    for item in tracks.scripts.iter().filter(|item| usable_script(&item.name)) {
        out.push(weighed(ids, TrackKind::Script, item));
    }
    for (kind, list) in [(TrackKind::File, &tracks.files), (TrackKind::Process, &tracks.processes)]
    {
        out.extend(list.iter().map(|item| weighed(ids, kind, item)));
    }
    out
}

fn weighed(ids: &mut Ids, kind: TrackKind, item: &Tracked) -> Track {
    let weight = item.weight.value;
    track(
        ids,
        kind,
        &item.name,
        (weight.value != 0).then_some(i32::from(weight.value)),
        weight.reverse,
    )
}

fn track(ids: &mut Ids, kind: TrackKind, name: &str, weight: Option<i32>, reverse: bool) -> Track {
    Track {
        id: ids.tracker(kind, name),
        kind,
        name: name.to_owned(),
        weight,
        reverse,
        holds_init: weight.is_none() && kind == TrackKind::Script,
    }
}

fn group_config(
    group: &SyncGroup,
    ids: &mut Ids,
    usable_script: &dyn Fn(&str) -> bool,
    interfaces: &mut Interfaces,
) -> GroupConfig {
    let mut tracks = Vec::new();
    for item in &group.tracks.interfaces {
        interfaces.mention(&item.name, None);
        tracks.push(weighed(ids, TrackKind::Interface, item));
    }
    tracks.extend(other_tracks(&group.tracks, ids, usable_script));
    GroupConfig {
        name: group.name.text.clone(),
        members: group.members.iter().map(|m| m.text.clone()).collect(),
        tracks,
        tracking_weight: group.tracking_weight,
    }
}

/// Scripts of a notification, in the order in which they run.
pub(crate) fn scripts_for(scripts: &Scripts, kind: vrrp::NotifyKind) -> Vec<NotifyScript> {
    let own = match kind {
        vrrp::NotifyKind::Master => &scripts.master,
        vrrp::NotifyKind::Backup => &scripts.backup,
        vrrp::NotifyKind::Fault => &scripts.fault,
        vrrp::NotifyKind::Stop => &scripts.stop,
        vrrp::NotifyKind::Deleted => &scripts.deleted,
        vrrp::NotifyKind::MasterRxLowerPri => {
            return scripts.master_rx_lower_pri.iter().map(|c| script(c, false)).collect();
        }
        // Priorities are for FIFOs alone.
        vrrp::NotifyKind::MasterPriority(_) | vrrp::NotifyKind::BackupPriority(_) => {
            return Vec::new();
        }
    };
    let own = own.iter().map(|c| script(c, false));
    own.chain(scripts.any.iter().map(|c| script(c, true))).collect()
}

fn script(command: &notify::settings::ScriptCommand, with_arguments: bool) -> NotifyScript {
    NotifyScript { command: command.clone(), with_arguments }
}
