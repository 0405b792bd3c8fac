//! Receive buffers: two pools per worker, counted views, and spare output vectors.
//!
//! The kernel picks a buffer only when bytes arrive, so an idle connection holds none. A view (`RBuf`) gives its buffer
//! back when the last one is dropped. Memory of a pool is never returned to the allocator: the kernel may still write into
//! it while a ring is being torn down, so freeing it could not be made sound.

use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr::NonNull;

use super::limits::{
    BUFFER_STAGGER_BYTES, BUFFERS_PER_CHUNK, LARGE_BUFFER_BYTES, LARGE_BUFFERS_MAX, SMALL_BUFFER_BYTES,
    SMALL_BUFFERS_MAX, SPARE_VECTOR_BYTES_MAX, SPARE_VECTORS_MAX,
};

/// Which pool a receive takes its buffer from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Group {
    /// 8 KiB: request heads and small messages of clients.
    Small = 0,
    /// 32 KiB: bodies, and everything that upstreams send.
    Large = 1,
}

impl Group {
    pub(super) const fn buffer_bytes(self) -> u32 {
        match self {
            Group::Small => SMALL_BUFFER_BYTES,
            Group::Large => LARGE_BUFFER_BYTES,
        }
    }

    /// From one buffer to the next. Page-aligned beginnings would all fall on the same few cache sets.
    const fn stride(self) -> usize {
        self.buffer_bytes() as usize + BUFFER_STAGGER_BYTES
    }

    const fn buffers_max(self) -> u16 {
        match self {
            Group::Small => SMALL_BUFFERS_MAX,
            Group::Large => LARGE_BUFFERS_MAX,
        }
    }
}

