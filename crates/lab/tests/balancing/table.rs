//! The kernel's table after the same configuration, line by line.

use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::Scenario;
use crate::cases::{self, Case, real, server};
use crate::play::{LIMIT, Play};

pub(crate) fn scenarios() -> Vec<Scenario> {
    let further = std::env::var_os("STANDFAST_CONFIGS")
        .map(|directory| cases::of(Path::new(&directory)))
        .unwrap_or_default();
    cases::all()
        .into_iter()
        .chain(further)
        .map(|Case { name, steps }| Scenario::new(name, move |play| follow(play, &steps)))
        .collect()
}

/// Starts with the first text, reloads with the others, stops; notes the table after each.
fn follow(play: &mut Play, steps: &[String]) {
    play.director_only();
    for (index, text) in steps.iter().enumerate() {
        let text = format!("{text}{}", sentinel(index));
        if index == 0 {
            play.start(&text);
        } else {
            play.reload(&text);
        }
        let table = settled(play, index);
        play.note_all(&format!("table after step {index}"), table);
        let timeouts = play.run("ipvsadm -L --timeout");
        play.note(timeouts.trim());
    }
    play.stop();
    let left = play.table();
    play.note_all("table after the end", left);
}

/// The last virtual server of each text; its firewall mark tells which text it was.
fn sentinel(index: usize) -> String {
    let mark = format!("fwmark {}", MARKS + index);
    server(&mark, "lb_algo rr\n  lb_kind NAT", &real("203.0.113.254 80", "weight 1"))
}

const MARKS: usize = 99_000;

/// The table once the sentinel and its real server are there, those of other texts are not, and
/// nothing has changed for a while.
fn settled(play: &Play, index: usize) -> Vec<String> {
    let ours = format!("-f {}", MARKS + index);
    let complete = |lines: &[String]| {
        let sentinels: Vec<&String> =
            lines.iter().filter(|line| line.contains("-f 990")).collect();
        sentinels.len() == 2 && sentinels.iter().all(|line| line.contains(&ours))
    };
    let mut last = play.table_until("the sentinel", complete);
    let deadline = std::time::Instant::now() + LIMIT;
    loop {
        thread::sleep(Duration::from_millis(300));
        let now = play.table();
        if now == last {
            return now.into_iter().filter(|line| !line.contains("-f 990")).collect();
        }
        assert!(std::time::Instant::now() < deadline, "the table never came to rest");
        last = now;
    }
}
