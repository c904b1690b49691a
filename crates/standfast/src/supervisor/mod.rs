//! The supervisor: reads the configuration, starts the roles, restarts one that dies with the
//! state that it had, passes reloads and signals on. It does nothing else, and has no threads once
//! the startup script has ended.
//!
//! ```text
//!   signals ──────────────┐                 ┌──channel──► a role (the same program, started again)
//!   roles' messages ──────┼─► Supervisor ───┤  memfds: launch (options), its share of the model
//!   roles' ends (pidfds) ─┘                 └─ memfd: state store, kept over the role's lives
//! ```
//!
//! | what happens | where |
//! |---|---|
//! | start, loop, signals, end | here |
//! | roles are started, heard, started again, stopped | `roles` |
//! | one of them: its process, store, pid file | `role`, `process` |
//! | how they differ | `kind` |
//! | when one that died is started again | `respawn` |
//! | a new configuration | `reload`, `settings` |

pub(crate) mod kind;
mod process;
pub(crate) use process::ROLE_WORD;
mod reload;
mod respawn;
mod role;
mod roles;
pub(crate) mod settings;
mod startup;

use std::collections::HashSet;
use std::time::Duration;

use status::control::{Dump, LogOptions, ToRole};
use sys::clock::Clock;
use sys::daemon::Starting;
use sys::event_loop::{EventLoop, Interest, Ready, Token};
use sys::pidfile::{PidFile, PidFileError};
use sys::signals::{Signal, Signals};

use crate::cli::keepalived::Options;
use crate::reading::{self, Read};
use kind::Kind;
use role::Role;
use settings::{Paths, PidFiles, Settings};
use startup::Heard;

const SIGNALS: Token = Token(1);

/// How long the service manager's and the user's patience is tried for a balancer that is not
/// ready: virtual IPs do not wait for tables.
const BALANCER_READY: Duration = Duration::from_secs(5);

/// What `ps` calls our processes unless the configuration names them.
const PROCESS_NAME: &str = "keepalived";

/// Exit statuses of the daemon (Keepalived's).
pub(crate) mod exit {
    /// A planned stop.
    pub(crate) const OK: u8 = 0;
    /// Something essential failed.
    pub(crate) const FATAL: u8 = 1;
    /// The configuration cannot be run.
    pub(crate) const CONFIG: u8 = 2;
    /// A permission is missing.
    pub(crate) const PERMISSION: u8 = 4;
    /// The configuration cannot be read.
    pub(crate) const NO_CONFIG: u8 = 6;
}

/// A running daemon.
pub(crate) struct Supervisor {
    options: Options,
    settings: Settings,
    paths: Paths,
    /// What is wrong with it and was let pass at the start: a reload may have the same mistakes.
    known_errors: HashSet<String>,
    generation: u64,
    events: EventLoop,
    signals: Signals,
    /// Indexed by [`Kind`].
    roles: [Role; Kind::ALL.len()],
    /// Removed when the supervisor is dropped, after everything else.
    _pid_file: PidFile,
    /// Roles are being reloaded, until then at most; another SIGHUP waits for them.
    reloading: Option<u64>,
    reload_again: bool,
    stopping: bool,
    exit: u8,
    /// Whether READY was said.
    ready: bool,
    /// When it is said without the balancer.
    ready_at: u64,
    /// The process that the user started and that waits until we are ready.
    starting: Option<Starting>,
}

/// Runs the daemon; returns its exit status.
pub(crate) fn run(mut options: Options) -> u8 {
    sys::limits::remember();
    anchor(&mut options);
    let read = match reading::read(&options.config, &options) {
        Ok(read) => read,
        Err(error) => {
            start_logging(&options, "Keepalived");
            announce(&options);
            log::error!("{error}");
            if !on_console(&options) {
                eprintln!("{error}");
            }
            return farewell(exit::NO_CONFIG);
        }
    };
    let mut starting = None;
    if !options.foreground {
        match sys::daemon::daemonize() {
            Ok(begun) => starting = Some(begun),
            Err(error) => {
                eprintln!("cannot go into the background: {error}");
                return exit::FATAL;
            }
        }
        // Not to hold a file system that somebody wants to unmount.
        let _ = std::env::set_current_dir("/");
    }
    start_logging(&options, "Keepalived");
    announce(&options);
    let code = match Supervisor::new(options, &read) {
        Ok(mut supervisor) => {
            supervisor.starting = starting;
            supervisor.run(read)
        }
        Err(code) => {
            if let Some(starting) = starting {
                let _ = starting.failed(code);
            }
            code
        }
    };
    farewell(code)
}

/// Makes the paths of the command line absolute: the daemon works in `/`.
fn anchor(options: &mut Options) {
    let others = [
        &mut options.log_file,
        &mut options.pid_file,
        &mut options.vrrp_pid_file,
        &mut options.checkers_pid_file,
        &mut options.bfd_pid_file,
    ];
    for path in others.into_iter().flatten().chain([&mut options.config]) {
        if let Ok(absolute) = std::path::absolute(&*path) {
            *path = absolute;
        }
    }
}

