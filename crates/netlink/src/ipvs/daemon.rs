//! What the kernel's IPVS has beside services: counters, time-outs, connection synchronisation.

use std::net::{IpAddr, Ipv4Addr};

use super::Request;

/// What was counted for a service or a destination. Where the kernel is older than 4.1 the
/// numbers are of 32 bits and wrap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Counters {
    /// Connections scheduled.
    pub connections: u64,
    /// Packets from clients.
    pub packets_in: u64,
    /// Packets to clients, as far as they come this way (NAT).
    pub packets_out: u64,
    /// Bytes from clients.
    pub bytes_in: u64,
    /// Bytes to clients, as far as they come this way.
    pub bytes_out: u64,
    /// Connections a second, estimated over the last seconds; so are the next four.
    pub connection_rate: u64,
    /// Packets from clients a second.
    pub packet_rate_in: u64,
    /// Packets to clients a second.
    pub packet_rate_out: u64,
    /// Bytes from clients a second.
    pub byte_rate_in: u64,
    /// Bytes to clients a second.
    pub byte_rate_out: u64,
}

/// How long connections are remembered (`lvs_timeouts`), seconds. In a request 0 keeps what is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Timeouts {
    /// Idle TCP connections.
    pub tcp: u32,
    /// TCP connections after a FIN.
    pub tcp_fin: u32,
    /// UDP.
    pub udp: u32,
}

/// Which half of connection synchronisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SyncRole {
    /// Sends connections.
    Master,
    /// Receives connections.
    Backup,
}

/// A daemon in the kernel that sends connections to other nodes, or receives them. There can be
/// one of each role.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SyncDaemon {
    /// Which of the two.
    pub role: SyncRole,
    /// Interface of the multicast, up to 15 bytes.
    pub interface: String,
    /// Identifier of the group of nodes, 0 to 255; a receiver with 0 takes all.
    pub sync_id: u8,
    /// Largest message in bytes; none: what the interface's MTU allows.
    pub max_len: Option<u16>,
    /// Multicast group; none: 224.0.0.81.
    pub group: Option<IpAddr>,
    /// UDP port; none: 8848.
    pub port: Option<u16>,
    /// Time to live (hop limit) of the multicast; none: 1.
    pub ttl: Option<u8>,
}

impl SyncDaemon {
    /// A daemon with the kernel's defaults.
    #[must_use]
    pub fn new(role: SyncRole, interface: impl Into<String>, sync_id: u8) -> Self {
        Self {
            role,
            interface: interface.into(),
            sync_id,
            max_len: None,
            group: None,
            port: None,
            ttl: None,
        }
    }

    /// Whether a daemon that the kernel reports is this one: what is left open here is the
    /// kernel's default there.
    #[must_use]
    pub fn is_met_by(&self, running: &Self) -> bool {
        const DEFAULT_GROUP: IpAddr = IpAddr::V4(Ipv4Addr::new(224, 0, 0, 81));
        const DEFAULT_PORT: u16 = 8848;
        let group = |daemon: &Self| daemon.group.unwrap_or(DEFAULT_GROUP);
        let port = |daemon: &Self| daemon.port.unwrap_or(DEFAULT_PORT);
        let ttl = |daemon: &Self| daemon.ttl.unwrap_or(1);
        self.role == running.role
            && self.interface == running.interface
            && self.sync_id == running.sync_id
            && group(self) == group(running)
            && port(self) == port(running)
            && ttl(self) == ttl(running)
            && running.max_len.is_none_or(|len| self.allows_length(len))
    }

    /// Whether this is a length that the kernel makes of ours.
    fn allows_length(&self, len: u16) -> bool {
        const HEADERS_V4: u16 = 28;
        const HEADERS_V6: u16 = 48;
        let headers = match self.group {
            Some(IpAddr::V6(_)) => HEADERS_V6,
            _ => HEADERS_V4,
        };
        // A receiver is made ready for at least this, and by default for the MTU of its interface.
        let least = if self.role == SyncRole::Backup { 1024 } else { 1 };
        match (self.max_len, self.role) {
            (Some(wanted), _) => len == wanted.clamp(least, u16::MAX - headers),
            (None, SyncRole::Master) => len == 1500 - headers,
            (None, SyncRole::Backup) => len >= 1500 - headers,
        }
    }
}

