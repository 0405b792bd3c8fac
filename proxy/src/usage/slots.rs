//! The file of counts: a slot for each key in each plan that was ever used.
//!
//! ```text
//! <state>/usage/counts
//! page 0             word 0: magic, word 1: how many slots are taken
//! then, in groups of `GROUP_SLOTS`, 24 words a slot:
//!   0..6             a `policy::quota::Count`
//!   6                0: not written yet; otherwise the lengths of both names, and a bit
//!   8..16, 16..24    the plan's name, the key's id
//! ```
//!
//! Processes map it and count in it: what one has counted the next one sees, also while both of them live (an upgrade), and the death of a
//! process loses nothing. Slots are taken by a compare-and-swap of word 1, after all that were taken before have been looked at: no two
//! are of the same key and plan.

use std::collections::HashMap;
use std::fs::{DirBuilder, File};
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use policy::quota::{COUNT_WORDS, Count};

use crate::io::Mapping;
use crate::limits::{COUNT_SLOTS_MAX, SLOT_SPINS_MAX};

const MAGIC: u64 = u64::from_le_bytes(*b"TOLLUSE1");
const SLOT_WORDS: usize = 24;
const STATE: usize = 6;
const NAMES: usize = 8;
/// Bytes of either name.
pub const NAME_BYTES_MAX: usize = 64;
/// Slots that are mapped at once: 768 KiB.
const GROUP_SLOTS: usize = 4_096;
const HEADER_BYTES: u64 = 4_096;
const WRITTEN: u64 = 1 << 32;

/// Words in a file, or in memory where nothing outlives the process.
enum Words {
    Mapped(Mapping),
    Passing(Box<[AtomicU64]>),
}

impl Words {
    fn all(&self) -> &[AtomicU64] {
        match self {
            Words::Mapped(mapping) => mapping,
            Words::Passing(words) => words,
        }
    }
}

/// One slot.
#[derive(Clone)]
pub struct Slot {
    group: Arc<Words>,
    at: u32,
}

impl Slot {
    /// What is counted in it.
    #[inline]
    pub fn count(&self) -> Count<'_> {
        let words = self.words().first_chunk::<COUNT_WORDS>().expect("a slot has more words than a count");
        Count::new(words)
    }

    #[inline]
    fn words(&self) -> &[AtomicU64] {
        let from = self.at as usize * SLOT_WORDS;
        &self.group.all()[from..from + SLOT_WORDS]
    }

    /// The plan's name and the key's id; `None`: whoever took it has not written them yet.
    pub fn names(&self) -> Option<(String, String)> {
        let state = self.words()[STATE].load(Acquire);
        if state & WRITTEN == 0 {
            return None;
        }
        let text = |from: usize, length: u64| {
            let words = &self.words()[from..from + NAME_BYTES_MAX / 8];
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.load(Relaxed).to_le_bytes()).collect();
            String::from_utf8(bytes[..(length as usize).min(NAME_BYTES_MAX)].to_vec()).ok()
        };
        Some((text(NAMES, state & 0xff)?, text(NAMES + NAME_BYTES_MAX / 8, state >> 8 & 0xff)?))
    }

    fn name(&self, plan: &str, key: &str) {
        for (from, name) in [(NAMES, plan), (NAMES + NAME_BYTES_MAX / 8, key)] {
            for (word, bytes) in self.words()[from..].iter().zip(name.as_bytes().chunks(8)) {
                let mut whole = [0; 8];
                whole[..bytes.len()].copy_from_slice(bytes);
                word.store(u64::from_le_bytes(whole), Relaxed);
            }
        }
        self.words()[STATE].store(WRITTEN | (key.len() as u64) << 8 | plan.len() as u64, Release);
    }
}

/// All slots.
pub struct Slots {
    file: Option<File>,
    header: Words,
    groups: Vec<Arc<Words>>,
    /// By a hash of both names, or the next number that is free; slots are compared.
    index: HashMap<u64, u32>,
    hasher: RandomState,
    /// Slots that were looked at.
    seen: u64,
}

impl Slots {
    /// Slots in memory.
    pub fn passing() -> Slots {
        Slots::new(None, Words::Passing((0..2).map(|_| AtomicU64::new(0)).collect()))
    }

