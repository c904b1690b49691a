//! The table of keywords: everything in it is read, checked and documented.

mod common;

use std::collections::HashSet;
use std::path::Path;

use config::diagnostic::{Code, Diagnostic, Language, Severity};
use config::keywords::{
    Block, BlockId, Content, Keyword, Standing, Value, block, blocks, decimal, reference_page,
};
use config::lower::{BuiltinNames, Lowered, lower};
use config::{Options, load_text};

fn read(text: &str) -> Lowered {
    let loaded = load_text(text, &Options::default());
    let mut lowered = lower(&loaded.tree, &BuiltinNames);
    lowered.diagnostics.extend(loaded.diagnostics);
    common::assert_passes(&lowered.model);
    lowered
}

/// A whole configuration with one line in one block.
fn wrap(at: BlockId, line: &str) -> String {
    let instance = |inner: &str| {
        format!(
            "vrrp_instance V {{\n interface eth0\n virtual_router_id 5\n {inner}\n \
             virtual_ipaddress {{\n 192.0.2.1/24\n }}\n}}\n"
        )
    };
    let service = |head: &str, inner: &str| {
        format!(
            "virtual_server 198.51.100.1 80 {{\n lb_algo {head}\n lb_kind NAT\n protocol TCP\n \
             sorry_server 203.0.113.1 80\n {inner}\n}}\n"
        )
    };
    let server = |inner: &str| {
        service(
            "rr",
            &format!(
                "real_server 203.0.113.9 80 {{\n weight 3\n PING_CHECK {{\n }}\n {inner}\n }}"
            ),
        )
    };
    let inside = |name: &str, inner: &str| format!("{name} {{\n {inner}\n }}");
    let body = match at {
        BlockId::Root => line.to_owned(),
        BlockId::GlobalDefs => inside("global_defs", line),
        BlockId::NotificationEmail => inside("global_defs", &inside("notification_email", line)),
        BlockId::LinkbeatInterfaces
        | BlockId::InterfaceUpDownDelays
        | BlockId::StaticAddresses
        | BlockId::StaticRoutes
        | BlockId::StaticRules
        | BlockId::Ssl => inside(block(at).title, line),
        BlockId::GarpGroup => {
            inside("garp_group", &format!("garp_interval 1\ninterface eth7\n{line}"))
        }
        BlockId::GarpGroupInterfaces => {
            inside("garp_group", &format!("garp_interval 1\n{}", inside("interfaces", line)))
        }
        BlockId::TrackGroup => inside("track_group T", line) + "\n" + &instance(""),
        BlockId::TrackGroupMembers => {
            inside("track_group T", &inside("group", line)) + "\n" + &instance("")
        }
        BlockId::VrrpScript => inside("vrrp_script s", &format!("script /bin/false\n{line}")),
        BlockId::VrrpTrackProcess => {
            inside("vrrp_track_process p", &format!("process sshd\n{line}"))
        }
        BlockId::TrackFile => inside("track_file f", &format!("file /tmp/f\n{line}")),
        BlockId::VrrpSyncGroup => {
            instance("") + &inside("vrrp_sync_group G", &format!("group {{\nV\n}}\n{line}"))
        }
        BlockId::SyncGroupMembers => {
            instance("") + &inside("vrrp_sync_group G", &inside("group", line))
        }
        BlockId::VrrpInstance => instance(line),
        BlockId::Authentication => {
            instance(&inside("authentication", &format!("auth_type AH\nauth_pass y\n{line}")))
        }
        BlockId::AuthHmac => {
            let key = "key 1 0123456789abcdef0123456789abcdef";
            let other = "key 9 0123456789abcdef0123456789abcdef\nactive_key 1";
            instance(&inside("auth_hmac", &format!("{key}\n{other}\n{line}")))
        }
        BlockId::UnicastPeers => instance(&inside("unicast_peer", line)),
        BlockId::ExcludedAddresses
        | BlockId::VirtualRoutes
        | BlockId::VirtualRules
        | BlockId::VirtualAddresses
        | BlockId::TrackInterfaceList
        | BlockId::TrackScriptList
        | BlockId::TrackProcessList
        | BlockId::TrackBfdList => instance(&inside(block(at).title, line)),
        BlockId::TrackFileList => instance(&inside("track_file", line)),
        BlockId::BfdInstance => {
            inside("bfd_instance b", &format!("neighbor_ip 203.0.113.77\n{line}"))
        }
        BlockId::VirtualServerGroup => inside("virtual_server_group g", line),
        BlockId::VirtualServer if line.starts_with("sh-") => {
            service("sh", &format!("{line}\nreal_server 203.0.113.9 80 {{\n weight 3\n}}"))
        }
        BlockId::VirtualServer if line.starts_with("mh-") || line.starts_with("hashed") => {
            service("mh", &format!("{line}\nreal_server 203.0.113.9 80 {{\n weight 3\n}}"))
        }
        BlockId::VirtualServer if line.starts_with("ops") || line.starts_with("protocol") => {
            service(
                "rr",
                &format!("protocol UDP\n{line}\nreal_server 203.0.113.9 80 {{\n weight 3\n}}"),
            )
        }
        BlockId::VirtualServer if line.starts_with("ip_family") => format!(
            "virtual_server fwmark 5 {{\nlb_algo rr\nlb_kind TUN\n{line}\n\
             real_server 2001:db8::1 {{\n}}\n}}"
        ),
        BlockId::VirtualServer if line.starts_with("persistence_engine") => service(
            "rr",
            &format!("persistence_timeout 9\n{line}\nreal_server 203.0.113.9 80 {{\n}}"),
        ),
        BlockId::VirtualServer if line.starts_with("hysteresis") => service(
            "rr",
            &format!("quorum 3\n{line}\nreal_server 203.0.113.9 80 {{\n weight 3\n}}"),
        ),
        BlockId::VirtualServer => service(
            "rr",
            &format!(
                "{line}\nreal_server 203.0.113.9 80 {{\nweight 2147483647\nTCP_CHECK {{\n}}\n}}\n\
                 real_server 203.0.113.10 80 {{\n}}"
            ),
        ),
        BlockId::RealServer => server(line),
        BlockId::HttpGet | BlockId::SslGet => {
            server(&inside(block(at).title, &format!("url {{\npath /y\n}}\n{line}")))
        }
        BlockId::Url => server(&inside(
            "HTTP_GET",
            &inside(
                "url",
                &format!("{line}\n{}", if line.starts_with("regex_") { "regex y" } else { "" }),
            ),
        )),
        BlockId::SmtpHost => server(&inside("SMTP_CHECK", &inside("host", line))),
        BlockId::MiscCheck => {
            server(&inside("MISC_CHECK", &format!("misc_path /bin/false\n{line}")))
        }
        BlockId::FileCheck => server(&inside("FILE_CHECK", &format!("track_file other\n{line}"))),
        BlockId::BfdCheck => server(&inside("BFD_CHECK", &format!("name other\n{line}"))),
        BlockId::UdpCheck => server(&inside("UDP_CHECK", &format!("require_reply\n{line}"))),
        BlockId::TcpCheck | BlockId::SmtpCheck | BlockId::DnsCheck | BlockId::PingCheck => {
            server(&inside(block(at).title, line))
        }
        BlockId::AddressOptions if line.starts_with("use_vmac") => {
            instance(&inside("virtual_ipaddress_excluded", &format!("192.0.2.9/24 {line}")))
        }
        BlockId::AddressOptions => inside("static_ipaddress", &format!("192.0.2.9/24 {line}")),
        BlockId::RouteOptions => {
            let destination =
                if ["to ", "as "].iter().any(|w| line.starts_with(w)) { "" } else { "default" };
            inside("static_routes", &format!("{destination} dev eth9 {line}"))
        }
        BlockId::EncapOptions => {
            let kind =
                if ["tc ", "hoplimit "].iter().any(|w| line.starts_with(w)) { "ip6" } else { "ip" };
            inside("static_routes", &format!("default dev eth9 encap {kind} {line}"))
        }
        BlockId::RuleOptions => {
            let rest = match line.split(' ').next() {
                Some("l3mdev" | "goto") => "from 192.0.2.0/24 priority 5",
                Some("inet6") => "table 9 priority 5",
                _ => "from 192.0.2.0/24 table 9 priority 5",
            };
            inside("static_rules", &format!("{rest} {line}"))
        }
        BlockId::TrackOptions => {
            instance(&inside("track_interface", &format!("eth1 weight 7 {line}")))
        }
        BlockId::PeerOptions => instance(&inside("unicast_peer", &format!("203.0.113.2 {line}"))),
    };
    let defined = "vrrp_script chk {\n script /bin/true\n}\n\
        track_file file {\n file /tmp/file\n}\ntrack_file other {\n file /tmp/other\n}\n\
        vrrp_track_process proc {\n process cron\n}\n\
        bfd_instance bfd {\n neighbor_ip 203.0.113.50\n}\n\
        bfd_instance other {\n neighbor_ip 203.0.113.51\n}\n\
        track_group x {\n group {\n Z\n }\n}\n\
        vrrp_instance Z {\n interface eth3\n virtual_router_id 9\n virtual_ipaddress {\n 192.0.2.99\n }\n}\n";
    format!("{defined}{body}\n")
}