fn farewell(code: u8) -> u8 {
    log::info!("Stopped Standfast v{}", env!("CARGO_PKG_VERSION"));
    log::logger().flush();
    code
}

fn announce(options: &Options) {
    log::info!("Starting Standfast v{} (in place of Keepalived)", env!("CARGO_PKG_VERSION"));
    let words: Vec<String> = std::env::args().map(|word| format!("'{word}'")).collect();
    log::info!("Command line: {}", words.join(" "));
    log::info!("Configuration file {}", options.config.display());
    for text in &options.not_honoured {
        log::warn!("{text}");
    }
    for word in &options.unexpected {
        log::warn!("Unexpected argument: {word}");
    }
}

/// Sets the process's logger up as the command line asks.
pub(crate) fn start_logging(options: &Options, name: &str) {
    crate::logs::start(&log_options(options), name, options.detail);
}

/// Whether log lines go to standard error, and then not to syslog.
fn on_console(options: &Options) -> bool {
    options.console && options.foreground
}

fn log_options(options: &Options) -> LogOptions {
    LogOptions {
        console: on_console(options),
        file: options.log_file.clone(),
        flush: options.flush_log,
        syslog: !(options.no_syslog || on_console(options)),
        facility: options.facility,
    }
}

impl Supervisor {
    /// Prepares everything up to the start of the role. What is wrong has been logged when this
    /// returns an exit status.
    fn new(options: Options, read: &Read) -> Result<Self, u8> {
        reading::log_findings(read);
        if let Some(reason) = read.refusal() {
            let told = |finding| reading::line(finding, &read.sources) == reason;
            if !read.findings.iter().any(told) {
                log::error!("{reason}");
            }
            log::error!("the configuration cannot be run; `standfast check` tells more");
            return Err(if read.lacks_a_file() { exit::NO_CONFIG } else { exit::CONFIG });
        }
        let settings = Settings::of(&read.model);
        for notice in &settings.notices {
            log::error!("{notice}");
        }
        for text in reading::not_acted_on(read) {
            log::warn!("{text}");
        }
        let namespace = options.namespace.clone().or_else(|| settings.namespace.clone());
        let given = PidFiles {
            supervisor: options.pid_file.as_deref(),
            failover: options.vrrp_pid_file.as_deref(),
            balancer: options.checkers_pid_file.as_deref(),
        };
        let paths = Paths::new(&settings, given, namespace.as_deref());
        let fatal = |what: &str, error: &dyn std::fmt::Display| {
            log::error!("{what}: {error}");
            exit::FATAL
        };
        sys::fsafe::set_umask(options.umask.unwrap_or(settings.umask));
        if let Some(parent) = paths.pid.parent() {
            let _ = std::fs::create_dir_all(parent);
        }
        let pid_file = match PidFile::create(&paths.pid, std::process::id()) {
            Ok(file) => file,
            Err(error @ PidFileError::Running(_)) => {
                log::info!("daemon is already running ({}: {error})", paths.pid.display());
                return Err(exit::OK);
            }
            Err(error) => {
                return Err(fatal(&format!("pid file {}", paths.pid.display()), &error));
            }
        };
        // Scripts look for the process by this name, whatever the program's file is called.
        sys::process::set_name(settings.name.as_deref().unwrap_or(PROCESS_NAME));
        if options.core_dump
            && let Err(error) = sys::limits::allow_core_dumps()
        {
            log::warn!("core dumps: {error}");
        }
        let mut signals = Signals::block(&Signal::ALL).map_err(|e| fatal("signals", &e))?;
        let mut events = EventLoop::new(Clock::Monotonic).map_err(|e| fatal("event loop", &e))?;
        events.register(&signals, SIGNALS, Interest::Readable).map_err(|e| fatal("signals", &e))?;
        let mut reload_again = false;
        if let Some((script, timeout)) = settings.startup.clone() {
            let ignore = options.ignore_sigint;
            match startup::run(script, timeout, ignore, &mut events, &mut signals) {
                Ok(Heard::Nothing) => {}
                Ok(Heard::Reload) => reload_again = true,
                Ok(Heard::Stop) => return Err(exit::OK),
                Err(error) => return Err(fatal("startup_script", &error)),
            }
        }
        if let Some(name) = &namespace {
            sys::netns::enter(name)
                .map_err(|error| fatal(&format!("network namespace {name}"), &error))?;
        }
        let role =
            |kind| Role::new(kind, &read.model).map_err(|e| fatal("descriptors for the roles", &e));
        let roles = [role(Kind::Failover)?, role(Kind::Balancer)?];
        let ready_at = events.now() + BALANCER_READY.as_nanos() as u64;
        let mut supervisor = Self {
            options,
            settings,
            paths,
            known_errors: reload::errors(read, reload::missing_interfaces(&read.model)),
            generation: 1,
            events,
            signals,
            roles,
            _pid_file: pid_file,
            reloading: None,
            reload_again,
            stopping: false,
            exit: exit::OK,
            ready: false,
            ready_at,
            starting: None,
        };
        supervisor.save();
        for kind in Kind::ALL {
            if supervisor.wants(kind) {
                supervisor.role_mut(kind).start_at = Some(0);
            }
        }
        Ok(supervisor)
    }

