//! One worker: a thread, its ring, its snapshot cell, its pools. Nothing of it is shared, so nothing is locked.

use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use crate::callers::Callers;
use crate::colleagues::{Colleagues, Newcomer};
use crate::connection;
use crate::entry::{GREETING_TAG, HANDSHAKE_TAG};
use crate::files::Share;
use crate::greeting;
use crate::io::{self as runtime, DriverKind, Receiver, Why, driver_counts, next_event, now, sleep, spawn, spawn_with};
use crate::limits::{
    IDLE_PORTION_MIN, IDLE_PORTION_PAUSE, IDLE_PORTIONS_MAX, LAST_CALL_PAUSE, LAST_CALL_TIME, LAST_REQUEST_TIME,
    PAUSE_TIME_MAX, TICK,
};
use crate::listener::{self, Order};
use crate::observe::access_log::Sink;
use crate::observe::metrics::{GreetingFailure, HandshakeFailure, WorkerMetrics, add, set, sub};
use crate::shed;
use crate::state::{Published, Worker};
use crate::tls;
use crate::tokens::keys::{Asker, KeyTable};
use crate::upstream::resolve::NameTable;
use crate::upstream::server::UPSTREAM_TAG;

/// What other threads tell a worker.
pub enum Message {
    /// Serve this from the next request on, and say when.
    Adopt(Adoption),
    /// Names were resolved.
    Names(NameTable),
    /// Keys of issuers were fetched.
    Keys(KeyTable),
    /// Accept here, too.
    Open(Vec<Order>),
    /// Accept nobody until told otherwise, and say when that is so.
    Pause(mpsc::Sender<usize>),
    /// Accept again.
    Resume,
    /// Accept no more, finish what is under way, and leave.
    Drain(Drain),
}

/// What a reload changes on a worker.
pub struct Adoption {
    /// What is served.
    pub published: Arc<Published>,
    /// Where.
    pub doors: Vec<Order>,
    /// Another access log, if it changes.
    pub log: Option<Sink>,
    /// Told the worker's number when it is done.
    pub done: mpsc::Sender<usize>,
}

/// How to leave.
#[derive(Clone)]
pub struct Drain {
    /// The most time for what is under way.
    pub time: Duration,
    /// Doors whose sockets another process accepts from.
    pub handed_over: Arc<[u64]>,
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
    /// What it may hold.
    pub share: Share,
    /// Who is connected, of all workers.
    pub callers: Arc<Callers>,
    /// All workers, as this one sees them.
    pub colleagues: Colleagues,
    /// Whom the others send it.
    pub newcomers: Receiver<Newcomer>,
    /// How it asks for keys of issuers.
    pub asker: Asker,
}

/// Makes this thread a worker until it has drained. Says so on `up` when its driver runs.
pub fn run_here(driver: DriverKind, parts: Parts, up: mpsc::Sender<()>) -> std::io::Result<()> {
    runtime::run(driver, async move {
        // The supervisor may have given up meanwhile.
        let _ = up.send(());
        run(parts).await;
    })
}

/// Serves until it has drained; on a shard.
pub async fn run(parts: Parts) {
    let Parts { index, published, metrics, log, inbox, share, callers, colleagues, newcomers, asker } = parts;
    runtime::set_sockets_max(share.sockets);
    let worker = Worker::new(index, published, metrics, log, (share, callers, colleagues, asker));
    spawn(listener::welcome(newcomers, worker.clone()));
    spawn(take_events(worker.clone()));
    spawn(tick(worker.clone()));
    listen_to_others(&worker, &inbox).await;
}

/// Events of parked sockets: clients that speak again, upstream connections that ended.
pub async fn take_events(worker: Rc<Worker>) {
    loop {
        let event = next_event().await;
        if event.tag & UPSTREAM_TAG != 0 {
            worker.pools.event(&event);
        } else if event.why == Why::Readable {
            sub(&worker.metrics.connections_idle, 1);
            let entry = worker.entries.of(event.tag);
            match event.tag & (GREETING_TAG | HANDSHAKE_TAG) {
                0 => {
                    let worker = worker.clone();
                    spawn_with(move || connection::serve(event.sock, entry, worker));
                }
                HANDSHAKE_TAG => spawn(tls::welcome(event.sock, entry, worker.clone())),
                _ => spawn(greeting::greet(event.sock, entry, worker.clone())),
            }
        } else {
            if event.tag & HANDSHAKE_TAG != 0 {
                tls::failed(HandshakeFailure::Silent, &worker);
            }
            if event.tag & GREETING_TAG != 0 {
                let is_late = event.why == Why::Expired;
                let why = if is_late { GreetingFailure::Silent } else { GreetingFailure::Closed };
                greeting::failed(why, &worker);
            }
            connection::forget(event.sock, &worker.entries.of(event.tag), &worker);
        }
    }
}

