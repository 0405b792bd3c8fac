//! What an idle connection costs: its slot, and no buffer, no task, no parsing state.

#[path = "support/frames.rs"]
mod frames;
#[path = "support/hpack.rs"]
mod hpack;
mod support;
#[path = "support/tls.rs"]
mod tls;
#[path = "support/wild.rs"]
mod wild;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use frames::{Carrier, Peer, flag, headers};
use hpack::Block;
use support::gateway::new_folder;
use support::{Gateway, eventually, on_both_drivers};
use tls::{Identity, Visitor};
use wild::long;

/// Bytes of the gateway's own memory for one idle connection. The slot has 256, its timer's entry and the doubling of the
/// tables as much again; a held buffer would be 4,096.
const EACH: u64 = 1024;

/// Connections open on both drivers together need two descriptors each: one here, one there, where 20,000 is a usual limit.
fn crowd() -> usize {
    if long() { 10_000 } else { 2_000 }
}

fn private(gateway: &Gateway) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/smaps_rollup", gateway.pid())).expect("the process lives");
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("the field is there");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
    };
    field("Private_Dirty:")
}

fn ask(stream: &mut TcpStream) {
    stream.write_all(b"GET /dev/mock HTTP/1.1\r\nHost: a\r\n\r\n").expect("the gateway reads");
    let mut answer = Vec::new();
    let mut room = [0; 1024];
    while !answer.ends_with(b"{}") {
        let count = stream.read(&mut room).expect("an answer");
        assert_ne!(count, 0, "closed");
        answer.extend_from_slice(&room[..count]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 200 "));
}

#[test]
fn an_idle_connection_costs_less_than_a_kibibyte() {
    raise_file_limit();
    // Children inherit it: with huge pages, memory is seen in steps of 2 MiB, which says nothing of 2,000 connections.
    rustix::thread::disable_transparent_huge_pages(true).expect("Linux has the switch");
    // One after the other: the descriptors of both would not fit.
    let turn = std::sync::Mutex::new(());
    on_both_drivers(|driver| {
        let _turn = turn.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let config = r#"
gateway:
  access_log: {to: none}
apis:
  rest:
    kind: rest
    routes:
      "GET /mock": {integration: {type: mock, status: 200, body: "{}"}}
    stages: {dev: {}}
"#;
        let gateway = Gateway::start(config, driver);
        let connect = || TcpStream::connect(gateway.address()).expect("the gateway listens");
        // What the first requests of a life need is not counted.
        let mut first: Vec<TcpStream> = (0..16).map(|_| connect()).collect();
        first.iter_mut().for_each(ask);
        let (private_before, rss_before) = (private(&gateway), gateway.rss());
        let mut all = Vec::with_capacity(crowd());
        for _ in 0..crowd() {
            let mut stream = connect();
            ask(&mut stream);
            all.push(stream);
        }
        let held = (crowd() + first.len()) as u64;
        eventually("all are idle", || gateway.status()["connections"]["idle"] == held);
        let each = |before: u64, now: u64| now.saturating_sub(before) / crowd() as u64;
        let (dirty, resident) = (each(private_before, private(&gateway)), each(rss_before, gateway.rss()));
        println!("{}: {} idle connections: {dirty} bytes each private, {resident} resident", driver.name(), crowd());
        assert!(dirty <= EACH, "{dirty} bytes each");
        // They are all alive.
        all.iter_mut().step_by(97).for_each(ask);
        drop(all);
        drop(first);
        eventually("all are closed", || gateway.status()["connections"]["open"] == 0);
    });
}

/// The same over TLS, of clients that keep their connections open.
fn ask_safely(visitor: &Visitor, address: &str) -> Box<dyn std::any::Any> {
    let mut secure = visitor.connect(address, "a");
    if secure.tls().alpn_protocol() != Some(b"h2") {
        secure.exchange("GET /dev/mock HTTP/1.1\r\nHost: a\r\n\r\n").expect_status(200);
        return Box::new(secure);
    }
    let mut peer = Peer::new(Carrier::Sealed(Box::new(secure.into_stream())));
    peer.greet(&[]).expect("it speaks HTTP/2");
    let fields = [(":method", "GET"), (":scheme", "https"), (":path", "/dev/mock"), (":authority", "a")];
    peer.send([headers(1, flag::WHOLE, &Block::of(&fields))]);
    peer.until("an answer", |peer| peer.answer(1).ended).expect("it serves");
    Box::new(peer)
}

/// Bytes of the gateway's own memory for one idle connection over TLS. Half of the first are 4 KiB that `rustls` opens records in and does
/// not give back; the second has buffers of `h2` beside them: 16 KiB to write, 8 KiB to read, 4 KiB for field blocks.
const EACH_OVER_TLS: [(&str, u64); 2] = [("http/1.1", 9 * 1024), ("h2", 36 * 1024)];

#[test]
fn an_idle_connection_over_tls_costs_what_its_libraries_keep() {
    const CROWD: usize = 1_000;

    if !long() {
        return;
    }
    raise_file_limit();
    rustix::thread::disable_transparent_huge_pages(true).expect("Linux has the switch");
    let turn = std::sync::Mutex::new(());
    on_both_drivers(|driver| {
        let _turn = turn.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for (protocol, most) in EACH_OVER_TLS {
            let (own, folder) = (Identity::new(&["a"]), new_folder());
            own.write(&folder, "a");
            let tls = format!("{{certificate: {0}/a.crt, key: {0}/a.key}}", folder.display());
            let gateway =
                format!("gateway:\n  access_log: {{to: none}}\n  listen: [{{address: \"127.0.0.1:0\", tls: {tls}}}]");
            let gateway = Gateway::start(
                &format!(
                    r#"{gateway}
apis:
  rest:
    kind: rest
    routes:
      "GET /mock": {{integration: {{type: mock, status: 200, body: "{{}}"}}}}
    stages: {{dev: {{}}}}
"#
                ),
                driver,
            );
            let visitor = Visitor::new(&[&own]).offering(&[protocol]);
            let first: Vec<_> = (0..16).map(|_| ask_safely(&visitor, gateway.address())).collect();
            let before = private(&gateway);
            let all: Vec<_> = (0..CROWD).map(|_| ask_safely(&visitor, gateway.address())).collect();
            eventually("all are idle", || gateway.status()["connections"]["idle"] == CROWD + first.len());
            let each = private(&gateway).saturating_sub(before) / CROWD as u64;
            println!("{}: {CROWD} idle connections of {protocol} over TLS: {each} bytes each", driver.name());
            assert!(each <= most, "{each} bytes each");
            drop((all, first));
            eventually("all are closed", || gateway.status()["connections"]["open"] == 0);
        }
    });
}

fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised).expect("the soft limit may reach the hard one");
}
