//! Backends that break: what the client is told, what is counted, and that no broken connection serves again (rows F29, C12,
//! R14, IN-13).
#![allow(clippy::cast_precision_loss, reason = "what a test counts is small")]

mod support;
#[path = "support/wild.rs"]
mod wild;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use support::stage::No;
use support::{Backend, Driver, Gateway, Reply, eventually, on_both_drivers, shown};
use wild::{Hanging, Refusing, Wild, finish, head, read_away, reset};

/// A gateway in front of these servers. `/r` is a REST API, `/h` an HTTP API.
fn gateway(servers: &[&str], driver: Driver) -> Gateway {
    gateway_with("1s", servers, driver)
}

/// The same, that waits so long for more of a body.
fn gateway_with(body_idle_time: &str, servers: &[&str], driver: Driver) -> Gateway {
    let servers: Vec<String> = servers.iter().map(|server| format!("\"{server}\"")).collect();
    let routes = r#"
      "ANY /x": {integration: {type: http_proxy, uri: "http://back/x"}}
      "ANY /quick": {timeout: 200ms, integration: {type: http_proxy, uri: "http://back/x"}}
      "ANY /as-get": {integration: {type: http_proxy, method: GET, uri: "http://back/x"}}
      "ANY /as-head": {integration: {type: http_proxy, method: HEAD, uri: "http://back/x"}}"#;
    let config = format!(
        r#"
gateway:
  limits: {{body_idle_time: {body_idle_time}}}
upstreams:
  back: {{servers: [{}]}}
apis:
  rest:
    kind: rest
    routes:{routes}
    stages: {{dev: {{}}}}
  http:
    kind: http
    routes:{routes}
    stages: {{$default: {{}}}}
domains:
  "*": {{mappings: {{/r: rest/dev, /h: http/$default}}}}
"#,
        servers.join(", ")
    );
    Gateway::start(&config, driver)
}

const GET: &str = "HTTP/1.1\r\nHost: a\r\n\r\n";

const NETWORK: [No; 2] = [
    No {
        status: 504,
        message: "Network error communicating with endpoint",
        error_type: Some("InternalServerErrorException"),
    },
    No { status: 503, message: "Service Unavailable", error_type: None },
];
const TIMED_OUT: [No; 2] = [
    No { status: 504, message: "Endpoint request timed out", error_type: Some("InternalServerErrorException") },
    No { status: 503, message: "Service Unavailable", error_type: None },
];
const BAD: [No; 2] = [
    No { status: 502, message: "Internal server error", error_type: Some("InternalServerErrorException") },
    No { status: 502, message: "Internal Server Error", error_type: None },
];

fn fault(gateway: &Gateway, name: &str) -> f64 {
    gateway.counter("tollgate_faults_total", &[("fault", name)])
}

/// Faults are counted after the answer was sent.
fn fault_is(gateway: &Gateway, name: &str, value: f64) {
    eventually(&format!("fault {name} is counted"), || {
        let now = fault(gateway, name);
        assert!(now <= value, "{name}: {now} instead of {value}");
        (now - value).abs() < 0.5
    });
}

/// Nothing is left of a failed call.
fn nothing_open(gateway: &Gateway) {
    eventually("no connection to the backend is left", || gateway.status()["upstream"]["open"] == 0);
    assert_eq!(gateway.status()["upstream"]["idle"], 0);
}

/// Asks both kinds; the answers are `no`, the fault is counted, the client's connection lives on, and the backend's does not.
fn both_kinds_are_told(gateway: &Gateway, path: &str, no: &[No; 2], name: &str) {
    let before = fault(gateway, name);
    for (turn, (kind, no)) in ["r", "h"].iter().zip(no).enumerate() {
        let mut client = gateway.client();
        no.check(&client.exchange(format!("GET /{kind}/{path} {GET}")));
        fault_is(gateway, name, before + turn as f64 + 1.0);
        nothing_open(gateway);
        assert!(client.is_still_open(), "a backend's fault costs the client nothing");
    }
}

/// A backend that reads each head and then does this.
fn after_head(act: impl Fn(TcpStream) + Send + Sync + 'static) -> Wild {
    Wild::new(move |mut stream, _| {
        if head(&mut stream).is_some() {
            act(stream);
        }
    })
}

/// Sends bytes, whatever becomes of them, and ends in good order.
fn says(bytes: impl Into<Vec<u8>>) -> Wild {
    let bytes = bytes.into();
    after_head(move |mut stream| {
        let _ = stream.write_all(&bytes);
        finish(&stream);
        read_away(&mut stream);
    })
}

