//! What the engine knows about one virtual router, and the times that follow from it.

use std::net::IpAddr;
use std::time::Duration;

use crate::auth::Keys;
use crate::config::{Auth, Family, RouterConfig, RouterId, Transport, Version};
use crate::event::{Cause, FaultReason, State, Term, YieldReason};
use crate::peers::Peers;
use crate::save::RouterKey;
use crate::snapshot::TransitionRecord;
use crate::stats::Statistics;
use crate::time::Time;
use crate::timers::Timers;

/// Added to the longest possible skew while a router waits for its successor: transit, scheduling.
pub(crate) const YIELD_MARGIN: Duration = Duration::from_millis(50);

/// A virtual router.
#[derive(Debug)]
pub(crate) struct Router {
    pub(crate) id: RouterId,
    /// Normalised: see [`normalise`].
    pub(crate) config: RouterConfig,
    /// Index of its sync group.
    pub(crate) group: Option<usize>,
    pub(crate) state: State,
    /// BACKUP whose master-down timer ran out while its group holds it back.
    pub(crate) wants_master: bool,
    /// Told once that the group holds it back.
    pub(crate) told_held_back: bool,
    /// Resigned and waiting for the successor. The state is still MASTER.
    pub(crate) yielding: Option<Yielding>,
    pub(crate) handed_over: bool,
    /// Ended by a stop: nothing happens any more.
    pub(crate) stopped: bool,
    pub(crate) timers: Timers,
    pub(crate) source: Option<IpAddr>,
    pub(crate) effective: u8,
    pub(crate) total: i64,
    pub(crate) terms: Vec<Term>,
    pub(crate) faults: Vec<FaultReason>,
    pub(crate) waiting_for: Vec<String>,
    /// It has waited in INIT since it was last in another state.
    pub(crate) waited: bool,
    /// Another router of this engine that has its VRID in the same place.
    pub(crate) duplicate_of: Option<String>,
    /// The last master heard while BACKUP: address and priority.
    pub(crate) master: Option<(IpAddr, u8)>,
    /// Its interval (v3: learned), or ours.
    pub(crate) master_interval: Duration,
    /// When the last advert was accepted, or BACKUP began.
    pub(crate) silent_since: Time,
    /// Why the master-down timer will have run out, if not for silence.
    pub(crate) pending: Option<Cause>,
    pub(crate) preempt_at: Option<Time>,
    /// The lower-priority master whose adverts we discard; told once.
    pub(crate) discarding: Option<IpAddr>,
    /// Owners: from then on another owner makes us treat ourselves as 254.
    pub(crate) rival_owner: Option<Time>,
    /// An owner that gives way to another owner.
    pub(crate) acting_254: bool,
    pub(crate) rival: Option<Rival>,
    pub(crate) last_advert: Option<Time>,
    pub(crate) started_at: Time,
    pub(crate) heard_anybody: bool,
    pub(crate) told_nobody: bool,
    pub(crate) peers: Peers,
    /// Last AH sequence number sent or accepted: all routers of a VRID count together.
    pub(crate) ah_sequence: u32,
    /// Whose it was; `None` if ours.
    pub(crate) ah_from: Option<IpAddr>,
    pub(crate) ip_id: u16,
    pub(crate) hmac_sent: u64,
    pub(crate) last_transition: Option<TransitionRecord>,
    pub(crate) stats: Statistics,
    pub(crate) keys: Keys,
    /// Our advert, kept encoded as far as it does not change.
    pub(crate) template: Option<wire::vrrp::Repr>,
}

/// A router that resigned and waits for its successor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Yielding {
    pub(crate) why: YieldReason,
    pub(crate) since: Time,
}

/// A second master that must yield to us.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rival {
    pub(crate) first: Time,
    pub(crate) last: Time,
    pub(crate) told: Option<Time>,
}

