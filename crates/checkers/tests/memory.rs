//! What hostile answers leave in memory. A test program of its own: it measures its process.

use std::time::Duration;

use config::model::checker::Regex;
use standfast_checkers::regex::Expressions;

/// Bytes of memory that this process occupies.
fn occupied() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").expect("procfs");
    let pages: usize =
        text.split(' ').nth(1).and_then(|field| field.parse().ok()).expect("a number");
    pages * 4096
}

#[test]
fn expressions_that_backtrack_without_end_leave_nothing_behind() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let expressions = Expressions::default();
    let before = occupied();
    for pattern in ["(a+)+$", "(aa|a)+$", "(a+)+(?<!b)!x"] {
        let regex = Regex {
            pattern: pattern.to_owned(),
            options: Vec::new(),
            negate: false,
            min_offset: 0,
            max_offset: None,
            stack: None,
        };
        for _ in 0..12 {
            let mut answer = vec![b'a'; 1_000_000];
            answer.push(b'!');
            let search = expressions.get(&regex);
            let found = runtime.block_on(search.search(answer, 0, Duration::from_secs(60)));
            assert!(found.is_err(), "{pattern}: {found:?}");
        }
    }
    let more = occupied().saturating_sub(before) / (1 << 20);
    assert!(more < 128, "{more} MiB");
}
