//! A kernel in memory, with the real one's rules about duplicates, missing entries and what
//! vanishes along with what. For tests of this crate and of those above it.

use std::collections::VecDeque;

use nix::errno::Errno;

use crate::desired::{AddressKey, RouteKey};
use crate::{
    AddMode, Address, AddressFilter, Family, Kernel, KernelError, Link, LinkFlags, LinkKind,
    MonitorEvent, NextHop, Request, Route, RouteFilter, Rule,
};

/// A kernel in memory.
#[derive(Debug, Clone, Default)]
pub struct FakeKernel {
    links: Vec<Link>,
    addresses: Vec<Address>,
    routes: Vec<Route>,
    rules: Vec<Rule>,
    events: VecDeque<MonitorEvent>,
    refusals: VecDeque<KernelError>,
    batches: usize,
    requests: usize,
}

impl FakeKernel {
    /// A kernel with Ethernet interfaces `eth0`, `eth1`, …, all up, with indexes from 1.
    #[must_use]
    pub fn with_links(count: u32) -> Self {
        let mut kernel = Self::default();
        for index in 1..=count {
            let mut link = ethernet(index, format!("eth{}", index - 1));
            link.flags |= LinkFlags::UP | LinkFlags::RUNNING | LinkFlags::LOWER_UP;
            kernel.links.push(link);
        }
        kernel
    }

    /// Refuses the next request with this error; several calls queue up.
    pub fn refuse_next(&mut self, error: KernelError) {
        self.refusals.push_back(error);
    }

    /// What a monitor would have said since the last call. As in the real kernel, IPv4 routes that
    /// vanish along with an address or an interface are not mentioned.
    pub fn take_events(&mut self) -> Vec<MonitorEvent> {
        self.events.drain(..).collect()
    }