/// What of the reading has to do with the line: findings that are there only because of it.
fn because_of(with: &Lowered, without: &Lowered) -> Vec<Diagnostic> {
    let key = |d: &Diagnostic| (d.code, d.message.clone());
    let before: HashSet<(Code, String)> = without.diagnostics.iter().map(key).collect();
    with.diagnostics.iter().filter(|d| !before.contains(&key(d))).cloned().collect()
}

/// Examples that the kind of argument alone does not give.
fn special_case(at: BlockId, name: &str) -> Option<&'static str> {
    Some(match (at, name) {
        (_, "vrrp_mcast_group4") => "224.0.0.99",
        (_, "vrrp_mcast_group6") => "ff02::99",
        (_, "mcast_dst_ip") => "224.0.0.99",
        (BlockId::BfdInstance, "source_ip") => "203.0.113.78",
        (BlockId::FileCheck, "track_file") => "file",
        (BlockId::BfdCheck, "name") => "bfd",
        (BlockId::AddressOptions | BlockId::RouteOptions | BlockId::RuleOptions, "track_group") => {
            "x"
        }
        (BlockId::VrrpTrackProcess, "quorum_max") => "7",
        (BlockId::UdpCheck, "max_reply_length") => "300",
        (BlockId::UdpCheck, "min_reply_length") => "3",
        (BlockId::VirtualServer, "quorum") => "3",
        (BlockId::VirtualServer, "hysteresis") => "2",
        (BlockId::VirtualServer, "ip_family") => "inet",
        (BlockId::VrrpInstance, "advert_int") => "3",
        (BlockId::AuthHmac, "active_key") => "9",
        (BlockId::Root, "vrrp_instance") => {
            "N {\ninterface eth5\nvirtual_router_id 5\nvirtual_ipaddress {\n 192.0.2.5\n}\n}"
        }
        (BlockId::Root, "vrrp_script") => "N {\nscript /bin/true\n}",
        (BlockId::Root, "vrrp_track_process") => "N {\nprocess x\n}",
        (BlockId::Root, "track_file" | "vrrp_track_file") => "N {\nfile /x\n}",
        (BlockId::Root, "vrrp_sync_group") => "N {\ngroup {\nZ\n}\n}",
        (BlockId::Root, "track_group") => "N {\ngroup {\nZ\n}\n}",
        (BlockId::Root, "bfd_instance") => "N {\nneighbor_ip 203.0.113.52\n}",
        (BlockId::Root, "garp_group") => "{\ngarp_interval 1\ninterface eth0\n}",
        (BlockId::Root, "virtual_server") => {
            "192.0.2.1 80 {\nlb_algo rr\nlb_kind NAT\nprotocol TCP\nreal_server 192.0.2.9 80 {\n}\n}"
        }
        (BlockId::Root, "virtual_server_group") => "N {\n192.0.2.1 80\n}",
        (BlockId::VrrpInstance, "authentication") => "{\nauth_type PASS\nauth_pass x\n}",
        (BlockId::VrrpInstance, "auth_hmac") => "{\nkey 1 0123456789abcdef0123456789abcdef\n}",
        (BlockId::VrrpInstance | BlockId::VrrpSyncGroup, "track_file") => "{\nfile weight 0\n}",
        (BlockId::VrrpInstance, "unicast_peer") => "{\n203.0.113.2\n}",
        (BlockId::VirtualServer, "real_server") => "203.0.113.19 80 {\n}",
        (BlockId::RealServer, "HTTP_GET" | "SSL_GET") => "{\nurl {\npath /\n}\n}",
        (BlockId::RealServer, "MISC_CHECK") => "{\nmisc_path /bin/true\n}",
        (BlockId::RealServer, "FILE_CHECK") => "{\ntrack_file file\n}",
        (BlockId::RealServer, "BFD_CHECK") => "{\nname bfd\n}",
        (BlockId::EncapOptions, "dst" | "src") => "203.0.113.2",
        (BlockId::TrackGroup | BlockId::VrrpSyncGroup, "group") => "{\nZ\n}",
        (BlockId::VrrpScript, "script") | (BlockId::MiscCheck, "misc_path") => "\"/bin/true 1\"",
        (BlockId::VrrpInstance, "version") => "3",
        (BlockId::RuleOptions, "goto") => "9",
        (BlockId::RuleOptions, "from") => "192.0.3.0/24",
        (BlockId::AddressOptions, "preferred_lft") => "60",
        (BlockId::RealServer, "smtp_alert") => "off",
        _ => return None,
    })
}