thread_local! {
    static POOLS: RefCell<[Pool; 2]> = const { RefCell::new([Pool::new(Group::Small), Pool::new(Group::Large)]) };
    static VECTORS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

struct Pool {
    group: Group,
    chunks: Vec<NonNull<u8>>,
    views: Vec<u16>,
    free: Vec<u16>,
}

impl Pool {
    const fn new(group: Group) -> Pool {
        Pool { group, chunks: Vec::new(), views: Vec::new(), free: Vec::new() }
    }

    fn take(&mut self) -> Option<u16> {
        if self.free.is_empty() {
            self.grow();
        }
        self.free.pop()
    }

    /// Half of what may ever exist is in use.
    fn is_scarce(&self) -> bool {
        self.views.len() - self.free.len() > self.group.buffers_max() as usize / 2
    }

    fn grow(&mut self) {
        let have = self.views.len() as u16;
        if have + BUFFERS_PER_CHUNK > self.group.buffers_max() {
            return;
        }
        let bytes = BUFFERS_PER_CHUNK as usize * self.group.stride();
        let chunk = Box::leak(vec![0_u8; bytes].into_boxed_slice());
        self.chunks.push(NonNull::from(chunk).cast());
        self.views.resize(self.views.len() + BUFFERS_PER_CHUNK as usize, 0);
        self.free.extend((have..have + BUFFERS_PER_CHUNK).rev());
    }

    fn address(&self, buffer: u16) -> NonNull<u8> {
        let chunk = self.chunks[(buffer / BUFFERS_PER_CHUNK) as usize];
        let offset = (buffer % BUFFERS_PER_CHUNK) as usize * self.group.stride();
        // SAFETY: pointer arithmetic is needed because the kernel writes through these addresses and no slice may alias them.
        // Sound: `buffer` indexes `chunks`, and the offset stays inside the chunk's allocation by construction.
        unsafe { chunk.add(offset) }
    }
}

/// Takes a buffer out of the pool for a receive; `None` when the pool's limit is reached.
pub(super) fn take(group: Group) -> Option<u16> {
    POOLS.with(|pools| pools.borrow_mut()[group as usize].take())
}

/// The address that the kernel may write `group.buffer_bytes()` bytes to.
pub(super) fn address(group: Group, buffer: u16) -> NonNull<u8> {
    POOLS.with(|pools| pools.borrow()[group as usize].address(buffer))
}

/// Whether so many buffers are held that readers should copy what they must keep: a thousand slow clients would otherwise
/// hold all of them, and no answer of a backend could be received any more.
pub fn is_scarce(group: Group) -> bool {
    POOLS.with(|pools| pools.borrow()[group as usize].is_scarce())
}

/// Whether a `take` would succeed.
pub(super) fn available(group: Group) -> bool {
    POOLS.with(|pools| {
        let pool = &pools.borrow()[group as usize];
        !pool.free.is_empty() || pool.views.len() + BUFFERS_PER_CHUNK as usize <= group.buffers_max() as usize
    })
}

/// Puts back a buffer that no view was made of.
pub(super) fn put_back(group: Group, buffer: u16) {
    POOLS.with(|pools| pools.borrow_mut()[group as usize].free.push(buffer));
}

/// Makes the first view of a buffer that was taken and filled with `length` bytes.
pub(super) fn view(group: Group, buffer: u16, length: u32) -> RBuf {
    assert!(length <= group.buffer_bytes(), "a receive cannot exceed its buffer");
    POOLS.with(|pools| {
        let pool = &mut pools.borrow_mut()[group as usize];
        debug_assert_eq!(pool.views[buffer as usize], 0, "a taken buffer has no views");
        pool.views[buffer as usize] = 1;
        RBuf { start: pool.address(buffer), length, buffer, group, local: PhantomData }
    })
}

/// Fills a buffer by hand; `None` if there is none. `fill` says how many bytes it has written.
pub fn fill(group: Group, fill: impl FnOnce(&mut [u8]) -> usize) -> Option<RBuf> {
    let buffer = take(group)?;
    let room = group.buffer_bytes() as usize;
    // SAFETY: the pool knows addresses only, and a slice is what can be written to safely. Sound: the buffer was just taken, so
    // neither a view nor the kernel has it; its memory is initialised and as long as said.
    let bytes = unsafe { std::slice::from_raw_parts_mut(address(group, buffer).as_ptr(), room) };
    let length = fill(bytes).min(room);
    if length == 0 {
        put_back(group, buffer);
        return Some(RBuf::empty());
    }
    Some(view(group, buffer, length as u32))
}

/// Buffers that are neither free nor lent to a ring, for leak tests and the status page: (small, large) views alive.
pub fn views_alive() -> (usize, usize) {
    POOLS.with(|pools| {
        let pools = pools.borrow();
        let count = |pool: &Pool| pool.views.iter().filter(|views| **views > 0).count();
        (count(&pools[0]), count(&pools[1]))
    })
}

/// A counted view into a receive buffer; empty means the peer closed its side.
///
/// Cheap to split and to move; bound to its worker's thread.
pub struct RBuf {
    start: NonNull<u8>,
    length: u32,
    buffer: u16,
    group: Group,
    local: PhantomData<*const u8>,
}

const NO_BUFFER: u16 = u16::MAX;

impl RBuf {
    /// A view of nothing: what `recv` yields at the end of the stream.
    pub const fn empty() -> RBuf {
        RBuf { start: NonNull::dangling(), length: 0, buffer: NO_BUFFER, group: Group::Small, local: PhantomData }
    }

    /// Takes the first `count` bytes off as a view of their own.
    #[must_use]
    pub fn split_to(&mut self, count: usize) -> RBuf {
        assert!(count <= self.len(), "split inside the view");
        if count == 0 {
            return RBuf::empty();
        }
        if count == self.len() {
            return std::mem::replace(self, RBuf::empty());
        }
        POOLS.with(|pools| pools.borrow_mut()[self.group as usize].views[self.buffer as usize] += 1);
        let front = RBuf {
            start: self.start,
            length: count as u32,
            buffer: self.buffer,
            group: self.group,
            local: PhantomData,
        };
        self.advance(count);
        front
    }

    /// Forgets the first `count` bytes.
    pub fn advance(&mut self, count: usize) {
        assert!(count <= self.len(), "advance inside the view");
        // SAFETY: moving the start keeps views free of copies. Sound: `count` was just checked against the view's length.
        self.start = unsafe { self.start.add(count) };
        self.length -= count as u32;
    }

    /// Copies the bytes of `next` behind these, if they fit into this buffer and nobody else has a view of it.
    #[must_use]
    pub(super) fn absorb(&mut self, next: &RBuf) -> bool {
        let room = POOLS.with(|pools| {
            let pool = &pools.borrow()[self.group as usize];
            let is_ours = self.buffer != NO_BUFFER && pool.views[self.buffer as usize] == 1;
            is_ours.then(|| {
                let end = self.start.as_ptr() as usize + self.len();
                pool.address(self.buffer).as_ptr() as usize + self.group.buffer_bytes() as usize - end
            })
        });
        if room.is_none_or(|room| room < next.len()) {
            return false;
        }
        // SAFETY: a view only reads, so what is behind it is written to by its address. Sound: the room was just measured, the
        // buffer is neither free nor lent, its only view ends where these bytes begin, and `next` is of another buffer.
        unsafe {
            std::ptr::copy_nonoverlapping(next.start.as_ptr(), self.start.as_ptr().add(self.len()), next.len());
        }
        self.length += next.length;
        true
    }

    /// Forgets all but the first `count` bytes.
    pub fn truncate(&mut self, count: usize) {
        self.length = count.min(self.len()) as u32;
    }
}

impl Deref for RBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the pool hands out raw memory that the kernel filled, so a slice has to be made by hand. Sound: start and
        // length stay inside one buffer, which is initialised, and which neither the kernel nor the pool writes to while a
        // view of it is alive (the count is at least one).
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length as usize) }
    }
}

impl fmt::Debug for RBuf {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "RBuf({:?} #{}, {} bytes)", self.group, self.buffer, self.length)
    }
}

