//! Rows T01 to T27 of the attack table: HTTP/2 from clients that mean no good, in raw frames, on both drivers. What is malformed in one
//! frame alone is in `conformance/`; here stand what it costs, what a backend sees of it, and what is counted.

#[path = "support/frames.rs"]
mod frames;
#[path = "support/hpack.rs"]
mod hpack;
mod support;
#[path = "support/wild.rs"]
mod wild;

use std::time::Duration;

use codec::websocket::Accept;

use frames::{
    Carrier, Frame, PREFACE, Peer, code_name, continuation, data, flag, frame, frame_ack, headers, kind, ping,
    priority, reset, setting, settings, window_update,
};
use hpack::{Block, DYNAMIC, coded, integer, push_code};
use rustix::process::Signal;
use support::backend::Conversation;
use support::{Gateway, Reply, Stage, Theatre, eventually, on_both_drivers};
use wild::Wild;

const DOCUMENT: &str = r#"
gateway:
  listen: [{address: "127.0.0.1:0", h2c: true}]
  limits: {header_time: 1s, idle_time: 2s, body_idle_time: 1s, send_rate: 200KiB}
apis:
  w:
    kind: http
    routes:
      "ANY /mock": {integration: {type: mock, body: mock}}
      "ANY /chat": {websocket: true, integration: {type: http_proxy, uri: "http://{{backend}}/chat"}}
      "ANY /{proxy+}": {integration: {type: http_proxy, uri: "http://{{backend}}/{proxy}"}}
    stages: {$default: {}}
domains:
  "*": {mappings: {/: w/$default}}
"#;

static HOUSE: Theatre = Theatre::new(DOCUMENT);

/// Octets by which one connection may make the process grow.
const GROWTH_MAX: u64 = 2 << 20;

/// Octets of all receive buffers that a worker may have.
const WORKER_BUFFERS: u64 = 80 << 20;

type Fields<'a> = [(&'a str, &'a str)];

/// A connection that is ready for requests.
fn peer(stage: &Stage) -> Peer {
    let mut peer = Peer::new(Carrier::connect(stage.gateway.address()));
    peer.greet(&[]).expect("it speaks HTTP/2");
    peer
}

/// A request's block.
fn request(method: &str, path: &str) -> Block {
    Block::of(&[(":method", method), (":scheme", "http"), (":path", path), (":authority", "a.test")])
}

fn get(stream: u32, path: &str) -> Frame {
    headers(stream, flag::WHOLE, &request("GET", path))
}

fn post(stream: u32, path: &str) -> Frame {
    headers(stream, flag::END_HEADERS, &request("POST", path))
}

/// A request that is answered with 200, on a stream of its own.
#[track_caller]
fn served(peer: &mut Peer, path: &str) -> frames::Answer {
    let stream = peer.next_stream();
    peer.send([get(stream, path)]);
    peer.until("an answer", |peer| peer.answer(stream).ended).expect("it serves");
    let answer = peer.answer(stream);
    assert_eq!(answer.status, Some(200), "{answer:?}");
    answer
}

/// Sends pieces until the other side has had enough; fails if it takes them all. The code of its GOAWAY.
#[track_caller]
fn floods(peer: &mut Peer, pieces: impl IntoIterator<Item = Vec<Frame>>) -> u32 {
    for piece in pieces {
        peer.send(piece);
        peer.glance();
        if peer.closed.is_some() || !peer.goaways.is_empty() {
            break;
        }
    }
    leaves(peer)
}

/// Waits for GOAWAY and the close behind it.
#[track_caller]
fn leaves(peer: &mut Peer) -> u32 {
    let left = peer.until_closed();
    let (code, _) = peer.goaways.last().copied().unwrap_or_else(|| panic!("no GOAWAY: {left:?}, {:?}", peer.closed));
    left.unwrap_or_else(|why| panic!("GOAWAY {}, and then {why}", code_name(code)));
    assert!(peer.faults.is_empty(), "{:?}", peer.faults);
    code
}

const CALM: u32 = 11;
const PROTOCOL: u32 = 1;
const FLOW: u32 = 3;
const SIZE: u32 = 6;
const COMPRESSION: u32 = 9;

/// Everything that is counted of clients that break rules.
fn counted(stage: &Stage) -> f64 {
    let metrics = stage.gateway.metrics();
    let names = ["tollgate_refusals_total{", "tollgate_http2_", "tollgate_faults_total{"];
    let traffic = ["tollgate_http2_connections_total", "tollgate_http2_streams_total"];
    let counts = metrics
        .iter()
        .filter(|(name, _)| names.iter().any(|known| name.starts_with(known)) && !traffic.contains(&&***name));
    counts.map(|(_, count)| count).sum()
}

/// Whatever a test does to the gateway is counted, and nobody else suffers.
fn attack(test: impl Fn(&Stage) + Sync) {
    HOUSE.play(|stage| {
        let before = counted(stage);
        test(stage);
        eventually("it is counted", || counted(stage) > before + 0.5);
        served(&mut peer(stage), "/mock");
    });
}

/// Blocks that are no request: a reset or 400, and the connection serves on, or it ends (RFC 9113 §5.4.1); nothing for the backend.
#[track_caller]
fn malformed(stage: &Stage, blocks: &[Block]) {
    let mut peer = peer(stage);
    for block in blocks {
        let bytes = stage.backend.byte_count();
        let stream = peer.next_stream();
        peer.send([headers(stream, flag::WHOLE, block)]);
        let over =
            |peer: &Peer| peer.answer(stream).ended || peer.answer(stream).reset.is_some() || peer.closed.is_some();
        peer.until("a refusal", over).unwrap_or_else(|why| panic!("{}: {why}", block.0.escape_ascii()));
        let answer = peer.answer(stream);
        let fits = match answer.reset {
            _ if answer.ended => answer.status == Some(400),
            Some(code) => code == PROTOCOL,
            None => leaves(&mut peer) == PROTOCOL,
        };
        assert!(fits, "{}: {answer:?}", block.0.escape_ascii());
        assert_eq!(stage.backend.byte_count(), bytes, "the backend was sent something of {}", block.0.escape_ascii());
        if peer.closed.is_some() {
            peer = self::peer(stage);
        }
    }
    served(&mut peer, "/mock");
}

