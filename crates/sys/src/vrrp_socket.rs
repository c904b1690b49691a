//! Raw sockets for VRRP (IP protocol 112) and, with authentication type AH, protocol 51.
//!
//! Receiving and sending are apart. One [`Receiver`] serves all virtual routers of an interface,
//! family and protocol: the kernel copies each packet once per matching socket. One [`Sender`]
//! serves all interfaces of a family: the interface and the source address go with each packet, so
//! that all adverts that are due together leave in one system call.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::net::if_::if_indextoname;

use crate::ffi;
use crate::mmsg::{self, Address, Control, Outgoing};
pub use crate::mmsg::{Received, RecvBatch, SendFailure};

/// VRRP's protocol number (RFC 9568 §5.1.1.4).
pub const PROTOCOL_VRRP: u8 = 112;
/// The Authentication Header's protocol number (RFC 4302).
pub const PROTOCOL_AH: u8 = 51;
/// Traffic class of IPv6 adverts: network control (CS6). IPv4's is in the header that the caller
/// writes.
pub const TRAFFIC_CLASS: u8 = 0xc0;

/// TC_PRIO_INTERACTIVE, the highest that needs no privilege; Keepalived's choice too.
const PRIORITY: i32 = 6;
/// Bytes of the sending socket's buffer: a thousand adverts that wait for a slow card.
const SEND_BUFFER: usize = 4 << 20;

/// IP version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// The group that adverts are sent to: 224.0.0.18 or ff02::12.
    pub const fn group(self) -> IpAddr {
        match self {
            Self::V4 => IpAddr::V4(Ipv4Addr::new(224, 0, 0, 18)),
            Self::V6 => IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12)),
        }
    }

    const fn domain(self) -> i32 {
        match self {
            Self::V4 => libc::AF_INET,
            Self::V6 => libc::AF_INET6,
        }
    }
}

/// What a [`Receiver`] shall hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiverConfig {
    /// IP version.
    pub family: Family,
    /// [`PROTOCOL_VRRP`] or [`PROTOCOL_AH`].
    pub protocol: u8,
    /// Hear only what comes in by this interface.
    pub ifindex: Option<u32>,
    /// Hear only what is sent to this address (unicast). It need not exist yet.
    pub local: Option<IpAddr>,
    /// Bytes of the receive buffer, beyond the system's limit if we may; `None` leaves the
    /// system's default.
    pub buffer: Option<usize>,
}

/// Receives VRRP packets.
#[derive(Debug)]
pub struct Receiver {
    fd: OwnedFd,
    family: Family,
}

