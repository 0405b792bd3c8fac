//! The handles that the rest of the gateway holds: sockets, listeners, sleeps, and messages from other threads.
//!
//! Dropping a future here only forgets interest: an operation under way stays with its socket, and what it yields waits
//! for the next reader. Dropping a `Sock` cancels what it waits for, sends what it was given, and closes.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::marker::PhantomData;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;
use socket2::SockFilter;

use super::buffers::{Group, RBuf};
use super::driver::Key;
use super::limits::UNSENT_BYTES_MAX;
use super::net::{self, Why};
use super::session::{Protection, Session};
use super::slot::{Address, Outgoing};
use crate::guest::Guest;

/// A connected stream socket of this worker.
pub struct Sock {
    key: Key,
    local: PhantomData<*const ()>,
}

impl Sock {
    fn of(key: Key) -> Sock {
        Sock { key, local: PhantomData }
    }

    /// Takes over a connected descriptor; without a peer's address it is a unix socket. Costs no system call.
    pub fn adopt(fd: OwnedFd, peer: Option<SocketAddr>) -> Sock {
        net::with(|net| {
            let key = net.adopt(fd);
            let slot = net.slot(key);
            (slot.peer, slot.is_unix) = (peer, peer.is_none());
            Sock::of(key)
        })
    }

    /// Connects to a TCP address. Bound it with `deadline`.
    pub async fn connect(address: SocketAddr, deadline: Duration) -> io::Result<Sock> {
        let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
        let fd = net::with(|net| net.stream_socket(family))?;
        set_nodelay(&fd);
        Sock::connect_to(fd, tcp_address(address), Some(address), deadline).await
    }

    /// Connects to a unix socket.
    pub async fn connect_unix(path: &Path, deadline: Duration) -> io::Result<Sock> {
        let address = unix_address(path)?;
        let fd = net::with(|net| net.stream_socket(libc::AF_UNIX))?;
        Sock::connect_to(fd, address, None, deadline).await
    }

    async fn connect_to(fd: OwnedFd, to: Address, peer: Option<SocketAddr>, deadline: Duration) -> io::Result<Sock> {
        let sock = Sock::adopt(fd, peer);
        sock.set_deadline(Some(deadline));
        net::with(|net| net.start_connect(sock.key, to));
        poll_fn(|context| net::with(|net| net.poll_connected(sock.key, context))).await?;
        sock.set_deadline(None);
        Ok(sock)
    }

    /// The next bytes, in a buffer of `group`; empty at the end of the stream. `TimedOut` once the deadline has passed.
    pub async fn recv(&self, group: Group) -> io::Result<RBuf> {
        poll_fn(|context| self.poll_recv(group, context)).await
    }

    /// As `recv`, for callers that wait for several things.
    pub fn poll_recv(&self, group: Group, context: &Context<'_>) -> Poll<io::Result<RBuf>> {
        net::with(|net| net.poll_recv(self.key, group, context))
    }

    /// Receives that are started from now on end with one piece, until it parks again: what goes to a stream waits for that
    /// stream's window, and what came ahead of it would hold buffers for as long. `at_once`: one under way goes on no more, either.
    pub fn receive_one_by_one(&self, at_once: bool) {
        net::with(|net| net.receive_one_by_one(self.key, at_once));
    }

    /// Hands bytes over once the previous send is through: one send under way per socket is the back-pressure. An error of
    /// the previous send comes out here.
    pub async fn send(&self, outgoing: Outgoing) -> io::Result<()> {
        self.flush().await?;
        self.start_send(outgoing);
        Ok(())
    }

    /// Whether nothing is being sent, so that no wait and no deadline is needed. An error of the previous send comes out.
    pub fn is_sendable(&self) -> io::Result<bool> {
        net::with(|net| net.is_sendable(self.key))
    }

    /// Whether sending failed before the first byte left, since the socket was made or last unparked: then the peer knows
    /// nothing of what was to be said.
    pub fn failed_unsent(&self) -> bool {
        net::with(|net| net.failed_unsent(self.key))
    }

