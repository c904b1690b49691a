//! `standfast COMMAND`: the modern face.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use crate::client::DEFAULT_SOCKET;

/// Keeps a service reachable: virtual IPs over a group of servers (VRRP), read from the
/// keepalived.conf that you have.
///
/// Called by the name keepalived, it takes Keepalived's own options.
#[derive(Debug, Parser)]
#[command(name = "standfast", version, max_term_width = 80)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the daemon; takes Keepalived's options (see `standfast run --help`)
    #[command(disable_help_flag = true)]
    Run {
        /// Keepalived's options
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<String>,
    },
    /// Find mistakes in configuration files before they cause an outage
    ///
    /// Exit status: 0 no errors (with --strict: no warnings either); 1 warnings, with --strict;
    /// 2 errors; 6 a file cannot be read.
    Check {
        /// Files to check (default: /etc/keepalived/keepalived.conf)
        files: Vec<PathBuf>,
        /// Compare the files as the nodes of one group
        #[arg(long)]
        pair: bool,
        /// How to print what is found
        #[arg(long, value_enum, default_value_t)]
        format: Format,
        /// Let warnings fail the check too
        #[arg(long)]
        strict: bool,
        /// Tell what a code means, such as SF0101
        #[arg(long, value_name = "CODE")]
        explain: Option<String>,
        /// The id for lines that begin with @ID (default: the host name)
        #[arg(short = 'i', long, value_name = "ID")]
        config_id: Option<String>,
        /// Do not look at this machine's interfaces, users and scripts
        #[arg(long)]
        elsewhere: bool,
        /// Colours
        #[arg(long, value_enum, default_value_t)]
        color: Color,
    },
    /// List the keywords of the language, or tell about one
    Keywords {
        /// A keyword or a part of one
        word: Option<String>,
    },
    /// Show who is master and what needs attention
    Status {
        #[command(flatten)]
        role: RoleSocket,
        /// Print the whole state as JSON
        #[arg(long)]
        json: bool,
    },
    /// Tell why an instance is what it is
    Explain {
        /// The vrrp_instance
        instance: String,
        #[command(flatten)]
        role: RoleSocket,
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
    /// Hand an instance (and its sync group) over to another node without a gap
    Handover {
        /// The vrrp_instance
        instance: String,
        /// Take part in elections again
        #[arg(long)]
        undo: bool,
        #[command(flatten)]
        role: RoleSocket,
    },
    /// Show what happened, with causes
    Events {
        /// Only about this vrrp_instance or sync group
        instance: Option<String>,
        /// Go on showing what happens
        #[arg(short, long)]
        follow: bool,
        #[command(flatten)]
        role: RoleSocket,
        /// One JSON value a line
        #[arg(long)]
        json: bool,
    },
    /// A failover before your eyes, in network namespaces (under a minute)
    Demo,
    /// The demo's laboratory to play with: two nodes, a client, a switch
    Lab {
        #[command(subcommand)]
        action: Option<LabAction>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum LabAction {
    /// Open a shell on a machine of the running laboratory, or run a command there
    Shell {
        /// The machine: n1, n2, client, switch
        node: String,
        /// The command instead of a shell
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
}

/// The daemon to ask.
#[derive(Debug, clap::Args)]
pub(crate) struct RoleSocket {
    /// Socket of the daemon
    #[arg(long, default_value = DEFAULT_SOCKET, env = "STANDFAST_SOCKET", value_name = "PATH")]
    pub(crate) socket: PathBuf,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    Text,
    /// For editors and CI
    Json,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// When standard output is a terminal
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}
