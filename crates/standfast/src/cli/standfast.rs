//! `standfast COMMAND`: the modern face.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};

use crate::client::{Sockets, duration, weight};

/// Keeps a service reachable: virtual IPs over a group of servers (VRRP) and load balancing with
/// health checks (IPVS), read from the keepalived.conf that you have.
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
    /// Show who is master, what is balanced, and what needs attention
    Status {
        #[command(flatten)]
        role: RoleSockets,
        /// Print the whole state as JSON
        #[arg(long)]
        json: bool,
    },
    /// Tell why an instance, a virtual server or a real server is what it is
    Explain {
        /// The vrrp_instance, or a server as 198.51.100.1:80
        name: String,
        #[command(flatten)]
        role: RoleSockets,
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
        role: FailoverSocket,
    },
    /// Show what happened, with causes
    Events {
        /// Only about this instance, sync group or server
        name: Option<String>,
        /// Go on showing what happens
        #[arg(short, long)]
        follow: bool,
        #[command(flatten)]
        role: RoleSockets,
        /// One JSON value a line
        #[arg(long)]
        json: bool,
    },
    /// List and steer the servers behind virtual servers, without editing files
    ///
    /// A virtual server is called 198.51.100.1:80, tcp:198.51.100.1:80, fwmark:3 or by its group;
    /// a real server 10.0.0.2:80, 10.0.0.2 or by its DNS name; `all` is every one. Orders survive
    /// a restart and a reload, until `enable`.
    Server {
        #[command(subcommand)]
        action: ServerAction,
    },
    /// Print the digest of a page, for HTTP_GET (the options are genhash's)
    #[command(disable_help_flag = true)]
    Genhash {
        /// genhash's options
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<String>,
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

#[derive(Debug, Subcommand)]
pub(crate) enum ServerAction {
    /// Show real servers: state, weight, connections, what is wrong
    List {
        /// Only this virtual server
        virtual_server: Option<String>,
        #[command(flatten)]
        role: BalancerSocket,
        /// Print the state as JSON
        #[arg(long)]
        json: bool,
    },
    /// Give a real server another weight
    Weight {
        #[command(flatten)]
        which: Which,
        /// The weight, or `default` for the configured one
        #[arg(value_parser = Weight::read)]
        weight: Weight,
        #[command(flatten)]
        role: BalancerSocket,
    },
    /// Give a real server no new connections; it goes when the last one ends
    Drain {
        #[command(flatten)]
        which: Which,
        /// Take it out after this time in any case (30s, 5m, 1h)
        #[arg(long, value_name = "TIME", value_parser = duration)]
        deadline: Option<Duration>,
        /// Show the open connections and end when it is done
        #[arg(long)]
        wait: bool,
        #[command(flatten)]
        role: BalancerSocket,
    },
    /// Take a real server out at once
    Disable {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        role: BalancerSocket,
    },
    /// End every order: the server is what configuration and checks say
    Enable {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        role: BalancerSocket,
    },
    /// Look for IPVS in the kernel again, and compare its table now
    Retry {
        #[command(flatten)]
        role: BalancerSocket,
    },
}

/// The real server that is meant.
#[derive(Debug, clap::Args)]
pub(crate) struct Which {
    /// The virtual server, or `all`
    pub(crate) virtual_server: String,
    /// The real server, or `all`
    pub(crate) real_server: String,
}

/// A weight as it is ordered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weight(pub(crate) Option<u32>);

impl Weight {
    fn read(text: &str) -> Result<Self, String> {
        weight(text).map(Self)
    }
}

/// The daemon to ask.
#[derive(Debug, clap::Args)]
pub(crate) struct RoleSockets {
    /// Socket of the VRRP part; who names one socket alone asks that part alone [default:
    /// /run/standfast/failover.sock]
    #[arg(long, env = "STANDFAST_SOCKET", value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Socket of the balancing part; likewise [default: /run/standfast/balancer.sock]
    #[arg(long, env = "STANDFAST_BALANCER_SOCKET", value_name = "PATH")]
    balancer_socket: Option<PathBuf>,
}

impl RoleSockets {
    pub(crate) fn sockets(&self) -> Sockets {
        Sockets::new(self.socket.clone(), self.balancer_socket.clone())
    }
}

/// The daemon to ask about virtual routers.
#[derive(Debug, clap::Args)]
pub(crate) struct FailoverSocket {
    /// Socket of the VRRP part [default: /run/standfast/failover.sock]
    #[arg(long, env = "STANDFAST_SOCKET", value_name = "PATH")]
    socket: Option<PathBuf>,
}

impl FailoverSocket {
    pub(crate) fn sockets(&self) -> Sockets {
        Sockets::new(self.socket.clone(), None)
    }
}

/// The daemon to ask about virtual servers.
#[derive(Debug, clap::Args)]
pub(crate) struct BalancerSocket {
    /// Socket of the balancing part [default: /run/standfast/balancer.sock]
    #[arg(long, env = "STANDFAST_BALANCER_SOCKET", value_name = "PATH")]
    balancer_socket: Option<PathBuf>,
}

impl BalancerSocket {
    pub(crate) fn sockets(&self) -> Sockets {
        Sockets::new(None, self.balancer_socket.clone())
    }
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
