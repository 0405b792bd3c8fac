//! An errand: a call of our own, for no client. The whole request is held, so that it can be sent again; the whole answer is read, within
//! bounds, for somebody who decides by it.

use std::time::{Duration, Instant};

use codec::head::{Framing, ResponseHead};
use codec::proxy_protocol::{self, Told};
use policy::fault::Fault;

use super::call::may_repeat;
use super::pool::{Tried, Upstream};
use super::resolve::Names;
use super::retry::Attempt;
use super::{Connection, http1};
use crate::body::{BodyReader, Broken};
use crate::io::{Group, Outgoing, now, timeout, vector};
use crate::pace::Pace;

/// Why an errand came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The call broke, or was not answered in time.
    Broken(Fault),
    /// The answer has more bytes than it may.
    TooLong,
}

/// What bounds an errand.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// From the first attempt to connect to the end of the answer.
    pub time: Duration,
    /// Bytes of the answer's body.
    pub bytes: usize,
}

/// An answer, whole.
pub struct Heard<T> {
    /// Its status.
    pub status: u16,
    /// What was noted of its head.
    pub noted: T,
    /// Its body.
    pub body: Vec<u8>,
}

/// Sends a request, head and body, that may be repeated without harm, and reads the answer. `note` looks at its head.
pub async fn run<T>(
    (upstream, names): (&Upstream, &Names),
    request: &[u8],
    bounds: Bounds,
    note: impl Fn(&ResponseHead, &[u8]) -> T,
) -> Result<Heard<T>, Failure> {
    // A peer that sends a byte now and then is bounded as well.
    let whole = timeout(bounds.time, run_within((upstream, names), request, bounds, note)).await;
    whole.unwrap_or(Err(Failure::Broken(Fault::AnswerTimedOut)))
}

async fn run_within<T>(
    (upstream, names): (&Upstream, &Names),
    request: &[u8],
    bounds: Bounds,
    note: impl Fn(&ResponseHead, &[u8]) -> T,
) -> Result<Heard<T>, Failure> {
    let until = now() + bounds.time;
    let left = || until.saturating_duration_since(now());
    let mut introduction = Vec::new();
    if let Some(version) = upstream.spec.proxy_protocol {
        proxy_protocol::write(version, &Told::Nothing, &mut introduction);
    }
    let mut tried = Tried::default();
    let (mut fresh, mut attempts) = (false, 0);
    let mut repeat = None;
    loop {
        attempts += 1;
        let (fault, reused) = match upstream.checkout(names, left(), fresh, &tried, &introduction).await {
            Err((fault, server)) => {
                if let Some(server) = server {
                    tried.add(server);
                }
                (fault, false)
            }
            Ok(mut connection) => match converse(&mut connection, request, until).await {
                Ok((head, bytes)) => {
                    connection.answered(head.status);
                    let noted = note(&head, &bytes);
                    let body = read(connection, &head, (left(), bounds.bytes)).await?;
                    return Ok(Heard { status: head.status, noted, body });
                }
                Err(fault) => {
                    connection.broke(fault);
                    tried.add(connection.tag());
                    (fault, connection.reused || connection.sock.is_stream())
                }
            },
        };
        let attempt = Attempt {
            fault,
            reused,
            unsent: false,
            replayable: true,
            whole: true,
            idempotent: true,
            by_try_time: false,
        };
        let is_last = attempts >= upstream.spec.retry.attempts || left().is_zero();
        if is_last || !may_repeat(upstream, attempt, &tried, &mut repeat) {
            return Err(Failure::Broken(fault));
        }
        fresh = true;
    }
}

/// Sends the request and reads the head of its answer.
async fn converse(
    connection: &mut Connection,
    request: &[u8],
    until: Instant,
) -> Result<(Box<ResponseHead>, crate::head_bytes::HeadBytes), Fault> {
    let mut sent = vector();
    sent.extend_from_slice(request);
    connection.sock.set_deadline(Some(until.saturating_duration_since(now())));
    let sent = connection.sock.send_last(Outgoing::new(sent)).await;
    sent.map_err(|error| http1::broken(&error, Fault::ClosedBeforeAnswer))?;
    connection.request_sent = true;
    let mut head = Box::new(ResponseHead::new());
    let Connection { sock, inflow, .. } = connection;
    let bytes = http1::read_head(sock, inflow, &mut head, (false, None, Group::Large)).await?;
    connection.sock.set_deadline(None);
    Ok((head, bytes))
}

/// Reads the body, and gives the connection back if it may serve again.
async fn read(
    mut connection: Connection,
    head: &ResponseHead,
    (time, bytes_max): (Duration, usize),
) -> Result<Vec<u8>, Failure> {
    let mut reader = BodyReader::of(head.framing, &connection.sock);
    let mut body = Vec::new();
    let bounds = (bytes_max as u64, Pace::of_sender(0, time));
    match reader.gather((&connection.sock, &mut connection.inflow), bounds, &mut body).await {
        Ok(()) => {
            connection.release(head.keep_alive && head.framing != Framing::UntilClose);
            Ok(body)
        }
        Err(Broken::TooLarge) => Err(Failure::TooLong),
        Err(broken) => {
            connection.broke(broken.by_backend());
            Err(Failure::Broken(broken.by_backend()))
        }
    }
}
