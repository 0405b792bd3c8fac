//! gRPC through the gateway: the four kinds of calls, trailers end to end, deadlines, and refusals that gRPC understands; on both drivers.

#[path = "support/grpc.rs"]
mod grpc;
#[path = "support/h2_backend.rs"]
mod h2_backend;
mod support;
#[path = "support/tls.rs"]
mod tls;
#[path = "support/tls_backend.rs"]
mod tls_backend;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use grpc::{Caller, message, pause, run};
use h2_backend::{Call, H2Backend, Ways, trailers};
use support::gateway::new_folder;
use support::{Driver, Gateway, eventually, on_both_drivers};
use tls::{Identity, Visitor};
use tls_backend::Manner;

const TYPED: [(&str, &str); 2] = [("content-type", "application/grpc+proto"), ("te", "trailers")];

fn gateway(backend: &str, driver: Driver, more: &str) -> Gateway {
    let text = format!(
        r#"
gateway:
  listen: [{{address: "127.0.0.1:0", h2c: true}}]
{more}
upstreams:
  back: {{servers: ["{backend}"], protocol: http2}}
  gone: {{servers: ["127.0.0.1:1"], protocol: http2}}
apis:
  web:
    kind: http
    routes:
      "POST /test.Gone/{{method}}": {{integration: {{type: http_proxy, uri: "http://gone/test.Gone/{{method}}"}}}}
      "POST /test.Pets/{{method}}": {{integration: {{type: http_proxy, uri: "http://back/test.Pets/{{method}}"}}}}
    stages: {{$default: {{}}}}
"#
    );
    Gateway::start(&text, driver)
}

async fn serve(mut call: Call) {
    let method = call.request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
    let typed = ("content-type", "application/grpc+proto");
    match &*method {
        "Unary" => {
            let (body, _) = call.body().await;
            let mut out = call.respond(&[typed, ("x-initial", "1")], false);
            let _ = out.send_data(body.into(), false);
            let _ =
                out.send_trailers(trailers(&[("grpc-status", "0"), ("grpc-message", "fine"), ("x-more-bin", "AAE")]));
        }
        "Many" => {
            call.body().await;
            let mut out = call.respond(&[typed], false);
            for text in ["one", "two", "three"] {
                let _ = out.send_data(message(text), false);
                tokio::task::yield_now().await;
            }
            let _ = out.send_trailers(trailers(&[("grpc-status", "0")]));
        }
        "Echo" => {
            let mut out = call.respond(&[typed], false);
            while let Some(bytes) = call.next().await {
                let _ = out.send_data(bytes, false);
            }
            let _ = out.send_trailers(trailers(&[("grpc-status", "0")]));
        }
        "None" => {
            call.body().await;
            call.respond(&[typed, ("grpc-status", "5"), ("grpc-message", "no such pet")], true);
        }
        "Never" => {
            call.body().await;
            std::future::pending::<()>().await;
        }
        "Half" => {
            let mut out = call.respond(&[typed], false);
            let _ = out.send_data(message("half"), false);
            let _ = std::future::poll_fn(|context| out.poll_reset(context)).await;
        }
        _ => drop(call.respond(&[(":status", "503"), ("content-type", "text/html")], true)),
    }
}

#[test]
fn a_unary_call_has_its_trailers_and_its_te() {
    on_both_drivers(|driver| {
        let backend = H2Backend::start(serve);
        let gateway = gateway(&backend.address(), driver, "");
        let answer = run(async {
            let mut caller = Caller::connect(gateway.address()).await;
            caller.unary("/test.Pets/Unary", &[("x-mine", "1")], "hello").await
        });
        assert_eq!(answer.head.status, 200);
        assert_eq!(answer.header("content-type"), Some("application/grpc+proto"));
        assert_eq!(answer.header("x-initial"), Some("1"));
        assert_eq!(answer.body, message("hello"));
        let got = answer.trailers.as_ref().expect("trailers");
        assert_eq!(got.get("grpc-message").map(http::HeaderValue::as_bytes), Some(&b"fine"[..]));
        assert_eq!(got.get("x-more-bin").map(http::HeaderValue::as_bytes), Some(&b"AAE"[..]));
        assert_eq!(answer.status(), Some("0"));
        let (_, head) = backend.take().pop().expect("a call");
        let field = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
        assert_eq!((field("te"), field("content-type")), (Some("trailers"), Some("application/grpc+proto")));
        assert_eq!(field("x-mine"), Some("1"));
    });
}

