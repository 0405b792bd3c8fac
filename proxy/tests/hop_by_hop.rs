//! What is between two neighbours and what is not: the rows C01, C03, C09, C12 to C14 and P06 of the attack table, and the
//! header rules of both kinds (aws-features §4.1), in raw bytes, on both drivers.

mod support;

use support::stage::BOTH_KINDS;
use support::{Reply, Request, Stage, Theatre, shown};

static HOUSE: Theatre = Theatre::new(BOTH_KINDS);

/// A GET with these field lines, to either kind.
fn get(host: &str, lines: &str) -> String {
    format!("GET /x HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n")
}

/// What the backend receives of a GET with these lines.
#[track_caller]
fn arrived(stage: &Stage, host: &str, lines: &str) -> Request {
    stage.ask(get(host, lines)).expect_status(200);
    stage.backend.only()
}

const KINDS: [&str; 2] = ["a", "web.test"];

#[test]
fn c01_fields_that_connection_names_are_not_forwarded() {
    HOUSE.play(|stage| {
        for host in KINDS {
            let lines =
                "Connection: close, X-Secret ,x-other\r\nX-Secret: 1\r\nX-Other: 2\r\nx-secret: 3\r\nX-Kept: 4\r\n";
            let request = arrived(stage, host, lines);
            for name in ["X-Secret", "X-Other", "Connection"] {
                assert!(request.all(name).is_empty(), "{}", shown(&request.head));
            }
            assert!(request.has_line("X-Kept: 4"));
            let request = arrived(stage, host, "X-Secret: 1\r\nConnection: keep-alive\r\nConnection: x-secret\r\n");
            assert!(request.all("X-Secret").is_empty());
        }
    });
}

#[test]
fn c01_connection_names_end_to_end() {
    HOUSE.play(|stage| {
        for name in [
            "Host",
            "authorization",
            "Content-Length",
            "Cookie",
            "X-Forwarded-For",
            "X-Forwarded-Proto",
            "Forwarded",
            "X-Real-IP",
            "X-Amz-Date",
            "x-amz-content-sha256",
            "X-Amzn-Trace-Id",
            "X-Api-Key",
            "Content-Type",
        ] {
            stage.refuses(get("a", &format!("Connection: close, {name}\r\n")), 400, "connection_names_end_to_end");
        }
    });
}

#[test]
fn c01_connection_malformed() {
    HOUSE.play(|stage| {
        for value in ["a b", "close; x", "\"close\"", "X(y)", "close,a\u{e4}"] {
            stage.refuses(get("a", &format!("Connection: {value}\r\n")), 400, "connection_malformed");
        }
    });
}

#[test]
fn c01_connection_options_too_many() {
    HOUSE.play(|stage| {
        let names = |count: usize| (0..count).map(|at| format!("x{at}")).collect::<Vec<_>>().join(", ");
        let request = arrived(stage, "a", &format!("Connection: {}\r\nX15: y\r\n", names(16)));
        assert!(request.all("X15").is_empty());
        stage.refuses(get("a", &format!("Connection: {}\r\n", names(17))), 400, "connection_options_too_many");
    });
}

#[test]
fn c03_h2c_is_ignored_and_stripped() {
    HOUSE.play(|stage| {
        for host in KINDS {
            let lines = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAA\r\n";
            let mut client = stage.client();
            let response = client.exchange(get(host, lines));
            assert_eq!((response.status, response.header("Upgrade")), (200, None));
            let request = stage.backend.only();
            for name in ["Connection", "Upgrade", "HTTP2-Settings"] {
                assert_eq!(request.header(name), None, "{}", shown(&request.head));
            }
            // Also where Connection does not say so.
            client.exchange(get(host, "Upgrade: h2c\r\nHTTP2-Settings: x\r\n")).expect_status(200);
            let request = stage.backend.only();
            assert_eq!((request.header("Upgrade"), request.header("HTTP2-Settings")), (None, None));
        }
    });
}

