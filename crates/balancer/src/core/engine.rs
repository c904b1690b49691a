//! The core itself: what it holds, what comes in, what happens to checks and real servers.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use checkers::CheckId;
use netlink::ipvs::{ServiceKey, Table};
use notify::event::Subject;
use notify::mail::text::ServerCause;
use notify::mail::{self, Mail};

use super::event::{DownCause, Event, EventKind, Notice, Server, UpCause, WeightCause};
use super::io::{CheckOrder, CheckResult, Input, Lookup, Now, Output};
use super::key::VsKey;
use super::names::Known;
use super::plan::{CheckPlan, Plan, VsPlan, destination};
use super::save::SavedService;
use super::server::{Ck, Ordered, Rs, Vs};
use super::text;

/// All virtual servers of a process.
#[derive(Debug)]
pub struct Core {
    pub(super) virtual_servers: Vec<Vs>,
    pub(super) init_notifies: bool,
    pub(super) no_checker_mail: bool,
    /// Whose checks: virtual server and address.
    pub(super) checks: HashMap<CheckId, (usize, SocketAddr)>,
    next_check: u64,
    /// What the DNS said, for every question that is asked.
    pub(super) lookups: BTreeMap<Lookup, Known>,
    /// Addresses of this host.
    pub(super) addresses: HashSet<IpAddr>,
    /// Which virtual servers stand for a service, in the order of the file.
    pub(super) owners: HashMap<ServiceKey, Vec<usize>>,
    pub(super) desired: Table,
    /// Virtual servers whose services may have to change.
    pub(super) dirty: BTreeSet<usize>,
    /// Services that lost an owner.
    pub(super) orphans: BTreeSet<ServiceKey>,
    /// Services that changed since [`Core::take_changes`].
    pub(super) changed: BTreeSet<ServiceKey>,
    /// Virtual servers that changed since [`Core::take_unsaved`].
    pub(super) unsaved: BTreeSet<usize>,
    /// Deadlines of drains, soonest first.
    pub(super) deadlines: BTreeSet<(Duration, usize, SocketAddr)>,
    pub(super) pending: VecDeque<Output>,
    pub(super) outputs: VecDeque<Output>,
    pub(super) now: Now,
    pub(super) stopping: bool,
    /// Stopped without leaving anything.
    pub(super) stopped: bool,
}

/// A destination whose connections the core wants to know ([`Input::Connections`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draining {
    /// The virtual server.
    pub service: VsKey,
    /// The real server.
    pub server: SocketAddr,
    /// Where the kernel has it: services and addresses, to be summed.
    pub destinations: Vec<(ServiceKey, SocketAddr)>,
}

impl Core {
    /// A core with its first configuration; [`Core::poll_output`] says what is to be done.
    ///
    /// `saved` is what [`Core::save`] said before the process died: servers and virtual servers
    /// are what they were, nobody is told, and the desired table is that of the dead process.
    #[must_use]
    pub fn new(plan: Plan, saved: &[SavedService], now: Now) -> Self {
        let mut core = Self {
            virtual_servers: Vec::with_capacity(plan.virtual_servers.len()),
            init_notifies: plan.init_notifies,
            no_checker_mail: plan.no_checker_mail,
            checks: HashMap::new(),
            next_check: 0,
            lookups: BTreeMap::new(),
            addresses: HashSet::new(),
            owners: HashMap::new(),
            desired: Table::new(),
            dirty: BTreeSet::new(),
            orphans: BTreeSet::new(),
            changed: BTreeSet::new(),
            unsaved: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            pending: VecDeque::new(),
            outputs: VecDeque::new(),
            now,
            stopping: false,
            stopped: false,
        };
        let mut saved = SavedService::by_key(saved);
        for vs in plan.virtual_servers {
            let earlier = saved.get_mut(&vs.key).and_then(VecDeque::pop_front);
            core.add_service(vs, earlier, false);
        }
        core.index();
        for v in 0..core.virtual_servers.len() {
            let begun = core.virtual_servers[v].begun;
            core.judge(v, !begun);
            core.touch(v);
        }
        core.flush();
        core
    }

    /// Takes something in.
    pub fn handle(&mut self, input: Input, now: Now) {
        self.now = now;
        if self.stopping {
            return;
        }
        match input {
            Input::Check { id, result } => self.check_result(id, result),
            Input::Resolved { lookup, answers } => self.resolved(&lookup, answers),
            Input::LookupFailed { lookup, reason } => self.lookup_failed(&lookup, reason),
            Input::Connections { service, server, active, inactive } => {
                self.connections(&service, server, active, inactive);
            }
            Input::Address { ip, present } => self.address(ip, present),
            Input::Reload(plan) => self.reload(*plan),
            Input::Stop { keep } => self.stop(keep),
        }
        self.flush();
    }

