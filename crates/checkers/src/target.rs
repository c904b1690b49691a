//! Where a check connects to, and from where.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use config::model::checker::Connection;

/// Where a network check connects, with every default resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// `connect_ip` and `connect_port`, or the real server.
    pub to: SocketAddr,
    /// `bindto`: our address.
    pub bind_address: Option<IpAddr>,
    /// `bind_port`: our port.
    pub bind_port: Option<u16>,
    /// `bind_if`: the interface (SO_BINDTODEVICE).
    pub interface: Option<Box<str>>,
    /// `fwmark` (SO_MARK).
    pub mark: Option<u32>,
    /// `connect_timeout`: for the connection, and for each answer that is waited for.
    pub timeout: Duration,
}

impl Target {
    /// The address, from anywhere, within 5 s.
    pub fn new(to: SocketAddr) -> Self {
        Self {
            to,
            bind_address: None,
            bind_port: None,
            interface: None,
            mark: None,
            timeout: Duration::from_secs(5),
        }
    }

    /// What the configuration says, for a check of this real server.
    pub fn resolve(connection: &Connection, real: SocketAddr) -> Self {
        Self {
            to: connection.to(real),
            bind_address: connection.bind_address,
            bind_port: connection.bind_port,
            interface: connection.bind_interface.as_ref().map(|name| name.text.as_str().into()),
            mark: connection.fwmark,
            timeout: connection.timeout.value,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to.fmt(f)
    }
}
