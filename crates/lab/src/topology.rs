//! The laboratory: machines, a switch per link, a client, and cables that can be pulled.
//!
//! ```text
//!        n1         n2        client
//!     eth0 eth1  eth0 eth1   eth0 eth1
//!       │    │     │    │      │    │
//!     ──┴────┼─────┴────┼──────┴────┼──  sw0  198.51.100.0/24  2001:db8:0::/64
//!            └──────────┴───────────┘    sw1  203.0.113.0/24   2001:db8:1::/64
//! ```
//!
//! The switch is a machine of its own with a bridge per link; the capture sits there and sees
//! every frame that a machine sends, with the kernel's time stamp.

use std::fmt::Write as _;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use crate::capture::{Capture, Port, Seen};
use crate::daemon::Daemon;
use crate::enclosure::FILES;
use crate::journal::{Journal, wait_until};
use crate::meter::Meter;
use crate::packet::{Advert, Packet};
use crate::subject::Subject;
use crate::watch::{AddressChange, Watcher};
use crate::{LabError, Namespace};

/// The clock of a laboratory: everything is told as the time since it was built.
#[derive(Debug, Clone, Copy)]
pub struct Clock(SystemTime);

impl Clock {
    /// A clock that starts now.
    #[must_use]
    pub fn start() -> Self {
        Self(SystemTime::now())
    }

    /// The time since the start.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.at(SystemTime::now())
    }

    /// The given time on this clock.
    #[must_use]
    pub fn at(&self, time: SystemTime) -> Duration {
        time.duration_since(self.0).unwrap_or_default()
    }
}

/// How large the laboratory shall be.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Machines `n1`, `n2`… that run daemons.
    pub nodes: usize,
    /// Links of each machine: `eth0`, `eth1`…
    pub links: usize,
}

impl Default for Plan {
    fn default() -> Self {
        Self { nodes: 2, links: 1 }
    }
}

/// A laboratory. Everything in it ends when it is dropped.
#[derive(Debug)]
pub struct Lab {
    clock: Clock,
    // The order of the fields is the order of destruction: what uses a machine goes first.
    daemons: Vec<Option<Daemon>>,
    _capture: Capture,
    _watchers: Vec<Watcher>,
    frames: Journal<Seen>,
    changes: Journal<AddressChange>,
    nodes: Vec<Namespace>,
    client: Namespace,
    switch: Namespace,
    links: usize,
    base: TempDir,
}

/// The programs that are installed, inside of a machine: `/run/lab/keepalived`,
/// `/run/lab/standfast`.
pub(crate) fn binds() -> Vec<(PathBuf, String)> {
    let installed = [Subject::keepalived(), Subject::standfast()];
    binds_of(installed.iter().flatten())
}

/// Those of these subjects.
fn binds_of<'a>(subjects: impl IntoIterator<Item = &'a Subject>) -> Vec<(PathBuf, String)> {
    let mut binds: Vec<(PathBuf, String)> = Vec::new();
    for subject in subjects {
        let name = subject.to_string();
        if binds.iter().all(|(_, taken)| *taken != name) {
            binds.push((subject.program().to_owned(), name));
        }
    }
    binds
}

impl Lab {
    /// Builds a laboratory. The process must be in an enclosure ([`crate::enter`]).
    ///
    /// # Errors
    ///
    /// When the kernel refuses something or `ip` is missing.
    pub fn build(plan: Plan) -> Result<Self, LabError> {
        Self::build_with(plan, &binds())
    }

    /// As [`Lab::build`], for these subjects, whatever their files are called and wherever they
    /// are.
    ///
    /// # Errors
    ///
    /// As for [`Lab::build`].
    pub fn build_for(plan: Plan, subjects: [&Subject; 2]) -> Result<Self, LabError> {
        Self::build_with(plan, &binds_of(subjects))
    }

