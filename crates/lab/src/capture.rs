//! A packet capture in the switch: who sent which advertisement, ARP or neighbour packet, and when.

use std::io::IoSliceMut;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, UNIX_EPOCH};

use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType,
    recvmsg, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeSpec, TimeVal};

use crate::journal::Journal;
use crate::packet::{Packet, parse};
use crate::{Clock, LabError, Namespace};

/// A frame on its way from a machine into the switch.
#[derive(Debug, Clone)]
pub struct Seen {
    /// When the kernel saw it, on the laboratory's clock.
    pub at: Duration,
    /// The machine that sent it.
    pub node: String,
    /// The number of the link that it came from, from 0.
    pub link: usize,
    /// The frame.
    pub packet: Packet,
}

/// One port of the switch, as the capture knows it.
#[derive(Debug, Clone)]
pub(crate) struct Port {
    pub(crate) index: usize,
    pub(crate) node: String,
    pub(crate) link: usize,
}

/// The running capture; ends when dropped.
#[derive(Debug)]
pub(crate) struct Capture {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// `PACKET_OUTGOING`: our own side sent it (linux/if_packet.h).
const OUTGOING: u8 = 4;

impl Capture {
    /// Starts to capture in the switch's namespace into `journal`.
    pub(crate) fn start(
        switch: &Namespace,
        ports: Vec<Port>,
        clock: Clock,
        journal: Journal<Seen>,
    ) -> Result<Self, LabError> {
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        let thread = switch
            .run(move || {
                let socket = open()?;
                Ok(thread::spawn(move || {
                    while !flag.load(Ordering::Relaxed) {
                        receive(&socket, &ports, clock, &journal);
                    }
                }))
            })
            .map_err(|errno: Errno| LabError::Io {
                what: "open a packet socket".into(),
                source: errno.into(),
            })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn open() -> Result<OwnedFd, Errno> {
    let socket =
        socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll)?;
    setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
    setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::new(0, 50_000))?;
    // As much as we get: the limit applies without privileges in the first user namespace.
    let wanted = 64 << 20;
    if setsockopt(&socket, sockopt::RcvBufForce, &wanted).is_err() {
        setsockopt(&socket, sockopt::RcvBuf, &wanted)?;
    }
    Ok(socket)
}

fn receive(socket: &OwnedFd, ports: &[Port], clock: Clock, journal: &Journal<Seen>) {
    let mut buffer = [0_u8; 2048];
    let mut control = cmsg_space!(TimeSpec);
    let mut parts = [IoSliceMut::new(&mut buffer)];
    let (length, at, from) = {
        let flags = MsgFlags::empty();
        let Ok(message) =
            recvmsg::<LinkAddr>(socket.as_raw_fd(), &mut parts, Some(&mut control), flags)
        else {
            return;
        };
        let stamp = message.cmsgs().ok().and_then(|mut list| {
            list.find_map(|entry| match entry {
                ControlMessageOwned::ScmTimestampns(time) => Some(Duration::from(time)),
                _ => None,
            })
        });
        let at = stamp.map_or_else(|| clock.now(), |since| clock.at(UNIX_EPOCH + since));
        (message.bytes, at, message.address)
    };
    let Some(from) = from else { return };
    if from.pkttype() == OUTGOING {
        return;
    }
    let Some(port) = ports.iter().find(|port| port.index == from.ifindex()) else { return };
    if let Some(packet) = buffer.get(..length).and_then(parse) {
        journal.push(Seen { at, node: port.node.clone(), link: port.link, packet });
    }
}
