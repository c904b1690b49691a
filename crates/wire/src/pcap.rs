//! Capture files (the classic format, nanosecond flavour) that tcpdump and Wireshark open: a
//! simulated failure can be looked at with the usual tools.

use std::io::{self, Write};
use std::time::Duration;

/// Classic format with nanoseconds, in the byte order that we write: little-endian.
const MAGIC: u32 = 0xa1b2_3c4d;
/// Longest packet that is kept.
const SNAP_LEN: u32 = 262_144;

/// What the packets begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkType {
    /// An Ethernet header
    Ethernet,
    /// An IPv4 or IPv6 header
    Raw,
}

impl LinkType {
    /// The number in the file.
    const fn number(self) -> u32 {
        match self {
            Self::Ethernet => 1,
            Self::Raw => 101,
        }
    }
}

/// Writes a capture.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
}

impl<W: Write> Writer<W> {
    /// Begins a capture.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn new(mut out: W, link_type: LinkType) -> io::Result<Self> {
        let mut header = [0; 24];
        header[0..4].copy_from_slice(&MAGIC.to_le_bytes());
        header[4..6].copy_from_slice(&2u16.to_le_bytes());
        header[6..8].copy_from_slice(&4u16.to_le_bytes());
        header[16..20].copy_from_slice(&SNAP_LEN.to_le_bytes());
        header[20..24].copy_from_slice(&link_type.number().to_le_bytes());
        out.write_all(&header)?;
        Ok(Self { out })
    }

    /// Adds a packet seen at `time` since the Unix epoch (or since the start of a simulation);
    /// seconds are kept modulo 2^32, packets are cut at 256 KiB.
    ///
    /// # Errors
    /// Those of the output.
    pub fn packet(&mut self, time: Duration, bytes: &[u8]) -> io::Result<()> {
        let kept = &bytes[..bytes.len().min(SNAP_LEN as usize)];
        let original = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let mut header = [0; 16];
        header[0..4].copy_from_slice(&(time.as_secs() as u32).to_le_bytes());
        header[4..8].copy_from_slice(&time.subsec_nanos().to_le_bytes());
        header[8..12].copy_from_slice(&(kept.len() as u32).to_le_bytes());
        header[12..16].copy_from_slice(&original.to_le_bytes());
        self.out.write_all(&header)?;
        self.out.write_all(kept)
    }

    /// Flushes and gives the output back.
    ///
    /// # Errors
    /// Those of the output.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}
