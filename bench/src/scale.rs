//! Many instances, many addresses.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use lab::packet::Packet;
use lab::subject::Subject;
use lab::{Lab, LabError, Plan};

use crate::outage::late;
use crate::table::{median, seconds};

const LIMIT: Duration = Duration::from_secs(60);
const LINKS: usize = 4;

/// 3 s and the skew of priority 150 (RFC 9568 section 6.1).
const IDEAL: f64 = 3.0 + 106.0 / 256.0;

/// 1,000 instances on four links: from the start of the program to the last VIP, beyond [`IDEAL`].
pub(crate) fn instances(subject: &Subject) -> Result<Vec<f64>, LabError> {
    let count = 1000;
    let mut config = String::from("global_defs {\n  vrrp_garp_master_repeat 1\n}\n");
    for number in 0..count {
        let (link, id) = (number % LINKS, number / LINKS + 1);
        // The documentation networks are small: two links share one, each with its own interface.
        let network = if link % 2 == 0 { "198.51.100" } else { "203.0.113" };
        let host = id + 3;
        let _ = write!(
            config,
            "vrrp_instance I{number} {{\n  interface eth{link}\n  version 3\n  \
             virtual_router_id {id}\n  priority 150\n  advert_int 1\n  \
             virtual_ipaddress {{\n    {network}.{host}/32\n  }}\n}}\n",
        );
    }
    let mut lab = Lab::build(Plan { nodes: 1, links: LINKS })?;
    let started = lab.start_with(1, subject, &config, &[])?.started();
    let last = last_address(&lab, started, count)?;
    Ok(vec![seconds(last - started) - IDEAL])
}

/// 5,000 addresses in one instance: IPv4 on twenty links, IPv6 on one.
pub(crate) fn addresses(subject: &Subject) -> Result<Vec<f64>, LabError> {
    let mut spread = Vec::new();
    for _ in 0..5 {
        spread.push(takeover(subject, &spread_config(), SPREAD)?);
    }
    Ok(vec![median(&spread), takeover(subject, &single_config(), 1)?])
}

const ADDRESSES: usize = 5000;
const SPREAD: usize = 20;

/// 250 on each of twenty links: the documentation networks have no 5,000 IPv4 addresses.
fn spread_config() -> String {
    let mut config = instance("198.51.100.100/32");
    let each = ADDRESSES / SPREAD;
    for number in 1..ADDRESSES {
        let (link, host) = (number / each, number % each + 4);
        let network = if link == 0 { "198.51.100" } else { "203.0.113" };
        // The one that is advertised is among those of the first link.
        let host = if (link, host) == (0, 100) { 4 } else { host };
        let _ = writeln!(config, "    {network}.{host}/32 dev eth{link}");
    }
    config + "  }\n}\n"
}

/// All on one link. The kernel alone needs seconds for so many.
fn single_config() -> String {
    let mut config = instance("fe80::100");
    for number in 1..ADDRESSES {
        let _ = writeln!(config, "    2001:db8:0:f::{number:x}/128");
    }
    config + "  }\n}\n"
}

/// All addresses but the first are not advertised, so that the packet stays small.
fn instance(first: &str) -> String {
    format!(
        "global_defs {{\n  vrrp_garp_master_repeat 1\n}}\nvrrp_instance A {{\n  interface eth0\n  \
         version 3\n  virtual_router_id 51\n  priority 150\n  advert_int 1\n  \
         virtual_ipaddress {{\n    {first}\n  }}\n  virtual_ipaddress_excluded {{\n"
    )
}

/// From the first advertisement until the last address is in the kernel and has been announced.
fn takeover(subject: &Subject, config: &str, links: usize) -> Result<f64, LabError> {
    let mut lab = Lab::build(Plan { nodes: 1, links })?;
    let started = lab.start_with(1, subject, config, &[])?.started();
    let (first, _) = lab
        .wait_advert(1, started, LIMIT, |it| it.priority == 150)
        .ok_or_else(|| late("n1 becomes master"))?;
    let held = last_address(&lab, started, ADDRESSES)?;
    let announced = last_announced(&lab, started, ADDRESSES)?;
    Ok(seconds(held.max(announced).saturating_sub(first)))
}

/// When the `count`th different virtual address appeared on n1.
///
/// The kernel may tell of an IPv6 address twice: when it is added and when it may be used.
fn last_address(lab: &Lab, started: Duration, count: usize) -> Result<Duration, LabError> {
    let (mut seen, mut read) = (HashSet::new(), 0);
    lab.changes()
        .wait(LIMIT, |changes| {
            let fresh = std::mem::replace(&mut read, changes.len());
            let new = changes[fresh..].iter().filter(|it| it.added && it.at > started);
            for change in new {
                if seen.insert((change.address, change.interface)) && seen.len() == count {
                    return Some(change.at);
                }
            }
            None
        })
        .ok_or_else(|| late("all addresses"))
}

/// When the `count`th different address was announced by n1.
fn last_announced(lab: &Lab, started: Duration, count: usize) -> Result<Duration, LabError> {
    let (mut seen, mut read) = (HashSet::new(), 0);
    lab.frames()
        .wait(LIMIT, |frames| {
            let fresh = std::mem::replace(&mut read, frames.len());
            for frame in frames[fresh..].iter().filter(|it| it.node == "n1" && it.at > started) {
                let address = match &frame.packet {
                    Packet::Arp(arp) if arp.gratuitous() => IpAddr::from(arp.sender),
                    Packet::Neighbor(na) if na.to.is_multicast() => IpAddr::from(na.target),
                    _ => continue,
                };
                if seen.insert((address, frame.link)) && seen.len() == count {
                    return Some(frame.at);
                }
            }
            None
        })
        .ok_or_else(|| late("all announcements"))
}
