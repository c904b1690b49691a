//! The monitor: what changes in the kernel, as it happens.

use std::os::fd::{AsFd, BorrowedFd};

use bitflags::bitflags;
use nix::sys::socket::SockProtocol;

use crate::codec::{HEADER, Message, Messages, u32_at};
use crate::message::{address, link, route, rule};
use crate::socket::{DATAGRAM, Received, Socket};
use crate::{Address, KernelError, Link, Route, Rule};

bitflags! {
    /// What a monitor listens to. Routes of a big table can be many: without tracked routes, leave
    /// those groups out.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub struct Groups: u32 {
        /// Interfaces.
        const LINKS = 1;
        /// IPv4 addresses.
        const ADDRESSES_V4 = 1 << 4;
        /// IPv4 routes.
        const ROUTES_V4 = 1 << 6;
        /// IPv4 rules.
        const RULES_V4 = 1 << 7;
        /// IPv6 addresses.
        const ADDRESSES_V6 = 1 << 8;
        /// IPv6 routes.
        const ROUTES_V6 = 1 << 10;
        /// IPv6 rules.
        const RULES_V6 = 1 << 18;
    }
}

impl Groups {
    /// Addresses of both families.
    pub const ADDRESSES: Self = Self::ADDRESSES_V4.union(Self::ADDRESSES_V6);
    /// Routes of both families.
    pub const ROUTES: Self = Self::ROUTES_V4.union(Self::ROUTES_V6);
    /// Rules of both families.
    pub const RULES: Self = Self::RULES_V4.union(Self::RULES_V6);
}

/// How a monitor is set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MonitorOptions {
    /// What to listen to.
    pub groups: Groups,
    /// Receive buffer in bytes (`vrrp_netlink_monitor_rcv_bufs`); none is 4 MiB, as far as
    /// allowed.
    pub receive_buffer: Option<usize>,
    /// Exceed the system's limit for it (`…_force`); needs `CAP_NET_ADMIN`.
    pub force: bool,
}

impl Default for MonitorOptions {
    fn default() -> Self {
        Self { groups: Groups::all(), receive_buffer: None, force: true }
    }
}

/// Something that changed. "Added" also says that an entry which was there before was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MonitorEvent {
    /// An interface appeared or changed.
    LinkChanged(Link),
    /// An interface vanished; its last state.
    LinkRemoved(Link),
    /// An address was added or changed.
    AddressAdded(Address),
    /// An address was removed.
    AddressRemoved(Address),
    /// A route was added or changed.
    RouteAdded(Route),
    /// A route was removed.
    RouteRemoved(Route),
    /// A rule was added.
    RuleAdded(Rule),
    /// A rule was removed.
    RuleRemoved(Rule),
    /// Events were lost: dump and compare.
    Overrun,
}

/// A subscription to changes. It never blocks: as an iterator it ends when nothing waits, and goes
/// on when something new has come.
#[derive(Debug)]
pub struct Monitor {
    socket: Socket,
    buffer: Box<[u8]>,
    /// The part of the buffer that holds messages not yet delivered.
    unread: std::ops::Range<usize>,
    /// The socket failed and this has been reported as an overrun.
    failed: bool,
}

impl Monitor {
    /// Subscribes to everything, with default options.
    ///
    /// # Errors
    /// [`KernelError::Socket`] when the system refuses.
    pub fn open() -> Result<Self, KernelError> {
        Self::with(&MonitorOptions::default())
    }

    /// Subscribes.
    ///
    /// # Errors
    /// [`KernelError::Socket`] when the system refuses.
    pub fn with(options: &MonitorOptions) -> Result<Self, KernelError> {
        const RECEIVE_BUFFER: usize = 4 * 1024 * 1024;
        let socket = Socket::open(SockProtocol::NetlinkRoute, options.groups.bits())
            .map_err(KernelError::Socket)?;
        let wanted = options.receive_buffer.unwrap_or(RECEIVE_BUFFER);
        socket.receive_buffer(wanted, options.force).map_err(KernelError::Socket)?;
        Ok(Self {
            socket,
            buffer: vec![0; DATAGRAM].into_boxed_slice(),
            unread: 0..0,
            failed: false,
        })
    }

    fn unread_event(&mut self) -> Option<MonitorEvent> {
        while !self.unread.is_empty() {
            let rest = &self.buffer[self.unread.clone()];
            let Some(message) = Messages(rest).next() else {
                self.unread = 0..0;
                return None;
            };
            let len = u32_at(rest, 0).and_then(|len| usize::try_from(len).ok()).unwrap_or(HEADER);
            let event = event(&message);
            self.unread.start = (self.unread.start + ((len + 3) & !3)).min(self.unread.end);
            if event.is_some() {
                return event;
            }
        }
        None
    }
}

