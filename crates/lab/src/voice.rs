//! A voice on the network that belongs to no daemon: sends advertisements as the test wants them,
//! right ones and wrong ones, from the client's machine.

use std::net::{Ipv4Addr, SocketAddrV4};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::{LabError, Namespace};

/// An advertisement over IPv4 to the group 224.0.0.18, with everything that can be wrong in it.
#[derive(Debug, Clone)]
pub struct Call {
    /// VRRP version; 2 and 3 have the same layout but for the interval and the password.
    pub version: u8,
    /// Packet type; 1 is an advertisement.
    pub kind: u8,
    /// Virtual router id.
    pub vrid: u8,
    /// Priority.
    pub priority: u8,
    /// Interval: seconds in version 2, centiseconds in version 3.
    pub interval: u16,
    /// Virtual addresses.
    pub addresses: Vec<Ipv4Addr>,
    /// Time to live; anything but 255 is wrong.
    pub ttl: u32,
    /// Added to the right checksum; anything but 0 makes it wrong.
    pub spoil: u16,
    /// How many bytes of the packet are sent; `usize::MAX` for all.
    pub cut: usize,
}

impl Call {
    /// A right advertisement of version 3.
    #[must_use]
    pub fn v3(vrid: u8, priority: u8, centiseconds: u16, address: Ipv4Addr) -> Self {
        Self {
            version: 3,
            kind: 1,
            vrid,
            priority,
            interval: centiseconds,
            addresses: vec![address],
            ttl: 255,
            spoil: 0,
            cut: usize::MAX,
        }
    }

    /// The VRRP packet with its checksum, sent from `source` to the group.
    fn pdu(&self, source: Ipv4Addr) -> Vec<u8> {
        let count = u8::try_from(self.addresses.len()).unwrap_or(u8::MAX);
        let mut pdu = vec![self.version << 4 | self.kind, self.vrid, self.priority, count];
        pdu.extend(self.interval.to_be_bytes());
        pdu.extend([0, 0]);
        for address in &self.addresses {
            pdu.extend(address.octets());
        }
        let mut covered = pdu.clone();
        if self.version == 2 {
            pdu.extend([0; 8]);
        } else {
            covered.extend(source.octets());
            covered.extend(GROUP.octets());
            covered.extend([0, 112]);
            covered.extend(u16::try_from(pdu.len()).unwrap_or(u16::MAX).to_be_bytes());
        }
        let mut sum: u32 =
            covered.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        let checksum = (!(sum as u16)).wrapping_add(self.spoil);
        pdu[6..8].copy_from_slice(&checksum.to_be_bytes());
        pdu.truncate(self.cut);
        pdu
    }
}

/// The VRRP group of IPv4.
const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);

/// Sends `call` from `machine`, whose address is `source`, `times` times without a pause.
///
/// # Errors
///
/// When the kernel refuses the socket or the packet.
pub fn call(
    machine: &Namespace,
    source: Ipv4Addr,
    call: &Call,
    times: usize,
) -> Result<(), LabError> {
    let (pdu, ttl) = (call.pdu(source), call.ttl);
    machine
        .run(move || {
            let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(112)))?;
            socket.set_multicast_ttl_v4(ttl)?;
            socket.set_multicast_if_v4(&source)?;
            socket.bind(&SockAddr::from(SocketAddrV4::new(source, 0)))?;
            let group = SockAddr::from(SocketAddrV4::new(GROUP, 0));
            for _ in 0..times {
                socket.send_to(&pdu, &group)?;
            }
            Ok(())
        })
        .map_err(|source| LabError::Io { what: "send an advertisement".into(), source })
}
