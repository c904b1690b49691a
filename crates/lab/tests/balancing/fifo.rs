//! What comes out of a notify FIFO.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use standfast_lab::Namespace;
use standfast_lab::journal::Journal;

/// A FIFO that was made before the daemon starts, and the lines that came out of it so far.
pub(crate) struct Fifo {
    pub(crate) lines: Journal<String>,
    stop: Arc<AtomicBool>,
}

impl Fifo {
    pub(crate) fn make(machine: &Namespace, path: &str) -> Self {
        let outside = machine.outside(path);
        nix::unistd::mkfifo(&outside, nix::sys::stat::Mode::from_bits_truncate(0o600))
            .expect("a FIFO");
        // Read and write: never an end of file, whoever closes it.
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(nix::libc::O_NONBLOCK)
            .open(&outside)
            .expect("open the FIFO");
        let lines = Journal::default();
        let stop = Arc::new(AtomicBool::new(false));
        let (told, stopped) = (lines.clone(), Arc::clone(&stop));
        thread::spawn(move || {
            let (mut text, mut chunk) = (Vec::new(), [0_u8; 4096]);
            while !stopped.load(Ordering::Relaxed) {
                match file.read(&mut chunk) {
                    Ok(length) => text.extend(&chunk[..length]),
                    // Nobody tells when there is something to read without a poll; this is one.
                    Err(_) => thread::sleep(Duration::from_millis(10)),
                }
                while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = text.drain(..=end).collect();
                    told.push(String::from_utf8_lossy(&line[..end]).into_owned());
                }
            }
        });
        Self { lines, stop }
    }
}

impl Drop for Fifo {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
