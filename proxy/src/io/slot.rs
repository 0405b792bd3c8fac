//! What the shard remembers of a socket: all that an idle connection costs.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::os::fd::{OwnedFd, RawFd};
use std::task::Waker;

use super::buffers::{self, Group, RBuf};
use super::driver::Pieces;
use super::limits::{SEND_CHUNKS_MAX, SLOT_BYTES_MAX};
use super::net::Why;
use super::session::Session;
use super::timers::Tick;

/// What a receive left for the next reader.
#[derive(Default)]
pub(super) enum Inbox {
    #[default]
    Empty,
    Data(RBuf),
    /// The peer closed its side.
    End,
    Failed(i32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Free,
    /// A task holds the `Sock`.
    Held,
    /// Nobody holds it; the first byte, the end, or the deadline makes an event.
    Parked,
    /// Dropped; waits for its completions.
    Closing,
}

pub(super) struct Slot {
    pub(super) fd: RawFd,
    pub(super) generation: u32,
    pub(super) life: Life,
    pub(super) timed_out: bool,
    pub(super) accepting: bool,
    /// Waits for a buffer: stands in the list of the starved, exactly once.
    pub(super) starved: bool,
    /// The event of this parking that is in the queue.
    pub(super) told: Option<Why>,
    pub(super) receiving: Option<Group>,
    pub(super) inbox: Inbox,
    /// What came behind that, in its order; nothing while the inbox is empty.
    #[expect(clippy::box_collection, reason = "few slots ever have any; the others pay a word")]
    pub(super) behind: Option<Box<VecDeque<Inbox>>>,
    /// The peer was faster than the reader: what it sends is received piece by piece, each when it is asked for.
    pub(super) ahead: bool,
    /// The reader may be slow, so that the same holds from the start.
    pub(super) one_by_one: bool,
    /// Linux 6.18 does not tell a receive that goes on of the end of a unix socket's stream, if that comes with the last bytes.
    pub(super) is_unix: bool,
    pub(super) sending: Option<Box<SendOp>>,
    pub(super) send_error: i32,
    /// The kernel took bytes since the socket was made or last taken back from its parking.
    pub(super) sent_some: bool,
    pub(super) connecting: Option<Box<Address>>,
    /// errno, or 0; `None` while under way.
    pub(super) connected: Option<i32>,
    #[expect(clippy::box_collection, reason = "one slot in thousands is a listener's; the others pay a word")]
    pub(super) accepted: Option<Box<VecDeque<Result<OwnedFd, i32>>>>,
    pub(super) reader: Option<Waker>,
    pub(super) writer: Option<Waker>,
    pub(super) deadline: Tick,
    /// The wheel's next entry for this index; it outlives the slot's lives.
    pub(super) wheel_at: Tick,
    pub(super) tag: u64,
    pub(super) peer: Option<SocketAddr>,
    /// Where the peer wanted to go, if somebody said so: a balancer's word.
    pub(super) asked: Option<Box<SocketAddr>>,
    /// Whether it counts for no address: the other end stands for many clients.
    pub(super) uncounted: bool,
    /// Requests served on this connection.
    pub(super) served: u32,
    /// Of a socket that speaks TLS.
    pub(super) session: Option<Box<Session>>,
}

const _: () = assert!(size_of::<Slot>() <= SLOT_BYTES_MAX, "an idle connection costs its slot and nothing else");

impl Slot {
    pub(super) fn free() -> Slot {
        Slot {
            fd: -1,
            generation: 0,
            life: Life::Free,
            timed_out: false,
            accepting: false,
            starved: false,
            told: None,
            receiving: None,
            inbox: Inbox::Empty,
            behind: None,
            ahead: false,
            one_by_one: false,
            is_unix: false,
            sending: None,
            send_error: 0,
            sent_some: false,
            connecting: None,
            connected: None,
            accepted: None,
            reader: None,
            writer: None,
            deadline: 0,
            wheel_at: 0,
            tag: 0,
            peer: None,
            asked: None,
            uncounted: false,
            served: 0,
            session: None,
        }
    }

    /// Keeps what a receive left, behind what is there; true if something was. Pieces share a buffer where they can: a peer that
    /// sends single bytes shall not hold one for each of them.
    pub(super) fn keep(&mut self, received: Inbox) -> bool {
        if matches!(self.inbox, Inbox::Empty) {
            self.inbox = received;
            return false;
        }
        let last = self.behind.as_mut().and_then(|behind| behind.back_mut()).unwrap_or(&mut self.inbox);
        if let (Inbox::Data(last), Inbox::Data(next)) = (last, &received)
            && last.absorb(next)
        {
            return true;
        }
        self.behind.get_or_insert_default().push_back(received);
        true
    }

    /// Takes bytes that were received, or tells how the stream ended, again and again.
    pub(super) fn take(&mut self) -> Inbox {
        match self.inbox {
            Inbox::Empty => Inbox::Empty,
            Inbox::End => Inbox::End,
            Inbox::Failed(errno) => Inbox::Failed(errno),
            Inbox::Data(_) => {
                let next = self.behind.as_mut().and_then(|behind| behind.pop_front());
                std::mem::replace(&mut self.inbox, next.unwrap_or_default())
            }
        }
    }

    /// What was taken last, or the rest of it, is what is taken next.
    pub(super) fn put_back(&mut self, bytes: RBuf) {
        if bytes.is_empty() {
            return;
        }
        let later = std::mem::replace(&mut self.inbox, Inbox::Data(bytes));
        if !matches!(later, Inbox::Empty) {
            self.behind.get_or_insert_default().push_front(later);
        }
    }

    /// Forgets what was received.
    pub(super) fn forget_received(&mut self) {
        (self.inbox, self.behind) = (Inbox::Empty, None);
    }

