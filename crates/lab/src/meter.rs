//! The outage meter: asks an address every millisecond for an ICMP echo and tells for how long no
//! answer came.

use std::io::IoSliceMut;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, UNIX_EPOCH};

use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::journal::Journal;
use crate::{Clock, LabError, Namespace};

/// Tells our echoes from those of other meters in the same machine.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// A running meter; stops when dropped.
#[derive(Debug)]
pub struct Meter {
    clock: Clock,
    interval: Duration,
    stop: Arc<AtomicBool>,
    sends: Journal<Duration>,
    answers: Journal<Answer>,
    threads: Vec<JoinHandle<()>>,
}

/// An echo that came back.
#[derive(Debug, Clone, Copy)]
struct Answer {
    sequence: u64,
    at: Duration,
}

impl Answer {
    /// The silence between this answer and one at `until` for the echo `next`: the time between
    /// the two, minus the longest time in which the meter itself was late with asking.
    ///
    /// On a busy machine the meter does not always get the processor when it wants it; that is
    /// not an outage of who answers.
    fn silence(self, until: Duration, next: u64, sends: &[Duration], pace: Duration) -> Duration {
        let index = |sequence: u64| usize::try_from(sequence).unwrap_or(usize::MAX);
        let asked =
            sends.get(index(self.sequence)..=index(next).min(sends.len().saturating_sub(1)));
        let pauses =
            asked.unwrap_or_default().windows(2).map(|pair| pair[1].saturating_sub(pair[0]));
        let late = pauses.max().unwrap_or_default().saturating_sub(pace);
        until.saturating_sub(self.at).saturating_sub(late)
    }
}

/// What a meter saw in a stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// The longest time without an answer to echoes that were sent.
    pub longest: Duration,
    /// When that time began, on the laboratory's clock.
    pub began: Duration,
    /// How many answers came in the stretch.
    pub answers: usize,
}

impl Meter {
    /// Starts to ask `target` from `namespace`, one echo per `interval`.
    pub(crate) fn start(
        namespace: &Namespace,
        target: IpAddr,
        interval: Duration,
        clock: Clock,
    ) -> Result<Self, LabError> {
        let stop = Arc::new(AtomicBool::new(false));
        let sends = Journal::default();
        let answers = Journal::default();
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let (flag, log, journal) = (Arc::clone(&stop), sends.clone(), answers.clone());
        let threads = namespace
            .run(move || {
                let socket = Arc::new(open(target)?);
                let (listener, still) = (Arc::clone(&socket), Arc::clone(&flag));
                Ok(vec![
                    thread::spawn(move || ask(&socket, target, id, interval, clock, &flag, &log)),
                    thread::spawn(move || listen(&listener, target, id, clock, &still, &journal)),
                ])
            })
            .map_err(|source: std::io::Error| LabError::Io {
                what: "open an ICMP socket".into(),
                source,
            })?;
        Ok(Self { clock, interval, stop, sends, answers, threads })
    }

    /// Waits until the address answers, at most `limit`; tells when the first answer came.
    #[must_use]
    pub fn wait_answer(&self, since: Duration, limit: Duration) -> Option<Duration> {
        self.answers.wait(limit, |list| list.iter().map(|answer| answer.at).find(|at| *at >= since))
    }

    /// The longest silence since `since`, which should be a moment when the address answered.
    ///
    /// A silence that has not ended counts up to now.
    #[must_use]
    pub fn outage_since(&self, since: Duration) -> Outage {
        let now = self.clock.now();
        let sends = self.sends.entries();
        self.answers.look(|list| {
            // The last answer before the stretch is where a silence at its beginning starts.
            let first = list.partition_point(|answer| answer.at < since);
            let start = Answer { sequence: u64::MAX, at: since };
            let mut previous = first.checked_sub(1).map_or(start, |index| list[index]);
            let mut outage =
                Outage { longest: Duration::ZERO, began: since, answers: list.len() - first };
            let end = Answer { sequence: u64::MAX, at: now };
            for answer in list[first..].iter().chain([&end]) {
                let silence = previous.silence(answer.at, answer.sequence, &sends, self.interval);
                if silence > outage.longest {
                    (outage.longest, outage.began) = (silence, previous.at);
                }
                previous = *answer;
            }
            outage
        })
    }

    /// How many echoes were sent so far: the number of the next one.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sends.look(<[Duration]>::len) as u64
    }

    /// How many of the echoes with the numbers `range` have not been answered (yet).
    ///
    /// Echoes that waited for an address resolution and were answered late are not lost.
    #[must_use]
    pub fn unanswered(&self, range: Range<u64>) -> u64 {
        let answered =
            self.answers.look(|list| list.iter().filter(|it| range.contains(&it.sequence)).count());
        (range.end - range.start).saturating_sub(answered as u64)
    }

    /// The time between two echoes: what the meter cannot see below.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.interval
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn open(target: IpAddr) -> std::io::Result<Socket> {
    let (domain, protocol) = match target {
        IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
        IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
    };
    let socket = Socket::new(domain, Type::RAW, Some(protocol))?;
    socket.set_read_timeout(Some(Duration::from_millis(50)))?;
    socket.set_recv_buffer_size(4 << 20)?;
    setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
    Ok(socket)
}

