//! A client's side of HTTP/1: heads, whole or in pieces.

use std::time::Duration;

use codec::head::{HeadLimits, RequestHead};
use codec::http1::misbehave::Misbehaviour;
use codec::http1::parse::{Progress, parse_request};

use crate::body::is_timeout;
use crate::head_bytes::HeadBytes;
use crate::io::{Group, RBuf, vector};
use crate::link::Link;

/// Why there is no head.
pub enum NoHead {
    /// Nothing has arrived: the connection is idle.
    Idle,
    /// The client left, before or within a head.
    Closed,
    /// The head did not come in time (row R01).
    Slow,
    /// It breaks a rule.
    Misbehaved(Misbehaviour),
}

/// Reads one head. `idle_ok`: a connection that has already served may be found idle instead. The time for a head is
/// absolute: it runs from its first byte, and bytes that drip in do not prolong it.
pub async fn read_head(
    sock: &Link,
    inflow: &mut RBuf,
    head: &mut RequestHead,
    (limits, time): (&HeadLimits, Duration),
    idle_ok: bool,
) -> Result<HeadBytes, NoHead> {
    if inflow.is_empty() {
        if idle_ok {
            return Err(NoHead::Idle);
        }
        *inflow = receive(sock).await?;
    }
    if let Progress::Complete = parse_request(inflow, head, limits).map_err(NoHead::Misbehaved)? {
        return Ok(HeadBytes::View(inflow.split_to(head.length)));
    }
    sock.set_deadline(Some(time));
    let joined = join(sock, inflow, head, limits).await;
    sock.set_deadline(None);
    joined
}

/// A head in pieces is put together; it is parsed again only when a line has ended, a control byte has come that no line may
/// have, or much of anything: single bytes cost little, and who speaks another protocol does not wait for the end of its line.
async fn join(
    sock: &Link,
    inflow: &mut RBuf,
    head: &mut RequestHead,
    limits: &HeadLimits,
) -> Result<HeadBytes, NoHead> {
    let mut joined = vector();
    joined.extend_from_slice(inflow);
    *inflow = RBuf::empty();
    let mut parsed = joined.len();
    loop {
        *inflow = receive(sock).await?;
        let known = joined.len();
        joined.extend_from_slice(inflow);
        if !inflow.iter().any(u8::is_ascii_control) && joined.len() - parsed < BYTES_UNPARSED_MAX {
            *inflow = RBuf::empty();
            continue;
        }
        parsed = joined.len();
        match parse_request(&joined, head, limits).map_err(NoHead::Misbehaved)? {
            Progress::Incomplete => *inflow = RBuf::empty(),
            Progress::Complete => {
                inflow.advance(head.length - known);
                joined.truncate(head.length);
                return Ok(HeadBytes::Joined(joined));
            }
        }
    }
}

/// Bytes without a line end after which a head is looked at again: limits are noticed this late at most.
const BYTES_UNPARSED_MAX: usize = 1024;

async fn receive(sock: &Link) -> Result<RBuf, NoHead> {
    match sock.recv(Group::Small).await {
        Ok(bytes) if bytes.is_empty() => Err(NoHead::Closed),
        Ok(bytes) => Ok(bytes),
        Err(error) if is_timeout(&error) => Err(NoHead::Slow),
        Err(_) => Err(NoHead::Closed),
    }
}