    /// The slots of a file, which is made if need be.
    ///
    /// # Errors
    /// It cannot be opened or written, or is no file of counts.
    pub fn open(state: &Path) -> io::Result<Slots> {
        let folder = state.join("usage");
        match DirBuilder::new().mode(0o700).create(&folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let path = folder.join("counts");
        let file = File::options().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        let header = Mapping::new(&file, 0, HEADER_BYTES as usize / 8)?;
        match header[0].compare_exchange(0, MAGIC, AcqRel, Acquire) {
            Ok(_) | Err(MAGIC) => Ok(Slots::new(Some(file), Words::Mapped(header))),
            Err(_) => Err(io::Error::new(io::ErrorKind::InvalidData, "it is no file of counts")),
        }
    }

    fn new(file: Option<File>, header: Words) -> Slots {
        Slots { file, header, groups: Vec::new(), index: HashMap::new(), hasher: RandomState::new(), seen: 0 }
    }

    fn taken(&self) -> &AtomicU64 {
        &self.header.all()[1]
    }

    /// The slot of a key in a plan, which is taken if there is none yet.
    ///
    /// # Errors
    /// There is no room for it.
    pub fn slot(&mut self, plan: &str, key: &str) -> io::Result<Slot> {
        if plan.len() > NAME_BYTES_MAX || key.len() > NAME_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a name is longer than 64 bytes"));
        }
        loop {
            let taken = self.taken().load(Acquire);
            self.look(taken)?;
            let hash = match self.find(plan, key)? {
                Ok(slot) => return Ok(slot),
                Err(free) => free,
            };
            if taken >= COUNT_SLOTS_MAX {
                return Err(io::Error::new(io::ErrorKind::StorageFull, "there are as many counts as there may be"));
            }
            let slot = self.at(taken as u32)?;
            if self.taken().compare_exchange(taken, taken + 1, AcqRel, Acquire).is_ok() {
                slot.name(plan, key);
                self.index.insert(hash, taken as u32);
                self.seen = taken + 1;
                return Ok(slot);
            }
        }
    }

    /// Looks at the slots that somebody has taken meanwhile.
    fn look(&mut self, taken: u64) -> io::Result<()> {
        while self.seen < taken.min(COUNT_SLOTS_MAX) {
            let number = self.seen as u32;
            let slot = self.at(number)?;
            let mut names = slot.names();
            // Another process is about to write them, or has died before it could: then nobody has it.
            for _ in 0..SLOT_SPINS_MAX {
                if names.is_some() {
                    break;
                }
                std::thread::yield_now();
                names = slot.names();
            }
            if let Some((plan, key)) = names
                && let Err(hash) = self.find(&plan, &key)?
            {
                self.index.insert(hash, number);
            }
            self.seen += 1;
        }
        Ok(())
    }

    /// The slot of these names, or the hash that they would have.
    fn find(&mut self, plan: &str, key: &str) -> io::Result<Result<Slot, u64>> {
        let mut hash = self.hasher.hash_one((plan, key));
        while let Some(number) = self.index.get(&hash).copied() {
            let slot = self.at(number)?;
            if slot.names().is_some_and(|names| (&*names.0, &*names.1) == (plan, key)) {
                return Ok(Ok(slot));
            }
            hash = hash.wrapping_add(1);
        }
        Ok(Err(hash))
    }

    /// The slot of a number.
    fn at(&mut self, number: u32) -> io::Result<Slot> {
        let group = number as usize / GROUP_SLOTS;
        while self.groups.len() <= group {
            let count = GROUP_SLOTS * SLOT_WORDS;
            let from = HEADER_BYTES + (self.groups.len() * count * size_of::<AtomicU64>()) as u64;
            let words = match &self.file {
                Some(file) => Words::Mapped(Mapping::new(file, from, count)?),
                None => Words::Passing((0..count).map(|_| AtomicU64::new(0)).collect()),
            };
            self.groups.push(Arc::new(words));
        }
        Ok(Slot { group: self.groups[group].clone(), at: number % GROUP_SLOTS as u32 })
    }

    /// All slots that have names, those of other processes included.
    ///
    /// # Errors
    /// They cannot be mapped.
    pub fn all(&mut self) -> io::Result<Vec<Slot>> {
        let taken = self.taken().load(Acquire).min(COUNT_SLOTS_MAX);
        self.look(taken)?;
        (0..taken as u32).map(|number| self.at(number)).collect()
    }

