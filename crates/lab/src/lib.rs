//! Network-namespace laboratory for the demo, the tests and the benches.
//!
//! ```text
//!   enter()            the program moves into its own namespaces: no root needed, nothing is left
//!   Lab::build(plan)   machines n1, n2…, a client, a switch with a capture
//!   lab.start(1, …)    a daemon on n1: Keepalived or Standfast, from the same keepalived.conf
//!   lab.pull(1, 0)     the cable of n1's eth0
//!   lab.meter(vip, …)  for how long did the client get no answer?
//!   Farm::build(2)     a client, a director and real servers, for load balancing
//!   vm::again(…)       the program once more, on a kernel that has IPVS
//! ```
//!
//! The laboratory may call `ip`; the product never does.
#![forbid(unsafe_code)]

use std::io;

pub mod capture;
pub mod daemon;
pub mod demo;
mod enclosure;
pub mod farm;
pub mod interactive;
pub mod journal;
pub mod meter;
mod namespace;
pub mod packet;
pub mod subject;
mod topology;
pub mod vm;
pub mod voice;
pub mod watch;

pub use enclosure::{enclosed, enter, enter_known_as};
pub use namespace::Namespace;
pub use topology::{Clock, Lab, Plan};

/// Why something in the laboratory did not work.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// The kernel refused the namespaces.
    #[error("cannot make namespaces: {errno}{}", advice(*rootless))]
    NoNamespaces {
        /// Tried without root, through a user namespace.
        rootless: bool,
        /// The kernel's answer.
        errno: nix::Error,
    },
    /// A system call or file operation failed.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// The cause.
        source: io::Error,
    },
    /// A command failed.
    #[error("{node}: `{line}` failed: {stderr}")]
    Command {
        /// Where it ran.
        node: String,
        /// The command line.
        line: String,
        /// What it printed.
        stderr: String,
    },
    /// Something did not happen in time.
    #[error("waited {limit:?} in vain: {what}")]
    Late {
        /// What should have happened.
        what: String,
        /// How long we waited.
        limit: std::time::Duration,
    },
    /// Something that should be there is not.
    #[error("{0} is gone")]
    Gone(String),
}

fn advice(rootless: bool) -> &'static str {
    if rootless {
        "\nrun it as root, or let users make namespaces:\n  \
         sysctl kernel.unprivileged_userns_clone=1 (Debian),\n  \
         sysctl kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu)"
    } else {
        "\na container needs the capability SYS_ADMIN for this (docker run --privileged)"
    }
}
