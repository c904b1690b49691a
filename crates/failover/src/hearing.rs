//! What comes in besides packets: the supervisor's orders, the kernel's news, the worker's
//! reports, clients' questions.

use netlink::MonitorEvent;
use notify::event::{FifoEvent, Report, TrackerDetail, TrackerKind, TrackerReport};
use status::Severity;
use status::api::{Reply, Request};
use status::control::{Dump, FromRole, ToRole};
use sys::channel::Incoming;
use sys::signals::Signal;
use vrrp::{Input, TrackKind, TrackerState};

use crate::kernel::{Owner, Told};
use crate::role::Role;

/// Kernel events taken in one turn: the timers want their turn too.
const EVENTS_AT_ONCE: usize = 4096;

impl Role {
    // ---- the supervisor ---------------------------------------------------------------------

    pub(crate) fn hear_supervisor(&mut self) {
        loop {
            match self.channel.receive() {
                Ok(Incoming::Message { bytes, descriptors }) => {
                    match serde_json::from_slice::<ToRole>(&bytes) {
                        Ok(ToRole::Stop) => self.stop(),
                        Ok(ToRole::Reload { generation }) => {
                            let file = descriptors.into_iter().next().map(std::fs::File::from);
                            self.reload(generation, file);
                        }
                        Ok(ToRole::ReloadRefused { reason }) => self.reload_was_refused(reason),
                        Ok(ToRole::Dump { what }) => self.dump(what),
                        Err(error) => log::warn!("the supervisor says something unknown: {error}"),
                    }
                }
                Ok(Incoming::Empty) => return,
                Ok(Incoming::Closed) => {
                    // Without a supervisor nobody would restart us or clean up behind us.
                    let _ = self.events.deregister(&self.channel);
                    if !self.stopping {
                        log::error!("the supervisor is gone; giving the addresses up");
                    }
                    self.stop();
                    return;
                }
                Err(error) => {
                    log::warn!("channel to the supervisor: {error}");
                    return;
                }
            }
        }
    }

    /// Signals that are meant for the supervisor, and what this role can do about them itself.
    pub(crate) fn hear_signals(&mut self) {
        while let Ok(Some(received)) = self.signals.read() {
            match received.signal {
                Signal::Terminate | Signal::Interrupt => self.stop(),
                Signal::DumpData => self.dump(Dump::Data),
                Signal::DumpStats => self.dump(Dump::Stats),
                Signal::ClearStats => self.dump(Dump::StatsAndClear),
                Signal::DumpJson => self.dump(Dump::Json),
                Signal::CpuLimit => log::warn!("a real-time limit was reached (SIGXCPU)"),
                // A reload is the supervisor's; ends of scripts are the worker's.
                Signal::Reload | Signal::Child => {}
            }
        }
    }

    fn reload_was_refused(&mut self, reason: String) {
        self.note(
            Severity::Error,
            None,
            "reload-refused",
            format!("Reload refused, the running configuration stays: {reason}"),
            Some("standfast check tells every finding".to_owned()),
        );
        self.reload_refused = Some(reason);
    }

    // ---- the kernel -------------------------------------------------------------------------

    pub(crate) fn hear_kernel(&mut self) {
        let mut links_changed = Vec::new();
        let mut addresses_changed = false;
        for _ in 0..EVENTS_AT_ONCE {
            let Some(event) = self.monitor.next() else { break };
            let now = self.now().mono;
            match event {
                MonitorEvent::LinkChanged(link) => {
                    let (index, name) = (link.index, link.name.clone());
                    let before = self.kernel.link_at(index).cloned();
                    let news = before.as_ref().is_none_or(|old| {
                        old.is_running() != link.is_running()
                            || old.name != link.name
                            || old.hw_address != link.hw_address
                            || old.flags != link.flags
                    });
                    if let Some(old) = self.kernel.link_changed(link) {
                        links_changed.push((index, old));
                    }
                    if news {
                        links_changed.push((index, name));
                    }
                }
                MonitorEvent::LinkRemoved(link) => {
                    if let Some(name) = self.kernel.link_removed(link.index) {
                        links_changed.push((link.index, name));
                        addresses_changed = true;
                    }
                }
                MonitorEvent::AddressAdded(address) => {
                    self.address_log(&address, "added to");
                    addresses_changed |= !self.kernel.is_virtual(address.ip);
                    self.kernel.address_added(address);
                }
                MonitorEvent::AddressRemoved(address) => {
                    self.address_log(&address, "removed from");
                    addresses_changed |= !self.kernel.is_virtual(address.ip);
                    self.kernel.address_removed(&address, now);
                }
                MonitorEvent::RouteRemoved(route) => self.kernel.route_removed(&route, now),
                MonitorEvent::RuleRemoved(rule) => self.kernel.rule_removed(&rule, now),
                MonitorEvent::RouteAdded(_) | MonitorEvent::RuleAdded(_) => {}
                MonitorEvent::Overrun => {
                    log::debug!("netlink events were lost; reading everything anew");
                    if let Err(error) = self.kernel.read_again(now) {
                        log::warn!("netlink: {error}");
                    }
                    let index = |name: &str| self.kernel.index_of(name).unwrap_or(0);
                    links_changed.extend(
                        self.plan.interfaces.iter().map(|(name, _)| (index(name), name.clone())),
                    );
                    addresses_changed = true;
                }
            }
        }
        if !links_changed.is_empty() {
            self.links_changed(&links_changed);
        }
        if addresses_changed {
            self.feed_sources();
        }
        self.tell_kernel_troubles();
    }