/// A right argument that is not the default.
fn good(at: BlockId, keyword: &Keyword) -> String {
    if let Some(example) = special_case(at, keyword.name) {
        return example.to_owned();
    }
    match keyword.value {
        Value::Flag => String::new(),
        Value::Bool => if keyword.default == "on" { "off" } else { "on" }.to_owned(),
        Value::Int { min, max, .. } => {
            let two = if min <= 2 && 2 <= max { 2 } else { min };
            [two, min, max]
                .into_iter()
                .find(|n| n.to_string() != keyword.default)
                .unwrap_or(max)
                .to_string()
        }
        Value::Seconds { min, max } => {
            decimal(if min <= 7_000_000 && 7_000_000 <= max { 7_000_000 } else { max })
        }
        Value::Choice(words) => words[0].to_owned(),
        Value::Text { .. } => "text".to_owned(),
        Value::Path => "/tmp/path".to_owned(),
        Value::Interface => "eth8".to_owned(),
        Value::Address { families: [6] } => "2001:db8::8".to_owned(),
        Value::Address { .. } => "203.0.113.8".to_owned(),
        Value::Command => "\"/bin/true 1\" root".to_owned(),
        Value::Block(id) => format!("{{\n{}\n}}", good_content(id)),
        Value::Named(id) => format!("N {{\n{}\n}}", good_content(id)),
        Value::Special { good, .. } => good.to_owned(),
    }
}

