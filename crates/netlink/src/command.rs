//! The command socket: batches of requests, and dumps.

use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::SockProtocol;

use crate::codec::{
    HEADER, Message, Messages, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR,
    Writer,
};
use crate::message::{address, link, request, route, rule};
use crate::socket::{DATAGRAM, Received, Socket, Switch};
use crate::{
    Address, AddressFilter, Family, Kernel, KernelError, Link, Request, Route, RouteFilter, Rule,
};

/// Largest datagram of requests, bytes.
const CHUNK: usize = 48 * 1024;
/// What one acknowledgement may take in the receive buffer, bytes: the kernel counts the memory
/// of the packet, not its length.
const ACK_COST: usize = 1536;
/// Payload asked for in the receive buffer, bytes.
const RECEIVE_BUFFER: usize = 1024 * 1024;
/// How often a dump is begun again because something changed meanwhile.
const DUMP_ATTEMPTS: usize = 8;

/// How the command socket is set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetlinkOptions {
    /// Receive buffer in bytes (`vrrp_netlink_cmd_rcv_bufs`); none is 1 MiB, as far as allowed.
    pub receive_buffer: Option<usize>,
    /// Exceed the system's limit for it (`…_force`); needs `CAP_NET_ADMIN`.
    pub force: bool,
    /// How long an answer may take before a request counts as failed.
    pub timeout: Duration,
}

impl Default for NetlinkOptions {
    fn default() -> Self {
        Self { receive_buffer: None, force: true, timeout: Duration::from_secs(2) }
    }
}

/// The kernel of the network namespace in which it was opened.
#[derive(Debug)]
pub struct Netlink {
    socket: Socket,
    timeout: Duration,
    strict: bool,
    /// Requests whose answers certainly fit into the receive buffer.
    window: usize,
    seq: u32,
    writer: Writer,
    buffer: Box<[u8]>,
}

impl Netlink {
    /// Opens a command socket with default options.
    ///
    /// # Errors
    /// [`KernelError::Socket`] when the system refuses.
    pub fn open() -> Result<Self, KernelError> {
        Self::with(&NetlinkOptions::default())
    }

    /// Opens a command socket.
    ///
    /// # Errors
    /// [`KernelError::Socket`] when the system refuses.
    pub fn with(options: &NetlinkOptions) -> Result<Self, KernelError> {
        let socket = Socket::open(SockProtocol::NetlinkRoute, 0).map_err(KernelError::Socket)?;
        socket.switch_on(Switch::CapAck);
        socket.switch_on(Switch::ExtAck);
        let strict = socket.switch_on(Switch::StrictCheck);
        let wanted = options.receive_buffer.unwrap_or(RECEIVE_BUFFER);
        let granted = socket.receive_buffer(wanted, options.force).map_err(KernelError::Socket)?;
        Ok(Self {
            socket,
            timeout: options.timeout,
            strict,
            window: (granted / ACK_COST).clamp(8, 1024),
            seq: 0,
            writer: Writer::with_capacity(CHUNK + 4096),
            buffer: vec![0; DATAGRAM].into_boxed_slice(),
        })
    }

    /// Sends what the writer holds and collects the answers to `pending` (sequence number,
    /// position in `results`), which are in order.
    fn exchange(&mut self, pending: &[(u32, usize)], results: &mut [Result<(), KernelError>]) {
        let mut answered = 0;
        if let Err(error) = self.send_and_collect(pending, &mut answered, results) {
            for (_, position) in &pending[answered..] {
                results[*position] = Err(error.clone());
            }
        }
    }

    fn send_and_collect(
        &mut self,
        pending: &[(u32, usize)],
        answered: &mut usize,
        results: &mut [Result<(), KernelError>],
    ) -> Result<(), KernelError> {
        self.socket.send(self.writer.bytes()).map_err(KernelError::Socket)?;
        let deadline = Instant::now() + self.timeout;
        let mut lost = false;
        while *answered < pending.len() {
            match self.socket.receive(&mut self.buffer).map_err(KernelError::Socket)? {
                Received::Datagram(len) => {
                    for message in Messages(&self.buffer[..len]) {
                        // Anything unexpected is left over from a request that timed out.
                        let rest = &pending[*answered..];
                        let found = rest.iter().position(|(seq, _)| *seq == message.seq);
                        let Some(gap) = found.filter(|_| message.kind == NLMSG_ERROR) else {
                            continue;
                        };
                        // Answers come in order, so a gap means that some were lost.
                        for (_, position) in &rest[..gap] {
                            results[*position] = Err(KernelError::Overrun);
                        }
                        results[rest[gap].1] = result_of(&message);
                        *answered += gap + 1;
                    }
                }
                Received::Junk => {}
                Received::Overrun => lost = true,
                // The kernel has executed everything inside `send`: what is not here now will
                // not come.
                Received::Empty if lost => return Err(KernelError::Overrun),
                Received::Empty => {
                    if !self.socket.wait(deadline).map_err(KernelError::Socket)? {
                        return Err(KernelError::TimedOut);
                    }
                }
            }
        }
        Ok(())
    }

    fn next_seq(&mut self) -> u32 {
        // 0 is what notifications carry.
        self.seq = self.seq.checked_add(1).unwrap_or(1);
        self.seq
    }

