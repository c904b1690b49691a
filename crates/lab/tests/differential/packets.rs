//! What goes out on the wire, compared packet for packet: both machines are cut off from each
//! other, so that both become master with the same configuration, and what they send must be the
//! same but for their own addresses.

use std::net::IpAddr;
use std::time::Duration;

use standfast_lab::capture::Seen;
use standfast_lab::packet::{Advert, Packet};

use crate::Scenario;
use crate::conf::{Conf, VIP, VIP6, VIP6_LOCAL};
use crate::stage::{Stage, ip, s};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario::new("adverts_v3_ipv4", |stage| adverts(stage, |_| Conf::v3().vips(&MANY))),
    Scenario::new("adverts_v3_ipv6", |stage| adverts(stage, |_| Conf::v3_ipv6())),
    Scenario::new("adverts_v3_unicast", |stage| {
        adverts(stage, |n| Conf::v3().unicast(n, &[1, 2, 3]));
    }),
    Scenario::new("adverts_v2", |stage| adverts(stage, |_| Conf::v2().vips(&MANY))),
    Scenario::new("adverts_v2_password", |stage| {
        adverts(stage, |_| {
            Conf::v2().with("authentication {\n    auth_type PASS\n    auth_pass abc\n  }")
        });
    }),
    Scenario::new("adverts_v2_authentication_header", |stage| {
        adverts(stage, |_| {
            Conf::v2().with("authentication {\n    auth_type AH\n    auth_pass secret12\n  }")
        });
    }),
    Scenario::new("adverts_to_another_group", |stage| {
        adverts(stage, |_| Conf::v3().with("mcast_dst_ip 224.0.0.77"));
    }),
    Scenario::new("adverts_from_another_source", |stage| {
        adverts(stage, |n| Conf::v3().with(format!("mcast_src_ip 198.51.100.{n}0")));
    }),
    Scenario::new("rhythm_of_adverts", rhythm),
    Scenario::new("announcements_at_takeover", announcements),
    Scenario::new("announcements_ipv6", announcements_ipv6),
    Scenario::new("announcement_repeat_and_delay", announcement_settings),
    Scenario::new("announcements_are_refreshed", refresh),
    Scenario::new("farewell_is_like_an_advert", farewell),
];

const MANY: [&str; 4] = ["198.51.100.100", "198.51.100.101", "198.51.100.110/24", "198.51.100.7"];

/// Cuts the machines off, starts both, waits until both have `vip`.
fn both(stage: &mut Stage, conf: impl Fn(usize) -> Conf) {
    stage.lab.mute(1, 0).expect("cut off");
    for node in [1, 2] {
        // An additional address for `mcast_src_ip`.
        let address = format!("ip addr add 198.51.100.{node}0/24 dev eth0");
        stage.lab.node(node).command(&address).expect("ip");
        // Unicast peers that nobody can find while they are cut off.
        for peer in [1, 2, 3] {
            let known = format!(
                "ip neigh replace 198.51.100.{peer} lladdr 02:00:00:00:00:0{peer} dev eth0"
            );
            stage.lab.node(node).command(&known).expect("ip");
        }
    }
    let started = stage.start(1, &conf(1));
    stage.start(2, &conf(2));
    for node in [1, 2] {
        let conf = conf(node);
        stage.gets(node, host(conf.vips.last().expect("one")), started, conf.down());
        stage.pass(node, 2, conf.interval());
    }
}

/// The address without its prefix and options.
fn host(line: &str) -> &str {
    line.split(['/', ' ']).next().unwrap_or(line)
}

/// What of an advertisement must be equal, with the machine's own addresses made neutral.
#[derive(Debug, PartialEq, Eq)]
struct Image {
    mac_to: [u8; 6],
    destination: String,
    own_source: bool,
    tos: u8,
    ttl: u8,
    fragment: u16,
    ah: Option<(bool, usize)>,
    checksum_ok: bool,
    /// The packet without its checksum, which covers the addresses.
    pdu: Vec<u8>,
}

