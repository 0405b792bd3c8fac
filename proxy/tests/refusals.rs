//! Every way of saying no that the framing and syntax of a message do not decide: its status, its body to the byte, its
//! counter, and what becomes of the connection. Each refusal is provoked by its name, on both drivers.

mod support;

use std::time::{Duration, Instant};

use support::stage::No;
use support::{Client, Reply, Stage, Theatre, eventually, shown};

/// Small limits and short times, both kinds; the HTTP API has no `$default` stage.
static HOUSE: Theatre = Theatre::new(
    r#"
gateway:
  limits: {header_time: 1s, body_idle_time: 1s, body: 1000, head: {bytes: 1000, fields: 20}}
upstreams:
  narrow: {servers: ["{{backend}}"], pool: {connections: 1}}
  nobody: {servers: ["127.0.0.1:1"]}
apis:
  r:
    kind: rest
    routes: &routes
      "ANY /mock": {integration: {type: mock, body: "{}"}}
      "ANY /slow": {timeout: 50ms, integration: {type: http_proxy, uri: "http://{{backend}}/slow"}}
      "ANY /narrow": {integration: {type: http_proxy, uri: "http://narrow/"}}
      "ANY /nobody": {integration: {type: http_proxy, uri: "http://nobody/"}}
      "ANY /unknown": {timeout: 2s, integration: {type: http_proxy, uri: "http://no-such-host.invalid/"}}
      "ANY /to/{x}": {integration: {type: http_proxy, uri: "http://{{backend}}/{x}"}}
    stages: {s: {}}
  h:
    kind: http
    routes: *routes
    stages: {s: {}}
domains:
  rest.test: {mappings: {/: r/s}}
  http.test: {mappings: {/: h/s}}
  part.rest.test: {mappings: {/v1: r/s}}
  part.http.test: {mappings: {/v1: h/s}}
"#,
);

fn rest(status: u16, message: &'static str, error_type: &'static str) -> No {
    No { status, message, error_type: Some(error_type) }
}

fn http(status: u16, message: &'static str) -> No {
    No { status, message, error_type: None }
}

const INTERNAL: &str = "InternalServerErrorException";

/// A request that is refused in the words of its kind, on a connection that goes on.
#[track_caller]
fn is_refused(stage: &Stage, request: &str, no: &No, reason: &str) {
    println!("{}: {request}", stage.gateway.driver.name());
    let before = stage.refusals();
    let mut client = stage.client();
    no.check(&client.exchange(request));
    stage.one_refusal_more(&before, reason);
    client.exchange("GET /mock HTTP/1.1\r\nHost: rest.test\r\n\r\n").expect_status(200);
}

/// The same path of both kinds.
#[track_caller]
fn both_refuse(stage: &Stage, path: &str, nos: [&No; 2], reason: &str) {
    is_refused(stage, &format!("GET {path} HTTP/1.1\r\nHost: rest.test\r\n\r\n"), nos[0], reason);
    is_refused(stage, &format!("GET {path} HTTP/1.1\r\nHost: http.test\r\n\r\n"), nos[1], reason);
}

#[test]
fn no_such_api() {
    HOUSE.play(|stage| {
        let forbidden = rest(403, "Forbidden", "ForbiddenException");
        for host in ["nobody.test", "rest.test.evil", "x.rest.test", "127.0.0.1", "[::1]"] {
            let request = format!("GET /mock HTTP/1.1\r\nHost: {host}\r\n\r\n");
            is_refused(stage, &request, &forbidden, "no_such_api");
        }
        is_refused(stage, "GET /mock HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", &forbidden, "no_such_api");
        // The host is known, none of its base paths fits.
        for path in ["/mock", "/", "/v2/mock", "/v10/mock", "/V1/mock"] {
            let request = format!("GET {path} HTTP/1.1\r\nHost: part.rest.test\r\n\r\n");
            is_refused(stage, &request, &forbidden, "no_such_api");
            let request = format!("GET {path} HTTP/1.1\r\nHost: part.http.test\r\n\r\n");
            is_refused(stage, &request, &http(404, "Not Found"), "no_such_api");
        }
        assert_eq!(stage.backend.requests(), 0);
    });
}

