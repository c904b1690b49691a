//! Reload, operators' orders, and the end.

use std::collections::BTreeSet;
use std::fs::File;
use std::time::Duration;

use config::model::global::FlushOnStop;
use netlink::ipvs::Table;
use status::Severity;
use status::api::{Reply, ServerOrder};
use status::balancing::Wanted;
use status::control::FromRole;

use crate::balancer::{Balancer, stamp};
use crate::core::{Input, Order, VsKey};
use crate::reading::{Configuration, read};
use crate::role::now;

/// What is kept of the supervisor's patience for the end of the process itself.
const MARGIN: Duration = Duration::from_millis(300);
/// The least time that the last scripts, FIFO lines and mails get.
const LAST_WORDS_LEAST: Duration = Duration::from_millis(200);
/// The most time that the last mails get.
const LAST_MAILS: Duration = Duration::from_secs(2);
/// Descriptors for everything but checks.
const DESCRIPTORS: u64 = 1024;
/// Records of all virtual servers together.
const RECORDS: usize = 16_384;
/// Records of one virtual server.
const RECORDS_OF_ONE: (usize, usize) = (8, 64);

impl Balancer {
    // ---- reload -----------------------------------------------------------------------------

    pub(crate) fn reload(&mut self, generation: u64, file: Option<File>) {
        log::info!("Reloading");
        match self.take_over(generation, file) {
            Ok(()) => {
                log::info!("Reload complete");
                self.say(&FromRole::Reloaded { generation });
            }
            // The supervisor has checked the text: this is a fault of ours or of the machine.
            Err(reason) => {
                log::error!("reload failed, the running configuration stays: {reason}");
                self.say(&FromRole::ReloadFailed { generation, reason });
            }
        }
    }

    fn take_over(&mut self, generation: u64, file: Option<File>) -> Result<(), String> {
        let file = file.ok_or("no configuration came with the order")?;
        let before = Some((&self.configuration, &self.core));
        let Configuration { global, plan, worker, notices } =
            read(&file, before, &mut self.scripts)?;
        self.configuration = file;
        for notice in notices.iter().filter(|notice| !self.notices.contains(notice)) {
            log::warn!("{notice}");
        }
        let had_daemons = !self.wanted_daemons().is_empty();
        let timeouts_before = self.global.lvs.clone();
        self.notices = notices;
        self.global = global;
        self.launch.generation = generation;
        self.config_time = stamp(now());
        self.reload_refused = None;
        self.fifos = !worker.fifos.is_empty();
        // FIFOs and files first: the news of the reload go to those of the new configuration.
        if let Some(running) = &self.worker {
            running.reload(worker);
        }
        self.start_mailer();
        self.core.handle(Input::Reload(Box::new(plan)), now());
        self.fit();
        self.watch_addresses();
        self.carry_out();
        let lvs = &self.global.lvs;
        let timeouts = |lvs: &config::model::global::GlobalLvs| {
            (lvs.timeout_tcp, lvs.timeout_tcp_fin, lvs.timeout_udp)
        };
        if timeouts(lvs) != timeouts(&timeouts_before) {
            self.set_timeouts();
        }
        self.set_daemons(had_daemons);
        if !self.kernel.is_open() {
            self.open_ipvs(true);
        }
        self.count_again();
        sys::memory::give_back();
        Ok(())
    }

    /// Fits what the role may use to the size of the configuration: descriptors for checks, records
    /// (few virtual servers have a long memory each, many have a short one).
    pub(crate) fn fit(&mut self) {
        let servers = self.core.plans().flat_map(|plan| &plan.servers);
        let checks: u64 = servers.map(|server| server.checks.len() as u64).sum();
        let wanted = DESCRIPTORS + 2 * checks;
        match sys::limits::raise_descriptors(wanted) {
            Ok(limit) if limit < wanted => log::warn!(
                "only {limit} open files are allowed, {wanted} would be needed should all checks \
                 wait at once (LimitNOFILE=, ulimit -n)"
            ),
            Ok(_) => {}
            Err(error) => log::warn!("limit on open files: {error}"),
        }
        let (least, most) = RECORDS_OF_ONE;
        self.records.keep((RECORDS / self.core.count().max(1)).clamp(least, most));
        let names: BTreeSet<&str> = self.core.plans().map(|plan| &*plan.name).collect();
        self.records.retain(|name| names.contains(name));
    }

