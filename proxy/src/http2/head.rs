//! Heads of HTTP/1, as the request's way writes and reads them, to the fields of HTTP/2 and back.

use codec::http1::write;
use codec::trailers::may_stand;
use http::header::{HeaderName, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};

/// Bytes of the head that these begin with, its empty line included.
pub fn length(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

/// An answer's head as fields. `None` if it is none of ours.
pub fn answer(head: &[u8]) -> Option<Response<()>> {
    let mut lines = Lines(head);
    let status = lines.next()?.get(b"HTTP/1.1 ".len()..b"HTTP/1.1 200".len())?;
    let status = StatusCode::from_bytes(status).ok()?;
    let mut answer = Response::new(());
    // A WebSocket is agreed to with 200, and without the fields that are HTTP/1's (RFC 8441 §5).
    let switches = status == StatusCode::SWITCHING_PROTOCOLS;
    *answer.status_mut() = if switches { StatusCode::OK } else { status };
    let fields = lines.filter(|line| !(switches && line.starts_with_ignore_case(b"sec-websocket-accept:")));
    append(fields, answer.headers_mut());
    Some(answer)
}

/// A request's head as fields; `scheme` is that of the connection. `None` if it is none of ours.
pub fn request(head: &[u8], scheme: Scheme) -> Option<Request<()>> {
    let mut lines = Lines(head);
    let mut parts = lines.next()?.split(|byte| *byte == b' ');
    let method = Method::from_bytes(parts.next()?).ok()?;
    let path = PathAndQuery::try_from(parts.next()?).ok()?;
    let mut request = Request::new(());
    *request.method_mut() = method;
    *request.version_mut() = http::Version::HTTP_2;
    let mut host = None;
    let fields = lines.filter(|line| {
        let is_host = line.starts_with_ignore_case(b"host:");
        if is_host {
            host = Some(line[b"host:".len()..].trim_ascii());
        }
        !is_host
    });
    append(fields, request.headers_mut());
    let authority = Authority::try_from(host?).ok()?;
    let uri = Uri::builder().scheme(scheme).authority(authority).path_and_query(path);
    *request.uri_mut() = uri.build().ok()?;
    Some(request)
}

/// A backend's answer as a head of HTTP/1.
pub fn write_answer(answer: &Response<()>, out: &mut Vec<u8>) {
    write::status_line(out, answer.status().as_u16());
    for (name, value) in answer.headers() {
        write::field(out, name.as_str().as_bytes(), value.as_bytes());
    }
    write::end(out);
}

/// Trailer lines of HTTP/1, each with its end, as fields: those that may stand behind a body.
pub fn trailers(lines: &[u8]) -> HeaderMap {
    let mut fields = HeaderMap::new();
    append(Lines(lines), &mut fields);
    retain(&mut fields, |name| may_stand(name.as_bytes()));
    fields
}

/// What a peer has sent behind a body: whether it is within the limits of heads. What may not stand there is left out, and from a
/// client what may not stand in a head either.
pub fn settle_trailers(fields: &mut HeaderMap, of_client: bool) -> bool {
    let (most, bytes_max) = if of_client {
        (codec::limits::REQUEST_FIELDS, codec::limits::REQUEST_FIELD_BYTES)
    } else {
        (codec::limits::RESPONSE_FIELDS, codec::limits::RESPONSE_FIELD_BYTES)
    };
    // As lines of HTTP/1 would be counted.
    let bytes: usize = fields.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    let fits = fields.len() <= usize::from(most) && bytes <= bytes_max as usize;
    retain(fields, |name| may_stand(name.as_bytes()) && !(of_client && name.contains('_')));
    fits
}

fn retain(fields: &mut HeaderMap, is_fine: impl Fn(&str) -> bool) {
    while let Some(name) = fields.keys().find(|name| !is_fine(name.as_str())).cloned() {
        fields.remove(name);
    }
}

/// Custom names that heads of ours have all the time. Any other is made anew each time, and asks for memory.
static OURS: [HeaderName; 9] = [
    HeaderName::from_static("apigw-requestid"),
    HeaderName::from_static("x-amzn-requestid"),
    HeaderName::from_static("x-amz-apigw-id"),
    HeaderName::from_static("x-amzn-errortype"),
    HeaderName::from_static("x-amzn-trace-id"),
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-port"),
    HeaderName::from_static("x-forwarded-proto"),
];

fn name_of(name: &[u8]) -> Option<HeaderName> {
    let is = |known: &&HeaderName| known.as_str().as_bytes().eq_ignore_ascii_case(name);
    OURS.iter().find(is).cloned().or_else(|| HeaderName::from_bytes(name).ok())
}

/// Field lines that may stand in HTTP/2 (RFC 9113 §8.2.2).
fn append<'a>(lines: impl Iterator<Item = &'a [u8]>, fields: &mut HeaderMap) {
    for line in lines {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let value = line[colon + 1..].trim_ascii();
        if is_of_http1(&line[..colon], value) {
            continue;
        }
        if let (Some(name), Ok(value)) = (name_of(&line[..colon]), HeaderValue::from_bytes(value)) {
            fields.append(name, value);
        }
    }
}