fn ask(
    socket: &Socket,
    target: IpAddr,
    id: u64,
    interval: Duration,
    clock: Clock,
    stop: &AtomicBool,
    sends: &Journal<Duration>,
) {
    let to = SockAddr::from(SocketAddr::new(target, 0));
    let start = Instant::now();
    let mut sequence: u32 = 0;
    while !stop.load(Ordering::Relaxed) {
        let packet = echo(target, id, sequence.into());
        sends.push(clock.now());
        // An unreachable target is what we are here to see: errors are silence.
        let _ = socket.send_to(&packet, &to);
        sequence = sequence.saturating_add(1);
        thread::sleep(interval.saturating_mul(sequence).saturating_sub(start.elapsed()));
    }
}

/// An echo request that carries the meter's id and the number of the echo.
fn echo(target: IpAddr, id: u64, sequence: u64) -> [u8; 24] {
    let mut packet = [0_u8; 24];
    packet[0] = if target.is_ipv4() { 8 } else { 128 };
    packet[8..16].copy_from_slice(&id.to_be_bytes());
    packet[16..24].copy_from_slice(&sequence.to_be_bytes());
    if target.is_ipv4() {
        // For ICMPv6 the kernel computes the checksum.
        let mut sum: u32 =
            packet.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        packet[2..4].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    }
    packet
}

fn listen(
    socket: &Socket,
    target: IpAddr,
    id: u64,
    clock: Clock,
    stop: &AtomicBool,
    answers: &Journal<Answer>,
) {
    let mut buffer = [0_u8; 256];
    let mut control = cmsg_space!(TimeSpec);
    while !stop.load(Ordering::Relaxed) {
        let mut parts = [IoSliceMut::new(&mut buffer)];
        let received =
            recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::empty());
        let (length, stamp) = match received {
            Ok(message) => {
                (message.bytes, message.cmsgs().ok().and_then(|mut all| all.find_map(stamp)))
            }
            Err(Errno::EAGAIN | Errno::EINTR) => continue,
            Err(_) => return,
        };
        let at = stamp.map_or_else(|| clock.now(), |since| clock.at(UNIX_EPOCH + since));
        if let Some(sequence) = answered(&buffer[..length], target, id) {
            answers.push(Answer { sequence, at });
        }
    }
}

/// When the kernel got the packet: later than that is our own delay.
fn stamp(message: ControlMessageOwned) -> Option<Duration> {
    match message {
        ControlMessageOwned::ScmTimestampns(time) => Some(Duration::from(time)),
        _ => None,
    }
}

/// The number of the echo that this packet answers, when it is one of ours.
fn answered(packet: &[u8], target: IpAddr, id: u64) -> Option<u64> {
    // A raw IPv4 socket gives the IP header too, a raw ICMPv6 socket does not.
    let header = if target.is_ipv4() { usize::from(packet.first()? & 0xf) * 4 } else { 0 };
    let reply = if target.is_ipv4() { 0 } else { 129 };
    let message = packet.get(header..header + 24)?;
    let number = |from: usize| message.get(from..from + 8)?.try_into().ok().map(u64::from_be_bytes);
    (message[0] == reply && number(8)? == id).then(|| number(16)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn sends(times: &[u32]) -> Vec<Duration> {
        times.iter().map(|time| MS * *time).collect()
    }

    #[test]
    fn unanswered_echoes_are_an_outage() {
        // Asked every millisecond; 1 to 4 were not answered.
        let sends = sends(&[0, 1, 2, 3, 4, 5]);
        let last = Answer { sequence: 0, at: Duration::ZERO };
        assert_eq!(last.silence(MS * 5, 5, &sends, MS), MS * 5);
    }

    #[test]
    fn a_pause_of_the_meter_is_none() {
        // Nothing was asked for 9 ms.
        let sends = sends(&[0, 1, 10, 11]);
        let last = Answer { sequence: 1, at: MS };
        assert_eq!(last.silence(MS * 10, 2, &sends, MS), MS);
        // One that was asked in time and answered late is an outage all the same.
        let last = Answer { sequence: 0, at: Duration::ZERO };
        assert_eq!(last.silence(MS * 10, 1, &sends, MS), MS * 10);
    }

    #[test]
    fn before_the_first_answer_all_is_silence() {
        let never = Answer { sequence: u64::MAX, at: Duration::ZERO };
        assert_eq!(never.silence(MS * 7, u64::MAX, &[], MS), MS * 7);
        assert_eq!(never.silence(MS * 7, 3, &sends(&[0, 1, 2, 3]), MS), MS * 7);
    }

    #[test]
    fn echoes_and_answers_fit() {
        let target = IpAddr::from([198, 51, 100, 1]);
        let mut packet = vec![0x45; 20];
        packet.extend(echo(target, 7, 42));
        // A request is not an answer, another meter's answer is not ours.
        assert_eq!(answered(&packet, target, 7), None);
        packet[20] = 0;
        assert_eq!(answered(&packet, target, 7), Some(42));
        assert_eq!(answered(&packet, target, 8), None);
        packet.truncate(30);
        assert_eq!(answered(&packet, target, 7), None);
    }
}