#[test]
fn a_refused_connection_is_a_network_error() {
    on_both_drivers(|driver| {
        let refusing = Refusing::new();
        let gateway = gateway(&[refusing.address()], driver);
        both_kinds_are_told(&gateway, "x", &NETWORK, "connect_failed");
        assert!(gateway.counter("tollgate_upstream_connects_total", &[]) < 0.5);
    });
}

#[test]
fn a_close_before_the_answer_is_a_network_error() {
    on_both_drivers(|driver| {
        for backend in [after_head(drop), after_head(reset), says("")] {
            let gateway = gateway(&[backend.address()], driver);
            both_kinds_are_told(&gateway, "x", &NETWORK, "closed_before_answer");
            assert_eq!(backend.connections(), 2, "a fresh connection that fails is not tried again");
        }
    });
}

#[test]
fn a_close_at_accept_is_a_network_error() {
    on_both_drivers(|driver| {
        let backend = Wild::new(|stream, _| reset(stream));
        let gateway = gateway(&[backend.address()], driver);
        // The reset may beat the end of the connect, or the request.
        for _ in 0..10 {
            NETWORK[0].check(&gateway.client().exchange(format!("GET /r/x {GET}")));
        }
        nothing_open(&gateway);
    });
}

#[test]
fn a_close_within_the_head_is_a_network_error() {
    on_both_drivers(|driver| {
        for part in ["H", "HTTP/1.1 200 OK\r\nContent-Le", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"] {
            let backend = says(part);
            let gateway = gateway(&[backend.address()], driver);
            both_kinds_are_told(&gateway, "x", &NETWORK, "closed_in_head");
        }
    });
}

#[test]
fn silence_is_a_time_out_within_the_routes_time() {
    on_both_drivers(|driver| {
        let backend = after_head(|mut stream| {
            read_away(&mut stream);
        });
        let gateway = gateway(&[backend.address()], driver);
        let began = Instant::now();
        both_kinds_are_told(&gateway, "quick", &TIMED_OUT, "answer_timed_out");
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(400), "two requests of 200 ms took {took:?}");
        assert_eq!(backend.connections(), 2, "a slow backend is not asked again");
    });
}

#[test]
fn bytes_that_drip_do_not_prolong_the_time() {
    on_both_drivers(|driver| {
        let backend = after_head(|mut stream| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nX: ");
            // A byte, and then the next one unless the gateway has closed meanwhile.
            stream.set_read_timeout(Some(Duration::from_millis(10))).expect("a socket");
            while !matches!(stream.read(&mut [0]), Ok(0)) && stream.write_all(b"a").is_ok() {}
        });
        let gateway = gateway(&[backend.address()], driver);
        both_kinds_are_told(&gateway, "quick", &TIMED_OUT, "answer_timed_out");
    });
}

#[test]
fn a_connect_that_hangs_ends_with_the_routes_time() {
    on_both_drivers(|driver| {
        let hanging = Hanging::new();
        let gateway = gateway(&[&hanging.address()], driver);
        let began = Instant::now();
        both_kinds_are_told(&gateway, "quick", &TIMED_OUT, "connect_timed_out");
        // connect_time is 5 s, and there may be two attempts: both are within the route's 200 ms.
        let took = began.elapsed();
        assert!(took < Duration::from_secs(4), "{took:?}");
    });
}

#[test]
fn what_is_not_http_is_a_bad_answer() {
    let flood = || {
        after_head(|mut stream| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
            while stream.write_all(b"X-Padding: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n").is_ok() {}
        })
    };
    let line = || {
        after_head(|mut stream| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nX: ");
            while stream.write_all(&[b'a'; 4096]).is_ok() {}
        })
    };
    on_both_drivers(|driver| {
        let said: Vec<Wild> = [
            "SSH-2.0-OpenSSH_9.9\r\n\r\n",
            "HTTP/2.0 200 OK\r\n\r\n",
            "HTTP/1.1 99 What\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhey",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n folded\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        ]
        .into_iter()
        .map(says)
        .collect();
        for backend in said.into_iter().chain([flood(), line()]) {
            let gateway = gateway(&[backend.address()], driver);
            both_kinds_are_told(&gateway, "x", &BAD, "bad_answer");
        }
    });
}

