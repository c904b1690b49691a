//! The semantic checks: each mistake is found, and named at the right place.

use std::path::Path;

use config::checks::{
    self, Elsewhere, Environment, Interface, Script, ScriptFinding, ScriptProblem,
};
use config::diagnostic::{Diagnostic, Severity};
use config::files::MemoryFiles;
use config::lower::{BuiltinNames, lower};
use config::model::{Command, Global, Network};
use config::render::{Style, text};
use config::source::SourceMap;
use config::{Options, load};

fn check(input: &str, environment: &dyn Environment) -> (Vec<Diagnostic>, SourceMap) {
    let path = Path::new("/k.conf");
    let loaded = load(&MemoryFiles::new().with(path, input), path, &Options::default());
    let lowered = lower(&loaded.tree, &BuiltinNames);
    let found = checks::check(&loaded.tree, &lowered.model, &loaded.sources, environment);
    (found, loaded.sources)
}

/// Names of the findings of the checks, with the characters that each points at.
fn found_with(input: &str, environment: &dyn Environment) -> Vec<String> {
    let (found, sources) = check(input, environment);
    found
        .iter()
        .map(|d| match &d.primary {
            Some(label) => format!("{}: {}", d.code.name(), sources.text(label.span)),
            None => d.code.name().to_owned(),
        })
        .collect()
}

fn found(input: &str) -> Vec<String> {
    found_with(input, &Elsewhere)
}

/// An instance that nothing is wrong with, and more lines in it.
fn instance(lines: &str) -> String {
    format!(
        "vrrp_instance V {{\n interface eth0\n virtual_router_id 7\n \
         virtual_ipaddress {{\n 192.0.2.9/32\n }}\n{lines}\n}}\n"
    )
}

const SCRIPT: &str = "vrrp_script s {\n script /bin/s\n weight -20\n}\n";

#[test]
fn nothing_is_said_about_a_good_file() {
    assert_eq!(found(&instance("priority 150")), Vec::<String>::new());
    let tracked = format!("{SCRIPT}{}", instance("track_script {\n s\n }"));
    assert_eq!(found(&tracked), Vec::<String>::new());
}

#[test]
fn names_that_nobody_uses() {
    assert_eq!(found(&format!("{SCRIPT}{}", instance(""))), ["unused-name: s"]);
    let file = "track_file f {\n file /run/f\n}\n";
    assert_eq!(found(&format!("{file}{}", instance(""))), ["unused-name: f"]);
    let misspelt = "vrrp_script check_web {\n script /bin/s\n}\n".to_owned()
        + &instance("track_script {\n chk_web\n }");
    assert_eq!(found(&misspelt), Vec::<String>::new());
    // The reference was wrong for another reason, and is reported there.
    let late = format!("{}{SCRIPT}", instance("track_script {\n s\n }"));
    assert_eq!(found(&late), Vec::<String>::new());
}

#[test]
fn an_address_held_twice() {
    let two = instance("")
        + "vrrp_instance W {\n interface eth1\n virtual_router_id 8\n virtual_ipaddress {\n 192.0.2.9/32\n }\n}\n";
    assert_eq!(found(&two), ["shared-address: 192.0.2.9/32"]);
}

#[test]
fn weights_that_change_nothing() {
    let with = |lines: &str| found(&format!("{SCRIPT}{}", instance(lines)));
    assert_eq!(with("nopreempt\n track_script {\n s\n }"), ["weight-with-nopreempt: s"]);
    assert_eq!(with("nopreempt\n track_script {\n s weight 5\n }"), ["weight-with-nopreempt: 5"]);
    assert_eq!(with("nopreempt\n track_script {\n s weight 0\n }"), Vec::<String>::new());
    assert_eq!(
        with("priority 254\n track_script {\n s weight 5\n }"),
        ["weight-without-effect: 5"]
    );
    assert_eq!(with("priority 10\n track_script {\n s\n }"), ["weight-without-effect: s"]);
    // Reversed, 20 is subtracted while all is well.
    assert_eq!(
        with("priority 10\n track_script {\n s weight 20 reverse\n }"),
        ["weight-without-effect: 20"]
    );
    assert_eq!(
        with("priority 10\n track_script {\n s weight -20 reverse\n }"),
        Vec::<String>::new()
    );
}

#[test]
fn the_owner_by_accident() {
    assert_eq!(found(&instance("state MASTER")), ["state-master-without-priority: MASTER"]);
    assert_eq!(found(&instance("state MASTER\n priority 255")), Vec::<String>::new());
    assert_eq!(found(&instance("advert_int 20")), ["slow-adverts: 20"]);
}

