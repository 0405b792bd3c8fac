//! One call: a connection, the request written anew, the final head of the answer; and the further attempts that are safe.

use std::future::{Future, poll_fn};
use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::Duration;

use codec::grpc_web::TextReader;
use codec::head::Framing;
use policy::fault::Fault;

use super::pool::{Tried, Upstream};
use super::resolve::Names;
use super::retry::{self, Again, Attempt, Repeat};
use super::{Bounds, Connection, Source, http1};
use crate::body::{Broken, Encoding, Pump, Transfer, is_timeout};
use crate::grpc::Translation;
use crate::head_bytes::HeadBytes;
use crate::io::{Outgoing, RBuf, now, since, sleep, vector};
use crate::limits::LAST_WORDS_TIME;
use crate::link::Link;
use crate::observe::metrics::add;
use crate::pace::Pace;

/// Calls the backend. `write_head` renders the request's head, again for a further attempt. On success the answer's head is
/// in `source.answer`.
pub async fn call(
    (upstream, names): (&Upstream, &Names),
    mut source: Source<'_>,
    bounds: Bounds,
    write_head: impl Fn(&mut Vec<u8>),
) -> Result<(Connection, HeadBytes), Fault> {
    let mut tried = Tried::default();
    let (mut fresh, mut attempts) = (false, 0);
    // Held while a repetition runs: it counts against the budget.
    let mut repeat = None;
    let began = now();
    loop {
        attempts += 1;
        let began_one = now();
        // One time-out for all of it: connecting, further attempts, and the head of the answer (IN-12).
        let left = bounds.timeout.saturating_sub(since(began));
        let time = bounds.one().min(left);
        let (fault, reused, unsent) = match upstream.checkout(names, time, fresh, &tried, source.introduction).await {
            Err((fault, server)) => {
                if let Some(server) = server {
                    tried.add(server);
                }
                (fault, false, false)
            }
            Ok(mut connection) => {
                let mut head = vector();
                write_head(&mut head);
                // What is left of the attempt's time; where there is a body, its last byte begins it anew.
                let time = time.saturating_sub(since(began_one));
                match converse(&mut source, (&bounds, time), &mut connection, head).await {
                    Ok(head_bytes) => {
                        connection.answered(source.answer.status);
                        return Ok((connection, head_bytes));
                    }
                    Err(fault) => {
                        connection.broke(fault);
                        tried.add(connection.tag());
                        let may_be_stale = connection.reused || connection.sock.is_stream();
                        let stale = may_be_stale && fault == Fault::ClosedBeforeAnswer;
                        let unsent = stale && Box::pin(was_unsent(&connection.sock)).await;
                        (fault, connection.reused, unsent)
                    }
                }
            }
        };
        // A body that is held can be sent again; whether the backend has acted on it is not known.
        let attempt = Attempt {
            fault,
            reused,
            unsent,
            replayable: source.body.received == 0 || source.is_held,
            whole: source.body.is_done(),
            idempotent: source.idempotent,
            by_try_time: bounds.try_time.is_some(),
        };
        let is_last = attempts >= bounds.attempts || since(began) >= bounds.timeout;
        if is_last || !may_repeat(upstream, attempt, &tried, &mut repeat) {
            return Err(fault);
        }
        fresh = true;
    }
}

/// Whether nothing of a request has left: the peer had reset the connection before. What is under way still fails then.
async fn was_unsent(sock: &Link) -> bool {
    sock.set_deadline(Some(LAST_WORDS_TIME));
    sock.flush().await.is_err() && sock.failed_unsent()
}

/// Whether a request is sent once more; `repeat` holds its place in the budget, if it needs one.
pub(super) fn may_repeat<'a>(
    upstream: &'a Upstream,
    attempt: Attempt,
    tried: &Tried,
    repeat: &mut Option<Repeat<'a>>,
) -> bool {
    match retry::again(attempt) {
        Again::No => return false,
        Again::Elsewhere if !upstream.has_another(tried) => return false,
        Again::Free => {}
        Again::Elsewhere | Again::Anywhere => {
            // The repetition before has ended.
            drop(repeat.take());
            *repeat = upstream.may_repeat();
            if repeat.is_none() {
                upstream.shared.retries_denied.fetch_add(1, Relaxed);
                return false;
            }
        }
    }
    add(&upstream.metrics.upstream_retries, 1);
    upstream.shared.retries.fetch_add(1, Relaxed);
    true
}

