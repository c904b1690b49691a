//! A sequence of hostile datagrams, with pauses, through the VRRP engine. Nothing panics; a packet
//! that is rejected changes no state and no timer; what needs a key is rejected without it; what the
//! engine sends is well-formed; and in the end it can be stopped, and holds nothing.
//!
//! The bytes are records: flags, pause in 20 ms, length, datagram. Random bytes would seldom pass a
//! checksum, so the flags can have it made good:
//!
//! | bit | |
//! |---|---|
//! | 0 | make the IP header whole: version, lengths, checksum |
//! | 1 | source, destination and TTL of a peer |
//! | 2 | correct the VRRP checksum |
//! | 3 | sign, as somebody who has the keys |

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU8;
use std::time::Duration;

use vrrp::{
    AntiReplay, Auth, Config, Datagram, Engine, Family, GroupConfig, HmacConfig, HmacKey, HmacMode,
    Input, Interface, InterfaceId, Now, Output, RouterConfig, RouterSnapshot, Secret, Snapshot,
    Time, Transmit, Transport, UnicastPeer, Version,
};
use wire::vrrp::ChecksumForm;
use wire::{ah, hmac_ext, ipv4, ipv6};

const INTERFACE: InterfaceId = InterfaceId(1);
const OURS_V4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const PEER_V4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
const OURS_V6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const PEER_V6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);
const PASSWORD: [u8; 8] = *b"sealed!!";
const HMAC_KEY: &[u8] = b"0123456789abcdef0123456789abcdef";

const MEND_IP: u8 = 1;
const FROM_PEER: u8 = 2;
const MEND_VRRP: u8 = 4;
const SIGN: u8 = 8;

/// More records than this teach nothing new.
const MAX_RECORDS: usize = 64;

/// Runs the records through an engine with a router of every kind.
pub fn run(data: &[u8]) {
    let mut bench = Bench::new();
    let mut rest = data;
    for _ in 0..MAX_RECORDS {
        let Some((&[flags, pause, len], tail)) = rest.split_first_chunk() else { break };
        let (datagram, tail) = tail.split_at(usize::from(len).min(tail.len()));
        rest = tail;
        bench.advance(Duration::from_millis(u64::from(pause) * 20));
        bench.packet(flags, datagram);
    }
    bench.stop();
}

struct Bench {
    engine: Engine,
    now: Now,
    stopped: bool,
}

impl Bench {
    fn new() -> Self {
        let now = Now::new(Time::ZERO, Duration::from_secs(1_800_000_000));
        let mut engine = Engine::new(config(), now);
        engine.handle(Input::Start, now);
        let mut bench = Self { engine, now, stopped: false };
        bench.drain();
        bench
    }

    /// Lets time pass, doing what falls due when it does.
    fn advance(&mut self, by: Duration) {
        let end = self.now.mono + by;
        while let Some(due) = self.engine.poll_timeout().filter(|&due| due <= end) {
            assert!(due >= self.now.mono, "a timer in the past was left unhandled");
            self.step_to(due);
            self.engine.handle_timeout(self.now);
            let next = self.engine.poll_timeout();
            assert!(next.is_none_or(|next| next > due), "a timer that is due again at once");
            self.drain();
        }
        self.step_to(end);
    }

    fn step_to(&mut self, to: Time) {
        let by = to.since(self.now.mono);
        self.now = Now::new(to, self.now.unix + by);
    }

    /// Takes the outputs, looks at each, says whether any was more than an event.
    fn drain(&mut self) -> bool {
        let mut acted = false;
        while let Some(output) = self.engine.poll_output() {
            match &output {
                Output::Event(event) => {
                    let _ = format!("{event:?}");
                    continue;
                }
                Output::Transmit(transmit) => well_formed(transmit),
                Output::Stopped => self.stopped = true,
                _ => {}
            }
            acted = true;
        }
        acted
    }