impl Iterator for Monitor {
    type Item = MonitorEvent;

    fn next(&mut self) -> Option<MonitorEvent> {
        loop {
            if let Some(event) = self.unread_event() {
                return Some(event);
            }
            match self.socket.receive(&mut self.buffer) {
                Ok(Received::Datagram(len)) => {
                    self.unread = 0..len;
                    self.failed = false;
                }
                Ok(Received::Junk) => {}
                Ok(Received::Empty) => return None,
                Ok(Received::Overrun) => return Some(MonitorEvent::Overrun),
                // Whatever it was, events may be missing. Said once, not for ever.
                Err(_) if self.failed => return None,
                Err(_) => {
                    self.failed = true;
                    return Some(MonitorEvent::Overrun);
                }
            }
        }
    }
}

impl AsFd for Monitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn event(message: &Message<'_>) -> Option<MonitorEvent> {
    match message.kind {
        link::RTM_NEWLINK => link::parse(message).map(MonitorEvent::LinkChanged),
        link::RTM_DELLINK => link::parse(message).map(MonitorEvent::LinkRemoved),
        address::RTM_NEWADDR => address::parse(message).map(MonitorEvent::AddressAdded),
        address::RTM_DELADDR => address::parse(message).map(MonitorEvent::AddressRemoved),
        route::RTM_NEWROUTE => route::parse(message).map(MonitorEvent::RouteAdded),
        route::RTM_DELROUTE => route::parse(message).map(MonitorEvent::RouteRemoved),
        rule::RTM_NEWRULE => rule::parse(message).map(MonitorEvent::RuleAdded),
        rule::RTM_DELRULE => rule::parse(message).map(MonitorEvent::RuleRemoved),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec::Writer;
    use crate::message::request;
    use crate::{AddMode, NextHop, Prefix, Request};

    proptest! {
        #[test]
        fn any_bytes_can_be_an_event(
            kind in prop_oneof![16..18_u16, 20..22_u16, 24..26_u16, 32..34_u16],
            payload in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let _ = event(&Message { kind, flags: 0, seq: 0, payload: &payload });
        }

        #[test]
        fn a_damaged_event_is_read_or_passed_over(
            which in 0..4_usize,
            damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
            keep in any::<proptest::sample::Index>(),
        ) {
            let mut writer = Writer::default();
            request::put(&samples()[which], 1, &mut writer).unwrap();
            let mut bytes = writer.bytes().to_vec();
            for (position, value) in damage {
                let position = position.index(bytes.len());
                bytes[position] = value;
            }
            bytes.truncate(keep.index(bytes.len()) + 1);
            for message in Messages(&bytes) {
                let _ = event(&message);
            }
        }
    }

    fn samples() -> [Request; 4] {
        let ip = "2001:db8::1".parse().unwrap();
        let hops = vec![NextHop::via_dev(ip, 1), NextHop::via_dev(ip, 2)];
        let mut route = Route::new(Prefix::new(ip, 64), hops);
        route.metrics.values.insert(crate::Metric::Mtu, 1400);
        let mac = Some([2, 0, 0, 0, 0, 1]);
        let mode = crate::MacvlanMode::Private;
        [
            Request::AddAddress { address: Address::new(1, ip, 64), mode: AddMode::Replace },
            Request::AddRoute(route),
            Request::AddRule(Rule::lookup(crate::Family::V6, 100)),
            Request::CreateMacvlan { parent: 1, name: "vrrp.1".into(), mode, mac, group: None },
        ]
    }

    #[test]
    fn what_is_asked_reads_back_as_the_same() {
        let [Request::AddAddress { address, .. }, Request::AddRoute(route), ..] = samples() else {
            panic!("samples changed")
        };
        for request in samples() {
            let mut writer = Writer::default();
            request::put(&request, 1, &mut writer).unwrap();
            let message = Messages(writer.bytes()).next().unwrap();
            match event(&message) {
                Some(MonitorEvent::AddressAdded(read)) => assert_eq!(read, address),
                Some(MonitorEvent::RouteAdded(read)) => assert_eq!(read, route),
                Some(MonitorEvent::RuleAdded(read)) => {
                    assert_eq!(
                        Rule { priority: None, ..read },
                        Rule::lookup(crate::Family::V6, 100)
                    );
                }
                // An interface has no index before it exists.
                other => assert_eq!(other, None),
            }
        }
    }
}
