//! TERM and INT: what is under way is finished, what is idle is closed, and the process leaves with 0.

mod support;
#[path = "support/wild.rs"]
mod wild;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use support::gateway::is_listening;
use support::{Client, Driver, Gateway, eventually, on_both_drivers};
use wild::{Wild, read_away};

const GET: &str = "GET /dev/x HTTP/1.1\r\nHost: a\r\n\r\n";
const MOCK: &str = "GET /dev/mock HTTP/1.1\r\nHost: a\r\n\r\n";

fn gateway(backend: &str, drain_time: &str, driver: Driver) -> Gateway {
    let config = format!(
        r#"
gateway:
  limits: {{drain_time: {drain_time}}}
apis:
  rest:
    kind: rest
    routes:
      "ANY /x": {{integration: {{type: http_proxy, uri: "http://{backend}/x"}}}}
      "GET /mock": {{integration: {{type: mock, status: 200, body: "{{}}"}}}}
    stages: {{dev: {{}}}}
"#
    );
    Gateway::start(&config, driver)
}

fn under_way(gateway: &Gateway, backend: &Wild) -> Client {
    let mut client = gateway.client();
    let before = backend.connections();
    client.send(GET);
    eventually("the request is with the backend", || backend.connections() == before + 1);
    client
}

#[test]
fn what_is_under_way_is_finished() {
    on_both_drivers(|driver| {
        for signal in [Signal::TERM, Signal::INT] {
            let (backend, go) = Wild::patient("done");
            let gateway = gateway(backend.address(), "30s", driver);
            let mut idle = gateway.client();
            idle.exchange(MOCK).expect_status(200);
            let mut silent = gateway.client();
            let mut begun = gateway.client();
            begun.send(&MOCK[..20]);
            let mut busy = under_way(&gateway, &backend);
            eventually("all are accepted", || gateway.status()["connections"]["open"] == 4);
            gateway.signal(signal);
            // Those that have nothing under way are let go at once.
            idle.expect_close();
            silent.expect_close();
            eventually("nobody new is let in", || !is_listening(gateway.address()));
            assert!(busy.is_still_open(), "the request under way was cut");
            // A head that had begun may end.
            begun.send(&MOCK[20..]);
            assert_eq!(begun.read_response().expect_status(200).header("Connection"), Some("close"));
            begun.expect_close();
            go.send(()).expect("the backend waits");
            let response = busy.read_response();
            assert_eq!(response.expect_status(200).text(), "done");
            assert_eq!(response.header("Connection"), Some("close"));
            busy.expect_close();
            let status = gateway.wait_exit();
            assert_eq!(status.code(), Some(0), "{}", gateway.stderr());
            eventually("the log is whole", || gateway.access_log().lines().count() == 3);
        }
    });
}

#[test]
fn nothing_under_way_means_leaving_at_once() {
    on_both_drivers(|driver| {
        let (backend, _go) = Wild::patient("done");
        let gateway = gateway(backend.address(), "30s", driver);
        let mut idle = gateway.client();
        idle.exchange(MOCK).expect_status(200);
        let began = Instant::now();
        gateway.signal(Signal::TERM);
        assert_eq!(gateway.wait_exit().code(), Some(0), "{}", gateway.stderr());
        assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
        idle.expect_close();
    });
}

#[test]
fn a_body_under_way_is_received_to_its_end() {
    on_both_drivers(|driver| {
        let backend = support::Backend::echo();
        let gateway = gateway(backend.address(), "30s", driver);
        let mut client = gateway.client();
        client.send("POST /dev/x HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nfirst");
        eventually("the request is with the backend", || backend.connections() == 1);
        gateway.signal(Signal::TERM);
        eventually("nobody new is let in", || !is_listening(gateway.address()));
        client.send("other");
        let response = client.read_response();
        assert!(response.expect_status(200).text().ends_with("firstother"));
        assert_eq!(response.header("Connection"), Some("close"));
        assert_eq!(gateway.wait_exit().code(), Some(0), "{}", gateway.stderr());
    });
}

#[test]
fn the_time_to_drain_has_an_end() {
    on_both_drivers(|driver| {
        let backend = Wild::new(|mut stream, _| {
            read_away(&mut stream);
        });
        let gateway = gateway(backend.address(), "1s", driver);
        let mut client = under_way(&gateway, &backend);
        let began = Instant::now();
        gateway.signal(Signal::TERM);
        assert_eq!(gateway.wait_exit().code(), Some(0), "{}", gateway.stderr());
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(990) && took < Duration::from_secs(9), "{took:?}");
        assert_eq!(client.read_to_end(), b"", "an answer that nobody gave");
    });
}

