//! The kernel's process events, of real processes.

use std::io;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, poll};
use nix::sched::{CloneFlags, unshare};
use standfast_sys as sys;
use std::os::fd::AsFd as _;
use sys::proc_events::{ProcEvents, ProcessEvent};
use sys::process::Command;

/// Collects events until the process has ended.
fn until_end_of(events: &mut ProcEvents, pid: u32) -> Vec<ProcessEvent> {
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut seen = Vec::new();
    while seen.last() != Some(&ProcessEvent::Ended { pid }) {
        assert!(Instant::now() < deadline, "no end in {seen:?}");
        match events.next_event().unwrap() {
            Some(event) => seen.push(event),
            None => {
                let mut fds = [PollFd::new(events.as_fd(), PollFlags::POLLIN)];
                poll(&mut fds, 1000_u16).unwrap();
            }
        }
    }
    seen
}

#[test]
fn a_process_is_followed_from_its_start_to_its_end() {
    let mut events = match ProcEvents::open(Some(1 << 20)) {
        Ok(events) => events,
        Err(error) => {
            let refused = [io::ErrorKind::Unsupported, io::ErrorKind::PermissionDenied];
            assert!(refused.contains(&error.kind()), "{error}");
            eprintln!("NOT TESTED: the kernel gives no process events here: {error}");
            return;
        }
    };
    let mut child = Command::new("/bin/sh")
        .args(["-c", "printf renamed > /proc/self/comm; exit 0"])
        .spawn()
        .unwrap();
    let pid = child.id();
    let seen = until_end_of(&mut events, pid);
    let position = |event| seen.iter().position(|seen| *seen == event);
    let forked = position(ProcessEvent::Forked { parent: std::process::id(), child: pid });
    let executed = position(ProcessEvent::Executed { pid });
    let renamed = position(ProcessEvent::Renamed { pid });
    assert!(forked.is_some() && forked < executed && executed < renamed, "{seen:?}");
    child.wait().unwrap();
}

#[test]
fn another_network_namespace_refuses_at_once() {
    // A namespace of this thread alone.
    std::thread::spawn(|| {
        if let Err(error) = unshare(CloneFlags::CLONE_NEWNET) {
            eprintln!("NOT TESTED: no network namespaces here: {error}");
            return;
        }
        let start = Instant::now();
        let error = ProcEvents::open(None).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
        assert!(start.elapsed() < Duration::from_secs(5));
    })
    .join()
    .unwrap();
}
