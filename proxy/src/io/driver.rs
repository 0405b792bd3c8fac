//! What a socket asks of the kernel, and the drivers that carry it out: `io_uring`, epoll, and two for tests, a scripted and a
//! simulated one.
//!
//! The contract is that of completions: an operation is started once, and ends with exactly one completion (an accept, and a
//! receive that goes on, with several, all but the last marked `more`). Until then the kernel owns what the operation points to.

use std::io;
use std::os::fd::{BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::time::{Duration, Instant, SystemTime};

use super::buffers::Group;
use super::poll::Poll;
use super::ring::Ring;
#[cfg(test)]
use super::script::Script;
#[cfg(test)]
use super::sim::Sim;

/// An operation on a slot. At most one of each kind is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Op {
    Recv = 1,
    Send = 2,
    Connect = 3,
    Accept = 4,
    /// The shard's own eventfd: another thread wants its attention.
    Wake = 5,
    /// The answer to a cancel request: of no interest to anybody.
    Cancel = 6,
}

impl Op {
    pub(super) fn of(number: u8) -> Op {
        match number {
            1 => Op::Recv,
            2 => Op::Send,
            3 => Op::Connect,
            4 => Op::Accept,
            5 => Op::Wake,
            _ => Op::Cancel,
        }
    }
}

/// Names a slot in one of its lives, so that a late completion of an earlier life is told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) index: u32,
    /// 24 bits.
    pub(super) generation: u32,
}

pub(super) const GENERATION_MASK: u32 = 0x00FF_FFFF;

impl Key {
    pub(super) const SHARD: Key = Key { index: u32::MAX, generation: 0 };

    pub(super) fn pack(self, op: Op) -> u64 {
        (op as u64) << 56 | u64::from(self.generation & GENERATION_MASK) << 32 | u64::from(self.index)
    }

    pub(super) fn unpack(packed: u64) -> (Key, Op) {
        let key = Key { index: packed as u32, generation: (packed >> 32) as u32 & GENERATION_MASK };
        (key, Op::of((packed >> 56) as u8))
    }
}

/// How an operation ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Completion {
    pub(super) key: Key,
    pub(super) op: Op,
    /// A byte count or a descriptor; negative: an errno.
    pub(super) result: i32,
    /// The receive buffer that was filled.
    pub(super) buffer: Option<u16>,
    /// The operation goes on.
    pub(super) more: bool,
}

/// One piece or several to be sent: points into a boxed `SendOp` that lives until the completion.
#[derive(Clone, Copy)]
pub(super) struct Pieces {
    pub(super) header: *const libc::msghdr,
    pub(super) count: usize,
    pub(super) first: *const u8,
    pub(super) first_length: usize,
}

/// Whether a receive may find bytes at once. Where none are expected the ring waits for readiness first: a futile try at
/// the socket costs several per cent of a small request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expect {
    Now,
    Later,
}

/// A receive to be started.
#[derive(Clone, Copy, Debug)]
pub(super) struct Receive {
    /// Whose buffers are filled.
    pub(super) group: Group,
    pub(super) expect: Expect,
    /// It may complete many times, with `more`, until it is cancelled or the stream is at its end. A driver that cannot do so
    /// lets it complete once.
    pub(super) goes_on: bool,
}

/// Counts of a driver, for metrics and for the proof of "at most 0.3 system calls per request".
#[derive(Clone, Copy, Debug, Default)]
pub struct DriverCounts {
    /// Times the kernel was entered.
    pub enters: u64,
    /// Operations given to it.
    pub operations: u64,
    /// Receives that found no buffer in the ring.
    pub starved: u64,
}

/// The closed set of drivers; every call is a `match`, so that branches predict and nothing is boxed.
pub(super) enum Driver {
    Uring(Box<Ring>),
    Epoll(Box<Poll>),
    #[cfg(test)]
    Script(Box<Script>),
    #[cfg(test)]
    Sim(Box<Sim>),
}

