//! Our adverts, as they go over the wire (§2.1 of the reference, RFC 9568 §5).

use std::net::IpAddr;

use wire::vrrp::{AuthType, Body, Centiseconds, ChecksumForm};
use wire::{ah, ipv4, vrrp};

use crate::auth::{next_stamp, stamp_number, stamp_of};
use crate::config::{Auth, Family, OldUnicastChecksum, RouterId, Transport, Version};
use crate::engine::Engine;
use crate::io::{Output, Transmit};
use crate::router::Router;

/// Buffers kept for reuse.
const POOL: usize = 64;

impl Engine {
    /// Sends an advert to the group or to every peer.
    pub(crate) fn send_advert(&mut self, id: RouterId, priority: u8) {
        let now = self.now;
        let Some(source) = self.routers[id].source else { return };
        let router = &mut self.routers[id];
        router.last_advert = Some(now.mono);
        if priority == 0 {
            router.stats.pri_zero_sent += 1;
        }
        // One number for all copies of an advert: whoever hears one copy and answers exceeds it for
        // all receivers, else two masters with many peers could reject each other for ever.
        match &router.config.auth {
            Auth::Hmac(config) => {
                router.hmac_sent = stamp_number(next_stamp(config, router.hmac_sent, now));
            }
            Auth::Ah(_) => {
                router.ah_sequence = router.ah_sequence.saturating_add(1);
                router.ah_from = None;
            }
            Auth::None | Auth::Pass(_) => {}
        }
        let mut nth = 0;
        while let Some(destination) = destination(&self.routers[id], nth) {
            nth += 1;
            let buffer = self.buffer();
            let Some(transmit) =
                encode(&mut self.routers[id], source, destination, priority, buffer)
            else {
                continue;
            };
            self.routers[id].stats.advert_sent += 1;
            self.out(Output::Transmit(transmit));
        }
    }

    /// An empty buffer.
    fn buffer(&mut self) -> Vec<u8> {
        self.pool.pop().unwrap_or_default()
    }

    /// Gives the buffer of a sent [`Transmit`] back, so that the next advert need not allocate
    /// one. Optional.
    pub fn recycle(&mut self, mut buffer: Vec<u8>) {
        if self.pool.len() < POOL {
            buffer.clear();
            self.pool.push(buffer);
        }
    }
}

/// The nth destination of a router's adverts.
fn destination(router: &Router, nth: usize) -> Option<IpAddr> {
    match &router.config.transport {
        Transport::Multicast { group } => (nth == 0).then_some(*group),
        Transport::Unicast { peers } => peers.get(nth).map(|peer| peer.address),
    }
}

/// The message without its priority, encoded once and kept until the configuration changes.
pub(crate) fn template(router: &Router) -> Option<vrrp::Repr> {
    let config = &router.config;
    let family = match config.family {
        Family::V4 => wire::Family::V4,
        Family::V6 => wire::Family::V6,
    };
    let body = match config.version {
        Version::V2 => {
            let (auth_type, auth_data) = match &config.auth {
                Auth::None | Auth::Hmac(_) => (AuthType::None, [0; 8]),
                Auth::Pass(password) => (AuthType::Pass, password.eight()),
                Auth::Ah(_) => (AuthType::Ah, [0; 8]),
            };
            // 1..=255 since normalise().
            Body::V2 { adver_int: config.advert_interval.as_secs() as u8, auth_type, auth_data }
        }
        Version::V3 => {
            Body::V3 { max_adver_int: Centiseconds::from_duration(config.advert_interval)? }
        }
    };
    let addresses = vrrp::Addresses::new(family, router.advertised().iter().copied()).ok()?;
    Some(vrrp::Repr { vrid: config.vrid.get(), priority: 0, addresses, body })
}

fn encode(
    router: &mut Router,
    source: IpAddr,
    destination: IpAddr,
    priority: u8,
    mut bytes: Vec<u8>,
) -> Option<Transmit> {
    let config = &router.config;
    let form = match (config.version, config.family) {
        (Version::V2, Family::V4) => ChecksumForm::Plain,
        (Version::V3, Family::V4) if config.v3_checksum_as_v2 => ChecksumForm::Plain,
        (Version::V3, Family::V4) if speaks_old(router, destination) => {
            ChecksumForm::PseudoHeaderOfGroup
        }
        _ => ChecksumForm::PseudoHeader,
    };
    let message = router.template.as_mut()?;
    message.priority = priority;
    let signing = router.keys.signing();
    let trailer_len = if signing.is_some() { wire::hmac_ext::TRAILER_LEN } else { 0 };
    let uses_ah = router.keys.ah().is_some();
    let mut protocol = vrrp::PROTOCOL;
    if let (IpAddr::V4(from), IpAddr::V4(to)) = (source, destination) {
        router.ip_id = router.ip_id.checked_add(1).unwrap_or(1);
        if uses_ah {
            protocol = ah::PROTOCOL;
        }
        let ah_len = if uses_ah { ah::HEADER_LEN } else { 0 };
        let header = ipv4::Repr {
            tos: vrrp::TRAFFIC_CLASS,
            identification: router.ip_id,
            dont_fragment: false,
            ttl: config.ttl,
            protocol,
            source: from,
            destination: to,
            payload_len: ah_len + message.buffer_len() + trailer_len,
        };
        header.emit(&mut bytes).ok()?;
        if uses_ah {
            ah::Repr::of_advert(from, router.ah_sequence).emit(&mut bytes);
        }
    }
    let start = bytes.len();
    message.emit(form, source, destination, &mut bytes);
    if let Some((key_id, key)) = signing {
        let family = message.addresses.family();
        let view = vrrp::Packet::new_checked(&bytes[start..], family).ok()?;
        let stamp = stamp_of(router.hmac_sent);
        key.sign(source, &view, key_id, stamp).emit(&mut bytes);
        if config.family == Family::V6 {
            // Keepalived lets the kernel write and judge IPv6 checksums, and the kernel counts all
            // that there is. (The MAC does not cover the checksum.)
            vrrp::set_checksum_with_trailing(&mut bytes[start..], source, destination).ok()?;
        }
    }
    if let Some(key) = router.keys.ah() {
        key.seal(&mut bytes).ok()?;
    }
    Some(Transmit {
        router: router.id,
        interface: config.interface.as_ref().map(|interface| interface.id),
        family: config.family,
        src: source,
        dst: destination,
        protocol,
        ttl: config.ttl,
        bytes,
    })
}

/// Whether that unicast peer is spoken to with the checksum of Keepalived before 1.3.7.
fn speaks_old(router: &Router, destination: IpAddr) -> bool {
    if !router.config.transport.is_unicast() {
        return false;
    }
    match router.config.old_unicast_checksum {
        OldUnicastChecksum::Always => true,
        OldUnicastChecksum::Never => false,
        OldUnicastChecksum::Auto => {
            router.peers.find(destination).is_some_and(|peer| peer.old_checksum)
        }
    }
}
