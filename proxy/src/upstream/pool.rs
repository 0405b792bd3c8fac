//! A worker's servers and their connections: idle ones are parked sockets, so that a close is known before the next use.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use config::snapshot::{self, ServerAddress, Snapshot};
use policy::fault::Fault;

use super::balance::{self, Candidate};
use super::connect;
use super::resolve::Names;
use crate::body::Transfer;
use crate::io::{Event, Group, Parked, RBuf, Sock};
use crate::observe::metrics::{WorkerMetrics, add, sub};

/// Tags of parked upstream sockets have this bit; those of clients do not.
pub const UPSTREAM_TAG: u64 = 1 << 63;

/// An upstream on this worker. Kept across reloads as long as its specification stays the same; its servers, with their
/// connections, as long as their addresses do.
pub struct Upstream {
    /// As configured.
    pub spec: snapshot::Upstream,
    /// This worker's counters.
    pub metrics: Arc<WorkerMetrics>,
    /// In the order of the specification.
    pub servers: Box<[Rc<Server>]>,
}

/// One machine of an upstream, as this worker sees it.
pub struct Server {
    /// Where it is.
    pub address: Address,
    weight: Cell<u16>,
    limits: Cell<snapshot::Pool>,
    metrics: Arc<WorkerMetrics>,
    tag: u64,
    credit: Cell<i64>,
    /// Requests under way.
    in_flight: Cell<u32>,
    /// Connections, idle ones included.
    open: Cell<u32>,
    idle: RefCell<Vec<Parked>>,
    turn: Cell<usize>,
    /// No snapshot names it any more: connections in use end with their answer.
    retired: Cell<bool>,
}

/// Where a server is.
#[derive(PartialEq, Eq)]
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
    /// What is left of the request's body, if the answer began before its end.
    pub upload: Option<Transfer>,
    lease: Lease,
}

/// Counts a connection and a request under way, for as long as it lives.
struct Lease {
    server: Rc<Server>,
    kept: bool,
}

impl Drop for Lease {
    fn drop(&mut self) {
        let server = &self.server;
        server.in_flight.set(server.in_flight.get() - 1);
        sub(&server.metrics.upstream_in_flight, 1);
        if !self.kept {
            server.open.set(server.open.get() - 1);
            sub(&server.metrics.upstream_connections_open, 1);
        }
    }
}

impl Connection {
    /// Gives the connection back after a whole answer, if it may serve again; closes it otherwise.
    pub fn release(self, reusable: bool) {
        let Connection { sock, inflow, request_sent, mut lease, .. } = self;
        let server = lease.server.clone();
        let room = server.idle.borrow().len() < server.limits.get().idle as usize;
        // Bytes behind a whole answer belong to nothing that was asked: such a peer is not used again.
        if !reusable || !request_sent || !inflow.is_empty() || !room || server.retired.get() {
            return;
        }
        lease.kept = true;
        sock.set_deadline(Some(server.limits.get().idle_time));
        server.idle.borrow_mut().push(sock.park(server.tag, Group::Large));
        add(&server.metrics.upstream_idle, 1);
    }
}

impl Upstream {
    /// A connection for one request: an idle one, or a new one within `within`. `fresh` asks for a new one; `avoid` names a
    /// server that just failed. The server's index comes back for the next attempt.
    pub async fn checkout(
        &self,
        names: &Names,
        within: Duration,
        fresh: bool,
        avoid: Option<usize>,
    ) -> Result<(Connection, usize), (Fault, Option<usize>)> {
        let index = self.pick(avoid).ok_or((Fault::ConnectFailed, None))?;
        let server = &self.servers[index];
        if !fresh && let Some(sock) = server.take_idle() {
            add(&self.metrics.upstream_reuses, 1);
            return Ok((server.lease(sock), index));
        }
        if server.open.get() >= server.limits.get().connections {
            return Err((Fault::PoolExhausted, Some(index)));
        }
        // Counted before the connect, so that a burst cannot exceed the limit.
        let lease = server.begin();
        let sock = connect::connect(server, self.spec.connect_time.min(within), names)
            .await
            .map_err(|fault| (fault, Some(index)))?;
        add(&self.metrics.upstream_connects, 1);
        Ok((Connection { sock, inflow: RBuf::empty(), reused: false, request_sent: false, upload: None, lease }, index))
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
}

impl Server {
    fn candidate(&self) -> Candidate {
        Candidate { weight: self.weight.get(), in_flight: self.in_flight.get(), credit: self.credit.get() }
    }

    /// The youngest idle connection: the one least likely to have been closed by the other side.
    fn take_idle(&self) -> Option<Sock> {
        loop {
            let parked = self.idle.borrow_mut().pop()?;
            sub(&self.metrics.upstream_idle, 1);
            if let Some(sock) = parked.unpark() {
                sock.set_deadline(None);
                return Some(sock);
            }
            // Its event is on the way and will find it gone from the list.
            self.open.set(self.open.get() - 1);
            sub(&self.metrics.upstream_connections_open, 1);
        }
    }

