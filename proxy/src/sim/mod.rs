//! A whole worker in a simulated world: clients, backends, network, kernel and clock are drawn from one seed, and whatever the
//! gateway does is compared with what it was asked.
//!
//! `TOLLGATE_SEED=n cargo test -p proxy --lib sim::` runs one seed and prints what happens; `TOLLGATE_SEEDS=n` runs so many.

mod backend;
mod client;
mod http;
mod judge;
mod plan;

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use fastrand::Rng;

use crate::colleagues::Colleagues;
use crate::files::Share;
use crate::io::sim::{Conn, Knock, Peers, Wire, epoch, simulate, sleeping};
use crate::io::{self as runtime, Sender, channel, panics, sleep, sockets_alive, tasks_alive, views_alive};
use crate::listener::{Opened, Order, Terms};
use crate::observe::metrics::{Metrics, Setup, WorkerMetrics};
use crate::observe::writer::{Destination, Writer};
use crate::state::Published;
use crate::tokens::keys::Asker;
use crate::upstream::shared::{Gate, millis};
use crate::worker::{self, Adoption, Drain, Message, Parts};

use backend::{Backend, Fate};
use client::Client;
use plan::{DOCUMENTS, Plan};

/// Seeds of an ordinary test run.
const SEEDS: u64 = 256;

/// A client that is not through after this time will never be.
const LIFE_MAX: Duration = Duration::from_secs(120);

/// From the last client's end to the order to leave.
const AFTERGLOW: Duration = Duration::from_millis(200);

/// The time that a draining worker has: nothing that is here takes longer.
const DRAIN_TIME: Duration = Duration::from_secs(60);

/// Who a timer is for.
mod token {
    use crate::io::sim::Conn;

    const KIND: u32 = 48;

    fn of(kind: u64, number: usize) -> u64 {
        kind << KIND | number as u64
    }

    pub fn client(number: usize) -> u64 {
        of(1, number)
    }

    pub fn read_on(number: usize) -> u64 {
        of(2, number)
    }

    pub fn backend(conn: Conn) -> u64 {
        of(3, conn)
    }

    pub fn closing(conn: Conn) -> u64 {
        of(4, conn)
    }

    pub fn reload(number: usize) -> u64 {
        of(5, number)
    }

    pub fn names(number: usize) -> u64 {
        of(6, number)
    }

    pub fn drain() -> u64 {
        of(7, 0)
    }

    pub fn pause(number: usize) -> u64 {
        of(9, number)
    }

    pub fn resume() -> u64 {
        of(10, 0)
    }

    pub fn close_door(number: usize) -> u64 {
        of(11, number)
    }

    pub fn open_door() -> u64 {
        of(12, 0)
    }

    pub fn late() -> u64 {
        of(8, 0)
    }

    pub fn split(token: u64) -> (u64, usize) {
        (token >> KIND, (token & ((1 << KIND) - 1)) as usize)
    }
}

/// Which end of the world a connection has.
enum Other {
    Client(usize),
    Backend(Backend),
}

/// A configuration and the time in which it may have served.
struct Reign {
    prefix: char,
    from: Duration,
    to: Option<Duration>,
}

/// A time in which connections failed that the gateway made.
struct Storm {
    at: Duration,
}

/// Everything but the gateway.
struct World {
    plan: Plan,
    clients: Vec<Client>,
    fates: Vec<Fate>,
    /// By connection; clients' ones are entered when they dial.
    others: Vec<Option<Other>>,
    reigns: Vec<Reign>,
    storms: Vec<Storm>,
    /// When an address was wanted and none known.
    nameless: Vec<(Duration, Duration)>,
    inbox: Sender<Message>,
    published: Vec<Arc<Published>>,
    done: (mpsc::Sender<usize>, mpsc::Receiver<usize>),
    metrics: Arc<WorkerMetrics>,
    /// Told when accepting has paused; nobody waits for it.
    rested: (mpsc::Sender<usize>, mpsc::Receiver<usize>),
    /// When the second door was closed.
    door_closed: Option<Duration>,
    draining: Option<Duration>,
    is_ending: bool,
    next: usize,
}

/// The world, as the driver knows it.
struct Stage(Rc<RefCell<World>>);

impl Peers for Stage {
    fn turn(&mut self, wire: &mut Wire) {
        self.0.borrow_mut().turn(wire);
    }

