//! Servers that fail: who is let alone, what is sent again, what is refused, and what a reload keeps.
#![allow(clippy::float_cmp, reason = "counters are whole")]

mod support;
#[path = "support/wild.rs"]
mod wild;

use std::io::Write as _;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{Backend, Driver, Gateway, eventually, on_both_drivers};
use wild::{Hanging, Refusing, Wild, finish, head, read_away, reset};

const GET: &str = "GET /dev/x HTTP/1.1\r\nHost: a\r\n\r\n";
const POST: &str = "POST /dev/x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";

fn document(upstream: &str) -> String {
    format!(
        r#"
upstreams:
  back: {upstream}
apis:
  rest:
    kind: rest
    routes:
      "ANY /x": {{timeout: 5s, integration: {{type: http_proxy, uri: "http://back/x"}}}}
      "ANY /once": {{timeout: 5s, retry: off, integration: {{type: http_proxy, uri: "http://back/x"}}}}
      "ANY /hasty": {{timeout: 5s, retry: {{try_time: 500ms}}, integration: {{type: http_proxy, uri: "http://back/x"}}}}
    stages: {{dev: {{}}}}
"#
    )
}

fn servers(addresses: &[&str], more: &str) -> String {
    let listed: Vec<String> = addresses.iter().map(|address| format!("\"{address}\"")).collect();
    format!("{{servers: [{}]{more}}}", listed.join(", "))
}

fn start(addresses: &[&str], more: &str, driver: Driver) -> Gateway {
    Gateway::start(&document(&servers(addresses, more)), driver)
}

fn back(gateway: &Gateway) -> Value {
    gateway.status()["upstreams"]["back"].clone()
}

fn server(gateway: &Gateway, address: &str) -> Value {
    back(gateway)["servers"][address].clone()
}

/// A backend that takes a request, and then nothing more until it is let go.
struct Held {
    wild: Wild,
    gate: Arc<(Mutex<bool>, Condvar)>,
}

impl Held {
    fn new() -> Held {
        let gate: Arc<(Mutex<bool>, Condvar)> = Arc::default();
        let inside = gate.clone();
        let wild = Wild::new(move |mut stream, _| {
            while head(&mut stream).is_some() {
                let (open, bell) = &*inside;
                drop(bell.wait_while(open.lock().expect("no panic"), |open| !*open));
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            }
        });
        Held { wild, gate }
    }

    fn let_go(&self) {
        *self.gate.0.lock().expect("no panic") = true;
        self.gate.1.notify_all();
    }
}

#[test]
fn a_server_that_fails_is_let_alone_and_comes_back() {
    on_both_drivers(|driver| {
        let (refusing, backend) = (Refusing::new(), Backend::echo());
        let addresses = [refusing.address(), backend.address()];
        let gateway = start(&addresses, ", outlier: {failures: 3, time: 2s}", driver);
        let mut client = gateway.client();
        for _ in 0..6 {
            client.exchange(GET).expect_status(200);
        }
        eventually("the server is let alone", || server(&gateway, refusing.address())["health"] == "ejected");
        assert_eq!(server(&gateway, refusing.address())["ejections"], 1);
        assert_eq!(gateway.counter("tollgate_server_well", &[("server", refusing.address())]), 0.0);
        // Meanwhile nobody is sent there, and nothing is sent twice.
        let (repeated, failed) = (back(&gateway)["retries"].clone(), 3);
        for _ in 0..6 {
            client.exchange(GET).expect_status(200);
        }
        assert_eq!(
            (&back(&gateway)["retries"], back(&gateway)["faults"]["connect_failed"].clone()),
            (&repeated, failed.into())
        );
        eventually("its time is over", || server(&gateway, refusing.address())["health"] == "well");
        // One more failure is enough, and it lasts twice as long.
        eventually("it is let alone again", || {
            client.exchange(GET).expect_status(200);
            server(&gateway, refusing.address())["ejections"] == 2
        });
        assert_eq!(server(&gateway, refusing.address())["failures"], 4);
    });
}

