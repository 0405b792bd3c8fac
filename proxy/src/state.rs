//! What serves: a numbered snapshot with its counters, and the state of one worker.

use std::cell::{Cell, RefCell};
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, UNIX_EPOCH};

use admin::Seldom;
use config::deployments::state_folder;
use config::snapshot::{Api, Authorizer, Method, Release, Snapshot, Stage};
use policy::authorize::lambda::Answer;
use policy::refusal::Refusal;
use router::Kind;

use crate::answers::Answers;
use crate::callers::{Caller, Callers};
use crate::colleagues::Colleagues;
use crate::entry::{Entries, Entry};
use crate::files::Share;
use crate::io::{self as runtime, now, since};
use crate::last_call::LastCall;
use crate::limits::{
    AUTHORIZER_ANSWERS_OF_WORKER, AUTHORIZER_ANSWERS_WEIGHT_OF_WORKER, PASSWORDS_REMEMBERED, SCRATCH_KEPT_MAX,
};
use crate::observe::access_log::{Record, Sink};
use crate::observe::metrics::{Metrics, StageMetrics, WorkerMetrics, add, sub};
use crate::overload::Load;
use crate::passwords::{self, Passwords};
use crate::protected::Protected;
use crate::remembered::Remembered;
use crate::scratch::Scratch;
use crate::signers::{Desk, Signers};
use crate::throttles::Throttles;
use crate::tokens::Tokens;
use crate::tokens::keys::Asker;
use crate::upstream::pool::{Pools, Upstream};
use crate::upstream::resolve::{NameTable, Names};
use crate::upstream::secure::Outbound;
use crate::upstream::server::UPSTREAM_TAG;
use crate::upstream::shared::Shared;
use crate::usage::{Counts, Usage};
use crate::walls::{Tallies, Walls};

/// Where a request was found to belong; indices into the snapshot.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The API.
    pub api: u32,
    /// The stage.
    pub stage: u32,
    /// The method in the stage, if one fits.
    pub method: Option<u32>,
    /// Whether the stage's canary answers (ST-09).
    pub canary: bool,
    /// Where in the canonical path the API's own path begins.
    pub rest: u16,
}

/// What all workers share of a snapshot.
pub struct Published {
    /// Counts reloads, from 1.
    pub generation: u64,
    /// The configuration.
    pub snapshot: Snapshot,
    /// What its hosts prove themselves with.
    pub protected: Protected,
    /// How its upstreams are spoken to.
    pub outbound: Outbound,
    /// Who may sign.
    pub signers: Signers,
    /// How its upstreams do, by their number.
    pub upstreams: Box<[Arc<Shared>]>,
    /// What limits its requests.
    pub throttles: Throttles,
    /// How often the rules of its firewalls held.
    pub tallies: Tallies,
    /// What authorizers have answered.
    pub answers: Arc<Answers>,
    /// Who verifies passwords, and which were.
    pub passwords: Arc<Passwords>,
    /// What its keys have used.
    pub counts: Counts,
    /// Counters of each stage, by its number.
    pub stage_metrics: Box<[Arc<StageMetrics>]>,
    /// Counters of methods, by the number of their stage; of the stage's release, then of its canary's.
    method_metrics: Box<[[MethodMetrics; 2]]>,
}

/// By method number; empty where no method has counters of its own.
type MethodMetrics = Box<[Option<Arc<StageMetrics>>]>;

