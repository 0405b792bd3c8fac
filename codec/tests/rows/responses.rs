//! Row F29 and what else an upstream can get wrong in a head.

use codec::head::{Fate, Framing, Name, ResponseHead, Version};
use codec::http1::misbehave::Misbehaviour;

use crate::{response, response_to};

fn with(fields: &str) -> Result<ResponseHead, Misbehaviour> {
    response(format!("HTTP/1.1 200 OK\r\n{fields}\r\n").as_bytes())
}

fn accepted(head: &str) -> ResponseHead {
    response(head.as_bytes()).unwrap_or_else(|why| panic!("{head:?} was refused: {why}"))
}

fn refused(head: &str, why: Misbehaviour) {
    assert_eq!(response(head.as_bytes()).err(), Some(why), "{head:?}");
}

#[test]
fn a_response_is_taken_apart() {
    let bytes = b"HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\nServer: x\r\n\r\nabc";
    let head = response(bytes).expect("a good head");
    assert_eq!((head.status, head.version, head.length), (404, Version::Http11, bytes.len() - 3));
    assert_eq!(head.reason.of(bytes), b"Not Found");
    assert_eq!(head.framing, Framing::Length(3));
    assert!(head.keep_alive);
    assert_eq!(head.fields.get(Name::Server).map(|field| field.value.of(bytes)), Some(&b"x"[..]));
}

#[test]
fn reasons_are_optional_and_opaque() {
    for (line, reason) in [
        (&b"HTTP/1.1 200"[..], &b""[..]),
        (b"HTTP/1.1 200 ", b""),
        (b"HTTP/1.1 200 all is well", b"all is well"),
        (b"HTTP/1.1 200 \xe4\xff", b"\xe4\xff"),
        (b"HTTP/1.1 200  two", b" two"),
    ] {
        let bytes = [line, b"\r\nContent-Length: 0\r\n\r\n"].concat();
        assert_eq!(response(&bytes).expect("a good head").reason.of(&bytes), reason);
    }
}

#[test]
fn f29_status_lines_that_are_none() {
    for line in [
        "HTTP/2.0 200 OK",
        "HTTP/0.9 200 OK",
        "http/1.1 200 OK",
        "HTTP/1.1  200 OK",
        "HTTP/1.1 20 OK",
        "HTTP/1.1 2000 OK",
        "HTTP/1.1 2x0 OK",
        "HTTP/1.1 -20 OK",
        "HTTP/1.1\t200 OK",
        " HTTP/1.1 200 OK",
        "HTTP/1.1 200\tOK",
        "200 OK",
        "x",
        "HTTP/1.1 200 a\0b",
        "HTTP/1.1 200 a\x01",
        "ICY 200 OK",
        "HTTP/1.1",
    ] {
        refused(&format!("{line}\r\n\r\n"), Misbehaviour::StatusLineMalformed);
    }
    assert_eq!(Misbehaviour::StatusLineMalformed.status(), 502);
}

#[test]
fn f29_no_empty_line_may_precede_an_answer() {
    refused("\r\nHTTP/1.1 200 OK\r\n\r\n", Misbehaviour::StatusLineMalformed);
    refused("\nHTTP/1.1 200 OK\r\n\r\n", Misbehaviour::StatusLineMalformed);
}

#[test]
fn f29_statuses_out_of_range() {
    for status in ["000", "099", "600", "999"] {
        refused(&format!("HTTP/1.1 {status} X\r\n\r\n"), Misbehaviour::StatusOutOfRange);
    }
    for status in ["100", "599"] {
        accepted(&format!("HTTP/1.1 {status} X\r\n\r\n"));
    }
}

#[test]
fn f29_length_beside_chunked() {
    for fields in
        ["Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n"]
    {
        assert_eq!(with(fields).err(), Some(Misbehaviour::LengthWithTransferEncoding));
        // Not for a HEAD either, nor with a status that has no body.
        let head = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
        assert_eq!(response_to(head.as_bytes(), true).err(), Some(Misbehaviour::LengthWithTransferEncoding));
        refused(&format!("HTTP/1.1 304 X\r\n{fields}\r\n"), Misbehaviour::LengthWithTransferEncoding);
    }
}

#[test]
fn f29_lengths() {
    for (fields, why) in [
        ("Content-Length: 2\r\nContent-Length: 2\r\n", Misbehaviour::LengthTwice),
        ("Content-Length: 2\r\nContent-Length: 3\r\n", Misbehaviour::LengthsDiffer),
        ("Content-Length: 2, 2\r\n", Misbehaviour::LengthList),
        ("Content-Length: -1\r\n", Misbehaviour::LengthMalformed),
        ("Content-Length: 18446744073709551616\r\n", Misbehaviour::LengthOverflow),
    ] {
        assert_eq!(with(fields).err(), Some(why), "{fields:?}");
    }
}

#[test]
fn f29_codings() {
    for (value, why) in [
        ("gzip", Misbehaviour::CodingUnknown),
        ("identity", Misbehaviour::CodingUnknown),
        ("gzip, chunked", Misbehaviour::CodingBeforeChunked),
        ("chunked, chunked", Misbehaviour::ChunkedTwice),
        ("chunked, gzip", Misbehaviour::ChunkedNotLast),
        ("", Misbehaviour::CodingEmpty),
        ("chunked;a=b", Misbehaviour::CodingMalformed),
    ] {
        assert_eq!(with(&format!("Transfer-Encoding: {value}\r\n")).err(), Some(why), "{value:?}");
    }
    assert_eq!(with("Transfer-Encoding: Chunked\r\n").map(|head| head.framing), Ok(Framing::Chunked));
}