macro_rules! each {
    ($driver:expr, $inner:ident => $call:expr) => {
        match $driver {
            Driver::Uring($inner) => $call,
            Driver::Epoll($inner) => $call,
            #[cfg(test)]
            Driver::Script($inner) => $call,
            #[cfg(test)]
            Driver::Sim($inner) => $call,
        }
    };
}

impl Driver {
    /// Starts a receive into a buffer that is chosen when bytes arrive.
    pub(super) fn recv(&mut self, key: Key, fd: RawFd, receive: Receive) {
        each!(self, driver => driver.recv(key, fd, receive));
    }

    /// Starts sending; may complete short.
    pub(super) fn send(&mut self, key: Key, fd: RawFd, pieces: Pieces) {
        each!(self, driver => driver.send(key, fd, pieces));
    }

    /// Starts connecting; `address` lives until the completion.
    pub(super) fn connect(&mut self, key: Key, fd: RawFd, address: *const libc::sockaddr, length: libc::socklen_t) {
        each!(self, driver => driver.connect(key, fd, address, length));
    }

    /// Starts accepting until cancelled or failed.
    pub(super) fn accept(&mut self, key: Key, fd: RawFd) {
        each!(self, driver => driver.accept(key, fd));
    }

    /// Watches the shard's eventfd; completes once.
    pub(super) fn wake_on(&mut self, fd: RawFd) {
        each!(self, driver => driver.wake_on(fd));
    }

    /// Asks for an early end; the operation still completes, with ECANCELED or with what it had already done.
    pub(super) fn cancel(&mut self, key: Key, op: Op) {
        each!(self, driver => driver.cancel(key, op));
    }

    /// The descriptor is about to be closed; nothing is under way on it.
    pub(super) fn forget(&mut self, key: Key, fd: RawFd) {
        each!(self, driver => driver.forget(key, fd));
    }

    /// Hands over what was started, waits until something completes or `timeout` passes, and appends what completed.
    pub(super) fn wait(&mut self, timeout: Option<Duration>, done: &mut Vec<Completion>) -> io::Result<()> {
        each!(self, driver => driver.wait(timeout, done))
    }

    /// The time by which deadlines are counted.
    pub(super) fn clock(&self) -> Instant {
        match self {
            Driver::Uring(_) | Driver::Epoll(_) => Instant::now(),
            #[cfg(test)]
            Driver::Script(script) => script.clock(),
            #[cfg(test)]
            Driver::Sim(sim) => sim.clock(),
        }
    }

    /// The time of day.
    pub(super) fn wall_clock(&self) -> SystemTime {
        match self {
            #[cfg(test)]
            Driver::Sim(sim) => sim.wall_clock(),
            _ => SystemTime::now(),
        }
    }

    /// Random bits to seed a generator with; not for secrets.
    pub(super) fn seed(&mut self) -> u64 {
        match self {
            #[cfg(test)]
            Driver::Sim(sim) => sim.seed(),
            _ => {
                let mut seed = [0; 8];
                // Without the kernel's randomness ids are still distinct enough: fastrand seeds itself from time and thread.
                let filled = getrandom::fill(&mut seed);
                filled.map_or_else(|_| fastrand::u64(..), |()| u64::from_ne_bytes(seed))
            }
        }
    }

