//! Watches files by name, whatever happens to the directories and links on the way to them.
//!
//! inotify watches inodes; people think in names. So for each file every directory on its way is
//! watched for the next name, links included: a file that is replaced, a directory that is moved or
//! made again, a link that is switched (as container platforms do with mounted configuration) are
//! all seen.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Component, Path, PathBuf};

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use nix::sys::statfs;

/// As many links as the kernel follows.
const MOST_LINKS: usize = 40;

/// A directory may change while it is looked at; that often it is looked at again.
const MOST_ROUNDS: usize = 8;

/// A name in a directory on whose change the file depends.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Step {
    directory: PathBuf,
    name: OsString,
}

/// The inotify instance and what it watches.
#[derive(Debug)]
pub(crate) struct FileWatch {
    inotify: Inotify,
    directories: BTreeMap<PathBuf, WatchDescriptor>,
    files: BTreeMap<PathBuf, BTreeSet<Step>>,
}

impl FileWatch {
    /// Begins without any file.
    ///
    /// # Errors
    /// When the system gives no inotify instance (`fs.inotify.max_user_instances`).
    pub(crate) fn new() -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        Ok(Self { inotify, directories: BTreeMap::new(), files: BTreeMap::new() })
    }

    /// Readable when [`FileWatch::changed`] has something to tell.
    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }

    /// Watches exactly these files.
    pub(crate) fn watch<'a>(&mut self, files: impl Iterator<Item = &'a Path>) {
        self.files = files.map(|file| (file.to_owned(), BTreeSet::new())).collect();
        let all: Vec<PathBuf> = self.files.keys().cloned().collect();
        all.iter().for_each(|file| self.follow(file));
        self.forget_unused();
    }

    /// The watched files that may have changed since the last call.
    pub(crate) fn changed(&mut self) -> Vec<PathBuf> {
        let mut changed = BTreeSet::new();
        // An empty queue is an error here (EAGAIN) and the end.
        while let Ok(events) = self.inotify.read_events() {
            for event in events {
                if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
                    changed.extend(self.files.keys().cloned());
                    continue;
                }
                let gone = event.mask.contains(AddWatchFlags::IN_IGNORED);
                let directories: Vec<PathBuf> = self
                    .directories
                    .iter()
                    .filter(|(_, watch)| **watch == event.wd)
                    .map(|(directory, _)| directory.clone())
                    .collect();
                for directory in directories {
                    if gone {
                        self.directories.remove(&directory);
                    }
                    changed.extend(self.depending(&directory, event.name.as_deref()));
                }
            }
        }
        for file in &changed {
            self.follow(file);
        }
        if !changed.is_empty() {
            self.forget_unused();
        }
        changed.into_iter().collect()
    }

    /// Files on whose way the name lies; without a name, the directory.
    fn depending<'a>(
        &'a self,
        directory: &'a Path,
        name: Option<&'a OsStr>,
    ) -> impl Iterator<Item = PathBuf> + 'a {
        self.files
            .iter()
            .filter(move |(_, steps)| {
                steps.iter().any(|step| {
                    step.directory == directory && name.is_none_or(|name| name == step.name)
                })
            })
            .map(|(file, _)| file.clone())
    }

    /// Watches the file's way as it is now.
    fn follow(&mut self, file: &Path) {
        for _ in 0..MOST_ROUNDS {
            let way = way(file);
            let mut fresh = false;
            for step in &way {
                fresh |= self.add(&step.directory);
            }
            self.files.insert(file.to_owned(), way);
            // What was watched already would have told of a change; what was not, may have changed
            // between the look and the watch.
            if !fresh {
                break;
            }
        }
    }

    /// Watches a directory; true if it was not watched before.
    fn add(&mut self, directory: &Path) -> bool {
        let flags = AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_MOVED_FROM
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_ATTRIB
            | AddWatchFlags::IN_ONLYDIR;
        match self.inotify.add_watch(directory, flags) {
            // The same path may be another directory by now.
            Ok(watch) => self.directories.insert(directory.to_owned(), watch) != Some(watch),
            Err(nix::Error::ENOENT | nix::Error::ENOTDIR) => false,
            Err(error) => {
                log::warn!(
                    "cannot watch directory {}: {error}{}",
                    directory.display(),
                    if error == nix::Error::ENOSPC {
                        "; raise fs.inotify.max_user_watches"
                    } else {
                        ""
                    }
                );
                false
            }
        }
    }

    /// Gives up directories that are on no file's way any more.
    fn forget_unused(&mut self) {
        let used: BTreeSet<&Path> = self
            .files
            .values()
            .flat_map(|way| way.iter().map(|step| step.directory.as_path()))
            .collect();
        let (kept, dropped): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(&mut self.directories)
                .into_iter()
                .partition(|(directory, _)| used.contains(directory.as_path()));
        for watch in dropped.values() {
            // Two names may lead to one directory.
            if !kept.values().any(|other| other == watch) {
                // It fails if the directory is gone, which is as well.
                let _ = self.inotify.rm_watch(*watch);
            }
        }
        self.directories = kept;
    }
}

