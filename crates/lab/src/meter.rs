//! The outage meter: asks an address every millisecond for an ICMP echo and tells for how long no
//! answer came.

use std::io::{ErrorKind, Read};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

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
    sent: Arc<AtomicU64>,
    answers: Journal<Answer>,
    threads: Vec<JoinHandle<()>>,
}

/// An echo that came back.
#[derive(Debug, Clone, Copy)]
struct Answer {
    sequence: u64,
    at: Duration,
}

/// What a meter saw in a stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// The longest time between two answers.
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
        let sent = Arc::new(AtomicU64::new(0));
        let answers = Journal::default();
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let (flag, count, journal) = (Arc::clone(&stop), Arc::clone(&sent), answers.clone());
        let threads = namespace
            .run(move || {
                let socket = Arc::new(open(target)?);
                let (listener, still) = (Arc::clone(&socket), Arc::clone(&flag));
                Ok(vec![
                    thread::spawn(move || ask(&socket, target, id, interval, &flag, &count)),
                    thread::spawn(move || listen(&listener, target, id, clock, &still, &journal)),
                ])
            })
            .map_err(|source: std::io::Error| LabError::Io {
                what: "open an ICMP socket".into(),
                source,
            })?;
        Ok(Self { clock, interval, stop, sent, answers, threads })
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
        self.answers.look(|list| {
            // The last answer before the stretch is where a silence at its beginning starts.
            let first = list.partition_point(|answer| answer.at < since);
            let mut previous = first.checked_sub(1).map_or(since, |index| list[index].at);
            let mut outage =
                Outage { longest: Duration::ZERO, began: previous, answers: list.len() - first };
            let moments = list[first..].iter().map(|answer| answer.at);
            for at in moments.chain([now]) {
                let silence = at.saturating_sub(previous);
                if silence > outage.longest {
                    (outage.longest, outage.began) = (silence, previous);
                }
                previous = at;
            }
            outage
        })
    }

    /// How many echoes were sent so far: the number of the next one.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
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
    Ok(socket)
}

fn ask(
    socket: &Socket,
    target: IpAddr,
    id: u64,
    interval: Duration,
    stop: &AtomicBool,
    sent: &AtomicU64,
) {
    let to = SockAddr::from(SocketAddr::new(target, 0));
    let start = Instant::now();
    let mut sequence: u64 = 0;
    while !stop.load(Ordering::Relaxed) {
        // An unreachable target is what we are here to see: errors are silence.
        let _ = socket.send_to(&echo(target, id, sequence), &to);
        sequence += 1;
        sent.store(sequence, Ordering::Relaxed);
        let next = interval.saturating_mul(u32::try_from(sequence).unwrap_or(u32::MAX));
        thread::sleep(next.saturating_sub(start.elapsed()));
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
    let mut socket = socket;
    while !stop.load(Ordering::Relaxed) {
        let length = match socket.read(&mut buffer) {
            Ok(length) => length,
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                continue;
            }
            Err(_) => return,
        };
        let at = clock.now();
        if let Some(sequence) = answered(&buffer[..length], target, id) {
            answers.push(Answer { sequence, at });
        }
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
