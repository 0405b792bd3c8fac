//! Bodies in both directions: every framing, the slower side's pace, flat memory, and the ways in which they end too early
//! (rows F26 to F28, F33; R01).
#![allow(clippy::cast_precision_loss, reason = "what a test counts is small")]

mod support;
#[path = "support/wild.rs"]
mod wild;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use support::gateway::one_way;
use support::{Backend, Driver, Gateway, eventually, on_both_drivers, shown};
use wild::{Unchunked, Wild, drink, finish, head, long, pour, pour_chunks, read_away};

/// What one transfer may add to the gateway's resident memory: the first large receive buffers of a shard (1 MiB, doubled at
/// each shortage), one send, and what the allocator keeps. A body that is held would be eight times as much at least.
const FLAT: u64 = 8 << 20;

fn size() -> u64 {
    if long() { 1 << 30 } else { 64 << 20 }
}

fn gateway(backend: &str, driver: Driver) -> Gateway {
    let config = format!(
        r#"
gateway:
  limits: {{body: unlimited}}
apis:
  rest:
    kind: rest
    routes:
      "ANY /{{proxy+}}": {{integration: {{type: http_proxy, uri: "http://{backend}/{{proxy}}"}}}}
      "ANY /mock": {{integration: {{type: mock, status: 200, body: '{{"ok":true}}'}}}}
    stages: {{dev: {{}}}}
"#
    );
    Gateway::start(&config, driver)
}

fn connect(gateway: &Gateway) -> TcpStream {
    let stream = TcpStream::connect(gateway.address()).expect("the gateway listens");
    stream.set_nodelay(true).expect("a socket");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a socket");
    stream.set_write_timeout(Some(Duration::from_secs(60))).expect("a socket");
    stream
}

/// Looks at the gateway's memory until it is told to stop; the highest value comes back.
fn watch_memory<R>(gateway: &Gateway, during: impl FnOnce() -> R) -> (R, u64) {
    let (stop, told) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let most = scope.spawn(move || {
            let mut most = gateway.rss();
            while told.recv_timeout(Duration::from_millis(5)) == Err(RecvTimeoutError::Timeout) {
                most = most.max(gateway.rss());
            }
            most
        });
        let outcome = during();
        drop(stop);
        (outcome, most.join().expect("looking cannot fail"))
    })
}

