//! The stage of a scenario: a laboratory, which program plays which machine, and sentences to
//! say what must happen.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use standfast_lab::packet::{Advert, Packet};
use standfast_lab::subject::Subject;
use standfast_lab::voice::{self, Call};
use standfast_lab::{Lab, Plan};

use crate::conf::Conf;

/// How much later than the protocol says something may happen, on a loaded machine.
pub(crate) const SLACK: Duration = Duration::from_millis(1500);

/// How much earlier: our reading of clocks, and the protocol's rounding.
const EARLY: Duration = Duration::from_millis(40);

/// A laboratory and who plays in it: `first` on n1 (and n3), `second` on n2.
pub(crate) struct Stage {
    pub(crate) lab: Lab,
    pub(crate) first: Subject,
    pub(crate) second: Subject,
}

impl Stage {
    pub(crate) fn build(plan: Plan, first: &Subject, second: &Subject) -> Self {
        let lab = Lab::build(plan).expect("the laboratory");
        Self { lab, first: first.clone(), second: second.clone() }
    }

    /// The program that plays this machine.
    pub(crate) fn subject(&self, node: usize) -> Subject {
        if node == 2 { self.second.clone() } else { self.first.clone() }
    }

    /// Starts the machine's program; returns when.
    #[track_caller]
    pub(crate) fn start(&mut self, node: usize, conf: &Conf) -> Duration {
        self.start_text(node, &conf.to_string())
    }

    /// As [`Stage::start`], from the text of a whole file.
    #[track_caller]
    pub(crate) fn start_text(&mut self, node: usize, text: &str) -> Duration {
        let subject = self.subject(node);
        self.lab.start(node, &subject, text).expect("the daemon").started()
    }

    /// The machine's program has started and listens.
    #[track_caller]
    pub(crate) fn ready(&self, node: usize, since: Duration) {
        self.log(node, "Entering BACKUP STATE", since, Duration::from_secs(2));
    }

    /// Ends the machine's program the planned way; returns when the signal was sent.
    #[track_caller]
    pub(crate) fn stop(&self, node: usize) -> Duration {
        let at = self.lab.now();
        let daemon = self.lab.daemon(node);
        let (status, _) = daemon.stop(Duration::from_secs(15)).expect("ends after SIGTERM");
        assert!(status.success(), "n{node} ended with {status}");
        at
    }

    /// The address appears on the machine after `since`, within `limit` and the slack.
    #[track_caller]
    pub(crate) fn gets(
        &self,
        node: usize,
        address: &str,
        since: Duration,
        limit: Duration,
    ) -> Duration {
        let address = ip(address);
        self.lab
            .wait_address(node, address, true, since, limit + SLACK)
            .unwrap_or_else(|| panic!("n{node} did not get {address} within {limit:?} + slack"))
    }

    /// The address vanishes from the machine after `since`, within `limit` and the slack.
    #[track_caller]
    pub(crate) fn loses(
        &self,
        node: usize,
        address: &str,
        since: Duration,
        limit: Duration,
    ) -> Duration {
        let address = ip(address);
        self.lab
            .wait_address(node, address, false, since, limit + SLACK)
            .unwrap_or_else(|| panic!("n{node} did not lose {address} within {limit:?} + slack"))
    }

    /// The machine has the address now, or has not.
    #[track_caller]
    pub(crate) fn holds(&self, node: usize, address: &str, expected: bool) {
        let holds = self.lab.holds(node, ip(address));
        assert_eq!(holds, expected, "whether n{node} holds {address}");
    }

    /// The address was never added to the machine, or removed from it, since `since`.
    #[track_caller]
    pub(crate) fn quiet(&self, node: usize, address: &str, since: Duration) {
        let (name, address) = (self.lab.node(node).name().to_owned(), ip(address));
        let change = self.lab.changes().look(|changes| {
            changes
                .iter()
                .find(|it| it.node == name && it.address == address && it.at >= since)
                .cloned()
        });
        assert!(change.is_none(), "{address} moved on n{node}: {change:?}");
    }

