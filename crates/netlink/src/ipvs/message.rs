//! The messages of the generic netlink family "IPVS" (`linux/ip_vs.h`), and the one that finds it.
//!
//! Numbers are in host byte order except ports and IPv4 masks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{
    Counters, Destination, DestinationState, Forwarding, Granularity, Info, Persistence, Protocol,
    Request, SchedulerFlags, Service, ServiceKey, ServiceState, SyncDaemon, SyncRole, Timeouts,
    Tunnel, TunnelChecksum,
};
use crate::codec::{Attribute, Attributes, Message, Messages, NLM_F_REQUEST, Writer};
use crate::{Family, KernelError};

/// Netlink type of the controller that knows the families.
pub(super) const GENL_ID_CTRL: u16 = 0x10;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;

const VERSION: u8 = 1;
/// Length of `struct genlmsghdr`.
const GENL_HEADER: usize = 4;

/// Commands.
mod cmd {
    pub(super) const NEW_SERVICE: u8 = 1;
    pub(super) const SET_SERVICE: u8 = 2;
    pub(super) const DEL_SERVICE: u8 = 3;
    pub(super) const GET_SERVICE: u8 = 4;
    pub(super) const NEW_DEST: u8 = 5;
    pub(super) const SET_DEST: u8 = 6;
    pub(super) const DEL_DEST: u8 = 7;
    pub(super) const GET_DEST: u8 = 8;
    pub(super) const NEW_DAEMON: u8 = 9;
    pub(super) const DEL_DAEMON: u8 = 10;
    pub(super) const GET_DAEMON: u8 = 11;
    pub(super) const SET_CONFIG: u8 = 12;
    pub(super) const GET_CONFIG: u8 = 13;
    pub(super) const SET_INFO: u8 = 14;
    pub(super) const GET_INFO: u8 = 15;
    pub(super) const ZERO: u8 = 16;
    pub(super) const FLUSH: u8 = 17;
}

/// Attributes of a command.
mod top {
    pub(super) const SERVICE: u16 = 1;
    pub(super) const DEST: u16 = 2;
    pub(super) const DAEMON: u16 = 3;
    pub(super) const TIMEOUT_TCP: u16 = 4;
    pub(super) const TIMEOUT_TCP_FIN: u16 = 5;
    pub(super) const TIMEOUT_UDP: u16 = 6;
}

/// Attributes of a service.
mod svc {
    pub(super) const AF: u16 = 1;
    pub(super) const PROTOCOL: u16 = 2;
    pub(super) const ADDR: u16 = 3;
    pub(super) const PORT: u16 = 4;
    pub(super) const FWMARK: u16 = 5;
    pub(super) const SCHED_NAME: u16 = 6;
    pub(super) const FLAGS: u16 = 7;
    pub(super) const TIMEOUT: u16 = 8;
    pub(super) const NETMASK: u16 = 9;
    pub(super) const STATS: u16 = 10;
    pub(super) const PE_NAME: u16 = 11;
    pub(super) const STATS64: u16 = 12;
}

/// Attributes of a destination.
mod dest {
    pub(super) const ADDR: u16 = 1;
    pub(super) const PORT: u16 = 2;
    pub(super) const FWD_METHOD: u16 = 3;
    pub(super) const WEIGHT: u16 = 4;
    pub(super) const U_THRESH: u16 = 5;
    pub(super) const L_THRESH: u16 = 6;
    pub(super) const ACTIVE_CONNS: u16 = 7;
    pub(super) const INACT_CONNS: u16 = 8;
    pub(super) const PERSIST_CONNS: u16 = 9;
    pub(super) const STATS: u16 = 10;
    pub(super) const ADDR_FAMILY: u16 = 11;
    pub(super) const STATS64: u16 = 12;
    pub(super) const TUN_TYPE: u16 = 13;
    pub(super) const TUN_PORT: u16 = 14;
    pub(super) const TUN_FLAGS: u16 = 15;
}

