//! The firewall that VRRP needs, over nfnetlink: virtual addresses that do not accept traffic, and
//! group membership reports of VMAC interfaces that must leave by the parent.
//!
//! ```text
//! table ip T {                                    table ip6 T { likewise, with
//!   set closed     { type ipv4_addr }               icmpv6 for igmp (MLD reports), neighbour
//!   set closed_on  { type ipv4_addr . ifindex }     solicitations and advertisements accepted
//!   map vmac_parent { type ifindex : ifindex }      first, and router solicitations of a VMAC
//!   chain output { hook output;                     dropped }
//!     igmp: dup to ip daddr device oif map @vmac_parent, drop
//!     ip saddr @closed drop
//!     ip saddr . oif @closed_on drop }
//!   chain input { hook input;
//!     ip daddr @closed drop
//!     ip daddr . iif @closed_on drop }
//! }
//! ```
//!
//! The tables are replaced as a whole once, in one transaction; later only elements of the sets
//! change, so that a takeover costs one small message whatever else is installed.

mod expression;
mod table;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::SockProtocol;

use crate::codec::{Messages, NLM_F_ACK, NLM_F_REQUEST, NLMSG_ERROR, Writer};
use crate::socket::{DATAGRAM, Received, Socket, Switch};
use crate::{Family, KernelError};
use table::Table;

/// Largest transaction, bytes; the default send buffer takes about 200 KiB.
const TRANSACTION: usize = 128 * 1024;
const TIMEOUT: Duration = Duration::from_secs(5);
const NFNL_SUBSYS_NFTABLES: u16 = 10;
const NFNL_MSG_BATCH_BEGIN: u16 = 0x10;
const NFNL_MSG_BATCH_END: u16 = 0x11;

/// How the tables look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NftablesOptions {
    /// Name of the tables (`nftables`), 1 to 255 bytes.
    pub table: String,
    /// Priority of the chains (`nftables_priority`); lower is earlier, 0 is where filters are.
    pub priority: i32,
    /// Rules count packets and bytes (`nftables_counters`).
    pub counters: bool,
}

impl Default for NftablesOptions {
    fn default() -> Self {
        Self { table: "keepalived".into(), priority: -1, counters: false }
    }
}

/// What the firewall shall do. An empty one leaves no table behind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Firewall {
    /// Addresses that do not accept traffic (`no_accept`).
    pub closed: BTreeSet<Closed>,
    /// VMAC interfaces.
    pub vmacs: BTreeSet<Vmac>,
}

/// An address to and from which packets are dropped; neighbour discovery goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Closed {
    /// The address.
    pub ip: IpAddr,
    /// Index of the interface to which this is limited; needed for link-local addresses, which may
    /// be in use elsewhere.
    pub ifindex: Option<u32>,
}

/// A macvlan with a virtual MAC. Its membership reports (IGMP or MLD) are sent by the parent
/// instead, so that switches do not learn the virtual MAC of a BACKUP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Vmac {
    /// Whose reports.
    pub family: Family,
    /// Index of the macvlan.
    pub ifindex: u32,
    /// Index of the interface that it sits on.
    pub parent: u32,
}

impl Firewall {
    fn concerns(&self, family: Family) -> bool {
        self.closed.iter().any(|closed| Family::of(closed.ip) == family)
            || self.vmacs.iter().any(|vmac| vmac.family == family)
    }
}

/// Keeps the tables of one network namespace as wanted.
#[derive(Debug)]
pub struct Nftables {
    socket: Socket,
    options: NftablesOptions,
    seq: u32,
    writer: Writer,
    buffer: Box<[u8]>,
    /// What is installed; none when unknown.
    installed: Option<Firewall>,
}

impl Nftables {
    /// Opens the socket; installs nothing yet.
    ///
    /// # Errors
    /// [`KernelError::Socket`] when the system refuses, [`KernelError::Unsupported`] for a name
    /// that no table can have.
    pub fn open(options: NftablesOptions) -> Result<Self, KernelError> {
        let name = options.table.as_bytes();
        if name.is_empty() || name.len() > 255 || name.contains(&0) {
            return Err(KernelError::Unsupported("nftables table name of 1 to 255 bytes needed"));
        }
        let socket =
            Socket::open(SockProtocol::NetlinkNetFilter, 0).map_err(KernelError::Socket)?;
        socket.switch_on(Switch::CapAck);
        socket.switch_on(Switch::ExtAck);
        Ok(Self {
            socket,
            options,
            seq: 0,
            writer: Writer::with_capacity(4096),
            buffer: vec![0; DATAGRAM].into_boxed_slice(),
            installed: None,
        })
    }

    /// Leads the kernel from what is installed to what is wanted. The first call replaces whatever
    /// tables of the same name an earlier daemon has left.
    ///
    /// # Errors
    /// What the kernel says; then the next call replaces the tables as a whole.
    pub fn apply(&mut self, wanted: &Firewall) -> Result<(), KernelError> {
        if self.installed.as_ref() == Some(wanted) {
            return Ok(());
        }
        let before = self.installed.take();
        for family in [Family::V4, Family::V6] {
            self.apply_family(family, before.as_ref(), wanted)?;
        }
        self.installed = Some(wanted.clone());
        Ok(())
    }