fn image(advert: &Advert, node: usize) -> Image {
    let own: [IpAddr; 4] = [
        ip(&format!("198.51.100.{node}")),
        ip(&format!("198.51.100.{node}0")),
        ip(&format!("2001:db8::{node}")),
        ip(&format!("fe80::ff:fe00:{node}")),
    ];
    let mut pdu = advert.pdu.clone();
    pdu[6..8].fill(0);
    // Unicast goes to the other node or to a third one.
    let multicast = advert.to.is_multicast();
    let spi = |spi: u32| match advert.from {
        IpAddr::V4(from) => spi == u32::from(from),
        IpAddr::V6(_) => false,
    };
    Image {
        mac_to: if multicast { advert.mac_to } else { [0; 6] },
        destination: if multicast { advert.to.to_string() } else { "a peer".into() },
        own_source: own.contains(&advert.from),
        tos: advert.tos,
        ttl: advert.ttl,
        fragment: advert.fragment,
        ah: advert.ah.as_ref().map(|ah| (spi(ah.spi), ah.icv.len())),
        checksum_ok: advert.checksum_ok,
        pdu,
    }
}

fn adverts(stage: &mut Stage, conf: impl Fn(usize) -> Conf) {
    both(stage, &conf);
    let [one, two] = [1, 2].map(|node| {
        let sent = stage.lab.adverts(node, Duration::ZERO);
        image(&sent.last().expect("an advertisement").1, node)
    });
    assert!(one.own_source && one.checksum_ok, "{one:?}");
    assert_eq!(one, two, "what n1 and n2 send");
    let expected: Vec<IpAddr> = conf(1).vips.iter().map(|vip| ip(host(vip))).collect();
    let sent = stage.lab.adverts(1, Duration::ZERO);
    assert_eq!(sent[0].1.addresses, expected);
    // The sequence numbers of an authentication header count.
    let numbers: Vec<u32> =
        sent.iter().filter_map(|(_, it)| it.ah.as_ref()).map(|ah| ah.sequence).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
}

/// Twenty advertisements, each an interval after the one before.
fn rhythm(stage: &mut Stage) {
    both(stage, |_| Conf::v3());
    for node in [1, 2] {
        stage.pass(node, 20, s(0.2));
        let sent = stage.lab.adverts(node, Duration::ZERO);
        let gaps: Vec<f64> =
            sent.windows(2).map(|pair| (pair[1].0 - pair[0].0).as_secs_f64()).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        assert!((0.19..0.23).contains(&mean), "mean interval of n{node}: {mean} s");
        let shortest = gaps.iter().copied().fold(f64::MAX, f64::min);
        assert!(shortest > 0.1, "n{node} sent two within {shortest} s");
    }
}

/// The announcements of `node` for `address` since `since`, with their times.
fn announced(stage: &Stage, node: usize, address: &str, since: Duration) -> Vec<Seen> {
    let (name, address) = (stage.lab.node(node).name().to_owned(), ip(address));
    stage.lab.frames().look(|frames| {
        frames
            .iter()
            .filter(|seen| seen.node == name && seen.at >= since)
            .filter(|seen| match &seen.packet {
                Packet::Arp(arp) => arp.gratuitous() && IpAddr::from(arp.sender) == address,
                Packet::Neighbor(na) => na.to.is_multicast() && IpAddr::from(na.target) == address,
                Packet::Advert(_) => false,
            })
            .cloned()
            .collect()
    })
}

/// Waits until `node` has announced `address` `count` times.
fn wait_announced(stage: &Stage, node: usize, address: &str, count: usize, limit: Duration) {
    standfast_lab::journal::wait_until(limit + crate::stage::SLACK, || {
        (announced(stage, node, address, Duration::ZERO).len() >= count).then_some(())
    })
    .unwrap_or_else(|| {
        let seen = announced(stage, node, address, Duration::ZERO).len();
        panic!("n{node} announced {address} {seen} times, not {count}")
    });
}

