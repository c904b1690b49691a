//! What the configuration wants of the balancer: virtual servers with everything resolved that does
//! not change while they run.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;
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
    /// In the order of the file. One that is shared with the plan that runs did not change.
    pub virtual_servers: Vec<Arc<VsPlan>>,
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
    /// Some of them go by a name.
    pub named: bool,
    /// The block itself, without its servers: those are in [`Self::servers`].
    pub model: model::VirtualServer,
    /// Whether an equal block of a later configuration means the same: no script was looked at, and
    /// nothing was noted.
    pub lasting: bool,
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
    pub lookup: Option<Box<Lookup>>,
    /// `weight`
    pub weight: u32,
    /// Nobody wrote a weight: that of an SRV record counts.
    pub weight_open: bool,
    /// The rest, which is mostly that of its neighbours.
    pub settings: Arc<RsSettings>,
    /// Its checks. Equal ones of neighbours are shared.
    pub checks: Box<[Arc<CheckPlan>]>,
}

/// What the servers of a virtual server mostly have in common.
#[derive(Clone, Debug, PartialEq)]
pub struct RsSettings {
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
    /// `alpha`
    pub alpha: bool,
    /// `notify_up` and `notify_down` as they are written.
    pub scripts: [Option<Box<Command>>; 2],
    /// `virtualhost`
    pub virtualhost: Option<Box<str>>,
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
    pub virtualhost: Option<Box<str>>,
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
    pub fn new(model: &Model, script: impl FnMut(&Command) -> Option<ScriptId>) -> Self {
        let mut planner = Planner::new(model, script);
        for server in &model.virtual_servers {
            planner.add(server.clone());
        }
        planner.finish()
    }
}

/// Makes a [`Plan`], one virtual server after the other: tens of thousands of real servers need not
/// be in memory as a model and as a plan.
pub struct Planner<'a, S> {
    plan: Plan,
    /// The model, of which everything but the virtual servers is looked at.
    model: &'a Model,
    ssl: Option<Arc<Ssl>>,
    script: S,
    /// Somebody asked for a script since the virtual server was begun.
    asked: bool,
    /// The first virtual server that stands for a service: its place.
    owners: HashMap<ServiceKey, usize>,
    /// Groups by their names, with the count of virtual servers that stand for them so far.
    groups: HashMap<&'a str, (&'a model::VirtualServerGroup, usize)>,
}

impl<'a, S: FnMut(&Command) -> Option<ScriptId>> Planner<'a, S> {
    /// Begins. Virtual servers of the model are not looked at.
    pub fn new(model: &'a Model, script: S) -> Self {
        let plan = Plan {
            init_notifies: model.global.lvs.rs_init_notifies,
            no_checker_mail: model.global.mail.no_checker,
            ..Plan::default()
        };
        let ssl = model.ssl.clone().map(Arc::new);
        let mut groups = HashMap::with_capacity(model.virtual_server_groups.len());
        for group in &model.virtual_server_groups {
            groups.entry(&*group.name.text).or_insert((group, 0));
        }
        Self { plan, model, ssl, script, asked: false, owners: HashMap::new(), groups }
    }

    /// Room for so many virtual servers.
    pub fn reserve(&mut self, count: usize) {
        self.plan.virtual_servers.reserve_exact(count);
        self.owners.reserve(count);
    }

    /// The next virtual server of the file.
    pub fn add(&mut self, server: model::VirtualServer) {
        let vs = self.virtual_server(server);
        self.join(Arc::new(vs));
    }

    /// The next virtual server of the file is what an earlier configuration had, of which all the
    /// rest was the same: see [`VsPlan::lasting`].
    pub fn keep(&mut self, plan: Arc<VsPlan>) {
        self.join(plan);
    }

    /// The plan.
    pub fn finish(self) -> Plan {
        self.plan
    }

    fn join(&mut self, vs: Arc<VsPlan>) {
        let place = self.plan.virtual_servers.len();
        for (service, _) in &vs.services {
            let first = *self.owners.entry(*service).or_insert(place);
            // A group may name an address twice, and that was seen to already.
            if first != place {
                self.plan.notes.push(format!(
                    "{service} belongs to the virtual servers {} and {}: their servers are joined, \
                     and the settings of the first count",
                    self.plan.virtual_servers[first].name, vs.name
                ));
            }
        }
        self.plan.virtual_servers.push(vs);
    }

