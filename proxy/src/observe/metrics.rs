//! The counters of the process: a block per worker that this worker alone writes, summed when somebody asks.
//!
//! A counter is raised by a relaxed load and a relaxed store: without a second writer nothing is lost, and no cache line is
//! shared between workers. Counters of API stages live in a registry by name, so that they survive reloads.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Index;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use codec::proxy_protocol::Fault;
use policy::phase::Phase;

use codec::http2::frames::Excess;

use super::limits;

/// Adds to a counter of the calling worker. Not for counters with two writers.
#[inline]
pub fn add(counter: &AtomicU64, n: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(n), Relaxed);
}

/// Takes from a gauge of the calling worker. One block may go below zero while the sum is right: a connection may be
/// accepted by one worker and closed by another.
#[inline]
pub fn sub(gauge: &AtomicU64, n: u64) {
    gauge.store(gauge.load(Relaxed).wrapping_sub(n), Relaxed);
}

/// Sets a gauge, or a counter that somebody else keeps (the ring's own count of submissions).
#[inline]
pub fn set(counter: &AtomicU64, value: u64) {
    counter.store(value, Relaxed);
}

/// Classes of statuses: index 0 is "no status was sent", 1 to 5 are 1xx to 5xx.
pub const CLASSES: usize = 6;

/// The index of a status in an array of [`CLASSES`].
#[inline]
pub const fn class(status: u16) -> usize {
    match status {
        100..=599 => (status / 100) as usize,
        _ => 0,
    }
}

/// The phases that refuse what is too fast or too much at once; values of the label `phase` by their names.
pub const THROTTLES: [Phase; 5] =
    [Phase::ThrottleAddress, Phase::ThrottlePlan, Phase::ThrottleStage, Phase::ThrottleAccount, Phase::Concurrency];

/// How connections that were passed through ended.
pub const TUNNEL_ENDS: [&str; 7] = ["client", "backend", "client_broke", "backend_broke", "idle", "lifetime", "drain"];

/// How connections that speak HTTP/2 end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Http2End {
    /// The client ended it, or it broke.
    Client,
    /// Nothing was asked for too long.
    Idle,
    /// We had no more use for it: a drain, a closed listener, enough requests, no room.
    Left,
    /// It did not begin as it has to, or not in time.
    NoPreface,
    /// Our settings were not acknowledged.
    Unsettled,
    /// It broke the protocol.
    Misbehaved,
    /// It took nothing of what was sent.
    Stuck,
    /// It cost too much of something.
    Excess(Excess),
}

impl Http2End {
    /// Labels of those that are no excess.
    pub const NAMES: [&'static str; 7] =
        ["client", "idle", "left", "no_preface", "settings_timeout", "protocol_error", "reads_nothing"];

    /// How many there are.
    pub const COUNT: usize = Http2End::NAMES.len() + Excess::NAMES.len();

    /// Its place among the counters.
    pub fn index(self) -> usize {
        match self {
            Http2End::Client => 0,
            Http2End::Idle => 1,
            Http2End::Left => 2,
            Http2End::NoPreface => 3,
            Http2End::Unsettled => 4,
            Http2End::Misbehaved => 5,
            Http2End::Stuck => 6,
            Http2End::Excess(excess) => Http2End::NAMES.len() + excess as usize,
        }
    }
}

/// A row of counters with an index, in cache lines that nothing else lives in.
pub struct Counters {
    lines: Box<[CacheLine]>,
    length: usize,
}

#[repr(align(64))]
#[derive(Default)]
struct CacheLine([AtomicU64; 8]);

impl Counters {
    fn new(length: usize) -> Self {
        Self { lines: (0..length.div_ceil(8)).map(|_| CacheLine::default()).collect(), length }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }
}

impl Index<usize> for Counters {
    type Output = AtomicU64;

    #[inline]
    fn index(&self, index: usize) -> &AtomicU64 {
        debug_assert!(index < self.length, "a name without a counter");
        &self.lines[index / 8].0[index % 8]
    }
}

impl fmt::Debug for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries((0..self.length).map(|index| self[index].load(Relaxed))).finish()
    }
}