#[test]
fn no_such_stage() {
    HOUSE.play(|stage| {
        for path in ["/", "/mock", "/t/mock", "/S/mock", "/ss"] {
            let request = |api: &str| format!("GET {path} HTTP/1.1\r\nHost: {api}.execute-api.eu.test\r\n\r\n");
            is_refused(stage, &request("r"), &rest(403, "Forbidden", "ForbiddenException"), "no_such_stage");
            is_refused(stage, &request("h"), &http(404, "Not Found"), "no_such_stage");
        }
        let response = stage.ask("GET /s/mock HTTP/1.1\r\nHost: R.execute-api.eu.test\r\n\r\n");
        response.expect_status(200);
    });
}

#[test]
fn no_such_method() {
    HOUSE.play(|stage| {
        let missing = rest(403, "Missing Authentication Token", "MissingAuthenticationTokenException");
        for path in ["/", "/nothing", "/mock/more", "/to", "/Mock"] {
            both_refuse(stage, path, [&missing, &http(404, "Not Found")], "no_such_method");
        }
    });
}

#[test]
fn integration_timeout() {
    HOUSE.play(|stage| {
        stage.backend.script(|_| Reply::Never);
        let nos = [&rest(504, "Endpoint request timed out", INTERNAL), &http(503, "Service Unavailable")];
        let faults = stage.faults("answer_timed_out");
        both_refuse(stage, "/slow", nos, "integration_timeout");
        stage.fault_reaches("answer_timed_out", faults + 2.0);
        stage.all_closed();
        assert_eq!(stage.backend.take().len(), 2, "what may have had an effect is not repeated");
    });
}

#[test]
fn integration_failure() {
    HOUSE.play(|stage| {
        let nos =
            [&rest(504, "Network error communicating with endpoint", INTERNAL), &http(503, "Service Unavailable")];
        let faults = stage.faults("connect_failed");
        both_refuse(stage, "/nobody", nos, "integration_failure");
        stage.fault_reaches("connect_failed", faults + 2.0);
        stage.backend.script(|_| Reply::Close);
        let faults = stage.faults("closed_before_answer");
        both_refuse(stage, "/to/x", nos, "integration_failure");
        stage.fault_reaches("closed_before_answer", faults + 2.0);
        stage.backend.script(|_| Reply::Last("HTTP/1.1 200 OK\r\nContent-Le".into()));
        let faults = stage.faults("closed_in_head");
        both_refuse(stage, "/to/x", nos, "integration_failure");
        stage.fault_reaches("closed_in_head", faults + 2.0);
    });
}

#[test]
fn invalid_endpoint() {
    HOUSE.play(|stage| {
        let nos = [&rest(500, "Internal server error", INTERNAL), &http(500, "Internal Server Error")];
        let faults = stage.faults("name_not_resolved");
        both_refuse(stage, "/unknown", nos, "invalid_endpoint");
        stage.fault_reaches("name_not_resolved", faults + 2.0);
    });
}

#[test]
fn request_too_large_by_its_announcement() {
    HOUSE.play(|stage| {
        for (host, no) in [
            ("rest.test", rest(413, "Request Too Long", "RequestTooLargeException")),
            ("http.test", http(413, "Request Entity Too Large")),
        ] {
            let whole =
                format!("POST /to/x HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1000\r\n\r\n{}", "y".repeat(1000));
            stage.ask(whole).expect_status(200);
            assert_eq!(stage.backend.only().body.len(), 1000);
            let bytes = stage.backend.byte_count();
            // A little too much is read away, and the connection goes on.
            let much =
                format!("POST /to/x HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1001\r\n\r\n{}", "y".repeat(1001));
            is_refused(stage, &much, &no, "request_too_large");
            // Nobody waits for the rest of this one.
            let before = stage.refusals();
            let mut client = stage.client();
            client
                .send(format!("POST /to/x HTTP/1.1\r\nHost: {host}\r\nContent-Length: 9223372036854775807\r\n\r\nabc"));
            let response = client.read_response();
            no.check(&response);
            assert_eq!(response.header("Connection"), Some("close"));
            client.expect_close();
            stage.one_refusal_more(&before, "request_too_large");
            // Nor promises anything.
            let mut client = stage.client();
            client.send(format!(
                "POST /to/x HTTP/1.1\r\nHost: {host}\r\nExpect: 100-continue\r\nContent-Length: 1001\r\n\r\n"
            ));
            no.check(&client.read_response());
            client.expect_close();
            assert_eq!(stage.backend.byte_count(), bytes);
        }
    });
}

