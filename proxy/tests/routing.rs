//! Which API, stage and method answers: RT-03 to RT-14, DM-01, DM-03 and row P04, in raw bytes, on both drivers.

mod support;

use support::stage::No;
use support::{Response, Stage, Theatre, shown};

static HOUSE: Theatre = Theatre::new(
    r#"
apis:
  r:
    kind: rest
    routes:
      "POST /test": &told {integration: {type: mock, headers: {Content-Type: text/plain}, body: "$context.apiId $context.stage $context.resourcePath $context.httpMethod"}}
      "ANY /test/any": *told
      "OPTIONS /{proxy+}": *told
      "GET /part1": *told
      "GET /part1/hardcoded-value": *told
      "GET /{proxy+}": *told
      "GET /pets/{id}": *told
      "GET /pets/{id}/toys/{toy}": *told
      "DELETE /only": *told
      "GET /": *told
    stages: {s: {}, dev: {}}
  h:
    kind: http
    routes:
      "GET /pets/dog/1": *told
      "GET /pets/dog/{id}": *told
      "GET /pets/{proxy+}": *told
      "ANY /{proxy+}": *told
      "GET /specific": *told
      "ANY /specific": *told
      "$default": *told
    stages: {$default: {}, beta: {}}
  n:
    kind: http
    routes: {"GET /one": *told}
    stages: {$default: {}}
domains:
  api.test: {mappings: {/: r/s, /v1: r/dev, /v1/deep: h/$default, /v2: n/$default}}
  "*.wild.test": {mappings: {/: n/$default}}
  exact.wild.test: {mappings: {/: r/s}}
  h.test: {mappings: {/: h/$default}}
  "*": {mappings: {/fallback: n/$default}}
"#,
);