    fn address_log(&self, address: &netlink::Address, what: &str) {
        if self.launch.options.address_monitoring {
            let name = self.kernel.link_at(address.ifindex).map_or("?", |l| l.name.as_str());
            log::info!("address {}/{} {what} {name}", address.ip, address.prefix_len);
        }
    }

    fn links_changed(&mut self, changed: &[(u32, String)]) {
        let mut notices = Vec::new();
        self.devices.create(&self.model, &mut self.kernel, &mut notices);
        for notice in notices {
            log::warn!("{notice}");
        }
        self.firewall.sync(&self.model, &self.kernel);
        // Sockets first: by the time the engine hears that a link is up, it can listen.
        self.open_sockets();
        for (index, name) in changed {
            if self.kernel.link(name).is_some_and(netlink::Link::is_running) {
                self.kernel.restore(*index);
            }
            self.interface_news(name);
        }
        self.feed_sources();
    }

    /// Tells what the kernel refused and what others took away.
    pub(crate) fn tell_kernel_troubles(&mut self) {
        for told in self.kernel.told() {
            match told {
                Told::Refused { owner, text, error } => {
                    let name = self.owner_name(owner);
                    self.note(
                        Severity::Error,
                        name.as_deref(),
                        "kernel-refused",
                        format!("{}the kernel refuses {text}: {error}", prefix(name.as_deref())),
                        None,
                    );
                }
                Told::Removed { owner, text, times, slowed } => {
                    let name = self.owner_name(owner);
                    let slowly = if slowed { "; from now on once a second" } else { "" };
                    self.note(
                        Severity::Warning,
                        name.as_deref(),
                        "removed-by-others",
                        format!(
                            "{}{text} was removed by somebody else and is put back (time {times}){slowly}",
                            prefix(name.as_deref()),
                        ),
                        (times == 1).then(|| {
                            "systemd-networkd and NetworkManager do this when they reconfigure: \
                             set KeepConfiguration= or ManageForeignRoutes=no, or leave the \
                             interface unmanaged"
                                .to_owned()
                        }),
                    );
                }
            }
        }
    }

    fn owner_name(&self, owner: Owner) -> Option<String> {
        match owner {
            Owner::Static => None,
            Owner::Router(router) => self.engine.config(router).map(|c| c.name.clone()),
        }
    }

    // ---- the worker -------------------------------------------------------------------------

    pub(crate) fn hear_worker(&mut self) {
        while let Some(report) = self.worker.as_ref().and_then(notify::Worker::try_report) {
            match report {
                Report::Tracker(report) => self.tracker_report(&report),
                Report::ScriptFinished { subject, program, outcome, took } => {
                    if outcome.is_success() {
                        log::debug!("{subject}: {} done in {took:.1?}", program.display());
                    } else {
                        self.note(
                            Severity::Warning,
                            Some(subject.name()),
                            "script-failed",
                            format!("{subject}: {} {outcome}", program.display()),
                            None,
                        );
                    }
                }
                Report::ScriptDropped { subject, program, reason } => self.note(
                    Severity::Error,
                    Some(subject.name()),
                    "script-dropped",
                    format!("{subject}: {} was not run: {reason:?}", program.display()),
                    None,
                ),
                Report::Fifo { path, event } => self.fifo_report(&path, &event),
                Report::Stopped { unfinished_scripts, unread_lines } => {
                    if unfinished_scripts + unread_lines > 0 {
                        log::warn!(
                            "{unfinished_scripts} scripts were not finished and {unread_lines} \
                             FIFO lines not read"
                        );
                    }
                }
            }
        }
    }

