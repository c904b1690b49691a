//! Against what `ipvsadm` 1.31 and Linux 6.1 said to each other (captured with nlmon; payload of
//! the netlink messages), and forth and back.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn bytes(hex: &str) -> Vec<u8> {
    let pairs = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

/// Puts a netlink header before a payload.
fn framed(payload: &[u8]) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.begin(32, 0, 1);
    writer.put(payload);
    assert!(writer.end());
    writer.bytes().to_vec()
}

/// Command, then attributes: by path, and without those that are empty or all zero, which say the
/// same as their absence.
fn said(payload: &[u8]) -> (u8, BTreeMap<(u16, u16), Vec<u8>>) {
    let mut all = BTreeMap::new();
    for outer in Attributes(&payload[GENL_HEADER..]) {
        if !matches!(outer.kind, top::SERVICE | top::DEST | top::DAEMON) {
            all.insert((0, outer.kind), outer.data.to_vec());
            continue;
        }
        for inner in outer.nested() {
            let mut data = inner.data.to_vec();
            if outer.kind == top::SERVICE && inner.kind == svc::FLAGS {
                // Only bits that have a meaning matter.
                let mask = u32::from_ne_bytes(data[4..].try_into().unwrap()) & F_OURS;
                data[4..].copy_from_slice(&mask.to_ne_bytes());
            }
            if data.iter().any(|byte| *byte != 0) {
                all.insert((outer.kind, inner.kind), data);
            }
        }
    }
    (payload[0], all)
}

