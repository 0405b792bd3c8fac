//! One worker: a thread, its ring, its snapshot cell, its pools. Nothing of it is shared, so nothing is locked.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::exchange::Scratch;
use crate::io::{Receiver, Why, driver_counts, next_event, now, sleep, spawn};
use crate::limits::{SCRATCH_KEPT_MAX, TICK};
use crate::listener::{self, Entry};
use crate::observe::access_log::Sink;
use crate::observe::metrics::{WorkerMetrics, add, set, sub};
use crate::state::{Live, Published};
use crate::upstream::pool::{Pools, UPSTREAM_TAG};
use crate::upstream::resolve::{NameTable, Names};
use crate::{connection, io as runtime};

/// What other threads tell a worker.
pub enum Message {
    /// Serve this from the next request on, and say when.
    Adopt(Arc<Published>, mpsc::Sender<usize>),
    /// Names were resolved.
    Names(NameTable),
    /// Accept no more, finish what is under way within this time, and leave.
    Drain(Duration),
}

/// What a worker is made of.
pub struct Parts {
    /// Its number, from 0.
    pub index: usize,
    /// The first snapshot.
    pub published: Arc<Published>,
    /// Its counters.
    pub metrics: Arc<WorkerMetrics>,
    /// Its end of the access log.
    pub log: Sink,
    /// What it is told.
    pub inbox: Receiver<Message>,
    /// Its listening sockets: descriptor, execute-api, port.
    pub listeners: Vec<(OwnedFd, bool, u16)>,
}

/// A worker's state; handlers hold it as `Rc<Worker>`.
pub struct Worker {
    /// Its number.
    pub index: usize,
    /// Its counters.
    pub metrics: Arc<WorkerMetrics>,
    /// Resolved names.
    pub names: Names,
    live: RefCell<Rc<Live>>,
    pools: Pools,
    log: RefCell<Sink>,
    clock: RefCell<Clock>,
    random: RefCell<fastrand::Rng>,
    scratch: RefCell<Vec<Box<Scratch>>>,
    entries: RefCell<Vec<Rc<Entry>>>,
    open: Cell<u32>,
    draining: Cell<bool>,
    drain_wakers: RefCell<Vec<Waker>>,
    accept_errors: Cell<u64>,
}

/// Wall-clock time, looked at ten times a second.
struct Clock {
    at: Instant,
    epoch: Duration,
    date_second: u64,
    date_line: Vec<u8>,
}

/// Runs a worker on this thread until it has drained.
pub async fn run(parts: Parts) {
    let Parts { index, published, metrics, log, inbox, listeners } = parts;
    let worker = Rc::new(Worker {
        index,
        metrics,
        names: Names::default(),
        live: RefCell::new(Rc::new(Live { published: published.clone(), upstreams: Box::new([]) })),
        pools: Pools::default(),
        log: RefCell::new(log),
        clock: RefCell::new(Clock::new()),
        random: RefCell::new(seeded()),
        scratch: RefCell::default(),
        entries: RefCell::default(),
        open: Cell::new(0),
        draining: Cell::new(false),
        drain_wakers: RefCell::default(),
        accept_errors: Cell::new(0),
    });
    worker.adopt(published);
    for (tag, (fd, execute_api, port)) in listeners.into_iter().enumerate() {
        let entry = Rc::new(Entry { tag: tag as u64, execute_api, port });
        worker.entries.borrow_mut().push(entry.clone());
        spawn(listener::accept_all(fd, entry, worker.clone()));
    }
    spawn(take_events(worker.clone()));
    spawn(tick(worker.clone()));
    listen_to_others(&worker, &inbox).await;
}

/// Events of parked sockets: clients that speak again, upstream connections that ended.
async fn take_events(worker: Rc<Worker>) {
    loop {
        let event = next_event().await;
        if event.tag & UPSTREAM_TAG != 0 {
            worker.pools.event(&event, &worker);
        } else if event.why == Why::Readable {
            sub(&worker.metrics.connections_idle, 1);
            let entry = worker.entries.borrow()[event.tag as usize].clone();
            spawn(connection::serve(event.sock, entry, worker.clone()));
        } else {
            connection::forget(event.sock, &worker);
        }
    }
}

/// Date, gauges and access-log batches, off the request's way.
async fn tick(worker: Rc<Worker>) {
    loop {
        worker.clock.borrow_mut().look();
        worker.log.borrow_mut().tick(now());
        let counts = driver_counts();
        let metrics = &worker.metrics;
        set(&metrics.loop_enters, counts.enters);
        set(&metrics.loop_submissions, counts.operations);
        set(&metrics.buffers_starved, counts.starved);
        set(&metrics.tasks, runtime::tasks_alive() as u64);
        set(&metrics.panics, runtime::panics());
        sleep(TICK).await;
    }
}

