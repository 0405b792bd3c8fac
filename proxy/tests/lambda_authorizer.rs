//! Lambda authorizers: rows A-04 to A-10, with an authorizer on loopback that does what the token asks for.
#![allow(clippy::float_cmp, clippy::cast_precision_loss, reason = "counters are whole numbers, and small")]

mod support;

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use serde_json::{Value, json};
use support::{Backend, Client, Driver, Gateway, Reply, Request, eventually, on_both_drivers};

/// One API of each kind, whose authorizers all ask `door`. `{{door}}` is where that is.
const CONFIG: &str = r#"
gateway:
  region: eu-central-1
  account_id: "123456789012"
  lambda: {endpoint: "http://{{door}}"}
upstreams:
  door: {servers: ["{{door}}"]}
apis:
  rest:
    kind: rest
    authorizers:
      token: {type: lambda, mode: token, uri: "http://door/token", identity_sources: method.request.header.Authorization, validation: "^Bearer ", ttl: 0s, timeout: 1s}
      kept: {type: lambda, mode: token, uri: "http://door/kept", identity_sources: method.request.header.Authorization, ttl: 5m}
      brief: {type: lambda, mode: token, uri: "http://door/brief", identity_sources: method.request.header.Authorization, ttl: 1s}
      request: {type: lambda, uri: "http://door/request", identity_sources: [method.request.header.Authorization, method.request.querystring.tenant], ttl: 5m}
      function: {type: lambda, mode: token, uri: "arn:aws:lambda:eu-central-1:123456789012:function:door", identity_sources: method.request.header.Authorization, ttl: 0s}
    routes:
      "GET /token/{proxy+}": {authorizer: token, integration: &told {type: mock, headers: {X-Team: $context.authorizer.team}, body: '{"who": "$context.authorizer.principalId", "level": $context.authorizer.level}'}}
      "GET /kept/{id}": {authorizer: kept, integration: *told}
      "GET /other": {authorizer: kept, integration: *told}
      "GET /brief": {authorizer: brief, integration: *told}
      "GET /request/{id}": {authorizer: request, integration: *told}
      "GET /function": {authorizer: function, integration: *told}
      "GET /open": {integration: {type: mock, body: "{}"}}
    stages: {s: {variables: {env: blue}}, t: {}}
  web:
    kind: http
    authorizers:
      one: {type: lambda, uri: "http://door/one", identity_sources: [$request.header.authorization, $request.querystring.tenant], payload: "1.0"}
      two: {type: lambda, uri: "http://door/two", identity_sources: [$request.header.authorization, $request.querystring.tenant], payload: "2.0"}
      simple: {type: lambda, uri: "http://door/simple", identity_sources: $request.header.authorization, payload: "2.0", simple_responses: true, ttl: 5m}
      routed: {type: lambda, uri: "http://door/routed", identity_sources: [$request.header.authorization, $context.routeKey], payload: "2.0", simple_responses: true, ttl: 5m}
      free: {type: lambda, uri: "http://door/free", payload: "2.0", simple_responses: true}
    routes:
      "GET /one/{id}": {authorizer: one, integration: *told}
      "GET /two/{id}": {authorizer: two, integration: *told}
      "GET /simple/a": {authorizer: simple, integration: *told}
      "GET /simple/b": {authorizer: simple, integration: *told}
      "GET /routed/a": {authorizer: routed, integration: *told}
      "GET /routed/b": {authorizer: routed, integration: *told}
      "GET /free": {authorizer: free, integration: *told}
    stages: {$default: {variables: {env: blue}}}
domains:
  rest.test: {mappings: {/: rest/s, /t: rest/t}}
  web.test: {mappings: {/: web/$default}}
"#;

fn json_reply(json: &Value) -> Reply {
    let body = json.to_string();
    Reply::Bytes(
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
            .into_bytes(),
    )
}

