//! Reload: the new text is read and checked here; only a good model reaches the roles.
//!
//! A file that cannot be read, is empty, cannot be run, or brings an error that the running one
//! does not have, is refused: a slip in an editor must not take an address away. An error that was
//! let pass at the start may stay, and so may words that are unknown.

use std::collections::HashSet;
use std::io::{self, Write as _};
use std::time::{Duration, SystemTime};

use config::checks::{Environment as _, Interface};
use config::diagnostic::Diagnostic;
use config::model::Model;
use status::control::ToRole;

use super::Supervisor;
use super::kind::Kind;
use super::role::{self, Role};
use super::settings::Settings;
use crate::machine::ThisMachine;
use crate::reading::{self, Read};

/// How long a role may need to take a configuration over before another reload is tried.
const TAKEOVER: Duration = Duration::from_secs(30);

/// What is wrong with a configuration on this machine, without the places.
pub(super) fn errors(read: &Read, missing_interfaces: Vec<String>) -> HashSet<String> {
    read.errors().map(|finding| finding.message.clone()).chain(missing_interfaces).collect()
}

/// An interface may appear later; one that is missing in a new text is more likely misspelt.
pub(super) fn missing_interfaces(model: &Model) -> Vec<String> {
    if model.global.dynamic_interfaces.is_some() {
        return Vec::new();
    }
    let machine = ThisMachine::default();
    let mut missing: Vec<_> = model
        .vrrp
        .iter()
        .filter_map(|instance| instance.interface.as_ref())
        .filter(|name| matches!(machine.interface(&name.text), Interface::Missing))
        .map(|name| format!("there is no interface {}", name.text))
        .collect();
    missing.sort_unstable();
    missing.dedup();
    missing
}

impl Supervisor {
    /// SIGHUP.
    pub(super) fn reload(&mut self) {
        if self.stopping {
            return;
        }
        if self.reloading.is_some() {
            self.reload_again = true;
            return;
        }
        log::info!("Reloading ...");
        crate::systemd::reloading();
        self.touch_reload_file(true);
        let refused = match reading::read(&self.options.config, &self.options) {
            Err(error) => Some(error),
            Ok(read) => {
                reading::log_findings(&read);
                self.write_findings(&read);
                let settings = Settings::of(&read.model);
                let missing = missing_interfaces(&read.model);
                self.objection(&read, &settings, &missing)
                    .or_else(|| self.accept(&read, settings, missing))
            }
        };
        sys::memory::give_back();
        if let Some(reason) = refused {
            if self.roles.iter().any(Role::runs) {
                // The roles log it and keep it for `standfast status`.
                for role in &self.roles {
                    role.tell(&ToRole::ReloadRefused { reason: reason.clone() });
                }
            } else {
                log::error!("Reload refused, the running configuration stays: {reason}");
            }
            self.reload_done();
        }
    }

    /// `reload_check_config LOGFILE`. We check before every reload; the file is what it adds.
    fn write_findings(&self, read: &Read) {
        let Some(path) = &self.settings.check_log else { return };
        let mut text = String::new();
        for finding in &read.findings {
            text.push_str(&reading::line(finding, &read.sources));
            text.push('\n');
        }
        let file = sys::fsafe::append(path, 0o600);
        if let Err(error) = file.and_then(|mut file| file.write_all(text.as_bytes())) {
            log::warn!("reload_check_config: {}: {error}", path.display());
        }
    }

    /// Why a configuration does not replace the running one, if it does not.
    fn objection(&self, read: &Read, new: &Settings, missing: &[String]) -> Option<String> {
        let path = self.options.config.display();
        if read.is_empty && self.settings.failover {
            return Some(format!("{path} is empty"));
        }
        let new_error = |error: &&Diagnostic| !self.known_errors.contains(&error.message);
        let missing = || missing.iter().find(|error| !self.known_errors.contains(*error));
        read.refusal()
            .or_else(|| Some(reading::line(read.errors().find(new_error)?, &read.sources)))
            .or_else(|| missing().map(|error| format!("{path}: {error}")))
            .or_else(|| self.unchangeable(new).map(|what| format!("{path}: {what}")))
    }

    /// Says which setting was changed that cannot be changed while running.
    fn unchangeable(&self, new: &Settings) -> Option<String> {
        for (what, changed) in [
            ("net_namespace", new.namespace != self.settings.namespace),
            ("net_namespace_ipvs", new.ipvs_namespace != self.settings.ipvs_namespace),
            ("instance", new.instance != self.settings.instance),
        ] {
            if changed {
                return Some(format!("{what} cannot be changed without a restart"));
            }
        }
        None
    }

