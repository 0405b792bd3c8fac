//! What a request may look like: the rows S01 to S27 and P01 to P03 of the attack table, in raw bytes, on both drivers.

mod support;

use support::stage::{BOTH_KINDS, No};
use support::{Client, Response, Stage, Theatre, eventually, shown};

static HOUSE: Theatre = Theatre::new(BOTH_KINDS);

/// A GET with this field line.
fn with_line(line: impl AsRef<[u8]>) -> Vec<u8> {
    [b"GET /x HTTP/1.1\r\nHost: a\r\n", line.as_ref(), b"\r\n\r\n"].concat()
}

/// A request that begins with this line.
fn begins(line: &str) -> String {
    format!("{line}\r\nHost: a\r\n\r\n")
}

#[test]
fn s01_no_colon() {
    HOUSE.play(|stage| {
        for line in ["no-colon", "X y", "Transfer-Encoding chunked", "\""] {
            let reason = if line.contains(' ') { "space_before_colon" } else { "no_colon" };
            let reason = if line == "\"" { "name_malformed" } else { reason };
            stage.refuses(with_line(line), 400, reason);
        }
    });
}

#[test]
fn s02_empty_name() {
    HOUSE.play(|stage| {
        stage.refuses(with_line(": x"), 400, "empty_name");
        stage.refuses(with_line(":"), 400, "empty_name");
    });
}

#[test]
fn s03_leading_space() {
    HOUSE.play(|stage| {
        for space in [" ", "\t"] {
            stage.refuses(format!("GET /x HTTP/1.1\r\n{space}Host: a\r\n\r\n"), 400, "leading_space");
            stage.refuses(format!("GET /x HTTP/1.1\r\n{space}X: y\r\nHost: a\r\n\r\n"), 400, "leading_space");
        }
    });
}

#[test]
fn s04_bare_line_feeds() {
    HOUSE.play(|stage| {
        for request in [
            "GET /x HTTP/1.1\nHost: a\n\n",
            "GET /x HTTP/1.1\nHost: a\r\n\r\n",
            "GET /x HTTP/1.1\r\nHost: a\n\r\n",
            "GET /x HTTP/1.1\r\nHost: a\r\n\n",
            "GET /x HTTP/1.1\r\nHost: a\r\nX: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n",
        ] {
            stage.refuses(request, 400, "bare_lf");
        }
    });
}

#[test]
fn s05_bare_carriage_returns() {
    HOUSE.play(|stage| {
        stage.refuses(with_line("X: a\rb"), 400, "bare_cr");
        stage.refuses(with_line("X: a\rTransfer-Encoding: chunked"), 400, "bare_cr");
        stage.refuses("GET /x HTTP/1.1\rHost: a\r\n\r\n", 400, "bare_cr");
        stage.refuses("GET /x HTTP/1.1\r\nHost: a\r\n\rX", 400, "bare_cr");
        stage.refuses("\rGET /x HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bare_cr");
    });
}

#[test]
fn s06_nul_in_value() {
    HOUSE.play(|stage| {
        for line in ["X: a\0b", "X: \0", "Host\0: b", "Content-Length: 1\0"] {
            let reason = if line.starts_with("Host") { "name_malformed" } else { "nul_in_value" };
            stage.refuses(with_line(line), 400, reason);
        }
    });
}

#[test]
fn s07_control_in_value() {
    HOUSE.play(|stage| {
        for byte in (1..0x20).chain([0x7f]).filter(|byte| !b"\t\r\n".contains(byte)) {
            stage.refuses(with_line([b'X', b':', b' ', b'a', byte, b'b']), 400, "control_in_value");
        }
    });
}

#[test]
fn s08_bytes_beyond_ascii_in_a_value_stay() {
    HOUSE.play(|stage| {
        stage.ask(with_line(b"X: \x85\xa0\xff\xfe \xc3\xa4 \xa0\x85")).expect_status(200);
        let request = stage.backend.only();
        let line = b"\r\nX: \x85\xa0\xff\xfe \xc3\xa4 \xa0\x85\r\n";
        assert!(support::find(&request.head, line).is_some(), "{}", shown(&request.head));
        // And nothing else around them is kept.
        stage.ask(with_line(b"X:\t \xa0a\tb \t")).expect_status(200);
        let request = stage.backend.only();
        assert!(support::find(&request.head, b"\r\nX: \xa0a\tb\r\n").is_some(), "{}", shown(&request.head));
    });
}

