//! IPVS of the real kernel; `ipvsadm` is the second opinion. Each test has a network namespace for
//! itself. Where the kernel has no IPVS nothing is tested, and that is printed: `make balancing` runs
//! this program in a virtual machine then (tools/vm).

mod ipvs_support;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use ipvs_support::{SCHEDULERS, build, key, request, socket, strays, table, walk};
use libtest_mimic::{Arguments, Trial};
use netlink::ipvs::{
    Destination, DestinationState, FakeIpvs, Forwarding, Granularity, Ipvs, IpvsKernel as _,
    IpvsOptions, Persistence, Request, SchedulerFlags, Service, ServiceKey, SyncDaemon, SyncRole,
    Table, Timeouts, Tunnel, TunnelChecksum, plan_daemons,
};
use netlink::{Family, KernelError};
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use standfast_netlink as netlink;

/// Nothing here waits longer for something that is to happen.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // One after the other, in this thread: each has a namespace for itself.
    arguments.test_threads = Some(1);
    if !arguments.list
        && let Err(reason) = possible()
    {
        eprintln!("NOT TESTED: {reason}");
        return ExitCode::SUCCESS;
    }
    let tests: [(&str, fn()); 15] = [
        ("every_scheduler_is_set_and_changed", every_scheduler_is_set_and_changed),
        ("every_method_and_tunnel_is_set_and_changed", every_method_and_tunnel_is_set_and_changed),
        ("flags_persistence_and_engine", flags_persistence_and_engine),
        ("families_protocols_and_marks", families_protocols_and_marks),
        ("thresholds_are_set_and_changed", thresholds_are_set_and_changed),
        ("timeouts_are_set", timeouts_are_set),
        ("daemons_start_and_stop", daemons_start_and_stop),
        ("refusals_have_their_number", refusals_have_their_number),
        ("edits_keep_connections_and_counters", edits_keep_connections_and_counters),
        ("weight_0_takes_no_new_connections", weight_0_takes_no_new_connections),
        ("small_buffers_are_no_obstacle", small_buffers_are_no_obstacle),
        ("a_thousand_services_with_ten_servers_each", a_thousand_services_with_ten_servers_each),
        ("the_one_in_memory_behaves_like_the_kernel", the_one_in_memory_behaves_like_the_kernel),
        ("any_state_leads_to_any_desired_state", any_state_leads_to_any_desired_state),
        ("a_namespace_has_a_table_of_its_own", a_namespace_has_a_table_of_its_own),
    ];
    let trials = tests
        .into_iter()
        .map(|(name, test)| {
            Trial::test(name, move || {
                unshare(CloneFlags::CLONE_NEWNET).map_err(|error| error.to_string())?;
                prepare();
                test();
                Ok(())
            })
        })
        .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn possible() -> Result<(), String> {
    if !nix::unistd::geteuid().is_root() {
        return Err("only root can change the kernel's IPVS".into());
    }
    Ipvs::open().map_err(|error| format!("{error}; remedy: {}", error.remedy()))?;
    let there = Command::new("ipvsadm").arg("--version").output();
    there.map(|_| ()).map_err(|error| format!("ipvsadm is needed for comparison: {error}"))
}

/// Addresses and a route, so that connections can be made.
fn prepare() {
    run("ip link set lo up");
    run("ip link add d0 type dummy");
    run("ip link set d0 up");
    run("ip addr add 198.51.100.1/24 dev d0");
    run("ip addr add 203.0.113.11/24 dev d0");
    run("ip addr add 203.0.113.12/24 dev d0");
    run("ip addr add 2001:db8::1/64 dev d0 nodad");
}

