//! Start, pid files, background, scripts, stop.

use std::os::unix::net::UnixDatagram;

use lab::journal::wait_until;
use nix::sys::signal::Signal;

use crate::Test;
use crate::stage::{CONFIG, CONFIG_PATH, LIMIT, Reaped, Stage, send, text, wait_gone};

pub(crate) const TESTS: &[Test] = &[
    ("start_and_stop_leave_nothing", start_and_stop),
    ("interrupt_stops_too", interrupt),
    ("a_second_daemon_is_told_and_ends_with_0", already_running),
    ("a_stale_pid_file_is_taken_over", stale_pid_file),
    ("files_of_an_instance_are_in_the_pid_dir", instance_files),
    ("in_the_background_it_returns_when_ready", background),
    ("in_the_background_failures_are_told", background_failures),
    ("what_keepalived_does_not_start_does_not_start", fatal_starts),
    ("an_instance_without_a_name_is_left_out", nameless),
    ("a_missing_permission_has_its_status", no_permission),
    ("an_interface_that_is_missing_is_taken_up_later", missing_interface),
    ("startup_and_shutdown_scripts_run_and_time_out", scripts),
    ("signals_are_heard_during_the_startup_script", startup_signals),
    ("processes_have_the_names_that_scripts_look_for", process_names),
    ("the_service_manager_is_told", service_manager),
    ("an_empty_file_runs_idle", empty_file),
    ("a_network_namespace_by_name", network_namespace),
];

fn start_and_stop(stage: &mut Stage) {
    stage.start(CONFIG);
    assert_eq!(stage.wait_pid("/run/keepalived.pid"), stage.daemon().pid());
    assert_eq!(stage.wait_pid("/run/vrrp.pid"), stage.wait_role(None));
    assert!(stage.exists("/run/standfast/failover.sock"));
    stage.wait_line("(A) Entering MASTER STATE");
    assert_eq!(stage.stop(), 0);
    stage.wait_line("Stopped");
    stage.wait_no_vip();
    for path in ["/run/keepalived.pid", "/run/vrrp.pid", "/run/standfast/failover.sock"] {
        assert!(!stage.exists(path), "{path} is left");
    }
    let last = stage.lab.adverts(1, std::time::Duration::ZERO).pop();
    assert_eq!(last.map(|(_, advert)| advert.priority), Some(0));
}

fn interrupt(stage: &mut Stage) {
    stage.start(CONFIG);
    stage.daemon().signal(Signal::SIGINT);
    assert_eq!(stage.exit_status(), 0);
    stage.wait_no_vip();
}

fn already_running(stage: &mut Stage) {
    stage.start(CONFIG);
    let output = stage.run("keepalived", &["-n", "-l", "-G", "-f", CONFIG_PATH]);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stderr).contains("daemon is already running"));
    let output = stage.run("keepalived", &["-G", "-f", CONFIG_PATH]);
    assert_eq!(output.status.code(), Some(0));
    assert!(stage.daemon().running());
    assert_eq!(stage.wait_pid("/run/keepalived.pid"), stage.daemon().pid());
    assert_eq!(stage.removals(), 0);
}

fn stale_pid_file(stage: &mut Stage) {
    stage.write("/run/keepalived.pid", "999999\n");
    stage.write("/run/vrrp.pid", "999998\n");
    stage.start(CONFIG);
    assert_eq!(stage.wait_pid("/run/keepalived.pid"), stage.daemon().pid());
    assert_eq!(stage.wait_pid("/run/vrrp.pid"), stage.wait_role(None));
}

fn instance_files(stage: &mut Stage) {
    stage.start(&format!("instance blue\n{CONFIG}"));
    assert_eq!(stage.wait_pid("/run/keepalived/keepalived_blue.pid"), stage.daemon().pid());
    assert_eq!(stage.wait_pid("/run/keepalived/vrrp_blue.pid"), stage.wait_role(None));
    assert!(!stage.exists("/run/keepalived.pid"));
    assert!(stage.exists("/run/standfast/failover_blue.sock"));
}

