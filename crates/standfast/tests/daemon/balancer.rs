//! The balancer beside the failover role: neither needs the other, and neither takes the other
//! along. Whether this kernel has IPVS does not matter here.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use lab::journal::wait_until;
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::Test;
use crate::stage::{CONFIG, CONFIG_PATH, LIMIT, Stage, send, text, wait_gone};

pub(crate) const TESTS: &[Test] = &[
    ("two_roles_start_and_stop", two_roles),
    ("virtual_ips_go_before_the_services_behind_them", order_of_the_end),
    ("a_balancer_that_dies_touches_nothing_else", killed),
    ("a_balancer_that_dies_again_and_again_is_tried_again", often),
    ("a_failover_role_that_dies_leaves_the_balancer_alone", other_killed),
    ("without_respawn_the_other_role_goes_on", no_respawn),
    ("a_balancer_that_hangs_is_killed_and_cleaned_up_behind", hanging),
    ("a_supervisor_that_dies_takes_both_along", supervisor),
    ("a_balancer_that_waits_holds_no_address_up", waiting),
    ("without_ipvs_the_remedy_is_told", without_ipvs),
    ("only_one_of_them_by_option", only),
    ("only_virtual_servers_need_no_failover_role", alone),
    ("a_reload_starts_and_stops_the_balancer", reload),
    ("both_refuse_a_bad_reload", bad_reload),
    ("files_are_beside_their_pid_files", files),
    ("processes_have_their_names", names),
    ("orders_are_taken_and_survive", orders),
    ("a_drain_is_waited_for", drain),
    ("orders_for_nobody_tell_what_there_is", wrong_orders),
    ("status_explain_events_over_both", questions),
    ("events_go_on_over_a_death", follow),
    ("genhash_by_every_name", genhash),
];

/// A virtual server whose real server refuses connections.
const SERVERS: &str = "\
virtual_server 198.51.100.100 80 {
    protocol TCP
    lb_algo rr
    lb_kind NAT
    delay_loop 1
    real_server 198.51.100.2 8080 {
        TCP_CHECK {
            connect_timeout 1
            retry 0
        }
    }
    real_server 198.51.100.3 8080 {
        weight 7
    }
}
";

const PID_FILE: &str = "/run/checkers.pid";
const SOCKET: &str = "/run/standfast/balancer.sock";

fn both() -> String {
    format!("{CONFIG}{SERVERS}")
}

/// Starts both roles and returns their processes: failover, balancer.
fn start_both(stage: &mut Stage) -> (i32, i32) {
    stage.start(&both());
    let failover = stage.wait_pid("/run/vrrp.pid");
    (failover, wait_answer(stage, None))
}

/// Waits until the balancer answers, as another process than `before`. Returns the process.
fn wait_answer(stage: &Stage, before: Option<i32>) -> i32 {
    let answers = || {
        let pid = stage.lab.read(1, PID_FILE).trim().parse().ok()?;
        let snapshot = stage.try_ask(&["status"])?;
        (Some(pid) != before && snapshot["balancing"]["node"]["pid"] == pid).then_some(pid)
    };
    wait_until(LIMIT, answers).expect("a balancer that answers")
}

/// Waits until the state of a real server satisfies.
fn wait_real(stage: &Stage, name: &str, satisfies: impl Fn(&Value) -> bool) -> Value {
    let real = || {
        let all = stage.try_ask(&["server", "list"])?;
        let all = all["virtual_servers"].as_array()?.iter();
        let mut all = all.flat_map(|v| v["real_servers"].as_array().cloned().unwrap_or_default());
        all.find(|r| r["name"] == name && satisfies(r))
    };
    wait_until(LIMIT, real).unwrap_or_else(|| {
        panic!("{name} does not become so: {:?}", stage.try_ask(&["server", "list"]))
    })
}

const SICK: &str = "[198.51.100.2]:tcp:8080";
const UNCHECKED: &str = "[198.51.100.3]:tcp:8080";

