//! The kernel's synchronisation daemons.

use crate::Scenario;
use crate::cases::{real, server};
use crate::play::Play;

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("alone", alone),
        Scenario::new("with_every_setting", settings),
        Scenario::new("following_an_instance", following),
    ]
}

fn text(daemon: &str) -> String {
    format!("global_defs {{\n  script_user root\n  lvs_sync_daemon {daemon}\n}}\n")
        + &server(
            "198.51.100.100 80",
            "lb_algo rr\n  lb_kind NAT\n  protocol TCP",
            &real("203.0.113.11 80", ""),
        )
}

/// The lines of `ipvsadm -Ln --daemon` that say something.
fn daemons(play: &Play) -> Vec<String> {
    let text = play.run("ipvsadm -Ln --daemon");
    text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
}

fn wait_daemons(play: &Play, what: &str, wanted: impl Fn(&[String]) -> bool) -> Vec<String> {
    play.until(what, || Some(daemons(play)).filter(|lines| wanted(lines)))
}

fn alone(play: &mut Play) {
    play.build(1);
    play.start(&text("front"));
    let both = wait_daemons(play, "both daemons", |lines| lines.len() == 2);
    play.note_all("daemons", both);
    play.stop();
    let none = daemons(play);
    play.note_all("daemons after the end", none);
}

fn settings(play: &mut Play) {
    play.build(1);
    let all = "front id 42 maxlen 1400 port 9000 ttl 5 group 224.0.0.99";
    play.start(&text(all));
    let both = wait_daemons(play, "both daemons", |lines| lines.len() == 2);
    play.note_all("daemons", both);
    play.stop();
}

fn following(play: &mut Play) {
    play.build(1);
    let instance = |priority: u32| {
        format!(
            "vrrp_instance V {{\n  interface front\n  virtual_router_id 51\n  version 3\n  \
             priority {priority}\n  advert_int 3\n  virtual_ipaddress {{\n    198.51.100.111/32\n  }}\n}}\n"
        )
    };
    play.start_with(&(text("front V id 7") + &instance(150)), &["-D"]);
    // Until it becomes master (ten seconds) it is a backup.
    let backup = wait_daemons(play, "the backup daemon", |lines| {
        lines.len() == 1 && lines[0].starts_with("backup")
    });
    play.note_all("as backup", backup);
    let master = wait_daemons(play, "the master daemon", |lines| {
        lines.len() == 1 && lines[0].starts_with("master")
    });
    play.note_all("as master", master);
    play.farm().daemon().stop(crate::play::LIMIT).expect("ends");
    let none = daemons(play);
    play.note_all("daemons after the end", none);
}
