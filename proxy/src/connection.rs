//! One client connection while it has something to say: request after request, until it is idle, done or refused.
//!
//! An idle connection has no task. Its first byte starts this one, which ends as soon as nothing more has arrived.

mod http2;

use std::net::Shutdown;
use std::rc::Rc;

use policy::refusal::Refusal;

use crate::body::BodyReader;
use crate::callers::Caller;
use crate::downstream::http1::{self, NoHead};
use crate::entry::{Entry, HANDSHAKE_TAG, Peer};
use crate::exchange::Exchange;
use crate::head_bytes::HeadBytes;
use crate::io::{Group, RBuf, Sock, Speaker, spawn, timeout};
use crate::limits::{LINGER_BYTES_MAX, LINGER_TIME};
use crate::link::Link;
use crate::observe::metrics::{add, sub};
use crate::overload::Level;
use crate::pace::Pace;
use crate::request;
use crate::state::Worker;

/// Counts the connection as open until it is closed; a parked one stays counted.
pub struct Open {
    worker: Rc<Worker>,
    entry: Rc<Entry>,
    caller: Caller,
    parked: bool,
}

impl Open {
    /// Of a connection that came in here.
    pub fn of(worker: &Rc<Worker>, entry: &Rc<Entry>, sock: &Sock) -> Open {
        Open::from(worker, entry, Caller::of(sock.counts_for()))
    }

    fn from(worker: &Rc<Worker>, entry: &Rc<Entry>, caller: Caller) -> Open {
        Open { worker: worker.clone(), entry: entry.clone(), caller, parked: false }
    }

    /// From now on it counts for this address; false if that has as many as it may.
    pub fn count_for(&mut self, caller: Caller, sock: &Sock) -> bool {
        let fits = self.worker.count_for(caller);
        if fits {
            self.caller = caller;
            sock.count_for_peer(true);
        }
        fits
    }

    /// It was counted as closed already: its room was needed.
    pub fn was_shed(&mut self) {
        self.parked = true;
    }

    /// Lets a connection wait that is about to say its first word, for TLS or for a request.
    pub fn await_first_byte(mut self, sock: Sock) {
        self.parked = true;
        await_first_byte(sock, &self.entry, &self.worker);
    }

    /// Lets the connection wait without a task, unless idle ones are no longer kept.
    pub fn park(&mut self, sock: Sock) {
        if self.worker.is_shut() || self.entry.is_shut() {
            return;
        }
        self.parked = true;
        add(&self.worker.metrics.connections_idle, 1);
        let time = self.worker.live().snapshot().gateway.limits.idle_time;
        sock.park_for(time, self.entry.tag, Group::Small);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if !self.parked {
            self.worker.connection_closed(&self.entry, self.caller);
        }
    }
}

/// Parks a connection that has said nothing yet. Its first byte starts a task.
pub fn await_first_byte(sock: Sock, entry: &Entry, worker: &Worker) {
    add(&worker.metrics.connections_idle, 1);
    let live = worker.live();
    let limits = &live.snapshot().gateway.limits;
    let (time, tag) = if entry.is_protected() { (limits.handshake_time, HANDSHAKE_TAG) } else { (limits.idle_time, 0) };
    sock.park_for(time, entry.tag | tag, Group::Small);
}

/// Serves what a connection has sent.
pub async fn serve(sock: Sock, entry: Rc<Entry>, worker: Rc<Worker>) {
    let Speaker { peer, counts_for, requests, is_secure } = sock.hear();
    let mut open = Open::from(&worker, &entry, Caller::of(counts_for));
    let mut inflow = RBuf::empty();
    if requests == 0 && !is_secure && entry.offers_http2() {
        inflow = match Box::pin(http2::is_asked_for(&sock, &worker)).await {
            Ok((inflow, true)) => return speak_http2(sock, inflow, open),
            Ok((inflow, false)) => inflow,
            Err(_) => return,
        };
    }
    let about = (entry, Peer::of(peer), is_secure);
    let mut exchange = Exchange { inflow, ..Exchange::new(Link::Sock(sock), worker.scratch(), about) };
    let idle = serve_all(&mut exchange, &worker).await;
    let Exchange { sock, scratch, inflow, entry, reset, .. } = exchange;
    worker.put_back(scratch);
    // It was not told that the connection ends: it may say one more thing.
    let sock = match sock {
        Link::Sock(sock) if idle && !worker.is_shut() && !entry.is_shut() => return open.park(sock),
        sock => sock,
    };
    if reset {
        sock.reset_when_closed();
    } else {
        linger(&sock, inflow, open).await;
    }
}

/// Serves a connection that speaks HTTP/2, in a task of its own. `inflow`: what it has said already.
pub fn speak_http2(sock: Sock, inflow: RBuf, open: Open) {
    spawn(http2::serve(sock, inflow, open));
}

