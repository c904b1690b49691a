//! What the supervisor does with its roles: start, listen, start again, stop, clean up behind.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use balancer::Options as BalancerOptions;
use failover::Options as FailoverOptions;
use serde::Serialize;
use status::control::{FromRole, Launch};
use sys::caps::{self, Capability};

use super::kind::{Kind, Sign};
use super::process::{Birth, Process};
use super::respawn::Verdict;
use super::role::Role;
use super::{Supervisor, exit, log_options};
use crate::cli::keepalived::Only;

/// How long a predecessor is waited for, and how often it is looked for.
const PREDECESSOR: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(50);

/// How long a role may take to clean up behind a life that ended badly.
const CLEANING: Duration = Duration::from_secs(10);

impl Supervisor {
    pub(super) fn role(&self, kind: Kind) -> &Role {
        &self.roles[kind as usize]
    }

    pub(super) fn role_mut(&mut self, kind: Kind) -> &mut Role {
        &mut self.roles[kind as usize]
    }

    /// Whether there is anything for this role to do, and the command line allows it.
    pub(super) fn wants(&self, kind: Kind) -> bool {
        match (self.options.only, kind) {
            (Some(Only::All), _) => true,
            (Some(Only::Vrrp), Kind::Balancer) | (Some(Only::Checks), Kind::Failover) => false,
            (_, Kind::Failover) => self.settings.failover,
            (_, Kind::Balancer) => self.settings.balancer,
        }
    }

    /// Starts the roles whose time has come. Returns whether there was one.
    pub(super) fn start_due(&mut self) -> bool {
        let now = self.events.now();
        let due = |role: &Role| role.start_at.is_some_and(|at| at <= now);
        let kinds: Vec<Kind> = self.roles.iter().filter(|r| due(r)).map(|r| r.kind).collect();
        for kind in &kinds {
            if !self.postponed(*kind, now) {
                self.role_mut(*kind).start_at = None;
                self.start_role(*kind, false);
            }
        }
        !kinds.is_empty()
    }

    /// Puts the balancer's first start off while the one of a killed supervisor is still taking its
    /// services away: they might be the same. Failover roles settle that between themselves.
    fn postponed(&mut self, kind: Kind, now: u64) -> bool {
        if kind != Kind::Balancer
            || self.role(kind).respawn.total() > 0
            || sys::pidfile::running(&self.paths.of(kind).pid).is_none()
        {
            return false;
        }
        let role = self.role_mut(kind);
        let until = *role.waits_until.get_or_insert(now + PREDECESSOR.as_nanos() as u64);
        if now >= until {
            return false;
        }
        role.start_at = Some(now + LOOK.as_nanos() as u64);
        true
    }

    fn start_role(&mut self, kind: Kind, release: bool) {
        let now = Duration::from_nanos(self.events.now());
        self.role_mut(kind).respawn.begins(now);
        let born = self.launch(kind, release).and_then(|launch| {
            let settings = &self.settings;
            let birth = Birth {
                kind,
                launch: &launch,
                configuration: &self.role(kind).configuration,
                store: &self.role(kind).store,
                name: settings.name_of(kind),
                foreground: self.options.foreground,
            };
            Process::start(&birth, &self.events)
        });
        match born {
            Ok(process) => {
                let (pid_file, now) = (self.paths.of(kind).pid.clone(), self.events.now());
                self.role_mut(kind).born(process, &pid_file, now);
            }
            Err(error) => {
                log::error!("the {} role cannot be started: {error}", kind.word());
                if !release {
                    self.after_death(kind);
                }
            }
        }
    }

    /// The launch message.
    fn launch(&self, kind: Kind, release: bool) -> io::Result<Vec<u8>> {
        fn message<O: Serialize>(
            supervisor: &Supervisor,
            role: &Role,
            release: bool,
            options: O,
        ) -> io::Result<Vec<u8>> {
            let launch = Launch {
                generation: supervisor.generation,
                restarts: role.respawn.total(),
                release,
                config_file: supervisor.options.config.clone(),
                options,
            };
            serde_json::to_vec(&launch).map_err(io::Error::other)
        }
        let role = self.role(kind);
        match kind {
            Kind::Failover => message(self, role, release, self.failover_options()),
            Kind::Balancer => message(self, role, release, self.balancer_options()),
        }
    }

