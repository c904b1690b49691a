//! What the supervisor hands to a balancer role when it starts one.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use status::control::{LogOptions, fd};

/// What the balancer role needs to know besides the configuration. To release means: take our services out of the
/// kernel and exit.
///
/// The process is in the network namespace of the failover role when it starts; for
/// `net_namespace_ipvs` the role itself opens its IPVS socket in that namespace and comes back:
/// checks run where Keepalived's do, in `net_namespace`.
pub type Launch = status::control::Launch<Options>;

/// The command line's wishes, as far as the balancer role acts on them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Options {
    /// Directory of `keepalived_check.data`.
    pub dump_dir: PathBuf,
    /// The unix socket to answer on; `None` for none.
    pub socket: Option<PathBuf>,
    /// `-I`, `--dont-release-ipvs`: leave our services in the kernel at the end.
    pub keep_services: bool,
    /// `-D`, how often: 1 tells details, 2 more of them.
    pub detail: u8,
    /// Where log lines go. The identity is `Keepalived_healthcheckers`.
    pub log: LogOptions,
    /// The instance name (`instance` keyword) for file names, if any.
    pub instance_name: Option<String>,
    /// `--dump-conf`: log the configuration.
    pub dump_config: bool,
}