/// Every directory that is looked into on the way to the file, with the name that is looked for; up
/// to the first name that is missing.
fn way(file: &Path) -> BTreeSet<Step> {
    let mut steps = BTreeSet::new();
    let mut directory = PathBuf::from("/");
    let mut names: VecDeque<OsString> = names(file).collect();
    let mut links = 0;
    while let Some(name) = names.pop_front() {
        if name == ".." {
            directory.pop();
            continue;
        }
        let next = directory.join(&name);
        steps.insert(Step { directory: directory.clone(), name });
        match std::fs::read_link(&next) {
            Ok(target) => {
                links += 1;
                if links > MOST_LINKS {
                    break;
                }
                if target.is_absolute() {
                    directory = PathBuf::from("/");
                }
                let rest = std::mem::take(&mut names);
                names = self::names(&target).chain(rest).collect();
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => break,
            // Not a link (`EINVAL`), or a directory that we may not enter: then reading will tell.
            Err(_) => directory = next,
        }
    }
    steps
}

fn names(path: &Path) -> impl Iterator<Item = OsString> {
    path.components()
        .filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir))
        .map(|part| part.as_os_str().to_owned())
}

/// Whether the file is on a filesystem whose changes the kernel does not tell: network, user-space
/// and kernel filesystems. Keepalived refuses these; we look periodically.
pub(crate) fn is_silent(file: &Path) -> bool {
    /// CIFS and SMB2, which the library does not name.
    const CIFS: statfs::FsType = statfs::FsType(0xff53_4d42_u32 as _);
    const SMB2: statfs::FsType = statfs::FsType(0xfe53_4d42_u32 as _);
    /// 9P, common in virtual machines.
    const NINE_P: statfs::FsType = statfs::FsType(0x0102_1997);
    let Ok(found) = statfs::statfs(file) else { return false };
    [
        statfs::PROC_SUPER_MAGIC,
        statfs::SYSFS_MAGIC,
        statfs::NFS_SUPER_MAGIC,
        statfs::FUSE_SUPER_MAGIC,
        CIFS,
        SMB2,
        NINE_P,
    ]
    .contains(&found.filesystem_type())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    struct Fixture {
        dir: tempfile::TempDir,
        watch: FileWatch,
        file: PathBuf,
    }

    impl Fixture {
        fn new(file: &str) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join(file);
            let watch = FileWatch::new().unwrap();
            Self { dir, watch, file }
        }

        fn start(mut self) -> Self {
            self.watch.watch([self.file.as_path()].into_iter());
            self
        }

        fn at(&self, path: &str) -> PathBuf {
            self.dir.path().join(path)
        }

        /// Events are in the queue when the system call that caused them is over.
        fn assert_seen(&mut self, what: &str) {
            assert_eq!(self.watch.changed(), std::slice::from_ref(&self.file), "{what}");
            assert!(self.watch.changed().is_empty(), "{what}: once");
        }
    }

    #[test]
    fn content_and_replacement_are_seen_and_neighbours_are_not() {
        let mut f = Fixture::new("f").start();
        fs::write(&f.file, "1").unwrap();
        f.assert_seen("created");
        fs::write(&f.file, "2").unwrap();
        f.assert_seen("written");
        fs::write(f.at("other"), "3").unwrap();
        assert!(f.watch.changed().is_empty());
        fs::rename(f.at("other"), &f.file).unwrap();
        f.assert_seen("replaced");
        fs::write(&f.file, "4").unwrap();
        f.assert_seen("written after it was replaced");
        fs::rename(&f.file, f.at("away")).unwrap();
        f.assert_seen("moved away");
        fs::hard_link(f.at("away"), &f.file).unwrap();
        f.assert_seen("linked");
        fs::remove_file(&f.file).unwrap();
        f.assert_seen("removed");
    }

    #[test]
    fn directories_may_come_go_and_come_again() {
        let mut f = Fixture::new("a/b/f").start();
        fs::create_dir(f.at("a")).unwrap();
        f.assert_seen("a created");
        fs::create_dir(f.at("a/b")).unwrap();
        fs::write(&f.file, "1").unwrap();
        f.assert_seen("b created");
        fs::write(&f.file, "2").unwrap();
        f.assert_seen("written");
        fs::remove_dir_all(f.at("a")).unwrap();
        assert!(f.watch.changed().contains(&f.file));
        fs::create_dir_all(f.at("new/b")).unwrap();
        fs::write(f.at("new/b/f"), "3").unwrap();
        f.watch.changed();
        fs::rename(f.at("new"), f.at("a")).unwrap();
        f.assert_seen("a moved in");
        fs::write(&f.file, "4").unwrap();
        f.assert_seen("written in the new directory");
        fs::rename(f.at("a"), f.at("elsewhere")).unwrap();
        f.assert_seen("a moved away");
        fs::write(f.at("elsewhere/b/f"), "5").unwrap();
        assert!(f.watch.changed().is_empty(), "that is another file now");
    }

    #[test]
    fn links_that_are_switched_are_seen() {
        let f = Fixture::new("f");
        for data in ["one", "two"] {
            fs::create_dir(f.at(data)).unwrap();
            fs::write(f.at(data).join("f"), data).unwrap();
        }
        symlink("one", f.at("data")).unwrap();
        symlink("data/f", &f.file).unwrap();
        let mut f = f.start();
        fs::write(f.at("one/f"), "x").unwrap();
        f.assert_seen("the target was written");
        symlink("two", f.at("next")).unwrap();
        fs::rename(f.at("next"), f.at("data")).unwrap();
        f.assert_seen("switched");
        fs::write(f.at("two/f"), "y").unwrap();
        f.assert_seen("the new target was written");
        fs::write(f.at("one/f"), "z").unwrap();
        assert!(f.watch.changed().is_empty(), "the old target is of no interest");
    }

    #[test]
    fn unwatched_files_are_forgotten() {
        let mut f = Fixture::new("a/f").start();
        fs::create_dir(f.at("a")).unwrap();
        f.assert_seen("a created");
        f.watch.watch(std::iter::empty());
        assert!(f.watch.directories.is_empty());
        fs::write(&f.file, "1").unwrap();
        assert!(f.watch.changed().is_empty());
    }

    #[test]
    fn silent_filesystems_are_known() {
        assert!(is_silent(Path::new("/proc/self/stat")));
        assert!(!is_silent(&std::env::temp_dir()));
        assert!(!is_silent(Path::new("/nonexistent")));
    }
}