    /// As [`Lab::build`], with the given programs visible in each machine as `/run/lab/NAME`.
    ///
    /// # Errors
    ///
    /// As for [`Lab::build`].
    pub fn build_with(plan: Plan, programs: &[(PathBuf, String)]) -> Result<Self, LabError> {
        let io =
            |source| LabError::Io { what: "make a directory for the laboratory".into(), source };
        let clock = Clock::start();
        let base = tempfile::Builder::new().prefix("lab-").tempdir_in(FILES).map_err(io)?;
        // Script security looks at every directory of a script's path.
        fs::set_permissions(base.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .map_err(io)?;
        let make = |name: &str| Namespace::create(name, &base.path().join(name), programs);
        let switch = make("switch")?;
        let nodes: Vec<Namespace> =
            (1..=plan.nodes).map(|number| make(&format!("n{number}"))).collect::<Result<_, _>>()?;
        let client = make("client")?;
        let machines = || nodes.iter().chain([&client]);
        for machine in machines() {
            prepare(machine)?;
        }
        let changes = Journal::default();
        let watchers = nodes
            .iter()
            .map(|node| Watcher::start(node, clock, changes.clone()))
            .collect::<Result<Vec<_>, _>>()?;
        let mut wiring = String::new();
        for link in 0..plan.links {
            let _ = writeln!(wiring, "link add sw{link} type bridge mcast_snooping 0");
            let _ = writeln!(wiring, "link set sw{link} up");
            for (index, machine) in machines().enumerate() {
                let (port, mac) = (port(machine.name(), link), mac(index, link));
                let _ = writeln!(
                    wiring,
                    "link add {port} type veth peer name eth{link} address {mac} netns {}",
                    machine.tid(),
                );
                let _ = writeln!(wiring, "link set {port} master sw{link} up");
            }
        }
        switch.feed(&["ip", "-batch", "-"], &wiring)?;
        for (index, machine) in machines().enumerate() {
            let mut batch = String::from("link set lo up\n");
            for link in 0..plan.links {
                let [v4, v6] = addresses(index, plan.nodes, link);
                let _ = writeln!(batch, "link set eth{link} up");
                let _ = writeln!(batch, "addr add {v4}/24 brd + dev eth{link}");
                let _ = writeln!(batch, "addr add {v6}/64 dev eth{link} nodad");
            }
            machine.feed(&["ip", "-batch", "-"], &batch)?;
        }
        for machine in machines() {
            carrier(machine, plan.links)?;
        }
        let ports = ports(&switch, &nodes, &client, plan.links)?;
        let frames = Journal::default();
        let capture = Capture::start(&switch, ports, clock, frames.clone())?;
        let daemons = nodes.iter().map(|_| None).collect();
        Ok(Self {
            clock,
            daemons,
            _capture: capture,
            _watchers: watchers,
            frames,
            changes,
            nodes,
            client,
            switch,
            links: plan.links,
            base,
        })
    }

    /// The time since the laboratory was built.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.clock.now()
    }

    /// The machine with this number, from 1.
    ///
    /// # Panics
    ///
    /// When there is no such machine.
    #[must_use]
    pub fn node(&self, number: usize) -> &Namespace {
        &self.nodes[number - 1]
    }

    /// All machines that can run a daemon.
    #[must_use]
    pub fn nodes(&self) -> &[Namespace] {
        &self.nodes
    }

    /// The client's machine.
    #[must_use]
    pub fn client(&self) -> &Namespace {
        &self.client
    }

    /// The switch.
    #[must_use]
    pub fn switch(&self) -> &Namespace {
        &self.switch
    }

