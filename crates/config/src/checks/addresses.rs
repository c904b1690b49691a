//! Virtual addresses, masks, sources and peers, against each other and the interfaces.

use std::net::{IpAddr, Ipv4Addr};

use super::{Interface, Subject};
use crate::diagnostic::{Addresses, Class, Diagnostic};
use crate::model::vrrp::Transport;
use crate::model::{Address, Family, Instance, Network};
use crate::tree::{Item, Tree};

pub(super) fn check(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    for instance in &subject.model.vrrp {
        for address in instance.all_addresses() {
            alone(address, found);
            against_interface(subject, instance, address, found);
        }
        no_masks(instance, found);
        first_link_local(instance, found);
        interface(subject, instance, found);
        peers(subject, instance, found);
    }
}

/// What shows without knowing the interface.
fn alone(address: &Address, found: &mut Vec<Diagnostic>) {
    let ip = address.ip();
    let special = match ip {
        IpAddr::V4(ip) if ip.is_multicast() => "a multicast address",
        IpAddr::V4(Ipv4Addr::BROADCAST) => "the broadcast address",
        _ if ip.is_loopback() => "a loopback address",
        _ if ip.is_unspecified() => "the unspecified address",
        IpAddr::V6(ip) if ip.is_multicast() => "a multicast address",
        _ => "",
    };
    if !special.is_empty() {
        found.push(
            Diagnostic::warning(Addresses::SpecialAddress, format!("{ip} is {special}"))
                .unnoticed()
                .at(address.span, "cannot be a virtual address"),
        );
        return;
    }
    let Network { address: IpAddr::V4(v4), prefix } = address.network else { return };
    if prefix >= 31 || prefix == 0 {
        return;
    }
    let host = u32::MAX >> prefix;
    let bits = u32::from(v4) & host;
    let kind = match bits {
        0 => "network",
        b if b == host => "broadcast",
        _ => return,
    };
    let mut diagnostic = Diagnostic::warning(
        Addresses::NotAHost,
        format!("{v4} is the {kind} address of its subnet {}", subnet(address.network)),
    )
    .unnoticed()
    .at(address.span, "no host can have it");
    if prefix < 24 {
        diagnostic = diagnostic.help("is the mask right?");
    }
    found.push(diagnostic);
}

/// The subnet of a network with host bits, as text.
fn subnet(network: Network) -> String {
    let address = match network.address {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(network.prefix)).unwrap_or(0);
            IpAddr::V4((u32::from(ip) & mask).into())
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(network.prefix)).unwrap_or(0);
            IpAddr::V6((u128::from(ip) & mask).into())
        }
    };
    format!("{address}/{}", network.prefix)
}

fn against_interface(
    subject: &Subject<'_>,
    instance: &Instance,
    address: &Address,
    found: &mut Vec<Diagnostic>,
) {
    let Some(name) = &address.interface else { return };
    let Interface::Present { addresses: own } = subject.environment.interface(name) else { return };
    let ip = address.ip();
    if own.iter().any(|own| own.address == ip) {
        if !instance.is_owner() {
            found.push(
                Diagnostic::warning(
                    Addresses::OwnAddress,
                    format!("{ip} is an address of {name} already"),
                )
                .unnoticed()
                .at(address.span, "held as a virtual address too")
                .help("if a virtual router left it there, it will be gone when that stops")
                .help("otherwise take it out of the interface's own configuration"),
            );
        }
        return;
    }
    let same: Vec<&Network> = own.iter().filter(|own| own.family() == address.family()).collect();
    // An interface without addresses of the family says nothing about subnets.
    if same.is_empty() || is_link_local(ip) {
        return;
    }
    match same.iter().find(|own| own.contains(&ip)) {
        None => {
            let known: Vec<String> = same
                .iter()
                .filter(|own| !is_link_local(own.address))
                .map(|own| subnet(**own))
                .collect();
            if known.is_empty() {
                return;
            }
            found.push(
                Diagnostic::warning(
                    Addresses::OutsideSubnets,
                    format!("{ip} lies in no subnet of {name}"),
                )
                .unnoticed()
                .at(address.span, format!("{name} has {}", known.join(", ")))
                .help("hosts of these subnets do not find it by ARP; is it the right interface?"),
            );
        }
        Some(own) => {
            let host = if ip.is_ipv4() { 32 } else { 128 };
            if address.prefix_written
                && address.network.prefix != host
                && address.network.prefix != own.prefix
            {
                found.push(
                    Diagnostic::advice(
                        Addresses::MaskDiffers,
                        format!("the mask of {} is not that of {name}", address.network),
                    )
                    .at(address.span, format!("{name} is in {}", subnet(**own)))
                    .help(format!("write {ip}/{host}, or {ip}/{}", own.prefix)),
                );
            }
        }
    }
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.segments()[0] & 0xffc0 == 0xfe80,
    }
}

