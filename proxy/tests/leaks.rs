//! After clients that leave at every moment nothing is left: no connection, no task, no descriptor, no call.
#![allow(clippy::cast_precision_loss, reason = "what a test counts is small")]

mod support;
#[path = "support/wild.rs"]
mod wild;

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::gateway::one_way;
use support::{Driver, Gateway, eventually, on_both_drivers};
use wild::{Wild, head, read_away};

/// Clients at each stage.
const CROWD: usize = 20;

/// What counts what is alive.
#[derive(Debug, PartialEq, Eq)]
struct Alive {
    connections: Value,
    idle: Value,
    tasks: Value,
    descriptors: usize,
    upstream_open: Value,
}

fn alive(gateway: &Gateway) -> Alive {
    let status = gateway.status();
    let folder = format!("/proc/{}/fd", gateway.pid());
    Alive {
        connections: status["connections"]["open"].clone(),
        idle: status["connections"]["idle"].clone(),
        tasks: status["tasks"].clone(),
        descriptors: std::fs::read_dir(folder).expect("the process lives").count(),
        upstream_open: status["upstream"]["open"].clone(),
    }
}

/// Answers `/dev/now` at once, `/dev/late` when the flag is up, and `/dev/long` without end.
fn gateway(driver: Driver, late: &Arc<AtomicBool>) -> (Wild, Gateway) {
    let late = late.clone();
    let backend = Wild::new(move |mut stream, _| {
        while let Some(head) = head(&mut stream) {
            if head.starts_with(b"GET /long") {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
                let _ = wild::pour_chunks(&mut stream, u64::MAX, 25_100);
                return;
            }
            if head.starts_with(b"POST") {
                read_away(&mut stream);
                return;
            }
            if head.starts_with(b"GET /late") {
                eventually("the test lets it go", || late.load(Ordering::Acquire));
            }
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let config = format!(
        r#"
upstreams:
  back: {{servers: ["{}"], pool: {{idle: 0}}}}
apis:
  rest:
    kind: rest
    routes:
      "ANY /mock": {{integration: {{type: mock, status: 200, body: "{{}}"}}}}
      "ANY /{{proxy+}}": {{integration: {{type: http_proxy, uri: "http://back/{{proxy}}"}}}}
    stages: {{dev: {{}}}}
"#,
        backend.address()
    );
    let gateway = Gateway::start(&config, driver);
    (backend, gateway)
}

const STAGES: &[(&str, &[u8])] = &[
    ("connected only", b""),
    ("half a head", b"GET /dev/now HTTP/1.1\r\nHo"),
    ("within a body", b"POST /dev/now HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf"),
    ("within a chunk", b"POST /dev/now HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhal"),
    ("within a body that nobody wants", b"POST /dev/mock HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf"),
    (
        "before 100 Continue is used",
        b"POST /dev/now HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n",
    ),
    ("before the answer", b"GET /dev/late HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("within the answer", b"GET /dev/long HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("after the answer", b"GET /dev/now HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("after a refusal", b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("after nonsense", b"nonsense\r\n\r\n"),
    (
        "with a second request unread",
        b"GET /dev/late HTTP/1.1\r\nHost: a\r\n\r\nGET /dev/long HTTP/1.1\r\nHost: a\r\n\r\n",
    ),
];

#[test]
fn clients_that_leave_at_every_moment_leave_nothing() {
    on_both_drivers(|driver| {
        let late = Arc::new(AtomicBool::new(false));
        let (backend, gateway) = gateway(driver, &late);
        gateway.client().exchange("GET /dev/now HTTP/1.1\r\nHost: a\r\n\r\n").expect_status(200);
        eventually("it rests", || gateway.status()["connections"]["open"] == 0);
        let mut base = alive(&gateway);
        let since = Instant::now();
        eventually("its counts are fresh", || {
            base = alive(&gateway);
            since.elapsed() > Duration::from_millis(300)
        });
        println!("{}: at rest {base:?}", driver.name());
        for (stage, bytes) in STAGES {
            late.store(false, Ordering::Release);
            let accepted = gateway.status()["connections"]["accepted"].as_u64().expect("a number");
            let before = gateway.counter("tollgate_requests_total", &[]);
            let mut crowd: Vec<_> = (0..CROWD).map(|_| gateway.client()).collect();
            for client in &mut crowd {
                client.send(bytes);
            }
            eventually("all are in", || gateway.status()["connections"]["accepted"] == accepted + CROWD as u64);
            if bytes.windows(4).any(|four| four == b"\r\n\r\n") && !bytes.starts_with(b"nonsense") {
                let all = before + CROWD as f64 - 0.5;
                eventually("all have asked", || gateway.counter("tollgate_requests_total", &[]) > all);
            }
            if stage.starts_with("after") {
                for client in &mut crowd {
                    client.read_response();
                }
            }
            drop(crowd);
            late.store(true, Ordering::Release);
            let began = Instant::now();
            let mut now = alive(&gateway);
            let deadline = began + support::PATIENCE;
            while now != base {
                assert!(Instant::now() < deadline, "{stage}: {now:?} is left, {base:?} was before");
                std::thread::sleep(Duration::from_millis(5));
                now = alive(&gateway);
            }
            eventually("the backend is free", || backend.open() == 0);
            println!("{}: {stage}: nothing left after {:?}", driver.name(), began.elapsed());
        }
        assert_eq!(gateway.status()["panics"], 0);
        let mut client = gateway.client();
        client.exchange("GET /dev/mock HTTP/1.1\r\nHost: a\r\n\r\n").expect_status(200);
    });
}

/// A client that resets its connection while a backend thinks: nobody would read the answer, so the call is dropped.
#[test]
fn a_client_that_resets_frees_the_backend_at_once() {
    on_both_drivers(|driver| {
        let backend = Wild::new(|mut stream, _| while head(&mut stream).is_some() {});
        let config = one_way("", &format!("{{servers: [\"{}\"]}}", backend.address()));
        let gateway = Gateway::start(&config, driver);
        let mut client = std::net::TcpStream::connect(gateway.address()).expect("the gateway listens");
        std::io::Write::write_all(&mut client, b"GET /dev/x HTTP/1.1\r\nHost: a\r\n\r\n").expect("the gateway reads");
        eventually("the backend has it", || gateway.status()["upstream"]["inFlight"] == 1);
        wild::reset(client);
        eventually("nobody waits any more", || {
            let status = gateway.status();
            status["upstream"]["inFlight"] == 0 && status["connections"]["open"] == 0
        });
        assert!(gateway.counter("tollgate_faults_total", &[("fault", "client_gone")]) >= 1.0);
    });
}