/// Attributes of a synchronisation daemon.
mod daemon {
    pub(super) const STATE: u16 = 1;
    pub(super) const MCAST_IFN: u16 = 2;
    pub(super) const SYNC_ID: u16 = 3;
    pub(super) const SYNC_MAXLEN: u16 = 4;
    pub(super) const MCAST_GROUP: u16 = 5;
    pub(super) const MCAST_GROUP6: u16 = 6;
    pub(super) const MCAST_PORT: u16 = 7;
    pub(super) const MCAST_TTL: u16 = 8;
}

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

const F_PERSISTENT: u32 = 0x1;
const F_ONEPACKET: u32 = 0x4;
/// The flags that are ours to set; the kernel keeps others for itself.
const F_OURS: u32 = F_PERSISTENT | F_ONEPACKET | SchedulerFlags::all().bits();

/// Forwarding methods: the low bits of a connection's flags.
const FWD_MASK: u32 = 0x7;
const FWD_MASQ: u32 = 0;
const FWD_TUNNEL: u32 = 2;
const FWD_DROUTE: u32 = 3;

const TUN_IPIP: u8 = 0;
const TUN_GUE: u8 = 1;
const TUN_GRE: u8 = 2;
const TUN_CSUM: u16 = 1;
const TUN_REMCSUM: u16 = 2;

const STATE_MASTER: u32 = 1;
const STATE_BACKUP: u32 = 2;

/// Longest name of a scheduler, persistence engine or interface.
const NAME: usize = 15;
/// What the kernel calls a service without scheduler.
const NO_SCHEDULER: &str = "none";

/// What is read from the kernel in one question.
#[derive(Debug, Clone, Copy)]
pub(super) enum Question<'a> {
    Services,
    Destinations(&'a ServiceKey),
    Daemons,
    Config,
    Info,
}

impl Question<'_> {
    /// Whether the answer is a dump: any number of messages and an end.
    pub(super) const fn is_dump(self) -> bool {
        matches!(self, Self::Services | Self::Destinations(_) | Self::Daemons)
    }
}

/// What a message of the kernel says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// A service.
    Service(ServiceState),
    /// A destination.
    Destination(DestinationState),
    /// A synchronisation daemon.
    Daemon(SyncDaemon),
    /// Time-outs.
    Timeouts(Timeouts),
    /// Version and size.
    Info(Info),
}

/// Reads the messages of a datagram that came from the family; destinations are said to be those of
/// `service`. Never fails: what cannot be understood is left out. For captures and tests; who talks
/// to the kernel uses [`Ipvs`](super::Ipvs).
#[must_use]
pub fn decode(datagram: &[u8], service: &ServiceKey) -> Vec<Reply> {
    let read = |message: Message<'_>| match message.payload.first().copied()? {
        cmd::NEW_SERVICE => parse_service(&message, Depth::Counters).map(Reply::Service),
        cmd::NEW_DEST => {
            parse_destination(&message, service, Depth::Counters).map(Reply::Destination)
        }
        cmd::NEW_DAEMON => parse_daemon(&message).map(Reply::Daemon),
        cmd::SET_CONFIG => parse_config(&message).map(Reply::Timeouts),
        cmd::SET_INFO => parse_info(&message).map(Reply::Info),
        _ => None,
    };
    Messages(datagram).filter_map(read).collect()
}

/// Writes a request as one message, with the number 1 and the family 0. For captures and tests.
///
/// # Errors
/// [`KernelError::Unsupported`] for what cannot be expressed.
pub fn encode(request: &Request) -> Result<Vec<u8>, KernelError> {
    let mut writer = Writer::default();
    put(request, (0, NLM_F_REQUEST, 1), &mut writer)?;
    Ok(writer.bytes().to_vec())
}

/// Writes the question for the number of a family.
pub(super) fn put_get_family(name: &str, seq: u32, writer: &mut Writer) -> bool {
    writer.begin(GENL_ID_CTRL, NLM_F_REQUEST, seq);
    header(CTRL_CMD_GETFAMILY, writer);
    writer.attr_str(CTRL_ATTR_FAMILY_NAME, name);
    writer.end()
}

/// The number of a family.
pub(super) fn parse_family(message: &Message<'_>) -> Option<u16> {
    let (_, mut attributes) = message.split(GENL_HEADER)?;
    attributes.find(|attribute| attribute.kind == CTRL_ATTR_FAMILY_ID)?.u16()
}