    fn resolve(&mut self, command: Option<&Command>) -> Option<ScriptId> {
        self.asked |= command.is_some();
        (self.script)(command?)
    }

    fn virtual_server(&mut self, mut server: model::VirtualServer) -> VsPlan {
        self.asked = false;
        let noted = self.plan.notes.len();
        let reals = std::mem::take(&mut server.real_servers);
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
                let mut number = 0;
                if let Some((_, count)) = self.groups.get_mut(&**group) {
                    number = *count;
                    *count += 1;
                }
                format!("[{group}]:{number}").into()
            }
            _ => key.to_string().into(),
        };
        let keys = self.kernel_keys(&server, transport, &name);
        let services: Vec<_> =
            keys.into_iter().map(|key| (key, kernel_service(&server, &key))).collect();
        let is_mark = |key: &ServiceKey| matches!(key, ServiceKey::FwMark { .. });
        let marks_only = services.iter().all(|(key, _)| is_mark(key));
        let protocol = (!marks_only).then_some(transport);
        let mut suspend = server.ha_suspend;
        if suspend && services.iter().any(|(key, _)| is_mark(key)) {
            self.plan.notes.push(format!(
                "{name}: a firewall mark has no address that ha_suspend could wait for; its checks \
                 always run"
            ));
            suspend = false;
        }
        let mut servers: Vec<RsPlan> = Vec::with_capacity(reals.len());
        let mut seen = HashSet::new();
        for real in reals {
            let real = self.real_server(real, &server, servers.last());
            // Ports that do not count (DR by a mark) can make two servers one.
            if !marks_only || seen.insert(real.key.clone()) {
                servers.push(real);
            } else {
                self.plan.notes.push(format!("{name} has the server {} twice", real.key));
            }
        }
        let quorum_up = self.resolve(server.quorum_up.as_deref());
        let quorum_down = self.resolve(server.quorum_down.as_deref());
        VsPlan {
            services,
            protocol,
            quorum: server.quorum.value.max(1),
            hysteresis: server.hysteresis.value.min(server.quorum.value.max(1) - 1),
            quorum_up,
            quorum_down,
            sorry: server.sorry_server.as_ref().map(|sorry| sorry_plan(sorry, &server, protocol)),
            omega: server.omega,
            suspend_without: suspend.then(|| self.local_addresses(&server)),
            mail: server.smtp_alert.value,
            named: servers.iter().any(|server| server.lookup.is_some()),
            // The number in the name of a group's virtual server depends on those before it.
            lasting: !self.asked
                && noted == self.plan.notes.len()
                && !matches!(key, VsKey::Group { .. }),
            servers,
            model: server,
            key,
            name,
        }
    }

    /// One kernel service for an address or a mark; for a group one for each of its members.
    fn kernel_keys(
        &mut self,
        server: &model::VirtualServer,
        transport: Transport,
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
        let entries = self.group(group);
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
                self.plan.notes.push(format!(
                    "{name} has more than {MOST_SERVICES} addresses; the rest is left out"
                ));
                break;
            }
        }
        let mut keys: Vec<_> = keys.into_iter().collect();
        keys.sort_by_key(|(_, place)| *place);
        keys.into_iter().map(|(key, _)| key).collect()
    }

    /// The lines of a group.
    fn group(&self, name: &str) -> &'a [GroupEntry] {
        self.groups.get(name).map_or(&[][..], |(group, _)| &group.entries)
    }

    /// The addresses that `ha_suspend` waits for. Marks have none.
    fn local_addresses(&self, server: &model::VirtualServer) -> Vec<(IpAddr, IpAddr)> {
        let range = |entry: &GroupEntry| match entry {
            GroupEntry::Addresses { first, last, .. } => Some((*first, *last)),
            GroupEntry::FwMark { .. } => None,
        };
        match &server.service {
            Service::Address(address) => vec![(address.ip(), address.ip())],
            Service::FwMark(_) => Vec::new(),
            Service::Group(name) => self.group(name).iter().filter_map(range).collect(),
        }
    }

    /// `before`: the server before it in the file, with which it shares what is equal.
    fn real_server(
        &mut self,
        real: model::RealServer,
        server: &model::VirtualServer,
        before: Option<&RsPlan>,
    ) -> RsPlan {
        let tunnel = matches!(real.forwarding, Forwarding::Tunnel(_));
        let lookup = match &real.host {
            Host::Address(_) => None,
            Host::Name(name) => Some(Box::new(Lookup {
                name: name.to_string(),
                ipv4: tunnel || server.family == Family::V4,
                ipv6: tunnel || server.family == Family::V6,
            })),
        };
        // Only NAT can change the port; a mark has none to keep.
        let marked = matches!(server.service, Service::FwMark(_));
        let port = if marked && real.forwarding != Forwarding::Nat { 0 } else { real.port };
        let key = RsKey { host: RsHost::from(real.host), port };
        let virtualhost = real.virtualhost.as_deref().or(server.virtualhost.as_deref());
        let mut checks = Vec::with_capacity(real.checkers.len());
        for checker in real.checkers {
            let known = before.and_then(|before| before.checks.get(checks.len()));
            checks.extend(self.check(checker, virtualhost, &key, known));
        }
        let settings = RsSettings {
            forwarding: kernel_forwarding(real.forwarding),
            upper: real.upper_threshold,
            lower: real.lower_threshold,
            inhibit: real.inhibit_on_failure,
            notify_up: self.resolve(real.notify_up.as_deref()),
            notify_down: self.resolve(real.notify_down.as_deref()),
            mail: real.smtp_alert,
            alpha: real.alpha,
            scripts: [real.notify_up, real.notify_down],
            virtualhost: real.virtualhost,
        };
        RsPlan {
            key,
            lookup,
            weight: real.weight.value.min(MOST_WEIGHT),
            weight_open: real.weight.is_default(),
            settings: shared(settings, before.map(|before| &before.settings)),
            checks: checks.into_boxed_slice(),
        }
    }

    /// `None`: it cannot be run.
    fn check(
        &mut self,
        checker: Checker,
        virtualhost: Option<&str>,
        server: &RsKey,
        known: Option<&Arc<CheckPlan>>,
    ) -> Option<Arc<CheckPlan>> {
        let mut command = None;
        if let CheckerKind::Misc(misc) = &checker.kind {
            command = self.resolve(Some(&misc.command));
            if command.is_none() {
                self.plan.notes.push(format!(
                    "the MISC_CHECK `{}` of {server} cannot be run and is left out",
                    misc.command.program(),
                ));
                return None;
            }
        }
        let file_weight = match &checker.kind {
            CheckerKind::File { file, weight: None } => {
                self.model.track_file(file).map(|file| file.weight.value.into())
            }
            _ => None,
        };
        let tls = matches!(&checker.kind, CheckerKind::Http(http) if http.tls);
        let plan = CheckPlan {
            keyword: keyword(&checker.kind),
            alpha: checker.alpha,
            virtualhost: virtualhost.map(Box::from),
            script: command,
            file_weight,
            ssl: if tls { self.ssl.clone() } else { None },
            checker,
        };
        Some(shared(plan, known))
    }
}

/// The known one if it is equal.
fn shared<T: PartialEq>(new: T, known: Option<&Arc<T>>) -> Arc<T> {
    match known {
        Some(known) if **known == new => Arc::clone(known),
        _ => Arc::new(new),
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

/// Room for `[255.255.255.255]:sctp:65535`.
const NAME: usize = 28;

/// What logs and FIFO lines call a real server: `[10.0.0.2]:tcp:80`, `[10.0.0.2]:none:80`.
pub(super) fn server_name(server: SocketAddr, protocol: Option<Transport>) -> String {
    let protocol = protocol.map_or("none", Transport::word);
    let mut name = String::with_capacity(NAME);
    // A `String` takes everything.
    let _ = write!(name, "[{}]:{protocol}:{}", server.ip(), server.port());
    name
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