    fn packet(&mut self, flags: u8, datagram: &[u8]) {
        let mut bytes = datagram.to_vec();
        let signed = mend(flags, &mut bytes, self.now.unix);
        let before = self.engine.snapshot(self.now);
        let due = self.engine.poll_timeout();

        if bytes.first().is_some_and(|first| first >> 4 == 6) {
            let Ok(ip) = ipv6::Packet::new_checked(&bytes) else { return };
            let datagram = Datagram::V6 {
                src: ip.source(),
                dst: ip.destination(),
                hop_limit: ip.hop_limit(),
                payload: ip.payload(),
            };
            self.engine.handle(Input::Packet { interface: INTERFACE, datagram }, self.now);
        } else {
            let datagram = Datagram::V4 { bytes: &bytes };
            self.engine.handle(Input::Packet { interface: INTERFACE, datagram }, self.now);
        }

        let acted = self.drain();
        let after = self.engine.snapshot(self.now);
        let pairs = || before.routers.iter().zip(&after.routers);
        let accepted = pairs().find(|(was, is)| {
            is.statistics.advert_rcvd != was.statistics.advert_rcvd && !is_rejection(was, is)
        });
        if let Some((_, router)) = accepted {
            let sealed = matches!(router.name.as_str(), "ah" | "hmac" | "hmac6");
            assert!(!sealed || signed, "{} accepted an unsigned packet", router.name);
        } else {
            assert!(!acted, "an action caused by a rejected packet");
            assert_eq!(due, self.engine.poll_timeout());
            assert_eq!(before.groups, after.groups);
        }
        // The members of one group change together, nobody else does.
        let accepted = accepted.map(|(_, router)| (router.id, router.group.clone()));
        for (was, is) in pairs() {
            let concerned = accepted
                .as_ref()
                .is_some_and(|(id, group)| *id == is.id || group.is_some() && *group == is.group);
            if !concerned {
                assert_eq!(visible(was), visible(is), "changed by what it did not accept");
            }
        }
        sane(&after);
    }

    fn stop(&mut self) {
        self.engine.handle(Input::Stop, self.now);
        self.drain();
        // Nobody answers, so it takes the longest skew of all: a second and a margin.
        self.advance(Duration::from_secs(60));
        assert!(self.stopped && self.engine.is_stopped(), "does not stop");
        assert!(self.engine.snapshot(self.now).routers.iter().all(|router| !router.holds));
        assert_eq!(self.engine.poll_timeout(), None);
    }
}

/// What must hold of every state.
fn sane(snapshot: &Snapshot) {
    for router in &snapshot.routers {
        let master = router.state == vrrp::State::Master;
        assert!(router.holds || !master, "a MASTER that holds nothing");
        assert!(router.effective_priority > 0);
        assert!(router.peers.len() <= 4096, "peers are remembered without bound");
    }
    let group = |name: &str| snapshot.routers.iter().find(|router| router.name == name);
    if let (Some(one), Some(other)) = (group("sync4"), group("sync6")) {
        assert_eq!(one.holds, other.holds, "members of one group");
    }
}

/// Whether the counters say that a packet was rejected.
fn is_rejection(was: &RouterSnapshot, is: &RouterSnapshot) -> bool {
    let hard = |router: &RouterSnapshot| {
        let s = &router.statistics;
        // In version 3 another interval is counted but accepted.
        let interval = if router.version == Version::V2 { s.advert_interval_err } else { 0 };
        s.packet_len_err
            + interval
            + s.ip_ttl_err
            + s.invalid_type_rcvd
            + s.invalid_authtype
            + s.authtype_mismatch
            + s.auth_failure
            + s.auth_ext_missing
            + s.auth_ext_malformed
            + s.auth_ext_unknown_key
            + s.auth_ext_invalid_hmac
            + s.auth_ext_stale
            + s.auth_ext_replay
            + s.version_err
            + s.checksum_err
            + s.sender_err
    };
    hard(is) > hard(was)
}

/// A router without what a rejected packet may change: counters, and that its sender exists.
fn visible(router: &RouterSnapshot) -> RouterSnapshot {
    let mut router = router.clone();
    router.statistics = Default::default();
    router.peers.retain(|peer| peer.configured || peer.last_heard.is_some());
    router
}

/// Everything sent must be what a receiver accepts.
fn well_formed(transmit: &Transmit) {
    assert_eq!(transmit.ttl, 255);
    let (payload, source, destination) = match transmit.family {
        Family::V4 => {
            let ip = ipv4::Packet::new_checked(&transmit.bytes).expect("an IPv4 packet");
            assert!(ip.verify_checksum());
            assert_eq!(ip.total_len(), transmit.bytes.len());
            assert_eq!(ip.tos(), wire::vrrp::TRAFFIC_CLASS);
            assert_ne!(ip.identification(), 0);
            assert_eq!(ip.protocol(), transmit.protocol);
            let payload = if ip.protocol() == ah::PROTOCOL {
                assert!(ah::Key::new(PASSWORD).verify(&ip));
                ah::Packet::new_checked(ip.payload()).expect("verified").payload()
            } else {
                ip.payload()
            };
            (payload, IpAddr::from(ip.source()), IpAddr::from(ip.destination()))
        }
        Family::V6 => (&transmit.bytes[..], transmit.src, transmit.dst),
    };
    assert_eq!((source, destination), (transmit.src, transmit.dst));
    let packet = wire::vrrp::Packet::new_checked(payload, wire::Family::of(&source));
    let packet = packet.expect("a VRRP packet");
    wire::vrrp::Repr::parse(&packet).expect("an advertisement");
    let signed_v6 = transmit.family == Family::V6 && !packet.trailing().is_empty();
    if signed_v6 {
        assert!(packet.verify_checksum_with_trailing(source, destination));
    } else {
        assert!(packet.checksum_form(source, destination).is_some());
    }
    if !packet.trailing().is_empty() {
        let trailer = hmac_ext::Trailer::new_checked(packet.trailing()).expect("a trailer");
        assert!(hmac_ext::Key::new(HMAC_KEY).verify(source, &packet, &trailer));
        assert_eq!(packet.trailing().len(), hmac_ext::TRAILER_LEN);
    }
}