    /// Removes the tables.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn remove(&mut self) -> Result<(), KernelError> {
        self.apply(&Firewall::default())
    }

    fn apply_family(
        &mut self,
        family: Family,
        before: Option<&Firewall>,
        wanted: &Firewall,
    ) -> Result<(), KernelError> {
        let nothing = Firewall::default();
        let had_table = before.is_some_and(|before| before.concerns(family));
        let table = Table::new(family, &self.options);
        let mut changes = Vec::new();
        let base = if had_table && wanted.concerns(family) {
            before.unwrap_or(&nothing)
        } else {
            if before.is_none() || had_table {
                changes.push(table.removal());
            }
            if wanted.concerns(family) {
                changes.push(table.creation());
            }
            &nothing
        };
        if wanted.concerns(family) {
            table.element_changes(base, wanted, &mut changes);
        }
        let mut transaction: Vec<table::Change> = Vec::new();
        let mut size = 0;
        for change in changes {
            let more = change.size();
            if size + more > TRANSACTION && !transaction.is_empty() {
                self.commit(&transaction)?;
                transaction.clear();
                size = 0;
            }
            size += more;
            transaction.push(change);
        }
        if transaction.is_empty() { Ok(()) } else { self.commit(&transaction) }
    }

    /// Sends a transaction and reads whether it was committed. The kernel does all of it or
    /// nothing.
    fn commit(&mut self, changes: &[table::Change]) -> Result<(), KernelError> {
        self.writer.clear();
        let first = self.next_seq();
        self.put_frame(NFNL_MSG_BATCH_BEGIN, first);
        let messages: Vec<&table::Message> =
            changes.iter().flat_map(table::Change::messages).collect();
        let mut last = first;
        for (position, message) in messages.iter().enumerate() {
            last = self.next_seq();
            // The kernel reports every error anyway; one answer is enough to know the end.
            let ack = if position + 1 == messages.len() { NLM_F_ACK } else { 0 };
            let kind = NFNL_SUBSYS_NFTABLES << 8 | message.kind;
            self.writer.begin(kind, NLM_F_REQUEST | message.flags | ack, last);
            self.writer.put(&message.body);
            self.writer.end();
        }
        let end = self.next_seq();
        self.put_frame(NFNL_MSG_BATCH_END, end);
        self.socket.send(self.writer.bytes()).map_err(KernelError::Socket)?;
        self.collect(first, last)
    }

    fn put_frame(&mut self, kind: u16, seq: u32) {
        self.writer.begin(kind, NLM_F_REQUEST, seq);
        self.writer.put(&[0, 0]);
        self.writer.put(&NFNL_SUBSYS_NFTABLES.to_be_bytes());
        self.writer.end();
    }

    fn collect(&mut self, first: u32, last: u32) -> Result<(), KernelError> {
        let deadline = Instant::now() + TIMEOUT;
        let mut refused = None;
        let mut lost = false;
        loop {
            match self.socket.receive(&mut self.buffer).map_err(KernelError::Socket)? {
                Received::Datagram(len) => {
                    for message in Messages(&self.buffer[..len]) {
                        let ours =
                            message.kind == NLMSG_ERROR && is_between(message.seq, first, last);
                        if !ours {
                            continue;
                        }
                        let outcome = message
                            .outcome()
                            .ok_or(KernelError::Malformed("nftables acknowledgement"))?;
                        if outcome.errno != 0 && refused.is_none() {
                            let errno = Errno::from_raw(outcome.errno);
                            refused =
                                Some(KernelError::Refused { errno, message: outcome.message });
                        }
                        // An error about the frame itself is the only answer.
                        if message.seq == last || message.seq == first {
                            return refused.map_or(Ok(()), Err);
                        }
                    }
                }
                Received::Junk => {}
                Received::Overrun => lost = true,
                Received::Empty if lost => return Err(refused.unwrap_or(KernelError::Overrun)),
                Received::Empty => {
                    if !self.socket.wait(deadline).map_err(KernelError::Socket)? {
                        return Err(refused.unwrap_or(KernelError::TimedOut));
                    }
                }
            }
        }
    }

    fn next_seq(&mut self) -> u32 {
        self.seq = self.seq.checked_add(1).unwrap_or(1);
        self.seq
    }
}

/// Sequence numbers wrap around past 0.
fn is_between(seq: u32, first: u32, last: u32) -> bool {
    if first <= last { (first..=last).contains(&seq) } else { seq >= first || seq <= last }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_numbers_may_wrap() {
        assert!(is_between(5, 3, 7));
        assert!(!is_between(8, 3, 7));
        assert!(is_between(u32::MAX, u32::MAX - 1, 2));
        assert!(is_between(1, u32::MAX - 1, 2));
        assert!(!is_between(3, u32::MAX - 1, 2));
    }

    #[test]
    fn impossible_table_names_are_refused() {
        for table in [String::new(), "x".repeat(256), "a\0b".into()] {
            let options = NftablesOptions { table, ..NftablesOptions::default() };
            assert!(matches!(Nftables::open(options), Err(KernelError::Unsupported(_))));
        }
    }
}
