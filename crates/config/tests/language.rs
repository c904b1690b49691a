//! The front half of the language: what the text comes to, and what is said about it.

use std::path::Path;

use config::files::{FileSystem, MemoryFiles};
use config::tree::Item;
use config::{Loaded, Options, load, load_text};

fn options() -> Options {
    Options { config_id: "host".to_owned(), ..Options::default() }
}

fn text(text: &str) -> Loaded {
    load_text(text, &options())
}

/// The tree on one line: words separated by spaces, items by `;`, blocks in braces.
fn flat(items: &[Item]) -> String {
    let one = |item: &Item| {
        let words: Vec<&str> = item.words().map(config::tree::Token::as_str).collect();
        match &item.block {
            None => words.join(" "),
            Some(block) => format!("{} {{{}}}", words.join(" "), flat(&block.items)),
        }
    };
    items.iter().map(one).collect::<Vec<_>>().join("; ")
}

fn shape(input: &str) -> String {
    flat(&text(input).tree.items)
}

/// Codes with the characters that each points at.
fn findings(loaded: &Loaded) -> Vec<String> {
    let one = |d: &config::diagnostic::Diagnostic| match &d.primary {
        Some(label) => format!("{} {}", d.code.name(), loaded.sources.text(label.span)),
        None => d.code.name().to_owned(),
    };
    loaded.diagnostics.iter().map(one).collect()
}

fn said(input: &str) -> Vec<String> {
    findings(&text(input))
}

#[test]
fn comments_quotes_and_escapes() {
    assert_eq!(shape("router_id \"a b\"  # comment"), "router_id a b");
    assert_eq!(shape("a ! comment\n# all\nb"), "a; b");
    assert_eq!(shape(r"a\#b \!c"), "a#b !c");
    assert_eq!(shape("u\"v # w\"x"), "u v # w x");
    assert_eq!(shape("a\tb\r\n\r\nc\x0bd\x0ce"), "a b; c d e");
    assert_eq!(shape("last line without newline"), "last line without newline");
    assert_eq!(shape(""), "");
}

#[test]
fn braces_stand_where_they_like() {
    let expected = "a b {c; d e {f}}; g";
    assert_eq!(shape("a b {\nc\nd e {\nf\n}\n}\ng"), expected);
    assert_eq!(shape("a b\n{ c\nd e\n\n{\nf }\n} g"), expected);
    assert_eq!(shape("a b{c\nd e{f}}g"), expected);
    assert!(said("a b{c\nd e{f}}g").is_empty());
}

#[test]
fn surplus_and_missing_braces_are_reported_and_survived() {
    assert_eq!(said("a {\n}\n}\nb"), ["extra-brace }"]);
    assert_eq!(shape("a {\n}\n}\nb"), "a {}; b");
    assert_eq!(said("{ a }"), ["unexpected-brace {"]);
    assert_eq!(shape("{ a\n}\n{ b } }\nc"), "a; b; c");
    assert_eq!(said("a {\nb"), ["unclosed-block a {"]);
    let lost = "vrrp_instance A {\n  virtual_ipaddress {\n    10.0.0.1\n}\nvrrp_instance B {\n}\n";
    assert_eq!(shape(lost), "vrrp_instance A {virtual_ipaddress {10.0.0.1}}; vrrp_instance B {}");
    let loaded = text(lost);
    assert_eq!(findings(&loaded), ["unclosed-block vrrp_instance A {"]);
    let labels: Vec<&str> =
        loaded.diagnostics[0].secondary.iter().map(|l| loaded.sources.text(l.span)).collect();
    assert_eq!(labels, ["virtual_ipaddress", "}", "vrrp_instance"]);
    assert_eq!(
        shape("vrrp_instance A\n  interface eth0\n}\nvrrp_script x {\n}"),
        "vrrp_instance A {interface eth0}; vrrp_script x {}"
    );
    assert_eq!(said("vrrp_instance A\n  interface eth0\n}"), ["missing-brace "]);
    // What follows belongs to the block around it: there is no block, and no brace is missing.
    assert_eq!(
        shape("vrrp_instance A {\n  track_interface eth0\n  priority 10\n}"),
        "vrrp_instance A {track_interface eth0; priority 10}"
    );
}