/// The counters of one worker. Only this worker writes them, with [`add`], [`sub`] and [`set`].
#[derive(Debug)]
#[repr(align(128))]
pub struct WorkerMetrics {
    /// Connections taken from the listeners.
    pub connections_accepted: AtomicU64,
    /// Connections given to a worker that carries fewer.
    pub connections_handed_over: AtomicU64,
    /// Connections of clients that are open now (gauge).
    pub connections_open: AtomicU64,
    /// Of these, connections between two requests (gauge).
    pub connections_idle: AtomicU64,
    /// Connections of clients that began with HTTP/2.
    pub http2_connections: AtomicU64,
    /// Streams that they opened.
    pub http2_streams: AtomicU64,
    /// Of these, streams that the client gave up before it had an answer.
    pub http2_taken_back: AtomicU64,
    /// How connections ended, by [`Http2End::index`].
    pub http2_ended: [AtomicU64; Http2End::COUNT],
    /// Requests whose head arrived whole, or was refused while it did.
    pub requests: AtomicU64,
    /// Bytes received from clients, heads included.
    pub bytes_received: AtomicU64,
    /// Bytes sent to clients, heads included.
    pub bytes_sent: AtomicU64,
    /// Answers by [`class`] of their status.
    pub responses: [AtomicU64; CLASSES],
    /// Refusals, by the index of their name in [`Setup::refusals`].
    pub refusals: Counters,
    /// Faults, by the index of their name in [`Setup::faults`].
    pub faults: Counters,
    /// Requests that were too fast or too many at once, by their place in [`THROTTLES`].
    pub throttled: [AtomicU64; THROTTLES.len()],
    /// Tasks that ended in a panic.
    pub panics: AtomicU64,
    /// Connections made to upstreams.
    pub upstream_connects: AtomicU64,
    /// Requests sent on a pooled upstream connection.
    pub upstream_reuses: AtomicU64,
    /// Requests sent again after the first try failed.
    pub upstream_retries: AtomicU64,
    /// Times that an authorizer was asked.
    pub authorizer_calls: AtomicU64,
    /// Of these, those that brought no answer.
    pub authorizer_failures: AtomicU64,
    /// Requests that an authorizer's remembered answer decided on.
    pub authorizer_hits: AtomicU64,
    /// Preflights of browsers that were answered for an API (CO-02).
    pub preflights: AtomicU64,
    /// Passwords that were held against a hash.
    pub passwords_verified: AtomicU64,
    /// Passwords that were not, as too many wait.
    pub passwords_refused: AtomicU64,
    /// Connections to upstreams that are open now (gauge).
    pub upstream_connections_open: AtomicU64,
    /// Of these, connections in the pool (gauge).
    pub upstream_idle: AtomicU64,
    /// Times that the kernel found no receive buffer free.
    pub buffers_starved: AtomicU64,
    /// Access-log lines written to a batch.
    pub access_log_lines: AtomicU64,
    /// Access-log lines dropped because the log could not keep up.
    pub access_log_dropped: AtomicU64,
    /// Turns of the worker's loop.
    pub loop_turns: AtomicU64,
    /// Operations submitted to the driver (ring: submission entries).
    pub loop_submissions: AtomicU64,
    /// System calls that entered the driver.
    pub loop_enters: AtomicU64,
    /// Tasks that live now (gauge).
    pub tasks: AtomicU64,
    /// Receive buffers that somebody still reads, of both sizes (gauge).
    pub buffers_held: AtomicU64,
    /// Requests that an upstream is working on (gauge).
    pub upstream_in_flight: AtomicU64,
    /// Header fields dropped because their name holds an underscore (attack row S10).
    pub heads_underscore_dropped: AtomicU64,
    /// Trailer fields dropped.
    pub trailers_dropped: AtomicU64,
    /// Connections that are passed through to a backend now (gauge).
    pub tunnels_open: AtomicU64,
    /// Connections that were, since the start.
    pub tunnels_opened: AtomicU64,
    /// How they ended, by the place of its name in [`TUNNEL_ENDS`].
    pub tunnels_ended: [AtomicU64; TUNNEL_ENDS.len()],
    /// TLS handshakes that were done: version 1.2 and 1.3, of each those from the beginning and those that continued a session.
    pub tls_handshakes: [[AtomicU64; 2]; 2],
    /// TLS handshakes that came to nothing, by [`HandshakeFailure`].
    pub tls_failures: [AtomicU64; HandshakeFailure::NAMES.len()],
    /// TLS handshakes under way (gauge).
    pub tls_handshaking: AtomicU64,
    /// PROXY headers read, of version 1 and 2.
    pub proxy_headers: [AtomicU64; 2],
    /// Connections closed for want of a good PROXY header, by [`GreetingFailure`].
    pub proxy_failures: [AtomicU64; GreetingFailure::COUNT],
    /// Ticks of the worker's clockwork; all ones when it has ended. For the watchdog.
    pub heartbeat: AtomicU64,
    /// The step of shedding, from 0 (gauge).
    pub overload_level: AtomicU64,
    /// Idle connections of clients closed to make room.
    pub overload_idle_closed: AtomicU64,
    /// Connections turned away because there was no room.
    pub overload_refused: AtomicU64,
    /// Connections that ended with their answer because there was little room.
    pub overload_ended: AtomicU64,
    /// Times that accepting was stopped for want of room.
    pub overload_pauses: AtomicU64,
    /// Connections turned away because their address had as many as it may.
    pub address_refused: AtomicU64,
    /// Requests under way (gauge).
    pub requests_at_work: AtomicU64,
    /// Requests refused because there were too many under way.
    pub requests_refused: AtomicU64,
    /// Failures to accept.
    pub accept_errors: AtomicU64,
    /// Connections to upstreams that failed for want of descriptors, memory or ports.
    pub resources_short: AtomicU64,
}