#[test]
fn members_of_a_group_that_differ() {
    let group = "vrrp_sync_group G {\n group {\n V\n W\n }\n}\n";
    let other = |lines: &str| {
        format!(
            "{group}{}vrrp_instance W {{\n interface eth1\n virtual_router_id 8\n \
             virtual_ipaddress {{\n 192.0.2.10/32\n }}\n{lines}\n}}\n",
            instance("")
        )
    };
    assert_eq!(found(&other("")), Vec::<String>::new());
    assert_eq!(found(&other("advert_int 2")), ["sync-group-differs: 2"]);
    assert_eq!(found(&other("nopreempt")), ["sync-group-differs: nopreempt"]);
}

/// A machine with eth0 only.
struct Machine {
    script: Script,
}

impl Machine {
    fn new() -> Self {
        Self { script: Script::default() }
    }

    fn with(problem: ScriptProblem) -> Self {
        let finding =
            ScriptFinding { problem, message: "it is bad".into(), remedy: "Mend it.".into() };
        Self { script: Script { as_root: true, findings: vec![finding] } }
    }
}

impl Environment for Machine {
    fn interface(&self, name: &str) -> Interface {
        if name != "eth0" {
            return Interface::Missing;
        }
        let network = |address: &str, prefix| Network {
            address: address.parse().expect("an address"),
            prefix,
        };
        Interface::Present {
            addresses: vec![
                network("192.0.2.1", 24),
                network("2001:db8::1", 64),
                network("fe80::1", 64),
            ],
        }
    }

    fn script(&self, _: &Command, _: &Global) -> Option<Script> {
        Some(self.script.clone())
    }

    fn mode(&self, _: &Path) -> Option<u32> {
        Some(0o644)
    }
}

fn with_vip(vip: &str, lines: &str) -> String {
    format!(
        "vrrp_instance V {{\n interface eth0\n virtual_router_id 7\n \
         virtual_ipaddress {{\n {vip}\n }}\n{lines}\n}}\n"
    )
}

#[test]
fn addresses_and_the_interface() {
    let at_home = |vip: &str| found_with(&with_vip(vip, ""), &Machine::new());
    assert_eq!(at_home("192.0.2.9/24"), Vec::<String>::new());
    assert_eq!(at_home("192.0.2.9/32"), Vec::<String>::new());
    assert_eq!(at_home("192.0.2.9"), ["no-mask: 192.0.2.9"]);
    assert_eq!(at_home("192.0.2.9/16"), ["mask-differs: 192.0.2.9/16"]);
    assert_eq!(at_home("198.51.100.9/24"), ["outside-subnets: 198.51.100.9/24"]);
    assert_eq!(at_home("192.0.2.255/24"), ["not-a-host-address: 192.0.2.255/24"]);
    assert_eq!(at_home("192.0.2.0/24"), ["not-a-host-address: 192.0.2.0/24"]);
    assert_eq!(at_home("192.0.2.1/24"), ["vip-is-own-address: 192.0.2.1/24"]);
    assert_eq!(
        at_home("127.0.0.1/32"),
        ["special-address: 127.0.0.1/32", "outside-subnets: 127.0.0.1/32"]
    );
    assert_eq!(at_home("2001:db8::9/64"), ["first-not-link-local: 2001:db8::9/64"]);
    assert_eq!(at_home("fe80::9/64\n 2001:db8::9/64"), Vec::<String>::new());
    // Keepalived says so in strict mode: there it counts for the status of -t.
    let noticed = |lines: &str| {
        let text = with_vip("2001:db8::9/64", lines);
        let (findings, _) = check(&text, &Machine::new());
        findings.iter().any(|f| f.severity == Severity::Warning && f.message.contains("link-local"))
    };
    assert!(noticed("strict_mode on"));
    assert!(!noticed("strict_mode off"));
    let owner = with_vip("192.0.2.1/24", "priority 255");
    assert_eq!(found_with(&owner, &Machine::new()), Vec::<String>::new());
    // Nobody looked: nothing is known.
    assert_eq!(found(&with_vip("198.51.100.9/24", "")), Vec::<String>::new());
}

#[test]
fn interfaces_that_do_not_exist() {
    let other = instance("").replace("eth0", "eth7");
    assert_eq!(found_with(&other, &Machine::new()), ["no-such-interface: eth7"]);
    let dynamic = format!("global_defs {{\n dynamic_interfaces\n}}\n{other}");
    let (found, _) = check(&dynamic, &Machine::new());
    assert_eq!(found[0].severity, config::diagnostic::Severity::Advice);
}

