//! WebSocket connections that are passed through (rows C02 to C08): who may have one, what passes, and how it ends.

mod support;
#[path = "support/tls.rs"]
mod tls;
#[path = "support/wild.rs"]
mod wild;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use support::gateway::new_folder;
use support::{Backend, Driver, Gateway, PATIENCE, eventually, on_both_drivers};
use tls::{Identity, Visitor};
use wild::{Wild, drink, finish, head, long, pour, read_away, reset};

/// The example of RFC 6455 §1.3.
const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const ACCEPT: &str = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
const THIRTEEN: &str = "Sec-WebSocket-Version: 13\r\n";

fn handshake() -> String {
    format!("GET /chat HTTP/1.1\r\nHost: a\r\n{UPGRADE}{KEY}{THIRTEEN}\r\n")
}

fn agreed() -> String {
    format!("HTTP/1.1 101 Switching Protocols\r\n{UPGRADE}{ACCEPT}\r\n")
}

fn gateway_with(limits: &str, backend: &str, driver: Driver) -> Gateway {
    let config = format!(
        r#"
gateway:
  limits: {{{limits}}}
apis:
  http:
    kind: http
    routes:
      "ANY /chat": {{websocket: true, integration: {{type: http_proxy, uri: "http://{backend}/chat"}}}}
      "ANY /plain": {{integration: {{type: http_proxy, uri: "http://{backend}/plain"}}}}
      "GET /mock": {{integration: {{type: mock, status: 200, body: "{{}}"}}}}
    stages: {{$default: {{}}}}
"#
    );
    Gateway::start(&config, driver)
}

fn gateway(backend: &str, driver: Driver) -> Gateway {
    gateway_with("", backend, driver)
}

/// A backend that agrees and says everything back.
fn echo() -> Wild {
    Wild::new(|mut stream, _| {
        if head(&mut stream).is_none() || stream.write_all(agreed().as_bytes()).is_err() {
            return;
        }
        let mut room = vec![0; 64 * 1024];
        loop {
            match stream.read(&mut room) {
                Ok(count @ 1..) if stream.write_all(&room[..count]).is_ok() => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                _ => return,
            }
        }
    })
}

/// A client behind its 101.
#[track_caller]
fn open(gateway: &Gateway) -> TcpStream {
    let mut stream = TcpStream::connect(gateway.address()).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream.set_write_timeout(Some(PATIENCE)).expect("a socket");
    stream.write_all(handshake().as_bytes()).expect("sent");
    let answer = String::from_utf8(head(&mut stream).expect("an answer")).expect("text");
    assert!(answer.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{answer}");
    stream
}

#[track_caller]
fn say(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).expect("sent");
    let mut room = vec![0; text.len()];
    stream.read_exact(&mut room).expect("it is said back");
    assert_eq!(room, text.as_bytes());
}

#[track_caller]
fn expect_end(stream: &mut TcpStream) {
    let mut room = [0; 16];
    assert_eq!(stream.read(&mut room).expect("an end, no reset"), 0);
}

fn ended(gateway: &Gateway, by: &str) -> f64 {
    gateway.counter("tollgate_tunnels_ended_total", &[("by", by)])
}

fn are_open(gateway: &Gateway, count: u32) -> bool {
    (gateway.counter("tollgate_tunnels_open", &[]) - f64::from(count)).abs() < 0.5
}

/// Heads that a backend received, beside the backend.
fn listening(answer: impl Into<Vec<u8>>) -> (Wild, mpsc::Receiver<String>) {
    let (tell, told) = mpsc::channel();
    let (tell, answer) = (Mutex::new(tell), answer.into());
    let backend = Wild::new(move |mut stream, _| {
        while let Some(head) = head(&mut stream) {
            let _ = tell.lock().expect("one at a time").send(String::from_utf8_lossy(&head).into_owned());
            if stream.write_all(&answer).is_err() {
                return;
            }
        }
    });
    (backend, told)
}