fn two_roles(stage: &mut Stage) {
    let (failover, balancer) = start_both(stage);
    stage.wait_line("Starting VRRP child process, pid=");
    stage.wait_line("Starting Healthcheck child process, pid=");
    let mut roles = stage.daemon().roles();
    roles.sort_unstable();
    let mut expected = vec![failover, balancer];
    expected.sort_unstable();
    assert_eq!(roles, expected);
    wait_real(stage, SICK, |r| r["state"] == "DOWN");
    assert_eq!(stage.stop(), 0);
    stage.wait_no_vip();
    for path in ["/run/vrrp.pid", PID_FILE, SOCKET, "/run/standfast/failover.sock"] {
        assert!(!stage.exists(path), "{path} is left");
    }
}

fn order_of_the_end(stage: &mut Stage) {
    start_both(stage);
    stage.wait_vip();
    assert_eq!(stage.stop(), 0);
    let log = stage.daemon().log();
    let when = |what: &str| {
        let at = log.iter().position(|line| line.text.contains(what));
        at.unwrap_or_else(|| panic!("no line with {what}"))
    };
    let gone = when("Entering INIT STATE (stop)");
    assert!(gone < when("Shutting down service"), "services went first");
}

fn killed(stage: &mut Stage) {
    let (failover, balancer) = start_both(stage);
    let since = stage.lab.now();
    send(balancer, Signal::SIGKILL);
    let next = wait_answer(stage, Some(balancer));
    stage.wait_line_since("the balancer role died", since);
    let snapshot = stage.ask(&["status"]);
    assert_eq!(snapshot["balancing"]["node"]["restarts"], 1);
    assert_eq!(snapshot["balancing"]["node"]["pid"], next);
    assert_eq!(snapshot["node"]["restarts"], 0);
    assert_eq!(snapshot["node"]["pid"], failover);
    assert_eq!(stage.removals(), 0);
    let adverts = stage.lab.adverts(1, since);
    assert!(adverts.iter().all(|(_, advert)| advert.priority == 200));
    stage.wait_advert();
    assert_eq!(stage.stop(), 0);
}

fn often(stage: &mut Stage) {
    let (failover, mut balancer) = start_both(stage);
    // At once, after a second, after two seconds.
    for _ in 0..3 {
        send(balancer, Signal::SIGKILL);
        balancer = wait_answer(stage, Some(balancer));
    }
    stage.wait_line("the balancer role is started again in 2 s");
    assert_eq!(stage.wait_pid("/run/vrrp.pid"), failover);
    assert_eq!(stage.removals(), 0);
    // In the longer pause that begins now, a stop does not wait, and cleans up.
    send(balancer, Signal::SIGKILL);
    stage.wait_line("the balancer role is started again in 4 s");
    assert_eq!(stage.stop(), 0);
    assert!(!stage.exists(PID_FILE) && !stage.exists(SOCKET));
}

fn other_killed(stage: &mut Stage) {
    let (failover, balancer) = start_both(stage);
    send(failover, Signal::SIGKILL);
    let again = wait_until(LIMIT, || {
        let snapshot = stage.try_ask(&["status"])?;
        (snapshot["node"]["restarts"] == 1).then_some(snapshot)
    });
    let snapshot = again.expect("the failover role again");
    assert_eq!(snapshot["balancing"]["node"]["pid"], balancer);
    assert_eq!(snapshot["balancing"]["node"]["restarts"], 0);
}

fn no_respawn(stage: &mut Stage) {
    stage.launch(&both(), &["-R"]);
    stage.wait_vip();
    let balancer = wait_answer(stage, None);
    send(balancer, Signal::SIGKILL);
    stage.wait_line("it is not started again");
    stage.wait_advert();
    assert!(stage.daemon().running());
    assert_eq!(stage.stop(), 0);
    // When it was the only one, nothing is left to run for.
    stage.launch(SERVERS, &["-R"]);
    send(wait_answer(stage, None), Signal::SIGKILL);
    assert_eq!(stage.exit_status(), 1);
}

fn hanging(stage: &mut Stage) {
    stage.start(&format!("child_wait_time 1\n{}", both()));
    send(wait_answer(stage, None), Signal::SIGSTOP);
    assert_eq!(stage.stop(), 0);
    stage.wait_line("the balancer role does not stop; it is killed");
    stage.wait_no_vip();
    assert!(!stage.exists(PID_FILE) && !stage.exists(SOCKET));
}