fn is_of_http1(name: &[u8], value: &[u8]) -> bool {
    const NAMES: [&[u8]; 5] = [b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"];
    let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
    NAMES.into_iter().any(is) || (is(b"te") && !value.eq_ignore_ascii_case(b"trailers"))
}

/// The lines of a head, without their ends, up to the empty one.
struct Lines<'a>(&'a [u8]);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let end = self.0.windows(2).position(|two| two == b"\r\n")?;
        let line = &self.0[..end];
        self.0 = &self.0[end + 2..];
        (end > 0).then_some(line)
    }
}

trait IgnoreCase {
    fn starts_with_ignore_case(&self, with: &[u8]) -> bool;
}

impl IgnoreCase for &[u8] {
    fn starts_with_ignore_case(&self, with: &[u8]) -> bool {
        self.get(..with.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(with))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_loses_what_is_of_http1() {
        let head = b"HTTP/1.1 404 Not Found\r\nDate: x\r\nConnection: close\r\nKeep-Alive: timeout=1\r\n\
            Transfer-Encoding: chunked\r\nSet-Cookie: a\r\nset-cookie: b\r\nX-Empty:\r\n\r\nrest";
        let length = length(head).expect("a head");
        assert_eq!(&head[length..], b"rest");
        let answer = answer(&head[..length]).expect("an answer");
        assert_eq!(answer.status(), 404);
        let fields: Vec<_> = answer.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        let expected: [(_, &[u8]); 4] = [("date", b"x"), ("set-cookie", b"a"), ("set-cookie", b"b"), ("x-empty", b"")];
        assert_eq!(fields, expected);
    }

    #[test]
    fn trailers_lose_what_belongs_into_a_head() {
        let mut fields =
            trailers(b"grpc-status: 0\r\nContent-Length: 5\r\nx_y:1\r\nX-Sum:  a b \r\nx-sum: c\r\nHost: h\r\n");
        let names = |fields: &HeaderMap| {
            let mut names: Vec<String> = fields.iter().map(|(name, _)| name.to_string()).collect();
            names.sort();
            names
        };
        assert_eq!(names(&fields), ["grpc-status", "x-sum", "x-sum", "x_y"]);
        assert_eq!(fields["x-sum"], "a b");
        assert!(settle_trailers(&mut fields, false));
        assert_eq!(fields.len(), 4);
        assert!(settle_trailers(&mut fields, true));
        assert_eq!(names(&fields), ["grpc-status", "x-sum", "x-sum"]);
    }

    #[test]
    fn t23_trailers_are_as_bounded_as_heads() {
        let mut many: HeaderMap = (0..101)
            .map(|at| (HeaderName::try_from(format!("a{at}")).expect("a name"), HeaderValue::from_static("")))
            .collect();
        assert!(settle_trailers(&mut many.clone(), false));
        assert!(!settle_trailers(&mut many, true));
        let long = HeaderValue::try_from("x".repeat(10_240)).expect("a value");
        let mut long: HeaderMap = [(HeaderName::from_static("a"), long)].into_iter().collect();
        assert!(settle_trailers(&mut long.clone(), false));
        assert!(!settle_trailers(&mut long, true));
    }

    #[test]
    fn a_switch_is_agreed_to_with_200() {
        let head = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
            Sec-WebSocket-Accept: x\r\nSec-WebSocket-Protocol: chat\r\n\r\n";
        let answer = answer(head).expect("an answer");
        assert_eq!(answer.status(), 200);
        let names: Vec<_> = answer.headers().keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["sec-websocket-protocol"]);
    }

    #[test]
    fn a_request_has_its_host_as_authority() {
        let head = b"POST /a?b=c HTTP/1.1\r\nHost: pets:9000\r\nTE: trailers\r\nContent-Length: 3\r\n\r\n";
        let request = request(head, Scheme::HTTP).expect("a request");
        assert_eq!(request.uri(), "http://pets:9000/a?b=c");
        assert_eq!(request.method(), Method::POST);
        let names: Vec<_> = request.headers().keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["te", "content-length"]);
    }

    #[test]
    fn a_backends_answer_is_a_head_of_http1() {
        let mut answer = Response::new(());
        *answer.status_mut() = StatusCode::NOT_FOUND;
        answer.headers_mut().append("content-length", HeaderValue::from_static("3"));
        let mut out = Vec::new();
        write_answer(&answer, &mut out);
        assert_eq!(out, b"HTTP/1.1 404 Not Found\r\ncontent-length: 3\r\n\r\n");
    }
}
