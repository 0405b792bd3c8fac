//! What a backend is sent: the request written anew, never the bytes that were received.

use codec::head::{Framing, Name};
use codec::http1::write;
use config::snapshot::HttpRule;
use policy::context;
use policy::facts::Facts;
use policy::refusal::Refusal;
use policy::transform::headers::{self, Origin, Rule};
use router::Verb;

use crate::exchange::Exchange;
use crate::io::vector;
use crate::state::Live;
use crate::trip::{Place, Trip};
use crate::worker::Worker;

/// What templates may read of this request.
pub fn facts<'a>(exchange: &'a Exchange, place: Place, trip: &'a Trip, live: &'a Live) -> Facts<'a> {
    let method = live.method(place);
    Facts {
        head_bytes: &exchange.head_bytes,
        head: &exchange.scratch.head,
        path: exchange.path(),
        rest: place.rest,
        captures: &exchange.scratch.captures,
        api_id: live.api(place).id.as_bytes(),
        stage: live.stage(place).name.as_bytes(),
        resource_path: method.map_or(&b""[..], |method| method.resource_path.as_bytes()),
        request_id: trip.request_id(),
        extended_request_id: trip.extended_id(),
        source_ip: exchange.peer.text(),
        time_epoch_ms: trip.epoch_ms,
    }
}

/// The request target for the backend. The client's query is passed on by proxy integrations only (IN-04).
pub fn target(rule: &HttpRule, exchange: &Exchange, place: Place) -> Result<Vec<u8>, Refusal> {
    let query = exchange.scratch.head.query.filter(|_| rule.proxy).map(|query| query.of(&exchange.head_bytes));
    let mut target = vector();
    rule.uri.render_target(exchange.path(), place.rest, &exchange.scratch.captures, query, &mut target);
    if target.len() > codec::limits::HEAD_MAX {
        return Err(Refusal::InvalidEndpoint);
    }
    Ok(target)
}

/// Writes the request's head for the backend: its own host and framing, the client's fields by the kind's rules, and what
/// backends are told of the client.
pub fn write_head(
    rule: &HttpRule,
    target: &[u8],
    exchange: &Exchange,
    (place, live): (Place, &Live),
    worker: &Worker,
    out: &mut Vec<u8>,
) {
    let head = &exchange.scratch.head;
    let bytes: &[u8] = &exchange.head_bytes;
    let kind = live.api(place).kind;
    let method = rule.verb.map_or(head.method.of(bytes), |verb| verb.as_str().as_bytes());
    write::request_line(out, method, target);
    write::field(out, b"Host", &rule.host);
    let typed = rule.proxy || Verb::parse(method).is_none_or(headers::copies_content_type);
    for field in head.fields.iter() {
        let is_type = field.known == Name::ContentType;
        if headers::to_backend(kind, rule.proxy, field, bytes) == Rule::Pass && (typed || !is_type) {
            write::field(out, field.name.of(bytes), field.value.of(bytes));
        }
    }
    if !rule.proxy {
        headers::write_call_defaults(live.api(place).id.as_bytes(), out);
    }
    let mut trace = [0; context::TRACE_ID_LEN];
    context::trace_id((worker.epoch_ms() / 1000) as u32, worker.random(), &mut trace);
    let origin = Origin {
        client_ip: exchange.peer.text(),
        host: head.host.of(bytes),
        port: exchange.entry.port,
        tls: false,
        api_id: live.api(place).id.as_bytes(),
        trace_id: &trace,
    };
    headers::write_origin(kind, &origin, out);
    // A gateway says that it was here (RFC 9110 §7.6.3).
    write::field(out, b"Via", b"1.1 tollgate");
    match head.framing {
        Framing::None | Framing::UntilClose => {}
        Framing::Length(length) => write::content_length(out, length),
        Framing::Chunked => write::field(out, b"Transfer-Encoding", b"chunked"),
    }
    write::end(out);
}
