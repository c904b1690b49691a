//! The state store: a memfd that the supervisor keeps while roles come and go. It holds what a role
//! needs to go on as what it was after a crash.
//!
//! ```text
//!   head (32 bytes): magic, begin, end          log: entry, entry, …, entry
//!                                                    a later entry about the same thing counts
//! ```
//!
//! A change appends an entry and then moves the end: two `pwrite`s, and a role that is killed
//! between them has changed nothing. When the log has grown to twice what counts, what counts is
//! written to a free place, before the log if there is room and else behind it, and the head is
//! pointed there. So a change costs what it changes, however many servers there are. An entry is a
//! length (u32, little endian) and that many bytes of postcard.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use netlink::ipvs::{Held, ServiceKey};
use serde::{Deserialize, Serialize};

use crate::core::SavedService;

const MAGIC: [u8; 8] = *b"sf-bal-2";
/// Bytes of the head.
const HEAD: u64 = 32;
/// The log may waste so many bytes before it is written anew.
const WASTE: u64 = 1 << 20;
/// So much is written at a time.
const CHUNK: usize = 256 * 1024;
/// A log larger than that is not ours: a bound for what comes out of the file.
const MOST: u64 = 1 << 30;

/// What the role itself keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// Generation of the configuration that the rest belongs to.
    pub(crate) generation: u64,
    /// FIFOs that we created and shall remove at the end.
    pub(crate) fifos: Vec<String>,
    /// Services that are ours, and strays in them that stay.
    pub(crate) held: Vec<(String, Vec<std::net::SocketAddr>)>,
}

impl Kept {
    /// Puts what is ours into words.
    pub(crate) fn hold(&mut self, held: &Held) {
        let entry = |(key, strays): (&ServiceKey, &std::collections::BTreeSet<_>)| {
            (key.to_string(), strays.iter().copied().collect())
        };
        self.held = held.services().map(entry).collect();
    }

    /// What is ours.
    pub(crate) fn held(&self) -> Held {
        let mut held = Held::new();
        for (key, strays) in &self.held {
            let Ok(key) = key.parse() else { continue };
            held.hold(key);
            for stray in strays {
                held.tolerate(key, *stray);
            }
        }
        held
    }
}

/// One entry of the log.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Entry<Saved> {
    Kept(Kept),
    /// The virtual server at this place of the configuration.
    Service(u32, Saved),
    /// There are so many; what was kept at later places is void.
    Count(u32),
}

/// What the role before us left.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The role's own.
    pub(crate) kept: Kept,
    /// The virtual servers, in the order of the configuration.
    pub(crate) services: Vec<SavedService>,
}

/// The store.
#[derive(Debug)]
pub(crate) struct Store {
    file: File,
    begin: u64,
    end: u64,
    kept: Kept,
    /// What counts: where each virtual server's entry is in the file, by place.
    live: BTreeMap<u32, Extent>,
    /// Bytes of all these entries.
    counting: u64,
    /// How many virtual servers there are.
    count: usize,
}

/// Where an entry's bytes are.
#[derive(Clone, Copy, Debug)]
struct Extent {
    offset: u64,
    length: u32,
}

impl Store {
    /// Opens the store and reads what the role before us left: `None` for a first start.
    ///
    /// # Errors
    /// As writing does: out of memory.
    pub(crate) fn open(file: File) -> io::Result<(Self, Option<Found>)> {
        let mut store = Self {
            file,
            begin: HEAD,
            end: HEAD,
            kept: Kept::default(),
            live: BTreeMap::new(),
            counting: 0,
            count: 0,
        };
        let found = store.read();
        if found.is_none() {
            store.begin = HEAD;
            store.end = HEAD;
            store.live.clear();
            store.counting = 0;
            store.kept = Kept::default();
            store.point()?;
        }
        Ok((store, found))
    }

    fn read(&mut self) -> Option<Found> {
        let mut head = [0; HEAD as usize];
        self.file.read_exact_at(&mut head, 0).ok()?;
        let number = |at: usize| head[at..at + 8].try_into().ok().map(u64::from_le_bytes);
        let (begin, end) = (number(8)?, number(16)?);
        if head[..8] != MAGIC || begin < HEAD || end < begin || end - begin > MOST {
            return None;
        }
        let mut log = vec![0; usize::try_from(end - begin).ok()?];
        self.file.read_exact_at(&mut log, begin).ok()?;
        (self.begin, self.end) = (begin, end);
        let mut rest = log.as_slice();
        let mut services: BTreeMap<u32, SavedService> = BTreeMap::new();
        while let Some((head, tail)) = rest.split_first_chunk::<4>() {
            let length = u32::from_le_bytes(*head);
            let offset = end - tail.len() as u64;
            let bytes = tail.get(..usize::try_from(length).ok()?)?;
            rest = &tail[bytes.len()..];
            match postcard::from_bytes::<Entry<SavedService>>(bytes).ok()? {
                Entry::Kept(kept) => self.kept = kept,
                Entry::Service(place, saved) => {
                    self.note(place, Extent { offset, length });
                    services.insert(place, saved);
                }
                Entry::Count(count) => {
                    self.truncate(count);
                    services.split_off(&count);
                }
            }
        }
        if self.kept.generation == 0 {
            return None;
        }
        self.count = services.len();
        Some(Found { kept: self.kept.clone(), services: services.into_values().collect() })
    }

