//! What the configuration wants of the balancer: virtual servers with everything resolved that does
//! not change while they run.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use config::model::balancer::{
    self as model, Forwarding, GroupEntry, Host, Service, Ssl, TunnelChecksum,
};
use config::model::checker::{Checker, CheckerKind, FileWeight};
use config::model::{Command, Family, Model};
use netlink::ipvs::{self, ServiceKey};

use super::io::Lookup;
use super::key::{RsHost, RsKey, Transport, VsKey, family};

/// A script that the caller resolved. The number is the caller's: it must mean the same command as
/// long as any plan that uses it is in force, and equal commands must get equal numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ScriptId(pub u32);

/// Most kernel services that one virtual server may stand for: a group's ranges can be large.
pub const MOST_SERVICES: usize = 65_536;

/// All virtual servers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// In the order of the file.
    pub virtual_servers: Vec<VsPlan>,
    /// `rs_init_notifies`: servers that start as up are told of.
    pub init_notifies: bool,
    /// `no_checker_emails`: mail only when a real server changes, not for each of its checks.
    pub no_checker_mail: bool,
    /// What could not be honoured, in sentences.
    pub notes: Vec<String>,
}

/// A `virtual_server` block.
#[derive(Clone, Debug, PartialEq)]
pub struct VsPlan {
    /// What identifies it. Two blocks with the same key live side by side.
    pub key: VsKey,
    /// Its name in logs and FIFO lines: `[198.51.100.1]:tcp:80`, `[GROUP]:0`, `FWM 3`.
    pub name: Arc<str>,
    /// The kernel's services that it stands for, in the order of the file.
    pub services: Vec<(ServiceKey, ipvs::Service)>,
    /// How logs write the protocol of its servers.
    pub protocol: Option<Transport>,
    /// `quorum`, at least 1.
    pub quorum: u32,
    /// `hysteresis`, below the quorum.
    pub hysteresis: u32,
    /// `quorum_up`
    pub quorum_up: Option<ScriptId>,
    /// `quorum_down`
    pub quorum_down: Option<ScriptId>,
    /// `sorry_server`
    pub sorry: Option<SorryPlan>,
    /// `omega`: notices when the daemon stops.
    pub omega: bool,
    /// `ha_suspend`: addresses of which one must be on this host for checks to run.
    pub suspend_without: Option<Vec<(IpAddr, IpAddr)>>,
    /// `smtp_alert`
    pub mail: bool,
    /// Its real servers.
    pub servers: Vec<RsPlan>,
    /// The block itself, without the checkers of its servers: those are in [`RsPlan::checks`].
    pub model: Arc<model::VirtualServer>,
}

/// `sorry_server`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SorryPlan {
    /// Where.
    pub address: SocketAddr,
    /// Its name in logs.
    pub name: Arc<str>,
    /// `sorry_server_inhibit`: it is in the table with weight 0 while it does not answer.
    pub inhibit: bool,
    /// How packets get there.
    pub forwarding: ipvs::Forwarding,
}

/// A `real_server` block.
#[derive(Clone, Debug, PartialEq)]
pub struct RsPlan {
    /// What identifies it within its virtual server.
    pub key: RsKey,
    /// The question for the DNS, for one that goes by a name.
    pub lookup: Option<Lookup>,
    /// `weight`
    pub weight: u32,
    /// Nobody wrote a weight: that of an SRV record counts.
    pub weight_open: bool,
    /// How packets get there.
    pub forwarding: ipvs::Forwarding,
    /// `uthreshold`
    pub upper: u32,
    /// `lthreshold`
    pub lower: u32,
    /// `inhibit_on_failure`: weight 0 instead of removal.
    pub inhibit: bool,
    /// `notify_up`
    pub notify_up: Option<ScriptId>,
    /// `notify_down`
    pub notify_down: Option<ScriptId>,
    /// `smtp_alert`
    pub mail: bool,
    /// Its checks.
    pub checks: Vec<Arc<CheckPlan>>,
    /// Its place in [`VsPlan::model`]'s list.
    pub index: usize,
}

