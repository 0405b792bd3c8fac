//! HTTP/2 in front: requests as streams, on the way that every request takes; on both drivers, with prior knowledge and over TLS.
#![allow(clippy::float_cmp, reason = "counters are whole numbers")]

#[path = "support/http2.rs"]
mod http2;
mod support;
#[path = "support/tls.rs"]
mod tls;
#[path = "support/wild.rs"]
mod wild;

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use http2::{
    ACK, CONTINUATION, Client, DATA, END_HEADERS, END_STREAM, Frame, GOAWAY, HEADERS, PING, PRIORITY, RST_STREAM, Raw,
    SETTINGS, WINDOW_UPDATE, block, get, run,
};
use support::gateway::new_folder;
use support::{Backend, Driver, Gateway, Reply, eventually, on_both_drivers};
use tls::{Identity, Visitor};
use wild::{Unchunked, Wild};

fn document(backend: &str, gateway: &str) -> String {
    format!(
        r#"gateway:
  listen: [{{address: "127.0.0.1:0", h2c: true}}]
{gateway}
upstreams:
  back: {{servers: ["{backend}"]}}
apis:
  http:
    kind: http
    routes:
      "GET /mock": {{integration: {{type: mock, status: 200, body: "hello"}}}}
      "GET /empty": {{integration: {{type: mock, status: 204}}}}
      "GET /ws": {{websocket: true, integration: {{type: http_proxy, uri: "http://back/ws"}}}}
      "ANY /x/{{proxy+}}": {{integration: {{type: http_proxy, uri: "http://back/{{proxy}}"}}}}
    stages: {{$default: {{}}}}
"#
    )
}

fn start(backend: &Backend, gateway: &str, driver: Driver) -> Gateway {
    Gateway::start(&document(backend.address(), gateway), driver)
}