fn background(stage: &mut Stage) {
    stage.write(CONFIG_PATH, CONFIG);
    // A relative path must go on meaning the same file.
    let arguments = ["-f", "keepalived.conf", "-D", "--log-file=k.log", "-G"];
    let output = stage.run("keepalived", &arguments);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let pid = stage.wait_pid("/run/keepalived.pid");
    let directory = std::fs::read_link(format!("/proc/{pid}/cwd")).expect("it runs");
    assert_eq!(directory, std::path::Path::new("/"));
    stage.wait_vip();
    send(pid, Signal::SIGHUP);
    let reloaded = || stage.lab.read(1, "/run/k.log").contains("Reload complete").then_some(());
    assert!(wait_until(LIMIT, reloaded).is_some(), "{}", stage.lab.read(1, "/run/k.log"));
    send(pid, Signal::SIGTERM);
    wait_gone(pid);
    stage.wait_no_vip();
    assert!(!stage.exists("/run/keepalived.pid"));
}

fn background_failures(stage: &mut Stage) {
    let start = |stage: &Stage| {
        let output = stage.run("keepalived", &["-G", "-f", CONFIG_PATH]);
        output.status.code()
    };
    assert_eq!(start(stage), Some(6));
    stage.write(CONFIG_PATH, &CONFIG.replace(" 51", " 999"));
    assert_eq!(start(stage), Some(2));
    assert!(!stage.exists("/run/keepalived.pid"));
}

fn fatal_starts(stage: &mut Stage) {
    let twice = format!("{CONFIG}{}", CONFIG.replace("instance A", "instance B"));
    let cases = [
        (twice.as_str(), "both are IPv4 virtual router 51"),
        (&CONFIG.replace("virtual_router_id 51", ""), "vrrp_instance A cannot be used"),
        (&CONFIG.replace("priority 200", "priority"), "priority"),
    ];
    for (config, complaint) in cases {
        stage.launch(config, &[]);
        assert_eq!(stage.exit_status(), 2, "{config}");
        stage.wait_line(complaint);
        stage.wait_line("Stopped");
        assert!(!stage.exists("/run/keepalived.pid"));
    }
    let output = stage.run("keepalived", &["-n", "-l", "-G", "-f", "/run/nothing.conf"]);
    assert_eq!(output.status.code(), Some(6));
    assert!(text(&output.stderr).contains("/run/nothing.conf"));
}

fn nameless(stage: &mut Stage) {
    stage.start(&format!("vrrp_instance {{\n interface eth0\n virtual_router_id 7\n}}\n{CONFIG}"));
    stage.wait_vip();
    assert_eq!(stage.stop(), 0);
}

fn no_permission(stage: &mut Stage) {
    stage.write(CONFIG_PATH, CONFIG);
    let command = "exec setpriv --bounding-set=-net_admin,-net_raw --inh-caps=-net_admin,-net_raw \
                   /run/lab/keepalived -n -l -G -f /run/keepalived.conf 2>/run/said";
    let output = stage.lab.node(1).feed(&["sh", "-c", &format!("({command}); echo $?")], "");
    assert_eq!(output.expect("a shell").trim(), "4", "{}", stage.lab.read(1, "/run/said"));
    assert!(stage.lab.read(1, "/run/said").contains("CAP_NET_ADMIN"));
}

fn missing_interface(stage: &mut Stage) {
    stage.launch(&CONFIG.replace("eth0", "late0"), &[]);
    stage.wait_line("(A) Entering FAULT STATE");
    stage.wait_line("Startup complete");
    let node = stage.lab.node(1);
    node.command("ip link add late0 type veth peer name late1").expect("ip");
    node.command("ip address add 198.51.100.20/24 dev late0").expect("ip");
    node.command("ip link set late1 up").expect("ip");
    node.command("ip link set late0 up").expect("ip");
    stage.wait_vip();
    assert_eq!(stage.stop(), 0);
}

fn scripts(stage: &mut Stage) {
    stage.write("/run/up.sh", "#!/bin/sh\necho up >> /run/told\n");
    stage.write("/run/down.sh", "#!/bin/sh\necho down >> /run/told\nexec sleep 1000\n");
    let config = format!(
        "global_defs {{\n script_user root\n startup_script /run/up.sh\n shutdown_script \
         /run/down.sh\n shutdown_script_timeout 1\n}}\n{CONFIG}"
    );
    stage.start(&config);
    assert_eq!(stage.lab.read(1, "/run/told"), "up\n");
    assert_eq!(stage.stop(), 0);
    assert_eq!(stage.lab.read(1, "/run/told"), "up\ndown\n");
    stage.wait_line("shutdown_script");
}

