//! The firewall on the real kernel, with real packets; `nft list` is the second opinion.

mod namespace;
mod peer;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use namespace::{inside, run, veth};
use netlink::nftables::{Closed, Firewall, Nftables, NftablesOptions, Vmac};
use netlink::{AddMode, Address, AddressFlags, Family, Kernel as _, MacvlanMode, Netlink, Request};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike as _};
use peer::Peer;
use standfast_netlink as netlink;

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn closed(text: &str) -> Closed {
    Closed { ip: ip(text), ifindex: None }
}

fn closed_on(text: &str, ifindex: u32) -> Closed {
    Closed { ip: ip(text), ifindex: Some(ifindex) }
}

fn firewall(closed: &[Closed], vmacs: &[Vmac]) -> Firewall {
    Firewall { closed: closed.iter().copied().collect(), vmacs: vmacs.iter().copied().collect() }
}

fn nftables() -> Nftables {
    Nftables::open(NftablesOptions::default()).expect("nftables")
}

fn ruleset() -> String {
    run("nft list ruleset").split_whitespace().collect::<Vec<_>>().join(" ")
}

fn index(kernel: &mut Netlink, name: &str) -> u32 {
    let links = kernel.links().expect("links");
    links.into_iter().find(|link| link.name == name).expect("the interface exists").index
}

fn add(kernel: &mut Netlink, ifindex: u32, address: &str, prefix_len: u8) {
    let mut address = Address::new(ifindex, ip(address), prefix_len);
    if address.ip.is_ipv6() {
        address.flags |= AddressFlags::NODAD;
    }
    let request = Request::AddAddress { address, mode: AddMode::Exclusive };
    assert_eq!(kernel.apply(&[request]), [Ok(())]);
}

#[test]
fn the_tables_read_as_documented() {
    inside("the_tables_read_as_documented", || {
        veth("v0", "v1");
        let mut kernel = Netlink::open().expect("netlink");
        let (v0, v1) = (index(&mut kernel, "v0"), index(&mut kernel, "v1"));
        let options =
            NftablesOptions { priority: 10, counters: true, ..NftablesOptions::default() };
        let mut nftables = Nftables::open(options).expect("nftables");
        let vmac = |family| Vmac { family, ifindex: v1, parent: v0 };
        let wanted = firewall(
            &[
                closed("198.51.100.9"),
                closed_on("198.51.100.10", v0),
                closed("2001:db8::9"),
                closed_on("fe80::9", v0),
            ],
            &[vmac(Family::V4), vmac(Family::V6)],
        );
        nftables.apply(&wanted).expect("it is installed");
        let text = ruleset();
        for expected in [
            "table ip keepalived { set closed { type ipv4_addr elements = { 198.51.100.9 } }",
            "set closed_on { type ipv4_addr . iface_index elements = { 198.51.100.10 . \"v0\" } }",
            "map vmac_parent { type iface_index : iface_index elements = { \"v1\" : \"v0\" } }",
            "chain output { type filter hook output priority filter + 10; policy accept; \
             ip protocol igmp dup to ip daddr device oif map @vmac_parent counter packets",
            "ip saddr @closed counter packets 0 bytes 0 drop",
            "ip saddr . oif @closed_on counter packets 0 bytes 0 drop",
            "chain input { type filter hook input priority filter + 10; policy accept; \
             ip daddr @closed counter packets 0 bytes 0 drop \
             ip daddr . iif @closed_on counter packets 0 bytes 0 drop } }",
            "table ip6 keepalived { set closed { type ipv6_addr elements = { 2001:db8::9 } }",
            "set closed_on { type ipv6_addr . iface_index elements = { fe80::9 . \"v0\" } }",
            "set vmacs { type iface_index elements = { \"v1\" } }",
            "icmpv6 type mld2-listener-report dup to ip6 daddr device oif map @vmac_parent",
            "icmpv6 type nd-router-solicit oif @vmacs counter packets",
            "ip6 daddr @closed counter packets 0 bytes 0 drop",
        ] {
            assert!(text.contains(expected), "no {expected:?} in\n{text}");
        }
        nftables.remove().expect("it is removed");
        assert_eq!(ruleset(), "");
    });
}

