//! `track_file`: an integer in a file.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::OFlag;

use crate::event::{
    FileContent, TrackerDetail, TrackerId, TrackerKind, TrackerReport, TrackerState,
};
use crate::settings::FileTrackerConfig;

/// A number needs no more; a longer file is read up to here.
const MOST_BYTES: u64 = 128;

/// How sure we are that nobody is in the middle of writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Something has just happened to the file.
    Fresh,
    /// It has been left alone for a while.
    Confirmed,
}

/// What a reading gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The value is what it was.
    Unchanged,
    /// The first value or another one.
    News(TrackerReport),
    /// Look again in a moment.
    Doubtful,
}

/// One track file and its value.
#[derive(Debug)]
pub(crate) struct FileTracker {
    config: FileTrackerConfig,
    value: Option<i32>,
    content: Option<FileContent>,
}

impl FileTracker {
    pub(crate) fn new(config: FileTrackerConfig) -> Self {
        Self { config, value: None, content: None }
    }

    pub(crate) fn config(&self) -> &FileTrackerConfig {
        &self.config
    }

    pub(crate) fn value(&self) -> Option<i32> {
        self.value
    }

    /// What an earlier definition had read; it is the value as long as the file holds nonsense.
    pub(crate) fn carry_over(&mut self, value: Option<i32>) {
        self.value = value;
    }

