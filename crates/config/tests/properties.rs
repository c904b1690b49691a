//! Whatever the text, loading ends, never panics, and what is written out reads the same.

mod common;

use config::lower::{BuiltinNames, lower};
use config::pair::{self, Node};
use config::render::{Style, json, text};
use config::tree::Item;
use config::{Loaded, Options, checks, load_text};
use proptest::prelude::*;

/// Pieces that mean something to the language, so that chance meets its corners.
fn piece() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "vrrp_instance",
        "virtual_ipaddress",
        "global_defs",
        "a",
        "10.0.0.1/24",
        "{",
        "}",
        "{\n",
        "}\n",
        "\n",
        " ",
        "\"",
        "'",
        "#",
        "!",
        "\\",
        "\\\n",
        "$A=",
        "$A",
        "${A}",
        "${_RANDOM 1 2}",
        "${",
        "~SEQ(i,3)",
        "~SEQ(A,",
        "~LST({A,B},{1,2},{3})",
        "$i",
        "@x ",
        "@^x ",
        "@",
        "include",
        "include_check",
        "\t",
        "\r\n",
        "\0",
        "\u{feff}",
        "\u{a0}",
        "é",
        "${_PWD}",
        "$B=$A \\\n",
        "$B",
    ]);
    prop_oneof![4 => words.prop_map(str::to_owned), 1 => any::<String>()]
}

/// Lines of a failover configuration, so that chance builds routers that nearly fit together.
fn line() -> impl Strategy<Value = String> {
    let lines = prop::sample::select(vec![
        "vrrp_instance V {",
        "vrrp_instance W {",
        "vrrp_sync_group G {\ngroup {\nV\nW\n}\n}",
        "interface eth0",
        "virtual_router_id 7",
        "virtual_router_id 8",
        "priority 100",
        "priority 255",
        "virtual_ipaddress {\n192.0.2.9\n2001:db8::9/64\n}",
        "virtual_ipaddress {\n192.0.2.255/24\n}",
        "}",
        "}",
        "}",
        "nopreempt",
        "state MASTER",
        "version 3",
        "advert_int 0.5",
        "vrrp_script s {\nscript \"/bin/x | y\"\nweight -20\n}",
        "track_script {\ns weight 5\n}",
        "unicast_src_ip 192.0.2.1",
        "unicast_peer {\n192.0.2.1\n192.0.2.2\n}",
        "smtp_alert",
        "authentication {\nauth_type PASS\nauth_pass 1111\n}",
        "global_defs {\nvrrp_strict\n}",
        "use_vmac",
        "auth_hmac {\nkey 1 file:/x\n}",
        "track_interface {\neth1 weight 300\n}",
        "virtual_server 192.0.2.1 80 {",
        "real_server 192.0.2.2 80 {",
        "TCP_CHECK {",
        "$A=x",
        "${A}",
        "~SEQ(i,3) x$i",
        "notify /bin/x a",
        "priority <prio>",
        "state МASTER;",
    ]);
    lines.prop_map(|line| format!("{line}\n"))
}

fn same(a: &[Item], b: &[Item]) -> bool {
    a.len() == b.len()
        && a.iter().zip(b).all(|(a, b)| {
            a.words()
                .map(config::tree::Token::as_str)
                .eq(b.words().map(config::tree::Token::as_str))
                && a.block.is_some() == b.block.is_some()
                && same(a.items(), b.items())
        })
}

fn load(input: &str) -> Loaded {
    load_text(input, &Options { config_id: "x".to_owned(), ..Options::default() })
}

/// A backslash has no way to be written at every place, and a block that lacks its brace is not
/// what it was once it has one.
fn writable(items: &[Item]) -> bool {
    let block = |item: &Item| {
        matches!(item.keyword.as_str(), "vrrp_instance" | "virtual_ipaddress" | "global_defs")
    };
    items.iter().all(|item| {
        item.words().all(|word| !word.contains('\\'))
            && (item.block.is_some() || !block(item))
            && writable(item.items())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, max_global_rejects: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_survived(pieces in prop::collection::vec(piece(), 0..60)) {
        let input = pieces.concat();
        let loaded = load(&input);
        for diagnostic in &loaded.diagnostics {
            let shown = text(diagnostic, &loaded.sources, Style::default());
            prop_assert!(shown.contains(diagnostic.code.id()));
        }
        prop_assert!(json(&loaded.diagnostics, &loaded.sources).ends_with("]\n"));
        let again = load(&input);
        prop_assert_eq!(&again.tree, &loaded.tree);
        prop_assert_eq!(&again.diagnostics, &loaded.diagnostics);
    }

    #[test]
    fn a_tree_written_out_reads_the_same(pieces in prop::collection::vec(piece(), 0..40)) {
        let first = load(&pieces.concat());
        prop_assume!(writable(&first.tree.items));
        let written = first.tree.to_string();
        let second = load(&written);
        prop_assert!(same(&first.tree.items, &second.tree.items), "{}", written);
    }

    #[test]
    fn spans_lie_within_their_files(pieces in prop::collection::vec(piece(), 0..40)) {
        fn walk(items: &[Item], loaded: &Loaded) {
            for item in items {
                for word in item.words() {
                    let file = loaded.sources.file(word.span.file).text();
                    assert!(file.get(word.span.start as usize..word.span.end as usize).is_some());
                }
                walk(item.items(), loaded);
            }
        }
        let loaded = load(&pieces.concat());
        walk(&loaded.tree.items, &loaded);
    }

    #[test]
    fn checks_and_pairs_survive_any_configuration(
        a in prop::collection::vec(line(), 0..40),
        b in prop::collection::vec(line(), 0..40),
    ) {
        let nodes: Vec<_> = [a, b]
            .iter()
            .map(|lines| {
                let loaded = load(&lines.concat());
                let lowered = lower(&loaded.tree, &BuiltinNames);
                (loaded, lowered)
            })
            .collect();
        for (loaded, lowered) in &nodes {
            common::assert_passes(&lowered.model);
            let sources = &loaded.sources;
            let found = checks::check(&loaded.tree, &lowered.model, sources, &checks::Elsewhere);
            for diagnostic in found.iter().chain(&lowered.diagnostics) {
                prop_assert!(!text(diagnostic, sources, Style::default()).is_empty());
            }
        }
        let nodes: Vec<_> = nodes
            .iter()
            .map(|(loaded, lowered)| Node {
                sources: &loaded.sources,
                tree: &loaded.tree,
                model: &lowered.model,
            })
            .collect();
        let paired = pair::check(&nodes);
        for diagnostic in &paired.diagnostics {
            prop_assert!(!text(diagnostic, &paired.sources, Style::default()).is_empty());
        }
    }
}
