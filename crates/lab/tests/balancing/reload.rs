//! Reload: what changed is changed, what did not is not touched, no connection is reset; what
//! removed and added servers are told.

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use standfast_lab::farm::VIP;

use crate::Scenario;
use crate::cases::{real, server};
use crate::play::{GLOBAL, Play};
use crate::server::{Manner, Tcp};
use crate::traffic::echoed;

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("under_traffic", under_traffic),
        Scenario::new("failed_server_stays_out", failed_stays_out),
        Scenario::new("servers_removed_and_added", removed_and_added),
        Scenario::new("thresholds_are_applied", thresholds).standfast_only(),
        Scenario::new("group_member_removed", group_member_removed).standfast_only(),
        Scenario::new("one_changed_server_is_one_change", one_change).standfast_only(),
    ]
}

fn checked(number: usize, weight: u32) -> String {
    let block = format!(
        "weight {weight}\n    notify_up \"/run/tell.sh up r{number}\"\n    \
         notify_down \"/run/tell.sh down r{number}\"\n    TCP_CHECK {{\n      \
         connect_timeout 5\n      retry 0\n      warmup 0\n    }}"
    );
    real(&format!("203.0.113.1{number} 80"), &block)
}

fn text(settings: &str, reals: &str) -> String {
    let settings =
        format!("delay_loop 1\n  lb_algo rr\n  lb_kind NAT\n  protocol TCP\n  {settings}");
    format!("{GLOBAL}{}", server(&format!("{VIP} 80"), &settings, reals))
}

/// A client that keeps a connection busy and opens new ones until it is told to stop.
struct Traffic {
    stop: Arc<AtomicBool>,
    opened: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<Result<(), String>>>,
}

impl Traffic {
    /// `count` connections that stay open, and a stream of short ones.
    fn begin(play: &Play, count: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let opened = Arc::new(AtomicUsize::new(0));
        let mut threads = Vec::new();
        for _ in 0..count {
            let mut stream = open(play).expect("a connection");
            let stop = Arc::clone(&stop);
            threads.push(thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    echoed(&mut stream, b"still there?")
                        .map_err(|error| format!("long: {error}"))?;
                    thread::sleep(Duration::from_millis(50));
                }
                Ok(())
            }));
        }
        // New connections are opened by a thread of the client's machine.
        let (halt, counter) = (Arc::clone(&stop), Arc::clone(&opened));
        let dialler = play.farm().client().run(move || {
            thread::spawn(move || {
                while !halt.load(Ordering::Relaxed) {
                    let attempt = TcpStream::connect_timeout(&target(), Duration::from_secs(20));
                    let mut stream = attempt.map_err(|error| format!("connect: {error}"))?;
                    echoed(&mut stream, b"hello").map_err(|error| format!("short: {error}"))?;
                    counter.fetch_add(1, Ordering::Relaxed);
                    thread::sleep(Duration::from_millis(20));
                }
                Ok(())
            })
        });
        threads.push(dialler);
        Self { stop, opened, threads }
    }

    /// Waits for some more short connections.
    #[track_caller]
    fn goes_on(&self, play: &Play) {
        let before = self.opened.load(Ordering::Relaxed);
        play.until("new connections", || {
            let broken = self.threads.iter().any(JoinHandle::is_finished);
            (broken || self.opened.load(Ordering::Relaxed) > before + 8).then_some(())
        });
    }

    /// Every connection was served until the end.
    #[track_caller]
    fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            let result = thread.join().unwrap_or_else(|_| Err("panicked".into()));
            assert_eq!(result, Ok(()), "a connection of a client broke");
        }
    }
}

fn target() -> std::net::SocketAddr {
    format!("{VIP}:80").parse().expect("an address")
}

fn open(play: &Play) -> std::io::Result<TcpStream> {
    play.farm().client().run(|| TcpStream::connect_timeout(&target(), Duration::from_secs(20)))
}

fn echoes(play: &Play, count: usize) -> Vec<Tcp> {
    (1..=count)
        .map(|number| Tcp::serve(play.farm().real(number), "0.0.0.0:80", Manner::Echoes))
        .collect()
}

fn under_traffic(play: &mut Play) {
    play.build(3);
    let _servers = echoes(play, 3);
    let two = checked(1, 1) + &checked(2, 1);
    play.start(&text("", &two));
    play.has("203.0.113.12");
    let traffic = Traffic::begin(play, 4);
    traffic.goes_on(play);
    let other = server(&format!("{VIP} 443"), "lb_algo rr\n  lb_kind NAT\n  protocol TCP", &two);
    // Nothing, another weight, another server, another virtual server.
    play.reload(&text("", &two));
    traffic.goes_on(play);
    play.reload(&text("", &(checked(1, 5) + &checked(2, 1))));
    play.has("-r 203.0.113.11:80 -m -w 5");
    traffic.goes_on(play);
    // (Not another scheduler: the kernel itself refuses connections while it takes one away.)
    let three = two.clone() + &checked(3, 1);
    play.reload(&text("", &three));
    play.has("203.0.113.13");
    traffic.goes_on(play);
    play.reload(&(text("", &three) + &other));
    play.has("198.51.100.100:443");
    traffic.goes_on(play);
    play.reload(&text("", &three));
    play.has_no("198.51.100.100:443");
    traffic.goes_on(play);
    traffic.end();
    let table = play.table();
    play.note_all("table", table);
    play.stop();
}