/// A request with further fields.
fn with(fields: &Fields) -> Block {
    fields.iter().fold(request("GET", "/x"), |block, (name, value)| block.field(name, value))
}

/// A request whose pseudo-fields are these.
fn of(fields: &Fields) -> Block {
    Block::of(fields)
}

/// A request with another value of a pseudo-field.
fn altered(name: &str, value: &str) -> Block {
    let usual = [(":method", "GET"), (":scheme", "http"), (":path", "/x"), (":authority", "a.test")];
    let fields = usual.map(|(known, usual)| if known == name { (name, value) } else { (known, usual) });
    Block::of(&fields)
}

#[test]
fn t01_streams_that_are_reset_as_soon_as_they_are_opened_end_the_connection() {
    attack(|stage| {
        stage.backend.script(|_| Reply::Never);
        let mut peer = peer(stage);
        let code = floods(&mut peer, (0..1_000).map(|at| vec![get(at * 2 + 1, "/x"), reset(at * 2 + 1, 8)]));
        assert_eq!(code, CALM, "{}", code_name(code));
        // Whatever was begun for them is given up.
        stage.all_closed();
        assert!(stage.backend.connections() < 250, "{} requests were begun", stage.backend.connections());
    });
}

#[test]
fn t01_a_client_that_gives_up_some_requests_is_served() {
    HOUSE.play(|stage| {
        let mut peer = peer(stage);
        for _ in 0..20 {
            let stream = peer.next_stream();
            peer.send([get(stream, "/x"), reset(stream, 8)]);
            served(&mut peer, "/mock");
        }
        served(&mut peer, "/x");
    });
}

#[test]
fn t02_whoever_makes_us_reset_streams_is_left() {
    for make in [
        |stream: u32| vec![post(stream, "/x"), window_update(stream, 0)],
        |stream: u32| vec![post(stream, "/x"), window_update(stream, 0x7fff_ffff)],
        |stream: u32| vec![get(stream, "/x"), data(stream, flag::END_STREAM, "x")],
        |stream: u32| vec![headers(stream, flag::END_HEADERS, &request("POST", "/x").field("UPPER", "x"))],
        |stream: u32| vec![post(stream, "/x"), priority(stream, stream, 1), window_update(stream, 0)],
    ] {
        attack(|stage| {
            stage.backend.script(|_| Reply::Never);
            let mut peer = peer(stage);
            let most = peer.settings.get(&setting::MAX_CONCURRENT_STREAMS).copied().expect("a limit is told");
            let code = floods(&mut peer, (0..2_000).map(|at| make(at * 2 + 1)));
            assert!([CALM, PROTOCOL, 5].contains(&code), "{}", code_name(code));
            // A stream that was reset has its room as long as the backend works for it.
            assert!(stage.backend.open() <= most as usize, "{} connections at once", stage.backend.open());
            stage.all_closed();
        });
    }
}

#[test]
fn t03_a_field_block_has_so_many_frames_and_octets() {
    attack(|stage| {
        let block = request("GET", "/mock").0;
        for (frames, octets) in [(10_000, 0), (10_000, 1), (1_000, 1_000), (100, 16_000)] {
            let mut peer = peer(stage);
            let before = stage.gateway.rss();
            peer.send([headers(1, flag::END_STREAM, &Block(block.clone()))]);
            let fragment = Block::new().field("x", "y".repeat(octets)).0;
            let piece = if octets == 0 { Vec::new() } else { fragment };
            let code = floods(&mut peer, (0..frames).map(|_| vec![continuation(1, 0, &piece)]));
            assert!([CALM, COMPRESSION, PROTOCOL].contains(&code), "{}", code_name(code));
            let growth = stage.gateway.rss().saturating_sub(before);
            assert!(growth < GROWTH_MAX, "{growth} octets more");
        }
        // A few are nothing.
        let mut peer = peer(stage);
        let mut frames = vec![headers(1, flag::END_STREAM, &Block(block[..1].to_vec()))];
        frames.extend(block[1..].chunks(block.len().div_ceil(4)).map(|piece| continuation(1, 0, piece)));
        frames.last_mut().expect("some").flags = flag::END_HEADERS;
        peer.send(frames);
        peer.until("an answer", |peer| peer.answer(1).status == Some(200)).expect("it serves");
    });
}

#[test]
fn t04_empty_and_tiny_frames_of_a_body_are_not_endless() {
    attack(|stage| {
        let (empty, tiny) = (|| data(1, 0, ""), || data(1, 0, "x"));
        for piece in [vec![empty(); 100], vec![tiny(); 100], vec![data(1, 0, "").padded(255); 100]] {
            let mut peer = peer(stage);
            peer.send([post(1, "/x")]);
            let before = stage.gateway.rss();
            let code = floods(&mut peer, (0..1_000).map(|_| piece.clone()));
            let growth = stage.gateway.rss().saturating_sub(before);
            assert!(growth < GROWTH_MAX, "{:?}: {growth} octets more", piece[0]);
            // Single octets may be all that somebody has to say; so few of them are too slow, and are told so.
            if piece[0] == tiny() && peer.answer(1).status == Some(408) {
                continue;
            }
            assert!([CALM, FLOW].contains(&code), "{:?}: {}, {:?}", piece[0], code_name(code), peer.answer(1));
        }
        // Someone who types is no attacker.
        let mut peer = peer(stage);
        peer.send([post(1, "/x")]);
        for _ in 0..20 {
            peer.send([tiny()]);
            peer.round_trip().expect("it serves on");
        }
        peer.send([data(1, flag::END_STREAM, "")]);
        peer.until("an answer", |peer| peer.answer(1).status == Some(200)).expect("it serves");
    });
}

