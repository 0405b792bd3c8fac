//! What a socket asks of the kernel, and the drivers that carry it out: `io_uring`, epoll, and a scripted one for tests.
//!
//! The contract is that of completions: an operation is started once, and ends with exactly one completion (an accept may
//! end with several, all but the last marked `more`). Until then the kernel owns what the operation points to.

use std::io;
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use super::buffers::Group;
use super::poll::Poll;
use super::ring::Ring;
#[cfg(test)]
use super::script::Script;

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
    /// The operation goes on (accept).
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
}

macro_rules! each {
    ($driver:expr, $inner:ident => $call:expr) => {
        match $driver {
            Driver::Uring($inner) => $call,
            Driver::Epoll($inner) => $call,
            #[cfg(test)]
            Driver::Script($inner) => $call,
        }
    };
}

impl Driver {
    /// Starts a receive into a buffer of `group`, chosen when bytes arrive.
    pub(super) fn recv(&mut self, key: Key, fd: RawFd, group: Group, expect: Expect) {
        each!(self, driver => driver.recv(key, fd, group, expect));
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
            Driver::Script(_) => true,
        }
    }
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