fn failed_stays_out(play: &mut Play) {
    play.build(2);
    let mut servers = echoes(play, 2);
    play.start(&text("", &(checked(1, 1) + &checked(2, 1))));
    play.has("203.0.113.12");
    drop(servers.pop());
    play.told("RS [203.0.113.12]:tcp:80 [198.51.100.100]:tcp:80 DOWN", 1);
    play.has_no("203.0.113.12");
    play.reload(&text("", &(checked(1, 7) + &checked(2, 9))));
    play.has("-r 203.0.113.11:80 -m -w 7");
    play.quiet();
    let table = play.table();
    play.note_all("table after the reload", table);
    servers.push(Tcp::serve(play.farm().real(2), "0.0.0.0:80", Manner::Echoes));
    play.has("-r 203.0.113.12:80 -m -w 9");
    let table = play.table();
    play.note_all("table when it has returned", table);
    let mut scripts = play.called_about(2);
    scripts.sort();
    play.note_all("scripts, sorted", scripts);
    play.stop();
}

fn removed_and_added(play: &mut Play) {
    play.build(3);
    let _servers = echoes(play, 2);
    play.start(&text("alpha", &(checked(1, 1) + &checked(2, 1))));
    play.told("UP", 3);
    play.called_about(2);
    // A living server goes: its notify_down runs.
    play.reload(&text("alpha", &checked(1, 1)));
    play.has_no("203.0.113.12");
    let mut scripts = play.called_about(3);
    scripts.sort();
    play.note_all("scripts when r2 has gone", scripts);
    // It comes again, and with it one that is dead, from the start.
    play.reload(&text("alpha", &(checked(1, 1) + &checked(2, 1) + &checked(3, 1))));
    play.has("203.0.113.12");
    play.quiet();
    let table = play.table();
    play.note_all("table with a new one that is dead", table);
    let mut scripts = play.rest(Play::scripts);
    scripts.sort();
    play.note_all("scripts, sorted", scripts);
    play.stop();
}

/// Keepalived 2.2.7 forgets them.
fn thresholds(play: &mut Play) {
    play.director_only();
    let limited = |upper: u32| {
        text("", &real("203.0.113.11 80", &format!("uthreshold {upper}\n    lthreshold 2")))
    };
    play.start(&limited(10));
    play.has("203.0.113.11");
    play.reload(&limited(50));
    let wanted = "TCP 198.51.100.100:80 -> 203.0.113.11:80 upper 50 lower 2";
    play.until("the new thresholds", || {
        let thresholds = play.farm().thresholds().expect("ipvsadm");
        (thresholds == [wanted]).then_some(())
    });
    play.stop();
}

/// Keepalived 2.2.7 leaves the removed members behind, without servers.
fn group_member_removed(play: &mut Play) {
    play.director_only();
    let grouped = |members: &str| {
        format!("virtual_server_group G {{\n{members}}}\n")
            + &server(
                "group G",
                "lb_algo rr\n  lb_kind NAT\n  protocol TCP",
                &real("203.0.113.11 80", ""),
            )
    };
    play.start(&grouped("  198.51.100.100 80\n  198.51.100.101-102 80\n"));
    play.has("-a -t 198.51.100.102:80");
    play.reload(&grouped("  198.51.100.100 80\n"));
    play.has_no("198.51.100.101");
    play.has_no("198.51.100.102");
    assert_eq!(play.table().len(), 2, "one service, one destination");
    play.stop();
}

/// Counters survive, so nothing was deleted and added again; and only one thing changes.
fn one_change(play: &mut Play) {
    play.build(2);
    let _servers = echoes(play, 2);
    let two = checked(1, 1) + &checked(2, 1);
    play.start(&text("", &two));
    play.has("203.0.113.12");
    for _ in 0..4 {
        let mut stream = open(play).expect("a connection");
        echoed(&mut stream, b"hello").expect("an echo");
    }
    // The kernel adds up its counters every two seconds.
    let connections = |play: &Play| -> Vec<String> {
        let text = play.run("ipvsadm -Ln --stats --exact");
        let line = |line: &str| line.split_whitespace().take(3).collect::<Vec<_>>().join(" ");
        text.lines().filter(|it| it.contains(":80")).map(line).collect()
    };
    let counted = ["TCP 198.51.100.100:80 4", "-> 203.0.113.11:80 2", "-> 203.0.113.12:80 2"];
    play.until("four connections are counted", || (connections(play) == counted).then_some(()));
    play.reload(&text("lb_algo wrr", &(checked(1, 1) + &checked(2, 8))));
    play.has("-r 203.0.113.12:80 -m -w 8");
    play.has("-s wrr");
    assert_eq!(connections(play), counted, "the counters survive");
    play.stop();
}