/// Runs a command (words separated by blanks) and returns what it prints.
#[track_caller]
fn run(command: &str) -> String {
    let mut words = command.split_whitespace();
    let program = words.next().expect("a command");
    let output = Command::new(program).args(words).output().expect("the command can be run");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The table as `ipvsadm` saves it, line by line.
#[track_caller]
fn saved() -> Vec<String> {
    run("ipvsadm -Sn").lines().map(|line| line.trim().to_owned()).collect()
}

fn open() -> Ipvs {
    Ipvs::open().expect("IPVS")
}

#[track_caller]
fn done(kernel: &mut Ipvs, requests: &[Request]) {
    for (request, result) in requests.iter().zip(kernel.apply(requests)) {
        if let Err(error) = result {
            panic!("{request:?}: {error}");
        }
    }
}

#[track_caller]
fn errnos(results: Vec<Result<(), KernelError>>) -> Vec<Option<Errno>> {
    let errno = |result: Result<(), KernelError>| match result {
        Ok(()) => None,
        Err(KernelError::Refused { errno, .. }) => Some(errno),
        Err(error) => panic!("{error}"),
    };
    results.into_iter().map(errno).collect()
}

fn nat(weight: u32) -> Destination {
    Destination::new(Forwarding::Nat, weight)
}

const WEB: &str = "TCP 198.51.100.1:80";

fn every_scheduler_is_set_and_changed() {
    let mut kernel = open();
    let web = key(WEB);
    done(&mut kernel, &[Request::NewService(web, Service::new("rr"))]);
    for name in SCHEDULERS {
        done(&mut kernel, &[Request::SetService(web, Service::new(name))]);
        assert_eq!(saved(), [format!("-A -t 198.51.100.1:80 -s {name}")]);
        assert_eq!(kernel.services().unwrap()[0].service, Service::new(name));
        let other = key("UDP 198.51.100.1:53");
        done(&mut kernel, &[Request::NewService(other, Service::new(name))]);
        done(&mut kernel, &[Request::DelService(other)]);
    }
    // Many kernels are built without this one.
    let twos = Service::new("twos");
    match &kernel.apply(&[Request::SetService(web, twos.clone())])[0] {
        Ok(()) => assert_eq!(kernel.services().unwrap()[0].service, twos),
        Err(error) => {
            assert_eq!(error.errno(), Some(Errno::ENOENT));
            println!("NOT TESTED: this kernel has no scheduler twos");
        }
    }
    // None at all, too.
    done(&mut kernel, &[Request::SetService(web, Service::new(""))]);
    assert_eq!(kernel.services().unwrap()[0].service, Service::new(""));
}

fn every_method_and_tunnel_is_set_and_changed() {
    use TunnelChecksum::{Full, None, Remote};
    let gue = |port, checksum| Forwarding::Tunnel(Tunnel::Gue { port, checksum });
    let gre = |checksum| Forwarding::Tunnel(Tunnel::Gre { checksum });
    let methods = [
        (Forwarding::Nat, "-m -w 1"),
        (Forwarding::Dr, "-g -w 1"),
        (Forwarding::Tunnel(Tunnel::Ipip), "-i -w 1 --tun-type ipip"),
        (gue(6080, None), "-i -w 1 --tun-type gue --tun-port 6080 --tun-nocsum"),
        (gue(6081, Full), "-i -w 1 --tun-type gue --tun-port 6081 --tun-csum"),
        (gue(6082, Remote), "-i -w 1 --tun-type gue --tun-port 6082 --tun-remcsum"),
        (gre(None), "-i -w 1 --tun-type gre --tun-nocsum"),
        (gre(Full), "-i -w 1 --tun-type gre --tun-csum"),
    ];
    let mut kernel = open();
    let web = key(WEB);
    let changing = socket("203.0.113.10:80");
    done(
        &mut kernel,
        &[
            Request::NewService(web, Service::new("rr")),
            Request::NewDestination(web, changing, nat(1)),
        ],
    );
    for (n, (forwarding, words)) in methods.into_iter().enumerate() {
        let port = 1000 + u16::try_from(n).unwrap();
        let fresh = SocketAddr::new(changing.ip(), port);
        let settings = Destination::new(forwarding, 1);
        done(
            &mut kernel,
            &[
                Request::SetDestination(web, changing, settings),
                Request::NewDestination(web, fresh, settings),
            ],
        );
        let saved = saved();
        for address in [changing, fresh] {
            let line = format!("-a -t 198.51.100.1:80 -r {address} {words}");
            assert!(saved.contains(&line), "no {line:?} in {saved:#?}");
            assert_eq!(kernel.table().unwrap().destination(&web, &address), Some(&settings));
        }
    }
}

fn flags_persistence_and_engine() {
    let plain = |scheduler: &str| Service::new(scheduler);
    let sticky = |timeout, granularity| Some(Persistence { timeout, granularity });
    let flags = |scheduler: &str, flags| Service { flags, ..plain(scheduler) };
    let mask = Granularity::prefix(Family::V4, 24);
    let cases = [
        (WEB, flags("sh", SchedulerFlags::FLAG_1), "-s sh -b sh-fallback"),
        (WEB, flags("sh", SchedulerFlags::FLAG_2), "-s sh -b sh-port"),
        (
            WEB,
            flags("mh", SchedulerFlags::FLAG_1 | SchedulerFlags::FLAG_2),
            "-s mh -b mh-fallback,mh-port",
        ),
        (WEB, flags("rr", SchedulerFlags::all()), "-s rr -b flag-1,flag-2,flag-3"),
        (
            WEB,
            Service { persistence: sticky(300, Granularity::Host), ..plain("wlc") },
            "-s wlc -p 300",
        ),
        (
            WEB,
            Service { persistence: sticky(2_678_400, mask), ..plain("wlc") },
            "-s wlc -p 2678400 -M 255.255.255.0",
        ),
        (
            "UDP [2001:db8::1]:5060",
            Service {
                persistence: sticky(60, Granularity::prefix(Family::V6, 64)),
                engine: Some("sip".into()),
                ..plain("rr")
            },
            "-s rr -p 60 -M 64 --pe sip",
        ),
        ("UDP 198.51.100.1:53", Service { one_packet: true, ..plain("rr") }, "-s rr -o"),
    ];
    let mut kernel = open();
    for (name, service, words) in cases {
        let key = key(name);
        let option = if name.starts_with("TCP") { "-t" } else { "-u" };
        let line = format!("-A {option} {} {words}", name.split(' ').nth(1).unwrap());
        done(&mut kernel, &[Request::NewService(key, service.clone())]);
        assert_eq!(saved(), [line.as_str()]);
        assert_eq!(kernel.services().unwrap()[0].service, service);
        // Everything off, and on again, in place.
        done(&mut kernel, &[Request::SetService(key, plain(&service.scheduler))]);
        assert_eq!(kernel.services().unwrap()[0].service, plain(&service.scheduler));
        done(&mut kernel, &[Request::SetService(key, service)]);
        assert_eq!(saved(), [line]);
        done(&mut kernel, &[Request::DelService(key)]);
    }
}

fn families_protocols_and_marks() {
    let keys = [
        ("TCP 198.51.100.1:80", "-t 198.51.100.1:80"),
        ("UDP 198.51.100.1:80", "-u 198.51.100.1:80"),
        ("SCTP 198.51.100.1:80", "--sctp-service 198.51.100.1:80"),
        ("TCP [2001:db8::1]:80", "-t [2001:db8::1]:80"),
        ("FWM 7", "-f 7"),
        ("FWM 7 IPv6", "-f 7 -6"),
    ];
    let mut kernel = open();
    let mut expected = Vec::new();
    let ipip = Destination::new(Forwarding::Tunnel(Tunnel::Ipip), 3);
    for (name, words) in keys {
        let key = key(name);
        let (own, other) = match key.family() {
            Family::V4 => ("203.0.113.10:80", "[2001:db8::10]:80"),
            Family::V6 => ("[2001:db8::10]:80", "203.0.113.10:80"),
        };
        done(
            &mut kernel,
            &[
                Request::NewService(key, Service::new("rr")),
                Request::NewDestination(key, socket(own), nat(2)),
                // The other family, by a tunnel.
                Request::NewDestination(key, socket(other), ipip),
            ],
        );
        expected.push(format!("-A {words} -s rr"));
        expected.push(format!("-a {words} -r {own} -m -w 2"));
        expected.push(format!("-a {words} -r {other} -i -w 3 --tun-type ipip"));
    }
    let mut lines = saved();
    lines.sort();
    expected.sort();
    assert_eq!(lines, expected);
    let read = kernel.table().unwrap();
    assert_eq!(read.len(), keys.len());
    // What was read builds the same again.
    done(&mut kernel, &[Request::Flush]);
    assert!(saved().is_empty());
    done(&mut kernel, &build(&read));
    let mut lines = saved();
    lines.sort();
    assert_eq!(lines, expected);
    // Others' services are read one by one where one asks for them.
    let some = [key("FWM 7"), key("TCP 198.51.100.9:80")].into();
    let part = kernel.table_of(&some).unwrap();
    assert_eq!(part.services().map(|(key, _)| *key).collect::<Vec<_>>(), [key("FWM 7")]);
    assert_eq!(part.get(&key("FWM 7")), read.get(&key("FWM 7")));
}

fn thresholds_are_set_and_changed() {
    let mut kernel = open();
    let (web, server) = (key(WEB), socket("203.0.113.10:80"));
    let limits = |upper, lower| Destination { upper, lower, ..nat(1) };
    done(
        &mut kernel,
        &[
            Request::NewService(web, Service::new("rr")),
            Request::NewDestination(web, server, limits(100, 50)),
        ],
    );
    for (upper, lower) in [(100, 50), (200, 0), (0, 0), (70, 70)] {
        done(&mut kernel, &[Request::SetDestination(web, server, limits(upper, lower))]);
        let text = run("ipvsadm -Ln --thresholds");
        let line = text.lines().find(|line| line.contains("203.0.113.10:80")).expect("a line");
        let numbers: Vec<_> = line.split_whitespace().skip(2).take(2).collect();
        assert_eq!(numbers, [upper.to_string(), lower.to_string()], "{text}");
    }
}

fn timeouts_are_set() {
    let mut kernel = open();
    let before = kernel.timeouts().unwrap();
    assert_eq!(before, Timeouts { tcp: 900, tcp_fin: 120, udp: 300 });
    done(&mut kernel, &[Request::SetTimeouts(Timeouts { tcp: 100, tcp_fin: 0, udp: 30 })]);
    assert_eq!(kernel.timeouts().unwrap(), Timeouts { tcp: 100, tcp_fin: 120, udp: 30 });
    let text = run("ipvsadm -Ln --timeout");
    assert!(text.contains("Timeout (tcp tcpfin udp): 100 120 30"), "{text}");
    let info = kernel.info().unwrap();
    assert!(info.version >= (1, 2, 0) && info.connection_table > 0, "{info:?}");
}

fn daemons_start_and_stop() {
    let mut kernel = open();
    assert_eq!(kernel.daemons().unwrap(), []);
    let master = SyncDaemon {
        max_len: Some(1000),
        group: Some([224, 1, 2, 3].into()),
        port: Some(9000),
        ttl: Some(3),
        ..SyncDaemon::new(SyncRole::Master, "d0", 9)
    };
    let backup = SyncDaemon {
        group: Some("ff02::81".parse().unwrap()),
        ..SyncDaemon::new(SyncRole::Backup, "d0", 255)
    };
    done(
        &mut kernel,
        &[Request::StartDaemon(master.clone()), Request::StartDaemon(backup.clone())],
    );
    let text = run("ipvsadm -Ln --daemon");
    let line =
        "master sync daemon (mcast=d0, syncid=9, maxlen=1000, group=224.1.2.3, port=9000, ttl=3)";
    assert!(text.contains(line), "{text}");
    let line =
        "backup sync daemon (mcast=d0, syncid=255, maxlen=1452, group=ff02::81, port=8848, ttl=1)";
    assert!(text.contains(line), "{text}");
    let running = kernel.daemons().unwrap();
    let filled = SyncDaemon { max_len: Some(1452), port: Some(8848), ttl: Some(1), ..backup };
    assert_eq!(running, [master.clone(), filled]);
    let nowhere = SyncDaemon::new(SyncRole::Master, "nowhere", 1);
    let results = kernel.apply(&[
        Request::StartDaemon(master),
        Request::StopDaemon(SyncRole::Master),
        Request::StopDaemon(SyncRole::Master),
        Request::StartDaemon(nowhere),
        Request::StopDaemon(SyncRole::Backup),
    ]);
    let expected = [Some(Errno::EEXIST), None, Some(Errno::ESRCH), Some(Errno::ENODEV), None];
    assert_eq!(errnos(results), expected);
    assert_eq!(kernel.daemons().unwrap(), []);
    // What the kernel makes of our settings is known: nothing is started twice.
    for (group, max_len) in [
        (None, None),
        (None, Some(1000)),
        (None, Some(9000)),
        (Some("224.0.0.82".parse().unwrap()), Some(65_507)),
        (Some("ff02::81".parse().unwrap()), None),
        (Some("ff02::81".parse().unwrap()), Some(65_507)),
    ] {
        let wanted = [SyncRole::Master, SyncRole::Backup].map(|role| SyncDaemon {
            group,
            max_len,
            ..SyncDaemon::new(role, "d0", 0)
        });
        done(&mut kernel, &plan_daemons(&[], &wanted));
        let running = kernel.daemons().unwrap();
        assert_eq!(plan_daemons(&running, &wanted), [], "{running:?}");
        done(&mut kernel, &plan_daemons(&running, &[]));
    }
}

fn refusals_have_their_number() {
    let mut kernel = open();
    let (web, server) = (key(WEB), socket("203.0.113.10:80"));
    let unheard = Service::new("unheard-of");
    let long = Service::new("a-name-of-more-than-fifteen-bytes");
    let results = kernel.apply(&[
        Request::NewDestination(web, server, nat(1)),
        Request::DelService(web),
        Request::NewService(web, unheard),
        Request::NewService(web, Service::new("rr")),
        Request::NewService(web, Service::new("rr")),
        Request::SetDestination(web, server, nat(1)),
        Request::NewDestination(web, server, nat(1 << 31)),
        Request::NewDestination(web, server, nat(1)),
        Request::NewDestination(web, server, nat(1)),
        Request::DelDestination(web, server),
        Request::DelDestination(web, server),
        Request::NewService(ServiceKey::mark(Family::V4, 1), long.clone()),
    ]);
    let last = results.last().cloned().unwrap();
    assert_eq!(last, Err(KernelError::Unsupported("name of a scheduler longer than 15 bytes")));
    let expected = [
        Some(Errno::ESRCH),
        Some(Errno::ESRCH),
        Some(Errno::ENOENT),
        None,
        Some(Errno::EEXIST),
        Some(Errno::ENOENT),
        Some(Errno::ERANGE),
        None,
        Some(Errno::EEXIST),
        None,
        Some(Errno::ENOENT),
    ];
    assert_eq!(errnos(results[..11].to_vec()), expected);
    // Requests that cannot be expressed do not hold up those around them, wherever they are.
    let mark = |mark| ServiceKey::mark(Family::V4, mark);
    let impossible = Request::NewService(mark(9), long);
    for place in 0..3 {
        done(&mut kernel, &[Request::Flush]);
        let mut requests: Vec<_> =
            (1..3).map(|n| Request::NewService(mark(n), Service::new("rr"))).collect();
        requests.insert(place, impossible.clone());
        let results = kernel.apply(&requests);
        for (n, result) in results.iter().enumerate() {
            assert_eq!(result.is_err(), n == place, "{result:?}");
        }
        assert_eq!(kernel.services().unwrap().len(), 2);
    }
    let results = kernel.apply(std::slice::from_ref(&impossible));
    assert!(matches!(results[..], [Err(KernelError::Unsupported(_))]));
    assert!(kernel.apply(&[]).is_empty());
}

/// A connection through a service to a server behind it, both ends.
fn connect(service: &str, listener: &TcpListener) -> (TcpStream, TcpStream) {
    let client = TcpStream::connect_timeout(&socket(service), PATIENCE).expect("connected");
    let (server, _) = listener.accept().expect("accepted");
    for stream in [&client, &server] {
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    }
    (client, server)
}

fn say((client, server): &mut (TcpStream, TcpStream)) {
    let mut byte = [0];
    client.write_all(b"?").expect("written");
    server.read_exact(&mut byte).expect("read");
    server.write_all(b"!").expect("written");
    client.read_exact(&mut byte).expect("read");
    assert_eq!(byte, *b"!");
}

fn states(kernel: &mut Ipvs, key: &ServiceKey) -> Vec<DestinationState> {
    let mut states = kernel.destinations(key).expect("destinations");
    states.sort_by_key(|state| state.address);
    states
}

/// Connections go to a local server, which needs no second machine.
fn edits_keep_connections_and_counters() {
    let mut kernel = open();
    run("sysctl -qw net.ipv4.vs.conntrack=1");
    let (web, server) = (key(WEB), "203.0.113.11:80");
    let listener = TcpListener::bind(server).expect("a listener");
    done(
        &mut kernel,
        &[
            Request::NewService(web, Service::new("rr")),
            Request::NewDestination(web, socket(server), nat(1)),
        ],
    );
    let mut open = connect("198.51.100.1:80", &listener);
    say(&mut open);
    let sticky = Persistence { timeout: 60, granularity: Granularity::Host };
    let limited = Destination { upper: 10, lower: 5, ..nat(7) };
    let edits = [
        Request::SetService(web, Service::new("wlc")),
        Request::SetService(web, Service { persistence: Some(sticky), ..Service::new("sh") }),
        Request::SetDestination(web, socket(server), limited),
        Request::SetDestination(web, socket(server), Destination::new(Forwarding::Dr, 7)),
        Request::SetDestination(web, socket(server), nat(0)),
    ];
    for edit in edits {
        done(&mut kernel, &[edit]);
        say(&mut open);
        let states = states(&mut kernel, &web);
        assert_eq!((states.len(), states[0].active), (1, 1));
        assert_eq!(states[0].service, web);
    }
    // The kernel adds up every two seconds.
    let deadline = Instant::now() + PATIENCE;
    loop {
        let counters = states(&mut kernel, &web)[0].counters;
        let service = kernel.services().expect("services")[0].counters;
        if counters.connections == 1 && counters.packets_in >= 8 && service == counters {
            assert!(counters.bytes_in > counters.packets_in * 40, "{counters:?}");
            break;
        }
        assert!(Instant::now() < deadline, "{counters:?} {service:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
    done(&mut kernel, &[Request::Zero(Some(web))]);
    assert_eq!(kernel.services().expect("services")[0].counters.packets_in, 0);
    done(&mut kernel, &[Request::Zero(None)]);
}

fn weight_0_takes_no_new_connections() {
    let mut kernel = open();
    let web = key(WEB);
    let one = TcpListener::bind("203.0.113.11:80").expect("a listener");
    let two = TcpListener::bind("203.0.113.12:80").expect("a listener");
    let (first, second) = (one.local_addr().unwrap(), two.local_addr().unwrap());
    done(
        &mut kernel,
        &[
            Request::NewService(web, Service::new("rr")),
            Request::NewDestination(web, first, nat(1)),
        ],
    );
    let mut old = connect("198.51.100.1:80", &one);
    done(
        &mut kernel,
        &[
            Request::NewDestination(web, second, nat(1)),
            Request::SetDestination(web, first, nat(0)),
        ],
    );
    let mut new: Vec<_> = (0..4).map(|_| connect("198.51.100.1:80", &two)).collect();
    say(&mut old);
    new.iter_mut().for_each(say);
    let states = states(&mut kernel, &web);
    assert_eq!(states.iter().map(|state| state.active).collect::<Vec<_>>(), [1, 4]);
    assert_eq!(states.iter().map(|state| state.destination.weight).collect::<Vec<_>>(), [0, 1]);
    // A UDP service beside it is another service.
    let udp = UdpSocket::bind("203.0.113.12:80").expect("a socket");
    let dns = key("UDP 198.51.100.1:80");
    let service = Service { one_packet: true, ..Service::new("rr") };
    done(
        &mut kernel,
        &[Request::NewService(dns, service), Request::NewDestination(dns, second, nat(1))],
    );
    let client = UdpSocket::bind("198.51.100.1:0").expect("a socket");
    client.send_to(b"x", "198.51.100.1:80").expect("sent");
    udp.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    let mut buffer = [0; 8];
    assert_eq!(udp.recv_from(&mut buffer).expect("a packet").0, 1);
}

fn small_buffers_are_no_obstacle() {
    let options =
        IpvsOptions { receive_buffer: Some(2048), force: false, ..IpvsOptions::default() };
    let mut kernel = Ipvs::with(&options).expect("IPVS");
    let mark = |n| ServiceKey::mark(Family::V4, n);
    let new: Vec<_> = (1..=300).map(|n| Request::NewService(mark(n), Service::new("rr"))).collect();
    done(&mut kernel, &new);
    // Every one of them is refused, and each answer arrives.
    let again = errnos(kernel.apply(&new));
    assert!(again.iter().all(|it| *it == Some(Errno::EEXIST)), "{again:?}");
    assert_eq!(kernel.services().unwrap().len(), 300);
    assert_eq!(kernel.table().unwrap().len(), 300);
}

fn a_thousand_services_with_ten_servers_each() {
    let mut wanted = Table::new();
    for n in 0..1000_u32 {
        let [_, _, high, low] = n.to_be_bytes();
        let address = SocketAddr::from(([198, 18, high, low], 80));
        let key = ServiceKey::address(netlink::ipvs::Protocol::Tcp, address);
        let entry = wanted.insert(key, Service::new("wlc"));
        for host in 1..=10 {
            entry.insert(SocketAddr::from(([203, 0, 113, host], 80)), nat(1));
        }
    }
    let requests = build(&wanted);
    assert_eq!(requests.len(), 11_000);
    let mut kernel = open();
    let start = Instant::now();
    done(&mut kernel, &requests);
    println!("1,000 x 10 loaded in {:?}", start.elapsed());
    let start = Instant::now();
    let read = kernel.table().unwrap();
    assert_eq!(read, wanted);
    assert_eq!(kernel.state().unwrap().into_iter().collect::<Table>(), read);
    println!("1,000 x 10 read twice in {:?}", start.elapsed());
    let lines = saved();
    assert_eq!(lines.len(), 11_000);
    assert!(lines.contains(&"-a -t 198.18.3.231:80 -r 203.0.113.10:80 -m -w 1".to_owned()));
    // All refused: one answer each.
    let again = errnos(kernel.apply(&requests));
    assert!(again.iter().all(|it| *it == Some(Errno::EEXIST)));
    let start = Instant::now();
    done(&mut kernel, &[Request::Flush]);
    println!("1,000 x 10 flushed in {:?}", start.elapsed());
    assert_eq!(kernel.table().unwrap(), Table::new());
}

/// A machine that is emulated is slow: fewer cases than in memory.
fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() })
}

