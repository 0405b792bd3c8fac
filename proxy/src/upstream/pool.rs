//! A worker's upstreams: which server a request gets, and what becomes of them when a reload or a name changes them.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use config::snapshot::{self, ServerAddress};
use policy::fault::Fault;
use rustls::ClientConfig;

use super::connect;
use super::http2::Opening;
use super::resolve::Names;
use super::secure::Secure;
use super::server::{Address, Connection, Lease, Server, Settings, UPSTREAM_TAG};
use super::shared::{Gate, Shared, millis};
use super::{balance, retry};
use crate::io::{Event, now, seed, timeout};
use crate::limits::{ATTEMPTS_MAX, CONNECT_RACERS_MAX};
use crate::observe::metrics::{WorkerMetrics, add};

/// An upstream on this worker. Kept across reloads as long as its specification stays the same; its servers, with their
/// connections, as long as their addresses do.
pub struct Upstream {
    /// As configured.
    pub spec: snapshot::Upstream,
    /// What all workers share of it.
    pub shared: Arc<Shared>,
    /// This worker's counters.
    pub metrics: Arc<WorkerMetrics>,
    /// How its servers are spoken to; `None`: in clear text.
    tls: Option<Arc<ClientConfig>>,
    /// In the order of the specification; a name stands for each of its addresses.
    servers: RefCell<Rc<[Rc<Server>]>>,
    random: RefCell<fastrand::Rng>,
}

/// The servers that a request has been sent to, by their tags.
#[derive(Clone, Copy, Default)]
pub struct Tried {
    /// The low halves: enough to tell the servers of one upstream apart.
    tags: [u32; ATTEMPTS_MAX],
    count: u8,
}

impl Tried {
    /// One more.
    pub fn add(&mut self, tag: u64) {
        if let Some(place) = self.tags.get_mut(usize::from(self.count)) {
            *place = tag as u32;
            self.count += 1;
        }
    }

    fn has(&self, server: &Server) -> bool {
        self.tags[..usize::from(self.count)].contains(&(server.tag as u32))
    }
}

/// A request that waits for its connection.
struct Waiting<'a>(&'a Gate);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl Upstream {
    /// A connection for one request: an idle one, or a new one within `within`. `fresh` asks for a new one; `tried` are servers
    /// that are passed over while there are others; `introduction` is what a new one begins with. A failure tells the server whose
    /// it was.
    pub async fn checkout(
        &self,
        names: &Names,
        within: Duration,
        fresh: bool,
        tried: &Tried,
        introduction: &[u8],
    ) -> Result<Connection, (Fault, Option<u64>)> {
        let server = match self.pick(tried).ok_or((Fault::ConnectFailed, None))? {
            // In a box: it is rare, and every request would carry its room.
            server if server.is_name() => Box::pin(self.resolved(&server, names, within, tried)).await?,
            server => server,
        };
        let limits = &self.spec.breaker;
        // Nobody counts where there is no limit: no line is shared between workers for each request.
        let gated = limits.requests.is_some();
        if gated && !self.shared.requests.enter(limits.requests) {
            return Err((Fault::BreakerOpen, None));
        }
        let leave = || {
            if gated {
                self.shared.requests.leave();
            }
        };
        let idle = server.stream(gated).or_else(|| if fresh { None } else { server.reuse(gated) });
        if let Some(connection) = idle {
            add(&self.metrics.upstream_reuses, 1);
            return Ok(connection);
        }
        if server.shares()
            && let Some(opening) = server.lines.opening()
        {
            leave();
            return Box::pin(self.await_opening(opening, server, (names, within, fresh, tried))).await;
        }
        if server.is_full() {
            leave();
            return Err((Fault::PoolExhausted, Some(server.tag)));
        }
        if !self.shared.pending.enter(limits.pending) {
            leave();
            return Err((Fault::BreakerOpen, None));
        }
        let waiting = Waiting(&self.shared.pending);
        if !self.shared.connections.enter(limits.connections) {
            leave();
            return Err((Fault::BreakerOpen, None));
        }
        // Counted before the connect, so that a burst cannot exceed the limit.
        let lease = server.open(gated);
        let time = self.spec.connect_time.min(within);
        let connected = Box::pin(self.connect(&server, lease, time, introduction)).await;
        drop(waiting);
        connected.map_err(|fault| {
            if fault == Fault::ResourcesShort {
                add(&self.metrics.resources_short, 1);
            }
            (fault, Some(server.tag))
        })
    }

