//! Whose API key counts where an authorizer names it (rows KP-03 and A-07: `usageIdentifierKey`), and API keys alone, for people who have no
//! authorizer: made, used up, turned off (KP-01, KP-04, KP-06).
#![allow(clippy::float_cmp, reason = "counters are whole numbers")]

mod support;

use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use support::gateway::new_folder;
use support::{Backend, Client, Driver, Gateway, Reply, Request, Response, on_both_drivers};

const ACME: &str = "acme-value-0123456789-abc";
const IDLE: &str = "idle-value-0123456789-abc";
const OTHER: &str = "other-value-0123456789-ab";

/// An API of each kind whose keys come from its authorizer.
fn document(door: &str) -> String {
    let part = r#"
    api_key_source: authorizer
    authorizers: {door: {type: lambda, uri: "http://door/", identity_sources: SOURCE, ttl: TTL}}
    routes:
      "GET /mine": {authorizer: door, api_key_required: true, integration: {type: mock, headers: {X-Key: $context.identity.apiKeyId}, body: "{}"}}
      "GET /free": {authorizer: door, integration: {type: mock, body: "{}"}}
"#;
    let rest = part.replace("SOURCE", "method.request.header.Authorization").replace("TTL", "5m");
    let http = part.replace("SOURCE", "$request.header.Authorization").replace("TTL", "0s");
    format!(
        r#"gateway:
  workers: 2
  state: "{{{{folder}}}}/state"
upstreams:
  door: {{servers: ["{door}"]}}
apis:
  rest:
    kind: rest{rest}    stages: {{s: {{}}}}
  web:
    kind: http{http}    stages: {{$default: {{}}}}
domains:
  rest.test: {{mappings: {{/: rest/s}}}}
  web.test: {{mappings: {{/: web/$default}}}}
usage_plans:
  basic: {{stages: [rest/s, web/$default], quota: {{limit: 6, period: month}}}}
  elsewhere: {{stages: []}}
api_keys:
  acme: {{value: "${{file:acme}}", plans: [basic]}}
  idle: {{value: "${{file:idle}}", plans: [basic], enabled: false}}
  other: {{value: "${{file:other}}", plans: [elsewhere]}}
"#
    )
}

/// Lets everybody in, with the key that the token names.
fn door(request: &Request) -> Reply {
    let event: Value = serde_json::from_slice(&request.body).expect("events are JSON");
    let fields = event["headers"].as_object().expect("the request's fields");
    let token = fields.iter().find(|(name, _)| name.eq_ignore_ascii_case("authorization")).expect("a token").1;
    let mut answer = json!({
        "principalId": "u",
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [{"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": "*"}],
        },
    });
    if token != "none" {
        answer["usageIdentifierKey"] = token.clone();
    }
    Reply::ok(answer.to_string())
}

fn get(client: &mut Client, host: &str, path: &str, token: &str, more: &str) -> Response {
    client.exchange(format!("GET {path} HTTP/1.1\r\nHost: {host}.test\r\nAuthorization: {token}\r\n{more}\r\n"))
}

#[track_caller]
fn is_forbidden(response: &Response) {
    assert_eq!(response.expect_status(403).text(), r#"{"message":"Forbidden"}"#);
}

#[test]
fn kp_03_the_authorizer_says_whose_key_counts() {
    on_both_drivers(|driver| {
        let backend = Backend::scripted(door);
        let folder = new_folder();
        for (name, value) in [("acme", ACME), ("idle", IDLE), ("other", OTHER)] {
            fs::write(folder.join(name), value).expect("the folder is writable");
        }
        let gateway = Gateway::start_in(folder, &document(backend.address()), driver, &[]);
        let gateway = gateway.unwrap_or_else(|failed| panic!("it did not start:\n{}", failed.stderr));
        let mut client = gateway.client();
        let own = format!("X-API-Key: {ACME}\r\n");
        for host in ["rest", "web"] {
            // Asked for, then (in REST) remembered with the answer.
            for _ in 0..2 {
                let response = get(&mut client, host, "/mine", ACME, "");
                assert_eq!(response.expect_status(200).header("X-Key"), Some("acme"));
            }
            for token in ["none", IDLE, OTHER, "nobody-value-0123456789-ab", "short"] {
                is_forbidden(&get(&mut client, host, "/mine", token, ""));
                // What the client says of itself counts for nothing here.
                is_forbidden(&get(&mut client, host, "/mine", token, &own));
                get(&mut client, host, "/free", token, "").expect_status(200);
            }
        }
        assert_eq!(gateway.counter("tollgate_refusals_total", &[("reason", "invalid_api_key")]), 20.0);
        // Six in a month, over both APIs: four are gone.
        for status in [200, 200, 429, 429] {
            get(&mut client, "web", "/mine", ACME, "").expect_status(status);
        }
        get(&mut client, "rest", "/mine", ACME, "").expect_status(429);
        let log = [gateway.access_log(), gateway.stderr()].concat();
        assert!([ACME, IDLE, OTHER].iter().all(|value| !log.contains(value)), "{log}");
    });
}

/// Keys and nothing else.
const ALONE: &str = r#"gateway:
  state: "{{folder}}/state"
apis:
  shop:
    kind: http
    routes:
      "GET /things": {api_key_required: true, integration: {type: mock, headers: {X-Key: $context.identity.apiKeyId}, body: "{}"}}
      "GET /": {integration: {type: mock, body: "{}"}}
    stages: {$default: {}}
usage_plans:
  trial: {stages: [shop/$default], quota: {limit: 3, period: day}, throttle: {rate: 1000, burst: 1000}}
"#;

fn keys(gateway: &Gateway, args: &[&str]) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    let config = gateway.folder().join("gateway.yaml");
    let said = command.args(args).arg("--json").arg("--config").arg(config).output().expect("it runs");
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.status.success(), "{text}{}", String::from_utf8_lossy(&said.stderr));
    // What became of the reload follows.
    let mut documents = serde_json::Deserializer::from_str(&text).into_iter();
    documents.next().expect("a document").expect("JSON")
}

#[test]
fn kp_04_keys_alone_from_their_making_to_their_end() {
    let folder = new_folder();
    fs::create_dir(folder.join("state")).unwrap();
    let gateway = Gateway::start_in(folder, ALONE, Driver::Epoll, &[]);
    let gateway = gateway.unwrap_or_else(|failed| panic!("it did not start:\n{}", failed.stderr));
    let mut client = gateway.client();
    let mut things =
        |key: &str| client.exchange(format!("GET /things HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\n\r\n"));
    let made = keys(&gateway, &["keys", "create", "Acme", "--plan", "trial", "--reload"]);
    let (id, value) = (made["id"].as_str().expect("an id"), made["value"].as_str().expect("a value"));
    is_forbidden(&things("somebody-elses-0123456789"));
    is_forbidden(&things(""));
    assert_eq!(things(value).expect_status(200).header("X-Key"), Some(id));
    let spare = keys(&gateway, &["keys", "create", "Spare", "--plan", "trial", "--reload"]);
    let spare = spare["value"].as_str().expect("a value");
    for status in [200, 200, 429, 429] {
        things(value).expect_status(status);
    }
    things(spare).expect_status(200);
    keys(&gateway, &["keys", "disable", id, "--reload"]);
    is_forbidden(&things(value));
    things(spare).expect_status(200);
    gateway.client().exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect_status(200);
}
