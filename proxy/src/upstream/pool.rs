//! A worker's servers and their connections: idle ones are parked sockets, so that a close is known before the next use.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use config::snapshot::{self, ServerAddress, Snapshot};
use policy::fault::Fault;

use super::balance::{self, Candidate};
use super::connect;
use crate::io::{Event, Group, Parked, RBuf, Sock};
use crate::observe::metrics::{add, sub};
use crate::worker::Worker;

/// Tags of parked upstream sockets have this bit; those of clients do not.
pub const UPSTREAM_TAG: u64 = 1 << 63;

/// An upstream on this worker. Kept across reloads as long as its specification stays the same.
pub struct Upstream {
    /// As configured.
    pub spec: snapshot::Upstream,
    /// In the order of the specification.
    pub servers: Box<[Rc<Server>]>,
}

/// One machine of an upstream, as this worker sees it.
pub struct Server {
    /// Where it is.
    pub address: Address,
    weight: u16,
    limits: snapshot::Pool,
    tag: u64,
    credit: Cell<i64>,
    /// Requests under way.
    in_flight: Cell<u32>,
    /// Connections, idle ones included.
    open: Cell<u32>,
    idle: RefCell<Vec<Parked>>,
    turn: Cell<usize>,
}

/// Where a server is.
pub enum Address {
    /// A literal address.
    Socket(SocketAddr),
    /// A name; resolved in the background.
    Name {
        /// The host.
        host: Arc<str>,
        /// The port.
        port: u16,
    },
    /// A unix socket.
    Unix(PathBuf),
}

/// A connection to a server, in use. Dropping it closes it; `release` keeps it.
pub struct Connection {
    /// The socket.
    pub sock: Sock,
    /// Received and not yet used.
    pub inflow: RBuf,
    /// Whether it was used before: then its failure may only mean that it had grown stale.
    pub reused: bool,
    /// Whether the request was sent whole; otherwise the connection ends with this answer.
    pub request_sent: bool,
    lease: Lease,
}

/// Counts a connection and a request under way, for as long as it lives.
struct Lease {
    server: Rc<Server>,
    worker: Rc<Worker>,
    kept: bool,
}

impl Drop for Lease {
    fn drop(&mut self) {
        let server = &self.server;
        server.in_flight.set(server.in_flight.get() - 1);
        if !self.kept {
            server.open.set(server.open.get() - 1);
            sub(&self.worker.metrics.upstream_connections_open, 1);
        }
    }
}

impl Connection {
    /// Gives the connection back after a whole answer, if it may serve again; closes it otherwise.
    pub fn release(self, worker: &Worker, reusable: bool) {
        let Connection { sock, inflow, request_sent, mut lease, .. } = self;
        let server = lease.server.clone();
        let room = server.idle.borrow().len() < server.limits.idle as usize;
        // Bytes behind a whole answer belong to nothing that was asked: such a peer is not used again.
        if !reusable || !request_sent || !inflow.is_empty() || !room || worker.is_draining() {
            return;
        }
        lease.kept = true;
        sock.set_deadline(Some(server.limits.idle_time));
        server.idle.borrow_mut().push(sock.park(server.tag, Group::Large));
        add(&worker.metrics.upstream_idle, 1);
    }
}

impl Upstream {
    /// A connection for one request: an idle one, or a new one. `fresh` asks for a new one; `avoid` names a server that
    /// just failed. The server's index comes back for the next attempt.
    pub async fn checkout(
        &self,
        worker: &Rc<Worker>,
        fresh: bool,
        avoid: Option<usize>,
    ) -> Result<(Connection, usize), (Fault, Option<usize>)> {
        let index = self.pick(avoid).ok_or((Fault::ConnectFailed, None))?;
        let server = &self.servers[index];
        if !fresh && let Some(sock) = server.take_idle(worker) {
            add(&worker.metrics.upstream_reuses, 1);
            return Ok((server.lease(worker, sock, true), index));
        }
        if server.open.get() >= server.limits.connections {
            return Err((Fault::PoolExhausted, Some(index)));
        }
        // Counted before the connect, so that a burst cannot exceed the limit.
        let lease = server.begin(worker);
        let sock = connect::connect(server, self.spec.connect_time, worker).await.map_err(|fault| (fault, Some(index)))?;
        add(&worker.metrics.upstream_connects, 1);
        Ok((Connection { sock, inflow: RBuf::empty(), reused: false, request_sent: false, lease }, index))
    }

    fn pick(&self, avoid: Option<usize>) -> Option<usize> {
        if self.servers.len() == 1 {
            return Some(0);
        }
        let mut candidates: Vec<Candidate> = self.servers.iter().map(|server| server.candidate()).collect();
        let chosen = balance::pick(self.spec.balance, &mut candidates, avoid);
        candidates.iter().zip(&self.servers).for_each(|(after, server)| server.credit.set(after.credit));
        chosen
    }

    /// Connections and requests under way, for the status page: (open, idle, in flight).
    pub fn load(&self) -> (u32, u32, u32) {
        self.servers.iter().fold((0, 0, 0), |(open, idle, busy), server| {
            let here = server.idle.borrow().len() as u32;
            (open + server.open.get(), idle + here, busy + server.in_flight.get())
        })
    }
}

impl Server {
    fn candidate(&self) -> Candidate {
        Candidate { weight: self.weight, in_flight: self.in_flight.get(), credit: self.credit.get() }
    }

