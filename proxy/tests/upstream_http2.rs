//! HTTP/2 towards backends: many requests on one connection, in clear text and agreed on by TLS; limits, goodbyes, refusals, resets and
//! flow control; on both drivers.

#[path = "support/h2_backend.rs"]
mod h2_backend;
mod support;
#[path = "support/tls.rs"]
mod tls;
#[path = "support/tls_backend.rs"]
mod tls_backend;

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use h2::Reason;
use h2_backend::{Call, H2Backend, Ways};
use support::gateway::new_folder;
use support::{Client, Driver, Gateway, eventually, on_both_drivers};
use tls::Identity;
use tls_backend::{Manner, TlsBackend};
use tokio::sync::Semaphore;

const GET: &str = "GET /x?a=b HTTP/1.1\r\nHost: a\r\nX-Mine: 1\r\nConnection: keep-alive\r\n\r\n";

fn document(server: &str, settings: &str) -> String {
    format!(
        r#"
upstreams:
  back: {{servers: ["{server}"], {settings}}}
apis:
  web:
    kind: http
    routes:
      "ANY /x": {{integration: {{type: http_proxy, uri: "http://back/x"}}}}
    stages: {{$default: {{}}}}
"#
    )
}

fn ask(client: &mut Client, bytes: &str) -> support::Response {
    client.send(bytes);
    client.read_response()
}

fn all_ask(clients: &mut [Client]) {
    for client in clients {
        client.send(GET);
    }
}

fn all_answered(clients: &mut [Client]) {
    for client in clients {
        client.read_response().expect_status(200);
    }
}

fn fault(gateway: &Gateway, name: &str) -> u64 {
    gateway.status()["upstreams"]["back"]["faults"][name].as_u64().unwrap_or(0)
}

async fn echo(mut call: Call) {
    let (body, _) = call.body().await;
    call.ok(body);
}

#[test]
fn requests_share_a_connection_and_say_what_http2_wants() {
    on_both_drivers(|driver| {
        let backend = H2Backend::start(echo);
        let gateway = Gateway::start(&document(&backend.address(), "protocol: http2"), driver);
        let mut clients: Vec<Client> = (0..8).map(|_| gateway.client()).collect();
        for _ in 0..5 {
            all_ask(&mut clients);
            all_answered(&mut clients);
        }
        let (seen, connections) = (backend.take(), backend.connections());
        assert_eq!((seen.len(), connections), (40, 1));
        let (_, head) = &seen[0];
        assert_eq!(head.uri.to_string(), "http://back/x?a=b");
        assert_eq!(head.headers.get("x-mine").map(http::HeaderValue::as_bytes), Some(&b"1"[..]));
        for gone in ["host", "connection", "te", "transfer-encoding"] {
            assert!(head.headers.get(gone).is_none(), "{gone}: {head:?}");
        }
        let status = gateway.status();
        assert_eq!(status["upstreams"]["back"]["connections"], 1);
        assert_eq!(status["upstreams"]["back"]["servers"][backend.address()]["inFlight"], 0);
    });
}

