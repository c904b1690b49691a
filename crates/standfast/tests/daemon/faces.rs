//! Both command lines: Keepalived's options, `-t`, signals and files; `standfast COMMAND`.

use nix::sys::signal::Signal;

use crate::Test;
use crate::stage::{CONFIG, CONFIG_PATH, LIMIT, Stage, VIP, send, text};

pub(crate) const TESTS: &[Test] = &[
    ("version_and_help", version_and_help),
    ("wrong_options", wrong_options),
    ("config_test", config_test),
    ("check", check),
    ("dump_files", dump_files),
    ("dump_files_of_an_instance", instance_dump),
    ("the_configuration_in_the_log", dump_conf),
    ("not_acted_on_is_said", not_acted_on),
    ("status_explain_events", questions),
    ("handover_and_back", handover),
    ("nobody_to_ask", nobody),
];

fn version_and_help(stage: &mut Stage) {
    for option in ["-v", "--version"] {
        let output = stage.run("keepalived", &[option]);
        assert_eq!(output.status.code(), Some(0));
        let answer = text(&output.stderr);
        // What exporters and configuration management look at: the second word of line 1.
        let version = answer.split(' ').nth(1).expect("words");
        assert!(version.starts_with("v2.") && version.split('.').count() == 3, "{answer}");
        assert!(answer.contains("Standfast v") && answer.ends_with('\n'), "{answer}");
    }
    for (name, words) in [
        ("keepalived", &["--help"][..]),
        ("standfast", &["--help"]),
        ("standfast", &["run", "--help"]),
        ("standfast", &["check", "--help"]),
        ("standfast", &["status", "--help"]),
        ("standfast", &["explain", "--help"]),
        ("standfast", &["handover", "--help"]),
        ("standfast", &["server", "--help"]),
        ("standfast", &["server", "list", "--help"]),
        ("standfast", &["server", "weight", "--help"]),
        ("standfast", &["server", "drain", "--help"]),
        ("standfast", &["events", "--help"]),
        ("standfast", &["keywords", "--help"]),
        ("standfast", &["lab", "--help"]),
    ] {
        let output = stage.run(name, words);
        assert_eq!(output.status.code(), Some(0), "{words:?}");
        assert!(!output.stdout.is_empty(), "{words:?}");
        for line in text(&output.stdout).lines() {
            assert!(line.chars().count() <= 80, "{words:?}: {line}");
        }
    }
    for (name, number) in [("STOP", "15"), ("RELOAD", "1"), ("STATS_CLEAR", "63"), ("JSON", "36")] {
        let output = stage.run("keepalived", &["--signum", name]);
        assert_eq!(text(&output.stdout).trim(), number);
    }
}

fn wrong_options(stage: &mut Stage) {
    for words in [&["-Z"][..], &["--nope"], &["-f"], &["--signum=X"], &["--dont-fork=1"]] {
        let output = stage.run("keepalived", words);
        assert_eq!(output.status.code(), Some(1), "{words:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{words:?}");
    }
    assert_eq!(stage.run("standfast", &["nope"]).status.code(), Some(2));
    assert_eq!(stage.run("keepalived", &["-T"]).status.code(), Some(1));
}

