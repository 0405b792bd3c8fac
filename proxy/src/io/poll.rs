//! The epoll driver: the same completions as the ring's, made from edge-triggered readiness.
//!
//! Each descriptor is registered once. An operation is tried when its turn of the loop ends and again when an edge says
//! that it may go on; a short read needs no second read to learn that nothing is left, except after the peer hung up.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use super::buffers::{self, Group};
use super::driver::{Completion, DriverCounts, Key, Op, Pieces, Receive};
use super::limits::ACCEPTS_PER_EVENT_MAX;

const EVENTS_PER_WAIT: usize = 512;
const EDGES: u32 = (libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET) as u32;

pub(super) struct Poll {
    epoll: OwnedFd,
    watched: Vec<Watched>,
    /// Slots whose operations are to be tried at the next wait.
    pending: Vec<Key>,
    /// Operations that ended without the kernel: cancelled ones.
    ended: Vec<Completion>,
    events: Vec<libc::epoll_event>,
    wake_fd: RawFd,
    counts: DriverCounts,
}

#[derive(Clone, Copy)]
struct Watched {
    generation: u32,
    fd: RawFd,
    registered: bool,
    readable: bool,
    writable: bool,
    hung_up: bool,
    queued: bool,
    recv: Option<Group>,
    send: Option<Pieces>,
    connecting: bool,
    accepting: bool,
    /// Listeners are shared between processes and workers: closing ours does not end the registration.
    shared: bool,
}

const UNWATCHED: Watched = Watched {
    generation: 0,
    fd: -1,
    registered: false,
    readable: false,
    writable: true,
    hung_up: false,
    queued: false,
    recv: None,
    send: None,
    connecting: false,
    accepting: false,
    shared: false,
};

