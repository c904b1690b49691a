//! When each gratuitous ARP or neighbour advertisement may leave: `garp_interval`,
//! `gna_interval` and `garp_group`. Pure: time comes from outside, frames go to the caller.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use vrrp::Time;

/// Which of the two kinds of announcement a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// Gratuitous ARP.
    Garp,
    /// Unsolicited neighbour advertisement.
    Na,
}

/// A frame ready for a packet socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// The kernel's index of the interface to send it on.
    pub(crate) ifindex: u32,
    /// The address that it announces.
    pub(crate) address: IpAddr,
    /// The whole frame, link header included; shared by the rounds of a set.
    pub(crate) bytes: Rc<[u8]>,
}

/// The gaps between frames of one interface, or of a group of interfaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Gaps {
    /// Between gratuitous ARPs; zero: none.
    pub(crate) garp: Duration,
    /// Between unsolicited neighbour advertisements; zero: none.
    pub(crate) na: Duration,
}

/// What shares one pace: a `garp_group`, or an interface of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Lane {
    /// `garp_group` by its place in the configuration.
    Group(usize),
    /// An interface by the kernel's index.
    Interface(u32),
}

#[derive(Debug, Default)]
struct Queue {
    gaps: Gaps,
    frames: VecDeque<(Kind, Frame)>,
    next_garp: Time,
    next_na: Time,
}

/// Frames that wait for their turn.
#[derive(Debug, Default)]
pub(crate) struct Pacer {
    queues: HashMap<Lane, Queue>,
}

/// Frames that may wait in one lane; beyond it the oldest are dropped, because an announcement
/// that is minutes late helps nobody.
const MAX_WAITING: usize = 100_000;

/// Frames that leave in one go: the timers are looked at in between.
pub(crate) const MOST_AT_ONCE: usize = 1024;

impl Pacer {
    /// Queues a frame. The lane takes over these gaps.
    pub(crate) fn push(&mut self, lane: Lane, gaps: Gaps, kind: Kind, frame: Frame) {
        let queue = self.queues.entry(lane).or_default();
        queue.gaps = gaps;
        if queue.frames.len() >= MAX_WAITING {
            queue.frames.pop_front();
        }
        queue.frames.push_back((kind, frame));
    }

    /// Forgets frames that have not left yet and that `wrong` picks: their address is no longer
    /// ours to announce.
    pub(crate) fn retract(&mut self, mut wrong: impl FnMut(&Frame) -> bool) {
        for queue in self.queues.values_mut() {
            queue.frames.retain(|(_, frame)| !wrong(frame));
        }
    }

    /// Moves the frames that may leave now to `out`, in order, at most [`MOST_AT_ONCE`].
    pub(crate) fn take_due(&mut self, now: Time, out: &mut Vec<Frame>) {
        for queue in self.queues.values_mut() {
            while out.len() < MOST_AT_ONCE
                && let Some((kind, _)) = queue.frames.front()
            {
                let (next, gap) = match kind {
                    Kind::Garp => (&mut queue.next_garp, queue.gaps.garp),
                    Kind::Na => (&mut queue.next_na, queue.gaps.na),
                };
                if *next > now {
                    break;
                }
                if !gap.is_zero() {
                    *next = now + gap;
                }
                if let Some((_, frame)) = queue.frames.pop_front() {
                    out.push(frame);
                }
            }
        }
        self.queues.retain(|_, q| !q.frames.is_empty() || q.next_garp > now || q.next_na > now);
    }

    /// When the next frame may leave; `None` while none waits.
    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        self.queues
            .values()
            .filter_map(|queue| {
                queue.frames.front().map(|(kind, _)| match kind {
                    Kind::Garp => queue.next_garp,
                    Kind::Na => queue.next_na,
                })
            })
            .min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(ifindex: u32, mark: u8) -> Frame {
        Frame { ifindex, address: [198, 51, 100, mark].into(), bytes: Rc::new([mark]) }
    }

    fn due(pacer: &mut Pacer, millis: u64) -> Vec<u8> {
        let mut out = Vec::new();
        pacer.take_due(Time::from_millis(millis), &mut out);
        out.iter().map(|f| f.bytes[0]).collect()
    }

    const EVERY_10_MS: Gaps =
        Gaps { garp: Duration::from_millis(10), na: Duration::from_millis(10) };

    #[test]
    fn without_a_gap_everything_leaves_at_once_in_order() {
        let mut pacer = Pacer::default();
        for mark in 0..5 {
            pacer.push(Lane::Interface(1), Gaps::default(), Kind::Garp, frame(1, mark));
        }
        assert_eq!(pacer.poll_timeout(), Some(Time::ZERO));
        assert_eq!(due(&mut pacer, 0), [0, 1, 2, 3, 4]);
        assert_eq!(pacer.poll_timeout(), None);
    }

    #[test]
    fn a_gap_holds_frames_back_and_is_remembered_when_the_queue_is_empty() {
        let mut pacer = Pacer::default();
        for mark in 0..2 {
            pacer.push(Lane::Interface(1), EVERY_10_MS, Kind::Garp, frame(1, mark));
        }
        assert_eq!(due(&mut pacer, 100), [0]);
        assert_eq!(pacer.poll_timeout(), Some(Time::from_millis(110)));
        assert_eq!(due(&mut pacer, 109), [0_u8; 0]);
        assert_eq!(due(&mut pacer, 110), [1]);
        pacer.push(Lane::Interface(1), EVERY_10_MS, Kind::Garp, frame(1, 2));
        assert_eq!(due(&mut pacer, 111), [0_u8; 0]);
        assert_eq!(due(&mut pacer, 120), [2]);
    }

    #[test]
    fn a_group_shares_one_pace_and_others_do_not_wait_for_it() {
        let mut pacer = Pacer::default();
        pacer.push(Lane::Group(0), EVERY_10_MS, Kind::Garp, frame(1, 1));
        pacer.push(Lane::Group(0), EVERY_10_MS, Kind::Garp, frame(2, 2));
        pacer.push(Lane::Interface(3), EVERY_10_MS, Kind::Garp, frame(3, 3));
        let mut first = due(&mut pacer, 100);
        first.sort_unstable();
        assert_eq!(first, [1, 3]);
        assert_eq!(due(&mut pacer, 110), [2]);
    }

    #[test]
    fn retracted_frames_never_leave() {
        let mut pacer = Pacer::default();
        for mark in 0..3 {
            pacer.push(Lane::Interface(1), Gaps::default(), Kind::Na, frame(1, mark));
        }
        pacer.retract(|frame| frame.bytes[0] == 1);
        assert_eq!(due(&mut pacer, 0), [0, 2]);
    }
}