fn key(text: &str) -> ServiceKey {
    text.parse().unwrap()
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[track_caller]
fn says(request: &Request, captured: &str) {
    let ours = encode(request).unwrap();
    assert_eq!(said(&ours[16..]), said(&bytes(captured)));
}

/// A destination's message names the service; `ipvsadm` adds its own blank settings.
#[track_caller]
fn says_of_destination(request: &Request, captured: &str) {
    let ours = encode(request).unwrap();
    let (command, mut theirs) = said(&bytes(captured));
    let identifying = [svc::AF, svc::PROTOCOL, svc::ADDR, svc::PORT, svc::FWMARK];
    theirs.retain(|(outer, inner), _| *outer != top::SERVICE || identifying.contains(inner));
    assert_eq!(said(&ours[16..]), (command, theirs));
}

#[test]
fn services_are_written_as_ipvsadm_writes_them() {
    // -A -t 198.51.100.1:80 -s sh -b sh-port,sh-fallback -p 300 -M 255.255.255.0
    let sticky = |timeout, granularity| Some(Persistence { timeout, granularity });
    let service = Service {
        flags: SchedulerFlags::FLAG_1 | SchedulerFlags::FLAG_2,
        persistence: sticky(300, Granularity::prefix(Family::V4, 24)),
        ..Service::new("sh")
    };
    says(
        &Request::NewService(key("TCP 198.51.100.1:80"), service),
        "01010000540001800600010002000000060002000600000014000300c63364010000000000000000000000000\
         60004000050000007000600736800000c00070019000000ffffffff080008002c01000008000900ffffff00",
    );
    // -A -u [2001:db8::1]:53 -s rr -o
    let service = Service { one_packet: true, ..Service::new("rr") };
    says(
        &Request::NewService(key("UDP [2001:db8::1]:53"), service),
        "0101000054000180060001000a00000006000200110000001400030020010db8000000000000000000000001\
         060004000035000007000600727200000c00070004000000ffffffff08000800000000000800090080000000",
    );
    // -E -u [2001:db8::1]:53 -s wlc -p 60 -M 64
    let service = Service {
        persistence: sticky(60, Granularity::prefix(Family::V6, 64)),
        ..Service::new("wlc")
    };
    says(
        &Request::SetService(key("UDP [2001:db8::1]:53"), service),
        "0201000054000180060001000a00000006000200110000001400030020010db8000000000000000000000001\
         060004000035000008000600776c63000c00070001000000ffffffff080008003c0000000800090040000000",
    );
    // -A -f 7 -s wrr -p 50 --pe sip
    let service = Service {
        persistence: sticky(50, Granularity::Host),
        engine: Some("sip".into()),
        ..Service::new("wrr")
    };
    says(
        &Request::NewService(key("FWM 7"), service),
        "010100004000018006000100020000000800050007000000080006007772720008000b00736970000c000700\
         01000000ffffffff080008003200000008000900ffffffff",
    );
}

#[test]
fn destinations_are_written_as_ipvsadm_writes_them() {
    let web = key("TCP 198.51.100.1:80");
    // -a -t 198.51.100.1:80 -r 198.51.100.11:80 -i --tun-type gue --tun-port 6080 --tun-csum
    //    -w 5 -x 100 -y 50
    let gue = Tunnel::Gue { port: 6080, checksum: TunnelChecksum::Full };
    let forwarding = Forwarding::Tunnel(gue);
    let settings = Destination { forwarding, weight: 5, upper: 100, lower: 50 };
    says_of_destination(
        &Request::NewDestination(web, address("198.51.100.11:80"), settings),
        "05010000540001800600010002000000060002000600000014000300c6336401000000000000000000000000\
         060004000050000005000600000000000c00070000000000ffffffff080008000000000008000900ffffffff\
         6000028006000b000200000014000100c633640b000000000000000000000000060002000050000008000300\
         02000000080004000500000005000d000100000006000e0017c0000006000f00010000000800050064000000\
         0800060032000000",
    );
    // -e … -g -w 0
    says_of_destination(
        &Request::SetDestination(
            web,
            address("198.51.100.11:80"),
            Destination::new(Forwarding::Dr, 0),
        ),
        "06010000540001800600010002000000060002000600000014000300c6336401000000000000000000000000\
         060004000050000005000600000000000c00070000000000ffffffff080008000000000008000900ffffffff\
         6000028006000b000200000014000100c633640b000000000000000000000000060002000050000008000300\
         03000000080004000000000005000d000000000006000e000000000006000f00000000000800050000000000\
         0800060000000000",
    );
    // -a -f 7 -r 198.51.100.13 -i --tun-type gre --tun-csum
    let gre = Forwarding::Tunnel(Tunnel::Gre { checksum: TunnelChecksum::Full });
    says_of_destination(
        &Request::NewDestination(
            key("FWM 7"),
            address("198.51.100.13:0"),
            Destination::new(gre, 1),
        ),
        "05010000380001800600010002000000080005000700000005000600000000000c00070000000000ffffffff\
         080008000000000008000900ffffffff6000028006000b000200000014000100c633640d0000000000000000\
         000000000600020000000000080003000200000008000400010000 0005000d000200000006000e0000000000\
         06000f000100000008000500000000000800060000000000"
            .replace(' ', "")
            .as_str(),
    );
}

#[test]
fn the_rest_is_written_as_ipvsadm_writes_it() {
    says(
        &Request::SetTimeouts(Timeouts { tcp: 100, tcp_fin: 50, udp: 30 }),
        "0c01000008000400640000000800050032000000080006001e000000",
    );
    let daemon = SyncDaemon {
        max_len: Some(1000),
        group: Some([224, 1, 2, 3].into()),
        port: Some(9000),
        ttl: Some(3),
        ..SyncDaemon::new(SyncRole::Master, "d0", 9)
    };
    says(
        &Request::StartDaemon(daemon),
        "090100003c00038008000100010000000700020064300000080003000900000006000400e803000006000700\
         28230000050008000300000008000500e0010203",
    );
    let group = Some("ff02::81".parse().unwrap());
    says(
        &Request::StartDaemon(SyncDaemon { group, ..SyncDaemon::new(SyncRole::Backup, "d0", 9) }),
        "090100003000038008000100020000000700020064300000080003000900000014000600ff02000000000000\
         0000000000000081",
    );
    says(
        &Request::StopDaemon(SyncRole::Master),
        "0a0100001c000380080001000100000005000200000000000800030000000000",
    );
    says(&Request::Zero(None), "10010000");
    says(&Request::Flush, "11010000");
}

const COUNTERS: &str = "5c000a00080001000000000008000200000000000800030000000000\
     0c00040000000000000000000c0005000000000000000000080006000000000008000700000000000800080000000000\
     080009000000000008000a0000000000\
     7c000c000c00010009000000000000000c00020002000000010000000c00030003000000000000000c000400040000\
     00000000000c00050005000000000000000c00060006000000000000000c00070007000000000000000c0008000800\
     0000000000000c00090009000000000000000c000a000a00000000000000";

const COUNTED: Counters = Counters {
    connections: 9,
    packets_in: 0x1_0000_0002,
    packets_out: 3,
    bytes_in: 4,
    bytes_out: 5,
    connection_rate: 6,
    packet_rate_in: 7,
    packet_rate_out: 8,
    byte_rate_in: 9,
    byte_rate_out: 10,
};

#[test]
fn services_of_the_kernel_are_read() {
    let payload = bytes(&format!(
        "010100002c0101000600010002000000060002000600000014000300c633640100000000000000000000000006\
         0004000050000007000600736800000c0007001b000000ffffffff080008002c01000008000900ffffff00\
         {COUNTERS}"
    ));
    let persistence =
        Persistence { timeout: 300, granularity: Granularity::Mask([255, 255, 255, 0].into()) };
    let service = Service {
        flags: SchedulerFlags::FLAG_1 | SchedulerFlags::FLAG_2,
        persistence: Some(persistence),
        ..Service::new("sh")
    };
    let web = key("TCP 198.51.100.1:80");
    let state = ServiceState { key: web, service, counters: COUNTED };
    assert_eq!(decode(&framed(&payload), &web), [Reply::Service(state)]);
}

#[test]
fn destinations_of_the_kernel_are_read() {
    let mut payload = bytes(&format!(
        "050100005001020014000100c633640d000000000000000000000000060002000000000008000300020000000\
         80004000100000005000d000200000006000e000000000006000f0001000000080005000700000008000600050\
         000000800070001000000080008000200000008000900030000000600 0b0002000000{COUNTERS}"
    ).replace(' ', ""));
    let mark = key("FWM 7");
    let gre = Forwarding::Tunnel(Tunnel::Gre { checksum: TunnelChecksum::Full });
    let expected = DestinationState {
        service: mark,
        address: address("198.51.100.13:0"),
        destination: Destination { forwarding: gre, weight: 1, upper: 7, lower: 5 },
        active: 1,
        inactive: 2,
        persistent: 3,
        counters: COUNTED,
    };
    assert_eq!(decode(&framed(&payload), &mark), [Reply::Destination(expected.clone())]);
    // The kernel's own flags beside the method are not looked at: an inactive masquerading one.
    let method = payload.windows(8).position(|it| it == bytes("0800030002000000")).unwrap() + 4;
    payload[method..method + 4].copy_from_slice(&0x100_u32.to_ne_bytes());
    let nat = Destination { forwarding: Forwarding::Nat, ..expected.destination };
    let expected = DestinationState { destination: nat, ..expected };
    assert_eq!(decode(&framed(&payload), &mark), [Reply::Destination(expected)]);
}

#[test]
fn old_kernels_have_narrow_counters_and_no_family() {
    let mut writer = Writer::default();
    writer.begin(32, 0, 1);
    header(cmd::NEW_DEST, &mut writer);
    writer.nest(top::DEST, |writer| {
        put_address(dest::ADDR, [198, 51, 100, 11].into(), writer);
        writer.attr(dest::PORT, &80_u16.to_be_bytes());
        writer.nest(dest::STATS, |writer| {
            writer.attr_u32(1, 7);
            writer.attr(4, &5_000_000_000_u64.to_ne_bytes());
        });
    });
    assert!(writer.end());
    let replies = decode(writer.bytes(), &key("TCP 198.51.100.1:80"));
    let [Reply::Destination(state)] = replies.as_slice() else { panic!("{replies:?}") };
    assert_eq!(state.address, address("198.51.100.11:80"));
    assert_eq!((state.counters.connections, state.counters.bytes_in), (7, 5_000_000_000));
}

#[test]
fn daemons_timeouts_and_versions_are_read() {
    let web = key("TCP 198.51.100.1:80");
    let read = |hex| decode(&framed(&bytes(hex)), &web);
    let backup = SyncDaemon {
        max_len: Some(1452),
        group: Some("ff02::81".parse().unwrap()),
        port: Some(8848),
        ttl: Some(1),
        ..SyncDaemon::new(SyncRole::Backup, "d0", 9)
    };
    let captured = "090100004800030008000100020000000700020064300000080003000900000006000400ac050000\
                    0600070090220000050008000100000014000600ff020000000000000000000000000081";
    assert_eq!(read(captured), [Reply::Daemon(backup)]);
    let timeouts = Timeouts { tcp: 100, tcp_fin: 50, udp: 30 };
    let captured = "0c01000008000400640000000800050032000000080006001e000000";
    assert_eq!(read(captured), [Reply::Timeouts(timeouts)]);
    let info = Info { version: (1, 2, 1), connection_table: 4096 };
    assert_eq!(read("0e01000008000100010201000800020000100000"), [Reply::Info(info)]);
}

#[test]
fn what_the_kernel_would_mistake_is_not_sent() {
    let web = key("TCP 198.51.100.1:80");
    let service = |scheduler: &str| Service::new(scheduler);
    let bits = Persistence { timeout: 1, granularity: Granularity::Bits(64) };
    for request in [
        Request::DelService(ServiceKey::mark(Family::V4, 0)),
        Request::NewService(web, service("sixteen bytes it")),
        Request::NewService(web, service("r\0r")),
        Request::NewService(web, Service { engine: Some(String::new()), ..service("rr") }),
        Request::SetService(web, Service { persistence: Some(bits), ..service("rr") }),
        Request::StartDaemon(SyncDaemon::new(SyncRole::Master, "an-interface-too-long", 1)),
        Request::StartDaemon(SyncDaemon::new(SyncRole::Master, "", 1)),
    ] {
        assert!(matches!(encode(&request), Err(KernelError::Unsupported(_))), "{request:?}");
    }
}

proptest! {
    #[test]
    fn any_bytes_can_be_read(
        payload in proptest::collection::vec(any::<u8>(), 0..400), command in 0..18_u8,
    ) {
        let mut payload = payload;
        if let Some(first) = payload.first_mut() {
            *first = command;
        }
        for key in [key("TCP 198.51.100.1:80"), key("FWM 1 IPv6")] {
            let _ = decode(&framed(&payload), &key);
            let _ = decode(&payload, &key);
        }
    }
}
