//! Limits of requests: rows TH-01, TH-02, TH-04 and TH-05, limits by client, and of requests at work at once. Rates are so small that
//! no time passes: a burst is all that there is.

#[path = "support/http2.rs"]
mod http2;
mod support;
#[path = "support/wild.rs"]
mod wild;

use http2::{Frame, RST_STREAM, Raw};
use support::{Backend, Client, Driver, Gateway, Reply, Response, eventually, on_both_drivers};
use wild::Wild;

/// A REST API and an HTTP API, with these settings of their stages.
fn document(gateway: &str, rest: &str, http: &str) -> String {
    format!(
        r#"
gateway:
  workers: 2
  {gateway}
apis:
  rest:
    kind: rest
    routes:
      "GET /a": &told {{integration: {{type: mock, body: "{{}}"}}}}
      "GET /b": *told
      "GET /slow": {{throttle: {{rate: 0.001, burst: 2}}, integration: {{type: mock}}}}
    stages: {{dev: {{{rest}}}}}
  http:
    kind: http
    routes:
      "GET /a": *told
      "GET /b": *told
      "GET /slow": {{throttle: {{rate: 0.001, burst: 2}}, integration: {{type: mock}}}}
    stages: {{$default: {{{http}}}}}
domains:
  rest.test: {{mappings: {{/: rest/dev}}}}
  http.test: {{mappings: {{/: http/$default}}}}
"#
    )
}

fn ask(host: &str, path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {host}.test\r\n{fields}\r\n")
}

fn get(client: &mut Client, host: &str, path: &str) -> Response {
    client.exchange(ask(host, path, ""))
}

/// How many of so many requests pass; every other one is refused as API Gateway does it.
#[track_caller]
fn passes(client: &mut Client, request: &str, of: usize) -> usize {
    let mut passed = 0;
    for _ in 0..of {
        let response = client.exchange(request);
        if response.status == 200 {
            passed += 1;
        } else {
            is_refused(&response, request.contains("rest.test"));
        }
    }
    passed
}

