//! One client connection that speaks HTTP/2: the library moves its frames, and each stream is a task of its own, on the way
//! that every request takes.

use std::future::{Future, poll_fn};
use std::io;
use std::net::Shutdown;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use codec::head::Framing;
use codec::http2::frames::Excess;
use codec::http2::head::{self, Asked};
use codec::websocket;
use config::snapshot::Limits;
use h2::server::{Builder, Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::Request;
use policy::refusal::Refusal;

use super::Open;
use crate::body::BodyReader;
use crate::entry::Peer;
use crate::exchange::Exchange;
use crate::head_bytes::HeadBytes;
use crate::http2::{Busy, Line, Piece, Stream, Timer, Wire};
use crate::io::{Group, RBuf, Sock, now, spawn_with, timeout, vector};
use crate::limits::{
    CONNECTION_WINDOW_BYTES, FIELD_CHARGE_BYTES, FRAME_BYTES_MAX, LAST_REQUEST_TIME, LINGER_BYTES_MAX, LINGER_TIME,
    PROVOKED_RESETS_MAX, UNSEEN_RESETS_MAX,
};
use crate::link::Link;
use crate::observe::metrics::{Http2End, add, sub};
use crate::overload::Level;
use crate::request;
use crate::state::Worker;

/// What a client begins with that knows that HTTP/2 is spoken here (RFC 9113 §3.4); its first letters tell.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Letters of it that no request of HTTP/1 begins with.
const TELLING: usize = 4;

/// Whether a connection that has sent something begins with HTTP/2, and what it has sent.
pub async fn is_asked_for(sock: &Sock, worker: &Worker) -> io::Result<(RBuf, bool)> {
    let mut inflow = sock.recv(Group::Small).await?;
    let begins = |bytes: &[u8]| PREFACE.starts_with(&bytes[..bytes.len().min(PREFACE.len())]);
    if inflow.is_empty() || !begins(&inflow) {
        return Ok((inflow, false));
    }
    let mut joined = vector();
    while joined.len() + inflow.len() < TELLING && begins(&inflow) {
        // A client that sends single letters: they are put together.
        sock.set_deadline(Some(worker.live().snapshot().gateway.limits.header_time));
        joined.extend_from_slice(&inflow);
        inflow = sock.recv(Group::Small).await?;
        if inflow.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let whole = crate::io::fill(Group::Small, |room| {
            let count = (joined.len() + inflow.len()).min(room.len());
            let rest = count - joined.len();
            room[..joined.len()].copy_from_slice(&joined);
            room[joined.len()..count].copy_from_slice(&inflow[..rest]);
            count
        });
        inflow = whole.ok_or(io::ErrorKind::OutOfMemory)?;
        joined.clear();
    }
    sock.set_deadline(None);
    let is_http2 = begins(&inflow);
    Ok((inflow, is_http2))
}

/// Serves the connection until it ends. `inflow`: what it has said already.
pub async fn serve(sock: Sock, inflow: RBuf, mut open: Open) {
    let worker = open.worker.clone();
    let line = Line::of_client(sock);
    let limits = worker.live().snapshot().gateway.limits.clone();
    line.sock.set_deadline(Some(limits.header_time));
    let mut handshake = pin!(builder(&limits).handshake(Wire::new(line.clone(), inflow)));
    let shaken = poll_fn(|context| {
        let polled = Future::poll(handshake.as_mut(), context);
        match line.push(context) {
            Poll::Ready(Err(_)) => Poll::Ready(None),
            _ => polled.map(Result::ok),
        }
    })
    .await;
    let Some(connection) = shaken else {
        add(&worker.metrics.http2_ended[Http2End::NoPreface.index()], 1);
        return part(&line.sock, open).await;
    };
    line.sock.set_deadline(None);
    add(&worker.metrics.http2_connections, 1);
    let number = worker.guests.get();
    worker.guests.set(number + 1);
    let mut front = Front::new(connection, line.clone(), &open, &limits);
    let mut is_known = false;
    poll_fn(|context| {
        if !is_known {
            is_known = true;
            line.drive(context.waker());
            open.entry.admit_guest(number, &line, context.waker());
        }
        front.poll(context)
    })
    .await;
    front.note_busy();
    open.entry.dismiss_guest(number);
    add(&worker.metrics.http2_ended[front.end.index()], 1);
    drop(front);
    if line.is_shed() {
        // It has nothing under way, and is in nobody's way as long as it does not linger.
        open.was_shed();
        take_leave(&line.sock).await;
        return;
    }
    part(&line.sock, open).await;
}

fn builder(limits: &Limits) -> Builder {
    let head = &limits.head;
    let list = head.field_bytes + head.target + (u32::from(head.fields) + 5) * FIELD_CHARGE_BYTES;
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(limits.http2_streams)
        .max_header_list_size(list)
        .initial_window_size(limits.http2_window)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES.max(limits.http2_window))
        .max_frame_size(FRAME_BYTES_MAX)
        .max_local_error_reset_streams(Some(PROVOKED_RESETS_MAX))
        .max_pending_accept_reset_streams(UNSEEN_RESETS_MAX)
        .enable_connect_protocol();
    builder
}