    /// When [`Core::handle_timeout`] is to be called, on the monotonic clock.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.deadlines.first().map(|(deadline, ..)| *deadline)
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Now) {
        self.now = now;
        self.drains_due();
        self.flush();
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The servers that are being drained. While there are any, tell their connections now and
    /// then.
    #[must_use]
    pub fn draining(&self) -> Vec<Draining> {
        let mut list = Vec::new();
        for vs in &self.virtual_servers {
            for server in &vs.servers {
                if !matches!(server.ordered(), Some(Ordered::Draining { .. })) {
                    continue;
                }
                let forwarding = vs.plan_of(server).settings.forwarding;
                let place =
                    |key: &ServiceKey| Some((*key, destination(key, server.address, forwarding)?));
                list.push(Draining {
                    service: vs.plan.key.clone(),
                    server: server.address,
                    destinations: vs.plan.services.iter().filter_map(|(k, _)| place(k)).collect(),
                });
            }
        }
        list
    }

    /// The virtual servers' plans, in the order of the file.
    pub fn plans(&self) -> impl ExactSizeIterator<Item = &Arc<VsPlan>> {
        self.virtual_servers.iter().map(|vs| &vs.plan)
    }

    /// Appends a virtual server with its servers. `reload`: others run already.
    pub(super) fn add_service(
        &mut self,
        plan: Arc<VsPlan>,
        saved: Option<&SavedService>,
        reload: bool,
    ) {
        let v = self.virtual_servers.len();
        let mut vs = Vs::new(plan, self.now);
        vs.suspended = !self.is_local(&vs.plan);
        self.virtual_servers.push(vs);
        if reload {
            self.event(v, None, EventKind::VirtualServerAdded, None);
        }
        if let Some(saved) = saved {
            self.restore(v, saved);
        }
        self.start_lookups(v);
        self.populate(v, false, saved);
    }

    /// Whether the checks of a virtual server may run.
    pub(super) fn is_local(&self, plan: &VsPlan) -> bool {
        plan.suspend_without.as_ref().is_none_or(|ranges| {
            self.addresses.iter().any(|ip| ranges.iter().any(|(a, b)| a <= ip && ip <= b))
        })
    }

    /// Which virtual server stands for which service; whose checks are whose.
    pub(super) fn index(&mut self) {
        self.owners.clear();
        self.checks.clear();
        self.deadlines.clear();
        for (v, vs) in self.virtual_servers.iter().enumerate() {
            for (key, _) in &vs.plan.services {
                self.owners.entry(*key).or_default().push(v);
            }
            for server in &vs.servers {
                self.checks.extend(server.checks.iter().map(|ck| (ck.id, (v, server.address))));
                let deadline = server.order.as_ref().and_then(|order| order.deadline());
                self.deadlines.extend(deadline.map(|at| (at, v, server.address)));
            }
        }
    }

    /// A new server, with its checks started. Nobody is told yet, except by `rs_init_notifies`.
    pub(super) fn new_server(
        &mut self,
        v: usize,
        plan: u32,
        address: SocketAddr,
        answer_weight: Option<u32>,
    ) -> Rs {
        let vs = &self.virtual_servers[v];
        let checks = vs.plan.servers[plan as usize].checks.clone();
        let checks: Box<[_]> =
            checks.into_iter().map(|check| self.start_check(v, address, check, None)).collect();
        let mut server = Rs {
            plan,
            address,
            answer_weight,
            alive: false,
            told_down: false,
            since: self.now,
            cause: None,
            checks,
            order: None,
        };
        server.alive = server.checks_pass();
        server
    }

    /// Starts a check. `resumed`: what it said in an earlier process.
    pub(super) fn start_check(
        &mut self,
        v: usize,
        server: SocketAddr,
        plan: Arc<CheckPlan>,
        resumed: Option<bool>,
    ) -> Ck {
        let id = CheckId(self.next_check);
        self.next_check += 1;
        self.checks.insert(id, (v, server));
        let vs = &self.virtual_servers[v];
        self.pending.push_back(Output::StartCheck(CheckOrder {
            id,
            service: vs.plan.name.clone(),
            server,
            check: plan.clone(),
            resumed,
            suspended: vs.suspended,
        }));
        Ck {
            id,
            up: resumed.unwrap_or(!plan.alpha),
            has_run: resumed.is_some(),
            plan,
            adjust: None,
            since: self.now,
            detail: String::new(),
        }
    }

    pub(super) fn stop_check(&mut self, id: CheckId) {
        if self.checks.remove(&id).is_some() {
            self.pending.push_back(Output::StopCheck(id));
        }
    }

    fn check_result(&mut self, id: CheckId, result: CheckResult) {
        let Some(&(v, address)) = self.checks.get(&id) else { return };
        let vs = &mut self.virtual_servers[v];
        let Some(s) = vs.servers.iter().position(|server| server.address == address) else {
            return;
        };
        let Some(c) = vs.servers[s].checks.iter().position(|check| check.id == id) else {
            return;
        };
        let server = &mut vs.servers[s];
        let before = server.weight(&vs.plan.servers[server.block()]);
        let check = &mut server.checks[c];
        let (was_up, first) = (check.up, !check.has_run);
        let keyword = check.plan.keyword;
        check.has_run = true;
        let (up, detail, adjust) = match result {
            CheckResult::Up { weight, detail } => (true, detail, weight),
            CheckResult::Down { failure } => (false, failure, None),
        };
        check.up = up;
        // What a check said about the weight stays while it is down: one that comes back says it anew.
        check.adjust = if up { adjust } else { check.adjust };
        check.detail.clone_from(&detail);
        if was_up != up || first {
            check.since = self.now;
        }
        let passes = server.checks_pass();
        let changes = server.alive != passes;
        if was_up != up || first {
            let mail = was_up != up && (changes || !self.no_checker_mail);
            let kind = if up {
                EventKind::CheckUp { check: keyword, detail: detail.clone(), first }
            } else {
                EventKind::CheckDown { check: keyword, failure: detail.clone() }
            };
            self.tell_check(v, s, c, kind, passes, mail);
        }
        match (up, changes) {
            (true, true) => self.server_up(v, s, UpCause::Check(keyword)),
            (false, true) => {
                let cause = DownCause::Check { check: keyword, failure: detail };
                self.server_down(v, s, cause);
            }
            (false, false) if first && !self.virtual_servers[v].servers[s].told_down => {
                let cause = DownCause::Alpha { check: keyword, failure: detail };
                self.server_down(v, s, cause);
            }
            _ => {}
        }
        self.weight_event(v, s, before, WeightCause::Check(keyword));
        self.touch(v);
        let begun = self.virtual_servers[v].begun;
        self.judge(v, !begun);
    }

    /// A server serves from now on.
    pub(super) fn server_up(&mut self, v: usize, s: usize, cause: UpCause) {
        let now = self.now;
        let vs = &mut self.virtual_servers[v];
        let inhibit = vs.plan_of(&vs.servers[s]).settings.inhibit;
        let server = &mut vs.servers[s];
        server.alive = true;
        server.told_down = false;
        server.since = now;
        let kind = EventKind::ServerUp { cause, inhibit };
        server.cause = Some(text::up_cause(cause).into());
        let notice = self.server_notice(v, s, true);
        self.event(v, Some(s), kind, Some(notice));
        self.touch(v);
    }

    /// A server does not serve from now on.
    pub(super) fn server_down(&mut self, v: usize, s: usize, cause: DownCause) {
        let now = self.now;
        let vs = &mut self.virtual_servers[v];
        let inhibit = vs.plan_of(&vs.servers[s]).settings.inhibit;
        let server = &mut vs.servers[s];
        server.alive = false;
        server.told_down = true;
        server.since = now;
        server.cause = Some(text::down_cause(&cause).into());
        let notice = self.server_notice(v, s, false);
        self.event(v, Some(s), EventKind::ServerDown { cause, inhibit }, Some(notice));
        self.touch(v);
    }

    /// Tells of a changed weight, if it changed.
    pub(super) fn weight_event(&mut self, v: usize, s: usize, from: u32, cause: WeightCause) {
        let vs = &self.virtual_servers[v];
        let server = &vs.servers[s];
        let to = server.weight(vs.plan_of(server));
        if from != to {
            let active = server.alive;
            self.event(v, Some(s), EventKind::WeightChanged { from, to, active, cause }, None);
            self.touch(v);
        }
    }

    /// Whom to tell when a server is up or down. The mail belongs to the check.
    pub(super) fn server_notice(&self, v: usize, s: usize, up: bool) -> Notice {
        let vs = &self.virtual_servers[v];
        let server = &vs.servers[s];
        let plan = &vs.plan_of(server).settings;
        Notice {
            subject: Subject::RealServer {
                server: vs.name_of(server),
                of: vs.plan.name.to_string(),
            },
            up,
            script: if up { plan.notify_up } else { plan.notify_down },
            fifo: true,
            mail: None,
        }
    }

    /// Tells of a check, by mail too if `mail`.
    fn tell_check(
        &mut self,
        v: usize,
        s: usize,
        c: usize,
        kind: EventKind,
        server_up: bool,
        mail: bool,
    ) {
        let check = &self.virtual_servers[v].servers[s].checks[c];
        let detail = if check.up { None } else { Some(check.detail.as_str()) };
        let cause = ServerCause::Check { kind: &check.plan.checker.kind, detail };
        let mail = if mail { self.server_mail(v, s, server_up, cause) } else { None };
        let notice = mail.map(|mail| Notice {
            script: None,
            fifo: false,
            mail: Some(mail),
            ..self.server_notice(v, s, server_up)
        });
        self.event(v, Some(s), kind, notice);
    }

    /// The mail about a server, if it wants any.
    pub(super) fn server_mail(
        &self,
        v: usize,
        s: usize,
        up: bool,
        cause: ServerCause<'_>,
    ) -> Option<Mail> {
        let vs = &self.virtual_servers[v];
        let server = &vs.servers[s];
        let wanted = vs.plan_of(server).settings.mail;
        wanted.then(|| mail::text::real_server(&vs.name_of(server), &vs.plan.name, up, cause))
    }

    /// Tells something.
    pub(super) fn event(
        &mut self,
        v: usize,
        s: Option<usize>,
        kind: EventKind,
        notice: Option<Notice>,
    ) {
        let vs = &self.virtual_servers[v];
        let server = s.map(|s| &vs.servers[s]);
        self.pending.push_back(Output::Event(Box::new(Event {
            time: self.now,
            service: vs.plan.key.clone(),
            service_name: vs.plan.name.clone(),
            server: server
                .map(|server| Server { address: server.address, name: vs.name_of(server).into() }),
            kind,
            notice,
        })));
    }

    fn address(&mut self, ip: IpAddr, present: bool) {
        let changed = if present { self.addresses.insert(ip) } else { self.addresses.remove(&ip) };
        if !changed {
            return;
        }
        for v in 0..self.virtual_servers.len() {
            self.suspend_or_resume(v);
        }
    }

    /// Lets the checks of a virtual server wait or go on, as its addresses say.
    pub(super) fn suspend_or_resume(&mut self, v: usize) {
        let suspended = !self.is_local(&self.virtual_servers[v].plan);
        let vs = &mut self.virtual_servers[v];
        if vs.suspended == suspended {
            return;
        }
        vs.suspended = suspended;
        let ids = vs.servers.iter().flat_map(|server| &server.checks).map(|check| check.id);
        let outputs = ids.map(|id| match suspended {
            true => Output::SuspendCheck(id),
            false => Output::ResumeCheck(id),
        });
        self.pending.extend(outputs);
        let kind = if suspended { EventKind::ChecksSuspended } else { EventKind::ChecksResumed };
        self.event(v, None, kind, None);
    }

    /// What must always be true. Called after every step in debug builds, if there are at most 64
    /// virtual servers.
    ///
    /// # Panics
    /// If it is not.
    pub fn check_invariants(&self) {
        if self.virtual_servers.len() > 64 {
            return;
        }
        for vs in &self.virtual_servers {
            let mut seen = HashSet::new();
            for server in &vs.servers {
                assert!(seen.insert(server.address), "{} is there twice", server.address);
                assert_eq!(server.alive, server.checks_pass(), "{} by its checks", server.address);
                let wanted = vs.destination(server);
                assert!(
                    server.alive || wanted.is_none_or(|wanted| wanted.weight == 0),
                    "{} is down and weighs something",
                    server.address
                );
            }
            let have = vs.weight();
            let (quorum, hysteresis) = (vs.plan.quorum, vs.plan.hysteresis);
            assert!(hysteresis < quorum, "hysteresis of {}", vs.plan.name);
            let awaited = self.awaits(vs);
            if vs.begun && !awaited && !self.stopping {
                let least = u64::from(quorum - hysteresis);
                assert!(!vs.up || have > 0 && have >= least, "{} is up with {have}", vs.plan.name);
                let most = u64::from(quorum) + u64::from(hysteresis);
                assert!(vs.up || have < most, "{} is down with {have}", vs.plan.name);
            }
        }
        assert!(
            self.dirty.is_empty() && self.orphans.is_empty(),
            "something is not brought up to date"
        );
        for (key, owners) in &self.owners {
            assert!(!owners.is_empty());
            assert_eq!(self.desired.get(key), self.entry(key).as_ref(), "{key}");
        }
        for (key, _) in self.desired.services() {
            assert!(self.owners.contains_key(key), "{key} belongs to nobody");
        }
    }
}
