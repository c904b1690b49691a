//! Keepalived's command line: every option of 2.2 to 2.4, with the same letters and meanings.

use std::path::PathBuf;

use super::getopt::{self, Found, Spec, Takes, UsageError};

/// The configuration file if none is named.
pub(crate) const DEFAULT_CONFIG: &str = "/etc/keepalived/keepalived.conf";

const fn flag(short: Option<char>, long: &'static str, help: &'static str) -> Spec {
    Spec { short, long, takes: Takes::Nothing, help, value: "" }
}

const fn with(
    short: Option<char>,
    long: &'static str,
    value: &'static str,
    help: &'static str,
) -> Spec {
    Spec { short, long, takes: Takes::Argument, help, value }
}

const fn maybe(
    short: Option<char>,
    long: &'static str,
    value: &'static str,
    help: &'static str,
) -> Spec {
    Spec { short, long, takes: Takes::MaybeAttached, help, value }
}

/// All options. Those without help text are Keepalived's developer switches, accepted in silence.
static SPECS: &[Spec] = &[
    with(
        Some('f'),
        "use-file",
        "FILE",
        "read this configuration (default /etc/keepalived/keepalived.conf)",
    ),
    flag(Some('P'), "vrrp", "only VRRP"),
    flag(Some('C'), "check", "only virtual servers and their checks"),
    flag(Some('B'), "no_bfd", "without BFD"),
    flag(None, "all", "every role, also without configuration"),
    flag(Some('l'), "log-console", "log to standard error"),
    flag(Some('D'), "log-detail", "log details (twice: more)"),
    with(Some('S'), "log-facility", "0-7|local0-7|user|daemon", "syslog facility (default daemon)"),
    flag(Some('G'), "no-syslog", "do not log to syslog or the journal"),
    maybe(Some('g'), "log-file", "FILE", "log to a file too (default /tmp/keepalived.log)"),
    flag(None, "flush-log-file", "write each line to the log file at once"),
    with(Some('u'), "umask", "MASK", "umask for files (octal)"),
    flag(Some('X'), "release-vips", "drop addresses when a signal ends MASTER"),
    flag(Some('V'), "dont-release-vrrp", "leave addresses and routes in place at the end"),
    flag(Some('I'), "dont-release-ipvs", "leave the IPVS table in place at the end"),
    flag(Some('R'), "dont-respawn", "do not start a role again that died"),
    flag(Some('n'), "dont-fork", "stay in the foreground"),
    flag(Some('d'), "dump-conf", "log the configuration"),
    with(Some('p'), "pid", "FILE", "pid file of the supervisor"),
    with(Some('r'), "vrrp_pid", "FILE", "pid file of the failover role"),
    with(Some('c'), "checkers_pid", "FILE", "pid file of the balancer role"),
    with(Some('b'), "bfd_pid", "FILE", "pid file of the BFD role"),
    flag(Some('T'), "genhash", "work as genhash"),
    flag(Some('a'), "address-monitoring", "log each change of an address"),
    flag(Some('x'), "snmp", "SNMP (not part of this program)"),
    with(Some('A'), "snmp-agent-socket", "FILE", "SNMP master agent (not part of this program)"),
    with(Some('s'), "namespace", "NAME", "run in this network namespace"),
    flag(Some('m'), "core-dump", "allow core dumps"),
    maybe(
        Some('M'),
        "core-dump-pattern",
        "PATTERN",
        "allow core dumps and set the kernel's pattern",
    ),
    flag(Some('e'), "all-config", "a missing included file is an error"),
    with(
        Some('i'),
        "config-id",
        "ID",
        "the id for lines that begin with @ID (default: the host name)",
    ),
    with(
        None,
        "signum",
        "NAME",
        "print the number of STOP, RELOAD, DATA, STATS, STATS_CLEAR or JSON",
    ),
    maybe(
        Some('t'),
        "config-test",
        "LOG",
        "check the configuration and exit; messages to standard error or LOG",
    ),
    flag(Some('v'), "version", "print the version"),
    flag(Some('h'), "help", "print this help"),
    flag(None, "ignore-sigint", ""),
    maybe(None, "debug", "", ""),
    maybe(None, "perf", "", ""),
    flag(Some('L'), "mem-check-log", ""),
    flag(None, "no-mem-check", ""),
    flag(None, "openssl-mem-check", ""),
];

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Run as a daemon or in the foreground.
    Run(Box<Options>),
    /// `-t`.
    Test {
        /// The same options as for running; some matter to the check.
        options: Box<Options>,
        /// Where messages go instead of standard error.
        log: Option<PathBuf>,
    },
    /// `--signum`: print this number.
    Signum(i32),
    /// `-v`.
    Version,
    /// `-h`.
    Help,
}

