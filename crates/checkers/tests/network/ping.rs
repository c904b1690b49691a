//! PING_CHECK.

use std::time::Duration;

use standfast_checkers::{Kind, Target};

use crate::{Test, Watched, address, ip, nft, often, run};

pub(crate) const TESTS: &[Test] = &[
    ("ping_is_up_while_echoes_come", echoes_come),
    ("ping_v6_works_alike", v6_works_alike),
    ("ping_widens_the_group_range_and_puts_it_back", group_range),
    ("ping_is_down_when_nobody_has_the_address", nobody_has_it),
];

const RANGE: &str = "net/ipv4/ping_group_range";

fn ping(to: &str) -> Kind {
    Kind::Ping(Target { timeout: Duration::from_millis(200), ..Target::new(address(to)) })
}

fn echoes_come() {
    run(async {
        let mut check = Watched::new(ping("127.0.0.1:80"), often());
        let success = check.up().await;
        assert!(success.to_string().starts_with("echo after "), "{success}");
        nft("table inet t { chain c { type filter hook input priority 0; \
             icmp type echo-request meta length 156 drop; }; }");
        assert_eq!(check.down().await, "no answer from 127.0.0.1:80 within 0.2 s");
        nft("flush ruleset");
        check.up().await;
    });
}

fn v6_works_alike() {
    run(async {
        let mut check = Watched::new(ping("[::1]:80"), often());
        check.up().await;
        nft("table inet t { chain c { type filter hook input priority 0; \
             icmpv6 type echo-reply drop; }; }");
        assert_eq!(check.down().await, "no answer from [::1]:80 within 0.2 s");
    });
}

fn group_range() {
    // Nobody, the default of a new namespace. In a user namespace with one group it cannot be
    // said, nor changed: a raw socket serves.
    let changeable = sys::sysctl::swap(RANGE, "1\t0").is_ok();
    run(async {
        let mut check = Watched::new(ping("127.0.0.1:80"), often());
        check.up().await;
        if changeable {
            let (_, group) = sys::users::own_ids();
            assert_eq!(sys::sysctl::read(RANGE).unwrap(), format!("{group}\t{group}"));
        }
        drop(check);
    });
    if changeable {
        assert_eq!(sys::sysctl::read(RANGE).unwrap(), "1\t0");
    } else {
        eprintln!("NOT TESTED: the range of groups cannot be changed here");
    }
}

fn nobody_has_it() {
    // After a few questions the kernel says itself that there is no such neighbour.
    ip("link add left type veth peer name right");
    ip("address add 198.51.100.1/24 dev left");
    ip("link set left up");
    ip("link set right up");
    run(async {
        let target =
            Target { timeout: Duration::from_secs(20), ..Target::new(address("198.51.100.9:80")) };
        let mut check = Watched::new(Kind::Ping(target), often());
        assert_eq!(check.down().await, "198.51.100.9:80 is unreachable: No route to host");
    });
}