    fn timer(&mut self, wire: &mut Wire, token: u64) {
        self.0.borrow_mut().timer(wire, token);
    }

    fn heard(&mut self, wire: &mut Wire, conn: Conn) {
        let world = &mut *self.0.borrow_mut();
        match world.others.get_mut(conn) {
            Some(Some(Other::Client(number))) => world.clients[*number].heard(wire, &world.plan.requests),
            Some(Some(Other::Backend(backend))) => backend.go_on(wire, &world.plan.requests, &mut world.fates),
            _ => {}
        }
    }

    fn knock(&mut self, wire: &mut Wire, conn: Conn, address: SocketAddr) -> Knock {
        self.0.borrow_mut().knock(wire, conn, address)
    }

    fn lost(&mut self, conn: Conn, bytes: &[u8]) {
        let world = &mut *self.0.borrow_mut();
        if let Some(Some(Other::Backend(backend))) = world.others.get_mut(conn) {
            backend.lost(bytes, &mut world.fates);
        }
    }
}

impl World {
    fn enter(&mut self, conn: Conn, other: Other) {
        while self.others.len() <= conn {
            self.others.push(None);
        }
        self.others[conn] = Some(other);
    }

    fn begin(&mut self, wire: &mut Wire) {
        for (number, client) in self.clients.iter().enumerate() {
            wire.timer(client.plan.start, token::client(number));
        }
        for (number, at) in self.plan.reloads.iter().enumerate() {
            wire.timer(*at, token::reload(number));
        }
        for (number, (at, _)) in self.plan.names.iter().enumerate() {
            wire.timer(*at, token::names(number));
        }
        for (number, (at, _)) in self.plan.pauses.iter().enumerate() {
            wire.timer(*at, token::pause(number));
        }
        for (number, (at, _)) in self.plan.doors.iter().enumerate() {
            wire.timer(*at, token::close_door(number));
        }
        if let Some(at) = self.plan.drain {
            wire.timer(at, token::drain());
        }
        wire.timer(LIFE_MAX, token::late());
    }

    fn timer(&mut self, wire: &mut Wire, token: u64) {
        let (kind, number) = token::split(token);
        let requests = &self.plan.requests;
        match kind {
            1 => {
                let client = &mut self.clients[number];
                let is_new = client.conn.is_none();
                client.timer(wire, requests);
                if let Some(conn) = client.conn.filter(|_| is_new) {
                    self.enter(conn, Other::Client(number));
                }
            }
            2 => self.clients[number].read_on(wire, requests),
            3 | 4 => {
                if let Some(Some(Other::Backend(backend))) = self.others.get_mut(number) {
                    match kind {
                        3 => backend.go_on(wire, requests, &mut self.fates),
                        _ => backend.close(wire, requests, &mut self.fates),
                    }
                }
            }
            5 => self.reload(wire),
            6 => self.publish_names(wire, number),
            7 => self.drain(wire),
            9 => self.pause(wire, number),
            10 => self.inbox.send(Message::Resume),
            11 => self.close_door(wire, number),
            12 => self.open_door(wire),
            _ => {
                let late = self.clients.iter().enumerate().find(|(_, client)| !client.is_over);
                if let Some((number, client)) = late {
                    wire.fail(format!("client {number} waits for ever: {}", client.waits_for()));
                }
            }
        }
    }

    fn reload(&mut self, wire: &mut Wire) {
        self.next = 1 - self.next;
        let prefix = ['a', 'b'][self.next];
        wire.note(60, self.next as u64, 0, || format!("reload: {prefix}"));
        self.reigns.push(Reign { prefix, from: wire.now(), to: None });
        let published = self.published[self.next].clone();
        let adoption = Adoption { published, doors: Vec::new(), log: None, done: self.done.0.clone() };
        self.inbox.send(Message::Adopt(adoption));
    }

    fn pause(&mut self, wire: &mut Wire, number: usize) {
        let (_, time) = self.plan.pauses[number];
        wire.note(63, number as u64, 0, || format!("accepting pauses for {time:?}"));
        wire.timer(time, token::resume());
        self.inbox.send(Message::Pause(self.rested.0.clone()));
    }

    /// A reload without the second door, or with another in its place.
    fn change_doors(&mut self, doors: Vec<Order>) {
        let published = self.published[self.next].clone();
        // Nothing else changes: whoever served before still does.
        let (done, _) = mpsc::channel();
        self.inbox.send(Message::Adopt(Adoption { published, doors, log: None, done }));
    }

