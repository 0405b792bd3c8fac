//! API keys, usage plans and quotas: rows KP-01 to KP-06, KP-08 and KP-09; what is counted through a kill, a restart and an upgrade.
#![allow(clippy::float_cmp, reason = "counters are whole numbers")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use admin::UpgradeOrder;
use config::keys::{NewKey, Store};
use rustix::process::Signal;
use support::gateway::new_folder;
use support::{Backend, Client, Driver, Gateway, Reply, Response, eventually, on_both_drivers};

const ACME: &str = "acme-value-0123456789-abc";
const IDLE: &str = "idle-value-0123456789-abc";
const CSV: &str = "csv-value-0123456789-abcd";
const OFF: &str = "off-value-0123456789-abcd";
const OTHER: &str = "other-value-0123456789-ab";

/// A REST API and an HTTP API, and keys of every kind.
fn document(state: &Path, quota: &str, backend: &str) -> String {
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
      "GET /open": {{integration: {{type: mock}}}}
      "GET /mine": {{api_key_required: true, integration: {{type: mock, body: '$context.identity.apiKeyId $context.identity.apiKey'}}}}
      "GET /few": {{api_key_required: true, throttle: {{rate: 0.001, burst: 2}}, integration: {{type: mock}}}}
      "GET /back": {{api_key_required: true, integration: {{type: http_proxy, uri: "http://{backend}/"}}}}
    stages: {{dev: {{}}, prod: {{}}}}
  http:
    kind: http
    routes:
      "GET /mine": {{api_key_required: true, integration: {{type: mock}}}}
    stages: {{$default: {{}}}}
domains:
  rest.test: {{mappings: {{/: rest/dev, /prod: rest/prod}}}}
  http.test: {{mappings: {{/: http/$default}}}}
usage_plans:
  basic: {{stages: [rest/dev, rest/prod, http/$default]{quota}}}
  elsewhere: {{stages: [rest/prod]}}
api_keys:
  acme: {{value: "${{file:{state}/acme}}", plans: [basic]}}
  idle: {{value: "${{file:{state}/idle}}", plans: [basic], enabled: false}}
  other: {{value: "${{file:{state}/other}}", plans: [elsewhere]}}
  file: {state}/keys.csv
"#
    )
}

/// A state directory with the keys' values beside it.
fn state() -> PathBuf {
    let state = new_folder();
    for (name, value) in [("acme", ACME), ("idle", IDLE), ("other", OTHER)] {
        fs::write(state.join(name), format!("{value}\n")).expect("a key's file");
    }
    let text = format!("key,NAME,usageplanids,enabled\n{CSV},customer,\"basic\",true\n{OFF},gone,basic,FALSE\n");
    fs::write(state.join("keys.csv"), text).expect("a table of keys");
    state
}

fn start(state: &Path, quota: &str, driver: Driver) -> Gateway {
    Gateway::start(&document(state, quota, "127.0.0.1:1"), driver)
}

fn ask(host: &str, path: &str, key: &str) -> String {
    let field = if key.is_empty() { String::new() } else { format!("X-API-Key: {key}\r\n") };
    format!("GET {path} HTTP/1.1\r\nHost: {host}.test\r\n{field}\r\n")
}

fn get(client: &mut Client, host: &str, path: &str, key: &str) -> Response {
    client.exchange(ask(host, path, key))
}

