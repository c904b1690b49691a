//! A server farm: a client, a director that balances, and real servers.
//!
//! ```text
//!   client .9 ──── front 198.51.100.0/24, 2001:db8:0::/64 ──── director .1, VIP .100
//!     │                                                            │
//!     └─────────── back 203.0.113.0/24, 2001:db8:1::/64 ───────────┘
//!                       │          │
//!                     r1 .11     r2 .12 …   default route: the director
//! ```
//!
//! With NAT answers go back through the director. With DR and tunnels ([`Farm::direct`]) the real
//! servers have the VIP themselves and answer the client directly, over the back network.

use std::fmt::Write as _;
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use crate::daemon::Daemon;
use crate::enclosure::FILES;
use crate::subject::Subject;
use crate::{Clock, LabError, Namespace};

/// The address that clients talk to.
pub const VIP: &str = "198.51.100.100";

/// The same for IPv6.
pub const VIP6: &str = "2001:db8::100";

/// A farm. Everything in it ends when it is dropped.
#[derive(Debug)]
pub struct Farm {
    clock: Clock,
    // The order of the fields is the order of destruction: what uses a machine goes first.
    daemon: Option<Daemon>,
    director: Namespace,
    others: Option<Others>,
    _base: TempDir,
}

#[derive(Debug)]
struct Others {
    client: Namespace,
    reals: Vec<Namespace>,
    _switch: Namespace,
}

impl Farm {
    /// A director on its own, with nothing but a loopback interface: enough to see what becomes of a
    /// configuration.
    ///
    /// # Errors
    ///
    /// When the kernel refuses something or `ip` is missing.
    pub fn director_only() -> Result<Self, LabError> {
        let base = home()?;
        let director = make(base.path(), "director")?;
        // Without any route the kernel takes every destination for a broadcast address.
        director.command("ip link set lo up")?;
        Ok(Self { clock: Clock::start(), daemon: None, director, others: None, _base: base })
    }

    /// A whole farm with `count` real servers (at most 80), set up for NAT.
    ///
    /// # Errors
    ///
    /// As for [`Farm::director_only`].
    pub fn build(count: usize) -> Result<Self, LabError> {
        let base = home()?;
        let make = |name: &str| make(base.path(), name);
        let switch = make("switch")?;
        let director = make("director")?;
        let client = make("client")?;
        let names = (1..=count).map(|number| format!("r{number}"));
        let reals: Vec<Namespace> = names.map(|name| make(&name)).collect::<Result<_, _>>()?;
        let machines = || [&director, &client].into_iter().chain(&reals);
        for machine in machines() {
            settle(machine)?;
        }
        let mut wiring = String::new();
        for network in ["front", "back"] {
            let _ = writeln!(wiring, "link add {network} type bridge mcast_snooping 0");
            let _ = writeln!(wiring, "link set {network} up");
        }
        for machine in machines() {
            let networks: &[&str] =
                if machine.name().starts_with('r') { &["back"] } else { &["front", "back"] };
            for network in networks {
                let port = format!("{}-{network}", machine.name());
                let tid = machine.tid();
                let _ =
                    writeln!(wiring, "link add {port} type veth peer name {network} netns {tid}");
                let _ = writeln!(wiring, "link set {port} master {network} up");
            }
        }
        switch.feed(&["ip", "-batch", "-"], &wiring)?;
        for (index, machine) in machines().enumerate() {
            let batch = match index {
                0 => format!(
                    "{}{}addr add {VIP}/32 dev front\naddr add {VIP6}/128 dev front\n",
                    interface("front", 1),
                    interface("back", 1)
                ),
                1 => format!("{}{}", interface("front", 9), interface("back", 9)),
                _ => format!(
                    "{}route add default via 203.0.113.1\nroute add default via 2001:db8:1::1\n",
                    interface("back", 9 + index)
                ),
            };
            machine.feed(&["ip", "-batch", "-"], &format!("link set lo up\n{batch}"))?;
        }
        let others = Some(Others { client, reals, _switch: switch });
        Ok(Self { clock: Clock::start(), daemon: None, director, others, _base: base })
    }

    /// Real server `number` answers clients directly, as DR and tunnels need it: it has the VIPs
    /// without telling anybody, and a way to the client that avoids the director. `interface`
    /// takes them; `lo`, or the end of a tunnel.
    ///
    /// # Errors
    ///
    /// When `ip` fails.
    pub fn direct(&self, number: usize, interface: &str) -> Result<(), LabError> {
        let real = self.real(number);
        real.run(|| {
            for (name, value) in [("arp_ignore", "1"), ("arp_announce", "2"), ("rp_filter", "0")] {
                for scope in ["all", "default"] {
                    fs::write(format!("/proc/sys/net/ipv4/conf/{scope}/{name}"), value)?;
                }
            }
            Ok(())
        })
        .map_err(|source| LabError::Io { what: "set ARP for direct routing".into(), source })?;
        let batch = format!(
            "link set {interface} up\naddr add {VIP}/32 dev {interface}\n\
             addr add {VIP6}/128 dev {interface} nodad\nroute add 198.51.100.0/24 dev back\n\
             route add 2001:db8:0::/64 dev back\n",
        );
        real.feed(&["ip", "-batch", "-"], &batch).map(drop)
    }

