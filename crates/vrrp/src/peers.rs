//! Other routers heard for one virtual router, and what was already told about them.
//!
//! All tables are bounded: whoever can send packets must not be able to grow them.

use std::mem::{Discriminant, discriminant};
use std::net::IpAddr;
use std::time::Duration;

use crate::config::Transport;
use crate::event::Rejection;
use crate::time::Time;

/// Routers remembered besides the configured ones.
const HEARD: usize = 16;
/// Senders whose `auth_hmac` stamps are remembered with multicast.
const MARKS: usize = 4;
/// Kinds of trouble, by sender, remembered so as not to tell them again.
const TOLD: usize = 32;
/// After this long a trouble is told again.
const TELL_AGAIN: Duration = Duration::from_secs(300);
/// The least time between two tellings of the same trouble, accepted adverts between or not.
const TELL_GAP: Duration = Duration::from_secs(10);

/// Lines about ordinary adverts that one router may cause in a row.
const CHAT: u32 = 12;
/// After this long it may cause one more.
const CHAT_REFILL: Duration = Duration::from_secs(5);

/// Another router.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    pub(crate) configured: bool,
    pub(crate) priority: Option<u8>,
    pub(crate) interval: Option<Duration>,
    pub(crate) last_heard: Option<Time>,
    /// Uses the checksum of Keepalived before 1.3.7.
    pub(crate) old_checksum: bool,
}

impl Peer {
    fn new(address: IpAddr, configured: bool) -> Self {
        Self {
            address,
            configured,
            priority: None,
            interval: None,
            last_heard: None,
            old_checksum: false,
        }
    }
}

/// What is told once for a sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    Rejected(Discriminant<Rejection>),
    AddressList,
    Interval,
    Clock,
    Loop,
}

impl From<&Rejection> for Trouble {
    fn from(rejection: &Rejection) -> Self {
        Self::Rejected(discriminant(rejection))
    }
}

#[derive(Clone, Debug)]
struct Told {
    address: IpAddr,
    trouble: Trouble,
    at: Time,
    /// The sender was accepted since.
    settled: bool,
}

/// The routers heard for one virtual router.
#[derive(Clone, Debug)]
pub(crate) struct Peers {
    list: Vec<Peer>,
    /// Sender and last stamp, most recent last.
    marks: Vec<(IpAddr, u64)>,
    told: Vec<Told>,
    /// Lines that may still be told about ordinary adverts, and since when.
    chat: (u32, Time),
}

impl Peers {
    pub(crate) fn new(transport: &Transport) -> Self {
        let chat = (CHAT, Time::ZERO);
        let mut peers = Self { list: Vec::new(), marks: Vec::new(), told: Vec::new(), chat };
        peers.configure(transport);
        peers
    }