/// One piece of advice per instance, not one per address.
fn no_masks(instance: &Instance, found: &mut Vec<Diagnostic>) {
    let mut bare = instance.all_addresses().filter(|a| !a.prefix_written);
    let Some(first) = bare.next() else { return };
    let more = bare.count();
    let prefix = first.network.prefix;
    let message = match more {
        0 => format!("{} has no prefix length", first.ip()),
        _ => format!("{} and {more} more have no prefix length", first.ip()),
    };
    found.push(
        Diagnostic::advice(Addresses::NoMask, message)
            .at(first.span, format!("taken as /{prefix}"))
            .help(format!(
                "write it out ({}/{prefix}): that is right for an address within the interface's subnet",
                first.ip()
            )),
    );
}

fn first_link_local(instance: &Instance, found: &mut Vec<Diagnostic>) {
    let Some(first) = instance.vips.first() else { return };
    if instance.family == Family::V6 && !is_link_local(first.ip()) {
        let message = format!("the first address of `{}` is not a link-local one", instance.name);
        // In strict mode Keepalived says so too.
        let finding = if instance.strict.value {
            Diagnostic::warning(Addresses::LinkLocalFirst, message)
        } else {
            Diagnostic::advice(Addresses::LinkLocalFirst, message)
        };
        found.push(
            finding
                .at(first.span, "RFC 9568 §5.2.9 wants fe80::… here")
                .help("it works without where the router is not the hosts' default gateway"),
        );
    }
}

fn interface(subject: &Subject<'_>, instance: &Instance, found: &mut Vec<Diagnostic>) {
    let dynamic = subject.model.global.dynamic_interfaces.is_some();
    let mut seen = Vec::new();
    let own = instance.interface.iter().map(|name| (&**name, name.span));
    let devices = instance
        .all_addresses()
        .filter_map(|a| a.dev.as_ref())
        .chain(instance.tracks.interfaces.iter().map(|t| &t.name))
        .map(|name| (&**name, name.span));
    for (name, span) in own.chain(devices) {
        if seen.contains(&name) || subject.environment.interface(name) != Interface::Missing {
            continue;
        }
        seen.push(name);
        let class = if dynamic { Class::Unnoticed } else { Class::Complaint };
        let mut diagnostic = if dynamic {
            Diagnostic::advice(Addresses::NoInterface, format!("there is no interface {name}"))
                .help("`dynamic_interfaces` is set: the instance waits in FAULT until it appears")
        } else {
            Diagnostic::error(Addresses::NoInterface, format!("there is no interface {name}"))
                .help("see `ip link`; with `dynamic_interfaces` it may appear later")
        };
        diagnostic = diagnostic.class(class).at(span, "on this machine");
        found.push(diagnostic);
    }
}

fn peers(subject: &Subject<'_>, instance: &Instance, found: &mut Vec<Diagnostic>) {
    let Transport::Unicast { peers } = &instance.transport else { return };
    let own: Vec<Network> = match instance.interface.as_ref() {
        Some(name) => match subject.environment.interface(name) {
            Interface::Present { addresses } => addresses,
            _ => Vec::new(),
        },
        None => Vec::new(),
    };
    if let (Some(source), Some(at)) = (instance.source.value, instance.source.span())
        && !own.is_empty()
        && !own.iter().any(|own| own.address == source)
    {
        let name = instance.interface.as_deref().unwrap_or_default();
        found.push(
            Diagnostic::warning(
                Addresses::SourceMissing,
                format!("{source} is no address of {name}"),
            )
            .unnoticed()
            .at(at, "the source of the adverts")
            .help("packets that peers send to it do not arrive here"),
        );
    }
    for peer in peers {
        let span = peer_span(subject.tree, &instance.name, peer.address);
        let is_source = instance.source.value == Some(peer.address);
        let is_own = own.iter().any(|own| own.address == peer.address);
        if is_source || is_own {
            let mut diagnostic = Diagnostic::warning(
                Addresses::OwnPeer,
                format!("the peer {} is this node itself", peer.address),
            )
            .unnoticed()
            .help("list the other nodes only; in a file that is the same everywhere, `@^ID` before the line leaves it out on the node ID");
            if let Some(span) = span {
                diagnostic = diagnostic.at(span, "");
            }
            if let (true, Some(source)) = (is_source, instance.source.span()) {
                diagnostic = diagnostic.also(source, "the own address");
            }
            found.push(diagnostic);
        }
    }
}

/// Where a peer is written: the model does not keep it.
fn peer_span(tree: &Tree, instance: &str, peer: IpAddr) -> Option<crate::source::Span> {
    let named = |item: &&Item| {
        item.keyword.as_str() == "vrrp_instance"
            && item.arg(0).is_some_and(|n| n.as_str() == instance)
    };
    tree.items
        .iter()
        .find(named)?
        .items()
        .iter()
        .filter(|item| item.keyword.as_str() == "unicast_peer")
        .flat_map(Item::items)
        .find(|line| line.keyword.parse() == Ok(peer))
        .map(|line| line.keyword.span)
}
