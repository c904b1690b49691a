//! The IPVS of the real kernel.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::SockProtocol;

use super::message::{self, Depth, Question};
use super::{
    DestinationState, Info, IpvsKernel, ModuleError, Request, ServiceKey, ServiceState, SyncDaemon,
    Table, Timeouts, load_module,
};
use crate::KernelError;
use crate::codec::{
    Message, Messages, NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_DONE,
    NLMSG_ERROR, Writer,
};
use crate::socket::{DATAGRAM, Received, Socket, Switch};

const FAMILY: &str = "IPVS";
/// Largest datagram of requests, bytes.
const CHUNK: usize = 64 * 1024;
/// What one answer may take in the receive buffer, bytes, as the kernel counts it.
const ANSWER_COST: usize = 1536;
/// Payload asked for in the receive buffer, bytes.
const RECEIVE_BUFFER: usize = 1024 * 1024;
/// The least that is asked for whatever was configured: a few answers must fit.
const SMALLEST_BUFFER: usize = 8 * 1024;
/// How often a dump is begun again because something changed meanwhile.
const DUMP_ATTEMPTS: usize = 8;

/// How the socket is set up, and how hard to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IpvsOptions {
    /// Receive buffer in bytes (`lvs_netlink_cmd_rcv_bufs`), at least 8 KiB; none is 1 MiB, as far
    /// as allowed.
    pub receive_buffer: Option<usize>,
    /// Exceed the system's limit for it (`…_force`); needs `CAP_NET_ADMIN`.
    pub force: bool,
    /// How long an answer may take before a request counts as failed.
    pub timeout: Duration,
    /// How long loading the module may take; none: it is not tried (the kernel itself may).
    pub load_module: Option<Duration>,
}

impl Default for IpvsOptions {
    fn default() -> Self {
        Self {
            receive_buffer: None,
            force: true,
            timeout: Duration::from_secs(2),
            load_module: Some(Duration::from_secs(10)),
        }
    }
}

/// Why IPVS cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The kernel has no IPVS, and could not be made to.
    #[error("the kernel has no IPVS{}", because(.0.as_ref()))]
    Missing(Option<ModuleError>),
    /// The way to the kernel failed.
    #[error(transparent)]
    Kernel(#[from] KernelError),
}

impl OpenError {
    /// Whether the kernel has no IPVS.
    #[must_use]
    pub const fn is_missing(&self) -> bool {
        matches!(self, Self::Missing(_))
    }

    /// What an administrator can do about it; a sentence without full stop.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Missing(_) => {
                "run `modprobe ip_vs` on the host (in a container: on the host too, before it \
                 starts), and install the kernel's full set of modules if there is no such module \
                 (linux-image-amd64 instead of a cloud kernel, linux-modules-extra, \
                 kernel-modules-core)"
            }
            Self::Kernel(KernelError::Refused { errno: Errno::EPERM | Errno::EACCES, .. })
            | Self::Kernel(KernelError::Socket(Errno::EPERM | Errno::EACCES)) => {
                "run as root, or with CAP_NET_ADMIN (in a container: --cap-add NET_ADMIN)"
            }
            Self::Kernel(_) => "look into the kernel's log (dmesg)",
        }
    }
}

fn because(error: Option<&ModuleError>) -> String {
    error.map(|error| format!(": {error}")).unwrap_or_default()
}

/// The IPVS of the network namespace in which it was opened.
#[derive(Debug)]
pub struct Ipvs {
    socket: Socket,
    /// Number of the generic netlink family.
    family: u16,
    timeout: Duration,
    /// Requests whose answers certainly fit into the receive buffer, should all be refused.
    window: usize,
    seq: u32,
    writer: Writer,
    buffer: Box<[u8]>,
}

