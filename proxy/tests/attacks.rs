//! The attack table as a whole: families of odd requests, each judged by the codec's slow twin, in raw bytes, on both drivers. The
//! list beside this file (`attacks.txt`) names the tests of every row, wherever they stand.

mod support;

use codec::slow::{self, End};
use support::oddities::Family;
use support::{Client, Response, Stage, Theatre, eventually, on_both_drivers, shown};

/// Every path of every host leads to the backend, but for `/me`.
const DOCUMENT: &str = r#"
apis:
  w:
    kind: http
    routes:
      "ANY /": {integration: {type: http_proxy, uri: "http://{{backend}}/"}}
      "ANY /{proxy+}": {integration: {type: http_proxy, uri: "http://{{backend}}/{proxy}"}}
      "GET /me": {integration: {type: mock, headers: {Content-Type: text/plain}, body: me}}
    stages: {$default: {}}
  r:
    kind: rest
    routes:
      "ANY /{proxy+}": {integration: {type: http_proxy, uri: "http://{{backend}}/{proxy}"}}
    stages: {s: {}}
domains:
  "*": {mappings: {/: w/$default}}
  base.test: {mappings: {/base: w/$default, /rest: r/s}}
"#;

static HOUSE: Theatre = Theatre::new(DOCUMENT);

