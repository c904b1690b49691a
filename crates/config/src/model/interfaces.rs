//! Blocks about interfaces: link polling, debouncing, shared announcement pacing.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::setting::Name;

/// One line of `linkbeat_interfaces`: an interface whose link is polled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Linkbeat {
    /// The interface.
    pub interface: Name,
    /// How; `None` tries MII, ETHTOOL, IOCTL in that order.
    pub method: Option<LinkbeatMethod>,
}

/// How a link is polled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LinkbeatMethod {
    /// The MII registers.
    Mii,
    /// The ethtool call.
    Ethtool,
    /// The interface's running flag.
    Ioctl,
}

/// One line of `interface_up_down_delays`: how long a change of an interface must last to count.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InterfaceDelay {
    /// The interface.
    pub interface: Name,
    /// Before it counts as down, 0..=255 s.
    pub down: Duration,
    /// Before it counts as up, 0..=255 s; zero if not written.
    pub up: Duration,
}

/// `garp_group`: interfaces that share one pacing of announcements.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GarpGroup {
    /// Gap between gratuitous ARPs; zero: none.
    pub garp_interval: Duration,
    /// Gap between unsolicited neighbour advertisements; zero: none.
    pub gna_interval: Duration,
    /// The interfaces.
    pub interfaces: Vec<Name>,
}
