//! The whole role on real sockets and addresses, in a network namespace for each test. The role is
//! a process of its own (this program once more), so that it can be killed.

use std::fs::{File, OpenOptions};
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use config::lower::{BuiltinNames, lower};
use config::passing::{Share, encode};
use libtest_mimic::{Arguments, Trial};
use netlink::{AddressFilter, Kernel as _, Monitor, MonitorEvent, Netlink};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use standfast_failover::{Launch, Options, Role};
use status::control::{FromRole, ToRole};
use sys::channel::{Channel, Incoming};
use sys::vrrp_socket::{Family, PROTOCOL_VRRP, Receiver, ReceiverConfig, RecvBatch};

/// A test that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(20);
const ROLE: &str = "STANDFAST_TEST_ROLE";

fn main() -> ExitCode {
    if let Some(directory) = std::env::var_os(ROLE) {
        return be_the_role(Path::new(&directory));
    }
    let mut arguments = Arguments::from_args();
    // One after the other, in this thread: each has a namespace for itself.
    arguments.test_threads = Some(1);
    if !arguments.list
        && let Err(error) = enter_namespaces()
    {
        eprintln!("NOT TESTED: this machine permits no network namespaces: {error}");
        return ExitCode::SUCCESS;
    }
    let tests: [(&str, fn()); 9] = [
        ("it_becomes_master_and_stops", it_becomes_master_and_stops),
        ("a_killed_role_goes_on_as_master", a_killed_role_goes_on_as_master),
        ("a_reload_touches_what_changed_only", a_reload_touches_what_changed_only),
        ("what_is_no_configuration_is_refused", what_is_no_configuration_is_refused),
        ("an_address_that_is_removed_comes_back", an_address_that_is_removed_comes_back),
        ("without_a_supervisor_it_gives_up", without_a_supervisor_it_gives_up),
        ("released_things_are_gone", released_things_are_gone),
        ("a_static_address_is_a_source", a_static_address_is_a_source),
        ("alerts_are_mailed_to_the_last", alerts_are_mailed_to_the_last),
    ];
    let trials = tests
        .into_iter()
        .map(|(name, test)| {
            Trial::test(name, move || {
                unshare(CloneFlags::CLONE_NEWNET).map_err(|error| error.to_string())?;
                cable();
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

/// The other face of this program. The channel is its standard input.
fn be_the_role(directory: &Path) -> ExitCode {
    let launch: Launch =
        serde_json::from_reader(File::open(directory.join("launch")).unwrap()).unwrap();
    let store = OpenOptions::new().read(true).write(true).open(directory.join("store")).unwrap();
    let configuration = std::fs::read(directory.join("configuration")).unwrap();
    let configuration = sys::memfd::sealed("configuration", &configuration).unwrap();
    let channel = Channel::from_fd(std::io::stdin().as_fd().try_clone_to_owned().unwrap()).unwrap();
    // SIGKILL of the tests' process must not leave roles behind: the channel's end tells them.
    Role::new(launch, configuration, channel, store).unwrap().run().unwrap();
    ExitCode::SUCCESS
}

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status().expect("iproute2 is there");
    assert!(status.success(), "ip {arguments}");
}

/// `near` is the role's interface, `far` hears what it sends.
fn cable() {
    ip("link set lo up");
    ip("link add near type veth peer name far");
    ip("address add 198.51.100.1/24 dev near");
    for end in ["near", "far"] {
        sys::sysctl::swap(&format!("net/ipv4/conf/{end}/rp_filter"), "0").unwrap();
        sys::sysctl::swap(&format!("net/ipv4/conf/{end}/accept_local"), "1").unwrap();
        ip(&format!("link set {end} up"));
    }
    sys::sysctl::swap("net/ipv4/conf/all/rp_filter", "0").unwrap();
}

/// A configuration as the supervisor passes it on.
fn passed(text: &str) -> Vec<u8> {
    let loaded = config::load_text(text, &config::Options::default());
    let model = lower(&loaded.tree, &BuiltinNames).model;
    let mut bytes = Vec::new();
    encode(&model, Share::Failover, &mut bytes).unwrap();
    bytes
}

fn instance(name: &str, vrid: u8, vips: &str) -> String {
    format!(
        "vrrp_instance {name} {{\n interface near\n virtual_router_id {vrid}\n version 3
 priority 200\n advert_int 0.1\n virtual_ipaddress {{\n{vips}\n }}\n}}\n"
    )
}

struct Node {
    directory: tempfile::TempDir,
    role: Child,
    channel: Option<Channel>,
    news: Monitor,
    kernel: Netlink,
    removed: Vec<IpAddr>,
}

impl Node {
    fn start(text: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        File::create(directory.path().join("store")).unwrap();
        let news = Monitor::open().unwrap();
        let (role, channel) = launch(directory.path(), text, 0, false);
        let kernel = Netlink::open().unwrap();
        Self { directory, role, channel: Some(channel), news, kernel, removed: Vec::new() }
    }

    /// Kills the role and starts it again with the same store.
    fn crash(&mut self, text: &str) {
        self.role.kill().unwrap();
        self.role.wait().unwrap();
        (self.role, self.channel) = {
            let (role, channel) = launch(self.directory.path(), text, 1, false);
            (role, Some(channel))
        };
    }

    fn order(&self, order: &ToRole, descriptors: &[BorrowedFd<'_>]) {
        let bytes = serde_json::to_vec(order).unwrap();
        self.channel.as_ref().unwrap().send(&bytes, descriptors).unwrap();
    }

    fn await_word(&self, wanted: &FromRole) {
        let channel = self.channel.as_ref().unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            match channel.receive().unwrap() {
                Incoming::Message { bytes, .. } => {
                    if serde_json::from_slice::<FromRole>(&bytes).unwrap() == *wanted {
                        return;
                    }
                }
                Incoming::Empty => wait(channel.as_fd(), deadline),
                Incoming::Closed => panic!("the role is gone"),
            }
        }
    }

    fn has(&mut self, address: &str) -> bool {
        let ip: IpAddr = address.parse().unwrap();
        self.kernel.addresses(AddressFilter::default()).unwrap().iter().any(|a| a.ip == ip)
    }

    fn await_address(&mut self, address: &str, there: bool) {
        let deadline = Instant::now() + PATIENCE;
        while self.has(address) != there {
            wait(self.news.as_fd(), deadline);
            self.hear();
        }
    }

    /// Takes in what the kernel told.
    fn hear(&mut self) {
        for event in self.news.by_ref() {
            if let MonitorEvent::AddressRemoved(address) = event {
                self.removed.push(address.ip);
            }
        }
    }

    fn was_removed(&mut self, address: &str) -> bool {
        self.hear();
        self.removed.contains(&address.parse().unwrap())
    }

    fn await_end(&mut self) {
        // The channel's end is the role's.
        let channel = self.channel.take().unwrap();
        let deadline = Instant::now() + PATIENCE;
        while !matches!(channel.receive().unwrap(), Incoming::Closed) {
            wait(channel.as_fd(), deadline);
        }
        assert!(self.role.wait().unwrap().success());
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.role.kill();
        let _ = self.role.wait();
    }
}

fn launch(directory: &Path, text: &str, restarts: u32, release: bool) -> (Child, Channel) {
    let launch = Launch {
        generation: 1,
        restarts,
        release,
        options: Options { dump_dir: PathBuf::from(directory), ..Options::default() },
        config_file: "keepalived.conf".into(),
    };
    std::fs::write(directory.join("configuration"), passed(text)).unwrap();
    serde_json::to_writer(File::create(directory.join("launch")).unwrap(), &launch).unwrap();
    let (ours, theirs) = Channel::pair().unwrap();
    let role = Command::new(std::env::current_exe().unwrap())
        .env(ROLE, directory)
        .stdin(Stdio::from(theirs.as_fd().try_clone_to_owned().unwrap()))
        .spawn()
        .unwrap();
    (role, ours)
}

/// Waits until there is something to read.
fn wait(fd: BorrowedFd<'_>, deadline: Instant) {
    let left = deadline.saturating_duration_since(Instant::now());
    assert!(!left.is_zero(), "it takes too long");
    let timeout = PollTimeout::try_from(left).unwrap();
    poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], timeout).unwrap();
}