impl WorkerMetrics {
    fn new(refusals: usize, faults: usize) -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            connections_accepted: zero(),
            connections_handed_over: zero(),
            connections_open: zero(),
            connections_idle: zero(),
            requests: zero(),
            bytes_received: zero(),
            bytes_sent: zero(),
            responses: Default::default(),
            refusals: Counters::new(refusals),
            faults: Counters::new(faults),
            throttled: Default::default(),
            panics: zero(),
            upstream_connects: zero(),
            upstream_reuses: zero(),
            upstream_retries: zero(),
            authorizer_calls: zero(),
            authorizer_failures: zero(),
            authorizer_hits: zero(),
            preflights: zero(),
            passwords_verified: zero(),
            passwords_refused: zero(),
            upstream_connections_open: zero(),
            upstream_idle: zero(),
            buffers_starved: zero(),
            access_log_lines: zero(),
            access_log_dropped: zero(),
            loop_turns: zero(),
            loop_submissions: zero(),
            loop_enters: zero(),
            tasks: zero(),
            buffers_held: zero(),
            upstream_in_flight: zero(),
            heads_underscore_dropped: zero(),
            trailers_dropped: zero(),
            http2_connections: zero(),
            http2_streams: zero(),
            http2_taken_back: zero(),
            http2_ended: Default::default(),
            tunnels_open: zero(),
            tunnels_opened: zero(),
            tunnels_ended: Default::default(),
            tls_handshakes: Default::default(),
            tls_failures: Default::default(),
            tls_handshaking: zero(),
            proxy_headers: Default::default(),
            proxy_failures: Default::default(),
            heartbeat: zero(),
            overload_level: zero(),
            overload_idle_closed: zero(),
            overload_refused: zero(),
            overload_ended: zero(),
            overload_pauses: zero(),
            address_refused: zero(),
            requests_at_work: zero(),
            requests_refused: zero(),
            accept_errors: zero(),
            resources_short: zero(),
        }
    }
}

/// Why a TLS handshake came to nothing (row R05).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeFailure {
    /// As many were under way as may be.
    Busy,
    /// The client closed the connection.
    Closed,
    /// Nothing came at all.
    Silent,
    /// It did not end in time.
    Timeout,
    /// The client spoke plain HTTP.
    PlainHttp,
    /// What came was no TLS, or broke its rules.
    Protocol,
    /// Nothing that both sides can speak.
    Incompatible,
    /// The client refused what it was shown.
    Alert,
}

impl HandshakeFailure {
    /// Values of the label `cause`, by number.
    pub const NAMES: [&str; 8] =
        ["busy", "closed", "silent", "timeout", "plain_http", "protocol", "incompatible", "alert"];
}

/// Why a connection of a listener that wants PROXY headers was closed (row P07).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GreetingFailure {
    /// It comes from somebody who is no balancer.
    Untrusted,
    /// Nothing came at all.
    Silent,
    /// It did not end in time.
    Timeout,
    /// The balancer closed the connection.
    Closed,
    /// What came is none.
    Header(Fault),
}

impl GreetingFailure {
    /// Those that are no fault of a header.
    const OTHERS: [&str; 4] = ["untrusted", "silent", "timeout", "closed"];
    /// How many there are.
    pub const COUNT: usize = Self::OTHERS.len() + Fault::ALL.len();