    /// It goes silent: a new beginning for whoever was ahead, and no memory for a queue that is empty.
    pub(super) fn rest(&mut self) {
        (self.ahead, self.one_by_one) = (false, false);
        if matches!(self.inbox, Inbox::Empty) {
            self.behind = None;
        }
    }

    /// Whether the kernel still has an operation of this slot.
    pub(super) fn under_way(&self) -> bool {
        self.receiving.is_some() || self.sending.is_some() || self.connecting.is_some() || self.accepting
    }
}

/// A socket address in the kernel's form, kept while a connect is under way.
pub(super) struct Address {
    pub(super) storage: libc::sockaddr_storage,
    pub(super) length: libc::socklen_t,
}

/// Bytes on their way out: a head of our own and body pieces that are forwarded without a copy.
pub struct Outgoing {
    pub(super) head: Vec<u8>,
    pub(super) chunks: [RBuf; SEND_CHUNKS_MAX],
    pub(super) count: usize,
}

impl Outgoing {
    /// Sends `head` first; may be empty. Take it from `io::vector()` so that it is reused.
    pub fn new(head: Vec<u8>) -> Outgoing {
        Outgoing { head, chunks: [const { RBuf::empty() }; SEND_CHUNKS_MAX], count: 0 }
    }

    /// Sends `head`, and `chunk` behind it.
    pub fn with(head: Vec<u8>, chunk: RBuf) -> Outgoing {
        let mut outgoing = Outgoing::new(head);
        outgoing.count = usize::from(!chunk.is_empty());
        outgoing.chunks[0] = chunk;
        outgoing
    }

    /// Adds a piece behind what is there; false when the limit of pieces is reached (the piece is given back).
    pub fn push(&mut self, chunk: RBuf) -> Result<(), RBuf> {
        if chunk.is_empty() {
            return Ok(());
        }
        if self.count == SEND_CHUNKS_MAX {
            return Err(chunk);
        }
        self.chunks[self.count] = chunk;
        self.count += 1;
        Ok(())
    }

    /// The pieces, in their order.
    pub(super) fn slices(&self) -> impl Iterator<Item = &[u8]> {
        let chunks = self.chunks[..self.count].iter().map(|chunk| &chunk[..]);
        std::iter::once(&self.head[..]).chain(chunks)
    }

    /// The head, and the pieces behind it.
    pub fn into_parts(self) -> (Vec<u8>, impl Iterator<Item = RBuf>) {
        (self.head, self.chunks.into_iter().take(self.count))
    }

    /// The head alone, for reuse.
    pub(super) fn into_head(self) -> Vec<u8> {
        self.head
    }

    /// Bytes in all pieces.
    pub fn len(&self) -> usize {
        self.head.len() + self.chunks[..self.count].iter().map(|chunk| chunk.len()).sum::<usize>()
    }

    /// Nothing to send.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A send under way; boxed, so that the kernel's pointers stay valid while slots move.
pub(super) struct SendOp {
    outgoing: Outgoing,
    done: usize,
    total: usize,
    header: libc::msghdr,
    pieces: [libc::iovec; SEND_CHUNKS_MAX + 1],
}

impl SendOp {
    pub(super) fn new(outgoing: Outgoing) -> Box<SendOp> {
        let total = outgoing.len();
        let nothing = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        // SAFETY: msghdr has private padding on some targets, so it cannot be written as a literal. Sound: all zeroes is a
        // valid msghdr (null pointers, no lengths).
        let header = unsafe { std::mem::zeroed() };
        Box::new(SendOp { outgoing, done: 0, total, header, pieces: [nothing; SEND_CHUNKS_MAX + 1] })
    }

    /// Reuses the box for the next send.
    pub(super) fn refill(&mut self, outgoing: Outgoing) {
        self.total = outgoing.len();
        self.done = 0;
        self.outgoing.head = outgoing.head;
        // What was sent before is released: where there are no chunks, there is nothing to put in their place.
        if outgoing.count > 0 {
            self.outgoing.chunks = outgoing.chunks;
        }
        self.outgoing.count = outgoing.count;
    }

    /// Reuses the box for the next send, of one piece.
    pub(super) fn refill_head(&mut self, head: Vec<u8>) {
        self.total = head.len();
        self.done = 0;
        self.outgoing.head = head;
    }

    /// Lets go of the bytes once the kernel has: buffers and the head go back to their pools.
    pub(super) fn release(&mut self) {
        buffers::recycle(std::mem::take(&mut self.outgoing.head));
        for chunk in &mut self.outgoing.chunks[..self.outgoing.count] {
            *chunk = RBuf::empty();
        }
        self.outgoing.count = 0;
    }

    /// Notes `count` more bytes as sent; true when all are.
    pub(super) fn advance(&mut self, count: usize) -> bool {
        self.done += count;
        debug_assert!(self.done <= self.total);
        self.done >= self.total
    }

    /// Describes what is left to send, in the kernel's form.
    pub(super) fn pieces(&mut self) -> Pieces {
        let mut skip = self.done;
        let mut count = 0;
        for piece in self.outgoing.slices() {
            if skip >= piece.len() {
                skip -= piece.len();
                continue;
            }
            let rest = &piece[skip..];
            skip = 0;
            self.pieces[count] = libc::iovec { iov_base: rest.as_ptr().cast_mut().cast(), iov_len: rest.len() };
            count += 1;
        }
        self.header.msg_iov = self.pieces.as_mut_ptr();
        self.header.msg_iovlen = count as _;
        Pieces {
            header: &raw const self.header,
            count,
            first: self.pieces[0].iov_base.cast_const().cast(),
            first_length: self.pieces[0].iov_len,
        }
    }
}
