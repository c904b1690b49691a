//! What people write when they mean a virtual or a real server.

use std::net::{IpAddr, SocketAddr};

/// The word that means every server.
pub const ALL: &str = "all";
/// Names that a refusal lists at most.
const LISTED: usize = 8;

/// What somebody has written, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// `tcp`, `udp`, `sctp`, if written.
    pub protocol: Option<String>,
    /// The address, if it is one.
    pub address: Option<IpAddr>,
    /// The port, if written.
    pub port: Option<u16>,
    /// The firewall mark, if it is one.
    pub mark: Option<u32>,
}

impl Wanted {
    /// Takes `198.51.100.1:80`, `tcp:198.51.100.1:80`, `tcp/198.51.100.1:80`,
    /// `198.51.100.1 80`, `[2001:db8::1]:tcp:80`, `2001:db8::1`, `fwmark 3` and the like apart.
    /// Text that is none of them wants nothing.
    pub fn of(text: &str) -> Self {
        let text = text.trim();
        let lower = text.to_ascii_lowercase();
        for word in ["fwmark", "fwm"] {
            if let Some(rest) = lower.strip_prefix(word) {
                let digits = rest.trim_start_matches([' ', ':']);
                return Self { mark: digits.parse().ok(), ..Self::default() };
            }
        }
        let mut protocol = None;
        let mut rest = lower.as_str();
        for name in ["tcp", "udp", "sctp"] {
            let after = rest.strip_prefix(name).and_then(|r| r.strip_prefix([':', '/', ' ']));
            if let Some(after) = after {
                protocol = Some(name.to_owned());
                rest = after.trim_start();
                break;
            }
        }
        let (host, port) = match split(rest) {
            Some(parts) => parts,
            None => return Self::default(),
        };
        let mut port = port;
        for name in ["tcp", "udp", "sctp"] {
            let middle = port.and_then(|p| p.strip_prefix(name));
            if let Some(after) = middle.and_then(|p| p.strip_prefix(':')) {
                protocol = Some(name.to_owned());
                port = Some(after);
                break;
            }
        }
        let Ok(address) = host.parse() else { return Self::default() };
        let port = match port.map(str::parse) {
            None => None,
            Some(Ok(port)) => Some(port),
            Some(Err(_)) => return Self::default(),
        };
        Self { protocol, address: Some(address), port, mark: None }
    }

    /// Whether that is meant. `protocol` is empty where there is none to compare.
    pub fn means(&self, address: SocketAddr, protocol: &str) -> bool {
        self.address == Some(address.ip())
            && self.port.is_none_or(|port| port == address.port())
            && (protocol.is_empty() || self.protocol.as_deref().is_none_or(|p| p == protocol))
    }
}

/// Host and port: `[v6]:80`, `v4:80`, `v4 80`, a bare address of either family.
fn split(text: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, after) = rest.split_once(']')?;
        return match after {
            "" => Some((host, None)),
            after => Some((host, Some(after.strip_prefix([':', ' '])?.trim()))),
        };
    }
    if let Some((host, port)) = text.split_once(' ') {
        return Some((host, Some(port.trim())));
    }
    match text.split_once(':') {
        // More than one colon, and the rest is no `tcp:80`: an IPv6 address.
        Some((_, rest)) if rest.contains(':') && text.parse::<IpAddr>().is_ok() => {
            Some((text, None))
        }
        Some((host, port)) => Some((host, Some(port))),
        None => Some((text, None)),
    }
}

