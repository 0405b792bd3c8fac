//! One server as a worker sees it, and its connections: idle ones are parked sockets, so that a close is known before the next
//! use.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use codec::proxy_protocol::Version;
use config::snapshot::{Outlier, Pool, Protocol, ServerAddress};
use policy::fault::{Blame, Fault};

use super::balance::Candidate;
use super::http2::{Carrier, Lines, Seat};
use super::secure::Secure;
use super::shared::{Block, Shared, Standing, millis};
use crate::body::Transfer;
use crate::io::{Group, Parked, Protection, RBuf, Sock, now};
use crate::link::Link;
use crate::observe::metrics::{WorkerMetrics, add, sub};

/// Tags of parked upstream sockets have this bit; those of clients do not.
pub const UPSTREAM_TAG: u64 = 1 << 63;

/// One machine of an upstream.
pub struct Server {
    /// Where it is.
    pub address: Address,
    /// Its name for this worker; also the tag of its parked sockets.
    pub tag: u64,
    /// How it is spoken to; `None`: in clear text. Another one is another server: their connections are never mixed.
    pub secure: Option<Secure>,
    /// How it does, on all workers.
    pub standing: Arc<Standing>,
    shared: Arc<Shared>,
    worker: usize,
    metrics: Arc<WorkerMetrics>,
    settings: Cell<Settings>,
    credit: Cell<i64>,
    /// Requests under way.
    in_flight: Cell<u32>,
    /// Connections, idle ones included.
    open: Cell<u32>,
    idle: RefCell<Vec<Parked>>,
    /// Connections that carry many requests at once.
    pub lines: Lines,
    /// Whether the last handshake has agreed on HTTP/2.
    agreed: Cell<bool>,
    /// No snapshot names it any more: connections in use end with their answer.
    retired: Cell<bool>,
}

/// What a reload may change of a server that stays.
#[derive(Clone, Copy)]
pub struct Settings {
    /// Its share.
    pub weight: u16,
    /// What is spoken.
    pub protocol: Protocol,
    /// Kept connections.
    pub pool: Pool,
    /// When it is let alone.
    pub outlier: Option<Outlier>,
    /// The place in the specification of the name that it is an address of.
    pub name: Option<u32>,
    /// What its connections begin with. It is another server where that changes: the connections are another kind.
    pub introduction: Option<Version>,
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
    /// The socket, or a stream of one.
    pub sock: Link,
    /// Received and not yet used.
    pub inflow: RBuf,
    /// Whether it was used before: then its failure may only mean that it had grown stale.
    pub reused: bool,
    /// Whether the request was sent whole; otherwise the connection ends with this answer.
    pub request_sent: bool,
    /// What is left of the request's body, if the answer began before its end. In a box: it is large, and rare.
    pub upload: Option<Box<Transfer>>,
    failed: bool,
    /// Its place, if it is a stream: kept until the end.
    _seat: Option<Seat>,
    lease: Lease,
}

/// Counts a connection and a request under way, for as long as it lives.
pub struct Lease {
    server: Rc<Server>,
    kept: bool,
    /// Whether the request is in the upstream's gate.
    gated: bool,
}

/// Counts a connection of HTTP/2, for as long as it lives.
struct Carried {
    server: Rc<Server>,
}

impl Drop for Carried {
    fn drop(&mut self) {
        self.server.closed();
    }
}

impl Lease {
    /// Another address of the same name was faster.
    fn move_to(self, server: &Rc<Server>) -> Lease {
        if Rc::ptr_eq(&self.server, server) {
            return self;
        }
        // In before out: the upstream has no more than before.
        server.shared.connections.enter(None);
        if self.gated {
            server.shared.requests.enter(None);
        }
        server.open(self.gated)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let server = &self.server;
        server.in_flight.set(server.in_flight.get() - 1);
        sub(&server.metrics.upstream_in_flight, 1);
        sub(&server.block().in_flight, 1);
        if self.gated {
            server.shared.requests.leave();
        }
        if !self.kept {
            server.closed();
        }
    }
}

impl Connection {
    fn new(sock: Link, seat: Option<Seat>, reused: bool, lease: Lease) -> Connection {
        add(&lease.server.block().requests, 1);
        let inflow = RBuf::empty();
        Connection { sock, inflow, reused, request_sent: false, upload: None, failed: false, _seat: seat, lease }
    }

    /// The server that it leads to.
    pub fn tag(&self) -> u64 {
        self.lease.server.tag
    }

