//! What happens when servers fail and return: quorum, hysteresis, sorry server, inhibit, alpha,
//! omega; the lines of the FIFO, the scripts' arguments, the log.

use crate::Scenario;
use crate::cases::{real, server};
use crate::play::{GLOBAL, Play};
use crate::server::{Manner, Tcp};

pub(crate) fn scenarios() -> Vec<Scenario> {
    let way = |name, settings: &'static str, each: &'static str| {
        Scenario::new(name, move |play| rise_and_fall(play, settings, each))
    };
    vec![
        way("one_after_another", "", ""),
        way("sorry_server", "sorry_server 203.0.113.19 80", ""),
        way("sorry_server_inhibited", "sorry_server 203.0.113.19 80\n  sorry_server_inhibit", ""),
        way("inhibited", "", "inhibit_on_failure"),
        way("inhibited_with_sorry_server", "sorry_server 203.0.113.19 80", "inhibit_on_failure"),
        way("quorum", "quorum 4\n  hysteresis 1", ""),
        way("quorum_and_sorry_server", "quorum 4\n  sorry_server 203.0.113.19 80", ""),
        way("quorum_inhibited", "quorum 4\n  sorry_server 203.0.113.19 80", "inhibit_on_failure"),
        way("alpha", "alpha", ""),
        way("omega", "omega", ""),
        way("alpha_and_omega", "alpha\n  omega\n  sorry_server 203.0.113.19 80", ""),
        Scenario::new("alpha_with_dead_servers", dead_from_the_start),
        Scenario::new("dead_at_start_without_alpha", dead_without_alpha),
        Scenario::new("notifications_at_start", notified_at_start),
        Scenario::new("ha_suspend", suspended),
    ]
}

/// Three real servers of weights 3, 2 and 1 that are looked at every second.
fn text(settings: &str, each: &str) -> String {
    let servers: String = (1..=3)
        .map(|number| {
            let block = format!(
                "weight {}\n    {each}\n    notify_up \"/run/tell.sh up r{number}\"\n    \
                 notify_down \"/run/tell.sh down r{number}\"\n    TCP_CHECK {{\n      \
                 connect_timeout 5\n      retry 0\n      warmup 0\n    }}",
                4 - number
            );
            real(&format!("203.0.113.1{number} 80"), &block)
        })
        .collect();
    let settings = format!(
        "delay_loop 1\n  lb_algo rr\n  lb_kind NAT\n  protocol TCP\n  {settings}\n  \
         quorum_up \"/run/tell.sh quorum up\"\n  quorum_down \"/run/tell.sh quorum down\""
    );
    format!("{GLOBAL}{}", server("198.51.100.100 80", &settings, &servers))
}

/// The words with which lines of the log begin that people look for.
const LOGGED: &[&str] = &[
    "Removing service",
    "Adding service",
    "Disabling service",
    "Enabling service",
    "Gained quorum",
    "Lost quorum",
    "Adding sorry server",
    "Removing sorry server",
    "Disabling sorry server",
    "Enabling sorry server",
    "Removing alive servers",
    "Adding alive servers",
    "Removing the pool",
    "Shutting down service",
];

fn serve(play: &Play, number: usize) -> Tcp {
    Tcp::serve(play.farm().real(number), "0.0.0.0:80", Manner::Greets("ok"))
}

/// Notes what was told since the last time; scripts run side by side, so their order is nobody's.
#[derive(Default)]
struct Seen {
    fifo: usize,
    scripts: usize,
    logged: usize,
}

impl Seen {
    /// As [`Seen::note`] when the order is chance; the log counts what was first, so it is left out.
    fn note_sorted(&mut self, play: &mut Play, title: &str) {
        let table = play.table();
        play.note_all(&format!("table when {title}"), table);
        let fifo = play.rest(Play::fifo);
        let mut told = [play.called_about(fifo.len()), fifo].concat();
        told.sort();
        play.note_all("told, sorted", told);
        (self.fifo, self.scripts) = (play.fifo().len(), play.scripts().len());
        self.logged = play.log_of(LOGGED).len();
    }

    /// After a planned stop. The last scripts of Keepalived may die with it; ours all run.
    fn note_end(&mut self, play: &mut Play) {
        let table = play.table();
        play.note_all("table when it has ended", table);
        let fifo = play.rest(Play::fifo);
        play.note_all("FIFO", fifo[self.fifo..].to_vec());
        let log = play.log_of(LOGGED);
        play.note_all("log", log[self.logged..].to_vec());
        if play.standfast() {
            let calls = play.called_about(fifo.len());
            assert_eq!(calls.len(), fifo.len(), "each line has its script: {calls:?}");
        }
    }

