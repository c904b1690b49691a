//! The raw sockets, between the two ends of virtual cables in a network namespace of our own.
//!
//! A harness of its own, because a process may only enter a user namespace (to need no root) while
//! it has one thread.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Trial};
use nix::poll::{PollFd, PollFlags, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, socket};
use standfast_sys as sys;
use sys::arp::{Frame, FrameSocket};
use sys::sysctl;
use sys::vrrp_socket::{
    Family, PROTOCOL_AH, PROTOCOL_VRRP, Packet, Receiver, ReceiverConfig, RecvBatch, Sender,
};

const SOURCE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
const NEAR6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // One after the other, in this thread: each has a namespace for itself.
    arguments.test_threads = Some(1);
    if !arguments.list
        && let Err(error) = enter_namespaces()
    {
        eprintln!("NOT TESTED: this machine permits no network namespaces: {error}");
        return ExitCode::SUCCESS;
    }
    let tests: [(&str, fn()); 11] = [
        ("v4_multicast_reaches_members_only", v4_multicast_reaches_members_only),
        (
            "v4_adverts_of_many_interfaces_leave_together",
            v4_adverts_of_many_interfaces_leave_together,
        ),
        ("adverts_by_a_virtual_mac_carry_it", adverts_by_a_virtual_mac_carry_it),
        ("v4_unicast_goes_by_address", v4_unicast_goes_by_address),
        ("ah_has_its_own_sockets", ah_has_its_own_sockets),
        ("v6_multicast_has_hop_limit_and_class", v6_multicast_has_hop_limit_and_class),
        ("v6_adverts_larger_than_the_mtu_arrive", v6_adverts_larger_than_the_mtu_arrive),
        ("lost_packets_are_counted", lost_packets_are_counted),
        ("a_failure_does_not_keep_back_the_rest", a_failure_does_not_keep_back_the_rest),
        ("memberships_survive_repetition_and_vanished_devices", memberships),
        ("a_thousand_frames_leave_in_order", a_thousand_frames_leave_in_order),
    ];
    let trials = tests
        .into_iter()
        .map(|(name, test)| {
            Trial::test(name, move || {
                unshare(CloneFlags::CLONE_NEWNET).map_err(|error| error.to_string())?;
                test();
                Ok(())
            })
        })
        .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn enter_namespaces() -> nix::Result<()> {
    if !nix::unistd::geteuid().is_root() {
        let (uid, gid) = (nix::unistd::getuid(), nix::unistd::getgid());
        unshare(CloneFlags::CLONE_NEWUSER)?;
        let write = |file: &str, text: String| {
            std::fs::write(format!("/proc/self/{file}"), text).expect("we own the namespace");
        };
        write("setgroups", "deny".to_owned());
        write("uid_map", format!("0 {uid} 1"));
        write("gid_map", format!("0 {gid} 1"));
    }
    unshare(CloneFlags::CLONE_NEWNET)
}

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status().expect("iproute2 is there");
    assert!(status.success(), "ip {arguments}");
}

/// Waits until the kernel's own work queue has noticed the carrier: until then a device that is up
/// swallows what it shall send.
fn await_carrier(name: &str) {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let output = Command::new("ip").args(["-o", "link", "show", name]).output().unwrap();
        if String::from_utf8_lossy(&output.stdout).contains(" state UP ") {
            return;
        }
        assert!(Instant::now() < deadline, "{name} has no carrier");
        std::thread::yield_now();
    }
}

/// A virtual cable between `near{n}` and `far{n}`; their indices.
fn cable(number: u32) -> (u32, u32) {
    let (near, far) = (format!("near{number}"), format!("far{number}"));
    ip(&format!("link add {near} type veth peer name {far}"));
    for name in [&near, &far] {
        ip(&format!("link set {name} addrgenmode none"));
        ip(&format!("link set {name} up"));
    }
    for (name, address) in [(&near, "fe80::1"), (&far, "fe80::2")] {
        await_carrier(name);
        ip(&format!("addr add {address}/64 dev {name} nodad"));
        sysctl::swap(&format!("net/ipv4/conf/{name}/rp_filter"), "0").unwrap();
    }
    sysctl::swap("net/ipv4/conf/all/rp_filter", "0").unwrap();
    // Without an address the kernel takes no IPv4 packets in.
    ip(&format!("addr add 203.0.113.{}/32 dev {far}", number + 1));
    let index = |name: &str| nix::net::if_::if_nametoindex(name).unwrap();
    (index(&near), index(&far))
}

