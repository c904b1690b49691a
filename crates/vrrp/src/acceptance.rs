//! Which adverts are believed. Checks are made in Keepalived's order (§2.7 of the reference,
//! RFC 9568 §7.1); the first that fails names the reason. Nothing is changed in here: a rejected
//! packet leaves no trace but a counter and a line in the log.

use std::net::IpAddr;
use std::time::Duration;

use wire::vrrp::{AuthType, ChecksumForm, Type};
use wire::{ah, hmac_ext, ipv4, vrrp};

use crate::auth::{hmac_fresh, stamp_number};
use crate::config::{Auth, Family, HmacMode, OldUnicastChecksum, Transport, Version};
use crate::event::{ChecksumKind, Rejection};
use crate::io::Datagram;
use crate::router::Router;
use crate::time::Now;

/// A packet with its parts found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packet<'a> {
    pub(crate) from: IpAddr,
    pub(crate) to: IpAddr,
    ttl: u8,
    /// The IPv4 packet, for AH.
    ip: Option<ipv4::Packet<'a>>,
    ah: Option<ah::Packet<'a>>,
    pub(crate) vrrp: vrrp::Packet<'a>,
}

impl<'a> Packet<'a> {
    /// Finds the parts. `None` if there is no VRRP header, so that nobody can be blamed for it.
    pub(crate) fn find(datagram: Datagram<'a>) -> Option<Self> {
        match datagram {
            Datagram::V4 { bytes } => {
                let ip = ipv4::Packet::new_checked(bytes).ok()?;
                if ip.more_fragments() || ip.fragment_offset() > 0 {
                    return None;
                }
                let (ah, payload) = match ip.protocol() {
                    vrrp::PROTOCOL => (None, ip.payload()),
                    ah::PROTOCOL => {
                        let ah = ah::Packet::new_checked(ip.payload()).ok()?;
                        (Some(ah), ah.payload())
                    }
                    _ => return None,
                };
                let vrrp = vrrp::Packet::new_checked(payload, wire::Family::V4).ok()?;
                let (from, to) = (ip.source().into(), ip.destination().into());
                Some(Self { from, to, ttl: ip.ttl(), ip: Some(ip), ah, vrrp })
            }
            Datagram::V6 { src, dst, hop_limit, payload } => {
                let vrrp = vrrp::Packet::new_checked(payload, wire::Family::V6).ok()?;
                let (from, to) = (src.into(), dst.into());
                Some(Self { from, to, ttl: hop_limit, ip: None, ah: None, vrrp })
            }
        }
    }

    /// IP version.
    pub(crate) fn family(&self) -> Family {
        Family::of(&self.from)
    }
}

/// An advert that is believed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Advert {
    pub(crate) from: IpAddr,
    pub(crate) priority: u8,
    pub(crate) interval: Duration,
    /// Set if its address list is not ours.
    pub(crate) list_differs: Option<ListDiffers>,
    /// New AH sequence number.
    pub(crate) ah_sequence: Option<u32>,
    /// New `auth_hmac` mark of the sender, and how far its clock is from ours.
    pub(crate) hmac: Option<(u64, Duration)>,
    /// Whether the checksum is that of Keepalived before 1.3.7, where both are possible.
    pub(crate) old_checksum: Option<bool>,
}

/// How an address list differs from ours.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ListDiffers {
    pub(crate) missing: Vec<IpAddr>,
    pub(crate) extra: Vec<IpAddr>,
}