fn status(status: u16, fields: &str, body: &str) -> Reply {
    Reply::Bytes(format!("HTTP/1.1 {status} X\r\n{fields}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes())
}

fn policy(effect: &str, resource: &str) -> Value {
    json!({
        "principalId": "user|7",
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [{"Action": "execute-api:Invoke", "Effect": effect, "Resource": resource}],
        },
        "context": {"team": "red", "level": 3, "ok": true},
    })
}

/// What an event says under the name of the token.
fn token(event: &Value) -> String {
    let of_request =
        || event["headers"].as_object()?.iter().find(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    let token = event.get("authorizationToken").and_then(Value::as_str);
    let token = token.or_else(|| of_request()?.1.as_str()).unwrap_or_default();
    token.trim_start_matches("Bearer ").split(',').next().unwrap_or_default().to_owned()
}

/// Does what the token says.
fn door(request: &Request) -> Reply {
    let event: Value = serde_json::from_slice(&request.body).expect("events are JSON");
    let mut answer = policy("Allow", "arn:aws:execute-api:eu-central-1:123456789012:*/*/GET/*");
    match &*token(&event) {
        "deny" => json_reply(&policy("Deny", "*")),
        "elsewhere" => json_reply(&policy("Allow", "arn:aws:execute-api:*:*:rest/s/POST/*")),
        "kept only" => json_reply(&policy("Allow", "arn:aws:execute-api:*:*:rest/*/GET/kept/*")),
        "unknown" => status(401, "", ""),
        "forbidden" => status(403, "", ""),
        "moved" => status(302, "Location: /elsewhere\r\n", ""),
        "broken" => status(500, "", "{}"),
        "nonsense" => Reply::ok("{\"principalId\": "),
        "text" => json_reply(&json!("Unauthorized")),
        "nameless" => {
            answer["principalId"] = Value::Null;
            json_reply(&answer)
        }
        "no policy" => json_reply(&json!({"principalId": "u"})),
        "bad policy" => json_reply(&policy("Perhaps", "*")),
        "nested" => {
            answer["context"]["team"] = json!({"a": [1]});
            json_reply(&answer)
        }
        "huge" => Reply::ok(" ".repeat(70_000)),
        "close" => Reply::Close,
        "half" => Reply::Last(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{".to_vec()),
        "never" => Reply::Never,
        "yes" => json_reply(&json!({"isAuthorized": true, "context": {"team": "blue", "level": [1, {"a": null}]}})),
        "no" => json_reply(&json!({"isAuthorized": false})),
        "perhaps" => json_reply(&json!({"isAuthorized": "true"})),
        "failed" => status(200, "X-Amz-Function-Error: Unhandled\r\n", r#"{"errorMessage":"Unauthorized"}"#),
        "failed otherwise" => status(200, "X-Amz-Function-Error: Unhandled\r\n", r#"{"errorMessage":"unauthorized"}"#),
        _ => json_reply(&answer),
    }
}

fn started(driver: Driver, door: &Backend) -> Gateway {
    Gateway::start(&CONFIG.replace("{{door}}", door.address()), driver)
}

fn get(client: &mut Client, host: &str, target: &str, fields: &str) -> (u16, String) {
    let answer = client.exchange(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n"));
    (answer.status, answer.text())
}

fn with(client: &mut Client, host: &str, target: &str, token: &str) -> (u16, String) {
    get(client, host, target, &format!("Authorization: Bearer {token}\r\n"))
}

fn told(status: u16, body: &str) -> (u16, String) {
    (status, body.to_owned())
}

const ALLOWED: &str = r#"{"who": "user|7", "level": 3}"#;
const EXPLICIT: &str = r#"{"Message":"User is not authorized to access this resource with an explicit deny"}"#;
const IMPLICIT: &str = r#"{"Message":"User is not authorized to access this resource"}"#;
const UNAUTHORIZED: &str = r#"{"message":"Unauthorized"}"#;
const FORBIDDEN: &str = r#"{"message":"Forbidden"}"#;
/// Of a REST API whose authorizer fails; that of `authorizer_failure` is assumed.
const NULL: &str = r#"{"message":null}"#;
const INTERNAL: &str = r#"{"message":"Internal Server Error"}"#;

#[test]
fn a_04_a_09_what_becomes_of_a_request_to_a_rest_api() {
    on_both_drivers(|driver| {
        let door = Backend::scripted(door);
        let gateway = started(driver, &door);
        let mut client = gateway.client();
        for (token, status, body) in [
            ("allow", 200, ALLOWED),
            ("deny", 403, EXPLICIT),
            ("elsewhere", 403, IMPLICIT),
            ("unknown", 401, UNAUTHORIZED),
            ("forbidden", 403, EXPLICIT),
            ("moved", 500, NULL),
            ("broken", 500, NULL),
            ("nonsense", 500, NULL),
            ("text", 500, NULL),
            ("nameless", 500, NULL),
            ("no policy", 500, NULL),
            ("bad policy", 500, NULL),
            ("nested", 500, NULL),
            ("huge", 500, NULL),
            ("close", 500, NULL),
            ("half", 500, NULL),
            ("never", 500, NULL),
            ("allow", 200, ALLOWED),
        ] {
            assert_eq!(with(&mut client, "rest.test", "/token/x", token), told(status, body), "{token}");
        }
        for reason in ["unauthorized", "access_denied", "authorizer_failure", "authorizer_configuration_error"] {
            assert!(gateway.counter("tollgate_refusals_total", &[("reason", reason)]) > 0.5, "{reason}");
        }
        let answer = client.exchange("GET /token/x HTTP/1.1\r\nHost: rest.test\r\nAuthorization: Bearer deny\r\n\r\n");
        assert_eq!(answer.header("x-amzn-ErrorType"), Some("AccessDeniedException"));
        let answer = client.exchange("GET /token/x HTTP/1.1\r\nHost: rest.test\r\nAuthorization: Bearer a\r\n\r\n");
        assert_eq!(answer.header("X-Team"), Some("red"), "A-07");
        gateway.expect_said("an authorizer gives no answer");
    });
}

#[test]
fn a_09_what_becomes_of_a_request_to_an_http_api() {
    on_both_drivers(|driver| {
        let door = Backend::scripted(door);
        let gateway = started(driver, &door);
        let mut client = gateway.client();
        for (path, token, status, body) in [
            ("/two/7?tenant=a", "allow", 200, ALLOWED),
            ("/one/7?tenant=a", "allow", 200, ALLOWED),
            ("/two/7?tenant=a", "deny", 403, FORBIDDEN),
            ("/two/7?tenant=a", "elsewhere", 403, FORBIDDEN),
            ("/two/7?tenant=a", "unknown", 401, UNAUTHORIZED),
            ("/two/7?tenant=a", "broken", 500, INTERNAL),
            ("/two/7?tenant=a", "nonsense", 500, INTERNAL),
            ("/two/7", "allow", 401, UNAUTHORIZED),
            ("/two/7?tenant=", "allow", 401, UNAUTHORIZED),
            ("/simple/a", "no", 403, FORBIDDEN),
            ("/simple/a", "perhaps", 500, INTERNAL),
            ("/simple/a", "allow", 500, INTERNAL),
        ] {
            assert_eq!(with(&mut client, "web.test", path, token), told(status, body), "{path} {token}");
        }
        // A-07: what nests is allowed in 2.0, not in 1.0.
        assert_eq!(with(&mut client, "web.test", "/two/7?tenant=a", "nested").0, 200);
        assert_eq!(with(&mut client, "web.test", "/one/7?tenant=a", "nested").0, 500);
        // A-08.
        assert_eq!(with(&mut client, "web.test", "/simple/a", "yes").0, 200);
        assert_eq!(with(&mut client, "web.test", "/free", "yes").0, 200);
    });
}

#[test]
fn a_09_functions_are_asked_at_the_endpoint_of_lambda() {
    on_both_drivers(|driver| {
        let door = Backend::scripted(door);
        let gateway = started(driver, &door);
        let mut client = gateway.client();
        for (token, status, body) in [
            ("allow", 200, ALLOWED),
            ("failed", 401, UNAUTHORIZED),
            ("failed otherwise", 500, NULL),
            // It is Lambda that refuses, not the function.
            ("unknown", 500, NULL),
            ("forbidden", 500, NULL),
        ] {
            assert_eq!(with(&mut client, "rest.test", "/function", token), told(status, body), "{token}");
        }
        let request = &door.take()[0];
        assert_eq!(request.method, "POST");
        let path =
            "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aeu-central-1%3A123456789012%3Afunction%3Adoor/invocations";
        assert_eq!(request.target, path);
        assert_eq!(request.header("X-Amz-Invocation-Type"), Some("RequestResponse"));
        assert_eq!(request.header("Content-Type"), Some("application/json"));
    });
}

#[test]
fn a_04_a_05_a_06_who_shows_nothing_is_refused_and_nobody_is_asked() {
    on_both_drivers(|driver| {
        let door = Backend::scripted(door);
        let gateway = started(driver, &door);
        let mut client = gateway.client();
        for (host, target, fields) in [
            ("rest.test", "/token/x", ""),
            ("rest.test", "/token/x", "Authorization:\r\n"),
            // The form of the token (A-04).
            ("rest.test", "/token/x", "Authorization: Basic allow\r\n"),
            ("rest.test", "/request/7?tenant=a", ""),
            ("rest.test", "/request/7", "Authorization: Bearer allow\r\n"),
            ("rest.test", "/request/7?tenant=", "Authorization: Bearer allow\r\n"),
            ("web.test", "/one/7?tenant=a", ""),
            ("web.test", "/two/7", "Authorization: Bearer allow\r\n"),
        ] {
            assert_eq!(get(&mut client, host, target, fields), told(401, UNAUTHORIZED), "{target} {fields}");
        }
        assert_eq!(door.requests(), 0);
        assert_eq!(get(&mut client, "rest.test", "/open", ""), told(200, "{}"));
    });
}

/// Takes what differs from request to request out of an event, after a look at its form.
fn fixed(mut event: Value) -> Value {
    let context = &mut event["requestContext"];
    let id = context["requestId"].as_str().expect("it has an id").to_owned();
    assert!(id.len() >= 16, "{id}");
    let epoch = ["requestTimeEpoch", "timeEpoch"].into_iter().find_map(|name| context.get(name)?.as_u64());
    assert!(epoch.is_some_and(|epoch| epoch > 1_700_000_000_000), "{context}");
    for name in ["requestId", "extendedRequestId", "requestTime", "requestTimeEpoch", "time", "timeEpoch"] {
        if let Some(value) = context.get_mut(name) {
            *value = json!("…");
        }
    }
    for headers in ["headers", "multiValueHeaders"] {
        for name in ["X-Forwarded-Port", "x-forwarded-port"] {
            if let Some(value) = event.get_mut(headers).and_then(|headers| headers.get_mut(name)) {
                *value = json!("…");
            }
        }
    }
    event
}

fn identity() -> Value {
    json!({"cognitoIdentityPoolId": null, "accountId": null, "cognitoIdentityId": null, "caller": null,
        "principalOrgId": null, "accessKey": null, "cognitoAuthenticationType": null,
        "cognitoAuthenticationProvider": null, "userArn": null, "user": null,
        "sourceIp": "127.0.0.1", "userAgent": "test/1"})
}

/// As both versions tell it; `headers` is `null` for those of 2.0.
fn version_1(api: &str, stage: &str, path: &str, resource: &str, token: &str) -> Value {
    json!({
        "type": "REQUEST",
        "methodArn": format!("arn:aws:execute-api:eu-central-1:123456789012:{api}/{stage}/GET{path}"),
        "resource": resource,
        "path": path,
        "httpMethod": "GET",
        "headers": {"Host": format!("{api}.test"), "Authorization": token, "User-Agent": "test/1", "X-A": "2",
            "X-Forwarded-For": "127.0.0.1", "X-Forwarded-Port": "…", "X-Forwarded-Proto": "http"},
        "multiValueHeaders": {"Host": [format!("{api}.test")], "Authorization": [token], "User-Agent": ["test/1"],
            "X-A": ["1", "2"], "X-Forwarded-For": ["127.0.0.1"], "X-Forwarded-Port": "…",
            "X-Forwarded-Proto": ["http"]},
        "queryStringParameters": {"tenant": "b c"},
        "multiValueQueryStringParameters": {"tenant": ["a", "b c"]},
        "pathParameters": {"id": "7"},
        "stageVariables": {"env": "blue"},
        "requestContext": {
            "resourceId": null, "resourcePath": resource, "httpMethod": "GET", "extendedRequestId": "…",
            "requestTime": "…", "path": path, "accountId": "123456789012", "protocol": "HTTP/1.1", "stage": stage,
            "domainPrefix": api, "requestTimeEpoch": "…", "requestId": "…", "identity": identity(),
            "domainName": format!("{api}.test"), "apiId": api,
        },
    })
}

#[test]
fn a_04_a_05_a_06_what_an_authorizer_is_told_whole() {
    on_both_drivers(|driver| {
        let door = Backend::scripted(door);
        let gateway = started(driver, &door);
        let mut client = gateway.client();
        let fields =
            "Authorization: Bearer allow\r\nUser-Agent: test/1\r\nX-A: 1\r\nx-a: 2\r\nX-Forwarded-For: 9.9.9.9\r\n";
        let mut event = |host: &str, target: &str| {
            assert_eq!(get(&mut client, host, target, fields).0, 200, "{target}");
            let request = door.only();
            door.expect_no_faults();
            serde_json::from_slice::<Value>(&request.body).expect("events are JSON")
        };
        let arn = "arn:aws:execute-api:eu-central-1:123456789012:rest/s/GET/token/a%20b/c";
        let expected = json!({"type": "TOKEN", "authorizationToken": "Bearer allow", "methodArn": arn});
        assert_eq!(event("rest.test", "/token/a%20b/./c?q=1"), expected, "A-04");
        let expected = version_1("rest", "s", "/request/7", "/request/{id}", "Bearer allow");
        assert_eq!(fixed(event("rest.test", "/request/7?tenant=a&tenant=b+c")), expected, "A-05");
        let mut expected = version_1("web", "$default", "/one/7", "/one/{id}", "Bearer allow");
        expected["version"] = json!("1.0");
        expected["identitySource"] = json!("Bearer allow,a,b c");
        expected["authorizationToken"] = json!("Bearer allow,a,b c");
        assert_eq!(fixed(event("web.test", "/one/7?tenant=a&tenant=b+c")), expected, "A-06");
        let expected = json!({
            "version": "2.0",
            "type": "REQUEST",
            "routeArn": "arn:aws:execute-api:eu-central-1:123456789012:web/$default/GET/two/7",
            "identitySource": ["Bearer allow", "a,b c"],
            "routeKey": "GET /two/{id}",
            "rawPath": "/two/7",
            "rawQueryString": "tenant=a&tenant=b+c",
            "headers": {"host": "web.test", "authorization": "Bearer allow", "user-agent": "test/1", "x-a": "1,2",
                "x-forwarded-for": "127.0.0.1", "x-forwarded-port": "…", "x-forwarded-proto": "http"},
            "queryStringParameters": {"tenant": "a,b c"},
            "requestContext": {
                "accountId": "123456789012", "apiId": "web", "domainName": "web.test", "domainPrefix": "web",
                "http": {"method": "GET", "path": "/two/7", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1",
                    "userAgent": "test/1"},
                "requestId": "…", "routeKey": "GET /two/{id}", "stage": "$default", "time": "…", "timeEpoch": "…",
            },
            "pathParameters": {"id": "7"},
            "stageVariables": {"env": "blue"},
        });
        assert_eq!(fixed(event("web.test", "/two/7?tenant=a&tenant=b+c")), expected, "A-06");
    });
}

#[test]
fn a_07_an_arn_that_is_too_long_is_414() {
    on_both_drivers(|driver| {
        let door = Backend::scripted(door);
        let gateway = started(driver, &door);
        let front = "arn:aws:execute-api:eu-central-1:123456789012:rest/s/GET".len();
        for (length, status) in [(1_600, 200), (1_601, 414)] {
            let path = format!("/token/{}", "x".repeat(length - front - "/token/".len()));
            assert_eq!(with(&mut gateway.client(), "rest.test", &path, "allow").0, status, "{length}");
        }
        assert_eq!(door.requests(), 1);
    });
}

#[test]
fn a_10_an_answer_is_remembered_and_its_policy_decides_for_each_method() {
    on_both_drivers(|driver| {
        let door = Backend::scripted(door);
        let gateway = started(driver, &door);
        let mut client = gateway.client();
        let mut asked = 0;
        // (target, token, status, whether the authorizer is asked)
        for (target, token, status, asks) in [
            ("/kept/1", "kept only", 200, true),
            ("/kept/1", "kept only", 200, false),
            ("/kept/2", "kept only", 200, false),
            ("/other", "kept only", 403, false),
            ("/kept/1", "allow", 200, true),
            ("/other", "allow", 200, false),
            ("/kept/1", "deny", 403, true),
            ("/kept/1", "deny", 403, false),
            ("/kept/1", "forbidden", 403, true),
            ("/kept/1", "forbidden", 403, false),
            // Another stage has its own.
            ("/t/kept/1", "allow", 200, true),
            ("/t/kept/1", "allow", 200, false),
            // A failure is nobody's answer.
            ("/kept/1", "broken", 500, true),
            ("/kept/1", "broken", 500, true),
            ("/kept/1", "unknown", 401, true),
            ("/kept/1", "unknown", 401, true),
            // All identity sources count.
            ("/request/1?tenant=a", "allow", 200, true),
            ("/request/2?tenant=a&b=c", "allow", 200, false),
            ("/request/1?tenant=b", "allow", 200, true),
            // No time, no memory.
            ("/token/x", "allow", 200, true),
            ("/token/x", "allow", 200, true),
        ] {
            assert_eq!(with(&mut client, "rest.test", target, token).0, status, "{target} {token}");
            asked += usize::from(asks);
            assert_eq!(door.requests(), asked, "{target} {token}");
        }
        assert_eq!(gateway.counter("tollgate_authorizer_calls_total", &[]), asked as f64);
        assert_eq!(gateway.counter("tollgate_authorizer_hits_total", &[]), 8.0);
    });
}

#[test]
fn a_10_a_simple_answer_is_for_every_route_unless_the_route_is_asked_for() {
    on_both_drivers(|driver| {
        let door = Backend::scripted(door);
        let gateway = started(driver, &door);
        let mut client = gateway.client();
        for (target, asked) in
            [("/simple/a", 1), ("/simple/b", 1), ("/routed/a", 2), ("/routed/b", 3), ("/routed/a", 3)]
        {
            assert_eq!(with(&mut client, "web.test", target, "yes").0, 200, "{target}");
            assert_eq!(door.requests(), asked, "{target}");
        }
    });
}

#[test]
fn a_10_an_answer_is_forgotten_in_time_and_outlives_a_reload() {
    on_both_drivers(|driver| {
        let door = Backend::scripted(door);
        let gateway = started(driver, &door);
        let mut client = gateway.client();
        assert_eq!(with(&mut client, "rest.test", "/brief", "allow").0, 200);
        eventually("its time is over", || {
            assert_eq!(with(&mut client, "rest.test", "/brief", "allow").0, 200);
            door.requests() > 1
        });
        assert_eq!(with(&mut client, "rest.test", "/kept/1", "allow").0, 200);
        let asked = door.requests();
        let config = CONFIG.replace("{{door}}", door.address());
        gateway.reload(&config.replace("/open\"", "/opened\""));
        assert_eq!(with(&mut gateway.client(), "rest.test", "/kept/1", "allow").0, 200);
        assert_eq!(door.requests(), asked, "what was answered holds");
        gateway.reload(&config.replace("http://door/kept", "http://door/changed"));
        assert_eq!(with(&mut gateway.client(), "rest.test", "/kept/1", "allow").0, 200);
        assert_eq!(door.requests(), asked + 1, "another authorizer is asked anew");
    });
}

/// Opens once, for all who wait.
#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn open(&self) {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.opened.notify_all();
    }

    fn wait(&self) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.opened.wait_while(open, |open| !*open).unwrap_or_else(PoisonError::into_inner));
    }
}

#[test]
fn a_10_one_asks_for_all_who_wait_on_every_worker() {
    const CLIENTS: usize = 40;
    on_both_drivers(|driver| {
        let gate = Arc::<Gate>::default();
        let waits = gate.clone();
        let door = Backend::scripted(move |request| {
            waits.wait();
            door(request)
        });
        let config = CONFIG.replace("{{door}}", door.address()).replace("gateway:\n", "gateway:\n  workers: 4\n");
        let gateway = Gateway::start(&config, driver);
        let mut clients: Vec<Client> = (0..CLIENTS).map(|_| gateway.client()).collect();
        let request = "GET /kept/1 HTTP/1.1\r\nHost: rest.test\r\nAuthorization: Bearer allow\r\n\r\n";
        // Who comes first asks for all, and leaves before there is an answer.
        let mut first = clients.remove(0);
        first.send(request);
        eventually("somebody asks", || door.requests() == 1);
        drop(first);
        for client in &mut clients {
            client.send(request);
        }
        eventually("all have come", || gateway.counter("tollgate_requests_total", &[]) >= CLIENTS as f64);
        gate.open();
        for client in &mut clients {
            let answer = client.read_response();
            assert_eq!((answer.status, answer.text()), told(200, ALLOWED));
        }
        assert_eq!(door.requests(), 1);
        assert_eq!(gateway.counter("tollgate_authorizer_calls_total", &[]), 1.0);
    });
}

#[test]
fn a_09_an_authorizer_that_is_down_refuses_everybody_and_comes_back() {
    on_both_drivers(|driver| {
        let door = Backend::scripted(door);
        let gateway = started(driver, &door);
        let mut client = gateway.client();
        assert_eq!(with(&mut client, "rest.test", "/kept/1", "allow").0, 200);
        assert_eq!(with(&mut client, "rest.test", "/token/x", "allow").0, 200);
        // A connection that has grown stale is no failure.
        door.hang_up();
        assert_eq!(with(&mut client, "rest.test", "/token/x", "allow").0, 200);
        drop(door);
        assert_eq!(with(&mut client, "rest.test", "/token/x", "allow"), told(500, NULL));
        assert_eq!(with(&mut client, "rest.test", "/kept/1", "other"), told(500, NULL));
        // What is remembered still holds.
        assert_eq!(with(&mut client, "rest.test", "/kept/1", "allow").0, 200);
        assert!(gateway.counter("tollgate_authorizer_failures_total", &[]) > 1.5);
        assert_eq!(get(&mut client, "rest.test", "/open", "").0, 200);
    });
}