#[test]
fn bytes_pass_both_ways_and_are_counted() {
    on_both_drivers(|driver| {
        let backend = echo();
        let gateway = gateway(backend.address(), driver);
        let mut stream = open(&gateway);
        say(&mut stream, "hello");
        eventually("it is counted", || are_open(&gateway, 1));
        assert_eq!(gateway.status()["tunnels"], serde_json::json!({"open": 1, "opened": 1}));
        assert_eq!(gateway.access_log(), "", "the line comes with the end");
        say(&mut stream, &"long ".repeat(20_000));
        drop(stream);
        eventually("it is recorded", || gateway.access_log().lines().count() == 1);
        let log = gateway.access_log();
        for part in ["\"status\":101", "\"responseLength\":100005", "\"routeKey\":\"ANY /chat\""] {
            assert!(log.contains(part), "{part} is missing: {log}");
        }
        eventually("nothing of it is left", || are_open(&gateway, 0) && backend.open() == 0);
        assert!((gateway.counter("tollgate_tunnels_opened_total", &[]) - 1.0).abs() < 0.5);
        assert!(gateway.counter("tollgate_received_bytes_total", &[]) > 100_000.0);
        assert!(ended(&gateway, "client") > 0.5);
        assert_eq!(gateway.status()["panics"], 0);
    });
}

