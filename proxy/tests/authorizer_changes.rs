//! What is remembered of callers, and what changes meanwhile: reloads with a question under way, other rules for the same token, keys that are
//! gone; and what pages of other origins see of refusals (A-02, A-10, CO-05).
#![allow(clippy::float_cmp, reason = "counters are whole numbers")]

#[path = "support/issuer.rs"]
mod issuer;
mod support;

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use issuer::{Issuer, Key};
use serde_json::{Value, json};
use support::{Backend, Driver, Gateway, Reply, Response, eventually, on_both_drivers, shown};

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

/// An HTTP API that asks `door`, and remembers what it says.
fn asking(door: &Backend, body: &str) -> String {
    format!(
        r#"apis:
  web:
    kind: http
    authorizers:
      door: {{type: lambda, uri: "http://{}/", identity_sources: $request.header.authorization, payload: "2.0", simple_responses: true, ttl: 5m}}
    routes: {{"GET /x": {{authorizer: door, integration: {{type: mock, body: '{body}'}}}}}}
    stages: {{$default: {{}}}}
"#,
        door.address()
    )
}

const GET: &str = "GET /x HTTP/1.1\r\nHost: a\r\nAuthorization: me\r\n\r\n";
const YES: &str = r#"{"isAuthorized": true}"#;
const NO: &str = r#"{"isAuthorized": false}"#;

#[test]
fn a_10_a_question_under_way_during_a_reload_is_answered_for_those_who_asked() {
    on_both_drivers(|driver| {
        let gate = Arc::<Gate>::default();
        let waits = gate.clone();
        let slow = Backend::scripted(move |_| {
            waits.wait();
            Reply::ok(YES)
        });
        let strict = Backend::scripted(|_| Reply::ok(NO));
        let gateway = Gateway::start(&asking(&slow, "old"), driver);
        let mut waiting: Vec<_> = (0..3).map(|_| gateway.client()).collect();
        for client in &mut waiting {
            client.send(GET);
        }
        eventually("one of them asks", || slow.requests() == 1);
        assert_eq!(gateway.reload(&asking(&strict, "new"))["ok"], true);
        // Whoever comes now is of the new configuration, and waits for nobody of the old one.
        let mut late = gateway.client();
        assert_eq!(late.exchange(GET).status, 403);
        gate.open();
        for client in &mut waiting {
            let answer = client.read_response();
            assert_eq!((answer.status, answer.text().as_str()), (200, "old"));
        }
        // What the old one has said is no answer of the new one.
        for client in waiting.iter_mut().chain([&mut late]) {
            assert_eq!(client.exchange(GET).status, 403);
        }
        assert_eq!((slow.requests(), strict.requests()), (1, 1));
    });
}

#[test]
fn a_10_what_an_authorizer_said_before_its_definition_changed_is_not_believed() {
    on_both_drivers(|driver| {
        let door = Backend::scripted(|_| Reply::ok(YES));
        let gateway = Gateway::start(&asking(&door, "x"), driver);
        let mut client = gateway.client();
        assert_eq!((client.exchange(GET).status, client.exchange(GET).status, door.requests()), (200, 200, 1));
        let document = asking(&door, "x");
        for (from, to) in [
            // The answer would be another one.
            ("simple_responses: true, ", ""),
            ("payload: \"2.0\", simple_responses: true", "payload: \"1.0\""),
            // It is remembered by something else.
            ("$request.header.authorization", "[$request.header.authorization, $context.routeKey]"),
            ("      door: {", "      gate: &g {type: jwt, issuer: x, jwks: {file: none}}\n      door: {"),
        ] {
            let changed = document.replace(from, to);
            assert_ne!(changed, document);
            if from.starts_with(' ') {
                // A document with a fault changes nothing.
                assert_eq!(gateway.reload(&changed)["ok"], false);
                assert_eq!((client.exchange(GET).status, door.take().len()), (200, 0));
                continue;
            }
            let _ = door.take();
            assert_eq!(gateway.reload(&changed)["ok"], true, "{from}");
            let _ = client.exchange(GET);
            assert_eq!(door.take().len(), 1, "it is asked anew: {to}");
            assert_eq!(gateway.reload(&document)["ok"], true);
            assert_eq!((client.exchange(GET).status, door.take().len()), (200, 0), "what it said then still holds");
        }
    });
}