    /// Other settings. Turns begin anew: the others of the upstream may have changed as well.
    fn change(&self, weight: u16, limits: snapshot::Pool) {
        self.weight.set(weight);
        self.limits.set(limits);
        self.credit.set(0);
        self.close_idle_beyond(limits.idle as usize);
    }

    fn close_idle_beyond(&self, most: usize) {
        while self.idle.borrow().len() > most
            && let Some(sock) = self.take_idle()
        {
            self.open.set(self.open.get() - 1);
            sub(&self.metrics.upstream_connections_open, 1);
            drop(sock);
        }
    }

    fn lease(self: &Rc<Server>, sock: Sock) -> Connection {
        self.in_flight.set(self.in_flight.get() + 1);
        add(&self.metrics.upstream_in_flight, 1);
        let lease = Lease { server: self.clone(), kept: false };
        Connection { sock, inflow: RBuf::empty(), reused: true, request_sent: false, upload: None, lease }
    }

    fn begin(self: &Rc<Server>) -> Lease {
        self.in_flight.set(self.in_flight.get() + 1);
        add(&self.metrics.upstream_in_flight, 1);
        self.open.set(self.open.get() + 1);
        add(&self.metrics.upstream_connections_open, 1);
        Lease { server: self.clone(), kept: false }
    }

    /// An idle connection closed, expired, or spoke without being asked: it is dropped.
    fn forget(&self, parked: Parked) {
        let mut idle = self.idle.borrow_mut();
        if let Some(at) = idle.iter().position(|known| *known == parked) {
            idle.remove(at);
            self.open.set(self.open.get() - 1);
            sub(&self.metrics.upstream_idle, 1);
            sub(&self.metrics.upstream_connections_open, 1);
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
    /// The upstreams of a snapshot, by number. A server that its upstream still has keeps its connections, whatever else
    /// changes; those of others are closed as soon as they are idle.
    pub fn adopt(&self, snapshot: &Snapshot, metrics: &Arc<WorkerMetrics>) -> Box<[Rc<Upstream>]> {
        let mut known = std::mem::take(&mut *self.upstreams.borrow_mut());
        let adopted: Box<[Rc<Upstream>]> = snapshot
            .upstreams
            .iter()
            .map(|spec| match known.remove(&spec.name) {
                Some(upstream) if upstream.spec == *spec => upstream,
                before => self.make(spec, before.as_deref(), metrics),
            })
            .collect();
        for server in known.values().flat_map(|gone| &gone.servers) {
            self.retire(server);
        }
        let names = adopted.iter().map(|upstream| (upstream.spec.name.clone(), upstream.clone()));
        *self.upstreams.borrow_mut() = names.collect();
        adopted
    }

    fn make(&self, spec: &snapshot::Upstream, before: Option<&Upstream>, metrics: &Arc<WorkerMetrics>) -> Rc<Upstream> {
        // A new field does not build until it is decided whether connections that are open still serve with it: these do.
        let snapshot::Upstream { name: _, servers, balance: _, pool, connect_time: _ } = spec;
        let mut left = before.map(|before| before.servers.to_vec()).unwrap_or_default();
        let servers = servers.iter().map(|server| {
            let address = Address::of(&server.address);
            match left.iter().position(|known| known.address == address) {
                Some(at) => {
                    let kept = left.remove(at);
                    kept.change(server.weight, *pool);
                    kept
                }
                None => self.make_server(address, server.weight, *pool, metrics),
            }
        });
        let servers = servers.collect();
        for gone in &left {
            self.retire(gone);
        }
        Rc::new(Upstream { spec: spec.clone(), metrics: metrics.clone(), servers })
    }

    fn make_server(
        &self,
        address: Address,
        weight: u16,
        limits: snapshot::Pool,
        metrics: &Arc<WorkerMetrics>,
    ) -> Rc<Server> {
        let tag = self.next_tag.get() | UPSTREAM_TAG;
        self.next_tag.set(self.next_tag.get() + 1);
        let made = Rc::new(Server {
            address,
            weight: Cell::new(weight),
            limits: Cell::new(limits),
            metrics: metrics.clone(),
            tag,
            credit: Cell::new(0),
            in_flight: Cell::new(0),
            open: Cell::new(0),
            idle: RefCell::default(),
            turn: Cell::new(0),
            retired: Cell::new(false),
        });
        self.servers.borrow_mut().insert(tag, made.clone());
        made
    }

    fn retire(&self, server: &Server) {
        server.retired.set(true);
        server.close_idle_beyond(0);
        self.servers.borrow_mut().remove(&server.tag);
    }

    /// Something happened to an idle connection.
    pub fn event(&self, event: &Event) {
        let server = self.servers.borrow().get(&event.tag).cloned();
        if let Some(server) = server {
            server.forget(event.parked);
        }
    }

    /// Closes what is idle: the worker is about to leave.
    pub fn close_idle(&self) {
        let upstreams: Vec<_> = self.upstreams.borrow().values().cloned().collect();
        for server in upstreams.iter().flat_map(|upstream| &upstream.servers) {
            self.retire(server);
        }
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