    /// The time since the farm was built.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.clock.now()
    }

    /// The machine that balances.
    #[must_use]
    pub fn director(&self) -> &Namespace {
        &self.director
    }

    /// The client's machine.
    ///
    /// # Panics
    ///
    /// When there is only a director.
    #[must_use]
    pub fn client(&self) -> &Namespace {
        &self.others().client
    }

    /// A real server's machine, from 1.
    ///
    /// # Panics
    ///
    /// When there is no such machine.
    #[must_use]
    pub fn real(&self, number: usize) -> &Namespace {
        &self.others().reals[number - 1]
    }

    /// Starts a daemon on the director.
    ///
    /// # Errors
    ///
    /// When it cannot be started; not when it ends at once, which the log tells.
    pub fn start(
        &mut self,
        subject: &Subject,
        config: &str,
        arguments: &[&str],
    ) -> Result<&Daemon, LabError> {
        self.daemon = None;
        self.director.write("/run/keepalived.conf", config)?;
        let program = format!("/run/lab/{subject}");
        let words: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
        let daemon = Daemon::start(&self.director, subject, &program, &words, self.clock)?;
        Ok(self.daemon.insert(daemon))
    }

    /// Writes a new configuration and sends SIGHUP.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn reload(&self, config: &str) -> Result<(), LabError> {
        self.director.write("/run/keepalived.conf", config)?;
        self.daemon().reload();
        Ok(())
    }

    /// The daemon, running or ended.
    ///
    /// # Panics
    ///
    /// When none was started.
    #[must_use]
    pub fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().expect("a daemon was started")
    }

    /// The last lines of the daemon's log, for a report about a failure.
    #[must_use]
    pub fn story(&self) -> String {
        self.daemon.as_ref().map(|daemon| daemon.tail(60)).unwrap_or_default()
    }

    /// The kernel's table on the director, a line for each service and destination, sorted: what
    /// `ipvsadm -S` tells.
    ///
    /// # Errors
    ///
    /// When `ipvsadm` fails.
    pub fn table(&self) -> Result<Vec<String>, LabError> {
        let rules = self.director.command("ipvsadm -Sn")?;
        let mut lines: Vec<String> = rules.lines().map(|line| line.trim().to_owned()).collect();
        lines.sort();
        Ok(lines)
    }

    /// A line for each destination that has thresholds, which `ipvsadm -S` does not tell.
    ///
    /// # Errors
    ///
    /// When `ipvsadm` fails.
    pub fn thresholds(&self) -> Result<Vec<String>, LabError> {
        let listing = self.director.command("ipvsadm -Ln --thresholds")?;
        let (mut service, mut lines) = (String::new(), Vec::new());
        for line in listing.lines().skip(3) {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["->", real, upper, lower, ..] if (*upper, *lower) != ("0", "0") => {
                    lines.push(format!("{service} -> {real} upper {upper} lower {lower}"));
                }
                ["->", ..] => {}
                [protocol, address, ..] => service = format!("{protocol} {address}"),
                _ => {}
            }
        }
        lines.sort();
        Ok(lines)
    }

    /// The kernel's table as `/proc/net/ip_vs` has it, without the counts of connections: cheap,
    /// and equal as long as nothing changes.
    #[must_use]
    pub fn glimpse(&self) -> Vec<String> {
        let text = self.director.run(|| read_in_pages("/proc/thread-self/net/ip_vs"));
        let line = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["->", fields @ .., _active, _inactive] => format!("-> {}", fields.join(" ")),
                _ => words.join(" "),
            }
        };
        text.unwrap_or_default().lines().skip(3).map(line).collect()
    }

    fn others(&self) -> &Others {
        self.others.as_ref().expect("a farm with more than a director")
    }
}

/// Reads in portions as large as can be, which is a page. The kernel counts services of all
/// namespaces when it goes on, and those of this one when it begins again (Linux 6.1): where
/// another namespace has services too, `net/ip_vs` lacks lines behind the first page.
fn read_in_pages(path: &str) -> std::io::Result<String> {
    let mut file = fs::File::open(path)?;
    let (mut text, mut page) = (Vec::new(), vec![0; 16 * 1024]);
    loop {
        match file.read(&mut page)? {
            0 => return Ok(String::from_utf8_lossy(&text).into_owned()),
            length => text.extend_from_slice(&page[..length]),
        }
    }
}

/// Where the machines have their files.
fn home() -> Result<TempDir, LabError> {
    let io = |source| LabError::Io { what: "make a directory for the farm".into(), source };
    let base = tempfile::Builder::new().prefix("farm-").tempdir_in(FILES).map_err(io)?;
    // Script security looks at every directory of a script's path.
    fs::set_permissions(base.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .map_err(io)?;
    Ok(base)
}

/// A machine; the director finds the daemons' programs in `/run/lab`.
fn make(home: &Path, name: &str) -> Result<Namespace, LabError> {
    let programs = if name == "director" { crate::topology::binds() } else { Vec::new() };
    Namespace::create(name, &home.join(name), &programs)
}

/// Addresses are usable at once, and packets for others are passed on.
fn settle(machine: &Namespace) -> Result<(), LabError> {
    let router = machine.name() == "director";
    machine
        .run(move || {
            for scope in ["all", "default"] {
                let path = format!("/proc/sys/net/ipv6/conf/{scope}");
                fs::write(format!("{path}/accept_dad"), "0")?;
                fs::write(format!("{path}/router_solicitations"), "0")?;
                if router {
                    fs::write(format!("{path}/forwarding"), "1")?;
                }
            }
            if router {
                fs::write("/proc/sys/net/ipv4/ip_forward", "1")?;
            }
            Ok(())
        })
        .map_err(|source| LabError::Io { what: format!("prepare {}", machine.name()), source })
}

fn interface(network: &str, host: usize) -> String {
    let (v4, v6) = match network {
        "front" => ("198.51.100", "2001:db8:0"),
        _ => ("203.0.113", "2001:db8:1"),
    };
    format!(
        "link set {network} up\naddr add {v4}.{host}/24 brd + dev {network}\n\
         addr add {v6}::{host}/64 dev {network} nodad\n",
    )
}
