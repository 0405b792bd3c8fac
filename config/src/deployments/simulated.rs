//! A disk that loses its power between any two steps, and with it whatever it was not told to keep.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::disk::Disk;

/// A file's bytes: as programs see them, and as the disk has them.
#[derive(Debug, Clone, Default, PartialEq)]
struct File {
    seen: Vec<u8>,
    kept: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq)]
enum Entry {
    Folder,
    File(usize),
}

#[derive(Debug, Clone, Default)]
struct Tree {
    files: Vec<File>,
    /// As programs see them.
    seen: BTreeMap<PathBuf, Entry>,
    /// As the disk has them.
    kept: BTreeMap<PathBuf, Entry>,
}

/// What becomes of bytes that the disk was not told to keep.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Loss {
    /// All of them are there.
    None,
    /// The first half is there.
    Torn,
    /// None of them is.
    All,
}

/// A disk in memory. Clones are the same disk.
#[derive(Debug, Clone, Default)]
pub struct Simulated {
    tree: Rc<RefCell<Tree>>,
    /// Steps until the power goes; `None`: never.
    left: Rc<Cell<Option<usize>>>,
    locked: Rc<Cell<bool>>,
}

/// The only lock of a simulated disk.
#[derive(Debug)]
pub struct Held(Rc<Cell<bool>>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

impl Simulated {
    /// The power goes after this many steps.
    pub fn fail_after(&self, steps: usize) {
        self.left.set(Some(steps));
    }

    /// Whether the power is gone.
    pub fn is_dead(&self) -> bool {
        self.left.get() == Some(0)
    }

    /// Takes a step, if there is power.
    fn step(&self) -> io::Result<()> {
        match self.left.get() {
            Some(0) => Err(io::Error::other("no power")),
            Some(left) => {
                self.left.set(Some(left - 1));
                if left == 1 { Err(io::Error::other("the power went")) } else { Ok(()) }
            }
            None => Ok(()),
        }
    }

    /// Every disk that may be found when the power is back: each name that was changed since its folder was synced may be the old one
    /// or the new one, and bytes that were not synced may be lost.
    pub fn after_the_crash(&self) -> Vec<Simulated> {
        let tree = self.tree.borrow();
        let differing: Vec<&PathBuf> = tree
            .seen
            .keys()
            .chain(tree.kept.keys())
            .filter(|path| tree.seen.get(*path) != tree.kept.get(*path))
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        assert!(differing.len() < 8, "too many to try all: {differing:?}");
        let mut disks = Vec::new();
        for choice in 0..1_u32 << differing.len() {
            for loss in [Loss::None, Loss::Torn, Loss::All] {
                let mut found = tree.kept.clone();
                for (bit, path) in differing.iter().enumerate() {
                    match tree.seen.get(*path) {
                        _ if choice >> bit & 1 == 0 => {}
                        Some(entry) => drop(found.insert((*path).clone(), entry.clone())),
                        None => drop(found.remove(*path)),
                    }
                }
                let files = tree.files.iter().map(|file| {
                    let bytes = match loss {
                        _ if file.seen == file.kept => file.kept.clone(),
                        Loss::None => file.seen.clone(),
                        Loss::Torn => file.seen[..file.seen.len() / 2].to_vec(),
                        Loss::All => Vec::new(),
                    };
                    File { seen: bytes.clone(), kept: bytes }
                });
                let tree = Tree { files: files.collect(), seen: found.clone(), kept: found };
                disks.push(Simulated { tree: Rc::new(RefCell::new(tree)), ..Simulated::default() });
            }
        }
        disks
    }

    /// Every file's path.
    pub fn paths(&self) -> Vec<String> {
        let tree = self.tree.borrow();
        let files = tree.seen.iter().filter(|(_, entry)| matches!(entry, Entry::File(_)));
        files.map(|(path, _)| path.display().to_string()).collect()
    }

    /// Changes the bytes of a file behind everybody's back.
    pub fn damage(&self, path: &Path, with: impl FnOnce(&mut Vec<u8>)) {
        let mut tree = self.tree.borrow_mut();
        let Some(Entry::File(file)) = tree.seen.get(path).cloned() else { panic!("{} is no file", path.display()) };
        with(&mut tree.files[file].seen);
        tree.files[file].kept = tree.files[file].seen.clone();
    }
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

/// Folders above all of this exist.
fn is_root(path: &Path) -> bool {
    path == Path::new("/")
}

impl Tree {
    fn has_folder(&self, path: &Path) -> bool {
        is_root(path)
            || self.seen.get(path) == Some(&Entry::Folder) && path.parent().is_none_or(|above| self.has_folder(above))
    }

    fn within(&self, path: &Path) -> io::Result<()> {
        if path.parent().is_some_and(|folder| self.has_folder(folder)) { Ok(()) } else { Err(not_found()) }
    }
}

impl Disk for Simulated {
    type Lock = Held;

    fn read(&self, path: &Path, most: usize) -> io::Result<Vec<u8>> {
        let tree = self.tree.borrow();
        tree.within(path)?;
        match tree.seen.get(path) {
            Some(Entry::File(file)) if tree.files[*file].seen.len() <= most => Ok(tree.files[*file].seen.clone()),
            Some(_) => Err(io::ErrorKind::InvalidData.into()),
            None => Err(not_found()),
        }
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        let tree = self.tree.borrow();
        if !tree.has_folder(folder) {
            return Err(not_found());
        }
        let inside = tree.seen.keys().filter(|path| path.parent() == Some(folder));
        Ok(inside.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect())
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        let mut tree = self.tree.borrow_mut();
        tree.within(path)?;
        tree.seen.entry(path.to_path_buf()).or_insert(Entry::Folder);
        self.step()
    }

    /// Two steps: the bytes, then the promise that they are kept.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut tree = self.tree.borrow_mut();
        tree.within(path)?;
        if tree.seen.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = tree.files.len();
        tree.files.push(File { seen: bytes.to_vec(), kept: Vec::new() });
        tree.seen.insert(path.to_path_buf(), Entry::File(file));
        self.step()?;
        tree.files[file].kept = bytes.to_vec();
        self.step()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut tree = self.tree.borrow_mut();
        tree.within(to)?;
        let entry = tree.seen.remove(from).ok_or_else(not_found)?;
        tree.seen.insert(to.to_path_buf(), entry);
        self.step()
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut tree = self.tree.borrow_mut();
        tree.within(path)?;
        tree.seen.remove(path).ok_or_else(not_found)?;
        self.step()
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let mut tree = self.tree.borrow_mut();
        if !tree.has_folder(path) {
            return Err(not_found());
        }
        let inside = |known: &PathBuf| known.parent() == Some(path);
        let seen: Vec<_> =
            tree.seen.iter().filter(|(known, _)| inside(known)).map(|(a, b)| (a.clone(), b.clone())).collect();
        tree.kept.retain(|known, _| !inside(known));
        tree.kept.extend(seen);
        self.step()
    }

    fn lock(&self, _: &Path) -> io::Result<Held> {
        if self.locked.replace(true) { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(Held(self.locked.clone())) }
    }
}