/// Makes good what the flags ask for. Says whether the datagram was signed.
fn mend(flags: u8, bytes: &mut [u8], unix: Duration) -> bool {
    if bytes.first().is_some_and(|first| first >> 4 == 6) {
        mend_v6(flags, bytes, unix)
    } else {
        mend_v4(flags, bytes, unix)
    }
}

fn mend_v4(flags: u8, bytes: &mut [u8], unix: Duration) -> bool {
    if bytes.len() < ipv4::HEADER_LEN {
        return false;
    }
    if flags & MEND_IP != 0 {
        bytes[0] = 0x45;
        bytes[6..8].fill(0);
        if bytes[9] != ah::PROTOCOL {
            bytes[9] = wire::vrrp::PROTOCOL;
        }
    }
    if flags & FROM_PEER != 0 {
        bytes[8] = 255;
        bytes[12..16].copy_from_slice(&PEER_V4.octets());
        let unicast = bytes[19] & 1 != 0;
        let to = if unicast { OURS_V4 } else { wire::vrrp::MULTICAST_V4 };
        bytes[16..20].copy_from_slice(&to.octets());
    }
    if flags & MEND_IP != 0 {
        seal_length(bytes);
    }
    let Ok(ip) = ipv4::Packet::new_checked(bytes) else { return false };
    let (source, destination) = (ip.source().into(), ip.destination().into());
    let is_ah = ip.protocol() == ah::PROTOCOL;
    let start = ip.header_len() + if is_ah { ah::HEADER_LEN } else { 0 };
    let end = ip.total_len();
    if start > end {
        return false;
    }
    mend_vrrp(flags, &mut bytes[start..end], source, destination);
    if flags & SIGN == 0 {
        return false;
    }
    if is_ah {
        return ah::Key::new(PASSWORD).seal(bytes).is_ok();
    }
    let signed = sign(&mut bytes[start..end], source, unix);
    if flags & MEND_IP != 0 {
        seal_length(bytes);
    }
    signed
}

fn mend_v6(flags: u8, bytes: &mut [u8], unix: Duration) -> bool {
    if bytes.len() < ipv6::HEADER_LEN {
        return false;
    }
    if flags & MEND_IP != 0 {
        let len = (bytes.len() - ipv6::HEADER_LEN) as u16;
        bytes[4..6].copy_from_slice(&len.to_be_bytes());
        bytes[6] = wire::vrrp::PROTOCOL;
    }
    if flags & FROM_PEER != 0 {
        bytes[7] = 255;
        bytes[8..24].copy_from_slice(&PEER_V6.octets());
        bytes[24..40].copy_from_slice(&wire::vrrp::MULTICAST_V6.octets());
    }
    let Ok(ip) = ipv6::Packet::new_checked(bytes) else { return false };
    let (source, destination) = (ip.source().into(), ip.destination().into());
    let end = ipv6::HEADER_LEN + ip.payload().len();
    let payload = &mut bytes[ipv6::HEADER_LEN..end];
    mend_vrrp(flags, payload, source, destination);
    flags & SIGN != 0 && sign(payload, source, unix)
}

/// Total length and header checksum.
fn seal_length(bytes: &mut [u8]) {
    let len = bytes.len() as u16; // at most 255
    bytes[2..4].copy_from_slice(&len.to_be_bytes());
    let id = u16::from_be_bytes([bytes[4], bytes[5]]);
    // Fails if there is no room for the header, which then stays as it is.
    let _ = ipv4::set_identification(bytes, id);
}

