//! `keepalived.data`, `.stats` and `.json`, and the snapshot that they and the clients get.

use status::control::Dump;
use status::snapshot::{Interface, Node, Snapshot};
use vrrp::TrackKind;

use crate::kernel::Owner;
use crate::report::{self, Facts};
use crate::role::Role;

impl Role {
    /// Everything that clients may know.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let engine = self.engine.snapshot(self.now());
        let held = |place: usize, what, index| {
            self.routers
                .get(place)
                .map_or((false, 0), |&id| self.kernel.state_of(Owner::Router(id), what, index))
        };
        report::snapshot(
            &engine,
            Facts {
                plan: &self.plan,
                records: &self.records,
                node: self.node(),
                trackers: &self.trackers,
                interfaces: self.interface_list(),
                notices: self.plan.notices.clone(),
                held: &held,
            },
        )
    }

    fn node(&self) -> Node {
        let global = &self.model.global;
        Node {
            router_id: global.router_id.clone().unwrap_or_else(host_name),
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

    fn interface_list(&self) -> Vec<Interface> {
        self.plan
            .interfaces
            .iter()
            .map(|(name, instances)| {
                let link = self.kernel.link(name);
                let addresses = || {
                    self.kernel
                        .addresses_of(name)
                        .map(|a| &a.ip)
                        .filter(|ip| !self.kernel.is_virtual(**ip))
                };
                Interface {
                    name: name.clone(),
                    index: link.map(|l| l.index),
                    up: self.interfaces.is_up(name),
                    mtu: link.map_or(0, |l| l.mtu),
                    mac: link.map_or(String::new(), |l| report::mac_text(&l.hw_address)),
                    ipv4: report::first(addresses(), true),
                    ipv6: report::first(addresses(), false),
                    instances: instances.clone(),
                }
            })
            .collect()
    }

    /// The text of `keepalived.data`.
    fn data(&self, snapshot: &Snapshot) -> String {
        status::dump::data(snapshot, &self.global_lines(snapshot), &|time| {
            sys::logging::local_time_micros(time.micros)
        })
    }

    /// `--dump-conf`: what `keepalived.data` holds, in the log.
    pub(crate) fn log_data(&self) {
        for line in self.data(&self.snapshot()).lines().filter(|line| !line.is_empty()) {
            log::info!("{line}");
        }
    }

    /// Writes one of the files.
    pub(crate) fn dump(&mut self, what: Dump) {
        let snapshot = self.snapshot();
        let pid = std::process::id();
        let global = &self.model.global;
        let dumps = &global.dumps;
        let (own, name, text) = match what {
            Dump::Data => {
                log::info!("Printing VRRP data for process({pid}) on signal");
                (&dumps.state, "keepalived.data", self.data(&snapshot))
            }
            Dump::Stats | Dump::StatsAndClear => {
                log::info!("Printing VRRP stats for process({pid}) on signal");
                (&dumps.stats, "keepalived.stats", status::dump::stats(&snapshot))
            }
            Dump::Json => {
                log::info!("Printing VRRP as json for process({pid}) on signal");
                let text = if dumps.json_version.value >= 2 {
                    status::dump::json_v2(&snapshot, &self.process_dumps())
                } else {
                    status::dump::json(&snapshot)
                };
                (&dumps.json, "keepalived.json", text)
            }
        };
        let instance = self.launch.options.instance_name.as_deref().filter(|_| dumps.use_instance);
        let path =
            status::dump::path(&self.launch.options.dump_dir, own.as_deref(), name, instance);
        let mode = 0o666 & !global.umask.value;
        // A thousand instances make a megabyte: the disk is not the timing thread's business.
        let written = std::thread::Builder::new().name("dump".into()).spawn(move || {
            if let Err(error) = sys::fsafe::replace(&path, text.as_bytes(), mode) {
                log::error!("{}: {error}", path.display());
            }
        });
        if let Err(error) = written {
            log::error!("{name} was not written: {error}");
        }
        if what == Dump::StatsAndClear {
            self.engine.clear_statistics();
        }
    }

    fn process_dumps(&self) -> Vec<status::dump::ProcessDump> {
        self.model
            .track_processes
            .iter()
            .map(|process| {
                let fact = self.trackers.get(&(TrackKind::Process, process.name.text.clone()));
                let count = fact.and_then(|f| f.detail.split(' ').next()?.parse().ok());
                status::dump::ProcessDump {
                    process: process.process.clone(),
                    parameters: process.params.join(" "),
                    param_match: match process.param_match {
                        None => "none",
                        Some(config::model::track::ParamMatch::Exact) => "exact",
                        Some(config::model::track::ParamMatch::Initial) => "initial",
                        Some(config::model::track::ParamMatch::Partial) => "partial",
                    }
                    .to_owned(),
                    min_processes: process.quorum.value,
                    max_processes: process.quorum_max.value.unwrap_or(u32::MAX),
                    current_processes: count.unwrap_or(0),
                    have_quorum: fact.is_some_and(|f| f.state == vrrp::TrackerState::Up),
                    weight: process.weight.value.value.into(),
                    terminate_delay: process.terminate_delay.value.as_micros() as u64,
                    fork_delay: process.fork_delay.value.as_micros() as u64,
                    fork_delay_timer_running: false,
                    terminate_delay_timer_running: false,
                    full_command: process.full_command,
                }
            })
            .collect()
    }

    /// The first section of `keepalived.data`.
    fn global_lines(&self, snapshot: &Snapshot) -> Vec<String> {
        let global = &self.model.global;
        let vrrp = &global.vrrp;
        let on = |yes: bool| if yes { "true" } else { "false" };
        let secs = |d: std::time::Duration| d.as_secs_f64().to_string();
        let mut out = vec![
            format!(
                "Network namespace = {}",
                global.net_namespace.as_deref().unwrap_or("(default)")
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
        out.push(format!("Dynamic interfaces = {}", on(global.dynamic_interfaces.is_some())));
        out.push(format!("Default interface = {}", global.default_interface.value));
        out.push(format!(
            "VRRP notify priority changes = {}",
            on(vrrp.notify_priority_changes.value)
        ));
        out.push(format!("VRRP IPv4 mcast group = {}", vrrp.mcast_group4.value));
        out.push(format!("VRRP IPv6 mcast group = {}", vrrp.mcast_group6.value));
        out.push(format!("Gratuitous ARP delay = {}", secs(vrrp.garp.delay.value)));
        out.push(format!("Gratuitous ARP repeat = {}", vrrp.garp.repeat.value));
        out.push(format!("Gratuitous ARP refresh timer = {}", secs(vrrp.garp.refresh.value)));
        out.push(format!("Gratuitous ARP refresh repeat = {}", vrrp.garp.refresh_repeat.value));
        out.push(format!(
            "Gratuitous ARP lower priority delay = {}",
            secs(vrrp.garp.lower_prio_delay.value)
        ));
        out.push(format!(
            "Gratuitous ARP lower priority repeat = {}",
            vrrp.garp.lower_prio_repeat.value
        ));
        out.push(format!("Num adverts before down = {}", vrrp.down_timer_adverts.value));
        out.push(format!(
            "Send advert after receive lower priority advert = {}",
            on(!vrrp.lower_prio_no_advert.value)
        ));
        out.push(format!(
            "Send advert after receive higher priority advert = {}",
            on(vrrp.higher_prio_send_advert.value)
        ));
        let gap = |d: std::time::Duration| format!("{:.6}", d.as_secs_f64());
        out.push(format!("Gratuitous ARP interval = {}", gap(vrrp.garp_interval.value)));
        out.push(format!("Gratuitous NA interval = {}", gap(vrrp.gna_interval.value)));
        out.push(format!("VRRP default protocol version = {}", vrrp.version.value.number()));
        out.push(format!("VRRP check unicast_src = {}", on(vrrp.check_unicast_src.value)));
        out.push(format!(
            "VRRP skip check advert addresses = {}",
            on(vrrp.skip_check_adv_addr.value)
        ));
        out.push(format!("VRRP strict mode = {}", on(vrrp.strict.value)));
        out.push(format!("VRRP process priority = {}", global.vrrp_process.nice.value));
        out.push(format!("VRRP don't swap = {}", on(global.vrrp_process.no_swap)));
        out.push(format!(
            "VRRP realtime priority = {}",
            global.vrrp_process.rt_priority.unwrap_or(0)
        ));
        out.push(format!(
            "Script security {}",
            if global.script_security { "enabled" } else { "disabled" }
        ));
        if let Some(user) = &global.script_user {
            out.push(format!(
                "Default script user {}{}",
                user.user,
                user.group.as_ref().map(|g| format!(" group {g}")).unwrap_or_default()
            ));
        }
        out.push(format!("umask = {:04o}", global.umask.value));
        out
    }
}

fn host_name() -> String {
    sys::sysctl::read("kernel/hostname").unwrap_or_default()
}