/// All checks, in order.
pub(crate) fn examine(router: &Router, packet: &Packet<'_>, now: Now) -> Result<Advert, Rejection> {
    let config = &router.config;
    let vrrp = &packet.vrrp;
    if packet.from.is_unspecified() || packet.from.is_multicast() {
        return Err(Rejection::Source);
    }
    match (&config.auth, packet.ah) {
        (Auth::Ah(_), None) => return Err(Rejection::MissingAh),
        (Auth::None | Auth::Pass(_) | Auth::Hmac(_), Some(_)) => {
            return Err(Rejection::UnexpectedAh);
        }
        _ => {}
    }
    check_length(router, vrrp)?;
    check_ttl(router, packet)?;
    if vrrp.version() != config.version.number() {
        let (got, expected) = (vrrp.version(), config.version.number());
        return Err(Rejection::Version { got, expected });
    }
    let hmac = check_hmac(router, packet, now)?;
    let ah_sequence = match config.version {
        Version::V2 => check_v2_auth(router, packet)?,
        Version::V3 => None,
    };
    let interval = vrrp.interval();
    if config.version == Version::V2 && interval != config.advert_interval {
        let expected = config.advert_interval.as_secs() as u8; // 1..=255 since normalise()
        return Err(Rejection::Interval { got: vrrp.adver_int(), expected });
    }
    if let Type::Unknown(got) = vrrp.kind() {
        return Err(Rejection::Type { got });
    }
    let old_checksum = check_checksum(router, packet)?;
    match &config.transport {
        Transport::Multicast { .. } if !packet.to.is_multicast() => {
            return Err(Rejection::UnicastUnexpected);
        }
        Transport::Unicast { .. } if packet.to.is_multicast() => {
            return Err(Rejection::MulticastUnexpected);
        }
        Transport::Unicast { peers }
            if config.check_unicast_src
                && !peers.iter().any(|peer| peer.address == packet.from) =>
        {
            return Err(Rejection::UnknownPeer);
        }
        _ => {}
    }
    let known_master = router.master.is_some_and(|(address, _)| address == packet.from);
    let list_differs = if config.skip_check_adv_addr && known_master {
        None
    } else {
        compare_lists(router.advertised(), vrrp)
    };
    Ok(Advert {
        from: packet.from,
        priority: vrrp.priority(),
        // A v3 interval of 0 would make a timer that never rests (RFC 9568 §5.2.7 has no minimum).
        interval: interval.max(Duration::from_millis(10)),
        list_differs,
        ah_sequence,
        hmac,
        old_checksum,
    })
}

/// Exactly the bytes that the header promises, or these and a trailer.
fn check_length(router: &Router, vrrp: &vrrp::Packet<'_>) -> Result<(), Rejection> {
    let (got, expected) = (vrrp.padded_len(), vrrp.strict_len());
    let signed = matches!(router.config.auth, Auth::Hmac(_));
    if got < expected || (got > expected && !signed) {
        return Err(Rejection::Length { got, expected });
    }
    Ok(())
}

/// RFC 9568 §5.1.1.3: 255, which no router lets through. Over unicast only where limits are given.
fn check_ttl(router: &Router, packet: &Packet<'_>) -> Result<(), Rejection> {
    let got = packet.ttl;
    let (min, max) = match &router.config.transport {
        Transport::Multicast { .. } => (255, 255),
        Transport::Unicast { peers } => {
            match peers.iter().find(|peer| peer.address == packet.from) {
                Some(peer) => (peer.min_ttl.unwrap_or(0), peer.max_ttl.unwrap_or(255)),
                None => (0, 255),
            }
        }
    };
    if got < min || got > max { Err(Rejection::Ttl { got, min, max }) } else { Ok(()) }
}

/// `auth_hmac`: the trailer, its key, its code, its age. Gives the sender's new mark and the
/// distance of its clock.
fn check_hmac(
    router: &Router,
    packet: &Packet<'_>,
    now: Now,
) -> Result<Option<(u64, Duration)>, Rejection> {
    let Auth::Hmac(config) = &router.config.auth else { return Ok(None) };
    let trailing = packet.vrrp.trailing();
    if trailing.is_empty() {
        return match config.mode {
            HmacMode::Enforce => Err(Rejection::HmacMissing),
            HmacMode::Permissive | HmacMode::ReceiveOnly => Ok(None),
        };
    }
    if trailing.len() != hmac_ext::TRAILER_LEN {
        return Err(Rejection::HmacMalformed);
    }
    let trailer = hmac_ext::Trailer::new_checked(trailing).map_err(|_| Rejection::HmacMalformed)?;
    if !trailer.is_well_formed() {
        return Err(Rejection::HmacMalformed);
    }
    let id = trailer.key_id();
    let key = router.keys.hmac(id).ok_or(Rejection::HmacUnknownKey { id })?;
    if !key.verify(packet.from, &packet.vrrp, &trailer) {
        return Err(Rejection::HmacInvalid);
    }
    let off = hmac_fresh(config, trailer.stamp(), now)?;
    let mark = stamp_number(trailer.stamp());
    if router.peers.mark(packet.from).is_some_and(|last| mark <= last) {
        return Err(Rejection::HmacReplay);
    }
    Ok(Some((mark, off)))
}