fn login(authorizer: &str) -> String {
    format!(
        r#"apis:
  h:
    kind: http
    authorizers: {{login: {authorizer}}}
    routes: {{"GET /x": {{authorizer: login, integration: {{type: mock, body: ok}}}}}}
    stages: {{$default: {{}}}}
"#
    )
}

#[track_caller]
fn ask(gateway: &Gateway, token: &str) -> Response {
    gateway.client().exchange(format!("GET /x HTTP/1.1\r\nHost: h\r\nAuthorization: {token}\r\n\r\n"))
}

#[test]
fn a_02_a_token_that_was_verified_is_judged_anew_by_other_rules() {
    on_both_drivers(|driver| {
        let key = Key::es256("k");
        let issuer = Issuer::new(&[&key]);
        let of = |more: &str| login(&format!("{{type: jwt, issuer: \"{}\", audience: [web]{more}}}", issuer.name()));
        let token = key.token(&issuer.claims(&json!({"aud": "web"})));
        let gateway = Gateway::start(&of(""), driver);
        for _ in 0..3 {
            ask(&gateway, &token).expect_status(200);
        }
        for stricter in [
            of(", algorithms: [RS256]"),
            of(", token_type: at+jwt"),
            of("").replace("[web]", "[other]"),
            of("").replace(issuer.name(), "http://127.0.0.1:9"),
            of(", identity_source: $request.header.x-token"),
        ] {
            assert_eq!(gateway.reload(&stricter)["ok"], true, "{stricter}");
            assert_eq!(ask(&gateway, &token).status, 401, "{stricter}");
            assert_eq!(gateway.reload(&of(""))["ok"], true);
            ask(&gateway, &token).expect_status(200);
        }
    });
}

#[test]
fn a_02_keys_that_are_gone_verify_nothing_that_is_remembered() {
    on_both_drivers(|driver| {
        let (old, new) = (Key::es256("old"), Key::es256("new"));
        let issuer = Issuer::new(&[&old]);
        let document = login(&format!("{{type: jwt, issuer: \"{}\", keys_kept: 1s}}", issuer.name()));
        let gateway = Gateway::start(&document.replace("apis:", "gateway:\n  workers: 2\napis:"), driver);
        let token = old.token(&issuer.claims(&json!({})));
        // Every worker remembers it, or some of them.
        for _ in 0..8 {
            ask(&gateway, &token).expect_status(200);
        }
        issuer.rotate(&[&new]);
        let before = issuer.asked().1;
        eventually("the keys were fetched again", || issuer.asked().1 > before);
        eventually("nobody takes the token", || (0..8).all(|_| ask(&gateway, &token).status == 401));
        ask(&gateway, &new.token(&issuer.claims(&json!({})))).expect_status(200);
        let from = [("from", issuer.name())];
        let fetched = |result: &str| {
            gateway.counter("tollgate_key_fetches_total", &[("from", issuer.name()), ("result", result)])
        };
        assert!(fetched("ok") >= 2.0 && fetched("failed") == 0.0);
        let last = gateway.counter("tollgate_key_fetch_success_time_seconds", &from);
        assert!(last > 1_700_000_000.0, "{last}");
        issuer.manner().is_down = true;
        eventually("failures are counted", || fetched("failed") >= 1.0);
        assert!(gateway.counter("tollgate_key_fetch_success_time_seconds", &from) >= last);
    });
}