#[test]
fn both_kinds_pass_what_the_two_sides_agree_on() {
    on_both_drivers(|driver| {
        let more =
            "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Extensions: permessage-deflate\r\nSet-Cookie: a=b\r\n";
        let answer = agreed().replace("\r\n\r\n", &format!("\r\n{more}\r\n"));
        let (backend, heads) = listening(answer);
        for kind in ["http", "rest"] {
            let config = format!(
                "apis:\n  a:\n    kind: {kind}\n    routes: {{\"GET /chat\": {{websocket: true, integration: {{type: http_proxy, uri: \"http://{}/chat\"}}}}}}\n    stages: {{dev: {{}}}}\n",
                backend.address()
            );
            let gateway = Gateway::start(&config, driver);
            let mut stream = TcpStream::connect(gateway.address()).expect("it listens");
            let asked = "Sec-WebSocket-Protocol: chat, talk\r\nSec-WebSocket-Extensions: permessage-deflate\r\nOrigin: http://b\r\n";
            let request = handshake().replace("/chat", "/dev/chat").replace("\r\n\r\n", &format!("\r\n{asked}\r\n"));
            stream.write_all(request.as_bytes()).expect("sent");
            let answer = String::from_utf8(head(&mut stream).expect("an answer")).expect("text");
            assert!(answer.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{answer}");
            for line in more.lines().chain([ACCEPT.trim_end(), "Connection: Upgrade", "Upgrade: websocket"]) {
                assert_eq!(answer.matches(&format!("\r\n{line}\r\n")).count(), 1, "{line} in {answer}");
            }
            assert!(!answer.contains("Remapped-Connection") && !answer.contains("Content-"), "{answer}");
            let received = heads.recv_timeout(PATIENCE).expect("the backend was asked");
            assert!(received.starts_with("GET /chat HTTP/1.1\r\n"), "{received}");
            let passed =
                asked.lines().chain([KEY.trim_end(), THIRTEEN.trim_end(), "Connection: Upgrade", "Upgrade: websocket"]);
            for line in passed {
                assert_eq!(received.matches(&format!("\r\n{line}\r\n")).count(), 1, "{line} in {received}");
            }
        }
    });
}

#[test]
fn c02_what_concerns_one_connection_is_left_out_of_a_handshake_as_well() {
    on_both_drivers(|driver| {
        let (backend, heads) = listening(agreed());
        let gateway = gateway(backend.address(), driver);
        let mut client = gateway.client();
        let fields = "Connection: Upgrade, X-Secret\r\nX-Secret: 1\r\nUpgrade: websocket\r\nKeep-Alive: 5\r\nTE: trailers\r\nProxy-Authorization: x\r\nX-Forwarded-For: 9.9.9.9\r\n";
        client.send(format!("GET /chat HTTP/1.1\r\nHost: a\r\n{fields}{KEY}{THIRTEEN}\r\n"));
        client.read_until(b"\r\n\r\n");
        let received = heads.recv_timeout(PATIENCE).expect("the backend was asked").to_ascii_lowercase();
        for gone in ["x-secret", "keep-alive", "te:", "proxy-authorization", "9.9.9.9"] {
            assert!(!received.contains(&format!("\n{gone}")) && !received.contains("9.9.9.9"), "{gone} in {received}");
        }
        let mut client = gateway.client();
        let named = "Connection: Upgrade, Authorization\r\nAuthorization: x\r\nUpgrade: websocket\r\n";
        client.send(format!("GET /chat HTTP/1.1\r\nHost: a\r\n{named}{KEY}{THIRTEEN}\r\n"));
        client.read_response().expect_status(400);
        let mut client = gateway.client();
        let named = "Connection: Upgrade, Sec-WebSocket-Key\r\nUpgrade: websocket\r\n";
        client.send(format!("GET /chat HTTP/1.1\r\nHost: a\r\n{named}{KEY}{THIRTEEN}\r\n"));
        client.read_response().expect_status(400);
        assert!(heads.try_recv().is_err(), "the backend saw a request that was refused");
    });
}

#[test]
fn c03_h2c_is_never_passed_on() {
    on_both_drivers(|driver| {
        let (backend, heads) = listening("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        let gateway = gateway(backend.address(), driver);
        let settings = "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n";
        for path in ["/chat", "/plain"] {
            for upgrade in ["h2c", "h2c, foo", "foo"] {
                let mut client = gateway.client();
                let fields = format!("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: {upgrade}\r\n{settings}");
                client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
                client.read_response().expect_status(200);
                let received = heads.recv_timeout(PATIENCE).expect("asked").to_ascii_lowercase();
                assert!(!received.contains("upgrade") && !received.contains("http2-settings"), "{received}");
            }
        }
        // Beside a WebSocket, too.
        let mut client = gateway.client();
        let fields = format!("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c, websocket\r\n{settings}");
        client.send(format!("GET /chat HTTP/1.1\r\nHost: a\r\n{fields}{KEY}{THIRTEEN}\r\n"));
        client.read_response().expect_status(200);
        let received = heads.recv_timeout(PATIENCE).expect("asked").to_ascii_lowercase();
        assert!(received.contains("\r\nupgrade: websocket\r\n") && !received.contains("h2"), "{received}");
    });
}

#[test]
fn c04_what_follows_a_handshake_waits_for_the_answer() {
    on_both_drivers(|driver| {
        let (tell, early) = mpsc::channel();
        let tell = Mutex::new(tell);
        let backend = Wild::new(move |mut stream, _| {
            if head(&mut stream).is_none() {
                return;
            }
            stream.set_read_timeout(Some(Duration::from_millis(100))).expect("a socket");
            let before = stream.read(&mut [0; 16]).map_err(|error| error.kind());
            let _ = tell.lock().expect("one").send(before);
            stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
            let _ = stream.write_all(agreed().as_bytes());
            let mut room = [0; 5];
            if stream.read_exact(&mut room).is_ok() {
                let _ = stream.write_all(&room);
            }
        });
        let gateway = gateway(backend.address(), driver);
        let mut stream = TcpStream::connect(gateway.address()).expect("it listens");
        stream.write_all(format!("{}early", handshake()).as_bytes()).expect("sent");
        let before = early.recv_timeout(PATIENCE).expect("the backend was asked");
        assert!(matches!(before, Err(ErrorKind::WouldBlock)), "bytes came before the backend agreed: {before:?}");
        head(&mut stream).expect("101");
        let mut room = [0; 5];
        stream.read_exact(&mut room).expect("said back");
        assert_eq!(&room, b"early");
    });
}

#[test]
fn c04_what_follows_a_handshake_that_was_declined_is_a_request() {
    on_both_drivers(|driver| {
        let (backend, heads) = listening("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        let gateway = gateway(backend.address(), driver);
        let mut client = gateway.client();
        let hidden = "GET /admin HTTP/1.1\r\nHost: a\r\n\r\n";
        let allowed = "GET /mock HTTP/1.1\r\nHost: a\r\n\r\n";
        client.send(format!("{}{hidden}{allowed}", handshake()));
        client.read_response().expect_status(200);
        client.read_response().expect_status(404);
        client.read_response().expect_status(200);
        assert!(heads.recv_timeout(PATIENCE).expect("asked").starts_with("GET /chat "));
        assert!(heads.try_recv().is_err(), "the backend saw a request that no route leads to");
        // And frames are no request at all.
        let mut client = gateway.client();
        client.send(handshake());
        client.send(b"\x81\x85abcd\x09\x07\x0f\x08\x0e");
        client.read_response().expect_status(200);
        client.read_response().expect_status(400);
        client.expect_close();
    });
}

/// Row C05: the refusal is `handshake_broken`, where nothing was asked for `switching_protocols`.
#[test]
fn c05_an_agreement_that_is_none_is_a_bad_answer() {
    on_both_drivers(|driver| {
        let line = "HTTP/1.1 101 Switching Protocols\r\n";
        let broken = [
            format!("{line}{UPGRADE}\r\n"),
            format!("{line}{UPGRADE}Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n"),
            format!("{line}{UPGRADE}{ACCEPT}{ACCEPT}\r\n"),
            format!("{line}Upgrade: websocket\r\n{ACCEPT}\r\n"),
            format!("{line}Connection: Upgrade\r\n{ACCEPT}\r\n"),
            format!("{line}Connection: Upgrade\r\nUpgrade: h2c\r\n{ACCEPT}\r\n"),
            // The client has offered neither (RFC 6455 §4.1).
            format!("{line}{UPGRADE}{ACCEPT}Sec-WebSocket-Protocol: chat\r\n\r\n"),
            format!("{line}{UPGRADE}{ACCEPT}Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"),
        ];
        for answer in &broken {
            let (backend, _heads) = listening(answer.as_bytes());
            let gateway = gateway(backend.address(), driver);
            let mut client = gateway.client();
            client.send(handshake());
            client.read_response().expect_status(502);
            client.exchange("GET /mock HTTP/1.1\r\nHost: a\r\n\r\n").expect_status(200);
            eventually("its connection is closed", || backend.open() == 0);
            assert!(gateway.counter("tollgate_faults_total", &[("fault", "bad_answer")]) > 0.5, "{answer}");
            let broken = [("how", "handshake_broken")];
            assert!(gateway.counter("tollgate_upstream_bad_answers_total", &broken) > 0.5, "{answer}");
            assert!(are_open(&gateway, 0));
        }
        let (backend, _heads) = listening(agreed());
        let gateway = gateway(backend.address(), driver);
        for path in ["/chat", "/plain"] {
            gateway.client().exchange(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).expect_status(502);
        }
        // Without the setting nobody is asked, so nobody may agree.
        gateway.client().exchange(handshake().replace("/chat", "/plain")).expect_status(502);
        eventually("their connections are closed", || backend.open() == 0);
    });
}

#[test]
fn c06_another_answer_is_an_ordinary_one() {
    on_both_drivers(|driver| {
        for (status, text) in [(200, "OK"), (401, "Unauthorized"), (404, "Not Found"), (426, "Upgrade Required")] {
            let answer = format!("HTTP/1.1 {status} {text}\r\n{UPGRADE}{ACCEPT}Content-Length: 2\r\n\r\nno");
            let (backend, heads) = listening(answer);
            let gateway = gateway(backend.address(), driver);
            let mut client = gateway.client();
            for _ in 0..2 {
                client.send(handshake());
                let response = client.read_response();
                assert_eq!(response.expect_status(status).text(), "no");
                assert_eq!(response.header("Upgrade"), None, "{response:?}");
                heads.recv_timeout(PATIENCE).expect("asked");
            }
            assert_eq!(backend.connections(), 1, "the connection to the backend was kept");
            assert!(gateway.counter("tollgate_tunnels_opened_total", &[]) < 0.5);
        }
    });
}

#[test]
fn c07_a_handshake_without_a_key_or_of_another_version_is_refused() {
    on_both_drivers(|driver| {
        let backend = Backend::echo();
        let gateway = gateway(backend.address(), driver);
        let mut client = gateway.client();
        let mut ask = |fields: &str| client.exchange(format!("GET /chat HTTP/1.1\r\nHost: a\r\n{UPGRADE}{fields}\r\n"));
        let short = format!("Sec-WebSocket-Key: c2hvcnQ=\r\n{THIRTEEN}");
        for fields in ["", THIRTEEN, KEY, &format!("{KEY}{KEY}{THIRTEEN}"), &short] {
            let response = ask(fields);
            assert_eq!(response.expect_status(400).text(), r#"{"message":"Bad Request"}"#, "{fields}");
        }
        let response = ask(&format!("{KEY}Sec-WebSocket-Version: 8\r\n"));
        assert_eq!(response.expect_status(426).header("Sec-WebSocket-Version"), Some("13"));
        assert_eq!((response.header("Upgrade"), response.header("Connection")), (Some("websocket"), Some("Upgrade")));
        assert_eq!(backend.connections(), 0);
        for (reason, count) in [("handshake_malformed", 5.0), ("handshake_version", 1.0)] {
            let refused: f64 = gateway.counter("tollgate_refusals_total", &[("reason", reason)]);
            assert!((refused - count).abs() < 0.5, "{reason}: {refused}");
        }
    });
}

#[test]
fn c08_a_handshake_by_another_method_or_with_a_body_is_refused() {
    on_both_drivers(|driver| {
        let backend = Backend::echo();
        let gateway = gateway(backend.address(), driver);
        let all = format!("{UPGRADE}{KEY}{THIRTEEN}");
        for request in [
            format!("POST /chat HTTP/1.1\r\nHost: a\r\n{all}\r\n"),
            format!("POST /chat HTTP/1.1\r\nHost: a\r\n{all}Content-Length: 2\r\n\r\nhi"),
            format!("GET /chat HTTP/1.1\r\nHost: a\r\n{all}Content-Length: 2\r\n\r\nhi"),
            format!("GET /chat HTTP/1.1\r\nHost: a\r\n{all}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ] {
            gateway.client().exchange(&request).expect_status(400);
        }
        assert_eq!(backend.connections(), 0);
        // Where none is to be had, the wish for one is no more than a wish.
        let request = format!("POST /plain HTTP/1.1\r\nHost: a\r\n{all}Content-Length: 2\r\n\r\nhi");
        let seen = gateway.client().exchange(&request).expect_status(200).text();
        assert!(seen.ends_with("hi") && !seen.contains("Upgrade"), "{seen}");
        // HTTP/1.0 knows no upgrade (RFC 9110 §7.8).
        let old = handshake().replace("HTTP/1.1", "HTTP/1.0");
        let seen = gateway.client().exchange(&old).expect_status(200).text();
        assert!(!seen.contains("Upgrade"), "{seen}");
    });
}

#[test]
fn connect_makes_no_tunnel() {
    on_both_drivers(|driver| {
        let backend = Backend::echo();
        let gateway = gateway(backend.address(), driver);
        for target in ["a:80", "/chat"] {
            let request = format!("CONNECT {target} HTTP/1.1\r\nHost: a:80\r\n{UPGRADE}{KEY}{THIRTEEN}\r\n");
            gateway.client().exchange(&request).expect_status(405);
        }
        assert_eq!(backend.connections(), 0);
    });
}

#[test]
fn a_tunnel_is_no_request_at_work() {
    on_both_drivers(|driver| {
        let backend = echo();
        let gateway = gateway_with("requests: 1", backend.address(), driver);
        let mut streams: Vec<TcpStream> = (0..3).map(|_| open(&gateway)).collect();
        gateway.client().exchange("GET /mock HTTP/1.1\r\nHost: a\r\n\r\n").expect_status(200);
        for stream in &mut streams {
            say(stream, "hello");
        }
    });
}

/// What an idle tunnel holds is bounded: no receive buffer, and memory that thousands may have.
#[test]
fn an_idle_tunnel_holds_no_buffer() {
    on_both_drivers(|driver| {
        let backend = echo();
        let gateway = gateway(backend.address(), driver);
        let mut streams: Vec<TcpStream> = (0..20).map(|_| open(&gateway)).collect();
        let before = gateway.own_memory();
        let count = 400;
        streams.extend((0..count).map(|_| open(&gateway)));
        for stream in &mut streams {
            say(stream, "hello");
        }
        eventually("no buffer is held", || gateway.status()["buffersHeld"] == 0);
        let each = gateway.own_memory().saturating_sub(before) / count;
        println!("{}: {each} bytes for an idle tunnel", driver.name());
        assert!(each < 32 * 1024, "{each} bytes");
    });
}

#[test]
fn silence_and_age_end_a_tunnel() {
    on_both_drivers(|driver| {
        let backend = echo();
        let gateway = gateway_with("tunnel_idle_time: 1s, tunnel_time: 3s", backend.address(), driver);
        let mut silent = open(&gateway);
        let mut busy = open(&gateway);
        let began = Instant::now();
        // A word now and then keeps it, until it has lived long enough.
        let talk = thread::spawn(move || {
            let mut words = 0;
            while busy.write_all(b"word").is_ok() {
                let mut room = [0; 4];
                match busy.read_exact(&mut room) {
                    Ok(()) => words += 1,
                    Err(_) => break,
                }
                busy.set_read_timeout(Some(Duration::from_millis(200))).expect("a socket");
                // A pause of two hundred milliseconds, or the end.
                if busy.read(&mut room).is_ok() {
                    break;
                }
                busy.set_read_timeout(Some(PATIENCE)).expect("a socket");
            }
            (words, Instant::now())
        });
        expect_end(&mut silent);
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(900) && took < Duration::from_millis(2_900), "{took:?}");
        let (words, end) = talk.join().expect("it ends");
        assert!(words > 5 && end - began >= Duration::from_millis(2_900), "{words} words, {:?}", end - began);
        eventually("both are counted", || ended(&gateway, "idle") > 0.5 && ended(&gateway, "lifetime") > 0.5);
        eventually("the backend's connections are closed", || backend.open() == 0);
    });
}

#[test]
fn the_slower_side_sets_the_pace() {
    on_both_drivers(|driver| {
        let length: u64 = if long() { 1 << 30 } else { 48 << 20 };
        let backend = Wild::new(move |mut stream, _| {
            if head(&mut stream).is_none() || stream.write_all(agreed().as_bytes()).is_err() {
                return;
            }
            let mut back = stream.try_clone().expect("a socket");
            let pouring = thread::spawn(move || pour(&mut back, length));
            drink(&mut stream, length).expect("every byte");
            pouring.join().expect("it ends").expect("every byte");
            stream.write_all(b"all of it").expect("sent");
        });
        let gateway = gateway(backend.address(), driver);
        let mut stream = open(&gateway);
        // Nobody reads here yet: what the backend pours has to wait with the backend.
        let held = || gateway.counter("tollgate_sent_bytes_total", &[]);
        eventually("it stands still", || {
            let before = held();
            thread::yield_now();
            gateway.status()["buffersHeld"].as_u64().is_some_and(|held| held <= 8) && (held() - before).abs() < 0.5
        });
        let before = gateway.rss();
        let mut up = stream.try_clone().expect("a socket");
        let pouring = thread::spawn(move || pour(&mut up, length));
        drink(&mut stream, length).expect("every byte");
        pouring.join().expect("it ends").expect("every byte");
        let mut room = [0; 9];
        stream.read_exact(&mut room).expect("the backend has had it all");
        assert_eq!(&room, b"all of it");
        let grown = gateway.rss().saturating_sub(before);
        assert!(grown < 16 << 20, "{grown} bytes more");
    });
}

#[test]
fn the_end_of_one_direction_is_passed_on() {
    on_both_drivers(|driver| {
        let backend = Wild::new(|mut stream, number| {
            if head(&mut stream).is_none() || stream.write_all(agreed().as_bytes()).is_err() {
                return;
            }
            if number == 0 {
                // Reads to the end, and then has something to say.
                let count = read_away(&mut stream);
                let _ = stream.write_all(format!("{count} bytes").as_bytes());
            } else {
                let _ = stream.write_all(b"bye");
                finish(&stream);
                let count = read_away(&mut stream);
                assert_eq!(count, 5);
            }
        });
        let gateway = gateway(backend.address(), driver);
        let mut client = open(&gateway);
        client.write_all(b"12345").expect("sent");
        client.shutdown(Shutdown::Write).expect("a socket");
        let mut text = String::new();
        client.read_to_string(&mut text).expect("no reset");
        assert_eq!(text, "5 bytes");
        eventually("the client was first", || ended(&gateway, "client") > 0.5);
        let mut client = open(&gateway);
        let mut text = String::new();
        client.read_to_string(&mut text).expect("no reset");
        assert_eq!(text, "bye");
        client.write_all(b"later").expect("this direction is open");
        drop(client);
        eventually("the backend was first", || ended(&gateway, "backend") > 0.5 && backend.open() == 0);
    });
}

#[test]
fn a_reset_is_passed_on_as_one() {
    on_both_drivers(|driver| {
        let (tell, told) = mpsc::channel();
        let tell = Mutex::new(tell);
        let backend = Wild::new(move |mut stream, number| {
            if head(&mut stream).is_none() || stream.write_all(agreed().as_bytes()).is_err() {
                return;
            }
            if number == 0 {
                let end = stream.read(&mut [0; 16]).map_err(|error| error.kind());
                let _ = tell.lock().expect("one").send(end);
            } else {
                // Its client is behind its 101.
                let _ = stream.read(&mut [0; 1]);
                reset(stream);
            }
        });
        let gateway = gateway(backend.address(), driver);
        reset(open(&gateway));
        let end = told.recv_timeout(PATIENCE).expect("it ends");
        assert_eq!(end, Err(ErrorKind::ConnectionReset));
        let mut client = open(&gateway);
        client.write_all(b"x").expect("sent");
        let end = client.read(&mut [0; 16]).map_err(|error| error.kind());
        assert_eq!(end, Err(ErrorKind::ConnectionReset));
        eventually("both are told apart", || {
            ended(&gateway, "client_broke") > 0.5 && ended(&gateway, "backend_broke") > 0.5
        });
    });
}

#[test]
fn a_drain_ends_tunnels_when_its_time_is_over() {
    on_both_drivers(|driver| {
        let backend = echo();
        let gateway = gateway_with("drain_time: 3s", backend.address(), driver);
        let mut streams: Vec<TcpStream> = (0..4).map(|_| open(&gateway)).collect();
        let began = Instant::now();
        gateway.signal(Signal::TERM);
        for stream in &mut streams {
            say(stream, "still here");
        }
        streams.iter_mut().for_each(expect_end);
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(1_900), "{took:?}");
        drop(streams);
        assert_eq!(gateway.wait_exit().code(), Some(0), "{}", gateway.stderr());
        assert_eq!(gateway.access_log().lines().count(), 4, "each has its line");
    });
}

#[test]
fn an_upgrade_of_the_gateway_leaves_tunnels_with_the_old_one() {
    on_both_drivers(|driver| {
        let backend = echo();
        let gateway = gateway_with("drain_time: 20s", backend.address(), driver);
        let mut stream = open(&gateway);
        assert_eq!(gateway.upgrade(admin::UpgradeOrder::default())["ok"], true);
        say(&mut stream, "with the old one");
        let mut new = open(&gateway);
        say(&mut new, "with the new one");
        drop(stream);
        assert_eq!(gateway.wait_exit().code(), Some(0), "{}", gateway.stderr());
        say(&mut new, "and on");
    });
}

#[test]
fn a_tunnel_through_tls_ends_with_a_goodbye_on_both_sides() {
    on_both_drivers(|driver| {
        let backend = Wild::new(|mut stream, number| {
            if head(&mut stream).is_none() || stream.write_all(agreed().as_bytes()).is_err() {
                return;
            }
            let mut room = [0; 5];
            stream.read_exact(&mut room).expect("the client speaks");
            if number == 1 {
                // The client's goodbye is the end of its direction.
                assert_eq!(read_away(&mut stream), 0);
            }
            stream.write_all(&room).expect("the client listens");
        });
        let (folder, main) = (new_folder(), Identity::new(&["main.test"]));
        main.write(&folder, "main");
        let text = format!(
            "gateway:\n  listen: [{{address: \"127.0.0.1:0\", tls: {{certificate: main.crt, key: main.key}}}}]\napis:\n  http:\n    kind: http\n    routes: {{\"GET /chat\": {{websocket: true, integration: {{type: http_proxy, uri: \"http://{}/chat\"}}}}}}\n    stages: {{$default: {{}}}}\n",
            backend.address()
        );
        let gateway = Gateway::start_in(folder, &text, driver, &[]).expect("it starts");
        for says_goodbye in [false, true] {
            let mut client = Visitor::new(&[&main]).connect(gateway.address(), "main.test");
            client.send(format!("{}hello", handshake()));
            if says_goodbye {
                client.say_goodbye();
            }
            let all = client.read_to_end().expect("an end with a goodbye");
            assert!(all.starts_with(b"HTTP/1.1 101 ") && all.ends_with(b"\r\n\r\nhello"), "{}", support::shown(&all));
            drop(client);
        }
        eventually("nothing is left", || are_open(&gateway, 0) && backend.open() == 0);
    });
}

#[test]
fn requests_before_and_tunnels_share_a_connection() {
    on_both_drivers(|driver| {
        let backend = echo();
        let gateway = gateway(backend.address(), driver);
        let mut client = gateway.client();
        client.exchange("GET /mock HTTP/1.1\r\nHost: a\r\n\r\n").expect_status(200);
        client.send(format!("{}first", handshake()));
        let answer = client.read_until(b"first");
        assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", support::shown(&answer));
        drop(client);
        eventually("nothing is left", || are_open(&gateway, 0));
    });
}
