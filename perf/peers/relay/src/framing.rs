//! Heads parsed and written anew, and where bodies end.

use std::io::{self, ErrorKind};
use std::mem::MaybeUninit;

use httparse::{Header, Status};

/// Fields of a head at most.
const FIELDS: usize = 64;

/// What of a head matters to the relay.
#[derive(Debug, PartialEq)]
pub(crate) struct Head {
    /// Bytes in front of the body.
    pub length: usize,
    pub body: Body,
    /// Whether the connection that it came on stays.
    pub keep: bool,
    /// A question whose answer has no body.
    pub bare: bool,
}

/// What is left of a body.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Body {
    Length(u64),
    Chunked(Chunked),
    UntilEnd,
}

/// Where in a chunked body we stand; it is passed on as it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Chunked {
    /// In the digits of a size, of which there may be none yet.
    Size(Option<u64>),
    /// In the rest of the size's line.
    Line(u64),
    Data(u64),
    /// Before the line's end that follows the data.
    After,
    /// In the trailers; true at the start of a line.
    Trailers(bool),
    Done,
}

impl Body {
    pub fn done(&self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked(Chunked::Done))
    }

    /// How many of these bytes belong to the body, which is shorter by them then.
    pub fn take(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Length(left) => {
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= taken as u64;
                Ok(taken)
            }
            Self::Chunked(state) => state.take(bytes),
            Self::UntilEnd => Ok(bytes.len()),
        }
    }
}

impl Chunked {
    fn take(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            let mut step = 1;
            *self = match (*self, byte) {
                (Self::Done, _) => break,
                (Self::Data(left), _) => {
                    step = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len() - at);
                    let left = left - step as u64;
                    if left == 0 { Self::After } else { Self::Data(left) }
                }
                (Self::Size(Some(size)) | Self::Line(size), b'\n') => {
                    if size == 0 {
                        Self::Trailers(true)
                    } else {
                        Self::Data(size)
                    }
                }
                (Self::Line(size) | Self::Size(Some(size)), b'\r' | b';' | b' ' | b'\t') | (Self::Line(size), _) => {
                    Self::Line(size)
                }
                (Self::Size(size), _) => {
                    let digit = char::from(byte).to_digit(16).ok_or(ErrorKind::InvalidData)?;
                    let size = size.unwrap_or(0).checked_mul(16).ok_or(ErrorKind::InvalidData)?;
                    Self::Size(Some(size + u64::from(digit)))
                }
                (Self::After, b'\n') => Self::Size(None),
                (Self::Trailers(true), b'\n') => Self::Done,
                (Self::Trailers(start), b'\r') => Self::Trailers(start),
                (Self::Trailers(_), _) => Self::Trailers(byte == b'\n'),
                (Self::After, b'\r') => Self::After,
                (Self::After, _) => return Err(ErrorKind::InvalidData.into()),
            };
            at += step;
        }
        Ok(at)
    }
}

