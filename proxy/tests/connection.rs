//! A client's connection: kept, closed, pipelined, half closed, and the old version; rows C10, C11 and F26, in raw bytes, on
//! both drivers.

mod support;

use std::io::Write as _;

use rustix::process::Signal;
use support::stage::BOTH_KINDS;
use support::{Backend, Client, Driver, Gateway, Reply, Stage, Theatre, eventually, on_both_drivers, shown};

static HOUSE: Theatre = Theatre::new(BOTH_KINDS);

const PLAIN: &str = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn a_connection_is_kept_until_somebody_says_close() {
    HOUSE.play(|stage| {
        let mut client = stage.client();
        for _ in 0..100 {
            let response = client.exchange(PLAIN);
            assert_eq!((response.status, response.header("Connection")), (200, None));
        }
        let response = client.exchange("GET /x HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n\r\n");
        assert_eq!((response.status, response.header("Connection")), (200, Some("close")));
        client.expect_close();
        let requests = stage.backend.take();
        assert_eq!(requests.len(), 101);
        assert!(requests.iter().all(|request| request.connection == requests[0].connection), "one pooled connection");
        // What follows a close is not looked at.
        let mut client = stage.client();
        client.send(format!("GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n{PLAIN}"));
        client.read_response().expect_status(200);
        client.expect_close();
        assert_eq!(stage.backend.take().len(), 1);
    });
}