#[test]
fn definitions_expand_before_white_space_or_in_braces() {
    assert_eq!(shape("$A=1\nx $A y$A z"), "x 1 y1 z");
    assert_eq!(shape("$A=1\n${A}${A} \"${A} b\""), "11 1 b");
    assert_eq!(shape("$A=1\n$A.$A"), "$A.1");
    assert_eq!(said("$A=1\n$A.$A"), ["not-expanded $A"]);
    assert_eq!(shape("$A=1\n$B=<${A}>\n${B}\n$A=2\n${B}"), "<1>; <2>");
    assert_eq!(shape("$A=\nx ${A} y"), "x y");
    assert_eq!(shape("$A=  b  c  # no\n[${A}]"), "[b c]");
    assert_eq!(shape("$P=$A\n$A=7\n$P"), "7");
}

#[test]
fn multi_line_definitions() {
    let block = "$I=vrrp_instance I${n} { \\\n  interface e$n \\\n # comment \\\n}\n";
    assert_eq!(
        shape(&format!("{block}$n=1\n$I\n$n=2\n$I")),
        "vrrp_instance I1 {interface e1}; vrrp_instance I2 {interface e2}"
    );
    assert_eq!(shape("$M= \\\na \\\nb\nx\n$M\ny${M}"), "x; a; b; ya; b");
    assert_eq!(shape("$M=a \\\nb\n$N=1 \\\n$M \\\n2\n$N"), "1; a; b; 2");
    assert_eq!(said("$M=a \\\nb\n${M}x"), ["multi-line-use x"]);
    assert_eq!(shape("$V=a \\\n$X=5 \\\nb $X\n$V"), "a; b 5");
    assert_eq!(said("a \\\nb"), ["stray-continuation \\"]);
}

#[test]
fn recursion_and_explosion_are_bounded() {
    assert_eq!(said("$A=$B\n$B=$A\nx $A"), ["recursive-definition $A"]);
    assert_eq!(said("$A=x \\\n$A\n$A"), ["recursive-definition $A"]);
    let mut bomb = String::from("$a0=xxxxxxxx\n");
    for i in 1..40 {
        bomb.push_str(&format!("$a{i}=${{a{0}}}${{a{0}}}\n", i - 1));
    }
    bomb.push_str("${a39}\n");
    assert!(said(&bomb).iter().any(|d| d.starts_with("expansion-limit")));
    let mut lines = String::from("$b0=x \\\ny\n");
    for i in 1..40 {
        lines.push_str(&format!("$b{i}=$b{0} \\\n$b{0}\n", i - 1));
    }
    lines.push_str("$b39\n");
    assert!(said(&lines).iter().any(|d| d.starts_with("expansion-limit")));
}

#[test]
fn an_endless_sequence_is_bounded() {
    assert_eq!(said("~SEQ(a,2000000000) @nobody x"), ["expansion-limit ~SEQ(a,2000000000)"]);
}

#[test]
fn predefined_names() {
    assert_eq!(shape("${_INSTANCE} ${_PWD}x \"${_HASH}\" a${_BANG}b"), "host /x # a!b");
    assert_eq!(shape("${_RANDOM 5 5}"), "5");
    assert_eq!(shape("$_X=1\n${_X}"), "1");
    assert_eq!(said("${_RANDOM 9 6}"), ["bad"].map(|_| "random-range ${_RANDOM 9 6}"));
    let files = MemoryFiles::new().with("c", "${_ENV HOME}/x").with_variable("HOME", "/home/lb");
    let loaded = load(&files, Path::new("c"), &options());
    assert_eq!(flat(&loaded.tree.items), "/home/lb/x");
    let random = |seed| {
        let options = Options { seed, ..options() };
        flat(&load_text("${_RANDOM} ${_RANDOM}", &options).tree.items)
    };
    assert_eq!(random(1), random(1));
    assert_ne!(random(1), random(2));
}

#[test]
fn undefined_names_stay_and_are_explained() {
    assert_eq!(shape("router_id ${NOPE}"), "router_id ${NOPE}");
    assert_eq!(said("router_id ${NOPE}"), ["undefined-definition ${NOPE}"]);
    assert!(said("script \"/bin/x $1 ${HOME}\"").is_empty());
    let late = text("x ${A}\n$A=1\ny ${A}");
    assert_eq!(findings(&late), ["undefined-definition ${A}"]);
    assert_eq!(late.diagnostics[0].secondary[0].text, "defined only here");
    let near = text("$PRIORITY=1\n$PRIORTY x");
    assert_eq!(findings(&near), ["undefined-definition $PRIORTY"]);
    assert_eq!(near.diagnostics[0].help, ["did you mean `$PRIORITY`?"]);
    assert_eq!(said("$UNUSED=1"), ["unused-definition $UNUSED"]);
    assert_eq!(said("$A = 1"), ["definition-syntax $A =", "undefined-definition $A"]);
}