    fn close_door(&mut self, wire: &mut Wire, number: usize) {
        wire.note(64, number as u64, 0, || "reload: door 2 closes".into());
        self.door_closed = Some(wire.now());
        self.change_doors(vec![Order::Close(SECOND)]);
        wire.timer(self.plan.doors[number].1, token::open_door());
    }

    fn open_door(&mut self, wire: &mut Wire) {
        wire.note(65, 0, 0, || "reload: door 3 opens".into());
        let order = opened(wire, 3);
        self.change_doors(vec![order]);
    }

    fn publish_names(&mut self, wire: &mut Wire, number: usize) {
        let hosts = self.plan.names[number].1.clone();
        wire.note(61, number as u64, hosts.len() as u64, || format!("name.test has the addresses {hosts:?}"));
        let addresses: Vec<IpAddr> = hosts.iter().map(|host| Ipv4Addr::new(10, 0, 1, *host).into()).collect();
        let now = wire.now();
        if let Some(last) = self.nameless.last_mut().filter(|(_, to)| *to == Duration::MAX) {
            last.1 = now;
        }
        if addresses.is_empty() {
            self.nameless.push((now, Duration::MAX));
        }
        self.inbox.send(Message::Names(Arc::new([("name.test".into(), addresses.into())].into())));
    }

    fn drain(&mut self, wire: &mut Wire) {
        if self.draining.is_none() {
            wire.note(62, 0, 0, || "drain".into());
            self.draining = Some(wire.now());
            self.inbox.send(Message::Drain(Drain { time: DRAIN_TIME, handed_over: Arc::new([]) }));
        }
    }

    /// What holds at every turn.
    fn turn(&mut self, wire: &mut Wire) {
        let of = |gauge: &std::sync::atomic::AtomicU64| gauge.load(Relaxed);
        let metrics = &self.metrics;
        let (open, idle) = (of(&metrics.connections_open), of(&metrics.connections_idle));
        let upstream =
            [&metrics.upstream_connections_open, &metrics.upstream_idle, &metrics.upstream_in_flight].map(of);
        if idle > open || upstream[0] != upstream[1] + upstream[2] {
            let what = format!("clients open {open}, idle {idle}; upstream open, idle, in flight {upstream:?}");
            wire.fail(format!("the gauges do not fit: {what}"));
        }
        if self.done.1.try_recv().is_ok() {
            // The one before is served to nobody new.
            let now = wire.now();
            let count = self.reigns.len();
            self.reigns[..count - 1].iter_mut().for_each(|reign| _ = reign.to.get_or_insert(now));
        }
        if !self.is_ending && self.clients.iter().all(|client| client.is_over) {
            self.is_ending = true;
            wire.timer(AFTERGLOW, token::drain());
        }
    }

    fn knock(&mut self, wire: &mut Wire, conn: Conn, address: SocketAddr) -> Knock {
        self.enter(conn, Other::Backend(Backend::new(conn)));
        let soon = Duration::from_micros(wire.random.u64(0..2_000));
        let gone = address.ip() == IpAddr::from([10, 0, 0, 9]);
        let knock = match wire.random.u8(0..10) {
            _ if gone => Knock::Refuse(soon),
            _ if !wire.chance(self.plan.weather.connects) => Knock::Accept(soon),
            0..=4 => Knock::Refuse(soon),
            5..=7 => Knock::Silence,
            _ => Knock::Accept(Duration::from_millis(wire.random.u64(100..600))),
        };
        if !matches!(knock, Knock::Accept(time) if time < Duration::from_millis(100)) {
            self.storms.push(Storm { at: wire.now() });
        }
        knock
    }
}

/// The doors that are open from the beginning.
const FIRST: u64 = 1;
/// Closed in some runs.
const SECOND: u64 = 2;

fn opened(wire: &mut Wire, door: u64) -> Order {
    let descriptor = wire.door(door as usize);
    let manner = config::snapshot::Manner::default();
    let terms = Terms { execute_api: true, backlog: 4096, h2c: false, tls: None, balancers: None, manner };
    Order::Open(Opened { door, descriptor, port: 8080, shared: false, terms })
}

/// What a run was like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    hash: u64,
    turns: u64,
    requests: u64,
    answered: u64,
}