fn v4_packet(protocol: u8, destination: Ipv4Addr, mark: u32) -> Vec<u8> {
    let mut packet = vec![0x45, 0xc0, 0, 0, 0, 0, 0, 0, 255, protocol, 0, 0];
    packet.extend(SOURCE.octets());
    packet.extend(destination.octets());
    packet.extend([0x31, 1, 100, 0]);
    packet.extend(mark.to_be_bytes());
    packet
}

fn packet(ifindex: Option<u32>, source: IpAddr, destination: IpAddr, bytes: &[u8]) -> Packet<'_> {
    Packet { ifindex, source, destination, hop_limit: 255, bytes }
}

fn group4() -> Ipv4Addr {
    Ipv4Addr::new(224, 0, 0, 18)
}

fn receiver(family: Family, ifindex: u32) -> Receiver {
    let receiver = outsider(family, ifindex);
    receiver.join(family.group(), ifindex).unwrap();
    receiver
}

fn outsider(family: Family, ifindex: u32) -> Receiver {
    Receiver::open(&ReceiverConfig {
        family,
        protocol: PROTOCOL_VRRP,
        ifindex: Some(ifindex),
        local: None,
        buffer: Some(1 << 20),
    })
    .unwrap()
}

/// What a test remembers of a packet.
#[derive(Debug)]
struct Heard {
    source: IpAddr,
    destination: IpAddr,
    ifindex: u32,
    hop_limit: Option<u8>,
    bytes: Vec<u8>,
    overflows: u32,
}

/// Receives `count` packets, within 10 s.
fn hear(receiver: &Receiver, count: usize) -> Vec<Heard> {
    let deadline = Instant::now() + Duration::from_secs(10);
    let (mut heard, mut batch) = (Vec::new(), RecvBatch::default());
    while heard.len() < count {
        assert!(Instant::now() < deadline, "heard {} of {count}", heard.len());
        let mut fds = [PollFd::new(receiver.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, 1000_u16).unwrap();
        take(receiver, &mut batch, &mut heard);
    }
    heard
}

/// Receives what is there.
fn take(receiver: &Receiver, batch: &mut RecvBatch, heard: &mut Vec<Heard>) {
    while receiver.receive(batch).unwrap() > 0 {
        for received in batch.iter() {
            assert!(!received.truncated);
            heard.push(Heard {
                source: received.source.unwrap(),
                destination: received.destination.unwrap(),
                ifindex: received.ifindex,
                hop_limit: received.hop_limit,
                bytes: received.bytes.to_vec(),
                overflows: received.overflows,
            });
        }
    }
}

fn assert_silent(receiver: &Receiver) {
    let (mut heard, mut batch) = (Vec::new(), RecvBatch::default());
    take(receiver, &mut batch, &mut heard);
    assert!(heard.is_empty(), "{heard:?}");
}

/// Sees every frame of the namespace, both directions.
fn capture() -> OwnedFd {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let all = SockProtocol::EthAll;
    let fd = socket(AddressFamily::Packet, SockType::Raw, flags, all).unwrap();
    let bytes = &(64 << 20);
    nix::sys::socket::setsockopt(&fd, nix::sys::socket::sockopt::RcvBuf, bytes).unwrap();
    fd
}

fn frames(capture: &OwnedFd, wanted: impl Fn(&[u8]) -> bool) -> Vec<Vec<u8>> {
    let (mut frames, mut buffer) = (Vec::new(), [0; 2048]);
    while let Ok(length) = recv(capture.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
        if wanted(&buffer[..length]) {
            frames.push(buffer[..length].to_vec());
        }
    }
    frames
}

fn v4_multicast_reaches_members_only() {
    let (near, far) = cable(0);
    let member = receiver(Family::V4, far);
    let stranger = outsider(Family::V4, far);
    let ourselves = receiver(Family::V4, near);
    let capture = capture();
    let sender = Sender::open(Family::V4, PROTOCOL_VRRP).unwrap();
    let bytes = v4_packet(PROTOCOL_VRRP, group4(), 1);
    let failed = sender.send(&[packet(Some(near), SOURCE.into(), group4().into(), &bytes)]);
    assert!(failed.is_empty(), "{failed:?}");
    let heard = hear(&member, 1).remove(0);
    assert_eq!((heard.source, heard.destination), (SOURCE.into(), group4().into()));
    assert_eq!((heard.ifindex, heard.hop_limit), (far, None));
    // Class, time to live and payload are ours; length and checksum the kernel's.
    assert_eq!((heard.bytes[1], heard.bytes[8]), (0xc0, 255));
    assert_eq!(heard.bytes[2..4], 28_u16.to_be_bytes());
    assert_ne!(heard.bytes[10..12], [0, 0]);
    assert_eq!(heard.bytes[20..], bytes[20..]);
    assert_silent(&stranger);
    assert_silent(&ourselves);
    let seen = frames(&capture, |frame| frame[12..14] == [8, 0] && frame[23] == PROTOCOL_VRRP);
    // Leaving one end and arriving at the other.
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0][..6], [0x01, 0, 0x5e, 0, 0, 0x12]);
}

