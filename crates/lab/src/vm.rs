//! Where IPVS is: the calling program runs itself again inside of a virtual machine with Debian's
//! kernel, or on this machine when its kernel has IPVS and we are root.
//!
//! ```text
//!   the program ──► tools/vm ──► the same program, same arguments, `inside()` is true
//!        each line that it prints comes back
//! ```

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::LabError;

/// Set inside of the machine.
const MARK: &str = "STANDFAST_LAB_VM";

/// Set to `always`: a virtual machine even when this kernel has IPVS.
const CHOICE: &str = "STANDFAST_VM";

/// How large the machine is and how long it may run.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Memory in MiB.
    pub memory: u32,
    /// Processors.
    pub processors: u32,
    /// After this it is ended.
    pub limit: Duration,
}

/// Whether this process runs where IPVS is.
#[must_use]
pub fn inside() -> bool {
    std::env::var_os(MARK).is_some()
}

/// Runs the calling program with `arguments` where IPVS is, and gives each line that it prints to
/// `line`. Returns how it ended: 124 when it took too long, 125 when the machine died, in which
/// case the last lines are the kernel's.
///
/// # Errors
///
/// When `tools/vm` of the source tree cannot be started or read.
pub fn again<S: AsRef<OsStr>>(
    size: Size,
    arguments: &[S],
    mut line: impl FnMut(&str),
) -> Result<ExitStatus, LabError> {
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/vm");
    let io = |source| LabError::Io { what: format!("run {}", tool.display()), source };
    let mut command = Command::new(&tool);
    for (option, value) in [
        ("--memory", u64::from(size.memory)),
        ("--cpus", u64::from(size.processors)),
        ("--limit", size.limit.as_secs()),
    ] {
        command.arg(option).arg(value.to_string());
    }
    if std::env::var(CHOICE).is_ok_and(|choice| choice == "always") {
        command.env_remove(CHOICE);
    } else {
        command.arg("--if-needed");
    }
    let mut child = command
        .arg("--")
        .arg(std::env::current_exe().map_err(io)?)
        .args(arguments)
        .env(MARK, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(io)?;
    if let Some(stream) = child.stdout.take() {
        for bytes in BufReader::new(stream).split(b'\n') {
            line(String::from_utf8_lossy(&bytes.map_err(io)?).trim_end());
        }
    }
    child.wait().map_err(io)
}
