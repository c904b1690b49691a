//! What virtual servers, checkers and BFD sessions mean.

use std::time::Duration;

use config::diagnostic::{Class, Code, Language, Severity};
use config::lower::{BuiltinNames, Lowered, lower};
use config::model::balancer::{
    Forwarding, GroupEntry, Protocol, Scheduler, Tunnel, TunnelChecksum,
};
use config::model::checker::CheckerKind;
use config::model::{Family, VirtualServer};
use config::{Options, load_text};

fn read(text: &str) -> Lowered {
    let loaded = load_text(text, &Options::default());
    assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
    lower(&loaded.tree, &BuiltinNames)
}

/// What was said, advice left out.
fn codes(lowered: &Lowered) -> Vec<Language> {
    let told = lowered.diagnostics.iter().filter(|d| d.class != Class::Unnoticed);
    told.filter_map(|d| match d.code {
        Code::Language(code) => Some(code),
        _ => None,
    })
    .collect()
}

fn service(lines: &str, server: &str) -> (VirtualServer, Vec<Language>) {
    let lowered = read(&format!(
        "virtual_server 192.0.2.1 80 {{\n lb_algo rr\n lb_kind NAT\n protocol TCP\n {lines}\n \
         real_server 203.0.113.9 80 {{\n {server}\n }}\n}}\n"
    ));
    let said = codes(&lowered);
    (lowered.model.virtual_servers.into_iter().next().expect("a service"), said)
}

#[test]
fn a_bare_service_has_three_defaults_that_are_told() {
    let lowered = read("virtual_server 192.0.2.1 80 {\n real_server 192.0.2.9 80 {\n }\n}\n");
    assert_eq!(codes(&lowered), [Language::DefaultUsed; 3]);
    let vs = &lowered.model.virtual_servers[0];
    assert_eq!(
        (*vs.protocol, *vs.scheduler, *vs.forwarding),
        (Protocol::Udp, Scheduler::Wlc, Forwarding::Nat)
    );
    assert_eq!((*vs.delay_loop, *vs.quorum), (Duration::from_secs(60), 1));
}

#[test]
fn a_wrong_default_is_not_missing_as_well() {
    let lowered = read(
        "virtual_server 192.0.2.1 80 {\n lb_algo round\n lb_kind FNAT\n protocol ICMP\n \
         real_server 192.0.2.9 80 {\n }\n}\n",
    );
    assert_eq!(codes(&lowered), [Language::UnknownWord; 3]);
}

#[test]
fn what_is_not_used() {
    for text in [
        "virtual_server 192.0.2.1 80 {\n lb_algo rr\n}\n",
        "virtual_server 192.0.2.999 80 {\n real_server 192.0.2.9 80 {\n }\n}\n",
        "virtual_server 192.0.2.1 99999 {\n real_server 192.0.2.9 80 {\n }\n}\n",
    ] {
        let lowered = read(text);
        assert!(lowered.model.virtual_servers.is_empty(), "{text}");
        assert!(!codes(&lowered).is_empty(), "{text}");
    }
}

#[test]
fn quorum_and_hysteresis() {
    let (vs, said) = service("quorum 9", "weight 4");
    assert_eq!((*vs.quorum, said), (4, vec![Language::Conflict]));
    let (vs, said) = service("quorum 3\nhysteresis 3", "weight 4");
    assert_eq!((*vs.hysteresis, said), (2, vec![Language::OutOfRange]));
    // Neither makes a reload refused: what is used instead is safe, as Keepalived does.
    let lowered = read(
        "virtual_server 192.0.2.1 80 {\n lb_algo rr\n lb_kind NAT\n protocol TCP\n quorum 3\n \
         hysteresis 1\n real_server 203.0.113.9 80 {\n weight 1\n }\n}\n",
    );
    assert_eq!(codes(&lowered), [Language::Conflict, Language::OutOfRange]);
    assert!(lowered.diagnostics.iter().all(|d| d.severity != Severity::Error));
    // Keepalived reduces the quorum to 0 here, and its hysteresis wraps round.
    let (vs, _) = service("", "weight 0");
    assert_eq!((*vs.quorum, *vs.hysteresis), (1, 0));
}