    /// Gives the connection back after a whole answer, if it may serve again; closes it otherwise.
    pub fn release(self, reusable: bool) {
        let Connection { sock, inflow, request_sent, failed, mut lease, .. } = self;
        let server = lease.server.clone();
        if !failed {
            server.standing.succeeded();
        }
        let pool = server.settings.get().pool;
        let room = server.idle.borrow().len() < pool.idle as usize;
        // Bytes behind a whole answer belong to nothing that was asked: such a peer is not used again.
        if !reusable || !request_sent || !inflow.is_empty() || !room || server.retired.get() {
            return;
        }
        // A stream is used once.
        let Link::Sock(sock) = sock else { return };
        lease.kept = true;
        server.idle.borrow_mut().push(sock.park_for(pool.idle_time, server.tag, Group::Large));
        add(&server.metrics.upstream_idle, 1);
    }

    /// The request broke. If that is the server's doing, it counts against it; a connection that had merely grown stale does
    /// not.
    pub fn broke(&mut self, fault: Fault) {
        if fault.blame() == Blame::Upstream {
            self.lease.server.shared.broke(fault);
            // A connection that had grown stale, or a stream that the server did not begin with.
            let stale = if self.sock.is_stream() { self.sock.failed_unsent() } else { self.reused };
            if !(stale && fault == Fault::ClosedBeforeAnswer) {
                self.fail();
            }
        }
    }

    /// The answer's status is known.
    pub fn answered(&mut self, status: u16) {
        if status >= 500 && self.lease.server.settings.get().outlier.is_some_and(|outlier| outlier.answers) {
            self.fail();
        }
    }

    fn fail(&mut self) {
        self.failed = true;
        self.lease.server.fail();
    }
}

impl Server {
    /// A server without connections.
    pub fn new(
        (address, secure, tag): (Address, Option<Secure>, u64),
        settings: Settings,
        (shared, standing): (Arc<Shared>, Arc<Standing>),
        (worker, metrics): (usize, Arc<WorkerMetrics>),
    ) -> Server {
        Server {
            address,
            tag,
            secure,
            standing,
            shared,
            worker,
            metrics,
            settings: Cell::new(settings),
            credit: Cell::new(0),
            in_flight: Cell::new(0),
            open: Cell::new(0),
            idle: RefCell::default(),
            lines: Lines::default(),
            agreed: Cell::new(false),
            retired: Cell::new(false),
        }
    }

    /// The name that it is an address of, by its place in the specification.
    pub fn name(&self) -> Option<u32> {
        self.settings.get().name
    }

    /// Whether it is spoken to in this way.
    pub fn is_spoken_to(&self, secure: Option<&Secure>) -> bool {
        match (&self.secure, secure) {
            (Some(one), Some(other)) => one.is_same(other),
            (one, other) => one.is_none() && other.is_none(),
        }
    }

    /// What may change.
    pub fn settings(&self) -> Settings {
        self.settings.get()
    }

    /// Whether it is a name that has no address yet.
    pub fn is_name(&self) -> bool {
        matches!(self.address, Address::Name { .. })
    }

    /// Whether it is an IPv6 address.
    pub fn is_v6(&self) -> bool {
        matches!(self.address, Address::Socket(SocketAddr::V6(_)))
    }

