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
//!
//! What a crash or a stranger has left is no reason to wait or to count wrongly: a file that is shorter than it says is refused as a whole,
//! and a slot that nobody can have written (no names, or days that are yet to come) is left alone.

use std::collections::HashMap;
use std::fs::{DirBuilder, File};
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use policy::quota::{COUNT_WORDS, Count, Day, day_of};

use crate::io::Mapping;
use crate::limits::{COUNT_SLOTS_MAX, SLOT_SPINS_MAX, SLOTS_IN_THE_MAKING};

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
    /// A slot in memory that no file has, without names.
    pub fn passing() -> Slot {
        let words = (0..SLOT_WORDS).map(|_| AtomicU64::new(0)).collect();
        Slot { group: Arc::new(Words::Passing(words)), at: 0 }
    }

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
        if !self.is_named() || state & !(WRITTEN | 0xffff) != 0 || self.words()[STATE + 1].load(Relaxed) != 0 {
            return None;
        }
        let text = |from: usize, length: u64| {
            let words = &self.words()[from..from + NAME_BYTES_MAX / 8];
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.load(Relaxed).to_le_bytes()).collect();
            let (name, rest) = bytes.split_at_checked(length as usize)?;
            if rest.iter().any(|byte| *byte != 0) {
                return None;
            }
            String::from_utf8(name.to_vec()).ok()
        };
        Some((text(NAMES, state & 0xff)?, text(NAMES + NAME_BYTES_MAX / 8, state >> 8 & 0xff)?))
    }

    fn is_named(&self) -> bool {
        self.words()[STATE].load(Acquire) & WRITTEN != 0
    }

    /// The names, if the whole slot can be what somebody has counted: nothing in it is of a later day than tomorrow.
    fn plausible(&self, today: Day) -> Option<(String, String)> {
        self.names().filter(|_| self.count().is_plausible(today + 1))
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

/// The file below a state directory.
pub fn path(state: &Path) -> PathBuf {
    state.join("usage/counts")
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Whether a file is one of counts, and has what it says; nothing is written. What is said to be taken was there before it was said.
fn check(file: &File) -> io::Result<()> {
    let mut header = [0; 16];
    if file.metadata()?.len() == 0 {
        return Ok(());
    }
    let mut read = 0;
    while read < header.len() {
        match file.read_at(&mut header[read..], read as u64)? {
            0 => break,
            count => read += count,
        }
    }
    let word = |at: usize| header[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let (magic, taken) = (word(0), word(8));
    // Another process may have come no further than to make room for the header.
    if magic != MAGIC && (magic != 0 || taken != 0 || file.metadata()?.len() > HEADER_BYTES) {
        return Err(damaged("it is no file of counts"));
    }
    let room = file.metadata()?.len().saturating_sub(HEADER_BYTES) / (SLOT_WORDS * size_of::<AtomicU64>()) as u64;
    if taken > COUNT_SLOTS_MAX || taken > room {
        return Err(damaged("it has fewer counts than it says"));
    }
    Ok(())
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
    /// Of these, slots that nobody can have written.
    odd: u64,
    /// How often it was waited for names.
    #[cfg(test)]
    spun: u32,
    /// Whether the disk is full.
    #[cfg(test)]
    full: bool,
}

impl Slots {
    /// Slots in memory.
    pub fn passing() -> Slots {
        Slots::new(None, Words::Passing((0..2).map(|_| AtomicU64::new(0)).collect()))
    }

    /// The slots of a file, which is made if need be.
    ///
    /// # Errors
    /// It cannot be opened or written, or is no file of counts: then it is [`io::ErrorKind::InvalidData`], and is as it was.
    pub fn open(state: &Path) -> io::Result<Slots> {
        let folder = state.join("usage");
        match DirBuilder::new().mode(0o700).create(&folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let path = path(state);
        let file = File::options().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        check(&file)?;
        let header = Mapping::new(&file, 0, HEADER_BYTES as usize / 8)?;
        match header[0].compare_exchange(0, MAGIC, AcqRel, Acquire) {
            Ok(_) | Err(MAGIC) => Ok(Slots::new(Some(file), Words::Mapped(header))),
            Err(_) => Err(damaged("it is no file of counts")),
        }
    }

    fn new(file: Option<File>, header: Words) -> Slots {
        Slots {
            file,
            header,
            groups: Vec::new(),
            index: HashMap::new(),
            hasher: RandomState::new(),
            seen: 0,
            odd: 0,
            #[cfg(test)]
            spun: 0,
            #[cfg(test)]
            full: false,
        }
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
            #[cfg(test)]
            if self.full {
                return Err(io::ErrorKind::StorageFull.into());
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

    /// The slot of a key in a plan, if there is one; none is taken.
    ///
    /// # Errors
    /// Slots that others have taken cannot be mapped.
    pub fn known(&mut self, plan: &str, key: &str) -> io::Result<Option<Slot>> {
        let taken = self.taken().load(Acquire);
        self.look(taken)?;
        Ok(self.find(plan, key)?.ok())
    }

    /// Looks at the slots that somebody has taken meanwhile. Nobody is waited for but those who may be writing just now, and for all of them
    /// together no longer than for one.
    fn look(&mut self, taken: u64) -> io::Result<()> {
        let taken = taken.min(COUNT_SLOTS_MAX);
        let fresh = taken.saturating_sub(self.seen);
        if fresh > GROUP_SLOTS as u64 {
            self.index.reserve(fresh as usize);
        }
        let today = day_of(super::now());
        let mut spins = SLOT_SPINS_MAX;
        while self.seen < taken {
            let number = self.seen as u32;
            let slot = self.at(number)?;
            // Another process is about to write them, or has died before it could: then nobody has it.
            while !slot.is_named() && self.seen + SLOTS_IN_THE_MAKING >= taken && spins > 0 {
                std::thread::yield_now();
                spins -= 1;
                #[cfg(test)]
                {
                    self.spun += 1;
                }
            }
            if let Some((plan, key)) = slot.plausible(today) {
                if let Err(hash) = self.find(&plan, &key)? {
                    self.index.insert(hash, number);
                }
            } else {
                self.odd += 1;
            }
            self.seen += 1;
        }
        Ok(())
    }

    /// Looks at all slots that there are, and tells how many there are and how many of them nobody can have written.
    ///
    /// # Errors
    /// They cannot be mapped.
    pub fn prepare(&mut self) -> io::Result<(u64, u64)> {
        let taken = self.taken().load(Acquire);
        self.look(taken)?;
        Ok((self.seen, self.odd))
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
        let today = day_of(super::now());
        let all = (0..taken as u32).map(|number| self.at(number));
        all.filter(|slot| slot.as_ref().map_or(true, |slot| slot.plausible(today).is_some())).collect()
    }

    /// As if the disk were full.
    #[cfg(test)]
    pub fn fail(&mut self, full: bool) {
        self.full = full;
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
        slots.at(0).unwrap();
        slots.taken().store(1, Release);
        slots.slot("p", "a").unwrap().count().take(9, Some(QUOTA)).unwrap();
        let mut again = Slots::open(&folder.0).unwrap();
        assert_eq!(used(&mut again, "p", "a"), 1);
        assert_eq!((again.all().unwrap().len(), again.prepare().unwrap()), (1, (2, 1)));
    }

    /// The header reached the disk before the power went, the slots did not: nobody is waited for that cannot be there.
    #[test]
    fn slots_without_names_are_waited_for_once_at_most() {
        let folder = Folder::new("unnamed");
        let mut slots = Slots::open(&folder.0).unwrap();
        let taken = 5 * GROUP_SLOTS as u64;
        slots.at(taken as u32 - 1).unwrap();
        slots.taken().store(taken, Release);
        let mut other = Slots::open(&folder.0).unwrap();
        other.slot("p", "a").unwrap();
        assert_eq!(other.spun, SLOT_SPINS_MAX, "for all of them together");
        other.slot("p", "b").unwrap();
        assert_eq!(other.spun, SLOT_SPINS_MAX, "and once");
        assert_eq!(other.prepare().unwrap(), (taken + 2, taken));
    }

    #[test]
    fn slots_that_nobody_can_have_written_are_left_alone() {
        let folder = Folder::new("garbage");
        let mut slots = Slots::open(&folder.0).unwrap();
        for key in ["good", "future", "name", "long", "reserved"] {
            slots.slot("p", key).unwrap().count().take(9, Some(QUOTA)).unwrap();
        }
        let spoil = |slots: &mut Slots, key: &str, word: usize, bits: u64| {
            slots.slot("p", key).unwrap().words()[word].store(bits, Release);
        };
        spoil(&mut slots, "future", 2, u64::from(day_of(super::super::now()) + 2) << 40 | 0x3e7);
        spoil(&mut slots, "name", NAMES, 0xff);
        spoil(&mut slots, "long", STATE, WRITTEN | 0xff << 8 | 1);
        spoil(&mut slots, "reserved", STATE + 1, 1);
        let mut again = Slots::open(&folder.0).unwrap();
        assert_eq!(again.prepare().unwrap(), (5, 4));
        assert_eq!(
            (again.all().unwrap().len(), used(&mut again, "p", "good"), used(&mut again, "p", "future")),
            (1, 1, 0)
        );
    }

    #[test]
    fn another_or_a_damaged_file_is_not_touched() {
        let folder = Folder::new("foreign");
        let path = path(&folder.0);
        std::fs::create_dir(folder.0.join("usage")).unwrap();
        let header = |taken: u64, slots: usize| {
            let mut bytes = [MAGIC.to_le_bytes(), taken.to_le_bytes()].concat();
            bytes.resize(HEADER_BYTES as usize + slots * SLOT_WORDS * 8, 0);
            bytes
        };
        let mut lost = header(0, 1);
        lost[..8].fill(0);
        for bytes in [b"somebody's notes".to_vec(), b"x".to_vec(), header(1 << 63, 1), header(2, 1), lost] {
            std::fs::write(&path, &bytes).unwrap();
            assert_eq!(Slots::open(&folder.0).err().unwrap().kind(), io::ErrorKind::InvalidData);
            assert_eq!(std::fs::read(&path).unwrap(), bytes);
        }
        std::fs::write(&path, header(1, 1)).unwrap();
        assert!(Slots::open(&folder.0).is_ok());
    }
}
