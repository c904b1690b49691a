//! From the configuration's words to a check.

use std::net::SocketAddr;
use std::time::Duration;

use checkers::{Check, Kind, Surroundings, Target};
use config::lower::{BuiltinNames, lower};
use config::model::balancer::Ssl;
use config::model::checker::FileWeight;
use config::{Options, load_text};
use notify::settings::ScriptCommand;
use standfast_checkers as checkers;

/// The checks of a real server at 198.51.100.11:80 that has these lines.
fn checks(lines: &str) -> Vec<Option<Check>> {
    let text = format!(
        "track_file f {{\n file /tmp/f\n weight 3\n}}\n\
         virtual_server 203.0.113.1 80 {{\n protocol TCP\n delay_loop 7\n virtualhost vs.example\n \
         real_server 198.51.100.11 80 {{\n {lines}\n }}\n}}\n"
    );
    let loaded = load_text(&text, &Options::default());
    let model = lower(&loaded.tree, &BuiltinNames).model;
    let virtual_server = model.virtual_servers.first().expect("a virtual server");
    let real = &virtual_server.real_servers[0];
    let new = |checker| {
        let around = Surroundings {
            real: real.address().expect("an address"),
            virtualhost: virtual_server.virtualhost.as_deref(),
            script: Some(ScriptCommand::new("/bin/true")),
            file_weight: Some(FileWeight { value: 3, reverse: Some(false) }),
            ssl: &Ssl::default(),
        };
        Check::new(checker, around)
    };
    real.checkers.iter().map(new).collect()
}

