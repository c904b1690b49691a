//! The mirror of the kernel: filled by dumps, kept up to date by the monitor and by what our own
//! requests did, so that a takeover need not ask first.

use std::collections::HashMap;

use super::Absent;
use super::matching::{AddressKey, RouteKey, normal, route_matches, rule_matches};
use crate::{
    Address, AddressFilter, Family, Kernel, KernelError, LinkFlags, MonitorEvent, ROUTE_PROTO,
    Request, Route, RouteFilter, Rule,
};

/// Which routes and rules the mirror holds: a router's full table is of no interest when nothing
/// of ours is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope {
    /// Routes, of all tables but the one that the kernel manages itself (local).
    pub routes: bool,
    /// Rules.
    pub rules: bool,
}

impl Scope {
    /// Addresses only.
    pub const ADDRESSES: Self = Self { routes: false, rules: false };
    /// Everything.
    pub const ALL: Self = Self { routes: true, rules: true };
}

/// What is in the kernel, as far as known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    scope: Scope,
    addresses: HashMap<AddressKey, Address>,
    /// How many IPv4 addresses an interface has.
    v4_on_link: HashMap<u32, usize>,
    routes: HashMap<RouteKey, Vec<Route>>,
    rules: Vec<Rule>,
}

impl Observed {
    /// Reads everything in scope from a kernel.
    ///
    /// # Errors
    /// When a dump fails.
    pub fn read(kernel: &mut impl Kernel, scope: Scope) -> Result<Self, KernelError> {
        let mut observed = Self::empty(scope);
        for address in kernel.addresses(AddressFilter::default())? {
            observed.insert_address(address);
        }
        if scope.routes {
            for route in kernel.routes(RouteFilter::default())? {
                observed.insert_route(route);
            }
        }
        if scope.rules {
            observed.rules = kernel.rules(None)?;
        }
        Ok(observed)
    }

    /// A kernel with nothing in it.
    #[must_use]
    pub fn empty(scope: Scope) -> Self {
        Self {
            scope,
            addresses: HashMap::new(),
            v4_on_link: HashMap::new(),
            routes: HashMap::new(),
            rules: Vec::new(),
        }
    }

    /// Takes in an event. Returns whether the mirror can be relied upon: after
    /// [`MonitorEvent::Overrun`] it must be read again.
    #[must_use]
    pub fn absorb(&mut self, event: &MonitorEvent) -> bool {
        match event {
            MonitorEvent::AddressAdded(address) => self.insert_address(address.clone()),
            MonitorEvent::AddressRemoved(address) => self.remove_address(address),
            MonitorEvent::RouteAdded(route) => self.insert_route(route.clone()),
            MonitorEvent::RouteRemoved(route) => self.remove_route(route),
            MonitorEvent::RuleAdded(rule) => self.insert_rule(rule),
            MonitorEvent::RuleRemoved(rule) => self.remove_rule(rule),
            MonitorEvent::LinkRemoved(link) => {
                self.addresses.retain(|_, address| address.ifindex != link.index);
                self.v4_on_link.remove(&link.index);
                self.flush_routes(link.index, None);
            }
            MonitorEvent::LinkChanged(link) => {
                if !link.flags.contains(LinkFlags::UP) {
                    self.flush_routes(link.index, None);
                }
            }
            MonitorEvent::Overrun => return false,
        }
        true
    }

    /// Takes in a request that the kernel has carried out.
    pub(crate) fn assume(&mut self, request: &Request) {
        match request {
            Request::AddAddress { address, .. } => self.insert_address(address.clone()),
            Request::DelAddress(address) => self.remove_address(address),
            Request::ReplaceRoute(route) => {
                // Planned only where a single route of ours is at the place.
                self.routes.remove(&RouteKey::of(route));
                self.insert_route(route.clone());
            }
            Request::AddRoute(route)
            | Request::PrependRoute(route)
            | Request::AppendRoute(route) => self.insert_route(route.clone()),
            Request::DelRoute(route) => self.remove_route(route),
            Request::AddRule(rule) => self.insert_rule(rule),
            Request::DelRule(rule) => self.remove_rule(rule),
            _ => {}
        }
    }

    /// The address at a key, if it is there.
    #[must_use]
    pub fn address(&self, key: &AddressKey) -> Option<&Address> {
        self.addresses.get(key)
    }

    /// All addresses, in no order.
    pub fn addresses(&self) -> impl Iterator<Item = &Address> {
        self.addresses.values()
    }

    /// The routes at a key, the one that counts first.
    #[must_use]
    pub fn routes_at(&self, key: &RouteKey) -> &[Route] {
        self.routes.get(key).map_or(&[], Vec::as_slice)
    }

    /// All routes in scope, in no order.
    pub fn routes(&self) -> impl Iterator<Item = &Route> {
        self.routes.values().flatten()
    }