/// Serves the mailbox until it is told to leave, then waits for the last connection or the end of its time.
async fn listen_to_others(worker: &Rc<Worker>, inbox: &Receiver<Message>) {
    let time = loop {
        match inbox.recv().await {
            Message::Adopt(published, done) => {
                worker.adopt(published);
                // The asker may have stopped waiting.
                let _ = done.send(worker.index);
            }
            Message::Names(table) => worker.names.publish(table),
            Message::Drain(time) => break time,
        }
    };
    worker.begin_drain();
    let until = now() + time;
    while worker.open.get() > 0 && now() < until {
        sleep(Duration::from_millis(runtime::limits::TICK_MS)).await;
    }
    worker.log.borrow_mut().flush();
}

impl Worker {
    /// What is served now. A request asks once and keeps the answer.
    pub fn live(&self) -> Rc<Live> {
        self.live.borrow().clone()
    }

    fn adopt(&self, published: Arc<Published>) {
        let upstreams = self.pools.adopt(&published.snapshot, self);
        *self.live.borrow_mut() = Rc::new(Live { published, upstreams });
    }

    /// Whether this worker is about to leave.
    pub fn is_draining(&self) -> bool {
        self.draining.get()
    }

    fn begin_drain(&self) {
        self.draining.set(true);
        self.drain_wakers.borrow_mut().drain(..).for_each(Waker::wake);
        self.pools.close_idle(self);
        // Clients that have nothing under way are let go now; the others with their answer.
        runtime::expire_parked(UPSTREAM_TAG);
    }

    /// The future's output, or `None` as soon as the worker drains.
    pub async fn unless_draining<F: Future>(&self, future: F) -> Option<F::Output> {
        let mut future = std::pin::pin!(future);
        poll_fn(|context| {
            if self.draining.get() {
                return Poll::Ready(None);
            }
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                return Poll::Ready(Some(output));
            }
            let mut wakers = self.drain_wakers.borrow_mut();
            if !wakers.iter().any(|waker| waker.will_wake(context.waker())) {
                wakers.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await
    }

    /// Counts a client's connection.
    pub fn connection_opened(&self) {
        self.open.set(self.open.get() + 1);
        add(&self.metrics.connections_accepted, 1);
        add(&self.metrics.connections_open, 1);
    }

    /// Counts its end.
    pub fn connection_closed(&self) {
        self.open.set(self.open.get() - 1);
        sub(&self.metrics.connections_open, 1);
    }

    /// Clients' connections, idle ones included.
    pub fn connections_open(&self) -> u32 {
        self.open.get()
    }

    /// Says that accepting failed, but not a thousand times a second.
    pub fn accept_failed(&self, error: &io::Error) {
        let before = self.accept_errors.get();
        self.accept_errors.set(before + 1);
        if before.is_multiple_of(100) {
            tracing::warn!(%error, worker = self.index, "cannot accept connections; pausing between attempts");
        }
    }

    /// Random bits for ids; not for secrets.
    pub fn random(&self) -> u128 {
        self.random.borrow_mut().u128(..)
    }

    /// Milliseconds since 1970, exact to a tenth of a second plus the loop's own clock.
    pub fn epoch_ms(&self) -> u64 {
        let clock = self.clock.borrow();
        (clock.epoch + now().saturating_duration_since(clock.at)).as_millis() as u64
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

    /// Writes to the access log.
    pub fn log(&self, record: &crate::observe::access_log::Record<'_>) {
        self.log.borrow_mut().record(record);
    }
}

impl Clock {
    fn new() -> Clock {
        let mut clock = Clock { at: now(), epoch: Duration::ZERO, date_second: 0, date_line: Vec::new() };
        clock.look();
        clock
    }

    fn look(&mut self) {
        self.at = now();
        self.epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        if self.epoch.as_secs() != self.date_second {
            self.date_second = self.epoch.as_secs();
            let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(self.date_second));
            self.date_line.clear();
            codec::http1::write::field(&mut self.date_line, b"Date", date.as_bytes());
        }
    }
}

fn seeded() -> fastrand::Rng {
    let mut seed = [0; 8];
    // Without the kernel's randomness ids are still distinct enough: fastrand seeds itself from time and thread.
    match getrandom::fill(&mut seed) {
        Ok(()) => fastrand::Rng::with_seed(u64::from_ne_bytes(seed)),
        Err(_) => fastrand::Rng::new(),
    }
}
