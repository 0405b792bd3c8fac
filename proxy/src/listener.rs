//! Listening sockets: bound once per worker, so that the kernel spreads connections; and the loop that accepts.

use std::fs;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;
use std::rc::Rc;
use std::task::Poll;

use config::snapshot::{ListenAddress, Listener as Spec};
use rustix::net::sockopt;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::entry::Entry;
use crate::io::{Group, Listener, Sock, now, sleep, timeout};
use crate::limits::{ACCEPT_PAUSE, LAST_ACCEPT_TIME, LAST_REQUEST_TIME};
use crate::observe::metrics::add;
use crate::state::Worker;

/// One listening descriptor per worker. `address` comes back with the port that the kernel chose, if it was asked to.
pub fn bind(spec: &Spec, workers: usize) -> io::Result<(Vec<OwnedFd>, ListenAddress)> {
    match &spec.address {
        ListenAddress::Tcp(address) => bind_tcp(*address, spec.backlog, workers),
        ListenAddress::Unix(path) => bind_unix(path, spec.backlog, workers),
    }
}

fn bind_tcp(address: SocketAddr, backlog: u32, workers: usize) -> io::Result<(Vec<OwnedFd>, ListenAddress)> {
    refuse_shared(address)?;
    let mut bound = address;
    let mut descriptors = Vec::with_capacity(workers);
    for _ in 0..workers {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let fd = rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        sockopt::set_socket_reuseaddr(&fd, true)?;
        sockopt::set_socket_reuseport(&fd, true)?;
        // Accepted sockets inherit it: one system call less for each of them.
        sockopt::set_tcp_nodelay(&fd, true)?;
        if address.is_ipv6() {
            // `[::]` and `0.0.0.0` may be listed side by side.
            sockopt::set_ipv6_v6only(&fd, true)?;
        }
        rustix::net::bind(&fd, &bound)?;
        rustix::net::listen(&fd, backlog.try_into().unwrap_or(i32::MAX))?;
        if bound.port() == 0 {
            bound = rustix::net::getsockname(&fd)?.try_into().map_err(|_| io::ErrorKind::AddrNotAvailable)?;
        }
        descriptors.push(fd);
    }
    Ok((descriptors, ListenAddress::Tcp(bound)))
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
fn bind_unix(path: &Path, backlog: u32, workers: usize) -> io::Result<(Vec<OwnedFd>, ListenAddress)> {
    remove_stale(path)?;
    let fd = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    rustix::net::bind(&fd, &SocketAddrUnix::new(path)?)?;
    rustix::net::listen(&fd, backlog.try_into().unwrap_or(i32::MAX))?;
    let mut descriptors = vec![fd];
    while descriptors.len() < workers {
        let copy = descriptors[0].try_clone()?;
        descriptors.push(copy);
    }
    Ok((descriptors, ListenAddress::Unix(path.to_owned())))
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

/// Accepts until the worker drains, and then whoever was in the queue already. Connections are parked at once: their first
/// byte starts a task.
pub async fn accept_all(fd: OwnedFd, entry: Rc<Entry>, worker: Rc<Worker>) {
    let listener = Listener::adopt(fd);
    while let Some(accepted) = accept(&listener, &worker).await {
        match accepted {
            Ok(fd) => admit(fd, &entry, &worker),
            // The client left before it was taken.
            Err(error) if error.raw_os_error() == Some(libc::ECONNABORTED) => {}
            Err(error) => {
                worker.accept_failed(&error);
                sleep(ACCEPT_PAUSE).await;
            }
        }
        while worker.is_full() && !worker.is_draining() {
            sleep(ACCEPT_PAUSE).await;
        }
    }
    let until = now() + LAST_REQUEST_TIME;
    while now() < until
        && let Ok(Ok(fd)) = timeout(LAST_ACCEPT_TIME, listener.accept()).await
    {
        admit(fd, &entry, &worker);
    }
}

fn admit(fd: OwnedFd, entry: &Entry, worker: &Worker) {
    worker.connection_opened();
    add(&worker.metrics.connections_idle, 1);
    let peer = peer_of(&fd);
    let sock = Sock::adopt(fd, peer);
    sock.set_deadline(Some(worker.live().snapshot().gateway.limits.idle_time));
    sock.park(entry.tag, Group::Small);
}

/// The next connection; `None` as soon as the worker drains.
async fn accept(listener: &Listener, worker: &Worker) -> Option<io::Result<OwnedFd>> {
    poll_fn(
        |context| {
            if worker.poll_draining(context) { Poll::Ready(None) } else { listener.poll_accept(context).map(Some) }
        },
    )
    .await
}

/// The other end of an accepted TCP connection.
pub fn peer_of(fd: impl AsFd) -> Option<SocketAddr> {
    rustix::net::getpeername(fd).ok().flatten()?.try_into().ok()
}