    fn note(&mut self, play: &mut Play, title: &str) {
        let table = play.table();
        play.note_all(&format!("table when {title}"), table);
        let fifo = play.rest(Play::fifo);
        // Each line of the FIFO has its script, which is slower.
        let calls = play.called_about(fifo.len());
        let mut scripts: Vec<String> = calls[self.scripts.min(calls.len())..].to_vec();
        scripts.sort();
        self.scripts = calls.len();
        play.note_all("FIFO", fifo[self.fifo..].to_vec());
        self.fifo = fifo.len();
        play.note_all("scripts", scripts);
        let log = play.log_of(LOGGED);
        play.note_all("log", log[self.logged..].to_vec());
        self.logged = log.len();
    }
}

/// All up; then r2, r1 and r3 fail, and return in the same order; then a planned stop.
fn rise_and_fall(play: &mut Play, settings: &str, each: &str) {
    play.build(3);
    let mut seen = Seen::default();
    let mut servers: Vec<Option<Tcp>> = (1..=3).map(|number| Some(serve(play, number))).collect();
    play.start(&text(settings, each));
    play.table_until("all three", |lines| {
        lines.iter().filter(|it| it.starts_with("-a")).count() >= 3
    });
    // Each was looked at: what happens at the start has happened.
    play.until("checks", || {
        servers.iter().flatten().all(|server| server.count() >= 2).then_some(())
    });
    if settings.contains("alpha") {
        // All three are up for the first time in the same moment: in which order is chance.
        seen.note_sorted(play, "all are up");
    } else {
        seen.note(play, "all are up");
    }
    let rs = |number: usize| format!("RS [203.0.113.1{number}]:tcp:80");
    let ups =
        play.fifo().iter().filter(|line| line.starts_with("RS ") && line.ends_with("UP")).count();
    for number in [2, 1, 3] {
        servers[number - 1] = None;
        play.told(&format!("{} [198.51.100.100]:tcp:80 DOWN", rs(number)), 1);
        seen.note(play, &format!("r{number} is down"));
    }
    let each_before = ups / 3;
    for number in [2, 1, 3] {
        servers[number - 1] = Some(serve(play, number));
        play.told(&format!("{} [198.51.100.100]:tcp:80 UP", rs(number)), each_before + 1);
        seen.note(play, &format!("r{number} is up again"));
    }
    play.stop();
    seen.note_end(play);
}

fn dead_from_the_start(play: &mut Play) {
    play.build(3);
    let mut seen = Seen::default();
    let sorry = "alpha\n  sorry_server 203.0.113.19 80";
    play.start(&text(sorry, ""));
    play.has("203.0.113.19");
    play.quiet();
    seen.note(play, "nobody is there");
    let _r3 = serve(play, 3);
    play.told("RS [203.0.113.13]:tcp:80 [198.51.100.100]:tcp:80 UP", 1);
    seen.note(play, "one is there");
    play.stop();
    seen.note_end(play);
}

fn dead_without_alpha(play: &mut Play) {
    play.build(3);
    let mut seen = Seen::default();
    play.start(&text("", ""));
    play.told("DOWN", 4);
    // All three fail in the same moment.
    seen.note_sorted(play, "nobody is there");
    play.stop();
}

fn notified_at_start(play: &mut Play) {
    play.build(3);
    let mut seen = Seen::default();
    let servers: Vec<Tcp> = (1..=3).map(|number| serve(play, number)).collect();
    let text = text("", "").replace("global_defs {", "global_defs {\n  rs_init_notifies");
    play.start(&text);
    play.until("checks", || servers.iter().all(|server| server.count() >= 2).then_some(()));
    seen.note(play, "all are up");
    play.stop();
    seen.note_end(play);
}

/// Checks run while the virtual address is on this host, and only then.
fn suspended(play: &mut Play) {
    play.build(1);
    let server = serve(play, 1);
    let block = "TCP_CHECK {\n      connect_timeout 5\n      warmup 0\n    }";
    let settings = "delay_loop 1\n  lb_algo rr\n  lb_kind NAT\n  protocol TCP\n  ha_suspend";
    let text = crate::cases::server("198.51.100.100 80", settings, &real("203.0.113.11 80", block));
    play.start(&format!("{GLOBAL}{text}"));
    let looks = |play: &Play| {
        let before = server.count();
        play.until("checks", || (server.count() > before + 1).then_some(()));
    };
    looks(play);
    for round in 0..2 {
        play.run("ip addr del 198.51.100.100/32 dev front");
        // A check that is under way may end, and the daemon has to hear of it first.
        let last = play.rest(|_| server.count());
        play.quiet();
        play.quiet();
        assert!(server.count() <= last + 1, "round {round}: looks without the address");
        play.run("ip addr add 198.51.100.100/32 dev front");
        looks(play);
    }
    let table = play.table();
    play.note_all("table", table);
    play.stop();
}