    /// Hands bytes over at once; `is_sendable`, `poll_sendable` or `flush` has just said that nothing is being sent.
    pub fn start_send(&self, outgoing: Outgoing) {
        net::with(|net| net.start_send(self.key, outgoing));
    }

    /// Hands bytes over if nothing is being sent; gives them back otherwise. An error of the previous send comes out.
    pub fn offer(&self, bytes: Vec<u8>) -> io::Result<Option<Vec<u8>>> {
        net::with(|net| net.offer(self.key, bytes))
    }

    /// Ready when nothing is being sent.
    pub fn poll_sendable(&self, context: &Context<'_>) -> Poll<io::Result<()>> {
        net::with(|net| net.poll_sendable(self.key, context))
    }

    /// Waits until all that was handed over has left.
    pub async fn flush(&self) -> io::Result<()> {
        poll_fn(|context| self.poll_sendable(context)).await
    }

    /// From now on, waits on this socket fail with `TimedOut` after this time; `None` lifts it. Cheap: one store.
    pub fn set_deadline(&self, after: Option<Duration>) {
        net::with(|net| net.set_deadline(self.key, after));
    }

    /// As `set_deadline`, for one of several that wait: an earlier deadline stays.
    pub fn expire_within(&self, after: Duration) {
        net::with(|net| net.expire_within(self.key, after));
    }

    /// Bytes that have reached the other end, since the connection began; `None` where the kernel does not tell: for TCP alone.
    pub fn bytes_acked(&self) -> Option<u64> {
        net::with(|net| net.bytes_acked(self.key))
    }

    /// Says that no more bytes will come. The peer sees the end of the stream.
    pub fn shutdown(&self, how: Shutdown) {
        let how = match how {
            Shutdown::Read => libc::SHUT_RD,
            Shutdown::Write => libc::SHUT_WR,
            Shutdown::Both => libc::SHUT_RDWR,
        };
        net::with(|net| net.shutdown(self.key, how));
    }

    /// Makes the end of this connection a reset, not an end of the stream: for a peer that would take the latter for the
    /// end of a body that was cut.
    pub fn reset_when_closed(&self) {
        net::with(|net| net.reset_when_closed(self.key));
    }

    /// From now on this socket speaks TLS: what is received is opened, what is sent is sealed. `received`: what came behind the
    /// bytes that the session knows already.
    pub fn secure(&self, session: Session, received: RBuf) {
        net::with(|net| net.secure(self.key, session, received));
    }

    /// Waits until the handshake is done. Bound it with `set_deadline`.
    pub async fn handshake(&self) -> io::Result<()> {
        poll_fn(|context| net::with(|net| net.poll_handshake(self.key, context))).await
    }

    /// Speaks no TLS any more, after a handshake that failed: what comes is read as it is.
    pub fn give_up_session(&self) {
        net::with(|net| net.give_up_session(self.key));
    }

    /// How the connection is protected; `None`: it is not.
    pub fn protection(&self) -> Option<Protection> {
        net::with(|net| net.protection(self.key))
    }

