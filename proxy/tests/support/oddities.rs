//! Odd requests by family: every byte in every place, every spelling of the framing fields, every line end. What each has to
//! come to is not written here: the codec's slow twin says it.

/// A good body in chunks.
const BODY: &[u8] = b"2\r\nab\r\n0\r\n\r\n";
/// What an attacker wants to be taken for a request of its own.
const SMUGGLED: &[u8] = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
/// Bytes that some parser somewhere takes for white space, for an end or for nothing.
const SPECIAL: &[u8] = b"\0\x01\x08\t\n\x0b\x0c\r\x1b !\"#%'(),/:;<=?@[\\]_{}\x7f\x80\x85\xa0\xad\xff";

/// A family's name, and its requests.
pub type Family = (&'static str, Vec<Vec<u8>>);

/// Every family.
pub fn families() -> Vec<Family> {
    vec![
        ("codings", codings()),
        ("bytes in codings", bytes_in_codings()),
        ("lengths", lengths()),
        ("pairs of framing fields", pairs()),
        ("bytes in a request line", bytes_in_request_lines()),
        ("bytes in fields", bytes_in_fields()),
        ("bytes in chunks", bytes_in_chunks()),
        ("chunk sizes", chunk_sizes()),
        ("trailers", trailers()),
        ("line ends", line_ends()),
        ("hosts", hosts()),
        ("targets", targets()),
        ("connections", connections()),
        ("strangers", strangers()),
    ]
}

fn post(lines: &[u8], body: &[u8]) -> Vec<u8> {
    [b"POST /x HTTP/1.1\r\nHost: a\r\n", lines, b"\r\n", body].concat()
}

fn get(lines: &[u8]) -> Vec<u8> {
    [b"GET /x HTTP/1.1\r\nHost: a\r\n", lines, b"\r\n"].concat()
}

fn chunked(body: &[u8]) -> Vec<u8> {
    post(b"Transfer-Encoding: chunked\r\n", &[body, SMUGGLED].concat())
}

/// Every byte with `TOLLGATE_LONG=1`; else every control byte, every mark, and some of those that are like their neighbours.
fn bytes() -> impl Iterator<Item = u8> + Clone {
    let long = std::env::var_os("TOLLGATE_LONG").is_some();
    (0..=255_u8).filter(move |byte| long || byte % 8 == 5 || !(byte.is_ascii_alphanumeric() || *byte > 0xa0))
}

/// The places of a byte: `@` in a pattern.
fn with_bytes(patterns: &[&[u8]], each: &(impl Iterator<Item = u8> + Clone)) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for pattern in patterns {
        let at = pattern.iter().position(|byte| *byte == b'@').expect("a pattern has a place");
        all.extend(each.clone().map(|byte| [&pattern[..at], &[byte], &pattern[at + 1..]].concat()));
    }
    all
}

