//! Watches the kernel's addresses in a machine: what appeared and vanished, and when.

use std::collections::HashSet;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, setsockopt,
    socket, sockopt,
};
use nix::sys::time::TimeVal;

use crate::journal::Journal;
use crate::{Clock, LabError, Namespace};

/// Multicast groups RTMGRP_IPV4_IFADDR and RTMGRP_IPV6_IFADDR (linux/rtnetlink.h).
const GROUPS: u32 = 0x10 | 0x100;

/// An address that was added to a machine, or removed from it.
#[derive(Debug, Clone)]
pub struct AddressChange {
    /// When we read of it, on the laboratory's clock.
    pub at: Duration,
    /// The machine.
    pub node: String,
    /// Added, or removed.
    pub added: bool,
    /// The address.
    pub address: IpAddr,
    /// Length of the prefix.
    pub prefix: u8,
    /// Index of the interface.
    pub interface: u32,
    /// The label, for IPv4.
    pub label: Option<String>,
}

/// The running watcher; ends when dropped.
#[derive(Debug)]
pub(crate) struct Watcher {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    /// Starts to watch `namespace`.
    pub(crate) fn start(
        namespace: &Namespace,
        clock: Clock,
        journal: Journal<AddressChange>,
    ) -> Result<Self, LabError> {
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        let node = namespace.name().to_owned();
        let thread = namespace
            .run(move || {
                let socket = open()?;
                Ok(thread::spawn(move || {
                    let mut present = HashSet::new();
                    while !flag.load(Ordering::Relaxed) {
                        receive(&socket, &node, clock, &journal, &mut present);
                    }
                }))
            })
            .map_err(|errno: Errno| LabError::Io {
                what: "open a netlink socket".into(),
                source: errno.into(),
            })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn open() -> Result<OwnedFd, Errno> {
    let socket = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkRoute,
    )?;
    let wanted = 8 << 20;
    if setsockopt(&socket, sockopt::RcvBufForce, &wanted).is_err() {
        setsockopt(&socket, sockopt::RcvBuf, &wanted)?;
    }
    setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::new(0, 50_000))?;
    bind(socket.as_raw_fd(), &NetlinkAddr::new(0, GROUPS))?;
    Ok(socket)
}

/// What is there: address, length of the prefix, interface.
type Present = HashSet<(IpAddr, u8, u32)>;

fn receive(
    socket: &OwnedFd,
    node: &str,
    clock: Clock,
    journal: &Journal<AddressChange>,
    present: &mut Present,
) {
    let mut buffer = [0_u8; 32 << 10];
    let Ok(length) = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) else { return };
    let at = clock.now();
    let mut rest = &buffer[..length];
    while let Ok(message) = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest) {
        let size = (message.header.length as usize).next_multiple_of(4);
        let change = match &message.payload {
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewAddress(it)) => read(it, true),
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelAddress(it)) => read(it, false),
            _ => None,
        };
        if let Some((added, address, label)) = change {
            let (prefix, interface) = (prefix(&message.payload), interface(&message.payload));
            let key = (address, prefix, interface);
            // The kernel tells of an address again when only its flags or lifetimes change.
            let news = if added { present.insert(key) } else { present.remove(&key) };
            if news {
                let node = node.to_owned();
                journal.push(AddressChange { at, node, added, address, prefix, interface, label });
            }
        }
        if size == 0 || size >= rest.len() {
            break;
        }
        rest = &rest[size..];
    }
}

fn read(message: &AddressMessage, added: bool) -> Option<(bool, IpAddr, Option<String>)> {
    let mut address = None;
    let mut label = None;
    for attribute in &message.attributes {
        match attribute {
            // IFA_LOCAL is the address itself; IFA_ADDRESS may be the peer's.
            AddressAttribute::Local(local) => address = Some(*local),
            AddressAttribute::Address(other) if address.is_none() => address = Some(*other),
            AddressAttribute::Label(text) => label = Some(text.clone()),
            _ => {}
        }
    }
    address.map(|address| (added, address, label))
}

fn header(payload: &NetlinkPayload<RouteNetlinkMessage>) -> Option<&AddressMessage> {
    match payload {
        NetlinkPayload::InnerMessage(
            RouteNetlinkMessage::NewAddress(it) | RouteNetlinkMessage::DelAddress(it),
        ) => Some(it),
        _ => None,
    }
}

fn prefix(payload: &NetlinkPayload<RouteNetlinkMessage>) -> u8 {
    header(payload).map_or(0, |it| it.header.prefix_len)
}

fn interface(payload: &NetlinkPayload<RouteNetlinkMessage>) -> u32 {
    header(payload).map_or(0, |it| it.header.index)
}
