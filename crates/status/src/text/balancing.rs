//! The balancer's part of `standfast status`, `standfast server list` and `standfast explain` of a
//! virtual or real server, as text for people.

use std::fmt::Write as _;

use super::{long_duration, short_duration, times, wrap};
use crate::balancing::{Balancing, Check, Connections, Health, Order, RealServer, VirtualServer};
use crate::{Record, Timestamp};

/// How many of the servers that are down the overview names for each virtual server.
const DOWN_SHOWN: usize = 4;
/// How many events `explain` shows.
const HISTORY_SHOWN: usize = 12;

/// The overview: one line a virtual server, then whatever needs attention.
pub fn status(snapshot: &Balancing) -> String {
    let mut out = String::new();
    problems(&mut out, snapshot);
    if snapshot.virtual_servers.is_empty() {
        out.push_str("no virtual_server is configured\n");
        return out;
    }
    let all = &snapshot.virtual_servers;
    let width = all.iter().map(|v| v.name.chars().count()).max().unwrap_or(0).max(14);
    let _ = writeln!(
        out,
        "{:width$}  {:7}  {:>6}  {:>7}  {:>6}  {:>6}  {:>6}",
        "VIRTUAL SERVER", "STATE", "SINCE", "SERVING", "WEIGHT", "QUORUM", "ACTIVE"
    );
    for v in all {
        let serving = v.real_servers.iter().filter(|r| r.weight.effective > 0).count();
        let active: u64 = v.real_servers.iter().map(|r| r.connections.active).sum();
        let _ = writeln!(
            out,
            "{:width$}  {:7}  {:>6}  {:>7}  {:>6}  {:>6}  {:>6}",
            v.name,
            v.state,
            short_duration(v.since.until(snapshot.time)),
            format!("{serving}/{}", v.real_servers.len()),
            v.weight,
            v.quorum,
            active,
        );
    }
    for v in all {
        attention(&mut out, v, snapshot);
    }
    for notice in &snapshot.notices {
        let _ = writeln!(out, "! {notice}");
    }
    out
}

/// What is wrong with the role or with IPVS.
fn problems(out: &mut String, snapshot: &Balancing) {
    let ipvs = &snapshot.ipvs;
    if let Some(reason) = &snapshot.node.reload_refused {
        let _ = writeln!(out, "! the last reload was refused: {reason}");
    }
    if snapshot.node.restarts > 0 {
        let _ = writeln!(
            out,
            "! the balancer was restarted after a crash, {}",
            times(snapshot.node.restarts)
        );
    }
    if !ipvs.available {
        let why = ipvs.problem.as_deref().unwrap_or("not looked for yet");
        let _ = writeln!(out, "! nothing is balanced: {why}");
        if let Some(remedy) = &ipvs.remedy {
            let _ = writeln!(out, "  remedy: {remedy}");
        }
        if let Some(seconds) = ipvs.retry_in {
            let _ = writeln!(out, "  it is tried again in {}", long_duration(seconds));
        }
    }
    for refused in &ipvs.refused {
        let _ = writeln!(out, "! the kernel refused: {refused}");
    }
    if ipvs.repaired > 0 {
        let what = if ipvs.repaired == 1 { "change" } else { "changes" };
        let _ = writeln!(
            out,
            "! {} {what} of somebody else to our part of the IPVS table put right",
            ipvs.repaired
        );
    }
}

