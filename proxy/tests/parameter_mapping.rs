//! Parameter mapping, answer selection and mocks (MP-01 to MP-05, IN-10, IN-16, IN-17, §4.1) in raw bytes, on both drivers, for both
//! kinds. Tests bear the ids of their rows.

mod support;

use support::stage::No;
use support::{Reply, Stage, Theatre, shown};

static HOUSE: Theatre = Theatre::new(concat!(
    r#"
gateway:
  limits: {body: 1MB}
apis:
  r:
    kind: rest
    routes:
      "ANY /map/{id}/{rest+}": &map
        integration: {type: http_proxy, uri: "http://{{backend}}/v/{pet}/{id}?fixed=1"}
        request_parameters: &mapped
          integration.request.header.X-Id: method.request.path.id
          integration.request.header.X-Q: method.request.querystring.q
          integration.request.header.X-Last: method.request.header.X-Pet
          integration.request.header.X-All: method.request.multivalueheader.X-Pet
          integration.request.header.X-Static: "'text'"
          integration.request.header.X-Stage: stageVariables.env
          integration.request.header.X-Context: context.identity.sourceIp
          integration.request.header.X-None: method.request.header.None
          integration.request.header.X-Kept: method.request.header.None
          integration.request.header.X-Replaced: "'ours'"
          integration.request.header.Accept: "'text/csv'"
          integration.request.header.Max-Forwards: "'3'"
          integration.request.header.WWW-Authenticate: "'Basic'"
          integration.request.header.TE: "'trailers'"
          integration.request.header.Expect: "'100-continue'"
          integration.request.header.Via: "'1.0 other'"
          integration.request.header.X-Forwarded-For: "'192.0.2.1'"
          integration.request.querystring.q: method.request.querystring.q
          integration.request.querystring.all: method.request.multivaluequerystring.q
          integration.request.path.pet: method.request.querystring.pet
      "ANY /own/{id}/{rest+}":
        integration: {type: http, uri: "http://{{backend}}/v/{pet}/{id}?fixed=1"}
        request_parameters: *mapped
      "ANY /host": {integration: &to {type: http_proxy, uri: "http://{{backend}}/b"}, request_parameters: {integration.request.header.Host: method.request.header.Host}}
      "POST /body":
        integration: *to
        request_parameters:
          integration.request.header.X-Name: method.request.body.pet.name
          integration.request.header.X-List: method.request.body.list
          integration.request.querystring.id: method.request.body.id
      "ANY /whole": {integration: *to, request_parameters: {integration.request.header.X-Body: method.request.body}}
      "GET /all": {integration: *to, response_parameters: {method.response.header.X-Status: integration.response.header.X-S, method.response.header.Date: "'never'"}}
      "GET /all-own":
        integration: {type: http, uri: "http://{{backend}}/b"}
        response_parameters: {method.response.header.X-Status: integration.response.header.X-S}
    stages: {s: {variables: {env: prod}}}
  h:
    kind: http
    routes:
      "ANY /map/{id}/{rest+}":
        integration: {type: http_proxy, uri: "http://{{backend}}/v/{id}?fixed=1&gone=0"}
        request_parameters: &changed
          "append:header.X-Pet": $request.path.id
          "overwrite:header.X-Replaced": $request.querystring.q
          "remove:header.X-Gone": "''"
          "append:header.X-Several": "${context.httpMethod} ${request.header.X-Pet}/${stageVariables.env} ${request.header.none}"
          "append:header.X-None": $request.header.none
          "append:querystring.q": $context.stage
          "overwrite:querystring.over": $request.querystring.q
          "overwrite:querystring.kept": $request.querystring.none
          "remove:querystring.gone": "''"
      "ANY /own/{id}/{rest+}":
        integration: {type: http, uri: "http://{{backend}}/v/{id}?fixed=1&gone=0"}
        request_parameters: *changed
      "ANY /path/{id}/{rest+}": {integration: *to, request_parameters: {"overwrite:path": "/new/${request.querystring.q}/$request.path.id"}}
      "ANY /same": {integration: *to, request_parameters: {"overwrite:path": $request.path}}
      "POST /body":
        integration: *to
        request_parameters: {"append:header.X-Name": $request.body.pet.name, "append:querystring.id": $request.body.id}
      "ANY /answer":
        integration: *to
        response_parameters:
          200: {"append:header.X-Pet": tom, "overwrite:header.Server": ours, "remove:header.X-Gone": "''", "append:header.X-From": $response.header.X-Pet}
          404: {"overwrite:statuscode": "403", "append:header.X-Why": "no ${response.body.why}"}
          500: {"overwrite:statuscode": $response.body.code}
          503: {"overwrite:statuscode": "204"}
          204: {"overwrite:statuscode": "200"}
    stages: {$default: {variables: {env: prod}}}
  i:
    kind: rest
    openapi: ""#,
    env!("CARGO_MANIFEST_DIR"),
    r#"/tests/parameter_mapping.yaml"
    stages: {s: {variables: {backend: "{{backend}}"}}}
domains:
  r.test: {mappings: {/: r/s}}
  h.test: {mappings: {/: h/$default}}
  i.test: {mappings: {/: i/s}}
"#
));