/// The configurations, as they are published one after the other.
fn published(metrics: &Metrics, is_narrow: bool) -> Vec<Arc<Published>> {
    let mut before: Option<Arc<Published>> = None;
    let published = DOCUMENTS.map(|text| {
        let text = if is_narrow { plan::narrow(text) } else { text.to_owned() };
        let loaded = config::load_text("sim.yaml", &text, std::path::Path::new("."));
        let snapshot = loaded.snapshot.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
        before.insert(Published::new(snapshot, before.as_deref(), metrics)).clone()
    });
    published.to_vec()
}

fn metrics() -> Arc<Metrics> {
    Metrics::new(Setup {
        workers: 1,
        refusals: &policy::refusal::Refusal::NAMES,
        faults: &policy::fault::Fault::NAMES,
        version: "0",
    })
}

/// One life of a worker. Panics if anything is wrong.
fn run(seed: u64, is_traced: bool) -> Run {
    let mut random = Rng::with_seed(seed);
    let mut plan = Plan::draw(&mut random);
    let mut wire = Wire::new(random.u64(..), plan.weather.kernel, is_traced);
    if is_traced {
        println!("{:?}", plan.weather);
        for (number, client) in plan.clients.iter().enumerate() {
            println!("client {number}: {:?} {:?}", client.reading, client.steps);
            for id in &client.requests {
                let request = &plan.requests[*id];
                let head = String::from_utf8_lossy(&request.wire[..request.head_length]).replace("\r\n", " | ");
                println!(
                    "  request {id}: {:?} {head} {} bytes\n    {:?}",
                    request.goal,
                    request.payload.len(),
                    request.answers
                );
            }
        }
    }
    let metrics = metrics();
    let worker_metrics = metrics.worker(0);
    let (inbox, received) = channel();
    let (mut sinks, _) = Writer::start(Destination::None, std::slice::from_ref(&worker_metrics), metrics.writer())
        .expect("no log at all");
    let Plan { clients, requests, .. } = &mut plan;
    let clients = std::mem::take(clients).into_iter().enumerate();
    let clients = clients.map(|(number, client)| Client::new(number, client, requests)).collect();
    let mut world = World {
        clients,
        fates: plan.requests.iter().map(|_| Fate::default()).collect(),
        others: Vec::new(),
        reigns: vec![Reign { prefix: 'a', from: Duration::ZERO, to: None }],
        storms: Vec::new(),
        nameless: Vec::new(),
        inbox,
        published: published(&metrics, plan.weather.is_narrow),
        done: mpsc::channel(),
        metrics: worker_metrics.clone(),
        rested: mpsc::channel(),
        door_closed: None,
        draining: None,
        is_ending: false,
        next: 0,
        plan,
    };
    let parts = Parts {
        index: 0,
        published: world.published[0].clone(),
        metrics: worker_metrics.clone(),
        log: sinks.remove(0),
        inbox: received,
        share: Share { files: u64::MAX, sockets: u32::MAX, clients: u32::MAX },
        callers: Arc::default(),
        colleagues: Colleagues::default(),
        newcomers: channel().1,
        asker: Asker::default(),
    };
    world.inbox.send(Message::Open(vec![opened(&mut wire, FIRST), opened(&mut wire, SECOND)]));
    millis(epoch());
    world.begin(&mut wire);
    let (wire, world) = (Rc::new(RefCell::new(wire)), Rc::new(RefCell::new(world)));
    let panics_before = panics();
    let left = Rc::new(RefCell::new(Vec::new()));
    let main = {
        let (left, metrics, world) = (left.clone(), worker_metrics.clone(), world.clone());
        async move {
            worker::run(parts).await;
            let leftovers = leftovers(&metrics, &world).await;
            *left.borrow_mut() = leftovers;
        }
    };
    simulate(wire.clone(), Box::new(Stage(world.clone())), main).expect("a shard");
    assert_eq!(panics(), panics_before, "a task has panicked");
    assert!(left.borrow().is_empty(), "left over: {:?}", left.borrow());
    assert_eq!(views_alive(), (0, 0), "receive buffers are left");
    let (wire, world) = (wire.borrow(), world.borrow());
    assert_eq!(wire.held(), 0, "descriptors are left");
    judge::judge(&world);
    let requests = worker_metrics.requests.load(Relaxed);
    let answered = worker_metrics.responses.iter().map(|class| class.load(Relaxed)).sum();
    assert_eq!(requests, answered, "each request ends once");
    Run { hash: wire.hash(), turns: wire.turns(), requests, answered }
}