    // ---- operators --------------------------------------------------------------------------

    /// An order for the real servers that are meant.
    pub(crate) fn order(&mut self, service: &str, server: &str, order: ServerOrder) -> Reply {
        let snapshot = self.names();
        let services = match snapshot.virtual_servers_called(service) {
            Ok(found) => found,
            Err(reason) => return Reply::Error(reason),
        };
        let mut meant = Vec::new();
        let mut refusal = None;
        for service in &services {
            match service.real_servers_called(server) {
                Ok(found) => meant.extend(found.into_iter().map(|real| (*service, real))),
                // With several virtual servers one may well not have it.
                Err(reason) => refusal = Some(reason),
            }
        }
        if meant.is_empty() {
            return Reply::Error(refusal.unwrap_or_else(|| "there is no such server".to_owned()));
        }
        let mut done = Vec::new();
        let mut refused = Vec::new();
        for (service, real) in meant {
            let Some(address) = real.address else {
                refused.push(format!("{} has no address", real.name));
                continue;
            };
            let order = match core_order(order, real) {
                Ok(Some(order)) => order,
                Ok(None) => {
                    done.push(format!("{} of {} has it already", real.name, service.name));
                    continue;
                }
                Err(reason) => {
                    refused.push(reason);
                    continue;
                }
            };
            let keys: Vec<VsKey> = self
                .core
                .plans()
                .filter(|plan| *plan.name == *service.name)
                .map(|plan| plan.key.clone())
                .collect();
            for key in keys {
                match self.core.order(&key, address, order, now()) {
                    Ok(()) => done.push(format!("{} of {}", real.name, service.name)),
                    Err(error) => refused.push(error.to_string()),
                }
            }
        }
        self.carry_out();
        self.count_at = Some(now().mono);
        done.dedup();
        match (done.is_empty(), refused.is_empty()) {
            (_, true) => Reply::Done(format!("{}: {}", verb(order), list(&done))),
            (true, false) => Reply::Error(refused.join("; ")),
            (false, false) => Reply::Error(format!(
                "{}: {}; but {}",
                verb(order),
                list(&done),
                refused.join("; ")
            )),
        }
    }

    /// What one virtual server is like, or those that are called so.
    pub(crate) fn servers(&mut self, text: &str) -> Reply {
        let known = self.names();
        match known.virtual_servers_called(text) {
            Ok(found) => {
                let names: BTreeSet<String> = found.into_iter().map(|v| v.name.clone()).collect();
                Reply::Balancing(Box::new(self.snapshot(&names)))
            }
            Err(reason) => Reply::Error(reason),
        }
    }

    /// Records about everything, a virtual server or a real one.
    pub(crate) fn history(&self, subject: Option<&str>) -> Vec<status::Record> {
        let Some(subject) = subject else { return self.records.all() };
        let exact = self.records.of(subject);
        if !exact.is_empty() {
            return exact;
        }
        let known = self.names();
        let mut names = BTreeSet::new();
        for service in &known.virtual_servers {
            if service.answers_to(subject) {
                names.insert(service.name.clone());
            }
            for real in service.real_servers.iter().filter(|real| real.answers_to(subject)) {
                names.insert(format!("{} of {}", real.name, service.name));
            }
        }
        // A server that is gone from the file may have records still.
        let wanted = Wanted::of(subject);
        self.records
            .all()
            .into_iter()
            .filter(|record| {
                record.subject.as_deref().is_some_and(|about| {
                    names.contains(about)
                        || about.split(" of ").next() == Some(subject)
                        || about
                            .split(" of ")
                            .any(|name| wanted.address.is_some() && Wanted::of(name) == wanted)
                        || about.split_once(" of ").is_some_and(|(_, vs)| names.contains(vs))
                })
            })
            .collect()
    }

    // ---- the end ----------------------------------------------------------------------------

