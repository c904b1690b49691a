//! Configurations whose tables are compared: each a name and one text, or several that follow
//! one another by reload.

use std::fmt::Write as _;
use std::path::Path;

/// A configuration and what it is reloaded with.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) steps: Vec<String>,
}

const VS: &str = "198.51.100.100 80";
const R1: &str = "203.0.113.11 80";
const R2: &str = "203.0.113.12 80";

/// A real server with what its block holds.
pub(crate) fn real(address: &str, settings: &str) -> String {
    format!("  real_server {address} {{\n    {settings}\n  }}\n")
}

/// A virtual server: address, settings, real servers.
pub(crate) fn server(address: &str, settings: &str, reals: &str) -> String {
    format!("virtual_server {address} {{\n  {settings}\n{reals}}}\n")
}

/// Two real servers of weight 1 and 2.
fn two() -> String {
    real(R1, "weight 1") + &real(R2, "weight 2")
}

/// The usual settings with some more.
fn tcp(more: &str) -> String {
    format!("lb_algo rr\n  lb_kind NAT\n  protocol TCP\n  {more}")
}

pub(crate) fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |name: &str, steps: Vec<String>| {
        cases.push(Case { name: name.to_owned(), steps });
    };

    // One virtual server for each of these settings, on a port of its own.
    let each = |list: &[&str], rest: &str| -> String {
        let servers = list.iter().enumerate().map(|(index, settings)| {
            let address = format!("198.51.100.100 {}", 8001 + index);
            server(&address, &format!("{settings}\n  {rest}"), &two())
        });
        servers.collect()
    };
    let schedulers = [
        "lb_algo rr",
        "lb_algo wrr",
        "lb_algo lc",
        "lb_algo wlc",
        "lb_algo lblc",
        "lb_algo lblcr",
        "lb_algo sh",
        "lb_algo mh",
        "lb_algo dh",
        "lb_algo fo",
        "lb_algo ovf",
        "lb_algo sed",
        "lb_algo nq",
    ];
    add("schedulers", vec![each(&schedulers, "lb_kind NAT\n  protocol TCP")]);
    // twos is not in every kernel; both programs must then do the same.
    let odd = |algorithm: &str| each(&[algorithm], "lb_kind NAT\n  protocol TCP");
    add("scheduler_twos", vec![odd("lb_algo twos")]);
    add("scheduler_unknown", vec![odd("lb_algo wrong")]);
    add("all_defaults", vec![server(VS, "", &two())]);
    let flags = |algorithm: &str, flags: &str| {
        server(
            VS,
            &format!("lb_algo {algorithm}\n  {flags}\n  lb_kind NAT\n  protocol TCP"),
            &two(),
        )
    };
    let flagged = [
        "lb_algo sh\n  sh-port\n  sh-fallback",
        "lb_algo sh\n  sh-port",
        "lb_algo sh\n  sh-fallback",
        "lb_algo mh\n  mh-port\n  mh-fallback",
        "lb_algo mh\n  mh-port",
        "lb_algo wlc\n  flag-1\n  flag-3",
        "lb_algo wlc\n  flag-2",
    ];
    add("flags", vec![each(&flagged, "lb_kind NAT\n  protocol TCP")]);
    let methods = ["lb_kind NAT", "lb_kind DR", "lb_kind TUN"];
    add("methods", vec![each(&methods, "lb_algo rr\n  protocol TCP")]);
    let tunnels = [
        "lvs_method TUN type ipip",
        "lvs_method TUN type gue port 6080",
        "lvs_method TUN type gue port 6080 csum",
        "lvs_method TUN type gue port 6080 remcsum",
        "lvs_method TUN type gre",
        "lvs_method TUN type gre csum",
    ];
    add("tunnels", vec![each(&tunnels, "lb_algo rr\n  protocol TCP")]);
    let mixed = real(R1, "lvs_method DR") + &real(R2, "lvs_method TUN type gue port 6080");
    add("method_of_each_server", vec![server(VS, &tcp(""), &mixed)]);
    let other_ports = real("203.0.113.11 8080", "weight 1") + &real("203.0.113.12", "weight 1");
    add("ports_with_nat", vec![server(VS, &tcp(""), &other_ports)]);
    let direct = "lb_algo rr\n  lb_kind DR\n  protocol TCP";
    add("ports_with_dr", vec![server(VS, direct, &real("203.0.113.11 8080", "weight 1"))]);

    let protocols = ["protocol UDP", "protocol SCTP", "protocol UDP\n  ops"];
    add("protocols", vec![each(&protocols, "lb_algo rr\n  lb_kind NAT")]);

    add("persistence", vec![server(VS, &tcp("persistence_timeout 120"), &two())]);
    add("persistence_default", vec![server(VS, &tcp("persistence_timeout"), &two())]);
    let granular = tcp("persistence_timeout 50\n  persistence_granularity 255.255.255.0");
    add("persistence_granularity", vec![server(VS, &granular, &two())]);
    let sip = "lb_algo rr\n  lb_kind NAT\n  protocol UDP\n  persistence_timeout 60\n  persistence_engine sip";
    add("persistence_engine", vec![server("198.51.100.100 5060", sip, &two())]);
    let any_port = real("203.0.113.11", "weight 1");
    add("any_port", vec![server("198.51.100.100", &tcp("persistence_timeout 60"), &any_port)]);

    let limited = real(R1, "uthreshold 100\n    lthreshold 40") + &real(R2, "uthreshold 7");
    add("thresholds", vec![server(VS, &tcp(""), &limited)]);
    let zero = real(R1, "weight 0") + &real(R2, "weight 65535");
    add("weights", vec![server(VS, &tcp("weight 7"), &(zero + &real("203.0.113.13 80", "")))]);

    let six = real("2001:db8:1::11 80", "weight 3") + &real("2001:db8:1::12 80", "");
    add("ipv6", vec![server("2001:db8::100 80", &tcp(""), &six)]);
    let six_persists = tcp("persistence_timeout 50\n  persistence_granularity 64");
    add("ipv6_granularity", vec![server("2001:db8::100 80", &six_persists, &six)]);
    let tunnel = "lb_algo rr\n  lb_kind TUN\n  protocol TCP";
    let both = real(R1, "") + &real("2001:db8:1::12 80", "");
    add("tunnels_to_both_families", vec![server(VS, tunnel, &both)]);
    add("ipv6_tunnel_to_ipv4", vec![server("2001:db8::100 80", tunnel, &real(R1, ""))]);

    let marks = server("fwmark 3", "lb_algo rr\n  lb_kind NAT", &two())
        + &server("fwmark 4", "lb_algo rr\n  lb_kind DR", &two())
        + &server("fwmark 5", "lb_algo wlc\n  lb_kind NAT", &six)
        + &server("fwmark 6", "lb_algo rr\n  lb_kind NAT\n  persistence_timeout 30", &two());
    add("marks", vec![marks]);

    let group = |members: &str| format!("virtual_server_group G {{\n{members}}}\n");
    let grouped = |members: &str| group(members) + &server("group G", &tcp(""), &two());
    add("group_addresses", vec![grouped("  198.51.100.100 80\n  198.51.100.100 443\n")]);
    add("group_range", vec![grouped("  198.51.100.101-104 80\n")]);
    add(
        "group_range_ipv6",
        vec![group("  2001:db8::100-103 80\n") + &server("group G", &tcp(""), &six)],
    );
    add("group_marks", vec![grouped("  fwmark 7\n  fwmark 8\n")]);
    add(
        "group_mixture",
        vec![grouped("  198.51.100.100 80\n  198.51.100.110-111 81\n  fwmark 9\n")],
    );
    add(
        "group_other_ports",
        vec![
            group("  198.51.100.100 80\n  198.51.100.101 81\n")
                + &server("group G", &tcp(""), &real("203.0.113.11 8080", "")),
        ],
    );

    let sorry = tcp("sorry_server 203.0.113.99 80");
    add("sorry_server_waits", vec![server(VS, &sorry, &two())]);
    add("sorry_server_alone", vec![server(VS, &sorry, "")]);
    let at_once = tcp("sorry_server 203.0.113.99 80\n  quorum 2\n  alpha");
    let check = "TCP_CHECK {\n      connect_timeout 30\n    }";
    let checked = real(R1, check) + &real(R2, check);
    add("sorry_server_at_start", vec![server(VS, &at_once, &checked)]);
    let method = tcp("alpha\n  sorry_server 203.0.113.99 80\n  sorry_server_lvs_method DR");
    add("sorry_server_method", vec![server(VS, &method, &checked)]);
    let inhibited = tcp("alpha\n  sorry_server 203.0.113.99 80\n  sorry_server_inhibit");
    add("sorry_server_inhibit", vec![server(VS, &inhibited, &checked)]);
    let inhibit_alpha = tcp("alpha\n  inhibit_on_failure");
    add("alpha", vec![server(VS, &tcp("alpha"), &checked)]);
    add("alpha_inhibit", vec![server(VS, &inhibit_alpha, &checked)]);
    add("quorum_above_all", vec![server(VS, &tcp("quorum 9\n  hysteresis 3"), &two())]);
    add("quorum_of_weights", vec![server(VS, &tcp("quorum 3\n  hysteresis 1"), &two())]);

    let twice = two() + &real(R1, "weight 9");
    add("real_server_twice", vec![server(VS, &tcp(""), &twice)]);
    add(
        "virtual_server_twice",
        vec![server(VS, &tcp(""), &real(R1, "")) + &server(VS, &tcp(""), &real(R2, ""))],
    );
    let many = (1..=40).fold(String::new(), |mut text, number| {
        let address = format!("198.51.100.100 {}", 8000 + number);
        let _ = write!(text, "{}", server(&address, &tcp(""), &two()));
        text
    });
    add("forty_servers", vec![many]);
    add(
        "timeouts",
        vec![
            "global_defs {\n  lvs_timeouts tcp 700 tcpfin 70 udp 170\n}\n".to_owned()
                + &server(VS, &tcp(""), &two()),
        ],
    );

    // Reloads.
    let plain = server(VS, &tcp(""), &two());
    add("reload_same", vec![plain.clone(), plain.clone()]);
    add(
        "reload_adds_real_server",
        vec![plain.clone(), server(VS, &tcp(""), &(two() + &real("203.0.113.13 80", "weight 4")))],
    );
    add("reload_removes_real_server", vec![plain.clone(), server(VS, &tcp(""), &real(R1, ""))]);
    add(
        "reload_changes_weight",
        vec![
            plain.clone(),
            server(VS, &tcp(""), &(real(R1, "weight 50") + &real(R2, "weight 0"))),
            plain.clone(),
        ],
    );
    add("reload_changes_scheduler", vec![plain.clone(), flags("wlc", ""), flags("sh", "sh-port")]);
    add("reload_changes_flags", vec![flags("sh", ""), flags("sh", "sh-port"), flags("sh", "")]);
    add(
        "reload_changes_persistence",
        vec![
            plain.clone(),
            server(VS, &tcp("persistence_timeout 90"), &two()),
            server(VS, &tcp("persistence_timeout 30"), &two()),
            plain.clone(),
        ],
    );
    add(
        "reload_changes_method",
        vec![
            plain.clone(),
            server(VS, direct, &two()),
            server(VS, "lb_algo rr\n  lvs_method TUN type gue port 6080\n  protocol TCP", &two()),
        ],
    );
    add(
        "reload_adds_virtual_server",
        vec![
            plain.clone(),
            plain.clone() + &server("198.51.100.100 443", &tcp(""), &two()),
            plain.clone(),
        ],
    );
    add(
        "reload_changes_protocol",
        vec![plain.clone(), server(VS, "lb_algo rr\n  lb_kind NAT\n  protocol UDP", &two())],
    );
    add("reload_changes_port", vec![plain.clone(), server("198.51.100.100 81", &tcp(""), &two())]);
    add("reload_adds_sorry_server", vec![plain.clone(), server(VS, &sorry, &two()), plain]);
    add(
        "reload_adds_group_member",
        vec![
            grouped("  198.51.100.100 80\n"),
            grouped("  198.51.100.100 80\n  198.51.100.101 80\n"),
        ],
    );
    cases
}

/// The files of `directory` that have virtual servers, by name.
pub(crate) fn of(directory: &Path) -> Vec<Case> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let read = |path: std::path::PathBuf| {
        let name = path.file_stem()?.to_str()?.to_owned();
        let text = String::from_utf8_lossy(&std::fs::read(&path).ok()?).into_owned();
        let balances = text.lines().any(|line| line.trim_start().starts_with("virtual_server "));
        balances.then(|| Case { name: format!("of_{name}"), steps: vec![text] })
    };
    paths.into_iter().filter_map(read).collect()
}
