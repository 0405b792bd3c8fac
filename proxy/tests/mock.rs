//! Answers that are made here (IN-10): references, JSON escaping, and values that would break a head (F30, P11), in raw
//! bytes, on both drivers.

mod support;

use support::{Response, Stage, Theatre, shown};

static HOUSE: Theatre = Theatre::new(
    r#"
apis:
  m:
    kind: rest
    routes: &routes
      "ANY /json/{name}":
        integration:
          type: mock
          status: 201
          headers: {X-Name: "$request.path.name", X-Query: "<$request.querystring.q>", X-In: "$request.header.x-in"}
          body: '{"name":"$request.path.name","q":"$request.querystring.q","n":$request.querystring.n,"in":"${request.header.X-In}","stage":"$context.stage","v":"$stageVariables.v","cost":"$5"}'
      "ANY /text/{proxy+}":
        integration:
          type: mock
          headers: {content-type: text/plain, X-Many: a}
          body: "$context.httpMethod $context.resourcePath $context.path $context.identity.sourceIp $context.apiId $context.protocol $request.path.proxy"
      "GET /id": {integration: {type: mock, headers: {X-Id: $context.requestId}, body: '{"id":"$context.requestId"}'}}
      "GET /redirect": {integration: {type: mock, status: 302, headers: {Location: "https://x.test/$request.querystring.to"}}}
      "ANY /empty": {integration: {type: mock}}
      "ANY /none": {integration: {type: mock, status: 204}}
      "ANY /unmodified": {integration: {type: mock, status: 304, headers: {ETag: '"x"'}}}
      "ANY /teapot": {integration: {type: mock, status: 418, body: "{}"}}
    stages: {s: {variables: {v: "one-1"}}}
  h:
    kind: http
    routes: *routes
    stages: {$default: {variables: {v: two}}}
domains:
  m.test: {mappings: {/: m/s}}
  h.test: {mappings: {/: h/$default}}
"#,
);