impl Published {
    /// Finds each stage its counters, and each upstream what is known of it: as `before` for those of the same name.
    pub fn new(snapshot: Snapshot, before: Option<&Published>, metrics: &Metrics) -> Arc<Published> {
        let generation = before.map_or(1, |before| before.generation + 1);
        let known = before.map_or(&[][..], |before| &before.upstreams);
        let upstreams = Shared::reconcile(&snapshot.upstreams, metrics.worker_count(), known);
        let counters = |stage: &Stage| metrics.stage(&snapshot.apis[stage.api as usize].id, &stage.name);
        let stage_metrics = snapshot.stages.iter().map(counters).collect();
        let of_methods = |stage: &Stage| {
            [stage.release.as_ref(), stage.canary.as_ref().map(|canary| &canary.release)]
                .map(|release| method_metrics(&snapshot, stage, release, metrics))
        };
        let method_metrics = snapshot.stages.iter().map(of_methods).collect();
        let protected = Protected::new(&snapshot, before.map(|before| &before.protected));
        let outbound = Outbound::new(&snapshot, before.map(|before| &before.outbound));
        let signers = Signers::new(&snapshot.gateway.principals);
        let throttles = before.map(|before| &before.throttles);
        let throttles = Throttles::new(&snapshot, throttles, metrics.worker_count(), now());
        let tallies = Tallies::new(&snapshot, metrics);
        let answers = before.map_or_else(Arc::default, |before| before.answers.clone());
        let passwords = before.map_or_else(Passwords::new, |before| before.passwords.clone());
        let usage = match before {
            Some(before) => before.counts.usage().clone(),
            None => Usage::new(state_folder(snapshot.gateway.state.as_deref())),
        };
        // No request waits until the counts of a million keys are looked at.
        if !snapshot.plans.is_empty() {
            usage.prepare();
        }
        let counts = Counts::new(usage, snapshot.keys.subscriptions());
        Arc::new(Published {
            generation,
            snapshot,
            protected,
            outbound,
            signers,
            upstreams,
            throttles,
            tallies,
            answers,
            passwords,
            counts,
            stage_metrics,
            method_metrics,
        })
    }

    /// The counters of the method of a place, if it has any of its own (ST-07).
    pub fn method_metrics(&self, place: Place) -> Option<&StageMetrics> {
        let release = &self.method_metrics[place.stage as usize][usize::from(place.canary)];
        release.get(place.method? as usize)?.as_deref()
    }
}

fn method_metrics(snapshot: &Snapshot, stage: &Stage, release: Option<&Release>, metrics: &Metrics) -> MethodMetrics {
    let Some(release) = release.filter(|_| !stage.measured.is_none()) else { return Box::default() };
    let api = &snapshot.apis[stage.api as usize].id;
    let counters =
        |method: &Method| stage.measured.has(&method.key).then(|| metrics.method(api, &stage.name, &method.key));
    release.program.methods.iter().map(counters).collect()
}

/// What one worker serves. A request keeps the one that it began with.
pub struct Live {
    /// The shared part. The supervisor holds one more reference, so that it is never freed on a worker.
    pub published: Arc<Published>,
    /// This worker's pools, by upstream number.
    pub upstreams: Box<[Rc<Upstream>]>,
    /// This worker's firewalls.
    pub walls: Walls,
}

impl Live {
    /// The configuration.
    pub fn snapshot(&self) -> &Snapshot {
        &self.published.snapshot
    }

    /// Whether the operator trusts a proxy with this address: it stands for many clients. `None`: a peer of a Unix socket.
    pub fn is_hop(&self, ip: Option<IpAddr>) -> bool {
        self.snapshot().gateway.trusted_proxies.as_ref().is_some_and(|hops| hops.from.contain(ip))
    }

    /// The API of a place.
    pub fn api(&self, place: Place) -> &Api {
        &self.snapshot().apis[place.api as usize]
    }

    /// Whose rules hold there. A stage may serve a deployment from before its API became one of another kind.
    pub fn kind(&self, place: Place) -> Kind {
        self.release(place).map_or_else(|| self.api(place).kind, |release| release.program.kind)
    }

    /// The stage of a place.
    pub fn stage(&self, place: Place) -> &Stage {
        &self.snapshot().stages[place.stage as usize]
    }

    /// Who decides on the callers of a place, by its number in the program.
    pub fn authorizer(&self, place: Place, number: u16) -> Result<&Authorizer, Refusal> {
        let release = self.release(place);
        let known = release.and_then(|release| release.program.authorizers.get(usize::from(number)));
        known.ok_or(Refusal::AuthorizerConfigurationError)
    }

