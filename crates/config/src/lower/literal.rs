//! Numbers, times, networks: what a single word can say.

use std::net::IpAddr;

use crate::model::Network;

/// `on off true false yes no`.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text {
        "on" | "true" | "yes" => Some(true),
        "off" | "false" | "no" => Some(false),
        _ => None,
    }
}

pub(super) enum NotWhole {
    NotANumber,
    TooLarge,
}

/// A decimal integer with an optional sign, and nothing else.
pub(super) fn whole(text: &str) -> Result<i64, NotWhole> {
    let (negative, digits) = match text.as_bytes() {
        [b'+', digits @ ..] => (false, digits),
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(NotWhole::NotANumber);
    }
    // So many digits cannot overflow.
    if digits.len() <= 18 {
        let value = digits.iter().fold(0, |n, digit| n * 10 + i64::from(digit - b'0'));
        return Ok(if negative { -value } else { value });
    }
    text.parse().map_err(|_| NotWhole::TooLarge)
}

/// A number without sign, decimal or hexadecimal (`0x…`).
pub(super) fn unsigned(text: &str) -> Option<u64> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) if hex.bytes().all(|b| b.is_ascii_hexdigit()) => {
            u64::from_str_radix(hex, 16).ok()
        }
        Some(_) => None,
        None if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok(),
        None => None,
    }
}

pub(super) struct Micros {
    pub(super) micros: u64,
    /// There were more than six decimals.
    pub(super) rounded: bool,
}

/// Decimal seconds without sign.
pub(super) fn micros(text: &str) -> Option<Micros> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let seconds: u64 = if whole.is_empty() { 0 } else { whole.parse().unwrap_or(u64::MAX) };
    let mut micros: u64 = 0;
    for place in 0..6 {
        let digit = fraction.as_bytes().get(place).map_or(0, |b| u64::from(b - b'0'));
        micros = micros * 10 + digit;
    }
    let rounded = fraction.len() > 6;
    if rounded && fraction.as_bytes()[6] >= b'5' {
        micros += 1;
    }
    Some(Micros { micros: seconds.saturating_mul(1_000_000).saturating_add(micros), rounded })
}

/// An IP address. Nearly all are dotted quads, which are read here in a tenth of the time.
pub(super) fn address(text: &str) -> Option<IpAddr> {
    match dotted_quad(text.as_bytes()) {
        Some(octets) => Some(IpAddr::from(octets)),
        None => text.parse().ok(),
    }
}

/// Four numbers below 256, without zeros in front.
fn dotted_quad(text: &[u8]) -> Option<[u8; 4]> {
    let (mut octets, mut at) = ([0; 4], 0);
    let mut number: Option<u8> = None;
    for byte in text {
        match (byte, number) {
            (b'0'..=b'9', None) => number = Some(byte - b'0'),
            (b'0'..=b'9', Some(0)) => return None,
            (b'0'..=b'9', Some(n)) => number = Some(n.checked_mul(10)?.checked_add(byte - b'0')?),
            (b'.', Some(n)) if at < 3 => {
                octets[at] = n;
                at += 1;
                number = None;
            }
            _ => return None,
        }
    }
    octets[3] = number?;
    (at == 3).then_some(octets)
}

pub(super) enum NetworkError {
    Address,
    Prefix { network: Network, at: usize },
}

/// `IP[/PREFIX]`.
pub(super) fn parse_network(text: &str) -> Result<(Network, bool), NetworkError> {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let address = self::address(address).ok_or(NetworkError::Address)?;
    let host = Network::host(address);
    let Some(prefix) = prefix else { return Ok((host, false)) };
    match whole(prefix).ok().and_then(|n| u8::try_from(n).ok()) {
        Some(length) if length <= host.prefix => Ok((Network { address, prefix: length }, true)),
        _ => Err(NetworkError::Prefix { network: host, at: text.len() - prefix.len() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Every number that the library's parser reads, and "too large" for the others.
        #[test]
        fn whole_numbers_read_as_ever(text in "[+-]{0,2}[0-9]{0,20}[.a ]?") {
            let plain = text.strip_prefix(['+', '-']).unwrap_or(&text);
            let digits = !plain.is_empty() && plain.bytes().all(|b| b.is_ascii_digit());
            match whole(&text) {
                Ok(value) => prop_assert_eq!(text.parse(), Ok(value)),
                Err(NotWhole::TooLarge) => prop_assert!(digits && text.parse::<i64>().is_err()),
                Err(NotWhole::NotANumber) => prop_assert!(!digits),
            }
        }

        /// The short way reads what the library's parser reads, and nothing else.
        #[test]
        fn addresses_read_as_ever(text in "[0-9]{0,4}(\\.[0-9]{0,4}){0,4}[.:a]?") {
            prop_assert_eq!(address(&text), text.parse().ok());
        }

        #[test]
        fn every_address_is_read(octets: [u8; 4], ip: std::net::Ipv6Addr) {
            let v4 = IpAddr::from(octets);
            prop_assert_eq!(address(&v4.to_string()), Some(v4));
            prop_assert_eq!(address(&ip.to_string()), Some(IpAddr::V6(ip)));
        }
    }
}