impl Drop for RBuf {
    #[inline]
    fn drop(&mut self) {
        // Most views that are dropped have been moved out of before.
        if self.buffer != NO_BUFFER {
            give_back(self.group, self.buffer);
        }
    }
}

fn give_back(group: Group, buffer: u16) {
    // A view dropped while the thread's storage is being torn down has nowhere to go back to.
    let _ = POOLS.try_with(|pools| {
        let pool = &mut pools.borrow_mut()[group as usize];
        let views = &mut pool.views[buffer as usize];
        *views -= 1;
        if *views == 0 {
            pool.free.push(buffer);
        }
    });
}

/// An empty output vector, with capacity from an earlier use where there is one.
pub fn vector() -> Vec<u8> {
    VECTORS.with(|vectors| vectors.borrow_mut().pop()).unwrap_or_default()
}

/// Gives an output vector back for reuse.
pub fn recycle(mut vector: Vec<u8>) {
    if vector.capacity() == 0 || vector.capacity() > SPARE_VECTOR_BYTES_MAX {
        return;
    }
    vector.clear();
    let _ = VECTORS.try_with(|vectors| {
        let mut vectors = vectors.borrow_mut();
        if vectors.len() < SPARE_VECTORS_MAX {
            vectors.push(vector);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(group: Group, bytes: &[u8]) -> RBuf {
        let buffer = take(group).expect("a fresh pool has room");
        let address = address(group, buffer);
        // SAFETY: the test plays the kernel. Sound: the buffer was just taken and has at least this many bytes.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), address.as_ptr(), bytes.len()) };
        view(group, buffer, bytes.len() as u32)
    }

    #[test]
    fn bytes_are_added_to_a_buffer_that_has_room_and_one_view() {
        let mut first = filled(Group::Small, b"one");
        assert!(first.absorb(&filled(Group::Small, b"two")) && first.absorb(&filled(Group::Large, b"three")));
        first.advance(2);
        assert_eq!(&first[..], b"etwothree");
        let other = first.split_to(1);
        assert!(!first.absorb(&filled(Group::Small, b"x")), "another view");
        drop(other);
        let rest = Group::Small.buffer_bytes() as usize - 11;
        assert!(!first.absorb(&filled(Group::Small, &vec![7; rest + 1])));
        assert!(first.absorb(&filled(Group::Small, &vec![7; rest])));
        assert!(!first.absorb(&filled(Group::Small, b"x")) && first.len() == 8 + rest);
        assert!(!RBuf::empty().absorb(&first));
        assert_eq!(views_alive(), (1, 0));
    }

    #[test]
    fn a_buffer_goes_back_with_its_last_view() {
        let mut whole = filled(Group::Small, b"head and body");
        let head = whole.split_to(4);
        assert_eq!((&head[..], &whole[..]), (&b"head"[..], &b" and body"[..]));
        assert_eq!(views_alive(), (1, 0));
        drop(whole);
        assert_eq!(views_alive(), (1, 0));
        drop(head);
        assert_eq!(views_alive(), (0, 0));
    }

    #[test]
    fn split_of_everything_and_of_nothing_keeps_the_count_right() {
        let mut whole = filled(Group::Large, b"xyz");
        assert!(whole.split_to(0).is_empty());
        let all = whole.split_to(3);
        assert!(whole.is_empty());
        drop(whole);
        assert_eq!(&all[..], b"xyz");
        drop(all);
        assert_eq!(views_alive(), (0, 0));
    }

    #[test]
    fn truncate_takes_any_count() {
        let mut whole = filled(Group::Small, b"xyz");
        whole.truncate(1 << 32);
        assert_eq!(&whole[..], b"xyz");
        whole.truncate(2);
        assert_eq!(&whole[..], b"xy");
    }

    #[test]
    fn a_buffer_is_filled_by_hand() {
        let bytes = fill(Group::Small, |room| {
            room[..3].copy_from_slice(b"abc");
            3
        });
        assert_eq!(&bytes.expect("room")[..], b"abc");
        assert!(fill(Group::Small, |_| 0).expect("room").is_empty());
        assert_eq!(views_alive(), (0, 0));
    }

    #[test]
    fn a_freed_buffer_is_the_next_one_taken() {
        let first = take(Group::Small).expect("room");
        put_back(Group::Small, first);
        assert_eq!(take(Group::Small), Some(first), "warm memory first");
    }

    #[test]
    fn the_pool_stops_at_its_limit() {
        let mut count = 0;
        while take(Group::Large).is_some() {
            count += 1;
        }
        assert_eq!(count, LARGE_BUFFERS_MAX);
    }

    #[test]
    fn vectors_come_back_empty_and_large_ones_are_freed() {
        let mut small = Vec::with_capacity(100);
        small.extend_from_slice(b"old");
        recycle(small);
        let again = vector();
        assert!(again.is_empty() && again.capacity() >= 100);
        recycle(Vec::with_capacity(SPARE_VECTOR_BYTES_MAX + 1));
        assert_eq!(vector().capacity(), 0);
    }
}