impl Router {
    pub(crate) fn new(id: RouterId, config: RouterConfig, now: Time) -> Self {
        let config = normalise(config);
        let mut router = Self {
            id,
            group: None,
            state: State::Init,
            wants_master: false,
            told_held_back: false,
            yielding: None,
            handed_over: false,
            stopped: false,
            timers: Timers::default(),
            source: config.source,
            effective: config.priority.get(),
            total: i64::from(config.priority.get()),
            terms: Vec::new(),
            faults: Vec::new(),
            waiting_for: Vec::new(),
            waited: false,
            duplicate_of: None,
            master: None,
            master_interval: config.advert_interval,
            silent_since: now,
            pending: None,
            preempt_at: None,
            discarding: None,
            rival_owner: None,
            acting_254: false,
            rival: None,
            last_advert: None,
            started_at: now,
            heard_anybody: false,
            told_nobody: false,
            peers: Peers::new(&config.transport),
            ah_sequence: 0,
            ah_from: None,
            ip_id: 0,
            hmac_sent: 0,
            last_transition: None,
            stats: Statistics::default(),
            keys: Keys::default(),
            template: None,
            config,
        };
        router.prepare();
        router
    }

    /// Takes over a new configuration of the same router. What it learned stays.
    pub(crate) fn reconfigure(&mut self, config: RouterConfig) {
        self.config = normalise(config);
        self.source = self.config.source.or(self.source);
        self.peers.configure(&self.config.transport);
        if self.config.version == Version::V2 || self.master.is_none() {
            self.master_interval = self.config.advert_interval;
        }
        if self.config.priority.get() != 255 {
            self.acting_254 = false;
        }
        self.prepare();
    }

    /// Makes ready what adverts are made of.
    fn prepare(&mut self) {
        self.keys = Keys::new(&self.config.auth);
        self.template = crate::advert::template(self);
    }

    /// What identifies it over reloads.
    pub(crate) fn key(&self) -> RouterKey {
        RouterKey::of(&self.config)
    }

    /// Whether the addresses must be there.
    pub(crate) fn holds(&self) -> bool {
        self.state == State::Master
    }

    /// Whether it owns the addresses and acts so.
    pub(crate) fn is_owner(&self) -> bool {
        self.effective == 255
    }

    /// Whether it goes from INIT to MASTER at once (RFC 9568 §6.4.1).
    pub(crate) fn starts_as_master(&self) -> bool {
        self.is_owner() && !self.handed_over
    }

    /// Whether a higher priority takes over from a lower one.
    pub(crate) fn preempts(&self) -> bool {
        self.config.preempt && !self.handed_over
    }

    /// Skew_Time (RFC 3768 §6.1, RFC 9568 §6.1) of a router with that priority.
    pub(crate) fn skew_of(&self, priority: u8) -> Duration {
        let unit = match self.config.version {
            Version::V2 => Duration::from_secs(1),
            Version::V3 => self.master_interval,
        };
        unit * (256 - u32::from(priority)) / 256
    }

    /// Our Skew_Time.
    pub(crate) fn skew(&self) -> Duration {
        self.skew_of(self.effective)
    }

    /// Master_Down_Interval (RFC 3768 §6.1; Active_Down_Interval in RFC 9568 §6.1), with
    /// `down_timer_adverts` in place of 3.
    pub(crate) fn down_time(&self) -> Duration {
        self.master_interval * u32::from(self.config.down_timer_adverts) + self.skew()
    }

    /// How long a resigned router waits for its successor: the skew of the lowest priority there
    /// is, and a little.
    pub(crate) fn yield_time(&self) -> Duration {
        let unit = match self.config.version {
            Version::V2 => Duration::from_secs(1),
            Version::V3 => self.config.advert_interval,
        };
        unit * 255 / 256 + YIELD_MARGIN
    }

    /// The silence after which a MASTER with `nopreempt` must think that another one took over.
    pub(crate) fn late_limit(&self) -> Duration {
        let unit = match self.config.version {
            Version::V2 => Duration::from_secs(1),
            Version::V3 => self.config.advert_interval,
        };
        let skew = unit * (256 - u32::from(self.config.timer_expired_backup)) / 256;
        self.config.advert_interval * u32::from(self.config.down_timer_adverts) + skew
    }

    /// Name of its interface, or an empty text.
    pub(crate) fn interface_name(&self) -> &str {
        self.config.interface.as_ref().map_or("", |interface| &interface.name)
    }