#[test]
fn c04_what_follows_an_upgrade_goes_through_the_router() {
    HOUSE.play(|stage| {
        let mut client = stage.client();
        let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        client.send(format!("{}GET / HTTP/1.1\r\nHost: a\r\n\r\n", get("a", upgrade)));
        client.read_response().expect_status(200);
        client.read_response().expect_status(403);
        assert_eq!(stage.backend.only().header("Upgrade"), None);
    });
}

#[test]
fn c09_fields_for_the_neighbour_are_never_forwarded() {
    HOUSE.play(|stage| {
        let lines = "Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nTE: trailers, gzip\r\nTrailer: X\r\nProxy-Authorization: Basic x\r\nProxy-Authenticate: Basic\r\n";
        for host in KINDS {
            let request = arrived(stage, host, lines);
            for name in ["Keep-Alive", "Proxy-Connection", "TE", "Trailer", "Proxy-Authorization", "Proxy-Authenticate"] {
                assert_eq!(request.header(name), None, "{}", shown(&request.head));
            }
        }
    });
}

#[test]
fn c12_a_pooled_connection_that_has_gone_stale() {
    HOUSE.play(|stage| {
        // The backend closes when the second request of a connection comes, without a word.
        stage.backend.script(|request| if request.turn == 0 { Reply::ok("fresh") } else { Reply::Close });
        let retries = stage.counter("tollgate_upstream_retries_total", &[]);
        let mut client = stage.client();
        assert_eq!(client.exchange(get("a", "")).text(), "fresh");
        assert_eq!(client.exchange(get("a", "")).text(), "fresh");
        let requests = stage.backend.take();
        assert_eq!(requests.iter().map(|request| request.turn).collect::<Vec<_>>(), [0, 1, 0]);
        let now = stage.counter("tollgate_upstream_retries_total", &[]);
        assert!((now - retries - 1.0).abs() < 0.5);
        // What may have had an effect is not repeated.
        let response = client.exchange("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
        assert_eq!((response.status, stage.backend.take().len()), (504, 1));
    });
}

#[test]
fn c13_each_request_of_a_connection_is_routed_by_itself() {
    HOUSE.play(|stage| {
        let mut client = stage.client();
        for _ in 0..2 {
            let response = client.exchange(get("a", ""));
            assert!(response.header("x-amzn-RequestId").is_some());
            let response = client.exchange(get("web.test", ""));
            assert!(response.header("Apigw-Requestid").is_some());
            client.exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect_status(403);
            client.exchange("GET / HTTP/1.1\r\nHost: web.test\r\n\r\n").expect_status(404);
        }
        assert_eq!(stage.backend.requests(), 4);
    });
}

#[test]
fn c14_max_forwards_zero_ends_here() {
    HOUSE.play(|stage| {
        for host in KINDS {
            let response = stage.ask(format!("OPTIONS /x HTTP/1.1\r\nHost: {host}\r\nMax-Forwards: 0\r\n\r\n"));
            assert_eq!(response.status, 204, "{}", shown(&response.raw));
            assert_eq!(response.header("Allow"), Some("DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"));
            assert_eq!(stage.backend.requests(), 0);
            stage.ask(format!("OPTIONS /x HTTP/1.1\r\nHost: {host}\r\n\r\n")).expect_status(200);
            stage.backend.only();
        }
        assert_eq!(arrived(stage, "a", "Max-Forwards: 0\r\n").header("Max-Forwards"), None);
        // Zero is zero however it is written, and one of two is enough.
        for lines in ["Max-Forwards: 00\r\n", "Max-Forwards: 5\r\nMax-Forwards: 0\r\n"] {
            stage.ask(format!("OPTIONS /x HTTP/1.1\r\nHost: web.test\r\n{lines}\r\n")).expect_status(204);
        }
        assert_eq!(stage.backend.requests(), 0);
    });
}

#[test]
fn c14_max_forwards_counts_down_for_options_alone() {
    HOUSE.play(|stage| {
        let passed_on = |method: &str, value: &str| {
            stage
                .ask(format!("{method} /x HTTP/1.1\r\nHost: web.test\r\nMax-Forwards: {value}\r\n\r\n"))
                .expect_status(200);
            stage.backend.only().header("Max-Forwards").map(str::to_owned)
        };
        for (sent, passed) in
            [("1", "0"), ("10", "9"), ("007", "6"), ("4294967295", "4294967294"), ("99999999999", "4294967294")]
        {
            assert_eq!(passed_on("OPTIONS", sent).as_deref(), Some(passed), "{sent}");
        }
        // What is no number counts nothing.
        for odd in ["x", "-1", "", "1.5", "2, 3"] {
            assert_eq!(passed_on("OPTIONS", odd), None, "{odd}");
        }
        for method in ["GET", "POST", "DELETE"] {
            assert_eq!(passed_on(method, "10").as_deref(), Some("10"), "{method}");
        }
    });
}

#[test]
fn p06_nobody_but_us_says_where_a_request_came_from() {
    HOUSE.play(|stage| {
        let spoofed = [
            "X-Forwarded-For: 9.9.9.9",
            "X-Forwarded-Host: evil",
            "X-Forwarded-Proto: https",
            "X-Forwarded-Port: 1",
            "X-Forwarded-Client-Cert: evil",
            "X-Forwarded-Prefix: evil",
            "Forwarded: for=9.9.9.9",
            "X-Real-IP: 9.9.9.9",
            "X-Amzn-Trace-Id: Root=evil",
            "X-Amzn-RequestId: evil",
            "X-Amzn-Apigateway-Api-Id: evil",
            "X-Amzn-Oidc-Identity: evil",
            "x-amz-apigw-id: evil",
            "Apigw-Requestid: evil",
            "Client-Cert: evil",
            "Client-Cert-Chain: evil",
            "X-SSL-Client-Verify: evil",
            "Ssl-Client-Cert: evil",
            "Remote-User: evil",
            "X-Auth-Request-User: evil",
            "True-Client-IP: 9.9.9.9",
            "X_Forwarded_For: 9.9.9.9",
            "X_Real_IP: 9.9.9.9",
        ];
        let lines = spoofed.join("\r\n") + "\r\n";
        for host in KINDS {
            let request = arrived(stage, host, &lines);
            for part in [&b"evil"[..], b"9.9.9.9"] {
                assert!(support::find(&request.head, part).is_none(), "{}", shown(&request.head));
            }
            assert_ne!(request.header("X-Forwarded-Proto"), Some("https"));
        }
    });
}

#[test]
fn a_rest_backend_is_told_of_the_client_by_x_forwarded_fields() {
    HOUSE.play(|stage| {
        let request = arrived(stage, "a", "");
        let port = stage.gateway.address().rsplit(':').next().map(str::to_owned);
        assert_eq!(request.header("X-Forwarded-For"), Some("127.0.0.1"));
        assert_eq!(request.header("X-Forwarded-Port").map(str::to_owned), port);
        assert_eq!(request.header("X-Forwarded-Proto"), Some("http"));
        assert_eq!(request.header("X-Amzn-Apigateway-Api-Id"), Some("a"));
        assert_eq!(request.header("Via"), Some("1.1 tollgate"));
        assert_eq!(request.header("Host"), Some(stage.backend.address()));
        let trace = request.header("X-Amzn-Trace-Id").expect("a trace id");
        let parts: Vec<&str> = trace.strip_prefix("Root=1-").expect("a root").split('-').collect();
        assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [8, 24], "{trace}");
        assert!(trace["Root=1-".len()..].bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit()), "{trace}");
        assert_eq!(request.header("Forwarded"), None);
        assert_eq!(request.header("Connection"), None);
    });
}