#[test]
fn http10_closes_unless_it_asks_to_be_kept() {
    HOUSE.play(|stage| {
        let mut client = stage.client();
        let response = client.exchange("GET /x HTTP/1.0\r\nHost: a\r\n\r\n");
        assert_eq!(
            (&*response.version, response.status, response.header("Connection")),
            ("HTTP/1.1", 200, Some("close"))
        );
        client.expect_close();
        let mut client = stage.client();
        for _ in 0..3 {
            let response = client.exchange("GET /x HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
            assert_eq!((response.status, response.header("Connection")), (200, Some("keep-alive")));
        }
        client.exchange("POST /x HTTP/1.0\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nhi").expect_status(200);
        client.exchange("GET /x HTTP/1.0\r\nHost: a\r\nConnection: close\r\n\r\n").expect_status(200);
        client.expect_close();
        let requests = stage.backend.take();
        assert!(requests.iter().all(|request| request.version == "HTTP/1.1"));
        assert_eq!(requests[4].body, b"hi");
    });
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    HOUSE.play(|stage| {
        let requests = (0..50).map(|number| match number % 4 {
            0 => format!("GET /n{number} HTTP/1.1\r\nHost: a\r\n\r\n"),
            1 => format!("POST /n{number} HTTP/1.1\r\nHost: web.test\r\nContent-Length: 3\r\n\r\nabc"),
            2 => {
                format!("POST /n{number} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n")
            }
            _ => "GET /mock HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        });
        let mut client = stage.client();
        client.send(requests.collect::<String>());
        for number in 0..50 {
            let response = client.read_response();
            let expected = if number % 4 == 3 { "{}".to_owned() } else { format!("/n{number} HTTP/1.1") };
            assert!(response.text().contains(&expected), "{number}: {}", shown(&response.raw));
        }
        // A refusal in the middle ends it there.
        let mut client = stage.client();
        stage.backend.forget();
        client.send(format!("{PLAIN}GET /x HTTP/1.1\r\nHost : a\r\n\r\n{PLAIN}"));
        client.read_response().expect_status(200);
        client.read_response().expect_status(400);
        client.expect_close();
        assert_eq!(stage.backend.take().len(), 1);
    });
}

#[test]
fn c10_ten_thousand_pipelined_requests_take_bounded_memory() {
    HOUSE.play(|stage| {
        let mut client = stage.client();
        client.exchange("GET /mock HTTP/1.1\r\nHost: a\r\n\r\n").expect_status(200);
        let before = stage.gateway.rss();
        let mut sender = client.sender();
        let sending = std::thread::spawn(move || {
            let batch = "GET /mock HTTP/1.1\r\nHost: a\r\n\r\n".repeat(100);
            for _ in 0..100 {
                sender.write_all(batch.as_bytes()).expect("the gateway takes what it can answer");
            }
        });
        for _ in 0..10_000 {
            assert_eq!(client.read_response().body, b"{}");
        }
        sending.join().expect("everything was sent");
        let grown = stage.gateway.rss().saturating_sub(before);
        assert!(grown < 4_000_000, "{grown} bytes");
        assert!(client.is_still_open());
    });
}

#[test]
fn c10_a_client_that_reads_nothing_is_not_served_further() {
    HOUSE.play(|stage| {
        let body = "y".repeat(100_000);
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{body}");
        stage.backend.script(move |_| Reply::Bytes(answer.clone().into_bytes()));
        let before = stage.gateway.rss();
        let mut client = stage.client();
        client.send(PLAIN.repeat(10_000));
        // A gigabyte was asked for: what the sockets cannot hold waits unasked.
        let mut last = 0;
        eventually("the backend is left alone", || {
            let now = stage.backend.requests();
            let same = now == last && now > 0 && stage.counter("tollgate_requests_total", &[]) > 0.0;
            last = now;
            same && now == stage.backend.requests()
        });
        assert!(stage.backend.requests() < 2_000, "{}", stage.backend.requests());
        let grown = stage.gateway.rss().saturating_sub(before);
        assert!(grown < 12_000_000, "{grown} bytes");
        for _ in 0..200 {
            assert_eq!(client.read_response().body.len(), 100_000);
        }
    });
}

#[test]
fn c11_a_client_that_closes_its_half_gets_its_answers() {
    HOUSE.play(|stage| {
        for request in [
            PLAIN.to_owned(),
            "POST /x HTTP/1.1\r\nHost: web.test\r\nContent-Length: 5\r\n\r\nhello".to_owned(),
            "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n".to_owned(),
            "GET /mock HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
            PLAIN.repeat(3),
        ] {
            let mut client = stage.client();
            client.send(&request);
            client.finish();
            for _ in 0..request.matches("HTTP/1.1").count() {
                client.read_response().expect_status(200);
            }
            client.expect_close();
        }
        // Also while the backend still thinks.
        let (open, wait) = std::sync::mpsc::channel::<()>();
        let wait = std::sync::Mutex::new(wait);
        stage.backend.forget();
        stage.backend.script(move |_| {
            let _ = wait.lock().map(|wait| wait.recv());
            Reply::ok("late")
        });
        let mut client = stage.client();
        client.send(PLAIN);
        client.finish();
        eventually("the backend has the request", || stage.backend.requests() == 1);
        open.send(()).expect("the backend waits");
        assert_eq!(client.read_response().text(), "late");
        client.expect_close();
    });
}

#[test]
fn a_client_that_says_nothing_or_half_a_head_leaves_no_trace() {
    HOUSE.play(|stage| {
        let before = stage.refusals();
        for bytes in ["", "G", "GET /x HTTP/1.1\r\nHost: a\r\n", "\r\n"] {
            let mut client = stage.client();
            client.send(bytes);
            client.finish();
            client.expect_close();
        }
        eventually("nothing is open", || stage.gateway.status()["connections"]["open"] == 0);
        assert_eq!(stage.refusals(), before);
        assert_eq!(stage.backend.requests(), 0);
    });
}

#[test]
fn a_thousand_connections_are_counted_and_forgotten() {
    HOUSE.play(|stage| {
        let mut clients: Vec<Client> = (0..200).map(|_| stage.client()).collect();
        for client in &mut clients {
            client.exchange(PLAIN).expect_status(200);
        }
        eventually("all are idle", || stage.gateway.status()["connections"]["idle"] == 200);
        assert_eq!(stage.gateway.status()["connections"]["open"], 200);
        assert_eq!(
            stage.backend.connections(),
            stage.backend.take().iter().map(|request| request.connection + 1).max().unwrap_or(0)
        );
        drop(clients);
        eventually("none is left", || stage.gateway.status()["connections"]["open"] == 0);
        assert_eq!(stage.gateway.status()["connections"]["idle"], 0);
    });
}

/// A gateway with settings of its own.
fn with_limits(limits: &str, driver: Driver) -> Stage {
    Stage::new(&format!("gateway:\n  limits: {limits}\n{}", BOTH_KINDS.trim_start()), driver)
}

#[test]
fn a_connection_serves_as_many_requests_as_it_may() {
    on_both_drivers(|driver| {
        let stage = with_limits("{requests_per_connection: 3}", driver);
        let mut client = stage.client();
        client.send(PLAIN.repeat(5));
        assert_eq!(client.read_response().header("Connection"), None);
        assert_eq!(client.read_response().header("Connection"), None);
        assert_eq!(client.read_response().header("Connection"), Some("close"));
        client.expect_close();
        assert_eq!(stage.backend.requests(), 3);
    });
}

#[test]
fn an_idle_connection_ends_in_its_time() {
    on_both_drivers(|driver| {
        let stage = with_limits("{idle_time: 1s}", driver);
        let mut silent = stage.client();
        let mut client = stage.client();
        client.exchange(PLAIN).expect_status(200);
        client.expect_close();
        silent.expect_close();
        eventually("nothing is open", || stage.gateway.status()["connections"]["open"] == 0);
    });
}

#[test]
fn leaving_finishes_what_is_under_way() {
    on_both_drivers(|driver| {
        let (open, wait) = std::sync::mpsc::channel::<()>();
        let wait = std::sync::Mutex::new(wait);
        let backend = Backend::scripted(move |_| {
            let _ = wait.lock().map(|wait| wait.recv());
            Reply::ok("late")
        });
        let gateway = Gateway::start(&BOTH_KINDS.replace("{{backend}}", backend.address()), driver);
        let mut idle = gateway.client();
        idle.exchange("GET /mock HTTP/1.1\r\nHost: a\r\n\r\n").expect_status(200);
        let mut busy = gateway.client();
        busy.send(PLAIN);
        eventually("the backend has the request", || backend.requests() == 1);
        gateway.signal(Signal::TERM);
        idle.expect_close();
        open.send(()).expect("the backend waits");
        let response = busy.read_response();
        assert_eq!((&*response.text(), response.header("Connection")), ("late", Some("close")));
        busy.expect_close();
        assert!(gateway.wait_exit().success());
    });
}