fn supervisor(stage: &mut Stage) {
    let (failover, balancer) = start_both(stage);
    stage.daemon().signal(Signal::SIGKILL);
    wait_gone(failover);
    wait_gone(balancer);
    stage.wait_no_vip();
    // The next ones hold the pid files, whatever is left of the last.
    let (next, balancer) = start_both(stage);
    let roles = stage.daemon().roles();
    assert!(roles.contains(&next) && roles.contains(&balancer), "{roles:?}");
}

fn waiting(stage: &mut Stage) {
    // Another daemon's process stands in the balancer's pid file and stays.
    stage.write("/run/other.conf", "");
    let other = ["-n", "-G", "-f", "/run/other.conf", "-p", "/run/other.pid"];
    let _other = crate::stage::Reaped(stage.spawn("keepalived", &other, &[]));
    let pid = stage.wait_pid("/run/other.pid");
    stage.write(PID_FILE, &format!("{pid}\n"));
    stage.launch(&both(), &[]);
    stage.wait_vip();
    assert_eq!(stage.daemon().roles().len(), 1);
    // After some seconds it does without the pid file.
    let answers = || stage.try_ask(&["status"])?["balancing"]["node"]["pid"].as_u64();
    let balancer = wait_until(LIMIT, answers).expect("a balancer that answers");
    assert_ne!(balancer, u64::try_from(pid).expect("a process id"));
    assert_eq!(stage.wait_pid(PID_FILE), pid);
    assert_eq!(stage.stop(), 0);
}

fn without_ipvs(stage: &mut Stage) {
    start_both(stage);
    let looked = || {
        let ipvs = stage.try_ask(&["status"])?["balancing"]["ipvs"].clone();
        (ipvs["available"] == true || ipvs["problem"].is_string()).then_some(ipvs)
    };
    let ipvs = wait_until(LIMIT, looked).expect("it looks for IPVS");
    let there = std::path::Path::new("/proc/net/ip_vs").exists();
    assert_eq!(ipvs["available"], there, "{ipvs}");
    let status = stage.run("standfast", &["status"]);
    let told = text(&status.stdout);
    assert_eq!(told.contains("nothing is balanced"), !there, "{told}");
    assert_eq!(told.contains("remedy:") && told.contains("modprobe ip_vs"), !there, "{told}");
    // Its checks run all the same, and so does VRRP.
    wait_real(stage, SICK, |r| r["state"] == "DOWN");
    stage.wait_advert();
    let retried = stage.run("standfast", &["server", "retry"]);
    assert_eq!(retried.status.success(), there, "{}", text(&retried.stderr));
    assert_eq!(stage.stop(), 0);
}

fn only(stage: &mut Stage) {
    stage.launch(&both(), &["-P"]);
    stage.wait_vip();
    stage.wait_line("Startup complete");
    assert!(!stage.exists(PID_FILE));
    assert_eq!(stage.daemon().roles().len(), 1);
    assert_eq!(stage.stop(), 0);
    stage.launch(&both(), &["-C"]);
    wait_answer(stage, None);
    assert!(!stage.exists("/run/vrrp.pid"));
    assert_eq!(stage.daemon().roles().len(), 1);
    assert!(!stage.lab.holds(1, crate::stage::VIP));
    assert_eq!(stage.stop(), 0);
    stage.launch(CONFIG, &["--all"]);
    stage.wait_vip();
    wait_answer(stage, None);
    assert_eq!(stage.stop(), 0);
}