#[test]
fn t05_frames_that_carry_nothing_are_not_endless() {
    attack(|stage| {
        for one in [
            ping([0; 8]),
            settings(&[]),
            settings(&[(setting::INITIAL_WINDOW_SIZE, 1_000)]),
            priority(1, 0, 1),
            window_update(0, 1),
            frame(kind::UNKNOWN, 0, 0, [0; 8]),
            frame(kind::PRIORITY_UPDATE, 0, 0, *b"\0\0\0\x01u=1"),
            frame_ack(),
        ] {
            let mut peer = peer(stage);
            peer.send((0..20).map(|_| one.clone()));
            let before = stage.gateway.rss();
            if one.flags == 0 {
                served(&mut peer, "/mock");
            }
            let code = floods(&mut peer, (0..1_000).map(|_| vec![one.clone(); 20]));
            assert!([CALM, PROTOCOL].contains(&code), "{one:?}: {}", code_name(code));
            let growth = stage.gateway.rss().saturating_sub(before);
            assert!(growth < GROWTH_MAX, "{one:?}: {growth} octets more");
        }
    });
}

#[test]
fn t06_fields_of_nothing_have_no_name_or_are_too_many() {
    HOUSE.play(|stage| {
        malformed(stage, &[with(&[("", "")]), with(&[("", "x")])]);
        let many = (0..500).fold(request("GET", "/x"), |block, _| block.field("x", ""));
        too_much(stage, &many, &[]);
    });
}

/// A request with too many fields or octets: 431, or the end of its stream or connection; nothing for the backend.
#[track_caller]
fn too_much(stage: &Stage, block: &Block, before: &[Block]) {
    let (bytes, count) = (stage.backend.byte_count(), counted(stage));
    let mut peer = peer(stage);
    for block in before {
        let stream = peer.next_stream();
        peer.send([headers(stream, flag::WHOLE, block)]);
        peer.until("an answer", |peer| peer.answer(stream).ended || peer.answer(stream).reset.is_some())
            .expect("it serves");
    }
    stage.backend.forget();
    let rss = stage.gateway.rss();
    let stream = peer.next_stream();
    let pieces: Vec<&[u8]> = block.0.chunks(16_000).collect();
    let mut frames = vec![headers(stream, flag::END_STREAM, &Block(pieces[0].to_vec()))];
    frames.extend(pieces[1..].iter().map(|piece| continuation(stream, 0, piece)));
    frames.last_mut().expect("some").flags |= flag::END_HEADERS;
    peer.send(frames);
    let over = |peer: &Peer| peer.closed.is_some() || peer.answer(stream).ended || peer.answer(stream).reset.is_some();
    peer.until("a refusal", over).expect("it refuses");
    let answer = peer.answer(stream);
    let refused = !answer.ended || answer.status == Some(431);
    assert!(refused, "{answer:?}");
    assert_eq!(stage.backend.requests(), 0);
    assert!(!before.is_empty() || stage.backend.byte_count() == bytes, "the backend was sent something of it");
    eventually("it is counted", || counted(stage) > count + 0.5);
    let growth = stage.gateway.rss().saturating_sub(rss);
    assert!(growth < GROWTH_MAX, "{growth} octets more");
}

#[test]
fn t07_whoever_opens_all_windows_and_reads_nothing_is_left() {
    attack(|stage| {
        stage.backend.script(|_| Reply::ok(vec![b'x'; 32 << 20]));
        let before = stage.gateway.rss();
        let mut peer = peer(stage);
        peer.set(&[(setting::INITIAL_WINDOW_SIZE, 0x7fff_ffff)]);
        peer.send([window_update(0, 0x7fff_0000)]);
        peer.send((0..4).map(|at| get(at * 2 + 1, "/x")));
        let (mut most, faults) = (0, stage.faults("client_reads_slowly"));
        eventually("its streams are given up", || {
            most = most.max(stage.gateway.rss().saturating_sub(before));
            stage.faults("client_reads_slowly") > faults + 3.5
        });
        // What was still to be said has its time as well.
        eventually("it is left", || {
            most = most.max(stage.gateway.rss().saturating_sub(before));
            stage.gateway.status()["connections"]["open"] == 0
        });
        assert!(most < 2 * GROWTH_MAX, "{most} octets more");
        stage.all_closed();
    });
}

#[test]
fn t08_one_octet_that_stands_for_a_field_counts_as_the_field() {
    HOUSE.play(|stage| {
        // A field of 3,900 octets, remembered; then as many references as a frame has room for.
        let seed = request("GET", "/mock").remembered("x-bomb", "b".repeat(3_900));
        for count in [100, 1_000, 16_000] {
            let bomb = (0..count).fold(request("GET", "/x"), |block, _| block.indexed(DYNAMIC));
            too_much(stage, &bomb, std::slice::from_ref(&seed));
        }
        // Small fields count as well, and so do the crumbs of a cookie.
        let seed = request("GET", "/mock").remembered("x", "");
        let many = (0..30_000).fold(request("GET", "/x"), |block, _| block.indexed(DYNAMIC));
        too_much(stage, &many, &[seed]);
        let seed = request("GET", "/mock").remembered("cookie", "a=b");
        let crumbs = (0..30_000).fold(request("GET", "/x"), |block, _| block.indexed(DYNAMIC));
        too_much(stage, &crumbs, std::slice::from_ref(&seed));
        let crumbs = (0..200).fold(request("GET", "/x"), |block, _| block.indexed(DYNAMIC));
        too_much(stage, &crumbs, &[seed]);
    });
}

/// Answers that no window lets go: the most octets by which the process grew before they were given up.
fn held(stage: &Stage) -> u64 {
    stage.backend.script(|_| Reply::ok(vec![b'x'; 1 << 20]));
    let before = stage.gateway.own_memory();
    let mut peer = peer(stage);
    peer.set(&[(setting::INITIAL_WINDOW_SIZE, 0)]);
    let streams: Vec<u32> = (0..50).map(|at| at * 2 + 1).collect();
    peer.send(streams.iter().map(|stream| get(*stream, "/x")));
    let mut most = 0;
    eventually("it is left", || {
        // An octet now and then is no progress.
        peer.send([window_update(streams[0], 1)]);
        peer.glance();
        most = most.max(stage.gateway.own_memory().saturating_sub(before));
        peer.closed.is_some() || streams.iter().all(|stream| peer.answer(*stream).reset.is_some())
    });
    stage.all_closed();
    most
}