fn attention(out: &mut String, v: &VirtualServer, snapshot: &Balancing) {
    let now = snapshot.time;
    if v.state == Health::Down {
        let cause = if v.cause.is_empty() { "quorum lost" } else { &v.cause };
        let _ = writeln!(out, "! {} is DOWN: {cause}", v.name);
    }
    if let Some(sorry) = v.sorry_server.as_ref().filter(|s| s.active) {
        let _ = writeln!(out, "! {}: the sorry server {} answers", v.name, sorry.name);
    }
    if v.suspended {
        let _ = writeln!(out, "  {}: its address is not here, its checks wait", v.name);
    }
    // Without IPVS that is said once, above.
    for service in v.services.iter().filter(|s| !s.set && snapshot.ipvs.available) {
        let _ = writeln!(out, "! {}: the kernel does not have {}", v.name, service.text);
    }
    let mut down = v.real_servers.iter().filter(|r| r.state == Health::Down && r.order.is_none());
    for r in down.by_ref().take(DOWN_SHOWN) {
        let _ = writeln!(
            out,
            "! {}: {} is DOWN for {}: {}",
            v.name,
            r.name,
            short_duration(r.since.until(now)),
            reason(r)
        );
    }
    let more = down.count();
    if more > 0 {
        let _ = writeln!(out, "! {}: {more} more are DOWN", v.name);
    }
    for r in v.real_servers.iter().filter(|r| r.order.is_some()) {
        let _ = writeln!(out, "  {}: {} {}", v.name, r.name, order_text(r));
    }
}

/// `standfast server list`: every virtual server with its real servers.
pub fn servers(snapshot: &Balancing) -> String {
    let mut out = String::new();
    problems(&mut out, snapshot);
    if snapshot.virtual_servers.is_empty() {
        out.push_str("no virtual_server is configured\n");
    }
    for (place, v) in snapshot.virtual_servers.iter().enumerate() {
        if place > 0 {
            out.push('\n');
        }
        list(&mut out, v, snapshot.time);
    }
    out
}

fn list(out: &mut String, v: &VirtualServer, now: Timestamp) {
    let _ = writeln!(
        out,
        "{}  {} for {}  {} {}  weight {}, quorum {}",
        v.name,
        v.state,
        short_duration(v.since.until(now)),
        v.settings.scheduler,
        v.settings.forwarding,
        v.weight,
        v.quorum
    );
    let rows: Vec<[String; 6]> = v
        .real_servers
        .iter()
        .map(|r| {
            let configured = r.weight.configured;
            let weight = if r.weight.effective == configured {
                configured.to_string()
            } else {
                format!("{} of {configured}", r.weight.effective)
            };
            [
                r.name.clone(),
                state_word(r).to_owned(),
                short_duration(state_since(r).until(now)),
                weight,
                r.connections.active.to_string(),
                r.connections.inactive.to_string(),
            ]
        })
        .collect();
    let titles = ["REAL SERVER", "STATE", "SINCE", "WEIGHT", "ACTIVE", "INACTIVE"];
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or(0).max(titles[column].len())
    };
    let w: [usize; 6] = std::array::from_fn(width);
    let mut line = |cells: [&str; 6]| {
        let [name, state, since, weight, active, inactive] = cells;
        let text = format!(
            "  {name:0$}  {state:1$}  {since:>2$}  {weight:>3$}  {active:>4$}  {inactive:>5$}",
            w[0], w[1], w[2], w[3], w[4], w[5]
        );
        let _ = writeln!(out, "{}", text.trim_end());
    };
    line(titles);
    for row in &rows {
        line(row.each_ref().map(String::as_str));
    }
    for r in &v.real_servers {
        if r.order.is_some() {
            let _ = writeln!(out, "  {} {}", r.name, order_text(r));
        } else if r.state == Health::Down {
            let _ = writeln!(out, "  {}: {}", r.name, reason(r));
        }
    }
    if let Some(sorry) = &v.sorry_server {
        let state = if sorry.active { "answers" } else { "waits" };
        let _ = writeln!(out, "  sorry server {} {state}", sorry.name);
    }
}

/// Why a virtual server, or the real servers of that name, are what they are. `None` when nothing
/// is called so. `local_time` prints an instant in local time, as `2026-11-21 12:17:54`.
pub fn explain(
    snapshot: &Balancing,
    name: &str,
    local_time: &dyn Fn(Timestamp) -> String,
) -> Option<String> {
    let mut out = String::new();
    for v in &snapshot.virtual_servers {
        if v.answers_to(name) {
            explain_virtual(&mut out, v, snapshot.time, local_time);
        }
        for r in v.real_servers.iter().filter(|r| r.answers_to(name)) {
            explain_real(&mut out, v, r, snapshot.time, local_time);
        }
    }
    (!out.is_empty()).then_some(out)
}