fn config_test(stage: &mut Stage) {
    stage.write("/run/check.sh", "#!/bin/sh\nexit 0\n");
    let script = "vrrp_script c {\n script /run/check.sh\n user root\n}\n";
    let cases = [
        ("", 0),
        (CONFIG, 0),
        (&CONFIG.replace("priority 200", "priority 999"), 5),
        (&CONFIG.replace("eth0", "eth7"), 5),
        (&format!("frobnicate\n{CONFIG}"), 5),
        (&CONFIG.replace("priority 200", "priority"), 2),
        (
            &format!("{script}{}", CONFIG.replace("priority", "track_script {\n c\n }\n priority")),
            6,
        ),
    ];
    for (config, status) in cases {
        stage.write(CONFIG_PATH, config);
        let output = stage.run("keepalived", &["-t", "-f", CONFIG_PATH]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{config}\n{said}");
        if status != 0 {
            assert!(said.contains("Line"), "{said}");
        }
        let output = stage.run("keepalived", &["-t/run/log", "-f", CONFIG_PATH]);
        assert_eq!(output.status.code(), Some(status));
        assert!(output.stderr.is_empty(), "with a log file it is silent");
    }
    for path in ["/run/none.conf", "/run"] {
        assert_eq!(stage.run("keepalived", &["-t", "-f", path]).status.code(), Some(6));
    }
}

fn check(stage: &mut Stage) {
    stage.write("/run/a.conf", CONFIG);
    stage.write("/run/b.conf", &CONFIG.replace("200", "150"));
    stage.write("/run/c.conf", &CONFIG.replace("200", "150").replace(" 51", " 52"));
    stage.write("/run/d.conf", &CONFIG.replace("priority 200", "priority 999"));
    stage.write(
        "/run/e.conf",
        &CONFIG.replace(
            "priority 200",
            "priority 200\n mcast_src_ip 198.51.100.1\n lvs_sync_daemon_interface eth0",
        ),
    );
    let cases: [(&[&str], i32, &str); 9] = [
        (&["a.conf"], 0, "a.conf"),
        (&["a.conf", "d.conf"], 2, "999"),
        (&["--pair", "a.conf", "b.conf"], 0, "together: they agree"),
        (&["--pair", "a.conf", "c.conf"], 2, "SF1001"),
        (&["--pair", "a.conf", "b.conf", "c.conf"], 2, "SF1001"),
        (&["e.conf"], 0, "e.conf"),
        (&["--strict", "e.conf"], 1, "e.conf"),
        (&["--explain", "SF0301"], 0, "unknown-keyword"),
        (&["a.conf", "none.conf", "/run"], 6, "a.conf"),
    ];
    for (words, status, part) in cases {
        let words: Vec<&str> = ["check"].into_iter().chain(words.iter().copied()).collect();
        let output = stage.run("standfast", &words);
        let said = text(&output.stdout);
        assert_eq!(output.status.code(), Some(status), "{words:?}\n{said}");
        assert!(said.contains(part), "{words:?}\n{said}");
        for line in said.lines() {
            assert!(line.chars().count() <= 100, "{line}");
        }
    }
    for words in [&["a.conf"][..], &["a.conf", "d.conf"], &["--pair", "a.conf", "c.conf"]] {
        let words: Vec<&str> =
            ["check", "--format", "json"].into_iter().chain(words.iter().copied()).collect();
        let output = stage.run("standfast", &words);
        let found: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let found = found.as_array().expect("a list");
        assert_eq!(found.iter().any(|f| f["severity"] == "error"), words.len() > 4, "{words:?}");
    }
    assert_eq!(stage.run("standfast", &["check", "--explain", "SF9999"]).status.code(), Some(2));
    assert_eq!(stage.run("standfast", &["check", "--pair", "a.conf"]).status.code(), Some(2));
}

fn dump_files(stage: &mut Stage) {
    stage.start(CONFIG);
    let pid = stage.daemon().pid();
    let wait = |path: &str, part: &str| {
        let there = || stage.lab.read(1, path).contains(part).then_some(());
        assert!(lab::journal::wait_until(LIMIT, there).is_some(), "no {part} in {path}");
    };
    send(pid, Signal::SIGUSR1);
    wait("/tmp/keepalived.data", "VRRP Instance = A");
    send(pid, Signal::SIGUSR2);
    wait("/tmp/keepalived.stats", "VRRP Instance: A");
    // Numbers beyond the classic ones, as `--signum` tells them.
    let by_number = |number: &str| {
        let words = format!("kill -{number} {pid}");
        stage.lab.node(1).feed(&["sh", "-c", &words], "").expect("kill");
    };
    by_number("36");
    wait("/tmp/keepalived.json", "\"iname\"");
    by_number("63");
    assert_eq!(stage.stop(), 0);
    stage.wait_no_vip();
}

fn instance_dump(stage: &mut Stage) {
    stage.start(&format!("instance blue\nglobal_defs {{\n data_use_instance\n}}\n{CONFIG}"));
    send(stage.daemon().pid(), Signal::SIGUSR1);
    let there = || stage.exists("/tmp/keepalived.blue.data").then_some(());
    assert!(lab::journal::wait_until(LIMIT, there).is_some());
}

fn dump_conf(stage: &mut Stage) {
    stage.launch(CONFIG, &["-d"]);
    stage.wait_line("Startup complete");
    assert_eq!(stage.lines("VRRP Instance = A"), 1);
    assert_eq!(stage.lines("Virtual Router ID = 51"), 1);
}

fn not_acted_on(stage: &mut Stage) {
    let more = "bfd_instance b {\n neighbor_ip 198.51.100.7\n}\n";
    stage.launch(&format!("{CONFIG}{more}"), &[]);
    stage.wait_line("Startup complete");
    stage.wait_line("bfd_instance");
    stage.wait_line("are read and checked but not acted on");
    let config = format!("global_defs {{\n reload_time_file /run/time\n}}\n{CONFIG}");
    stage.launch(&config, &[]);
    stage.wait_line("reload_time_file (first in line 2) are read and checked but not acted on");
}

fn questions(stage: &mut Stage) {
    stage.start(CONFIG);
    stage.wait_line("Entering MASTER STATE");
    let status = stage.run("standfast", &["status"]);
    assert!(text(&status.stdout).contains("MASTER"), "{}", text(&status.stdout));
    let explained = stage.run("standfast", &["explain", "A"]);
    assert!(text(&explained.stdout).contains("MASTER"), "{}", text(&explained.stdout));
    for line in text(&status.stdout).lines().chain(text(&explained.stdout).lines()) {
        assert!(line.chars().count() <= 100, "{line}");
    }
    assert_eq!(stage.ask(&["explain", "A"])["name"], "A");
    let unknown = stage.run("standfast", &["explain", "B"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(text(&unknown.stderr).contains("there are: A"));
    let events = stage.run("standfast", &["events", "A", "--json"]);
    let events = text(&events.stdout);
    assert!(events.lines().count() > 0);
    for line in events.lines() {
        let record: serde_json::Value = serde_json::from_str(line).expect("JSON in each line");
        assert_eq!(record["subject"], "A");
    }
}

fn handover(stage: &mut Stage) {
    stage.start(CONFIG);
    // Nobody is there to take over.
    stage.wait_advert();
    stage.run("standfast", &["handover", "A"]);
    stage.wait_line("handover failed");
    assert_eq!(stage.removals(), 0);

    stage.start_second(&CONFIG.replace("200", "100"));
    // It is BACKUP for certain once it has heard us.
    stage.wait_advert();
    let output = stage.run("standfast", &["handover", "A"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    stage.wait_no_vip();
    assert!(stage.lab.holds(2, VIP), "there is a gap");
    let since = stage.lab.now();
    let output = stage.run("standfast", &["handover", "A", "--undo"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let back = stage.lab.wait_address(1, VIP, true, since, LIMIT);
    assert!(back.is_some(), "it does not take part again");
    let output = stage.run("standfast", &["handover", "B"]);
    assert_eq!(output.status.code(), Some(1));
}

fn nobody(stage: &mut Stage) {
    let output = stage.run("standfast", &["status"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("Is the daemon running"));
}