/// Sends the request and reads the final head.
async fn converse(
    source: &mut Source<'_>,
    (bounds, time): (&Bounds, Duration),
    connection: &mut Connection,
    head: Vec<u8>,
) -> Result<HeadBytes, Fault> {
    connection.sock.receive_for(source.sock);
    if !source.body.is_done() || source.is_held {
        return converse_with_body(source, bounds, connection, head).await;
    }
    let sent = match connection.sock.offer_last(head) {
        Ok(None) => Ok(()),
        Ok(Some(head)) => connection.sock.send_last(Outgoing::new(head)).await,
        Err(error) => Err(error),
    };
    sent.map_err(|error| http1::broken(&error, Fault::ClosedBeforeAnswer))?;
    connection.request_sent = true;
    connection.sock.set_deadline(Some(time));
    let Connection { sock, inflow, .. } = connection;
    let asked = (source.to_head, source.upgrade, source.sock.share());
    let reading = http1::read_head(sock, inflow, source.answer, asked);
    let bytes = while_client_stays(reading, source.sock, source.inflow).await;
    connection.sock.set_deadline(None);
    bytes
}

/// Waits for an answer as long as its client is there. A reset ends the call: nobody would read its answer. A client that
/// only closed its side still waits (row C11); bytes that it sends meanwhile belong to its next request.
async fn while_client_stays<T>(
    answer: impl Future<Output = Result<T, Fault>>,
    client: &Link,
    inflow: &mut RBuf,
) -> Result<T, Fault> {
    let mut answer = std::pin::pin!(answer);
    let mut watching = inflow.is_empty();
    poll_fn(|context| {
        if let Poll::Ready(outcome) = answer.as_mut().poll(context) {
            return Poll::Ready(outcome);
        }
        if watching && let Poll::Ready(received) = client.poll_word(context) {
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
    bounds: &Bounds,
    connection: &mut Connection,
    head: Vec<u8>,
) -> Result<HeadBytes, Fault> {
    if *source.continue_owed && source.inflow.is_empty() && !source.is_held {
        promise(source.sock, Pace::of_taker(bounds.send_rate, bounds.body_idle)).await?;
    }
    *source.continue_owed = false;
    let encoding = match source.framing {
        Framing::Chunked if !source.is_held && !connection.sock.is_stream() => Encoding::Chunked,
        _ => Encoding::Plain,
    };
    let translation = source.is_text.then(|| Translation::FromText(TextReader::default()));
    let mut transfer = Transfer::new(head, encoding).translated(translation);
    let mut pumped = false;
    // Its body may come for as long as it likes: the time that the caller gives is over all the same.
    let mut over = bounds.deadline().map(|after| Box::pin(sleep(after)));
    let Connection { sock, inflow, request_sent, upload, .. } = connection;
    let pump = Pump {
        reader: source.body,
        from: source.sock,
        inflow: source.inflow,
        to: sock,
        paces: (Pace::of_sender(bounds.body_rate, bounds.body_idle), Pace::of_taker(0, bounds.body_idle)),
        bytes_max: bounds.body_max,
    };
    let answer = {
        let mut sending = std::pin::pin!(pump.run(&mut transfer));
        let asked = (source.to_head, None, source.sock.share());
        let mut reading = std::pin::pin!(http1::read_head(sock, inflow, source.answer, asked));
        // Both are polled; the head's arrival, its failure, or the client's ends the wait.
        poll_fn(|context| {
            if !pumped && let Poll::Ready(outcome) = sending.as_mut().poll(context) {
                match outcome {
                    Ok(()) => {
                        *request_sent = true;
                        sock.set_deadline(Some(bounds.one()));
                    }
                    Err(Broken::SinkClosed | Broken::SinkStalled) => sock.set_deadline(Some(LAST_WORDS_TIME)),
                    Err(broken) => return Poll::Ready(Err(broken.by_client())),
                }
                pumped = true;
            }
            if over.as_mut().is_some_and(|over| over.as_mut().poll(context).is_ready()) {
                return Poll::Ready(Err(Fault::AnswerTimedOut));
            }
            if let Poll::Ready(outcome) = reading.as_mut().poll(context) {
                return Poll::Ready(outcome);
            }
            // Nobody would read its answer.
            source.sock.poll_reset(context).map(|_| Err(Fault::ClientGone))
        })
        .await
    };
    sock.set_deadline(None);
    // An early answer: the body goes on while the answer comes.
    *upload = (!pumped).then(|| Box::new(transfer));
    answer
}

/// `100 Continue` is ours to say, once the policies have let the request pass (row F31).
pub async fn promise(client: &Link, mut pace: Pace) -> Result<(), Fault> {
    let left = |error: io::Error| if is_timeout(&error) { Fault::ClientReadsSlowly } else { Fault::ClientGone };
    pace.flush(client, 0).await.map_err(left)?;
    let mut interim = vector();
    interim.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
    client.start_send(Outgoing::new(interim));
    Ok(())
}