/// A check of a `real_server` block. A reload leaves a running check alone if nothing but `alpha`
/// is another, which matters at the start only.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckPlan {
    /// What it does and when.
    pub checker: Checker,
    /// Its keyword: `TCP_CHECK`.
    pub keyword: &'static str,
    /// Starts as down.
    pub alpha: bool,
    /// `virtualhost` of the real or else of the virtual server.
    pub virtualhost: Option<String>,
    /// The command of a `MISC_CHECK`.
    pub script: Option<ScriptId>,
    /// The weight of a `FILE_CHECK`'s file, where the check has none.
    pub file_weight: Option<FileWeight>,
    /// The `SSL` block, for checks that use TLS.
    pub ssl: Option<Arc<Ssl>>,
}

impl Plan {
    /// The plan of a checked configuration. `script` resolves commands; `None` disables the
    /// notification, or leaves a `MISC_CHECK` out.
    pub fn new(model: &Model, mut script: impl FnMut(&Command) -> Option<ScriptId>) -> Self {
        let ssl = model.ssl.clone().map(Arc::new);
        let mut plan = Self {
            init_notifies: model.global.lvs.rs_init_notifies,
            no_checker_mail: model.global.mail.no_checker,
            ..Self::default()
        };
        let mut owners: HashMap<ServiceKey, Arc<str>> = HashMap::new();
        for server in &model.virtual_servers {
            let vs = plan.virtual_server(server, model, ssl.as_ref(), &mut script);
            for (service, _) in &vs.services {
                if let Some(first) = owners.insert(*service, vs.name.clone()) {
                    plan.notes.push(format!(
                        "{service} belongs to the virtual servers {first} and {}: their servers are \
                         joined, and the settings of the first count",
                        vs.name
                    ));
                    owners.insert(*service, first);
                }
            }
            plan.virtual_servers.push(vs);
        }
        plan
    }

    fn virtual_server(
        &mut self,
        server: &model::VirtualServer,
        model: &Model,
        ssl: Option<&Arc<Ssl>>,
        script: &mut impl FnMut(&Command) -> Option<ScriptId>,
    ) -> VsPlan {
        let transport = Transport::from(server.protocol.value);
        let key = match &server.service {
            Service::Address(address) => VsKey::Address { protocol: transport, address: *address },
            Service::FwMark(mark) => {
                VsKey::FwMark { ipv6: server.family == Family::V6, mark: *mark }
            }
            Service::Group(name) => VsKey::Group { protocol: transport, name: name.text.clone() },
        };
        let name: Arc<str> = match &server.service {
            // Keepalived numbers the virtual servers of a group.
            Service::Group(group) => {
                let before = self.virtual_servers.iter().filter(
                    |vs| matches!(&vs.key, VsKey::Group { name, .. } if *group == name.as_str()),
                );
                format!("[{group}]:{}", before.count()).into()
            }
            _ => key.to_string().into(),
        };
        let keys = self.kernel_keys(server, transport, model, &name);
        let services: Vec<_> =
            keys.into_iter().map(|key| (key, kernel_service(server, &key))).collect();
        let is_mark = |key: &ServiceKey| matches!(key, ServiceKey::FwMark { .. });
        let marks_only = services.iter().all(|(key, _)| is_mark(key));
        let protocol = (!marks_only).then_some(transport);
        let mut suspend = server.ha_suspend;
        if suspend && services.iter().any(|(key, _)| is_mark(key)) {
            self.notes.push(format!(
                "{name}: a firewall mark has no address that ha_suspend could wait for; its checks \
                 always run"
            ));
            suspend = false;
        }
        let mut servers: Vec<RsPlan> = Vec::with_capacity(server.real_servers.len());
        let mut seen = HashSet::with_capacity(server.real_servers.len());
        for (index, real) in server.real_servers.iter().enumerate() {
            let real = self.real_server(index, real, server, model, ssl, script);
            // Ports that do not count (DR by a mark) can make two servers one.
            if seen.insert(real.key.clone()) {
                servers.push(real);
            } else {
                self.notes.push(format!("{name} has the server {} twice", real.key));
            }
        }
        VsPlan {
            services,
            protocol,
            quorum: server.quorum.value.max(1),
            hysteresis: server.hysteresis.value.min(server.quorum.value.max(1) - 1),
            quorum_up: server.quorum_up.as_deref().and_then(&mut *script),
            quorum_down: server.quorum_down.as_deref().and_then(&mut *script),
            sorry: server.sorry_server.as_ref().map(|sorry| sorry_plan(sorry, server, protocol)),
            omega: server.omega,
            suspend_without: suspend.then(|| local_addresses(server, model)),
            mail: server.smtp_alert.value,
            servers,
            model: Arc::new(without_checkers(server)),
            key,
            name,
        }
    }