#[test]
fn only_grpc_is_told_that_trailers_are_read() {
    on_both_drivers(|driver| {
        let backend = H2Backend::start(serve);
        let gateway = gateway(&backend.address(), driver, "");
        run(async {
            let mut caller = Caller::connect(gateway.address()).await;
            let mut call = caller.call("/test.Pets/Unary", &[("content-type", "text/plain"), ("te", "trailers")]).await;
            call.end();
            call.finish().await
        });
        let (_, head) = backend.take().pop().expect("a call");
        assert!(head.headers.get("te").is_none(), "{head:?}");
    });
}

#[test]
fn messages_stream_in_both_directions() {
    on_both_drivers(|driver| {
        let backend = H2Backend::start(serve);
        let gateway = gateway(&backend.address(), driver, "  limits: {body_idle_time: 1s, body_rate: 1MiB}\n");
        run(async {
            let mut caller = Caller::connect(gateway.address()).await;
            let many = caller.unary("/test.Pets/Many", &[], "").await;
            assert_eq!(many.body, [message("one"), message("two"), message("three")].concat());
            assert_eq!(many.status(), Some("0"));
            let mut call = caller.call("/test.Pets/Unary", &TYPED).await;
            for text in ["a", "b", "c"] {
                call.send(text, false);
                tokio::task::yield_now().await;
            }
            call.end();
            let sum = call.finish().await;
            assert_eq!(sum.body, [message("a"), message("b"), message("c")].concat());
            let mut both = caller.call("/test.Pets/Echo", &TYPED).await;
            assert_eq!(both.head().await.status(), 200, "before anything was said");
            for text in ["ping", "pong", "again"] {
                both.send(text, false);
                assert_eq!(both.next().await.expect("a message").expect("whole"), message(text));
            }
            // Longer than a body may pause, and slower than one may be.
            pause(Duration::from_millis(1_500)).await;
            both.send("still there", false);
            assert_eq!(both.next().await.expect("a message").expect("whole"), message("still there"));
            both.end();
            let end = both.finish().await;
            assert_eq!((end.body.len(), end.status()), (0, Some("0")));
        });
        assert_eq!(backend.connections(), 1);
    });
}

#[test]
fn an_answer_of_trailers_alone_stays_one() {
    on_both_drivers(|driver| {
        let backend = H2Backend::start(serve);
        let gateway = gateway(&backend.address(), driver, "");
        let answer = run(async { Caller::connect(gateway.address()).await.unary("/test.Pets/None", &[], "x").await });
        assert!(answer.trailers_only, "{answer:?}");
        assert_eq!((answer.status(), answer.header("grpc-message")), (Some("5"), Some("no such pet")));
    });
}

#[test]
fn the_callers_time_bounds_the_call() {
    on_both_drivers(|driver| {
        let stopped = Arc::new(AtomicBool::new(false));
        let noted = stopped.clone();
        let backend = H2Backend::start(move |call: Call| {
            let noted = noted.clone();
            async move {
                let is_half = call.request.uri().path().ends_with("Half");
                serve(call).await;
                noted.fetch_or(is_half, Ordering::AcqRel);
            }
        });
        let gateway = gateway(&backend.address(), driver, "");
        run(async {
            let mut caller = Caller::connect(gateway.address()).await;
            let never = caller.unary("/test.Pets/Never", &[("grpc-timeout", "200m")], "x").await;
            assert!(never.trailers_only);
            assert_eq!((never.head.status.as_u16(), never.status()), (200, Some("4")), "{never:?}");
            // The request never ends, so that no answer is owed yet.
            let fields = [&TYPED[..], &[("grpc-timeout", "200000u")]].concat();
            let mut open = caller.call("/test.Pets/Never", &fields).await;
            open.send("more to come", false);
            assert_eq!(
                open.head().await.headers().get("grpc-status").map(http::HeaderValue::as_bytes),
                Some(&b"4"[..])
            );
            let half = caller.unary("/test.Pets/Half", &[("grpc-timeout", "300m")], "x").await;
            assert_eq!(half.body, message("half"));
            assert_eq!(half.status(), Some("4"), "{half:?}");
        });
        eventually("the backend is told", || stopped.load(Ordering::Acquire));
        let (_, head) = backend.take().pop().expect("a call");
        assert_eq!(head.headers.get("grpc-timeout").map(http::HeaderValue::as_bytes), Some(&b"300m"[..]));
    });
}