/// Date, gauges and access-log batches, off the request's way.
async fn tick(worker: Rc<Worker>) {
    loop {
        worker.tick();
        add(&worker.metrics.heartbeat, 1);
        let counts = driver_counts();
        let metrics = &worker.metrics;
        set(&metrics.loop_enters, counts.enters);
        set(&metrics.loop_submissions, counts.operations);
        set(&metrics.buffers_starved, counts.starved);
        set(&metrics.tasks, runtime::tasks_alive() as u64);
        let (small, large) = runtime::views_alive();
        set(&metrics.buffers_held, (small + large) as u64);
        set(&metrics.panics, runtime::panics());
        set(&metrics.overload_level, worker.load.level() as u64);
        set(&metrics.requests_at_work, worker.load.requests().into());
        if worker.is_in_need() {
            shed::make_room_in_need(&worker);
        }
        sleep(TICK).await;
    }
}

/// Serves the mailbox until it is told to leave, then waits for the last connection or the end of its time.
async fn listen_to_others(worker: &Rc<Worker>, inbox: &Receiver<Message>) {
    let Drain { time, handed_over } = loop {
        match inbox.recv().await {
            Message::Adopt(Adoption { published, doors, log, done }) => {
                worker.adopt(published);
                listener::carry_out(doors, worker);
                if let Some(log) = log {
                    worker.log_to(log);
                }
                // The asker may have stopped waiting.
                let _ = done.send(worker.index);
            }
            Message::Names(table) => worker.learn(table),
            Message::Keys(table) => worker.tokens.learn(table),
            Message::Open(doors) => listener::carry_out(doors, worker),
            Message::Pause(done) => {
                worker.pause();
                wait_while(|| !worker.rests(), now() + PAUSE_TIME_MAX).await;
                if worker.rests() {
                    let _ = done.send(worker.index);
                }
            }
            Message::Resume => worker.resume(),
            Message::Drain(drain) => break drain,
        }
    };
    handed_over.iter().flat_map(|door| worker.entries.door(*door)).for_each(|entry| entry.share());
    worker.begin_drain();
    // Who is sent from now on stays with whoever sends it.
    worker.colleagues.leave();
    let until = now() + time;
    wait_while(|| worker.is_accepting() || worker.colleagues.are_coming(), until).await;
    wait_while(|| worker.connections_open() > 0, until.min(now() + LAST_REQUEST_TIME)).await;
    worker.shut();
    close_idle(worker, until).await;
    // Those who stay to the end are told before it, so that it can be recorded how they ended.
    wait_while(|| worker.connections_open() > 0, until.checked_sub(LAST_CALL_TIME).unwrap_or(until)).await;
    last_call(worker).await;
    wait_while(|| worker.connections_open() > 0, until).await;
    worker.flush_log();
}

/// Lets go of idle connections by portions, chosen at random.
async fn close_idle(worker: &Worker, until: Instant) {
    let portions = (worker.connections_idle() / IDLE_PORTION_MIN).clamp(1, IDLE_PORTIONS_MAX);
    for left in (1..=portions).rev() {
        worker.close_idle(left);
        if left > 1 && now() < until {
            sleep(IDLE_PORTION_PAUSE).await;
        }
    }
}

/// Ends what would not end by itself, by portions as above.
async fn last_call(worker: &Worker) {
    for left in (1..=IDLE_PORTIONS_MAX).rev().skip_while(|_| worker.last_call.is_over()) {
        worker.last_call.ring(|| (worker.random() as u32).is_multiple_of(left));
        if !worker.last_call.is_over() {
            sleep(LAST_CALL_PAUSE).await;
        }
    }
}

async fn wait_while(is: impl Fn() -> bool, until: Instant) {
    while is() && now() < until {
        sleep(Duration::from_millis(runtime::limits::TICK_MS)).await;
    }
}