/// From the synchronisation daemons that run to those that should: stops what is not wanted, or not
/// so, and starts what is missing. A daemon that is as wanted is not touched. Whoever started
/// them: the kernel has one of each role only.
#[must_use]
pub fn plan_daemons(running: &[SyncDaemon], wanted: &[SyncDaemon]) -> Vec<Request> {
    let good = |running: &&SyncDaemon| wanted.iter().any(|wanted| wanted.is_met_by(running));
    let stop = running.iter().filter(|running| !good(running));
    let stop = stop.map(|daemon| Request::StopDaemon(daemon.role));
    let missing =
        wanted.iter().filter(|wanted| !running.iter().any(|running| wanted.is_met_by(running)));
    stop.chain(missing.map(|daemon| Request::StartDaemon(daemon.clone()))).collect()
}

/// The kernel's IPVS itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Info {
    /// Version: major, minor, patch.
    pub version: (u8, u8, u8),
    /// Size of the hash table of connections.
    pub connection_table: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Linux 6.1 reports them, with an MTU of 1500.
    fn reported(daemon: &SyncDaemon, len: u16) -> SyncDaemon {
        SyncDaemon {
            max_len: Some(len),
            group: daemon.group.or(Some([224, 0, 0, 81].into())),
            port: daemon.port.or(Some(8848)),
            ttl: daemon.ttl.or(Some(1)),
            ..daemon.clone()
        }
    }

    #[test]
    fn what_the_kernel_fills_in_is_no_difference() {
        let v6 = Some("ff02::81".parse().unwrap());
        for role in [SyncRole::Master, SyncRole::Backup] {
            let plain = SyncDaemon::new(role, "eth0", 51);
            let six = SyncDaemon { group: v6, ..plain.clone() };
            let short = SyncDaemon { max_len: Some(1000), ..plain.clone() };
            let as_short = if role == SyncRole::Backup { 1024 } else { 1000 };
            let long = SyncDaemon { max_len: Some(65_507), ..six.clone() };
            for (wanted, len) in [(plain, 1472), (six, 1452), (short, as_short), (long, 65_487)] {
                let running = reported(&wanted, len);
                assert!(wanted.is_met_by(&running), "{wanted:?} {running:?}");
                assert_eq!(plan_daemons(&[running], &[wanted]), []);
            }
        }
    }

    #[test]
    fn every_setting_is_a_difference() {
        let wanted = SyncDaemon::new(SyncRole::Master, "eth0", 51);
        let running = reported(&wanted, 1472);
        for other in [
            SyncDaemon { role: SyncRole::Backup, ..running.clone() },
            SyncDaemon { interface: "eth1".into(), ..running.clone() },
            SyncDaemon { sync_id: 52, ..running.clone() },
            SyncDaemon { max_len: Some(1000), ..running.clone() },
            SyncDaemon { group: Some([224, 0, 0, 82].into()), ..running.clone() },
            SyncDaemon { port: Some(1), ..running.clone() },
            SyncDaemon { ttl: Some(2), ..running.clone() },
        ] {
            let expected = [Request::StopDaemon(other.role), Request::StartDaemon(wanted.clone())];
            assert_eq!(
                plan_daemons(std::slice::from_ref(&other), std::slice::from_ref(&wanted)),
                expected
            );
        }
    }

    #[test]
    fn one_role_after_the_other_both_or_none() {
        let master = SyncDaemon::new(SyncRole::Master, "eth0", 51);
        let backup = SyncDaemon::new(SyncRole::Backup, "eth0", 51);
        let running = reported(&backup, 1472);
        let both = [master.clone(), backup];
        assert_eq!(
            plan_daemons(std::slice::from_ref(&running), std::slice::from_ref(&master)),
            [Request::StopDaemon(SyncRole::Backup), Request::StartDaemon(master.clone())]
        );
        let start = [Request::StartDaemon(master)];
        assert_eq!(plan_daemons(std::slice::from_ref(&running), &both), start);
        let stop = [Request::StopDaemon(SyncRole::Backup)];
        assert_eq!(plan_daemons(&[running], &[]), stop);
    }
}
