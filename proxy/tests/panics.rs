//! A panic in one request costs that connection and nothing else: row R17 of the attack table. The drills of a debug build panic
//! where they are told to.

mod support;

use std::time::{Duration, Instant};

use support::{Driver, Stage, eventually, on_both_drivers};

const DOCUMENT: &str = r#"
apis:
  w:
    kind: http
    routes:
      "ANY /mock": {integration: {type: mock, body: "{}"}}
      "ANY /{proxy+}": {integration: {type: http_proxy, uri: "http://{{backend}}/{proxy}"}}
    stages: {$default: {}}
"#;

fn request(method: &str, path: &str, place: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: a\r\nX-Drill: {place}\r\nContent-Length: 2\r\n\r\nhi")
}

fn number(stage: &Stage, name: &str) -> u64 {
    let value = stage.counter(name, &[]);
    format!("{value}").parse().expect("a whole number")
}

/// What a worker holds, but for the connections that wait in the pool.
fn held(stage: &Stage) -> [u64; 4] {
    let names = [
        "tollgate_connections_open",
        "tollgate_tasks",
        "tollgate_upstream_requests_in_flight",
        "tollgate_buffers_held",
    ];
    names.map(|name| number(stage, name))
}

/// As `held`, once the gauges have come to rest: workers write some of them a few times a second, the first time while they start.
fn held_at_rest(stage: &Stage) -> [u64; 4] {
    let (mut last, mut since) = (held(stage), Instant::now());
    eventually("the gauges come to rest", || {
        let now = held(stage);
        if now != last {
            (last, since) = (now, Instant::now());
        }
        since.elapsed() > Duration::from_millis(400)
    });
    last
}

/// Sends a request that panics, and sees its connection end.
#[track_caller]
fn panics(stage: &Stage, request: &str, place: &str) {
    let mut client = stage.client();
    client.send(request);
    let end = client.read_to_end();
    // Where the answer has already left, only the connection ends.
    assert_eq!(end.is_empty(), place != "end", "{}", support::shown(&end));
}

#[test]
fn r17_a_panic_costs_one_connection_and_is_counted() {
    on_both_drivers(|driver| {
        let stage = Stage::new(DOCUMENT, driver);
        // A neighbour on the same worker, from before to after.
        let mut neighbour = stage.client();
        neighbour.exchange(request("GET", "/x", "")).expect_status(200);
        let before = held_at_rest(&stage);
        let mut count = 0;
        for place in ["begin", "call", "end"] {
            for path in if place == "call" { &["/x"][..] } else { &["/x", "/mock"] } {
                for method in ["GET", "POST"] {
                    panics(&stage, &request(method, path, place), place);
                    count += 1;
                    neighbour.exchange(request("GET", "/x", "")).expect_status(200);
                }
            }
        }
        eventually("each is counted", || number(&stage, "tollgate_panics_total") == count);
        eventually("nothing is left of them", || held(&stage) == before);
        is_told_in_lines(&stage, count);
        stage.ask(request("GET", "/x", "")).expect_status(200);
        assert!(neighbour.is_still_open());
    });
}

/// One line each, of bounded length, in which nothing controls a terminal.
fn is_told_in_lines(stage: &Stage, count: u64) {
    let lines = |log: &str| log.matches("a drill at").count() as u64;
    eventually("each has its line", || lines(&stage.gateway.stderr()) >= count);
    let log = stage.gateway.stderr();
    let told: Vec<&str> = log.lines().filter(|line| line.contains("a drill at")).collect();
    assert_eq!(told.len() as u64, count, "{log}");
    for line in told {
        assert!(line.len() < 600 && line.contains("drill.rs") && line.contains("the second line"), "{line}");
        assert!(!line.contains('\u{1b}'), "{}", line.escape_debug());
    }
    assert!(!log.contains("stack backtrace"), "{log}");
}

#[test]
fn r17_many_panics_leak_nothing_and_fill_no_log() {
    on_both_drivers(|driver: Driver| {
        let stage = Stage::new(DOCUMENT, driver);
        stage.ask(request("GET", "/x", "")).expect_status(200);
        eventually("the first connection ends", || held(&stage)[0] == 0);
        let (before, many) = (held_at_rest(&stage), 300);
        for place in ["begin", "call", "end"].iter().cycle().take(300) {
            panics(&stage, &request("POST", "/x", place), place);
        }
        eventually("each is counted", || number(&stage, "tollgate_panics_total") == many);
        eventually("nothing is left of them", || held(&stage) == before);
        // The first 32, then the 64th, the 128th and the 256th.
        let told = || stage.gateway.stderr().lines().filter(|line| line.contains("a drill at")).count();
        eventually("they have their lines", || told() >= 35);
        assert_eq!(told(), 35, "{}", stage.gateway.stderr());
        stage.ask(request("GET", "/x", "")).expect_status(200);
        stage.backend.expect_no_faults();
    });
}