#[test]
fn f29_a_transfer_coding_on_http_1_0() {
    refused("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Misbehaviour::TransferEncodingOnHttp10);
}

#[test]
fn f29_answers_without_a_body() {
    for status in [100, 101, 102, 103, 199, 204] {
        let head = accepted(&format!("HTTP/1.1 {status} X\r\n\r\n"));
        assert_eq!(head.framing, Framing::None, "{status}");
        assert_eq!(accepted(&format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n")).framing, Framing::None);
        for fields in ["Content-Length: 3", "Transfer-Encoding: chunked"] {
            refused(&format!("HTTP/1.1 {status} X\r\n{fields}\r\n\r\n"), Misbehaviour::BodyOnBodiless);
        }
    }
}

#[test]
fn f29_answers_that_describe_a_body_which_does_not_come() {
    for fields in ["", "Content-Length: 3\r\n", "Transfer-Encoding: chunked\r\n"] {
        assert_eq!(accepted(&format!("HTTP/1.1 304 X\r\n{fields}\r\n")).framing, Framing::None);
        let head = response_to(format!("HTTP/1.1 200 OK\r\n{fields}\r\n").as_bytes(), true).expect("a good head");
        assert_eq!(head.framing, Framing::None);
        assert!(head.keep_alive);
    }
}

#[test]
fn a_body_without_framing_lasts_until_the_connection_closes() {
    let head = with("").expect("a good head");
    assert_eq!(head.framing, Framing::UntilClose);
    assert!(!head.keep_alive);
    let head = with("Connection: keep-alive\r\n").expect("a good head");
    assert!(!head.keep_alive, "there is no end to keep alive behind");
}

#[test]
fn the_version_and_connection_decide_about_keeping() {
    for (version, fields, keep) in [
        ("1.1", "", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "connection: Close, x\r\n", false),
        ("1.3", "", true),
        ("1.0", "", false),
        ("1.0", "Connection: keep-alive\r\n", true),
        ("1.0", "Connection: keep-alive, close\r\n", false),
    ] {
        let head = accepted(&format!("HTTP/{version} 200 OK\r\nContent-Length: 0\r\n{fields}\r\n"));
        assert_eq!(head.keep_alive, keep, "{version} {fields:?}");
    }
}

#[test]
fn f30_bytes_that_could_split_a_response() {
    for (fields, why) in [
        ("X: a\rb\r\n", Misbehaviour::BareCr),
        ("X: a\nSet-Cookie: b\r\n", Misbehaviour::BareLf),
        ("X: a\0b\r\n", Misbehaviour::NulInValue),
        ("X: a\x0b\r\n", Misbehaviour::ControlInValue),
        ("X: a\r\n b\r\n", Misbehaviour::ObsFold),
        ("X : a\r\n", Misbehaviour::SpaceBeforeColon),
        ("X\r\n", Misbehaviour::NoColon),
        (": a\r\n", Misbehaviour::EmptyName),
        (" X: a\r\n", Misbehaviour::LeadingSpace),
        ("X(: a\r\n", Misbehaviour::NameMalformed),
    ] {
        assert_eq!(with(fields).err(), Some(why), "{fields:?}");
    }
    for head in [
        "HTTP/1.1 200 OK\nX: y\r\n\r\n",
        "HTTP/1.1 200\n\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: y\r\n\n",
        "HTTP/1.1 200 \n\r\n",
    ] {
        refused(head, Misbehaviour::BareLf);
    }
    refused("HTTP/1.1 200 O\rK\r\n\r\n", Misbehaviour::BareCr);
}

#[test]
fn c01_c09_fields_of_one_hop() {
    let bytes = b"HTTP/1.1 200 OK\r\nConnection: X-Mine\r\nX-Mine: 1\r\nKeep-Alive: timeout=5\r\nUpgrade: h2c\r\nX_Kept: 1\r\n\r\n";
    let head = response(bytes).expect("a good head");
    let fates: Vec<_> = head.fields.iter().map(|field| field.fate).collect();
    assert_eq!(fates, [Fate::Hop, Fate::Hop, Fate::Hop, Fate::Hop, Fate::Pass]);
    assert_eq!(with("Connection: Set-Cookie\r\n").err(), Some(Misbehaviour::ConnectionNamesEndToEnd));
}

#[test]
fn r14_endless_heads() {
    let many = "X: y\r\n".repeat(129);
    assert_eq!(with(&many).err(), Some(Misbehaviour::TooManyFields));
    assert!(with(&"X: y\r\n".repeat(128)).is_ok());
    let long = format!("X: {}\r\n", "y".repeat(40_000));
    assert_eq!(with(&long).err(), Some(Misbehaviour::FieldsTooLarge));
    refused(&format!("HTTP/1.1 200 {}", "y".repeat(2_000)), Misbehaviour::TargetTooLong);
}

#[test]
fn a_head_is_used_again_without_traces() {
    use codec::head::HeadLimits;
    use codec::http1::parse::parse_response;

    let mut used = ResponseHead::new();
    let first = b"HTTP/1.0 304 Not Modified\r\nConnection: keep-alive\r\nX: y\r\n\r\n";
    parse_response(first, &mut used, false, &HeadLimits::RESPONSE).expect("a good head");
    let second = b"HTTP/1.1 200\r\n\r\n";
    let mut fresh = ResponseHead::new();
    parse_response(second, &mut used, false, &HeadLimits::RESPONSE).expect("a good head");
    parse_response(second, &mut fresh, false, &HeadLimits::RESPONSE).expect("a good head");
    assert_eq!(used, fresh);
}
