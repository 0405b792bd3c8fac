//! The kernel's side: one ring, registered sockets, receives that go on by themselves into shared buffers.
//!
//! A request costs one entry in the queue and its answer one completion; all of a turn go in and out with one system call.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::RawFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use io_uring::types::{BufRingEntry, Fixed, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};

/// A power of two; receives that find none start again.
const BUFFERS: u16 = 64;
const BUFFER_BYTES: usize = 32 * 1024;
/// From one buffer to the next: beginnings on page borders would all fall on the same few cache sets.
const STRIDE: usize = BUFFER_BYTES + 320;
const GROUP: u16 = 0;
/// The most that a ring takes.
const ENTRIES_MAX: usize = 32 * 1024;

const RECEIVED: u64 = 1;
const SENT: u64 = 2;
const IGNORED: u64 = 3;

/// A ring for so many connections.
pub struct Ring {
    uring: IoUring,
    entries: NonNull<BufRingEntry>,
    memory: NonNull<u8>,
    tail: u16,
    done: Vec<cqueue::Entry>,
}

/// Something that happened on a connection.
#[derive(Debug)]
pub struct Event {
    /// Which one.
    pub connection: usize,
    /// Which life of it: what comes late from an earlier one is told apart.
    pub life: u32,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Debug)]
pub enum What {
    /// Bytes: `Ring::bytes` has them, `Ring::give_back` ends that.
    Received(Buffer),
    /// No receive is armed any more, for want of buffers.
    Disarmed,
    /// The other end closed or reset it.
    Closed,
}

/// Received bytes, on loan from the kernel.
#[derive(Debug)]
pub struct Buffer {
    id: u16,
    length: usize,
    /// The receive goes on.
    pub armed: bool,
}

impl Ring {
    /// Sets up a ring for the sockets, which it knows by their place in the list.
    pub fn new(sockets: &[RawFd]) -> io::Result<Ring> {
        let entries = (sockets.len() * 2).next_power_of_two().clamp(64, ENTRIES_MAX) as u32;
        let uring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_clamp()
            .setup_cqsize(entries * 2)
            .build(entries)?;
        uring.submitter().register_files(sockets)?;
        uring.submitter().register_ring_fd()?;
        let page = Box::leak(Box::new(Page([0; 4096])));
        let entries = NonNull::from(page).cast::<BufRingEntry>();
        let memory = NonNull::from(Box::leak(vec![0_u8; STRIDE * BUFFERS as usize].into_boxed_slice())).cast::<u8>();
        // SAFETY: registering is how a buffer ring is made known. Sound: a page holds 256 entries of 16 bytes, is aligned and
        // zeroed, and is never freed.
        unsafe {
            uring.submitter().register_buf_ring_with_flags(entries.as_ptr() as u64, BUFFERS, GROUP, 0)?;
        }
        let mut ring = Ring { uring, entries, memory, tail: 0, done: Vec::new() };
        (0..BUFFERS).for_each(|id| ring.lend(id));
        Ok(ring)
    }

    /// A connection has another socket from now on.
    pub fn replace(&mut self, connection: usize, socket: RawFd) -> io::Result<()> {
        self.uring.submitter().register_files_update(connection as u32, &[socket]).map(drop)
    }

    /// Receives from now on, until the event says otherwise.
    pub fn receive(&mut self, connection: usize, life: u32) {
        let entry = opcode::RecvMulti::new(Fixed(connection as u32), GROUP).build();
        self.push(&entry.user_data(pack(RECEIVED, connection, life)));
    }

    /// Sends all of the bytes; only a failure is told.
    pub fn send(&mut self, connection: usize, life: u32, bytes: &'static [u8]) {
        let entry = opcode::Send::new(Fixed(connection as u32), bytes.as_ptr(), bytes.len() as u32)
            .flags(libc::MSG_NOSIGNAL | libc::MSG_WAITALL)
            .build();
        self.push(&entry.flags(squeue::Flags::SKIP_SUCCESS).user_data(pack(SENT, connection, life)));
    }

