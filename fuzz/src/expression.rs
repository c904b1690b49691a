//! Regular expressions of `url` blocks: any pattern is refused with a reason or compiled, and what
//! is compiled searches any text without a panic.
//!
//! The bytes: options (two, a bit each), the length of the pattern, the pattern, and the text.

use checkers::regex::{Expression, objection};
use config::model::checker::Regex;

const OPTIONS: [&str; 16] = [
    "caseless",
    "multiline",
    "dotall",
    "extended",
    "extended_more",
    "utf",
    "ucp",
    "firstline",
    "dollar_endonly",
    "ungreedy",
    "no_auto_capture",
    "allow_empty_class",
    "alt_bsux",
    "alt_circumflex",
    "match_unset_backref",
    "never_backslash_c",
];

pub fn run(data: &[u8]) {
    let Some((&[a, b, length], rest)) = data.split_first_chunk() else { return };
    let (pattern, text) = rest.split_at(rest.len().min(usize::from(length)));
    let bits = u16::from_be_bytes([a, b]);
    let on = |(bit, name): (usize, &&str)| (bits >> bit & 1 == 1).then(|| (*name).to_owned());
    let regex = Regex {
        pattern: String::from_utf8_lossy(pattern).into_owned(),
        negate: false,
        options: OPTIONS.iter().enumerate().filter_map(on).collect(),
        min_offset: 0,
        max_offset: None,
        stack: None,
    };
    match Expression::new(&regex) {
        Err(reason) => {
            assert!(!reason.to_string().is_empty());
            assert_eq!(objection(&regex), Some(reason.to_string()));
        }
        Ok(expression) => {
            if let Ok(Some(at)) = expression.find(text) {
                assert!(at <= text.len());
            }
        }
    }
}
