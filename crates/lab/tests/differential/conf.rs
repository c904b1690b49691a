//! Writes the keepalived.conf of a scenario: one instance, with what the scenario varies.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use crate::stage::s;

/// One instance, with defaults that suit most scenarios: version 3, every 0.2 s.
#[derive(Debug, Clone)]
pub(crate) struct Conf {
    pub(crate) name: &'static str,
    pub(crate) version: u8,
    pub(crate) vrid: u8,
    pub(crate) priority: u8,
    pub(crate) advert: f64,
    pub(crate) interface: &'static str,
    pub(crate) vips: Vec<String>,
    /// Lines inside of the instance.
    pub(crate) lines: Vec<String>,
    /// Text before the instance: global_defs, scripts, groups.
    pub(crate) before: String,
}

impl Conf {
    /// Version 3 over IPv4, an advertisement every 0.2 s.
    pub(crate) fn v3() -> Self {
        Self {
            name: "A",
            version: 3,
            vrid: 51,
            priority: 100,
            advert: 0.2,
            interface: "eth0",
            vips: vec![VIP.into()],
            lines: Vec::new(),
            before: String::new(),
        }
    }

    /// Version 3 over IPv6.
    pub(crate) fn v3_ipv6() -> Self {
        Self { vips: vec![VIP6_LOCAL.into(), VIP6.into()], ..Self::v3() }
    }

    /// Version 2, an advertisement every second: the protocol has no shorter one.
    pub(crate) fn v2() -> Self {
        Self { version: 2, advert: 1.0, ..Self::v3() }
    }

    pub(crate) fn priority(mut self, priority: u8) -> Self {
        self.priority = priority;
        self
    }

    pub(crate) fn name(mut self, name: &'static str, vrid: u8) -> Self {
        (self.name, self.vrid) = (name, vrid);
        self
    }

    pub(crate) fn on(mut self, interface: &'static str) -> Self {
        self.interface = interface;
        self
    }

    pub(crate) fn vips(mut self, vips: &[&str]) -> Self {
        self.vips = vips.iter().map(|vip| (*vip).to_owned()).collect();
        self
    }

    /// Adds a line to the instance.
    pub(crate) fn with(mut self, line: impl Into<String>) -> Self {
        self.lines.push(line.into());
        self
    }

    /// Adds text before the instance.
    pub(crate) fn after(mut self, text: impl AsRef<str>) -> Self {
        self.before.push_str(text.as_ref());
        self.before.push('\n');
        self
    }

    /// Unicast from machine `node` to the others of `all`.
    pub(crate) fn unicast(self, node: usize, all: &[usize]) -> Self {
        let ipv6 = self.vips[0].contains(':');
        let own =
            |n: &usize| if ipv6 { format!("2001:db8:0::{n}") } else { format!("198.51.100.{n}") };
        let peers: Vec<String> = all.iter().filter(|it| **it != node).map(own).collect();
        self.with(format!("unicast_src_ip {}", own(&node)))
            .with(format!("unicast_peer {{\n    {}\n  }}", peers.join("\n    ")))
    }

    /// The time between two advertisements.
    pub(crate) fn interval(&self) -> Duration {
        s(self.advert)
    }

    /// Skew time: RFC 3768 section 5.3.1, RFC 9568 section 6.1.
    pub(crate) fn skew(&self) -> Duration {
        let share = f64::from(256 - u16::from(self.priority)) / 256.0;
        s(if self.version == 2 { share } else { share * self.advert })
    }

    /// How long a backup waits after the last advertisement.
    pub(crate) fn down(&self) -> Duration {
        self.interval() * 3 + self.skew()
    }
}

impl fmt::Display for Conf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.before)?;
        writeln!(f, "vrrp_instance {} {{", self.name)?;
        writeln!(f, "  interface {}", self.interface)?;
        writeln!(f, "  version {}", self.version)?;
        writeln!(f, "  virtual_router_id {}", self.vrid)?;
        writeln!(f, "  priority {}", self.priority)?;
        writeln!(f, "  advert_int {}", self.advert)?;
        for line in &self.lines {
            writeln!(f, "  {line}")?;
        }
        writeln!(f, "  virtual_ipaddress {{")?;
        for vip in &self.vips {
            writeln!(f, "    {vip}")?;
        }
        writeln!(f, "  }}\n}}")
    }
}

/// Whether we are root only in a user namespace, where `/` belongs to nobody.
pub(crate) fn rootless() -> bool {
    std::fs::metadata("/").is_ok_and(|root| root.uid() != 0)
}

/// Lines of global_defs for scenarios with scripts. Script security wants every directory of a
/// script's path to belong to root.
pub(crate) fn scripts() -> String {
    let security = if rootless() { "" } else { "  enable_script_security\n" };
    format!("{security}  script_user root\n")
}

/// The virtual address of most scenarios.
pub(crate) const VIP: &str = "198.51.100.100";
/// The virtual IPv6 address of most scenarios.
pub(crate) const VIP6: &str = "2001:db8::100";
/// The link-local address that an IPv6 instance should have first.
pub(crate) const VIP6_LOCAL: &str = "fe80::100";
