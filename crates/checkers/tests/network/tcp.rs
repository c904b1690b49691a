//! TCP_CHECK.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use standfast_checkers::{Change, Kind, Start, Target};

use crate::{ID, Test, Watched, address, ip, nft, often, run};

pub(crate) const TESTS: &[Test] = &[
    ("tcp_comes_up_and_goes_down_with_its_server", comes_up_and_goes_down),
    ("tcp_v6_works_alike", v6_works_alike),
    ("tcp_is_down_when_nobody_answers", nobody_answers),
    ("tcp_is_down_when_the_backlog_is_full", backlog_is_full),
    ("tcp_is_down_when_icmp_says_so", icmp_says_so),
    ("tcp_is_down_without_a_route", no_route),
    ("tcp_closes_in_an_orderly_way", closes_orderly),
    ("tcp_comes_from_where_it_is_told", from_where_told),
    ("tcp_is_hindered_by_a_foreign_address", foreign_address),
    ("tcp_goes_by_the_interface_it_is_told", interface),
    ("tcp_carries_its_mark", mark),
    ("tcp_tells_attempts", attempts),
    ("tcp_takes_what_came_while_it_stood_still", stood_still),
];

const SERVER: &str = "127.0.0.1:8000";

fn target() -> Target {
    Target { timeout: Duration::from_millis(200), ..Target::new(address(SERVER)) }
}

fn comes_up_and_goes_down() {
    run(async {
        let listener = TcpListener::bind(SERVER).unwrap();
        let mut check = Watched::new(Kind::Tcp(target()), often());
        let success = check.up().await;
        assert!(success.to_string().starts_with("connected after "), "{success}");
        check.looks(3).await;
        drop(listener);
        assert_eq!(check.down().await, "connection refused by 127.0.0.1:8000");
        check.looks(3).await;
        let _listener = TcpListener::bind(SERVER).unwrap();
        check.up().await;
        assert!(check.events.try_recv().is_err(), "nothing else happened");
    });
}

fn v6_works_alike() {
    run(async {
        let listener = TcpListener::bind("[::1]:8000").unwrap();
        let target = Target { to: address("[::1]:8000"), ..target() };
        let mut check = Watched::new(Kind::Tcp(target), often());
        check.up().await;
        drop(listener);
        assert_eq!(check.down().await, "connection refused by [::1]:8000");
    });
}

fn nobody_answers() {
    run(async {
        let _listener = TcpListener::bind(SERVER).unwrap();
        let mut check = Watched::new(Kind::Tcp(target()), often());
        check.up().await;
        nft(
            "table inet t { chain c { type filter hook input priority 0; tcp dport 8000 drop; }; }",
        );
        assert_eq!(check.down().await, "no answer from 127.0.0.1:8000 within 0.2 s");
        nft("flush ruleset");
        check.up().await;
    });
}

fn backlog_is_full() {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&address(SERVER).into()).unwrap();
    socket.listen(0).unwrap();
    // The kernel takes one more than the backlog says.
    let _first = TcpStream::connect(SERVER).unwrap();
    run(async {
        let mut check = Watched::started(Kind::Tcp(target()), often(), Start::Resumed { up: true });
        assert_eq!(check.down().await, "no answer from 127.0.0.1:8000 within 0.2 s");
        socket.accept().unwrap();
        check.up().await;
    });
}

fn icmp_says_so() {
    nft("table inet t { chain c { type filter hook input priority 0; \
         tcp dport 8000 reject with icmp host-unreachable; }; }");
    run(async {
        let _listener = TcpListener::bind(SERVER).unwrap();
        let mut check = Watched::new(Kind::Tcp(target()), often());
        assert_eq!(check.down().await, "127.0.0.1:8000 is unreachable: No route to host");
        nft("flush ruleset");
        check.up().await;
    });
}

fn no_route() {
    run(async {
        let target = Target { to: address("198.51.100.9:80"), ..target() };
        let mut check = Watched::new(Kind::Tcp(target), often());
        let text = check.down().await;
        assert_eq!(text, "198.51.100.9:80 is unreachable: Network is unreachable");
    });
}

fn closes_orderly() {
    let listener = TcpListener::bind(SERVER).unwrap();
    let server = std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        // An end, not a reset, which some servers log as an error.
        connection.read(&mut [0]).unwrap()
    });
    run(async { Watched::new(Kind::Tcp(target()), often()).up().await });
    assert_eq!(server.join().unwrap(), 0);
}