#[test]
fn t08_answers_that_are_held_by_a_window_that_drips_are_given_up() {
    attack(|stage| {
        // What a worker reads into is kept: it is bounded for all connections together.
        let most = held(stage);
        assert!(most < WORKER_BUFFERS, "{most} octets more");
    });
}

#[test]
fn t08_held_answers_take_little_memory() {
    attack(|stage| {
        // What a first answer brings into memory stays: the code.
        served(&mut peer(stage), "/x");
        let most = held(stage);
        assert!(most < GROWTH_MAX, "{most} octets more");
    });
}

#[test]
fn t09_a_field_block_that_cannot_be_read_ends_the_connection() {
    attack(|stage| {
        let bytes = stage.backend.byte_count();
        let mut end = Vec::new();
        push_code(&mut end, 256);
        end.resize(32, true);
        let mut zeros = Vec::new();
        push_code(&mut zeros, usize::from(b'a'));
        zeros.resize(8, false);
        let literal = |string: Vec<u8>| [&[0, 1, b'x'][..], &string].concat();
        for broken in [
            vec![0x80],
            integer(0x80, 7, DYNAMIC),
            integer(0x80, 7, 1 << 20),
            vec![0xff; 12],
            literal(coded(&end)),
            literal(coded(&zeros)),
            literal(vec![0x7f, 0xff, 0xff, 0x7f]),
            integer(0x20, 5, 100),
        ] {
            let mut peer = peer(stage);
            peer.send([headers(1, flag::WHOLE, &request("GET", "/x").raw(&broken))]);
            let code = leaves(&mut peer);
            assert!([COMPRESSION, PROTOCOL].contains(&code), "{}: {}", broken.escape_ascii(), code_name(code));
        }
        let mut peer = peer(stage);
        peer.send([headers(1, flag::WHOLE, &Block::new().resize(65_537).raw(&request("GET", "/x").0))]);
        assert!([COMPRESSION, PROTOCOL].contains(&leaves(&mut peer)));
        assert_eq!(stage.backend.byte_count(), bytes);
    });
}

#[test]
fn t10_names_and_values_that_are_none() {
    HOUSE.play(|stage| {
        let fields =
            [("X-Upper", "x"), ("x:y", "z"), ("x y", "z"), ("x\r\ny", "z"), ("x\0", "z"), ("x\u{7f}", "z"), ("", "z")];
        let values = ["a\rb", "a\nb", "a\r\nb", "a\0b", " a", "a ", "\ta", "a\t"];
        let blocks = fields.iter().map(|field| with(&[*field]));
        let blocks: Vec<Block> = blocks.chain(values.iter().map(|value| with(&[("x", value)]))).collect();
        malformed(stage, &blocks);
    });
}

#[test]
fn t10_t11_t12_t13_whatever_is_refused_is_counted() {
    HOUSE.play(|stage| {
        let blocks = [with(&[("X-Upper", "x")]), with(&[("connection", "close")]), of(&[]), altered(":path", "x")];
        for block in blocks {
            let before = counted(stage);
            malformed(stage, std::slice::from_ref(&block));
            eventually(&format!("{} is counted", block.0.escape_ascii()), || counted(stage) > before + 0.5);
        }
    });
}