    /// Ends what is under way on a connection.
    pub fn cancel(&mut self, connection: usize, life: u32) {
        let entry = opcode::AsyncCancel::new(pack(RECEIVED, connection, life)).build();
        self.push(&entry.flags(squeue::Flags::SKIP_SUCCESS).user_data(pack(IGNORED, 0, 0)));
    }

    /// Hands over what was begun and waits for an event, or for so long.
    pub fn wait(&mut self, timeout: Duration, events: &mut Vec<Event>) -> io::Result<()> {
        let timespec = Timespec::from(timeout);
        match self.uring.submitter().submit_with_args(1, &SubmitArgs::new().timespec(&timespec)) {
            Ok(_) => {}
            Err(error) if matches!(error.raw_os_error(), Some(libc::ETIME | libc::EINTR | libc::EBUSY)) => {}
            Err(error) => return Err(error),
        }
        self.collect();
        events.extend(self.done.drain(..).filter_map(|entry| event(&entry)));
        Ok(())
    }

    fn collect(&mut self) {
        self.done.extend(self.uring.completion());
    }

    /// What was received.
    pub fn bytes(&self, buffer: &Buffer) -> &[u8] {
        assert!(buffer.id < BUFFERS && buffer.length <= BUFFER_BYTES);
        // SAFETY: the kernel wrote the bytes, so a slice has to be made by hand. Sound: the buffer lies within the memory, which
        // is initialised and never freed, and the kernel does not have it before `give_back`, which takes the loan itself.
        unsafe { std::slice::from_raw_parts(self.memory.add(buffer.id as usize * STRIDE).as_ptr(), buffer.length) }
    }

    /// The buffer may be filled again.
    #[expect(clippy::needless_pass_by_value, reason = "whoever has given it back has it no more")]
    pub fn give_back(&mut self, buffer: Buffer) {
        self.lend(buffer.id);
    }

    fn lend(&mut self, id: u16) {
        // SAFETY: the entries are shared with the kernel, so they are written in place. Sound: the index is below their number,
        // the kernel reads none at or beyond the tail, and the release store shows it the entry before the new tail.
        unsafe {
            let entry = self.entries.add((self.tail & (BUFFERS - 1)) as usize).as_mut();
            entry.set_addr(self.memory.add(id as usize * STRIDE).as_ptr() as u64);
            entry.set_len(BUFFER_BYTES as u32);
            entry.set_bid(id);
            self.tail = self.tail.wrapping_add(1);
            (*BufRingEntry::tail(self.entries.as_ptr()).cast::<AtomicU16>()).store(self.tail, Ordering::Release);
        }
    }

    fn push(&mut self, entry: &squeue::Entry) {
        loop {
            // SAFETY: pushing raw entries is the ring's interface. Sound: what an entry points to is never freed: bytes to be sent
            // are `'static`, and receives use the leaked buffers.
            if unsafe { self.uring.submission().push(entry) }.is_ok() {
                return;
            }
            if self.uring.submit().is_err() {
                self.collect();
            }
        }
    }
}

#[repr(align(4096))]
struct Page(#[expect(dead_code, reason = "only its size and alignment matter")] [u8; 4096]);

fn pack(op: u64, connection: usize, life: u32) -> u64 {
    op << 56 | u64::from(life & 0x00FF_FFFF) << 32 | connection as u64
}

fn event(entry: &cqueue::Entry) -> Option<Event> {
    let (packed, result) = (entry.user_data(), entry.result());
    let armed = cqueue::more(entry.flags());
    let what = match (packed >> 56, result) {
        (RECEIVED, 1..) => What::Received(Buffer {
            id: cqueue::buffer_select(entry.flags()).expect("received bytes are in a buffer"),
            length: result as usize,
            armed,
        }),
        (RECEIVED, error) if error == -libc::ENOBUFS => What::Disarmed,
        (RECEIVED, _) | (SENT, ..0) => What::Closed,
        _ => return None,
    };
    Some(Event { connection: packed as u32 as usize, life: (packed >> 32) as u32 & 0x00FF_FFFF, what })
}
