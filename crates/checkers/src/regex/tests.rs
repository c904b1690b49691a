//! What PCRE2 10.42 said of the same patterns and texts; objections.

use std::time::Duration;

use super::*;

fn regex(pattern: &str, options: &str) -> Regex {
    Regex {
        pattern: pattern.to_owned(),
        negate: false,
        options: options.split_whitespace().map(str::to_owned).collect(),
        min_offset: 0,
        max_offset: None,
        stack: None,
    }
}

fn find(pattern: &str, options: &str, text: &[u8]) -> Option<usize> {
    let expression = Expression::new(&regex(pattern, options));
    let expression = expression.unwrap_or_else(|error| panic!("{pattern}: {error}"));
    expression.find(text).unwrap_or_else(|_| panic!("{pattern}: too many steps"))
}

#[test]
fn as_pcre2_matches() {
    let cases: &[(&str, &str, &[u8], Option<usize>)] = &[
        // Braces and brackets that are themselves.
        (r#"{"status": ?"ok"}"#, "", br#"{"status": "ok"}"#, Some(0)),
        ("a{,2}", "", b"aa", None),
        ("a{,2}", "", b"a{,2}", Some(0)),
        ("x{1}", "", b"x", Some(0)),
        ("b]", "", b"ab]", Some(1)),
        ("[a[b]", "", b"[", Some(0)),
        ("[a&&b]", "", b"a", Some(0)),
        ("[]a]+", "", b"]a", Some(0)),
        ("[^]a]", "", b"]ab", Some(2)),
        ("[ #]", "extended", b"a b", Some(1)),
        ("[a b]", "extended_more", b" ", None),
        // Escapes.
        (r"\<html\>", "", b"<html>", Some(0)),
        (r"\/\-\_\ ", "", b"/-_ ", Some(0)),
        (r"\x9", "", b"a\t", Some(1)),
        (r"\071", "", b"9", Some(0)),
        (r"\0", "", b"a\0", Some(1)),
        (r"\o{101}\ca\e", "", b"A\x01\x1b", Some(0)),
        (r"\Q[a]$\E+", "", b"[a]$$", Some(0)),
        (r"[\Q]\E]", "", b"]", Some(0)),
        (r"a\hb\vc", "", b"a b\rc", Some(0)),
        (r"[\h]\R\N", "", b" \r\nx", Some(0)),
        (r"[\b]", "", b"a\x08", Some(1)),
        (r"(a)(b)\2\1", "", b"abba", Some(0)),
        (r"(a)\12", "", b"a\n", Some(0)),
        (r"(?'n'a)\k{n}(?P=n)\g{1}\g1", "", b"aaaaa", Some(0)),
        // The end, before a last line end or not.
        ("a$", "", b"a\n", Some(0)),
        ("a$", "", b"a\n\n", None),
        ("a$", "dollar_endonly", b"a\n", None),
        ("a$", "multiline", b"a\nb", Some(0)),
        (r"a\Z", "", b"a\n", Some(0)),
        ("^$", "multiline", b"a\n", None),
        ("^$", "multiline alt_circumflex", b"a\n", Some(2)),
        ("(?m)^b", "", b"a\nb", Some(2)),
        // Options.
        ("HELLO", "caseless", b"hello", Some(0)),
        ("a.b", "", b"a\nb", None),
        ("a.b", "dotall", b"a\nb", Some(0)),
        ("a b # comment", "extended", b"ab", Some(0)),
        (r"a\ b\#", "extended", b"a b#", Some(0)),
        ("b", "firstline", b"a\nb", None),
        ("b", "firstline", b"ab\n", Some(1)),
        ("[]b", "allow_empty_class", b"]b", None),
        ("[]b]", "", b"b", Some(0)),
        ("[^]b", "allow_empty_class", b"\nb", Some(0)),
        (r"(a)(?<n>b)\1", "no_auto_capture", b"abb", Some(0)),
        (r"\u0041\x\U", "alt_bsux", b"AxU", Some(0)),
        ("(a+)(a)", "ungreedy", b"aaa", Some(0)),
        ("a", "auto_callout no_start_optimize never_ucp use_offset_limit", b"ba", Some(1)),
        // Bytes and characters.
        (".", "", b"\xff", Some(0)),
        ("é", "", "café".as_bytes(), Some(3)),
        ("[é]", "", b"\xa9", Some(0)),
        ("caf.$", "", "café".as_bytes(), None),
        ("caf.$", "utf", "café".as_bytes(), Some(0)),
        ("É", "utf caseless", "é".as_bytes(), Some(0)),
        (r"\w", "utf", "é".as_bytes(), None),
        (r"\w", "utf ucp", "é".as_bytes(), Some(0)),
        (r"\bé", "utf", "aé".as_bytes(), Some(1)),
        ("[[:alpha:]]", "utf ucp", "é".as_bytes(), Some(0)),
        ("[[:^alpha:]]", "utf ucp", "é1".as_bytes(), Some(2)),
        // What needs steps.
        ("(?<=a|bc)d", "", b"bcd", Some(2)),
        ("(?!a)[ab]", "", b"ab", Some(1)),
        ("(a)?(?(1)b|c)", "", b"c", Some(0)),
        ("a++b", "", b"aab", Some(0)),
        (r"a\Kb", "", b"ab", Some(1)),
    ];
    for (pattern, options, text, wanted) in cases {
        let found = find(pattern, options, text);
        assert_eq!(
            found,
            *wanted,
            "/{pattern}/ {options} on {:?}",
            text.escape_ascii().to_string()
        );
    }
}

#[test]
fn what_cannot_be_honoured_is_named() {
    for (pattern, options, wanted) in [
        ("(?=x", "", "Opening parenthesis without closing parenthesis"),
        ("(*UTF)x", "", "a verb, (*…), is not supported"),
        ("(?R)", "", "recursion is not supported"),
        ("(?|a|b)", "", "a branch reset, (?|…), is not supported"),
        (r"\p{L}", "", "\\p without `utf` is not supported"),
        ("a", "ucp", "`ucp` needs `utf`"),
        (r"\C", "never_backslash_c", "`never_backslash_c` forbids \\C"),
        (
            r"(a)\1",
            "match_unset_backref",
            "a back reference with `match_unset_backref` is not supported",
        ),
        ("[a", "", "a class `[…` does not end"),
        (r"a\", "", "a \\ at the end"),
        (r"\y", "", "unknown escape \\y"),
        ("(?z)", "", "unknown setting `z`"),
        ("[z-a]", "", "invalid"),
        ("*a", "", "Target of repeat operator is invalid"),
        (r"\x{110000}", "utf", "there is no character of number 0x110000"),
    ] {
        let said = objection(&regex(pattern, options)).unwrap_or_default();
        assert!(said.contains(wanted), "/{pattern}/ {options}: {said:?}, wanted {wanted:?}");
    }
    assert_eq!(objection(&regex("(fine|well)$", "caseless utf ucp")), None);
}

#[test]
fn offsets() {
    let find = |min, max, text: &[u8]| {
        let regex = Regex { min_offset: min, max_offset: max, ..regex("ok", "") };
        Expression::new(&regex).expect("an expression").find(text)
    };
    assert_eq!(find(0, None, b"ok ok"), Ok(Some(0)));
    assert_eq!(find(1, None, b"ok ok"), Ok(Some(3)));
    assert_eq!(find(4, None, b"ok ok"), Ok(None));
    assert_eq!(find(9, None, b"ok ok"), Ok(None));
    assert_eq!(find(0, Some(3), b"...ok"), Ok(None));
    assert_eq!(find(0, Some(4), b"...ok"), Ok(Some(3)));
    let far = Regex { min_offset: 1 << 20, ..regex("ok", "") };
    assert_eq!(
        objection(&far).as_deref(),
        Some("only the first 1048576 bytes of an answer are searched")
    );
}

#[test]
fn the_body_comes_first_then_everything() {
    let answer = b"HTTP/1.0 200 OK\r\n\r\nHTTP";
    let at = |pattern| {
        let expression = Expression::new(&regex(pattern, "")).expect("an expression");
        expression.find_in_answer(answer, 19)
    };
    assert_eq!(at("^HTTP$"), Ok(Some(0)));
    assert_eq!(at("^HTTP/1"), Ok(Some(0)));
    assert_eq!(at("OK"), Ok(Some(13)));
    assert_eq!(at("KO"), Ok(None));
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

#[test]
fn a_search_that_takes_long_holds_nobody_up() {
    let expressions = Expressions::default();
    // Quadratic: seconds on an answer of this size.
    let shared = expressions.get(&regex("(?=a)a.*z", ""));
    runtime().block_on(async {
        let text = || vec![b'a'; 60_000];
        let limit = Duration::from_millis(50);
        for _ in 0..THREADS {
            let slow = shared.search(text(), 0, limit).await;
            assert_eq!(slow, Err(SearchFailure::TooSlow));
        }
        // They go on; another one does not begin, and that is not the server's fault.
        let another = shared.search(text(), 0, limit).await;
        assert_eq!(another, Err(SearchFailure::Busy));
        assert!(another.is_err_and(|failure| failure.is_ours()));
        // Short answers are searched at once.
        assert_eq!(shared.search(b"aaz".to_vec(), 0, limit).await, Ok(Some(0)));
    });
}

#[test]
fn a_long_answer_is_searched_on_a_thread() {
    let expressions = Expressions::default();
    let shared = expressions.get(&regex("(?<=x)end$", ""));
    let mut text = vec![b'x'; 10_000];
    text.extend(b"end\n");
    let found = runtime().block_on(shared.search(text, 0, Duration::from_secs(60)));
    assert_eq!(found, Ok(Some(10_000)));
}

#[test]
fn the_longest_text_may_have_no_match() {
    let text = vec![b'x'; SEARCHED];
    for pattern in ["end$", "(?<=a)b", "x(?!x)y"] {
        assert_eq!(find(pattern, "", &text), None, "{pattern}");
    }
}

#[test]
fn steps_are_limited() {
    let expression = Expression::new(&regex("(?=a)(a|b|ab)*(?<=b)c", "")).expect("an expression");
    assert_eq!(expression.find(&b"ab".repeat(1000)), Err(TooManySteps));
}

#[test]
fn equal_expressions_are_compiled_once() {
    let expressions = Expressions::default();
    let one = expressions.get(&regex("a", "caseless"));
    assert!(Rc::ptr_eq(&one, &expressions.get(&regex("a", "caseless"))));
    assert!(!Rc::ptr_eq(&one, &expressions.get(&regex("a", ""))));
}

proptest::proptest! {
    // Whatever is written in a file: a refusal or an expression, never a panic.
    #[test]
    fn any_pattern_is_answered(
        pattern in r"([\[\](){}|*+?^$.\\QEabkgdhRxo0-9<>='!:#\-,Pimsx é]|\(\?|\\Q|\[\[:alpha:\]){0,16}",
        option in proptest::sample::select(vec!["", "utf", "extended", "multiline", "alt_bsux", "allow_empty_class", "ungreedy", "no_auto_capture"]),
        text in proptest::collection::vec(proptest::num::u8::ANY, 0..20),
    ) {
        if let Ok(expression) = Expression::new(&regex(&pattern, option)) {
            let _ = expression.find_in_answer(&text, 5);
        }
    }
}