fn mend_vrrp(flags: u8, payload: &mut [u8], source: IpAddr, destination: IpAddr) {
    if flags & MEND_VRRP == 0 {
        return;
    }
    let Ok(packet) = wire::vrrp::Packet::new_checked(payload, wire::Family::of(&source)) else {
        return;
    };
    let form = ChecksumForm::usual(packet.version(), packet.family());
    let sum = packet.compute_checksum(form, source, destination);
    payload[6..8].copy_from_slice(&sum.to_be_bytes());
}

/// Overwrites what follows the packet proper by a trailer, where there is room.
fn sign(payload: &mut [u8], source: IpAddr, unix: Duration) -> bool {
    let Ok(packet) = wire::vrrp::Packet::new_checked(payload, wire::Family::of(&source)) else {
        return false;
    };
    let at = packet.pdu().len();
    let Some(room) = packet.trailing().first_chunk::<{ hmac_ext::TRAILER_LEN }>() else {
        return false;
    };
    // The fuzzer chooses counter and age: fresh, stale or repeated.
    let age = Duration::from_millis(u64::from(room[11]) * 100);
    let counter = u16::from_be_bytes([room[10], 0]);
    let stamp = hmac_ext::Stamp::new(unix.saturating_sub(age), counter);
    let trailer = hmac_ext::Key::new(HMAC_KEY).sign(source, &packet, 1, stamp);
    let mut bytes = Vec::with_capacity(hmac_ext::TRAILER_LEN);
    trailer.emit(&mut bytes);
    payload[at..at + bytes.len()].copy_from_slice(&bytes);
    true
}

/// A router of every kind; VRIDs count from 1.
fn config() -> Config {
    let hmac = |mode| {
        let key = NonZeroU8::MIN;
        Auth::Hmac(HmacConfig {
            keys: vec![HmacKey { id: key, secret: Secret::new(HMAC_KEY) }],
            active_key: key,
            time_window: Duration::from_secs(5),
            anti_replay: AntiReplay::Time,
            mode,
        })
    };
    let unicast = Transport::Unicast {
        peers: vec![UnicastPeer { address: PEER_V4.into(), min_ttl: Some(250), max_ttl: None }],
    };
    let mut routers = Vec::new();
    let mut add = |name: &str, version, family, change: &dyn Fn(&mut RouterConfig)| {
        let interface = Interface { id: INTERFACE, name: "eth0".to_owned() };
        let vrid = NonZeroU8::MIN.saturating_add(routers.len() as u8);
        let mut router = RouterConfig::new(name, interface, version, family, vrid);
        let (source, vip): (IpAddr, IpAddr) = match family {
            Family::V4 => (OURS_V4.into(), [198, 51, 100, 100].into()),
            Family::V6 => (OURS_V6.into(), [0xfe80, 0, 0, 0, 0, 0, 0, 0x100].into()),
        };
        router.source = Some(source);
        router.addresses = vec![vip];
        change(&mut router);
        routers.push(router);
    };
    add("plain", Version::V2, Family::V4, &|_| {});
    add("pass", Version::V2, Family::V4, &|r| r.auth = Auth::Pass(Secret::new(*b"pass")));
    add("ah", Version::V2, Family::V4, &|r| r.auth = Auth::Ah(Secret::new(PASSWORD)));
    add("v3", Version::V3, Family::V4, &|r| r.advert_interval = Duration::from_millis(100));
    add("unicast", Version::V3, Family::V4, &|r| {
        r.transport = unicast.clone();
        r.check_unicast_src = true;
    });
    add("hmac", Version::V3, Family::V4, &|r| r.auth = hmac(HmacMode::Enforce));
    add("hmac6", Version::V3, Family::V6, &|r| r.auth = hmac(HmacMode::Enforce));
    add("permissive", Version::V3, Family::V4, &|r| r.auth = hmac(HmacMode::Permissive));
    add("owner", Version::V3, Family::V4, &|r| r.priority = NonZeroU8::MAX);
    add("nopreempt", Version::V3, Family::V4, &|r| r.preempt = false);
    add("late", Version::V3, Family::V4, &|r| r.preempt_delay = Duration::from_secs(2));
    add("asv2", Version::V3, Family::V4, &|r| r.v3_checksum_as_v2 = true);
    add("v3six", Version::V3, Family::V6, &|_| {});
    add("sync4", Version::V3, Family::V4, &|_| {});
    add("sync6", Version::V3, Family::V6, &|_| {});
    let group = GroupConfig {
        name: "both".to_owned(),
        members: vec!["sync4".to_owned(), "sync6".to_owned()],
        ..GroupConfig::default()
    };
    Config { routers, groups: vec![group], log_unknown_vrids: true }
}