    /// A stream socket of this family, for `connect`.
    pub(super) fn stream_socket(&mut self, family: libc::c_int) -> io::Result<OwnedFd> {
        #[cfg(test)]
        if let Driver::Sim(sim) = self {
            return sim.stream_socket();
        }
        let nonblocking = if self.nonblocking() { libc::SOCK_NONBLOCK } else { 0 };
        // SAFETY: sockets are made raw to share one path for all families. Sound: no pointers; the result is checked.
        let fd = unsafe { libc::socket(family, libc::SOCK_STREAM | libc::SOCK_CLOEXEC | nonblocking, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor has to be owned to be closed. Sound: it was just created.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }

    /// Ends one direction of a socket, or both. The caller holds its slot.
    pub(super) fn shutdown(&mut self, fd: RawFd, how: libc::c_int) {
        match self {
            #[cfg(test)]
            Driver::Sim(sim) => sim.shutdown(fd, how),
            // SAFETY: shutdown is a raw call here because slots keep raw descriptors. Sound: the slot is held, so its
            // descriptor is open. An error means that the peer was faster.
            _ => _ = unsafe { libc::shutdown(fd, how) },
        }
    }

    /// Bytes that have reached the other end; `None` where the kernel does not tell. The caller holds the slot.
    pub(super) fn bytes_acked(&mut self, fd: RawFd) -> Option<u64> {
        match self {
            #[cfg(test)]
            Driver::Sim(sim) => sim.bytes_acked(fd),
            _ => bytes_acked(fd),
        }
    }

    /// Whether bytes lie in the kernel's queue that no receive has taken yet. The caller holds the slot.
    pub(super) fn has_unread(&mut self, fd: RawFd) -> bool {
        match self {
            #[cfg(test)]
            Driver::Sim(sim) => sim.has_unread(fd),
            _ => {
                // SAFETY: slots keep raw descriptors. Sound: callers hold the slot, so its descriptor is open for the length of
                // this call.
                let fd = unsafe { BorrowedFd::borrow_raw(fd) };
                // A socket that is gone has nothing to say.
                rustix::io::ioctl_fionread(fd).is_ok_and(|bytes| bytes > 0)
            }
        }
    }

    /// Makes the close of this descriptor a reset. The caller holds its slot.
    pub(super) fn reset_when_closed(&mut self, fd: RawFd) {
        match self {
            #[cfg(test)]
            Driver::Sim(sim) => sim.reset_when_closed(fd),
            _ => {
                // SAFETY: slots keep raw descriptors. Sound: callers hold the slot, so its descriptor is open for the length of
                // this call.
                let fd = unsafe { BorrowedFd::borrow_raw(fd) };
                // A socket that is gone already needs no reset.
                let _ = rustix::net::sockopt::set_socket_linger(fd, Some(Duration::ZERO));
            }
        }
    }

    /// The caller took over the buffer of a receive's completion.
    pub(super) fn taken(&mut self, group: Group) {
        if let Driver::Uring(ring) = self {
            ring.taken(group);
        }
    }

    /// A receive found no buffer: keep more of them ready.
    pub(super) fn lend_more(&mut self, group: Group) {
        if let Driver::Uring(ring) = self {
            ring.lend_more(group);
        }
    }

    pub(super) fn counts(&self) -> DriverCounts {
        each!(self, driver => driver.counts())
    }

    /// Whether connecting and accepting descriptors must be non-blocking: epoll needs that. `io_uring` needs the opposite:
    /// on a non-blocking descriptor some kernels report EAGAIN instead of waiting.
    pub(super) fn nonblocking(&self) -> bool {
        match self {
            Driver::Uring(_) => false,
            Driver::Epoll(_) => true,
            #[cfg(test)]
            Driver::Script(_) | Driver::Sim(_) => true,
        }
    }
}

/// What TCP knows to have arrived.
fn bytes_acked(fd: RawFd) -> Option<u64> {
    /// Eight bytes, 24 words, two rates: then it comes (`struct tcp_info` of linux/tcp.h, Linux 4.1).
    const ACKED_AT: usize = (8 + 24 * 4 + 2 * 8) / 8;
    let mut info = [0_u64; ACKED_AT + 1];
    let mut length = size_of_val(&info) as libc::socklen_t;
    // SAFETY: TCP_INFO has no safe call here. Sound: the slot is held, so its descriptor is open; the kernel writes at most
    // `length` bytes, which is the array's size.
    let result =
        unsafe { libc::getsockopt(fd, libc::SOL_TCP, libc::TCP_INFO, info.as_mut_ptr().cast(), &raw mut length) };
    (result == 0 && length as usize == size_of_val(&info)).then_some(info[ACKED_AT])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_packing() {
        for op in [Op::Recv, Op::Send, Op::Connect, Op::Accept, Op::Wake, Op::Cancel] {
            for key in [Key { index: 0, generation: 0 }, Key { index: 77, generation: GENERATION_MASK }, Key::SHARD] {
                assert_eq!(Key::unpack(key.pack(op)), (key, op));
            }
        }
    }
}
