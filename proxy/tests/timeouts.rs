//! Clients that are slow: heads, bodies, reading, and silence between requests (rows R01, F33).

mod support;
#[path = "support/wild.rs"]
mod wild;

use std::io::Write as _;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use support::stage::{No, Theatre};
use support::{eventually, shown};

static THEATRE: Theatre = Theatre::new(
    r#"
gateway:
  limits: {header_time: 1s, idle_time: 1500ms, body_idle_time: 1s}
upstreams:
  back: {servers: ["{{backend}}"]}
apis:
  rest:
    kind: rest
    routes:
      "ANY /x": {integration: {type: http_proxy, uri: "http://back/x"}}
      "ANY /mock": {integration: {type: mock, status: 200, body: "{}"}}
    stages: {dev: {}}
"#,
);

/// The least that a wait may take, and the most that a busy machine may make of it.
fn took(began: Instant, least: u64) {
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(least), "after {took:?} already");
    assert!(took < Duration::from_millis(least) + support::PATIENCE, "only after {took:?}");
}

#[test]
fn half_a_head_is_told_408() {
    THEATRE.play(|stage| {
        for part in ["G", "GET /dev/x HTTP/1.1\r\nHost: a", "GET /dev/x HTTP/1.1\r\nHost: a\r\n"] {
            let before = stage.refusals();
            let mut client = stage.client();
            let began = Instant::now();
            client.send(part);
            let response = client.read_response();
            took(began, 1_000);
            No::of_status(408).check(&response);
            assert_eq!(response.header("Connection"), Some("close"));
            client.expect_close();
            stage.one_refusal_more(&before, "request_timeout");
        }
    });
}

#[test]
fn a_head_that_drips_gains_no_time() {
    THEATRE.play(|stage| {
        let mut client = stage.client();
        client.send("GET /dev/x HTTP/1.1\r\nX: ");
        let began = Instant::now();
        let mut sender = client.sender();
        let (answered, told) = mpsc::channel::<()>();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                while told.recv_timeout(Duration::from_millis(50)) == Err(RecvTimeoutError::Timeout) {
                    let _ = sender.write_all(b"a");
                }
            });
            let response = client.read_response();
            let passed = began.elapsed();
            drop(answered);
            No::of_status(408).check(&response);
            assert!(passed >= Duration::from_millis(990) && passed < Duration::from_secs(5), "{passed:?}");
        });
    });
}

#[test]
fn the_second_head_has_a_time_of_its_own() {
    THEATRE.play(|stage| {
        let mut client = stage.client();
        client.exchange("GET /dev/mock HTTP/1.1\r\nHost: a\r\n\r\n").expect_status(200);
        let began = Instant::now();
        client.send("GET /dev/mock HT");
        let response = client.read_response();
        took(began, 1_000);
        No::of_status(408).check(&response);
    });
}

#[test]
fn silence_ends_a_connection_without_a_word() {
    THEATRE.play(|stage| {
        for requests in 0..2 {
            let mut client = stage.client();
            for _ in 0..requests {
                client.exchange("GET /dev/mock HTTP/1.1\r\nHost: a\r\n\r\n").expect_status(200);
            }
            let began = Instant::now();
            client.expect_close();
            took(began, 1_400);
        }
        eventually("nothing is open", || stage.gateway.status()["connections"]["open"] == 0);
    });
}

#[test]
fn a_body_that_pauses_is_told_408_and_its_rest_is_no_request() {
    THEATRE.play(|stage| {
        let smuggled = "GET /dev/x?smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
        for (head, part) in [
            (format!("Content-Length: {}", smuggled.len() + 2), "ab"),
            ("Content-Length: 5".into(), ""),
            ("Transfer-Encoding: chunked".into(), "5\r\nab"),
        ] {
            let faults = stage.faults("client_stalled");
            stage.backend.forget();
            let mut client = stage.client();
            client.send(format!("POST /dev/x HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n{part}"));
            let began = Instant::now();
            let response = client.read_response();
            took(began, 900);
            No::of_status(408).check(&response);
            assert_eq!(response.header("Connection"), Some("close"), "{}", shown(&response.raw));
            let _ = client.try_send(smuggled);
            client.expect_close();
            stage.fault_reaches("client_stalled", faults + 1.0);
            eventually("the backend's connection ends", || stage.backend.open() == 0);
            assert_eq!(stage.backend.requests(), 0, "a body that paused was taken for whole");
        }
    });
}

#[test]
fn a_client_that_does_not_read_is_left() {
    THEATRE.play(|stage| {
        let faults = stage.faults("client_gone");
        stage.backend.script(|_| support::Reply::ok(vec![b'x'; 64 << 20]));
        let mut client = stage.client();
        client.send("GET /dev/x HTTP/1.1\r\nHost: a\r\n\r\n");
        stage.fault_reaches("client_gone", faults + 1.0);
        eventually("the backend's connection ends", || stage.backend.open() == 0);
        eventually("the client's, too", || stage.gateway.status()["connections"]["open"] == 0);
    });
}
