//! Services of others, and servers of others in our services.

use crate::Scenario;
use crate::cases::{real, server};
use crate::play::Play;

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("services_of_others_are_left_alone", left_alone),
        Scenario::new("a_service_that_exists", existing),
        Scenario::new("a_change_by_somebody_else_is_put_right", repaired).standfast_only(),
    ]
}

const RR: &str = "lb_algo rr\n  lb_kind NAT\n  protocol TCP";

/// Somebody's service with a server, by address and by mark.
fn strangers(play: &Play) {
    for line in [
        "ipvsadm -A -t 198.51.100.77:80 -s lc",
        "ipvsadm -a -t 198.51.100.77:80 -r 203.0.113.70:80 -m -w 7",
        "ipvsadm -A -u 198.51.100.100:80 -s sh",
        "ipvsadm -A -f 77 -s rr",
    ] {
        play.run(line);
    }
}

fn left_alone(play: &mut Play) {
    play.director_only();
    strangers(play);
    let before = play.table();
    let one = server("198.51.100.100 80", RR, &real("203.0.113.11 80", ""));
    let two = one.clone() + &server("198.51.100.100 81", RR, &real("203.0.113.11 81", ""));
    play.start(&two);
    play.has("-a -t 198.51.100.100:81");
    let table = play.table();
    assert!(before.iter().all(|line| table.contains(line)), "at the start: {table:?}");
    play.note_all("table after the start", table);
    play.reload(&one);
    play.has_no("198.51.100.100:81");
    let table = play.table();
    assert!(before.iter().all(|line| table.contains(line)), "after a reload: {table:?}");
    play.note_all("table after the reload", table);
    play.stop();
    assert_eq!(play.table(), before, "after the end");
}

/// Keepalived keeps the stranger's scheduler and weights; ours makes the service what the file
/// says. Both keep a stray server at a first start and take the whole service away at the end.
fn existing(play: &mut Play) {
    play.director_only();
    for line in [
        "ipvsadm -A -t 198.51.100.100:80 -s rr",
        "ipvsadm -a -t 198.51.100.100:80 -r 203.0.113.11:80 -m -w 1",
        "ipvsadm -a -t 198.51.100.100:80 -r 203.0.113.99:80 -m -w 5",
    ] {
        play.run(line);
    }
    let reals = real("203.0.113.11 80", "") + &real("203.0.113.12 80", "");
    play.start(&server("198.51.100.100 80", RR, &reals));
    play.has("203.0.113.12");
    let table = play.table();
    play.note_all("table", table);
    play.stop();
    let table = play.table();
    play.note_all("table after the end", table);
}

fn put_right(play: &Play) -> usize {
    play.log_of(&["put right"]).len()
}

fn repaired(play: &mut Play) {
    play.director_only();
    let reals = real("203.0.113.11 80", "weight 3") + &real("203.0.113.12 80", "weight 4");
    play.start(&server("198.51.100.100 80", RR, &reals));
    play.has("203.0.113.12");
    let right = play.table();
    for (what, line) in [
        ("a weight", "ipvsadm -e -t 198.51.100.100:80 -r 203.0.113.11:80 -m -w 30"),
        ("a destination", "ipvsadm -d -t 198.51.100.100:80 -r 203.0.113.12:80"),
        ("a scheduler", "ipvsadm -E -t 198.51.100.100:80 -s wlc"),
        ("a service", "ipvsadm -D -t 198.51.100.100:80"),
        ("everything", "ipvsadm -C"),
    ] {
        let before = put_right(play);
        play.run(line);
        play.until(&format!("{what} is put right and told"), || {
            (put_right(play) > before && play.table() == right).then_some(())
        });
    }
    let status: serde_json::Value =
        serde_json::from_str(&play.command("server list --json")).expect("JSON");
    assert!(status.to_string().contains("203.0.113.11"), "{status}");
    play.stop();
}
