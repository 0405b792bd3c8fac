//! Connections of HTTP/2 with streams at work, while the gateway changes under them: a reload, another process, a listener that goes.

#[path = "support/frames.rs"]
mod frames;
#[path = "support/hpack.rs"]
mod hpack;
mod support;
#[path = "support/wild.rs"]
mod wild;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use admin::UpgradeOrder;
use frames::{Answer, Carrier, Peer, flag, headers};
use hpack::Block;
use support::{Gateway, eventually, on_both_drivers};
use wild::{Wild, long};

/// `/mock` says `says`; `/late` is with the backend until that is let go, if there is such a way at all.
fn document(listen: usize, backend: Option<&str>, says: &str) -> String {
    let late = backend.map_or(String::new(), |backend| {
        format!("      \"GET /late\": {{integration: {{type: http_proxy, uri: \"http://{backend}/late\"}}}}\n")
    });
    let listen = vec!["{address: \"127.0.0.1:0\", h2c: true}"; listen].join(", ");
    format!(
        r#"
gateway:
  listen: [{listen}]
  limits: {{drain_time: 10s}}
apis:
  h:
    kind: http
    routes:
      "GET /mock": {{integration: {{type: mock, body: {says}}}}}
{late}    stages: {{$default: {{}}}}
"#
    )
}

fn connect(address: &str) -> Peer {
    let mut peer = Peer::new(Carrier::connect(address));
    peer.greet(&[]).expect("it speaks HTTP/2");
    peer
}

/// Asks for the same so many times in one write: the streams.
fn ask(peer: &mut Peer, path: &str, times: u32) -> Vec<u32> {
    let block = Block::of(&[(":method", "GET"), (":scheme", "http"), (":path", path), (":authority", "a")]);
    let first = peer.next_stream();
    let streams: Vec<u32> = (0..times).map(|at| first + at * 2).collect();
    peer.send(streams.iter().map(|stream| headers(*stream, flag::WHOLE, &block)));
    streams
}

#[track_caller]
fn answer(peer: &mut Peer, path: &str) -> Answer {
    let stream = ask(peer, path, 1)[0];
    peer.until("an answer", |peer| peer.answer(stream).ended).expect("it serves");
    peer.answer(stream)
}

#[track_caller]
fn all_done(peer: &mut Peer, streams: &[u32]) {
    let done = |peer: &Peer| streams.iter().all(|stream| peer.answer(*stream).ended);
    peer.until("all answers", done).expect("what is under way is finished");
    for stream in streams {
        let answer = peer.answer(*stream);
        assert_eq!((answer.status, &*answer.body), (Some(200), &b"done"[..]), "{stream}: {answer:?}");
    }
    assert!(peer.faults.is_empty(), "{:?}", peer.faults);
}

#[test]
fn streams_end_with_the_document_that_they_began_with() {
    on_both_drivers(|driver| {
        let (backend, go) = Wild::patient("done");
        let gateway = Gateway::start(&document(1, Some(backend.address()), "old"), driver);
        let mut peer = connect(gateway.address());
        let before = ask(&mut peer, "/late", 10);
        eventually("all are with the backend", || backend.connections() == 10);
        assert_eq!(answer(&mut peer, "/mock").body, b"old");
        for says in ["new", "newer"] {
            let report = gateway.reload(&document(1, None, says));
            assert_eq!(report["ok"], true, "{report}");
            assert_eq!(answer(&mut peer, "/mock").body, says.as_bytes());
            assert_eq!(answer(&mut peer, "/late").status, Some(404), "there is no such way any more");
        }
        for _ in 0..10 {
            go.send(()).expect("the backend waits");
        }
        all_done(&mut peer, &before);
        assert!(peer.goaways.is_empty(), "a reload is nobody's end");
        drop(peer);
        eventually("nothing of it is left", || gateway.status()["connections"]["open"] == 0);
    });
}

