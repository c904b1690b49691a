//! What scripts and FIFOs are told: arguments, lines, order.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use standfast_lab::voice::Call;

use crate::Scenario;
use crate::conf::{Conf, VIP, scripts};
use crate::stage::{SLACK, Stage, s};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario::new("arguments_of_notify", arguments).scripts().alone(),
    Scenario::new("scripts_of_each_state", each_state).scripts().alone(),
    Scenario::new("lines_of_the_fifo", fifo).alone(),
    Scenario::new("lines_of_a_group", group_lines).alone().links(2),
    Scenario::new("priority_changes_are_told", priority_changes).alone(),
    Scenario::new("lower_priority_master_is_told", lower_priority).scripts().alone(),
    Scenario::new("fault_is_told", fault).scripts().alone(),
    Scenario::new("instance_that_reload_deletes_is_told", deleted).alone(),
];

fn global() -> String {
    format!("global_defs {{\n{}}}", scripts())
}

/// A script that appends its name and arguments as one line.
fn telltale(name: &str) -> String {
    format!("#!/bin/sh\necho \"{name} $*\" >> /tmp/told\n")
}

fn told(stage: &Stage, node: usize, limit: Duration, lines: &[&str]) {
    stage.file(node, "/tmp/told", limit, |text| {
        let all: Vec<&str> = text.lines().collect();
        (all == lines).then_some(())
    });
}

fn arguments(stage: &mut Stage) {
    let conf =
        Conf::v3().priority(150).after(global()).with("notify \"/run/tell.sh one 'two three'\"");
    stage.lab.write(1, "/run/tell.sh", &telltale("notify")).expect("write");
    let started = stage.start(1, &conf);
    stage.gets(1, VIP, started, conf.down());
    let backup = "notify one two three INSTANCE A BACKUP 150";
    let master = "notify one two three INSTANCE A MASTER 150";
    told(stage, 1, s(1.0), &[backup, master]);
    stage.stop(1);
    let stop = "notify one two three INSTANCE A STOP 150";
    told(stage, 1, s(1.0), &[backup, master, stop]);
}

fn each_state(stage: &mut Stage) {
    let mut conf = Conf::v3().priority(150).after(global());
    for state in ["master", "backup", "fault", "stop"] {
        conf = conf.with(format!("notify_{state} \"/run/{state}.sh arg\""));
        stage.lab.write(1, &format!("/run/{state}.sh"), &telltale(state)).expect("write");
    }
    let started = stage.start(1, &conf);
    stage.gets(1, VIP, started, conf.down());
    told(stage, 1, s(1.0), &["backup arg", "master arg"]);
    let pulled = stage.lab.pull(1, 0).expect("pull");
    stage.loses(1, VIP, pulled, s(0.0));
    told(stage, 1, s(1.0), &["backup arg", "master arg", "fault arg"]);
    let plugged = stage.lab.plug(1, 0).expect("plug");
    stage.gets(1, VIP, plugged, conf.down());
    let five = ["backup arg", "master arg", "fault arg", "backup arg", "master arg"];
    told(stage, 1, s(1.0), &five);
    stage.stop(1);
    told(stage, 1, s(1.0), &[&five[..], &["stop arg"]].concat());
}

/// A FIFO that was made before the daemon starts, and what came out of it so far.
struct Fifo {
    lines: std::sync::mpsc::Receiver<String>,
    seen: Vec<String>,
}

impl Fifo {
    fn make(stage: &Stage, node: usize, path: &str) -> Self {
        let outside = stage.lab.node(node).outside(path);
        nix::unistd::mkfifo(&outside, nix::sys::stat::Mode::from_bits_truncate(0o600))
            .expect("a FIFO");
        // Read and write: never an end of file, whoever closes it.
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(nix::libc::O_NONBLOCK)
            .open(&outside)
            .expect("open the FIFO");
        let (sender, lines) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut text = Vec::new();
            let mut chunk = [0_u8; 4096];
            loop {
                match file.read(&mut chunk) {
                    Ok(length) => text.extend(&chunk[..length]),
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                        std::thread::sleep(Duration::from_millis(2));
                    }
                    Err(_) => return,
                }
                while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = text.drain(..=end).collect();
                    let line = String::from_utf8_lossy(&line[..end]).into_owned();
                    if sender.send(line).is_err() {
                        return;
                    }
                }
            }
        });
        Self { lines, seen: Vec::new() }
    }

    #[track_caller]
    fn expect(&mut self, limit: Duration, expected: &[&str]) {
        let deadline = std::time::Instant::now() + limit + SLACK;
        while self.seen.len() < expected.len() {
            let left = deadline.saturating_duration_since(std::time::Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.seen.push(line),
                Err(_) => break,
            }
        }
        assert_eq!(self.seen, expected, "lines of the FIFO");
    }
}

fn with_fifo(extra: &str) -> String {
    format!("global_defs {{\n  vrrp_notify_fifo /tmp/fifo\n{extra}}}")
}

fn fifo(stage: &mut Stage) {
    let conf = Conf::v3().priority(150).after(with_fifo(""));
    let mut fifo = Fifo::make(stage, 1, "/tmp/fifo");
    let started = stage.start(1, &conf);
    stage.gets(1, VIP, started, conf.down());
    let backup = "INSTANCE \"A\" BACKUP 150";
    let master = "INSTANCE \"A\" MASTER 150";
    fifo.expect(s(0.5), &[backup, master]);
    stage.lab.pull(1, 0).expect("pull");
    let fault = "INSTANCE \"A\" FAULT 150";
    fifo.expect(s(0.5), &[backup, master, fault]);
    stage.lab.plug(1, 0).expect("plug");
    let five = [backup, master, fault, backup, master];
    fifo.expect(conf.down(), &five);
    stage.stop(1);
    fifo.expect(s(0.5), &[&five[..], &["INSTANCE \"A\" STOP 150"]].concat());
}

