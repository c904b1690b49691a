//! The supervisor: reads the configuration, starts the roles, restarts one that dies with the
//! state that it had, passes reloads and signals on. It does nothing else, and has no threads once
//! the startup script has ended.
//!
//! ```text
//!   signals ─────────────┐                 ┌──channel──► role (the same program, started again)
//!   role's messages ─────┼─► Supervisor ───┤  memfd: launch (options and the configuration's text)
//!   role's end (pidfd) ──┘                 └─ memfd: state store, kept over the role's lives
//! ```

mod child;
pub(crate) use child::ROLE_WORD;
mod reload;
mod respawn;
pub(crate) mod settings;
mod startup;

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use config::Bundle;
use failover::{LogOptions, Options as RoleOptions};
use status::control::{Dump, FromRole, ToRole};
use sys::caps::{self, Capability};
use sys::clock::Clock;
use sys::daemon::Starting;
use sys::event_loop::{EventLoop, Interest, Ready, Token};
use sys::pidfile::{PidFile, PidFileError};
use sys::signals::{Signal, Signals};

use crate::cli::keepalived::{Only, Options};
use crate::reading::{self, Read};
use child::Role;
use respawn::{Respawn, Verdict};
use settings::{Paths, Settings};
use startup::Heard;

const SIGNALS: Token = Token(1);
const ROLE_CHANNEL: Token = Token(2);
const ROLE_END: Token = Token(3);

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
    bundle: Bundle,
    /// What is wrong with it and was let pass at the start: a reload may have the same mistakes.
    known_errors: HashSet<String>,
    generation: u64,
    events: EventLoop,
    signals: Signals,
    store: std::fs::File,
    role: Option<Role>,
    /// Removed when the supervisor is dropped, after everything else.
    _pid_file: PidFile,
    role_pid_file: Option<PidFile>,
    respawn: Respawn,
    /// When the role is to be started again.
    start_at: Option<u64>,
    /// The role is being reloaded, until then at most; another SIGHUP waits for it.
    reloading: Option<u64>,
    reload_again: bool,
    /// When a role that was told to stop is killed.
    kill_at: Option<u64>,
    stopping: bool,
    exit: u8,
    /// Whether READY was said.
    ready: bool,
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
    let code = match Supervisor::new(options, read) {
        Ok(mut supervisor) => {
            supervisor.starting = starting;
            supervisor.run()
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
    fn new(options: Options, read: Read) -> Result<Self, u8> {
        reading::log_findings(&read);
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
        for text in reading::not_acted_on(&read) {
            log::warn!("{text}");
        }
        let namespace = options.namespace.clone().or_else(|| settings.namespace.clone());
        let paths = Paths::new(
            &settings,
            options.pid_file.as_deref(),
            options.vrrp_pid_file.as_deref(),
            namespace.as_deref(),
        );
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
        let store = sys::memfd::create("standfast-state").map_err(|e| fatal("state store", &e))?;
        let mut supervisor = Self {
            options,
            settings,
            paths,
            known_errors: reload::errors(&read).collect(),
            bundle: read.bundle,
            generation: 1,
            events,
            signals,
            store,
            role: None,
            _pid_file: pid_file,
            role_pid_file: None,
            respawn: Respawn::default(),
            start_at: None,
            reloading: None,
            reload_again,
            kill_at: None,
            stopping: false,
            exit: exit::OK,
            ready: false,
            starting: None,
        };
        supervisor.save();
        if supervisor.wants_role() {
            supervisor.start_at = Some(0);
        }
        Ok(supervisor)
    }

    /// Whether there is anything for the failover role to do.
    fn wants_role(&self) -> bool {
        match self.options.only {
            Some(Only::All) => true,
            Some(Only::Checks) => false,
            Some(Only::Vrrp) | None => self.settings.failover,
        }
    }

    fn run(mut self) -> u8 {
        if self.start_at.is_none() {
            log::warn!(
                "Warning - keepalived has no configuration to run: no vrrp_instance and nothing \
                 static, or not wanted by the command line"
            );
            self.now_ready();
        }
        let mut ready: Vec<Ready> = Vec::new();
        loop {
            if self.start_at.is_some_and(|at| at <= self.events.now()) {
                self.start_at = None;
                self.start_role(false);
                if self.reloading.is_none() && std::mem::take(&mut self.reload_again) {
                    self.reload();
                }
            }
            if self.stopping && self.role.is_none() {
                break;
            }
            let deadline =
                [self.start_at, self.kill_at, self.reloading].into_iter().flatten().min();
            if let Err(error) = self.events.wait(deadline, &mut ready) {
                log::error!("event loop: {error}");
                self.exit = exit::FATAL;
                break;
            }
            for event in &ready {
                match event.token {
                    SIGNALS => self.hear_signals(),
                    ROLE_CHANNEL => self.hear_role(),
                    ROLE_END => self.role_ended(),
                    _ => {}
                }
            }
            if self.reloading.is_some_and(|at| at <= self.events.now()) {
                log::error!("the failover role has not taken the new configuration over");
                self.reload_done();
            }
            if self.kill_at.is_some_and(|at| at <= self.events.now()) {
                self.kill_at = None;
                if let Some(role) = &self.role {
                    log::error!("the failover role does not stop; it is killed");
                    role.kill();
                }
            }
        }
        self.finish()
    }

    fn finish(mut self) -> u8 {
        crate::systemd::stopping();
        self.role_pid_file = None;
        // A role that was killed could not do it itself.
        let _ = std::fs::remove_file(&self.paths.socket);
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

    // ---- the role ---------------------------------------------------------------------------

    fn start_role(&mut self, release: bool) {
        let launch = failover::Launch {
            generation: self.generation,
            restarts: self.respawn.total(),
            release,
            options: self.role_options(),
            bundle: self.bundle.clone(),
        };
        let name = self.settings.failover_name.as_deref();
        match Role::start(&launch, &self.store, name, self.options.foreground, &self.events) {
            Ok(role) => {
                log::info!("Starting VRRP child process, pid={}", role.id());
                match &mut self.role_pid_file {
                    Some(file) => {
                        let _ = file.set(role.id());
                    }
                    None => match PidFile::create(&self.paths.vrrp_pid, role.id()) {
                        Ok(file) => self.role_pid_file = Some(file),
                        Err(error) => {
                            log::warn!("pid file {}: {error}", self.paths.vrrp_pid.display());
                        }
                    },
                }
                self.role = Some(role);
            }
            Err(error) => {
                log::error!("the failover role cannot be started: {error}");
                self.after_death();
            }
        }
    }

    fn role_options(&self) -> RoleOptions {
        let directory = std::env::var_os("TMPDIR").map(PathBuf::from);
        RoleOptions {
            dump_dir: directory
                .filter(|dir| dir.is_absolute() && dir.is_dir())
                .unwrap_or_else(|| PathBuf::from("/tmp")),
            socket: Some(self.paths.socket.clone()),
            keep_addresses: self.options.keep_addresses,
            detail: self.options.detail,
            address_monitoring: self.options.address_monitoring,
            log: log_options(&self.options),
            instance_name: self.settings.instance.clone(),
            dump_config: self.options.dump_config,
        }
    }

    fn hear_role(&mut self) {
        let messages = match &mut self.role {
            Some(role) => role.messages(&self.events),
            None => return,
        };
        for message in messages {
            match message {
                FromRole::Ready => self.now_ready(),
                FromRole::Reloaded { .. } => self.reload_done(),
                FromRole::Status { text } => crate::systemd::status(&text),
                FromRole::Fatal { reason } => {
                    log::error!("the failover role cannot work here: {reason}");
                    let needed = [Capability::NetAdmin, Capability::NetRaw];
                    self.exit = if needed.into_iter().all(caps::has) {
                        exit::FATAL
                    } else {
                        exit::PERMISSION
                    };
                    self.stopping = true;
                    self.kill_in(self.settings.child_wait);
                }
            }
        }
    }

    fn now_ready(&mut self) {
        if std::mem::replace(&mut self.ready, true) {
            return;
        }
        crate::systemd::ready();
        if let Some(starting) = self.starting.take()
            && let Err(error) = starting.ready()
        {
            log::debug!("{error}");
        }
    }

    fn role_ended(&mut self) {
        // Its last words first.
        self.hear_role();
        let Some(mut role) = self.role.take() else { return };
        let ended = role.ended(&self.events);
        self.kill_at = None;
        if self.stopping {
            match ended {
                Some(status) if status.success() => {}
                // It said that it cannot work here, and no life before it could.
                _ if !self.ready && self.exit != exit::OK => {}
                _ => {
                    // It was killed on the way out: clean up behind it.
                    log::error!("the failover role did not end well; cleaning up behind it");
                    self.clean_up();
                }
            }
            return;
        }
        match ended {
            Some(status) => log::error!("the failover role died: {status}"),
            None => log::error!("the failover role is gone"),
        }
        if self.options.no_respawn {
            log::error!("it is not started again (--dont-respawn)");
            self.clean_up();
            self.exit = exit::FATAL;
            self.stopping = true;
            return;
        }
        self.after_death();
        if self.reloading.is_some() {
            // The next life begins with the new configuration.
            self.reload_done();
        }
    }

    fn after_death(&mut self) {
        let now = Duration::from_nanos(self.events.now());
        match self.respawn.died(now) {
            Verdict::Again(pause) => {
                self.start_at = Some(self.events.now() + pause.as_nanos() as u64);
            }
            Verdict::GiveUp => {
                log::error!(
                    "the failover role dies again and again; its addresses are released so that \
                     another node takes over"
                );
                self.clean_up();
                self.exit = exit::FATAL;
                self.stopping = true;
            }
        }
    }

    /// Starts the role once more, only to take its things out of the kernel, and waits for it.
    fn clean_up(&mut self) {
        self.start_role(true);
        if let Some(mut role) = self.role.take() {
            role.wait_at_most(Duration::from_secs(10), &self.events);
        }
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
        if std::mem::replace(&mut self.stopping, true) {
            return;
        }
        log::info!("Stopping");
        crate::systemd::stopping();
        if self.role.is_none() && self.start_at.take().is_some() && self.respawn.total() > 0 {
            // Between two lives of the role: what the last one left in the kernel is still there.
            self.clean_up();
            return;
        }
        self.tell(&ToRole::Stop);
        self.kill_in(self.settings.child_wait);
    }

    fn kill_in(&mut self, wait: Duration) {
        self.kill_at = Some(self.events.now() + wait.as_nanos() as u64);
    }

    fn dump(&mut self, what: Dump) {
        self.tell(&ToRole::Dump { what });
    }

    fn tell(&mut self, what: &ToRole) {
        if let Some(role) = &self.role
            && let Err(error) = role.tell(what, None)
        {
            log::warn!("the failover role does not listen: {error}");
        }
    }
}