#[test]
fn s09_a_name_that_is_no_token() {
    HOUSE.play(|stage| {
        for name in [&b"X(y)"[..], b"X\x80", b"\xc3\xa4", b"X/y", b"X[0]", b"\"X\"", b"X{", b"X@y", b"X\x01", b"X,y"] {
            stage.refuses(with_line([name, b": z"].concat()), 400, "name_malformed");
        }
    });
}

#[test]
fn s10_names_with_underscores_are_dropped_and_counted() {
    HOUSE.play(|stage| {
        let before = stage.counter("tollgate_fields_underscore_dropped_total", &[]);
        let lines = "X_Forwarded_For: 9.9.9.9\r\nContent_Length: 5\r\nTransfer_Encoding: chunked\r\nX-Kept: y";
        stage.ask(with_line(lines)).expect_status(200);
        let request = stage.backend.only();
        assert!(!request.headers.iter().any(|(name, _)| name.contains('_')), "{}", shown(&request.head));
        assert_eq!(request.header("X-Forwarded-For"), Some("127.0.0.1"));
        assert!(request.has_line("X-Kept: y"));
        let now = stage.counter("tollgate_fields_underscore_dropped_total", &[]);
        assert!((now - before - 3.0).abs() < 0.5, "{before} {now}");
    });
}

#[test]
fn s11_host_missing() {
    HOUSE.play(|stage| {
        stage.refuses("GET /x HTTP/1.1\r\n\r\n", 400, "host_missing");
        stage.refuses("GET http://a/x HTTP/1.1\r\nX: y\r\n\r\n", 400, "host_missing");
        stage.ask("GET /x HTTP/1.0\r\n\r\n").expect_status(200);
    });
}

