//! What the supervisor hands to a failover role when it starts one.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// File descriptors at fixed numbers that a role finds open when it starts.
pub mod fd {
    /// The channel to the supervisor (a `SOCK_SEQPACKET` socket).
    pub const CHANNEL: i32 = 3;
    /// The state store: a memfd that outlives the role.
    pub const STORE: i32 = 4;
    /// A memfd with the [`Launch`](super::Launch) as JSON.
    pub const LAUNCH: i32 = 5;
    /// One past the last of them.
    pub const END: i32 = 6;
}

/// Everything a role needs to know besides the configuration itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Launch {
    /// Number of the configuration in `bundle`.
    pub generation: u64,
    /// How often this role was started again after a crash.
    pub restarts: u32,
    /// Only clean up: take our addresses out of the kernel, say goodbye, and exit.
    pub release: bool,
    /// The command line's wishes.
    pub options: Options,
    /// The configuration's text as it was checked.
    pub bundle: config::Bundle,
}

/// The command line's wishes, as far as the failover role acts on them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Options {
    /// Directory of `keepalived.data` and its kind.
    pub dump_dir: PathBuf,
    /// The unix socket to answer on; `None` for none.
    pub socket: Option<PathBuf>,
    /// `--dont-release-vrrp`: leave addresses, routes and rules in the kernel at the end.
    pub keep_addresses: bool,
    /// `-D`, how often: 1 tells details, 2 more of them.
    pub detail: u8,
    /// `--address-monitoring`: log each change of an address.
    pub address_monitoring: bool,
    /// Where log lines go.
    pub log: LogOptions,
    /// The instance name (`instance` keyword) for file names, if any.
    pub instance_name: Option<String>,
    /// `--dump-conf`: log the configuration.
    pub dump_config: bool,
}

/// Where log lines go.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct LogOptions {
    /// `-l`: to standard error.
    pub console: bool,
    /// `-g`: to a file.
    pub file: Option<PathBuf>,
    /// `--flush-log-file`.
    pub flush: bool,
    /// Not `-G`: to syslog or the journal.
    pub syslog: bool,
    /// `-S`: the syslog facility's number, 3 (daemon) if not given.
    pub facility: u8,
}
