//! Connections of HTTP/2 where room is scarce: idle ones make room, the oldest first, and newcomers hear that there is none (rows R01 to R03).

#[path = "support/frames.rs"]
mod frames;
#[path = "support/h2_backend.rs"]
mod h2_backend;
#[path = "support/hpack.rs"]
mod hpack;
mod support;
#[path = "support/tls.rs"]
mod tls;

use std::time::{Duration, Instant};

use frames::{Carrier, Peer, flag, headers, setting};
use h2_backend::{Call, H2Backend};
use hpack::Block;
use support::gateway::new_folder;
use support::{Backend, Client, Driver, Gateway, Reply, eventually, on_both_drivers};
use tls::{Identity, Visitor};

const APIS: &str = r#"
apis:
  h:
    kind: http
    routes:
      "GET /mock": {integration: {type: mock, body: mock}}
      "GET /late": {integration: {type: http_proxy, uri: "http://{{backend}}/late"}}
    stages: {$default: {}}
"#;

const MOCK: &str = "GET /mock HTTP/1.1\r\nHost: a\r\n\r\n";

const NO_ERROR: u32 = 0;
const CALM: u32 = 11;

fn plain(limits: &str, backend: &Backend, driver: Driver) -> Gateway {
    let gateway = format!("gateway:\n  listen: [{{address: \"127.0.0.1:0\", h2c: true}}]\n  limits: {{{limits}}}\n");
    Gateway::start(&(gateway + &APIS.replace("{{backend}}", backend.address())), driver)
}

fn peer(gateway: &Gateway) -> Peer {
    let mut peer = Peer::new(Carrier::connect(gateway.address()));
    peer.greet(&[]).expect("it speaks HTTP/2");
    peer
}

fn ask(peer: &mut Peer, path: &str) -> u32 {
    let stream = peer.next_stream();
    let block = Block::of(&[(":method", "GET"), (":scheme", "http"), (":path", path), (":authority", "a")]);
    peer.send([headers(stream, flag::WHOLE, &block)]);
    stream
}

#[track_caller]
fn served(peer: &mut Peer, path: &str) {
    let stream = ask(peer, path);
    peer.until("an answer", |peer| peer.answer(stream).ended).expect("it serves");
    assert_eq!(peer.answer(stream).status, Some(200));
}

/// Waits until so many connections have been accepted, and are open, and are idle.
#[track_caller]
fn has(gateway: &Gateway, connections: (u64, u64, u64)) {
    let is_so = || {
        let told = &gateway.status()["connections"];
        let number = |name: &str| told[name].as_u64().expect("a number");
        (number("accepted"), number("open"), number("idle")) == connections
    };
    eventually(&format!("{connections:?} connections are accepted, open, idle"), is_so);
}

#[test]
fn r02_idle_connections_make_room_the_oldest_first_whatever_they_speak() {
    on_both_drivers(|driver| {
        let backend = Backend::scripted(|_| Reply::Never);
        let gateway = plain("connections: 20", &backend, driver);
        // The oldest of all has something under way.
        let mut busy = peer(&gateway);
        ask(&mut busy, "/late");
        eventually("the backend has it", || backend.requests() == 1);
        has(&gateway, (1, 1, 0));
        let mut old: Vec<Peer> = Vec::new();
        let mut old_plain: Vec<Client> = Vec::new();
        for number in 1..=4 {
            let mut peer = peer(&gateway);
            served(&mut peer, "/mock");
            old.push(peer);
            has(&gateway, (number * 2, number * 2, number * 2 - 1));
            let mut client = gateway.client();
            client.exchange(MOCK).expect_status(200);
            old_plain.push(client);
            has(&gateway, (number * 2 + 1, number * 2 + 1, number * 2));
            // Deadlines of sockets are told apart by 8 ms: whoever parks in the same tick is as old.
            let next_tick = Instant::now() + Duration::from_millis(20);
            eventually("the next tick has begun", || Instant::now() > next_tick);
        }
        let mut young: Vec<Peer> = Vec::new();
        for number in 10..=18 {
            let mut peer = peer(&gateway);
            served(&mut peer, "/mock");
            young.push(peer);
            has(&gateway, (number, number, number - 1));
        }
        // Each newcomer from here on needs room: one who goes for itself, and one to get ahead as long as there is too little.
        // They ask nothing: whoever is answered now is told to leave.
        for number in 0..8 {
            young.push(peer(&gateway));
            let accepted = 19 + number;
            eventually("it is counted", || gateway.status()["connections"]["accepted"] == accepted);
            assert!(gateway.status()["connections"]["open"].as_u64() <= Some(20), "{}", gateway.status());
        }
        for (number, mut peer) in old.into_iter().take(3).enumerate() {
            let left = peer.until_closed();
            left.unwrap_or_else(|why| panic!("{number}: {why}"));
            assert_eq!(peer.goaways, [(NO_ERROR, 1)], "{number}: its answer is known to it");
            assert!(peer.faults.is_empty(), "{:?}", peer.faults);
        }
        for mut client in old_plain.into_iter().take(3) {
            client.expect_close();
        }
        let status = gateway.status();
        assert_eq!(status["overload"]["refused"], 0, "{status}");
        assert!(status["overload"]["idleClosed"].as_u64() >= Some(6), "{status}");
        // Who is busy stays, and so do the young.
        busy.round_trip().expect("it is still here");
        for mut peer in young.into_iter().rev().take(8) {
            served(&mut peer, "/mock");
        }
        drop(busy);
        eventually("all are counted once", || gateway.status()["connections"]["open"] == 0);
        assert_eq!(gateway.status()["connections"]["idle"], 0);
    });
}