#[test]
fn a_second_signal_cuts_the_wait() {
    on_both_drivers(|driver| {
        for second in [Signal::TERM, Signal::INT] {
            let (backend, _go) = Wild::patient("done");
            let gateway = gateway(backend.address(), "10m", driver);
            let mut client = under_way(&gateway, &backend);
            gateway.signal(Signal::TERM);
            eventually("it drains", || !is_listening(gateway.address()));
            gateway.signal(second);
            assert_ne!(gateway.wait_exit().code(), Some(0), "requests were cut: that is no clean end");
            assert_eq!(client.read_to_end(), b"");
        }
    });
}

#[test]
fn a_gateway_that_leaves_is_not_ready_and_takes_no_new_document() {
    on_both_drivers(|driver| {
        let (backend, go) = Wild::patient("done");
        let gateway = gateway(backend.address(), "30s", driver);
        let mut busy = under_way(&gateway, &backend);
        assert_eq!(gateway.admin_get("/readyz"), "ready\n");
        gateway.signal(Signal::TERM);
        eventually("probes send new work elsewhere", || {
            let mut probe = Client::connect(gateway.admin());
            probe.send("GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
            probe.read_to_end().starts_with(b"HTTP/1.1 503 ")
        });
        let command = admin::control::Command::Reload;
        let report = admin::control::call(gateway.control(), command).expect("the desk is still there");
        assert_eq!(report["ok"], false, "{report}");
        go.send(()).expect("the backend waits");
        busy.read_response().expect_status(200);
        assert_eq!(gateway.wait_exit().code(), Some(0));
    });
}

#[test]
fn a_busy_client_learns_with_its_last_answer_that_it_is_over() {
    on_both_drivers(|driver| {
        let (backend, _go) = Wild::patient("done");
        let gateway = gateway(backend.address(), "30s", driver);
        let mut client = gateway.client();
        client.exchange(MOCK).expect_status(200);
        gateway.signal(Signal::TERM);
        // Requests go on as before; none of them is lost to a reset, and the last one says so.
        loop {
            let response = client.exchange(MOCK);
            response.expect_status(200);
            if response.header("Connection") == Some("close") {
                break;
            }
        }
        client.expect_close();
        assert_eq!(gateway.wait_exit().code(), Some(0));
    });
}

#[test]
fn who_has_come_before_the_door_closes_is_served() {
    on_both_drivers(|driver| {
        let (backend, _go) = Wild::patient("done");
        let gateway = gateway(backend.address(), "30s", driver);
        let address = gateway.address().parse().expect("an address");
        let served = AtomicU64::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while let Ok(mut stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
                        stream.set_read_timeout(Some(support::PATIENCE)).expect("a socket");
                        stream.write_all(MOCK.as_bytes()).expect("it was let in");
                        let mut start = [0; 13];
                        stream.read_exact(&mut start).expect("it is served");
                        assert_eq!(&start, b"HTTP/1.1 200 ");
                        served.fetch_add(1, Ordering::AcqRel);
                    }
                });
            }
            eventually("clients are served", || served.load(Ordering::Acquire) > 50);
            gateway.signal(Signal::TERM);
        });
        assert_eq!(gateway.wait_exit().code(), Some(0), "{}", gateway.stderr());
    });
}

#[test]
fn idle_connections_are_closed_by_portions() {
    on_both_drivers(|driver| {
        let (backend, _go) = Wild::patient("done");
        let gateway = gateway(backend.address(), "30s", driver);
        let mut clients: Vec<Client> = (0..200).map(|_| gateway.client()).collect();
        for client in &mut clients {
            client.exchange(MOCK).expect_status(200);
        }
        gateway.signal(Signal::TERM);
        eventually("the first one is closed", || clients.iter_mut().any(|client| !client.is_still_open()));
        let first = Instant::now();
        let open = clients.iter_mut().map(Client::is_still_open).filter(|is_open| *is_open).count();
        assert!(open > 20, "{open} of 200 are left: their clients would come back all at once");
        clients.iter_mut().for_each(Client::expect_close);
        assert!(first.elapsed() > Duration::from_millis(300), "{:?}", first.elapsed());
        assert_eq!(gateway.wait_exit().code(), Some(0), "{}", gateway.stderr());
    });
}