/// One API of each kind, with refusals of every sort behind CORS.
const CROSSING: &str = r#"apis:
  {{kind}}:
    kind: {{kind}}
    cors: {allow_origins: ["https://app.example"], allow_methods: [GET], allow_headers: [authorization], expose_headers: [x-a], allow_credentials: true}
    authorizers: {login: {type: jwt, issuer: staff, audience: web, jwks: {file: keys.jwks}}}
    routes:
      "GET /me": {authorizer: login, scopes: [read], integration: {type: mock, body: ok}}
      "GET /key": {api_key_required: true, integration: {type: mock, body: ok}}
      "GET /once": {throttle: {rate: 0.001, burst: 1}, integration: {type: mock, body: ok}}
    stages: {$default: {}}
"#;

fn from_origin(gateway: &Gateway, method: &str, target: &str, fields: &str) -> Response {
    let origin = "Origin: https://app.example\r\n";
    gateway.client().exchange(format!("{method} {target} HTTP/1.1\r\nHost: h\r\n{origin}{fields}\r\n"))
}

fn crossing_of(response: &Response) -> [Option<&str>; 4] {
    ["access-control-allow-origin", "access-control-allow-credentials", "access-control-expose-headers", "vary"]
        .map(|name| response.header(name))
}

#[test]
fn co_05_pages_of_other_origins_can_read_every_refusal() {
    let key = Key::eddsa("k");
    let keys = json!({"keys": [key.jwk()]}).to_string();
    let claims = |scope: &str| json!({"iss": "staff", "aud": "web", "exp": issuer::now() + 600, "scope": scope});
    on_both_drivers(|driver| {
        let started = |kind: &str, stage: &str| {
            let folder = support::gateway::new_folder();
            std::fs::write(folder.join("keys.jwks"), &keys).expect("the folder is writable");
            let document = CROSSING.replace("{{kind}}", kind).replace("$default: {}", stage);
            Gateway::start_in(folder, &document, driver, &[]).unwrap_or_else(|why| panic!("{}", why.stderr))
        };
        for (gateway, base) in [(started("http", "$default: {}"), ""), (started("rest", "s: {}"), "/s")] {
            let expected = [Some("https://app.example"), Some("true"), Some("x-a"), Some("Origin")];
            let (good, bad) = (key.token(&claims("read")), key.token(&claims("write")));
            for (path, fields, status) in [
                ("/me", format!("Authorization: {good}\r\n"), 200),
                ("/me", String::new(), 401),
                ("/me", "Authorization: a.b.c\r\n".to_owned(), 401),
                ("/me", format!("Authorization: {bad}\r\n"), 403),
                ("/key", String::new(), 403),
                ("/once", String::new(), 200),
                ("/once", String::new(), 429),
            ] {
                let answer = from_origin(&gateway, "GET", &format!("{base}{path}"), &fields);
                assert_eq!((answer.status, crossing_of(&answer)), (status, expected), "{}", shown(&answer.raw));
            }
            assert_eq!(gateway.counter("tollgate_preflights_total", &[]), 0.0);
            for path in ["/me", "/key", "/once", "/nothing"] {
                let asks = "Access-Control-Request-Method: GET\r\n";
                let answer = from_origin(&gateway, "OPTIONS", &format!("{base}{path}"), asks);
                assert_eq!(answer.status, 204, "no token, no key and no place in a bucket is needed");
            }
            assert_eq!(gateway.counter("tollgate_preflights_total", &[]), 4.0);
        }
    });
}

#[test]
fn a_02_a_document_of_keys_is_counted_by_its_address_without_the_query() {
    let key = Key::es256("k");
    let issuer = Issuer::new(&[&key]);
    let url = format!("{}/keys?code=hush", issuer.name());
    let document = login(&format!("{{type: jwt, issuer: \"{}\", audience: web, jwks: \"{url}\"}}", issuer.name()));
    let gateway = Gateway::start(&document, Driver::Epoll);
    let token = key.token(&issuer.claims(&json!({"aud": "web"})));
    let body: Value = json!(ask(&gateway, &token).text());
    assert_eq!(body, "ok");
    let from = format!("{}/keys", issuer.name());
    assert_eq!(gateway.counter("tollgate_key_fetches_total", &[("from", &from), ("result", "ok")]), 1.0);
    assert!(!gateway.admin_get("/metrics").contains("hush"));
}