    /// Its place among all.
    pub const fn index(self) -> usize {
        match self {
            Self::Untrusted => 0,
            Self::Silent => 1,
            Self::Timeout => 2,
            Self::Closed => 3,
            Self::Header(fault) => Self::OTHERS.len() + fault as usize,
        }
    }

    /// Values of the label `cause`, by number.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Self::OTHERS.into_iter().chain(Fault::ALL.iter().map(|fault| fault.name()))
    }
}

/// Upper bounds of the latency buckets, in microseconds, each inclusive; beyond the last lies `+Inf`.
pub const BOUNDS: [u64; 15] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
    10_000_000, 30_000_000,
];

/// A latency histogram with fixed buckets, not cumulative; written by one worker.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    micros: AtomicU64,
}

impl Histogram {
    /// Counts one duration, in microseconds.
    #[inline]
    pub fn record(&self, micros: u64) {
        add(&self.buckets[bucket(micros)], 1);
        add(&self.micros, micros);
    }

    pub(super) fn add_to(&self, counts: &mut [u64; BOUNDS.len() + 1], micros: &mut u64) {
        for (sum, bucket) in counts.iter_mut().zip(&self.buckets) {
            *sum += bucket.load(Relaxed);
        }
        *micros = micros.wrapping_add(self.micros.load(Relaxed));
    }
}

/// The bucket of a duration: as many bounds as lie below it. No branches: the compiler makes a few vector compares of it.
#[inline]
fn bucket(micros: u64) -> usize {
    BOUNDS.iter().map(|&bound| usize::from(micros > bound)).sum()
}

/// What one finished request adds to its stage.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    /// The status sent; 0 if none was.
    pub status: u16,
    /// From the first byte of the request to the last of the answer, in microseconds.
    pub latency_micros: u64,
    /// From the call of the backend to its answer's head, in microseconds; none if no backend was called.
    pub integration_micros: Option<u64>,
    /// Bytes received of this request.
    pub bytes_received: u64,
    /// Bytes sent of its answer.
    pub bytes_sent: u64,
}

/// The counters of one stage of one API. CloudWatch's names: `Count` is the sum of the classes, `4XXError` and `5XXError`
/// are two of them, `Latency` and `IntegrationLatency` are the histograms, `DataProcessed` is both byte counts (OB-04).
#[derive(Debug)]
pub struct StageMetrics {
    blocks: Box<[StageBlock]>,
}

#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct StageBlock {
    pub(super) classes: [AtomicU64; CLASSES],
    pub(super) latency: Histogram,
    pub(super) integration: Histogram,
    pub(super) bytes_received: AtomicU64,
    pub(super) bytes_sent: AtomicU64,
}

impl StageMetrics {
    fn new(workers: usize) -> Self {
        Self { blocks: (0..workers).map(|_| StageBlock::default()).collect() }
    }

    /// Counts one request, in the block of the calling worker.
    #[inline]
    pub fn record(&self, worker: usize, sample: &Sample) {
        let block = &self.blocks[worker];
        add(&block.classes[class(sample.status)], 1);
        block.latency.record(sample.latency_micros);
        if let Some(micros) = sample.integration_micros {
            block.integration.record(micros);
        }
        add(&block.bytes_received, sample.bytes_received);
        add(&block.bytes_sent, sample.bytes_sent);
    }

    pub(super) fn blocks(&self) -> &[StageBlock] {
        &self.blocks
    }
}

/// How often a rule of a firewall held: a line of counters for each worker, of which the first counts.
#[derive(Debug)]
pub struct RuleMetrics(Counters);

impl RuleMetrics {
    /// Counts one request of a worker.
    pub fn count(&self, worker: usize) {
        add(&self.0[worker * 8], 1);
    }

    pub(super) fn total(&self) -> u64 {
        (0..self.0.len()).fold(0, |sum, at| sum.wrapping_add(self.0[at].load(Relaxed)))
    }
}

/// What the access log's writer counts. When a reload sends the log elsewhere, two of them write for a moment.
#[derive(Debug, Default)]
pub struct WriterMetrics {
    /// Bytes that reached the log.
    pub bytes_written: AtomicU64,
    /// Writes, and reopenings, that failed.
    pub errors: AtomicU64,
    /// Lines that were lost in a failed write.
    pub lines_lost: AtomicU64,
    /// Times that the log was opened again.
    pub reopened: AtomicU64,
}

