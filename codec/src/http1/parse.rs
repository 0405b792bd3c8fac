//! Reading heads. httparse finds the parts in one vectored pass; what it cannot vouch for, `scan` reads again, byte by byte.
//!
//! `scan` is the definition: it goes from left to right, so that how the bytes were split over reads cannot change the
//! answer (row S27). The fast path answers only where both must agree, and the properties check that they do. Neither
//! keeps state between calls: the caller shows the whole head from its first byte each time.

use std::mem::MaybeUninit;

use httparse::{Header, Status};

use super::misbehave::Misbehaviour;
use super::{rules, scan};
use crate::head::{HeadLimits, Name, RequestHead, ResponseHead, Span, Version};
use crate::limits;

/// How far a head has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Nothing is wrong so far; more bytes are needed.
    Incomplete,
    /// The head is complete and described; the body begins at `length`.
    Complete,
}

/// What reading a head comes to.
pub(crate) type Outcome = Result<Progress, Misbehaviour>;

/// Reads a request's head from the start of `buf`; spans are offsets in `buf`. One empty line before it is skipped (S25).
///
/// Limits and broken lines are noticed as soon as the bytes show them, before the head's end arrives. After an error the
/// connection's bytes cannot be trusted any more: answer and close.
pub fn parse_request(buf: &[u8], head: &mut RequestHead, limits: &HeadLimits) -> Result<Progress, Misbehaviour> {
    read_request(buf, head, limits, true)
}

/// Reads a response's head from the start of `buf`. `to_head`: the request was HEAD, so that no body follows.
///
/// Interim answers (1xx) are heads like any other, without a body; the caller goes on reading after them.
pub fn parse_response(
    buf: &[u8],
    head: &mut ResponseHead,
    to_head: bool,
    limits: &HeadLimits,
) -> Result<Progress, Misbehaviour> {
    read_response(buf, head, to_head, limits, true)
}

/// `parse_request`, with or without the fast path, so that the properties can compare both.
pub(crate) fn read_request(buf: &[u8], head: &mut RequestHead, limits: &HeadLimits, fast: bool) -> Outcome {
    let limits = limits.clamped();
    let Some(begin) = leading_line(buf)? else {
        return Ok(Progress::Incomplete);
    };
    if !(fast && fast_request(buf, begin, head, &limits).is_some())
        && scan::request(buf, begin, head, &limits)? == Progress::Incomplete
    {
        return Ok(Progress::Incomplete);
    }
    rules::finish_request(buf, head)?;
    Ok(Progress::Complete)
}

/// `parse_response`, with or without the fast path.
pub(crate) fn read_response(
    buf: &[u8],
    head: &mut ResponseHead,
    to_head: bool,
    limits: &HeadLimits,
    fast: bool,
) -> Outcome {
    let limits = limits.clamped();
    if !(fast && fast_response(buf, head, &limits).is_some())
        && scan::response(buf, head, &limits)? == Progress::Incomplete
    {
        return Ok(Progress::Incomplete);
    }
    rules::finish_response(buf, head, to_head)?;
    Ok(Progress::Complete)
}

/// Where the request line begins: after one empty line at most (row S25). None if that cannot be told yet.
fn leading_line(buf: &[u8]) -> Result<Option<usize>, Misbehaviour> {
    match buf {
        [] | [b'\r'] => Ok(None),
        [b'\r', b'\n', b'\r' | b'\n', ..] => Err(Misbehaviour::LeadingLines),
        [b'\r', b'\n', ..] => Ok(Some(2)),
        [b'\r', ..] => Err(Misbehaviour::BareCr),
        [b'\n', ..] => Err(Misbehaviour::BareLf),
        _ => Ok(Some(0)),
    }
}