    /// What the stage of a place serves to this request.
    pub fn release(&self, place: Place) -> Option<&Release> {
        self.stage(place).release(place.canary)
    }

    /// The method of a place, if one was found.
    pub fn method(&self, place: Place) -> Option<&Method> {
        self.release(place)?.program.methods.get(place.method? as usize)
    }
}

/// A worker's state; handlers hold it as `Rc<Worker>`.
pub struct Worker {
    /// Its number.
    pub index: usize,
    /// Its counters.
    pub metrics: Arc<WorkerMetrics>,
    /// Resolved names.
    pub names: Names,
    /// Its upstreams.
    pub pools: Pools,
    /// Keys of issuers, and tokens that were verified.
    pub tokens: Tokens,
    /// Its doors.
    pub entries: Entries,
    /// How full it is.
    pub load: Load,
    /// Who stays to the end of a drain.
    pub last_call: Rc<LastCall>,
    live: RefCell<Rc<Live>>,
    log: RefCell<Sink>,
    /// What it keeps of signatures.
    pub desk: Desk,
    clock: RefCell<Clock>,
    random: RefCell<fastrand::Rng>,
    #[expect(clippy::vec_box, reason = "boxes are lent out whole: what is parsed never moves")]
    scratch: RefCell<Vec<Box<Scratch>>>,
    callers: Arc<Callers>,
    /// The other workers.
    pub colleagues: Colleagues,
    /// TLS handshakes under way.
    pub handshakes: Cell<u32>,
    /// Numbers connections of HTTP/2.
    pub guests: Cell<u64>,
    accepting: Cell<u32>,
    at_rest: Cell<u32>,
    paused: Cell<bool>,
    draining: Cell<bool>,
    shut: Cell<bool>,
    accept_errors: RefCell<Seldom>,
    /// What authorizers have answered to this worker.
    pub authorized: RefCell<Remembered<Arc<Answer>>>,
    /// Passwords that this worker has heard of.
    pub passwords: RefCell<Remembered<passwords::Verdict>>,
    /// Authorizers that gave no answer.
    pub authorizers_silent: RefCell<Seldom>,
    /// Failures for want of descriptors that somebody has already made room for.
    needs_met: Cell<u64>,
}

/// An acceptor at work.
pub struct Accepting {
    worker: Rc<Worker>,
}

impl Accepting {
    /// The one that it accepts for.
    pub fn worker(&self) -> &Rc<Worker> {
        &self.worker
    }
}

impl Drop for Accepting {
    fn drop(&mut self) {
        self.worker.accepting.set(self.worker.accepting.get() - 1);
    }
}

/// An acceptor that has paused.
pub struct AtRest {
    worker: Rc<Worker>,
}

impl Drop for AtRest {
    fn drop(&mut self) {
        self.worker.at_rest.set(self.worker.at_rest.get() - 1);
    }
}

/// Wall-clock time, looked at ten times a second.
struct Clock {
    at: Instant,
    epoch: Duration,
    date_second: u64,
    date_line: Vec<u8>,
}

impl Worker {
    /// A worker that serves `published`.
    pub fn new(
        index: usize,
        published: Arc<Published>,
        metrics: Arc<WorkerMetrics>,
        log: Sink,
        (share, callers, colleagues, asker): (Share, Arc<Callers>, Colleagues, Asker),
    ) -> Rc<Worker> {
        let worker = Rc::new(Worker {
            index,
            names: Names::default(),
            pools: Pools::new(index, metrics.clone()),
            metrics,
            tokens: Tokens::new(asker),
            entries: Entries::default(),
            last_call: Rc::default(),
            live: RefCell::new(Rc::new(Live {
                published: published.clone(),
                upstreams: Box::new([]),
                walls: Walls::default(),
            })),
            log: RefCell::new(log),
            desk: Desk::default(),
            clock: RefCell::new(Clock::new()),
            random: RefCell::new(fastrand::Rng::with_seed(runtime::seed())),
            scratch: RefCell::default(),
            load: Load::new(&published.snapshot.gateway.limits, share.clients),
            callers,
            colleagues,
            handshakes: Cell::new(0),
            guests: Cell::new(0),
            accepting: Cell::new(0),
            at_rest: Cell::new(0),
            paused: Cell::new(false),
            draining: Cell::new(false),
            shut: Cell::new(false),
            accept_errors: RefCell::default(),
            authorized: RefCell::new(Remembered::new(
                AUTHORIZER_ANSWERS_OF_WORKER,
                AUTHORIZER_ANSWERS_WEIGHT_OF_WORKER,
            )),
            passwords: RefCell::new(Remembered::new(PASSWORDS_REMEMBERED, PASSWORDS_REMEMBERED)),
            authorizers_silent: RefCell::default(),
            needs_met: Cell::new(0),
        });
        worker.adopt(published);
        worker
    }