/// Options of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// The configuration file.
    pub(crate) config: PathBuf,
    /// `-P`, `-C`, `--all`: which roles may run. `None` is all that have configuration.
    pub(crate) only: Option<Only>,
    pub(crate) foreground: bool,
    pub(crate) console: bool,
    /// How often `-D` was given.
    pub(crate) detail: u8,
    /// Syslog facility number, 3 is daemon.
    pub(crate) facility: u8,
    pub(crate) no_syslog: bool,
    pub(crate) log_file: Option<PathBuf>,
    pub(crate) flush_log: bool,
    pub(crate) umask: Option<u32>,
    pub(crate) keep_addresses: bool,
    /// `-I`.
    pub(crate) keep_services: bool,
    pub(crate) no_respawn: bool,
    pub(crate) dump_config: bool,
    pub(crate) pid_file: Option<PathBuf>,
    pub(crate) vrrp_pid_file: Option<PathBuf>,
    pub(crate) checkers_pid_file: Option<PathBuf>,
    pub(crate) bfd_pid_file: Option<PathBuf>,
    pub(crate) address_monitoring: bool,
    pub(crate) namespace: Option<String>,
    pub(crate) core_dump: bool,
    pub(crate) all_includes: bool,
    pub(crate) config_id: Option<String>,
    pub(crate) ignore_sigint: bool,
    /// Options that were accepted and do nothing here, each with the reason.
    pub(crate) not_honoured: Vec<String>,
    /// Words that are no options; Keepalived names them and goes on.
    pub(crate) unexpected: Vec<String>,
}

/// `-P` and `-C`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Only {
    /// Only VRRP.
    Vrrp,
    /// Only virtual servers.
    Checks,
    /// `--all`, or both letters.
    All,
}

/// A command line that cannot be used: exit status 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Usage(#[from] UsageError),
    #[error("Unknown sigfunc {0}: STOP, RELOAD, DATA, STATS, STATS_CLEAR or JSON")]
    Signum(String),
    #[error("-T is an option of its own and the first: -T OPTION... or --genhash OPTION...")]
    GenhashBundled,
}

/// Reads the arguments after the program's name.
pub(crate) fn parse(args: &[String]) -> Result<Action, Error> {
    let (found, rest) = getopt::parse(SPECS, args)?;
    let mut options = Options {
        config: DEFAULT_CONFIG.into(),
        facility: 3,
        unexpected: rest,
        ..Options::default()
    };
    let mut test: Option<Option<PathBuf>> = None;
    for Found { long, value } in found {
        let path = || value.clone().map(PathBuf::from);
        match long {
            "use-file" => options.config = path().unwrap_or_default(),
            "vrrp" => options.only = Some(narrow(options.only, Only::Vrrp)),
            "check" => options.only = Some(narrow(options.only, Only::Checks)),
            "all" => options.only = Some(Only::All),
            "log-console" => options.console = true,
            "log-detail" => options.detail = options.detail.saturating_add(1),
            "log-facility" => match facility(value.as_deref().unwrap_or("")) {
                Ok(number) => options.facility = number,
                Err(complaint) => options.not_honoured.push(complaint),
            },
            "no-syslog" => options.no_syslog = true,
            "log-file" => {
                options.log_file = Some(path().unwrap_or_else(|| "/tmp/keepalived.log".into()));
            }
            "flush-log-file" => options.flush_log = true,
            "umask" => match umask(value.as_deref().unwrap_or("")) {
                Ok(mask) => options.umask = Some(mask),
                Err(complaint) => options.not_honoured.push(complaint),
            },
            "dont-release-vrrp" => options.keep_addresses = true,
            "dont-release-ipvs" => options.keep_services = true,
            "dont-respawn" => options.no_respawn = true,
            "dont-fork" => options.foreground = true,
            "dump-conf" => options.dump_config = true,
            "pid" => options.pid_file = path(),
            "vrrp_pid" => options.vrrp_pid_file = path(),
            "checkers_pid" => options.checkers_pid_file = path(),
            "bfd_pid" => options.bfd_pid_file = path(),
            "address-monitoring" => options.address_monitoring = true,
            "namespace" => options.namespace = value,
            "core-dump" => options.core_dump = true,
            "core-dump-pattern" => {
                options.core_dump = true;
                options.not_honoured.push(
                    "--core-dump-pattern: core dumps are allowed; the kernel's pattern is the \
                     system's (sysctl kernel.core_pattern)"
                        .to_owned(),
                );
            }
            "all-config" => options.all_includes = true,
            "config-id" => options.config_id = value,
            "ignore-sigint" => options.ignore_sigint = true,
            "snmp" | "snmp-agent-socket" => {
                options.not_honoured.push("SNMP: this program has no SNMP agent".to_owned());
            }
            "config-test" => test = Some(path()),
            "signum" => return signum(value.as_deref().unwrap_or("")).map(Action::Signum),
            "version" => return Ok(Action::Version),
            "help" => return Ok(Action::Help),
            "genhash" => return Err(Error::GenhashBundled),
            // Addresses are always released (-X). There is no BFD to leave out, and the memory
            // checker's switches have nothing to switch.
            _ => {}
        }
    }
    Ok(match test {
        Some(log) => Action::Test { options: Box::new(options), log },
        None => Action::Run(Box::new(options)),
    })
}