impl Receiver {
    /// Opens the socket; for multicast [`Self::join`] follows.
    ///
    /// # Errors
    /// `PermissionDenied` without CAP_NET_RAW; `NotFound`/ENODEV if the interface is gone; an
    /// address of the other family is `InvalidInput`.
    pub fn open(config: &ReceiverConfig) -> io::Result<Self> {
        let family = config.family;
        let fd = ffi::socket(family.domain(), libc::SOCK_RAW, i32::from(config.protocol))?;
        let socket = fd.as_fd();
        let on = 1;
        let off = 0;
        if let Some(ifindex) = config.ifindex {
            bind_to_interface(socket, ifindex)?;
        }
        match family {
            Family::V4 => {
                ffi::set_option(socket, libc::IPPROTO_IP, libc::IP_PKTINFO, on)?;
                // Otherwise it hears groups that any other socket of the machine has joined.
                ffi::set_option(socket, libc::IPPROTO_IP, libc::IP_MULTICAST_ALL, off)?;
            }
            Family::V6 => {
                ffi::set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, on)?;
                ffi::set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVHOPLIMIT, on)?;
                // For receivers with a local address; those without hear every group that the
                // interface is a member of, whoever joined. Linux 4.20; older kernels cannot do
                // without, the caller filters anyway.
                let _ = ffi::set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_ALL, off);
            }
        }
        ffi::set_option(socket, libc::SOL_SOCKET, libc::SO_RXQ_OVFL, on)?;
        if let Some(bytes) = config.buffer {
            ffi::set_buffer(socket, libc::SO_RCVBUFFORCE, libc::SO_RCVBUF, bytes)?;
        }
        if let Some(local) = config.local {
            if Family::of(local) != family {
                return Err(io::Error::from(io::ErrorKind::InvalidInput));
            }
            set_freebind(socket, family)?;
            ffi::bind(socket, &Address::ip(local, config.ifindex.unwrap_or(0)))?;
        }
        Ok(Self { fd, family })
    }

    /// Joins a multicast group on an interface. To have joined already is no error. At most 20
    /// memberships per IPv4 socket (sysctl `net.ipv4.igmp_max_memberships`). An IPv6 receiver
    /// without a local address also hears groups that other sockets have joined there.
    ///
    /// # Errors
    /// The interface is gone or has no multicast; a unicast address or one of the other family.
    pub fn join(&self, group: IpAddr, ifindex: u32) -> io::Result<()> {
        let result = self.membership(group, ifindex, true);
        match result {
            Err(error) if error.raw_os_error() == Some(libc::EADDRINUSE) => Ok(()),
            other => other,
        }
    }

    /// Leaves a group. Not to be a member is no error: the kernel drops memberships of interfaces
    /// that vanish.
    ///
    /// # Errors
    /// An address of the other family.
    pub fn leave(&self, group: IpAddr, ifindex: u32) -> io::Result<()> {
        match self.membership(group, ifindex, false) {
            Err(error)
                if matches!(error.raw_os_error(), Some(libc::EADDRNOTAVAIL | libc::ENODEV)) =>
            {
                Ok(())
            }
            other => other,
        }
    }

    /// Receives waiting packets without blocking: how many, 0 if there are none. What they are is
    /// in the batch.
    ///
    /// # Errors
    /// ENETDOWN is reported once when the interface goes down; the socket works on.
    pub fn receive(&self, batch: &mut RecvBatch) -> io::Result<usize> {
        batch.receive(self.fd.as_fd())
    }

    /// The size of the receive buffer as the kernel counts it (twice what was asked for).
    ///
    /// # Errors
    /// None that a caller could cause.
    pub fn buffer(&self) -> io::Result<usize> {
        let bytes = ffi::int_option(self.fd.as_fd(), libc::SOL_SOCKET, libc::SO_RCVBUF)?;
        Ok(bytes.unsigned_abs() as usize)
    }

    fn membership(&self, group: IpAddr, ifindex: u32, join: bool) -> io::Result<()> {
        let socket = self.fd.as_fd();
        match (self.family, group) {
            (Family::V4, IpAddr::V4(group)) => {
                let request = libc::ip_mreqn {
                    imr_multiaddr: libc::in_addr { s_addr: u32::from_ne_bytes(group.octets()) },
                    imr_address: libc::in_addr { s_addr: 0 },
                    imr_ifindex: ifindex.cast_signed(),
                };
                let name = if join { libc::IP_ADD_MEMBERSHIP } else { libc::IP_DROP_MEMBERSHIP };
                ffi::set_option(socket, libc::IPPROTO_IP, name, request)
            }
            (Family::V6, IpAddr::V6(group)) => {
                let request = libc::ipv6_mreq {
                    ipv6mr_multiaddr: libc::in6_addr { s6_addr: group.octets() },
                    ipv6mr_interface: ifindex,
                };
                let name =
                    if join { libc::IPV6_ADD_MEMBERSHIP } else { libc::IPV6_DROP_MEMBERSHIP };
                ffi::set_option(socket, libc::IPPROTO_IPV6, name, request)
            }
            _ => Err(io::Error::from(io::ErrorKind::InvalidInput)),
        }
    }
}

impl AsFd for Receiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// A packet to send.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// The interface it leaves by; `None`: where the route to `destination` leads.
    pub ifindex: Option<u32>,
    /// Source address. It need not be ours.
    pub source: IpAddr,
    /// Destination: group or peer.
    pub destination: IpAddr,
    /// IPv6: the hop limit. (IPv4: the header in `bytes` has the TTL.)
    pub hop_limit: u8,
    /// IPv4: the packet with its header, of which the kernel fills in the checksum, the length
    /// and, if they are 0, the source and the identification. IPv6: what follows the header, with
    /// its checksum; longer than the MTU it is fragmented.
    pub bytes: &'a [u8],
}

