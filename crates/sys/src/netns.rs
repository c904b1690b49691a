//! Network namespaces by the names that `ip netns` gives them.

use std::fs::File;
use std::io;
use std::path::{Component, Path, PathBuf};

use nix::sched::{CloneFlags, setns};

/// Where `ip netns add` puts them.
const DIRECTORY: &str = "/run/netns";

/// Moves the calling thread (and what it starts later) into a network namespace: a name of
/// `ip netns`, or an absolute path to a namespace file.
///
/// # Errors
/// `NotFound` if there is none of that name; `InvalidInput` for a name that is a relative path or a
/// file that is no network namespace; `PermissionDenied` without CAP_SYS_ADMIN.
pub fn enter(name: &str) -> io::Result<()> {
    let file = File::open(path(name)?)?;
    Ok(setns(file, CloneFlags::CLONE_NEWNET)?)
}

fn path(name: &str) -> io::Result<PathBuf> {
    let path = Path::new(name);
    let mut components = path.components();
    match (components.next(), components.next()) {
        (Some(Component::RootDir), _) => Ok(path.to_owned()),
        (Some(Component::Normal(_)), None) => Ok(Path::new(DIRECTORY).join(path)),
        _ => Err(io::Error::from(io::ErrorKind::InvalidInput)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_names_and_paths_are_absolute() {
        assert_eq!(path("blue").unwrap(), Path::new("/run/netns/blue"));
        assert_eq!(path("/proc/1/ns/net").unwrap(), Path::new("/proc/1/ns/net"));
        for wrong in ["", ".", "..", "../blue", "a/b"] {
            assert_eq!(path(wrong).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{wrong}");
        }
    }

    #[test]
    fn what_is_not_there_cannot_be_entered() {
        assert_eq!(enter("no such namespace").unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(enter("/dev/null").is_err());
    }

    #[test]
    fn a_namespace_can_be_entered_by_path() {
        std::thread::spawn(|| match enter("/proc/self/ns/net") {
            Ok(()) => {}
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::PermissionDenied),
        })
        .join()
        .unwrap();
    }
}
