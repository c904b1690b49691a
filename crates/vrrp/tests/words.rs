//! The words: lines that operators grep for, causes and hints, as people read them.

mod support;

use support::lan::Lan;
use support::{ms, router, script, vip};
use vrrp::{Config, Family, Input, RouterConfig, TrackerId, TrackerState, Version};

const V: &str = "V";

fn lan(routers: Vec<RouterConfig>) -> Lan {
    let config = |router| Config { routers: vec![router], ..Config::default() };
    let mut lan = Lan::new(routers.into_iter().map(config).collect(), 1, 1);
    for node in 0..lan.nodes.len() {
        lan.boot(node);
    }
    lan.run(ms(10_000));
    lan
}

/// Line, cause and hint of each event of a node since the last call.
fn told(lan: &mut Lan, node: usize) -> Vec<String> {
    lan.nodes[node]
        .events
        .drain(..)
        .map(|(_, event)| {
            let cause = event.cause().map_or(String::new(), |cause| format!(" | {cause}"));
            let hint = event.hint().map_or(String::new(), |hint| format!(" | hint: {hint}"));
            format!("{event}{cause}{hint}")
        })
        .collect()
}

fn router_v2(node: usize, priority: u8) -> RouterConfig {
    router(V, node, Version::V2, Family::V4, priority)
}

#[test]
fn a_life_in_lines() {
    let mut first = router_v2(0, 150);
    first.tracks = vec![script(1, Some(-60))];
    let mut lan = lan(vec![first, router_v2(1, 100)]);
    assert_eq!(
        told(&mut lan, 0),
        [
            "(V) Entering BACKUP STATE (init) | it starts",
            "(V) Receive advertisement timeout | no master was heard for 3.414 s",
            "(V) Entering MASTER STATE | no master was heard for 3.414 s",
            "(V) MASTER without having heard another router for 3.414 s | hint: if there is another \
             router, look whether its adverts reach this interface (tcpdump -i eth0 proto 112), \
             whether a firewall drops IP protocol 112, and whether the switch passes the multicast \
             group",
        ]
    );
    assert_eq!(
        told(&mut lan, 1),
        [
            "(V) Entering BACKUP STATE (init) | it starts",
            "(V) first advert of 198.51.100.1 (priority 150)",
            "(V) master is 198.51.100.1 (priority 150)",
        ]
    );
    lan.input(0, Input::Tracker { id: TrackerId(1), state: TrackerState::Down });
    lan.run(ms(8000));
    assert_eq!(
        told(&mut lan, 0),
        [
            "(V) Changing effective priority from 150 to 90 | base 150 - 60 (script chk1)",
            "(V) first advert of 198.51.100.2 (priority 100)",
            "(V) Master received advert from 198.51.100.2 with higher priority 100, ours 90",
            "(V) Entering BACKUP STATE | 198.51.100.2 advertises priority 100, ours is 90",
        ]
    );
    assert_eq!(
        told(&mut lan, 1),
        [
            "(V) received lower priority (90) advert from 198.51.100.1 - discarding",
            "(V) Receive advertisement timeout | the master 198.51.100.1 has priority 90, ours is \
             100",
            "(V) Entering MASTER STATE | the master 198.51.100.1 has priority 90, ours is 100",
        ]
    );
    lan.kill(1);
    lan.run(ms(5000));
    let lines = told(&mut lan, 0);
    assert!(
        lines[1].starts_with(
            "(V) Entering MASTER STATE | nothing was heard of the master 198.51.100.2 (priority \
             100) for 3.648"
        ),
        "{lines:?}"
    );
    lan.input(0, Input::Stop);
    lan.run(ms(2000));
    assert_eq!(
        told(&mut lan, 0),
        [
            "(V) sent 0 priority; addresses stay until a successor is heard, 1.046 s at most",
            "(V) no successor was heard within 1.046 s",
            "(V) Entering INIT STATE (stop) | of a planned stop",
        ]
    );
}

#[test]
fn faults_say_what_is_broken() {
    let mut first = router_v2(0, 150);
    first.tracks = vec![script(1, None)];
    let mut lan = lan(vec![first]);
    lan.input(0, Input::Tracker { id: TrackerId(1), state: TrackerState::Up });
    told(&mut lan, 0);
    lan.input(0, Input::Tracker { id: TrackerId(1), state: TrackerState::Down });
    assert_eq!(told(&mut lan, 0), ["(V) Entering FAULT STATE | script chk1 is down"]);
    let router = lan.id(0, V);
    lan.input(0, Input::SourceAddress { router, address: None });
    let view = lan.nodes[0].engine.as_ref().unwrap().router(router).unwrap();
    let faults: Vec<String> = view.faults.iter().map(ToString::to_string).collect();
    assert_eq!(faults, ["script chk1 is down", "there is no source address for adverts"]);
}

#[test]
fn what_does_not_fit_is_named() {
    let mut other = router_v2(1, 100);
    other.addresses = vec![vip(51, Family::V4), vip(52, Family::V4)];
    let mut lan = lan(vec![router_v2(0, 150), other]);
    assert!(
        told(&mut lan, 1).contains(
            &"(V) address list of 198.51.100.1 is not ours (without 203.0.113.52) | hint: the \
          virtual_ipaddress lists of all routers of a group must be the same"
                .to_owned()
        )
    );
    // The other hears nobody: it becomes a second master.
    told(&mut lan, 0);
    lan.faults[0].mute = vec![true, false];
    lan.run(ms(6000));
    let lines = told(&mut lan, 0);
    assert_eq!(
        lines[..5],
        [
            "(V) address list of 198.51.100.2 is not ours (also 203.0.113.52) | hint: the \
             virtual_ipaddress lists of all routers of a group must be the same",
            "(V) first advert of 198.51.100.2 (priority 100)",
            "(V) Received advert from 198.51.100.2 with lower priority 100, ours 150, forcing new \
             election",
            "(V) Received advert from 198.51.100.2 with lower priority 100, ours 150, forcing new \
             election",
            "(V) 198.51.100.2 is MASTER too (priority 100), for 1 s now | hint: its addresses \
             differ (also 203.0.113.52)",
        ]
    );
}