#[test]
fn an_http_backend_is_told_of_the_client_by_forwarded() {
    HOUSE.play(|stage| {
        let request = arrived(stage, "web.test", "Via: 1.0 before\r\n");
        assert_eq!(request.header("Forwarded"), Some("for=127.0.0.1;host=\"web.test\";proto=http"));
        assert_eq!(request.all("Via"), ["1.0 before", "1.1 tollgate"]);
        for name in ["X-Forwarded-For", "X-Forwarded-Port", "X-Forwarded-Proto", "X-Amzn-Apigateway-Api-Id"] {
            assert_eq!(request.header(name), None, "{}", shown(&request.head));
        }
        assert!(request.header("X-Amzn-Trace-Id").is_some());
    });
}

#[test]
fn what_each_kind_passes_on_to_its_backend() {
    HOUSE.play(|stage| {
        let lines = "Content-MD5: x\r\nMax-Forwards: 5\r\nServer: x\r\nWWW-Authenticate: Basic\r\nVia: 1.1 x\r\nX-HTTP-Method-Override: PUT\r\nAuthorization: AWS4-HMAC-SHA256 Credential=x\r\n";
        let dropped_by_rest =
            ["Content-MD5", "Max-Forwards", "Server", "WWW-Authenticate", "X-HTTP-Method-Override", "Authorization"];
        let rest = arrived(stage, "a", lines);
        let http = arrived(stage, "web.test", lines);
        for name in dropped_by_rest {
            assert_eq!(rest.header(name), None, "{}", shown(&rest.head));
            assert!(http.header(name).is_some(), "{name}: {}", shown(&http.head));
        }
        assert_eq!(rest.all("Via"), ["1.1 tollgate"]);
        for host in KINDS {
            let lines = "aUTHORIZATION: Bearer x\r\nCookie: a=b\r\nCookie: c=d\r\nUser-Agent: me\r\nAccept: */*\r\nx-CUSTOM:  spaced \r\nReferer: y\r\nX-Api-Key: z\r\nRange: bytes=0-1\r\n";
            let request = arrived(stage, host, lines);
            // Spelling, order and duplicates stay.
            let expected = "aUTHORIZATION: Bearer x\r\nCookie: a=b\r\nCookie: c=d\r\nUser-Agent: me\r\nAccept: */*\r\nx-CUSTOM: spaced\r\nReferer: y\r\nX-Api-Key: z\r\nRange: bytes=0-1\r\n";
            assert!(support::find(&request.head, expected.as_bytes()).is_some(), "{}", shown(&request.head));
        }
    });
}

