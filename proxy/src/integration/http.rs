//! What a backend is sent: the request written anew, never the bytes that were received.

use std::time::Duration;

use codec::grpc::Dialect;
use codec::head::{Field, Framing, Name, RequestHead};
use codec::http1::write;
use codec::websocket::{self, Asked};
use config::snapshot::{HttpRule, Protocol};
use policy::context;
use policy::facts::Facts;
use policy::refusal::Refusal;
use policy::transform::headers::{self, Origin, Rule};
use policy::transform::parameters::Input;
use router::{Kind, Verb};

use super::mapping::Mapped;
use crate::exchange::Exchange;
use crate::grpc;
use crate::io::{recycle, vector};
use crate::scratch::Scratch;
use crate::state::{Live, Place, Worker};
use crate::trip::Trip;
use crate::upstream::Source;

/// What templates may read of this request.
pub fn facts<'a>(exchange: &'a Exchange, place: Place, trip: &'a Trip, live: &'a Live) -> Facts<'a> {
    exchange.facts(place, trip, live)
}

/// Notes whether the client asks for a WebSocket where it may have one; a handshake that is none is refused (rows C07, C08).
pub fn upgrade(rule: &HttpRule, exchange: &mut Exchange) -> Result<(), Refusal> {
    exchange.scratch.upgrade = None;
    if !rule.websocket {
        return Ok(());
    }
    match websocket::asked(&exchange.scratch.head, &exchange.head_bytes) {
        Asked::Nothing => {}
        Asked::Handshake(handshake) => exchange.scratch.upgrade = Some(handshake),
        Asked::Malformed => return Err(Refusal::HandshakeMalformed),
        Asked::OtherVersion => return Err(Refusal::HandshakeVersion),
    }
    Ok(())
}

/// The request target for the backend. The client's query is passed on by proxy integrations only (IN-04).
pub fn target(call: &mut Call<'_>, exchange: &Exchange, place: Place, trip: &Trip, live: &Live) -> Result<(), Refusal> {
    let Call { rule, target, held, .. } = call;
    let query = exchange.scratch.head.query.filter(|_| rule.proxy).map(|query| query.of(&exchange.head_bytes));
    *target = vector();
    match &rule.request {
        None => rule.uri.render_target(exchange.path(), place.rest, &exchange.scratch.captures, query, target),
        Some(mapping) => {
            let input = Input { facts: facts(exchange, place, trip, live), body: held };
            mapping.write_target(&rule.uri, &input, query, target)?;
        }
    }
    if target.len() > codec::limits::HEAD_MAX {
        return Err(Refusal::InvalidEndpoint);
    }
    Ok(())
}

/// What was made for a call before it begins.
pub struct Call<'a> {
    /// What is done.
    pub rule: &'a HttpRule,
    /// The request target.
    pub target: Vec<u8>,
    /// The mapped header fields.
    pub mapped: Mapped,
    /// The whole body, if it was read for a mapping.
    pub held: Vec<u8>,
    /// What the request speaks, if that is gRPC and the backend may speak it.
    pub grpc: Option<Dialect>,
}

impl<'a> Call<'a> {
    /// Nothing is made yet.
    pub fn new(rule: &'a HttpRule) -> Call<'a> {
        let held = if rule.holds_body { vector() } else { Vec::new() };
        Call { rule, target: Vec::new(), mapped: Mapped::default(), held, grpc: None }
    }

    /// Looks whether the request speaks gRPC with a backend that knows HTTP/2: the time that it gives to the call, if it does.
    pub fn meet(&mut self, exchange: &Exchange, protocol: Protocol) -> Option<Duration> {
        if protocol == Protocol::Http1 || !self.rule.proxy {
            return None;
        }
        let (head, bytes) = (&exchange.scratch.head, &*exchange.head_bytes);
        self.grpc = grpc::dialect(head, bytes);
        self.grpc.and_then(|_| grpc::timeout(head, bytes))
    }

    /// Whether `limits.body` is for each message of the request, not for all of them: a stream of gRPC may send for hours. What is
    /// base64 is one message, and bounded as it comes.
    pub fn bounds_messages(&self) -> bool {
        matches!(self.grpc, Some(Dialect::Grpc | Dialect::Web))
    }

    /// Gives the memory back.
    pub fn recycle(self) {
        recycle(self.target);
        recycle(self.mapped.lines);
        recycle(self.held);
    }
}

/// All that the request's head for the backend is made of.
pub struct Shape<'a> {
    call: &'a Call<'a>,
    head: &'a RequestHead,
    head_bytes: &'a [u8],
    host: &'a [u8],
    kind: Kind,
    origin: Origin<'a>,
    is_upgrade: bool,
}

