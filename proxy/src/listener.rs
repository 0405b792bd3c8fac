//! Listening sockets: bound once per worker, so that the kernel spreads connections; and the loop that accepts.

use std::fs;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use config::snapshot::{ListenAddress, Listener as Spec, Manner, Others, ProxyProtocol, Tls};
use rustix::net::sockopt;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::callers::Caller;
use crate::colleagues::Newcomer;
use crate::connection::await_first_byte;
use crate::entry::{ENTRY_TAG, Entry, GREETING_TAG};
use crate::greeting;
use crate::io::{
    self as runtime, Elapsed, Group, Listener, Receiver, Sock, expire_parked, is_shortage, now, sleep, spawn, timeout,
};
use crate::limits::{
    ACCEPT_PAUSE, GREETING_TIME, LAST_ACCEPT_TIME, LAST_HANDSHAKE_TIME, LAST_HANDSHAKES_TIME_MAX, LAST_REQUEST_TIME,
    TICK,
};
use crate::observe::metrics::{GreetingFailure, add};
use crate::shed;
use crate::state::{Accepting, Worker};

/// What a listener is made of.
pub struct Bound {
    /// Listening sockets: several where the kernel spreads connections over them.
    pub sockets: Vec<OwnedFd>,
    /// With the port that the kernel chose, if it was asked to.
    pub address: ListenAddress,
    /// Of a unix socket.
    pub file: Option<SocketFile>,
}

/// Binds a listener: a TCP socket for each worker, one unix socket for all of them. `is_alone`: an address where anybody of this
/// user listens already is refused.
pub fn bind(spec: &Spec, workers: usize, is_alone: bool) -> io::Result<Bound> {
    match &spec.address {
        ListenAddress::Tcp(address) => {
            if is_alone {
                refuse_shared(*address)?;
            }
            bind_tcp(*address, spec.backlog, workers)
        }
        ListenAddress::Unix(path) => bind_unix(path, spec.backlog),
    }
}

/// The file of a unix socket: removed when this is dropped, unless somebody else has put another in its place.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    /// The file that is there.
    pub fn of(path: &Path) -> Option<SocketFile> {
        let file = fs::symlink_metadata(path).ok()?;
        Some(SocketFile { path: path.to_owned(), device: file.dev(), inode: file.ino() })
    }

    /// Leaves the file to somebody else.
    pub fn leave(self) {
        std::mem::forget(self);
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_same = |file: fs::Metadata| file.dev() == self.device && file.ino() == self.inode;
        if fs::symlink_metadata(&self.path).is_ok_and(is_same) {
            // Somebody may be faster.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Binds so many sockets of one address.
pub fn bind_tcp(address: SocketAddr, backlog: u32, count: usize) -> io::Result<Bound> {
    let mut bound = address;
    let mut sockets = Vec::with_capacity(count);
    for _ in 0..count {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let fd = rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        sockopt::set_socket_reuseaddr(&fd, true)?;
        sockopt::set_socket_reuseport(&fd, true)?;
        // Accepted sockets inherit it: one system call less for each of them.
        runtime::bequeath(&fd)?;
        if address.is_ipv6() {
            // `[::]` and `0.0.0.0` may be listed side by side.
            sockopt::set_ipv6_v6only(&fd, true)?;
        }
        rustix::net::bind(&fd, &bound)?;
        rustix::net::listen(&fd, backlog.try_into().unwrap_or(i32::MAX))?;
        if bound.port() == 0 {
            bound = rustix::net::getsockname(&fd)?.try_into().map_err(|_| io::ErrorKind::AddrNotAvailable)?;
        }
        sockets.push(fd);
    }
    Ok(Bound { sockets, address: ListenAddress::Tcp(bound), file: None })
}

/// `SO_REUSEPORT` would let a second gateway of the same user take half of the connections without a word. Without it the
/// address is refused while anybody listens there.
fn refuse_shared(address: SocketAddr) -> io::Result<()> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let probe = rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_reuseaddr(&probe, true)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&probe, true)?;
    }
    Ok(rustix::net::bind(&probe, &address)?)
}