    async fn connect(
        &self,
        server: &Rc<Server>,
        lease: Lease,
        time: Duration,
        introduction: &[u8],
    ) -> Result<Connection, Fault> {
        let opener = server.shares().then(|| server.lines.open());
        let connected = match connect::connect(server, self.namesakes(server), time, introduction).await {
            Ok((winner, sock)) => winner.opened(sock, lease).await,
            Err(fault) => Err(fault),
        };
        if let (Some(opener), Err(fault)) = (opener, &connected) {
            opener.failed(*fault);
        }
        connected
    }

    /// Somebody opens a connection that is enough for many: waits for it, and tries again.
    async fn await_opening(
        &self,
        opening: Rc<Opening>,
        server: Rc<Server>,
        (names, within, fresh, tried): (&Names, Duration, bool, &Tried),
    ) -> Result<Connection, (Fault, Option<u64>)> {
        let began = now();
        match timeout(within, opening.wait()).await {
            Ok(Ok(())) => {}
            Ok(Err(fault)) => return Err((fault, Some(server.tag))),
            Err(_) => return Err((Fault::ConnectTimedOut, Some(server.tag))),
        }
        let left = within.saturating_sub(now() - began);
        // A connection that names its client carries no other requests: nobody waits for one.
        Box::pin(self.checkout(names, left, fresh, tried, &[])).await
    }

    /// A server in place of a name that was not resolved when it was chosen. An answer of the name service changes the servers
    /// before anybody hears of it.
    async fn resolved(
        &self,
        unresolved: &Server,
        names: &Names,
        within: Duration,
        tried: &Tried,
    ) -> Result<Rc<Server>, (Fault, Option<u64>)> {
        let is_known = match &unresolved.address {
            Address::Name { host, .. } => names.lookup(host, within).await.is_some(),
            Address::Socket(_) | Address::Unix(_) => true,
        };
        let resolved = self.pick(tried).filter(|server| is_known && !server.is_name());
        resolved.ok_or_else(|| {
            unresolved.broke(Fault::NameNotResolved);
            (Fault::NameNotResolved, Some(unresolved.tag))
        })
    }

    /// The other addresses of a server's name that are well, the families in turn.
    fn namesakes(&self, server: &Server) -> Vec<Rc<Server>> {
        if server.name().is_none() {
            return Vec::new();
        }
        let (is_checked, now) = (self.spec.health_check.is_some(), millis(now()));
        let servers = self.servers.borrow();
        let others = servers.iter().filter(|other| {
            other.name() == server.name() && other.tag != server.tag && other.standing.is_well(is_checked, now)
        });
        let (same, other): (Vec<_>, Vec<_>) = others.cloned().partition(|other| other.is_v6() == server.is_v6());
        let (mut same, mut other) = (same.into_iter(), other.into_iter());
        let mut all = Vec::new();
        loop {
            let before = all.len();
            all.extend(other.next());
            all.extend(same.next());
            if all.len() == before || all.len() + 1 >= CONNECT_RACERS_MAX {
                all.truncate(CONNECT_RACERS_MAX - 1);
                return all;
            }
        }
    }

    /// Whether there is a server that is well and was not tried.
    pub fn has_another(&self, tried: &Tried) -> bool {
        let (is_checked, now) = (self.spec.health_check.is_some(), millis(now()));
        self.servers.borrow().iter().any(|server| !tried.has(server) && server.standing.is_well(is_checked, now))
    }

    fn has_names(&self) -> bool {
        self.spec.servers.iter().any(|server| matches!(server.address, ServerAddress::Name { .. }))
    }