    /// Ten times a second: the clock, and access-log batches that have become old.
    pub fn tick(&self) {
        self.clock.borrow_mut().look();
        self.log.borrow_mut().tick(now());
    }

    /// Hands over the last lines of the access log.
    pub fn flush_log(&self) {
        self.log.borrow_mut().flush();
    }

    /// Writes to another access log from now on.
    pub fn log_to(&self, log: Sink) {
        // What the one before still holds is handed over when it is dropped.
        drop(self.log.replace(log));
    }

    /// What is served now. A request asks once and keeps the answer.
    pub fn live(&self) -> Rc<Live> {
        self.live.borrow().clone()
    }

    /// Serves this from the next request on.
    pub fn adopt(&self, published: Arc<Published>) {
        let specs = &published.snapshot.upstreams;
        let upstreams = self.pools.adopt(specs, &published.upstreams, published.outbound.all(), &self.names);
        self.load.adopt(&published.snapshot.gateway.limits);
        // It was verified by the rules before, with their keys.
        self.tokens.verified.forget();
        let walls = Walls::new(&published.snapshot);
        *self.live.borrow_mut() = Rc::new(Live { published, upstreams, walls });
    }

    /// Names were resolved. The servers change before anybody who waits for a name goes on.
    pub fn learn(&self, table: NameTable) {
        self.names.publish(table);
        self.pools.resolve(&self.names);
    }

    /// Whether this worker is about to leave.
    pub fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// Lets go of what is idle; what is under way is finished.
    pub fn begin_drain(&self) {
        self.draining.set(true);
        self.entries.wake();
    }

    /// From now on whatever becomes idle is closed.
    pub fn shut(&self) {
        self.shut.set(true);
        self.entries.wake();
        self.pools.close_idle();
    }

    /// Closes one of so many idle connections of clients.
    pub fn close_idle(&self, of: u32) {
        runtime::expire_parked(|tag| tag & UPSTREAM_TAG == 0 && (self.random() as u32).is_multiple_of(of));
    }

    /// Clients' connections between two requests.
    pub fn connections_idle(&self) -> u32 {
        self.metrics.connections_idle.load(Ordering::Relaxed).try_into().unwrap_or(0)
    }

    /// Whether idle connections are no longer kept.
    pub fn is_shut(&self) -> bool {
        self.shut.get()
    }

    /// Counts an acceptor until it lets go of its socket.
    pub fn begin_accepting(self: &Rc<Worker>) -> Accepting {
        self.accepting.set(self.accepting.get() + 1);
        Accepting { worker: self.clone() }
    }

    /// Whether somebody may still come in.
    pub fn is_accepting(&self) -> bool {
        self.accepting.get() > 0
    }

    /// From now on nobody is let in, until `resume`; who knocks waits in the kernel's queue.
    pub fn pause(&self) {
        self.paused.set(true);
        self.entries.wake();
    }

    /// Lets people in again.
    pub fn resume(&self) {
        self.paused.set(false);
        self.entries.wake();
    }

    /// Whether nobody is let in for the time being.
    pub fn is_paused(&self) -> bool {
        self.paused.get()
    }