/// Writes a question.
pub(super) fn put_question(
    question: Question<'_>,
    (family, flags, seq): (u16, u16, u32),
    writer: &mut Writer,
) -> bool {
    writer.begin(family, flags, seq);
    match question {
        Question::Services => header(cmd::GET_SERVICE, writer),
        Question::Destinations(key) => {
            header(cmd::GET_DEST, writer);
            writer.nest(top::SERVICE, |writer| put_key(key, writer));
        }
        Question::Daemons => header(cmd::GET_DAEMON, writer),
        Question::Config => header(cmd::GET_CONFIG, writer),
        Question::Info => header(cmd::GET_INFO, writer),
    }
    writer.end()
}

/// Writes a request. One that cannot be expressed leaves nothing behind.
pub(super) fn put(
    request: &Request,
    (family, flags, seq): (u16, u16, u32),
    writer: &mut Writer,
) -> Result<(), KernelError> {
    check(request)?;
    writer.begin(family, flags, seq);
    match request {
        Request::NewService(key, service) => put_full(cmd::NEW_SERVICE, key, service, writer),
        Request::SetService(key, service) => put_full(cmd::SET_SERVICE, key, service, writer),
        Request::DelService(key) => {
            header(cmd::DEL_SERVICE, writer);
            writer.nest(top::SERVICE, |writer| put_key(key, writer));
        }
        Request::NewDestination(key, address, settings) => {
            put_destination(cmd::NEW_DEST, key, *address, Some(settings), writer);
        }
        Request::SetDestination(key, address, settings) => {
            put_destination(cmd::SET_DEST, key, *address, Some(settings), writer);
        }
        Request::DelDestination(key, address) => {
            put_destination(cmd::DEL_DEST, key, *address, None, writer);
        }
        Request::SetTimeouts(timeouts) => {
            header(cmd::SET_CONFIG, writer);
            writer.attr_u32(top::TIMEOUT_TCP, timeouts.tcp);
            writer.attr_u32(top::TIMEOUT_TCP_FIN, timeouts.tcp_fin);
            writer.attr_u32(top::TIMEOUT_UDP, timeouts.udp);
        }
        Request::StartDaemon(daemon) => {
            header(cmd::NEW_DAEMON, writer);
            writer.nest(top::DAEMON, |writer| put_daemon(daemon, writer));
        }
        Request::StopDaemon(role) => {
            header(cmd::DEL_DAEMON, writer);
            writer.nest(top::DAEMON, |writer| writer.attr_u32(daemon::STATE, state_of(*role)));
        }
        Request::Zero(key) => {
            header(cmd::ZERO, writer);
            if let Some(key) = key {
                writer.nest(top::SERVICE, |writer| put_key(key, writer));
            }
        }
        Request::Flush => header(cmd::FLUSH, writer),
    }
    if writer.end() { Ok(()) } else { Err(KernelError::Unsupported("request that is too long")) }
}

/// Refuses what the kernel would take for something else.
pub(super) fn check(request: &Request) -> Result<(), KernelError> {
    let unsupported = |what| Err(KernelError::Unsupported(what));
    if let Some(ServiceKey::FwMark { mark: 0, .. }) = request.service() {
        return unsupported("firewall mark 0");
    }
    match request {
        Request::NewService(key, service) | Request::SetService(key, service) => {
            if !fits(&service.scheduler) {
                return unsupported("name of a scheduler longer than 15 bytes");
            }
            if !service.engine.as_deref().is_none_or(|name| fits(name) && !name.is_empty()) {
                return unsupported("name of a persistence engine that is not 1 to 15 bytes");
            }
            match (key.family(), service.persistence.map(|it| it.granularity)) {
                (Family::V4, Some(Granularity::Bits(_))) => {
                    unsupported("persistence granularity in bits for IPv4")
                }
                (Family::V6, Some(Granularity::Mask(_))) => {
                    unsupported("persistence granularity by mask for IPv6")
                }
                _ => Ok(()),
            }
        }
        Request::StartDaemon(daemon) if !fits(&daemon.interface) || daemon.interface.is_empty() => {
            unsupported("name of an interface that is not 1 to 15 bytes")
        }
        _ => Ok(()),
    }
}

