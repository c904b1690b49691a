//! Whatever stands in a file, lowering ends, never panics, and what it gives holds what the model
//! promises.

use config::keywords::{BlockId, Content, Value, block, blocks};
use config::lower::{BuiltinNames, consume, lower};
use config::model::vrrp::Version;
use config::model::{Family, Model};
use config::{Options, load_text};
use proptest::prelude::*;

/// Arguments that are right for something, and wrong for most.
fn argument() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "1",
        "0",
        "-1",
        "255",
        "256",
        "5.5",
        "0.01",
        "1.2345678",
        "99999999999",
        "on",
        "off",
        "x",
        "MASTER",
        "BACKUP",
        "PASS",
        "AH",
        "eth0",
        "eth1",
        "10.0.0.1",
        "10.0.0.2/24",
        "10.0.0.1/33",
        "2001:db8::1",
        "fe80::1/64",
        "224.0.0.9",
        "ff02::9",
        "V",
        "W",
        "s",
        "weight",
        "reverse",
        "via",
        "dev",
        "table",
        "main",
        "priority",
        "from",
        "to",
        "nexthop",
        "encap",
        "mpls",
        "100/2",
        "all",
        "TCP",
        "rr",
        "NAT",
        "TUN",
        "type",
        "gue",
        "port",
        "fwmark",
        "group",
        "name",
        "never",
        "/bin/true",
        "\"/bin/x 'a b'\"",
        "\"/bin/x 'a\"",
        "00:11:22",
        "hex:00ff",
        "key",
        "\"\"",
        "0123456789abcdef0123456789abcdef",
        "10-20",
        "20-10",
        "10.0.0.1-9",
        "lock",
        "forever",
        "+",
    ]);
    prop_oneof![8 => known.prop_map(str::to_owned), 1 => "[a-z0-9./:_-]{1,20}"]
}

/// The inside of a block: its keywords and others, with arguments, two levels deep at most.
fn inside(id: BlockId, depth: u32) -> BoxedStrategy<String> {
    let names: Vec<&'static str> = block(id).keywords().map(|k| k.name).collect();
    let line: BoxedStrategy<String> = match block(id).content {
        Content::Lines { good, .. } => prop_oneof![
            Just(good.to_owned()),
            prop::collection::vec(argument(), 1..6).prop_map(|words| words.join(" ")),
        ]
        .boxed(),
        _ if names.is_empty() => argument().boxed(),
        _ => {
            let plain = (prop::sample::select(names), prop::collection::vec(argument(), 0..4))
                .prop_map(|(name, words)| format!("{name} {}", words.join(" ")))
                .boxed();
            let inner: Vec<(&'static str, BlockId, bool)> = block(id)
                .keywords()
                .filter_map(|k| match k.value {
                    Value::Block(id) => Some((k.name, id, false)),
                    Value::Named(id) => Some((k.name, id, true)),
                    Value::Special { .. } if k.name == "virtual_server" => {
                        Some((k.name, BlockId::VirtualServer, true))
                    }
                    Value::Special { .. } if k.name == "real_server" => {
                        Some((k.name, BlockId::RealServer, true))
                    }
                    _ => None,
                })
                .collect();
            if depth == 0 || inner.is_empty() {
                plain
            } else {
                let nested = prop::sample::select(inner).prop_flat_map(move |(name, id, named)| {
                    (
                        prop::collection::vec(argument(), usize::from(named)..3),
                        inside(id, depth - 1),
                    )
                        .prop_map(move |(head, body)| {
                            format!("{name} {} {{\n{body}\n}}", head.join(" "))
                        })
                });
                prop_oneof![1 => plain, 3 => nested].boxed()
            }
        }
    };
    prop::collection::vec(line, 0..8).prop_map(|lines| lines.join("\n")).boxed()
}

/// What the documentation of the model says.
fn promises(model: &Model) {
    for i in &model.vrrp {
        assert!(i.family == Family::V4 || *i.version == Version::V3);
        assert!(i.vips.iter().all(|a| a.family() == i.family) && i.vips.len() <= 255);
        assert!(i.all_addresses().all(|a| a.interface.is_some()));
        assert!(i.interface.is_some() || i.transport.is_unicast());
        assert!((1..=100).contains(&*i.down_timer_adverts));
        assert!(i.advert_interval.as_millis() >= 10 && i.advert_interval.as_secs() <= 255);
        assert!(!i.own_device.as_ref().is_some_and(|d| d.name().is_empty()));
        for t in i.tracks.all() {
            assert!((-254..=254).contains(&t.weight.value.value));
        }
        assert!(i.tracks.scripts.iter().all(|t| model.script(&t.name).is_some()));
        assert!(i.tracks.files.iter().all(|t| model.track_file(&t.name).is_some()));
    }
    for g in &model.sync_groups {
        assert!(!g.members.is_empty());
        assert!(g.members.iter().all(|m| model.instance(m).is_some()));
    }
    for s in &model.scripts {
        assert!(!s.script.words.is_empty() && *s.rise > 0 && *s.fall > 0);
        assert!(!s.interval.is_zero() && !s.timeout.is_zero());
    }
    for vs in &model.virtual_servers {
        assert!(!vs.real_servers.is_empty());
        assert!(*vs.quorum >= 1 && *vs.hysteresis < *vs.quorum);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(600) })]

    #[test]
    fn anything_is_read(text in inside(BlockId::Root, 3)) {
        let loaded = load_text(&text, &Options::default());
        let lowered = lower(&loaded.tree, &BuiltinNames);
        promises(&lowered.model);
        let _ = lowered.model.interfaces();
        // The same text means the same, also when its tree vanishes meanwhile.
        let again = load_text(&text, &Options::default());
        let again = consume(again.tree, &BuiltinNames);
        prop_assert!(again.model == lowered.model);
        prop_assert_eq!(again.diagnostics, lowered.diagnostics);
        prop_assert_eq!(again.not_acted_on, lowered.not_acted_on);
    }

    #[test]
    fn any_instance_is_read(body in inside(BlockId::VrrpInstance, 2)) {
        let text = format!(
            "vrrp_script s {{\nscript /bin/true\n}}\nvrrp_instance V {{\ninterface eth0\n\
             virtual_router_id 5\n{body}\n}}\nvrrp_instance W {{\ninterface eth0\n\
             virtual_router_id 5\n{body}\n}}\nvrrp_sync_group G {{\ngroup {{\nV\nW\n}}\n}}\n"
        );
        let loaded = load_text(&text, &Options::default());
        promises(&lower(&loaded.tree, &BuiltinNames).model);
    }
}

#[test]
fn every_block_can_stand_anywhere() {
    for outer in blocks() {
        for inner in blocks() {
            for keyword in inner.keywords() {
                let text = format!("{} {{\n{} x {{\n1 2\n}}\n}}\n", outer.title, keyword.name);
                let loaded = load_text(&text, &Options::default());
                promises(&lower(&loaded.tree, &BuiltinNames).model);
            }
        }
    }
}
