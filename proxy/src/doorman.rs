//! Whether a request may come in by the connection that it came by: who its client is, and whether it should have come by TLS.

use std::time::Duration;

use codec::head::Version;
use codec::http1::write;
use policy::client_certificate::Unproven;
use policy::refusal::Refusal;

use crate::exchange::{Exchange, Reply};
use crate::io::vector;
use crate::protected::Protected;
use crate::state::{Live, Worker};

/// Whether the client has proved what the host asks for, on a connection that was made for it (DM-10, T24).
pub fn admit(exchange: &mut Exchange, live: &Live, worker: &Worker) -> Result<(), Refusal> {
    let protected = &live.published.protected;
    let host = exchange.scratch.head.host.of(&exchange.head_bytes);
    if exchange.secure && exchange.scratch.head.version == Version::Http2 && !is_shared(exchange, host, protected) {
        return Err(Refusal::Misdirected);
    }
    if !protected.asks_clients() {
        return Ok(());
    }
    let listener = exchange.entry.tls();
    let terms = protected.terms(host, listener.as_deref());
    let asked = terms.and_then(|terms| Some((terms, terms.clients.as_ref()?)));
    let verdict = match (asked, &exchange.guest) {
        (None, None) => Ok(()),
        // Its host asks for nothing any more.
        (None, Some(guest)) if terms.is_some_and(|terms| guest.is_for(&terms.host, host)) => Ok(()),
        (Some((_, clients)), _) if !exchange.secure && clients.is_optional() => Ok(()),
        (Some(_), _) if !exchange.secure => Err(Refusal::Unproven(Unproven::Missing)),
        (Some((terms, clients)), Some(guest)) if guest.is_for(&terms.host, host) => {
            let verdict = guest.prove(clients, Duration::from_millis(worker.epoch_ms()));
            exchange.scratch.proved = verdict.is_ok() && guest.shown().is_some();
            verdict.map_err(Refusal::Unproven)
        }
        _ => Err(Refusal::Misdirected),
    };
    if matches!(verdict, Err(Refusal::Unproven(_))) {
        // With another certificate it has to come anew.
        exchange.keep_alive = false;
    }
    verdict
}

/// Clients send requests for several hosts by one connection of HTTP/2 if its certificate is for all of them (T24).
fn is_shared(exchange: &Exchange, host: &[u8], protected: &Protected) -> bool {
    let host = host.strip_suffix(b".").unwrap_or(host);
    let carrier = exchange.sock.carrier();
    if carrier.was_asked_for(host) {
        return true;
    }
    let name = carrier.server_name().unwrap_or_default();
    let listener = exchange.entry.tls();
    protected.terms(name.as_bytes(), listener.as_deref()).is_some_and(|terms| terms.cover(host))
}

/// The answer to a request that came without TLS where it should not: the same address under `https`. A GET may be repeated as it
/// is by anybody, other methods only by clients that keep them (RFC 9110 §15.4.9).
pub fn redirect(exchange: &Exchange, live: &Live) -> Option<Reply> {
    // A proxy in front that is trusted may have ended TLS.
    if exchange.scratch.way.tls {
        return None;
    }
    let head = &exchange.scratch.head;
    let bytes: &[u8] = &exchange.head_bytes;
    let host = head.host.of(bytes);
    let of_domain = live.published.protected.manner(host).and_then(|manner| manner.redirect);
    let port = of_domain.or(exchange.entry.manner().redirect).filter(|_| !host.is_empty())?;
    let mut location = vector();
    location.extend_from_slice(b"https://");
    location.extend_from_slice(host);
    if port != 443 {
        location.push(b':');
        location.extend_from_slice(itoa::Buffer::new().format(port).as_bytes());
    }
    location.extend_from_slice(head.path.of(bytes));
    if let Some(query) = head.query {
        location.push(b'?');
        location.extend_from_slice(query.of(bytes));
    }
    let mut fields = vector();
    write::field(&mut fields, b"Location", &location);
    crate::io::recycle(location);
    let is_safe = matches!(head.method.of(bytes), b"GET" | b"HEAD");
    Some(Reply::Whole { status: if is_safe { 301 } else { 308 }, fields, body: vector() })
}
