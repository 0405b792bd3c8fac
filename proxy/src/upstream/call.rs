//! One call: a connection, the request written anew, the final head of the answer; and the one retry that is safe.

use std::future::{Future, poll_fn};
use std::task::Poll;
use std::time::Instant;

use codec::head::Framing;
use policy::fault::{Fault, Retry};

use super::pool::Upstream;
use super::resolve::Names;
use super::{Bounds, Connection, Source, http1};
use crate::body::{Broken, Encoding, Pump, Transfer};
use crate::head_bytes::HeadBytes;
use crate::io::{Group, Outgoing, RBuf, Sock, now, vector};
use crate::limits::{ATTEMPTS_MAX, LAST_WORDS_TIME};
use crate::observe::metrics::add;

/// Calls the backend. `write_head` renders the request's head, again for a second attempt. On success the answer's head is
/// in `source.answer`.
pub async fn call(
    (upstream, names): (&Upstream, &Names),
    mut source: Source<'_>,
    bounds: Bounds,
    write_head: impl Fn(&mut Vec<u8>),
) -> Result<(Connection, HeadBytes), Fault> {
    let (mut avoid, mut fresh) = (None, false);
    let mut attempts = 0;
    let began = now();
    loop {
        attempts += 1;
        // One time-out for all of it: connecting, a second attempt, and the head of the answer (IN-12).
        let left = bounds.timeout.saturating_sub(now() - began);
        let (fault, reused) = match upstream.checkout(names, left, fresh, avoid).await {
            Err((fault, server)) => {
                avoid = server;
                (fault, false)
            }
            Ok((mut connection, server)) => {
                let mut head = vector();
                write_head(&mut head);
                match converse(&mut source, (bounds, began), &mut connection, head).await {
                    Ok(head_bytes) => return Ok((connection, head_bytes)),
                    Err(fault) => {
                        // A stale connection says nothing against its server; a fresh one that failed does.
                        avoid = (!connection.reused).then_some(server);
                        (fault, connection.reused)
                    }
                }
            }
        };
        if attempts >= ATTEMPTS_MAX || !may_retry(fault, reused, &source) {
            return Err(fault);
        }
        fresh = true;
        add(&upstream.metrics.upstream_retries, 1);
    }
}

/// Again only where nothing was sent, or where a pooled connection had gone stale under a request that may be repeated and
/// has no body to lose (row C12).
fn may_retry(fault: Fault, reused: bool, source: &Source<'_>) -> bool {
    // A body that is held can be sent again; whether the backend has acted on it is not known.
    let untouched = source.body.received == 0 || source.is_held;
    match fault.retry() {
        Retry::Never => false,
        Retry::Always => untouched,
        Retry::IfIdempotent => reused && untouched && source.body.is_done() && source.idempotent,
    }
}

/// Sends the request and reads the final head.
async fn converse(
    source: &mut Source<'_>,
    (bounds, began): (Bounds, Instant),
    connection: &mut Connection,
    head: Vec<u8>,
) -> Result<HeadBytes, Fault> {
    if !source.body.is_done() || source.is_held {
        return converse_with_body(source, bounds, connection, head).await;
    }
    let sent = connection.sock.send(Outgoing::new(head)).await;
    sent.map_err(|error| http1::broken(&error, Fault::ClosedBeforeAnswer))?;
    connection.request_sent = true;
    connection.sock.set_deadline(Some(bounds.timeout.saturating_sub(now() - began)));
    let Connection { sock, inflow, .. } = connection;
    let reading = http1::read_head(sock, inflow, source.answer, source.to_head);
    let bytes = while_client_stays(reading, source.sock, source.inflow).await;
    connection.sock.set_deadline(None);
    bytes
}

/// Waits for an answer as long as its client is there. A reset ends the call: nobody would read its answer. A client that
/// only closed its side still waits (row C11); bytes that it sends meanwhile belong to its next request.
async fn while_client_stays<T>(
    answer: impl Future<Output = Result<T, Fault>>,
    client: &Sock,
    inflow: &mut RBuf,
) -> Result<T, Fault> {
    let mut answer = std::pin::pin!(answer);
    let mut watching = inflow.is_empty();
    poll_fn(|context| {
        if let Poll::Ready(outcome) = answer.as_mut().poll(context) {
            return Poll::Ready(outcome);
        }
        if watching && let Poll::Ready(received) = client.poll_recv(Group::Small, context) {
            watching = false;
            match received {
                Ok(bytes) => *inflow = bytes,
                Err(_) => return Poll::Ready(Err(Fault::ClientGone)),
            }
        }
        Poll::Pending
    })
    .await
}

/// The body goes up while the answer is awaited: a backend may answer before it has read everything (row F27).
async fn converse_with_body(
    source: &mut Source<'_>,
    bounds: Bounds,
    connection: &mut Connection,
    head: Vec<u8>,
) -> Result<HeadBytes, Fault> {
    if *source.continue_owed && source.inflow.is_empty() && !source.is_held {
        promise(source.sock).await?;
    }
    *source.continue_owed = false;
    let encoding = match source.framing {
        Framing::Chunked if !source.is_held => Encoding::Chunked,
        _ => Encoding::Plain,
    };
    let mut transfer = Transfer::new(head, encoding);
    let mut pumped = false;
    let Connection { sock, inflow, request_sent, upload, .. } = connection;
    let pump = Pump {
        reader: source.body,
        from: source.sock,
        inflow: source.inflow,
        to: sock,
        idle: bounds.body_idle,
        bytes_max: bounds.body_max,
    };
    let answer = {
        let mut sending = std::pin::pin!(pump.run(&mut transfer));
        let mut reading = std::pin::pin!(http1::read_head(sock, inflow, source.answer, source.to_head));
        // Both are polled; the head's arrival, its failure, or the client's ends the wait.
        poll_fn(|context| {
            if !pumped && let Poll::Ready(outcome) = sending.as_mut().poll(context) {
                match outcome {
                    Ok(()) => {
                        *request_sent = true;
                        sock.set_deadline(Some(bounds.timeout));
                    }
                    Err(Broken::SinkClosed | Broken::SinkStalled) => sock.set_deadline(Some(LAST_WORDS_TIME)),
                    Err(broken) => return Poll::Ready(Err(broken.by_client())),
                }
                pumped = true;
            }
            reading.as_mut().poll(context)
        })
        .await
    };
    sock.set_deadline(None);
    // An early answer: the body goes on while the answer comes.
    *upload = (!pumped).then_some(transfer);
    answer
}

/// `100 Continue` is ours to say, once the policies have let the request pass (row F31).
pub async fn promise(client: &Sock) -> Result<(), Fault> {
    let mut interim = vector();
    interim.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
    client.send(Outgoing::new(interim)).await.map_err(|_| Fault::ClientGone)
}