/// The head of a request, written anew with one more field; `None` if it has not come whole.
pub(crate) fn request(bytes: &[u8], more: &str, out: &mut Vec<u8>) -> io::Result<Option<Head>> {
    let mut fields = [const { MaybeUninit::uninit() }; FIELDS];
    let mut parsed = httparse::Request::new(&mut []);
    let Status::Complete(length) = parsed.parse_with_uninit_headers(bytes, &mut fields).map_err(invalid)? else {
        return Ok(None);
    };
    let (Some(method), Some(path), Some(1)) = (parsed.method, parsed.path, parsed.version) else {
        return Err(ErrorKind::InvalidData.into());
    };
    out.clear();
    for part in [method, " ", path, " HTTP/1.1\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    let (body, close) = pass_fields(parsed.headers, out)?;
    out.extend_from_slice(more.as_bytes());
    out.extend_from_slice(b"\r\n");
    Ok(Some(Head { length, body: body.unwrap_or(Body::Length(0)), keep: !close, bare: method == "HEAD" }))
}

/// The head of the answer to a request, written anew; `None` if it has not come whole.
pub(crate) fn response(bytes: &[u8], asked: &Head, out: &mut Vec<u8>) -> io::Result<Option<Head>> {
    let mut fields = [const { MaybeUninit::uninit() }; FIELDS];
    let mut parsed = httparse::Response::new(&mut []);
    let options = httparse::ParserConfig::default();
    let status = options.parse_response_with_uninit_headers(&mut parsed, bytes, &mut fields).map_err(invalid)?;
    let Status::Complete(length) = status else {
        return Ok(None);
    };
    let code = match parsed.code {
        Some(code @ 200..) => code,
        Some(100 | 102..200) => {
            let next = response(&bytes[length..], asked, out)?;
            return Ok(next.map(|head| Head { length: head.length + length, ..head }));
        }
        _ => return Err(ErrorKind::InvalidData.into()),
    };
    out.clear();
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend([code / 100, code / 10 % 10, code % 10].map(|digit| b'0' + digit as u8));
    out.push(b' ');
    out.extend_from_slice(parsed.reason.unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
    let (body, close) = pass_fields(parsed.headers, out)?;
    let body = match body {
        _ if asked.bare || matches!(code, 204 | 304) => Body::Length(0),
        Some(body) => body,
        None => Body::UntilEnd,
    };
    if !asked.keep || body == Body::UntilEnd {
        out.extend_from_slice(b"connection: close\r\n");
    }
    out.extend_from_slice(b"\r\n");
    Ok(Some(Head { length, body, keep: !close && parsed.version == Some(1), bare: false }))
}

/// Passes on what is not meant for one hop; how the body is framed, and whether the connection ends.
fn pass_fields(fields: &[Header], out: &mut Vec<u8>) -> io::Result<(Option<Body>, bool)> {
    let (mut body, mut close) = (None, false);
    for field in fields {
        let is = |name: &str| field.name.eq_ignore_ascii_case(name);
        // The length of a name rules most of them out.
        match field.name.len() {
            10 if is("connection") => {
                close |= field
                    .value
                    .split(|byte| *byte == b',')
                    .any(|word| word.trim_ascii().eq_ignore_ascii_case(b"close"));
                continue;
            }
            2 | 7 | 10 | 16 if is("te") || is("upgrade") || is("keep-alive") || is("proxy-connection") => continue,
            14 if is("content-length") => frame(&mut body, Body::Length(number(field.value)?))?,
            17 if is("transfer-encoding") => {
                if !field.value.eq_ignore_ascii_case(b"chunked") {
                    return Err(ErrorKind::InvalidData.into());
                }
                frame(&mut body, Body::Chunked(Chunked::Size(None)))?;
            }
            _ => (),
        }
        out.extend_from_slice(field.name.as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(field.value);
        out.extend_from_slice(b"\r\n");
    }
    Ok((body, close))
}

/// A body has one length: two of them are refused.
fn frame(body: &mut Option<Body>, found: Body) -> io::Result<()> {
    if body.replace(found).is_some() {
        return Err(ErrorKind::InvalidData.into());
    }
    Ok(())
}

fn number(digits: &[u8]) -> io::Result<u64> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return Err(ErrorKind::InvalidData.into());
    }
    str::from_utf8(digits).ok().and_then(|text| text.parse().ok()).ok_or(ErrorKind::InvalidData.into())
}

fn invalid(error: httparse::Error) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(keep: bool) -> Head {
        Head { length: 0, body: Body::Length(0), keep, bare: false }
    }

    #[test]
    fn a_request_goes_on_without_the_fields_of_the_hop() {
        let text = b"POST /a?b HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Close\r\nTE: trailers\r\nContent-Length: 3\r\n\r\nabc";
        let mut out = Vec::new();
        let head = request(text, "via: me\r\n", &mut out).unwrap().unwrap();
        assert_eq!(head, Head { length: text.len() - 3, body: Body::Length(3), keep: false, bare: false });
        assert_eq!(out, b"POST /a?b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nvia: me\r\n\r\n");
        for length in 0..head.length {
            assert_eq!(request(&text[..length], "", &mut out).unwrap(), None, "{length}");
        }
    }

    #[test]
    fn what_may_be_read_in_two_ways_is_refused() {
        for fields in [
            "Content-Length: 3\r\nContent-Length: 4",
            "Content-Length: 3\r\nTransfer-Encoding: chunked",
            "Content-Length: +3",
            "Content-Length:",
            "Transfer-Encoding: gzip, chunked",
        ] {
            let text = format!("GET / HTTP/1.1\r\n{fields}\r\n\r\n");
            assert!(request(text.as_bytes(), "", &mut Vec::new()).is_err(), "{fields}");
        }
        assert!(request(b"GET / HTTP/1.0\r\n\r\n", "", &mut Vec::new()).is_err());
    }

    #[test]
    fn an_answer_ends_where_its_head_says() {
        let parse = |text: &str, asked: &Head| response(text.as_bytes(), asked, &mut Vec::new()).unwrap().unwrap().body;
        assert_eq!(parse("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", &asked(true)), Body::Length(7));
        assert_eq!(
            parse("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", &Head { bare: true, ..asked(true) }),
            Body::Length(0)
        );
        assert_eq!(parse("HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", &asked(true)), Body::Length(0));
        assert_eq!(parse("HTTP/1.1 200 OK\r\n\r\n", &asked(true)), Body::UntilEnd);
    }

    #[test]
    fn an_interim_answer_is_swallowed() {
        let text = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n";
        let mut out = Vec::new();
        assert_eq!(response(&text[..30], &asked(true), &mut out).unwrap(), None);
        assert_eq!(response(text, &asked(false), &mut out).unwrap().unwrap().length, text.len());
        assert_eq!(out, b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\nconnection: close\r\n\r\n");
    }

    #[test]
    fn a_chunked_body_ends_at_the_same_byte_however_it_is_cut() {
        let text = b"4;name=value\r\nWiki\r\n0a\r\n0123456789\r\n0\r\nEtag: x\r\n\r\nGET / HTTP/1.1";
        let end = text.len() - "GET / HTTP/1.1".len();
        for size in 1..text.len() {
            let (mut body, mut taken) = (Body::Chunked(Chunked::Size(None)), 0);
            for piece in text.chunks(size) {
                taken += body.take(piece).unwrap();
            }
            assert!(body.done(), "{size}");
            assert_eq!(taken, end, "{size}");
        }
    }

    #[test]
    fn a_broken_chunk_is_an_error() {
        for text in ["\r\n", "x\r\n", ";\r\n", "1\r\nab\r\n", "fffffffffffffffff\r\n"] {
            assert!(Body::Chunked(Chunked::Size(None)).take(text.as_bytes()).is_err(), "{text:?}");
        }
    }
}
