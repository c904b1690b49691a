//! Names for numbers: routing tables, protocols, scopes, DS fields, realms and interface groups,
//! as iproute2's files define them.
//!
//! Later files override earlier ones, so that the order of directories is: the distribution's
//! (`/usr/share/iproute2`, `/usr/lib/iproute2`), then `/etc/iproute2`. In each, the file comes
//! before the `*.conf` files of its `.d` directory, those in order of name.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// Directories in which iproute2 looks, in order.
pub const DIRECTORIES: [&str; 3] = ["/usr/share/iproute2", "/usr/lib/iproute2", "/etc/iproute2"];

/// Largest file that is read, bytes; what lies beyond is reported.
const MAX_FILE: u64 = 1024 * 1024;
/// Most files read from one `.d` directory.
const MAX_FILES: usize = 256;
/// Longest name, bytes.
const MAX_NAME: usize = 512;

/// A family of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Routing tables, `rt_tables`: any 32-bit number.
    Table,
    /// Who added a route or rule, `rt_protos`: 0..=255.
    Protocol,
    /// Scopes of addresses and routes, `rt_scopes`: 0..=255.
    Scope,
    /// Differentiated services field (type of service), `rt_dsfield`: 0..=255.
    DsField,
    /// Realms, `rt_realms`: 0..=65535.
    Realm,
    /// Interface groups, `group`: any 32-bit number.
    Group,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 6] =
        [Self::Table, Self::Protocol, Self::Scope, Self::DsField, Self::Realm, Self::Group];

    /// The name of the file.
    #[must_use]
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Table => "rt_tables",
            Self::Protocol => "rt_protos",
            Self::Scope => "rt_scopes",
            Self::DsField => "rt_dsfield",
            Self::Realm => "rt_realms",
            Self::Group => "group",
        }
    }

    /// Largest number.
    #[must_use]
    pub fn max(self) -> u32 {
        match self {
            Self::Table | Self::Group => u32::MAX,
            Self::Protocol | Self::Scope | Self::DsField => 255,
            Self::Realm => 65535,
        }
    }

    /// Names that hold without any file.
    fn built_in(self) -> &'static [(u32, &'static str)] {
        match self {
            Self::Table => &[(0, "unspec"), (253, "default"), (254, "main"), (255, "local")],
            Self::Protocol => &[
                (0, "unspec"),
                (1, "redirect"),
                (2, "kernel"),
                (3, "boot"),
                (4, "static"),
                (8, "gated"),
                (9, "ra"),
                (10, "mrt"),
                (11, "zebra"),
                (12, "bird"),
                (13, "dnrouted"),
                (14, "xorp"),
                (15, "ntk"),
                (16, "dhcp"),
                (17, "mrouted"),
                (18, "keepalived"),
                (42, "babel"),
                (99, "openr"),
                (186, "bgp"),
                (187, "isis"),
                (188, "ospf"),
                (189, "rip"),
                (192, "eigrp"),
            ],
            Self::Scope => {
                &[(0, "global"), (200, "site"), (253, "link"), (254, "host"), (255, "nowhere")]
            }
            Self::DsField => &[],
            Self::Realm => &[(0, "unknown")],
            Self::Group => &[(0, "default")],
        }
    }
}

/// Something in the files that was passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub path: PathBuf,
    /// The line, from 1; 0 for the file as a whole.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

/// The names of all kinds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    numbers: HashMap<(Kind, String), u32>,
    names: HashMap<(Kind, u32), String>,
}

impl Names {
    /// The names that hold without any file.
    #[must_use]
    pub fn built_in() -> Self {
        let mut names = Self { numbers: HashMap::new(), names: HashMap::new() };
        for kind in Kind::ALL {
            for (number, name) in kind.built_in() {
                names.insert(kind, *number, name);
            }
        }
        names
    }

    /// Reads the files of these directories over the built-in names. Files and directories that do
    /// not exist are no problem; lines that cannot be read are passed over and reported.
    #[must_use]
    pub fn load<P: AsRef<Path>>(directories: &[P]) -> (Self, Vec<Problem>) {
        let mut names = Self::built_in();
        let mut problems = Vec::new();
        for directory in directories {
            for kind in Kind::ALL {
                let path = directory.as_ref().join(kind.file_name());
                names.load_file(kind, &path, &mut problems);
                let extra = directory.as_ref().join(format!("{}.d", kind.file_name()));
                for path in configuration_files(&extra, &mut problems) {
                    names.load_file(kind, &path, &mut problems);
                }
            }
        }
        (names, problems)
    }

    /// The number behind a name. Numbers themselves (decimal, or hexadecimal with `0x`) are names
    /// too, within the range of the kind. DS fields without a prefix are hexadecimal, as in `ip`.
    #[must_use]
    pub fn number(&self, kind: Kind, name: &str) -> Option<u32> {
        if let Some(number) = self.numbers.get(&(kind, name.to_owned())) {
            return Some(*number);
        }
        let number = match name.strip_prefix("0x").or_else(|| name.strip_prefix("0X")) {
            Some(digits) => hexadecimal(digits)?,
            None if kind == Kind::DsField => hexadecimal(name)?,
            None if name.starts_with(|first: char| first.is_ascii_digit()) => name.parse().ok()?,
            None => return None,
        };
        (number <= kind.max()).then_some(number)
    }