#[test]
fn a_reload_keeps_who_is_let_alone_and_what_was_counted() {
    on_both_drivers(|driver| {
        let (refusing, backend) = (Refusing::new(), Backend::echo());
        let addresses = [refusing.address(), backend.address()];
        let gateway = start(&addresses, ", outlier: {failures: 1, time: 1h, time_max: 1h}", driver);
        let mut client = gateway.client();
        for _ in 0..2 {
            client.exchange(GET).expect_status(200);
        }
        assert_eq!(server(&gateway, refusing.address())["health"], "ejected");
        let third = Backend::echo();
        let more = servers(
            &[refusing.address(), backend.address(), third.address()],
            ", connect_time: 1s, outlier: {failures: 1, time: 1h, time_max: 1h}",
        );
        assert_eq!(gateway.reload(&document(&more))["ok"], true);
        let kept = server(&gateway, refusing.address());
        assert_eq!((&kept["health"], &kept["failures"]), (&"ejected".into(), &1.into()));
        for _ in 0..4 {
            client.exchange(GET).expect_status(200);
        }
        assert_eq!((backend.requests(), third.requests()), (4, 2));
        assert_eq!(backend.connections(), 1, "its connections stay as well");
        assert_eq!(gateway.reload(&document(&servers(&[backend.address()], "")))["ok"], true);
        client.exchange(GET).expect_status(200);
        assert!(server(&gateway, refusing.address()).is_null(), "{}", back(&gateway));
        assert_eq!(server(&gateway, backend.address())["requests"], 5);
    });
}

#[test]
fn too_few_are_well_and_all_are_used() {
    on_both_drivers(|driver| {
        let (refusing, backend) = (Refusing::new(), Backend::echo());
        let addresses = [refusing.address(), backend.address()];
        let more = ", panic: 60, retry: off, outlier: {failures: 1, time: 1h, time_max: 1h}";
        let gateway = start(&addresses, more, driver);
        let statuses: Vec<u16> = (0..6).map(|_| gateway.client().exchange(GET).status).collect();
        assert_eq!(
            statuses.iter().filter(|status| **status == 200).count(),
            3,
            "one of two is less than 60 %: {statuses:?}"
        );
        assert_eq!(server(&gateway, refusing.address())["health"], "ejected");
    });
}

#[test]
fn answers_count_where_that_is_asked_for() {
    on_both_drivers(|driver| {
        let bad = Backend::answering("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
        let good = Backend::echo();
        for (answers, expected) in [(false, "well"), (true, "ejected")] {
            let more = format!(", outlier: {{failures: 2, time: 1h, time_max: 1h, answers: {answers}}}");
            let gateway = start(&[bad.address(), good.address()], &more, driver);
            let mut client = gateway.client();
            let statuses: Vec<u16> = (0..8).map(|_| client.exchange(GET).status).collect();
            assert_eq!(server(&gateway, bad.address())["health"], expected, "{statuses:?}");
            assert!(statuses.contains(&503), "an answer is an answer: it is passed on");
        }
    });
}

/// Row C12, and the machine that goes while it works: the request goes to another one if that does no harm.
#[test]
fn c12_a_server_that_dies_at_work_costs_a_get_nothing() {
    on_both_drivers(|driver| {
        let dying = Wild::new(|mut stream, _| {
            let _ = head(&mut stream);
            reset(stream);
        });
        let partly = Wild::new(|mut stream, _| {
            let _ = head(&mut stream);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Le");
        });
        for broken in [&dying, &partly] {
            let backend = Backend::echo();
            let gateway = start(&[broken.address(), backend.address()], ", outlier: off", driver);
            for _ in 0..6 {
                gateway.client().exchange(GET).expect_status(200);
            }
            assert_eq!(back(&gateway)["retries"], 3);
            let statuses: Vec<u16> = (0..6).map(|_| gateway.client().exchange(POST).status).collect();
            assert_eq!(statuses.iter().filter(|status| **status == 504).count(), 3, "{statuses:?}");
            assert_eq!(back(&gateway)["retries"], 3, "a POST is never sent twice");
        }
    });
}

#[test]
fn nothing_is_sent_again_where_that_is_off() {
    on_both_drivers(|driver| {
        let (refusing, backend) = (Refusing::new(), Backend::echo());
        let gateway = start(&[refusing.address(), backend.address()], ", outlier: off, retry: off", driver);
        let statuses: Vec<u16> = (0..6).map(|_| gateway.client().exchange(GET).status).collect();
        assert_eq!(statuses.iter().filter(|status| **status == 504).count(), 3, "{statuses:?}");
    });
}

/// A route has the last word on attempts and their time; the budget is the upstream's.
#[test]
fn a_route_may_say_otherwise() {
    on_both_drivers(|driver| {
        let silent = Wild::new(|mut stream, _| {
            read_away(&mut stream);
        });
        let backend = Backend::echo();
        let gateway = start(&[silent.address(), backend.address()], ", outlier: off, retry: {try_time: 10s}", driver);
        let get = |path: &str| gateway.client().exchange(format!("GET /dev/{path} HTTP/1.1\r\nHost: a\r\n\r\n")).status;
        let began = Instant::now();
        assert_eq!([get("hasty"), get("hasty"), get("hasty"), get("hasty")], [200; 4]);
        assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
        assert!(back(&gateway)["retries"].as_u64() >= Some(2), "{}", back(&gateway));
        let refusing = Refusing::new();
        let more = servers(&[refusing.address(), backend.address()], ", outlier: off");
        assert_eq!(gateway.reload(&document(&more))["ok"], true);
        let mut statuses = [get("once"), get("once")];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 504]);
        assert_eq!([get("x"), get("x")], [200; 2]);
    });
}