fn fits(name: &str) -> bool {
    name.len() <= NAME && !name.contains('\0')
}

fn header(command: u8, writer: &mut Writer) {
    writer.put(&[command, VERSION, 0, 0]);
}

fn number_of(family: Family) -> u16 {
    match family {
        Family::V4 => AF_INET,
        Family::V6 => AF_INET6,
    }
}

/// An address in a field that has room for either family.
fn put_address(kind: u16, ip: IpAddr, writer: &mut Writer) {
    let mut bytes = [0; 16];
    match ip {
        IpAddr::V4(ip) => bytes[..4].copy_from_slice(&ip.octets()),
        IpAddr::V6(ip) => bytes = ip.octets(),
    }
    writer.attr(kind, &bytes);
}

fn put_key(key: &ServiceKey, writer: &mut Writer) {
    writer.attr_u16(svc::AF, number_of(key.family()));
    match key {
        ServiceKey::Address { protocol, address } => {
            writer.attr_u16(svc::PROTOCOL, protocol.number().into());
            put_address(svc::ADDR, address.ip(), writer);
            writer.attr_be16(svc::PORT, address.port());
        }
        ServiceKey::FwMark { mark, .. } => writer.attr_u32(svc::FWMARK, *mark),
    }
}

fn put_full(command: u8, key: &ServiceKey, service: &Service, writer: &mut Writer) {
    header(command, writer);
    writer.nest(top::SERVICE, |writer| {
        put_key(key, writer);
        let scheduler = Some(service.scheduler.as_str()).filter(|name| !name.is_empty());
        writer.attr_str(svc::SCHED_NAME, scheduler.unwrap_or(NO_SCHEDULER));
        if let Some(engine) = &service.engine {
            writer.attr_str(svc::PE_NAME, engine);
        }
        let mut flags = service.flags.bits();
        if service.one_packet {
            flags |= F_ONEPACKET;
        }
        if service.persistence.is_some() {
            flags |= F_PERSISTENT;
        }
        let mut both = [0; 8];
        both[..4].copy_from_slice(&flags.to_ne_bytes());
        both[4..].copy_from_slice(&F_OURS.to_ne_bytes());
        writer.attr(svc::FLAGS, &both);
        writer.attr_u32(svc::TIMEOUT, service.persistence.map_or(0, |it| it.timeout));
        // The kernel wants one even where nothing persists.
        let granularity = service.persistence.map(|it| it.granularity);
        match (granularity, key.family()) {
            (Some(Granularity::Mask(mask)), _) => writer.attr(svc::NETMASK, &mask.octets()),
            (Some(Granularity::Bits(bits)), _) => writer.attr_u32(svc::NETMASK, bits.into()),
            (_, Family::V4) => writer.attr_u32(svc::NETMASK, u32::MAX),
            (_, Family::V6) => writer.attr_u32(svc::NETMASK, 128),
        }
    });
}

fn put_destination(
    command: u8,
    key: &ServiceKey,
    address: SocketAddr,
    settings: Option<&Destination>,
    writer: &mut Writer,
) {
    header(command, writer);
    writer.nest(top::SERVICE, |writer| put_key(key, writer));
    writer.nest(top::DEST, |writer| {
        writer.attr_u16(dest::ADDR_FAMILY, number_of(Family::of(address.ip())));
        put_address(dest::ADDR, address.ip(), writer);
        writer.attr_be16(dest::PORT, address.port());
        let Some(settings) = settings else { return };
        writer.attr_u32(dest::FWD_METHOD, method_of(settings.forwarding));
        writer.attr_u32(dest::WEIGHT, settings.weight);
        writer.attr_u32(dest::U_THRESH, settings.upper);
        writer.attr_u32(dest::L_THRESH, settings.lower);
        if let Forwarding::Tunnel(tunnel) = settings.forwarding {
            let (kind, port, checksum) = match tunnel {
                Tunnel::Ipip => (TUN_IPIP, 0, TunnelChecksum::None),
                Tunnel::Gue { port, checksum } => (TUN_GUE, port, checksum),
                Tunnel::Gre { checksum } => (TUN_GRE, 0, checksum),
                Tunnel::Other(kind) => (kind, 0, TunnelChecksum::None),
            };
            let flags = match checksum {
                TunnelChecksum::None => 0,
                TunnelChecksum::Full => TUN_CSUM,
                TunnelChecksum::Remote => TUN_REMCSUM,
                TunnelChecksum::Other(flags) => flags,
            };
            writer.attr_u8(dest::TUN_TYPE, kind);
            writer.attr_be16(dest::TUN_PORT, port);
            writer.attr_u16(dest::TUN_FLAGS, flags);
        }
    });
}