#[test]
fn elements_follow_and_foreign_tables_stay() {
    inside("elements_follow_and_foreign_tables_stay", || {
        run("nft add table ip other");
        let mut nftables = nftables();
        nftables.apply(&firewall(&[closed("198.51.100.1"), closed("198.51.100.2")], &[])).unwrap();
        assert!(ruleset().contains("elements = { 198.51.100.1, 198.51.100.2 }"));
        let handle = || {
            let text = run("nft -a list table ip keepalived");
            text.lines().next().expect("a line").to_owned()
        };
        let before = handle();
        nftables.apply(&firewall(&[closed("198.51.100.2"), closed("198.51.100.3")], &[])).unwrap();
        assert!(ruleset().contains("elements = { 198.51.100.2, 198.51.100.3 }"));
        assert_eq!(handle(), before, "the table was kept, not replaced");
        assert!(!ruleset().contains("ip6"), "no table for a family without need");
        let vmac = |parent| Vmac { family: Family::V4, ifindex: 7, parent };
        nftables.apply(&firewall(&[], &[vmac(1)])).unwrap();
        nftables.apply(&firewall(&[], &[vmac(2)])).unwrap();
        let text = ruleset();
        assert!(text.contains("elements = { 7 : 2 }"), "{text}");
        nftables.apply(&Firewall::default()).unwrap();
        assert_eq!(ruleset(), "table ip other { }");
    });
}

#[test]
fn a_table_left_by_an_earlier_daemon_is_replaced_at_once() {
    inside("a_table_left_by_an_earlier_daemon_is_replaced_at_once", || {
        run("nft add table ip keepalived");
        run("nft add set ip keepalived vips { type ipv4_addr; }");
        let mut first = nftables();
        first.apply(&firewall(&[closed("198.51.100.1")], &[])).unwrap();
        assert!(!ruleset().contains("vips"));
        drop(first);
        let mut second = nftables();
        second.apply(&firewall(&[closed("198.51.100.2")], &[])).unwrap();
        assert!(ruleset().contains("elements = { 198.51.100.2 }"));
        let mut third = nftables();
        third.apply(&Firewall::default()).unwrap();
        assert_eq!(ruleset(), "", "also when nothing is wanted any more");
    });
}

#[test]
fn a_refused_change_is_reported_and_mended_by_the_next() {
    inside("a_refused_change_is_reported_and_mended_by_the_next", || {
        let mut nftables = nftables();
        nftables.apply(&firewall(&[closed("198.51.100.1")], &[])).unwrap();
        run("nft delete table ip keepalived");
        let wanted = firewall(&[closed("198.51.100.1"), closed("198.51.100.2")], &[]);
        let error = nftables.apply(&wanted).expect_err("the table is gone");
        assert_eq!(error.errno(), Some(nix::errno::Errno::ENOENT));
        nftables.apply(&wanted).expect("now it is replaced as a whole");
        assert!(ruleset().contains("elements = { 198.51.100.1, 198.51.100.2 }"));
    });
}

#[test]
fn five_thousand_addresses_fit() {
    inside("five_thousand_addresses_fit", || {
        let mut nftables = nftables();
        let all = (0..5000_u32).flat_map(|n| {
            let v6 = format!("2001:db8::{n:x}");
            [
                Closed { ip: Ipv4Addr::from_bits(0xc633_0000 + n).into(), ifindex: None },
                closed_on(&v6, 1),
            ]
        });
        let wanted = Firewall { closed: all.collect(), ..Firewall::default() };
        let start = Instant::now();
        nftables.apply(&wanted).expect("installed");
        println!("10,000 addresses closed in {:?}", start.elapsed());
        let count = |table: &str, set: &str| {
            run(&format!("nft list set {table} keepalived {set}")).matches(['.', ':']).count()
        };
        assert!(count("ip", "closed") >= 15_000);
        assert!(count("ip6", "closed_on") >= 15_000);
        let mut more = wanted.clone();
        more.closed.insert(closed("203.0.113.1"));
        let start = Instant::now();
        nftables.apply(&more).expect("one more");
        println!("one more in {:?}", start.elapsed());
        nftables.remove().expect("removed");
        assert_eq!(ruleset(), "");
    });
}

