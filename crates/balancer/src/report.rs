//! The role's state as clients see it, and `keepalived_check.data`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use checkers::{CheckId, Checkers, State};
use config::model::checker::{Checker, CheckerKind};
use netlink::ipvs::{DestinationState, ServiceKey, ServiceState};
use status::api::Reply;
use status::balancing::{self as out, Balancing, Health};
use status::control::Dump;
use status::snapshot::Node;
use status::{Record, Records, SCHEMA, Timestamp};
use tokio::time::Instant;

use crate::balancer::{Balancer, Running, stamp};
use crate::core::{CheckPlan, Details, VsPlan};
use crate::kernel::{Counted, Kernel, role_word};
use crate::role::now;

/// How long counters are read at a time.
const SURVEYING: Duration = Duration::from_millis(10);

/// Real servers whose picture takes memory worth giving back.
const LARGE: usize = 1000;

impl Balancer {
    /// Answers a client that wants to know everything: at once, or when all that the kernel counts
    /// has been read.
    pub(crate) fn answer_all(&mut self, client: SyncSender<Reply>) {
        match &mut self.survey {
            Some((_, clients)) => clients.push(client),
            None => {
                let survey = self.kernel.survey(&self.keys(None));
                self.survey = Some((survey, vec![client]));
                self.survey_on();
            }
        }
    }

    /// Reads what the kernel counts for a while; answers those who wait for it when it is all there.
    pub(crate) fn survey_on(&mut self) {
        let Some((survey, _)) = &mut self.survey else { return };
        if !self.kernel.count_on(survey, Some(SURVEYING)) {
            return;
        }
        let Some((survey, clients)) = self.survey.take() else { return };
        let reply = Reply::Balancing(Box::new(self.picture(None, survey.counted, false)));
        for client in clients {
            // A client that hung up gets no answer.
            let _ = client.try_send(reply.clone());
        }
    }

    /// What clients may know of the virtual servers of these names.
    pub(crate) fn snapshot(&mut self, only: &BTreeSet<String>) -> Balancing {
        let counted = self.count(Some(only));
        self.picture(Some(only), counted, false)
    }

    /// The services of all virtual servers, or of those of these names.
    fn keys(&self, only: Option<&BTreeSet<String>>) -> BTreeSet<ServiceKey> {
        let plans = self.core.plans();
        let wanted = plans.filter(|plan| only.is_none_or(|only| only.contains(&*plan.name)));
        wanted.flat_map(|plan| plan.services.iter().map(|(key, _)| *key)).collect()
    }

    /// What the kernel counts of them.
    fn count(&mut self, only: Option<&BTreeSet<String>>) -> Vec<Counted> {
        let mut survey = self.kernel.survey(&self.keys(only));
        self.kernel.count_on(&mut survey, None);
        survey.counted
    }

    /// With `settings` also what only the dump file prints of checks.
    fn picture(
        &mut self,
        only: Option<&BTreeSet<String>>,
        counted: Vec<Counted>,
        settings: bool,
    ) -> Balancing {
        let wanted = |name: &str| only.is_none_or(|only| only.contains(name));
        let counted = counted
            .into_iter()
            .map(|(service, destinations)| {
                let by_address = destinations.into_iter().map(|d| (d.address, d)).collect();
                (service.key, (service, by_address))
            })
            .collect();
        let mut facts = Facts {
            kernel: &self.kernel,
            counted,
            checkers: &self.checkers,
            checks: &self.checks,
            records: &self.records,
            now: Instant::now(),
            time: stamp(now()),
            wanted: &wanted,
            settings,
        };
        let mut virtual_servers = self.core.snapshot(&mut facts, now());
        virtual_servers.retain(|server| wanted(&server.name));
        let servers: usize = virtual_servers.iter().map(|server| server.real_servers.len()).sum();
        if servers > LARGE {
            // By then the client has read it, or hung up.
            self.trim_at = Some(now().mono + Duration::from_secs(10));
        }
        self.frame(virtual_servers)
    }

