//! HTTP/2 in front: requests as streams, on the way that every request takes; on both drivers, with prior knowledge and over TLS.

#[path = "support/http2.rs"]
mod http2;
mod support;

use http2::{Client, GOAWAY, HEADERS, RST_STREAM, Raw, block, get, run};
use support::{Backend, Driver, Gateway, Reply, on_both_drivers};

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
