//! A socket as the library reads and writes it.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use codec::http2::frames::{Excess, PREFACE_BYTES, Watch};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::io::{Group, Outgoing, Protection, RBuf, Sock, now, vector};
use crate::limits::{TAKEN_BACK_MAX, WIRE_BYTES_MAX};

/// A connection as its streams and its driver see it.
pub struct Line {
    /// The socket.
    pub sock: Sock,
    peer: Option<SocketAddr>,
    protection: Option<Protection>,
    served: Cell<u32>,
    /// It has had as many requests as it may.
    retired: Cell<bool>,
    /// Streams that somebody works on.
    streams: Cell<u32>,
    /// While there are none: when it ends by itself.
    idle_until: Cell<Option<Instant>>,
    /// Its room was given to somebody else.
    shed: Cell<bool>,
    /// What frames a client has cost us, and the first excess of them. Servers were chosen by the operator.
    watch: Option<RefCell<Watch>>,
    excess: Cell<Option<Excess>>,
    /// Requests that the peer took back before they had an answer.
    taken_back: Cell<u32>,
    began: Instant,
    /// Its driver's task.
    driver: Cell<Option<Waker>>,
    /// Written by the library, and not yet handed to the socket.
    out: RefCell<Vec<u8>>,
}

impl Line {
    /// A connection to a server on this socket; if it is to be protected, its handshake is done.
    pub fn new(sock: Sock) -> Rc<Line> {
        Line::with(sock, None)
    }

    /// A connection of a client, who has yet to say the preface.
    pub fn of_client(sock: Sock) -> Rc<Line> {
        Line::with(sock, Some(RefCell::new(Watch::new(PREFACE_BYTES))))
    }

    fn with(sock: Sock, watch: Option<RefCell<Watch>>) -> Rc<Line> {
        let (peer, protection) = (sock.peer(), sock.protection());
        Rc::new(Line {
            sock,
            peer,
            protection,
            served: Cell::new(0),
            retired: Cell::new(false),
            streams: Cell::new(0),
            idle_until: Cell::new(None),
            shed: Cell::new(false),
            watch,
            taken_back: Cell::new(0),
            excess: Cell::new(None),
            began: now(),
            driver: Cell::new(None),
            out: RefCell::default(),
        })
    }

    /// The other end; `None` for unix sockets.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// How the connection is protected; `None`: it is not.
    pub fn protection(&self) -> Option<Protection> {
        self.protection
    }

    /// Counts one more request and returns how many there were, this one included.
    pub fn count_request(&self) -> u32 {
        self.served.set(self.served.get().saturating_add(1));
        self.served.get()
    }

    /// What the peer does too often; from then on nothing of it is read.
    pub fn excess(&self) -> Option<Excess> {
        self.excess.get()
    }

    /// Whether the peer has acknowledged our settings.
    pub fn is_settled(&self) -> bool {
        self.watch.as_ref().is_none_or(|watch| watch.borrow().is_settled())
    }

    /// Whether the peer is a client, not a server of the operator's choice.
    pub fn is_of_client(&self) -> bool {
        self.watch.is_some()
    }

    fn look_at(&self, bytes: &[u8], look: fn(&mut Watch, &[u8], u64) -> Result<(), Excess>) {
        if let (Some(watch), None) = (&self.watch, self.excess.get()) {
            let second = (now() - self.began).as_secs();
            self.excess.set(look(&mut watch.borrow_mut(), bytes, second).err());
        }
    }

    /// It takes no more requests.
    pub fn retire(&self) {
        self.retired.set(true);
        self.wake();
    }

    /// See `retire`.
    pub fn is_retired(&self) -> bool {
        self.retired.get()
    }

    /// Counts a stream that somebody works on, until this is dropped.
    pub fn begin_stream(self: &Rc<Line>) -> Busy {
        self.streams.set(self.streams.get() + 1);
        Busy { line: self.clone() }
    }

    /// See `begin_stream`.
    pub fn streams(&self) -> u32 {
        self.streams.get()
    }

    /// It has no streams, and ends then; `None`: it has some, or will soon be gone. What it was before.
    pub fn note_idle(&self, until: Option<Instant>) -> Option<Instant> {
        self.idle_until.replace(until)
    }