#[test]
fn s12_host_twice() {
    HOUSE.play(|stage| {
        stage.refuses("GET /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "host_twice");
        stage.refuses("GET /x HTTP/1.1\r\nHost: a\r\nX: y\r\nhOST: a\r\n\r\n", 400, "host_twice");
        stage.refuses("GET /x HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", 400, "host_twice");
    });
}

#[test]
fn s12_authorization_twice() {
    HOUSE.play(|stage| {
        let two = "GET /x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer a\r\nauthorization: Bearer b\r\n\r\n";
        stage.refuses(two, 400, "authorization_twice");
        stage.refuses(
            "GET /x HTTP/1.0\r\nHost: a\r\nAuthorization:\r\nX: y\r\nAUTHORIZATION: a\r\n\r\n",
            400,
            "authorization_twice",
        );
    });
}

#[test]
fn s13_a_host_that_is_none() {
    HOUSE.play(|stage| {
        for host in [
            "a,b",
            "a@b",
            "a/b",
            "a:99999",
            "a..b",
            ".a",
            "",
            "a:x",
            "a b",
            "a%2eb",
            "a\\b",
            "a?b",
            "a#b",
            "[::1",
            "[::g]",
            "[:::::]",
            "[1:2]",
            "[::1::2]",
            "[::1%25eth0]",
            "[::1]x",
            ":80",
            "a:80:80",
            "a\u{e4}",
            "*",
            "http://a",
            "web.test,a",
        ] {
            stage.refuses(format!("GET /x HTTP/1.1\r\nHost: {host}\r\n\r\n"), 400, "host_malformed");
        }
        stage.refuses("GET http://a@b/x HTTP/1.1\r\nHost: a\r\n\r\n", 400, "host_malformed");
        for host in ["a:", "[::1]:", "a:0", "a:65535", "[::1]:8", "A_b-c.example.", "127.0.0.1"] {
            stage.ask(format!("GET /x HTTP/1.1\r\nHost: {host}\r\n\r\n")).expect_status(200);
        }
    });
}

#[test]
fn s14_an_absolute_target_and_its_host() {
    HOUSE.play(|stage| {
        for (target, host) in
            [("http://b/x", "a"), ("http://a:81/x", "a"), ("https://a/x", "a:80"), ("http://a.b/", "a")]
        {
            stage.refuses(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"), 400, "host_mismatch");
        }
        for (target, path) in [("http://a/x?y=z", "/x?y=z"), ("HTTP://A:80/x", "/x"), ("https://a:443/x/", "/x/")] {
            let host = if target.contains("443") { "a" } else { "a." };
            stage.ask(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")).expect_status(200);
            assert_eq!(stage.backend.only().target, path);
        }
        // On HTTP/1.0 the target alone may name the host.
        stage.ask("GET http://web.test/x HTTP/1.0\r\n\r\n").expect_status(200);
        assert!(stage.backend.only().header("Forwarded").is_some_and(|value| value.contains("host=\"web.test\"")));
    });
}

#[test]
fn s15_fragment_in_target() {
    HOUSE.play(|stage| {
        for target in ["/a#b", "/#", "/a?b#c", "http://a/x#y"] {
            stage.refuses(begins(&format!("GET {target} HTTP/1.1")), 400, "fragment_in_target");
        }
    });
}

#[test]
fn s16_a_target_without_a_slash() {
    HOUSE.play(|stage| {
        for target in ["x", "x/y", "?q", "a:80", "ftp://a/", "http:/a", "http:a", "**", "%2fx", "\\x", ".", "//"] {
            if target == "//" {
                continue; // a path of two slashes
            }
            stage.refuses(begins(&format!("GET {target} HTTP/1.1")), 400, "target_malformed");
        }
    });
}

#[test]
fn s17_a_raw_byte_beyond_ascii_in_the_target() {
    HOUSE.play(|stage| {
        for target in [&b"/\x80"[..], b"/\xc3\xa4", b"/x?\xff"] {
            let request = [b"GET ", target, b" HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
            stage.refuses(request, 400, "target_not_ascii");
        }
    });
}

#[test]
fn s18_escapes_that_are_none_and_escaped_nul() {
    HOUSE.play(|stage| {
        for target in ["/%zz", "/%", "/a%2", "/%u002e", "/%-1", "/%%20"] {
            stage.refuses(begins(&format!("GET {target} HTTP/1.1")), 400, "escape_malformed");
        }
        for target in ["/%00", "/a%00b"] {
            stage.refuses(begins(&format!("GET {target} HTTP/1.1")), 400, "escaped_nul");
        }
        // What the query holds is the backend's affair.
        stage.ask(begins("GET /x?%zz%00&% HTTP/1.1")).expect_status(200);
        assert_eq!(stage.backend.only().target, "/x?%zz%00&%");
    });
}

#[test]
fn s19_asterisk() {
    HOUSE.play(|stage| {
        let response = stage.ask(begins("OPTIONS * HTTP/1.1"));
        response.expect_status(204);
        assert_eq!(response.header("Allow"), Some("DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"));
        assert_eq!((response.header("Content-Length"), response.header("Transfer-Encoding")), (None, None));
        // The client's connection and its next request are its own.
        let mut client = stage.client();
        client.send("OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\nContent-Length: 2\r\n\r\nhi");
        client.send(begins("GET /next HTTP/1.1"));
        client.read_response().expect_status(204);
        client.read_response().expect_status(200);
        assert_eq!(stage.backend.only().target, "/next");
        for method in ["GET", "POST", "options"] {
            stage.refuses(begins(&format!("{method} * HTTP/1.1")), 400, "asterisk_not_options");
        }
    });
}

#[test]
fn s20_connect_and_trace() {
    HOUSE.play(|stage| {
        for (request, reason) in [
            ("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", "connect_refused"),
            ("CONNECT /x HTTP/1.1\r\nHost: a\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n", "connect_refused"),
            ("TRACE /x HTTP/1.1\r\nHost: a\r\nCookie: secret\r\n\r\n", "trace_refused"),
            ("TRACE * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n", "trace_refused"),
        ] {
            stage.refuses(request, 405, reason);
            let response = stage.ask(request);
            assert_eq!(response.header("Allow"), Some("DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"));
        }
    });
}

#[test]
fn s21_methods() {
    HOUSE.play(|stage| {
        for method in ["G(T", "G\"T", "G,T", "G\u{e4}T", "@", "G/T"] {
            stage.refuses(begins(&format!("{method} /x HTTP/1.1")), 400, "method_malformed");
        }
        let long = "M".repeat(33);
        stage.refuses(begins(&format!("{long} /x HTTP/1.1")), 501, "method_too_long");
        stage.refuses("M".repeat(100_000), 501, "method_too_long");
        // Tokens that no route has: the method is not found, and the connection goes on.
        for method in ["get", "Get", "BREW", "PROPFIND", &long[..32]] {
            let mut client = stage.client();
            let response = client.exchange(begins(&format!("{method} /x HTTP/1.1")));
            let no = No {
                status: 403,
                message: "Missing Authentication Token",
                error_type: Some("MissingAuthenticationTokenException"),
            };
            no.check(&response);
            let response = client.exchange(format!("{method} /x HTTP/1.1\r\nHost: web.test\r\n\r\n"));
            No { status: 404, message: "Not Found", error_type: None }.check(&response);
        }
        assert_eq!(stage.backend.requests(), 0);
    });
}

#[test]
fn s22_http09() {
    HOUSE.play(|stage| {
        for request in ["GET /x\r\n", "GET /x\r\n\r\n", "GET /x HTTP/0.9\r\nHost: a\r\n\r\n"] {
            stage.refuses(request, 400, "http09");
        }
    });
}

#[test]
fn s23_versions() {
    HOUSE.play(|stage| {
        for version in ["http/1.1", "HTTP/1.10", "HTTP/1", "HTTP/1,1", "HTTP/11", "HTTP/a.1", "HTTPS/1.1", "HTTP/1.1x"]
        {
            stage.refuses(begins(&format!("GET /x {version}")), 400, "version_malformed");
        }
        for request in
            ["GET /x HTTP/2.0\r\nHost: a\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET /x HTTP/9.9\r\n\r\n"]
        {
            stage.refuses(request, 505, "version_unsupported");
        }
        let mut client = stage.client();
        let response = client.exchange(begins("GET /x HTTP/1.2"));
        assert_eq!((response.status, &*response.version, response.header("Connection")), (200, "HTTP/1.1", None));
        client.exchange(begins("GET /x HTTP/1.9")).expect_status(200);
        assert!(stage.backend.take().iter().all(|request| request.version == "HTTP/1.1"));
    });
}

#[test]
fn s24_a_request_line_with_odd_spaces() {
    HOUSE.play(|stage| {
        for line in [
            "GET  /x HTTP/1.1",
            "GET /x  HTTP/1.1",
            "GET\t/x HTTP/1.1",
            "GET /x\tHTTP/1.1",
            "GET /x HTTP/1.1 ",
            "GET /x HTTP/1.1\t",
            " GET /x HTTP/1.1",
            "GET",
            "GET ",
            "GET /x y HTTP/1.1",
            "GET /\x01 HTTP/1.1",
            "GET /\0 HTTP/1.1",
        ] {
            let reason = if line == "GET /x y HTTP/1.1" { "version_malformed" } else { "request_line_malformed" };
            stage.refuses(begins(line), 400, reason);
        }
    });
}

#[test]
fn s25_one_empty_line_before_a_request() {
    HOUSE.play(|stage| {
        let mut client = stage.client();
        client.exchange(format!("\r\n{}", begins("GET /x HTTP/1.1"))).expect_status(200);
        client.exchange(format!("\r\n{}", begins("GET /x HTTP/1.1"))).expect_status(200);
        for lines in ["\r\n\r\n", "\r\n\r\n\r\n\r\n", "\r\n\n"] {
            stage.refuses(format!("{lines}{}", begins("GET /x HTTP/1.1")), 400, "leading_lines");
        }
    });
}

#[test]
fn s26_too_many_or_too_large() {
    HOUSE.play(|stage| {
        let fields =
            |count: usize| with_line((0..count).map(|at| format!("X{at}: y")).collect::<Vec<_>>().join("\r\n"));
        stage.ask(fields(99)).expect_status(200);
        stage.refuses(fields(100), 431, "too_many_fields");
        stage.refuses(fields(200), 431, "too_many_fields");
        stage.refuses(with_line(format!("X: {}", "y".repeat(20_000))), 431, "fields_too_large");
        stage.refuses(
            with_line(format!("X: {}\r\nY: {}", "y".repeat(6_000), "y".repeat(6_000))),
            431,
            "fields_too_large",
        );
        stage.ask(with_line(format!("X: {}", "y".repeat(10_000)))).expect_status(200);
        stage.refuses(begins(&format!("GET /{} HTTP/1.1", "y".repeat(20_000))), 414, "target_too_long");
        stage.refuses(begins(&format!("GET /x?{} HTTP/1.1", "y".repeat(10_240))), 414, "target_too_long");
        stage.ask(begins(&format!("GET /{} HTTP/1.1", "y".repeat(8_000)))).expect_status(200);
        // Without an end, and noticed before it could come.
        stage.refuses(format!("GET /{}", "y".repeat(20_000)), 414, "target_too_long");
        stage.refuses(format!("GET /x HTTP/1.1\r\nX: {}", "y".repeat(20_000)), 431, "fields_too_large");
        stage.refuses(format!("GET /x HTTP/1.1\r\n{}", "X: y\r\n".repeat(101)), 431, "too_many_fields");
        stage.refuses(format!("GET /x HTTP/1.1\r\n{}", "x".repeat(20_000)), 431, "fields_too_large");
    });
}

/// What a client sees of an exchange, without what differs from one to the next.
fn steady(response: &Response) -> String {
    let mut text = format!("{} {} {}\n", response.version, response.status, response.reason);
    for (name, value) in &response.headers {
        let passing = ["date", "x-amzn-requestid", "x-amz-apigw-id", "apigw-requestid"];
        let value = if passing.contains(&&*name.to_ascii_lowercase()) { "*" } else { value };
        text.extend([name, ": ", value, "\n"]);
    }
    text.push_str(
        &response.text().lines().filter(|line| !line.starts_with("X-Amzn-Trace-Id")).collect::<Vec<_>>().join("\n"),
    );
    text
}

/// Every answer that a connection gives to these bytes, and how it ends.
fn conversation(stage: &Stage, send: impl FnOnce(&mut Client)) -> Vec<String> {
    let mut client = stage.client();
    send(&mut client);
    client.finish();
    let mut answers = Vec::new();
    loop {
        match client.try_response(false) {
            Ok(response) => answers.push(steady(&response)),
            Err(end) => {
                assert!(end.starts_with("closed after 0 bytes"), "{end}");
                return answers;
            }
        }
    }
}

/// Conversations that pass, are answered here, and are refused.
const CONVERSATIONS: &[&str] = &[
    "\r\nGET /x?y=z HTTP/1.1\r\nHost: a\r\nCookie: a=b\r\n\r\nPOST /y HTTP/1.1\r\nHost: web.test\r\nContent-Length: 5\r\n\r\nhelloGET /mock HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;e=f\r\nabc\r\n0a\r\n0123456789\r\n0\r\nT: u\r\n\r\nGET /y HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /x HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n",
    "GET /a/../../b HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\nab\r\n0\r\n\r\n",
];

#[test]
fn s27_byte_for_byte_is_the_same_as_at_once() {
    HOUSE.play(|stage| {
        for bytes in CONVERSATIONS {
            let at_once = conversation(stage, |client| client.send(bytes));
            assert!(!at_once.is_empty());
            let requests = stage.backend.take().len();
            let singly = conversation(stage, |client| {
                for byte in bytes.as_bytes() {
                    if client.try_send_apart([*byte]).is_err() {
                        break; // refused before its end
                    }
                }
            });
            assert_eq!(singly, at_once, "{bytes:?}");
            assert_eq!(stage.backend.take().len(), requests, "{bytes:?}");
        }
    });
}

#[test]
fn s27_a_split_at_every_offset_is_the_same_as_none() {
    HOUSE.play(|stage| {
        for bytes in CONVERSATIONS {
            let at_once = conversation(stage, |client| client.send(bytes));
            for offset in 1..bytes.len() {
                let split = conversation(stage, |client| {
                    if client.try_send_apart(&bytes[..offset]).is_ok() {
                        // A refusal may already have ended the connection.
                        let _ = client.try_send(&bytes[offset..]);
                    }
                });
                assert_eq!(split, at_once, "{bytes:?} at {offset}");
            }
        }
    });
}

#[test]
fn p01_dot_segments_are_removed_once_for_everybody() {
    HOUSE.play(|stage| {
        for (sent, meant) in [
            ("/a/../b", "/b"),
            ("/a/./b", "/a/b"),
            ("/a/%2e%2e/b", "/b"),
            ("/a/%2E./b", "/b"),
            ("/a/b/..", "/a/"),
            ("/a/.", "/a/"),
            ("//b", "//b"),
            ("/a//../b", "/a/b"),
            ("/./x/%2e/y?q=../z", "/x/y?q=../z"),
            ("/a/...", "/a/..."),
            ("/a/.b", "/a/.b"),
        ] {
            stage.ask(begins(&format!("GET {sent} HTTP/1.1"))).expect_status(200);
            let target = stage.backend.only().target;
            assert_eq!(target, meant, "{sent}");
            // Router and log saw the same path.
            let logged = format!("\"path\":\"{}\"", meant.split('?').next().unwrap_or_default());
            eventually("the log has the path", || {
                stage.gateway.access_log().lines().last().is_some_and(|line| line.contains(&logged))
            });
            stage.ask(format!("GET {sent} HTTP/1.1\r\nHost: web.test\r\n\r\n")).expect_status(200);
            stage.backend.only();
        }
        // Another route is reached only if the canonical path leads there.
        assert_eq!(stage.ask(begins("GET /x/../mock HTTP/1.1")).text(), "{}");
        assert_eq!(stage.ask(begins("GET /x/%2e%2e/mock HTTP/1.1")).text(), "{}");
        assert_eq!(stage.backend.requests(), 0);
        for path in ["/..", "/a/../../b", "/%2e%2e", "/.%2E/x", "/a/../.."] {
            stage.refuses(begins(&format!("GET {path} HTTP/1.1")), 400, "path_escapes_root");
        }
        for path in ["/%2e%2e%2fb", "/a/..%2fb", "/a%2f..", "/a%2f%2e%2e%2Fb"] {
            stage.refuses(begins(&format!("GET {path} HTTP/1.1")), 400, "encoded_traversal");
        }
    });
}

#[test]
fn p02_nothing_is_decoded_and_backslashes_are_refused() {
    HOUSE.play(|stage| {
        for path in
            ["/a%2fb", "/a%2Fb", "/%252e%252e/b", "/%c0%ae%c0%ae/b", "/%25", "/a%20b", "/%7Eb", "/a+b@c:d!$&'()*,="]
        {
            stage.ask(begins(&format!("GET {path} HTTP/1.1"))).expect_status(200);
            assert_eq!(stage.backend.only().target, path);
        }
        for path in ["/a\\b", "/a%5cb", "/..%5C", "/\\..\\b", "/%5c"] {
            stage.refuses(begins(&format!("GET {path} HTTP/1.1")), 400, "backslash");
        }
    });
}

#[test]
fn p03_parameters_of_segments_stay_and_dots_with_them_are_refused() {
    HOUSE.play(|stage| {
        for path in ["/admin;x=1", "/a;/b", "/a/b;..", "/;", "/a;b;c=d"] {
            stage.ask(begins(&format!("GET {path} HTTP/1.1"))).expect_status(200);
            assert_eq!(stage.backend.only().target, path);
        }
        for path in ["/a/..;/admin", "/.;/", "/..;", "/a/%2e%2e;x=y/b", "/a/..%3b/b", "/a/.;x"] {
            stage.refuses(begins(&format!("GET {path} HTTP/1.1")), 400, "dot_segment_parameter");
        }
    });
}