#[test]
fn unicast_peers() {
    let peers = |lines: &str| found_with(&instance(lines), &Machine::new());
    assert_eq!(
        peers("unicast_src_ip 192.0.2.1\n unicast_peer {\n 192.0.2.2\n }"),
        Vec::<String>::new()
    );
    assert_eq!(
        peers("unicast_src_ip 192.0.2.1\n unicast_peer {\n 192.0.2.1\n 192.0.2.2\n }"),
        ["own-address-among-peers: 192.0.2.1"]
    );
    assert_eq!(
        peers("unicast_src_ip 192.0.2.77\n unicast_peer {\n 192.0.2.2\n }"),
        ["source-not-present: 192.0.2.77"]
    );
    // The source needs no look at the machine.
    let lines = "unicast_src_ip 192.0.2.5\n unicast_peer {\n 192.0.2.5\n }";
    assert_eq!(found(&instance(lines)), ["own-address-among-peers: 192.0.2.5"]);
}

#[test]
fn scripts_on_this_machine() {
    use config::verdict::exit_status;
    let tracked = format!("{SCRIPT}{}", instance("track_script {\n s\n }"));
    let notify = instance("notify /bin/n");
    let status = |input: &str, problem| exit_status(&check(input, &Machine::with(problem)).0);
    assert_eq!(
        found_with(&tracked, &Machine::with(ScriptProblem::NotRunnable)),
        ["script-not-runnable: /bin/s"]
    );
    assert_eq!(status(&tracked, ScriptProblem::NotRunnable), 5);
    assert_eq!(status(&notify, ScriptProblem::NotRunnable), 0);
    assert_eq!(
        found_with(&notify, &Machine::with(ScriptProblem::Insecure)),
        ["insecure-script: /bin/n", "no-script-security: /bin/n"]
    );
    assert_eq!(status(&notify, ScriptProblem::Insecure), 6);
    let secure = format!("global_defs {{\n enable_script_security\n}}\n{notify}");
    assert_eq!(
        found_with(&secure, &Machine::with(ScriptProblem::Insecure)),
        ["insecure-script: /bin/n"]
    );
    assert_eq!(status(&secure, ScriptProblem::Insecure), 5);
    assert_eq!(status(&secure, ScriptProblem::Remark), 0);
}

#[test]
fn scripts_anywhere() {
    let script = |line: &str| {
        let block = format!("vrrp_script s {{\n script {line}\n}}\n");
        found(&format!("{block}{}", instance("track_script {\n s\n }")))
    };
    assert_eq!(script("\"/bin/s -x 1\""), Vec::<String>::new());
    assert_eq!(script("\"pidof nginx\""), Vec::<String>::new());
    assert_eq!(script("./s.sh"), ["relative-script: ./s.sh"]);
    assert_eq!(script("\"/bin/s || exit 1\""), ["shell-syntax: ||"]);
    assert_eq!(script("\"/bin/sh -c '/bin/s || exit 1'\""), Vec::<String>::new());
    assert_eq!(script("\"/bin/s > /dev/null\""), ["shell-syntax: >"]);
    assert_eq!(script("\"/bin/s $HOME\""), ["shell-syntax: $HOME"]);
    assert_eq!(script("\"if true; then\""), ["shell-syntax: \"if true; then\""]);
    assert_eq!(script("\"/bin/s\"\n interval 2\n timeout 5"), ["script-timeout: 5"]);
}

#[test]
fn words_that_look_wrong() {
    assert_eq!(found(&instance("interface <interface>")), ["placeholder: <interface>"]);
    assert_eq!(found(&instance("priority {{ prio }}")), ["placeholder: {{ prio }}"]);
    assert_eq!(found(&instance("priority YOUR_PRIORITY")), ["placeholder: YOUR_PRIORITY"]);
    assert_eq!(
        found(&with_vip("192.0.2.9/32\n KEEPALIVE_VIP", "")),
        ["placeholder: KEEPALIVE_VIP"]
    );
    assert_eq!(found(&instance("state BACKUP;")), ["trailing-punctuation: BACKUP;"]);
    assert_eq!(found(&instance("priority = 100")), ["equals-sign: ="]);
    assert_eq!(found(&instance("priority: 100")), ["equals-sign: priority:"]);
    assert_eq!(found(&instance("state МASTER")), ["foreign-letters: МASTER"]);
    assert_eq!(found(&instance("priority 100，x")), ["foreign-punctuation: 100，x"]);
    assert_eq!(found(&instance("state BACKUP priority 100")), ["keywords-on-one-line: priority"]);
    assert_eq!(
        found(&instance("authentication {\n auth_type PASS\n auth_pass a;b,\n }")),
        Vec::<String>::new()
    );
}