fn the_one_in_memory_behaves_like_the_kernel() {
    let sequences = (table(), proptest::collection::vec(request(), 1..40));
    let tested = runner(60).run(&sequences, |(start, requests)| {
        let (mut real, mut fake) = (open(), FakeIpvs::new());
        prop_assert!(real.apply(&[Request::Flush])[0].is_ok());
        for requests in [build(&start), requests] {
            let (one, other) = (real.apply(&requests), fake.apply(&requests));
            for (request, (real, fake)) in requests.iter().zip(one.into_iter().zip(other)) {
                let (real, fake) = (errnos(vec![real]), errnos(vec![fake]));
                prop_assert_eq!(real, fake, "{:?}", request);
            }
            prop_assert_eq!(&real.table().unwrap(), fake.contents());
        }
        Ok(())
    });
    tested.unwrap_or_else(|error| panic!("{error}"));
}

fn any_state_leads_to_any_desired_state() {
    let sequences = (table(), proptest::collection::vec((table(), strays()), 1..5));
    let tested = runner(40).run(&sequences, |(foreign, sequence)| {
        let mut kernel = open();
        done(&mut kernel, &[Request::Flush]);
        done(&mut kernel, &build(&foreign));
        walk(&mut kernel, &sequence);
        Ok(())
    });
    tested.unwrap_or_else(|error| panic!("{error}"));
}

fn a_namespace_has_a_table_of_its_own() {
    let mut outside = open();
    done(&mut outside, &[Request::NewService(key(WEB), Service::new("rr"))]);
    unshare(CloneFlags::CLONE_NEWNET).expect("a namespace");
    let mut inside = open();
    assert!(inside.services().unwrap().is_empty());
    done(&mut inside, &[Request::NewService(key("FWM 1"), Service::new("rr"))]);
    assert_eq!(outside.services().unwrap().len(), 1, "it stays where it was opened");
    assert_eq!(outside.services().unwrap()[0].key, key(WEB));
}
