//! What the supervisor hands to a failover role when it starts one.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use status::control::{LogOptions, fd};

/// What the failover role needs to know besides the configuration. To release means: take our addresses out of the
/// kernel, say goodbye, and exit.
pub type Launch = status::control::Launch<Options>;

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