/// The connection as its task drives it.
struct Front<'a> {
    connection: Connection<Wire, Piece>,
    line: Rc<Line>,
    open: &'a Open,
    worker: Rc<Worker>,
    peer: Peer,
    idle_time: Duration,
    /// Our settings are to be acknowledged by then (row T22).
    settled_by: Instant,
    timer: Timer,
    /// It was told to open no more streams, and when it is let go.
    leaves: Option<Instant>,
    /// It was let go: what is still to be said is on its way.
    is_over: bool,
    /// Why it ends.
    end: Http2End,
    /// How long the client may take nothing of what is sent, and since when, at how many bytes, it does (row T07).
    stuck_time: Duration,
    stuck: Option<(Instant, Option<u64>)>,
}

impl<'a> Front<'a> {
    fn new(connection: Connection<Wire, Piece>, line: Rc<Line>, open: &'a Open, limits: &Limits) -> Front<'a> {
        Front {
            connection,
            peer: Peer::of(line.peer()),
            line,
            open,
            worker: open.worker.clone(),
            idle_time: limits.idle_time,
            settled_by: now() + limits.header_time,
            timer: Timer::default(),
            leaves: None,
            is_over: false,
            end: Http2End::Client,
            stuck_time: limits.body_idle_time,
            stuck: None,
        }
    }

    /// Ready when the connection has ended.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.line.is_shed() && !self.is_over {
                // What comes from now on was not seen, and the client is told so.
                self.let_go(Reason::NO_ERROR, Http2End::Left);
            }
            while let Poll::Ready(accepted) = self.connection.poll_accept(context) {
                match accepted {
                    Some(Ok((request, answer))) => self.begin(request, answer),
                    Some(Err(error)) => {
                        if error.is_library() && self.end == Http2End::Client {
                            self.end = Http2End::Misbehaved;
                        }
                        return Poll::Ready(());
                    }
                    None => return Poll::Ready(()),
                }
            }
            match self.line.push(context) {
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(())) => self.stuck = None,
                Poll::Pending if self.stuck.is_none() => self.stuck = Some((now(), self.line.sock.bytes_acked())),
                Poll::Pending => {}
            }
            if !self.must_move(context) {
                return Poll::Pending;
            }
            if self.end == Http2End::Stuck {
                return Poll::Ready(());
            }
        }
    }

    /// What time and the gateway ask for; true if the connection has something to say because of it.
    fn must_move(&mut self, context: &mut Context<'_>) -> bool {
        if self.is_over {
            return false;
        }
        if let Some(excess) = self.line.excess() {
            let reason = if excess == Excess::NoSettings { Reason::PROTOCOL_ERROR } else { Reason::ENHANCE_YOUR_CALM };
            self.let_go(reason, Http2End::Excess(excess));
            return true;
        }
        let (worker, entry) = (&self.worker, &self.open.entry);
        let is_wanted = !(worker.is_draining() || entry.is_closing() || self.line.is_retired());
        if !is_wanted && self.leaves.is_none() {
            self.say_farewell();
            return true;
        }
        let settled_by = (!self.line.is_settled()).then_some(self.settled_by);
        let idle_by = self.idle_by();
        // Streams are given up one by one, each by its own rate; then what is left of them is.
        let stuck = self.stuck.filter(|_| idle_by.is_some());
        let stuck_by = stuck.map(|(since, _)| since + self.stuck_time);
        let Some(until) = [settled_by, idle_by, stuck_by].into_iter().flatten().min() else { return false };
        self.timer.set(Some(until.saturating_duration_since(now())));
        if !self.timer.poll(context) {
            return false;
        }
        if let Some((_, before)) = stuck
            && stuck_by == Some(until)
        {
            let acked = self.line.sock.bytes_acked();
            if acked == before {
                self.end = Http2End::Stuck;
            }
            self.stuck = Some((now(), acked));
        } else if settled_by == Some(until) {
            self.let_go(Reason::SETTINGS_TIMEOUT, Http2End::Unsettled);
        } else {
            self.let_go(Reason::NO_ERROR, Http2End::Idle);
        }
        true
    }

    /// When a connection without streams ends.
    fn idle_by(&mut self) -> Option<Instant> {
        if self.line.streams() > 0 {
            self.note_busy();
            return None;
        }
        let until = self.line.idle_until().unwrap_or_else(|| now() + self.idle_time);
        if self.line.note_idle(Some(until)).is_none() {
            add(&self.worker.metrics.connections_idle, 1);
        }
        Some(self.leaves.unwrap_or(until))
    }

    fn note_busy(&self) {
        if self.line.note_idle(None).is_some() {
            sub(&self.worker.metrics.connections_idle, 1);
        }
    }

    /// No more streams, twice said (RFC 9113 §6.8): at once, and with the number of the last one when the client has heard it.
    fn say_farewell(&mut self) {
        self.connection.graceful_shutdown();
        self.end = Http2End::Left;
        self.leaves = Some(now() + LAST_REQUEST_TIME);
    }

    /// The connection ends now, with what is still to be said.
    fn let_go(&mut self, reason: Reason, end: Http2End) {
        self.connection.abrupt_shutdown(reason);
        self.end = if self.leaves.is_some() && end == Http2End::Idle { Http2End::Left } else { end };
        self.is_over = true;
        self.line.sock.set_deadline(Some(LINGER_TIME));
    }

    /// A client has asked something.
    fn begin(&mut self, request: Request<RecvStream>, answer: SendResponse<Piece>) {
        let worker = &self.worker;
        if worker.load.level() >= Level::Shedding && self.leaves.is_none() {
            add(&worker.metrics.overload_ended, 1);
            self.line.retire();
        }
        let (parts, body) = request.into_parts();
        let ends = body.is_end_stream();
        let stream = Stream::accepted(&self.line, body, answer);
        let (entry, secure) = (self.open.entry.clone(), self.line.protection().is_some());
        let link = Link::Stream(Box::new(stream));
        let mut exchange = Exchange::new(link, worker.scratch(), (entry, self.peer, secure));
        let read = read_head(&mut exchange, &parts, ends, worker);
        add(&worker.metrics.http2_streams, 1);
        let (busy, worker) = (self.line.begin_stream(), self.worker.clone());
        spawn_with(move || serve_one(exchange, read, busy, worker));
    }
}