fn v4_adverts_of_many_interfaces_leave_together() {
    let cables: Vec<_> = (0..3).map(cable).collect();
    let receivers: Vec<_> = cables.iter().map(|(_, far)| receiver(Family::V4, *far)).collect();
    let sender = Sender::open(Family::V4, PROTOCOL_VRRP).unwrap();
    let bytes: Vec<_> = (0..600).map(|mark| v4_packet(PROTOCOL_VRRP, group4(), mark)).collect();
    let packets: Vec<_> = bytes
        .iter()
        .enumerate()
        .map(|(number, bytes)| {
            let near = cables[number % cables.len()].0;
            packet(Some(near), SOURCE.into(), group4().into(), bytes)
        })
        .collect();
    let failed = sender.send(&packets);
    assert!(failed.is_empty(), "{failed:?}");
    for (number, receiver) in receivers.iter().enumerate() {
        let heard = hear(receiver, 200);
        let marks: Vec<_> = heard.iter().map(|heard| heard.bytes[24..].to_vec()).collect();
        let expected: Vec<_> =
            (0..200_u32).map(|place| (place * 3 + number as u32).to_be_bytes().to_vec()).collect();
        assert_eq!(marks, expected);
        assert!(heard.iter().all(|heard| heard.ifindex == cables[number].1));
    }
}

fn adverts_by_a_virtual_mac_carry_it() {
    let (near, far) = cable(0);
    let mac = [0, 0, 0x5e, 0, 1, 5];
    ip("link add vrrp.5 link near0 address 00:00:5e:00:01:05 type macvlan mode private");
    ip("link set vrrp.5 addrgenmode none");
    ip("link set vrrp.5 up");
    await_carrier("vrrp.5");
    // Whoever takes this lock finds the kernel's work done.
    ip("link set vrrp.5 up");
    let ifindex = nix::net::if_::if_nametoindex("vrrp.5").unwrap();
    assert_ne!(ifindex, near);
    let member = receiver(Family::V4, far);
    let capture = capture();
    let sender = Sender::open(Family::V4, PROTOCOL_VRRP).unwrap();
    let bytes = v4_packet(PROTOCOL_VRRP, group4(), 1);
    // The device has no address: the source is the one of its parent, or anybody's.
    let failed = sender.send(&[packet(Some(ifindex), SOURCE.into(), group4().into(), &bytes)]);
    assert!(failed.is_empty(), "{failed:?}");
    assert_eq!(hear(&member, 1)[0].source, IpAddr::V4(SOURCE));
    let seen = frames(&capture, |frame| frame[12..14] == [8, 0] && frame[23] == PROTOCOL_VRRP);
    assert!(!seen.is_empty() && seen.iter().all(|frame| frame[6..12] == mac));
}

