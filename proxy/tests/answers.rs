//! What an API says beside the answers of its integrations: gateway responses (GR-01 to GR-05), problem documents (`strict_errors`) and
//! CORS (CO-01 to CO-06), in raw bytes, on both drivers. Tests bear the ids of their rows.

#[path = "support/http2.rs"]
mod http2;
mod support;

use support::stage::No;
use support::{Gateway, Reply, Response, Stage, Theatre, on_both_drivers, shown};

static HOUSE: Theatre = Theatre::new(concat!(
    r#"
gateway:
  limits: {body: 1000}
upstreams:
  nobody: {servers: ["127.0.0.1:1"]}
apis:
  r:
    kind: rest
    openapi: ""#,
    env!("CARGO_MANIFEST_DIR"),
    r#"/tests/answers_rest.yaml"
    stages: {s: {variables: {env: "prod"}}}
  w:
    kind: http
    openapi: ""#,
    env!("CARGO_MANIFEST_DIR"),
    r#"/tests/answers_http.yaml"
    stages: {$default: {variables: {backend: "{{backend}}"}}}
  n:
    kind: http
    gateway_responses:
      DEFAULT_5XX: {status: 502, templates: {application/json: '{"said":$context.error.messageString}'}}
      INTEGRATION_TIMEOUT: {}
    routes:
      "GET /nobody": {integration: {type: http_proxy, uri: "http://nobody/"}}
      "GET /slow": {timeout: 50ms, integration: {type: http_proxy, uri: "http://{{backend}}/"}}
    stages: {$default: {}}
  c:
    kind: http
    cors: &cors
      allow_origins: [https://app.example, "https://*.app.example", "http://localhost:*", "null"]
      allow_methods: [GET, PUT]
      allow_headers: [authorization, x-a]
      expose_headers: [x-pet, x-toy]
      max_age: 10m
      allow_credentials: true
    authorizers: &authorizers
      login: {type: jwt, issuer: "https://id.example", jwks: "https://id.example/keys"}
    routes: &routes
      "ANY /private": {authorizer: login, integration: {type: http_proxy, uri: "http://{{backend}}/b"}}
      "ANY /never": {throttle: {rate: 0, burst: 0}, integration: {type: mock}}
      "ANY /back": {integration: {type: http_proxy, uri: "http://{{backend}}/b"}}
      "OPTIONS /own": {integration: {type: http_proxy, uri: "http://{{backend}}/own"}}
      "GET /own": {integration: {type: http_proxy, uri: "http://{{backend}}/own"}}
      "GET /mock": {integration: {type: mock, headers: {access-control-allow-origin: "*", access-control-max-age: "1", x-pet: rex}, body: "{}"}}
      "GET /nobody": {integration: {type: http_proxy, uri: "http://nobody/"}}
      "ANY /all/{proxy+}": {integration: {type: http_proxy, uri: "http://{{backend}}/{proxy}"}}
    stages: {$default: {}}
  d:
    kind: rest
    cors: *cors
    gateway_responses:
      DEFAULT_5XX: {parameters: {gatewayresponse.header.Access-Control-Allow-Origin: "'*'", gatewayresponse.header.x-more: "'yes'"}}
      THROTTLED: {status: 420, templates: {application/json: '{"why":$context.error.messageString}'}}
      UNAUTHORIZED: {parameters: {gatewayresponse.header.WWW-Authenticate: "'Ours'"}}
    authorizers: *authorizers
    routes: *routes
    stages: {s: {}}
  e:
    kind: http
    cors: {allow_origins: ["https://*"], allow_methods: "*", allow_headers: "*", allow_credentials: true, max_age: off}
    routes: {"GET /mock": {integration: {type: mock}}}
    stages: {$default: {}}
  s:
    kind: rest
    strict_errors: true
    gateway_responses:
      RESOURCE_NOT_FOUND: {parameters: {gatewayresponse.header.x-lost: "'yes'"}}
      INTEGRATION_FAILURE: {templates: {text/plain: "sorry, $context.error.message"}}
    routes: &strict
      "GET /pets/{id}": {integration: {type: mock}}
      "PUT /pets/{id}": {integration: {type: mock}}
      "GET /nobody": {integration: {type: http_proxy, uri: "http://nobody/"}}
      "POST /back": {integration: {type: http_proxy, uri: "http://{{backend}}/"}}
    stages: {s: {}}
  t:
    kind: http
    strict_errors: true
    cors: {allow_origins: ["*"]}
    routes: *strict
    stages: {$default: {}}
domains:
  r.test: {mappings: {/: r/s}}
  w.test: {mappings: {/: w/$default}}
  n.test: {mappings: {/: n/$default}}
  c.test: {mappings: {/: c/$default}}
  d.test: {mappings: {/: d/s}}
  e.test: {mappings: {/: e/$default}}
  s.test: {mappings: {/: s/s}}
  t.test: {mappings: {/: t/$default}}
"#
));

const INTERNAL: &str = "InternalServerErrorException";

fn ask(stage: &Stage, host: &str, line: &str, fields: &str) -> Response {
    println!("{}: {host} {line}", stage.gateway.driver.name());
    stage.ask(format!("{line} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n"))
}

/// What is told of origins: each field of CORS, by its name without what all have in common.
fn told(response: &Response) -> String {
    let names = ["Allow-Origin", "Allow-Credentials", "Allow-Methods", "Allow-Headers", "Expose-Headers", "Max-Age"];
    let one = |name: &&str| {
        let values = response.all(&format!("Access-Control-{name}"));
        assert!(values.len() < 2, "{}", shown(&response.raw));
        values.first().map(|value| format!("{name}: {value}"))
    };
    names.iter().filter_map(one).collect::<Vec<_>>().join("|")
}

const PREFLIGHT: &str = "Origin: https://app.example\r\nAccess-Control-Request-Method: PUT\r\n";

/// What all configured lists tell a preflight from that origin.
const WHOLE: &str = "Allow-Origin: https://app.example|Allow-Credentials: true|Allow-Methods: GET,PUT|\
                     Allow-Headers: authorization,x-a|Max-Age: 600";

/// And an actual request.
const ACTUAL: &str = "Allow-Origin: https://app.example|Allow-Credentials: true|Expose-Headers: x-pet,x-toy";

#[test]
fn gr_01_gr_02_a_template_takes_the_place_of_the_words() {
    HOUSE.play(|stage| {
        let before = stage.refusals();
        let response = ask(stage, "r.test", "GET /nothing", "");
        let id = response.header("x-amzn-RequestId").unwrap().to_owned();
        let expected = format!(
            "{{\"message\":\"Missing Authentication Token\",\"type\":\"MISSING_AUTHENTICATION_TOKEN\",\"id\":\"{id}\"}}"
        );
        assert_eq!((response.status, response.text()), (403, expected), "{}", shown(&response.raw));
        assert_eq!(response.all("Content-Type"), ["application/json"]);
        assert_eq!(response.header("x-amzn-ErrorType"), Some("MissingAuthenticationTokenException"));
        assert_eq!(response.header("Access-Control-Allow-Origin"), Some("*"), "CO-06");
        assert_eq!(response.header("x-path"), None, "no method, no path variable");
        stage.one_refusal_more(&before, "no_such_method");
        // What a client sends stays text, whatever the template is.
        let response = ask(stage, "r.test", "GET /nothing", "Accept: text/html\r\nX-Pet: <b>\"rex\"</b>\r\n");
        assert_eq!(response.all("Content-Type"), ["text/html"]);
        assert_eq!(response.text(), "<p>Missing Authentication Token of &lt;b&gt;&quot;rex&quot;&lt;/b&gt;</p>");
        let refused = "Content-Type: text/x\r\nX-Pet: rex \"x\" \\\r\n";
        let response = ask(stage, "r.test", "GET /mock?q=%22%2C%0D%0A%00x", refused);
        let expected = "{\"pet\":\"rex \\\"x\\\" \\\\\",\"q\":\"\\\",\\r\\n\\u0000x\",\"v\":null}";
        assert_eq!((response.status, response.text().as_str()), (418, expected), "{}", shown(&response.raw));
        assert_eq!(response.header("x-amzn-ErrorType"), Some("BadRequestException"));
        // A HEAD has the head of it.
        let mut client = stage.client();
        client.send("HEAD /nothing HTTP/1.1\r\nHost: r.test\r\n\r\n");
        let response = client.read_response_to_head();
        assert_eq!(response.status, 403);
        client.exchange("GET /mock HTTP/1.1\r\nHost: r.test\r\n\r\n").expect_status(200);
    });
}

#[test]
fn gr_02_the_body_is_chosen_by_accept() {
    HOUSE.play(|stage| {
        for (accept, media) in [
            ("text/html;q=0.5, application/json;q=0.9", "application/json"),
            ("text/html, application/json", "text/html"),
            ("image/png", "application/json"),
            ("image/png, text/*;q=0.1", "text/html"),
            ("*/*", "application/json"),
        ] {
            let response = ask(stage, "r.test", "GET /nothing", &format!("Accept: {accept}\r\n"));
            assert_eq!(response.all("Content-Type"), [media], "{accept}; the order is assumed");
        }
        let response = ask(stage, "r.test", "GET /nothing", "Accept: image/png\r\nAccept: text/html\r\n");
        assert_eq!(response.all("Content-Type"), ["text/html"]);
    });
}

#[test]
fn gr_03_parameters_are_header_fields() {
    HOUSE.play(|stage| {
        let before = stage.refusals();
        let response = ask(stage, "r.test", "GET /nobody/7?q=a%0D%0AX-Evil:%201%00b", "");
        assert_eq!(response.status, 599);
        assert_eq!(response.header("x-env"), Some("prod"));
        assert_eq!(response.header("x-query"), Some("aX-Evil: 1b"), "{}", shown(&response.raw));
        assert_eq!(response.header("X-Evil"), None);
        assert_eq!(response.all("Content-Type"), ["text/x-own"]);
        assert_eq!(response.header("x-amzn-ErrorType"), Some(INTERNAL));
        // Without a template the words are API Gateway's.
        assert_eq!(response.text(), "{\"message\":\"Network error communicating with endpoint\"}");
        stage.one_refusal_more(&before, "integration_failure");
    });
}

#[test]
fn gr_04_what_is_not_named_has_the_default_of_its_class() {
    HOUSE.play(|stage| {
        // Of the client's class; and nobody has named a default of the server's.
        let response = ask(stage, "r.test", "GET /nothing", "");
        assert!(response.text().contains("MISSING_AUTHENTICATION_TOKEN"));
        // HTTP APIs are offered the same.
        let response = ask(stage, "n.test", "GET /nobody", "");
        assert_eq!((response.status, response.text().as_str()), (502, "{\"said\":\"Service Unavailable\"}"));
        assert_eq!(response.header("x-amzn-ErrorType"), None);
        assert!(response.header("Apigw-Requestid").is_some());
        // One that is named takes nothing from the default.
        stage.backend.script(|_| Reply::Never);
        No { status: 503, message: "Service Unavailable", error_type: None }.check(&ask(
            stage,
            "n.test",
            "GET /slow",
            "",
        ));
        No { status: 404, message: "Not Found", error_type: None }.check(&ask(stage, "n.test", "GET /x", ""));
    });
}

#[test]
fn gr_05_a_request_too_large_is_said_in_the_same_words_everywhere() {
    HOUSE.play(|stage| {
        let response = ask(stage, "r.test", "POST /mock", "Content-Length: 2000\r\n");
        No { status: 413, message: "Request Too Long", error_type: Some("RequestTooLargeException") }.check(&response);
        assert_eq!(response.header("Access-Control-Allow-Origin"), None);
    });
}

/// A head that cannot be read is nobody's: no API is known.
#[test]
fn what_is_said_before_an_api_is_known_stays_as_it_is() {
    HOUSE.play(|stage| {
        stage.refuses(
            "GET / HTTP/1.1\r\nHost: s.test\r\nOrigin: https://app.example\r\nA B: c\r\n\r\n",
            400,
            "space_before_colon",
        );
        let response = ask(stage, "nobody.test", "GET /", "Origin: https://app.example\r\n");
        No { status: 403, message: "Forbidden", error_type: Some("ForbiddenException") }.check(&response);
        assert_eq!((told(&response).as_str(), response.header("Vary")), ("", None));
    });
}

/// What was told of one request's origin is not told of the next, on the same connection.
#[test]
fn nothing_is_left_over_for_the_next_request() {
    HOUSE.play(|stage| {
        let mut client = stage.client();
        let response = client.exchange("GET /mock HTTP/1.1\r\nHost: c.test\r\nOrigin: https://app.example\r\n\r\n");
        assert_eq!(told(&response), ACTUAL);
        let response = client.exchange("GET /mock HTTP/1.1\r\nHost: c.test\r\n\r\n");
        assert_eq!((told(&response).as_str(), response.header("Vary")), ("", Some("Origin")));
        let response = client.exchange("GET /mock HTTP/1.1\r\nHost: c.test\r\nOrigin: https://app.example\r\n\r\n");
        assert_eq!(told(&response), ACTUAL);
        client.send("GET / HTTP/1.1\r\nHost: c.test\r\nA B: c\r\n\r\n");
        let response = client.read_response();
        assert_eq!((response.status, told(&response).as_str(), response.header("Vary")), (400, "", None));
    });
}

fn problem(response: &Response, status: u16, title: &str, detail: &str) {
    let id = response.header("x-amzn-RequestId").or(response.header("Apigw-Requestid")).expect("an id");
    let expected = serde_json::json!({
        "type": "about:blank", "title": title, "status": status, "detail": detail, "instance": id,
    });
    let whole = shown(&response.raw);
    assert_eq!(response.status, status, "{whole}");
    assert_eq!(response.all("Content-Type"), ["application/problem+json"], "{whole}");
    assert_eq!(serde_json::from_str::<serde_json::Value>(&response.text()).ok(), Some(expected), "{whole}");
}

#[test]
fn strict_errors_are_problem_documents() {
    HOUSE.play(|stage| {
        for host in ["s.test", "t.test"] {
            let rest = host == "s.test";
            let before = stage.refusals();
            let response = ask(stage, host, "GET /nothing", "");
            problem(&response, 404, "Not Found", "Nothing has this path");
            assert_eq!(response.header("Allow"), None);
            assert_eq!(response.header("x-amzn-ErrorType"), rest.then_some("NotFoundException"));
            assert_eq!(response.header("x-lost"), rest.then_some("yes"), "RESOURCE_NOT_FOUND");
            stage.one_refusal_more(&before, "no_such_method");
            let response = ask(stage, host, "DELETE /pets/7", "");
            problem(&response, 405, "Method Not Allowed", "This path has no such method");
            assert_eq!(response.all("Allow"), ["GET, PUT"]);
            assert_eq!(response.header("x-amzn-ErrorType"), rest.then_some("MethodNotAllowedException"));
            let response = ask(stage, host, "POST /back", "Content-Length: 2000\r\n");
            let detail = if rest { "Request Too Long" } else { "Request Entity Too Large" };
            problem(&response, 413, "Content Too Large", detail);
        }
        problem(&ask(stage, "t.test", "GET /nobody", ""), 503, "Service Unavailable", "Service Unavailable");
        // A template of the API's own wins.
        let response = ask(stage, "s.test", "GET /nobody", "");
        let said = "sorry, Network error communicating with endpoint";
        assert_eq!((response.status, response.text().as_str()), (504, said));
        assert_eq!(response.all("Content-Type"), ["text/plain"]);
    });
}

#[test]
fn co_01_origins_are_exact_or_as_their_pattern_says() {
    HOUSE.play(|stage| {
        for (origin, allowed) in [
            ("https://app.example", true),
            ("https://x.app.example", true),
            ("https://x.y.app.example", true),
            ("http://localhost:7", true),
            ("null", true),
            ("http://app.example", false),
            ("https://APP.example", false),
            ("https://app.example.evil.test", false),
            ("https://evil-app.example", false),
            ("https://evil.test/.app.example", false),
            ("http://localhost", false),
            ("https://app.example, https://app.example", false),
            ("", false),
        ] {
            let response = ask(stage, "c.test", "GET /mock", &format!("Origin: {origin}\r\n"));
            response.expect_status(200);
            let expected = if allowed { ACTUAL.replace("https://app.example", origin) } else { String::new() };
            assert_eq!(told(&response), expected, "{origin}");
            assert_eq!(response.all("Vary"), ["Origin"], "{origin}");
        }
        let twice = "Origin: https://app.example\r\nOrigin: https://app.example\r\n";
        assert_eq!(told(&ask(stage, "c.test", "GET /mock", twice)), "");
    });
}

#[test]
fn co_02_preflights_are_answered_without_integration() {
    HOUSE.play(|stage| {
        for host in ["c.test", "d.test"] {
            // With an ANY route, with none, below a greedy one.
            for path in ["/back", "/mock", "/nothing/at/all", "/all/x"] {
                let response = ask(stage, host, &format!("OPTIONS {path}"), PREFLIGHT);
                assert_eq!((response.status, told(&response).as_str()), (204, WHOLE), "{}", shown(&response.raw));
                assert_eq!((response.header("Content-Length"), response.header("Content-Type")), (None, None));
                assert_eq!(response.all("Vary"), ["Origin"]);
            }
            let other = PREFLIGHT.replace("app.example", "evil.test");
            let response = ask(stage, host, "OPTIONS /back", &other);
            assert_eq!((response.status, told(&response).as_str()), (204, ""));
        }
        assert_eq!(stage.backend.requests(), 0);
        // Without both fields it is a request like any other.
        for part in ["Origin: https://app.example\r\n", "Access-Control-Request-Method: PUT\r\n"] {
            ask(stage, "c.test", "OPTIONS /back", part).expect_status(200);
        }
        assert_eq!(stage.backend.requests(), 2);
        // As is another method.
        let response = ask(stage, "c.test", "GET /mock", PREFLIGHT);
        assert_eq!((response.status, told(&response).as_str()), (200, ACTUAL));
    });
}

#[test]
fn co_02_what_an_openapi_document_configures() {
    HOUSE.play(|stage| {
        let response = ask(stage, "w.test", "OPTIONS /pets", PREFLIGHT);
        let expected = "Allow-Origin: *|Allow-Methods: GET,OPTIONS|Allow-Headers: *|Max-Age: 300";
        assert_eq!((response.status, told(&response).as_str()), (204, expected));
        let response = ask(stage, "w.test", "GET /pets", "Origin: null\r\n");
        assert_eq!((response.status, told(&response).as_str()), (200, "Allow-Origin: *|Expose-Headers: x-pet"));
    });
}

#[test]
fn co_03_what_a_backend_says_of_origins_is_replaced() {
    HOUSE.play(|stage| {
        stage.backend.script(|_| {
            Reply::Bytes(
                "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\naccess-control-allow-methods: DELETE\r\n\
                 Access-Control-Allow-Headers: x\r\nAccess-Control-Expose-Headers: y\r\nAccess-Control-Max-Age: 1\r\n\
                 Access-Control-Allow-Credentials: false\r\nVary: Accept\r\nX-Pet: rex\r\nContent-Length: 2\r\n\r\nok"
                    .into(),
            )
        });
        for host in ["c.test", "d.test"] {
            let response = ask(stage, host, "GET /back", "Origin: https://app.example\r\n");
            assert_eq!((told(&response).as_str(), response.text().as_str()), (ACTUAL, "ok"));
            assert_eq!((response.all("Vary"), response.header("X-Pet")), (vec!["Origin", "Accept"], Some("rex")));
            let response = ask(stage, host, "GET /back", "");
            assert_eq!(told(&response), "", "only with an Origin");
            // What a mock says gives way as well.
            let response = ask(stage, host, "GET /mock", "Origin: https://app.example\r\n");
            assert_eq!((told(&response).as_str(), response.header("x-pet")), (ACTUAL, Some("rex")));
        }
        // An API without a configuration of its own passes what its backend says.
        let response = ask(stage, "w.test", "GET /pets", "");
        assert_eq!(told(&response), "");
    });
}

#[test]
fn co_03_refusals_tell_the_same() {
    HOUSE.play(|stage| {
        for (host, status) in [("c.test", 503), ("d.test", 504)] {
            let response = ask(stage, host, "GET /nobody", "Origin: https://app.example\r\n");
            assert_eq!((response.status, told(&response).as_str()), (status, ACTUAL), "{}", shown(&response.raw));
            // A gateway response's own word on origins gives way; the rest of it stays.
            assert_eq!(response.header("x-more"), (host == "d.test").then_some("yes"));
        }
        for (line, fields, status) in [("GET /nothing", "", 404), ("POST /back", "Content-Length: 2000\r\n", 413)] {
            let response = ask(stage, "c.test", line, &format!("Origin: https://app.example\r\n{fields}"));
            assert_eq!((response.status, told(&response).as_str()), (status, ACTUAL), "{}", shown(&response.raw));
        }
        // Of an authorizer, which is not asked by a preflight; and of a throttle.
        for (host, challenge) in [("c.test", "Bearer"), ("d.test", "Ours")] {
            let response = ask(stage, host, "GET /private", "Origin: https://app.example\r\n");
            assert_eq!((response.status, told(&response).as_str()), (401, ACTUAL), "{}", shown(&response.raw));
            assert_eq!(response.all("WWW-Authenticate"), [challenge]);
            for path in ["/private", "/never"] {
                let response = ask(stage, host, &format!("OPTIONS {path}"), PREFLIGHT);
                assert_eq!((response.status, told(&response).as_str()), (204, WHOLE), "CO-04");
            }
        }
        let response = ask(stage, "c.test", "GET /never", "Origin: https://app.example\r\n");
        assert_eq!((response.status, told(&response).as_str()), (429, ACTUAL));
        let response = ask(stage, "d.test", "GET /never", "Origin: https://app.example\r\n");
        assert_eq!((response.status, response.text().as_str()), (420, "{\"why\":\"Too Many Requests\"}"), "GR-04");
        assert_eq!(
            (told(&response).as_str(), response.header("x-amzn-ErrorType")),
            (ACTUAL, Some("TooManyRequestsException"))
        );
        assert!(response.header("RateLimit").is_some(), "what the throttle tells stays: {}", shown(&response.raw));
        stage.backend.script(|_| Reply::Close);
        let response = ask(stage, "c.test", "GET /back", "Origin: https://app.example\r\n");
        assert_eq!((response.status, told(&response).as_str()), (503, ACTUAL));
        let response = ask(stage, "t.test", "GET /nothing", "Origin: https://app.example\r\n");
        assert_eq!((response.status, told(&response).as_str()), (404, "Allow-Origin: *"));
    });
}

#[test]
fn co_04_a_route_for_options_is_asked_and_its_answer_tells_the_same() {
    HOUSE.play(|stage| {
        stage.backend.script(|_| {
            Reply::Bytes("HTTP/1.1 202 Accepted\r\nAccess-Control-Allow-Origin: *\r\nContent-Length: 0\r\n\r\n".into())
        });
        let response = ask(stage, "c.test", "OPTIONS /own", PREFLIGHT);
        assert_eq!((response.status, told(&response).as_str()), (202, WHOLE));
        assert_eq!(stage.backend.only().target, "/own");
    });
}

#[test]
fn with_credentials_stars_are_told_back_as_names() {
    HOUSE.play(|stage| {
        let asked = format!("{PREFLIGHT}Access-Control-Request-Headers: authorization, X-A\r\n");
        let response = ask(stage, "e.test", "OPTIONS /mock", &asked);
        let expected = "Allow-Origin: https://app.example|Allow-Credentials: true|Allow-Methods: PUT|\
                        Allow-Headers: authorization,X-A|Max-Age: -1";
        assert_eq!((response.status, told(&response).as_str()), (204, expected));
        let asked = format!("{PREFLIGHT}Access-Control-Request-Headers: a b\r\n");
        let response = ask(stage, "e.test", "OPTIONS /mock", &asked);
        assert!(!told(&response).contains("Allow-Headers"), "what is no list of names is not told back");
    });
}

/// The same words on a stream.
#[test]
fn clients_of_http2_are_told_the_same() {
    let document = r#"
gateway:
  listen: [{address: "127.0.0.1:0", h2c: true}]
apis:
  a:
    kind: http
    strict_errors: true
    cors: {allow_origins: [https://app.example], max_age: 1m}
    gateway_responses: {DEFAULT_4XX: {status: 418, parameters: {gatewayresponse.header.X-Upper: "'yes'"}}}
    routes: {"GET /mock": {integration: {type: mock, body: "{}"}}}
    stages: {$default: {}}
"#;
    on_both_drivers(|driver| {
        let gateway = Gateway::start(document, driver);
        http2::run(async {
            let client = http2::Client::connect(gateway.address()).await;
            let mut request = client.request("OPTIONS", "/nothing");
            request.headers_mut().insert("origin", "https://app.example".parse().unwrap());
            request.headers_mut().insert("access-control-request-method", "GET".parse().unwrap());
            let answer = client.ask(request, None).await.unwrap();
            assert_eq!((answer.status, answer.body.len()), (204, 0));
            assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example"));
            assert_eq!((answer.header("access-control-max-age"), answer.header("vary")), (Some("60"), Some("Origin")));
            let mut request = client.request("PUT", "/mock");
            request.headers_mut().insert("origin", "https://app.example".parse().unwrap());
            let answer = client.ask(request, None).await.unwrap();
            assert_eq!(
                (answer.status, answer.header("allow"), answer.header("x-upper")),
                (418, Some("GET"), Some("yes"))
            );
            assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example"));
            assert_eq!(answer.header("content-type"), Some("application/problem+json"));
            assert!(answer.text().contains("\"status\":418"), "{}", answer.text());
        });
    });
}