fn method_of(forwarding: Forwarding) -> u32 {
    match forwarding {
        Forwarding::Nat => FWD_MASQ,
        Forwarding::Dr => FWD_DROUTE,
        Forwarding::Tunnel(_) => FWD_TUNNEL,
        Forwarding::Other(number) => number.into(),
    }
}

const fn state_of(role: SyncRole) -> u32 {
    match role {
        SyncRole::Master => STATE_MASTER,
        SyncRole::Backup => STATE_BACKUP,
    }
}

fn put_daemon(daemon: &SyncDaemon, writer: &mut Writer) {
    writer.attr_u32(daemon::STATE, state_of(daemon.role));
    writer.attr_str(daemon::MCAST_IFN, &daemon.interface);
    writer.attr_u32(daemon::SYNC_ID, daemon.sync_id.into());
    if let Some(len) = daemon.max_len {
        writer.attr_u16(daemon::SYNC_MAXLEN, len);
    }
    match daemon.group {
        Some(ip @ IpAddr::V4(_)) => writer.attr_ip(daemon::MCAST_GROUP, ip),
        Some(ip @ IpAddr::V6(_)) => writer.attr_ip(daemon::MCAST_GROUP6, ip),
        None => {}
    }
    if let Some(port) = daemon.port {
        writer.attr_u16(daemon::MCAST_PORT, port);
    }
    if let Some(ttl) = daemon.ttl {
        writer.attr_u8(daemon::MCAST_TTL, ttl);
    }
}

/// The attribute of a command's answer.
fn find<'a>(message: &Message<'a>, command: u8, kind: u16) -> Option<Attribute<'a>> {
    let (head, mut attributes) = message.split(GENL_HEADER)?;
    if head[0] != command {
        return None;
    }
    attributes.find(|attribute| attribute.kind == kind)
}

/// Whether counters are read, too: they are most of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    Settings,
    Counters,
}

/// Reads a service of a dump. None for one that cannot be ours: of a family or protocol that this
/// crate does not know.
pub(super) fn parse_service(message: &Message<'_>, depth: Depth) -> Option<ServiceState> {
    let mut family = None;
    let mut protocol = None;
    let (mut address, mut port, mut mark) = (None, 0, None);
    let mut service = Service::new("");
    let (mut flags, mut timeout, mut netmask) = (0, 0, [0; 4]);
    let (mut counters, mut wide) = (Counters::default(), false);
    for attribute in find(message, cmd::NEW_SERVICE, top::SERVICE)?.nested() {
        match attribute.kind {
            svc::AF => family = family_of(attribute.u16()?),
            svc::PROTOCOL => protocol = Protocol::from_number(attribute.u16()?),
            svc::ADDR => address = Some(attribute.data),
            svc::PORT => port = big_endian(attribute.data)?,
            svc::FWMARK => mark = attribute.u32().filter(|mark| *mark != 0),
            svc::SCHED_NAME => service.scheduler = attribute.text(),
            svc::PE_NAME => service.engine = Some(attribute.text()).filter(|it| !it.is_empty()),
            svc::FLAGS => flags = attribute.u32()?,
            svc::TIMEOUT => timeout = attribute.u32()?,
            svc::NETMASK => netmask = *attribute.data.first_chunk::<4>()?,
            svc::STATS | svc::STATS64 if depth == Depth::Settings => {}
            svc::STATS if !wide => counters = parse_counters(attribute.nested(), false),
            svc::STATS64 => {
                wide = true;
                counters = parse_counters(attribute.nested(), true);
            }
            _ => {}
        }
    }
    let family = family?;
    if service.scheduler == NO_SCHEDULER {
        service.scheduler.clear();
    }
    service.flags = SchedulerFlags::from_bits_truncate(flags);
    service.one_packet = flags & F_ONEPACKET != 0;
    if flags & F_PERSISTENT != 0 {
        let granularity = match (family, u32::from_ne_bytes(netmask)) {
            (Family::V4, u32::MAX) => Granularity::Host,
            (Family::V4, _) => Granularity::Mask(Ipv4Addr::from(netmask)),
            (Family::V6, bits) => Granularity::prefix(family, u8::try_from(bits).unwrap_or(128)),
        };
        service.persistence = Some(Persistence { timeout, granularity });
    }
    let key = match mark {
        Some(mark) => ServiceKey::mark(family, mark),
        None => {
            let address = SocketAddr::new(parse_address(family, address?)?, port);
            ServiceKey::address(protocol?, address)
        }
    };
    Some(ServiceState { key, service, counters })
}

