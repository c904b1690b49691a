//! Kernel settings below /proc/sys, of the network namespace we are in.
//!
//! A key is the path below /proc/sys: `net/ipv4/conf/eth0.100/arp_ignore`. Paths and not the dotted
//! form, because interfaces may have dots in their names.

use std::io;
use std::path::{Path, PathBuf};

const ROOT: &str = "/proc/sys";

/// Reads a setting, without white space around it.
///
/// # Errors
/// `NotFound` if the kernel or the interface does not have it; `InvalidInput` for a key that leads
/// elsewhere.
pub fn read(key: &str) -> io::Result<String> {
    Ok(std::fs::read_to_string(path(key)?)?.trim().to_owned())
}

/// Changes a setting and returns what it was. What is right already is not written.
///
/// # Errors
/// As [`read`]; `PermissionDenied` or `ReadOnlyFilesystem` in most containers.
pub fn swap(key: &str, value: &str) -> io::Result<String> {
    let old = read(key)?;
    if old != value {
        std::fs::write(path(key)?, value)?;
    }
    Ok(old)
}

fn path(key: &str) -> io::Result<PathBuf> {
    let fine = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
    if key.split('/').all(fine) {
        Ok(Path::new(ROOT).join(key))
    } else {
        Err(io::Error::from(io::ErrorKind::InvalidInput))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_and_left_alone_if_right() {
        let ttl = read("net/ipv4/ip_default_ttl").unwrap();
        assert!(ttl.parse::<u8>().is_ok());
        assert_eq!(swap("net/ipv4/ip_default_ttl", &ttl).unwrap(), ttl);
        let missing = read("net/ipv4/conf/no-such-device/arp_ignore").unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn keys_cannot_lead_elsewhere() {
        for key in ["", "/etc/passwd", "net/../../self/comm", "net//ipv4", "net/./ipv4", "net/"] {
            assert_eq!(read(key).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{key}");
        }
    }
}