    /// The name of a number, if it has one.
    #[must_use]
    pub fn name(&self, kind: Kind, number: u32) -> Option<&str> {
        self.names.get(&(kind, number)).map(String::as_str)
    }

    fn insert(&mut self, kind: Kind, number: u32, name: &str) {
        self.numbers.insert((kind, name.to_owned()), number);
        self.names.insert((kind, number), name.to_owned());
    }

    fn load_file(&mut self, kind: Kind, path: &Path, problems: &mut Vec<Problem>) {
        let mut problem = |line: usize, what: String| {
            problems.push(Problem { path: path.to_owned(), line, what });
        };
        let text = match read_bounded(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => return problem(0, error.to_string()),
        };
        for (index, line) in text.lines().enumerate() {
            let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
            let Some(first) = words.next() else { continue };
            let number = match first.strip_prefix("0x").or_else(|| first.strip_prefix("0X")) {
                Some(digits) => hexadecimal(digits),
                None => first.parse().ok(),
            };
            match (number.filter(|number| *number <= kind.max()), words.next()) {
                (Some(number), Some(name)) if name.len() <= MAX_NAME => {
                    self.insert(kind, number, name);
                }
                (Some(_), _) => problem(index + 1, "a name is missing or too long".into()),
                (None, _) => problem(index + 1, format!("not a number up to {}", kind.max())),
            }
        }
    }
}

impl Default for Names {
    fn default() -> Self {
        Self::built_in()
    }
}

/// Digits without a sign.
fn hexadecimal(digits: &str) -> Option<u32> {
    if digits.starts_with('+') {
        return None;
    }
    u32::from_str_radix(digits, 16).ok()
}

fn read_bounded(path: &Path) -> io::Result<String> {
    let file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(io::Error::other("larger than 1 MiB, not read"));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn configuration_files(directory: &Path, problems: &mut Vec<Problem>) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| {
            let hidden =
                path.file_name().is_none_or(|name| name.as_encoded_bytes().first() == Some(&b'.'));
            !hidden && path.extension().is_some_and(|extension| extension == "conf")
        })
        .take(MAX_FILES + 1)
        .collect();
    if files.len() > MAX_FILES {
        problems.push(Problem {
            path: directory.to_owned(),
            line: 0,
            what: format!("more than {MAX_FILES} files, the others are not read"),
        });
        files.truncate(MAX_FILES);
    }
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        directory
    }

    #[test]
    fn built_in_names_need_no_file() {
        let names = Names::built_in();
        assert_eq!(names.number(Kind::Table, "main"), Some(254));
        assert_eq!(names.number(Kind::Scope, "host"), Some(254));
        assert_eq!(names.number(Kind::Protocol, "keepalived"), Some(18));
        assert_eq!(names.name(Kind::Table, 255), Some("local"));
        assert_eq!(names.number(Kind::Table, "nosuch"), None);
    }

    #[test]
    fn numbers_are_names_within_the_range_of_the_kind() {
        let names = Names::built_in();
        assert_eq!(names.number(Kind::Table, "70000"), Some(70000));
        assert_eq!(names.number(Kind::Table, "0x10"), Some(16));
        assert_eq!(names.number(Kind::Protocol, "256"), None);
        assert_eq!(names.number(Kind::DsField, "10"), Some(16));
        assert_eq!(names.number(Kind::Table, "12x"), None);
        assert_eq!(names.number(Kind::Table, "-1"), None);
        assert_eq!(names.number(Kind::Table, "+1"), None);
    }

    #[test]
    fn later_directories_and_drop_ins_win() {
        let first = directory(&[("rt_tables", "100 blue\n101\tgreen # a comment\n# 5 x\n\n")]);
        let second = directory(&[
            ("rt_tables", "200 blue\n"),
            ("rt_tables.d/b.conf", "0x12d red\n"),
            ("rt_tables.d/a.conf", "300 red\n"),
            ("rt_tables.d/ignored.txt", "9 nine\n"),
            ("rt_dsfield", "0x10 lowdelay\n"),
        ]);
        let (names, problems) = Names::load(&[first.path(), second.path()]);
        assert_eq!(problems, []);
        assert_eq!(names.number(Kind::Table, "blue"), Some(200));
        assert_eq!(names.number(Kind::Table, "green"), Some(101));
        assert_eq!(names.number(Kind::Table, "red"), Some(301));
        assert_eq!(names.number(Kind::Table, "nine"), None);
        assert_eq!(names.number(Kind::DsField, "lowdelay"), Some(16));
        assert_eq!(names.name(Kind::Table, 101), Some("green"));
    }

    #[test]
    fn bad_lines_are_passed_over_and_reported() {
        let files = directory(&[("rt_protos", "4 static\nx y\n300 big\n7\n8 good\n")]);
        let (names, problems) = Names::load(&[files.path()]);
        assert_eq!(problems.iter().map(|it| it.line).collect::<Vec<_>>(), [2, 3, 4]);
        assert_eq!(names.number(Kind::Protocol, "good"), Some(8));
    }

    #[test]
    fn files_are_bounded() {
        let files = directory(&[("group", &"7 seven\n".repeat(200_000))]);
        let (names, problems) = Names::load(&[files.path()]);
        assert_eq!(problems.len(), 1);
        assert_eq!(names.number(Kind::Group, "seven"), None);
        let (_, problems) = Names::load(&[files.path().join("absent")]);
        assert_eq!(problems, []);
    }
}