/// Reads a destination of a dump of those of a service.
pub(super) fn parse_destination(
    message: &Message<'_>,
    service: &ServiceKey,
    depth: Depth,
) -> Option<DestinationState> {
    // Kernels before 3.18 do not tell the family: it is the service's.
    let mut family = service.family();
    let (mut address, mut port) = (None, 0);
    let (mut method, mut tunnel, mut tunnel_port, mut tunnel_flags) = (0, 0, 0, 0);
    let mut destination = Destination::new(Forwarding::Nat, 0);
    let (mut active, mut inactive, mut persistent) = (0, 0, 0);
    let (mut counters, mut wide) = (Counters::default(), false);
    for attribute in find(message, cmd::NEW_DEST, top::DEST)?.nested() {
        match attribute.kind {
            dest::ADDR_FAMILY => family = family_of(attribute.u16()?)?,
            dest::ADDR => address = Some(attribute.data),
            dest::PORT => port = big_endian(attribute.data)?,
            dest::FWD_METHOD => method = attribute.u32()? & FWD_MASK,
            dest::WEIGHT => destination.weight = attribute.u32()?,
            dest::U_THRESH => destination.upper = attribute.u32()?,
            dest::L_THRESH => destination.lower = attribute.u32()?,
            dest::ACTIVE_CONNS => active = attribute.u32()?,
            dest::INACT_CONNS => inactive = attribute.u32()?,
            dest::PERSIST_CONNS => persistent = attribute.u32()?,
            dest::TUN_TYPE => tunnel = attribute.u8()?,
            dest::TUN_PORT => tunnel_port = big_endian(attribute.data)?,
            dest::TUN_FLAGS => tunnel_flags = attribute.u16()?,
            dest::STATS | dest::STATS64 if depth == Depth::Settings => {}
            dest::STATS if !wide => counters = parse_counters(attribute.nested(), false),
            dest::STATS64 => {
                wide = true;
                counters = parse_counters(attribute.nested(), true);
            }
            _ => {}
        }
    }
    destination.forwarding = match method {
        FWD_MASQ => Forwarding::Nat,
        FWD_DROUTE => Forwarding::Dr,
        FWD_TUNNEL => Forwarding::Tunnel(parse_tunnel(tunnel, tunnel_port, tunnel_flags)),
        other => Forwarding::Other(u8::try_from(other).unwrap_or(u8::MAX)),
    };
    let address = SocketAddr::new(parse_address(family, address?)?, port);
    let service = *service;
    Some(DestinationState { service, address, destination, active, inactive, persistent, counters })
}

fn parse_tunnel(kind: u8, port: u16, flags: u16) -> Tunnel {
    let checksum = match flags {
        0 => TunnelChecksum::None,
        TUN_CSUM => TunnelChecksum::Full,
        TUN_REMCSUM => TunnelChecksum::Remote,
        other => TunnelChecksum::Other(other),
    };
    match kind {
        TUN_IPIP => Tunnel::Ipip,
        TUN_GUE => Tunnel::Gue { port, checksum },
        TUN_GRE => Tunnel::Gre { checksum },
        other => Tunnel::Other(other),
    }
}

