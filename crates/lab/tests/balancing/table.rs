//! The kernel's table after the same configuration, line by line.

use std::path::Path;

use crate::Scenario;
use crate::cases::{self, Case, real, server};
use crate::play::Play;

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
        settle(play, index);
        let table = play.table();
        let without = table.into_iter().filter(|line| !line.contains(SENTINEL)).collect::<Vec<_>>();
        play.note_all(&format!("table after step {index}"), without);
        if text.contains("threshold") {
            let thresholds = play.farm().thresholds().expect("ipvsadm");
            play.note_all("thresholds", thresholds);
        }
        if text.contains("lvs_timeouts") {
            let timeouts = play.run("ipvsadm -L --timeout");
            play.note(timeouts.trim());
        }
    }
    play.stop();
    // Keepalived 2.2.7 leaves services of a group behind whose members came by a reload.
    let left = play.farm().glimpse();
    assert!(left.is_empty() || !play.standfast(), "left behind: {left:?}");
}

/// The last virtual server of each text; its firewall mark tells which text it was.
fn sentinel(index: usize) -> String {
    let mark = format!("fwmark {}", MARKS + index);
    server(&mark, "lb_algo rr\n  lb_kind NAT", &real("203.0.113.254 80", "weight 1"))
}

const MARKS: usize = 99_000;

/// What the sentinels of all texts have in common.
const SENTINEL: &str = "-f 990";

/// Waits until the sentinel and its real server are in the kernel, those of other texts are not,
/// and nothing has changed for a while.
fn settle(play: &Play, index: usize) {
    let mark = format!("FWM {:08X} ", MARKS + index);
    let complete = |lines: &[String]| {
        let marks: Vec<&String> =
            lines.iter().filter(|line| line.starts_with("FWM 000182")).collect();
        matches!(marks.as_slice(), [only] if only.starts_with(&mark))
            && lines.iter().any(|line| line.starts_with("-> CB0071FE:"))
    };
    // A long table may lack lines while the other program has its own (`Farm::glimpse`).
    play.until("the table is complete, and rests", || {
        complete(&play.farm().glimpse()).then_some(())?;
        complete(&play.rest(|play| play.farm().glimpse())).then_some(())
    });
}