#[test]
fn t11_what_concerns_one_connection_of_http1_has_no_place() {
    HOUSE.play(|stage| {
        let fields = [
            ("connection", "close"),
            ("connection", "x-secret"),
            ("transfer-encoding", "chunked"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("upgrade", "h2c"),
            ("upgrade", "websocket"),
            ("te", "gzip"),
            ("te", "trailers, gzip"),
        ];
        malformed(stage, &fields.map(|field| with(&[field])));
        let mut peer = peer(stage);
        peer.send([headers(1, flag::WHOLE, &with(&[("te", "trailers")]))]);
        peer.until("an answer", |peer| peer.answer(1).status == Some(200)).expect("it serves");
    });
}

#[test]
fn t12_pseudo_fields_are_there_once_known_and_first() {
    HOUSE.play(|stage| {
        let (method, scheme, path, authority) =
            ((":method", "GET"), (":scheme", "http"), (":path", "/x"), (":authority", "a.test"));
        malformed(
            stage,
            &[
                of(&[scheme, path, authority]),
                of(&[method, path, authority]),
                of(&[method, scheme, authority]),
                of(&[method, scheme, path]),
                of(&[method, method, scheme, path, authority]),
                of(&[method, scheme, scheme, path, authority]),
                of(&[method, scheme, path, path, authority]),
                of(&[method, scheme, path, (":path", "/admin"), authority]),
                of(&[method, scheme, path, authority, (":authority", "b.test")]),
                of(&[method, scheme, path, authority, (":unknown", "x")]),
                of(&[method, scheme, path, authority, (":status", "200")]),
                of(&[method, scheme, path, ("x", "y"), authority]),
                of(&[("x", "y"), method, scheme, path, authority]),
                of(&[(":Method", "GET"), scheme, path, authority]),
                of(&[]),
            ],
        );
    });
}

#[test]
fn t13_pseudo_fields_that_are_not_what_they_say() {
    HOUSE.play(|stage| {
        let paths = ["", "x", "/a b", "http://x", "http://x/", "/a\\b", "*", "/\u{e4}", "?x", "//\0", "/a\tb"];
        let methods = ["", "G ET", "GET /admin", "G\tT", "GET\r\n", "G(T"];
        let schemes = ["", "http://h/?", "ht tp", "http:", "-x"];
        let authorities =
            ["", "a b", "a/b", "user@a.test", "a.test:x", "a.test:99999", "a,b", "a.test/../b", "a#b", "a?b"];
        let of =
            |name: &'static str, values: &[&str]| values.iter().map(|value| altered(name, value)).collect::<Vec<_>>();
        malformed(stage, &of(":path", &paths));
        malformed(stage, &of(":method", &methods));
        malformed(stage, &of(":scheme", &schemes));
        malformed(stage, &of(":authority", &authorities));
        // A fragment is cut off before anybody sees it: what is routed and what is forwarded have none.
        let mut peer = peer(stage);
        peer.send([headers(1, flag::WHOLE, &altered(":path", "/x#/../mock"))]);
        peer.until("an answer", |peer| peer.answer(1).ended || peer.answer(1).reset.is_some()).expect("it serves");
        assert!(stage.backend.take().iter().all(|request| request.target == "/x"));
    });
}

#[test]
fn t14_an_authority_that_is_not_the_hosts() {
    HOUSE.play(|stage| {
        malformed(
            stage,
            &[
                with(&[("host", "b.test")]),
                with(&[("host", "a.test"), ("host", "b.test")]),
                with(&[("host", "a.test"), ("host", "a.test")]),
                with(&[("host", "")]),
            ],
        );
        let mut peer = peer(stage);
        for block in [with(&[("host", "a.test")]), with(&[("host", "A.test")])] {
            let stream = peer.next_stream();
            peer.send([headers(stream, flag::WHOLE, &block)]);
            peer.until("an answer", |peer| peer.answer(stream).ended).expect("it serves");
            assert_eq!(peer.answer(stream).status, Some(200), "{}", block.0.escape_ascii());
        }
        assert_eq!(stage.backend.requests(), 2);
    });
}

#[test]
fn t15_a_body_of_another_length_than_was_told() {
    attack(|stage| {
        let mut peer = peer(stage);
        let head = |length: &str| request("POST", "/x").field("content-length", length);
        let cases: [(Block, &[&str]); 8] = [
            (head("5"), &["test"]),
            (head("3"), &["test"]),
            (head("5"), &["te", "st"]),
            (head("3"), &["te", "st"]),
            (head("4"), &[]),
            (head("x"), &["test"]),
            (head("18446744073709551616"), &["test"]),
            (head("4").field("content-length", "5"), &["test"]),
        ];
        for (block, pieces) in cases {
            let stream = peer.next_stream();
            let whole = if pieces.is_empty() { flag::END_STREAM } else { 0 };
            let mut frames = vec![headers(stream, flag::END_HEADERS | whole, &block)];
            frames.extend(pieces.iter().map(|piece| data(stream, 0, piece)));
            if let [.., last] = &mut *frames {
                last.flags |= flag::END_STREAM;
            }
            peer.send(frames);
            let over = |peer: &Peer| peer.answer(stream).ended || peer.answer(stream).reset.is_some();
            peer.until("a refusal", over).unwrap_or_else(|why| panic!("{}: {why}", block.0.escape_ascii()));
            let answer = peer.answer(stream);
            let refused = matches!(answer.status, Some(400 | 413)) || (!answer.ended && answer.reset == Some(PROTOCOL));
            assert!(refused, "{}: {answer:?}", block.0.escape_ascii());
        }
        // What had begun was cut, and its connection is no one's any more.
        stage.all_closed();
        assert_eq!(stage.backend.requests(), 0, "{:?}", stage.backend.take());
        stage.backend.forget();
        served(&mut peer, "/x");
    });
}

#[test]
fn t16_nothing_becomes_a_second_request_on_the_way_to_http1() {
    HOUSE.play(|stage| {
        let smuggled = "\r\n\r\nGET /admin HTTP/1.1\r\nHost: a\r\n\r\n";
        malformed(
            stage,
            &[
                with(&[("x", &format!("y{smuggled}"))]),
                with(&[("x", "bar\r\nTransfer-Encoding: chunked")]),
                with(&[("x: y\r\ntransfer-encoding", "chunked")]),
                with(&[("transfer-encoding", "chunked")]),
                altered(":path", &format!("/x HTTP/1.1{smuggled}")),
                altered(":path", "/x HTTP/1.1\r\nTransfer-Encoding: chunked\r\nX: y"),
                altered(":method", "GET /admin HTTP/1.1\r\nHost: a\r\n\r\nGET"),
                altered(":method", "GET /admin HTTP/1.1\r\nX:"),
                altered(":authority", "a\r\nX: y"),
                altered(":scheme", "http\r\nX: y"),
            ],
        );
    });
}

#[test]
fn t16_a_body_is_framed_anew_and_stays_one_body() {
    HOUSE.play(|stage| {
        let body = "0\r\n\r\nGET /admin HTTP/1.1\r\nHost: a\r\n\r\n";
        let mut peer = peer(stage);
        for length in [None, Some(body.len().to_string())] {
            let stream = peer.next_stream();
            let block =
                length.iter().fold(request("POST", "/x"), |block, length| block.field("content-length", length));
            peer.send([headers(stream, flag::END_HEADERS, &block), data(stream, flag::END_STREAM, body)]);
            peer.until("an answer", |peer| peer.answer(stream).ended).expect("it serves");
            let seen = stage.backend.only();
            assert_eq!((&*seen.target, &*seen.body), ("/x", body.as_bytes()));
        }
    });
}

/// Frames that break a rule of the connection: GOAWAY with this code, and nothing of them reaches the backend.
#[track_caller]
fn broken(stage: &Stage, code: u32, frames: Vec<Frame>) {
    let bytes = stage.backend.byte_count();
    let mut peer = peer(stage);
    let told = format!("{frames:?}");
    peer.send(frames);
    let got = leaves(&mut peer);
    // The library calls by that name whatever it cannot load.
    let fits = got == code || got == PROTOCOL;
    assert!(fits, "{} instead of {} for {told}", code_name(got), code_name(code));
    assert_eq!(stage.backend.byte_count(), bytes, "the backend was sent something of {told}");
}

#[test]
fn t17_numbers_of_streams() {
    attack(|stage| {
        broken(stage, PROTOCOL, vec![get(2, "/x")]);
        broken(stage, PROTOCOL, vec![get(5, "/mock"), get(3, "/x")]);
        let mut peer = peer(stage);
        served(&mut peer, "/mock");
        peer.send([get(1, "/x")]);
        let code = leaves(&mut peer);
        assert!([PROTOCOL, 5].contains(&code), "{}", code_name(code));
        // The last number there is.
        let mut peer = self::peer(stage);
        peer.send([get(0x7fff_ffff, "/mock")]);
        peer.until("an answer", |peer| peer.answer(0x7fff_ffff).status == Some(200)).expect("it serves");
    });
}

#[test]
fn t18_frames_of_lengths_that_they_cannot_have() {
    attack(|stage| {
        let zeros = |kind, stream, length| frame(kind, 0, stream, vec![0; length]);
        broken(stage, SIZE, vec![zeros(kind::SETTINGS, 0, 5)]);
        broken(stage, SIZE, vec![zeros(kind::PING, 0, 7)]);
        broken(stage, SIZE, vec![zeros(kind::WINDOW_UPDATE, 0, 3)]);
        broken(stage, SIZE, vec![zeros(kind::GOAWAY, 0, 7)]);
        broken(stage, SIZE, vec![get(1, "/mock"), zeros(kind::RST_STREAM, 1, 3)]);
        broken(stage, SIZE, vec![zeros(kind::UNKNOWN, 0, 16_385)]);
        broken(stage, SIZE, vec![headers(1, flag::WHOLE, &request("GET", "/x").field("x", "y".repeat(16_384)))]);
        let padded = |payload: &[u8]| frame(kind::HEADERS, flag::WHOLE | flag::PADDED, 1, payload);
        broken(stage, PROTOCOL, vec![padded(&[5, 0, 0, 0, 0])]);
        broken(stage, PROTOCOL, vec![post(1, "/mock"), frame(kind::DATA, flag::PADDED, 1, [9, 0, 0])]);
    });
}

#[test]
fn t19_windows_are_neither_too_large_nor_forgotten_below_nothing() {
    attack(|stage| {
        broken(stage, FLOW, vec![window_update(0, 0x7fff_ffff)]);
        broken(stage, PROTOCOL, vec![window_update(0, 0)]);
        broken(stage, FLOW, vec![settings(&[(setting::INITIAL_WINDOW_SIZE, 1 << 31)])]);
        stage.backend.script(|_| Reply::ok([b'x'; 100]));
        let mut peer = peer(stage);
        peer.set(&[(setting::INITIAL_WINDOW_SIZE, 50)]);
        peer.send([get(1, "/x")]);
        peer.until("what the window holds", |peer| peer.answer(1).body.len() == 50).expect("it serves");
        peer.set(&[(setting::INITIAL_WINDOW_SIZE, 10)]);
        // At minus forty: these make it nothing.
        peer.send([window_update(1, 40)]);
        peer.round_trip().expect("it serves on");
        assert_eq!(peer.answer(1).body.len(), 50);
        peer.send([window_update(1, 50)]);
        peer.until("the rest", |peer| peer.answer(1).ended).expect("it serves");
        assert_eq!(peer.answer(1).body.len(), 100);
        assert!(peer.faults.is_empty(), "{:?}", peer.faults);
    });
}

#[test]
fn t20_frames_where_no_client_may_send_them() {
    attack(|stage| {
        let promise = [&2_u32.to_be_bytes()[..], &request("GET", "/x").0].concat();
        broken(stage, PROTOCOL, vec![post(1, "/mock"), frame(kind::PUSH_PROMISE, flag::END_HEADERS, 1, promise)]);
        broken(stage, PROTOCOL, vec![data(1, flag::END_STREAM, "x")]);
        broken(stage, PROTOCOL, vec![get(0, "/x")]);
        broken(stage, PROTOCOL, vec![reset(1, 8)]);
        broken(stage, PROTOCOL, vec![window_update(1, 1)]);
        broken(stage, PROTOCOL, vec![continuation(1, flag::END_HEADERS, &request("GET", "/x").0)]);
        broken(stage, PROTOCOL, vec![data(0, 0, "x")]);
    });
}

#[test]
fn t21_what_nobody_knows_is_ignored() {
    HOUSE.play(|stage| {
        let mut peer = peer(stage);
        peer.set(&[(0xbeef, 7), (0x9, 1)]);
        let mut get = get(1, "/mock");
        get.stream |= 1 << 31;
        peer.send([frame(kind::UNKNOWN, 0xff, 0, "?"), frame(kind::PRIORITY_UPDATE, 0, 0, *b"\0\0\0\x01u=1"), get]);
        peer.until("an answer", |peer| peer.answer(1).status == Some(200)).expect("it serves");
        served(&mut peer, "/mock");
        assert!(peer.goaways.is_empty() && peer.faults.is_empty());
    });
}

#[test]
fn t22_whoever_does_not_begin_as_agreed_is_left() {
    HOUSE.play(|stage| {
        // Half a preface, and silence.
        let mut half = Peer::new(Carrier::connect(stage.gateway.address()));
        half.send_bytes(&PREFACE[..20]);
        half.until_closed().expect("nobody waits for ever");
        // A preface, and nothing of settings.
        let mut mute = Peer::new(Carrier::connect(stage.gateway.address()));
        mute.send_bytes(PREFACE);
        mute.until_closed().expect("nobody waits for ever");
        // Settings that are never acknowledged.
        let mut rude = Peer::new(Carrier::connect(stage.gateway.address()));
        rude.polite = false;
        rude.greet(&[]).expect("it speaks HTTP/2");
        rude.until_closed().expect("nobody waits for ever");
        // HTTP/1.1 is served where HTTP/2 may begin at once.
        stage.ask("GET /mock HTTP/1.1\r\nHost: a\r\n\r\n").expect_status(200);
        stage.ask("GET /mock HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n")
            .expect_status(200);
    });
}

#[test]
fn t23_trailers_are_the_end_and_as_bounded_as_heads() {
    attack(|stage| {
        let trailers = |flags, block: &Block| headers(1, flags | flag::END_HEADERS, block);
        let many = (0..1_000).fold(Block::new(), |block, _| block.field("x", ""));
        for last in [
            trailers(0, &Block::of(&[("x", "y")])),
            trailers(flag::END_STREAM, &Block::of(&[("X-Upper", "y")])),
            trailers(flag::END_STREAM, &Block::of(&[("x", "a\r\nb")])),
        ] {
            let mut peer = peer(stage);
            peer.send([post(1, "/x"), data(1, 0, "x"), last.clone()]);
            let over = |peer: &Peer| peer.closed.is_some() || peer.answer(1).ended || peer.answer(1).reset.is_some();
            peer.until("a refusal", over).unwrap_or_else(|why| panic!("{last:?}: {why}"));
            let answer = peer.answer(1);
            assert!(!answer.ended || matches!(answer.status, Some(400 | 431)), "{last:?}: {answer:?}");
        }
        stage.all_closed();
        assert_eq!(stage.backend.requests(), 0, "{:?}", stage.backend.take());
        stage.backend.forget();
        // More than any head may have: named and counted as behind chunks.
        let long = Block::new().field("x", "y".repeat(9_000)).field("z", "y".repeat(9_000));
        for excessive in [many, long] {
            let (mut peer, before) = (peer(stage), stage.gateway.rss());
            let refused = stage.counter("tollgate_refusals_total", &[("reason", "trailers_too_large")]);
            let pieces: Vec<&[u8]> = excessive.0.chunks(16_000).collect();
            peer.send([post(1, "/x"), data(1, 0, "x"), headers(1, flag::END_STREAM, &Block(pieces[0].to_vec()))]);
            peer.send(pieces[1..].iter().map(|piece| continuation(1, 0, piece)));
            peer.send([continuation(1, flag::END_HEADERS, b"")]);
            peer.until("a refusal", |peer| peer.answer(1).ended).expect("it serves");
            assert_eq!(peer.answer(1).status, Some(431));
            stage.all_closed();
            assert_eq!(stage.backend.requests(), 0, "{:?}", stage.backend.take());
            stage.backend.forget();
            let now = stage.counter("tollgate_refusals_total", &[("reason", "trailers_too_large")]);
            assert!((now - refused - 1.0).abs() < 0.5);
            assert!(stage.gateway.rss().saturating_sub(before) < GROWTH_MAX);
        }
        // A pseudo-field, and a field that has no room of its own, say nothing.
        for ignored in [Block::of(&[(":path", "/admin")]), Block::new().field("x", "y".repeat(30_000))] {
            let mut peer = peer(stage);
            let before = stage.gateway.rss();
            peer.send([post(1, "/x"), data(1, 0, "x")]);
            let (first, rest) = ignored.0.split_at(ignored.0.len().min(16_000));
            peer.send([headers(1, flag::END_STREAM, &Block(first.to_vec()))]);
            peer.send(rest.chunks(16_000).map(|piece| continuation(1, 0, piece)));
            peer.send([continuation(1, flag::END_HEADERS, b"")]);
            let over = |peer: &Peer| peer.closed.is_some() || peer.answer(1).ended || peer.answer(1).reset.is_some();
            peer.until("an outcome", over).expect("it serves");
            let seen = stage.backend.take();
            assert!(
                seen.iter()
                    .all(|request| request.target == "/x" && request.body == b"x" && request.header("x").is_none())
            );
            assert!(stage.gateway.rss().saturating_sub(before) < GROWTH_MAX);
        }
        // What may stand there is dropped on the way to HTTP/1, and the request is whole.
        let mut peer = peer(stage);
        peer.send([post(1, "/x"), data(1, 0, "x"), trailers(flag::END_STREAM, &Block::of(&[("x-sum", "1")]))]);
        peer.until("an answer", |peer| peer.answer(1).status == Some(200)).expect("it serves");
        assert_eq!(stage.backend.only().body, b"x");
    });
}

#[test]
fn t25_a_window_of_an_octet_a_second_is_too_slow() {
    attack(|stage| {
        stage.backend.script(|_| Reply::ok(vec![b'x'; 1 << 20]));
        let mut peer = peer(stage);
        peer.set(&[(setting::INITIAL_WINDOW_SIZE, 1)]);
        peer.send([get(1, "/x")]);
        peer.patience = Duration::from_millis(200);
        eventually("it is left", || {
            let _ = peer.until("more", |peer| peer.closed.is_some() || peer.answer(1).reset.is_some());
            peer.send([window_update(1, 1)]);
            peer.closed.is_some() || peer.answer(1).reset.is_some()
        });
        assert!(peer.answer(1).body.len() < 1_000);
        stage.all_closed();
    });
}

/// A backend that agrees to a WebSocket, and says back what it hears.
fn agree(conversation: &mut Conversation) -> Result<(), String> {
    let head = conversation.head()?.ok_or("no handshake")?;
    let text = String::from_utf8_lossy(&head).into_owned();
    let field = |name: &str| {
        let mut fields = text.lines().filter_map(|line| line.split_once(": "));
        fields.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
    };
    let fits = text.starts_with("GET /chat HTTP/1.1\r\n")
        && field("Upgrade").as_deref() == Some("websocket")
        && field("Sec-WebSocket-Version").as_deref() == Some("13")
        && field("Transfer-Encoding").is_none();
    let accept = field("Sec-WebSocket-Key").and_then(|key| Accept::of(key.as_bytes())).filter(|_| fits);
    let accept = accept.ok_or_else(|| format!("no handshake: {text}"))?;
    conversation.send(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ",
    );
    conversation.send([accept.as_bytes(), b"\r\n\r\n"].concat());
    while let Ok(octet) = conversation.exactly(1) {
        conversation.send(octet);
    }
    Ok(())
}

/// An extended CONNECT with these fields behind it.
fn tunnel(path: &str, protocol: &str, fields: &Fields) -> Block {
    let pseudo = [
        (":method", "CONNECT"),
        (":protocol", protocol),
        (":scheme", "http"),
        (":path", path),
        (":authority", "a.test"),
    ];
    Block::of(&[&pseudo[..], fields].concat())
}

const THIRTEEN: (&str, &str) = ("sec-websocket-version", "13");

#[test]
fn t26_a_websocket_over_a_stream_passes_both_ways() {
    HOUSE.play(|stage| {
        stage.backend.script_raw(agree);
        let mut peer = peer(stage);
        assert_eq!(peer.settings.get(&setting::ENABLE_CONNECT_PROTOCOL), Some(&1), "RFC 8441 wants it to be told");
        let block = tunnel("/chat", "websocket", &[THIRTEEN]);
        peer.send([headers(1, flag::END_HEADERS, &block)]);
        peer.until("an answer", |peer| peer.answer(1).status.is_some() || peer.answer(1).reset.is_some())
            .expect("it serves");
        let answer = peer.answer(1);
        assert_eq!(answer.status, Some(200), "{answer:?}");
        assert!(
            answer.field("sec-websocket-accept").is_none() && answer.field("content-length").is_none(),
            "{answer:?}"
        );
        for turn in 1..=10 {
            peer.send([data(1, 0, "frame")]);
            peer.until("an echo", |peer| peer.answer(1).body.len() == turn * 5).expect("it comes");
        }
        served(&mut peer, "/mock");
        peer.send([data(1, flag::END_STREAM, "")]);
        let over = |peer: &Peer| peer.answer(1).ended || peer.answer(1).reset.is_some();
        peer.until("the end", over).expect("a tunnel ends with its client");
        stage.all_closed();
        served(&mut peer, "/mock");
    });
}

#[test]
fn t26_no_tunnel_but_where_a_route_has_one() {
    HOUSE.play(|stage| {
        stage.backend.script_raw(agree);
        let mut peer = peer(stage);
        let (bytes, before) = (stage.backend.byte_count(), counted(stage));
        let blocks: [Block; 10] = [
            tunnel("/chat", "websocket", &[("sec-websocket-version", "12")]),
            tunnel("/chat", "websocket", &[]),
            tunnel("/chat", "echo", &[THIRTEEN]),
            tunnel("/chat", "", &[THIRTEEN]),
            tunnel("/chat", "websocket", &[THIRTEEN, ("upgrade", "websocket")]),
            tunnel("/chat", "websocket", &[THIRTEEN, ("content-length", "5")]),
            tunnel("/mock", "websocket", &[THIRTEEN]),
            with(&[(":protocol", "websocket")]),
            of(&[(":method", "CONNECT"), (":authority", "a.test:80")]),
            of(&[(":method", "CONNECT"), (":protocol", "websocket"), (":authority", "a.test")]),
        ];
        for block in &blocks {
            let stream = peer.next_stream();
            peer.send([headers(stream, flag::END_HEADERS, block)]);
            let over = |peer: &Peer| peer.answer(stream).status.is_some() || peer.answer(stream).reset.is_some();
            peer.until("a refusal", over).unwrap_or_else(|why| panic!("{}: {why}", block.0.escape_ascii()));
            let answer = peer.answer(stream);
            assert!(answer.status.is_none_or(|status| status >= 400), "{}: {answer:?}", block.0.escape_ascii());
        }
        assert_eq!(stage.backend.byte_count(), bytes, "the backend was sent something");
        eventually("each is counted", || counted(stage) > before + 9.5);
        // A backend that has no WebSocket opens none.
        stage.backend.script_echo();
        let stream = peer.next_stream();
        peer.send([headers(stream, flag::END_HEADERS, &tunnel("/chat", "websocket", &[THIRTEEN]))]);
        let over = |peer: &Peer| peer.answer(stream).status.is_some() || peer.answer(stream).reset.is_some();
        peer.until("an answer", over).expect("it serves");
        assert!(peer.answer(stream).status.is_none_or(|status| status >= 400), "{:?}", peer.answer(stream));
    });
}

#[test]
fn t27_what_is_under_way_is_finished_and_the_last_stream_is_told() {
    on_both_drivers(|driver| {
        let (backend, go) = Wild::patient("done");
        let text = DOCUMENT.replace("{{backend}}", backend.address()).replace("body_idle_time: 1s", "drain_time: 30s");
        let gateway = Gateway::start(&text, driver);
        let mut peer = Peer::new(Carrier::connect(gateway.address()));
        peer.greet(&[]).expect("it speaks HTTP/2");
        for _ in 0..900 {
            served(&mut peer, "/mock");
        }
        let most = peer.settings.get(&setting::MAX_CONCURRENT_STREAMS).copied().expect("a limit is told").min(100);
        let first = peer.next_stream();
        let last = first + (most - 1) * 2;
        peer.send((0..most).map(|at| get(first + at * 2, "/x")));
        eventually("all are with the backend", || backend.connections() == most as usize);
        gateway.signal(Signal::TERM);
        peer.until("two GOAWAYs", |peer| peer.goaways.len() == 2).expect("it takes its leave");
        assert_eq!(peer.goaways, [(0, 0x7fff_ffff), (0, last)], "nobody is cut off who has not yet heard of it");
        // Who comes too late is not served, and may come again elsewhere.
        peer.send([get(last + 2, "/mock")]);
        for _ in 0..most {
            go.send(()).expect("the backend waits");
        }
        peer.until_closed().expect("it leaves");
        for at in 0..most {
            let answer = peer.answer(first + at * 2);
            assert!(answer.ended && answer.status == Some(200) && answer.body == b"done", "{at}: {answer:?}");
        }
        let late = peer.answer(last + 2);
        assert!(late.status.is_none() && late.reset.is_none_or(|code| code == 7), "{late:?}");
        assert!(peer.faults.is_empty(), "{:?}", peer.faults);
        assert_eq!(gateway.wait_exit().code(), Some(0));
    });
}