    /// Where the machines' files are.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.base.path()
    }

    /// Writes a file of a machine; `path` begins with `/run/` or `/tmp/`. Scripts (`#!`) are
    /// made executable.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn write(&self, number: usize, path: &str, text: &str) -> Result<(), LabError> {
        self.node(number).write(path, text)
    }

    /// Reads a file of a machine; empty when it does not exist.
    #[must_use]
    pub fn read(&self, number: usize, path: &str) -> String {
        self.node(number).read(path)
    }

    /// Starts a daemon on machine `number` with the given keepalived.conf.
    ///
    /// # Errors
    ///
    /// When it cannot be started; not when it ends at once, which the log tells.
    pub fn start(
        &mut self,
        number: usize,
        subject: &Subject,
        config: &str,
    ) -> Result<&Daemon, LabError> {
        self.start_with(number, subject, config, &["-D"])
    }

    /// As [`Lab::start`], with the given arguments in place of `-D` (log in detail).
    ///
    /// # Errors
    ///
    /// As for [`Lab::start`].
    pub fn start_with(
        &mut self,
        number: usize,
        subject: &Subject,
        config: &str,
        arguments: &[&str],
    ) -> Result<&Daemon, LabError> {
        self.daemons[number - 1] = None;
        self.write(number, "/run/keepalived.conf", config)?;
        let program = format!("/run/lab/{subject}");
        let words: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
        let machine = &self.nodes[number - 1];
        let daemon = Daemon::start(machine, subject, &program, &words, self.clock)?;
        Ok(self.daemons[number - 1].insert(daemon))
    }

    /// The daemon of machine `number`, running or ended.
    ///
    /// # Panics
    ///
    /// When none was started.
    #[must_use]
    pub fn daemon(&self, number: usize) -> &Daemon {
        self.daemons[number - 1].as_ref().unwrap_or_else(|| panic!("no daemon on n{number}"))
    }

    /// The daemons that were started and not replaced, with their machines' numbers.
    pub fn daemons(&self) -> impl Iterator<Item = (usize, &Daemon)> {
        self.daemons
            .iter()
            .enumerate()
            .filter_map(|(index, daemon)| Some((index + 1, daemon.as_ref()?)))
    }

    /// Pulls the cable of a machine: it sees that the carrier is gone. Returns when.
    ///
    /// # Errors
    ///
    /// When `ip` fails.
    pub fn pull(&self, number: usize, link: usize) -> Result<Duration, LabError> {
        self.port_state(number, link, "down")
    }

    /// Puts the cable back. Returns when.
    ///
    /// # Errors
    ///
    /// When `ip` fails.
    pub fn plug(&self, number: usize, link: usize) -> Result<Duration, LabError> {
        self.port_state(number, link, "up")
    }

    fn port_state(&self, number: usize, link: usize, state: &str) -> Result<Duration, LabError> {
        let at = self.now();
        let port = port(self.node(number).name(), link);
        self.switch.command(&format!("ip link set {port} {state}"))?;
        Ok(at)
    }

    /// Cuts a machine off silently: the switch forwards nothing from it and to it, the carrier
    /// stays. Returns when. The capture still sees what it sends.
    ///
    /// # Errors
    ///
    /// When `ip` fails.
    pub fn mute(&self, number: usize, link: usize) -> Result<Duration, LabError> {
        let at = self.now();
        let port = port(self.node(number).name(), link);
        self.switch.command(&format!("ip link set {port} nomaster"))?;
        Ok(at)
    }

    /// Ends [`Lab::mute`]. Returns when.
    ///
    /// # Errors
    ///
    /// When `ip` fails.
    pub fn unmute(&self, number: usize, link: usize) -> Result<Duration, LabError> {
        let at = self.now();
        let port = port(self.node(number).name(), link);
        self.switch.command(&format!("ip link set {port} master sw{link}"))?;
        Ok(at)
    }

    /// Starts a meter that asks `target` from the client.
    ///
    /// # Errors
    ///
    /// When the kernel refuses the socket.
    pub fn meter(&self, target: IpAddr, interval: Duration) -> Result<Meter, LabError> {
        Meter::start(&self.client, target, interval, self.clock)
    }

    /// Everything that was captured.
    #[must_use]
    pub fn frames(&self) -> &Journal<Seen> {
        &self.frames
    }

    /// All changes of addresses on the machines.
    #[must_use]
    pub fn changes(&self) -> &Journal<AddressChange> {
        &self.changes
    }

    /// The advertisements that machine `number` sent since `since`, with their times.
    #[must_use]
    pub fn adverts(&self, number: usize, since: Duration) -> Vec<(Duration, Advert)> {
        let name = self.node(number).name();
        self.frames.look(|frames| {
            frames
                .iter()
                .filter(|seen| seen.node == name && seen.at >= since)
                .filter_map(|seen| match &seen.packet {
                    Packet::Advert(advert) => Some((seen.at, (**advert).clone())),
                    _ => None,
                })
                .collect()
        })
    }

    /// Waits for an advertisement of machine `number` that `wanted` accepts, sent after `since`.
    #[must_use]
    pub fn wait_advert(
        &self,
        number: usize,
        since: Duration,
        limit: Duration,
        wanted: impl Fn(&Advert) -> bool,
    ) -> Option<(Duration, Advert)> {
        let name = self.node(number).name();
        self.frames.wait(limit, |frames| {
            frames.iter().filter(|seen| seen.node == name && seen.at >= since).find_map(|seen| {
                match &seen.packet {
                    Packet::Advert(advert) if wanted(advert) => Some((seen.at, (**advert).clone())),
                    _ => None,
                }
            })
        })
    }

    /// Whether machine `number` has `address` now, as far as the kernel has told.
    #[must_use]
    pub fn holds(&self, number: usize, address: IpAddr) -> bool {
        let name = self.node(number).name();
        self.changes.look(|changes| {
            changes
                .iter()
                .rev()
                .find(|change| change.node == name && change.address == address)
                .is_some_and(|change| change.added)
        })
    }

    /// Waits for `address` to be added to (or removed from) machine `number` after `since`.
    #[must_use]
    pub fn wait_address(
        &self,
        number: usize,
        address: IpAddr,
        added: bool,
        since: Duration,
        limit: Duration,
    ) -> Option<Duration> {
        let name = self.node(number).name();
        self.changes.wait(limit, |changes| {
            changes
                .iter()
                .find(|it| {
                    it.node == name && it.address == address && it.added == added && it.at >= since
                })
                .map(|change| change.at)
        })
    }

    /// The number of links.
    #[must_use]
    pub fn links(&self) -> usize {
        self.links
    }

    /// What happened, for a report about a failure: logs, packets, addresses.
    #[must_use]
    pub fn story(&self) -> String {
        let mut story = String::new();
        for (number, daemon) in self.daemons() {
            let _ = writeln!(story, "log of n{number} ({}):", daemon.subject());
            story += &daemon.tail(60);
        }
        story += "packets:\n";
        self.frames.look(|frames| {
            for seen in &frames[frames.len().saturating_sub(60)..] {
                let at = seen.at.as_secs_f64();
                let _ = writeln!(story, "  {at:8.3} {}/{} {}", seen.node, seen.link, seen.packet);
            }
        });
        story += "addresses:\n";
        self.changes.look(|changes| {
            for change in &changes[changes.len().saturating_sub(40)..] {
                let sign = if change.added { '+' } else { '-' };
                let at = change.at.as_secs_f64();
                let _ = writeln!(story, "  {at:8.3} {} {sign} {}", change.node, change.address);
            }
        });
        story
    }
}