fn good_content(id: BlockId) -> &'static str {
    match block(id).content {
        Content::Lines { good, .. } => good,
        _ => "",
    }
}

/// Wrong arguments.
fn bad(keyword: &Keyword) -> Vec<String> {
    let words = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect();
    match keyword.value {
        Value::Flag | Value::Path | Value::Text { max: usize::MAX } => Vec::new(),
        Value::Bool => words(&["TRUE", "1"]),
        Value::Int { min, max, .. } => {
            let mut bad: Vec<String> = words(&["x", "1x", "", "99999999999999999999"]);
            bad.extend(min.checked_sub(1).map(|n| n.to_string()));
            bad.extend(max.checked_add(1).map(|n| n.to_string()));
            bad
        }
        Value::Seconds { min, max } => {
            let mut bad: Vec<String> = words(&["x", "1s", "", "-1", "1.2.3"]);
            bad.extend(min.checked_sub(1).map(decimal));
            bad.push(decimal(max + 1));
            bad
        }
        Value::Choice(_) => words(&["wrong", ""]),
        Value::Text { max } => vec!["x".repeat(max + 1)],
        Value::Interface => vec!["averyveryverylongname".to_owned()],
        Value::Address { families: [4] } => words(&["1.2.3", "host.example", "::1"]),
        Value::Address { families: [6] } => words(&["1.2.3.4", "host.example", "::g"]),
        Value::Address { .. } => words(&["1.2.3", "host.example", "::g"]),
        Value::Command => words(&["", "\"/bin/true 'a\""]),
        Value::Block(id) | Value::Named(id) => match block(id).content {
            Content::Lines { bad: "", .. } | Content::Options(_) => Vec::new(),
            Content::Lines { bad, .. } => vec![format!("{{\n{bad}\n}}")],
            Content::Keywords(_) => vec!["{\nno_such_keyword\n}".to_owned()],
        },
        Value::Special { bad: "", .. } => Vec::new(),
        Value::Special { bad, .. } => vec![bad.to_owned()],
    }
}