/// Hears the adverts at the far end.
struct Ear {
    receiver: Receiver,
    batch: RecvBatch,
    /// Number and priority of each advert.
    heard: Vec<(u8, u8)>,
}

impl Ear {
    fn new() -> Self {
        let ifindex = nix::net::if_::if_nametoindex("far").unwrap();
        let receiver = Receiver::open(&ReceiverConfig {
            family: Family::V4,
            protocol: PROTOCOL_VRRP,
            ifindex: Some(ifindex),
            local: None,
            buffer: None,
        })
        .unwrap();
        receiver.join([224, 0, 0, 18].into(), ifindex).unwrap();
        Self { receiver, batch: RecvBatch::default(), heard: Vec::new() }
    }

    fn hear(&mut self) {
        while self.receiver.receive(&mut self.batch).unwrap() > 0 {
            for packet in self.batch.iter() {
                // Behind the IPv4 header: version and type, number, priority.
                self.heard.push((packet.bytes[21], packet.bytes[22]));
            }
        }
    }

    fn await_advert(&mut self, count: usize) {
        let deadline = Instant::now() + PATIENCE;
        self.hear();
        while self.heard.len() < count {
            wait(self.receiver.as_fd(), deadline);
            self.hear();
        }
    }

    fn resignations(&mut self) -> usize {
        self.hear();
        self.heard.iter().filter(|(_, priority)| *priority == 0).count()
    }
}

