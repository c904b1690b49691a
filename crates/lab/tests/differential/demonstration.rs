//! The demonstration itself: it must end, fit a terminal, and tell what happened.

use std::time::Instant;

use standfast_lab::demo;

use crate::Scenario;
use crate::differences::{Difference, shows};
use crate::stage::{Stage, s};

pub(crate) const SCENARIOS: &[Scenario] = &[Scenario::new("tells_a_failover", tells)];

fn tells(stage: &mut Stage) {
    let begin = Instant::now();
    let mut text = Vec::new();
    let report = demo::run(&stage.first, &stage.second, &mut text).expect("the demonstration");
    assert!(begin.elapsed() < s(60.0), "took {:?}", begin.elapsed());
    let text = String::from_utf8(text).expect("text");
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "wider than a terminal: {line}");
    }
    for words in ["The cable of n1 is pulled", "planned", "Who is master now, and why?"] {
        assert!(text.contains(words), "does not tell of {words:?}:\n{text}");
    }
    // Version 2, one second, priority 100: between two and four intervals, and the skew.
    assert!(report.cable > s(2.0) && report.cable < s(6.0), "{report:?}");
    assert!(report.comeback < s(0.5), "{report:?}");
    if shows(&stage.first, Difference::MakesBeforeBreak) {
        assert!(report.stop < s(0.3), "{report:?}");
    } else {
        assert!(report.stop > s(0.3) && report.stop < s(3.0), "{report:?}");
    }
}