#[test]
fn eight_interim_answers_pass_and_nine_do_not() {
    let early = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n";
    let last = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    on_both_drivers(|driver| {
        let backend = Wild::answering(early.repeat(8) + last);
        let gateway_of_eight = gateway(&[backend.address()], driver);
        for _ in 0..3 {
            let response = gateway_of_eight.client().exchange(format!("GET /r/x {GET}"));
            assert_eq!(response.expect_status(200).text(), "ok");
            assert_eq!(response.header("Link"), None, "interim answers are not passed on");
        }
        assert_eq!(backend.connections(), 1, "they are no fault");
        let backend = Wild::answering(early.repeat(9) + last);
        both_kinds_are_told(&gateway(&[backend.address()], driver), "x", &BAD, "bad_answer");
    });
}

/// The client has the head of a 200 and then not the whole body; the fault is counted; nothing is pooled.
fn the_answer_is_cut(backend: &Wild, driver: Driver, name: &str) {
    // A backend that is kept from its processor for a second does not stall.
    let idle = if name == "answer_stalled" { "1s" } else { "8s" };
    let gateway = gateway_with(idle, &[backend.address()], driver);
    for turn in 1..=2 {
        let mut client = gateway.client();
        client.send(format!("GET /r/x {GET}"));
        let head = client.read_until(b"\r\n\r\n");
        assert!(head.starts_with(b"HTTP/1.1 200 "), "{}", shown(&head));
        let rest = client.read_to_end();
        let text = String::from_utf8_lossy(&rest);
        if support::find(&head, b"Transfer-Encoding: chunked").is_some() {
            assert!(!text.contains("0\r\n\r\n"), "an end that the backend never sent: {text}");
        } else {
            assert!(support::find(&head, b"Content-Length: 10").is_some(), "{}", shown(&head));
            assert!(rest.len() < 10, "{text}");
        }
        fault_is(&gateway, name, f64::from(turn));
        nothing_open(&gateway);
    }
}

#[test]
fn an_answer_that_dies_is_never_ended_for_it() {
    on_both_drivers(|driver| {
        the_answer_is_cut(&says("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"), driver, "answer_cut_short");
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
        the_answer_is_cut(&says(chunked), driver, "answer_cut_short");
        the_answer_is_cut(&says(format!("{chunked}0\r\n")), driver, "answer_cut_short");
    });
}

#[test]
fn a_body_that_begins_badly_is_a_bad_answer() {
    on_both_drivers(|driver| {
        let backend = says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
        both_kinds_are_told(&gateway(&[backend.address()], driver), "x", &BAD, "bad_answer");
    });
}

#[test]
fn a_body_that_goes_on_badly_is_cut() {
    on_both_drivers(|driver| {
        let (go, wait) = mpsc::channel::<()>();
        let wait = std::sync::Mutex::new(wait);
        let backend = after_head(move |mut stream| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
            let _ = wait.lock().expect("one user").recv();
            let _ = stream.write_all(b"zz\r\n0\r\n\r\n");
            read_away(&mut stream);
        });
        let gateway = gateway(&[backend.address()], driver);
        let mut client = gateway.client();
        client.send(format!("GET /r/x {GET}"));
        client.read_until(b"hello\r\n");
        go.send(()).expect("the backend waits");
        assert_eq!(client.read_to_end(), b"");
        fault_is(&gateway, "bad_answer", 1.0);
        nothing_open(&gateway);
    });
}

#[test]
fn an_answer_that_is_reset_is_cut() {
    let resets_after = |text: &'static str| {
        after_head(move |mut stream| {
            let _ = stream.write_all(text.as_bytes());
            // The reset may not overtake the bytes: they are acknowledged when nothing is left in the queue.
            eventually("they are acknowledged", || unsent(&stream) == 0);
            reset(stream);
        })
    };
    on_both_drivers(|driver| {
        let length = resets_after("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
        the_answer_is_cut(&length, driver, "answer_cut_short");
        let until_close = resets_after("HTTP/1.1 200 OK\r\n\r\nhello");
        the_answer_is_cut(&until_close, driver, "answer_cut_short");
    });
}

/// Bytes that the other side's kernel has not yet taken.
fn unsent(stream: &TcpStream) -> u64 {
    let path = format!("/proc/{}/net/tcp", std::process::id());
    let table = std::fs::read_to_string(path).unwrap_or_default();
    let (Ok(local), Ok(peer)) = (stream.local_addr(), stream.peer_addr()) else { return 0 };
    let hex = |address: std::net::SocketAddr| format!("0100007F:{:04X}", address.port());
    let key = format!("{} {} ", hex(local), hex(peer));
    let line = table.lines().find(|line| line.contains(&key));
    let queue = line.and_then(|line| line.split_whitespace().nth(4)?.split_once(':').map(|(tx, _)| tx.to_owned()));
    queue.and_then(|tx| u64::from_str_radix(&tx, 16).ok()).unwrap_or(0)
}

