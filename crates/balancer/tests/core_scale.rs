//! A large configuration: 4,000 virtual servers with 10 real servers each. One result must touch one
//! virtual server, whatever the size of the rest.

mod core_support;

use std::fmt::Write as _;

use core_support::World;
use standfast_balancer::core::{CheckResult, Input};

fn large(services: usize) -> String {
    let mut text = String::new();
    for v in 0..services {
        let (high, low) = (v / 250, v % 250);
        writeln!(
            text,
            "virtual_server 198.18.{high}.{low} 80 {{\n lb_algo rr\n lb_kind NAT\n protocol TCP\n \
             quorum 3\n sorry_server 203.0.113.99 80"
        )
        .unwrap();
        for s in 0..10 {
            let real = format!("198.19.{high}.{}", (low + s) % 250);
            writeln!(text, " real_server {real} {} {{\n TCP_CHECK {{\n }}\n }}", 8000 + s).unwrap();
        }
        text.push_str("}\n");
    }
    text
}

#[test]
fn one_result_among_forty_thousand_servers_touches_one_service() {
    let text = large(4000);
    let mut world = World::new(&text);
    assert_eq!(world.kernel.len(), 4000);
    assert_eq!(world.checks.len(), 40_000);
    world.changed = 0;
    let results = 200;
    for n in 0..results {
        let id = *world.checks.keys().nth(n * 200).expect("there are enough");
        world.core.handle(
            Input::Check { id, result: CheckResult::Down { failure: "refused".into() } },
            world.now,
        );
        assert_eq!(world.core.take_changes().len(), 1);
        assert_eq!(world.core.take_unsaved().len(), if n == 0 { 4000 } else { 1 });
    }
    let before = world.core.desired().clone();
    let plan = world.scripts.plan(&text);
    while world.core.poll_output().is_some() {}
    world.core.handle(Input::Reload(Box::new(plan)), world.now);
    assert!(world.core.poll_output().is_none(), "a reload of the same file does nothing");
    assert_eq!(*world.core.desired(), before);
}
