//! `keepalived_check.data`: the sections and labels that exporters and scripts look for.

use std::fmt::Write as _;

use crate::balancing::{Balancing, Check, Health, RealServer, Settings, VirtualServer};

// Writing to a String cannot fail: the results of `writeln!` are dropped on purpose.
macro_rules! put {
    ($out:expr, $($arg:tt)*) => {{ let _ = writeln!($out, $($arg)*); }};
}

/// The text of `keepalived_check.data`. `globals` are the lines of the first section.
pub fn check_data(snapshot: &Balancing, globals: &[String]) -> String {
    let mut out = String::with_capacity(2048 + 2048 * snapshot.virtual_servers.len());
    put!(out, "------< Global definitions >------");
    for global in globals {
        put!(out, " {global}");
    }
    if !snapshot.virtual_servers.is_empty() {
        put!(out, "------< LVS Topology >------");
        for v in &snapshot.virtual_servers {
            virtual_server(&mut out, v);
        }
    }
    let checks = |r: &RealServer| !r.checks.is_empty();
    if snapshot.virtual_servers.iter().any(|v| v.real_servers.iter().any(checks)) {
        put!(out, "------< Health checkers >------");
        for v in &snapshot.virtual_servers {
            for r in &v.real_servers {
                for check in &r.checks {
                    put!(out, " {} -> {}", v.name, r.name);
                    checker(&mut out, check);
                }
            }
        }
    }
    out
}

fn virtual_server(out: &mut String, v: &VirtualServer) {
    let s = &v.settings;
    put!(out, " ------< Virtual server >------");
    match (&s.group, s.mark, s.address) {
        (Some(_), ..) => put!(out, " VS GROUP = {}", v.name),
        (None, Some(mark), _) => put!(out, " VS FWMARK = {mark}"),
        (None, None, Some(address)) => {
            put!(out, " VS VIP = {}, VPORT = {}", address.ip(), address.port());
        }
        (None, None, None) => put!(out, " VS = {}", v.name),
    }
    if let Some(host) = &s.virtualhost {
        put!(out, "   VirtualHost = {host}");
    }
    put!(out, "   Address family = {}", if s.ip_version == 6 { "inet6" } else { "inet" });
    put!(out, "   delay_loop = {:.6}", s.delay_loop);
    put!(out, "   lvs_sched = {}", s.scheduler);
    flags(out, s);
    put!(out, "   One packet scheduling = {}", enabled(s.one_packet));
    if let Some(engine) = &s.persistence_engine {
        put!(out, "   persistence engine = {engine}");
    }
    if let Some(timeout) = s.persistence_timeout {
        put!(out, "   persistence timeout = {timeout}");
    }
    if let Some(length) = s.persistence_granularity {
        put!(out, "   persistence granularity = {}", granularity(s.ip_version, length));
    }
    let protocol =
        if v.protocol.is_empty() { "none".to_owned() } else { v.protocol.to_uppercase() };
    put!(out, "   protocol = {protocol}");
    put!(out, "   alpha is {}", on(s.alpha));
    put!(out, "   omega is {}", on(s.omega));
    put!(out, "   quorum = {}, hysteresis = {}", v.quorum, v.hysteresis);
    for (keyword, command) in &s.scripts {
        let which = if keyword == "quorum_up" { "up" } else { "down" };
        put!(out, "   Quorum {which} notify script = {command}");
    }
    if s.ha_suspend {
        put!(out, "   Using HA suspend");
    }
    put!(out, "   Using smtp notification = {}", yes(s.smtp_alert));
    put!(out, "   default forwarding method = {}", s.forwarding);
    if let Some(sorry) = &v.sorry_server {
        put!(out, "   sorry server = {}", sorry.name);
        put!(out, "     Inhibit on failure is {}", on(sorry.inhibit));
    }
    // Keepalived's `alive` says that the service is in the kernel.
    put!(out, "   alive = {}", u8::from(v.services.iter().any(|service| service.set)));
    put!(out, "   quorum_state_up = {}", u8::from(v.state == Health::Up));
    for r in &v.real_servers {
        real_server(out, r);
    }
}

fn flags(out: &mut String, s: &Settings) {
    let names: &[(&str, &str)] = match s.scheduler.as_str() {
        "sh" => &[("sh-port", "flag-2"), ("sh-fallback", "flag-1")],
        "mh" => &[("mh-port", "flag-2"), ("mh-fallback", "flag-1")],
        _ => &[("flag-1", "flag-1"), ("flag-2", "flag-2"), ("flag-3", "flag-3")],
    };
    for (name, flag) in names {
        put!(out, "   {name} = {}", enabled(s.flags.iter().any(|set| set == flag)));
    }
}

fn granularity(ip_version: u8, length: u8) -> String {
    if ip_version == 6 {
        return length.to_string();
    }
    let mask = u32::MAX.checked_shl(32 - u32::from(length.min(32))).unwrap_or(0);
    std::net::Ipv4Addr::from(mask).to_string()
}