#[test]
fn sequences_and_lists() {
    assert_eq!(shape("~SEQ(v,3) s$v"), "s1; s2; s3");
    assert_eq!(shape("~SEQx(v,8,12) x${v}y"), "x8y; x9y; xay; xby; xcy");
    assert_eq!(shape("~SEQ(a,2) ~SEQ(b,2) n${a}${b}"), "n11; n12; n21; n22");
    assert_eq!(shape("~LST({v,w},{a,b},{c,d}) ${v}-$w"), "a-b; c-d");
    assert_eq!(shape("~LST(v, p, q) ~SEQ(i, 2) ${v}$i"), "p1; p2; q1; q2");
    assert_eq!(shape("$N=2\n~SEQ(i,${N}) x$i"), "x1; x2");
    assert_eq!(shape("$B=g ${i} { \\\n h$i \\\n}\n~SEQ(i,2) $B"), "g 1 {h1}; g 2 {h2}");
    assert_eq!(shape("$Z=~SEQ(a,2) z$a\n$Z"), "z1; z2");
    assert_eq!(shape("~SEQ(a,2) @host w$a\n@host ~SEQ(a,2) x$a"), "w1; w2; x1; x2");
    assert_eq!(said("~SEQ(a,1,0,5) x"), ["bad-sequence ~SEQ(a,1,0,5)"]);
    assert_eq!(said("~LST(v,x y,z) x"), ["bad-sequence x y"]);
    assert_eq!(shape("x ~SEQ(a,2) y"), "x ~SEQ(a,2) y");
}

#[test]
fn conditions() {
    let input = "@host a\n@other b\n@^other c\n@^host d\nx @host e\n@host $P=1\n@other $P=2\np $P";
    assert_eq!(shape(input), "a; c; x @host e; p 1");
    assert_eq!(shape("$IF=@other\n$IF w1\n$IF2=@^other\n$IF2 w2"), "w2");
    assert_eq!(shape("@host\n@"), "");
}

#[test]
fn includes() {
    let files = MemoryFiles::new()
        .with("/e/main", "include a.conf\nblock {\n include sub/*.conf\n}\ninclude {b,c}.conf\nend")
        .with("/e/a.conf", "a ${_PWD}\ninclude sub/1.conf")
        .with("/e/sub/1.conf", "one ${_PWD}\n")
        .with("/e/sub/2.conf", "two\n")
        .with("/e/b.conf", "b");
    let loaded = load(&files, Path::new("/e/main"), &options());
    assert_eq!(flat(&loaded.tree.items), "a /e; one /e/sub; block {one /e/sub; two}; b; end");
    assert_eq!(findings(&loaded), ["include-missing {b,c}.conf"]);
    let (id, _) = loaded.sources.files().nth(2).unwrap();
    let span = config::source::Span::new(id, 0, 3);
    let trail: Vec<_> = loaded.sources.includes(span).map(|s| loaded.sources.text(s)).collect();
    assert_eq!(trail, ["include sub/1.conf", "include a.conf"]);
}

#[test]
fn checked_includes_fail() {
    use config::diagnostic::Class;
    let class = |main: &str, all_checks: bool| {
        let files = MemoryFiles::new().with("/e/main", main).with("/e/x", "x");
        let options = Options { all_checks, ..options() };
        load(&files, Path::new("/e/main"), &options).diagnostics.first().map(|d| d.class)
    };
    assert_eq!(class("include none", false), Some(Class::Unnoticed));
    assert_eq!(class("include none*", false), None);
    assert_eq!(class("include none", true), Some(Class::Unreadable));
    assert_eq!(class("includem none", false), Some(Class::Unreadable));
    assert_eq!(class("includew none*", false), Some(Class::Unreadable));
    assert_eq!(class("includeb {x,none}", false), Some(Class::Unreadable));
    assert_eq!(class("include {x,none}", false), Some(Class::Unnoticed));
    assert_eq!(class("includea x", false), None);
    assert_eq!(class("g {\ninclude_check\n}\ninclude none", false), Some(Class::Unreadable));
    assert_eq!(class("include_check -match\ninclude none", true), Some(Class::Unnoticed));
    assert_eq!(class("include_check nonsense", false), Some(Class::Complaint));
}