#[test]
fn requests_are_answered_with_prior_knowledge_and_http1_beside_it() {
    on_both_drivers(|driver| {
        let backend = Backend::echo();
        let gateway = start(&backend, "", driver);
        run(async {
            let client = Client::connect(gateway.address()).await;
            let answer = client.get("/mock").await;
            assert_eq!((answer.status, answer.text()), (200, "hello".to_owned()));
            assert!(answer.header("date").is_some() && answer.header("connection").is_none());
            assert_eq!(answer.header("content-length"), Some("5"));
            let answer = client.get("/empty").await;
            assert_eq!((answer.status, answer.body.len()), (204, 0));
            assert_eq!(client.get("/nowhere").await.status, 404);
            let answer = client.get("/x/pets?a=b").await;
            assert_eq!(answer.status, 200, "{answer:?}");
            let answer = client.post("/x/pets", "a body").await;
            assert_eq!(answer.status, 200, "{answer:?}");
        });
        let asked = backend.take();
        assert_eq!((&*asked[0].target, &*asked[1].body), ("/pets?a=b", &b"a body"[..]));
        let answer = gateway.client().exchange("GET /mock HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(answer.text(), "hello");
        assert!(gateway.counter("tollgate_http2_streams_total", &[]) >= 5.0);
    });
}

#[test]
fn a_head_has_no_body_and_says_what_it_would_have_had() {
    on_both_drivers(|driver| {
        let backend = Backend::scripted(|_| Reply::ok("twelve bytes"));
        let gateway = start(&backend, "", driver);
        run(async {
            let client = Client::connect(gateway.address()).await;
            let answer = client.ask(client.request("HEAD", "/x/a"), None).await.expect("an answer");
            assert_eq!((answer.status, answer.header("content-length"), answer.body.len()), (200, Some("12"), 0));
        });
    });
}

/// Sends a request that is wrong in some way and tells what came of it: a status (0: one that is not in the table), or a reset.
fn fate(gateway: &Gateway, block: Vec<u8>) -> Result<u16, u32> {
    let mut raw = Raw::connect(gateway.address());
    raw.ask(1, block);
    let frame = raw.until(&[HEADERS, RST_STREAM, GOAWAY]);
    if frame.kind == HEADERS { Ok(Raw::status(&frame)) } else { Err(frame.code()) }
}

const PROTOCOL_ERROR: u32 = 1;

#[test]
fn t10_t11_fields_that_could_mean_something_else_behind_are_refused() {
    let backend = Backend::echo();
    let gateway = start(&backend, "", Driver::Epoll);
    for (name, value) in [
        ("Accept", "x"),
        ("a:b", "x"),
        ("a", "x\r\nb: c"),
        ("a", "x\0"),
        ("connection", "close"),
        ("keep-alive", "1"),
        ("proxy-connection", "x"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("te", "gzip"),
    ] {
        assert_eq!(fate(&gateway, get("/x/a", &[(name, value)])), Err(PROTOCOL_ERROR), "{name}: {value:?}");
    }
    for value in [" x", "x ", "\tx"] {
        assert_eq!(fate(&gateway, get("/x/a", &[("a", value)])), Ok(400), "{value:?}");
    }
    assert!(gateway.counter("tollgate_refusals_total", &[("reason", "space_around_value")]) >= 3.0);
    assert_eq!(fate(&gateway, get("/x/a", &[("te", "trailers")])), Ok(200));
    assert_eq!(backend.requests(), 1);
}

#[test]
fn t12_t13_pseudo_fields_are_those_of_a_request() {
    let backend = Backend::echo();
    let gateway = start(&backend, "", Driver::Epoll);
    let (method, scheme, authority, path) =
        ((":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/mock"));
    assert_eq!(fate(&gateway, block(&[method, scheme, authority, path])), Ok(200));
    for fields in [
        &[scheme, authority, path][..],
        &[method, authority, path],
        &[method, scheme, authority],
        &[method, scheme, authority, path, path],
        &[method, scheme, authority, path, (":status", "200")],
        &[method, scheme, authority, path, (":what", "x")],
        &[method, scheme, authority, ("accept", "x"), path],
        &[method, scheme, authority, (":path", "")],
        &[method, scheme, authority, (":path", "mock")],
        &[method, scheme, authority, (":path", "/a b")],
        &[method, scheme, authority, (":path", "http://a/mock")],
        &[(":method", "G T"), scheme, authority, path],
        &[method, (":scheme", "http://h/?"), authority, path],
        &[method, scheme, (":authority", "u@a"), path],
    ] {
        let fate = fate(&gateway, block(fields));
        assert!(matches!(fate, Ok(400) | Err(PROTOCOL_ERROR)), "{fields:?}: {fate:?}");
    }
    assert_eq!(fate(&gateway, block(&[method, (":scheme", "ftp"), authority, path])), Ok(400));
    assert_eq!(backend.requests(), 0);
}

#[test]
fn t14_the_authority_and_host_agree() {
    let backend = Backend::echo();
    let gateway = start(&backend, "", Driver::Epoll);
    assert_eq!(fate(&gateway, get("/mock", &[("host", "A.example:80")])), Ok(200));
    assert_eq!(fate(&gateway, get("/mock", &[("host", "b.example")])), Ok(400));
    assert_eq!(gateway.counter("tollgate_refusals_total", &[("reason", "authority_mismatch")]), 1.0);
}

#[test]
fn t26_connect_is_for_websockets_alone() {
    let backend = Backend::echo();
    let gateway = start(&backend, "", Driver::Epoll);
    let connect = |protocol: &[(&'static str, &'static str)], path| {
        let mut fields = vec![(":method", "CONNECT")];
        fields.extend(protocol);
        fields.extend([(":scheme", "http"), (":authority", "a.example"), (":path", path)]);
        block(&fields)
    };
    // Another protocol, a route without WebSocket, a mock; and a CONNECT to somewhere, which the library takes for broken.
    assert_eq!(fate(&gateway, connect(&[(":protocol", "h2c")], "/ws")), Ok(0));
    assert_eq!(gateway.counter("tollgate_refusals_total", &[("reason", "protocol_unknown")]), 1.0);
    assert_eq!(fate(&gateway, connect(&[(":protocol", "websocket")], "/x/a")), Ok(0));
    assert_eq!(fate(&gateway, connect(&[(":protocol", "websocket")], "/mock")), Ok(0));
    let refused = gateway.counter("tollgate_refusals_total", &[("reason", "connect_refused")]);
    assert_eq!(refused, 2.0);
    assert_eq!(fate(&gateway, connect(&[], "/x/a")), Err(PROTOCOL_ERROR));
    assert_eq!(fate(&gateway, block(&[(":method", "CONNECT"), (":authority", "a.example:443")])), Ok(0));
    assert_eq!(backend.requests(), 0);
}

#[test]
fn it_is_chosen_by_alpn_over_tls() {
    on_both_drivers(|driver| {
        let folder = new_folder();
        let identity = Identity::new(&["main.test"]);
        identity.write(&folder, "main");
        let backend = Backend::echo();
        let listen = r#"[{address: "127.0.0.1:0", tls: {certificate: main.crt, key: main.key}}]"#;
        let text = document(backend.address(), "").replace(r#"[{address: "127.0.0.1:0", h2c: true}]"#, listen);
        let gateway = Gateway::start_in(folder, &text, driver, &[]).expect("it starts");
        let visitor = Visitor::new(&[&identity]);
        run(async {
            let connector = tokio_rustls::TlsConnector::from(visitor.offering(&["h2", "http/1.1"]).config());
            let stream = tokio::net::TcpStream::connect(gateway.address()).await.expect("it listens");
            let name = rustls::pki_types::ServerName::try_from("main.test").expect("a name");
            let stream = connector.connect(name, stream).await.expect("a handshake");
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
            let client = Client::over(stream, &h2::client::Builder::new(), ("https", "main.test")).await;
            assert_eq!(client.get("/mock").await.text(), "hello");
            let body = vec![b'x'; 300_000];
            let answer = client.post("/x/big", body.clone()).await;
            assert_eq!(answer.status, 200);
        });
        assert_eq!(backend.only().body.len(), 300_000);
        // Who offers nothing, or HTTP/1.1, gets that.
        let mut plain = visitor.connect(gateway.address(), "main.test");
        assert_eq!(plain.exchange("GET /mock HTTP/1.1\r\nHost: main.test\r\n\r\n").text(), "hello");
    });
}

#[test]
fn bodies_stream_both_ways() {
    const SIZE: usize = 1 << 20;
    on_both_drivers(|driver| {
        // Each byte comes back as soon as it is there, for as long as more may come.
        let backend = Wild::new(|mut stream, _| {
            let _ = wild::head(&mut stream);
            stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").expect("the gateway reads");
            let mut body = Unchunked::new(&mut stream);
            let mut bytes = [0; 4_096];
            let mut all = Vec::new();
            loop {
                match body.read(&mut bytes).expect("the gateway sends") {
                    0 => break,
                    count => all.push(bytes[..count].to_vec()),
                }
            }
            for piece in all {
                let head = format!("{:x}\r\n", piece.len());
                stream.write_all(&[head.as_bytes(), &piece, b"\r\n"].concat()).expect("the gateway reads");
            }
            stream.write_all(b"0\r\n\r\n").expect("the gateway reads");
        });
        let gateway = Gateway::start(&document(backend.address(), ""), driver);
        run(async {
            let client = Client::connect(gateway.address()).await;
            let (answer, mut sending) = client.begin(client.request("POST", "/x/a"), false).await;
            let body: Vec<u8> = (0..SIZE).map(|at| (at % 251) as u8).collect();
            let sent = bytes::Bytes::from(body.clone());
            let sending = http2::send(&mut sending, sent, true);
            let receiving = async { http2::read(answer.await.expect("an answer")).await.expect("a body") };
            let (sent, answer) = tokio::join!(sending, receiving);
            sent.expect("sent");
            assert!(answer.status == 200 && answer.body == body, "{} bytes", answer.body.len());
        });
    });
}

#[test]
fn a_slow_stream_holds_up_its_backend_and_not_its_neighbours() {
    on_both_drivers(|driver| {
        let poured = Arc::new(AtomicU64::new(0));
        let counter = poured.clone();
        let backend = Wild::new(move |mut stream, _| {
            let head = String::from_utf8(wild::head(&mut stream).expect("a request")).expect("text");
            if !head.starts_with("GET /slow") {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
                return;
            }
            let length = 256_u64 << 20;
            let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").as_bytes());
            while stream.write_all(&[0; 16_384]).is_ok() {
                counter.fetch_add(16_384, Ordering::Relaxed);
            }
        });
        let gateway = Gateway::start(&document(backend.address(), ""), driver);
        run(async {
            // The connection has room for more than the stream has.
            let mut builder = h2::client::Builder::new();
            let client = Client::with(gateway.address(), builder.initial_connection_window_size(1 << 20)).await;
            let (answer, _sending) = client.begin(client.request("GET", "/x/slow"), true).await;
            let answer = answer.await.expect("a head");
            // Nobody reads it: the backend comes to a halt, with what the kernel holds.
            let mut before = u64::MAX;
            while before != poured.load(Ordering::Relaxed) {
                before = poured.load(Ordering::Relaxed);
                for _ in 0..10 {
                    http2::pause().await;
                    assert_eq!(client.get("/mock").await.text(), "hello");
                }
            }
            assert!(before < 64 << 20, "{before} bytes were taken from the backend");
            drop(answer);
        });
    });
}

#[test]
fn an_upload_waits_for_its_backend() {
    let (_held, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let backend = Wild::new(move |mut stream, _| {
        let _ = wild::head(&mut stream);
        // Nothing of the body is read until the test is over.
        let _ = wait.lock().expect("one user").recv();
    });
    let gateway = Gateway::start(&document(backend.address(), "  limits: {body: unlimited}"), Driver::Epoll);
    run(async {
        let client = Client::connect(gateway.address()).await;
        let (_answer, mut sending) = client.begin(client.request("POST", "/x/a"), false).await;
        let mut sent = 0;
        loop {
            sending.reserve_capacity(16_384);
            let room = std::future::poll_fn(|context| sending.poll_capacity(context));
            match tokio::time::timeout(Duration::from_millis(500), room).await {
                Ok(room) => {
                    let room = room.expect("open").expect("open").min(16_384);
                    sending.send_data(vec![0; room].into(), false).expect("sent");
                    sent += room;
                }
                Err(_) => break,
            }
            assert!(sent < 64 << 20, "nobody stops the client");
            assert_eq!(client.get("/mock").await.status, 200);
        }
        assert!(sent >= 65_535, "one window at least: {sent}");
    });
}

#[test]
fn a_thousand_streams_get_their_share() {
    let body = "x".repeat(112 * 1024);
    let text = document("127.0.0.1:1", "  limits: {http2: {streams: 1000}}").replace(
        "      \"GET /empty\"",
        &format!(
            "      \"GET /big\": {{integration: {{type: mock, status: 200, body: \"{body}\"}}}}\n      \"GET /empty\""
        ),
    );
    let gateway = Gateway::start(&text, Driver::Epoll);
    let mut raw = Raw::silent(gateway.address());
    raw.send_bytes(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    // A window of 0 until all have asked.
    raw.send(&Frame::new(SETTINGS, 0, 0, [0, 4, 0, 0, 0, 0]));
    raw.send(&Frame::new(WINDOW_UPDATE, 0, 0, (1_u32 << 30).to_be_bytes()));
    for number in 0..1_000 {
        raw.ask(number * 2 + 1, get("/big", &[]));
    }
    let mut heads = 0;
    while heads < 1_000 {
        raw.until(&[HEADERS]);
        heads += 1;
    }
    raw.send(&Frame::new(SETTINGS, 0, 0, [0, 4, 0, 16, 0, 0]));
    let mut received = BTreeMap::new();
    loop {
        let frame = raw.until(&[DATA]);
        *received.entry(frame.stream).or_insert(0_usize) += frame.payload.len();
        if frame.flags & END_STREAM != 0 {
            break;
        }
    }
    let (least, most) = (received.values().min().expect("some"), received.values().max().expect("some"));
    assert!(received.len() == 1_000 && least * 10 >= most * 8, "{} streams, {least} to {most} bytes", received.len());
}

#[test]
fn t27_a_drain_loses_no_stream_and_says_farewell() {
    on_both_drivers(|driver| {
        let (backend, go) = Wild::patient("late");
        let gateway = Gateway::start(&document(backend.address(), ""), driver);
        let mut raw = Raw::connect(gateway.address());
        let (early, late) = (get("/mock", &[]), get("/x/a", &[]));
        raw.ask(1, early);
        raw.until(&[DATA]);
        raw.ask(3, late);
        eventually("the backend has the request", || backend.connections() == 1);
        gateway.signal(rustix::process::Signal::TERM);
        let farewell = raw.until(&[GOAWAY]);
        assert_eq!((farewell.code(), &farewell.payload[..4]), (0, &[0x7f, 0xff, 0xff, 0xff][..]), "the first of two");
        let ping = raw.until(&[PING]);
        raw.send(&Frame::new(PING, ACK, 0, ping.payload));
        let last = raw.until(&[GOAWAY]);
        assert_eq!((last.code(), &last.payload[..4]), (0, &[0, 0, 0, 3][..]), "the second knows the last stream");
        go.send(()).expect("the backend waits");
        assert_eq!(Raw::status(&raw.until(&[HEADERS])), 200);
        assert_eq!(raw.until(&[DATA]).payload, b"late");
        while raw.next().is_some() {}
        gateway.wait_exit();
    });
}

#[test]
fn t26_a_websocket_passes_through_a_stream() {
    on_both_drivers(|driver| {
        let backend = Wild::new(|mut stream, _| {
            let head = String::from_utf8(wild::head(&mut stream).expect("a request")).expect("text");
            let key = head
                .lines()
                .find_map(|line| line.to_ascii_lowercase().starts_with("sec-websocket-key: ").then(|| &line[19..]));
            let accept = codec::websocket::Accept::of(key.expect("a key").as_bytes()).expect("a good one");
            assert!(head.starts_with("GET /ws HTTP/1.1\r\n") && head.contains("Upgrade: websocket\r\n"), "{head}");
            let accept = std::str::from_utf8(accept.as_bytes()).expect("text").to_owned();
            let answer = format!(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
            );
            stream.write_all(answer.as_bytes()).expect("the gateway reads");
            let mut bytes = [0; 100];
            while let Ok(count @ 1..) = stream.read(&mut bytes) {
                stream.write_all(&bytes[..count]).expect("the gateway reads");
            }
        });
        let gateway = Gateway::start(&document(backend.address(), ""), driver);
        run(async {
            let client = Client::connect(gateway.address()).await;
            assert_eq!(client.get("/mock").await.status, 200);
            let mut request = client.request("CONNECT", "/ws");
            request.extensions_mut().insert(h2::ext::Protocol::from_static("websocket"));
            request.headers_mut().insert("sec-websocket-version", "13".parse().expect("a value"));
            let (answer, mut sending) = client.begin(request, false).await;
            let answer = answer.await.expect("an answer");
            assert_eq!((answer.status().as_u16(), answer.headers().get("sec-websocket-accept")), (200, None));
            let mut receiving = answer.into_body();
            for word in ["one", "two", "three"] {
                sending.send_data(word.into(), false).expect("sent");
                let heard = receiving.data().await.expect("more").expect("no error");
                receiving.flow_control().release_capacity(heard.len()).expect("given back");
                assert_eq!(heard, word.as_bytes());
            }
            sending.send_data(bytes::Bytes::new(), true).expect("sent");
            // An end of its own, or with no bytes.
            while let Some(bytes) = receiving.data().await {
                assert!(bytes.expect("no error").is_empty(), "the end of one side is the end of the other");
            }
        });
        eventually("it is counted", || gateway.counter("tollgate_tunnels_ended_total", &[("by", "client")]) == 1.0);
    });
}

#[test]
fn a_websocket_that_the_backend_does_not_agree_to_is_none() {
    let backend = Backend::scripted(|_| Reply::ok("no"));
    let gateway = start(&backend, "", Driver::Epoll);
    run(async {
        let client = Client::connect(gateway.address()).await;
        assert_eq!(client.get("/mock").await.status, 200);
        let mut request = client.request("CONNECT", "/ws");
        request.extensions_mut().insert(h2::ext::Protocol::from_static("websocket"));
        request.headers_mut().insert("sec-websocket-version", "13".parse().expect("a value"));
        let answer = client.ask(request, Some(bytes::Bytes::new())).await.expect("an answer");
        assert_eq!(answer.status, 502, "200 would say that it is one");
    });
}

#[test]
fn who_waits_for_leave_to_send_gets_it() {
    on_both_drivers(|driver| {
        let backend = Backend::echo();
        let gateway = start(&backend, "", driver);
        let mut raw = Raw::connect(gateway.address());
        let post = [
            (":method", "POST"),
            (":scheme", "http"),
            (":authority", "a"),
            (":path", "/x/a"),
            ("expect", "100-continue"),
        ];
        raw.send(&Frame::new(HEADERS, END_HEADERS, 1, block(&post)));
        let interim = raw.until(&[HEADERS]);
        assert_eq!((interim.flags & END_STREAM, Raw::status(&interim)), (0, 0), "100 is not in the table");
        raw.send(&Frame::new(DATA, END_STREAM, 1, *b"body"));
        assert_eq!(Raw::status(&raw.until(&[HEADERS])), 200);
        assert_eq!(backend.only().body, b"body");
    });
}

#[test]
fn t15_lengths_are_kept() {
    let backend = Backend::echo();
    let gateway = start(&backend, "", Driver::Epoll);
    let post = |length| {
        let mut fields = vec![(":method", "POST"), (":scheme", "http"), (":authority", "a"), (":path", "/x/a")];
        fields.push(("content-length", length));
        block(&fields)
    };
    for (length, body) in [("2", &b"long"[..]), ("9", b"short"), ("+4", b"four"), ("99999999999999999999", b"four")] {
        let mut raw = Raw::connect(gateway.address());
        raw.send(&Frame::new(HEADERS, END_HEADERS, 1, post(length)));
        raw.send(&Frame::new(DATA, END_STREAM, 1, body));
        let frame = raw.until(&[HEADERS, RST_STREAM]);
        assert!(frame.kind == RST_STREAM || Raw::status(&frame) == 400, "{length}: {frame:?}");
    }
    assert_eq!(backend.requests(), 0, "no backend takes half of a body for all of it");
}

const ENHANCE_YOUR_CALM: u32 = 11;

#[test]
fn t01_t05_floods_end_their_connection() {
    on_both_drivers(|driver| {
        let backend = Backend::echo();
        let gateway = start(&backend, "", driver);
        let ended = |cause| gateway.counter("tollgate_http2_connections_ended_total", &[("cause", cause)]);
        for (cause, frame) in [
            ("pings", Frame::new(PING, 0, 0, [0; 8])),
            ("settings", Frame::new(SETTINGS, 0, 0, [])),
            ("priority", Frame::new(PRIORITY, 0, 1, [0, 0, 0, 3, 7])),
            ("unknown_frames", Frame::new(0xfa, 0, 0, [])),
            ("window_updates", Frame::new(WINDOW_UPDATE, 0, 0, [0, 0, 0, 1])),
        ] {
            let mut raw = Raw::connect(gateway.address());
            raw.send_bytes(&frame.bytes().repeat(1_500));
            assert_eq!(raw.goodbye(), ENHANCE_YOUR_CALM, "{cause}");
            eventually("it is counted", || ended(cause) == 1.0);
        }
        let mut raw = Raw::connect(gateway.address());
        for number in 0..300 {
            raw.ask(number * 2 + 1, get("/x/a", &[]));
            raw.send(&Frame::new(RST_STREAM, 0, number * 2 + 1, [0, 0, 0, 8]));
        }
        assert_eq!(raw.goodbye(), ENHANCE_YOUR_CALM);
        assert_eq!(gateway.client().exchange("GET /mock HTTP/1.1\r\nHost: a\r\n\r\n").text(), "hello");
    });
}

#[test]
fn t03_a_head_without_end_ends_its_connection() {
    let backend = Backend::echo();
    let gateway = start(&backend, "", Driver::Epoll);
    let mut raw = Raw::connect(gateway.address());
    raw.send(&Frame::new(HEADERS, END_STREAM, 1, get("/x/a", &[])));
    for _ in 0..50 {
        raw.send(&Frame::new(CONTINUATION, 0, 1, block(&[("a", "b")])));
    }
    assert_eq!(raw.goodbye(), ENHANCE_YOUR_CALM);
}

#[test]
fn t08_heads_are_bounded() {
    let backend = Backend::echo();
    let gateway = start(&backend, "", Driver::Epoll);
    let crumbs = vec![("cookie", "a"); 101];
    assert_eq!(fate(&gateway, get("/x/a", &crumbs)), Ok(0));
    assert_eq!(gateway.counter("tollgate_refusals_total", &[("reason", "too_many_fields")]), 1.0);
    let long = "x".repeat(11_000);
    assert_eq!(fate(&gateway, get("/x/a", &[("a", &long)])), Ok(0));
    assert_eq!(backend.requests(), 0);
}

#[test]
fn t22_who_does_not_begin_or_agree_is_let_go() {
    on_both_drivers(|driver| {
        let backend = Backend::echo();
        let gateway = start(&backend, "  limits: {header_time: 1s}", driver);
        let ended = |cause| gateway.counter("tollgate_http2_connections_ended_total", &[("cause", cause)]);
        let mut raw = Raw::silent(gateway.address());
        raw.send_bytes(b"PRI * HTTP/2.0\r\n\r\n");
        while raw.next().is_some() {}
        eventually("the preface is waited for", || ended("no_preface") == 1.0);
        let mut raw = Raw::connect(gateway.address());
        let goodbye = loop {
            match raw.next().expect("a farewell") {
                frame if frame.kind == GOAWAY => break frame.code(),
                _ => {}
            }
        };
        assert_eq!(goodbye, 4, "SETTINGS_TIMEOUT");
        let mut raw = Raw::silent(gateway.address());
        raw.send_bytes(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        raw.send(&Frame::new(PING, 0, 0, [0; 8]));
        assert_eq!(raw.goodbye(), PROTOCOL_ERROR, "SETTINGS come first");
    });
}

#[test]
fn t25_a_window_that_drips_is_no_progress() {
    on_both_drivers(|driver| {
        let backend = Backend::scripted(|_| Reply::ok(vec![b'x'; 200_000]));
        let gateway = start(&backend, "  limits: {body_idle_time: 1s, send_rate: 1MB}", driver);
        let mut raw = Raw::silent(gateway.address());
        raw.send_bytes(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        raw.send(&Frame::new(SETTINGS, 0, 0, [0, 4, 0, 0, 0, 0]));
        raw.ask(1, get("/x/a", &[]));
        raw.until(&[HEADERS]);
        let reset = loop {
            raw.send(&Frame::new(WINDOW_UPDATE, 0, 1, [0, 0, 0, 1]));
            let frame = raw.until(&[DATA, RST_STREAM, GOAWAY]);
            if frame.kind != DATA {
                break frame;
            }
        };
        assert_eq!(reset.kind, RST_STREAM);
        eventually("it is counted", || {
            gateway.counter("tollgate_faults_total", &[("fault", "client_reads_slowly")]) >= 1.0
        });
        raw.ask(3, get("/mock", &[]));
        raw.until(&[HEADERS]);
    });
}

#[test]
fn a_backend_that_breaks_off_resets_its_stream_alone() {
    on_both_drivers(|driver| {
        let backend = Wild::new(|mut stream, _| {
            let _ = wild::head(&mut stream);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
        });
        let gateway = Gateway::start(&document(backend.address(), ""), driver);
        run(async {
            let client = Client::connect(gateway.address()).await;
            let error = client.ask(client.request("GET", "/x/a"), None).await.expect_err("a body that was cut");
            assert_eq!(error.reason(), Some(h2::Reason::INTERNAL_ERROR));
            assert_eq!(client.get("/mock").await.status, 200);
        });
    });
}

#[test]
fn a_request_that_is_taken_back_is_not_worked_on() {
    on_both_drivers(|driver| {
        let (backend, _go) = Wild::patient("late");
        let gateway = Gateway::start(&document(backend.address(), ""), driver);
        let mut raw = Raw::connect(gateway.address());
        raw.ask(1, get("/x/a", &[]));
        eventually("the backend has the request", || backend.connections() == 1);
        raw.send(&Frame::new(RST_STREAM, 0, 1, [0, 0, 0, 8]));
        let open = || gateway.counter("tollgate_upstream_connections_open", &[]);
        eventually("the backend is let alone", || open() == 0.0);
        eventually("it is counted", || gateway.counter("tollgate_http2_streams_taken_back_total", &[]) == 1.0);
    });
}
