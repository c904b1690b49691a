//! The state store: a memfd that the supervisor keeps while roles come and go. It holds what a
//! role needs to go on as what it was after a crash.
//!
//! The file begins with [`HEAD`] bytes for the role's own ([`Kept`]); then comes a row of slots of
//! [`SLOT`] bytes, one for each virtual router. What is not written takes no memory. Each part is a
//! length (u32, little endian) and that many bytes of JSON. A crash in the middle of a `pwrite` is
//! no danger: the kernel finishes the call.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use vrrp::SavedRouter;

/// Bytes for the role's own: thousands of interface names.
const HEAD: u64 = 256 * 1024;
/// Bytes of a slot.
const SLOT: u64 = 4096;
/// More routers than any configuration can have on one machine (255 VRIDs, 2 families, and some
/// hundred interfaces): the bound for a count that comes out of the file.
const MAX_ROUTERS: u32 = 1 << 20;

/// What the role itself keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// How many router slots count.
    pub(crate) routers: u32,
    /// Generation of the configuration that they belong to.
    pub(crate) generation: u64,
    /// FIFOs that we created and shall remove at the end.
    pub(crate) fifos: Vec<String>,
    /// Kernel settings that were changed: path below /proc/sys and the value to put back.
    pub(crate) sysctls: Vec<(String, String)>,
    /// Interfaces that we created.
    pub(crate) interfaces: Vec<String>,
}

/// The store.
#[derive(Debug)]
pub(crate) struct Store {
    file: File,
    kept: Kept,
}

impl Store {
    /// Opens the store and reads what the role before us left: `None` for a first start.
    pub(crate) fn open(file: File) -> (Self, Option<(Kept, Vec<SavedRouter>)>) {
        let found = read::<Kept>(&file, 0).map(|kept| {
            let count = kept.routers.min(MAX_ROUTERS);
            let routers = (0..count).filter_map(|i| read(&file, slot(i))).collect();
            (kept, routers)
        });
        let kept = found.as_ref().map(|(kept, _)| kept.clone()).unwrap_or_default();
        (Self { file, kept }, found)
    }

    /// Keeps one router in its slot.
    ///
    /// # Errors
    /// As writing does: out of memory.
    pub(crate) fn put_router(&self, index: usize, router: &SavedRouter) -> io::Result<()> {
        let offset = slot(u32::try_from(index).unwrap_or(MAX_ROUTERS));
        match write(&self.file, offset, router) {
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                // A crowd of senders: forget their replay marks rather than the router.
                let slim = SavedRouter {
                    hmac_seen: Vec::new(),
                    old_checksum_peers: Vec::new(),
                    ..router.clone()
                };
                write(&self.file, offset, &slim)
            }
            other => other,
        }
    }

    /// Changes what the role itself keeps.
    ///
    /// # Errors
    /// As writing does: out of memory.
    pub(crate) fn update(&mut self, change: impl FnOnce(&mut Kept)) -> io::Result<()> {
        let before = self.kept.clone();
        change(&mut self.kept);
        if self.kept == before { Ok(()) } else { write(&self.file, 0, &self.kept) }
    }

    /// What the role itself keeps.
    pub(crate) fn kept(&self) -> &Kept {
        &self.kept
    }
}

fn slot(index: u32) -> u64 {
    HEAD + u64::from(index) * SLOT
}

fn room(offset: u64) -> u64 {
    if offset == 0 { HEAD } else { SLOT }
}

fn write(file: &File, offset: u64, value: &impl Serialize) -> io::Result<()> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, value).map_err(io::Error::other)?;
    let length = bytes.len() - 4;
    if bytes.len() as u64 > room(offset) {
        return Err(io::Error::from(io::ErrorKind::FileTooLarge));
    }
    bytes[..4].copy_from_slice(&(length as u32).to_le_bytes());
    file.write_all_at(&bytes, offset)
}

fn read<T: DeserializeOwned>(file: &File, offset: u64) -> Option<T> {
    let mut length = [0; 4];
    file.read_exact_at(&mut length, offset).ok()?;
    let length = u32::from_le_bytes(length);
    if length == 0 || u64::from(length) > room(offset) - 4 {
        return None;
    }
    let mut bytes = vec![0; length as usize];
    file.read_exact_at(&mut bytes, offset + 4).ok()?;
    serde_json::from_slice(&bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use vrrp::{Family, RouterKey, State, Statistics};

    fn router(vrid: u8, state: State) -> SavedRouter {
        SavedRouter {
            key: RouterKey {
                vrid,
                family: Family::V4,
                interface: Some("eth0".into()),
                unicast_source: None,
            },
            state,
            yielding: false,
            handed_over: false,
            source: None,
            master: None,
            master_interval: Duration::from_secs(1),
            ah_sequence: 7,
            ip_id: 0,
            hmac_sent: 0,
            hmac_seen: Vec::new(),
            old_checksum_peers: Vec::new(),
            trackers: Vec::new(),
            peers: Vec::new(),
            last_transition: None,
            statistics: Statistics::default(),
        }
    }

    #[test]
    fn the_next_life_reads_what_the_last_one_kept() {
        let file = tempfile::tempfile().unwrap();
        let (mut store, found) = Store::open(file.try_clone().unwrap());
        assert!(found.is_none());
        store.put_router(0, &router(1, State::Master)).unwrap();
        store.put_router(1, &router(2, State::Backup)).unwrap();
        store.put_router(0, &router(1, State::Fault)).unwrap();
        store
            .update(|kept| {
                kept.routers = 2;
                kept.generation = 3;
                kept.fifos.push("/run/fifo".into());
            })
            .unwrap();
        let (_, found) = Store::open(file);
        let (kept, routers) = found.unwrap();
        assert_eq!((kept.generation, kept.fifos.len()), (3, 1));
        assert_eq!(routers, [router(1, State::Fault), router(2, State::Backup)]);
    }

    #[test]
    fn a_crowd_of_senders_does_not_cost_the_router() {
        let file = tempfile::tempfile().unwrap();
        let (mut store, _) = Store::open(file.try_clone().unwrap());
        let mut crowded = router(9, State::Master);
        crowded.hmac_seen = (0..500).map(|i| ([10, 0, 0, i as u8].into(), u64::MAX)).collect();
        store.put_router(0, &crowded).unwrap();
        store.update(|kept| kept.routers = 1).unwrap();
        let (_, found) = Store::open(file);
        assert_eq!(found.unwrap().1, [router(9, State::Master)]);
    }

    #[test]
    fn a_thousand_devices_leave_room_for_routers() {
        let file = tempfile::tempfile().unwrap();
        let (mut store, _) = Store::open(file.try_clone().unwrap());
        store.put_router(0, &router(1, State::Master)).unwrap();
        let names: Vec<_> = (0..1000).map(|n| format!("vrrp.{n}")).collect();
        store
            .update(|kept| {
                kept.routers = 1;
                kept.interfaces.clone_from(&names);
            })
            .unwrap();
        let (kept, routers) = Store::open(file).1.unwrap();
        assert_eq!((kept.interfaces, routers.len()), (names, 1));
    }

    #[test]
    fn rubbish_is_a_first_start() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&[0xff; 5000], 0).unwrap();
        assert!(Store::open(file).1.is_none());
    }
}
