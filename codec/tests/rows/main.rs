//! The attack table, row by row: what arrives, and the exact refusal or reading that must come of it.
//!
//! Every input is also run through the properties, so each is cut at every offset and read both ways.

mod chunked;
mod connection;
mod framing;
mod responses;
mod syntax;

use codec::head::{Fate, Framing, HeadLimits, RequestHead, ResponseHead};
use codec::http1::misbehave::Misbehaviour;
use codec::http1::parse::{Progress, parse_request, parse_response};
use codec::properties;

/// The outcome of a whole request head, which must be complete or refused.
fn request(bytes: &[u8]) -> Result<RequestHead, Misbehaviour> {
    properties::request_head(bytes);
    let mut head = RequestHead::new();
    let progress = parse_request(bytes, &mut head, &HeadLimits::default())?;
    assert_eq!(progress, Progress::Complete, "{}", bytes.escape_ascii());
    Ok(head)
}

/// A GET of `/` over HTTP/1.1 with a Host and these field lines.
fn with(fields: &str) -> Result<RequestHead, Misbehaviour> {
    request(format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n").as_bytes())
}

/// A head with this request line and a Host.
fn line(line: &str) -> Result<RequestHead, Misbehaviour> {
    request(format!("{line}\r\nHost: a\r\n\r\n").as_bytes())
}

fn accepted(fields: &str) -> RequestHead {
    with(fields).unwrap_or_else(|why| panic!("{fields:?} was refused: {why}"))
}

fn refused(fields: &str, why: Misbehaviour) {
    assert_eq!(with(fields).err(), Some(why), "{fields:?}");
}

fn line_refused(text: &str, why: Misbehaviour) {
    assert_eq!(line(text).err(), Some(why), "{text:?}");
}

/// A request that is not whole yet; it must be neither complete nor refused.
fn pending(bytes: &[u8]) {
    properties::request_head(bytes);
    let progress = parse_request(bytes, &mut RequestHead::new(), &HeadLimits::default());
    assert_eq!(progress, Ok(Progress::Incomplete), "{}", bytes.escape_ascii());
}

/// The outcome of a whole response head to a GET.
fn response(bytes: &[u8]) -> Result<ResponseHead, Misbehaviour> {
    response_to(bytes, false)
}

fn response_to(bytes: &[u8], to_head: bool) -> Result<ResponseHead, Misbehaviour> {
    properties::response_head(bytes);
    let mut head = ResponseHead::new();
    let progress = parse_response(bytes, &mut head, to_head, &HeadLimits::RESPONSE)?;
    assert_eq!(progress, Progress::Complete, "{}", bytes.escape_ascii());
    Ok(head)
}

/// The names of the fields that may pass.
fn passing<'a>(bytes: &'a [u8], head: &RequestHead) -> Vec<&'a str> {
    head.fields
        .iter()
        .filter(|field| field.fate == Fate::Pass)
        .map(|field| str::from_utf8(field.name.of(bytes)).expect("names are ASCII"))
        .collect()
}

/// What a request with these fields has for a body.
fn framing(fields: &str) -> Framing {
    accepted(fields).framing
}
