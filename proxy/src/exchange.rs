//! One request and its answer on one connection: what is read of the former, and the one ending for the latter.

use std::future::{Future as _, poll_fn};
use std::io;
use std::rc::Rc;
use std::task::Poll;
use std::time::Instant;

use codec::grpc::Dialect;
use codec::head::{Fate, Field, Framing, Name, RequestHead, Version};
use codec::http1::misbehave::Misbehaviour;
use codec::http1::write;
use config::snapshot::{Limits, Method};
use policy::facts::{Facts, ShownKey};
use policy::fault::{self, Blame, Fault};
use policy::refusal::Refusal;
use policy::rules::KeyFrom;
use policy::transform::headers::{self, Rule};
use router::Kind;

use crate::body::{BodyReader, Broken, Encoding, Pump, Transfer, is_timeout};
use crate::entry::{Entry, Peer};
use crate::grpc::{self, Translation};
use crate::guest::Guest;
use crate::head_bytes::HeadBytes;
use crate::io::{Group, Outgoing, Protection, RBuf, is_scarce, now, sleep, vector};
use crate::limits::{COPY_BYTES_MAX, DRAIN_BYTES_MAX, HELD_BYTES_MAX};
use crate::link::Link;
use crate::observe::metrics::add;
use crate::overload::Level;
use crate::pace::Pace;
use crate::protected::write_hsts;
use crate::scratch::Scratch;
use crate::state::{Live, Place, Worker};
use crate::trip::Trip;
use crate::upstream::{self, Answer, Connection};
use crate::words::{self, Words};

/// What the spine decided to say.
pub enum Reply {
    /// Made here: rendered field lines and a body.
    Whole {
        /// 200 to 599.
        status: u16,
        /// Complete lines, CRLF included.
        fields: Vec<u8>,
        /// May be empty.
        body: Vec<u8>,
    },
    /// A backend's answer, streamed: the exchange has it. It is large, and a reply goes through many hands.
    Streamed,
    /// A backend's 101, likewise: the head of it, and then whatever comes.
    Switched,
    /// A "no".
    Refused(Refusal),
}

/// The fault of an answer that its client did not take.
fn left(error: &io::Error) -> Fault {
    if is_timeout(error) { Fault::ClientReadsSlowly } else { Fault::ClientGone }
}

/// Which of two bodies broke.
enum Cut {
    Answer(Broken),
    Request(Broken),
    /// Neither: the caller's time is over.
    Deadline,
}

/// A connection's end of a request.
pub struct Exchange {
    /// The client.
    pub sock: Link,
    /// Received and not yet used: the beginning of the body, or of the next request.
    pub inflow: RBuf,
    /// The head's bytes.
    pub head_bytes: HeadBytes,
    /// The parsed head and what was found for it.
    pub scratch: Box<Scratch>,
    /// The request's body.
    pub body: BodyReader,
    /// Whether another request may follow.
    pub keep_alive: bool,
    /// Whether the connection has to end with a reset.
    pub reset: bool,
    /// The backend's answer, from its head's arrival until it is sent.
    pub answer: Option<Answer>,
    /// The backend that the connection goes on with, behind a 101.
    pub tunnel: Option<Box<Connection>>,
    /// Whether the client waits for `100 Continue`.
    pub continue_owed: bool,
    /// The request's body, where it was read before the backend was called.
    pub gathered: Option<Vec<u8>>,
    /// The listener that took the connection.
    pub entry: Rc<Entry>,
    /// Who sent it; of a trusted proxy's request, whoever sent it there.
    pub peer: Peer,
    /// Whether `scratch.path` holds the canonical path; otherwise it is the received one.
    pub path_rewritten: bool,
    /// Whether the connection is protected by TLS.
    pub secure: bool,
    /// Who the client is, where certificates of clients matter: of each stream as of its connection.
    pub guest: Option<Rc<Guest>>,
}