/// Reads a request whole and answers with as many bytes, in the framing that its path names.
fn mirror() -> Wild {
    Wild::new(|mut stream, _| {
        while let Some(head) = head(&mut stream) {
            let text = String::from_utf8(head).expect("a head of ASCII");
            let length: u64 = field(&text, "x-length").expect("the test says it").parse().expect("a number");
            match field(&text, "transfer-encoding") {
                Some(_) => {
                    let mut body = Unchunked::new(&mut stream);
                    drink(&mut body, length).expect("the body");
                    assert!(body.ended(), "more than the body");
                }
                None => drink(&mut stream, length).expect("the body"),
            }
            let down = text.split(' ').nth(1).expect("a target").to_owned();
            let sent = match &*down {
                "/chunked" => stream
                    .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                    .and_then(|()| pour_chunks(&mut stream, length, 70_280)),
                "/close" => stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").and_then(|()| pour(&mut stream, length)),
                _ => stream
                    .write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").as_bytes())
                    .and_then(|()| pour(&mut stream, length)),
            };
            sent.expect("the gateway reads");
            if down == "/close" {
                finish(&stream);
                read_away(&mut stream);
                return;
            }
        }
    })
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

fn there_and_back(stream: &mut TcpStream, (up, down): (&str, &str), length: u64) {
    let framing = match up {
        "chunked" => "Transfer-Encoding: chunked".to_owned(),
        _ => format!("Content-Length: {length}"),
    };
    let request = format!("POST /dev/{down} HTTP/1.1\r\nHost: a\r\nX-Length: {length}\r\n{framing}\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("the gateway reads");
    match up {
        "chunked" => pour_chunks(stream, length, 16_064).expect("the gateway reads"),
        _ => pour(stream, length).expect("the gateway reads"),
    }
    let head = String::from_utf8(head(stream).expect("an answer")).expect("a head of ASCII");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    if field(&head, "transfer-encoding").is_some() {
        let mut body = Unchunked::new(stream);
        drink(&mut body, length).expect("the answer");
        assert!(body.ended(), "more than the body");
    } else {
        assert_eq!(field(&head, "content-length"), Some(&*length.to_string()), "{head}");
        drink(stream, length).expect("the answer");
    }
}

#[test]
fn bodies_pass_both_ways_in_flat_memory() {
    on_both_drivers(|driver| {
        let backend = mirror();
        let gateway = gateway(backend.address(), driver);
        let mut stream = connect(&gateway);
        there_and_back(&mut stream, ("length", "length"), 1000);
        let before = gateway.rss();
        for ways in [("length", "length"), ("chunked", "chunked"), ("length", "close")] {
            let began = Instant::now();
            let ((), most) = watch_memory(&gateway, || there_and_back(&mut stream, ways, size()));
            let grown = most.saturating_sub(before);
            println!(
                "{}: {ways:?} {} MiB each way in {:?}: {} KiB above {} KiB",
                driver.name(),
                size() >> 20,
                began.elapsed(),
                grown >> 10,
                before >> 10
            );
            assert!(grown <= FLAT, "{ways:?}: {grown} bytes more");
        }
    });
}

#[test]
fn bodies_at_the_borders_of_buffers() {
    on_both_drivers(|driver| {
        let backend = mirror();
        let gateway = gateway(backend.address(), driver);
        let mut stream = connect(&gateway);
        let mut borders = vec![0, 1, 2];
        for border in [4_096, 16_384, 32_768, 65_536, 131_072] {
            borders.extend(border - 1..=border + 1);
        }
        for length in borders {
            for ways in [("length", "chunked"), ("chunked", "length"), ("chunked", "close")] {
                there_and_back(&mut stream, ways, length);
            }
        }
    });
}

/// Waits until a count stands still, and returns it.
fn standstill(count: &AtomicU64) -> u64 {
    let mut last = (count.load(Ordering::Acquire), Instant::now());
    eventually("the sender is held back", || {
        let now = count.load(Ordering::Acquire);
        if now != last.0 {
            last = (now, Instant::now());
        }
        now > 0 && last.1.elapsed() > Duration::from_millis(300)
    });
    last.0
}

/// Writes and counts.
fn pour_counted(stream: &mut impl std::io::Write, length: u64, count: &AtomicU64) {
    let mut left = length;
    while left > 0 {
        // Pieces of the pattern's period times a power of two, so that they join without a seam.
        let now = left.min(251 * 64);
        if pour(stream, now).is_err() {
            return;
        }
        count.fetch_add(now, Ordering::AcqRel);
        left -= now;
    }
}

/// The kernel's buffers of four sockets between sender and receiver; the gateway's own are counted by `FLAT`.
const KERNEL: u64 = 32 << 20;

#[test]
fn a_slow_reader_holds_the_backend_back() {
    on_both_drivers(|driver| {
        let sent = Arc::new(AtomicU64::new(0));
        let counter = sent.clone();
        let backend = Wild::new(move |mut stream, _| {
            let _ = head(&mut stream);
            let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", size()).as_bytes());
            pour_counted(&mut stream, size(), &counter);
            read_away(&mut stream);
        });
        let gateway = gateway(backend.address(), driver);
        let before = gateway.rss();
        let mut stream = connect(&gateway);
        stream.write_all(b"GET /dev/x HTTP/1.1\r\nHost: a\r\n\r\n").expect("the gateway reads");
        let held = standstill(&sent);
        let grown = gateway.rss().saturating_sub(before);
        println!("{}: held back after {} KiB, {} KiB more memory", driver.name(), held >> 10, grown >> 10);
        assert!(held < KERNEL, "{held} bytes went to a client that reads nothing");
        assert!(grown <= FLAT, "{grown} bytes more");
        let head = head(&mut stream).expect("an answer");
        assert!(head.starts_with(b"HTTP/1.1 200 "), "{}", shown(&head));
        drink(&mut stream, size()).expect("the rest");
    });
}

#[test]
fn a_slow_backend_holds_the_client_back() {
    on_both_drivers(|driver| {
        let (go, wait) = mpsc::channel::<()>();
        let wait = Mutex::new(wait);
        let backend = Wild::new(move |mut stream, _| {
            let _ = head(&mut stream);
            let _ = wait.lock().expect("one user").recv();
            drink(&mut stream, size()).expect("the body");
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        });
        let gateway = gateway(backend.address(), driver);
        let before = gateway.rss();
        let mut stream = connect(&gateway);
        let request = format!("POST /dev/x HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", size());
        stream.write_all(request.as_bytes()).expect("the gateway reads");
        let sent = AtomicU64::new(0);
        thread::scope(|scope| {
            let mut writer = stream.try_clone().expect("a socket");
            let counter = &sent;
            scope.spawn(move || pour_counted(&mut writer, size(), counter));
            let held = standstill(&sent);
            let grown = gateway.rss().saturating_sub(before);
            println!("{}: held back after {} KiB, {} KiB more memory", driver.name(), held >> 10, grown >> 10);
            go.send(()).expect("the backend waits");
            assert!(held < KERNEL, "{held} bytes went to a backend that reads nothing");
            assert!(grown <= FLAT, "{grown} bytes more");
        });
        let head = head(&mut stream).expect("an answer");
        assert!(head.starts_with(b"HTTP/1.1 200 "), "{}", shown(&head));
    });
}

fn no_upstream_left(gateway: &Gateway) {
    eventually("no connection to the backend is left", || gateway.status()["upstream"]["open"] == 0);
}

#[test]
fn an_early_answer_ends_a_long_upload() {
    on_both_drivers(|driver| {
        let backend = Wild::new(|mut stream, _| {
            let _ = head(&mut stream);
            let _ = stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
            read_away(&mut stream);
        });
        let gateway = gateway(backend.address(), driver);
        for framing in ["Content-Length: 100000000", "Transfer-Encoding: chunked"] {
            let mut client = gateway.client();
            client.send(format!("POST /dev/x HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n"));
            if framing.starts_with('C') {
                client.send([b'x'; 1000]);
            } else {
                client.send("3e8\r\n");
                client.send([b'x'; 1000]);
                client.send("\r\n");
            }
            let response = client.read_response();
            assert_eq!(response.expect_status(403).text(), "no");
            if framing.starts_with('C') {
                assert_eq!(response.header("Connection"), Some("close"), "{}", shown(&response.raw));
                client.expect_close();
            }
            drop(client);
            no_upstream_left(&gateway);
        }
        assert_eq!(backend.connections(), 2);
    });
}

#[test]
fn an_early_answer_leaves_a_short_upload_its_connection() {
    on_both_drivers(|driver| {
        let backend = Wild::new(|mut stream, _| {
            let _ = head(&mut stream);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly");
            read_away(&mut stream);
        });
        let gateway = gateway(backend.address(), driver);
        let mut client = gateway.client();
        for _ in 0..3 {
            client.send("POST /dev/x HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nfirst");
            assert_eq!(client.read_response().expect_status(200).text(), "early");
            client.send("other");
        }
        client.exchange("GET /dev/mock HTTP/1.1\r\nHost: a\r\n\r\n").expect_status(200);
        // Its half of the conversation never ended: the backend's connection is not used again.
        assert_eq!(backend.connections(), 3);
        no_upstream_left(&gateway);
    });
}

#[test]
fn an_unread_body_is_read_away_up_to_a_limit() {
    const MOST: usize = 64 * 1024;
    let post = |length: usize| format!("POST /dev/mock HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
    on_both_drivers(|driver| {
        let backend = Backend::echo();
        let gateway = gateway(backend.address(), driver);
        let mut client = gateway.client();
        for length in [1, 4096, MOST] {
            client.send(post(length));
            assert_eq!(client.read_response().expect_status(200).header("Connection"), None, "{length}");
            client.send(vec![b'x'; length]);
        }
        let chunked = "POST /dev/mock HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(client.exchange(chunked).expect_status(200).header("Connection"), None);
        client.send("10000\r\n");
        client.send(vec![b'x'; MOST]);
        client.send("\r\n0\r\n\r\n");
        client.exchange(post(0)).expect_status(200);
        // One byte more, and the connection is not worth it.
        client.send(post(MOST + 1));
        assert_eq!(client.read_response().expect_status(200).header("Connection"), Some("close"));
        client.expect_close();
        let mut client = gateway.client();
        client.exchange(chunked).expect_status(200);
        client.send("10001\r\n");
        let _ = client.try_send(vec![b'x'; MOST + 1]);
        client.expect_close();
        assert_eq!(backend.connections(), 0);
    });
}

/// Bodies of requests that a backend saw come to an end, and those that were cut.
#[derive(Default)]
struct Seen {
    whole: AtomicU64,
    cut: AtomicU64,
}

#[test]
fn a_client_that_leaves_within_its_upload_leaves_a_cut_body() {
    on_both_drivers(|driver| {
        let seen = Arc::new(Seen::default());
        let note = seen.clone();
        let backend = Wild::new(move |mut stream, _| {
            let Some(head) = head(&mut stream) else { return };
            let text = String::from_utf8(head).expect("a head of ASCII");
            let whole = match field(&text, "transfer-encoding") {
                Some(_) => {
                    let mut room = Vec::new();
                    Unchunked::new(&mut stream).read_to_end(&mut room).is_ok()
                }
                None => drink(&mut stream, 100_000).is_ok(),
            };
            if whole { &note.whole } else { &note.cut }.fetch_add(1, Ordering::AcqRel);
        });
        let gateway = gateway(backend.address(), driver);
        for (turn, framing) in ["Content-Length: 100000", "Transfer-Encoding: chunked"].iter().enumerate() {
            let mut stream = connect(&gateway);
            let request = format!("POST /dev/x HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n");
            stream.write_all(request.as_bytes()).expect("the gateway reads");
            match turn {
                0 => pour(&mut stream, 50_000).expect("the gateway reads"),
                _ => stream.write_all(b"5\r\nhello\r\n").expect("the gateway reads"),
            }
            eventually("the backend is called", || backend.connections() == turn + 1);
            drop(stream);
            eventually("the backend sees a cut body", || seen.cut.load(Ordering::Acquire) == turn as u64 + 1);
            let gone = || gateway.counter("tollgate_faults_total", &[("fault", "client_gone")]);
            eventually("the client's leaving is counted", || gone() >= turn as f64 + 0.5);
            no_upstream_left(&gateway);
        }
        assert_eq!(seen.whole.load(Ordering::Acquire), 0, "a body was ended that its client never ended");
        eventually("the log has both", || gateway.access_log().matches("client_gone").count() >= 2);
    });
}

#[test]
fn a_client_that_leaves_within_its_download_frees_the_backend() {
    on_both_drivers(|driver| {
        let backend = Wild::new(|mut stream, _| {
            let _ = head(&mut stream);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            // Until the gateway hangs up.
            let _ = pour_chunks(&mut stream, u64::MAX, 100_400);
        });
        let gateway = gateway(backend.address(), driver);
        let mut stream = connect(&gateway);
        stream.write_all(b"GET /dev/x HTTP/1.1\r\nHost: a\r\n\r\n").expect("the gateway reads");
        let mut room = vec![0; 1 << 20];
        stream.read_exact(&mut room).expect("the answer flows");
        drop(stream);
        no_upstream_left(&gateway);
        eventually("the backend is free", || backend.open() == 0);
        let gone = || gateway.counter("tollgate_faults_total", &[("fault", "client_gone")]);
        eventually("the client's leaving is counted", || gone() > 0.5);
    });
}

/// Answers with the head at once and then sends back each piece as it comes: a backend that reads while it writes.
fn parrot() -> Wild {
    Wild::new(|mut stream, _| {
        while let Some(head) = head(&mut stream) {
            let text = String::from_utf8(head).expect("a head of ASCII");
            let length: u64 = field(&text, "content-length").expect("the test says it").parse().expect("a number");
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
            stream.write_all(answer.as_bytes()).expect("the gateway reads");
            let mut left = length;
            let mut room = vec![0; 64 * 1024];
            while left > 0 {
                let count = stream.read(&mut room).expect("the body goes on");
                assert!(count > 0, "the body ended {left} bytes too early");
                stream.write_all(&room[..count]).expect("the gateway reads");
                left -= count as u64;
            }
        }
    })
}

#[test]
fn a_backend_may_answer_while_it_reads() {
    on_both_drivers(|driver| {
        let backend = parrot();
        let gateway = gateway(backend.address(), driver);
        let mut client = connect(&gateway);
        // Twice on one connection, piece by piece: each piece comes back before the next is sent.
        for _ in 0..2 {
            let head = "POST /dev/x HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\n";
            client.write_all(head.as_bytes()).expect("the gateway reads");
            client.write_all(b"0123456789").expect("the gateway reads");
            let answer = wild::head(&mut client).expect("an answer before the body's end");
            assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", shown(&answer));
            for turn in 0..5 {
                let mut piece = [0; 10];
                client.read_exact(&mut piece).expect("the piece comes back");
                assert_eq!(&piece, b"0123456789");
                if turn < 4 {
                    client.write_all(b"0123456789").expect("the gateway reads");
                }
            }
        }
        eventually("one connection, kept", || {
            let upstream = &gateway.status()["upstream"];
            upstream["idle"] == 1 && upstream["connects"] == 1
        });
    });
}

#[test]
fn a_large_body_goes_both_ways_at_once() {
    on_both_drivers(|driver| {
        let backend = parrot();
        let gateway = gateway(backend.address(), driver);
        let mut client = connect(&gateway);
        let head = format!("POST /dev/x HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", size());
        client.write_all(head.as_bytes()).expect("the gateway reads");
        let mut sender = client.try_clone().expect("a socket");
        let ((), most) = watch_memory(&gateway, || {
            thread::scope(|scope| {
                scope.spawn(move || pour(&mut sender, size()).expect("the gateway reads"));
                let answer = wild::head(&mut client).expect("an answer");
                assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", shown(&answer));
                drink(&mut client, size()).expect("what was sent");
            });
        });
        assert!(most < gateway.rss() + FLAT, "{most} bytes at the peak");
    });
}

/// A last answer that nobody reads is given up after `body_idle_time`. Then the client finds a reset behind what it has, or
/// the whole answer where the kernel took it in time, but never an end that comes too early.
#[test]
fn a_last_answer_that_is_not_read_never_ends_too_early() {
    on_both_drivers(|driver| {
        for length in [300_000, 9_000_000, 16_000_000] {
            let backend = Wild::new(move |mut stream, _| {
                while head(&mut stream).is_some() {
                    // The gateway may give up.
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").and_then(|()| pour(&mut stream, length));
                    finish(&stream);
                }
            });
            let upstream = format!("{{servers: [\"{}\"]}}", backend.address());
            let config = one_way("limits: {body_idle_time: 1s}", &upstream);
            let gateway = Gateway::start(&config, driver);
            let mut client = connect(&gateway);
            client.write_all(b"GET /dev/x HTTP/1.0\r\nHost: a\r\n\r\n").expect("the gateway reads");
            eventually("its time is over", || gateway.status()["connections"]["open"] == 0);
            let answer = head(&mut client).expect("an answer");
            assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", shown(&answer));
            let mut body = Vec::new();
            match client.read_to_end(&mut body) {
                Ok(_) => assert_eq!(body.len() as u64, length, "an end that comes too early"),
                Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
            }
        }
    });
}