fn real_server(out: &mut String, r: &RealServer) {
    put!(out, "   ------< Real server >------");
    let (host, port) = match r.address {
        Some(address) => (address.ip().to_string(), address.port()),
        None => (r.name.clone(), 0),
    };
    let effective = i64::from(r.weight.configured) + r.weight.checks;
    put!(
        out,
        "   RIP = {host}, RPORT = {port}, WEIGHT = {} EFF WEIGHT = {}",
        r.weight.configured,
        effective.max(0)
    );
    if let Some(name) = &r.found_by {
        put!(out, "   DNS name = {name}");
    }
    put!(out, "   forwarding method = {}", r.forwarding);
    put!(out, "   Alpha is {}", on(r.alpha));
    put!(out, "   connection limit range = {} -> {}", r.lower_threshold, r.upper_threshold);
    put!(out, "   Delay loop = {:.6}", r.delay_loop);
    if let Some(host) = &r.virtualhost {
        put!(out, "   VirtualHost = {host}");
    }
    put!(out, "   Inhibit on failure is {}", on(r.inhibit));
    for (keyword, command) in &r.scripts {
        let which = if keyword == "notify_up" { "up" } else { "down" };
        put!(out, "     RS {which} notify script = {command}");
    }
    put!(out, "   Using smtp notification = {}", yes(r.smtp_alert));
    put!(out, "   initial weight = {}", r.weight.configured);
    put!(out, "   effective weight = {}", effective.max(0));
    put!(out, "   alive = {}", u8::from(r.state != Health::Down));
    let failed = r.checks.iter().filter(|check| check.state == Health::Down).count();
    put!(out, "   num failed checkers = {failed}");
    put!(out, "   RS set = {}", u8::from(r.set));
}

fn checker(out: &mut String, check: &Check) {
    put!(out, "   Enabled = {}", yes(!check.suspended));
    put!(out, "   Up = {}", yes(check.state != Health::Down));
    put!(out, "   Has run = {}", yes(check.last_time.is_some()));
    put!(out, "   Current weight = {}", check.adds);
    put!(out, "   Retries iterations = {}", check.failures);
    for (label, value) in &check.settings {
        if value.is_empty() {
            put!(out, "   {label}");
        } else {
            put!(out, "   {label} = {value}");
        }
    }
    put!(out, "   Keepalive method = {}", check.kind);
    if !check.last.is_empty() {
        put!(out, "   Last result = {}", check.last);
    }
}

fn on(yes: bool) -> &'static str {
    if yes { "ON" } else { "OFF" }
}

fn yes(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}

fn enabled(yes: bool) -> &'static str {
    if yes { "enabled" } else { "disabled" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balancing::{Service, SorryServer, Weight};

    #[test]
    fn labels_are_keepalived_s() {
        let check = Check {
            kind: "TCP_CHECK".into(),
            state: Health::Up,
            settings: vec![
                ("Delay loop".into(), "2000000 us".into()),
                ("Connection".into(), String::new()),
                ("  Dest".into(), "[127.0.0.2]:80".into()),
            ],
            ..Check::default()
        };
        let real = RealServer {
            name: "[127.0.0.2]:tcp:80".into(),
            address: Some(([127, 0, 0, 2], 80).into()),
            state: Health::Up,
            weight: Weight { configured: 3, checks: 0, effective: 3 },
            forwarding: "NAT".into(),
            upper_threshold: 100,
            lower_threshold: 50,
            inhibit: true,
            smtp_alert: true,
            set: true,
            delay_loop: 2.0,
            scripts: vec![("notify_up".into(), "'/bin/true' 'a'".into())],
            checks: vec![check],
            ..RealServer::default()
        };
        let v = VirtualServer {
            name: "[198.51.100.10]:tcp:80".into(),
            protocol: "tcp".into(),
            services: vec![Service { set: true, ..Service::default() }],
            state: Health::Up,
            quorum: 2,
            hysteresis: 1,
            sorry_server: Some(SorryServer {
                name: "[127.0.0.1]:tcp:8080".into(),
                inhibit: true,
                ..SorryServer::default()
            }),
            settings: Settings {
                delay_loop: 2.0,
                scheduler: "wrr".into(),
                forwarding: "NAT".into(),
                persistence_timeout: Some(50),
                persistence_granularity: Some(24),
                address: Some(([198, 51, 100, 10], 80).into()),
                ip_version: 4,
                ..Settings::default()
            },
            real_servers: vec![real],
            ..VirtualServer::default()
        };
        let snapshot = Balancing { virtual_servers: vec![v], ..Balancing::default() };
        let text = check_data(&snapshot, &["Router ID = lb1".into()]);
        // Lines of a file that Keepalived 2.2.7 wrote for the same servers.
        for line in [
            "------< Global definitions >------",
            " Router ID = lb1",
            "------< LVS Topology >------",
            " ------< Virtual server >------",
            " VS VIP = 198.51.100.10, VPORT = 80",
            "   Address family = inet",
            "   delay_loop = 2.000000",
            "   lvs_sched = wrr",
            "   flag-1 = disabled",
            "   One packet scheduling = disabled",
            "   persistence timeout = 50",
            "   persistence granularity = 255.255.255.0",
            "   protocol = TCP",
            "   alpha is OFF",
            "   quorum = 2, hysteresis = 1",
            "   Using smtp notification = no",
            "   default forwarding method = NAT",
            "   sorry server = [127.0.0.1]:tcp:8080",
            "     Inhibit on failure is ON",
            "   alive = 1",
            "   quorum_state_up = 1",
            "   ------< Real server >------",
            "   RIP = 127.0.0.2, RPORT = 80, WEIGHT = 3 EFF WEIGHT = 3",
            "   forwarding method = NAT",
            "   connection limit range = 50 -> 100",
            "   Delay loop = 2.000000",
            "   Inhibit on failure is ON",
            "     RS up notify script = '/bin/true' 'a'",
            "   num failed checkers = 0",
            "   RS set = 1",
            "------< Health checkers >------",
            " [198.51.100.10]:tcp:80 -> [127.0.0.2]:tcp:80",
            "   Enabled = yes",
            "   Up = yes",
            "   Delay loop = 2000000 us",
            "   Connection",
            "     Dest = [127.0.0.2]:80",
            "   Keepalive method = TCP_CHECK",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
    }
}