/// Takes the exchange apart: what the head is written from, and what the call needs of the client.
pub fn prepare<'a>(
    call: &'a Call<'a>,
    exchange: &'a mut Exchange,
    live: &'a Live,
    place: Place,
    trace_id: &'a [u8],
) -> (Shape<'a>, Source<'a>) {
    let rule = call.rule;
    let api = live.api(place);
    let host =
        live.release(place).map_or(&b""[..], |release| &release.program.authorities[rule.authority as usize].host);
    let Exchange { sock, inflow, head_bytes, scratch, body, continue_owed, peer, .. } = exchange;
    let Scratch { head, answer, upgrade, way, introduction, .. } = &mut **scratch;
    let (head, head_bytes): (&RequestHead, &[u8]) = (head, head_bytes);
    let verb = rule.verb.or_else(|| Verb::parse(head.method.of(head_bytes)));
    let origin = Origin {
        client_ip: peer.text(),
        host: if way.host.is_empty() { head.host } else { way.host }.of(head_bytes),
        host_is_told: !way.host.is_empty(),
        port: way.port,
        tls: way.tls,
        api_id: api.id.as_bytes(),
        trace_id,
    };
    let shape = Shape { call, head, head_bytes, host, kind: live.kind(place), origin, is_upgrade: upgrade.is_some() };
    let source = Source {
        sock,
        inflow,
        body,
        framing: framing(call, head.framing),
        is_text: call.grpc == Some(Dialect::WebText),
        is_held: !call.held.is_empty(),
        continue_owed,
        idempotent: matches!(verb, Some(Verb::Get | Verb::Head | Verb::Options | Verb::Put | Verb::Delete)),
        to_head: verb == Some(Verb::Head),
        upgrade: upgrade.as_ref(),
        introduction,
        answer,
    };
    (shape, source)
}

/// How the body is framed that goes on: the length of what base64 stands for is not known.
fn framing(call: &Call<'_>, received: Framing) -> Framing {
    match received {
        Framing::Length(1..) if call.grpc == Some(Dialect::WebText) => Framing::Chunked,
        received => received,
    }
}

/// A trace id of our own: a client's is not believed.
pub fn trace_id(trip: &Trip, worker: &Worker) -> [u8; context::TRACE_ID_LEN] {
    let mut trace = [0; context::TRACE_ID_LEN];
    context::trace_id((trip.epoch_ms / 1000) as u32, worker.random(), &mut trace);
    trace
}

impl Shape<'_> {
    /// Writes the head: the backend's own host and framing, the client's fields by the kind's rules, what backends are told of
    /// the client, and what is mapped in their place. A body that is held follows.
    pub fn write(&self, out: &mut Vec<u8>) {
        let (Call { rule, target, mapped, .. }, bytes) = (self.call, self.head_bytes);
        let method = rule.verb.map_or(self.head.method.of(bytes), |verb| verb.as_str().as_bytes());
        let by = rule.request.as_ref();
        let gives_way = |known: Name, name: &[u8]| by.is_some_and(|by| by.replaces(mapped.applied, known, name));
        let is_mapped = |known: Name| by.is_some_and(|by| by.has(mapped.applied, known));
        write::request_line(out, method, target);
        if !is_mapped(Name::Host) {
            write::field(out, b"Host", self.host);
        }
        let typed = rule.proxy || Verb::parse(method).is_none_or(headers::copies_content_type);
        for field in &*self.head.fields {
            let is_type = field.known == Name::ContentType;
            if headers::to_backend(self.kind, rule.proxy, field, bytes) == Rule::Pass
                && (typed || !is_type)
                && !gives_way(field.known, field.name.of(bytes))
            {
                match self.call.grpc {
                    Some(dialect) if is_type && dialect.is_web() => {
                        grpc::write_type(Dialect::Grpc, field.value.of(bytes), out);
                    }
                    _ => self.write_field(field, out),
                }
            }
        }
        if !rule.proxy {
            headers::write_call_defaults(self.origin.api_id, is_mapped, out);
        }
        headers::write_origin(self.kind, &self.origin, is_mapped, out);
        if self.is_upgrade {
            write::field(out, b"Connection", b"Upgrade");
            write::field(out, b"Upgrade", b"websocket");
        }
        if self.call.grpc.is_some() {
            write::field(out, b"TE", b"trailers");
        }
        // A gateway says that it was here (RFC 9110 §7.6.3).
        write::field(out, b"Via", b"1.1 tollgate");
        out.extend_from_slice(&mapped.lines);
        self.write_framing(out);
    }

    /// A field that passes, as it came; but an OPTIONS may be passed on once less than we were told (RFC 9110 §7.6.2, row C14).
    fn write_field(&self, field: &Field, out: &mut Vec<u8>) {
        let (name, value) = (field.name.of(self.head_bytes), field.value.of(self.head_bytes));
        if field.known != Name::MaxForwards || self.head.method.of(self.head_bytes) != b"OPTIONS" {
            write::field(out, name, value);
        } else if let Some(left) = headers::forwards_left(value) {
            write::field(out, name, itoa::Buffer::new().format(left.saturating_sub(1)).as_bytes());
        }
    }

    fn write_framing(&self, out: &mut Vec<u8>) {
        let Call { rule, held, .. } = self.call;
        match framing(self.call, self.head.framing) {
            Framing::None | Framing::UntilClose => {}
            _ if rule.holds_body || !held.is_empty() => write::content_length(out, held.len() as u64),
            Framing::Length(length) => write::content_length(out, length),
            Framing::Chunked => write::field(out, b"Transfer-Encoding", b"chunked"),
        }
        write::end(out);
        out.extend_from_slice(held);
    }
}