    /// What balancing looks at, with this percentage of the weight.
    pub fn candidate(&self, percent: u32) -> Candidate<'_> {
        let weight = u32::from(self.settings.get().weight.max(1)) * percent;
        Candidate { weight, in_flight: self.in_flight.get(), credit: &self.credit }
    }

    /// A handshake is done.
    pub fn shaken(&self, protection: Option<Protection>) {
        if let Some(protection) = protection {
            self.shared.shaken(protection);
        }
    }

    /// Whether it has as many connections as this worker may open.
    pub fn is_full(&self) -> bool {
        self.open.get() >= self.settings.get().pool.connections
    }

    /// It broke before there was a connection.
    pub fn broke(&self, fault: Fault) {
        self.shared.broke(fault);
        // What this machine lacks says nothing against the other one.
        if fault.blame() == Blame::Upstream {
            self.fail();
        }
    }

    /// It counts against the server.
    pub fn fail(&self) {
        self.shared.failed(&self.standing, self.settings.get().outlier.as_ref(), millis(now()));
    }

    /// A stream of a connection that is open, for a request.
    pub fn stream(self: &Rc<Server>, gated: bool) -> Option<Connection> {
        let (stream, seat) = self.lines.stream()?;
        let mut lease = self.begin(gated);
        lease.kept = true;
        Some(Connection::new(Link::Stream(stream), Some(seat), true, lease))
    }

    /// Whether a new connection is to speak HTTP/2, as far as that is known: then one is enough for many requests.
    pub fn shares(&self) -> bool {
        match self.settings.get().protocol {
            Protocol::Http1 => false,
            Protocol::Http2 => true,
            Protocol::Auto => self.agreed.get(),
        }
    }

    /// A new connection speaks HTTP/2, if that is what was meant or agreed on.
    pub async fn opened(self: &Rc<Server>, sock: Sock, lease: Lease) -> Result<Connection, Fault> {
        let agreed = sock.protection().is_some_and(|protection| protection.http2);
        self.agreed.set(agreed);
        let is_http2 = match self.settings.get().protocol {
            Protocol::Http1 => false,
            Protocol::Http2 => true,
            Protocol::Auto => agreed,
        };
        if !is_http2 {
            return Ok(self.opened_for_one(sock, lease));
        }
        let mut lease = lease.move_to(self);
        let carried = Carried { server: self.clone() };
        lease.kept = true;
        let over = move |carrier: &Rc<Carrier>| carried.server.lines.forget(carrier);
        let started = Carrier::start(sock, self.settings.get().pool.idle_time, over).await;
        let carrier = started.map_err(|_| Fault::ConnectFailed)?;
        add(&self.metrics.upstream_connects, 1);
        let (stream, seat) = carrier.stream().ok_or(Fault::ConnectFailed)?;
        if self.retired.get() {
            carrier.retire();
        } else {
            self.lines.add(&carrier);
        }
        Ok(Connection::new(Link::Stream(stream), Some(seat), false, lease))
    }

    /// An idle connection for a request.
    pub fn reuse(self: &Rc<Server>, gated: bool) -> Option<Connection> {
        let sock = self.take_idle()?;
        Some(Connection::new(Link::Sock(sock), None, true, self.begin(gated)))
    }

    /// Counts a connection that is about to be opened for a request.
    pub fn open(self: &Rc<Server>, gated: bool) -> Lease {
        self.open.set(self.open.get() + 1);
        add(&self.metrics.upstream_connections_open, 1);
        add(&self.block().open, 1);
        self.begin(gated)
    }

    /// It is open, after all at this server.
    fn opened_for_one(self: &Rc<Server>, sock: Sock, lease: Lease) -> Connection {
        add(&self.metrics.upstream_connects, 1);
        Connection::new(Link::Sock(sock), None, false, lease.move_to(self))
    }

    fn begin(self: &Rc<Server>, gated: bool) -> Lease {
        self.in_flight.set(self.in_flight.get() + 1);
        add(&self.metrics.upstream_in_flight, 1);
        add(&self.block().in_flight, 1);
        Lease { server: self.clone(), kept: false, gated }
    }

    fn closed(&self) {
        self.open.set(self.open.get() - 1);
        sub(&self.metrics.upstream_connections_open, 1);
        sub(&self.block().open, 1);
        self.shared.connections.leave();
    }

    fn block(&self) -> &Block {
        self.standing.block(self.worker)
    }

    /// The youngest idle connection: the one least likely to have been closed by the other side.
    fn take_idle(&self) -> Option<Sock> {
        loop {
            let parked = self.idle.borrow_mut().pop()?;
            sub(&self.metrics.upstream_idle, 1);
            if let Some(sock) = parked.unpark() {
                return Some(sock);
            }
            // Its event is on the way and will find it gone from the list.
            self.closed();
        }
    }

    /// Other settings. Turns begin anew: the others of the upstream may have changed as well.
    pub fn change(&self, settings: Settings) {
        self.settings.set(settings);
        self.credit.set(0);
        self.close_idle_beyond(settings.pool.idle as usize);
    }

    /// No connection is kept any more.
    pub fn retire(&self) {
        self.retired.set(true);
        self.lines.retire();
        self.close_idle_beyond(0);
    }

    fn close_idle_beyond(&self, most: usize) {
        while self.idle.borrow().len() > most
            && let Some(sock) = self.take_idle()
        {
            self.closed();
            drop(sock);
        }
    }

    /// An idle connection closed, expired, or spoke without being asked: it is dropped.
    pub fn forget(&self, parked: Parked) {
        let mut idle = self.idle.borrow_mut();
        if let Some(at) = idle.iter().position(|known| *known == parked) {
            idle.remove(at);
            sub(&self.metrics.upstream_idle, 1);
            self.closed();
        }
    }
}

impl Address {
    /// As configured.
    pub fn of(address: &ServerAddress) -> Address {
        match address {
            ServerAddress::Socket(address) => Address::Socket(*address),
            ServerAddress::Name { host, port } => Address::Name { host: Arc::from(&**host), port: *port },
            ServerAddress::Unix(path) => Address::Unix(path.clone()),
        }
    }

    /// As people write it, and as its standing is called.
    pub fn shown(&self) -> String {
        match self {
            Address::Socket(address) => address.to_string(),
            Address::Name { host, port } => format!("{host}:{port}"),
            Address::Unix(path) => format!("unix:{}", path.display()),
        }
    }
}