/// What hides `Transfer-Encoding: chunked` from one reader and shows it to another.
const IDEAS: &[&[u8]] = &[
    b"Transfer-Encoding: chunked\r\n",
    b"transfer-encoding: CHUNKED\r\n",
    b"TrAnSfEr-EnCoDiNg: cHuNkEd\r\n",
    b"Transfer-Encoding:chunked\r\n",
    b"Transfer-Encoding: \t chunked \t\r\n",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: chunked\r\nTransfer-encoding: cow\r\n",
    b"Transfer-Encoding: cow\r\nTransfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding:\r\n",
    b"Transfer-Encoding:\r\nTransfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: chunked, identity\r\n",
    b"Transfer-Encoding: identity, chunked\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n",
    b"Transfer-Encoding: chunked, chunked\r\n",
    b"Transfer-Encoding: ,chunked\r\n",
    b"Transfer-Encoding: chunked,\r\n",
    b"Transfer-Encoding: identity\r\n",
    b"Transfer-Encoding: xchunked\r\n",
    b"Transfer-Encoding: chunk\r\n",
    b"Transfer-Encoding: \"chunked\"\r\n",
    b"Transfer-Encoding: 'chunked'\r\n",
    b"Transfer-Encoding: chunked;q=1\r\n",
    b"Transfer-Encoding: chunked x\r\n",
    b"Transfer-Encoding: x chunked\r\n",
    b"Transfer-Encoding: ch\xfbnked\r\n",
    b"Transfer-Encoding: chun\xe2\x84\xaaed\r\n",
    b"Transfer-Encoding : chunked\r\n",
    b"Transfer-Encoding\t:\tchunked\r\n",
    b" Transfer-Encoding: chunked\r\n",
    b"\tTransfer-Encoding: chunked\r\n",
    b"X: y\r\n Transfer-Encoding: chunked\r\n",
    b"X: y\r\n\tTransfer-Encoding: chunked\r\n",
    b"Transfer-Encoding:\r\n chunked\r\n",
    b"Transfer-Encoding:\r\n\tchunked\r\n",
    b"Transfer-Encoding: chunked\r\n \r\n",
    b"Transfer-Encoding\r\n : chunked\r\n",
    b"Transfer-\r\n Encoding: chunked\r\n",
    b"Transfer-Encoding:\nchunked\r\n",
    b"Transfer-Encoding:\n chunked\r\n",
    b"Transfer-Encoding\n: chunked\r\n",
    b"X: y\nTransfer-Encoding: chunked\r\n",
    b"X: y\rTransfer-Encoding: chunked\r\n",
    b"X: y\r\rTransfer-Encoding: chunked\r\n",
    b"X: y\r\n\rTransfer-Encoding: chunked\r\n",
    b"X:\nTransfer-Encoding: chunked\r\n\r\n",
    b"\r\nTransfer-Encoding: chunked\r\n",
    b"Transfer Encoding: chunked\r\n",
    b"Transfer_Encoding: chunked\r\n",
    b"TransferEncoding: chunked\r\n",
    b"Transfer-%45ncoding: chunked\r\n",
    b"Transf\xe9r-Encoding: chunked\r\n",
    b"Transfer-Encoding chunked\r\n",
    b"Transfer-Encoding:: chunked\r\n",
    b"Transfer-Encoding=chunked\r\n",
    b":Transfer-Encoding: chunked\r\n",
    b": chunked\r\nTransfer-Encoding: chunked\r\n",
    b"\"Transfer-Encoding\": chunked\r\n",
    b"Content-Encoding: chunked\r\n",
    b"X-Transfer-Encoding: chunked\r\n",
    b"TE: chunked\r\n",
    b"Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n",
    b"Connection: keep-alive, Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n",
    b"Foo: bar\r\n\x00Transfer-Encoding: chunked\r\n",
];

/// An idea alone, beside a length that covers the chunks, and beside one that ends before them.
fn around(lines: &[u8]) -> [Vec<u8>; 4] {
    let body = [BODY, SMUGGLED].concat();
    [
        post(lines, &body),
        post(&[b"Content-Length: 12\r\n", lines].concat(), &body),
        post(&[lines, b"Content-Length: 3\r\n"].concat(), &body),
        [b"POST /x HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n", lines, b"\r\n", &body].concat(),
    ]
}

fn codings() -> Vec<Vec<u8>> {
    IDEAS.iter().flat_map(|idea| around(idea)).collect()
}

fn bytes_in_codings() -> Vec<Vec<u8>> {
    let places: &[&[u8]] = &[
        b"@Transfer-Encoding: chunked\r\n",
        b"Transfer@Encoding: chunked\r\n",
        b"Transfer-Encoding@: chunked\r\n",
        b"Transfer-Encoding@ chunked\r\n",
        b"Transfer-Encoding:@chunked\r\n",
        b"Transfer-Encoding: @chunked\r\n",
        b"Transfer-Encoding: chu@ked\r\n",
        b"Transfer-Encoding: chunked@\r\n",
        b"Transfer-Encoding: chunked@x\r\n",
        b"Transfer-Encoding: chunked\r@\n",
        b"Transfer-Encoding: chunked\r\n@\r\n",
        b"X: y@Transfer-Encoding: chunked\r\n",
        b"X: y\r\n@Transfer-Encoding: chunked\r\n",
    ];
    let alone = with_bytes(places, &bytes()).into_iter().map(|lines| post(&lines, &[BODY, SMUGGLED].concat()));
    let beside = with_bytes(places, &SPECIAL.iter().copied()).into_iter().flat_map(|lines| around(&lines));
    alone.chain(beside).collect()
}

