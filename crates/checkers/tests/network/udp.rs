//! UDP_CHECK.

use std::net::UdpSocket;
use std::thread;
use std::time::Duration;

use config::model::checker::UdpReply;
use standfast_checkers::udp::Udp;
use standfast_checkers::{Detail, Kind, Start, Target};

use crate::{PATIENCE, Test, Watched, address, ip, nft, often, run};

pub(crate) const TESTS: &[Test] = &[
    ("udp_without_reply_is_up_unless_refused", up_unless_refused),
    ("udp_without_reply_is_up_at_once_when_answered", up_when_answered),
    ("udp_sends_the_filler_or_the_payload", payloads),
    ("udp_wants_its_reply", wants_its_reply),
    ("udp_is_down_when_nobody_replies", nobody_replies),
    ("udp_is_down_without_a_route", no_route),
    ("udp_is_down_when_nobody_has_the_address", nobody_has_it),
    ("udp_is_not_fooled_by_others", not_fooled),
    ("udp_has_its_time_although_we_are_busy", busy),
];

const SERVER: &str = "127.0.0.1:8000";

/// Waits 0.2 s: long enough for what must not come.
fn udp(payload: Option<&[u8]>, reply: Option<UdpReply>) -> Kind {
    within(Duration::from_millis(200), payload, reply)
}

/// Waits as long as a test does: for replies of a server that may be late on a busy machine.
fn patient(reply: Option<UdpReply>) -> Kind {
    within(PATIENCE, None, reply)
}

fn within(timeout: Duration, payload: Option<&[u8]>, reply: Option<UdpReply>) -> Kind {
    let target = Target { timeout, ..Target::new(address(SERVER)) };
    Kind::Udp(Box::new(Udp { payload: payload.map(<[u8]>::to_vec), reply, target }))
}

fn abc() -> Option<UdpReply> {
    Some(UdpReply {
        pattern: vec![(b'a', 0xff), (0, 0), (b'c', 0xff)],
        min_length: 3,
        max_length: 5,
    })
}

/// Answers each datagram with the next of these, then no more.
fn server(replies: &'static [&'static [u8]]) {
    let socket = UdpSocket::bind(SERVER).unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 2_000];
        for reply in replies {
            let (_, from) = socket.recv_from(&mut buffer).unwrap();
            socket.send_to(reply, from).unwrap();
        }
        // It stays open, so that nothing is refused.
        while socket.recv_from(&mut buffer).is_ok() {}
    });
}

fn up_unless_refused() {
    run(async {
        let socket = UdpSocket::bind(SERVER).unwrap();
        let mut check = Watched::new(udp(None, None), often());
        assert_eq!(check.up().await.detail, Detail::NotRefused);
        drop(socket);
        assert_eq!(check.down().await, "connection refused by 127.0.0.1:8000");
        server(&[]);
        assert_eq!(check.up().await.detail, Detail::NotRefused);
    });
}

fn up_when_answered() {
    server(&[b"anything"]);
    run(async {
        let mut check = Watched::new(patient(None), often());
        assert_eq!(check.up().await.detail, Detail::Answered);
    });
}

fn payloads() {
    let socket = UdpSocket::bind(SERVER).unwrap();
    let mut buffer = [0; 100];
    let mut sent = |payload: Option<&[u8]>| {
        run(async { Watched::new(udp(payload, None), often()).up().await });
        let length = socket.recv(&mut buffer).unwrap();
        buffer[..length].to_vec()
    };
    assert_eq!(sent(None).len(), 32);
    assert_eq!(sent(Some(&[0, 255, 7])), [0, 255, 7]);
    assert!(sent(Some(&[])).is_empty());
}

fn wants_its_reply() {
    server(&[b"aXc", b"aYcde", b"abcdef", b"abc", b"ab", b"abc", b"abd", b"abc", b""]);
    run(async {
        let mut check = Watched::new(patient(abc()), often());
        assert_eq!(check.up().await.detail, Detail::Replied(3));
        assert_eq!(
            check.down().await,
            "reply of at least 6 bytes, wanted 3-5, from 127.0.0.1:8000"
        );
        check.up().await;
        assert_eq!(check.down().await, "reply of 2 bytes, wanted 3-5, from 127.0.0.1:8000");
        check.up().await;
        assert_eq!(check.down().await, "reply with 64 at byte 2, wanted 63, from 127.0.0.1:8000");
        check.up().await;
        assert_eq!(check.down().await, "reply of 0 bytes, wanted 3-5, from 127.0.0.1:8000");
    });
}

fn nobody_replies() {
    server(&[]);
    run(async {
        let mut check = Watched::new(udp(None, abc()), often());
        assert_eq!(check.down().await, "no answer from 127.0.0.1:8000 within 0.2 s");
    });
}

fn no_route() {
    run(async {
        let target = Target::new(address("198.51.100.9:53"));
        let kind = Kind::Udp(Box::new(Udp { payload: None, reply: None, target }));
        assert_eq!(
            Watched::new(kind, often()).down().await,
            "198.51.100.9:53 is unreachable: Network is unreachable"
        );
    });
}

fn nobody_has_it() {
    ip("link add left type veth peer name right");
    ip("address add 198.51.100.1/24 dev left");
    ip("link set left up");
    ip("link set right up");
    run(async {
        let target =
            Target { timeout: Duration::from_secs(20), ..Target::new(address("198.51.100.9:53")) };
        let kind = Kind::Udp(Box::new(Udp { payload: None, reply: None, target }));
        assert_eq!(
            Watched::new(kind, often()).down().await,
            "198.51.100.9:53 is unreachable: No route to host"
        );
    });
}

/// A reply from another port is nobody's; an ICMP error is as good as a refusal.
fn not_fooled() {
    let socket = UdpSocket::bind(SERVER).unwrap();
    thread::spawn(move || {
        let stranger = UdpSocket::bind("127.0.0.1:8001").unwrap();
        while let Ok((_, from)) = socket.recv_from(&mut [0; 100]) {
            stranger.send_to(b"abc", from).unwrap();
        }
    });
    run(async {
        let mut check = Watched::started(udp(None, abc()), often(), Start::Resumed { up: true });
        assert_eq!(check.down().await, "no answer from 127.0.0.1:8000 within 0.2 s");
        nft("table inet t { chain c { type filter hook input priority 0; \
             udp dport 8000 reject with icmp admin-prohibited; }; }");
        let mut check = Watched::new(udp(None, abc()), often());
        assert_eq!(check.down().await, "127.0.0.1:8000 is unreachable: No route to host");
    });
}

/// Each round of the loop takes longer than the server may: the time runs from the question on.
fn busy() {
    run(async {
        server(&[b"abc"]);
        tokio::task::spawn_local(async {
            loop {
                thread::sleep(Duration::from_millis(600));
                tokio::task::yield_now().await;
            }
        });
        let kind = within(Duration::from_millis(300), None, abc());
        let mut check = Watched::new(kind, often());
        assert_eq!(check.up().await.detail, Detail::Replied(3));
    });
}
