//! Reload: the new text is read and checked here; only a good one reaches the role.

use std::path::PathBuf;
use std::time::SystemTime;

use status::control::ToRole;

use super::Supervisor;
use super::settings::Settings;
use crate::reading;

impl Supervisor {
    /// SIGHUP.
    pub(super) fn reload(&mut self) {
        if self.stopping {
            return;
        }
        if self.reloading {
            self.reload_again = true;
            return;
        }
        log::info!("Reloading ...");
        crate::systemd::reloading();
        self.touch_reload_file(true);
        let reason = match reading::read(&self.options.config, &self.options) {
            Err(error) => Some(error),
            Ok(read) => {
                reading::log_findings(&read);
                if let Some(fatal) = read.fatal() {
                    Some(reading::line(fatal, &read.sources))
                } else if read.is_empty && self.settings.failover {
                    Some("it is empty".to_owned())
                } else {
                    self.unchangeable(&read.model).or_else(|| self.accept(read))
                }
            }
        };
        match reason {
            None => {}
            Some(reason) => {
                let path = self.options.config.display().to_string();
                log::error!("{path}: {reason}; the running configuration stays");
                self.tell(&ToRole::ReloadRefused { reason: format!("{path}: {reason}") });
                self.reload_done();
            }
        }
    }

    /// Says which settings cannot be changed while running; they keep their old value.
    fn unchangeable(&self, model: &config::model::Model) -> Option<String> {
        let new = Settings::of(model);
        for (what, changed) in [
            ("net_namespace", new.namespace != self.settings.namespace),
            ("instance", new.instance != self.settings.instance),
        ] {
            if changed {
                return Some(format!("{what} cannot be changed without a restart"));
            }
        }
        None
    }

    /// Passes a good configuration on. Returns why that failed.
    fn accept(&mut self, read: reading::Read) -> Option<String> {
        let settings = Settings::of(&read.model);
        for notice in &settings.notices {
            log::error!("{notice}");
        }
        for text in reading::not_acted_on(&read) {
            log::warn!("{text}");
        }
        let bundle = read.bundle;
        self.save(&bundle, settings.save_dir.as_ref());
        self.settings = settings;
        self.bundle = bundle;
        self.generation += 1;
        let Some(role) = &self.role else {
            // Between two lives: the next one starts with the new text.
            if self.start_at.is_none() && self.settings.failover {
                self.start_at = Some(0);
            }
            self.reload_done();
            return None;
        };
        let text = match serde_json::to_vec(&self.bundle) {
            Ok(text) => text,
            Err(error) => return Some(error.to_string()),
        };
        let sent = sys::memfd::sealed("standfast-config", &text).and_then(|file| {
            role.tell(&ToRole::Reload { generation: self.generation }, Some(&file))
        });
        match sent {
            Ok(()) => {
                self.reloading = true;
                None
            }
            Err(error) => Some(format!("the role could not be told: {error}")),
        }
    }

    /// The role has taken the new configuration over, or there is nothing to wait for.
    pub(super) fn reload_done(&mut self) {
        self.reloading = false;
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

    /// `config_save_dir`: each accepted configuration, stamped.
    fn save(&self, bundle: &config::Bundle, directory: Option<&PathBuf>) {
        let Some(directory) = directory else { return };
        let stamp = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let path = directory.join(format!("keepalived.conf.{stamp}.{}", self.generation));
        let text = match std::fs::read(&bundle.path) {
            Ok(text) => text,
            Err(error) => return log::warn!("{}: {error}", bundle.path.display()),
        };
        let saved = sys::fsafe::replace(&path, &text, 0o600);
        if let Err(error) = saved {
            log::warn!("config_save_dir: {}: {error}", path.display());
        }
    }
}