#[test]
fn a_process_that_leaves_finishes_its_streams_while_the_next_one_serves() {
    on_both_drivers(|driver| {
        let (backend, go) = Wild::patient("done");
        let gateway = Gateway::start(&document(1, Some(backend.address()), "hello"), driver);
        let old = gateway.pid();
        let mut peer = connect(gateway.address());
        let mut idle = connect(gateway.address());
        answer(&mut idle, "/mock");
        let before = ask(&mut peer, "/late", 10);
        eventually("all are with the backend", || backend.connections() == 10);
        let report = gateway.upgrade(UpgradeOrder::default());
        assert_eq!(report["ok"], true, "{report}\n{}", gateway.stderr());
        let last = before[9];
        peer.until("two GOAWAYs", |peer| peer.goaways.len() == 2).expect("it takes its leave");
        assert_eq!(peer.goaways, [(0, 0x7fff_ffff), (0, last)]);
        idle.until_closed().expect("who has nothing under way is let go");
        assert_eq!(idle.goaways.last(), Some(&(0, 1)));
        // Who comes anew comes to the next one.
        let mut next = connect(gateway.address());
        assert_eq!(answer(&mut next, "/mock").body, b"hello");
        for _ in 0..10 {
            go.send(()).expect("the backend waits");
        }
        all_done(&mut peer, &before);
        peer.until_closed().expect("then it ends");
        Gateway::wait_end(old);
        assert_eq!(answer(&mut next, "/mock").body, b"hello");
    });
}

#[test]
fn a_listener_that_goes_lets_its_streams_end() {
    on_both_drivers(|driver| {
        let (backend, go) = Wild::patient("done");
        let text = |listen| document(listen, Some(backend.address()), "hello");
        let gateway = Gateway::start(&text(2), driver);
        let mut stays = connect(&gateway.listeners()[0]);
        let mut goes = connect(&gateway.listeners()[1]);
        let of_stays = ask(&mut stays, "/late", 5);
        let of_goes = ask(&mut goes, "/late", 5);
        eventually("all are with the backend", || backend.connections() == 10);
        let report = gateway.reload(&text(1));
        assert_eq!(report["ok"], true, "{report}");
        goes.until("two GOAWAYs", |peer| peer.goaways.len() == 2).expect("it takes its leave");
        assert_eq!(goes.goaways, [(0, 0x7fff_ffff), (0, of_goes[4])]);
        assert_eq!(answer(&mut stays, "/mock").body, b"hello");
        for _ in 0..10 {
            go.send(()).expect("the backend waits");
        }
        all_done(&mut goes, &of_goes);
        goes.until_closed().expect("then it ends");
        all_done(&mut stays, &of_stays);
        assert!(stays.goaways.is_empty());
        assert_eq!(answer(&mut stays, "/mock").body, b"hello");
        eventually("one is left", || gateway.status()["connections"]["open"] == 1);
    });
}

/// Requests in bundles on one connection after another, until it is told to stop. A request that was not seen by whoever left is sent
/// again; every other one is answered.
fn load(address: &str, stop: &AtomicBool, served: &AtomicU64) {
    while !stop.load(Ordering::Acquire) {
        let mut peer = connect(address);
        while !stop.load(Ordering::Acquire) && peer.goaways.is_empty() {
            let streams = ask(&mut peer, "/mock", 5);
            let unseen = |peer: &Peer, stream: u32| peer.goaways.last().is_some_and(|(_, last)| stream > *last);
            let over = |peer: &Peer| streams.iter().all(|stream| peer.answer(*stream).ended || unseen(peer, *stream));
            peer.until("answers, or word that there will be none", over).expect("no stream is lost");
            let count = streams.iter().filter(|stream| peer.answer(**stream).status == Some(200)).count();
            let lost = streams.iter().filter(|stream| !peer.answer(**stream).ended && !unseen(&peer, **stream)).count();
            assert_eq!(lost, 0);
            served.fetch_add(count as u64, Ordering::AcqRel);
        }
        assert!(peer.faults.is_empty(), "{:?}", peer.faults);
    }
}

#[test]
fn no_stream_is_lost_on_the_way_from_one_process_to_the_next() {
    on_both_drivers(|driver| {
        let gateway = Gateway::start(&document(1, None, "hello"), driver);
        let (stop, served) = (AtomicBool::new(false), AtomicU64::new(0));
        thread::scope(|scope| {
            let clients: Vec<_> = (0..3).map(|_| scope.spawn(|| load(gateway.address(), &stop, &served))).collect();
            for turn in 0..if long() { 20 } else { 3 } {
                let before = served.load(Ordering::Acquire);
                eventually("clients are served", || served.load(Ordering::Acquire) > before + 50);
                let report = gateway.upgrade(UpgradeOrder::default());
                assert_eq!(report["ok"], true, "{turn}: {report}\n{}", gateway.stderr());
                let report = gateway.reload(&document(1, None, "other"));
                assert_eq!(report["ok"], true, "{turn}: {report}");
            }
            let before = served.load(Ordering::Acquire);
            eventually("clients are served", || served.load(Ordering::Acquire) > before + 50);
            stop.store(true, Ordering::Release);
            for client in clients {
                client.join().expect("nothing is lost");
            }
        });
    });
}
