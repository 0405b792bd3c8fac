//! Requests and answers through the gateway: targets, bodies in every framing and size, in raw bytes, on both drivers.

mod support;

use support::{Reply, Theatre, eventually, shown};

static HOUSE: Theatre = Theatre::new(
    r#"
apis:
  r:
    kind: rest
    routes: &routes
      "ANY /x/{proxy+}": {integration: {type: http_proxy, uri: "http://{{backend}}/{proxy}"}}
      "ANY /item/{id}": {integration: {type: http_proxy, uri: "http://{{backend}}/items/{id}.json?fixed=1&id={id}"}}
      "ANY /two/{a}/{b}": {integration: {type: http_proxy, uri: "http://{{backend}}/{b}/{a}"}}
      "ANY /own": {integration: {type: http, uri: "http://{{backend}}/own?fixed=1"}}
      "ANY /as-post": {integration: {type: http_proxy, method: POST, uri: "http://{{backend}}/p"}}
      "ANY /as-get": {integration: {type: http_proxy, method: GET, uri: "http://{{backend}}/g"}}
      "ANY /as-head": {integration: {type: http_proxy, method: HEAD, uri: "http://{{backend}}/h"}}
      "ANY /var": {integration: {type: http_proxy, uri: "http://${stageVariables.where}/${stageVariables.path}/v"}}
    stages: {s: {variables: {where: "{{backend}}", path: "from/stage"}}}
  h:
    kind: http
    routes: *routes
    stages: {$default: {variables: {where: "{{backend}}", path: "from/default"}}}
  d:
    kind: http
    routes: {$default: {integration: {type: http_proxy, uri: "http://{{backend}}/base"}}}
    stages: {$default: {}}
domains:
  r.test: {mappings: {/: r/s, /mapped: r/s}}
  h.test: {mappings: {/: h/$default}}
  d.test: {mappings: {/: d/$default}}
"#,
);

const KINDS: [&str; 2] = ["r.test", "h.test"];

fn get(host: &str, target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

#[test]
fn the_target_is_the_uri_with_variables_and_the_clients_query() {
    HOUSE.play(|stage| {
        for host in KINDS {
            for (sent, arrives) in [
                ("/x/a/b", "/a/b"),
                ("/x/a?b=c&b=d&e", "/a?b=c&b=d&e"),
                ("/x/a?", "/a"),
                ("/x/a?x=%2F%00+%zz;&&=", "/a?x=%2F%00+%zz;&&="),
                ("/x/a%2Fb%20c", "/a%2Fb%20c"),
                ("/x/a//b", "/a//b"),
                ("/x/@evil:80/", "/@evil:80/"),
                ("/x/http://evil/", "/http://evil/"),
                ("/item/7", "/items/7.json?fixed=1&id=7"),
                ("/item/7?q=1", "/items/7.json?fixed=1&id=7&q=1"),
                ("/item/%3Fq=1%26%23", "/items/%3Fq=1%26%23.json?fixed=1&id=%3Fq%3D1%26%23"),
                ("/two/1/2", "/2/1"),
                ("/var", if host == "r.test" { "/from/stage/v" } else { "/from/default/v" }),
            ] {
                stage.ask(get(host, sent)).expect_status(200);
                let request = stage.backend.only();
                assert_eq!(request.target, arrives, "{host} {sent}");
                assert_eq!(request.header("Host"), Some(stage.backend.address()));
            }
        }
        stage.ask(get("r.test", "/mapped/x/a")).expect_status(200);
        assert_eq!(stage.backend.only().target, "/a");
    });
}

#[test]
fn the_default_route_appends_the_whole_path() {
    HOUSE.play(|stage| {
        for (sent, arrives) in
            [("/", "/base/"), ("/store/checkout?a=b", "/base/store/checkout?a=b"), ("/a//b/", "/base/a//b/")]
        {
            stage.ask(get("d.test", sent)).expect_status(200);
            assert_eq!(stage.backend.only().target, arrives);
        }
    });
}

#[test]
fn http_integrations_pass_nothing_of_the_clients_by_themselves() {
    HOUSE.play(|stage| {
        let lines = "Content-Type: text/x\r\nCookie: a=b\r\nX-Y: z\r\nAccept: */*\r\nUser-Agent: me\r\n";
        let request = format!("POST /own?secret=1 HTTP/1.1\r\nHost: r.test\r\n{lines}Content-Length: 2\r\n\r\nhi");
        let response = stage.ask(request);
        response.expect_status(200);
        let arrived = stage.backend.only();
        assert_eq!((&*arrived.target, &*arrived.body), ("/own?fixed=1", &b"hi"[..]));
        assert_eq!(arrived.header("Content-Type"), Some("text/x"));
        assert_eq!(arrived.header("Accept"), Some("application/json"));
        assert_eq!(arrived.header("User-Agent"), Some("AmazonAPIGateway_r"));
        assert_eq!((arrived.header("Cookie"), arrived.header("X-Y")), (None, None));
        assert_eq!(response.header("Content-Type"), Some("application/json"), "{}", shown(&response.raw));
    });
}

#[test]
fn a_method_of_the_integrations_own() {
    HOUSE.play(|stage| {
        let mut client = stage.client();
        client.exchange("GET /as-post HTTP/1.1\r\nHost: r.test\r\n\r\n").expect_status(200);
        assert_eq!(stage.backend.only().method, "POST");
        client.exchange("POST /as-get HTTP/1.1\r\nHost: r.test\r\nContent-Length: 2\r\n\r\nhi").expect_status(200);
        let request = stage.backend.only();
        assert_eq!((&*request.method, &*request.body), ("GET", &b"hi"[..]));
        // The client's HEAD has no body, whatever its backend was asked; and the other way round.
        client.send("HEAD /as-get HTTP/1.1\r\nHost: r.test\r\n\r\n");
        client.read_response_to_head().expect_status(200);
        stage.backend.forget();
        stage.backend.script(|_| Reply::Bytes("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n".into()));
        let response = client.exchange("GET /as-head HTTP/1.1\r\nHost: r.test\r\n\r\n");
        assert_eq!((response.status, response.body.len()), (200, 0), "{}", shown(&response.raw));
        stage.backend.script_echo();
        client.exchange(get("r.test", "/x/after")).expect_status(200);
    });
}

/// Bytes that are not the same everywhere.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 7 + at / 251) as u8).collect()
}