fn startup_signals(stage: &mut Stage) {
    stage.write("/run/up.sh", "#!/bin/sh\necho $$ > /run/up.pid\nread line < /run/go\n");
    stage.lab.node(1).command("mkfifo /run/go").expect("mkfifo");
    let config = format!(
        "global_defs {{\n script_user root\n startup_script /run/up.sh\n \
         startup_script_timeout 60\n}}\n{CONFIG}"
    );
    stage.launch(&config, &[]);
    let script = stage.wait_pid("/run/up.pid");
    stage.daemon().signal(Signal::SIGTERM);
    assert_eq!(stage.exit_status(), 0);
    wait_gone(script);
    assert!(!stage.exists("/run/keepalived.pid"));

    std::fs::remove_file(stage.lab.node(1).outside("/run/up.pid")).expect("it was there");
    stage.launch(&config, &[]);
    stage.wait_pid("/run/up.pid");
    stage.daemon().reload();
    stage.write("/run/line", "go\n");
    stage.lab.node(1).feed(&["sh", "-c", "cat /run/line > /run/go"], "").expect("a shell");
    stage.wait_line("Reload complete");
    stage.wait_vip();
    assert_eq!(stage.stop(), 0);
}

fn process_names(stage: &mut Stage) {
    let name = |pid: i32| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    stage.start(CONFIG);
    let role = stage.wait_role(None);
    assert_eq!((&*name(stage.daemon().pid()), &*name(role)), ("keepalived\n", "keepalived\n"));
    assert_eq!(stage.stop(), 0);
    let config = format!("global_defs {{\n process_names\n process_name boss\n}}\n{CONFIG}");
    stage.launch(&config, &[]);
    stage.wait_line("Startup complete");
    let role = stage.wait_role(None);
    assert_eq!((&*name(stage.daemon().pid()), &*name(role)), ("boss\n", "keepalived_vrrp\n"));
}

fn service_manager(stage: &mut Stage) {
    let socket = UnixDatagram::bind(stage.lab.node(1).outside("/run/notify")).expect("a socket");
    socket.set_read_timeout(Some(LIMIT)).expect("a time-out");
    let wait = |wanted: &str| {
        let mut buffer = [0; 4096];
        // Bounded: the daemon says only so much.
        for _ in 0..100 {
            let length = socket.recv(&mut buffer).expect(wanted);
            if text(&buffer[..length]).lines().any(|line| line == wanted) {
                return;
            }
        }
        panic!("no {wanted}");
    };
    stage.write(CONFIG_PATH, CONFIG);
    let arguments = ["--dont-fork", "-G", "-f", CONFIG_PATH];
    let child = stage.spawn("keepalived", &arguments, &[("NOTIFY_SOCKET", "/run/notify")]);
    let mut child = Reaped(child);
    let pid = i32::try_from(child.0.id()).expect("a process id");
    wait("READY=1");
    for config in [CONFIG, "vrrp_instance A {\n"] {
        // A reload that is refused ends as well.
        stage.write(CONFIG_PATH, config);
        send(pid, Signal::SIGHUP);
        wait("RELOADING=1");
        wait("READY=1");
    }
    send(pid, Signal::SIGTERM);
    wait("STOPPING=1");
    let status = wait_until(LIMIT, || child.0.try_wait().ok().flatten()).expect("it ends");
    assert_eq!(status.code(), Some(0));
}

fn empty_file(stage: &mut Stage) {
    stage.launch("", &[]);
    stage.wait_line("no configuration to run");
    assert!(stage.daemon().running());
    assert_eq!(stage.daemon().roles(), Vec::<i32>::new());
    // The first instance may come by a reload.
    stage.reload(CONFIG);
    stage.wait_vip();
    assert_eq!(stage.stop(), 0);
}

fn network_namespace(stage: &mut Stage) {
    let node = stage.lab.node(1);
    for line in [
        "ip netns add blue",
        "ip -n blue link add late0 type veth peer name late1",
        "ip -n blue address add 198.51.100.20/24 dev late0",
        "ip -n blue link set late1 up",
        "ip -n blue link set late0 up",
    ] {
        node.command(line).expect("ip");
    }
    stage.launch(&CONFIG.replace("eth0", "late0"), &["-s", "blue"]);
    stage.wait_line("Entering MASTER STATE");
    assert_eq!(stage.wait_pid("/run/keepalived/keepalived.pid"), stage.daemon().pid());
    let addresses = stage.lab.node(1).command("ip -n blue -brief address show late0").expect("ip");
    assert!(addresses.contains("198.51.100.100/24"), "{addresses}");
    assert_eq!(stage.stop(), 0);
    stage.launch(CONFIG, &["-s", "nowhere"]);
    assert_eq!(stage.exit_status(), 1);
}
