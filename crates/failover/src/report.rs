//! The role's state as clients see it: engine snapshot and kernel state put together.

use std::collections::HashMap;
use std::net::IpAddr;

use config::model::vrrp as m;
use status::snapshot::{
    Counters, Group, Instance, Interface, Item, Node, Peer, Priority, Settings, Snapshot, State,
    Term, Tracker,
};
use status::{Records, SCHEMA, Timestamp};
use vrrp::{Now, PeerSnapshot, RouterSnapshot, Statistics, Time, TrackerState};

use crate::kernel_form;
use crate::plan::{Plan, RouterPlan};
use crate::records::timestamp;

/// What the report needs besides the engine's snapshot.
pub(crate) struct Facts<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) records: &'a Records,
    pub(crate) node: Node,
    pub(crate) trackers: &'a HashMap<(vrrp::TrackKind, String), TrackerFact>,
    pub(crate) interfaces: Vec<Interface>,
    pub(crate) notices: Vec<String>,
    /// Whether an address, route or rule of a router is in the kernel, and how often it was put
    /// back: by router and place in its list.
    pub(crate) held: &'a dyn Fn(usize, What, usize) -> (bool, u32),
}

/// Which list of a holding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum What {
    Address,
    Route,
    Rule,
}

/// The last word about a tracked thing.
#[derive(Clone, Debug)]
pub(crate) struct TrackerFact {
    pub(crate) state: TrackerState,
    pub(crate) detail: String,
    pub(crate) since: Timestamp,
}

/// Puts it together.
pub(crate) fn snapshot(engine: &vrrp::Snapshot, facts: Facts<'_>) -> Snapshot {
    let now = engine.time;
    let names: HashMap<_, _> = engine.routers.iter().map(|r| (r.id, r.name.as_str())).collect();
    let places: HashMap<_, _> =
        facts.plan.routers.iter().enumerate().map(|(place, p)| (p.name.as_str(), place)).collect();
    let states: HashMap<_, _> = engine.routers.iter().map(|r| (r.id, r.state)).collect();
    let mut instances = Vec::with_capacity(engine.routers.len());
    for router in &engine.routers {
        let Some(&place) = places.get(router.name.as_str()) else { continue };
        instances.push(instance(router, &facts.plan.routers[place], place, now, &facts));
    }
    let groups = engine
        .groups
        .iter()
        .map(|g| {
            let member = |wanted: vrrp::State| {
                g.members.iter().filter(|id| states.get(id) == Some(&wanted)).count() as u32
            };
            Group {
                name: g.name.clone(),
                state: state(g.state),
                members: g
                    .members
                    .iter()
                    .filter_map(|id| names.get(id).map(|name| (*name).to_owned()))
                    .collect(),
                members_fault: member(vrrp::State::Fault),
                members_init: member(vrrp::State::Init),
                terms: Vec::new(),
                smtp_alert: facts.plan.groups.iter().any(|p| p.name == g.name && p.smtp_alert),
            }
        })
        .collect();
    let mut trackers: Vec<_> = facts
        .trackers
        .iter()
        .map(|((kind, name), fact)| Tracker {
            kind: kind.word().to_owned(),
            name: name.clone(),
            state: tracker_word(fact.state),
            detail: fact.detail.clone(),
            since: fact.since,
        })
        .collect();
    trackers.sort_by(|a, b| (&a.kind, &a.name).cmp(&(&b.kind, &b.name)));
    Snapshot {
        schema: SCHEMA,
        time: timestamp(now),
        node: facts.node,
        instances,
        groups,
        trackers,
        interfaces: facts.interfaces,
        notices: facts.notices,
    }
}

fn instance(
    router: &RouterSnapshot,
    plan: &RouterPlan,
    place: usize,
    now: Now,
    facts: &Facts<'_>,
) -> Instance {
    let transition = router.last_transition.as_ref();
    let device = plan.holding.device.as_deref();
    let item = |what, index, text, excluded| {
        let (set, repaired) = (facts.held)(place, what, index);
        Item { text, set, excluded, repaired }
    };
    let addresses = plan
        .holding
        .addresses
        .iter()
        .enumerate()
        .map(|(index, address)| {
            let text = kernel_form::address_text(address, device);
            item(What::Address, index, text, index >= plan.holding.advertised)
        })
        .collect();
    let routes = plan.holding.routes.iter().enumerate();
    let rules = plan.holding.rules.iter().enumerate();
    Instance {
        name: router.name.clone(),
        group: router.group.clone(),
        interface: router.interface.clone(),
        ip_version: match router.family {
            vrrp::Family::V4 => 4,
            vrrp::Family::V6 => 6,
        },
        version: router.version.number(),
        vrid: router.vrid,
        state: state(router.state),
        wanted: state(router.wanted),
        since: transition.map(|t| timestamp(t.time)).unwrap_or(facts.node.started),
        cause: transition.map(|t| t.cause.to_string()).unwrap_or_default(),
        priority: Priority {
            base: router.base_priority,
            effective: router.effective_priority,
            total: router.total_priority,
            terms: router
                .terms
                .iter()
                .map(|term| Term {
                    kind: term.kind.word().to_owned(),
                    name: term.name.clone(),
                    state: tracker_word(term.state),
                    weight: term.weight,
                    reverse: term.reverse,
                    adds: term.adds,
                })
                .collect(),
        },
        faults: router.faults.iter().map(ToString::to_string).collect(),
        waiting_for: router.waiting_for.clone(),
        source: router.source,
        advert_interval: router.advert_interval.as_secs_f64(),
        master_interval: router.master_interval.as_secs_f64(),
        master_down: router.master_down.as_secs_f64(),
        master_down_in: router.master_down_at.map(|at| at.since(now.mono).as_secs_f64()),
        master: router.master.as_ref().map(|p| peer(p, now.mono)),
        peers: router.peers.iter().map(|p| peer(p, now.mono)).collect(),
        handed_over: router.handed_over,
        yielding: router.yielding_until.is_some(),
        addresses,
        routes: routes
            .map(|(i, r)| item(What::Route, i, kernel_form::route_text(r), false))
            .collect(),
        rules: rules.map(|(i, r)| item(What::Rule, i, kernel_form::rule_text(r), false)).collect(),
        counters: counters(&router.statistics),
        settings: settings(plan, router),
        history: facts.records.of(&router.name),
    }
}