    fn failover_options(&self) -> FailoverOptions {
        FailoverOptions {
            dump_dir: dump_dir(),
            socket: Some(self.paths.failover.socket.clone()),
            keep_addresses: self.options.keep_addresses,
            detail: self.options.detail,
            address_monitoring: self.options.address_monitoring,
            log: log_options(&self.options),
            instance_name: self.settings.instance.clone(),
            dump_config: self.options.dump_config,
        }
    }

    fn balancer_options(&self) -> BalancerOptions {
        BalancerOptions {
            dump_dir: dump_dir(),
            socket: Some(self.paths.balancer.socket.clone()),
            keep_services: self.options.keep_services,
            detail: self.options.detail,
            log: log_options(&self.options),
            instance_name: self.settings.instance.clone(),
            dump_config: self.options.dump_config,
        }
    }

    /// What a role has said.
    pub(super) fn hear(&mut self, kind: Kind, sign: Sign) {
        match sign {
            Sign::Message => self.hear_role(kind),
            Sign::End => self.role_ended(kind),
        }
    }

    fn hear_role(&mut self, kind: Kind) {
        let role = &mut self.roles[kind as usize];
        let messages = match &mut role.process {
            Some(process) => process.messages(&self.events),
            None => return,
        };
        if role.cleaning {
            return;
        }
        for message in messages {
            match message {
                FromRole::Ready => self.role_mut(kind).ready = true,
                FromRole::Reloaded { .. } => self.taken_over(kind),
                FromRole::ReloadFailed { reason, .. } => {
                    log::error!("the {} role could not take it over: {reason}", kind.word());
                    self.taken_over(kind);
                }
                FromRole::Status { text } => {
                    self.role_mut(kind).status = text;
                    let all = self.roles.iter().map(|role| role.status.as_str());
                    let told: Vec<&str> = all.filter(|text| !text.is_empty()).collect();
                    crate::systemd::status(&told.join("; "));
                }
                FromRole::Fatal { reason } => self.cannot_work(kind, &reason),
            }
        }
    }

    /// A role says that it cannot work here; it ends.
    fn cannot_work(&mut self, kind: Kind, reason: &str) {
        log::error!("the {} role cannot work here: {reason}", kind.word());
        self.role_mut(kind).hopeless = true;
        if !kind.is_essential() {
            return;
        }
        let needed = [Capability::NetAdmin, Capability::NetRaw];
        let permitted = needed.into_iter().all(caps::has);
        self.exit = if permitted { exit::FATAL } else { exit::PERMISSION };
        self.stop_roles();
    }

    fn role_ended(&mut self, kind: Kind) {
        self.ended(kind);
        if self.stopping {
            self.stop_in_turn();
        }
    }

    /// Decides what follows the end of a role's process.
    fn ended(&mut self, kind: Kind) {
        // Its last words first.
        self.hear_role(kind);
        let role = &mut self.roles[kind as usize];
        let Some(mut process) = role.process.take() else { return };
        let ended = process.ended(&self.events);
        role.kill_at = None;
        if std::mem::take(&mut role.cleaning) {
            self.stopped(kind);
            return;
        }
        if self.stopping || role.retiring {
            match ended {
                Some(status) if status.success() => self.stopped(kind),
                // It said that it cannot work here, and no life before it could.
                _ if role.hopeless && !role.ready => self.stopped(kind),
                _ => {
                    // It was killed on the way out.
                    log::error!("the {} role did not end well; cleaning up behind it", kind.word());
                    self.clean_up(kind);
                }
            }
            return;
        }
        role.died = true;
        match ended {
            Some(status) => log::error!("the {} role died: {status}", kind.word()),
            None => log::error!("the {} role is gone", kind.word()),
        }
        if self.options.no_respawn {
            log::error!("it is not started again (--dont-respawn)");
            if kind.is_essential() || !self.roles.iter().any(Role::runs) {
                self.exit = exit::FATAL;
                self.stop_roles();
                return;
            }
        } else {
            self.after_death(kind);
        }
        // The next life begins with the new configuration.
        self.taken_over(kind);
    }