fn alone(stage: &mut Stage) {
    // In the background: it returns when the balancer is ready.
    stage.write(CONFIG_PATH, SERVERS);
    let output = stage.run("keepalived", &["-G", "-f", CONFIG_PATH]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let daemon = stage.wait_pid("/run/keepalived.pid");
    let balancer = stage.wait_pid(PID_FILE);
    assert!(!stage.exists("/run/vrrp.pid"));
    let status = stage.run("standfast", &["status"]);
    let told = text(&status.stdout);
    assert!(told.contains("[198.51.100.100]:tcp:80") && told.contains("configuration 1"), "{told}");
    assert!(!told.contains("vrrp_instance"), "{told}");
    // A machine without IPVS, or with one: nothing of it ends the daemon.
    wait_real(stage, SICK, |r| r["state"] == "DOWN");
    send(daemon, Signal::SIGTERM);
    wait_gone(daemon);
    wait_gone(balancer);
    assert!(!stage.exists(PID_FILE) && !stage.exists("/run/keepalived.pid"));
}

fn reload(stage: &mut Stage) {
    stage.start(CONFIG);
    assert!(!stage.exists(PID_FILE));
    stage.reload(&both());
    let balancer = wait_answer(stage, None);
    let role = stage.wait_pid("/run/vrrp.pid");
    // One that stays is told and not started again.
    let since = stage.reload(&both().replace("lb_algo rr", "lb_algo wrr"));
    stage.wait_line_since("Reload complete", since);
    let new = || {
        let all = stage.try_ask(&["server", "list"])?;
        (all["virtual_servers"][0]["settings"]["scheduler"] == "wrr").then_some(())
    };
    assert!(wait_until(LIMIT, new).is_some(), "{}", stage.ask(&["server", "list"]));
    assert_eq!(stage.wait_pid(PID_FILE), balancer);
    let since = stage.reload(CONFIG);
    stage.wait_line_since("nothing is left for the balancer role", since);
    wait_gone(balancer);
    let gone = || (!stage.exists(PID_FILE) && !stage.exists(SOCKET)).then_some(());
    assert!(wait_until(LIMIT, gone).is_some());
    stage.reload(&both());
    wait_answer(stage, Some(balancer));
    let again = stage.ask(&["status"]);
    assert_eq!(again["balancing"]["node"]["restarts"], 0);
    // The same with the other role: what it held goes, the balancer stays.
    let balancer = stage.wait_pid(PID_FILE);
    stage.reload(SERVERS);
    stage.wait_no_vip();
    wait_gone(role);
    stage.reload(&both());
    stage.wait_vip();
    assert_eq!(stage.wait_pid(PID_FILE), balancer);
    assert_eq!(stage.stop(), 0);
}

fn bad_reload(stage: &mut Stage) {
    let (failover, balancer) = start_both(stage);
    stage.reload(&both().replace(" 51", " 999"));
    let told = || {
        let all = stage.try_ask(&["status"])?;
        let refused = [&all["node"], &all["balancing"]["node"]];
        refused.iter().all(|node| node["reload_refused"].is_string()).then_some(all)
    };
    let all = wait_until(LIMIT, told).expect("both know");
    assert_eq!(
        (&all["node"]["pid"], &all["balancing"]["node"]["pid"]),
        (&Value::from(failover), &Value::from(balancer))
    );
    let since = stage.reload(&format!("net_namespace_ipvs blue\n{}", both()));
    stage.wait_line_since("net_namespace_ipvs cannot be changed", since);
}

fn files(stage: &mut Stage) {
    stage.launch(&both(), &["-p", "/run/a.pid", "-r", "/run/b.pid", "-c", "/run/c.pid"]);
    stage.wait_vip();
    let pid = stage.wait_pid("/run/c.pid");
    let there = || (stage.exists("/run/b.sock") && stage.exists("/run/c.sock")).then_some(());
    assert!(wait_until(LIMIT, there).is_some());
    let sockets = ["--socket", "/run/b.sock", "--balancer-socket", "/run/c.sock"];
    let words: Vec<&str> = ["status"].into_iter().chain(sockets).collect();
    let snapshot = stage.ask(&words);
    assert_eq!(snapshot["balancing"]["node"]["pid"], pid);
    assert!(snapshot["instances"].is_array());
    // Who names one socket means that role.
    let one = stage.ask(&["status", "--balancer-socket", "/run/c.sock"]);
    assert!(one["instances"].is_null() && one["balancing"]["node"]["pid"] == pid);
    let one = stage.ask(&["status", "--socket", "/run/b.sock"]);
    assert!(one["instances"].is_array() && one["balancing"].is_null());
    assert_eq!(stage.stop(), 0);
    stage.launch(&format!("instance blue\n{}", both()), &[]);
    stage.wait_pid("/run/keepalived/checkers_blue.pid");
    let there = || stage.exists("/run/standfast/balancer_blue.sock").then_some(());
    assert!(wait_until(LIMIT, there).is_some());
}

fn names(stage: &mut Stage) {
    let name = |pid: i32| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let (_, balancer) = start_both(stage);
    assert_eq!(name(balancer), "keepalived\n");
    assert_eq!(stage.stop(), 0);
    stage.start(&format!("global_defs {{\n process_names\n}}\n{}", both()));
    assert_eq!(name(wait_answer(stage, None)), "keepalived_lvs\n");
    assert_eq!(stage.stop(), 0);
    stage.start(&format!("global_defs {{\n checker_process_name doctor\n}}\n{}", both()));
    assert_eq!(name(wait_answer(stage, None)), "doctor\n");
}

/// Gives an order that is to be taken.
fn ordered(stage: &Stage, words: &[&str]) {
    let words: Vec<&str> = ["server"].into_iter().chain(words.iter().copied()).collect();
    let output = stage.run("standfast", &words);
    assert_eq!(output.status.code(), Some(0), "{words:?}: {}", text(&output.stderr));
    assert!(!output.stdout.is_empty(), "{words:?}");
}

fn orders(stage: &mut Stage) {
    let (_, balancer) = start_both(stage);
    wait_real(stage, UNCHECKED, |r| r["weight"]["effective"] == 7);
    ordered(stage, &["weight", "198.51.100.100:80", "198.51.100.3:8080", "3"]);
    wait_real(stage, UNCHECKED, |r| r["weight"]["effective"] == 3);
    send(balancer, Signal::SIGKILL);
    wait_answer(stage, Some(balancer));
    wait_real(stage, UNCHECKED, |r| r["weight"]["effective"] == 3);
    let listed = stage.run("standfast", &["server", "list", "198.51.100.100"]);
    assert!(text(&listed.stdout).contains("has weight 3 by order"), "{}", text(&listed.stdout));
    ordered(stage, &["disable", "all", "198.51.100.3"]);
    wait_real(stage, UNCHECKED, |r| r["order"]["order"] == "disable");
    ordered(stage, &["enable", "all", "all"]);
    wait_real(stage, UNCHECKED, |r| r["order"].is_null() && r["weight"]["effective"] == 7);
    ordered(stage, &["weight", "tcp:198.51.100.100:80", "198.51.100.3", "0"]);
    wait_real(stage, UNCHECKED, |r| r["weight"]["effective"] == 0);
    ordered(stage, &["weight", "tcp:198.51.100.100:80", "198.51.100.3", "default"]);
    wait_real(stage, UNCHECKED, |r| r["weight"]["effective"] == 7);
}

fn drain(stage: &mut Stage) {
    start_both(stage);
    let words = ["server", "drain", "all", "198.51.100.3", "--deadline", "1s", "--wait"];
    let output = stage.run("standfast", &words);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).ends_with("drained\n"), "{}", text(&output.stdout));
    wait_real(stage, UNCHECKED, |r| r["order"]["finished"] == true);
}