    /// `init_file`: creates the file, or overwrites it if that was asked for.
    ///
    /// # Errors
    /// As the operating system says. A link in the last component is not followed.
    pub(crate) fn write_initial(&self) -> io::Result<()> {
        let Some(init) = self.config.init else { return Ok(()) };
        let mut options = OpenOptions::new();
        options
            .write(true)
            .mode(0o644)
            .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits());
        if init.overwrite {
            options.create(true).truncate(true);
        } else {
            options.create_new(true);
        }
        match options.open(&self.config.path) {
            Ok(mut file) => file.write_all(format!("{}\n", init.value).as_bytes()),
            Err(error) if !init.overwrite && error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Reads the file; reports the value if it changed or is the first.
    ///
    /// A file that has become empty is probably about to be written (`echo 5 > FILE` empties it
    /// first): that counts only if it is [`Reading::Confirmed`].
    pub(crate) fn read(&mut self, reading: Reading) -> Found {
        let (found, content) = read_value(&self.config.path);
        if content == FileContent::Empty
            && reading == Reading::Fresh
            && self.value.is_some_and(|value| value != 0)
        {
            return Found::Doubtful;
        }
        // A number out of range leaves the value as it was.
        let value = found.or(self.value).unwrap_or(0);
        let first = self.value.is_none();
        let news = self.content.is_none() || self.value != Some(value);
        self.value = Some(value);
        self.content = Some(content.clone());
        if !news {
            return Found::Unchanged;
        }
        Found::News(TrackerReport {
            id: TrackerId { kind: TrackerKind::File, name: self.config.name.clone() },
            state: TrackerState::Value(value),
            first,
            detail: TrackerDetail::File { path: self.config.path.clone(), content },
        })
    }
}

/// The value in a file; `None` leaves the value as it was.
fn read_value(path: &Path) -> (Option<i32>, FileContent) {
    match read_start(path) {
        Ok(bytes) => parse(&bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => (Some(0), FileContent::Missing),
        Err(error) => (Some(0), FileContent::Unreadable(error.to_string())),
    }
}

fn read_start(path: &Path) -> io::Result<Vec<u8>> {
    // Non-blocking: somebody may have put a FIFO there.
    let file: File = OpenOptions::new()
        .read(true)
        .custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits())
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads a number as C's `strtol` with base 0 does, which is what Keepalived uses: `0x` is
/// hexadecimal, a leading `0` octal, and what follows the number is ignored.
fn parse(bytes: &[u8]) -> (Option<i32>, FileContent) {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim();
    if text.is_empty() {
        return (Some(0), FileContent::Empty);
    }
    let (negative, unsigned) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    let hexadecimal = unsigned
        .strip_prefix("0x")
        .or_else(|| unsigned.strip_prefix("0X"))
        .filter(|rest| rest.starts_with(|c: char| c.is_ascii_hexdigit()));
    let (digits, radix) = match hexadecimal {
        Some(rest) => (rest, 16),
        None if unsigned.starts_with('0') => (unsigned, 8),
        None => (unsigned, 10),
    };
    let end = digits.find(|c: char| !c.is_digit(radix)).unwrap_or(digits.len());
    let (number, rest) = digits.split_at(end);
    if number.is_empty() {
        return (Some(0), FileContent::NotANumber);
    }
    // At most 128 digits were read: longer than an i64 is out of range all the same.
    let value = i64::from_str_radix(number, radix)
        .ok()
        .map(|value| if negative { -value } else { value })
        .and_then(|value| i32::try_from(value).ok());
    match value {
        None => (None, FileContent::OutOfRange),
        Some(value) if rest.is_empty() => (Some(value), FileContent::Number),
        Some(value) => (Some(value), FileContent::TrailingText),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::InitFile;

    /// The values as Debian's Keepalived 2.2.7 reads them.
    #[test]
    fn numbers_are_read_as_keepalived_does() {
        let cases: [(&str, Option<i32>, FileContent); 14] = [
            ("0x10", Some(16), FileContent::Number),
            ("010", Some(8), FileContent::Number),
            ("12abc\n", Some(12), FileContent::TrailingText),
            ("abc", Some(0), FileContent::NotANumber),
            ("99999999999999", None, FileContent::OutOfRange),
            ("99999999999999999999999999", None, FileContent::OutOfRange),
            ("  -7 \n", Some(-7), FileContent::Number),
            ("+5", Some(5), FileContent::Number),
            ("5 6", Some(5), FileContent::TrailingText),
            ("", Some(0), FileContent::Empty),
            ("\n3\n", Some(3), FileContent::Number),
            ("0", Some(0), FileContent::Number),
            ("-", Some(0), FileContent::NotANumber),
            ("0xg", Some(0), FileContent::TrailingText),
        ];
        for (text, value, content) in cases {
            assert_eq!(parse(text.as_bytes()), (value, content), "{text:?}");
        }
        assert_eq!(parse(b"7\xff"), (Some(7), FileContent::TrailingText));
    }

    #[test]
    fn init_file_creates_and_overwrites_only_when_asked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let mut config = FileTrackerConfig { name: "f".into(), path: path.clone(), init: None };
        FileTracker::new(config.clone()).write_initial().unwrap();
        assert!(!path.exists());
        config.init = Some(InitFile { value: 3, overwrite: false });
        FileTracker::new(config.clone()).write_initial().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "3\n");
        config.init = Some(InitFile { value: 4, overwrite: false });
        FileTracker::new(config.clone()).write_initial().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "3\n");
        config.init = Some(InitFile { value: 5, overwrite: true });
        FileTracker::new(config.clone()).write_initial().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "5\n");
        std::fs::remove_file(&path).unwrap();
        let target = dir.path().join("target");
        std::os::unix::fs::symlink(&target, &path).unwrap();
        assert!(FileTracker::new(config).write_initial().is_err());
        assert!(!target.exists());
    }

    #[test]
    fn only_news_are_reported() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let config = FileTrackerConfig { name: "f".into(), path: path.clone(), init: None };
        let mut tracker = FileTracker::new(config);
        let news = |tracker: &mut FileTracker| match tracker.read(Reading::Fresh) {
            Found::News(report) => (report.state, report.first),
            other => panic!("{other:?}"),
        };
        assert_eq!(news(&mut tracker), (TrackerState::Value(0), true));
        assert_eq!(tracker.content, Some(FileContent::Missing));
        std::fs::write(&path, "0").unwrap();
        assert_eq!(tracker.read(Reading::Fresh), Found::Unchanged);
        std::fs::write(&path, "9").unwrap();
        assert_eq!(news(&mut tracker), (TrackerState::Value(9), false));
        std::fs::write(&path, "99999999999").unwrap();
        assert_eq!(tracker.read(Reading::Fresh), Found::Unchanged, "out of range");
        std::fs::write(&path, "").unwrap();
        assert_eq!(tracker.read(Reading::Fresh), Found::Doubtful);
        assert!(matches!(tracker.read(Reading::Confirmed), Found::News(_)));
        std::fs::write(&path, "9").unwrap();
        assert_eq!(news(&mut tracker), (TrackerState::Value(9), false));
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert_eq!(news(&mut tracker), (TrackerState::Value(0), false));
        assert!(matches!(tracker.content, Some(FileContent::Unreadable(_))));
    }
}
