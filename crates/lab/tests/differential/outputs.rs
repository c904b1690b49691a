//! The files that exporters read: keepalived.json, keepalived.stats, keepalived.data; exit codes
//! and pid files.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::Scenario;
use crate::conf::{Conf, VIP};
use crate::stage::{Stage, ip, s};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario::new("json_has_the_same_keys", json),
    Scenario::new("stats_have_the_same_lines", stats),
    Scenario::new("data_has_the_same_labels", data),
    Scenario::new("statistics_count", counting),
    Scenario::new("pid_files", pid_files).alone(),
    Scenario::new("second_daemon_is_refused", second_daemon).alone(),
];

/// n1 and n2 are cut off from each other and both master, with the same configuration.
fn both(stage: &mut Stage) -> Conf {
    let conf = Conf::v3();
    stage.lab.mute(1, 0).expect("cut off");
    let started = stage.start(1, &conf);
    stage.start(2, &conf);
    for node in [1, 2] {
        stage.gets(node, VIP, started, conf.down());
        stage.pass(node, 2, conf.interval());
    }
    conf
}

/// `keepalived --signum=JSON`: SIGRTMIN+2, as glibc counts.
const JSON: i32 = 36;

fn raise(stage: &Stage, node: usize, signal: i32) {
    let pid = stage.lab.daemon(node).pid().to_string();
    stage.lab.node(node).command(&format!("kill -{signal} {pid}")).expect("kill");
}

fn read_json(stage: &Stage, node: usize) -> Value {
    raise(stage, node, JSON);
    stage.file(node, "/tmp/keepalived.json", s(2.0), |text| serde_json::from_str(text).ok())
}

/// The paths of all values in a JSON document, with the kinds of the values.
fn shape(value: &Value, path: &str, into: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                shape(value, &format!("{path}.{key}"), into);
            }
        }
        Value::Array(list) => {
            for value in list {
                shape(value, &format!("{path}[]"), into);
            }
        }
        Value::Number(_) => into.push(format!("{path} number")),
        Value::String(_) => into.push(format!("{path} string")),
        Value::Bool(_) => into.push(format!("{path} bool")),
        Value::Null => into.push(format!("{path} null")),
    }
}

/// What Keepalived 2.2.7 has must be there; 2.4 has more, and so have we.
fn contains(ours: &[String], theirs: &[String], what: &str) {
    let missing: Vec<_> = theirs.iter().filter(|it| !ours.contains(it)).collect();
    assert!(missing.is_empty(), "{what} lacks {missing:#?}");
}

fn json(stage: &mut Stage) {
    both(stage);
    let [one, two] = [1, 2].map(|node| {
        let mut paths = Vec::new();
        shape(&read_json(stage, node), "", &mut paths);
        paths
    });
    assert!(one.len() > 40, "{one:#?}");
    compare(stage, &one, &two);
}

/// Each has what the other has; ours may have more, because Keepalived 2.4 has.
fn compare(stage: &Stage, one: &[String], two: &[String]) {
    if !stage.second.is_standfast() || stage.first.is_standfast() {
        contains(one, two, "n1");
    }
    if !stage.first.is_standfast() || stage.second.is_standfast() {
        contains(two, one, "n2");
    }
}

fn counting(stage: &mut Stage) {
    let (high, low) = (Conf::v3().priority(150), Conf::v3());
    let started = stage.start(1, &high);
    stage.gets(1, VIP, started, high.down());
    let listening = stage.start(2, &low);
    stage.ready(2, listening);
    stage.pass(1, 6, high.interval());
    let [one, two] = [1, 2].map(|node| read_json(stage, node)[0].clone());
    assert_eq!(one["data"]["iname"], "A");
    assert_eq!((&one["data"]["state"], &two["data"]["state"]), (&2.into(), &1.into()));
    assert_eq!(one["data"]["base_priority"], 150);
    assert_eq!(one["data"]["effective_priority"], 150);
    assert_eq!(one["data"]["vips"].as_array().map(Vec::len), Some(1));
    assert_eq!(one["stats"]["become_master"], 1);
    assert_eq!(two["stats"]["become_master"], 0);
    let captured = stage.lab.adverts(1, s(0.0)).len();
    let sent =
        usize::try_from(one["stats"]["advert_sent"].as_u64().expect("a number")).expect("few");
    assert!(sent >= 5 && sent <= captured + 2, "{sent} sent, {captured} captured");
    let heard = two["stats"]["advert_rcvd"].as_u64().expect("a number");
    assert!(heard >= 4, "{heard} heard");
    // A farewell is counted by who hears it.
    stage.stop(1);
    stage.gets(2, VIP, started, low.down());
    std::fs::remove_file(stage.lab.node(2).outside("/tmp/keepalived.json")).expect("remove");
    let two = read_json(stage, 2)[0].clone();
    assert_eq!(two["stats"]["pri_zero_rcvd"], 1);
    assert_eq!(two["data"]["state"], 2);
}

