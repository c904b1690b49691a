//! What the supervisor itself needs from a configuration. The model is dropped once this is taken
//! from it: the supervisor stays small.

use std::path::{Path, PathBuf};
use std::time::Duration;

use config::model::Command;
use config::model::Model;
use notify::security::{self, RealSystem};
use notify::settings::ScriptCommand;

use super::kind::Kind;
use crate::machine::{script_policy, user_name};

/// The supervisor's share of a configuration.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    /// There is something for the failover role to do.
    pub(crate) failover: bool,
    /// There is something for the balancer role to do.
    pub(crate) balancer: bool,
    /// `net_namespace`.
    pub(crate) namespace: Option<String>,
    /// `net_namespace_ipvs`: the balancer role has its IPVS there.
    pub(crate) ipvs_namespace: Option<String>,
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
    failover_name: Option<String>,
    /// `checker_process_name`, or the default under `process_names`.
    balancer_name: Option<String>,
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
        let own_name = |written: &Option<String>, default: &str| {
            written.clone().or_else(|| names.distinct.then(|| default.to_owned()))
        };
        Self {
            failover: !model.vrrp.is_empty()
                || !model.static_addresses.is_empty()
                || !model.static_routes.is_empty()
                || !model.static_rules.is_empty(),
            balancer: !model.virtual_servers.is_empty()
                // One that follows an instance is the failover role's.
                || global.vrrp.lvs_sync_daemon.as_ref().is_some_and(|sync| sync.instance.is_none()),
            namespace: global.net_namespace.as_ref().map(|n| n.text.clone()),
            ipvs_namespace: global.net_namespace_ipvs.as_ref().map(|n| n.text.clone()),
            instance: global.instance.as_ref().map(|n| n.text.clone()),
            pid_dir: global.use_pid_dir
                || global.instance.is_some()
                || global.net_namespace.is_some(),
            child_wait: global.child_wait_time.value,
            umask: global.umask.value,
            startup,
            shutdown,
            name: names.parent.clone(),
            failover_name: own_name(&names.vrrp, "keepalived_vrrp"),
            balancer_name: own_name(&names.checker, "keepalived_lvs"),
            reload_file: global.reload.file.clone(),
            check_log: global.reload.check_config.clone().filter(|p| p != Path::new("/dev/null")),
            save_dir: global.config_save_dir.clone(),
            notices,
        }
    }
}

impl Settings {
    /// What `ps` calls a role; `None`: like the supervisor.
    pub(crate) fn name_of(&self, kind: Kind) -> Option<&str> {
        match kind {
            Kind::Failover => self.failover_name.as_deref(),
            Kind::Balancer => self.balancer_name.as_deref(),
        }
    }
}

/// The files of a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RolePaths {
    /// Its pid file.
    pub(crate) pid: PathBuf,
    /// The socket that it answers on.
    pub(crate) socket: PathBuf,
}

/// Where the pid files and the roles' sockets are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Paths {
    /// The supervisor's pid file.
    pub(crate) pid: PathBuf,
    /// The failover role's.
    pub(crate) failover: RolePaths,
    /// The balancer role's.
    pub(crate) balancer: RolePaths,
}

/// The pid files of the command line.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PidFiles<'a> {
    /// `-p`: the supervisor's.
    pub(crate) supervisor: Option<&'a Path>,
    /// `-r`: the failover role's.
    pub(crate) failover: Option<&'a Path>,
    /// `-c`: the balancer role's.
    pub(crate) balancer: Option<&'a Path>,
}

