//! Whether the other end of a connection of HTTP/2 still lives: pings of clients are answered, and a backend that says nothing for long is
//! asked. The second takes most of a minute: `TOLLGATE_LONG=1`.

#[path = "support/frames.rs"]
mod frames;
#[path = "support/hpack.rs"]
mod hpack;
mod support;
#[path = "support/wild.rs"]
mod wild;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use frames::{Carrier, Frame, PREFACE, Peer, flag, frame, frame_ack, headers, kind, ping, settings};
use hpack::Block;
use support::{Driver, Gateway, on_both_drivers};
use wild::{Wild, long};

fn gateway(backend: &str, driver: Driver) -> Gateway {
    let text = format!(
        r#"
gateway:
  listen: [{{address: "127.0.0.1:0", h2c: true}}]
upstreams:
  back: {{servers: ["{backend}"], protocol: http2}}
apis:
  h:
    kind: http
    routes:
      "GET /mock": {{integration: {{type: mock, body: mock}}}}
      "POST /{{proxy+}}": {{integration: {{type: http_proxy, uri: "http://back/{{proxy}}"}}}}
    stages: {{$default: {{}}}}
"#
    );
    Gateway::start(&text, driver)
}

fn peer(gateway: &Gateway) -> Peer {
    let mut peer = Peer::new(Carrier::connect(gateway.address()));
    peer.greet(&[]).expect("it speaks HTTP/2");
    peer
}

#[test]
fn pings_of_clients_are_answered_with_what_they_said() {
    on_both_drivers(|driver| {
        let gateway = gateway("127.0.0.1:9", driver);
        let mut peer = peer(&gateway);
        // While nothing is asked, while something is, and several at once.
        peer.send([ping(*b"idle....")]);
        peer.until("an answer", |peer| peer.pongs.contains(b"idle....")).expect("it is answered");
        let block = Block::of(&[(":method", "GET"), (":scheme", "http"), (":path", "/mock"), (":authority", "a")]);
        peer.send([ping([1; 8]), headers(1, flag::WHOLE, &block), ping([2; 8]), ping([3; 8])]);
        peer.until("all answers", |peer| peer.answer(1).ended && peer.pongs.len() == 4).expect("it is answered");
        assert_eq!(peer.pongs, [*b"idle....", [1; 8], [2; 8], [3; 8]]);
        // An answer that nobody asked for means nothing.
        peer.send([Frame { flags: flag::ACK, ..ping([4; 8]) }]);
        peer.round_trip().expect("it goes on");
    });
}

/// A backend that begins an answer to whatever is asked and says nothing more by itself. Its pings, and whether they are answered.
fn silent(is_polite: bool) -> (Wild, Arc<AtomicUsize>) {
    let pings = Arc::new(AtomicUsize::new(0));
    let count = pings.clone();
    let backend = Wild::new(move |mut stream, _| {
        let mut preface = [0; PREFACE.len()];
        if stream.read_exact(&mut preface).is_err() || stream.write_all(&settings(&[]).bytes()).is_err() {
            return;
        }
        while let Some(Frame { kind, flags, stream: number, payload }) = next(&mut stream) {
            let answer = match (kind, flags & flag::ACK) {
                (kind::SETTINGS, 0) => frame_ack(),
                // 200, of the table that both know.
                (kind::HEADERS, _) => frame(kind::HEADERS, flag::END_HEADERS, number, [0x88]),
                (kind::PING, 0) => {
                    count.fetch_add(1, Ordering::AcqRel);
                    if !is_polite {
                        continue;
                    }
                    Frame { flags: flag::ACK, ..frame(kind::PING, 0, 0, payload) }
                }
                _ => continue,
            };
            let _ = stream.write_all(&answer.bytes());
        }
    });
    (backend, pings)
}

fn next(stream: &mut TcpStream) -> Option<Frame> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).ok()?;
    let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
    stream.read_exact(&mut payload).ok()?;
    let number = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
    Some(frame(head[3], head[4], number, payload))
}

#[test]
fn a_backend_that_says_nothing_for_long_is_asked_and_given_up_if_it_does_not_answer() {
    if !long() {
        return;
    }
    on_both_drivers(|driver| {
        let (polite, of_polite) = silent(true);
        let (dead, of_dead) = silent(false);
        let (lives, dies) = (gateway(polite.address(), driver), gateway(dead.address(), driver));
        let fields = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", "/x"),
            (":authority", "a"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
        ];
        let ask = |gateway: &Gateway| {
            let mut peer = peer(gateway);
            peer.send([headers(1, flag::WHOLE, &Block::of(&fields))]);
            peer.until("the head of an answer", |peer| peer.answer(1).status == Some(200)).expect("it begins");
            peer.patience = Duration::from_secs(90);
            peer
        };
        let (mut well, mut cut) = (ask(&lives), ask(&dies));
        let began = Instant::now();
        cut.until("an end", |peer| peer.answer(1).reset.is_some()).expect("nobody waits for the dead");
        let took = began.elapsed();
        assert!(took >= Duration::from_secs(44), "{took:?}: it has its time");
        well.round_trip().expect("its client is well");
        let answer = well.answer(1);
        assert!(answer.reset.is_none() && !answer.ended, "{answer:?}");
        assert_eq!((of_polite.load(Ordering::Acquire), of_dead.load(Ordering::Acquire)), (1, 1));
    });
}
