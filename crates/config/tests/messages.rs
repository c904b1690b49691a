//! How findings look.

use config::render::{Style, json, summary, text};
use config::{Options, load_text};

fn shown(input: &str) -> String {
    let loaded = load_text(input, &Options::default());
    let style = Style { colour: false, width: 80 };
    loaded
        .diagnostics
        .iter()
        .map(|d| text(d, &loaded.sources, style))
        .collect::<Vec<_>>()
        .join("\n\n")
}

/// What `shown` gives must be `expected`, both without the white space at line ends.
fn check(input: &str, expected: &str) {
    let tidy = |text: &str| {
        let lines: Vec<&str> = text.trim_matches('\n').lines().map(str::trim_end).collect();
        lines.join("\n")
    };
    let found = tidy(&shown(input));
    assert!(found == tidy(expected), "found:\n{found}\n\nexpected:\n{expected}");
}

#[test]
fn a_forgotten_brace_points_at_the_block_that_lacks_it() {
    check(
        "vrrp_instance A {\n    virtual_ipaddress {\n        10.0.0.1\n}\nvrrp_instance B {\n}\n",
        "
error[SF0101]: a `}` is missing
 --> keepalived.conf:1:1
  |
1 | vrrp_instance A {
  | ^^^^^^^^^^^^^^^^^ this block is open
2 |     virtual_ipaddress {
  |     ----------------- probably this block lacks its `}`
3 |         10.0.0.1
4 | }
  | - this one closes it, though it is indented further left
5 | vrrp_instance B {
  | ------------- this block can only stand outside all others
  |
  = help: write a `}` before it; it is read as if there were one
",
    );
}

#[test]
fn a_value_from_a_definition_shows_both_places() {
    check(
        "$A=$B\n$B=x${A}\nrouter_id y${A}\n",
        "
error[SF0209]: $A leads back to itself
 --> keepalived.conf:2:5
  |
1 | $A=$B
  | -- -- through $B here
  | |
  | defined here
2 | $B=x${A}
  |     ^^^^ left as it is
3 | router_id y${A}
  |            ---- through $A here
",
    );
}

#[test]
fn a_suggestion_is_shown_as_a_change() {
    check(
        "$IP=10.0.0\nvirtual_ipaddress {\n    $IP.1\n}\n",
        "
warning[SF0208]: $IP is defined, and not expanded here
 --> keepalived.conf:3:5
  |
3 |     $IP.1
  |     ^^^ no white space follows it
  |
  = help: write `${IP}` where something else follows
help: write it so
  |
3 -     $IP.1
3 +     ${IP}.1
  |
",
    );
}

#[test]
fn secrets_are_blotted_out() {
    check(
        "authentication {\n    auth_pass s3cret!x\n}\n",
        "
advice[SF0110]: a comment starts directly behind a value
 --> keepalived.conf:2:15
  |
2 |     auth_pass ******!*
  |               ^^^^^^-- this is a comment
  |               |
  |               the value ends here
  |
  = help: write a space before the comment; if the sign belongs to the value,
          put the value in double quotes or write a backslash before the sign
",
    );
}

#[test]
fn a_vertical_tab_is_shown_as_the_space_that_it_is() {
    check(
        "a\x0bb#c\n",
        "
advice[SF0110]: a comment starts directly behind a value
 --> keepalived.conf:1:3
  |
1 | a b#c
  |   ^-- this is a comment
  |   |
  |   the value ends here
  |
  = help: write a space before the comment; if the sign belongs to the value,
          put the value in double quotes or write a backslash before the sign
",
    );
}

#[test]
fn the_record_for_programs() {
    let loaded = load_text("a {\n", &Options::default());
    let expected = r#"[
  {
    "code": "SF0101",
    "name": "unclosed-block",
    "severity": "error",
    "keepalived": true,
    "message": "`a` is not closed",
    "place": {
      "path": "keepalived.conf",
      "line": 1,
      "column": 1,
      "end_line": 1,
      "end_column": 4,
      "text": "this block is open"
    },
    "help": [
      "write a `}` where it ends"
    ]
  }
]
"#;
    assert_eq!(json(&loaded.diagnostics, &loaded.sources), expected);
    assert_eq!(summary(&loaded.diagnostics), "1 error");
    assert_eq!(summary(&[]), "nothing to complain about");
}