#[track_caller]
fn get(stage: &Stage, host: &str, target: &str, lines: &str) -> Response {
    stage.ask(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n"))
}

#[track_caller]
fn json(response: &Response) -> serde_json::Value {
    serde_json::from_slice(&response.body).unwrap_or_else(|why| panic!("{why}: {}", shown(&response.raw)))
}

#[test]
fn references_are_filled_in_head_and_body() {
    HOUSE.play(|stage| {
        for (host, variable, stage_name) in [("m.test", "one-1", "s"), ("h.test", "two", "$default")] {
            let response = get(stage, host, "/json/a%2Fb?q=x+y%21&n=7&q=last", "x-IN: hi\r\n");
            assert_eq!(response.status, 201);
            assert_eq!(response.header("X-Name"), Some("a%2Fb"));
            assert_eq!(response.header("X-Query"), Some("<last>"));
            assert_eq!(response.header("X-In"), Some("hi"));
            assert_eq!(response.header("Content-Type"), Some("application/json"));
            let expected = serde_json::json!({
                "name": "a%2Fb", "q": "last", "n": 7, "in": "hi", "stage": stage_name, "v": variable, "cost": "$5",
            });
            assert_eq!(json(&response), expected);
        }
        let expected = "PUT /text/{proxy+} /text/a/b/ 127.0.0.1 m HTTP/1.1 a/b";
        let response = stage.ask("PUT /text/a/b/ HTTP/1.1\r\nHost: m.test\r\n\r\n");
        assert_eq!((response.text(), response.header("content-type")), (expected.to_owned(), Some("text/plain")));
        let response = get(stage, "m.test", "/id", "");
        assert_eq!(response.header("X-Id"), response.header("x-amzn-RequestId"));
        assert_eq!(json(&response)["id"], response.header("X-Id").unwrap_or_default());
        let response = get(stage, "h.test", "/id", "");
        assert_eq!(response.header("X-Id"), response.header("Apigw-Requestid"));
    });
}

#[test]
fn what_a_client_sends_stays_within_its_json_string() {
    HOUSE.play(|stage| {
        for (query, value) in [
            ("%22%2C%22admin%22%3Atrue%2C%22x%22%3A%22", "\",\"admin\":true,\"x\":\""),
            ("%5C", "\\"),
            ("%5C%22", "\\\""),
            ("%0D%0A%00%01%1f", "\r\n\0\u{1}\u{1f}"),
            ("%C3%A4%F0%9F%98%80", "ä😀"),
            ("%3C%2Fscript%3E", "</script>"),
        ] {
            let response = get(stage, "m.test", &format!("/json/x?q={query}&n=1"), "");
            let body = json(&response);
            assert_eq!(body["q"], value, "{}", shown(&response.raw));
            assert!(body.get("admin").is_none());
        }
        // Outside of a string too: whatever is no number becomes a string.
        for (number, value) in [
            ("1%2C%22admin%22%3Atrue", serde_json::json!("1,\"admin\":true")),
            ("-1.5e3", serde_json::json!(-1500.0)),
            ("true", serde_json::json!(true)),
            ("%7B%7D", serde_json::json!("{}")),
        ] {
            let response = get(stage, "m.test", &format!("/json/x?n={number}"), "");
            let body = json(&response);
            assert_eq!(body["n"], value, "{}", shown(&response.raw));
            assert!(body.get("admin").is_none());
        }
        // Bytes that are no UTF-8 do not make the body invalid.
        json(&get(stage, "m.test", "/json/x?q=%ff%fe&n=1", ""));
        json(&stage.ask(b"GET /json/x?n=1 HTTP/1.1\r\nHost: m.test\r\nX-In: \xff\"\r\n\r\n"));
        let quoted = get(stage, "m.test", "/json/x?n=1", "X-In: a\"b\\c\r\n");
        assert_eq!(json(&quoted)["in"], "a\"b\\c");
    });
}

#[test]
fn p11_line_breaks_never_reach_a_head() {
    HOUSE.play(|stage| {
        for query in [
            "%0D%0ASet-Cookie:%20evil=1",
            "%0ASet-Cookie:%20evil=1",
            "%0DSet-Cookie:%20evil=1",
            "%00",
            "a%0D%0A%0D%0AHTTP/1.1%20200%20OK%0D%0A%0D%0A",
            "%01%7f",
        ] {
            let response = get(stage, "m.test", &format!("/json/x?q={query}&n=1"), "");
            assert!(response.all("Set-Cookie").is_empty(), "{}", shown(&response.raw));
            let value = response.header("X-Query").expect("the field");
            assert!(!value.bytes().any(|byte| byte < b' ' || byte == 0x7f), "{}", shown(&response.raw));
            let response = get(stage, "h.test", &format!("/redirect?to={query}"), "");
            assert_eq!(response.status, 302);
            assert!(response.all("Set-Cookie").is_empty(), "{}", shown(&response.raw));
            let location = response.header("Location").expect("the field");
            assert!(location.starts_with("https://x.test/"), "{location}");
        }
    });
}

#[test]
fn answers_without_a_body() {
    HOUSE.play(|stage| {
        for host in ["m.test", "h.test"] {
            let mut client = stage.client();
            let response = client.exchange(format!("GET /none HTTP/1.1\r\nHost: {host}\r\n\r\n"));
            assert_eq!((response.status, response.header("Content-Length")), (204, None));
            let response = client.exchange(format!("GET /unmodified HTTP/1.1\r\nHost: {host}\r\n\r\n"));
            assert_eq!((response.status, response.header("ETag")), (304, Some("\"x\"")));
            assert_eq!(response.header("Transfer-Encoding"), None);
            let response = client.exchange(format!("GET /empty HTTP/1.1\r\nHost: {host}\r\n\r\n"));
            assert_eq!((response.status, response.header("Content-Length")), (200, Some("0")));
            client.send(format!("HEAD /teapot HTTP/1.1\r\nHost: {host}\r\n\r\n"));
            let response = client.read_response_to_head();
            assert_eq!((response.status, response.header("Content-Length")), (418, Some("2")));
            assert_eq!(client.exchange(format!("GET /teapot HTTP/1.1\r\nHost: {host}\r\n\r\n")).text(), "{}");
        }
    });
}