    /// Counts an acceptor as resting.
    pub fn rest(self: &Rc<Worker>) -> AtRest {
        self.at_rest.set(self.at_rest.get() + 1);
        AtRest { worker: self.clone() }
    }

    /// Whether every acceptor rests.
    pub fn rests(&self) -> bool {
        self.at_rest.get() >= self.accepting.get()
    }

    /// Counts a client's connection; false if its address has as many as it may.
    pub fn connection_opened(&self, entry: &Entry, caller: Caller) -> bool {
        if !self.callers.enter(caller, self.load.per_address()) {
            return false;
        }
        entry.opened();
        self.load.opened();
        add(&self.metrics.connections_open, 1);
        true
    }

    /// Counts a connection for an address that was not known when it was opened; false if that has as many as it may.
    pub fn count_for(&self, caller: Caller) -> bool {
        self.callers.enter(caller, self.load.per_address())
    }

    /// Counts its end.
    pub fn connection_closed(&self, entry: &Entry, caller: Caller) {
        self.callers.leave(caller);
        entry.closed();
        self.load.left();
        sub(&self.metrics.connections_open, 1);
    }

    /// Clients' connections, idle ones included.
    pub fn connections_open(&self) -> u32 {
        self.load.open()
    }

    /// Counts that accepting failed, and says so once a second at most.
    pub fn accept_failed(&self, error: &io::Error) {
        add(&self.metrics.accept_errors, 1);
        if let Some(failures) = self.accept_errors.borrow_mut().say(now()) {
            let worker = self.index;
            tracing::warn!(%error, worker, failures, "cannot accept connections; pausing between attempts");
        }
    }

    /// Whether the kernel has refused a descriptor, or memory, since this was asked last.
    pub fn is_in_need(&self) -> bool {
        let failures = self.metrics.resources_short.load(Ordering::Relaxed);
        self.needs_met.replace(failures) != failures
    }

    /// Random bits for ids; not for secrets.
    pub fn random(&self) -> u128 {
        self.random.borrow_mut().u128(..)
    }

    /// Milliseconds since 1970, exact to a tenth of a second plus the loop's own clock.
    pub fn epoch_ms(&self) -> u64 {
        let clock = self.clock.borrow();
        (clock.epoch + since(clock.at)).as_millis() as u64
    }

    /// Appends the `Date` line.
    pub fn write_date(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.clock.borrow().date_line);
    }

    /// Parsing state, reused.
    pub fn scratch(&self) -> Box<Scratch> {
        self.scratch.borrow_mut().pop().unwrap_or_default()
    }

    /// Gives it back.
    pub fn put_back(&self, scratch: Box<Scratch>) {
        let mut kept = self.scratch.borrow_mut();
        if kept.len() < SCRATCH_KEPT_MAX {
            kept.push(scratch);
        }
    }

    /// Whether there is an access log; if not, no line has to be put together.
    pub fn has_log(&self) -> bool {
        self.log.borrow().is_open()
    }

    /// Writes to the access log.
    pub fn log(&self, record: &Record<'_>) {
        self.log.borrow_mut().record(record);
    }
}

/// `Date: Mon, 02 Feb 2026 10:00:00 GMT` and its end.
const DATE_LINE_BYTES: usize = 37;

impl Clock {
    fn new() -> Clock {
        let mut clock =
            Clock { at: now(), epoch: Duration::ZERO, date_second: 0, date_line: Vec::with_capacity(DATE_LINE_BYTES) };
        clock.look();
        clock
    }

    fn look(&mut self) {
        self.at = now();
        self.epoch = runtime::wall_clock().duration_since(UNIX_EPOCH).unwrap_or_default();
        if self.epoch.as_secs() != self.date_second {
            self.date_second = self.epoch.as_secs();
            let date = httpdate::HttpDate::from(UNIX_EPOCH + Duration::from_secs(self.date_second));
            self.date_line.clear();
            // Once a second, and into room that is there; a `Vec` takes everything.
            let _ = write!(self.date_line, "Date: {date}\r\n");
        }
    }
}
