//! Getting IPVS into the kernel.

use std::io::{self, Read as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Names the program that loads modules.
const MODPROBE: &str = "/proc/sys/kernel/modprobe";
const MODULE: &str = "ip_vs";
/// How much of the program's complaint is kept, bytes.
const COMPLAINT: u64 = 512;

/// Why the module could not be loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModuleError {
    /// The kernel names no program that loads modules: it has none, or a container hides it.
    #[error("{MODPROBE} names no program to load ip_vs with")]
    NoLoader,
    /// The program could not be started.
    #[error("{program} cannot be started: {}", io::Error::from(*kind))]
    NotStarted {
        /// Its path.
        program: String,
        /// Why.
        kind: io::ErrorKind,
    },
    /// The program did not end in time, and was killed.
    #[error("{program} ip_vs did not end within {} s", limit.as_secs_f32())]
    TimedOut {
        /// Its path.
        program: String,
        /// The time limit.
        limit: Duration,
    },
    /// The program failed.
    #[error("{program} ip_vs: {complaint}")]
    Failed {
        /// Its path.
        program: String,
        /// What it said, in one line, or else its exit status.
        complaint: String,
    },
}

/// Loads the module `ip_vs` with the program that the kernel itself would use. Blocks up to
/// `limit`. Needs CAP_SYS_MODULE, or root.
///
/// # Errors
/// See [`ModuleError`].
pub fn load_module(limit: Duration) -> Result<(), ModuleError> {
    let program = std::fs::read_to_string(MODPROBE).unwrap_or_default();
    let program = program.trim();
    if program.is_empty() {
        return Err(ModuleError::NoLoader);
    }
    run(program, &[MODULE], limit)
}

fn run(program: &str, arguments: &[&str], limit: Duration) -> Result<(), ModuleError> {
    let child = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let not_started =
        |error: io::Error| ModuleError::NotStarted { program: program.into(), kind: error.kind() };
    let mut child = child.map_err(not_started)?;
    match wait(&mut child, limit) {
        Ok(Some(status)) if status.success() => Ok(()),
        Ok(Some(status)) => {
            let complaint = complaint(&mut child, status);
            Err(ModuleError::Failed { program: program.into(), complaint })
        }
        Ok(None) => Err(ModuleError::TimedOut { program: program.into(), limit }),
        Err(error) => Err(not_started(error)),
    }
}

/// Waits for a child; none when it had to be killed.
fn wait(child: &mut Child, limit: Duration) -> io::Result<Option<ExitStatus>> {
    const FIRST: Duration = Duration::from_millis(1);
    const LONGEST: Duration = Duration::from_millis(50);
    let deadline = Instant::now() + limit;
    let mut pause = FIRST;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(LONGEST);
    }
}

/// What a program that has ended wrote to stderr.
fn complaint(child: &mut Child, status: ExitStatus) -> String {
    let mut text = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        // Non-blocking is not needed unless a grandchild holds the pipe; a loader has none.
        let _ = stderr.take(COMPLAINT).read_to_end(&mut text);
    }
    let text = String::from_utf8_lossy(&text);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.is_empty() { status.to_string() } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    #[test]
    fn the_loader_s_complaint_is_passed_on_in_one_line() {
        let script =
            "echo 'modprobe: FATAL: Module ip_vs not found' >&2; echo 'in directory' >&2; exit 1";
        let error = run("/bin/sh", &["-c", script], LIMIT).unwrap_err();
        let expected = "/bin/sh ip_vs: modprobe: FATAL: Module ip_vs not found in directory";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn a_loader_that_fails_silently_is_named_with_its_status() {
        let error = run("/bin/sh", &["-c", "exit 3"], LIMIT).unwrap_err();
        assert_eq!(error.to_string(), "/bin/sh ip_vs: exit status: 3");
    }

    #[test]
    fn a_loader_that_is_not_there_is_named() {
        let error = run("/nonexistent/modprobe", &[], LIMIT).unwrap_err();
        let kind = io::ErrorKind::NotFound;
        assert_eq!(
            error,
            ModuleError::NotStarted { program: "/nonexistent/modprobe".into(), kind }
        );
    }

    #[test]
    fn a_loader_that_hangs_is_killed() {
        let start = Instant::now();
        let limit = Duration::from_millis(30);
        let error = run("/bin/sh", &["-c", "exec sleep 600"], limit).unwrap_err();
        assert!(matches!(error, ModuleError::TimedOut { .. }), "{error}");
        assert!(start.elapsed() < Duration::from_secs(60));
    }

    #[test]
    fn a_loader_that_succeeds_succeeds() {
        assert_eq!(run("/bin/sh", &["-c", "exit 0"], LIMIT), Ok(()));
    }
}