    fn note(&mut self, place: u32, extent: Extent) {
        self.forget(place);
        self.counting += u64::from(extent.length) + 4;
        self.live.insert(place, extent);
    }

    fn forget(&mut self, place: u32) {
        if let Some(extent) = self.live.remove(&place) {
            self.counting -= u64::from(extent.length) + 4;
        }
    }

    /// Whether something was at these places.
    fn truncate(&mut self, count: u32) -> bool {
        let void: Vec<u32> = self.live.range(count..).map(|(place, _)| *place).collect();
        void.iter().for_each(|place| self.forget(*place));
        !void.is_empty()
    }

    /// What the role itself keeps.
    pub(crate) fn kept(&self) -> &Kept {
        &self.kept
    }

    /// Changes what the role itself keeps.
    ///
    /// # Errors
    /// As writing does: out of memory.
    pub(crate) fn update(&mut self, change: impl FnOnce(&mut Kept)) -> io::Result<()> {
        let before = self.kept.clone();
        change(&mut self.kept);
        if self.kept == before {
            return Ok(());
        }
        let mut log = Vec::new();
        entry(&mut log, &Entry::<()>::Kept(self.kept.clone()))?;
        self.append(&mut log)
    }

    /// Of how many virtual servers the last life or this one has kept something.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Keeps virtual servers that have changed, by their places; there are `count` in all.
    ///
    /// # Errors
    /// As writing does: out of memory.
    pub(crate) fn put(
        &mut self,
        services: impl IntoIterator<Item = (usize, SavedService)>,
        count: usize,
    ) -> io::Result<()> {
        let mut log = Vec::new();
        for (place, saved) in services {
            let place = u32::try_from(place).map_err(io::Error::other)?;
            let length = entry(&mut log, &Entry::Service(place, saved))?;
            let offset = self.end + log.len() as u64 - u64::from(length);
            self.note(place, Extent { offset, length });
            if log.len() > CHUNK {
                self.write(&mut log)?;
            }
        }
        self.count = count;
        let count = u32::try_from(count).map_err(io::Error::other)?;
        if self.truncate(count) {
            entry(&mut log, &Entry::<()>::Count(count))?;
        }
        self.append(&mut log)
    }

    /// Writes a part of what is appended; it counts once the head says so.
    fn write(&mut self, log: &mut Vec<u8>) -> io::Result<()> {
        self.file.write_all_at(log, self.end)?;
        self.end += log.len() as u64;
        log.clear();
        Ok(())
    }

    fn append(&mut self, log: &mut Vec<u8>) -> io::Result<()> {
        self.write(log)?;
        if self.end - self.begin > 2 * self.counting + WASTE {
            return self.compact();
        }
        self.point()
    }

    /// Writes what counts to a free place and points the head there.
    fn compact(&mut self) -> io::Result<()> {
        let mut log = Vec::new();
        entry(&mut log, &Entry::<()>::Kept(self.kept.clone()))?;
        let before = HEAD + log.len() as u64 + self.counting <= self.begin;
        let place = if before { HEAD } else { self.end };
        let mut end = place;
        for extent in self.live.values_mut() {
            let mut bytes = vec![0; usize::try_from(extent.length).map_err(io::Error::other)?];
            self.file.read_exact_at(&mut bytes, extent.offset)?;
            frame(&mut log, &bytes)?;
            extent.offset = end + (log.len() - bytes.len()) as u64;
            if log.len() > CHUNK {
                self.file.write_all_at(&log, end)?;
                end += log.len() as u64;
                log.clear();
            }
        }
        self.file.write_all_at(&log, end)?;
        (self.begin, self.end) = (place, end + log.len() as u64);
        self.point()?;
        if before {
            self.file.set_len(self.end)?;
        }
        Ok(())
    }

    /// One `pwrite`: the head is the old one or the new one.
    fn point(&self) -> io::Result<()> {
        let mut head = [0; HEAD as usize];
        head[..8].copy_from_slice(&MAGIC);
        head[8..16].copy_from_slice(&self.begin.to_le_bytes());
        head[16..24].copy_from_slice(&self.end.to_le_bytes());
        self.file.write_all_at(&head, 0)
    }
}