#[test]
fn bodies_pass_in_both_directions_beyond_every_window() {
    on_both_drivers(|driver| {
        let backend = H2Backend::start(|mut call: Call| async move {
            let mut out = call.respond(&[], false);
            while let Some(bytes) = call.next().await {
                let mut rest = bytes;
                while !rest.is_empty() {
                    out.reserve_capacity(rest.len());
                    let room = std::future::poll_fn(|context| out.poll_capacity(context)).await;
                    let Some(Ok(room)) = room else { return };
                    let _ = out.send_data(rest.split_to(room.min(rest.len())), false);
                }
            }
            let _ = out.send_data(Vec::new().into(), true);
        });
        let gateway = Gateway::start(&document(&backend.address(), "protocol: http2"), driver);
        let body: Vec<u8> = (0..3_145_728u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        thread::scope(|scope| {
            for chunked in [false, true] {
                let (gateway, body) = (&gateway, &body);
                scope.spawn(move || {
                    let mut client = gateway.client();
                    let mut sender = client.sender();
                    scope.spawn(move || {
                        use std::io::Write as _;
                        let head = if chunked {
                            "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned()
                        } else {
                            format!("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len())
                        };
                        sender.write_all(head.as_bytes()).expect("the gateway takes it");
                        for piece in body.chunks(50_000) {
                            if chunked {
                                sender.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).expect("taken");
                            }
                            sender.write_all(piece).expect("taken");
                            if chunked {
                                sender.write_all(b"\r\n").expect("taken");
                            }
                        }
                        if chunked {
                            sender.write_all(b"0\r\n\r\n").expect("taken");
                        }
                    });
                    let answer = client.read_response();
                    assert!(answer.expect_status(200).body == *body, "every byte, in its place");
                });
            }
        });
        assert_eq!(backend.connections(), 1);
    });
}

#[test]
fn no_more_streams_than_the_backend_allows() {
    on_both_drivers(|driver| {
        let gate = Arc::new(Semaphore::new(0));
        let (at_once, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let of_rule = (gate.clone(), at_once.clone(), most.clone());
        let backend = H2Backend::with(Ways { streams: Some(3), ..Ways::default() }, move |mut call: Call| {
            let (gate, at_once, most) = of_rule.clone();
            async move {
                most.fetch_max(at_once.fetch_add(1, Ordering::AcqRel) + 1, Ordering::AcqRel);
                gate.acquire().await.expect("open").forget();
                at_once.fetch_sub(1, Ordering::AcqRel);
                call.ok("");
            }
        });
        let gateway = Gateway::start(&document(&backend.address(), "protocol: http2, balance: least_requests"), driver);
        // The limit is known after the first answer.
        gate.add_permits(1);
        ask(&mut gateway.client(), GET).expect_status(200);
        let mut clients: Vec<Client> = (0..6).map(|_| gateway.client()).collect();
        all_ask(&mut clients);
        eventually("all are there", || backend.requests() == 7);
        eventually("all are at work", || most.load(Ordering::Acquire) == 6);
        let mut by_connection = vec![0; backend.connections()];
        backend.take().iter().skip(1).for_each(|(connection, _)| by_connection[*connection] += 1);
        assert!(by_connection.iter().all(|count| *count <= 3), "{by_connection:?}");
        assert_eq!(gateway.status()["upstreams"]["back"]["servers"][backend.address()]["inFlight"], 6);
        gate.add_permits(6);
        all_answered(&mut clients);
    });
}

#[test]
fn a_goodbye_loses_nothing_and_a_refused_stream_is_sent_again() {
    on_both_drivers(|driver| {
        let backend = H2Backend::with(Ways { goodbye_after: Some(2), ..Ways::default() }, echo);
        let gateway = Gateway::start(&document(&backend.address(), "protocol: http2"), driver);
        let mut client = gateway.client();
        for _ in 0..10 {
            ask(&mut client, "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab").expect_status(200);
        }
        assert!(backend.connections() >= 4, "{}", backend.connections());
        assert_eq!(gateway.status()["upstreams"]["back"]["faults"], serde_json::json!({}));

        let turn = Arc::new(AtomicUsize::new(0));
        let refusing = H2Backend::start(move |mut call: Call| {
            let is_first = turn.fetch_add(1, Ordering::AcqRel).is_multiple_of(2);
            async move { if is_first { call.reset(Reason::REFUSED_STREAM) } else { call.ok("done") } }
        });
        let gateway = Gateway::start(&document(&refusing.address(), "protocol: http2"), driver);
        let mut client = gateway.client();
        for _ in 0..3 {
            // Not idempotent: only because the backend has done nothing.
            let post = "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
            assert_eq!(ask(&mut client, post).expect_status(200).text(), "done");
        }
        assert_eq!(refusing.requests(), 6);
        assert_eq!(refusing.connections(), 1, "a refusal does not end the connection");
    });
}

#[test]
fn what_breaks_is_told_and_the_connection_goes_on_for_others() {
    on_both_drivers(|driver| {
        let backend = H2Backend::start(|mut call: Call| async move {
            match call.header("x-do") {
                Some("reset") => call.reset(Reason::INTERNAL_ERROR),
                Some("cut") => {
                    let mut out = call.respond(&[("content-length", "10")], false);
                    let _ = out.send_data("half".into(), false);
                    tokio::time::sleep(Duration::from_millis(50)).await; // the half is on its way
                    out.send_reset(Reason::INTERNAL_ERROR);
                }
                Some("never") => std::future::pending().await,
                Some("early") => call.ok("no, thanks"),
                _ => call.ok("fine"),
            }
        });
        let settings = "protocol: http2, retry: {attempts: 1, try_time: 300ms}";
        let gateway = Gateway::start(&document(&backend.address(), settings), driver);
        let does = |what: &str| format!("GET /x HTTP/1.1\r\nHost: a\r\nx-do: {what}\r\n\r\n");
        assert_eq!(ask(&mut gateway.client(), &does("ok")).expect_status(200).text(), "fine");
        ask(&mut gateway.client(), &does("reset")).expect_status(503);
        ask(&mut gateway.client(), &does("never")).expect_status(503);
        assert_eq!(fault(&gateway, "answer_timed_out"), 1);
        let mut cut = gateway.client();
        cut.send(does("cut"));
        assert!(cut.try_response(false).is_err(), "it is not whole");
        eventually("it is counted", || fault(&gateway, "answer_cut_short") == 1);
        let mut early = gateway.client();
        early.send("POST /x HTTP/1.1\r\nHost: a\r\nx-do: early\r\nContent-Length: 1000000\r\n\r\nbegin");
        assert_eq!(early.read_response().expect_status(200).text(), "no, thanks");
        assert_eq!(ask(&mut gateway.client(), &does("ok")).expect_status(200).text(), "fine");
        assert_eq!(backend.connections(), 1);
        eventually("every place is free", || {
            gateway.status()["upstreams"]["back"]["servers"][backend.address()]["inFlight"] == 0
        });
    });
}

#[test]
fn a_connection_that_is_lost_is_made_again_and_an_idle_one_goes() {
    on_both_drivers(|driver| {
        let backend = H2Backend::start(echo);
        let settings = "protocol: http2, pool: {idle_time: 200ms}";
        let gateway = Gateway::start(&document(&backend.address(), settings), driver);
        ask(&mut gateway.client(), GET).expect_status(200);
        backend.hang_up();
        let open = || gateway.status()["upstreams"]["back"]["connections"].clone();
        eventually("it is known to be gone", || open() == 0);
        ask(&mut gateway.client(), GET).expect_status(200);
        assert_eq!(backend.connections(), 2);
        eventually("it was idle for too long", || open() == 0);
        ask(&mut gateway.client(), GET).expect_status(200);
        assert_eq!(backend.connections(), 3);
    });
}

fn by_tls(driver: Driver, address: &str, identity: &Identity, protocol: &str) -> Gateway {
    let folder = new_folder();
    fs::write(folder.join("ca.pem"), &identity.certificate).expect("the folder is writable");
    let settings = format!(
        "protocol: {protocol}, tls: {{ca: ca.pem, server_name: back.test}}, \
         health_check: {{path: /healthz, interval: 100ms, status: [200-299]}}"
    );
    let text = document(address, &settings);
    Gateway::start_in(folder, &text, driver, &[]).unwrap_or_else(|failed| panic!("{}", failed.stderr))
}

#[test]
fn tls_agrees_on_what_is_spoken() {
    on_both_drivers(|driver| {
        let identity = Identity::new(&["back.test"]);
        let two = Manner { protocols: vec!["h2"], ..Manner::new(&identity) };
        for protocol in ["http2", "auto"] {
            let backend = H2Backend::with(Ways { tls: Some(two.config()), ..Ways::default() }, echo);
            let gateway = by_tls(driver, &backend.address(), &identity, protocol);
            let mut client = gateway.client();
            for _ in 0..3 {
                ask(&mut client, GET).expect_status(200);
            }
            let of_requests: Vec<_> = backend.take().into_iter().filter(|(_, head)| head.uri.path() == "/x").collect();
            assert_eq!(of_requests.len(), 3);
            assert!(of_requests.iter().all(|(connection, _)| *connection == of_requests[0].0), "they share one");
            assert_eq!(of_requests[0].1.uri.scheme_str(), Some("https"));
            let checks = || gateway.status()["upstreams"]["back"]["servers"][backend.address()]["checks"].clone();
            eventually("checks speak it as well", || checks()["well"].as_u64() > Some(0));
            assert_eq!(checks()["ill"], 0);
        }
        let one = TlsBackend::start(&Manner { protocols: vec!["http/1.1"], ..Manner::new(&identity) });
        let gateway = by_tls(driver, one.address(), &identity, "auto");
        ask(&mut gateway.client(), GET).expect_status(200);
        let gateway = by_tls(driver, one.address(), &identity, "http2");
        ask(&mut gateway.client(), GET).expect_status(503);
        // Whether its last word comes before its close is the backend's affair.
        let told = fault(&gateway, "tls_refused") + fault(&gateway, "tls_failed");
        assert!(told > 0, "{}", gateway.status()["upstreams"]["back"]);
    });
}

#[test]
fn a_burst_opens_one_connection() {
    on_both_drivers(|driver| {
        let backend = H2Backend::start(echo);
        let gateway = Gateway::start(&document(&backend.address(), "protocol: http2"), driver);
        let mut clients: Vec<Client> = (0..40).map(|_| gateway.client()).collect();
        all_ask(&mut clients);
        all_answered(&mut clients);
        assert_eq!(backend.connections(), 1);
    });
}

#[test]
fn reloads_under_load_fail_nothing() {
    on_both_drivers(|driver| {
        let backend = H2Backend::start(echo);
        let text = |idle: u32| document(&backend.address(), &format!("protocol: http2, pool: {{idle_time: {idle}s}}"));
        let gateway = Gateway::start(&text(60), driver);
        let turns = 10;
        thread::scope(|scope| {
            let callers: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        let mut client = Client::connect(gateway.address());
                        for _ in 0..100 {
                            ask(&mut client, GET).expect_status(200);
                        }
                    })
                })
                .collect();
            for turn in 0..turns {
                assert_eq!(gateway.reload(&text(30 + turn))["ok"], true);
            }
            for caller in callers {
                caller.join().expect("every answer is good");
            }
        });
        assert_eq!(gateway.status()["upstreams"]["back"]["faults"], serde_json::json!({}));
    });
}