/// What the metrics have to know from the first moment.
#[derive(Clone, Debug)]
pub struct Setup {
    /// How many workers there are.
    pub workers: usize,
    /// The names of the refusals, in the order of their indices; the label `reason`.
    pub refusals: &'static [&'static str],
    /// The names of the faults, in the order of their indices; the label `fault`.
    pub faults: &'static [&'static str],
    /// The version of the program.
    pub version: &'static str,
}

/// All counters of the process.
#[derive(Debug)]
pub struct Metrics {
    pub(super) setup: Setup,
    pub(super) workers: Box<[Arc<WorkerMetrics>]>,
    pub(super) writer: Arc<WriterMetrics>,
    pub(super) started: SystemTime,
    stages: Mutex<Stages>,
    methods: Mutex<Methods>,
    rules: Mutex<Rules>,
    control: Mutex<Control>,
}

type Stages = BTreeMap<(Box<str>, Box<str>), Arc<StageMetrics>>;
/// By API, stage and method.
type Methods = BTreeMap<[Box<str>; 3], Arc<StageMetrics>>;
/// By API, which is empty for those of the gateway, and rule.
type Rules = BTreeMap<[Box<str>; 2], Arc<RuleMetrics>>;

/// What changes a few times in a process's life.
#[derive(Clone, Debug, Default)]
pub(super) struct Control {
    pub(super) generation: u64,
    /// By who asked: those that went well, and those that failed.
    pub(super) reloads: [[u64; 2]; By::ALL.len()],
    pub(super) last_reload_failed: bool,
    pub(super) last_success: Duration,
    /// Unix time of the last attempt's end, the first load included, and how long it took.
    pub(super) last_reload: Duration,
    pub(super) last_reload_took: Duration,
    pub(super) driver: Option<(&'static str, String)>,
    /// Files that are watched, and how often their contents were compared.
    pub(super) watched: u64,
    pub(super) watch_looks: u64,
}

/// Who asked for a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// `tollgate reload`, or another command that needs one.
    Command,
    /// SIGHUP.
    Signal,
    /// The watcher of the documents.
    Watch,
}

impl By {
    /// In the order of their counters.
    pub const ALL: [By; 3] = [By::Command, By::Signal, By::Watch];

    /// The label `by`.
    pub const fn name(self) -> &'static str {
        match self {
            By::Command => "command",
            By::Signal => "signal",
            By::Watch => "watch",
        }
    }
}

impl Metrics {
    /// Counters at zero; the process starts now.
    pub fn new(setup: Setup) -> Arc<Self> {
        let block = || Arc::new(WorkerMetrics::new(setup.refusals.len(), setup.faults.len()));
        Arc::new(Self {
            workers: (0..setup.workers).map(|_| block()).collect(),
            writer: Arc::default(),
            started: SystemTime::now(),
            stages: Mutex::default(),
            methods: Mutex::default(),
            rules: Mutex::default(),
            control: Mutex::default(),
            setup,
        })
    }

    /// How many workers there are.
    pub fn worker_count(&self) -> usize {
        self.workers.len()
    }

    /// The block of one worker, to be written by it alone.
    pub fn worker(&self, index: usize) -> Arc<WorkerMetrics> {
        self.workers[index].clone()
    }

    /// The counters of the access log's writer.
    pub fn writer(&self) -> Arc<WriterMetrics> {
        self.writer.clone()
    }

    /// The counters of a stage, the same for the same names as long as the process lives. To be asked when a snapshot is
    /// made, not per request. At most [`limits::STAGE_PAIRS`] pairs are told apart.
    pub fn stage(&self, api: &str, stage: &str) -> Arc<StageMetrics> {
        let mut stages = locked(&self.stages);
        let key = |api: &str, stage: &str| (Box::from(api), Box::from(stage));
        let mut wanted = key(api, stage);
        if !stages.contains_key(&wanted) && stages.len() >= limits::STAGE_PAIRS {
            wanted = key(limits::OVERFLOW, limits::OVERFLOW);
        }
        stages.entry(wanted).or_insert_with(|| Arc::new(StageMetrics::new(self.workers.len()))).clone()
    }

