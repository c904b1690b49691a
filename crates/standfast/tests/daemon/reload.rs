//! SIGHUP: a good file is taken over, a bad one changes nothing, whatever is wrong with it.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use crate::Test;
use crate::stage::{CONFIG, CONFIG_PATH, LIMIT, Stage, VIP};

pub(crate) const TESTS: &[Test] = &[
    ("a_good_file_is_a_difference", good),
    ("a_bad_file_changes_nothing", bad),
    ("mistakes_of_the_start_may_stay", old_mistakes),
    ("a_storm_ends_with_the_last_file", storm),
    ("each_configuration_is_saved", saved),
    ("what_cannot_change_is_refused", unchangeable),
    ("the_check_has_its_log_and_the_reload_its_file", check_log),
];

const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 101));

fn with_other() -> String {
    CONFIG.replace("100.100/24\n", "100.100/24\n 198.51.100.101/24\n")
}

fn good(stage: &mut Stage) {
    stage.start(CONFIG);
    // A word that is unknown is complained of and the rest taken over, as Keepalived does.
    let since = stage.reload(&format!("frobnicate yes\n{}", with_other()));
    stage.wait_line_since("Reload complete", since);
    let added = stage.lab.wait_address(1, OTHER, true, since, LIMIT);
    assert!(added.is_some(), "the new address did not come");
    let since = stage.reload(CONFIG);
    stage.wait_line_since("Reload complete", since);
    let removed = stage.lab.wait_address(1, OTHER, false, since, LIMIT);
    assert!(removed.is_some(), "the address is still there");
    assert_eq!(stage.removals(), 0);
    let zeros = stage.lab.adverts(1, Duration::ZERO);
    assert!(zeros.iter().all(|(_, advert)| advert.priority == 200));
}

fn bad(stage: &mut Stage) {
    stage.start(CONFIG);
    let role = stage.wait_role(None);
    let twice = format!("{CONFIG}{}", CONFIG.replace("instance A", "instance B"));
    let cases = [
        CONFIG.replace(" 51", " 999"),
        CONFIG.replace(" 51", ""),
        CONFIG.replace("eth0", "eth7"),
        CONFIG.replace("100.100", "100.300"),
        CONFIG.replace("priority 200", "priority 999"),
        CONFIG.trim_end().trim_end_matches('}').to_owned(),
        twice,
        String::new(),
        "# nothing but a comment\n".to_owned(),
    ];
    for config in cases {
        let since = stage.reload(&config);
        stage.wait_line_since("Reload refused", since);
    }
    std::fs::remove_file(stage.lab.node(1).outside(CONFIG_PATH)).expect("it was there");
    let since = stage.lab.now();
    stage.daemon().reload();
    stage.wait_line_since("Reload refused", since);
    let refused = &stage.ask(&["status"])["node"]["config_generation"];
    assert_eq!(refused, 1);
    assert_eq!(stage.lines("Reload complete"), 0);
    assert_eq!(stage.wait_role(None), role);
    assert_eq!(stage.removals(), 0);
    // And a good one afterwards is taken.
    let since = stage.reload(&with_other());
    assert!(stage.lab.wait_address(1, OTHER, true, since, LIMIT).is_some());
}

fn old_mistakes(stage: &mut Stage) {
    // Keepalived starts with this and so do we; then a reload with it must not be refused.
    let mistake = |config: &str| config.replace("100.100/24\n", "100.100/24\n 198.51.100.300/24\n");
    stage.start(&mistake(CONFIG));
    let since = stage.reload(&mistake(&with_other()));
    stage.wait_line_since("Reload complete", since);
    assert!(stage.lab.wait_address(1, OTHER, true, since, LIMIT).is_some());
}

fn storm(stage: &mut Stage) {
    stage.start(CONFIG);
    for _ in 0..20 {
        stage.daemon().reload();
    }
    let since = stage.reload(&with_other());
    assert!(stage.lab.wait_address(1, OTHER, true, since, LIMIT).is_some());
    assert_eq!(stage.removals(), 0);
    assert_eq!(stage.stop(), 0);
}

fn saved(stage: &mut Stage) {
    std::fs::create_dir(stage.lab.node(1).outside("/run/saved")).expect("a directory");
    let config = format!("global_defs {{\n config_save_dir /run/saved\n}}\n{CONFIG}");
    stage.start(&config);
    let since = stage.reload(&config);
    stage.wait_line_since("Reload complete", since);
    let files = std::fs::read_dir(stage.lab.node(1).outside("/run/saved")).expect("a directory");
    let texts: Vec<String> =
        files.flatten().map(|file| std::fs::read_to_string(file.path()).expect("text")).collect();
    assert_eq!(texts, [config.clone(), config]);
}

fn unchangeable(stage: &mut Stage) {
    stage.start(CONFIG);
    for word in ["instance", "net_namespace"] {
        let since = stage.reload(&format!("{word} blue\n{CONFIG}"));
        stage.wait_line_since(&format!("{word} cannot be changed"), since);
    }
    assert!(stage.lab.holds(1, VIP));
}

fn check_log(stage: &mut Stage) {
    let config = format!(
        "global_defs {{\n reload_check_config /run/check.log\n reload_file /run/reloading\n}}\n\
         {CONFIG}"
    );
    stage.start(&config);
    let since = stage.reload(&config.replace(" 51", " 999"));
    stage.wait_line_since("Reload refused", since);
    assert!(stage.lab.read(1, "/run/check.log").contains("not 999"));
    let since = stage.reload(&config);
    stage.wait_line_since("Reload complete", since);
    // It is there while the reload is under way, and gone when the supervisor knows of its end.
    let gone = || (!stage.exists("/run/reloading")).then_some(());
    assert!(lab::journal::wait_until(LIMIT, gone).is_some());
}
