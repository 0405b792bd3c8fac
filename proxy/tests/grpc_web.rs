//! gRPC-Web from browsers, over HTTP/1.1 and HTTP/2, to a backend that speaks gRPC: types, trailers in the body, base64, refusals; on both
//! drivers.

#[path = "support/grpc.rs"]
mod grpc;
#[path = "support/h2_backend.rs"]
mod h2_backend;
mod support;

use grpc::{Caller, message, run};
use h2_backend::{Call, H2Backend, trailers};
use support::{Driver, Gateway, Response, on_both_drivers};

fn gateway(backend: &str, driver: Driver) -> Gateway {
    let text = format!(
        r#"
gateway:
  listen: [{{address: "127.0.0.1:0", h2c: true}}]
upstreams:
  back: {{servers: ["{backend}"], protocol: http2}}
apis:
  web:
    kind: http
    routes: {{"POST /test.Pets/{{method}}": {{integration: {{type: http_proxy, uri: "http://back/test.Pets/{{method}}"}}}}}}
    stages: {{$default: {{}}}}
"#
    );
    Gateway::start(&text, driver)
}

/// Sends back what it receives, twice.
async fn serve(mut call: Call) {
    let (body, _) = call.body().await;
    match call.request.uri().path() {
        "/test.Pets/None" => {
            call.respond(&[("content-type", "application/grpc+proto"), ("grpc-status", "5")], true);
        }
        "/test.Pets/Html" => drop(call.respond(&[(":status", "502"), ("content-type", "text/html")], true)),
        _ => {
            let mut out = call.respond(&[("content-type", "application/grpc+proto")], false);
            for _ in 0..2 {
                let _ = out.send_data(body.clone().into(), false);
                tokio::task::yield_now().await;
            }
            let _ = out.send_trailers(trailers(&[("grpc-status", "0"), ("grpc-message", "ok")]));
        }
    }
}

fn frame_of_trailers() -> Vec<u8> {
    let text = b"grpc-status:0\r\ngrpc-message:ok\r\n";
    [&[0x80, 0, 0, 0, text.len() as u8], &text[..]].concat()
}

fn whole(text: &str) -> Vec<u8> {
    [&message(text)[..], &message(text), &frame_of_trailers()].concat()
}

fn ask(gateway: &Gateway, method: &str, kind: &str, body: &[u8]) -> Response {
    let mut client = gateway.client();
    let length = body.len();
    client.send(format!(
        "POST /test.Pets/{method} HTTP/1.1\r\nHost: a\r\nContent-Type: {kind}\r\nX-Grpc-Web: 1\r\nContent-Length: {length}\r\n\r\n"
    ));
    client.send(body);
    client.read_response()
}

fn base64(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    codec::grpc_web::write_text(bytes, &mut out);
    out
}

fn from_base64(text: &[u8]) -> Vec<u8> {
    let (mut reader, mut out) = (codec::grpc_web::TextReader::default(), Vec::new());
    reader.read(text, &mut out).expect("base64");
    assert!(reader.is_whole());
    out
}

#[test]
fn trailers_are_the_last_frame_of_the_body() {
    on_both_drivers(|driver| {
        let backend = H2Backend::start(serve);
        let gateway = gateway(&backend.address(), driver);
        for text in ["hello", &"long ".repeat(20_000)] {
            let answer = ask(&gateway, "Unary", "application/grpc-web+proto", &message(text));
            assert_eq!(answer.expect_status(200).header("content-type"), Some("application/grpc-web+proto"));
            assert!(answer.body == whole(text), "{}", support::shown(&answer.body));
        }
        let (_, head) = backend.take().pop().expect("a call");
        let field = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
        assert_eq!((field("content-type"), field("te")), (Some("application/grpc+proto"), Some("trailers")));
    });
}

#[test]
fn texts_are_base64_both_ways() {
    on_both_drivers(|driver| {
        let backend = H2Backend::start(serve);
        let gateway = gateway(&backend.address(), driver);
        // Two texts one behind the other are one message.
        let sent = message("hello, you");
        let text = [base64(&sent[..4]), base64(&sent[4..])].concat();
        let answer = ask(&gateway, "Unary", "application/grpc-web-text", &text);
        assert_eq!(answer.expect_status(200).header("content-type"), Some("application/grpc-web-text+proto"));
        assert_eq!(from_base64(&answer.body), whole("hello, you"));
    });
}

#[test]
fn a_text_that_is_none_is_refused() {
    on_both_drivers(|driver| {
        let backend = H2Backend::start(serve);
        let gateway = gateway(&backend.address(), driver);
        for text in ["AAA", "????"] {
            let answer = ask(&gateway, "Unary", "application/grpc-web-text", text.as_bytes());
            assert_eq!(answer.expect_status(200).header("grpc-status"), Some("13"));
        }
        let refused = gateway.counter("tollgate_refusals_total", &[("reason", "text_malformed")]);
        assert!(refused > 1.5, "{refused}");
    });
}

#[test]
fn answers_without_messages_and_refusals_bear_their_status_in_the_head() {
    on_both_drivers(|driver| {
        let backend = H2Backend::start(serve);
        let gateway = gateway(&backend.address(), driver);
        let none = ask(&gateway, "None", "application/grpc-web+proto", &message("x"));
        assert_eq!(none.expect_status(200).header("grpc-status"), Some("5"));
        assert_eq!((none.header("content-type"), none.body.len()), (Some("application/grpc-web+proto"), 0));
        let mut client = gateway.client();
        client.send(
            "POST /other HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc-web+proto\r\nContent-Length: 0\r\n\r\n",
        );
        let refused = client.read_response();
        assert_eq!(refused.expect_status(200).header("grpc-status"), Some("12"));
        assert_eq!(refused.header("content-type"), Some("application/grpc-web+proto"));
        assert_eq!(
            ask(&gateway, "Html", "application/grpc-web", b"").expect_status(502).header("content-type"),
            Some("text/html")
        );
    });
}

#[test]
fn over_http2_as_well() {
    on_both_drivers(|driver| {
        let backend = H2Backend::start(serve);
        let gateway = gateway(&backend.address(), driver);
        let answer = run(async {
            let mut caller = Caller::connect(gateway.address()).await;
            let mut call = caller.call("/test.Pets/Unary", &[("content-type", "application/grpc-web+proto")]).await;
            call.send("hello", true);
            call.finish().await
        });
        assert_eq!(answer.header("content-type"), Some("application/grpc-web+proto"));
        assert_eq!(answer.body, whole("hello"));
        assert!(answer.trailers.is_none(), "{answer:?}");
    });
}
