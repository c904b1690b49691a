//! Who answers: schedulers and forwarding methods with connections of a client.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use standfast_lab::farm::{VIP, VIP6};

use crate::Scenario;
use crate::cases::{real, server};
use crate::play::{LIMIT, Play};
use crate::server::{Manner, Tcp, Udp};

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("schedulers", schedulers),
        Scenario::new("nat_and_persistence", nat),
        Scenario::new("direct_routing_and_tunnels", direct),
    ]
}

/// A connection to `to`, from `from` when given, that stays open, and who greeted.
#[track_caller]
pub(crate) fn connect(play: &Play, to: &str, from: Option<&str>) -> (TcpStream, String) {
    let to: SocketAddr = to.parse().expect("an address");
    let from: Option<IpAddr> = from.map(|text| text.parse().expect("an address"));
    let attempt = play.farm().client().run(move || {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
        if let Some(from) = from {
            socket.bind(&SocketAddr::new(from, 0).into())?;
        }
        socket.connect_timeout(&to.into(), LIMIT)?;
        let mut stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(LIMIT))?;
        let mut name = [0_u8; 2];
        stream.read_exact(&mut name)?;
        Ok::<_, std::io::Error>((stream, String::from_utf8_lossy(&name).into_owned()))
    });
    attempt.unwrap_or_else(|error| panic!("no answer from {to}: {error}"))
}

/// Connects and closes: who greeted.
#[track_caller]
pub(crate) fn ask(play: &Play, to: &str, from: Option<&str>) -> String {
    connect(play, to, from).1
}

/// Sends a datagram: who answered.
#[track_caller]
fn ask_udp(play: &Play, to: &str) -> String {
    let to: SocketAddr = to.parse().expect("an address");
    let attempt = play.farm().client().run(move || {
        let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any)?;
        socket.set_read_timeout(Some(LIMIT))?;
        socket.send_to(b"who", to)?;
        let mut name = [0_u8; 16];
        let length = socket.recv(&mut name)?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&name[..length]).into_owned())
    });
    attempt.unwrap_or_else(|error| panic!("no answer from {to}: {error}"))
}

/// How often each answered.
fn tally(names: &[String]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for name in names {
        *counts.entry(name).or_default() += 1;
    }
    counts.iter().map(|(name, count)| format!("{name} x{count}")).collect::<Vec<_>>().join(" ")
}

/// Servers that greet with their names, on each machine at `port` of every address.
pub(crate) fn greeters(play: &Play, count: usize, port: u16) -> Vec<Tcp> {
    const NAMES: [&str; 4] = ["r1", "r2", "r3", "r4"];
    (1..=count)
        .map(|number| {
            let manner = Manner::Greets(NAMES[number - 1]);
            Tcp::serve(play.farm().real(number), &format!("[::]:{port}"), manner)
        })
        .collect()
}

/// `count` real servers with weights, the first the heaviest.
fn reals(count: usize, port: u16) -> String {
    (1..=count)
        .map(|number| {
            let weight = format!("weight {}", count + 1 - number);
            real(&format!("203.0.113.{} {port}", 10 + number), &weight)
        })
        .collect()
}

/// All but twos, which is random and not in every kernel.
const SCHEDULERS: [&str; 13] =
    ["rr", "wrr", "lc", "wlc", "lblc", "lblcr", "sh", "mh", "dh", "fo", "ovf", "sed", "nq"];

fn schedulers(play: &mut Play) {
    play.build(3);
    let _servers = greeters(play, 3, 80);
    for host in 200..206 {
        let line = format!("ip addr add 198.51.100.{host}/32 dev front");
        play.farm().client().command(&line).expect("ip");
    }
    let mut text = String::new();
    for (index, scheduler) in SCHEDULERS.iter().enumerate() {
        let settings = format!("lb_algo {scheduler}\n  lb_kind NAT\n  protocol TCP");
        text += &server(&format!("{VIP} {}", 8001 + index), &settings, &reals(3, 80));
    }
    play.start(&text);
    play.table_until("all destinations", |lines| {
        lines.iter().filter(|line| line.starts_with("-a")).count() == 3 * SCHEDULERS.len()
    });
    for (index, scheduler) in SCHEDULERS.iter().enumerate() {
        let to = format!("{VIP}:{}", 8001 + index);
        let names: Vec<String> = match *scheduler {
            "sh" | "mh" => (0..12)
                .map(|round| ask(play, &to, Some(&format!("198.51.100.{}", 200 + round % 6))))
                .collect(),
            // Who has how many open connections decides.
            "lc" | "wlc" | "sed" | "nq" | "ovf" => {
                // Who has too many gets no more of ovf, and in the end nobody does.
                let count = if *scheduler == "ovf" { 6 } else { 12 };
                let open: Vec<_> = (0..count).map(|_| connect(play, &to, None)).collect();
                open.into_iter().map(|(_, name)| name).collect()
            }
            _ => (0..12).map(|_| ask(play, &to, None)).collect(),
        };
        let tally = tally(&names);
        match *scheduler {
            "rr" => assert_eq!(tally, "r1 x4 r2 x4 r3 x4", "rr: each as often as the others"),
            "wrr" => assert_eq!(tally, "r1 x6 r2 x4 r3 x2", "wrr: by weight"),
            "wlc" | "sed" => assert_eq!(tally, "r1 x6 r2 x4 r3 x2", "{scheduler}: by weight"),
            "fo" => assert_eq!(tally, "r1 x12", "fo: the heaviest"),
            "dh" => assert!(!tally.contains(' ') || tally.matches('x').count() == 1, "dh: one"),
            "sh" | "mh" => assert_eq!(names[..6], names[6..], "{scheduler}: as last time"),
            _ => {}
        }
        // Those by locality depend on how many connections are still closing.
        if !scheduler.starts_with("lblc") {
            play.note(format!("{scheduler}: {tally}"));
        }
    }
    play.stop();
}

