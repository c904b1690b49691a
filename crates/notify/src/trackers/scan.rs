//! Looks at processes through `/proc`.

use std::path::Path;

use super::process::Seen;

/// All processes, with their numbers. Those that end meanwhile are left out.
pub(crate) fn all() -> Vec<(u32, Seen)> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, one(pid)?)))
        .collect()
}

/// One process; `None` if there is none, or only its remains (a zombie runs no more).
pub(crate) fn one(pid: u32) -> Option<Seen> {
    let directory = Path::new("/proc").join(pid.to_string());
    // `PID (comm) STATE …`; the name may hold any character, so look for the last parenthesis.
    let stat = std::fs::read(directory.join("stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat);
    let (before, after) = stat.rsplit_once(')')?;
    if matches!(after.trim_start().chars().next(), Some('Z' | 'X')) {
        return None;
    }
    let comm = before.split_once('(')?.1.to_owned();
    let line = std::fs::read(directory.join("cmdline")).ok()?;
    let line = line.strip_suffix(b"\0").unwrap_or(&line);
    let argv = if line.is_empty() {
        Vec::new()
    } else {
        line.split(|byte| *byte == 0).map(|arg| String::from_utf8_lossy(arg).into_owned()).collect()
    };
    Some(Seen { comm, argv })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_test_is_among_all_processes() {
        let own = std::process::id();
        let seen = one(own).unwrap();
        assert_eq!(seen.argv, std::env::args().collect::<Vec<_>>());
        assert!(!seen.comm.is_empty() && seen.comm.len() <= 15);
        assert!(all().contains(&(own, seen)));
    }

    #[test]
    fn the_dead_are_not_seen() {
        let mut child = std::process::Command::new("/bin/true").spawn().unwrap();
        let pid = child.id();
        while one(pid).is_some() {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert_eq!(one(pid), None);
    }
}