/// A unix socket is bound once; all workers accept from it.
fn bind_unix(path: &Path, backlog: u32) -> io::Result<Bound> {
    remove_stale(path)?;
    let fd = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    rustix::net::bind(&fd, &SocketAddrUnix::new(path)?)?;
    let file = SocketFile::of(path);
    rustix::net::listen(&fd, backlog.try_into().unwrap_or(i32::MAX))?;
    Ok(Bound { sockets: vec![fd], address: ListenAddress::Unix(path.to_owned()), file })
}

/// A socket file that nobody listens at is left from an earlier life; one that answers belongs to somebody.
fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(_) => return Ok(()),
        Ok(found) if !found.file_type().is_socket() => return Err(io::ErrorKind::AlreadyExists.into()),
        Ok(_) => {}
    }
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    fs::remove_file(path)
}

/// A door, for one worker.
pub struct Opened {
    /// Its number; the same on every worker.
    pub door: u64,
    /// A listening socket.
    pub descriptor: OwnedFd,
    /// The port, as backends are told; 0 for a unix socket.
    pub port: u16,
    /// Whether the service manager holds the socket as well.
    pub shared: bool,
    /// How it takes connections.
    pub terms: Terms,
}

/// How a door takes connections: what a reload may change.
#[derive(Clone)]
pub struct Terms {
    /// Whether `{api}.execute-api.*` answers here.
    pub execute_api: bool,
    /// Connections that the kernel may queue.
    pub backlog: u32,
    /// Whether HTTP/2 is spoken without TLS.
    pub h2c: bool,
    /// What it proves itself with; `None`: plain HTTP. For connections that come from now on.
    pub tls: Option<Arc<Tls>>,
    /// Who says in front of a connection whose it is; `None`: nobody. Likewise.
    pub balancers: Option<Arc<ProxyProtocol>>,
    /// How clients are told to use TLS.
    pub manner: Manner,
}

/// What a reload changes about the doors of a worker.
pub enum Order {
    /// Accept here, too.
    Open(Opened),
    /// Other settings for the same socket.
    Change {
        /// Whose.
        door: u64,
        /// How it takes connections from now on.
        terms: Terms,
    },
    /// Accept no more here, and lose nobody who has come already.
    Close(u64),
}

/// Opens, changes and closes doors.
pub fn carry_out(orders: Vec<Order>, worker: &Rc<Worker>) {
    for order in orders {
        match order {
            Order::Open(Opened { door, descriptor, port, shared, terms }) => {
                let entry = worker.entries.enter(door, port, terms.execute_api, terms.backlog);
                agree(&entry, terms);
                if shared {
                    entry.share();
                }
                worker.colleagues.opened(door);
                // Counted now, not when its task is first looked at: an order to leave may be next, and somebody may have come.
                spawn(accept_all(descriptor, entry, worker.begin_accepting()));
            }
            Order::Change { door, terms } => {
                for entry in worker.entries.door(door) {
                    agree(&entry, terms.clone());
                }
            }
            Order::Close(door) => {
                for entry in worker.entries.door(door) {
                    entry.close();
                }
            }
        }
    }
}

/// From now on the door takes connections on these terms.
fn agree(entry: &Entry, terms: Terms) {
    let Terms { execute_api, backlog, h2c, tls, balancers, manner } = terms;
    entry.protect(tls, manner);
    entry.offer_http2(h2c);
    entry.expect(balancers);
    entry.change(execute_api, backlog);
}

/// Accepts until the worker drains or the door closes, and then whoever was in the queue already. Connections are parked at
/// once: their first byte starts a task.
async fn accept_all(fd: OwnedFd, entry: Rc<Entry>, accepting: Accepting) {
    let worker = accepting.worker().clone();
    let listener = Listener::adopt(fd);
    let mut backlog = entry.backlog();
    loop {
        accept_while_open(&listener, &mut backlog, &entry, &worker).await;
        if !worker.is_paused() || is_over(&entry, &worker) {
            break;
        }
        rest(&listener, &entry, &worker).await;
    }
    if entry.is_shared() {
        let_go(&listener, &entry, &worker).await;
        drop((listener, accepting));
        if !worker.is_draining() {
            see_off(&entry, &worker).await;
        }
        return;
    }
    if worker.is_draining() {
        // Busy clients are still let in, as far as there is time; the last ones finish their handshake.
        accept_until_quiet(&listener, &entry, &worker).await;
        hold_back_new(&listener, &entry);
        accept_until_quiet(&listener, &entry, &worker).await;
        let_go(&listener, &entry, &worker).await;
        return;
    }
    take_the_last(listener, &entry, &worker).await;
    drop(accepting);
    see_off(&entry, &worker).await;
}