/// Fills the head if it is whole, within limits, and beyond doubt.
fn fast_request(buf: &[u8], begin: usize, head: &mut RequestHead, limits: &HeadLimits) -> Option<()> {
    let mut slots = [const { MaybeUninit::uninit() }; limits::FIELDS_MAX];
    let mut request = httparse::Request::new(&mut []);
    let Ok(Status::Complete(length)) = request.parse_with_uninit_headers(&buf[begin..], &mut slots) else {
        return None;
    };
    let (method, target) = (request.method?, request.path?);
    let target_start = begin + method.len() + 1;
    let version_start = target_start + target.len() + 1;
    let fields_start = version_start + b"HTTP/1.1\r\n".len();
    if method.len() > limits::METHOD_MAX
        || target.len() > limits.target as usize
        || !within(begin, fields_start, begin + length, limits)
    {
        return None;
    }
    head.fields.clear();
    for field in &*request.headers {
        let (name, value) = spans(buf, field);
        if !ends_line(buf, name.start as usize) || !head.fields.push(name, value, Name::of(name.of(buf))) {
            return None;
        }
    }
    if head.fields.len() > limits.fields as usize || !ends_head(buf, begin + length) {
        return None;
    }
    head.method = Span::new(begin, target_start - 1);
    head.target = Span::new(target_start, version_start - 1);
    head.version = version(request.version);
    head.length = begin + length;
    Some(())
}

/// Fills the head if it is whole, within limits, and beyond doubt.
fn fast_response(buf: &[u8], head: &mut ResponseHead, limits: &HeadLimits) -> Option<()> {
    // httparse would skip empty lines, which an answer may not have before it.
    if buf.first() != Some(&b'H') {
        return None;
    }
    let mut slots = [const { MaybeUninit::uninit() }; limits::FIELDS_MAX];
    let mut response = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut response, buf, &mut slots);
    let Ok(Status::Complete(length)) = parsed else {
        return None;
    };
    let (status, reason) = (response.code?, response.reason?);
    let reason_start = b"HTTP/1.1 200 ".len();
    let fields_start = reason_start + reason.len() + 2;
    // An empty reason may mean that there was none, or one that httparse did not like.
    if (reason.is_empty() && buf.get(reason_start - 1..fields_start) != Some(b" \r\n"))
        || reason.len() > limits.target as usize
        || !(100..=599).contains(&status)
        || !within(0, fields_start, length, limits)
    {
        return None;
    }
    head.fields.clear();
    for field in &*response.headers {
        let (name, value) = spans(buf, field);
        if !ends_line(buf, name.start as usize) || !head.fields.push(name, value, Name::of(name.of(buf))) {
            return None;
        }
    }
    if head.fields.len() > limits.fields as usize || !ends_head(buf, length) {
        return None;
    }
    head.status = status;
    head.version = version(response.version);
    head.reason = Span::new(reason_start, fields_start - 2);
    head.length = length;
    Some(())
}

/// Whether a head that lies at `begin..end`, its fields from `fields_start`, is within the limits that count bytes.
fn within(begin: usize, fields_start: usize, end: usize, limits: &HeadLimits) -> bool {
    end - begin <= limits.head as usize
        && end.checked_sub(fields_start + 2).is_some_and(|bytes| bytes <= limits.field_bytes as usize)
}

/// Whether the line before `at` ends in CRLF; httparse takes a bare LF too (row S04).
fn ends_line(buf: &[u8], at: usize) -> bool {
    at >= 2 && buf[at - 2] == b'\r'
}

/// Whether the head ends in two CRLFs.
fn ends_head(buf: &[u8], end: usize) -> bool {
    buf[..end].ends_with(b"\r\n\r\n")
}

/// Where in `buf` the field lies; httparse gives pieces of `buf`.
fn spans(buf: &[u8], field: &Header<'_>) -> (Span, Span) {
    let offset = |piece: &[u8]| piece.as_ptr().addr() - buf.as_ptr().addr();
    let (name, value) = (offset(field.name.as_bytes()), offset(field.value));
    (Span::new(name, name + field.name.len()), Span::new(value, value + field.value.len()))
}

fn version(minor: Option<u8>) -> Version {
    if minor == Some(0) { Version::Http10 } else { Version::Http11 }
}