fn it_becomes_master_and_stops() {
    let mut ear = Ear::new();
    let mut node = Node::start(&instance("A", 51, "198.51.100.100/24"));
    node.await_word(&FromRole::Ready);
    node.await_address("198.51.100.100", true);
    ear.await_advert(2);
    assert_eq!(ear.heard[0], (51, 200));
    assert_eq!(ear.resignations(), 0);
    node.order(&ToRole::Stop, &[]);
    node.await_end();
    assert!(!node.has("198.51.100.100"));
    assert!(node.has("198.51.100.1"));
    assert_eq!(ear.resignations(), 1);
}

fn a_killed_role_goes_on_as_master() {
    let text = instance("A", 51, "198.51.100.100/24");
    let mut ear = Ear::new();
    let mut node = Node::start(&text);
    node.await_address("198.51.100.100", true);
    ear.await_advert(2);
    for _ in 0..3 {
        node.crash(&text);
        let heard = ear.heard.len();
        node.await_word(&FromRole::Ready);
        // At once, not after a master-down time: it must be there by the time that it is ready.
        ear.hear();
        assert!(ear.heard.len() > heard);
        ear.await_advert(heard + 3);
    }
    assert!(!node.was_removed("198.51.100.100"));
    assert!(node.has("198.51.100.100"));
    assert_eq!(ear.resignations(), 0);
}

fn a_reload_touches_what_changed_only() {
    let mut ear = Ear::new();
    let mut node = Node::start(&instance("A", 51, "198.51.100.100/24\n198.51.100.101/24"));
    node.await_address("198.51.100.101", true);
    let next = instance("Renamed", 51, "198.51.100.100/24\n198.51.100.102/24")
        + &instance("B", 52, "198.51.100.200/24");
    let file = sys::memfd::sealed("next", &passed(&next)).unwrap();
    node.order(&ToRole::Reload { generation: 2 }, &[file.as_fd()]);
    node.await_word(&FromRole::Reloaded { generation: 2 });
    assert!(node.has("198.51.100.102"));
    assert!(!node.has("198.51.100.101"));
    node.await_address("198.51.100.200", true);
    assert!(!node.was_removed("198.51.100.100"));
    assert_eq!(ear.resignations(), 0);
    // One that is no longer configured resigns.
    let file =
        sys::memfd::sealed("last", &passed(&instance("B", 52, "198.51.100.200/24"))).unwrap();
    node.order(&ToRole::Reload { generation: 3 }, &[file.as_fd()]);
    node.await_word(&FromRole::Reloaded { generation: 3 });
    node.await_address("198.51.100.100", false);
    assert_eq!(ear.resignations(), 1);
    assert!(!node.was_removed("198.51.100.200"));
}

fn what_is_no_configuration_is_refused() {
    let text = instance("A", 51, "198.51.100.100/24");
    let mut node = Node::start(&text);
    node.await_address("198.51.100.100", true);
    let whole = passed(&text);
    let damaged = &whole[..whole.len() - 1];
    let file = sys::memfd::sealed("damaged", damaged).unwrap();
    node.order(&ToRole::Reload { generation: 2 }, &[file.as_fd()]);
    let reason = config::passing::decode(damaged).unwrap_err().to_string();
    node.await_word(&FromRole::ReloadFailed { generation: 2, reason });
    assert!(!node.was_removed("198.51.100.100"));
    let file = sys::memfd::sealed("whole", &whole).unwrap();
    node.order(&ToRole::Reload { generation: 3 }, &[file.as_fd()]);
    node.await_word(&FromRole::Reloaded { generation: 3 });
    assert!(!node.was_removed("198.51.100.100"));
}

fn an_address_that_is_removed_comes_back() {
    let mut node = Node::start(&instance("A", 51, "198.51.100.100/24"));
    let mut ear = Ear::new();
    node.await_address("198.51.100.100", true);
    for _ in 0..3 {
        ip("address delete 198.51.100.100/24 dev near");
        node.await_address("198.51.100.100", true);
    }
    assert_eq!(ear.resignations(), 0);
}

fn without_a_supervisor_it_gives_up() {
    let mut ear = Ear::new();
    let mut node = Node::start(&instance("A", 51, "198.51.100.100/24"));
    node.await_address("198.51.100.100", true);
    drop(node.channel.take());
    node.await_address("198.51.100.100", false);
    assert!(node.role.wait().unwrap().success());
    assert_eq!(ear.resignations(), 1);
}