#[test]
fn an_answer_that_stalls_is_cut() {
    on_both_drivers(|driver| {
        let backend = after_head(|mut stream| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
            read_away(&mut stream);
        });
        the_answer_is_cut(&backend, driver, "answer_stalled");
    });
}

#[test]
fn an_answer_until_close_reaches_its_end() {
    on_both_drivers(|driver| {
        let backend = says("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nhello");
        let gateway = gateway(&[backend.address()], driver);
        let mut client = gateway.client();
        for _ in 0..2 {
            let response = client.exchange(format!("GET /r/x {GET}"));
            assert_eq!((response.expect_status(200).text().as_str(), response.framing), ("hello", "chunked"));
        }
        // HTTP/1.0 knows no chunks.
        let response = gateway.client().exchange("GET /r/x HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
        assert_eq!((response.expect_status(200).text().as_str(), response.framing), ("hello", "close"));
        assert_eq!(backend.connections(), 3, "none of them can be used again");
        nothing_open(&gateway);
    });
}

/// Answers the first request of each connection, and closes when the second arrives.
fn closes_at_the_second() -> Backend {
    Backend::scripted(|request| match (request.turn, request.method.as_str()) {
        (0, "HEAD") => Reply::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n".to_vec()),
        (0, _) => Reply::ok(b"ok"),
        _ => Reply::Close,
    })
}

#[test]
fn a_stale_connection_costs_a_get_nothing() {
    on_both_drivers(|driver| {
        let backend = closes_at_the_second();
        let gateway = gateway(&[backend.address()], driver);
        let mut client = gateway.client();
        for request in ["GET /r/x", "GET /r/x", "HEAD /r/x", "OPTIONS /r/x", "DELETE /r/x", "PUT /h/x"] {
            client.send(format!("{request} {GET}"));
            let response = client.try_response(request.starts_with("HEAD")).expect("an answer");
            assert_eq!(response.status, 200, "{request}");
        }
        assert!((gateway.counter("tollgate_upstream_retries_total", &[]) - 5.0).abs() < 0.5);
        assert!(fault(&gateway, "closed_before_answer") < 0.5, "the client saw none of it");
        assert_eq!(backend.connections(), 6);
    });
}

#[test]
fn a_stale_connection_is_an_error_where_repeating_is_not_safe() {
    on_both_drivers(|driver| {
        let backend = closes_at_the_second();
        let gateway = gateway(&[backend.address()], driver);
        let mut failed = 0.0;
        for request in [
            "POST /r/x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
            "PATCH /r/x HTTP/1.1\r\nHost: a\r\n\r\n",
            "POST /r/x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi",
            "PUT /r/x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi",
            "DELETE /r/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        ] {
            let before = backend.connections();
            gateway.client().exchange(format!("GET /r/x {GET}")).expect_status(200);
            eventually("the connection is pooled", || gateway.status()["upstream"]["idle"] == 1);
            NETWORK[0].check(&gateway.client().exchange(request));
            failed += 1.0;
            fault_is(&gateway, "closed_before_answer", failed);
            assert_eq!(backend.connections(), before + 1, "it was sent again: {request}");
        }
        assert!(gateway.counter("tollgate_upstream_retries_total", &[]) < 0.5);
    });
}

#[test]
fn an_idle_connection_that_closes_is_forgotten() {
    on_both_drivers(|driver| {
        let backend = Backend::echo();
        let gateway = gateway(&[backend.address()], driver);
        for turn in 1..=3 {
            gateway.client().exchange(format!("POST /r/x {GET}")).expect_status(200);
            assert_eq!(backend.connections(), turn);
            backend.hang_up();
            nothing_open(&gateway);
        }
        assert!(gateway.counter("tollgate_upstream_retries_total", &[]) < 0.5);
    });
}

#[test]
fn an_idle_connection_that_speaks_is_never_used() {
    let evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    on_both_drivers(|driver| {
        let (speak, told) = mpsc::channel::<()>();
        let told = std::sync::Mutex::new(told);
        let backend = Wild::new(move |mut stream, number| {
            let _ = head(&mut stream);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood");
            if number == 0 {
                let _ = told.lock().expect("one user").recv();
                let _ = stream.write_all(evil.as_bytes());
            }
            read_away(&mut stream);
        });
        let gateway = gateway(&[backend.address()], driver);
        assert_eq!(gateway.client().exchange(format!("GET /r/x {GET}")).text(), "good");
        eventually("the connection is pooled", || gateway.status()["upstream"]["idle"] == 1);
        speak.send(()).expect("the backend waits");
        nothing_open(&gateway);
        assert_eq!(gateway.client().exchange(format!("GET /r/x {GET}")).text(), "good");
        assert_eq!(backend.connections(), 2);
    });
}

#[test]
fn bytes_behind_an_answer_are_nobodys() {
    on_both_drivers(|driver| {
        for answer in [
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngoodHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 204 No Content\r\n\r\nevil",
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\nevil",
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\ngood",
            "HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\ngood",
        ] {
            let backend = Wild::answering(answer);
            let gateway = gateway(&[backend.address()], driver);
            let mut client = gateway.client();
            for turn in 1..=3 {
                let response = client.exchange(format!("GET /r/x {GET}"));
                assert!(["good", ""].contains(&response.text().as_str()), "{}", shown(&response.raw));
                assert_eq!(backend.connections(), turn, "used again after {answer:?}");
            }
            nothing_open(&gateway);
        }
    });
}

#[test]
fn another_server_takes_over() {
    on_both_drivers(|driver| {
        let (refusing, backend) = (Refusing::new(), Backend::echo());
        let gateway = gateway(&[refusing.address(), backend.address()], driver);
        let mut client = gateway.client();
        for _ in 0..10 {
            client.exchange("POST /r/x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi").expect_status(200);
            client.exchange(format!("GET /h/x {GET}")).expect_status(200);
        }
        let retries = gateway.counter("tollgate_upstream_retries_total", &[]);
        assert!(retries >= 1.0, "the first server was asked, too");
        assert!(fault(&gateway, "connect_failed") < 0.5, "no client was told");
        assert_eq!(backend.requests(), 20);
    });
}

#[test]
fn a_full_pool_says_so_at_once() {
    on_both_drivers(|driver| {
        let (go, wait) = mpsc::channel::<()>();
        let wait = std::sync::Mutex::new(wait);
        let backend = Wild::new(move |mut stream, _| {
            while head(&mut stream).is_some() {
                let _ = wait.lock().expect("one user").recv();
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            }
        });
        let config = format!(
            "upstreams:\n  back: {{servers: [\"{}\"], pool: {{connections: 1}}}}\napis:\n  rest:\n    kind: rest\n    \
             routes:\n      \"GET /x\": {{integration: {{type: http_proxy, uri: \"http://back/x\"}}}}\n    stages: {{dev: {{}}}}\n",
            backend.address()
        );
        let gateway = Gateway::start(&config, driver);
        let mut first = gateway.client();
        first.send(format!("GET /dev/x {GET}"));
        eventually("the first is with the backend", || backend.connections() == 1);
        let response = gateway.client().exchange(format!("GET /dev/x {GET}"));
        assert_eq!(response.expect_status(503).header("Retry-After"), Some("1"));
        fault_is(&gateway, "pool_exhausted", 1.0);
        go.send(()).expect("the backend waits");
        first.read_response().expect_status(200);
    });
}

#[test]
fn a_method_of_the_integrations_own_keeps_the_framing_whole() {
    on_both_drivers(|driver| {
        let backend = Backend::scripted(|request| match request.method.as_str() {
            "HEAD" => Reply::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n".to_vec()),
            _ => Reply::ok(b"hello"),
        });
        let gateway = gateway(&[backend.address()], driver);
        let mut client = gateway.client();
        for _ in 0..2 {
            // The backend's body must not stand where the client expects the next answer.
            client.send(format!("HEAD /r/as-get {GET}"));
            let response = client.read_response_to_head();
            assert_eq!(response.expect_status(200).header("Content-Length"), Some("5"));
            // And there must be an end where the client expects a body.
            let response = client.exchange(format!("GET /r/as-head {GET}"));
            assert_eq!((response.expect_status(200).text().as_str(), response.framing), ("", "length"));
        }
        assert!(client.is_still_open());
    });
}

/// An HTTP/1.0 client knows no chunks: only the close ends such an answer for it. One that was cut ends with a reset.
#[test]
fn a_cut_answer_whose_end_is_the_close_is_reset() {
    on_both_drivers(|driver| {
        let backend = says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
        let gateway = gateway(&[backend.address()], driver);
        let mut client = TcpStream::connect(gateway.address()).expect("the gateway listens");
        client.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket");
        client.write_all(b"GET /r/x HTTP/1.0\r\nHost: a\r\n\r\n").expect("the gateway reads");
        let mut all = Vec::new();
        let error = client.read_to_end(&mut all).expect_err("an end that the backend never sent");
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "after {}", shown(&all));
        nothing_open(&gateway);
    });
}