#[test]
fn the_budget_bounds_what_is_sent_again() {
    on_both_drivers(|driver| {
        let dying = Wild::new(|mut stream, _| {
            let _ = head(&mut stream);
            reset(stream);
        });
        let backend = Backend::echo();
        let more = ", outlier: off, retry: {budget: 0, per_second: 0}";
        let gateway = start(&[dying.address(), backend.address()], more, driver);
        let statuses: Vec<u16> = (0..6).map(|_| gateway.client().exchange(GET).status).collect();
        assert_eq!(statuses.iter().filter(|status| **status == 504).count(), 3, "{statuses:?}");
        assert_eq!((&back(&gateway)["retries"], &back(&gateway)["retriesDenied"]), (&0.into(), &3.into()));
    });
}

#[test]
fn an_attempt_has_a_time_of_its_own() {
    on_both_drivers(|driver| {
        let silent = Wild::new(|mut stream, _| {
            read_away(&mut stream);
        });
        let backend = Backend::echo();
        let more = ", outlier: off, retry: {try_time: 1s}";
        let gateway = start(&[silent.address(), backend.address()], more, driver);
        for _ in 0..4 {
            let began = Instant::now();
            gateway.client().exchange(GET).expect_status(200);
            assert!(began.elapsed() < Duration::from_secs(4), "the route's time is 5 s");
        }
        // Two; more, where the machine let the other backend wait.
        assert!(back(&gateway)["faults"]["answer_timed_out"].as_u64() >= Some(2), "{}", back(&gateway));
        // What may have been done is not done again.
        let statuses: Vec<u16> = (0..2).map(|_| gateway.client().exchange(POST).status).collect();
        assert_eq!(statuses.iter().filter(|status| **status == 504).count(), 1, "{statuses:?}");
    });
}

/// Refusals of `breaker_open`, by the limit.
fn refused(gateway: &Gateway, limit: &str) -> f64 {
    gateway.counter("tollgate_upstream_refused_total", &[("upstream", "back"), ("limit", limit)])
}

#[test]
fn a_breaker_bounds_the_whole_process() {
    for limit in ["connections", "requests"] {
        on_both_drivers(|driver| {
            let held = Held::new();
            let config = document(&servers(&[held.wild.address()], &format!(", breaker: {{{limit}: 3}}")));
            let gateway = Gateway::start(&format!("gateway:\n  workers: 3\n{config}"), driver);
            let mut inside: Vec<_> = (0..3).map(|_| gateway.client()).collect();
            for client in &mut inside {
                client.send(GET);
            }
            eventually("three are with the backend", || held.wild.connections() == 3);
            for turn in 1..=8 {
                let response = gateway.client().exchange(GET);
                assert_eq!(response.expect_status(503).header("Retry-After"), Some("1"));
                assert_eq!(refused(&gateway, limit), f64::from(turn));
            }
            let faults = || gateway.counter("tollgate_faults_total", &[("fault", "breaker_open")]);
            eventually("they are counted as faults", || faults() == 8.0);
            assert_eq!(held.wild.connections(), 3, "whichever worker they came to");
            held.let_go();
            for client in &mut inside {
                client.read_response().expect_status(200);
            }
            assert_eq!(inside[0].exchange(GET).status, 200, "there is room again");
        });
    }
}

