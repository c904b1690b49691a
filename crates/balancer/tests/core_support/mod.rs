//! A core with its surroundings: configuration as text, checks and kernel in memory, and everything
//! that is told as lines.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use config::lower::{BuiltinNames, lower};
use config::model::Model;
use config::{Options, load_text};
use netlink::ipvs::{Forwarding, Table};
use standfast_balancer::core::{
    Adjustment, Answer, CheckId, CheckOrder, CheckResult, Core, Event, Input, Lookup, Now, Order,
    Output, Plan, Refused, SavedService, ScriptId, VsKey,
};

/// What a configuration means.
pub(crate) fn model(text: &str) -> Model {
    let loaded = load_text(text, &Options::default());
    assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
    lower(&loaded.tree, &BuiltinNames).model
}

/// Numbers for script commands.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scripts(Vec<String>);

impl Scripts {
    pub(crate) fn plan(&mut self, text: &str) -> Plan {
        Plan::new(&model(text), |command| {
            let words = command.words.join(" ");
            // A stand-in for a script that is refused.
            if words.contains("/refused") {
                return None;
            }
            let place = self.0.iter().position(|known| *known == words).unwrap_or_else(|| {
                self.0.push(words);
                self.0.len() - 1
            });
            Some(ScriptId(u32::try_from(place).unwrap()))
        })
    }

    fn words(&self, id: ScriptId) -> &str {
        &self.0[id.0 as usize]
    }
}

/// A core and what it asked for.
pub(crate) struct World {
    pub(crate) core: Core,
    pub(crate) now: Now,
    pub(crate) scripts: Scripts,
    pub(crate) checks: BTreeMap<CheckId, CheckOrder>,
    pub(crate) suspended: Vec<CheckId>,
    pub(crate) lookups: Vec<Lookup>,
    /// The kernel's table, as `take_changes` keeps it.
    pub(crate) kernel: Table,
    /// Changed services since the last look.
    pub(crate) changed: usize,
    pub(crate) stopped: bool,
    pub(crate) events: Vec<Event>,
    told: Vec<String>,
}

impl World {
    pub(crate) fn new(text: &str) -> Self {
        Self::resumed(text, &[], Now { mono: secs(1000), unix: secs(1_700_000_000) })
    }

    pub(crate) fn resumed(text: &str, saved: &[SavedService], now: Now) -> Self {
        let mut scripts = Scripts::default();
        let plan = scripts.plan(text);
        let mut world = Self {
            core: Core::new(plan, saved, now),
            now,
            scripts,
            checks: BTreeMap::new(),
            suspended: Vec::new(),
            lookups: Vec::new(),
            kernel: Table::new(),
            changed: 0,
            stopped: false,
            events: Vec::new(),
            told: Vec::new(),
        };
        world.settle();
        world
    }

    /// Does what the core says.
    pub(crate) fn settle(&mut self) {
        while let Some(output) = self.core.poll_output() {
            assert!(!self.stopped, "{output:?} after the end");
            match output {
                Output::Kernel => self.pull(),
                Output::StartCheck(order) => {
                    if order.suspended {
                        self.suspended.push(order.id);
                    }
                    let id = order.id;
                    assert!(self.checks.insert(id, order).is_none(), "{id:?} started twice");
                }
                Output::StopCheck(id) => {
                    self.suspended.retain(|suspended| *suspended != id);
                    self.checks.remove(&id).expect("a check that runs is stopped");
                }
                Output::SuspendCheck(id) => {
                    assert!(self.checks.contains_key(&id) && !self.suspended.contains(&id));
                    self.suspended.push(id);
                }
                Output::ResumeCheck(id) => {
                    assert!(self.checks.contains_key(&id) && self.suspended.contains(&id));
                    self.suspended.retain(|suspended| *suspended != id);
                }
                Output::StartLookup(lookup) => {
                    assert!(!self.lookups.contains(&lookup), "{lookup:?} asked twice");
                    self.lookups.push(lookup);
                }
                Output::StopLookup(lookup) => {
                    assert!(self.lookups.contains(&lookup), "{lookup:?} is not asked");
                    self.lookups.retain(|known| *known != lookup);
                }
                Output::Event(event) => self.tell(*event),
                Output::Stopped => self.stopped = true,
            }
        }
        assert!(self.core.take_changes().is_empty(), "a change was not told");
        assert_eq!(&self.kernel, self.core.desired());
        self.core.check_invariants();
    }

    fn pull(&mut self) {
        let keys = self.core.take_changes();
        assert!(!keys.is_empty(), "the kernel is to change, and nothing does");
        for key in keys {
            let before = self.kernel.remove(&key);
            let wanted = self.core.desired().get(&key);
            assert_ne!(before.as_deref(), wanted, "{key} did not change");
            self.changed += 1;
            if let Some(entry) = wanted {
                let service = self.kernel.insert(key, entry.service.clone());
                for (address, destination) in entry.destinations() {
                    service.insert(*address, *destination);
                }
            }
        }
    }

    fn tell(&mut self, event: Event) {
        self.told.push(event.to_string());
        if let Some(notice) = &event.notice {
            let state = if notice.up { "UP" } else { "DOWN" };
            if let Some(script) = notice.script {
                self.told.push(format!("run {}", self.scripts.words(script)));
            }
            if notice.fifo {
                self.told.push(format!("fifo {} {state}", notice.subject));
            }
            if let Some(mail) = &notice.mail {
                self.told.push(format!("mail {}: {}", mail.subject, mail.body));
            }
        }
        self.events.push(event);
    }