/// Describes the request in the exchange.
fn read_head(
    exchange: &mut Exchange,
    parts: &http::request::Parts,
    ends: bool,
    worker: &Worker,
) -> Result<(), Refusal> {
    let live = worker.live();
    let limits = &live.snapshot().gateway.limits;
    let protocol = parts.extensions.get::<h2::ext::Protocol>();
    let asked = Asked {
        method: parts.method.as_str().as_bytes(),
        scheme: parts.uri.scheme_str().map(str::as_bytes),
        authority: parts.uri.authority().map(|authority| authority.as_str().as_bytes()),
        path: parts.uri.path_and_query().map(|path| path.as_str().as_bytes()),
        protocol: protocol.map(|protocol| protocol.as_str().as_bytes()),
        ends,
        key: protocol.map_or([0; 24], |_| websocket::key(worker.random())),
    };
    let fields = parts.headers.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
    let mut bytes = vector();
    let head = &mut exchange.scratch.head;
    let read = head::request(&asked, fields, &mut bytes, head, &limits.head);
    add(&worker.metrics.bytes_received, bytes.len() as u64);
    exchange.head_bytes = HeadBytes::Joined(bytes);
    read.map_err(Refusal::Misbehaved)?;
    add(&worker.metrics.requests, 1);
    let head = &exchange.scratch.head;
    // What follows an extended CONNECT is no body.
    let is_bodiless = ends || exchange.is_extended_connect();
    exchange.body =
        if is_bodiless { BodyReader::new(Framing::None) } else { BodyReader::of(head.framing, &exchange.sock) };
    exchange.continue_owed = head.expect_continue && !exchange.body.is_done();
    let dropped = exchange.underscores();
    if dropped > 0 {
        add(&worker.metrics.heads_underscore_dropped, dropped);
    }
    Ok(())
}

/// One request.
async fn serve_one(mut exchange: Exchange, read: Result<(), Refusal>, busy: Busy, worker: Rc<Worker>) {
    match read {
        Ok(()) => request::serve(&mut exchange, &worker).await,
        Err(refusal) => request::refuse(&mut exchange, refusal, &worker).await,
    }
    let Exchange { sock, scratch, reset, .. } = exchange;
    worker.put_back(scratch);
    if matches!(&sock, Link::Stream(stream) if stream.was_taken_back()) {
        add(&worker.metrics.http2_taken_back, 1);
        busy.was_taken_back();
    }
    if reset {
        sock.reset_when_closed();
    }
    drop((sock, busy));
}

/// Sends what was said last, and the end.
async fn take_leave(sock: &Sock) -> bool {
    sock.say_goodbye();
    sock.set_deadline(Some(LINGER_TIME));
    let has_left = sock.flush().await.is_ok();
    if has_left {
        sock.shutdown(Shutdown::Write);
    } else {
        sock.reset_when_closed();
    }
    has_left
}

/// Lets the client read what was said last.
async fn part(sock: &Sock, open: Open) {
    if !take_leave(sock).await {
        return;
    }
    let reading = async {
        let mut bytes = 0;
        while bytes < LINGER_BYTES_MAX {
            match sock.recv(Group::Small).await {
                Ok(received) if !received.is_empty() => bytes += received.len(),
                _ => return,
            }
        }
    };
    let _ = timeout(LINGER_TIME, reading).await;
    drop(open);
}
