//! Does the machine still run us? Two threads want to be served every 10 ms and note when they
//! were late. Protocol timers of fractions of a second cannot be judged on a machine that stands
//! still for longer.
//!
//! The first wants a processor. The second asks the kernel about an interface, which needs the
//! lock that all network namespaces share: whoever adds an address somewhere waits for it as well,
//! however idle the processors are.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket,
};

/// A delay that the scenarios' time limits allow for.
pub(crate) const TOLERATED: Duration = Duration::from_millis(80);

const BEAT: Duration = Duration::from_millis(10);

/// Less is not worth a note.
const NOTED: Duration = Duration::from_millis(20);

/// Beats that came too late: when they began, and how late they were.
static LATE: Mutex<Vec<(Instant, Duration)>> = Mutex::new(Vec::new());

/// When the beats that have not ended began: a stall may last longer than the scenario.
static OPEN: Mutex<[Option<Instant>; 2]> = Mutex::new([None; 2]);

/// Starts the heartbeat; it beats until the process ends.
pub(crate) fn start() {
    thread::spawn(|| {
        loop {
            beat(0, || thread::sleep(BEAT));
        }
    });
    thread::spawn(|| {
        let Ok(route) = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkRoute,
        ) else {
            return;
        };
        loop {
            thread::sleep(BEAT);
            beat(1, || ask(&route));
        }
    });
}

/// For how long beats were late in all since `since`, with those that have not ended.
///
/// The sum, because a daemon that does ten things waits ten times.
pub(crate) fn stalled(since: Instant) -> Duration {
    let open = *OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    let open = open.iter().flatten().map(Instant::elapsed).filter(|late| *late > NOTED);
    let list = LATE.lock().unwrap_or_else(PoisonError::into_inner);
    let later = list.iter().filter(|(began, late)| *began + *late >= since);
    later.map(|(_, late)| *late).chain(open).sum()
}

fn beat(number: usize, served: impl FnOnce()) {
    let begin = Instant::now();
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)[number] = Some(begin);
    served();
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)[number] = None;
    let late = begin.elapsed().saturating_sub(BEAT);
    if late > NOTED {
        LATE.lock().unwrap_or_else(PoisonError::into_inner).push((begin, late));
    }
}

/// RTM_GETLINK for the first interface, and the answer.
fn ask(route: &OwnedFd) {
    const RTM_GETLINK: u16 = 18;
    const NLM_F_REQUEST: u16 = 1;
    let mut request = Vec::with_capacity(32);
    request.extend(32_u32.to_ne_bytes());
    request.extend(RTM_GETLINK.to_ne_bytes());
    request.extend(NLM_F_REQUEST.to_ne_bytes());
    request.extend([0; 8]);
    // struct ifinfomsg: the index is its third word's place.
    request.extend([0; 4]);
    request.extend(1_i32.to_ne_bytes());
    request.extend([0; 8]);
    if send(route.as_raw_fd(), &request, MsgFlags::empty()).is_ok() {
        let _ = recv(route.as_raw_fd(), &mut [0; 8192], MsgFlags::empty());
    }
}