#[test]
fn ports_follow_the_service_unless_nat() {
    let (vs, said) = service("lb_kind DR", "");
    assert_eq!((vs.real_servers[0].port, said), (80, vec![]));
    let text = |kind: &str| {
        format!(
            "virtual_server 192.0.2.1 80 {{\n lb_algo rr\n lb_kind {kind}\n protocol TCP\n \
             real_server 203.0.113.9 81 {{\n }}\n real_server 203.0.113.9 81 {{\n }}\n}}\n"
        )
    };
    let lowered = read(&text("NAT"));
    assert_eq!(codes(&lowered), [Language::DuplicateEntry]);
    assert_eq!(lowered.model.virtual_servers[0].real_servers[0].port, 81);
    let lowered = read(&text("DR"));
    assert_eq!(lowered.model.virtual_servers[0].real_servers[0].port, 80);
}

#[test]
fn tunnels() {
    let kind = |line: &str| *service(&format!("lb_kind {line}"), "").0.forwarding;
    assert_eq!(kind("TUN"), Forwarding::Tunnel(Tunnel::Ipip));
    assert_eq!(
        kind("TUN type gue port 6080 csum"),
        Forwarding::Tunnel(Tunnel::Gue { port: 6080, checksum: TunnelChecksum::Full })
    );
    let (vs, said) = service("lb_kind TUN type gre remcsum", "");
    let plain = Forwarding::Tunnel(Tunnel::Ipip);
    assert_eq!((*vs.forwarding, said), (plain, vec![Language::Conflict]));
    for wrong in ["TUN type gue", "TUN type gue port", "TUN type x", "TUN x", "TUN type ipip csum"]
    {
        let (vs, said) = service(&format!("lb_kind {wrong}"), "");
        assert_eq!((*vs.forwarding, said.len()), (plain, 1), "{wrong}");
    }
}

#[test]
fn scheduler_flags_follow_their_scheduler() {
    let (vs, said) = service("sh-port", "");
    assert_eq!((vs.scheduler_flags.flag2, said), (false, vec![Language::Conflict]));
    let (vs, said) = service("lb_algo sh\nsh-port\nsh-fallback", "");
    assert_eq!((vs.scheduler_flags.flag1, vs.scheduler_flags.flag2, said), (true, true, vec![]));
    let (vs, said) = service("lb_algo round", "");
    assert_eq!((*vs.scheduler, said), (Scheduler::Rr, vec![Language::UnknownWord]));
}

#[test]
fn persistence_and_port_zero() {
    let lowered = read(
        "virtual_server 192.0.2.1 {\n lb_algo rr\n lb_kind NAT\n protocol TCP\n \
         real_server 192.0.2.9 {\n }\n}\n",
    );
    assert_eq!(codes(&lowered), [Language::Conflict]);
    let vs = &lowered.model.virtual_servers[0];
    assert_eq!(vs.persistence_timeout, Some(Duration::from_secs(360)));
    assert_eq!(service("persistence_timeout", "").0.persistence_timeout.unwrap().as_secs(), 360);
    assert_eq!(
        service("persistence_granularity 255.255.255.0", "").0.persistence_granularity,
        Some(24)
    );
}

