//! What goes into the engine and what comes out of it: closed enums, nothing else crosses the
//! border.

use std::net::{IpAddr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::config::{Config, Family, InterfaceId, RouterId, TrackerId, TrackerState};
use crate::event::Event;

/// Something that happened outside.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// Begin. Feed the known [`Input::Tracker`] states before it. A second one does nothing.
    Start,
    /// A packet of IP protocol 112 or 51. Feed waiting packets before [`Engine::handle_timeout`](crate::Engine::handle_timeout):
    /// then a node that slept does not take over from a master whose adverts lie in its queue.
    Packet {
        /// Where it came in.
        interface: InterfaceId,
        /// The packet.
        datagram: Datagram<'a>,
    },
    /// State of something tracked. May also come before the configuration that tracks it.
    Tracker {
        /// Which.
        id: TrackerId,
        /// Its state.
        state: TrackerState,
    },
    /// The source address for a router's adverts changed.
    SourceAddress {
        /// Whose.
        router: RouterId,
        /// The address, or none.
        address: Option<IpAddr>,
    },
    /// A new configuration. Routers are matched by VRID, family, interface and (unicast) source.
    Reload(Box<Config>),
    /// A planned stop of everything: masters hand over, [`Output::Stopped`] is the last output.
    Stop,
    /// Give this router (with its sync group) to another node and keep back from then on.
    Handover {
        /// Which.
        router: RouterId,
    },
    /// Take part in elections again after a handover.
    Reclaim {
        /// Which (with its sync group).
        router: RouterId,
    },
    /// Stop at once: masters send priority 0 and withdraw without waiting for a successor.
    Release,
}

/// A received packet.
#[derive(Clone, Copy, Debug)]
pub enum Datagram<'a> {
    /// A whole IPv4 packet, header included, as a raw socket delivers it.
    V4 {
        /// Its bytes.
        bytes: &'a [u8],
    },
    /// The payload of an IPv6 packet of protocol 112.
    V6 {
        /// Its source.
        src: Ipv6Addr,
        /// Its destination.
        dst: Ipv6Addr,
        /// Its hop limit.
        hop_limit: u8,
        /// What follows the IPv6 header.
        payload: &'a [u8],
    },
}

/// Something to do outside. Outputs are to be done in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Output {
    /// Send a packet.
    Transmit(Transmit),
    /// From now on the router's addresses, routes and rules must be there.
    Hold {
        /// Whose.
        router: RouterId,
    },
    /// From now on the router's addresses, routes and rules must not be there.
    Withdraw {
        /// Whose.
        router: RouterId,
    },
    /// After a reload: the router still holds, what it holds may have changed. Compare the old
    /// list with the new one; [`Announced::New`] follows for what was added.
    Reconcile {
        /// Whose.
        router: RouterId,
    },
    /// Announce addresses by gratuitous ARP or unsolicited neighbour advertisement.
    Announce {
        /// Whose.
        router: RouterId,
        /// Which addresses.
        what: Announced,
        /// How many rounds.
        repeat: u32,
    },
    /// Tell scripts, FIFOs and mail.
    Notify(Notify),
    /// Tell people.
    Event(Event),
    /// The router is no longer configured; all other outputs about it came before.
    Removed {
        /// Which.
        router: RouterId,
    },
    /// After [`Input::Stop`] or [`Input::Release`]: everything is withdrawn, the process may end.
    Stopped,
}

/// A packet to send.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transmit {
    /// Whose advert it is.
    pub router: RouterId,
    /// Where to send it; `None`: where the route to `dst` leads (unicast).
    pub interface: Option<InterfaceId>,
    /// IP version.
    pub family: Family,
    /// Source address.
    pub src: IpAddr,
    /// Destination address: the multicast group or a unicast peer.
    pub dst: IpAddr,
    /// IP protocol: 112, or 51 with AH.
    pub protocol: u8,
    /// TTL or hop limit.
    pub ttl: u8,
    /// IPv4: the whole packet with its header, for a socket with IP_HDRINCL (TOS 0xc0).
    /// IPv6: the payload with its checksum; the traffic class 0xc0 and the hop limit are the socket's.
    pub bytes: Vec<u8>,
}

/// Which addresses to announce.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Announced {
    /// All that the router holds, the unadvertised ones too.
    All,
    /// Those that the last [`Output::Reconcile`] added.
    New,
    /// The source address of its adverts (unicast, after FAULT).
    Source,
}

/// A line for scripts and FIFOs, in the order in which Keepalived writes them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notify {
    /// Instance or group.
    pub subject: Subject,
    /// The instance, if it is one.
    pub router: Option<RouterId>,
    /// Its name.
    pub name: String,
    /// What it became.
    pub kind: NotifyKind,
    /// Effective priority of an instance, 0 for a group.
    pub priority: u8,
}

/// What a notification is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Subject {
    /// A virtual router.
    Instance,
    /// A sync group.
    Group,
}

/// What is notified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum NotifyKind {
    /// It is MASTER.
    Master,
    /// It is BACKUP.
    Backup,
    /// It is in FAULT.
    Fault,
    /// It ends.
    Stop,
    /// It is no longer configured.
    Deleted,
    /// The priority changed while MASTER (`notify_priority_changes`).
    MasterPriority(u8),
    /// The priority changed while not MASTER.
    BackupPriority(u8),
    /// A MASTER heard a lower-priority advert.
    MasterRxLowerPri,
}

impl NotifyKind {
    /// The word in notify scripts and FIFO lines.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Master => "MASTER",
            Self::Backup => "BACKUP",
            Self::Fault => "FAULT",
            Self::Stop => "STOP",
            Self::Deleted => "DELETED",
            Self::MasterPriority(_) => "MASTER_PRIORITY",
            Self::BackupPriority(_) => "BACKUP_PRIORITY",
            Self::MasterRxLowerPri => "MASTER_RX_LOWER_PRI",
        }
    }
}
