//! What an idle connection costs: its slot, and no buffer, no task, no parsing state.

mod support;
#[path = "support/wild.rs"]
mod wild;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use support::{Gateway, eventually, on_both_drivers};
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

fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised).expect("the soft limit may reach the hard one");
}