fn check(lines: &str) -> Check {
    checks(lines).remove(0).expect("a check")
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[test]
fn a_check_looks_at_its_real_server() {
    let check = check("TCP_CHECK { }");
    assert_eq!(check.kind, Kind::Tcp(Target::new(address("198.51.100.11:80"))));
    let schedule = check.schedule;
    assert_eq!(schedule.delay_loop, Duration::from_secs(7));
    assert_eq!(schedule.warmup, Duration::from_secs(7));
    assert_eq!((schedule.retry, schedule.delay_before_retry), (1, Duration::from_secs(1)));
    assert_eq!((schedule.alpha, schedule.steps), (false, 1));
    assert!(schedule.retry_when_down && !schedule.from_start);
}

#[test]
fn where_and_whence_can_be_said() {
    let check = check(
        "TCP_CHECK {\n connect_ip 2001:db8::7\n connect_port 81\n bindto 2001:db8::1\n \
         bind_port 99\n bind_if lo\n connect_timeout 2.5\n fwmark 5\n alpha\n}",
    );
    let Kind::Tcp(target) = check.kind else { panic!("{:?}", check.kind) };
    assert_eq!(target.to, address("[2001:db8::7]:81"));
    assert_eq!(target.bind_address, Some("2001:db8::1".parse().unwrap()));
    assert_eq!((target.bind_port, target.mark), (Some(99), Some(5)));
    assert_eq!(target.interface.as_deref(), Some("lo"));
    assert_eq!(target.timeout, Duration::from_millis(2_500));
    assert!(check.schedule.alpha);
}

#[test]
fn each_keyword_has_its_kind() {
    let all = checks(
        "TCP_CHECK { }\n UDP_CHECK { }\n PING_CHECK { }\n DNS_CHECK { }\n SMTP_CHECK { }\n \
         HTTP_GET {\n url {\n path /\n }\n}\n SSL_GET {\n url {\n path /\n }\n}\n \
         MISC_CHECK {\n misc_path /bin/true\n}\n FILE_CHECK {\n track_file f\n}",
    );
    let keywords: Vec<_> = all.iter().flatten().map(|check| check.kind.keyword()).collect();
    assert_eq!(
        keywords,
        [
            "TCP_CHECK",
            "UDP_CHECK",
            "PING_CHECK",
            "DNS_CHECK",
            "SMTP_CHECK",
            "HTTP_GET",
            "SSL_GET",
            "MISC_CHECK",
            "FILE_CHECK"
        ]
    );
}

#[test]
fn urls_are_steps_and_inherit_the_virtual_host() {
    let check = check("HTTP_GET {\n fast_recovery\n url {\n path /a\n }\n url {\n path /b\n }\n}");
    assert_eq!((check.schedule.steps, check.schedule.fast_recovery), (2, true));
    let Kind::Http(http) = check.kind else { panic!() };
    assert_eq!(http.settings.virtualhost.as_deref(), Some("vs.example"));
    let own = self::check("HTTP_GET {\n virtualhost own.example\n url {\n path /\n }\n}");
    let Kind::Http(http) = own.kind else { panic!() };
    assert_eq!(http.settings.virtualhost.as_deref(), Some("own.example"));
}

#[test]
fn hosts_of_a_mail_check_replace_the_server_unless_it_speaks_for_itself() {
    let targets = |lines: &str| {
        let Kind::Smtp(smtp) = check(lines).kind else { panic!("no SMTP_CHECK") };
        smtp.targets.iter().map(|target| target.to.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(targets("SMTP_CHECK { }"), ["198.51.100.11:80"]);
    assert_eq!(
        targets("SMTP_CHECK {\n host {\n connect_port 25\n }\n host {\n connect_port 26\n }\n}"),
        ["198.51.100.11:25", "198.51.100.11:26"]
    );
    assert_eq!(
        targets("SMTP_CHECK {\n connect_port 27\n host {\n connect_port 25\n }\n}"),
        ["198.51.100.11:27", "198.51.100.11:25"]
    );
}

#[test]
fn scripts_run_from_start_to_start_and_need_a_script() {
    let lines = "MISC_CHECK {\n misc_path /bin/true\n misc_dynamic\n}";
    let check = check(lines);
    assert!(check.schedule.from_start);
    let Kind::Misc(misc) = &check.kind else { panic!() };
    assert_eq!((misc.timeout, misc.dynamic), (Duration::from_secs(7), true));
    let text = format!(
        "virtual_server 203.0.113.1 80 {{\n protocol TCP\n real_server 198.51.100.11 80 {{\n \
         {lines}\n }}\n}}\n"
    );
    let model = lower(&load_text(&text, &Options::default()).tree, &BuiltinNames).model;
    let around = Surroundings {
        real: address("198.51.100.11:80"),
        virtualhost: None,
        script: None,
        file_weight: None,
        ssl: &Ssl::default(),
    };
    let checker = &model.virtual_servers[0].real_servers[0].checkers[0];
    assert_eq!(Check::new(checker, around), None);
}

#[test]
fn a_file_check_has_its_weight_or_the_files() {
    let weight = |lines: &str| {
        let Kind::File(file) = check(lines).kind else { panic!() };
        assert_eq!(&*file.file, "f");
        file.weight
    };
    assert_eq!(weight("FILE_CHECK {\n track_file f\n}").value, 3);
    assert_eq!(
        weight("FILE_CHECK {\n track_file f\n weight -2 reverse\n}"),
        FileWeight { value: -2, reverse: Some(true) }
    );
}

/// Comments and places do not count; anything else does.
#[test]
fn equal_words_are_equal_checks() {
    let one = check("HTTP_GET {\n url {\n path /a\n status_code 200\n }\n retry 3\n}");
    let same = check("# moved\n\n HTTP_GET {\n retry 3\n url {\n path /a\n status_code 200\n }\n}");
    let other = check("HTTP_GET {\n url {\n path /a\n status_code 201\n }\n retry 3\n}");
    let slower = check("HTTP_GET {\n url {\n path /a\n status_code 200\n }\n retry 4\n}");
    assert_eq!(one, same);
    assert_ne!(one, other);
    assert_ne!(one, slower);
}