#[track_caller]
fn is_refused(response: &Response, rest: bool) {
    response.expect_status(429);
    assert_eq!(response.text(), r#"{"message":"Too Many Requests"}"#, "TH-01");
    assert_eq!(response.header("x-amzn-ErrorType"), rest.then_some("TooManyRequestsException"));
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
fn th_01_a_burst_passes_and_no_more_however_it_is_spread() {
    let settings = "throttle: {rate: 0.001, burst: 50}";
    on_both_drivers(|driver| {
        let gateway = Gateway::start(&document("", settings, settings), driver);
        for host in ["rest", "http"] {
            let mut clients: Vec<Client> = (0..6).map(|_| gateway.client()).collect();
            let of_each = |client: &mut Client| passes(client, &ask(host, "/a", ""), 20);
            let passed: usize = clients.iter_mut().map(of_each).sum();
            assert_eq!(passed, 50, "a small burst is exact");
            let refused = get(&mut clients[0], host, "/b");
            is_refused(&refused, host == "rest");
            assert_eq!(refused.header("RateLimit-Policy"), Some("\"stage\";q=50;w=50000"));
            is_told(&refused, "stage");
        }
        let refused = gateway.counter("tollgate_throttled_total", &[("phase", "throttle_stage")]);
        assert!((refused - 142.0).abs() < 0.5, "{refused}");
        assert!((gateway.counter("tollgate_refusals_total", &[("reason", "throttled")]) - 142.0).abs() < 0.5);
    });
}

#[test]
fn th_01_a_large_burst_is_leased_by_workers_and_right_within_one_per_cent() {
    on_both_drivers(|driver| {
        let gateway = Gateway::start(&document("", "throttle: {rate: 0.001, burst: 2000}", ""), driver);
        let mut clients: Vec<Client> = (0..8).map(|_| gateway.client()).collect();
        let mut passed = 0;
        let many = ask("rest", "/a", "").repeat(10);
        for _ in 0..30 {
            for client in &mut clients {
                client.send(&many);
            }
            for client in &mut clients {
                passed += (0..10).filter(|_| client.read_response().status == 200).count();
            }
        }
        assert!((1_980..=2_000).contains(&passed), "{passed} of 2,400");
    });
}

#[test]
fn th_01_nobody_passes_where_rate_or_burst_is_0() {
    let shut = "methods: {\"GET /a\": {throttle: {rate: 0, burst: 10}}, \"GET /b\": {throttle: {rate: 10, burst: 0}}}";
    on_both_drivers(|driver| {
        let gateway = Gateway::start(&document("", shut, ""), driver);
        let mut client = gateway.client();
        for path in ["/a", "/b"] {
            let refused = get(&mut client, "rest", path);
            is_refused(&refused, true);
            assert_eq!((refused.header("RateLimit"), refused.header("Retry-After")), (Some("\"method\";r=0"), None));
        }
        get(&mut client, "http", "/a").expect_status(200);
    });
}

#[test]
fn th_04_th_05_a_method_has_its_own_bucket_or_that_of_all_others() {
    let settings =
        r#"methods: {"*/*": {throttle: {rate: 0.001, burst: 3}}, "GET /b": {throttle: {rate: 0.001, burst: 5}}}"#;
    on_both_drivers(|driver| {
        let gateway = Gateway::start(&document("", settings, settings), driver);
        let mut client = gateway.client();
        for host in ["rest", "http"] {
            // `*/*` is a limit of each method, not of all of them (TH-02 (3)); the route's own wins over it.
            for (path, burst) in [("/a", 3), ("/b", 5), ("/slow", 2)] {
                assert_eq!(passes(&mut client, &ask(host, path, ""), 8), burst, "{host} {path}");
            }
        }
    });
    let settings =
        r#"methods: {"*/*": {throttle: {rate: 0.001, burst: 3}}, "GET /slow": {throttle: {rate: -1, burst: -1}}}"#;
    on_both_drivers(|driver| {
        let gateway = Gateway::start(&document("", settings, ""), driver);
        let mut client = gateway.client();
        assert_eq!(passes(&mut client, &ask("rest", "/slow", ""), 20), 20, "what the stage says by name wins");
        assert_eq!(passes(&mut client, &ask("http", "/slow", ""), 20), 2);
    });
}

#[test]
fn th_02_a_request_passes_all_limits_and_pays_for_none_if_one_refuses() {
    let account = "account: {throttle: {rate: 0.001, burst: 6}}";
    let stage = r#"throttle: {rate: 0.001, burst: 5}, methods: {"GET /a": {throttle: {rate: 0.001, burst: 3}}}"#;
    on_both_drivers(|driver| {
        let gateway = Gateway::start(&document(account, stage, ""), driver);
        let mut client = gateway.client();
        let names = |client: &mut Client, host: &str, path: &str| {
            let response = get(client, host, path);
            response.header("RateLimit").map(|told| told.split('"').nth(1).expect("a name").to_owned())
        };
        assert_eq!(passes(&mut client, &ask("rest", "/a", ""), 3), 3);
        // Ten more of them take nothing of the stage, nor of the account.
        assert_eq!(passes(&mut client, &ask("rest", "/a", ""), 10), 0);
        assert_eq!(names(&mut client, "rest", "/a").as_deref(), Some("method"));
        assert_eq!(passes(&mut client, &ask("rest", "/b", ""), 10), 2);
        assert_eq!(names(&mut client, "rest", "/b").as_deref(), Some("stage"));
        // The account holds for all APIs, and one of its six is left.
        assert_eq!(passes(&mut client, &ask("http", "/a", ""), 10), 1, "TH-03");
        assert_eq!(names(&mut client, "http", "/a").as_deref(), Some("account"));
        let refused = |phase: &str| gateway.counter("tollgate_throttled_total", &[("phase", phase)]);
        assert!((refused("throttle_stage") - 20.0).abs() < 0.5 && (refused("throttle_account") - 10.0).abs() < 0.5);
    });
}

#[test]
fn a_refusal_by_a_later_limit_gives_back_what_was_taken_before() {
    let stage = r#"throttle: {rate: 0.001, burst: 2}, methods: {"GET /a": {throttle: {rate: 0.001, burst: 4}}}"#;
    let more = r#"throttle: {rate: 0.001, burst: 20}, methods: {"GET /a": {throttle: {rate: 0.001, burst: 4}}}"#;
    on_both_drivers(|driver| {
        let gateway = Gateway::start(&document("", stage, ""), driver);
        let mut client = gateway.client();
        assert_eq!(passes(&mut client, &ask("rest", "/b", ""), 5), 2);
        assert_eq!(passes(&mut client, &ask("rest", "/a", ""), 10), 0);
        let report = gateway.reload(&document("", more, ""));
        assert!(report["changes"].to_string().contains("stage rest/dev: limits of requests changed"), "{report}");
        assert_eq!(passes(&mut client, &ask("rest", "/a", ""), 10), 4, "the method's bucket is full");
    });
}

#[test]
fn a_reload_keeps_what_was_spent() {
    let settings = |burst: u32| {
        format!(
            "throttle: {{rate: 0.001, burst: {burst}}}, throttle_by: [{{header: X-Tenant, rate: 0.001, burst: {burst}}}]"
        )
    };
    on_both_drivers(|driver| {
        let gateway = Gateway::start(&document("", &settings(5), ""), driver);
        let mut client = gateway.client();
        assert_eq!(passes(&mut client, &ask("rest", "/a", ""), 3), 3);
        gateway.reload(&document("", &format!("{}, variables: {{x: \"1\"}}", settings(5)), ""));
        assert_eq!(passes(&mut client, &ask("rest", "/a", ""), 5), 2, "the same limit keeps its bucket");
        gateway.reload(&document("", &settings(9), ""));
        assert_eq!(passes(&mut client, &ask("rest", "/a", ""), 10), 4, "five of nine are spent");
        gateway.reload(&document("", "", ""));
        assert_eq!(passes(&mut client, &ask("rest", "/a", ""), 20), 20);
        gateway.reload(&document("", &settings(3), ""));
        assert_eq!(passes(&mut client, &ask("rest", "/a", ""), 10), 3, "what was gone begins anew");
    });
}

#[test]
fn clients_are_told_apart_by_address() {
    let gateway = "trusted_proxies: [127.0.0.0/8]";
    let by = "throttle_by: [{address: true, rate: 0.001, burst: 3}, {name: nets, address: {prefix_v4: 24}, rate: 0.001, burst: 5}]";
    on_both_drivers(|driver| {
        let gateway = Gateway::start(&document(gateway, by, ""), driver);
        let mut clients = [gateway.client(), gateway.client()];
        let mut passed = |ip: &str| -> usize {
            let request = ask("rest", "/a", &format!("X-Forwarded-For: {ip}\r\n"));
            clients.iter_mut().map(|client| passes(client, &request, 4)).sum()
        };
        assert_eq!(passed("192.0.2.1"), 3, "on two connections together");
        // What was refused for its address had paid nothing to the network, which is asked behind it.
        assert_eq!(passed("192.0.2.2"), 2, "two of its network's five are left");
        assert_eq!(passed("192.0.2.3"), 0);
        assert_eq!(passed("198.51.100.1"), 3);
        assert_eq!(passed("2001:db8::1"), 3);
        assert_eq!(passed("2001:db8::ffff"), 0, "one network of 64 bits is one customer");
        assert_eq!(passed("2001:db8:0:1::1"), 3);
        let mut client = gateway.client();
        let refused = client.exchange(ask("rest", "/none", "X-Forwarded-For: 192.0.2.1\r\n"));
        is_refused(&refused, true);
        // Before anybody looks for a route.
        is_told(&refused, "address");
        let count = gateway.counter("tollgate_throttled_total", &[("phase", "throttle_address")]);
        assert!(count > 20.0, "{count}");
    });
}

#[test]
fn clients_are_told_apart_by_what_they_send_and_by_who_they_are() {
    let by = "throttle_by: [{header: X-Tenant, rate: 0.001, burst: 3}, {claim: sub, rate: 0.001, burst: 20}]";
    on_both_drivers(|driver| {
        let gateway = Gateway::start(&document("", "", by), driver);
        let mut client = gateway.client();
        let mut passed = |fields: &str, of: usize| passes(&mut client, &ask("http", "/a", fields), of);
        assert_eq!(passed("X-Tenant: one\r\n", 5), 3);
        assert_eq!(passed("x-tenant: one\r\n", 5), 0, "case does not matter in names");
        assert_eq!(passed("X-Tenant: One\r\n", 5), 3, "and does in values");
        assert_eq!(passed("X-Tenant: one\r\nX-Tenant: two\r\n", 5), 3, "the last one counts, as everywhere");
        assert_eq!(passed("", 5), 3, "those without it are one client");
        assert_eq!(passed("X-Tenant:\r\n", 5), 3, "nothing is a value");
        // Nobody is known here, so that all are one caller: 15 of 20 have passed.
        for tenant in 0..5 {
            assert_eq!(passed(&format!("X-Tenant: t{tenant}\r\n"), 1), 1);
        }
        assert_eq!(passed("X-Tenant: last\r\n", 1), 0);
    });
}

#[test]
fn rate_limit_fields_are_told_as_the_operator_wants() {
    let settings = "throttle: {rate: 0.001, burst: 4}, throttle_by: [{header: X-Tenant, rate: 0.001, burst: 100}]";
    let with = |word: &str| {
        let gateway = format!("rate_limit_fields: {word}");
        document(&gateway, settings, settings).replace("kind: http\n", "kind: http\n    rate_limit_fields: false\n")
    };
    on_both_drivers(|driver| {
        let gateway = Gateway::start(&with("true"), driver);
        let mut client = gateway.client();
        let passed = get(&mut client, "rest", "/a");
        assert_eq!(passed.header("RateLimit"), Some("\"stage\";r=3"), "of all limits the one with the least left");
        assert_eq!(passed.header("RateLimit-Policy"), Some("\"stage\";q=4;w=4000"));
        assert_eq!(passed.header("Retry-After"), None);
        let bare = ["RateLimit", "RateLimit-Policy", "Retry-After"];
        (0..6).for_each(|_| drop(get(&mut client, "http", "/a")));
        let refused = get(&mut client, "http", "/a");
        is_refused(&refused, false);
        assert!(bare.iter().all(|name| refused.header(name).is_none()), "TH-07: as API Gateway does it");
        gateway.reload(&with("refusals"));
        let passed = get(&mut client, "rest", "/a");
        assert!(bare.iter().all(|name| passed.header(name).is_none()), "{}", passed.text());
        (0..6).for_each(|_| drop(get(&mut client, "rest", "/a")));
        assert!(get(&mut client, "rest", "/a").header("Retry-After").is_some());
    });
}

/// Two APIs whose backend answers when it is told to, with this setting of the stage.
fn held(backend: &Wild, stage: &str, driver: Driver) -> Gateway {
    let document = format!(
        r#"
gateway:
  workers: 2
apis:
  http:
    kind: http
    routes:
      "GET /late": {{integration: {{type: http_proxy, uri: "http://{0}/late"}}}}
      "GET /few": {{concurrency: 1, integration: {{type: http_proxy, uri: "http://{0}/few"}}}}
      "GET /mock": {{integration: {{type: mock}}}}
    stages: {{$default: {{{stage}}}}}
"#,
        backend.address()
    );
    Gateway::start(&document, driver)
}

/// A client whose request the backend is working on.
fn busy(gateway: &Gateway, request: &str) -> Client {
    let at_work = || gateway.status()["upstream"]["inFlight"].as_u64().expect("a number");
    let before = at_work();
    let mut client = gateway.client();
    client.send(request);
    eventually("the backend has it", || at_work() == before + 1);
    client
}

#[test]
fn only_so_many_requests_are_at_work_at_once() {
    on_both_drivers(|driver| {
        let (backend, go) = Wild::patient("ok");
        let gateway = held(&backend, "concurrency: 3", driver);
        let mut crowd: Vec<Client> = (0..2).map(|_| busy(&gateway, &ask("x", "/late", ""))).collect();
        crowd.push(busy(&gateway, &ask("x", "/few", "")));
        let mut client = gateway.client();
        let refused = get(&mut client, "x", "/mock");
        is_refused(&refused, false);
        assert_eq!(refused.header("RateLimit"), Some("\"stage-concurrency\";r=0"));
        let policy = "\"stage-concurrency\";q=3;qu=\"concurrent-requests\"";
        assert_eq!(refused.header("RateLimit-Policy"), Some(policy));
        assert_eq!(get(&mut client, "x", "/few").header("RateLimit"), Some("\"method-concurrency\";r=0"));
        // A client that is gone when its answer comes makes room, as one that gets it does.
        drop(crowd.remove(0));
        go.send(()).expect("the backend waits");
        eventually("there is room", || get(&mut client, "x", "/mock").status == 200);
        get(&mut client, "x", "/few").expect_status(429);
        (0..2).for_each(|_| go.send(()).expect("the backend waits"));
        for client in &mut crowd {
            client.read_response().expect_status(200);
        }
        let mut again = busy(&gateway, &ask("x", "/few", ""));
        go.send(()).expect("the backend waits");
        again.read_response().expect_status(200);
        let count = gateway.counter("tollgate_refusals_total", &[("reason", "too_many_at_once")]);
        assert!(count >= 3.0, "{count}");
        assert!((gateway.counter("tollgate_throttled_total", &[("phase", "concurrency")]) - count).abs() < 0.5);
    });
}

#[test]
fn a_stream_that_its_client_takes_back_makes_room() {
    on_both_drivers(|driver| {
        let (backend, go) = Wild::patient("ok");
        let document = format!(
            r#"
gateway:
  listen: [{{address: "127.0.0.1:0", h2c: true}}]
apis:
  http:
    kind: http
    routes:
      "GET /late": {{integration: {{type: http_proxy, uri: "http://{}/late"}}}}
      "GET /mock": {{integration: {{type: mock}}}}
    stages: {{$default: {{concurrency: 1}}}}
"#,
            backend.address()
        );
        let gateway = Gateway::start(&document, driver);
        let mut raw = Raw::connect(gateway.address());
        raw.ask(1, http2::get("/late", &[]));
        eventually("the backend has it", || gateway.status()["upstream"]["inFlight"] == 1);
        let mut client = gateway.client();
        get(&mut client, "x", "/mock").expect_status(429);
        raw.send(&Frame::new(RST_STREAM, 0, 1, [0, 0, 0, 8]));
        eventually("there is room", || get(&mut client, "x", "/mock").status == 200);
        drop(go);
    });
}

#[test]
fn each_client_has_so_many_requests_at_work() {
    on_both_drivers(|driver| {
        let (backend, go) = Wild::patient("ok");
        let gateway = held(&backend, "throttle_by: [{header: X-Tenant, concurrency: 1}]", driver);
        let late = |tenant: &str| ask("x", "/late", &format!("X-Tenant: {tenant}\r\n"));
        let mut one = busy(&gateway, &late("one"));
        let mut two = busy(&gateway, &late("two"));
        let refused = gateway.client().exchange(late("one"));
        is_refused(&refused, false);
        assert_eq!(refused.header("RateLimit"), Some("\"header-x-tenant\";r=0"));
        (0..2).for_each(|_| go.send(()).expect("the backend waits"));
        one.read_response().expect_status(200);
        two.read_response().expect_status(200);
        let mut again = busy(&gateway, &late("one"));
        go.send(()).expect("the backend waits");
        again.read_response().expect_status(200);
    });
}

#[test]
fn a_request_that_panics_makes_room() {
    on_both_drivers(|driver| {
        let backend = Backend::echo();
        let document = format!(
            "apis: {{a: {{kind: http, routes: {{\"GET /x\": {{concurrency: 1, integration: {{type: http_proxy, uri: \"http://{}/\"}}}}}}, stages: {{$default: {{}}}}}}}}\n",
            backend.address()
        );
        let gateway = Gateway::start(&document, driver);
        for _ in 0..3 {
            let mut client = gateway.client();
            client.send(ask("x", "/x", "X-Drill: call\r\n"));
            assert!(client.read_to_end().is_empty(), "a drill of a debug build");
            gateway.client().exchange(ask("x", "/x", "")).expect_status(200);
        }
    });
}

#[test]
fn callers_are_told_apart_by_what_their_authorizer_says() {
    on_both_drivers(|driver| {
        let door = Backend::scripted(|request| {
            let event: serde_json::Value = serde_json::from_slice(&request.body).expect("events are JSON");
            let team = event["headers"]["x-team"].as_str().expect("who asks says so");
            Reply::ok(format!(
                "{{\"isAuthorized\": true, \"context\": {{\"team\": \"{}\"}}}}",
                team.trim_end_matches('!')
            ))
        });
        let document = format!(
            r#"
apis:
  web:
    kind: http
    authorizers:
      door: {{type: lambda, uri: "http://{}/", identity_sources: $request.header.x-team, payload: "2.0", simple_responses: true, ttl: 5m}}
    routes:
      "GET /a": {{authorizer: door, integration: {{type: mock}}}}
    stages: {{$default: {{throttle_by: [{{claim: team, rate: 0.001, burst: 3}}]}}}}
"#,
            door.address()
        );
        let gateway = Gateway::start(&document, driver);
        let mut client = gateway.client();
        let mut passed = |team: &str| passes(&mut client, &ask("x", "/a", &format!("X-Team: {team}\r\n")), 5);
        assert_eq!(passed("red"), 3);
        assert_eq!(passed("red!"), 0, "another who is of the same team");
        assert_eq!(passed("blue"), 3);
        let count = gateway.counter("tollgate_throttled_total", &[("phase", "throttle_plan")]);
        assert!((count - 9.0).abs() < 0.5, "{count}");
    });
}