impl Ipvs {
    /// Opens with default options.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open() -> Result<Self, OpenError> {
        Self::with(&IpvsOptions::default())
    }

    /// Opens the socket and finds the family; loads the module if that is needed and wanted. Blocks
    /// as long as that takes.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn with(options: &IpvsOptions) -> Result<Self, OpenError> {
        let socket = Socket::open(SockProtocol::NetlinkGeneric, 0).map_err(KernelError::Socket)?;
        socket.switch_on(Switch::CapAck);
        socket.switch_on(Switch::ExtAck);
        let wanted = options.receive_buffer.unwrap_or(RECEIVE_BUFFER).max(SMALLEST_BUFFER);
        let granted = socket.receive_buffer(wanted, options.force).map_err(KernelError::Socket)?;
        let mut ipvs = Self {
            socket,
            family: 0,
            timeout: options.timeout,
            window: (granted / ANSWER_COST).clamp(1, 1024),
            seq: 0,
            writer: Writer::with_capacity(CHUNK + 4096),
            buffer: vec![0; DATAGRAM].into_boxed_slice(),
        };
        if !ipvs.resolve()? {
            if let Some(limit) = options.load_module {
                load_module(limit).map_err(|error| OpenError::Missing(Some(error)))?;
            }
            if options.load_module.is_none() || !ipvs.resolve()? {
                return Err(OpenError::Missing(None));
            }
        }
        Ok(ipvs)
    }

    /// Version and size of the kernel's IPVS.
    ///
    /// # Errors
    /// What the kernel says, or that it does not answer.
    pub fn info(&mut self) -> Result<Info, KernelError> {
        self.ask_one(Question::Info, message::parse_info)
    }

    fn read_services(&mut self, depth: Depth) -> Result<Vec<ServiceState>, KernelError> {
        self.ask(Question::Services, |message| message::parse_service(message, depth))
    }

    fn read_destinations(
        &mut self,
        key: &ServiceKey,
        depth: Depth,
    ) -> Result<Vec<DestinationState>, KernelError> {
        let read = |message: &Message<'_>| message::parse_destination(message, key, depth);
        self.ask(Question::Destinations(key), read)
    }

    /// Settings alone, of the services that are wanted.
    fn read_table(&mut self, wanted: impl Fn(&ServiceKey) -> bool) -> Result<Table, KernelError> {
        let mut table = Table::new();
        for ServiceState { key, service, .. } in self.read_services(Depth::Settings)? {
            if wanted(&key) {
                let entry = table.insert(key, service);
                for state in self.read_destinations(&key, Depth::Settings)? {
                    entry.insert(state.address, state.destination);
                }
            }
        }
        Ok(table)
    }

    /// Finds the number of the family; `false` when there is none.
    fn resolve(&mut self) -> Result<bool, KernelError> {
        let seq = self.next_seq();
        self.writer.clear();
        message::put_get_family(FAMILY, seq, &mut self.writer);
        self.socket.send(self.writer.bytes()).map_err(KernelError::Socket)?;
        let kind = message::GENL_ID_CTRL;
        match self.read(seq, kind, false, message::parse_family) {
            Ok(Some(families)) => match families.first() {
                Some(family) => {
                    self.family = *family;
                    Ok(true)
                }
                None => Err(KernelError::Malformed("generic netlink family")),
            },
            Ok(None) => Err(KernelError::Overrun),
            Err(error) if error.errno() == Some(Errno::ENOENT) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn next_seq(&mut self) -> u32 {
        self.seq = self.seq.checked_add(1).unwrap_or(1);
        self.seq
    }

    /// Asks for one thing.
    fn ask_one<T>(
        &mut self,
        question: Question<'_>,
        read: impl Fn(&Message<'_>) -> Option<T>,
    ) -> Result<T, KernelError> {
        let all = self.ask(question, read)?;
        all.into_iter().next().ok_or(KernelError::Malformed("answer of IPVS"))
    }

    /// Asks, and reads all of the answer.
    fn ask<T>(
        &mut self,
        question: Question<'_>,
        read: impl Fn(&Message<'_>) -> Option<T>,
    ) -> Result<Vec<T>, KernelError> {
        let dump = question.is_dump();
        let flags = if dump { NLM_F_REQUEST | NLM_F_DUMP } else { NLM_F_REQUEST };
        let mut again = true;
        for _ in 0..DUMP_ATTEMPTS {
            let (family, seq) = (self.family, self.next_seq());
            self.writer.clear();
            message::put_question(question, (family, flags, seq), &mut self.writer);
            self.socket.send(self.writer.bytes()).map_err(KernelError::Socket)?;
            match self.read(seq, family, dump, &read) {
                Ok(Some(items)) => return Ok(items),
                Ok(None) => {}
                // The module may have been unloaded and loaded again: then the number is another.
                Err(error) if again && error.errno() == Some(Errno::ENOENT) => {
                    again = false;
                    if !self.resolve()? || self.family == family {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Err(KernelError::Unstable)
    }

    /// Reads an answer to its end; none when something changed meanwhile or messages were lost.
    fn read<T>(
        &mut self,
        seq: u32,
        kind: u16,
        dump: bool,
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
                        if matches!(message.kind, NLMSG_DONE | NLMSG_ERROR) {
                            result_of(&message)?;
                            return Ok(intact.then_some(items));
                        }
                        if message.kind == kind {
                            items.extend(read(&message));
                            if !dump {
                                return Ok(Some(items));
                            }
                        }
                    }
                }
                Received::Junk => {}
                // Only the end of a dump comes for certain; a single answer may be what was lost.
                Received::Overrun if !dump => return Ok(None),
                Received::Overrun => intact = false,
                Received::Empty => {
                    if !self.socket.wait(deadline).map_err(KernelError::Socket)? {
                        return Err(KernelError::TimedOut);
                    }
                }
            }
        }
    }

    fn apply_once(&mut self, requests: &[Request]) -> Vec<Result<(), KernelError>> {
        let mut results = vec![Ok(()); requests.len()];
        let mut pending = Vec::with_capacity(requests.len().min(self.window));
        self.writer.clear();
        for (position, request) in requests.iter().enumerate() {
            // Only the last one of a datagram is acknowledged: the kernel answers a refused one
            // in any case, and what comes before the acknowledgement without an answer is done.
            let full = self.writer.len() >= CHUNK || pending.len() + 1 >= self.window;
            let last = full || position + 1 == requests.len();
            // To stop a thread that has not run yet is done, fails with EINTR, and netlink says
            // nothing at all of what fails so.
            let silent = matches!(request, Request::StopDaemon(_));
            let asks = last && !silent;
            let flags = if asks { NLM_F_REQUEST | NLM_F_ACK } else { NLM_F_REQUEST };
            let seq = self.next_seq();
            match message::put(request, (self.family, flags, seq), &mut self.writer) {
                Ok(()) => {
                    pending.push((seq, position));
                    if last && silent {
                        let seq = self.next_seq();
                        self.acknowledge(seq);
                    }
                }
                Err(error) => {
                    results[position] = Err(error);
                    if !last || pending.is_empty() {
                        continue;
                    }
                    // Somebody has to ask for the acknowledgement.
                    self.acknowledge(seq);
                }
            }
            if last {
                let end = self.seq;
                self.exchange(end, &pending, &mut results);
                pending.clear();
                self.writer.clear();
            }
        }
        results
    }

    /// A request that does nothing but be answered.
    fn acknowledge(&mut self, seq: u32) {
        let flags = NLM_F_REQUEST | NLM_F_ACK;
        message::put_question(Question::Info, (self.family, flags, seq), &mut self.writer);
    }

    /// Sends what the writer holds and collects the answers to `pending` (sequence number,
    /// position in `results`), up to the one to `end`.
    fn exchange(
        &mut self,
        end: u32,
        pending: &[(u32, usize)],
        results: &mut [Result<(), KernelError>],
    ) {
        let mut answered = vec![false; pending.len()];
        let rest = self.send_and_collect(end, pending, &mut answered, results);
        if rest.is_ok() {
            return;
        }
        for ((_, position), answered) in pending.iter().zip(answered) {
            if !answered {
                results[*position] = rest.clone();
            }
        }
    }

    /// Returns what is true of the requests that were not answered one by one.
    fn send_and_collect(
        &mut self,
        end: u32,
        pending: &[(u32, usize)],
        answered: &mut [bool],
        results: &mut [Result<(), KernelError>],
    ) -> Result<(), KernelError> {
        self.socket.send(self.writer.bytes()).map_err(KernelError::Socket)?;
        let deadline = Instant::now() + self.timeout;
        let mut lost = false;
        let mut next = 0;
        loop {
            match self.socket.receive(&mut self.buffer).map_err(KernelError::Socket)? {
                Received::Datagram(len) => {
                    for message in Messages(&self.buffer[..len]) {
                        if message.kind != NLMSG_ERROR {
                            continue;
                        }
                        // Answers come in order. Anything unexpected is left over from a request
                        // that timed out.
                        let mut rest = pending[next..].iter();
                        if let Some(ahead) = rest.position(|(seq, _)| *seq == message.seq) {
                            let at = next + ahead;
                            results[pending[at].1] = result_of(&message);
                            answered[at] = true;
                            next = at + 1;
                        }
                        if message.seq == end {
                            return if lost { Err(KernelError::Overrun) } else { Ok(()) };
                        }
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
    }
}

impl IpvsKernel for Ipvs {
    fn apply(&mut self, requests: &[Request]) -> Vec<Result<(), KernelError>> {
        let results = self.apply_once(requests);
        // The same answer to everything also comes when the module was unloaded and loaded again:
        // then the number of the family is another.
        let unknown = |result: &Result<(), KernelError>| {
            matches!(result, Err(KernelError::Refused { errno: Errno::ENOENT, .. }))
        };
        if !results.is_empty() && results.iter().all(unknown) {
            let before = self.family;
            if matches!(self.resolve(), Ok(true)) && self.family != before {
                return self.apply_once(requests);
            }
        }
        results
    }

    fn services(&mut self) -> Result<Vec<ServiceState>, KernelError> {
        self.read_services(Depth::Counters)
    }

    fn destinations(&mut self, key: &ServiceKey) -> Result<Vec<DestinationState>, KernelError> {
        self.read_destinations(key, Depth::Counters)
    }

    fn timeouts(&mut self) -> Result<Timeouts, KernelError> {
        self.ask_one(Question::Config, message::parse_config)
    }

    fn daemons(&mut self) -> Result<Vec<SyncDaemon>, KernelError> {
        self.ask(Question::Daemons, message::parse_daemon)
    }

    fn table(&mut self) -> Result<Table, KernelError> {
        self.read_table(|_| true)
    }

    fn table_of(&mut self, keys: &BTreeSet<ServiceKey>) -> Result<Table, KernelError> {
        self.read_table(|key| keys.contains(key))
    }
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

const _: () = assert!(CHUNK + 4096 < 212_992 - 32, "fits the default send buffer");