/// What a worker that has drained must have given back, and has not.
async fn leftovers(metrics: &WorkerMetrics, world: &RefCell<World>) -> Vec<String> {
    let mut left = Vec::new();
    for shared in world.borrow().published.iter().flat_map(|published| &published.upstreams) {
        let standings = shared.standings();
        let blocks: Vec<u64> = standings
            .iter()
            .flat_map(|one| [one.sum(|block| &block.in_flight), one.sum(|block| &block.open)])
            .collect();
        let gates = [&shared.connections, &shared.pending, &shared.requests].map(Gate::inside);
        if gates != [0; 3] || blocks.iter().any(|count| *count != 0) {
            left.push(format!("upstream {}: {gates:?} {blocks:?}", shared.name));
        }
    }
    let gauges = [
        ("connections_open", &metrics.connections_open),
        ("connections_idle", &metrics.connections_idle),
        ("upstream_connections_open", &metrics.upstream_connections_open),
        ("upstream_idle", &metrics.upstream_idle),
        ("upstream_in_flight", &metrics.upstream_in_flight),
    ];
    let gauges = gauges.map(|(name, gauge)| (name, gauge.load(Relaxed)));
    left.extend(gauges.iter().filter(|(_, value)| *value != 0).map(|gauge| format!("{gauge:?}")));
    // What was given to `send` may still be on its way, and a door that closes looks ten times a second: for a bounded time.
    for _ in 0..1_500 {
        if (sockets_alive(), tasks_alive()) == ((0, 0), 3) {
            break;
        }
        sleep(Duration::from_millis(runtime::limits::TICK_MS)).await;
    }
    // This task, the clockwork, and the one that takes events; the clockwork sleeps.
    let counts = [("sockets", sockets_alive().0, 0), ("tasks", tasks_alive(), 4), ("sleeps", sleeping(), 1)];
    left.extend(counts.iter().filter(|(_, is, should)| is != should).map(|count| format!("{count:?}")));
    // Slow readers still read what has reached them.
    for _ in 0..LIFE_MAX.as_secs() {
        sleep(Duration::from_secs(1)).await;
        if world.borrow().clients.iter().all(|client| client.is_over) {
            break;
        }
    }
    left
}

fn seeds() -> (u64, u64) {
    let number = |name| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    match (number("TOLLGATE_SEED"), number("TOLLGATE_SEEDS")) {
        (Some(seed), _) => (seed, seed + 1),
        (None, count) => (0, count.unwrap_or(SEEDS)),
    }
}

/// Runs a share of the seeds on this thread; what failed.
fn run_share(share: u64, of: u64) -> Vec<String> {
    let (from, to) = seeds();
    let is_traced = to - from == 1;
    let mut failed = Vec::new();
    for seed in (from..to).filter(|seed| seed % of == share) {
        let outcome = catch_unwind(AssertUnwindSafe(|| run(seed, is_traced)));
        if is_traced && let Ok(run) = &outcome {
            println!("{run:?}");
        }
        if let Err(payload) = outcome {
            let text = payload.downcast_ref::<String>().cloned();
            let text = text.or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            let what = text.unwrap_or_default();
            failed.push(format!("{what}\n  TOLLGATE_SEED={seed} cargo test -p proxy --lib sim::seeds -- --nocapture"));
        }
    }
    failed
}

#[test]
fn seeds_find_nothing() {
    let threads: Vec<_> = (0..2).map(|share| std::thread::spawn(move || run_share(share, 2))).collect();
    let failed: Vec<String> = threads.into_iter().flat_map(|thread| thread.join().expect("it catches")).collect();
    assert!(failed.is_empty(), "{} seeds failed:\n{}", failed.len(), failed.join("\n"));
}

#[test]
fn a_seed_is_the_same_run_every_time() {
    let (_, to) = seeds();
    let runs: Vec<[Run; 2]> = (0..(to / 32).clamp(8, 1_000)).map(|seed| [run(seed, false), run(seed, false)]).collect();
    for [first, second] in &runs {
        assert_eq!(first, second);
    }
    assert!(
        runs.windows(2).all(|two| two[0][0].hash != two[1][0].hash),
        "different seeds are different runs: {runs:?}"
    );
}
