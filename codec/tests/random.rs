//! Random messages, made of pieces that matter, through the properties: what a table does not think of.

use codec::properties;
use proptest::prelude::*;

/// Pieces of heads: mostly sound ones, so that many heads are whole, and what breaks them in between.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let sound: &[&[u8]] = &[
        b"Host: a\r\n",
        b"X: y\r\n",
        b"x-y:\tz \r\n",
        b"Content-Length: 3\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: close\r\n",
        b"connection: keep-alive, X\r\n",
        b"Expect: 100-continue\r\n",
        b"A_b: c\r\n",
        b"E:\r\n",
        b"X: \xe4 \xff\r\n",
        b"Cookie: a=b; c=d\r\n",
        b"Te: trailers\r\n",
        b"Content-Length: 007\r\n",
    ];
    let broken: &[&[u8]] = &[
        b"\r\n",
        b"\n",
        b"\r",
        b" ",
        b"\t",
        b":",
        b"\0",
        b",",
        b";",
        b"X",
        b"X: a\n",
        b" fold\r\n",
        b"X : y\r\n",
        b": y\r\n",
        b"Host: b\r\n",
        b"Host: a,b\r\n",
        b"Content-Length: 3, 3\r\n",
        b"Content-Length: x\r\n",
        b"\x7f",
        b"\x80",
        b"(",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Connection: Host\r\n",
        b"Expect: x\r\n",
    ];
    prop_oneof![
        20 => prop::sample::select(sound).prop_map(<[u8]>::to_vec),
        2 => prop::sample::select(broken).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..6),
    ]
}

fn target() -> impl Strategy<Value = Vec<u8>> {
    let pieces: &[&[u8]] = &[
        b"/",
        b"/",
        b"/",
        b"a",
        b"b.c",
        b".",
        b"..",
        b"%2e",
        b"%2E",
        b"%2f",
        b"%5c",
        b"\\",
        b";",
        b"%3b",
        b"?",
        b"&",
        b"=",
        b"+",
        b"%",
        b"%41",
        b"%00",
        b"#",
        b"\xc3\xa4",
        b"*",
        b"http://a",
        b"HTTPS://a:443",
        b":",
        b"@",
    ];
    let rest = prop::collection::vec(prop::sample::select(pieces), 0..12);
    (any::<bool>(), rest).prop_map(|(rooted, rest)| {
        let mut target = if rooted { b"/".to_vec() } else { Vec::new() };
        target.extend(rest.concat());
        target
    })
}

fn request() -> impl Strategy<Value = Vec<u8>> {
    let before: &[&[u8]] = &[b"", b"", b"", b"", b"\r\n", b"\r", b"\n", b"\r\n\r\n"];
    let method: &[&[u8]] = &[b"GET ", b"POST ", b"OPTIONS ", b"get ", b"CONNECT ", b"G(T ", b"GET\t", b"", b"GET  "];
    let version: &[&[u8]] = &[
        b" HTTP/1.1\r\n",
        b" HTTP/1.1\r\n",
        b" HTTP/1.1\r\n",
        b" HTTP/1.0\r\n",
        b" HTTP/1.2\r\n",
        b" HTTP/2.0\r\n",
        b"\r\n",
        b" HTTP/1.1\n",
        b"  HTTP/1.1\r\n",
        b" HTTP/1.1 \r\n",
    ];
    let target = prop_oneof![1 => Just(b"/".to_vec()), 1 => target()];
    let pieces = prop::collection::vec(piece(), 0..8);
    let (before, method) = (prop::sample::select(before), prop::sample::select(method));
    (before, method, target, prop::sample::select(version), pieces).prop_map(
        |(before, method, target, version, pieces)| {
            [before, method, &target, version, b"Host: a\r\n", &pieces.concat(), b"\r\nbody"].concat()
        },
    )
}

/// Requests behind each other with what may be their bodies.
fn exchange() -> impl Strategy<Value = Vec<u8>> {
    let body = prop_oneof![
        2 => Just(Vec::new()),
        2 => Just(b"abc".to_vec()),
        1 => Just(b"1234567".to_vec()),
        3 => chunked(),
    ];
    let headed = request().prop_map(|mut head| {
        head.truncate(head.len() - b"body".len());
        head
    });
    let sound = prop::sample::select(vec![
        b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        b"POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc".to_vec(),
        b"POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n".to_vec(),
    ]);
    let odd = (headed, body).prop_map(|(head, body)| [head, body].concat());
    prop::collection::vec(prop_oneof![sound, odd], 1..4).prop_map(|all| all.concat())
}

fn response() -> impl Strategy<Value = Vec<u8>> {
    let line: &[&[u8]] = &[
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.0 200 OK\r\n",
        b"HTTP/1.1 204\r\n",
        b"HTTP/1.1 304 \r\n",
        b"HTTP/1.1 103 \xe4\r\n",
        b"HTTP/1.1 200\n",
        b"HTTP/1.1 700 X\r\n",
        b"HTTP/1.5 200 X\r\n",
        b"\r\nHTTP/1.1 200 OK\r\n",
    ];
    let pieces = prop::collection::vec(piece(), 0..8);
    (prop::sample::select(line), pieces).prop_map(|(line, pieces)| [line, &pieces.concat(), b"\r\nbody"].concat())
}

fn chunked() -> impl Strategy<Value = Vec<u8>> {
    let broken: &[&[u8]] = &[
        b"\r\n",
        b"\n",
        b"\r",
        b"0",
        b"2 \r\nab\r\n",
        b"2;a\nab\r\n",
        b"g\r\n",
        b"X: y\r\n",
        b"ffffffffffffffff\r\n",
        b"0x1\r\n",
    ];
    let chunk = prop::collection::vec(any::<u8>(), 1..40)
        .prop_map(|data| [format!("{:x}\r\n", data.len()).as_bytes(), &data, b"\r\n"].concat());
    let extended = prop::collection::vec(any::<u8>(), 1..9)
        .prop_map(|data| [format!("{:X};a=\"b\"\r\n", data.len()).as_bytes(), &data, b"\r\n"].concat());
    let piece = prop_oneof![
        9 => chunk,
        3 => extended,
        1 => prop::sample::select(broken).prop_map(<[u8]>::to_vec),
    ];
    let last: &[&[u8]] =
        &[b"0\r\n\r\n", b"0\r\nX: y\r\n\r\nnext", b"0;x\r\nA:\r\nB: c\r\n\r\n", b"0\r\n X\r\n\r\n", b""];
    (prop::collection::vec(piece, 0..6), prop::sample::select(last))
        .prop_map(|(pieces, last)| [&pieces.concat(), last].concat())
}

/// Miri is slow, and looks for other things.
const CASES: u32 = if cfg!(miri) { 2 } else { 400 };

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn s27_request_heads(bytes in request()) {
        properties::request_head(&bytes);
    }

    #[test]
    fn s27_response_heads(bytes in response()) {
        properties::response_head(&bytes);
    }

    #[test]
    fn s27_chunked_bodies(bytes in chunked()) {
        properties::chunked(&bytes);
    }

    #[test]
    fn p01_targets(bytes in target()) {
        properties::target(&bytes);
    }

    #[test]
    fn f26_whole_conversations(bytes in exchange()) {
        properties::exchange(&bytes);
    }

    #[test]
    fn any_bytes_at_all(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        properties::request_head(&bytes);
        properties::response_head(&bytes);
        properties::chunked(&bytes);
        properties::target(&bytes);
        properties::exchange(&bytes);
    }
}