fn released_things_are_gone() {
    let text = instance(
        "A",
        51,
        "198.51.100.100/24\n }\n virtual_rules {\n from 203.0.113.0/24 table 5 priority 500",
    );
    let mut node = Node::start(&text);
    node.await_address("198.51.100.100", true);
    node.role.kill().unwrap();
    node.role.wait().unwrap();
    assert!(node.has("198.51.100.100"));
    let (mut role, channel) = launch(node.directory.path(), &text, 5, true);
    assert!(role.wait().unwrap().success());
    drop(channel);
    assert!(!node.has("198.51.100.100"));
    assert!(node.has("198.51.100.1"));
    let rules = node.kernel.rules(None).unwrap();
    assert!(rules.iter().all(|rule| rule.priority != Some(500)));
}

/// An address that the role itself has set is as good as any other.
fn a_static_address_is_a_source() {
    ip("address flush dev near");
    let text = "static_ipaddress {\n 203.0.113.1/24 dev near\n}\n".to_owned()
        + &instance("A", 51, "198.51.100.100/24");
    let mut ear = Ear::new();
    let mut node = Node::start(&text);
    node.await_address("198.51.100.100", true);
    ear.await_advert(1);
    node.order(&ToRole::Stop, &[]);
    node.await_end();
    assert!(!node.has("203.0.113.1"));
}

/// A mail server that takes everything; gives back each message that it was sent.
fn mail_server() -> (u16, std::sync::mpsc::Receiver<String>) {
    use std::io::{BufRead, BufReader, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, messages) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut out = &stream;
            let _ = out.write_all(b"220 ready\r\n");
            let (mut message, mut in_message) = (String::new(), false);
            for line in BufReader::new(&stream).lines().map_while(Result::ok) {
                let answer = match (in_message, line.as_str()) {
                    (true, ".") => {
                        in_message = false;
                        let _ = tell.send(std::mem::take(&mut message));
                        "250 taken"
                    }
                    (true, line) => {
                        message.push_str(line);
                        message.push('\n');
                        continue;
                    }
                    (false, "DATA") => {
                        in_message = true;
                        "354 go on"
                    }
                    (false, "QUIT") => "221 bye",
                    (false, _) => "250 ok",
                };
                let _ = out.write_all(format!("{answer}\r\n").as_bytes());
            }
        }
    });
    (port, messages)
}

/// What a message tells: its subject, or a line of its list.
fn alerts(message: &str) -> Vec<String> {
    let marked = |mark: &str| {
        let told = message.lines().filter_map(|line| line.split_once(mark));
        told.map(|(_, alert)| alert.to_owned()).collect::<Vec<_>>()
    };
    let listed = marked("+0000 ");
    if listed.is_empty() { marked("Subject: [lb1] ") } else { listed }
}

fn alerts_are_mailed_to_the_last() {
    let (port, messages) = mail_server();
    let mailed = |name, vrid, vip| instance(name, vrid, vip).replacen("{\n", "{\n smtp_alert\n", 1);
    let text = |instances: &[String]| {
        format!(
            "global_defs {{\n router_id lb1\n smtp_server 127.0.0.1 {port}\n notification_email {{\n \
             ops@example.org\n }}\n}}\n{}",
            instances.concat()
        )
    };
    let a = mailed("A", 51, "198.51.100.100/24");
    let b = mailed("B", 52, "198.51.100.101/24");
    let quiet = instance("Quiet", 53, "198.51.100.102/24");
    let mut node = Node::start(&text(&[a.clone(), b, quiet.clone()]));
    for vip in ["198.51.100.100", "198.51.100.101", "198.51.100.102"] {
        node.await_address(vip, true);
    }
    let next = text(&[a, quiet]);
    let file = sys::memfd::sealed("next", &passed(&next)).unwrap();
    node.order(&ToRole::Reload { generation: 2 }, &[file.as_fd()]);
    node.await_word(&FromRole::Reloaded { generation: 2 });
    node.order(&ToRole::Stop, &[]);
    node.await_end();
    let told: Vec<String> = messages.try_iter().flat_map(|message| alerts(&message)).collect();
    let of = |name: &str| {
        let own = told.iter().filter_map(|alert| alert.strip_prefix("VRRP Instance "));
        own.filter_map(|alert| alert.strip_prefix(name)).map(str::to_owned).collect::<Vec<_>>()
    };
    let (backup, master) = (" - Entering BACKUP state", " - Entering MASTER state");
    assert_eq!(of("A"), [backup, master, " - Stopping"]);
    // Removed without notify_deleted: Keepalived calls that a fault.
    assert_eq!(of("B"), [backup, master, " - Entering FAULT state"]);
    assert_eq!(told.len(), 6, "{told:?}");
}
