//! The whole role: real checks on the loopback interface, a kernel in memory.

mod support;

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU8, Ordering};

use netlink::ipvs::{Destination, Forwarding, IpvsKernel as _, Request, Service, ServiceKey};
use status::api::{Reply, Request as Ask, ServerOrder};
use status::balancing::Health;
use status::control::{Dump, FromRole, ToRole};
use support::{Scene, eventually};

const VIP: &str = "TCP 198.51.100.1:80";

fn virtual_server(more: &str, servers: &[&str]) -> String {
    format!(
        "virtual_server 198.51.100.1 80 {{\n protocol TCP\n lb_algo rr\n delay_loop 0.05\n \
         warmup 0\n {more}\n {}\n}}\n",
        servers.join("\n ")
    )
}

fn real_server(at: SocketAddr, more: &str) -> String {
    format!("real_server {} {} {{\n {more}\n }}", at.ip(), at.port())
}

const TCP_CHECK: &str = "TCP_CHECK {\n connect_timeout 1\n retry 0\n }";

/// A listener on an address of its own: its port is not another test's once it is closed.
fn listener() -> (TcpListener, SocketAddr) {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let host = NEXT.fetch_add(1, Ordering::Relaxed);
    let listener = TcpListener::bind((std::net::Ipv4Addr::new(127, 66, 0, host), 0)).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn two() -> (SocketAddr, SocketAddr) {
    (at("203.0.113.2:80"), at("203.0.113.3:80"))
}

fn plain() -> String {
    let (a, b) = two();
    virtual_server("", &[&real_server(a, "weight 3"), &real_server(b, "")])
}

#[test]
fn the_table_is_there_at_the_start_and_gone_at_the_end() {
    let stage = Scene::new(&plain()).start();
    let (a, b) = two();
    stage.await_table(VIP, &[(a, 3), (b, 1)]);
    let status = stage.status();
    assert!(status.ipvs.available, "{status:?}");
    let web = &status.virtual_servers[0];
    assert_eq!((web.name.as_str(), web.state), ("[198.51.100.1]:tcp:80", Health::Up));
    assert_eq!((web.weight, web.services[0].set), (4, true));
    assert!(web.real_servers.iter().all(|real| real.set));
    assert!(stage.stop().lock().contents().is_empty());
}

#[test]
fn a_server_leaves_with_its_check_and_comes_back() {
    let (socket, good) = listener();
    let (kept, other) = listener();
    let text = virtual_server("", &[&real_server(good, TCP_CHECK), &real_server(other, TCP_CHECK)]);
    let stage = Scene::new(&text).start();
    stage.await_table(VIP, &[(good, 1), (other, 1)]);
    drop(socket);
    stage.await_table(VIP, &[(other, 1)]);
    let status = stage.status();
    let sick = &status.virtual_servers[0].real_servers[0];
    assert_eq!(sick.state, Health::Down);
    assert!(sick.cause.contains(&format!("by {good}")), "{}", sick.cause);
    assert_eq!(sick.checks[0].target, good.to_string());
    let Reply::Records(records) = stage.ask(&Ask::History { subject: Some(good.to_string()) })
    else {
        panic!("no records")
    };
    assert!(records.iter().any(|record| record.kind == "server-down"), "{records:?}");
    let back = TcpListener::bind(good).unwrap();
    stage.await_table(VIP, &[(good, 1), (other, 1)]);
    drop((back, kept));
}

#[test]
fn without_ipvs_checks_go_on_and_it_is_found_when_asked_for() {
    let (_socket, good) = listener();
    let scene = Scene::new(&virtual_server("", &[&real_server(good, TCP_CHECK)]));
    scene.ipvs.store(false, Ordering::SeqCst);
    let stage = scene.start();
    let status = stage.status();
    assert!(!status.ipvs.available);
    assert_eq!(status.ipvs.problem.as_deref(), Some("the kernel has no IPVS"));
    assert_eq!(status.ipvs.remedy.as_deref(), Some("modprobe ip_vs"));
    assert!(status.ipvs.retry_in.is_some());
    eventually("the check has run", || {
        let status = stage.status();
        (status.virtual_servers[0].real_servers[0].state == Health::Up).then_some(())
    });
    assert!(matches!(stage.ask(&Ask::Retry), Reply::Error(_)));
    stage.ipvs.store(true, Ordering::SeqCst);
    assert!(matches!(stage.ask(&Ask::Retry), Reply::Done(_)));
    stage.await_table(VIP, &[(good, 1)]);
}

#[test]
fn without_ipvs_a_drain_ends_at_once() {
    let (a, b) = two();
    let scene = Scene::new(&plain());
    scene.ipvs.store(false, Ordering::SeqCst);
    let stage = scene.start();
    let order = ServerOrder::Drain { deadline_ms: None };
    assert!(matches!(stage.server(order, "198.51.100.1:80", "203.0.113.2"), Reply::Done(_)));
    eventually("the drain has ended", || {
        let order = stage.status().virtual_servers[0].real_servers[0].order;
        matches!(order, Some(status::balancing::Order::Drain { finished: true, .. })).then_some(())
    });
    stage.ipvs.store(true, Ordering::SeqCst);
    assert!(matches!(stage.ask(&Ask::Retry), Reply::Done(_)));
    stage.await_table(VIP, &[(b, 1)]);
    assert!(matches!(stage.server(ServerOrder::Enable, "all", "203.0.113.2"), Reply::Done(_)));
    stage.await_table(VIP, &[(a, 3), (b, 1)]);
}

#[test]
fn a_reload_with_one_changed_server_asks_the_kernel_for_one_change() {
    let (a, b) = two();
    let stage = Scene::new(&plain()).start();
    stage.await_table(VIP, &[(a, 3), (b, 1)]);
    let before = stage.kernel.lock().counts().requests;
    let text = virtual_server("", &[&real_server(a, "weight 4"), &real_server(b, "")]);
    stage.reload(&text, 2);
    stage.await_table(VIP, &[(a, 4), (b, 1)]);
    assert_eq!(stage.kernel.lock().counts().requests - before, 1);
    stage.reload(&text, 3);
    assert_eq!(stage.kernel.lock().counts().requests - before, 1);
    assert_eq!(stage.status().node.config_generation, 3);
}

#[test]
fn a_reload_that_removes_everything_removes_everything() {
    let stage = Scene::new(&plain()).start();
    stage.reload("global_defs {\n}\n", 2);
    eventually("no service", || stage.table(VIP).is_none().then_some(()));
    assert!(stage.status().virtual_servers.is_empty());
}

#[test]
fn what_is_no_configuration_is_refused_and_the_running_one_stays() {
    let stage = Scene::new(&plain()).start();
    let (a, b) = two();
    stage.await_table(VIP, &[(a, 3), (b, 1)]);
    let damaged = b"no model";
    let file = sys::memfd::sealed("damaged", damaged).unwrap();
    stage.order(&ToRole::Reload { generation: 2 }, Some(&file));
    let reason = config::passing::decode(damaged).unwrap_err().to_string();
    stage.await_word(&FromRole::ReloadFailed { generation: 2, reason });
    // One that somebody could still change is not read.
    let open = sys::memfd::create("open").unwrap();
    stage.order(&ToRole::Reload { generation: 3 }, Some(&open));
    let reason = sys::memfd::Mapped::of(&open).unwrap_err().to_string();
    stage.await_word(&FromRole::ReloadFailed { generation: 3, reason });
    stage.await_table(VIP, &[(a, 3), (b, 1)]);
    assert_eq!(stage.status().node.config_generation, 1);
    stage.reload(&virtual_server("", &[&real_server(a, "")]), 4);
    stage.await_table(VIP, &[(a, 1)]);
    stage.stop();
}

#[test]
fn services_of_others_are_left_alone() {
    let scene = Scene::new(&plain());
    let foreign: ServiceKey = "TCP 198.51.100.99:80".parse().unwrap();
    let service = Request::NewService(foreign, Service::new("wlc"));
    assert_eq!(scene.kernel.lock().apply(&[service]), [Ok(())]);
    let stage = scene.start();
    stage.reload(&virtual_server("", &[&real_server(two().0, "")]), 2);
    let kernel = stage.stop();
    let kernel = kernel.lock();
    assert_eq!(kernel.contents().len(), 1);
    assert!(kernel.contents().get(&foreign).is_some());
}

#[test]
fn what_somebody_else_changes_is_put_right_and_told() {
    let (a, b) = two();
    let stage = Scene::new(&plain()).start();
    stage.await_table(VIP, &[(a, 3), (b, 1)]);
    let key: ServiceKey = VIP.parse().unwrap();
    stage.somebody(Request::DelDestination(key, a));
    stage.somebody(Request::SetDestination(key, b, Destination::new(Forwarding::Nat, 9)));
    assert!(matches!(stage.ask(&Ask::Retry), Reply::Done(_)));
    assert_eq!(stage.table(VIP), Some(vec![(a.to_string(), 3), (b.to_string(), 1)]));
    assert_eq!(stage.status().ipvs.repaired, 2);
    let Reply::Records(records) = stage.ask(&Ask::History { subject: None }) else {
        panic!("no records")
    };
    let repairs: Vec<_> = records.iter().filter(|record| record.kind == "repaired").collect();
    assert_eq!(repairs.len(), 2, "{records:?}");
    assert!(repairs[0].message.contains("somebody removed 203.0.113.2:80"), "{repairs:?}");
}

#[test]
fn what_the_kernel_refuses_is_told_once_and_tried_again() {
    let scene = Scene::new(&plain());
    let refusal = netlink::KernelError::Refused { errno: nix::errno::Errno::ENOENT, message: None };
    scene.kernel.lock().refuse_next(refusal);
    let stage = scene.start();
    assert_eq!(stage.table(VIP), None);
    let refused = stage.status().ipvs.refused;
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(refused[0].contains("TCP 198.51.100.1:80 (rr) cannot be added"), "{refused:?}");
    assert!(matches!(stage.ask(&Ask::Retry), Reply::Done(_)));
    let (a, b) = two();
    stage.await_table(VIP, &[(a, 3), (b, 1)]);
    assert!(matches!(stage.ask(&Ask::Retry), Reply::Done(_)));
    assert!(stage.status().ipvs.refused.is_empty());
}

#[test]
fn a_scheduler_that_is_missing_is_told_once_however_many_want_it() {
    let text = |scheduler: &str| -> String {
        let server = |n: usize| {
            let scheduler = if n < 40 { scheduler } else { "rr" };
            format!(
                "virtual_server 198.51.100.{} 80 {{\n protocol TCP\n lb_algo {scheduler}\n \
                 real_server 203.0.113.2 80 {{\n }}\n}}\n",
                n + 1
            )
        };
        (0..42).map(server).collect()
    };
    let scene = Scene::new(&text("mh"));
    scene.kernel.lock().without_scheduler("mh");
    let stage = scene.start();
    let told = || {
        let Reply::Records(records) = stage.ask(&Ask::History { subject: None }) else {
            panic!("no records")
        };
        records.into_iter().filter(|record| record.kind == "kernel-refused").count()
    };
    let server = at("203.0.113.2:80");
    stage.await_table("TCP 198.51.100.42:80", &[(server, 1)]);
    for _ in 0..4 {
        let refused = stage.status().ipvs.refused;
        assert_eq!((refused.len(), told()), (17, 17), "{refused:?}");
        assert_eq!(
            refused[0],
            "the service TCP 198.51.100.1:80 (mh) cannot be added: the kernel has no scheduler mh \
             (modprobe ip_vs_mh)"
        );
        assert_eq!(refused[16], "24 more requests were refused");
        assert!(matches!(stage.ask(&Ask::Retry), Reply::Done(_)));
    }
    stage.reload(&text("wlc"), 2);
    stage.await_table("TCP 198.51.100.1:80", &[(server, 1)]);
    assert!(stage.status().ipvs.refused.is_empty());
    assert_eq!(told(), 17);
}

#[test]
fn in_a_large_table_every_service_has_its_turn() {
    let mut text = String::new();
    for n in 1..=600 {
        let (high, low) = (n / 250, n % 250 + 1);
        text += &format!(
            "virtual_server 198.51.{high}.{low} 80 {{\n protocol TCP\n lb_algo rr\n real_server \
             203.0.113.2 80 {{\n }}\n}}\n"
        );
    }
    let stage = Scene::new(&text).start();
    let server = at("203.0.113.2:80");
    let services = ["TCP 198.51.0.2:80", "TCP 198.51.1.1:80", "TCP 198.51.2.100:80"];
    for service in services {
        stage.somebody(Request::DelDestination(service.parse().unwrap(), server));
    }
    // A whole service is missed at once, whoever's turn it is.
    let gone: ServiceKey = "TCP 198.51.2.50:80".parse().unwrap();
    stage.somebody(Request::DelService(gone));
    assert!(matches!(stage.ask(&Ask::Retry), Reply::Done(_)));
    assert_eq!(stage.table("TCP 198.51.2.50:80"), Some(vec![(server.to_string(), 1)]));
    eventually("all are put right", || {
        stage.ask(&Ask::Retry);
        let right = |service: &&str| stage.table(service) == Some(vec![(server.to_string(), 1)]);
        services.iter().all(right).then_some(())
    });
    assert_eq!(stage.status().ipvs.repaired, 4);
}

#[test]
fn a_killed_role_s_successor_changes_nothing_and_tells_nobody() {
    let (socket, good) = listener();
    let (_other, other) = listener();
    let fifo = |scene: &Scene| {
        format!("global_defs {{\n lvs_notify_fifo {}\n}}\n", scene.path("fifo").display())
    };
    let servers =
        virtual_server("", &[&real_server(good, TCP_CHECK), &real_server(other, TCP_CHECK)]);
    let mut scene = Scene::new("");
    scene.text = fifo(&scene) + &servers;
    let stage = scene.start();
    drop(socket);
    stage.await_table(VIP, &[(other, 1)]);
    let order = ServerOrder::Weight { weight: Some(7) };
    assert!(matches!(stage.server(order, "198.51.100.1:80", &other.to_string()), Reply::Done(_)));
    stage.await_table(VIP, &[(other, 7)]);
    // A copy of what the dead one had kept; it goes on as nobody's business.
    let mut scene = Scene::new(&(fifo_text(&stage) + &servers));
    scene.kernel = stage.kernel.clone();
    scene.restarts = 1;
    std::fs::copy(stage.path("store"), scene.path("store")).unwrap();
    let before = stage.kernel.lock().counts().requests;
    let successor = scene.start();
    let status = successor.status();
    let web = &status.virtual_servers[0];
    assert_eq!(web.real_servers[0].state, Health::Down);
    let cause = &web.real_servers[0].cause;
    assert!(cause.contains(&good.to_string()), "{cause}");
    assert_eq!(web.real_servers[1].weight.effective, 7);
    assert!(web.history.is_empty(), "{:?}", web.history);
    assert_eq!(successor.kernel.lock().counts().requests, before);
    // It goes on: the server that was down comes back by its check.
    let back = TcpListener::bind(good).unwrap();
    successor.await_table(VIP, &[(good, 1), (other, 7)]);
    drop(back);
}

fn fifo_text(stage: &support::Stage) -> String {
    format!("global_defs {{\n lvs_notify_fifo {}\n}}\n", stage.path("fifo").display())
}

#[test]
fn a_server_is_drained_until_its_connections_have_ended() {
    let (a, b) = two();
    let stage = Scene::new(&plain()).start();
    stage.await_table(VIP, &[(a, 3), (b, 1)]);
    let key: ServiceKey = VIP.parse().unwrap();
    stage.kernel.lock().set_connections(key, a, 2, 1, 0);
    let order = ServerOrder::Drain { deadline_ms: None };
    assert!(matches!(stage.server(order, "198.51.100.1:80", "203.0.113.2"), Reply::Done(_)));
    stage.await_table(VIP, &[(a, 0), (b, 1)]);
    let status = stage.status();
    let real = &status.virtual_servers[0].real_servers[0];
    assert!(
        matches!(real.order, Some(status::balancing::Order::Drain { finished: false, .. })),
        "{real:?}"
    );
    assert_eq!((real.connections.active, real.connections.inactive), (2, 1));
    stage.kernel.lock().set_connections(key, a, 0, 0, 0);
    stage.await_table(VIP, &[(b, 1)]);
    let status = stage.status();
    let real = &status.virtual_servers[0].real_servers[0];
    assert!(matches!(real.order, Some(status::balancing::Order::Drain { finished: true, .. })));
    assert!(matches!(stage.server(ServerOrder::Enable, "all", "203.0.113.2"), Reply::Done(_)));
    stage.await_table(VIP, &[(a, 3), (b, 1)]);
}

#[test]
fn orders_for_servers_that_do_not_exist_say_what_there_is() {
    let stage = Scene::new(&plain()).start();
    let Reply::Error(text) = stage.server(ServerOrder::Disable, "198.51.100.7:80", "all") else {
        panic!("it was taken")
    };
    assert!(text.contains("[198.51.100.1]:tcp:80"), "{text}");
    let Reply::Error(text) = stage.server(ServerOrder::Disable, "all", "203.0.113.9") else {
        panic!("it was taken")
    };
    assert!(text.contains("[203.0.113.2]:tcp:80"), "{text}");
}

#[test]
fn the_table_stays_when_asked_for_and_goes_with_the_supervisor() {
    let mut scene = Scene::new(&plain());
    scene.keep_services = true;
    let kernel = scene.start().stop();
    assert_eq!(kernel.lock().contents().len(), 1);
    let kernel = Scene::new(&plain()).start().orphan();
    assert!(kernel.lock().contents().is_empty());
}

#[test]
fn fifo_lines_tell_servers_and_quorum_in_order() {
    use std::io::{BufRead as _, BufReader};
    let (socket, good) = listener();
    let mut scene = Scene::new("");
    let fifo = scene.path("fifo");
    scene.text = format!(
        "global_defs {{\n lvs_notify_fifo {}\n}}\n{}",
        fifo.display(),
        virtual_server("", &[&real_server(good, TCP_CHECK)])
    );
    let stage = scene.start();
    eventually("the FIFO", || fifo.exists().then_some(()));
    let (lines, heard) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let reader = BufReader::new(std::fs::File::open(&fifo).unwrap());
        for line in reader.lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                break;
            }
        }
    });
    drop(socket);
    let next = || heard.recv_timeout(support::PATIENCE).unwrap();
    assert_eq!(next(), "VS [198.51.100.1]:tcp:80 UP");
    let server = format!("[{}]:tcp:{}", good.ip(), good.port());
    assert_eq!(next(), format!("RS {server} [198.51.100.1]:tcp:80 DOWN"));
    assert_eq!(next(), "VS [198.51.100.1]:tcp:80 DOWN");
    drop(stage);
}

#[test]
fn the_dump_has_keepalived_s_labels() {
    let stage = Scene::new(&plain()).start();
    stage.order(&ToRole::Dump { what: Dump::Data }, None);
    let path = stage.path("keepalived_check.data");
    let text = eventually("the dump", || {
        std::fs::read_to_string(&path).ok().filter(|text| text.contains("203.0.113.3"))
    });
    for line in [
        " VS VIP = 198.51.100.1, VPORT = 80",
        "   RIP = 203.0.113.2, RPORT = 80, WEIGHT = 3 EFF WEIGHT = 3",
        "   RS set = 1",
    ] {
        assert!(text.lines().any(|l| l == line), "{line}\n{text}");
    }
}