impl Poll {
    pub(super) fn new() -> io::Result<Poll> {
        // SAFETY: a raw system call is needed to own the descriptor. Sound: it takes no pointers, and the result is checked.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor has to be owned to be closed. Sound: it was just created and nobody else has it.
        let epoll = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Poll {
            epoll,
            watched: Vec::new(),
            pending: Vec::new(),
            ended: Vec::new(),
            events: vec![libc::epoll_event { events: 0, u64: 0 }; EVENTS_PER_WAIT],
            wake_fd: -1,
            counts: DriverCounts::default(),
        })
    }

    pub(super) fn recv(&mut self, key: Key, fd: RawFd, receive: Receive) {
        match self.watch(key, fd) {
            Ok(watched) => {
                watched.recv = Some(receive.group);
                if watched.readable {
                    self.queue(key);
                }
            }
            Err(errno) => self.end(key, Op::Recv, -errno),
        }
    }

    pub(super) fn send(&mut self, key: Key, fd: RawFd, pieces: Pieces) {
        match self.watch(key, fd) {
            Ok(watched) => {
                watched.send = Some(pieces);
                if watched.writable {
                    self.queue(key);
                }
            }
            Err(errno) => self.end(key, Op::Send, -errno),
        }
    }

    pub(super) fn connect(&mut self, key: Key, fd: RawFd, address: *const libc::sockaddr, length: libc::socklen_t) {
        // Registered first, so that no edge of the connection is missed.
        match self.watch(key, fd) {
            Ok(watched) => (watched.writable, watched.connecting) = (false, true),
            Err(errno) => return self.end(key, Op::Connect, -errno),
        }
        self.counts.enters += 1;
        // SAFETY: connect takes a raw address. Sound: the caller keeps `address` alive and `length` is its size.
        let result = unsafe { libc::connect(fd, address, length) };
        let error = if result == 0 { 0 } else { last_errno() };
        if error == libc::EINPROGRESS {
            return;
        }
        if let Some(watched) = self.find(key) {
            (watched.writable, watched.connecting) = (true, false);
        }
        self.end(key, Op::Connect, -error);
    }

    pub(super) fn accept(&mut self, key: Key, fd: RawFd) {
        match self.watch(key, fd) {
            Ok(watched) => {
                (watched.accepting, watched.shared) = (true, true);
                if watched.readable {
                    self.queue(key);
                }
            }
            Err(errno) => self.end(key, Op::Accept, -errno),
        }
    }

    pub(super) fn wake_on(&mut self, fd: RawFd) {
        if self.wake_fd != fd {
            self.wake_fd = fd;
            if let Err(errno) = self.register(fd, Key::SHARD, libc::EPOLLIN as u32) {
                self.end(Key::SHARD, Op::Wake, -errno);
            }
        }
    }

    pub(super) fn cancel(&mut self, key: Key, op: Op) {
        let Some(watched) = self.find(key) else {
            return;
        };
        let was = match op {
            Op::Recv => watched.recv.take().is_some(),
            Op::Send => watched.send.take().is_some(),
            Op::Connect => std::mem::take(&mut watched.connecting),
            Op::Accept => std::mem::take(&mut watched.accepting),
            Op::Wake | Op::Cancel => false,
        };
        if was {
            self.end(key, op, -libc::ECANCELED);
        }
    }

    pub(super) fn forget(&mut self, key: Key, _fd: RawFd) {
        let Some(watched) = self.find(key) else { return };
        let (shared, fd) = (watched.shared, watched.fd);
        *watched = UNWATCHED;
        if shared {
            self.counts.enters += 1;
            // SAFETY: epoll_ctl takes no event when it deletes. Sound: the pointer is null, as the call allows.
            unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), libc::EPOLL_CTL_DEL, fd, std::ptr::null_mut()) };
        }
    }

    pub(super) fn wait(&mut self, timeout: Option<Duration>, done: &mut Vec<Completion>) -> io::Result<()> {
        let mut pending = std::mem::take(&mut self.pending);
        for key in pending.drain(..) {
            self.try_all(key, done);
        }
        if self.pending.is_empty() {
            self.pending = pending;
        }
        done.append(&mut self.ended);
        let timeout_ms = match timeout {
            _ if !done.is_empty() || !self.pending.is_empty() => 0,
            None => -1,
            Some(timeout) => timeout.as_micros().div_ceil(1000).try_into().unwrap_or(i32::MAX),
        };
        self.counts.enters += 1;
        // SAFETY: the kernel writes events into our array. Sound: pointer and length are those of a live vector.
        let count = unsafe {
            libc::epoll_wait(self.epoll.as_raw_fd(), self.events.as_mut_ptr(), EVENTS_PER_WAIT as i32, timeout_ms)
        };
        if count < 0 {
            let error = io::Error::last_os_error();
            return if error.kind() == io::ErrorKind::Interrupted { Ok(()) } else { Err(error) };
        }
        for index in 0..count as usize {
            let libc::epoll_event { events, u64: packed } = self.events[index];
            self.edge(Key::unpack(packed).0, events, done);
        }
        Ok(())
    }

    pub(super) fn counts(&self) -> DriverCounts {
        self.counts
    }

    fn edge(&mut self, key: Key, events: u32, done: &mut Vec<Completion>) {
        if key == Key::SHARD {
            let mut count = 0_u64;
            // SAFETY: an eventfd is read raw. Sound: eight bytes are read into eight bytes.
            unsafe { libc::read(self.wake_fd, std::ptr::from_mut(&mut count).cast(), 8) };
            done.push(Completion { key, op: Op::Wake, result: 8, buffer: None, more: false });
            return;
        }
        let Some(watched) = self.find(key) else {
            return;
        };
        let broken = events & (libc::EPOLLERR | libc::EPOLLHUP) as u32 != 0;
        watched.hung_up |= broken || events & libc::EPOLLRDHUP as u32 != 0;
        watched.readable |= broken || events & (libc::EPOLLIN | libc::EPOLLRDHUP) as u32 != 0;
        watched.writable |= broken || events & libc::EPOLLOUT as u32 != 0;
        self.try_all(key, done);
    }

    fn try_all(&mut self, key: Key, done: &mut Vec<Completion>) {
        let Some(watched) = self.find(key) else {
            return;
        };
        watched.queued = false;
        if watched.connecting && watched.writable {
            watched.connecting = false;
            let result = -socket_error(watched.fd);
            self.counts.enters += 1;
            done.push(Completion { key, op: Op::Connect, result, buffer: None, more: false });
            return;
        }
        self.try_send(key, done);
        self.try_recv(key, done);
        self.try_accept(key, done);
    }

    fn try_send(&mut self, key: Key, done: &mut Vec<Completion>) {
        let Some(watched) = self.find(key) else {
            return;
        };
        let (Some(pieces), true) = (watched.send, watched.writable) else {
            return;
        };
        let fd = watched.fd;
        // SAFETY: sendmsg takes raw pieces. Sound: `pieces` points into a boxed operation that lives until its completion.
        let sent = unsafe { libc::sendmsg(fd, pieces.header, libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT) };
        let result = if sent < 0 { -last_errno() } else { sent as i32 };
        if result == -libc::EAGAIN {
            watched.writable = false;
        } else {
            watched.send = None;
            done.push(Completion { key, op: Op::Send, result, buffer: None, more: false });
        }
        self.counts.enters += 1;
        self.counts.operations += 1;
    }

    fn try_recv(&mut self, key: Key, done: &mut Vec<Completion>) {
        let Some(watched) = self.find(key) else {
            return;
        };
        let (Some(group), true) = (watched.recv, watched.readable) else {
            return;
        };
        let Some(buffer) = buffers::take(group) else {
            watched.recv = None;
            self.counts.starved += 1;
            done.push(Completion { key, op: Op::Recv, result: -libc::ENOBUFS, buffer: None, more: false });
            return;
        };
        let (address, room) = (buffers::address(group, buffer), group.buffer_bytes() as usize);
        // SAFETY: the pool's memory has no slice over it, so recv gets the raw address. Sound: the buffer was just taken out
        // of the pool, nobody views it, and `room` is its size.
        let received = unsafe { libc::recv(watched.fd, address.as_ptr().cast(), room, libc::MSG_DONTWAIT) };
        let result = if received < 0 { -last_errno() } else { received as i32 };
        if result == -libc::EAGAIN {
            watched.readable = false;
        } else {
            watched.recv = None;
            watched.readable = watched.hung_up || result == room as i32;
        }
        let kept = (result > 0).then_some(buffer);
        if kept.is_none() {
            buffers::put_back(group, buffer);
        }
        if result != -libc::EAGAIN {
            done.push(Completion { key, op: Op::Recv, result, buffer: kept, more: false });
        }
        self.counts.enters += 1;
        self.counts.operations += 1;
    }

    fn try_accept(&mut self, key: Key, done: &mut Vec<Completion>) {
        for _ in 0..ACCEPTS_PER_EVENT_MAX {
            let Some(watched) = self.find(key) else {
                return;
            };
            if !watched.accepting || !watched.readable {
                return;
            }
            let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
            // SAFETY: accept4 without an address takes null pointers. Sound: both are null, as the call allows.
            let fd = unsafe { libc::accept4(watched.fd, std::ptr::null_mut(), std::ptr::null_mut(), flags) };
            let result = if fd < 0 { -last_errno() } else { fd };
            match result {
                error if error == -libc::EAGAIN => watched.readable = false,
                fd if fd >= 0 => done.push(Completion { key, op: Op::Accept, result: fd, buffer: None, more: true }),
                error => {
                    watched.accepting = false;
                    done.push(Completion { key, op: Op::Accept, result: error, buffer: None, more: false });
                }
            }
            self.counts.enters += 1;
        }
        // More may wait: no edge will say so, so it is tried again at the next turn.
        self.queue(key);
    }

    /// The descriptor's record; registers it at its first operation. `Err`: the errno (ENOSPC, ENOMEM, EPERM).
    fn watch(&mut self, key: Key, fd: RawFd) -> Result<&mut Watched, i32> {
        let index = key.index as usize;
        if self.watched.len() <= index {
            self.watched.resize(index + 1, UNWATCHED);
        }
        let known = self.watched[index];
        if known.generation != key.generation || !known.registered {
            self.register(fd, key, EDGES)?;
            self.watched[index] = Watched { generation: key.generation, fd, registered: true, ..UNWATCHED };
        }
        Ok(&mut self.watched[index])
    }

    fn find(&mut self, key: Key) -> Option<&mut Watched> {
        let watched = self.watched.get_mut(key.index as usize)?;
        (watched.registered && watched.generation == key.generation).then_some(watched)
    }

    fn register(&mut self, fd: RawFd, key: Key, events: u32) -> Result<(), i32> {
        let mut event = libc::epoll_event { events, u64: key.pack(Op::Wake) };
        self.counts.enters += 1;
        // SAFETY: epoll_ctl reads one event. Sound: it is a live local.
        let result = unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &raw mut event) };
        if result < 0 { Err(last_errno()) } else { Ok(()) }
    }

    fn queue(&mut self, key: Key) {
        if let Some(watched) = self.find(key)
            && !watched.queued
        {
            watched.queued = true;
            self.pending.push(key);
        }
    }

    fn end(&mut self, key: Key, op: Op, result: i32) {
        self.ended.push(Completion { key, op, result, buffer: None, more: false });
    }
}

fn last_errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}

fn socket_error(fd: RawFd) -> i32 {
    let mut error: libc::c_int = 0;
    let mut length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: SO_ERROR is read raw to keep this file free of borrowed descriptors. Sound: value and length are live locals of
    // the size given.
    let result = unsafe {
        libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_ERROR, std::ptr::from_mut(&mut error).cast(), &raw mut length)
    };
    if result < 0 { last_errno() } else { error }
}
