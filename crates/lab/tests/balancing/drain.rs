//! An operator's orders: drain, weight, disable, enable; they survive a crash and a reload.

use crate::Scenario;
use crate::cases::{real, server};
use crate::play::Play;
use crate::server::{Manner, Tcp};
use crate::traffic::{ask, connect, greeters};

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("drain_waits_for_connections", drained).standfast_only(),
        Scenario::new("drain_ends_at_its_deadline", deadline).standfast_only(),
        Scenario::new("orders_survive", orders).standfast_only(),
    ]
}

const VS: &str = "198.51.100.100:80";

fn text(weight: u32) -> String {
    let reals: String = (1..=2)
        .map(|number| real(&format!("203.0.113.1{number} 80"), &format!("weight {weight}")))
        .collect();
    server("198.51.100.100 80", "lb_algo rr\n  lb_kind NAT\n  protocol TCP", &reals)
}

fn drained(play: &mut Play) {
    play.build(2);
    let _servers = greeters(play, 2, 80);
    play.start(&text(3));
    play.has("203.0.113.12");
    let (first, name) = connect(play, VS, None);
    let (second, other) = connect(play, VS, None);
    assert_ne!(name, other, "one connection each");
    let (staying, leaving) = if name == "r1" { (first, second) } else { (second, first) };
    play.command(&format!("server drain {VS} 203.0.113.11:80"));
    play.has("-r 203.0.113.11:80 -m -w 0");
    for _ in 0..4 {
        assert_eq!(ask(play, VS, None), "r2", "new connections go elsewhere");
    }
    let list = play.command("server list");
    assert!(list.contains("203.0.113.11"), "{list}");
    // It stays as long as its connection does.
    play.quiet();
    play.has("-r 203.0.113.11:80 -m -w 0");
    drop(leaving);
    play.has("-r 203.0.113.11:80 -m -w 0");
    drop(staying);
    play.has_no("203.0.113.11");
    play.command(&format!("server enable {VS} 203.0.113.11:80"));
    play.has("-r 203.0.113.11:80 -m -w 3");
    play.stop();
}

fn deadline(play: &mut Play) {
    play.build(2);
    let _servers = greeters(play, 2, 80);
    play.start(&text(3));
    play.has("203.0.113.12");
    let open: Vec<_> = (0..2).map(|_| connect(play, VS, None)).collect();
    play.command(&format!("server drain {VS} 203.0.113.11:80 --deadline 2s"));
    play.has_no("203.0.113.11");
    assert_eq!(ask(play, VS, None), "r2");
    drop(open);
    play.stop();
}

fn orders(play: &mut Play) {
    play.build(2);
    let _servers: Vec<Tcp> = (1..=2)
        .map(|number| Tcp::serve(play.farm().real(number), "0.0.0.0:80", Manner::Echoes))
        .collect();
    play.start(&text(3));
    play.has("203.0.113.12");
    play.command(&format!("server weight {VS} 203.0.113.11:80 8"));
    play.has("-r 203.0.113.11:80 -m -w 8");
    play.command(&format!("server disable {VS} 203.0.113.12:80"));
    play.has_no("203.0.113.12");
    let table = play.table();
    play.kill_balancer();
    // The successor answers once it is there.
    play.until("the successor answers", || play.try_command("server list"));
    assert_eq!(play.table(), table, "the orders survive a crash");
    // Others, of the same virtual server, change with the file.
    let third = real("203.0.113.13 80", "weight 5");
    let more = text(4)
        .replace("  real_server 203.0.113.12", &format!("{third}  real_server 203.0.113.12"));
    play.reload(&more);
    play.has("-r 203.0.113.13:80 -m -w 5");
    play.has("-r 203.0.113.11:80 -m -w 8");
    play.has_no("203.0.113.12");
    play.command(&format!("server weight {VS} 203.0.113.11:80 default"));
    play.has("-r 203.0.113.11:80 -m -w 4");
    play.command(&format!("server enable {VS} 203.0.113.12:80"));
    play.has("-r 203.0.113.12:80 -m -w 4");
    play.stop();
    assert!(play.table().is_empty(), "gone at the end");
}