#[test]
fn refusals_are_such_that_grpc_understands_them() {
    on_both_drivers(|driver| {
        let backend = H2Backend::start(serve);
        let gateway = gateway(&backend.address(), driver, "  limits: {body: 1000}\n");
        run(async {
            let mut caller = Caller::connect(gateway.address()).await;
            for (path, status, message) in [
                ("/test.Other/Unary", "12", "Not Found"),
                ("/test.Gone/Unary", "14", "Service Unavailable"),
                ("/test.Pets/Unary", "8", "Request Entity Too Large"),
            ] {
                let large = "x".repeat(2_000);
                let answer = caller.unary(path, &[], &large).await;
                assert!(answer.trailers_only, "{path}: {answer:?}");
                assert_eq!(answer.head.status, 200, "{path}");
                assert_eq!(answer.header("content-type"), Some("application/grpc+proto"), "{path}");
                assert_eq!((answer.status(), answer.header("grpc-message")), (Some(status), Some(message)), "{path}");
            }
            // What the backend itself says passes as it is.
            let answer = caller.unary("/test.Pets/Other", &[], "x").await;
            assert_eq!((answer.head.status.as_u16(), answer.header("content-type")), (503, Some("text/html")));
            // And who does not speak it gets what everybody gets.
            let mut call = caller.call("/test.Other/Unary", &[("content-type", "application/json")]).await;
            call.end();
            assert_eq!(call.finish().await.head.status, 404);
        });
    });
}

#[test]
fn the_bound_of_bodies_is_for_each_message_of_a_stream() {
    on_both_drivers(|driver| {
        let backend = H2Backend::start(serve);
        let gateway = gateway(&backend.address(), driver, "  limits: {body: 1000}\n");
        run(async {
            let mut caller = Caller::connect(gateway.address()).await;
            let text = "x".repeat(900);
            let mut both = caller.call("/test.Pets/Echo", &TYPED).await;
            assert_eq!(both.head().await.status(), 200);
            for _ in 0..20 {
                both.send(&text, false);
                let mut got = 0;
                while got < text.len() + 5 {
                    got += both.next().await.expect("a message").expect("whole").len();
                }
            }
            both.end();
            assert_eq!(both.finish().await.status(), Some("0"));
            // One that is announced as too long ends the call before it has come.
            let mut long = caller.call("/test.Pets/Unary", &TYPED).await;
            long.send(&text, false);
            long.out.send_data(bytes::Bytes::from_static(&[0, 0, 0, 3, 0xe9]), false).expect("a stream that is open");
            let answer = long.finish().await;
            assert_eq!(answer.status(), Some("8"), "{answer:?}");
            // Who speaks no gRPC has the bound for the whole.
            let mut plain = caller.call("/test.Pets/Unary", &[("content-type", "text/plain")]).await;
            plain.send(&text, false);
            plain.send(&text, true);
            assert_eq!(plain.finish().await.head.status, 413);
        });
    });
}

#[test]
fn calls_of_every_kind_pass_over_tls_on_both_sides() {
    on_both_drivers(|driver| {
        let (own, theirs, folder) = (Identity::new(&["a.test"]), Identity::new(&["back.test"]), new_folder());
        own.write(&folder, "own");
        theirs.write(&folder, "theirs");
        let manner = Manner { protocols: vec!["h2"], ..Manner::new(&theirs) };
        let backend = H2Backend::with(Ways { tls: Some(manner.config()), ..Ways::default() }, serve);
        let text = format!(
            r#"
gateway:
  listen: [{{address: "127.0.0.1:0", tls: {{certificate: {0}/own.crt, key: {0}/own.key}}}}]
upstreams:
  back: {{servers: ["{1}"], protocol: auto, tls: {{ca: {0}/theirs.crt, server_name: back.test}}}}
apis:
  web:
    kind: http
    routes: {{"POST /test.Pets/{{method}}": {{integration: {{type: http_proxy, uri: "https://back/test.Pets/{{method}}"}}}}}}
    stages: {{$default: {{}}}}
"#,
            folder.display(),
            backend.address()
        );
        let gateway = Gateway::start(&text, driver);
        let config = Visitor::new(&[&own]).offering(&["h2"]).config();
        run(async {
            let mut caller = Caller::connect_safely(gateway.address(), config).await;
            let answer = caller.unary("/test.Pets/Unary", &[], "hello").await;
            assert_eq!((&*answer.body, answer.status()), (&*message("hello"), Some("0")));
            let many = caller.unary("/test.Pets/Many", &[], "").await;
            assert_eq!((many.body.len(), many.status()), (3 * 5 + "onetwothree".len(), Some("0")));
            let mut both = caller.call("/test.Pets/Echo", &TYPED).await;
            assert_eq!(both.head().await.status(), 200, "before anything was said");
            for text in ["ping", "pong"] {
                both.send(text, false);
                assert_eq!(both.next().await.expect("a message").expect("whole"), message(text));
            }
            both.end();
            assert_eq!(both.finish().await.status(), Some("0"));
            let none = caller.unary("/test.Pets/None", &[], "x").await;
            assert!(none.trailers_only && none.status() == Some("5"), "{none:?}");
        });
        assert_eq!(backend.connections(), 1);
        let handshakes = gateway.counter("tollgate_tls_handshakes_total", &[]);
        assert!((handshakes - 1.0).abs() < 0.5, "{handshakes}");
    });
}