fn explain_virtual(
    out: &mut String,
    v: &VirtualServer,
    now: Timestamp,
    local_time: &dyn Fn(Timestamp) -> String,
) {
    let _ = writeln!(
        out,
        "{} is {} since {} ({})",
        v.name,
        v.state,
        local_time(v.since),
        long_duration(v.since.until(now))
    );
    let mut row = |label: &str, text: &str| wrap(out, label, text);
    if !v.cause.is_empty() {
        row("because", &v.cause);
    }
    row("quorum", &quorum_text(v));
    row("balances", &format!("{} by {}", v.settings.scheduler, v.settings.forwarding));
    for (place, service) in v.services.iter().enumerate() {
        let state = if service.set { "in the kernel" } else { "not in the kernel" };
        row(if place == 0 { "services" } else { "" }, &format!("{} ({state})", service.text));
    }
    if let Some(sorry) = &v.sorry_server {
        let state = if sorry.active { "answers now" } else { "answers when the quorum is lost" };
        row("sorry server", &format!("{} {state}", sorry.name));
    }
    if v.suspended {
        row("suspended", "its address is not on this host (ha_suspend)");
    }
    for (place, r) in v.real_servers.iter().enumerate() {
        let text = format!(
            "{} {}, weight {} of {}",
            r.name,
            state_word(r),
            r.weight.effective,
            r.weight.configured
        );
        row(if place == 0 { "real servers" } else { "" }, &text);
    }
    history(out, v.history.iter(), local_time);
}

fn explain_real(
    out: &mut String,
    v: &VirtualServer,
    r: &RealServer,
    now: Timestamp,
    local_time: &dyn Fn(Timestamp) -> String,
) {
    let _ = writeln!(
        out,
        "{} of {} is {} since {} ({})",
        r.name,
        v.name,
        state_word(r),
        local_time(state_since(r)),
        long_duration(state_since(r).until(now))
    );
    let mut row = |label: &str, text: &str| wrap(out, label, text);
    if !r.cause.is_empty() {
        row("because", &r.cause);
    }
    if let Some(name) = &r.found_by {
        row("found by", &format!("the DNS name {name}"));
    }
    if r.order.is_some() {
        row("an operator", &order_text(r));
    }
    row("weight", &weight_text(r));
    let set = if r.set { "in the kernel" } else { "not in the kernel" };
    row("forwarding", &format!("{}, {set}", r.forwarding));
    let c = &r.connections;
    row(
        "connections",
        &format!("{} active, {} inactive, {} persistent", c.active, c.inactive, c.persistent),
    );
    if r.checks.is_empty() {
        row("checks", "none: it counts as up");
    }
    for (place, check) in r.checks.iter().enumerate() {
        row(if place == 0 { "checks" } else { "" }, &check_text(check, now));
    }
    let about = |record: &&Record| record.message.contains(&r.name);
    history(out, v.history.iter().filter(about), local_time);
}

fn history<'a>(
    out: &mut String,
    records: impl Iterator<Item = &'a Record>,
    local_time: &dyn Fn(Timestamp) -> String,
) {
    let records: Vec<_> = records.collect();
    if records.is_empty() {
        return;
    }
    out.push_str("what happened\n");
    let left_out = records.len().saturating_sub(HISTORY_SHOWN);
    if left_out > 0 {
        let _ = writeln!(out, "  ({left_out} earlier events: --json shows all)");
    }
    for record in records.into_iter().skip(left_out) {
        let text = match &record.cause {
            Some(cause) => format!("{}: {cause}", record.message),
            None => record.message.clone(),
        };
        wrap(out, &local_time(record.time), &text);
        if let Some(hint) = &record.hint {
            wrap(out, "", &format!("hint: {hint}"));
        }
    }
}

fn quorum_text(v: &VirtualServer) -> String {
    let up = u64::from(v.quorum) + u64::from(v.hysteresis);
    let down = v.quorum.saturating_sub(v.hysteresis);
    if v.hysteresis == 0 {
        format!("weight {} serves, {} is needed", v.weight, v.quorum)
    } else {
        format!("weight {} serves; gained at {up}, lost below {down}", v.weight)
    }
}