    /// Remembers who the client of a protected connection is, by the certificates that it has shown, its own first.
    pub fn remember(&self, guest: impl FnOnce(&[CertificateDer<'static>]) -> Guest) {
        net::with(|net| {
            if let Some(session) = &mut net.slot(self.key).session {
                session.remember(guest);
            }
        });
    }

    /// Whether the client asked for this host in its handshake, or for none.
    pub fn was_asked_for(&self, host: &[u8]) -> bool {
        let asked = |name: Option<&str>| name.is_none_or(|name| name.as_bytes().eq_ignore_ascii_case(host));
        net::with(|net| net.slot(self.key).session.as_ref().is_none_or(|session| asked(session.server_name())))
    }

    /// The host that the client asked for in its handshake.
    pub fn server_name(&self) -> Option<Box<str>> {
        net::with(|net| net.slot(self.key).session.as_ref()?.server_name().map(Into::into))
    }

    /// See `remember`.
    pub fn guest(&self) -> Option<Rc<Guest>> {
        net::with(|net| net.slot(self.key).session.as_ref().and_then(|session| session.guest()))
    }

    /// Whether the connection is protected.
    pub fn is_secure(&self) -> bool {
        net::with(|net| net.slot(self.key).session.is_some())
    }

    /// Tells the other end of a protected connection that nothing more will come. A `shutdown` may follow when that has left.
    pub fn say_goodbye(&self) {
        net::with(|net| net.say_goodbye(self.key));
    }

    /// Lets go of the socket until something happens to it; the event carries `tag`. Costs nothing but its slot.
    pub fn park(self, tag: u64, group: Group) -> Parked {
        let key = self.key;
        std::mem::forget(self);
        net::with(|net| net.park(key, tag, group));
        Parked { key }
    }

    /// The same, with a deadline of so much time: its event comes then, if nothing else happens before.
    pub fn park_for(self, time: Duration, tag: u64, group: Group) -> Parked {
        let key = self.key;
        std::mem::forget(self);
        net::with(|net| {
            net.set_deadline(key, Some(time));
            net.park(key, tag, group);
        });
        Parked { key }
    }

    /// What has to be known of a parked socket that speaks again. The time of its silence is over: what is left of it must not
    /// end a long wait for somebody else.
    pub fn hear(&self) -> Speaker {
        net::with(|net| {
            net.set_deadline(self.key, None);
            let slot = net.slot(self.key);
            let counts_for = slot.peer.filter(|_| !slot.uncounted);
            Speaker { peer: slot.peer, counts_for, requests: slot.served, is_secure: slot.session.is_some() }
        })
    }

    /// The other end; `None` for unix sockets.
    pub fn peer(&self) -> Option<SocketAddr> {
        net::with(|net| net.slot(self.key).peer)
    }

    /// A balancer says who is at the other end, and where they wanted to go.
    pub fn introduce(&self, peer: Option<SocketAddr>, asked: Option<SocketAddr>) {
        net::with(|net| {
            let slot = net.slot(self.key);
            (slot.peer, slot.asked) = (peer, asked.map(Box::new));
        });
    }

    /// Where the other end wanted to go, as a balancer says; `None`: to us.
    pub fn asked(&self) -> Option<SocketAddr> {
        net::with(|net| net.slot(self.key).asked.as_deref().copied())
    }

    /// Where it arrived; `None` for unix sockets.
    pub fn here(&self) -> Option<SocketAddr> {
        let fd = net::with(|net| net.slot(self.key).fd);
        // SAFETY: slots keep raw descriptors. Sound: the slot is held, so its descriptor is open for the time of the call.
        let fd = unsafe { BorrowedFd::borrow_raw(fd) };
        rustix::net::getsockname(fd).ok()?.try_into().ok()
    }

    /// Whether the connection counts for the address at its other end, as it does unless somebody says otherwise.
    pub fn count_for_peer(&self, does: bool) {
        net::with(|net| net.slot(self.key).uncounted = !does);
    }

    /// The address that the connection counts for.
    pub fn counts_for(&self) -> Option<SocketAddr> {
        net::with(|net| {
            let slot = net.slot(self.key);
            slot.peer.filter(|_| !slot.uncounted)
        })
    }

    /// Gives back what was received last and does not belong to whoever took it: it is what the next one receives.
    pub fn put_back(&self, bytes: RBuf) {
        net::with(|net| net.put_back(self.key, bytes));
    }

    /// Counts one more request on this connection and returns how many there were, this one included.
    pub fn count_request(&self) -> u32 {
        net::with(|net| {
            let slot = net.slot(self.key);
            slot.served = slot.served.saturating_add(1);
            slot.served
        })
    }
}

impl Sock {
    /// Requests on this connection so far.
    pub fn requests(&self) -> u32 {
        net::with(|net| net.slot(self.key).served)
    }
}

impl Drop for Sock {
    fn drop(&mut self) {
        net::with_if_running(|net| net.close(self.key));
    }
}

/// A socket that nobody holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parked {
    key: Key,
}

impl Parked {
    /// Takes it back; `None` when it closed, expired or has bytes that nobody asked for: its event tells.
    pub fn unpark(self) -> Option<Sock> {
        net::with(|net| net.unpark(self.key)).then(|| Sock::of(self.key))
    }
}

/// Who speaks on a socket.
pub struct Speaker {
    /// The other end; `None` for unix sockets.
    pub peer: Option<SocketAddr>,
    /// The address that the connection counts for, if it counts for one.
    pub counts_for: Option<SocketAddr>,
    /// Requests on this connection so far.
    pub requests: u32,
    /// Whether it speaks TLS.
    pub is_secure: bool,
}

/// A socket that was parked when somebody looked.
#[derive(Clone, Copy, Debug)]
pub struct IdleSock {
    key: Key,
    deadline: u64,
}

impl IdleSock {
    /// Up to `count` of those whose deadline comes next, the nearest first. Walks over all sockets of the worker.
    pub fn find(count: usize, tags: impl Fn(u64) -> bool) -> Vec<IdleSock> {
        let found = net::with(|net| net.next_to_expire(count, tags));
        found.into_iter().map(|(key, deadline)| IdleSock { key, deadline }).collect()
    }