#[track_caller]
fn is_forbidden(response: &Response) {
    response.expect_status(403);
    assert_eq!(response.text(), r#"{"message":"Forbidden"}"#);
}

#[track_caller]
fn is_used_up(response: &Response) {
    response.expect_status(429);
    assert_eq!(response.text(), r#"{"message":"Limit Exceeded"}"#);
}

/// `Refusal::InvalidApiKey`: whatever is wrong with a key, nobody is told what.
#[test]
fn kp_04_who_has_no_key_of_the_stage_is_refused() {
    let state = state();
    on_both_drivers(|driver| {
        let gateway = start(&state, "", driver);
        let mut client = gateway.client();
        get(&mut client, "rest", "/open", "").expect_status(200);
        let wrong =
            ["", "nobody-value-0123456789", "short", IDLE, OFF, OTHER, &ACME.to_uppercase(), &format!("{ACME}x")];
        for (host, kind) in [("rest", Some("ForbiddenException")), ("http", None)] {
            for key in wrong {
                let response = get(&mut client, host, "/mine", key);
                is_forbidden(&response);
                assert_eq!(response.header("x-amzn-ErrorType"), kind, "{key}");
            }
            get(&mut client, host, "/mine", ACME).expect_status(200);
            get(&mut client, host, "/mine", CSV).expect_status(200);
        }
        get(&mut client, "rest", "/prod/mine", OTHER).expect_status(200);
        assert_eq!(gateway.counter("tollgate_refusals_total", &[("reason", "invalid_api_key")]), 16.0);
        // Neither key nor value reaches the log.
        eventually("the log is written", || gateway.access_log().lines().count() >= 22);
        let log = gateway.access_log();
        assert!([ACME, CSV, OTHER, IDLE].iter().all(|value| !log.contains(value)), "{log}");
    });
}

/// Row KP-03: the field of any spelling; several are none, as a backend could read another of them.
#[test]
fn kp_03_the_key_is_read_from_its_field() {
    let state = state();
    let backend = Backend::scripted(|request| Reply::ok(request.header("x-api-key").unwrap_or("none")));
    on_both_drivers(|driver| {
        let gateway = Gateway::start(&document(&state, "", backend.address()), driver);
        let mut client = gateway.client();
        let mut with = |fields: &str| client.exchange(format!("GET /mine HTTP/1.1\r\nHost: rest.test\r\n{fields}\r\n"));
        let told = with(&format!("x-API-kEY: {ACME}\r\n"));
        assert_eq!(told.text(), format!("\"acme\" \"{ACME}\""), "$context.identity");
        is_forbidden(&with(&format!("X-Api-Key: nothing\r\nX-Api-Key: {CSV}\r\n")));
        is_forbidden(&with(&format!("X-Api-Key: {CSV}\r\nX-Api-Key: nothing\r\n")));
        is_forbidden(&with(&format!("Authorization: {ACME}\r\n")));
        let passed_on = get(&mut gateway.client(), "rest", "/back", ACME);
        assert_eq!(passed_on.text(), ACME, "a backend gets what its client has sent, as of API Gateway (HDR)");
    });
}

/// Rows KP-02 and KP-04: keys of the store count after a reload, without any deployment.
#[test]
fn kp_02_keys_of_the_store_take_effect_with_a_reload() {
    on_both_drivers(|driver| {
        let state = state();
        let gateway = start(&state, "", driver);
        let mut client = gateway.client();
        let store = Store::at(&state);
        let mut change = store.change().unwrap();
        let new = NewKey { name: "n".into(), enabled: true, plans: vec!["basic".into()], ..NewKey::default() };
        let (key, value) = change.create(new, 1).unwrap();
        change.commit().unwrap();
        is_forbidden(&get(&mut client, "rest", "/mine", &value));
        let text = document(&state, "", "127.0.0.1:1");
        assert_eq!(gateway.reload(&text)["ok"], true, "{}", gateway.stderr());
        let told = get(&mut client, "rest", "/mine", &value);
        assert_eq!(told.text(), format!("\"{}\" \"{value}\"", key.id));
        let mut change = store.change().unwrap();
        change.edit(0, 2, |key| key.enabled = false);
        change.commit().unwrap();
        assert_eq!(gateway.reload(&text)["ok"], true);
        is_forbidden(&get(&mut client, "rest", "/mine", &value));
        // A damaged store changes nothing.
        fs::write(store.path(), "damaged").unwrap();
        assert_eq!(gateway.reload(&text)["ok"], false);
        get(&mut client, "rest", "/mine", ACME).expect_status(200);
    });
}

fn passed(client: &mut Client, host: &str, path: &str, key: &str, of: usize) -> usize {
    (0..of).filter(|_| get(client, host, path, key).status == 200).count()
}

/// Row KP-06 with TH-02: whoever is refused for a limit that comes later is not billed.
#[test]
fn kp_06_what_a_throttle_refuses_does_not_count() {
    let state = state();
    let gateway = start(&state, QUOTA, Driver::Epoll);
    let mut client = gateway.client();
    assert_eq!(passed(&mut client, "rest", "/few", ACME, 30), 2);
    assert_eq!(passed(&mut client, "rest", "/mine", ACME, 30), 18);
}

const QUOTA: &str = ", quota: {limit: 20, period: month}";

/// Row KP-06, `Refusal::QuotaExceeded`: by key, over all stages of the plan, exact over workers.
#[test]
fn kp_06_a_quota_is_counted_by_key_over_all_stages() {
    on_both_drivers(|driver| {
        let state = state();
        let gateway = start(&state, QUOTA, driver);
        let mut clients: Vec<Client> = (0..4).map(|_| gateway.client()).collect();
        let places = [("rest", "/mine"), ("rest", "/prod/mine"), ("http", "/mine"), ("rest", "/mine")];
        let each = |(client, (host, path)): (&mut Client, (&str, &str))| passed(client, host, path, ACME, 8);
        let sum: usize = clients.iter_mut().zip(places).map(each).sum();
        assert_eq!(sum, 20);
        let response = get(&mut clients[0], "rest", "/mine", ACME);
        is_used_up(&response);
        assert_eq!(response.header("x-amzn-ErrorType"), Some("LimitExceededException"));
        let left: u64 = response.header("retry-after").expect("when the next month begins").parse().unwrap();
        assert!(left <= 31 * 86_400);
        is_used_up(&get(&mut clients[1], "http", "/mine", ACME));
        assert_eq!(passed(&mut clients[2], "rest", "/mine", CSV, 20), 20, "another key has its own");
        get(&mut clients[3], "rest", "/open", "").expect_status(200);
        assert_eq!(gateway.counter("tollgate_refusals_total", &[("reason", "quota_exceeded")]), 14.0);
    });
}

/// Rows KP-06 and KP-09: what is used stays used after a reload, after the process is killed, and after an orderly restart.
#[test]
fn kp_06_counts_survive_a_kill_and_a_restart() {
    on_both_drivers(|driver| {
        let state = state();
        let gateway = start(&state, QUOTA, driver);
        assert_eq!(passed(&mut gateway.client(), "rest", "/mine", ACME, 6), 6);
        assert_eq!(gateway.reload(&document(&state, QUOTA, "127.0.0.1:2"))["ok"], true);
        assert_eq!(passed(&mut gateway.client(), "rest", "/mine", ACME, 3), 3);
        gateway.signal(Signal::KILL);
        gateway.wait_exit();
        drop(gateway);
        let gateway = start(&state, QUOTA, driver);
        assert_eq!(passed(&mut gateway.client(), "rest", "/mine", ACME, 5), 5);
        gateway.signal(Signal::TERM);
        assert!(gateway.wait_exit().success(), "{}", gateway.stderr());
        drop(gateway);
        let gateway = start(&state, QUOTA, driver);
        assert_eq!(
            passed(&mut gateway.client(), "rest", "/mine", ACME, 10),
            6,
            "6, 3 and 5 were used: none is lost, none counted twice"
        );
    });
}

/// While one process takes over from the other, both count in the same words.
#[test]
fn kp_06_an_upgrade_neither_loses_nor_doubles() {
    on_both_drivers(|driver| {
        let state = state();
        let gateway = start(&state, QUOTA, driver);
        let mut old = gateway.client();
        assert_eq!(passed(&mut old, "rest", "/mine", ACME, 7), 7);
        let report = gateway.upgrade(UpgradeOrder::default());
        assert_eq!(report["ok"], true, "{report}\n{}", gateway.stderr());
        let mut new = gateway.client();
        assert_eq!(passed(&mut new, "rest", "/mine", ACME, 30), 13);
        is_used_up(&get(&mut new, "rest", "/mine", ACME));
    });
}

/// Row KP-06, assumed: `offset` is missing from the first period.
#[test]
fn kp_06_an_offset_shortens_the_first_period() {
    let state = state();
    let gateway = start(&state, ", quota: {limit: 20, period: week, offset: 15}", Driver::Epoll);
    assert_eq!(passed(&mut gateway.client(), "rest", "/mine", ACME, 10), 5);
}

/// Many clients at once, on two workers: the quota is exact.
#[test]
fn kp_06_a_quota_is_exact_under_load() {
    let state = state();
    let gateway = start(&state, ", quota: {limit: 1000, period: month}", Driver::Epoll);
    let passed: usize = std::thread::scope(|scope| {
        let clients: Vec<_> =
            (0..6).map(|_| scope.spawn(|| passed(&mut gateway.client(), "rest", "/mine", ACME, 250))).collect();
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    });
    assert_eq!(passed, 1_000);
}