fn v4_unicast_goes_by_address() {
    ip("link set lo up");
    ip("addr add 198.51.100.2/32 dev lo");
    ip("addr add 198.51.100.3/32 dev lo");
    let local = |host| {
        let config = ReceiverConfig {
            family: Family::V4,
            protocol: PROTOCOL_VRRP,
            ifindex: None,
            local: Some(Ipv4Addr::new(198, 51, 100, host).into()),
            buffer: None,
        };
        Receiver::open(&config).unwrap()
    };
    // The last of them does not exist.
    let (two, three, nobody) = (local(2), local(3), local(99));
    let sender = Sender::open(Family::V4, PROTOCOL_VRRP).unwrap();
    let destination = Ipv4Addr::new(198, 51, 100, 2);
    let source = Ipv4Addr::new(198, 51, 100, 3);
    let mut bytes = v4_packet(PROTOCOL_VRRP, destination, 5);
    // The source that the kernel fills in is the one that the packet names.
    bytes[12..16].fill(0);
    let failed = sender.send(&[packet(None, source.into(), destination.into(), &bytes)]);
    assert!(failed.is_empty(), "{failed:?}");
    let heard = hear(&two, 1).remove(0);
    assert_eq!((heard.source, heard.destination), (source.into(), destination.into()));
    assert_silent(&three);
    assert_silent(&nobody);
    let wrong = ReceiverConfig {
        family: Family::V6,
        protocol: PROTOCOL_VRRP,
        ifindex: None,
        local: Some(destination.into()),
        buffer: None,
    };
    assert_eq!(Receiver::open(&wrong).unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
}

fn ah_has_its_own_sockets() {
    let (near, far) = cable(0);
    let vrrp = receiver(Family::V4, far);
    let ah = Receiver::open(&ReceiverConfig {
        family: Family::V4,
        protocol: PROTOCOL_AH,
        ifindex: Some(far),
        local: None,
        buffer: None,
    })
    .unwrap();
    ah.join(Family::V4.group(), far).unwrap();
    // One sender serves both.
    let sender = Sender::open(Family::V4, PROTOCOL_VRRP).unwrap();
    let bytes = v4_packet(PROTOCOL_AH, group4(), 1);
    let failed = sender.send(&[packet(Some(near), SOURCE.into(), group4().into(), &bytes)]);
    assert!(failed.is_empty(), "{failed:?}");
    assert_eq!(hear(&ah, 1)[0].bytes[9], PROTOCOL_AH);
    assert_silent(&vrrp);
}

fn v6_multicast_has_hop_limit_and_class() {
    let (near, far) = cable(0);
    let (member, ourselves) = (receiver(Family::V6, far), receiver(Family::V6, near));
    // One for unicast: it has not joined either.
    let stranger = Receiver::open(&ReceiverConfig {
        family: Family::V6,
        protocol: PROTOCOL_VRRP,
        ifindex: Some(far),
        local: Some(IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2))),
        buffer: None,
    })
    .unwrap();
    let capture = capture();
    let sender = Sender::open(Family::V6, PROTOCOL_VRRP).unwrap();
    let bytes = [0x31, 9, 100, 1, 0, 100, 0xab, 0xcd];
    let group = Family::V6.group();
    let failed = sender.send(&[packet(Some(near), NEAR6.into(), group, &bytes)]);
    assert!(failed.is_empty(), "{failed:?}");
    let heard = hear(&member, 1).remove(0);
    assert_eq!((heard.source, heard.destination), (NEAR6.into(), group));
    assert_eq!((heard.ifindex, heard.hop_limit), (far, Some(255)));
    // The checksum is the sender's business: it is neither written nor judged here.
    assert_eq!(heard.bytes, bytes);
    assert_silent(&ourselves);
    assert_silent(&stranger);
    let seen =
        frames(&capture, |frame| frame[12..14] == [0x86, 0xdd] && frame[20] == PROTOCOL_VRRP);
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0][..6], [0x33, 0x33, 0, 0, 0, 0x12]);
    // Version and traffic class; the kernel's flow label follows.
    assert_eq!((seen[0][14], seen[0][15] & 0xf0), (0x6c, 0x00));
}

fn v6_adverts_larger_than_the_mtu_arrive() {
    let (near, far) = cable(0);
    let member = receiver(Family::V6, far);
    let sender = Sender::open(Family::V6, PROTOCOL_VRRP).unwrap();
    let bytes: Vec<_> = (0..8 + 255 * 16_u32).map(|place| place as u8).collect();
    let failed = sender.send(&[packet(Some(near), NEAR6.into(), Family::V6.group(), &bytes)]);
    assert!(failed.is_empty(), "{failed:?}");
    assert_eq!(hear(&member, 1)[0].bytes, bytes);
}

fn lost_packets_are_counted() {
    let (near, far) = cable(0);
    let member = Receiver::open(&ReceiverConfig {
        family: Family::V4,
        protocol: PROTOCOL_VRRP,
        ifindex: Some(far),
        local: None,
        buffer: Some(4096),
    })
    .unwrap();
    member.join(Family::V4.group(), far).unwrap();
    assert!(member.buffer().unwrap() < 16_384);
    let sender = Sender::open(Family::V4, PROTOCOL_VRRP).unwrap();
    let bytes = v4_packet(PROTOCOL_VRRP, group4(), 1);
    let one = packet(Some(near), SOURCE.into(), group4().into(), &bytes);
    assert!(sender.send(&[one; 500]).is_empty());
    let heard = hear(&member, 1);
    assert!(heard.len() < 500 && heard[0].overflows == 0);
    assert!(sender.send(&[one]).is_empty());
    assert_eq!(hear(&member, 1)[0].overflows as usize, 500 - heard.len());
}