/// True when the connection is idle and may be kept.
async fn serve_all(exchange: &mut Exchange, worker: &Rc<Worker>) -> bool {
    let mut served = false;
    loop {
        match next_head(exchange, worker, served).await {
            Ok(()) => {}
            Err(NoHead::Idle) => return true,
            Err(NoHead::Closed) => return false,
            Err(NoHead::Slow) => {
                request::refuse(exchange, Refusal::RequestTimeout, worker).await;
                return false;
            }
            Err(NoHead::Misbehaved(how)) => {
                request::refuse(exchange, Refusal::Misbehaved(how), worker).await;
                return false;
            }
        }
        request::serve(exchange, worker).await;
        if !exchange.keep_alive {
            return false;
        }
        exchange.head_bytes = HeadBytes::View(RBuf::empty());
        served = true;
    }
}

/// Reads the next head, and describes it in the exchange. `served`: it is not the first of this burst.
pub async fn next_head(exchange: &mut Exchange, worker: &Worker, served: bool) -> Result<(), NoHead> {
    let live = worker.live();
    let limits = &live.snapshot().gateway.limits;
    let Exchange { sock, inflow, scratch, .. } = exchange;
    let bytes = http1::read_head(sock, inflow, &mut scratch.head, (&limits.head, limits.header_time), served).await?;
    add(&worker.metrics.requests, 1);
    add(&worker.metrics.bytes_received, bytes.len() as u64);
    exchange.head_bytes = bytes;
    exchange.path_rewritten = false;
    let head = &exchange.scratch.head;
    exchange.body = BodyReader::new(head.framing);
    exchange.keep_alive = head.keep_alive;
    exchange.continue_owed = head.expect_continue && !exchange.body.is_done();
    let dropped = exchange.underscores();
    if dropped > 0 {
        add(&worker.metrics.heads_underscore_dropped, dropped);
    }
    Ok(())
}

/// Counts somebody who has had its last answer, and is in nobody's way until it has gone.
pub struct Away {
    worker: Rc<Worker>,
}

impl Away {
    /// One more, unless there are too many already.
    pub fn begin(worker: &Rc<Worker>) -> Option<Away> {
        worker.load.turn_away().then(|| Away { worker: worker.clone() })
    }

    /// Whose it is.
    pub fn worker(&self) -> &Rc<Worker> {
        &self.worker
    }
}

impl Drop for Away {
    fn drop(&mut self) {
        self.worker.load.went_away();
    }
}

/// Lets the client read the last answer: a connection closed with bytes unread would be reset, and the answer lost. What is
/// left of it has the time of bodies; a client that does not take it is told by a reset that its answer was cut.
pub async fn linger(sock: &Link, inflow: RBuf, open: Open) {
    if !finish(sock, &open.worker).await {
        return;
    }
    if open.worker.load.level() < Level::Shedding {
        return read_away(sock, inflow).await;
    }
    // Its place is needed: it goes among those who are on their way out, if there are not too many.
    let away = Away::begin(&open.worker);
    drop(open);
    if away.is_some() {
        read_away(sock, inflow).await;
    }
}

/// As for the last answer of a connection, for somebody who is not counted as one.
pub async fn see_away(sock: Sock, away: Away) {
    let sock = Link::Sock(sock);
    if finish(&sock, &away.worker).await {
        read_away(&sock, RBuf::empty()).await;
    }
}

/// Sends what is left, and the end of the stream; false if the client does not take it.
async fn finish(sock: &Link, worker: &Worker) -> bool {
    let live = worker.live();
    let limits = &live.snapshot().gateway.limits;
    sock.say_goodbye();
    if Pace::of_taker(limits.send_rate, limits.body_idle_time).flush(sock, 0).await.is_err() {
        sock.reset_when_closed();
        return false;
    }
    sock.shutdown(Shutdown::Write);
    true
}

/// Reads what still comes, for a while.
async fn read_away(sock: &Link, mut inflow: RBuf) {
    sock.set_deadline(Some(LINGER_TIME));
    let reading = async {
        let mut bytes = inflow.len();
        while bytes < LINGER_BYTES_MAX {
            inflow = match sock.recv(Group::Small).await {
                Ok(received) if !received.is_empty() => received,
                _ => return,
            };
            bytes += inflow.len();
        }
    };
    let _ = timeout(LINGER_TIME, reading).await;
}

/// A parked connection closed or expired. The end of its last answer may still be here: a client that has closed its side, or
/// was silent for long, may read slowly. Otherwise it is told at once that it has ended, so that it says nothing more in vain.
pub fn forget(sock: Sock, entry: &Rc<Entry>, worker: &Rc<Worker>) {
    sub(&worker.metrics.connections_idle, 1);
    let open = Open::of(worker, entry, &sock);
    if matches!(sock.is_sendable(), Ok(false)) {
        let sock = Link::Sock(sock);
        spawn(async move { linger(&sock, RBuf::empty(), open).await });
    } else {
        sock.say_goodbye();
        sock.shutdown(Shutdown::Write);
    }
}

/// The future of a connection with something to say. It is made in its cell when the first byte arrives, so its size costs memory
/// alone: that of each connection with a request under way.
const SERVE_BYTES_MAX: usize = 3_072;

const fn size_of_output<A, B, C, F>(_function: &impl Fn(A, B, C) -> F) -> usize {
    size_of::<F>()
}

const _: () = assert!(size_of_output(&serve) <= SERVE_BYTES_MAX);