    /// Asks for a dump and reads all of it. `body` writes the request, `read` makes an item of a
    /// message of the wanted kind.
    fn dump<T>(
        &mut self,
        (ask, answer): (u16, u16),
        body: impl Fn(&mut Writer),
        read: impl Fn(&Message<'_>) -> Option<T>,
    ) -> Result<Vec<T>, KernelError> {
        for _ in 0..DUMP_ATTEMPTS {
            let seq = self.next_seq();
            self.writer.clear();
            self.writer.begin(ask, NLM_F_REQUEST | NLM_F_DUMP, seq);
            body(&mut self.writer);
            if !self.writer.end() {
                return Err(KernelError::Unsupported("dump filter that is too long"));
            }
            self.socket.send(self.writer.bytes()).map_err(KernelError::Socket)?;
            if let Some(items) = self.read_dump(seq, answer, &read)? {
                return Ok(items);
            }
        }
        Err(KernelError::Unstable)
    }

    /// Reads a dump to its end; none when something changed meanwhile or messages were lost.
    fn read_dump<T>(
        &mut self,
        seq: u32,
        answer: u16,
        read: impl Fn(&Message<'_>) -> Option<T>,
    ) -> Result<Option<Vec<T>>, KernelError> {
        let mut items = Vec::new();
        let mut intact = true;
        let mut deadline = Instant::now() + self.timeout;
        loop {
            match self.socket.receive(&mut self.buffer).map_err(KernelError::Socket)? {
                Received::Datagram(len) => {
                    deadline = Instant::now() + self.timeout;
                    for message in Messages(&self.buffer[..len]) {
                        if message.seq != seq {
                            continue;
                        }
                        intact &= message.flags & NLM_F_DUMP_INTR == 0;
                        match message.kind {
                            NLMSG_DONE | NLMSG_ERROR => {
                                // A table that does not exist is an empty table.
                                match result_of(&message) {
                                    Err(error) if !error.already_gone() => return Err(error),
                                    _ => return Ok(intact.then_some(items)),
                                }
                            }
                            kind if kind == answer => items.extend(read(&message)),
                            _ => {}
                        }
                    }
                }
                Received::Junk => {}
                Received::Overrun => intact = false,
                Received::Empty => {
                    if !self.socket.wait(deadline).map_err(KernelError::Socket)? {
                        return Err(KernelError::TimedOut);
                    }
                }
            }
        }
    }
}

impl Kernel for Netlink {
    fn apply(&mut self, requests: &[Request]) -> Vec<Result<(), KernelError>> {
        let mut results = Vec::with_capacity(requests.len());
        let mut pending = Vec::with_capacity(requests.len().min(self.window));
        self.writer.clear();
        for (position, request) in requests.iter().enumerate() {
            let seq = self.next_seq();
            match request::put(request, seq, &mut self.writer) {
                Ok(()) => {
                    pending.push((seq, position));
                    // Replaced when the answer comes.
                    results.push(Err(KernelError::TimedOut));
                }
                Err(error) => results.push(Err(error)),
            }
            if self.writer.len() >= CHUNK || pending.len() >= self.window {
                self.exchange(&pending, &mut results);
                pending.clear();
                self.writer.clear();
            }
        }
        if !pending.is_empty() {
            self.exchange(&pending, &mut results);
            self.writer.clear();
        }
        results
    }

    fn links(&mut self) -> Result<Vec<Link>, KernelError> {
        self.dump((link::RTM_GETLINK, link::RTM_NEWLINK), link::put_dump, link::parse)
    }

    fn addresses(&mut self, filter: AddressFilter) -> Result<Vec<Address>, KernelError> {
        let strict = self.strict;
        let mut all = Vec::new();
        for family in families(filter.family) {
            let index = filter.ifindex.filter(|_| strict).unwrap_or(0);
            let body = |writer: &mut Writer| address::put_dump(family, index, writer);
            let read = |message: &Message<'_>| {
                address::parse(message)
                    .filter(|address| address.family() == family)
                    .filter(|address| filter.ifindex.is_none_or(|index| index == address.ifindex))
            };
            all.extend(self.dump((address::RTM_GETADDR, address::RTM_NEWADDR), body, read)?);
        }
        Ok(all)
    }

    fn routes(&mut self, filter: RouteFilter) -> Result<Vec<Route>, KernelError> {
        let strict = self.strict;
        let mut all = Vec::new();
        for family in families(filter.family) {
            let body = |writer: &mut Writer| route::put_dump(family, filter, strict, writer);
            let read = |message: &Message<'_>| {
                route::parse(message)
                    .filter(|route| route.family() == family)
                    .filter(|route| filter.admits(route))
            };
            all.extend(self.dump((route::RTM_GETROUTE, route::RTM_NEWROUTE), body, read)?);
        }
        Ok(all)
    }

    fn rules(&mut self, family: Option<Family>) -> Result<Vec<Rule>, KernelError> {
        let mut all = Vec::new();
        for family in families(family) {
            let body = |writer: &mut Writer| rule::put_dump(family, writer);
            let read =
                |message: &Message<'_>| rule::parse(message).filter(|rule| rule.family == family);
            match self.dump((rule::RTM_GETRULE, rule::RTM_NEWRULE), body, read) {
                Ok(rules) => all.extend(rules),
                // A kernel without policy routing, or without this family.
                Err(KernelError::Refused {
                    errno: Errno::EOPNOTSUPP | Errno::EAFNOSUPPORT,
                    ..
                }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }
}

fn families(only: Option<Family>) -> impl Iterator<Item = Family> {
    [Family::V4, Family::V6].into_iter().filter(move |family| only.is_none_or(|it| it == *family))
}

fn result_of(message: &Message<'_>) -> Result<(), KernelError> {
    // The end of a dump may come without a code.
    if message.kind == NLMSG_DONE && message.payload.len() < 4 {
        return Ok(());
    }
    let outcome = message.outcome().ok_or(KernelError::Malformed("acknowledgement"))?;
    match outcome.errno {
        0 => Ok(()),
        errno => {
            Err(KernelError::Refused { errno: Errno::from_raw(errno), message: outcome.message })
        }
    }
}

const _: () = assert!(CHUNK + 0x1_0000 + HEADER < 212_992 - 32, "fits the default send buffer");