fn a_failure_does_not_keep_back_the_rest() {
    let (near, far) = cable(0);
    let member = receiver(Family::V4, far);
    let sender = Sender::open(Family::V4, PROTOCOL_VRRP).unwrap();
    let bytes: Vec<_> = (0..5).map(|mark| v4_packet(PROTOCOL_VRRP, group4(), mark)).collect();
    let packets: Vec<_> = bytes
        .iter()
        .enumerate()
        .map(|(number, bytes)| {
            let ifindex = if number % 2 == 1 { 9999 } else { near };
            packet(Some(ifindex), SOURCE.into(), group4().into(), bytes)
        })
        .collect();
    let failed = sender.send(&packets);
    assert_eq!(failed.iter().map(|failure| failure.index).collect::<Vec<_>>(), [1, 3]);
    let marks: Vec<_> = hear(&member, 3).iter().map(|heard| heard.bytes[27]).collect();
    assert_eq!(marks, [0, 2, 4]);
    // The other family's addresses are refused, not sent to nowhere.
    let wrong = packet(Some(near), NEAR6.into(), Family::V6.group(), &bytes[0]);
    assert_eq!(sender.send(&[wrong]).len(), 1);
}

fn memberships() {
    let (near, far) = cable(0);
    let member = receiver(Family::V4, far);
    member.join(Family::V4.group(), far).unwrap();
    let sender = Sender::open(Family::V4, PROTOCOL_VRRP).unwrap();
    let bytes = v4_packet(PROTOCOL_VRRP, group4(), 1);
    let one = packet(Some(near), SOURCE.into(), group4().into(), &bytes);
    assert!(sender.send(&[one]).is_empty());
    assert_eq!(hear(&member, 1).len(), 1);
    member.leave(Family::V4.group(), far).unwrap();
    assert!(sender.send(&[one]).is_empty());
    // Join again and let a later packet prove that the one before was not heard.
    member.join(Family::V4.group(), far).unwrap();
    assert!(sender.send(&[one]).is_empty());
    assert_eq!(hear(&member, 1).len(), 1);
    for family in [Family::V4, Family::V6] {
        let member = receiver(family, far);
        member.leave(family.group(), far).unwrap();
        member.leave(family.group(), far).unwrap();
        assert!(member.join(family.group(), 9999).is_err());
        let wrong = if family == Family::V4 { Family::V6 } else { Family::V4 };
        assert!(member.join(wrong.group(), far).is_err());
    }
    let member = receiver(Family::V6, far);
    ip("link del near0");
    member.leave(Family::V6.group(), far).unwrap();
}

fn a_thousand_frames_leave_in_order() {
    let cables: Vec<_> = (0..4).map(cable).collect();
    let capture = capture();
    let socket = FrameSocket::open().unwrap();
    let bytes: Vec<_> = (0..1000_u32)
        .map(|number| {
            let mut frame = vec![0xff; 6];
            frame.extend([2, 0, 0, 0, 0, 1, 8, 6]);
            frame.extend(number.to_be_bytes());
            frame.resize(60, 0);
            frame
        })
        .collect();
    let burst: Vec<_> = bytes
        .iter()
        .enumerate()
        .map(|(number, bytes)| Frame { ifindex: cables[number % 4].0, bytes })
        .collect();
    let start = Instant::now();
    let failed = socket.send(&burst);
    let took = start.elapsed();
    assert!(failed.is_empty(), "{failed:?}");
    println!("1,000 frames over 4 interfaces: {took:?}");
    let is_ours = |frame: &[u8]| frame[6..14] == [2, 0, 0, 0, 0, 1, 8, 6];
    let mut seen = frames(&capture, is_ours);
    // Each is seen at both ends of its cable.
    seen.dedup();
    let numbers: Vec<_> = seen.iter().map(|frame| frame[14..18].to_vec()).collect();
    assert_eq!(seen.len(), 1000);
    assert!(numbers.is_sorted());
    ip("link set near1 down");
    let failed = socket.send(&burst[..8]);
    assert_eq!(failed.iter().map(|failure| failure.index).collect::<Vec<_>>(), [1, 5]);
    assert_eq!(failed[0].error.kind(), std::io::ErrorKind::NetworkDown);
    assert_eq!(frames(&capture, is_ours).len(), 12);
}