fn every_keyword() -> impl Iterator<Item = (&'static Block, &'static Keyword)> {
    blocks().flat_map(|block| block.keywords().map(move |keyword| (block, keyword)))
}

/// A good example of a real value does not have to pass where one of these excludes another.
fn allowed(keyword: &Keyword, d: &Diagnostic) -> bool {
    let language = |code| d.code == Code::Language(code);
    match keyword.standing {
        Standing::Deprecated(_) if language(Language::Deprecated) => true,
        Standing::Ignored(_) if language(Language::NoEffect) => true,
        _ => match keyword.name {
            // These want other words beside them; what they say is right.
            "unicast_src_ip" | "old_unicast_checksum" | "unicast_ttl" | "check_unicast_src" => {
                language(Language::Conflict)
            }
            "vrrp_sync_group" | "group" => language(Language::NoEffect),
            _ => false,
        },
    }
}

#[test]
fn every_good_example_is_accepted() {
    let mut failures = Vec::new();
    for (block, keyword) in every_keyword() {
        if (block.id, keyword.name) == (BlockId::RouteOptions, "weight") {
            continue; // Only within a nexthop.
        }
        let line = format!("{} {}", keyword.name, good(block.id, keyword));
        let found = because_of(&read(&wrap(block.id, &line)), &read(&wrap(block.id, "")));
        let wrong: Vec<_> = found
            .iter()
            .filter(|d| d.severity > Severity::Advice && !allowed(keyword, d))
            .map(|d| &d.message)
            .collect();
        if !wrong.is_empty() {
            failures.push(format!("{} / {line}: {wrong:?}", block.title));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn every_bad_example_is_reported() {
    let mut failures = Vec::new();
    for (block, keyword) in every_keyword() {
        // An option without its value takes the next word for it, or ends the line.
        for example in bad(keyword) {
            let head = if matches!(keyword.value, Value::Named(_)) { " N" } else { "" };
            let line = format!("{}{head} {example}", keyword.name);
            let found = because_of(&read(&wrap(block.id, &line)), &read(&wrap(block.id, "")));
            let told = found.iter().any(|d| d.severity >= Severity::Warning);
            if !told {
                failures.push(format!("{} / {line}", block.title));
            }
        }
    }
    assert!(failures.is_empty(), "nothing is said of {failures:#?}");
}

#[test]
fn lines_are_checked() {
    for block in blocks() {
        let Content::Lines { good, bad, .. } = block.content else { continue };
        let empty = read(&wrap(block.id, ""));
        let with = read(&wrap(block.id, good));
        let mut wrong: Vec<_> = because_of(&with, &empty);
        // A sync group of one is told to be one.
        wrong.retain(|d| d.code != Code::Language(Language::NoEffect));
        assert!(wrong.is_empty(), "{} / {good}: {wrong:?}", block.title);
        assert!(with.model != empty.model, "{} / {good} changes nothing", block.title);
        if !bad.is_empty() {
            let found = because_of(&read(&wrap(block.id, bad)), &empty);
            assert!(!found.is_empty(), "{} / {bad}: nothing said", block.title);
        }
    }
}

/// Keywords whose meaning is the default, or that are for the preprocessor.
const SILENT: &[&str] = &[
    "preempt",
    "accept",
    "include_check",
    "native_ipv6",
    "hashed",
    "default6",
    "unicast",
    "inet",
    "prepend",
    "noreverse",
    "no_reverse",
    // Only together with others.
    "startup_script_timeout",
    "shutdown_script_timeout",
    "notify_fifo_script",
    "vrrp_notify_fifo_script",
    "lvs_notify_fifo_script",
    "unicast_ttl",
    "use_vmac",
    "global_defs",
    "SSL",
];

#[test]
fn every_keyword_reaches_the_model() {
    let mut failures = Vec::new();
    for (block, keyword) in every_keyword() {
        let line = format!("{} {}", keyword.name, good(block.id, keyword));
        let skip = SILENT.contains(&keyword.name) && block.id != BlockId::AddressOptions
            || (block.id, keyword.name) == (BlockId::RouteOptions, "weight")
            // Of several names of one thing the address is enough to change.
            || keyword.name == "default6";
        if skip {
            continue;
        }
        let (with, without) = (read(&wrap(block.id, &line)), read(&wrap(block.id, "")));
        if with.model == without.model {
            failures.push(format!("{} / {line}", block.title));
        }
    }
    assert!(failures.is_empty(), "nothing changes by {failures:#?}");
}

#[test]
fn names_are_unique_and_aliases_lead_somewhere() {
    for block in blocks() {
        let mut seen = HashSet::new();
        for keyword in block.keywords() {
            assert!(seen.insert(keyword.name), "{} twice in {}", keyword.name, block.title);
            assert!(!keyword.doc.is_empty(), "{} has no doc", keyword.name);
            if let Standing::Alias(of) = keyword.standing {
                assert!(block.find(of).is_some(), "{} is an alias of nothing", keyword.name);
            }
        }
    }
    let titles: Vec<_> = blocks().map(|b| b.title).collect();
    assert_eq!(titles.len(), titles.iter().collect::<HashSet<_>>().len(), "titles are unique");
}

#[test]
fn a_block_that_is_referred_to_exists() {
    let ids: HashSet<BlockId> = blocks().map(|b| b.id).collect();
    for (_, keyword) in every_keyword() {
        if let Value::Block(id) | Value::Named(id) = keyword.value {
            assert!(ids.contains(&id), "{} opens nothing", keyword.name);
        }
    }
}

#[test]
fn the_reference_page_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/keywords.md");
    let page = reference_page();
    if std::env::var_os("STANDFAST_WRITE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page, "docs/keywords.md is old; see its head for how to write it anew");
}

#[test]
fn what_nobody_acts_on_is_listed_once() {
    let text = "virtual_server 192.0.2.1 80 {\n lb_algo rr\n lb_kind NAT\n protocol TCP\n \
                real_server 192.0.2.9 80 {\n snmp_name a\n }\n \
                real_server 192.0.2.8 80 {\n snmp_name b\n }\n}\n\
                global_defs {\n nftables_ipvs\n smtp_alert\n router_id x\n}\n";
    let list = read(text).not_acted_on;
    let names = list.iter().find(|n| n.keyword == "snmp_name").unwrap();
    assert_eq!(names.count, 2);
    assert!(list.iter().any(|n| n.keyword == "nftables_ipvs"));
    for acted_on in ["virtual_server", "smtp_alert", "router_id"] {
        assert!(!list.iter().any(|n| n.keyword == acted_on), "{acted_on}");
    }
}