    /// See `note_idle`.
    pub fn idle_until(&self) -> Option<Instant> {
        self.idle_until.get()
    }

    /// Its room is needed: it says so to the client before it reads anything more. False if it is not idle.
    pub fn shed(&self) -> bool {
        let is_idle = self.idle_until.take().is_some();
        if is_idle {
            self.shed.set(true);
            self.wake();
        }
        is_idle
    }

    /// See `shed`.
    pub fn is_shed(&self) -> bool {
        self.shed.get()
    }

    /// Whom to wake when something of this changes: the driver's task.
    pub fn drive(&self, waker: &Waker) {
        self.driver.set(Some(waker.clone()));
    }

    fn wake(&self) {
        if let Some(driver) = self.driver.take() {
            driver.wake_by_ref();
            self.driver.set(Some(driver));
        }
    }

    /// Hands over what the library has written. `Pending`: something is still being sent; the task is woken after it.
    pub fn push(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.out.borrow().is_empty() {
            return Poll::Ready(Ok(()));
        }
        match self.sock.poll_sendable(context) {
            Poll::Ready(Ok(())) => {
                self.sock.start_send(Outgoing::new(self.out.take()));
                Poll::Ready(Ok(()))
            }
            other => other,
        }
    }
}

/// See [`Line::begin_stream`].
pub struct Busy {
    line: Rc<Line>,
}

impl Busy {
    /// The request was taken back before it had an answer. Now and then is fair: a client that does little else makes us work
    /// for nothing (row T01).
    pub fn was_taken_back(&self) {
        let line = &self.line;
        line.taken_back.set(line.taken_back.get().saturating_add(1));
        let count = line.taken_back.get();
        if count > TAKEN_BACK_MAX && count > line.served.get() / 2 {
            line.excess.set(line.excess.get().or(Some(Excess::Resets)));
            line.wake();
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.line.streams.set(self.line.streams.get() - 1);
        if self.line.streams.get() == 0 {
            self.line.wake();
        }
    }
}

/// The library's end of a [`Line`].
pub struct Wire {
    line: Rc<Line>,
    /// Received and not yet read.
    inflow: RBuf,
    /// A body comes in, as it seems: the last buffer was full.
    is_wide: bool,
}

impl Wire {
    /// Reads `inflow` first: what the socket has received already.
    pub fn new(line: Rc<Line>, inflow: RBuf) -> Wire {
        line.look_at(&inflow, Watch::received);
        Wire { line, inflow, is_wide: false }
    }

    fn write(&self, pieces: &[io::IoSlice<'_>], context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.line.out.borrow().len() >= WIRE_BYTES_MAX {
            match self.line.push(context) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        let mut out = self.line.out.borrow_mut();
        if out.capacity() == 0 {
            *out = vector();
        }
        let before = out.len();
        for piece in pieces {
            let room = WIRE_BYTES_MAX - out.len();
            out.extend_from_slice(&piece[..piece.len().min(room)]);
        }
        self.line.look_at(&out[before..], Watch::sent);
        Poll::Ready(Ok(out.len() - before))
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.inflow.is_empty() {
            if self.line.excess.get().is_some() {
                return Poll::Pending;
            }
            let group = if self.is_wide { Group::Large } else { Group::Small };
            match self.line.sock.poll_recv(group, context) {
                Poll::Ready(Ok(bytes)) => {
                    self.is_wide = bytes.len() >= crate::io::limits::SMALL_BUFFER_BYTES as usize;
                    self.inflow = bytes;
                    // What came with an excess is still read; nothing that comes later is.
                    self.line.look_at(&self.inflow, Watch::received);
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        let count = self.inflow.len().min(room.remaining());
        room.put_slice(&self.inflow[..count]);
        self.inflow.advance(count);
        if self.inflow.is_empty() {
            // The buffer goes back now, not with the next bytes.
            self.inflow = RBuf::empty();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.write(&[io::IoSlice::new(bytes)], context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write(pieces, context)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// What is written leaves with the driver's `push`.
    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Waits until all of it has left; the socket is closed by whoever holds it.
    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.line.push(context) {
            Poll::Ready(Ok(())) => self.line.sock.poll_sendable(context),
            other => other,
        }
    }
}