/// Appends an entry to a log; returns the length of its bytes.
fn entry<T: Serialize>(log: &mut Vec<u8>, entry: &Entry<T>) -> io::Result<u32> {
    let head = log.len();
    log.extend_from_slice(&[0; 4]);
    *log = postcard::to_extend(entry, std::mem::take(log)).map_err(io::Error::other)?;
    let length = u32::try_from(log.len() - head - 4).map_err(io::Error::other)?;
    log[head..head + 4].copy_from_slice(&length.to_le_bytes());
    Ok(length)
}

fn frame(log: &mut Vec<u8>, bytes: &[u8]) -> io::Result<u32> {
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    log.extend_from_slice(&length.to_le_bytes());
    log.extend_from_slice(bytes);
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{Core, Now, Plan};

    fn services(many: usize) -> Vec<SavedService> {
        let mut text = String::new();
        for n in 0..many {
            let (high, low) = (n / 250, n % 250 + 1);
            text += &format!(
                "virtual_server 198.51.{high}.{low} 80 {{\n protocol TCP\n lb_algo rr\n real_server \
                 203.0.113.1 80 {{\n }}\n}}\n"
            );
        }
        let loaded = config::load_text(&text, &config::Options::default());
        let model = config::lower::lower(&loaded.tree, &config::lower::BuiltinNames).model;
        Core::new(Plan::new(&model, |_| None), &[], Now::default()).save()
    }

    fn opened(file: &File) -> (Store, Option<Found>) {
        Store::open(file.try_clone().unwrap()).unwrap()
    }

    #[test]
    fn the_next_life_reads_what_the_last_one_kept() {
        let file = tempfile::tempfile().unwrap();
        let (mut store, found) = opened(&file);
        assert!(found.is_none());
        let all = services(3);
        store.put(all.iter().cloned().enumerate(), 3).unwrap();
        store
            .update(|kept| {
                kept.generation = 2;
                kept.held =
                    vec![("TCP 198.51.0.1:80".into(), vec!["203.0.113.9:80".parse().unwrap()])];
            })
            .unwrap();
        store.put([(0, all[2].clone())], 3).unwrap();
        let found = opened(&file).1.unwrap();
        assert_eq!(found.kept.generation, 2);
        assert_eq!(found.services, [all[2].clone(), all[1].clone(), all[2].clone()]);
        let held = found.kept.held();
        let (key, strays) = held.services().next().unwrap();
        assert_eq!((key.to_string().as_str(), strays.len()), ("TCP 198.51.0.1:80", 1));
    }

    #[test]
    fn virtual_servers_that_are_gone_are_forgotten() {
        let file = tempfile::tempfile().unwrap();
        let (mut store, _) = opened(&file);
        store.update(|kept| kept.generation = 1).unwrap();
        store.put(services(5).into_iter().enumerate(), 5).unwrap();
        store.put(services(2).into_iter().enumerate(), 2).unwrap();
        assert_eq!(opened(&file).1.unwrap().services.len(), 2);
    }

    #[test]
    fn many_changes_do_not_grow_the_file_without_end() {
        let file = tempfile::tempfile().unwrap();
        let (mut store, _) = opened(&file);
        store.update(|kept| kept.generation = 1).unwrap();
        let all = services(500);
        store.put(all.iter().cloned().enumerate(), 500).unwrap();
        for _ in 0..200 {
            store.put(all.iter().take(100).cloned().enumerate(), 500).unwrap();
        }
        let size = file.metadata().unwrap().len();
        assert!(size < 4 * WASTE, "{size}");
        let (mut again, found) = opened(&file);
        assert_eq!(found.unwrap().services, all);
        // The successor can go on with it.
        again.put([(7, all[8].clone())], 500).unwrap();
        assert_eq!(opened(&file).1.unwrap().services[7], all[8]);
    }

    #[test]
    fn a_role_killed_between_entry_and_head_has_changed_nothing() {
        let file = tempfile::tempfile().unwrap();
        let (mut store, _) = opened(&file);
        store.update(|kept| kept.generation = 1).unwrap();
        store.put(services(1).into_iter().enumerate(), 1).unwrap();
        let end = store.end;
        file.write_all_at(&[0x55; 100], end).unwrap();
        assert_eq!(opened(&file).1.unwrap().services.len(), 1);
    }

    #[test]
    fn rubbish_is_a_first_start() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&[0xff; 5000], 0).unwrap();
        let (mut store, found) = opened(&file);
        assert!(found.is_none());
        store.update(|kept| kept.generation = 4).unwrap();
        assert_eq!(opened(&file).1.unwrap().kept.generation, 4);
        // A head that points beyond the file.
        let mut head = MAGIC.to_vec();
        head.extend(32_u64.to_le_bytes());
        head.extend(1_000_000_u64.to_le_bytes());
        file.write_all_at(&head, 0).unwrap();
        assert!(opened(&file).1.is_none());
    }
}
