//! A client that has said all that it wants to say, and reads slowly: the end of its last answer still reaches it.

mod support;

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use support::{Driver, Gateway, eventually, on_both_drivers};

/// The answer holds a field of the request so often that its body is longer than what the kernel keeps for a socket.
const FIELD: usize = 8_000;
const TIMES: usize = 125;
const LENGTH: usize = FIELD * TIMES;

/// Longer than the gateway lingers for a client that is only to read a refusal.
const LONGER_THAN_LINGER: Duration = Duration::from_millis(2_500);

fn request() -> String {
    format!("GET /x HTTP/1.1\r\nHost: a\r\nLong: {}\r\n\r\n", "x".repeat(FIELD))
}

fn gateway(limits: &str, driver: Driver) -> Gateway {
    let body = "$request.header.long".repeat(TIMES);
    let document = format!(
        r#"
gateway:
  listen: "unix:door.sock"
  limits: {{{limits}}}
apis:
  http:
    kind: http
    routes: {{"GET /x": {{integration: {{type: mock, status: 200, headers: {{content-type: text/plain}}, body: "{body}"}}}}}}
    stages: {{$default: {{}}}}
"#
    );
    Gateway::start(&document, driver)
}

/// Asks, and does not read. The gateway hands over the whole answer at once; the kernel takes a part of it.
fn with_the_end_still_to_come(gateway: &Gateway, ask: &str) -> UnixStream {
    let path = gateway.address().strip_prefix("unix:").expect("a unix socket");
    let mut stream = UnixStream::connect(path).expect("it listens");
    stream.set_read_timeout(Some(support::PATIENCE)).expect("a socket");
    stream.write_all(ask.as_bytes()).expect("the gateway reads");
    let answered = || gateway.counter("tollgate_responses_total", &[("class", "2xx")]) > 0.5;
    eventually("the answer is handed over", answered);
    stream
}

fn connections(gateway: &Gateway) -> (u64, u64) {
    let connections = &gateway.status()["connections"];
    (connections["open"].as_u64().expect("a number"), connections["idle"].as_u64().expect("a number"))
}

fn expect_the_answer(mut stream: UnixStream) {
    let mut received = Vec::new();
    stream.read_to_end(&mut received).expect("an end in good order");
    let head = support::find(&received, b"\r\n\r\n").expect("a head") + 4;
    assert_eq!(received.len() - head, LENGTH);
}

#[test]
fn a_kept_connection_is_open_until_its_last_answer_has_left() {
    on_both_drivers(|driver| {
        let gateway = gateway("body_idle_time: 30s", driver);
        let stream = with_the_end_still_to_come(&gateway, &request());
        eventually("the connection is idle", || connections(&gateway) == (1, 1));
        stream.shutdown(Shutdown::Write).expect("a socket");
        eventually("the gateway has seen it, and goes on sending", || connections(&gateway) == (1, 0));
        expect_the_answer(stream);
        eventually("nothing is left", || connections(&gateway) == (0, 0));
    });
}

#[test]
fn half_a_request_behind_the_last_one_shortens_nothing() {
    on_both_drivers(|driver| {
        let gateway = gateway("body_idle_time: 30s", driver);
        let stream = with_the_end_still_to_come(&gateway, &format!("{}GET /x HT", request()));
        let began = Instant::now();
        stream.shutdown(Shutdown::Write).expect("a socket");
        eventually("some time has passed", || began.elapsed() > LONGER_THAN_LINGER);
        assert_eq!(connections(&gateway), (1, 0), "the gateway goes on sending");
        expect_the_answer(stream);
    });
}

#[test]
fn silence_does_not_cut_an_answer_that_is_under_way() {
    on_both_drivers(|driver| {
        let gateway = gateway("idle_time: 1s, body_idle_time: 30s", driver);
        let stream = with_the_end_still_to_come(&gateway, &request());
        eventually("the time for silence is over", || connections(&gateway) == (1, 0));
        expect_the_answer(stream);
    });
}

#[test]
fn one_who_does_not_read_at_all_is_left_in_the_time_of_bodies() {
    on_both_drivers(|driver| {
        let gateway = gateway("body_idle_time: 1s", driver);
        let mut stream = with_the_end_still_to_come(&gateway, &request());
        let began = Instant::now();
        stream.shutdown(Shutdown::Write).expect("a socket");
        eventually("it is given up", || connections(&gateway) == (0, 0));
        assert!(began.elapsed() > Duration::from_millis(900), "{:?}", began.elapsed());
        // What had been handed over may still leave; if it cannot, the end is a reset.
        let mut received = Vec::new();
        match stream.read_to_end(&mut received) {
            Ok(_) => assert!(received.len() > LENGTH, "an end that comes too early"),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
        }
    });
}
