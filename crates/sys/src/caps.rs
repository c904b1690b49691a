//! Giving up capabilities.
//!
//! The bounding set is left alone: a script that we start as root is as powerful as if Keepalived
//! had started it. What we give up, our own code (and whoever takes it over) cannot use.

use std::io;

use crate::ffi::check;

/// _LINUX_CAPABILITY_VERSION_3: two words a set.
const VERSION: u32 = 0x2008_0522;

/// A capability that some part of the program needs; the numbers are the kernel's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Capability {
    /// Create files for other owners (a FIFO's).
    Chown = 0,
    /// Read and write files whatever their permissions (files of other users that are tracked).
    DacOverride = 1,
    /// Set permissions of files of other owners.
    Fowner = 3,
    /// Signal scripts that run as other users.
    Kill = 5,
    /// Start scripts as another group.
    Setgid = 6,
    /// Start scripts as another user.
    Setuid = 7,
    /// Listen on ports below 1024.
    NetBindService = 10,
    /// Addresses, routes, rules, interfaces, netfilter, larger socket buffers.
    NetAdmin = 12,
    /// Raw and packet sockets.
    NetRaw = 13,
    /// Lock memory.
    IpcLock = 14,
    /// Load kernel modules (ip_vs).
    SysModule = 16,
    /// Read the files of a process that runs as another user.
    SysPtrace = 19,
    /// Change the network namespace.
    SysAdmin = 21,
    /// Real-time scheduling.
    SysNice = 23,
    /// Raise hard limits.
    SysResource = 24,
}

/// Three sets of the calling thread, one bit a capability.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sets {
    effective: u64,
    permitted: u64,
    inheritable: u64,
}

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Word {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Gives up all capabilities but these; one that we do not have is not gained. For the calling
/// thread and those that it starts later: call it before there are others.
///
/// # Errors
/// None that a caller could cause.
pub fn keep_only(kept: &[Capability]) -> io::Result<()> {
    let mask = kept.iter().fold(0, |mask, capability| mask | 1 << *capability as u32);
    let permitted = read()?.permitted & mask;
    write(Sets { effective: permitted, permitted, inheritable: 0 })?;
    // SAFETY: no pointers. Kernels before 4.3 have no ambient set, and nothing to clear.
    unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) };
    Ok(())
}

/// Whether the calling thread can use a capability now.
pub fn has(capability: Capability) -> bool {
    read().is_ok_and(|sets| sets.effective & 1 << capability as u32 != 0)
}

fn read() -> io::Result<Sets> {
    let header = Header { version: VERSION, pid: 0 };
    let mut words = [Word::default(); 2];
    // SAFETY: version 3 has two words; both pointers are to live locals. 0 is the calling thread.
    let result = unsafe { libc::syscall(libc::SYS_capget, &raw const header, words.as_mut_ptr()) };
    check(if result < 0 { -1 } else { 0 })?;
    let join = |select: fn(&Word) -> u32| {
        u64::from(select(&words[0])) | u64::from(select(&words[1])) << 32
    };
    Ok(Sets {
        effective: join(|word| word.effective),
        permitted: join(|word| word.permitted),
        inheritable: join(|word| word.inheritable),
    })
}

fn write(sets: Sets) -> io::Result<()> {
    let header = Header { version: VERSION, pid: 0 };
    let words = [0, 32].map(|shift| Word {
        effective: (sets.effective >> shift) as u32,
        permitted: (sets.permitted >> shift) as u32,
        inheritable: (sets.inheritable >> shift) as u32,
    });
    // SAFETY: as in `read`; the kernel only reads.
    let result = unsafe { libc::syscall(libc::SYS_capset, &raw const header, words.as_ptr()) };
    check(if result < 0 { -1 } else { 0 })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn what_is_given_up_is_gone() {
        // A thread has capabilities of its own.
        thread::spawn(|| {
            let before = read().unwrap();
            keep_only(&[Capability::NetAdmin, Capability::SysResource]).unwrap();
            let after = read().unwrap();
            let both = 1 << 12 | 1 << 24;
            assert_eq!(after.permitted, before.permitted & both);
            assert_eq!((after.effective, after.inheritable), (after.permitted, 0));
            assert_eq!(has(Capability::NetAdmin), before.permitted & 1 << 12 != 0);
            assert!(!has(Capability::NetRaw));
            let socket = crate::arp::FrameSocket::open();
            assert_eq!(socket.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
            // There is no way back.
            let _ = keep_only(&[Capability::NetRaw, Capability::NetAdmin]);
            assert!(!has(Capability::NetRaw));
        })
        .join()
        .unwrap();
    }

    #[test]
    fn numbers_are_the_kernel_s() {
        let kernel = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = kernel.lines().find_map(|line| line.strip_prefix("CapEff:\t")).unwrap();
        let effective = u64::from_str_radix(line, 16).unwrap();
        for capability in [Capability::Chown, Capability::NetRaw, Capability::SysResource] {
            assert_eq!(has(capability), effective & 1 << capability as u32 != 0);
        }
    }
}