#[track_caller]
fn ask(stage: &Stage, method: &str, host: &str, path: &str) -> Response {
    stage.ask(format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"))
}

/// Asks, and expects the API, stage, route and method that answered.
#[track_caller]
fn leads(stage: &Stage, (method, host, path): (&str, &str, &str), to: &str) {
    let response = ask(stage, method, host, path);
    assert_eq!(response.text(), to, "{method} {host} {path}: {}", shown(&response.raw));
    response.expect_status(200);
}

#[track_caller]
fn leads_nowhere(stage: &Stage, (method, host, path): (&str, &str, &str), no: &No) {
    println!("{method} {host} {path}");
    no.check(&ask(stage, method, host, path));
}

fn missing() -> No {
    No { status: 403, message: "Missing Authentication Token", error_type: Some("MissingAuthenticationTokenException") }
}

fn not_found() -> No {
    No { status: 404, message: "Not Found", error_type: None }
}

#[test]
fn rt_06_rest_finds_by_path_and_method_with_backtracking() {
    HOUSE.play(|stage| {
        for (method, path, route) in [
            ("OPTIONS", "/test", "/{proxy+}"),
            ("POST", "/test", "/test"),
            ("GET", "/test", "/{proxy+}"),
            ("GET", "/test/any", "/test/any"),
            ("OPTIONS", "/test/any", "/test/any"),
            ("PATCH", "/test/any", "/test/any"),
            ("GET", "/part1", "/part1"),
            ("GET", "/part1/hardcoded-value", "/part1/hardcoded-value"),
            ("GET", "/part1/random-value", "/{proxy+}"),
            ("GET", "/pets/7", "/pets/{id}"),
            ("GET", "/pets/7/", "/pets/{id}"),
            ("GET", "/pets/7/toys/ball", "/pets/{id}/toys/{toy}"),
            ("GET", "/pets/7/toys", "/{proxy+}"),
            ("OPTIONS", "/pets/7", "/{proxy+}"),
            ("GET", "/", "/"),
        ] {
            leads(stage, (method, "api.test", path), &format!("r s {route} {method}"));
        }
        for (method, path) in [
            ("PUT", "/test"),
            ("GET", "/only/x/../../test/none"),
            ("HEAD", "/part1"),
            ("POST", "/"),
            ("DELETE", "/part1"),
        ] {
            if method == "GET" {
                leads(stage, (method, "api.test", path), "r s /{proxy+} GET");
                continue;
            }
            let mut client = stage.client();
            client.send(format!("{method} {path} HTTP/1.1\r\nHost: api.test\r\n\r\n"));
            let response = client.try_response(method == "HEAD").expect("an answer");
            assert_eq!(response.status, 403, "{method} {path}");
        }
        leads_nowhere(stage, ("PUT", "api.test", "/nothing"), &missing());
        // The case of a path counts (P04).
        leads(stage, ("GET", "api.test", "/Part1"), "r s /{proxy+} GET");
        leads_nowhere(stage, ("POST", "api.test", "/TEST"), &missing());
    });
}

#[test]
fn rt_12_http_prefers_full_matches_then_greedy_then_default() {
    HOUSE.play(|stage| {
        for (method, path, route) in [
            ("GET", "/pets/dog/1", "/pets/dog/1"),
            ("GET", "/pets/dog/2", "/pets/dog/{id}"),
            ("GET", "/pets/cat/1", "/pets/{proxy+}"),
            ("POST", "/pets/dog/1", "/{proxy+}"),
            ("GET", "/else", "/{proxy+}"),
            ("GET", "/specific", "/specific"),
            ("POST", "/specific", "/specific"),
            ("GET", "/", "$default"),
        ] {
            leads(stage, (method, "h.test", path), &format!("h $default {route} {method}"));
        }
        leads_nowhere(stage, ("GET", "x.wild.test", "/two"), &not_found());
        leads_nowhere(stage, ("POST", "x.wild.test", "/one"), &not_found());
    });
}

#[test]
fn hosts_are_exact_then_wildcard_then_execute_api_then_any() {
    HOUSE.play(|stage| {
        let one = "n $default /one GET";
        leads(stage, ("GET", "exact.wild.test", "/part1"), "r s /part1 GET");
        leads(stage, ("GET", "other.wild.test", "/one"), one);
        leads(stage, ("GET", "n.execute-api.eu-west-1.test", "/one"), one);
        leads(stage, ("GET", "N.Execute-Api.x", "/one"), one);
        leads(stage, ("GET", "anything.else", "/fallback/one"), one);
        leads(stage, ("GET", "127.0.0.1", "/fallback/one"), one);
        // P04: case and a trailing dot of a host do not count, nor does its port.
        for host in ["API.Test", "api.test.", "API.TEST.:80", "api.test:65535"] {
            leads(stage, ("GET", host, "/part1"), "r s /part1 GET");
        }
        for host in ["OTHER.WILD.TEST", "other.wild.test.:8080"] {
            leads(stage, ("GET", host, "/one"), one);
        }
        // A wildcard stands for one label at least, and for no part of one.
        for host in ["wild.test", "xwild.test", "api.test.evil"] {
            leads_nowhere(stage, ("GET", host, "/one"), &No { status: 404, ..not_found() });
        }
    });
}

#[test]
fn base_paths_are_the_longest_by_segment() {
    HOUSE.play(|stage| {
        for (path, to) in [
            ("/v1/part1", "r dev /part1 GET"),
            ("/v1", "r dev / GET"),
            ("/v1/", "r dev / GET"),
            ("/v1/deep/pets/dog/1", "h $default /pets/dog/1 GET"),
            ("/v1/deeper", "r dev /{proxy+} GET"),
            ("/v2/one", "n $default /one GET"),
            ("/v10/one", "r s /{proxy+} GET"),
            ("/v1/%64eep", "r dev /{proxy+} GET"),
            ("/x/../v2/one", "n $default /one GET"),
            ("/v2/../part1", "r s /part1 GET"),
        ] {
            leads(stage, ("GET", "api.test", path), to);
        }
    });
}

#[test]
fn stages_are_the_first_segment_of_an_execute_api_path() {
    HOUSE.play(|stage| {
        let rest = "r.execute-api.local.test";
        leads(stage, ("GET", rest, "/s/part1"), "r s /part1 GET");
        leads(stage, ("GET", rest, "/dev/part1"), "r dev /part1 GET");
        leads(stage, ("GET", rest, "/s"), "r s / GET");
        leads(stage, ("GET", rest, "//s//part1"), "r s /part1 GET");
        let http = "h.execute-api.local.test";
        leads(stage, ("GET", http, "/pets/dog/1"), "h $default /pets/dog/1 GET");
        leads(stage, ("GET", http, "/beta/pets/dog/1"), "h beta /pets/dog/1 GET");
        leads(stage, ("GET", http, "/betas"), "h $default /{proxy+} GET");
        leads_nowhere(
            stage,
            ("GET", rest, "/prod/part1"),
            &No { status: 403, message: "Forbidden", error_type: Some("ForbiddenException") },
        );
    });
}

#[test]
fn a_thousand_hosts_on_one_connection_are_each_looked_up() {
    HOUSE.play(|stage| {
        let mut client = stage.client();
        for number in 0..1_000 {
            let (host, to) = match number % 3 {
                0 => (format!("h{number}.wild.test"), "n $default /one GET"),
                1 => ("exact.wild.test".to_owned(), "r s /{proxy+} GET"),
                _ => (format!("h{number}.WILD.test."), "n $default /one GET"),
            };
            let response = client.exchange(format!("GET /one HTTP/1.1\r\nHost: {host}\r\n\r\n"));
            assert_eq!(response.text(), to, "{host}");
        }
    });
}