fn group_lines(stage: &mut Stage) {
    let a = Conf::v3()
        .priority(150)
        .after(with_fifo(""))
        .after("vrrp_sync_group G {\n  group {\n    A\n    B\n  }\n}");
    let b = Conf::v3().priority(150).name("B", 52).on("eth1").vips(&["203.0.113.100"]);
    let mut fifo = Fifo::make(stage, 1, "/tmp/fifo");
    let started = stage.start_text(1, &format!("{a}{b}"));
    stage.gets(1, VIP, started, a.down());
    let lines = ["GROUP \"G\" BACKUP 0", "INSTANCE \"A\" BACKUP 150", "INSTANCE \"B\" BACKUP 150"];
    // Which member goes first is chance: both timers end at the same moment.
    let first = |member: &str| {
        let other = if member == "A" { "B" } else { "A" };
        [
            format!("INSTANCE \"{member}\" MASTER 150"),
            format!("INSTANCE \"{other}\" MASTER 150"),
            "GROUP \"G\" MASTER 0".to_owned(),
        ]
    };
    let deadline = std::time::Instant::now() + s(1.0) + SLACK;
    while fifo.seen.len() < 6 {
        let left = deadline.saturating_duration_since(std::time::Instant::now());
        fifo.seen.push(fifo.lines.recv_timeout(left).expect("six lines"));
    }
    assert_eq!(fifo.seen[..3], lines);
    assert!(
        fifo.seen[3..] == first("A") || fifo.seen[3..] == first("B"),
        "lines of the FIFO: {:?}",
        fifo.seen,
    );
}

fn priority_changes(stage: &mut Stage) {
    let conf = Conf::v3()
        .priority(150)
        .after(with_fifo("  vrrp_notify_priority_changes\n"))
        .after("track_file f {\n  file /tmp/track\n  weight 1\n}")
        .with("track_file {\n    f\n  }");
    stage.lab.write(1, "/tmp/track", "0\n").expect("write");
    let mut fifo = Fifo::make(stage, 1, "/tmp/fifo");
    let started = stage.start(1, &conf);
    stage.gets(1, VIP, started, conf.down());
    let two = ["INSTANCE \"A\" BACKUP 150", "INSTANCE \"A\" MASTER 150"];
    fifo.expect(s(0.5), &two);
    stage.lab.write(1, "/tmp/track", "-40\n").expect("write");
    fifo.expect(s(0.5), &[&two[..], &["INSTANCE \"A\" MASTER_PRIORITY 110"]].concat());
}

fn lower_priority(stage: &mut Stage) {
    let global = with_fifo(&scripts());
    let conf = Conf::v3()
        .priority(150)
        .after(global)
        .with("notify_master_rx_lower_pri \"/run/tell.sh arg\"");
    stage.lab.write(1, "/run/tell.sh", &telltale("lower")).expect("write");
    let mut fifo = Fifo::make(stage, 1, "/tmp/fifo");
    let started = stage.start(1, &conf);
    stage.gets(1, VIP, started, conf.down());
    let called = stage.calls(&Call::v3(51, 120, 20, "198.51.100.100".parse().expect("address")));
    stage.advert(1, called, s(0.0), "its priority", |it| it.priority == 150);
    told(stage, 1, s(1.0), &["lower arg"]);
    fifo.expect(
        s(1.0),
        &[
            "INSTANCE \"A\" BACKUP 150",
            "INSTANCE \"A\" MASTER 150",
            "INSTANCE \"A\" MASTER_RX_LOWER_PRI 150",
        ],
    );
}

fn fault(stage: &mut Stage) {
    let conf = Conf::v3().priority(150).after(global()).with("notify /run/tell.sh");
    stage.lab.write(1, "/run/tell.sh", &telltale("notify")).expect("write");
    stage.pull_before_start(1);
    stage.start(1, &conf);
    told(stage, 1, s(1.0), &["notify INSTANCE A FAULT 150"]);
    let plugged = stage.lab.plug(1, 0).expect("plug");
    stage.gets(1, VIP, plugged, conf.down());
    told(
        stage,
        1,
        s(1.0),
        &[
            "notify INSTANCE A FAULT 150",
            "notify INSTANCE A BACKUP 150",
            "notify INSTANCE A MASTER 150",
        ],
    );
}

fn deleted(stage: &mut Stage) {
    let conf = Conf::v3().priority(150).after(with_fifo(""));
    let other = Conf::v3().priority(150).name("B", 52).vips(&["198.51.100.200"]);
    let fifo = Fifo::make(stage, 1, "/tmp/fifo");
    let started = stage.start_text(1, &format!("{conf}{other}"));
    stage.gets(1, VIP, started, conf.down());
    stage.gets(1, "198.51.100.200", started, conf.down());
    stage.lab.write(1, "/run/keepalived.conf", &conf.to_string()).expect("write");
    let reloaded = stage.lab.now();
    stage.lab.daemon(1).reload();
    stage.loses(1, "198.51.100.200", reloaded, s(0.5));
    let deadline = std::time::Instant::now() + s(1.0) + SLACK;
    let found = loop {
        let left = deadline.saturating_duration_since(std::time::Instant::now());
        match fifo.lines.recv_timeout(left) {
            Ok(line) if line == "INSTANCE \"B\" FAULT 150" => break true,
            Ok(_) => {}
            Err(_) => break false,
        }
    };
    assert!(found, "the FIFO was not told that B is gone");
    stage.quiet(1, VIP, reloaded);
}