    /// The counters of a method in a stage, as [`Metrics::stage`]. At most [`limits::METHOD_TRIPLES`] are told apart.
    pub fn method(&self, api: &str, stage: &str, method: &str) -> Arc<StageMetrics> {
        let mut methods = locked(&self.methods);
        let mut wanted = [api, stage, method].map(Box::from);
        if !methods.contains_key(&wanted) && methods.len() >= limits::METHOD_TRIPLES {
            wanted = [limits::OVERFLOW; 3].map(Box::from);
        }
        methods.entry(wanted).or_insert_with(|| Arc::new(StageMetrics::new(self.workers.len()))).clone()
    }

    /// The counter of a rule of a firewall, as [`Metrics::stage`]; those of the gateway are of no API. At most
    /// [`limits::FIREWALL_RULES`] are told apart.
    pub fn rule(&self, api: &str, rule: &str) -> Arc<RuleMetrics> {
        let mut rules = locked(&self.rules);
        let mut wanted = [api, rule].map(Box::from);
        if !rules.contains_key(&wanted) && rules.len() >= limits::FIREWALL_RULES {
            wanted = [limits::OVERFLOW; 2].map(Box::from);
        }
        let new = || Arc::new(RuleMetrics(Counters::new(self.workers.len() * 8)));
        rules.entry(wanted).or_insert_with(new).clone()
    }

    /// A reload has ended: the snapshot of this number serves, or the one from before. The first load of the process is
    /// [`Metrics::loaded`].
    pub fn reloaded(&self, by: By, serves: Option<u64>, took: Duration) {
        let mut control = locked(&self.control);
        control.reloads[by as usize][usize::from(serves.is_none())] += 1;
        control.last_reload = since_epoch(SystemTime::now());
        control.last_reload_took = took;
        control.last_reload_failed = serves.is_none();
        if let Some(generation) = serves {
            control.generation = generation;
            control.last_success = control.last_reload;
        }
    }

    /// The snapshot of this number serves.
    pub fn loaded(&self, generation: u64) {
        let mut control = locked(&self.control);
        control.generation = generation;
        control.last_reload_failed = false;
        control.last_success = since_epoch(SystemTime::now());
    }

    /// So many files are watched.
    pub fn set_watched(&self, files: u64) {
        locked(&self.control).watched = files;
    }

    /// The contents of the watched files were compared with what was loaded.
    pub fn watch_looked(&self) {
        locked(&self.control).watch_looks += 1;
    }

    /// Which driver carries the sockets (`io_uring`, `epoll`), and why not the better one, if so.
    pub fn set_driver(&self, driver: &'static str, reason: &str) {
        locked(&self.control).driver = Some((driver, reason.to_owned()));
    }

    /// The sum of one counter over the workers, for `/status`. A gauge below zero reads as zero.
    pub fn total(&self, counter: impl Fn(&WorkerMetrics) -> &AtomicU64) -> u64 {
        let sum = self.workers.iter().fold(0u64, |sum, worker| sum.wrapping_add(counter(worker).load(Relaxed)));
        if sum.cast_signed() < 0 { 0 } else { sum }
    }

    /// The largest value of one gauge.
    pub fn most(&self, gauge: impl Fn(&WorkerMetrics) -> &AtomicU64) -> u64 {
        self.workers.iter().map(|worker| gauge(worker).load(Relaxed)).max().unwrap_or(0)
    }

    /// When the process started.
    pub fn started(&self) -> SystemTime {
        self.started
    }

    pub(super) fn control(&self) -> Control {
        locked(&self.control).clone()
    }

    pub(super) fn stages(&self) -> Stages {
        locked(&self.stages).clone()
    }

    pub(super) fn rules(&self) -> Rules {
        locked(&self.rules).clone()
    }

    pub(super) fn methods(&self) -> Methods {
        locked(&self.methods).clone()
    }
}