fn weight_text(r: &RealServer) -> String {
    let w = &r.weight;
    let mut text = format!("{} now; {} configured", w.effective, w.configured);
    if w.checks != 0 {
        let _ = write!(text, ", {:+} by its checks", w.checks);
    }
    text
}

fn check_text(check: &Check, now: Timestamp) -> String {
    let mut text = format!("{} {} is {}", check.kind, check.target, check.state);
    if !check.last.is_empty() {
        let _ = write!(text, ": {}", check.last);
    }
    if let Some(at) = check.last_time {
        let _ = write!(text, ", {} ago", long_duration(at.until(now)));
    }
    if check.suspended {
        text.push_str(", suspended");
    } else if let Some(next) = check.next_in {
        let _ = write!(text, ", again in {}", long_duration(next));
    }
    if check.failures > 0 && check.state != Health::Down {
        let _ = write!(text, ", {} forgiven", times(check.failures));
    }
    if check.adds != 0 {
        let _ = write!(text, ", adds {:+} to the weight", check.adds);
    }
    text
}

/// What the lists call its state: an operator's order goes before its health.
fn state_word(r: &RealServer) -> &'static str {
    match r.order {
        Some(Order::Drain { finished: true, .. }) => "DRAINED",
        Some(Order::Drain { .. }) => "DRAINING",
        Some(Order::Disable) => "DISABLED",
        Some(Order::Weight { .. }) | None => r.state.word(),
    }
}

/// Since when it is what [`state_word`] says.
fn state_since(r: &RealServer) -> Timestamp {
    match r.order {
        Some(Order::Drain { .. } | Order::Disable) => r.ordered.unwrap_or(r.since),
        Some(Order::Weight { .. }) | None => r.since,
    }
}

fn order_text(r: &RealServer) -> String {
    match r.order {
        Some(Order::Weight { weight }) => {
            format!("has weight {weight} by order, {} configured", r.weight.configured)
        }
        Some(Order::Drain { finished: true, .. }) => "is drained by order".to_owned(),
        Some(Order::Drain { deadline_in, .. }) => {
            let Connections { active, inactive, .. } = r.connections;
            let until = deadline_in
                .map_or(String::new(), |left| format!(", at most {} more", long_duration(left)));
            format!(
                "is draining by order: {active} active and {inactive} inactive connections{until}"
            )
        }
        Some(Order::Disable) => "is disabled by order".to_owned(),
        None => String::new(),
    }
}