/// Sends to an address of this namespace from the peer, `tries` times at most, and says whether it
/// arrives. The first packets may be lost while the address is resolved.
fn arrives(peer: &Peer, to: &str, tries: u32) -> bool {
    let to = ip(to);
    let any: IpAddr = if to.is_ipv4() { ip("0.0.0.0") } else { ip("::") };
    let receiver = UdpSocket::bind((any, 0)).expect("a port");
    let port = receiver.local_addr().expect("its number").port();
    receiver.set_read_timeout(Some(Duration::from_millis(300))).expect("timeout");
    let mut buffer = [0; 16];
    for _ in 0..tries {
        peer.run(move || {
            let sender = UdpSocket::bind((any, 0)).expect("a port");
            sender.send_to(b"hello", SocketAddr::new(to, port)).expect("it can be sent");
        });
        if receiver.recv_from(&mut buffer).is_ok() {
            return true;
        }
    }
    false
}

#[test]
fn closed_addresses_take_no_packets_but_are_resolved() {
    inside("closed_addresses_take_no_packets_but_are_resolved", || {
        veth("v0", "v1");
        let peer = Peer::new();
        peer.takes("v1");
        peer.run(|| {
            run("ip link set v1 up");
            run("ip address add 198.51.100.1/24 dev v1");
            run("ip address add 2001:db8::1/64 dev v1 nodad");
        });
        let mut kernel = Netlink::open().expect("netlink");
        let v0 = index(&mut kernel, "v0");
        for host in [2, 9, 10] {
            add(&mut kernel, v0, &format!("198.51.100.{host}"), 24);
            add(&mut kernel, v0, &format!("2001:db8::{host}"), 64);
        }
        let mut nftables = nftables();
        let wanted = firewall(
            &[
                closed("198.51.100.9"),
                closed_on("198.51.100.10", v0),
                closed("2001:db8::9"),
                closed_on("2001:db8::10", v0),
            ],
            &[],
        );
        nftables.apply(&wanted).expect("installed");
        for open in ["198.51.100.2", "2001:db8::2"] {
            assert!(arrives(&peer, open, 40), "{open}");
        }
        for shut in ["198.51.100.9", "198.51.100.10", "2001:db8::9", "2001:db8::10"] {
            assert!(!arrives(&peer, shut, 3), "{shut}");
        }
        let neighbours = peer.run(|| run("ip neighbour show"));
        for shut in ["198.51.100.9", "2001:db8::9", "2001:db8::10"] {
            let entry = neighbours.lines().find(|line| line.starts_with(&format!("{shut} ")));
            assert!(entry.is_some_and(|line| line.contains("lladdr")), "{shut} in {neighbours}");
        }
        // Limited to another interface, it does not concern this one.
        nftables.apply(&firewall(&[closed_on("198.51.100.9", v0 + 100)], &[])).expect("changed");
        for open in ["198.51.100.9", "198.51.100.10", "2001:db8::9", "2001:db8::10"] {
            assert!(arrives(&peer, open, 40), "{open}");
        }
    });
}

/// Frames with a membership report (IGMP, or MLD behind its hop-by-hop header) for a group.
fn reports(frames: &[Vec<u8>], group: IpAddr) -> Vec<[u8; 6]> {
    let needle: Vec<u8> = match group {
        IpAddr::V4(group) => group.octets().to_vec(),
        IpAddr::V6(group) => group.octets().to_vec(),
    };
    let is_report = |frame: &&Vec<u8>| {
        let (ethertype, body) = (frame.get(12..14), frame.get(34..).unwrap_or_default());
        let kind = match ethertype {
            Some([0x08, 0x00]) => frame.get(23) == Some(&2),
            Some([0x86, 0xdd]) => frame.get(20) == Some(&0) && frame.get(62) == Some(&143),
            _ => false,
        };
        kind && body.windows(needle.len()).any(|window| window == needle)
    };
    frames.iter().filter(is_report).filter_map(|frame| frame[6..12].try_into().ok()).collect()
}