    /// How many batches and how many requests were applied.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        (self.batches, self.requests)
    }

    /// Gives an interface carrier, or takes it away.
    pub fn set_carrier(&mut self, ifindex: u32, on: bool) {
        if let Some(link) = self.links.iter_mut().find(|link| link.index == ifindex) {
            link.flags.set(LinkFlags::RUNNING | LinkFlags::LOWER_UP, on);
            self.events.push_back(MonitorEvent::LinkChanged(link.clone()));
        }
    }

    fn execute(&mut self, request: &Request) -> Result<(), Errno> {
        match request {
            Request::AddAddress { address, mode } => self.add_address(address, *mode),
            Request::DelAddress(address) => self.del_address(address),
            Request::AddRoute(route) => self.add_route(route, Place::Exclusive),
            Request::PrependRoute(route) => self.add_route(route, Place::First),
            Request::AppendRoute(route) => self.add_route(route, Place::Last),
            Request::ReplaceRoute(route) => self.add_route(route, Place::Instead),
            Request::DelRoute(route) => self.del_route(route),
            Request::AddRule(rule) => self.add_rule(rule),
            Request::DelRule(rule) => self.del_rule(rule),
            Request::CreateMacvlan { parent, name, mode, mac, group } => {
                let kind = LinkKind::Macvlan { mode: *mode };
                self.add_upper(*parent, name, kind, *mac, *group)
            }
            Request::CreateIpvlan { parent, name, mode, flags, group } => {
                let kind = LinkKind::Ipvlan { mode: *mode, flags: *flags };
                self.add_upper(*parent, name, kind, None, *group)
            }
            Request::SetLinkUp { ifindex } => self.change_link(*ifindex, |link| {
                link.flags |= LinkFlags::UP | LinkFlags::RUNNING | LinkFlags::LOWER_UP;
            }),
            Request::SetLinkDown { ifindex } => {
                self.change_link(*ifindex, |link| {
                    link.flags -= LinkFlags::UP | LinkFlags::RUNNING | LinkFlags::LOWER_UP;
                })?;
                self.flush_routes(*ifindex, None);
                Ok(())
            }
            Request::SetLinkMaster { ifindex, master } => {
                self.change_link(*ifindex, |link| link.master = *master)
            }
            Request::SetAddrGenMode { ifindex, mode } => {
                self.change_link(*ifindex, |link| link.addr_gen_mode = Some(*mode))
            }
            Request::SetLinkMac { ifindex, mac } => {
                self.change_link(*ifindex, |link| link.hw_address = mac.to_vec())
            }
            Request::RenameLink { ifindex, name } => {
                self.change_link(*ifindex, |link| link.name.clone_from(name))
            }
            Request::DelLink { ifindex } => self.del_link(*ifindex),
        }
    }

    fn has_link(&self, ifindex: u32) -> Result<(), Errno> {
        let found = self.links.iter().any(|link| link.index == ifindex);
        found.then_some(()).ok_or(Errno::ENODEV)
    }

    fn add_address(&mut self, address: &Address, mode: AddMode) -> Result<(), Errno> {
        self.has_link(address.ifindex)?;
        if address.valid_lft == 0 {
            return Err(Errno::EINVAL);
        }
        let mut address = address.clone();
        if address.family() == Family::V4 && address.label.is_none() {
            let link = self.links.iter().find(|link| link.index == address.ifindex);
            address.label = link.map(|link| link.name.clone());
        }
        let key = AddressKey::of(&address);
        let known = self.addresses.iter_mut().find(|known| AddressKey::of(known) == key);
        match known {
            Some(_) if mode == AddMode::Exclusive => return Err(Errno::EEXIST),
            Some(known) => {
                // What the kernel changes in place, and nothing else.
                known.preferred_lft = address.preferred_lft;
                known.valid_lft = address.valid_lft;
                known.proto = address.proto;
                if known.family() == Family::V6 {
                    known.flags = address.flags;
                }
                self.events.push_back(MonitorEvent::AddressAdded(known.clone()));
            }
            None => {
                self.addresses.push(address.clone());
                self.events.push_back(MonitorEvent::AddressAdded(address));
            }
        }
        Ok(())
    }

    fn del_address(&mut self, address: &Address) -> Result<(), Errno> {
        self.has_link(address.ifindex)?;
        let position = self.addresses.iter().position(|known| {
            AddressKey::of(known) == AddressKey::of(address)
                && known.prefix_len == address.prefix_len
        });
        let gone = self.addresses.remove(position.ok_or(Errno::EADDRNOTAVAIL)?);
        if !self.addresses.iter().any(|known| known.ip == gone.ip) {
            match gone.family() {
                Family::V4 => self.routes.retain(|route| route.prefsrc != Some(gone.ip)),
                Family::V6 => {
                    for route in self.routes.iter_mut().filter(|it| it.prefsrc == Some(gone.ip)) {
                        route.prefsrc = None;
                    }
                }
            }
        }
        let last = |known: &Address| known.ifindex == gone.ifindex && known.family() == Family::V4;
        if gone.family() == Family::V4 && !self.addresses.iter().any(last) {
            self.flush_routes(gone.ifindex, Some(Family::V4));
        }
        self.events.push_back(MonitorEvent::AddressRemoved(gone));
        Ok(())
    }

    fn add_route(&mut self, route: &Route, place: Place) -> Result<(), Errno> {
        for ifindex in route.hops.iter().filter_map(|hop| hop.ifindex) {
            self.has_link(ifindex)?;
        }
        if route.prefsrc.is_some_and(|ip| !self.addresses.iter().any(|known| known.ip == ip)) {
            return Err(Errno::EINVAL);
        }
        let route = as_kept(route);
        let key = RouteKey::of(&route);
        let mut here = self
            .routes
            .iter()
            .enumerate()
            .filter(|(_, known)| RouteKey::of(known) == key)
            .map(|(position, _)| position);
        let (first, last) = (here.clone().next(), here.clone().next_back());
        match place {
            Place::Exclusive if first.is_some() => return Err(Errno::EEXIST),
            Place::Instead => {
                if let Some(position) = first {
                    self.routes[position] = route.clone();
                    self.events.push_back(MonitorEvent::RouteAdded(route));
                    return Ok(());
                }
            }
            _ => {}
        }
        if here.any(|position| self.routes[position] == route) {
            return Err(Errno::EEXIST);
        }
        if let Some(position) = first.filter(|position| joins(&self.routes[*position], &route)) {
            // IPv6 makes one multipath route of them.
            let known = &mut self.routes[position];
            if route.hops.iter().any(|hop| known.hops.contains(hop)) {
                return Err(Errno::EEXIST);
            }
            known.hops.extend(route.hops);
            self.events.push_back(MonitorEvent::RouteAdded(known.clone()));
            return Ok(());
        }
        let position = match place {
            Place::Last => last.map_or(self.routes.len(), |position| position + 1),
            _ => first.unwrap_or(self.routes.len()),
        };
        self.routes.insert(position, route.clone());
        self.events.push_back(MonitorEvent::RouteAdded(route));
        Ok(())
    }

    fn del_route(&mut self, route: &Route) -> Result<(), Errno> {
        let key = RouteKey::of(route);
        let hop_named = |known: &NextHop, named: &NextHop| {
            (named.ifindex.is_none() || named.ifindex == known.ifindex)
                && (named.gateway.is_none() || named.gateway == known.gateway)
        };
        for position in 0..self.routes.len() {
            let known = &mut self.routes[position];
            let same = RouteKey::of(known) == key
                && known.kind == route.kind
                && (route.protocol == 0 || route.protocol == known.protocol)
                && (route.family() == Family::V6
                    || known.scope == route.scope
                        && route.prefsrc.is_none_or(|ip| known.prefsrc == Some(ip))
                        && route.metrics.values.iter().all(|(metric, value)| {
                            known.metrics.values.get(metric) == Some(value)
                        }));
            let named = |known: &NextHop| route.hops.iter().any(|hop| hop_named(known, hop));
            if !same {
                continue;
            }
            if route.hops.is_empty() || known.hops.iter().all(named) {
                let gone = self.routes.remove(position);
                self.events.push_back(MonitorEvent::RouteRemoved(gone));
                return Ok(());
            }
            if route.family() == Family::V6 && known.hops.iter().any(named) {
                known.hops.retain(|hop| !route.hops.iter().any(|gone| hop_named(hop, gone)));
                self.events.push_back(MonitorEvent::RouteRemoved(route.clone()));
                return Ok(());
            }
        }
        Err(Errno::ESRCH)
    }

    fn add_rule(&mut self, rule: &Rule) -> Result<(), Errno> {
        let mut rule = rule.clone();
        if rule.priority.is_none() {
            let lowest = self.rules.iter().filter_map(|known| known.priority).filter(|it| *it > 0);
            rule.priority = Some(lowest.min().map_or(32765, |priority| priority - 1));
        }
        let same = |known: &Rule| Rule { protocol: rule.protocol, ..known.clone() } == rule;
        if self.rules.iter().any(same) {
            return Err(Errno::EEXIST);
        }
        self.rules.push(rule.clone());
        self.events.push_back(MonitorEvent::RuleAdded(rule));
        Ok(())
    }

    fn del_rule(&mut self, rule: &Rule) -> Result<(), Errno> {
        let position = self.rules.iter().position(|known| {
            let priority = rule.priority.or(known.priority);
            let protocol = if rule.protocol == 0 { known.protocol } else { rule.protocol };
            *known == Rule { priority, protocol, ..rule.clone() }
        });
        let gone = self.rules.remove(position.ok_or(Errno::ENOENT)?);
        self.events.push_back(MonitorEvent::RuleRemoved(gone));
        Ok(())
    }

    fn add_upper(
        &mut self,
        parent: u32,
        name: &str,
        kind: LinkKind,
        mac: Option<[u8; 6]>,
        group: Option<u32>,
    ) -> Result<(), Errno> {
        self.has_link(parent)?;
        if self.links.iter().any(|link| link.name == name) {
            return Err(Errno::EEXIST);
        }
        let index = self.links.iter().map(|link| link.index).max().unwrap_or(0) + 1;
        let mut link = ethernet(index, name.to_owned());
        link.kind = Some(kind);
        link.parent = Some(parent);
        link.group = group.unwrap_or(0);
        if let Some(mac) = mac {
            link.hw_address = mac.to_vec();
        }
        self.links.push(link.clone());
        self.events.push_back(MonitorEvent::LinkChanged(link));
        Ok(())
    }

    fn change_link(&mut self, ifindex: u32, change: impl FnOnce(&mut Link)) -> Result<(), Errno> {
        let link = self.links.iter_mut().find(|link| link.index == ifindex).ok_or(Errno::ENODEV)?;
        change(link);
        self.events.push_back(MonitorEvent::LinkChanged(link.clone()));
        Ok(())
    }

    fn del_link(&mut self, ifindex: u32) -> Result<(), Errno> {
        let position = self.links.iter().position(|link| link.index == ifindex);
        let gone = self.links.remove(position.ok_or(Errno::ENODEV)?);
        self.addresses.retain(|address| address.ifindex != ifindex);
        self.flush_routes(ifindex, None);
        self.events.push_back(MonitorEvent::LinkRemoved(gone));
        Ok(())
    }

    fn flush_routes(&mut self, ifindex: u32, only: Option<Family>) {
        self.routes.retain(|route| {
            only.is_some_and(|family| family != route.family())
                || route.hops.is_empty()
                || route.hops.iter().any(|hop| hop.ifindex != Some(ifindex))
        });
    }
}

