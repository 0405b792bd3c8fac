//! One call: a connection, the request written anew, the final head of the answer; and the one retry that is safe.

use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::Poll;

use codec::head::Framing;
use policy::fault::{Fault, Retry};
use router::Verb;

use super::{Answer, Call, Connection, http1};
use crate::body::{Broken, Encoding, Pump};
use crate::exchange::{Exchange, HeadBytes};
use crate::integration::http;
use crate::io::{Outgoing, now, recycle, vector};
use crate::limits::{ATTEMPTS_MAX, LAST_WORDS_TIME};
use crate::observe::metrics::add;
use crate::trip::Trip;
use crate::worker::Worker;

/// Calls the backend. On success the answer's head is in the exchange's scratch.
pub async fn call(
    call: Call<'_>,
    exchange: &mut Exchange,
    trip: &mut Trip,
    worker: &Rc<Worker>,
) -> Result<Answer, Fault> {
    let upstream = call.live.upstreams[call.rule.upstream as usize].clone();
    trip.upstream = Some(call.rule.upstream);
    let began = now();
    let (mut avoid, mut fresh) = (None, false);
    let mut attempts = 0;
    let outcome = loop {
        attempts += 1;
        let (fault, reused) = match upstream.checkout(worker, fresh, avoid).await {
            Err((fault, server)) => {
                avoid = server;
                (fault, false)
            }
            Ok((mut connection, server)) => match converse(&call, exchange, &mut connection, worker).await {
                Ok(head_bytes) => break Ok((connection, head_bytes)),
                Err(fault) => {
                    // A stale connection says nothing against its server; a fresh one that failed does.
                    avoid = (!connection.reused).then_some(server);
                    (fault, connection.reused)
                }
            },
        };
        if attempts >= ATTEMPTS_MAX || !may_retry(fault, reused, exchange) {
            break Err(fault);
        }
        fresh = true;
        add(&worker.metrics.upstream_retries, 1);
    };
    recycle(call.target);
    trip.integration_micros = Some(began.elapsed().as_micros() as u64);
    let (connection, head_bytes) = outcome?;
    trip.integration_status = Some(exchange.scratch.answer.status);
    Ok(Answer { connection, head_bytes, proxy: call.rule.proxy })
}

/// Again only where nothing was sent, or where a pooled connection had gone stale under a request that may be repeated and
/// whose body is still here (row C12).
fn may_retry(fault: Fault, reused: bool, exchange: &Exchange) -> bool {
    let untouched = exchange.body.received == 0;
    match fault.retry() {
        Retry::Never => false,
        Retry::Always => untouched,
        Retry::IfIdempotent => reused && untouched && exchange.body.is_done() && is_idempotent(exchange),
    }
}

/// RFC 9110 §9.2.2.
fn is_idempotent(exchange: &Exchange) -> bool {
    let verb = Verb::parse(exchange.scratch.head.method.of(&exchange.head_bytes));
    matches!(verb, Some(Verb::Get | Verb::Head | Verb::Options | Verb::Put | Verb::Delete))
}

/// Sends the request and reads the final head.
async fn converse(
    call: &Call<'_>,
    exchange: &mut Exchange,
    connection: &mut Connection,
    worker: &Worker,
) -> Result<HeadBytes, Fault> {
    let mut head = vector();
    http::write_head(call.rule, &call.target, exchange, (call.place, call.live), worker, &mut head);
    let to_head = match call.rule.verb {
        Some(verb) => verb == Verb::Head,
        None => exchange.is_head(),
    };
    if !exchange.body.is_done() {
        return converse_with_body(call, exchange, connection, (head, to_head)).await;
    }
    let sent = connection.sock.send(Outgoing::new(head)).await;
    sent.map_err(|error| http1::broken(&error, Fault::ClosedBeforeAnswer))?;
    connection.request_sent = true;
    connection.sock.set_deadline(Some(call.rule.timeout));
    let Connection { sock, inflow, .. } = connection;
    let bytes = http1::read_head(sock, inflow, &mut exchange.scratch.answer, to_head).await;
    connection.sock.set_deadline(None);
    bytes
}

/// The body goes up while the answer is awaited: a backend may answer before it has read everything (row F27).
async fn converse_with_body(
    call: &Call<'_>,
    exchange: &mut Exchange,
    connection: &mut Connection,
    (head, to_head): (Vec<u8>, bool),
) -> Result<HeadBytes, Fault> {
    if exchange.continue_owed && exchange.inflow.is_empty() {
        promise(exchange).await?;
    }
    exchange.continue_owed = false;
    let limits = &call.live.snapshot().gateway.limits;
    let encoding = match exchange.scratch.head.framing {
        Framing::Chunked => Encoding::Chunked,
        _ => Encoding::Plain,
    };
    let Exchange { sock: client, inflow: received, body, scratch, .. } = exchange;
    let Connection { sock, inflow, request_sent, .. } = connection;
    let pump = Pump {
        reader: body,
        from: client,
        inflow: received,
        to: sock,
        encoding,
        idle: limits.body_idle_time,
        bytes_max: limits.body,
    };
    let mut sending = std::pin::pin!(pump.run(head));
    let mut reading = std::pin::pin!(http1::read_head(sock, inflow, &mut scratch.answer, to_head));
    let mut pumped = None;
    // Both are polled; the head's arrival, its failure, or the client's ends the wait.
    let answer = poll_fn(|context| {
        if pumped.is_none()
            && let Poll::Ready(outcome) = sending.as_mut().poll(context)
        {
            match outcome {
                Ok(_) => {
                    *request_sent = true;
                    sock.set_deadline(Some(call.rule.timeout));
                }
                Err(Broken::SinkClosed | Broken::SinkStalled) => sock.set_deadline(Some(LAST_WORDS_TIME)),
                Err(broken) => return Poll::Ready(Err(client_fault(&broken))),
            }
            pumped = Some(());
        }
        reading.as_mut().poll(context)
    })
    .await;
    sock.set_deadline(None);
    answer
}

/// `100 Continue` is ours to say, once the policies have let the request pass (row F31).
async fn promise(exchange: &Exchange) -> Result<(), Fault> {
    let mut interim = vector();
    interim.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
    exchange.sock.send(Outgoing::new(interim)).await.map_err(|_| Fault::ClientGone)
}

/// What the client broke while it sent its body.
fn client_fault(broken: &Broken) -> Fault {
    match broken {
        Broken::SourceMisbehaved(how) => Fault::ClientMisbehaved(*how),
        Broken::SourceClosed => Fault::ClientGone,
        Broken::SourceStalled => Fault::ClientStalled,
        Broken::TooLarge => Fault::BodyTooLarge,
        Broken::SinkClosed | Broken::SinkStalled => Fault::ClosedBeforeAnswer,
    }
}