/// Spellings of a length that is meant to be two.
const LENGTHS: &[&str] = &[
    "2",
    "02",
    "002",
    "00000000000000000000000000002",
    "+2",
    "-2",
    "--2",
    "2-",
    "0x2",
    "0X2",
    "x2",
    "2h",
    "2.0",
    "2.",
    ".2",
    "2e0",
    "2E0",
    "2,2",
    "2, 2",
    "2,",
    ",2",
    "2;2",
    "2 2",
    "2\t2",
    "2;",
    "2a",
    "a2",
    "\"2\"",
    "'2'",
    "(2)",
    "[2]",
    "{2}",
    "0_2",
    "2_",
    "_2",
    "1_0",
    "2L",
    "2u",
    "0b10",
    "0o2",
    "two",
    "",
    " ",
    "NaN",
    "Infinity",
    "null",
    "true",
    "-0",
    "+0",
    "4294967298",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "18446744073709551618",
    "340282366920938463463374607431768211458",
    "\u{662}",
    "\u{ff12}",
    "\u{b2}",
    "2\u{a0}",
    "2\r\n 2",
    "\r\n 2",
    "2\r\n\t",
    "2 bytes",
    "2/2",
    "2%",
    "%32",
    "&#50;",
    "2#",
    "2//",
];

fn lengths() -> Vec<Vec<u8>> {
    let body = [b"ab", SMUGGLED].concat();
    let spelt = LENGTHS.iter().flat_map(|value| {
        let line = format!("Content-Length: {value}\r\n").into_bytes();
        let again = [&line[..], b"Content-Length: 2\r\n"].concat();
        let first = [b"Content-Length: 2\r\n", &line[..]].concat();
        [line, again, first]
    });
    let places: &[&[u8]] = &[
        b"@Content-Length: 2\r\n",
        b"Content@Length: 2\r\n",
        b"Content-Length@: 2\r\n",
        b"Content-Length:@2\r\n",
        b"Content-Length: @2\r\n",
        b"Content-Length: 2@\r\n",
        b"Content-Length: 2@2\r\n",
        b"X: y@Content-Length: 2\r\n",
    ];
    spelt.chain(with_bytes(places, &bytes())).map(|lines| post(&lines, &body)).collect()
}

/// Every pair of framing fields, in both orders, on both versions.
fn pairs() -> Vec<Vec<u8>> {
    let fields: &[&[u8]] = &[
        b"Content-Length: 0\r\n",
        b"Content-Length: 3\r\n",
        b"Content-Length: x\r\n",
        b"Content-Length:\r\n",
        b"Content_Length: 3\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: x\r\n",
        b"Transfer-Encoding:\r\n",
        b"Transfer_Encoding: chunked\r\n",
        b"Connection: close\r\n",
        b"Expect: 100-continue\r\n",
        b"Upgrade: h2c\r\n",
        b"Trailer: X\r\n",
    ];
    let bodies: &[&[u8]] = &[b"abc", BODY, b"0\r\n\r\n"];
    let mut all = Vec::new();
    for (one, other) in fields.iter().flat_map(|one| fields.iter().map(move |other| (one, other))) {
        for version in ["1.1", "1.0"] {
            for body in bodies {
                let start = format!("POST /x HTTP/{version}\r\nHost: a\r\n").into_bytes();
                all.push([&start, *one, other, b"\r\n", body, SMUGGLED].concat());
            }
        }
    }
    all
}

fn bytes_in_request_lines() -> Vec<Vec<u8>> {
    let places: &[&[u8]] = &[
        b"@GET /x HTTP/1.1\r\nHost: a\r\n\r\n",
        b"G@T /x HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET@/x HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET @/x HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET @ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /x@y HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /x?y@z HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /x@HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /x @HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /x HTTP@1.1\r\nHost: a\r\n\r\n",
        b"GET /x HTTP/@.1\r\nHost: a\r\n\r\n",
        b"GET /x HTTP/1@1\r\nHost: a\r\n\r\n",
        b"GET /x HTTP/1.@\r\nHost: a\r\n\r\n",
        b"GET /x HTTP/1.1@\r\nHost: a\r\n\r\n",
        b"GET /x HTTP/1.1\r@\nHost: a\r\n\r\n",
        b"GET /x HTTP/1.1@Host: a\r\n\r\n",
    ];
    with_bytes(places, &bytes())
}