impl Exchange {
    /// Of a client that has asked nothing yet.
    pub fn new(sock: Link, scratch: Box<Scratch>, (entry, peer, secure): (Rc<Entry>, Peer, bool)) -> Exchange {
        let guest = if secure { sock.carrier().guest() } else { None };
        Exchange {
            sock,
            inflow: RBuf::empty(),
            head_bytes: HeadBytes::View(RBuf::empty()),
            scratch,
            body: BodyReader::new(Framing::None),
            keep_alive: true,
            reset: false,
            answer: None,
            tunnel: None,
            continue_owed: false,
            gathered: None,
            entry,
            peer,
            path_rewritten: false,
            secure,
            guest,
        }
    }

    /// The reply that is a backend's answer.
    pub fn stream(&mut self, answer: Answer) -> Reply {
        self.answer = Some(answer);
        Reply::Streamed
    }

    /// The reply that is a backend's 101.
    pub fn switch(&mut self, answer: Answer) -> Reply {
        self.answer = Some(answer);
        Reply::Switched
    }

    /// What the request speaks, if that is gRPC.
    pub fn dialect(&self) -> Option<Dialect> {
        grpc::dialect(&self.scratch.head, &self.head_bytes)
    }

    /// The canonical path (design: one string for route, policies, log and backend).
    pub fn path(&self) -> &[u8] {
        if self.path_rewritten { &self.scratch.path } else { self.scratch.head.path.of(&self.head_bytes) }
    }

    /// How the connection is protected, if it is.
    pub fn protection(&self) -> Option<Protection> {
        if self.secure { self.sock.protection() } else { None }
    }

    /// A head that could not be parsed: nothing of it may be used.
    pub fn forget_head(&mut self) {
        self.scratch.head = RequestHead::new();
        self.head_bytes = HeadBytes::View(RBuf::empty());
        self.body = BodyReader::new(Framing::None);
        self.continue_owed = false;
        self.path_rewritten = false;
        self.scratch.forget_caller();
    }