/// Reads a synchronisation daemon of a dump.
pub(super) fn parse_daemon(message: &Message<'_>) -> Option<SyncDaemon> {
    let mut role = None;
    let mut daemon = SyncDaemon::new(SyncRole::Master, "", 0);
    for attribute in find(message, cmd::NEW_DAEMON, top::DAEMON)?.nested() {
        match attribute.kind {
            daemon::STATE => {
                role = match attribute.u32()? {
                    STATE_MASTER => Some(SyncRole::Master),
                    STATE_BACKUP => Some(SyncRole::Backup),
                    _ => None,
                };
            }
            daemon::MCAST_IFN => daemon.interface = attribute.text(),
            daemon::SYNC_ID => daemon.sync_id = u8::try_from(attribute.u32()?).ok()?,
            daemon::SYNC_MAXLEN => daemon.max_len = Some(attribute.u16()?),
            daemon::MCAST_GROUP | daemon::MCAST_GROUP6 => daemon.group = Some(attribute.ip()?),
            daemon::MCAST_PORT => daemon.port = Some(attribute.u16()?),
            daemon::MCAST_TTL => daemon.ttl = Some(attribute.u8()?),
            _ => {}
        }
    }
    Some(SyncDaemon { role: role?, ..daemon })
}

/// Reads the time-outs.
pub(super) fn parse_config(message: &Message<'_>) -> Option<Timeouts> {
    let read = |kind| find(message, cmd::SET_CONFIG, kind)?.u32();
    Some(Timeouts {
        tcp: read(top::TIMEOUT_TCP)?,
        tcp_fin: read(top::TIMEOUT_TCP_FIN)?,
        udp: read(top::TIMEOUT_UDP)?,
    })
}

/// Reads version and size.
pub(super) fn parse_info(message: &Message<'_>) -> Option<Info> {
    const VERSION: u16 = 1;
    const CONN_TAB_SIZE: u16 = 2;
    let [_, major, minor, patch] = find(message, cmd::SET_INFO, VERSION)?.u32()?.to_be_bytes();
    let connection_table = find(message, cmd::SET_INFO, CONN_TAB_SIZE)?.u32()?;
    Some(Info { version: (major, minor, patch), connection_table })
}

fn parse_counters(attributes: Attributes<'_>, wide: bool) -> Counters {
    let mut counters = Counters::default();
    for attribute in attributes {
        let field = match attribute.kind {
            1 => &mut counters.connections,
            2 => &mut counters.packets_in,
            3 => &mut counters.packets_out,
            4 => &mut counters.bytes_in,
            5 => &mut counters.bytes_out,
            6 => &mut counters.connection_rate,
            7 => &mut counters.packet_rate_in,
            8 => &mut counters.packet_rate_out,
            9 => &mut counters.byte_rate_in,
            10 => &mut counters.byte_rate_out,
            _ => continue,
        };
        // Bytes have always been wide.
        let value = if wide || matches!(attribute.kind, 4 | 5) {
            attribute.data.first_chunk::<8>().map(|chunk| u64::from_ne_bytes(*chunk))
        } else {
            attribute.u32().map(u64::from)
        };
        *field = value.unwrap_or(0);
    }
    counters
}

fn family_of(number: u16) -> Option<Family> {
    match number {
        AF_INET => Some(Family::V4),
        AF_INET6 => Some(Family::V6),
        _ => None,
    }
}

fn parse_address(family: Family, bytes: &[u8]) -> Option<IpAddr> {
    match family {
        Family::V4 => Some(Ipv4Addr::from(*bytes.first_chunk::<4>()?).into()),
        Family::V6 => Some(Ipv6Addr::from(*bytes.first_chunk::<16>()?).into()),
    }
}

fn big_endian(bytes: &[u8]) -> Option<u16> {
    bytes.first_chunk::<2>().map(|chunk| u16::from_be_bytes(*chunk))
}

#[cfg(test)]
mod tests;
