//! The role among the things around it: files, scripts, addresses of this host, IPVS as a whole.

mod support;

use std::net::SocketAddr;

use netlink::ipvs::{IpvsKernel as _, Request, Service, SyncRole, Timeouts};
use status::api::{Reply, Request as Ask, ServerOrder};
use status::balancing::Health;
use support::{Scene, eventually};

const VIP: &str = "TCP 198.51.100.1:80";

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn web(vip: &str, more: &str, of_server: &str) -> String {
    format!(
        "virtual_server {vip} 80 {{\n protocol TCP\n lb_algo rr\n delay_loop 0.05\n warmup 0\n \
         {more}\n real_server 203.0.113.2 80 {{\n weight 10\n {of_server}\n }}\n}}\n"
    )
}

#[test]
fn a_tracked_file_changes_the_weight() {
    let mut scene = Scene::new("");
    let file = scene.path("load");
    std::fs::write(&file, "-3\n").unwrap();
    scene.text = format!(
        "track_file load {{\n file {}\n weight 2\n}}\n{}",
        file.display(),
        web("198.51.100.1", "", "FILE_CHECK {\n track_file load\n }")
    );
    let stage = scene.start();
    stage.await_table(VIP, &[(at("203.0.113.2:80"), 4)]);
    std::fs::write(&file, "5\n").unwrap();
    stage.await_table(VIP, &[(at("203.0.113.2:80"), 20)]);
    let status = stage.status();
    let real = &status.virtual_servers[0].real_servers[0];
    assert_eq!((real.weight.configured, real.weight.checks, real.weight.effective), (10, 10, 20));
}

/// A script that exits with the status that a file names, and tells another file how it was called.
fn script(scene: &Scene, name: &str, text: &str) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let path = scene.path(name);
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
    path.display().to_string()
}

#[test]
fn a_script_checks_and_scripts_are_told() {
    let mut scene = Scene::new("");
    let (state, told) = (scene.path("state"), scene.path("told"));
    std::fs::write(&state, "0").unwrap();
    let check = script(&scene, "check", &format!("exit $(cat {})", state.display()));
    let tell = script(&scene, "tell", &format!("echo \"$@\" >> {}", told.display()));
    let user = if nix::unistd::geteuid().is_root() { "script_user root" } else { "" };
    scene.text = format!(
        "global_defs {{\n {user}\n}}\n{}",
        web(
            "198.51.100.1",
            &format!("quorum_up \"{tell} quorum up\"\n quorum_down \"{tell} quorum down\""),
            &format!(
                "notify_up \"{tell} server up\"\n notify_down \"{tell} server down\"\n MISC_CHECK \
                 {{\n misc_path {check}\n misc_dynamic\n }}"
            )
        )
    );
    let stage = scene.start();
    let server = at("203.0.113.2:80");
    stage.await_table(VIP, &[(server, 10)]);
    std::fs::write(&state, "7").unwrap();
    stage.await_table(VIP, &[(server, 5)]);
    std::fs::write(&state, "1").unwrap();
    stage.await_table(VIP, &[]);
    std::fs::write(&state, "0").unwrap();
    stage.await_table(VIP, &[(server, 10)]);
    let lines = eventually("all scripts have run", || {
        let text = std::fs::read_to_string(&told).unwrap_or_default();
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        (lines.len() == 5).then_some(lines)
    });
    // Scripts about one thing run in order; those about the server and the quorum side by side.
    let about = |what: &str| -> Vec<&str> {
        lines.iter().filter_map(|line| line.strip_prefix(what)).collect()
    };
    assert_eq!(about("quorum "), ["up", "down", "up"]);
    assert_eq!(about("server "), ["down", "up"]);
}

#[test]
fn checks_wait_while_the_address_is_elsewhere() {
    let check = "TCP_CHECK {\n connect_timeout 1\n connect_ip 127.0.0.1\n connect_port 1\n }";
    let text = web("127.0.0.1", "ha_suspend", check) + &web("198.51.100.1", "ha_suspend", check);
    let stage = Scene::new(&text).start();
    // Nobody listens on port 1: where the address is, the server goes.
    stage.await_table("TCP 127.0.0.1:80", &[]);
    let status = stage.status();
    let [here, elsewhere] = &status.virtual_servers[..] else { panic!("{status:?}") };
    assert_eq!((here.suspended, here.real_servers[0].state), (false, Health::Down));
    assert_eq!((elsewhere.suspended, elsewhere.real_servers[0].checks[0].suspended), (true, true));
    assert_eq!(stage.table(VIP), Some(vec![("203.0.113.2:80".to_owned(), 10)]));
}