    /// The same without what the kernel counts and what checks do: enough to know names by.
    pub(crate) fn names(&self) -> Balancing {
        self.frame(self.core.snapshot(&mut (), now()))
    }

    fn frame(&self, virtual_servers: Vec<out::VirtualServer>) -> Balancing {
        let daemons = if self.kernel.is_open() { self.wanted_daemons() } else { Vec::new() };
        let retry_in = self.retry_at.map(|at| at.saturating_sub(now().mono).as_secs_f64());
        Balancing {
            schema: SCHEMA,
            time: stamp(now()),
            node: self.node(),
            ipvs: out::Ipvs {
                available: self.kernel.is_open(),
                since: self.available_since,
                problem: self.problem.as_ref().map(|p| p.problem.clone()),
                remedy: self.problem.as_ref().map(|p| p.remedy.clone()),
                retry_in,
                repaired: self.kernel.repaired(),
                refused: self.kernel.refusals(),
                sync_daemons: daemons
                    .iter()
                    .map(|d| format!("{} {} {}", role_word(d.role), d.interface, d.sync_id))
                    .collect(),
            },
            virtual_servers,
            notices: self.notices.clone(),
        }
    }

    fn node(&self) -> Node {
        let global = &self.global;
        Node {
            router_id: global.router_id.clone().unwrap_or_else(sys::users::host_name),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started: self.started_at,
            restarts: self.launch.restarts,
            config_file: self.launch.config_file.display().to_string(),
            config_generation: self.launch.generation,
            config_time: self.config_time,
            reload_refused: self.reload_refused.clone(),
        }
    }

    /// `--dump-conf`: what `keepalived_check.data` holds, in the log.
    pub(crate) fn log_data(&mut self) {
        for line in self.data().lines().filter(|line| !line.is_empty()) {
            log::info!("{line}");
        }
    }

    fn data(&mut self) -> String {
        let counted = self.count(None);
        let snapshot = self.picture(None, counted, true);
        status::dump::check_data(&snapshot, &self.global_lines(&snapshot))
    }

    /// Writes `keepalived_check.data`; the other files are the failover role's.
    pub(crate) fn dump(&mut self, what: Dump) {
        if what != Dump::Data {
            return;
        }
        log::info!("Printing checker data for process({}) on signal", std::process::id());
        let text = self.data();
        let dumps = &self.global.dumps;
        let instance = self.launch.options.instance_name.as_deref().filter(|_| dumps.use_instance);
        let path = status::dump::path(
            &self.launch.options.dump_dir,
            None,
            "keepalived_check.data",
            instance,
        );
        let mode = 0o666 & !self.global.umask.value;
        // Ten thousand servers make megabytes: the disk is not this thread's business.
        let written = std::thread::Builder::new().name("dump".into()).spawn(move || {
            if let Err(error) = sys::fsafe::replace(&path, text.as_bytes(), mode) {
                log::error!("{}: {error}", path.display());
            }
        });
        if let Err(error) = written {
            log::error!("keepalived_check.data was not written: {error}");
        }
    }