fn settings(plan: &RouterPlan, router: &RouterSnapshot) -> Settings {
    let model = &plan.model;
    let names = |list: &[config::model::Tracked]| -> Vec<String> {
        list.iter().map(|t| t.name.text.clone()).collect()
    };
    Settings {
        nopreempt: !model.preempt.value,
        preempt_delay: model.preempt_delay.value.as_secs_f64(),
        accept: model.accept.value || router.base_priority == 255,
        strict: model.strict.value,
        dont_track_primary: model.dont_track_primary,
        skip_check_adv_addr: model.skip_check_adv_addr.value,
        promote_secondaries: model.promote_secondaries,
        vmac_interface: plan.holding.device.clone().unwrap_or_default(),
        garp_delay: model.garp.delay.value.as_secs_f64(),
        garp_repeat: model.garp.repeat.value,
        garp_refresh: model.garp.refresh.value.as_secs_f64(),
        garp_refresh_repeat: model.garp.refresh_repeat.value,
        garp_lower_prio_delay: model.garp.lower_prio_delay.value.as_secs_f64(),
        garp_lower_prio_repeat: model.garp.lower_prio_repeat.value,
        lower_prio_no_advert: model.lower_prio_no_advert.value,
        higher_prio_send_advert: model.higher_prio_send_advert.value,
        down_timer_adverts: u32::from(model.down_timer_adverts.value),
        smtp_alert: model.smtp_alert.value,
        notify_deleted: model.notify_deleted,
        notify_priority_changes: model.notify_priority_changes.value,
        auth_type: match model.auth {
            m::Auth::Pass(_) => 1,
            m::Auth::Ah(_) => 2,
            m::Auth::None | m::Auth::Hmac(_) => 0,
        },
        auth_hmac: matches!(model.auth, m::Auth::Hmac(_)),
        multicast: match model.transport {
            m::Transport::Multicast { group } => Some(group),
            m::Transport::Unicast { .. } => None,
        },
        scripts: plan.scripts.listed.clone(),
        track_interfaces: names(&model.tracks.interfaces),
        track_scripts: names(&model.tracks.scripts),
        track_processes: names(&model.tracks.processes),
    }
}

fn peer(peer: &PeerSnapshot, now: Time) -> Peer {
    Peer {
        address: peer.address,
        priority: peer.priority,
        interval: peer.interval.map(|i| i.as_secs_f64()),
        heard_ago: peer.last_heard.map(|at| now.since(at).as_secs_f64()),
        configured: peer.configured,
    }
}

fn state(state: vrrp::State) -> State {
    match state {
        vrrp::State::Init => State::Init,
        vrrp::State::Backup => State::Backup,
        vrrp::State::Master => State::Master,
        vrrp::State::Fault => State::Fault,
    }
}

fn tracker_word(state: TrackerState) -> String {
    match state {
        TrackerState::Unknown => "unknown".to_owned(),
        TrackerState::Up => "up".to_owned(),
        TrackerState::Down => "down".to_owned(),
        TrackerState::Value(value) => value.to_string(),
    }
}

/// A hardware address for people.
pub(crate) fn mac_text(bytes: &[u8]) -> String {
    let parts: Vec<_> = bytes.iter().map(|b| format!("{b:02x}")).collect();
    parts.join(":")
}

/// The address that an interface would speak VRRP from: its first IPv4 one, its link-local IPv6
/// one (or, if it has none, the first).
pub(crate) fn first<'a>(
    mut addresses: impl Iterator<Item = &'a IpAddr> + Clone,
    v4: bool,
) -> Option<IpAddr> {
    let local = |ip: &&IpAddr| matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
    let own = addresses.clone().find(local).filter(|_| !v4);
    own.or_else(|| addresses.find(|ip| ip.is_ipv4() == v4)).copied()
}

fn counters(s: &Statistics) -> Counters {
    Counters {
        advert_rcvd: s.advert_rcvd,
        advert_sent: s.advert_sent,
        become_master: s.become_master,
        release_master: s.release_master,
        packet_len_err: s.packet_len_err,
        advert_interval_err: s.advert_interval_err,
        ip_ttl_err: s.ip_ttl_err,
        invalid_type_rcvd: s.invalid_type_rcvd,
        addr_list_err: s.addr_list_err,
        invalid_authtype: s.invalid_authtype,
        authtype_mismatch: s.authtype_mismatch,
        auth_failure: s.auth_failure,
        auth_ext_missing: s.auth_ext_missing,
        auth_ext_malformed: s.auth_ext_malformed,
        auth_ext_unknown_key: s.auth_ext_unknown_key,
        auth_ext_invalid_hmac: s.auth_ext_invalid_hmac,
        auth_ext_stale: s.auth_ext_stale,
        auth_ext_replay: s.auth_ext_replay,
        pri_zero_rcvd: s.pri_zero_rcvd,
        pri_zero_sent: s.pri_zero_sent,
    }
}