    /// Decides when a role that died is started again.
    fn after_death(&mut self, kind: Kind) {
        let now = self.events.now();
        let role = &mut self.roles[kind as usize];
        let at = Duration::from_nanos(now);
        let verdict =
            if role.hopeless { role.respawn.died_hopelessly(at) } else { role.respawn.died(at) };
        match verdict {
            Verdict::Again(pause) => {
                role.start_at = Some(now + pause.as_nanos() as u64);
                if pause >= Duration::from_secs(1) {
                    log::warn!(
                        "the {} role is started again in {} s, or at a reload",
                        kind.word(),
                        pause.as_secs()
                    );
                }
            }
            Verdict::GiveUp => {
                log::error!(
                    "the failover role dies again and again; its addresses are released so that \
                     another node takes over"
                );
                self.exit = exit::FATAL;
                self.stop_roles();
            }
        }
    }

    /// The daemon ends: tells its roles to stop, and cleans up behind one that is between two lives.
    pub(super) fn stop_roles(&mut self) {
        if std::mem::replace(&mut self.stopping, true) {
            return;
        }
        for role in &mut self.roles {
            role.start_at = None;
        }
        for kind in Kind::ALL {
            if !self.role(kind).runs() && self.role(kind).died {
                self.clean_up(kind);
            }
        }
        self.stop_in_turn();
    }

    /// While the daemon ends: the virtual IPs first, and once they are gone the services behind
    /// them. The other way round clients would find an address that refuses them until another
    /// node has taken over.
    fn stop_in_turn(&mut self) {
        let patience = self.settings.child_wait;
        let turn = Kind::ALL.into_iter().find(|&kind| self.role(kind).runs());
        if let Some(kind) = turn
            && self.role(kind).kill_at.is_none()
        {
            self.roles[kind as usize].stop(patience, &self.events);
        }
    }

    /// Tells a role that has nothing to do any more to stop.
    pub(super) fn retire(&mut self, kind: Kind) {
        log::info!("nothing is left for the {} role; it stops", kind.word());
        let patience = self.settings.child_wait;
        let role = &mut self.roles[kind as usize];
        role.retiring = true;
        role.stop(patience, &self.events);
    }

    /// Starts a role once more, only to take its things out of the kernel.
    pub(super) fn clean_up(&mut self, kind: Kind) {
        self.start_role(kind, true);
        let until = self.events.now() + CLEANING.as_nanos() as u64;
        let role = self.role_mut(kind);
        role.died = false;
        if role.runs() {
            role.cleaning = true;
            role.kill_at = Some(until);
        } else {
            self.stopped(kind);
        }
    }

    /// A role has stopped as it was told, and nothing of it is left.
    fn stopped(&mut self, kind: Kind) {
        if self.stopping {
            return;
        }
        let role = self.role_mut(kind);
        role.rest();
        role.taking_over = false;
        let _ = std::fs::remove_file(&self.paths.of(kind).socket);
        if self.wants(kind) {
            // A reload has found something for it to do meanwhile.
            self.role_mut(kind).start_at = Some(0);
        }
        self.reload_done_if_answered();
    }
}

/// Directory of the files that signals ask for.
fn dump_dir() -> PathBuf {
    let directory = std::env::var_os("TMPDIR").map(PathBuf::from);
    directory
        .filter(|dir| dir.is_absolute() && dir.is_dir())
        .unwrap_or_else(|| PathBuf::from("/tmp"))
}
