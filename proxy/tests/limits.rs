//! Limits that an operator sets, and what happens at them: bodies, connections, requests per connection (413, S12).

mod support;

use support::stage::{No, Theatre};
use support::{Gateway, on_both_drivers};

static THEATRE: Theatre = Theatre::new(
    r#"
gateway:
  limits: {body: 1000}
upstreams:
  back: {servers: ["{{backend}}"]}
apis:
  rest:
    kind: rest
    routes:
      "ANY /x": {integration: {type: http_proxy, uri: "http://back/x"}}
      "ANY /mock": {integration: {type: mock, status: 200}}
    stages: {dev: {}}
  http:
    kind: http
    routes:
      "ANY /x": {integration: {type: http_proxy, uri: "http://back/x"}}
    stages: {$default: {}}
domains:
  "*": {mappings: {/r: rest/dev, /h: http/$default}}
"#,
);

fn too_long(kind: &str) -> No {
    match kind {
        "r" => No::of_status(413),
        _ => No { status: 413, message: "Request Entity Too Large", error_type: None },
    }
}

#[test]
fn a_body_that_announces_too_much_is_refused_unread() {
    THEATRE.play(|stage| {
        for kind in ["r", "h"] {
            let before = stage.refusals();
            let bytes = stage.backend.byte_count();
            let mut client = stage.client();
            client.send(format!("POST /{kind}/x HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n"));
            let response = client.read_response();
            too_long(kind).check(&response);
            assert_eq!(response.header("Connection"), Some("close"));
            client.expect_close();
            stage.one_refusal_more(&before, "request_too_large");
            assert_eq!(stage.backend.byte_count(), bytes, "the backend was sent something of it");
        }
        // A mock integration has the same limit.
        let response = stage.ask("POST /r/mock HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
        too_long("r").check(&response);
    });
}

#[test]
fn a_body_just_too_long_keeps_its_connection() {
    THEATRE.play(|stage| {
        let mut client = stage.client();
        client.send("POST /r/x HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n");
        too_long("r").check(&client.read_response());
        client.send([b'x'; 1001]);
        client.exchange("GET /r/x HTTP/1.1\r\nHost: a\r\n\r\n").expect_status(200);
    });
}

#[test]
fn a_chunked_body_is_counted() {
    THEATRE.play(|stage| {
        for kind in ["r", "h"] {
            let post = format!("POST /{kind}/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
            let response = stage.ask(format!("{post}3e8\r\n{}\r\n0\r\n\r\n", "x".repeat(1000)));
            response.expect_status(200);
            assert!(response.text().ends_with(&"x".repeat(1000)));
            stage.empty_pool();
            let body = format!("1f4\r\n{}\r\n", "x".repeat(500)).repeat(3) + "0\r\n\r\n";
            stage.refuses_body(format!("{post}{body}"), &too_long(kind), "request_too_large");
        }
    });
}

#[test]
fn a_body_of_exactly_the_limit_passes() {
    THEATRE.play(|stage| {
        let response =
            stage.ask(format!("POST /r/x HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n{}", "x".repeat(1000)));
        assert!(response.expect_status(200).text().ends_with(&"x".repeat(1000)));
    });
}

const MOCK: &str = r#"
apis:
  rest:
    kind: rest
    routes:
      "GET /mock": {integration: {type: mock, status: 200, body: "{}"}}
    stages: {dev: {}}
"#;
const GET: &str = "GET /dev/mock HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn a_connection_serves_as_many_requests_as_it_may() {
    on_both_drivers(|driver| {
        let gateway = Gateway::start(&format!("gateway:\n  limits: {{requests_per_connection: 3}}\n{MOCK}"), driver);
        for pipelined in [false, true] {
            let mut client = gateway.client();
            if pipelined {
                client.send(GET.repeat(4));
            }
            for turn in 1..=3 {
                let response = if pipelined { client.read_response() } else { client.exchange(GET) };
                let close = (turn == 3).then_some("close");
                assert_eq!(response.expect_status(200).header("Connection"), close, "request {turn}");
            }
            assert_eq!(client.read_to_end(), b"", "a fourth was answered");
        }
    });
}

#[test]
fn many_pipelined_requests_are_answered_in_order() {
    let api = r#"
apis:
  http:
    kind: http
    routes:
      "GET /n/{n}": {integration: {type: mock, status: 200, headers: {Content-Type: text/plain}, body: "$request.path.n"}}
    stages: {$default: {}}
"#;
    on_both_drivers(|driver| {
        let gateway = Gateway::start(api, driver);
        let before = gateway.rss();
        let mut client = gateway.client();
        let mut sender = client.sender();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                use std::io::Write as _;
                let request = |n| format!("GET /n/{n} HTTP/1.1\r\nHost: a\r\n\r\n");
                let requests = (0..10_000).map(request).collect::<Vec<_>>().concat();
                sender.write_all(requests.as_bytes()).expect("the gateway reads");
            });
            for n in 0..10_000 {
                assert_eq!(client.read_response().expect_status(200).text(), n.to_string());
            }
        });
        let grown = gateway.rss().saturating_sub(before);
        // One request at a time: the first buffers of both groups (2 MiB), and the allocator's slack.
        assert!(grown < 8 << 20, "{grown} bytes more");
    });
}