/// Those of `all` that `text` means, or what to say if there is none.
pub(super) fn select<'a, T>(
    what: &str,
    text: &str,
    all: &'a [T],
    answers: impl Fn(&T, &str) -> bool,
    name: impl Fn(&T) -> &str,
) -> Result<Vec<&'a T>, String> {
    let found: Vec<_> =
        all.iter().filter(|item| text.trim() == ALL || answers(item, text)).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    if all.is_empty() {
        return Err(format!("there is no {what}"));
    }
    let mut names: Vec<&str> = all.iter().map(&name).collect();
    // The likeliest first: the longest beginning in common, brackets left out.
    let plain = |s: &str| s.to_ascii_lowercase().replace(['[', ']'], "");
    let wanted = plain(text);
    let common =
        |name: &&str| plain(name).chars().zip(wanted.chars()).take_while(|(a, b)| a == b).count();
    names.sort_by_key(|name| std::cmp::Reverse(common(name)));
    let more = names.len().saturating_sub(LISTED);
    names.truncate(LISTED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Err(format!("there is no {what} `{}`; there is {}{more}", text.trim(), names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::super::{RealServer, Service, Settings, VirtualServer};
    use super::*;

    fn web() -> VirtualServer {
        VirtualServer {
            name: "[198.51.100.1]:tcp:80".into(),
            protocol: "tcp".into(),
            settings: Settings {
                address: Some("198.51.100.1:80".parse().unwrap()),
                ..Settings::default()
            },
            real_servers: vec![RealServer {
                name: "[10.0.0.2]:tcp:80".into(),
                address: Some("10.0.0.2:80".parse().unwrap()),
                found_by: Some("web.example.com:80".into()),
                ..RealServer::default()
            }],
            ..VirtualServer::default()
        }
    }

    #[test]
    fn a_virtual_server_has_many_names() {
        for text in [
            "[198.51.100.1]:tcp:80",
            "198.51.100.1:80",
            "198.51.100.1 80",
            "tcp:198.51.100.1:80",
            "TCP 198.51.100.1:80",
            "tcp/198.51.100.1:80",
            "198.51.100.1",
            " 198.51.100.1 ",
        ] {
            assert!(web().answers_to(text), "{text}");
        }
        for text in [
            "198.51.100.1:81",
            "udp:198.51.100.1:80",
            "198.51.100.2",
            "fwmark 80",
            "",
            ":",
            "[",
            "all",
        ] {
            assert!(!web().answers_to(text), "{text}");
        }
    }

    #[test]
    fn marks_groups_and_ipv6_have_names_too() {
        let settings = Settings { mark: Some(3), ..Settings::default() };
        let mark = VirtualServer { name: "FWM 3".into(), settings, ..VirtualServer::default() };
        assert!(
            mark.answers_to("fwmark 3") && mark.answers_to("FWM 3") && mark.answers_to("fwm:3")
        );
        assert!(!mark.answers_to("fwmark 4") && !mark.answers_to("fwmark"));
        let group = VirtualServer {
            name: "[WEB]:tcp:0".into(),
            protocol: "tcp".into(),
            services: vec![Service { text: "TCP [2001:db8::1]:80".into(), ..Service::default() }],
            settings: Settings { group: Some("WEB".into()), ..Settings::default() },
            ..VirtualServer::default()
        };
        for text in ["WEB", "2001:db8::1", "[2001:db8::1]:80", "[2001:db8::1]:tcp:80"] {
            assert!(group.answers_to(text), "{text}");
        }
        assert!(!group.answers_to("[2001:db8::1]:81"));
    }

    #[test]
    fn a_real_server_is_its_address_or_its_dns_name() {
        let all = web();
        for text in [
            "10.0.0.2:80",
            "10.0.0.2",
            "web.example.com",
            "web.example.com:80",
            "[10.0.0.2]:tcp:80",
            "all",
        ] {
            assert_eq!(all.real_servers_called(text).map(|r| r.len()), Ok(1), "{text}");
        }
        let refusal = all.real_servers_called("10.0.0.3").unwrap_err();
        assert_eq!(refusal, "there is no real server `10.0.0.3`; there is [10.0.0.2]:tcp:80");
    }

    #[test]
    fn a_refusal_lists_the_likeliest_first() {
        let names: Vec<String> = (1..20).map(|n| format!("[10.0.0.{n}]:tcp:80")).collect();
        let refusal =
            select("real server", "10.0.0.17:8080", &names, |n, t| n == t, |n| n).unwrap_err();
        assert!(refusal.contains("there is [10.0.0.17]:tcp:80, "), "{refusal}");
        assert!(refusal.ends_with("and 11 more"), "{refusal}");
    }
}