/// A connect that hangs is a request that waits: beyond the limit nobody joins it.
#[test]
fn a_breaker_bounds_those_who_wait_for_a_connection() {
    on_both_drivers(|driver| {
        let hanging = Hanging::new();
        let more = ", connect_time: 1s, retry: off, breaker: {pending: 2}";
        let gateway = start(&[&hanging.address()], more, driver);
        let mut waiting = [gateway.client(), gateway.client()];
        for client in &mut waiting {
            client.send(GET);
        }
        eventually("two wait", || back(&gateway)["connections"] == 2);
        for turn in 1..=3 {
            gateway.client().exchange(GET).expect_status(503);
            assert_eq!(refused(&gateway, "pending"), f64::from(turn));
        }
        for client in &mut waiting {
            client.read_response().expect_status(504);
        }
        eventually("nothing is left of them", || back(&gateway)["connections"] == 0);
        assert_eq!(back(&gateway)["faults"]["connect_timed_out"], 2);
    });
}

/// Each way of breaking the protocol has a counter of its own and a line in the status (rows F29, R14).
#[test]
fn r14_bad_answers_are_told_apart() {
    let endless = |first: &'static str, more: &'static str| {
        Wild::new(move |mut stream, _| {
            let _ = head(&mut stream);
            let _ = stream.write_all(first.as_bytes());
            while stream.write_all(more.as_bytes()).is_ok() {}
        })
    };
    let says = |bytes: String| {
        Wild::new(move |mut stream, _| {
            let _ = head(&mut stream);
            let _ = stream.write_all(bytes.as_bytes());
            finish(&stream);
            read_away(&mut stream);
        })
    };
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    on_both_drivers(|driver| {
        let cases = [
            (endless("HTTP/1.1 200 OK\r\n", "X: aaaaaaaaaaaaaaaa\r\n"), 502),
            (endless("HTTP/1.1 200 OK\r\nX: ", "aaaaaaaaaaaaaaaa"), 502),
            (endless("", "HTTP/1.1 100 Continue\r\n\r\n"), 502),
            (says("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n".into()), 502),
            (says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhey".into()), 502),
            (says(format!("{chunked}5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(100_000))), 0),
            (says(format!("{chunked}5\r\nhello\r\n0\r\n{}\r\n", "X: a\r\n".repeat(20_000))), 0),
            (says(format!("{chunked}ffffffffffffffffff\r\n")), 502),
        ];
        let mut ways = std::collections::BTreeSet::new();
        for (number, (backend, status)) in cases.iter().enumerate() {
            let gateway = start(&[backend.address()], "", driver);
            let mut client = gateway.client();
            client.send(GET);
            let told = client.read_until(b"\r\n");
            let told = String::from_utf8_lossy(&told).into_owned();
            // 0: the head may have left before the fault came.
            assert!(*status == 0 || told.starts_with(&format!("HTTP/1.1 {status} ")), "case {number}: {told}");
            let bad = || back(&gateway)["badAnswers"].as_object().expect("counters").clone();
            eventually("it is counted", || !bad().is_empty());
            let (how, count) = bad().into_iter().next().expect("one");
            assert_eq!((bad().len(), count), (1, Value::from(1)), "case {number}");
            let labels = [("upstream", "back"), ("how", how.as_str())];
            assert_eq!(gateway.counter("tollgate_upstream_bad_answers_total", &labels), 1.0);
            assert_eq!(back(&gateway)["faults"]["bad_answer"], 1);
            eventually("the connection is not used again", || back(&gateway)["connections"] == 0);
            println!("case {number}: {how}");
            ways.insert(how);
        }
        assert!(ways.len() >= 6, "{ways:?}");
    });
}
