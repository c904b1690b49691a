//! The state of everything, for `status` and the dump files: what the core knows. The caller adds
//! what the kernel counts and when checks run.

use netlink::ipvs::{Forwarding, ServiceKey};
use status::Timestamp;
use status::balancing as out;
use std::net::SocketAddr;

use super::engine::Core;
use super::io::Now;
use super::plan::{CheckPlan, VsPlan};
use super::server::{Ck, Ordered, Rs, Vs};
use checkers::CheckId;
use config::model::Command;
use config::model::balancer::Service;

/// What the core does not know, filled in by its caller. Everything has a default that does nothing.
pub trait Details {
    /// Whether a service is in the kernel, and its counters.
    fn service(&mut self, _key: &ServiceKey, _service: &mut out::Service) {}

    /// Connections and counters of a real server, to be summed over the places where the kernel
    /// has it.
    fn server(&mut self, _places: &[(ServiceKey, SocketAddr)], _server: &mut out::RealServer) {}

    /// The same for the sorry server.
    fn sorry(&mut self, _places: &[(ServiceKey, SocketAddr)], _sorry: &mut out::SorryServer) {}

    /// What a check asks, its last result and its next run.
    fn check(&mut self, _id: CheckId, _plan: &CheckPlan, _check: &mut out::Check) {}

    /// The last events about a virtual server.
    fn history(&mut self, _plan: &VsPlan, _history: &mut Vec<status::Record>) {}
}

/// Only what the core knows.
impl Details for () {}

/// A moment for people.
pub(super) fn stamp(now: Now) -> Timestamp {
    Timestamp::from_micros(u64::try_from(now.unix.as_micros()).unwrap_or(u64::MAX))
}

impl Core {
    /// All virtual servers, in the order of the file.
    pub fn snapshot(&self, details: &mut impl Details, now: Now) -> Vec<out::VirtualServer> {
        self.virtual_servers.iter().map(|vs| self.virtual_server(vs, details, now)).collect()
    }

    fn virtual_server(&self, vs: &Vs, details: &mut impl Details, now: Now) -> out::VirtualServer {
        let plan = &vs.plan;
        let services = plan.services.iter().map(|(key, _)| {
            let mut service = out::Service { text: key.to_string(), ..Default::default() };
            details.service(key, &mut service);
            service
        });
        let services = services.collect();
        let sorry_server = plan.sorry.as_ref().map(|sorry| {
            let mut shown = out::SorryServer {
                name: sorry.name.to_string(),
                active: vs.is_sorry(),
                inhibit: sorry.inhibit,
                ..Default::default()
            };
            details.sorry(&places(plan, sorry.address, sorry.forwarding), &mut shown);
            shown
        });
        let mut history = Vec::new();
        details.history(plan, &mut history);
        out::VirtualServer {
            name: plan.name.to_string(),
            protocol: plan.protocol.map_or("", |protocol| protocol.word()).to_owned(),
            services,
            state: match (vs.begun, vs.up) {
                (false, _) => out::Health::Unknown,
                (true, true) => out::Health::Up,
                (true, false) => out::Health::Down,
            },
            since: stamp(vs.since),
            cause: vs.cause.clone(),
            weight: vs.weight(),
            quorum: plan.quorum,
            hysteresis: plan.hysteresis,
            sorry_server,
            suspended: vs.suspended,
            settings: settings(plan),
            real_servers: self.real_servers(vs, details, now),
            history,
        }
    }

    /// Servers in the order of the file; a name without an answer has a line of its own.
    fn real_servers(&self, vs: &Vs, details: &mut impl Details, now: Now) -> Vec<out::RealServer> {
        let mut list = Vec::with_capacity(vs.servers.len());
        for (p, plan) in vs.plan.servers.iter().enumerate() {
            let mut found = vs.servers.iter().filter(|server| server.block() == p).peekable();
            if found.peek().is_none() && plan.lookup.is_some() {
                list.push(out::RealServer {
                    name: plan.key.to_string(),
                    found_by: Some(plan.key.to_string()),
                    since: stamp(vs.since),
                    cause: "the name has no address".to_owned(),
                    ..block(vs, p)
                });
            }
            list.extend(found.map(|server| real_server(vs, server, details, now)));
        }
        list
    }
}

/// Where the kernel has a server.
fn places(
    plan: &VsPlan,
    server: SocketAddr,
    forwarding: Forwarding,
) -> Vec<(ServiceKey, SocketAddr)> {
    let place = |key: &ServiceKey| Some((*key, super::plan::destination(key, server, forwarding)?));
    plan.services.iter().filter_map(|(key, _)| place(key)).collect()
}

