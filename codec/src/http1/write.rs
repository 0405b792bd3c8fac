//! Writing heads and chunks, without the formatting machinery. Everything that passes is written anew, never copied raw.
//!
//! All functions append to `out` and fail never; what they are given must be clean (`value_is_clean`), as parsed heads are.

/// What follows a chunk's data.
pub const CHUNK_END: &[u8] = b"\r\n";

/// The end of a chunked body, without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// The most bytes that `chunk_head` writes: sixteen hex digits and CRLF.
pub const CHUNK_HEAD_MAX: usize = 18;

/// `METHOD SP target SP HTTP/1.1 CRLF`.
pub fn request_line(out: &mut Vec<u8>, method: &[u8], target: &[u8]) {
    debug_assert!(value_is_clean(method) && value_is_clean(target));
    out.reserve(method.len() + target.len() + 12);
    out.extend_from_slice(method);
    out.push(b' ');
    out.extend_from_slice(target);
    out.extend_from_slice(b" HTTP/1.1\r\n");
}

/// `HTTP/1.1 SP status SP reason CRLF`; the reason is ours, and empty for a status that has none.
pub fn status_line(out: &mut Vec<u8>, status: u16) {
    if status == 200 {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        return;
    }
    out.extend_from_slice(b"HTTP/1.1 ");
    number(out, u64::from(status));
    out.push(b' ');
    out.extend_from_slice(reason(status).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// `name: value CRLF`.
pub fn field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    debug_assert!(value_is_clean(name) && value_is_clean(value));
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// `Content-Length: length CRLF`.
pub fn content_length(out: &mut Vec<u8>, length: u64) {
    out.extend_from_slice(b"Content-Length: ");
    number(out, length);
    out.extend_from_slice(b"\r\n");
}

/// `hex CRLF`, the start of a chunk of `length` bytes. Zero would end the body: use `LAST_CHUNK` for that.
pub fn chunk_head(out: &mut Vec<u8>, length: usize) {
    debug_assert!(length > 0, "a chunk of no bytes is the last one");
    let digits = (usize::BITS - length.leading_zeros()).div_ceil(4).max(1);
    for place in (0..digits).rev() {
        out.push(b"0123456789abcdef"[(length >> (place * 4)) & 0xf]);
    }
    out.extend_from_slice(b"\r\n");
}

/// The empty line that ends a head.
pub fn end(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\r\n");
}

/// A number in decimal digits.
pub fn number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Whether these bytes may stand in a field's value or a start line: no CR, LF, NUL or other control, TAB excepted
/// (rows F30, P11). Bytes of 0x80 and above are opaque and pass.
pub fn value_is_clean(value: &[u8]) -> bool {
    value.iter().all(|byte| super::bytes::VALUE[*byte as usize])
}

/// The reason phrase of a registered status (RFC 9110 §15 and the IANA registry), or nothing.
pub const fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        102 => "Processing",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        207 => "Multi-Status",
        208 => "Already Reported",
        226 => "IM Used",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        305 => "Use Proxy",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400..=499 => client_reason(status),
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        506 => "Variant Also Negotiates",
        507 => "Insufficient Storage",
        508 => "Loop Detected",
        511 => "Network Authentication Required",
        _ => "",
    }
}

const fn client_reason(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        418 => "I'm a teapot",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        423 => "Locked",
        424 => "Failed Dependency",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("the tests use ASCII")
    }

    #[test]
    fn a_request_head_is_written_in_one_spelling() {
        let head = written(|out| {
            request_line(out, b"GET", b"/pets?x=1");
            field(out, b"Host", b"a.example");
            content_length(out, 12);
            end(out);
        });
        assert_eq!(head, "GET /pets?x=1 HTTP/1.1\r\nHost: a.example\r\nContent-Length: 12\r\n\r\n");
    }

    #[test]
    fn status_lines_carry_our_reason() {
        assert_eq!(written(|out| status_line(out, 200)), "HTTP/1.1 200 OK\r\n");
        assert_eq!(written(|out| status_line(out, 404)), "HTTP/1.1 404 Not Found\r\n");
        assert_eq!(written(|out| status_line(out, 503)), "HTTP/1.1 503 Service Unavailable\r\n");
        assert_eq!(written(|out| status_line(out, 599)), "HTTP/1.1 599 \r\n");
    }

    #[test]
    fn every_status_that_we_refuse_with_has_a_reason() {
        for one in super::super::misbehave::Misbehaviour::ALL {
            assert!(!reason(one.status()).is_empty(), "{one}");
        }
        assert_eq!((reason(99), reason(299), reason(499), reason(600)), ("", "", "", ""));
    }

    #[test]
    fn chunk_heads_are_hex_without_leading_zeros() {
        for length in [1, 9, 10, 15, 16, 255, 256, 4_095, 65_536, usize::MAX] {
            assert_eq!(written(|out| chunk_head(out, length)), format!("{length:x}\r\n"));
        }
        assert!(written(|out| chunk_head(out, usize::MAX)).len() <= CHUNK_HEAD_MAX);
    }

    #[test]
    fn numbers_are_decimal() {
        for value in [0, 7, 10, 65_535, u64::MAX] {
            assert_eq!(written(|out| number(out, value)), value.to_string());
        }
    }

    #[test]
    fn f30_p11_a_control_is_not_clean() {
        for byte in 0..=255_u8 {
            let control = (byte < 0x20 && byte != b'\t') || byte == 0x7f;
            assert_eq!(value_is_clean(&[b'a', byte, b'b']), !control, "{byte:#x}");
        }
        assert!(value_is_clean(b""));
        assert!(!value_is_clean(b"a\r\nSet-Cookie: x"));
    }

    #[test]
    fn a_buffer_with_room_is_not_grown() {
        let mut out = Vec::with_capacity(256);
        let before = out.as_ptr();
        request_line(&mut out, b"POST", b"/pets");
        field(&mut out, b"Host", b"a.example");
        content_length(&mut out, u64::MAX);
        end(&mut out);
        status_line(&mut out, 431);
        chunk_head(&mut out, 1_000);
        assert_eq!((out.as_ptr(), out.capacity()), (before, 256));
    }
}