/// An answer with everything that a backend may say of itself.
const TALKATIVE: &str = "HTTP/1.1 200 OK\r\nDate: Mon, 01 Jan 2001 00:00:00 GMT\r\nServer: nginx\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=9\r\nProxy-Connection: x\r\nUpgrade: h2c\r\nTrailer: y\r\nTE: z\r\nWWW-Authenticate: Basic\r\nx-amzn-RequestId: theirs\r\nx-amz-apigw-id: theirs\r\nApigw-Requestid: theirs\r\nVia: 1.1 theirs\r\nX-CUSTOM: 2\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\nAccess-Control-Allow-Origin: *\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn a_rest_client_gets_a_backends_own_fields_remapped() {
    HOUSE.play(|stage| {
        stage.backend.script(|_| Reply::Bytes(TALKATIVE.into()));
        let response = stage.ask(get("a", ""));
        for (name, value) in [
            ("x-amzn-Remapped-Date", "Mon, 01 Jan 2001 00:00:00 GMT"),
            ("x-amzn-Remapped-Server", "nginx"),
            ("x-amzn-Remapped-Connection", "keep-alive, X-Hop"),
            ("x-amzn-Remapped-Content-Length", "2"),
            ("x-amzn-Remapped-WWW-Authenticate", "Basic"),
            ("x-amzn-Remapped-x-amzn-RequestId", "theirs"),
            ("X-CUSTOM", "2"),
            ("Access-Control-Allow-Origin", "*"),
            ("Content-Length", "2"),
        ] {
            assert_eq!(response.header(name), Some(value), "{}", shown(&response.raw));
        }
        assert!(support::find(&response.raw, b"\r\nX-CUSTOM: 2\r\n").is_some());
        assert_eq!(response.all("Set-Cookie"), ["a=b", "c=d"]);
        for name in [
            "Server",
            "Connection",
            "X-Hop",
            "Keep-Alive",
            "Proxy-Connection",
            "Upgrade",
            "Trailer",
            "TE",
            "Via",
            "WWW-Authenticate",
        ] {
            assert_eq!(response.header(name), None, "{}", shown(&response.raw));
        }
        assert_ne!(response.header("Date"), Some("Mon, 01 Jan 2001 00:00:00 GMT"));
        assert_ne!(response.header("x-amz-apigw-id"), Some("theirs"));
    });
}

