//! A worker's upstreams: which server a request gets, and what becomes of them when a reload changes them.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use config::snapshot;
use policy::fault::Fault;

use super::connect;
use super::resolve::Names;
use super::server::{Address, Connection, Server, Settings, UPSTREAM_TAG};
use super::shared::{Gate, Shared, millis};
use super::{balance, retry};
use crate::io::{Event, now, seed};
use crate::limits::ATTEMPTS_MAX;
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
    /// In the order of the specification.
    servers: Box<[Rc<Server>]>,
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
    /// that are passed over while there are others. A failure tells the server whose it was.
    pub async fn checkout(
        &self,
        names: &Names,
        within: Duration,
        fresh: bool,
        tried: &Tried,
    ) -> Result<Connection, (Fault, Option<u64>)> {
        let server = self.pick(tried).ok_or((Fault::ConnectFailed, None))?;
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
        if !fresh && let Some(connection) = server.reuse(gated) {
            add(&self.metrics.upstream_reuses, 1);
            return Ok(connection);
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
        // In a box: it is rare, and every request would carry its room.
        let connected = Box::pin(connect::connect(server, self.spec.connect_time.min(within), names)).await;
        drop(waiting);
        let sock = connected.map_err(|fault| {
            server.broke(fault);
            (fault, Some(server.tag))
        })?;
        Ok(server.opened(sock, lease))
    }

    /// Whether there is a server that is well and was not tried.
    pub fn has_another(&self, tried: &Tried) -> bool {
        let (is_checked, now) = (self.spec.health_check.is_some(), millis(now()));
        self.servers.iter().any(|server| !tried.has(server) && server.standing.is_well(is_checked, now))
    }

    /// Leave to repeat a request, by the upstream's budget.
    pub fn may_repeat(&self) -> Option<retry::Repeat<'_>> {
        self.shared.budget.begin(&self.spec.retry, self.shared.in_flight(), millis(now()))
    }

    /// The server whose turn it is: of those that are well and were not tried; of all, where too few are left.
    fn pick(&self, tried: &Tried) -> Option<&Rc<Server>> {
        if let [only] = &*self.servers {
            return Some(only);
        }
        let now = millis(now());
        let slow_start = self.spec.slow_start.as_millis() as u64;
        let is_checked = self.spec.health_check.is_some();
        let is_well = |server: &Server| server.standing.is_well(is_checked, now);
        let (mut well, mut left) = (0, 0);
        for server in &self.servers {
            let fit = is_well(server);
            well += usize::from(fit);
            left += usize::from(fit && !tried.has(server));
        }
        let panics = well == 0 || well * 100 < self.servers.len() * usize::from(self.spec.panic);
        let is_used = |server: &Server| match (panics, left) {
            (false, 0) => is_well(server),
            (false, _) => is_well(server) && !tried.has(server),
            // Nobody is well enough to be chosen; still rather not whom this request has just met.
            (true, _) => usize::from(tried.count) >= self.servers.len() || !tried.has(server),
        };
        let candidate = |index: usize| {
            let server = &*self.servers[index];
            let percent = if is_used(server) { server.standing.ramp(slow_start, now) } else { 0 };
            server.candidate(percent)
        };
        let draw = |below| self.random.borrow_mut().u64(..below);
        balance::pick(self.spec.balance, self.servers.len(), candidate, draw).map(|index| &self.servers[index])
    }
}

/// All upstreams of a worker.
pub struct Pools {
    worker: usize,
    /// In order, so that what a reload lets go is let go in the same order everywhere.
    upstreams: RefCell<BTreeMap<Arc<str>, Rc<Upstream>>>,
    servers: RefCell<HashMap<u64, Rc<Server>>>,
    next_tag: Cell<u64>,
}

impl Pools {
    /// Those of a worker, by its number.
    pub fn new(worker: usize) -> Pools {
        Pools { worker, upstreams: RefCell::default(), servers: RefCell::default(), next_tag: Cell::new(0) }
    }

    /// The upstreams of a snapshot, by number. A server that its upstream still has keeps its connections, whatever else
    /// changes; those of others are closed as soon as they are idle.
    pub fn adopt(
        &self,
        specs: &[snapshot::Upstream],
        shared: &[Arc<Shared>],
        metrics: &Arc<WorkerMetrics>,
    ) -> Box<[Rc<Upstream>]> {
        let mut known = std::mem::take(&mut *self.upstreams.borrow_mut());
        let adopted: Box<[Rc<Upstream>]> = specs
            .iter()
            .zip(shared)
            .map(|(spec, shared)| match known.remove(&spec.name) {
                Some(upstream) if upstream.spec == *spec => upstream,
                before => self.make(spec, shared, before.as_deref(), metrics),
            })
            .collect();
        for server in known.values().flat_map(|gone| &gone.servers) {
            self.retire(server);
        }
        let names = adopted.iter().map(|upstream| (upstream.spec.name.clone(), upstream.clone()));
        *self.upstreams.borrow_mut() = names.collect();
        adopted
    }

    fn make(
        &self,
        spec: &snapshot::Upstream,
        shared: &Arc<Shared>,
        before: Option<&Upstream>,
        metrics: &Arc<WorkerMetrics>,
    ) -> Rc<Upstream> {
        let mut left = before.map(|before| before.servers.to_vec()).unwrap_or_default();
        let servers = spec.servers.iter().map(|server| {
            let address = Address::of(&server.address);
            let settings = Settings { weight: server.weight, pool: spec.pool, outlier: spec.outlier };
            match left.iter().position(|known| known.address == address) {
                Some(at) => {
                    let kept = left.remove(at);
                    kept.change(settings);
                    kept
                }
                None => self.make_server(address, settings, shared, before.is_some(), metrics),
            }
        });
        let servers = servers.collect();
        for gone in &left {
            self.retire(gone);
        }
        let random = RefCell::new(fastrand::Rng::with_seed(seed()));
        Rc::new(Upstream { spec: spec.clone(), shared: shared.clone(), metrics: metrics.clone(), servers, random })
    }

    fn make_server(
        &self,
        address: Address,
        settings: Settings,
        shared: &Arc<Shared>,
        joins: bool,
        metrics: &Arc<WorkerMetrics>,
    ) -> Rc<Server> {
        let tag = self.next_tag.get() | UPSTREAM_TAG;
        self.next_tag.set(self.next_tag.get() + 1);
        let standing = shared.standing(&address.shown(), joins, millis(now()));
        let of_worker = (self.worker, metrics.clone());
        let made = Rc::new(Server::new((address, tag), settings, (shared.clone(), standing), of_worker));
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
        for server in upstreams.iter().flat_map(|upstream| &upstream.servers) {
            self.retire(server);
        }
    }
}
