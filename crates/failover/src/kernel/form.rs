//! One address, route or rule in the kernel's form, and when two of them are the same thing.

use std::net::IpAddr;

use config::model::route::AddMode as Mode;
use netlink::{AddMode, Family, Prefix, Request};

/// The thing itself.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Form {
    Address(netlink::Address),
    Route(netlink::Route, Mode),
    Rule(netlink::Rule),
}

/// What things that may be the same have in common: for look-up only, [`Form::same`] decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Address(u32, IpAddr, u8),
    Route(Prefix, u32),
    Rule(Family, Option<u32>),
}

impl Key {
    pub(super) fn of_address(address: &netlink::Address) -> Self {
        Self::Address(address.ifindex, address.ip, address.prefix_len)
    }

    pub(super) fn of_route(route: &netlink::Route) -> Self {
        Self::Route(route.destination, table(route.table))
    }

    pub(super) fn of_rule(rule: &netlink::Rule) -> Self {
        Self::Rule(rule.family, rule.priority)
    }

    /// What a request takes away, if it is an address, a route or a rule.
    pub(super) fn removed_by(request: &Request) -> Option<Self> {
        match request {
            Request::DelAddress(address) => Some(Self::of_address(address)),
            Request::DelRoute(route) => Some(Self::of_route(route)),
            Request::DelRule(rule) => Some(Self::of_rule(rule)),
            _ => None,
        }
    }
}

impl Form {
    pub(super) fn key(&self) -> Key {
        match self {
            Self::Address(address) => Key::of_address(address),
            Self::Route(route, _) => Key::of_route(route),
            Self::Rule(rule) => Key::of_rule(rule),
        }
    }

    pub(super) fn add(&self) -> Request {
        match self {
            Self::Address(a) => Request::AddAddress { address: a.clone(), mode: AddMode::Replace },
            Self::Route(r, Mode::Add) => Request::AddRoute(r.clone()),
            Self::Route(r, Mode::Prepend) => Request::PrependRoute(r.clone()),
            Self::Route(r, Mode::Append) => Request::AppendRoute(r.clone()),
            Self::Rule(r) => Request::AddRule(r.clone()),
        }
    }

    pub(super) fn delete(&self) -> Request {
        match self {
            Self::Address(a) => Request::DelAddress(a.clone()),
            Self::Route(r, _) => Request::DelRoute(r.clone()),
            Self::Rule(r) => Request::DelRule(r.clone()),
        }
    }

    /// Whether both are the same thing to the kernel.
    pub(super) fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Address(_), Self::Address(_)) => self.key() == other.key(),
            (Self::Route(a, _), Self::Route(b, _)) => same_route(a, b),
            (Self::Rule(a), Self::Rule(b)) => same_rule(a, b),
            _ => false,
        }
    }

    /// Whether going from `old`, which is the [same](Self::same) thing, to this takes a removal:
    /// lifetimes and flags of addresses change in place, nothing else does.
    pub(super) fn needs_removal_of(&self, old: &Self) -> bool {
        match (self, old) {
            (Self::Address(new), Self::Address(old)) => {
                (&new.label, new.scope, new.broadcast, new.peer)
                    != (&old.label, old.scope, old.broadcast, old.peer)
            }
            (new, old) => new != old,
        }
    }

    /// The interface without which it cannot be.
    pub(super) fn interface(&self) -> Option<u32> {
        match self {
            Self::Address(address) => Some(address.ifindex),
            Self::Route(route, _) => route.hops.first().and_then(|hop| hop.ifindex),
            Self::Rule(_) => None,
        }
    }

    /// Whether it names an interface.
    pub(super) fn uses(&self, index: u32) -> bool {
        match self {
            Self::Address(address) => address.ifindex == index,
            Self::Route(route, _) => route.hops.iter().any(|hop| hop.ifindex == Some(index)),
            Self::Rule(_) => false,
        }
    }

    /// Whether the kernel drops it without a word when that address goes.
    pub(super) fn leans_on(&self, address: IpAddr) -> bool {
        matches!(self, Self::Route(route, _) if route.prefsrc == Some(address))
    }
}

/// The main table has a number too.
fn table(number: u32) -> u32 {
    if number == 0 { 254 } else { number }
}

/// Whether a route that the kernel tells of is one of ours: it fills in what we leave open.
pub(super) fn same_route(ours: &netlink::Route, told: &netlink::Route) -> bool {
    let gateways = |route: &netlink::Route| -> Vec<_> {
        route.hops.iter().filter_map(|hop| hop.gateway).collect()
    };
    Key::of_route(ours) == Key::of_route(told)
        && (ours.kind, ours.tos) == (told.kind, told.tos)
        && (ours.metric.is_none() || ours.metric == told.metric)
        && gateways(ours) == gateways(told)
}

/// Whether a rule that the kernel tells of is one of ours.
pub(super) fn same_rule(ours: &netlink::Rule, told: &netlink::Rule) -> bool {
    (ours.family, ours.priority, ours.from, ours.to, &ours.iif, &ours.oif, ours.fwmark)
        == (told.family, told.priority, told.from, told.to, &told.iif, &told.oif, told.fwmark)
        && ours.action == told.action
        && (ours.table == told.table || ours.l3mdev)
}