pub(super) fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// These maps are whole after every statement: a panic of another holder has broken nothing.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(workers: usize) -> Arc<Metrics> {
        Metrics::new(Setup { workers, refusals: &["no_such_api"], faults: &["client_gone"], version: "1.2.3" })
    }

    #[test]
    fn a_duration_on_a_bound_belongs_below_it() {
        assert_eq!(bucket(0), 0);
        for (index, &bound) in BOUNDS.iter().enumerate() {
            assert_eq!(bucket(bound - 1), index, "just below {bound}");
            assert_eq!(bucket(bound), index, "at {bound}");
            assert_eq!(bucket(bound + 1), index + 1, "just above {bound}");
        }
        assert_eq!(bucket(u64::MAX), BOUNDS.len());
    }

    #[test]
    fn statuses_that_are_none_have_a_class_of_their_own() {
        let classes = [0, 99, 100, 204, 301, 499, 500, 599, 600, u16::MAX].map(class);
        assert_eq!(classes, [0, 0, 1, 2, 3, 4, 5, 5, 0, 0]);
    }

    #[test]
    fn methods_beyond_the_limit_share_one_row() {
        let metrics = metrics(1);
        for number in 0..=limits::METHOD_TRIPLES {
            metrics.method("a", "s", &format!("GET /{number}")).record(0, &Sample::default());
        }
        metrics.method("a", "s", "GET /0").record(0, &Sample::default());
        let methods = metrics.methods();
        assert_eq!(methods.len(), limits::METHOD_TRIPLES + 1);
        let count = |key: [&str; 3]| methods[&key.map(Box::from)].blocks()[0].classes[0].load(Relaxed);
        assert_eq!(count(["a", "s", "GET /0"]), 2);
        assert_eq!(count([limits::OVERFLOW; 3]), 1);
    }

    #[test]
    fn counters_survive_a_reload() {
        let metrics = metrics(2);
        metrics.stage("petstore", "prod").record(1, &Sample { status: 200, ..Sample::default() });
        let again = metrics.stage("petstore", "prod");
        assert_eq!(again.blocks()[1].classes[2].load(Relaxed), 1);
        assert!(Arc::ptr_eq(&again, &metrics.stage("petstore", "prod")));
        assert!(!Arc::ptr_eq(&again, &metrics.stage("petstore", "dev")));
    }

    #[test]
    fn a_sample_is_counted_everywhere_it_belongs() {
        let stage = StageMetrics::new(1);
        let mut sample = Sample {
            status: 504,
            latency_micros: 7_000,
            integration_micros: Some(900),
            bytes_received: 11,
            bytes_sent: 13,
        };
        stage.record(0, &sample);
        sample.integration_micros = None;
        stage.record(0, &sample);
        let block = &stage.blocks()[0];
        assert_eq!(block.classes[5].load(Relaxed), 2);
        assert_eq!((block.bytes_received.load(Relaxed), block.bytes_sent.load(Relaxed)), (22, 26));
        let (mut counts, mut micros) = ([0; BOUNDS.len() + 1], 0);
        block.latency.add_to(&mut counts, &mut micros);
        assert_eq!((counts[4], micros), (2, 14_000));
        let (mut counts, mut micros) = ([0; BOUNDS.len() + 1], 0);
        block.integration.add_to(&mut counts, &mut micros);
        assert_eq!((counts[1], counts.iter().sum::<u64>(), micros), (1, 1, 900));
    }

    #[test]
    fn pairs_beyond_the_cap_share_one() {
        let metrics = metrics(1);
        for number in 0..limits::STAGE_PAIRS {
            metrics.stage("api", &number.to_string());
        }
        let first = metrics.stage("api", "one too many");
        assert!(Arc::ptr_eq(&first, &metrics.stage("another", "one")));
        assert!(!Arc::ptr_eq(&first, &metrics.stage("api", "999")), "a known pair keeps its own");
        assert_eq!(metrics.stages().len(), limits::STAGE_PAIRS + 1);
        assert!(metrics.stages().contains_key(&(Box::from(limits::OVERFLOW), Box::from(limits::OVERFLOW))));
    }

    #[test]
    fn a_gauge_may_rise_here_and_fall_there() {
        let metrics = metrics(2);
        add(&metrics.worker(0).connections_open, 3);
        sub(&metrics.worker(1).connections_open, 2);
        assert_eq!(metrics.total(|worker| &worker.connections_open), 1);
        sub(&metrics.worker(1).connections_open, 2);
        assert_eq!(metrics.total(|worker| &worker.connections_open), 0, "seen between two writes");
    }

    #[test]
    fn no_worker_shares_a_cache_line() {
        assert_eq!(align_of::<WorkerMetrics>(), 128);
        assert_eq!(align_of::<StageBlock>(), 128);
        assert_eq!(size_of::<StageBlock>() % 128, 0);
        let counters = Counters::new(9);
        assert_eq!(size_of_val(&*counters.lines), 128);
        add(&counters[8], 5);
        assert_eq!(counters[8].load(Relaxed), 5);
        assert_eq!(counters[0].load(Relaxed), 0);
    }
}
