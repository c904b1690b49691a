//! What operators order for real servers: weight, drain, disable, enable.
//!
//! An order is the operator's word against the file's: it counts until `enable`, through reloads
//! and restarts. A drained or disabled server weighs nothing for the quorum.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::engine::Core;
use super::event::{EventKind, WeightCause};
use super::io::{Now, Order, Refused};
use super::key::{Transport, VsKey};
use super::plan::MOST_WEIGHT;
use super::server::{Ordered, Override};

/// How long no connection must be established until a drain of TCP or SCTP ends.
const CLOSING: Duration = Duration::from_secs(10);

impl Core {
    /// Carries out an operator's order for one server of a virtual server.
    ///
    /// # Errors
    /// There is no such server, or the order makes no sense. Nothing has changed then.
    pub fn order(
        &mut self,
        service: &VsKey,
        server: SocketAddr,
        order: Order,
        now: Now,
    ) -> Result<(), Refused> {
        self.now = now;
        if self.stopping {
            return Err(Refused::Stopping);
        }
        let places = self.places(service);
        if places.is_empty() {
            return Err(Refused::NoVirtualServer(service.clone()));
        }
        if let Order::Weight(weight) = order
            && weight > MOST_WEIGHT
        {
            return Err(Refused::Weight(weight));
        }
        let mut found = false;
        for v in places {
            let vs = &mut self.virtual_servers[v];
            match vs.servers.iter().position(|rs| rs.address == server) {
                Some(s) => {
                    self.carry_out(v, s, order);
                    found = true;
                }
                None if order == Order::Enable && vs.parked.remove(&server).is_some() => {
                    self.unsaved.insert(v);
                    found = true;
                }
                None => {}
            }
        }
        self.flush();
        let name =
            || self.plans().find(|plan| plan.key == *service).map(|plan| plan.name.to_string());
        match found {
            true => Ok(()),
            false => {
                Err(Refused::NoRealServer { virtual_server: name().unwrap_or_default(), server })
            }
        }
    }

    /// The virtual servers with a key: several only if the file has it twice.
    pub(super) fn places(&self, service: &VsKey) -> Vec<usize> {
        let all = self.virtual_servers.iter().enumerate();
        all.filter(|(_, vs)| vs.plan.key == *service).map(|(v, _)| v).collect()
    }

    fn carry_out(&mut self, v: usize, s: usize, order: Order) {
        let now = self.now;
        let vs = &mut self.virtual_servers[v];
        let plan = Arc::clone(&vs.plan);
        let server = &mut vs.servers[s];
        let plan = &plan.servers[server.block()];
        let address = server.address;
        let before = server.weight(plan);
        let configured = server.configured(plan);
        let earlier = server.order.as_deref().copied();
        let ordered = match order {
            Order::Weight(weight) => Some(Ordered::Weight(weight)),
            Order::Drain { deadline } => match earlier.map(|earlier| earlier.order) {
                // Nothing is left to drain.
                Some(out @ (Ordered::Drained | Ordered::Disabled)) => Some(out),
                running => {
                    let (open, quiet) = match running {
                        Some(Ordered::Draining { open, quiet, .. }) => (open, quiet),
                        _ => (None, None),
                    };
                    let deadline = deadline.map(|wait| now.mono.saturating_add(wait));
                    Some(Ordered::Draining { deadline, open, quiet })
                }
            },
            Order::Disable => Some(Ordered::Disabled),
            Order::Enable => None,
        };
        if ordered == earlier.map(|earlier| earlier.order) {
            return;
        }
        server.order = ordered.map(|order| Box::new(Override { order, since: now }));
        if let Some(deadline) = earlier.and_then(|earlier| earlier.deadline()) {
            self.deadlines.remove(&(deadline, v, address));
        }
        let kind = match ordered {
            Some(Ordered::Weight(weight)) => EventKind::OrderedWeight { weight, configured },
            Some(Ordered::Draining { deadline, .. }) => {
                self.deadlines.extend(deadline.map(|at| (at, v, address)));
                let deadline = deadline.map(|at| at.saturating_sub(now.mono).as_secs());
                EventKind::DrainBegan { deadline }
            }
            Some(Ordered::Drained | Ordered::Disabled) => EventKind::Disabled,
            None => EventKind::Enabled,
        };
        self.event(v, Some(s), kind, None);
        self.weight_event(v, s, before, WeightCause::Operator);
        self.touch(v);
        self.judge(v, false);
    }

    /// Ends drains of servers that are not in the kernel's table: nothing can be open there.
    pub(super) fn settle_orders(&mut self, v: usize) {
        let count = self.virtual_servers.get(v).map_or(0, |vs| vs.servers.len());
        for s in 0..count {
            let vs = &self.virtual_servers[v];
            let server = &vs.servers[s];
            let order = server.ordered();
            if matches!(order, Some(Ordered::Draining { .. })) && vs.destination(server).is_none() {
                self.end_drain(v, s, 0);
            }
        }
    }

    /// The connections of a server were counted: `active` established ones, and `inactive` others.
    ///
    /// The others are what a protocol without connections has (UDP), and what TCP and SCTP keep
    /// after the end, for two minutes. So with these a drain ends when for [`CLOSING`] none was
    /// established; half-closed ones have that time to send the rest.
    pub(super) fn connections(
        &mut self,
        service: &VsKey,
        address: SocketAddr,
        active: u64,
        inactive: u64,
    ) {
        let now = self.now.mono;
        for v in self.places(service) {
            let vs = &mut self.virtual_servers[v];
            let closes = matches!(vs.plan.protocol, Some(Transport::Tcp | Transport::Sctp));
            let Some(s) = vs.servers.iter().position(|rs| rs.address == address) else { continue };
            let Some(Override { order: Ordered::Draining { open, quiet, .. }, .. }) =
                vs.servers[s].order.as_deref_mut()
            else {
                continue;
            };
            let count = active.saturating_add(inactive);
            // What is closing is not broken off when the deadline passes: it is over.
            *open = Some(if closes { active } else { count });
            let since = *quiet.get_or_insert(now);
            if active > 0 || !closes {
                *quiet = None;
            }
            let closed = quiet.is_some() && now.saturating_sub(since) >= CLOSING;
            if count == 0 || closed {
                self.end_drain(v, s, 0);
            }
        }
    }

    /// Ends drains whose time is up.
    pub(super) fn drains_due(&mut self) {
        while let Some(&(deadline, v, address)) = self.deadlines.first() {
            if deadline > self.now.mono {
                return;
            }
            self.deadlines.pop_first();
            let Some(vs) = self.virtual_servers.get(v) else { continue };
            let Some(s) = vs.servers.iter().position(|rs| rs.address == address) else { continue };
            if let Some(Ordered::Draining { open, .. }) = vs.servers[s].ordered() {
                self.end_drain(v, s, open.unwrap_or(0));
            }
        }
    }

    /// The drained server goes out.
    fn end_drain(&mut self, v: usize, s: usize, left: u64) {
        let now = self.now;
        let server = &mut self.virtual_servers[v].servers[s];
        let drained = Box::new(Override { order: Ordered::Drained, since: now });
        let Some(order) = server.order.replace(drained) else {
            server.order = None;
            return;
        };
        let address = server.address;
        if let Some(deadline) = order.deadline() {
            self.deadlines.remove(&(deadline, v, address));
        }
        self.event(v, Some(s), EventKind::DrainFinished { left }, None);
        self.touch(v);
    }
}