    /// Begins a planned stop.
    pub(crate) fn stop(&mut self) {
        if self.stopping {
            return;
        }
        self.stopping = true;
        let patience = self.global.child_wait_time.value;
        self.killed_at = Some(now().mono + patience);
        if !self.begun {
            // Nothing was done and nobody was told; what an earlier life left, `finish` sees to.
            self.stopped = true;
            return;
        }
        let keep = self.launch.options.keep_services;
        self.core.handle(Input::Stop { keep }, now());
    }

    /// What is left to do when the core has stopped.
    pub(crate) fn finish(&mut self) {
        if !self.launch.options.keep_services {
            if !self.kernel.is_open() && self.kernel.holds_something() {
                // What an earlier life left, or what could not be reached for a moment.
                if let Ok(ipvs) = (self.opener)(false) {
                    self.kernel.open(ipvs);
                    let outcome = self.kernel.bring_all(&Table::new());
                    self.tell_outcome(outcome);
                }
            }
            if self.global.lvs.flush_on_stop == Some(FlushOnStop::All) {
                let outcome = self.kernel.flush();
                self.tell_outcome(outcome);
            }
        }
        if !self.wanted_daemons().is_empty() {
            let outcome = self.kernel.set_daemons(&[]);
            self.tell_outcome(outcome);
        }
        drop(self.api.take());
        let left = self.killed_at.map_or(LAST_MAILS, |at| at.saturating_sub(now().mono));
        let left = left.saturating_sub(MARGIN).max(LAST_WORDS_LEAST);
        if let Some(mailer) = &self.mailer {
            mailer.stop(left.min(LAST_MAILS));
        }
        if let Some(worker) = self.worker.take() {
            worker.stop(left);
            worker.join();
        }
        if let Some(mailer) = self.mailer.take() {
            for report in mailer.join() {
                log::log!(report.level(), "{report}");
            }
        }
    }

    /// Only takes what is ours out of the kernel.
    pub(crate) fn release(&mut self) {
        match (self.opener)(false) {
            Ok(ipvs) => {
                self.kernel.open(ipvs);
                let outcome = self.kernel.bring_all(&Table::new());
                self.tell_outcome(outcome);
            }
            Err(unavailable) => log::warn!("{}", unavailable.problem),
        }
        self.stopped = true;
        self.note(Severity::Info, "released", "Virtual servers removed".to_owned(), None);
    }
}

/// The core's word for an order; `None`: nothing is to be done.
fn core_order(
    order: ServerOrder,
    real: &status::balancing::RealServer,
) -> Result<Option<Order>, String> {
    use status::balancing::Order as Known;
    Ok(Some(match order {
        ServerOrder::Weight { weight: Some(weight) } => Order::Weight(weight),
        ServerOrder::Weight { weight: None } => match real.order {
            Some(Known::Weight { .. }) => Order::Enable,
            None => return Ok(None),
            Some(Known::Drain { .. }) => {
                return Err(format!("{} is drained: enable it", real.name));
            }
            Some(Known::Disable) => return Err(format!("{} is disabled: enable it", real.name)),
        },
        ServerOrder::Drain { deadline_ms } => {
            Order::Drain { deadline: deadline_ms.map(Duration::from_millis) }
        }
        ServerOrder::Disable => Order::Disable,
        ServerOrder::Enable => Order::Enable,
    }))
}

fn verb(order: ServerOrder) -> String {
    match order {
        ServerOrder::Weight { weight: Some(weight) } => format!("weight {weight}"),
        ServerOrder::Weight { weight: None } => "the configured weight".to_owned(),
        ServerOrder::Drain { .. } => "draining".to_owned(),
        ServerOrder::Disable => "disabled".to_owned(),
        ServerOrder::Enable => "enabled".to_owned(),
    }
}

/// A few names, and how many more.
fn list(names: &[String]) -> String {
    const SHOWN: usize = 4;
    match names.len().checked_sub(SHOWN + 1) {
        None => names.join(", "),
        Some(more) => format!("{} and {} more", names[..SHOWN].join(", "), more + 1),
    }
}