#[test]
fn connections_without_streams_are_counted_as_idle() {
    on_both_drivers(|driver| {
        let backend = Backend::scripted(|_| Reply::Never);
        let gateway = plain("idle_time: 1s", &backend, driver);
        let mut peer = peer(&gateway);
        has(&gateway, (1, 1, 1));
        ask(&mut peer, "/late");
        has(&gateway, (1, 1, 0));
        let stream = peer.next_stream() - 2;
        peer.send([frames::reset(stream, 8)]);
        has(&gateway, (1, 1, 1));
        peer.until_closed().expect("nothing is asked for too long");
        assert_eq!(peer.goaways, [(NO_ERROR, stream)]);
        has(&gateway, (1, 0, 0));
    });
}

#[test]
fn t08_windows_that_are_shut_keep_nobody_else_from_a_backend_of_http2() {
    const STALLED: u32 = 100;

    on_both_drivers(|driver| {
        let backend = H2Backend::start(|mut call: Call| async move {
            let length = if call.request.uri().path() == "/large" { 1 << 20 } else { 1_000 };
            call.ok(vec![b'x'; length]);
        });
        let gateway = Gateway::start(
            &format!(
                r#"
gateway:
  listen: [{{address: "127.0.0.1:0", h2c: true}}]
upstreams:
  back: {{servers: ["{}"], protocol: http2}}
apis:
  h:
    kind: http
    routes: {{"GET /{{proxy+}}": {{integration: {{type: http_proxy, uri: "http://back/{{proxy}}"}}}}}}
    stages: {{$default: {{}}}}
"#,
                backend.address()
            ),
            driver,
        );
        served(&mut peer(&gateway), "/small");
        let before = gateway.rss();
        let mut stalled = peer(&gateway);
        stalled.set(&[(setting::INITIAL_WINDOW_SIZE, 0)]);
        stalled.round_trip().expect("it knows");
        let streams: Vec<u32> = (0..STALLED).map(|_| ask(&mut stalled, "/large")).collect();
        let begun = |peer: &Peer| streams.iter().all(|stream| peer.answer(*stream).status == Some(200));
        stalled.until("the heads of all answers", begun).expect("they begin");
        // As much as the backend may send ahead is on its way, or here.
        let mut other = peer(&gateway);
        for _ in 0..20 {
            served(&mut other, "/small");
        }
        assert_eq!(backend.connections(), 1, "they share one");
        let each = gateway.rss().saturating_sub(before) / u64::from(STALLED);
        assert!(each < 128 * 1024, "{each} octets for each of them");
    });
}

/// A gateway over TLS that has one connection already, and may have no other: whoever comes is turned away.
fn full(limit: &str, driver: Driver) -> (Gateway, Identity, tls::Secure) {
    let own = Identity::new(&["a"]);
    let folder = new_folder();
    own.write(&folder, "a");
    let config = format!(
        "gateway:\n  listen: [{{address: \"127.0.0.1:0\", tls: {{certificate: {0}/a.crt, key: {0}/a.key}}}}]\n  limits: {{{limit}}}\n",
        folder.display()
    );
    let gateway = Gateway::start(&(config + &APIS.replace("{{backend}}", "127.0.0.1:9")), driver);
    let mut first = Visitor::new(&[&own]).connect(gateway.address(), "a");
    // It has begun to say something: it is not idle.
    first.send("GET /mock HTTP/1.1\r\n");
    eventually("it is at work", || gateway.status()["connections"]["idle"] == 0);
    (gateway, own, first)
}

#[test]
fn r01_r03_a_newcomer_hears_in_its_own_protocol_that_there_is_no_room() {
    on_both_drivers(|driver| {
        for (limit, counter) in [
            ("connections: 1", "tollgate_overload_refused_total"),
            ("connections_per_address: 1", "tollgate_connections_refused_per_address_total"),
        ] {
            let (gateway, own, mut first) = full(limit, driver);
            let visitor = Visitor::new(&[&own]);
            for offered in [&["h2", "http/1.1"][..], &["http/1.1"], &[]] {
                let mut second = visitor.offering(offered).connect(gateway.address(), "a");
                second.send(MOCK);
                assert_eq!(second.read_response().status, 503, "{offered:?}");
            }
            let alone = visitor.offering(&["h2"]).connect(gateway.address(), "a");
            let mut peer = Peer::new(Carrier::Sealed(Box::new(alone.into_stream())));
            peer.send_bytes(frames::PREFACE);
            peer.set(&[]);
            ask(&mut peer, "/mock");
            peer.until_closed().expect("it is told, and left");
            assert_eq!(peer.goaways, [(CALM, 0)], "nothing of it was looked at");
            assert!(peer.faults.is_empty(), "{:?}", peer.faults);
            let told = gateway.counter(counter, &[]);
            assert!((told - 4.0).abs() < 0.5, "{told}");
            first.send("Host: a\r\n\r\n");
            assert_eq!(first.read_response().status, 200);
        }
    });
}