    /// The first section of `keepalived_check.data`.
    fn global_lines(&self, snapshot: &Balancing) -> Vec<String> {
        let global = &self.global;
        let lvs = &global.lvs;
        let on = |yes: bool| if yes { "true" } else { "false" };
        let unset = |value: Option<bool>| match value {
            None => "unset",
            Some(yes) => on(yes),
        };
        let name = |name: &Option<config::model::Name>, default: &str| {
            name.as_ref().map_or_else(|| default.to_owned(), |name| name.text.clone())
        };
        let mut out = vec![
            format!("Network namespace = {}", name(&global.net_namespace, "(default)")),
            format!(
                "Network namespace ipvs = {}",
                name(&global.net_namespace_ipvs, "(main namespace)")
            ),
            format!("Router ID = {}", snapshot.node.router_id),
        ];
        let mail = &global.mail;
        if let Some((host, port)) = &mail.server {
            out.push(format!("Smtp server = {host}"));
            out.push(format!("Smtp server port = {port}"));
        }
        if let Some(from) = &mail.from {
            out.push(format!("Email notification from = {from}"));
        }
        if !mail.recipients.is_empty() {
            out.push("Email notification".to_owned());
            out.extend(mail.recipients.iter().map(|to| format!("  {to}")));
        }
        out.push(format!("Default smtp_alert = {}", unset(mail.alert.value)));
        out.push(format!("Default smtp_alert_checker = {}", unset(mail.alert_checker.value)));
        out.push(format!("Checkers log all failures = {}", on(lvs.log_all_failures.value)));
        for (label, time) in [
            ("LVS TCP timeout", lvs.timeout_tcp),
            ("LVS TCP FIN timeout", lvs.timeout_tcp_fin),
            ("LVS UDP timeout", lvs.timeout_udp),
        ] {
            out.extend(time.map(|time| format!("{label} = {}", time.as_secs())));
        }
        out.push(format!("LVS flush = {}", on(lvs.flush)));
        out.push(format!(
            "LVS flush on stop = {}",
            match lvs.flush_on_stop {
                None => "disabled",
                Some(config::model::global::FlushOnStop::All) => "full",
                Some(config::model::global::FlushOnStop::Own) => "VS",
            }
        ));
        let process = &global.checker_process;
        out.push(format!("Checker process priority = {}", process.nice.value));
        out.push(format!("Checker don't swap = {}", on(process.no_swap)));
        out.push(format!("Checker realtime priority = {}", process.rt_priority.unwrap_or(0)));
        out.push(format!("rs_init_notifies = {}", u8::from(lvs.rs_init_notifies)));
        out.push(format!("no_checker_emails = {}", u8::from(mail.no_checker)));
        out.push(format!("umask = 0{:o}", global.umask.value));
        out
    }
}

type Destinations = BTreeMap<SocketAddr, DestinationState>;

/// What the core does not know.
struct Facts<'a> {
    kernel: &'a Kernel,
    counted: BTreeMap<ServiceKey, (ServiceState, Destinations)>,
    checkers: &'a Checkers,
    checks: &'a std::collections::HashMap<CheckId, Running>,
    records: &'a Records,
    now: Instant,
    time: Timestamp,
    wanted: &'a dyn Fn(&str) -> bool,
    settings: bool,
}

impl Facts<'_> {
    fn states(&self, places: &[(ServiceKey, SocketAddr)]) -> Vec<&DestinationState> {
        let find =
            |(key, address): &(ServiceKey, SocketAddr)| self.counted.get(key)?.1.get(address);
        places.iter().filter_map(find).collect()
    }
}

fn counters(from: &netlink::ipvs::Counters) -> out::Counters {
    out::Counters {
        connections: from.connections,
        packets_in: from.packets_in,
        packets_out: from.packets_out,
        bytes_in: from.bytes_in,
        bytes_out: from.bytes_out,
    }
}

fn connections<'a>(states: impl IntoIterator<Item = &'a DestinationState>) -> out::Connections {
    states.into_iter().fold(out::Connections::default(), |sum, state| out::Connections {
        active: sum.active + u64::from(state.active),
        inactive: sum.inactive + u64::from(state.inactive),
        persistent: sum.persistent + u64::from(state.persistent),
    })
}