const INTERNAL: &str = "InternalServerErrorException";

fn ask(stage: &Stage, host: &str, line: &str, fields: &str) -> support::Response {
    stage.ask(format!("{line} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n"))
}

fn post(host: &str, path: &str, body: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn answer(head: &str, body: &str) -> Reply {
    Reply::Bytes(format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes())
}

/// What the client sends to the mapped routes.
const LINE: &str = "GET /map/a%2Fb/c?q=1&q=x+y%26&pet=rex%2F7&gone=1";
const FIELDS: &str = "X-Pet: a\r\nx-pet: b\r\nX-Pet: c\r\nX-Kept: theirs\r\nX-Replaced: theirs\r\nx-replaced: too\r\nX-Gone: 1\r\n\
                      Accept: */*\r\nX-Forwarded-For: 6.6.6.6\r\n";

#[test]
fn mp_01_a_rest_request_is_mapped() {
    HOUSE.play(|stage| {
        ask(stage, "r.test", LINE, FIELDS).expect_status(200);
        let arrived = stage.backend.only();
        let query = "fixed=1&q=1&q=x+y%26&pet=rex%2F7&gone=1&q=x+y%26&all=1&all=x+y%26";
        assert_eq!(
            arrived.target,
            format!("/v/rex%2F7/a%2Fb?{query}"),
            "in a path one segment, in a query appended (IN-03)"
        );
        for (name, values) in [
            ("X-Id", &["a%2Fb"][..]),
            ("X-Q", &["x y&"]),
            ("X-Last", &["c"]),
            ("X-All", &["a,c"]),
            ("X-Static", &["text"]),
            ("X-Stage", &["prod"]),
            ("X-Context", &["127.0.0.1"]),
            ("X-None", &[]),
            ("X-Kept", &["theirs"]),
            ("X-Replaced", &["ours"]),
            ("Accept", &["text/csv"]),
            ("X-Gone", &["1"]),
            ("X-Forwarded-For", &["192.0.2.1"]),
        ] {
            assert_eq!(arrived.all(name), values, "{name}");
        }
    });
}

#[test]
fn hdr_some_fields_come_back_by_mapping_and_some_do_not() {
    HOUSE.play(|stage| {
        ask(stage, "r.test", LINE, FIELDS).expect_status(200);
        let arrived = stage.backend.only();
        assert_eq!((arrived.header("Max-Forwards"), arrived.header("WWW-Authenticate")), (Some("3"), Some("Basic")));
        assert_eq!((arrived.header("TE"), arrived.header("Expect")), (None, None));
        assert_eq!(arrived.all("Via"), ["1.1 tollgate"]);
        // Without a mapping the backend's own; with one, whom the client named.
        ask(stage, "r.test", "GET /host", "").expect_status(200);
        assert_eq!(stage.backend.only().all("Host"), ["r.test"]);
    });
}

#[test]
fn in_04_an_http_integration_sends_what_is_mapped_alone() {
    HOUSE.play(|stage| {
        ask(stage, "r.test", &LINE.replace("/map/", "/own/"), FIELDS).expect_status(200);
        let arrived = stage.backend.only();
        assert_eq!(arrived.target, "/v/rex%2F7/a%2Fb?fixed=1&q=x+y%26&all=1&all=x+y%26");
        assert_eq!((arrived.header("X-Id"), arrived.header("X-Replaced")), (Some("a%2Fb"), Some("ours")));
        assert_eq!((arrived.header("X-Kept"), arrived.header("X-Gone")), (None, None));
        assert_eq!(arrived.all("Accept"), ["text/csv"], "a mapped field takes the place of a default");
        assert_eq!(arrived.all("User-Agent"), ["AmazonAPIGateway_r"]);
        ask(stage, "h.test", &LINE.replace("/map/", "/own/"), FIELDS).expect_status(200);
        let arrived = stage.backend.only();
        assert_eq!(arrived.target, "/v/a%2Fb?fixed=1&q=$default&over=1,x+y%26".replace('$', "%24"));
        assert_eq!((arrived.all("X-Pet"), arrived.all("X-Replaced")), (vec!["a%2Fb"], vec!["1,x y&"]));
        ask(stage, "i.test", "GET /selected?q=7&r=8", "X-Client: me\r\nX-Other: 1\r\n").expect_status(201);
        let arrived = stage.backend.only();
        assert_eq!((arrived.target.as_str(), arrived.header("X-Client")), ("/selected?q=7", Some("me")));
        assert_eq!((arrived.all("User-Agent"), arrived.header("X-Other")), (vec!["mapped"], None));
    });
}

#[test]
fn mp_03_an_http_request_is_mapped() {
    HOUSE.play(|stage| {
        ask(stage, "h.test", &format!("{LINE}&over=0&kept=k"), FIELDS).expect_status(200);
        let arrived = stage.backend.only();
        let query = "fixed=1&q=1&q=x+y%26&pet=rex%2F7&kept=k&q=%24default&over=1,x+y%26";
        assert_eq!(arrived.target, format!("/v/a%2Fb?{query}"));
        for (name, values) in [
            ("X-Pet", &["a", "b", "c", "a%2Fb"][..]),
            ("X-Replaced", &["1,x y&"]),
            ("X-Gone", &[]),
            ("X-Several", &["GET a,b,c/prod"]),
            ("X-None", &[]),
            ("X-Kept", &["theirs"]),
        ] {
            assert_eq!(arrived.all(name), values, "{name}");
        }
    });
}

#[test]
fn mp_03_a_path_is_replaced() {
    HOUSE.play(|stage| {
        for (sent, arrives) in [
            ("/path/7/x?q=a", "/new/a/7?q=a"),
            ("/path/a%2Fb/x?q=c%2Fd%3Fe%23f+g", "/new/c%2Fd%3Fe%23f%20g/a%2Fb?q=c%2Fd%3Fe%23f+g"),
            ("/path/7/x?q=%0d%0aX:%20y", "/new/%0D%0AX%3A%20y/7?q=%0d%0aX:%20y"),
            ("/path/7/x", "/new//7"),
            ("/same?a=b", "/same?a=b"),
        ] {
            ask(stage, "h.test", &format!("GET {sent}"), "").expect_status(200);
            assert_eq!(stage.backend.only().target, arrives, "{sent}");
        }
    });
}

#[test]
fn p01_a_mapped_path_leads_nowhere_else() {
    HOUSE.play(|stage| {
        let no = No { status: 400, message: "Bad Request", error_type: None };
        for value in ["..", "%2e%2e", ".", "..%2Fadmin", "%2e%2e%5cadmin"] {
            let before = stage.refusals();
            no.check(&ask(stage, "h.test", &format!("GET /path/7/x?q={value}"), ""));
            stage.one_refusal_more(&before, "mapped_path_escapes");
        }
        let no = No { error_type: Some("BadRequestException"), ..no };
        no.check(&ask(stage, "r.test", "GET /map/7/x?pet=..", ""));
        assert_eq!(stage.backend.requests(), 0);
    });
}

#[test]
fn p11_nothing_that_is_mapped_ends_a_line() {
    HOUSE.play(|stage| {
        let query = "q=a%0d%0aX-Evil:%201%0d%0a%0d%0aGET%20/evil%20HTTP/1.1&pet=%00%0a";
        ask(stage, "r.test", &format!("GET /map/7/x?{query}"), "").expect_status(200);
        let arrived = stage.backend.only();
        assert_eq!(arrived.header("X-Q"), Some("aX-Evil: 1GET /evil HTTP/1.1"));
        assert_eq!(arrived.header("X-Evil"), None);
        assert!(arrived.target.starts_with("/v/%00%0A/7?"), "{}", arrived.target);
        let body = r#"{"pet": {"name": "a\r\nX-Evil: 1"}, "list": ["b\n"], "id": "1&x=2\r\n"}"#;
        for host in ["r.test", "h.test"] {
            stage.ask(post(host, "/body", body)).expect_status(200);
            let arrived = stage.backend.only();
            assert_eq!(arrived.header("X-Name"), Some("aX-Evil: 1"));
            assert_eq!(arrived.header("X-Evil"), None);
            assert_eq!(arrived.target, "/b?id=1%26x%3D2%0D%0A");
        }
        stage.backend.script(|_| answer("500 Oops", r#"{"error": {"message": "a\r\nSet-Cookie: b=c"}}"#));
        let response = ask(stage, "i.test", "GET /selected", "");
        assert_eq!((response.header("X-Error"), response.header("Set-Cookie")), (Some("aSet-Cookie: b=c"), None));
    });
}

#[test]
fn mp_01_a_body_is_read_and_goes_on_with_its_length() {
    HOUSE.play(|stage| {
        let body = r#"{"id": 7, "pet": {"name": "rex"}, "list": [1, "a b"], "pad": ""#.to_owned() + &"x".repeat(300_000) + "\"}";
        let mut client = stage.client();
        for framing in ["length", "chunked"] {
            let request = match framing {
                "length" => post("r.test", "/body", &body),
                _ => format!(
                    "POST /body HTTP/1.1\r\nHost: r.test\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
                    body.len()
                ),
            };
            client.exchange(request).expect_status(200);
            let arrived = stage.backend.only();
            assert_eq!((arrived.header("X-Name"), arrived.header("X-List")), (Some("rex"), Some("[1,\"a b\"]")));
            assert_eq!(arrived.target, "/b?id=7");
            assert_eq!(arrived.all("Content-Length"), [body.len().to_string()], "{framing}");
            assert_eq!(arrived.header("Transfer-Encoding"), None);
            assert!(arrived.body == body.as_bytes(), "{framing}");
        }
        // The client is told to go on before its body is awaited.
        let head = "POST /body HTTP/1.1\r\nHost: r.test\r\nExpect: 100-continue\r\nContent-Length: 8\r\n\r\n";
        client.send(head);
        assert_eq!(client.read_until(b"\r\n\r\n"), b"HTTP/1.1 100 Continue\r\n\r\n");
        client.send("{\"id\":9}");
        client.read_response().expect_status(200);
        assert_eq!(stage.backend.only().target, "/b?id=9");
        // A request without a body has none afterwards.
        client.exchange("GET /whole HTTP/1.1\r\nHost: r.test\r\n\r\n").expect_status(200);
        let arrived = stage.backend.only();
        assert_eq!((arrived.header("X-Body"), arrived.header("Content-Length")), (Some("{}"), None));
    });
}

#[test]
fn mp_01_a_body_that_is_no_json_is_refused() {
    HOUSE.play(|stage| {
        let no = No { status: 400, message: "Invalid JSON in request body", error_type: Some("BadRequestException") };
        let mut client = stage.client();
        for (path, body) in [("/body", "{\"id\":"), ("/body", "['x']"), ("/whole", "{x}"), ("/body", "'x'")] {
            let before = stage.refusals();
            no.check(&client.exchange(post("r.test", path, body)));
            stage.one_refusal_more(&before, "invalid_json_body");
        }
        assert_eq!(stage.backend.requests(), 0);
        // What does not look like JSON has no parts.
        client.exchange(post("r.test", "/body", "plain")).expect_status(200);
        assert_eq!(stage.backend.only().target, "/b");
        client.exchange(post("r.test", "/whole", "plain text")).expect_status(200);
        assert_eq!(stage.backend.only().header("X-Body"), Some("plain text"));
        // An HTTP API skips the mapping (assumed).
        client.exchange(post("h.test", "/body", "{\"id\":")).expect_status(200);
        let arrived = stage.backend.only();
        assert_eq!((arrived.target.as_str(), arrived.header("X-Name")), ("/b", None));
        assert_eq!(arrived.body, b"{\"id\":");
    });
}

#[test]
fn mp_01_a_body_beyond_the_limit_is_refused() {
    HOUSE.play(|stage| {
        let no = No { status: 413, message: "Request Too Long", error_type: Some("RequestTooLargeException") };
        let before = stage.refusals();
        let mut client = stage.client();
        let body = "x".repeat(1_100_000);
        let chunked = format!(
            "POST /body HTTP/1.1\r\nHost: r.test\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
            body.len()
        );
        let _ = client.try_send(chunked);
        no.check(&client.read_response());
        stage.one_refusal_more(&before, "request_too_large");
        assert_eq!(stage.backend.requests(), 0);
        // A value that no head could hold is the mapping's failure.
        let before = stage.refusals();
        let no = No { status: 500, message: "Internal server error", error_type: Some(INTERNAL) };
        no.check(&stage.ask(post("r.test", "/whole", &"x".repeat(20_000))));
        stage.one_refusal_more(&before, "mapping_failed");
    });
}

#[test]
fn c12_a_held_body_is_sent_again_where_that_is_safe() {
    HOUSE.play(|stage| {
        let mut client = stage.client();
        client.exchange(post("r.test", "/body", "{}")).expect_status(200);
        // The pooled connection goes stale under a request that may be repeated, with its body.
        stage.backend.forget();
        stage.backend.script(|request| match request.turn {
            0 => Reply::ok("fresh"),
            _ => Reply::Close,
        });
        let put = "PUT /whole HTTP/1.1\r\nHost: r.test\r\nContent-Length: 5\r\n\r\nhello";
        assert_eq!(client.exchange(put).expect_status(200).text(), "fresh");
        let bodies: Vec<Vec<u8>> = stage.backend.take().into_iter().map(|request| request.body).collect();
        assert_eq!(bodies, [b"hello", b"hello"]);
    });
}

#[test]
fn mp_04_answers_of_http_apis_are_mapped_by_status() {
    HOUSE.play(|stage| {
        let mut client = stage.client();
        let request = "GET /answer HTTP/1.1\r\nHost: h.test\r\n\r\n";
        stage
            .backend
            .script(|_| answer("200 OK\r\nX-Pet: rex\r\nServer: theirs\r\nX-Gone: 1\r\nContent-Type: a/b", "body"));
        let response = client.exchange(request);
        assert_eq!((response.status, response.text().as_str()), (200, "body"));
        assert_eq!((response.all("X-Pet"), response.all("Server")), (vec!["rex", "tom"], vec!["ours"]));
        assert_eq!((response.header("X-Gone"), response.header("X-From")), (None, Some("rex")));
        assert_eq!(response.header("Content-Type"), Some("a/b"));

        stage.backend.script(|_| answer("404 No", r#"{"why": "such pet"}"#));
        let response = client.exchange(request);
        assert_eq!((response.status, response.header("X-Why")), (403, Some("no such pet")));
        assert_eq!(response.text(), r#"{"why": "such pet"}"#, "the body is the backend's");

        let chunks =
            "HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"cod\r\n8\r\ne\": 418}\r\n0\r\n\r\n";
        stage.backend.script(move |_| Reply::Bytes(chunks.into()));
        let response = client.exchange(request);
        assert_eq!((response.status, response.text().as_str(), response.framing), (418, r#"{"code": 418}"#, "length"));

        stage.backend.script(|_| answer("500 Oops", "not JSON"));
        assert_eq!(client.exchange(request).status, 500, "what is no status changes nothing (assumed)");
        stage.backend.script(|_| answer("503 Busy", "gone with its status"));
        let response = client.exchange(request);
        assert_eq!((response.status, response.body.len()), (204, 0), "{}", shown(&response.raw));
        stage.backend.script(|_| Reply::Bytes("HTTP/1.1 204 Nothing\r\n\r\n".into()));
        let response = client.exchange(request);
        assert_eq!((response.status, response.header("Content-Length")), (200, Some("0")));
        stage.backend.script(|_| answer("302 Found\r\nLocation: /x", ""));
        let response = client.exchange(request);
        assert_eq!((response.status, response.header("Location")), (302, Some("/x")), "no mapping for it");
    });
}

#[test]
fn in_16_the_first_pattern_that_matches_selects_the_answer() {
    HOUSE.play(|stage| {
        let mut client = stage.client();
        let request = "GET /selected HTTP/1.1\r\nHost: i.test\r\n\r\n";
        let connections = stage.backend.connections();
        stage.backend.script(|_| {
            answer("200 OK\r\nX-From: b\r\nX-Secret: s\r\nContent-Type: text/z\r\nContent-Encoding: x", "body")
        });
        let response = client.exchange(request);
        assert_eq!(
            (response.status, response.text().as_str()),
            (201, "body"),
            "the status is the answer's, the body passes"
        );
        assert_eq!((response.header("X-Kind"), response.header("X-From")), (Some("fine"), Some("b")));
        assert_eq!(response.header("X-Insensitive"), None, "the case of a name counts (MP-02)");
        assert_eq!((response.header("Server"), response.header("x-amzn-Remapped-Server")), (None, Some("b")));
        assert_eq!(response.header("X-Request"), response.header("x-amzn-RequestId"));
        assert_eq!(response.header("X-Secret"), None, "IN-17: only what is mapped");
        assert_eq!(response.header("Content-Type"), Some("application/json"), "§0.2");
        assert_eq!(response.header("Content-Encoding"), Some("x"), "without it nobody could read the body");

        stage.backend.script(|_| answer("404 No\r\nContent-Encoding: x", "theirs"));
        let response = client.exchange(request);
        assert_eq!((response.status, response.text().as_str()), (404, "{\"gone\":true}"), "MP-08: JSON's template");
        assert_eq!((response.header("Content-Type"), response.header("Content-Encoding")), (Some("text/x"), None));
        let html = "GET /selected HTTP/1.1\r\nHost: i.test\r\nAccept: text/html, */*\r\n\r\n";
        assert_eq!(client.exchange(html).text(), "<p>gone</p>", "MP-08: by the first of Accept");

        stage.backend.script(|_| answer("503 Busy", r#"{"error": {"message": "too much"}}"#));
        let response = client.exchange(request);
        assert_eq!((response.status, response.header("X-Error")), (502, Some("too much")));
        assert_eq!(response.text(), r#"{"error": {"message": "too much"}}"#);

        stage.backend.script(|_| Reply::Bytes("HTTP/1.1 204 Nothing\r\n\r\n".into()));
        let response = client.exchange(request);
        assert_eq!(
            (response.status, response.header("Content-Length")),
            (201, Some("0")),
            "the first pattern that matches"
        );
        stage.backend.script(|_| answer("204 x", ""));
        let get = "GET /default HTTP/1.1\r\nHost: i.test\r\n\r\n";
        assert_eq!(client.exchange(get).header("X-Kind"), Some("default"));
        stage.backend.script(|_| answer("418 Tea", "t"));
        assert_eq!(client.exchange(get).status, 418, "a default that stands first is the last");
        assert_eq!(stage.backend.connections(), connections + 1, "a connection whose answer was replaced serves again");
    });
}

#[test]
fn in_16_no_match_and_no_default_is_500() {
    HOUSE.play(|stage| {
        stage.backend.script(|_| answer("302 Found\r\nLocation: /secret", "secret"));
        let before = stage.refusals();
        let no = No { status: 500, message: "Internal server error", error_type: Some(INTERNAL) };
        no.check(&ask(stage, "i.test", "GET /selected", ""));
        stage.one_refusal_more(&before, "no_integration_response");
    });
}

#[test]
fn mp_02_an_answer_that_is_no_json_is_500_and_one_without_end_502() {
    HOUSE.play(|stage| {
        let no = No { status: 500, message: "Internal server error", error_type: Some(INTERNAL) };
        stage.backend.script(|_| answer("500 Oops", "{broken"));
        let before = stage.refusals();
        no.check(&ask(stage, "i.test", "GET /selected", ""));
        stage.one_refusal_more(&before, "mapping_failed");

        stage.backend.script(|_| answer("500 Oops", &"x".repeat(10 * 1024 * 1024 + 1)));
        let before = stage.refusals();
        let no = No { status: 502, ..no };
        no.check(&ask(stage, "i.test", "GET /selected", ""));
        stage.one_refusal_more(&before, "answer_too_large");

        let cut = stage.faults("answer_cut_short");
        stage.backend.script(|_| Reply::Last("HTTP/1.1 500 Oops\r\nContent-Length: 9\r\n\r\n{\"a\"".into()));
        no.check(&ask(stage, "i.test", "GET /selected", ""));
        stage.fault_reaches("answer_cut_short", cut + 1.0);
    });
}

#[test]
fn in_16_heads_have_no_body() {
    HOUSE.play(|stage| {
        stage.backend.script(|_| Reply::Bytes("HTTP/1.1 500 Oops\r\nContent-Length: 30\r\n\r\n".into()));
        let mut client = stage.client();
        for host in ["i.test", "i.test"] {
            client.send(format!("HEAD /selected HTTP/1.1\r\nHost: {host}\r\n\r\n"));
            let response = client.read_response_to_head();
            assert_eq!((response.status, response.header("Content-Length")), (502, Some("30")));
            assert_eq!(response.header("X-Body"), Some("{}"));
        }
    });
}

#[test]
fn mp_02_a_route_of_our_own_maps_every_answer() {
    HOUSE.play(|stage| {
        for status in ["200 OK", "404 No"] {
            stage.backend.script(move |_| answer(&format!("{status}\r\nX-S: s\r\nX-Other: o\r\nDate: d"), "body"));
            let response = ask(stage, "r.test", "GET /all", "");
            assert_eq!(response.status.to_string(), status[..3]);
            assert_eq!((response.header("X-Status"), response.header("X-Other")), (Some("s"), Some("o")));
            assert_eq!(response.all("x-amzn-Remapped-Date"), ["never"], "§4.1; in the place of the backend's");
            assert_eq!(response.text(), "body");
            let response = ask(stage, "r.test", "GET /all-own", "");
            assert_eq!(response.status.to_string(), status[..3]);
            assert_eq!((response.header("X-Status"), response.header("X-Other")), (Some("s"), None), "IN-17");
        }
    });
}

#[test]
fn in_03_answers_of_a_proxy_integration_are_not_selected() {
    HOUSE.play(|stage| {
        let response = ask(stage, "i.test", "GET /proxied", "");
        assert_eq!((response.status, response.header("X-Kind")), (200, None));
    });
}

#[test]
fn hdr_an_illegal_mapping_answers_500() {
    HOUSE.play(|stage| {
        let no = No { status: 500, message: "Internal server error", error_type: Some(INTERNAL) };
        no.check(&ask(stage, "i.test", "GET /illegal", ""));
        no.check(&ask(stage, "i.test", "GET /invalid", ""));
        assert_eq!(stage.backend.requests(), 0);
    });
}

#[test]
fn in_10_mocks_answer_by_their_templates() {
    HOUSE.play(|stage| {
        let response = ask(stage, "i.test", "OPTIONS /cors", "Origin: https://a.example\r\n");
        assert_eq!((response.status, response.body.len()), (200, 0));
        assert_eq!(response.header("Access-Control-Allow-Origin"), Some("*"));
        assert_eq!(response.header("Access-Control-Allow-Headers"), Some("Content-Type,Authorization"));
        assert_eq!(response.header("Content-Type"), Some("application/json"), "§0.2");

        let response = ask(stage, "i.test", "GET /mock", "");
        assert_eq!((response.status, response.text().as_str()), (200, "{\"price\":\"$5\"}"));
        assert_eq!(response.all("Content-Type"), ["text/y"]);
        let response = ask(stage, "i.test", "GET /mock", "Accept: text/html\r\n");
        assert_eq!(response.text(), "<p>five</p>", "MP-08");
        let response =
            ask(stage, "i.test", "POST /mock", "Content-Type: text/xml;charset=utf-8\r\nContent-Length: 0\r\n");
        assert_eq!((response.status, response.body.len()), (410, 0), "MP-06");

        let no = No { status: 500, message: "Internal server error", error_type: Some(INTERNAL) };
        no.check(&ask(stage, "i.test", "GET /mock", "Content-Type: text/html\r\n"));
        let before = stage.refusals();
        let no = No { status: 415, message: "Unsupported Media Type", error_type: Some("BadRequestException") };
        no.check(&ask(stage, "i.test", "GET /mock", "Content-Type: text/plain\r\n"));
        stage.one_refusal_more(&before, "unsupported_media_type");

        // MP-07: without a template the body is the template's output.
        stage.ask(post("i.test", "/passed", "{\"statusCode\": 204}")).expect_status(200);
        for body in ["", "{}", "{\"statusCode\": \"204\"}"] {
            stage.ask(post("i.test", "/passed", body)).expect_status(500);
        }
        assert_eq!(stage.backend.requests(), 0);
    });
}