    /// Passes a good configuration on. Returns why that failed.
    fn accept(&mut self, read: &Read, settings: Settings, missing: Vec<String>) -> Option<String> {
        let shares: io::Result<Vec<_>> =
            Kind::ALL.into_iter().map(|kind| role::share(&read.model, kind)).collect();
        let shares = match shares {
            Ok(shares) => shares,
            Err(error) => return Some(error.to_string()),
        };
        for notice in &settings.notices {
            log::error!("{notice}");
        }
        for text in reading::not_acted_on(read) {
            log::warn!("{text}");
        }
        self.known_errors = errors(read, missing);
        self.settings = settings;
        self.generation += 1;
        for (role, share) in self.roles.iter_mut().zip(shares) {
            role.configuration = share;
        }
        for kind in Kind::ALL {
            self.pass_on(kind);
        }
        self.save();
        self.reloading = Some(self.events.now() + TAKEOVER.as_nanos() as u64);
        self.reload_done_if_answered();
        None
    }

    /// Brings one role to the new configuration.
    fn pass_on(&mut self, kind: Kind) {
        let wanted = self.wants(kind);
        let order = ToRole::Reload { generation: self.generation };
        let role = self.role_mut(kind);
        if role.retiring {
            // It stops. If there is work for it again, its next life begins with the new configuration.
            return;
        }
        if let Some(process) = &role.process {
            // Also one that has nothing to do any more: what goes is told and removed as by any
            // reload, and then it stops.
            match process.tell(&order, Some(&role.configuration)) {
                Ok(()) => role.taking_over = true,
                Err(error) => log::error!("the {} role cannot be told: {error}", kind.word()),
            }
        } else if wanted {
            role.respawn.forgive();
            // Between two lives, the next one starts with the new configuration.
            if role.start_at.is_none() || !kind.is_essential() {
                role.start_at = Some(0);
            }
        } else {
            role.start_at = None;
            if role.died {
                role.retiring = true;
                self.clean_up(kind);
            }
        }
    }

    /// A role has taken the new configuration over, or will when it starts.
    pub(super) fn taken_over(&mut self, kind: Kind) {
        let role = self.role_mut(kind);
        if !std::mem::take(&mut role.taking_over) {
            return;
        }
        if role.runs() && !self.wants(kind) {
            self.retire(kind);
        }
        self.reload_done_if_answered();
    }

    pub(super) fn reload_done_if_answered(&mut self) {
        if self.reloading.is_some() && !self.roles.iter().any(|role| role.taking_over) {
            self.reload_done();
        }
    }

    /// Another reload may be tried now.
    pub(super) fn reload_took_too_long(&mut self) {
        for kind in Kind::ALL {
            if self.role(kind).taking_over {
                log::error!("the {} role has not taken the new configuration over", kind.word());
                self.taken_over(kind);
            }
        }
        // Which it is already when a role had to be waited for.
        if self.reloading.is_some() {
            self.reload_done();
        }
    }

    /// There is nothing (more) to wait for.
    fn reload_done(&mut self) {
        self.reloading = None;
        self.touch_reload_file(false);
        crate::systemd::ready();
        if std::mem::take(&mut self.reload_again) {
            self.reload();
        }
    }

    /// `reload_file` exists while a reload is under way.
    fn touch_reload_file(&self, begins: bool) {
        let Some(path) = &self.settings.reload_file else { return };
        let done =
            if begins { sys::fsafe::replace(path, b"", 0o600) } else { std::fs::remove_file(path) };
        if let Err(error) = done {
            log::debug!("{}: {error}", path.display());
        }
    }

    /// `config_save_dir`: each configuration that is taken over, stamped.
    pub(super) fn save(&self) {
        let Some(directory) = &self.settings.save_dir else { return };
        let stamp = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let path = directory.join(format!("keepalived.conf.{stamp}.{}", self.generation));
        let text = match std::fs::read(&self.options.config) {
            Ok(text) => text,
            Err(error) => return log::warn!("{}: {error}", self.options.config.display()),
        };
        if let Err(error) = sys::fsafe::replace(&path, &text, 0o600) {
            log::warn!("config_save_dir: {}: {error}", path.display());
        }
    }
}
