//! Streams of one connection of HTTP/2 share it fairly: none of a thousand is left behind or runs ahead.

#[path = "support/http2.rs"]
mod http2;
mod support;

use std::collections::BTreeMap;

use http2::{DATA, Frame, HEADERS, Raw, SETTINGS, WINDOW_UPDATE, get};
use support::{Backend, Gateway, Reply, on_both_drivers};

const STREAMS: u32 = 1_000;
/// Bytes of each answer: more than any of them may have when the windows are used up.
const ANSWER_BYTES: usize = 256 * 1024;
/// Bytes that each stream has when all have had the same: eight frames of the usual size.
const SHARE_BYTES: usize = 128 * 1024;

fn document(backend: &str) -> String {
    format!(
        r#"gateway:
  listen: [{{address: "127.0.0.1:0", h2c: true}}]
  limits: {{http2: {{streams: {STREAMS}}}}}
upstreams:
  back: {{servers: ["{backend}"]}}
apis:
  http:
    kind: http
    routes:
      "GET /x": {{integration: {{type: http_proxy, uri: "http://back/x"}}}}
    stages: {{$default: {{}}}}
"#
    )
}

/// Settings with this window for each stream.
fn window(bytes: usize) -> Frame {
    const INITIAL_WINDOW_SIZE: u16 = 4;
    let mut settings = INITIAL_WINDOW_SIZE.to_be_bytes().to_vec();
    settings.extend(u32::try_from(bytes).expect("small").to_be_bytes());
    Frame::new(SETTINGS, 0, 0, settings)
}

/// Bytes that each stream has received when the connection's window is used up. No stream's own window ends before.
fn shares(gateway: &Gateway) -> BTreeMap<u32, usize> {
    const CONNECTION_WINDOW: usize = 65_535;
    let mut raw = Raw::silent(gateway.address());
    raw.send_bytes(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    // No answer goes on behind its head before all have one: who asks last is not behind for that.
    raw.send(&window(0));
    for number in 0..STREAMS {
        raw.ask(2 * number + 1, get("/x", &[]));
    }
    for _ in 0..STREAMS {
        raw.until(&[HEADERS]);
    }
    let mut left = SHARE_BYTES * STREAMS as usize;
    let more = u32::try_from(left - CONNECTION_WINDOW).expect("less than 2 GiB");
    raw.send(&Frame::new(WINDOW_UPDATE, 0, 0, more.to_be_bytes()));
    raw.send(&window(ANSWER_BYTES));
    let mut received = BTreeMap::new();
    while left > 0 {
        let frame = raw.until(&[DATA]);
        left -= frame.payload.len();
        *received.entry(frame.stream).or_default() += frame.payload.len();
    }
    received
}

#[test]
fn a_thousand_streams_have_the_same_share_within_a_fifth() {
    let backend = Backend::scripted(|_| Reply::ok(vec![b'x'; ANSWER_BYTES]));
    on_both_drivers(|driver| {
        let gateway = Gateway::start(&document(backend.address()), driver);
        let received = shares(&gateway);
        assert_eq!(received.len(), STREAMS as usize, "{driver:?}");
        let within = SHARE_BYTES * 4 / 5..=SHARE_BYTES * 6 / 5;
        let beside: Vec<_> = received.iter().filter(|(_, bytes)| !within.contains(bytes)).collect();
        assert!(beside.is_empty(), "{driver:?}: {} streams are beside {within:?}: {beside:?}", beside.len());
    });
}