fn from_where_told() {
    let listener = TcpListener::bind(SERVER).unwrap();
    let target = Target {
        bind_address: Some("127.0.0.77".parse().unwrap()),
        bind_port: Some(4321),
        ..target()
    };
    // What the kernel permits on the loopback interface only.
    sys::sysctl::swap("net/ipv4/tcp_tw_reuse", "0").unwrap();
    run(async {
        let mut check = Watched::new(Kind::Tcp(target), often());
        check.up().await;
        // Again and again from the same port.
        check.looks(3).await;
        assert!(check.events.try_recv().is_err());
        assert_eq!(check.checkers.status(ID).unwrap().failed, 0);
        for _ in 0..3 {
            assert_eq!(listener.accept().unwrap().1, address("127.0.0.77:4321"));
        }
    });
}

fn foreign_address() {
    run(async {
        let _listener = TcpListener::bind(SERVER).unwrap();
        let target = Target { bind_address: Some("198.51.100.1".parse().unwrap()), ..target() };
        let mut check =
            Watched::started(Kind::Tcp(target.clone()), often(), Start::Resumed { up: true });
        let Change::Hindered(failure) = check.change().await else { panic!("not hindered") };
        assert_eq!(
            failure.to_string(),
            "cannot bind to our address: Cannot assign requested address for 127.0.0.1:8000"
        );
        // Told once, tried again, and when the address comes all is well without a word: the
        // server was up all the time.
        ip("address add 198.51.100.1/32 dev lo");
        check.looks(2).await;
        assert!(check.events.try_recv().is_err());
    });
}

fn interface() {
    ip("link add left type veth peer name right");
    ip("address add 198.51.100.1/24 dev left");
    ip("link set left up");
    ip("link set right up");
    run(async {
        let _listener = TcpListener::bind(SERVER).unwrap();
        let by = |name: &str| Kind::Tcp(Target { interface: Some(name.into()), ..target() });
        Watched::new(by("lo"), often()).up().await;
        // The loopback address is nowhere on that cable.
        let down = Watched::new(by("left"), often()).down().await;
        assert!(down.contains("127.0.0.1:8000"), "{down}");
        let mut check = Watched::new(by("absent"), often());
        let Change::Hindered(failure) = check.change().await else { panic!("not hindered") };
        assert_eq!(
            failure.to_string(),
            "cannot bind to the interface: No such device for 127.0.0.1:8000"
        );
    });
}

fn mark() {
    nft("table inet t { chain c { type filter hook output priority 0; \
         tcp dport 8000 meta mark != 42 reject with tcp reset; }; }");
    run(async {
        let _listener = TcpListener::bind(SERVER).unwrap();
        Watched::new(Kind::Tcp(Target { mark: Some(42), ..target() }), often()).up().await;
        let without = Watched::new(Kind::Tcp(target()), often()).down().await;
        assert_eq!(without, "connection refused by 127.0.0.1:8000");
    });
}

fn attempts() {
    run(async {
        let listener = TcpListener::bind(SERVER).unwrap();
        let schedule = standfast_checkers::schedule::Settings { retry: 2, ..often() };
        let mut check = Watched::new(Kind::Tcp(target()), schedule);
        check.up().await;
        drop(listener);
        for attempt in 1..=2 {
            match check.change().await {
                Change::Attempt { number, of: 2, .. } => assert_eq!(number, attempt),
                other => panic!("{other:?}"),
            }
        }
        let Change::Down { retries: 2, .. } = check.change().await else { panic!("not down") };
    });
}

/// The connection was made in time, though nobody saw it before the time was over.
fn stood_still() {
    nft("table inet t { chain c { type filter hook input priority 0; tcp dport 8000 drop; }; }");
    run(async {
        let _listener = TcpListener::bind(SERVER).unwrap();
        let target = Target { timeout: Duration::from_secs(2), ..target() };
        let mut check = Watched::new(Kind::Tcp(target), often());
        // It looks: nothing is waited for but the end of that.
        while check.checkers.status(ID).unwrap().next.is_some() {
            tokio::task::yield_now().await;
        }
        nft("flush ruleset");
        // The kernel asks again after one second.
        std::thread::sleep(Duration::from_secs(4));
        check.up().await;
        assert_eq!(check.checkers.status(ID).unwrap().failed, 0);
    });
}