fn wrong_orders(stage: &mut Stage) {
    let refused = |stage: &Stage, words: &[&str], status: i32, part: &str| {
        let words: Vec<&str> = ["server"].into_iter().chain(words.iter().copied()).collect();
        let output = stage.run("standfast", &words);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{words:?}: {told}");
        assert!(told.contains(part), "{words:?}: {told}");
    };
    stage.start(CONFIG);
    refused(stage, &["list"], 1, "are there virtual servers in its configuration");
    assert_eq!(stage.stop(), 0);
    start_both(stage);
    refused(stage, &["list", "198.51.100.99:80"], 1, "[198.51.100.100]:tcp:80");
    refused(stage, &["disable", "198.51.100.99:80", "all"], 1, "[198.51.100.100]:tcp:80");
    refused(stage, &["disable", "all", "198.51.100.4"], 1, UNCHECKED);
    refused(stage, &["weight", "all", "198.51.100.3", "-1"], 2, "-1");
    refused(stage, &["weight", "all", "198.51.100.3", "heavy"], 2, "default");
    refused(stage, &["drain", "all", "all", "--deadline", "soon"], 2, "30s");
    refused(stage, &["drain", "all"], 2, "REAL_SERVER");
    refused(stage, &["melt"], 2, "melt");
}

fn questions(stage: &mut Stage) {
    start_both(stage);
    stage.wait_line("Entering MASTER STATE");
    wait_real(stage, SICK, |r| r["state"] == "DOWN");
    let told = text(&stage.run("standfast", &["status"]).stdout);
    assert!(told.contains("MASTER") && told.contains("VIRTUAL SERVER"), "{told}");
    let told = text(&stage.run("standfast", &["explain", "198.51.100.2:8080"]).stdout);
    assert!(told.contains("DOWN") && told.contains("TCP_CHECK"), "{told}");
    let value = stage.ask(&["explain", "198.51.100.2:8080"]);
    assert_eq!(value["real_servers"][0]["name"], SICK);
    assert_eq!(stage.ask(&["explain", "A"])["name"], "A");
    let told = text(&stage.run("standfast", &["events"]).stdout);
    let positions = [told.find("MASTER"), told.find("198.51.100.2")];
    assert!(positions.iter().all(Option::is_some), "{told}");
    let told = text(&stage.run("standfast", &["events", "198.51.100.2"]).stdout);
    assert!(told.contains("198.51.100.2") && !told.contains("MASTER"), "{told}");
    let told = text(&stage.run("standfast", &["events", "A", "--json"]).stdout);
    assert!(told.lines().count() > 0);
    let mut before = Value::Null;
    for line in text(&stage.run("standfast", &["events", "--json"]).stdout).lines() {
        let record: Value = serde_json::from_str(line).expect("JSON in each line");
        let time = record["time"].clone();
        assert!(before.as_f64() <= time.as_f64(), "{before} is before {time}");
        before = time;
    }
    for words in [["events", "B"], ["explain", "B"]] {
        let output = stage.run("standfast", &words);
        assert_eq!(output.status.code(), Some(1), "{words:?}");
        let told = text(&output.stderr);
        assert!(told.contains("A") && told.contains("[198.51.100.100]:tcp:80"), "{told}");
    }
}