#[test]
fn request_too_large_by_its_chunks() {
    HOUSE.play(|stage| {
        for (host, no) in [
            ("rest.test", rest(413, "Request Too Long", "RequestTooLargeException")),
            ("http.test", http(413, "Request Entity Too Large")),
        ] {
            let faults = stage.faults("body_too_large");
            let chunk = format!("64\r\n{}\r\n", "y".repeat(100));
            let head = format!("POST /to/x HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n");
            let fits = format!("{head}{}0\r\n\r\n", chunk.repeat(10));
            stage.ask(fits).expect_status(200);
            assert_eq!(stage.backend.only().body.len(), 1000);
            stage.empty_pool();
            stage.refuses_body(format!("{head}{}0\r\n\r\n", chunk.repeat(11)), &no, "request_too_large");
            stage.fault_reaches("body_too_large", faults + 1.0);
        }
    });
}

#[test]
fn request_timeout_of_a_head() {
    HOUSE.play(|stage| {
        let before = stage.refusals();
        let mut client = stage.client();
        let began = Instant::now();
        client.send("GET /mock HTTP/1.1\r\nHost: rest");
        let response = client.read_response();
        let waited = began.elapsed();
        No::of_status(408).check(&response);
        assert_eq!(response.header("Connection"), Some("close"));
        client.expect_close();
        stage.one_refusal_more(&before, "request_timeout");
        assert!(waited > Duration::from_millis(900) && waited < Duration::from_secs(5), "{waited:?}");
    });
}

#[test]
fn request_timeout_of_a_head_is_absolute() {
    HOUSE.play(|stage| {
        // A byte now and then does not prolong it.
        let client = stage.client();
        let mut sender = client.sender();
        let dripping = std::thread::spawn(move || {
            use std::io::Write as _;

            let began = Instant::now();
            let deadline = began + support::PATIENCE;
            while sender.write_all(b"x").is_ok() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(50));
            }
            began.elapsed()
        });
        let mut client = client;
        No::of_status(408).check(&client.read_response());
        drop(client);
        let lasted = dripping.join().expect("it ends by itself");
        assert!(lasted < Duration::from_secs(5), "{lasted:?}");
    });
}

#[test]
fn f33_request_timeout_of_a_body() {
    HOUSE.play(|stage| {
        for (host, no) in [("rest.test", No::of_status(408)), ("http.test", http(408, "Request Timeout"))] {
            let faults = stage.faults("client_stalled");
            let head = format!("POST /to/x HTTP/1.1\r\nHost: {host}\r\nContent-Length: 10\r\n\r\nsome");
            stage.refuses_body(head, &no, "request_timeout");
            stage.fault_reaches("client_stalled", faults + 1.0);
        }
    });
}

#[test]
fn overloaded_pool() {
    HOUSE.play(|stage| {
        let (release, held) = std::sync::mpsc::channel::<()>();
        let held = std::sync::Mutex::new(held);
        stage.backend.script(move |_| {
            // One message for each request that was let in.
            let _ = held.lock().map(|held| held.recv());
            Reply::ok("done")
        });
        for (host, no) in [
            ("rest.test", rest(503, "Service Unavailable", "ServiceUnavailableException")),
            ("http.test", http(503, "Service Unavailable")),
        ] {
            let faults = stage.faults("pool_exhausted");
            let mut first = stage.client();
            first.send(format!("GET /narrow HTTP/1.1\r\nHost: {host}\r\n\r\n"));
            eventually("the first is with the backend", || stage.backend.requests() == 1);
            let before = stage.refusals();
            let response = stage.ask(format!("GET /narrow HTTP/1.1\r\nHost: {host}\r\n\r\n"));
            no.check(&response);
            assert_eq!(response.header("Retry-After"), Some("1"));
            stage.one_refusal_more(&before, "overloaded");
            stage.fault_reaches("pool_exhausted", faults + 1.0);
            release.send(()).expect("the backend waits");
            assert_eq!(first.read_response().text(), "done");
            stage.backend.take();
        }
    });
}