/// Five at once, five more after `garp_master_delay` of 5 s.
fn announcements(stage: &mut Stage) {
    both(stage, |_| Conf::v3().vips(&["198.51.100.101", VIP]));
    for node in [1, 2] {
        for vip in [VIP, "198.51.100.101"] {
            wait_announced(stage, node, vip, 10, s(6.0));
            let seen = announced(stage, node, vip, Duration::ZERO);
            let first = stage.lab.adverts(node, Duration::ZERO)[0].0;
            let soon = seen.iter().filter(|it| it.at < first + s(2.5)).count();
            assert_eq!(soon, 5, "announcements of n{node} for {vip} at once");
            let late = seen[5].at - first;
            assert!((4.8..7.0).contains(&late.as_secs_f64()), "second block after {late:?}");
        }
    }
    stage.pass(1, 3, s(0.2));
    let images = [1, 2].map(|node| {
        let all = announced(stage, node, VIP, Duration::ZERO);
        assert_eq!(all.len(), 10);
        let Packet::Arp(arp) = &all[0].packet else { panic!("ARP") };
        let own = arp.sender_mac[5] as usize == node;
        (arp.mac_to, arp.operation, own, arp.target_mac, arp.sender, arp.target)
    });
    assert_eq!(images[0], images[1], "what n1 and n2 announce");
    assert_eq!(images[0].0, [0xff; 6]);
    assert_eq!(images[0].1, 1, "Keepalived announces with requests");
}

fn announcements_ipv6(stage: &mut Stage) {
    both(stage, |_| Conf::v3_ipv6());
    let images = [1, 2].map(|node| {
        wait_announced(stage, node, VIP6, 5, s(1.0));
        wait_announced(stage, node, VIP6_LOCAL, 5, s(1.0));
        let all = announced(stage, node, VIP6, Duration::ZERO);
        let Packet::Neighbor(na) = &all[0].packet else { panic!("a neighbour advertisement") };
        let own = na.mac.is_some_and(|mac| mac[5] as usize == node);
        (na.from, na.to, na.flags, na.target, own)
    });
    assert_eq!(images[0], images[1], "what n1 and n2 announce");
    assert!(images[0].4, "its own link-layer address");
    assert_eq!(images[0].2, 0x20, "override, not solicited, not a router");
}

fn announcement_settings(stage: &mut Stage) {
    both(stage, |_| Conf::v3().with("garp_master_repeat 2").with("garp_master_delay 1"));
    for node in [1, 2] {
        wait_announced(stage, node, VIP, 4, s(1.0));
        stage.pass(node, 4, s(0.2));
        let seen = announced(stage, node, VIP, Duration::ZERO);
        assert_eq!(seen.len(), 4, "announcements of n{node}");
        let delay = seen[2].at - seen[1].at;
        assert!((0.9..2.4).contains(&delay.as_secs_f64()), "second block after {delay:?}");
    }
}

fn refresh(stage: &mut Stage) {
    let lines = [
        "garp_master_repeat 1",
        "garp_master_delay 1",
        "garp_master_refresh 1",
        "garp_master_refresh_repeat 2",
    ];
    both(stage, |_| lines.iter().fold(Conf::v3(), |conf, line| conf.with(*line)));
    for node in [1, 2] {
        // One at once, one after the delay, then two each second.
        wait_announced(stage, node, VIP, 8, s(6.0));
    }
}

/// The farewell is an advertisement with priority 0 and nothing else changed.
fn farewell(stage: &mut Stage) {
    both(stage, |_| Conf::v3());
    for node in [1, 2] {
        let stopping = stage.stop(node);
        let (_, last) = stage.advert(node, stopping, s(0.0), "priority 0", |it| it.priority == 0);
        let before = stage.last_advert(node, stopping);
        let sent = stage.lab.adverts(node, before);
        let (mut ordinary, mut bye) = (image(&sent[0].1, node), image(&last, node));
        assert_eq!((ordinary.pdu[2], bye.pdu[2]), (100, 0));
        (ordinary.pdu[2], bye.pdu[2]) = (0, 0);
        assert_eq!(ordinary, bye);
        let after = sent.iter().filter(|(at, it)| *at > stopping && it.priority != 0).count();
        // One may have been due in the moment of the signal.
        assert!(after <= 2, "{after} advertisements after the signal");
    }
}