    /// Leave to repeat a request, by the upstream's budget.
    pub fn may_repeat(&self) -> Option<retry::Repeat<'_>> {
        self.shared.budget.begin(&self.spec.retry, self.shared.in_flight(), millis(now()))
    }

    /// The server whose turn it is: of those that are well and were not tried; of all, where too few are left.
    fn pick(&self, tried: &Tried) -> Option<Rc<Server>> {
        let servers = self.servers.borrow();
        if let [only] = &**servers {
            return Some(only.clone());
        }
        let now = millis(now());
        let slow_start = self.spec.slow_start.as_millis() as u64;
        let is_checked = self.spec.health_check.is_some();
        let is_well = |server: &Server| server.standing.is_well(is_checked, now);
        let (mut well, mut left) = (0, 0);
        for server in &**servers {
            let fit = is_well(server);
            well += usize::from(fit);
            left += usize::from(fit && !tried.has(server));
        }
        let panics = well == 0 || well * 100 < servers.len() * usize::from(self.spec.panic);
        let is_used = |server: &Server| match (panics, left) {
            (false, 0) => is_well(server),
            (false, _) => is_well(server) && !tried.has(server),
            // Nobody is well enough to be chosen; still rather not whom this request has just met.
            (true, _) => usize::from(tried.count) >= servers.len() || !tried.has(server),
        };
        let candidate = |index: usize| {
            let server = &*servers[index];
            let percent = if is_used(server) { server.standing.ramp(slow_start, now) } else { 0 };
            server.candidate(percent)
        };
        let draw = |below| self.random.borrow_mut().u64(..below);
        balance::pick(self.spec.balance, servers.len(), candidate, draw).map(|index| servers[index].clone())
    }
}

/// All upstreams of a worker.
pub struct Pools {
    worker: usize,
    metrics: Arc<WorkerMetrics>,
    /// In order, so that what a reload lets go is let go in the same order everywhere.
    upstreams: RefCell<BTreeMap<Arc<str>, Rc<Upstream>>>,
    servers: RefCell<HashMap<u64, Rc<Server>>>,
    /// Those of before, while a request that waits for a name still has them.
    leaving: RefCell<Vec<Weak<Upstream>>>,
    next_tag: Cell<u64>,
}

impl Pools {
    /// Those of a worker, by its number.
    pub fn new(worker: usize, metrics: Arc<WorkerMetrics>) -> Pools {
        let (upstreams, servers, leaving) = (RefCell::default(), RefCell::default(), RefCell::default());
        Pools { worker, metrics, upstreams, servers, leaving, next_tag: Cell::new(0) }
    }

    /// The upstreams of a snapshot, by number. A server that its upstream still has keeps its connections, whatever else
    /// changes; those of others are closed as soon as they are idle.
    pub fn adopt(
        &self,
        specs: &[snapshot::Upstream],
        shared: &[Arc<Shared>],
        outbound: &[Option<Arc<ClientConfig>>],
        names: &Names,
    ) -> Box<[Rc<Upstream>]> {
        let mut known = std::mem::take(&mut *self.upstreams.borrow_mut());
        let adopted: Box<[Rc<Upstream>]> = specs
            .iter()
            .zip(shared.iter().zip(outbound))
            .map(|(spec, (shared, tls))| match known.remove(&spec.name) {
                Some(upstream) if upstream.spec == *spec && is_same(upstream.tls.as_ref(), tls.as_ref()) => upstream,
                before => {
                    let made = self.make(spec, (shared, tls.clone()), before.as_deref(), names);
                    self.leave(before.as_ref());
                    made
                }
            })
            .collect();
        for upstream in known.values() {
            upstream.servers.borrow().iter().for_each(|gone| self.retire(gone));
            self.leave(Some(upstream));
        }
        let names = adopted.iter().map(|upstream| (upstream.spec.name.clone(), upstream.clone()));
        *self.upstreams.borrow_mut() = names.collect();
        adopted
    }

    fn leave(&self, upstream: Option<&Rc<Upstream>>) {
        let with_names = upstream.filter(|upstream| upstream.has_names());
        self.leaving.borrow_mut().extend(with_names.map(Rc::downgrade));
    }

    fn make(
        &self,
        spec: &snapshot::Upstream,
        (shared, tls): (&Arc<Shared>, Option<Arc<ClientConfig>>),
        before: Option<&Upstream>,
        names: &Names,
    ) -> Rc<Upstream> {
        let left = before.map(|before| before.servers.borrow().clone());
        let servers = self.servers_of(spec, (shared, tls.as_ref()), left.as_deref(), names);
        Rc::new(Upstream {
            spec: spec.clone(),
            shared: shared.clone(),
            metrics: self.metrics.clone(),
            tls,
            servers: RefCell::new(servers),
            random: RefCell::new(fastrand::Rng::with_seed(seed())),
        })
    }

    /// The names have other addresses: new ones are used from now on; those that are gone finish what they have.
    pub fn resolve(&self, names: &Names) {
        for upstream in self.upstreams.borrow().values().filter(|upstream| upstream.has_names()) {
            self.resolve_one(upstream, names);
        }
        let mut leaving = self.leaving.borrow_mut();
        leaving.retain(|upstream| upstream.strong_count() > 0);
        for upstream in leaving.iter().filter_map(Weak::upgrade) {
            self.resolve_last(&upstream, names);
        }
    }