impl Details for Facts<'_> {
    fn service(&mut self, key: &ServiceKey, service: &mut out::Service) {
        service.set = self.kernel.is_open() && self.kernel.mirror().get(key).is_some();
        if let Some((state, _)) = self.counted.get(key) {
            service.counters = counters(&state.counters);
        }
    }

    fn server(&mut self, places: &[(ServiceKey, SocketAddr)], server: &mut out::RealServer) {
        let states = self.states(places);
        server.set = !states.is_empty();
        server.connections = connections(states.iter().copied());
        for state in &states {
            let more = counters(&state.counters);
            let sum = &mut server.counters;
            sum.connections += more.connections;
            sum.packets_in += more.packets_in;
            sum.packets_out += more.packets_out;
            sum.bytes_in += more.bytes_in;
            sum.bytes_out += more.bytes_out;
        }
    }

    fn sorry(&mut self, places: &[(ServiceKey, SocketAddr)], sorry: &mut out::SorryServer) {
        sorry.connections = connections(self.states(places));
    }

    fn check(&mut self, id: CheckId, plan: &CheckPlan, check: &mut out::Check) {
        if let Some(running) = self.checks.get(&id) {
            check.target.clone_from(&running.target);
        }
        if self.settings {
            check.settings = settings(&plan.checker, &check.target);
        }
        let Some(status) = self.checkers.status(id) else { return };
        check.failures = status.failures;
        check.suspended = status.suspended;
        check.next_in = status.next.map(|at| (at - self.now).as_secs_f64());
        if let Some((at, result)) = status.last {
            let ago = u64::try_from((self.now - at).as_micros()).unwrap_or(u64::MAX);
            check.last_time = Some(Timestamp::from_micros(self.time.micros.saturating_sub(ago)));
            check.last = match result {
                Ok(success) => success.to_string(),
                Err(failure) => failure.to_string(),
            };
        }
        // The core has heard of changes only.
        if check.state == Health::Unknown && status.state != State::Unknown {
            check.state = if status.state == State::Up { Health::Up } else { Health::Down };
        }
    }

    fn history(&mut self, plan: &VsPlan, history: &mut Vec<Record>) {
        if (self.wanted)(&plan.name) {
            *history = self.records.of(&plan.name);
        }
    }
}

/// Settings of a check as Keepalived's dump file prints them.
fn settings(checker: &Checker, target: &str) -> Vec<(String, String)> {
    let mut list = Vec::new();
    let mut put = |label: &str, value: String| list.push((label.to_owned(), value));
    let micros = |time: Duration| format!("{} us", time.as_micros());
    let yes = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    put("Alpha", yes(checker.alpha));
    put("Delay loop", micros(checker.schedule.delay_loop));
    put("Warmup", micros(checker.schedule.warmup));
    put("Retries", checker.schedule.retry.to_string());
    put("Delay before retry", micros(checker.schedule.delay_before_retry));
    put("Log all failures", yes(checker.log_all_failures));
    if let Some(connection) = &checker.connection {
        put("Connection", String::new());
        put("  Dest", target.to_owned());
        if let Some(ip) = connection.bind_address {
            put("  Bind to", ip.to_string());
        }
        if let Some(interface) = &connection.bind_interface {
            put("  Bind i/f", interface.text.clone());
        }
        put("  Timeout", format!("{:.6}", connection.timeout.value.as_secs_f64()));
    }
    match &checker.kind {
        CheckerKind::Http(http) => {
            for url in &http.urls {
                put("Checked url", url.path.clone());
                if let Some(digest) = &url.digest {
                    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
                    put("  digest", hex);
                }
                if let Some(regex) = &url.regex {
                    put("  Regex", format!("\"{}\"", regex.pattern));
                }
            }
        }
        CheckerKind::Smtp { helo, .. } => put("helo", helo.to_string()),
        CheckerKind::Dns { name, .. } => put("Name", name.to_string()),
        CheckerKind::Misc(misc) => {
            let words: Vec<_> = misc.command.words.iter().map(|w| format!("'{w}'")).collect();
            put("script", words.join(" "));
            put("timeout", misc.timeout.value.as_secs().to_string());
            put("dynamic", if misc.dynamic { "YES" } else { "NO" }.to_owned());
        }
        CheckerKind::File { file, .. } => put("Tracked file", file.text.clone()),
        CheckerKind::Bfd { session } => put("BFD instance", session.text.clone()),
        CheckerKind::Tcp | CheckerKind::Udp { .. } | CheckerKind::Ping => {}
    }
    list
}