#[test]
fn include_loops_end() {
    let files = MemoryFiles::new()
        .with("/e/main", "include a\nlast")
        .with("/e/a", "x\ninclude main\ninclude a");
    let loaded = load(&files, Path::new("/e/main"), &options());
    assert_eq!(flat(&loaded.tree.items), "x; last");
    assert_eq!(findings(&loaded), ["include-loop main", "include-loop a"]);
}

#[test]
fn a_missing_main_file_is_an_error() {
    let loaded = load(&MemoryFiles::new(), Path::new("/none"), &options());
    assert_eq!(findings(&loaded), ["unreadable"]);
    assert!(loaded.tree.items.is_empty());
}

#[test]
fn the_real_file_system() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    std::fs::write(path("a.conf"), "a").unwrap();
    std::fs::write(path(".b.conf"), "b").unwrap();
    std::fs::write(path("x.conf"), "x").unwrap();
    std::fs::set_permissions(path("x.conf"), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(path("main"), "include *.conf\ninclude x.conf\ninclude .").unwrap();
    let loaded = load(&config::files::RealFiles, &path("main"), &options());
    assert_eq!(flat(&loaded.tree.items), "a");
    assert_eq!(
        findings(&loaded),
        ["include-missing *.conf", "include-missing x.conf", "include-missing ."]
    );
    assert!(config::files::RealFiles.read(directory.path()).is_err());
}

#[test]
fn damaged_files() {
    assert_eq!(said("\u{feff}a"), ["byte-order-mark "]);
    assert_eq!(shape("\u{feff}a"), "a");
    assert_eq!(said("a\0b\nc"), ["nul-byte \0"]);
    assert_eq!(shape("a\0b\nc"), "a; c");
    assert_eq!(said("a\u{a0}b"), ["odd-space \u{a0}"]);
    assert_eq!(said("router_id \"a"), ["unclosed-quote \"a"]);
    assert_eq!(shape("router_id \"a # b"), "router_id a # b");
    assert_eq!(said(&format!("a {}", "x".repeat(1100))).len(), 1);
    assert!(said(&format!("a # {}", "x".repeat(1100))).is_empty());
    assert_eq!(said("priority 100#x"), ["glued-comment 100"]);
    let files = MemoryFiles::new().with("/f", b"a \xff\xfe b".to_vec());
    let loaded = load(&files, Path::new("/f"), &options());
    assert_eq!(findings(&loaded), ["not-utf8 \u{fffd}"]);
}

#[test]
fn words_know_where_they_were_written() {
    let input = "$VIP=10.0.0.300\n$PRE=10.0\nx ${VIP} ${PRE}.1 plain\n";
    let loaded = text(input);
    let args = &loaded.tree.items[0].args;
    let at = |i: usize| loaded.sources.text(args[i].span);
    // Wholly from a definition: the definition's own characters, used here.
    assert_eq!(at(0), "10.0.0.300");
    let used = loaded.sources.outermost(args[0].span);
    assert_eq!(loaded.sources.text(used), "${VIP}");
    // Composed: the characters that compose it.
    assert_eq!(at(1), "${PRE}.1");
    assert_eq!(at(2), "plain");
    assert_eq!(loaded.sources.location(args[2].span).line, 3);

    let input = "$I=g ${i} { \\\n h 10.0.0.$i \\\n}\n~SEQ(i,2) $I\n";
    let loaded = text(input);
    let word = &loaded.tree.items[1].items()[0].args[0];
    assert_eq!(word.as_str(), "10.0.0.2");
    assert_eq!(loaded.sources.text(word.span), "10.0.0.$i");
    let trail: Vec<_> = loaded
        .sources
        .trail(word.span)
        .map(|step| format!("{:?} {}", step.expander, loaded.sources.text(step.used_at)))
        .collect();
    assert_eq!(trail, ["Definition(\"I\") $I", "Round(\"i=2\") ~SEQ(i,2)"]);
}

#[test]
fn script_lines_keep_their_quotes() {
    let loaded = text("notify \"/bin/x 'a b' \\\"c\\\"\" root\nnotify /bin/x a b\nnotify 'a");
    let args = |i: usize| {
        let item = &loaded.tree.items[i];
        item.script_args().map(|words| words.iter().map(|w| w.as_str().to_owned()).collect())
    };
    assert_eq!(args(0), Ok::<Vec<_>, _>(vec!["/bin/x 'a b' \"c\"".to_owned(), "root".to_owned()]));
    assert_eq!(args(1).map(|w| w.len()), Ok(3));
    assert_eq!(args(2).map_err(|span| loaded.sources.text(span)), Err("'"));
}