    /// All rules in scope.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Everything that carries our marks: addresses with
    /// [`ADDRESS_PROTO`](crate::ADDRESS_PROTO), routes and rules with [`ROUTE_PROTO`]. After a
    /// crash without a saved state this is what may be left over from us (or, for routes and
    /// rules, from Keepalived).
    #[must_use]
    pub fn marked(&self) -> Absent {
        Absent {
            addresses: self.addresses().filter(|address| address.is_ours()).cloned().collect(),
            routes: self.routes().filter(|route| route.protocol == ROUTE_PROTO).cloned().collect(),
            rules: self.rules.iter().filter(|rule| rule.protocol == ROUTE_PROTO).cloned().collect(),
        }
    }

    fn insert_route(&mut self, route: Route) {
        const RT_TABLE_LOCAL: u32 = 255;
        const RTPROT_KERNEL: u8 = 2;
        // The kernel's own entries come and go with each address; nobody wants them here.
        let own = route.table == RT_TABLE_LOCAL && route.protocol == RTPROT_KERNEL;
        if !self.scope.routes || own {
            return;
        }
        let at = self.routes.entry(RouteKey::of(&route)).or_default();
        // An event repeats what is known already, or brings the whole of a multipath route.
        at.retain(|known| !route_matches(&route, known) && !route_matches(known, &route));
        at.insert(0, route);
    }

    fn remove_route(&mut self, route: &Route) {
        let key = RouteKey::of(route);
        let Some(at) = self.routes.get_mut(&key) else { return };
        if let Some(position) = at.iter().position(|known| route_matches(known, route)) {
            if at[position].hops.len() > route.hops.len() && !route.hops.is_empty() {
                // One hop of a multipath route.
                at[position].hops.retain(|hop| {
                    !route.hops.iter().any(|gone| {
                        gone.gateway == hop.gateway
                            && (gone.ifindex.is_none() || gone.ifindex == hop.ifindex)
                    })
                });
            } else {
                at.remove(position);
            }
        }
        if at.is_empty() {
            self.routes.remove(&key);
        }
    }

    /// Whether there is a rule that differs from this one only in being inverted or not.
    pub(crate) fn has_opposite(&self, rule: &Rule) -> bool {
        let form = normal(&Rule { invert: !rule.invert, ..rule.clone() });
        self.rules.iter().any(|have| rule_matches(&normal(have), &form))
    }

    fn insert_rule(&mut self, rule: &Rule) {
        if !self.scope.rules {
            return;
        }
        let form = normal(rule);
        if !self.rules.iter().any(|known| normal(known) == form) {
            self.rules.push(rule.clone());
        }
    }

    fn remove_rule(&mut self, rule: &Rule) {
        let form = normal(rule);
        let found = self.rules.iter().position(|known| rule_matches(&normal(known), &form));
        if let Some(position) = found {
            self.rules.remove(position);
        }
    }

    fn insert_address(&mut self, address: Address) {
        let (family, ifindex) = (address.family(), address.ifindex);
        let known = self.addresses.insert(AddressKey::of(&address), address);
        if known.is_none() && family == Family::V4 {
            *self.v4_on_link.entry(ifindex).or_default() += 1;
        }
    }

    /// The kernel takes routes along with an address, and says nothing: those with the address as
    /// their source (IPv6 ones only lose the source), and with the last IPv4 address of an
    /// interface all IPv4 routes through it.
    fn remove_address(&mut self, gone: &Address) {
        if self.addresses.remove(&AddressKey::of(gone)).is_none() {
            return;
        }
        if gone.family() == Family::V4 {
            let left = self.v4_on_link.entry(gone.ifindex).or_default();
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.flush_routes(gone.ifindex, Some(Family::V4));
            }
        }
        if !self.routes().any(|route| route.prefsrc == Some(gone.ip))
            || self.addresses.values().any(|address| address.ip == gone.ip)
        {
            return;
        }
        for at in self.routes.values_mut() {
            match gone.family() {
                Family::V4 => at.retain(|route| route.prefsrc != Some(gone.ip)),
                Family::V6 => {
                    let affected = at.iter_mut().filter(|route| route.prefsrc == Some(gone.ip));
                    affected.for_each(|route| route.prefsrc = None);
                }
            }
        }
        self.routes.retain(|_, at| !at.is_empty());
    }

    /// The kernel does not announce the IPv4 routes that an interface takes with it when it goes
    /// down, vanishes or loses its addresses.
    fn flush_routes(&mut self, ifindex: u32, only: Option<Family>) {
        for at in self.routes.values_mut() {
            at.retain(|route| {
                only.is_some_and(|family| family != route.family())
                    || route.hops.is_empty()
                    || route.hops.iter().any(|hop| hop.ifindex != Some(ifindex))
            });
        }
        self.routes.retain(|_, at| !at.is_empty());
    }
}