#[test]
fn checkers_inherit() {
    let (vs, said) = service(
        "delay_loop 7\nretry 4\nvirtualhost a",
        "delay_before_retry 2\nTCP_CHECK {\n connect_port 81\n retry 5\n }\nDNS_CHECK {\n }\n\
         MISC_CHECK {\n misc_path \"/bin/x y\"\n }\nHTTP_GET {\n url {\n path /p\n status_code 200 301-302\n }\n }",
    );
    assert_eq!(said, []);
    let c = &vs.real_servers[0].checkers;
    let secs = Duration::from_secs;
    assert_eq!((c[0].schedule.delay_loop, c[0].schedule.retry), (secs(7), 5));
    let real = "203.0.113.9:80".parse().unwrap();
    assert_eq!(c[0].connection.as_ref().unwrap().to(real), "203.0.113.9:81".parse().unwrap());
    assert_eq!((c[1].schedule.retry, c[1].schedule.delay_before_retry), (4, secs(2)));
    assert!(matches!(&c[2].kind, CheckerKind::Misc(misc)
        if misc.command.words == ["/bin/x", "y"] && misc.timeout.value == secs(7)));
    let CheckerKind::Http(http) = &c[3].kind else { panic!("http") };
    assert_eq!(http.virtualhost.as_deref(), Some("a"));
    assert_eq!(http.urls[0].status, [(200, 200), (301, 302)]);
    let (vs, _) = service("", "MISC_CHECK {\n misc_path /bin/x\n }\nSSL_GET {\n url {\n }\n }");
    let c = &vs.real_servers[0].checkers;
    assert_eq!((c[0].schedule.retry, c[1].schedule.delay_before_retry), (0, secs(3)));
}

#[test]
fn void_checkers_are_left_out() {
    for checker in [
        "HTTP_GET {\n }",
        "MISC_CHECK {\n }",
        "FILE_CHECK {\n track_file nope\n }",
        "BFD_CHECK {\n name nope\n }",
    ] {
        let (vs, said) = service("", checker);
        assert!(vs.real_servers[0].checkers.is_empty(), "{checker}");
        assert!(said.contains(&Language::Incomplete), "{checker}: {said:?}");
    }
}

#[test]
fn payloads() {
    let (vs, _) = service("", "UDP_CHECK {\n payload Ab12f 3 456\n require_reply aX x5\n }");
    let CheckerKind::Udp { payload, reply } = &vs.real_servers[0].checkers[0].kind else {
        panic!()
    };
    assert_eq!(payload.as_deref(), Some(&[0xab, 0x12, 0x0f, 0x03, 0x45, 0x06][..]));
    assert_eq!(reply.as_ref().unwrap().pattern, [(0xa0, 0xf0), (0x05, 0x0f)]);
}

#[test]
fn groups() {
    let lowered = read(
        "virtual_server_group G {\n 192.0.2.1 80\n 192.0.2.1-300 80\n 192.0.2.5-9 80\n 192.0.2.9-5 80\n \
         192.0.2.7/24 80\n 192.0.2.0/30 80\n fwmark 5 inet6\n foo\n 192.0.2.1-192.0.2.7 80\n 2001:db8::1-ff 80\n}\n\
         virtual_server group G {\n lb_algo rr\n lb_kind NAT\n protocol TCP\n real_server 192.0.2.9 80 {\n }\n}\n",
    );
    let entries = &lowered.model.virtual_server_groups[0].entries;
    assert_eq!((entries.len(), codes(&lowered).len()), (6, 4));
    let range = |n: usize| match entries[n] {
        GroupEntry::Addresses { first, last, .. } => format!("{first}-{last}"),
        GroupEntry::FwMark { mark, .. } => mark.to_string(),
    };
    assert_eq!(range(1), "192.0.2.5-192.0.2.9");
    assert_eq!(range(2), "192.0.2.0-192.0.2.3");
    assert_eq!((range(3), range(5)), ("5".to_owned(), "2001:db8::1-2001:db8::ff".to_owned()));
}

#[test]
fn bfd_sessions() {
    let lowered = read(
        "bfd_instance a {\n neighbor_ip 192.0.2.1\n min_rx 0\n}\nbfd_instance b {\n}\n\
         bfd_instance c {\n neighbor_ip 2001:db8::1\n source_ip 192.0.2.1\n}\n\
         bfd_instance averyveryveryverylongnamethatistoolong {\n neighbor_ip 192.0.2.3\n}\n\
         bfd_instance d {\n neighbour_ip 2001:db8::1\n vrrp\n}\n",
    );
    let b = &lowered.model.bfd_instances;
    assert_eq!(b.len(), 2);
    assert_eq!((*b[0].min_rx, *b[0].ttl, b[0].to_checkers), (Duration::from_millis(10), 255, true));
    assert_eq!((*b[1].ttl, b[1].to_vrrp, b[1].to_checkers), (64, true, false));
    assert_eq!(codes(&lowered).len(), 4);
}