    /// When its deadline passes.
    pub fn until(&self) -> Instant {
        net::with(|net| net.instant_of(self.deadline))
    }

    /// Takes it back with its tag, if it has been parked ever since.
    pub fn unpark(self) -> Option<(Sock, u64)> {
        let tag = net::with(|net| net.unpark_since(self.key, self.deadline))?;
        Some((Sock::of(self.key), tag))
    }
}

/// Whether the kernel, or this worker, has no descriptor, no memory or no port left: nobody else's fault, and it may pass.
pub fn is_shortage(error: &io::Error) -> bool {
    let short = [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::ENOBUFS, libc::EADDRNOTAVAIL, libc::EAGAIN];
    error.raw_os_error().is_some_and(|errno| short.contains(&errno))
}

/// What happened to a parked socket.
pub struct Event {
    /// Held again by whoever took the event.
    pub sock: Sock,
    /// As given to `park`.
    pub tag: u64,
    /// What happened.
    pub why: Why,
    /// To find it in a pool.
    pub parked: Parked,
}

/// The next event of a parked socket. One task of a worker takes them all.
pub async fn next_event() -> Event {
    let (key, tag, why) = poll_fn(|context| net::with(|net| net.poll_event(context))).await;
    Event { sock: Sock::of(key), tag, why, parked: Parked { key } }
}

/// A listening socket of this worker.
pub struct Listener {
    key: Key,
    local: PhantomData<*const ()>,
}

impl Listener {
    /// Takes over a listening descriptor.
    pub fn adopt(fd: OwnedFd) -> Listener {
        net::with(|net| {
            set_nonblocking(&fd, net.nonblocking());
            Listener { key: net.adopt(fd), local: PhantomData }
        })
    }

    /// The next connection. Errors such as EMFILE come out here: pause, then call again.
    pub async fn accept(&self) -> io::Result<OwnedFd> {
        poll_fn(|context| self.poll_accept(context)).await
    }

    /// As `accept`, for callers that wait for several things.
    pub fn poll_accept(&self, context: &Context<'_>) -> Poll<io::Result<OwnedFd>> {
        net::with(|net| net.poll_accept(self.key, context))
    }

    /// Stops accepting, without losing anybody: call it until it says `None`. `accept` begins anew.
    pub async fn stop(&self) -> Option<io::Result<OwnedFd>> {
        poll_fn(|context| net::with(|net| net.poll_stopped(self.key, context))).await
    }

    /// Makes the descriptor as the driver needs it, again: who shared the socket may have had another driver.
    pub fn regain(&self) {
        self.with_fd(|fd| set_nonblocking(fd, net::with(|net| net.nonblocking())));
    }