#[test]
fn an_http_client_gets_a_backends_fields_as_they_are() {
    HOUSE.play(|stage| {
        stage.backend.script(|_| Reply::Bytes(TALKATIVE.into()));
        let response = stage.ask(get("web.test", ""));
        for (name, value) in [
            ("Server", "nginx"),
            ("WWW-Authenticate", "Basic"),
            ("X-CUSTOM", "2"),
            ("Content-Encoding", "gzip"),
            ("Content-Length", "2"),
        ] {
            assert_eq!(response.header(name), Some(value), "{}", shown(&response.raw));
        }
        for name in ["Connection", "X-Hop", "Keep-Alive", "Proxy-Connection", "Upgrade", "Trailer", "TE"] {
            assert_eq!(response.header(name), None, "{}", shown(&response.raw));
        }
        assert!(!response.headers.iter().any(|(name, _)| name.to_ascii_lowercase().contains("remapped")));
        assert_ne!(response.header("Date"), Some("Mon, 01 Jan 2001 00:00:00 GMT"));
        assert_ne!(response.header("Apigw-Requestid"), Some("theirs"));
    });
}

#[test]
fn each_kind_names_its_requests() {
    HOUSE.play(|stage| {
        let is_uuid = |id: &str| id.len() == 36 && id.bytes().filter(|byte| *byte == b'-').count() == 4;
        let response = stage.ask(get("a", ""));
        let id = response.header("x-amzn-RequestId").expect("an id");
        assert!(is_uuid(id), "{id}");
        assert!(response.header("x-amz-apigw-id").is_some_and(|id| id.ends_with('=')));
        assert_eq!(response.header("Apigw-Requestid"), None);
        let response = stage.ask(get("web.test", ""));
        let id = response.header("Apigw-Requestid").expect("an id");
        assert!(id.ends_with('=') && id.len() == 16, "{id}");
        assert_eq!((response.header("x-amzn-RequestId"), response.header("x-amz-apigw-id")), (None, None));
        // A REST client may bring its own, if it is a UUID.
        let own = "12345678-1234-4abc-8def-1234567890ab";
        let response = stage.ask(get("a", &format!("x-amzn-RequestId: {own}\r\n")));
        assert_eq!(response.header("x-amzn-RequestId"), Some(own));
        for bad in ["x", "12345678-1234-4abc-8def-1234567890ag", "12345678-1234-4abc-8def-1234567890ab2"] {
            let response = stage.ask(get("a", &format!("x-amzn-RequestId: {bad}\r\nx-amz-apigw-id: {bad}\r\n")));
            let id = response.header("x-amzn-RequestId").expect("an id");
            assert!(is_uuid(id) && id != bad, "{id}");
            assert_ne!(response.header("x-amz-apigw-id"), Some(bad));
        }
    });
}