    /// The file, to be waited for.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn file(&self) -> io::Result<Option<File>> {
        self.file.as_ref().map(File::try_clone).transpose()
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use policy::quota::{Period, Quota};

    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let path = std::env::temp_dir().join(format!("tollgate-slots-{name}-{}", std::process::id()));
            let _ = std::fs::remove_dir_all(&path);
            std::fs::create_dir_all(&path).expect("the folder for temporary files is writable");
            Folder(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    const QUOTA: Quota = Quota { limit: 1_000_000, period: Period::Day, offset: 0 };

    fn used(slots: &mut Slots, plan: &str, key: &str) -> u64 {
        slots.slot(plan, key).unwrap().count().standing(QUOTA, 9).used
    }

    /// As two processes do it: each with a mapping and an index of its own.
    #[test]
    fn two_who_open_the_file_share_every_slot() {
        let folder = Folder::new("shared");
        let mut one = Slots::open(&folder.0).unwrap();
        let mut other = Slots::open(&folder.0).unwrap();
        for (slots, plan, key) in [(0, "p", "a"), (1, "p", "b"), (1, "p", "a"), (0, "p", "b"), (0, "q", "a")] {
            let slots = if slots == 0 { &mut one } else { &mut other };
            slots.slot(plan, key).unwrap().count().take(9, Some(QUOTA)).unwrap();
        }
        for slots in [&mut one, &mut other] {
            let counts = [("p", "a"), ("p", "b"), ("q", "a")].map(|(plan, key)| used(slots, plan, key));
            assert_eq!(counts, [2, 2, 1]);
            assert_eq!(slots.all().unwrap().len(), 3, "no two of the same");
        }
        drop((one, other));
        let mut again = Slots::open(&folder.0).unwrap();
        assert_eq!(used(&mut again, "p", "a"), 2);
        let names = again.all().unwrap()[2].names();
        assert_eq!(names, Some(("q".to_owned(), "a".to_owned())));
    }

    #[test]
    fn slots_are_taken_at_the_same_time() {
        let folder = Folder::new("race");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut slots = Slots::open(&folder.0).unwrap();
                    for number in 0..500 {
                        let slot = slots.slot("plan", &format!("key{}", number % 97)).unwrap();
                        slot.count().take(9, Some(QUOTA)).unwrap();
                    }
                });
            }
        });
        let mut slots = Slots::open(&folder.0).unwrap();
        assert_eq!(slots.all().unwrap().len(), 97);
        let sum: u64 = (0..97).map(|number| used(&mut slots, "plan", &format!("key{number}"))).sum();
        assert_eq!(sum, 2_000);
    }

    #[test]
    fn more_than_a_group_and_the_longest_names_fit() {
        let mut slots = Slots::passing();
        let long = "x".repeat(NAME_BYTES_MAX);
        slots.slot(&long, &long).unwrap();
        for number in 0..GROUP_SLOTS {
            slots.slot("p", &number.to_string()).unwrap().count().take(9, None).unwrap();
        }
        assert_eq!(slots.all().unwrap().len(), GROUP_SLOTS + 1);
        assert_eq!(slots.slot(&long, &long).unwrap().names(), Some((long.clone(), long.clone())));
        assert!(slots.slot("p", &format!("{long}x")).is_err());
    }

    #[test]
    fn what_died_before_it_could_write_its_names_is_left_alone() {
        let folder = Folder::new("dead");
        let mut slots = Slots::open(&folder.0).unwrap();
        slots.taken().store(1, Release);
        slots.slot("p", "a").unwrap().count().take(9, Some(QUOTA)).unwrap();
        assert_eq!(used(&mut Slots::open(&folder.0).unwrap(), "p", "a"), 1);
    }

    #[test]
    fn another_file_is_not_touched() {
        let folder = Folder::new("foreign");
        std::fs::create_dir(folder.0.join("usage")).unwrap();
        std::fs::write(folder.0.join("usage/counts"), "somebody's notes").unwrap();
        assert_eq!(Slots::open(&folder.0).err().unwrap().kind(), io::ErrorKind::InvalidData);
    }
}