#[test]
fn reports_of_a_vmac_leave_by_its_parent() {
    inside("reports_of_a_vmac_leave_by_its_parent", || {
        veth("v0", "v1");
        let peer = Peer::new();
        peer.takes("v1");
        peer.run(|| run("ip link set v1 up"));
        let mut kernel = Netlink::open().expect("netlink");
        let parent = index(&mut kernel, "v0");
        let links = kernel.links().expect("links");
        let parent_mac = links.iter().find(|link| link.index == parent).map(|it| &it.hw_address);
        let parent_mac: [u8; 6] = parent_mac.expect("v0").as_slice().try_into().expect("a MAC");
        let vmac = [0, 0, 0x5e, 0, 1, 51];
        let create = Request::CreateMacvlan {
            parent,
            name: "vrrp.51".into(),
            mode: MacvlanMode::Private,
            mac: Some(vmac),
            group: None,
        };
        assert_eq!(kernel.apply(&[create]), [Ok(())]);
        let ifindex = index(&mut kernel, "vrrp.51");
        assert_eq!(kernel.apply(&[Request::SetLinkUp { ifindex }]), [Ok(())]);
        add(&mut kernel, ifindex, "198.51.100.51", 32);

        // Without the firewall the virtual MAC shows; so the test sees what it should.
        let seen = sources(&peer, ifindex, 71);
        assert_eq!(seen, [vmac, vmac]);

        let mut nftables = nftables();
        let both = [Family::V4, Family::V6].map(|family| Vmac { family, ifindex, parent });
        nftables.apply(&firewall(&[], &both)).expect("installed");
        let seen = sources(&peer, ifindex, 72);
        assert_eq!(seen, [parent_mac, parent_mac]);
    });
}

/// Joins an IPv4 and an IPv6 group on an interface, and tells from which MACs the first reports
/// of each come to the peer.
fn sources(peer: &Peer, ifindex: u32, number: u8) -> [[u8; 6]; 2] {
    let v4 = Ipv4Addr::new(239, 1, 1, number);
    let v6 = format!("ff02::1:{number:x}").parse().expect("a group");
    let (ready, started) = std::sync::mpsc::channel();
    let (done, found) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            peer.run(move || {
                let ethernet = SockProtocol::EthAll;
                let fd = socket(AddressFamily::Packet, SockType::Raw, SockFlag::empty(), ethernet)
                    .expect("packet socket");
                let patience = TimeVal::milliseconds(200);
                setsockopt(&fd, sockopt::ReceiveTimeout, &patience).expect("timeout");
                ready.send(()).expect("the test waits");
                let mut frames = Vec::new();
                let mut buffer = [0; 2048];
                let deadline = Instant::now() + Duration::from_secs(20);
                while Instant::now() < deadline {
                    let fd = std::os::fd::AsRawFd::as_raw_fd(&fd);
                    if let Ok(len) = recv(fd, &mut buffer, MsgFlags::empty()) {
                        frames.push(buffer[..len].to_vec());
                    }
                    let groups = [IpAddr::V4(v4), IpAddr::V6(v6)];
                    let firsts = groups.map(|group| reports(&frames, group).first().copied());
                    if let [Some(one), Some(two)] = firsts {
                        done.send([one, two]).expect("the test waits");
                        return;
                    }
                }
                panic!("no reports among {} frames", frames.len());
            });
        });
        started.recv().expect("the peer listens");
        let one = UdpSocket::bind("0.0.0.0:0").expect("a socket");
        one.join_multicast_v4(&v4, &Ipv4Addr::new(198, 51, 100, 51)).expect("joined");
        let two = UdpSocket::bind("[::]:0").expect("a socket");
        two.join_multicast_v6(&v6, ifindex).expect("joined");
        let result = found.recv().expect("reports were seen");
        drop((one, two));
        result
    })
}
