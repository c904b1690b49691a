//! What the supervisor itself needs from a configuration. The model is dropped once this is taken
//! from it: the supervisor stays small.

use std::path::{Path, PathBuf};
use std::time::Duration;

use config::model::Command;
use config::model::Model;
use notify::security::{self, RealSystem};
use notify::settings::ScriptCommand;

use crate::machine::{script_policy, user_name};

/// The supervisor's share of a configuration.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    /// There is something for the failover role to do.
    pub(crate) failover: bool,
    /// `net_namespace`.
    pub(crate) namespace: Option<String>,
    /// `instance`.
    pub(crate) instance: Option<String>,
    /// `use_pid_dir`, or something that implies it.
    pub(crate) pid_dir: bool,
    /// `child_wait_time`.
    pub(crate) child_wait: Duration,
    /// `umask`.
    pub(crate) umask: u32,
    /// `startup_script` and its time-out.
    pub(crate) startup: Option<(ScriptCommand, Duration)>,
    /// `shutdown_script` and its time-out.
    pub(crate) shutdown: Option<(ScriptCommand, Duration)>,
    /// `process_name`.
    pub(crate) name: Option<String>,
    /// `vrrp_process_name`, or the default under `process_names`.
    pub(crate) failover_name: Option<String>,
    /// `reload_file`.
    pub(crate) reload_file: Option<PathBuf>,
    /// `reload_check_config`: where a reload's findings are written too.
    pub(crate) check_log: Option<PathBuf>,
    /// `config_save_dir`.
    pub(crate) save_dir: Option<PathBuf>,
    /// What was said about scripts that cannot be run.
    pub(crate) notices: Vec<String>,
}

impl Settings {
    /// Takes them from a model.
    pub(crate) fn of(model: &Model) -> Self {
        let global = &model.global;
        let mut notices = Vec::new();
        let policy = script_policy(global);
        let mut script = |what: &str, wanted: &Option<(Command, Duration)>| {
            let (command, timeout) = wanted.as_ref()?;
            let user = command.user.as_ref().map(user_name);
            let resolved = security::resolve(&command.words, user.as_ref(), &policy, &RealSystem);
            if let Some(finding) = resolved.refusal() {
                notices.push(format!("{what}: {finding}. Remedy: {}", finding.remedy()));
            }
            resolved.command.map(|command| (command, *timeout))
        };
        let startup = script("startup_script", &global.startup_script);
        let shutdown = script("shutdown_script", &global.shutdown_script);
        let names = &global.process_names;
        Self {
            failover: !model.vrrp.is_empty()
                || !model.static_addresses.is_empty()
                || !model.static_routes.is_empty()
                || !model.static_rules.is_empty(),
            namespace: global.net_namespace.as_ref().map(|n| n.text.clone()),
            instance: global.instance.as_ref().map(|n| n.text.clone()),
            pid_dir: global.use_pid_dir
                || global.instance.is_some()
                || global.net_namespace.is_some(),
            child_wait: global.child_wait_time.value,
            umask: global.umask.value,
            startup,
            shutdown,
            name: names.parent.clone(),
            failover_name: names
                .vrrp
                .clone()
                .or_else(|| names.distinct.then(|| "keepalived_vrrp".to_owned())),
            reload_file: global.reload.file.clone(),
            check_log: global.reload.check_config.clone().filter(|p| p != Path::new("/dev/null")),
            save_dir: global.config_save_dir.clone(),
            notices,
        }
    }
}

/// Where the pid files and the role's socket are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Paths {
    /// The supervisor's pid file.
    pub(crate) pid: PathBuf,
    /// The failover role's pid file.
    pub(crate) vrrp_pid: PathBuf,
    /// The failover role's socket.
    pub(crate) socket: PathBuf,
}

impl Paths {
    /// Keepalived's places, unless the command line says otherwise. The socket is in
    /// /run/standfast, beside a pid file that was placed elsewhere, so that several daemons on one
    /// machine do not meet.
    pub(crate) fn new(
        settings: &Settings,
        pid: Option<&Path>,
        vrrp_pid: Option<&Path>,
        namespace: Option<&str>,
    ) -> Self {
        let suffix = settings.instance.as_ref().map(|name| format!("_{name}")).unwrap_or_default();
        let in_dir = settings.pid_dir || namespace.is_some();
        let default = |name: &str| {
            if in_dir {
                PathBuf::from(format!("/run/keepalived/{name}{suffix}.pid"))
            } else {
                PathBuf::from(format!("/run/{name}.pid"))
            }
        };
        let spaced = namespace.map(|n| format!("_{n}")).unwrap_or_default();
        let socket = match vrrp_pid.or(pid) {
            Some(path) => path.with_extension("sock"),
            None => PathBuf::from(format!("/run/standfast/failover{suffix}{spaced}.sock")),
        };
        Self {
            pid: pid.map_or_else(|| default("keepalived"), Path::to_owned),
            vrrp_pid: vrrp_pid.map_or_else(|| default("vrrp"), Path::to_owned),
            socket,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pid_files_are_where_keepalived_puts_them() {
        let mut settings = Settings::default();
        let paths = |s: &Settings| Paths::new(s, None, None, None);
        assert_eq!(paths(&settings).pid, Path::new("/run/keepalived.pid"));
        assert_eq!(paths(&settings).vrrp_pid, Path::new("/run/vrrp.pid"));
        assert_eq!(paths(&settings).socket, Path::new("/run/standfast/failover.sock"));
        settings.pid_dir = true;
        settings.instance = Some("blue".into());
        assert_eq!(paths(&settings).pid, Path::new("/run/keepalived/keepalived_blue.pid"));
        assert_eq!(paths(&settings).socket, Path::new("/run/standfast/failover_blue.sock"));
    }

    #[test]
    fn a_pid_file_elsewhere_takes_the_socket_along() {
        let paths = Paths::new(
            &Settings::default(),
            Some(Path::new("/tmp/a/k.pid")),
            Some(Path::new("/tmp/a/v.pid")),
            None,
        );
        assert_eq!(paths.socket, Path::new("/tmp/a/v.sock"));
        let paths = Paths::new(&Settings::default(), Some(Path::new("/tmp/a/k.pid")), None, None);
        assert_eq!(paths.socket, Path::new("/tmp/a/k.sock"));
        assert_eq!(paths.vrrp_pid, Path::new("/run/vrrp.pid"));
    }
}