fn narrow(before: Option<Only>, now: Only) -> Only {
    match before {
        Some(other) if other != now => Only::All,
        _ => now,
    }
}

/// A wrong one does not keep Keepalived from starting, so it does not keep us.
fn facility(text: &str) -> Result<u8, String> {
    let local = text.strip_prefix("local").unwrap_or(text);
    match (text, local.parse::<u8>()) {
        ("user", _) => Ok(1),
        ("daemon", _) => Ok(3),
        (_, Ok(n)) if n <= 7 => Ok(16 + n),
        _ => Err(format!(
            "Invalid log facility '{text}': 0 to 7, local0 to local7, user or daemon; it is \
             daemon now"
        )),
    }
}

fn umask(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text, 8) {
        Ok(mask) if mask <= 0o777 => Ok(mask),
        _ => Err(format!("Invalid umask '{text}': an octal number up to 777; it is ignored")),
    }
}

fn signum(name: &str) -> Result<i32, Error> {
    Ok(match name {
        "STOP" => 15,
        "RELOAD" => 1,
        "DATA" => 10,
        "STATS" => 12,
        "STATS_CLEAR" => 63,
        "JSON" => 36,
        other => return Err(Error::Signum(other.to_owned())),
    })
}

/// Where the help's second column begins.
const HELP_COLUMN: usize = 32;
/// The widest line of the help.
const WIDTH: usize = 80;

/// The text of `-h`.
pub(crate) fn help(program: &str) -> String {
    use std::fmt::Write as _;
    let mut out = format!("Usage: {program} [OPTION...]\n");
    for spec in SPECS.iter().filter(|s| !s.help.is_empty()) {
        let short = spec.short.map_or("    ".to_owned(), |c| format!("-{c}, "));
        let value = match spec.takes {
            Takes::Nothing => String::new(),
            Takes::Argument => format!("={}", spec.value),
            Takes::MaybeAttached => format!("[={}]", spec.value),
        };
        let option = format!("  {short}--{}{value}", spec.long);
        let mut column = option.chars().count();
        out.push_str(&option);
        if column > HELP_COLUMN - 2 {
            column = WIDTH;
        }
        for word in spec.help.split(' ') {
            if column + 1 + word.chars().count() > WIDTH {
                // Writing to a String cannot fail.
                let _ = write!(out, "{}{:HELP_COLUMN$}", if column > 0 { "\n" } else { "" }, "");
                column = HELP_COLUMN;
            } else if column < HELP_COLUMN {
                let _ = write!(out, "{:1$}", "", HELP_COLUMN - column);
                column = HELP_COLUMN;
            } else {
                out.push(' ');
                column += 1;
            }
            out.push_str(word);
            column += word.chars().count();
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(line: &str) -> Result<Action, Error> {
        parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    fn options(line: &str) -> Options {
        match run(line) {
            Ok(Action::Run(options) | Action::Test { options, .. }) => *options,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn the_usual_unit_file_lines() {
        let o = options("-n -l -D -f /etc/k.conf -p /run/a -r /run/b -c /run/c -b /run/d");
        assert!(o.foreground && o.console && o.detail == 1);
        assert_eq!(o.config, PathBuf::from("/etc/k.conf"));
        assert_eq!(o.vrrp_pid_file, Some("/run/b".into()));
        assert_eq!(options("--dont-fork --log-detail -DD").detail, 3);
        assert_eq!(options("-P -C").only, Some(Only::All));
        assert_eq!(options("-P").only, Some(Only::Vrrp));
        assert_eq!(options("").config, PathBuf::from(DEFAULT_CONFIG));
    }

    #[test]
    fn facilities_are_keepaliveds() {
        assert_eq!(options("-S 3").facility, 19);
        assert_eq!(options("-S local7").facility, 23);
        assert_eq!(options("-S user").facility, 1);
        assert_eq!(options("").facility, 3);
        for wrong in ["-S 8", "-S localx"] {
            let options = options(wrong);
            assert_eq!((options.facility, options.not_honoured.len()), (3, 1), "{wrong}");
        }
        assert_eq!(options("-u 999").umask, None);
        assert_eq!(options("-u 022").umask, Some(0o22));
    }

    #[test]
    fn a_test_takes_its_log_only_when_it_is_attached() {
        let Ok(Action::Test { log, options }) = run("-t -f x") else { panic!() };
        assert_eq!((log, options.config), (None, "x".into()));
        let Ok(Action::Test { log, .. }) = run("--config-test=/tmp/log") else { panic!() };
        assert_eq!(log, Some("/tmp/log".into()));
    }

    #[test]
    fn signal_numbers_are_what_scripts_expect() {
        assert_eq!(run("--signum=JSON"), Ok(Action::Signum(36)));
        assert_eq!(run("--signum=STATS_CLEAR"), Ok(Action::Signum(63)));
        assert!(run("--signum=FOO").is_err());
    }

    #[test]
    fn help_fits_a_terminal() {
        for line in help("keepalived").lines() {
            assert!(line.chars().count() <= WIDTH, "{line}");
        }
    }
}