    /// An advertisement of the machine that `wanted` accepts, sent after `since`.
    #[track_caller]
    pub(crate) fn advert(
        &self,
        node: usize,
        since: Duration,
        limit: Duration,
        what: &str,
        wanted: impl Fn(&Advert) -> bool,
    ) -> (Duration, Advert) {
        self.lab
            .wait_advert(node, since, limit + SLACK, wanted)
            .unwrap_or_else(|| panic!("no advertisement of n{node} with {what} within {limit:?}"))
    }

    /// When the machine sent its last advertisement that was not a farewell before `before`.
    #[track_caller]
    pub(crate) fn last_advert(&self, node: usize, before: Duration) -> Duration {
        let all = self.lab.adverts(node, Duration::ZERO);
        let last = all.iter().rev().find(|(at, it)| *at <= before && it.priority != 0);
        last.unwrap_or_else(|| panic!("n{node} never advertised")).0
    }

    /// Lets `cycles` advertisements of the machine pass, so that what should not happen had its
    /// chance to happen; bounded by three times their interval.
    #[track_caller]
    pub(crate) fn pass(&self, node: usize, cycles: usize, interval: Duration) {
        let since = self.lab.now();
        let name = self.lab.node(node).name();
        let limit = interval * u32::try_from(cycles).expect("few") * 3 + SLACK;
        let seen = self.lab.frames().wait(limit, |frames| {
            let count = frames
                .iter()
                .filter(|it| it.node == name && it.at >= since)
                .filter(|it| matches!(it.packet, Packet::Advert(_)))
                .count();
            (count >= cycles).then_some(())
        });
        assert!(seen.is_some(), "n{node} sent no {cycles} advertisements within {limit:?}");
    }

    /// Lets one advertisement of anybody pass, as a clock.
    #[track_caller]
    pub(crate) fn pass_any(&self, interval: Duration) {
        let since = self.lab.now();
        let seen = self.lab.frames().wait(interval * 3 + SLACK, |frames| {
            let mut later = frames.iter().filter(|it| it.at > since);
            later.any(|it| matches!(it.packet, Packet::Advert(_))).then_some(())
        });
        assert!(seen.is_some(), "nobody advertised for {:?}", self.lab.now() - since);
    }

    /// Pulls the cable and waits until the machine's kernel has seen it.
    #[track_caller]
    pub(crate) fn pull_before_start(&self, node: usize) {
        self.lab.pull(node, 0).expect("pull");
        let seen = standfast_lab::journal::wait_until(SLACK, || {
            let link = self.lab.node(node).command("ip link show eth0").expect("ip");
            link.contains("NO-CARRIER").then_some(())
        });
        assert!(seen.is_some(), "n{node} has a carrier without a cable");
    }

    /// The client's machine sends an advertisement; returns when.
    #[track_caller]
    pub(crate) fn calls(&self, call: &Call) -> Duration {
        let at = self.lab.now();
        let source = Ipv4Addr::new(198, 51, 100, 9);
        voice::call(self.lab.client(), source, call, 1).expect("send");
        at
    }

    /// A line that contains `text` in the machine's log.
    #[track_caller]
    pub(crate) fn log(
        &self,
        node: usize,
        text: &str,
        since: Duration,
        limit: Duration,
    ) -> Duration {
        let found = self.lab.daemon(node).wait_line(text, since, limit + SLACK);
        found.unwrap_or_else(|| panic!("n{node} did not log {text:?} within {limit:?}")).at
    }

    /// Waits until a file of the machine has content that `wanted` accepts.
    #[track_caller]
    pub(crate) fn file<R>(
        &self,
        node: usize,
        path: &str,
        limit: Duration,
        mut wanted: impl FnMut(&str) -> Option<R>,
    ) -> R {
        let found = standfast_lab::journal::wait_until(limit + SLACK, || {
            wanted(&self.lab.read(node, path))
        });
        found.unwrap_or_else(|| {
            let text = self.lab.read(node, path);
            panic!("{path} of n{node} is not as expected after {limit:?}; it holds:\n{text}")
        })
    }
}

/// `actual` is `ideal`, a little early or late by the slack.
#[track_caller]
pub(crate) fn took(actual: Duration, ideal: Duration) {
    assert!(actual + EARLY >= ideal, "took {actual:?}, must not be less than {ideal:?}");
    assert!(actual <= ideal + SLACK, "took {actual:?}, the protocol says {ideal:?}");
}

/// An address from its text.
#[track_caller]
pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// Seconds.
pub(crate) fn s(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}