fn reason(r: &RealServer) -> &str {
    match r.cause.as_str() {
        "" if r.address.is_none() => "its name has no answer",
        "" => "no check has succeeded yet",
        cause => cause,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balancing::{Ipvs, Service, Settings, SorryServer, Weight};

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn real(host: u8, state: Health) -> RealServer {
        RealServer {
            name: format!("[10.0.0.{host}]:tcp:80"),
            address: Some(([10, 0, 0, host], 80).into()),
            state,
            since: at(100),
            weight: Weight { configured: 1, checks: 0, effective: u32::from(state == Health::Up) },
            forwarding: "NAT".into(),
            set: state == Health::Up,
            ..RealServer::default()
        }
    }

    fn snapshot() -> Balancing {
        let mut sick = real(3, Health::Down);
        sick.cause = "HTTP 503, wanted 200-299, from 10.0.0.3:80 after 41 ms".into();
        sick.checks = vec![Check {
            kind: "HTTP_GET".into(),
            target: "10.0.0.3:80".into(),
            state: Health::Down,
            last: sick.cause.clone(),
            last_time: Some(at(160)),
            next_in: Some(1.0),
            ..Check::default()
        }];
        let mut leaving = real(4, Health::Up);
        leaving.ordered = Some(at(155));
        leaving.order = Some(Order::Drain { deadline_in: Some(20.0), finished: false });
        leaving.weight.effective = 0;
        leaving.connections = Connections { active: 2, inactive: 1, persistent: 0 };
        let web = VirtualServer {
            name: "[198.51.100.1]:tcp:80".into(),
            protocol: "tcp".into(),
            services: vec![Service {
                text: "TCP 198.51.100.1:80".into(),
                set: true,
                ..Service::default()
            }],
            state: Health::Up,
            since: at(100),
            weight: 1,
            quorum: 1,
            sorry_server: Some(SorryServer {
                name: "[10.0.0.9]:tcp:80".into(),
                ..SorryServer::default()
            }),
            settings: Settings {
                scheduler: "wrr".into(),
                forwarding: "NAT".into(),
                ..Settings::default()
            },
            real_servers: vec![real(2, Health::Up), sick, leaving],
            ..VirtualServer::default()
        };
        Balancing {
            time: at(165),
            ipvs: Ipvs { available: true, ..Ipvs::default() },
            virtual_servers: vec![web],
            ..Balancing::default()
        }
    }

    #[test]
    fn the_overview_has_a_line_a_virtual_server_and_then_what_is_wrong() {
        assert_eq!(
            status(&snapshot()),
            "VIRTUAL SERVER         STATE     SINCE  SERVING  WEIGHT  QUORUM  ACTIVE\n\
             [198.51.100.1]:tcp:80  UP        1m05s      1/3       1       1       2\n\
             ! [198.51.100.1]:tcp:80: [10.0.0.3]:tcp:80 is DOWN for 1m05s: HTTP 503, wanted \
             200-299, from 10.0.0.3:80 after 41 ms\n  \
             [198.51.100.1]:tcp:80: [10.0.0.4]:tcp:80 is draining by order: 2 active and 1 \
             inactive connections, at most 20 s more\n"
        );
    }

    #[test]
    fn the_list_has_a_line_a_real_server() {
        assert_eq!(
            servers(&snapshot()),
            "[198.51.100.1]:tcp:80  UP for 1m05s  wrr NAT  weight 1, quorum 1\n  \
             REAL SERVER        STATE     SINCE  WEIGHT  ACTIVE  INACTIVE\n  \
             [10.0.0.2]:tcp:80  UP        1m05s       1       0         0\n  \
             [10.0.0.3]:tcp:80  DOWN      1m05s  0 of 1       0         0\n  \
             [10.0.0.4]:tcp:80  DRAINING    10s  0 of 1       2         1\n  \
             [10.0.0.3]:tcp:80: HTTP 503, wanted 200-299, from 10.0.0.3:80 after 41 ms\n  \
             [10.0.0.4]:tcp:80 is draining by order: 2 active and 1 inactive connections, at most \
             20 s more\n  \
             sorry server [10.0.0.9]:tcp:80 waits\n"
        );
    }

    #[test]
    fn without_ipvs_the_remedy_is_told_first() {
        let mut all = snapshot();
        all.ipvs = Ipvs {
            problem: Some("the kernel has no IPVS".into()),
            remedy: Some("modprobe ip_vs".into()),
            retry_in: Some(12.0),
            ..Ipvs::default()
        };
        assert!(status(&all).starts_with(
            "! nothing is balanced: the kernel has no IPVS\n  remedy: modprobe ip_vs\n  it is \
             tried again in 12 s\n"
        ));
    }

    #[test]
    fn explain_tells_about_virtual_and_real_servers() {
        let local = |t: Timestamp| format!("t{}", t.secs());
        let text = explain(&snapshot(), "198.51.100.1:80", &local).unwrap();
        assert!(text.starts_with("[198.51.100.1]:tcp:80 is UP since t100 (1 min 5 s)\n"), "{text}");
        assert!(text.contains("  quorum       weight 1 serves, 1 is needed\n"), "{text}");
        let text = explain(&snapshot(), "10.0.0.3", &local).unwrap();
        assert!(
            text.starts_with(
                "[10.0.0.3]:tcp:80 of [198.51.100.1]:tcp:80 is DOWN since t100 (1 min 5 s)\n  \
                 because      HTTP 503, wanted 200-299, from 10.0.0.3:80 after 41 ms\n"
            ),
            "{text}"
        );
        assert!(text.lines().all(|l| l.chars().count() <= 80), "{text}");
        assert!(explain(&snapshot(), "10.0.0.77", &local).is_none());
    }
}