    /// For those that still wait for a name of an upstream that a reload has changed: what they get is used once. All else may
    /// belong to the upstream of today.
    fn resolve_last(&self, upstream: &Upstream, names: &Names) {
        let mut servers = Vec::new();
        for server in upstream.servers.borrow().iter() {
            let Address::Name { host, port } = &server.address else {
                servers.push(server.clone());
                continue;
            };
            let known = names.known(host).unwrap_or_default();
            servers.extend(known.iter().map(|ip| {
                let address = Address::Socket(SocketAddr::new(*ip, *port));
                let made =
                    self.make_server((address, server.secure.clone()), server.settings(), &upstream.shared, false);
                self.retire(&made);
                made
            }));
        }
        if !servers.is_empty() {
            *upstream.servers.borrow_mut() = servers.into();
        }
    }

    fn resolve_one(&self, upstream: &Upstream, names: &Names) {
        let before = upstream.servers.borrow().clone();
        let servers = self.servers_of(&upstream.spec, (&upstream.shared, upstream.tls.as_ref()), Some(&before), names);
        *upstream.servers.borrow_mut() = servers;
    }

    /// The servers that a specification means now. Those of `before` that are among them stay, the others are retired.
    fn servers_of(
        &self,
        spec: &snapshot::Upstream,
        (shared, tls): (&Arc<Shared>, Option<&Arc<ClientConfig>>),
        before: Option<&[Rc<Server>]>,
        names: &Names,
    ) -> Rc<[Rc<Server>]> {
        let mut left = before.map(<[_]>::to_vec).unwrap_or_default();
        let mut servers = Vec::new();
        for (server, entry) in spec.servers.iter().zip(0..) {
            let (addresses, name) = addresses(&server.address, entry, names);
            let introduction = spec.proxy_protocol;
            let settings = Settings {
                weight: server.weight,
                protocol: spec.protocol,
                pool: spec.pool,
                outlier: spec.outlier,
                name,
                introduction,
            };
            let secure = tls.map(|tls| Secure::new(tls, spec, &server.address));
            servers.extend(addresses.into_iter().map(|address| {
                let is_same = |known: &Rc<Server>| {
                    let is_there = known.address == address && known.settings().introduction == introduction;
                    is_there && known.is_spoken_to(secure.as_ref())
                };
                match left.iter().position(is_same) {
                    Some(at) => {
                        let kept = left.remove(at);
                        kept.change(settings);
                        kept
                    }
                    None => self.make_server((address, secure.clone()), settings, shared, before.is_some()),
                }
            }));
        }
        for gone in &left {
            self.retire(gone);
        }
        servers.into()
    }

    fn make_server(
        &self,
        (address, secure): (Address, Option<Secure>),
        settings: Settings,
        shared: &Arc<Shared>,
        joins: bool,
    ) -> Rc<Server> {
        let tag = self.next_tag.get() | UPSTREAM_TAG;
        self.next_tag.set(self.next_tag.get() + 1);
        let standing =
            shared.standing(&address.shown(), secure.as_ref().map(|secure| secure.name.clone()), joins, millis(now()));
        let of_worker = (self.worker, self.metrics.clone());
        let made = Rc::new(Server::new((address, secure, tag), settings, (shared.clone(), standing), of_worker));
        self.servers.borrow_mut().insert(tag, made.clone());
        made
    }

    fn retire(&self, server: &Server) {
        server.retire();
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
        for upstream in upstreams {
            upstream.servers.borrow().iter().for_each(|server| self.retire(server));
        }
    }
}

fn is_same(one: Option<&Arc<ClientConfig>>, other: Option<&Arc<ClientConfig>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (one, other) => one.is_none() && other.is_none(),
    }
}

/// Where a server of the specification is: each address of a name, with the name's place; the name, until it has one.
fn addresses(address: &ServerAddress, entry: u32, names: &Names) -> (Vec<Address>, Option<u32>) {
    let ServerAddress::Name { host, port } = address else { return (vec![Address::of(address)], None) };
    match names.known(host).filter(|known| !known.is_empty()) {
        Some(known) => (known.iter().map(|ip| Address::Socket(SocketAddr::new(*ip, *port))).collect(), Some(entry)),
        None => (vec![Address::of(address)], None),
    }
}