#[test]
fn mail_secrets_and_strictness() {
    let global = |lines: &str, body: &str| format!("global_defs {{\n{lines}\n}}\n{body}");
    assert_eq!(found(&instance("smtp_alert")), ["mail-without-recipients: smtp_alert"]);
    let mail = "notification_email {\n a@b\n }\n smtp_server 192.0.2.3";
    assert_eq!(found(&global(mail, &instance("smtp_alert"))), Vec::<String>::new());
    assert_eq!(found(&global(mail, &instance(""))), ["mail-unused: notification_email"]);
    let pass = |word: &str| {
        instance(&format!("authentication {{\n auth_type PASS\n auth_pass {word}\n }}"))
    };
    assert_eq!(found(&pass("1111")), ["weak-password: 1111"]);
    assert_eq!(found(&pass("Tr1cky")), Vec::<String>::new());
    assert_eq!(found_with(&pass("Tr1cky"), &Machine::new()), ["readable-secret: Tr1cky"]);
    assert_eq!(found(&global("vrrp_strict", &instance(""))), ["strict-drops-traffic: vrrp_strict"]);
    assert_eq!(found("global_defs {\n}\n"), ["nothing-to-run"]);
}

#[test]
fn the_message_about_weights_and_nopreempt() {
    let input = format!("{SCRIPT}{}", instance("nopreempt\n track_script {\n s\n }"));
    let (found, sources) = check(&input, &Elsewhere);
    let shown = text(&found[0], &sources, Style { colour: false, width: 80 });
    let lines: Vec<&str> = shown.lines().map(str::trim_end).collect();
    let expected = "\
warning[SF0501]: with nopreempt, the weight of `s` never moves `V`
  --> /k.conf:13:2
   |
11 | nopreempt
   | --------- and a priority alone never makes a MASTER step down
12 |  track_script {
13 |  s
   |  ^ changes the priority only
   |
   = help: leave the weight out (or write `weight 0`): then a failure is a
           FAULT, and another takes over
   = help: or remove nopreempt on all nodes";
    assert_eq!(lines.join("\n"), expected);
}

/// A service whose real server holds these lines.
fn balanced(service: &str, server: &str) -> String {
    format!(
        "virtual_server 192.0.2.1 80 {{\n lb_algo rr\n lb_kind NAT\n{service}\n \
         real_server 198.51.100.9 80 {{\n{server}\n }}\n}}\n"
    )
}

#[test]
fn services_that_will_not_notice() {
    let tcp = "protocol TCP";
    assert_eq!(found(&balanced(tcp, "TCP_CHECK {\n }")), Vec::<String>::new());
    let server = "real_server 198.51.100.9 80";
    assert_eq!(found(&balanced(tcp, "")), [format!("unchecked-server: {server}")]);
    let page = "SSL_GET {\n url {\n }\n }";
    assert_eq!(found(&balanced(tcp, page)), [format!("unverified-certificate: {server}")]);
    let verified = "SSL_GET {\n verify\n url {\n }\n }";
    assert_eq!(found(&balanced(tcp, verified)), Vec::<String>::new());
    let crossed = "uthreshold 5\nlthreshold 9\nTCP_CHECK {\n }";
    assert_eq!(found(&balanced(tcp, crossed)), [format!("thresholds-crossed: {server}")]);
    let alone = "lthreshold 9\nTCP_CHECK {\n }";
    assert_eq!(found(&balanced(tcp, alone)), [format!("thresholds-crossed: {server}")]);
    let slow = "delay_loop 2\nTCP_CHECK {\n connect_timeout 3\n }";
    assert_eq!(found(&balanced(tcp, slow)), ["slow-check: 3"]);
    assert_eq!(
        found(&balanced("protocol UDP", "TCP_CHECK {\n }")),
        ["udp-service-checked-by-tcp: virtual_server 192.0.2.1 80"]
    );
    assert_eq!(found(&balanced("protocol UDP", "DNS_CHECK {\n }")), Vec::<String>::new());
    let once = balanced(tcp, "TCP_CHECK {\n }");
    let twice = format!("{once}{once}");
    assert_eq!(found(&twice), ["virtual-server-twice: virtual_server 192.0.2.1 80"]);
}

struct NoExpressions;

impl Environment for NoExpressions {
    fn regex(&self, regex: &config::model::checker::Regex) -> Option<String> {
        Some(format!("no {}", regex.pattern))
    }
}

#[test]
fn expressions_that_cannot_be_used() {
    let page = balanced("protocol TCP", "HTTP_GET {\n url {\n regex ok\n }\n }");
    assert_eq!(
        found_with(&page, &NoExpressions),
        ["unusable-expression: real_server 198.51.100.9 80"]
    );
}
