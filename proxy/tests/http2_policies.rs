//! Who may call, and how often, on streams of one connection of HTTP/2: keys, plans, quotas, tokens, passwords, CORS and resource policies, many
//! streams at once (KP-04, KP-06, TH-02, A-02, CO-02, POL-03).
#![allow(clippy::float_cmp, reason = "counters are whole numbers")]

#[path = "support/http2.rs"]
mod http2;
#[path = "support/issuer.rs"]
mod issuer;
mod support;

use std::collections::BTreeMap;
use std::fs;

use data_encoding::BASE64;
use http::Request;
use http2::{Answer, Client};
use issuer::{Issuer, Key};
use serde_json::json;
use support::gateway::new_folder;
use support::{Driver, Gateway, eventually, on_both_drivers};

const ACME: &str = "acme-value-0123456789-abc";

fn document(issuer: &str) -> String {
    format!(
        r#"gateway:
  listen: [{{address: "127.0.0.1:0", h2c: true}}]
  workers: 2
  state: "{{{{folder}}}}/state"
apis:
  a:
    kind: http
    cors: {{allow_origins: ["https://app.test"], allow_methods: [GET], allow_headers: [authorization]}}
    policy:
      Statement:
        - {{Effect: Allow, Principal: "*", Action: "execute-api:Invoke", Resource: "execute-api:/*"}}
        - {{Effect: Deny, Principal: "*", Action: "execute-api:Invoke", Resource: "execute-api:/*/GET/denied"}}
    authorizers:
      login: {{type: jwt, issuer: "{issuer}", audience: [app]}}
      staff: {{type: basic, users: {{ann: "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"}}}}
    routes:
      "GET /key": {{api_key_required: true, integration: {{type: mock, body: "{{}}"}}}}
      "GET /plan": {{api_key_required: true, integration: {{type: mock, body: "{{}}"}}}}
      "GET /login": {{authorizer: login, integration: {{type: mock, body: "$context.authorizer.principalId"}}}}
      "GET /staff": {{authorizer: staff, integration: {{type: mock, body: "$context.authorizer.principalId"}}}}
      "GET /both": {{authorizer: staff, api_key_required: true, integration: {{type: mock, body: "$context.authorizer.principalId"}}}}
      "GET /denied": {{integration: {{type: mock, body: "{{}}"}}}}
      "GET /open": {{integration: {{type: mock, body: "{{}}"}}}}
    stages: {{$default: {{}}}}
usage_plans:
  basic: {{stages: {{a/$default: {{throttle: {{"GET /plan": {{rate: 0.001, burst: 5}}}}}}}}, quota: {{limit: 30, period: month}}}}
api_keys:
  acme: {{value: "${{file:acme}}", plans: [basic]}}
"#
    )
}

fn start(driver: Driver, issuer: &Issuer) -> Gateway {
    let folder = new_folder();
    fs::write(folder.join("acme"), ACME).expect("the folder is writable");
    let started = Gateway::start_in(folder, &document(issuer.name()), driver, &[]);
    started.unwrap_or_else(|failed| panic!("it did not start:\n{}", failed.stderr))
}

fn request(client: &Client, path: &str, fields: &[(&str, &str)]) -> Request<()> {
    let mut request = client.request("GET", path);
    for (name, value) in fields {
        let name = http::HeaderName::from_bytes(name.as_bytes()).expect("a name");
        request.headers_mut().append(name, value.parse().expect("a value"));
    }
    request
}

/// All at once, on streams of one connection: their answers in the order of the requests.
async fn all(client: &Client, asked: Vec<Request<()>>) -> Vec<Answer> {
    let mut waiting = Vec::new();
    for request in asked {
        let client = client.clone();
        waiting.push(tokio::task::spawn_local(async move { client.ask(request, None).await.expect("an answer") }));
    }
    let mut answers = Vec::new();
    for answer in waiting {
        answers.push(answer.await.expect("no panic"));
    }
    answers
}

fn statuses(answers: &[Answer]) -> Vec<u16> {
    answers.iter().map(|answer| answer.status).collect()
}

fn counted(answers: &[Answer]) -> BTreeMap<u16, usize> {
    let mut counted = BTreeMap::new();
    for answer in answers {
        *counted.entry(answer.status).or_default() += 1;
    }
    counted
}