    /// One kernel service for an address or a mark; for a group one for each of its members.
    fn kernel_keys(
        &mut self,
        server: &model::VirtualServer,
        transport: Transport,
        model: &Model,
        name: &str,
    ) -> Vec<ServiceKey> {
        let own_family = kernel_family(server.family);
        let group = match &server.service {
            Service::Address(address) => {
                return vec![ServiceKey::address(transport.kernel(), *address)];
            }
            Service::FwMark(mark) => return vec![ServiceKey::mark(own_family, *mark)],
            Service::Group(group) => group,
        };
        let entries = model
            .virtual_server_groups
            .iter()
            .find(|candidate| candidate.name == *group)
            .map_or(&[][..], |group| &group.entries);
        let mut keys: BTreeMap<ServiceKey, usize> = BTreeMap::new();
        let mut add = |key| {
            let place = keys.len();
            keys.entry(key).or_insert(place);
            keys.len() < MOST_SERVICES
        };
        for entry in entries {
            let room = match entry {
                GroupEntry::FwMark { mark, family } => {
                    add(ServiceKey::mark(family.map_or(own_family, kernel_family), *mark))
                }
                GroupEntry::Addresses { first, last, port } => addresses(*first, *last)
                    .all(|ip| add(ServiceKey::address(transport.kernel(), (ip, *port).into()))),
            };
            if !room {
                self.notes.push(format!(
                    "{name} has more than {MOST_SERVICES} addresses; the rest is left out"
                ));
                break;
            }
        }
        let mut keys: Vec<_> = keys.into_iter().collect();
        keys.sort_by_key(|(_, place)| *place);
        keys.into_iter().map(|(key, _)| key).collect()
    }

    fn real_server(
        &mut self,
        index: usize,
        real: &model::RealServer,
        server: &model::VirtualServer,
        model: &Model,
        ssl: Option<&Arc<Ssl>>,
        script: &mut impl FnMut(&Command) -> Option<ScriptId>,
    ) -> RsPlan {
        let tunnel = matches!(real.forwarding, Forwarding::Tunnel(_));
        let lookup = match &real.host {
            Host::Address(_) => None,
            Host::Name(name) => Some(Lookup {
                name: name.to_string(),
                ipv4: tunnel || server.family == Family::V4,
                ipv6: tunnel || server.family == Family::V6,
            }),
        };
        // Only NAT can change the port; a mark has none to keep.
        let marked = matches!(server.service, Service::FwMark(_));
        let port = if marked && real.forwarding != Forwarding::Nat { 0 } else { real.port };
        let virtualhost = real.virtualhost.as_deref().or(server.virtualhost.as_deref());
        let mut checks = Vec::with_capacity(real.checkers.len());
        for checker in &real.checkers {
            let mut command = None;
            if let CheckerKind::Misc(misc) = &checker.kind {
                command = script(&misc.command);
                if command.is_none() {
                    self.notes.push(format!(
                        "the MISC_CHECK `{}` of {} cannot be run and is left out",
                        misc.command.program(),
                        RsKey { host: RsHost::from(&real.host), port }
                    ));
                    continue;
                }
            }
            let file_weight = match &checker.kind {
                CheckerKind::File { file, weight: None } => {
                    model.track_file(file).map(|file| file.weight.value.into())
                }
                _ => None,
            };
            let tls = matches!(&checker.kind, CheckerKind::Http(http) if http.tls);
            checks.push(Arc::new(CheckPlan {
                keyword: keyword(&checker.kind),
                alpha: checker.alpha,
                virtualhost: virtualhost.map(str::to_owned),
                script: command,
                file_weight,
                ssl: if tls { ssl.cloned() } else { None },
                checker: checker.clone(),
            }));
        }
        RsPlan {
            key: RsKey { host: RsHost::from(&real.host), port },
            lookup,
            weight: real.weight.value.min(MOST_WEIGHT),
            weight_open: real.weight.is_default(),
            forwarding: kernel_forwarding(real.forwarding),
            upper: real.upper_threshold,
            lower: real.lower_threshold,
            inhibit: real.inhibit_on_failure,
            notify_up: real.notify_up.as_deref().and_then(&mut *script),
            notify_down: real.notify_down.as_deref().and_then(&mut *script),
            mail: real.smtp_alert,
            checks,
            index,
        }
    }
}

