//! kill -9 of the process that holds the table: traffic flows, the successor takes it over as it
//! is and tells nobody.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::Scenario;
use crate::cases::{real, server};
use crate::play::{GLOBAL, Play};
use crate::server::Manner;
use crate::server::Tcp;
use crate::traffic::{ask, connect, echoed, greeters};

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("killed_balancer", killed).standfast_only(),
        Scenario::new("killed_twice_with_a_failed_server", killed_with_failed).standfast_only(),
        Scenario::new("killed_daemon", killed_daemon),
    ]
}

fn text() -> String {
    let reals: String = (1..=2)
        .map(|number| {
            let block = format!(
                "weight {number}\n    notify_up \"/run/tell.sh up r{number}\"\n    \
                 notify_down \"/run/tell.sh down r{number}\"\n    TCP_CHECK {{\n      \
                 connect_timeout 5\n      retry 0\n      warmup 0\n    }}"
            );
            real(&format!("203.0.113.1{number} 80"), &block)
        })
        .collect();
    let settings = "delay_loop 1\n  lb_algo rr\n  lb_kind NAT\n  protocol TCP\n  \
                    quorum_up \"/run/tell.sh quorum up\"\n  quorum_down \"/run/tell.sh quorum down\"";
    format!("{GLOBAL}{}", server("198.51.100.100 80", settings, &reals))
}

fn killed(play: &mut Play) {
    play.build(2);
    let servers = greeters(play, 2, 80);
    play.start(&text());
    play.has("203.0.113.12");
    play.told("VS ", 1);
    play.called_about(1);
    let (table, fifo, scripts) = (play.table(), play.fifo(), play.scripts());
    let (mut open, _) = connect(play, "198.51.100.100:80", None);
    play.kill_balancer();
    // Whoever connects in between is served.
    for _ in 0..4 {
        ask(play, "198.51.100.100:80", None);
        assert_eq!(play.table(), table, "the table does not change");
    }
    let before: usize = servers.iter().map(Tcp::count).sum();
    play.until("the successor looks at the servers", || {
        (servers.iter().map(Tcp::count).sum::<usize>() > before + 3).then_some(())
    });
    assert_eq!(play.table(), table, "the successor changes nothing");
    assert_eq!(play.fifo(), fifo, "nobody is told");
    assert_eq!(play.scripts(), scripts, "no script runs");
    // The connection of before is still served: what comes is read.
    use std::io::Write as _;
    open.write_all(b"still there").expect("the connection is open");
    play.stop();
    assert!(play.table().is_empty(), "gone at the end");
}

fn killed_with_failed(play: &mut Play) {
    play.build(2);
    let mut servers = greeters(play, 2, 80);
    play.start(&text());
    play.has("203.0.113.12");
    drop(servers.pop());
    play.told("RS [203.0.113.12]:tcp:80 [198.51.100.100]:tcp:80 DOWN", 1);
    play.has_no("203.0.113.12");
    let (table, fifo) = (play.table(), play.fifo());
    for _ in 0..2 {
        play.kill_balancer();
        let before = servers[0].count();
        play.until("the successor looks", || (servers[0].count() > before + 1).then_some(()));
        assert_eq!(play.table(), table, "the failed server stays out");
        assert_eq!(play.fifo(), fifo, "nobody is told");
    }
    servers.push(Tcp::serve(play.farm().real(2), "0.0.0.0:80", Manner::Echoes));
    play.told("RS [203.0.113.12]:tcp:80 [198.51.100.100]:tcp:80 UP", 1);
    play.has("-r 203.0.113.12:80 -m -w 2");
    play.stop();
}

/// The whole daemon dies and is started again, as after a crash: connections go on.
fn killed_daemon(play: &mut Play) {
    play.build(2);
    let _servers: Vec<Tcp> = (1..=2)
        .map(|number| Tcp::serve(play.farm().real(number), "0.0.0.0:80", Manner::Echoes))
        .collect();
    play.start(&text());
    play.has("203.0.113.12");
    let mut stream = play
        .farm()
        .client()
        .run(|| std::net::TcpStream::connect("198.51.100.100:80").expect("a connection"));
    echoed(&mut stream, b"hello").expect("an echo");
    // All at once: a child that notices its parent's death cleans up.
    for pid in play.farm().daemon().tree() {
        let _ = kill(Pid::from_raw(pid), Signal::SIGSTOP);
    }
    play.farm().daemon().kill_tree();
    echoed(&mut stream, b"alone").expect("an echo while nobody balances");
    // Nobody reaps the dead in here, and Keepalived takes them for the living.
    for name in ["keepalived", "checkers"] {
        let _ = std::fs::remove_file(play.farm().director().outside(&format!("/run/{name}.pid")));
    }
    play.start(&text());
    play.log("Gained quorum");
    play.quiet();
    echoed(&mut stream, b"again").expect("an echo after the start");
    let table = play.table();
    play.note_all("table", table);
    play.stop();
    let table = play.table();
    play.note_all("table after the end", table);
}