#[test]
fn each_stream_is_judged_by_itself() {
    on_both_drivers(|driver| {
        let key = Key::es256("k");
        let issuer = Issuer::new(&[&key]);
        let gateway = start(driver, &issuer);
        let token = format!("Bearer {}", key.token(&issuer.claims(&json!({"sub": "joe", "aud": "app"}))));
        let basic = |password: &str| format!("Basic {}", BASE64.encode(format!("ann:{password}").as_bytes()));
        let (good, bad) = (basic("Hello world!"), basic("hello world!"));
        http2::run(async {
            let client = Client::connect(gateway.address()).await;
            let of = |path, fields: &[(&str, &str)]| request(&client, path, fields);
            let asked = vec![
                of("/key", &[("x-api-key", ACME)]),
                of("/key", &[("x-api-key", "nobody-value-0123456789-a")]),
                of("/key", &[]),
                of("/login", &[("authorization", &token)]),
                of("/login", &[("authorization", "Bearer a.b.c")]),
                of("/login", &[("authorization", &good)]),
                of("/staff", &[("authorization", &good)]),
                of("/staff", &[("authorization", &bad)]),
                of("/staff", &[("authorization", &token)]),
                of("/both", &[("authorization", &good), ("x-api-key", ACME)]),
                of("/both", &[("authorization", &good)]),
                of("/both", &[("x-api-key", ACME)]),
                of("/denied", &[("x-api-key", ACME)]),
                of("/open", &[]),
                of("/nowhere", &[]),
            ];
            // Twice: asked for, then remembered.
            for _ in 0..2 {
                let asked = asked.iter().map(|asked| {
                    let mut again = Request::new(());
                    (*again.method_mut(), *again.uri_mut()) = (asked.method().clone(), asked.uri().clone());
                    *again.headers_mut() = asked.headers().clone();
                    again
                });
                let answers = all(&client, asked.collect()).await;
                let expected = [200, 403, 403, 200, 401, 401, 200, 401, 401, 200, 403, 401, 403, 200, 404];
                assert_eq!(statuses(&answers), expected, "{:?}", answers[3]);
                assert_eq!((answers[3].text(), answers[6].text()), ("\"joe\"".to_owned(), "\"ann\"".to_owned()));
                let realm = "Basic realm=\"staff\", charset=\"UTF-8\"";
                assert_eq!(answers[7].header("www-authenticate"), Some(realm));
                assert_eq!(answers[4].header("www-authenticate").map(|field| &field[..6]), Some("Bearer"));
                assert!(answers.iter().all(|answer| answer.status == 200 || answer.text().starts_with("{\"message\"")));
            }
        });
        let refused = |reason| gateway.counter("tollgate_refusals_total", &[("reason", reason)]);
        assert_eq!([refused("unauthorized"), refused("invalid_api_key"), refused("access_denied")], [10.0, 6.0, 2.0]);
        assert_eq!(gateway.counter("tollgate_passwords_verified_total", &[]), 2.0, "one flight for all streams");
        eventually("the log is written", || gateway.access_log().lines().count() == 30);
        let log = gateway.access_log();
        assert!(!log.contains(ACME) && !log.contains(&token[7..]) && !log.contains(&good[6..]), "{log}");
    });
}

#[test]
fn limits_count_streams_as_they_count_connections() {
    on_both_drivers(|driver| {
        let key = Key::es256("k");
        let gateway = start(driver, &Issuer::new(&[&key]));
        http2::run(async {
            let clients = [Client::connect(gateway.address()).await, Client::connect(gateway.address()).await];
            let mut answers = Vec::new();
            for client in &clients {
                let asked = (0..8).map(|_| request(client, "/plan", &[("x-api-key", ACME)])).collect();
                answers.extend(all(client, asked).await);
            }
            assert_eq!(counted(&answers), BTreeMap::from([(200, 5), (429, 11)]), "the plan's throttle of the method");
            let slow = answers.iter().find(|answer| answer.status == 429).expect("one of them");
            assert!(slow.header("retry-after").is_some() && slow.header("ratelimit").is_some(), "{slow:?}");
            // Whoever is too fast uses nothing up: 25 are left of the quota.
            let asked = (0..40).map(|_| request(&clients[0], "/key", &[("x-api-key", ACME)])).collect();
            assert_eq!(counted(&all(&clients[0], asked).await), BTreeMap::from([(200, 25), (429, 15)]));
            let open = clients[1].get("/open").await;
            assert_eq!(open.status, 200, "the connection goes on");
        });
        let refused = |reason| gateway.counter("tollgate_refusals_total", &[("reason", reason)]);
        assert_eq!([refused("throttled"), refused("quota_exceeded")], [11.0, 15.0]);
    });
}

#[test]
fn browsers_are_told_of_origins_on_every_stream() {
    on_both_drivers(|driver| {
        let key = Key::es256("k");
        let gateway = start(driver, &Issuer::new(&[&key]));
        http2::run(async {
            let client = Client::connect(gateway.address()).await;
            let origin = ("origin", "https://app.test");
            let mut preflight = request(&client, "/login", &[origin, ("access-control-request-method", "GET")]);
            *preflight.method_mut() = http::Method::OPTIONS;
            let asked = vec![
                preflight,
                request(&client, "/login", &[origin]),
                request(&client, "/key", &[origin]),
                request(&client, "/denied", &[origin]),
                request(&client, "/open", &[("origin", "https://evil.test")]),
            ];
            let answers = all(&client, asked).await;
            assert_eq!(statuses(&answers), [204, 401, 403, 403, 200]);
            for answer in &answers[..4] {
                assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.test"), "{answer:?}");
            }
            assert_eq!(answers[4].header("access-control-allow-origin"), None);
        });
    });
}