/// v2: authentication type, then password or AH. Gives the new AH sequence number.
fn check_v2_auth(router: &Router, packet: &Packet<'_>) -> Result<Option<u32>, Rejection> {
    let expected = match router.config.auth {
        Auth::None | Auth::Hmac(_) => AuthType::None,
        Auth::Pass(_) => AuthType::Pass,
        Auth::Ah(_) => AuthType::Ah,
    };
    let got = packet.vrrp.auth_type();
    if let AuthType::Unknown(got) = got {
        return Err(Rejection::AuthTypeInvalid { got });
    }
    if got != expected {
        return Err(Rejection::AuthTypeMismatch { got: got.into(), expected: expected.into() });
    }
    match &router.config.auth {
        // Over IPv6 there is a type and no data.
        Auth::Pass(password)
            if router.config.family == Family::V4
                && !packet.vrrp.auth_data_is(&password.eight()) =>
        {
            Err(Rejection::Password)
        }
        Auth::Ah(_) => {
            let (Some(ip), Some(ah), Some(key)) = (packet.ip, packet.ah, router.keys.ah()) else {
                return Err(Rejection::MissingAh);
            };
            if ah.next_header() != vrrp::PROTOCOL || ah.spi() != u32::from(ip.source()) {
                return Err(Rejection::AhMalformed);
            }
            if !key.verify(&ip) {
                return Err(Rejection::AhInvalid);
            }
            let (got, last) = (ah.sequence(), router.ah_sequence);
            // Two masters that count in step must hear each other, or both remain. And once the
            // numbers are used up they begin anew.
            let in_step = got == last && router.ah_from != Some(packet.from);
            if got <= last && !in_step && last < ah::LAST_SEQUENCE {
                return Err(Rejection::AhReplay { got, last });
            }
            Ok(Some(got))
        }
        _ => Ok(None),
    }
}

/// The checksum (§2.2 of the reference). Gives whether it is the old one of a unicast peer.
fn check_checksum(router: &Router, packet: &Packet<'_>) -> Result<Option<bool>, Rejection> {
    let config = &router.config;
    let right = |form| packet.vrrp.verify_checksum(form, packet.from, packet.to);
    let v3_over_v4 = (config.version, config.family) == (Version::V3, Family::V4);
    if v3_over_v4 && config.v3_checksum_as_v2 {
        return Ok(None);
    }
    let old_possible = v3_over_v4
        && config.transport.is_unicast()
        && config.old_unicast_checksum != OldUnicastChecksum::Never;
    let family = packet.vrrp.family();
    if right(ChecksumForm::usual(config.version.number(), family)) {
        return Ok(old_possible.then_some(false));
    }
    if old_possible && right(ChecksumForm::PseudoHeaderOfGroup) {
        return Ok(Some(true));
    }
    // A signed IPv6 advert may carry the kernel's checksum, which counts the trailer too.
    if config.family == Family::V6
        && matches!(config.auth, Auth::Hmac(_))
        && packet.vrrp.verify_checksum_with_trailing(packet.from, packet.to)
    {
        return Ok(None);
    }
    let matches = packet.vrrp.checksum_form(packet.from, packet.to).map(|form| match form {
        ChecksumForm::Plain => ChecksumKind::MessageOnly,
        ChecksumForm::PseudoHeader => ChecksumKind::PseudoHeader,
        ChecksumForm::PseudoHeaderOfGroup => ChecksumKind::OldUnicast,
    });
    Err(Rejection::Checksum { matches })
}

/// RFC 9568 §7.1: the lists should be equal; their order does not matter.
fn compare_lists(ours: &[IpAddr], vrrp: &vrrp::Packet<'_>) -> Option<ListDiffers> {
    let theirs = vrrp.addresses();
    if theirs.len() == ours.len() && theirs.clone().eq(ours.iter().copied()) {
        return None;
    }
    let theirs: Vec<IpAddr> = theirs.collect();
    let without = |list: &[IpAddr], other: &[IpAddr]| -> Vec<IpAddr> {
        list.iter().copied().filter(|address| !other.contains(address)).collect()
    };
    let (missing, extra) = (without(ours, &theirs), without(&theirs, ours));
    (!missing.is_empty() || !extra.is_empty()).then_some(ListDiffers { missing, extra })
}