fn follow(stage: &mut Stage) {
    let (_, balancer) = start_both(stage);
    wait_real(stage, SICK, |r| r["state"] == "DOWN");
    let mut child =
        crate::stage::Reaped(stage.spawn("standfast", &["events", "-f", "--json"], &[]));
    let output = child.0.stdout.take().expect("its output");
    let lines = lab::journal::Journal::<String>::default();
    let seen = lines.clone();
    std::thread::spawn(move || {
        for line in std::io::BufRead::lines(std::io::BufReader::new(output)) {
            let Ok(line) = line else { return };
            seen.push(line);
        }
    });
    let wait = |part: &str| {
        let found = lines.wait(LIMIT, |all| all.iter().any(|l| l.contains(part)).then_some(()));
        assert!(found.is_some(), "no event with {part}: {:?}", lines.entries());
    };
    wait("MASTER");
    send(balancer, Signal::SIGKILL);
    wait_answer(stage, Some(balancer));
    // The stream is taken up again some time after the new one listens.
    let told = || {
        ordered(stage, &["disable", "all", "198.51.100.3"]);
        ordered(stage, &["enable", "all", "198.51.100.3"]);
        let pause = Duration::from_millis(500);
        lines.wait(pause, |all| {
            all.iter().any(|l| l.contains("198.51.100.3") && l.contains("isable")).then_some(())
        })
    };
    assert!(wait_until(LIMIT, told).is_some(), "{:?}", lines.entries());
}

fn genhash(stage: &mut Stage) {
    let listener = stage.lab.node(1).run(|| TcpListener::bind("127.0.0.1:0")).expect("a socket");
    let port = listener.local_addr().expect("an address").port().to_string();
    let server = std::thread::spawn(move || {
        for _ in 0..3 {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut request = [0; 1024];
            let length = stream.read(&mut request).expect("a request");
            assert!(request[..length].starts_with(b"GET /page HTTP/1.0\r\n"));
            stream
                .write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nhello\n")
                .expect("it listens");
        }
    });
    let options = ["-s", "127.0.0.1", "-p", &port, "-u", "/page"];
    for (name, first) in
        [("genhash", None), ("standfast", Some("genhash")), ("keepalived", Some("-T"))]
    {
        let words: Vec<&str> = first.into_iter().chain(options).collect();
        let output = stage.run(name, &words);
        let told = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{name}: {}", text(&output.stderr));
        // md5sum of "hello\n"
        assert!(told.contains("b1946ac92492d2347c6235b4d2611184"), "{name}: {told}");
    }
    server.join().expect("three requests");
    let output = stage.run("genhash", &["--nope"]);
    assert_ne!(output.status.code(), Some(0));
}