fn who_udp(number: usize) -> crate::server::Reply {
    match number {
        1 => |_| Some(b"r1".to_vec()),
        _ => |_| Some(b"r2".to_vec()),
    }
}

fn nat(play: &mut Play) {
    play.build(2);
    let _servers = greeters(play, 2, 80);
    let _datagrams: Vec<Udp> = (1..=2)
        .map(|number| Udp::serve(play.farm().real(number), "[::]:53", who_udp(number)))
        .collect();
    let ways = [("mark", "198.51.100.150"), ("group", "198.51.100.151")];
    for (_, address) in ways {
        play.run(&format!("ip addr add {address}/32 dev front"));
    }
    // The packets of the marked service.
    let rules = "table ip marks {\n chain pre {\n  type filter hook prerouting priority -150;\n  \
                 ip daddr 198.51.100.150 meta mark set 3\n }\n}\n";
    play.farm().director().feed(&["nft", "-f", "-"], rules).expect("nft");
    let six = real("2001:db8:1::11 80", "") + &real("2001:db8:1::12 80", "");
    let rr = "lb_algo rr\n  lb_kind NAT\n  protocol TCP";
    let text = server(&format!("{VIP} 80"), rr, &reals(2, 80))
        + &server(&format!("{VIP6} 80"), rr, &six)
        + &server(&format!("{VIP} 81"), &format!("{rr}\n  persistence_timeout 60"), &reals(2, 80))
        + &server(&format!("{VIP} 53"), "lb_algo rr\n  lb_kind NAT\n  protocol UDP", &reals(2, 53))
        + &server("fwmark 3", "lb_algo rr\n  lb_kind NAT", &reals(2, 80))
        + "virtual_server_group G {\n  198.51.100.151 80\n  198.51.100.151 82\n}\n"
        + &server("group G", rr, &reals(2, 80));
    play.start(&text);
    play.table_until("all destinations", |lines| {
        lines.iter().filter(|line| line.starts_with("-a")).count() == 14
    });
    for to in [
        format!("{VIP}:80"),
        format!("[{VIP6}]:80"),
        "198.51.100.150:80".to_owned(),
        "198.51.100.151:80".to_owned(),
        "198.51.100.151:82".to_owned(),
    ] {
        let names: Vec<String> = (0..4).map(|_| ask(play, &to, None)).collect();
        assert_eq!(tally(&names), "r1 x2 r2 x2", "{to}");
    }
    let persistent: Vec<String> = (0..4).map(|_| ask(play, &format!("{VIP}:81"), None)).collect();
    assert!(persistent.iter().all(|name| *name == persistent[0]), "{persistent:?}");
    let datagrams: Vec<String> = (0..4).map(|_| ask_udp(play, &format!("{VIP}:53"))).collect();
    assert_eq!(tally(&datagrams), "r1 x2 r2 x2", "UDP");
    play.stop();
}

fn direct(play: &mut Play) {
    play.build(2);
    let farm = play.farm();
    farm.director().command("modprobe -a ipip ip_gre fou").expect("the tunnels' modules");
    for number in 1..=2 {
        farm.direct(number, "lo").expect("direct routing");
        let batch = "link set tunl0 up\nlink set gre0 up\nfou add port 6080 gue\n";
        farm.real(number).feed(&["ip", "-batch", "-"], batch).expect("the tunnels' ends");
    }
    let ways = [
        ("DR", 8001),
        ("TUN type ipip", 8002),
        ("TUN type gue port 6080", 8003),
        ("TUN type gre", 8004),
    ];
    let servers: Vec<Tcp> = ways.iter().flat_map(|(_, port)| greeters(play, 2, *port)).collect();
    let _datagrams: Vec<Udp> = (1..=2)
        .map(|number| Udp::serve(play.farm().real(number), &format!("{VIP}:53"), who_udp(number)))
        .collect();
    let mut text = String::new();
    for (method, port) in ways {
        let settings = format!("lb_algo rr\n  lvs_method {method}\n  protocol TCP");
        text += &server(&format!("{VIP} {port}"), &settings, &reals(2, port));
    }
    let once = "lb_algo rr\n  lb_kind DR\n  protocol UDP\n  ops";
    text += &server(&format!("{VIP} 53"), once, &reals(2, 53));
    play.start(&text);
    play.table_until("all destinations", |lines| {
        lines.iter().filter(|line| line.starts_with("-a")).count() == 10
    });
    for (method, port) in ways {
        let names: Vec<String> =
            (0..4).map(|_| ask(play, &format!("{VIP}:{port}"), None)).collect();
        assert_eq!(tally(&names), "r1 x2 r2 x2", "{method}");
    }
    let datagrams: Vec<String> = (0..4).map(|_| ask_udp(play, &format!("{VIP}:53"))).collect();
    assert_eq!(tally(&datagrams), "r1 x2 r2 x2", "one packet at a time");
    assert!(servers.iter().all(|server| server.count() == 2), "each server was asked twice");
    play.stop();
}

/// Sends `text` and reads it back.
pub(crate) fn echoed(stream: &mut TcpStream, text: &[u8]) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.write_all(text)?;
    let mut back = vec![0_u8; text.len()];
    stream.read_exact(&mut back)
}
