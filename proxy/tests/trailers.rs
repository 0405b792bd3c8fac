//! Fields behind a body, from either protocol to the other: who is told of them, and which of them go on (rows F24, F25, T23).
#![allow(clippy::float_cmp, reason = "counters are whole numbers")]

#[path = "support/frames.rs"]
mod frames;
#[path = "support/h2_backend.rs"]
mod h2_backend;
#[path = "support/hpack.rs"]
mod hpack;
mod support;

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use frames::{Answer, Carrier, Frame, Peer, data, flag, headers};
use h2_backend::{Call, H2Backend, trailers};
use hpack::Block;
use support::{Backend, Driver, Gateway, Reply, on_both_drivers};

fn gateway(backend: &str, protocol: &str, driver: Driver) -> Gateway {
    let text = format!(
        r#"
gateway:
  listen: [{{address: "127.0.0.1:0", h2c: true}}]
upstreams:
  back: {{servers: ["{backend}"], protocol: {protocol}}}
apis:
  h:
    kind: http
    routes:
      "ANY /{{proxy+}}": {{integration: {{type: http_proxy, uri: "http://back/{{proxy}}"}}}}
    stages: {{$default: {{}}}}
"#
    );
    Gateway::start(&text, driver)
}

#[track_caller]
fn ask(gateway: &Gateway, frames: impl FnOnce(&Block) -> Vec<Frame>) -> Answer {
    let mut peer = Peer::new(Carrier::connect(gateway.address()));
    peer.greet(&[]).expect("it speaks HTTP/2");
    let block = Block::of(&[(":method", "POST"), (":scheme", "http"), (":path", "/x"), (":authority", "a")]);
    peer.send(frames(&block));
    peer.until("an answer", |peer| peer.answer(1).ended).expect("it serves");
    assert!(peer.faults.is_empty(), "{:?}", peer.faults);
    peer.answer(1)
}

fn whole(block: &Block) -> Vec<Frame> {
    vec![headers(1, flag::WHOLE, block)]
}

const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/plain\r\n\r\n";

#[test]
fn f24_trailers_behind_chunks_reach_clients_of_http2() {
    on_both_drivers(|driver| {
        let large = "x".repeat(100_000);
        for (body, length) in [
            ("3\r\nabc\r\n".to_owned(), 3),
            (String::new(), 0),
            (format!("{:x}\r\n{large}\r\n", large.len()), large.len()),
        ] {
            let tail = "0\r\nX-Sum: 1\r\nContent-Length: 5\r\nSet-Cookie: a\r\nx-sum: 2\r\n\r\n";
            let (head, pieces) = (format!("{CHUNKED}{body}"), tail.to_owned());
            let backend = Backend::scripted(move |_| Reply::Pieces(vec![head.clone().into(), pieces.clone().into()]));
            let gateway = gateway(backend.address(), "http1", driver);
            let mut peer = Peer::new(Carrier::connect(gateway.address()));
            peer.greet(&[(frames::setting::INITIAL_WINDOW_SIZE, 1 << 20)]).expect("it speaks HTTP/2");
            peer.send([frames::window_update(0, 1 << 20)]);
            let block = Block::of(&[(":method", "GET"), (":scheme", "http"), (":path", "/x"), (":authority", "a")]);
            peer.send(whole(&block));
            peer.until("an answer", |peer| peer.answer(1).ended).expect("it serves");
            let answer = peer.answer(1);
            assert_eq!(answer.trailers, [("x-sum".into(), "1".into()), ("x-sum".into(), "2".into())]);
            assert_eq!(answer.body.len(), length);
            assert_eq!(gateway.counter("tollgate_trailers_dropped_total", &[]), 2.0);
            // Clients of HTTP/1 are told of none (F24).
            let answer = gateway.client().exchange("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(answer.status, 200);
            assert!(!String::from_utf8_lossy(&answer.raw).contains("X-Sum"));
            assert_eq!(gateway.counter("tollgate_trailers_dropped_total", &[]), 6.0);
        }
    });
}

#[test]
fn f24_trailers_of_grpc_reach_clients_of_http1_that_read_them() {
    on_both_drivers(|driver| {
        let backend = H2Backend::start(|mut call: Call| async move {
            call.body().await;
            let mut out = call.respond(&[("content-type", "application/grpc")], false);
            let _ = out.send_data(Bytes::from_static(b"hello"), false);
            let _ = out.send_trailers(trailers(&[("grpc-status", "0"), ("grpc-message", "fine"), ("host", "evil")]));
        });
        let gateway = gateway(&backend.address(), "http2", driver);
        let ask = |more: &str| {
            let mut client = gateway.client();
            client.send(format!("POST /x HTTP/1.1\r\nHost: a\r\n{more}Content-Length: 0\r\n\r\n"));
            let raw = client.read_until(b"0\r\n");
            let tail = client.read_until(b"\r\n\r\n");
            (String::from_utf8_lossy(&raw).into_owned(), String::from_utf8_lossy(&tail).into_owned(), client)
        };
        let (head, tail, mut client) = ask("Content-Type: application/grpc\r\nTE: trailers\r\n");
        assert!(head.contains("Transfer-Encoding: chunked\r\n") && head.ends_with("5\r\nhello\r\n0\r\n"), "{head}");
        assert_eq!(tail, "grpc-status: 0\r\ngrpc-message: fine\r\n\r\n");
        client.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(
            client.read_response().text(),
            "hello",
            "the connection goes on, and who speaks no gRPC is told of none"
        );
        client.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(client.read_response().text(), "hello", "nor is who has not said that it reads them");
    });
}

#[test]
fn t23_what_belongs_into_a_head_does_not_pass_behind_a_body() {
    on_both_drivers(|driver| {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let noted = seen.clone();
        let backend = H2Backend::start(move |mut call: Call| {
            let noted = noted.clone();
            async move {
                let (body, fields) = call.body().await;
                assert_eq!(body, b"body");
                let mut names: Vec<String> =
                    fields.iter().flat_map(|fields| fields.keys()).map(ToString::to_string).collect();
                names.sort();
                noted.lock().expect("one user").push(names);
                let mut out = call.respond(&[], false);
                let _ = out.send_data(Bytes::from_static(b"hello"), false);
                let _ =
                    out.send_trailers(trailers(&[("x-sum", "1"), ("set-cookie", "a=b"), ("x_y", "1"), ("age", "3")]));
            }
        });
        let gateway = gateway(&backend.address(), "http2", driver);
        let smuggled =
            ["authorization", "content-length", "x-forwarded-for", "x_y", "cookie", "host", "x-amzn-trace-id"];
        let fields = smuggled.iter().fold(Block::new(), |block, name| block.field(name, "4"));
        for (fields, expected) in [(fields.clone().field("x-sum", "1"), vec!["x-sum"]), (fields, vec![])] {
            let answer = ask(&gateway, |block| {
                vec![headers(1, flag::END_HEADERS, block), data(1, 0, "body"), headers(1, flag::WHOLE, &fields)]
            });
            let mut got: Vec<&str> = answer.trailers.iter().map(|(name, _)| &**name).collect();
            got.sort_unstable();
            assert_eq!((&*answer.body, got), (&b"hello"[..], vec!["x-sum", "x_y"]));
            assert_eq!(seen.lock().expect("one user").pop().expect("a request"), expected);
        }
    });
}