#[test]
fn alerts_of_real_servers_are_on_by_default() {
    let (vs, _) = service("", "");
    assert!(vs.real_servers[0].smtp_alert && !*vs.smtp_alert);
    let text = "global_defs {\n smtp_alert_checker off\n}\nvirtual_server 192.0.2.1 80 {\n \
                real_server 192.0.2.9 80 {\n }\n}\n";
    assert!(!read(text).model.virtual_servers[0].real_servers[0].smtp_alert);
}

#[test]
fn real_servers_may_go_by_names() {
    let text = |head: &str| {
        format!(
            "virtual_server 192.0.2.1 80 {{\n lb_algo rr\n lb_kind NAT\n protocol TCP\n \
             real_server {head} {{\n }}\n}}\n"
        )
    };
    let server = |head: &str| {
        let lowered = read(&text(head));
        assert_eq!(codes(&lowered), [], "{head}");
        let server = lowered.model.virtual_servers[0].real_servers[0].clone();
        (server.host.to_string(), server.port, server.address())
    };
    assert_eq!(server("Web.example.net. 8080"), ("web.example.net".into(), 8080, None));
    assert_eq!(server("web1"), ("web1".into(), 80, None));
    // The records say the port.
    assert_eq!(server("_http._tcp.example.net").1, 0);
    // Addresses with a slip are no names.
    for slip in ["192.0.2.l 80", "192.0.2.999 80", "192.0.2 80", "web_1.example.net 80", "-a 80"] {
        let lowered = read(&text(slip));
        assert!(codes(&lowered).contains(&Language::BadAddress), "{slip}");
    }
}

#[test]
fn certificates_are_verified_where_something_says_so() {
    let verify = |ssl: &str, check: &str| {
        let body = format!("SSL_GET {{\n {check}\n url {{\n }}\n}}");
        let lowered = read(&format!(
            "virtual_server 192.0.2.1 443 {{\n lb_algo rr\n lb_kind NAT\n protocol TCP\n \
             real_server 192.0.2.9 443 {{\n {body}\n }}\n}}\n{ssl}\n"
        ));
        let checker = &lowered.model.virtual_servers[0].real_servers[0].checkers[0];
        let CheckerKind::Http(http) = &checker.kind else { panic!("http") };
        (*http.verify, http.ca.as_ref().map(|path| path.display().to_string()))
    };
    assert_eq!(verify("", ""), (false, None));
    assert_eq!(verify("", "verify"), (true, None));
    assert_eq!(verify("SSL {\n ca /etc/ca\n}", ""), (true, Some("/etc/ca".into())));
    assert!(!verify("SSL {\n ca /etc/ca\n}", "verify off").0);
    assert!(!verify("SSL {\n ca /etc/ca\n verify no\n}", "").0);
    assert_eq!(verify("SSL {\n ca /etc/ca\n}", "ca /b"), (true, Some("/b".into())));
}

#[test]
fn protected_mail() {
    let mail = |text: &str| read(&format!("global_defs {{\n{text}\n}}\n")).model.global.mail;
    let plain = mail("smtp_server mx.example.net");
    assert_eq!(plain.server, Some(("mx.example.net".into(), 25)));
    assert_eq!(mail("smtp_security tls\nsmtp_server mx.example.net").server.unwrap().1, 465);
    assert_eq!(mail("smtp_server mx.example.net 26\nsmtp_security tls").server.unwrap().1, 26);
    let login = mail("smtp_login alerts \"a b\"").login.unwrap();
    assert_eq!((login.0.as_str(), login.1.bytes()), ("alerts", &b"a b"[..]));
}