#[test]
fn time_outs_and_daemons_are_set_and_daemons_end() {
    let text =
        "global_defs {\n lvs_timeouts tcp 900 tcpfin 60 udp 30\n lvs_sync_daemon lo id 7\n}\n";
    let stage = Scene::new(&(text.to_owned() + &web("198.51.100.1", "", ""))).start();
    let timeouts = stage.kernel.lock().timeouts().unwrap();
    assert_eq!(timeouts, Timeouts { tcp: 900, tcp_fin: 60, udp: 30 });
    let mut daemons: Vec<_> =
        stage.kernel.lock().daemons().unwrap().into_iter().map(|d| (d.role, d.sync_id)).collect();
    daemons.sort_unstable();
    assert_eq!(daemons, [(SyncRole::Master, 7), (SyncRole::Backup, 7)]);
    assert_eq!(stage.status().ipvs.sync_daemons, ["master lo 7", "backup lo 7"]);
    stage.reload(&web("198.51.100.1", "", ""), 2);
    assert!(stage.kernel.lock().daemons().unwrap().is_empty());
    stage.reload(&(text.to_owned() + &web("198.51.100.1", "", "")), 3);
    assert_eq!(stage.kernel.lock().daemons().unwrap().len(), 2);
    assert!(stage.stop().lock().daemons().unwrap().is_empty());
}

#[test]
fn daemons_that_follow_an_instance_are_not_ours() {
    let text = "global_defs {\n lvs_sync_daemon lo VI_1 id 7\n}\nvrrp_instance VI_1 {\n interface \
                lo\n virtual_router_id 51\n virtual_ipaddress {\n 198.51.100.7\n }\n}\n";
    let stage = Scene::new(&(text.to_owned() + &web("198.51.100.1", "", ""))).start();
    assert!(stage.kernel.lock().daemons().unwrap().is_empty());
    let both = "global_defs {\n lvs_sync_daemon lo id 7\n}\n".to_owned();
    stage.reload(&(both + &web("198.51.100.1", "", "")), 2);
    assert_eq!(stage.kernel.lock().daemons().unwrap().len(), 2);
    // From here on they are the failover role's: it stops what it does not want.
    stage.reload(&(text.to_owned() + &web("198.51.100.1", "", "")), 3);
    assert_eq!(stage.kernel.lock().daemons().unwrap().len(), 2);
}

#[test]
fn flushing_takes_everything_with_it_at_start_and_stop_only() {
    let scene = Scene::new(
        &("global_defs {\n lvs_flush\n lvs_flush_on_stop\n}\n".to_owned()
            + &web("198.51.100.1", "", "")),
    );
    let foreign =
        || Request::NewService("TCP 198.51.100.99:80".parse().unwrap(), Service::new("wlc"));
    assert_eq!(scene.kernel.lock().apply(&[foreign()]), [Ok(())]);
    let stage = scene.start();
    assert_eq!(stage.kernel.lock().contents().len(), 1);
    stage.somebody(foreign());
    assert!(matches!(stage.ask(&Ask::Retry), Reply::Done(_)));
    assert_eq!(stage.kernel.lock().contents().len(), 2);
    assert!(stage.stop().lock().contents().is_empty());
}

#[test]
fn orders_outlive_a_reload_and_a_conflict_is_told() {
    let text = |weight: u32| web("198.51.100.1", "", &format!("weight {weight}"));
    let stage = Scene::new(&text(3)).start();
    let server = at("203.0.113.2:80");
    let order = ServerOrder::Weight { weight: Some(7) };
    assert!(matches!(stage.server(order, "all", "all"), Reply::Done(_)));
    stage.await_table(VIP, &[(server, 7)]);
    stage.reload(&text(4), 2);
    assert_eq!(stage.table(VIP), Some(vec![(server.to_string(), 7)]));
    let Reply::Records(records) = stage.ask(&Ask::History { subject: None }) else {
        panic!("no records")
    };
    assert!(records.iter().any(|record| record.kind == "override-conflict"), "{records:?}");
    let order = ServerOrder::Weight { weight: None };
    assert!(matches!(stage.server(order, "all", "all"), Reply::Done(_)));
    stage.await_table(VIP, &[(server, 4)]);
    assert!(matches!(stage.server(order, "all", "all"), Reply::Done(_)));
}
