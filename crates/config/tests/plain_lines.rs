//! Lines without signs take a short way past the preprocessor: they read as they do on the long one,
//! which a comment behind them makes them take that is not ASCII.

use config::source::{Location, SourceMap, Span};
use config::tree::{Item, Tree};
use config::{Options, load_text};
use proptest::prelude::*;

fn piece() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "vrrp_instance",
        "virtual_ipaddress",
        "virtual_server",
        "V",
        "priority",
        "100",
        "{",
        "}",
        "{{x}}",
        "{%",
        "%}",
        " ",
        "  ",
        "\t",
        "\r",
        "\x0b",
        "\n",
        "\n",
        "\n\n",
        "@x ",
        "@^x",
        "~SEQ(i, 2) y",
        "$A=b",
        "$A",
        "include /nowhere",
        "included",
        "i",
        "'a b'",
        "é",
        "#",
        " # c",
        "!",
        "\0",
        "LONG",
    ])
}

/// Words, where they stand, and how the line is cut.
fn told(tree: &Tree, sources: &SourceMap) -> Vec<(String, Location, u32, usize)> {
    fn walk(
        items: &[Item],
        deep: usize,
        place: &dyn Fn(Span) -> (Location, u32),
        out: &mut Vec<(String, Location, u32, usize)>,
    ) {
        for item in items {
            for word in item.words() {
                let (at, length) = place(word.span);
                out.push((word.to_string(), at, length, deep));
            }
            let (at, length) = place(item.line_span);
            out.push((String::new(), at, length, deep));
            if let Some(block) = &item.block {
                let (at, length) = place(block.open);
                out.push(("{".to_owned(), at, length, deep));
            }
            walk(item.items(), deep + 1, place, out);
        }
    }
    let place = |span: Span| (sources.location(span), span.end - span.start);
    let mut out = Vec::new();
    walk(&tree.items, 0, &place, &mut out);
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_short_way_reads_the_same(
        pieces in prop::collection::vec(piece(), 0..40),
        newline in any::<bool>(),
    ) {
        let mut plain = pieces.concat().replace("LONG", &"l".repeat(1_100));
        let with = |comment: &str| {
            plain.lines().map(|line| format!("{line}{comment}\n")).collect::<String>()
        };
        let (commented, reference) = (with(" # a comment"), with(" # \u{e9}"));
        if newline {
            plain.push('\n');
        }
        let options = Options { config_id: "x".to_owned(), ..Options::default() };
        let long = load_text(&reference, &options);
        let messages = |loaded: &config::Loaded| {
            let all = loaded.diagnostics.iter();
            all.map(|found| (found.message.clone(), found.code)).collect::<Vec<_>>()
        };
        for text in [plain, commented] {
            let short = load_text(&text, &options);
            prop_assert_eq!(told(&short.tree, &short.sources), told(&long.tree, &long.sources));
            prop_assert_eq!(messages(&short), messages(&long));
        }
    }
}
