//! Clients that are slow: heads, bodies, reading, and silence between requests (rows R01, F33).

mod support;
#[path = "support/wild.rs"]
mod wild;

use std::io::{Read as _, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use support::gateway::one_way;
use support::stage::{No, Theatre};
use support::{Gateway, eventually, on_both_drivers, shown};

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
        let faults = stage.faults("client_reads_slowly");
        stage.backend.script(|_| support::Reply::ok(vec![b'x'; 64 << 20]));
        let mut client = stage.client();
        client.send("GET /dev/x HTTP/1.1\r\nHost: a\r\n\r\n");
        stage.fault_reaches("client_reads_slowly", faults + 1.0);
        eventually("the backend's connection ends", || stage.backend.open() == 0);
        eventually("the client's, too", || stage.gateway.status()["connections"]["open"] == 0);
    });
}

/// What is done at this pace, until it says that it is over.
fn paced(every: Duration, mut act: impl FnMut() -> bool) {
    let (_alive, never) = mpsc::channel::<()>();
    while act() {
        let _ = never.recv_timeout(every);
    }
}

const BEAT: Duration = Duration::from_millis(50);

#[test]
fn r01_a_body_that_drips_is_told_408() {
    THEATRE.play(|stage| {
        for (framing, piece) in [("Content-Length: 1000", "a"), ("Transfer-Encoding: chunked", "1\r\na\r\n")] {
            let faults = stage.faults("client_stalled");
            let mut client = stage.client();
            client.send(format!("POST /dev/x HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n"));
            let began = Instant::now();
            let mut sender = client.sender();
            let response = std::thread::scope(|scope| {
                // 20 bytes a second.
                scope.spawn(move || paced(BEAT, || sender.write_all(piece.as_bytes()).is_ok()));
                let response = client.read_response();
                drop(client);
                response
            });
            took(began, 900);
            No::of_status(408).check(&response);
            assert_eq!(response.header("Connection"), Some("close"));
            stage.fault_reaches("client_stalled", faults + 1.0);
        }
    });
}

#[test]
fn r01_a_body_above_the_least_rate_takes_its_time() {
    THEATRE.play(|stage| {
        let mut client = stage.client();
        client.send("POST /dev/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n");
        let mut sender = client.sender();
        let mut left = 50;
        // 2,000 bytes a second, over more than two windows.
        paced(BEAT, || {
            sender.write_all(&[b'b'; 100]).expect("the gateway reads");
            left -= 1;
            left > 0
        });
        assert!(client.read_response().expect_status(200).text().ends_with(&"b".repeat(5000)));
    });
}

/// A client whose kernel holds little for it, so that what it reads is what has arrived.
fn small_client(address: &str) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(8 << 10).expect("a size");
    let address: SocketAddr = address.parse().expect("an address");
    socket.connect(&address.into()).expect("the gateway listens");
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(support::PATIENCE)).expect("a time");
    stream
}

/// Reads 20 KiB a second until this is over; true at the end of the stream, or a reset.
fn read_slowly(stream: &mut TcpStream, mut goes_on: impl FnMut() -> bool) -> bool {
    let mut room = [0; 1024];
    let mut ended = false;
    paced(BEAT, || {
        ended = !matches!(stream.read(&mut room), Ok(1..));
        !ended && goes_on()
    });
    ended
}

const LONG_ANSWER: usize = 16 << 20;