    /// How many connections the kernel may queue from now on.
    pub fn set_backlog(&self, backlog: u32) -> io::Result<()> {
        self.with_fd(|fd| Ok(rustix::net::listen(fd, backlog.try_into().unwrap_or(i32::MAX))?))
    }

    /// From now on the kernel drops whoever knocks anew, without a word; handshakes under way still come to their end, and
    /// the queue is left as it is. For TCP.
    pub fn refuse_new(&self) -> io::Result<()> {
        self.with_fd(|fd| socket2::SockRef::from(&fd).attach_filter(&without_syn()))
    }

    fn with_fd<R>(&self, act: impl FnOnce(BorrowedFd<'_>) -> R) -> R {
        let fd = net::with(|net| net.slot(self.key).fd);
        // SAFETY: slots keep raw descriptors. Sound: the slot is held, so its descriptor is open for the time of the call.
        act(unsafe { BorrowedFd::borrow_raw(fd) })
    }
}

/// A packet filter of a TCP socket, which sees segments from their TCP header on: those with SYN and without ACK are dropped.
fn without_syn() -> [SockFilter; 5] {
    const FLAGS_AT: u32 = 13;
    const SYN: u32 = 0x02;
    const ACK: u32 = 0x10;
    let step = |code: u32, jump_true, jump_false, value| SockFilter::new(code as u16, jump_true, jump_false, value);
    [
        step(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, 0, 0, FLAGS_AT),
        step(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, 0, 0, SYN | ACK),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, SYN),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, 0),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, u32::MAX),
    ]
}

impl Drop for Listener {
    fn drop(&mut self) {
        net::with_if_running(|net| net.close(self.key));
    }
}

/// Waits; in steps of 8 ms, never early.
pub fn sleep(after: Duration) -> Sleep {
    Sleep { key: net::with(|net| net.sleep_start(after)), local: PhantomData }
}

/// The future of `sleep`.
pub struct Sleep {
    key: u64,
    local: PhantomData<*const ()>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        net::with(|net| net.sleep_poll(self.key, context))
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        net::with_if_running(|net| net.sleep_end(self.key));
    }
}

/// `Err` when `future` takes longer than `after`; the future is dropped, which cancels what it waits for.
pub async fn timeout<F: Future>(after: Duration, future: F) -> Result<F::Output, Elapsed> {
    let mut future = std::pin::pin!(future);
    let mut sleep = std::pin::pin!(sleep(after));
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Ok(output)),
        Poll::Pending => sleep.as_mut().poll(context).map(|()| Err(Elapsed)),
    })
    .await
}

/// The time of a `timeout` is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

/// A queue from any thread to a task of one worker. Off the request's way: it takes a lock.
pub fn channel<T: Send>() -> (Sender<T>, Receiver<T>) {
    let queue = Arc::new(Mutex::new(Queue { items: VecDeque::new(), waker: None, closed: false }));
    (Sender { queue: queue.clone() }, Receiver { queue })
}

struct Queue<T> {
    items: VecDeque<T>,
    waker: Option<Waker>,
    closed: bool,
}

/// The sending end of `channel`.
pub struct Sender<T> {
    queue: Arc<Mutex<Queue<T>>>,
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Sender<T> {
        Sender { queue: self.queue.clone() }
    }
}

impl<T> Sender<T> {
    /// Puts an item in and wakes the receiver; drops it when the queue is closed.
    pub fn send(&self, item: T) {
        let _ = self.offer(item);
    }

    /// As `send`, but gives an item back that nobody would receive.
    pub fn offer(&self, item: T) -> Result<(), T> {
        let waker = {
            let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            if queue.closed {
                return Err(item);
            }
            queue.items.push_back(item);
            queue.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    /// Takes nothing more. What is there is still received.
    pub fn close(&self) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
    }
}

/// The receiving end of `channel`.
pub struct Receiver<T> {
    queue: Arc<Mutex<Queue<T>>>,
}

impl<T> Receiver<T> {
    /// The next item.
    pub async fn recv(&self) -> T {
        poll_fn(|context| self.poll_recv(context)).await
    }