/// What the block of a real server says.
fn block(vs: &Vs, p: usize) -> out::RealServer {
    let plan = &vs.plan.servers[p];
    let settings = &plan.settings;
    let keywords = ["notify_up", "notify_down"].into_iter().zip(&settings.scripts);
    let script = |(keyword, command): (&str, &Option<Box<Command>>)| {
        Some((keyword.to_owned(), command.as_ref()?.words.join(" ")))
    };
    out::RealServer {
        forwarding: method(settings.forwarding).to_owned(),
        inhibit: settings.inhibit,
        upper_threshold: settings.upper,
        lower_threshold: settings.lower,
        scripts: keywords.filter_map(script).collect(),
        alpha: settings.alpha,
        smtp_alert: settings.mail,
        virtualhost: settings.virtualhost.as_deref().map(str::to_owned),
        delay_loop: vs.plan.model.delay_loop.value.as_secs_f64(),
        weight: out::Weight { configured: plan.weight, ..Default::default() },
        ..Default::default()
    }
}

fn real_server(vs: &Vs, server: &Rs, details: &mut impl Details, now: Now) -> out::RealServer {
    let plan = vs.plan_of(server);
    let wanted = vs.destination(server);
    let known = server.checks.is_empty() || server.checks.iter().any(|ck| ck.has_run);
    let failed = server.told_down || server.checks.iter().any(|ck| ck.has_run && !ck.up);
    let mut shown = out::RealServer {
        name: vs.name_of(server),
        address: Some(server.address),
        found_by: plan.lookup.as_ref().map(|_| plan.key.to_string()),
        state: match server.alive {
            true if known => out::Health::Up,
            false if failed => out::Health::Down,
            _ => out::Health::Unknown,
        },
        since: stamp(server.since),
        cause: server.cause(),
        weight: out::Weight {
            configured: server.configured(plan),
            checks: server.added(plan),
            effective: wanted.map_or(0, |wanted| wanted.weight),
        },
        order: server.ordered().map(|order| match order {
            Ordered::Weight(weight) => out::Order::Weight { weight },
            Ordered::Draining { deadline, .. } => out::Order::Drain {
                deadline_in: deadline.map(|at| at.saturating_sub(now.mono).as_secs_f64()),
                finished: false,
            },
            Ordered::Drained => out::Order::Drain { deadline_in: None, finished: true },
            Ordered::Disabled => out::Order::Disable,
        }),
        ordered: server.order.as_ref().map(|order| stamp(order.since)),
        set: wanted.is_some(),
        checks: server.checks.iter().map(|ck| check(vs, ck, details)).collect(),
        ..block(vs, server.block())
    };
    details.server(&places(&vs.plan, server.address, plan.settings.forwarding), &mut shown);
    shown
}

fn check(vs: &Vs, check: &Ck, details: &mut impl Details) -> out::Check {
    let mut shown = out::Check {
        kind: check.plan.keyword.to_owned(),
        state: match (check.has_run, check.up) {
            (false, _) => out::Health::Unknown,
            (true, true) => out::Health::Up,
            (true, false) => out::Health::Down,
        },
        since: stamp(check.since),
        last: check.detail.clone(),
        suspended: vs.suspended,
        ..Default::default()
    };
    details.check(check.id, &check.plan, &mut shown);
    shown
}

/// The word of `lvs_method`.
const fn method(forwarding: Forwarding) -> &'static str {
    match forwarding {
        Forwarding::Nat => "NAT",
        Forwarding::Dr => "DR",
        Forwarding::Tunnel(_) => "TUN",
        Forwarding::Other(_) => "",
    }
}

fn settings(plan: &VsPlan) -> out::Settings {
    let model = &plan.model;
    let flags = &model.scheduler_flags;
    let flags = [(flags.flag1, "flag-1"), (flags.flag2, "flag-2"), (flags.flag3, "flag-3")];
    let script = |keyword: &str, command: Option<&Command>| {
        command.map(|command| (keyword.to_owned(), command.words.join(" ")))
    };
    let scripts = [
        script("quorum_up", model.quorum_up.as_deref()),
        script("quorum_down", model.quorum_down.as_deref()),
    ];
    out::Settings {
        delay_loop: model.delay_loop.value.as_secs_f64(),
        scheduler: model.scheduler.value.name().to_owned(),
        flags: flags.into_iter().filter(|(on, _)| *on).map(|(_, name)| name.to_owned()).collect(),
        forwarding: match model.forwarding.value {
            config::model::balancer::Forwarding::Nat => "NAT",
            config::model::balancer::Forwarding::Dr => "DR",
            config::model::balancer::Forwarding::Tunnel(_) => "TUN",
        }
        .to_owned(),
        one_packet: model.one_packet,
        persistence_timeout: model.persistence_timeout.map(|timeout| timeout.as_secs()),
        persistence_granularity: model.persistence_granularity,
        persistence_engine: model.persistence_engine.clone(),
        virtualhost: model.virtualhost.as_deref().map(str::to_owned),
        alpha: model.alpha,
        omega: model.omega,
        ha_suspend: model.ha_suspend,
        smtp_alert: model.smtp_alert.value,
        scripts: scripts.into_iter().flatten().collect(),
        group: match &model.service {
            Service::Group(name) => Some(name.text.clone()),
            _ => None,
        },
        mark: match &model.service {
            Service::FwMark(mark) => Some(*mark),
            _ => None,
        },
        address: match &model.service {
            Service::Address(address) => Some(*address),
            _ => None,
        },
        ip_version: if model.family == config::model::Family::V6 { 6 } else { 4 },
    }
}