impl Kernel for FakeKernel {
    fn apply(&mut self, requests: &[Request]) -> Vec<Result<(), KernelError>> {
        self.batches += 1;
        self.requests += requests.len();
        let mut results = Vec::with_capacity(requests.len());
        for request in requests {
            results.push(match self.refusals.pop_front() {
                Some(error) => Err(error),
                None => self
                    .execute(request)
                    .map_err(|errno| KernelError::Refused { errno, message: None }),
            });
        }
        results
    }

    fn links(&mut self) -> Result<Vec<Link>, KernelError> {
        Ok(self.links.clone())
    }

    fn addresses(&mut self, filter: AddressFilter) -> Result<Vec<Address>, KernelError> {
        let passes = |address: &&Address| {
            filter.family.is_none_or(|family| family == address.family())
                && filter.ifindex.is_none_or(|index| index == address.ifindex)
        };
        Ok(self.addresses.iter().filter(passes).cloned().collect())
    }

    fn routes(&mut self, filter: RouteFilter) -> Result<Vec<Route>, KernelError> {
        Ok(self.routes.iter().filter(|route| filter.admits(route)).cloned().collect())
    }

    fn rules(&mut self, family: Option<Family>) -> Result<Vec<Rule>, KernelError> {
        let passes = |rule: &&Rule| family.is_none_or(|family| family == rule.family);
        Ok(self.rules.iter().filter(passes).cloned().collect())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Exclusive,
    First,
    Last,
    Instead,
}

/// A route as the kernel would show it.
fn as_kept(route: &Route) -> Route {
    let mut route = route.clone();
    if route.table == 0 {
        route.table = 254;
    }
    if route.family() == Family::V6 {
        route.scope = 0;
        if matches!(route.metric, None | Some(0)) {
            route.metric = Some(1024);
        }
    }
    route.ttl_propagate = None;
    for hop in &mut route.hops {
        hop.weight = hop.weight.max(1);
    }
    route
}

/// Whether IPv6 would make one multipath route of two.
fn joins(known: &Route, new: &Route) -> bool {
    let by_gateway = |route: &Route| {
        !route.hops.is_empty() && route.hops.iter().all(|hop| hop.gateway.is_some())
    };
    known.family() == Family::V6
        && by_gateway(known)
        && by_gateway(new)
        && Route { hops: Vec::new(), ..known.clone() } == Route { hops: Vec::new(), ..new.clone() }
}

fn ethernet(index: u32, name: String) -> Link {
    Link {
        index,
        name,
        flags: LinkFlags::BROADCAST | LinkFlags::MULTICAST,
        mtu: 1500,
        hw_type: 1,
        hw_address: vec![2, 0, 0, 0, 0, (index & 0xff) as u8],
        hw_broadcast: vec![0xff; 6],
        kind: None,
        master: None,
        parent: None,
        parent_elsewhere: false,
        group: 0,
        oper_state: 6,
        addr_gen_mode: None,
    }
}