#[test]
fn client_gone_within_its_body() {
    HOUSE.play(|stage| {
        for host in ["rest.test", "http.test"] {
            let before = stage.refusals();
            let faults = stage.faults("client_gone");
            stage.backend.forget();
            let mut client = stage.client();
            client.send(format!("POST /to/x HTTP/1.1\r\nHost: {host}\r\nContent-Length: 10\r\n\r\nsome"));
            drop(client);
            stage.fault_reaches("client_gone", faults + 1.0);
            stage.one_refusal_more(&before, "client_gone");
            stage.all_closed();
            assert_eq!(stage.backend.requests(), 0, "half a request is none");
            // Half a FIN is no better: the body cannot come any more, and nobody is told lies.
            let mut client = stage.client();
            client.send(format!("POST /to/x HTTP/1.1\r\nHost: {host}\r\nContent-Length: 10\r\n\r\nsome"));
            client.finish();
            client.expect_close();
            stage.fault_reaches("client_gone", faults + 2.0);
            assert_eq!(stage.backend.requests(), 0);
        }
    });
}

#[test]
fn head_too_large() {
    HOUSE.play(|stage| {
        let padded = |length: usize| {
            let head = "GET /mock HTTP/1.1\r\nHost: rest.test\r\nX: \r\n\r\n";
            head.replace("X: ", &format!("X: {}", "y".repeat(length - head.len())))
        };
        stage.ask(padded(1000)).expect_status(200);
        stage.refuses(padded(1001), 431, "head_too_large");
        stage.refuses(format!("GET /{} HTTP/1.1\r\nHost: rest.test\r\n\r\n", "y".repeat(1000)), 431, "head_too_large");
        let fields = "X: y\r\n".repeat(20);
        stage.refuses(format!("GET /mock HTTP/1.1\r\nHost: rest.test\r\n{fields}\r\n"), 431, "too_many_fields");
    });
}

#[test]
fn a_refusal_to_head_has_no_body() {
    HOUSE.play(|stage| {
        let mut client = stage.client();
        client.send("HEAD /nothing HTTP/1.1\r\nHost: rest.test\r\n\r\n");
        let response = client.read_response_to_head();
        assert_eq!(response.status, 403);
        assert_eq!(response.header("Content-Length"), Some("42"), "{}", shown(&response.raw));
        client.exchange("GET /mock HTTP/1.1\r\nHost: rest.test\r\n\r\n").expect_status(200);
    });
}

#[test]
fn every_refusal_has_a_counter_from_the_start() {
    HOUSE.play(|stage| {
        let metrics = stage.gateway.metrics();
        for name in policy::refusal::Refusal::NAMES {
            let sample = format!("tollgate_refusals_total{{reason=\"{name}\"}}");
            assert!(metrics.contains_key(&sample), "{sample}");
        }
    });
}

#[test]
fn a_client_that_leaves_while_it_waits_costs_nothing() {
    HOUSE.play(|stage| {
        stage.backend.script(|_| Reply::Never);
        let mut clients: Vec<Client> = (0..10).map(|_| stage.client()).collect();
        for client in &mut clients {
            client.send("GET /to/x HTTP/1.1\r\nHost: rest.test\r\n\r\n");
        }
        eventually("all are with the backend", || stage.backend.requests() == 10);
        drop(clients);
        stage.backend.hang_up();
        eventually("nothing is left", || stage.gateway.status()["connections"]["open"] == 0);
    });
}
