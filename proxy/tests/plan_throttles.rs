//! Throttles of usage plans: rows KP-07 and TH-02 (1) and (2), for each key by itself. Rates are so small that no time passes.

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use support::gateway::new_folder;
use support::{Client, Driver, Gateway, Response, on_both_drivers};

/// Keys, in a state directory of their own.
fn state() -> PathBuf {
    let state = new_folder();
    for name in ["acme", "zeta"] {
        fs::write(state.join(name), value(name)).expect("the folder is writable");
    }
    state
}

fn value(name: &str) -> String {
    format!("{name}-value-0123456789-abcdef")
}

/// `basic` allows `burst` requests, three of them for `GET /b`. A key more moves the numbers of the others.
fn document(state: &Path, burst: u32, stage: &str, more: &str) -> String {
    let state = state.display();
    format!(
        r#"
gateway:
  workers: 2
  state: {state}
apis:
  rest:
    kind: rest
    routes:
      "GET /a": {{api_key_required: true, integration: {{type: mock, body: "{{}}"}}}}
      "GET /b": {{api_key_required: true, integration: {{type: mock, body: "{{}}"}}}}
      "GET /open": {{integration: {{type: mock, body: "{{}}"}}}}
    stages: {{dev: {{{stage}}}}}
usage_plans:
  basic: {{stages: {{rest/dev: {{throttle: {{"GET /b": {{rate: 0.001, burst: 3}}}}}}}}, throttle: {{rate: 0.001, burst: {burst}}}}}
api_keys:
  acme: {{value: "${{file:{state}/acme}}", plans: [basic]}}
  zeta: {{value: "${{file:{state}/zeta}}", plans: [basic]}}
  {more}
"#
    )
}

fn start(state: &Path, burst: u32, stage: &str, driver: Driver) -> Gateway {
    Gateway::start(&document(state, burst, stage, ""), driver)
}

fn get(client: &mut Client, path: &str, key: &str) -> Response {
    client.exchange(format!("GET /dev{path} HTTP/1.1\r\nHost: a\r\nX-API-Key: {}\r\n\r\n", value(key)))
}

/// How many of so many pass; every other one is refused as API Gateway does it.
#[track_caller]
fn passes(client: &mut Client, path: &str, key: &str, of: usize) -> usize {
    let mut passed = 0;
    for _ in 0..of {
        let response = get(client, path, key);
        if response.status == 200 {
            passed += 1;
        } else {
            response.expect_status(429);
            assert_eq!(response.text(), r#"{"message":"Too Many Requests"}"#, "KP-07");
            assert_eq!(response.header("x-amzn-ErrorType"), Some("TooManyRequestsException"));
        }
    }
    passed
}

/// A refusal names its limit, and how long it is to be waited for: as long as a token takes, less the time of the test.
#[track_caller]
fn is_told(response: &Response, name: &str) {
    let told = response.header("RateLimit").expect("a refusal says so");
    let seconds = told.strip_prefix(&format!("\"{name}\";r=0;t=")).and_then(|seconds| seconds.parse().ok());
    assert!(seconds.is_some_and(|seconds| (800..=1_000).contains(&seconds)), "{told}, not {name}");
    assert_eq!(response.header("Retry-After"), told.rsplit('=').next());
}

#[test]
fn kp_07_each_key_has_the_rate_of_its_plan_however_it_is_spread() {
    on_both_drivers(|driver| {
        let state = state();
        let gateway = start(&state, 8, "", driver);
        let mut clients: Vec<Client> = (0..5).map(|_| gateway.client()).collect();
        let passed: usize = clients.iter_mut().map(|client| passes(client, "/a", "acme", 4)).sum();
        assert_eq!(passed, 8);
        let refused = get(&mut clients[0], "/a", "acme");
        is_told(&refused, "plan");
        assert_eq!(passes(&mut clients[0], "/a", "zeta", 20), 8, "another key has a bucket of its own");
        assert_eq!(passes(&mut clients[0], "/open", "acme", 3), 3, "no key is asked for there");
        let count = gateway.counter("tollgate_throttled_total", &[("phase", "throttle_plan")]);
        assert!((count - 25.0).abs() < 0.5, "{count}");
    });
}

#[test]
fn th_02_the_key_for_the_method_then_the_key_then_the_stage() {
    on_both_drivers(|driver| {
        let state = state();
        let gateway = start(&state, 5, "throttle: {rate: 0.001, burst: 7}", driver);
        let mut client = gateway.client();
        assert_eq!(passes(&mut client, "/b", "acme", 9), 3, "TH-02 (1)");
        is_told(&get(&mut client, "/b", "acme"), "plan-method");
        // What (1) refused has cost the key nothing: two of its five are left.
        assert_eq!(passes(&mut client, "/a", "acme", 9), 2, "TH-02 (2)");
        is_told(&get(&mut client, "/a", "acme"), "plan");
        // Nor the stage: two of seven. What the stage refuses goes back to the key, and to its share of the method.
        assert_eq!(passes(&mut client, "/b", "zeta", 9), 2, "TH-02 (3)");
        is_told(&get(&mut client, "/b", "zeta"), "stage");
        gateway.reload(&document(&state, 5, "", ""));
        assert_eq!(passes(&mut client, "/b", "zeta", 9), 1);
        assert_eq!(passes(&mut client, "/a", "zeta", 9), 2);
    });
}

#[test]
fn a_reload_that_numbers_keys_anew_keeps_what_each_has_spent() {
    on_both_drivers(|driver| {
        let state = state();
        let gateway = start(&state, 6, "throttle_by: [{api_key: true, rate: 0.001, burst: 20}]", driver);
        let mut client = gateway.client();
        assert_eq!(passes(&mut client, "/a", "acme", 4), 4);
        assert_eq!(passes(&mut client, "/a", "zeta", 1), 1);
        fs::write(state.join("more"), value("aaaa")).expect("the folder is writable");
        let more = format!("aaaa: {{value: \"${{file:{}/more}}\", plans: [basic]}}", state.display());
        let report =
            gateway.reload(&document(&state, 6, "throttle_by: [{api_key: true, rate: 0.001, burst: 20}]", &more));
        assert_eq!(report["ok"], true, "{report}");
        assert_eq!(passes(&mut client, "/a", "acme", 9), 2);
        assert_eq!(passes(&mut client, "/a", "zeta", 9), 5);
        assert_eq!(passes(&mut client, "/a", "aaaa", 9), 6);
    });
}

#[test]
fn clients_are_told_apart_by_their_keys() {
    on_both_drivers(|driver| {
        let state = state();
        let gateway = start(&state, 50, "throttle_by: [{api_key: true, rate: 0.001, burst: 4}]", driver);
        let mut client = gateway.client();
        assert_eq!(passes(&mut client, "/a", "acme", 9), 4);
        is_told(&get(&mut client, "/a", "acme"), "api-key");
        assert_eq!(passes(&mut client, "/a", "zeta", 9), 4);
        assert_eq!(passes(&mut client, "/open", "acme", 9), 4, "where no key is read, all are one client");
    });
}
