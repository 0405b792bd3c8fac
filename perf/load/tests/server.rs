//! The program itself against a small server of its own: what it counts, what it says, and when it fails.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Answers each request with what `answer` makes of its bytes and its number; without an answer it closes. A thread for each
/// connection.
fn server(answer: impl Fn(&str, usize) -> Option<String> + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    let (answer, count) = (Arc::new(answer), Arc::new(AtomicUsize::new(0)));
    std::thread::spawn(move || {
        for peer in listener.incoming() {
            let (answer, count) = (answer.clone(), count.clone());
            std::thread::spawn(move || serve(peer.expect("a peer"), &*answer, &count));
        }
    });
    address
}

fn serve(mut peer: TcpStream, answer: &dyn Fn(&str, usize) -> Option<String>, count: &AtomicUsize) {
    let mut bytes = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = peer.read(&mut bytes) {
        let request = String::from_utf8_lossy(&bytes[..length]);
        let Some(answer) = answer(&request, count.fetch_add(1, Ordering::Relaxed)) else { return };
        if peer.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn load(address: SocketAddr, words: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_load"));
    command.args(["-d", "0.3", "-w", "0.05", "-c", "4", "--json"]).args(words.split_whitespace());
    command.arg(address.to_string()).args(["/a", "/b"]).output().expect("it runs")
}

/// A number of the JSON, by its name; of several the first.
fn number(output: &Output, name: &str) -> f64 {
    let text = String::from_utf8_lossy(&output.stdout);
    let at = text.find(&format!("\"{name}\":")).unwrap_or_else(|| panic!("no {name} in {text}")) + name.len() + 3;
    let rest = &text[at..];
    rest[..rest.find([',', '}']).unwrap_or(rest.len())].parse().unwrap_or_else(|_| panic!("{name} in {text}"))
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

#[test]
fn a_closed_loop_asks_as_fast_as_it_is_answered() {
    let address = server(|request, _| {
        let right = request.starts_with("POST /a ") || request.starts_with("POST /b ");
        (right && request.ends_with("\r\n\r\nxxx") && request.contains("\r\nA:b\r\n")).then(|| ok("hello"))
    });
    let output = load(address, "-m POST -b 3 -H A:b --size 5");
    assert!(output.status.success(), "{}", said(&output));
    assert!(number(&output, "answers") > 10.0 && number(&output, "cpu_us") > 0.0, "{}", said(&output));
    assert!((0.2..20.0).contains(&number(&output, "seconds")), "{}", said(&output));
}

#[test]
fn an_open_loop_asks_at_its_rate() {
    let address = server(|_, number| {
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
        Some(if number % 2 == 0 { ok("hello") } else { chunked.to_owned() })
    });
    let output = load(address, "--rate 1000 --size 5");
    assert!(output.status.success(), "{}", said(&output));
    // All 300 that fell due within the window, whenever they were answered.
    assert!((number(&output, "count") - 300.0).abs() < f64::EPSILON, "{}", said(&output));
}

#[test]
fn a_pause_of_the_server_is_in_the_latency_of_all_that_came_due_in_it() {
    // One request in the middle takes 150 ms; with one connection everything behind it waits.
    let address = server(|_, number| {
        if number == 150 {
            std::thread::park_timeout(Duration::from_millis(150));
        }
        Some(ok("hello"))
    });
    let output = load(address, "--rate 1000 -c 1 -d 0.4");
    assert!(output.status.success(), "{}", said(&output));
    // Without counting from when requests were due only one of 400 would be slow: less than one per cent.
    assert!(number(&output, "p90") > 20_000.0, "{}", said(&output));
}

#[test]
fn wrong_answers_closed_connections_and_silence_make_it_fail() {
    let busy = load(server(|_, n| Some(if n == 5 { ok("no").replace("200", "503") } else { ok("") })), "--rate 500");
    assert_eq!((busy.status.code(), number(&busy, "wrong")), (Some(1), 1.0), "{}", said(&busy));
    let long = load(server(|_, n| Some(ok(if n == 5 { "longer" } else { "short" }))), "--rate 500 --size 5");
    assert_eq!((long.status.code(), number(&long, "wrong")), (Some(1), 1.0), "{}", said(&long));
    let closes = load(server(|_, n| (n != 5).then(|| ok(""))), "--rate 500");
    assert_eq!((closes.status.code(), number(&closes, "closed")), (Some(1), 1.0), "{}", said(&closes));
    let garbage = load(server(|_, n| Some(if n == 5 { "220 hello\r\n\r\n".into() } else { ok("") })), "--rate 500");
    assert_eq!((garbage.status.code(), number(&garbage, "framing")), (Some(1), 1.0), "{}", said(&garbage));
    let silent = load(server(|_, _| Some(String::new())), "");
    assert_eq!((silent.status.code(), number(&silent, "unanswered")), (Some(1), 4.0), "{}", said(&silent));
}

#[test]
fn whoever_is_not_there_is_named() {
    let gone = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
    let output = load(gone, "");
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains(&gone.to_string()), "{}", said(&output));
    assert_eq!(load(gone, "--nonsense").status.code(), Some(2));
}
