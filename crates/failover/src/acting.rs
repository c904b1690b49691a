//! Does what the engine says: adverts first, then the kernel, announcements, and the rest.

use std::collections::HashSet;
use std::time::Duration;

use netlink::Link;
use status::{Record, Severity};
use vrrp::{Event, Notify, Output, RouterId, Time, Transmit};

use crate::announce::Forwarding;
use crate::kernel::Owner;
use crate::records;
use crate::role::Role;

/// How long addresses linger after a successor's first advert. It announces itself before it has
/// the addresses: whoever lets go at once leaves a gap in which nobody answers.
const LINGER: Duration = Duration::from_millis(50);
/// The same for each address beyond the first: a successor sets them one after the other.
const LINGER_EACH: Duration = Duration::from_millis(2);
/// The longest that anything lingers.
const LINGER_MOST: Duration = Duration::from_secs(1);

impl Role {
    /// Does everything that the engine has asked for.
    pub(crate) fn carry_out(&mut self) {
        let mut transmits: Vec<Transmit> = Vec::new();
        let mut announcements = Vec::new();
        let mut notifications: Vec<Notify> = Vec::new();
        let mut events: Vec<Event> = Vec::new();
        let mut removed = Vec::new();
        let mut withdrawn = Vec::new();
        let mut details = Vec::new();
        let mut begun = std::mem::take(&mut self.begun).into_iter();
        while let Some(output) = begun.next().or_else(|| self.engine.poll_output()) {
            match output {
                Output::Transmit(transmit) => transmits.push(transmit),
                Output::Hold { router } => {
                    self.lingering.retain(|(_, lingering)| *lingering != router);
                    withdrawn.retain(|withdrawn| *withdrawn != router);
                    self.kernel.hold(Owner::Router(router));
                    self.begin_extra(router);
                    details.push((router, "setting"));
                }
                Output::Withdraw { router } => withdrawn.push(router),
                Output::Reconcile { .. } => {}
                Output::Announce { router, what, repeat } => {
                    announcements.push((router, what, repeat));
                }
                Output::Notify(notify) => notifications.push(notify),
                Output::Event(event) => events.push(event),
                Output::Removed { router } => removed.push(router),
                Output::Stopped => self.stopped = true,
            }
        }
        if !transmits.is_empty() {
            self.transmit(&transmits);
        }
        // Right behind the adverts: a life that ends here must be followed by one that stands by
        // what it said.
        self.keep_changed(&events, &transmits);
        for router in withdrawn {
            if self.withdraw(router, &events) {
                details.push((router, "removing"));
            }
        }
        self.flush_kernel();
        let mut forwarding = Forwarding::default();
        for (router, what, repeat) in announcements {
            self.announce(router, what, repeat, &mut forwarding);
        }
        self.send_due_frames();
        for event in &events {
            self.tell(event);
        }
        if !events.is_empty() {
            self.follow_sync_daemon();
        }
        for (router, doing) in details {
            self.detail(router, doing);
        }
        for notification in notifications {
            self.notify(&notification);
        }
        for router in removed {
            self.kernel.forget(Owner::Router(router));
        }
    }

    /// Takes a router's things away, now or (`false`) in a moment.
    fn withdraw(&mut self, router: RouterId, events: &[Event]) -> bool {
        if self.launch.options.keep_addresses && self.stopping {
            return false;
        }
        self.retract_announcements(router);
        self.extra.end(router);
        if events.iter().any(|event| event.router == Some(router) && has_successor(event)) {
            let count = self.kernel.held_addresses(Owner::Router(router)).count() as u32;
            let linger = (LINGER + LINGER_EACH * count).min(LINGER_MOST);
            self.lingering.push((self.now().mono + linger, router));
            return false;
        }
        self.kernel.withdraw(Owner::Router(router));
        true
    }

    /// The lines that Keepalived logs with `-D`.
    fn detail(&self, router: RouterId, doing: &str) {
        if self.launch.options.detail == 0 {
            return;
        }
        let plan = self.places.get(&router).and_then(|&place| self.plan.routers.get(place));
        let Some(plan) = plan else { return };
        let excluded = plan.holding.addresses.len() - plan.holding.advertised;
        for (count, what) in [
            (plan.holding.advertised, "VIPs."),
            (excluded, "E-VIPs."),
            (plan.holding.routes.len(), "Virtual Routes"),
            (plan.holding.rules.len(), "Virtual Rules"),
        ] {
            if count > 0 {
                log::info!("({}) {doing} {what}", plan.name);
            }
        }
    }

    /// Lets go of addresses whose time has come.
    pub(crate) fn let_go(&mut self, due: impl Fn(Time) -> bool) {
        let (now, later) = self.lingering.drain(..).partition::<Vec<_>, _>(|(at, _)| due(*at));
        self.lingering = later;
        for (_, router) in now {
            self.kernel.withdraw(Owner::Router(router));
            self.detail(router, "removing");
        }
    }

