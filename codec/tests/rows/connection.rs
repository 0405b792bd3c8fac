//! Table 6.4: what concerns one connection only, and what tries to.

use codec::head::{Fate, Framing, Name};
use codec::http1::misbehave::Misbehaviour;

use crate::{accepted, passing, refused, request};

fn passes(fields: &str) -> Vec<String> {
    let bytes = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    let head = request(bytes.as_bytes()).unwrap_or_else(|why| panic!("{fields:?} was refused: {why}"));
    passing(bytes.as_bytes(), &head).into_iter().map(str::to_owned).collect()
}

#[test]
fn c01_fields_named_by_connection_go_no_further() {
    assert_eq!(passes("Connection: close, X-Secret\r\nX-Secret: 1\r\nX-Other: 2\r\n"), ["Host", "X-Other"]);
    assert_eq!(passes("x-secret: 1\r\nX-SECRET: 2\r\nConnection: X-Secret\r\n"), ["Host"]);
    assert_eq!(passes("Connection: a\r\nConnection: ,b ,,\t c\r\na: 1\r\nb: 2\r\nc: 3\r\nd: 4\r\n"), ["Host", "d"]);
    assert_eq!(passes("Connection: X\r\nXY: 1\r\n"), ["Host", "XY"]);
}

#[test]
fn c01_a_known_field_may_be_named_too() {
    assert_eq!(passes("Connection: Accept\r\nAccept: */*\r\nVia: x\r\n"), ["Host", "Via"]);
}

#[test]
fn c01_end_to_end_fields_may_not_be_named() {
    for name in [
        "Host",
        "authorization",
        "Content-Length",
        "Cookie",
        "X-Forwarded-For",
        "X-Forwarded-Whatever",
        "X-Amz-Date",
        "X-Amz-Anything",
        "X-Amzn-Trace-Id",
        "x-amzn-anything",
        "Forwarded",
        "X-Real-IP",
        "X-Api-Key",
        "Content-Type",
    ] {
        refused(&format!("Connection: {name}\r\n"), Misbehaviour::ConnectionNamesEndToEnd);
        refused(&format!("Connection: close, {name}\r\n"), Misbehaviour::ConnectionNamesEndToEnd);
    }
}

#[test]
fn c01_connection_lists_tokens() {
    for value in ["a b", "\"close\"", "close;q=1", "a=b", "x\u{e4}"] {
        refused(&format!("Connection: {value}\r\n"), Misbehaviour::ConnectionMalformed);
    }
    accepted("Connection:\r\n");
    accepted("Connection: ,, ,\r\n");
}

#[test]
fn c01_connection_names_a_bounded_number_of_fields() {
    let named = |count: usize| (0..count).map(|at| format!("x{at}")).collect::<Vec<_>>().join(",");
    accepted(&format!("Connection: {}\r\n", named(16)));
    refused(&format!("Connection: {}\r\n", named(17)), Misbehaviour::ConnectionOptionsTooMany);
    // What every client says takes no room.
    accepted(&format!("Connection: {},close,keep-alive,upgrade,TE\r\n", named(16)));
}

#[test]
fn c03_upgrades_are_ignored() {
    let fields = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n";
    assert_eq!(passes(fields), ["Host"]);
    assert!(accepted(fields).keep_alive);
    assert_eq!(passes("Upgrade: websocket\r\nHTTP2-Settings: x\r\n"), ["Host"]);
}

#[test]
fn c09_fields_of_one_hop() {
    for name in [
        "Connection",
        "Keep-Alive",
        "Proxy-Connection",
        "TE",
        "Proxy-Authorization",
        "Proxy-Authenticate",
        "Trailer",
        "Upgrade",
        "HTTP2-Settings",
    ] {
        assert_eq!(passes(&format!("{name}: x\r\n{}: x\r\n", name.to_ascii_lowercase())), ["Host"], "{name}");
    }
    let head = accepted("Transfer-Encoding: chunked\r\n");
    assert_eq!(head.fields.get(Name::TransferEncoding).map(|field| field.fate), Some(Fate::Hop));
    assert_eq!(head.framing, Framing::Chunked);
}

#[test]
fn the_version_and_connection_decide_about_keeping() {
    for (version, fields, keep) in [
        ("1.1", "", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "Connection: CLOSE\r\n", false),
        ("1.1", "Connection: keep-alive\r\n", true),
        ("1.1", "Connection: keep-alive, close\r\n", false),
        ("1.1", "Connection: x\r\nConnection: close\r\n", false),
        ("1.1", "Connection: closed\r\n", true),
        ("1.2", "", true),
        ("1.0", "", false),
        ("1.0", "Connection: Keep-Alive\r\n", true),
        ("1.0", "Connection: keep-alive, close\r\n", false),
        ("1.0", "Keep-Alive: timeout=5\r\n", false),
        ("1.0", "Proxy-Connection: keep-alive\r\n", false),
    ] {
        let head = request(format!("GET / HTTP/{version}\r\nHost: a\r\n{fields}\r\n").as_bytes());
        assert_eq!(head.expect("a good head").keep_alive, keep, "{version} {fields:?}");
    }
}