    /// As `recv`, for callers that wait for several things.
    pub fn poll_recv(&self, context: &Context<'_>) -> Poll<T> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(item) = queue.items.pop_front() {
            return Poll::Ready(item);
        }
        queue.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let items = {
            let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            (queue.closed, queue.waker) = (true, None);
            std::mem::take(&mut queue.items)
        };
        drop(items);
    }
}

// --- descriptors ------------------------------------------------------------------------------------------------------

fn set_nonblocking(fd: impl AsFd, nonblocking: bool) {
    // The descriptor is valid, and these flags exist for every kind of socket.
    let _ = rustix::fs::fcntl_getfl(&fd).and_then(|mut flags| {
        flags.set(rustix::fs::OFlags::NONBLOCK, nonblocking);
        rustix::fs::fcntl_setfl(&fd, flags)
    });
}

/// Gives a TCP listener what its connections inherit: one system call less for each of them. Small answers leave at once; and
/// the kernel takes no more than a send or two beyond what a client takes: one who reads slowly, in a small window, would
/// have it make thousands of tiny packets of megabytes.
pub fn bequeath(listener: impl AsFd) -> io::Result<()> {
    rustix::net::sockopt::set_tcp_nodelay(&listener, true)?;
    socket2::SockRef::from(&listener).set_tcp_notsent_lowat(UNSENT_BYTES_MAX)
}

fn set_nodelay(fd: &OwnedFd) {
    let _ = rustix::net::sockopt::set_tcp_nodelay(fd, true);
}

fn tcp_address(address: SocketAddr) -> Address {
    // SAFETY: sockaddr_storage has padding, so it cannot be written as a literal. Sound: all zeroes is a valid value.
    let mut storage: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
    let length = match address {
        SocketAddr::V4(address) => {
            let raw = libc::sockaddr_in {
                sin_family: libc::AF_INET as _,
                sin_port: address.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(address.ip().octets()) },
                sin_zero: [0; 8],
            };
            // SAFETY: the kernel wants the family's own layout inside the storage. Sound: storage is larger and aligned for it.
            unsafe { (&raw mut storage).cast::<libc::sockaddr_in>().write(raw) };
            size_of::<libc::sockaddr_in>()
        }
        SocketAddr::V6(address) => {
            let raw = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as _,
                sin6_port: address.port().to_be(),
                sin6_flowinfo: address.flowinfo(),
                sin6_addr: libc::in6_addr { s6_addr: address.ip().octets() },
                sin6_scope_id: address.scope_id(),
            };
            // SAFETY: as above. Sound: as above.
            unsafe { (&raw mut storage).cast::<libc::sockaddr_in6>().write(raw) };
            size_of::<libc::sockaddr_in6>()
        }
    };
    Address { storage, length: length as libc::socklen_t }
}

fn unix_address(path: &Path) -> io::Result<Address> {
    use std::os::unix::ffi::OsStrExt as _;

    let bytes = path.as_os_str().as_bytes();
    // SAFETY: sockaddr_un is plain bytes. Sound: all zeroes is a valid value.
    let mut raw: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    if bytes.len() >= raw.sun_path.len() || bytes.contains(&0) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    raw.sun_family = libc::AF_UNIX as _;
    for (to, from) in raw.sun_path.iter_mut().zip(bytes) {
        *to = *from as libc::c_char;
    }
    // SAFETY: as for TCP. Sound: sockaddr_un fits into the storage and is aligned like it.
    let storage = unsafe {
        let mut storage: libc::sockaddr_storage = std::mem::zeroed();
        (&raw mut storage).cast::<libc::sockaddr_un>().write(raw);
        storage
    };
    let length = std::mem::offset_of!(libc::sockaddr_un, sun_path) + bytes.len() + 1;
    Ok(Address { storage, length: length as libc::socklen_t })
}