    fn tracker_report(&mut self, report: &TrackerReport) {
        let kind = match report.id.kind {
            TrackerKind::Script => TrackKind::Script,
            TrackerKind::File => TrackKind::File,
            TrackerKind::Process => TrackKind::Process,
        };
        let state = match report.state {
            notify::event::TrackerState::Up => TrackerState::Up,
            notify::event::TrackerState::Down => TrackerState::Down,
            notify::event::TrackerState::Value(value) => TrackerState::Value(value.into()),
        };
        let detail = match &report.detail {
            TrackerDetail::InitFail => "counts as failed until its first results".to_owned(),
            TrackerDetail::ScriptRun { outcome, took, in_a_row } => {
                format!("it {outcome} after {took:.0?} ({in_a_row} in a row)")
            }
            TrackerDetail::File { path, content } => format!("{}: {content:?}", path.display()),
            TrackerDetail::Processes { count, events } => format!(
                "{count} processes{}",
                if *events {
                    ""
                } else {
                    ", counted periodically: the kernel tells no events here"
                }
            ),
        };
        let name = &report.id.name;
        match (kind, state) {
            (TrackKind::Script, TrackerState::Up) => log::info!("VRRP_Script({name}) succeeded"),
            (TrackKind::Script, _) => log::warn!("VRRP_Script({name}) failed ({detail})"),
            (TrackKind::Process, TrackerState::Up) => {
                log::info!("Quorum gained for tracked process {name}");
            }
            (TrackKind::Process, _) => log::warn!("Quorum lost for tracked process {name}"),
            _ => log::debug!("track_file {name}: {detail}"),
        }
        self.tracker_is(kind, name, state, detail);
    }

    fn fifo_report(&mut self, path: &std::path::Path, event: &FifoEvent) {
        let text = path.display().to_string();
        match event {
            FifoEvent::Opened { created } => {
                if *created {
                    let kept = self.store.update(|kept| {
                        if !kept.fifos.contains(&text) {
                            kept.fifos.push(text.clone());
                        }
                    });
                    if let Err(error) = kept {
                        log::warn!("state store: {error}");
                    }
                }
            }
            FifoEvent::CannotOpen(why) => log::error!("notify FIFO {text}: {why}"),
            FifoEvent::Full => {
                log::warn!("notify FIFO {text} is full, nobody reads it; lines are kept");
            }
            FifoEvent::CaughtUp => log::info!("notify FIFO {text}: all kept lines were written"),
            FifoEvent::Dropped(count) => {
                log::error!("notify FIFO {text}: {count} lines were dropped, nobody reads it");
            }
            FifoEvent::ReaderEnded { outcome, restart_in } => {
                log::warn!("reader of {text} {outcome}; started again in {restart_in:.1?}");
            }
        }
    }

    // ---- clients ----------------------------------------------------------------------------

    pub(crate) fn hear_clients(&mut self) {
        while let Some(call) = self.api.as_ref().and_then(notify::api::Api::next_call) {
            let reply = match call.request {
                Request::Status => Reply::Snapshot(Box::new(self.snapshot())),
                Request::History { subject } => Reply::Records(match subject {
                    Some(subject) => self.records.of(&subject),
                    None => self.records.all(),
                }),
                Request::Events => {
                    if let Some(api) = &mut self.api {
                        api.subscribe(call.answer);
                    }
                    continue;
                }
                Request::Handover { instance } => self.handover(&instance, true),
                Request::Reclaim { instance } => self.handover(&instance, false),
                Request::Servers { .. } | Request::Server { .. } | Request::Retry => {
                    Reply::Error("that is the balancer's business, this is failover".to_owned())
                }
            };
            // A client that hung up gets no answer.
            let _ = call.answer.try_send(reply);
        }
    }

    fn handover(&mut self, instance: &str, give: bool) -> Reply {
        let Some(router) = self.engine.find(instance) else {
            return Reply::Error(format!("there is no vrrp_instance {instance}"));
        };
        let master = self.engine.state(router) == Some(vrrp::State::Master);
        let now = self.now();
        if give {
            if !master {
                return Reply::Error(format!(
                    "{instance} is not MASTER on this node: there is nothing to hand over"
                ));
            }
            self.engine.handle(Input::Handover { router }, now);
            Reply::Done(format!(
                "{instance} resigns; the addresses stay here until the successor is heard"
            ))
        } else {
            self.engine.handle(Input::Reclaim { router }, now);
            Reply::Done(format!("{instance} takes part in elections again"))
        }
    }

    /// Tells the supervisor that a configuration is in force.
    pub(crate) fn say_reloaded(&mut self, generation: u64) {
        self.say(&FromRole::Reloaded { generation });
    }
}

fn prefix(name: Option<&str>) -> String {
    name.map(|name| format!("({name}) ")).unwrap_or_default()
}