    /// What templates and policies may read of this request.
    pub fn facts<'a>(&'a self, place: Place, trip: &'a Trip, live: &'a Live) -> Facts<'a> {
        let method = live.method(place);
        Facts {
            head_bytes: &self.head_bytes,
            head: &self.scratch.head,
            path: self.path(),
            rest: place.rest,
            captures: &self.scratch.captures,
            api_id: live.api(place).id.as_bytes(),
            stage: live.stage(place).name.as_bytes(),
            resource_path: method.map_or(&b""[..], |method| method.resource_path.as_bytes()),
            request_id: trip.request_id(),
            extended_request_id: trip.extended_id(),
            source_ip: self.peer.text(),
            time_epoch_ms: trip.epoch_ms,
            tls: self.protection().map(|protection| (protection.version, protection.suite)),
            client: self.guest.as_deref().and_then(Guest::proved),
            identity: self.scratch.caller.identity.as_deref(),
            api_key: self.shown_key(method, live),
            waf: self.scratch.wall.passes,
        }
    }

    /// The value of the caller's API key, where the API looks for it (KP-03); of several none. A field that concerns this connection alone is not seen.
    pub fn key_value(&self, from: KeyFrom) -> Option<&[u8]> {
        match from {
            KeyFrom::Header => {
                let is_one = |field: &&Field| field.known == Name::XApiKey && field.fate == Fate::Pass;
                let mut fields = self.scratch.head.fields.iter().filter(is_one);
                let field = fields.next().filter(|_| fields.next().is_none())?;
                Some(field.value.of(&self.head_bytes))
            }
            KeyFrom::Authorizer => Some(self.scratch.caller.identity.as_ref()?.usage_key.as_ref()?.as_bytes()),
        }
    }

    /// The key that was shown, for templates and backends; `None`: the method asks for none, or it was not looked at yet.
    fn shown_key<'a>(&'a self, method: Option<&Method>, live: &'a Live) -> Option<ShownKey<'a>> {
        let subscription = self.scratch.caller.subscription?;
        let value = self.key_value(method?.rules.api_key?)?;
        let key = live.snapshot().keys.key(subscription.key)?;
        Some(ShownKey { id: key.id, value })
    }

    /// Reads the request's body whole, for a rule that looks into it. It is bounded by `limits.body`, and the client is told to go
    /// on if it waits for that.
    pub async fn gather(&mut self, limits: &Limits, held: &mut Vec<u8>) -> Result<(), Fault> {
        if let Some(whole) = self.gathered.take() {
            crate::io::recycle(std::mem::replace(held, whole));
            return Ok(());
        }
        if self.continue_owed && self.inflow.is_empty() && !self.body.is_done() {
            upstream::call::promise(&self.sock, Pace::of_taker(limits.send_rate, limits.body_idle_time)).await?;
        }
        self.continue_owed = false;
        let bounds = (limits.body.unwrap_or(HELD_BYTES_MAX), Pace::of_sender(limits.body_rate, limits.body_idle_time));
        let gathered = self.body.gather((&self.sock, &mut self.inflow), bounds, held).await;
        gathered.map_err(|broken| broken.by_client())
    }

    /// Looks at what has arrived of a body that no rule wants.
    pub fn look_over_body(&mut self, limits: &Limits) -> Result<(), Fault> {
        self.body.look_over(&mut self.inflow, limits.body).map_err(|broken| broken.by_client())
    }

    /// Sends a reply, whole: the one ending of every request. Never fails: what breaks is written into the trip.
    pub async fn send(&mut self, reply: Reply, trip: &mut Trip, live: &Live, worker: &Worker) {
        self.decide_connection(&reply, worker);
        match reply {
            Reply::Whole { status, fields, body } => self.send_whole(status, fields, body, trip, worker).await,
            Reply::Streamed => {
                let answer = self.answer.take().expect("whoever says so has put it there");
                self.send_streamed(answer, trip, live, worker).await;
            }
            Reply::Switched => {
                let answer = self.answer.take().expect("whoever says so has put it there");
                self.send_switched(answer, trip, worker).await;
            }
            Reply::Refused(refusal) => self.send_refusal(refusal, trip, live, worker).await,
        }
        if !self.keep_alive || self.sock.is_stream() {
            self.flush(trip, live).await;
        }
        trip.body_received = self.body.received;
        self.finish_body().await;
    }

    /// A connection is kept only if what is left of the request's body can be read away cheaply (rows F26, F28), or is
    /// still on its way to the backend. A chunked body's length is not known: it is tried.
    fn decide_connection(&mut self, reply: &Reply, worker: &Worker) {
        let uploading = matches!(reply, Reply::Streamed) && self.is_uploading();
        let unread = !uploading && self.body.remaining().is_some_and(|left| left > DRAIN_BYTES_MAX);
        let waiting = self.continue_owed && !self.body.is_done();
        let most = worker.live().snapshot().gateway.limits.requests_per_connection;
        let used_up = self.sock.count_request() == most && most != 0;
        if let Link::Stream(stream) = &self.sock {
            // A stream ends with its answer anyhow; its connection goes on without it.
            if used_up {
                stream.retire();
            }
            return;
        }
        if worker.is_draining() || self.entry.is_closing() || unread || waiting || used_up {
            self.keep_alive = false;
        }
        if self.keep_alive && worker.load.level() >= Level::Shedding {
            self.keep_alive = false;
            add(&worker.metrics.overload_ended, 1);
        }
    }

    /// Whether the rest of the request's body has somewhere to go: not if the answer is already here as a whole (row F27).
    fn is_uploading(&self) -> bool {
        let Some(answer) = &self.answer else { return false };
        let whole = match self.scratch.answer.framing {
            Framing::None => true,
            Framing::Length(length) => answer.connection.inflow.len() as u64 >= length,
            Framing::Chunked | Framing::UntilClose => false,
        };
        answer.connection.upload.is_some() && !whole
    }

    async fn finish_body(&mut self) {
        self.gathered.take().into_iter().for_each(crate::io::recycle);
        // What is left of a stream's body is nobody's: the stream ends with its answer.
        if self.keep_alive && !self.body.is_done() && !self.sock.is_stream() {
            self.sock.set_deadline(Some(crate::limits::LINGER_TIME));
            self.keep_alive = self.body.drain(&self.sock, &mut self.inflow, DRAIN_BYTES_MAX).await;
            self.sock.set_deadline(None);
        }
    }

    async fn send_refusal(&mut self, refusal: Refusal, trip: &mut Trip, live: &Live, worker: &Worker) {
        add(&worker.metrics.refusals[refusal.index()], 1);
        trip.refusal = Some(refusal);
        if refusal == Refusal::ClientGone {
            // Nobody is left to read it.
            return;
        }
        if let Some(dialect) = self.dialect() {
            let mut fields = vector();
            let typed = self.scratch.head.fields.get(Name::ContentType);
            let received = typed.map_or(&b""[..], |field| field.value.of(&self.head_bytes));
            grpc::write_refusal(dialect, received, refusal, &refusal.reply(trip.kind), &mut fields);
            fields.extend_from_slice(&self.scratch.detail.fields);
            return self.send_whole(200, fields, Vec::new(), trip, worker).await;
        }
        let Words { status, fields, body } = self.words(refusal, trip, live);
        self.send_whole(status, fields, body, trip, worker).await;
    }

    /// What is said to a client who is refused.
    fn words(&self, refusal: Refusal, trip: &Trip, live: &Live) -> Words {
        let known = trip.place.and_then(|place| Some((place, live.release(place)?)));
        let place = known
            .map(|(place, release)| words::Place { program: &release.program, facts: self.facts(place, trip, live) });
        words::of(refusal, trip.kind, &self.scratch.detail, place.as_ref())
    }

    async fn send_whole(&mut self, status: u16, fields: Vec<u8>, body: Vec<u8>, trip: &mut Trip, worker: &Worker) {
        let mut out = vector();
        self.begin_head(status, trip, worker, &mut out);
        self.write_made_fields(&fields, &mut out);
        let bodiless = matches!(status, 100..200 | 204 | 304);
        if !bodiless {
            write::content_length(&mut out, body.len() as u64);
        }
        write::end(&mut out);
        add(&worker.metrics.bytes_sent, out.len() as u64);
        if !bodiless && !self.is_head() {
            out.extend_from_slice(&body);
            trip.body_sent = body.len() as u64;
        }
        crate::io::recycle(fields);
        crate::io::recycle(body);
        let sent = self.send_bytes(out, worker).await;
        sent.unwrap_or_else(|error| self.client_left(&error, trip));
    }

    /// The last answer of a connection is not sent until it has left: a slow reader has its time for what is still here. One
    /// that does not take it is told by a reset that its answer was cut.
    async fn flush(&mut self, trip: &mut Trip, live: &Live) {
        let limits = &live.snapshot().gateway.limits;
        if let Err(error) = Pace::of_taker(limits.send_rate, limits.body_idle_time).flush(&self.sock, 0).await {
            self.reset = true;
            trip.fault.get_or_insert(left(&error));
        }
    }

    /// Ready when bytes may be handed over: only where the send before is still under way is there a wait, and a deadline for it.
    async fn sendable(&self, worker: &Worker) -> io::Result<()> {
        if !self.sock.is_sendable()? {
            let live = worker.live();
            let limits = &live.snapshot().gateway.limits;
            Pace::of_taker(limits.send_rate, limits.body_idle_time).flush(&self.sock, 0).await?;
        }
        Ok(())
    }

    async fn send_streamed(&mut self, answer: Answer, trip: &mut Trip, live: &Live, worker: &Worker) {
        let Answer { mut connection, head_bytes, proxy, shaped } = answer;
        let announced = self.scratch.answer.framing;
        // To a client of HTTP/2 that asked for a WebSocket, a 200 would say that it has one (row C06).
        if self.is_extended_connect() && matches!(self.scratch.answer.status, 200..=299) {
            connection.broke(Fault::BadAnswer(Misbehaviour::HandshakeBroken));
            drop(connection);
            let refusal = self.broken(trip, Fault::BadAnswer(Misbehaviour::HandshakeBroken));
            return self.send_refusal(refusal, trip, live, worker).await;
        }
        let status = shaped.as_ref().map_or(self.scratch.answer.status, |shaped| shaped.status);
        // Where the integration has a method of its own, the backend may answer a HEAD with a body: it is nobody's. Nor is the
        // body of an answer that was given a status without one.
        let bodiless = self.is_head() || (shaped.is_some() && matches!(status, 204 | 304));
        let of_backend = if bodiless { Framing::None } else { announced };
        let dialect = self.dialect().filter(|_| proxy && shaped.is_none());
        let web = self.web(dialect, &connection.sock, &head_bytes);
        // For a browser, the trailers of gRPC are a part of the body.
        let framing = if web.is_some() && !bodiless { Framing::UntilClose } else { of_backend };
        let version = self.scratch.head.version;
        // An end that only the closing of the connection would show is shown by chunks, where the client knows them.
        let encoding = match framing {
            Framing::Chunked | Framing::UntilClose if version == Version::Http11 => Encoding::Chunked,
            _ => Encoding::Plain,
        };
        if matches!(framing, Framing::Chunked | Framing::UntilClose) && version == Version::Http10 {
            self.keep_alive = false;
        }
        let mut out = vector();
        self.begin_head(status, trip, worker, &mut out);
        match shaped {
            Some(shaped) => {
                self.write_made_fields(&shaped.fields, &mut out);
                crate::io::recycle(shaped.fields);
            }
            None => self.write_answer_fields(&head_bytes, proxy, (trip.kind.unwrap_or(Kind::Rest), web), &mut out),
        }
        self.write_framing(&head_bytes, (status, framing), encoding, &mut out);
        add(&worker.metrics.bytes_sent, out.len() as u64);
        drop(head_bytes);
        let reusable = framing == announced && framing != Framing::UntilClose && self.scratch.answer.keep_alive;
        if let Some(length) = self.arrived(of_backend, &connection) {
            let body = connection.inflow.split_to(length);
            connection.release(reusable && !worker.is_draining());
            return self.send_answer(out, body, trip, worker).await;
        }
        let mut reader = BodyReader::of(of_backend, &connection.sock).keeping_trailers(self.sock.is_stream());
        let has_tail = encoding == Encoding::Chunked && dialect == Some(Dialect::Grpc) && self.reads_trailers();
        let mut transfer = Transfer::new(out, encoding).with_tail(has_tail).translated(web.map(Translation::of_answer));
        let deadline = dialect.and_then(|_| grpc::timeout(&self.scratch.head, &self.head_bytes));
        let bounds = (&live.snapshot().gateway.limits, dialect.is_some(), deadline.map(|after| trip.began + after));
        let outcome = self.relay(&mut connection, &mut reader, &mut transfer, bounds).await;
        trip.body_sent = reader.received;
        add(&worker.metrics.trailers_dropped, reader.trailers_dropped.into());
        match outcome {
            Ok(()) => connection.release(reusable && !worker.is_draining()),
            Err(Cut::Answer(Broken::SourceMisbehavedAtOnce(how))) => {
                connection.broke(Fault::BadAnswer(how));
                drop(connection);
                let refusal = self.broken(trip, Fault::BadAnswer(how));
                self.send_refusal(refusal, trip, live, worker).await;
            }
            Err(cut) => {
                let is_open = encoding == Encoding::Plain && matches!(framing, Framing::Chunked | Framing::UntilClose);
                let fault = self.cut(&cut, is_open);
                connection.broke(fault);
                trip.fault = Some(fault);
            }
        }
    }

    /// The length of an answer's body that is here as a whole, from one socket for another: most are, and nothing has to be
    /// waited for.
    fn arrived(&self, framing: Framing, connection: &Connection) -> Option<usize> {
        let length = match framing {
            Framing::None => 0,
            Framing::Length(length) => usize::try_from(length).ok()?,
            Framing::Chunked | Framing::UntilClose => return None,
        };
        let is_plain = connection.upload.is_none() && !connection.sock.is_stream() && !self.sock.is_stream();
        (is_plain && length <= connection.inflow.len()).then_some(length)
    }

    /// Sends such an answer in one piece, or in two where a copy would cost more.
    async fn send_answer(&mut self, mut head: Vec<u8>, body: RBuf, trip: &mut Trip, worker: &Worker) {
        trip.body_sent = body.len() as u64;
        let sent = if body.len() > COPY_BYTES_MAX && !is_scarce(Group::Large) && !is_scarce(Group::Small) {
            let sendable = self.sendable(worker).await;
            sendable.map(|()| self.sock.start_last(Outgoing::with(head, body)))
        } else {
            head.extend_from_slice(&body);
            drop(body);
            self.send_bytes(head, worker).await
        };
        sent.unwrap_or_else(|error| self.client_left(&error, trip));
    }

    /// Hands over the whole of an answer.
    async fn send_bytes(&self, bytes: Vec<u8>, worker: &Worker) -> io::Result<()> {
        if let Some(bytes) = self.sock.offer_last(bytes)? {
            self.sendable(worker).await?;
            self.sock.start_last(Outgoing::new(bytes));
        }
        Ok(())
    }

    /// The head was sent, so nothing can be said any more: the connection ends without its last bytes, which the client sees. Where
    /// only a close would have ended the body, it is reset: the client must not take ours for it. Who speaks gRPC is told in the
    /// trailers that its time is over.
    fn cut(&mut self, cut: &Cut, is_open: bool) -> Fault {
        let fault = match cut {
            Cut::Answer(broken) => broken.by_backend(),
            Cut::Request(broken) => broken.by_client(),
            Cut::Deadline if self.sock.is_stream() => {
                self.sock.finish(Some(Box::new(grpc::deadline_exceeded())));
                return Fault::AnswerTimedOut;
            }
            Cut::Deadline => Fault::AnswerTimedOut,
        };
        self.keep_alive = false;
        self.reset = is_open || self.sock.is_stream();
        fault
    }

    /// What the client calls gRPC's messages, if its dialect is another than the backend's.
    fn web(&self, dialect: Option<Dialect>, backend: &Link, head_bytes: &[u8]) -> Option<Dialect> {
        let web = dialect.filter(|dialect| dialect.is_web() && backend.is_stream())?;
        grpc::is_answer(&self.scratch.answer.fields, head_bytes).then_some(web)
    }

    /// The answer's body goes to the client, and beside it what is left of the request's body to the backend: a backend
    /// may answer while it reads. The answer's end is the end of both (row F27).
    async fn relay(
        &mut self,
        connection: &mut Connection,
        reader: &mut BodyReader,
        down: &mut Transfer,
        (limits, is_grpc, deadline): (&Limits, bool, Option<Instant>),
    ) -> Result<(), Cut> {
        let Connection { sock: backend, inflow: from_backend, upload, request_sent, .. } = connection;
        let Exchange { sock: client, inflow: from_client, body, .. } = self;
        let (backend, client): (&Link, &Link) = (backend, client);
        // A stream of gRPC is silent for as long as it likes, as a tunnel is.
        let (idle, body_rate, answer_rate) = if is_grpc {
            (limits.tunnel_idle_time, 0, 0)
        } else {
            (limits.body_idle_time, limits.body_rate, limits.answer_rate)
        };
        let mut over = deadline.map(|at| Box::pin(sleep(at.saturating_duration_since(now()))));
        let paces = (Pace::of_sender(answer_rate, idle), Pace::of_taker(limits.send_rate, limits.body_idle_time));
        let downward = Pump { reader, from: backend, inflow: from_backend, to: client, paces, bytes_max: None };
        // On the heap: few answers begin before their request has ended, and every request would carry its room.
        let mut upward = upload.as_mut().map(|up| {
            let paces = (Pace::of_sender(body_rate, idle), Pace::of_taker(0, idle));
            let pump =
                Pump { reader: body, from: client, inflow: from_client, to: backend, paces, bytes_max: limits.body };
            Box::pin(pump.run(up))
        });
        let mut downward = std::pin::pin!(downward.run(down));
        poll_fn(|context| {
            if let Some(Poll::Ready(outcome)) = upward.as_mut().map(|upward| upward.as_mut().poll(context)) {
                upward = None;
                match outcome {
                    Ok(()) => *request_sent = true,
                    // The backend wants no more of it; its answer still counts.
                    Err(Broken::SinkClosed | Broken::SinkStalled) => {}
                    Err(broken) => return Poll::Ready(Err(Cut::Request(broken))),
                }
            }
            if let Poll::Ready(outcome) = downward.as_mut().poll(context) {
                return Poll::Ready(outcome.map_err(Cut::Answer));
            }
            if over.as_mut().is_some_and(|over| over.as_mut().poll(context).is_ready()) {
                return Poll::Ready(Err(Cut::Deadline));
            }
            // Nobody would read what a slow backend has still to say.
            client.poll_reset(context).map(|_| Err(Cut::Answer(Broken::SinkClosed)))
        })
        .await
    }

    /// The backend has agreed to another protocol: so does the answer, and what is said behind it is no HTTP any more.
    async fn send_switched(&mut self, answer: Answer, trip: &mut Trip, worker: &Worker) {
        let Answer { connection, head_bytes, proxy, .. } = answer;
        let mut out = vector();
        // What would be said of keeping the connection means nothing here.
        self.keep_alive = true;
        self.begin_head(101, trip, worker, &mut out);
        write::field(&mut out, b"Connection", b"Upgrade");
        write::field(&mut out, b"Upgrade", b"websocket");
        self.write_answer_fields(&head_bytes, proxy, (trip.kind.unwrap_or(Kind::Rest), None), &mut out);
        write::end(&mut out);
        add(&worker.metrics.bytes_sent, out.len() as u64);
        self.keep_alive = false;
        match self.sendable(worker).await {
            Ok(()) => {
                self.sock.start_send(Outgoing::new(out));
                self.tunnel = Some(Box::new(connection));
            }
            Err(error) => self.client_left(&error, trip),
        }
    }

    fn client_left(&mut self, error: &io::Error, trip: &mut Trip) {
        self.keep_alive = false;
        trip.fault = Some(left(error));
    }

    fn begin_head(&self, status: u16, trip: &mut Trip, worker: &Worker, out: &mut Vec<u8>) {
        trip.status = status;
        write::status_line(out, status);
        worker.write_date(out);
        headers::write_ids(trip.kind, trip.request_id(), trip.extended_id(), out);
        out.extend_from_slice(&self.scratch.crossing.lines);
        if self.scratch.way.tls {
            self.write_hsts(worker, out);
        }
        out.extend_from_slice(&self.scratch.limits_told);
        if !self.keep_alive {
            write::field(out, b"Connection", b"close");
        } else if self.scratch.head.version == Version::Http10 {
            write::field(out, b"Connection", b"keep-alive");
        }
    }

    /// Writes field lines that were made here; what is configured of origins takes the place of what they say (CO-03).
    fn write_made_fields(&self, lines: &[u8], out: &mut Vec<u8>) {
        let crossing = &self.scratch.crossing;
        if crossing.is_ruled {
            words::copy_lines(lines, |known, _| crossing.replaces(known), out);
        } else {
            out.extend_from_slice(lines);
        }
    }

    fn write_hsts(&self, worker: &Worker, out: &mut Vec<u8>) {
        let live = worker.live();
        let of_domain = live.published.protected.manner(self.scratch.head.host.of(&self.head_bytes));
        if let Some(hsts) = of_domain.and_then(|manner| manner.hsts).or(self.entry.manner().hsts) {
            write_hsts(hsts, out);
        }
    }

    /// `web`: what the client calls the messages of gRPC.
    fn write_answer_fields(
        &self,
        head_bytes: &[u8],
        proxy: bool,
        (kind, web): (Kind, Option<Dialect>),
        out: &mut Vec<u8>,
    ) {
        let mut typed = false;
        for field in &*self.scratch.answer.fields {
            let (name, value) = (field.name.of(head_bytes), field.value.of(head_bytes));
            // Written by whoever switches.
            if self.scratch.answer.status == 101 && field.known == Name::Connection {
                continue;
            }
            if self.scratch.crossing.replaces(field.known) {
                continue;
            }
            match (headers::to_client(kind, proxy, field), web) {
                (Rule::Pass, Some(web)) if field.known == Name::ContentType => grpc::write_type(web, value, out),
                (Rule::Pass, _) => write::field(out, name, value),
                (Rule::Remap, _) => headers::write_remapped(name, value, out),
                (Rule::Drop, _) => continue,
            }
            typed |= field.known == Name::ContentType;
        }
        // Every answer of a non-proxy integration has a type (§0.2).
        if !proxy && !typed {
            write::field(out, b"Content-Type", b"application/json");
        }
    }

    fn write_framing(
        &self,
        head_bytes: &[u8],
        (status, framing): (u16, Framing),
        encoding: Encoding,
        out: &mut Vec<u8>,
    ) {
        match framing {
            Framing::Length(length) => write::content_length(out, length),
            _ if encoding == Encoding::Chunked => write::field(out, b"Transfer-Encoding", b"chunked"),
            // What a HEAD's answer says of the body that GET would have had.
            Framing::None if self.is_head() => {
                if let Some(field) = self.scratch.answer.fields.get(Name::ContentLength) {
                    write::field(out, b"Content-Length", field.value.of(head_bytes));
                }
            }
            // The backend was asked with HEAD, the client did not: its answer ends here.
            Framing::None if !matches!(status, 204 | 304) => write::content_length(out, 0),
            _ => {}
        }
        write::end(out);
    }

    /// Whether a client of HTTP/2 asks for a WebSocket (RFC 8441).
    pub fn is_extended_connect(&self) -> bool {
        let head = &self.scratch.head;
        head.version == Version::Http2 && head.fields.get(Name::Upgrade).is_some()
    }

    /// Whether the client has said that it reads trailers.
    fn reads_trailers(&self) -> bool {
        let mut fields = self.scratch.head.fields.iter().filter(|field| field.known == Name::Te);
        fields.any(|field| field.value.of(&self.head_bytes).eq_ignore_ascii_case(b"trailers"))
    }

    /// Whether the request is a HEAD: its answer has no body, whatever its head says.
    pub fn is_head(&self) -> bool {
        self.scratch.head.method.of(&self.head_bytes) == b"HEAD"
    }

    /// Turns what broke into what the client is told, and remembers both. A client that broke its own request ends the
    /// connection: where the next request would begin is not known.
    pub fn broken(&mut self, trip: &mut Trip, fault: Fault) -> Refusal {
        trip.fault = Some(fault);
        self.keep_alive &= fault.blame() != Blame::Client;
        fault::refusal_of(fault)
    }

    /// Fields that were left out because of their `_` (row S10), for the counter.
    pub fn underscores(&self) -> u64 {
        self.scratch.head.fields.iter().filter(|field| field.fate == Fate::Underscore).count() as u64
    }
}