/// The switch's side of a cable.
fn port(machine: &str, link: usize) -> String {
    format!("{machine}-{link}")
}

fn mac(index: usize, link: usize) -> String {
    format!("02:00:00:00:{link:02x}:{:02x}", index + 1)
}

/// A machine's own addresses on a link: .1, .2… for the nodes, .9 for the client.
fn addresses(index: usize, nodes: usize, link: usize) -> [String; 2] {
    let host = if index == nodes { 9 } else { index + 1 };
    let network = if link == 0 { "198.51.100" } else { "203.0.113" };
    [format!("{network}.{host}"), format!("2001:db8:{link}::{host}")]
}

/// No duplicate address detection: addresses are usable at once, as on a quiet network.
fn prepare(machine: &Namespace) -> Result<(), LabError> {
    machine
        .run(|| {
            for scope in ["all", "default"] {
                let path = format!("/proc/sys/net/ipv6/conf/{scope}");
                fs::write(format!("{path}/accept_dad"), "0")?;
                fs::write(format!("{path}/dad_transmits"), "0")?;
                fs::write(format!("{path}/router_solicitations"), "0")?;
            }
            Ok(())
        })
        .map_err(|source| LabError::Io { what: "switch off address detection".into(), source })
}

/// Waits until all links of a machine are up: the kernel tells of a carrier a little later.
fn carrier(machine: &Namespace, links: usize) -> Result<(), LabError> {
    let limit = Duration::from_secs(10);
    wait_until(limit, || {
        let text = machine.command("ip -j link show").ok()?;
        let list: serde_json::Value = serde_json::from_str(&text).ok()?;
        let up = list.as_array()?.iter().filter(|link| link["operstate"] == "UP").count();
        (up >= links).then_some(())
    })
    .ok_or_else(|| LabError::Late { what: format!("links of {}", machine.name()), limit })
}

/// The ports of the switch by the kernel's index.
fn ports(
    switch: &Namespace,
    nodes: &[Namespace],
    client: &Namespace,
    links: usize,
) -> Result<Vec<Port>, LabError> {
    let text = switch.command("ip -j link show")?;
    let list: serde_json::Value =
        serde_json::from_str(&text).map_err(|_| LabError::Gone("ip -j link show".into()))?;
    let index = |name: &str| {
        let all = list.as_array()?;
        let entry = all.iter().find(|entry| entry["ifname"] == name)?;
        usize::try_from(entry["ifindex"].as_u64()?).ok()
    };
    let mut ports = Vec::new();
    for machine in nodes.iter().chain([client]) {
        for link in 0..links {
            let name = port(machine.name(), link);
            let index = index(&name).ok_or_else(|| LabError::Gone(name.clone()))?;
            ports.push(Port { index, node: machine.name().to_owned(), link });
        }
    }
    Ok(ports)
}