#[test]
fn r01_a_client_that_reads_slower_than_it_must_is_left() {
    static PICKY: Theatre = Theatre::new(
        r#"
gateway:
  limits: {body_idle_time: 1s, send_rate: 200KiB}
apis:
  rest:
    kind: rest
    routes:
      "ANY /x": {integration: {type: http_proxy, uri: "http://{{backend}}/x"}}
    stages: {dev: {}}
"#,
    );
    PICKY.play(|stage| {
        let faults = stage.faults("client_reads_slowly");
        stage.backend.script(|_| support::Reply::ok(vec![b'x'; LONG_ANSWER]));
        let mut client = small_client(stage.gateway.address());
        client.write_all(b"GET /dev/x HTTP/1.1\r\nHost: a\r\n\r\n").expect("the gateway reads");
        let began = Instant::now();
        read_slowly(&mut client, || {
            began.elapsed() < support::PATIENCE && stage.faults("client_reads_slowly") < faults + 0.5
        });
        stage.fault_reaches("client_reads_slowly", faults + 1.0);
        eventually("it is closed", || stage.gateway.status()["connections"]["open"] == 0);
        // One with nothing to read is not blamed: the backend is the slow one here.
        stage.backend.script_raw(|conversation| {
            while conversation.head()?.is_some() {
                conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n");
                let mut left = 8;
                paced(Duration::from_millis(400), || {
                    conversation.send("a");
                    left -= 1;
                    left > 0
                });
            }
            Ok(())
        });
        let response = stage.ask("GET /dev/x HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(response.expect_status(200).text(), "aaaaaaaa");
    });
}

/// Bytes that the kernel holds for the client at the other end of this connection, by `/proc/net/tcp`: a row may be missing
/// when others come and go while the table is read.
fn held_for(client: &TcpStream) -> Option<u64> {
    let of = |address: SocketAddr| format!(":{:04X}", address.port());
    let (theirs, ours) = (of(client.local_addr().expect("it is bound")), of(client.peer_addr().expect("it is open")));
    let table = std::fs::read_to_string("/proc/net/tcp").expect("Linux has it");
    let mut rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let row = rows.find(|row| row[1].ends_with(&ours) && row[2].ends_with(&theirs))?;
    let (waiting, _) = row[4].split_once(':').expect("two queues");
    Some(u64::from_str_radix(waiting, 16).expect("a number"))
}

#[test]
fn r01_a_slow_reader_costs_the_kernel_little() {
    THEATRE.play(|stage| {
        stage.backend.script(|_| support::Reply::ok(vec![b'x'; LONG_ANSWER]));
        let mut client = small_client(stage.gateway.address());
        client.write_all(b"GET /dev/x HTTP/1.1\r\nHost: a\r\n\r\n").expect("the gateway reads");
        let mut most = 0;
        let began = Instant::now();
        paced(Duration::from_millis(10), || {
            most = most.max(held_for(&client).unwrap_or(0));
            began.elapsed() < Duration::from_millis(700)
        });
        assert!((10 << 10..300 << 10).contains(&most), "{most} bytes");
    });
}

#[test]
fn r01_a_slow_reader_above_the_rate_gets_it_all() {
    THEATRE.play(|stage| {
        stage.backend.script(|_| support::Reply::ok(vec![b'x'; LONG_ANSWER]));
        let faults = stage.faults("client_reads_slowly");
        let mut client = small_client(stage.gateway.address());
        client.write_all(b"GET /dev/x HTTP/1.1\r\nHost: a\r\n\r\n").expect("the gateway reads");
        let began = Instant::now();
        let mut read = 0;
        let ended = read_slowly(&mut client, || {
            read += 1024;
            began.elapsed() < Duration::from_secs(4)
        });
        assert!(!ended, "left after {:?}, about {read} bytes", began.elapsed());
        // It hurries now.
        let mut rest = Vec::new();
        client.shutdown(std::net::Shutdown::Write).expect("it is open");
        client.read_to_end(&mut rest).expect("the rest comes");
        assert!(rest.len() > LONG_ANSWER - (1 << 20) && rest.iter().all(|byte| *byte == b'x'), "{}", rest.len());
        assert!(
            (stage.faults("client_reads_slowly") - faults).abs() < 0.5,
            "another test's slow reader does not count"
        );
    });
}

#[test]
fn r14_a_backend_that_drips_is_left() {
    on_both_drivers(|driver| {
        let backend = wild::Wild::new(|mut stream, _| {
            while wild::head(&mut stream).is_some() {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
                paced(BEAT, || stream.write_all(b"a").is_ok());
            }
        });
        let upstream = format!("{{servers: [\"{}\"]}}", backend.address());
        let config = one_way("limits: {body_idle_time: 1s, answer_rate: 1KiB}", &upstream);
        let gateway = Gateway::start(&config, driver);
        let mut client = gateway.client();
        client.send("GET /dev/x HTTP/1.1\r\nHost: a\r\n\r\n");
        let received = client.read_to_end();
        assert!(received.starts_with(b"HTTP/1.1 200 ") && received.ends_with(b"a"), "{}", shown(&received));
        eventually("it is counted", || {
            gateway.counter("tollgate_faults_total", &[("fault", "answer_stalled")]) > 0.5 && backend.open() == 0
        });
    });
}

#[test]
fn a_backend_may_think_for_longer_than_a_connection_may_be_silent() {
    THEATRE.play(|stage| {
        stage.backend.script(|_| {
            let (_alive, never) = mpsc::channel::<()>();
            let _ = never.recv_timeout(Duration::from_millis(2_500));
            support::Reply::ok("late")
        });
        for framing in ["\r\n", "Content-Length: 2\r\n\r\nab"] {
            let mut client = stage.client();
            for turn in 0..2 {
                let response = client.exchange(format!("PUT /dev/x HTTP/1.1\r\nHost: a\r\n{framing}"));
                assert_eq!(response.expect_status(200).text(), "late", "{framing:?} {turn}");
            }
        }
    });
}