fn chunked(body: &[u8], chunk: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for piece in body.chunks(chunk) {
        out.extend_from_slice(format!("{:X}\r\n", piece.len()).as_bytes());
        out.extend_from_slice(piece);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\n\r\n");
    out
}

const SIZES: [usize; 10] = [0, 1, 2, 4_095, 4_097, 16_384, 16_385, 65_537, 300_000, 3_000_000];

#[test]
fn bodies_of_every_size_reach_the_backend_whole() {
    HOUSE.play(|stage| {
        stage.backend.script(|request| Reply::ok(request.body.len().to_string()));
        let mut client = stage.client();
        for size in SIZES {
            let body = pattern(size);
            let head = format!("POST /x/up HTTP/1.1\r\nHost: r.test\r\nContent-Length: {size}\r\n\r\n");
            let response = client.exchange([head.as_bytes(), &body].concat());
            assert_eq!(response.text(), size.to_string());
            let request = stage.backend.only();
            assert_eq!(request.header("Content-Length"), Some(&*size.to_string()));
            assert!(request.body == body, "{size}");
            for chunk in [size.max(1), 1_000, 7] {
                if chunk == 7 && size > 20_000 {
                    continue;
                }
                let head = "POST /x/up HTTP/1.1\r\nHost: r.test\r\nTransfer-Encoding: chunked\r\n\r\n";
                client.send([head.as_bytes(), &chunked(&body, chunk)].concat());
                assert_eq!(client.read_response().text(), size.to_string());
                let request = stage.backend.only();
                assert_eq!(request.header("Transfer-Encoding"), Some("chunked"));
                assert!(request.body == body, "{size} in chunks of {chunk}");
            }
        }
        stage.backend.expect_no_faults();
    });
}

#[test]
fn answers_of_every_size_and_framing_reach_the_client_whole() {
    HOUSE.play(|stage| {
        let mut client = stage.client();
        for size in SIZES {
            let body = pattern(size);
            let plain = [format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n").as_bytes(), &body].concat();
            let in_chunks = |chunk: usize| {
                let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
                [&head[..], &chunked(&body, chunk)].concat()
            };
            let to_close = [&b"HTTP/1.1 200 OK\r\n\r\n"[..], &body].concat();
            let old = [&b"HTTP/1.0 200 OK\r\n\r\n"[..], &body].concat();
            for (reply, framing) in [
                (Reply::Bytes(plain.clone()), "length"),
                (Reply::Last(plain), "length"),
                (Reply::Bytes(in_chunks(size.max(1))), "chunked"),
                (Reply::Bytes(in_chunks(1_000)), "chunked"),
                (Reply::Last(to_close), "chunked"),
                (Reply::Last(old), "chunked"),
            ] {
                stage.backend.script(move |_| reply.clone());
                let response = client.exchange(get("r.test", "/x/down"));
                assert_eq!((response.status, response.framing), (200, framing));
                assert!(response.body == body, "{size} by {framing}");
            }
        }
    });
}

#[test]
fn an_http10_client_gets_a_body_until_the_close() {
    HOUSE.play(|stage| {
        let body = pattern(100_000);
        let bytes = [&b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"[..], &chunked(&body, 999)].concat();
        stage.backend.script(move |_| Reply::Bytes(bytes.clone()));
        let mut client = stage.client();
        let response = client.exchange("GET /x/a HTTP/1.0\r\nHost: r.test\r\nConnection: keep-alive\r\n\r\n");
        assert_eq!((response.framing, response.header("Connection")), ("close", Some("close")));
        assert!(response.body == body);
        client.expect_close();
    });
}

#[test]
fn heads_and_answers_without_bodies() {
    HOUSE.play(|stage| {
        let mut client = stage.client();
        for (method, answer, status, length) in [
            ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", 200, Some("1000000")),
            ("HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 200, None),
            ("HEAD", "HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\n", 404, Some("9")),
            ("GET", "HTTP/1.1 204 No Content\r\n\r\n", 204, None),
            ("GET", "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 55\r\n\r\n", 304, None),
            ("GET", "HTTP/1.1 304 Not Modified\r\n\r\n", 304, None),
            ("GET", "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n", 205, Some("0")),
        ] {
            stage.backend.script(move |_| Reply::Bytes(answer.into()));
            client.send(format!("{method} /x/a HTTP/1.1\r\nHost: h.test\r\n\r\n"));
            let response = client.try_response(method == "HEAD").expect("an answer");
            assert_eq!((response.status, response.header("Content-Length")), (status, length), "{method} {answer}");
        }
        // All of them left both connections fit for more.
        stage.backend.script_echo();
        client.exchange(get("h.test", "/x/after")).expect_status(200);
        let requests = stage.backend.take();
        assert_eq!(requests.last().map(|request| request.turn), Some(7), "one connection served them all");
    });
}

#[test]
fn interim_answers_are_dropped_and_statuses_pass() {
    HOUSE.play(|stage| {
        for status in [200, 201, 206, 299, 301, 400, 404, 418, 500, 503, 599] {
            let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n";
            let bytes = format!("{interim}HTTP/1.1 {status} Some Reason\r\nContent-Length: 2\r\n\r\nok");
            stage.backend.script(move |_| Reply::Bytes(bytes.clone().into()));
            let response = stage.ask(get("h.test", "/x/a"));
            assert_eq!((response.status, &*response.text()), (status, "ok"));
        }
    });
}

/// Two ends of a wait that a closure of a backend can share.
fn gate() -> (std::sync::mpsc::Sender<()>, impl Fn() -> Result<(), String> + Send + Sync) {
    let (open, wait) = std::sync::mpsc::channel();
    let wait = std::sync::Mutex::new(wait);
    let pass = move || {
        let wait = wait.lock().map_err(|why| why.to_string())?;
        wait.recv_timeout(support::PATIENCE).map_err(|why| why.to_string())
    };
    (open, pass)
}

#[test]
fn an_answer_streams_before_it_is_complete() {
    HOUSE.play(|stage| {
        for (head, early, late) in [
            ("Transfer-Encoding: chunked", "5\r\nearly\r\n", "4\r\nlate\r\n0\r\n\r\n"),
            ("Content-Length: 9", "early", "late"),
        ] {
            let (proceed, wait) = gate();
            stage.backend.script_raw(move |conversation| {
                conversation.request()?.ok_or("no request")?;
                conversation.send(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{early}"));
                wait()?;
                conversation.send(late);
                conversation.closed()
            });
            let mut client = stage.client();
            client.send(get("h.test", "/x/a"));
            // The beginning is here although the end has not left the backend.
            client.read_until(early.as_bytes());
            proceed.send(()).expect("the backend waits");
            assert_eq!(client.read_until(b"late").len(), late.find("late").unwrap_or(0) + 4);
        }
    });
}

#[test]
fn a_request_streams_before_it_is_complete() {
    HOUSE.play(|stage| {
        for (head, early, late) in [
            ("Transfer-Encoding: chunked", "5\r\nearly\r\n", "4\r\nlate\r\n0\r\n\r\n"),
            ("Content-Length: 9", "early", "late"),
        ] {
            let (arrived, wait) = gate();
            stage.backend.script_raw(move |conversation| {
                conversation.head()?.ok_or("no head")?;
                conversation.until(early.as_bytes())?;
                arrived.send(()).map_err(|why| why.to_string())?;
                conversation.until(late.as_bytes())?;
                conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
                conversation.closed()
            });
            let mut client = stage.client();
            client.send(format!("POST /x/a HTTP/1.1\r\nHost: h.test\r\n{head}\r\n\r\n{early}"));
            wait().expect("the first half is with the backend before the second was sent");
            client.send(late);
            assert_eq!(client.read_response().text(), "ok");
        }
    });
}

#[test]
fn memory_stays_when_the_client_reads_nothing() {
    HOUSE.play(|stage| {
        let body = pattern(40_000_000);
        let bytes = [b"HTTP/1.1 200 OK\r\nContent-Length: 40000000\r\n\r\n".as_slice(), &body].concat();
        stage.backend.script(move |_| Reply::Bytes(bytes.clone()));
        let before = stage.gateway.rss();
        let mut client = stage.client();
        client.send(get("r.test", "/x/large"));
        eventually("the answer has begun", || !client.is_still_open());
        // A stalled client: the gateway takes from the backend what it can hold, and no more.
        eventually("the gateway waits for its client", || {
            let turns = || stage.counter("tollgate_loop_submissions_total", &[]);
            turns().to_bits() == turns().to_bits()
        });
        let grown = stage.gateway.rss().saturating_sub(before);
        assert!(grown < 12_000_000, "{grown} bytes for one stalled client");
        let response = client.read_response();
        assert!(response.body == body);
    });
}