impl CheckPlan {
    /// Whether a check that runs by this plan need not be restarted to run by the other.
    pub(super) fn runs_as(&self, other: &Self) -> bool {
        let Checker { kind, schedule, connection, alpha: _, log_all_failures } = &self.checker;
        let theirs = &other.checker;
        *kind == theirs.kind
            && *schedule == theirs.schedule
            && *connection == theirs.connection
            && *log_all_failures == theirs.log_all_failures
            && self.virtualhost == other.virtualhost
            && self.script == other.script
            && self.file_weight == other.file_weight
            && self.ssl == other.ssl
    }
}

/// With tens of thousands of servers it is worth not to have every checker twice.
fn without_checkers(server: &model::VirtualServer) -> model::VirtualServer {
    let mut server = server.clone();
    for real in &mut server.real_servers {
        real.checkers = Box::default();
    }
    server
}

/// The greatest weight that the kernel takes.
pub const MOST_WEIGHT: u32 = i32::MAX as u32;

fn sorry_plan(
    sorry: &model::SorryServer,
    server: &model::VirtualServer,
    protocol: Option<Transport>,
) -> SorryPlan {
    let mut address = sorry.address;
    if sorry.forwarding.value != Forwarding::Nat {
        match server.service {
            Service::Address(service) => address.set_port(service.port()),
            Service::FwMark(_) => address.set_port(0),
            Service::Group(_) => {}
        }
    }
    SorryPlan {
        address,
        name: server_name(address, protocol).into(),
        inhibit: sorry.inhibit,
        forwarding: kernel_forwarding(sorry.forwarding.value),
    }
}

/// What logs and FIFO lines call a real server: `[10.0.0.2]:tcp:80`, `[10.0.0.2]:none:80`.
pub(super) fn server_name(server: SocketAddr, protocol: Option<Transport>) -> String {
    let protocol = protocol.map_or("none", Transport::word);
    format!("[{}]:{protocol}:{}", server.ip(), server.port())
}

/// The addresses that `ha_suspend` waits for. Marks have none.
fn local_addresses(server: &model::VirtualServer, model: &Model) -> Vec<(IpAddr, IpAddr)> {
    match &server.service {
        Service::Address(address) => vec![(address.ip(), address.ip())],
        Service::FwMark(_) => Vec::new(),
        Service::Group(name) => model
            .virtual_server_groups
            .iter()
            .filter(|group| group.name == *name)
            .flat_map(|group| &group.entries)
            .filter_map(|entry| match entry {
                GroupEntry::Addresses { first, last, .. } => Some((*first, *last)),
                GroupEntry::FwMark { .. } => None,
            })
            .collect(),
    }
}