/// Accepts until the worker drains or pauses, or the door closes.
async fn accept_while_open(listener: &Listener, backlog: &mut u32, entry: &Entry, worker: &Rc<Worker>) {
    while let Some(accepted) = accept(listener, backlog, entry, worker).await {
        match accepted {
            Ok(fd) => admit_here_or_there(fd, entry, worker),
            Err(error) => bear(&error, worker).await,
        }
        if !worker.load.is_accepting() {
            add(&worker.metrics.overload_pauses, 1);
            // Who was taken by then is told, if there is time; the others wait in the kernel's queue.
            let_go(listener, entry, worker).await;
        }
        while !worker.load.is_accepting() && !worker.is_paused() && !is_over(entry, worker) {
            shed::shrink(worker);
            sleep(ACCEPT_PAUSE).await;
        }
    }
}

fn is_over(entry: &Entry, worker: &Worker) -> bool {
    worker.is_draining() || entry.is_closing()
}

/// Stops accepting; who has been accepted by then is let in. The queue is left as it is, for whoever else accepts from it.
async fn let_go(listener: &Listener, entry: &Entry, worker: &Rc<Worker>) {
    while let Some(accepted) = listener.stop().await {
        if let Ok(fd) = accepted {
            admit(fd, entry, worker);
        }
    }
}