    /// Runs until the end, after what was read.
    fn run(mut self, read: Read) -> u8 {
        if self.roles.iter().all(|role| role.start_at.is_none()) {
            log::warn!(
                "Warning - keepalived has no configuration to run: no vrrp_instance, nothing \
                 static and no virtual_server, or not wanted by the command line"
            );
        }
        let mut started = self.start_due();
        // The roles have what they need. To take the model apart lasts a while.
        drop(read);
        sys::memory::give_back();
        let mut ready: Vec<Ready> = Vec::new();
        loop {
            started |= self.start_due();
            if std::mem::take(&mut started)
                && self.reloading.is_none()
                && std::mem::take(&mut self.reload_again)
            {
                self.reload();
            }
            if self.stopping && !self.roles.iter().any(Role::runs) {
                break;
            }
            let waits_for_balancer = self.say_ready();
            if let Err(error) = self.events.wait(self.deadline(waits_for_balancer), &mut ready) {
                log::error!("event loop: {error}");
                self.exit = exit::FATAL;
                break;
            }
            for event in &ready {
                match Kind::told_by(event.token) {
                    Some((kind, sign)) => self.hear(kind, sign),
                    None if event.token == SIGNALS => self.hear_signals(),
                    None => {}
                }
            }
            let now = self.events.now();
            if self.reloading.is_some_and(|at| at <= now) {
                self.reload_took_too_long();
            }
            for role in &mut self.roles {
                role.handle_timeout(&self.paths.of(role.kind).pid, now);
            }
        }
        self.finish()
    }

    fn deadline(&self, waits_for_balancer: bool) -> Option<u64> {
        let roles = self.roles.iter().map(Role::poll_timeout);
        let ready = waits_for_balancer.then_some(self.ready_at);
        roles.chain([self.reloading, ready]).flatten().min()
    }

    /// Tells the service manager and whoever started us that we are ready, once that is so.
    /// Returns whether that will be so when [`Self::ready_at`] comes.
    fn say_ready(&mut self) -> bool {
        let awaited = |kind| self.wants(kind) && !self.role(kind).ready;
        if self.ready || self.stopping || awaited(Kind::Failover) {
            return false;
        }
        if awaited(Kind::Balancer) && self.events.now() < self.ready_at {
            return true;
        }
        self.ready = true;
        crate::systemd::ready();
        if let Some(starting) = self.starting.take()
            && let Err(error) = starting.ready()
        {
            log::debug!("{error}");
        }
        false
    }

    fn finish(mut self) -> u8 {
        crate::systemd::stopping();
        for role in &mut self.roles {
            role.forget_pid();
            // A role that was killed could not do it itself.
            let _ = std::fs::remove_file(&self.paths.of(role.kind).socket);
        }
        if let Some((script, timeout)) = &self.settings.shutdown {
            let outcome = notify::oneshot::run(script, *timeout);
            if !outcome.is_success() {
                log::error!("shutdown_script {outcome}");
            }
        }
        if let Some(starting) = self.starting.take() {
            let _ = starting.failed(self.exit.max(exit::FATAL));
        }
        self.exit
    }

    // ---- signals ----------------------------------------------------------------------------

    fn hear_signals(&mut self) {
        while let Ok(Some(received)) = self.signals.read() {
            match received.signal {
                Signal::Interrupt if self.options.ignore_sigint => {}
                Signal::Terminate | Signal::Interrupt => self.stop(),
                Signal::Reload => self.reload(),
                Signal::DumpData => self.dump(Dump::Data),
                Signal::DumpStats => self.dump(Dump::Stats),
                Signal::ClearStats => self.dump(Dump::StatsAndClear),
                Signal::DumpJson => self.dump(Dump::Json),
                Signal::CpuLimit => log::warn!("a real-time limit was reached (SIGXCPU)"),
                // Ends of roles are seen on their pidfds.
                Signal::Child => {}
            }
        }
    }

    fn stop(&mut self) {
        if self.stopping {
            return;
        }
        log::info!("Stopping");
        crate::systemd::stopping();
        self.stop_roles();
    }

    fn dump(&self, what: Dump) {
        for role in &self.roles {
            role.tell(&ToRole::Dump { what });
        }
    }
}