#[test]
fn servers_of_a_group_have_the_ports_of_its_members() {
    let codes_of = |kind: &str, member: &str, port: &str, protocol: &str| {
        codes(&read(&format!(
            "virtual_server group G {{\n lb_algo rr\n lb_kind {kind}\n {protocol}\n \
             real_server 203.0.113.1 {port} {{\n }}\n}}\n\
             virtual_server_group G {{\n {member}\n}}\n"
        )))
    };
    let range = "198.51.100.10-12 80";
    for port in ["", "80"] {
        assert_eq!(codes_of("DR", range, port, "protocol TCP"), []);
    }
    assert_eq!(codes_of("NAT", range, "8080", "protocol TCP"), []);
    assert_eq!(codes_of("DR", range, "8080", "protocol TCP"), [Language::Conflict]);
    let with_mark = "fwmark 7\n 198.51.100.10 80";
    assert_eq!(codes_of("DR", with_mark, "80", "protocol TCP"), [Language::Conflict]);
    assert_eq!(codes_of("NAT", "fwmark 7", "80", "protocol TCP"), [Language::NoEffect]);
}

#[test]
fn a_service_by_a_group_above_it_has_the_family_of_the_group() {
    let group = |member: &str| format!("virtual_server_group G {{\n {member}\n}}\n");
    let server = |real: &str| {
        format!(
            "virtual_server group G {{\n lb_algo rr\n lb_kind NAT\n protocol TCP\n \
             real_server {real} {{\n }}\n}}\n"
        )
    };
    let (v4, v6) = ("203.0.113.1 80", "2001:db8::1 80");
    for (member, fits, other) in [
        ("198.51.100.10 80", v4, v6),
        ("2001:db8::80-90 80", v6, v4),
        ("fwmark 7 inet6\n fwmark 8 inet", v6, v4),
    ] {
        let right = read(&(group(member) + &server(fits)));
        let family = if fits == v4 { Family::V4 } else { Family::V6 };
        assert_eq!(right.model.virtual_servers[0].family, family, "{member}");
        let wrong = codes(&read(&(group(member) + &server(other))));
        assert!(wrong.contains(&Language::FamilyMismatch), "{member}: {wrong:?}");
    }
    // One that does not say, or comes later, leaves it to the servers.
    for text in [group("fwmark 7") + &server(v6), server(v6) + &group("198.51.100.10 80")] {
        assert_eq!(read(&text).model.virtual_servers[0].family, Family::V6, "{text}");
    }
}

#[test]
fn wrong_weights() {
    let weight = |word: &str| {
        let (vs, said) = service("", &format!("weight {word}"));
        assert_eq!(said.len(), 1, "{word}");
        *vs.real_servers[0].weight
    };
    assert_eq!([weight("1.5"), weight("3x"), weight("-1"), weight("99999999999")], [1, 3, 1, 1]);
    let (vs, _) = service("", "weight abc");
    assert_eq!(*vs.real_servers[0].weight, 0);
}

#[test]
fn persistence_by_its_parts() {
    let (vs, _) = service("persistence_granularity 255.255.0.0", "");
    assert_eq!(
        (vs.persistence_granularity, vs.persistence_timeout.unwrap().as_secs()),
        (Some(16), 360)
    );
    let (vs, _) = service("persistence_engine sip", "");
    assert_eq!((vs.persistence_engine, vs.persistence_timeout), (None, None));
    let (vs, _) = service("persistence_engine sip\npersistence_timeout 9", "");
    assert_eq!(vs.persistence_engine.as_deref(), Some("sip"));
}

#[test]
fn a_quorum_over_names_is_not_reduced() {
    let lowered = read(
        "virtual_server 192.0.2.1 80 {\n lb_algo rr\n lb_kind NAT\n protocol TCP\n quorum 5\n \
         real_server web.example.net 80 {\n }\n}\n",
    );
    assert_eq!((codes(&lowered), *lowered.model.virtual_servers[0].quorum), (vec![], 5));
}