/// Accepts nobody while the worker pauses: another process may be about to.
async fn rest(listener: &Listener, entry: &Entry, worker: &Rc<Worker>) {
    let_go(listener, entry, worker).await;
    let _at_rest = worker.rest();
    poll_fn(|context| {
        entry.listen(context);
        if worker.is_paused() && !is_over(entry, worker) { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    // Whoever goes on accepting here without us has made the socket as it needs it.
    if !(entry.is_shared() && is_over(entry, worker)) {
        listener.regain();
    }
}

/// An error of accepting: it is counted, idle connections make room where that helps, and a pause keeps it from spinning.
async fn bear(error: &io::Error, worker: &Rc<Worker>) {
    // The client left before it was taken.
    if error.raw_os_error() == Some(libc::ECONNABORTED) {
        return;
    }
    worker.accept_failed(error);
    if is_shortage(error) {
        shed::make_room_in_need(worker);
    }
    sleep(ACCEPT_PAUSE).await;
}

/// Lets in who comes within a short time of the one before. Who waits while there is no descriptor has longer.
async fn accept_until_quiet(listener: &Listener, entry: &Entry, worker: &Rc<Worker>) {
    let began = now();
    let mut until = began + LAST_REQUEST_TIME;
    while now() < until
        && let Ok(accepted) = timeout(LAST_ACCEPT_TIME, listener.accept()).await
    {
        match accepted {
            Ok(fd) => admit(fd, entry, worker),
            Err(error) => {
                bear(&error, worker).await;
                until = began + LAST_HANDSHAKES_TIME_MAX;
            }
        }
    }
}

fn hold_back_new(listener: &Listener, entry: &Entry) {
    // The name of a unix socket is gone before it closes, or goes with the process.
    if entry.port != 0
        && let Err(error) = listener.refuse_new()
    {
        tracing::warn!(%error, "cannot hold back who knocks at a listener that closes; somebody may be reset");
    }
}

/// Empties the queue of a door that closes, handshakes under way included, and closes it.
async fn take_the_last(listener: Listener, entry: &Rc<Entry>, worker: &Rc<Worker>) {
    let is_tcp = entry.port != 0;
    hold_back_new(&listener, entry);
    let until = now() + LAST_HANDSHAKES_TIME_MAX;
    let mut last = now();
    loop {
        // A unix socket has no handshake, and its name is gone.
        let quiet = if is_tcp && !worker.is_draining() { LAST_HANDSHAKE_TIME } else { LAST_ACCEPT_TIME };
        if now() - last >= quiet || now() >= until {
            return;
        }
        match timeout(LAST_ACCEPT_TIME, listener.accept()).await {
            Ok(Ok(fd)) => {
                admit(fd, entry, worker);
                last = now();
            }
            Ok(Err(error)) => bear(&error, worker).await,
            Err(Elapsed) => {}
        }
    }
}

/// Waits until every connection of a closed door has ended: each may say one more thing within the time of a drain, and learns
/// with its answer that the connection ends; then those that are idle are let go.
async fn see_off(entry: &Rc<Entry>, worker: &Rc<Worker>) {
    let until = now() + worker.live().snapshot().gateway.limits.drain_time;
    // Another worker, which has not heard of it yet, may have sent somebody.
    let not_before = now() + LAST_HANDSHAKE_TIME;
    while (entry.connections() > 0 || now() < not_before) && now() < until {
        sleep(TICK).await;
    }
    entry.shut();
    expire_parked(|tag| tag & ENTRY_TAG == entry.tag);
    while entry.connections() > 0 {
        sleep(TICK).await;
    }
    worker.entries.leave(entry);
}

/// Lets in who has been accepted, unless another worker carries clearly fewer connections.
fn admit_here_or_there(fd: OwnedFd, entry: &Entry, worker: &Rc<Worker>) {
    let stays = match worker.colleagues.lighter(entry.door, || worker.random() as u64) {
        Some(colleague) => colleague.hand_over(Newcomer { door: entry.door, fd }).err().map(|newcomer| newcomer.fd),
        None => Some(fd),
    };
    match stays {
        Some(fd) => admit(fd, entry, worker),
        None => add(&worker.metrics.connections_handed_over, 1),
    }
}

/// Lets in whom other workers have accepted, to the end of this one.
pub async fn welcome(newcomers: Receiver<Newcomer>, worker: Rc<Worker>) {
    loop {
        let Newcomer { door, fd } = newcomers.recv().await;
        let here = worker.clone();
        // A task for each: should one panic, the others come in all the same.
        spawn(async move {
            let _arriving = here.colleagues.arriving();
            // A door that closes stays for longer than anybody is on the way; should it be gone, so is the connection.
            if let Some(entry) = here.entries.of_door(door) {
                admit(fd, &entry, &here);
            }
        });
    }
}

fn admit(fd: OwnedFd, entry: &Entry, worker: &Rc<Worker>) {
    add(&worker.metrics.connections_accepted, 1);
    let peer = peer_of(&fd);
    let ip = peer.map(|peer| peer.ip());
    let balancers = entry.balancers();
    let is_balancer = balancers.as_ref().is_some_and(|balancers| balancers.from.contain(ip));
    if !is_balancer && balancers.is_some_and(|balancers| balancers.others == Others::Refused) {
        // Whatever it says: the socket closes.
        return greeting::failed(GreetingFailure::Untrusted, worker);
    }
    let sock = Sock::adopt(fd, peer);
    if !shed::make_room(worker) {
        return shed::turn_away(sock, (shed::Why::Full, is_balancer), entry, worker);
    }
    // Whoever stands for many clients counts for none of them.
    let is_uncounted = is_balancer || worker.live().is_hop(ip);
    sock.count_for_peer(!is_uncounted);
    if !worker.connection_opened(entry, Caller::of(sock.counts_for())) {
        return shed::turn_away(sock, (shed::Why::Address, false), entry, worker);
    }
    if !is_balancer {
        return await_first_byte(sock, entry, worker);
    }
    add(&worker.metrics.connections_idle, 1);
    sock.set_deadline(Some(GREETING_TIME));
    sock.park(entry.tag | GREETING_TAG, Group::Small);
}

/// The next connection; `None` as soon as the worker drains or pauses, or the door closes.
async fn accept(listener: &Listener, backlog: &mut u32, entry: &Entry, worker: &Worker) -> Option<io::Result<OwnedFd>> {
    poll_fn(|context| {
        entry.listen(context);
        if worker.is_paused() || is_over(entry, worker) {
            return Poll::Ready(None);
        }
        if *backlog != entry.backlog() {
            *backlog = entry.backlog();
            if let Err(error) = listener.set_backlog(*backlog) {
                tracing::warn!(%error, backlog, "cannot change a listener's backlog");
            }
        }
        listener.poll_accept(context).map(Some)
    })
    .await
}

/// The other end of an accepted TCP connection.
pub fn peer_of(fd: impl AsFd) -> Option<SocketAddr> {
    rustix::net::getpeername(fd).ok().flatten()?.try_into().ok()
}