fn bytes_in_fields() -> Vec<Vec<u8>> {
    let places: &[&[u8]] = &[
        b"@X: y\r\n",
        b"X@Y: z\r\n",
        b"@: z\r\n",
        b"X@: z\r\n",
        b"X@y\r\n",
        b"X:@z\r\n",
        b"X: y@z\r\n",
        b"X: y@\r\n",
        b"X: y\r@\r\n",
        b"X: y@\n",
        b"X: y\r\n@\r\n",
        b"Connection: a@b\r\n",
        b"Expect: 100-continue@\r\n",
    ];
    with_bytes(places, &bytes()).iter().map(|lines| [get(lines), SMUGGLED.to_vec()].concat()).collect()
}

fn bytes_in_chunks() -> Vec<Vec<u8>> {
    let places: &[&[u8]] = &[
        b"@2\r\nab\r\n0\r\n\r\n",
        b"2@\r\nab\r\n0\r\n\r\n",
        b"@\r\n0123456789abcdef\r\n0\r\n\r\n",
        b"2@2\r\nab\r\n0\r\n\r\n",
        b"2;a@b\r\nab\r\n0\r\n\r\n",
        b"2\r@\nab\r\n0\r\n\r\n",
        b"2\r\nab@\r\n0\r\n\r\n",
        b"2\r\nab\r@0\r\n\r\n",
        b"2\r\nab\r\n@0\r\n\r\n",
        b"2\r\nab\r\n0@\r\n\r\n",
        b"2\r\nab\r\n0\r\n@\r\n",
        b"2\r\nab\r\n0\r\n\r@\n",
    ];
    with_bytes(places, &bytes()).iter().map(|body| chunked(body)).collect()
}

fn chunk_sizes() -> Vec<Vec<u8>> {
    let sizes =
        LENGTHS.iter().flat_map(|size| [format!("{size}\r\nab\r\n0\r\n\r\n"), format!("2\r\nab\r\n{size}\r\n\r\n")]);
    let more = [
        "2;a=b",
        "2;a=\"b\"",
        "2;a=\"b;c\"",
        "2;a=\"\r\n\"",
        "2;a=\"b",
        "2; a = b",
        "2 ;a",
        "2\t;a",
        "2;",
        "2;;",
        "2;=",
        "2; ",
        "2 ",
        "2\t",
        "0000000000000002",
        "00000000000000002",
        "7fffffffffffffff",
        "8000000000000000",
        "FFFFFFFFFFFFFFFE",
        "ffffffffffffffff",
        "100000000",
        "10000000000000002",
        "0x0",
        "-0",
        "+0",
        "2\r",
        "2\n",
        "\n2",
        "2\r\r",
    ];
    let ends = [
        "2\r\nab\n0\r\n\r\n",
        "2\r\nab\r0\r\n\r\n",
        "2\r\nab0\r\n\r\n",
        "2\r\nabc\r\n0\r\n\r\n",
        "3\r\nab\r\n0\r\n\r\n",
        "2\r\nab\r\n\r\n0\r\n\r\n",
        "2\r\n\r\nab\r\n0\r\n\r\n",
        "0\n\r\n",
        "0\r\n\n",
        "0\r\r\n",
        "\r\n",
        "\r\n\r\n",
        "2\nab\n0\n\n",
    ];
    let more = more.iter().map(|size| format!("{size}\r\nab\r\n0\r\n\r\n"));
    let all = sizes.chain(more).chain(ends.iter().map(|body| (*body).to_owned()));
    all.map(|body| chunked(body.as_bytes())).collect()
}

