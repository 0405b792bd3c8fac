//! A backend's side of HTTP/1: its final head, past interim ones.

use std::io;

use codec::head::{HeadLimits, ResponseHead};
use codec::http1::misbehave::Misbehaviour;
use codec::http1::parse::{Progress, parse_response};
use codec::websocket::{self, Handshake};
use policy::fault::Fault;

use super::secure;
use crate::body::is_timeout;
use crate::head_bytes::HeadBytes;
use crate::io::{Group, RBuf, vector};
use crate::limits::INTERIM_MAX;
use crate::link::Link;

/// Reads heads until the final one. Interim answers are counted and dropped: what `100 Continue` promises was promised by
/// us, and 101 is final only where it was asked for and agrees to what was (rows F29, C05). `group`: what they are received in.
pub async fn read_head(
    sock: &Link,
    inflow: &mut RBuf,
    head: &mut ResponseHead,
    (to_head, upgrade, group): (bool, Option<&Handshake>, Group),
) -> Result<HeadBytes, Fault> {
    for _ in 0..=INTERIM_MAX {
        let bytes = read_one((sock, group), inflow, head, to_head).await?;
        match (head.status, upgrade) {
            (101, None) => return Err(Fault::BadAnswer(Misbehaviour::SwitchingProtocols)),
            (101, Some(handshake)) if websocket::agrees(head, &bytes, handshake) => return Ok(bytes),
            (101, Some(_)) => return Err(Fault::BadAnswer(Misbehaviour::HandshakeBroken)),
            (100..=199, _) => drop(bytes),
            _ => return Ok(bytes),
        }
    }
    Err(Fault::BadAnswer(Misbehaviour::TooManyInterim))
}

async fn read_one(
    (sock, group): (&Link, Group),
    inflow: &mut RBuf,
    head: &mut ResponseHead,
    to_head: bool,
) -> Result<HeadBytes, Fault> {
    let mut joined = Vec::new();
    let mut first = true;
    loop {
        if inflow.is_empty() {
            *inflow = receive(sock, group, first && joined.is_empty()).await?;
        }
        first = false;
        let known = joined.len();
        let bytes: &[u8] = if known == 0 {
            inflow
        } else {
            joined.extend_from_slice(inflow);
            &joined
        };
        match parse_response(bytes, head, to_head, &HeadLimits::RESPONSE).map_err(Fault::BadAnswer)? {
            Progress::Complete if known == 0 => return Ok(HeadBytes::View(inflow.split_to(head.length))),
            Progress::Complete => {
                inflow.advance(head.length - known);
                joined.truncate(head.length);
                return Ok(HeadBytes::Joined(joined));
            }
            Progress::Incomplete => {
                if known == 0 {
                    joined = vector();
                    joined.extend_from_slice(inflow);
                }
                *inflow = RBuf::empty();
            }
        }
    }
}

async fn receive(sock: &Link, group: Group, nothing_yet: bool) -> Result<RBuf, Fault> {
    let closed = if nothing_yet { Fault::ClosedBeforeAnswer } else { Fault::ClosedInHead };
    match sock.recv(group).await {
        Ok(bytes) if bytes.is_empty() => Err(closed),
        Ok(bytes) => Ok(bytes),
        Err(error) => Err(broken(&error, closed)),
    }
}

/// A wait that ended by its deadline is the backend's slowness, a word about certificates is one, and anything else is a close.
pub fn broken(error: &io::Error, closed: Fault) -> Fault {
    match error {
        error if is_timeout(error) => Fault::AnswerTimedOut,
        error if secure::is_refusal(error) => Fault::TlsRefused,
        _ => closed,
    }
}