/// Sends VRRP packets of one family (and, for IPv6, one protocol) by all interfaces.
#[derive(Debug)]
pub struct Sender {
    fd: OwnedFd,
    family: Family,
}

impl Sender {
    /// Opens the socket. For IPv4 the protocol is in the header of each packet and one sender
    /// serves both protocols.
    ///
    /// # Errors
    /// `PermissionDenied` without CAP_NET_RAW.
    pub fn open(family: Family, protocol: u8) -> io::Result<Self> {
        let off = 0;
        let fd = match family {
            Family::V4 => {
                // IPPROTO_RAW: the header is ours (IP_HDRINCL), and nothing is ever received.
                let fd = ffi::socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_RAW)?;
                ffi::set_option(fd.as_fd(), libc::IPPROTO_IP, libc::IP_MULTICAST_LOOP, off)?;
                fd
            }
            Family::V6 => {
                // Not IPPROTO_RAW: the kernel would not fragment a long list of addresses.
                let fd = ffi::socket(libc::AF_INET6, libc::SOCK_RAW, i32::from(protocol))?;
                let socket = fd.as_fd();
                ffi::refuse_all_input(socket)?;
                ffi::set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_LOOP, off)?;
                let class = i32::from(TRAFFIC_CLASS);
                ffi::set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_TCLASS, class)?;
                fd
            }
        };
        let socket = fd.as_fd();
        set_freebind(socket, family)?;
        ffi::set_option(socket, libc::SOL_SOCKET, libc::SO_PRIORITY, PRIORITY)?;
        ffi::set_buffer(socket, libc::SO_SNDBUFFORCE, libc::SO_SNDBUF, SEND_BUFFER)?;
        Ok(Self { fd, family })
    }

    /// Sends all packets, in order, without blocking, in as few system calls as possible. Returns
    /// those that failed; a failure does not keep back the others.
    pub fn send(&self, packets: &[Packet<'_>]) -> Vec<SendFailure> {
        let outgoing: Vec<_> = packets.iter().map(|packet| self.outgoing(packet)).collect();
        mmsg::send_all(self.fd.as_fd(), &outgoing, 0)
    }

    fn outgoing<'a>(&self, packet: &Packet<'a>) -> Outgoing<'a> {
        let ifindex = packet.ifindex.unwrap_or(0);
        let mut control = Control::new();
        match (self.family, packet.source) {
            (Family::V4, IpAddr::V4(source)) => {
                // struct in_pktinfo: interface, source, (unused when sending).
                let mut info = [0; 12];
                info[..4].copy_from_slice(&ifindex.to_ne_bytes());
                info[4..8].copy_from_slice(&source.octets());
                control.push(libc::IPPROTO_IP, libc::IP_PKTINFO, &info);
            }
            (_, source) => {
                let mut info = [0; 20];
                if let IpAddr::V6(source) = source {
                    info[..16].copy_from_slice(&source.octets());
                }
                info[16..].copy_from_slice(&ifindex.to_ne_bytes());
                control.push(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info);
                let hops = i32::from(packet.hop_limit).to_ne_bytes();
                control.push(libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT, &hops);
            }
        }
        Outgoing { to: Address::ip(packet.destination, ifindex), control, bytes: packet.bytes }
    }
}

/// Restricts a socket to an interface.
fn bind_to_interface(socket: BorrowedFd<'_>, ifindex: u32) -> io::Result<()> {
    let index = ifindex.cast_signed();
    match ffi::set_option(socket, libc::SOL_SOCKET, libc::SO_BINDTOIFINDEX, index) {
        // Before Linux 5.1 only the name will do.
        Err(error) if error.raw_os_error() == Some(libc::ENOPROTOOPT) => {
            let name = if_indextoname(ifindex)?;
            let bytes = name.as_bytes_with_nul();
            ffi::set_option_bytes(socket, libc::SOL_SOCKET, libc::SO_BINDTODEVICE, bytes)
        }
        other => other,
    }
}

/// Lets a socket use addresses that are not (yet) ours.
fn set_freebind(socket: BorrowedFd<'_>, family: Family) -> io::Result<()> {
    match family {
        Family::V4 => ffi::set_option(socket, libc::IPPROTO_IP, libc::IP_FREEBIND, 1),
        Family::V6 => ffi::set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_FREEBIND, 1),
    }
}