    /// The youngest idle connection: the one least likely to have been closed by the other side.
    fn take_idle(&self, worker: &Worker) -> Option<Sock> {
        loop {
            let parked = self.idle.borrow_mut().pop()?;
            sub(&worker.metrics.upstream_idle, 1);
            if let Some(sock) = parked.unpark() {
                sock.set_deadline(None);
                return Some(sock);
            }
            // Its event is on the way and will find it gone from the list.
            self.open.set(self.open.get() - 1);
            sub(&worker.metrics.upstream_connections_open, 1);
        }
    }

    fn lease(self: &Rc<Server>, worker: &Rc<Worker>, sock: Sock, reused: bool) -> Connection {
        self.in_flight.set(self.in_flight.get() + 1);
        let lease = Lease { server: self.clone(), worker: worker.clone(), kept: false };
        Connection { sock, inflow: RBuf::empty(), reused, request_sent: false, lease }
    }

    fn begin(self: &Rc<Server>, worker: &Rc<Worker>) -> Lease {
        self.in_flight.set(self.in_flight.get() + 1);
        self.open.set(self.open.get() + 1);
        add(&worker.metrics.upstream_connections_open, 1);
        Lease { server: self.clone(), worker: worker.clone(), kept: false }
    }

    /// An idle connection closed, expired, or spoke without being asked: it is dropped.
    fn forget(&self, parked: Parked, worker: &Worker) {
        let mut idle = self.idle.borrow_mut();
        if let Some(at) = idle.iter().position(|known| *known == parked) {
            idle.remove(at);
            self.open.set(self.open.get() - 1);
            sub(&worker.metrics.upstream_idle, 1);
            sub(&worker.metrics.upstream_connections_open, 1);
        }
    }

    /// The addresses of a name are used in turn.
    pub fn next_of(&self, addresses: &[IpAddr]) -> Option<IpAddr> {
        let turn = self.turn.get();
        self.turn.set(turn.wrapping_add(1));
        addresses.get(turn % addresses.len().max(1)).copied()
    }
}

/// All upstreams of a worker.
#[derive(Default)]
pub struct Pools {
    upstreams: RefCell<HashMap<Arc<str>, Rc<Upstream>>>,
    servers: RefCell<HashMap<u64, Rc<Server>>>,
    next_tag: Cell<u64>,
}

impl Pools {
    /// The upstreams of a snapshot, by number. One whose specification is unchanged keeps its connections; the connections
    /// of others are closed as soon as they are idle.
    pub fn adopt(&self, snapshot: &Snapshot, worker: &Worker) -> Box<[Rc<Upstream>]> {
        let mut known = std::mem::take(&mut *self.upstreams.borrow_mut());
        let adopted: Box<[Rc<Upstream>]> = snapshot
            .upstreams
            .iter()
            .map(|spec| match known.remove(&spec.name) {
                Some(upstream) if upstream.spec == *spec => upstream,
                Some(changed) => {
                    self.retire(&changed, worker);
                    self.make(spec)
                }
                None => self.make(spec),
            })
            .collect();
        known.values().for_each(|gone| self.retire(gone, worker));
        let names = adopted.iter().map(|upstream| (upstream.spec.name.clone(), upstream.clone()));
        *self.upstreams.borrow_mut() = names.collect();
        adopted
    }

    fn make(&self, spec: &snapshot::Upstream) -> Rc<Upstream> {
        let server = |server: &snapshot::Server| {
            let tag = self.next_tag.get() | UPSTREAM_TAG;
            self.next_tag.set(self.next_tag.get() + 1);
            let made = Rc::new(Server {
                address: Address::of(&server.address),
                weight: server.weight,
                limits: spec.pool,
                tag,
                credit: Cell::new(0),
                in_flight: Cell::new(0),
                open: Cell::new(0),
                idle: RefCell::default(),
                turn: Cell::new(0),
            });
            self.servers.borrow_mut().insert(tag, made.clone());
            made
        };
        Rc::new(Upstream { spec: spec.clone(), servers: spec.servers.iter().map(server).collect() })
    }

    fn retire(&self, upstream: &Upstream, worker: &Worker) {
        for server in &upstream.servers {
            while let Some(sock) = server.take_idle(worker) {
                server.open.set(server.open.get() - 1);
                sub(&worker.metrics.upstream_connections_open, 1);
                drop(sock);
            }
            self.servers.borrow_mut().remove(&server.tag);
        }
    }

    /// Something happened to an idle connection.
    pub fn event(&self, event: &Event, worker: &Worker) {
        let server = self.servers.borrow().get(&event.tag).cloned();
        if let Some(server) = server {
            server.forget(event.parked, worker);
        }
    }

    /// Closes what is idle: the worker is about to leave.
    pub fn close_idle(&self, worker: &Worker) {
        let upstreams: Vec<_> = self.upstreams.borrow().values().cloned().collect();
        upstreams.iter().for_each(|upstream| self.retire(upstream, worker));
    }
}

impl Address {
    fn of(address: &ServerAddress) -> Address {
        match address {
            ServerAddress::Socket(address) => Address::Socket(*address),
            ServerAddress::Name { host, port } => Address::Name { host: Arc::from(&**host), port: *port },
            ServerAddress::Unix(path) => Address::Unix(path.clone()),
        }
    }
}
