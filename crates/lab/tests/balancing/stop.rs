//! What is left at the end, and what a start takes away.

use nix::sys::signal::Signal;

use crate::Scenario;
use crate::cases::{real, server};
use crate::play::{GLOBAL, LIMIT, Play};

pub(crate) fn scenarios() -> Vec<Scenario> {
    let way = |name, settings: &'static str, arguments: &'static [&'static str]| {
        Scenario::new(name, move |play| stop(play, settings, arguments))
    };
    vec![
        way("planned", "", &["-D", "-C"]),
        way("keeping_the_table", "", &["-D", "-C", "-I"]),
        way("flush_at_start", "lvs_flush", &["-D", "-C"]),
        way("flush_on_stop", "lvs_flush_on_stop", &["-D", "-C"]),
        way("flush_own_on_stop", "lvs_flush_on_stop VS", &["-D", "-C"]),
        Scenario::new("with_vrrp_beside", beside),
    ]
}

fn text(global: &str) -> String {
    let global = GLOBAL.replace("global_defs {", &format!("global_defs {{\n  {global}"));
    let one = real("203.0.113.11 80", "notify_down \"/run/tell.sh down r1\"");
    let settings = "lb_algo rr\n  lb_kind NAT\n  protocol TCP\n  \
                    quorum_down \"/run/tell.sh quorum down\"";
    let omega = format!("{settings}\n  omega");
    global
        + &server("198.51.100.100 80", settings, &one)
        + &server("198.51.100.100 81", &omega, &one.replace("r1", "r1 of omega"))
}

fn stop(play: &mut Play, global: &str, arguments: &[&str]) {
    play.director_only();
    play.run("ipvsadm -A -t 198.51.100.77:80 -s lc");
    play.run("ipvsadm -a -t 198.51.100.77:80 -r 203.0.113.70:80 -m -w 7");
    play.start_with(&text(global), arguments);
    play.has("-a -t 198.51.100.100:81");
    let table = play.table();
    play.note_all("table", table);
    play.told("VS ", 2);
    play.stop();
    let table = play.table();
    play.note_all("table after the end", table);
    // With a flush Keepalived tells nothing of the real servers, and its scripts may die with it.
    let mut fifo = play.rest(Play::fifo);
    fifo.retain(|line| line.starts_with("VS ") || !global.contains("flush_on_stop"));
    play.note_all("FIFO", fifo);
    if play.standfast() && !arguments.contains(&"-I") {
        let mut scripts = play.called_about(2);
        scripts.sort();
        assert_eq!(scripts, ["down r1 of omega", "quorum down"]);
    }
}

/// Both halves in one daemon: a stop ends both, and the parent's death too.
fn beside(play: &mut Play) {
    play.build(1);
    let vrrp = "vrrp_instance V {\n  interface front\n  virtual_router_id 51\n  priority 150\n  \
                version 3\n  advert_int 0.2\n  virtual_ipaddress {\n    198.51.100.111/32\n  }\n}\n";
    let text = format!("{}{vrrp}", text(""));
    play.start_with(&text, &["-D"]);
    play.has("-a -t 198.51.100.100:81");
    play.until("the virtual address", || {
        play.run("ip -br addr show dev front").contains("198.51.100.111").then_some(())
    });
    assert_eq!(play.farm().daemon().roles().len(), 2, "two children");
    play.farm().daemon().signal(Signal::SIGTERM);
    let status = play.farm().daemon().wait_exit(LIMIT).expect("ends");
    assert!(status.success(), "ended with {status}");
    let left = play.run("ip -br addr show dev front");
    assert!(!left.contains("198.51.100.111"), "the address is gone: {left}");
    let table = play.table();
    play.note_all("table after the end", table);
}