    pub(crate) fn input(&mut self, input: Input) {
        self.core.handle(input, self.now);
        self.settle();
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now.mono += time;
        self.now.unix += time;
        if self.core.poll_timeout().is_some_and(|at| at <= self.now.mono) {
            self.core.handle_timeout(self.now);
            self.settle();
            assert!(self.core.poll_timeout().is_none_or(|at| at > self.now.mono));
        }
    }

    /// Checks of servers whose address ends so, in the order of the file.
    pub(crate) fn checks_of(&self, server: &str) -> Vec<CheckId> {
        let of = |order: &&CheckOrder| {
            order.server.to_string() == server || order.server.ip().to_string() == server
        };
        self.checks.values().filter(of).map(|order| order.id).collect()
    }

    /// The n-th check of a server succeeds.
    pub(crate) fn up(&mut self, server: &str, n: usize) {
        self.weigh(server, n, None);
    }

    /// Every check of a server succeeds.
    pub(crate) fn all_up(&mut self, server: &str) {
        (0..self.checks_of(server).len()).for_each(|n| self.up(server, n));
    }

    pub(crate) fn weigh(&mut self, server: &str, n: usize, weight: Option<Adjustment>) {
        let id = self.checks_of(server)[n];
        let result = CheckResult::Up { weight, detail: "connected".into() };
        self.input(Input::Check { id, result });
    }

    /// The n-th check of a server fails.
    pub(crate) fn down(&mut self, server: &str, n: usize) {
        let id = self.checks_of(server)[n];
        let result = CheckResult::Down { failure: format!("connection refused by {server}") };
        self.input(Input::Check { id, result });
    }

    pub(crate) fn reload(&mut self, text: &str) {
        let plan = self.scripts.plan(text);
        self.input(Input::Reload(Box::new(plan)));
    }

    pub(crate) fn stop(&mut self) {
        self.input(Input::Stop { keep: false });
        assert!(self.stopped);
    }

    pub(crate) fn order(
        &mut self,
        service: &str,
        server: &str,
        order: Order,
    ) -> Result<(), Refused> {
        let result = self.core.order(&vs_key(service), address(server), order, self.now);
        self.settle();
        result
    }

    pub(crate) fn connections(&mut self, service: &str, server: &str, active: u64, inactive: u64) {
        let (service, server) = (vs_key(service), address(server));
        self.input(Input::Connections { service, server, active, inactive });
    }

    pub(crate) fn resolve(&mut self, name: &str, answers: &[Answer]) {
        let lookup = self.lookup(name);
        self.input(Input::Resolved { lookup, answers: answers.to_vec() });
    }

    pub(crate) fn resolve_to(&mut self, name: &str, ips: &[&str]) {
        let answers: Vec<_> = ips.iter().map(|ip| Answer::address(ip.parse().unwrap())).collect();
        self.resolve(name, &answers);
    }

    pub(crate) fn fail_lookup(&mut self, name: &str) {
        let lookup = self.lookup(name);
        self.input(Input::LookupFailed { lookup, reason: "no such name".into() });
    }

    fn lookup(&self, name: &str) -> Lookup {
        self.lookups.iter().find(|lookup| lookup.name == name).expect("it is asked").clone()
    }

    /// What was told since the last look, lines about checks left out.
    pub(crate) fn told(&mut self) -> Vec<String> {
        let told = std::mem::take(&mut self.told);
        told.into_iter().filter(|line| !line.contains("_CHECK of service")).collect()
    }

    /// The same with checks.
    pub(crate) fn told_all(&mut self) -> Vec<String> {
        std::mem::take(&mut self.told)
    }

    /// The table in short: `TCP 198.51.100.1:80 rr` and `-> 203.0.113.11:80 1`.
    pub(crate) fn table(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (key, entry) in self.kernel.services() {
            lines.push(format!("{key} {}", entry.service.scheduler));
            for (address, destination) in entry.destinations() {
                let method = match destination.forwarding {
                    Forwarding::Nat => "",
                    Forwarding::Dr => " DR",
                    _ => " TUN",
                };
                lines.push(format!("-> {address} {}{method}", destination.weight));
            }
        }
        lines
    }

    /// Servers of the only service: `203.0.113.11:80 1`.
    pub(crate) fn servers(&self) -> Vec<String> {
        let table = self.table();
        table.iter().filter_map(|line| line.strip_prefix("-> ").map(str::to_owned)).collect()
    }
}

pub(crate) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// The key of `198.51.100.1:80` (TCP).
pub(crate) fn vs_key(text: &str) -> VsKey {
    VsKey::Address { protocol: standfast_balancer::core::Transport::Tcp, address: address(text) }
}

/// A `real_server` on 203.0.113.`n`, with a check and scripts `up n` and `down n`.
pub(crate) fn rs(n: u8, body: &str) -> String {
    rs_with(n, body, "TCP_CHECK {\n }")
}

pub(crate) fn rs_with(n: u8, body: &str, checks: &str) -> String {
    format!(
        " real_server 203.0.113.{n} 80 {{\n notify_up \"up {n}\"\n notify_down \"down {n}\"\n \
         smtp_alert off\n {body}\n {checks}\n }}\n"
    )
}

/// A `virtual_server` on 198.51.100.1 with scripts `quorum_up` and `quorum_down`.
pub(crate) fn vs(body: &str) -> String {
    vs_on("198.51.100.1 80", body)
}

pub(crate) fn vs_on(service: &str, body: &str) -> String {
    format!(
        "virtual_server {service} {{\n lb_algo rr\n lb_kind NAT\n protocol TCP\n \
         quorum_up \"quorum_up\"\n quorum_down \"quorum_down\"\n {body}\n}}\n"
    )
}