fn trailers() -> Vec<Vec<u8>> {
    let places: &[&[u8]] =
        &[b"0\r\n@X: y\r\n\r\n", b"0\r\nX@: y\r\n\r\n", b"0\r\nX: y@z\r\n\r\n", b"0\r\nX: y\r\n@\r\n\r\n"];
    let named = [
        "Content-Length: 5",
        "Transfer-Encoding: chunked",
        "Host: b",
        "Authorization: x",
        "Connection: close",
        "X",
        ": y",
        "GET /smuggled HTTP/1.1",
        "X: y\r\n Z",
        "Cookie: a=b",
    ];
    let named = named.iter().map(|line| format!("0\r\n{line}\r\n\r\n").into_bytes());
    with_bytes(places, &bytes()).into_iter().chain(named).map(|body| chunked(&body)).collect()
}

/// Every line of a request with every end that some reader takes.
fn line_ends() -> Vec<Vec<u8>> {
    let ends: &[&[u8]] = &[b"\r\n", b"\n", b"\r", b"\r\r\n", b"\n\r", b"\r\n\n"];
    let count = ends.len();
    let mut all = Vec::new();
    for number in 0..count.pow(4) {
        let end = |place: u32| ends[number / count.pow(place) % count];
        let parts: [&[u8]; 9] =
            [b"POST /x HTTP/1.1", end(0), b"Host: a", end(1), b"Content-Length: 2", end(2), end(3), b"ab", SMUGGLED];
        all.push(parts.concat());
    }
    for before in
        [&b"\r\n"[..], b"\n", b"\r", b"\r\n\r\n", b"\n\n", b"\r\n\n", b" \r\n", b"\r\r\n", b"\0\r\n", b"\xef\xbb\xbf"]
    {
        all.push([before, &get(b"")].concat());
        all.push([&get(b""), before, &get(b"")].concat());
        all.push([&post(b"Content-Length: 2\r\n", b"ab"), before, &get(b"")].concat());
    }
    all
}