/// Every address from `first` to `last`, both included.
fn addresses(first: IpAddr, last: IpAddr) -> impl Iterator<Item = IpAddr> {
    let (from, to) = (as_number(first), as_number(last));
    (from..=to).map(move |number| match first {
        IpAddr::V4(_) => IpAddr::V4(u32::try_from(number).unwrap_or(u32::MAX).into()),
        IpAddr::V6(_) => IpAddr::V6(number.into()),
    })
}

fn as_number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u32::from(ip).into(),
        IpAddr::V6(ip) => ip.into(),
    }
}

fn kernel_family(family: Family) -> netlink::Family {
    match family {
        Family::V4 => netlink::Family::V4,
        Family::V6 => netlink::Family::V6,
    }
}

fn kernel_service(server: &model::VirtualServer, key: &ServiceKey) -> ipvs::Service {
    let mut service = ipvs::Service::new(server.scheduler.value.name());
    let flags = server.scheduler_flags;
    service.flags.set(ipvs::SchedulerFlags::FLAG_1, flags.flag1);
    service.flags.set(ipvs::SchedulerFlags::FLAG_2, flags.flag2);
    service.flags.set(ipvs::SchedulerFlags::FLAG_3, flags.flag3);
    service.one_packet = server.one_packet;
    service.engine.clone_from(&server.persistence_engine);
    service.persistence = server.persistence_timeout.map(|timeout| ipvs::Persistence {
        timeout: u32::try_from(timeout.as_secs()).unwrap_or(u32::MAX),
        granularity: match server.persistence_granularity {
            Some(prefix) => ipvs::Granularity::prefix(key.family(), prefix),
            None => ipvs::Granularity::Host,
        },
    });
    service
}

fn kernel_forwarding(forwarding: Forwarding) -> ipvs::Forwarding {
    let checksum = |checksum| match checksum {
        TunnelChecksum::None => ipvs::TunnelChecksum::None,
        TunnelChecksum::Full => ipvs::TunnelChecksum::Full,
        TunnelChecksum::Remote => ipvs::TunnelChecksum::Remote,
    };
    match forwarding {
        Forwarding::Nat => ipvs::Forwarding::Nat,
        Forwarding::Dr => ipvs::Forwarding::Dr,
        Forwarding::Tunnel(tunnel) => ipvs::Forwarding::Tunnel(match tunnel {
            model::Tunnel::Ipip => ipvs::Tunnel::Ipip,
            model::Tunnel::Gue { port, checksum: sum } => {
                ipvs::Tunnel::Gue { port, checksum: checksum(sum) }
            }
            model::Tunnel::Gre { checksum: sum } => ipvs::Tunnel::Gre { checksum: checksum(sum) },
        }),
    }
}

/// Where a service of the kernel sends packets for a server: only NAT can change the port.
/// `None` if the server is of the other family and not in a tunnel.
pub(super) fn destination(
    service: &ServiceKey,
    server: SocketAddr,
    forwarding: ipvs::Forwarding,
) -> Option<SocketAddr> {
    let tunnel = matches!(forwarding, ipvs::Forwarding::Tunnel(_));
    if family(server.ip()) != service.family() && !tunnel {
        return None;
    }
    let port = match service {
        _ if forwarding == ipvs::Forwarding::Nat => server.port(),
        ServiceKey::Address { address, .. } => address.port(),
        ServiceKey::FwMark { .. } => 0,
    };
    Some(SocketAddr::new(server.ip(), port))
}

const fn keyword(kind: &CheckerKind) -> &'static str {
    match kind {
        CheckerKind::Tcp => "TCP_CHECK",
        CheckerKind::Http(http) if http.tls => "SSL_GET",
        CheckerKind::Http(_) => "HTTP_GET",
        CheckerKind::Smtp { .. } => "SMTP_CHECK",
        CheckerKind::Dns { .. } => "DNS_CHECK",
        CheckerKind::Misc { .. } => "MISC_CHECK",
        CheckerKind::Udp { .. } => "UDP_CHECK",
        CheckerKind::Ping => "PING_CHECK",
        CheckerKind::File { .. } => "FILE_CHECK",
        CheckerKind::Bfd { .. } => "BFD_CHECK",
    }
}