    /// Addresses that fit into an advert: 255, and what the MTU leaves beside the headers.
    pub(crate) fn advertised(&self) -> &[IpAddr] {
        let family = match self.config.family {
            Family::V4 => wire::Family::V4,
            Family::V6 => wire::Family::V6,
        };
        let reserved = match self.config.auth {
            Auth::None | Auth::Pass(_) => 0,
            Auth::Ah(_) => wire::ah::HEADER_LEN,
            Auth::Hmac(_) => wire::hmac_ext::TRAILER_LEN,
        };
        let version = self.config.version.number();
        let mtu = self.config.mtu as usize;
        let room = wire::vrrp::Addresses::capacity(family, version, mtu, reserved);
        &self.config.addresses[..self.config.addresses.len().min(room)]
    }
}

impl RouterKey {
    /// The key of a configured router.
    pub fn of(config: &RouterConfig) -> Self {
        Self {
            vrid: config.vrid.get(),
            family: config.family,
            interface: config.interface.as_ref().map(|interface| interface.name.clone()),
            unicast_source: match config.transport {
                Transport::Unicast { .. } => config.source,
                Transport::Multicast { .. } => None,
            },
        }
    }
}

/// Applies the rules that follow from other settings, so that the engine need not think of them.
pub(crate) fn normalise(mut config: RouterConfig) -> RouterConfig {
    let owner = config.priority.get() == 255;
    // §2.4 of the reference: what `state MASTER` and ownership rule out.
    if owner || config.state_master {
        config.preempt = true;
    }
    if config.state_master || !config.preempt {
        config.preempt_delay = Duration::ZERO;
    }
    if config.strict {
        config.preempt_delay = Duration::ZERO;
        config.down_timer_adverts = 3;
        config.garp.lower_prio_repeat = 0;
        config.lower_prio_no_advert = true;
        config.higher_prio_send_advert = false;
        config.owner_ignore_adverts = true;
    }
    config.advert_interval = match config.version {
        // RFC 3768 §5.3.7: whole seconds in eight bits.
        Version::V2 => Duration::from_secs(
            config.advert_interval.as_millis().saturating_add(500).div_euclid(1000).clamp(1, 255)
                as u64,
        ),
        // RFC 9568 §5.2.7: centiseconds in twelve bits.
        Version::V3 => Duration::from_millis(
            config.advert_interval.as_millis().saturating_add(5).div_euclid(10).clamp(1, 4095)
                as u64
                * 10,
        ),
    };
    config.down_timer_adverts = config.down_timer_adverts.clamp(1, 100);
    config.timer_expired_backup = config.timer_expired_backup.clamp(1, 254);
    config.garp.repeat = config.garp.repeat.max(1);
    config.garp.refresh_repeat = config.garp.refresh_repeat.max(1);
    // RFC 5798 has no authentication, and there is no AH over IPv6 here.
    match (&config.auth, config.version, config.family) {
        (Auth::Pass(_) | Auth::Ah(_), Version::V3, _) | (Auth::Ah(_), _, Family::V6) => {
            config.auth = Auth::None;
        }
        _ => {}
    }
    config.addresses.retain(|address| Family::of(address) == config.family);
    config
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU8;

    use super::*;
    use crate::config::{Interface, InterfaceId};

    fn router(version: Version, priority: u8, interval: Duration) -> Router {
        let interface = Interface { id: InterfaceId(1), name: "eth0".into() };
        let vrid = NonZeroU8::new(51).unwrap();
        let mut config = RouterConfig::new("V", interface, version, Family::V4, vrid);
        config.priority = NonZeroU8::new(priority).unwrap();
        config.advert_interval = interval;
        Router::new(RouterId(0), config, Time::ZERO)
    }

    #[test]
    fn master_down_times_as_observed() {
        let micros = |router: Router| router.down_time().as_nanos() / 1000;
        assert_eq!(micros(router(Version::V2, 150, Duration::from_secs(1))), 3_414_062);
        assert_eq!(micros(router(Version::V3, 150, Duration::from_millis(500))), 1_707_031);
        assert_eq!(micros(router(Version::V3, 255, Duration::from_secs(1))), 3_003_906);
    }

    #[test]
    fn intervals_fit_the_wire() {
        let of = |version, millis| {
            router(version, 100, Duration::from_millis(millis)).config.advert_interval
        };
        assert_eq!(of(Version::V2, 10), Duration::from_secs(1));
        assert_eq!(of(Version::V2, 1500), Duration::from_secs(2));
        assert_eq!(of(Version::V3, 3), Duration::from_millis(10));
        assert_eq!(of(Version::V3, 255_000), Duration::from_millis(40_950));
    }
}