    /// Frames that still wait would announce what is no longer here.
    fn retract_announcements(&mut self, router: RouterId) {
        if self.pacer.poll_timeout().is_none() {
            return;
        }
        let gone: HashSet<_> = self
            .kernel
            .held_addresses(Owner::Router(router))
            .map(|address| (address.ifindex, address.ip))
            .collect();
        self.pacer.retract(|frame| gone.contains(&(frame.ifindex, frame.address)));
    }

    pub(crate) fn transmit(&mut self, transmits: &[Transmit]) {
        let (kernel, ids, plan, places) = (&self.kernel, &self.ids, &self.plan, &self.places);
        let failures = self.sockets.send(transmits, |transmit| {
            let place = places.get(&transmit.router).and_then(|&place| plan.routers.get(place));
            let own = place.and_then(|router| router.transmit.as_deref());
            let name = own.or_else(|| transmit.interface.and_then(|id| ids.interface_name(id)));
            name.and_then(|name| kernel.index_of(name))
        });
        if failures.is_empty() && self.unsent.is_empty() {
            return;
        }
        self.tell_unsent(transmits, &failures);
    }

    /// A router whose adverts do not leave is a master that nobody hears: told once, and again when
    /// it is over.
    fn tell_unsent(&mut self, transmits: &[Transmit], failures: &[(usize, std::io::Error)]) {
        let failed: HashSet<RouterId> =
            failures.iter().map(|(index, _)| transmits[*index].router).collect();
        for transmit in transmits {
            if !failed.contains(&transmit.router) && self.unsent.remove(&transmit.router).is_some()
            {
                let name = self.router_name(transmit.router);
                let text = format!("({name}) adverts can be sent again");
                self.note(Severity::Info, Some(&name), "adverts-sent", text, None);
            }
        }
        for (index, error) in failures {
            let Transmit { router, interface, dst, .. } = transmits[*index];
            // Nothing leaves by an interface that is down, and nobody wonders.
            let name = interface.and_then(|id| self.ids.interface_name(id));
            if name.is_some_and(|name| !self.kernel.link(name).is_some_and(Link::is_running)) {
                continue;
            }
            let text = format!("advert to {dst} not sent: {error}");
            if self.unsent.contains_key(&router) {
                log::debug!("({}) {text}", self.router_name(router));
                continue;
            }
            let name = self.router_name(router);
            let line = format!("({name}) {text}");
            self.unsent.insert(router, text);
            let hint = "the other nodes hear nothing of it; look at the routes to unicast peers and \
                        at packet filters on output";
            self.note(
                Severity::Error,
                Some(&name),
                "adverts-not-sent",
                line,
                Some(hint.to_owned()),
            );
        }
    }

    fn router_name(&self, router: RouterId) -> String {
        self.engine.config(router).map_or_else(String::new, |config| config.name.clone())
    }

    /// Sends one batch of kernel changes; the next turn goes on if there is more.
    pub(crate) fn flush_kernel(&mut self) {
        if self.kernel.has_work() {
            let now = self.now().mono;
            self.kernel.flush(now);
        }
        self.tell_kernel_troubles();
    }

    /// Tells the world about an engine event.
    fn tell(&mut self, event: &Event) {
        let record = records::of_event(event);
        if let vrrp::EventKind::Changed { old_name: Some(old) } = &event.kind {
            self.records.rename(old, &event.name);
        }
        if records::is_notable(event) || self.launch.options.detail > 0 {
            log_record(&record);
        }
        self.add_record(record);
    }

    /// Keeps a record and passes it to clients, without a log line.
    pub(crate) fn add_record(&mut self, record: Record) {
        let record = self.records.add(record);
        if let Some(api) = &mut self.api {
            api.publish(&record);
        }
    }

    /// Keeps, publishes and logs something that the role noticed itself.
    pub(crate) fn note(
        &mut self,
        severity: Severity,
        subject: Option<&str>,
        kind: &str,
        message: String,
        hint: Option<String>,
    ) {
        let record = records::note(self.now(), severity, subject, kind, message, hint);
        log_record(&record);
        self.add_record(record);
    }
}

/// Whether an event says that somebody else has the addresses now (or has them in a moment).
fn has_successor(event: &Event) -> bool {
    use vrrp::{Cause, EventKind, State};
    match &event.kind {
        EventKind::Yielded { successor, .. } => successor.is_some(),
        EventKind::Transition { to: State::Backup, cause, .. } => {
            matches!(
                cause,
                Cause::HigherPriority { .. } | Cause::HigherAddress { .. } | Cause::Group { .. }
            )
        }
        _ => false,
    }
}

/// The log line of a record.
fn log_record(record: &Record) {
    let level = match record.severity {
        Severity::Info => log::Level::Info,
        Severity::Warning => log::Level::Warn,
        Severity::Error => log::Level::Error,
    };
    log::log!(level, "{}", record.message);
    if let Some(hint) = &record.hint {
        log::log!(level, "  hint: {hint}");
    }
}