/// The methods that API Gateway knows.
const METHODS: &[&str] = &["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];

/// The statuses of a refusal that ends the connection.
const REFUSALS: &[u16] = &[400, 405, 408, 413, 414, 417, 431, 501, 505];

/// Bytes of a line of the access log: what the longest has that is plain text, with room for its frame.
const LOG_LINE_BYTES: usize = 6 * 1024;

/// A request as a backend sees it.
type Seen = (String, String, Vec<u8>);

/// What has to come of a conversation.
struct Verdict {
    /// The answers: the method, and the status.
    answers: Vec<(String, u16)>,
    backend: Vec<Seen>,
    end: End,
}

fn verdict(bytes: &[u8]) -> Verdict {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (requests, end) = slow::conversation(bytes);
    let mut verdict = Verdict { answers: Vec::new(), backend: Vec::new(), end };
    for request in requests {
        let (method, target) = (text(&request.method), text(&request.target));
        let status = match () {
            () if target == "*" => 204,
            () if !METHODS.contains(&&*method) => 404,
            () => 200,
        };
        if status == 200 {
            // A query of nothing is none.
            let target = target.strip_suffix('?').unwrap_or(&target).to_owned();
            verdict.backend.push((method.clone(), target, request.body));
        }
        verdict.answers.push((method, status));
    }
    verdict
}

/// The next answer, interim ones left out.
fn answer(client: &mut Client, to_head: bool) -> Result<Response, String> {
    loop {
        let response = client.try_response(to_head)?;
        if response.status != 100 {
            return Ok(response);
        }
    }
}

fn seen(stage: &Stage) -> Vec<Seen> {
    stage.backend.take().into_iter().map(|request| (request.method, request.target, request.body)).collect()
}

/// Sends a conversation in pieces that arrive apart; what is wrong with what came of it. True: it was refused.
fn judge(stage: &Stage, pieces: &[&[u8]], verdict: &Verdict) -> Result<bool, String> {
    let before = stage.backend.byte_count();
    let mut client = stage.client();
    let [first @ .., last] = pieces else { return Err("nothing to send".into()) };
    // A refusal may come, and the connection end, before everything was sent.
    let _ = first.iter().try_for_each(|piece| client.try_send_apart(piece)).and_then(|()| client.try_send(last));
    let open = matches!(verdict.end, End::Clean | End::Within);
    if open {
        client.finish();
    }
    for (method, status) in &verdict.answers {
        let response = answer(&mut client, method == "HEAD").map_err(|why| format!("no answer to {method}: {why}"))?;
        if response.status != *status {
            return Err(format!("{status} was expected: {}", shown(&response.raw)));
        }
    }
    let refusal = match answer(&mut client, false) {
        Ok(response) => Some(response),
        Err(why) if why.starts_with("closed after 0 bytes") => None,
        Err(why) => return Err(why),
    };
    let refused = match (verdict.end, &refusal) {
        (End::Clean | End::Last | End::Within, None) => false,
        (End::BadHead | End::BadBody | End::Within, Some(_)) => true,
        (end, None) => return Err(format!("no refusal, but {end:?}")),
        (end, Some(response)) => return Err(format!("{end:?}, but {}", shown(&response.raw))),
    };
    if let Some(response) = refusal {
        if !REFUSALS.contains(&response.status) || response.header("Connection") != Some("close") {
            return Err(format!("a refusal that ends nothing: {}", shown(&response.raw)));
        }
        client.expect_close();
    }
    let arrived = seen(stage);
    if arrived != verdict.backend {
        return Err(format!("the backend saw {arrived:?} instead of {:?}", verdict.backend));
    }
    if verdict.end == End::BadHead && verdict.backend.is_empty() && stage.backend.byte_count() != before {
        return Err("the backend was sent something of a bad head".into());
    }
    Ok(refused)
}

/// Waits until the backend has read what it got of a body that was cut.
fn settle(stage: &Stage) {
    eventually("both sides know the same connections", || {
        let upstream = &stage.gateway.status()["upstream"];
        upstream["connects"] == stage.backend.connections() && upstream["open"] == stage.backend.open()
    });
}

/// Judges a family; every refusal must have moved a counter.
fn play(stage: &Stage, (name, conversations): &Family) {
    // A path without a route and a client that leaves end nothing.
    let ends = |name: &str| !name.contains("no_such_method") && !name.contains("client_gone");
    let total = || stage.refusals().iter().filter(|(name, _)| ends(name)).map(|(_, count)| count).sum::<f64>();
    let before = total();
    let (mut wrong, mut refused) = (Vec::new(), 0.0);
    let mut quiet = true;
    for bytes in conversations {
        let verdict = verdict(bytes);
        if !quiet && verdict.end == End::BadHead {
            settle(stage);
        }
        match judge(stage, &[bytes], &verdict) {
            Ok(true) => refused += 1.0,
            Ok(false) => {}
            Err(why) => wrong.push(format!("{}\n  {why}", shown(bytes))),
        }
        quiet = !matches!(verdict.end, End::BadBody | End::Within);
    }
    println!("{}: {name}: {} conversations, {refused} refused", stage.gateway.driver.name(), conversations.len());
    let first = &wrong[..wrong.len().min(5)];
    assert!(wrong.is_empty(), "{name}: {} are wrong, the first of them:\n{}", wrong.len(), first.join("\n"));
    let counted = total() - before;
    assert!((counted - refused).abs() < 0.5, "{name}: {refused} refusals, {counted} counted");
}

/// The tests of each row, where they stand.
const LIST: &str = include_str!("attacks.txt");

#[test]
fn every_row_of_the_table_has_a_test_that_bears_its_name_or_a_reason() {
    let faults = support::list::faults(LIST, &[("F", 33), ("S", 27), ("C", 14), ("P", 12), ("R", 17), ("T", 27)]);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn families() {
    for family in support::oddities::families() {
        HOUSE.play(|stage| play(stage, &family));
    }
}

#[test]
fn s27_what_no_line_may_have_is_refused_before_the_line_ends() {
    HOUSE.play(|stage| {
        for (first, second) in [
            (&b"GET /x HTTP/1.1\r\nHost: a\r\nX: y"[..], &b"\0z"[..]),
            (b"GET /x HTTP/1.1\r\nHost", b"\x01: a"),
            (b"G", b"ET /\x7f"),
            (b"\r", b"\0"),
            (b"GET /x HTTP/1.1\r\nHost: a\r\nX: y", b"\rz"),
        ] {
            let mut client = stage.client();
            client.send_apart(first);
            client.send(second);
            assert_eq!(client.read_response().status, 400, "{} {}", shown(first), shown(second));
            client.expect_close();
        }
        assert_eq!(stage.backend.requests(), 0);
    });
}

#[test]
fn s27_odd_conversations_in_pieces_come_to_the_same() {
    HOUSE.play(|stage| {
        for (name, conversations) in support::oddities::families() {
            let step = conversations.len().div_ceil(6);
            for bytes in conversations.iter().step_by(step) {
                let verdict = verdict(bytes);
                for offset in (1..bytes.len()).step_by(bytes.len().div_ceil(7)) {
                    settle(stage);
                    let pieces = bytes.split_at(offset);
                    let judged = judge(stage, &[pieces.0, pieces.1], &verdict);
                    assert!(judged.is_ok(), "{name} at {offset}: {}\n{judged:?}", shown(bytes));
                }
            }
        }
    });
}

fn get(host: &str, path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

#[test]
fn p01_slashes_behind_a_base_path_reach_the_backend_as_they_came() {
    HOUSE.play(|stage| {
        for (path, target) in
            [("/x", "/x"), ("//x", "//x"), ("///x/", "///x/"), ("/x//y", "/x//y"), ("//../x", "/x"), ("/%2fx", "/%2fx")]
        {
            for base in ["/base", "/rest"] {
                stage.ask(get("base.test", &format!("{base}{path}"))).expect_status(200);
                assert_eq!(stage.backend.only().target, target, "{base}{path}");
            }
        }
        // Before it they make another path, and nobody climbs out of it.
        stage.ask(get("base.test", "//base/x")).expect_status(403);
        stage.ask(get("base.test", "/base/../x")).expect_status(403);
        stage.ask(get("base.test", "/base/../rest/x")).expect_status(200);
        assert_eq!(stage.backend.only().header("Via"), Some("1.1 tollgate"));
        stage.refuses(get("base.test", "/base/../../x"), 400, "path_escapes_root");
    });
}

#[test]
fn p04_hosts_have_no_case_and_no_last_dot_and_paths_have_both() {
    HOUSE.play(|stage| {
        for host in ["base.test", "BASE.test", "Base.Test.", "bAsE.tEsT:80", "base.test.:", "base.test:65535"] {
            stage.ask(get(host, "/base/x")).expect_status(200);
            assert_eq!(stage.backend.only().target, "/x", "{host}");
        }
        for path in ["/Base/x", "/BASE/x", "/base./x", "/%62ase/x"] {
            stage.ask(get("base.test", path)).expect_status(403);
        }
        // Another host, and not a part of this one.
        for host in ["xbase.test", "base.test.x", "base.tes", "base-test"] {
            stage.ask(get(host, "/base/x")).expect_status(200);
            assert_eq!(stage.backend.only().target, "/base/x", "{host}");
        }
        assert_eq!(stage.ask(get("a", "/me")).text(), "me");
        for path in ["/Me", "/ME", "/m%65"] {
            stage.ask(get("a", path)).expect_status(200);
            assert_eq!(stage.backend.only().target, path);
        }
    });
}

#[test]
fn p09_a_path_is_what_it_is_whatever_its_end_looks_like() {
    HOUSE.play(|stage| {
        assert_eq!(stage.ask(get("a", "/me")).text(), "me");
        assert_eq!(stage.ask(get("a", "/me?x.css")).text(), "me");
        for path in [
            "/me/x.css",
            "/me;.js",
            "/me.css",
            "/me%2fx.css",
            "/me%3b.js",
            "/me//x.css",
            "/me%00.css",
            "/me%0a.css",
            "/me%23.css",
        ] {
            let response = stage.ask(get("a", path));
            if path.contains("%00") {
                response.expect_status(400);
                continue;
            }
            response.expect_status(200);
            assert_eq!(stage.backend.only().target, path);
            assert_ne!(response.text(), "me");
        }
    });
}

#[test]
fn p12_ids_and_traces_are_not_taken_from_strangers() {
    HOUSE.play(|stage| {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let bad = ["", "x", &good[1..], "00-00000000000000000000000000000000-00f067aa0ba902b7-01", "00-${jndi:ldap://x}-y-01", "ff-x"];
        for host in ["a", "base.test"] {
            let path = if host == "a" { "/x" } else { "/rest/x" };
            let traced = |value: &str| {
                let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nTraceparent: {value}\r\nX-Amzn-RequestId: {value}\r\nX-Amzn-Trace-Id: {value}\r\n\r\n");
                let response = stage.ask(request);
                response.expect_status(200);
                (response, stage.backend.only())
            };
            assert_eq!(traced(good).1.header("Traceparent"), Some(good));
            for value in bad {
                let (response, request) = traced(value);
                assert_eq!(request.header("Traceparent"), None, "{value}");
                let trace = request.header("X-Amzn-Trace-Id").expect("one of our own");
                assert!(trace.starts_with("Root=1-") && trace.len() == 40, "{trace}");
                let id = response.header("x-amzn-RequestId").or(response.header("Apigw-Requestid")).expect("an id");
                assert_ne!(id, value);
                assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-=_".contains(&byte)), "{id}");
            }
        }
    });
}

#[test]
fn r12_a_line_of_the_log_is_one_line_of_plain_text() {
    on_both_drivers(|driver| {
        let stage = Stage::new(DOCUMENT, driver);
        let odd: &[&[u8]] = &[
            b"\x80\xff\xfe",
            b"\xc2\x85 \xe2\x80\xa8 \xe2\x80\xae",
            b"\"}\\n{\"status\":200,\"path\":\"",
            b"\xe2\x80\x8b\xef\xbb\xbf",
            b"\t\\r\\n\\u000a",
            &[b'y'; 9_000],
        ];
        for agent in odd {
            let request =
                [b"GET /%0a%0d%1b[31m%e2%80%ae/x HTTP/1.1\r\nHost: a\r\nUser-Agent: ", *agent, b"\r\n\r\n"].concat();
            stage.ask(request).expect_status(200);
        }
        stage
            .ask(format!("GET /{} HTTP/1.1\r\nHost: {}.test\r\n\r\n", "z%0a".repeat(2_000), "h".repeat(240)))
            .expect_status(200);
        // What was refused has a line too, and nothing of its bytes is in it.
        stage.ask(b"GET /\x1b[31m HTTP/1.1\r\nHost: a\r\n\r\n").expect_status(400);
        stage.ask(b"GET /x HTTP/1.1\r\nHost: a\r\nUser-Agent: a\nb: \x1b[31m\r\n\r\n").expect_status(400);
        let count = odd.len() + 3;
        eventually("the lines are written", || stage.gateway.access_log().lines().count() >= count);
        let log = stage.gateway.access_log();
        let lines: Vec<&str> = log.lines().collect();
        assert_eq!(lines.len(), count);
        for line in lines {
            assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{}", line.escape_debug());
            assert!(line.len() <= LOG_LINE_BYTES, "{} bytes", line.len());
            let value: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}"));
            assert!(value["status"] == 200 || value["status"] == 400, "{line}");
        }
    });
}
