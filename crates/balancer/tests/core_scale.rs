//! A large configuration: 4,000 virtual servers with 10 real servers each. One result must touch one
//! virtual server, whatever the size of the rest.

mod core_support;

use std::fmt::Write as _;
use std::time::Instant;

use core_support::World;
use standfast_balancer::core::{CheckResult, Core, Input, Now};

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

/// Prints times; for people, in a release build: `cargo test --release -p standfast-balancer --test
/// core_scale -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn how_long_it_takes() {
    let mut scripts = core_support::Scripts::default();
    let model = core_support::model(&large(4000));
    let clock = Instant::now();
    let plan = standfast_balancer::core::Plan::new(&model, |_| None);
    println!("plan {:?}", clock.elapsed());
    let again = plan.clone();
    let clock = Instant::now();
    let mut core = Core::new(plan, &[], Now::default());
    println!("core with its table {:?}", clock.elapsed());
    while core.poll_output().is_some() {}
    let clock = Instant::now();
    core.handle(Input::Reload(Box::new(again)), Now::default());
    println!("reload {:?}", clock.elapsed());
    let clock = Instant::now();
    let saved = core.save();
    println!("save {:?}", clock.elapsed());
    let clock = Instant::now();
    let bytes: usize = saved.iter().map(|saved| serde_json::to_vec(saved).unwrap().len()).sum();
    println!("serialize {:?}, {bytes} bytes", clock.elapsed());
    let plan = scripts.plan(&large(4000));
    let clock = Instant::now();
    let _core = Core::new(plan, &saved, Now::default());
    println!("resume {:?}", clock.elapsed());
    let clock = Instant::now();
    let shown = core.snapshot(&mut (), Now::default());
    println!("snapshot of {} {:?}", shown.len(), clock.elapsed());
}
