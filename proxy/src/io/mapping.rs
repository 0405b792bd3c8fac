//! Numbers in a file that every process which maps it sees at once, and that outlive each of them.

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// A stretch of a file, as words.
pub struct Mapping {
    words: NonNull<AtomicU64>,
    count: usize,
}

// SAFETY: it is nothing but a place of atomic words, which any thread may use; it is freed by whoever has the last of it.
unsafe impl Send for Mapping {}
// SAFETY: its words are atomic, so that any number of threads may read and change them at once.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps so many words of a file from this byte on, a multiple of the page size. What is not there yet is made, all zero, and has its room
    /// on the disk.
    ///
    /// # Errors
    /// The disk is full, or the file may not be written.
    pub fn new(file: &File, from: u64, count: usize) -> io::Result<Mapping> {
        let bytes = count * size_of::<AtomicU64>();
        fallocate(file, FallocateFlags::empty(), from, bytes as u64)?;
        // SAFETY: no address is asked for, so nothing that is mapped already can be hit.
        let place = unsafe {
            mmap(std::ptr::null_mut(), bytes, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, file, from)?
        };
        let words = NonNull::new(place.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Mapping { words, count })
    }
}

impl Deref for Mapping {
    type Target = [AtomicU64];

    fn deref(&self) -> &[AtomicU64] {
        // SAFETY: the kernel gave so many bytes, aligned to a page; all bits are a valid word; they are unmapped by `drop` alone. The file has room
        // for all of them and is made shorter by nobody: it lies in a folder of our own.
        unsafe { std::slice::from_raw_parts(self.words.as_ptr(), self.count) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: it was mapped with this length, and nobody borrows from it any more.
        let unmapped = unsafe { munmap(self.words.as_ptr().cast(), self.count * size_of::<AtomicU64>()) };
        debug_assert!(unmapped.is_ok(), "what was mapped can be unmapped");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use super::*;

    #[test]
    fn two_mappings_of_a_file_are_the_same_words() {
        let path = std::env::temp_dir().join(format!("tollgate-mapping-{}", std::process::id()));
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
        let (one, other) = (Mapping::new(&file, 4_096, 512).unwrap(), Mapping::new(&file, 4_096, 512).unwrap());
        assert!(one.iter().all(|word| word.load(Relaxed) == 0));
        one[511].store(7, Relaxed);
        other[511].fetch_add(1, Relaxed);
        assert_eq!(one[511].load(Relaxed), 8);
        drop((one, other));
        assert_eq!(Mapping::new(&file, 4_096, 512).unwrap()[511].load(Relaxed), 8, "the file keeps them");
        assert!(Mapping::new(&File::open(&path).unwrap(), 0, 512).is_err(), "it may not be written");
        std::fs::remove_file(path).unwrap();
    }
}