/// The lines of a text with every number and address made neutral.
fn labels(text: &str) -> Vec<String> {
    text.lines()
        .map(|line| line.split([':', '=']).next().unwrap_or(line).trim_end().to_owned())
        .filter(|line| !line.trim().is_empty())
        .collect()
}

fn stats(stage: &mut Stage) {
    both(stage);
    let texts = [1, 2].map(|node| {
        raise(stage, node, Signal::SIGUSR2 as i32);
        stage.file(node, "/tmp/keepalived.stats", s(2.0), |text| {
            text.contains("Priority Zero").then(|| text.to_owned())
        })
    });
    let [one, two] = texts.each_ref().map(|text| labels(text));
    assert!(one.iter().any(|line| line.starts_with("VRRP Instance")), "{one:#?}");
    compare(stage, &one, &two);
}

/// The labels that exporters look for, in the order in which they must come.
const LABELS: &[&str] = &[
    "------< Global definitions >------",
    "------< VRRP Topology >------",
    " VRRP Instance = A",
    "   State = MASTER",
    "   Last transition =",
    "   Interface = eth0",
    "   Virtual Router ID = 51",
    "   Priority = 100",
    "   Effective priority = 100",
    "   Advert interval = 200 milli-sec",
    "   Virtual IP (1):",
];

fn data(stage: &mut Stage) {
    both(stage);
    for node in [1, 2] {
        raise(stage, node, Signal::SIGUSR1 as i32);
        let text = stage.file(node, "/tmp/keepalived.data", s(2.0), |text| {
            text.contains("Virtual IP").then(|| text.to_owned())
        });
        let mut lines = text.lines();
        for label in LABELS {
            assert!(
                lines.any(|line| line.starts_with(label)),
                "keepalived.data of n{node} lacks {label:?}, or has it too early:\n{text}",
            );
        }
        let vip = text.lines().any(|line| line.contains(VIP));
        assert!(vip, "the address is not in keepalived.data of n{node}");
    }
}

fn pid_files(stage: &mut Stage) {
    let conf = Conf::v3();
    let started = stage.start(1, &conf);
    stage.gets(1, VIP, started, conf.down());
    let number = |path: &str| stage.lab.read(1, path).trim().parse::<i32>().ok();
    let daemon = stage.lab.daemon(1);
    assert_eq!(number("/run/keepalived.pid"), Some(daemon.pid()));
    assert_eq!(number("/run/vrrp.pid"), daemon.roles().first().copied());
    stage.stop(1);
    assert_eq!(stage.lab.read(1, "/run/keepalived.pid"), "", "left behind");
    assert_eq!(stage.lab.read(1, "/run/vrrp.pid"), "", "left behind");
}

fn second_daemon(stage: &mut Stage) {
    let conf = Conf::v3();
    let started = stage.start(1, &conf);
    stage.gets(1, VIP, started, conf.down());
    let program = format!("/run/lab/{}", stage.first);
    // It says that one is running already, and leaves that one alone.
    let line = format!("exec -a keepalived {program} -n -l -f /run/keepalived.conf 2>&1");
    let output =
        stage.lab.node(1).feed(&["bash", "-c", &format!("({line}) || true")], "").expect("bash");
    assert!(output.to_lowercase().contains("already running"), "{output}");
    stage.pass(1, 3, conf.interval());
    assert!(stage.lab.holds(1, ip(VIP)));
    assert!(kill(Pid::from_raw(stage.lab.daemon(1).pid()), None).is_ok());
}