impl Paths {
    /// Keepalived's places, unless the command line says otherwise. The sockets are in
    /// /run/standfast, or beside a pid file that was placed elsewhere, so that several daemons on
    /// one machine do not meet.
    pub(crate) fn new(settings: &Settings, given: PidFiles<'_>, namespace: Option<&str>) -> Self {
        let suffix = settings.instance.as_ref().map(|name| format!("_{name}")).unwrap_or_default();
        let in_dir = settings.pid_dir || namespace.is_some();
        let pid = |given: Option<&Path>, name: &str| match given {
            Some(path) => path.to_owned(),
            None if in_dir => PathBuf::from(format!("/run/keepalived/{name}{suffix}.pid")),
            None => PathBuf::from(format!("/run/{name}.pid")),
        };
        let spaced = namespace.map(|n| format!("_{n}")).unwrap_or_default();
        let default = |name: &str| format!("/run/standfast/{name}{suffix}{spaced}.sock").into();
        let failover = match given.failover.or(given.supervisor) {
            Some(path) => path.with_extension("sock"),
            None => default("failover"),
        };
        let balancer = match (given.balancer, given.supervisor) {
            (Some(path), _) => path.with_extension("sock"),
            (None, Some(path)) => path.with_extension(BALANCER_EXTENSION),
            (None, None) => default("balancer"),
        };
        // `-p /run/k.pid -c /run/k.checkers` would put both in one place.
        let balancer = if balancer == failover {
            balancer.with_extension(BALANCER_EXTENSION)
        } else {
            balancer
        };
        Self {
            pid: pid(given.supervisor, "keepalived"),
            failover: RolePaths { pid: pid(given.failover, "vrrp"), socket: failover },
            balancer: RolePaths { pid: pid(given.balancer, "checkers"), socket: balancer },
        }
    }

    /// A role's.
    pub(crate) fn of(&self, kind: Kind) -> &RolePaths {
        match kind {
            Kind::Failover => &self.failover,
            Kind::Balancer => &self.balancer,
        }
    }
}

/// Extension of the balancer's socket where the plain one is the failover role's.
const BALANCER_EXTENSION: &str = "balancer.sock";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pid_files_are_where_keepalived_puts_them() {
        let mut settings = Settings::default();
        let paths = |s: &Settings| Paths::new(s, PidFiles::default(), None);
        assert_eq!(paths(&settings).pid, Path::new("/run/keepalived.pid"));
        assert_eq!(paths(&settings).failover.pid, Path::new("/run/vrrp.pid"));
        assert_eq!(paths(&settings).failover.socket, Path::new("/run/standfast/failover.sock"));
        assert_eq!(paths(&settings).balancer.pid, Path::new("/run/checkers.pid"));
        assert_eq!(paths(&settings).balancer.socket, Path::new("/run/standfast/balancer.sock"));
        settings.pid_dir = true;
        settings.instance = Some("blue".into());
        assert_eq!(paths(&settings).pid, Path::new("/run/keepalived/keepalived_blue.pid"));
        let role = paths(&settings).of(Kind::Balancer).clone();
        assert_eq!(role.pid, Path::new("/run/keepalived/checkers_blue.pid"));
        assert_eq!(role.socket, Path::new("/run/standfast/balancer_blue.sock"));
        assert_eq!(
            paths(&settings).failover.socket,
            Path::new("/run/standfast/failover_blue.sock")
        );
    }

    #[test]
    fn a_pid_file_elsewhere_takes_the_socket_along() {
        let sockets = |supervisor, failover, balancer| {
            let path = |given: Option<&'static str>| given.map(Path::new);
            let given = PidFiles {
                supervisor: path(supervisor),
                failover: path(failover),
                balancer: path(balancer),
            };
            let paths = Paths::new(&Settings::default(), given, None);
            [paths.failover.socket, paths.balancer.socket]
                .map(|path| path.to_string_lossy().into_owned())
        };
        let (k, v, c) = (Some("/tmp/a/k.pid"), Some("/tmp/a/v.pid"), Some("/tmp/a/c.pid"));
        assert_eq!(sockets(k, v, c), ["/tmp/a/v.sock", "/tmp/a/c.sock"]);
        assert_eq!(sockets(k, None, None), ["/tmp/a/k.sock", "/tmp/a/k.balancer.sock"]);
        assert_eq!(sockets(None, None, c), ["/run/standfast/failover.sock", "/tmp/a/c.sock"]);
        assert_eq!(
            sockets(k, None, Some("/tmp/a/k.checkers")),
            ["/tmp/a/k.sock", "/tmp/a/k.balancer.sock"]
        );
    }
}