fn hosts() -> Vec<Vec<u8>> {
    let places: &[&[u8]] = &[b"@", b"a@", b"@a", b"a@b", b"a:@", b"a:8@0", b"[::@]", b"[::1]@", b"a.@"];
    let texts = [
        "a",
        "A.",
        "a:",
        "a:0",
        "a:65535",
        "a:65536",
        "a:00080",
        "a:000080",
        "a..b",
        ".a",
        "a.b.",
        "a:80:80",
        "u@a",
        "u:p@a",
        "a,b",
        "a b",
        "http://a",
        "a/b",
        "[::1]",
        concat!("[::1]", ":80"),
        "[::1",
        "::1",
        "[]",
        "[:]",
        "[1]",
        "[v1.x]",
        "[:::]",
        "[1:2]",
        "[::1::]",
        "[::ffff:1.2.3.4]",
        "[::1%25a]",
        "1.2.3.4",
        "xn--a",
        "-",
        "_",
        "",
    ];
    let whole = |host: &[u8]| [b"GET /x HTTP/1.1\r\nHost: ", host, b"\r\n\r\n", SMUGGLED].concat();
    let mut all: Vec<_> = with_bytes(places, &bytes()).iter().map(|host| whole(host)).collect();
    for text in texts {
        all.push(whole(text.as_bytes()));
        for scheme in ["http", "HTTPS", "ftp", "http:"] {
            all.push(format!("GET {scheme}://{text}/x HTTP/1.1\r\nHost: {text}\r\n\r\n").into_bytes());
            all.push(format!("GET {scheme}://{text} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes());
            all.push(format!("GET {scheme}://{text}?y HTTP/1.0\r\n\r\n").into_bytes());
        }
    }
    for lines in [
        "",
        "Host: a\r\nHost: a\r\n",
        "Host: a\r\nhost: b\r\n",
        "Host : a\r\n",
        " Host: a\r\n",
        "Host: a\r\n b\r\n",
        "Host\r\n",
    ] {
        for version in ["1.0", "1.1", "1.2"] {
            all.push(format!("GET /x HTTP/{version}\r\n{lines}\r\n").into_bytes());
        }
    }
    all
}

fn targets() -> Vec<Vec<u8>> {
    let pieces = ["/", "..", ".", "%2e", "%2E%2e", "%2f", "%5c", "\\", ";", "%3b", "x", "%", "%00", "%zz", "?", "#"];
    let mut all = Vec::new();
    for (one, other) in pieces.iter().flat_map(|one| pieces.iter().map(move |other| (one, other))) {
        for target in [format!("/a{one}{other}b"), format!("/a/{one}{other}/b"), format!("{one}{other}")] {
            all.push(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes());
        }
    }
    for method in ["OPTIONS", "GET", "CONNECT", "TRACE", "HEAD", "PRI", "get", "PATCH"] {
        for target in ["*", "a:80", "/x", "http://a", "//a/x", "/x?http://b/", "x", "&", "@a", "a"] {
            all.push(format!("{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes());
        }
    }
    all
}

fn connections() -> Vec<Vec<u8>> {
    let values = [
        "close",
        "Close",
        "keep-alive",
        "close, keep-alive",
        "",
        ",",
        ",,close",
        "upgrade",
        "x",
        "X-A,x-b , x-c",
        "host",
        "Cookie",
        "content-length",
        "transfer-encoding",
        "te",
        "connection",
        "X-Forwarded-For",
        "x-amz-date",
        "x-amzn-x",
        "a b",
        "\"close\"",
        "close;x",
        "close:",
        "x-api-key",
        "keep-alive,",
        "http2-settings, upgrade",
    ];
    let mut all = Vec::new();
    for value in values {
        for version in ["1.1", "1.0"] {
            all.push(format!("GET /x HTTP/{version}\r\nHost: a\r\nConnection: {value}\r\nX-A: b\r\n\r\n").into_bytes());
            let post =
                format!("POST /x HTTP/{version}\r\nHost: a\r\nConnection: {value}\r\nContent-Length: 2\r\n\r\nab");
            all.push([post.as_bytes(), SMUGGLED].concat());
        }
    }
    for upgrade in ["h2c", "TLS/1.0", "HTTP/3.0", "", "a b"] {
        let lines =
            format!("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: {upgrade}\r\nHTTP2-Settings: AAMAAABkAAQ\r\n");
        all.push([get(lines.as_bytes()), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()].concat());
        all.push([get(lines.as_bytes()), SMUGGLED.to_vec()].concat());
    }
    all
}

/// Other protocols at this door.
fn strangers() -> Vec<Vec<u8>> {
    let texts: &[&[u8]] = &[
        b"\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03 a ClientHello, and so on",
        b"\x16\x03\x03\x00\x0a\r\n\r\nabcdef",
        b"\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"EHLO a\r\nMAIL FROM:<a>\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01\x7f\0\0\x01\0\x01\0\x02GET /x HTTP/1.1\r\nHost: a\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
        b"*1\r\n$4\r\nPING\r\n",
        b"PING\r\n",
        b"get key\r\n",
        b"USER a\r\n",
        b"OPTIONS rtsp://a/x RTSP/1.0\r\nCSeq: 1\r\n\r\n",
        b"INVITE sip:a@b SIP/2.0\r\nVia: x\r\n\r\n",
        b"OPTIONS icap://a/x ICAP/1.0\r\nHost: a\r\n\r\n",
        b"GET /x RTSP/1.0\r\nHost: a\r\n\r\n",
        b"GET /\r\n",
        b"/\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"{\"a\": 1}\n",
        b"<?xml version='1.0'?>\r\n",
        b"\x81\x85\0\0\0\0hello",
        b"\x05\x01\0",
        b"\x03\0\0\x2f\x2a\xe0\0\0\0\0\0",
        b"\0\0\0\x85\xffSMBr",
        b"\x12\x34\0\x05\x02\x02\x02",
        b"\x01\x01\0\x01\0\x08\0\0\0\x01\0\0\0\0\0\0",
        b"\x00\x01\x02\x03\x04\x05",
        b"\xff\xfe\xfd\xfc\r\n",
        b"MGLNDD_a_b\n",
        b"GET\0/x\0HTTP/1.1\r\n\r\n",
        b"G\0E\0T\0 \0/\0 \0",
    ];
    texts.iter().map(|text| text.to_vec()).collect()
}