    /// Takes over the configured peers; what is known about them stays.
    pub(crate) fn configure(&mut self, transport: &Transport) {
        let configured: &[_] = match transport {
            Transport::Unicast { peers } => peers,
            Transport::Multicast { .. } => &[],
        };
        for peer in &mut self.list {
            peer.configured = configured.iter().any(|other| other.address == peer.address);
        }
        self.list.retain(|peer| peer.configured || peer.last_heard.is_some());
        for peer in configured {
            if self.find(peer.address).is_none() {
                self.list.push(Peer::new(peer.address, true));
            }
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Peer> {
        self.list.iter()
    }

    pub(crate) fn find(&self, address: IpAddr) -> Option<&Peer> {
        self.list.iter().find(|peer| peer.address == address)
    }

    pub(crate) fn find_mut(&mut self, address: IpAddr) -> Option<&mut Peer> {
        self.list.iter_mut().find(|peer| peer.address == address)
    }

    /// Notes an advert. True if it is the first of this router.
    pub(crate) fn heard(
        &mut self,
        address: IpAddr,
        priority: u8,
        interval: Duration,
        now: Time,
    ) -> bool {
        for told in &mut self.told {
            told.settled |= told.address == address && matches!(told.trouble, Trouble::Rejected(_));
        }
        if self.find(address).is_none() {
            let heard = self.list.iter().filter(|peer| !peer.configured);
            if heard.clone().count() >= HEARD
                && let Some(oldest) = heard.min_by_key(|peer| peer.last_heard)
            {
                let oldest = oldest.address;
                self.list.retain(|peer| peer.address != oldest);
            }
            self.list.push(Peer::new(address, false));
        }
        let Some(peer) = self.find_mut(address) else { return false };
        let first = peer.last_heard.is_none();
        peer.priority = Some(priority);
        peer.interval = Some(interval);
        peer.last_heard = Some(now);
        first
    }

    /// Whether to tell this trouble now. Notes that it was told.
    pub(crate) fn tell(&mut self, address: IpAddr, trouble: Trouble, now: Time) -> bool {
        if let Some(told) =
            self.told.iter_mut().find(|told| told.address == address && told.trouble == trouble)
        {
            let gap = if told.settled { TELL_GAP } else { TELL_AGAIN };
            if now.since(told.at) < gap {
                return false;
            }
            told.at = now;
            told.settled = false;
            return true;
        }
        if self.told.len() >= TOLD {
            // Many senders at once are a flood: tell no more until the first ones are old.
            self.told.retain(|told| now.since(told.at) < TELL_AGAIN);
            if self.told.len() >= TOLD {
                return false;
            }
        }
        self.told.push(Told { address, trouble, at: now, settled: false });
        true
    }

    /// Whether to tell of an ordinary advert. In normal life always; masters that alternate with
    /// each advert, or somebody who sends a thousand of them, do not fill the log.
    pub(crate) fn may_chat(&mut self, now: Time) -> bool {
        let (left, since) = &mut self.chat;
        let earned = now.since(*since).as_nanos() / CHAT_REFILL.as_nanos();
        if earned > 0 {
            *left = CHAT.min(left.saturating_add(u32::try_from(earned).unwrap_or(CHAT)));
            *since = now;
        }
        if *left == 0 {
            return false;
        }
        *left -= 1;
        true
    }

    /// The last `auth_hmac` stamp accepted from a sender.
    pub(crate) fn mark(&self, address: IpAddr) -> Option<u64> {
        self.marks.iter().find(|mark| mark.0 == address).map(|mark| mark.1)
    }

    /// Notes an accepted stamp. Configured peers keep theirs; of other senders the last four do.
    pub(crate) fn set_mark(&mut self, address: IpAddr, stamp: u64) {
        self.marks.retain(|mark| mark.0 != address);
        let configured = |address| self.list.iter().any(|p| p.configured && p.address == address);
        if !configured(address) {
            let others =
                |marks: &[(IpAddr, u64)]| marks.iter().filter(|mark| !configured(mark.0)).count();
            if others(&self.marks) >= MARKS
                && let Some(oldest) = self.marks.iter().position(|mark| !configured(mark.0))
            {
                self.marks.remove(oldest);
            }
        }
        self.marks.push((address, stamp));
    }

    /// All marks, oldest first.
    pub(crate) fn marks(&self) -> &[(IpAddr, u64)] {
        &self.marks
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn address(n: u32) -> IpAddr {
        Ipv4Addr::from(0xc633_6400 + n).into()
    }

    fn unicast(n: u32) -> Peers {
        let peers = (1..=n)
            .map(|n| crate::config::UnicastPeer {
                address: address(n),
                min_ttl: None,
                max_ttl: None,
            })
            .collect();
        Peers::new(&Transport::Unicast { peers })
    }

    #[test]
    fn a_flood_of_senders_pushes_out_no_configured_peer() {
        let mut peers = unicast(2);
        for n in 0..1000 {
            peers.heard(address(100 + n), 50, Duration::from_secs(1), Time(u64::from(n)));
        }
        assert_eq!(peers.iter().count(), 2 + HEARD);
        assert!(peers.find(address(1)).is_some_and(|peer| peer.configured));
        assert!(peers.find(address(1099)).is_some());
    }

    #[test]
    fn trouble_is_told_once_until_the_sender_is_accepted() {
        let mut peers = unicast(1);
        let at = Time::from_millis;
        let trouble = Trouble::from(&Rejection::Password);
        assert!(peers.tell(address(1), trouble, at(0)));
        assert!(!peers.tell(address(1), trouble, at(20_000)));
        assert!(peers.tell(address(1), Trouble::from(&Rejection::HmacMissing), at(0)));
        assert!(peers.tell(address(2), trouble, at(0)));
        peers.heard(address(1), 100, Duration::from_secs(1), at(30_000));
        assert!(peers.tell(address(1), trouble, at(30_001)));
        peers.heard(address(1), 100, Duration::from_secs(1), at(30_002));
        assert!(!peers.tell(address(1), trouble, at(30_003)), "not more often than every 10 s");
        assert!(peers.tell(address(2), trouble, at(300_000)));
    }

    #[test]
    fn a_flood_of_senders_is_not_a_flood_of_words() {
        let mut peers = unicast(1);
        let told = (0..10_000)
            .filter(|&n| {
                peers.tell(address(n), Trouble::from(&Rejection::Password), Time(u64::from(n)))
            })
            .count();
        assert_eq!(told, TOLD);
    }

    #[test]
    fn chatter_has_an_end() {
        let mut peers = unicast(1);
        let lines = (0..3600).filter(|n| peers.may_chat(Time::from_millis(n * 1000))).count();
        assert!((700..=740).contains(&lines), "in an hour of a line a second: {lines}");
    }

    #[test]
    fn marks_of_four_strangers_and_of_every_peer() {
        let mut peers = unicast(6);
        for n in 1..=20 {
            peers.set_mark(address(n), u64::from(n));
        }
        assert_eq!(peers.mark(address(1)), Some(1));
        assert_eq!(peers.mark(address(16)), None);
        assert_eq!(peers.mark(address(17)), Some(17));
        assert_eq!(peers.marks().len(), 10);
    }
}
